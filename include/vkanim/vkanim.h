/* vkanim.h - AnimateDiff animations on any Vulkan GPU.
 *
 *     vka_error e = {0};
 *     vka_context *cx = NULL;
 *     vka_job *job = vka_job_create();
 *     char *report = NULL;
 *     if (vka_context_create(&cx, NULL, &e) == VKA_OK && vka_job_set(job, "prompt", "a red ball", &e) == VKA_OK &&
 *         vka_job_set(job, "output", "ball.webp", &e) == VKA_OK && vka_render(cx, job, &report, &e) == VKA_OK)
 *         puts(report);
 *     else
 *         fprintf(stderr, "%s\n%s\n", e.what, e.why);
 *     vka_free(report);
 *     vka_job_destroy(&job);
 *     vka_context_destroy(&cx);
 *
 * vkanim does not download anything, print anything, install signal handlers, change the locale or end the process.
 *
 * Ownership: text that a call hands out through a char ** belongs to the caller, who returns it with vka_free.
 * Strings handed in are copied.  Every destroy function takes the address of the handle, accepts NULL and handles that are
 * NULL, and writes NULL back.  Reports are JSON, schema 1, as the manual page documents them; they are set on success, and
 * where a call says so on failure.
 *
 * Threads: a context serves one call at a time; only vka_cancel may be called while another call runs, from any
 * thread or signal handler.  Different contexts are independent. */
#ifndef VKANIM_H
#define VKANIM_H

#include <stddef.h>
#include <vkanim/status.h>
#include <vkanim/version.h>

#if defined(__GNUC__)
#define VKA_API __attribute__((visibility("default")))
#else
#define VKA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
VKA_API const char *vka_version(void);
/* VKA_API_VERSION (version.h) of the library that runs, which may be newer than that of the headers. */
VKA_API unsigned vka_api_version(void);
VKA_API void vka_free(void *text); /* or any other bytes that a call handed out */

/* ---- context ----------------------------------------------------------------------------------------- */

typedef enum vka_level { VKA_LEVEL_ERROR, VKA_LEVEL_WARN, VKA_LEVEL_INFO, VKA_LEVEL_DEBUG } vka_level;

/* Where a long call is.  Delivered on the thread that made the call, some times a second at most. */
typedef struct vka_progress {
    const char *stage; /* "load", "text", "images", "pictures", "steps", "decode", "between", "encode", "convert" */
    unsigned clip, clips; /* which of --count, from 0 */
    unsigned done, total; /* steps, frames, files or (convert) megabytes of the stage */
    double elapsed_s;     /* since the call began */
    double per_item_s;    /* mean over the stage so far; 0: not known */
    double eta_s;         /* of the stage; negative: not known */
    unsigned long long device_bytes, device_peak_bytes;
} vka_progress;

/* What the clip looks like after a step, in small: a picture of the noiseless clip that the step's model saw behind the noise,
 * one pixel for each of the latents (an eighth of the clip's width and height in Stable Diffusion).  It is made by a linear map
 * that is fitted to the job's VAE, once for each VAE (the map is kept in the cache folder), and is no decoded frame. */
typedef struct vka_preview {
    unsigned clip;        /* which of --count, from 0 */
    unsigned step, steps; /* 1 .. steps, of all passes over the clip, as the progress of "steps" counts them */
    /* Frames that are shown: those of the clip that have been begun, and of more than VKA_PREVIEW_FRAMES so many, evenly
     * chosen: number i is frame i * n / VKA_PREVIEW_FRAMES of n. */
    unsigned frames;
    unsigned width, height;   /* pixels; they change between the passes of --hires */
    double fps;               /* frames per second of these frames: they last as long as the clip's */
    const unsigned char *rgb; /* [frames][height][width][3], sRGB; valid until the callback returns */
} vka_preview;
enum { VKA_PREVIEW_FRAMES = 64 };

typedef struct vka_context_params {
    void (*log)(void *user, vka_level level, const char *text); /* NULL: silence */
    void (*progress)(void *user, const vka_progress *progress); /* NULL: none */
    void *user;
    vka_level level; /* messages above it are not made */
    int validation;  /* nonzero: Vulkan's validation layers, where they are installed */
    /* NULL: none, and nothing is done for them.  After every step of a render, on the thread that made the call, which waits for
     * it; of the library it may call vka_cancel and vka_preview_encode.  No bit of the clip depends on it.  Where there is no
     * memory for the VAE's map (of the machine, or within --vram) a warning is logged, and the render goes on without previews. */
    void (*preview)(void *user, const vka_preview *preview);
    /* Nonzero: what a prompt names (<lora:NAME>) is never taken for a path, so that anybody may write the prompts of jobs. */
    int names_only;
} vka_context_params;

