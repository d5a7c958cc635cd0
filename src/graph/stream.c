/* stream.c - which weights stay on the device and which are copied there for the nodes that read them.  See plan.h.
 *
 * The nodes are cut into units: a segment, since all its parts run before the next, or a single node where a segment can never
 * be cut.  A streamed weight lies in the ring, one block of the device, while its unit runs.  Its home, the unit that
 * decides where in the ring, is the only one of every evaluation that reads it; one that runs once may bring it to the same
 * place earlier.  What several units read stays resident.
 *
 * The ring comes in two forms.  The small one is as large as the largest unit, all of which begin at its first byte: a copy has to
 * wait for the unit before.  The other one, for prefetching, is as large as the two largest neighbours: every second unit of an
 * evaluation begins at the first byte and the others end at the last one, so that a unit's weights come while the one before
 * runs.
 */
#include "graph/plan_parts.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1, SHARED = -2 };

struct work {
    struct vka_plan *p;
    struct vka_unit *units; /* all, `bytes` those of the weights that are at home there */
    uint32_t unit_count;
    bool *streamed;  /* unit: its weights are */
    int32_t *host;   /* unit that runs once: where weights are at home that it finds there, or NOBODY */
    bool prefetch;
    int32_t *home;   /* tensor: its unit, NOBODY, or SHARED */
    uint32_t *order; /* units in the order in which they are streamed */
};

static uint64_t bytes_of(const struct vka_plan *p, uint32_t t)
{
    return vka_round_up(vka_tensor_bytes(&p->graph->tensors[t]), VKA_PLAN_ALIGN);
}

static bool is_weight(const struct vka_plan *p, uint32_t t)
{
    return t && p->graph->tensors[t].role == VKA_WEIGHT;
}

static void make_units(struct work *w)
{
    const struct vka_plan *p = w->p;
    for (uint32_t k = 0; k < p->segment_count; k++) {
        const struct vka_segment *s = &p->segments[k];
        bool by_node = s->axis == 0 || s->extent == 1;
        for (uint32_t i = s->first; i < s->end; i = w->units[w->unit_count++].end)
            w->units[w->unit_count] = (struct vka_unit){.first = i, .end = by_node ? i + 1 : s->end, .once = s->once};
    }
}

/* Homes among the units of every evaluation, or among those that run once for what has none there. */
static void visit_units(struct work *w, bool once)
{
    const struct vka_graph *g = w->p->graph;
    for (uint32_t u = 0; u < w->unit_count; u++)
        for (uint32_t i = w->units[u].first; i < w->units[u].end && w->units[u].once == once; i++)
            for (uint32_t k = 0; k < g->nodes[i].inputs; k++) {
                uint32_t t = g->nodes[i].in[k].id;
                if (!is_weight(w->p, t))
                    continue;
                if (w->home[t] == NOBODY)
                    w->home[t] = (int32_t)u;
                else if (w->home[t] >= 0 && w->home[t] != (int32_t)u && w->units[w->home[t]].once == once)
                    w->home[t] = SHARED;
            }
}

/* A unit that runs once may find weights at home in one other unit; those of several may lie on the same bytes. */
static void part_strangers(struct work *w, uint32_t u)
{
    const struct vka_graph *g = w->p->graph;
    int32_t host = NOBODY;
    for (uint32_t i = w->units[u].first; i < w->units[u].end; i++)
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++) {
            uint32_t t = g->nodes[i].in[k].id;
            if (!is_weight(w->p, t) || w->home[t] < 0 || w->home[t] == (int32_t)u)
                continue;
            if (host == NOBODY)
                host = w->home[t];
            else if (host != w->home[t])
                w->home[t] = SHARED;
        }
    w->host[u] = host;
}

