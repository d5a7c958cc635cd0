/* freeinit.h - FreeInit (Wu et al. 2023): the first noise of a further round.
 *
 * z is what the clip of the round before becomes when it is noised again to the last timestep with the noise that it came from;
 * eta is fresh noise.  The new noise takes the low frequencies of z and the high ones of eta:
 *     IFFT(FFT(z) L + FFT(eta) (1 - L)) = IFFT(FFT(z - eta) L) + eta
 * over frames, rows and columns, its real part, in fp32.  All is of unit variance, whatever scale a sampler wants; diffusers
 * notes the first noise after it has multiplied it by the sampler's scale, so that with samplers in sigma space its z is
 * noisier than a first noise and eta far weaker: that is not taken over.
 *
 * Three networks in turn, each for some of the clip, so that the device's memory does not grow with its frames: rows and
 * columns of some frames; all frames of some pixels, filtered, there and back; columns and rows back.  How a clip is cut
 * changes no bit. */
#ifndef VKA_RENDER_FREEINIT_H
#define VKA_RENDER_FREEINIT_H

#include "render/netrun.h"
#include "sample/lowpass.h"

struct vka_freeinit_part {
    struct vka_netrun run;
    vka_tensor in, out, filter, table[2];
    uint32_t slice; /* frames or pixels at a time */
    struct vka_io io;
    uint64_t in_at, out_at, filter_at, table_at[2];
};
enum { VKA_FREEINIT_PARTS = 3 };

struct vka_freeinit {
    uint32_t frames, channels, height, width; /* latent pixels */
    struct vka_ask ask; /* what was asked of the plan, and its knobs: a start takes the plan */
    struct vka_knobs knobs;
    struct vka_freeinit_part part[VKA_FREEINIT_PARTS];
};

/* slice[0] frames and slice[1] pixels at a time; NULL: so many that some 32 MiB of the device will do. */
vka_status vka_freeinit_build(struct vka_freeinit *s, uint32_t frames, uint32_t channels, uint32_t height, uint32_t width,
                              const uint32_t *slice, const struct vka_kernel_table *table, vka_error *err);
/* As the stages of stages.h. */
vka_status vka_freeinit_ask(struct vka_freeinit *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
/* z and eta [frames, channels, height, width] -> out, which may be either of them.  Takes the planned memory and gives it back;
 * what is planned stays, for the next round. */
vka_status vka_freeinit_mix(struct vka_freeinit *s, vka_gpu *gpu, const struct vka_lowpass_params *filter, const float *z,
                            const float *eta, float *out, const vka_ticker *ticker, vka_error *err);
void vka_freeinit_end(struct vka_freeinit *s); /* zeroed ones are fine */

#endif
