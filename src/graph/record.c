/* record.c - a plan as launches: every part of every segment of every pass, in order, with barriers.  See plan.h. */
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recording {
    struct vka_program *out;
    const struct vka_plan *plan;
    const struct vka_addresses *at;
    bool failed;
};

static void emit(struct vka_recorder *r, const struct vka_dispatch *d)
{
    struct recording *rec = r->user;
    struct vka_program *p = rec->out;
    struct vka_dispatch *l = vka_grow(p->launches, &p->launch_capacity, (size_t)p->launch_count + 1, sizeof *l);
    if (!l) {
        rec->failed = true;
        return;
    }
    p->launches = l;
    l[p->launch_count++] = *d;
    p->steps[p->step_count - 1].launches++;
}

static uint64_t put_args(struct vka_recorder *r, const void *data, uint32_t bytes)
{
    struct recording *rec = r->user;
    struct vka_program *p = rec->out;
    size_t begin = vka_round_up(p->args_bytes, 16);
    uint8_t *a = vka_grow(p->args, &p->args_capacity, begin + bytes, 1);
    if (!a) {
        rec->failed = true;
        return rec->at->args;
    }
    p->args = a;
    memset(a + p->args_bytes, 0, begin - p->args_bytes);
    memcpy(a + begin, data, bytes);
    p->args_bytes = begin + bytes;
    return rec->at->args + begin;
}

static uint64_t base_address(const struct recording *rec, uint32_t tensor)
{
    const struct vka_place *at = &rec->plan->places[tensor];
    switch (at->space) {
    case VKA_SPACE_ARENA:
        return rec->at->arena[at->block] + at->offset;
    case VKA_SPACE_WEIGHT:
        return rec->at->weights[at->block] + at->offset;
    case VKA_SPACE_BOUND:
        return rec->at->bound[tensor];
    case VKA_SPACE_NONE:
        break;
    }
    return 0;
}

static struct vka_view view(const struct recording *rec, vka_tensor t, const struct vka_cut *part, uint32_t pass_first)
{
    const struct vka_tensor_info *info = &rec->plan->graph->tensors[t.id];
    const struct vka_place *at = &rec->plan->places[t.id];
    struct vka_view v = {.h = info->h, .w = info->w, .c = info->c, .pitch = info->pitch, .dtype = info->dtype,
                         .sample_stride = info->h * info->w * info->pitch, .n = info->n, .pixels = info->h * info->w};
    if (!t.id)
        return (struct vka_view){0};
    v.address = base_address(rec, t.id);
    if (info->domain != VKA_SAMPLE)
        return v;
    v.sample_stride = at->space == VKA_SPACE_BOUND ? v.sample_stride : at->sample_stride;
    v.n = part->sn;
    bool moves = part->pn && info->h * info->w > 1;
    if (moves)
        v.pixels = part->pn;
    if (at->local)
        return v;
    uint64_t first = at->space == VKA_SPACE_BOUND ? part->s0 : part->s0 - pass_first;
    v.address += (first * v.sample_stride + (moves ? (uint64_t)part->p0 * v.pitch : 0)) * vka_dtype_bytes(info->dtype);
    return v;
}

static bool add_range(struct vka_program *p, uint32_t tensor, const struct vka_view *v, bool write)
{
    if (!tensor || p->plan->graph->tensors[tensor].role == VKA_WEIGHT)
        return true; /* weights are never written */
    struct vka_range *r = vka_grow(p->ranges, &p->range_capacity, (size_t)p->range_count + 1, sizeof *r);
    if (!r)
        return false;
    p->ranges = r;
    uint64_t elements = (uint64_t)v->sample_stride * (v->n - 1) + (uint64_t)v->pixels * v->pitch;
    r[p->range_count++] = (struct vka_range){v->address, v->address + elements * vka_dtype_bytes(v->dtype), write, tensor};
    p->steps[p->step_count - 1].ranges++;
    return true;
}

/* Whether the newest step touches what a step since the last barrier of the list wrote, or writes what one read. */
static bool needs_barrier(const struct vka_program *p, uint32_t since)
{
    const struct vka_step *now = &p->steps[p->step_count - 1];
    for (uint32_t a = p->steps[since].range; a < now->range; a++)
        for (uint32_t b = now->range; b < now->range + now->ranges; b++) {
            const struct vka_range *x = &p->ranges[a], *y = &p->ranges[b];
            if ((x->write || y->write) && x->begin < y->end && y->begin < x->end)
                return true;
        }
    return false;
}

static double estimate(const struct vka_graph *g, const struct vka_node *n, const struct vka_cut *part,
                       const struct vka_segment *s, const struct vka_rates *rates)
{
    struct vka_cost c = {0};
    n->op->cost(g, n, &c);
    double share = 1;
    if (s->axis == VKA_AXIS_SAMPLE)
        share = (double)part->sn / g->samples;
    else if (s->axis == VKA_AXIS_PIXEL)
        share = (double)part->sn / g->samples * part->pn / s->extent;
    double compute = c.flop / rates->flop_per_second, memory = c.bytes / rates->bytes_per_second;
    return 2e-6 + share * (compute > memory ? compute : memory);
}

