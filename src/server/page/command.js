/* command.js - the same render as a command for a shell, and as a file for --job. */
import {state} from './state.js';

/* A word as POSIX shells read it back: bare where nothing in it means anything to them, else in single quotes. */
export function shellWord(text) {
    return /^[A-Za-z0-9_./:=,+@%^-]+$/.test(text) && !/^[=~]/.test(text) ? text : `'${text.replaceAll('\'', '\'\\\'\'')}'`;
}

/* Pictures under the names that their owner knows: the server's copy has no path that anybody else may use. */
function outside(text) {
    return text.replace(/upload:[\w.-]+/g, (name) => state.files[name]?.label ?? name.slice(7)).replace(/result:/g, '');
}

export const hasFiles = (job) => /"[^"]*(?:upload|result):/.test(JSON.stringify(job));

function words(o, value) {
    if (o.kind === 'flag')
        return value === true || value === 'true' ? [`--${o.name}`] : [];
    return [value].flat().map((item) => {
        const text = o.files ? outside(String(item)) : String(item), dash = text.startsWith('-') && o.kind !== 'int';
        return dash || text === '' ? `--${o.name}=${text === '' ? '' : shellWord(text)}` : `${flag(o)} ${shellWord(text)}`;
    });
}

const flag = (o) => (o.letter ? `-${o.letter}` : `--${o.name}`);

/* With what the server was started with, which a command elsewhere knows nothing of. */
export function toCommand(job) {
    const all = {...state.defaults, ...job};
    return ['vkanim render', ...state.options.flatMap((o) => (o.name in all ? words(o, all[o.name]) : []))].join(' ');
}

/* Numbers beyond 2^53, which the page keeps as text, go out as numbers again. */
export function toJobText(job) {
    const all = {...state.defaults, ...job};
    for (const name of Object.keys(all))
        if (state.byName.get(name)?.files)
            all[name] = Array.isArray(all[name]) ? all[name].map(outside) : outside(String(all[name]));
    return `${JSON.stringify(all, null, 2).replace(/^( {2}"(?:sub)?seed": )"(-?\d+)"/gm, '$1$2')}\n`;
}
