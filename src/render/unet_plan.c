/* unet_plan.c - what the UNet stage takes and how long it lasts, before it starts: its plans, where the clip's state is, and
 * estimates.  See stages.h.
 *
 * The clip's state moves few bytes beside the network, so it goes to host memory only where the network has not all it
 * could use of the device. */
#include "render/stages.h"

#include <stdlib.h>
#include <string.h>

uint64_t vka_unet_stage_frame(const struct vka_unet_stage *s)
{
    return (uint64_t)s->p.height * s->p.width * s->p.config->out_channels;
}

uint32_t vka_unet_stage_slots(const struct vka_unet_stage *s)
{
    return vka_sampler_slots(s->p.sampler) | 1u << VKA_SLOT_X | 1u << VKA_SLOT_EPS;
}

uint64_t vka_unet_stage_host_bytes(const struct vka_unet_stage *s)
{
    if (!s->parked)
        return 0;
    uint64_t frame = vka_unet_stage_frame(s) * sizeof(float), slots = vka_sampler_shares_noise(s->p.sampler) ? 2 : 1;
    for (uint32_t i = 0; i < VKA_SLOTS; i++) /* here, and in what samples (sampling.c), which has one or two more */
        slots += (vka_unet_stage_slots(s) >> i & 1) + (vka_sampler_lasting(s->p.sampler) >> i & 1);
    return slots * s->p.frames * frame + s->pixels_bytes + (uint64_t)2 * s->batch * sizeof *s->frame_of +
           (uint64_t)s->p.frames * (s->p.branches * sizeof *s->prompt_of + sizeof *s->seen + sizeof *s->place_of);
}

/* ---- plans ------------------------------------------------------------------------------------------------ */

/* Plans what is around the network; *other is the device memory that it and the inputs and outputs take. */
static vka_status plan_around(struct vka_unet_stage *s, uint64_t *other, vka_error *err)
{
    vka_status st = VKA_OK;
    *other = vka_block_footprint(s->io.bytes);
    if (s->p.sampler) {
        st = vka_netrun_plan(&s->begin, UINT64_MAX, 0, err);
        *other += s->begin.need;
    }
    if (st == VKA_OK && s->parked) {
        st = vka_netrun_plan(&s->guide, UINT64_MAX, 0, err);
        *other += s->guide.need;
    }
    if (st == VKA_OK && s->p.sampler && s->windowed) {
        st = vka_netrun_plan(&s->merge, UINT64_MAX, 0, err);
        *other += s->merge.need;
    }
    for (uint32_t k = 0; st == VKA_OK && k < s->patterns; k++) {
        st = vka_netrun_plan(&s->pattern[k], UINT64_MAX, 0, err);
        *other += s->pattern[k].need;
    }
    return st;
}

vka_status vka_unet_stage_plan(struct vka_unet_stage *s, uint64_t budget, uint64_t *need, vka_error *err)
{
    return vka_unet_stage_ask(s, &(struct vka_ask){.room = {budget, UINT64_MAX}}, need, err);
}

vka_status vka_unet_stage_ask(struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    struct vka_ask inner = *ask;
    uint64_t other = 0, state = vka_unet_stage_host_bytes(s);
    inner.room.host = state < ask->room.host ? ask->room.host - state : 0;
    vka_status st = plan_around(s, &other, err);
    if (st == VKA_OK)
        st = vka_netrun_ask(&s->unet, &inner, other, err);
    *need = s->unet.need + other;
    return st;
}

/* A plan to be compared with another. */
struct trial {
    struct vka_plan *plan; /* of the network */
    uint64_t unet, need;
    double seconds;
    bool fits;
};

static vka_status look_at(const struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t need, struct trial *t,
                          vka_error *err)
{
    const struct vka_rates rates = vka_exec_rates(NULL, s->p.table.flops);
    *t = (struct trial){.unet = s->unet.need, .need = need};
    t->fits = !ask->knobs && need <= ask->room.device &&
              s->unet.plan->host_bytes + vka_unet_stage_host_bytes(s) <= ask->room.host;
    return t->fits ? vka_unet_stage_seconds(s, &rates, &t->seconds, err) : VKA_OK;
}

static bool is_whole(const struct vka_plan *p)
{
    bool whole = p->passes == 1 && !p->unit_count && !p->parking_count;
    for (uint32_t i = 0; whole && i < p->segment_count; i++)
        whole = p->segments[i].parts == 1;
    return whole;
}

