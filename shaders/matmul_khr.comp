// matmul_khr.comp - y = act(W x + bias + sample_bias) + add on the matrix units of a subgroup: linear layers, 1x1 and
// 3x3 convolutions as one implicit product, x and W in fp16, sums in fp32.  C[m, n] = sum over k of A[m, k] B[k, n]; m
// = row (sample, pixel), n = output channel.  The portable counterpart is matmul.comp.
//
// A workgroup makes BM x BN of C, BK of K at a time.  Both operands go through shared memory in 16-byte vectors of 8 k:
// a row of A and a column of B are BK halves, SKEW more apart, so that eight neighbours lie in eight different groups
// of banks.  While the subgroups multiply one block the next is under way in registers; with two STAGES of shared
// memory one barrier ends a block, with one it takes two and half the room.  Each of the SM x SN subgroups owns (BM /
// SM) x (BN / SN) of C as fragments of FM x FN.
//
// B is column-major in shared memory and packed so in global memory ([N / 32][K / 8][32][8], see src/ops/pack.h):
// RDNA's and NVIDIA's units both take B with the k of a column side by side; row-major they would gather halves one by
// one.  Panels are 32 columns wide whatever the tile, so that choosing a tile changes no packed byte.
//
// K runs over segments: the taps of a convolution (row-major), then further inputs at the output's pixel; a segment has
// as many k as its input has pitch (a multiple of 8).  A block never reaches over a segment's end: there A is zero and
// B some finite weight, or the zeros behind the last row.  Addresses of A's rows are found once per segment.  Every
// C[m, n] is the sum of its segments' products by fragments of FK in order of k; a tile only adds products with zeros,
// which change no sum, so the bits do not depend on it (tests/check/test_tiles.c).
//
// Epilogue: the fragments of SLAB rows go through shared memory at a time, so that global memory sees whole rows in
// 16-byte vectors; bias, activation, GEGLU and residual in fp32 (lib/product.glsl).  Statistics (STATS) are of the same
// values, per column over 64 rows in an order that no tile changes.
//
// Split-K (SPLIT): the workgroups of one C share K between them; each leaves its raw sums in fp32, see matmul_sum.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "matrix.glsl"
#include "launch.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 64;
layout(constant_id = 1) const uint SUBGROUP = 8;
layout(constant_id = 2) const uint FM = 8; // a fragment: FM x FK times FK x FN
layout(constant_id = 3) const uint FN = 8;
layout(constant_id = 4) const uint FK = 8;
layout(constant_id = 5) const uint BM = 64;
layout(constant_id = 6) const uint BN = 64; // a multiple of 32
layout(constant_id = 7) const uint BK = 32; // a multiple of 8 and of FK that divides 64
layout(constant_id = 8) const uint SN = 2;  // subgroups along N
layout(constant_id = 9) const uint SKEW = 8; // halves
layout(constant_id = 10) const uint SLAB = 64; // rows; a multiple of FM that divides BM
layout(constant_id = 11) const uint STAGES = 2; // 2, or 1: half the shared memory, a barrier more
layout(constant_id = 12) const uint ROLLED = 0; // 1: half the code, one block more is loaded for nothing
layout(constant_id = 13) const uint CONV = 0;   // rows gather taps of a picture
layout(constant_id = 14) const uint FLAGS = 0;
layout(constant_id = 15) const uint ACT = 0; // enum vka_act

const uint PANEL = 32u;
const uint SM = THREADS / SUBGROUP / SN;
const uint WM = BM / SM, WN = BN / SN; // of a subgroup
const uint TM = WM / FM, TN = WN / FN; // its fragments
const uint KV = BK / 8u;               // vectors of a row of A, of a column of B
const uint A_LOADS = (BM * KV + THREADS - 1u) / THREADS; // per thread
const uint B_LOADS = (BN * KV + THREADS - 1u) / THREADS;
const uint STRIDE = (BK + SKEW) / 8u;  // vectors
const uint STAGE = (BM + BN) * STRIDE;
const uint C_STRIDE = BN / 4u + 1u;    // vectors of 4 floats
const uint C_VECTORS = SLAB * C_STRIDE;
const uint STATS_COLUMNS = (BN + THREADS - 1u) / THREADS; // per thread

