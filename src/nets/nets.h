/* nets.h - the networks, as functions that build graphs.  Shapes as in graph/graph.h: [n, h, w, c].
 *
 * Names asked for are diffusers' (transformers' for the text encoder), within each part of a model. */
#ifndef VKA_NETS_NETS_H
#define VKA_NETS_NETS_H

#include "base/arch.h"
#include "graph/graph.h"
#include "ops/ops.h"

/* Where GroupNorm statistics are taken over all frames of a branch instead of each frame alone. */
struct vka_net_norms {
    bool resnet_joint; /* UNet ResNets and the output norm: AnimateDiff v1 */
    bool motion_joint; /* the motion modules' own norm: diffusers' rule */
};

/* What differs from sample to sample: channel 0 of `table` (f32 SAMPLE [n, 1, 1, 3]) multiplies the keys of temporal attention
 * that come from the sample, with `scale`; channel 1 is the share of the motion modules' change that the sample takes,
 * x + e (module(x) - x), with `effect`; where channel 2 is 1, the middle block's spatial self-attention is the identity, with
 * `perturbed` (Ahn et al. 2024).  Without any of them no table is needed. */
struct vka_net_amount {
    vka_tensor table;
    bool scale, effect, perturbed;
};
enum { VKA_AMOUNT_SCALE, VKA_AMOUNT_EFFECT, VKA_AMOUNT_PERTURBED, VKA_AMOUNTS };

/* A ControlNet or SparseCtrl encoder beside the UNet.  Its tensors have names "control<number>.<name>".  Skip i of the UNet
 * becomes skip + (w layers[i]) residual_i, w being channel `channel` of vka_net_amount.table; the last of `layers` is the
 * middle's. */
enum { VKA_CONTROLS = 8, VKA_CONTROL_OUTPUTS = 32 };
struct vka_net_control_args {
    const vka_control_info *info;
    vka_tensor hint; /* as vka_hint takes it: U8X4 SAMPLE [n, H, W, 1], H and W being hint_factor times the latents' (a mask is
                        byte 3); VKA_CONTROL_SPARSE_RGB: f32 SAMPLE [n, h, w, hint_channels], the mask last */
    uint32_t channel;
    const float *layers; /* [info->outputs], at most VKA_CONTROL_OUTPUTS; NULL: 1 throughout */
};

/* An image prompt (Ye et al. 2023): behind every cross-attention with the text one with a picture's tokens, through keys and
 * values of its own, "<prefix><block>...attn2.to_k_ip", times a weight for each sample, is added. */
enum { VKA_MAX_IPS = 8 };
struct vka_net_ip {
    const char *prefix; /* of the names of its weights: "ip0." */
    vka_tensor context; /* f32 or storage GLOBAL [pictures, 1, tokens, cross_attention_dim] */
    vka_tensor index;   /* i32 SAMPLE [n, 1, 1, 1]: the sample's picture */
    vka_tensor table;   /* f32 SAMPLE [n, 1, 1, m], whose channel `channel` is the weight; where it is 0 no bit changes */
    uint32_t channel;
};

struct vka_unet_inputs {
    vka_tensor sample;   /* f32 SAMPLE [n, h, w, in_channels] */
    vka_tensor timestep; /* f32 GLOBAL [1, 1, 1, 1] */
    vka_tensor context;  /* f32 or storage GLOBAL [prompts, 1, T, cross_attention_dim] */
    vka_tensor index;    /* i32 SAMPLE [n, 1, 1, 1]: the sample's prompt */
    struct vka_net_amount amount;
    const struct vka_net_control_args *controls; /* [control_count], at most VKA_CONTROLS */
    uint32_t control_count;
    struct vka_frame_windows windows; /* of the motion modules' attention; length 0: none */
    const struct vka_net_ip *ips;
    uint32_t ip_count; /* at most VKA_MAX_IPS */
};

/* The noise prediction of an SD1.5-class UNet (Rombach et al. 2022), inflated with motion modules (Guo et al. 2023) where
 * `motion` is not NULL: f32 [n, h, w, out_channels]. */
vka_tensor vka_net_unet(vka_build *b, const vka_unet_config *c, const vka_motion_info *motion,
                        const struct vka_net_norms *norms, const struct vka_unet_inputs *in);

/* One AnimateDiff temporal transformer at `s`: x [n, h, w, C] -> the same, residual included.  `groups` of its norm: the
 * UNet's (32 in every published model; diffusers too ignores what an adapter's config says). */
vka_tensor vka_net_motion(vka_build *b, const vka_motion_info *motion, uint32_t groups, bool joint_norm,
                          struct vka_net_amount amount, vka_tensor x, vka_scope s);
/* The same with its attention in windows of frames (FreeNoise, Qiu et al. 2023): positions are those inside the window, and
 * what the windows make of a frame is merged before the feed-forward. */
vka_tensor vka_net_motion_windows(vka_build *b, const vka_motion_info *motion, uint32_t groups, bool joint_norm,
                                  struct vka_net_amount amount, struct vka_frame_windows windows, vka_tensor x, vka_scope s);

/* What the time embedding adds behind a ResNet's first convolution: channels `side` of `all`, f32 GLOBAL. */
struct vka_net_time {
    vka_tensor all; /* none: no time embedding */
    struct vka_linear_side side;
};

/* One ResNet block at `s`: x | x2 [n, h, w, C] -> [n, h, w, C'], C' from the weights. */
vka_tensor vka_net_resnet(vka_build *b, vka_tensor x, vka_tensor x2, struct vka_net_time time, uint32_t groups, float eps,
                          bool joint_norm, vka_scope s);

/* CLIP's text transformer (Radford et al. 2021): ids i32 SAMPLE [chunks, 1, T, 1] -> f32 [chunks, 1, T, D]; skip: how many of
 * the last layers are left out (0: all run); the final layer norm is always applied. */
vka_tensor vka_net_text(vka_build *b, const vka_text_config *c, vka_tensor ids, uint32_t skip);

/* CLIP's image encoder (Radford et al. 2021; Dosovitskiy et al. 2021): patches SAMPLE [n, 1, P, 3 p p], each a patch's colours
 * plane by plane -> out: `embeds` [n, 1, 1, projection], the class token behind the last layer, normed and projected; `hidden`
 * [n, 1, P + 1, D], all tokens before the last layer.  What is not wanted stays the null tensor. */
struct vka_vision_out {
    vka_tensor embeds, hidden;
};
struct vka_vision_out vka_net_vision(vka_build *b, const vka_vision_config *c, vka_tensor patches, bool embeds, bool hidden);
/* An IP-Adapter's tokens of such outputs, x [n, 1, 1 or T, takes] -> [n, 1, tokens, width].  Names are asked for without a
 * scope. */
vka_tensor vka_net_ip_tokens(vka_build *b, const vka_ip_info *info, vka_tensor x);

/* AutoencoderKL: latents in the VAE's own scale, f32 [n, h, w, latent] -> f32 [n, H, W, out_channels], not clamped. */
vka_tensor vka_net_vae_decode(vka_build *b, const vka_vae_config *c, vka_tensor latents);
/* Pictures in -1 .. 1, f32 [n, H, W, 3] -> f32 [n, h, w, 2 * latent]: means, then log variances. */
vka_tensor vka_net_vae_encode(vka_build *b, const vka_vae_config *c, vka_tensor frames);

#endif
