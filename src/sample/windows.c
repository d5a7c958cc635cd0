/* windows.c - see windows.h.
 *
 * Every window is an arithmetic progression (first, spacing) mod frames, so that nothing but these two numbers is
 * moved, compared and kept until the list is done.  All of it is whole numbers: o(s) has at most 32 bits behind the
 * point, since a step has at most 32 before it. */
#include "sample/windows.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- names --------------------------------------------------------------------------------------------------- */

/* The first ones are built, in the order of their enumeration. */
static const char *const schedules[] = {"uniform-standard", "uniform", "static", "batched", "shuffle", NULL};
static const char *const merges[] = {"flat", "pyramid", "overlap-linear", "relative", "last", NULL};
enum { BUILT_SCHEDULES = 1, BUILT_MERGES = 1 };

static vka_status find(const char *const *names, uint32_t built, const char *what, const char *name, uint32_t *out,
                       vka_error *err)
{
    uint32_t i = 0;
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    *out = i;
    if (i < built)
        return VKA_OK;
    if (names[i])
        vka_fail(err, VKA_E_USAGE, "%s '%s' is not built into this version", what, name);
    else
        vka_fail(err, VKA_E_USAGE, "unknown %s '%.100s'", what, name);
    vka_error_hint(err, "choose %s", names[0]);
    return VKA_E_USAGE;
}

vka_status vka_window_schedule_from_name(const char *name, vka_window_schedule *out, vka_error *err)
{
    uint32_t i;
    vka_status s = find(schedules, BUILT_SCHEDULES, "context schedule", name, &i, err);
    if (s == VKA_OK)
        *out = (vka_window_schedule)i;
    return s;
}

vka_status vka_window_merge_from_name(const char *name, vka_window_merge *out, vka_error *err)
{
    uint32_t i;
    vka_status s = find(merges, BUILT_MERGES, "context merge", name, &i, err);
    if (s == VKA_OK)
        *out = (vka_window_merge)i;
    return s;
}

const char *vka_window_schedule_name(vka_window_schedule schedule)
{
    return schedules[schedule];
}

const char *vka_window_merge_name(vka_window_merge merge)
{
    return merges[merge];
}

/* ---- the schedule -------------------------------------------------------------------------------------------- */

/* A window before it is written down: frames first + i * spacing mod `frames`, i < length. */
struct progression {
    uint32_t first, level; /* spacing 2^level */
};

struct making {
    struct vka_windows *out;
    uint8_t *made; /* [levels][frames]: this progression is in the list */
    bool failed;
};

static bool wraps(const struct vka_windows *w, struct progression p)
{
    return p.first + ((uint64_t)(w->length - 1) << p.level) >= w->frames;
}

static bool holds(const struct vka_windows *w, struct progression p, uint32_t frame)
{
    uint32_t away = (frame + w->frames - p.first) % w->frames;
    return away % (1u << p.level) == 0 && away >> p.level < w->length;
}

/* A window that does not wrap, unless it is there already. */
static void put(struct making *m, struct progression p)
{
    struct vka_windows *w = m->out;
    uint32_t level = w->length > 1 ? p.level : 0; /* one frame has no spacing */
    uint8_t *made = &m->made[(size_t)level * w->frames + p.first];
    if (*made || m->failed)
        return;
    int32_t *frame = vka_grow(w->frame, &w->capacity, ((size_t)w->count + 1) * w->length, sizeof *frame);
    m->failed = !frame;
    if (m->failed)
        return;
    *made = 1;
    w->frame = frame;
    frame += (size_t)w->count++ * w->length;
    for (uint32_t i = 0; i < w->length; i++) {
        frame[i] = (int32_t)(p.first + (i << p.level));
        w->hits[frame[i]]++;
    }
}

static uint32_t reverse_bits(uint32_t v)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++)
        r |= (v >> i & 1) << (31 - i);
    return r;
}

/* frames * o / 2^32, halves to even. */
static uint32_t padding(uint32_t frames, uint32_t o)
{
    uint64_t product = (uint64_t)frames * o;
    uint32_t whole = (uint32_t)(product >> 32), rest = (uint32_t)product;
    return whole + (rest > 0x80000000u || (rest == 0x80000000u && whole % 2));
}

/* How many spacings there are: those of the rule, without the ones that make a window wider than the clip. */
static uint32_t levels_of(const struct vka_window_params *p, uint32_t frames)
{
    uint32_t octaves = 0, levels = 0;
    while ((uint64_t)p->length << octaves < frames)
        octaves++;
    while (levels < vka_min_u32(p->stride, octaves + 1) && (uint64_t)(p->length - 1) << levels < frames)
        levels++;
    return levels;
}

