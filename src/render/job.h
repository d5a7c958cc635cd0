/* job.h - a job: one struct, filled through one option table (options.c) by the command line, --job files, metadata and
 * programs.  Values are checked when they are set; what depends on the model is resolved by the render. */
#ifndef VKA_RENDER_JOB_H
#define VKA_RENDER_JOB_H

#include "base/error.h"
#include "sample/sample.h"

#include <stddef.h>
#include <stdint.h>
#include <vkanim/vkanim.h>

typedef struct vka_text_list {
    char **items;
    size_t count, capacity;
} vka_text_list;

/* Some of the table's options: one bit each, by place. */
enum { VKA_OPTION_LIMIT = 128 };
struct vka_option_set {
    uint64_t bits[VKA_OPTION_LIMIT / 64];
};

/* Something to tell when the job is rendered or planned, unless the option is given by then; NULL: in any case. */
struct vka_job_note {
    char *text;
    const char *unless; /* a constant */
};

struct vka_job {
    /* what to draw */
    char *prompt, *negative, *prompt_syntax, *pad_prompt, *wildcards;
    int64_t comma_padding;
    /* models */
    char *model, *motion, *motion_family, *vae, *tokenizer, *motion_scale, *motion_effect;
    vka_text_list lora, motion_lora, embedding;
    /* the clip */
    int64_t width, height, frames, count;
    int64_t context_length, context_stride, context_overlap;
    char *context_schedule, *context_merge, *loop, *noise_kind;
    /* prompts and values over the frames */
    char *travel, *travel_blend, *travel_ease, *cfg_frames;
    vka_text_list lora_frames;
    /* FreeNoise, FreeInit, a second pass */
    bool freenoise, freeinit_fast;
    int64_t freeinit, freeinit_order, hires_steps;
    char *freeinit_filter, *freeinit_cutoff, *hires, *hires_upscaler;
    /* images and video in */
    char *init, *init_last, *init_video, *mask, *resize, *save_hints, *vision;
    vka_text_list keyframe, control, ip_adapter;
    double video_fps, video_start, strength, latent_power, latent_scale, latent_power_last, latent_scale_last, hold;
    int64_t video_stride, interpolate;
    double fps;
    /* sampling */
    int64_t seed, steps, clip_skip;
    int64_t subseed, original_steps;
    double cfg, subseed_strength, eta, cfg_rescale, pag;
    char *cfg_schedule;
    char *sampler, *schedule, *beta, *rng, *noise_layout, *norm, *precision;
    /* files */
    vka_text_list output;
    char *step_noise, *trace, *noise, *embeds, *verify;
    bool overwrite, no_overwrite, lossless, ping_pong;
    int64_t plays, quality, colors;
    char *dither;
    /* machine */
    char *device, *path;
    uint64_t vram, device_memory;
    struct vka_job_note *notes;
    size_t note_count, note_capacity;
    struct vka_option_set set;  /* the options that were given */
    struct vka_option_set read; /* lists that vka_job_read filled; the next vka_job_set replaces them */
};

/* Whether an option was given, by long name. */
bool vka_job_has(const vka_job *job, const char *name);

/* A deep copy, for a render that fills in what the model decides; NULL when memory is short. */
vka_job *vka_job_copy(const vka_job *job);
/* Writes a text field of a job (&job->sampler ...); false when memory is short, the old text stays. */
bool vka_job_text(char **field, const char *value);
/* Takes `text`, which is malloc'ed, as a note; NULL, like a lack of memory, gives false. */
bool vka_job_note(struct vka_job *job, const char *unless, char *text);
/* Marks an option as given, for a field that a render has filled in; or takes that back. */
void vka_job_mark(struct vka_job *job, const char *name);
void vka_job_unmark(struct vka_job *job, const char *name);
/* Where the job has a --travel, *own is a copy in which it has become lines in the prompts, and its settings options that were not
 * given; else NULL.  VKA_E_INPUT for a file that is missing or cannot be read, VKA_E_USAGE for a text or a setting. */
vka_status vka_job_travel(const struct vka_job *job, struct vka_job **own, vka_error *err);
/* Makes every path of a job absolute, outputs included; a --motion of "none" is no path.  False when memory
 * is short. */
bool vka_job_absolute(struct vka_job *job);
/* A job's options as a new JSON object: those given, or all that have a value (0, NULL and empty lists have none where
 * the table has no default); without VKA_MARK_LOCAL ones when `portable`, as in an animation's settings.  NULL when
 * memory is short. */
enum vka_job_which { VKA_JOB_GIVEN, VKA_JOB_ALL };
struct json_t *vka_job_json(const vka_job *job, enum vka_job_which which, bool portable);
/* What --beta says: `*is_auto`, or kind and the two ends (0 and 0 where they were left out). */
vka_status vka_beta_parse(const char *text, bool *is_auto, vka_beta_kind *kind, double *start, double *end,
                          vka_error *err);

#endif
