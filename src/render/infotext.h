/* infotext.h - the lines in which A1111's web UI and its AnimateDiff extension say how a picture was made:
 *
 *     a fox in the snow
 *     Negative prompt: blurry
 *     Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, Model: x, Version: v1.10
 *
 * The last line holds pairs, separated by commas; a value with a comma, a colon or a line feed is a JSON text in quotes.  The
 * extension's own are one pair more, AnimateDiff, whose value holds pairs again. */
#ifndef VKA_RENDER_INFOTEXT_H
#define VKA_RENDER_INFOTEXT_H

#include "render/job.h"

struct vka_infotext_pair {
    char *key, *value;
    bool used; /* by vka_infotext_apply */
};
struct vka_infotext_pairs {
    struct vka_infotext_pair *items;
    size_t count, capacity;
};
struct vka_infotext {
    char *prompt, *negative; /* may be empty */
    struct vka_infotext_pairs pairs, animatediff;
};

/* Takes infotext apart.  VKA_E_INPUT when the text is none: no last line of at least three pairs with Steps among them.
 * Freed by the caller in every case. */
vka_status vka_infotext_parse(struct vka_infotext *info, const char *text, vka_error *err);
void vka_infotext_free(struct vka_infotext *info);
/* The value of a key, in either case of letters; NULL when there is none. */
const char *vka_infotext_get(const struct vka_infotext_pairs *pairs, const char *key);

/* Sets a job's options to what the text says; what has no equal here is said in the job's notes, and so is which models the
 * picture was made with, since paths are the caller's.  VKA_E_MEMORY alone. */
vka_status vka_infotext_apply(struct vka_infotext *info, struct vka_job *job, vka_error *err);

/* A1111's name of a sampler or a schedule of ours, and back (with a schedule in the sampler's name taken off into *schedule,
 * which else is left alone); NULL where there is none. */
const char *vka_infotext_sampler(const char *name);
const char *vka_infotext_schedule(const char *name);
const char *vka_infotext_sampler_from(const char *name, const char **schedule);
const char *vka_infotext_schedule_from(const char *name);

struct vka_setup;
struct json_t;
/* The infotext of a clip: `models` as vka_setup_models_json(s, false) made it.  malloc'ed, NULL when memory is short. */
char *vka_infotext_write(const struct vka_setup *s, uint32_t clip, const struct json_t *models);

#endif
