/* ref_embedding.c - see ref_embedding.h. */
#include "ref_embedding.h"

#include <math.h>

void ref_timestep_embedding(float t, uint32_t dim, bool flip, double shift, double *out)
{
    uint32_t half = dim / 2;
    for (uint32_t i = 0; i < dim; i++)
        out[i] = 0; /* an odd dim ends in a zero */
    for (uint32_t i = 0; i < half; i++) {
        float product = (float)(-log(10000.0) * i);
        float exponent = (float)((double)product / (half - shift));
        float frequency = (float)exp((double)exponent);
        float x = t * frequency;
        out[i] = flip ? cos((double)x) : sin((double)x);
        out[half + i] = flip ? sin((double)x) : cos((double)x);
    }
}

void ref_token_embedding(const int32_t *ids, uint32_t n, uint32_t count, uint32_t c, const float *tokens,
                         const float *positions, double *out)
{
    for (uint32_t i = 0; i < n * count; i++)
        for (uint32_t k = 0; k < c; k++)
            out[(uint64_t)i * c + k] =
                (double)tokens[(uint64_t)ids[i] * c + k] + (double)positions[(uint64_t)(i % count) * c + k];
}
