/* sd15_stage.h - the UNet stage of Stable Diffusion 1.5 with AnimateDiff v2 for 16 frames with guidance in fp16, built and
 * planned without a device and without model files (networks.h). */
#ifndef VKA_TESTS_SD15_STAGE_H
#define VKA_TESTS_SD15_STAGE_H

#include "networks.h"

#include "render/stages.h"

#include <cmocka.h>

struct sd15_stage {
    vka_unet_config config;
    vka_motion_info motion;
    vka_weights *weights, *more;
    vka_sampler *sampler;
    struct vka_unet_stage stage;
};

/* Latent pixels; `budget` in bytes. Release with sd15_end. */
static inline void sd15_begin(struct sd15_stage *n, const struct vka_kernel_table *table, uint32_t height, uint32_t width,
                              uint64_t budget)
{
    vka_error err = {0};
    vka_sampler_params params = vka_sampler_params_default();
    n->config = networks_sd15_unet();
    n->motion = networks_v2_motion(&n->config);
    n->weights = networks_unet_table(&n->config, NULL);
    n->more = networks_motion_table(&n->motion, &n->config, NULL);
    n->sampler = vka_sampler_create(&params, &err);
    const struct vka_unet_stage_params p = {.weights = n->weights,
                                            .motion_weights = n->more,
                                            .config = &n->config,
                                            .motion = &n->motion,
                                            .frames = 16,
                                            .height = height,
                                            .width = width,
                                            .branches = 2,
                                            .prompts = 2,
                                            .tokens = 77,
                                            .text_width = 768,
                                            .f16 = true,
                                            .sampler = n->sampler,
                                            .table = *table};
    uint64_t need;
    if (!n->sampler || vka_unet_stage_build(&n->stage, &p, &err) != VKA_OK ||
        vka_unet_stage_plan(&n->stage, budget, &need, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
}

static inline void sd15_end(struct sd15_stage *n)
{
    vka_unet_stage_end(&n->stage);
    vka_sampler_free(n->sampler);
    vka_weights_free(n->weights);
    vka_weights_free(n->more);
}

#endif
