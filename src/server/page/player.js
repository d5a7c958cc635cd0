/* player.js - clips on the page: moving or held still, and frame by frame for comparison.
 *
 * Browsers play an animated picture as they like.  Where they have ImageDecoder its frames are drawn on a canvas by a clock of
 * our own; where not, comparison falls back to beginning both anew at once. */
import {el, fill} from './dom.js';

const VIDEO = /\.(mp4|webm)$/i, PICTURE = /\.(webp|gif|png|apng)$/i;

export const isShown = (name) => VIDEO.test(name) || PICTURE.test(name);

/* ---- moving or still ---------------------------------------------------------------------------------------------- */

const calm = matchMedia('(prefers-reduced-motion: reduce)');
let still = calm.matches;
const shown = new Set(); /* weak enough: those that left the page are dropped when stillness changes */

export const isStill = () => still;

export function setStill(on) {
    still = on;
    for (const clip of shown)
        if (clip.isConnected)
            drawClip(clip);
        else
            shown.delete(clip);
}

async function firstFrame(url, canvas) {
    try {
        const picture = await createImageBitmap(await (await fetch(url)).blob());
        canvas.width = picture.width;
        canvas.height = picture.height;
        canvas.getContext('2d').drawImage(picture, 0, 0);
    } catch { /* a file that has gone: the card says its name */
    }
}

function drawClip(clip) {
    const {url, alt} = clip.shows;
    if (VIDEO.test(url)) {
        const video = el(
            'video',
            {src: url, muted: true, loop: true, autoplay: !still, playsinline: true, 'aria-label': alt, preload: 'metadata'});
        fill(clip, video);
        return;
    }
    if (!still) {
        fill(clip, el('img', {src: url, alt, loading: 'lazy', decoding: 'async'}));
        return;
    }
    const canvas = el('canvas', {role: 'img', 'aria-label': alt, width: 1, height: 1});
    fill(clip, canvas);
    firstFrame(url, canvas);
}

/* A clip of the server's, or its name where browsers cannot show such files. */
export function clipView(name, url, alt) {
    if (!isShown(name))
        return el('p', {class: 'not-shown', text: `${name.split('.').pop()} files are for other programs: download it`});
    const clip = el('div', {class: 'clip'});
    clip.shows = {url, alt};
    shown.add(clip);
    drawClip(clip);
    return clip;
}

/* ---- frame by frame ----------------------------------------------------------------------------------------------- */

const MOST_KEPT = 240; /* decoded frames of one clip; 240 of 512 x 512 are 240 MB */
const TYPES = {
    webp: 'image/webp',
    gif: 'image/gif',
    png: 'image/png',
    apng: 'image/png'
};

/* {frames, duration (s), node, show(t)} of an animated picture. */
async function pictureFrames(url, alt) {
    const data = await (await fetch(url)).arrayBuffer(), decoder = new ImageDecoder({data, type: TYPES[url.split('.').pop()]});
    await decoder.tracks.ready;
    await decoder.completed;
    const frames = decoder.tracks.selectedTrack.frameCount, kept = new Map(), ends = [];
    const canvas = el('canvas', {role: 'img', 'aria-label': alt}), pen = canvas.getContext('2d');
    const decode = async (i) => {
        if (kept.has(i))
            return kept.get(i);
        const {image} = await decoder.decode({frameIndex: i});
        if (kept.size >= MOST_KEPT) {
            kept.values().next().value.close();
            kept.delete(kept.keys().next().value);
        }
        kept.set(i, image);
        return image;
    };
    for (let i = 0, t = 0; i < frames; i++) /* their durations are known only decoded */
        ends.push(t += ((await decode(i)).duration || 125000) / 1e6);
    let now = -1;
    const show = async (t) => {
        const found = ends.findIndex((end) => t < end - 1e-6), at = found < 0 ? frames - 1 : found;
        if (at === now)
            return at;
        now = at;
        const image = await decode(at);
        if (canvas.width !== image.displayWidth)
            Object.assign(canvas, {width: image.displayWidth, height: image.displayHeight});
        pen.drawImage(image, 0, 0);
        return at;
    };
    const close = () => {
        kept.forEach((image) => image.close());
        kept.clear();
        decoder.close();
    };
    return {frames, duration: ends.at(-1), node: canvas, show, close, step: ends[0]};
}

async function videoFrames(url, alt, fps) {
    const video = el('video', {src: url, muted: true, playsinline: true, 'aria-label': alt, preload: 'auto'});
    await new Promise((resolve, reject) => {
        video.addEventListener('loadeddata', resolve, {once: true});
        video.addEventListener('error', () => reject(new Error('not a video that this browser plays')), {once: true});
    });
    const step = 1 / (fps || 8), frames = Math.max(1, Math.round(video.duration / step));
    const show = async (t) => {
        const to = Math.min(frames - 1, Math.floor(t / step + 1e-6));
        if (Math.abs(video.currentTime - (to + 0.5) * step) > step / 2)
            video.currentTime = Math.min(video.duration, (to + 0.5) * step);
        return to;
    };
    return {frames, duration: video.duration, node: video, show, step};
}

/* Without a decoder: plays by itself from the beginning. */
function freeRunning(url, alt) {
    const img = el('img', {src: url, alt});
    const again = () => { img.src = `${url}?again=${Date.now()}`; };
    return {frames: 0, duration: 0, node: img, step: 0, show: async () => -1, again};
}

export async function openFrames(name, url, alt, fps) {
    if (VIDEO.test(name))
        return videoFrames(url, alt, fps);
    return typeof ImageDecoder === 'function' ? pictureFrames(url, alt) : freeRunning(url, alt);
}
