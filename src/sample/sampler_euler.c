/* sampler_euler.c - Euler, its ancestral form, and Heun; see sampler_build.h. */
#include "sample/sampler_build.h"

#include <math.h>

/* X' = X + (sigma_down - sigma) d + sigma_up noise, d = (X - x0) / sigma = dx X + dm m.  Euler has
 * sigma_down = the next sigma and sigma_up = 0.  The last sigma is 0: nothing is drawn there. */
void vka_build_euler(vka_sampler *s)
{
    const vka_sampler_params *p = &s->params;
    bool ancestral = p->sampler == VKA_SAMPLER_EULER_A;
    for (uint32_t k = 0; k < p->steps; k++) {
        double sigma = s->sigma[k], next = s->sigma[k + 1], down = next, up = 0.0;
        if (ancestral)
            vka_ancestral(sigma, next, s->eta, &down, &up);
        double dt = down - sigma, dx, dm, v2 = sigma * sigma + 1.0;
        if (p->prediction == VKA_PREDICT_EPSILON) {
            dx = 0.0;
            dm = 1.0;
        } else if (p->prediction == VKA_PREDICT_V) {
            dx = sigma / v2;
            dm = 1.0 / sqrt(v2);
        } else {
            dx = 1.0 / sigma;
            dm = -1.0 / sigma;
        }
        vka_sampler_eval *e = vka_eval_sigma(s, k, sigma, s->time[k]);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, 1.0 + dx * dt);
        vka_term(op, VKA_SLOT_EPS, dm * dt);
        vka_term_draw(e, op, 0, up);
        e->ends_step = true;
    }
}

/* X2 = X + dt d, then X' = X + dt/2 (d + d2).  H0 holds X + dt/2 d. */
void vka_build_heun(vka_sampler *s)
{
    vka_prediction prediction = s->params.prediction;
    for (uint32_t k = 0; k < s->params.steps; k++) {
        double sigma = s->sigma[k], next = s->sigma[k + 1], dt = next - sigma;
        struct vka_reading r = vka_read_sigma(prediction, sigma);
        vka_sampler_eval *e = vka_eval_sigma(s, k, sigma, s->time[k]);
        if (next > 0.0) {
            vka_sampler_op *half = vka_op(e, VKA_SLOT_H0);
            vka_term(half, VKA_SLOT_X, 1.0);
            vka_term_noise(half, &r, 0.5 * dt);
        }
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, 1.0);
        vka_term_noise(op, &r, dt);
        if (next > 0.0) {
            r = vka_read_sigma(prediction, next);
            e = vka_eval_sigma(s, k, next, s->time[k + 1]);
            op = vka_op(e, VKA_SLOT_X);
            vka_term(op, VKA_SLOT_H0, 1.0);
            vka_term_noise(op, &r, 0.5 * dt);
        }
        e->ends_step = true;
    }
}
