/* setup_clip.c - size, length and context windows of a clip.  See setup.h. */
#include "render/setup_parts.h"

enum { MADE_TABLE = 64 }; /* frames in one piece where no table says how many: what AnimateLCM's authors make of the formula */

/* Frames that a module was trained on: what its windows have unless told otherwise. */
static uint32_t trained_length(const vka_motion_info *m)
{
    return m && m->window ? m->window : 16;
}

/* Schedule, merge and loop of the windows: a clip that loops takes the schedule whose windows cross its end. */
static vka_status decide_schedule(struct vka_setup *s, struct vka_window_params *w, vka_error *err)
{
    const struct vka_job *j = s->job;
    bool given = vka_job_has(j, "context-schedule") && j->context_schedule;
    vka_status st = vka_loop_from_name(j->loop ? j->loop : "off", &s->loop, err);
    if (st == VKA_OK)
        st = vka_window_schedule_from_name(given ? j->context_schedule : s->loop ? "uniform" : "uniform-standard", &w->schedule, err);
    if (st == VKA_OK)
        st = vka_window_merge_from_name(j->context_merge ? j->context_merge : "flat", &w->merge, err);
    if (st != VKA_OK || s->loop == VKA_LOOP_OFF || w->schedule == VKA_WINDOWS_UNIFORM)
        return st;
    vka_fail(err, VKA_E_USAGE, "--context-schedule %s has no windows that cross the clip's end, which --loop %s needs",
             vka_window_schedule_name(w->schedule), vka_loop_name(s->loop));
    vka_error_hint(err, "--context-schedule uniform, or without the option");
    return VKA_E_USAGE;
}

static vka_status too_much_overlap(const struct vka_window_params *w, vka_error *err)
{
    vka_fail(err, VKA_E_USAGE, "--context-overlap %u is not less than the %u frames of a context window", w->overlap, w->length);
    vka_error_hint(err, "%u would do", w->length / 4);
    return VKA_E_USAGE;
}

/* How the noise of frames is related, by the windows `w` that the clip has or would have. */
static vka_status decide_noise(struct vka_setup *s, const struct vka_window_params *w, vka_error *err)
{
    const struct vka_job *j = s->job;
    const char *kind = j->freenoise && !j->noise && !vka_job_has(j, "noise-kind") ? "shuffled" : j->noise_kind;
    vka_status st = vka_noise_kind_from_name(kind ? kind : "random", &s->noise_kind, err);
    if (st != VKA_OK || s->noise_kind == VKA_NOISE_KIND_RANDOM)
        return st;
    if (j->noise) {
        vka_fail(err, VKA_E_USAGE, "--noise-kind %s is for noise that is drawn, and --noise gives it",
                 vka_noise_kind_name(s->noise_kind));
        vka_error_hint(err, "leave one of them out");
        return VKA_E_USAGE;
    }
    if (s->noise_kind == VKA_NOISE_KIND_SHUFFLED && w->overlap >= w->length)
        return too_much_overlap(w, err);
    s->noise_length = w->length;
    s->noise_stride = w->overlap < w->length ? w->length - w->overlap : w->length;
    return VKA_OK;
}

/* In windows is made what is longer than the module's table, what --context-length says, and what loops, if there is as much as
 * one window of it.  Without a module frames know nothing of each other: windows, without overlap, change no bit and keep the
 * memory small, and an end that is a beginning makes no difference to them. */
static vka_status decide_windows(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    if (j->freenoise) {
        vka_status done = vka_setup_freenoise(s, &s->motion_windows, err);
        const struct vka_frame_windows *f = &s->motion_windows;
        return done == VKA_OK ? decide_noise(s, &(struct vka_window_params){.length = f->length, .overlap = f->length - f->hop}, err)
                              : done;
    }
    const vka_motion_info *m = s->motion_idle ? NULL : s->motion_info;
    uint32_t most = m && m->pe_length ? m->pe_length : MADE_TABLE;
    bool given = vka_job_has(j, "context-length");
    struct vka_window_params w = {.length = given ? (uint32_t)j->context_length : trained_length(m),
                                  .stride = (uint32_t)j->context_stride,
                                  .seed = s->seed};
    vka_status st = decide_schedule(s, &w, err);
    if (st != VKA_OK)
        return st;
    if (m && w.length > most) {
        vka_fail(err, VKA_E_USAGE,
                 "--context-length %u is more than the %u frames of the motion module's positional table", w.length, most);
        vka_error_hint(err, "--context-length %u would do", trained_length(m));
        return VKA_E_USAGE;
    }
    bool neighbours = w.schedule != VKA_WINDOWS_BATCHED && w.schedule != VKA_WINDOWS_SHUFFLE;
    w.overlap = vka_job_has(j, "context-overlap") ? (uint32_t)j->context_overlap : m && neighbours ? w.length / 4 : 0;
    w.looped = m && s->loop != VKA_LOOP_OFF;
    w.closed = m && s->loop == VKA_LOOP_ALWAYS;
    st = decide_noise(s, &w, err);
    if (s->by_frame) { /* what differs over the frames is of one at a time */
        s->windows = (struct vka_window_params){.length = 1, .stride = 1, .schedule = VKA_WINDOWS_BATCHED, .seed = s->seed};
        return st;
    }
    if (st != VKA_OK || !vka_windows_split(&w, s->frames) || (!given && !w.looped && s->frames <= most))
        return st;
    if (w.overlap >= w.length)
        return too_much_overlap(&w, err);
    s->windows = w;
    return VKA_OK;
}

vka_status vka_setup_resize(struct vka_setup *s, uint32_t width, uint32_t height, uint32_t frames, vka_error *err)
{
    s->width = width;
    s->height = height;
    s->frames = frames;
    vka_setup_hires_size(s);
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
    vka_status st = decide_windows(s, err);
    if (st == VKA_OK && s->loop != VKA_LOOP_OFF && !s->windows.length && s->motion_info && !s->motion_idle)
        vka_logf(s->log, VKA_LOG_WARN,
                 "--loop %s: %u frames are fewer than one context window has, so that no window crosses the end and the motion does "
                 "not close; --context-length %u would do",
                 vka_loop_name(s->loop), s->frames, s->frames);
    return st;
}
