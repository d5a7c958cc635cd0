/* sampler.c - from parameters to the list of evaluations and their linear combinations; see sample.h.
 *
 * Every built sampler takes one evaluation and one operation per step, on the slots X, EPS and, for
 * euler-a, NOISE.  Alphas and sigmas are the fp32 numbers that diffusers holds; coefficients are formed
 * from them in double, so that cancellation in them costs nothing more. */
#include "sample/schedule.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vka_sampler {
    vka_sampler_params params;
    vka_schedule_id schedule; /* resolved */
    uint32_t evals, patterns, slots;
    double init_scale;
    double *mix;            /* [steps][2]: image and noise weight for a start at that step */
    vka_sampler_eval *eval; /* [evals] */
};

vka_sampler_params vka_sampler_params_default(void)
{
    return (vka_sampler_params){
        .sampler = VKA_SAMPLER_DDIM,
        .steps = 25,
        .schedule = VKA_SCHEDULE_AUTO,
        .spacing = VKA_SCHEDULE_AUTO,
        .beta = VKA_BETA_LINEAR,
        .beta_start = 0.00085,
        .beta_end = 0.012,
        .train_steps = 1000,
        .steps_offset = 1,
        .prediction = VKA_PREDICT_EPSILON,
    };
}

static void op_term(vka_sampler_op *op, uint32_t slot, double coef)
{
    op->slot[op->terms] = slot;
    op->coef[op->terms++] = coef;
}

/* One step of formula (12) with eta 0: X' = sqrt(a') x0 + sqrt(1 - a') eps.  The previous timestep is
 * always floor(T/N) earlier, whatever the spacing: that is diffusers' rule. */
static void build_ddim(vka_sampler *s, const float *alphas, const double *timesteps)
{
    const vka_sampler_params *p = &s->params;
    int64_t ratio = p->train_steps / p->steps;
    s->init_scale = 1.0;
    for (uint32_t k = 0; k < p->steps; k++) {
        vka_sampler_eval *e = &s->eval[k];
        int64_t t = (int64_t)timesteps[k], before = t - ratio;
        double a = (double)alphas[t];
        double a_next = before >= 0 ? (double)alphas[before] : p->set_alpha_to_one ? 1.0 : (double)alphas[0];
        double sa = sqrt(a), sb = sqrt(1.0 - a), sa_next = sqrt(a_next), sb_next = sqrt(1.0 - a_next);
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
        e->timestep = (float)timesteps[k];
        e->input_scale = 1.0;
        e->ops = 1;
        e->op[0].out = VKA_SLOT_X;
        op_term(&e->op[0], VKA_SLOT_X, x);
        op_term(&e->op[0], VKA_SLOT_EPS, m);
        s->mix[2 * k] = sa;
        s->mix[2 * k + 1] = sb;
    }
}

/* Sigma at a timestep: linear interpolation in sigma between whole timesteps (diffusers'
 * interpolation_type "linear"), clamped at both ends; rounded to fp32 as diffusers stores it.
 * They may still differ by one unit in the last place: torch's fp32 square root is not correctly rounded. */
static double sigma_at(const float *alphas, uint32_t count, double t)
{
    if (t <= 0.0)
        return (double)sqrtf((1.0f - alphas[0]) / alphas[0]);
    uint32_t low = t < (double)(count - 1) ? (uint32_t)t : count - 1;
    double s0 = (double)sqrtf((1.0f - alphas[low]) / alphas[low]);
    if (low + 1 >= count)
        return s0;
    double s1 = (double)sqrtf((1.0f - alphas[low + 1]) / alphas[low + 1]);
    return (double)(float)((s1 - s0) * (t - (double)low) + s0);
}

/* X' = X + (sigma_down - sigma) d + sigma_up noise, d = (X - x0) / sigma = dx X + dm m.  Euler has
 * sigma_down = the next sigma and sigma_up = 0.  The last sigma is 0: nothing is drawn there. */
