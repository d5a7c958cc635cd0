/* dom.js - elements, icons, and numbers as people read them; nothing of the application. */

export const $ = (id) => document.getElementById(id);

/* Properties that attributes do not set once an element lives. */
const LIVE = new Set(['value', 'checked', 'disabled', 'selected', 'hidden', 'open', 'muted', 'loop', 'autoplay', 'controls']);

/* An element.  Properties: `text`, `on<event>` functions, live properties, and attributes; false and null are left out.
 * Text goes in as text nodes only: the page makes no markup out of anybody's words. */
export function el(tag, props, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(props ?? {})) {
        if (value === null || value === undefined || (value === false && !LIVE.has(key)))
            continue;
        if (key === 'text')
            node.textContent = value;
        else if (key.startsWith('on'))
            node.addEventListener(key.slice(2), value);
        else if (LIVE.has(key))
            node[key] = value;
        else
            node.setAttribute(key, value === true ? '' : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return node;
}

/* Strokes on a 16 by 16 field. */
const ICONS = {
    close: 'M4 4l8 8M12 4l-8 8',
    reset: 'M3.5 8a4.5 4.5 0 1 0 1.3-3.2M3 2.5v3h3',
    dice: 'M3 3h10v10H3zM6 6h.01M10 10h.01M10 6h.01M6 10h.01',
    plus: 'M8 3.5v9M3.5 8h9',
    play: 'M5 3.5l7 4.5-7 4.5z',
    pause: 'M5.5 3.5v9M10.5 3.5v9',
    back: 'M10 3.5L5 8l5 4.5',
    next: 'M6 3.5L11 8l-5 4.5',
    check: 'M3.5 8.5l3 3 6-7',
};

export function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg'), path = document.createElementNS(space, 'path');
    for (const [key, value] of [['viewBox', '0 0 16 16'], ['class', 'icon'], ['aria-hidden', 'true'], ['focusable', 'false']])
        svg.setAttribute(key, value);
    path.setAttribute('d', ICONS[name]);
    svg.append(path);
    return svg;
}

/* A button that is only an icon has its name in words. */
export const iconButton = (name, label, onclick, more) =>
    el('button', {type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...more}, icon(name));

export const button = (text, onclick, more) => el('button', {type: 'button', class: 'quiet small', text, onclick, ...more});

/* ---- numbers ------------------------------------------------------------------------------------------------------ */

/* The server says null for what it does not know, and some say -1. */
export const known = (n) => typeof n === 'number' && n >= 0;

/* Powers of 1024 under the names that graphics cards are sold by, as --vram takes them: 8G is "8 GB". */
export function bytes(n) {
    if (!known(n))
        return '?';
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let i = 0;
    for (; n >= 1000 && i < units.length - 1; i++)
        n /= 1024;
    return `${i > 1 && n < 99.95 ? n.toFixed(1).replace(/\.0$/, '') : Math.round(n)} ${units[i]}`;
}

export function seconds(s) {
    if (!known(s))
        return '?';
    if (s < 9.95)
        return `${s.toFixed(1).replace(/\.0$/, '')} s`;
    if (s < 99.5)
        return `${Math.round(s)} s`;
    if (s < 3600)
        return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, '0')} s`;
    return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, '0')} min`;
}

export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/* "14:05" today, else "3 Nov 14:05" in the reader's own manner. */
export function clock(unix) {
    const at = new Date(unix * 1000), today = at.toDateString() === new Date().toDateString();
    const time = at.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'});
    return today ? time : `${at.toLocaleDateString([], {day: 'numeric', month: 'short'})} ${time}`;
}

/* ---- saying things ------------------------------------------------------------------------------------------------ */

/* To those who listen rather than look.  The same words twice are said once. */
export function announce(text) {
    $('live').textContent = text;
}

let toastEnds = 0;

/* A word at the edge of the page, read out too. */
export function toast(text) {
    const place = $('toast');
    place.textContent = text;
    place.classList.add('shown');
    clearTimeout(toastEnds);
    toastEnds = setTimeout(() => place.classList.remove('shown'), 5000);
}

/* The three lines of an error: what happened, why, what to try. */
export function errorBox(error, ...more) {
    const {what, why, hint} = error;
    return el('div', {class: 'error', role: 'alert'}, el('p', {class: 'what', text: what || 'Something went wrong'}),
              why ? el('p', {text: why}) : null, hint ? el('p', {class: 'hint', text: hint}) : null, ...more);
}

export function fill(node, ...children) {
    node.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return node;
}

/* Calls `f` once things have been quiet for `ms`. */
export function later(f, ms) {
    let timer = 0;
    return (...args) => {
        clearTimeout(timer);
        timer = setTimeout(() => f(...args), ms);
    };
}

export async function copy(text, said) {
    try {
        await navigator.clipboard.writeText(text);
    } catch { /* no permission, or not a secure context: the older way */
        const area = el('textarea', {value: text, class: 'away', 'aria-hidden': 'true'});
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
    }
    toast(said);
}
