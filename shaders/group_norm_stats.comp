// group_norm_stats.comp - first half of group normalisation: per channel and block of rows, the mean and M2, the sum
// of squared distances from it.
//
// x [n, rows, c1] and x2 [n, rows, c2] (c2 = 0: absent), NHWC; out f32 [n][block][P means, P M2s], P = pitch(c1) +
// pitch(c2). One invocation takes four channels of one block. Sums are taken of x - x(first row of the block): the
// first row is itself a sample, so (mean - shift)^2 <= rows * variance and the subtraction M2 = q - s^2 / rows loses
// at most a factor `rows` of the precision, however large the mean.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, x2, result;
    uint x_stride, x2_stride, result_stride; // elements between samples
    uint quads1, quads2;                     // pitches / 4
    uint rows, block, blocks;
} push;

void main()
{
    uint i = invocation_number();
    uint quads = push.quads1 + push.quads2;
    uint block = i / quads;
    uint quad = i - block * quads;
    if (block >= push.blocks)
        return;
    bool second = quad >= push.quads1;
    uvec2 x = second ? push.x2 : push.x;
    uint pitch = 4 * (second ? push.quads2 : push.quads1);
    uint from = gl_WorkGroupID.y * (second ? push.x2_stride : push.x_stride) + 4 * (second ? quad - push.quads1 : quad);
    uint first = block * push.block;
    uint count = min(push.block, push.rows - first);
    from += first * pitch;
    vec4 shift = load_quad(x, from);
    vec4 s = vec4(0), q = vec4(0);
    for (uint row = 1; row < count; row++) {
        vec4 d = load_quad(x, from + row * pitch) - shift;
        s += d;
        q += d * d;
    }
    vec4 offset = s / float(count);
    uint to = gl_WorkGroupID.y * push.result_stride + (2 * block * quads + quad) * 4;
    store_quad_f32(push.result, to, shift + offset);
    store_quad_f32(push.result, to + quads * 4, max(q - s * offset, vec4(0)));
}
