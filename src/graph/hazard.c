/* hazard.c - the proof that a recorded program is free of hazards.  See plan.h.
 *
 * Validation layers do not see accesses through addresses, so the proof is ours: first every pair of steps of a list
 * that meet in a byte is looked at on its own; then the whole program is walked in order with a map from bytes to the
 * tensor that was last written there, so that an arena offset given to two tensors at once is found even where barriers are right. */
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

static bool meet(const struct vka_range *a, const struct vka_range *b)
{
    return (a->write || b->write) && a->begin < b->end && b->begin < a->end;
}

static vka_status check_pairs(const struct vka_program *p, vka_error *err)
{
    for (uint32_t l = 0; l < p->list_count; l++) {
        uint32_t first = p->lists[l].step, end = first + p->lists[l].steps;
        for (uint32_t j = first + 1; j < end; j++)
            for (uint32_t i = j; i-- > first && !p->steps[i + 1].barrier;) {
                const struct vka_step *x = &p->steps[i], *y = &p->steps[j];
                for (uint32_t a = x->range; a < x->range + x->ranges; a++)
                    for (uint32_t b = y->range; b < y->range + y->ranges; b++)
                        if (meet(&p->ranges[a], &p->ranges[b])) {
                            const struct vka_graph *g = p->plan->graph;
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

/* A map from bytes to the tensor last written there: disjoint spans by rising address. */
struct span {
    uint64_t begin, end;
    uint32_t tensor;
};

struct map {
    struct span *spans;
    size_t count, capacity;
};

static size_t find(const struct map *m, uint64_t address)
{
    size_t lo = 0, hi = m->count; /* the first span that ends after `address` */
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
    struct span keep[2];
    size_t kept = 0, at = 0;
    if (i < j && m->spans[i].begin < begin) {
        keep[kept++] = (struct span){m->spans[i].begin, begin, m->spans[i].tensor};
        at = 1;
    }
    if (i < j && m->spans[j - 1].end > end)
        keep[kept++] = (struct span){end, m->spans[j - 1].end, m->spans[j - 1].tensor};
    size_t fresh = kept + 1, count = m->count - (j - i) + fresh;
    struct span *s = vka_grow(m->spans, &m->capacity, count, sizeof *s);
    if (!s)
        return false;
    m->spans = s;
    memmove(s + i + fresh, s + j, (m->count - j) * sizeof *s);
    size_t k = i;
    if (at)
        s[k++] = keep[0];
    s[k++] = (struct span){begin, end, tensor};
    if (kept > at)
        s[k] = keep[kept - 1];
    m->count = count;
    return true;
}

static vka_status check_owners(const struct vka_program *p, vka_error *err)
{
    struct map m = {0};
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < p->step_count && status == VKA_OK; i++) {
        const struct vka_step *s = &p->steps[i];
        for (int writes = 0; writes < 2; writes++)
            for (uint32_t r = s->range; r < s->range + s->ranges && status == VKA_OK; r++) {
                const struct vka_range *x = &p->ranges[r];
                if (p->plan->places[x->tensor].space != VKA_SPACE_ARENA || x->write != (writes == 1))
                    continue;
                if (x->write) {
                    if (!map_write(&m, x->begin, x->end, x->tensor))
                        status = vka_fail(err, VKA_E_MEMORY, "out of memory proving a plan");
                    continue;
                }
                uint64_t at = x->begin;
                for (size_t k = find(&m, at); at < x->end; k++) {
                    if (k == m.count || m.spans[k].begin > at || m.spans[k].tensor != x->tensor) {
                        const struct vka_graph *g = p->plan->graph;
                        bool other = k < m.count && m.spans[k].begin <= at;
                        vka_fail(err, VKA_E_INTERNAL, "'%s' reads '%s' of the %s from bytes that hold %s%s", s->node->label,
                                 g->tensors[x->tensor].name, g->name, other ? g->tensors[m.spans[k].tensor].name : "nothing",
                                 other ? " instead" : " yet");
                        status = VKA_E_INTERNAL;
                        break;
                    }
                    at = m.spans[k].end;
                }
            }
    }
    free(m.spans);
    return status;
}

vka_status vka_hazard_check(const struct vka_program *program, vka_error *err)
{
    vka_status s = check_pairs(program, err);
    return s == VKA_OK ? check_owners(program, err) : s;
}
