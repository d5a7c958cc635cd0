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
layout(constant_id = 3) const bool ODD = false; // x2 begins between two quads

layout(push_constant, scalar) uniform Push {
    uvec2 x, x2, norm, result;
    uint x_stride, x2_stride, norm_stride, result_stride; // elements between samples
    uint x_pitch, x2_pitch, result_pitch;
    uint c1, c2;
    uint rows;
} push;
// Read once, here: on a software device they would be loads per lane inside of loops.
uvec2 x_address = push.x, x2_address = push.x2, result_address = push.result;
uint c1 = push.c1, c2 = push.c2, result_pitch = push.result_pitch;
uint x_stride = push.x_stride, x_pitch = push.x_pitch, x2_stride = push.x2_stride, x2_pitch = push.x2_pitch;
uint result_stride = push.result_stride;

vec4 load_pair(uint sample_index, uint row, uint c)
{
    const uint at = sample_index * x_stride + row * x_pitch, at2 = sample_index * x2_stride + row * x2_pitch;
    if (!ODD) { // of either the quads are whole: c1 is a multiple of 4, or x has pads and is all there is
        const bool second = c2 != 0 && c >= c1;
        return load_quad(second ? x2_address : x_address, second ? at2 + c - c1 : at + c);
    }
    vec4 v = vec4(0);
    for (uint k = 0; k < 4; k++) {
        if (c + k < c1)
            v[k] = load_storage(x_address, at + c + k);
        else if (c + k < c1 + c2)
            v[k] = load_storage(x2_address, at2 + c + k - c1);
    }
    return v;
}

void main()
{
    uint i = invocation_number();
    uint quads = result_pitch / 4;
    uint row = i / quads;
    uint c = (i - row * quads) * 4;
    row *= ROWS;
    uint sample_index = gl_WorkGroupID.y;
    if (row >= push.rows)
        return;
    uint end = min(row + ROWS, push.rows);
    vec4 scale = load_quad_f32(push.norm, sample_index * push.norm_stride + c);
    vec4 shift = load_quad_f32(push.norm, sample_index * push.norm_stride + result_pitch + c);
    for (; row < end; row++) {
        vec4 v = load_pair(sample_index, row, c) * scale + shift;
        v = vec4(activate(ACT, v.x), activate(ACT, v.y), activate(ACT, v.z), activate(ACT, v.w));
        store_quad(result_address, sample_index * result_stride + row * result_pitch + c, v);
    }
}
