/* half.c - arrays of half floats; see half.h.
 *
 * The loops are those over the functions of one number, which compilers turn into vector code.  On x86 they are compiled a
 * second time for AVX2, twice as wide, and the processor is asked which to take; integer code and exact products give the same
 * bits either way. */
#include "base/half.h"

static inline void to_floats(float *restrict dst, const uint8_t *restrict src, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, sizeof h);
        dst[i] = vka_half_to_float(h);
    }
}

static inline void to_halves(uint16_t *restrict dst, const float *restrict src, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = vka_float_to_half(src[i]);
}

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
__attribute__((target("avx2"))) static void to_floats_avx2(float *dst, const uint8_t *src, size_t count)
{
    to_floats(dst, src, count);
}

__attribute__((target("avx2"))) static void to_halves_avx2(uint16_t *dst, const float *src, size_t count)
{
    to_halves(dst, src, count);
}
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#else
#define to_floats_avx2 to_floats
#define to_halves_avx2 to_halves
#define HAS_AVX2       0
#endif

void vka_halves_to_floats(float *dst, const void *src, size_t count)
{
    if (HAS_AVX2)
        to_floats_avx2(dst, src, count);
    else
        to_floats(dst, src, count);
}

void vka_floats_to_halves(uint16_t *dst, const float *src, size_t count)
{
    if (HAS_AVX2)
        to_halves_avx2(dst, src, count);
    else
        to_halves(dst, src, count);
}
