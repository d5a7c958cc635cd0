/* windows.c - see windows.h.
 *
 * Windows of the uniform schedules are arithmetic progressions (first, spacing) mod frames, so that nothing but these two numbers
 * is moved, compared and kept until the list is done.  All of it is whole numbers: o(s) has at most 32 bits behind the
 * point, since a step has at most 32 before it. */
#include "sample/windows.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names --------------------------------------------------------------------------------------------------- */

/* In the order of their enumerations. */
static const char *const schedules[] = {"uniform-standard", "uniform", "static", "batched", "shuffle", NULL};
static const char *const merges[] = {"flat", "pyramid", "overlap-linear", "relative", "last", NULL};
static const char *const loops[] = {"off", "reduced", "full", "always", NULL};
static const char *const loop_letters[] = {"N", "R-P", "R+P", "A"};

static vka_status find(const char *const *names, const char *what, const char *name, uint32_t *out, vka_error *err)
{
    uint32_t i = 0;
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    *out = i;
    if (names[i])
        return VKA_OK;
    vka_fail(err, VKA_E_USAGE, "unknown %s '%.100s'", what, name);
    vka_error_hint(err, "choose %s", names[0]);
    return VKA_E_USAGE;
}

vka_status vka_window_schedule_from_name(const char *name, vka_window_schedule *out, vka_error *err)
{
    uint32_t i;
    vka_status s = find(schedules, "context schedule", name, &i, err);
    if (s == VKA_OK)
        *out = (vka_window_schedule)i;
    return s;
}

vka_status vka_window_merge_from_name(const char *name, vka_window_merge *out, vka_error *err)
{
    uint32_t i;
    vka_status s = find(merges, "context merge", name, &i, err);
    if (s == VKA_OK)
        *out = (vka_window_merge)i;
    return s;
}

