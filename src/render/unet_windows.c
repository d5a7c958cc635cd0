/* unet_windows.c - one evaluation of a clip whose state is in host memory.  See unet_parts.h.
 *
 * Some windows at a time: the latents of their frames to the device, `begin`, `unet`, `guide`; then the sums of their frames to
 * the device, `merge`, and back.  When all windows are done the sums are the clip's EPS, weights having been shares, and the
 * sampler's pattern goes over it slice by slice.  A frame's terms are added in the order of the windows, however many come at
 * once.  A clip in one piece is one window whose guided output is EPS as it is. */
#include "render/unet_parts.h"

#include <string.h>

/* Where the frames of windows first .. first + n - 1 have their sums, in order of appearance, and the table of what is added to
 * each; places behind get nothing.  Returns how many frames they are; which, in order, in `order`. */
static uint32_t make_table(struct vka_unet_stage *s, uint32_t first, uint32_t n, int32_t *order)
{
    const struct vka_windows *w = &s->windows;
    uint32_t pitch = vka_pitch(2 * s->together), count = 0;
    float *table = (float *)(void *)((char *)s->step->map + vka_unet_merge_at(s));
    for (size_t i = 0; i < (size_t)s->batch * pitch; i++)
        table[i] = i % 2 ? 0.0f : -1.0f;
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < w->length; i++) {
            size_t at = (size_t)(first + k) * w->length + i;
            int32_t f = w->frame[at];
            if (!(w->weight[at] > 0))
                continue;
            if (s->place_of[f] < 0) {
                order[count] = f;
                s->place_of[f] = (int32_t)count++;
            }
            float *row = table + (size_t)s->place_of[f] * pitch;
            while (*row >= 0)
                row += 2;
            row[0] = (float)(k * w->length + i);
            row[1] = w->weight[at];
        }
    for (uint32_t i = 0; i < count; i++)
        s->place_of[order[i]] = -1;
    return count;
}

/* Planes of the clip's frames to a place on the device, and back; `frame` NULL: 0, 1, .. */
static vka_status put_frames(struct vka_unet_stage *s, uint64_t at, enum vka_slot slot, const int32_t *frame, uint32_t n,
                             const uint8_t *only, vka_error *err)
{
    uint32_t c = s->p.config->out_channels, h = s->p.height, w = s->p.width;
    size_t values = (size_t)vka_unet_stage_frame(s), pixels = (size_t)h * w * vka_pitch(c);
    for (uint32_t i = 0; i < n; i++)
        if (only && !only[frame[i]])
            memset(s->pixels + i * pixels, 0, pixels * sizeof *s->pixels);
        else
            vka_planes_to_pixels(s->pixels + i * pixels, s->state[slot] + (size_t)(frame ? (uint32_t)frame[i] : i) * values, 1, c, h, w);
    return vka_block_write(s->gpu, s->block, at, s->pixels, n * pixels * sizeof *s->pixels, err);
}

static vka_status take_frames(struct vka_unet_stage *s, uint64_t at, enum vka_slot slot, const int32_t *frame, uint32_t n,
                              vka_error *err)
{
    uint32_t c = s->p.config->out_channels, h = s->p.height, w = s->p.width;
    size_t values = (size_t)vka_unet_stage_frame(s), pixels = (size_t)h * w * vka_pitch(c);
    vka_status st = vka_block_read(s->gpu, s->block, at, s->pixels, n * pixels * sizeof *s->pixels, err);
    for (uint32_t i = 0; st == VKA_OK && i < n; i++)
        vka_pixels_to_planes(s->state[slot] + (size_t)(frame ? (uint32_t)frame[i] : i) * values, s->pixels + i * pixels, 1, c, h, w);
    return st;
}

/* Windows first .. first + n - 1, added to the clip's EPS.  Where there are fewer than the network takes, its last ones are the
 * last of them once more, and nobody reads what becomes of them. */
