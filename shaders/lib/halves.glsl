// halves.glsl - eight halves as one 16-byte vector.
#ifndef HALVES_GLSL
#define HALVES_GLSL

#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

// Halves 0 .. 3 and 4 .. 7 of a vector.
vec4 four_halves(uvec2 v) { return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y)); }
vec4 low_halves(uvec4 v) { return four_halves(v.xy); }
vec4 high_halves(uvec4 v) { return four_halves(v.zw); }

// Two as one word, rounded as every other store of fp16 is.
#ifdef WIDE_LOADS
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
vec4 four_halves(uint64_t v)
{
    return vec4(unpackHalf2x16(uint(v)).x, unpackHalf2x16(uint(v >> 16)).x, unpackHalf2x16(uint(v >> 32)).x,
                unpackHalf2x16(uint(v >> 48)).x);
}
// A software device makes sixty instructions of a conversion to fp16; these are fifteen: ties to even, beyond 65504
// infinite. Below 2^-14 halves count 2^-24ths, as the last bits of numbers in [0.5, 1) do.
uint half_bits(float v)
{
    const uint bits = floatBitsToUint(v), size = bits & 0x7fffffffu;
    precise float tiny = uintBitsToFloat(size) + 0.5;
    uint h = min((size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13, 0x7c00u);
    h = size < 0x38800000u ? floatBitsToUint(tiny) - 0x3f000000u : h;
    h = size > 0x7f800000u ? 0x7e00u : h; // not a number
    return h | ((bits >> 16) & 0x8000u);
}
uint two_halves(vec2 v) { return half_bits(v.x) | (half_bits(v.y) << 16); }
#else
uint two_halves(vec2 v) { return packFloat2x16(f16vec2(v)); }
#endif
uvec2 halves(vec4 v) { return uvec2(two_halves(v.xy), two_halves(v.zw)); }
uvec4 halves(vec4 low, vec4 high) { return uvec4(halves(low), halves(high)); }

#endif
