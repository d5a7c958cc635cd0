// timestep.comp - sinusoidal embedding of a timestep: sin and cos of t * frequency[i].
//
// t f32 [1]; frequency f32 [half] (made on the host, see src/ops/embedding.c); result f32 [pitch], the first half
// sines (cosines when `flip`), the second the other, zero from 2 * half on.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"
#include "math.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 t, frequency, result;
    uint half_dim, pitch, flip;
} push;

void main()
{
    uint i = invocation_number();
    if (i >= push.pitch)
        return;
    float v = 0.0;
    if (i < 2 * push.half_dim) {
        bool second = i >= push.half_dim;
        precise float x = load_f32(push.t, 0) * load_f32(push.frequency, second ? i - push.half_dim : i);
        vec2 sc = sincos(x);
        v = second == (push.flip != 0) ? sc.x : sc.y;
    }
    store_f32(push.result, i, v);
}
