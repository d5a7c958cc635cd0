/* sampler.c - from parameters to the list of evaluations and their linear combinations; see sample.h.  The samplers
 * themselves are in sampler_*.c, their schedules in schedule.c and sigmas.c.
 *
 * Alphas are the fp32 numbers that diffusers holds; coefficients are formed from them in double, so that cancellation in
 * them costs nothing more. */
#include "sample/sampler_build.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What tells one sampler from another, in the order of enum vka_sampler_id. */
static const struct sampler_kind {
    void (*build)(vka_sampler *s);
    enum vka_grid grid;           /* how it takes diffusers' spacings */
    vka_schedule_id own;          /* what AUTO is where the model names nothing; AUTO: timesteps of a distilled model */
    double eta;                   /* its own; below 0: it has none */
    bool plain;                   /* latents keep their variance; else sigma space */
    bool discards;                /* leaves out the last but one of a list of sigmas */
} kinds[] = {
    [VKA_SAMPLER_DDIM] = {vka_build_ddim, VKA_GRID_WHOLE, VKA_SCHEDULE_LEADING, 0.0, true, false},
    [VKA_SAMPLER_EULER] = {vka_build_euler, VKA_GRID_FRACTION, VKA_SCHEDULE_LINSPACE, -1.0, false, false},
    [VKA_SAMPLER_EULER_A] = {vka_build_euler, VKA_GRID_FRACTION, VKA_SCHEDULE_LINSPACE, 1.0, false, false},
    [VKA_SAMPLER_HEUN] = {vka_build_heun, VKA_GRID_FRACTION, VKA_SCHEDULE_LINSPACE, -1.0, false, false},
    [VKA_SAMPLER_LMS] = {vka_build_lms, VKA_GRID_FRACTION, VKA_SCHEDULE_LINSPACE, -1.0, false, false},
    [VKA_SAMPLER_DPM2] = {vka_build_dpm2, VKA_GRID_FRACTION, VKA_SCHEDULE_KARRAS, -1.0, false, true},
    [VKA_SAMPLER_DPM2_A] = {vka_build_dpm2, VKA_GRID_FRACTION, VKA_SCHEDULE_KARRAS, 1.0, false, true},
    [VKA_SAMPLER_DPMPP_2M] = {vka_build_dpmpp_2m, VKA_GRID_OPEN, VKA_SCHEDULE_KARRAS, -1.0, false, false},
    [VKA_SAMPLER_DPMPP_2M_SDE] = {vka_build_dpmpp_2m_sde, VKA_GRID_OPEN, VKA_SCHEDULE_EXPONENTIAL, 1.0, false, false},
    [VKA_SAMPLER_DPMPP_2S_A] = {vka_build_dpmpp_2s, VKA_GRID_FRACTION, VKA_SCHEDULE_KARRAS, 1.0, false, false},
    [VKA_SAMPLER_DPMPP_SDE] = {vka_build_dpmpp_sde, VKA_GRID_FRACTION, VKA_SCHEDULE_KARRAS, 1.0, false, false},
    [VKA_SAMPLER_DPMPP_3M_SDE] = {vka_build_dpmpp_3m_sde, VKA_GRID_OPEN, VKA_SCHEDULE_EXPONENTIAL, 1.0, false, true},
    [VKA_SAMPLER_UNIPC] = {vka_build_unipc, VKA_GRID_OPEN, VKA_SCHEDULE_LINSPACE, -1.0, false, false},
    [VKA_SAMPLER_PNDM] = {vka_build_pndm, VKA_GRID_WHOLE, VKA_SCHEDULE_LEADING, -1.0, true, false},
    [VKA_SAMPLER_DEIS] = {vka_build_deis, VKA_GRID_OPEN, VKA_SCHEDULE_LINSPACE, -1.0, false, false},
    [VKA_SAMPLER_LCM] = {vka_build_lcm, VKA_GRID_WHOLE, VKA_SCHEDULE_AUTO, -1.0, true, false},
    [VKA_SAMPLER_TCD] = {vka_build_tcd, VKA_GRID_WHOLE, VKA_SCHEDULE_AUTO, 0.3, true, false},
    [VKA_SAMPLER_DDPM] = {vka_build_ddpm, VKA_GRID_WHOLE, VKA_SCHEDULE_LEADING, -1.0, true, false},
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
        .eta = -1.0,
        .original_steps = 50,
    };
}

