/* unet_stage.c - the UNet with its sampler as a stage.  See stages.h.
 *
 * One block holds the inputs and outputs: the model's input and output for all branches, the text context, and the
 * sampler's slots, each [frames, h, w, 4] fp32.  A host-visible step buffer holds what changes per evaluation:
 * timestep, scales and coefficients as floats, and each sample's prompt as an int.  An evaluation runs three graphs:
 * `begin` (the model's input from X, for each branch), `unet`, and the pattern of the sampler (guidance, then its
 * operations).
 *
 * A clip in windows has its state in host memory, so that the device holds no more than a window's frames.  An
 * evaluation takes window by window: X of its frames to the device, `begin`, `unet`, `guide`, and the guided output
 * into the sums; then the means are the clip's EPS, and the sampler's pattern goes over it slice by slice.  Kernels
 * and operands of a frame are the same as in one piece, so where the state is and how it is sliced changes no bit;
 * sums are the host's in both. */
#include "render/stages.h"

#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Floats of the step buffer; of guidance its coefficients, those of the unguided output, and the share of rescaling. */
enum {
    STEP_TIMESTEP = 0,
    STEP_SCALE = 8,
    STEP_GUIDANCE = 16,
    STEP_OPS = 32,
    STEP_FLOATS = 128,
    GUIDE_POSITIVE = VKA_GUIDE_BRANCHES,
    GUIDE_RESCALE = 2 * VKA_GUIDE_BRANCHES,
    GUIDE_NUMBERS = GUIDE_RESCALE + 1
};

