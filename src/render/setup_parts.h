/* setup_parts.h - the steps of vka_setup_open, one file each.  Internal to setup*.c. */
#ifndef VKA_RENDER_SETUP_PARTS_H
#define VKA_RENDER_SETUP_PARTS_H

#include "render/setup.h"

/* A setting that the motion module's family recommends, or else the model's own vkanim.json; or NULL; as a number. */
json_t *vka_setup_recommended(const struct vka_setup *s, const char *name);
double vka_setup_recommended_number(const struct vka_setup *s, const char *name, double otherwise);

/* setup_motion.c: the motion module, where there is one, and the norms that it asks for. */
vka_status vka_setup_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err);
/* Where the model's UNet is refused: adds what a given module is for, if that is another class of model. VKA_E_INPUT. */
vka_status vka_setup_motion_misfit(const struct vka_setup *s, vka_error *err);
/* setup_sampling.c: betas, spacing, sampler. */
vka_status vka_setup_sampling(struct vka_setup *s, const vka_log *log, vka_error *err);
/* setup_freeinit.c: rounds, filter and samplers of FreeInit, behind sampling. */
vka_status vka_setup_freeinit(struct vka_setup *s, vka_error *err);
void vka_setup_freeinit_close(struct vka_setup *s);
/* setup_hires.c: the second pass, behind sampling; its size anew when that of the first has changed. */
vka_status vka_setup_hires(struct vka_setup *s, vka_error *err);
void vka_setup_hires_size(struct vka_setup *s);
/* setup_guidance.c: guidance scales, behind clip and sampling. */
vka_status vka_setup_guidance(struct vka_setup *s, vka_error *err);
/* setup_lora.c: the LoRAs of the job's options. */
vka_status vka_setup_loras(struct vka_setup *s, vka_error *err);
void vka_setup_loras_close(struct vka_setup *s);
/* setup_control.c: the controls of the job's options, opened and held against the UNet. */
vka_status vka_setup_controls(struct vka_setup *s, vka_error *err);
/* Whether one of them sees the frame before. */
bool vka_setup_sees_previous(const struct vka_job *job);
void vka_setup_controls_close(struct vka_setup *s);
/* setup_text.c: the prompts, drawn, and the extra networks that they name; after the seed. */
vka_status vka_setup_prompts(struct vka_setup *s, const vka_log *log, vka_error *err);
void vka_setup_prompts_close(struct vka_setup *s);
/* setup_clip.c: size, length, context windows. */
vka_status vka_setup_clip(struct vka_setup *s, vka_error *err);

#endif