/* ---- what builders use ----------------------------------------------------------------------------------- */

struct vka_reading vka_read_sigma(vka_prediction prediction, double sigma)
{
    double v2 = sigma * sigma + 1.0, v = sqrt(v2);
    if (prediction == VKA_PREDICT_EPSILON)
        return (struct vka_reading){1.0, -sigma, 0.0, 1.0};
    if (prediction == VKA_PREDICT_V)
        return (struct vka_reading){1.0 / v2, -sigma / v, sigma / v2, 1.0 / v};
    return (struct vka_reading){0.0, 1.0, 1.0 / sigma, -1.0 / sigma};
}

struct vka_reading vka_read_alpha(vka_prediction prediction, double alpha)
{
    double sa = sqrt(alpha), sb = sqrt(1.0 - alpha);
    if (prediction == VKA_PREDICT_EPSILON)
        return (struct vka_reading){1.0 / sa, -sb / sa, 0.0, 1.0};
    if (prediction == VKA_PREDICT_V)
        return (struct vka_reading){sa, -sb, sb, sa};
    return (struct vka_reading){0.0, 1.0, 1.0 / sb, -sa / sb};
}

static vka_sampler_eval *next_eval(vka_sampler *s, uint32_t step, struct vka_reading r, double time)
{
    vka_sampler_eval *e = &s->eval[s->evals];
    e->step = step;
    e->stage = s->evals && e[-1].step == step ? e[-1].stage + 1 : 0;
    e->timestep = (float)time;
    e->input_scale = 1.0;
    e->clean_x = r.x0_x;
    e->clean_eps = r.x0_m;
    s->evals++;
    return e;
}

vka_sampler_eval *vka_eval_plain(vka_sampler *s, uint32_t step, double alpha, double time)
{
    return next_eval(s, step, vka_read_alpha(s->params.prediction, alpha), time);
}

vka_sampler_eval *vka_eval_sigma(vka_sampler *s, uint32_t step, double sigma, double time)
{
    vka_sampler_eval *e = next_eval(s, step, vka_read_sigma(s->params.prediction, sigma), time);
    e->input_scale = 1.0 / sqrt(sigma * sigma + 1.0);
    return e;
}

vka_sampler_op *vka_op(vka_sampler_eval *e, uint32_t out)
{
    vka_sampler_op *op = &e->op[e->ops++];
    op->out = out;
    return op;
}

void vka_term(vka_sampler_op *op, uint32_t slot, double coef)
{
    if (coef == 0.0)
        return;
    uint32_t t = 0;
    while (t < op->terms && op->slot[t] != slot)
        t++;
    op->slot[t] = slot;
    op->coef[t] += coef;
    op->terms += t == op->terms;
}

void vka_term_x0(vka_sampler_op *op, const struct vka_reading *r, double coef)
{
    vka_term(op, VKA_SLOT_X, coef * r->x0_x);
    vka_term(op, VKA_SLOT_EPS, coef * r->x0_m);
}

void vka_term_noise(vka_sampler_op *op, const struct vka_reading *r, double coef)
{
    vka_term(op, VKA_SLOT_X, coef * r->e_x);
    vka_term(op, VKA_SLOT_EPS, coef * r->e_m);
}

void vka_op_copy(vka_sampler_eval *e, uint32_t out, uint32_t slot)
{
    vka_term(vka_op(e, out), slot, 1.0);
}

void vka_term_draw(vka_sampler_eval *e, vka_sampler_op *op, uint32_t draw, double coef)
{
    if (!(coef > 0.0))
        return;
    e->draws_noise = true;
    e->draw = draw;
    vka_term(op, VKA_SLOT_NOISE, coef);
}

void vka_ancestral(double sigma, double next, double eta, double *down, double *up)
{
    *up = fmin(next, eta * (next * sqrt((sigma - next) * (sigma + next)) / sigma));
    *down = sqrt((next - *up) * (next + *up));
}

