/* work_ip.h - the image prompts of a job among its stages. */
#ifndef VKA_RENDER_WORK_IP_H
#define VKA_RENDER_WORK_IP_H

#include "render/work.h"

/* What a build of the UNet stage borrows. */
struct vka_work_ips {
    int32_t *picture[VKA_MAX_IPS];
    float *weight[VKA_MAX_IPS];
};
/* The image prompts into the UNet stage's parameters; `ips` is freed after the build, whatever came of it. */
vka_status vka_work_ips_take(struct vka_work *w, struct vka_unet_stage_params *p, struct vka_work_ips *ips, vka_error *err);
void vka_work_ips_free(struct vka_work_ips *ips);
/* The stage that makes tokens of the pictures; nothing where there are no image prompts. */
vka_status vka_work_vision_build(struct vka_work *w, vka_error *err);
/* Runs it, once: the tokens stay in w->ip_tokens. */
vka_status vka_work_vision_run(struct vka_work *w, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);

#endif
