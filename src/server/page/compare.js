/* compare.js - two results side by side: one clock for both, frame by frame, and how their settings differ. */
import {$, announce, button, el, fill, iconButton, icon} from './dom.js';
import {openFrames} from './player.js';
import {settingsOf, valueText} from './results.js';

const pairShown = {}; /* {clips, t, playing, speed, last, bar, label, play} of the open comparison */

const length = () => Math.max(...pairShown.clips.map((c) => c.duration));
const step = () => Math.min(...pairShown.clips.map((c) => c.step || 1));

async function paint() {
    if (!pairShown.clips)
        return;
    const at = await Promise.all(pairShown.clips.map((c) => c.show(c.duration ? pairShown.t % c.duration : 0)));
    pairShown.bar.value = pairShown.t;
    pairShown.label.textContent =
        at.map((n, i) => (n < 0 ? '' : `${'AB'[i]} ${n + 1}/${pairShown.clips[i].frames}`)).filter(Boolean).join('   ');
}

function tick(now) {
    if (!pairShown.clips || !pairShown.playing)
        return;
    pairShown.t = (pairShown.t + ((now - (pairShown.last ?? now)) / 1000) * pairShown.speed) % (length() || 1);
    pairShown.last = now;
    paint();
    requestAnimationFrame(tick);
}

function play(on) {
    pairShown.playing = on;
    pairShown.last = undefined;
    fill(pairShown.play, icon(on ? 'pause' : 'play'));
    pairShown.play.setAttribute('aria-label', on ? 'Pause both' : 'Play both');
    pairShown.clips.forEach((c) => on && c.again?.());
    requestAnimationFrame(tick);
}

function stepBy(way) {
    play(false);
    const n = Math.round(length() / step());
    pairShown.t = ((Math.floor(pairShown.t / step() + 1e-6) + way + n) % n) * step() + 1e-4;
    paint().then(() => announce(pairShown.label.textContent));
}

function controls() {
    const speed =
        el('select', {'aria-label': 'Speed', onchange: () => pairShown.speed = Number(speed.value)},
           ...[['1', 'as made'], ['0.5', 'half'], ['0.25', 'quarter']].map(([value, text]) => el('option', {value, text})));
    Object.assign(pairShown, {
        play: iconButton('pause', 'Pause both', () => play(!pairShown.playing)),
        label: el('span', {class: 'frames-label'}),
        bar: el('input', {
            type: 'range',
            class: 'slider',
            min: 0,
            max: length(),
            step: 0.001,
            value: 0,
            'aria-label': 'Time of both clips',
            oninput: () => {
                play(false);
                pairShown.t = Math.min(Number(pairShown.bar.value), length() - 1e-4);
                paint();
            }
        }),
    });
    return el('div', {class: 'compare-tools'}, iconButton('back', 'A frame back', () => stepBy(-1)), pairShown.play,
              iconButton('next', 'A frame on', () => stepBy(1)), pairShown.bar, pairShown.label, speed);
}

/* Names whose values differ, and how many do not. */
export function differences(a, b) {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    const differ = names.filter((n) => JSON.stringify(a[n]) !== JSON.stringify(b[n]));
    return {differ, same: names.length - differ.length};
}

function table(a, b, names) {
    const {differ, same} = differences(a, b), cell = (job, n) => el('td', {text: n in job ? valueText(job[n]) : '-'});
    if (!differ.length)
        return el('p', {text: `No setting differs; ${same} are the same.`});
    return el(
        'div', {class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Settings that differ'},
        el('table', {}, el('caption', {text: `${same} settings are the same; these differ`}),
           el('thead', {},
              el('tr', {}, el('th', {scope: 'col', text: 'Setting'}),
                 ...names.map((n, i) => el('th', {scope: 'col', text: `${'AB'[i]}: ${n}`})))),
           el('tbody', {}, ...differ.map((n) => el('tr', {}, el('th', {scope: 'row', text: n}), cell(a, n), cell(b, n))))));
}

const noSettings = () => ({});

export async function compareTwo(a, b) {
    const dialog = $('compare-dialog'), both = [a, b];
    fill(dialog, el('h2', {id: 'h-compare', text: 'Two results'}), el('p', {text: 'Reading both clips'}));
    dialog.showModal();
    try {
        const jobs = await Promise.all(both.map((r) => settingsOf(r.name).catch(noSettings)));
        pairShown.clips = await Promise.all(both.map((r, i) => openFrames(r.name, r.url, `Clip ${'AB'[i]}, ${r.name}`, r.fps)));
        Object.assign(pairShown, {t: 0, speed: 1, playing: false});
        const bar = controls();
        fill(dialog,
             el('div', {class: 'block-head'}, el('h2', {id: 'h-compare', text: 'Two results'}),
                button('Close', () => dialog.close())),
             el('div', {class: 'pairwise'},
                ...pairShown.clips.map((c, i) =>
                                           el('figure', {}, c.node, el('figcaption', {text: `${'AB'[i]}: ${both[i].name}`})))),
             bar, table(jobs[0], jobs[1], both.map((r) => r.name)));
        await paint();
        play(!matchMedia('(prefers-reduced-motion: reduce)').matches);
    } catch (e) {
        fill(dialog, el('h2', {id: 'h-compare', text: 'Two results'}),
             el('p', {text: `They cannot be played together: ${e.message}`}), button('Close', () => dialog.close()));
    }
}

export function buildCompare() {
    $('compare-dialog').addEventListener('close', () => {
        pairShown.clips?.forEach((c) => c.close?.());
        pairShown.clips = null;
        pairShown.playing = false;
        $('compare').focus();
    });
    $('compare-dialog').addEventListener('keydown', (e) => {
        const way = {',': -1, '.': 1}[e.key];
        if (way && pairShown.clips && e.target.tagName !== 'SELECT')
            stepBy(way);
    });
}
