/* unet_graphs.c - what is around the network in the UNet stage: its input from the latents, guidance, the merge of windows, the
 * sampler's operations; and where their inputs and outputs lie.  See unet_parts.h. */
#include "render/unet_parts.h"

#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

static vka_tensor clip_tensor(struct vka_unet_stage *s, vka_build *b, const char *name, enum vka_role role, uint32_t c)
{
    return vka_graph_tensor(b, name, VKA_SAMPLE, role, VKA_F32, 0, s->p.height, s->p.width, c);
}

static vka_status build_begin(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = vka_netrun_begin(&s->begin, "sampler input", 1, s->batch, NULL, NULL, false, &s->p.table, err);
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

static vka_tensor coefficients(struct vka_unet_stage *s, vka_build *b, vka_tensor eps, vka_tensor guidance, uint32_t first)
{
    struct vka_combine_args a = {.count = s->p.branches, .coefficients = guidance, .first = first,
                                 .to_samples = s->cfg || s->p.holds, .label = vka_scope_root("guidance")};
    for (uint32_t i = 0; i < s->p.branches; i++) {
        a.x[i] = eps;
        a.skip[i] = i * s->batch;
    }
    return vka_combine(b, &a);
}

/* Inputs eps [branches * batch, h, w, c], guidance and, where frames have scales of their own, cfg -> what guidance makes of them,
 * an output [batch, h, w, c].  With scales of frames: g + cfg (o - g), g being the output without its scale and o that for 1. */
static vka_tensor guide(struct vka_unet_stage *s, vka_build *b, vka_tensor *eps, vka_tensor *guidance, vka_tensor *cfg)
{
    *eps = vka_graph_tensor(b, "eps", VKA_GLOBAL, VKA_INPUT, VKA_F32, s->p.branches * s->batch, s->p.height, s->p.width,
                            s->p.config->out_channels);
    *guidance = vka_graph_tensor(b, "guidance", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, GUIDE_NUMBERS);
    vka_tensor out = coefficients(s, b, *eps, *guidance, 0);
    if (s->cfg) {
        *cfg = vka_graph_tensor(b, "guidance scales", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, 1, 1);
        out = vka_blend(b, out, coefficients(s, b, *eps, *guidance, GUIDE_ONE), *cfg, 0, vka_scope_root("guidance scales"));
    }
    if (s->guide_rule.rescale > 0)
        out = vka_rescale(b, out, coefficients(s, b, *eps, *guidance, GUIDE_POSITIVE), *guidance, GUIDE_RESCALE);
    vka_graph_output(b, out);
    return out;
}

static vka_status build_guide(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = vka_netrun_begin(&s->guide, "guidance", 1, s->batch, NULL, NULL, false, &s->p.table, err);
    if (st != VKA_OK)
        return st;
    s->guide_out = guide(s, &s->guide.build, &s->guide_eps, &s->guide_guidance, &s->guide_cfg);
    return vka_netrun_finish(&s->guide, (vka_tensor[]){s->guide_eps, s->guide_guidance, s->guide_cfg}, s->cfg ? 3 : 2, err);
}

/* What the network's windows predict, by weight, added to the sums of their frames. */
static vka_status build_merge(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = vka_netrun_begin(&s->merge, "merge", 1, s->batch, NULL, NULL, false, &s->p.table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->merge.build;
    uint32_t c = s->p.config->out_channels;
    s->merge_x = vka_graph_tensor(b, "guided", VKA_GLOBAL, VKA_INPUT, VKA_F32, s->batch, s->p.height, s->p.width, c);
    s->merge_sum = clip_tensor(s, b, "sum", VKA_INPUT, c);
    s->merge_table = vka_graph_tensor(b, "merge table", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, 1, 2 * s->together);
    s->merge_out = vka_merge(b, s->merge_sum, s->merge_x, s->merge_table);
    vka_graph_output(b, s->merge_out);
    return vka_netrun_finish(&s->merge, (vka_tensor[]){s->merge_x, s->merge_sum, s->merge_table}, 3, err);
}

/* EPS where pictures are held: what they leave to the model, and else the output that predicts them. */
static void hold(struct vka_unet_stage *s, uint32_t k, vka_tensor now[VKA_SLOTS])
{
    vka_build *b = &s->pattern[k].build;
    uint32_t c = s->p.config->out_channels;
    const enum vka_slot slots[] = {VKA_SLOT_X, VKA_SLOT_EPS};
    for (int i = 0; i < 2; i++)
        if (!now[slots[i]].id)
            now[slots[i]] = s->flow[k].in[slots[i]] = clip_tensor(s, b, "slot", VKA_INPUT, c);
    s->flow[k].mix = vka_graph_tensor(b, "hold", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 2);
    s->flow[k].target = clip_tensor(s, b, "held pictures", VKA_INPUT, c);
    s->flow[k].keep = clip_tensor(s, b, "held share", VKA_INPUT, 1);
    vka_tensor wanted = vka_combine(b, &(struct vka_combine_args){.x = {now[VKA_SLOT_X], s->flow[k].target}, .count = 2,
                                                                 .coefficients = s->flow[k].mix, .to_samples = true,
                                                                 .label = vka_scope_root("hold")});
    now[VKA_SLOT_EPS] = s->flow[k].held =
        vka_mask_blend(b, now[VKA_SLOT_EPS], wanted, s->flow[k].keep, vka_scope_root("hold pictures"));
    vka_graph_output(b, s->flow[k].held);
    s->flow[k].out[VKA_SLOT_EPS] = s->flow[k].held;
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
        now[VKA_SLOT_EPS] = s->flow[k].guided = guide(s, b, &s->flow[k].eps, &s->flow[k].guidance, &s->flow[k].cfg);
    if (s->p.holds)
        hold(s, k, now);
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
    vka_tensor changing[5] = {s->flow[k].coefficients};
    uint32_t count = 1;
    const vka_tensor more[] = {s->flow[k].eps, s->flow[k].guidance, s->flow[k].cfg, s->flow[k].mix};
    for (int i = 0; i < 4; i++)
        if (more[i].id)
            changing[count++] = more[i];
    return vka_netrun_finish(&s->pattern[k], changing, count, err);
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
    s->sample_at = vka_io_add(&s->io, p->branches * s->batch * input);
    s->eps_at = vka_io_add(&s->io, p->branches * s->batch * output);
    s->context_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->unet.graph, s->context)));
    for (uint32_t k = 0; k < s->feed_count; k++)
        s->feeds[k].at = vka_io_add(&s->io, s->feeds[k].bytes * (s->feeds[k].is.global ? 1 : p->branches * s->batch));
    s->slice = vka_min_u32(p->slice ? p->slice : vka_max_u32(s->length / vka_max_u32(count, 1), 1), p->frames);
    s->slot_bytes = output * (s->parked ? s->slice : s->length);
    s->pixels_bytes = output * vka_max_u32(s->batch, s->slice);
    s->x_at = s->guided_at = s->io.bytes;
    for (uint32_t i = 0; i < VKA_SLOTS; i++)
        s->slot_at[i] = slots >> i & 1 ? vka_io_add(&s->io, s->slot_bytes) : 0;
    if (p->sampler && p->holds) {
        s->target_at = vka_io_add(&s->io, s->slot_bytes);
        s->keep_at = vka_io_add(&s->io, s->slot_bytes / vka_pitch(p->config->out_channels) * vka_pitch(1));
    }
    if (s->parked) { /* windows: the sums take the place of the input when the network has run */
        uint64_t end = vka_round_up(s->x_at + s->batch * output, VKA_PLAN_ALIGN);
        if (s->windowed) {
            s->guided_at = end;
            end = vka_round_up(end + s->batch * output, VKA_PLAN_ALIGN);
        }
        s->io.bytes = end > s->io.bytes ? end : s->io.bytes;
    } else if (p->sampler) {
        s->x_at = s->slot_at[VKA_SLOT_X];
        s->guided_at = s->slot_at[VKA_SLOT_EPS];
    }
}

