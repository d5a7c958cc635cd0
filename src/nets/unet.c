/* unet.c - the SD1.5-class UNet, inflated: every frame is a picture, and motion modules join them.
 *
 * down_blocks.i : layers x (ResNet, spatial transformer, motion), then a stride-2 convolution but in the last
 * mid_block     : ResNet, spatial transformer, motion, ResNet
 * up_blocks.i   : (layers + 1) x (ResNet over x | skip, spatial transformer, motion), then nearest enlargement to the size of
 *                 the next skip and a convolution, but in the last */
#include "nets/parts.h"

#include <string.h>

vka_tensor vka_net_resnet(vka_build *b, vka_tensor x, vka_tensor x2, struct vka_net_time time, uint32_t groups, float eps,
                          bool joint_norm, vka_scope s)
{
    vka_tensor norm = vka_group_norm(b, x, x2, vka_in(s, "norm1"), groups, eps, joint_norm);
    vka_tensor h = vka_norm_apply(b, x, x2, norm, VKA_ACT_SILU);
    h = vka_conv(b, h, &(struct vka_conv_args){.at = vka_in(s, "conv1"), .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1},
                                               .sample_bias = time.all, .bias_channel = time.side.channel});
    if (b->err.status == VKA_OK && time.all.id && vka_info(b->graph, h)->c != time.side.n)
        vka_build_fail(b, VKA_E_INPUT, "'%s' has %u channels, but its time embedding %u", s.path, vka_info(b->graph, h)->c,
                       time.side.n);
    norm = vka_group_norm(b, h, (vka_tensor){0}, vka_in(s, "norm2"), groups, eps, joint_norm);
    h = vka_norm_apply(b, h, (vka_tensor){0}, norm, VKA_ACT_SILU);
    struct vka_conv_args last = {.at = vka_in(s, "conv2"), .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}};
    if (vka_has_weight(b, s, "conv_shortcut.weight")) {
        last.shortcut = vka_in(s, "conv_shortcut");
        last.x2 = x;
        last.x3 = x2;
    } else if (x2.id)
        vka_build_fail(b, VKA_E_INPUT, "the model lacks '%s.conv_shortcut.weight'", s.path);
    else
        last.add = x;
    return vka_conv(b, h, &last);
}

static void list_resnet(struct vka_net_encoder *e, vka_scope s)
{
    if (e->resnet_count == VKA_NET_RESNETS)
        vka_build_fail(e->b, VKA_E_INPUT, "the UNet has more than %d ResNets", VKA_NET_RESNETS);
    else
        e->resnets[e->resnet_count++] = s;
}

/* As few products as can be, since each is small. */
void vka_net_encoder_time(struct vka_net_encoder *e, vka_tensor timestep, bool up)
{
    const vka_unet_config *c = e->c;
    vka_scope mid = vka_in(e->root, "mid_block"), at[VKA_LINEAR_SIDES];
    struct vka_linear_side sides[VKA_LINEAR_SIDES];
    vka_tensor t = vka_timestep_embedding(e->b, timestep, c->channels[0], c->flip_sin_to_cos, c->freq_shift);
    t = vka_linear(e->b, t, &(struct vka_linear_args){.at = vka_in(e->root, "time_embedding.linear_1"), .act = VKA_ACT_SILU,
                                                      .out_f32 = true});
    t = vka_linear(e->b, t, &(struct vka_linear_args){.at = vka_in(e->root, "time_embedding.linear_2"), .out_f32 = true});
    for (uint32_t i = 0; i < c->levels; i++)
        for (uint32_t j = 0; j < c->layers[i]; j++)
            list_resnet(e, vka_in_index(vka_in_index(e->root, "down_blocks", i), "resnets", j));
    for (uint32_t j = 0; j < vka_min_u32(c->mid_resnets, 2); j++)
        list_resnet(e, vka_in_index(mid, "resnets", j));
    for (uint32_t i = 0; up && i < c->levels; i++)
        for (uint32_t j = 0; j < c->layers[c->levels - 1 - i] + 1; j++)
            list_resnet(e, vka_in_index(vka_in_index(e->root, "up_blocks", i), "resnets", j));
    for (uint32_t first = 0; first < e->resnet_count; first += VKA_LINEAR_SIDES) {
        uint32_t count = vka_min_u32(VKA_LINEAR_SIDES, e->resnet_count - first), together = 0, of[VKA_LINEAR_SIDES];
        for (uint32_t i = 0; i < count; i++) {
            vka_scope s = vka_in(e->resnets[first + i], "time_emb_proj");
            if (!vka_low_rank_touches(e->b, s)) {
                at[together] = s;
                of[together++] = first + i;
                continue;
            } /* of each sample */
            vka_tensor one = vka_linear(e->b, t, &(struct vka_linear_args){.at = s, .act_in = VKA_ACT_SILU, .out_f32 = true});
            e->times[first + i] = (struct vka_net_time){one, {0, vka_info(e->b->graph, one)->c}};
        }
        vka_tensor all = together ? vka_linear_side_by_side(e->b, t, at, together, VKA_ACT_SILU, sides) : (vka_tensor){0};
        for (uint32_t i = 0; all.id && i < together; i++)
            e->times[of[i]] = (struct vka_net_time){all, sides[i]};
    }
}

vka_tensor vka_net_encoder_resnet(const struct vka_net_encoder *e, vka_tensor x, vka_tensor x2, vka_scope s)
{
    uint32_t i = 0;
    while (i + 1 < e->resnet_count && strcmp(e->resnets[i].path, s.path) != 0)
        i++;
    return vka_net_resnet(e->b, x, x2, e->times[i], e->c->norm_num_groups, e->c->norm_eps, e->norms.resnet_joint, s);
}

