/* hazard.c - the proof that a recorded program is free of hazards.  See plan.h.
 *
 * Validation layers do not see accesses through addresses, so the proof is ours: first every pair of steps of a list
 * that meet in a byte is looked at on its own, and every step by itself; then the program is walked in order, as a
 * first and a second evaluation run it, with a map from bytes to the tensor that was last written there, so that an
 * arena offset given to two tensors at once is found even where barriers are right.
 *
 * With lists on two queues that walk goes by the program's order, which is one of many that the device may take.  It stands
 * for all of them since every copy on the transfer queue is proven to lie on the same side of each list that it shares bytes
 * with, whatever the device does. */
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

static bool meet(const struct vka_range *a, const struct vka_range *b)
{
    return (a->write || b->write) && a->begin < b->end && b->begin < a->end;
}

static vka_status check_pairs(const struct vka_program *p, vka_error *err)
{
    const struct vka_graph *g = p->plan->graph;
    for (uint32_t l = 0; l < p->list_count; l++) {
        uint32_t first = p->lists[l].step, end = first + p->lists[l].steps;
        for (uint32_t j = first + 1; j < end; j++)
            for (uint32_t i = j; i-- > first && !p->steps[i + 1].barrier;) {
                const struct vka_step *x = &p->steps[i], *y = &p->steps[j];
                for (uint32_t a = x->range; a < x->range + x->ranges; a++)
                    for (uint32_t b = y->range; b < y->range + y->ranges; b++)
                        if (meet(&p->ranges[a], &p->ranges[b])) {
                            vka_fail(err, VKA_E_INTERNAL, "no barrier between '%s' and '%s' in list %u of the %s",
                                     x->node->label, y->node->label, l, g->name);
                            vka_error_why(err, "'%s' and '%s' share bytes", g->tensors[p->ranges[a].tensor].name,
                                          g->tensors[p->ranges[b].tensor].name);
                            return VKA_E_INTERNAL;
                        }
            }
    }
    return VKA_OK;
}

static bool same_bytes(const struct vka_range *a, const struct vka_range *b)
{
    return a->begin == b->begin && a->run == b->run && a->runs == b->runs && (a->stride == b->stride || a->runs == 1);
}

/* Whether range `r`, of the node's first output, may lie on range `other` of an input of a planned place. */
static bool in_place(const struct vka_program *p, const struct vka_step *s, const struct vka_range *r,
                     const struct vka_range *other)
{
    const struct vka_node *n = s->node;
    if (other->write || n->out[0].id != r->tensor || !same_bytes(r, other))
        return false;
    for (uint32_t i = 0; i < n->inputs; i++)
        if (n->in[i].id == other->tensor && !(n->in_place >> i & 1))
            return false; /* in another position it may be read at any time */
    return p->plan->places[r->tensor].space == VKA_SPACE_ARENA &&
           p->plan->graph->tensors[other->tensor].dtype == p->plan->graph->tensors[r->tensor].dtype;
}

static vka_status check_steps(const struct vka_program *p, vka_error *err)
{
    const struct vka_graph *g = p->plan->graph;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const struct vka_step *s = &p->steps[i];
        for (uint32_t a = s->range; a < s->range + s->ranges; a++)
            for (uint32_t b = s->range; b < s->range + s->ranges; b++) {
                const struct vka_range *x = &p->ranges[a], *y = &p->ranges[b];
                /* what the caller binds is the caller's: a sampler's slots are read and written in place */
                if (a == b || !x->write || !meet(x, y) || p->plan->places[x->tensor].space != VKA_SPACE_ARENA)
                    continue;
                if (!in_place(p, s, x, y)) {
                    vka_fail(err, VKA_E_INTERNAL, "'%s' of the %s writes over what it works on", s->node->label,
                             g->name);
                    vka_error_why(err, "'%s' and '%s' share bytes", g->tensors[x->tensor].name,
                                  g->tensors[y->tensor].name);
                    return VKA_E_INTERNAL;
                }
            }
    }
    return VKA_OK;
}

/* ---- two queues --------------------------------------------------------------------------------------- */

