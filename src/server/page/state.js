/* state.js - what is to be rendered: values that were set, prompts and pictures on the frames, the format.
 *
 * A value is set or it is not; what is not set is not sent, and the server, the model or the table says what it is.  Texts and
 * numbers are kept as they were typed: the server judges them and says what is wrong in its own words. */
import {fit, fromLines, toLines, travels} from './travel.js';

export const FORMATS = ['webp', 'gif', 'mp4', 'webm', 'png', 'apng', 'y4m'];

export const state = {
    options: [], /* the server's table */
    byName: new Map(),
    defaults: {}, /* what the server was started with */
    models: [],
    values: new Map(), /* name -> text, list of texts, or true/false */
    blocks: [],        /* prompts on the frames: {first, last, ease, text}, see travel.js */
    raw: null,         /* --travel as text, where blocks cannot say it */
    pictures: [],      /* {first, end, file}: `file` is "upload:NAME" or "result:NAME"; `end` keeps to the last frame */
    format: 'webp',
    files: {},    /* "upload:NAME" -> {label, url} */
    resolved: {}, /* settings as the last plan has them: what the model, the motion module and the table say together */
};

const listeners = [];
export const onChange = (f) => listeners.push(f);

/* `name` is that of a setting, "timeline" or "" for everything. */
export function changed(name) {
    keep();
    for (const f of listeners)
        f(name);
}

export function setOptions(options, defaults) {
    state.options = options.map((o) => ({...o, kind: String(o.kind).toLowerCase()}));
    state.byName = new Map(state.options.map((o) => [o.name, o]));
    state.defaults = defaults ?? {};
}

export const option = (name) => state.byName.get(name);

/* What holds where nothing is set, as text; '' where the model says. */
export function standard(o) {
    const value = state.defaults[o.name] ?? o.default;
    return value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);
}

export const valueOf = (name) => state.values.get(name);

/* '' takes a value back, but for a text that the server would otherwise fill in. */
export function setValue(name, value) {
    const o = option(name), empty = value === undefined || value === '' || (Array.isArray(value) && !value.length);
    const back = o.kind === 'text' && standard(o) !== '' ? value === undefined || value === standard(o)
                 : o.kind === 'flag'                     ? String(value) === (standard(o) || 'false')
                                                         : empty;
    if (back)
        state.values.delete(name);
    else
        state.values.set(name, value);
    changed(name);
}

const number = (text) => (text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined);

export function frameCount() {
    const n =
        number(valueOf('frames') ?? '') ?? state.resolved.frames ?? number(option('frames') ? standard(option('frames')) : '');
    return Math.max(1, Math.min(65535, Math.floor(n ?? 16)));
}

/* ---- pictures ----------------------------------------------------------------------------------------------------- */

/* Where pictures lie: those of `fit`. */
export function placedPictures() {
    const frames = frameCount();
    return fit(state.pictures.map((p) => Object.assign(p, p.end ? {first: frames - 1} : {})), frames);
}

function picturesToJob(job) {
    const frames = frameCount();
    for (const {first, file} of placedPictures())
        if (first === 0)
            job.init = file;
        else if (first === frames - 1)
            job['init-last'] = file;
        else
            (job.keyframe ??= []).push(`${first}=${file}`);
}

function picturesFromJob(job) {
    const frames = frameCount(), pictures = [];
    if (job.init)
        pictures.push({first: 0, file: job.init});
    for (const text of [job.keyframe ?? []].flat()) {
        const [, at, file] = /^(-?\d+)=(.*)$/s.exec(text) ?? [];
        if (file)
            pictures.push({first: at < 0 ? frames + Number(at) : Number(at), end: at === '-1', file});
    }
    if (job['init-last'])
        pictures.push({first: frames - 1, end: true, file: job['init-last']});
    return pictures;
}

/* ---- jobs --------------------------------------------------------------------------------------------------------- */

