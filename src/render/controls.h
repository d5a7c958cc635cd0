/* controls.h - a job's controls on their way to the UNet stage: the hint of every frame, weights over the frames.
 *
 * Life: begin, read or load, enter (before each build of a stage), process, encode, end. */
#ifndef VKA_RENDER_CONTROLS_H
#define VKA_RENDER_CONTROLS_H

#include "render/frame_store.h"
#include "render/setup.h"
#include "render/stages.h"

/* The hints of one control. */
struct vka_hints {
    const vka_control_info *info;
    uint32_t height, width; /* of a hint: pixels, or latent ones */
    uint32_t picture_height, picture_width; /* of what is in `rgb` */
    uint32_t frames, pictures;
    int32_t *picture_of; /* [frames] which picture is a frame's, -1: none, and its mask is 0 */
    struct vka_frame_store rgb; /* [pictures] of [picture_height][picture_width][3] */
    uint8_t *row;               /* one of them */
    float *latents;             /* VKA_CONTROL_SPARSE_RGB: [pictures][hint_channels - 1][height][width]; NULL until they are encoded */
    bool sample;                /* they are drawn from the encoder's distribution */
    enum vka_control_process process;
    bool previous; /* picture 0 is what frame 0 sees, 1 the frame before, of all others */
    uint32_t processed; /* pictures that are what the process makes of them */
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

/* The pictures that a job's controls name, made to fit and kept; width and height are the clip's, in pixels.  Too few, or none:
 * VKA_E_INPUT, VKA_E_USAGE. */
vka_status vka_controls_load(struct vka_controls *c, const struct vka_setup *s, uint32_t width, uint32_t height, vka_error *err);
/* Makes hints of the pictures, by a stage of its own for each control, within `budget` bytes of device memory.  Nothing where that
 * has been done.  gpu NULL: only tells whether it would fit; VKA_E_MEMORY. */
vka_status vka_controls_process(struct vka_controls *c, vka_gpu *gpu, const struct vka_kernel_table *table, uint64_t budget,
                                const vka_ticker *ticker, vka_error *err);
/* The hint of every frame but the first in controls of source=previous: rgb [height][width][3], of a clip's size. */
vka_status vka_controls_show(struct vka_controls *c, const uint8_t *rgb, vka_error *err);
/* Pictures that the VAE's encoder must see before the first step. */
uint32_t vka_controls_to_encode(const struct vka_controls *c);
/* Encodes them, by a started stage of VKA_VAE_ENCODE and one frame; where they are drawn from its distribution, with the numbers of
 * `seed`.  Nothing where that has been done. */
vka_status vka_controls_encode(struct vka_controls *c, struct vka_vae_stage *encoder, vka_rng_kind rng, uint64_t seed,
                               const vka_ticker *ticker, vka_error *err);
/* Whether --save-hints would replace files; writes the hints, once they are made, as FOLDER/controlN-%05d.png, a file for each picture. */
bool vka_controls_would_overwrite(const struct vka_controls *c, const char *folder);
vka_status vka_controls_save(struct vka_controls *c, const char *folder, vka_error *err);
void vka_controls_end(struct vka_controls *c); /* zeroed ones are fine */

#endif
