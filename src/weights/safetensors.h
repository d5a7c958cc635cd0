/* safetensors.h - the safetensors file format: an 8-byte little-endian length, a JSON header, the tensors' bytes.
 *
 * The reader trusts nothing: the header is at most 100 MB, at most 100,000 tensors, rank at most 8, names of 1 to 512
 * bytes without control characters and all different; for each tensor product(shape) * element == end - begin; the
 * ranges, sorted, cover the data section without overlap, hole or rest.  A file that breaks a rule is refused with
 * VKA_E_INPUT and one sentence that says which.  Files of other formats are named in the sentence. */
#ifndef VKA_WEIGHTS_SAFETENSORS_H
#define VKA_WEIGHTS_SAFETENSORS_H

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "weights/table.h"

#include <stddef.h>
#include <stdint.h>

#define VKA_SAFETENSORS_MAX_HEADER  100000000u
#define VKA_SAFETENSORS_MAX_TENSORS 100000u
#define VKA_SAFETENSORS_MAX_NAME    512u

/* The tensors of a model file, whatever its format (weights/file.h); the name is that of the first format there was. */
typedef struct vka_safetensors {
    vka_weight *tensors; /* in the order of their bytes in the file */
    size_t count;
    const char *(*metadata)[2]; /* key, value; both UTF-8 */
    size_t metadata_count;
    vka_name_index index;
    vka_arena arena; /* names and arrays */
    vka_map map;     /* of the file, when opened by path */
    char *path;      /* as given, for messages */
    bool is_torch;   /* a PyTorch archive: tensors may share bytes, and metadata are its texts and numbers */
    bool is_average; /* the names are those of a UNet, the values its averages over the training (EMA) */
} vka_safetensors;

/* Maps and checks a file. */
vka_status vka_safetensors_open(vka_safetensors *st, const char *path, vka_error *err);
/* Checks `size` bytes that the caller keeps alive until vka_safetensors_close; `path` is used in messages only. */
vka_status vka_safetensors_parse(vka_safetensors *st, const void *data, size_t size, const char *path, vka_error *err);
void vka_safetensors_close(vka_safetensors *st); /* a zeroed one is fine */
/* NULL when the file has no such tensor. */
const vka_weight *vka_safetensors_find(const vka_safetensors *st, const char *name);
/* NULL when there is no such metadata. */
const char *vka_safetensors_metadata(const vka_safetensors *st, const char *key);

/* Writes a whole file (it appears under its name only when complete).  Of each tensor name, dtype, rank, dims and data
 * are read; `bytes` is computed.  Tensors are stored by falling element size, so that each is aligned to its element;
 * within one size in the order given.  VKA_E_OUTPUT when the file cannot be written. */
vka_status vka_safetensors_write(const char *path, const vka_weight *tensors, size_t count,
                                 const char *const (*metadata)[2], size_t metadata_count, vka_error *err);
/* The same, asking `watch` (NULL: nobody) after every few MB whether to go on; false there is VKA_E_STOPPED. */
struct vka_write_watch {
    bool (*go_on)(void *user, uint64_t done, uint64_t total); /* bytes of the tensors */
    void *user;
};
vka_status vka_safetensors_write_watched(const char *path, const vka_weight *tensors, size_t count,
                                         const char *const (*metadata)[2], size_t metadata_count,
                                         const struct vka_write_watch *watch, vka_error *err);

#endif
