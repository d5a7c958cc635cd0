/* plan.c - one plan for a limit.  See plan.h.
 *
 * Candidates come in a fixed order that does not know the limit: from nothing cut, each lowers a target by a 32nd
 * and cuts what stands above it until nothing does, up to the point where the fullest segment cannot be cut with any
 * use.  The plan is the first candidate that fits, else the smallest.  So a smaller limit never makes a larger plan,
 * and nothing is cut finer than the limit asks for. */
#include "graph/plan_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    TARGET_STEP = 32,    /* a target is lowered by its 32nd */
    SCRATCH_SHARE = 128, /* a segment whose part takes less of its bytes than this gains nothing from a finer cut */
    LAST_TARGETS = 8 /* candidates behind the one where the fullest segment is at its finest: they may pack better */
};

static uint64_t fullest(const uint64_t *live, uint32_t first, uint32_t end, uint32_t *where)
{
    uint64_t most = 0;
    for (uint32_t i = first; i < end; i++)
        if (live[i] > most) {
            most = live[i];
            *where = i;
        }
    return most;
}

/* Cuts every segment above the target until none is, or none can be cut with any use: then false. */
static bool cut_to(struct vka_planning *w, uint64_t target, bool *changed)
{
    struct vka_plan *p = w->plan;
    bool reached = true;
    *changed = false;
    for (bool cut = true; cut;) {
        cut = false;
        reached = true;
        for (uint32_t k = 0; k < p->segment_count; k++) {
            struct vka_segment *s = &p->segments[k];
            uint32_t at = s->first;
            uint64_t most = fullest(w->live, s->first, s->end, &at);
            if (most <= target)
                continue;
            bool useful = s->parts == 1 || w->live_local[at] > most / SCRATCH_SHARE;
            if (useful && vka_cut_finer(s))
                cut = true;
            else
                reached = false;
        }
        if (cut) {
            *changed = true;
            vka_set_places(w);
        }
    }
    return reached;
}

/* The candidates so far. */
struct candidates {
    uint32_t *steps; /* [count][segments]: the cuts */
    uint64_t *bound; /* bytes alive at the fullest node: no arena is smaller */
    uint32_t count;
    size_t step_capacity, bound_capacity;
};

static bool keep_cuts(struct candidates *c, const struct vka_plan *p, uint64_t bound)
{
    uint32_t n = p->segment_count;
    uint32_t *steps = vka_grow(c->steps, &c->step_capacity, ((size_t)c->count + 1) * n + 1, sizeof *steps);
    c->steps = steps ? steps : c->steps;
    uint64_t *bounds = vka_grow(c->bound, &c->bound_capacity, (size_t)c->count + 1, sizeof *bounds);
    c->bound = bounds ? bounds : c->bound;
    if (!steps || !bounds)
        return false;
    for (uint32_t k = 0; k < n; k++)
        steps[(size_t)c->count * n + k] = p->segments[k].step;
    bounds[c->count++] = bound;
    return true;
}

static bool place_candidate(struct vka_planning *w, const struct candidates *c, uint32_t i)
{
    struct vka_plan *p = w->plan;
    for (uint32_t k = 0; k < p->segment_count; k++) {
        struct vka_segment *s = &p->segments[k];
        s->step = c->steps[(size_t)i * p->segment_count + k];
        s->parts = vka_div_up(s->extent, s->step);
    }
    vka_set_places(w);
    return vka_place_arena(p);
}

/* Takes the candidate with the smallest arena, the first of several.  Bounds fall from one to the next, so those before a
 * bound above the best need no look. */
static bool take_smallest(struct vka_planning *w, const struct candidates *c)
{
    uint64_t best = UINT64_MAX;
    uint32_t pick = 0;
    for (uint32_t i = c->count; i-- > 0 && c->bound[i] <= best;) {
        if (!place_candidate(w, c, i))
            return false;
        if (w->plan->arena_bytes <= best) {
            best = w->plan->arena_bytes;
            pick = i;
        }
    }
    return place_candidate(w, c, pick);
}