vka_status vka_loop_from_name(const char *name, vka_loop *out, vka_error *err)
{
    uint32_t i;
    vka_status s = find(loops, "loop", name, &i, err);
    if (s == VKA_OK)
        *out = (vka_loop)i;
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

const char *vka_loop_name(vka_loop loop)
{
    return loops[loop];
}

const char *vka_loop_letters(vka_loop loop)
{
    return loop_letters[loop];
}

/* ---- the list ------------------------------------------------------------------------------------------------ */

struct making {
    struct vka_windows *out;
    uint8_t *made;   /* [levels][frames]: this progression is in the list; `uniform-standard` */
    uint32_t *stamp; /* [frames] a window's number plus 1, or plus more: the last that came upon the frame */
    bool failed;
};

/* Room for the next window's frames; NULL when memory is short, which `m` keeps. */
static int32_t *next_window(struct making *m)
{
    struct vka_windows *w = m->out;
    int32_t *frame = m->failed || w->count == UINT32_MAX / 2
                         ? NULL
                         : vka_grow(w->frame, &w->capacity, ((size_t)w->count + 1) * w->length, sizeof *frame);
    m->failed = !frame;
    if (m->failed)
        return NULL;
    w->frame = frame;
    return frame + (size_t)w->count * w->length;
}

/* Takes it, filled, into the list. */
static void take_window(struct making *m)
{
    struct vka_windows *w = m->out;
    const int32_t *frame = w->frame + (size_t)w->count++ * w->length;
    for (uint32_t i = 0; i < w->length; i++)
        if (m->stamp[frame[i]] != w->count) {
            m->stamp[frame[i]] = w->count;
            w->hits[frame[i]]++;
        }
}

/* Frames first + i * spacing mod F. */
static void add_window(struct making *m, uint32_t first, uint64_t spacing)
{
    uint32_t frames = m->out->frames;
    int32_t *frame = next_window(m);
    if (!frame)
        return;
    for (uint32_t i = 0; i < m->out->length; i++)
        frame[i] = (int32_t)((first + i * spacing) % frames);
    take_window(m);
}

/* ---- uniform schedules --------------------------------------------------------------------------------------- */

/* A window before it is written down: frames first + i * 2^level mod `frames`, i < length. */
struct progression {
    uint32_t first, level;
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
    uint32_t level = m->out->length > 1 ? p.level : 0; /* one frame has no spacing */
    uint8_t *made = &m->made[(size_t)level * m->out->frames + p.first];
    if (!*made)
        add_window(m, p.first, 1u << level);
    *made = 1;
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

/* How many spacings there are: those of the rule; without the ones that make a window wider than the clip where none may wrap. */
static uint32_t levels_of(const struct vka_window_params *p, uint32_t frames)
{
    uint32_t octaves = 0, levels = 0;
    while ((uint64_t)p->length << octaves < frames)
        octaves++;
    if (p->schedule == VKA_WINDOWS_UNIFORM)
        return vka_min_u32(p->stride, octaves + 1);
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
        uint64_t end = (uint64_t)frames + pad + (p->closed ? p->overlap : 0);
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
    for (uint32_t i = 0; i < w->frames; i++)
        if (!w->hits[i])
            put(m, (struct progression){vka_min_u32(i, w->frames - w->length), 0});
}

static void make_uniform(struct making *m, const struct vka_window_params *p, uint32_t step)
{
    uint32_t frames = m->out->frames, levels = levels_of(p, frames);
    size_t count = list_progressions(p, frames, step, levels, NULL);
    struct progression *listed = vka_calloc(count, sizeof *listed);
    bool standard = p->schedule == VKA_WINDOWS_UNIFORM_STANDARD;
    m->made = standard ? vka_calloc((size_t)levels * frames, 1) : NULL;
    m->failed = !listed || (standard && !m->made);
    if (!m->failed) {
        list_progressions(p, frames, step, levels, listed);
        if (standard)
            shift_and_put(m, listed, count);
        for (size_t i = 0; !standard && i < count; i++)
            add_window(m, listed[i].first, (uint64_t)1 << listed[i].level);
    }
    free(listed);
    free(m->made);
}

/* ---- the others ---------------------------------------------------------------------------------------------- */

/* Frames in a row, the last window shifted back. */
static void make_rows(struct making *m, uint32_t hop)
{
    uint32_t last = m->out->frames - m->out->length;
    for (uint32_t j = 0; j < last; j += vka_min_u32(hop, last - j))
        add_window(m, j, 1);
    add_window(m, last, 1);
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void make_shuffled(struct making *m, uint64_t seed, uint32_t step)
{
    static const uint32_t odd = 0x9e3779b9u; /* 2^32 over the golden ratio: clips of neighbouring seeds share no step's order */
    uint32_t frames = m->out->frames, *order = vka_calloc(frames, sizeof *order);
    vka_rng rng;
    m->failed = !order;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, (uint32_t)seed + step * odd);
    if (order)
        vka_rng_permute(&rng, order, frames);
    for (uint32_t j = 0; !m->failed && j < frames; j += m->out->length) {
        int32_t *frame = next_window(m);
        if (!frame)
            break;
        for (uint32_t i = 0; i < m->out->length; i++)
            frame[i] = (int32_t)order[(j + i) % frames];
        qsort(frame, m->out->length, sizeof *frame, ascending);
        take_window(m);
    }
    free(order);
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

/* The ramp of `overlap-linear`, n places from almost nothing to 1. */
static double ramp(uint32_t i, uint32_t n)
{
    return i ? (double)i / (double)(n - 1) : 1e-37; /* not 0: it is all there is where windows only touch */
}

/* Weight of place i in window k, before a frame's are brought to 1. */
static double raw_weight(const struct vka_window_params *p, const struct vka_windows *w, uint32_t i, bool left, bool right)
{
    uint32_t n = w->length;
    double from_centre = fabs((double)i - (double)(n - 1) / 2);
    switch (p->merge) {
    case VKA_MERGE_PYRAMID: return (double)vka_min_u32(i + 1, n - i);
    case VKA_MERGE_OVERLAP_LINEAR:
        if (right && i + p->overlap >= n)
            return p->overlap > 1 ? ramp(n - 1 - i, p->overlap) : 1.0; /* one frame alone is where both lines begin */
        return left && i < p->overlap ? ramp(i, p->overlap) : 1.0;
    case VKA_MERGE_RELATIVE: return fmax(0.01, 1.0 - from_centre / (((double)(n - 1) + 0.01) / 2));
    case VKA_MERGE_FLAT:
    case VKA_MERGE_LAST: break;
    }
    return 1.0;
}

/* Visits the places that count, window by window; total [frames]: first summed up, then divided by. */
static void weigh_places(struct making *m, const struct vka_window_params *p, uint32_t stamp, double *total, bool divide)
{
    struct vka_windows *w = m->out;
    bool last = p->merge == VKA_MERGE_LAST, ends = p->schedule != VKA_WINDOWS_UNIFORM;
    for (uint32_t n = 0; n < w->count; n++) {
        uint32_t k = last ? w->count - 1 - n : n;
        const int32_t *frame = w->frame + (size_t)k * w->length;
        float *weight = w->weight + (size_t)k * w->length;
        bool left = true, right = true;
        for (uint32_t i = 0; ends && i < w->length; i++) {
            left = left && frame[i] != 0;
            right = right && (uint32_t)frame[i] != w->frames - 1;
        }
        for (uint32_t i = w->length; i-- > 0;) {
            uint32_t *seen = &m->stamp[frame[i]];
            bool counts = last ? *seen != stamp : *seen != stamp + n;
            *seen = last ? stamp : stamp + n;
            double raw = counts ? raw_weight(p, w, i, left, right) : 0.0;
            if (divide)
                weight[i] = counts ? (float)(raw / total[frame[i]]) : 0.0f;
            else
                total[frame[i]] += raw;
        }
    }
}

static void weigh(struct making *m, const struct vka_window_params *p)
{
    struct vka_windows *w = m->out;
    double *total = vka_calloc(w->frames, sizeof *total);
    float *weight = vka_grow(w->weight, &w->weight_capacity, (size_t)w->count * w->length, sizeof *weight);
    w->weight = weight ? weight : w->weight;
    m->failed = !total || !weight;
    if (!m->failed) {
        memset(m->stamp, 0, w->frames * sizeof *m->stamp);
        weigh_places(m, p, 1, total, false);
        weigh_places(m, p, 1 + w->count, total, true);
    }
    free(total);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

bool vka_windows_split(const struct vka_window_params *p, uint32_t frames)
{
    return p->length && (frames > p->length || (frames == p->length && p->looped));
}

static void make_list(struct making *m, const struct vka_window_params *p, uint32_t step)
{
    if (!vka_windows_split(p, m->out->frames)) {
        add_window(m, 0, 1);
        return;
    }
    switch (p->schedule) {
    case VKA_WINDOWS_UNIFORM_STANDARD:
    case VKA_WINDOWS_UNIFORM: make_uniform(m, p, step); break;
    case VKA_WINDOWS_STATIC: make_rows(m, p->length - p->overlap); break;
    case VKA_WINDOWS_BATCHED: make_rows(m, p->length); break;
    case VKA_WINDOWS_SHUFFLE: make_shuffled(m, p->seed, step); break;
    }
}

vka_status vka_windows_make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step,
                            vka_error *err)
{
    if (!frames || frames > (uint32_t)INT32_MAX / 2 || !p->length || !p->stride || p->overlap >= p->length)
        return vka_fail(err, VKA_E_USAGE, "no windows of %u frames, stride %u, overlap %u over %u frames", p->length,
                        p->stride, p->overlap, frames);
    if ((p->looped || p->closed) && p->schedule != VKA_WINDOWS_UNIFORM)
        return vka_fail(err, VKA_E_USAGE, "the context schedule '%s' has no windows that cross a clip's end",
                        schedules[p->schedule]);
    struct making m = {.out = w, .stamp = vka_calloc(frames, sizeof *m.stamp)};
    uint32_t *hits = realloc(w->hits, frames * sizeof *hits);
    w->hits = hits ? hits : w->hits;
    m.failed = !m.stamp || !hits;
    if (!m.failed) {
        memset(hits, 0, frames * sizeof *hits);
        w->frames = frames;
        w->length = vka_min_u32(p->length, frames);
        w->count = 0;
        make_list(&m, p, step);
    }
    if (!m.failed)
        weigh(&m, p);
    free(m.stamp);
    return m.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory for the context windows of %u frames", frames)
                    : VKA_OK;
}

void vka_windows_free(struct vka_windows *w)
{
    free(w->frame);
    free(w->weight);
    free(w->hits);
    *w = (struct vka_windows){0};
}
