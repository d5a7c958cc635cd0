/* setup.h - a job with everything decided: files open, families known, defaults filled in.  No device is needed. */
#ifndef VKA_RENDER_SETUP_H
#define VKA_RENDER_SETUP_H

#include "base/rng.h"
#include "nets/nets.h"
#include "render/context.h"
#include "render/embeddings.h"
#include "render/job.h"
#include "render/library.h"
#include "render/setup_control.h"
#include "render/texts.h"
#include "sample/noise_kind.h"
#include "sample/sample.h"
#include "ops/frame_windows.h"
#include "sample/lowpass.h"
#include "sample/windows.h"
#include "text/tokenizer.h"
#include "weights/weights.h"

#include <jansson.h>

/* A LoRA of a job, in the order in which they are merged. */
struct vka_setup_lora {
    char *name, *path;          /* as given, without weights; where it was found */
    double weight, text_weight; /* for UNet and motion module; for the text encoder */
    bool motion, prompted;      /* given with --motion-lora; by the prompt */
    const char *frames;         /* of --lora-frames: its weights in UNet and motion module; NULL: `weight` */
    vka_lora *file;
    vka_lora_fit fit;
};

/* A prompt of every clip where --wildcards draws them, else of all. */
struct vka_setup_prompts {
    char **shown, **text; /* [count]: as metadata have it; without extra networks */
    uint32_t count;
};

/* --freeinit: further rounds, each of which begins from the low frequencies of what the one before has made. */
enum { VKA_FREEINIT_ROUNDS = 20 };
struct vka_setup_freeinit {
    uint32_t rounds; /* 0: none */
    bool fast;
    struct vka_lowpass_params filter;
    double kept;                               /* share of the variance that a clip keeps at the last timestep */
    vka_sampler *sampler[VKA_FREEINIT_ROUNDS]; /* of each round but the last, where fast; else NULL: that of the last */
};
struct vka_setup_ip;

/* --hires: a second pass at another size, from what the first has made. */
enum vka_hires_upscaler { VKA_HIRES_LATENT, VKA_HIRES_LATENT_NEAREST, VKA_HIRES_LATENT_BICUBIC, VKA_HIRES_PICTURE };
struct vka_setup_hires {
    vka_sampler *sampler; /* of the second pass; NULL: there is none */
    double scale, strength;
    enum vka_hires_upscaler upscaler;
    uint32_t steps;         /* of which those are run that the strength says */
    uint32_t width, height; /* picture pixels */
};

struct vka_setup {
    const struct vka_job *job;
    const vka_log *log; /* may be NULL */
    vka_model *model, *vae_model; /* vae_model: --vae, else the model */
    vka_motion *motion;           /* NULL: none */
    vka_tokenizer *tokenizer;     /* opened when first needed */
    const vka_unet_config *unet;
    const vka_vae_config *vae;
    const vka_text_config *text;
    const vka_scheduler_config *scheduler;
    const vka_motion_info *motion_info;
    bool motion_idle; /* --motion-effect 0: the module is left out of the network, its noise schedule stays */
    json_t *family;   /* settings that the module's family recommends, by option; NULL: none */
    struct vka_net_norms norms;
    uint32_t factor;                /* picture pixels per latent pixel */
    uint32_t width, height, frames; /* picture pixels */
    struct vka_window_params windows; /* length 0: the clip is one piece; the seed is that of clip 0 */
    struct vka_frame_windows motion_windows; /* --freenoise: inside the motion modules; length 0: none */
    vka_loop loop;
    vka_noise_kind noise_kind;
    uint32_t noise_length, noise_stride; /* of noise_kind: of the windows, or of those that a longer clip would have */
    uint32_t count;
    double fps, cfg;
    double *cfg_at; /* --cfg-schedule: the scale of each step; NULL: cfg in all of them */
    double *cfg_frames; /* --cfg-frames: the scale of each frame, in all steps; NULL: the same for all */
    bool cfg_is_one; /* in every step and frame */
    double pag, cfg_rescale;
    uint64_t seed;
    vka_subseed sub;
    uint32_t skip; /* layers of the text encoder left out */
    vka_prompt_syntax syntax;
    struct vka_setup_prompts prompt, negative;
    struct vka_embeddings embeddings; /* open after vka_setup_texts */
    vka_rng_kind rng;
    vka_noise_layout layout;
    vka_sampler_params sampling;
    vka_sampler *sampler;
    struct vka_setup_freeinit freeinit;
    struct vka_setup_hires hires;
    struct vka_setup_lora *loras;
    size_t lora_count, lora_capacity;
    struct vka_setup_control controls[VKA_CONTROLS]; /* of --control, in its order */
    uint32_t control_count;
    bool names_only; /* VKA_NEED_NAMES */
    bool by_frame; /* one of them sees the frame before: the clip is sampled frame after frame, without a motion module */
    vka_lora_mix *mix; /* of the LoRAs; NULL: none */
    struct vka_setup_ip *ips; /* setup_ip.h */
    size_t ip_count;
    vka_vision *vision; /* NULL: none is needed */
    vka_lora_travel *travel; /* of those with weights over the frames, in their order; NULL: none */
    json_t *manifest; /* vkanim.json of the model's folder, or NULL */
    char *model_path, *motion_path;
    struct vka_model_hashes *hashes; /* begun or done */
};