static bool runs(const struct vka_program_list *l, enum vka_turn turn) { return turn == VKA_TURN_FIRST || !l->once; }

/* What each list may count on: known[l] is how many of the lists before it, up to which one (1 + its index), are done on the other
 * queue when list l begins: since it waits for them, or one before it on its queue did. */
static vka_status learn(const struct vka_program *p, enum vka_turn turn, uint32_t *known, vka_error *err)
{
    uint32_t so_far[2] = {0, 0};
    for (uint32_t l = 0; l < p->list_count; l++) {
        const struct vka_program_list *list = &p->lists[l];
        if (!runs(list, turn))
            continue;
        uint32_t on = list->after[turn];
        if (on > l || (on && (p->lists[on - 1].transfer == list->transfer || !runs(&p->lists[on - 1], turn))))
            return vka_fail(err, VKA_E_INTERNAL, "list %u of the %s waits for list %u, which is no earlier one of the other queue",
                            l, p->plan->graph->name, on - 1);
        if (list->transfer && list->steps)
            return vka_fail(err, VKA_E_INTERNAL, "list %u of the %s has launches on the transfer queue", l, p->plan->graph->name);
        if (on > so_far[list->transfer])
            so_far[list->transfer] = on;
        known[l] = so_far[list->transfer];
    }
    return VKA_OK;
}

static struct vka_range copied(const struct vka_program *p, uint32_t tensor)
{
    uint64_t begin = p->ring + p->plan->places[tensor].offset;
    return (struct vka_range){.begin = begin, .end = begin + vka_tensor_bytes(&p->plan->graph->tensors[tensor]), .write = true,
                              .tensor = tensor};
}

/* Nothing orders these two lists: a copy of list `t` may share no byte with anything in list `c`. */
static vka_status check_apart(const struct vka_program *p, uint32_t t, uint32_t c, vka_error *err)
{
    const struct vka_graph *g = p->plan->graph;
    const struct vka_program_list *to = &p->lists[t], *list = &p->lists[c];
    for (uint32_t i = to->copy; i < to->copy + to->copies; i++) {
        struct vka_range x = copied(p, p->plan->copies[i]);
        for (uint32_t s = list->step; s < list->step + list->steps; s++)
            for (uint32_t r = p->steps[s].range; r < p->steps[s].range + p->steps[s].ranges; r++)
                if (meet(&x, &p->ranges[r])) {
                    vka_fail(err, VKA_E_INTERNAL, "nothing orders the copy of '%s', list %u, and '%s', list %u of the %s",
                             g->tensors[x.tensor].name, t, p->steps[s].node->label, c, g->name);
                    vka_error_why(err, "it works on '%s', which shares bytes with it", g->tensors[p->ranges[r].tensor].name);
                    return VKA_E_INTERNAL;
                }
        for (uint32_t k = list->copy; k < list->copy + list->copies; k++) {
            struct vka_range y = copied(p, p->plan->copies[k]);
            if (meet(&x, &y))
                return vka_fail(err, VKA_E_INTERNAL, "nothing orders the copies of '%s' and '%s', lists %u and %u of the %s",
                                g->tensors[x.tensor].name, g->tensors[y.tensor].name, t, c, g->name);
        }
    }
    return VKA_OK;
}

static vka_status check_turn(const struct vka_program *p, enum vka_turn turn, uint32_t *known, vka_error *err)
{
    vka_status s = learn(p, turn, known, err);
    for (uint32_t t = 0; s == VKA_OK && t < p->list_count; t++) {
        if (!p->lists[t].transfer || !runs(&p->lists[t], turn))
            continue;
        for (uint32_t c = t; s == VKA_OK && c-- > known[t];) /* earlier, and not known to be done when the copies begin */
            if (!p->lists[c].transfer && runs(&p->lists[c], turn))
                s = check_apart(p, t, c, err);
        for (uint32_t c = t + 1; s == VKA_OK && c < p->list_count; c++) {
            if (p->lists[c].transfer || !runs(&p->lists[c], turn))
                continue;
            if (known[c] > t)
                break; /* it and all behind it come after the copies */
            s = check_apart(p, t, c, err);
        }
    }
    return s;
}

