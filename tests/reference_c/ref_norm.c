/* ref_norm.c - see ref_norm.h.  Two passes over the data: mean, then variance (biased, as every published norm). */
#include "ref_norm.h"

#include <math.h>

void ref_group_norm(const double *x, uint32_t n, uint32_t rows, uint32_t c, uint32_t groups, double eps,
                    uint32_t frames, const float *gamma, const float *beta, double *scale, double *shift)
{
    uint32_t width = c / groups;
    for (uint32_t first = 0; first < n; first += frames)
        for (uint32_t g = 0; g < groups; g++) {
            double count = (double)frames * rows * width, sum = 0, squares = 0;
            for (uint32_t s = first; s < first + frames; s++)
                for (uint32_t r = 0; r < rows; r++)
                    for (uint32_t k = g * width; k < (g + 1) * width; k++)
                        sum += x[((uint64_t)s * rows + r) * c + k];
            double mean = sum / count;
            for (uint32_t s = first; s < first + frames; s++)
                for (uint32_t r = 0; r < rows; r++)
                    for (uint32_t k = g * width; k < (g + 1) * width; k++) {
                        double d = x[((uint64_t)s * rows + r) * c + k] - mean;
                        squares += d * d;
                    }
            double rstd = 1 / sqrt(squares / count + eps);
            for (uint32_t s = first; s < first + frames; s++)
                for (uint32_t k = g * width; k < (g + 1) * width; k++) {
                    scale[(uint64_t)s * c + k] = (double)gamma[k] * rstd;
                    shift[(uint64_t)s * c + k] = (double)beta[k] - mean * (double)gamma[k] * rstd;
                }
        }
}

static double activate(int act, double x)
{
    switch (act) {
    case 1:
        return x / (1 + exp(-x));
    case 2:
        return x * 0.5 * erfc(-x * 0.70710678118654752440);
    case 3:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

void ref_norm_apply(const double *x, const double *scale, const double *shift, uint32_t n, uint32_t rows, uint32_t c,
                    int act, double *y)
{
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t k = 0; k < c; k++) {
                uint64_t i = ((uint64_t)s * rows + r) * c + k;
                y[i] = activate(act, x[i] * scale[(uint64_t)s * c + k] + shift[(uint64_t)s * c + k]);
            }
}

void ref_layer_norm(const double *x, uint32_t n, uint32_t rows, uint32_t c, double eps, const float *gamma,
                    const float *beta, double *y)
{
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t r = 0; r < rows; r++) {
            const double *in = x + ((uint64_t)s * rows + r) * c;
            double *out = y + ((uint64_t)s * rows + r) * c;
            double sum = 0, squares = 0;
            for (uint32_t k = 0; k < c; k++)
                sum += in[k];
            double mean = sum / c;
            for (uint32_t k = 0; k < c; k++)
                squares += (in[k] - mean) * (in[k] - mean);
            double rstd = 1 / sqrt(squares / c + eps);
            for (uint32_t k = 0; k < c; k++)
                out[k] = (in[k] - mean) * rstd * (double)gamma[k] + (double)beta[k];
        }
}
