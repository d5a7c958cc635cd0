/* windows.h - context windows: a clip longer than a motion module's table goes through the network in windows of
 * frames that overlap, another set of them in every step, and what is predicted for a frame in several windows is
 * merged.  Scalars and plain arrays on the CPU.
 *
 * Below are F frames, windows of L, a stride and an overlap.  Every window has L frames, since the network's graph has one
 * length; a clip of F <= L is one window in order, of F frames.  The schedules, in step s:
 *
 * `uniform-standard` (ComfyUI-AnimateDiff-Evolved): o(s) is s with its 64 bits reversed, over 2^64 (0, 1/2, 1/4, 3/4, 1/8 ..);
 * pad = F o(s), halves rounded to even.  For each spacing d = 1, 2, 4 .. of which there are min(stride, ceil(log2(F / L)) + 1):
 * windows (j, j + d .. j + (L - 1) d) mod F with j from floor(o(s) d) + pad up to, not including, F + pad - overlap in hops of
 * L d - overlap.  None wraps: a window that rolls over the end is shifted so that it ends with the clip, and where the next
 * window of the list (behind the last: the first) does not hold the frame at which it rolled over, a window of L frames in a
 * row from that one on comes next.  A window that equals an earlier one is dropped.  Two things that the rule leaves open: a
 * spacing whose windows are wider than the clip is left out; frames that are in no window (rare, and only with a stride) get
 * windows of frames in a row behind the others.
 *
 * `uniform` (AnimateDiff-CLI, the A1111 extension, ADE's "looped"): the same windows as they are, in their own order: they wrap
 * round the clip's end, the wider ones also more than once, and may then hold a frame twice.  `closed`: j goes up to F + pad.
 * `looped` says that the clip's end is its beginning: F = L is then rotated by pad too (ADE's rule has < where the others' has
 * <=), with `closed` in several windows.
 *
 * `static` (ADE's static standard): j = 0, L - overlap, .. and the last window is the clip's last L frames.
 * `batched` (ADE): windows without overlap; the last one is the clip's last L frames (ADE's is shorter).
 * `shuffle` (AnimateDiff-CLI): a permutation of the frames, cut in windows, the last one filled up from its beginning; frames
 * ascend within a window.  The permutation is torch.randperm(F) of torch's CPU generator with seed (seed + s 2654435769) mod 2^32.
 *
 * Merges, as weights w of position i = 0 .. n - 1 of a window; a frame becomes sum(w x) / sum(w) over its windows:
 * `flat` 1.  `pyramid` 1 .. n/2, n/2 .. 1, an odd n with one peak (ADE, FreeNoise).  `overlap-linear` 1, but over the first and
 * last `overlap` frames a line from 1e-37 to 1 and back; none at a clip's first and last frame, while a loop has none (ADE).
 * `relative` max(0.01, 1 - |i - c| / ((n - 1 + 0.01) / 2)) around the centre c = (n - 1) / 2: what ADE's running blend comes to.
 * `last` (the A1111 extension): a frame's last window has all of it.  Of a frame that a window holds twice only the last
 * place counts: a prediction that would be written twice is, in all of these programs, the one written last. */
#ifndef VKA_SAMPLE_WINDOWS_H
#define VKA_SAMPLE_WINDOWS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vka_window_schedule {
    VKA_WINDOWS_UNIFORM_STANDARD,
    VKA_WINDOWS_UNIFORM,
    VKA_WINDOWS_STATIC,
    VKA_WINDOWS_BATCHED,
    VKA_WINDOWS_SHUFFLE
} vka_window_schedule;
typedef enum vka_window_merge {
    VKA_MERGE_FLAT,
    VKA_MERGE_PYRAMID,
    VKA_MERGE_OVERLAP_LINEAR,
    VKA_MERGE_RELATIVE,
    VKA_MERGE_LAST
} vka_window_merge;

/* How a clip's end goes over into its beginning, the A1111 extension's N, R-P, R+P and A.  REDUCED: windows cross the end.
 * FULL: and prompts that travel come back to the first.  ALWAYS: and windows are closed, so that as many cross the end as any
 * other place. */
typedef enum vka_loop { VKA_LOOP_OFF, VKA_LOOP_REDUCED, VKA_LOOP_FULL, VKA_LOOP_ALWAYS } vka_loop;

/* Names as in --context-schedule, --context-merge and --loop; VKA_E_USAGE for others. */
vka_status vka_window_schedule_from_name(const char *name, vka_window_schedule *out, vka_error *err);
vka_status vka_window_merge_from_name(const char *name, vka_window_merge *out, vka_error *err);
vka_status vka_loop_from_name(const char *name, vka_loop *out, vka_error *err);
const char *vka_window_schedule_name(vka_window_schedule schedule);
const char *vka_window_merge_name(vka_window_merge merge);
const char *vka_loop_name(vka_loop loop);
/* As the A1111 extension has them: "N", "R-P", "R+P", "A". */
const char *vka_loop_letters(vka_loop loop);

struct vka_window_params {
    uint32_t length;  /* frames of a window; 0: no windows, the clip is one piece */
    uint32_t stride;  /* >= 1: how many spacings there are at most; uniform schedules */
    uint32_t overlap; /* frames that neighbours share, less than `length`; not of `batched` and `shuffle` */
    vka_window_schedule schedule;
    vka_window_merge merge;
    bool looped, closed; /* schedule `uniform` only */
    uint64_t seed;       /* of `shuffle`: the clip's */
};

/* Whether a clip goes through the network in windows, rather than in one piece. */
bool vka_windows_split(const struct vka_window_params *p, uint32_t frames);

/* The windows of one step, in the order in which they run. */
struct vka_windows {
    uint32_t frames, length, count; /* length: min(params.length, frames); every window has that many */
    size_t capacity, weight_capacity;
    int32_t *frame; /* [count][length] frame numbers; they ascend in a window unless the schedule is `uniform` */
    float *weight;  /* [count][length] share of this prediction in its frame's: 1 together, and 1 where there is one window.
                       0 of a place whose frame comes again in its window, or that the merge leaves out: not to be added */
    uint32_t *hits; /* [frames] windows that hold the frame, >= 1 */
};

/* Fills *w, which is zeroed or of an earlier step (its memory is used again).  frames >= 1.  VKA_E_USAGE for
 * parameters out of range, VKA_E_MEMORY. */
vka_status vka_windows_make(struct vka_windows *w, const struct vka_window_params *p, uint32_t frames, uint32_t step,
                            vka_error *err);
void vka_windows_free(struct vka_windows *w); /* zeroed ones are fine */

#endif
