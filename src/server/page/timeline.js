/* timeline.js - the frames of the clip: prompts as blocks, pictures as stamps, a ruler, and an editor of what is selected.
 *
 * Each block and stamp is a slider over the frames: arrows move it, Home and End go to the ends, Delete takes it away, Enter
 * goes to its editor; mouse and fingers drag it.  Where things come to lie is travel.js's `fit`. */
import {$, announce, el, fill, iconButton, toast} from './dom.js';
import {EASES, fit, fromLines, toLines} from './travel.js';
import {changed, frameCount, onChange, placedPictures, state} from './state.js';
import {choose, fileLabel, keepFile, takeDrops, thumbnail} from './files.js';

let selected = null; /* a block or a picture of the state */
const nodes = new WeakMap();
const isPicture = (item) => 'file' in item;
const touched = () => changed('timeline');

const parts = {};

const AS_TEXT = 'Lines FRAME: TEXT, or JSON, as --travel takes them. The prompt stands in front of every text.';

/* ---- the ruler ---------------------------------------------------------------------------------------------------- */

/* A number every 1, 2, 5, 10 ... frames, so that they do not touch. */
function drawRuler(frames) {
    const most = Math.max(2, Math.floor((parts.ruler.clientWidth || 600) / 44));
    const step = [1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200, 500, 1000, 5000].find((s) => frames / s <= most) ?? 10000;
    const marks = [];
    for (let f = 0; f < frames; f += step) {
        const mark = el('span', {class: 'mark', text: String(f)});
        mark.style.left = `${(f / frames) * 100}%`;
        marks.push(mark);
    }
    fill(parts.ruler, ...marks);
}

/* ---- blocks and stamps -------------------------------------------------------------------------------------------- */

function frameAt(lane, x) {
    const box = lane.getBoundingClientRect(), frames = frameCount();
    return Math.max(0, Math.min(frames - 1, Math.floor(((x - box.left) / box.width) * frames)));
}

function moveTo(item, first) {
    const length = (item.last ?? item.first) - item.first, most = frameCount() - 1;
    item.first = Math.max(0, Math.min(most, first));
    if (isPicture(item))
        item.end = false;
    else
        item.last = Math.min(most, item.first + length);
    touched();
}

function removeItem(item) {
    const list = isPicture(item) ? state.pictures : state.blocks;
    list.splice(list.indexOf(item), 1);
    const next = list[Math.min(list.length - 1, 0)];
    select(null);
    touched();
    (next ? nodes.get(next) : $(isPicture(item) ? 'add-picture' : 'add-block')).focus();
    announce(isPicture(item) ? 'Picture taken away' : 'Prompt taken away');
}

function onKey(event, item) {
    const far = event.shiftKey ? 4 : 1, most = frameCount() - 1;
    const to = {
        ArrowLeft: item.first - far,
        ArrowDown: item.first - far,
        ArrowRight: item.first + far,
        ArrowUp: item.first + far,
        Home: 0,
        End: most
    }[event.key];
    if (to !== undefined)
        moveTo(item, to);
    else if (event.key === 'Delete' || event.key === 'Backspace')
        removeItem(item);
    else if (event.key === 'Enter' || event.key === ' ') {
        select(item);
        parts.editor.querySelector('textarea, input')?.focus();
    } else
        return;
    event.preventDefault();
}

/* Dragging: the whole block moves it, its grip makes it hold longer. */
function onPress(event, item, lane) {
    if (event.button !== 0)
        return;
    const node = nodes.get(item), grip = event.target.classList.contains('grip');
    const from = event.clientX, first = item.first, last = item.last ?? first, frames = frameCount();
    const move = (e) => {
        const by = Math.round(((e.clientX - from) / lane.getBoundingClientRect().width) * frames);
        if (grip && item.last !== Math.max(first, Math.min(frames - 1, last + by))) {
            item.last = Math.max(first, Math.min(frames - 1, last + by));
            touched();
        } else if (!grip && item.first !== Math.max(0, Math.min(frames - 1, first + by)))
            moveTo(item, first + by);
    };
    const end = () => {
        node.removeEventListener('pointermove', move);
        node.classList.remove('moving');
        draw();
    };
    node.setPointerCapture(event.pointerId);
    node.classList.add('moving');
    node.addEventListener('pointermove', move);
    node.addEventListener('pointerup', end, {once: true});
    node.addEventListener('pointercancel', end, {once: true});
    select(item);
}

function nodeOf(item, lane) {
    if (nodes.has(item))
        return nodes.get(item);
    const node = el('div', {
        class: isPicture(item) ? 'stamp' : 'piece',
        role: 'slider',
        tabindex: 0,
        'aria-orientation': 'horizontal',
        onfocus: () => select(item),
        onkeydown: (e) => onKey(e, item),
        onpointerdown: (e) => onPress(e, item, lane)
    });
    if (isPicture(item))
        node.append(thumbnail(item.file) ?? el('span', {class: 'thumb'}));
    else
        node.append(el('span', {class: 'held'}, el('span', {class: 'grip', title: 'Hold longer'})),
                    el('span', {class: 'words'}));
    nodes.set(item, node);
    return node;
}

