// norm_apply.comp - act(x * scale + shift) of x and x2 side by side.
//
// x [n, rows, c1], x2 [n, rows, c2] (c2 = 0: absent), norm f32 [n][pitch(C) scales, pitch(C) shifts], result
// [n, rows, C = c1 + c2].  One invocation takes four channels of ROWS rows.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"
#include "activation.glsl"

layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const uint ACT = 0;

layout(push_constant, scalar) uniform Push {
    uvec2 x, x2, norm, result;
    uint x_stride, x2_stride, norm_stride, result_stride; // elements between samples
    uint x_pitch, x2_pitch, result_pitch;
    uint c1, c2;
    uint rows;
} push;

vec4 load_pair(uint sample_index, uint row, uint c)
{
    uint at = sample_index * push.x_stride + row * push.x_pitch;
    if (push.c2 == 0 || c + 4 <= push.c1)
        return load_quad(push.x, at + c);
    uint at2 = sample_index * push.x2_stride + row * push.x2_pitch;
    if ((push.c1 & 3) == 0)
        return load_quad(push.x2, at2 + c - push.c1);
    vec4 v = vec4(0); // x2 begins between two quads
    for (uint k = 0; k < 4; k++) {
        if (c + k < push.c1)
            v[k] = load_storage(push.x, at + c + k);
        else if (c + k < push.c1 + push.c2)
            v[k] = load_storage(push.x2, at2 + c + k - push.c1);
    }
    return v;
}

void main()
{
    uint i = invocation_number();
    uint quads = push.result_pitch / 4;
    uint row = i / quads;
    uint c = (i - row * quads) * 4;
    row *= ROWS;
    uint sample_index = gl_WorkGroupID.y;
    if (row >= push.rows)
        return;
    uint end = min(row + ROWS, push.rows);
    vec4 scale = load_quad_f32(push.norm, sample_index * push.norm_stride + c);
    vec4 shift = load_quad_f32(push.norm, sample_index * push.norm_stride + push.result_pitch + c);
    for (; row < end; row++) {
        vec4 v = load_pair(sample_index, row, c) * scale + shift;
        v = vec4(activate(ACT, v.x), activate(ACT, v.y), activate(ACT, v.z), activate(ACT, v.w));
        store_quad(push.result, sample_index * push.result_stride + row * push.result_pitch + c, v);
    }
}
