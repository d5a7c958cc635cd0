/* half.h - IEEE binary16 and bfloat16 to and from binary32 (round to nearest even). */
#ifndef VKA_BASE_HALF_H
#define VKA_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Many at once; the bytes of `src` need no alignment.  The same bits as one by one, on any processor. */
void vka_halves_to_floats(float *dst, const void *src, size_t count);
void vka_floats_to_halves(uint16_t *dst, const float *src, size_t count);

/* Without a branch, so that loops over it become vector code: all three cases are computed and masks choose. */
static inline float vka_half_to_float(uint16_t h)
{
    uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t is_small = 0u - ((magnitude - 0x400u) >> 31), is_large = 0u - ((magnitude + 0x400u) >> 15);
    uint32_t bits = (magnitude << 13) + (112u << 23) + (is_large & 112u << 23); /* infinity and NaN: all ones in the exponent */
    float small = (float)(int32_t)magnitude * 5.9604644775390625e-8f; /* subnormal: magnitude * 2^-24 is exact in binary32 */
    uint32_t small_bits;
    memcpy(&small_bits, &small, 4);
    bits = (small_bits & is_small) | (bits & ~is_small) | sign;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

/* The same way: of four results, masks choose. */
static inline uint16_t vka_float_to_half(float f)
{
    uint32_t x;
    memcpy(&x, &f, 4);
    uint32_t sign = (x >> 16) & 0x8000u, magnitude = x & 0x7fffffffu, odd = (magnitude >> 13) & 1u;
    uint32_t is_small = 0u - ((magnitude - 0x38800000u) >> 31);  /* below 2^-14 */
    uint32_t is_large = ((magnitude - 0x47800000u) >> 31) - 1u;  /* 65536 and above, infinity included */
    uint32_t is_nan = 0u - ((0x7f800000u - magnitude) >> 31);
    uint32_t normal = (magnitude - 0x38000000u + 0xfffu + odd) >> 13; /* may carry into infinity */
    float half = 0.5f, shifted;
    uint32_t half_bits, small;
    memcpy(&shifted, &magnitude, 4);
    shifted += half; /* subnormal: the FPU rounds at 2^-24 */
    memcpy(&small, &shifted, 4);
    memcpy(&half_bits, &half, 4);
    small -= half_bits;
    uint32_t nan = 0x7e00u | ((magnitude >> 13) & 1023u);
    uint32_t finite = (small & is_small) | (normal & ~is_small);
    uint32_t large = (nan & is_nan) | (0x7c00u & ~is_nan);
    return (uint16_t)(sign | (large & is_large) | (finite & ~is_large));
}

static inline float vka_bf16_to_float(uint16_t b)
{
    uint32_t x = (uint32_t)b << 16;
    float f;
    memcpy(&f, &x, 4);
    return f;
}

#endif
