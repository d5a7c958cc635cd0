/* spool.h - frames of a clip on their way to the writers: a file of the job folder, or without a name where there is none, in
 * units of a fixed size.  How many there are is said only once their bytes are on the disk, and comes with their SHA-256. */
#ifndef VKA_RENDER_SPOOL_H
#define VKA_RENDER_SPOOL_H

#include "base/file.h"
#include "base/folder.h"
#include "render/state.h"

/* The names in the folder of clip K. */
struct vka_spool_names {
    const char *raw, *says; /* "frames-%u.raw", "frames-%u.json": {"frames": units, "sha256"} */
};
extern const struct vka_spool_names vka_spool_frames, vka_spool_between;

struct vka_spool {
    vka_disk_file file;
    uint32_t count; /* units in it */
    vka_sha256 sha; /* of these */
};

/* Opens the spool, empty, or with what earlier runs have put there where `keeps` and as far as it is that: at most `most` units
 * of `unit` bytes, looked at through `buffer` [unit]. */
vka_status vka_spool_open(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip,
                          bool keeps, uint32_t most, size_t unit, uint8_t *buffer, const vka_log *log, vka_error *err);
/* Puts one more unit behind the last. */
vka_status vka_spool_add(struct vka_spool *s, const uint8_t *data, size_t unit, vka_error *err);
/* Says how many there are, once they are on the disk.  Nothing happens without a folder. */
vka_status vka_spool_keep(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip,
                          vka_error *err);
/* Of all that is in it. */
void vka_spool_hex(const struct vka_spool *s, char hex[65]);
/* Closes it and takes it out of the folder. */
void vka_spool_remove(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip);

#endif
