/* sample.h - noise schedules and samplers.  Everything here is scalars on the CPU: a sampler turns a
 * number of steps into a list of model evaluations, and for each of them says which timestep and input
 * scale the model sees and which linear combinations of clip tensors follow it.  The tensors themselves
 * live elsewhere.
 *
 * Papers: DDIM, Song et al. 2021, formula (12); Euler, Heun and the sigma space, Karras et al. 2022; DPM-Solver-2
 * and DPM-Solver++ with their SDE forms, Lu et al. 2022; UniPC, Zhao et al. 2023; DEIS, Zhang and Chen 2023; PNDM,
 * Liu et al. 2022; LCM, Luo et al. 2023; TCD, Zheng et al. 2024; DDPM, Ho et al. 2020; v prediction, Salimans and Ho
 * 2022.  Where the papers leave a choice, the numbers are those of diffusers (ddim, euler, euler-a, unipc, pndm with
 * skip_prk_steps, deis, lcm, tcd, ddpm) and of k-diffusion (the others; where diffusers has them too the two agree).
 *
 * How a render runs a sampler:
 *     X = vka_sampler_init_noise_scale(s) * unit noise
 *     for i in 0 .. evals-1:  e = vka_sampler_eval_at(s, i)
 *         EPS = model(e->input_scale * X, e->timestep)        (guided, in the model's prediction type)
 *         if e->draws_noise: NOISE = fresh unit noise         (e->carry says what of it is not fresh)
 *         for each op in order: slot[op.out] = sum over terms of coef * slot[term]
 *         if e->ends_step: X is what step e->step ends with */
#ifndef VKA_SAMPLE_SAMPLE_H
#define VKA_SAMPLE_SAMPLE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vka_sampler_id {
    VKA_SAMPLER_DDIM,
    VKA_SAMPLER_EULER,
    VKA_SAMPLER_EULER_A,
    VKA_SAMPLER_HEUN,
    VKA_SAMPLER_LMS,          /* order 4 */
    VKA_SAMPLER_DPM2,
    VKA_SAMPLER_DPM2_A,
    VKA_SAMPLER_DPMPP_2M,
    VKA_SAMPLER_DPMPP_2M_SDE, /* midpoint */
    VKA_SAMPLER_DPMPP_2S_A,
    VKA_SAMPLER_DPMPP_SDE,    /* r = 1/2 */
    VKA_SAMPLER_DPMPP_3M_SDE,
    VKA_SAMPLER_UNIPC,        /* order 2, B(h) = e^h - 1, data prediction, corrector on */
    VKA_SAMPLER_PNDM,         /* its linear multistep part alone, as Stable Diffusion uses it; step 0 takes two evaluations */
    VKA_SAMPLER_DEIS,         /* order 2, log rho */
    VKA_SAMPLER_LCM,
    VKA_SAMPLER_TCD,
    VKA_SAMPLER_DDPM
} vka_sampler_id;

/* Where the steps of a render lie.
 *
 * The first three are diffusers' timestep_spacing, in the form of the class that a sampler has there: N timesteps for
 * most (rounded where the sampler wants whole ones), N + 1 of which the lowest is left out for dpmpp-2m and its SDE
 * forms, unipc and deis.  Sigma at a fraction of a timestep is interpolated linearly.
 *
 * The others are lists of sigmas in the model's own range, sigma(0) .. sigma(T - 1), 0 coming after the last; a sigma's
 * timestep is interpolated linearly in log sigma (k-diffusion's and A1111's rule).  dpm2, dpm2-a and dpmpp-3m-sde take
 * a list of one more and leave out its last but one, as A1111 does. */
