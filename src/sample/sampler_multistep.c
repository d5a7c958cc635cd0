/* sampler_multistep.c - samplers that remember what earlier steps predicted, one evaluation a step; see
 * sampler_build.h.  A step works its prediction out into a slot of its own, then X, then moves the history down:
 * H0 is the newest earlier prediction, H1 the one before it. */
#include "sample/sampler_build.h"

#include "base/mem.h"

#include <math.h>

/* The history of `kept` predictions, of which this step's lies in `slot`: H0 -> H1 -> ..., slot -> H0.  `known` have
 * been there before. */
static void remember(vka_sampler_eval *e, uint32_t slot, uint32_t kept, uint32_t known)
{
    for (uint32_t i = vka_min_u32(kept - 1, known); i > 0; i--)
        vka_op_copy(e, VKA_SLOT_H0 + i, VKA_SLOT_H0 + i - 1);
    vka_op_copy(e, VKA_SLOT_H0, slot);
}

/* ---- LMS ------------------------------------------------------------------------------------------------- */

/* Integral from t[0] to `next` of the Lagrange polynomial over t[0 .. order - 1], 1 at t[j]: of degree 3 at most, so two
 * points of Gauss and Legendre are exact.  t[i] is the level i steps ago. */
static double lagrange_integral(const double *t, uint32_t order, uint32_t j, double next)
{
    double sum = 0.0, half = 0.5 * (next - t[0]), middle = 0.5 * (next + t[0]);
    for (int side = -1; side <= 1; side += 2) {
        double tau = middle + side * half / sqrt(3.0), value = 1.0;
        for (uint32_t k = 0; k < order; k++)
            if (k != j)
                value *= (tau - t[k]) / (t[j] - t[k]);
        sum += half * value;
    }
    return sum;
}

/* X' = X + sum c_j d_(k-j); this step's d goes through H3. */
void vka_build_lms(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        uint32_t order = vka_min_u32(k + 1, 4);
        double t[4];
        for (uint32_t j = 0; j < order; j++)
            t[j] = s->sigma[k - j];
        struct vka_reading r = vka_read_sigma(s->params.prediction, s->sigma[k]);
        vka_sampler_eval *e = vka_eval_sigma(s, k, s->sigma[k], s->time[k]);
        vka_term_noise(vka_op(e, VKA_SLOT_H3), &r, 1.0);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, 1.0);
        for (uint32_t j = 0; j < order; j++)
            vka_term(op, j ? VKA_SLOT_H0 + j - 1 : (uint32_t)VKA_SLOT_H3, lagrange_integral(t, order, j, s->sigma[k + 1]));
        remember(e, VKA_SLOT_H3, 3, k);
        e->ends_step = true;
    }
}

/* ---- DPM-Solver++ ---------------------------------------------------------------------------------------- */

/* This step's x0 into `slot`, and the operation on X. */
static vka_sampler_op *begin(vka_sampler *s, uint32_t k, uint32_t slot, vka_sampler_eval **e)
{
    struct vka_reading r = vka_read_sigma(s->params.prediction, s->sigma[k]);
    *e = vka_eval_sigma(s, k, s->sigma[k], s->time[k]);
    vka_term_x0(vka_op(*e, slot), &r, 1.0);
    (*e)->ends_step = true;
    return vka_op(*e, VKA_SLOT_X);
}

static double log_step(const vka_sampler *s, uint32_t k)
{
    return log(s->sigma[k] / s->sigma[k + 1]);
}

void vka_build_dpmpp_2m(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        vka_sampler_eval *e;
        vka_sampler_op *op = begin(s, k, VKA_SLOT_H1, &e);
        double next = s->sigma[k + 1], ratio = next / s->sigma[k], half = 0.0;
        if (k && next > 0.0)
            half = 0.5 * log_step(s, k) / log_step(s, k - 1);
        vka_term(op, VKA_SLOT_X, ratio);
        vka_term(op, VKA_SLOT_H1, (1.0 - ratio) * (1.0 + half));
        vka_term(op, VKA_SLOT_H0, -(1.0 - ratio) * half);
        remember(e, VKA_SLOT_H1, 1, k);
    }
}

void vka_build_dpmpp_2m_sde(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        vka_sampler_eval *e;
        vka_sampler_op *op = begin(s, k, VKA_SLOT_H1, &e);
        double next = s->sigma[k + 1];
        if (!(next > 0.0)) {
            vka_term(op, VKA_SLOT_H1, 1.0);
            continue;
        }
        double h = log_step(s, k), share = -expm1(-h - s->eta * h);
        double half = k ? 0.5 * h / log_step(s, k - 1) : 0.0;
        vka_term(op, VKA_SLOT_X, exp(-h - s->eta * h));
        vka_term(op, VKA_SLOT_H1, share * (1.0 + half));
        vka_term(op, VKA_SLOT_H0, -share * half);
        vka_term_draw(e, op, 0, next * sqrt(-expm1(-2.0 * s->eta * h)));
        remember(e, VKA_SLOT_H1, 1, k);
    }
}

