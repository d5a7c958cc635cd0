/* latent_map.c - see latent_map.h.
 *
 * The fit keeps the sums of the normal equations in double, A = sum of v v' and B = sum of v rgb', v being the features of a latent
 * pixel: 9 for each channel, and 1.  A + ridge is positive definite; its Cholesky factor gives the three rows of the map. */
#include "sample/latent_map.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES = VKA_LATENT_CHANNELS * VKA_LATENT_TAPS + 1 };

/* ---- the map ------------------------------------------------------------------------------------------------ */

/* sum[x] += weight * line[x + dx], x + dx cut to the line. */
static void add_tap(float *sum, const float *line, uint32_t w, int dx, float weight)
{
    const ptrdiff_t from = dx < 0 ? 1 : 0, to = (ptrdiff_t)w - (dx > 0 ? 1 : 0);
    if (dx < 0)
        sum[0] += weight * line[0];
    for (ptrdiff_t x = from; x < to; x++)
        sum[x] += weight * line[x + dx];
    if (dx > 0)
        sum[w - 1] += weight * line[w - 1];
}

/* Line y + i - 1 of a plane, i = 0 .. 2, repeated beyond its edges. */
static const float *line_at(const float *plane, uint32_t h, uint32_t w, uint32_t y, int i)
{
    uint32_t at = i == 0 ? (y ? y - 1 : 0) : i == 2 ? vka_min_u32(y + 1, h - 1) : y;
    return plane + (size_t)at * w;
}

void vka_latent_map_show(const struct vka_latent_map *m, const float *z, uint32_t h, uint32_t w, float *row, uint8_t *rgb)
{
    const size_t plane = (size_t)h * w;
    for (uint32_t y = 0; y < h; y++) {
        for (uint32_t k = 0; k < 3; k++) {
            float *sum = row + (size_t)k * w;
            for (uint32_t x = 0; x < w; x++)
                sum[x] = m->bias[k];
            for (uint32_t c = 0; c < m->channels; c++)
                for (int t = 0; t < VKA_LATENT_TAPS; t++)
                    add_tap(sum, line_at(z + c * plane, h, w, y, t / 3), w, t % 3 - 1, m->weight[k][c][t]);
        }
        uint8_t *out = rgb + (size_t)y * w * 3;
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t k = 0; k < 3; k++) {
                float v = row[(size_t)k * w + x];
                out[3 * x + k] = v > 0 ? (uint8_t)(v < 255 ? v + 0.5f : 255) : 0; /* NaN is not more than 0 */
            }
    }
}

/* ---- the fit ------------------------------------------------------------------------------------------------ */

struct vka_latent_fit {
    uint32_t channels, features;
    double count, colours[3]; /* pairs of pixels; sums of squares of the colours */
    double a[FEATURES][FEATURES]; /* the lower half */
    double b[3][FEATURES];
};

vka_latent_fit *vka_latent_fit_create(uint32_t channels)
{
    vka_latent_fit *f = channels && channels <= VKA_LATENT_CHANNELS ? vka_calloc(1, sizeof *f) : NULL;
    if (f) {
        f->channels = channels;
        f->features = channels * VKA_LATENT_TAPS + 1;
    }
    return f;
}

void vka_latent_fit_free(vka_latent_fit *f) { free(f); }

void vka_latent_fit_add(vka_latent_fit *f, const float *z, const float *rgb, uint32_t h, uint32_t w)
{
    const size_t plane = (size_t)h * w;
    double v[FEATURES];
    v[f->features - 1] = 1;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            const float *colour = rgb + ((size_t)y * w + x) * 3;
            for (uint32_t c = 0; c < f->channels; c++)
                for (int t = 0; t < VKA_LATENT_TAPS; t++) {
                    const float *line = line_at(z + c * plane, h, w, y, t / 3);
                    uint32_t at = t % 3 == 0 ? (x ? x - 1 : 0) : t % 3 == 2 ? vka_min_u32(x + 1, w - 1) : x;
                    v[c * VKA_LATENT_TAPS + (uint32_t)t] = (double)line[at];
                }
            for (uint32_t i = 0; i < f->features; i++)
                for (uint32_t j = 0; j <= i; j++)
                    f->a[i][j] += v[i] * v[j];
            for (uint32_t k = 0; k < 3; k++) {
                f->colours[k] += (double)colour[k] * (double)colour[k];
                for (uint32_t i = 0; i < f->features; i++)
                    f->b[k][i] += (double)colour[k] * v[i];
            }
        }
    f->count += (double)plane;
}

/* The lower half of a positive definite matrix becomes its Cholesky factor; false where it is none. */
static bool factor(double (*a)[FEATURES], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (uint32_t k = 0; k < j; k++)
                sum -= a[i][k] * a[j][k];
            if (i > j)
                a[i][j] = sum / a[j][j];
            else if (sum > 0 && isfinite(sum))
                a[i][i] = sqrt(sum);
            else
                return false;
        }
    return true;
}

/* x = (L L')^-1 x */
static void substitute(double (*l)[FEATURES], uint32_t n, double *x)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < i; k++)
            x[i] -= l[i][k] * x[k];
        x[i] /= l[i][i];
    }
    for (uint32_t i = n; i-- > 0;) {
        for (uint32_t k = i + 1; k < n; k++)
            x[i] -= l[k][i] * x[k];
        x[i] /= l[i][i];
    }
}

/* Sum of squares of what a row x of the map leaves of colour k. */
static double left_over(const vka_latent_fit *f, uint32_t k, const double *x)
{
    double sum = f->colours[k];
    for (uint32_t i = 0; i < f->features; i++) {
        sum -= 2 * x[i] * f->b[k][i];
        for (uint32_t j = 0; j < f->features; j++)
            sum += x[i] * x[j] * (j <= i ? f->a[i][j] : f->a[j][i]);
    }
    return sum;
}

bool vka_latent_fit_solve(const vka_latent_fit *f, double ridge, struct vka_latent_map *out, double *error)
{
    const uint32_t n = f->features;
    double x[FEATURES], mean = 0;
    vka_latent_fit *work = f->count > 0 ? malloc(sizeof *work) : NULL;
    if (!work)
        return false;
    *work = *f;
    *out = (struct vka_latent_map){.channels = f->channels};
    for (uint32_t i = 0; i + 1 < n; i++)
        mean += f->a[i][i] / (n - 1);
    for (uint32_t i = 0; i + 1 < n; i++)
        work->a[i][i] += ridge * mean;
    bool good = factor(work->a, n);
    *error = 0;
    for (uint32_t k = 0; good && k < 3; k++) {
        memcpy(x, f->b[k], n * sizeof *x);
        substitute(work->a, n, x);
        for (uint32_t i = 0; i + 1 < n; i++)
            out->weight[k][i / VKA_LATENT_TAPS][i % VKA_LATENT_TAPS] = (float)x[i];
        out->bias[k] = (float)x[n - 1];
        *error += fmax(left_over(f, k, x), 0) / (3 * f->count);
        for (uint32_t i = 0; i < n; i++)
            good = good && isfinite((float)x[i]);
    }
    free(work);
    return good;
}
