// matmul.comp - y = act(W x + bias + sample_bias) + add for every row of a part: linear layers, 1x1 and 3x3 convolutions
// as one implicit product.  C[m, n] = sum over k of A[m, k] B[k, n]; m = row (sample, pixel), n = output channel.
//
// K runs over segments: the taps of a convolution (row-major), or the one or two inputs of a linear layer; a segment has
// as many k as its input has pitch (a multiple of 8).  The sum over k is sequential in fp32, so an output's bits depend on
// nothing but its own operands.  B is packed as [N / BN][K][BN]: a panel of BN columns per tile.
//
// Two ways to feed the multipliers, chosen by MODE:
// - broadcast (software devices): one workgroup is one subgroup; each lane owns 4 columns; A is loaded once, spread
//   over the lanes, and handed round by shuffles.  There, a load with per-lane addresses costs as much as a hundred
//   multiplications, a shuffle with a constant lane next to nothing, and a branch skips nothing.
// - staging (GPUs): a WM x WN workgroup stages BM x BK of A and BK x BN of B in shared memory.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "memory.glsl"
#include "activation.glsl"
#include "launch.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 8;
layout(constant_id = 1) const uint WN = 8;  // threads along N; THREADS = WM * WN
layout(constant_id = 2) const uint TM = 32; // rows and columns of a thread; TN is a multiple of 4
layout(constant_id = 3) const uint TN = 4;
layout(constant_id = 4) const uint BK = 4;  // k per step; divides 8 in broadcast mode
layout(constant_id = 5) const uint MODE = 0;
layout(constant_id = 6) const uint CONV = 0;  // rows gather taps of a picture
layout(constant_id = 7) const uint FLAGS = 0;
layout(constant_id = 8) const uint ACT = 0;   // enum vka_act

const uint MODE_BROADCAST = 0u;
const bool NORM = (FLAGS & 1u) != 0u;       // scale and shift on load
const bool SILU_IN = (FLAGS & 2u) != 0u;    // then SiLU
const bool SAMPLE_BIAS = (FLAGS & 4u) != 0u;
const bool ADD = (FLAGS & 8u) != 0u;
const bool X_F32 = (FLAGS & 16u) != 0u;     // fp32 where the storage type could be fp16
const bool OUT_F32 = (FLAGS & 32u) != 0u;
const bool ADD_F32 = (FLAGS & 64u) != 0u;
const bool W_F16 = (FLAGS & 128u) != 0u;

const bool BROADCAST = MODE == MODE_BROADCAST;
const uint WM = THREADS / WN;
const uint BM = WM * TM;
const uint BN = WN * TN;
const uint V = BROADCAST ? 2u : 4u;         // k per load of A
const uint PK = BK / V;                     // loads per row
const uint A_LOADS = BM * PK / THREADS;     // per thread
const uint B_LOADS = BK * BN / 4u / THREADS;
const uint A_STRIDE = BM + 4u;              // shared rows, skewed against bank conflicts
const uint B_STRIDE = BN + 4u;

shared float sa[BROADCAST ? 1u : BK * A_STRIDE];
shared float sb[BROADCAST ? 1u : BK * B_STRIDE];

layout(push_constant, std430) uniform Push {
    uvec2 x, x2;
    uvec2 weight, bias; // bias: f32 in the order of the packed columns
    uvec2 result, add;
    uvec2 sample_bias, norm;
    uvec2 args;
    uint rows;    // of the part
    uint tiles_n; // panels
    uint tiles;   // in all: groups beyond do nothing
};

