/* lists.c - see lists.h. */
#include "render/lists.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_RUNS = 2 /* whose times may make the cuts coarser; later they get finer only */ };

/* A list that took its time once may take a little more the next time. */
static const double margin = 1.5;

struct vka_limits vka_limits_for(const vka_gpu_info *info)
{
    const double part = info->cautious ? 0.5 : 1;
    if (info->cpu)
        return (struct vka_limits){.dispatch = part, .list = part, .submission = part, .caution = 1};
    return (struct vka_limits){
        .dispatch = 0.05 * part, .list = 0.1 * part, .submission = 0.2 * part, .caution = 8, .measured = true};
}

/* ---- cuts ---------------------------------------------------------------------------------------------- */

uint32_t vka_cut_pieces(const struct vka_limits *limits, const uint32_t groups[3], double seconds, uint32_t pieces[3])
{
    const uint32_t along = groups[2] > 1 ? 2 : 0, longer = groups[1] > groups[along] ? 1 : along;
    const uint32_t other = longer == 1 ? along : 1;
    double want = fmax(ceil(seconds / limits->dispatch), 1);
    pieces[0] = pieces[1] = pieces[2] = 1;
    pieces[longer] = (uint32_t)fmin(want, groups[longer]);
    pieces[other] = (uint32_t)fmin(ceil(want / pieces[longer]), groups[other]);
    return pieces[longer] * pieces[other];
}

void vka_cut_piece(const uint32_t groups[3], const uint32_t pieces[3], uint32_t k, uint32_t base[3], uint32_t count[3])
{
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t at = k % pieces[i];
        k /= pieces[i];
        base[i] = (uint32_t)(groups[i] * at / pieces[i]);
        count[i] = (uint32_t)(groups[i] * (at + 1) / pieces[i]) - base[i];
    }
}

static double workgroups(const struct vka_dispatch *d)
{
    return (double)d->groups[0] * d->groups[1] * d->groups[2];
}

/* ---- recording ----------------------------------------------------------------------------------------- */

/* The list to record into: the newest, or a new one where `seconds` more would be too long. */
static struct vka_device_list *list_for(struct vka_lists *l, uint32_t of, double seconds, vka_error *err)
{
    const struct vka_program_list *source = &l->program->lists[of];
    struct vka_device_list *now = l->count ? &l->items[l->count - 1] : NULL;
    if (now && now->of == of) {
        if (now->seconds + seconds <= l->limits.list)
            return now;
        if (vka_list_end(now->list, err) != VKA_OK)
            return NULL;
    }
    struct vka_device_list *grown = vka_grow(l->items, &l->capacity, (size_t)l->count + 1, sizeof *grown);
    if (!grown) {
        vka_fail(err, VKA_E_MEMORY, "out of memory");
        return NULL;
    }
    l->items = grown;
    now = &grown[l->count];
    *now = (struct vka_device_list){.of = of, .first = l->dispatches, .once = source->once};
    vka_status s = (source->transfer ? vka_list_begin_transfer : vka_list_begin)(l->gpu, source->label, &now->list, err);
    if (s != VKA_OK)
        return NULL;
    l->count++;
    return now;
}

static vka_status record_launch(struct vka_lists *l, uint32_t of, uint32_t step, const struct vka_dispatch *d, bool barrier,
                                double seconds, vka_error *err)
{
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = d->shader;
    key.subgroup_size = d->subgroup_size;
    key.full_subgroups = d->subgroup_size && d->constants[0] % d->subgroup_size == 0;
    key.count = d->count;
    memcpy(key.constants, d->constants, d->count * sizeof *d->constants);
    vka_pipeline *pipeline;
    vka_status s = vka_gpu_pipeline(l->gpu, &key, &pipeline, err);
    if (s != VKA_OK)
        return s;
    double scaled = seconds * l->scale[of];
    uint32_t along[3], pieces = vka_cut_pieces(&l->limits, d->groups, scaled, along);
    uint32_t *grown = vka_grow(l->steps, &l->step_capacity, (size_t)l->dispatches + pieces, sizeof *grown);
    if (!grown)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    l->steps = grown;
    for (uint32_t k = 0; k < pieces; k++) {
        uint32_t base[3], count[3];
        struct vka_device_list *list = list_for(l, of, scaled / pieces, err);
        if (!list)
            return err->status;
        if (barrier && k == 0)
            vka_list_barrier(list->list);
        vka_cut_piece(d->groups, along, k, base, count);
        vka_list_dispatch_part(list->list, pipeline, d->push, d->push_bytes, base, count, l->program->steps[step].node->label);
        l->steps[l->dispatches++] = step;
        list->count++;
        list->estimate += seconds / pieces;
        list->longest = fmax(list->longest, seconds / pieces);
        list->seconds += scaled / pieces;
    }
    return VKA_OK;
}

/* One weight on its way into the ring; nothing in a unit's copies shares bytes. */
static vka_status record_copy(struct vka_lists *l, uint32_t of, uint32_t tensor, double share, vka_error *err)
{
    const struct vka_plan *plan = l->program->plan;
    const struct vka_place *at = &plan->places[tensor];
    double seconds = l->program->lists[of].seconds * share, scaled = seconds * l->scale[of];
    struct vka_device_list *list = list_for(l, of, scaled, err);
    if (!list)
        return err->status;
    vka_list_copy(list->list, l->blocks.weights[at->block], at->offset, l->blocks.host[at->host_block], at->host_offset,
                  vka_tensor_bytes(&plan->graph->tensors[tensor]));
    list->estimate += seconds;
    list->longest = fmax(list->longest, seconds);
    list->seconds += scaled;
    return VKA_OK;
}