/* False when memory is short. */
static bool choose_cuts(struct vka_planning *w, uint64_t limit)
{
    struct vka_plan *p = w->plan;
    struct candidates c = {0};
    uint32_t n = p->graph->node_count, at = 0, beyond = 0;
    uint64_t target = fullest(w->live, 0, n, &at);
    bool ok = true, changed = true, found = false;
    while (ok && !found) {
        uint64_t now = fullest(w->live, 0, n, &at);
        if (changed) {
            ok = keep_cuts(&c, p, now);
            if (ok && now <= limit) {
                ok = vka_place_arena(p);
                found = ok && p->arena_bytes <= limit;
            }
        }
        if (!ok || found)
            break;
        if (beyond == LAST_TARGETS || target == 0) {
            ok = take_smallest(w, &c);
            break;
        }
        target = now < target ? now : target;
        target -= target / TARGET_STEP + 1;
        if (!cut_to(w, target, &changed))
            beyond++;
    }
    free(c.steps);
    free(c.bound);
    return ok;
}

static vka_status make(struct vka_planning *w, const struct vka_knobs *knobs, vka_error *err)
{
    struct vka_plan *p = w->plan;
    const struct vka_graph *g = p->graph;
    uint32_t branches = g->samples / g->frames, n = g->node_count;
    p->branches_per_pass = vka_min_u32(knobs->branches_per_pass ? knobs->branches_per_pass : branches, branches);
    p->passes = vka_div_up(branches, p->branches_per_pass);
    p->pass_samples = p->branches_per_pass * g->frames;
    p->places = vka_calloc(g->tensor_count, sizeof *p->places);
    w->last = vka_calloc(g->tensor_count, sizeof *w->last);
    w->segment_of = vka_calloc((size_t)n + 1, sizeof *w->segment_of);
    w->live = vka_calloc((size_t)n + 1, sizeof *w->live);
    w->live_local = vka_calloc((size_t)n + 1, sizeof *w->live_local);
    const char *memory = "out of memory planning the %s";
    if (!p->places || !w->last || !w->segment_of || !w->live || !w->live_local)
        return vka_fail(err, VKA_E_MEMORY, memory, g->name);
    for (uint32_t t = 0; t < g->tensor_count; t++)
        w->last[t] = -1;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
            w->last[g->nodes[i].in[k].id] = (int32_t)i;
    if (!vka_make_segments(w) || !vka_place_weights(w, knobs) || (knobs->park && !vka_park_tensors(w)))
        return vka_fail(err, VKA_E_MEMORY, memory, g->name);
    vka_status s = vka_cut_too_large(w, err);
    if (s == VKA_OK && !choose_cuts(w, knobs->arena_limit))
        s = vka_fail(err, VKA_E_MEMORY, memory, g->name);
    fullest(w->live, 0, n, &p->peak_node);
    for (uint32_t i = 0; i < n; i++) {
        struct vka_cost c = {0};
        g->nodes[i].op->cost(g, &g->nodes[i], &c);
        if (!g->nodes[i].once) {
            p->flop += c.flop;
            p->bytes += c.bytes;
        }
    }
    return s;
}

struct vka_knobs vka_knobs_free(void)
{
    return (struct vka_knobs){.arena_limit = UINT64_MAX, .weight_limit = UINT64_MAX};
}

struct vka_plan *vka_plan_make(const struct vka_graph *graph, const struct vka_knobs *knobs, vka_error *err)
{
    struct vka_planning w = {.plan = vka_calloc(1, sizeof *w.plan)};
    if (!w.plan) {
        vka_fail(err, VKA_E_MEMORY, "out of memory planning the %s", graph->name);
        return NULL;
    }
    w.plan->graph = graph;
    if (make(&w, knobs, err) != VKA_OK)
        vka_plan_destroy(&w.plan);
    free(w.last);
    free(w.segment_of);
    free(w.live);
    free(w.live_local);
    return w.plan;
}

void vka_plan_destroy(struct vka_plan **plan)
{
    if (!plan || !*plan)
        return;
    free((*plan)->segments);
    free((*plan)->places);
    free((*plan)->arena_blocks);
    free((*plan)->weight_blocks);
    free((*plan)->units);
    free((*plan)->copies);
    free((*plan)->host_blocks);
    free((*plan)->parkings);
    free(*plan);
    *plan = NULL;
}
