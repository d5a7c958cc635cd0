/* folder.h - folders that one process owns at a time, and files in them that grow piece by piece. */
#ifndef VKA_BASE_FOLDER_H
#define VKA_BASE_FOLDER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* A lock on a file.  It ends with its holder, however that ends, so nothing has to be cleared up after a kill. */
typedef struct vka_lock {
    int held; /* descriptor + 1; 0: none */
} vka_lock;
/* Takes the lock without waiting, making the file where it is missing; *taken says whether nobody else has it.
 * VKA_E_OUTPUT when the file cannot be opened. */
vka_status vka_lock_take(vka_lock *lock, const char *path, bool *taken, vka_error *err);
void vka_lock_drop(vka_lock *lock);
/* Whether somebody holds the lock; a lock of this process counts too. */
bool vka_lock_is_held(const char *path);

/* A file read and written at offsets, in bytes. */
typedef struct vka_disk_file {
    int open;   /* descriptor + 1; 0: none */
    char *path; /* NULL: without a name, gone with the process */
} vka_disk_file;
/* An existing file keeps its bytes; `path` NULL: a file without a name in the folder for temporary files.
 * VKA_E_OUTPUT. */
vka_status vka_disk_open(vka_disk_file *f, const char *path, vka_error *err);
/* A file without a name in this folder. */
vka_status vka_disk_open_in(vka_disk_file *f, const char *folder, vka_error *err);
/* All or VKA_E_OUTPUT, with the system's reason. */
vka_status vka_disk_write(vka_disk_file *f, uint64_t offset, const void *data, size_t size, vka_error *err);
/* All or VKA_E_INPUT. */
vka_status vka_disk_read(vka_disk_file *f, uint64_t offset, void *data, size_t size, vka_error *err);
/* Returns when the bytes are on the disk. */
vka_status vka_disk_sync(vka_disk_file *f, vka_error *err);
void vka_disk_close(vka_disk_file *f);

/* Makes a folder for this user alone; *fresh is false when it was there already.  VKA_E_OUTPUT. */
vka_status vka_folder_make(const char *path, bool *fresh, vka_error *err);
/* The names in a folder but those that begin with a dot, sorted, in fresh memory: free each and the array.  A folder
 * that cannot be read has none. */
char **vka_folder_names(const char *path, size_t *count);
/* The same; *whole is false where memory was too short for all of them. */
char **vka_folder_list(const char *path, size_t *count, bool *whole);
/* Seconds since something was made in or removed from a folder; -1 where there is no folder (a link to one is none). */
int64_t vka_folder_age(const char *path);
/* Removes the files in a folder and then the folder; folders inside it stay, and so does it then. */
void vka_folder_remove(const char *path);
void vka_file_remove(const char *path);
/* A second name for a file; false where there is one of that name, or where the file system has no such thing. */
bool vka_file_link(const char *path, const char *also);

/* The path from the root, whether there is such a file or not, in fresh memory; a final '/' stays.  NULL when memory
 * is short. */
char *vka_path_absolute(const char *path);
/* Seconds since 1970-01-01 UTC. */
int64_t vka_clock_unix(void);
/* Such a time as "2026-01-31 14:05:09 UTC". */
void vka_clock_text(int64_t unix_seconds, char out[32]);
/* Where jobs that can be resumed are kept, created: $VKANIM_CACHE_DIR/jobs, else $XDG_STATE_HOME/vkanim/jobs, else
 * ~/.local/state/vkanim/jobs.  NULL when none can be had.  free() it. */
char *vka_jobs_dir(void);

#endif
