/* plan_check.h - making plans in tests, and a look at their placement by code of its own. */
#ifndef VKA_TESTS_PLAN_CHECK_H
#define VKA_TESTS_PLAN_CHECK_H

#include "graph_build.h"

#include <cmocka.h>
#include <stdio.h>

static const struct vka_rates rates = {1e9, 1e9, 2e-5, 1e9}; /* so that lists are short */

static inline struct vka_plan *plan_parked(const struct vka_graph *g, uint32_t branches, uint64_t limit, bool park)
{
    vka_error err = {0};
    struct vka_knobs knobs = {.branches_per_pass = branches, .arena_limit = limit, .weight_limit = UINT64_MAX, .park = park};
    struct vka_plan *p = vka_plan_make(g, &knobs, &err);
    if (!p)
        fail_msg("%s", err.what);
    return p;
}

static inline struct vka_plan *plan(const struct vka_graph *g, uint32_t branches, uint64_t limit)
{
    return plan_parked(g, branches, limit, false);
}

static inline struct vka_program *record_fake(const struct vka_plan *p)
{
    struct vka_addresses at;
    uint64_t *store;
    vka_error err = {0};
    assert_int_equal(vka_addresses_fake(p, &at, &store, &err), VKA_OK);
    struct vka_program *program = vka_program_record(p, NULL, &at, &rates, &err);
    free(store);
    assert_non_null(program);
    return program;
}

/* First and last step at which each tensor is touched, in the order of execution, per part of a local tensor. */
struct life {
    uint32_t tensor, part; /* pass, and part for local ones, or stay for parked ones */
    int64_t from, to;
};

static inline uint32_t root(const struct vka_plan *p, uint32_t t)
{
    while (p->places[t].shares)
        t = p->places[t].shares;
    return t;
}

/* What taking over bytes in place asks for. */
static inline void check_shared(const struct vka_plan *p, const int32_t *last, uint32_t t)
{
    const struct vka_place *to = &p->places[t], *from = &p->places[to->shares];
    const struct vka_tensor_info *o = &p->graph->tensors[t], *a = &p->graph->tensors[to->shares];
    const struct vka_node *n = &p->graph->nodes[o->producer];
    uint32_t uses = 0;
    bool allowed = false;
    for (uint32_t i = 0; i < n->inputs; i++)
        if (n->in[i].id == to->shares) {
            uses++;
            allowed = n->in_place >> i & 1;
        }
    assert_true(uses == 1 && allowed && n->out[0].id == t);
    assert_int_equal(last[to->shares], o->producer);
    assert_true(a->h == o->h && a->w == o->w && a->pitch == o->pitch && a->dtype == o->dtype && a->domain == o->domain);
    assert_true(from->space == VKA_SPACE_ARENA && from->local == to->local && from->sample_stride == to->sample_stride);
    assert_true(from->block == to->block && from->offset == to->offset && from->bytes == to->bytes);
    assert_true(n->once || !p->graph->nodes[a->producer].once);
}

/* No two tensors hold a byte at the same time, unless one took it over from the other. */
static inline void check_places(const struct vka_plan *p)
{
    const struct vka_graph *g = p->graph;
    int32_t *last = calloc(g->tensor_count, sizeof *last);
    struct life *lives = NULL;
    size_t capacity = 0, count = 0;
    uint64_t sum = 0, largest = 0;
    assert_non_null(last);
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
            last[g->nodes[i].in[k].id] = (int32_t)i;
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        const struct vka_place *at = &p->places[t];
        const struct vka_tensor_info *info = &g->tensors[t];
        assert_int_equal(at->space, info->role == VKA_WEIGHT ? VKA_SPACE_WEIGHT
                                    : info->role == VKA_TEMP ? VKA_SPACE_ARENA
                                                             : VKA_SPACE_BOUND);
        if (at->space != VKA_SPACE_ARENA)
            continue;
        assert_true(at->block < p->arena_block_count && at->offset % VKA_PLAN_ALIGN == 0);
        assert_true(at->offset + at->bytes <= p->arena_blocks[at->block]);
        largest = at->bytes > largest ? at->bytes : largest;
        if (at->shares)
            check_shared(p, last, t);
        else if (!at->local)
            assert_true(at->bytes >= (uint64_t)(info->domain == VKA_SAMPLE ? p->pass_samples : info->n) * info->h *
                                         info->w * info->pitch * 4);
    }
    for (uint32_t i = 0; i < p->arena_block_count; i++) {
        sum += p->arena_blocks[i];
        assert_true(p->arena_blocks[i] <= VKA_BLOCK_LIMIT || p->arena_blocks[i] <= largest);
    }
    assert_true(sum == p->arena_bytes);
    /* walk the execution; a life of a local tensor ends with its part */
    int64_t now = 0;
    for (uint32_t pass = 0; pass < p->passes; pass++)
        for (uint32_t s = 0; s < p->segment_count; s++) {
            const struct vka_segment *seg = &p->segments[s];
            if (seg->once && pass)
                continue;
            for (uint32_t part = 0; part < seg->parts; part++)
                for (uint32_t i = seg->first; i < seg->end; i++, now++) {
                    const struct vka_node *n = &g->nodes[i];
                    for (uint32_t k = 0; k < n->inputs + n->outputs; k++) {
                        uint32_t t = k < n->inputs ? n->in[k].id : n->out[k - n->inputs].id;
                        if (!t || p->places[t].space != VKA_SPACE_ARENA)
                            continue;
                        bool kept = g->nodes[g->tensors[t].producer].once && last[t] >= 0 && !g->nodes[last[t]].once;
                        uint32_t key = p->places[t].local ? pass * 65536 + part : kept ? 0 : pass * 65536 + (p->places[t].returns && (int32_t)i >= p->places[t].returns);
                        size_t at = 0;
                        while (at < count && (lives[at].tensor != t || lives[at].part != key))
                            at++;
                        if (at == count) {
                            lives = vka_grow(lives, &capacity, count + 1, sizeof *lives);
                            assert_non_null(lives);
                            lives[count++] = (struct life){t, key, kept ? 0 : now, now};
                        }
                        lives[at].to = kept ? INT64_MAX : now;
                    }
                }
        }
    for (size_t x = 0; x < count; x++)
        for (size_t y = 0; y < x; y++) {
            const struct vka_place *a = &p->places[lives[x].tensor], *b = &p->places[lives[y].tensor];
            if (root(p, lives[x].tensor) == root(p, lives[y].tensor) || a->block != b->block ||
                a->offset >= b->offset + b->bytes || b->offset >= a->offset + a->bytes)
                continue;
            if (lives[x].from <= lives[y].to && lives[y].from <= lives[x].to)
                fail_msg("'%s' and '%s' hold the same bytes at the same time", g->tensors[lives[x].tensor].name,
                         g->tensors[lives[y].tensor].name);
        }
    free(lives);
    free(last);
}

#endif
