/* fields.js - a setting as a row: name, control, reset, and its sentence of help.
 *
 * An empty control is a setting that is not set; what holds then stands in it in grey. */
import {el, fill, icon, iconButton} from './dom.js';
import {FORMATS, option, setValue, standard, state, valueOf, changed, onChange} from './state.js';
import {listRows, modelSelect} from './models.js';
import {fileField} from './files.js';

const LABELS = {
    cfg: 'Guidance scale',
    fps: 'Frames per second',
    vae: 'VAE',
    motion: 'Motion module',
    lora: 'LoRAs',
    rng: 'Random numbers',
    'motion-lora': 'MotionLoRAs',
    'lora-frames': 'LoRA weights over the frames',
    embedding: 'Embeddings',
    output: 'Format',
    'ip-adapter': 'Image prompts (IP-Adapter)',
    control: 'Controls (ControlNet)',
    pag: 'Perturbed-attention guidance',
    init: 'First picture',
    'init-last': 'Last picture',
    keyframe: 'Pictures of frames',
    'init-video': 'Video to begin from',
    travel: 'Prompts over the frames',
    negative: 'Negative prompt',
    'cfg-frames': 'Guidance over the frames',
    'cfg-schedule': 'Guidance over the steps',
    'cfg-rescale': 'Guidance rescale',
    hires: 'Second, larger pass',
    colors: 'Colours of a GIF',
    freeinit: 'FreeInit rounds',
};

export function labelOf(name) {
    return LABELS[name] ?? (name[0].toUpperCase() + name.slice(1))
                               .replaceAll('-', ' ')
                               .replace('Freeinit', 'FreeInit')
                               .replace('Freenoise', 'FreeNoise')
                               .replace('Hires', 'Larger pass:')
                               .replace('fps', 'frames per second');
}

/* Ranges that are worth a slider, narrower than what is allowed: least, most, step. */
const SLIDERS = {
    steps: [1, 50, 1],
    cfg: [1, 15, 0.5],
    strength: [0, 1, 0.05],
    hold: [0, 1, 0.05],
    frames: [1, 64, 1],
    fps: [1, 30, 1],
    'subseed-strength': [0, 1, 0.05],
    'cfg-rescale': [0, 1, 0.05],
    pag: [0, 6, 0.25],
    'clip-skip': [1, 4, 1],
    quality: [0, 100, 1],
    interpolate: [1, 8, 1],
};

/* ---- controls: each returns {node, sync} and has the id that the label names -------------------------------------- */

const common = (o, id) => ({id, 'aria-describedby': `${id}-help`, name: o.name, autocomplete: 'off'});

/* What holds where nothing is set: the last plan knows what the model says. */
const DRAWN = new Set(['seed', 'subseed']);
function grey(o) {
    if (DRAWN.has(o.name) && standard(o) === '-1')
        return 'drawn anew';
    const there = String((!DRAWN.has(o.name) && state.resolved[o.name]) || '') || standard(o);
    return there || o.kind === 'size' || o.kind === 'text' ? there : 'auto';
}

function numberControl(o, id) {
    const range = SLIDERS[o.name], shown = () => valueOf(o.name) ?? '';
    const input = el('input', {
        ...common(o, id),
        type: 'text',
        inputmode: o.least < 0        ? 'text'
                   : o.kind === 'int' ? 'numeric'
                                      : 'decimal',
        spellcheck: 'false',
        oninput: () => setValue(o.name, input.value.trim()),
        onkeydown: (event) => countBy(event, o, input)
    });
    const slider = range && el('input', {
                       type: 'range',
                       class: 'slider',
                       min: range[0],
                       max: range[1],
                       step: range[2],
                       'aria-label': `${labelOf(o.name)}, slider`,
                       'aria-describedby': `${id}-help`,
                       oninput: () => setValue(o.name, slider.value)
                   });
    const sync = () => {
        if (input.value.trim() !== shown())
            input.value = shown();
        input.placeholder = grey(o);
        if (slider)
            slider.value = shown() || grey(o);
    };
    return {node: el('div', {class: slider ? 'pair' : 'single'}, slider, input, o.name === 'seed' ? seedTools() : null), sync};
}

/* Arrows count up and down within the range, as they do in fields of numbers; the text stays free. */
function countBy(event, o, input) {
    const way = {ArrowUp: 1, ArrowDown: -1}[event.key], step = SLIDERS[o.name]?.[2] ?? 1;
    const from = Number(input.value || input.placeholder);
    if (!way || !Number.isSafeInteger(Math.round(from)) || o.kind === 'size')
        return;
    event.preventDefault();
    const next = Math.min(o.most, Math.max(o.least, from + way * (o.name === 'width' || o.name === 'height' ? 8 : step)));
    setValue(o.name, String(Number(next.toFixed(4))));
}