/* ---- patterns -------------------------------------------------------------------------------------------- */

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
vka_status vka_sampler_unite(vka_sampler *const *s, uint32_t count, vka_error *err)
{
    const vka_sampler_eval *of[VKA_SAMPLER_PATTERNS];
    uint32_t patterns = 0, slots = 1u << VKA_SLOT_X | 1u << VKA_SLOT_EPS;
    for (uint32_t k = 0; k < count; k++)
        for (uint32_t i = 0; i < s[k]->evals; i++) {
            vka_sampler_eval *e = &s[k]->eval[i];
            uint32_t n = 0;
            while (n < patterns && !same_pattern(of[n], e))
                n++;
            if (n == VKA_SAMPLER_PATTERNS)
                return vka_fail(err, VKA_E_INTERNAL, "the sampler has more than %d patterns", VKA_SAMPLER_PATTERNS);
            if (n == patterns)
                of[patterns++] = e;
            e->pattern = n;
            for (uint32_t o = 0; o < e->ops; o++) {
                slots |= 1u << e->op[o].out;
                for (uint32_t t = 0; t < e->op[o].terms; t++)
                    slots |= 1u << e->op[o].slot[t];
            }
        }
    for (uint32_t k = 0; k < count; k++) {
        s[k]->patterns = patterns;
        s[k]->slots = slots;
        memcpy(s[k]->of_pattern, of, patterns * sizeof *of);
    }
    return VKA_OK;
}

/* ---- creation -------------------------------------------------------------------------------------------- */

static vka_status check(const vka_sampler_params *p, vka_error *err)
{
    const struct sampler_kind *kind = &kinds[p->sampler];
    const char *name = vka_sampler_name(p->sampler);
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
    if (p->begin >= p->steps)
        return vka_fail(err, VKA_E_USAGE, "the first %u of %u steps cannot be left out", p->begin, p->steps);
    if (!(p->beta_start > 0.0 && p->beta_start < 1.0 && p->beta_end > 0.0 && p->beta_end < 1.0))
        return vka_fail(err, VKA_E_USAGE, "betas %g .. %g are not between 0 and 1", p->beta_start, p->beta_end);
    if (p->sampler == VKA_SAMPLER_PNDM && p->prediction == VKA_PREDICT_SAMPLE)
        return vka_fail(err, VKA_E_USAGE, "sampler 'pndm' has no rule for models that predict the sample itself");
    if (p->zero_snr && p->prediction == VKA_PREDICT_EPSILON) {
        vka_fail(err, VKA_E_INPUT, "the model's scheduler asks for rescale_betas_zero_snr, and the model predicts noise");
        vka_error_why(err, "of noise alone, which such a schedule begins with, it cannot tell a picture");
        return VKA_E_INPUT;
    }
    if (p->eta >= 0.0 && kind->eta < 0.0) {
        vka_fail(err, VKA_E_USAGE, "sampler '%s' takes no eta", name);
        vka_error_why(err, p->sampler == VKA_SAMPLER_LCM || p->sampler == VKA_SAMPLER_DDPM
                               ? "how much noise its steps bring is fixed"
                               : "its steps bring no noise");
        return VKA_E_USAGE;
    }
    bool unit = p->sampler == VKA_SAMPLER_TCD || p->sampler == VKA_SAMPLER_DDIM;
    if (!(p->eta <= 1000.0) || (unit && p->eta > 1.0))
        return vka_fail(err, VKA_E_USAGE, "eta %g is more than sampler '%s' takes, %g", p->eta, name, unit ? 1.0 : 1000.0);
    return VKA_OK;
}

static vka_schedule_id resolve(const vka_sampler_params *p)
{
    const struct sampler_kind *kind = &kinds[p->sampler];
    if (p->schedule != VKA_SCHEDULE_AUTO || kind->own == VKA_SCHEDULE_AUTO)
        return p->schedule;
    return p->spacing != VKA_SCHEDULE_AUTO ? p->spacing : kind->own;
}

