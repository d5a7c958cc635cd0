/* vision.c - CLIP's image encoder: patches as tokens behind a class token, positions, transformer layers.  See nets.h. */
#include "nets/parts.h"

struct vka_vision_out vka_net_vision(vka_build *b, const vka_vision_config *c, vka_tensor patches, bool embeds, bool hidden)
{
    struct vka_vision_out out = {{0}, {0}};
    vka_scope s = vka_scope_root("vision_model"), e = vka_in(s, "embeddings");
    vka_tensor x = vka_linear(b, patches, &(struct vka_linear_args){.at = vka_in(e, "patch_embedding"), .no_bias = true});
    x = vka_rows(b, &(struct vka_rows_args){.x = vka_weight_table(b, e, "class_embedding"),
                                            .y = x,
                                            .positions = vka_weight_table(b, vka_in(e, "position_embedding"), "weight"),
                                            .label = e});
    x = vka_layer_norm(b, x, vka_in(s, "pre_layrnorm"), c->eps); /* transformers' spelling */
    const struct vka_net_clip_layer layer = {c->heads, c->act, c->eps, false};
    for (uint32_t i = 0; i < c->layers; i++) {
        if (i + 1 == c->layers && hidden)
            out.hidden = x;
        if (i + 1 < c->layers || embeds)
            x = vka_net_clip_layer(b, x, vka_in_index(s, "encoder.layers", i), &layer);
    }
    if (embeds) {
        x = vka_rows(b, &(struct vka_rows_args){.x = x, .take = 1, .label = vka_in(s, "class token")});
        x = vka_layer_norm(b, x, vka_in(s, "post_layernorm"), c->eps);
        out.embeds = vka_linear(b, x, &(struct vka_linear_args){.at = vka_scope_root("visual_projection"), .no_bias = true});
    }
    return out;
}
