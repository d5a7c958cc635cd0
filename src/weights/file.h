/* file.h - a model file of any format that is read, as named tensors. */
#ifndef VKA_WEIGHTS_FILE_H
#define VKA_WEIGHTS_FILE_H

#include "weights/safetensors.h"

/* Maps and checks a model file of whatever format its first bytes show.  Close with vka_safetensors_close.  VKA_E_INPUT with one
 * sentence when it is damaged, or of a format that is not read. */
vka_status vka_model_file_open(vka_safetensors *st, const char *path, vka_error *err);

#endif