/* Timesteps of diffusers' spacings and of distilled models, and the noise levels that belong to them. */
static vka_status space(vka_sampler *s, vka_error *err)
{
    const vka_sampler_params *p = &s->params;
    if (s->schedule == VKA_SCHEDULE_AUTO) {
        vka_status st = vka_distilled_timesteps(p, s->time, err);
        if (st != VKA_OK)
            return st;
    } else {
        vka_timesteps(p, s->schedule, kinds[p->sampler].grid, s->time);
        if (s->time[0] > (double)(p->train_steps - 1)) {
            vka_fail(err, VKA_E_USAGE, "%u leading steps with offset %u begin beyond the last timestep, %u", p->steps,
                     p->steps_offset, p->train_steps - 1);
            vka_error_hint(err, "use fewer steps, or --schedule linspace");
            return VKA_E_USAGE;
        }
    }
    for (uint32_t k = 0; k < p->steps; k++)
        s->sigma[k] = vka_sigma_at(s->alphas, p->train_steps, s->time[k]);
    if (p->sampler == VKA_SAMPLER_DEIS) /* diffusers' goes that far only */
        s->sigma[p->steps] = vka_sigma_of(s->alphas, 0);
    return VKA_OK;
}

/* A list of noise levels, and the timesteps that belong to them. */
static void list(vka_sampler *s)
{
    const vka_sampler_params *p = &s->params;
    uint32_t n = p->steps + kinds[p->sampler].discards;
    vka_sigmas(s->schedule, s->alphas, p->train_steps, n, s->sigma);
    s->sigma[p->steps] = 0.0;
    for (uint32_t k = 0; k < p->steps; k++)
        s->time[k] = vka_sigma_time(s->alphas, p->train_steps, s->sigma[k]);
}

/* Where in time the render's steps lie, and how loud its first noise is. */
static vka_status lay_out(vka_sampler *s, vka_error *err)
{
    const vka_sampler_params *p = &s->params;
    const struct sampler_kind *kind = &kinds[p->sampler];
    s->spaced = s->schedule <= VKA_SCHEDULE_TRAILING;
    if (!s->spaced)
        list(s);
    else if (space(s, err) != VKA_OK)
        return VKA_E_USAGE;
    if (p->end_at_least_sigma)
        s->sigma[p->steps] = vka_sigma_of(s->alphas, 0);
    bool falls = true;
    for (uint32_t k = 0; k < p->steps; k++) {
        s->mix[2 * k] = 1.0;
        s->mix[2 * k + 1] = s->sigma[k];
        falls = falls && s->sigma[k] > s->sigma[k + 1];
    }
    if (!falls && !(kind->plain && s->spaced)) {
        vka_fail(err, VKA_E_USAGE, "%u steps of sampler '%s' with schedule '%s' do not all lie at different noise levels",
                 p->steps, vka_sampler_name(p->sampler), vka_schedule_name(s->schedule));
        vka_error_hint(err, "use fewer steps");
        return VKA_E_USAGE;
    }
    bool keeps = p->sampler == VKA_SAMPLER_UNIPC || p->sampler == VKA_SAMPLER_DEIS ||
                 (s->spaced && (kind->grid == VKA_GRID_OPEN || s->schedule == VKA_SCHEDULE_LEADING));
    s->init_scale = kind->plain ? 1.0 : keeps ? sqrt(s->sigma[0] * s->sigma[0] + 1.0) : s->sigma[0];
    return VKA_OK;
}

