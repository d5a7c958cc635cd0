/* lowpass.h - the low-pass filters of FreeInit (Wu et al. 2023): which frequencies of a clip a further round keeps.
 *
 * A clip is F frames of h x w latent pixels.  With T, H, W for F, h, w and t, y, x counted from the lowest negative frequency, so
 * that frequency 0 is at T/2, H/2, W/2 (rounded down):
 *     d^2 = (space / time (2 t / T - 1))^2 + (2 y / H - 1)^2 + (2 x / W - 1)^2
 *     butterworth  1 / (1 + (d^2 / space^2)^order)
 *     gaussian     exp(-d^2 / (2 space^2))
 *     ideal        1 where d^2 <= 2 space, else 0
 *     box          1 where T/2 - a <= t < T/2 + a and likewise y and x with b; a = T/2 time and b = H/2 space, halves rounded to
 *                  even, T/2 and H/2 rounded down; else 0
 * A cut-off of 0, in space or time, lets nothing through.  These are the authors' formulas, oddities included: for odd sizes
 * d is not 0 at frequency 0, ideal's bound is no square, and box takes one more of the negative frequencies.  diffusers has
 * all but box. */
#ifndef VKA_SAMPLE_LOWPASS_H
#define VKA_SAMPLE_LOWPASS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum vka_lowpass { VKA_LOWPASS_BUTTERWORTH, VKA_LOWPASS_GAUSSIAN, VKA_LOWPASS_IDEAL, VKA_LOWPASS_BOX } vka_lowpass;

/* Names as in --freeinit-filter; VKA_E_USAGE for another one. */
vka_status vka_lowpass_from_name(const char *name, vka_lowpass *out, vka_error *err);
const char *vka_lowpass_name(vka_lowpass filter);

struct vka_lowpass_params {
    vka_lowpass filter;
    uint32_t order;     /* of butterworth */
    double space, time; /* cut-offs, 0 .. 1 */
};

/* What frequency (f, y, x) of a clip keeps, 0 .. 1; each counted from 0 up, as a transform has them: 0 .. F - 1 and so on. */
double vka_lowpass_gain(const struct vka_lowpass_params *p, uint32_t frames, uint32_t h, uint32_t w, uint32_t f, uint32_t y,
                        uint32_t x);

#endif