static vka_status check_queues(const struct vka_program *p, vka_error *err)
{
    vka_status s = VKA_OK;
    uint32_t *known = vka_calloc((size_t)p->list_count + 1, sizeof *known);
    if (!known)
        return vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
    for (uint32_t l = 0; s == VKA_OK && l < p->list_count; l++) /* copies of one list run in any order */
        for (uint32_t i = p->lists[l].copy; s == VKA_OK && i < p->lists[l].copy + p->lists[l].copies; i++)
            for (uint32_t k = p->lists[l].copy; s == VKA_OK && k < i; k++) {
                struct vka_range x = copied(p, p->plan->copies[i]), y = copied(p, p->plan->copies[k]);
                if (meet(&x, &y))
                    s = vka_fail(err, VKA_E_INTERNAL, "'%s' and '%s' are copied to the same bytes in list %u of the %s",
                                 p->plan->graph->tensors[x.tensor].name, p->plan->graph->tensors[y.tensor].name, l,
                                 p->plan->graph->name);
            }
    if (s == VKA_OK)
        s = check_turn(p, VKA_TURN_FIRST, known, err);
    if (s == VKA_OK)
        s = check_turn(p, VKA_TURN_NEXT, known, err);
    free(known);
    return s;
}

/* ---- who wrote what ----------------------------------------------------------------------------------- */

/* A map from bytes to the tensor last written there: disjoint spans by rising address; neighbours differ or have a
 * gap. */
struct span {
    uint64_t begin, end;
    uint32_t tensor;
};

struct map {
    struct span *spans;
    size_t count, capacity;
};

