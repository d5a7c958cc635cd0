/* api.js - the server: requests, errors in three lines, uploads, the stream of events.  All addresses are relative. */

/* What the server, or the way to it, objects to. */
export class ApiError extends Error {
    constructor(status, error) {
        super(error.what);
        Object.assign(this, {status, code: error.code, what: error.what, why: error.why, hint: error.hint});
    }
}

/* JSON in which whole numbers beyond 2^53 (seeds) come as text, to the last digit, where the browser shows their source. */
export function readJson(text) {
    return JSON.parse(text, (key, value, context) => typeof value === 'number' && Number.isInteger(value) &&
                                                             !Number.isSafeInteger(value) && context?.source
                                                         ? context.source
                                                         : value);
}

const silence = {
    what: 'The server does not answer.',
    why: 'vkanim serve may have ended, or the way to it is broken.',
    hint: 'Start it again; this page goes on by itself.'
};

async function send(method, path, headers, body, signal) {
    try {
        return await fetch(path, {method, headers, body, signal, credentials: 'same-origin', cache: 'no-store'});
    } catch (e) {
        if (e.name === 'AbortError')
            throw e;
        throw new ApiError(0, silence);
    }
}

let onToken = () => {};

/* What to do when the server wants a token. */
export function whenLocked(f) {
    onToken = f;
}

/* An answer's JSON, or an ApiError. */
export async function call(method, path, {json, body, type, signal} = {}) {
    const headers = {};
    if (json !== undefined)
        headers['Content-Type'] = 'application/json';
    else if (body !== undefined)
        headers['Content-Type'] = type || 'application/octet-stream';
    const reply = await send(method, path, headers, json !== undefined ? JSON.stringify(json) : body, signal);
    const text = await reply.text();
    let value = null;
    try {
        value = text ? readJson(text) : null;
    } catch { /* told below where it matters */
    }
    if (reply.ok)
        return value;
    if (reply.status === 401)
        onToken();
    throw new ApiError(reply.status,
                       value?.error?.what ? value.error : {what: `The server answers ${reply.status} ${reply.statusText}.`});
}

const api = (path) => `api/v1/${path}`;
export const get = (path, signal) => call('GET', api(path), {signal});
export const post = (path, json, signal) => call('POST', api(path), {json: json ?? {}, signal});
export const remove = (path) => call('DELETE', api(path));

/* A file of the reader's into the server's keeping: {"name","url","bytes","kind"}. */
export const upload = (file) =>
    call('POST', api(`uploads?name=${encodeURIComponent(file.name)}`), {body: file, type: file.type});

/* The settings inside an animation or picture, which is not kept. */
export const inspect = (file) => call('POST', api('inspect'), {body: file, type: file.type});

/* One stream for the page: `handlers` by kind of event, given the job.  `online(true|false)` tells of the connection;
 * whoever hears true asks for the jobs anew, since events may have been missed. */
export function listen(handlers, online) {
    const source = new EventSource(api('events'));
    source.onopen = () => online(true);
    source.onerror = () => {
        online(false);
        if (source.readyState === EventSource.CLOSED) /* refused, not broken: the browser does not try again */
            setTimeout(() => listen(handlers, online), 3000);
    };
    for (const [kind, handler] of Object.entries(handlers))
        source.addEventListener(kind, (event) => handler(readJson(event.data)));
}
