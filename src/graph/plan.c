/* plan.c - segments, lifetimes, offsets.  See plan.h.
 *
 * Segmentation: nodes join a segment while they share a cut axis.  Where that ends, the border is put among the
 * last nodes that could also run on the next segment's axis, at the place with the fewest live bytes: so a motion
 * module's token rows begin right after its norm's statistics, not at its attention.
 *
 * Placement: tensors by falling size, each at the lowest offset that no tensor alive at the same time holds. */
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- lifetimes ------------------------------------------------------------------------------------- */

static bool planned(const struct vka_tensor_info *t) { return t->role == VKA_TEMP && t->producer >= 0; }

static uint64_t tensor_pass_bytes(const struct vka_plan *p, const struct vka_tensor_info *t)
{
    uint64_t n = t->domain == VKA_SAMPLE ? p->pass_samples : t->n;
    return vka_round_up(n * t->h * t->w * t->pitch * vka_dtype_bytes(t->dtype), VKA_PLAN_ALIGN);
}

static int32_t *last_uses(const struct vka_graph *g)
{
    int32_t *last = malloc(g->tensor_count * sizeof *last);
    if (!last)
        return NULL;
    for (uint32_t i = 0; i < g->tensor_count; i++)
        last[i] = -1;
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
            last[g->nodes[i].in[k].id] = (int32_t)i;
    return last;
}

/* Bytes of tensors made before node i and read at or after it. */
static uint64_t live_across(const struct vka_plan *p, const int32_t *last, uint32_t i)
{
    const struct vka_graph *g = p->graph;
    uint64_t sum = 0;
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (planned(&g->tensors[t]) && g->tensors[t].producer < (int32_t)i && last[t] >= (int32_t)i)
            sum += tensor_pass_bytes(p, &g->tensors[t]);
    return sum;
}

/* ---- segments -------------------------------------------------------------------------------------- */

static uint32_t node_pixels(const struct vka_graph *g, const struct vka_node *n)
{
    uint32_t most = 1;
    for (uint32_t k = 0; k < n->outputs; k++) {
        const struct vka_tensor_info *t = &g->tensors[n->out[k].id];
        if (t->domain == VKA_SAMPLE)
            most = vka_max_u32(most, t->h * t->w);
    }
    return most;
}

/* The axes of a node; a node of one-pixel pictures gains nothing from the pixel axis but keeps it. */
static uint32_t node_axes(const struct vka_graph *g, uint32_t i) { return g->nodes[i].op->axes(g, &g->nodes[i]); }

static bool make_segments(struct vka_plan *p, const int32_t *last)
{
    const struct vka_graph *g = p->graph;
    p->segments = vka_calloc((size_t)g->node_count + 1, sizeof *p->segments);
    if (!p->segments)
        return false;
    for (uint32_t i = 0; i < g->node_count;) {
        struct vka_segment *s = &p->segments[p->segment_count++];
        uint32_t axes = node_axes(g, i), j = i + 1;
        uint32_t need = i; /* the last node that has only the segment's axis */
        uint32_t pixels = node_pixels(g, &g->nodes[i]);
        s->first = i;
        s->once = g->nodes[i].once;
        if (axes == 0) {
            while (j < g->node_count && g->nodes[j].once == s->once && node_axes(g, j) == 0)
                j++;
        } else {
            while (j < g->node_count && g->nodes[j].once == s->once) {
                uint32_t a = axes & node_axes(g, j);
                if (a == VKA_AXIS_PIXEL && node_pixels(g, &g->nodes[j]) != pixels)
                    a = 0;
                if (a == 0)
                    break;
                if (a != axes)
                    need = j;
                if (node_axes(g, j) != (VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL))
                    need = j;
                axes = a;
                pixels = node_pixels(g, &g->nodes[j]);
                j++;
            }
            if (j < g->node_count && node_axes(g, j) != 0 && need + 1 < j) {
                uint64_t best = live_across(p, last, j);
                uint32_t border = j;
                for (uint32_t k = j - 1; k > need; k--) {
                    uint64_t live = live_across(p, last, k);
                    if (live < best) {
                        best = live;
                        border = k;
                    }
                }
                j = border;
            }
        }
        s->end = j;
        s->axis = axes & VKA_AXIS_SAMPLE ? VKA_AXIS_SAMPLE : axes;
        s->extent = s->axis == VKA_AXIS_SAMPLE ? p->pass_samples : s->axis == VKA_AXIS_PIXEL ? pixels : 1;
        s->parts = 1;
        s->step = s->extent;
        i = j;
    }
    return true;
}

