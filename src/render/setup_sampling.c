/* setup_sampling.c - betas, spacing and sampler of a job.  See setup.h. */
#include "render/setup_parts.h"

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

vka_status vka_setup_sampling(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    vka_sampler_params *p = &s->sampling;
    *p = vka_sampler_params_default();
    const char *sampler = j->sampler ? j->sampler : "ddim";
    if (!vka_job_has(j, "sampler") && json_is_string(vka_setup_recommended(s, "sampler")))
        sampler = json_string_value(vka_setup_recommended(s, "sampler"));
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
    if (st == VKA_OK)
        st = vka_prediction_from_name(c->prediction_type, &p->prediction, err);
    if (st != VKA_OK) {
        if (err)
            err->status = VKA_E_INPUT;
        return VKA_E_INPUT;
    }
    if (c->rescale_betas_zero_snr)
        return vka_fail(err, VKA_E_INPUT, "the model's scheduler asks for rescale_betas_zero_snr, which vkanim does not have");
    p->steps_offset = (uint32_t)(c->steps_offset > 0 ? c->steps_offset : 0);
    p->train_steps = (uint32_t)c->num_train_timesteps;
    p->set_alpha_to_one = c->set_alpha_to_one;
    p->clip_sample = c->clip_sample && c->has & VKA_SCHED_CLIP_SAMPLE;
    p->steps = (uint32_t)(vka_job_has(j, "steps") ? (double)j->steps : vka_setup_recommended_number(s, "steps", (double)j->steps));
    s->sampler = vka_sampler_create(p, err);
    return s->sampler ? VKA_OK : err ? err->status : VKA_E_USAGE;
}
