/* previous.h - controls whose hint is the frame before (--control PATH,source=previous), as TemporalNet (Rowles 2023) is used.
 *
 * Such a clip is sampled frame after frame: all steps of frame f, which is then decoded, and its picture, 8 bits a channel, is the
 * hint of frame f + 1.  Frame 0 sees the picture that the clip begins from; where there is none its weight is 0.  Every frame is a
 * pass of the clip's (work.h), so that a job goes on within a frame; all frames are noised at the beginning.  No motion module takes
 * part.
 *
 * A VAE decoder of one frame, w->previous, lives beside the UNet; both are planned together. */
#ifndef VKA_RENDER_PREVIOUS_H
#define VKA_RENDER_PREVIOUS_H

#include "render/work.h"

vka_status vka_previous_build(struct vka_work *w, vka_error *err);
/* The UNet and the decoder within what is asked: w->previous_need, and w->need[VKA_AT_UNET] of both. */
vka_status vka_previous_ask(struct vka_work *w, const struct vka_ask *ask, vka_error *err);
/* Host memory of the decoder as planned. */
uint64_t vka_previous_host(const struct vka_work *w);
/* Decodes a frame, [channels][height][width] latents in the sampler's scale, and gives it to the controls as the hint of the next
 * one.  The decoder has been started.  VKA_E_VERIFY for a picture that holds NaN or infinity. */
vka_status vka_previous_show(struct vka_work *w, const float *latents, uint32_t frame, const vka_ticker *ticker, vka_error *err);

#endif
