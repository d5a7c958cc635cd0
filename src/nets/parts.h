/* parts.h - what the networks share among themselves.  Shapes as in nets.h; internal to the room. */
#ifndef VKA_NETS_PARTS_H
#define VKA_NETS_PARTS_H

#include "nets/nets.h"

/* LayerNorm, attention, projection and residual: h [n, h, w, C] -> the same. */
vka_tensor vka_net_self_attention(vka_build *b, vka_tensor h, vka_scope norm, vka_scope at, uint32_t heads,
                                  enum vka_attention_kind kind, vka_tensor positions, struct vka_net_amount amount);
/* GEGLU feed-forward with its norm and residual (Shazeer 2020). */
vka_tensor vka_net_feed_forward(vka_build *b, vka_tensor h, vka_scope norm, vka_scope ff);

/* What cross-attention looks at. */
struct vka_net_text_in {
    vka_tensor context, index; /* as in vka_unet_inputs */
};

struct vka_net_spatial {
    uint32_t groups, depth, heads;
    vka_tensor perturbed; /* table whose channel VKA_AMOUNT_PERTURBED tells where self-attention is the identity; none: nowhere */
    struct vka_net_text_in text;
};
/* x [n, h, w, C] -> the same, residual included. */
vka_tensor vka_net_spatial_transformer(vka_build *b, vka_tensor x, vka_scope s, const struct vka_net_spatial *p);

#endif
