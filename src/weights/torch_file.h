/* torch_file.h - PyTorch's files (.ckpt, .pt, .pth, .bin) since 1.6: a zip archive of one pickle and a file per storage. */
#ifndef VKA_WEIGHTS_TORCH_FILE_H
#define VKA_WEIGHTS_TORCH_FILE_H

#include "weights/safetensors.h"

/* Reads `size` bytes that the caller keeps alive.  Dictionaries in dictionaries become names with dots; known wrappers
 * ("state_dict", "model", ...) are taken off.  Texts and numbers beside the tensors are the metadata, named the same way;
 * everything else in the pickle is passed over.  The names are not yet those of weights/file.h: it strips more.
 * VKA_E_INPUT with one sentence when the file is damaged, hostile or holds no tensors. */
vka_status vka_torch_parse(vka_safetensors *st, const void *data, size_t size, const char *path, vka_error *err);

#endif
