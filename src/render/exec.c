/* exec.c - see exec.h. */
#include "render/exec.h"

#include "base/clock.h"
#include "base/machine.h"
#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

struct vka_rates vka_exec_rates(const vka_gpu_info *info, double measured)
{
    struct vka_rates r = {3e12, 150e9, 0.02, 10e9};
    if (info && info->cpu) /* of one core, with AVX2 */
        r = (struct vka_rates){12e9 * vka_machine_cores(), 4e9, 0.5, 4e9};
    else if (info && info->integrated)
        r = (struct vka_rates){4e11, 20e9, 0.02, 10e9};
    if (measured > 0) /* a small product, alone: a network reaches about half */
        r.flop_per_second = measured / 2;
    return r;
}

uint64_t vka_exec_footprint(const struct vka_plan *plan, uint64_t args_bytes)
{
    uint64_t sum = vka_block_footprint(args_bytes ? args_bytes : 16);
    for (uint32_t i = 0; i < plan->arena_block_count; i++)
        sum += vka_block_footprint(plan->arena_blocks[i]);
    for (uint32_t i = 0; i < plan->weight_block_count; i++)
        sum += vka_block_footprint(plan->weight_blocks[i]);
    return sum;
}

/* Lists, program and arguments: what vka_exec_record makes. */
static void forget_recording(struct vka_exec *e)
{
    vka_lists_end(&e->lists);
    vka_block_destroy(e->gpu, &e->args);
    vka_program_destroy(&e->program);
}

void vka_exec_destroy(struct vka_exec **exec)
{
    struct vka_exec *e = exec ? *exec : NULL;
    if (!e)
        return;
    forget_recording(e);
    for (uint32_t i = 0; e->arena && i < e->plan->arena_block_count; i++)
        vka_block_destroy(e->gpu, &e->arena[i]);
    for (uint32_t i = 0; e->weights && i < e->plan->weight_block_count; i++)
        vka_block_destroy(e->gpu, &e->weights[i]);
    for (uint32_t i = 0; e->host && i < e->plan->host_block_count; i++)
        vka_block_destroy(e->gpu, &e->host[i]);
    vka_plan_destroy(&e->plan);
    free(e->arena);
    free(e->weights);
    free(e->host);
    free(e->addresses);
    free(e);
    *exec = NULL;
}

static int stopped(const vka_ticker *t)
{
    return t && t->tick ? t->tick(t->user) : 0;
}

/* Whether what its source does to a weight's numbers may have changed. */
static bool has_changes(const struct vka_weight_recipe *r)
{
    for (uint32_t i = 0; i < r->sources; i++)
        if (r->source[i].changes)
            return true;
    return false;
}

/* Packs all weights, or those with changes, to where the plan has them. */
static vka_status pack_weights(struct vka_exec *e, bool all, const vka_ticker *ticker, vka_error *err)
{
    const struct vka_graph *g = e->plan->graph;
    void *staging = NULL;
    size_t capacity = 0;
    vka_status s = VKA_OK;
    for (uint32_t t = 1; t < g->tensor_count && s == VKA_OK; t++) {
        if (g->tensors[t].role != VKA_WEIGHT || !(all || has_changes(g->tensors[t].recipe)))
            continue;
        const struct vka_place *at = &e->plan->places[t];
        vka_block *block = at->streamed ? e->host[at->host_block] : e->weights[at->block];
        uint64_t to = at->streamed ? at->host_offset : at->offset;
        uint64_t bytes = vka_tensor_bytes(&g->tensors[t]);
        if (block->map)
            s = vka_pack_weight(&g->tensors[t], (char *)block->map + to, err);
        else {
            void *room = vka_grow(staging, &capacity, bytes, 1);
            if (!room) {
                s = vka_fail(err, VKA_E_MEMORY, "out of host memory packing '%s'", g->tensors[t].name);
                break;
            }
            staging = room;
            s = vka_pack_weight(&g->tensors[t], staging, err);
            if (s == VKA_OK)
                s = vka_block_write(e->gpu, block, to, staging, bytes, err);
        }
        if (s == VKA_OK && stopped(ticker))
            s = vka_fail(err, VKA_E_STOPPED, "stopped");
    }
    free(staging);
    return s;
}