/* Some windows at a time pay where weights are streamed, which is then done less often.  Elsewhere a window's frames are work
 * enough for a device, and a number of windows that does not divide the step's would waste the rest. */
static vka_status choose_together(struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    struct trial best, other;
    struct vka_windows w = {0};
    uint32_t most = 1;
    vka_status st = vka_unet_stage_together(s, 1, err);
    if (st == VKA_OK)
        st = vka_unet_stage_ask(s, ask, need, err);
    if (st == VKA_OK)
        st = look_at(s, ask, *need, &best, err);
    if (st == VKA_OK)
        st = vka_unet_stage_make_windows(s, &w, 0, err);
    if (st == VKA_OK && best.fits && s->unet.plan->unit_count && !s->p.by_frame)
        most = vka_min_u32(VKA_MOST_TOGETHER, w.count);
    uint32_t taken = 1;
    for (uint32_t t = 2; st == VKA_OK && t <= most; t *= 2) {
        st = vka_unet_stage_together(s, t, err);
        if (st == VKA_OK)
            st = vka_unet_stage_ask(s, ask, need, err);
        if (st == VKA_OK)
            st = look_at(s, ask, *need, &other, err);
        if (st != VKA_OK || !other.fits || other.seconds >= 0.98 * best.seconds)
            break;
        best = other;
        taken = t;
    }
    vka_windows_free(&w);
    if (st == VKA_OK && s->together != taken) {
        st = vka_unet_stage_together(s, taken, err);
        if (st == VKA_OK)
            st = vka_unet_stage_ask(s, ask, need, err);
    }
    return st;
}

vka_status vka_unet_stage_choose(struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    if (s->p.sampler && s->windowed)
        return choose_together(s, ask, need, err);
    struct trial here, there;
    bool free_to_choose = s->p.sampler && !s->windowed && !s->p.park && (!ask->knobs || ask->any_state);
    vka_status st = vka_unet_stage_park(s, s->p.park, err);
    if (st == VKA_OK)
        st = vka_unet_stage_ask(s, ask, need, err);
    if (st == VKA_OK && free_to_choose)
        st = look_at(s, ask, *need, &here, err);
    if (st != VKA_OK || !free_to_choose || (here.fits && is_whole(s->unet.plan)))
        return st;
    here.plan = s->unet.plan;
    s->unet.plan = NULL;
    st = vka_unet_stage_park(s, true, err);
    if (st == VKA_OK)
        st = vka_unet_stage_ask(s, ask, need, err);
    if (st == VKA_OK)
        st = look_at(s, ask, *need, &there, err);
    if (st == VKA_OK && (there.fits != here.fits ? there.fits
                         : here.fits             ? there.seconds < here.seconds
                                                 : there.need < here.need)) {
        vka_plan_destroy(&here.plan);
        return VKA_OK;
    }
    vka_plan_destroy(&s->unet.plan);
    s->unet.plan = here.plan;
    s->unet.need = here.unet;
    *need = here.need;
    if (st == VKA_OK)
        st = vka_unet_stage_park(s, false, err);
    uint64_t other;
    return st == VKA_OK ? plan_around(s, &other, err) : st;
}

/* ---- estimates -------------------------------------------------------------------------------------------- */

/* The windows of a step; of a clip in one piece that is all frames.  Frames that no motion module joins need no
 * windows that move from step to step: with those of step 0, and no overlap, a frame is in two windows at most, and
 * the mean of two equal numbers is that number. */
vka_status vka_unet_stage_make_windows(const struct vka_unet_stage *s, struct vka_windows *w, uint32_t step,
                                       vka_error *err)
{
    const struct vka_window_params all = {.length = s->length, .stride = 1};
    return vka_windows_make(w, s->windowed ? &s->p.window : &all, s->p.frames, s->p.motion ? step : 0, err);
}

