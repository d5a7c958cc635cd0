// rows.comp - rows of one or two tensors one behind the other, with a table added.
//
// x [n, x_rows, c] of the storage's type, or f32 where TABLE; y [n, rows, c] of the storage's; positions f32 [>= T, c] without
// padding, where POSITIONS; result [n, T, c], pads zero.  A sample's stride of 0 gives every sample the same rows.  One
// invocation takes four channels of a row.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(constant_id = 1) const bool TABLE = false;
layout(constant_id = 2) const bool POSITIONS = false;

layout(push_constant, scalar) uniform Push {
    uvec2 x, y, positions, result;
    uint x_stride, y_stride, result_stride; // elements between samples
    uint x_pitch, y_pitch, result_pitch;    // elements between rows
    uint x_rows, count, c, pad;             // count: T
} push;

void main()
{
    const uint i = invocation_number(), s = gl_WorkGroupID.y;
    const uint quads = push.result_pitch / 4;
    const uint row = i / quads, c = (i - row * quads) * 4;
    if (row >= push.count)
        return;
    vec4 v = vec4(0);
    if (row >= push.x_rows)
        v = load_quad(push.y, s * push.y_stride + (row - push.x_rows) * push.y_pitch + c);
    else if (TABLE) {
        for (uint k = 0; k < 4; k++)
            if (c + k < push.c)
                v[k] = load_f32(push.x, s * push.x_stride + row * push.x_pitch + c + k);
    } else
        v = load_quad(push.x, s * push.x_stride + row * push.x_pitch + c);
    if (POSITIONS)
        for (uint k = 0; k < 4; k++)
            if (c + k < push.c)
                v[k] += load_f32(push.positions, row * push.c + c + k);
    store_quad(push.result, s * push.result_stride + row * push.result_pitch + c, v);
}
