/* ref_dft.h - the discrete Fourier transform in double precision: the specification of the operator. */
#ifndef VKA_REF_DFT_H
#define VKA_REF_DFT_H

#include <stdbool.h>
#include <stdint.h>

/* y[k] = sum over m of x[m] exp(-2 pi i k m / n), k < n; inverse: exp(+ ...), over n.  Element k of a line begins at k * step of
 * each of the four arrays; out may not be in. */
void ref_dft(const double *real, const double *imaginary, uint64_t step, uint32_t n, bool inverse, double *out_real,
             double *out_imaginary);
/* All three axes of [frames, h, w], in place. */
void ref_dft3(double *real, double *imaginary, uint32_t frames, uint32_t h, uint32_t w, bool inverse);

#endif