static void find_homes(struct work *w)
{
    const struct vka_graph *g = w->p->graph;
    for (uint32_t t = 0; t < g->tensor_count; t++)
        w->home[t] = NOBODY;
    visit_units(w, false);
    visit_units(w, true);
    for (uint32_t u = 0; u < w->unit_count; u++) {
        w->host[u] = NOBODY;
        if (w->units[u].once)
            part_strangers(w, u);
    }
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (is_weight(w->p, t) && w->home[t] >= 0)
            w->units[w->home[t]].bytes += bytes_of(w->p, t);
}

/* ---- the choice ------------------------------------------------------------------------------------------- */

/* What runs once first, since that costs no step anything; then the largest. */
static void set_order(struct work *w)
{
    for (uint32_t i = 0; i < w->unit_count; i++) {
        uint32_t k = i;
        for (; k > 0; k--) {
            const struct vka_unit *a = &w->units[w->order[k - 1]], *b = &w->units[i];
            if (a->once != b->once ? a->once : a->bytes >= b->bytes)
                break;
            w->order[k] = w->order[k - 1];
        }
        w->order[k] = i;
    }
}

/* What stays when all units of at most `most` bytes are streamed, their ring included. */
static uint64_t least(const struct work *w, uint64_t total, uint64_t most)
{
    for (uint32_t u = 0; u < w->unit_count; u++)
        total -= w->units[u].bytes <= most ? w->units[u].bytes : 0;
    return total + most;
}

/* Marks the units to stream.  A ring for units of at most `most` bytes asks for `total` + ring - limit streamed bytes, so the
 * smallest ring that will do streams least; where none will, all are streamed. */
static void choose(struct work *w, uint64_t total, uint64_t limit)
{
    uint64_t most = UINT64_MAX, left = total;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        uint64_t size = w->units[u].bytes;
        if (size && size < most && least(w, total, size) <= limit)
            most = size;
    }
    bool possible = most != UINT64_MAX;
    uint64_t ring = possible ? most : 0;
    for (uint32_t i = 0; i < w->unit_count && (!possible || left + ring > limit); i++) {
        const struct vka_unit *u = &w->units[w->order[i]];
        if (!u->bytes || u->bytes > most)
            continue;
        w->streamed[w->order[i]] = true;
        left -= u->bytes;
    }
}

/* The ring for prefetching what is marked now. */
static uint64_t double_ring(const struct work *w)
{
    uint64_t ring = 0, before = 0;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        uint64_t size = w->units[u].bytes, beside = before;
        if (!w->streamed[u])
            continue;
        if (w->units[u].once)
            beside = w->host[u] >= 0 && w->streamed[w->host[u]] ? w->units[w->host[u]].bytes : 0;
        else
            before = size;
        ring = size + beside > ring ? size + beside : ring;
    }
    return ring;
}

/* What stays on the device when what is marked now is streamed. */
static uint64_t stay(const struct work *w, uint64_t total)
{
    for (uint32_t u = 0; u < w->unit_count; u++)
        total -= w->streamed[u] ? w->units[u].bytes : 0;
    return total + double_ring(w);
}

static void mark(struct work *w, uint64_t most)
{
    for (uint32_t u = 0; u < w->unit_count; u++)
        w->streamed[u] = w->units[u].bytes && w->units[u].bytes <= most;
}

/* The same for a ring to prefetch in, whose size depends on who follows whom: the smallest units that will do are marked, and
 * taken back one by one, the small ones first, as long as the limit holds. */
static void choose_prefetched(struct work *w, uint64_t total, uint64_t limit)
{
    uint64_t most = UINT64_MAX;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        uint64_t size = w->units[u].bytes;
        if (!size || size >= most)
            continue;
        mark(w, size);
        most = stay(w, total) <= limit ? size : most;
    }
    mark(w, most);
    for (uint32_t i = w->unit_count; i-- > 0 && most != UINT64_MAX;) {
        uint32_t u = w->order[i];
        if (!w->streamed[u])
            continue;
        w->streamed[u] = false;
        w->streamed[u] = stay(w, total) > limit;
    }
}

/* ---- places --------------------------------------------------------------------------------------------- */