static bool open_list(struct vka_program *p, const struct vka_segment *s, uint32_t pass)
{
    struct vka_program_list *l = vka_grow(p->lists, &p->list_capacity, (size_t)p->list_count + 1, sizeof *l);
    if (!l)
        return false;
    p->lists = l;
    l += p->list_count++;
    *l = (struct vka_program_list){.step = p->step_count, .once = s->once};
    snprintf(l->label, sizeof l->label, "%s pass %u: %.60s", p->plan->graph->name, pass,
             p->plan->graph->nodes[s->first].label);
    return true;
}

struct vka_program *vka_program_record(const struct vka_plan *plan, const struct vka_kernel_table *table,
                                       const struct vka_addresses *at, const struct vka_rates *rates, vka_error *err)
{
    struct vka_program *p = calloc(1, sizeof *p);
    struct recording rec = {.out = p, .plan = plan, .at = at};
    const struct vka_graph *g = plan->graph;
    if (p)
        p->plan = plan;
    bool ok = p != NULL, open = false;
    uint32_t since = 0;
    for (uint32_t pass = 0; ok && pass < plan->passes; pass++) {
        uint32_t pass_first = pass * plan->pass_samples;
        uint32_t samples = vka_min_u32(plan->pass_samples, g->samples - pass_first);
        open = false;
        for (uint32_t si = 0; ok && si < plan->segment_count; si++) {
            const struct vka_segment *s = &plan->segments[si];
            if (s->once && pass > 0)
                continue;
            for (uint32_t k = 0; ok && k * s->step < s->extent; k++) {
                struct vka_cut part = {pass_first, samples, 0, 0};
                if (s->axis == VKA_AXIS_SAMPLE) {
                    if (k * s->step >= samples)
                        break;
                    part.s0 = pass_first + k * s->step;
                    part.sn = vka_min_u32(s->step, samples - k * s->step);
                } else if (s->axis == VKA_AXIS_PIXEL) {
                    part.p0 = k * s->step;
                    part.pn = vka_min_u32(s->step, s->extent - part.p0);
                }
                if (!open || p->lists[p->list_count - 1].once != s->once ||
                    p->lists[p->list_count - 1].seconds > rates->list_seconds) {
                    ok = open_list(p, s, pass);
                    open = ok;
                    since = p->step_count;
                }
                for (uint32_t i = s->first; ok && i < s->end; i++) {
                    const struct vka_node *n = &g->nodes[i];
                    struct vka_step *steps = vka_grow(p->steps, &p->step_capacity, (size_t)p->step_count + 1, sizeof *steps);
                    if (!steps) {
                        ok = false;
                        break;
                    }
                    p->steps = steps;
                    struct vka_step *step = &steps[p->step_count++];
                    *step = (struct vka_step){.node = n, .launch = p->launch_count, .range = p->range_count};
                    step->seconds = estimate(g, n, &part, s, rates);
                    struct vka_recorder r = {.table = table, .part = part, .frames = g->frames, .emit = emit,
                                             .args = put_args, .user = &rec};
                    for (uint32_t t = 0; t < n->inputs; t++) {
                        r.in[t] = view(&rec, n->in[t], &part, pass_first);
                        ok = ok && add_range(p, n->in[t].id, &r.in[t], false);
                    }
                    for (uint32_t t = 0; t < n->outputs; t++) {
                        r.out[t] = view(&rec, n->out[t], &part, pass_first);
                        ok = ok && add_range(p, n->out[t].id, &r.out[t], true);
                    }
                    if (!ok)
                        break;
                    if (needs_barrier(p, since)) {
                        p->steps[p->step_count - 1].barrier = true;
                        since = p->step_count - 1;
                    }
                    n->op->record(n, &r);
                    ok = !rec.failed;
                    p->lists[p->list_count - 1].steps++;
                    p->lists[p->list_count - 1].seconds += p->steps[p->step_count - 1].seconds;
                }
            }
        }
    }
    if (!ok) {
        vka_program_destroy(&p);
        vka_fail(err, VKA_E_MEMORY, "out of memory recording the %s", g->name);
    }
    return p;
}

void vka_program_destroy(struct vka_program **program)
{
    if (!program || !*program)
        return;
    free((*program)->launches);
    free((*program)->steps);
    free((*program)->ranges);
    free((*program)->lists);
    free((*program)->args);
    free(*program);
    *program = NULL;
}

vka_status vka_addresses_fake(const struct vka_plan *plan, struct vka_addresses *at, uint64_t **store, vka_error *err)
{
    uint32_t a = plan->arena_block_count, w = plan->weight_block_count, t = plan->graph->tensor_count;
    uint64_t *all = vka_calloc((size_t)a + w + t, sizeof *all);
    if (!all)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    uint64_t next = (uint64_t)1 << 32;
    for (uint32_t i = 0; i < a; i++, next = vka_round_up(next, 65536) + 65536) {
        all[i] = next;
        next += plan->arena_blocks[i];
    }
    for (uint32_t i = 0; i < w; i++, next = vka_round_up(next, 65536) + 65536) {
        all[a + i] = next;
        next += plan->weight_blocks[i];
    }
    for (uint32_t i = 1; i < t; i++)
        if (plan->places[i].space == VKA_SPACE_BOUND) {
            all[a + w + i] = next;
            next = vka_round_up(next + vka_tensor_bytes(&plan->graph->tensors[i]), 256);
        }
    *at = (struct vka_addresses){.arena = all, .weights = all + a, .bound = all + a + w, .args = vka_round_up(next, 256)};
    *store = all;
    return VKA_OK;
}
