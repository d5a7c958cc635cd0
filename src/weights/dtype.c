/* dtype.c - see dtype.h.  Bytes in files are little-endian; so must the machine be. */
#include "weights/dtype.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are read in place: a little-endian machine is needed"
#endif

static const struct {
    const char *name;
    size_t size;
    bool is_float;
} types[VKA_WEIGHT_DTYPES] = {
    [VKA_WEIGHT_F64] = {"F64", 8, true},         [VKA_WEIGHT_F32] = {"F32", 4, true},
    [VKA_WEIGHT_F16] = {"F16", 2, true},         [VKA_WEIGHT_BF16] = {"BF16", 2, true},
    [VKA_WEIGHT_F8_E4M3] = {"F8_E4M3", 1, true}, [VKA_WEIGHT_F8_E5M2] = {"F8_E5M2", 1, true},
    [VKA_WEIGHT_I64] = {"I64", 8, false},        [VKA_WEIGHT_I32] = {"I32", 4, false},
    [VKA_WEIGHT_I16] = {"I16", 2, false},        [VKA_WEIGHT_I8] = {"I8", 1, false},
    [VKA_WEIGHT_U64] = {"U64", 8, false},        [VKA_WEIGHT_U32] = {"U32", 4, false},
    [VKA_WEIGHT_U16] = {"U16", 2, false},        [VKA_WEIGHT_U8] = {"U8", 1, false},
    [VKA_WEIGHT_BOOL] = {"BOOL", 1, false},
};

size_t vka_dtype_size(enum vka_weight_dtype t)
{
    return types[t].size;
}
const char *vka_dtype_name(enum vka_weight_dtype t)
{
    return types[t].name;
}
bool vka_dtype_is_float(enum vka_weight_dtype t)
{
    return types[t].is_float;
}

bool vka_dtype_parse(const char *name, enum vka_weight_dtype *t)
{
    for (int i = 0; i < VKA_WEIGHT_DTYPES; i++)
        if (strcmp(types[i].name, name) == 0) {
            *t = (enum vka_weight_dtype)i;
            return true;
        }
    return false;
}

/* 1 sign, 4 exponent (bias 7), 3 mantissa bits; the one NaN pattern is all ones below the sign (OFP8, "fn"). */
static float e4m3_to_float(uint8_t b)
{
    int exp = (b >> 3) & 15, man = b & 7;
    float v;
    if (exp == 15 && man == 7)
        v = NAN;
    else if (exp)
        v = ldexpf(1.0f + (float)man / 8.0f, exp - 7);
    else
        v = ldexpf((float)man, -9);
    return b & 0x80 ? -v : v;
}

#define EACH(type, expression)                                                                                         \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type v;                                                                                                        \
        memcpy(&v, s + i * sizeof v, sizeof v);                                                                        \
        dst[i] = (expression);                                                                                         \
    }                                                                                                                  \
    break

void vka_dtype_to_f32(float *dst, const void *src, enum vka_weight_dtype t, size_t count)
{
    const uint8_t *s = src;
    if (count == 0)
        return;
    switch (t) {
    case VKA_WEIGHT_F32:
        memcpy(dst, src, count * sizeof *dst);
        break;
    case VKA_WEIGHT_F64:
        EACH(double, (float)v);
    case VKA_WEIGHT_F16:
        vka_halves_to_floats(dst, src, count);
        break;
    case VKA_WEIGHT_BF16:
        EACH(uint16_t, vka_bf16_to_float(v));
    case VKA_WEIGHT_F8_E4M3:
        EACH(uint8_t, e4m3_to_float(v));
    case VKA_WEIGHT_F8_E5M2:
        EACH(uint8_t, vka_half_to_float((uint16_t)(v << 8)));
    case VKA_WEIGHT_I64:
        EACH(int64_t, (float)v);
    case VKA_WEIGHT_I32:
        EACH(int32_t, (float)v);
    case VKA_WEIGHT_I16:
        EACH(int16_t, (float)v);
    case VKA_WEIGHT_I8:
        EACH(int8_t, (float)v);
    case VKA_WEIGHT_U64:
        EACH(uint64_t, (float)v);
    case VKA_WEIGHT_U32:
        EACH(uint32_t, (float)v);
    case VKA_WEIGHT_U16:
        EACH(uint16_t, (float)v);
    case VKA_WEIGHT_U8:
        EACH(uint8_t, (float)v);
    case VKA_WEIGHT_BOOL:
        EACH(uint8_t, v ? 1.0f : 0.0f);
    case VKA_WEIGHT_DTYPES:
        break;
    }
}

void vka_dtype_scale(float *values, const float *scales, uint64_t run, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; scales && i < count;) {
        uint64_t which = (first + i) / run, until = (which + 1) * run - first;
        float scale = scales[which];
        for (until = until < count ? until : count; i < until; i++)
            values[i] *= scale;
    }
}