shared uvec4 stage[STAGES * STAGE > C_VECTORS ? STAGES * STAGE : C_VECTORS];

layout(push_constant, std430) uniform Push {
    uvec2 x, x2, x3;
    uvec2 weight, bias; // bias: f32 in the order of the packed columns
    uvec2 result, add;
    uvec2 sample_bias, norm;
    uvec2 stats;
    uvec2 args_address;
    uint rows;             // of the part
    uint tiles_m, tiles_n; // of BM rows, of BN columns
    uint band;             // tiles along M whose columns are done together: they share panels of B in the cache
};

#include "product.glsl"

// As struct matrix_args in src/ops/matmul_matrix.c.
struct MatrixArgs {
    Args base;
    uint panels;
    uint stats_stride, stats_pitch; // floats per sample, per block of 64 rows
    // split i begins in segment split_segment[i] at its k split_k[i] and ends where the next begins
    uint splits, split_c; // channels of one split's sums in the result
    uint split_segment[5], split_k[5];
};
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer ArgsBlock { MatrixArgs args; };

// Four scales or shifts from channel c of a row that has `limit`, a multiple of 8.  Behind the last channel come values
// times zero weights: any number will do there, so clamp.
vec4 load_norm(uint row, uint c, uint limit)
{
    if (NORM_ODD)
        return vec4(load_f32(norm, row + min(c, limit - 1u)), load_f32(norm, row + min(c + 1u, limit - 1u)),
                    load_f32(norm, row + min(c + 2u, limit - 1u)), load_f32(norm, row + min(c + 3u, limit - 1u)));
    return load_f32x4(norm, row + min(c, limit - 4u));
}

vec4 silu(vec4 v)
{
    return vec4(act_silu(v.x), act_silu(v.y), act_silu(v.z), act_silu(v.w));
}

// Four values of a row in the slab; c a multiple of 4.
vec4 staged(uint row, uint c) { return uintBitsToFloat(stage[row * C_STRIDE + c / 4u]); }

// Eight values of A as halves.
uvec4 load_a(uvec2 source, uint i)
{
    return X_F32 ? halves(load_f32x4(source, i), load_f32x4(source, i + 4u)) : load_u32x4(source, i >> 1);
}

// One staged block: a macro, since a function would copy its fragments.
#define MULTIPLY(at)                                                                                                   \
    [[unroll]] for (uint kk = 0u; kk < BK; kk += FK) {                                                                 \
        coopmat<float16_t, gl_ScopeSubgroup, FM, FK, gl_MatrixUseA> ma[TM];                                            \
        [[unroll]] for (uint i = 0u; i < TM; i++)                                                                      \
            coopMatLoad(ma[i], stage, at + (sm * WM + i * FM) * STRIDE + kk / 8u, STRIDE,                              \
                        gl_CooperativeMatrixLayoutRowMajor);                                                           \
        [[unroll]] for (uint j = 0u; j < TN; j++) {                                                                    \
            coopmat<float16_t, gl_ScopeSubgroup, FK, FN, gl_MatrixUseB> mb;                                            \
            coopMatLoad(mb, stage, at + (BM + sn * WN + j * FN) * STRIDE + kk / 8u, STRIDE,                            \
                        gl_CooperativeMatrixLayoutColumnMajor);                                                        \
            [[unroll]] for (uint i = 0u; i < TM; i++)                                                                  \
                acc[i * TN + j] = coopMatMulAdd(ma[i], mb, acc[i * TN + j]);                                           \
        }                                                                                                              \
    }