static vka_status build_unet(struct vka_unet_stage *s, vka_error *err)
{
    const struct vka_unet_stage_params *p = &s->p;
    vka_status st = vka_netrun_begin(&s->unet, "UNet", p->branches, s->length, p->weights, p->motion_weights, p->f16,
                                     &p->table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->unet.build;
    s->sample = vka_graph_tensor(b, "sample", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, p->height, p->width, p->config->in_channels);
    s->timestep = vka_graph_tensor(b, "timestep", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 1);
    s->context = vka_graph_tensor(b, "context", VKA_GLOBAL, VKA_INPUT, VKA_F32, p->prompts, 1, p->tokens, p->text_width);
    s->index = vka_graph_tensor(b, "prompt index", VKA_SAMPLE, VKA_INPUT, VKA_I32, 0, 1, 1, 1);
    bool perturbed = vka_guide_first_perturbed(&s->guide_rule) < p->branches;
    if (s->amount)
        s->amounts = vka_graph_tensor(b, "amounts", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, 1, VKA_AMOUNTS);
    struct vka_unet_inputs in = {s->sample, s->timestep, s->context, s->index,
                                 {s->amounts, p->motion_scale != NULL, p->motion_effect != NULL, perturbed}};
    s->eps = vka_net_unet(b, p->config, p->motion, &p->norms, &in);
    vka_graph_output(b, s->eps);
    vka_tensor changing[] = {s->sample, s->timestep, s->index, s->amounts};
    return vka_netrun_finish(&s->unet, changing, s->amount ? 4 : 3, err);
}

static vka_tensor clip_tensor(struct vka_unet_stage *s, vka_build *b, const char *name, enum vka_role role, uint32_t c)
{
    return vka_graph_tensor(b, name, VKA_SAMPLE, role, VKA_F32, 0, s->p.height, s->p.width, c);
}

static vka_status build_begin(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = vka_netrun_begin(&s->begin, "sampler input", 1, s->length, NULL, NULL, false, &s->p.table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->begin.build;
    s->begin_x = clip_tensor(s, b, "X", VKA_INPUT, s->p.config->in_channels);
    s->begin_scale = vka_graph_tensor(b, "input scale", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 1);
    for (uint32_t i = 0; i < s->p.branches; i++) {
        s->begin_out[i] = vka_combine(b, &(struct vka_combine_args){.x = {s->begin_x}, .count = 1,
                                                                     .coefficients = s->begin_scale,
                                                                     .label = vka_scope_root("scale input")});
        vka_graph_output(b, s->begin_out[i]);
    }
    vka_tensor changing[] = {s->begin_x, s->begin_scale};
    return vka_netrun_finish(&s->begin, changing, 2, err);
}

/* Inputs eps [branches * length, h, w, c] and guidance -> what guidance makes of them, an output [length, h, w, c]. */
static vka_tensor guide(struct vka_unet_stage *s, vka_build *b, vka_tensor *eps, vka_tensor *guidance)
{
    *eps = vka_graph_tensor(b, "eps", VKA_GLOBAL, VKA_INPUT, VKA_F32, s->p.branches * s->length, s->p.height,
                            s->p.width, s->p.config->out_channels);
    *guidance = vka_graph_tensor(b, "guidance", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, GUIDE_NUMBERS);
    struct vka_combine_args a = {.count = s->p.branches, .coefficients = *guidance, .label = vka_scope_root("guidance")};
    for (uint32_t i = 0; i < s->p.branches; i++) {
        a.x[i] = *eps;
        a.skip[i] = i * s->length;
    }
    vka_tensor out = vka_combine(b, &a);
    if (s->guide_rule.rescale > 0) {
        a.first = GUIDE_POSITIVE;
        out = vka_rescale(b, out, vka_combine(b, &a), *guidance, GUIDE_RESCALE);
    }
    vka_graph_output(b, out);
    return out;
}

static vka_status build_guide(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = vka_netrun_begin(&s->guide, "guidance", 1, s->length, NULL, NULL, false, &s->p.table, err);
    if (st != VKA_OK)
        return st;
    s->guide_out = guide(s, &s->guide.build, &s->guide_eps, &s->guide_guidance);
    return vka_netrun_finish(&s->guide, (vka_tensor[]){s->guide_eps, s->guide_guidance}, 2, err);
}

/* The graph of one pattern: guidance into EPS where the state is on the device, then each operation; slots are followed
 * from tensor to tensor.  All operations are of the clip's samples, also those that read EPS alone: nodes of one domain
 * keep their order, which those need that write a slot after another has read it. */
static vka_status build_pattern(struct vka_unet_stage *s, uint32_t k, const vka_sampler_eval *e, vka_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "sampler %u", k);
    vka_status st = vka_netrun_begin(&s->pattern[k], name, 1, s->parked ? s->slice : s->length, NULL, NULL, false,
                                     &s->p.table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->pattern[k].build;
    uint32_t c = s->p.config->out_channels;
    vka_tensor now[VKA_SLOTS] = {{0}};
    if (!s->parked)
        now[VKA_SLOT_EPS] = s->flow[k].guided = guide(s, b, &s->flow[k].eps, &s->flow[k].guidance);
    s->flow[k].coefficients = vka_graph_tensor(b, "coefficients", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1,
                                                VKA_SAMPLER_OPS * VKA_SAMPLER_TERMS);
    for (uint32_t o = 0; o < e->ops; o++) {
        const vka_sampler_op *op = &e->op[o];
        struct vka_combine_args a = {.count = op->terms, .coefficients = s->flow[k].coefficients,
                                     .first = o * VKA_SAMPLER_TERMS, .to_samples = true,
                                     .label = vka_scope_root("sampler")};
        for (uint32_t t = 0; t < op->terms; t++) {
            uint32_t slot = op->slot[t];
            if (!now[slot].id)
                now[slot] = s->flow[k].in[slot] = clip_tensor(s, b, "slot", VKA_INPUT, c);
            a.x[t] = now[slot];
        }
        now[op->out] = vka_combine(b, &a);
        vka_graph_output(b, now[op->out]);
        s->flow[k].out[op->out] = s->flow[k].made[o] = now[op->out];
    }
    vka_tensor changing[] = {s->flow[k].coefficients, s->flow[k].eps, s->flow[k].guidance};
    return vka_netrun_finish(&s->pattern[k], changing, s->parked ? 1 : 3, err);
}

/* Where the inputs and outputs lie.  A parked clip's sampler begins when the network has ended, so their room is one. */
static void place_slots(struct vka_unet_stage *s)
{
    const struct vka_unet_stage_params *p = &s->p;
    uint64_t frame = (uint64_t)p->height * p->width * sizeof(float);
    uint64_t input = frame * vka_pitch(p->config->in_channels), output = frame * vka_pitch(p->config->out_channels);
    uint32_t slots = p->sampler ? vka_unet_stage_slots(s) : 0, count = 0;
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        count += slots >> i & 1;
    s->io = (struct vka_io){0};
    s->sample_at = vka_io_add(&s->io, p->branches * s->length * input);
    s->eps_at = vka_io_add(&s->io, p->branches * s->length * output);
    s->context_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->unet.graph, s->context)));
    s->slice = vka_min_u32(p->slice ? p->slice : vka_max_u32(s->length / vka_max_u32(count, 1), 1), p->frames);
    s->slot_bytes = output * (s->parked ? s->slice : s->length);
    s->pixels_bytes = output * vka_max_u32(s->length, s->slice);
    s->x_at = s->guided_at = s->io.bytes;
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        s->slot_at[i] = slots >> i & 1 ? vka_io_add(&s->io, s->slot_bytes) : 0;
    if (s->parked) {
        uint64_t end = vka_round_up(s->x_at + s->length * output, VKA_PLAN_ALIGN);
        s->io.bytes = end > s->io.bytes ? end : s->io.bytes;
    } else if (p->sampler) {
        s->x_at = s->slot_at[VKA_SLOT_X];
        s->guided_at = s->slot_at[VKA_SLOT_EPS];
    }
}