typedef struct vka_context vka_context;
/* `params` NULL: silent. */
VKA_API vka_status vka_context_create(vka_context **out, const vka_context_params *params, vka_error *err);
VKA_API void vka_context_destroy(vka_context **context);
/* Asks the running call to end with VKA_E_STOPPED, within a step.  Safe in signal handlers. */
VKA_API void vka_cancel(vka_context *context);

/* A preview as a file: `type` "webp" (animated, lossy, played for ever) or "png" (frames in a row from left to right, at most
 * VKA_PREVIEW_ROW, evenly chosen as above).  *data is the caller's, who returns it with vka_free; NULL on failure.  Needs no
 * context; any thread.  VKA_E_USAGE for another type or a size that the type cannot hold, VKA_E_MEMORY. */
enum { VKA_PREVIEW_ROW = 16 };
VKA_API vka_status vka_preview_encode(const vka_preview *preview, const char *type, unsigned char **data, size_t *size,
                                      vka_error *err);

/* ---- jobs: one description of the work ----------------------------------------------------------------- */

typedef enum vka_option_kind {
    VKA_OPTION_FLAG,   /* true or false; on a command line it takes no value */
    VKA_OPTION_TEXT,
    VKA_OPTION_PATH,
    VKA_OPTION_LIST,   /* repeatable text */
    VKA_OPTION_INT,
    VKA_OPTION_REAL,
    VKA_OPTION_SIZE,   /* bytes: 512M, 6G (powers of 1024) */
    VKA_OPTION_CHOICE  /* one of `choices` */
} vka_option_kind;

enum { /* commands that an option belongs to */
    VKA_FOR_RENDER = 1,
    VKA_FOR_PLAN = 2,
    VKA_FOR_NET = 4,
    VKA_FOR_DEVICES = 8,
    VKA_FOR_INSPECT = 16,
    VKA_FOR_RESUME = 32,
    VKA_FOR_CONVERT = 64,
    VKA_FOR_MODELS = 128,
    VKA_FOR_SERVE = 256
};

enum { /* what else there is to say about an option */
    VKA_MARK_COMMAND = 1, /* the command's own (--help, --json): no part of a job */
    VKA_MARK_LATER = 2,   /* a reserved name: using it is VKA_E_USAGE; help leaves it out */
    VKA_MARK_LOCAL = 4,   /* about this machine (paths, devices, budgets): never read from or written to animations */
    /* Its value, or a part of it, may be the name of a file or folder that is read or written.  --prompt and --negative are
     * not marked, though <lora:NAME> in them names a file too, and may be its path; --lora-frames is, which repeats such names. */
    VKA_MARK_FILES = 8
};

/* One row of the option table: the command line, --job files, metadata and the manual all come from it. */
typedef struct vka_option {
    const char *name;    /* long name, without dashes */
    char letter;         /* short form, or 0 */
    vka_option_kind kind;
    const char *value;   /* what --help calls its value: "PATH" */
    const char *initial; /* default as text; NULL: none, or the model's */
    const char *choices; /* VKA_OPTION_CHOICE: separated by spaces; those behind a '|' are known and refused */
    double least, most;  /* VKA_OPTION_INT and _REAL */
    unsigned commands;   /* VKA_FOR_... */
    const char *group;   /* heading in --help */
    const char *help;    /* one sentence */
    unsigned marks;      /* VKA_MARK_... */
} vka_option;
VKA_API const vka_option *vka_options(size_t *count);
/* The row whose name a misspelt one most likely means, or NULL. */
VKA_API const vka_option *vka_option_nearest(const char *name);
/* What A1111's web UI calls a value of the option sampler or schedule ("DPM++ 2M", "SGM Uniform"); NULL: nothing. */
VKA_API const char *vka_option_webui_name(const char *option, const char *value);

typedef struct vka_job vka_job;
VKA_API vka_job *vka_job_create(void); /* NULL when memory is short */
VKA_API void vka_job_destroy(vka_job **job);
/* Sets an option by its long name, as a command line would: the last value wins, lists append (but the first value
 * replaces a list that came from vka_job_read or vka_job_read_animation).  Flags take "true" or "false", NULL being
 * "true".  Values are UTF-8; numbers have a point whatever the locale.  VKA_E_USAGE names the option, the value and what
 * would do; the job is then as it was. */