vka_status vka_exec_repack(struct vka_exec *e, const vka_ticker *ticker, vka_error *err)
{
    return pack_weights(e, false, ticker, err);
}

vka_status vka_exec_create(struct vka_exec **out, vka_gpu *gpu, struct vka_plan *plan,
                           const struct vka_kernel_table *table, const vka_ticker *ticker, vka_error *err)
{
    struct vka_exec *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e) {
        vka_plan_destroy(&plan);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    e->gpu = gpu;
    e->plan = plan;
    e->table = *table;
    e->limits = vka_limits_for(vka_gpu_describe(gpu));
    e->arena = vka_calloc(plan->arena_block_count, sizeof *e->arena);
    e->weights = vka_calloc(plan->weight_block_count, sizeof *e->weights);
    e->host = vka_calloc((size_t)plan->host_block_count + 1, sizeof *e->host);
    e->addresses = vka_calloc((size_t)plan->arena_block_count + plan->weight_block_count + plan->graph->tensor_count,
                              sizeof *e->addresses);
    vka_status s = e->arena && e->weights && e->host && e->addresses ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; s == VKA_OK && i < plan->weight_block_count; i++) {
        s = vka_block_create(gpu, plan->weight_blocks[i], VKA_MEMORY_DEVICE, false, &e->weights[i], err);
        if (s == VKA_OK)
            e->addresses[plan->arena_block_count + i] = e->weights[i]->address;
    }
    for (uint32_t i = 0; s == VKA_OK && i < plan->host_block_count; i++)
        s = vka_block_create(gpu, plan->host_blocks[i], VKA_MEMORY_HOST, false, &e->host[i], err);
    for (uint32_t i = 0; s == VKA_OK && i < plan->arena_block_count; i++) {
        s = vka_block_create(gpu, plan->arena_blocks[i], VKA_MEMORY_DEVICE, false, &e->arena[i], err);
        if (s == VKA_OK)
            e->addresses[i] = e->arena[i]->address;
    }
    if (s == VKA_OK)
        s = pack_weights(e, true, ticker, err);
    if (s != VKA_OK)
        vka_exec_destroy(&e);
    *out = e;
    return s;
}

void vka_exec_bind(struct vka_exec *exec, vka_tensor t, uint64_t address)
{
    exec->addresses[exec->plan->arena_block_count + exec->plan->weight_block_count + t.id] = address;
}

vka_status vka_exec_record(struct vka_exec *e, vka_error *err)
{
    const struct vka_plan *plan = e->plan;
    struct vka_rates rates = vka_exec_rates(vka_gpu_describe(e->gpu), e->table.flops);
    struct vka_addresses at = {.arena = e->addresses, .weights = e->addresses + plan->arena_block_count};
    at.bound = at.weights + plan->weight_block_count;
    forget_recording(e); /* of other addresses; no run is under way */
    /* first to learn the size of the arguments, then with their address */
    struct vka_program *count = vka_program_record(plan, &e->table, &at, &rates, err);
    if (!count)
        return VKA_E_MEMORY;
    size_t args = count->args_bytes;
    vka_program_destroy(&count);
    vka_status s = vka_block_create(e->gpu, args ? args : 16, VKA_MEMORY_DEVICE, false, &e->args, err);
    if (s != VKA_OK)
        return s;
    at.args = e->args->address;
    e->program = vka_program_record(plan, &e->table, &at, &rates, err);
    if (!e->program)
        return VKA_E_MEMORY;
    if (args)
        s = vka_block_write(e->gpu, e->args, 0, e->program->args, args, err);
    if (s == VKA_OK)
        s = vka_hazard_check(e->program, err);
    if (s == VKA_OK)
        s = vka_lists_begin(&e->lists, e->gpu, e->program, &(struct vka_list_blocks){e->arena, e->weights, e->host}, &e->limits, err);
    return s;
}

