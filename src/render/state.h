/* state.h - the job folder: what a render leaves behind so that it can go on after a signal, a failure or a kill.
 *
 *   lock               held while a process works on the job
 *   job.json           the whole job, and what must be the same for the same bits (resume.c says what)
 *   state-A, state-B   the last two checkpoints of the clip that is being sampled, written in turn
 *   latents-K          clip K, sampled: a checkpoint with the latents alone
 *   frames-K.raw       clip K's decoded frames, [F,H,W,3] bytes
 *   frames-K.json      how many of them are on the disk, and the SHA-256 of these
 *   between-K.raw      the same of frames between them, [pairs,N-1,H,W,3] bytes, with a between-K.json
 *   outputs-K.json     which outputs of clip K have been begun and written
 *
 * Every file but the .raw ones and the lock appears whole or not at all, and carries a SHA-256 of itself: a flipped bit
 * is found, not rendered.  Writing here never ends a render, but for the frames: the writers read those from
 * the disk. */
#ifndef VKA_RENDER_STATE_H
#define VKA_RENDER_STATE_H

#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "sample/sample.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* ---- checkpoints ----------------------------------------------------------------------------------------- */

/* The whole sampler between two steps.  Little-endian on disk.  Owns what it points to. */
typedef struct vka_checkpoint {
    uint32_t clip;                            /* which of --count, from 0 */
    uint32_t pass;                            /* which of the clip's passes, from 0 */
    uint32_t eval, step;                      /* evaluations and steps of it that are done */
    uint32_t frames, channels, height, width; /* of a clip tensor, latent pixels */
    uint32_t slots;                           /* bit 1 << slot: what follows; X always */
    uint32_t timings;                         /* measured steps, of all passes */
    uint64_t seed;
    uint64_t serial;        /* grows from one to the next */
    uint64_t rng_bytes;     /* vka_noise_save's */
    float *slot[VKA_SLOTS]; /* [frames, channels, height, width] each */
    uint8_t *rng;
    double *step_s; /* [timings] seconds */
} vka_checkpoint;

/* Values of one clip tensor. */
size_t vka_checkpoint_values(const vka_checkpoint *c);
/* VKA_E_OUTPUT, leaving the file that was there. */
vka_status vka_checkpoint_write(const vka_checkpoint *c, const char *path, vka_error *err);
/* VKA_E_INPUT when it is not a whole, undamaged checkpoint; `name` is for the message.  Free in every case. */
vka_status vka_checkpoint_parse(const uint8_t *data, size_t size, const char *name, vka_checkpoint *out,
                                vka_error *err);
vka_status vka_checkpoint_read(const char *path, vka_checkpoint *out, vka_error *err);
void vka_checkpoint_free(vka_checkpoint *c);

/* ---- JSON files that check themselves ----------------------------------------------------------------------- */

/* The object's text with the member "check", the SHA-256 of its compact, sorted form without it. */
char *vka_checked_json_text(const json_t *object);
/* NULL with VKA_E_INPUT when it is no such text, or damaged; without "check". */
json_t *vka_checked_json_parse(const char *text, size_t size, const char *name, vka_error *err);
vka_status vka_checked_json_write(const char *path, const json_t *object, vka_error *err);
json_t *vka_checked_json_read(const char *path, vka_error *err);

/* ---- pace ------------------------------------------------------------------------------------------------------ */

/* How often writing is cheap: when the last write is 5 s old, or took less than a 50th of what it keeps. */
struct vka_pace {
    double last, cost; /* vka_now() at the end of the last write; its seconds */
    bool wrote;
};
bool vka_pace_due(const struct vka_pace *p, double now, double item_s);
void vka_pace_wrote(struct vka_pace *p, double began, double ended);

/* ---- the folder -------------------------------------------------------------------------------------------------- */

struct vka_state {
    char *id, *folder; /* NULL: there is none, and this render cannot be resumed */
    vka_lock lock;
    json_t *facts;   /* job.json */
    bool resumed;    /* the folder was there before */
    bool worth;      /* work of this or an earlier run lies in it */
    bool warned;     /* that something could not be written */
    bool second;     /* the next checkpoint goes to state-B */
    uint64_t serial; /* of the newest checkpoint */
    struct vka_pace pace;
    const vka_log *log;
};

/* A new folder with a new id, locked; folders that a kill left without a job.json are removed.  Where none can be had, a warning, and s->folder is NULL. */
void vka_state_create(struct vka_state *s, const vka_log *log);
/* Finds a job by id or by its folder's path and locks it.  VKA_E_INPUT when there is none or job.json is damaged,
 * VKA_E_USAGE when another process is running it. */
vka_status vka_state_open(struct vka_state *s, const char *name, const vka_log *log, vka_error *err);
/* Gives the lock back; removes the folder when `done`. */
void vka_state_close(struct vka_state *s, bool done);

/* A file of the folder, in fresh memory; "latents-%u" takes the clip. */
char *vka_state_path(const struct vka_state *s, const char *format, uint32_t clip);
/* Writes job.json, a checkpoint in turn, latents-K or another checked JSON file of the folder; false, with one warning
 * in the life of the state, when it cannot be written.  Nothing happens without a folder. */
bool vka_state_keep_facts(struct vka_state *s);
bool vka_state_keep_step(struct vka_state *s, vka_checkpoint *c);
bool vka_state_keep_latents(struct vka_state *s, vka_checkpoint *c);
bool vka_state_keep_json(struct vka_state *s, const char *format, uint32_t clip, const json_t *object);
/* The newest checkpoint that is whole: of two the older one, with a warning, where the newer is damaged.  Without any,
 * out->slots is 0.  VKA_E_INPUT when there are some and all are damaged. */
vka_status vka_state_newest(struct vka_state *s, vka_checkpoint *out, vka_error *err);
/* latents-K into *out, or false; a damaged file is warned of. */
bool vka_state_latents(struct vka_state *s, uint32_t clip, vka_checkpoint *out);
/* frames-K.json or outputs-K.json; NULL when there is none, with a warning when it is damaged. */
json_t *vka_state_json(struct vka_state *s, const char *format, uint32_t clip);
void vka_state_remove(struct vka_state *s, const char *format, uint32_t clip);

/* Every job folder there is, oldest first: [{"id", "folder", "created", "state": "stopped|running|damaged", "prompt",
 * "outputs"}]; of a damaged one only "id", "folder" and "state" are known.  Folders that a kill left without a job.json
 * are removed.  NULL when memory is short. */
json_t *vka_state_list(void);

#endif
