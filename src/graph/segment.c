/* segment.c - which nodes run together, part by part.  See plan.h.
 *
 * Nodes join a segment while they share a cut axis.  Where that ends, the border is put among the last nodes that
 * could also run on the next segment's axis, at the place with the fewest live bytes: so a motion module's token
 * rows begin right after its norm's statistics, not at its attention.
 *
 * Where a network says so a segment ends in any case (vka_graph_end_segment).
 *
 * Where a pass has one sample, pictures are cut along rows instead.  A 3x3 convolution reads a row more on either side: in a
 * segment there is one at most, and what lies before it runs for that row too, which is made twice then, with the same bits. */
#include "graph/plan_parts.h"

enum { PIXEL_QUANTUM = 8, MOST_PARTS = 256 };

/* Bytes of tensors made before node i and read at or after it. */
static uint64_t live_across(const struct vka_planning *w, uint32_t i)
{
    const struct vka_graph *g = w->plan->graph;
    uint64_t sum = 0;
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (vka_is_planned(&g->tensors[t]) && g->tensors[t].producer < (int32_t)i && w->last[t] >= (int32_t)i)
            sum += vka_pass_bytes(w->plan, &g->tensors[t]);
    return sum;
}

/* Pixels of the clip's tensors that a node reads and writes; 1 when there is none with more.  *same: all of them
 * that have more than one pixel have equally many, as a cut along pixels needs. */
static uint32_t node_pixels(const struct vka_graph *g, const struct vka_node *n, bool *same)
{
    uint32_t most = 1;
    *same = true;
    for (uint32_t k = 0; k < n->inputs + n->outputs; k++) {
        const struct vka_tensor_info *t = &g->tensors[k < n->inputs ? n->in[k].id : n->out[k - n->inputs].id];
        uint32_t pixels = t->h * t->w * t->block;
        if (t->domain != VKA_SAMPLE || pixels <= 1)
            continue;
        *same = *same && (most == 1 || most == pixels);
        most = vka_max_u32(most, pixels);
    }
    return most;
}

/* Axes of a node.  One that makes one pixel of each sample would be run again by every part along pixels: it has not
 * that axis. */
