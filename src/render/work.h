/* work.h - a job's three stages, built and planned together, before any memory is taken. */
#ifndef VKA_RENDER_WORK_H
#define VKA_RENDER_WORK_H

#include "render/between.h"
#include "render/controls.h"
#include "render/freeinit.h"
#include "render/init.h"
#include "render/nearest.h"
#include "render/report.h"
#include "render/setup.h"
#include "render/stages.h"
#include "render/vision_stage.h"

/* The stages of a render, in their order; which of them a job has depends on it. */
enum vka_stage_index { VKA_AT_TEXT, VKA_AT_VISION, VKA_AT_ENCODE, VKA_AT_UNET, VKA_AT_HIRES_DECODE, VKA_AT_HIRES_ENCODE, VKA_AT_HIRES, VKA_AT_VAE, VKA_AT_BETWEEN, VKA_STAGES };

/* What a report says of a stage. */
struct vka_stage_view {
    const char *key, *name; /* "vae", "VAE" */
    const struct vka_netrun *run; /* its network; run->plan is NULL until it is planned */
    uint64_t io_bytes, host_state;
};

/* A walk through the sampler's steps.  The first one begins from noise, or from images; a later one from what the one before it
 * has made. */
struct vka_pass {
    const vka_sampler *sampler;
    bool hires; /* with the second, larger stage, from the clip enlarged */
    bool again; /* FreeInit: begins from noise that has the low frequencies of it */
};
enum { VKA_PASSES = 24 };

struct vka_work {
    vka_context *cx;
    const struct vka_job *job;
    struct vka_setup setup;
    vka_gpu_info info; /* of the device, or zeroed for a plan without one */
    struct vka_kernel_table table;
    bool f16;
    uint64_t budget, host_budget; /* bytes of device and of host memory */
    uint64_t need[VKA_STAGES]; /* device memory of each stage; 0 where it does not run */
    uint64_t planned; /* the largest of them: a stage gives its memory back before the next one starts */
    uint64_t host[VKA_STAGES], host_planned; /* the same of host memory: streamed weights and the parked state of a clip */
    bool begun; /* a job that is resumed: its clip is what it is */
    struct vka_nearest nearest; /* set by vka_work_does_not_fit */
    struct vka_text_stage text;
    struct vka_vision_stage vision; /* where there are image prompts */
    float *ip_tokens[VKA_MAX_IPS];  /* what it has made, see vka_unet_ip.context; NULL before that */
    struct vka_unet_stage unet;
    struct vka_vae_stage vae, encode; /* encode: where images come in */
    bool encodes;
    struct vka_unet_stage hires; /* of the second pass */
    struct vka_vae_stage hires_decode, hires_encode; /* where pictures are enlarged for it */
    struct vka_freeinit freeinit; /* between passes, beside the UNet */
    uint64_t freeinit_need;       /* of need[VKA_AT_UNET] */
    struct vka_vae_stage previous; /* beside the UNet too, where controls see the frame before: previous.h */
    uint64_t previous_need;        /* of need[VKA_AT_UNET] */
    struct vka_init init; /* what the clip begins from, where that is not noise alone */
    struct vka_between_stage between; /* frames between two, --interpolate */
    struct vka_pass pass[VKA_PASSES]; /* vka_work_pass */
    uint32_t passes;
    struct vka_texts texts;     /* what is encoded; empty with --embeds */
    struct vka_prompts prompts; /* rows come from --embeds, or after the text stage */
    struct vka_guide guide;
    struct vka_controls controls; /* with their pictures */
    uint32_t branches;
    /* files */
    float *noise;             /* --noise [F,4,h,w] */
    vka_safetensors step_noise;
};

/* Opens the job: models, prompts, files.  No device yet, so that a mistake is told before one is touched. */
vka_status vka_work_open(struct vka_work *w, vka_context *cx, const vka_job *job, vka_error *err);
/* Decides kernels, precision and budget; `info` NULL: a plan without a device. */
vka_status vka_work_device(struct vka_work *w, const vka_gpu_info *info, vka_gpu *gpu, vka_error *err);
/* Builds the graphs. */
vka_status vka_work_build(struct vka_work *w, vka_error *err);
/* Plans every stage within `budget` bytes of device memory and w->host_budget of host memory; w->need and w->planned, w->host
 * and w->host_planned tell what came out, even when it does not fit. */
vka_status vka_work_plan(struct vka_work *w, uint64_t budget, vka_error *err);
/* The same for what `ask` says. */
vka_status vka_work_ask(struct vka_work *w, const struct vka_ask *ask, vka_error *err);
/* Plans one stage anew; the others stay as they are planned. */
vka_status vka_work_plan_stage(struct vka_work *w, enum vka_stage_index stage, uint64_t budget, vka_error *err);
/* Whether the plan keeps w->budget and w->host_budget. */
bool vka_work_fits(const struct vka_work *w);
/* The stage that needs the most of the device. */
enum vka_stage_index vka_work_peak(const struct vka_work *w);
/* False for a stage that the job has not. */
bool vka_work_view(const struct vka_work *w, enum vka_stage_index stage, struct vka_stage_view *view);
/* Ends all stages; they may be built again. */
void vka_work_end_stages(struct vka_work *w);
/* A copy that shares everything but the stages, of which it has none yet. */
struct vka_work vka_work_alike(const struct vka_work *w);
/* Whether frames are made between those that are rendered. */
bool vka_work_between(const struct vka_work *w);
/* Where frames are sampled one after the other every frame has a pass, and they are alike. */
static inline const struct vka_pass *vka_work_pass(const struct vka_work *w, uint32_t i)
{
    return &w->pass[w->setup.by_frame ? 0 : i];
}
/* Steps of all passes. */
uint32_t vka_work_steps(const struct vka_work *w);
/* VKA_E_MEMORY for a plan that does not fit, naming the nearest settings that would: w->nearest.  What is planned stays. */
vka_status vka_work_does_not_fit(struct vka_work *w, vka_error *err);
void vka_work_close(struct vka_work *w);

#endif
