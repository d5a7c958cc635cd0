/* sd15_stage.h - the UNet stage of Stable Diffusion 1.5 with AnimateDiff v2, with guidance, in fp16, built and planned without a
 * device and without model files (networks.h). */
#ifndef VKA_TESTS_SD15_STAGE_H
#define VKA_TESTS_SD15_STAGE_H

#include "networks.h"

#include "render/stages.h"

#include <cmocka.h>

struct sd15_shape {
    uint32_t width, height, frames; /* pixels */
    uint32_t window;                /* frames; 0: the clip is one piece */
    vka_sampler_id sampler;
};

struct sd15_stage {
    vka_unet_config config;
    vka_motion_info motion;
    vka_weights *weights, *more;
    vka_sampler *sampler;
    struct vka_unet_stage stage;
};

/* Release with sd15_end. */
static inline void sd15_build(struct sd15_stage *n, const struct vka_kernel_table *table,
                              const struct sd15_shape *shape)
{
    vka_error err = {0};
    vka_sampler_params params = vka_sampler_params_default();
    params.sampler = shape->sampler;
    n->config = networks_sd15_unet();
    n->motion = networks_v2_motion(&n->config);
    n->weights = networks_unet_table(&n->config, NULL);
    n->more = networks_motion_table(&n->motion, &n->config, NULL);
    n->sampler = vka_sampler_create(&params, &err);
    const struct vka_unet_stage_params p = {.weights = n->weights,
                                            .motion_weights = n->more,
                                            .config = &n->config,
                                            .motion = &n->motion,
                                            .frames = shape->frames,
                                            .height = shape->height / 8,
                                            .width = shape->width / 8,
                                            .branches = 2,
                                            .prompts = 2,
                                            .tokens = 77,
                                            .text_width = 768,
                                            .f16 = true,
                                            .sampler = n->sampler,
                                            .table = *table,
                                            .window = {.length = shape->window,
                                                       .stride = 1,
                                                       .overlap = shape->window / 4}};
    if (!n->weights || !n->more || !n->sampler || vka_unet_stage_build(&n->stage, &p, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
}

/* Plans within `budget` bytes, or as small as can be; returns what the stage needs. */
static inline uint64_t sd15_plan(struct sd15_stage *n, uint64_t budget)
{
    vka_error err = {0};
    uint64_t need = 0;
    if (vka_unet_stage_plan(&n->stage, budget, &need, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return need;
}

/* 16 frames in one piece, planned; latent pixels. */
static inline void sd15_begin(struct sd15_stage *n, const struct vka_kernel_table *table, uint32_t height,
                              uint32_t width, uint64_t budget)
{
    const struct sd15_shape shape = {8 * width, 8 * height, 16, 0, vka_sampler_params_default().sampler};
    sd15_build(n, table, &shape);
    sd15_plan(n, budget);
}

static inline void sd15_end(struct sd15_stage *n)
{
    vka_unet_stage_end(&n->stage);
    vka_sampler_free(n->sampler);
    vka_weights_free(n->weights);
    vka_weights_free(n->more);
}

#endif
