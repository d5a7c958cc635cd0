/* resize.c - see resize.h.  Each axis is a table of four places and weights for every output value. */
#include "sample/resize.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct tap {
    uint32_t at[4];
    double weight[4];
};

static double keys(double d)
{
    const double a = -0.75;
    d = fabs(d);
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

static void make_taps(vka_latent_resize kind, uint32_t n, uint32_t count, struct tap *out)
{
    for (uint32_t i = 0; i < count; i++) {
        double x = (i + 0.5) * n / count - 0.5;
        if (kind == VKA_LATENT_BILINEAR && x < 0) /* torch's */
            x = 0;
        double low = floor(x);
        if (kind == VKA_LATENT_NEAREST) /* rounded as torch's: that decides where two pixels are equally near */
            low = floor((double)(float)((i + 0.5) * (double)((float)n / (float)count)));
        double share = x - low;
        for (int k = 0; k < 4; k++) {
            double at = low + k - 1;
            out[i].at[k] = at < 0 ? 0 : at >= n ? n - 1 : (uint32_t)at;
            out[i].weight[k] = kind == VKA_LATENT_NEAREST    ? k == 1
                               : kind == VKA_LATENT_BILINEAR ? (k == 1 ? 1 - share : k == 2 ? share : 0)
                                                             : keys(share - (k - 1));
        }
    }
}

vka_status vka_latents_resize(vka_latent_resize kind, const float *in, uint64_t planes, uint32_t h, uint32_t w, float *out,
                              uint32_t out_h, uint32_t out_w, vka_error *err)
{
    struct tap *rows = vka_calloc(out_h, sizeof *rows), *columns = vka_calloc(out_w, sizeof *columns);
    double *wide = vka_calloc((size_t)h * out_w, sizeof *wide);
    bool good = rows && columns && wide;
    if (good) {
        make_taps(kind, h, out_h, rows);
        make_taps(kind, w, out_w, columns);
    }
    for (uint64_t p = 0; good && p < planes; p++, in += (size_t)h * w, out += (size_t)out_h * out_w) {
        for (size_t y = 0; y < h; y++)
            for (size_t x = 0; x < out_w; x++) {
                double sum = 0;
                for (int k = 0; k < 4; k++)
                    sum += columns[x].weight[k] * (double)in[y * w + columns[x].at[k]];
                wide[y * out_w + x] = sum;
            }
        for (size_t y = 0; y < out_h; y++)
            for (size_t x = 0; x < out_w; x++) {
                double sum = 0;
                for (int k = 0; k < 4; k++)
                    sum += rows[y].weight[k] * wide[(size_t)rows[y].at[k] * out_w + x];
                out[y * out_w + x] = (float)sum;
            }
    }
    free(rows);
    free(columns);
    free(wide);
    return good ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}
