/* text.c - CLIP's text encoder: token and position embedding, causal transformer layers, final norm. */
#include "nets/nets.h"

#include "ops/ops.h"

vka_tensor vka_net_text(vka_build *b, const vka_text_config *c, vka_tensor ids, uint32_t skip)
{
    vka_scope s = vka_scope_root("text_model");
    vka_scope e = vka_in(s, "embeddings");
    vka_tensor x = vka_token_embedding(b, ids, vka_in(e, "token_embedding"), vka_in(e, "position_embedding"));
    uint32_t dim = c->hidden / c->heads, inner = c->heads * vka_pitch(dim);
    for (uint32_t i = 0; i + skip < c->layers; i++) {
        vka_scope l = vka_in_index(s, "encoder.layers", i), at = vka_in(l, "self_attn");
        vka_tensor n = vka_layer_norm(b, x, vka_in(l, "layer_norm1"), c->eps);
        vka_tensor qkv = vka_linear(b, n, &(struct vka_linear_args){.at = vka_in(at, "q_proj"), .stacked = 2,
                                                                   .stack = {vka_in(at, "k_proj"), vka_in(at, "v_proj")},
                                                                   .heads_out = c->heads});
        vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = qkv, .k = qkv,
                                                                     .v = qkv, .k_channel = inner, .v_channel = 2 * inner,
                                                                     .heads = c->heads, .head_dim = dim, .causal = true,
                                                                     .label = at});
        x = vka_linear(b, o, &(struct vka_linear_args){.at = vka_in(at, "out_proj"), .heads_in = c->heads, .add = x});
        n = vka_layer_norm(b, x, vka_in(l, "layer_norm2"), c->eps);
        vka_tensor m = vka_linear(b, n, &(struct vka_linear_args){
            .at = vka_in(l, "mlp.fc1"), .act = c->act == VKA_TEXT_GELU ? VKA_ACT_GELU : VKA_ACT_QUICK_GELU});
        x = vka_linear(b, m, &(struct vka_linear_args){.at = vka_in(l, "mlp.fc2"), .add = x});
    }
    return vka_layer_norm(b, x, vka_in(s, "final_layer_norm"), c->eps);
}
