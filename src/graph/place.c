/* place.c - where tensors lie: bytes, lifetimes, offsets.  See plan.h.
 *
 * A lifetime is a range of nodes.  A whole tensor that a segment of several parts makes or reads is taken for all of
 * that segment, since its parts run one after another; a local one holds a part, from its producer to its last
 * reader.
 *
 * A parked tensor's lifetime has a gap, in which its bytes are others'.
 *
 * An output takes the bytes of an input in place where the kernel allows it and nobody reads that input afterwards;
 * tensors that share bytes are placed as one. */
#include "graph/plan_parts.h"

#include <stdlib.h>
#include <string.h>

uint64_t vka_pass_bytes(const struct vka_plan *p, const struct vka_tensor_info *t)
{
    uint64_t n = t->domain == VKA_SAMPLE ? p->pass_samples : t->n;
    return vka_round_up(n * t->h * t->w * t->pitch * vka_dtype_bytes(t->dtype), VKA_PLAN_ALIGN);
}

/* ---- lifetimes ------------------------------------------------------------------------------------- */

static void set_place(const struct vka_planning *w, uint32_t tensor)
{
    const struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    const struct vka_tensor_info *t = &g->tensors[tensor];
    struct vka_place *at = &p->places[tensor];
    const struct vka_segment *made = &p->segments[w->segment_of[t->producer]];
    at->bytes = vka_pass_bytes(p, t);
    at->born = t->producer;
    at->dies = w->last[tensor] < 0 ? t->producer : w->last[tensor];
    const struct vka_segment *read = &p->segments[w->segment_of[at->dies]];
    if (made == read && made->parts > 1 && t->domain == VKA_SAMPLE) {
        uint64_t rows = (uint64_t)t->h * t->w, samples = p->pass_samples;
        if (made->axis == VKA_AXIS_SAMPLE)
            samples = made->step;
        else {
            uint64_t step = made->step + (t->producer < (int32_t)made->wide_end ? 2 * (uint64_t)made->wider : 0);
            rows = step / t->block < rows ? step / t->block : rows;
        }
        at->sample_stride = (uint32_t)(rows * t->pitch);
        at->bytes = vka_round_up(samples * rows * t->pitch * vka_dtype_bytes(t->dtype), VKA_PLAN_ALIGN);
        at->local = true;
    } else if (made != read) {
        /* all parts of the segment that makes it, and of the last that reads it; those between run inside that range */
        if (made->parts > 1)
            at->born = (int32_t)made->first;
        if (read->parts > 1)
            at->dies = (int32_t)read->end - 1;
    }
    if (made->once && !read->once) { /* kept from the first step to the last */
        at->born = 0;
        at->dies = (int32_t)g->node_count;
    }
}

/* The input whose bytes the node's first output takes, or 0. */
static uint32_t shared_input(const struct vka_planning *w, uint32_t node)
{
    const struct vka_graph *g = w->plan->graph;
    const struct vka_node *n = &g->nodes[node];
    const struct vka_tensor_info *o = &g->tensors[n->out[0].id];
    const struct vka_place *to = &w->plan->places[n->out[0].id];
    if (to->space != VKA_SPACE_ARENA || to->returns)
        return 0;
    for (uint32_t i = 0; i < n->inputs; i++) {
        uint32_t id = n->in[i].id, uses = 0;
        const struct vka_tensor_info *a = &g->tensors[id];
        const struct vka_place *from = &w->plan->places[id];
        if (!(n->in_place >> i & 1) || !id || from->space != VKA_SPACE_ARENA || w->last[id] != (int32_t)node || from->returns)
            continue;
        for (uint32_t k = 0; k < n->inputs; k++)
            uses += n->in[k].id == id;
        bool same = a->dtype == o->dtype && a->domain == o->domain && a->n == o->n && a->h == o->h && a->w == o->w &&
                    a->c == o->c && a->pitch == o->pitch && from->local == to->local;
        /* what is kept from step to step stays untouched */
        bool kept = from->dies == (int32_t)g->node_count || to->dies == (int32_t)g->node_count;
        if (uses == 1 && same && !kept)
            return id;
    }
    return 0;
}

void vka_set_places(struct vka_planning *w)
{
    struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    uint32_t n = g->node_count;
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        const struct vka_tensor_info *info = &g->tensors[t];
        struct vka_place *at = &p->places[t];
        const struct vka_place before = *at;
        *at = (struct vka_place){.space = VKA_SPACE_BOUND,
                                 .sample_stride = info->h * info->w * info->pitch,
                                 .bytes = vka_tensor_bytes(info)};
        if (info->role == VKA_WEIGHT) { /* placed once and for all */
            *at = before;
        } else if (vka_is_planned(info)) {
            at->space = VKA_SPACE_ARENA;
            set_place(w, t);
        }
    }
    for (uint32_t i = 0; i < p->parking_count; i++) {
        p->places[p->parkings[i].tensor].leaves = (int32_t)p->parkings[i].leaves;
        p->places[p->parkings[i].tensor].returns = (int32_t)p->parkings[i].returns;
    }
    for (uint32_t i = 0; i < n; i++)
        p->places[g->nodes[i].out[0].id].shares = shared_input(w, i);

    /* sums by differences: a lifetime that continues in place begins where the former ends */
    memset(w->live, 0, ((size_t)n + 1) * sizeof *w->live);
    memset(w->live_local, 0, ((size_t)n + 1) * sizeof *w->live_local);
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        const struct vka_place *at = &p->places[t];
        if (at->space != VKA_SPACE_ARENA)
            continue;
        int32_t born = at->shares ? p->places[at->shares].dies + 1 : at->born;
        if (born > at->dies)
            continue;
        w->live[born] += at->bytes;
        w->live_local[born] += at->local ? at->bytes : 0;
        if (at->returns) {
            w->live[at->leaves + 1] -= at->bytes;
            w->live[at->returns] += at->bytes;
        }
        if (at->dies < (int32_t)n) {
            w->live[at->dies + 1] -= at->bytes; /* may wrap: only the running sum counts */
            w->live_local[at->dies + 1] -= at->local ? at->bytes : 0;
        }
    }
    for (uint32_t i = 1; i < n; i++) {
        w->live[i] += w->live[i - 1];
        w->live_local[i] += w->live_local[i - 1];
    }
}

