/* queue.js - jobs: those that wait, run and have ended; the live preview of the one that is watched. */
import {$, announce, button, bytes, clock, el, errorBox, fill, known, seconds, toast} from './dom.js';
import {get, listen, post, remove} from './api.js';
import {state} from './state.js';
import {pictureFrame, setStage} from './stage.js';
import {isStill} from './player.js';

const jobs = new Map();  /* id -> the job object of the server */
const lines = new Map(); /* id -> its row */
let watched = null;
let onDone = () => {};

export function whenDone(f) {
    onDone = f;
}

const STATES = {
    queued: 'waiting',
    running: 'running',
    done: 'done',
    failed: 'failed',
    stopped: 'stopped'
};
const STAGE_WORDS = {
    load: 'Loading the model',
    text: 'Reading the prompt',
    images: 'Reading pictures',
    pictures: 'Reading pictures',
    steps: 'Step',
    decode: 'Decoding frame',
    between: 'Frames between',
    encode: 'Writing',
    models: 'Looking for models'
};
const ended = (job) => ['done', 'failed', 'stopped'].includes(job.state);

/* Of a whole render, as far as its stages tell: the steps are most of it. */
function share({stage, done, total, clip, clips} = {}) {
    const part = total > 0 ? done / total : 0;
    const [from, to] = {
        load: [0, 0.04],
        text: [0.04, 0.05],
        images: [0.04, 0.05],
        pictures: [0.04, 0.05],
        steps: [0.05, 0.85],
        decode: [0.85, 0.97],
        between: [0.97, 0.98],
        encode: [0.98, 1]
    }[stage] ?? [0, 0];
    return ((clip || 0) + from + (to - from) * part) / Math.max(1, clips || 1);
}