function tell(node, item, place, at) {
    const name = isPicture(item) ? `Picture ${at + 1}` : `Prompt ${at + 1}`, frames = frameCount();
    const where = place.last > place.first ? `frames ${place.first} to ${place.last}` : `frame ${place.first}`;
    node.setAttribute('aria-label', name);
    node.setAttribute('aria-valuemin', 0);
    node.setAttribute('aria-valuemax', frames - 1);
    node.setAttribute('aria-valuenow', place.first);
    node.setAttribute('aria-valuetext', `${where}: ${isPicture(item) ? fileLabel(item.file) : item.text || 'nothing yet'}`);
    node.classList.toggle('chosen', item === selected);
}

function placeBlock(node, place, next, frames) {
    const share = (n) => `${(n / frames) * 100}%`, end = next ? next.first : frames;
    node.style.left = share(place.first);
    node.style.width = share(end - place.first);
    node.firstChild.style.width = `${((place.last - place.first + 1) / (end - place.first)) * 100}%`;
    node.lastChild.textContent = place.of.text || 'nothing yet';
    node.classList.toggle('empty', !place.of.text);
}

/* Puts `places` into a lane.  Elements stay where they are while something is dragged or has the focus. */
function drawLane(lane, places, put) {
    const wanted = places.map((p) => nodeOf(p.of, lane)), now = [...lane.querySelectorAll('[role=slider]')];
    const kept = now.length === wanted.length && wanted.every((n) => now.includes(n));
    if (!kept || (!lane.querySelector('.moving') && wanted.some((n, i) => n !== now[i]))) {
        const focus = lane.contains(document.activeElement) ? document.activeElement : null;
        now.forEach((n) => n.remove());
        lane.append(...wanted);
        focus?.isConnected && focus.focus({preventScroll: true});
    }
    places.forEach((p, i) => {
        tell(wanted[i], p.of, p, i);
        put(wanted[i], p, places[i + 1]);
    });
    lane.classList.toggle('bare', !places.length);
}

function draw() {
    const frames = frameCount();
    drawRuler(frames);
    for (const lane of [parts.prompts, parts.pictures])
        lane.style.setProperty('--frames', frames);
    drawLane(parts.prompts, fit(state.blocks, frames), (node, place, next) => placeBlock(node, place, next, frames));
    drawLane(
        parts.pictures, placedPictures(),
        (node, place) => { node.style.left = `clamp(20px, ${((place.first + 0.5) / frames) * 100}%, calc(100% - 20px))`; });
    parts.prompts.hidden = state.raw !== null;
    const text = state.raw ?? toLines(state.blocks, frames);
    if (document.activeElement !== parts.text)
        parts.text.value = text;
    drawEditor();
}

/* ---- the editor --------------------------------------------------------------------------------------------------- */

function frameField(label, get, set) {
    const input = el('input', {
        type: 'text',
        class: 'narrow',
        inputmode: 'numeric',
        value: String(get()),
        autocomplete: 'off',
        oninput: () => {
            if (/^\d+$/.test(input.value))
                set(Math.min(frameCount() - 1, Number(input.value)));
        }
    });
    input.sync = () => {
        if (document.activeElement !== input)
            input.value = String(get());
    };
    return el('label', {class: 'key'}, label, input);
}

function blockEditor(item) {
    const text = el('textarea', {
        rows: 2,
        'aria-label': 'What these frames show',
        placeholder: 'What these frames show',
        oninput: () => {
            item.text = text.value;
            touched();
        }
    });
    const ease = el('select', {
        onchange: () => {
            item.ease = ease.value;
            touched();
        }
    },
                    el('option', {value: '', text: 'as --travel-ease says'}),
                    ...EASES.map((name) => el('option', {value: name, text: name})));
    text.value = item.text;
    ease.value = item.ease;
    return el('div', {class: 'editor-body'}, text,
              el('div', {class: 'keys'}, frameField('From frame', () => item.first, (f) => moveTo(item, f)),
                 frameField('to frame', () => item.last ?? item.first,
                            (f) => {
                                item.last = Math.max(item.first, f);
                                touched();
                            }),
                 el('label', {class: 'key'}, 'Way to the next', ease),
                 iconButton('close', 'Take this prompt away', () => removeItem(item))));
}

