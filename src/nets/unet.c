/* unet.c - the SD1.5-class UNet, inflated: every frame is a picture, and motion modules join them.
 *
 * down_blocks.i : layers x (ResNet, spatial transformer, motion), then a stride-2 convolution but in the last
 * mid_block     : ResNet, spatial transformer, motion, ResNet
 * up_blocks.i   : (layers + 1) x (ResNet over x | skip, spatial transformer, motion), then nearest enlargement to the size of
 *                 the next skip and a convolution, but in the last */
#include "nets/parts.h"

#include <string.h>

enum { MAX_SKIPS = 64, MAX_RESNETS = 128 };

struct unet {
    vka_build *b;
    const vka_unet_config *c;
    const vka_motion_info *motion;
    struct vka_net_norms norms;
    struct vka_net_text_in text;
    struct vka_net_amount amount;
    vka_tensor skips[MAX_SKIPS];
    uint32_t skip_count;
    vka_scope resnets[MAX_RESNETS];        /* all there are */
    struct vka_net_time times[MAX_RESNETS]; /* what the time embedding gives each */
    uint32_t resnet_count;
};

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

static void list_resnet(struct unet *u, vka_scope s)
{
    if (u->resnet_count == MAX_RESNETS)
        vka_build_fail(u->b, VKA_E_INPUT, "the UNet has more than %d ResNets", MAX_RESNETS);
    else
        u->resnets[u->resnet_count++] = s;
}

/* The time embedding's layers of all ResNets: as few products as can be, since each is small. */
static void embed_time(struct unet *u, vka_tensor temb)
{
    const vka_unet_config *c = u->c;
    vka_scope root = vka_scope_root(""), mid = vka_scope_root("mid_block"), at[VKA_LINEAR_SIDES];
    struct vka_linear_side sides[VKA_LINEAR_SIDES];
    for (uint32_t i = 0; i < c->levels; i++)
        for (uint32_t j = 0; j < c->layers[i]; j++)
            list_resnet(u, vka_in_index(vka_in_index(root, "down_blocks", i), "resnets", j));
    for (uint32_t j = 0; j < vka_min_u32(c->mid_resnets, 2); j++)
        list_resnet(u, vka_in_index(mid, "resnets", j));
    for (uint32_t i = 0; i < c->levels; i++)
        for (uint32_t j = 0; j < c->layers[c->levels - 1 - i] + 1; j++)
            list_resnet(u, vka_in_index(vka_in_index(root, "up_blocks", i), "resnets", j));
    for (uint32_t first = 0; first < u->resnet_count; first += VKA_LINEAR_SIDES) {
        uint32_t count = vka_min_u32(VKA_LINEAR_SIDES, u->resnet_count - first);
        for (uint32_t i = 0; i < count; i++)
            at[i] = vka_in(u->resnets[first + i], "time_emb_proj");
        vka_tensor all = vka_linear_side_by_side(u->b, temb, at, count, VKA_ACT_SILU, sides);
        for (uint32_t i = 0; all.id && i < count; i++)
            u->times[first + i] = (struct vka_net_time){all, sides[i]};
    }
}

static vka_tensor resnet(const struct unet *u, vka_tensor x, vka_tensor x2, vka_scope s)
{
    uint32_t i = 0;
    while (i + 1 < u->resnet_count && strcmp(u->resnets[i].path, s.path) != 0)
        i++;
    return vka_net_resnet(u->b, x, x2, u->times[i], u->c->norm_num_groups, u->c->norm_eps, u->norms.resnet_joint, s);
}

/* Spatial transformer and motion module number j of a block, where they are. */
static vka_tensor transformers(const struct unet *u, vka_tensor x, vka_scope block, uint32_t j, uint32_t depth,
                               uint32_t heads, uint32_t modules)
{
    if (depth)
        x = vka_net_spatial_transformer(
            u->b, x, vka_in_index(block, "attentions", j),
            &(struct vka_net_spatial){.groups = u->c->norm_num_groups, .depth = depth, .heads = heads, .text = u->text,
                                      .perturbed = u->amount.perturbed && !strcmp(block.path, "mid_block") ? u->amount.table
                                                                                                            : (vka_tensor){0}});
    if (u->motion && j < modules)
        x = vka_net_motion(u->b, u->motion, u->c->norm_num_groups, u->norms.motion_joint, u->amount, x,
                           vka_in_index(block, "motion_modules", j));
    return x;
}

static void push(struct unet *u, vka_tensor x)
{
    if (u->skip_count == MAX_SKIPS)
        vka_build_fail(u->b, VKA_E_INPUT, "the UNet has more than %d skip connections", MAX_SKIPS);
    else
        u->skips[u->skip_count++] = x;
}

vka_tensor vka_net_unet(vka_build *b, const vka_unet_config *c, const vka_motion_info *motion,
                        const struct vka_net_norms *norms, const struct vka_unet_inputs *in)
{
    struct unet u = {.b = b, .c = c, .motion = motion, .norms = *norms, .text = {in->context, in->index},
                     .amount = in->amount};
    vka_scope root = vka_scope_root("");
    vka_tensor t = vka_timestep_embedding(b, in->timestep, c->channels[0], c->flip_sin_to_cos, c->freq_shift);
    t = vka_linear(b, t, &(struct vka_linear_args){.at = vka_in(root, "time_embedding.linear_1"), .act = VKA_ACT_SILU,
                                                   .out_f32 = true});
    t = vka_linear(b, t, &(struct vka_linear_args){.at = vka_in(root, "time_embedding.linear_2"), .out_f32 = true});
    embed_time(&u, t);

    vka_tensor x = vka_conv(b, in->sample, &(struct vka_conv_args){.at = vka_in(root, "conv_in"), .kernel = 3, .stride = 1,
                                                                   .pad = {1, 1, 1, 1}});
    push(&u, x);
    for (uint32_t i = 0; i < c->levels; i++) {
        vka_scope block = vka_in_index(root, "down_blocks", i);
        for (uint32_t j = 0; j < c->layers[i]; j++) {
            x = resnet(&u, x, (vka_tensor){0}, vka_in_index(block, "resnets", j));
            x = transformers(&u, x, block, j, c->depth[i], c->heads[i], motion ? motion->down_modules[i] : 0);
            push(&u, x);
        }
        if (i + 1 < c->levels) {
            uint32_t p = c->downsample_padding;
            x = vka_conv(b, x, &(struct vka_conv_args){.at = vka_in(block, "downsamplers.0.conv"), .kernel = 3, .stride = 2,
                                                       .pad = {p, p ? p : 1, p, p ? p : 1}});
            push(&u, x);
        }
    }
    if (c->mid_resnets) {
        vka_scope mid = vka_scope_root("mid_block");
        x = resnet(&u, x, (vka_tensor){0}, vka_in_index(mid, "resnets", 0));
        if (c->mid_resnets > 1) {
            x = transformers(&u, x, mid, 0, c->mid_depth, c->mid_heads, motion ? motion->mid_modules : 0);
            x = resnet(&u, x, (vka_tensor){0}, vka_in_index(mid, "resnets", 1));
        }
    }
    for (uint32_t i = 0; i < c->levels; i++) {
        uint32_t level = c->levels - 1 - i;
        vka_scope block = vka_in_index(root, "up_blocks", i);
        for (uint32_t j = 0; j < c->layers[level] + 1 && u.skip_count; j++) {
            x = resnet(&u, x, u.skips[--u.skip_count], vka_in_index(block, "resnets", j));
            x = transformers(&u, x, block, j, c->up_depth[i], c->heads[level], motion ? motion->up_modules[i] : 0);
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