/* The first span that ends behind `address`. */
static size_t find(const struct map *m, uint64_t address)
{
    size_t lo = 0, hi = m->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->spans[mid].end <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool map_write(struct map *m, uint64_t begin, uint64_t end, uint32_t tensor)
{
    size_t i = find(m, begin), j = i;
    while (j < m->count && m->spans[j].begin < end)
        j++;
    /* spans i .. j - 1 are met; what sticks out of the first and the last stays */
    struct span fresh[3];
    size_t n = 0;
    if (i < j && m->spans[i].begin < begin)
        fresh[n++] = (struct span){m->spans[i].begin, begin, m->spans[i].tensor};
    fresh[n++] = (struct span){begin, end, tensor};
    if (i < j && m->spans[j - 1].end > end)
        fresh[n++] = (struct span){end, m->spans[j - 1].end, m->spans[j - 1].tensor};
    /* neighbours of the same tensor become one */
    if (i > 0 && m->spans[i - 1].end == fresh[0].begin && m->spans[i - 1].tensor == fresh[0].tensor)
        fresh[0].begin = m->spans[--i].begin;
    if (j < m->count && m->spans[j].begin == fresh[n - 1].end && m->spans[j].tensor == fresh[n - 1].tensor)
        fresh[n - 1].end = m->spans[j++].end;
    size_t out = 0;
    for (size_t k = 1; k < n; k++)
        if (fresh[k].tensor == fresh[out].tensor)
            fresh[out].end = fresh[k].end;
        else
            fresh[++out] = fresh[k];
    n = out + 1;
    size_t count = m->count - (j - i) + n;
    struct span *s = vka_grow(m->spans, &m->capacity, count, sizeof *s);
    if (!s)
        return false;
    m->spans = s;
    if (i + n != j)
        memmove(s + i + n, s + j, (m->count - j) * sizeof *s);
    memcpy(s + i, fresh, n * sizeof *s);
    m->count = count;
    return true;
}

/* VKA_OK when all bytes of a run hold the tensor. */
static vka_status check_read(const struct vka_program *p, const struct map *m, const char *who, uint64_t begin,
                             uint64_t end, uint32_t tensor, vka_error *err)
{
    for (size_t k = find(m, begin); begin < end; k++) {
        bool other = k < m->count && m->spans[k].begin <= begin;
        if (!other || m->spans[k].tensor != tensor) {
            const struct vka_graph *g = p->plan->graph;
            return vka_fail(err, VKA_E_INTERNAL, "'%s' reads '%s' of the %s from bytes that hold %s%s", who,
                            g->tensors[tensor].name, g->name, other ? g->tensors[m->spans[k].tensor].name : "nothing",
                            other ? " instead" : " yet");
        }
        begin = m->spans[k].end;
    }
    return VKA_OK;
}

static vka_status walk_step(const struct vka_program *p, struct map *m, const struct vka_step *s, vka_error *err)
{
    for (int writes = 0; writes < 2; writes++)
        for (uint32_t r = s->range; r < s->range + s->ranges; r++) {
            const struct vka_range *x = &p->ranges[r];
            const struct vka_place *at = &p->plan->places[x->tensor];
            if ((at->space != VKA_SPACE_ARENA && !at->streamed) || x->write != (writes == 1))
                continue;
            bool dense = x->runs == 1 || x->run == x->stride;
            uint64_t run = dense ? x->end - x->begin : x->run, runs = dense ? 1 : x->runs;
            for (uint64_t i = 0; i < runs; i++) {
                uint64_t begin = x->begin + i * x->stride;
                if (!x->write) {
                    vka_status status = check_read(p, m, s->node->label, begin, begin + run, x->tensor, err);
                    if (status != VKA_OK)
                        return status;
                } else if (!map_write(m, begin, begin + run, x->tensor))
                    return vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
            }
        }
    return VKA_OK;
}

/* A streamed weight comes into the ring. */
static bool walk_copy(const struct vka_program *p, struct map *m, uint32_t tensor)
{
    const struct vka_place *at = &p->plan->places[tensor];
    uint64_t begin = p->ring + at->offset;
    return map_write(m, begin, begin + vka_tensor_bytes(&p->plan->graph->tensors[tensor]), tensor);
}

/* A parked tensor goes to the host, or comes back; `away` [parking_count]: whether it is there. */
static vka_status walk_parking(const struct vka_program *p, struct map *m, const struct vka_program_list *l, bool *away,
                               vka_error *err)
{
    uint32_t i = l->parking - 1, tensor = p->plan->parkings[i].tensor;
    const struct vka_graph *g = p->plan->graph;
    if (away[i] == l->leaving)
        return vka_fail(err, VKA_E_INTERNAL, "'%s' of the %s %s", g->tensors[tensor].name, g->name,
                        l->leaving ? "leaves for the host twice" : "returns from the host without having left");
    away[i] = l->leaving;
    if (l->leaving)
        return check_read(p, m, "the way to the host", l->parked, l->parked + l->parked_bytes, tensor, err);
    return map_write(m, l->parked, l->parked + l->parked_bytes, tensor) ? VKA_OK
                                                                        : vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
}

static vka_status check_owners(const struct vka_program *p, vka_error *err)
{
    struct map m = {0};
    bool *away = vka_calloc((size_t)p->plan->parking_count + 1, sizeof *away);
    vka_status status = away ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
    for (int evaluation = 0; evaluation < 2; evaluation++)
        for (uint32_t l = 0; l < p->list_count; l++) {
            const struct vka_program_list *list = &p->lists[l];
            if (evaluation > 0 && list->once)
                continue;
            for (uint32_t i = list->step; i < list->step + list->steps && status == VKA_OK; i++)
                status = walk_step(p, &m, &p->steps[i], err);
            for (uint32_t i = list->copy; i < list->copy + list->copies && status == VKA_OK; i++)
                if (!walk_copy(p, &m, p->plan->copies[i]))
                    status = vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
            if (list->parking && status == VKA_OK)
                status = walk_parking(p, &m, list, away, err);
        }
    free(m.spans);
    free(away);
    return status;
}

vka_status vka_hazard_check(const struct vka_program *program, vka_error *err)
{
    vka_status s = check_pairs(program, err);
    if (s == VKA_OK)
        s = check_steps(program, err);
    if (s == VKA_OK)
        s = check_queues(program, err);
    return s == VKA_OK ? check_owners(program, err) : s;
}
