/* sampler_dpm.c - single-step DPM-Solver-2 and DPM-Solver++ of second order, two evaluations a step; see
 * sampler_build.h.  A step that ends without noise in X is Euler's, of one evaluation.
 *
 * H0 is X at the step's beginning, or what of the step's result is known by its middle. */
#include "sample/sampler_build.h"

#include <math.h>

static double time_of(const vka_sampler *s, double sigma)
{
    return vka_sigma_time(s->alphas, s->params.train_steps, sigma);
}

/* X' = x0. */
static void to_picture(vka_sampler_eval *e, const struct vka_reading *r)
{
    vka_term_x0(vka_op(e, VKA_SLOT_X), r, 1.0);
    e->ends_step = true;
}

void vka_build_dpm2(vka_sampler *s)
{
    vka_prediction prediction = s->params.prediction;
    for (uint32_t k = 0; k < s->params.steps; k++) {
        double sigma = s->sigma[k], next = s->sigma[k + 1], down = next, up = 0.0;
        if (s->params.sampler == VKA_SAMPLER_DPM2_A)
            vka_ancestral(sigma, next, s->eta, &down, &up);
        struct vka_reading r = vka_read_sigma(prediction, sigma);
        vka_sampler_eval *e = vka_eval_sigma(s, k, sigma, s->time[k]);
        if (!(down > 0.0)) {
            to_picture(e, &r);
            vka_term_draw(e, &e->op[0], 0, up);
            continue;
        }
        double middle = sqrt(sigma * down);
        vka_op_copy(e, VKA_SLOT_H0, VKA_SLOT_X);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, 1.0);
        vka_term_noise(op, &r, middle - sigma);
        r = vka_read_sigma(prediction, middle);
        e = vka_eval_sigma(s, k, middle, time_of(s, middle));
        op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_H0, 1.0);
        vka_term_noise(op, &r, down - sigma);
        vka_term_draw(e, op, 0, up);
        e->ends_step = true;
    }
}

void vka_build_dpmpp_2s(vka_sampler *s)
{
    vka_prediction prediction = s->params.prediction;
    for (uint32_t k = 0; k < s->params.steps; k++) {
        double sigma = s->sigma[k], down, up;
        vka_ancestral(sigma, s->sigma[k + 1], s->eta, &down, &up);
        struct vka_reading r = vka_read_sigma(prediction, sigma);
        vka_sampler_eval *e = vka_eval_sigma(s, k, sigma, s->time[k]);
        if (!(down > 0.0)) {
            to_picture(e, &r);
            vka_term_draw(e, &e->op[0], 0, up);
            continue;
        }
        double middle = sqrt(sigma * down), ratio = middle / sigma;
        vka_op_copy(e, VKA_SLOT_H0, VKA_SLOT_X);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, ratio);
        vka_term_x0(op, &r, 1.0 - ratio);
        ratio = down / sigma;
        r = vka_read_sigma(prediction, middle);
        e = vka_eval_sigma(s, k, middle, time_of(s, middle));
        op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_H0, ratio);
        vka_term_x0(op, &r, 1.0 - ratio);
        vka_term_draw(e, op, 0, up);
        e->ends_step = true;
    }
}

/* With r = 1/2 the second evaluation's x0 alone decides.  Both halves draw noise of intervals that begin at sigma, the
 * first to the middle and the second to the end: what they share is drawn once. */
void vka_build_dpmpp_sde(vka_sampler *s)
{
    vka_prediction prediction = s->params.prediction;
    for (uint32_t k = 0; k < s->params.steps; k++) {
        double sigma = s->sigma[k], next = s->sigma[k + 1], down, up;
        struct vka_reading r = vka_read_sigma(prediction, sigma);
        vka_sampler_eval *e = vka_eval_sigma(s, k, sigma, s->time[k]);
        if (!(next > 0.0)) {
            to_picture(e, &r);
            continue;
        }
        double middle = sqrt(sigma * next);
        vka_op_copy(e, VKA_SLOT_H0, VKA_SLOT_X);
        vka_ancestral(sigma, middle, s->eta, &down, &up);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, down / sigma);
        vka_term_x0(op, &r, 1.0 - down / sigma);
        vka_term_draw(e, op, 0, up);
        r = vka_read_sigma(prediction, middle);
        e = vka_eval_sigma(s, k, middle, time_of(s, middle));
        vka_ancestral(sigma, next, s->eta, &down, &up);
        op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_H0, down / sigma);
        vka_term_x0(op, &r, 1.0 - down / sigma);
        vka_term_draw(e, op, 1, up);
        if (e->draws_noise)
            e->carry = sqrt((sigma - middle) / (sigma - next));
        e->ends_step = true;
    }
}
