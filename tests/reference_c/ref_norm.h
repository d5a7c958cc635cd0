/* ref_norm.h - group and layer normalisation in double precision: the specification of those operators.
 * All tensors dense, row-major, shapes in brackets. */
#ifndef VKA_REF_NORM_H
#define VKA_REF_NORM_H

#include <stdbool.h>
#include <stdint.h>

/* x [n, rows, c] -> scale, shift [n, c] with y = x * scale + shift; `frames` consecutive samples share one statistic
 * (1: none do). */
void ref_group_norm(const double *x, uint32_t n, uint32_t rows, uint32_t c, uint32_t groups, double eps,
                    uint32_t frames, const float *gamma, const float *beta, double *scale, double *shift);
/* y [n, rows, c] = act(x * scale + shift); act: 0 none, 1 SiLU, 2 GELU (erf), 3 quick GELU. */
void ref_norm_apply(const double *x, const double *scale, const double *shift, uint32_t n, uint32_t rows, uint32_t c,
                    int act, double *y);
/* y [n, rows, c] */
void ref_layer_norm(const double *x, uint32_t n, uint32_t rows, uint32_t c, double eps, const float *gamma,
                    const float *beta, double *y);

#endif
