/* embedding.h - textual-inversion files: a few vectors that stand for a word in a prompt. */
#ifndef VKA_WEIGHTS_EMBEDDING_H
#define VKA_WEIGHTS_EMBEDDING_H

#include "base/error.h"

#include <stdint.h>

typedef struct vka_embedding {
    float *vectors;        /* [count][width] */
    uint32_t count, width; /* at least 1 */
    char *token;           /* the token that a diffusers file was trained with, such as "<cat-toy>"; NULL: it names none */
} vka_embedding;

/* Reads a file of A1111 (.pt with string_to_param, .safetensors with emb_params), of diffusers (one tensor, named like its
 * token), or with one tensor of any name; each [width] or [count, width].  VKA_E_INPUT with one sentence when it is none of
 * them, is for Stable Diffusion XL, or holds NaN or infinity. */
vka_status vka_embedding_read(vka_embedding *out, const char *path, vka_error *err);
void vka_embedding_free(vka_embedding *e);

#endif
