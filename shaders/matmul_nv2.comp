// matmul_nv2.comp - y = act(W x + bias + sample_bias) + add with matrices that the whole workgroup holds: linear
// layers, 1x1 and 3x3 convolutions as one implicit product, x and W in fp16, sums in fp32.  C[m, n] = sum over k of
// A[m, k] B[k, n]; m = row (sample, pixel), n = output channel.  Counterparts: matmul.comp (portable), matmul_khr.comp
// (matrices of a subgroup).
//
// A workgroup makes BM x BN of C, BK of K at a time; how a matrix is spread over invocations and staged is the driver's
// business.  B comes straight from memory, packed as one row-major [k_packed][n_packed].  A comes
// - by tensor addressing (A_TENSOR): a slice of the rows of x, or, for a convolution, of a patch of TS x TH x TW output
//   pixels, the matrix's rows, shifted by each tap; what lies outside the picture is zero by the clamp; or
// - gathered (else): 16 bytes per load into shared memory, one block ahead, for what tensors cannot address or touch:
//   norms and SiLU on load, fp32 inputs, enlarged pictures.
// Both feed the same numbers in the same order.
//
// K runs over segments: the taps of x (row-major; one for a linear layer), then x2, then x3 at the output's pixel; a
// segment has as many k as its input has pitch (a multiple of 8), each block stays within one, and A is zero behind its
// end (B is not: there follow the next segment's rows, finite numbers).  Every C[m, n] is the sum of its blocks'
// products in order of k, whatever BM, BN, A_TENSOR and the patch.  What the device does within a block of BK is its
// own: BK is one number for all tiles.
//
// GEGLU: the columns n .. of B make the value, n_packed / 2 + n .. the gate, in two accumulators over one A.
//
// The epilogue works on matrices too: bias, activation element by element, the residual loaded as a matrix.  The pads
// of the result are zero by themselves: weights, biases and residuals are zero there.
//
// Rows lie in groups of group_rows that are contiguous in every tensor: all rows of the part, or, of a part that is cut
// by pixels, those of one sample.  No tile reaches from one group into the next.
//
// Split-K (SPLIT): the workgroups of one C share K between them; each leaves its raw sums in fp32, see matmul_sum.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 256;
layout(constant_id = 1) const uint BM = 128;
layout(constant_id = 2) const uint BN = 128; // columns of an accumulator
layout(constant_id = 3) const uint BK = 64;
layout(constant_id = 4) const uint A_TENSOR = 0;
layout(constant_id = 5) const uint TS = 1; // the patch of a convolution by tensor addressing: TS * TH * TW = BM
layout(constant_id = 6) const uint TH = 8;
layout(constant_id = 7) const uint TW = 16;
layout(constant_id = 8) const uint A_CLAMP = 1; // 0: no slice of a linear layer's x reaches behind its end
layout(constant_id = 9) const uint B_CLAMP = 1; // 0: no slice of B does
layout(constant_id = 10) const uint STAGES = 2; // of gathered blocks in shared memory: 2, or 1
layout(constant_id = 11) const uint ALONE = 0;  // 1: one segment
layout(constant_id = 12) const uint TURN = 1;   // blocks in a turn of the loop, 1 or 2, with one segment
layout(constant_id = 13) const uint CONV = 0;
layout(constant_id = 14) const uint FLAGS = 0; // lib/product.glsl
layout(constant_id = 15) const uint ACT = 0;   // enum vka_act
layout(constant_id = 16) const uint ONE_SAMPLE = 0; // 1: no tile has rows of two samples

const uint WIDEST = BN > BK ? BN : BK, SHORTEST = BN > BK ? BK : BN;
const uint SCRATCH = WIDEST * (BM > SHORTEST ? BM : SHORTEST); // the largest matrix
#include "workgroup.glsl"
#include "launch.glsl"