/* A parked tensor on its way to the host, or back. */
static vka_status record_parking(struct vka_lists *l, uint32_t of, vka_error *err)
{
    const struct vka_program_list *source = &l->program->lists[of];
    const struct vka_parking *p = &l->program->plan->parkings[source->parking - 1];
    const struct vka_place *at = &l->program->plan->places[p->tensor];
    vka_block *here = l->blocks.arena[at->block], *there = l->blocks.host[p->host_block];
    struct vka_device_list *list = list_for(l, of, source->seconds * l->scale[of], err);
    if (!list)
        return err->status;
    if (source->leaving)
        vka_list_copy(list->list, there, 0, here, at->offset, source->parked_bytes);
    else
        vka_list_copy(list->list, here, at->offset, there, 0, source->parked_bytes);
    list->estimate += source->seconds;
    list->longest = fmax(list->longest, source->seconds);
    list->seconds += source->seconds * l->scale[of];
    return VKA_OK;
}

static vka_status record_list(struct vka_lists *l, uint32_t of, vka_error *err)
{
    const struct vka_program_list *source = &l->program->lists[of];
    vka_status s = source->parking ? record_parking(l, of, err) : VKA_OK;
    for (uint32_t i = source->step; s == VKA_OK && i < source->step + source->steps; i++) {
        const struct vka_step *step = &l->program->steps[i];
        double all = 0;
        for (uint32_t k = 0; k < step->launches; k++)
            all += workgroups(&l->program->launches[step->launch + k]);
        for (uint32_t k = 0; s == VKA_OK && k < step->launches; k++) {
            const struct vka_dispatch *d = &l->program->launches[step->launch + k];
            s = record_launch(l, of, i, d, step->barrier && k == 0, step->seconds * workgroups(d) / all, err);
        }
    }
    double bytes = 0;
    for (uint32_t i = source->copy; i < source->copy + source->copies; i++)
        bytes += (double)vka_tensor_bytes(&l->program->plan->graph->tensors[l->program->plan->copies[i]]);
    for (uint32_t i = source->copy; s == VKA_OK && i < source->copy + source->copies; i++) {
        uint32_t t = l->program->plan->copies[i];
        s = record_copy(l, of, t, (double)vka_tensor_bytes(&l->program->plan->graph->tensors[t]) / bytes, err);
    }
    struct vka_device_list *last = l->count ? &l->items[l->count - 1] : NULL;
    return s == VKA_OK && last && last->of == of ? vka_list_end(last->list, err) : s;
}

static void forget(struct vka_lists *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        vka_list_destroy(l->gpu, &l->items[i].list);
    l->count = l->dispatches = 0;
}

static vka_status record_all(struct vka_lists *l, vka_error *err)
{
    vka_error unheard = {0};
    vka_status s = VKA_OK;
    forget(l);
    for (uint32_t i = 0; s == VKA_OK && i < l->program->list_count; i++)
        s = record_list(l, i, err ? err : &unheard);
    return s;
}

vka_status vka_lists_begin(struct vka_lists *l, vka_gpu *gpu, const struct vka_program *program,
                           const struct vka_list_blocks *blocks, const struct vka_limits *limits, vka_error *err)
{
    *l = (struct vka_lists){.gpu = gpu, .blocks = *blocks, .program = program, .limits = *limits};
    l->scale = vka_calloc(program->list_count, sizeof *l->scale);
    l->awaited = vka_calloc(program->list_count, sizeof *l->awaited);
    l->tickets = vka_calloc(program->list_count, sizeof *l->tickets);
    if (!l->scale || !l->awaited || !l->tickets)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < program->list_count; i++) {
        const struct vka_program_list *list = &program->lists[i];
        l->scale[i] = limits->caution;
        for (enum vka_turn turn = VKA_TURN_FIRST; turn < VKA_TURNS; turn++)
            if (list->after[turn])
                l->awaited[list->after[turn] - 1] = true;
    }
    return record_all(l, err);
}

void vka_lists_end(struct vka_lists *l)
{
    forget(l);
    free(l->items);
    free(l->steps);
    free(l->scale);
    free(l->awaited);
    free(l->tickets);
    *l = (struct vka_lists){0};
}

/* ---- times --------------------------------------------------------------------------------------------- */

vka_status vka_lists_measure(struct vka_lists *l, bool first, uint64_t runs, vka_error *err)
{
    bool cut = l->limits.measured && runs <= FIRST_RUNS, again = false;
    for (uint32_t i = 0; i < l->count; i++) {
        struct vka_device_list *d = &l->items[i];
        uint64_t ns = d->once && !first ? 0 : vka_list_time(l->gpu, d->list);
        if (!ns)
            continue;
        d->ran = true;
        d->seconds = 1e-9 * (double)ns;
        /* beyond what it was cut for, though it could have been cut finer */
        cut = cut || (l->limits.measured && d->seconds * d->longest > 2 * l->limits.dispatch * d->estimate &&
                      d->seconds > margin * l->scale[d->of] * d->estimate);
    }
    if (!cut)
        return VKA_OK;
    for (uint32_t i = 0; i < l->count;) { /* the parts of one list of the program follow each other */
        uint32_t of = l->items[i].of;
        double seconds = 0, estimate = 0;
        for (; i < l->count && l->items[i].of == of; i++)
            if (l->items[i].ran) {
                seconds += l->items[i].seconds;
                estimate += l->items[i].estimate;
            }
        if (estimate <= 0)
            continue;
        double scale = margin * seconds / estimate;
        again = again || scale > 2 * l->scale[of] || scale < 0.5 * l->scale[of];
        if (scale > l->scale[of] || runs <= FIRST_RUNS)
            l->scale[of] = scale;
    }
    if (!again)
        return VKA_OK;
    /* until the next run tells more, the new lists take what the old ones took */
    return record_all(l, err);
}