static vka_status wait_for(struct vka_exec *e, uint64_t ticket, const vka_ticker *ticker, vka_error *err)
{
    const double patience = 1; /* seconds that a device may take to become quiet once there is a stop */
    bool done = false, stop = false;
    double since = 0;
    vka_status s = VKA_OK;
    while (s == VKA_OK && !done) { /* a stop is obeyed once the device is quiet */
        s = vka_gpu_wait(e->gpu, ticket, 0.1, &done, err);
        if (!stop && stopped(ticker)) {
            stop = true;
            since = vka_now();
        }
        if (stop && !done && vka_now() - since > patience) {
            vka_gpu_abandon(e->gpu);
            break;
        }
    }
    if (s == VKA_OK && stop)
        return vka_fail(err, VKA_E_STOPPED, "stopped");
    return s;
}

enum { MOST = 256 }; /* lists in a submission */

/* A run under way. */
struct run {
    struct vka_exec *exec;
    const struct vka_ticker *ticker;
    bool first;
    enum vka_turn turn;
    uint32_t next[2];   /* item that the compute queue, or (1) the transfer queue, is at */
    uint64_t flying[2]; /* submissions to the compute queue not waited for, the older first: one runs, one is ready behind it */
    uint64_t copying;   /* the last one to the transfer queue */
};

/* The lists of the next submission to a queue. */
struct batch {
    vka_list *lists[MOST];
    uint32_t first, end, count; /* items */
    double seconds;
    uint64_t after; /* what it waits for on the other queue */
    bool held;      /* by a list that waits for what is not submitted yet */
};

/* Gathers what one queue does next: up to a submission's time, to where it has to wait for more of the other queue, and to
 * where the other queue waits for it. */
static void gather(const struct run *r, bool transfer, struct batch *b)
{
    const struct vka_lists *l = &r->exec->lists;
    uint32_t i = r->next[transfer];
    *b = (struct batch){.first = i, .end = i};
    for (; i < l->count && b->count < MOST; i++) {
        const struct vka_device_list *d = &l->items[i];
        const struct vka_program_list *list = &l->program->lists[d->of];
        if (list->transfer != transfer || (list->once && !r->first))
            continue;
        bool begins = i == 0 || l->items[i - 1].of != d->of, ends = i + 1 == l->count || l->items[i + 1].of != d->of;
        uint32_t on = begins ? list->after[r->turn] : 0;
        if (on && (b->count || !l->tickets[on - 1])) {
            b->held = !b->count;
            return;
        }
        if (b->count && b->seconds + d->seconds > l->limits.submission)
            return;
        b->after = on ? l->tickets[on - 1] : b->after;
        b->lists[b->count++] = d->list;
        b->seconds += d->seconds;
        b->end = i + 1;
        if (ends && l->awaited[d->of])
            return;
    }
}

static vka_status submit(struct run *r, bool transfer, const struct batch *b, uint64_t *ticket, vka_error *err)
{
    const struct vka_lists *l = &r->exec->lists;
    vka_status s = vka_gpu_submit_after(r->exec->gpu, b->lists, b->count, b->after, ticket, err);
    if (s != VKA_OK)
        return s;
    r->next[transfer] = b->end;
    for (uint32_t i = b->first; i < b->end; i++) /* the last one of a list stands for all of it */
        if (l->program->lists[l->items[i].of].transfer == transfer && (i + 1 == l->count || l->items[i + 1].of != l->items[i].of))
            l->tickets[l->items[i].of] = *ticket;
    return VKA_OK;
}

/* Copies run ahead: all whose place in the ring is free, or will be by what is submitted. */
static vka_status submit_copies(struct run *r, vka_error *err)
{
    struct batch b;
    vka_status s = VKA_OK;
    for (gather(r, true, &b); s == VKA_OK && b.count; gather(r, true, &b))
        s = submit(r, true, &b, &r->copying, err);
    return s;
}