function stageText(p) {
    if (!p?.stage)
        return 'Beginning';
    const words = STAGE_WORDS[p.stage] ?? p.stage, counted = p.total > 1 && p.stage !== 'load';
    return `${words}${counted ? ` ${p.done} of ${p.total}` : ''}${p.clips > 1 ? `, clip ${p.clip + 1} of ${p.clips}` : ''}`;
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

async function act(id, path, said) {
    try {
        await (path === null ? remove(`jobs/${id}`) : post(`jobs/${id}/${path}`));
        toast(said);
        if (path === null)
            forget(id);
        else
            await refresh();
    } catch (e) {
        toast([e.what, e.why].filter(Boolean).join(' '));
    }
}

function forget(id) {
    jobs.delete(id);
    drawQueue();
}

const nameOf = (job) => (job.prompt || 'a clip without a prompt').replace(/\s+/g, ' ');

function buttonsOf(job) {
    const about = nameOf(job).slice(0, 60), named = (text) => ({'aria-label': `${text}: ${about}, job ${job.id.slice(-6)}`});
    const list = [];
    if (job.state === 'running' || job.state === 'done')
        list.push(button(job.state === 'done' ? 'Show' : 'Watch', () => watch(job.id, true),
                         named(job.state === 'done' ? 'Show' : 'Watch')));
    if (!ended(job))
        list.push(button('Cancel', () => act(job.id, 'cancel', 'Stopping. It can be resumed.'), named('Cancel')));
    if (canResume(job))
        list.push(button('Resume', () => resume(job.id), named('Resume')));
    if (ended(job))
        list.push(button('Forget', () => act(job.id, null, 'Forgotten; its results stay.'), named('Forget')));
    return list;
}

const canResume = (job) => (job.state === 'failed' || job.state === 'stopped') && job.resumable !== false;

export async function resume(id) {
    await act(id, 'resume', 'It goes on.');
    watch(id, false);
}

/* `place` is how many go before it. */
const before = (job) => (job.place > 0 ? `${job.place} before it` : 'next');

function drawLine(job) {
    let line = lines.get(job.id);
    if (!line) {
        line = el('li', {class: 'job'}, el('span', {class: 'state'}), el('span', {class: 'job-name'}),
                  el('span', {class: 'job-more'}), el('span', {class: 'tools'}));
        lines.set(job.id, line);
    }
    const [chip, name, more, tools] = line.children;
    line.className = `job ${job.state}`;
    chip.textContent = STATES[job.state] ?? job.state;
    name.textContent = nameOf(job);
    name.title = nameOf(job);
    more.textContent = job.state === 'running' ? `${Math.round(100 * share(job.progress))} %`
                       : job.state === 'queued' ? before(job)
                                                : clock(job.made);
    if (line.dataset.state !== job.state) { /* buttons keep the focus while numbers change */
        const focus = tools.contains(document.activeElement);
        fill(tools, ...buttonsOf(job));
        line.dataset.state = job.state;
        if (focus)
            tools.querySelector('button')?.focus();
    }
    return line;
}

const rank = (job) => ({running: 0, queued: 1}[job.state] ?? 2);

function drawQueue() {
    const list = [...jobs.values()].sort((a, b) => rank(a) - rank(b) || (rank(a) === 1 ? a.place - b.place : b.made - a.made));
    const wanted = list.slice(0, 12).map(drawLine), place = $('queue-list');
    if (wanted.length !== place.children.length || wanted.some((n, i) => n !== place.children[i])) {
        const focus = place.contains(document.activeElement) ? document.activeElement : null;
        place.replaceChildren(...wanted);
        focus?.isConnected && focus.focus({preventScroll: true});
    }
    const waiting = list.filter((j) => j.state === 'queued').length;
    $('queue-count').textContent = !list.length ? 'nothing yet' : waiting ? `${waiting} waiting` : '';
    $('clear-queue').hidden = !list.some(ended);
    for (const id of lines.keys())
        if (!jobs.has(id))
            lines.delete(id);
}

/* ---- the preview -------------------------------------------------------------------------------------------------- */

const live = {};

function buildLive(job) {
    Object.assign(live, {
        id: job.id,
        seen: 0,
        told: '',
        shown: '',
        picture: pictureFrame(state.resolved),
        stage: el('p', {class: 'live-stage'}),
        numbers: el('dl', {class: 'numbers'}),
        bar: el('progress', {max: 1, 'aria-label': 'How much of the render is done'}),
        cancel: el('button', {
            type: 'button',
            class: 'quiet',
            text: 'Cancel',
            onclick: () => act(job.id, 'cancel', 'Stopping. It can be resumed.')
        }),
        trouble: el('div', {}),
    });
    live.picture.classList.add('waiting');
    setStage('Preview', el('div', {class: 'live'}, live.picture,
                           el('div', {class: 'live-side'}, live.stage, live.bar, live.numbers,
                              el('p', {class: 'prompt-line', text: nameOf(job)}), live.trouble,
                              el('div', {class: 'tools'}, live.cancel))));
}

function drawPicture(job) {
    const n = job.progress?.preview ?? 0;
    if (!n || n === live.seen)
        return;
    live.seen = n;
    const kind = isStill() ? 'preview.png' : 'preview.webp', next = new Image();
    next.alt = `Preview of the clip, picture ${n}`;
    next.onload = () => live.seen === n && fill(live.picture, next).classList.remove('waiting');
    next.src = `api/v1/jobs/${encodeURIComponent(job.id)}/${kind}?n=${n}`;
    live.picture.classList.toggle('strip', isStill());
    if (isStill())
        live.picture.style.aspectRatio = '';
}

function drawNumbers(p) {
    const pairs = [
        ['left in this stage', known(p?.eta_s) ? `about ${seconds(p.eta_s)}` : ''],
        ['a step', p?.stage === 'steps' && p.per_item_s > 0 ? seconds(p.per_item_s) : ''],
        ['running for', p?.elapsed_s > 0 ? seconds(p.elapsed_s) : ''],
        ['device memory', p?.device_bytes > 0 ? `${bytes(p.device_bytes)}, ${bytes(p.device_peak_bytes)} at most` : '']
    ];
    fill(live.numbers, ...pairs.filter(([, v]) => v).map(([k, v]) => el('div', {}, el('dt', {text: k}), el('dd', {text: v}))));
}

/* Aloud: each stage once, steps by quarters. */
function tellAloud(job) {
    const p = job.progress, quarter = p?.stage === 'steps' && p.total ? Math.floor((4 * p.done) / p.total) : 0,
          key = `${p?.stage} ${quarter}`;
    if (job.state === 'running' && key !== live.told && p?.stage)
        announce(stageText(p));
    live.told = key;
}

function drawLive(job) {
    if (live.id !== job.id)
        buildLive(job);
    const waiting = job.state === 'queued';
    live.stage.textContent = job.state === 'running' ? stageText(job.progress)
                             : waiting               ? `Waiting, ${before(job)}`
                                                     : STATES[job.state];
    live.bar.value = share(job.progress);
    live.bar.hidden = ended(job);
    live.cancel.hidden = ended(job);
    drawPicture(job);
    drawNumbers(job.progress);
    tellAloud(job);
    if (ended(job) && job.state !== 'done' && live.shown !== `${job.id} ${job.state}`) {
        live.shown = `${job.id} ${job.state}`;
        const go = canResume(job) && button('Resume', () => resume(job.id), {'aria-label': 'Resume this render'});
        fill(live.trouble,
             job.state === 'failed'
                 ? errorBox(job.error ?? {what: 'The render failed.'}, go)
                 : el('div', {}, el('p', {text: go ? 'Stopped. It goes on from the last step that was kept.' : 'Stopped.'}),
                      go));
    } else if (!ended(job)) {
        fill(live.trouble);
        live.shown = '';
    }
}

/* Shows a job in the stage, now and as it goes on. */
export function watch(id, look) {
    watched = id;
    live.id = null;
    const job = jobs.get(id);
    if (job?.state === 'done')
        finish(job);
    else if (job)
        drawLive(job);
    if (look)
        $('stage').scrollIntoView({block: 'nearest'});
}

export function unwatch() {
    watched = null;
}

async function finish(job) {
    try {
        onDone(await get(`jobs/${job.id}`), watched === job.id);
    } catch (e) {
        toast(e.what);
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

function take(job, kind) {
    const before = jobs.get(job.id);
    jobs.set(job.id, {...before, ...job});
    const now = jobs.get(job.id), turned = before?.state !== now.state;
    drawQueue();
    if (now.id === watched && now.state !== 'done')
        drawLive(now);
    if (now.state === 'done' && turned && (before || kind === 'done')) {
        announce(`Done: ${nameOf(now)}`);
        finish(now);
    } else if (now.state === 'failed' && turned && before)
        announce(`Failed: ${now.error?.what ?? ''}`);
}

export async function refresh() {
    const {jobs: list} = await get('jobs'), here = new Set(list.map((j) => j.id));
    for (const id of [...jobs.keys()])
        if (!here.has(id))
            jobs.delete(id);
    list.forEach((job) => take(job, 'list'));
    drawQueue();
}

function online(on) {
    $('status').classList.toggle('off', !on);
    $('status-text').textContent = on ? 'ready' : 'no connection';
    if (on)
        refresh().catch((e) => toast(e.what));
}

/* Sends a job; an error is the caller's to show. */
export async function start(job) {
    const {id, state, place} = await post('jobs', job);
    jobs.set(
        id,
        {prompt: job.prompt ?? '', made: Date.now() / 1000, ...jobs.get(id), id, state: jobs.get(id)?.state ?? state, place});
    drawQueue();
    const running = [...jobs.values()].some((j) => j.id === watched && j.state === 'running');
    if (running)
        toast(`In the queue: ${before({place})}.`);
    else
        watch(id, true);
    announce(`In the queue: ${before({place})}`);
}

export function buildQueue() {
    const events = {};
    for (const kind of ['state', 'progress', 'preview', 'done'])
        events[kind] = (job) => take(job, kind);
    listen(events, online);
    $('clear-queue').addEventListener('click', async () => {
        for (const job of [...jobs.values()].filter((j) => j.state === 'done' || j.state === 'failed' || j.state === 'stopped'))
            await remove(`jobs/${job.id}`).then(() => jobs.delete(job.id), () => {});
        drawQueue();
        $('h-queue').parentElement.querySelector('button')?.focus();
    });
    drawQueue();
}

/* The running job is shown to whoever opens the page while it runs. */
export function watchRunning() {
    const job = [...jobs.values()].find((j) => j.state === 'running');
    if (job && !watched)
        watch(job.id, false);
}