/* Appends to blocks of at most VKA_BLOCK_LIMIT; false when memory is short. */
static bool append(uint64_t **blocks, uint32_t *count, size_t *capacity, uint64_t bytes, uint32_t *block, uint64_t *offset)
{
    uint64_t *last = *count ? &(*blocks)[*count - 1] : NULL;
    if (!last || *last + bytes > VKA_BLOCK_LIMIT) {
        uint64_t *more = vka_grow(*blocks, capacity, (size_t)*count + 1, sizeof *more);
        if (!more)
            return false;
        *blocks = more;
        last = &more[(*count)++];
        *last = 0;
    }
    *block = *count - 1;
    *offset = *last;
    *last += bytes;
    return true;
}

static bool is_streamed(const struct work *w, uint32_t t) { return w->home[t] >= 0 && w->streamed[w->home[t]]; }

/* Places in the ring of what is at home in a unit, from `at` on; returns the end. */
static uint64_t place_unit(struct work *w, uint32_t u, uint64_t at)
{
    for (uint32_t t = 1; t < w->p->graph->tensor_count; t++)
        if (w->home[t] == (int32_t)u) {
            w->p->places[t].offset = at;
            at += bytes_of(w->p, t);
        }
    return at;
}

/* The same for prefetching: units of every evaluation at the ring's two ends in turn, what runs once where its host is not. */
static uint64_t place_double_ring(struct work *w)
{
    uint64_t ring = double_ring(w);
    bool at_end = false;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        if (!w->streamed[u] || w->units[u].once)
            continue;
        place_unit(w, u, at_end ? ring - w->units[u].bytes : 0);
        for (uint32_t k = 0; k < w->unit_count; k++)
            if (w->streamed[k] && w->host[k] == (int32_t)u)
                place_unit(w, k, at_end ? 0 : w->units[u].bytes);
        at_end = !at_end;
    }
    for (uint32_t u = 0; u < w->unit_count; u++)
        if (w->streamed[u] && w->units[u].once && (w->host[u] < 0 || !w->streamed[w->host[u]]))
            place_unit(w, u, 0);
    return ring;
}

/* The place in the ring of every streamed weight; returns the ring's size. */
static uint64_t place_ring(struct work *w)
{
    struct vka_plan *p = w->p;
    const struct vka_graph *g = p->graph;
    uint64_t ring = 0;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        if (!w->streamed[u] || w->units[u].once)
            continue;
        uint64_t at = place_unit(w, u, 0);
        ring = at > ring ? at : ring;
    }
    /* what only those units read that run once lies behind what they find at home elsewhere */
    for (uint32_t u = 0; u < w->unit_count; u++) {
        if (!w->streamed[u] || !w->units[u].once)
            continue;
        uint64_t at = 0;
        for (uint32_t i = w->units[u].first; i < w->units[u].end; i++)
            for (uint32_t k = 0; k < g->nodes[i].inputs; k++) {
                uint32_t t = g->nodes[i].in[k].id;
                if (is_weight(p, t) && is_streamed(w, t) && w->home[t] != (int32_t)u && p->places[t].offset + bytes_of(p, t) > at)
                    at = p->places[t].offset + bytes_of(p, t);
            }
        at = place_unit(w, u, at);
        ring = at > ring ? at : ring;
    }
    return ring;
}

static bool add_copy(struct vka_plan *p, struct vka_unit *u, uint32_t t, size_t *capacity)
{
    for (uint32_t i = u->copy; i < u->copy + u->copies; i++)
        if (p->copies[i] == t)
            return true;
    uint32_t *more = vka_grow(p->copies, capacity, (size_t)p->copy_count + 1, sizeof *more);
    if (!more)
        return false;
    p->copies = more;
    more[p->copy_count++] = t;
    u->copies++;
    u->bytes += vka_tensor_bytes(&p->graph->tensors[t]);
    return true;
}