/* False in *more when nothing is left. */
static vka_status submit_work(struct run *r, bool *more, vka_error *err)
{
    struct batch b;
    vka_status s = VKA_OK;
    gather(r, false, &b);
    *more = b.count > 0;
    if (b.held)
        return vka_fail(err, VKA_E_INTERNAL, "the %s waits for copies that wait for it", r->exec->plan->graph->name);
    if (b.count && r->flying[1]) {
        s = wait_for(r->exec, r->flying[0], r->ticker, err);
        r->flying[0] = r->flying[1];
        r->flying[1] = 0;
    }
    if (b.count && s == VKA_OK)
        s = submit(r, false, &b, &r->flying[r->flying[0] ? 1 : 0], err);
    return s;
}

vka_status vka_exec_run(struct vka_exec *e, bool first, const vka_ticker *ticker, vka_error *err)
{
    struct run r = {.exec = e, .ticker = ticker, .first = first, .turn = first ? VKA_TURN_FIRST : VKA_TURN_NEXT};
    vka_status s = stopped(ticker) ? vka_fail(err, VKA_E_STOPPED, "stopped") : VKA_OK;
    memset(e->lists.tickets, 0, e->program->list_count * sizeof *e->lists.tickets);
    for (bool more = true; s == VKA_OK && more;) {
        s = submit_copies(&r, err);
        if (s == VKA_OK)
            s = submit_work(&r, &more, err);
    }
    const uint64_t left[] = {r.flying[0], r.flying[1], r.copying};
    for (int k = 0; k < 3; k++)
        if (left[k]) {
            vka_status w = wait_for(e, left[k], ticker, s == VKA_OK ? err : NULL);
            s = s == VKA_OK ? w : s;
        }
    if (s != VKA_OK && s != VKA_E_LOST)
        vka_gpu_idle(e->gpu, NULL);
    if (s == VKA_OK)
        s = vka_lists_measure(&e->lists, first, ++e->runs, err);
    return s;
}

struct tally {
    struct {
        const char *name;
        uint64_t ns;
        uint32_t count;
    } rows[64];
    uint32_t count;
    const struct vka_lists *lists;
    uint32_t dispatch; /* that the next visit is about */
};

static void tally_visit(void *user, const char *label, uint64_t ns)
{
    struct tally *t = user;
    (void)label;
    const char *name = t->lists->program->steps[t->lists->steps[t->dispatch++]].node->op->name;
    uint32_t i = 0;
    while (i < t->count && strcmp(t->rows[i].name, name) != 0)
        i++;
    if (i == sizeof t->rows / sizeof t->rows[0])
        return;
    if (i == t->count) {
        t->rows[t->count++].name = name;
        t->rows[i].ns = 0;
        t->rows[i].count = 0;
    }
    t->rows[i].ns += ns;
    t->rows[i].count++;
}

void vka_exec_times(struct vka_exec *e, const vka_log *log)
{
    struct tally t = {.lists = &e->lists};
    uint64_t sum = 0, copies = 0;
    uint32_t copying = 0; /* lists */
    for (uint32_t i = 0; i < e->lists.count; i++) {
        if (e->lists.items[i].once)
            continue;
        if (e->program->lists[e->lists.items[i].of].copies) {
            copies += vka_list_time(e->gpu, e->lists.items[i].list);
            copying++;
            continue;
        }
        t.dispatch = e->lists.items[i].first;
        vka_list_times(e->gpu, e->lists.items[i].list, tally_visit, &t);
    }
    for (uint32_t i = 0; i < t.count; i++)
        sum += t.rows[i].ns;
    for (uint32_t i = 0; i < t.count; i++)
        vka_logf(log, VKA_LOG_INFO, "%s: %-20s %5u dispatches %9.3f ms %5.1f %%", e->plan->graph->name, t.rows[i].name,
                 t.rows[i].count, 1e-6 * (double)t.rows[i].ns, sum ? 100.0 * (double)t.rows[i].ns / (double)sum : 0.0);
    if (copying)
        vka_logf(log, VKA_LOG_INFO, "%s: weights copied %s the work, %u lists %9.3f ms", e->plan->graph->name,
                 e->plan->prefetch ? "beside" : "between", copying, 1e-6 * (double)copies);
}
