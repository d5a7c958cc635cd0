/* unet_stage.c - the UNet with its sampler as a stage.  See stages.h.
 *
 * One block holds the inputs and outputs: the model's input and output for all branches, the text context, further inputs, and
 * the sampler's slots, each [frames, h, w, 4] fp32.  A host-visible step buffer holds what changes per evaluation:
 * timestep, scales and coefficients as floats, and each sample's prompt as an int.  An evaluation runs three graphs:
 * `begin` (the model's input from X, for each branch), `unet`, and the pattern of the sampler (guidance, then its
 * operations).
 *
 * A clip in windows has its state in host memory, so that the device holds no more than a window's frames: unet_windows.c.
 * Kernels and operands of a frame are the same as in one piece, so where the state is, how it is sliced and how many windows
 * the network takes at once changes no bit. */
#include "render/unet_parts.h"

#include "ops/ops.h"
#include "weights/lora.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)VKA_LOW_RANKS == (int)VKA_LORA_TRAVELLERS, "LoRAs over the frames");

static vka_status build_unet(struct vka_unet_stage *s, vka_error *err)
{
    const struct vka_unet_stage_params *p = &s->p;
    vka_status st = vka_netrun_begin(&s->unet, "UNet", p->branches * s->together, s->length, p->weights, p->motion_weights, p->f16,
                                     &p->table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->unet.build;
    s->sample = vka_graph_tensor(b, "sample", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, p->height, p->width, p->config->in_channels);
    s->timestep = vka_graph_tensor(b, "timestep", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 1);
    s->context = vka_graph_tensor(b, "context", VKA_GLOBAL, VKA_INPUT, VKA_F32,
                                  p->travels ? p->branches * s->batch : p->prompts, 1, p->tokens, p->text_width);
    s->index = vka_graph_tensor(b, "prompt index", VKA_SAMPLE, VKA_INPUT, VKA_I32, 0, 1, 1, 1);
    bool perturbed = vka_guide_first_perturbed(&s->guide_rule) < p->branches;
    if (s->amount)
        s->amounts = vka_graph_tensor(b, "amounts", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, 1, s->channels);
    struct vka_net_control_args controls[VKA_CONTROLS];
    struct vka_net_ip ips[VKA_MAX_IPS];
    st = vka_unet_controls_build(s, controls, err);
    if (st == VKA_OK)
        st = vka_unet_ips(s, ips, err);
    if (st != VKA_OK)
        return st;
    struct vka_unet_inputs in = {.sample = s->sample, .timestep = s->timestep, .context = s->context, .index = s->index,
                                 .amount = {s->amounts, p->motion_scale != NULL, p->motion_effect != NULL, perturbed},
                                 .controls = controls, .control_count = p->control_count, .ips = ips, .ip_count = p->ip_count,
                                 .windows = p->motion_windows};
    struct vka_low_rank low = {p->low_rank, vka_lora_travel_widths, s->amounts, VKA_AMOUNTS + p->low_rank_value, s->index};
    if (p->low_rank) {
        vka_weights *factors = vka_lora_travel_table(p->low_rank, err);
        st = factors ? vka_netrun_more(&s->unet, "lora.", factors, err) : VKA_E_MEMORY;
        if (st != VKA_OK)
            return st;
        b->low_rank = &low;
    }
    s->eps = vka_net_unet(b, p->config, p->motion, &p->norms, &in);
    b->low_rank = NULL;
    vka_graph_output(b, s->eps);
    vka_tensor changing[4 + VKA_UNET_FEEDS] = {s->sample, s->timestep, s->index, s->amounts};
    uint32_t count = s->amount ? 4 : 3;
    for (uint32_t k = 0; k < s->feed_count; k++)
        if (!s->feeds[k].is.global)
            changing[count++] = s->feeds[k].tensor;
    return vka_netrun_finish(&s->unet, changing, count, err);
}

vka_status vka_unet_stage_build(struct vka_unet_stage *s, const struct vka_unet_stage_params *p, vka_error *err)
{
    bool windows = vka_windows_split(&p->window, p->frames);
    *s = (struct vka_unet_stage){.p = *p, .first = true, .windowed = windows,
                                  .length = windows ? p->window.length : p->frames, .together = 1};
    s->batch = s->length;
    const double one = 1;
    if (p->guide)
        s->guide_rule = *p->guide;
    else
        vka_guide_make(&s->guide_rule, 1, &one, p->branches == 1, 0, 0, NULL);
    s->p.guide = NULL; /* the caller's */
    if (p->branches != vka_guide_branches(&s->guide_rule))
        return vka_fail(err, VKA_E_INTERNAL, "%u branches of the UNet for a guidance of %u", p->branches,
                        vka_guide_branches(&s->guide_rule));
    s->parked = p->sampler && (windows || p->park);
    vka_status st = vka_unet_frames_keep(s, err);
    if (st == VKA_OK)
        st = build_unet(s, err);
    return st == VKA_OK ? vka_unet_around_build(s, err) : st;
}

vka_status vka_unet_stage_park(struct vka_unet_stage *s, bool park, vka_error *err)
{
    bool parked = s->p.sampler && (s->windowed || park);
    if (parked == s->parked)
        return VKA_OK;
    vka_unet_around_end(s);
    s->parked = parked;
    return vka_unet_around_build(s, err);
}

vka_status vka_unet_stage_together(struct vka_unet_stage *s, uint32_t together, vka_error *err)
{
    if (!s->windowed || !s->p.sampler)
        together = 1;
    if (together == s->together)
        return VKA_OK;
    vka_unet_around_end(s);
    vka_netrun_end(&s->unet);
    s->feed_count = 0;
    s->together = together;
    s->batch = together * s->length;
    vka_status st = build_unet(s, err);
    return st == VKA_OK ? vka_unet_around_build(s, err) : st;
}

/* Host memory of a parked clip. */
static vka_status take_host_memory(struct vka_unet_stage *s, vka_error *err)
{
    bool ok = true;
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        if (vka_unet_stage_slots(s) >> i & 1) {
            s->state[i] = vka_calloc(s->p.frames, vka_unet_stage_frame(s) * sizeof(float));
            ok = ok && s->state[i];
        }
    s->pixels = vka_calloc(s->pixels_bytes, 1);
    s->prompt_of = vka_calloc((size_t)s->p.branches * s->p.frames, sizeof *s->prompt_of);
    s->seen = vka_calloc(s->p.frames, sizeof *s->seen);
    s->frame_of = vka_calloc((size_t)2 * s->batch, sizeof *s->frame_of);
    s->place_of = vka_calloc(s->p.frames, sizeof *s->place_of);
    for (uint32_t f = 0; s->place_of && f < s->p.frames; f++)
        s->place_of[f] = -1;
    if (ok && s->pixels && s->prompt_of && s->seen && s->frame_of && s->place_of)
        return VKA_OK;
    vka_fail(err, VKA_E_MEMORY, "the %.0f MiB of host memory for the state of a clip of %u frames are not there",
             (double)vka_unet_stage_host_bytes(s) / 1048576, s->p.frames);
    vka_error_hint(err, "fewer frames, or a smaller picture");
    return VKA_E_MEMORY;
}

vka_status vka_unet_stage_start(struct vka_unet_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    s->gpu = gpu;
    vka_status st = s->parked ? take_host_memory(s, err) : VKA_OK;
    if (st == VKA_OK)
        st = vka_block_create(gpu, s->io.bytes, VKA_MEMORY_DEVICE, true, &s->block, err);
    if (st == VKA_OK)
        st = vka_block_create(gpu, vka_unet_step_bytes(s), VKA_MEMORY_HOST, true, &s->step, err);
    if (st == VKA_OK)
        st = vka_netrun_start(&s->unet, gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    uint64_t io = s->block->address, step = s->step->address;
    vka_exec_bind(s->unet.exec, s->sample, io + s->sample_at);
    vka_exec_bind(s->unet.exec, s->context, io + s->context_at);
    vka_exec_bind(s->unet.exec, s->eps, io + s->eps_at);
    vka_exec_bind(s->unet.exec, s->timestep, step + STEP_TIMESTEP * sizeof(float));
    vka_exec_bind(s->unet.exec, s->index, step + STEP_FLOATS * sizeof(float));
    if (s->amount)
        vka_exec_bind(s->unet.exec, s->amounts, step + vka_unet_amounts_at(s));
    for (uint32_t k = 0; k < s->feed_count; k++)
        vka_exec_bind(s->unet.exec, s->feeds[k].tensor, io + s->feeds[k].at);
    if (!s->windowed)
        vka_unet_frames_step(s, NULL);
    st = vka_exec_record(s->unet.exec, err);
    if (st == VKA_OK)
        st = vka_unet_globals_feed(s, err);
    return st == VKA_OK && s->p.sampler ? vka_unet_around_start(s, ticker, err) : st;
}

vka_status vka_unet_stage_prompt(struct vka_unet_stage *s, const float *context, const int32_t *index, vka_error *err)
{
    size_t rows = (size_t)s->p.prompts * s->p.tokens, width = s->p.text_width, pitch = vka_pitch((uint32_t)width);
    float *padded = vka_calloc(rows * pitch, sizeof *padded);
    if (!padded)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; i < rows; i++)
        memcpy(padded + i * pitch, context + i * width, width * sizeof *padded);
    vka_status st = vka_block_write(s->gpu, s->block, s->context_at, padded, rows * pitch * sizeof *padded, err);
    vka_unet_stage_index(s, index);
    s->first = true;
    free(padded);
    return st;
}

void vka_unet_stage_index(struct vka_unet_stage *s, const int32_t *index)
{
    memcpy(s->parked ? s->prompt_of : vka_unet_prompt_index(s), index, (size_t)s->p.branches * s->p.frames * sizeof *index);
}

void vka_unet_stage_weigh(struct vka_unet_stage *s, const double *weight)
{
    memcpy(s->guide_rule.weight, weight, s->guide_rule.parts * sizeof *weight);
}

vka_status vka_unet_stage_repack(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err)
{
    s->first = true;
    return vka_netrun_repack(&s->unet, ticker, err);
}

vka_status vka_unet_stage_set(struct vka_unet_stage *s, enum vka_slot slot, const float *planes, vka_error *err)
{
    if (s->parked) {
        memcpy(s->state[slot], planes, s->p.frames * vka_unet_stage_frame(s) * sizeof *planes);
        return VKA_OK;
    }
    float *pixels = malloc(s->slot_bytes);
    if (!pixels)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_planes_to_pixels(pixels, planes, s->p.frames, s->p.config->out_channels, s->p.height, s->p.width);
    vka_status st = vka_block_write(s->gpu, s->block, s->slot_at[slot], pixels, s->slot_bytes, err);
    free(pixels);
    return st;
}

vka_status vka_unet_stage_get(struct vka_unet_stage *s, enum vka_slot slot, float *planes, vka_error *err)
{
    if (s->parked) {
        memcpy(planes, s->state[slot], s->p.frames * vka_unet_stage_frame(s) * sizeof *planes);
        return VKA_OK;
    }
    float *pixels = malloc(s->slot_bytes);
    if (!pixels)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st = vka_block_read(s->gpu, s->block, s->slot_at[slot], pixels, s->slot_bytes, err);
    if (st == VKA_OK)
        vka_pixels_to_planes(planes, pixels, s->p.frames, s->p.config->out_channels, s->p.height, s->p.width);
    free(pixels);
    return st;
}

const struct vka_windows *vka_unet_stage_windows(const struct vka_unet_stage *s)
{
    return s->windowed ? &s->windows : NULL;
}

vka_status vka_unet_stage_eval(struct vka_unet_stage *s, const vka_sampler_eval *e, double cfg, const vka_ticker *ticker,
                               vka_error *err)
{
    float *step = s->step->map;
    step[STEP_TIMESTEP] = e->timestep;
    step[STEP_SCALE] = (float)e->input_scale;
    double guided[VKA_GUIDE_BRANCHES], one[VKA_GUIDE_BRANCHES], positive[VKA_GUIDE_BRANCHES];
    vka_guide_coefficients(&s->guide_rule, s->cfg ? 0 : cfg, guided, positive);
    vka_guide_coefficients(&s->guide_rule, 1, one, NULL);
    s->step_index = e->step;
    for (uint32_t i = 0; i < VKA_GUIDE_BRANCHES; i++) {
        step[STEP_GUIDANCE + i] = (float)guided[i];
        step[STEP_GUIDANCE + GUIDE_ONE + i] = (float)one[i];
        step[STEP_GUIDANCE + GUIDE_POSITIVE + i] = (float)positive[i];
    }
    step[STEP_GUIDANCE + GUIDE_RESCALE] = (float)s->guide_rule.rescale;
    for (uint32_t o = 0; o < e->ops; o++)
        for (uint32_t t = 0; t < e->op[o].terms; t++)
            step[STEP_OPS + o * VKA_SAMPLER_TERMS + t] = (float)e->op[o].coef[t];
    if (s->p.holds) {
        double x, image;
        vka_sampler_hold_mix(s->p.sampler, e, &x, &image);
        step[STEP_HOLD] = (float)x;
        step[STEP_HOLD + 1] = (float)image;
    }
    if (s->parked)
        return vka_unet_eval_parked(s, e, ticker, err);
    vka_unet_frames_step(s, NULL);
    vka_status st = s->fed ? VKA_OK : vka_unet_frames_feed(s, NULL, err);
    s->fed = true;
    if (st == VKA_OK && s->p.holds && s->keeping && e->step >= s->hold.steps) {
        s->keeping = false;
        st = vka_unet_hold_feed(s, 0, s->p.frames, err);
    }
    if (st == VKA_OK)
        st = vka_exec_run(s->begin.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->unet.exec, s->first, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->pattern[e->pattern].exec, true, ticker, err);
    if (st == VKA_OK)
        s->first = false;
    return st;
}

vka_status vka_unet_stage_once(struct vka_unet_stage *s, const float *sample, float timestep, float *eps,
                               const vka_ticker *ticker, vka_error *err)
{
    uint32_t n = s->p.branches * s->length, h = s->p.height, w = s->p.width;
    uint32_t c_in = s->p.config->in_channels, c_out = s->p.config->out_channels;
    size_t in_bytes = (size_t)n * h * w * vka_pitch(c_in) * sizeof(float);
    size_t out_bytes = (size_t)n * h * w * vka_pitch(c_out) * sizeof(float);
    float *pixels = malloc(in_bytes > out_bytes ? in_bytes : out_bytes);
    if (!pixels)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    ((float *)s->step->map)[STEP_TIMESTEP] = timestep;
    vka_planes_to_pixels(pixels, sample, n, c_in, h, w);
    vka_status st = vka_block_write(s->gpu, s->block, s->sample_at, pixels, in_bytes, err);
    if (st == VKA_OK && !s->fed)
        st = vka_unet_frames_feed(s, NULL, err);
    s->fed = true;
    if (st == VKA_OK)
        st = vka_exec_run(s->unet.exec, s->first, ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(s->gpu, s->block, s->eps_at, pixels, out_bytes, err);
    if (st == VKA_OK) {
        s->first = false;
        vka_pixels_to_planes(eps, pixels, n, c_out, h, w);
    }
    free(pixels);
    return st;
}

void vka_unet_stage_end(struct vka_unet_stage *s)
{
    vka_unet_around_end(s);
    vka_netrun_end(&s->unet);
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        free(s->state[i]);
    free(s->pixels);
    free(s->prompt_of);
    free(s->seen);
    free(s->frame_of);
    free(s->place_of);
    free(s->cfg);
    free(s->ip_picture);
    free(s->amount);
    vka_windows_free(&s->windows);
    if (s->gpu) {
        vka_block_destroy(s->gpu, &s->block);
        vka_block_destroy(s->gpu, &s->step);
    }
    *s = (struct vka_unet_stage){0};
}
