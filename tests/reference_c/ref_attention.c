/* ref_attention.c - see ref_attention.h. Three passes over the keys: the largest score, the sum of weights, the mix. */
#include "ref_attention.h"

#include <math.h>

static double score(const double *a, const double *b, uint32_t d, double scale)
{
    double sum = 0;
    for (uint32_t i = 0; i < d; i++)
        sum += a[i] * b[i];
    return sum * scale;
}

void ref_attention(const double *q, uint64_t q_stride, const double *k, uint64_t k_stride, const double *v,
                   uint64_t v_stride, double *out, uint64_t out_stride, uint32_t queries, uint32_t tokens, uint32_t d,
                   double scale, bool causal)
{
    for (uint32_t i = 0; i < queries; i++) {
        uint32_t seen = causal ? i + 1 : tokens;
        double largest = -HUGE_VAL, weight = 0;
        for (uint32_t j = 0; j < seen; j++)
            largest = fmax(largest, score(q + i * q_stride, k + j * k_stride, d, scale));
        for (uint32_t c = 0; c < d; c++)
            out[i * out_stride + c] = 0;
        for (uint32_t j = 0; j < seen; j++) {
            double p = exp(score(q + i * q_stride, k + j * k_stride, d, scale) - largest);
            weight += p;
            for (uint32_t c = 0; c < d; c++)
                out[i * out_stride + c] += p * v[j * v_stride + c];
        }
        for (uint32_t c = 0; c < d; c++)
            out[i * out_stride + c] /= weight;
    }
}
