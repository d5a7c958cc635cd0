/* main.js - brings the page up, and what is about the page as a whole: theme, search, drops, the token. */
import {$, announce, el, errorBox, fill, later, plural, toast} from './dom.js';
import {get, inspect, whenLocked} from './api.js';
import {clear, onChange, recall, setOptions, toJob, changed} from './state.js';
import {buildRows, countSet, search, syncRows} from './fields.js';
import {setModels} from './models.js';
import {choose, hasDrag} from './files.js';
import {addPictures, buildTimeline} from './timeline.js';
import {buildPlan} from './plan.js';
import {buildQueue, start, watchRunning, refresh, whenDone} from './queue.js';
import {buildResults, copyCommand, copyJob, refreshResults, resultDone, useSettings} from './results.js';
import {buildCompare} from './compare.js';
import {emptyStage} from './stage.js';

/* ---- light and dark ----------------------------------------------------------------------------------------------- */

const THEME = 'vkanim-theme';

function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    $('theme').value = theme;
    try {
        localStorage.setItem(THEME, theme);
    } catch { /* the choice lasts as long as the page */
    }
}

function buildTheme() {
    let theme = 'auto';
    try {
        theme = localStorage.getItem(THEME) ?? 'auto';
    } catch { /* as above */
    }
    setTheme(['auto', 'light', 'dark'].includes(theme) ? theme : 'auto');
    $('theme').addEventListener('change', () => setTheme($('theme').value));
}

/* ---- the form ----------------------------------------------------------------------------------------------------- */

function showCount() {
    const n = countSet();
    $('changed-count').textContent = n ? `${n} changed` : 'all as they come';
    $('reset-all').hidden = !n;
}

function runSearch() {
    const query = $('search').value, only = $('only-changed').checked, n = search(query, only);
    $('compose').classList.toggle('searching', Boolean(query || only));
    $('search-count').textContent = query || only ? plural(n, 'setting') : '';
}

async function render() {
    const renderButton = $('render');
    renderButton.disabled = true;
    try {
        await start(toJob());
        fill($('compose-error'));
    } catch (e) {
        fill($('compose-error'), errorBox(e));
        $('compose-error').scrollIntoView({block: 'nearest'});
    }
    renderButton.disabled = false;
    renderButton.focus();
}

async function reloadModels(said) {
    try {
        const {models} = await get('models');
        setModels(models);
        syncRows('');
        if (said)
            toast(`${plural(models.length, 'model')} in the library.`);
    } catch (e) {
        toast(e.what);
    }
}

function buildForm() {
    buildRows({prompt: $('prompt-fields'), models: $('model-fields'), basics: $('basic-fields'), groups: $('groups')});
    $('compose').addEventListener('submit', (e) => {
        e.preventDefault();
        render();
    });
    /* Enter in a field of one line is no order to render: a stray one would cost minutes. */
    $('compose').addEventListener('keydown', (e) => {
        if (e.key === 'Enter' && e.target.tagName === 'INPUT' && !e.ctrlKey && !e.metaKey)
            e.preventDefault();
    });
    document.addEventListener('keydown', (e) => {
        if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && !document.querySelector('dialog[open]'))
            render();
    });
    $('search').addEventListener('input', later(runSearch, 120));
    $('only-changed').addEventListener('change', runSearch);
    $('reset-all').addEventListener('click', () => {
        clear();
        announce('All settings are as they come; the prompts stay.');
        $('search').focus();
    });
    $('explain').addEventListener('click', () => {
        const on = $('explain').getAttribute('aria-pressed') !== 'true';
        $('explain').setAttribute('aria-pressed', String(on));
        $('compose').classList.toggle('explained', on);
    });
    $('reload-models').addEventListener('click', () => reloadModels(true));
    $('copy-command').addEventListener('click', () => copyCommand(toJob()));
    $('copy-job').addEventListener('click', () => copyJob(toJob()));
    onChange(showCount);
    showCount();
}

/* ---- settings out of files ---------------------------------------------------------------------------------------- */

export async function openSettings(file) {
    try {
        const found = await inspect(file);
        fill($('compose-error'));
        useSettings(found.job, file.name);
    } catch (e) {
        const picture = file.type.startsWith('image/') && el('button', {
                            type: 'button',
                            class: 'quiet small',
                            text: 'Put it on the frames instead',
                            onclick: () => {
                                fill($('compose-error'));
                                addPictures([file]);
                            }
                        });
        fill($('compose-error'), errorBox(e, picture));
        $('compose-error').scrollIntoView({block: 'nearest'});
    }
}

function buildDrops() {
    const hint = $('drop');
    let depth = 0;
    const leave = () => {
        depth = 0;
        hint.hidden = true;
    };
    addEventListener('dragenter', (e) => {
        depth += hasDrag(e);
        hint.hidden = !depth;
    });
    addEventListener('dragleave', (e) => {
        depth -= hasDrag(e);
        hint.hidden = depth <= 0;
    });
    addEventListener('dragover', (e) => hasDrag(e) && e.preventDefault());
    document.addEventListener('dropped', leave);
    addEventListener('drop', (e) => {
        if (!hasDrag(e))
            return;
        e.preventDefault();
        leave();
        if (e.dataTransfer.files[0])
            openSettings(e.dataTransfer.files[0]);
    });
    $('open-settings').addEventListener('click', async () => {
        const [file] = await choose('image/*,video/*,.txt');
        if (file)
            openSettings(file);
    });
}

/* ---- the token ---------------------------------------------------------------------------------------------------- */

function buildToken() {
    whenLocked(() => $('token-dialog').open || $('token-dialog').showModal());
    $('token-form').addEventListener('submit', () => location.assign(`./?token=${encodeURIComponent($('token').value)}`));
}

/* ---- beginning ---------------------------------------------------------------------------------------------------- */

async function begin() {
    try {
        const [about, {options}] = await Promise.all([get('about'), get('options')]);
        setOptions(options, about.defaults);
        recall();
        $('status').title = `vkanim ${about.version}`;
    } catch (e) {
        fill($('compose-error'), errorBox(e));
        setTimeout(begin, 5000);
        return;
    }
    buildForm();
    buildTimeline();
    buildPlan();
    buildResults();
    buildCompare();
    buildDrops();
    whenDone((job, watched) => resultDone(job, watched).catch((e) => toast(e.what)));
    buildQueue();
    changed('');
    await Promise.all(
        [reloadModels(false), refreshResults().catch((e) => toast(e.what)), refresh().then(watchRunning, () => {})]);
}

buildTheme();
buildToken();
emptyStage();
begin();
