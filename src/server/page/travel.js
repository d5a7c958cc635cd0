/* travel.js - prompts over the frames: blocks <-> the lines that --travel takes.  No elements here.
 *
 * A block is {first, last, ease, text}: it holds from frame first to frame last, and what lies between two blocks is blended.
 * What people place is a wish: `fit` says where it comes to lie in a clip of so many frames without touching another, so that a
 * clip made shorter and longer again has everything where it was. */

export const EASES = ['linear', 'hold', 'ease-in', 'ease-out', 'ease-in-out'];

const FRAME_KEY = /^\s*(-?\d+)(?:-(\d+))?(?:\s+(linear|hold|ease-in|ease-out|ease-in-out))?:\s+(.*)$/;
const ANY_KEY = /^\s*-?[\d.]+(?:-[\d.]+)?(?:\s+[a-z-]+)?:\s/; /* fractions too, which blocks cannot show */

/* Places of blocks or pictures in a clip: copies with first and last within it, rising, none upon another.  Those for which
 * there is no frame left are not among them; `of` is what each is a copy of. */
export function fit(items, frames) {
    const placed =
        items.map((of) => ({...of, of, last: Math.max(of.first, of.last ?? of.first)})).sort((a, b) => a.first - b.first);
    let least = 0;
    for (const p of placed) {
        const length = p.last - p.first;
        p.first = Math.max(p.first, least);
        p.last = p.first + length;
        least = p.last + 1;
    }
    let most = frames - 1;
    for (const p of placed.slice().reverse()) {
        p.last = Math.min(p.last, most);
        p.first = Math.min(p.first, p.last);
        most = p.first - 1;
    }
    return placed.filter((p) => p.first >= 0);
}

const oneLine = (text) => text.replace(/\s*\n\s*/g, ' ').trim();

/* Lines for --travel, of blocks that say something; the new line at the end says that it is text and no file. */
export function toLines(blocks, frames) {
    return fit(blocks, frames)
        .filter((p) => p.text.trim())
        .map(({first, last, ease, text}) =>
                 `${first}${last > first ? `-${last}` : ''}${ease ? ` ${ease}` : ''}: ${oneLine(text)}\n`)
        .join('');
}

function readKey(line, frames) {
    const m = FRAME_KEY.exec(line);
    if (!m)
        return null;
    const first = m[1].startsWith('-') ? frames + Number(m[1]) : Number(m[1]);
    return {first, last: m[2] === undefined ? first : Number(m[2]), ease: m[3] ?? '', text: m[4]};
}

/* Blocks of such lines, with the lines in front of the first as `head`; null where blocks cannot say the same: JSON, fractions,
 * lines behind the last key. */
export function fromLines(text, frames) {
    const head = [], blocks = [];
    if (/^\s*[{"]/.test(text))
        return null;
    for (const line of text.replace(/\n+$/, '').split('\n')) {
        const block = readKey(line, frames);
        if (!block && ANY_KEY.test(line))
            return null;
        if (block)
            blocks.push(block);
        else if (!blocks.length)
            head.push(line);
        else
            blocks.at(-1).open = (blocks.at(-1).text += ` ${line.trim()}`) !== '';
    }
    if (blocks.at(-1)?.open)
        return null;
    for (const block of blocks)
        delete block.open;
    return blocks.some((b) => b.first < 0) ? null : {head: head.join('\n'), blocks};
}

export const travels = (text) => text.split('\n').some((line) => ANY_KEY.test(line));
