/* previous.c - see previous.h. */
#include "render/previous.h"

#include <stdlib.h>

vka_status vka_previous_build(struct vka_work *w, vka_error *err)
{
    struct vka_setup *s = &w->setup;
    return vka_vae_stage_build(&w->previous, VKA_VAE_PICTURES, vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, 1,
                               s->height / s->factor, s->width / s->factor, vka_setup_vae_f16(s, w->f16), &w->table, err);
}

uint64_t vka_previous_host(const struct vka_work *w) { return w->previous.run.plan ? w->previous.run.plan->host_bytes : 0; }

/* The decoder by `own`, the UNet within what that leaves of `ask`; *fits: neither wants more than there is. */
static vka_status ask_both(struct vka_work *w, const struct vka_ask *own, const struct vka_ask *ask, bool *fits, vka_error *err)
{
    struct vka_ask rest = *ask;
    uint64_t need = 0, host;
    vka_status st = vka_vae_stage_ask(&w->previous, own, &w->previous_need, err);
    if (st != VKA_OK)
        return st;
    host = vka_previous_host(w);
    rest.room.device -= w->previous_need < rest.room.device ? w->previous_need : rest.room.device;
    rest.room.host -= host < rest.room.host ? host : rest.room.host;
    st = vka_unet_stage_choose(&w->unet, &rest, &need, err);
    w->need[VKA_AT_UNET] = need + w->previous_need;
    *fits = st == VKA_OK && w->need[VKA_AT_UNET] <= ask->room.device &&
            w->unet.unet.plan->host_bytes + vka_unet_stage_host_bytes(&w->unet) + host <= ask->room.host;
    return st;
}

/* The UNet runs many times for each time that the decoder does: where both do not fit as they are the decoder takes the least. */
vka_status vka_previous_ask(struct vka_work *w, const struct vka_ask *ask, vka_error *err)
{
    const struct vka_knobs least = vka_knobs_least();
    bool fits = false;
    vka_status st = ask_both(w, ask, ask, &fits, err);
    if (st != VKA_OK || fits || ask->knobs)
        return st;
    struct vka_ask small = *ask;
    small.knobs = &least;
    return ask_both(w, &small, ask, &fits, err);
}

vka_status vka_previous_show(struct vka_work *w, const float *latents, uint32_t frame, const vka_ticker *ticker, vka_error *err)
{
    uint8_t *rgb = vka_calloc((size_t)w->setup.width * w->setup.height, 3);
    bool bad = false;
    vka_status st = rgb ? vka_vae_stage_run(&w->previous, latents, rgb, &bad, ticker, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && bad)
        st = vka_fail(err, VKA_E_VERIFY, "frame %u holds NaN or infinity, and the next one should see it", frame);
    if (st == VKA_OK)
        st = vka_controls_show(&w->controls, rgb, err);
    free(rgb);
    return st;
}