typedef enum vka_schedule_id {
    VKA_SCHEDULE_AUTO,     /* the model's spacing; where it names none, the sampler's own: leading for ddim, ddpm and
                              pndm; karras for dpm2, dpm2-a, dpmpp-2m, dpmpp-2s-a and dpmpp-sde and exponential for
                              dpmpp-2m-sde and dpmpp-3m-sde, as in A1111; linspace for the others.  lcm and tcd: always
                              timesteps that the model was distilled on, see original_steps */
    VKA_SCHEDULE_LEADING,  /* i * floor(T/N) + offset */
    VKA_SCHEDULE_LINSPACE, /* equally spaced values 0 .. T-1 */
    VKA_SCHEDULE_TRAILING, /* round(T - i*T/N) - 1 */
    VKA_SCHEDULE_KARRAS,   /* rho 7 */
    VKA_SCHEDULE_EXPONENTIAL,
    VKA_SCHEDULE_SGM_UNIFORM,  /* N + 1 timesteps T-1 .. 0, the last left out */
    VKA_SCHEDULE_SIMPLE,       /* every (T/N)-th sigma of the table from its end, rounded down */
    VKA_SCHEDULE_NORMAL,       /* N timesteps T-1 .. 0 */
    VKA_SCHEDULE_DDIM_UNIFORM, /* timesteps 1 + i * floor(T/N): the N lowest of them */
    VKA_SCHEDULE_BETA,         /* quantiles of the beta distribution (0.6, 0.6) over the sigma range, as A1111 and diffusers */
    VKA_SCHEDULE_KL_OPTIMAL,   /* equally spaced arc tangents of sigma */
    VKA_SCHEDULE_AYS           /* Align Your Steps' list for SD 1.5, log-linearly interpolated to N + 1 values, the last
                                  of which becomes 0.  Made for sigma_max 14.615; nothing is scaled */
} vka_schedule_id;

/* diffusers' names.  squaredcos_cap_v2 has no start and end. */
typedef enum vka_beta_kind { VKA_BETA_LINEAR, VKA_BETA_SCALED_LINEAR, VKA_BETA_COSINE } vka_beta_kind;
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
    bool zero_snr;               /* rescale the betas so that the last timestep is noise alone (Lin et al. 2023) */
    uint32_t train_steps;        /* num_train_timesteps, 2 .. 100000 */
    uint32_t steps_offset;       /* only `leading` looks at it */
    vka_prediction prediction;   /* SAMPLE is refused for pndm, whose history is of predicted noise */
    bool set_alpha_to_one;       /* the last step of ddim and pndm goes to alpha 1 instead of alphas_cumprod[0] */
    bool clip_sample;            /* refused: clamping x0 is no linear combination and wrong for latents */
    /* Share of fresh noise; below 0 the sampler's own: 0 for ddim, 1 for ancestral and SDE samplers, 0.3 for tcd (its
     * gamma, at most 1).  Refused where a sampler has no use for it. */
    double eta;
    uint32_t original_steps; /* lcm, tcd: steps that the model was distilled with, 1 .. train_steps; steps are at most these */
    uint32_t begin;          /* the first steps that are left out, less than `steps`: the render begins at step `begin` of the
                                schedule, from vka_sampler_start_mix, and knows nothing of what would have come before */
    bool end_at_least_sigma; /* dpmpp-2m, unipc: the last step goes to sigma(0) instead of to 0, dpmpp-2m's in full order
                                (final_sigmas_type "sigma_min" of diffusers) */
} vka_sampler_params;

/* DDIM, 25 steps, AnimateDiff's linear betas 0.00085 .. 0.012 over 1000 timesteps, offset 1, epsilon,
 * no spacing named, set_alpha_to_one and clip_sample false, the sampler's own eta, 50 original steps. */
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
enum { VKA_SAMPLER_TERMS = 6, VKA_SAMPLER_OPS = 8, VKA_SAMPLER_PATTERNS = 32 };

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
    uint32_t draw;        /* ... with this draw of the step, counted from 0 */
    double carry;         /* What has to be drawn is carry * the step's draw 0 + sqrt(1 - carry^2) * fresh noise: intervals
                             that overlap share their noise.  Noise given from outside is taken as it is.  0 mostly */
    float timestep;       /* what the model is told; may be fractional */
    double input_scale;   /* the model's input is input_scale * X */
    double clean_x, clean_eps; /* the clean sample that the output predicts is clean_x * X + clean_eps * EPS */
    uint32_t pattern;     /* evaluations of one pattern differ in nothing but numbers: same ops, outs and slots */
    uint32_t ops;
    vka_sampler_op op[VKA_SAMPLER_OPS];
} vka_sampler_eval;