function seedTools() {
    return el(
        'span', {class: 'tools'},
        iconButton('dice', 'Draw a seed now', () => setValue('seed', String(crypto.getRandomValues(new Uint32Array(1))[0]))));
}

function choiceControl(o, id) {
    const first = el('option', {value: ''});
    const select = el('select', {...common(o, id), onchange: () => setValue(o.name, select.value)}, first,
                      ...(o.choices ?? []).map((name) => el('option', {value: name, text: name})));
    const sync = () => {
        const there = (valueOf(o.name) === undefined && state.resolved[o.name]) || standard(o);
        select.value = valueOf(o.name) ?? '';
        if (!select.value)
            first.textContent = there ? `${there} (default)` : 'as the model or device has it';
    };
    return {node: select, sync};
}

function flagControl(o, id) {
    const box =
        el('input', {...common(o, id), type: 'checkbox', class: 'switch', onchange: () => setValue(o.name, box.checked)});
    const sync = () => { box.checked = String(valueOf(o.name) ?? standard(o)) === 'true'; };
    return {node: box, sync};
}

function textControl(o, id) {
    const input =
        el('input', {...common(o, id), type: 'text', spellcheck: 'false', oninput: () => setValue(o.name, input.value)});
    const sync = () => {
        const shown = valueOf(o.name) ?? (o.kind === 'text' ? standard(o) : '');
        if (input.value !== shown)
            input.value = shown;
        input.placeholder = o.value ?? '';
    };
    return {node: input, sync};
}

/* Prompts grow with what is in them. */
function proseControl(o, id) {
    const area = el('textarea', {
        ...common(o, id),
        rows: o.name === 'prompt' ? 4 : 2,
        spellcheck: 'true',
        oninput: () => {
            setValue(o.name, area.value);
            grow();
        }
    });
    const grow = () => {
        area.style.height = 'auto';
        area.style.height = `${Math.min(area.scrollHeight + 2, 360)}px`;
    };
    const sync = () => {
        const shown = valueOf(o.name) ?? standard(o);
        if (area.value !== shown)
            area.value = shown;
        area.placeholder = o.name === 'prompt' ? 'What the animation shows' : 'What it should not show';
        grow();
    };
    return {node: area, sync};
}

function linesControl(o, id) {
    const area = el('textarea', {
        ...common(o, id),
        rows: 2,
        spellcheck: 'false',
        placeholder: `${o.value}, one on each line`,
        oninput: () => setValue(o.name, area.value.split('\n').filter((line) => line.trim()))
    });
    const sync = () => {
        const shown = (valueOf(o.name) ?? []).join('\n');
        if (area.value.split('\n').filter((line) => line.trim()).join('\n') !== shown)
            area.value = shown;
    };
    return {node: area, sync};
}

function formatControl(o, id) {
    const select = el('select', {
        ...common(o, id),
        onchange: () => {
            state.format = select.value;
            changed('output');
        }
    },
                      ...FORMATS.map((name) => el('option', {value: name, text: name === 'webp' ? 'webp (default)' : name})));
    const sync = () => { select.value = state.format; };
    return {node: select, sync};
}

/* Pictures and prompts of frames are on the timeline. */
function timelineControl(o, id) {
    const go = el('button', {
        type: 'button',
        class: 'quiet small',
        id,
        text: 'Go to the frames',
        'aria-describedby': `${id}-help`,
        'aria-label': `${labelOf(o.name)}: go to the frames`,
        onclick: () => {
            document.getElementById('timeline').scrollIntoView();
            document.getElementById(o.name === 'travel' ? 'add-block' : 'add-picture').focus();
        }
    });
    return {node: go, sync: () => {}};
}

const PICTURES = new Set(['init-video', 'mask']);
const TIMELINE = new Set(['init', 'init-last', 'keyframe', 'travel']);
const KINDS_OF_MODELS = {
    model: 'checkpoint',
    motion: 'motion-module',
    vae: 'vae',
    vision: 'vision'
};
const ROWS = new Set(['lora', 'motion-lora', 'embedding', 'control', 'ip-adapter']);