enum { /* what a command needs of a setup */
    VKA_NEED_UNET = 1,
    VKA_NEED_VAE = 2,
    VKA_NEED_TEXT = 4,
    VKA_NEED_CLIP = 8, /* size, frames, sampler: a render */
    VKA_NEED_VISION = 16, /* the image encoder, whether there are image prompts or not */
    VKA_NEED_NAMES = 32   /* names in prompts are no paths: vka_context_params.names_only */
};

/* The guidance scale of a step; s->cfg_frames stands above it. */
double vka_setup_cfg(const struct vka_setup *s, uint32_t step);
/* Whether prompts and values that change over the frames lead from the last frame back to the first: --loop full and always. */
bool vka_setup_closed(const struct vka_setup *s);

/* The size of the pictures that come out. */
static inline uint32_t vka_setup_out_width(const struct vka_setup *s) { return s->hires.sampler ? s->hires.width : s->width; }
static inline uint32_t vka_setup_out_height(const struct vka_setup *s) { return s->hires.sampler ? s->hires.height : s->height; }

/* Opens and decides; `manifest` lets the model's own vkanim.json choose motion module and defaults. */
vka_status vka_setup_open(struct vka_setup *s, const vka_job *job, unsigned needs, const vka_log *log, vka_error *err);
void vka_setup_close(struct vka_setup *s);
/* Another size and length for the clip, multiples of the factor; windows are decided anew.  What --embeds, --noise and their
 * like hold is not looked at. */
vka_status vka_setup_resize(struct vka_setup *s, uint32_t width, uint32_t height, uint32_t frames, vka_error *err);

/* --freenoise: the windows inside the motion modules; length 0: none.  VKA_E_USAGE where options do not go together. */
vka_status vka_setup_freenoise(const struct vka_setup *s, struct vka_frame_windows *out, vka_error *err);

/* The kernel table of the device (info NULL: a common GPU's) with --path, and whether networks store fp16: --precision, else
 * what the path and the device do.  fp32 storage takes the path fp32.  Where the device is open, `gpu`, matrix kernels are
 * proven on it first (kernels.h). */
vka_status vka_setup_kernels(const struct vka_setup *s, const vka_gpu_info *info, vka_gpu *gpu, const vka_log *log,
                             struct vka_kernel_table *table, bool *f16, vka_error *err);

/* Whether the VAE stores fp16 too: not when its config says force_upcast, which is how a model tells that its activations leave
 * fp16's range (diffusers' rule for SDXL; the miniature's reach 2.6e6). */
bool vka_setup_vae_f16(const struct vka_setup *s, bool f16);

/* --motion-scale and --motion-effect for a clip of `frames`, malloc'ed; NULL where there is no module, or it is 1 throughout. */
vka_status vka_setup_amounts(const struct vka_setup *s, uint32_t frames, float **scale, float **effect, vka_error *err);

