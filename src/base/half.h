/* half.h - IEEE binary16 and bfloat16 to and from binary32 (round to nearest even). */
#ifndef VKA_BASE_HALF_H
#define VKA_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float vka_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 1023u, bits;
    if (exp == 31)
        bits = sign | 0x7f800000u | (man << 13);
    else if (exp)
        bits = sign | ((exp + 112) << 23) | (man << 13);
    else { /* zero or subnormal: man * 2^-24 is exact in binary32 */
        float f = (float)man * 5.9604644775390625e-8f;
        memcpy(&bits, &f, 4);
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline uint16_t vka_float_to_half(float f)
{
    uint32_t x;
    memcpy(&x, &f, 4);
    uint32_t sign = (x >> 16) & 0x8000u, mag = x & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((mag >> 13) & 1023u));
    if (mag >= 0x47800000u) /* 65536 and above, infinity included */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < 0x38800000u) { /* below 2^-14: subnormal; adding 0.5 lets the FPU round at 2^-24 */
        float a, half = 0.5f;
        memcpy(&a, &mag, 4);
        a += half;
        uint32_t r, h;
        memcpy(&r, &a, 4);
        memcpy(&h, &half, 4);
        return (uint16_t)(sign | (r - h));
    }
    uint32_t odd = (mag >> 13) & 1u;
    return (uint16_t)(sign | ((mag - 0x38000000u + 0xfffu + odd) >> 13)); /* may carry into infinity */
}

static inline float vka_bf16_to_float(uint16_t b)
{
    uint32_t x = (uint32_t)b << 16;
    float f;
    memcpy(&f, &x, 4);
    return f;
}

#endif
