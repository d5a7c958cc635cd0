/* hires.c - between the first pass and the second, larger one: clips enlarged, as latents or as pictures.  See hires.h.
 *
 * As pictures: the VAE's decoder, Lanczos' kernel of three lobes on 8 bits a channel, the VAE's encoder (its means), a frame at a
 * time; the decoder has gone when the encoder comes, so all frames of a clip wait as pictures of the first size. */
#include "render/hires.h"

#include "media/pictures.h"
#include "render/frame_store.h"
#include "sample/resize.h"

#include <stdlib.h>
#include <string.h>

/* A clip whose first pass is done and whose second has not begun. */
static bool waits(const struct vka_run *r, const struct vka_run_clip *c)
{
    return !c->sampled && !c->written && !c->enlarged && c->from.slots && !c->from.eval && c->from.pass + 1 == r->w.passes;
}

/* Takes `latents` [F, channels, height, width], of the second size, as a clip's own. */
static void take(struct vka_run *r, struct vka_run_clip *c, float *latents)
{
    const struct vka_setup *s = &r->w.setup;
    vka_checkpoint *at = &c->from;
    c->enlarged = true;
    free(at->slot[VKA_SLOT_X]);
    at->slot[VKA_SLOT_X] = latents;
    at->height = s->hires.height / s->factor;
    at->width = s->hires.width / s->factor;
}

static float *room_of(const struct vka_run *r)
{
    const struct vka_setup *s = &r->w.setup;
    return vka_calloc((size_t)s->frames * s->unet->out_channels, (size_t)(s->hires.height / s->factor) * (s->hires.width / s->factor) *
                                                                     sizeof(float));
}

static vka_status by_latents(struct vka_run *r, struct vka_run_clip *c, vka_error *err)
{
    static const vka_latent_resize kinds[] = {VKA_LATENT_BILINEAR, VKA_LATENT_NEAREST, VKA_LATENT_BICUBIC};
    const struct vka_setup *s = &r->w.setup;
    vka_checkpoint *at = &c->from;
    float *out = room_of(r);
    if (!out)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st = vka_latents_resize(kinds[s->hires.upscaler], at->slot[VKA_SLOT_X], (uint64_t)at->frames * at->channels, at->height,
                                       at->width, out, s->hires.height / s->factor, s->hires.width / s->factor, err);
    if (st == VKA_OK)
        take(r, c, out);
    else
        free(out);
    return st;
}

/* Frames `first` .. of a store from a clip's latents, [height][width][3] each. */
static vka_status decode(struct vka_run *r, const float *latents, struct vka_frame_store *store, uint32_t first, vka_error *err)
{
    struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    size_t latent = (size_t)s->unet->out_channels * (s->height / s->factor) * (s->width / s->factor);
    uint8_t *picture = malloc((size_t)s->width * s->height * 3);
    vka_status st = picture ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t f = 0; st == VKA_OK && f < s->frames; f++) {
        bool bad = false;
        st = vka_vae_stage_run(&w->hires_decode, latents + f * latent, picture, &bad, &r->cx->ticker, err);
        if (st == VKA_OK && bad)
            st = vka_fail(err, VKA_E_VERIFY, "frame %u holds NaN or infinity before it is enlarged", f);
        if (st == VKA_OK)
            st = vka_frame_store_put(store, first + f, picture, err);
        if (st == VKA_OK)
            vka_context_done(r->cx, first + f + 1);
    }
    free(picture);
    return st;
}

static vka_status encode(struct vka_run *r, struct vka_frame_store *store, uint32_t first, float *latents, vka_error *err)
{
    struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    const uint32_t width = s->hires.width, height = s->hires.height;
    size_t latent = (size_t)s->unet->out_channels * (height / s->factor) * (width / s->factor), values = (size_t)width * height * 3;
    uint8_t *small = malloc((size_t)s->width * s->height * 3), *large = malloc(values);
    float *frame = vka_calloc(values, sizeof *frame);
    vka_status st = small && large && frame ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t f = 0; st == VKA_OK && f < s->frames; f++) {
        bool bad = false;
        st = vka_frame_store_get(store, first + f, small, err);
        if (st == VKA_OK)
            st = vka_picture_resize(small, s->width, s->height, large, width, height, VKA_RESIZE_STRETCH, VKA_FILTER_LANCZOS, err);
        for (size_t i = 0; st == VKA_OK && i < values; i++)
            frame[i] = (float)large[i] / 127.5f - 1.0f;
        if (st == VKA_OK)
            st = vka_vae_stage_run(&w->hires_encode, frame, latents + f * latent, &bad, &r->cx->ticker, err);
        if (st == VKA_OK && bad)
            st = vka_fail(err, VKA_E_VERIFY, "the VAE's encoder made NaN or infinity of frame %u, enlarged", f);
        if (st == VKA_OK)
            vka_context_done(r->cx, store->count + first + f + 1);
    }
    free(small);
    free(large);
    free(frame);
    return st;
}

/* All clips that wait: one after the other through the decoder, then through the encoder. */
static vka_status by_pictures(struct vka_run *r, uint32_t clips, vka_error *err)
{
    struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    struct vka_frame_store store = {0};
    uint32_t first = 0;
    vka_status st = vka_frame_store_open(&store, clips * s->frames, (size_t)s->width * s->height * 3, VKA_FRAME_STORE_MEMORY, err);
    vka_context_stage(r->cx, "hires", 2 * clips * s->frames);
    r->at = VKA_AT_HIRES_DECODE;
    if (st == VKA_OK)
        st = vka_vae_stage_start(&w->hires_decode, r->gpu, &r->cx->ticker, err);
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++)
        if (waits(r, &r->clips[k])) {
            st = decode(r, r->clips[k].from.slot[VKA_SLOT_X], &store, first, err);
            first += s->frames;
        }
    vka_vae_stage_end(&w->hires_decode);
    first = 0;
    if (st == VKA_OK) {
        r->at = VKA_AT_HIRES_ENCODE;
        st = vka_vae_stage_start(&w->hires_encode, r->gpu, &r->cx->ticker, err);
    }
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++)
        if (waits(r, &r->clips[k])) {
            float *out = room_of(r);
            st = out ? encode(r, &store, first, out, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
            first += s->frames;
            if (st == VKA_OK)
                take(r, &r->clips[k], out);
            else
                free(out);
        }
    vka_vae_stage_end(&w->hires_encode);
    vka_frame_store_close(&store);
    return st;
}

vka_status vka_hires_enlarge(struct vka_run *r, vka_error *err)
{
    vka_status st = VKA_OK;
    uint32_t clips = 0;
    for (uint32_t k = 0; k < r->count; k++)
        clips += waits(r, &r->clips[k]);
    if (clips && r->w.setup.hires.upscaler == VKA_HIRES_PICTURE)
        return by_pictures(r, clips, err);
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++)
        if (waits(r, &r->clips[k]))
            st = by_latents(r, &r->clips[k], err);
    return st;
}