function pictureEditor(item) {
    const end = el('input', {
        type: 'checkbox',
        checked: Boolean(item.end),
        onchange: () => {
            item.end = end.checked;
            touched();
        }
    });
    return el('div', {class: 'editor-body with-picture'}, thumbnail(item.file, 'The chosen picture'),
              el('div', {class: 'keys'}, el('span', {class: 'file-name', text: fileLabel(item.file)}),
                 frameField('Frame', () => item.first, (f) => moveTo(item, f)),
                 el('label', {class: 'only'}, end, ' Keep to the last frame'),
                 iconButton('close', 'Take this picture away', () => removeItem(item))));
}

let edited = null;

function drawEditor() {
    if (selected && ![...state.blocks, ...state.pictures].includes(selected))
        selected = null;
    if (edited !== selected || !selected) {
        edited = selected;
        fill(parts.editor, !selected ? null : isPicture(selected) ? pictureEditor(selected) : blockEditor(selected));
    }
    for (const input of parts.editor.querySelectorAll('input.narrow'))
        input.sync?.();
}

function select(item) {
    if (selected === item)
        return;
    selected = item;
    for (const node of parts.body.querySelectorAll('.chosen'))
        node.classList.remove('chosen');
    if (item)
        nodes.get(item)?.classList.add('chosen');
    drawEditor();
}

/* ---- adding ------------------------------------------------------------------------------------------------------- */

/* The middle of what is free behind the last block, or of the widest gap. */
function freeFrame(places, frames) {
    let best = {at: 0, room: -1}, from = 0;
    for (const p of [...places, {first: frames, last: frames}]) {
        if (p.first - from > best.room)
            best = {at: from === 0 ? 0 : Math.floor((from + p.first) / 2), room: p.first - from};
        from = p.last + 1;
    }
    return Math.min(frames - 1, best.at);
}

export function addBlock(first) {
    const frames = frameCount(), places = fit(state.blocks, frames);
    if (places.length >= frames) {
        toast('Every frame has a prompt already.');
        return;
    }
    const block = {first: first ?? freeFrame(places, frames), ease: '', text: ''};
    block.last = block.first;
    state.blocks.push(block);
    state.raw = null;
    touched();
    select(block);
    parts.editor.querySelector('textarea').focus();
}

export async function addPictures(files, first) {
    for (const file of files) {
        try {
            const name = await keepFile(file), frames = frameCount(), places = placedPictures();
            const at = first ?? (places.length ? freeFrame(places, frames) : 0);
            const picture = {first: at, end: at === frames - 1 && frames > 1, file: name};
            state.pictures.push(picture);
            touched();
            select(picture);
            announce(`${file.name} is at frame ${at}`);
        } catch (e) {
            toast([e.what, e.why].filter(Boolean).join(' '));
        }
    }
}

function takeText() {
    const text = parts.text.value, read = fromLines(text, frameCount()), blocks = read && !read.head ? read.blocks : null;
    state.blocks = blocks ?? [];
    state.raw = blocks || !text.trim() ? null : text;
    touched();
}

export function buildTimeline() {
    Object.assign(parts, {
        body: $('timeline-body'),
        ruler: el('div', {class: 'ruler', 'aria-hidden': 'true'}),
        prompts: el('div', {
            class: 'lane prompts',
            role: 'group',
            'aria-label': 'Prompts over the frames',
            'data-bare': 'One prompt for all frames. Click here, or press Add prompt, for more.'
        }),
        pictures: el('div', {
            class: 'lane pictures',
            role: 'group',
            'aria-label': 'Pictures of frames',
            'data-bare': 'Drop pictures here: first, last or any frame.'
        }),
        editor: el('div', {class: 'editor'}),
        text: el('textarea',
                 {id: 'travel-text', rows: 3, spellcheck: 'false', 'aria-describedby': 'travel-text-help', onchange: takeText}),
    });
    fill(parts.body, parts.ruler, parts.prompts, parts.pictures, parts.editor,
         el('details', {class: 'as-text'}, el('summary', {text: 'Prompts as text'}),
            el('label', {class: 'away', for: 'travel-text', text: 'Prompts over the frames, as text'}), parts.text,
            el('p', {class: 'help', id: 'travel-text-help', text: AS_TEXT})));
        parts.prompts.addEventListener('dblclick',
                                       (e) => e.target !== parts.prompts && addBlock(frameAt(parts.prompts, e.clientX)));
        parts.prompts.addEventListener('click',
                                       (e) => e.target === parts.prompts && addBlock(frameAt(parts.prompts, e.clientX)));
        $('add-block').addEventListener('click', () => addBlock());
        $('add-picture').addEventListener('click', async () => addPictures(await choose('image/*', true)));
        takeDrops($('timeline'), (files, event) => addPictures(files, frameAt(parts.pictures, event.clientX)));
        new ResizeObserver(() => drawRuler(frameCount())).observe(parts.ruler);
        onChange((name) => ['', 'timeline', 'frames', 'resolved'].includes(name) && draw());
        draw();
}
