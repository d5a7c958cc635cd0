/* lowpass.c - see lowpass.h. */
#include "sample/lowpass.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"butterworth", "gaussian", "ideal", "box"};
enum { FILTERS = sizeof names / sizeof *names };

vka_status vka_lowpass_from_name(const char *name, vka_lowpass *out, vka_error *err)
{
    for (int i = 0; i < FILTERS; i++)
        if (!strcmp(names[i], name)) {
            *out = (vka_lowpass)i;
            return VKA_OK;
        }
    vka_fail(err, VKA_E_USAGE, "there is no filter '%.100s'", name);
    vka_error_hint(err, "butterworth, gaussian, ideal or box");
    return VKA_E_USAGE;
}

const char *vka_lowpass_name(vka_lowpass filter)
{
    return (unsigned)filter < FILTERS ? names[filter] : "?";
}

/* Frequency `i` counted from the lowest negative one. */
static uint32_t shifted(uint32_t i, uint32_t n) { return (uint32_t)(((uint64_t)i + n / 2) % n); }

/* 2 i / n - 1 */
static double place(uint32_t i, uint32_t n) { return 2.0 * shifted(i, n) / n - 1; }

/* The nearest whole number, halves to the even one. */
static double nearest_even(double v)
{
    double down = floor(v), rest = v - down;
    return rest > 0.5 || (!(rest < 0.5) && fmod(down, 2) > 0) ? down + 1 : down;
}

static bool inside(uint32_t i, uint32_t n, double width)
{
    double from_middle = (double)shifted(i, n) - n / 2;
    return from_middle >= -width && from_middle < width;
}

double vka_lowpass_gain(const struct vka_lowpass_params *p, uint32_t frames, uint32_t h, uint32_t w, uint32_t f, uint32_t y,
                        uint32_t x)
{
    if (!(p->space > 0) || !(p->time > 0))
        return 0;
    if (p->filter == VKA_LOWPASS_BOX) {
        double a = nearest_even(frames / 2 * p->time), b = nearest_even(h / 2 * p->space);
        return inside(f, frames, a) && inside(y, h, b) && inside(x, w, b) ? 1 : 0;
    }
    double t = p->space / p->time * place(f, frames), v = place(y, h), u = place(x, w), d = t * t + v * v + u * u;
    if (p->filter == VKA_LOWPASS_IDEAL)
        return d <= 2 * p->space ? 1 : 0;
    if (p->filter == VKA_LOWPASS_GAUSSIAN)
        return exp(-d / (2 * p->space * p->space));
    return 1 / (1 + pow(d / (p->space * p->space), p->order));
}