/* A copy of what the parameters say of the motion modules; a frame of which they do not speak has 1.  What is perturbed is a
 * branch: of that set_amounts knows. */
static vka_status keep_amounts(struct vka_unet_stage *s, vka_error *err)
{
    uint32_t frames = s->p.frames;
    if (!s->p.motion)
        s->p.motion_scale = s->p.motion_effect = NULL;
    const float *given[VKA_AMOUNTS] = {s->p.motion_scale, s->p.motion_effect};
    if (!s->p.motion_scale && !s->p.motion_effect && !s->guide_rule.perturbed)
        return VKA_OK;
    if (!(s->amount = vka_calloc((size_t)VKA_AMOUNTS * frames, sizeof *s->amount)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t a = 0; a < VKA_AMOUNTS; a++)
        for (uint32_t f = 0; f < frames; f++)
            s->amount[(size_t)a * frames + f] = given[a] ? given[a][f] : 1;
    s->p.motion_scale = given[VKA_AMOUNT_SCALE] ? s->amount : NULL;
    s->p.motion_effect = given[VKA_AMOUNT_EFFECT] ? s->amount + frames : NULL;
    return VKA_OK;
}

/* What is around the network. */
static vka_status build_around(struct vka_unet_stage *s, vka_error *err)
{
    const vka_sampler *sampler = s->p.sampler;
    place_slots(s);
    if (!sampler)
        return VKA_OK;
    vka_status st = build_begin(s, err);
    if (st == VKA_OK && s->parked)
        st = build_guide(s, err);
    s->patterns = vka_sampler_patterns(sampler);
    if (s->patterns > VKA_MAX_PATTERNS)
        return vka_fail(err, VKA_E_INTERNAL, "the sampler has %u patterns", s->patterns);
    for (uint32_t k = 0; st == VKA_OK && k < s->patterns; k++) {
        uint32_t i = 0;
        while (vka_sampler_eval_at(sampler, i)->pattern != k)
            i++;
        st = build_pattern(s, k, vka_sampler_eval_at(sampler, i), err);
    }
    return st;
}

static void end_around(struct vka_unet_stage *s)
{
    for (uint32_t k = 0; k < s->patterns; k++)
        vka_netrun_end(&s->pattern[k]);
    vka_netrun_end(&s->guide);
    vka_netrun_end(&s->begin);
}

vka_status vka_unet_stage_build(struct vka_unet_stage *s, const struct vka_unet_stage_params *p, vka_error *err)
{
    bool windows = p->window.length && p->window.length < p->frames;
    *s = (struct vka_unet_stage){.p = *p, .first = true, .length = windows ? p->window.length : p->frames};
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
    vka_status st = keep_amounts(s, err);
    if (st == VKA_OK)
        st = build_unet(s, err);
    return st == VKA_OK ? build_around(s, err) : st;
}

vka_status vka_unet_stage_park(struct vka_unet_stage *s, bool park, vka_error *err)
{
    bool parked = s->p.sampler && (s->length < s->p.frames || park);
    if (parked == s->parked)
        return VKA_OK;
    end_around(s);
    memset(s->flow, 0, sizeof s->flow);
    s->parked = parked;
    return build_around(s, err);
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
    s->planes = vka_calloc(vka_max_u32(s->length, s->slice), vka_unet_stage_frame(s) * sizeof(float));
    s->prompt_of = vka_calloc((size_t)s->p.branches * s->p.frames, sizeof *s->prompt_of);
    s->seen = vka_calloc(s->p.frames, sizeof *s->seen);
    if (ok && s->pixels && s->planes && s->prompt_of && s->seen)
        return VKA_OK;
    vka_fail(err, VKA_E_MEMORY, "the %.0f MiB of host memory for the state of a clip of %u frames are not there",
             (double)vka_unet_stage_host_bytes(s) / 1048576, s->p.frames);
    vka_error_hint(err, "fewer frames, or a smaller picture");
    return VKA_E_MEMORY;
}

/* Bytes of the step buffer: numbers of the step, each sample's prompt, its amounts in a row of eight. */
static uint64_t amounts_at(const struct vka_unet_stage *s)
{
    return vka_round_up(STEP_FLOATS * sizeof(float) + (uint64_t)s->p.branches * s->length * sizeof(int32_t), 32);
}
static uint64_t step_bytes(const struct vka_unet_stage *s)
{
    uint64_t samples = (uint64_t)s->p.branches * s->length;
    return s->amount ? amounts_at(s) + samples * vka_pitch(VKA_AMOUNTS) * sizeof(float)
                     : STEP_FLOATS * sizeof(float) + samples * sizeof(int32_t);
}

/* The amounts of the network's frames into the step buffer; frame NULL: the clip's. */
static void set_amounts(struct vka_unet_stage *s, const int32_t *frame)
{
    float *table = (float *)(void *)((char *)s->step->map + amounts_at(s));
    for (uint32_t i = 0; s->amount && i < s->p.branches * s->length; i++) {
        float *row = table + (size_t)i * vka_pitch(VKA_AMOUNTS);
        uint32_t f = frame ? (uint32_t)frame[i % s->length] : i % s->length;
        for (uint32_t a = 0; a < vka_pitch(VKA_AMOUNTS); a++)
            row[a] = a < VKA_AMOUNTS ? s->amount[(size_t)a * s->p.frames + f] : 0;
        row[VKA_AMOUNT_PERTURBED] = i / s->length >= vka_guide_first_perturbed(&s->guide_rule) ? 1 : 0;
    }
}

vka_status vka_unet_stage_start(struct vka_unet_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    s->gpu = gpu;
    vka_status st = s->parked ? take_host_memory(s, err) : VKA_OK;
    if (st == VKA_OK)
        st = vka_block_create(gpu, s->io.bytes, VKA_MEMORY_DEVICE, true, &s->block, err);
    if (st == VKA_OK)
        st = vka_block_create(gpu, step_bytes(s), VKA_MEMORY_HOST, true, &s->step, err);
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
        vka_exec_bind(s->unet.exec, s->amounts, step + amounts_at(s));
    set_amounts(s, NULL);
    st = vka_exec_record(s->unet.exec, err);
    if (st != VKA_OK || !s->p.sampler)
        return st;
    st = vka_netrun_start(&s->begin, gpu, ticker, err);
    if (st == VKA_OK) {
        uint64_t branch = vka_tensor_bytes(vka_info(s->begin.graph, s->begin_x));
        vka_exec_bind(s->begin.exec, s->begin_x, io + s->x_at);
        vka_exec_bind(s->begin.exec, s->begin_scale, step + STEP_SCALE * sizeof(float));
        for (uint32_t i = 0; i < s->p.branches; i++)
            vka_exec_bind(s->begin.exec, s->begin_out[i], io + s->sample_at + i * branch);
        st = vka_exec_record(s->begin.exec, err);
    }
    if (st == VKA_OK && s->parked)
        st = vka_netrun_start(&s->guide, gpu, ticker, err);
    if (st == VKA_OK && s->parked) {
        vka_exec_bind(s->guide.exec, s->guide_eps, io + s->eps_at);
        vka_exec_bind(s->guide.exec, s->guide_guidance, step + STEP_GUIDANCE * sizeof(float));
        vka_exec_bind(s->guide.exec, s->guide_out, io + s->guided_at);
        st = vka_exec_record(s->guide.exec, err);
    }
    for (uint32_t k = 0; st == VKA_OK && k < s->patterns; k++) {
        st = vka_netrun_start(&s->pattern[k], gpu, ticker, err);
        if (st != VKA_OK)
            break;
        struct vka_exec *x = s->pattern[k].exec;
        vka_exec_bind(x, s->flow[k].coefficients, step + STEP_OPS * sizeof(float));
        if (!s->parked) {
            vka_exec_bind(x, s->flow[k].eps, io + s->eps_at);
            vka_exec_bind(x, s->flow[k].guidance, step + STEP_GUIDANCE * sizeof(float));
            vka_exec_bind(x, s->flow[k].guided, io + s->slot_at[VKA_SLOT_EPS]);
        }
        /* every tensor that ever stands for a slot lies at the slot */
        for (uint32_t slot = 0; slot < VKA_SLOTS; slot++)
            if (s->flow[k].in[slot].id)
                vka_exec_bind(x, s->flow[k].in[slot], io + s->slot_at[slot]);
        const vka_sampler_eval *e = NULL;
        for (uint32_t i = 0; !e; i++)
            if (vka_sampler_eval_at(s->p.sampler, i)->pattern == k)
                e = vka_sampler_eval_at(s->p.sampler, i);
        for (uint32_t o = 0; o < e->ops; o++)
            vka_exec_bind(x, s->flow[k].made[o], io + s->slot_at[e->op[o].out]);
        st = vka_exec_record(x, err);
    }
    return st;
}

/* Each sample's prompt in the step buffer, [branches * length]. */
static int32_t *prompt_index(const struct vka_unet_stage *s)
{
    return (int32_t *)(void *)((float *)s->step->map + STEP_FLOATS);
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
    memcpy(s->parked ? s->prompt_of : prompt_index(s), index, (size_t)s->p.branches * s->p.frames * sizeof *index);
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

/* The guided output of window k, added to the clip's EPS. */
static vka_status eval_window(struct vka_unet_stage *s, uint32_t k, const vka_ticker *ticker, vka_error *err)
{
    const struct vka_windows *w = &s->windows;
    const int32_t *frame = w->frame + (size_t)k * w->length;
    uint32_t c = s->p.config->out_channels, h = s->p.height, wd = s->p.width;
    size_t n = (size_t)vka_unet_stage_frame(s), pixels = (size_t)h * wd * vka_pitch(c);
    int32_t *index = prompt_index(s);
    for (uint32_t i = 0; i < w->length; i++) {
        vka_planes_to_pixels(s->pixels + i * pixels, s->state[VKA_SLOT_X] + (size_t)frame[i] * n, 1, c, h, wd);
        for (uint32_t b = 0; b < s->p.branches; b++)
            index[b * w->length + i] = s->prompt_of[(size_t)b * s->p.frames + (uint32_t)frame[i]];
    }
    set_amounts(s, frame);
    uint64_t bytes = w->length * pixels * sizeof(float);
    vka_status st = vka_block_write(s->gpu, s->block, s->x_at, s->pixels, bytes, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->begin.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->unet.exec, s->first, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->guide.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(s->gpu, s->block, s->guided_at, s->pixels, bytes, err);
    if (st == VKA_OK) {
        s->first = false;
        vka_pixels_to_planes(s->planes, s->pixels, w->length, c, h, wd);
        vka_windows_add(w, k, s->planes, n, s->state[VKA_SLOT_EPS], s->seen);
    }
    return st;
}

/* The sampler's operations on frames first .. first + n - 1 of a parked clip.  What lies behind them on the device
 * is some other frames', and nobody reads what becomes of it. */
static vka_status eval_slice(struct vka_unet_stage *s, const vka_sampler_eval *e, uint32_t first, uint32_t n,
                             const vka_ticker *ticker, vka_error *err)
{
    uint32_t c = s->p.config->out_channels, h = s->p.height, wd = s->p.width, written = 0;
    size_t at = first * (size_t)vka_unet_stage_frame(s);
    uint64_t bytes = (uint64_t)n * h * wd * vka_pitch(c) * sizeof(float);
    vka_status st = VKA_OK;
    for (uint32_t slot = 0; st == VKA_OK && slot < VKA_SLOTS; slot++)
        if (s->flow[e->pattern].in[slot].id) {
            vka_planes_to_pixels(s->pixels, s->state[slot] + at, n, c, h, wd);
            st = vka_block_write(s->gpu, s->block, s->slot_at[slot], s->pixels, bytes, err);
        }
    if (st == VKA_OK)
        st = vka_exec_run(s->pattern[e->pattern].exec, true, ticker, err);
    for (uint32_t o = 0; o < e->ops; o++)
        written |= 1u << e->op[o].out;
    for (uint32_t slot = 0; st == VKA_OK && slot < VKA_SLOTS; slot++)
        if (written >> slot & 1) {
            st = vka_block_read(s->gpu, s->block, s->slot_at[slot], s->pixels, bytes, err);
            if (st == VKA_OK)
                vka_pixels_to_planes(s->state[slot] + at, s->pixels, n, c, h, wd);
        }
    return st;
}

static vka_status eval_parked(struct vka_unet_stage *s, const vka_sampler_eval *e, const vka_ticker *ticker,
                              vka_error *err)
{
    vka_status st = vka_unet_stage_make_windows(s, &s->windows, e->step, err);
    memset(s->seen, 0, s->p.frames * sizeof *s->seen);
    for (uint32_t k = 0; st == VKA_OK && k < s->windows.count; k++)
        st = eval_window(s, k, ticker, err);
    if (st == VKA_OK)
        vka_windows_mean(&s->windows, (size_t)vka_unet_stage_frame(s), s->state[VKA_SLOT_EPS]);
    for (uint32_t f = 0; st == VKA_OK && f < s->p.frames; f += s->slice)
        st = eval_slice(s, e, f, vka_min_u32(s->slice, s->p.frames - f), ticker, err);
    return st;
}

const struct vka_windows *vka_unet_stage_windows(const struct vka_unet_stage *s)
{
    return s->length < s->p.frames ? &s->windows : NULL;
}

vka_status vka_unet_stage_eval(struct vka_unet_stage *s, const vka_sampler_eval *e, double cfg, const vka_ticker *ticker,
                               vka_error *err)
{
    float *step = s->step->map;
    step[STEP_TIMESTEP] = e->timestep;
    step[STEP_SCALE] = (float)e->input_scale;
    double guided[VKA_GUIDE_BRANCHES], positive[VKA_GUIDE_BRANCHES];
    vka_guide_coefficients(&s->guide_rule, cfg, guided, positive);
    for (uint32_t i = 0; i < VKA_GUIDE_BRANCHES; i++) {
        step[STEP_GUIDANCE + i] = (float)guided[i];
        step[STEP_GUIDANCE + GUIDE_POSITIVE + i] = (float)positive[i];
    }
    step[STEP_GUIDANCE + GUIDE_RESCALE] = (float)s->guide_rule.rescale;
    for (uint32_t o = 0; o < e->ops; o++)
        for (uint32_t t = 0; t < e->op[o].terms; t++)
            step[STEP_OPS + o * VKA_SAMPLER_TERMS + t] = (float)e->op[o].coef[t];
    if (s->parked)
        return eval_parked(s, e, ticker, err);
    vka_status st = vka_exec_run(s->begin.exec, true, ticker, err);
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
    end_around(s);
    vka_netrun_end(&s->unet);
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        free(s->state[i]);
    free(s->pixels);
    free(s->planes);
    free(s->prompt_of);
    free(s->seen);
    free(s->amount);
    vka_windows_free(&s->windows);
    if (s->gpu) {
        vka_block_destroy(s->gpu, &s->block);
        vka_block_destroy(s->gpu, &s->step);
    }
    *s = (struct vka_unet_stage){0};
}