typedef struct vka_sampler vka_sampler; /* immutable after creation and vka_sampler_unite; free with vka_sampler_free */

/* NULL with VKA_E_USAGE (steps, betas or a combination out of range) or VKA_E_INPUT (clip_sample). */
vka_sampler *vka_sampler_create(const vka_sampler_params *params, vka_error *err);
void vka_sampler_free(vka_sampler *s);

uint32_t vka_sampler_steps(const vka_sampler *s);           /* that are run: without params.begin */
uint32_t vka_sampler_evals(const vka_sampler *s);           /* model evaluations in all, >= steps */
uint32_t vka_sampler_patterns(const vka_sampler *s);        /* patterns are 0 .. this - 1 */
const vka_sampler_eval *vka_sampler_of_pattern(const vka_sampler *s, uint32_t k); /* some evaluation of it */
uint32_t vka_sampler_slots(const vka_sampler *s);           /* bit 1 << slot for each slot that is used */
uint32_t vka_sampler_lasting(const vka_sampler *s); /* those that a step hands on to the next; EPS and NOISE are filled anew */
bool vka_sampler_shares_noise(const vka_sampler *s); /* whether a draw of a step takes part of the step's first one */
bool vka_sampler_draws(const vka_sampler *s);               /* some evaluation draws noise */
vka_schedule_id vka_sampler_schedule(const vka_sampler *s); /* what AUTO became; AUTO: the list of lcm and tcd */
double vka_sampler_eta(const vka_sampler *s);               /* as used; below 0: the sampler has none */
double vka_sampler_sigma_max(const vka_sampler *s);         /* the largest noise level of the model's table */
/* The largest noise level that a schedule's fixed list was made for; 0 where the schedule follows the model. */
double vka_schedule_made_for(vka_schedule_id id);
const vka_sampler_eval *vka_sampler_eval_at(const vka_sampler *s, uint32_t i);
/* Samplers of one kind with other numbers of steps, that run in turn on the same tensors: patterns are numbered throughout, and
 * each has the patterns and the slots of all.  All of them live as long as any.  VKA_E_INTERNAL: more than
 * VKA_SAMPLER_PATTERNS. */
vka_status vka_sampler_unite(vka_sampler *const *s, uint32_t count, vka_error *err);
/* Initial latents are this times unit noise.  1 for ddim, ddpm, pndm, lcm and tcd, whose latents keep their variance.
 * The others, in sigma space: the first sigma; but sqrt(sigma^2 + 1) as in diffusers for unipc and deis, for dpmpp-2m
 * and its SDE forms with diffusers' spacings, and for the rest with leading. */
double vka_sampler_init_noise_scale(const vka_sampler *s);
/* To begin at `step` (of those that are run) from an image: X = image * latents + noise * unit noise (diffusers'
 * add_noise). */
void vka_sampler_start_mix(const vka_sampler *s, uint32_t step, double *image, double *noise);

/* To hold a picture: the model output x * X + image * latents, X before the evaluation's operations, is the one that predicts
 * just these latents.  Held in every evaluation, a sampler that ends without noise ends with them. */
void vka_sampler_hold_mix(const vka_sampler *s, const vka_sampler_eval *e, double *x, double *image);

/* The cumulative products of 1 - beta, out[params->train_steps], bit-equal to what diffusers has on an
 * x86 machine with FMA: betas from torch.linspace in fp32 (fused multiply-add), products accumulated in
 * double and rounded to fp32 each.  With zero_snr the last one is 2^-24, a sigma of 4096, as diffusers has it for
 * samplers in sigma space. */
void vka_alphas_cumprod(const vka_sampler_params *params, float *out);

/* The operations of one evaluation on n elements, in double, in order: the reference for the device
 * operator.  Slots that the evaluation does not use may be NULL. */
void vka_sampler_apply(const vka_sampler_eval *e, double *const slot[VKA_SLOTS], size_t n);

#endif
