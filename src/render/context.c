/* context.c - see context.h and vkanim.h. */
#include "render/context.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

const char *vka_version(void) { return VKANIM_VERSION; }

unsigned vka_api_version(void) { return VKA_API_VERSION; }

void vka_free(void *text) { free(text); }

static void write_log(void *user, int level, const char *text)
{
    struct vka_context *cx = user;
    cx->params.log(cx->params.user, (vka_level)level, text);
}

static int tick(void *user)
{
    struct vka_context *cx = user;
    if (cx->params.progress && cx->now.stage && vka_now() - cx->last_report > 0.5)
        vka_context_done(cx, cx->now.done);
    return atomic_load(&cx->cancelled);
}

vka_status vka_context_create(vka_context **out, const vka_context_params *params, vka_error *err)
{
    struct vka_context *cx = calloc(1, sizeof *cx);
    *out = cx;
    if (!cx)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (params)
        cx->params = *params;
    if (cx->params.log)
        cx->log = (vka_log){write_log, cx, (int)cx->params.level};
    cx->ticker = (vka_ticker){tick, cx};
    atomic_init(&cx->cancelled, 0);
    return VKA_OK;
}

void vka_context_destroy(vka_context **context)
{
    if (context) {
        free(*context);
        *context = NULL;
    }
}

void vka_cancel(vka_context *context) { atomic_store(&context->cancelled, 1); }

bool vka_context_cancelled(const struct vka_context *cx) { return atomic_load(&cx->cancelled) != 0; }

void vka_context_begin(struct vka_context *cx)
{
    cx->now = (vka_progress){.clips = 1, .eta_s = -1};
    cx->call_began = cx->stage_began = vka_now();
    cx->cautious = false;
}

static void report(struct vka_context *cx)
{
    double now = vka_now();
    cx->last_report = now;
    if (!cx->params.progress)
        return;
    cx->now.elapsed_s = now - cx->call_began;
    cx->now.eta_s = cx->now.done ? cx->now.per_item_s * (cx->now.total - cx->now.done) : -1;
    if (cx->gpu) {
        uint64_t peak;
        cx->now.device_bytes = vka_gpu_device_bytes(cx->gpu, &peak);
        cx->now.device_peak_bytes = peak;
    }
    cx->params.progress(cx->params.user, &cx->now);
}

void vka_context_stage(struct vka_context *cx, const char *stage, unsigned total)
{
    cx->now.stage = stage;
    cx->now.done = 0;
    cx->now.total = total;
    cx->now.per_item_s = 0;
    cx->stage_began = vka_now();
    report(cx);
}

void vka_context_done(struct vka_context *cx, unsigned done)
{
    if (done != cx->now.done) {
        cx->now.done = done;
        cx->now.per_item_s = done ? (vka_now() - cx->stage_began) / done : 0;
    }
    report(cx);
}

vka_status vka_context_open_gpu(struct vka_context *cx, const char *device, vka_gpu **gpu, vka_error *err)
{
    char *cache = vka_cache_dir();
    vka_gpu_params p = {.device = device, .validation = cx->params.validation != 0, .cache_dir = cache, .log = cx->log,
                        .cautious = cx->cautious,
                        .timers = cx->params.log && cx->params.level >= VKA_LEVEL_INFO};
    vka_status s = vka_gpu_create(gpu, &p, err);
    free(cache);
    cx->gpu = s == VKA_OK ? *gpu : NULL;
    return s;
}
