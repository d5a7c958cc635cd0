/* audit.js - what can be measured of a page's fitness for everybody; evaluates to a list of complaints.  See page_check. */
(() => {
    const bad = [], all = [...document.querySelectorAll('body *') ];
    const scope = document.querySelector('dialog[open]') ?? document.body;
    const seen = (n) => scope.contains(n) && n.checkVisibility({checkOpacity : true, checkVisibilityCSS : true}) &&
                        !n.closest('.away, .skip, .toast:not(.shown)');
    const name = (n) => `${n.tagName.toLowerCase()}${
        n.id ? `#${n.id}`
        : n.className && n.className.baseVal === undefined ? `.${String(n.className).trim().replace(/\s+/g, '.')}`
                                                           : ''}`;

    /* ---- contrast: WCAG 2.2, 1.4.3; https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio */
    const colour = (text) => {
        const m = /rgba?\(([^)]+)\)/.exec(text);
        const [r, g, b, a = 1] = m ? m[1].split(/[\s,/]+/).map(Number) : [ 0, 0, 0, 0 ];
        return {r, g, b, a};
    };
    const over = (top, under) => ({
        a : 1,
        r : top.r * top.a + under.r * (1 - top.a),
        g : top.g * top.a + under.g * (1 - top.a),
        b : top.b * top.a + under.b * (1 - top.a)
    });
    const linear = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b);
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    /* Every ground that may lie under a node: a gradient has one for each of its colours. */
    const grounds = (n) => {
        let list = [ {r : 0, g : 0, b : 0, a : 0} ];
        for (let at = n; at; at = at.parentElement) {
            const style = getComputedStyle(at),
                  stops = style.backgroundImage.match(/rgba?\([^)]+\)/g)?.map(colour).filter((c) => c.a === 1) ?? [];
            const under = stops.length && !at.classList.contains('lane') ? stops : [ colour(style.backgroundColor) ];
            list = list.flatMap(
                (c) => (c.a === 1 ? [ c ] : under.map((u) => ({...over(c, u), a : c.a + u.a * (1 - c.a)}))));
            if (list.every((c) => c.a > 0.99))
                break;
        }
        return list.map((c) => (c.a > 0.99 ? {...c, a : 1} : {r : 255, g : 255, b : 255, a : 1}));
    };
    const check = (n, text, ink, size, weight) => {
        let strength = 1;
        for (let at = n; at; at = at.parentElement)
            strength *= Number(getComputedStyle(at).opacity);
        const worst = Math.min(...grounds(n).map((g) => ratio(over({...ink, a : ink.a * strength}, g), g)));
        const least = size >= 24 || (size >= 18.66 && weight >= 700) ? 3 : 4.5;
        if (worst < least)
            bad.push(`contrast ${worst.toFixed(2)} of "${text.trim().slice(0, 30)}" in ${name(n)}`);
        return 1;
    };
    let texts = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let t; (t = walker.nextNode());) {
        const n = t.parentElement;
        if (!t.data.trim() || !seen(n) || [ 'SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION' ].includes(n.tagName))
            continue;
        const s = getComputedStyle(n);
        if (!n.closest(':disabled')) /* what cannot be used is exempt */
            texts += check(n, t.data, colour(s.color), parseFloat(s.fontSize), Number(s.fontWeight));
    }
    for (const n of all.filter((x) => x.matches('input, textarea, select') && seen(x))) {
        const s = getComputedStyle(n), p = getComputedStyle(n, '::placeholder');
        if (n.value && n.type !== 'checkbox' && n.type !== 'range')
            texts += check(n, n.value, colour(s.color), parseFloat(s.fontSize), Number(s.fontWeight));
        else if (n.placeholder)
            texts += check(n, n.placeholder, colour(p.color), parseFloat(s.fontSize), Number(s.fontWeight));
        const edge = colour(s.borderTopColor); /* 1.4.11: what shows where a control is, 3 to 1 */
        if ([ 'text', 'search', 'password', 'textarea', 'select-one' ].includes(n.type)) {
            const worst = Math.min(...grounds(n.parentElement).map((g) => ratio(over(edge, g), g)));
            if (worst < 3)
                bad.push(`the edge of ${name(n)} has a contrast of ${worst.toFixed(2)}`);
        }
    }
    for (const n of all.filter((x) => seen(x))) /* text that CSS puts in */
        for (const where of ['::before', '::after']) {
            const s = getComputedStyle(n, where), text = /^"(.+)"$/.exec(s.content)?.[1];
            if (text && s.display !== 'none')
                texts += check(n, text, colour(s.color), parseFloat(s.fontSize), Number(s.fontWeight));
        }

    /* ---- targets: 2.5.8, 24 by 24 pixels; a label counts with its box, a slider's thumb has its row */
    const controls =
        all.filter((n) => n.matches('a[href], button, input, select, textarea, summary, [role=slider]') && seen(n));
    for (const n of controls) {
        const box = (n.closest('label') ?? n).getBoundingClientRect();
        if (box.width < 24 || box.height < 24)
            bad.push(`${name(n)} "${n.getAttribute('aria-label') ?? n.textContent.trim().slice(0, 20)}" is ${
                box.width.toFixed(0)} by ${box.height.toFixed(0)} pixels`);
    }

    /* ---- structure */
    const ids = new Map();
    for (const n of document.querySelectorAll('[id]'))
        ids.set(n.id, (ids.get(n.id) ?? 0) + 1);
    for (const [id, n] of ids)
        if (n > 1)
            bad.push(`${n} elements have the id ${id}`);
    for (const key of ['aria-labelledby', 'aria-describedby', 'for', 'aria-controls'])
        for (const n of document.querySelectorAll(`[${key}]`))
            for (const id of n.getAttribute(key).split(/\s+/))
                if (!ids.has(id))
                    bad.push(`${key} of ${name(n)} names ${id}, which is not there`);
    if (!document.documentElement.lang || !document.title)
        bad.push('the page has no language or no title');
    if (document.querySelectorAll('h1').length !== 1 || document.querySelectorAll('main').length !== 1)
        bad.push('there is not one h1 and one main');
    for (const n of document.querySelectorAll('img'))
        if (!n.hasAttribute('alt'))
            bad.push(`${name(n)} has no alt`);
    for (const n of document.querySelectorAll('[role=slider]'))
        if (!['aria-valuenow', 'aria-valuemin', 'aria-valuemax', 'aria-valuetext', 'aria-label'].every(
                (k) => n.hasAttribute(k)))
            bad.push(`a slider lacks its values: ${name(n)}`);
    for (const n of document.querySelectorAll('[style]'))
        if (n.getAttribute('style').includes('url('))
            bad.push(`${name(n)} loads something by its style`);
    const root = document.scrollingElement;
    if (root.scrollWidth > innerWidth)
        bad.push(`the page is ${root.scrollWidth} wide in a window of ${innerWidth}: ${
            all.filter((n) => seen(n) && n.getBoundingClientRect().right > innerWidth + 1 &&
                              !n.closest('.scroll-x, .strip'))
                .slice(0, 3)
                .map(name)}`);
    return {bad, texts, controls : controls.length};
})()
