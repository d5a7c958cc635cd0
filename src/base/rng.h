/* rng.h - random numbers that seeds carry over from other programs.
 *
 * TORCH_CPU: torch's CPU generator.  MT19937 (Matsumoto and Nishimura 1998) seeded with the low 32 bits
 * of the seed; torch.randn's two ways to normal numbers in float32.
 * NV: the CPU form of CUDA's generator that A1111 calls "NV".  Philox4x32-10 (Salmon et al. 2011) with
 * the seed as key and (call, 0, element, 0) as counter.
 * Both end in Box-Muller.  Logarithms, sines and cosines are taken in double and rounded, so values may
 * differ from torch's by a few units in the last place of fp32, never in sequence. */
#ifndef VKA_BASE_RNG_H
#define VKA_BASE_RNG_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vka_rng_kind { VKA_RNG_TORCH_CPU, VKA_RNG_NV } vka_rng_kind;

/* A generator is a plain value: copying it forks the sequence. */
typedef struct vka_rng {
    vka_rng_kind kind;
    uint64_t seed;
    uint32_t mt[624]; /* MT19937 state and the next word's index, 624: twist first */
    uint32_t next;
    bool has_spare; /* torch keeps the second number of a pair for draws of fewer than 16 */
    double spare;
    uint32_t call; /* draws so far (NV) */
} vka_rng;

void vka_rng_init(vka_rng *rng, vka_rng_kind kind, uint64_t seed);
/* out[n] = torch.randn(n), one call: how n numbers come out depends on n, not only on their position. */
void vka_rng_normal(vka_rng *rng, float *out, size_t n);
/* out[n] = torch.randperm(n) (TORCH_CPU): Fisher and Yates from the front, place i changed with i + word % (n - i).  NV does the
 * same with the first words of one call's counters, which is no other program's order. */
void vka_rng_permute(vka_rng *rng, uint32_t *out, uint32_t n);

/* The state as bytes (little-endian, the same on every machine), for checkpoints.  Loading returns
 * false, with *rng untouched, when the bytes are not such a state. */
enum { VKA_RNG_STATE_BYTES = 4 + 4 + 8 + 4 * 624 + 4 + 4 + 8 + 4 };
void vka_rng_save(const vka_rng *rng, uint8_t out[VKA_RNG_STATE_BYTES]);
bool vka_rng_load(vka_rng *rng, const uint8_t in[VKA_RNG_STATE_BYTES]);

/* A seed that nobody chose, 0 .. 2^32-1, from the operating system (from the clock where that fails). */
uint32_t vka_rng_fresh_seed(void);

/* How one draw of a clip's noise is laid out over the generator (--noise-layout). */
typedef enum vka_noise_layout {
    VKA_NOISE_5D,   /* one draw of [1,C,F,h,w]: diffusers, AnimateDiff */
    VKA_NOISE_CLIP, /* one draw of [F,C,h,w]: ComfyUI */
    VKA_NOISE_FRAME /* a generator per frame, seed + i, each drawing [C,h,w]: A1111 */
} vka_noise_layout;

/* `--rng` and `--noise-layout` values; false for anything else. */
bool vka_rng_kind_from_name(const char *name, vka_rng_kind *out);
bool vka_noise_layout_from_name(const char *name, vka_noise_layout *out);
const char *vka_rng_kind_name(vka_rng_kind kind);
const char *vka_noise_layout_name(vka_noise_layout layout);

/* A second seed whose noise is mixed into the first (A1111's variation seed). */
typedef struct vka_subseed {
    uint64_t seed;
    double share; /* 0 .. 1; 0: there is none */
} vka_subseed;

/* A clip's noise: the first draw is the initial noise, each later one a step's noise from the same
 * generators.  Owns its memory. */
typedef struct vka_noise_source {
    vka_noise_layout layout;
    uint32_t frames, channels, height, width;
    size_t plane;        /* h * w */
    uint32_t generators; /* 1, or frames */
    vka_rng *rng;        /* [generators] */
    float *scratch;      /* one draw in drawing order where it has to be permuted, else NULL */
} vka_noise_source;

/* All extents at least 1.  VKA_E_USAGE when the size overflows, VKA_E_MEMORY when memory is short. */
vka_status vka_noise_open(vka_noise_source *src, vka_rng_kind kind, vka_noise_layout layout, uint64_t seed,
                          uint32_t frames, uint32_t channels, uint32_t height, uint32_t width, vka_error *err);
/* The same for a seed with a sub-seed.  Where that has a share, every frame of layout FRAME draws from `seed` itself, and
 * the frames' sub-seeds are subseed + i: A1111's rule for a batch. */
vka_status vka_noise_open_sub(vka_noise_source *src, vka_rng_kind kind, vka_noise_layout layout, uint64_t seed,
                              vka_subseed sub, uint32_t frames, uint32_t channels, uint32_t height, uint32_t width,
                              vka_error *err);
/* Mixes the sub-seed's first draw into `noise`, the source's own: spherically, for each column of each channel of each
 * frame (A1111's slerp runs over the height); columns that are parallel are mixed linearly.  Nothing at share 0. */
vka_status vka_noise_mix(const vka_noise_source *src, vka_subseed sub, float *noise, vka_error *err);
/* out [F,C,h,w] in every layout, unit variance. */
void vka_noise_draw(vka_noise_source *src, float *out);
void vka_noise_close(vka_noise_source *src);

/* The first draw alone. */
vka_status vka_noise(vka_rng_kind kind, vka_noise_layout layout, uint64_t seed, uint32_t frames, uint32_t channels,
                     uint32_t height, uint32_t width, float *out, vka_error *err);

/* The generators of a source as bytes, for checkpoints: vka_noise_state_bytes() of them.  Loading wants a
 * source that was opened with the same layout and frames; false when the bytes do not fit it. */
size_t vka_noise_state_bytes(const vka_noise_source *src);
void vka_noise_save(const vka_noise_source *src, uint8_t *out);
bool vka_noise_load(vka_noise_source *src, const uint8_t *in, size_t bytes);

#endif
