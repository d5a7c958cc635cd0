/* setup_sampling.c - betas, spacing and sampler of a job.  See setup.h. */
#include "render/setup_parts.h"

#include "render/init.h"

#include <string.h>

/* The module's betas, else the model's, unless --beta says otherwise. */
static vka_status decide_betas(struct vka_setup *s, vka_error *err)
{
    vka_sampler_params *p = &s->sampling;
    const char *kind = s->motion_info ? s->motion_info->beta_schedule : s->scheduler->beta_schedule;
    p->beta_start = s->motion_info ? s->motion_info->beta_start : s->scheduler->beta_start;
    p->beta_end = s->motion_info ? s->motion_info->beta_end : s->scheduler->beta_end;
    bool automatic = true;
    vka_beta_kind given = VKA_BETA_LINEAR;
    double start = 0, end = 0;
    vka_status st = vka_beta_parse(s->job->beta ? s->job->beta : "auto", &automatic, &given, &start, &end, err);
    if (st != VKA_OK || automatic)
        return st == VKA_OK ? vka_beta_from_name(kind, &p->beta, err) : st;
    p->beta = given;
    p->beta_start = start > 0 ? start : p->beta_start;
    p->beta_end = end > 0 ? end : p->beta_end;
    return VKA_OK;
}

/* Steps that the model was distilled with, for lcm and tcd. */
static uint32_t original_steps(const struct vka_setup *s)
{
    if (vka_job_has(s->job, "original-steps"))
        return (uint32_t)s->job->original_steps;
    bool distilled = s->motion_info && s->motion_info->variant == VKA_MOTION_ANIMATELCM;
    double steps = vka_setup_recommended_number(s, "original-steps", distilled ? 100 : 50);
    return steps >= 1 && steps <= s->sampling.train_steps ? (uint32_t)steps : 50;
}

/* A list of noise levels that was made for models of another range is not scaled to this one's, but told of. */
static void check_list(const struct vka_setup *s, const vka_log *log)
{
    vka_schedule_id id = vka_sampler_schedule(s->sampler);
    double list = vka_schedule_made_for(id), most = vka_sampler_sigma_max(s->sampler);
    if (list > 0 && (most > list * 1.01 || most < list * 0.99))
        vka_logf(log, VKA_LOG_WARN,
                 "--schedule %s is a list for models whose noise ends at %.5g, and this model's ends at %.5g: it begins with "
                 "noise that is too %s",
                 vka_schedule_name(id), list, most, most > list ? "weak" : "strong");
}

vka_status vka_setup_sampling(struct vka_setup *s, const vka_log *log, vka_error *err)
{
    const struct vka_job *j = s->job;
    vka_sampler_params *p = &s->sampling;
    *p = vka_sampler_params_default();
    const char *sampler = j->sampler ? j->sampler : "ddim";
    if (!vka_job_has(j, "sampler") && json_is_string(vka_setup_recommended(s, "sampler")))
        sampler = json_string_value(vka_setup_recommended(s, "sampler"));
    if (j->noise && j->subseed_strength > 0) {
        vka_fail(err, VKA_E_USAGE, "--subseed-strength has no noise of a seed to mix with");
        vka_error_why(err, "--noise stands in its place");
        return VKA_E_USAGE;
    }
    vka_status st = vka_sampler_from_name(sampler, &p->sampler, err);
    if (st == VKA_OK)
        st = vka_schedule_from_name(j->schedule ? j->schedule : "auto", &p->schedule, err);
    if (st == VKA_OK)
        st = decide_betas(s, err);
    if (st != VKA_OK)
        return st;
    const vka_scheduler_config *c = s->scheduler;
    p->spacing = VKA_SCHEDULE_AUTO;
    const char *spacing = c->has & VKA_SCHED_TIMESTEP_SPACING ? c->timestep_spacing : NULL;
    if (s->motion_info && s->motion_info->timestep_spacing)
        spacing = s->motion_info->timestep_spacing;
    if (spacing)
        st = vka_schedule_from_name(spacing, &p->spacing, err);
    if (st == VKA_OK && p->spacing > VKA_SCHEDULE_TRAILING)
        st = vka_fail(err, VKA_E_INPUT, "the model's scheduler names the spacing '%s', which is none", spacing);
    if (st == VKA_OK)
        st = vka_prediction_from_name(c->prediction_type, &p->prediction, err);
    if (st != VKA_OK) {
        if (err)
            err->status = VKA_E_INPUT;
        return VKA_E_INPUT;
    }
    p->steps_offset = (uint32_t)(c->steps_offset > 0 ? c->steps_offset : 0);
    p->train_steps = (uint32_t)c->num_train_timesteps;
    p->set_alpha_to_one = c->set_alpha_to_one;
    p->zero_snr = c->rescale_betas_zero_snr;
    p->clip_sample = c->clip_sample && c->has & VKA_SCHED_CLIP_SAMPLE;
    p->steps = (uint32_t)(vka_job_has(j, "steps") ? (double)j->steps : vka_setup_recommended_number(s, "steps", (double)j->steps));
    p->eta = vka_job_has(j, "eta") ? j->eta : vka_setup_recommended_number(s, "eta", -1);
    p->original_steps = original_steps(s);
    if (vka_init_asked(j)) {
        p->begin = vka_init_first_step(p->steps, j->strength);
        if (p->begin == p->steps) {
            vka_fail(err, VKA_E_USAGE, "--strength %g of %u steps is none at all", j->strength, p->steps);
            vka_error_hint(err, "%g would do one", 1.0 / p->steps);
            return VKA_E_USAGE;
        }
    }
    s->sampler = vka_sampler_create(p, err);
    if (!s->sampler)
        return err ? err->status : VKA_E_USAGE;
    check_list(s, log);
    return VKA_OK;
}
