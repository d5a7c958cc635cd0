/* resize.h - clip tensors of another size: what enlarges latents before a second pass (--hires).
 *
 * A row or column of n values becomes N; output i lies at x = (i + 1/2) n / N - 1/2 of the input, whose edges go on for ever:
 *
 *     bilinear   the line between the two neighbours
 *     nearest    value floor((i + 1/2) n / N)                        (torch's "nearest-exact")
 *     bicubic    Keys 1981 with a = -3/4 over four neighbours
 *
 * first along rows, then along columns.  These are torch.nn.functional.interpolate's, align_corners and antialias false. */
#ifndef VKA_SAMPLE_RESIZE_H
#define VKA_SAMPLE_RESIZE_H

#include "base/error.h"

#include <stdint.h>

typedef enum vka_latent_resize { VKA_LATENT_BILINEAR, VKA_LATENT_NEAREST, VKA_LATENT_BICUBIC } vka_latent_resize;

/* in [planes][h][w] -> out [planes][H][W], in double, rounded once; they do not overlap.  VKA_E_MEMORY. */
vka_status vka_latents_resize(vka_latent_resize kind, const float *in, uint64_t planes, uint32_t h, uint32_t w, float *out,
                              uint32_t out_h, uint32_t out_w, vka_error *err);

#endif