const bool PATCH = CONV != 0u && A_TENSOR != 0u;
const uint KV = BK / 8u; // vectors of a row of A
const uint A_LOADS = (BM * KV + THREADS - 1u) / THREADS; // per thread
const bool A_EVEN = BM * KV % THREADS == 0u;
const uint STRIDE = KV + 1u; // vectors; rows are skewed against bank conflicts
const uint STAGE = BM * STRIDE;

shared uvec4 stage[A_TENSOR != 0u ? 1u : STAGES * STAGE];

layout(push_constant, std430) uniform Push {
    uvec2 x, x2, x3;
    uvec2 weight, bias; // bias: f32 in the order of the packed columns
    uvec2 result, add;
    uvec2 sample_bias, norm;
    uvec2 args_address;
    uint tiles_m, tiles_n;
    uint band; // tiles along M whose columns are done together: they share slices of B in the cache
};

#include "product.glsl"

// As struct workgroup_args in src/ops/matmul_workgroup.c.
struct WorkgroupArgs {
    Args base;
    uint n_packed;
    uint group_rows, group_tiles; // rows of a group, tiles along M in it
    uint samples, out_h;
    uint patches_y, patches_x; // in a run of TS samples
    // split i begins in segment split_segment[i] at its k split_k[i] and ends where the next begins
    uint splits, split_c; // channels of one split's sums in the result
    uint split_segment[5], split_k[5];
};
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer ArgsBlock { WorkgroupArgs args; };

// Pitches and strides are multiples of 8 elements; so the compiler knows, too, and takes 16 bytes at a time.
uint eights(uint n) { return n & ~7u; }

// ---- after the sum ------------------------------------------------------------------------------------------

// What an element needs beside its place in the tile, as values: `rows` = first row of the tile in its group, division
// of rows into samples (two), channels of the result; `samples` = the tile's first one counted from first_frame, frames
// and the division by them; n: first column.

// The sample bias of the packed column n + column (GEGLU: of its value or its gate, which lie side by side there).
float sample_bias_at(uint row, uint c, uvec4 rows, uvec4 samples, uint bias_stride, uint gate)
{
    uint s = samples.x;
    if (PATCH)
        s += row / (TH * TW);
    else if (ONE_SAMPLE == 0u)
        s += divide(rows.x + row, rows.y, rows.z);
    if (FRAME_BIAS)
        s -= divide(s, samples.z, samples.w) * samples.y;
    if (ACT == ACT_GEGLU)
        return c < rows.w ? load_f32(sample_bias, s * bias_stride + 2u * c + gate) : 0.0;
    return load_f32(sample_bias, s * bias_stride + c);
}

float biased(const in uint row, const in uint column, const in float v, const in uint n, const in uvec4 rows,
             const in uvec4 samples, const in uint bias_stride)
{
    float y = v + load_f32(bias, n + column);
    if (SAMPLE_BIAS)
        y += sample_bias_at(row, n + column, rows, samples, bias_stride, 0u);
    return ACT == ACT_GEGLU ? y : activate(ACT, y);
}

float gated(const in uint row, const in uint column, const in float v, const in uint n, const in uvec4 rows,
            const in uvec4 samples, const in uint bias_stride, const in uint to_gate)
{
    float y = v + load_f32(bias, n + to_gate + column);
    if (SAMPLE_BIAS)
        y += sample_bias_at(row, n + column, rows, samples, bias_stride, 1u);
    return act_gelu(y);
}

// ---- gathering A --------------------------------------------------------------------------------------------

// Four scales or shifts from channel c of a row that has `limit`, a multiple of 8.  Behind the last channel come values
// times zero weights: any number will do there, so clamp.
vec4 load_norm(uint row, uint c, uint limit)
{
    if (NORM_ODD)
        return vec4(load_f32(norm, row + min(c, limit - 1u)), load_f32(norm, row + min(c + 1u, limit - 1u)),
                    load_f32(norm, row + min(c + 2u, limit - 1u)), load_f32(norm, row + min(c + 3u, limit - 1u)));
    return load_f32x4(norm, row + min(c, limit - 4u));
}