static void build_euler(vka_sampler *s, const float *alphas, const double *timesteps)
{
    const vka_sampler_params *p = &s->params;
    bool ancestral = p->sampler == VKA_SAMPLER_EULER_A;
    double largest = 0.0, sigma = sigma_at(alphas, p->train_steps, timesteps[0]);
    for (uint32_t k = 0; k < p->steps; k++) {
        vka_sampler_eval *e = &s->eval[k];
        double next = k + 1 < p->steps ? sigma_at(alphas, p->train_steps, timesteps[k + 1]) : 0.0;
        double up = ancestral ? next * sqrt((sigma - next) * (sigma + next)) / sigma : 0.0;
        double dt = (ancestral ? sqrt((next - up) * (next + up)) : next) - sigma;
        double dx, dm, v2 = sigma * sigma + 1.0;
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
        e->timestep = (float)timesteps[k];
        e->input_scale = 1.0 / sqrt(v2);
        e->ops = 1;
        e->op[0].out = VKA_SLOT_X;
        op_term(&e->op[0], VKA_SLOT_X, 1.0 + dx * dt);
        op_term(&e->op[0], VKA_SLOT_EPS, dm * dt);
        if (up > 0.0) {
            e->draws_noise = true;
            op_term(&e->op[0], VKA_SLOT_NOISE, up);
        }
        s->mix[2 * k] = 1.0;
        s->mix[2 * k + 1] = sigma;
        largest = sigma > largest ? sigma : largest;
        sigma = next;
    }
    s->init_scale = s->schedule == VKA_SCHEDULE_LEADING ? sqrt(largest * largest + 1.0) : largest;
}

static bool same_pattern(const vka_sampler_eval *a, const vka_sampler_eval *b)
{
    if (a->ops != b->ops || a->draws_noise != b->draws_noise || a->ends_step != b->ends_step)
        return false;
    for (uint32_t i = 0; i < a->ops; i++) {
        const vka_sampler_op *p = &a->op[i], *q = &b->op[i];
        if (p->out != q->out || p->terms != q->terms || memcmp(p->slot, q->slot, p->terms * sizeof *p->slot) != 0)
            return false;
    }
    return true;
}

/* Numbers the patterns in order of appearance and collects the slots in use. */
static void number_patterns(vka_sampler *s)
{
    s->slots = 1u << VKA_SLOT_X | 1u << VKA_SLOT_EPS;
    for (uint32_t i = 0; i < s->evals; i++) {
        vka_sampler_eval *e = &s->eval[i];
        uint32_t j = 0;
        while (j < i && !same_pattern(&s->eval[j], e))
            j++;
        e->pattern = j < i ? s->eval[j].pattern : s->patterns++;
        for (uint32_t o = 0; o < e->ops; o++) {
            s->slots |= 1u << e->op[o].out;
            for (uint32_t t = 0; t < e->op[o].terms; t++)
                s->slots |= 1u << e->op[o].slot[t];
        }
    }
}

static vka_status check(const vka_sampler_params *p, vka_error *err)
{
    if (p->clip_sample) {
        vka_fail(err, VKA_E_INPUT, "the model's scheduler asks for clip_sample, which vkanim does not do");
        vka_error_why(err, "it clamps the predicted picture to [-1,1], which is wrong for latents");
        vka_error_hint(err, "set clip_sample to false in scheduler/scheduler_config.json");
        return VKA_E_INPUT;
    }
    if (p->train_steps < 2 || p->train_steps > 100000)
        return vka_fail(err, VKA_E_INPUT, "%u training timesteps are outside 2 .. 100000", p->train_steps);
    if (p->steps < 1 || p->steps > p->train_steps)
        return vka_fail(err, VKA_E_USAGE, "%u steps are outside 1 .. %u", p->steps, p->train_steps);
    if (!(p->beta_start > 0.0 && p->beta_start < 1.0 && p->beta_end > 0.0 && p->beta_end < 1.0))
        return vka_fail(err, VKA_E_USAGE, "betas %g .. %g are not between 0 and 1", p->beta_start, p->beta_end);
    if (p->sampler == VKA_SAMPLER_EULER_A && p->prediction == VKA_PREDICT_SAMPLE)
        return vka_fail(err, VKA_E_USAGE, "sampler 'euler-a' has no rule for models that predict the sample itself");
    return VKA_OK;
}

