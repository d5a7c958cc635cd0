/* parts.h - what the networks share among themselves.  Shapes as in nets.h; internal to the room. */
#ifndef VKA_NETS_PARTS_H
#define VKA_NETS_PARTS_H

#include "nets/nets.h"

/* What attention along the frames has besides. */
struct vka_net_frames {
    vka_tensor positions;         /* added to what q, k and v are made of; none: nothing is */
    uint32_t first_position;      /* the row of frame 0 */
    vka_tensor *products;         /* vka_linear_args.position_products */
    struct vka_frame_phase phase; /* length 0: all frames see each other */
};
/* LayerNorm, attention, projection and residual: h [n, h, w, C] -> the same.  `frames`: NULL where tokens are pixels. */
vka_tensor vka_net_self_attention(vka_build *b, vka_tensor h, vka_scope norm, vka_scope at, uint32_t heads,
                                  const struct vka_net_frames *frames, struct vka_net_amount amount);
/* GEGLU feed-forward with its norm and residual (Shazeer 2020). */
vka_tensor vka_net_feed_forward(vka_build *b, vka_tensor h, vka_scope norm, vka_scope ff);

/* What cross-attention looks at. */
struct vka_net_text_in {
    vka_tensor context, index; /* as in vka_unet_inputs */
    const struct vka_net_ip *ips;
    uint32_t ip_count;
};

/* A layer of CLIP's transformers, text and image: LayerNorm, self-attention, LayerNorm, MLP.  x [n, 1, T, D] -> the same. */
struct vka_net_clip_layer {
    uint32_t heads;
    enum vka_text_act act;
    float eps;
    bool causal;
};
vka_tensor vka_net_clip_layer(vka_build *b, vka_tensor x, vka_scope at, const struct vka_net_clip_layer *p);

struct vka_net_spatial {
    uint32_t groups, depth, heads;
    vka_tensor perturbed; /* table: channel VKA_AMOUNT_PERTURBED tells where self-attention is the identity; none: nowhere */
    struct vka_net_text_in text;
};
/* x [n, h, w, C] -> the same, residual included. */
vka_tensor vka_net_spatial_transformer(vka_build *b, vka_tensor x, vka_scope s, const struct vka_net_spatial *p);

/* The down blocks and the middle of a UNet, or of what is shaped like one: the UNet itself, a ControlNet. */
enum { VKA_NET_SKIPS = 128, VKA_NET_RESNETS = 128 };
struct vka_net_encoder {
    vka_build *b;
    vka_scope root; /* where its names begin: "" or "control0" */
    const vka_unet_config *c;
    const vka_motion_info *motion; /* NULL: none */
    struct vka_net_norms norms;
    struct vka_net_text_in text;
    struct vka_net_amount amount;
    struct vka_frame_windows windows; /* of the motion modules' attention */
    vka_tensor skips[VKA_NET_SKIPS];
    uint32_t skip_count;
    void (*take)(void *user, vka_tensor skip); /* gets every skip instead of `skips`, as soon as it is there; NULL: nobody */
    void *user;
    vka_scope resnets[VKA_NET_RESNETS];         /* all there are */
    struct vka_net_time times[VKA_NET_RESNETS]; /* what the time embedding gives each */
    uint32_t resnet_count;
};
/* The time embedding, and its layers of all ResNets, those of the up blocks too with `up`; before any block. */
void vka_net_encoder_time(struct vka_net_encoder *e, vka_tensor timestep, bool up);
/* What comes of the first convolution through the down blocks; every skip is kept. */
vka_tensor vka_net_encoder_down(struct vka_net_encoder *e, vka_tensor x);
vka_tensor vka_net_encoder_middle(struct vka_net_encoder *e, vka_tensor x);
/* One of its ResNets; spatial transformer and motion module number j of a block, where they are. */
vka_tensor vka_net_encoder_resnet(const struct vka_net_encoder *e, vka_tensor x, vka_tensor x2, vka_scope s);
vka_tensor vka_net_encoder_transformers(const struct vka_net_encoder *e, vka_tensor x, vka_scope block, uint32_t j,
                                        uint32_t depth, uint32_t heads, uint32_t modules);

/* control.c: number `number` of a UNet's controls adds to its skips and to what left its middle, which is returned. */
vka_tensor vka_net_control(struct vka_net_encoder *unet, const struct vka_unet_inputs *in, uint32_t number, vka_tensor middle);

#endif
