/* between.h - frames between two of a clip, as a stage: planned on its own, one pair of pictures at a time, so that its memory
 * does not grow with the clip.  The method is that of ops/flow.h; no model is needed. */
#ifndef VKA_RENDER_BETWEEN_H
#define VKA_RENDER_BETWEEN_H

#include "render/netrun.h"

struct vka_between_stage {
    struct vka_netrun run;
    struct vka_ends ends;
    uint32_t frames; /* between two: N - 1 */
    uint32_t height, width;
    struct vka_io io;
};

/* `frames` >= 1 pictures of height x width between two. */
vka_status vka_between_stage_build(struct vka_between_stage *s, uint32_t frames, uint32_t height, uint32_t width,
                                   const struct vka_kernel_table *table, vka_error *err);
/* As of the other stages, see stages.h: *need is the device memory of the whole stage. */
vka_status vka_between_stage_ask(struct vka_between_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
vka_status vka_between_stage_start(struct vka_between_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);
/* first, second [h, w, 3] in bytes -> out [frames, h, w, 3], the first of them next to `first`.  The same two pictures give the
 * same bits, whatever was run before; of two equal ones every frame is a copy. */
vka_status vka_between_stage_run(struct vka_between_stage *s, const uint8_t *first, const uint8_t *second, uint8_t *out,
                                 const vka_ticker *ticker, vka_error *err);
void vka_between_stage_end(struct vka_between_stage *s); /* zeroed ones are fine */

/* The order of the frames in a file.  A clip of F rendered frames and N of each has (F - 1) N + 1, or F N where it is `closed`:
 * between the last and the first there are some then, too. */
struct vka_between_order {
    uint32_t frames; /* F */
    uint32_t each;   /* N, 1: none are between */
    bool closed;
};
uint32_t vka_between_count(const struct vka_between_order *o);
/* Pairs with frames between them, (i, i + 1) and of a closed clip (F - 1, 0); 0 where N is 1. */
uint32_t vka_between_pairs(const struct vka_between_order *o);
/* What frame `index` of the file is: *rendered, or between two: the pair's number and which of its N - 1; returns which. */
bool vka_between_frame(const struct vka_between_order *o, uint32_t index, uint32_t *rendered_or_pair, uint32_t *which);

#endif