vka_sampler *vka_sampler_create(const vka_sampler_params *params, vka_error *err)
{
    if (check(params, err) != VKA_OK)
        return NULL;
    bool ddim = params->sampler == VKA_SAMPLER_DDIM;
    vka_sampler *s = vka_calloc(1, sizeof *s);
    float *alphas = vka_calloc(params->train_steps, sizeof *alphas);
    double *timesteps = vka_calloc(params->steps, sizeof *timesteps);
    if (s) {
        s->params = *params;
        s->evals = params->steps;
        s->eval = vka_calloc(s->evals, sizeof *s->eval);
        s->mix = vka_calloc(params->steps, 2 * sizeof *s->mix);
    }
    if (!s || !alphas || !timesteps || !s->eval || !s->mix) {
        vka_fail(err, VKA_E_MEMORY, "no memory for a sampler of %u steps", params->steps);
        goto failed;
    }
    s->schedule = params->schedule != VKA_SCHEDULE_AUTO ? params->schedule : params->spacing;
    if (s->schedule == VKA_SCHEDULE_AUTO)
        s->schedule = ddim ? VKA_SCHEDULE_LEADING : VKA_SCHEDULE_LINSPACE;
    vka_alphas_cumprod(params, alphas);
    if (!(alphas[params->train_steps - 1] >= FLT_MIN && alphas[0] < 1.0f)) { /* else a sigma is 0 or infinite */
        vka_fail(err, VKA_E_USAGE, "betas %g .. %g over %u timesteps leave no usable noise levels", params->beta_start,
                 params->beta_end, params->train_steps);
        goto failed;
    }
    vka_timesteps(params, s->schedule, !ddim, timesteps);
    if (timesteps[0] > (double)(params->train_steps - 1)) {
        vka_fail(err, VKA_E_USAGE, "%u leading steps with offset %u begin beyond the last timestep, %u", params->steps,
                 params->steps_offset, params->train_steps - 1);
        vka_error_hint(err, "use fewer steps, or --schedule linspace");
        goto failed;
    }
    for (uint32_t k = 0; k < s->evals; k++) {
        s->eval[k].step = k;
        s->eval[k].ends_step = true;
    }
    if (ddim)
        build_ddim(s, alphas, timesteps);
    else
        build_euler(s, alphas, timesteps);
    number_patterns(s);
    free(alphas);
    free(timesteps);
    return s;
failed:
    free(alphas);
    free(timesteps);
    vka_sampler_free(s);
    return NULL;
}

void vka_sampler_free(vka_sampler *s)
{
    if (!s)
        return;
    free(s->eval);
    free(s->mix);
    free(s);
}

uint32_t vka_sampler_steps(const vka_sampler *s)
{
    return s->params.steps;
}

uint32_t vka_sampler_evals(const vka_sampler *s)
{
    return s->evals;
}

uint32_t vka_sampler_patterns(const vka_sampler *s)
{
    return s->patterns;
}

uint32_t vka_sampler_slots(const vka_sampler *s)
{
    return s->slots;
}

bool vka_sampler_draws(const vka_sampler *s)
{
    return (s->slots >> VKA_SLOT_NOISE & 1u) != 0;
}

vka_schedule_id vka_sampler_schedule(const vka_sampler *s)
{
    return s->schedule;
}

const vka_sampler_eval *vka_sampler_eval_at(const vka_sampler *s, uint32_t i)
{
    return &s->eval[i];
}

double vka_sampler_init_noise_scale(const vka_sampler *s)
{
    return s->init_scale;
}

void vka_sampler_start_mix(const vka_sampler *s, uint32_t step, double *image, double *noise)
{
    *image = s->mix[2 * step];
    *noise = s->mix[2 * step + 1];
}

void vka_sampler_apply(const vka_sampler_eval *e, double *const slot[VKA_SLOTS], size_t n)
{
    for (uint32_t o = 0; o < e->ops; o++) {
        const vka_sampler_op *op = &e->op[o];
        for (size_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (uint32_t t = 0; t < op->terms; t++)
                sum += op->coef[t] * slot[op->slot[t]][i];
            slot[op->out][i] = sum;
        }
    }
}
