/* ip_adapter.c - tokens of a picture for an IP-Adapter's cross-attention: a linear layer cut in tokens (plain), an MLP over all
 * of the image encoder's tokens (full), or a resampler (plus): latents that attend to the encoder's tokens and to
 * themselves. */
#include "nets/parts.h"

enum { HEAD = 64 };

static const float eps = 1e-5f;

static vka_tensor plain(vka_build *b, const vka_ip_info *i, vka_tensor x)
{
    vka_scope root = vka_scope_root("");
    vka_tensor t = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(root, "proj")});
    t = vka_rows(b, &(struct vka_rows_args){.x = t, .split = i->tokens, .label = vka_scope_root("image tokens")});
    return vka_layer_norm(b, t, vka_in(root, "norm"), eps);
}

static vka_tensor full(vka_build *b, vka_tensor x)
{
    vka_scope s = vka_scope_root("proj");
    x = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "0"), .act = VKA_ACT_GELU});
    x = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "2")});
    return vka_layer_norm(b, x, vka_in(s, "3"), eps);
}

/* One layer: latents h [n, 1, Q, D] of the tokens x [n, 1, T, D]; keys and values are those of x and behind them of h. */
static vka_tensor perceive(vka_build *b, const vka_ip_info *i, vka_tensor h, vka_tensor x, vka_scope s)
{
    vka_scope at = vka_in(s, "0"), ff = vka_in(s, "1");
    vka_tensor latents = vka_layer_norm(b, h, vka_in(at, "norm2"), eps);
    vka_tensor all = vka_rows(b, &(struct vka_rows_args){.x = vka_layer_norm(b, x, vka_in(at, "norm1"), eps), .y = latents,
                                                         .label = vka_in(at, "tokens")});
    vka_tensor q =
        vka_linear(b, latents, &(struct vka_linear_args){.at = vka_in(at, "to_q"), .heads_out = i->heads, .no_bias = true});
    vka_tensor kv =
        vka_linear(b, all, &(struct vka_linear_args){.at = vka_in(at, "to_kv"), .heads_out = 2 * i->heads, .no_bias = true});
    vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = q, .k = kv, .v = kv,
                                                                 .v_channel = i->heads * vka_pitch(HEAD), .heads = i->heads,
                                                                 .head_dim = HEAD, .label = at});
    h = vka_linear(b, o,
                   &(struct vka_linear_args){.at = vka_in(at, "to_out"), .heads_in = i->heads, .no_bias = true, .add = h});
    vka_tensor m = vka_layer_norm(b, h, vka_in(ff, "0"), eps);
    m = vka_linear(b, m, &(struct vka_linear_args){.at = vka_in(ff, "1"), .act = VKA_ACT_GELU, .no_bias = true});
    return vka_linear(b, m, &(struct vka_linear_args){.at = vka_in(ff, "3"), .no_bias = true, .add = h});
}

static vka_tensor plus(vka_build *b, const vka_ip_info *i, vka_tensor x)
{
    vka_scope root = vka_scope_root("");
    x = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(root, "proj_in")});
    vka_tensor h = vka_rows(b, &(struct vka_rows_args){.x = vka_weight_table(b, root, "latents"), .like = x,
                                                       .label = vka_scope_root("latents")});
    for (uint32_t l = 0; l < i->layers; l++)
        h = perceive(b, i, h, x, vka_in_index(root, "layers", l));
    h = vka_linear(b, h, &(struct vka_linear_args){.at = vka_in(root, "proj_out")});
    return vka_layer_norm(b, h, vka_in(root, "norm_out"), eps);
}

vka_tensor vka_net_ip_tokens(vka_build *b, const vka_ip_info *info, vka_tensor x)
{
    return info->kind == VKA_IP_PLAIN ? plain(b, info, x) : info->kind == VKA_IP_FULL ? full(b, x) : plus(b, info, x);
}