/* x0 goes through H2.  d1 and d2 are divided differences of x0 over log sigma in units of the step. */
void vka_build_dpmpp_3m_sde(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        vka_sampler_eval *e;
        vka_sampler_op *op = begin(s, k, VKA_SLOT_H2, &e);
        double next = s->sigma[k + 1], now = 1.0, before = 0.0, oldest = 0.0;
        if (!(next > 0.0)) {
            vka_term(op, VKA_SLOT_H2, 1.0);
            continue;
        }
        double h = log_step(s, k), he = h * (s->eta + 1.0);
        double phi1 = -expm1(-he), phi2 = 1.0 - phi1 / he, phi3 = phi2 / he - 0.5;
        now = phi1;
        if (k > 1) {
            double r0 = log_step(s, k - 1) / h, r1 = log_step(s, k - 2) / h;
            /* d1 = a (x0 - x1) / r0 + b (x1 - x2) / r1 and d2 likewise */
            double d1_a = 1.0 + r0 / (r0 + r1), d1_b = -r0 / (r0 + r1), d2 = 1.0 / (r0 + r1);
            double a = (phi2 * d1_a - phi3 * d2) / r0, b = (phi2 * d1_b + phi3 * d2) / r1;
            now += a;
            before = b - a;
            oldest = -b;
        } else if (k) {
            before = -phi2 * h / log_step(s, k - 1);
            now -= before;
        }
        vka_term(op, VKA_SLOT_X, exp(-he));
        vka_term(op, VKA_SLOT_H2, now);
        vka_term(op, VKA_SLOT_H0, before);
        vka_term(op, VKA_SLOT_H1, oldest);
        vka_term_draw(e, op, 0, next * sqrt(-expm1(-2.0 * s->eta * h)));
        remember(e, VKA_SLOT_H2, 2, k);
    }
}

/* ---- UniPC ----------------------------------------------------------------------------------------------- */

/* Order of the step from level k: 1 at the beginning and at the end. */
static uint32_t unipc_order(const vka_sampler *s, uint32_t k)
{
    return k && k + 1 < s->params.steps ? 2 : 1;
}

/* With x0 of the levels k - 1 (H0), k - 2 (H1) and, just evaluated, k (H3), and X before the step in H2: the step from
 * k - 1 to k done again.  It solves for the weights of divided differences so that polynomials of the order come out
 * right: R rho = b with rows 1 and (r, 1). */
static void correct(vka_sampler *s, vka_sampler_eval *e, uint32_t k)
{
    double ratio = s->sigma[k] / s->sigma[k - 1], h = log_step(s, k - 1), share = 1.0 - ratio; /* 1 - e^-h */
    double phi2 = 1.0 - share / h; /* (e^-h - 1) / -h - 1, negated */
    double rho = 0.5, older = 0.0, r = 1.0;
    if (unipc_order(s, k - 1) == 2) {
        double b1 = phi2 / share, b2 = 2.0 * (0.5 - phi2 / h) / share;
        r = -log_step(s, k - 2) / h;
        older = (b2 - b1) / (r - 1.0); /* rho_1 + rho_2 = b1, r rho_1 + rho_2 = b2 */
        rho = b1 - older;
    }
    vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
    vka_term(op, VKA_SLOT_H2, ratio);
    vka_term(op, VKA_SLOT_H0, share * (1.0 - older / r - rho));
    vka_term(op, VKA_SLOT_H1, share * older / r);
    vka_term(op, VKA_SLOT_H3, share * rho);
}

void vka_build_unipc(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        struct vka_reading r = vka_read_sigma(s->params.prediction, s->sigma[k]);
        vka_sampler_eval *e = vka_eval_sigma(s, k, s->sigma[k], s->time[k]);
        vka_term_x0(vka_op(e, VKA_SLOT_H3), &r, 1.0);
        if (k)
            correct(s, e, k);
        vka_op_copy(e, VKA_SLOT_H2, VKA_SLOT_X);
        double ratio = s->sigma[k + 1] / s->sigma[k], half = 0.0;
        if (unipc_order(s, k) == 2)
            half = 0.5 * log_step(s, k) / log_step(s, k - 1);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, ratio);
        vka_term(op, VKA_SLOT_H3, (1.0 - ratio) * (1.0 + half));
        vka_term(op, VKA_SLOT_H0, -(1.0 - ratio) * half);
        remember(e, VKA_SLOT_H3, 2, k);
        e->ends_step = true;
    }
}

/* ---- DEIS ------------------------------------------------------------------------------------------------ */

/* Integral from `from` to `to` of (log x - log c) / (log b - log c). */
static double log_line(double from, double to, double b, double c)
{
    double scale = log(b) - log(c);
    return (to * (log(to) - log(c) - 1.0) - from * (log(from) - log(c) - 1.0)) / scale;
}

/* X' = X + integral of the predicted noise, a line in log sigma; a step to 0, the first one and, below 15 steps, the
 * last are Euler's. */
void vka_build_deis(vka_sampler *s)
{
    uint32_t steps = s->params.steps;
    for (uint32_t k = 0; k < steps; k++) {
        double now = s->sigma[k], next = s->sigma[k + 1];
        struct vka_reading r = vka_read_sigma(s->params.prediction, now);
        vka_sampler_eval *e = vka_eval_sigma(s, k, now, s->time[k]);
        vka_term_noise(vka_op(e, VKA_SLOT_H1), &r, 1.0);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, 1.0);
        if (k == 0 || !(next > 0.0) || (k + 1 == steps && s->given < 15))
            vka_term(op, VKA_SLOT_H1, next - now);
        else {
            vka_term(op, VKA_SLOT_H1, log_line(now, next, now, s->sigma[k - 1]));
            vka_term(op, VKA_SLOT_H0, log_line(now, next, s->sigma[k - 1], now));
        }
        remember(e, VKA_SLOT_H1, 1, k);
        e->ends_step = true;
    }
}
