/* hints.h - preprocessors of control hints, as a stage: planned on its own, one picture at a time. */
#ifndef VKA_RENDER_HINTS_H
#define VKA_RENDER_HINTS_H

#include "nets/hints.h"
#include "render/netrun.h"

struct vka_hints_stage {
    struct vka_netrun run;
    struct vka_ends ends;
    uint32_t height, width;
    struct vka_io io;
};

/* Pictures of height x width. */
vka_status vka_hints_stage_build(struct vka_hints_stage *s, const struct vka_hint_params *p, uint32_t height, uint32_t width,
                                 const struct vka_kernel_table *table, vka_error *err);
/* As of the other stages, see stages.h: *need is the device memory of the whole stage. */
vka_status vka_hints_stage_ask(struct vka_hints_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
vka_status vka_hints_stage_start(struct vka_hints_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);
/* rgb_in [h, w, 3] -> rgb_out [h, w, 3], which may be the same memory. */
vka_status vka_hints_stage_run(struct vka_hints_stage *s, const uint8_t *rgb_in, uint8_t *rgb_out, const vka_ticker *ticker,
                               vka_error *err);
void vka_hints_stage_end(struct vka_hints_stage *s); /* zeroed ones are fine */

#endif
