/* unet_frames.c - what differs from frame to frame in the UNet stage: amounts, guidance scales, context rows, further inputs,
 * pictures that are held.
 * See unet_parts.h.
 *
 * Small numbers lie in the step buffer, which the host writes: behind the step's own numbers each sample's prompt, its amounts,
 * the merge table and the guidance scales.  Pictures and rows of text are written into the block for the frames that the network
 * has: once for a clip in one piece, for every window of a longer one, so that their memory does not grow with the clip. */
#include "render/unet_parts.h"

#include <stdlib.h>
#include <string.h>

vka_status vka_unet_frames_keep(struct vka_unet_stage *s, vka_error *err)
{
    struct vka_unet_stage_params *p = &s->p;
    uint32_t frames = p->frames;
    if (!p->motion)
        p->motion_scale = p->motion_effect = NULL;
    const float *given[VKA_AMOUNTS] = {p->motion_scale, p->motion_effect};
    if (p->cfg && !s->cfg) {
        if (!(s->cfg = vka_calloc(frames, sizeof *s->cfg)))
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        memcpy(s->cfg, p->cfg, frames * sizeof *s->cfg);
    }
    p->cfg = s->cfg; /* what was given is the caller's */
    if (!p->motion_scale && !p->motion_effect && !s->guide_rule.perturbed && !p->value_count)
        return VKA_OK;
    if (p->value_count > VKA_FRAME_VALUES)
        return vka_fail(err, VKA_E_INTERNAL, "%u values of a frame", p->value_count);
    s->channels = VKA_AMOUNTS + p->value_count;
    if (!(s->amount = vka_calloc((size_t)s->channels * frames, sizeof *s->amount)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t a = 0; a < s->channels; a++)
        for (uint32_t f = 0; f < frames; f++) {
            const float *from = a < VKA_AMOUNTS ? given[a] : p->values[a - VKA_AMOUNTS].frame;
            s->amount[(size_t)a * frames + f] = from ? from[f] : 1;
        }
    p->motion_scale = given[VKA_AMOUNT_SCALE] ? s->amount : NULL;
    p->motion_effect = given[VKA_AMOUNT_EFFECT] ? s->amount + frames : NULL;
    for (uint32_t i = 0; i < p->value_count; i++)
        p->values[i].frame = s->amount + (size_t)(VKA_AMOUNTS + i) * frames;
    return VKA_OK;
}

/* ---- the step buffer ---------------------------------------------------------------------------------------- */

uint64_t vka_unet_amounts_at(const struct vka_unet_stage *s)
{
    return vka_round_up(STEP_FLOATS * sizeof(float) + (uint64_t)s->p.branches * s->batch * sizeof(int32_t), 32);
}

uint64_t vka_unet_merge_at(const struct vka_unet_stage *s)
{
    return vka_unet_amounts_at(s) + (s->amount ? (uint64_t)s->p.branches * s->batch * vka_pitch(s->channels) * sizeof(float) : 0);
}

uint64_t vka_unet_cfg_at(const struct vka_unet_stage *s)
{
    return vka_unet_merge_at(s) +
           (s->windowed ? (uint64_t)s->batch * vka_pitch(2 * s->together) * sizeof(float) : 0);
}

uint64_t vka_unet_step_bytes(const struct vka_unet_stage *s)
{
    return vka_unet_cfg_at(s) + (s->cfg ? (uint64_t)s->batch * vka_pitch(1) * sizeof(float) : 0);
}

static float *step_at(const struct vka_unet_stage *s, uint64_t at) { return (float *)(void *)((char *)s->step->map + at); }

int32_t *vka_unet_prompt_index(const struct vka_unet_stage *s)
{
    return (int32_t *)(void *)((float *)s->step->map + STEP_FLOATS);
}

static bool counts(const struct vka_unet_stage *s, const struct vka_frame_values *v)
{
    double steps = s->p.sampler ? vka_sampler_steps(s->p.sampler) : 0, i = s->step_index;
    return steps <= 0 || (i >= v->start * steps && i + 1 <= v->end * steps);
}

void vka_unet_frames_step(struct vka_unet_stage *s, const int32_t *frame)
{
    uint32_t pitch = vka_pitch(s->channels), perturbed = vka_guide_first_perturbed(&s->guide_rule);
    float *table = step_at(s, vka_unet_amounts_at(s)), *cfg = step_at(s, vka_unet_cfg_at(s));
    for (uint32_t i = 0; s->amount && i < s->p.branches * s->batch; i++) {
        float *row = table + (size_t)i * pitch;
        uint32_t f = frame ? (uint32_t)frame[i % s->batch] : i % s->batch, branch = i / s->batch;
        for (uint32_t a = 0; a < pitch; a++)
            row[a] = a < s->channels ? s->amount[(size_t)a * s->p.frames + f] : 0;
        row[VKA_AMOUNT_PERTURBED] = branch >= perturbed ? 1 : 0;
        for (uint32_t v = 0; v < s->p.value_count; v++)
            if (!counts(s, &s->p.values[v]) || (s->p.values[v].guided_only && vka_guide_part(&s->guide_rule, branch) < 0))
                row[VKA_AMOUNTS + v] = 0;
    }
    for (uint32_t i = 0; s->cfg && i < s->batch; i++) {
        memset(cfg + (size_t)i * vka_pitch(1), 0, vka_pitch(1) * sizeof *cfg);
        cfg[(size_t)i * vka_pitch(1)] = s->cfg[frame ? (uint32_t)frame[i] : i];
    }
}

/* ---- inputs in the block -------------------------------------------------------------------------------------- */

vka_tensor vka_unet_stage_feed(struct vka_unet_stage *s, const struct vka_unet_feed *feed)
{
    vka_build *b = &s->unet.build;
    if (s->feed_count == VKA_UNET_FEEDS) {
        vka_build_fail(b, VKA_E_USAGE, "more than %d further inputs of the UNet", VKA_UNET_FEEDS);
        return (vka_tensor){0};
    }
    vka_tensor t = vka_graph_tensor(b, feed->name, feed->global ? VKA_GLOBAL : VKA_SAMPLE, VKA_INPUT, feed->dtype, feed->n,
                                    feed->h, feed->w, feed->c);
    uint64_t bytes = (uint64_t)(feed->global ? feed->n : 1) * feed->h * feed->w *
                     vka_info(b->graph, t)->pitch * vka_dtype_bytes(feed->dtype);
    s->feeds[s->feed_count].is = *feed;
    s->feeds[s->feed_count].tensor = t;
    s->feeds[s->feed_count++].bytes = bytes;
    return t;
}

void vka_unet_stage_travel(struct vka_unet_stage *s, vka_context_row row, void *user)
{
    s->row = row;
    s->row_user = user;
    s->fed = false;
    s->first = true;
}

static vka_status feed_rows(struct vka_unet_stage *s, const int32_t *frame, vka_error *err)
{
    uint32_t width = s->p.text_width, pitch = vka_pitch(width);
    size_t row = (size_t)s->p.tokens * pitch;
    float *plain = vka_calloc((size_t)s->p.tokens * width, sizeof *plain), *padded = vka_calloc(row, sizeof *padded);
    vka_status st = plain && padded ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    int32_t *index = vka_unet_prompt_index(s);
    for (uint32_t i = 0; st == VKA_OK && i < s->p.branches * s->batch; i++) {
        s->row(s->row_user, i / s->batch, frame ? (uint32_t)frame[i % s->batch] : i % s->batch, plain);
        for (uint32_t t = 0; t < s->p.tokens; t++)
            memcpy(padded + (size_t)t * pitch, plain + (size_t)t * width, width * sizeof *plain);
        st = vka_block_write(s->gpu, s->block, s->context_at + i * row * sizeof *padded, padded, row * sizeof *padded, err);
        index[i] = (int32_t)i;
    }
    s->first = true; /* what depends on the context is made anew */
    free(plain);
    free(padded);
    return st;
}

vka_status vka_unet_frames_feed(struct vka_unet_stage *s, const int32_t *frame, vka_error *err)
{
    vka_status st = s->row ? feed_rows(s, frame, err) : VKA_OK;
    for (uint32_t k = 0; st == VKA_OK && k < s->feed_count; k++) {
        const struct vka_unet_feed *feed = &s->feeds[k].is;
        uint64_t bytes = s->feeds[k].bytes;
        char *data = feed->global ? NULL : malloc((size_t)bytes);
        if (feed->global)
            continue;
        if (!data)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (uint32_t i = 0; st == VKA_OK && i < s->p.branches * s->batch; i++) {
            memset(data, 0, (size_t)bytes);
            st = feed->get(feed->user, i / s->batch, frame ? (uint32_t)frame[i % s->batch] : i % s->batch, data, err);
            if (st == VKA_OK)
                st = vka_block_write(s->gpu, s->block, s->feeds[k].at + i * bytes, data, bytes, err);
        }
        free(data);
    }
    return st;
}

vka_status vka_unet_globals_feed(struct vka_unet_stage *s, vka_error *err)
{
    vka_status st = VKA_OK;
    for (uint32_t k = 0; st == VKA_OK && k < s->feed_count; k++) {
        const struct vka_unet_feed *feed = &s->feeds[k].is;
        if (!feed->global)
            continue;
        void *data = vka_calloc(1, (size_t)s->feeds[k].bytes);
        st = data ? feed->get(feed->user, 0, 0, data, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
        if (st == VKA_OK)
            st = vka_block_write(s->gpu, s->block, s->feeds[k].at, data, s->feeds[k].bytes, err);
        free(data);
    }
    return st;
}

vka_status vka_unet_stage_hold(struct vka_unet_stage *s, const struct vka_hold *hold, vka_error *err)
{
    s->hold = *hold;
    s->keeping = hold->steps > 0;
    s->step_index = 0;
    return s->parked ? VKA_OK : vka_unet_hold_feed(s, 0, s->p.frames, err);
}

vka_status vka_unet_hold_feed(struct vka_unet_stage *s, uint32_t first, uint32_t n, vka_error *err)
{
    uint32_t c = s->p.config->out_channels, h = s->p.height, w = s->p.width;
    size_t pixels = (size_t)h * w, frame = pixels * vka_pitch(c), share = pixels * vka_pitch(1);
    float *target = vka_calloc(frame, sizeof *target), *keep = vka_calloc(share, sizeof *keep), *plane = vka_calloc(pixels, sizeof *plane);
    vka_status st = target && keep && plane ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; st == VKA_OK && i < n; i++) {
        vka_planes_to_pixels(target, s->hold.target(s->hold.user, first + i), 1, c, h, w);
        if (s->step_index < s->hold.steps)
            s->hold.keep(s->hold.user, first + i, plane);
        else
            memset(plane, 0, pixels * sizeof *plane);
        vka_planes_to_pixels(keep, plane, 1, 1, h, w);
        st = vka_block_write(s->gpu, s->block, s->target_at + i * frame * sizeof *target, target, frame * sizeof *target, err);
        if (st == VKA_OK)
            st = vka_block_write(s->gpu, s->block, s->keep_at + i * share * sizeof *keep, keep, share * sizeof *keep, err);
    }
    free(target);
    free(keep);
    free(plane);
    return st;
}
