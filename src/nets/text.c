/* text.c - CLIP's text encoder: token and position embedding, causal transformer layers, final norm. */
#include "nets/parts.h"

vka_tensor vka_net_clip_layer(vka_build *b, vka_tensor x, vka_scope l, const struct vka_net_clip_layer *p)
{
    if (b->err.status != VKA_OK)
        return x;
    uint32_t dim = vka_info(b->graph, x)->c / p->heads, inner = p->heads * vka_pitch(dim);
    vka_scope at = vka_in(l, "self_attn");
    vka_tensor n = vka_layer_norm(b, x, vka_in(l, "layer_norm1"), p->eps);
    vka_tensor qkv = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(at, "q_proj"), .stacked = 2,
                                                               .stack = {vka_in(at, "k_proj"), vka_in(at, "v_proj")},
                                                               .heads_out = p->heads});
    vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = qkv, .k = qkv, .v = qkv,
                                                                 .k_channel = inner, .v_channel = 2 * inner, .heads = p->heads,
                                                                 .head_dim = dim, .causal = p->causal, .label = at});
    x = vka_linear(b, o, &(struct vka_linear_args){.at = vka_in(at, "out_proj"), .heads_in = p->heads, .add = x});
    n = vka_layer_norm(b, x, vka_in(l, "layer_norm2"), p->eps);
    vka_tensor m = vka_linear(b, n, &(struct vka_linear_args){
        .at = vka_in(l, "mlp.fc1"), .act = p->act == VKA_TEXT_GELU ? VKA_ACT_GELU : VKA_ACT_QUICK_GELU});
    return vka_linear(b, m, &(struct vka_linear_args){.at = vka_in(l, "mlp.fc2"), .add = x});
}

vka_tensor vka_net_text(vka_build *b, const vka_text_config *c, vka_tensor ids, uint32_t skip)
{
    vka_scope s = vka_scope_root("text_model");
    vka_scope e = vka_in(s, "embeddings");
    vka_tensor x = vka_token_embedding(b, ids, vka_in(e, "token_embedding"), vka_in(e, "position_embedding"));
    const struct vka_net_clip_layer layer = {c->heads, c->act, c->eps, true};
    for (uint32_t i = 0; i + skip < c->layers; i++)
        x = vka_net_clip_layer(b, x, vka_in_index(s, "encoder.layers", i), &layer);
    return vka_layer_norm(b, x, vka_in(s, "final_layer_norm"), c->eps);
}