static vka_status eval_windows(struct vka_unet_stage *s, uint32_t first, uint32_t n, const vka_ticker *ticker, vka_error *err)
{
    const struct vka_windows *w = &s->windows;
    int32_t *frame = s->frame_of, *order = s->frame_of + s->batch, *index = vka_unet_prompt_index(s);
    for (uint32_t i = 0; i < s->batch; i++)
        frame[i] = w->frame[(size_t)(first + vka_min_u32(i / w->length, n - 1)) * w->length + i % w->length];
    for (uint32_t i = 0; !s->row && i < s->p.branches * s->batch; i++)
        index[i] = s->prompt_of[(size_t)(i / s->batch) * s->p.frames + (uint32_t)frame[i % s->batch]];
    vka_unet_frames_step(s, frame);
    vka_status st = put_frames(s, s->x_at, VKA_SLOT_X, frame, s->batch, NULL, err);
    if (st == VKA_OK && (s->windowed || !s->fed))
        st = vka_unet_frames_feed(s, frame, err);
    s->fed = true;
    if (st == VKA_OK)
        st = vka_exec_run(s->begin.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->unet.exec, s->first, ticker, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->guide.exec, true, ticker, err);
    s->first = s->first && st != VKA_OK;
    if (!s->windowed)
        return st == VKA_OK ? take_frames(s, s->guided_at, VKA_SLOT_EPS, NULL, s->batch, err) : st;
    uint32_t count = make_table(s, first, n, order);
    if (st == VKA_OK)
        st = put_frames(s, s->x_at, VKA_SLOT_EPS, order, count, s->seen, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->merge.exec, true, ticker, err);
    if (st == VKA_OK)
        st = take_frames(s, s->x_at, VKA_SLOT_EPS, order, count, err);
    for (uint32_t i = 0; i < count; i++)
        s->seen[order[i]] = 1;
    return st;
}

/* The sampler's operations on frames first .. first + n - 1 of a parked clip.  What lies behind them on the device
 * is some other frames', and nobody reads what becomes of it. */
static vka_status eval_slice(struct vka_unet_stage *s, const vka_sampler_eval *e, uint32_t first, uint32_t n,
                             const vka_ticker *ticker, vka_error *err)
{
    uint32_t c = s->p.config->out_channels, h = s->p.height, wd = s->p.width, written = 0;
    size_t at = first * (size_t)vka_unet_stage_frame(s);
    uint64_t bytes = (uint64_t)n * h * wd * vka_pitch(c) * sizeof(float);
    vka_status st = VKA_OK;
    for (uint32_t slot = 0; st == VKA_OK && slot < VKA_SLOTS; slot++)
        if (s->flow[e->pattern].in[slot].id) {
            vka_planes_to_pixels(s->pixels, s->state[slot] + at, n, c, h, wd);
            st = vka_block_write(s->gpu, s->block, s->slot_at[slot], s->pixels, bytes, err);
        }
    if (st == VKA_OK && s->p.holds)
        st = vka_unet_hold_feed(s, first, n, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->pattern[e->pattern].exec, true, ticker, err);
    if (s->p.holds)
        written |= 1u << VKA_SLOT_EPS;
    for (uint32_t o = 0; o < e->ops; o++)
        written |= 1u << e->op[o].out;
    for (uint32_t slot = 0; st == VKA_OK && slot < VKA_SLOTS; slot++)
        if (written >> slot & 1) {
            st = vka_block_read(s->gpu, s->block, s->slot_at[slot], s->pixels, bytes, err);
            if (st == VKA_OK)
                vka_pixels_to_planes(s->state[slot] + at, s->pixels, n, c, h, wd);
        }
    return st;
}

vka_status vka_unet_eval_parked(struct vka_unet_stage *s, const vka_sampler_eval *e, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = vka_unet_stage_make_windows(s, &s->windows, e->step, err);
    memset(s->seen, 0, s->p.frames * sizeof *s->seen);
    if (s->alone) { /* whose window has its number */
        if (st == VKA_OK)
            st = eval_windows(s, s->alone - 1, 1, ticker, err);
        return st == VKA_OK ? eval_slice(s, e, s->alone - 1, 1, ticker, err) : st;
    }
    for (uint32_t k = 0; st == VKA_OK && k < s->windows.count; k += s->together)
        st = eval_windows(s, k, vka_min_u32(s->together, s->windows.count - k), ticker, err);
    for (uint32_t f = 0; st == VKA_OK && f < s->p.frames; f += s->slice)
        st = eval_slice(s, e, f, vka_min_u32(s->slice, s->p.frames - f), ticker, err);
    return st;
}

vka_status vka_unet_stage_eval_frame(struct vka_unet_stage *s, const vka_sampler_eval *e, double cfg, uint32_t frame,
                                     const vka_ticker *ticker, vka_error *err)
{
    s->alone = frame + 1; /* a clip of one frame is one piece, which need not be parked: there is no other frame */
    vka_status st = vka_unet_stage_eval(s, e, cfg, ticker, err);
    s->alone = 0;
    return st;
}
