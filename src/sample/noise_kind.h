/* noise_kind.h - how the first noise of a clip's frames is related (--noise-kind): unit noise in, unit noise out, frames copied
 * from frames.  Scalars and plain arrays on the CPU.
 *
 * random    every frame its own
 * constant  every frame has frame 0's
 * repeated  frame i has frame (i mod length)'s
 * shuffled  FreeNoise (Qiu et al. 2023): the first `length` frames are their own; after them every group of `stride` frames is a
 *           copy, in drawn order, of the group that begins exactly `length` frames earlier, so that windows of `length` frames,
 *           `stride` apart, all hold the same noise in another order; a last group that the clip cuts short takes the first of
 *           its order.  An order is torch.randperm(stride).
 *
 * With TORCH_CPU noise that one generator draws in one piece (layouts 5D and CLIP), and orders from that same generator behind it,
 * this is what diffusers' `shuffle_context` makes of a torch.Generator, number for number.  Its `repeat_context` leaves the noise
 * as drawn in diffusers 0.42, since it compares the length with the word; `repeated` does what its documentation says. */
#ifndef VKA_SAMPLE_NOISE_KIND_H
#define VKA_SAMPLE_NOISE_KIND_H

#include "base/error.h"
#include "base/rng.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vka_noise_kind {
    VKA_NOISE_KIND_RANDOM,
    VKA_NOISE_KIND_CONSTANT,
    VKA_NOISE_KIND_REPEATED,
    VKA_NOISE_KIND_SHUFFLED
} vka_noise_kind;

/* Names as in --noise-kind; VKA_E_USAGE for others. */
vka_status vka_noise_kind_from_name(const char *name, vka_noise_kind *out, vka_error *err);
const char *vka_noise_kind_name(vka_noise_kind kind);

/* noise [frames][values], in place; 1 <= stride <= length, which RANDOM does not look at.  SHUFFLED draws its orders from *rng, no
 * other kind touches it.  VKA_E_USAGE for a length or stride out of range, VKA_E_MEMORY. */
vka_status vka_noise_kind_apply_from(vka_noise_kind kind, uint32_t frames, size_t values, uint32_t length, uint32_t stride,
                                     vka_rng *rng, float *noise, vka_error *err);
/* With a generator of its own: torch's CPU generator with the seed's low 32 bits. */
vka_status vka_noise_kind_apply(vka_noise_kind kind, uint32_t frames, size_t values, uint32_t length, uint32_t stride,
                                uint64_t seed, float *noise, vka_error *err);
/* For what `source` has just drawn: orders come from its generator where it has one for all frames (as in diffusers, its next
 * draw then comes behind them), else from one of its own with the first frame's seed. */
vka_status vka_noise_kind_apply_source(vka_noise_kind kind, vka_noise_source *source, uint32_t length, uint32_t stride,
                                       float *noise, vka_error *err);

#endif