enum { PIXEL_QUANTUM = 8, MOST_PARTS = 256 };

static void set_parts(struct vka_segment *s, uint32_t parts)
{
    uint32_t step = vka_div_up(s->extent, parts);
    if (s->axis == VKA_AXIS_PIXEL)
        step = vka_min_u32((uint32_t)vka_round_up(step, PIXEL_QUANTUM), s->extent);
    s->step = step;
    s->parts = vka_div_up(s->extent, step);
}

/* The next finer cut; false at the finest. */
static bool cut_finer(struct vka_segment *s)
{
    if (s->axis == 0)
        return false;
    uint32_t before = s->parts;
    for (uint32_t parts = before * 2; parts <= 2 * s->extent; parts *= 2) {
        set_parts(s, vka_min_u32(vka_min_u32(parts, s->extent), MOST_PARTS));
        if (s->parts > before)
            return true;
        if (parts >= s->extent || parts >= MOST_PARTS)
            break;
    }
    return false;
}

/* ---- placement ------------------------------------------------------------------------------------- */

/* Fills bytes, strides and lifetimes from the segments' cuts. */
static void set_places(struct vka_plan *p, const int32_t *last, const uint32_t *segment_of)
{
    const struct vka_graph *g = p->graph;
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        const struct vka_tensor_info *info = &g->tensors[t];
        struct vka_place *at = &p->places[t];
        at->sample_stride = info->h * info->w * info->pitch;
        at->bytes = vka_tensor_bytes(info);
        at->local = false;
        if (info->role == VKA_WEIGHT) {
            at->space = VKA_SPACE_WEIGHT;
            continue;
        }
        if (!planned(info)) {
            at->space = VKA_SPACE_BOUND;
            continue;
        }
        at->space = VKA_SPACE_ARENA;
        at->bytes = tensor_pass_bytes(p, info);
        const struct vka_segment *made = &p->segments[segment_of[info->producer]];
        at->born = info->producer;
        at->dies = last[t] < 0 ? info->producer : last[t];
        const struct vka_segment *read = &p->segments[segment_of[at->dies]];
        if (made == read && made->parts > 1 && info->domain == VKA_SAMPLE) {
            uint64_t rows = made->axis == VKA_AXIS_SAMPLE ? info->h * info->w : vka_min_u32(made->step, info->h * info->w);
            uint64_t samples = made->axis == VKA_AXIS_SAMPLE ? made->step : p->pass_samples;
            if (made->axis == VKA_AXIS_PIXEL)
                at->sample_stride = (uint32_t)rows * info->pitch;
            at->bytes = vka_round_up(samples * rows * info->pitch * vka_dtype_bytes(info->dtype), VKA_PLAN_ALIGN);
            at->local = true;
        } else if (made == read && made->parts == 1) {
            /* as it is */
        } else {
            if (made->parts > 1)
                at->born = (int32_t)made->first;
            /* the last reading segment runs all its parts before the bytes are free; so does every earlier one */
            if (read->parts > 1)
                at->dies = (int32_t)read->end - 1;
        }
        if (made->once && !read->once) { /* kept from the first step to the last */
            at->born = 0;
            at->dies = (int32_t)g->node_count;
        }
    }
}

struct order {
    uint32_t tensor;
    uint64_t bytes;
};

static int by_size(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor < y->tensor ? -1 : 1;
}