vka_sampler *vka_sampler_create(const vka_sampler_params *params, vka_error *err)
{
    if (check(params, err) != VKA_OK)
        return NULL;
    const struct sampler_kind *kind = &kinds[params->sampler];
    uint32_t steps = params->steps, train = params->train_steps;
    vka_sampler *s = vka_calloc(1, sizeof *s);
    if (s) {
        s->params = *params;
        s->schedule = resolve(params);
        s->eta = params->eta >= 0.0 ? params->eta : kind->eta;
        s->eval = vka_calloc(2 * (size_t)steps, sizeof *s->eval);
        s->mix = vka_calloc(steps, 2 * sizeof *s->mix);
        s->alphas = vka_calloc(train, sizeof *s->alphas);
        s->time = vka_calloc(steps, sizeof *s->time);
        s->sigma = vka_calloc((size_t)steps + 1, sizeof *s->sigma);
    }
    if (!s || !s->alphas || !s->time || !s->sigma || !s->eval || !s->mix) {
        vka_fail(err, VKA_E_MEMORY, "no memory for a sampler of %u steps", steps);
        vka_sampler_free(s);
        return NULL;
    }
    vka_alphas_cumprod(params, s->alphas);
    if (!(s->alphas[train - 1] >= FLT_MIN && s->alphas[0] < 1.0f)) { /* else a sigma is 0 or infinite */
        vka_fail(err, VKA_E_USAGE, "betas %g .. %g over %u timesteps leave no usable noise levels", params->beta_start,
                 params->beta_end, train);
        vka_sampler_free(s);
        return NULL;
    }
    s->sigma_max = vka_sigma_of(s->alphas, train - 1);
    if (params->zero_snr && kind->plain && s->schedule <= VKA_SCHEDULE_TRAILING && params->sampler != VKA_SAMPLER_PNDM)
        s->alphas[train - 1] = 0.0f; /* diffusers' for those; pndm would divide by it */
    if (lay_out(s, err) != VKA_OK) {
        vka_sampler_free(s);
        return NULL;
    }
    bool scaled = s->sigma[steps] > 0.0 && s->init_scale > s->sigma[0]; /* as one whose latents keep their variance would end */
    s->given = steps;
    if (params->begin) {
        steps = s->params.steps -= params->begin;
        memmove(s->time, s->time + params->begin, steps * sizeof *s->time);
        memmove(s->sigma, s->sigma + params->begin, (steps + 1) * sizeof *s->sigma);
        memmove(s->mix, s->mix + (size_t)2 * params->begin, 2 * steps * sizeof *s->mix);
    }
    kind->build(s);
    if (scaled) {
        vka_sampler_op *last = NULL;
        vka_sampler_eval *e = &s->eval[s->evals - 1];
        for (uint32_t o = 0; o < e->ops; o++)
            last = e->op[o].out == VKA_SLOT_X ? &e->op[o] : last;
        for (uint32_t t = 0; last && t < last->terms; t++)
            last->coef[t] /= sqrt(s->sigma[steps] * s->sigma[steps] + 1.0);
    }
    if (vka_sampler_unite(&s, 1, err) != VKA_OK) {
        vka_sampler_free(s);
        return NULL;
    }
    return s;
}

void vka_sampler_free(vka_sampler *s)
{
    if (!s)
        return;
    free(s->eval);
    free(s->mix);
    free(s->alphas);
    free(s->time);
    free(s->sigma);
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

const vka_sampler_eval *vka_sampler_of_pattern(const vka_sampler *s, uint32_t k)
{
    return s->of_pattern[k];
}

uint32_t vka_sampler_slots(const vka_sampler *s)
{
    return s->slots;
}

uint32_t vka_sampler_lasting(const vka_sampler *s)
{
    return (s->slots | 1u << VKA_SLOT_X) & ~(1u << VKA_SLOT_EPS | 1u << VKA_SLOT_NOISE);
}

bool vka_sampler_shares_noise(const vka_sampler *s)
{
    bool shares = false;
    for (uint32_t i = 0; i < vka_sampler_evals(s); i++)
        shares = shares || vka_sampler_eval_at(s, i)->carry > 0;
    return shares;
}

bool vka_sampler_draws(const vka_sampler *s)
{
    return (s->slots >> VKA_SLOT_NOISE & 1u) != 0;
}

vka_schedule_id vka_sampler_schedule(const vka_sampler *s)
{
    return s->schedule;
}

double vka_sampler_eta(const vka_sampler *s)
{
    return s->eta;
}

double vka_sampler_sigma_max(const vka_sampler *s)
{
    return s->sigma_max;
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

void vka_sampler_hold_mix(const vka_sampler *s, const vka_sampler_eval *e, double *x, double *image)
{
    (void)s;
    *x = -e->clean_x / e->clean_eps;
    *image = 1.0 / e->clean_eps;
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
