/* setup_motion.c - the motion module of a job: its family, the norms that go with it, how much it does, and the settings that its
 * family recommends.  See setup.h. */
#include "render/setup_parts.h"

#include "base/file.h"
#include "render/library.h"
#include "render/options.h"
#include "sample/values.h"

#include <stdlib.h>
#include <string.h>

/* The module's path, from --motion or the model's manifest; NULL without an error: there is none. */
static char *find_motion(const struct vka_setup *s, bool use_manifest, vka_error *err)
{
    const char *given = s->job->motion;
    if (given && !strcmp(given, "none"))
        return NULL;
    if (given && *given)
        return vka_find_model(VKA_LIBRARY_MOTION, given, err);
    json_t *named = use_manifest ? json_object_get(s->manifest, "motion") : NULL;
    if (!json_is_string(named))
        return NULL;
    const char *name = json_string_value(named);
    if (strchr(name, '/') || !strcmp(name, "..")) {
        vka_fail(err, VKA_E_INPUT, "the model's vkanim.json names a motion module outside its folder");
        return NULL;
    }
    char *path = vka_path_join(s->model_path, name);
    if (!path)
        vka_fail(err, VKA_E_MEMORY, "out of memory");
    return path;
}

/* A module that goes on from a picture has nothing to go on from. */
static vka_status refuse_picture(const struct vka_setup *s, vka_error *err)
{
    bool pia = s->motion_info->variant == VKA_MOTION_PIA;
    vka_fail(err, VKA_E_INPUT, "'%s' is %s, which animates a given picture: that is not in this version",
             s->motion_path, pia ? "a PIA module" : "AnimateLCM's module for pictures");
    if (pia)
        vka_error_why(err, "its first convolution takes %u channels: the clip, the picture and a mask",
                      s->motion_info->conv_in_channels);
    else
        vka_error_why(err, "its img_encoder puts the picture into the UNet");
    vka_error_hint(err, "another motion module, or --motion-family %s for its temporal layers alone",
                   pia ? "v1" : "animatelcm");
    return VKA_E_INPUT;
}

static vka_status open_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err)
{
    const char *family = s->job->motion_family ? s->job->motion_family : "auto";
    enum vka_motion_variant v;
    vka_error found = {0};
    if (s->by_frame) {
        const char *given = s->job->motion;
        if (given ? *given && strcmp(given, "none") != 0 : json_is_string(json_object_get(s->manifest, "motion")))
            vka_logf(log, VKA_LOG_WARN, "source=previous of --control: every frame is made alone, so no motion module takes part");
        return VKA_OK;
    }
    s->motion_path = find_motion(s, use_manifest, &found);
    if (!s->motion_path) {
        if (found.status != VKA_OK) {
            if (err)
                *err = found;
            return found.status;
        }
        if (use_manifest && !(s->job->motion && !strcmp(s->job->motion, "none")))
            vka_logf(log, VKA_LOG_WARN,
                     "no motion module: the frames will not belong together (give one with --motion)");
        return VKA_OK;
    }
    vka_status st = vka_motion_open(&s->motion, s->motion_path, err);
    bool forced = st == VKA_OK && strcmp(family, "auto") != 0 && vka_motion_variant_from_name(family, &v);
    if (st == VKA_OK)
        st = vka_motion_fits(s->motion, s->unet, err);
    if (st != VKA_OK)
        return st;
    if (forced)
        vka_motion_set_family(s->motion, v);
    s->motion_info = vka_motion_describe(s->motion);
    return s->motion_info->needs_picture && !forced ? refuse_picture(s, err) : VKA_OK;
}

/* What the family of a distilled module recommends, where the user says nothing: vka_setup_recommended finds it. */
static vka_status recommend(struct vka_setup *s, vka_error *err)
{
    const vka_motion_info *m = s->motion_info;
    if (!m || !m->sampler)
        return VKA_OK;
    json_t *o = json_pack("{s:i, s:f}", "steps", (int)m->steps, "cfg", m->cfg);
    bool whole = o != NULL;
    if (o && m->original_steps)
        whole = json_object_set_new(o, "original-steps", json_integer(m->original_steps)) == 0;
    whole = whole && json_object_set_new(o, "sampler", json_string(m->sampler)) == 0;
    s->family = o;
    return whole ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

static void decide_norms(struct vka_setup *s)
{
    const char *norm = s->job->norm ? s->job->norm : "auto";
    if (s->motion_idle)
        s->norms = (struct vka_net_norms){0};
    else if (!strcmp(norm, "diffusers"))
        s->norms = (struct vka_net_norms){.motion_joint = true};
    else
        s->norms = (struct vka_net_norms){.resnet_joint = s->motion_info && s->motion_info->norm_frames_resnet};
}

vka_status vka_setup_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err)
{
    vka_status st = open_motion(s, use_manifest, log, err);
    if (st == VKA_OK && use_manifest) /* a clip is made */
        st = recommend(s, err);
    const char *effect = s->job->motion_effect;
    if (st == VKA_OK && !s->motion && (effect || s->job->motion_scale))
        vka_logf(log, VKA_LOG_WARN, "--motion-%s changes nothing without a motion module", effect ? "effect" : "scale");
    s->motion_idle = s->motion && effect && vka_values_parse("", effect, 0, 0, 0, NULL, NULL) == VKA_OK;
    decide_norms(s);
    return st;
}

vka_status vka_setup_motion_misfit(const struct vka_setup *s, vka_error *err)
{
    const char *family = vka_model_family(s->model), *given = s->job->motion;
    vka_motion *m = NULL;
    char *path = family && !strcmp(family, "sdxl") && given && *given && strcmp(given, "none")
                     ? vka_find_model(VKA_LIBRARY_MOTION, given, NULL)
                     : NULL;
    if (err && path && vka_motion_open(&m, path, NULL) == VKA_OK &&
        !vka_motion_is_sdxl(vka_motion_describe(m)->variant))
        vka_error_why(err, "and '%s' is a motion module for SD1.5 (%s), which would not fit it", given,
                      vka_motion_variant_name(vka_motion_describe(m)->variant));
    vka_motion_close(m);
    free(path);
    return VKA_E_INPUT;
}

/* ---- how much the module does --------------------------------------------------------------------------------- */

/* NULL: 1 throughout, or out of memory. */
static float *amounts(const char *option, const char *text, uint32_t frames, bool closed, vka_status *st, vka_error *err)
{
    double *values = vka_calloc(frames, sizeof *values);
    float *out = vka_calloc(frames, sizeof *out);
    bool ones = true;
    *st = values && out ? vka_amount_parse(option, text, frames, closed, values, err)
                        : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; *st == VKA_OK && i < frames; i++) {
        out[i] = (float)values[i];
        ones = ones && out[i] == 1.0f;
    }
    free(values);
    if (*st == VKA_OK && !ones)
        return out;
    free(out);
    return NULL;
}

vka_status vka_setup_amounts(const struct vka_setup *s, uint32_t frames, float **scale, float **effect, vka_error *err)
{
    const struct vka_job *j = s->job;
    vka_status st = VKA_OK;
    *scale = *effect = NULL;
    if (!s->motion || s->motion_idle)
        return VKA_OK;
    if (j->motion_scale)
        *scale = amounts("motion-scale", j->motion_scale, frames, vka_setup_closed(s), &st, err);
    if (st == VKA_OK && j->motion_effect)
        *effect = amounts("motion-effect", j->motion_effect, frames, vka_setup_closed(s), &st, err);
    return st;
}
