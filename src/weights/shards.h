/* shards.h - models in several files, listed by an index (*.safetensors.index.json, *.bin.index.json). */
#ifndef VKA_WEIGHTS_SHARDS_H
#define VKA_WEIGHTS_SHARDS_H

#include "weights/safetensors.h"

#include <jansson.h>

/* Reads an index: *map is its weight_map (names to files), *files an object whose keys are the files.  Both are the caller's,
 * and NULL on failure.  VKA_E_INPUT when it is damaged, names more than 1,000 files or one outside of its folder. */
vka_status vka_shards_read(json_t **map, json_t **files, const char *index_path, vka_error *err);

/* All tensors of a model file, or of the files that an index lists. */
typedef struct vka_shards {
    vka_safetensors *files;
    size_t file_count;
    vka_weight *tensors; /* of all files, one file behind the other */
    size_t count;
} vka_shards;
/* `path` is a model file, or an index by its name's end, ".json". */
vka_status vka_shards_open(vka_shards *s, const char *path, vka_error *err);
void vka_shards_close(vka_shards *s); /* a zeroed one is fine */

#endif