/* Offsets in one line of bytes that is later cut into blocks of `cap`: no tensor straddles a multiple of it. */
static bool place(struct vka_plan *p, uint64_t *total)
{
    const struct vka_graph *g = p->graph;
    struct order *todo = malloc(g->tensor_count * sizeof *todo);
    uint32_t *done = malloc(g->tensor_count * sizeof *done); /* placed tensors by rising offset */
    if (!todo || !done) {
        free(todo);
        free(done);
        return false;
    }
    uint32_t count = 0, placed = 0;
    uint64_t cap = VKA_BLOCK_LIMIT;
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (p->places[t].space == VKA_SPACE_ARENA) {
            todo[count++] = (struct order){t, p->places[t].bytes};
            if (p->places[t].bytes > cap)
                cap = p->places[t].bytes;
        }
    qsort(todo, count, sizeof *todo, by_size);
    *total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct vka_place *at = &p->places[todo[i].tensor];
        uint64_t offset = 0;
        for (uint32_t k = 0; k < placed; k++) {
            const struct vka_place *q = &p->places[done[k]];
            if (q->born > at->dies || at->born > q->dies)
                continue;
            if (q->offset < offset + at->bytes && offset < q->offset + q->bytes)
                offset = q->offset + q->bytes;
            if (offset / cap != (offset + at->bytes - 1) / cap) /* would straddle a block's end */
                offset = vka_round_up(offset, cap);
        }
        /* moving over a border may have met a tensor that was passed before: go round until nothing overlaps */
        for (bool moved = true; moved;) {
            moved = false;
            if (offset / cap != (offset + at->bytes - 1) / cap)
                offset = vka_round_up(offset, cap);
            for (uint32_t k = 0; k < placed; k++) {
                const struct vka_place *q = &p->places[done[k]];
                if (q->born <= at->dies && at->born <= q->dies && q->offset < offset + at->bytes &&
                    offset < q->offset + q->bytes) {
                    offset = q->offset + q->bytes;
                    moved = true;
                }
            }
        }
        at->offset = offset;
        if (offset + at->bytes > *total)
            *total = offset + at->bytes;
        uint32_t k = placed++;
        while (k > 0 && p->places[done[k - 1]].offset > offset) {
            done[k] = done[k - 1];
            k--;
        }
        done[k] = todo[i].tensor;
    }
    /* cut the line into blocks */
    p->arena_block_count = (uint32_t)((*total + cap - 1) / cap);
    free(p->arena_blocks);
    p->arena_blocks = vka_calloc(p->arena_block_count, sizeof *p->arena_blocks);
    if (p->arena_blocks)
        for (uint32_t i = 0; i < count; i++) {
            struct vka_place *at = &p->places[todo[i].tensor];
            at->block = (uint32_t)(at->offset / cap);
            at->offset %= cap;
            if (at->offset + at->bytes > p->arena_blocks[at->block])
                p->arena_blocks[at->block] = at->offset + at->bytes;
        }
    free(todo);
    free(done);
    p->arena_bytes = 0;
    for (uint32_t i = 0; p->arena_blocks && i < p->arena_block_count; i++)
        p->arena_bytes += p->arena_blocks[i];
    return p->arena_blocks != NULL;
}

static bool place_weights(struct vka_plan *p)
{
    const struct vka_graph *g = p->graph;
    uint64_t fill = 0;
    uint32_t capacity = 0;
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        if (g->tensors[t].role != VKA_WEIGHT)
            continue;
        struct vka_place *at = &p->places[t];
        uint64_t bytes = vka_round_up(vka_tensor_bytes(&g->tensors[t]), VKA_PLAN_ALIGN);
        if (!p->weight_block_count || fill + bytes > VKA_BLOCK_LIMIT) {
            if (p->weight_block_count == capacity) {
                uint64_t *more = realloc(p->weight_blocks, (capacity + 16) * sizeof *more);
                if (!more)
                    return false;
                p->weight_blocks = more;
                capacity += 16;
            }
            p->weight_blocks[p->weight_block_count++] = 0;
            fill = 0;
        }
        at->block = p->weight_block_count - 1;
        at->offset = fill;
        at->bytes = bytes;
        fill += bytes;
        p->weight_blocks[at->block] = fill;
    }
    for (uint32_t i = 0; i < p->weight_block_count; i++)
        p->weight_bytes += p->weight_blocks[i];
    return true;
}

