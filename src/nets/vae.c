/* vae.c - AutoencoderKL (Rombach et al. 2022): decoder and encoder, one picture at a time. */
#include "nets/nets.h"

#include "ops/ops.h"

static const float EPS = 1e-6f;

static vka_tensor conv3(vka_build *b, vka_tensor x, vka_scope at, bool f32)
{
    return vka_conv(b, x, &(struct vka_conv_args){.at = at, .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}, .out_f32 = f32});
}

static vka_tensor resnet(vka_build *b, const vka_vae_config *c, vka_tensor x, vka_scope s)
{
    return vka_net_resnet(b, x, (vka_tensor){0}, (struct vka_net_time){0}, c->norm_num_groups, EPS, false, s);
}

/* Single-head attention over the pixels, residual included. */
static vka_tensor attention(vka_build *b, const vka_vae_config *c, vka_tensor x, vka_scope s)
{
    if (b->err.status != VKA_OK)
        return x;
    uint32_t dim = vka_info(b->graph, x)->c;
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(s, "group_norm"), c->norm_num_groups, EPS, false);
    vka_tensor qkv = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "to_q"), .stacked = 2, .norm = norm,
                                                               .stack = {vka_in(s, "to_k"), vka_in(s, "to_v")},
                                                               .heads_out = 1});
    vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = qkv, .k = qkv, .v = qkv,
                                                                 .k_channel = vka_pitch(dim), .v_channel = 2 * vka_pitch(dim),
                                                                 .heads = 1, .head_dim = dim, .label = s});
    return vka_linear(b, o, &(struct vka_linear_args){.at = vka_in(s, "to_out.0"), .heads_in = 1, .add = x});
}

static vka_tensor middle(vka_build *b, const vka_vae_config *c, vka_tensor x, vka_scope s)
{
    x = resnet(b, c, x, vka_in_index(s, "resnets", 0));
    if (c->mid_attention)
        x = attention(b, c, x, vka_in_index(s, "attentions", 0));
    return resnet(b, c, x, vka_in_index(s, "resnets", 1));
}

static vka_tensor norm_out(vka_build *b, const vka_vae_config *c, vka_tensor x, vka_scope s)
{
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(s, "conv_norm_out"), c->norm_num_groups, EPS, false);
    x = vka_norm_apply(b, x, (vka_tensor){0}, norm, VKA_ACT_SILU);
    return conv3(b, x, vka_in(s, "conv_out"), true);
}

vka_tensor vka_net_vae_decode(vka_build *b, const vka_vae_config *c, vka_tensor latents)
{
    vka_scope s = vka_scope_root("decoder");
    vka_tensor x = latents;
    if (c->use_post_quant_conv)
        x = vka_linear(b, x, &(struct vka_linear_args){.at = vka_scope_root("post_quant_conv"), .out_f32 = true});
    x = conv3(b, x, vka_in(s, "conv_in"), false);
    x = middle(b, c, x, vka_in(s, "mid_block"));
    for (uint32_t i = 0; i < c->levels; i++) {
        vka_scope block = vka_in_index(s, "up_blocks", i);
        for (uint32_t j = 0; j < c->layers + 1; j++)
            x = resnet(b, c, x, vka_in_index(block, "resnets", j));
        if (i + 1 < c->levels) {
            const struct vka_tensor_info *t = vka_info(b->graph, x);
            x = vka_conv(b, x, &(struct vka_conv_args){.at = vka_in(block, "upsamplers.0.conv"), .kernel = 3, .stride = 1,
                                                       .pad = {1, 1, 1, 1}, .upsample_h = 2 * t->h, .upsample_w = 2 * t->w});
        }
    }
    return norm_out(b, c, x, s);
}

vka_tensor vka_net_vae_encode(vka_build *b, const vka_vae_config *c, vka_tensor frames)
{
    vka_scope s = vka_scope_root("encoder");
    vka_tensor x = conv3(b, frames, vka_in(s, "conv_in"), false);
    for (uint32_t i = 0; i < c->levels; i++) {
        vka_scope block = vka_in_index(s, "down_blocks", i);
        for (uint32_t j = 0; j < c->layers; j++)
            x = resnet(b, c, x, vka_in_index(block, "resnets", j));
        if (i + 1 < c->levels) /* padded at the bottom and the right only */
            x = vka_conv(b, x, &(struct vka_conv_args){.at = vka_in(block, "downsamplers.0.conv"), .kernel = 3, .stride = 2,
                                                       .pad = {0, 1, 0, 1}});
    }
    x = middle(b, c, x, vka_in(s, "mid_block"));
    x = norm_out(b, c, x, s);
    if (c->use_quant_conv)
        x = vka_linear(b, x, &(struct vka_linear_args){.at = vka_scope_root("quant_conv"), .out_f32 = true});
    return x;
}
