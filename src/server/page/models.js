/* models.js - settings whose values are models of the library: one of a kind, or rows of them with weights. */
import {button, el, fill, iconButton} from './dom.js';
import {filePick} from './files.js';
import {setValue, standard, state, valueOf} from './state.js';

const ofKind = (kind) => state.models.filter((m) => !kind || m.kind === kind);

function modelOption(m) {
    const about = [m.variant || m.family, m.problem ? 'damaged' : ''].filter(Boolean).join(', ');
    return el('option', {value: m.name, text: about ? `${m.name} (${about})` : m.name, disabled: Boolean(m.problem)});
}

/* Fills a select; a name that the library does not have stays choosable, since the server may know better. */
function fillSelect(select, first, kind, value, more = []) {
    const models = ofKind(kind), names = new Set([...models.map((m) => m.name), ...more]);
    fill(select, el('option', {value: '', text: first}), ...models.map(modelOption),
         ...more.map((name) => el('option', {value: name, text: name})),
         value && !names.has(value) ? el('option', {value, text: `${value} (not in the library)`}) : null);
    select.value = value;
}

const redraws = []; /* of what shows models */

export function setModels(models) {
    state.models = models;
    for (const redraw of redraws)
        redraw();
}

export function modelSelect(o, attributes, kind) {
    const select = el('select', {...attributes, onchange: () => setValue(o.name, select.value)});
    const there = standard(o), none = {
        model: 'the miniature, which comes with vkanim',
        motion: 'the one that the model names',
        vae: 'the model\'s own',
        vision: 'the one beside the adapter'
    };
    const sync = () => fillSelect(select, there ? `${there} (default)` : none[o.name], kind, valueOf(o.name) ?? '',
                                  o.name === 'motion' ? ['none'] : []);
    redraws.push(sync);
    return {node: select, sync};
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* What a row of a list holds: a kind of model, "NAME:WEIGHT" or "NAME,KEY=VALUE,..." with these keys. */
const LISTS = {
    lora: {kind: 'lora', one: 'LoRA', add: 'Add a LoRA', weights: true},
    'motion-lora': {kind: 'motion-lora', one: 'MotionLoRA', add: 'Add a MotionLoRA', weights: true},
    embedding: {kind: 'embedding', one: 'Embedding', add: 'Add an embedding'},
    control: {
        kind: 'controlnet',
        one: 'Control',
        add: 'Add a control',
        picture: 'source',
        texts: ['weight', 'start', 'end'],
        choices: {process: ['none', 'canny', 'lineart', 'soft-edge', 'tile', 'invert'], mode: ['balanced', 'prompt', 'control']}
    },
    'ip-adapter': {
        kind: 'ip-adapter',
        one: 'Image prompt',
        add: 'Add an image prompt',
        picture: 'image',
        texts: ['weight', 'start', 'end']
    },
};

function readItem(list, text) {
    if (list.picture) {
        const [name, ...pairs] = text.split(',');
        return {name, keys: Object.fromEntries(pairs.map((p) => [p.split('=')[0], p.slice(p.indexOf('=') + 1)]))};
    }
    const [name, weight = '', encoder = ''] = list.weights ? text.split(':') : [text];
    return {name, weight, encoder, keys: {}};
}

function writeItem(list, item) {
    if (list.picture)
        return [item.name, ...Object.entries(item.keys).filter(([, v]) => v !== '').map(([k, v]) => `${k}=${v}`)].join(',');
    if (!list.weights || (item.weight === '' && !item.encoder))
        return item.name;
    return `${item.name}:${item.weight || 1}${item.encoder ? `:${item.encoder}` : ''}`;
}

function weightFields(item, label, put) {
    const slider = el('input', {
        type: 'range',
        class: 'slider',
        min: -1,
        max: 2,
        step: 0.05,
        value: item.weight || 1,
        'aria-label': `Weight of ${label}, slider`
    });
    const text = el('input', {
        type: 'text',
        class: 'narrow',
        inputmode: 'decimal',
        value: item.weight,
        placeholder: '1',
        'aria-label': `Weight of ${label}`,
        autocomplete: 'off'
    });
    slider.addEventListener('input', () => put(item.weight = text.value = slider.value));
    text.addEventListener('input', () => {
        item.weight = text.value.trim();
        slider.value = item.weight || 1;
        put();
    });
    return el('div', {class: 'pair'}, slider, text);
}

function keyFields(list, item, label, put) {
    const texts = (list.texts ?? []).map((key) => el('label', {class: 'key'}, key, el('input', {
                                                         type: 'text',
                                                         class: 'narrow',
                                                         value: item.keys[key] ?? '',
                                                         'aria-label': `${label}: ${key}`,
                                                         placeholder: {weight: '1', start: '0', end: '1'}[key],
                                                         oninput: (e) => put(item.keys[key] = e.target.value.trim())
                                                     })));
    const choices = Object.entries(list.choices ?? {}).map(([key, names]) => {
        const select = el('select', {'aria-label': `${label}: ${key}`, onchange: () => put(item.keys[key] = select.value)},
                          el('option', {value: '', text: '(default)'}), ...names.map((n) => el('option', {value: n, text: n})));
        select.value = item.keys[key] ?? '';
        return el('label', {class: 'key'}, key, select);
    });
    return el('div', {class: 'keys'}, ...texts, ...choices);
}

/* Words that a model was trained on; a press puts one behind the prompt. */
function triggersOf(name) {
    const words = state.models.find((m) => m.name === name)?.triggers ?? [];
    return words.length
               ? el('p', {class: 'triggers'}, 'Trigger words: ',
                    ...words.slice(0, 6).map((word) => button(word,
                                                              () => {
                                                                  const prompt = valueOf('prompt') ?? '';
                                                                  if (!prompt.includes(word))
                                                                      setValue('prompt', prompt ? `${prompt}, ${word}` : word);
                                                              },
                                                              {'aria-label': `Put "${word}" into the prompt`})))
               : null;
}

export function listRows(o, id) {
    const list = LISTS[o.name],
          node = el('div', {class: 'rows', role: 'group', 'aria-labelledby': `${id}-label`, 'aria-describedby': `${id}-help`});
    const body = el('ul', {class: 'plain'}), add = button(list.add, () => append(), {id});
    let items = [];
    const texts = () => items.filter((i) => i.name).map((i) => writeItem(list, i));
    const put = () => setValue(o.name, texts());
    const drawItem = (item, at) => {
        const label = `${list.one} ${at + 1}`, triggers = el('div', {class: 'triggers-place'});
        const select = el('select', {
            'aria-label': label,
            onchange: () => {
                item.name = select.value;
                fill(triggers, triggersOf(item.name));
                put();
            }
        });
        fillSelect(select, 'choose', list.kind, item.name);
        fill(triggers, triggersOf(item.name));
        return el('li', {class: 'model-row'},
                  el('div', {class: 'model-line'}, select, iconButton('close', `Take away ${label}`, () => takeAway(at))),
                  list.weights ? weightFields(item, label, put) : null,
                  list.picture ? filePick(`${list.picture} of ${label}`, item.keys[list.picture] ?? '',
                                          (name) => put(item.keys[list.picture] = name))
                               : null,
                  list.picture ? keyFields(list, item, label, put) : null, triggers);
    };
    const draw = () => fill(body, ...items.map(drawItem));
    const append = () => {
        items.push({name: '', weight: '', encoder: '', keys: {}});
        draw();
        body.lastElementChild.querySelector('select').focus();
    };
    const takeAway = (at) => {
        items.splice(at, 1);
        draw();
        put();
        add.focus();
    };
    /* Only what came from elsewhere is drawn anew: the row that is being worked on stays. */
    const sync = () => {
        const there = valueOf(o.name) ?? [];
        if (JSON.stringify(there) !== JSON.stringify(texts())) {
            items = there.map((text) => readItem(list, text));
            draw();
        }
    };
    redraws.push(draw);
    node.append(body, add);
    return {node, sync};
}
