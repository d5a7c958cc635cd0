/* nearest.h - what would fit, where a clip does not: fewer frames, a smaller picture, more memory.
 *
 * Found by planning, so what is named does fit, on the same machine in the same state.  Takes a few seconds at most. */
#ifndef VKA_RENDER_NEAREST_H
#define VKA_RENDER_NEAREST_H

#include <stddef.h>
#include <stdint.h>

struct vka_work;

/* What does not help is 0; planned bytes are device memory of the smallest plan (of one that fits, where the smallest takes too
 * much of the host's). */
struct vka_nearest {
    uint32_t frames; /* the most that fit, at the same size */
    uint64_t frames_planned;
    uint32_t width, height; /* the largest of the same shape that fits, for as many frames */
    uint64_t size_planned;
    uint64_t budget; /* bytes of device memory, whole MiB: the least that the clip fits, if the device has them */
    uint64_t budget_planned;
};

/* For a work that is planned and does not fit; its plan stays. */
void vka_nearest_find(const struct vka_work *w, struct vka_nearest *out);
/* "--vram 444M, --frames 8, or --width 384 --height 384" */
void vka_nearest_hint(const struct vka_work *w, const struct vka_nearest *n, char *out, size_t size);

#endif
