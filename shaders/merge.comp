// merge.comp - what several windows predict for a frame, added to its sum: result = sum + w[0] x[from[0]] + w[1] x[from[1]] ..,
// rounded step by step in that order (no contraction), so that it does not matter how many windows come at once.
//
// sum, result f32 [n, rows, c] of one pitch; x f32 [m, rows, c]; table f32, for each sample `terms` pairs (from, w), with a from
// below 0 where there is none. One invocation takes four channels of a row; the result may lie on the sum.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 sum, x, table, result;
    uint sum_stride, x_stride, table_stride, result_stride; // elements between samples
    uint terms, quads;                                      // quads: of a sample's part
} push;

void main()
{
    const uint i = invocation_number() * 4, s = gl_WorkGroupID.y;
    if (i >= push.quads * 4)
        return;
    precise vec4 v = load_f32x4(push.sum, s * push.sum_stride + i);
    for (uint k = 0; k < push.terms; k++) {
        const float from = load_f32(push.table, s * push.table_stride + 2 * k);
        if (from < 0.0)
            continue;
        precise vec4 term = load_f32(push.table, s * push.table_stride + 2 * k + 1) * load_f32x4(push.x, uint(from) * push.x_stride + i);
        v = v + term;
    }
    store_f32x4(push.result, s * push.result_stride + i, v);
}