/* The plan's units: those that read streamed weights, with the copies that they need. */
static bool list_units(struct work *w)
{
    struct vka_plan *p = w->p;
    const struct vka_graph *g = p->graph;
    size_t capacity = 0;
    p->units = vka_calloc(w->unit_count, sizeof *p->units);
    if (!p->units)
        return false;
    for (uint32_t u = 0; u < w->unit_count; u++) {
        struct vka_unit *to = &p->units[p->unit_count];
        *to = (struct vka_unit){.first = w->units[u].first, .end = w->units[u].end, .once = w->units[u].once, .copy = p->copy_count};
        for (uint32_t i = to->first; i < to->end; i++)
            for (uint32_t k = 0; k < g->nodes[i].inputs; k++) {
                uint32_t t = g->nodes[i].in[k].id;
                if (is_weight(p, t) && is_streamed(w, t) && !add_copy(p, to, t, &capacity))
                    return false;
            }
        if (!to->copies)
            continue;
        p->stream_bytes += to->once ? 0 : to->bytes * p->passes;
        p->unit_count++;
    }
    return true;
}

static bool place_all(struct work *w)
{
    struct vka_plan *p = w->p;
    const struct vka_graph *g = p->graph;
    size_t capacity = 0, host_capacity = 0;
    uint64_t ring = w->prefetch ? place_double_ring(w) : place_ring(w);
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        struct vka_place *at = &p->places[t];
        if (!is_weight(p, t))
            continue;
        uint64_t bytes = bytes_of(p, t);
        at->space = VKA_SPACE_WEIGHT;
        at->bytes = bytes;
        at->sample_stride = g->tensors[t].h * g->tensors[t].w * g->tensors[t].pitch;
        at->streamed = is_streamed(w, t);
        bool ok = at->streamed ? append(&p->host_blocks, &p->host_block_count, &host_capacity, bytes, &at->host_block, &at->host_offset)
                               : append(&p->weight_blocks, &p->weight_block_count, &capacity, bytes, &at->block, &at->offset);
        if (!ok)
            return false;
        *(at->streamed ? &p->host_bytes : &p->weight_bytes) += bytes;
    }
    if (ring) {
        uint64_t *more = vka_grow(p->weight_blocks, &capacity, (size_t)p->weight_block_count + 1, sizeof *more);
        if (!more)
            return false;
        p->weight_blocks = more;
        p->ring_block = p->weight_block_count;
        p->prefetch = w->prefetch;
        more[p->weight_block_count++] = ring;
        p->weight_bytes += ring;
        for (uint32_t t = 1; t < g->tensor_count; t++)
            if (p->places[t].streamed)
                p->places[t].block = p->ring_block;
    }
    return !ring || list_units(w);
}

bool vka_place_weights(struct vka_planning *planning, const struct vka_knobs *knobs)
{
    struct vka_plan *p = planning->plan;
    const struct vka_graph *g = p->graph;
    size_t most = (size_t)g->node_count + 1;
    struct work w = {.p = p,
                     .units = vka_calloc(most, sizeof *w.units),
                     .streamed = vka_calloc(most, sizeof *w.streamed),
                     .order = vka_calloc(most, sizeof *w.order),
                     .host = vka_calloc(most, sizeof *w.host),
                     .prefetch = knobs->prefetch,
                     .home = vka_calloc(g->tensor_count, sizeof *w.home)};
    bool ok = w.units && w.streamed && w.order && w.host && w.home;
    if (ok) {
        uint64_t total = 0;
        for (uint32_t t = 1; t < g->tensor_count; t++)
            total += is_weight(p, t) ? bytes_of(p, t) : 0;
        make_units(&w);
        find_homes(&w);
        if (total > knobs->weight_limit) {
            set_order(&w);
            (w.prefetch ? choose_prefetched : choose)(&w, total, knobs->weight_limit);
        }
        ok = place_all(&w);
    }
    free(w.units);
    free(w.streamed);
    free(w.order);
    free(w.host);
    free(w.home);
    return ok;
}
