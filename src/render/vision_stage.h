/* vision_stage.h - what a render's image prompts look like to its networks, as a stage of its own: pictures through the image encoder,
 * then through each IP-Adapter's projection.  Planned like the other stages (stages.h), runs before the UNet, and gives its memory
 * back.  Both networks hold one picture at a time, so neither memory nor any bit depends on how many there are. */
#ifndef VKA_RENDER_VISION_STAGE_H
#define VKA_RENDER_VISION_STAGE_H

#include "nets/nets.h"
#include "render/netrun.h"

/* One IP-Adapter. */
struct vka_vision_ip {
    vka_weights *projection;
    const vka_ip_info *info;
    uint32_t pictures; /* that it is shown */
};
struct vka_vision_params {
    vka_weights *weights; /* of the image encoder */
    const vka_vision_config *config;
    struct vka_vision_ip ips[VKA_MAX_IPS];
    uint32_t ip_count;
    bool outputs; /* the encoder's outputs are wanted for themselves: `vkanim net vision` */
    bool f16;
    struct vka_kernel_table table;
};

/* A network that runs once per picture. */
struct vka_vision_net {
    struct vka_netrun run;
    struct vka_io io;
    vka_tensor in, out[2];
    uint64_t in_at, out_at[2];
};
struct vka_vision_stage {
    struct vka_vision_params p;
    struct vka_vision_net encoder, projection[VKA_MAX_IPS];
    uint32_t patches, numbers; /* of a picture; of a patch: 3 p p */
    int32_t largest;           /* of what was planned the network that needs the most: -1 the encoder, else a projection */
};

vka_status vka_vision_stage_build(struct vka_vision_stage *s, const struct vka_vision_params *p, vka_error *err);
vka_status vka_vision_stage_ask(struct vka_vision_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
/* The network that needs the most as planned. */
const struct vka_vision_net *vka_vision_stage_largest(const struct vka_vision_stage *s);
/* Tokens of a picture for adapter `ip`. */
uint32_t vka_vision_stage_tokens(const struct vka_vision_stage *s, uint32_t ip);
/* patches [pictures][patches][numbers], those of adapter 0 first.  tokens[ip], malloc'ed by the caller, [pictures + 1][tokens][width]:
 * the last is the prompt of no picture, for guidance to go away from: a plain adapter's of an embedding of zeros, any other's of a
 * picture of zeros (diffusers' rule).  With p.outputs also embeds [all][projection] and hidden [all][patches + 1][width of a layer],
 * NULL: not wanted; all: the pictures of all adapters, or `extra` where there is none. */
vka_status vka_vision_stage_run(struct vka_vision_stage *s, vka_gpu *gpu, const float *patches, uint32_t extra, float *const *tokens,
                                float *embeds, float *hidden, const vka_ticker *ticker, const vka_log *log, vka_error *err);
void vka_vision_stage_end(struct vka_vision_stage *s);

/* The patches [patches][3 p p] of a picture as the encoder takes it: RGB [S,S,3], what goes before being done; row by row, a patch's
 * colours plane by plane, as (x / 255 - mean) / deviation of CLIP. */
void vka_vision_unfold(const vka_vision_config *c, const uint8_t *rgb, float *patches);
/* The same of normed planes [3,S,S]. */
void vka_vision_unfold_planes(const vka_vision_config *c, const float *planes, float *patches);

#endif
