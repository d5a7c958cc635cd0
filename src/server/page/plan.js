/* plan.js - what the render would need and take, told while settings change, before anything runs. */
import {$, announce, bytes, el, fill, later, plural, seconds} from './dom.js';
import {post} from './api.js';
import {changed, onChange, setValue, state, toJob} from './state.js';

let asked = null;    /* of the request under way */
let lastFits = null; /* told aloud when it changes */

const PLAN_STAGES = {
    text: 'text',
    vision: 'image encoder',
    encode: 'VAE encoder',
    hints: 'hints',
    unet: 'UNet',
    hires_encode: 'VAE encoder, larger',
    hires: 'UNet, larger',
    hires_decode: 'VAE, larger',
    vae: 'VAE',
    between: 'frames between'
};

/* "5.1 of 8 GB": one unit where both have it. */
function ofBudget(used, budget) {
    const [a, b] = [bytes(used), bytes(budget)];
    return a.slice(-2) === b.slice(-2) ? `${a.slice(0, -3)} of ${b}` : `${a} of ${b}`;
}

function meter(used, budget, fits) {
    const bar = el('span', {class: fits ? 'fill' : 'fill over'});
    bar.style.width = `${Math.min(100, budget > 0 ? (100 * used) / budget : 0)}%`;
    return el('span', {class: 'meter', 'aria-hidden': 'true'}, bar);
}

/* Settings near these that do fit; a press takes them. */
function wayOut(n) {
    if (n.frames)
        return [plural(n.frames, 'frame'), {frames: n.frames}];
    if (n.width)
        return [`${n.width} × ${n.height}`, {width: n.width, height: n.height}];
    return null;
}

function nearest(list) {
    const ways = list.map((n) => [wayOut(n), n]).filter(([way]) => way);
    const budget = list.find((n) => n.budget_bytes);
    return el('p', {class: 'ways'}, ways.length ? 'It would with ' : '',
              ...ways.map(([[text, values], n]) => el('button', {
                              type: 'button',
                              class: 'quiet small',
                              text: `${text}: ${bytes(n.planned_bytes)}`,
                              'aria-label': `Take ${text}, which needs ${bytes(n.planned_bytes)}`,
                              onclick: () => Object.entries(values).forEach(([name, value]) => setValue(name, String(value))),
                          })),
              budget ? `${ways.length ? ' or' : 'It would with'} a budget of ${bytes(budget.budget_bytes)}.` : null);
}

function stages(report) {
    const known =
        Object.entries(report.stages ?? {}).map(([key, n]) => [PLAN_STAGES[key.replace(/_bytes$/, '')], n]).filter(([
                                                                                                                       name
                                                                                                                   ]) => name);
    return known.length ? el('p', {class: 'stages', text: known.map(([name, n]) => `${name} ${bytes(n)}`).join(' · ')}) : null;
}

function clipLine({clip, estimate, plan}) {
    const parts = [`${clip.width} × ${clip.height}`, plural(clip.frames, 'frame'), plural(clip.steps, 'step')];
    if (clip.window_frames)
        parts.push(`windows of ${clip.window_frames}`);
    if (estimate?.s_per_it)
        parts.push(`${seconds(estimate.s_per_it)} a step`);
    if (plan?.weights === 'streamed')
        parts.push('weights streamed');
    return el('p', {class: 'clip-line', text: parts.join(' · ')});
}

function show(report) {
    const {fits, memory, estimate} = report, time = estimate?.total_s;
    const line = `${ofBudget(memory.planned_bytes, memory.budget_bytes)}${time > 0 ? `, about ${seconds(time)}` : ''}`;
    fill($('plan'),
         el('p', {class: fits ? 'plan-line' : 'plan-line over'}, meter(memory.planned_bytes, memory.budget_bytes, fits),
            el('strong', {text: fits ? line : `Does not fit: ${line}`})),
         clipLine(report), fits ? stages(report) : nearest(report.nearest ?? []));
    if (fits !== lastFits)
        announce(fits ? `Fits: ${line}` : `Does not fit: ${line}`);
    lastFits = fits;
    const resolved = {...report.settings, ...report.clip};
    if (JSON.stringify(resolved) !== JSON.stringify(state.resolved)) {
        state.resolved = resolved;
        changed('resolved');
    }
}

/* A bad value is told here while it is typed, in the three lines of every error, and not aloud. */
function showError(e) {
    lastFits = null;
    fill($('plan'), el('div', {class: 'plan-error'}, el('p', {class: 'what', text: e.what}),
                       e.why ? el('p', {text: e.why}) : null, e.hint ? el('p', {class: 'hint', text: e.hint}) : null));
}

export async function replan() {
    asked?.abort();
    const mine = (asked = new AbortController());
    const job = toJob();
    delete job.output;
    $('plan').setAttribute('aria-busy', 'true');
    try {
        show(await post('plan', job, mine.signal));
    } catch (e) {
        if (e.name === 'AbortError')
            return;
        showError(e);
    }
    $('plan').setAttribute('aria-busy', 'false');
}

export function buildPlan() {
    const soon = later(replan, 350);
    onChange((name) => name !== 'resolved' && name !== 'output' && soon());
    fill($('plan'), el('p', {class: 'clip-line', text: 'The memory plan comes here.'}));
    replan();
}