vec4 silu4(vec4 v) { return vec4(act_silu(v.x), act_silu(v.y), act_silu(v.z), act_silu(v.w)); }

// Eight values of A as halves.
uvec4 load_a(uvec2 source, uint i)
{
    return X_F32 ? halves(load_f32x4(source, i), load_f32x4(source, i + 4u)) : load_u32x4(source, i >> 1);
}

// ---- products: macros, since functions would copy the matrices ------------------------------------------------

#define SUMS(T) MATRIX(T, BM, BN, gl_MatrixUseAccumulator)
// The tile of a result or a residual.
#define PATCH_OF(t) SLICE4(t, int(s0), TS, int(y0), TH, int(x0), TW, int(n0), BN)
#define ROWS_OF(t) SLICE2(t, int(r0), BM, int(n0), BN)

#define TIMES_B(row)                                                                                                   \
    {                                                                                                                  \
        MATRIX(float16_t, BK, BN, gl_MatrixUseB) mb;                                                                   \
        LOAD_HALVES(mb, BK, BN, weight, 0u, SLICE2(tb, int(row), BK, int(n0), BN));                                    \
        acc = coopMatMulAdd(ma, mb, acc);                                                                              \
        if (ACT == ACT_GEGLU) {                                                                                        \
            LOAD_HALVES(mb, BK, BN, weight, 0u, SLICE2(tb, int(row), BK, int(n0 + to_gate), BN));                      \
            gate = coopMatMulAdd(ma, mb, gate);                                                                        \
        }                                                                                                              \
    }

#define GATHERED_BLOCK(at, row)                                                                                        \
    {                                                                                                                  \
        MATRIX(float16_t, BM, BK, gl_MatrixUseA) ma;                                                                   \
        coopMatLoad(ma, stage, at, STRIDE, gl_CooperativeMatrixLayoutRowMajor);                                        \
        TIMES_B(row)                                                                                                   \
    }

#define ROWS_BLOCK(source, base)                                                                                       \
    {                                                                                                                  \
        MATRIX(float16_t, BM, BK, gl_MatrixUseA) ma;                                                                   \
        LOAD_HALVES(ma, BM, BK, source, base, SLICE2(ta, int(r0), BM, int(k), BK));                                    \
        TIMES_B(b_row)                                                                                                 \
        k += BK;                                                                                                       \
        b_row += BK;                                                                                                   \
    }

#define PATCH_BLOCK                                                                                                    \
    {                                                                                                                  \
        MATRIX(float16_t, BM, BK, gl_MatrixUseA) ma;                                                                   \
        LOAD_HALVES(ma, BM, BK, source, base, SLICE4(ta, int(s0), TS, ay, TH, ax, TW, int(k), BK));                    \
        TIMES_B(b_row)                                                                                                 \
        k += BK;                                                                                                       \
        b_row += BK;                                                                                                   \
    }

