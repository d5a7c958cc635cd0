/* record.c - a plan as launches: every part of every segment of every pass, in order, with barriers.  See plan.h. */
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Argument bytes put so far. */
struct known {
    size_t begin;
    uint64_t hash;
    uint32_t bytes;
};

struct recording {
    struct vka_program *out;
    const struct vka_plan *plan;
    const struct vka_addresses *at;
    /* To find equal arguments again: 1 + index into `known`, by hash; 0: free */
    uint32_t *buckets;
    uint32_t bucket_count, known_count;
    struct known *known;
    size_t known_capacity;
    uint32_t since; /* step of the last barrier, or the first of the list */
    uint32_t unit; /* under way, or next */
    bool close;    /* the next step opens a list */
    bool failed;
    /* With copies on the transfer queue: */
    const struct vka_unit *inside;   /* the unit whose nodes are being recorded, or NULL */
    uint32_t wait;                   /* 1 + the copies that the next list waits for */
    uint32_t *last;                  /* unit: 1 + the last list that has nodes of it; 0: none yet */
    uint32_t seen[2][VKA_TURNS];     /* 1 + the list that this queue (1: of transfers) has waited for so far */
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

/* FNV-1a. */
static uint64_t hash_bytes(const uint8_t *data, uint32_t bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < bytes; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    return h;
}

/* The bucket of equal bytes, or the free one where they belong. */
static uint32_t *bucket(const struct recording *rec, const void *data, uint32_t bytes, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (rec->bucket_count - 1);
    for (; rec->buckets[i]; i = (i + 1) & (rec->bucket_count - 1)) {
        const struct known *k = &rec->known[rec->buckets[i] - 1];
        if (k->hash == hash && k->bytes == bytes && memcmp(rec->out->args + k->begin, data, bytes) == 0)
            break;
    }
    return &rec->buckets[i];
}

/* Keeps the table at most half full. */
static bool grow_buckets(struct recording *rec)
{
    if (rec->bucket_count > 2 * rec->known_count)
        return true;
    uint32_t *old = rec->buckets;
    rec->bucket_count = rec->bucket_count ? 2 * rec->bucket_count : 256;
    rec->buckets = vka_calloc(rec->bucket_count, sizeof *rec->buckets);
    for (uint32_t i = 0; rec->buckets && i < rec->known_count; i++) {
        uint32_t at = (uint32_t)rec->known[i].hash & (rec->bucket_count - 1);
        while (rec->buckets[at])
            at = (at + 1) & (rec->bucket_count - 1);
        rec->buckets[at] = i + 1;
    }
    free(old);
    return rec->buckets != NULL;
}

/* Parts of a node mostly have equal arguments: these are stored once. */
static uint64_t put_args(struct vka_recorder *r, const void *data, uint32_t bytes)
{
    struct recording *rec = r->user;
    struct vka_program *p = rec->out;
    if (rec->failed || !grow_buckets(rec)) {
        rec->failed = true;
        return rec->at->args;
    }
    uint64_t hash = hash_bytes(data, bytes);
    uint32_t *b = bucket(rec, data, bytes, hash);
    if (*b)
        return rec->at->args + rec->known[*b - 1].begin;
    size_t begin = vka_round_up(p->args_bytes, 16);
    uint8_t *a = vka_grow(p->args, &p->args_capacity, begin + bytes, 1);
    if (a)
        p->args = a;
    struct known *k = vka_grow(rec->known, &rec->known_capacity, (size_t)rec->known_count + 1, sizeof *k);
    if (k)
        rec->known = k;
    if (!a || !k) {
        rec->failed = true;
        return rec->at->args;
    }
    memset(a + p->args_bytes, 0, begin - p->args_bytes);
    memcpy(a + begin, data, bytes);
    p->args_bytes = begin + bytes;
    k[rec->known_count++] = (struct known){begin, hash, bytes};
    *b = rec->known_count;
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

/* A part along rows with what is read beside it. */
static struct vka_cut widened(const struct vka_segment *s, const struct vka_cut *part)
{
    struct vka_cut c = *part;
    if (!part->pn)
        return c;
    uint32_t end = part->p0 + part->pn;
    c.p0 -= vka_min_u32(s->wider, c.p0);
    c.pn = (s->extent - end < s->wider ? s->extent : end + s->wider) - c.p0;
    return c;
}

/* The part as node `i` runs it: the wider one before the node that reads that. */
static struct vka_cut part_for(const struct vka_segment *s, uint32_t i, const struct vka_cut *part)
{
    return i < s->wide_end ? widened(s, part) : *part;
}

/* `local`: where in the picture the first pixel of a tensor lies that holds one part only. */
static struct vka_view view(const struct recording *rec, vka_tensor t, const struct vka_cut *part, uint32_t local,
                            uint32_t pass_first)
{
    const struct vka_tensor_info *info = &rec->plan->graph->tensors[t.id];
    const struct vka_place *at = &rec->plan->places[t.id];
    struct vka_view v = {.h = info->h,
                         .w = info->w,
                         .c = info->c,
                         .pitch = info->pitch,
                         .dtype = info->dtype,
                         .sample_stride = info->h * info->w * info->pitch,
                         .n = info->n,
                         .pixels = info->h * info->w};
    if (!t.id)
        return (struct vka_view){0};
    v.address = base_address(rec, t.id);
    if (info->domain != VKA_SAMPLE)
        return v;
    v.sample_stride = at->space == VKA_SPACE_BOUND ? v.sample_stride : at->sample_stride;
    v.n = part->sn;
    bool moves = part->pn && info->h * info->w * info->block > 1;
    if (moves)
        v.pixels = part->pn / info->block;
    if (at->local) {
        v.address += (uint64_t)(moves ? (part->p0 - local) / info->block : 0) * v.pitch * vka_dtype_bytes(info->dtype);
        return v;
    }
    uint64_t first = at->space == VKA_SPACE_BOUND ? part->s0 : part->s0 - pass_first;
    v.address += (first * v.sample_stride + (moves ? (uint64_t)(part->p0 / info->block) * v.pitch : 0)) * vka_dtype_bytes(info->dtype);
    return v;
}

static bool add_range(struct vka_program *p, uint32_t tensor, const struct vka_view *v, bool write)
{
    if (!tensor || (p->plan->graph->tensors[tensor].role == VKA_WEIGHT && !p->plan->places[tensor].streamed))
        return true; /* never written */
    struct vka_range *r = vka_grow(p->ranges, &p->range_capacity, (size_t)p->range_count + 1, sizeof *r);
    if (!r)
        return false;
    p->ranges = r;
    uint64_t size = vka_dtype_bytes(v->dtype), run = (uint64_t)v->pixels * v->pitch * size;
    uint64_t stride = (uint64_t)v->sample_stride * size;
    r[p->range_count++] = (struct vka_range){.begin = v->address,
                                             .end = v->address + stride * (v->n - 1) + run,
                                             .run = run,
                                             .stride = stride,
                                             .runs = v->n,
                                             .write = write,
                                             .tensor = tensor};
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
    double share = 1, weights = 0; /* which every part reads again */
    if (g->tensors[n->out[0].id].domain == VKA_SAMPLE)
        share = (double)part->sn / g->samples * (part->pn ? (double)part->pn / s->extent : 1);
    for (uint32_t i = 0; i < n->inputs; i++)
        if (n->in[i].id && g->tensors[n->in[i].id].role == VKA_WEIGHT)
            weights += (double)vka_tensor_bytes(&g->tensors[n->in[i].id]);
    double compute = share * c.flop / rates->flop_per_second;
    double memory = (share * (c.bytes - weights) + weights) / rates->bytes_per_second;
    return 2e-6 + (compute > memory ? compute : memory);
}

/* The newest list waits for list `on` - 1 of the other queue, where its queue has not done so before. */
static void wait_for(struct recording *rec, enum vka_turn turn, uint32_t on)
{
    struct vka_program_list *l = &rec->out->lists[rec->out->list_count - 1];
    if (on <= rec->seen[l->transfer][turn] || (turn == VKA_TURN_NEXT && l->once))
        return;
    rec->seen[l->transfer][turn] = l->after[turn] = on;
}

static bool open_list(struct vka_program *p, const struct vka_node *n, uint32_t pass)
{
    struct vka_program_list *l = vka_grow(p->lists, &p->list_capacity, (size_t)p->list_count + 1, sizeof *l);
    if (!l)
        return false;
    p->lists = l;
    l += p->list_count++;
    *l = (struct vka_program_list){.step = p->step_count, .once = n->once};
    snprintf(l->label, sizeof l->label, "%.30s pass %u: %.40s", p->plan->graph->name, pass, n->label);
    return true;
}

/* One node of the part `whole`.  A list may end anywhere: the next one begins with a barrier. */
static bool record_step(struct recording *rec, const struct vka_kernel_table *table, const struct vka_rates *rates,
                        const struct vka_segment *s, const struct vka_node *n, const struct vka_cut *whole,
                        uint32_t pass)
{
    const uint32_t number = (uint32_t)(n - rec->plan->graph->nodes);
    const struct vka_cut own = part_for(s, number, whole), *part = &own;
    struct vka_program *p = rec->out;
    const struct vka_plan *plan = rec->plan;
    struct vka_program_list *list = p->list_count ? &p->lists[p->list_count - 1] : NULL;
    if (!list || rec->close || list->once != n->once || list->seconds > rates->list_seconds) {
        if (!open_list(p, n, pass))
            return false;
        rec->since = p->step_count;
        rec->close = false;
        for (enum vka_turn turn = VKA_TURN_FIRST; turn < VKA_TURNS; turn++)
            wait_for(rec, turn, rec->wait);
        rec->wait = 0;
        list = &p->lists[p->list_count - 1];
    }
    struct vka_step *steps = vka_grow(p->steps, &p->step_capacity, (size_t)p->step_count + 1, sizeof *steps);
    if (!steps)
        return false;
    p->steps = steps;
    uint32_t index = p->step_count++;
    steps[index] = (struct vka_step){.node = n,
                                     .launch = p->launch_count,
                                     .range = p->range_count,
                                     .seconds = estimate(plan->graph, n, part, s, rates)};
    struct vka_recorder r = {
        .table = table, .part = *part, .frames = plan->graph->frames, .emit = emit, .args = put_args, .user = rec};
    uint32_t pass_first = pass * plan->pass_samples;
    for (uint32_t t = 0; t < n->inputs; t++) {
        const struct vka_tensor_info *info = &plan->graph->tensors[n->in[t].id];
        const struct vka_cut reads = t == 0 && number == s->wide_end ? widened(s, whole) : *part;
        const uint32_t local = info->producer < 0 ? 0 : part_for(s, (uint32_t)info->producer, whole).p0;
        r.in[t] = view(rec, n->in[t], &reads, local, pass_first);
        if (!add_range(p, n->in[t].id, &r.in[t], false))
            return false;
    }
    for (uint32_t t = 0; t < n->outputs; t++) {
        r.out[t] = view(rec, n->out[t], part, part->p0, pass_first);
        if (!add_range(p, n->out[t].id, &r.out[t], true))
            return false;
    }
    if (needs_barrier(p, rec->since)) {
        p->steps[index].barrier = true;
        rec->since = index;
    }
    n->op->record(n, &r);
    if (rec->inside)
        rec->last[rec->inside - plan->units] = p->list_count;
    list->steps++;
    list->seconds += p->steps[index].seconds;
    return !rec->failed;
}

/* Whether what two units bring lies on common bytes of the ring. */
static bool share_bytes(const struct vka_plan *p, const struct vka_unit *a, const struct vka_unit *b)
{
    for (uint32_t i = a->copy; i < a->copy + a->copies; i++)
        for (uint32_t k = b->copy; k < b->copy + b->copies; k++) {
            uint64_t x = p->places[p->copies[i]].offset, y = p->places[p->copies[k]].offset;
            if (x < y + vka_tensor_bytes(&p->graph->tensors[p->copies[k]]) &&
                y < x + vka_tensor_bytes(&p->graph->tensors[p->copies[i]]))
                return true;
        }
    return false;
}

/* The newest list brings unit `u`: on the transfer queue, once all who read what was there before are done. */
static void prefetch(struct recording *rec, const struct vka_unit *u)
{
    const struct vka_plan *p = rec->plan;
    uint32_t on[VKA_TURNS] = {0, 0};
    for (uint32_t v = 0; v < p->unit_count; v++) {
        if (rec->last[v] <= on[VKA_TURN_NEXT] || !share_bytes(p, u, &p->units[v]))
            continue;
        on[VKA_TURN_FIRST] = vka_max_u32(on[VKA_TURN_FIRST], rec->last[v]);
        if (!p->units[v].once)
            on[VKA_TURN_NEXT] = rec->last[v];
    }
    rec->out->lists[rec->out->list_count - 1].transfer = true;
    for (enum vka_turn turn = VKA_TURN_FIRST; turn < VKA_TURNS; turn++)
        wait_for(rec, turn, on[turn]);
    rec->wait = rec->out->list_count;
    rec->inside = u;
}

/* A list with the copies of a unit. */
static bool record_unit(struct recording *rec, const struct vka_unit *u, const struct vka_rates *rates, uint32_t pass)
{
    struct vka_program *p = rec->out;
    if (!open_list(p, &p->plan->graph->nodes[u->first], pass))
        return false;
    struct vka_program_list *l = &p->lists[p->list_count - 1];
    l->copy = u->copy;
    l->copies = u->copies;
    l->seconds = 2e-6 + (double)u->bytes / rates->copy_bytes_per_second;
    rec->close = true;
    if (rec->plan->prefetch)
        prefetch(rec, u);
    return true;
}

/* A list for each parked tensor that leaves behind the segment, or returns before it. */
static bool record_parkings(struct recording *rec, const struct vka_segment *s, bool leaving, const struct vka_rates *rates,
                            uint32_t pass, uint32_t samples)
{
    struct vka_program *p = rec->out;
    const struct vka_plan *plan = rec->plan;
    for (uint32_t i = 0; i < plan->parking_count; i++) {
        const struct vka_parking *k = &plan->parkings[i];
        if (leaving ? k->leaves != s->end - 1 : k->returns != s->first)
            continue;
        if (!open_list(p, &plan->graph->nodes[leaving ? k->leaves : k->returns], pass))
            return false;
        struct vka_program_list *l = &p->lists[p->list_count - 1];
        const struct vka_tensor_info *t = &plan->graph->tensors[k->tensor];
        l->parking = i + 1;
        l->leaving = leaving;
        l->parked = base_address(rec, k->tensor);
        l->parked_bytes = (uint64_t)samples * t->h * t->w * t->pitch * vka_dtype_bytes(t->dtype);
        l->seconds = 2e-6 + (double)l->parked_bytes / rates->copy_bytes_per_second;
        rec->close = true;
    }
    return true;
}

/* Behind the last node of a unit: its list ends, so that the ring is free as early as can be. */
static void leave_unit(struct recording *rec, uint32_t node)
{
    if (rec->inside && (node < rec->inside->first || node >= rec->inside->end)) {
        rec->inside = NULL;
        rec->close = true;
    }
}

/* Before the first node of a unit: its weights. */
static bool enter_units(struct recording *rec, uint32_t node, const struct vka_rates *rates, uint32_t pass)
{
    const struct vka_plan *p = rec->plan;
    while (rec->unit < p->unit_count && p->units[rec->unit].end <= node)
        rec->unit++;
    bool enters = rec->unit < p->unit_count && p->units[rec->unit].first == node;
    return !enters || record_unit(rec, &p->units[rec->unit], rates, pass);
}

/* Part number k of a segment in a pass of `samples` samples from pass_first on; false behind the last. */
static bool part_of(const struct vka_segment *s, uint32_t k, uint32_t pass_first, uint32_t samples,
                    struct vka_cut *part)
{
    uint64_t begin = (uint64_t)k * s->step;
    uint32_t extent = s->axis == VKA_AXIS_SAMPLE ? samples : s->extent; /* the last pass may have fewer */
    *part = (struct vka_cut){pass_first, samples, 0, 0};
    if (begin >= extent)
        return false;
    uint32_t first = (uint32_t)begin, count = vka_min_u32(s->step, extent - first);
    if (s->axis == VKA_AXIS_SAMPLE) {
        part->s0 = pass_first + first;
        part->sn = count;
    } else if (vka_along_pixels(s)) {
        part->p0 = first;
        part->pn = count;
    }
    return true;
}

struct vka_program *vka_program_record(const struct vka_plan *plan, const struct vka_kernel_table *table,
                                       const struct vka_addresses *at, const struct vka_rates *rates, vka_error *err)
{
    struct vka_program *p = vka_calloc(1, sizeof *p);
    struct recording rec = {.out = p, .plan = plan, .at = at};
    const struct vka_graph *g = plan->graph;
    bool ok = p != NULL;
    if (ok) {
        p->plan = plan;
        p->ring = plan->unit_count ? at->weights[plan->ring_block] : 0;
        rec.last = vka_calloc((size_t)plan->unit_count + 1, sizeof *rec.last);
        ok = rec.last != NULL;
    }
    for (uint32_t pass = 0; ok && pass < plan->passes; pass++) {
        uint32_t pass_first = pass * plan->pass_samples;
        uint32_t samples = vka_min_u32(plan->pass_samples, g->samples - pass_first);
        rec.unit = 0;
        for (uint32_t k = 0; k < plan->segment_count; k++) {
            const struct vka_segment *s = &plan->segments[k];
            struct vka_cut part;
            if (s->once && pass > 0)
                continue;
            ok = ok && record_parkings(&rec, s, false, rates, pass, samples);
            for (uint32_t part_index = 0; ok && part_of(s, part_index, pass_first, samples, &part); part_index++)
                for (uint32_t i = s->first; ok && i < s->end; i++) {
                    leave_unit(&rec, i);
                    if (part_index == 0)
                        ok = enter_units(&rec, i, rates, pass);
                    ok = ok && record_step(&rec, table, rates, s, &g->nodes[i], &part, pass);
                }
            ok = ok && record_parkings(&rec, s, true, rates, pass, samples);
        }
    }
    free(rec.buckets);
    free(rec.known);
    free(rec.last);
    if (!ok) {
        vka_program_destroy(&p);
        vka_fail(err, VKA_E_MEMORY, "out of memory recording the %s", g->name);
    }
    return p;
}

double vka_program_seconds(const struct vka_program *program)
{
    double now[2] = {0, 0}; /* on either queue */
    double *done = vka_calloc((size_t)program->list_count + 1, sizeof *done);
    for (uint32_t i = 0; i < program->list_count; i++) {
        const struct vka_program_list *l = &program->lists[i];
        double *at = &now[l->transfer];
        if (l->once)
            continue;
        if (done && l->after[VKA_TURN_NEXT] && done[l->after[VKA_TURN_NEXT] - 1] > *at)
            *at = done[l->after[VKA_TURN_NEXT] - 1];
        *at += l->seconds;
        if (done)
            done[i] = *at;
    }
    if (!done) /* out of memory: as if one waited for the other all the time */
        return now[0] + now[1];
    free(done);
    return now[0] > now[1] ? now[0] : now[1];
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
    *at =
        (struct vka_addresses){.arena = all, .weights = all + a, .bound = all + a + w, .args = vka_round_up(next, 256)};
    *store = all;
    return VKA_OK;
}