/* The controls as --control's texts: with paths and sources, or, for an animation, bare file names.  NULL when memory is short. */
json_t *vka_setup_controls_json(const struct vka_setup *s, bool paths);
/* The weights of a control for a clip of `frames`, out[frames]. */
vka_status vka_setup_control_weights(const struct vka_setup *s, uint32_t control, uint32_t frames, float *out, vka_error *err);

/* What is encoded for the job's prompts, and which row every clip, branch and step takes; texts without a negative prompt where
 * `negative` is false.  The vectors that stand for names are s->embeddings.rows then. */
vka_status vka_setup_texts(struct vka_setup *s, struct vka_texts *texts, struct vka_prompts *prompts, uint32_t steps, bool negative,
                           const vka_log *log, vka_error *err);
/* The prompt or negative prompt of a clip of --count, as it was drawn. */
const char *vka_setup_prompt(const struct vka_setup *s, bool negative, uint32_t clip);

/* In -v: names of the models' tensors that nothing asked for. */
void vka_setup_report_unused(const struct vka_setup *s, const vka_log *log);

/* Adds a LoRA, by path or by name, as a prompt asks for it: before any network is built.  VKA_E_INPUT when it is nowhere, is
 * none, or does not fit the model. */
vka_status vka_setup_lora_add(struct vka_setup *s, const char *name, double weight, double text_weight, vka_error *err);
/* The weights of the travelling LoRA number `i` of s->travel for a clip of `frames`, malloc'ed.  VKA_E_USAGE as --lora-frames. */
vka_status vka_setup_lora_values(const struct vka_setup *s, size_t i, uint32_t frames, float **out, vka_error *err);
/* What --lora-frames says, by the names of the files without ending.  NULL when memory is short. */
json_t *vka_setup_lora_frames_json(const struct vka_setup *s);
/* VKA_E_USAGE where --lora-frames names a LoRA that is not there: when the prompts' are known. */
vka_status vka_setup_lora_frames_check(const struct vka_setup *s, vka_error *err);
/* What "PATH[:WEIGHT[:TEXT_WEIGHT]]" says: a weight is what reads as a number behind a colon at the end, so that a path may have
 * colons; a file of the whole name wins.  Without TEXT_WEIGHT it is WEIGHT, without that 1.  *path is malloc'ed. */
vka_status vka_lora_spec_parse(const char *text, char **path, double *weight, double *text_weight, vka_error *err);
/* The LoRAs given by options as such texts, `motion` those of --motion-lora, with paths or, for an animation, bare file names.
 * NULL when memory is short. */
json_t *vka_setup_loras_json(const struct vka_setup *s, bool motion, bool paths);

/* Begins to hash the model files, beside whatever the caller does next; hashes are kept in the cache folder by file
 * identity. */
void vka_setup_hash_begin(struct vka_setup *s);
/* Ends a hashing that nobody needs any more. */
void vka_setup_hash_end(struct vka_setup *s);
/* {"path" (or "name"), "kind", "family", "sha256"} of every model file; begins the hashing where it has not been, and waits.
 * NULL with an error when one cannot be read, or memory is short. */
json_t *vka_setup_models_json(struct vka_setup *s, bool paths, vka_error *err);
/* [{"path", "id", "sha256"}] of every model file: its absolute path, vka_file_identity's id, and the hash where it is known by
 * now; *all says whether every hash is.  Begins the hashing where it has not been; NULL when memory is short. */
json_t *vka_setup_identities_json(struct vka_setup *s, bool *all);
/* The seeds of clip k of --count: the seed counts up, or, where the sub-seed has a share, that does (A1111's rule). */
static inline uint64_t vka_setup_seed(const struct vka_setup *s, uint32_t k) { return s->sub.share > 0 ? s->seed : s->seed + k; }
static inline uint64_t vka_setup_subseed(const struct vka_setup *s, uint32_t k) { return s->sub.seed + k; }
/* Long option names with resolved values: what makes clip k; no paths, devices or budgets.  NULL when memory is
 * short. */
json_t *vka_setup_settings_json(const struct vka_setup *s, uint32_t k, bool f16);

#endif
