/* stage.js - the place where one thing is looked at: the live preview, a result, or a word to begin with. */
import {$, el, fill} from './dom.js';

const HELLO = 'The plan under the settings tells what it needs and how long it takes before anything runs. ' +
              'Drop an animation on this page to get its settings back.';

export function setStage(title, node) {
    $('h-stage').textContent = title;
    fill($('stage-body'), node);
}

/* The place of a clip has its shape before the clip is there: what stands below does not jump. */
export function pictureFrame({width, height}, ...children) {
    const frame = el('div', {class: 'picture'}, ...children);
    if (width > 0 && height > 0)
        frame.style.aspectRatio = `${width} / ${height}`;
    return frame;
}

export function emptyStage() {
    setStage('Preview',
             el('div', {class: 'hello'}, el('p', {class: 'lead', text: 'Say what the animation shows, then press Render.'}),
                el('p', {text: HELLO})));
}
