/* setup_freenoise.c - --freenoise: the windows inside the motion modules' attention.  See setup.h. */
#include "render/setup_parts.h"

#include <string.h>

/* Options of windows around the network. */
static const char *const around[] = {"context-stride", "context-schedule", "loop"};

vka_status vka_setup_freenoise(const struct vka_setup *s, struct vka_frame_windows *out, vka_error *err)
{
    const struct vka_job *j = s->job;
    const vka_motion_info *m = s->motion_info;
    *out = (struct vka_frame_windows){0};
    if (!j->freenoise)
        return VKA_OK;
    if (!m) {
        vka_fail(err, VKA_E_USAGE, "--freenoise is for motion modules, and there is none");
        vka_error_hint(err, "--motion FILE");
        return VKA_E_USAGE;
    }
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        if (vka_job_has(j, around[i]) && !(i == 2 && j->loop && !strcmp(j->loop, "off"))) {
            vka_fail(err, VKA_E_USAGE, "--%s is for windows around the network, which a clip with --freenoise does not go through in",
                     around[i]);
            vka_error_hint(err, "one of the two");
            return VKA_E_USAGE;
        }
    const char *merge = vka_job_has(j, "context-merge") && j->context_merge ? j->context_merge : "pyramid";
    bool flat = !strcmp(merge, "flat");
    if (!flat && strcmp(merge, "pyramid") != 0) {
        vka_fail(err, VKA_E_USAGE, "--context-merge %s is for windows around the network", merge);
        vka_error_hint(err, "with --freenoise pyramid, its default, or flat");
        return VKA_E_USAGE;
    }
    uint32_t trained = m->window ? m->window : 16;
    uint32_t length = vka_job_has(j, "context-length") ? (uint32_t)j->context_length : trained;
    if (m->pe_length && length > m->pe_length) {
        vka_fail(err, VKA_E_USAGE, "--context-length %u is more than the %u frames of the motion module's positional table", length,
                 m->pe_length);
        vka_error_hint(err, "--context-length %u would do", trained);
        return VKA_E_USAGE;
    }
    uint32_t hop = vka_max_u32(length / 4, 1);
    uint32_t overlap = vka_job_has(j, "context-overlap") ? (uint32_t)j->context_overlap : length - hop;
    if (overlap >= length) {
        vka_fail(err, VKA_E_USAGE, "--context-overlap %u is not less than the %u frames of a context window", overlap, length);
        vka_error_hint(err, "%u would do", length - hop);
        return VKA_E_USAGE;
    }
    *out = (struct vka_frame_windows){.length = length, .hop = length - overlap, .flat = flat};
    return VKA_OK;
}
