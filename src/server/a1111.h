/* a1111.h - the HTTP interface of A1111's web UI and of its AnimateDiff extension, on top of the server's queue.
 *
 * a1111_job.c (with a1111_units.c: scripts that come along, a1111_read.c: values of a request, a1111_text.c: base64) turns a
 * request into a job object and knows neither the server nor HTTP; a1111_options.c is the table of settings; a1111_reply.c
 * makes the reply of finished jobs, with a1111_frames.c; a1111_lists.c has the lists, a1111.c the routes.
 *
 * What a request says and nothing here is like is refused with a sentence where it would change what the picture shows, else
 * told in info's "vkanim_notes".  Of names that A1111 itself passes over (settings, further members of a request) the same
 * is true here: clients send back whole sets of them. */
#ifndef VKA_SERVER_A1111_H
#define VKA_SERVER_A1111_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vkanim/vkanim.h>

#if defined(__GNUC__)
#define A1111_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define A1111_PRINTF(fmt, args)
#endif

/* ---- errors, values (a1111_read.c) ------------------------------------------------------------------------- */

/* As FastAPI has it: 422 with the place of what is wrong, 404 for what is not there, 400, 500, 501. */
struct srv_a1111_error {
    unsigned status; /* 0: none so far; the first one stays */
    char field[96];  /* "alwayson_scripts.AnimateDiff.fps", or empty */
    char text[400];  /* one sentence */
};
/* Sets it unless it is set; false. */
bool srv_a1111_fail(struct srv_a1111_error *err, unsigned status, const char *field, const char *text, ...) A1111_PRINTF(4, 5);

/* An object within a request.  A member that is missing or null has its `initial` value; numbers may be texts that hold one,
 * as pydantic has it.  A member of another type is 422, and the initial value is given. */
struct srv_a1111_values {
    const json_t *object; /* borrowed; NULL: everything is missing */
    const char *where;    /* "" or "alwayson_scripts.AnimateDiff": put before the member's name */
    struct srv_a1111_error *err;
};
bool srv_a1111_has(const struct srv_a1111_values *v, const char *name); /* there, and not null */
json_int_t srv_a1111_int(const struct srv_a1111_values *v, const char *name, json_int_t initial);
double srv_a1111_real(const struct srv_a1111_values *v, const char *name, double initial);
bool srv_a1111_flag(const struct srv_a1111_values *v, const char *name, bool initial);
const char *srv_a1111_text(const struct srv_a1111_values *v, const char *name, const char *initial); /* borrowed */
bool srv_a1111_bad(const struct srv_a1111_values *v, const char *name, unsigned status, const char *text, ...)
    A1111_PRINTF(4, 5);
/* ASCII letters have one case. */
bool srv_a1111_same(const char *a, const char *b);

/* ---- base64 (a1111_text.c) ----------------------------------------------------------------------------------- */

/* Text, malloc'd with a final 0; NULL when memory is short. */
char *srv_a1111_base64(const void *data, size_t size);
/* Bytes of a text of `size` letters, white space passed over, "data:TYPE;base64," before it too; malloc'd, NULL with
 * *out_size 0 when it is no base64 or memory is short. */
unsigned char *srv_a1111_bytes(const char *text, size_t size, size_t *out_size);
/* ".png", ".jpg", ".webp", ".gif", ".mp4", ".webm", or ".bin": by the first bytes. */
const char *srv_a1111_extension(const void *data, size_t size);

/* ---- a request into a job (a1111_job.c) ------------------------------------------------------------------------ */

enum { A1111_CLIPS = 16 }; /* of one request at most, with AnimateDiff */
enum srv_a1111_kind { A1111_TXT2IMG, A1111_IMG2IMG };

/* What a translation asks of the server. */
struct srv_a1111_store {
    /* Keeps the bytes of a picture or video; `name` becomes what a job calls it ("upload:..."), `suggested` being
     * "webui.png" or the like. */
    vka_status (*put)(void *user, const char *suggested, const void *data, size_t size, char name[80], vka_error *err);
    /* The name of a model of a kind ("checkpoint", as `inspect` has them) for a title, a name or a hash; false: there is
     * none. */
    bool (*model)(void *user, const char *kind, const char *title, char name[300]);
    void *user;
};

struct srv_a1111_work {
    json_t *job;        /* our job object, names of uploads in it; no seed when the request leaves it to chance */
    json_t *parameters; /* the request, for the reply's "parameters" */
    json_t *notes;      /* sentences about what was passed over */
    json_t *keep;       /* settings that shall stay (override_settings without restoring), or NULL */
    unsigned clips;     /* jobs to run, one behind the other (n_iter of an animation) */
    unsigned apart;     /* seeds between two of them: a frame each, as A1111 counts */
    bool animation;     /* AnimateDiff is on */
    bool send;          /* pictures go into the reply */
    bool frames;        /* single frames go into the reply too: those of its .apng, which holds them without loss */
    bool drop_frames;   /* and the .apng leaves the results behind that */
};
/* `options` as srv_a1111_options_make has them, `name` what results are called, without an extension.  False with the error
 * set.  Nothing but the store is touched.  Freed by the caller in every case. */
bool srv_a1111_translate(struct srv_a1111_work *out, const json_t *request, enum srv_a1111_kind kind, const json_t *options,
                         const char *name, const struct srv_a1111_store *store, struct srv_a1111_error *err);
