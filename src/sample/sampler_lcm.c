/* sampler_lcm.c - samplers of distilled models: LCM and TCD; see sampler_build.h.
 *
 * Unasked they take timesteps of the grid that the model was distilled on, t_i = i * floor(T/O) - 1 for i = 1 .. O
 * original steps, evenly chosen from the top. */
#include "sample/sampler_build.h"

#include <math.h>

vka_status vka_distilled_timesteps(const vka_sampler_params *p, double *out, vka_error *err)
{
    uint32_t original = p->original_steps, spacing = original ? p->train_steps / original : 0;
    if (original < 1 || original > p->train_steps)
        return vka_fail(err, VKA_E_USAGE, "%u original steps are outside 1 .. %u", original, p->train_steps);
    if (p->steps > original) {
        vka_fail(err, VKA_E_USAGE, "%u steps of sampler '%s' are more than the %u steps that the model was distilled with",
                 p->steps, vka_sampler_name(p->sampler), original);
        vka_error_hint(err, "fewer --steps (4 to 8 are usual), or more --original-steps");
        return VKA_E_USAGE;
    }
    for (uint32_t k = 0; k < p->steps; k++) {
        double chosen = floor((double)k * ((double)original / (double)p->steps));
        out[k] = ((double)original - chosen) * (double)spacing - 1.0;
    }
    return VKA_OK;
}

static double alpha_at(const vka_sampler *s, uint32_t k)
{
    return s->spaced ? (double)s->alphas[(uint32_t)s->time[k]] : 1.0 / (1.0 + s->sigma[k] * s->sigma[k]);
}

static void keep_mix(vka_sampler *s, uint32_t k, double a)
{
    s->mix[2 * k] = sqrt(a);
    s->mix[2 * k + 1] = sqrt(1.0 - a);
}

/* X' = sqrt(a') z + sqrt(1 - a') noise, z = c_out x0 + c_skip X; the last step ends with z.  In a list of sigmas c_out
 * is 1 and c_skip 0, as in ComfyUI. */
void vka_build_lcm(vka_sampler *s)
{
    const double scaling = 10.0, data = 0.5; /* timestep_scaling and sigma_data */
    for (uint32_t k = 0; k < s->params.steps; k++) {
        bool last = k + 1 == s->params.steps;
        double a = alpha_at(s, k), a_next = last ? 1.0 : alpha_at(s, k + 1);
        double t = scaling * s->time[k], c_skip = 0.0, c_out = 1.0;
        if (s->spaced) {
            c_skip = data * data / (t * t + data * data);
            c_out = t / sqrt(t * t + data * data);
        }
        struct vka_reading r = vka_read_alpha(s->params.prediction, a);
        vka_sampler_eval *e = vka_eval_plain(s, k, a, s->time[k]);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term(op, VKA_SLOT_X, sqrt(a_next) * c_skip);
        vka_term_x0(op, &r, sqrt(a_next) * c_out);
        vka_term_draw(e, op, 0, sqrt(1.0 - a_next));
        e->ends_step = true;
        keep_mix(s, k, a);
    }
}

/* Strategic stochastic sampling: without noise to timestep floor((1 - gamma) t'), then noise up to t'.  The last t' is 0,
 * in the table; in a list of sigmas it is without noise. */
void vka_build_tcd(vka_sampler *s)
{
    for (uint32_t k = 0; k < s->params.steps; k++) {
        bool last = k + 1 == s->params.steps;
        double a = alpha_at(s, k), t_next = last ? 0.0 : s->time[k + 1], a_next, a_mid, up = 0.0;
        if (s->spaced) {
            a_next = (double)s->alphas[(uint32_t)t_next];
            a_mid = (double)s->alphas[(uint32_t)floor((1.0 - s->eta) * t_next)];
        } else {
            double sigma = last ? 0.0 : vka_sigma_log_at(s->alphas, s->params.train_steps, (1.0 - s->eta) * t_next);
            a_next = last ? 1.0 : alpha_at(s, k + 1);
            a_mid = fmax(1.0 / (1.0 + sigma * sigma), a_next);
        }
        double scale = 1.0;
        if (!last && s->eta > 0.0) {
            scale = sqrt(a_next / a_mid);
            up = sqrt(1.0 - a_next / a_mid);
        }
        struct vka_reading r = vka_read_alpha(s->params.prediction, a);
        vka_sampler_eval *e = vka_eval_plain(s, k, a, s->time[k]);
        vka_sampler_op *op = vka_op(e, VKA_SLOT_X);
        vka_term_x0(op, &r, scale * sqrt(a_mid));
        vka_term_noise(op, &r, scale * sqrt(1.0 - a_mid));
        vka_term_draw(e, op, 0, up);
        e->ends_step = true;
        keep_mix(s, k, a);
    }
}
