/* vision.h - CLIP's image encoder (Radford et al. 2021), as IP-Adapters want it: transformers' CLIPVisionModelWithProjection.
 *
 * Table names are transformers': vision_model.embeddings.{class_embedding, patch_embedding.weight, position_embedding.weight},
 * vision_model.{pre_layrnorm, post_layernorm}.{weight,bias}, vision_model.encoder.layers.N.*, visual_projection.weight.  The patch
 * embedding [D, 3, p, p] stands there as the matrix [D, 3 p p]. */
#ifndef VKA_WEIGHTS_VISION_H
#define VKA_WEIGHTS_VISION_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/safetensors.h"
#include "weights/table.h"

#include <jansson.h>

typedef struct vka_vision vka_vision;
/* A file (weights/file.h), a folder with config.json and model.safetensors or pytorch_model.bin, or one that has such a folder as
 * image_encoder.  VKA_E_INPUT with a sentence when it is something else. */
vka_status vka_vision_open(vka_vision **out, const char *path, vka_error *err);
void vka_vision_close(vka_vision *v); /* NULL is fine */
const char *vka_vision_path(const vka_vision *v);
/* The weights file itself, for its hash. */
const char *vka_vision_file(const vka_vision *v);
vka_weights *vka_vision_weights(vka_vision *v);
const vka_vision_config *vka_vision_describe(const vka_vision *v);

/* The same steps over a parsed file, for inspection and fuzzing: renames into `w` (finished by the callee), finds the sizes and
 * checks every tensor's shape against them.  `json`: its config.json, or NULL: then the number of heads follows from the width as in
 * CLIP's published sizes. */
vka_status vka_vision_read(vka_weights *w, vka_vision_config *c, const vka_safetensors *st, const json_t *json, const char *path,
                           vka_error *err);

#endif
