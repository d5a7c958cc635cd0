/* sample.h - noise schedules and samplers.  Everything here is scalars on the CPU: a sampler turns a
 * number of steps into a list of model evaluations, and for each of them says which timestep and input
 * scale the model sees and which linear combinations of clip tensors follow it.  The tensors themselves
 * live elsewhere.
 *
 * The numbers are those of diffusers' DDIMScheduler (eta 0), EulerDiscreteScheduler and
 * EulerAncestralDiscreteScheduler.  Papers: DDIM, Song et al. 2021, formula (12); Euler and Euler
 * ancestral, Karras et al. 2022 (algorithm 1, sigma space) and its ancestral form in k-diffusion; v
 * prediction, Salimans and Ho 2022.
 *
 * How a render runs a sampler:
 *     X = vka_sampler_init_noise_scale(s) * unit noise
 *     for i in 0 .. evals-1:  e = vka_sampler_eval_at(s, i)
 *         EPS = model(e->input_scale * X, e->timestep)        (guided, in the model's prediction type)
 *         if e->draws_noise: NOISE = fresh unit noise
 *         for each op in order: slot[op.out] = sum over terms of coef * slot[term]
 *         if e->ends_step: X is what step e->step ends with */
#ifndef VKA_SAMPLE_SAMPLE_H
#define VKA_SAMPLE_SAMPLE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vka_sampler_id { VKA_SAMPLER_DDIM, VKA_SAMPLER_EULER, VKA_SAMPLER_EULER_A } vka_sampler_id;

/* Where the timesteps of a render lie among the T training timesteps (diffusers' timestep_spacing). */
typedef enum vka_schedule_id {
    VKA_SCHEDULE_AUTO,    /* the model's spacing; where it names none, the sampler's own: ddim leading, else linspace */
    VKA_SCHEDULE_LEADING, /* i * floor(T/N) + offset */
    VKA_SCHEDULE_LINSPACE, /* N equally spaced values 0 .. T-1; ddim rounds them, the Euler family keeps fractions */
    VKA_SCHEDULE_TRAILING  /* round(T - i*T/N) - 1 */
} vka_schedule_id;

typedef enum vka_beta_kind { VKA_BETA_LINEAR, VKA_BETA_SCALED_LINEAR } vka_beta_kind; /* diffusers' names */
typedef enum vka_prediction { VKA_PREDICT_EPSILON, VKA_PREDICT_V, VKA_PREDICT_SAMPLE } vka_prediction;

/* Names as in --sampler, --schedule, --beta and scheduler_config.json.  VKA_E_USAGE tells apart a name
 * that nobody uses from one that is known and not built. */
vka_status vka_sampler_from_name(const char *name, vka_sampler_id *out, vka_error *err);
vka_status vka_schedule_from_name(const char *name, vka_schedule_id *out, vka_error *err);
vka_status vka_beta_from_name(const char *name, vka_beta_kind *out, vka_error *err);
vka_status vka_prediction_from_name(const char *name, vka_prediction *out, vka_error *err);
const char *vka_sampler_name(vka_sampler_id id);
const char *vka_schedule_name(vka_schedule_id id);
const char *vka_beta_name(vka_beta_kind kind);
const char *vka_prediction_name(vka_prediction prediction);
/* The i-th known name in the order of the manual, NULL past the end; *built says whether it can be used.
 * For help texts and completion. */
const char *vka_sampler_list(uint32_t i, bool *built);
const char *vka_schedule_list(uint32_t i, bool *built);

typedef struct vka_sampler_params {
    vka_sampler_id sampler;
    uint32_t steps;           /* 1 .. train_steps */
    vka_schedule_id schedule; /* what the user asked for */
    vka_schedule_id spacing;  /* what the model's scheduler config names; VKA_SCHEDULE_AUTO: nothing */
    vka_beta_kind beta;
    double beta_start, beta_end; /* 0 < each < 1 */
    uint32_t train_steps;        /* num_train_timesteps, 2 .. 100000 */
    uint32_t steps_offset;       /* only `leading` looks at it */
    vka_prediction prediction;   /* SAMPLE is refused for euler-a, as in diffusers */
    bool set_alpha_to_one;       /* ddim's last step goes to alpha 1 instead of alphas_cumprod[0] */
    bool clip_sample;            /* refused: clamping x0 is no linear combination and wrong for latents */
} vka_sampler_params;

