/* frame_windows.c - see frame_windows.h.
 *
 * The window at the clip's end counts with all of its frames and their own weights, as every other does.  diffusers' block
 * (0.42, FreeNoiseTransformerBlock) takes of it only the frames that no other window holds, divides all of them by the
 * weight of the first, so that with pyramid weights they come out scaled by 1/m ... 1, and fails where the clip is shorter
 * than a window; where the last window ends with the clip by itself it computes what is computed here. */
#include "ops/frame_windows.h"

#include "base/mem.h"

/* Windows that begin at multiples of the hop. */
static uint32_t regular(const struct vka_frame_windows *w, uint32_t frames)
{
    return (frames - w->length) / w->hop + 1;
}

static uint32_t regular_phases(const struct vka_frame_windows *w, uint32_t frames)
{
    return vka_min_u32(vka_div_up(w->length, w->hop), regular(w, frames));
}

uint32_t vka_frame_windows_phases(const struct vka_frame_windows *w, uint32_t frames)
{
    return regular_phases(w, frames) + ((frames - w->length) % w->hop != 0);
}

struct vka_frame_phase vka_frame_windows_phase(const struct vka_frame_windows *w, uint32_t frames, uint32_t phase)
{
    uint32_t side_by_side = vka_div_up(w->length, w->hop);
    struct vka_frame_phase p = {.length = w->length, .first = phase * w->hop, .every = side_by_side * w->hop, .count = 1};
    if (phase >= regular_phases(w, frames))
        p.first = frames - w->length;
    else
        p.count = vka_div_up(regular(w, frames) - phase, side_by_side);
    return p;
}

/* Weight of a frame in the window of the phase that holds it; 0: there is none. */
static uint32_t weight(const struct vka_frame_windows *w, uint32_t frames, uint32_t phase, uint32_t frame)
{
    struct vka_frame_phase p = vka_frame_windows_phase(w, frames, phase);
    if (frame < p.first || (frame - p.first) / p.every >= p.count || (frame - p.first) % p.every >= p.length)
        return 0;
    uint32_t i = (frame - p.first) % p.every;
    return w->flat ? 1 : vka_min_u32(i, p.length - 1 - i) + 1;
}

float vka_frame_windows_share(const struct vka_frame_windows *w, uint32_t frames, uint32_t phase, uint32_t frame)
{
    uint64_t own = weight(w, frames, phase, frame), sum = own;
    for (uint32_t p = 0; own && p < phase; p++)
        sum += weight(w, frames, p, frame);
    return own ? (float)((double)own / (double)sum) : 0;
}