void srv_a1111_work_free(struct srv_a1111_work *work);

/* The parts of srv_a1111_translate that lie in a1111_units.c. */
struct srv_a1111_making {
    struct srv_a1111_work *work;
    const struct srv_a1111_store *store;
    struct srv_a1111_error *err;
    enum srv_a1111_kind kind;
    const char *name;
    json_int_t frames;       /* of the clip */
    json_int_t video_length; /* what AnimateDiff says: 0: not */
    json_int_t batch_size, stride, overlap;
    const char *closed_loop;  /* NULL: none */
    char video[80], mask[80]; /* names of uploads, or empty */
    char resize[16];          /* of control units; empty: they say nothing */
    bool sourceless;          /* a control unit has no picture of its own */
    unsigned units;           /* those that are on */
};
/* A member of the job; takes the value, NULL being out of memory. */
void srv_a1111_put(struct srv_a1111_making *m, const char *key, json_t *value);
/* Appends to a list of the job. */
void srv_a1111_append(struct srv_a1111_making *m, const char *key, const char *text);
void srv_a1111_note(struct srv_a1111_making *m, const char *text, ...) A1111_PRINTF(2, 3);
/* A picture of a request, in base64 or as "upload:NAME" or "result:NAME", to a name for the job; false with the error set. */
bool srv_a1111_picture(struct srv_a1111_making *m, const char *where, const char *text, char name[80]);
/* A model of a request to its name; false with the error set: 404, `what` is a noun for the sentence. */
bool srv_a1111_model_name(struct srv_a1111_making *m, const char *where, const char *kind, const char *what, const char *title,
                          char name[300]);
/* A number as text, with a point whatever the locale. */
void srv_a1111_number(char out[40], double value);
/* {"label", "value"} of each member of AnimateDiff's args, in their order; new. */
json_t *srv_a1111_unit_members(void);
/* The names of preprocessors that a unit may have; new. */
json_t *srv_a1111_unit_modules(void);
/* alwayson_scripts. */
bool srv_a1111_units(struct srv_a1111_making *m, const json_t *scripts);

/* ---- names that both have (a1111_names.c) --------------------------------------------------------------------- */

/* Our value of an option ("sampler", "schedule") for A1111's name of it or its short one ("sgm_uniform"), or our own; NULL:
 * none. */
bool srv_a1111_value_of(const char *option, const char *name, char value[40]);
/* A1111's short name of a label: "SGM Uniform" is "sgm_uniform". */
void srv_a1111_short_name(const char *label, char out[40]);
/* Calls for every value of an option that A1111 has a name for. */
void srv_a1111_each_value(const char *option, void (*call)(void *user, const char *value, const char *label), void *user);
/* Sampler, schedule, noise and, where `m` has AnimateDiff, windows and loop, by the library's reading of infotext. */
bool srv_a1111_sampling(struct srv_a1111_making *m, const char *sampler, const char *scheduler, const char *source,
                        json_int_t steps);
/* hr_upscaler's name here, or NULL. */
const char *srv_a1111_upscaler(const char *name);
/* NULL behind the last one; what /latent-upscale-modes and /upscalers list. */
const char *srv_a1111_upscaler_name(size_t index, bool latent);

/* ---- settings (a1111_options.c) -------------------------------------------------------------------------------- */

/* All settings with their first values; NULL when memory is short. */
json_t *srv_a1111_options_make(void);
/* Sets those of `given` that there are in `options`; the others are passed over, and noted by their names in `unknown` (may
 * be NULL). Nothing is changed when the error is set. */
bool srv_a1111_options_set(json_t *options, const json_t *given, const char *where, json_t *unknown,
                           struct srv_a1111_error *err);

/* ---- replies (a1111_reply.c) ------------------------------------------------------------------------------------ */

/* Hands over the frames of an APNG of this program as PNG files (malloc'd, taken), in order, until `take` says no
 * (a1111_frames.c). False when it did, or when the bytes are no such file. */
bool srv_a1111_split(const void *apng, size_t size, bool (*take)(void *user, unsigned char *png, size_t size), void *user);
/* Whether an output of a job holds the frames of an animation: by its ending. */
bool srv_a1111_holds_frames(const char *output);
/* {"images", "parameters", "info"}: `clips` the job objects of the queue, in order; load gives a result's bytes (malloc'd,
 * NULL: gone), infotext what it says about itself (malloc'd, NULL: nothing), preview the newest picture of a job that was
 * stopped. */
struct srv_a1111_sources {
    unsigned char *(*load)(void *user, const char *output, size_t *size);
    char *(*infotext)(void *user, const char *output);
    unsigned char *(*preview)(void *user, const char *id, size_t *size);
    void *user;
};
json_t *srv_a1111_reply(const struct srv_a1111_work *work, const json_t *clips, const struct srv_a1111_sources *sources,
                        struct srv_a1111_error *err);
/* Unix seconds as "20260131235959", UTC. */
void srv_a1111_stamp(double made, char out[32]);
/* The status that A1111 would have for an error of a job, {"code", "what", "why", "hint"}. */
void srv_a1111_job_error(const json_t *error, struct srv_a1111_error *out);
/* {"error", "detail", "body", "errors"}; "detail" is FastAPI's list for 422. */
json_t *srv_a1111_error_json(const struct srv_a1111_error *err);

#endif
