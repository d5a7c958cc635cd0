// matmul_sum.comp - the second half of a split product: y = act(sum of the partial sums in order + bias + sample_bias) + add,
// fp16 storage.  An invocation takes 8 columns of a row; with GEGLU they make 4 channels.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "memory.glsl"
#include "lanes.glsl"

layout(constant_id = 1) const uint FLAGS = 0; // lib/product.glsl
layout(constant_id = 2) const uint ACT = 0;   // enum vka_act

layout(push_constant, std430) uniform Push {
    uvec2 partials; // f32 [row][split][column]
    uvec2 bias;
    uvec2 result, add;
    uvec2 sample_bias;
    uvec2 args_address;
    uint vectors; // of 8 columns of a row of one split
    uint splits;
    uint count; // vectors in all, of one split
};

#include "product.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer ArgsBlock { Args args; };

void main()
{
    const Args a = ArgsBlock(args_address).args;
    const uint i = invocation_number();
    if (i >= count)
        return;
    const uint row = i / vectors, n = (i - row * vectors) * 8u;
    const uint s = divide(row, a.pixels_magic, a.pixels_shift), p = row - s * a.pixels;
    uint from = s * a.x_stride + p * a.x_pitch + n;
    vec4 v0 = load_f32x4(partials, from), v1 = load_f32x4(partials, from + 4u);
    for (uint k = 1u; k < splits; k++) {
        from += vectors * 8u;
        v0 += load_f32x4(partials, from);
        v1 += load_f32x4(partials, from + 4u);
    }
    finish(a, s, p, n, v0, v1);
}
