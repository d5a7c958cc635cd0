// spread.comp - rows of a table to the samples that want them: result[s] = x[index[s]], or x[0] where there is no index.
//
// x [m, rows, c], result [n, rows, c] of one pitch and one type, whichever; index i32, one for each sample. One invocation
// copies 16 bytes.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, index, result;                   // index 0: none
    uint x_stride, index_stride, result_stride; // between samples, of x and result in words of 32 bits
    uint pieces;                              // of 16 bytes, of a sample's part
} push;

void main()
{
    const uint i = invocation_number() * 4, s = gl_WorkGroupID.y;
    if (i >= push.pieces * 4)
        return;
    uint from = 0;
    if ((push.index.x | push.index.y) != 0)
        from = uint(load_i32(push.index, s * push.index_stride));
    store_u32x4(push.result, s * push.result_stride + i, load_u32x4(push.x, from * push.x_stride + i));
}