VKA_API vka_status vka_job_set(vka_job *job, const char *name, const char *value, vka_error *err);
/* One JSON object with long names as keys (--job); lists are arrays.  VKA_E_INPUT when it is no JSON object,
 * VKA_E_USAGE for unknown keys and bad values.  The command's own options may be in it and are passed over. */
VKA_API vka_status vka_job_read(vka_job *job, const char *json, size_t size, vka_error *err);
/* The settings inside a rendered animation (--from).  VKA_E_INPUT when it has none, or some that this version does not
 * have.  Of a file that A1111's web UI or its AnimateDiff extension made (or of a .txt of theirs, also one beside the file) what
 * has an equal here is taken; what has none is told in warnings when the job is rendered or planned. */
VKA_API vka_status vka_job_read_animation(vka_job *job, const char *path, vka_error *err);
/* The same of infotext by itself, the lines in which that web UI says how a picture was made: "Steps: 20, Sampler: Euler a, ..." */
VKA_API vka_status vka_job_read_infotext(vka_job *job, const char *text, vka_error *err);
/* What was set, as such an object; NULL when memory is short. */
VKA_API char *vka_job_write(const vka_job *job);

/* ---- work ------------------------------------------------------------------------------------------------ */

VKA_API vka_status vka_render(vka_context *cx, const vka_job *job, char **report, vka_error *err);
/* Goes on with a render that a failure, a signal or a kill has ended; `name` is its id or its folder's path.  The clip has
 * the bits that it would have had.  `changes` may be NULL or give this machine's options, those of VKA_FOR_RESUME.
 * VKA_E_INPUT: no such job, a damaged folder, other model files.  VKA_E_USAGE: another process is at it, or device, driver
 * or version are not those that it began with. */
VKA_API vka_status vka_resume(vka_context *cx, const char *name, const vka_job *changes, char **report, vka_error *err);
/* Removes what was kept of such a render, which cannot be resumed then; outputs that are written stay.  VKA_E_INPUT and
 * VKA_E_USAGE as above. */
VKA_API vka_status vka_forget(vka_context *cx, const char *name, vka_error *err);
/* The jobs that can be resumed, and those running. */
VKA_API vka_status vka_jobs(vka_context *cx, char **report, vka_error *err);
/* The memory plan and estimate of the same job.  With --device-memory no device is touched.  The report is set for
 * VKA_E_MEMORY (does not fit) too. */
VKA_API vka_status vka_plan(vka_context *cx, const vka_job *job, char **report, vka_error *err);
/* Every Vulkan device. */
VKA_API vka_status vka_devices(vka_context *cx, char **report, vka_error *err);
/* What `models` lists; all zero is every model. */
typedef struct vka_models_query {
    const char *const *names; /* those with one of these in their names */
    size_t name_count;
    const char *kind; /* of this kind, as `inspect` has it; NULL: of any */
    int hash;         /* nonzero: hash what is not known yet, which reads every file */
} vka_models_query;
/* The models in the folders of models, by their headers: damaged ones too, with what is wrong.  `query` may be NULL.
 * VKA_E_INPUT when names were given and nothing has one of them. */
VKA_API vka_status vka_models(vka_context *cx, const vka_models_query *query, char **report, vka_error *err);
/* Where a model lies, by a name as `models` lists it: with folder and extension or without, and with or without a hash
 * behind it ("dreamshaper_8 [879db523c3]"), or by the hash alone.  `kind` is as `inspect` has it.  Unlike an option's value
 * a name is never taken for a path, so that it may come from anybody.  VKA_E_INPUT: none or several have that name. */
VKA_API vka_status vka_find(const char *kind, const char *name, char **path, vka_error *err);
/* What a file is; the report is one object. */
VKA_API vka_status vka_inspect_file(vka_context *cx, const char *path, char **report, vka_error *err);
/* Writes any model file that is read (or the files that an index, *.index.json, lists) as one safetensors file: element types
 * and bytes as they are, names without the wrappers of trainers.  With `overwrite` 0 an `out` that exists is VKA_E_OUTPUT.
 * VKA_E_STOPPED leaves no part of it. */
VKA_API vka_status vka_convert(vka_context *cx, const char *in, const char *out, int overwrite, char **report, vka_error *err);

#ifdef __cplusplus
}
#endif
#endif