/* Progressions of the rule's first half: they may wrap.  Returns how many; NULL `out` only counts. */
static size_t list_progressions(const struct vka_window_params *p, uint32_t frames, uint32_t step, uint32_t levels,
                                struct progression *out)
{
    uint32_t o = reverse_bits(step), pad = padding(frames, o);
    size_t n = 0;
    for (uint32_t level = 0; level < levels; level++) {
        uint64_t hop = ((uint64_t)p->length << level) - p->overlap;
        uint64_t end = (uint64_t)frames + pad;
        for (uint64_t j = ((uint64_t)o << level >> 32) + pad; j + p->overlap < end; j += hop, n++)
            if (out)
                out[n] = (struct progression){(uint32_t)(j % frames), level};
    }
    return n;
}

static void shift_and_put(struct making *m, const struct progression *listed, size_t count)
{
    const struct vka_windows *w = m->out;
    struct progression first = {0, 0}; /* of the list as it has become */
    for (size_t i = 0; i < count; i++) {
        struct progression p = listed[i], next;
        uint32_t spacing = 1u << p.level, rolled = 0;
        bool wrapped = wraps(w, p);
        if (wrapped) { /* the first value behind the end, then the shift */
            rolled = p.first + (w->frames - p.first + spacing - 1) / spacing * spacing - w->frames;
            p.first = w->frames - 1 - (w->length - 1) * spacing;
        }
        if (i == 0)
            first = p;
        put(m, p);
        next = i + 1 < count ? listed[i + 1] : first;
        if (wrapped && !holds(w, next, rolled))
            put(m, (struct progression){rolled, 0});
    }
}

vka_status vka_windows_make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step,
                            vka_error *err)
{
    if (!frames || frames > (uint32_t)INT32_MAX / 2 || !p->length || !p->stride || p->overlap >= p->length)
        return vka_fail(err, VKA_E_USAGE, "no windows of %u frames, stride %u, overlap %u over %u frames", p->length,
                        p->stride, p->overlap, frames);
    uint32_t levels = frames > p->length ? levels_of(p, frames) : 1;
    size_t count = frames > p->length ? list_progressions(p, frames, step, levels, NULL) : 1;
    struct progression *listed = vka_calloc(count, sizeof *listed);
    struct making m = {.out = w, .made = vka_calloc((size_t)levels * frames, 1)};
    uint32_t *hits = realloc(w->hits, frames * sizeof *hits);
    w->hits = hits ? hits : w->hits;
    m.failed = !listed || !m.made || !hits;
    if (!m.failed) {
        memset(hits, 0, frames * sizeof *hits);
        w->frames = frames;
        w->length = vka_min_u32(p->length, frames);
        w->count = 0;
        if (frames > p->length)
            list_progressions(p, frames, step, levels, listed);
        shift_and_put(&m, listed, count);
        for (uint32_t i = 0; !m.failed && i < frames; i++)
            if (!hits[i])
                put(&m, (struct progression){vka_min_u32(i, frames - w->length), 0});
    }
    free(listed);
    free(m.made);
    return m.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory for the context windows of %u frames", frames)
                    : VKA_OK;
}

void vka_windows_free(struct vka_windows *w)
{
    free(w->frame);
    free(w->hits);
    *w = (struct vka_windows){0};
}

/* ---- the merge ----------------------------------------------------------------------------------------------- */

void vka_windows_add(const struct vka_windows *w, uint32_t k, const float *x, size_t n, float *sum, uint32_t *seen)
{
    const int32_t *frame = w->frame + (size_t)k * w->length;
    for (uint32_t i = 0; i < w->length; i++, x += n) {
        float *to = sum + (size_t)frame[i] * n;
        if (seen[frame[i]]++ == 0)
            memcpy(to, x, n * sizeof *to); /* not 0 + x, which makes -0 a +0 */
        else
            for (size_t e = 0; e < n; e++)
                to[e] = to[e] + x[e];
    }
}

void vka_windows_mean(const struct vka_windows *w, size_t n, float *sum)
{
    for (uint32_t f = 0; f < w->frames; f++) {
        float hits = (float)w->hits[f], *x = sum + (size_t)f * n;
        for (size_t e = 0; w->hits[f] > 1 && e < n; e++)
            x[e] = x[e] / hits;
    }
}
