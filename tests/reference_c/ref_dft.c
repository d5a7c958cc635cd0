/* ref_dft.c - see ref_dft.h.  Written from the definition; angles are of k m mod n, since those are exact to the last bit or two. */
#include "ref_dft.h"

#include <math.h>
#include <stdlib.h>

void ref_dft(const double *real, const double *imaginary, uint64_t step, uint32_t n, bool inverse, double *out_real,
             double *out_imaginary)
{
    for (uint32_t k = 0; k < n; k++) {
        double a = 0, b = 0;
        for (uint32_t m = 0; m < n; m++) {
            double angle = (inverse ? 2 : -2) * 3.141592653589793238463 * (double)((uint64_t)k * m % n) / n;
            double x = real[m * step], y = imaginary[m * step], c = cos(angle), s = sin(angle);
            a += x * c - y * s;
            b += x * s + y * c;
        }
        out_real[k * step] = inverse ? a / n : a;
        out_imaginary[k * step] = inverse ? b / n : b;
    }
}

static void along(double *real, double *imaginary, uint64_t from, uint64_t step, uint32_t n, bool inverse)
{
    double *a = calloc(2 * (size_t)n + 1, sizeof *a), *b = calloc(2 * (size_t)n + 1, sizeof *b);
    if (!a || !b)
        abort();
    for (uint32_t k = 0; k < n; k++)
        a[k] = real[from + k * step], a[n + k] = imaginary[from + k * step];
    ref_dft(a, a + n, 1, n, inverse, b, b + n);
    for (uint32_t k = 0; k < n; k++)
        real[from + k * step] = b[k], imaginary[from + k * step] = b[n + k];
    free(a), free(b);
}

void ref_dft3(double *real, double *imaginary, uint32_t frames, uint32_t h, uint32_t w, bool inverse)
{
    for (uint64_t i = 0; i < (uint64_t)frames * h; i++)
        along(real, imaginary, i * w, 1, w, inverse);
    for (uint64_t f = 0; f < frames; f++)
        for (uint64_t x = 0; x < w; x++)
            along(real, imaginary, f * h * w + x, w, h, inverse);
    for (uint64_t i = 0; i < (uint64_t)h * w; i++)
        along(real, imaginary, i, (uint64_t)h * w, frames, inverse);
}
