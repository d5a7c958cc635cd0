/* inspect.h - what a model file is, judged by its names and shapes alone. */
#ifndef VKA_WEIGHTS_INSPECT_H
#define VKA_WEIGHTS_INSPECT_H

#include "base/error.h"
#include "base/mem.h"
#include "weights/safetensors.h"

#include <stddef.h>
#include <stdint.h>

enum vka_file_kind {
    VKA_FILE_UNKNOWN,
    VKA_FILE_CHECKPOINT, /* a model: LDM single file, or a diffusers folder */
    VKA_FILE_UNET,       /* one part in diffusers' naming */
    VKA_FILE_VAE,        /* diffusers' or LDM naming */
    VKA_FILE_TEXT,
    VKA_FILE_MOTION,
    VKA_FILE_LORA,
    VKA_FILE_MOTION_LORA,
    VKA_FILE_EMBEDDING,
    VKA_FILE_CONTROLNET,
    VKA_FILE_IP_ADAPTER,
    VKA_FILE_VISION,
    VKA_FILE_KINDS
};
/* As in `inspect`'s JSON: "checkpoint", "motion-module", "lora" ... (a UNet's or text encoder's own file is a
 * "checkpoint" too). */
const char *vka_file_kind_name(enum vka_file_kind kind);
/* For sentences: "a LoRA", "a motion module" ... */
const char *vka_file_kind_phrase(enum vka_file_kind kind);

typedef struct vka_classification {
    enum vka_file_kind kind;
    const char *family;  /* "sd15", "sd15-inpaint", "sd15-pix2pix", "sd2", "sdxl" or NULL */
    const char *dialect; /* "ldm", "diffusers", "original", "kohya", "peft" ... or NULL */
    const char *note;    /* a sentence about it, or NULL */
} vka_classification;
void vka_classify(vka_classification *c, const vka_safetensors *st);

typedef struct vka_inspection {
    enum vka_file_kind kind;
    const char *family, *variant; /* NULL when there is none to tell */
    uint64_t tensors, parameters;
    uint32_t dtypes; /* bit per enum vka_weight_dtype that occurs */
    const char **notes;
    size_t note_count;
    vka_arena arena;
} vka_inspection;
/* A file or a folder.  VKA_E_INPUT when it is not a readable model file at all. */
vka_status vka_inspect(vka_inspection *out, const char *path, vka_error *err);
/* The same for bytes in memory; `path` for messages and as a hint. */
vka_status vka_inspect_parsed(vka_inspection *out, const vka_safetensors *st, const char *path, vka_error *err);
void vka_inspection_free(vka_inspection *x);

#endif
