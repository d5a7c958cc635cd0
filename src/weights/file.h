/* file.h - a model file of any format that is read, as named tensors.
 *
 * Formats: safetensors, and PyTorch's archives (.ckpt, .pt, .pth, .bin).  Whatever the format, the names are those inside of
 * known wrappers: "module." of distributed training goes; where a file has only the averages (EMA) of a UNet's weights, they
 * get the UNet's names; fp8 weights get the scales that stand beside them (the scales keep their names and stay). */
#ifndef VKA_WEIGHTS_FILE_H
#define VKA_WEIGHTS_FILE_H

#include "weights/safetensors.h"

/* Maps and checks a model file of whatever format its first bytes show.  Close with vka_safetensors_close.  VKA_E_INPUT with one
 * sentence when it is damaged, or of a format that is not read.  Nothing of a pickle is executed. */
vka_status vka_model_file_open(vka_safetensors *st, const char *path, vka_error *err);
/* The same for `size` bytes that the caller keeps alive until vka_safetensors_close; `path` is used in messages only. */
vka_status vka_model_file_parse(vka_safetensors *st, const void *data, size_t size, const char *path, vka_error *err);

#endif
