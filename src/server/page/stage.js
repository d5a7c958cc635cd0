/* stage.js - the place where one thing is looked at: the live preview, a result, or a word to begin with. */
import {$, el, fill} from './dom.js';

const HELLO = 'The plan under the settings tells what it needs and how long it takes before anything runs. ' +
              'Drop an animation on this page to get its settings back.';

export function setStage(title, node) {
    $('h-stage').textContent = title;
    fill($('stage-body'), node);
}

export function emptyStage() {
    setStage('Preview',
             el('div', {class: 'hello'}, el('p', {class: 'lead', text: 'Say what the animation shows, then press Render.'}),
                el('p', {text: HELLO})));
}
