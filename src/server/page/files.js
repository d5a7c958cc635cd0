/* files.js - pictures and videos that go to the server: chosen, dropped, shown small. */
import {el, fill, iconButton, toast} from './dom.js';
import {upload} from './api.js';
import {setValue, state, valueOf} from './state.js';

/* The files that the reader chooses, through the browser's own dialogue. */
export function choose(accept, multiple = false) {
    return new Promise((resolve) => {
        const input = el('input', {type: 'file', accept, multiple});
        input.addEventListener('change', () => resolve([...input.files]), {once: true});
        input.addEventListener('cancel', () => resolve([]), {once: true});
        input.click();
    });
}

/* Puts a file into the server's keeping; returns what a job calls it. */
export async function keepFile(file) {
    const kept = await upload(file), name = `upload:${kept.name}`;
    state.files[name] = {label: file.name, url: kept.url, kind: kept.kind};
    return name;
}

/* Where the page finds what a job calls "upload:NAME" or "result:NAME". */
export function urlOf(name) {
    const [, kind, rest] = /^(upload|result):(.*)$/.exec(name) ?? [];
    return kind ? state.files[name]?.url ?? `${kind}s/${encodeURIComponent(rest)}` : null;
}

export const fileLabel = (name) => state.files[name]?.label ?? name.replace(/^(?:upload|result):/, '');

export const isVideo = (name) => /\.(mp4|webm|mkv|avi|mov|y4m)$/i.test(fileLabel(name));

/* A picture in the size of a stamp, or nothing where browsers cannot show it. */
export function thumbnail(name, alt = '') {
    const url = name && urlOf(name);
    return url && !isVideo(name) ? el('img', {class: 'thumb', src: url, alt, draggable: 'false', decoding: 'async'}) : null;
}

export const hasDrag = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');

/* `node` takes files that are dropped on it. */
export function takeDrops(node, taken) {
    node.addEventListener('dragover', (event) => {
        if (!hasDrag(event))
            return;
        event.preventDefault();
        event.stopPropagation();
        node.classList.add('over');
    });
    node.addEventListener('dragleave', () => node.classList.remove('over'));
    node.addEventListener('drop', (event) => {
        if (!hasDrag(event))
            return;
        event.preventDefault();
        event.stopPropagation();
        node.classList.remove('over');
        document.dispatchEvent(new Event('dropped'));
        taken([...event.dataTransfer.files], event);
    });
}

/* A setting that names one file: a name that may be typed, a button, a place to drop. */
export function fileField(o, attributes) {
    const input =
        el('input', {...attributes, type: 'text', spellcheck: 'false', oninput: () => setValue(o.name, input.value.trim())});
    const show = el('span', {class: 'file-show'});
    const take = async ([file]) => {
        try {
            if (file)
                setValue(o.name, await keepFile(file));
        } catch (e) {
            toast([e.what, e.why].filter(Boolean).join(' '));
        }
    };
    const pick = el('button', {
        type: 'button',
        class: 'quiet small',
        text: 'Choose',
        'aria-label': `Choose a file for ${o.name}`,
        onclick: async () => take(await choose(''))
    });
    const node = el('div', {class: 'file'}, show, input, pick);
    takeDrops(node, take);
    const sync = () => {
        const name = valueOf(o.name) ?? '';
        if (input.value.trim() !== name)
            input.value = name;
        input.placeholder = 'none; drop a file here';
        fill(show, thumbnail(name), name && state.files[name] ? el('span', {class: 'file-name', text: fileLabel(name)}) : null);
    };
    return {node, sync};
}

/* The same for one key of a row of a list: `set` is called with the new name. */
export function filePick(label, name, set) {
    const node = el('div', {class: 'file'});
    const draw = () => fill(node, name ? thumbnail(name) : null,
                            el('span', {class: 'file-name', text: name ? fileLabel(name) : 'no file yet'}), el('button', {
                                type: 'button',
                                class: 'quiet small',
                                text: 'Choose',
                                'aria-label': `Choose: ${label}`,
                                onclick: async () => take(await choose('image/*,video/*'))
                            }),
                            name ? iconButton('close', `Take away: ${label}`, () => put('')) : null);
    const put = (value) => {
        name = value;
        set(value);
        draw();
    };
    const take = async ([file]) => {
        try {
            if (file)
                put(await keepFile(file));
        } catch (e) {
            toast([e.what, e.why].filter(Boolean).join(' '));
        }
    };
    takeDrops(node, take);
    draw();
    return node;
}