/* DDIM, 25 steps, AnimateDiff's linear betas 0.00085 .. 0.012 over 1000 timesteps, offset 1, epsilon,
 * no spacing named, set_alpha_to_one and clip_sample false. */
vka_sampler_params vka_sampler_params_default(void);

/* The clip tensors a sampler works on, all of one shape, fp32. */
enum vka_slot {
    VKA_SLOT_X,     /* latents, in the sampler's own scale */
    VKA_SLOT_EPS,   /* the guided model output of this evaluation */
    VKA_SLOT_NOISE, /* fresh unit noise, where the evaluation draws it */
    VKA_SLOT_H0,    /* history: what earlier operations put there */
    VKA_SLOT_H1,
    VKA_SLOT_H2,
    VKA_SLOT_H3,
    VKA_SLOTS
};
enum { VKA_SAMPLER_TERMS = 6, VKA_SAMPLER_OPS = 8 };

/* slot[out] = sum of coef[i] * slot[slot[i]]; `out` may be among the inputs.  No term names a slot
 * that nothing has been written to by then, so consumers may read them all. */
typedef struct vka_sampler_op {
    uint32_t out, terms;
    uint32_t slot[VKA_SAMPLER_TERMS];
    double coef[VKA_SAMPLER_TERMS];
} vka_sampler_op;

typedef struct vka_sampler_eval {
    uint32_t step, stage; /* which step this belongs to; how many evaluations of the step came before */
    bool ends_step;       /* after its operations X is the result of the step */
    bool draws_noise;     /* NOISE has to be filled before the operations */
    float timestep;       /* what the model is told; fractional for euler with linspace */
    double input_scale;   /* the model's input is input_scale * X */
    uint32_t pattern;     /* evaluations of one pattern differ in nothing but numbers: same ops, outs and slots */
    uint32_t ops;
    vka_sampler_op op[VKA_SAMPLER_OPS];
} vka_sampler_eval;

typedef struct vka_sampler vka_sampler; /* immutable after creation; free with vka_sampler_free */

/* NULL with VKA_E_USAGE (steps, betas or a combination out of range) or VKA_E_INPUT (clip_sample). */
vka_sampler *vka_sampler_create(const vka_sampler_params *params, vka_error *err);
void vka_sampler_free(vka_sampler *s);

uint32_t vka_sampler_steps(const vka_sampler *s);
uint32_t vka_sampler_evals(const vka_sampler *s);           /* model evaluations in all, >= steps */
uint32_t vka_sampler_patterns(const vka_sampler *s);        /* patterns are 0 .. this - 1 */
uint32_t vka_sampler_slots(const vka_sampler *s);           /* bit 1 << slot for each slot that is used */
bool vka_sampler_draws(const vka_sampler *s);               /* some evaluation draws noise */
vka_schedule_id vka_sampler_schedule(const vka_sampler *s); /* what AUTO became */
const vka_sampler_eval *vka_sampler_eval_at(const vka_sampler *s, uint32_t i);
/* Initial latents are this times unit noise: 1 for ddim; for the Euler family the largest sigma, or
 * sqrt(sigma^2 + 1) with leading spacing, as in diffusers. */
double vka_sampler_init_noise_scale(const vka_sampler *s);
/* To begin at `step` from an image: X = image * latents + noise * unit noise (diffusers' add_noise). */
void vka_sampler_start_mix(const vka_sampler *s, uint32_t step, double *image, double *noise);

/* The cumulative products of 1 - beta, out[params->train_steps], bit-equal to what diffusers has on an
 * x86 machine with FMA: betas from torch.linspace in fp32 (fused multiply-add), products accumulated in
 * double and rounded to fp32 each. */
void vka_alphas_cumprod(const vka_sampler_params *params, float *out);

/* The operations of one evaluation on n elements, in double, in order: the reference for the device
 * operator.  Slots that the evaluation does not use may be NULL. */
void vka_sampler_apply(const vka_sampler_eval *e, double *const slot[VKA_SLOTS], size_t n);

#endif
