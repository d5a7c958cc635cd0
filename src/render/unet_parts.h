/* unet_parts.h - what the files of the UNet stage share.  Internal to unet_*.c. */
#ifndef VKA_RENDER_UNET_PARTS_H
#define VKA_RENDER_UNET_PARTS_H

#include "render/stages.h"

/* Floats of the step buffer.  Of guidance: the coefficients of the branches; those of the guided output without its scale; those
 * of the positive output; the share of rescaling. */
enum {
    STEP_TIMESTEP = 0,
    STEP_SCALE = 8,
    STEP_GUIDANCE = 16,
    STEP_OPS = 40,
    STEP_HOLD = 120,
    STEP_FLOATS = 128,
    GUIDE_ONE = VKA_GUIDE_BRANCHES,
    GUIDE_POSITIVE = 2 * VKA_GUIDE_BRANCHES,
    GUIDE_RESCALE = 3 * VKA_GUIDE_BRANCHES,
    GUIDE_NUMBERS = GUIDE_RESCALE + 1
};
_Static_assert(STEP_GUIDANCE + (int)GUIDE_NUMBERS <= STEP_OPS, "the step buffer");
_Static_assert(STEP_OPS + VKA_SAMPLER_OPS * VKA_SAMPLER_TERMS <= STEP_HOLD, "the step buffer");

/* unet_graphs.c: the graphs around the network, and where inputs and outputs lie. */
vka_status vka_unet_around_build(struct vka_unet_stage *s, vka_error *err);
void vka_unet_around_end(struct vka_unet_stage *s);
vka_status vka_unet_around_start(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err);

/* unet_frames.c: what differs from frame to frame.
 *
 * Copies of what the parameters say of the frames. */
vka_status vka_unet_frames_keep(struct vka_unet_stage *s, vka_error *err);
/* The step buffer: its bytes; where in it the prompts' index, the amounts, the merge table and the guidance scales begin. */
uint64_t vka_unet_step_bytes(const struct vka_unet_stage *s);
uint64_t vka_unet_amounts_at(const struct vka_unet_stage *s);
uint64_t vka_unet_merge_at(const struct vka_unet_stage *s);
uint64_t vka_unet_cfg_at(const struct vka_unet_stage *s);
/* Each sample's prompt in it, [branches * batch]. */
int32_t *vka_unet_prompt_index(const struct vka_unet_stage *s);
/* Amounts and guidance scales of the network's frames into the step buffer; frame [batch], NULL: the clip's. */
void vka_unet_frames_step(struct vka_unet_stage *s, const int32_t *frame);
/* Their inputs and context rows into the block. */
vka_status vka_unet_frames_feed(struct vka_unet_stage *s, const int32_t *frame, vka_error *err);
/* The inputs that are the same for all frames. */
vka_status vka_unet_globals_feed(struct vka_unet_stage *s, vka_error *err);

/* Frames first .. first + n - 1 of what is held to the device. */
vka_status vka_unet_hold_feed(struct vka_unet_stage *s, uint32_t first, uint32_t n, vka_error *err);
/* unet_control.c: the controls of the network, for its builder; args [VKA_CONTROLS]. */
vka_status vka_unet_controls_build(struct vka_unet_stage *s, struct vka_net_control_args *args, vka_error *err);
/* unet_ip.c: the image prompts as inputs of the network that is being built; out [p.ip_count]. */
vka_status vka_unet_ips(struct vka_unet_stage *s, struct vka_net_ip *out, vka_error *err);

/* unet_windows.c: one evaluation of a parked clip. */
vka_status vka_unet_eval_parked(struct vka_unet_stage *s, const vka_sampler_eval *e, const vka_ticker *ticker, vka_error *err);

#endif