// As struct matmul_args in src/ops/matmul.c.
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer Args {
    uint pixels, pixels_magic, pixels_shift; // output rows per sample
    uint x_stride, x_pitch, x2_stride, x2_pitch;
    uint result_stride, result_pitch, result_c;
    uint add_stride, add_pitch;
    uint sample_bias_stride;
    uint norm_stride, norm_pitch, norm_second; // floats per sample; offset of the shifts; channel of x2's first
    uint segments, k_packed;
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

vec2 load_a2(uvec2 address, uint i)
{
#ifdef STORAGE_F16
    if (!X_F32)
        return unpackHalf2x16(load_u32(address, i >> 1));
#endif
    return vec2(load_f32(address, i), load_f32(address, i + 1u));
}

vec4 load_a4(uvec2 address, uint i)
{
#ifdef STORAGE_F16
    if (!X_F32)
        return load_storage4(address, i);
#endif
    return load_f32x4(address, i);
}

vec2 load_b2(uint i)
{
    if (W_F16)
        return unpackHalf2x16(load_u32(weight, i >> 1));
    return vec2(load_f32(weight, i), load_f32(weight, i + 1u));
}

vec4 load_b4(uint i)
{
    if (W_F16)
        return vec4(load_b2(i), load_b2(i + 2u));
    return load_f32x4(weight, i);
}

void main()
{
    Args a = Args(args);
    const uint thread = gl_LocalInvocationIndex;
    const uint tx = thread % WN, ty = thread / WN;
    const uint tile = workgroup_number();
    const uint panel = tile % tiles_n, m0 = tile / tiles_n * BM;
    if (!BROADCAST && tile >= tiles)
        return;

    const uint pixels = a.pixels, pixels_magic = a.pixels_magic, pixels_shift = a.pixels_shift;
    const uint k_packed = a.k_packed, segments = a.segments;
    const uint norm_pitch = a.norm_pitch, norm_second = a.norm_second;
    const uint x_stride = a.x_stride, x_pitch = a.x_pitch, x2_stride = a.x2_stride, x2_pitch = a.x2_pitch;
    const uint kernel = a.kernel, stride = a.stride, pad_top = a.pad_top, pad_left = a.pad_left;
    const uint in_h = a.in_h, in_w = a.in_w, up_h = a.up_h, up_w = a.up_w;
    const uint up_h_magic = a.up_h_magic, up_h_shift = a.up_h_shift;
    const uint up_w_magic = a.up_w_magic, up_w_shift = a.up_w_shift;

    // What this thread loads of A: rows a_row(i), each V values from k = a_k on.  Rows behind the end repeat the last.
    const uint a_k = V * (thread % PK);
    uint a_sample[A_LOADS], a_pixel[A_LOADS], a_offset[A_LOADS];
    uint a_y[A_LOADS], a_x[A_LOADS];
    bool a_inside[A_LOADS];
    [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
        uint m = min(m0 + (thread + i * THREADS) / PK, rows - 1u);
        a_sample[i] = divide(m, pixels_magic, pixels_shift);
        a_pixel[i] = m - a_sample[i] * pixels;
        if (CONV != 0u) {
            a_y[i] = divide(a_pixel[i], a.out_w_magic, a.out_w_shift);
            a_x[i] = (a_pixel[i] - a_y[i] * a.out_w) * stride;
            a_y[i] *= stride;
        }
    }

    float acc[TM][TN];
    [[unroll]] for (uint i = 0u; i < TM; i++)
        [[unroll]] for (uint j = 0u; j < TN; j++)
            acc[i][j] = 0.0;

    uint segment = 0u;
    uint b_index = panel * k_packed * BN; // of row 0 of this step's B
    do {
        const bool second = CONV == 0u && segment != 0u;
        const uvec2 source = second ? x2 : x;
        const uint k_count = second ? x2_pitch : x_pitch;
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
            if (CONV != 0u) {
                // the enlarged picture's row and column; those before it wrap round and are outside too
                uint dy = kernel == 1u ? 0u : segment / 3u, dx = segment - dy * kernel;
                uint y = a_y[i] + dy - pad_top, xx = a_x[i] + dx - pad_left;
                a_inside[i] = y < up_h && xx < up_w;
                y = divide(y * in_h, up_h_magic, up_h_shift);
                xx = divide(xx * in_w, up_w_magic, up_w_shift);
                a_offset[i] = a_inside[i] ? a_sample[i] * x_stride + (y * in_w + xx) * x_pitch + a_k : a_k;
            } else {
                a_offset[i] = a_sample[i] * (second ? x2_stride : x_stride) + a_pixel[i] * k_count + a_k;
            }
        }
        uint k = 0u;
        do {
            vec4 va[A_LOADS];
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
                va[i] = BROADCAST ? vec4(load_a2(source, a_offset[i] + k), 0.0, 0.0) : load_a4(source, a_offset[i] + k);
                if (NORM) {
                    [[unroll]] for (uint e = 0u; e < V; e++) {
                        uint c = min((second ? norm_second : 0u) + k + a_k + e, norm_pitch - 1u);
                        uint at = a_sample[i] * a.norm_stride + c;
                        va[i][e] = va[i][e] * load_f32(norm, at) + load_f32(norm, at + norm_pitch);
                    }
                }
                if (SILU_IN)
                    [[unroll]] for (uint e = 0u; e < V; e++)
                        va[i][e] = act_silu(va[i][e]);
                if (CONV != 0u)
                    va[i] = a_inside[i] ? va[i] : vec4(0.0);
                if (!BROADCAST) // a step may reach beyond the segment
                    va[i] = k + a_k < k_count ? va[i] : vec4(0.0);
            }
            if (BROADCAST) {
                float b[BK][TN];
                [[unroll]] for (uint kk = 0u; kk < BK; kk++)
                    [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                        uint at = b_index + kk * BN + j * WN + tx * 4u;
                        vec2 low = load_b2(at), high = load_b2(at + 2u);
                        b[kk][j] = low.x;
                        b[kk][j + 1u] = low.y;
                        b[kk][j + 2u] = high.x;
                        b[kk][j + 3u] = high.y;
                    }
                // 8 rows at a time over all kk, so that their sums stay in registers
                [[unroll]] for (uint r = 0u; r < TM; r += 8u)
                    [[unroll]] for (uint kk = 0u; kk < BK; kk++)
                        [[unroll]] for (uint i = 0u; i < 8u; i++) {
                            const uint at = (r + i) * PK + kk / 2u; // which pair of the tile's A
                            float v = subgroupShuffle(va[at / THREADS][kk % 2u], at % THREADS);
                            [[unroll]] for (uint j = 0u; j < TN; j++)
                                acc[r + i][j] += v * b[kk][j];
                        }
            } else {
                vec4 vb[B_LOADS];
                [[unroll]] for (uint i = 0u; i < B_LOADS; i++)
                    vb[i] = load_b4(b_index + (thread + i * THREADS) * 4u);
                barrier();
                [[unroll]] for (uint i = 0u; i < A_LOADS; i++)
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        sa[(a_k + e) * A_STRIDE + (thread + i * THREADS) / PK] = va[i][e];
                [[unroll]] for (uint i = 0u; i < B_LOADS; i++) {
                    const uint at = (thread + i * THREADS) * 4u;
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        sb[at / BN * B_STRIDE + at % BN + e] = vb[i][e];
                }
                barrier();
                [[unroll]] for (uint kk = 0u; kk < BK; kk++) {
                    float ra[TM], rb[TN];
                    [[unroll]] for (uint i = 0u; i < TM; i++)
                        ra[i] = sa[kk * A_STRIDE + i / 4u * (WM * 4u) + ty * 4u + i % 4u];
                    [[unroll]] for (uint j = 0u; j < TN; j++)
                        rb[j] = sb[kk * B_STRIDE + j / 4u * (WN * 4u) + tx * 4u + j % 4u];
                    [[unroll]] for (uint i = 0u; i < TM; i++)
                        [[unroll]] for (uint j = 0u; j < TN; j++)
                            acc[i][j] += ra[i] * rb[j];
                }
            }
            b_index += min(BK, k_count - k) * BN;
            k += BK;
        } while (k < k_count);
        segment++;
    } while (segment < segments);

    const uint result_c = a.result_c, result_pitch = a.result_pitch, result_stride = a.result_stride;
    [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
        const uint n = panel * BN + j * WN + tx * 4u;
        const vec4 column_bias = load_f32x4(bias, n);
        const uint c = ACT == ACT_GEGLU ? n / 2u : n; // output channel
        [[unroll]] for (uint i = 0u; i < TM; i++) {
            const uint m = BROADCAST ? m0 + i : m0 + i / 4u * (WM * 4u) + ty * 4u + i % 4u;
            if (m < rows && c < result_pitch && (!BROADCAST || tile < tiles)) {
                const uint s = divide(m, pixels_magic, pixels_shift), p = m - s * pixels;
                vec4 v = vec4(acc[i][j], acc[i][j + 1u], acc[i][j + 2u], acc[i][j + 3u]) + column_bias;
                if (SAMPLE_BIAS)
                    v += load_f32x4(sample_bias, s * a.sample_bias_stride + n);
                const uint at = s * result_stride + p * result_pitch + c;
                if (ACT == ACT_GEGLU) {
                    vec2 y = vec2(c < result_c ? v.x * act_gelu(v.y) : 0.0, c + 1u < result_c ? v.z * act_gelu(v.w) : 0.0);
                    if (ADD) {
                        const uint from = s * a.add_stride + p * a.add_pitch + c;
                        if (c < result_c)
                            y.x += ADD_F32 ? load_f32(add, from) : load_storage(add, from);
                        if (c + 1u < result_c)
                            y.y += ADD_F32 ? load_f32(add, from + 1u) : load_storage(add, from + 1u);
                    }
                    if (OUT_F32) {
                        store_f32(result, at, y.x);
                        store_f32(result, at + 1u, y.y);
                    } else {
                        store_storage(result, at, y.x);
                        store_storage(result, at + 1u, y.y);
                    }
                } else {
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        v[e] = activate(ACT, v[e]);
                    if (ADD) {
                        const uint from = s * a.add_stride + p * a.add_pitch + c;
                        v += ADD_F32 ? load_f32x4(add, from) : load_storage4(add, from);
                    }
                    v = mix(vec4(0.0), v, lessThan(uvec4(c, c + 1u, c + 2u, c + 3u), uvec4(result_c)));
                    if (OUT_F32)
                        store_f32x4(result, at, v);
                    else
                        store_storage4(result, at, v);
                }
            }
        }
    }
}