vka_status vka_unet_stage_seconds(const struct vka_unet_stage *s, const struct vka_rates *rates, double *seconds,
                                  vka_error *err)
{
    const double round_trip = 1e-4; /* of a submission that the host waits for */
    double network = 0, sampler = 0;
    uint32_t windows = 1, slices = 1;
    vka_status st = vka_netrun_seconds(&s->unet, rates, &network, err);
    if (st == VKA_OK && s->p.sampler)
        st = vka_netrun_seconds(&s->begin, rates, &network, err);
    if (st == VKA_OK && s->patterns)
        st = vka_netrun_seconds(&s->pattern[0], rates, &sampler, err);
    if (st == VKA_OK && s->parked) {
        struct vka_windows w = {0};
        uint64_t frame = s->pixels_bytes / vka_max_u32(s->batch, s->slice), moved = 0;
        bool merges = s->windowed;
        st = vka_netrun_seconds(&s->guide, rates, &network, err);
        if (st == VKA_OK && merges)
            st = vka_netrun_seconds(&s->merge, rates, &network, err);
        if (st == VKA_OK)
            st = vka_unet_stage_make_windows(s, &w, 0, err);
        windows = vka_div_up(w.count, s->together);
        slices = vka_div_up(s->p.frames, s->slice);
        for (uint32_t i = 0; i < VKA_SLOTS; i++)
            moved += (s->flow[0].in[i].id ? 1u : 0u) + (s->flow[0].out[i].id ? 1u : 0u);
        /* each byte is copied, and turned from planes to pixels or back */
        network += 2.0 * (merges ? 3 : 2) * (double)(s->batch * frame) / rates->copy_bytes_per_second +
                   (merges ? 4 : 3) * round_trip;
        sampler += 2.0 * (double)(moved * s->slice * frame) / rates->copy_bytes_per_second + round_trip;
        vka_windows_free(&w);
    }
    *seconds = windows * network + slices * sampler;
    return st;
}

/* Adds what a network's plan moves and launches, from its recording. */
static vka_status add_traffic(const struct vka_netrun *n, const struct vka_kernel_table *table,
                              struct vka_traffic lines[VKA_TRAFFIC_LINES], uint32_t *count, vka_error *err)
{
    struct vka_addresses at;
    uint64_t *store;
    const struct vka_rates rates = vka_exec_rates(NULL, 0);
    vka_status s = vka_addresses_fake(n->plan, &at, &store, err);
    if (s != VKA_OK)
        return s;
    struct vka_program *p = vka_program_record(n->plan, table, &at, &rates, err);
    free(store);
    if (!p)
        return VKA_E_MEMORY;
    *count = vka_program_traffic(p, lines, *count);
    vka_program_destroy(&p);
    return VKA_OK;
}

static void times(struct vka_traffic *lines, uint32_t count, uint32_t n)
{
    for (uint32_t i = 0; i < count; i++) {
        lines[i].dispatches *= n;
        lines[i].flop *= n;
        lines[i].bytes *= n;
    }
}

/* Adds a line to that of the same operator, or behind the others; line 0 is the sum. */
static void merge_line(struct vka_traffic lines[VKA_TRAFFIC_LINES], uint32_t *count, const struct vka_traffic *line,
                       bool sum)
{
    uint32_t i = sum ? 0 : 1;
    while (!sum && i < *count && strcmp(lines[i].op, line->op) != 0)
        i++;
    if (i == *count) {
        if (i < VKA_TRAFFIC_LINES)
            lines[(*count)++] = *line;
        return;
    }
    lines[i].dispatches += line->dispatches;
    lines[i].flop += line->flop;
    lines[i].bytes += line->bytes;
}

vka_status vka_unet_stage_traffic(const struct vka_unet_stage *u, struct vka_traffic lines[VKA_TRAFFIC_LINES],
                                  uint32_t *count, vka_error *err)
{
    uint32_t windows = 1, slices = 1, sampler_count = 0;
    struct vka_traffic sampler[VKA_TRAFFIC_LINES];
    *count = 0;
    vka_status s = add_traffic(&u->unet, &u->p.table, lines, count, err);
    if (s == VKA_OK && u->p.sampler)
        s = add_traffic(&u->begin, &u->p.table, lines, count, err);
    if (s == VKA_OK && u->parked) {
        struct vka_windows w = {0};
        s = add_traffic(&u->guide, &u->p.table, lines, count, err);
        if (s == VKA_OK && u->windowed)
            s = add_traffic(&u->merge, &u->p.table, lines, count, err);
        if (s == VKA_OK)
            s = vka_unet_stage_make_windows(u, &w, 0, err);
        windows = vka_div_up(w.count, u->together);
        slices = vka_div_up(u->p.frames, u->slice);
        vka_windows_free(&w);
    }
    if (s == VKA_OK && u->patterns)
        s = add_traffic(&u->pattern[0], &u->p.table, sampler, &sampler_count, err);
    times(lines, *count, windows);
    times(sampler, sampler_count, slices);
    for (uint32_t i = 0; i < sampler_count; i++)
        merge_line(lines, count, &sampler[i], i == 0);
    return s;
}