static uint32_t node_axes(const struct vka_planning *w, uint32_t i)
{
    const struct vka_graph *g = w->plan->graph;
    const struct vka_node *n = &g->nodes[i];
    const bool picture = w->plan->pass_samples == 1;
    uint32_t axes = n->op->axes(g, n);
    axes = picture ? axes & (VKA_AXIS_PIXEL | VKA_AXIS_ROW) : axes & (VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
    axes |= picture && axes & VKA_AXIS_PIXEL ? VKA_AXIS_ROW : 0;
    bool same, one = false;
    for (uint32_t k = 0; k < n->outputs; k++) {
        const struct vka_tensor_info *t = &g->tensors[n->out[k].id];
        one = one || t->h * t->w * t->block == 1;
    }
    node_pixels(g, n, &same);
    return same && !one ? axes : axes & VKA_AXIS_SAMPLE;
}

static uint32_t halo_of(const struct vka_node *n)
{
    return n->op->halo ? n->op->halo(n) : 0;
}

/* Whether the node leaves statistics of blocks of pixels: it cannot run for other rows than its own. */
static bool in_blocks(const struct vka_graph *g, const struct vka_node *n)
{
    bool some = false;
    for (uint32_t k = 0; k < n->outputs; k++)
        some = some || g->tensors[n->out[k].id].block > 1;
    return some;
}

/* Sets what rows ask for: the node that reads more than its own, and steps of whole rows and whole blocks. */
static void set_rows(const struct vka_graph *g, struct vka_segment *s)
{
    const uint32_t row = g->tensors[g->nodes[s->first].out[0].id].w;
    uint32_t block = 1;
    for (uint32_t i = s->first; i < s->end; i++) {
        for (uint32_t k = 0; k < g->nodes[i].outputs; k++)
            block = vka_max_u32(block, g->tensors[g->nodes[i].out[k].id].block);
        if (halo_of(&g->nodes[i])) {
            s->wide_end = i;
            s->wider = halo_of(&g->nodes[i]) * row;
        }
    }
    for (s->quantum = row; s->quantum % block;)
        s->quantum += row;
}

/* The nodes from s->first on that share an axis; sets axis, extent and end. */
static void grow_segment(const struct vka_planning *w, struct vka_segment *s)
{
    const struct vka_graph *g = w->plan->graph;
    const uint32_t both = w->plan->pass_samples == 1 ? VKA_AXIS_PIXEL | VKA_AXIS_ROW : VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL;
    uint32_t axes = node_axes(w, s->first), j = s->first + 1,
             need = s->first; /* need: the last node that asks for an axis */
    bool same, fixed = halo_of(&g->nodes[s->first]) || in_blocks(g, &g->nodes[s->first]); /* for no other rows than its own */
    uint32_t pixels = node_pixels(g, &g->nodes[s->first], &same);
    for (; j < g->node_count && g->nodes[j].once == s->once && !g->nodes[j - 1].ends; j++) {
        uint32_t a = node_axes(w, j), there = node_pixels(g, &g->nodes[j], &same), shared = axes & a;
        if (there != pixels && there > 1 && pixels > 1)
            shared &= VKA_AXIS_SAMPLE; /* pixels of different pictures do not correspond */
        if (shared == VKA_AXIS_ROW && fixed && halo_of(&g->nodes[j]))
            break;
        if (axes ? !shared : a)
            break;
        fixed = fixed || halo_of(&g->nodes[j]) || in_blocks(g, &g->nodes[j]);
        if (shared != axes || a != both)
            need = j;
        axes = shared;
        pixels = vka_max_u32(pixels, there);
    }
    if (axes && j < g->node_count && node_axes(w, j) && !g->nodes[j - 1].ends) {
        uint32_t border = j;
        uint64_t best = live_across(w, j);
        for (uint32_t k = j - 1; k > need; k--) {
            uint64_t live = live_across(w, k);
            if (live < best) {
                best = live;
                border = k;
            }
        }
        j = border;
    }
    s->end = j;
    s->quantum = PIXEL_QUANTUM;
    for (uint32_t i = s->first; i < j; i++)
        for (uint32_t k = 0; k < g->nodes[i].outputs; k++)
            s->quantum = vka_max_u32(s->quantum, g->tensors[g->nodes[i].out[k].id].block);
    s->axis = axes & VKA_AXIS_SAMPLE ? VKA_AXIS_SAMPLE : axes & VKA_AXIS_PIXEL ? VKA_AXIS_PIXEL : axes;
    s->extent = s->axis == VKA_AXIS_SAMPLE ? w->plan->pass_samples : vka_along_pixels(s) ? pixels : 1;
    if (s->axis == VKA_AXIS_ROW)
        set_rows(g, s);
}

bool vka_make_segments(struct vka_planning *w)
{
    struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    p->segments = vka_calloc((size_t)g->node_count + 1, sizeof *p->segments);
    if (!p->segments)
        return false;
    for (uint32_t i = 0; i < g->node_count;) {
        struct vka_segment *s = &p->segments[p->segment_count];
        *s = (struct vka_segment){.first = i, .once = g->nodes[i].once, .parts = 1};
        grow_segment(w, s);
        s->step = s->extent;
        for (; i < s->end; i++)
            w->segment_of[i] = p->segment_count;
        p->segment_count++;
    }
    return true;
}

/* ---- cuts ------------------------------------------------------------------------------------------ */

static void set_parts(struct vka_segment *s, uint32_t parts)
{
    uint32_t step = vka_div_up(s->extent, parts);
    if (vka_along_pixels(s))
        step = vka_min_u32((uint32_t)vka_round_up(step, s->quantum), s->extent);
    s->step = step;
    s->parts = vka_div_up(s->extent, step);
}

bool vka_cut_finer(struct vka_segment *s)
{
    if (s->axis == 0)
        return false;
    uint32_t before = s->parts, most = vka_min_u32(s->extent, MOST_PARTS);
    for (uint32_t parts = before; parts < most && s->parts == before;) {
        parts = vka_min_u32(parts * 2, most);
        set_parts(s, parts);
    }
    return s->parts > before;
}

/* Elements that a kernel counts through in one part of a tensor of the clip. */
static uint64_t part_elements(const struct vka_plan *p, const struct vka_segment *s, uint32_t tensor)
{
    const struct vka_tensor_info *t = &p->graph->tensors[tensor];
    const struct vka_place *at = &p->places[tensor];
    uint64_t samples = s->axis == VKA_AXIS_SAMPLE ? s->step : p->pass_samples;
    return samples * (at->space == VKA_SPACE_ARENA ? at->sample_stride : (uint64_t)t->h * t->w * t->pitch);
}

vka_status vka_cut_too_large(struct vka_planning *w, vka_error *err)
{
    struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    for (bool changed = true; changed;) {
        changed = false;
        vka_set_places(w);
        for (uint32_t k = 0; k < p->segment_count; k++) {
            struct vka_segment *s = &p->segments[k];
            uint32_t uncountable = 0;
            bool unwieldy = false;
            for (uint32_t i = s->first; i < s->end; i++) {
                const struct vka_node *n = &g->nodes[i];
                for (uint32_t x = 0; x < n->inputs + n->outputs; x++) {
                    uint32_t t = x < n->inputs ? n->in[x].id : n->out[x - n->inputs].id;
                    if (g->tensors[t].domain != VKA_SAMPLE)
                        continue;
                    if (part_elements(p, s, t) > INT32_MAX)
                        uncountable = t;
                    bool inside = vka_is_planned(&g->tensors[t]) && w->segment_of[g->tensors[t].producer] == k &&
                                  w->last[t] < (int32_t)s->end;
                    unwieldy = unwieldy || (inside && p->places[t].bytes > VKA_BLOCK_LIMIT);
                }
            }
            if ((uncountable || unwieldy) && vka_cut_finer(s))
                changed = true;
            else if (uncountable) {
                const struct vka_tensor_info *t = &g->tensors[uncountable];
                vka_fail(err, VKA_E_MEMORY, "'%s' of the %s is too large: %u samples of %u x %u with %u channels",
                         t->name, g->name, p->pass_samples, t->w, t->h, t->c);
                vka_error_hint(err, "fewer frames, or a smaller picture");
                return VKA_E_MEMORY;
            }
        }
    }
    return VKA_OK;
}
