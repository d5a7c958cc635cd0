/* resume.h - what a job folder says about its render, and whether that render can go on with the same bits. */
#ifndef VKA_RENDER_RESUME_H
#define VKA_RENDER_RESUME_H

#include "render/state.h"
#include "render/work.h"

/* Fills and keeps the facts of a new job: all that vka_resume_check looks at, and the job itself with every path
 * absolute and everything decided that could be decided otherwise another day (seed, names of models, path,
 * precision). */
void vka_resume_describe(struct vka_state *s, struct vka_work *w);
/* Adds the model files' hashes to the facts once they are known; cheap, to be called now and then. */
void vka_resume_add_hashes(struct vka_state *s, struct vka_setup *setup);

/* The job of an open folder, with what `changes` (may be NULL) gives of this machine: --device, --vram, --overwrite.
 * VKA_E_USAGE when another version began it, VKA_E_INPUT when the facts make no job. */
vka_status vka_resume_job(const struct vka_state *s, const struct vka_job *changes, struct vka_job **job,
                          vka_error *err);
/* Whether the files are those that the job began with: VKA_E_INPUT names the one that is not.  A file of the same
 * size, time and inode is taken for the same; of another its hash decides. */
vka_status vka_resume_check_files(const struct vka_state *s, struct vka_work *w, vka_error *err);
/* Whether device, driver and kernels are: VKA_E_USAGE says what differs; and what was decided by the models' small
 * files (configs, schedules): VKA_E_INPUT. */
vka_status vka_resume_check_device(const struct vka_state *s, const struct vka_work *w, vka_error *err);

/* render.c: a job in a new folder (`state` NULL) or in one that is open. */
vka_status vka_render_in(vka_context *cx, const struct vka_job *job, struct vka_state *state, char **report,
                         vka_error *err);

#endif