vka_tensor vka_net_encoder_transformers(const struct vka_net_encoder *e, vka_tensor x, vka_scope block, uint32_t j,
                                        uint32_t depth, uint32_t heads, uint32_t modules)
{
    if (depth)
        x = vka_net_spatial_transformer(
            e->b, x, vka_in_index(block, "attentions", j),
            &(struct vka_net_spatial){.groups = e->c->norm_num_groups, .depth = depth, .heads = heads, .text = e->text,
                                      .perturbed = e->amount.perturbed && !strcmp(block.path, "mid_block") ? e->amount.table
                                                                                                            : (vka_tensor){0}});
    if (e->motion && j < modules)
        x = vka_net_motion_windows(e->b, e->motion, e->c->norm_num_groups, e->norms.motion_joint, e->amount, e->windows, x,
                                   vka_in_index(block, "motion_modules", j));
    return x;
}

static void push(struct vka_net_encoder *e, vka_tensor x)
{
    if (e->take)
        e->take(e->user, x);
    else if (e->skip_count == VKA_NET_SKIPS)
        vka_build_fail(e->b, VKA_E_INPUT, "the UNet has more than %d skip connections", VKA_NET_SKIPS);
    else
        e->skips[e->skip_count++] = x;
}

vka_tensor vka_net_encoder_down(struct vka_net_encoder *e, vka_tensor x)
{
    const vka_unet_config *c = e->c;
    push(e, x);
    for (uint32_t i = 0; i < c->levels; i++) {
        vka_scope block = vka_in_index(e->root, "down_blocks", i);
        for (uint32_t j = 0; j < c->layers[i]; j++) {
            x = vka_net_encoder_resnet(e, x, (vka_tensor){0}, vka_in_index(block, "resnets", j));
            x = vka_net_encoder_transformers(e, x, block, j, c->depth[i], c->heads[i],
                                             e->motion ? e->motion->down_modules[i] : 0);
            push(e, x);
        }
        if (i + 1 < c->levels) {
            uint32_t p = c->downsample_padding;
            x = vka_conv(e->b, x, &(struct vka_conv_args){.at = vka_in(block, "downsamplers.0.conv"), .kernel = 3, .stride = 2,
                                                          .pad = {p, p ? p : 1, p, p ? p : 1}});
            push(e, x);
        }
    }
    return x;
}

vka_tensor vka_net_encoder_middle(struct vka_net_encoder *e, vka_tensor x)
{
    const vka_unet_config *c = e->c;
    vka_scope mid = vka_in(e->root, "mid_block");
    if (!c->mid_resnets)
        return x;
    x = vka_net_encoder_resnet(e, x, (vka_tensor){0}, vka_in_index(mid, "resnets", 0));
    if (c->mid_resnets > 1) {
        x = vka_net_encoder_transformers(e, x, mid, 0, c->mid_depth, c->mid_heads, e->motion ? e->motion->mid_modules : 0);
        x = vka_net_encoder_resnet(e, x, (vka_tensor){0}, vka_in_index(mid, "resnets", 1));
    }
    return x;
}

vka_tensor vka_net_unet(vka_build *b, const vka_unet_config *c, const vka_motion_info *motion,
                        const struct vka_net_norms *norms, const struct vka_unet_inputs *in)
{
    struct vka_net_encoder u = {.b = b,
                                .c = c,
                                .motion = motion,
                                .norms = *norms,
                                .text = {in->context, in->index, in->ips, in->ip_count},
                                .amount = in->amount,
                                .windows = in->windows};
    vka_scope root = vka_scope_root("");
    vka_net_encoder_time(&u, in->timestep, true);
    vka_tensor x = vka_conv(b, in->sample, &(struct vka_conv_args){.at = vka_in(root, "conv_in"), .kernel = 3, .stride = 1,
                                                                   .pad = {1, 1, 1, 1}});
    x = vka_net_encoder_middle(&u, vka_net_encoder_down(&u, x));
    for (uint32_t i = 0; i < in->control_count; i++)
        x = vka_net_control(&u, in, i, x);
    for (uint32_t i = 0; i < c->levels; i++) {
        uint32_t level = c->levels - 1 - i;
        vka_scope block = vka_in_index(root, "up_blocks", i);
        for (uint32_t j = 0; j < c->layers[level] + 1 && u.skip_count; j++) {
            x = vka_net_encoder_resnet(&u, x, u.skips[--u.skip_count], vka_in_index(block, "resnets", j));
            x = vka_net_encoder_transformers(&u, x, block, j, c->up_depth[i], c->heads[level],
                                             motion ? motion->up_modules[i] : 0);
        }
        if (i + 1 < c->levels && u.skip_count) {
            const struct vka_tensor_info *next = vka_info(b->graph, u.skips[u.skip_count - 1]);
            x = vka_conv(b, x, &(struct vka_conv_args){.at = vka_in(block, "upsamplers.0.conv"), .kernel = 3, .stride = 1,
                                                       .pad = {1, 1, 1, 1}, .upsample_h = next->h, .upsample_w = next->w});
        }
    }
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(root, "conv_norm_out"), c->norm_num_groups, c->norm_eps,
                                     u.norms.resnet_joint);
    x = vka_norm_apply(b, x, (vka_tensor){0}, norm, VKA_ACT_SILU);
    return vka_conv(b, x, &(struct vka_conv_args){.at = vka_in(root, "conv_out"), .kernel = 3, .stride = 1,
                                                  .pad = {1, 1, 1, 1}, .out_f32 = true});
}
