/* preview.h - previews: what a clip looks like after a step, from its latents. */
#ifndef VKA_RENDER_PREVIEW_H
#define VKA_RENDER_PREVIEW_H

#include <stdint.h>
#include <vkanim/vkanim.h>

/* Of `total` frames, `shown` of them evenly chosen: which is number i. */
static inline uint32_t vka_preview_frame(uint32_t total, uint32_t shown, uint32_t i)
{
    return (uint32_t)((uint64_t)i * total / shown);
}

#endif
