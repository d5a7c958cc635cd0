/* sigmas.c - noise levels: the table of a model, timesteps from levels and back, and the schedules that are lists of
 * levels; see schedule.h.
 *
 * Sources: karras and exponential, k-diffusion; sgm-uniform, simple, normal and ddim-uniform, the rules that A1111 and
 * ComfyUI share; beta, A1111's and diffusers' (quantiles over the range of sigma, where ComfyUI takes them over the
 * timesteps); kl-optimal, ComfyUI's (its last level before 0 is the smallest, A1111's list does not end in 0); ays,
 * the list that was published for Stable Diffusion 1.5.  Everything is in double from fp32 alphas. */
#include "sample/schedule.h"

#include "base/mem.h"

#include <math.h>

double vka_sigma_of(const float *alphas, uint32_t t)
{
    return (double)sqrtf((1.0f - alphas[t]) / alphas[t]);
}

double vka_sigma_at(const float *alphas, uint32_t count, double t)
{
    if (t <= 0.0)
        return vka_sigma_of(alphas, 0);
    uint32_t low = t < (double)(count - 1) ? (uint32_t)t : count - 1;
    double s0 = vka_sigma_of(alphas, low);
    if (low + 1 >= count)
        return s0;
    double s1 = vka_sigma_of(alphas, low + 1);
    return (double)(float)((s1 - s0) * (t - (double)low) + s0);
}

double vka_sigma_log_at(const float *alphas, uint32_t count, double t)
{
    double top = (double)(count - 1);
    t = t < 0.0 ? 0.0 : t > top ? top : t;
    uint32_t low = (uint32_t)t;
    double w = t - (double)low;
    if (w == 0.0)
        return vka_sigma_of(alphas, low);
    return exp((1.0 - w) * log(vka_sigma_of(alphas, low)) + w * log(vka_sigma_of(alphas, low + 1)));
}

double vka_sigma_time(const float *alphas, uint32_t count, double sigma)
{
    uint32_t low = 0, high = count - 1; /* sigma(low) <= sigma < sigma(high) */
    if (sigma <= vka_sigma_of(alphas, low))
        return 0.0;
    if (sigma >= vka_sigma_of(alphas, high))
        return (double)high;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (vka_sigma_of(alphas, middle) <= sigma)
            low = middle;
        else
            high = middle;
    }
    double a = log(vka_sigma_of(alphas, low)), b = log(vka_sigma_of(alphas, high));
    return (double)low + (log(sigma) - a) / (b - a);
}

/* ---- quantiles of the beta distribution with both parameters 0.6 ----------------------------------------- */

static const double SHAPE = 0.6;

/* The regularized incomplete beta function I_x(0.6, 0.6) for 0 < x <= 1/2, by its continued fraction (DLMF 8.17.22)
 * from the far end; 60 pairs of terms are exact to the last place there. */
static double beta_share(double x)
{
    const double a = SHAPE, b = SHAPE, whole = tgamma(a) * tgamma(b) / tgamma(a + b);
    double tail = 0.0;
    for (int m = 60; m >= 0; m--) {
        double n = (double)m;
        double even = n * (b - n) * x / ((a + 2.0 * n - 1.0) * (a + 2.0 * n));
        double odd = -(a + n) * (a + b + n) * x / ((a + 2.0 * n) * (a + 2.0 * n + 1.0));
        tail = odd / (1.0 + tail);
        tail = m ? even / (1.0 + tail) : tail;
    }
    return pow(x, a) * pow(1.0 - x, b) / (a * whole) / (1.0 + tail);
}

/* x with I_x = p, by bisection; the distribution is symmetric. */
static double beta_quantile(double p)
{
    if (p > 0.5)
        return 1.0 - beta_quantile(1.0 - p);
    double low = 0.0, high = 0.5;
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high);
        if (beta_share(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* ---- lists ----------------------------------------------------------------------------------------------- */

static const double align_your_steps[] = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029};
enum { AYS = sizeof align_your_steps / sizeof *align_your_steps };

double vka_schedule_made_for(vka_schedule_id id)
{
    return id == VKA_SCHEDULE_AYS ? align_your_steps[0] : 0.0;
}

/* Value k of n + 1 that are spread over the list log-linearly; the last stands for 0 and is not asked for. */
static double ays_at(uint32_t n, uint32_t k)
{
    double at = (double)k * (double)(AYS - 1) / (double)n;
    uint32_t low = (uint32_t)at;
    double w = at - (double)low;
    if (w == 0.0)
        return align_your_steps[low];
    return exp((1.0 - w) * log(align_your_steps[low]) + w * log(align_your_steps[low + 1]));
}

/* Value k of n equally spaced ones from `first` to `last`; of one, the first. */
static double spread(double first, double last, uint32_t n, uint32_t k)
{
    return n > 1 ? first + (last - first) * (double)k / (double)(n - 1) : first;
}

void vka_sigmas(vka_schedule_id schedule, const float *alphas, uint32_t count, uint32_t n, double *out)
{
    double least = vka_sigma_of(alphas, 0), most = vka_sigma_of(alphas, count - 1), top = (double)(count - 1);
    for (uint32_t k = 0; k < n; k++)
        switch (schedule) {
        case VKA_SCHEDULE_KARRAS:
            out[k] = pow(spread(pow(most, 1.0 / 7.0), pow(least, 1.0 / 7.0), n, k), 7.0);
            break;
        case VKA_SCHEDULE_EXPONENTIAL:
            out[k] = exp(spread(log(most), log(least), n, k));
            break;
        case VKA_SCHEDULE_SGM_UNIFORM:
            out[k] = vka_sigma_log_at(alphas, count, spread(top, 0.0, n + 1, k));
            break;
        case VKA_SCHEDULE_SIMPLE:
            out[k] = vka_sigma_of(alphas, count - 1 - (uint32_t)((double)k * ((double)count / (double)n)));
            break;
        case VKA_SCHEDULE_NORMAL:
            out[k] = vka_sigma_log_at(alphas, count, spread(top, 0.0, n, k));
            break;
        case VKA_SCHEDULE_DDIM_UNIFORM:
            out[k] = vka_sigma_of(alphas, vka_min_u32(1 + (n - 1 - k) * (count / n), count - 1));
            break;
        case VKA_SCHEDULE_BETA:
            out[k] = least + beta_quantile(1.0 - spread(0.0, 1.0, n, k)) * (most - least);
            break;
        case VKA_SCHEDULE_KL_OPTIMAL:
            out[k] = tan(spread(atan(most), atan(least), n, k));
            break;
        case VKA_SCHEDULE_AYS:
            out[k] = ays_at(n, k);
            break;
        case VKA_SCHEDULE_AUTO:
        case VKA_SCHEDULE_LEADING:
        case VKA_SCHEDULE_LINSPACE:
        case VKA_SCHEDULE_TRAILING:
            out[k] = vka_sigma_of(alphas, 0);
            break;
        }
}
