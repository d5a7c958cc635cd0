/* ref_elementwise.h - linear combinations and pictures: the specification of those operators. */
#ifndef VKA_REF_ELEMENTWISE_H
#define VKA_REF_ELEMENTWISE_H

#include <stdint.h>

/* out[i] = x[i] + w (y[i] - x[i]), in double; x[i] where w is 0, y[i] where it is 1. */
void ref_blend(const float *x, const float *y, float w, uint64_t n, double *out);
/* out[i] = x[i], channels first .. first + count - 1 times w; x [rows, c]. */
void ref_scale_channels(const float *x, float w, uint64_t rows, uint32_t c, uint32_t first, uint32_t count, double *out);

/* out[i] = sum of coefficient[k] * x[k][i]; every product and sum is rounded to binary32, in the order of k; terms with
 * coefficient zero are left out. */
void ref_combine(const float *const *x, const float *coefficient, uint32_t count, uint64_t n, float *out);
/* out[i] = bytes of round((clamp(x[i][0..2], -1, 1) + 1) * 127.5), halves to even, byte 3 = 255; NaN is 0 and makes
 * byte 3 zero. x [n, c], binary32 arithmetic. */
void ref_picture(const float *x, uint64_t n, uint32_t c, uint32_t *out);
/* One sample: out[i] = guided[i] * (phi * sd(positive) / sd(guided) + 1 - phi) in double; a guided sample without spread is
 * left as it is. */
void ref_rescale(const float *guided, const float *positive, double phi, uint64_t n, double *out);

/* Rows as tokens: out [samples][taken + y_rows][c], the first rows of x (a sample's begin x_stride elements behind the one before), behind
 * them all rows of y; positions [rows][c] added in fp32, NULL: none. */
void ref_rows(const float *x, uint64_t x_stride, uint32_t taken, const float *y, uint64_t y_stride, uint32_t y_rows,
              const float *positions, uint32_t samples, uint32_t c, float *out);

#endif
