/* config.h - sizes and switches of each part of a model.
 *
 * With a config.json its values decide (with diffusers' defaults for what it leaves out); without, tensor shapes do,
 * and what shapes cannot tell is as in Stable Diffusion 1.5.  A config that asks for something this project's networks
 * are not (class embeddings, SDXL's added embeddings, other block types ...) is refused by that setting's name with
 * VKA_E_INPUT.  Everything in the structs is range-checked: counts are small, divisors are not zero and divide. */
#ifndef VKA_WEIGHTS_CONFIG_H
#define VKA_WEIGHTS_CONFIG_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What scheduler_config.json says; `has` tells which fields were in the file.  The others hold SD1.5's values: where
 * the file is there but silent, diffusers would take the default of the scheduler class in use, so look at `has`. */
enum vka_scheduler_field {
    VKA_SCHED_BETA_START = 1 << 0,
    VKA_SCHED_BETA_END = 1 << 1,
    VKA_SCHED_BETA_SCHEDULE = 1 << 2,
    VKA_SCHED_STEPS_OFFSET = 1 << 3,
    VKA_SCHED_TIMESTEP_SPACING = 1 << 4,
    VKA_SCHED_PREDICTION_TYPE = 1 << 5,
    VKA_SCHED_SET_ALPHA_TO_ONE = 1 << 6,
    VKA_SCHED_CLIP_SAMPLE = 1 << 7,
    VKA_SCHED_TRAIN_TIMESTEPS = 1 << 8,
    VKA_SCHED_RESCALE_BETAS = 1 << 9,
    VKA_SCHED_CLASS = 1 << 10
};
typedef struct vka_scheduler_config {
    uint32_t has;                /* bits of enum vka_scheduler_field */
    char class_name[48];         /* "DDIMScheduler"; "" when not given */
    double beta_start, beta_end; /* 0.00085, 0.012 (SD's, when not given) */
    char beta_schedule[32];      /* "linear" (plain), "scaled_linear" (linear in the square root) ... */
    int steps_offset;            /* 1 (SD's) */
    char timestep_spacing[16];   /* "leading", "linspace", "trailing" */
    char prediction_type[24];    /* "epsilon", "v_prediction", "sample" */
    bool set_alpha_to_one;       /* false (SD's) */
    bool clip_sample;            /* false (SD's) */
    bool rescale_betas_zero_snr;
    int num_train_timesteps; /* 1000 */
} vka_scheduler_config;

/* Reads JSON text of `size` bytes; `path` for messages.  NULL and VKA_E_INPUT when it is not one JSON object. */
json_t *vka_json_parse(const char *text, size_t size, const char *path, vka_error *err);
/* The same from a file of at most 16 MB. */
json_t *vka_json_load(const char *path, vka_error *err);

/* From config.json; `path` for messages.  `w` (may be NULL) is the part's tensors: what the config leaves out is taken
 * from there, and where both say, they must agree. */
vka_status vka_unet_config_from_json(vka_unet_config *c, const json_t *json, const vka_weights *w, const char *path,
                                     vka_error *err);
vka_status vka_vae_config_from_json(vka_vae_config *c, const json_t *json, const vka_weights *w, const char *path,
                                    vka_error *err);
vka_status vka_text_config_from_json(vka_text_config *c, const json_t *json, const vka_weights *w, const char *path,
                                     vka_error *err);
vka_status vka_scheduler_config_from_json(vka_scheduler_config *c, const json_t *json, const char *path,
                                          vka_error *err);
void vka_scheduler_config_default(vka_scheduler_config *c);

/* From tensor shapes alone (names as in diffusers).  Heads: 8 in the UNet (channels / 64 where proj_in is linear, as in
 * SD2), 12 or width / 64 in the text encoder; groups: 32, or the largest divisor of 32 that divides every width. */
vka_status vka_unet_config_infer(vka_unet_config *c, const vka_weights *w, vka_error *err);
/* Both for what has a UNet's down blocks and middle alone, as a ControlNet: nothing of out_channels and up_depth. */
vka_status vka_encoder_config_infer(vka_unet_config *c, const vka_weights *w, vka_error *err);
vka_status vka_encoder_config_from_json(vka_unet_config *c, const json_t *json, const vka_weights *w, const char *path,
                                        vka_error *err);
vka_status vka_vae_config_infer(vka_vae_config *c, const vka_weights *w, vka_error *err);
vka_status vka_text_config_infer(vka_text_config *c, const vka_weights *w, vka_error *err);

#endif
