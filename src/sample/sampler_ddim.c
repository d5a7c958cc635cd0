/* sampler_ddim.c - samplers whose latents keep their variance and that step from one cumulative alpha to another: DDIM,
 * DDPM, PNDM; see sampler_build.h. */
#include "sample/sampler_build.h"

#include "base/mem.h"

#include <math.h>

/* The cumulative alpha of step k, and of what it goes to.
 *
 * With diffusers' spacings DDIM and PNDM go floor(T/N) timesteps down, whatever the spacing, and at the end to alpha 1
 * or to the first of the table; DDPM goes to the next timestep of the list, and at the end to alpha 1.  In a list of
 * sigmas every step goes to the next, the last to 0, which is alpha 1. */
static double alpha_now(const vka_sampler *s, uint32_t k)
{
    return s->spaced ? (double)s->alphas[(uint32_t)s->time[k]] : 1.0 / (1.0 + s->sigma[k] * s->sigma[k]);
}

static double alpha_next(const vka_sampler *s, uint32_t k)
{
    const vka_sampler_params *p = &s->params;
    if (!s->spaced)
        return 1.0 / (1.0 + s->sigma[k + 1] * s->sigma[k + 1]);
    if (p->sampler == VKA_SAMPLER_DDPM)
        return k + 1 < p->steps ? alpha_now(s, k + 1) : 1.0;
    int64_t before = (int64_t)s->time[k] - (int64_t)(p->train_steps / s->given);
    return before >= 0 ? (double)s->alphas[before] : p->set_alpha_to_one ? 1.0 : (double)s->alphas[0];
}

/* Formula (12): X' = sqrt(a') x0 + sqrt(1 - a' - std^2) eps + std noise. */
void vka_build_ddim(vka_sampler *s)
{
    const vka_sampler_params *p = &s->params;
    for (uint32_t k = 0; k < p->steps; k++) {
        double a = alpha_now(s, k), a_next = alpha_next(s, k);
        double variance = s->eta > 0.0 ? s->eta * s->eta * (1.0 - a_next) / (1.0 - a) * (1.0 - a / a_next) : 0.0;
        variance = variance > 0.0 ? fmin(variance, 1.0 - a_next) : 0.0;
        double sa = sqrt(a), sb = sqrt(1.0 - a), sa_next = sqrt(a_next), sb_next = sqrt(1.0 - a_next - variance);
        double x, m; /* weights of X and of the model output */
        if (p->prediction == VKA_PREDICT_EPSILON) {
            x = sa_next / sa;
            m = sb_next - sa_next * sb / sa;
        } else if (p->prediction == VKA_PREDICT_V) {
            x = sa_next * sa + sb_next * sb;
            m = sb_next * sa - sa_next * sb;
        } else {
            x = sb_next / sb;
            m = sa_next - sb_next * sa / sb;
        }
        vka_sampler_eval *e = vka_eval_plain(s, k, a, s->time[k]);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, x);
        vka_term(op, VKA_SLOT_EPS, m);
        vka_term_draw(e, op, 0, sqrt(variance));
        e->ends_step = true;
        s->mix[2 * k] = sa;
        s->mix[2 * k + 1] = sb;
    }
}

/* Formulas (6) and (7) of DDPM, with the smaller of the variances it discusses. */
void vka_build_ddpm(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        double a = alpha_now(s, k), a_next = alpha_next(s, k), step = a / a_next;
        struct vka_reading r = vka_read_alpha(s->params.prediction, a);
        vka_sampler_eval *e = vka_eval_plain(s, k, a, s->time[k]);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, sqrt(step) * (1.0 - a_next) / (1.0 - a));
        vka_term_x0(op, &r, sqrt(a_next) * (1.0 - step) / (1.0 - a));
        vka_term_draw(e, op, 0, sqrt((1.0 - a_next) / (1.0 - a) * (1.0 - step)));
        e->ends_step = true;
        s->mix[2 * k] = sqrt(a);
        s->mix[2 * k + 1] = sqrt(1.0 - a);
    }
}

/* ---- PNDM ------------------------------------------------------------------------------------------------ */

/* Formula (9): X' from `slot` with the combined model output sum c_i * outputs. */
static void transfer(vka_sampler *s, vka_sampler_eval *e, uint32_t slot, double a, double a_next, uint32_t count,
                     const double *c)
{
    double m = -(a_next - a) / (a * sqrt(1.0 - a_next) + sqrt(a * (1.0 - a) * a_next));
    vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
    struct vka_reading r = vka_read_alpha(s->params.prediction, a); /* noise, of what is no noise */
    vka_term(op, slot, sqrt(a_next / a) + m * r.e_x);
    for (uint32_t i = 0; i < count; i++)
        vka_term(op, i ? VKA_SLOT_H0 + i - 1 : (uint32_t)VKA_SLOT_EPS, m * r.e_m * c[i]);
}

/* The first step is taken twice: with the output at its beginning, and, from H3, with the mean of those at both ends.
 * Later ones are of Adams and Bashforth; H0 .. H2 are the model outputs of earlier steps, the newest first. */
void vka_build_pndm(vka_sampler *s)
{
    static const double adams[4][4] = {{1.0},
                                       {3.0 / 2.0, -1.0 / 2.0},
                                       {23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0},
                                       {55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0}};
    uint32_t steps = s->params.steps, known = 0;
    for (uint32_t k = 0; k < steps; k++) {
        double a = alpha_now(s, k), a_next = alpha_next(s, k);
        vka_sampler_eval *e = vka_eval_plain(s, k, a, s->time[k]);
        s->mix[2 * k] = sqrt(a);
        s->mix[2 * k + 1] = sqrt(1.0 - a);
        if (k == 0 && steps > 1)
            vka_op_copy(e, VKA_SLOT_H3, VKA_SLOT_X);
        transfer(s, e, VKA_SLOT_X, a, a_next, known + 1, adams[known]);
        for (uint32_t i = vka_min_u32(known, 2); i > 0; i--)
            vka_op_copy(e, VKA_SLOT_H0 + i, VKA_SLOT_H0 + i - 1);
        vka_op_copy(e, VKA_SLOT_H0, VKA_SLOT_EPS);
        known = vka_min_u32(known + 1, 3);
        if (k == 0 && steps > 1) {
            e = vka_eval_plain(s, 0, alpha_now(s, 1), s->time[1]);
            if (s->spaced) { /* from floor(T/N) above the second timestep to that */
                a = (double)s->alphas[vka_min_u32((uint32_t)s->time[1] + s->params.train_steps / s->given,
                                                  s->params.train_steps - 1)];
                a_next = alpha_now(s, 1);
            }
            transfer(s, e, VKA_SLOT_H3, a, a_next, 2, (const double[]){0.5, 0.5});
        }
        e->ends_step = true;
    }
}