void main()
{
    const WorkgroupArgs w = ArgsBlock(args_address).args;
    const Args a = w.base;
    const uint tiles = tiles_m * tiles_n;
    uint tile = workgroup_number(), part = 0u;
    if (SPLIT) {
        part = tile / tiles;
        tile -= part * tiles;
        if (part >= w.splits)
            return;
    } else if (tile >= tiles) {
        return;
    }
    const uint of_band = tile / (band * tiles_n), in_band = tile - of_band * band * tiles_n;
    const uint height = min(band, tiles_m - of_band * band);
    const uint tile_m = of_band * band + in_band % height, n0 = in_band / height * BN;
    const uint n_packed = eights(w.n_packed), to_gate = n_packed / 2u;

    // Rows: r0 .. of a group, or a patch.
    uint group = 0u, r0 = 0u, s0 = 0u, y0 = 0u, x0 = 0u;
    if (PATCH) {
        const uint patches = w.patches_y * w.patches_x, in_run = tile_m % patches;
        s0 = tile_m / patches * TS;
        y0 = in_run / w.patches_x * TH;
        x0 = in_run % w.patches_x * TW;
    } else {
        group = tile_m / w.group_tiles;
        r0 = tile_m % w.group_tiles * BM;
    }

    uint segment = 0u, k = 0u, b_row = 0u; // where the block under way begins; b_row: its packed row
    uint end_segment = a.segments, end_k = 0u;
    if (SPLIT) {
        // out of memory: as elements of `w` they would make compilers keep all of it where it can be indexed
        ArgsBlock block = ArgsBlock(args_address);
        segment = block.args.split_segment[part];
        k = block.args.split_k[part];
        end_segment = block.args.split_segment[part + 1u];
        end_k = block.args.split_k[part + 1u];
        b_row = min(segment, a.taps) * a.x_pitch + (segment > a.taps ? a.x2_pitch : 0u) + k;
    }

    SUMS(float) acc = SUMS(float)(0.0);
    SUMS(float) gate = SUMS(float)(0.0);
    TENSOR2(tb, B_CLAMP);
    SET2(tb, a.k_packed, n_packed, n_packed);

    if (PATCH) {
        TENSOR4(ta, CLAMP_ZERO);
        uvec2 source = x;
        uint k_count = 0u, base = 0u;
        int ay = 0, ax = 0;
        bool enter = true; // a segment begins
        [[dont_unroll]] do {
            if (enter) {
                if (segment < a.taps) {
                    // Of a stride of 2 a tap sees every other row and column: a picture of its own
                    const int dy = int(a.kernel == 1u ? 0u : segment / 3u), dx = int(segment) - dy * int(a.kernel);
                    const int qy = dy - int(a.pad_top), qx = dx - int(a.pad_left), step = int(a.stride);
                    const int py = qy & (step - 1), px = qx & (step - 1);
                    k_count = eights(a.x_pitch);
                    base = eights((uint(py) * a.in_w + uint(px)) * k_count);
                    SET4(ta, w.samples, (a.in_h - uint(py) + a.stride - 1u) / a.stride,
                         (a.in_w - uint(px) + a.stride - 1u) / a.stride, k_count, eights(a.x_stride),
                         a.in_w * a.stride * k_count, a.stride * k_count);
                    ay = int(y0) + (qy - py) / step;
                    ax = int(x0) + (qx - px) / step;
                } else {
                    const bool second = segment == a.taps;
                    source = second ? x2 : x3;
                    k_count = eights(second ? a.x2_pitch : a.x3_pitch);
                    base = 0u;
                    SET4(ta, w.samples, w.out_h, a.out_w, k_count, eights(second ? a.x2_stride : a.x3_stride),
                         a.out_w * k_count, k_count);
                    ay = int(y0);
                    ax = int(x0);
                }
            }
            PATCH_BLOCK
            enter = k >= k_count;
            if (enter) {
                b_row -= k - k_count;
                k = 0u;
                segment++;
            }
        } while (segment < end_segment || (segment == end_segment && k < end_k));
    } else if (A_TENSOR != 0u && ALONE != 0u) {
        TENSOR2(ta, A_CLAMP);
        const uint base = eights(group * a.x_stride), k_end = SPLIT && end_segment == 0u ? end_k : a.x_pitch;
        SET2(ta, w.group_rows, eights(a.x_pitch), eights(a.x_pitch));
        if (TURN == 2u)
            [[dont_unroll]] while (k + BK < k_end) {
                ROWS_BLOCK(x, base)
                ROWS_BLOCK(x, base)
            }
        [[dont_unroll]] while (k < k_end)
            ROWS_BLOCK(x, base)
    } else if (A_TENSOR != 0u) {
        TENSOR2(ta, A_CLAMP);
        [[dont_unroll]] do {
            const bool second = segment != 0u;
            const uvec2 source = second ? x2 : x;
            const uint k_count = eights(second ? a.x2_pitch : a.x_pitch);
            const uint base = eights(group * (second ? a.x2_stride : a.x_stride));
            const uint k_end = SPLIT && segment == end_segment ? end_k : k_count;
            SET2(ta, w.group_rows, k_count, k_count);
            [[dont_unroll]] while (k < k_end)
                ROWS_BLOCK(source, base)
            b_row -= k - k_end;
            k = 0u;
            segment++;
        } while (segment < end_segment || (segment == end_segment && end_k != 0u));
    } else {
        // What this thread loads of A: of some rows 8 values from k = a_k * 8 on.  Rows behind the end repeat the last.
        const uint thread = gl_LocalInvocationIndex, a_k = thread % KV;
        uint a_sample[A_LOADS], a_pixel[A_LOADS], a_y[A_LOADS], a_x[A_LOADS];
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
            const uint m = min(r0 + (thread + i * THREADS) / KV, w.group_rows - 1u);
            const uint s = divide(m, a.pixels_magic, a.pixels_shift);
            a_sample[i] = group + s;
            a_pixel[i] = m - s * a.pixels;
            if (CONV != 0u) {
                a_y[i] = divide(a_pixel[i], a.out_w_magic, a.out_w_shift);
                a_x[i] = (a_pixel[i] - a_y[i] * a.out_w) * a.stride;
                a_y[i] *= a.stride;
            }
        }
        uvec2 source = x;
        uint k_count = 0u, a_at[A_LOADS], last_row = 0u;
        bool a_inside[A_LOADS];
        bool enter = true;
        uint at = (STAGES - 1u) * STAGE; // the stage that is multiplied
        // The block that is loaded waits in registers while the one before it is multiplied.
        [[dont_unroll]] for (bool first = true;; first = false) {
            if (enter) {
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
                    a_at[i] = a_inside[i] ? eights(a_sample[i] * sample_stride + pixel * k_count) : 0u;
                }
            }
            uvec4 va[A_LOADS];
            const uint norm_c = (segment == 0u ? 0u : a.norm_second) + k + a_k * 8u;
            vec4 scale0, scale1, shift0, shift1;
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) // behind the segment's end: anything, made zero below
                va[i] = load_a(source, a_at[i] + k + a_k * 8u);
            if (!first)
                GATHERED_BLOCK(at, last_row)
            if (STAGES == 1u)
                barrier();
            else
                at = STAGE - at;
            last_row = b_row;
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
                if (NORM || SILU_IN) {
                    vec4 v0 = low_halves(va[i]), v1 = high_halves(va[i]);
                    if (NORM) {
                        // a second time seldom: frames of few pixels
                        if (i == 0u || a_sample[i] != a_sample[i - (i == 0u ? 0u : 1u)]) {
                            const uint row = a_sample[i] * a.norm_stride;
                            scale0 = load_norm(row, norm_c, a.norm_pitch);
                            scale1 = load_norm(row, norm_c + 4u, a.norm_pitch);
                            shift0 = load_norm(row + a.norm_pitch, norm_c, a.norm_pitch);
                            shift1 = load_norm(row + a.norm_pitch, norm_c + 4u, a.norm_pitch);
                        }
                        v0 = v0 * scale0 + shift0;
                        v1 = v1 * scale1 + shift1;
                    }
                    if (SILU_IN) {
                        v0 = silu4(v0);
                        v1 = silu4(v1);
                    }
                    va[i] = halves(v0, v1);
                }
                const bool zero = k + a_k * 8u >= k_count || (CONV != 0u && !a_inside[i]);
                const uint v = thread + i * THREADS;
                if (A_EVEN || v < BM * KV)
                    stage[at + v / KV * STRIDE + a_k] = zero ? uvec4(0u) : va[i];
            }
            enter = k + BK >= k_count;
            b_row += enter ? k_count - k : BK;
            k = enter ? 0u : k + BK;
            segment += enter ? 1u : 0u;
            barrier();
            if (segment > end_segment || (segment == end_segment && k >= end_k))
                break;
        }
        GATHERED_BLOCK(at, last_row)
    }

    // Bias and activation, then the residual, then out: the result and the residual are tensors of rows or of pixels.
    if (SPLIT) {
        const uint part_c = eights(w.split_c), part_pitch = eights(a.result_pitch);
        if (PATCH) {
            TENSOR4(to, CLAMP_ZERO);
            SET4(to, w.samples, w.out_h, a.out_w, part_c, eights(a.result_stride), a.out_w * part_pitch, part_pitch);
            STORE_FLOATS(acc, BM, BN, result, part * part_c, PATCH_OF(to));
        } else {
            TENSOR2(to, CLAMP_ZERO);
            SET2(to, w.group_rows, part_c, part_pitch);
            STORE_FLOATS(acc, BM, BN, result, eights(group * a.result_stride) + part * part_c, ROWS_OF(to));
        }
        return;
    }
    uint first = a.first_frame + (PATCH ? s0 : group);
    if (!PATCH && ONE_SAMPLE != 0u)
        first += divide(r0, a.pixels_magic, a.pixels_shift);
    const uvec4 of_rows = uvec4(r0, a.pixels_magic, a.pixels_shift, a.result_c);
    const uvec4 of_samples = uvec4(first, a.frames, a.frames_magic, a.frames_shift);
    coopMatPerElementNV(acc, acc, biased, n0, of_rows, of_samples, a.sample_bias_stride);
    if (ACT == ACT_GEGLU) {
        coopMatPerElementNV(gate, gate, gated, n0, of_rows, of_samples, a.sample_bias_stride, to_gate);
        acc = acc * gate;
    }
    const uint pitch = eights(a.result_pitch);
    if (PATCH) {
        TENSOR4(to, CLAMP_ZERO);
        if (ADD) {
            SET4(to, w.samples, w.out_h, a.out_w, pitch, eights(a.add_stride), a.out_w * pitch, pitch);
            if (ADD_F32) {
                SUMS(float) added;
                LOAD_FLOATS(added, BM, BN, add, 0u, PATCH_OF(to));
                acc = acc + added;
            } else {
                SUMS(float16_t) added;
                LOAD_HALVES(added, BM, BN, add, 0u, PATCH_OF(to));
                acc = acc + SUMS(float)(added);
            }
        }
        SET4(to, w.samples, w.out_h, a.out_w, pitch, eights(a.result_stride), a.out_w * pitch, pitch);
        if (OUT_F32) {
            STORE_FLOATS(acc, BM, BN, result, 0u, PATCH_OF(to));
        } else {
            SUMS(float16_t) rounded = SUMS(float16_t)(acc);
            STORE_HALVES(rounded, BM, BN, result, 0u, PATCH_OF(to));
        }
    } else {
        TENSOR2(to, CLAMP_ZERO);
        SET2(to, w.group_rows, pitch, pitch);
        if (ADD) {
            if (ADD_F32) {
                SUMS(float) added;
                LOAD_FLOATS(added, BM, BN, add, eights(group * a.add_stride), ROWS_OF(to));
                acc = acc + added;
            } else {
                SUMS(float16_t) added;
                LOAD_HALVES(added, BM, BN, add, eights(group * a.add_stride), ROWS_OF(to));
                acc = acc + SUMS(float)(added);
            }
        }
        if (OUT_F32) {
            STORE_FLOATS(acc, BM, BN, result, eights(group * a.result_stride), ROWS_OF(to));
        } else {
            SUMS(float16_t) rounded = SUMS(float16_t)(acc);
            STORE_HALVES(rounded, BM, BN, result, eights(group * a.result_stride), ROWS_OF(to));
        }
    }
}
