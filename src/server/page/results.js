/* results.js - the gallery, one result with its settings, and what can be done with them. */
import {$, button, bytes, clock, copy, el, errorBox, fill, iconButton, toast} from './dom.js';
import {get, remove} from './api.js';
import {fromJob, option, setValue, state} from './state.js';
import {clipView, setStill, isStill} from './player.js';
import {pictureFrame, setStage} from './stage.js';
import {hasFiles, toCommand, toJobText} from './command.js';
import {compareTwo} from './compare.js';
import {unwatch} from './queue.js';

const PAGE = 24;
let results = [], total = 0;
const chosen = [];        /* names of at most two to compare, in the order of choosing */
const jobsOf = new Map(); /* name -> its settings */

export async function settingsOf(name) {
    if (!jobsOf.has(name))
        jobsOf.set(name, await get(`results/${encodeURIComponent(name)}/job`));
    const job = jobsOf.get(name);
    return job?.job ?? job;
}

export function copyCommand(job) {
    copy(toCommand(job),
         hasFiles(job) ? 'Command copied. Its pictures are named as you dropped them: run it beside them.' : 'Command copied.');
}

export function copyJob(job) {
    copy(toJobText(job), 'Job copied, for vkanim render --job FILE.');
}

/* ---- settings as people read them --------------------------------------------------------------------------------- */

export const valueText = (value) => (Array.isArray(value)                    ? value.join('\n')
                                     : value === null || value === undefined ? ''
                                                                             : String(value));

function settingsList(job) {
    const names = state.options.map((o) => o.name).filter((n) => n in job), others = Object.keys(job).filter((n) => !option(n));
    return el('dl', {class: 'settings'},
              ...[...names, ...others].flatMap((n) => [el('dt', {text: n}), el('dd', {text: valueText(job[n])})]));
}

function facts(r) {
    const parts = [
        r.width ? `${r.width} × ${r.height}` : '', r.frames ? `${r.frames} frames` : '',
        r.fps ? `${Number(r.fps.toFixed(2))} fps` : '', bytes(r.bytes)
    ];
    return parts.filter(Boolean).join(' · ');
}

/* ---- one result --------------------------------------------------------------------------------------------------- */

export function useSettings(job, from) {
    const left = fromJob(job);
    toast(`Settings of ${from} taken.${left.length ? ` Not taken: ${left.join(', ')}.` : ''}`);
    $('f-prompt')?.focus();
}

function tools(r, job) {
    return el('div', {class: 'tools'}, job && button('Use these settings', () => useSettings(job, r.name)),
              job && button('Copy as command', () => copyCommand(job), {'aria-label': 'Copy as command, this result'}),
              job && button('Copy as job', () => copyJob(job), {'aria-label': 'Copy as job, this result'}),
              button('Begin from this clip', () => {
                  setValue('init-video', `result:${r.name}`);
                  toast('The next clip begins from this one: see "Video to begin from" for how far it goes from it.');
              }), el('a', {class: 'quiet small', href: r.url, download: r.name, text: 'Download'}));
}

const wide = matchMedia('(min-width: 1081px)'); /* where there is room beside the clip */

export async function showResult(r) {
    const side = el('div', {class: 'live-side'}, el('p', {class: 'live-stage', text: r.name}),
                    el('p', {class: 'muted', text: facts(r)}));
    unwatch();
    setStage('Result', el('div', {class: 'live'}, pictureFrame(r, clipView(r.name, r.url, `The clip ${r.name}`)), side));
    try {
        const job = await settingsOf(r.name);
        side.append(
            el('p', {class: 'prompt-line', text: job.prompt ?? ''}), tools(r, job),
            el('details', {class: 'as-text', open: wide.matches}, el('summary', {text: 'Its settings'}), settingsList(job)));
    } catch (e) {
        side.append(tools(r, null), errorBox(e));
    }
}

/* ---- the gallery -------------------------------------------------------------------------------------------------- */

function toggleChosen(name, press) {
    const at = chosen.indexOf(name);
    if (at >= 0)
        chosen.splice(at, 1);
    else
        chosen.push(name);
    if (chosen.length > 2)
        chosen.shift();
    for (const b of $('results-list').querySelectorAll('[data-compare]'))
        b.setAttribute('aria-pressed', chosen.includes(b.dataset.compare));
    $('compare').disabled = chosen.length !== 2;
    if (chosen.length === 2 && press)
        toast('Two are chosen: press "Compare two".');
}

async function deleteResult(r) {
    if (!confirm(`Delete ${r.name} from the server's results?`))
        return;
    try {
        await remove(`results/${encodeURIComponent(r.name)}`);
        if (chosen.includes(r.name))
            toggleChosen(r.name, false);
        await refreshResults();
        $('results').focus();
    } catch (e) {
        toast([e.what, e.why].filter(Boolean).join(' '));
    }
}

function card(r) {
    return el('li', {class: 'card'},
              el('button', {
                  type: 'button',
                  class: 'card-show',
                  'aria-label': `Show ${r.name}`,
                  onclick: () => {
                      showResult(r);
                      $('stage').scrollIntoView({block: 'nearest'});
                  }
              },
                 clipView(r.name, r.url, '')),
              r.prompt ? el('p', {class: 'card-prompt', text: r.prompt, title: r.prompt}) : null,
              el('div', {class: 'card-line'}, el('span', {class: 'card-name', text: r.name, title: r.name}),
                 el('span', {class: 'muted', text: clock(r.made)})),
              el('div', {class: 'card-line'}, el('button', {
                     type: 'button',
                     class: 'quiet small',
                     text: 'Compare',
                     'data-compare': r.name,
                     'aria-label': `Compare ${r.name}`,
                     'aria-pressed': String(chosen.includes(r.name)),
                     onclick: () => toggleChosen(r.name, true)
                 }),
                 iconButton('close', `Delete ${r.name}`, () => deleteResult(r))));
}

function drawResults() {
    fill($('results-list'), ...results.map(card));
    $('results-count').textContent = total ? String(total) : 'nothing yet';
    $('results-more').hidden = results.length >= total;
}

export async function refreshResults() {
    const page = await get(`results?offset=0&limit=${Math.max(PAGE, results.length)}`);
    results = page.results;
    total = page.total;
    for (const name of chosen.filter((n) => !results.some((r) => r.name === n)))
        toggleChosen(name, false);
    drawResults();
    return results;
}

async function more() {
    const page = await get(`results?offset=${results.length}&limit=${PAGE}`), from = results.length;
    results = [...results, ...page.results];
    total = page.total;
    drawResults();
    $('results-list').children[from]?.querySelector('button')?.focus();
}

/* A job that is done: into the gallery, and into the stage where it was watched. */
export async function resultDone(job, watched) {
    const list = await refreshResults(), first = job.outputs?.[0];
    const r = list.find((x) => x.name === first?.name) ?? first;
    if (r && watched)
        await showResult(r);
}

export function buildResults() {
    $('compare').addEventListener('click', () => compareTwo(...chosen.map((name) => results.find((r) => r.name === name))));
    $('results-more').addEventListener('click', () => more().catch((e) => toast(e.what)));
    $('still').setAttribute('aria-pressed', String(isStill()));
    $('still').addEventListener('click', () => {
        setStill(!isStill());
        $('still').setAttribute('aria-pressed', String(isStill()));
    });
    drawResults();
}
