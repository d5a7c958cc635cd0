/* ref_matmul.h - what linear layers and convolutions compute, in double precision: the specification of
 * shaders/matmul.comp.
 *
 * x is [samples, h, w, c1] and x2 [samples, h, w, c2], without pads; a linear layer is a convolution with kernel 1,
 * stride 1, no padding and no enlargement. */
#ifndef REF_MATMUL_H
#define REF_MATMUL_H

#include <stdbool.h>
#include <stdint.h>

enum ref_act { REF_NONE, REF_SILU, REF_GELU, REF_QUICK_GELU, REF_GEGLU };

struct ref_matmul {
    uint32_t samples, h, w, c1, c2;
    const float *x, *x2;
    const float *scale, *shift; /* [samples, c1 + c2] or NULL: x * scale + shift before the product */
    bool silu_in;               /* then SiLU */
    const float *weight, *bias; /* [n, c1 + c2, kernel, kernel]; [n] or NULL */
    uint32_t n, kernel, stride;
    uint32_t pad[4];          /* top, bottom, left, right */
    uint32_t up_h, up_w;      /* enlarged to this first, by nearest neighbour; 0: not */
    enum ref_act act;         /* REF_GEGLU: n / 2 outputs, value rows first, gate rows behind them */
    const float *sample_bias; /* [samples, n] or NULL, before act */
    const float *positions;   /* [>= frames, c1] or NULL: row (sample mod frames) is added to x */
    uint32_t frames;
    const float *add;         /* like the output, or NULL */
    /* a 1x1 convolution of e1 | e2 more channels at the output's pixel, added before act; weight [n, e1 + e2], bias [n] */
    uint32_t e1, e2;
    const float *extra1, *extra2, *extra_weight, *extra_bias;
};

uint32_t ref_matmul_out_h(const struct ref_matmul *r);
uint32_t ref_matmul_out_w(const struct ref_matmul *r);
/* y [samples, out_h, out_w, n (n / 2 for REF_GEGLU)] */
void ref_matmul(const struct ref_matmul *r, double *y);
double ref_activate(enum ref_act act, double x);

#endif
