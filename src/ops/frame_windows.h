/* frame_windows.h - windows of frames inside temporal attention: FreeNoise (Qiu et al. 2023), equation 9.
 *
 * A clip of F frames goes through a motion module in one piece; its attention sees windows of `length` frames, the next one
 * `hop` frames behind the one before.  Where the last of these does not end with the clip, one more does.  Windows that share
 * no frame are one phase: phase p of the first ceil(length / hop) has windows p, p + ceil(length / hop), ...; a window moved to
 * the clip's end is the last phase by itself.  What the windows make of a frame is merged by weight, rising to the window's
 * middle and falling again (1, 2, ... 2, 1), or equal.
 *
 * Pure numbers: no graph, no device. */
#ifndef VKA_OPS_FRAME_WINDOWS_H
#define VKA_OPS_FRAME_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

/* length 0, or at least F: the clip is one window.  Else 1 <= hop <= length. */
struct vka_frame_windows {
    uint32_t length, hop;
    bool flat; /* equal weights */
};

/* Windows of one phase: `count` of them, from frame `first` on, `every` frames apart; `every` >= length is the same for all
 * phases of a clip. */
struct vka_frame_phase {
    uint32_t length, first, every, count;
};

static inline bool vka_frame_windows_used(const struct vka_frame_windows *w, uint32_t frames)
{
    return w && w->length && w->length < frames;
}
/* Phases of windows that are used. */
uint32_t vka_frame_windows_phases(const struct vka_frame_windows *w, uint32_t frames);
struct vka_frame_phase vka_frame_windows_phase(const struct vka_frame_windows *w, uint32_t frames, uint32_t phase);
/* What a frame takes of phase `phase` when it holds the mean of the phases before: its weight over the sum of theirs and it.
 * Exactly 0 where no window of the phase holds the frame, exactly 1 where none before did. */
float vka_frame_windows_share(const struct vka_frame_windows *w, uint32_t frames, uint32_t phase, uint32_t frame);

#endif
