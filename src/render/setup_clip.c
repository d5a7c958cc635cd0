/* setup_clip.c - size, length and context windows of a clip.  See setup.h. */
#include "render/setup_parts.h"

enum { MADE_TABLE = 64 }; /* frames in one piece where no table says how many: what AnimateLCM's authors make of the formula */

/* Frames that a module was trained on: what its windows have unless told otherwise. */
static uint32_t trained_length(const vka_motion_info *m)
{
    return m && m->window ? m->window : 16;
}

/* In windows is made what is longer than the module's table, and what --context-length says.  Without a module frames
 * know nothing of each other: windows, without overlap, change no bit and keep the memory small. */
static vka_status decide_windows(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    const vka_motion_info *m = s->motion_idle ? NULL : s->motion_info;
    uint32_t most = m && m->pe_length ? m->pe_length : MADE_TABLE;
    bool given = vka_job_has(j, "context-length");
    struct vka_window_params w = {given ? (uint32_t)j->context_length : trained_length(m), (uint32_t)j->context_stride, 0};
    vka_status st = vka_window_schedule_from_name(j->context_schedule ? j->context_schedule : "uniform-standard",
                                                  &s->window_schedule, err);
    if (st == VKA_OK)
        st = vka_window_merge_from_name(j->context_merge ? j->context_merge : "flat", &s->window_merge, err);
    if (st != VKA_OK)
        return st;
    if (m && w.length > most) {
        vka_fail(err, VKA_E_USAGE,
                 "--context-length %u is more than the %u frames of the motion module's positional table", w.length, most);
        vka_error_hint(err, "--context-length %u would do", trained_length(m));
        return VKA_E_USAGE;
    }
    w.overlap = vka_job_has(j, "context-overlap") ? (uint32_t)j->context_overlap : m ? w.length / 4 : 0;
    if (s->frames <= w.length || (!given && s->frames <= most))
        return VKA_OK;
    if (w.overlap >= w.length) {
        vka_fail(err, VKA_E_USAGE, "--context-overlap %u is not less than the %u frames of a context window", w.overlap,
                 w.length);
        vka_error_hint(err, "%u would do", w.length / 4);
        return VKA_E_USAGE;
    }
    s->windows = w;
    return VKA_OK;
}

vka_status vka_setup_resize(struct vka_setup *s, uint32_t width, uint32_t height, uint32_t frames, vka_error *err)
{
    s->width = width;
    s->height = height;
    s->frames = frames;
    s->windows = (struct vka_window_params){0};
    return decide_windows(s, err);
}

vka_status vka_setup_clip(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    uint32_t trained = s->unet->sample_size ? s->unet->sample_size * s->factor : 512;
    s->width = vka_job_has(j, "width") ? (uint32_t)j->width : (uint32_t)vka_setup_recommended_number(s, "width", trained);
    s->height = vka_job_has(j, "height") ? (uint32_t)j->height : (uint32_t)vka_setup_recommended_number(s, "height", trained);
    s->frames = (uint32_t)(vka_job_has(j, "frames") ? (double)j->frames : vka_setup_recommended_number(s, "frames", (double)j->frames));
    s->fps = vka_job_has(j, "fps") ? j->fps : vka_setup_recommended_number(s, "fps", j->fps);
    s->cfg = vka_job_has(j, "cfg") ? j->cfg : vka_setup_recommended_number(s, "cfg", j->cfg);
    s->count = (uint32_t)j->count;
    const char *names[] = {"width", "height"};
    for (int i = 0; i < 2; i++) {
        uint32_t v = i ? s->height : s->width;
        if (!v || v % s->factor) {
            vka_fail(err, VKA_E_USAGE, "--%s %u is not a multiple of %u", names[i], v, s->factor);
            vka_error_why(err, "one latent pixel of this model is %u x %u pixels", s->factor, s->factor);
            vka_error_hint(err, "%u would do", vka_max_u32(vka_div_up(v, s->factor), 1) * s->factor);
            return VKA_E_USAGE;
        }
    }
    return decide_windows(s, err);
}