function typed(o, value) {
    if (o.kind === 'int')
        return /^-?\d+$/.test(value) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
    if (o.kind === 'real')
        return number(value) ?? value;
    return value;
}

const stamp = (at) => at.toISOString().replace(/[-:]|\..*/g, '').replace('T', '-');

/* What was set, as a job: the keys and kinds of values that --job takes. */
export function toJob() {
    const job = {};
    for (const o of state.options)
        if (state.values.has(o.name))
            job[o.name] = typed(o, state.values.get(o.name));
    const travel = state.raw ?? toLines(state.blocks, frameCount());
    if (travel)
        job.travel = travel;
    picturesToJob(job);
    if (state.format !== 'webp')
        job.output = [`clip-${stamp(new Date())}.${state.format}`];
    return job;
}

/* What models and motion modules have an opinion on is kept though it is the table's default. */
const OPINIONS =
    new Set(['width', 'height', 'frames', 'fps', 'steps', 'cfg', 'sampler', 'schedule', 'beta', 'norm', 'precision']);
const ELSEWHERE = new Set(['travel', 'init', 'init-last', 'keyframe', 'output']);

function same(o, value) {
    const there = standard(o);
    return o.kind === 'real' || o.kind === 'int' ? there !== '' && Number(there) === Number(value) : there === String(value);
}

function takeValue(name, value) {
    const o = option(name);
    if (value === null || (same(o, value) && !OPINIONS.has(name)))
        return;
    state.values.set(name, Array.isArray(value) ? value.map(String)
                           : o.kind === 'flag'  ? String(value) === 'true'
                                                : String(value));
}

/* A prompt with lines over the frames becomes a head and blocks, where blocks can say it. */
function takeTravel(job) {
    const frames = frameCount(), prompt = valueOf('prompt') ?? '';
    state.raw = null;
    state.blocks = [];
    if (job.travel) {
        const read = fromLines(job.travel, frames);
        state.blocks = read && !read.head ? read.blocks : [];
        state.raw = state.blocks.length ? null : job.travel;
        return;
    }
    const read = travels(prompt) ? fromLines(prompt, frames) : null;
    if (!read)
        return;
    state.blocks = read.blocks;
    state.values.delete('prompt');
    if (read.head)
        state.values.set('prompt', read.head);
}

/* Takes a job in place of what was set; the names of what it has and this page may not set are returned. */
export function fromJob(job) {
    const left = [];
    state.values.clear();
    for (const [name, value] of Object.entries(job))
        if (!option(name))
            left.push(name);
        else if (!ELSEWHERE.has(name))
            takeValue(name, value);
    const file = [job.output ?? []].flat()[0], ending = /\.(\w+)$/.exec(file ?? '')?.[1];
    state.format = FORMATS.includes(ending) ? ending : 'webp';
    takeTravel(job);
    state.pictures = picturesFromJob(job);
    changed('');
    return left;
}

export function clear() {
    const prompt = ['prompt', 'negative'].map((name) => [name, valueOf(name)]).filter(([, value]) => value !== undefined);
    state.values = new Map(prompt);
    Object.assign(state, {blocks: [], raw: null, pictures: [], format: 'webp'});
    changed('');
}

/* ---- over a reload ------------------------------------------------------------------------------------------------ */

const STORE = 'vkanim-settings-1';

function keep() {
    try {
        const {values, blocks, raw, pictures, format, files} = state;
        localStorage.setItem(STORE, JSON.stringify({values: [...values], blocks, raw, pictures, format, files}));
    } catch { /* private windows: the page forgets, that is all */
    }
}

export function recall() {
    try {
        const kept = JSON.parse(localStorage.getItem(STORE) ?? 'null');
        if (!kept)
            return;
        const {values, ...more} = kept;
        Object.assign(state, more, {values: new Map(values.filter(([name]) => option(name)))});
    } catch { /* of another version: begin anew */
    }
}
