/* latent_map.h - pictures of latents without their VAE: an affine map from a latent pixel and its eight neighbours to the mean
 * colour of the picture's pixels that it stands for.
 *
 *     rgb_k(y, x) = bias_k + sum over c, i, j of weight_kcij z_c(y + i - 1, x + j - 1)          i, j = 0 .. 2
 *
 * z are latents in the sampler's scale, repeated beyond their edges; colours are 8-bit sRGB's, 0 .. 255.  The map is what fits
 * pairs of latents and pictures best in the sense of least squares, with a small penalty on the weights (ridge regression, Hoerl
 * and Kennard 1970).  Plain arrays on the CPU. */
#ifndef VKA_SAMPLE_LATENT_MAP_H
#define VKA_SAMPLE_LATENT_MAP_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { VKA_LATENT_CHANNELS = 16, VKA_LATENT_TAPS = 9 };

struct vka_latent_map {
    uint32_t channels; /* 1 .. VKA_LATENT_CHANNELS */
    float bias[3];
    float weight[3][VKA_LATENT_CHANNELS][VKA_LATENT_TAPS]; /* tap 3 i + j */
};

/* z [channels, h, w] -> rgb [h, w, 3], cut to 0 .. 255 and rounded; what is not a number becomes 0.  `row` has room for 3 w floats. */
void vka_latent_map_show(const struct vka_latent_map *m, const float *z, uint32_t h, uint32_t w, float *row, uint8_t *rgb);

/* A fit: pairs go in one by one. */
typedef struct vka_latent_fit vka_latent_fit;
vka_latent_fit *vka_latent_fit_create(uint32_t channels); /* NULL when memory is short */
void vka_latent_fit_free(vka_latent_fit *f);
/* z [channels, h, w] and what it shall give, rgb [h, w, 3]. */
void vka_latent_fit_add(vka_latent_fit *f, const float *z, const float *rgb, uint32_t h, uint32_t w);
/* The map; `ridge` is the penalty on the squares of the weights, in units of the mean square of a latent: at least 0.  *error: mean
 * square of what is left of the colours.  False where the pairs do not say what the map is, or hold what is not finite. */
bool vka_latent_fit_solve(const vka_latent_fit *f, double ridge, struct vka_latent_map *out, double *error);

#endif
