/* preview.h - previews: what a clip looks like after a step, from its latents.
 *
 * The clean latents that the step's first evaluation predicts, clean_x X + clean_eps EPS (sample.h), go through an affine map to
 * RGB at their own resolution (sample/latent_map.h).  The map is fitted to the job's VAE by decoding some drawn latents, once: it
 * is kept in the cache folder as preview-VAE.json, VAE being a hash of the decoder.  Nothing here is looked at by what makes the
 * clip. */
#ifndef VKA_RENDER_PREVIEW_H
#define VKA_RENDER_PREVIEW_H

#include "render/work.h"
#include "sample/latent_map.h"

struct vka_previews {
    bool tried, on; /* there was an attempt to have the map; there is one */
    struct vka_latent_map map;
    uint64_t planned; /* device memory of the fit; 0 where there was none */
    /* the newest picture */
    uint32_t total, frames, height, width; /* frames of the clip that have been begun; frames shown */
    unsigned char *rgb;
    float *work; /* a frame's clean latents, and a row */
    size_t rgb_bytes, work_floats;
};

/* Of `total` frames, `shown` of them evenly chosen: which is number i. */
static inline uint32_t vka_preview_frame(uint32_t total, uint32_t shown, uint32_t i)
{
    return (uint32_t)((uint64_t)i * total / shown);
}

/* Finds the map, or fits it, in a stage of its own within w->budget and w->host_budget.  Where there can be none a warning tells so.  An error only where the render cannot go on: VKA_E_LOST, VKA_E_STOPPED. */
vka_status vka_previews_begin(struct vka_previews *p, struct vka_work *w, vka_gpu *gpu, vka_error *err);
void vka_previews_end(struct vka_previews *p);

/* A clip between two steps. */
struct vka_preview_state {
    const float *x, *eps; /* [begun][channels][h][w], before the operations of evaluation `e` */
    const vka_sampler_eval *e;
    uint32_t channels, height, width;
    uint32_t begun; /* frames that there are, from the clip's first on */
    uint32_t done;  /* of these, finished ones at the beginning, whose x is what they are */
};
/* Takes its picture; false, and no more previews, when memory is short. */
bool vka_previews_take(struct vka_previews *p, const struct vka_preview_state *s);
/* Gives it to the program. */
void vka_previews_show(const struct vka_previews *p, const vka_context_params *to, uint32_t clip, uint32_t step, uint32_t steps,
                       double fps);

/* ---- the map's parts, for tests ---------------------------------------------------------------------------------- */

/* Latents that are typical of pictures, [channels][side][side] in the sampler's scale: number `i` of an endless series; a side has
 * at most 16. */
void vka_preview_draw(uint32_t i, uint32_t channels, uint32_t side, float *out);
/* A map as JSON, malloc'ed; and back: false when it is not one for `vae` with so many channels. */
char *vka_preview_map_write(const struct vka_latent_map *m, const char *vae);
bool vka_preview_map_read(struct vka_latent_map *m, const char *json, size_t size, const char *vae, uint32_t channels);
/* What tells decoders apart, of the first bytes of each of its tensors. */
void vka_preview_vae_hash(const vka_weights *w, const vka_vae_config *c, char hex[65]);

#endif
