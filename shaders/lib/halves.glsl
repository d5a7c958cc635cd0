// halves.glsl - eight halves as one 16-byte vector.
#ifndef HALVES_GLSL
#define HALVES_GLSL

#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

// Halves 0 .. 3 and 4 .. 7 of a vector.
vec4 four_halves(uvec2 v) { return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y)); }
vec4 low_halves(uvec4 v) { return four_halves(v.xy); }
vec4 high_halves(uvec4 v) { return four_halves(v.zw); }

// Rounded as every other store of fp16 is (packHalf2x16 would leave the rounding to the device).
uvec2 halves(vec4 v) { return uvec2(packFloat2x16(f16vec2(v.xy)), packFloat2x16(f16vec2(v.zw))); }
uvec4 halves(vec4 low, vec4 high) { return uvec4(halves(low), halves(high)); }

#endif