function controlFor(o, id) {
    if (KINDS_OF_MODELS[o.name])
        return modelSelect(o, {...common(o, id)}, KINDS_OF_MODELS[o.name]);
    if (ROWS.has(o.name))
        return listRows(o, id);
    if (TIMELINE.has(o.name))
        return timelineControl(o, id);
    if (o.name === 'output')
        return formatControl(o, id);
    if (o.name === 'prompt' || o.name === 'negative')
        return proseControl(o, id);
    if (PICTURES.has(o.name) || (o.files && o.kind === 'path'))
        return fileField(o, common(o, id));
    const kinds = {
        int: numberControl,
        real: numberControl,
        size: numberControl,
        choice: choiceControl,
        flag: flagControl,
        list: linesControl
    };
    return (o.choices?.length ? choiceControl : kinds[o.kind] ?? textControl)(o, id);
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* name -> {node, sync, words}; every setting has one row, wherever it stands. */
export const rows = new Map();

export function isSet(name) {
    if (name === 'output')
        return state.format !== 'webp';
    if (name === 'travel')
        return state.raw !== null || state.blocks.length > 0;
    if (name === 'init' || name === 'init-last' || name === 'keyframe')
        return false; /* counted once, with the pictures themselves */
    return state.values.has(name);
}

function resetRow(name) {
    if (name === 'output')
        state.format = 'webp';
    else if (name === 'travel')
        Object.assign(state, {raw: null, blocks: []});
    else
        state.values.delete(name);
    changed(name === 'travel' ? 'timeline' : name);
    document.getElementById(`f-${name}`)?.focus();
}

export function row(name) {
    const o = option(name), id = `f-${name}`;
    if (!o)
        return null;
    const {node: control, sync} = controlFor(o, id), label = labelOf(name), group = control.getAttribute('role') === 'group';
    const reset = el('button', {
        type: 'button',
        class: 'reset',
        'aria-label': `Reset ${label}`,
        title: 'Reset',
        hidden: true,
        onclick: () => resetRow(name)
    },
                     icon('reset'));
    const caption = group ? el('span', {class: 'label', id: `${id}-label`, text: label})
                          : el('label', {class: 'label', for: id, text: label});
        const node = el('div', {class: `field field-${o.kind}`, 'data-name': name},
                        el('div', {class: 'field-head'}, caption, reset, el('code', {class: 'long', text: `--${name}`})),
                        control, el('p', {class: 'help', id: `${id}-help`, text: o.help}));
        const refresh = () => {
            sync();
            const set = isSet(name);
            node.classList.toggle('set', set);
            reset.hidden = !set;
        };
        rows.set(name, {node, sync: refresh, words: [name, label, o.help, ...(o.choices ?? [])].join(' ').toLowerCase()});
        refresh();
        return node;
}

export function syncRows(name) {
        for (const [key, entry] of rows)
            if (!name || name === 'resolved' || name === key || (name === 'timeline' && TIMELINE.has(key)))
                entry.sync();
}

onChange(syncRows);

/* ---- where they stand --------------------------------------------------------------------------------------------- */

const PROMPT = ['prompt', 'negative'], MODELS = ['model', 'motion', 'lora', 'motion-lora'];
const BASICS = ['width', 'height', 'frames', 'fps', 'steps', 'cfg', 'sampler', 'schedule', 'seed', 'output'];

function groupOf(title, options) {
        const count = el('span', {class: 'count'});
        const node = el('details', {class: 'group'}, el('summary', {}, el('span', {text: title}), count),
                        el('div', {class: 'group-body'}, ...options.map((o) => row(o.name))));
        return {node, count, names: options.map((o) => o.name)};
}

let groups = [];

/* Fills the form.  Groups and their order are the table's. */
export function buildRows(places) {
        const first = new Set([...PROMPT, ...MODELS, ...BASICS]), byGroup = new Map();
        fill(places.prompt, ...PROMPT.map(row));
        fill(places.models, ...MODELS.map(row));
        fill(places.basics, ...BASICS.map(row));
        for (const o of state.options)
            if (!first.has(o.name))
                byGroup.set(o.group, [...(byGroup.get(o.group) ?? []), o]);
        groups = [...byGroup].map(([title, options]) => groupOf(title, options));
        fill(places.groups, ...groups.map((g) => g.node));
}

/* Shows what has all words of `query`, opens the groups that have any; returns how many settings are shown. */
export function search(query, onlySet) {
        const wanted = query.toLowerCase().replace(/^--/, '').split(/\s+/).filter(Boolean);
        let shown = 0;
        for (const [name, entry] of rows) {
            const hit = wanted.every((word) => entry.words.includes(word)) && (!onlySet || isSet(name));
            entry.node.hidden = !hit;
            shown += hit;
        }
        for (const {node, names} of groups) {
            const hits = names.filter((name) => !rows.get(name).node.hidden).length;
            node.hidden = !hits;
            node.open = wanted.length || onlySet ? hits > 0 : node.open;
        }
        return shown;
}

/* How many settings are set, by group and in all. */
export function countSet() {
        for (const {count, names} of groups) {
            const n = names.filter(isSet).length;
            count.textContent = n ? `${n} changed` : '';
        }
        return [...rows.keys()].filter(isSet).length + (state.pictures.length ? 1 : 0);
}
