/* dtype.h - element types of tensors in model files. */
#ifndef VKA_WEIGHTS_DTYPE_H
#define VKA_WEIGHTS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vka_weight_dtype {
    VKA_WEIGHT_F64,
    VKA_WEIGHT_F32,
    VKA_WEIGHT_F16,
    VKA_WEIGHT_BF16,
    VKA_WEIGHT_F8_E4M3, /* the "fn" form: no infinity, NaN is S.1111.111, largest 448 */
    VKA_WEIGHT_F8_E5M2, /* the upper byte of an IEEE half */
    VKA_WEIGHT_I64,
    VKA_WEIGHT_I32,
    VKA_WEIGHT_I16,
    VKA_WEIGHT_I8,
    VKA_WEIGHT_U64,
    VKA_WEIGHT_U32,
    VKA_WEIGHT_U16,
    VKA_WEIGHT_U8,
    VKA_WEIGHT_BOOL,
    VKA_WEIGHT_DTYPES
};

/* Bytes of one element: 1, 2, 4 or 8. */
size_t vka_dtype_size(enum vka_weight_dtype t);
/* The safetensors spelling: "F16". */
const char *vka_dtype_name(enum vka_weight_dtype t);
/* The other way; false when the name is not known. */
bool vka_dtype_parse(const char *name, enum vka_weight_dtype *t);
bool vka_dtype_is_float(enum vka_weight_dtype t);
/* Converts `count` elements at `src` (any alignment, little-endian) to binary32, rounding F64 and wide integers to
 * nearest.  Every type is accepted; BOOL gives 0 or 1. */
void vka_dtype_to_f32(float *dst, const void *src, enum vka_weight_dtype t, size_t count);
/* Multiplies elements [first, first + count) of a tensor by their scales, each of which is for `run` elements; nothing when
 * scales is NULL. */
void vka_dtype_scale(float *values, const float *scales, uint64_t run, uint64_t first, uint64_t count);

#endif
