// matmul_sum.comp - the second half of a split product: y = act(sum of the partial sums in order + bias + sample_bias)
// + add, fp16 storage.  An invocation takes 8 columns of a row; with GEGLU they make 4 channels.  With statistics a
// workgroup of 128 takes 16 columns of a block of 64 rows.
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
    uint stats_stride; // floats per sample
    uvec2 stats;
};

#include "product.glsl"

layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer ArgsBlock { Args args; };

shared float values[STATS ? 64u * 16u : 1u];

// The results of columns n .. n + 7 of a row.
void take(Args a, uint row, uint n, out vec4 v0, out vec4 v1)
{
    const uint s = divide(row, a.pixels_magic, a.pixels_shift), p = row - s * a.pixels;
    uint from = s * a.x_stride + p * a.x_pitch + n;
    v0 = load_f32x4(partials, from);
    v1 = load_f32x4(partials, from + 4u);
    for (uint k = 1u; k < splits; k++) {
        from += vectors * 8u;
        v0 += load_f32x4(partials, from);
        v1 += load_f32x4(partials, from + 4u);
    }
    finish(a, s, p, n, v0, v1);
}

// Means and squared distances from them of 16 columns from `n0` on, of the block of 64 rows from `row` on.
void leave_stats(Args a, uint row, uint n0)
{
    const uint column = gl_LocalInvocationIndex, n = n0 + column;
    if (column >= 16u || n >= a.result_pitch)
        return;
    float mean = 0.0, m2 = 0.0;
    for (uint i = 0u; i < 64u; i++)
        mean += values[i * 16u + column];
    mean *= 1.0 / 64.0;
    for (uint i = 0u; i < 64u; i++) {
        const float d = values[i * 16u + column] - mean;
        m2 += d * d;
    }
    const uint s = divide(row, a.pixels_magic, a.pixels_shift), p = row - s * a.pixels;
    const uint to = s * stats_stride + p / 64u * (2u * a.result_pitch) + n;
    store_f32(stats, to, mean);
    store_f32(stats, to + a.result_pitch, m2);
}

void main()
{
    const Args a = ArgsBlock(args_address).args;
    vec4 v0, v1;
    if (STATS) {
        const uint lane = gl_LocalInvocationIndex, pairs = (vectors + 1u) / 2u;
        const uint block = workgroup_number() / pairs, n0 = (workgroup_number() - block * pairs) * 16u;
        const uint row = block * 64u + lane / 2u, n = n0 + lane % 2u * 8u;
        if (block * 64u * vectors >= count)
            return;
        v0 = v1 = vec4(0.0);
        if (n < vectors * 8u)
            take(a, row, n, v0, v1);
        [[unroll]] for (uint e = 0u; e < 4u; e++) {
            values[lane * 8u + e] = v0[e];
            values[lane * 8u + 4u + e] = v1[e];
        }
        barrier();
        leave_stats(a, block * 64u, n0);
    } else {
        const uint i = invocation_number(), row = i / vectors;
        if (i < count)
            take(a, row, (i - row * vectors) * 8u, v0, v1);
    }
}
