/* controls.h - a job's controls on their way to the UNet stage: the hint of every frame, weights over the frames. */
#ifndef VKA_RENDER_CONTROLS_H
#define VKA_RENDER_CONTROLS_H

#include "render/setup.h"
#include "render/stages.h"

/* The hints of one control. */
struct vka_hints {
    const vka_control_info *info;
    uint32_t height, width; /* of a hint: pixels, or latent ones */
    uint32_t frames, pictures;
    int32_t *picture_of; /* [frames] which picture is a frame's, -1: none, and its mask is 0 */
    uint8_t *rgb;        /* [pictures][height][width][3] */
    float *latents;      /* VKA_CONTROL_SPARSE_RGB: [pictures][hint_channels - 1][height][width] */
};

struct vka_controls {
    uint32_t count;
    struct vka_hints hints[VKA_CONTROLS];
    float *weights[VKA_CONTROLS]; /* [frames] */
};

/* Sizes and weights for a clip of `frames` frames of height x width latent pixels; no pictures yet. */
vka_status vka_controls_begin(struct vka_controls *c, const struct vka_setup *s, uint32_t frames, uint32_t height, uint32_t width,
                              vka_error *err);
/* Makes them part of the stage that the parameters are for; the controls must not move until that ends. */
void vka_controls_enter(struct vka_controls *c, const struct vka_setup *s, struct vka_unet_stage_params *p);
/* The hints of `vkanim net`'s input file: hintN [F, H, W, 3] from 0 to 1, of SparseCtrl with a maskN [F]; of latents hintN
 * [F, c, h, w]. */
vka_status vka_controls_read(struct vka_controls *c, const vka_safetensors *in, vka_error *err);
void vka_controls_end(struct vka_controls *c); /* zeroed ones are fine */

#endif
