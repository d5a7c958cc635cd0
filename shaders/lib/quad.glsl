// quad.glsl - four consecutive values in as few accesses as the device likes; indices are multiples of 4.
//
// On a software device every access is a loop over the lanes, one turn per component of at most 8 bytes: binaries
// compiled with WIDE_LOADS (64-bit integers) move 8 bytes at a time there. Elsewhere these are the plain loads and
// stores.
#ifndef QUAD_GLSL
#define QUAD_GLSL

#include "memory.glsl"

#ifdef WIDE_LOADS
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer RefPair { uint64_t v[]; };

vec4 load_quad_f32(uvec2 address, uint i)
{
    return uintBitsToFloat(uvec4(unpackUint2x32(RefPair(address).v[i >> 1]),
                                 unpackUint2x32(RefPair(address).v[(i >> 1) + 1])));
}
void store_quad_f32(uvec2 address, uint i, vec4 x)
{
    RefPair(address).v[i >> 1] = packUint2x32(floatBitsToUint(x.xy));
    RefPair(address).v[(i >> 1) + 1] = packUint2x32(floatBitsToUint(x.zw));
}
#else
vec4 load_quad_f32(uvec2 address, uint i) { return load_f32x4(address, i); }
void store_quad_f32(uvec2 address, uint i, vec4 x) { store_f32x4(address, i, x); }
#endif

#if defined(STORAGE_F16) && defined(WIDE_LOADS)
#include "halves.glsl"
vec4 load_quad(uvec2 address, uint i) { return four_halves(RefPair(address).v[i >> 2]); }
void store_quad(uvec2 address, uint i, vec4 x) { RefPair(address).v[i >> 2] = packUint2x32(halves(x)); }
#elif defined(STORAGE_F16)
vec4 load_quad(uvec2 address, uint i) { return load_storage4(address, i); }
void store_quad(uvec2 address, uint i, vec4 x) { store_storage4(address, i, x); }
#else
vec4 load_quad(uvec2 address, uint i) { return load_quad_f32(address, i); }
void store_quad(uvec2 address, uint i, vec4 x) { store_quad_f32(address, i, x); }
#endif

#endif
