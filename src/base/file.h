/* file.h - files: read-only maps, whole reads, writes that appear all at once, paths, hashes. */
#ifndef VKA_BASE_FILE_H
#define VKA_BASE_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A file mapped read-only.  A file of 0 bytes maps to data != NULL, size 0. */
typedef struct vka_map {
    const uint8_t *data;
    size_t size;
} vka_map;
/* VKA_E_INPUT when it is missing, a folder, or not readable; the error names the path. */
vka_status vka_map_open(vka_map *map, const char *path, vka_error *err);
void vka_map_close(vka_map *map);

/* Reads a small file (at most `limit` bytes) into malloc'ed memory with a NUL behind it. */
vka_status vka_read_file(const char *path, size_t limit, char **data, size_t *size, vka_error *err);

/* An output that appears under its name only when it is whole: written to PATH.part in the same
 * folder, flushed, synchronised, renamed.  Abandoning removes the part. */
typedef struct vka_outfile {
    FILE *file;
    char *path, *part;
} vka_outfile;
vka_status vka_out_open(vka_outfile *out, const char *path, vka_error *err);
vka_status vka_out_write(vka_outfile *out, const void *data, size_t size, vka_error *err);
vka_status vka_out_commit(vka_outfile *out, vka_error *err); /* closes in every case */
void vka_out_abandon(vka_outfile *out);
/* All of it in one call. */
vka_status vka_write_file(const char *path, const void *data, size_t size, vka_error *err);

bool vka_path_exists(const char *path);
bool vka_path_is_dir(const char *path);
/* dir/name in fresh memory. */
char *vka_path_join(const char *dir, const char *name);
/* "clip.webp" of "/a/clip.webp"; never NULL, points into `path`. */
const char *vka_path_base(const char *path);
/* ".webp" of "/a/clip.webp", "" when there is none; points into `path`. */
const char *vka_path_extension(const char *path);
/* mkdir -p. */
vka_status vka_make_dirs(const char *path, vka_error *err);
/* The per-user cache folder of vkanim, created: $VKANIM_CACHE_DIR, else $XDG_CACHE_HOME/vkanim, else
 * ~/.cache/vkanim.  NULL when none can be had.  free() it. */
char *vka_cache_dir(void);
/* The file's absolute path in fresh memory, and in `id` what changes when its content does (size, time, inode); NULL when
 * it cannot be had. */
char *vka_file_identity(const char *path, char id[96]);
/* The folder of the running program, or NULL where the system does not tell.  free() it. */
char *vka_program_dir(void);

/* SHA-256 (FIPS 180-4). */
typedef struct vka_sha256 {
    uint64_t context[20]; /* the library's own */
} vka_sha256;
void vka_sha256_init(vka_sha256 *s);
void vka_sha256_add(vka_sha256 *s, const void *data, size_t size);
void vka_sha256_hex(vka_sha256 *s, char hex[65]); /* finishes; lower case */

#endif
