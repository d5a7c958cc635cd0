/* transformer.c - the spatial transformer of a UNet or of what is shaped like one, and the parts that it shares with the
 * motion module: LayerNorm, attention, projection and residual; the feed-forward.  x [n, h, w, C] -> the same. */
#include "nets/parts.h"

#include <stdio.h>

static uint32_t channels(vka_build *b, vka_tensor x) { return vka_info(b->graph, x)->c; }

vka_tensor vka_net_self_attention(vka_build *b, vka_tensor h, vka_scope norm, vka_scope at, uint32_t heads,
                                  const struct vka_net_frames *frames, struct vka_net_amount amount)
{
    static const struct vka_net_frames no_frames;
    const struct vka_net_frames *f = frames ? frames : &no_frames;
    if (b->err.status != VKA_OK)
        return h;
    uint32_t dim = channels(b, h) / heads, inner = heads * vka_pitch(dim);
    vka_tensor n = vka_layer_norm(b, h, norm, 1e-5f);
    vka_tensor qkv = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(at, "to_q"), .stacked = 2,
                                                               .stack = {vka_in(at, "to_k"), vka_in(at, "to_v")},
                                                               .heads_out = heads, .positions = f->positions,
                                                               .first_position = f->first_position,
                                                               .position_products = f->products});
    if (amount.scale)
        qkv = vka_scale_channels(b, qkv, inner, inner, amount.table, VKA_AMOUNT_SCALE, vka_in(at, "motion scale"));
    vka_tensor o =
        vka_attention(b, &(struct vka_attention_args){.kind = frames ? VKA_ATTENTION_TEMPORAL : VKA_ATTENTION_SPATIAL,
                                                      .phase = f->phase,
                                                      .q = qkv,
                                                      .k = qkv,
                                                      .v = qkv,
                                                      .k_channel = inner,
                                                      .v_channel = 2 * inner,
                                                      .heads = heads,
                                                      .head_dim = dim,
                                                      .label = at});
    if (amount.perturbed) { /* every token sees itself alone: what comes out is its own value */
        vka_tensor v = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(at, "to_v"), .heads_out = heads});
        o = vka_blend(b, o, v, amount.table, VKA_AMOUNT_PERTURBED, vka_in(at, "perturbed attention"));
    }
    return vka_linear(b, o, &(struct vka_linear_args){.at = vka_in(at, "to_out.0"), .heads_in = heads, .add = h});
}

/* o + w attention(q, picture), for each image prompt; `at` is where the text's projections are. */
static vka_tensor add_pictures(vka_build *b, const struct vka_net_text_in *in, vka_tensor o, vka_tensor q, vka_scope at,
                               uint32_t heads, uint32_t dim)
{
    for (uint32_t i = 0; i < in->ip_count; i++) {
        const struct vka_net_ip *ip = &in->ips[i];
        vka_scope own = {{0}};
        snprintf(own.path, sizeof own.path, "%s%.*s", ip->prefix, (int)(sizeof own.path - 16), at.path);
        vka_tensor kv = vka_linear(b, ip->context, &(struct vka_linear_args){.at = vka_in(own, "to_k_ip"), .stacked = 1,
                                                                            .stack = {vka_in(own, "to_v_ip")},
                                                                            .heads_out = heads, .no_bias = true});
        vka_tensor p = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_CROSS, .q = q, .k = kv, .v = kv,
                                                                     .v_channel = heads * vka_pitch(dim), .heads = heads,
                                                                     .head_dim = dim, .index = ip->index, .label = own});
        o = vka_add_scaled(b, o, p, ip->table, ip->channel, vka_in(own, "image prompt"));
    }
    return o;
}

static vka_tensor cross_attention(vka_build *b, const struct vka_net_text_in *text, vka_tensor h, vka_scope norm, vka_scope at,
                                  uint32_t heads)
{
    if (b->err.status != VKA_OK)
        return h;
    uint32_t dim = channels(b, h) / heads;
    vka_tensor n = vka_layer_norm(b, h, norm, 1e-5f);
    vka_tensor q = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(at, "to_q"), .heads_out = heads});
    vka_tensor kv = vka_linear(b, text->context, &(struct vka_linear_args){.at = vka_in(at, "to_k"), .stacked = 1,
                                                                       .stack = {vka_in(at, "to_v")},
                                                                       .heads_out = heads});
    vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_CROSS, .q = q, .k = kv, .v = kv,
                                                                 .v_channel = heads * vka_pitch(dim), .heads = heads,
                                                                 .head_dim = dim, .index = text->index, .label = at});
    o = add_pictures(b, text, o, q, at, heads, dim);
    return vka_linear(b, o, &(struct vka_linear_args){.at = vka_in(at, "to_out.0"), .heads_in = heads, .add = h});
}

vka_tensor vka_net_feed_forward(vka_build *b, vka_tensor h, vka_scope norm, vka_scope ff)
{
    vka_tensor n = vka_layer_norm(b, h, norm, 1e-5f);
    vka_tensor m = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(ff, "net.0.proj"), .act = VKA_ACT_GEGLU});
    return vka_linear(b, m, &(struct vka_linear_args){.at = vka_in(ff, "net.2"), .add = h});
}

vka_tensor vka_net_spatial_transformer(vka_build *b, vka_tensor x, vka_scope s, const struct vka_net_spatial *p)
{
    if (b->err.status == VKA_OK && channels(b, x) % p->heads) {
        vka_build_fail(b, VKA_E_INPUT, "%u channels do not divide into %u heads at '%s'", channels(b, x), p->heads, s.path);
        return x;
    }
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(s, "norm"), p->groups, 1e-6f, false);
    vka_tensor h = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "proj_in"), .norm = norm});
    for (uint32_t i = 0; i < p->depth; i++) {
        vka_scope t = vka_in_index(s, "transformer_blocks", i);
        h = vka_net_self_attention(b, h, vka_in(t, "norm1"), vka_in(t, "attn1"), p->heads, NULL,
                           (struct vka_net_amount){.table = p->perturbed, .perturbed = p->perturbed.id != 0});
        h = cross_attention(b, &p->text, h, vka_in(t, "norm2"), vka_in(t, "attn2"), p->heads);
        h = vka_net_feed_forward(b, h, vka_in(t, "norm3"), vka_in(t, "ff"));
    }
    return vka_linear(b, h, &(struct vka_linear_args){.at = vka_in(s, "proj_out"), .add = x});
}
