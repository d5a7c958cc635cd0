/* context.h - what a call of the library runs in: log, progress, cancellation. */
#ifndef VKA_RENDER_CONTEXT_H
#define VKA_RENDER_CONTEXT_H

#include "base/log.h"
#include "render/exec.h"

#include <stdatomic.h>
#include <vkanim/vkanim.h>

struct vka_context {
    vka_context_params params;
    vka_log log;
    atomic_int cancelled;
    /* progress of the running call */
    double call_began, stage_began;
    vka_progress now;
    vka_gpu *gpu; /* of the running call, for the memory figures */
    vka_ticker ticker;
    double last_report;
    bool cautious; /* devices are opened so: one was lost in this call */
};

/* A call begins: cancellation is forgotten, clocks start. */
void vka_context_begin(struct vka_context *cx);
/* A stage begins with `total` items; reports at once. */
void vka_context_stage(struct vka_context *cx, const char *stage, unsigned total);
/* `done` items of the stage are done; reports. */
void vka_context_done(struct vka_context *cx, unsigned done);
bool vka_context_cancelled(const struct vka_context *cx);

/* Opens the device of a job: pipeline cache in the user's cache folder, timers when the log wants them. */
vka_status vka_context_open_gpu(struct vka_context *cx, const char *device, vka_gpu **gpu, vka_error *err);

#endif
