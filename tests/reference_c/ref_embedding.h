/* ref_embedding.h - timestep and token embeddings: the specification of those operators. */
#ifndef VKA_REF_EMBEDDING_H
#define VKA_REF_EMBEDDING_H

#include <stdbool.h>
#include <stdint.h>

/* out [dim]: sines of t * f_i, then cosines (`flip`: cosines first), f_i = exp(-ln(10000) i / (dim/2 - shift)). The
 * exponent's product, its quotient, f_i and t * f_i are each rounded to binary32, as models are trained and
 * published; the rest is exact. */
void ref_timestep_embedding(float t, uint32_t dim, bool flip, double shift, double *out);
/* out [n, T, c] = tokens[ids[n, T]] + positions[T]. */
void ref_token_embedding(const int32_t *ids, uint32_t n, uint32_t count, uint32_t c, const float *tokens,
                         const float *positions, double *out);

#endif
