/* ref_matmul.c - see ref_matmul.h.  Written to be read, not to be fast. */
#include "ref_matmul.h"

#include <math.h>

double ref_activate(enum ref_act act, double x)
{
    switch (act) {
    case REF_SILU:
        return x / (1 + exp(-x));
    case REF_GELU:
        return 0.5 * x * erfc(-x / sqrt(2));
    case REF_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

uint32_t ref_matmul_out_h(const struct ref_matmul *r)
{
    uint32_t h = r->up_h ? r->up_h : r->h;
    return (h + r->pad[0] + r->pad[1] - r->kernel) / r->stride + 1;
}

uint32_t ref_matmul_out_w(const struct ref_matmul *r)
{
    uint32_t w = r->up_w ? r->up_w : r->w;
    return (w + r->pad[2] + r->pad[3] - r->kernel) / r->stride + 1;
}

/* Channel c of the input at (row, column) of the enlarged picture; zero outside it. */
static double input(const struct ref_matmul *r, uint32_t sample, int64_t row, int64_t column, uint32_t c)
{
    int64_t up_h = r->up_h ? r->up_h : r->h, up_w = r->up_w ? r->up_w : r->w;
    if (row < 0 || column < 0 || row >= up_h || column >= up_w)
        return 0;
    uint64_t y = (uint64_t)(row * r->h / up_h), x = (uint64_t)(column * r->w / up_w);
    uint64_t pixel = ((uint64_t)sample * r->h + y) * r->w + x;
    double v = c < r->c1 ? r->x[pixel * r->c1 + c] : r->x2[pixel * r->c2 + c - r->c1];
    uint64_t at = (uint64_t)sample * (r->c1 + r->c2) + c;
    if (r->scale)
        v = v * r->scale[at] + r->shift[at];
    if (r->positions)
        v += r->positions[(uint64_t)(sample % r->frames) * r->c1 + c];
    return r->silu_in ? ref_activate(REF_SILU, v) : v;
}

/* What the 1x1 convolution beside the main one gives. */
static double extra(const struct ref_matmul *r, uint64_t pixel, uint32_t n)
{
    double sum = r->extra_bias ? r->extra_bias[n] : 0;
    for (uint32_t c = 0; c < r->e1 + r->e2; c++)
        sum += (c < r->e1 ? r->extra1[pixel * r->e1 + c] : r->extra2[pixel * r->e2 + c - r->e1]) *
               r->extra_weight[(uint64_t)n * (r->e1 + r->e2) + c];
    return sum;
}

/* Output channel n before the activation. */
static double product(const struct ref_matmul *r, uint32_t sample, uint32_t row, uint32_t column, uint32_t n)
{
    double sum = r->bias ? r->bias[n] : 0;
    uint32_t channels = r->c1 + r->c2;
    if (r->sample_bias)
        sum += r->sample_bias[(uint64_t)sample * r->n + n];
    for (uint32_t dy = 0; dy < r->kernel; dy++)
        for (uint32_t dx = 0; dx < r->kernel; dx++)
            for (uint32_t c = 0; c < channels; c++)
                sum += input(r, sample, (int64_t)row * r->stride + dy - r->pad[0],
                             (int64_t)column * r->stride + dx - r->pad[2], c) *
                       r->weight[(((uint64_t)n * channels + c) * r->kernel + dy) * r->kernel + dx];
    if (r->e1)
        sum += extra(r, ((uint64_t)sample * ref_matmul_out_h(r) + row) * ref_matmul_out_w(r) + column, n);
    return sum;
}

void ref_matmul(const struct ref_matmul *r, double *y)
{
    uint32_t h = ref_matmul_out_h(r), w = ref_matmul_out_w(r), n = r->act == REF_GEGLU ? r->n / 2 : r->n;
    for (uint32_t s = 0; s < r->samples; s++)
        for (uint32_t row = 0; row < h; row++)
            for (uint32_t column = 0; column < w; column++)
                for (uint32_t i = 0; i < n; i++) {
                    uint64_t at = (((uint64_t)s * h + row) * w + column) * n + i;
                    double v = product(r, s, row, column, i);
                    if (r->act == REF_GEGLU)
                        v *= ref_activate(REF_GELU, product(r, s, row, column, n + i));
                    else
                        v = ref_activate(r->act, v);
                    y[at] = v + (r->add ? r->add[at] : 0);
                }
}
