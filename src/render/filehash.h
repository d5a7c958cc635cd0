/* filehash.h - hashes of model files, and the cache that keeps them by file identity.
 *
 * The cache is one JSON object in the cache folder, "path" -> {"id", "sha256"}; one that cannot be read or written is only
 * slower. */
#ifndef VKA_RENDER_FILEHASH_H
#define VKA_RENDER_FILEHASH_H

#include "base/error.h"

#include <jansson.h>
#include <stdatomic.h>

/* A JSON object out of the cache folder, an empty one where there is none; *path (free it) is NULL where there can be none.
 * NULL when memory is short. */
json_t *vka_cache_load(const char *name, char **path);
void vka_cache_store(const char *path, const json_t *cache); /* `path` may be NULL */

/* The SHA-256 of a file as the cache of hashes has it; false when it does not know the file as it is now. */
bool vka_hash_known(const json_t *cache, const char *file, char sha256[65]);
/* The same, computed and entered where it is not known, *changed telling so.  `stop` may be NULL; when it is set the call
 * ends early, with VKA_OK and nothing entered.  VKA_E_INPUT when the file cannot be read. */
vka_status vka_hash_of(json_t *cache, const char *file, const atomic_bool *stop, char sha256[65], bool *changed,
                       vka_error *err);

/* The first 8 digits of the SHA-256 of 64 KiB at 1 MiB: model hashes before 2023.  False when the file is shorter than that
 * or cannot be read. */
bool vka_hash_legacy(const char *file, char out[9]);
/* The first 12 digits of the SHA-256 of a safetensors file without its header: what infotexts have as a LoRA's hash.  Of
 * another file the first 12 of its SHA-256.  False when it cannot be read. */
bool vka_hash_addnet(const char *file, char out[13]);

#endif
