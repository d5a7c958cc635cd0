/* stages.h - the three stages of a render: text, UNet with its sampler, VAE.  Each is planned on its own, takes its memory when it
 * starts and gives it back when it ends; between stages a clip's state is in host memory.
 *
 * ..._plan takes a budget of device memory and any of host memory; ..._ask what a struct vka_ask says.  *need is the device
 * memory of the whole stage, which may be more than was asked for: compare.  A stage may be planned again until it starts. */
#ifndef VKA_RENDER_STAGES_H
#define VKA_RENDER_STAGES_H

#include "render/netrun.h"
#include "sample/guidance.h"
#include "sample/sample.h"
#include "sample/windows.h"

#include "nets/nets.h"

/* ---- text ------------------------------------------------------------------------------------------------- */

/* Rows behind those of the vocabulary, [count][width]: the vectors of embeddings.  Borrowed until the stage has started. */
struct vka_extra_tokens {
    const float *rows;
    uint32_t count;
};

struct vka_text_stage {
    struct vka_netrun run;
    vka_tensor ids, out;
    uint32_t chunks, tokens, width;
    struct vka_extra_tokens extra;
    struct vka_weight_source source; /* the model's, without them */
    struct vka_io io;
    uint64_t ids_at, out_at;
    vka_block *block;
};
/* `chunks` rows of `tokens` ids. */
vka_status vka_text_stage_build(struct vka_text_stage *s, vka_weights *weights, const vka_text_config *c, uint32_t skip,
                                uint32_t chunks, uint32_t tokens, bool f16, const struct vka_kernel_table *table,
                                vka_error *err);
/* The same with ids beyond the vocabulary; `extra` NULL: none.  The stage must not move once it is built. */
vka_status vka_text_stage_build_extra(struct vka_text_stage *s, vka_weights *weights, const vka_text_config *c, uint32_t skip,
                                      uint32_t chunks, uint32_t tokens, const struct vka_extra_tokens *extra, bool f16,
                                      const struct vka_kernel_table *table, vka_error *err);