vka_status vka_unet_around_build(struct vka_unet_stage *s, vka_error *err)
{
    const vka_sampler *sampler = s->p.sampler;
    place_slots(s);
    if (!sampler)
        return VKA_OK;
    vka_status st = build_begin(s, err);
    if (st == VKA_OK && s->parked)
        st = build_guide(s, err);
    if (st == VKA_OK && s->windowed)
        st = build_merge(s, err);
    s->patterns = vka_sampler_patterns(sampler);
    if (s->patterns > VKA_MAX_PATTERNS)
        return vka_fail(err, VKA_E_INTERNAL, "the sampler has %u patterns", s->patterns);
    for (uint32_t k = 0; st == VKA_OK && k < s->patterns; k++)
        st = build_pattern(s, k, vka_sampler_of_pattern(sampler, k), err);
    return st;
}

void vka_unet_around_end(struct vka_unet_stage *s)
{
    for (uint32_t k = 0; k < s->patterns; k++)
        vka_netrun_end(&s->pattern[k]);
    vka_netrun_end(&s->guide);
    vka_netrun_end(&s->merge);
    vka_netrun_end(&s->begin);
    memset(s->flow, 0, sizeof s->flow);
}

/* ---- start -------------------------------------------------------------------------------------------------- */

static vka_status start_begin(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err)
{
    uint64_t io = s->block->address, branch = vka_tensor_bytes(vka_info(s->begin.graph, s->begin_x));
    vka_status st = vka_netrun_start(&s->begin, s->gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    vka_exec_bind(s->begin.exec, s->begin_x, io + s->x_at);
    vka_exec_bind(s->begin.exec, s->begin_scale, s->step->address + STEP_SCALE * sizeof(float));
    for (uint32_t i = 0; i < s->p.branches; i++)
        vka_exec_bind(s->begin.exec, s->begin_out[i], io + s->sample_at + i * branch);
    return vka_exec_record(s->begin.exec, err);
}

static void bind_guide(struct vka_unet_stage *s, struct vka_exec *x, vka_tensor eps, vka_tensor guidance, vka_tensor cfg,
                       vka_tensor out)
{
    vka_exec_bind(x, eps, s->block->address + s->eps_at);
    vka_exec_bind(x, guidance, s->step->address + STEP_GUIDANCE * sizeof(float));
    if (s->cfg)
        vka_exec_bind(x, cfg, s->step->address + vka_unet_cfg_at(s));
    vka_exec_bind(x, out, s->block->address + s->guided_at);
}

static vka_status start_guide(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = vka_netrun_start(&s->guide, s->gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    bind_guide(s, s->guide.exec, s->guide_eps, s->guide_guidance, s->guide_cfg, s->guide_out);
    return vka_exec_record(s->guide.exec, err);
}

static vka_status start_merge(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = vka_netrun_start(&s->merge, s->gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    vka_exec_bind(s->merge.exec, s->merge_x, s->block->address + s->guided_at);
    vka_exec_bind(s->merge.exec, s->merge_sum, s->block->address + s->x_at);
    vka_exec_bind(s->merge.exec, s->merge_table, s->step->address + vka_unet_merge_at(s));
    vka_exec_bind(s->merge.exec, s->merge_out, s->block->address + s->x_at);
    return vka_exec_record(s->merge.exec, err);
}

static vka_status start_pattern(struct vka_unet_stage *s, uint32_t k, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = vka_netrun_start(&s->pattern[k], s->gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    uint64_t io = s->block->address;
    struct vka_exec *x = s->pattern[k].exec;
    vka_exec_bind(x, s->flow[k].coefficients, s->step->address + STEP_OPS * sizeof(float));
    if (!s->parked)
        bind_guide(s, x, s->flow[k].eps, s->flow[k].guidance, s->flow[k].cfg, s->flow[k].guided);
    /* every tensor that ever stands for a slot lies at the slot */
    for (uint32_t slot = 0; slot < VKA_SLOTS; slot++)
        if (s->flow[k].in[slot].id)
            vka_exec_bind(x, s->flow[k].in[slot], io + s->slot_at[slot]);
    if (s->p.holds) {
        vka_exec_bind(x, s->flow[k].mix, s->step->address + STEP_HOLD * sizeof(float));
        vka_exec_bind(x, s->flow[k].target, io + s->target_at);
        vka_exec_bind(x, s->flow[k].keep, io + s->keep_at);
        vka_exec_bind(x, s->flow[k].held, io + s->slot_at[VKA_SLOT_EPS]);
    }
    const vka_sampler_eval *e = vka_sampler_of_pattern(s->p.sampler, k);
    for (uint32_t o = 0; o < e->ops; o++)
        vka_exec_bind(x, s->flow[k].made[o], io + s->slot_at[e->op[o].out]);
    return vka_exec_record(x, err);
}

vka_status vka_unet_around_start(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = start_begin(s, ticker, err);
    if (st == VKA_OK && s->parked)
        st = start_guide(s, ticker, err);
    if (st == VKA_OK && s->windowed)
        st = start_merge(s, ticker, err);
    for (uint32_t k = 0; st == VKA_OK && k < s->patterns; k++)
        st = start_pattern(s, k, ticker, err);
    return st;
}
