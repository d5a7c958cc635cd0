/* sampler_build.h - how the families of samplers fill in their evaluations.  Internal to sampler*.c.
 *
 * Most samplers live in sigma space: X = x0 + sigma * noise, and the model sees X / sqrt(sigma^2 + 1).  Written there,
 * samplers whose papers keep the variance (DPM-Solver++, UniPC, DEIS) have the same coefficients without their alphas.
 * ddim, ddpm, pndm, lcm and tcd keep it here too: X = sqrt(a) x0 + sqrt(1 - a) noise, and the model sees X. */
#ifndef VKA_SAMPLE_SAMPLER_BUILD_H
#define VKA_SAMPLE_SAMPLER_BUILD_H

#include "sample/schedule.h"

struct vka_sampler {
    vka_sampler_params params;
    vka_schedule_id schedule; /* resolved */
    double eta;               /* resolved; below 0: none */
    uint32_t evals, patterns, slots;
    const vka_sampler_eval *of_pattern[VKA_SAMPLER_PATTERNS]; /* an evaluation of each, or of another sampler: vka_sampler_unite */
    double init_scale, sigma_max;
    double *mix;            /* [steps][2]: image and noise weight for a start at that step */
    vka_sampler_eval *eval; /* [2 * steps] */
    /* What the builders work from. */
    float *alphas;  /* [train_steps] */
    double *time;   /* [steps] timesteps, descending */
    double *sigma;  /* [steps + 1] noise levels; the last is where the render ends, mostly 0 */
    uint32_t given; /* steps of the schedule, with those before params.begin; params.steps are those that are run */
    bool spaced;    /* by diffusers' spacings: `time` is what sigma was taken from */
};

/* What a model's output means at one noise level: x0 = x0_x X + x0_m EPS, noise = e_x X + e_m EPS. */
struct vka_reading {
    double x0_x, x0_m, e_x, e_m;
};
struct vka_reading vka_read_sigma(vka_prediction prediction, double sigma);
struct vka_reading vka_read_alpha(vka_prediction prediction, double alpha); /* a cumulative product */

/* The next evaluation, of `step`, in sigma space at `sigma` or with its variance kept at `alpha`; it ends no step yet. */
vka_sampler_eval *vka_eval_sigma(vka_sampler *s, uint32_t step, double sigma, double time);
vka_sampler_eval *vka_eval_plain(vka_sampler *s, uint32_t step, double alpha, double time);
/* Another operation of an evaluation, and terms for it: one slot is one term, weights add up, and a weight of 0 makes
 * no term. */
vka_sampler_op *vka_op(vka_sampler_eval *e, uint32_t out);
void vka_term(vka_sampler_op *op, uint32_t slot, double coef);
void vka_term_x0(vka_sampler_op *op, const struct vka_reading *r, double coef);
void vka_term_noise(vka_sampler_op *op, const struct vka_reading *r, double coef); /* the predicted noise */
void vka_op_copy(vka_sampler_eval *e, uint32_t out, uint32_t slot);
/* Fresh noise, the draw-th of the step; nothing where coef is 0. */
void vka_term_draw(vka_sampler_eval *e, vka_sampler_op *op, uint32_t draw, double coef);

/* An ancestral step: to `down` without noise, then `up` of it. */
void vka_ancestral(double sigma, double next, double eta, double *down, double *up);

/* Samplers in sigma space: sigma[], time[] and eta are there; they add evaluations.  sampler_euler.c: */
void vka_build_euler(vka_sampler *s); /* and euler-a */
void vka_build_heun(vka_sampler *s);
/* sampler_dpm.c */
void vka_build_dpm2(vka_sampler *s); /* and dpm2-a */
void vka_build_dpmpp_2s(vka_sampler *s);
void vka_build_dpmpp_sde(vka_sampler *s);
/* sampler_multistep.c */
void vka_build_lms(vka_sampler *s);
void vka_build_dpmpp_2m(vka_sampler *s);
void vka_build_dpmpp_2m_sde(vka_sampler *s);
void vka_build_dpmpp_3m_sde(vka_sampler *s);
void vka_build_unipc(vka_sampler *s);
void vka_build_deis(vka_sampler *s);
/* Samplers that keep the variance; time[] is there, and sigma[] where the schedule is a list.  sampler_ddim.c: */
void vka_build_ddim(vka_sampler *s);
void vka_build_ddpm(vka_sampler *s);
void vka_build_pndm(vka_sampler *s);
/* sampler_lcm.c; the timesteps that they take unasked, VKA_E_USAGE when there are too many of them: */
void vka_build_lcm(vka_sampler *s);
void vka_build_tcd(vka_sampler *s);
vka_status vka_distilled_timesteps(const vka_sampler_params *p, double *out, vka_error *err);

#endif
