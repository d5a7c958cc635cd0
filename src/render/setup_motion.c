/* setup_motion.c - the motion module of a job, and the norms that go with it.  See setup.h. */
#include "render/setup_parts.h"

#include "base/file.h"

#include <string.h>

static vka_status open_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err)
{
    const char *given = s->job->motion;
    if (given && !strcmp(given, "none"))
        return VKA_OK;
    if (given && *given)
        s->motion_path = vka_find_model(given, err);
    else if (use_manifest && json_is_string(json_object_get(s->manifest, "motion"))) {
        const char *name = json_string_value(json_object_get(s->manifest, "motion"));
        if (strchr(name, '/') || !strcmp(name, ".."))
            return vka_fail(err, VKA_E_INPUT, "the model's vkanim.json names a motion module outside its folder");
        s->motion_path = vka_path_join(s->model_path, name);
    } else {
        if (use_manifest)
            vka_logf(log, VKA_LOG_WARN, "no motion module: the frames will not belong together (give one with --motion)");
        return VKA_OK;
    }
    if (!s->motion_path)
        return VKA_E_INPUT;
    vka_status st = vka_motion_open(&s->motion, s->motion_path, err);
    if (st == VKA_OK)
        st = vka_motion_fits(s->motion, s->unet, err);
    if (st == VKA_OK)
        s->motion_info = vka_motion_describe(s->motion);
    return st;
}

static void decide_norms(struct vka_setup *s)
{
    const char *norm = s->job->norm ? s->job->norm : "auto";
    if (!strcmp(norm, "diffusers"))
        s->norms = (struct vka_net_norms){.motion_joint = true};
    else
        s->norms = (struct vka_net_norms){.resnet_joint = s->motion_info && s->motion_info->norm_frames_resnet};
}

vka_status vka_setup_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err)
{
    vka_status st = open_motion(s, use_manifest, log, err);
    decide_norms(s);
    return st;
}
