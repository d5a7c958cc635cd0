/* windows.h - context windows: a clip longer than a motion module's table goes through the network in windows of
 * frames that overlap, another set of them in every step, and what is predicted for a frame in several windows is
 * merged.  Scalars and plain arrays on the CPU.
 *
 * Schedule `uniform-standard`, as ComfyUI-AnimateDiff-Evolved has it (reference: its users' clips come out alike).
 * With F frames, windows of L, a stride and an overlap, in step s: o(s) is s with its 64 bits reversed, over 2^64
 * (0, 1/2, 1/4, 3/4, 1/8 ..); pad = F o(s), halves rounded to even.  For each spacing d = 1, 2, 4 .. of which there
 * are min(stride, ceil(log2(F / L)) + 1): windows (j, j + d .. j + (L - 1) d) mod F with j from floor(o(s) d) + pad
 * up to, not including, F + pad - overlap in hops of L d - overlap.  None wraps: a window that rolls over the end is
 * shifted so that it ends with the clip, and where the next window of the list (behind the last: the first) does not
 * hold the frame at which it rolled over, a window of L frames in a row from that one on comes next.  A window that
 * equals an earlier one is dropped. Two things that the rule leaves open: a spacing whose windows are wider than the
 * clip is left out; frames that are in no window (rare, and only with a stride) get windows of frames in a row
 * behind the others.
 *
 * Merge `flat`: the mean of a frame's predictions, summed in fp32 in the order of the windows. */
#ifndef VKA_SAMPLE_WINDOWS_H
#define VKA_SAMPLE_WINDOWS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vka_window_schedule { VKA_WINDOWS_UNIFORM_STANDARD } vka_window_schedule;
typedef enum vka_window_merge { VKA_MERGE_FLAT } vka_window_merge;

/* Names as in --context-schedule and --context-merge; VKA_E_USAGE tells apart a name that nobody uses from one that
 * is known and not built. */
vka_status vka_window_schedule_from_name(const char *name, vka_window_schedule *out, vka_error *err);
vka_status vka_window_merge_from_name(const char *name, vka_window_merge *out, vka_error *err);
const char *vka_window_schedule_name(vka_window_schedule schedule);
const char *vka_window_merge_name(vka_window_merge merge);

struct vka_window_params {
    uint32_t length;  /* frames of a window; 0: no windows, the clip is one piece */
    uint32_t stride;  /* >= 1: how many spacings there are at most */
    uint32_t overlap; /* frames that neighbours share, less than `length` */
};

/* The windows of one step, in the order in which they run. */
struct vka_windows {
    uint32_t frames, length, count; /* length: min(params.length, frames); every window has that many */
    size_t capacity;
    int32_t *frame; /* [count][length] frame numbers, ascending in a window */
    uint32_t *hits; /* [frames] windows that hold the frame, >= 1 */
};

/* Fills *w, which is zeroed or of an earlier step (its memory is used again).  frames >= 1.  VKA_E_USAGE for
 * parameters out of range, VKA_E_MEMORY. */
vka_status vka_windows_make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step,
                            vka_error *err);
void vka_windows_free(struct vka_windows *w); /* zeroed ones are fine */

/* Merges what the network predicts in window k, x [length][n], into sum [frames][n]: a frame's first window is
 * copied.  The windows of a step are added once each, in order, seen [frames] being all zero before the first. */
void vka_windows_add(const struct vka_windows *w, uint32_t k, const float *x, size_t n, float *sum, uint32_t *seen);
/* Sums to means; of a frame in one window no bit changes. */
void vka_windows_mean(const struct vka_windows *w, size_t n, float *sum);

#endif