/* Live arena bytes at each node for the present places. */
static void live_bytes(const struct vka_plan *p, uint64_t *live)
{
    uint32_t n = p->graph->node_count;
    memset(live, 0, n * sizeof *live);
    for (uint32_t t = 1; t < p->graph->tensor_count; t++) {
        const struct vka_place *at = &p->places[t];
        if (at->space != VKA_SPACE_ARENA)
            continue;
        for (int32_t i = at->born; i <= at->dies && i < (int32_t)n; i++)
            live[i] += at->bytes;
    }
}

struct vka_plan *vka_plan_make(const struct vka_graph *graph, uint32_t branches_per_pass, uint64_t limit, vka_error *err)
{
    struct vka_plan *p = calloc(1, sizeof *p);
    uint32_t branches = graph->samples / graph->frames, n = graph->node_count;
    int32_t *last = last_uses(graph);
    uint32_t *segment_of = malloc(((size_t)n + 1) * sizeof *segment_of);
    uint64_t *live = malloc(((size_t)n + 1) * sizeof *live);
    bool ok = p && last && segment_of && live;
    if (ok) {
        p->graph = graph;
        p->branches_per_pass = vka_min_u32(branches_per_pass ? branches_per_pass : branches, branches);
        p->passes = vka_div_up(branches, p->branches_per_pass);
        p->pass_samples = p->branches_per_pass * graph->frames;
        p->places = vka_calloc(graph->tensor_count, sizeof *p->places);
        ok = p->places && make_segments(p, last) && place_weights(p);
    }
    if (ok) {
        for (uint32_t s = 0; s < p->segment_count; s++)
            for (uint32_t i = p->segments[s].first; i < p->segments[s].end; i++)
                segment_of[i] = s;
        segment_of[n] = p->segment_count;
        /* Cut the segments that stand above the target until none does; placement wastes a little, so aim lower
         * while the result is above the limit. */
        uint64_t target = limit, total = 0;
        for (;;) {
            bool finest = true;
            set_places(p, last, segment_of);
            for (uint32_t round = 0; round < 16; round++) {
                bool cut = false;
                live_bytes(p, live);
                for (uint32_t s = 0; s < p->segment_count; s++) {
                    uint64_t most = 0;
                    for (uint32_t i = p->segments[s].first; i < p->segments[s].end; i++)
                        most = live[i] > most ? live[i] : most;
                    if (most > target && cut_finer(&p->segments[s])) {
                        cut = true;
                        finest = false;
                    }
                }
                if (!cut)
                    break;
                set_places(p, last, segment_of);
            }
            ok = place(p, &total);
            if (!ok || p->arena_bytes <= limit)
                break;
            if (finest && target == 0)
                break;
            target = finest || target < total / 32 ? 0 : target - target / 32;
        }
    }
    if (ok) {
        live_bytes(p, live);
        for (uint32_t i = 0; i < n; i++) {
            struct vka_cost c = {0};
            graph->nodes[i].op->cost(graph, &graph->nodes[i], &c);
            if (!graph->nodes[i].once) {
                p->flop += c.flop;
                p->bytes += c.bytes;
            }
            if (live[i] > live[p->peak_node])
                p->peak_node = i;
        }
    }
    free(last);
    free(segment_of);
    free(live);
    if (!ok) {
        vka_plan_destroy(&p);
        vka_fail(err, VKA_E_MEMORY, "out of memory planning the %s", graph->name);
    }
    return p;
}

void vka_plan_destroy(struct vka_plan **plan)
{
    if (!plan || !*plan)
        return;
    free((*plan)->segments);
    free((*plan)->places);
    free((*plan)->arena_blocks);
    free((*plan)->weight_blocks);
    free(*plan);
    *plan = NULL;
}