void main()
{
    const MatrixArgs args = ArgsBlock(args_address).args;
    const Args a = args.base;
    const uint thread = gl_LocalInvocationIndex;
    const uint tiles = tiles_m * tiles_n;
    uint tile = workgroup_number(), part = 0u;
    if (SPLIT) {
        part = tile / tiles;
        tile -= part * tiles;
        if (part >= args.splits)
            return;
    } else if (tile >= tiles) {
        return;
    }
    const uint of_band = tile / (band * tiles_n), in_band = tile - of_band * band * tiles_n;
    const uint height = min(band, tiles_m - of_band * band);
    const uint m0 = (of_band * band + in_band % height) * BM, n0 = in_band / height * BN;

    // What this thread loads of A: of some rows 8 values from k = a_k * 8 on.  Rows behind the end repeat the last.
    const uint a_k = thread % KV;
    uint a_sample[A_LOADS], a_pixel[A_LOADS], a_y[A_LOADS], a_x[A_LOADS];
    [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
        const uint m = min(m0 + (thread + i * THREADS) / KV, rows - 1u);
        a_sample[i] = divide(m, a.pixels_magic, a.pixels_shift);
        a_pixel[i] = m - a_sample[i] * a.pixels;
        if (CONV != 0u) {
            a_y[i] = divide(a_pixel[i], a.out_w_magic, a.out_w_shift);
            a_x[i] = (a_pixel[i] - a_y[i] * a.out_w) * a.stride;
            a_y[i] *= a.stride;
        }
    }
    // Vectors of B lie in the order of the packed weight: [panel][k][column].
    uint b_at[B_LOADS];
    [[unroll]] for (uint i = 0u; i < B_LOADS; i++) {
        const uint v = min(thread + i * THREADS, BN * KV - 1u);
        const uint panel = min(n0 / PANEL + v / (PANEL * KV), args.panels - 1u);
        b_at[i] = panel * (a.k_packed / 8u) * PANEL + v % (PANEL * KV);
    }

    coopmat<float, gl_ScopeSubgroup, FM, FN, gl_MatrixUseAccumulator> acc[TM * TN];
    [[unroll]] for (uint i = 0u; i < TM * TN; i++)
        acc[i] = coopmat<float, gl_ScopeSubgroup, FM, FN, gl_MatrixUseAccumulator>(0.0);
    const uint sm = gl_SubgroupID / SN, sn = gl_SubgroupID % SN;

    uint segment = 0u, k = 0u, b_row = 0u; // where the block under way begins; b_row: its packed row
    uint end_segment = a.segments, end_k = 0u;
    if (SPLIT) {
        // out of memory: as elements of `args` they would make compilers keep all of it where it can be indexed
        ArgsBlock block = ArgsBlock(args_address);
        segment = block.args.split_segment[part];
        k = block.args.split_k[part];
        end_segment = block.args.split_segment[part + 1u];
        end_k = block.args.split_k[part + 1u];
        b_row = min(segment, a.taps) * a.x_pitch + (segment > a.taps ? a.x2_pitch : 0u) + k;
    }
    uvec2 source = x;
    uint k_count = 0u, a_at[A_LOADS];
    bool a_inside[A_LOADS];
    bool enter = true;               // a segment begins
    uint at = (STAGES - 1u) * STAGE; // the stage that is multiplied
    bool more = true;
    // The block that is loaded waits in registers while the one before it is multiplied.
    [[dont_unroll]] for (bool first = true;; first = false) {
        if (enter && (ROLLED == 0u || more)) {
            const bool tap = segment < a.taps, second = segment == a.taps;
            source = tap ? x : second ? x2 : x3;
            k_count = tap ? a.x_pitch : second ? a.x2_pitch : a.x3_pitch;
            const uint sample_stride = tap ? a.x_stride : second ? a.x2_stride : a.x3_stride;
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
                uint pixel = a_pixel[i];
                a_inside[i] = true;
                if (CONV != 0u && tap) {
                    // the enlarged picture's row and column; those before it wrap round and are outside too
                    const uint dy = a.kernel == 1u ? 0u : segment / 3u, dx = segment - dy * a.kernel;
                    const uint y = a_y[i] + dy - a.pad_top, xx = a_x[i] + dx - a.pad_left;
                    a_inside[i] = y < a.up_h && xx < a.up_w;
                    pixel = divide(y * a.in_h, a.up_h_magic, a.up_h_shift) * a.in_w +
                            divide(xx * a.in_w, a.up_w_magic, a.up_w_shift);
                }
                a_at[i] = a_inside[i] ? a_sample[i] * sample_stride + pixel * k_count : 0u;
            }
        }
        uvec4 va[A_LOADS], vb[B_LOADS];
        vec4 scale0, scale1, shift0, shift1;
        const uint norm_c = (segment == 0u ? 0u : a.norm_second) + k + a_k * 8u;
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++) // behind the segment's end: anything, made zero below
            va[i] = load_a(source, a_at[i] + k + a_k * 8u);
        [[unroll]] for (uint i = 0u; i < B_LOADS; i++)
            vb[i] = load_u32x4(weight, (b_at[i] + b_row / 8u * PANEL) * 4u);
        if (NORM) {
            scale0 = load_norm(a_sample[0] * a.norm_stride, norm_c, a.norm_pitch);
            scale1 = load_norm(a_sample[0] * a.norm_stride, norm_c + 4u, a.norm_pitch);
            shift0 = load_norm(a_sample[0] * a.norm_stride + a.norm_pitch, norm_c, a.norm_pitch);
            shift1 = load_norm(a_sample[0] * a.norm_stride + a.norm_pitch, norm_c + 4u, a.norm_pitch);
        }
        if (!first)
            MULTIPLY(at)
        if (ROLLED != 0u && !more)
            break;
        if (STAGES == 1u)
            barrier();
        else
            at = STAGE - at;
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
            if (NORM || SILU_IN) {
                vec4 v0 = low_halves(va[i]), v1 = high_halves(va[i]);
                if (NORM) {
                    if (i > 0u && a_sample[i] != a_sample[i - 1u]) { // seldom: frames of few pixels
                        scale0 = load_norm(a_sample[i] * a.norm_stride, norm_c, a.norm_pitch);
                        scale1 = load_norm(a_sample[i] * a.norm_stride, norm_c + 4u, a.norm_pitch);
                        shift0 = load_norm(a_sample[i] * a.norm_stride + a.norm_pitch, norm_c, a.norm_pitch);
                        shift1 = load_norm(a_sample[i] * a.norm_stride + a.norm_pitch, norm_c + 4u, a.norm_pitch);
                    }
                    v0 = v0 * scale0 + shift0;
                    v1 = v1 * scale1 + shift1;
                }
                if (SILU_IN) {
                    v0 = silu(v0);
                    v1 = silu(v1);
                }
                va[i] = halves(v0, v1);
            }
            const bool zero = k + a_k * 8u >= k_count || (CONV != 0u && !a_inside[i]);
            const uint v = thread + i * THREADS;
            if ((i + 1u) * THREADS <= BM * KV || v < BM * KV)
                stage[at + v / KV * STRIDE + a_k] = zero ? uvec4(0u) : va[i];
        }
        [[unroll]] for (uint i = 0u; i < B_LOADS; i++) {
            const uint v = thread + i * THREADS, column = v / (PANEL * KV) * PANEL + v % PANEL;
            if ((i + 1u) * THREADS <= BN * KV || v < BN * KV)
                stage[at + (BM + column) * STRIDE + v / PANEL % KV] = vb[i];
        }
        // on to the next block
        enter = k + BK >= k_count;
        b_row += enter ? k_count - k : BK;
        k = enter ? 0u : k + BK;
        segment += enter ? 1u : 0u;
        more = segment < end_segment || (segment == end_segment && k < end_k);
        barrier();
        if (ROLLED == 0u && !more)
            break;
    }
    if (ROLLED == 0u)
        MULTIPLY(at)

    // SLAB rows at a time through shared memory; the first store waits until nobody multiplies any more.
    float mean[STATS_COLUMNS], m2[STATS_COLUMNS]; // of columns `thread` + i THREADS in the rows of a block so far
    [[unroll]] for (uint i = 0u; i < STATS_COLUMNS; i++)
        mean[i] = m2[i] = 0.0;
    [[dont_unroll]] for (uint slab = 0u; slab < BM; slab += SLAB) {
        barrier();
        [[unroll]] for (uint i = 0u; i < TM; i++) {
            const uint row = sm * WM + i * FM - slab; // those before the slab wrap round
            if (row < SLAB)
                [[unroll]] for (uint j = 0u; j < TN; j++)
                    coopMatStore(acc[i * TN + j], stage, row * C_STRIDE + (sn * WN + j * FN) / 4u, C_STRIDE,
                                 gl_CooperativeMatrixLayoutRowMajor);
        }
        barrier();
        const uint m_slab = m0 + slab;
        [[dont_unroll]] for (uint v = thread; v < SLAB * (BN / 8u); v += THREADS) {
            const uint row = v / (BN / 8u), column = v % (BN / 8u) * 8u, m = m_slab + row, n = n0 + column;
            if (m >= rows)
                break;
            const uint s = divide(m, a.pixels_magic, a.pixels_shift), p = m - s * a.pixels;
            vec4 v0 = staged(row, column), v1 = staged(row, column + 4u);
            if (SPLIT) {
                const uint at = s * a.result_stride + p * a.result_pitch + part * args.split_c + n;
                if (n < args.split_c) {
                    store_f32x4(result, at, v0);
                    store_f32x4(result, at + 4u, v1);
                }
                continue;
            }
            finish(a, s, p, n, v0, v1);
            if (STATS) {
                stage[row * C_STRIDE + column / 4u] = floatBitsToUint(v0);
                stage[row * C_STRIDE + column / 4u + 1u] = floatBitsToUint(v1);
            }
        }
        if (STATS) {
            // A block is 64 rows of one sample.  16 of them at a time join those before (Chan, Golub and LeVeque, 1979),
            // whatever the slab: mean += d c / (n + c), M2 += M2' + d^2 n c / (n + c) with d the means' difference.
            barrier();
            [[unroll]] for (uint j = 0u; j < STATS_COLUMNS; j++) {
                const uint column = thread + j * THREADS;
                if (column >= BN || m_slab >= rows)
                    continue;
                [[dont_unroll]] for (uint row = 0u; row < SLAB; row += 16u) {
                    float sum = 0.0, squares = 0.0;
                    [[unroll]] for (uint i = 0u; i < 16u; i++)
                        sum += uintBitsToFloat(stage[(row + i) * C_STRIDE + column / 4u][column % 4u]);
                    sum *= 1.0 / 16.0;
                    [[unroll]] for (uint i = 0u; i < 16u; i++) {
                        const float d = uintBitsToFloat(stage[(row + i) * C_STRIDE + column / 4u][column % 4u]) - sum;
                        squares += d * d;
                    }
                    const float before = float((slab + row) % 64u), share = 16.0 / (before + 16.0);
                    const float d = sum - mean[j];
                    mean[j] += d * share;
                    m2[j] += squares + d * d * before * share;
                    if ((slab + row) % 64u == 48u) {
                        const uint m = m_slab + row - 48u, c = n0 + column;
                        const uint s = divide(m, a.pixels_magic, a.pixels_shift), p = m - s * a.pixels;
                        const uint to = s * args.stats_stride + p / 64u * args.stats_pitch + c;
                        if (c < a.result_pitch) {
                            store_f32(stats, to, mean[j]);
                            store_f32(stats, to + args.stats_pitch / 2u, m2[j]);
                        }
                        mean[j] = m2[j] = 0.0;
                    }
                }
            }
        }
    }
}
