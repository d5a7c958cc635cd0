/* setup_guidance.c - guidance of a job: its scale in each step, rescaling, perturbed attention.  See setup.h. */
#include "render/setup_parts.h"

#include "base/mem.h"
#include "sample/values.h"

#include <stdlib.h>

bool vka_setup_closed(const struct vka_setup *s)
{
    return s->loop == VKA_LOOP_FULL || s->loop == VKA_LOOP_ALWAYS;
}

/* --cfg-frames: a scale for each frame, in all steps.  Where they are all the same it is --cfg, to the bit. */
static vka_status decide_frames(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    if (j->cfg_schedule && *j->cfg_schedule)
        return vka_fail(err, VKA_E_USAGE, "--cfg-frames and --cfg-schedule do not go together: a scale changes over the frames or "
                                          "over the steps");
    s->cfg_frames = vka_calloc(s->frames, sizeof *s->cfg_frames);
    if (!s->cfg_frames)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st = vka_values_parse_loop("--cfg-frames", j->cfg_frames, 0, 1000, s->frames, vka_setup_closed(s), s->cfg_frames, err);
    uint32_t same = 0;
    while (st == VKA_OK && same < s->frames && s->cfg_frames[same] == s->cfg_frames[0])
        same++;
    if (st == VKA_OK && same == s->frames) {
        s->cfg = s->cfg_frames[0];
        free(s->cfg_frames);
        s->cfg_frames = NULL;
    }
    s->cfg_is_one = !s->cfg_frames && s->cfg == 1.0;
    return st;
}

vka_status vka_setup_guidance(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    s->pag = j->pag;
    s->cfg_rescale = j->cfg_rescale;
    s->cfg_is_one = s->cfg == 1.0;
    if (j->cfg_frames && *j->cfg_frames)
        return decide_frames(s, err);
    if (!j->cfg_schedule || !*j->cfg_schedule)
        return VKA_OK;
    uint32_t steps = s->sampling.steps;
    s->cfg_at = vka_calloc(steps, sizeof *s->cfg_at);
    if (!s->cfg_at)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st = vka_values_parse("--cfg-schedule", j->cfg_schedule, 0, 1000, steps, s->cfg_at, err);
    s->cfg_is_one = true;
    for (uint32_t i = 0; st == VKA_OK && i < steps; i++)
        s->cfg_is_one = s->cfg_is_one && s->cfg_at[i] == 1.0;
    return st;
}

double vka_setup_cfg(const struct vka_setup *s, uint32_t step) { return s->cfg_at ? s->cfg_at[step] : s->cfg; }
