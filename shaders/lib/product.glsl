// product.glsl - what the kernels of a product on matrix units share (matmul_khr.comp, matmul_sum.comp): arguments,
// flags, and what follows the sum over k.  Comes after the constants FLAGS and ACT and a push block with the addresses
// bias, sample_bias, add and result.
#ifndef PRODUCT_GLSL
#define PRODUCT_GLSL

#include "memory.glsl"
#include "halves.glsl"
#include "activation.glsl"

const bool NORM = (FLAGS & 1u) != 0u;    // scale and shift on load
const bool SILU_IN = (FLAGS & 2u) != 0u; // then SiLU
const bool SAMPLE_BIAS = (FLAGS & 4u) != 0u;
const bool ADD = (FLAGS & 8u) != 0u;
const bool OUT_F32 = (FLAGS & 16u) != 0u;
const bool ADD_F32 = (FLAGS & 32u) != 0u;
const bool NORM_ODD = (FLAGS & 64u) != 0u; // x2's first channel is no multiple of 4
const bool STATS = (FLAGS & 128u) != 0u;   // moments of every 64 rows
const bool SPLIT = (FLAGS & 256u) != 0u;   // raw sums of a part of K
const bool X_F32 = (FLAGS & 512u) != 0u;
const bool FRAME_BIAS = (FLAGS & 1024u) != 0u; // sample_bias has a row per frame

// As struct vka_matmul_args in src/ops/matmul.h.
struct Args {
    uint pixels, pixels_magic, pixels_shift; // output rows per sample
    uint x_stride, x_pitch, x2_stride, x2_pitch, x3_stride, x3_pitch;
    uint result_stride, result_pitch, result_c;
    uint add_stride, add_pitch;
    uint sample_bias_stride, first_frame, frames, frames_magic, frames_shift;
    uint norm_stride, norm_pitch, norm_second; // floats per sample; offset of the shifts; channel of x2's first
    uint taps, segments, k_packed;
    // convolutions:
    uint kernel, stride, pad_top, pad_left;
    uint out_w, out_w_magic, out_w_shift;
    uint in_h, in_w, up_h, up_w;
    uint up_h_magic, up_h_shift, up_w_magic, up_w_shift;
};

// n / d for n < 2^31 (Granlund and Montgomery, 1994): magic = ceil(2^(31 + shift) / d), shift = ceil(log2 d)
uint divide(uint n, uint magic, uint shift)
{
    uint high, low;
    umulExtended(n << 1, magic, high, low);
    return high >> shift;
}

vec4 activate4(vec4 v) { return vec4(activate(ACT, v.x), activate(ACT, v.y), activate(ACT, v.z), activate(ACT, v.w)); }

// v where the channel, c for the first, is below `end`, else zero.
vec4 inside(uint c, uint end, vec4 v)
{
    return mix(vec4(0.0), v, lessThan(uvec4(c, c + 1u, c + 2u, c + 3u), uvec4(end)));
}

// From the sums of columns n .. n + 7 of pixel p in sample s to what is stored; v0 and v1 return it, in fp32 (with
// GEGLU v0 alone).  Does nothing behind the last channel.
void finish(Args a, uint s, uint p, uint n, inout vec4 v0, inout vec4 v1)
{
    const uint c = ACT == ACT_GEGLU ? n / 2u : n; // output channel
    if (c >= a.result_pitch)
        return;
    v0 += load_f32x4(bias, n);
    v1 += load_f32x4(bias, n + 4u);
    if (SAMPLE_BIAS) {
        uint row = s;
        if (FRAME_BIAS) {
            row += a.first_frame;
            row -= divide(row, a.frames_magic, a.frames_shift) * a.frames;
        }
        v0 += load_f32x4(sample_bias, row * a.sample_bias_stride + n);
        v1 += load_f32x4(sample_bias, row * a.sample_bias_stride + n + 4u);
    }
    const uint at = s * a.result_stride + p * a.result_pitch + c;
    const uint from = s * a.add_stride + p * a.add_pitch + c;
    if (ACT == ACT_GEGLU) {
        v0 = vec4(v0.x * act_gelu(v0.y), v0.z * act_gelu(v0.w), v1.x * act_gelu(v1.y), v1.z * act_gelu(v1.w));
        if (ADD)
            v0 += ADD_F32 ? load_f32x4(add, from) : four_halves(load_u32x2(add, from >> 1));
        v0 = inside(c, a.result_c, v0);
        if (OUT_F32)
            store_f32x4(result, at, v0);
        else
            store_u32x2(result, at >> 1, halves(v0));
        return;
    }
    v0 = activate4(v0);
    v1 = activate4(v1);
    if (ADD) {
        if (ADD_F32) {
            v0 += load_f32x4(add, from);
            v1 += load_f32x4(add, from + 4u);
        } else {
            const uvec4 added = load_u32x4(add, from >> 1);
            v0 += low_halves(added);
            v1 += high_halves(added);
        }
    }
    v0 = inside(c, a.result_c, v0);
    v1 = inside(c + 4u, a.result_c, v1);
    if (OUT_F32) {
        store_f32x4(result, at, v0);
        store_f32x4(result, at + 4u, v1);
    } else {
        store_u32x4(result, at >> 1, halves(v0, v1));
    }
}

#endif
