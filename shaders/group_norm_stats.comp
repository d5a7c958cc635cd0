// group_norm_stats.comp - first half of group normalisation: per channel and block of rows, the mean and M2, the sum
// of squared distances from it.
//
// x [n, rows, c], NHWC; out f32 [n][block][P means, P M2s], P = pitch(c). One invocation takes four channels of one
// block. Sums are taken of x - x(first row of the block): the first row is itself a sample, so (mean - shift)^2 <= rows
// * variance and the subtraction M2 = q - s^2 / rows loses at most a factor `rows` of the precision, however large the
// mean.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, result;
    uint x_stride, result_stride; // elements between samples
    uint quads;                   // pitch / 4
    uint rows, block, blocks;
} push;

void main()
{
    uint i = invocation_number();
    uint block = i / push.quads;
    uint quad = i - block * push.quads;
    if (block >= push.blocks)
        return;
    uint pitch = 4 * push.quads;
    uint from = gl_WorkGroupID.y * push.x_stride + 4 * quad;
    uint first = block * push.block;
    uint count = min(push.block, push.rows - first);
    from += first * pitch;
    vec4 shift = load_quad(push.x, from);
    vec4 s = vec4(0), q = vec4(0);
    for (uint row = 1; row < count; row++) {
        vec4 d = load_quad(push.x, from + row * pitch) - shift;
        s += d;
        q += d * d;
    }
    vec4 offset = s / float(count);
    uint to = gl_WorkGroupID.y * push.result_stride + (2 * block * push.quads + quad) * 4;
    store_quad_f32(push.result, to, shift + offset);
    store_quad_f32(push.result, to + pitch, max(q - s * offset, vec4(0)));
}
