/* tensors.h - the tensors of a job's files: --noise, --embeds, --step-noise, net's --in, and what is written back. */
#ifndef VKA_RENDER_TENSORS_H
#define VKA_RENDER_TENSORS_H

#include "weights/weights.h"

/* A clip tensor [F, c, h, w] as fp32, malloc'ed; a file's [1, c, F, h, w] is permuted.  Zero extents of *f, *c, *h, *w accept any
 * and are filled in; others must match.  VKA_E_INPUT names file, tensor and shapes. */
vka_status vka_read_clip(const vka_safetensors *st, const char *name, uint32_t *f, uint32_t *c, uint32_t *h, uint32_t *w,
                         float **out, vka_error *err);
/* Frames [F, H, W, 3]. */
vka_status vka_read_frames(const vka_safetensors *st, const char *name, uint32_t *f, uint32_t *h, uint32_t *w, float **out,
                           vka_error *err);
/* Text embeddings [P, T, D]; a rank-2 [T, D] counts as P = 1. */
vka_status vka_read_embeds(const vka_safetensors *st, const char *name, uint32_t *p, uint32_t *t, uint32_t *d, float **out,
                           vka_error *err);
/* One number, of any rank. */
vka_status vka_read_scalar(const vka_safetensors *st, const char *name, float *out, vka_error *err);

/* A growing set of tensors to be written as one safetensors file.  Data added is copied. */
typedef struct vka_tensor_file {
    vka_weight *items;
    size_t count, capacity;
    vka_arena arena;
    bool failed;
} vka_tensor_file;
void vka_tensor_file_add(vka_tensor_file *t, const char *name, enum vka_weight_dtype dtype, uint32_t rank,
                         const uint64_t *dims, const void *data);
vka_status vka_tensor_file_write(vka_tensor_file *t, const char *path, vka_error *err);
void vka_tensor_file_free(vka_tensor_file *t);

#endif
