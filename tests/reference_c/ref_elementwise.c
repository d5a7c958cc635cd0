/* ref_elementwise.c - see ref_elementwise.h.  Each float variable is volatile, so that no compiler keeps more digits or
 * fuses a product with a sum. */
#include "ref_elementwise.h"

#include <math.h>

void ref_combine(const float *const *x, const float *coefficient, uint32_t count, uint64_t n, float *out)
{
    for (uint64_t i = 0; i < n; i++) {
        volatile float sum = 0;
        int begun = 0;
        for (uint32_t k = 0; k < count; k++) {
            if (coefficient[k] == 0)
                continue;
            volatile float term = coefficient[k] * x[k][i];
            sum = begun ? sum + term : term;
            begun = 1;
        }
        out[i] = sum;
    }
}

void ref_blend(const float *x, const float *y, float w, uint64_t n, double *out)
{
    for (uint64_t i = 0; i < n; i++)
        out[i] = w == 0 ? (double)x[i] : w == 1 ? (double)y[i] : (double)x[i] + (double)w * ((double)y[i] - (double)x[i]);
}

void ref_scale_channels(const float *x, float w, uint64_t rows, uint32_t c, uint32_t first, uint32_t count, double *out)
{
    for (uint64_t r = 0; r < rows; r++)
        for (uint32_t k = 0; k < c; k++)
            out[r * c + k] = (double)x[r * c + k] * (k >= first && k < first + count ? (double)w : 1.0);
}

void ref_picture(const float *x, uint64_t n, uint32_t c, uint32_t *out)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t pixel = 255u << 24;
        for (uint32_t k = 0; k < 3; k++) {
            float v = x[i * c + k];
            if (!isfinite(v)) {
                pixel &= 0x00ffffffu;
                continue;
            }
            v = v < -1 ? -1 : v > 1 ? 1 : v;
            volatile float y = v + 1;
            y = y * 127.5f;
            double whole = floor((double)y), rest = (double)y - whole;
            if (rest > 0.5 || (rest == 0.5 && fmod(whole, 2) != 0))
                whole += 1;
            pixel |= (uint32_t)whole << (8 * k);
        }
        out[i] = pixel;
    }
}

static double spread(const float *x, uint64_t n)
{
    double mean = 0, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (uint64_t i = 0; i < n; i++)
        sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sqrt(sum);
}

void ref_rescale(const float *guided, const float *positive, double phi, uint64_t n, double *out)
{
    double now = spread(guided, n), ratio = now > 0 ? spread(positive, n) / now : 1;
    for (uint64_t i = 0; i < n; i++)
        out[i] = (double)guided[i] * (phi * ratio + 1 - phi);
}

void ref_rows(const float *x, uint64_t x_stride, uint32_t taken, const float *y, uint64_t y_stride, uint32_t y_rows,
              const float *positions, uint32_t samples, uint32_t c, float *out)
{
    for (uint32_t s = 0; s < samples; s++)
        for (uint32_t r = 0; r < taken + y_rows; r++)
            for (uint32_t k = 0; k < c; k++) {
                float v = r < taken ? x[s * x_stride + (uint64_t)r * c + k] : y[s * y_stride + (uint64_t)(r - taken) * c + k];
                *out++ = positions ? v + positions[(uint64_t)r * c + k] : v;
            }
}
