/* choose.c - the plan that is estimated to be fastest among those that fit.  See exec.h. */
#include "render/exec.h"

#include <stdlib.h>

/* Copies from the host that hide behind the work still take bandwidth and memory from others: this share of their time counts. */
static const double burden = 0.1;

/* What a plan takes and how long an evaluation lasts: recorded with made-up addresses, since arguments take memory too. */
static vka_status judge(const struct vka_plan *plan, const struct vka_kernel_table *table, uint64_t *need, double *seconds,
                        vka_error *err)
{
    struct vka_addresses at;
    uint64_t *store;
    struct vka_rates rates = vka_exec_rates(NULL, table->flops);
    vka_status s = vka_addresses_fake(plan, &at, &store, err);
    if (s != VKA_OK)
        return s;
    struct vka_program *p = vka_program_record(plan, table, &at, &rates, err);
    free(store);
    if (!p)
        return VKA_E_MEMORY;
    *need = vka_exec_footprint(plan, p->args_bytes);
    *seconds = vka_program_seconds(p) + burden * (double)(plan->stream_bytes + plan->parked_bytes) / rates.copy_bytes_per_second;
    vka_program_destroy(&p);
    return VKA_OK;
}

/* The best plan so far: the fastest of those that fit, else the smallest. */
struct choice {
    const struct vka_graph *graph;
    const struct vka_kernel_table *table;
    uint64_t room, host_room;
    struct vka_plan *plan;
    uint64_t need;
    double seconds;
    /* of the knobs under way, and of their last plan */
    uint64_t least_arena; /* that there is for so many branches at a time, once it is known; weights do not change it */
    uint32_t parked;      /* tensors */
    bool fitted;
};

static bool fits(const struct choice *c, const struct vka_plan *p, uint64_t need)
{
    return need <= c->room && p->host_bytes <= c->host_room;
}

/* Keeps the plan where it is better. */
static void consider(struct choice *c, struct vka_plan *p, uint64_t need, double seconds)
{
    bool good = fits(c, p, need), had = c->plan && fits(c, c->plan, c->need);
    if (!c->plan || (good ? !had || seconds < c->seconds : !had && need < c->need)) {
        vka_plan_destroy(&c->plan);
        c->plan = p;
        c->need = need;
        c->seconds = seconds;
    } else
        vka_plan_destroy(&p);
}

/* The first plan that fits with these knobs, else the smallest.  Plans come by falling size of the arena; what else they need
 * differs by little, so that few are made. */
static vka_status try_knobs(struct choice *c, struct vka_knobs knobs, vka_error *err)
{
    knobs.arena_limit = UINT64_MAX;
    for (;;) {
        struct vka_plan *p = vka_plan_make(c->graph, &knobs, err);
        uint64_t bytes = 0;
        double seconds = 0;
        vka_status s = p ? judge(p, c->table, &bytes, &seconds, err) : VKA_E_MEMORY;
        if (s != VKA_OK) {
            vka_plan_destroy(&p);
            return s;
        }
        uint64_t arena = p->arena_bytes, fixed = bytes - arena, least = p->weight_bytes + c->least_arena;
        bool smallest = arena > knobs.arena_limit || arena == 0;
        c->parked = p->parking_count;
        c->fitted = bytes <= c->room;
        consider(c, p, bytes, seconds);
        if (smallest)
            c->least_arena = arena;
        /* however it is cut, it would neither fit nor be smaller than what there is */
        bool useless = c->least_arena && least > c->room && (c->need <= c->room || least >= c->need);
        if (c->fitted || smallest || useless)
            return VKA_OK;
        /* what this plan leaves to the arena; the next one's arguments may still be a little larger */
        uint64_t next = fixed < c->room ? c->room - fixed : 0;
        knobs.arena_limit = next < arena ? next : arena - 1;
    }
}

/* Whether the best so far is a plan that nothing can beat: all branches and all weights at once, uncut, nothing parked. */
static bool full_speed(const struct choice *c)
{
    bool full = c->plan && fits(c, c->plan, c->need) && c->plan->passes == 1 && !c->plan->unit_count && !c->plan->parking_count;
    for (uint32_t k = 0; full && k < c->plan->segment_count; k++)
        full = c->plan->segments[k].parts == 1;
    return full;
}

/* All weights resident, then shares of the room for them, the smallest first: it tells what is in vain. */
static vka_status try_weights(struct choice *c, struct vka_knobs knobs, vka_error *err)
{
    enum { SHARES = 4 };
    c->least_arena = 0;
    vka_status s = try_knobs(c, knobs, err);
    if (s == VKA_OK && (full_speed(c) || (knobs.park && !c->parked))) /* nothing to park: these were tried */
        return s;
    for (uint32_t share = 0; s == VKA_OK && share < SHARES; share++) {
        knobs.weight_limit = c->room / SHARES * share;
        knobs.prefetch = c->table->transfer_queue;
        s = try_knobs(c, knobs, err);
        if (s == VKA_OK && knobs.prefetch && !c->fitted) { /* weights that come between the work need less room */
            knobs.prefetch = false;
            s = try_knobs(c, knobs, err);
        }
    }
    return s;
}

static vka_status choose(const struct vka_graph *graph, const struct vka_kernel_table *table, const struct vka_room *room,
                         uint64_t other, struct vka_plan **out, uint64_t *need, vka_error *err)
{
    uint32_t branches = graph->samples / graph->frames;
    struct choice c = {.graph = graph, .table = table, .room = other < room->device ? room->device - other : 0,
                       .host_room = room->host};
    vka_error why = {0};
    *out = NULL;
    *need = UINT64_MAX;
    for (uint32_t together = branches; together >= 1 && !full_speed(&c); together = together > 1 ? 1 : 0) {
        struct vka_knobs knobs = vka_knobs_free();
        vka_error e = {0};
        knobs.branches_per_pass = together;
        vka_status s = try_weights(&c, knobs, &e);
        knobs.park = true;
        if (s == VKA_OK && !full_speed(&c))
            s = try_weights(&c, knobs, &e);
        if (s != VKA_OK) /* fewer branches may be small enough */
            why = e;
    }
    *out = c.plan;
    if (c.plan) {
        *need = c.need;
        return VKA_OK;
    }
    if (err && err->status == VKA_OK)
        *err = why;
    return why.status;
}

struct vka_knobs vka_knobs_least(void) { return (struct vka_knobs){.branches_per_pass = 1, .park = true}; }

vka_status vka_exec_plan(const struct vka_graph *graph, const struct vka_kernel_table *table, const struct vka_ask *ask,
                         uint64_t other, struct vka_plan **out, uint64_t *need, vka_error *err)
{
    double seconds;
    if (!ask->knobs)
        return choose(graph, table, &ask->room, other, out, need, err);
    *out = vka_plan_make(graph, ask->knobs, err);
    vka_status s = *out ? judge(*out, table, need, &seconds, err) : VKA_E_MEMORY;
    if (s != VKA_OK)
        vka_plan_destroy(out);
    return s;
}