/* ---- offsets --------------------------------------------------------------------------------------- */

/* Tensors that share bytes, as one. */
struct slot {
    uint64_t bytes, offset;
    int32_t born, dies;
    int32_t leaves, returns; /* as of a place */
    uint32_t tensor; /* the first of them */
};

/* Whether there is a node at which both are there. */
static bool same_time(const struct slot *a, const struct slot *b)
{
    bool met = false;
    for (int i = 0; i < (a->returns ? 2 : 1); i++)
        for (int k = 0; k < (b->returns ? 2 : 1); k++) {
            int32_t a0 = i ? a->returns : a->born, a1 = a->returns && !i ? a->leaves : a->dies;
            int32_t b0 = k ? b->returns : b->born, b1 = b->returns && !k ? b->leaves : b->dies;
            met = met || (a0 <= b1 && b0 <= a1);
        }
    return met;
}

static int by_size(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor < y->tensor ? -1 : 1;
}

/* The lowest offset at which a slot meets none of the placed ones, which are sorted by offset, and crosses no
 * multiple of `cap`. */
static uint64_t lowest(const struct slot *placed, uint32_t count, const struct slot *s, uint64_t cap)
{
    uint64_t offset = 0;
    for (uint32_t k = 0; k <= count;) {
        if (offset / cap != (offset + s->bytes - 1) / cap)
            offset = vka_round_up(offset, cap);
        /* offsets only rise, so what was passed because it ends below stays below */
        const struct slot *q = &placed[k++];
        if (k > count || !same_time(q, s) || q->offset + q->bytes <= offset)
            continue;
        if (q->offset < offset + s->bytes)
            offset = q->offset + q->bytes;
        else
            break; /* the rest begins higher still */
    }
    return offset;
}

/* Offsets in one line of bytes that is then cut into blocks of `cap`: no tensor straddles a multiple of it. */
static void place_slots(struct slot *slots, uint32_t count, struct slot *placed, uint64_t cap)
{
    qsort(slots, count, sizeof *slots, by_size);
    for (uint32_t i = 0; i < count; i++) {
        slots[i].offset = lowest(placed, i, &slots[i], cap);
        uint32_t k = i;
        for (; k > 0 && placed[k - 1].offset > slots[i].offset; k--)
            placed[k] = placed[k - 1];
        placed[k] = slots[i];
    }
}

bool vka_place_arena(struct vka_plan *p)
{
    const struct vka_graph *g = p->graph;
    struct slot *slots = vka_calloc(2 * (size_t)g->tensor_count, sizeof *slots);
    uint32_t *slot_of = vka_calloc(g->tensor_count, sizeof *slot_of);
    if (!slots || !slot_of) {
        free(slots);
        free(slot_of);
        return false;
    }
    uint32_t count = 0;
    uint64_t cap = VKA_BLOCK_LIMIT, total = 0;
    /* A tensor's bytes come from one of an earlier node, so that going through the nodes meets the first of a slot
     * first. */
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].outputs; k++) {
            uint32_t t = g->nodes[i].out[k].id;
            const struct vka_place *at = &p->places[t];
            if (at->space != VKA_SPACE_ARENA)
                continue;
            if (at->shares) {
                struct slot *s = &slots[slot_of[t] = slot_of[at->shares]];
                s->born = at->born < s->born ? at->born : s->born;
                s->dies = at->dies > s->dies ? at->dies : s->dies;
                continue;
            }
            slot_of[t] = count;
            slots[count++] = (struct slot){.bytes = at->bytes, .born = at->born, .dies = at->dies, .leaves = at->leaves, .returns = at->returns, .tensor = t};
            cap = at->bytes > cap ? at->bytes : cap;
        }
    place_slots(slots, count, slots + g->tensor_count, cap);
    for (uint32_t i = 0; i < count; i++) {
        struct vka_place *at = &p->places[slots[i].tensor];
        at->block = (uint32_t)(slots[i].offset / cap);
        at->offset = slots[i].offset % cap;
        total = slots[i].offset + slots[i].bytes > total ? slots[i].offset + slots[i].bytes : total;
    }
    p->arena_block_count = (uint32_t)((total + cap - 1) / cap);
    p->arena_bytes = 0;
    free(p->arena_blocks);
    p->arena_blocks = vka_calloc(p->arena_block_count, sizeof *p->arena_blocks);
    for (uint32_t i = 0; p->arena_blocks && i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].outputs; k++) {
            struct vka_place *at = &p->places[g->nodes[i].out[k].id];
            if (at->space != VKA_SPACE_ARENA)
                continue;
            if (at->shares) {
                at->block = p->places[at->shares].block;
                at->offset = p->places[at->shares].offset;
            }
            if (at->offset + at->bytes > p->arena_blocks[at->block])
                p->arena_blocks[at->block] = at->offset + at->bytes;
        }
    for (uint32_t i = 0; p->arena_blocks && i < p->arena_block_count; i++)
        p->arena_bytes += p->arena_blocks[i];
    free(slots);
    free(slot_of);
    return p->arena_blocks != NULL;
}