vka_status vka_text_stage_plan(struct vka_text_stage *s, uint64_t budget, uint64_t *need, vka_error *err);
vka_status vka_text_stage_ask(struct vka_text_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
/* ids [chunks][tokens] -> out [chunks][tokens][width]. */
vka_status vka_text_stage_run(struct vka_text_stage *s, vka_gpu *gpu, const uint32_t *ids, float *out,
                              const vka_ticker *ticker, const vka_log *log, vka_error *err);
void vka_text_stage_end(struct vka_text_stage *s);

/* ---- UNet --------------------------------------------------------------------------------------------------- */

/* A number for each frame, which counts in some of the steps and is 0 in the others. */
struct vka_frame_values {
    const float *frame; /* [frames]; NULL: 1 throughout */
    double start, end;  /* shares of the steps, 0 and 1: all.  Step i of n counts where i >= start n and i + 1 <= end n */
    bool guided_only;   /* 0 in the branch without the prompt */
};
enum { VKA_FRAME_VALUES = 32 };

/* A ControlNet or SparseCtrl encoder beside the network. */
struct vka_unet_control {
    vka_weights *weights;
    const vka_control_info *info; /* both borrowed until the stage ends */
    uint32_t value;               /* its weight: index in vka_unet_stage_params.values */
    float layers[VKA_CONTROL_OUTPUTS];
    void *user;
    /* The hint of a frame, zeroed before the call: bytes RGB and mask [H][W][4], H and W the latents' times hint_factor;
     * VKA_CONTROL_SPARSE_RGB: floats [h][w][8], the latents in the sampler's scale and the mask behind them. */
    vka_status (*get)(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err);
};

/* An image prompt. */
struct vka_unet_ip {
    vka_weights *pairs; /* vka_ip_adapter_pairs */
    uint32_t pictures, tokens;
    const int32_t *picture; /* [frames] the number of each frame's; the stage keeps a copy */
    float *const *context;  /* where [pictures + 1][tokens][text_width] are when the stage starts, the last row being the picture of the
                               branches without the prompt */
    uint32_t value;         /* of `values`: its weights */
    struct vka_unet_stage *stage; /* set by the build */
};

struct vka_unet_stage_params {
    vka_weights *weights, *motion_weights; /* motion NULL: none */
    const vka_unet_config *config;
    const vka_motion_info *motion;
    struct vka_net_norms norms;
    uint32_t frames, height, width;  /* latent pixels */
    uint32_t branches;               /* 2 with guidance (uncond first), else 1; or what `guide` says */
    const struct vka_guide *guide;   /* NULL: plain guidance; read at the build only */
    uint32_t prompts, tokens, text_width; /* rows of the context: all of uncond's, then cond's */
    bool f16;
    const vka_sampler *sampler;      /* NULL: single evaluations only */
    struct vka_kernel_table table;
    /* A clip of more frames than a window goes through the network in windows; length 0: in one piece. */
    struct vka_window_params window;
    struct vka_frame_windows motion_windows; /* inside the motion modules; length 0: none */
    bool park;      /* clip state in host memory though the clip is one piece; in windows it always is */
    uint32_t slice; /* frames that the sampler takes at a time from host memory; 0: as many as fit the bytes of a window's
                       input.  No bit of any result depends on it, nor on `park` */
    const float *motion_scale, *motion_effect; /* [frames], see vka_net_amount; NULL: 1 throughout.  The stage keeps a copy */
    struct vka_frame_values values[VKA_FRAME_VALUES]; /* channels VKA_AMOUNTS + i of vka_net_amount.table; frames are copied */
    uint32_t value_count;
    struct vka_unet_ip ips[VKA_MAX_IPS];
    uint32_t ip_count;
    vka_lora_travel *low_rank; /* LoRAs that are not merged; NULL: none.  The weights of the i-th are values[low_rank_value + i] */
    uint32_t low_rank_value;
    const float *cfg; /* [frames] a guidance scale of its own for each; NULL: that of vka_unet_stage_eval.  Copied */
    bool holds;       /* pictures are held: vka_unet_stage_hold */
    struct vka_unet_control controls[VKA_CONTROLS];
    uint32_t control_count;
    bool by_frame;    /* frames are evaluated one by one: vka_unet_stage_eval_frame; windows of one frame, in order */
    bool travels;     /* every frame has a context row of its own: vka_unet_stage_travel; `prompts` is not looked at */
};

enum { VKA_MAX_PATTERNS = 8, VKA_UNET_FEEDS = 24, VKA_MOST_TOGETHER = 4 };

/* An input of the network that the caller fills: of every sample, or the same for all (branch and frame 0 are asked for once). */
struct vka_unet_feed {
    const char *name;
    bool global;
    enum vka_dtype dtype;
    uint32_t n, h, w, c; /* n: of a global one; of others 0 */
    void *user;
    /* What the device reads: [h, w, c] of the type, of floats [h, w, vka_pitch(c)], zeroed before the call; n of them where global. */
    vka_status (*get)(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err);
};

/* Pictures that are held, by frame: the latents that the model's output shall predict, [c, h, w], and how much of it, [h, w], 1 where
 * it is theirs and 0 where it is the model's own. */
struct vka_hold {
    void *user;
    const float *(*target)(void *user, uint32_t frame);
    void (*keep)(void *user, uint32_t frame, float *out);
    uint32_t steps; /* the first ones, in which that is done */
};

/* The context row [tokens][text_width] of a frame in a branch of guidance. */
typedef void (*vka_context_row)(void *user, uint32_t branch, uint32_t frame, float *out);

struct vka_unet_stage {
    struct vka_unet_stage_params p;
    struct vka_guide guide_rule;
    uint32_t length;   /* frames of a window, or all */
    uint32_t together; /* windows that the network takes at once */
    uint32_t batch;    /* together * length: samples of a branch, in the network those of branch 0 come first */
    uint32_t slice;  /* frames that the sampler takes at a time where parked */
    bool windowed;   /* the clip goes through the network in windows */
    bool parked;     /* the clip's state is in host memory */
    struct vka_netrun unet, begin, pattern[VKA_MAX_PATTERNS];
    struct vka_netrun guide; /* where parked; else guidance is part of the patterns */
    struct vka_netrun merge; /* in windows */
    uint32_t patterns;
    vka_tensor sample, timestep, context, index, eps;
    vka_tensor amounts; /* vka_net_amount.table; none where it is not needed */
    float *amount;      /* [channels][p.frames] */
    uint32_t channels;  /* VKA_AMOUNTS + p.value_count, or 0 where there is no table */
    float *cfg;         /* [p.frames] or NULL */
    int32_t *ip_picture; /* [p.ip_count][p.frames] or NULL */
    struct {
        struct vka_unet_feed is;
        vka_tensor tensor;
        uint64_t at, bytes; /* in the block; of a sample, or of all where global */
    } feeds[VKA_UNET_FEEDS];
    uint32_t feed_count;
    struct vka_hold hold; /* where p.holds */
    uint64_t target_at, keep_at;
    bool keeping; /* a state on the device: `keep` lies there, not zeros */
    vka_context_row row; /* where p.travels */
    void *row_user;
    uint32_t alone;      /* the frame of vka_unet_stage_eval_frame plus 1; 0: all */
    uint32_t step_index; /* of the evaluation under way */
    bool fed;            /* a clip in one piece: the frames' inputs and rows are on the device */
    vka_tensor begin_x, begin_scale, begin_out[VKA_GUIDE_BRANCHES];
    vka_tensor guide_eps, guide_guidance, guide_cfg, guide_out;
    vka_tensor merge_x, merge_sum, merge_table, merge_out;
    struct {
        vka_tensor eps, guidance, cfg, coefficients, guided;
        vka_tensor mix, target, keep, held; /* where p.holds */
        vka_tensor in[VKA_SLOTS], out[VKA_SLOTS], made[VKA_SAMPLER_OPS];
    } flow[VKA_MAX_PATTERNS];
    struct vka_io io;
    /* where parked, x_at and guided_at are of the network's frames and share bytes with the slots, of a slice's */
    uint64_t sample_at, context_at, eps_at, x_at, guided_at, slot_at[VKA_SLOTS];
    uint64_t slot_bytes, pixels_bytes; /* pixels_bytes: of `pixels` */
    vka_gpu *gpu; /* set by the start */
    vka_block *block, *step;
    bool first;
    /* where parked */
    float *state[VKA_SLOTS]; /* planes [p.frames, c, h, w]; NULL where the sampler has no such slot */
    float *pixels;           /* some frames on their way, as the device has them */
    int32_t *prompt_of;      /* [branches * p.frames] prompts */
    uint8_t *seen;           /* [p.frames] has a sum */
    int32_t *frame_of;       /* [2 * batch] frames that the network has; those that have sums */
    int32_t *place_of;       /* [p.frames] where a frame's sum lies on the device, or -1 */
    struct vka_windows windows; /* of the last evaluation */
};

vka_status vka_unet_stage_build(struct vka_unet_stage *s, const struct vka_unet_stage_params *p, vka_error *err);
/* With the clip's state where it is. */
vka_status vka_unet_stage_plan(struct vka_unet_stage *s, uint64_t budget, uint64_t *need, vka_error *err);
vka_status vka_unet_stage_ask(struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
/* As vka_unet_stage_ask, and decides where the clip's state is unless p.park says: on the device where all fits there at full
 * speed, else where it is faster; where nothing fits, where less is needed. */
vka_status vka_unet_stage_choose(struct vka_unet_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
/* How many windows the network takes at once, 1 .. VKA_MOST_TOGETHER: builds the stage anew, what was planned is forgotten.  Of a
 * clip in one piece there is one.  No bit depends on it. */
vka_status vka_unet_stage_together(struct vka_unet_stage *s, uint32_t together, vka_error *err);
/* Puts the clip's state in host memory or on the device, as p.park does; what was planned is forgotten.  A stage that has not
 * started.  In windows the state stays in host memory. */
vka_status vka_unet_stage_park(struct vka_unet_stage *s, bool park, vka_error *err);
/* Bytes of host memory for the clip's state; 0 where that is on the device.  Of the latents there are the network's input and
 * output, the last whole step's, which a failure goes back to, and the next one's until it has been looked at. */
uint64_t vka_unet_stage_host_bytes(const struct vka_unet_stage *s);
/* Estimated seconds of an evaluation of the sampler as planned. */
vka_status vka_unet_stage_seconds(const struct vka_unet_stage *s, const struct vka_rates *rates, double *seconds, vka_error *err);
/* What one step moves and launches as planned: the sampler's input, the network, the sampler; see vka_program_traffic. */
vka_status vka_unet_stage_traffic(const struct vka_unet_stage *s, struct vka_traffic lines[VKA_TRAFFIC_LINES],
                                  uint32_t *count, vka_error *err);
/* The sampler's slots of the clip, as a mask; elements of one of its frames; the windows of a step, one of all frames for a clip
 * in one piece. */
uint32_t vka_unet_stage_slots(const struct vka_unet_stage *s);
uint64_t vka_unet_stage_frame(const struct vka_unet_stage *s);
vka_status vka_unet_stage_make_windows(const struct vka_unet_stage *s, struct vka_windows *w, uint32_t step, vka_error *err);
vka_status vka_unet_stage_start(struct vka_unet_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);
/* context [prompts][tokens][text_width]; index [branches * frames]: each sample's prompt. */
vka_status vka_unet_stage_prompt(struct vka_unet_stage *s, const float *context, const int32_t *index, vka_error *err);
/* Where p.travels, in place of _prompt: the rows are asked for as frames need them, for a clip in one piece before the next
 * evaluation; again after each call. */
void vka_unet_stage_travel(struct vka_unet_stage *s, vka_context_row row, void *user);
/* Where p.holds, before the first evaluation of a clip: what is held. */
vka_status vka_unet_stage_hold(struct vka_unet_stage *s, const struct vka_hold *hold, vka_error *err);
/* While the network is built: a further input of it.  `name` is borrowed for ever, `user` until the stage ends. */
vka_tensor vka_unet_stage_feed(struct vka_unet_stage *s, const struct vka_unet_feed *feed);
/* After LoRAs got other weights: packs again what they change.  What is computed once per prompt is computed again. */
vka_status vka_unet_stage_repack(struct vka_unet_stage *s, const vka_ticker *ticker, vka_error *err);
/* Another index: other rows of the same context. */
void vka_unet_stage_index(struct vka_unet_stage *s, const int32_t *index);
/* Other weights of the prompt's parts. */
void vka_unet_stage_weigh(struct vka_unet_stage *s, const double *weight);
/* Clip tensors [frames, 4, h, w] to and from a slot. */
vka_status vka_unet_stage_set(struct vka_unet_stage *s, enum vka_slot slot, const float *planes, vka_error *err);
vka_status vka_unet_stage_get(struct vka_unet_stage *s, enum vka_slot slot, float *planes, vka_error *err);
/* One evaluation of the sampler: model, guidance, operations.  Slots X (and NOISE where drawn) must be set. */
vka_status vka_unet_stage_eval(struct vka_unet_stage *s, const vka_sampler_eval *e, double cfg, const vka_ticker *ticker,
                               vka_error *err);
/* Where p.by_frame: the same for one frame; the slots of the others stay as they are. */
vka_status vka_unet_stage_eval_frame(struct vka_unet_stage *s, const vka_sampler_eval *e, double cfg, uint32_t frame,
                                     const vka_ticker *ticker, vka_error *err);
/* The windows of the last evaluation; NULL where the clip is one piece. */
const struct vka_windows *vka_unet_stage_windows(const struct vka_unet_stage *s);
/* The network alone: sample [branches * frames, in_channels, h, w] -> eps of the same form with out_channels. */
vka_status vka_unet_stage_once(struct vka_unet_stage *s, const float *sample, float timestep, float *eps,
                               const vka_ticker *ticker, vka_error *err);
void vka_unet_stage_end(struct vka_unet_stage *s);

/* ---- VAE ------------------------------------------------------------------------------------------------------ */

enum vka_vae_mode {
    VKA_VAE_PICTURES, /* latents -> 8-bit frames */
    VKA_VAE_DECODE,   /* latents -> fp32 frames, not clamped */
    VKA_VAE_ENCODE    /* fp32 frames -> latents (means) */
};

struct vka_vae_stage {
    struct vka_netrun run;
    enum vka_vae_mode mode;
    const vka_vae_config *config;
    struct vka_ends ends;
    uint32_t frames, in_c, in_h, in_w, out_c, out_h, out_w;
    struct vka_io io;
};
/* height and width are those of the input: latent pixels, or picture pixels for VKA_VAE_ENCODE. */
vka_status vka_vae_stage_build(struct vka_vae_stage *s, enum vka_vae_mode mode, vka_weights *weights,
                               const vka_vae_config *c, uint32_t frames, uint32_t height, uint32_t width, bool f16,
                               const struct vka_kernel_table *table, vka_error *err);
vka_status vka_vae_stage_plan(struct vka_vae_stage *s, uint64_t budget, uint64_t *need, vka_error *err);
vka_status vka_vae_stage_ask(struct vka_vae_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err);
vka_status vka_vae_stage_start(struct vka_vae_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err);
/* PICTURES: latents [n,4,h,w] in the sampler's scale -> `out` bytes [n,H,W,3]; *bad: NaN or Inf was seen.
 * DECODE: latents -> floats [n,H,W,3].  ENCODE: frames [n,H,W,3] -> latents [n,4,h,w] in the sampler's scale. */
vka_status vka_vae_stage_run(struct vka_vae_stage *s, const float *in, void *out, bool *bad, const vka_ticker *ticker,
                             vka_error *err);
/* ENCODE: the same, with the standard deviations [n,4,h,w] of what the latents are the means of (logarithms of the variance
 * within -30 and 20, as diffusers has it); `spread` NULL: without. */
vka_status vka_vae_stage_encode(struct vka_vae_stage *s, const float *frames, float *latents, float *spread, bool *bad,
                                const vka_ticker *ticker, vka_error *err);
void vka_vae_stage_end(struct vka_vae_stage *s);

#endif
