/* model.h - the networks that a bench runs, without files: configurations, and tables whose tensors share one pool of
 * random numbers.  Nothing is read or downloaded. */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/table.h"

struct bench_model {
    const char *name; /* "sd15": Stable Diffusion 1.5 with AnimateDiff v2; "miniature": the bundled model's topology */
    vka_unet_config unet;
    vka_motion_info motion;
    vka_vae_config vae;
    vka_text_config text;
    uint32_t factor;                                                 /* picture pixels per latent pixel */
    bool vae_f16;                                                    /* its VAE may store fp16 */
    vka_weights *unet_table, *motion_table, *vae_table, *text_table; /* owned */
    uint16_t *numbers;                                               /* what the tables point into; NULL: shapes only */
};

/* VKA_E_USAGE for a name that is not known.  Without `numbers` the tables hold shapes alone, which is all that plans,
 * counts and predictions need; with them, about 80 MB of halves, uniform in (-0.035, 0.035): small enough for the
 * networks' sums in fp16, always the same. */
vka_status bench_model_open(struct bench_model *m, const char *name, bool numbers, vka_error *err);
void bench_model_close(struct bench_model *m); /* a zeroed one is fine */

#endif
