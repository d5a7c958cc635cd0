/* run.h - a render at work, as its parts share it: render.c (order, stock, report), sampling.c (text and steps),
 * frames.c (spool, VAE, outputs). */
#ifndef VKA_RENDER_RUN_H
#define VKA_RENDER_RUN_H

#include "render/preview.h"
#include "render/resume.h"
#include "render/spool.h"
#include "render/tensors.h"

struct vka_run_clip {
    uint64_t seed;
    uint64_t subseed; /* where it has a share */
    bool sampled, written;
    float *latents;      /* [F,4,h,w] once sampled; NULL while they lie in the folder alone */
    vka_checkpoint from; /* what an earlier run left, or this one's first try (without step_s); no slots: nothing */
    bool enlarged;       /* `from` is what a second pass begins from; once only, whatever becomes of the pass */
    double *step_s;      /* [steps] seconds */
    uint32_t steps_done;
    struct vka_spool spool;   /* decoded frames, [F,H,W,3] */
    struct vka_spool between; /* with --interpolate N: of each pair [N-1,H,W,3] */
    char sha256[65];          /* of all decoded frames, once they are there */
    json_t *record; /* outputs-K.json: {"frames_sha256", "steps_s", "outputs": [{"state": "begun|written", "files"}]} */
};

struct vka_run {
    struct vka_work w;
    vka_context *cx;
    const struct vka_job *job;
    vka_gpu *gpu;
    struct vka_state *state;
    bool hopeless;                                               /* the same would come out again */
    enum vka_stage_index at;                                     /* the stage at work */
    struct vka_unet_stage *stage;                                /* UNet of the pass at work */
    uint32_t pass;                                               /* of the clip that is being sampled */
    struct vka_prompts_rows rows; /* what the UNet's stage asks for where prompts travel */
    bool encoded;           /* w.prompts has what the text encoder made */
    bool hints_saved; /* --save-hints */
    uint32_t retries;       /* after a loss, or a device without memory: one at most */
    uint64_t planned, peak; /* bytes, the most of both tries */
    struct vka_run_clip *clips;
    uint32_t count;
    vka_tensor_file trace;
    double load_s, text_s, decode_s, between_s, encode_s;
    uint8_t *picture; /* [H,W,3], the frame that is on its way */
    struct vka_previews previews;
    json_t *outputs;
};

/* Whether the tensors that the job brings along (--noise, --embeds, --step-noise) are there and finite: VKA_E_INPUT. */
vka_status vka_run_check_inputs(const struct vka_run *r, vka_error *err);
/* Latents of the clips that have none yet: text, UNet, sampler. */
vka_status vka_run_sample(struct vka_run *r, vka_error *err);
/* Frames and outputs of the clips that are not written. */
vka_status vka_run_finish(struct vka_run *r, vka_error *err);
/* Before the device is opened: can every output that is still to be written be written? */
vka_status vka_run_check_outputs(const struct vka_run *r, vka_error *err);

/* A trace holds every step, so a job that makes one begins its clip again and keeps neither sampler nor frames. */
static inline bool vka_run_keeps(const struct vka_run *r)
{
    return !r->job->trace;
}
static inline size_t vka_run_picture(const struct vka_run *r)
{
    return (size_t)vka_setup_out_width(&r->w.setup) * vka_setup_out_height(&r->w.setup) * 3;
}
/* What tells the clips of --count apart, in names of files: the seed, or the sub-seed where that has a share. */
static inline uint64_t vka_run_number(const struct vka_run *r, const struct vka_run_clip *c)
{
    return r->count > 1 && r->w.setup.sub.share > 0 ? c->subseed : c->seed;
}
/* Outputs of a clip; whether the record says "begun" or "written" of one. */
size_t vka_run_outputs(const struct vka_run *r);
bool vka_run_output_is(const struct vka_run_clip *c, size_t i, const char *state);

#endif
