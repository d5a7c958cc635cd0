/* foreign.h - files that are no model file that is read: what they are instead.  Internal to the weights room. */
#ifndef VKA_WEIGHTS_FOREIGN_H
#define VKA_WEIGHTS_FOREIGN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether these are the first bytes of a zip archive, which PyTorch's files are. */
bool vka_is_zip(const uint8_t *p, size_t n);
/* Refuses a file that is no `wanted` ("a safetensors file"): VKA_E_INPUT, with what it is and what to do about it where its
 * first bytes tell.  A PyTorch archive is foreign here too. */
vka_status vka_refuse_foreign(const uint8_t *p, size_t n, const char *wanted, const char *path, vka_error *err);

#endif
