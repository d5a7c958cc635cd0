// matmul.comp - y = act(W x + bias + sample_bias) + add for every row of a part: linear layers, 1x1 and 3x3
// convolutions as one implicit product.  C[m, n] = sum over k of A[m, k] B[k, n]; m = row (sample, pixel), n = output
// channel.
//
// K runs over segments: the taps of x (row-major; one for a linear layer), then x2 and x3 where they are; a segment has
// as many k as its input has pitch (a multiple of 8).  x2 and x3 are read at the output's pixel.  The sum over k is sequential in fp32, so an output's bits
// depend on nothing but its own operands.  B is packed as [N / BN][K][BN]: a panel of BN columns per tile.
//
// Two ways to feed the multipliers, two binaries, since not every GPU has shuffles:
// - SHUFFLED, broadcasting (software devices): one workgroup is one subgroup; each lane owns 4 columns; A is loaded
//   once, spread over the lanes, and handed round by shuffles.  There, a load with per-lane addresses costs as much as a
//   hundred multiplications, a shuffle with a constant lane next to nothing, and a branch skips nothing.
//   With WIDE_LOADS (where the device has 64-bit integers) one such load fetches 8 bytes instead of 4.
// - staging (GPUs): a WM x WN workgroup stages BM x BK of A and BK x BN of B in shared memory, while the next of both are
//   under way from memory.  With HALVES (x and weights in fp16, 16-bit arithmetic there) they stay fp16 in shared memory,
//   two k in a word: half the room and half the reads, and multiply-adds that take halves where a GPU has them.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SHUFFLED
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef WIDE_LOADS
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#include "memory.glsl"
#if defined(HALVES) || defined(WIDE_LOADS)
#include "halves.glsl"
#endif
#include "activation.glsl"
#include "launch.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 8;
layout(constant_id = 1) const uint WN = 8;  // threads along N; THREADS = WM * WN
layout(constant_id = 2) const uint TM = 32; // rows and columns of a thread; TN is a multiple of 4
layout(constant_id = 3) const uint TN = 4;
layout(constant_id = 4) const uint BK = 4;  // k per step; divides 8 when broadcasting
layout(constant_id = 5) const uint CONV = 0;  // rows gather taps of a picture
layout(constant_id = 6) const uint FLAGS = 0;
layout(constant_id = 7) const uint ACT = 0;   // enum vka_act

const bool NORM = (FLAGS & 1u) != 0u;       // scale and shift on load
const bool SILU_IN = (FLAGS & 2u) != 0u;    // then SiLU
const bool SAMPLE_BIAS = (FLAGS & 4u) != 0u;
const bool ADD = (FLAGS & 8u) != 0u;
const bool X_F32 = (FLAGS & 16u) != 0u;     // fp32 where the storage type could be fp16
const bool OUT_F32 = (FLAGS & 32u) != 0u;
const bool ADD_F32 = (FLAGS & 64u) != 0u;
const bool W_F16 = (FLAGS & 128u) != 0u;
const bool NORM_ODD = (FLAGS & 256u) != 0u; // x2's first channel is odd: no pairs in the norm
#ifdef SHUFFLED // where compiling a pipeline costs more than a few steps without effect in it
const bool WHOLE = (FLAGS & 2048u) != 0u; // a tile's rows are of one sample
const bool BROADCAST = true;
const bool EXTRA = CONV != 0u;
#define STATS ((stats.x | stats.y) != 0u)
const bool MAKES_STATS = false;
#else
const bool BROADCAST = false;
const bool EXTRA = (FLAGS & 512u) != 0u;  // a convolution with x2, and perhaps x3
const bool MAKES_STATS = (FLAGS & 1024u) != 0u; // leaves statistics of the result
#define STATS MAKES_STATS
#endif
const uint WM = THREADS / WN;
const uint BM = WM * TM;
const uint BN = WN * TN;
#if defined(HALVES)
const uint V = 8u;                          // k per load of A
#elif defined(STORAGE_F16) && defined(WIDE_LOADS)
const uint V = 4u;
#else
const uint V = BROADCAST ? 2u : 4u;
#endif
const uint PK = BK / V;                     // loads per row
const uint A_LOADS = BM * PK / THREADS;     // per thread
const uint A_STRIDE = BM + 4u;              // shared rows, skewed against bank conflicts
const uint B_STRIDE = BN + 4u;
#ifdef HALVES
const uint STEPS = BK / 2u;                 // shared rows, of two k
const uint B_LOADS = BK * BN / 8u / THREADS; // each 4 columns of two k
#else
const uint STEPS = BK;
const uint B_LOADS = BK * BN / 4u / THREADS; // 4 columns
#endif

const uint ROWS = 4u;                       // rows that leave together when broadcasting
const uint UNROLLED = TM * TN < 64u ? 2u : 4u; // shared rows at a time: for instruction caches, and for few registers

// STEPS rows of A and of B; behind the product, for statistics, means and M2s of each invocation's 4 rows in 4 columns
const uint STAGED = STEPS * (A_STRIDE + B_STRIDE), MOMENTS = MAKES_STATS ? 8u * THREADS : 0u;
#ifdef HALVES
#define WORD uint
#define WORD4 uvec4
#else
#define WORD float
#define WORD4 vec4
#endif
shared WORD staged[BROADCAST ? 1u : STAGED > MOMENTS ? STAGED : MOMENTS];
const uint B_STAGED = STEPS * A_STRIDE; // where B begins
WORD4 staged4(uint i) { return WORD4(staged[i], staged[i + 1u], staged[i + 2u], staged[i + 3u]); }
void stage4(uint i, WORD4 v)
{
    [[unroll]] for (uint e = 0u; e < 4u; e++)
        staged[i + e] = v[e];
}
// fp32 in these words
#ifdef HALVES
vec4 moments(uint i) { return uintBitsToFloat(staged4(4u * i)); }
void keep_moments(uint i, vec4 v) { stage4(4u * i, floatBitsToUint(v)); }
#else
vec4 moments(uint i) { return staged4(4u * i); }
void keep_moments(uint i, vec4 v) { stage4(4u * i, v); }
#endif

layout(push_constant, std430) uniform Push {
    uvec2 x, x2, x3;
    uvec2 weight, bias; // bias: f32 in the order of the packed columns
    uvec2 result, add;
    uvec2 sample_bias, norm;
    uvec2 stats;
    uvec2 args_address;
    uint rows;    // of the part
    uint tiles_n; // panels
    uint tiles;   // in all: groups beyond do nothing
    uint stats_stride; // floats per sample
} push;
// Read once, here: on a software device they would be loads per lane inside of loops.
uvec2 x = push.x, x2 = push.x2, x3 = push.x3, weight = push.weight, bias = push.bias, result = push.result, add = push.add;
uvec2 sample_bias = push.sample_bias, norm = push.norm, stats = push.stats;
uint rows = push.rows, tiles_n = push.tiles_n, tiles = push.tiles, stats_stride = push.stats_stride;

// As struct matmul_args in src/ops/matmul_launch.c.
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
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer ArgsBlock { Args args; };

// n / d for n < 2^31 (Granlund and Montgomery, 1994): magic = ceil(2^(31 + shift) / d), shift = ceil(log2 d)
uint divide(uint n, uint magic, uint shift)
{
    uint high, low;
    umulExtended(n << 1, magic, high, low);
    return high >> shift;
}

// Where a thread stands in an operand: an address with WIDE_LOADS (one register less to hand to each lane's load), else
// an index of elements behind `base`.
#ifdef WIDE_LOADS
#define POINTER uint64_t
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer RefWide { uint64_t v; };
POINTER pointer(uvec2 base, uint i, uint bytes) { return packUint2x32(base) + uint64_t(i) * uint64_t(bytes); }
POINTER advance(POINTER p, uint elements, uint bytes) { return p + uint64_t(elements * bytes); }
vec2 fetch_f32x2(uvec2 base, POINTER p) { return uintBitsToFloat(unpackUint2x32(RefWide(p).v)); }
void store_f32x2(uvec2 base, uint i, vec2 v) { RefWide(pointer(base, i, 4u)).v = packUint2x32(floatBitsToUint(v)); }
vec4 fetch_half4(uvec2 base, POINTER p) { return four_halves(RefWide(p).v); }
#else
#define POINTER uint
POINTER pointer(uvec2 base, uint i, uint bytes) { return i; }
POINTER advance(POINTER p, uint elements, uint bytes) { return p + elements; }
vec2 fetch_f32x2(uvec2 base, POINTER p) { return vec2(load_f32(base, p), load_f32(base, p + 1u)); }
void store_f32x2(uvec2 base, uint i, vec2 v)
{
    store_f32(base, i, v.x);
    store_f32(base, i + 1u, v.y);
}
vec4 fetch_half4(uvec2 base, POINTER p)
{
    uvec2 v = load_u32x2(base, p >> 1);
    return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y));
}
#endif

vec4 fetch_float4(uvec2 base, POINTER p)
{
#ifndef WIDE_LOADS
    if (!BROADCAST)
        return load_f32x4(base, p);
#endif
    return vec4(fetch_f32x2(base, p), fetch_f32x2(base, advance(p, 2u, 4u)));
}

vec4 load_float4(uvec2 address, uint i) { return fetch_float4(address, pointer(address, i, 4u)); }

void store_float4(uvec2 address, uint i, vec4 v)
{
    if (BROADCAST) {
        store_f32x2(address, i, v.xy);
        store_f32x2(address, i + 2u, v.zw);
    } else {
        store_f32x4(address, i, v);
    }
}

const uint W_BYTES = W_F16 ? 2u : 4u;
vec4 fetch_b(POINTER p) { return W_F16 ? fetch_half4(weight, p) : fetch_float4(weight, p); }

// V consecutive values of x or x2
#ifdef STORAGE_F16
const uint X_BYTES = X_F32 ? 4u : 2u;
#else
const uint X_BYTES = 4u;
#endif
vec4 fetch_a(uvec2 base, POINTER p)
{
#ifdef STORAGE_F16
#ifdef WIDE_LOADS
    if (!X_F32)
        return fetch_half4(base, p);
#else
    if (!X_F32)
        return BROADCAST ? vec4(unpackHalf2x16(load_u32(base, p >> 1)), 0.0, 0.0) : load_storage4(base, p);
#endif
#endif
    return V == 4u ? fetch_float4(base, p) : vec4(fetch_f32x2(base, p), 0.0, 0.0);
}

// Channels c and c + 1 of a row of the norm that has `limit` (a multiple of 8).  Behind the last channel come values
// times zero weights: any number will do there, so clamp.
vec2 fetch_norm(uint row, uint c, uint limit)
{
    if (NORM_ODD)
        return vec2(load_f32(norm, row + min(c, limit - 1u)), load_f32(norm, row + min(c + 1u, limit - 1u)));
    return fetch_f32x2(norm, pointer(norm, row + min(c, limit - 2u), 4u));
}

vec4 load_added(uint i)
{
#ifdef STORAGE_F16
    if (!ADD_F32)
        return BROADCAST ? fetch_half4(add, pointer(add, i, 2u)) : load_storage4(add, i);
#endif
    return load_float4(add, i);
}

vec2 load_added2(uint i)
{
#ifdef STORAGE_F16
    if (!ADD_F32)
        return unpackHalf2x16(load_u32(add, i >> 1));
#endif
    return fetch_f32x2(add, pointer(add, i, 4u));
}

void store_result2(uint i, vec2 v)
{
#ifdef STORAGE_F16
    if (!OUT_F32) {
#ifdef WIDE_LOADS
        store_u32(result, i >> 1, two_halves(v));
#else
        store_storage(result, i, v.x);
        store_storage(result, i + 1u, v.y);
#endif
        return;
    }
#endif
    store_f32x2(result, i, v);
}

void store_result(uint i, vec4 v)
{
#ifdef STORAGE_F16
    if (!OUT_F32) {
#ifdef WIDE_LOADS
        RefWide(pointer(result, i, 2u)).v = packUint2x32(halves(v));
#else
        store_storage4(result, i, v);
#endif
        return;
    }
#endif
    store_float4(result, i, v);
}

// Where row m of the part lies: sample and pixel.
struct Row {
    uint s, p;
};
Row row_of(Args a, uint m)
{
    const uint s = divide(m, a.pixels_magic, a.pixels_shift);
    return Row(s, m - s * a.pixels);
}

// Whether column n is stored, and has a bias.
bool stored(Args a, uint n) { return (ACT == ACT_GEGLU ? n / 2u : n) < a.result_pitch; }

vec4 load_sample_bias(Args a, uint s, uint n)
{
    uint row = s + a.first_frame; // a row per frame, or per sample: then `frames` is beyond all of them
    row -= divide(row, a.frames_magic, a.frames_shift) * a.frames;
    return load_float4(sample_bias, row * a.sample_bias_stride + n);
}

// What follows the product and its biases: v are columns n .. n + 3 of a row, which are stored.  Returns what they become.
vec4 finish(Args a, Row row, uint n, vec4 v)
{
    const uint c = ACT == ACT_GEGLU ? n / 2u : n; // output channel
    const uint at = row.s * a.result_stride + row.p * a.result_pitch + c;
    const uint from = row.s * a.add_stride + row.p * a.add_pitch + c;
    const uvec4 channel = uvec4(c, c + 1u, c + 2u, c + 3u);
    if (ACT == ACT_GEGLU) {
        vec2 y = vec2(v.x * act_gelu(v.y), v.z * act_gelu(v.w));
        if (ADD)
            y += load_added2(from);
        store_result2(at, mix(vec2(0.0), y, lessThan(channel.xy, uvec2(a.result_c))));
        return vec4(0.0);
    } else {
        [[unroll]] for (uint e = 0u; e < 4u; e++)
            v[e] = activate(ACT, v[e]);
        if (ADD)
            v += load_added(from);
        v = mix(vec4(0.0), v, lessThan(channel, uvec4(a.result_c)));
        store_result(at, v);
        return v;
    }
}

// Statistics of columns n .. n + 3 over the block of rows that begins at `row`.
void store_stats(Args a, Row row, uint block, uint n, vec4 mean, vec4 m2)
{
    const uint to = row.s * stats_stride + row.p / block * (2u * a.result_pitch) + n;
    store_float4(stats, to, mean);
    store_float4(stats, to + a.result_pitch, m2);
}

// `count` (2 or 4) consecutive values of x from channel c on, as they go into the product.
vec4 prepared(vec4 v, uint count, uint norm_row, uint c, uint norm_pitch)
{
    if (NORM)
        [[unroll]] for (uint e = 0u; e < count; e += 2u) {
            const vec2 scale = fetch_norm(norm_row, c + e, norm_pitch);
            const vec2 shift = fetch_norm(norm_row + norm_pitch, c + e, norm_pitch);
            v[e] = v[e] * scale.x + shift.x;
            v[e + 1u] = v[e + 1u] * scale.y + shift.y;
        }
    if (SILU_IN)
        [[unroll]] for (uint e = 0u; e < count; e++)
            v[e] = act_silu(v[e]);
    return v;
}

// Where a segment of K begins in the row of pixel `p` of sample `s`; for a convolution y, x are the first tap's place
// without padding.
uint place_a(Args a, uint segment, bool second, bool third, uint pitch, uint s, uint p, uint y, uint x, out bool inside)
{
    inside = true;
    if (second)
        return s * (third ? a.x3_stride : a.x2_stride) + p * pitch;
    if (CONV == 0u)
        return s * a.x_stride + p * pitch;
    // the enlarged picture's row and column; those before it wrap round and are outside too
    const uint dy = a.kernel == 1u ? 0u : segment / 3u, dx = segment - dy * a.kernel;
    y += dy - a.pad_top;
    x += dx - a.pad_left;
    inside = y < a.up_h && x < a.up_w;
    y = divide(y * a.in_h, a.up_h_magic, a.up_h_shift);
    x = divide(x * a.in_w, a.up_w_magic, a.up_w_shift);
    return inside ? s * a.x_stride + (y * a.in_w + x) * a.x_pitch : 0u;
}

void main()
{
    const Args a = ArgsBlock(push.args_address).args; // once, here: inside of loops it would be loads per lane
    const uint thread = gl_LocalInvocationIndex;
    const uint tx = thread % WN, ty = thread / WN;
    const uint tile = workgroup_number();
    const uint panel = tile % tiles_n, m0 = tile / tiles_n * BM;
    if (!BROADCAST && tile >= tiles)
        return;

    // What this thread loads of A: rows a_row(i), each V values from k = a_k on.  Rows behind the end repeat the last.
    const uint a_k = V * (thread % PK);
    uint a_sample[A_LOADS], a_pixel[A_LOADS];
#ifdef SHUFFLED
    POINTER a_at[A_LOADS];
#else
    uint a_at[A_LOADS];
#endif
    uint a_y[A_LOADS], a_x[A_LOADS];
    bool a_inside[A_LOADS];
    [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
        uint m = min(m0 + (thread + i * THREADS) / PK, rows - 1u);
        const Row row = row_of(a, m);
        a_sample[i] = row.s;
        a_pixel[i] = row.p;
        if (CONV != 0u) {
            a_y[i] = divide(a_pixel[i], a.out_w_magic, a.out_w_shift);
            a_x[i] = (a_pixel[i] - a_y[i] * a.out_w) * a.stride;
            a_y[i] *= a.stride;
        }
    }

    float acc[TM][TN];
    [[unroll]] for (uint i = 0u; i < TM; i++)
        [[unroll]] for (uint j = 0u; j < TN; j++)
            acc[i][j] = 0.0;

    uint segment = 0u;
#ifdef SHUFFLED
    POINTER b_at = pointer(weight, panel * a.k_packed * BN + tx * 4u, W_BYTES);
    do {
        const bool second = (CONV == 0u || EXTRA) && segment >= a.taps; // or the third
        const bool third = EXTRA && segment > a.taps;
        const uvec2 source = third ? x3 : second ? x2 : x;
        const uint k_count = third ? a.x3_pitch : second ? a.x2_pitch : a.x_pitch;
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++)
            a_at[i] = pointer(source, place_a(a, segment, second, third, k_count, a_sample[i], a_pixel[i], a_y[i], a_x[i], a_inside[i]) + a_k, X_BYTES);
        uint k = 0u;
        do {
            vec4 va[A_LOADS];
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
                va[i] = fetch_a(source, a_at[i]);
                a_at[i] = advance(a_at[i], BK, X_BYTES);
                va[i] = prepared(va[i], min(V, 4u), a_sample[WHOLE ? 0u : i] * a.norm_stride, (second ? a.norm_second : 0u) + k + a_k, a.norm_pitch);
                if (CONV != 0u)
                    va[i] = a_inside[i] ? va[i] : vec4(0.0);
            }
            float b[BK][TN];
            [[unroll]] for (uint kk = 0u; kk < BK; kk++)
                [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                    vec4 v = fetch_b(advance(b_at, kk * BN + j * WN, W_BYTES));
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        b[kk][j + e] = v[e];
                }
            // 8 rows at a time over all kk, so that their sums stay in registers
            [[unroll]] for (uint r = 0u; r < TM; r += 8u)
                [[unroll]] for (uint kk = 0u; kk < BK; kk++)
                    [[unroll]] for (uint i = 0u; i < 8u; i++) {
                        const uint at = (r + i) * PK + kk / V; // which of the tile's loads of A
                        float v = subgroupShuffle(va[at / THREADS][kk % V], at % THREADS);
                        [[unroll]] for (uint j = 0u; j < TN; j++)
                            acc[r + i][j] = fma(v, b[kk][j], acc[r + i][j]);
                    }
            b_at = advance(b_at, BK * BN, W_BYTES);
            k += BK;
        } while (k < k_count);
        segment++;
    } while (segment < a.segments);
#else
    // Step by step: the next operands leave memory, those in shared memory are multiplied, then the next take their place.
    uint k = 0u, k_count = 0u, b_at = panel * a.k_packed * BN;
    uvec2 source = x;
    bool second = false, third = false, more = true;
    for (bool loaded = false;; loaded = true) {
        if (k >= k_count) { // the next segment, at first segment 0
            more = segment < a.segments;
            second = (CONV == 0u || EXTRA) && segment >= a.taps; // or the third
            third = EXTRA && segment > a.taps;
            source = third ? x3 : second ? x2 : x;
            k_count = third ? a.x3_pitch : second ? a.x2_pitch : a.x_pitch;
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++)
                a_at[i] = place_a(a, segment, second, third, k_count, a_sample[i], a_pixel[i], a_y[i], a_x[i], a_inside[i]) + a_k;
            segment++;
            k = 0u;
        }
#ifdef HALVES
        uvec4 va[A_LOADS];
        uvec2 vb[B_LOADS][2];
#else
        vec4 va[A_LOADS], vb[B_LOADS];
#endif
        if (more) {
            [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
                // a step may reach beyond the segment: what is loaded there counts for nothing
#ifdef HALVES
                va[i] = load_u32x4(source, a_at[i] >> 1);
#else
                va[i] = fetch_a(source, a_at[i]);
#endif
                a_at[i] += BK;
            }
            [[unroll]] for (uint i = 0u; i < B_LOADS; i++) {
                const uint at = thread + i * THREADS;
#ifdef HALVES
                const uint from = b_at + at / (BN / 4u) * (2u * BN) + at % (BN / 4u) * 4u;
                vb[i][0] = load_u32x2(weight, from >> 1);
                vb[i][1] = load_u32x2(weight, (from + BN) >> 1);
#else
                vb[i] = fetch_b(b_at + at * 4u);
#endif
            }
        }
        if (loaded) {
            [[dont_unroll]] for (uint from = 0u; from < STEPS; from += UNROLLED)
            [[unroll]] for (uint step = 0u; step < UNROLLED; step++) {
                const uint kk = from + step;
#ifdef HALVES
                f16vec2 ra[TM], rb[TN];
                [[unroll]] for (uint i = 0u; i < TM; i += 4u) {
                    const uvec4 v = staged4(kk * A_STRIDE + i * WM + ty * 4u);
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        ra[i + e] = unpackFloat2x16(v[e]);
                }
                [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                    const uvec4 v = staged4(B_STAGED + kk * B_STRIDE + j * WN + tx * 4u);
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        rb[j + e] = unpackFloat2x16(v[e]);
                }
                [[unroll]] for (uint h = 0u; h < 2u; h++)
                    [[unroll]] for (uint i = 0u; i < TM; i++)
                        [[unroll]] for (uint j = 0u; j < TN; j++)
                            acc[i][j] += float(ra[i][h]) * float(rb[j][h]);
#else
                float ra[TM], rb[TN];
                [[unroll]] for (uint i = 0u; i < TM; i += 4u) {
                    const vec4 v = staged4(kk * A_STRIDE + i * WM + ty * 4u);
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        ra[i + e] = v[e];
                }
                [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                    const vec4 v = staged4(B_STAGED + kk * B_STRIDE + j * WN + tx * 4u);
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        rb[j + e] = v[e];
                }
                [[unroll]] for (uint i = 0u; i < TM; i++)
                    [[unroll]] for (uint j = 0u; j < TN; j++)
                        acc[i][j] += ra[i] * rb[j];
#endif
            }
        }
        if (!more)
            break;
        barrier();
        [[unroll]] for (uint i = 0u; i < A_LOADS; i++) {
            const uint row = (thread + i * THREADS) / PK, channel = (second ? a.norm_second : 0u) + k + a_k;
            const bool counts = (CONV == 0u || a_inside[i]) && k + a_k < k_count;
#ifdef HALVES
            uvec4 v = va[i];
            if (NORM || SILU_IN)
                v = halves(prepared(low_halves(v), 4u, a_sample[i] * a.norm_stride, channel, a.norm_pitch),
                           prepared(high_halves(v), 4u, a_sample[i] * a.norm_stride, channel + 4u, a.norm_pitch));
            v = counts ? v : uvec4(0u);
            const uint to = a_k / 2u * A_STRIDE + row;
#else
            vec4 v = prepared(va[i], 4u, a_sample[i] * a.norm_stride, channel, a.norm_pitch);
            v = counts ? v : vec4(0.0);
            const uint to = a_k * A_STRIDE + row;
#endif
            [[unroll]] for (uint e = 0u; e < 4u; e++)
                staged[to + e * A_STRIDE] = v[e];
        }
        [[unroll]] for (uint i = 0u; i < B_LOADS; i++) {
#ifdef HALVES
            const uint at = thread + i * THREADS;
            const uvec2 even = vb[i][0], odd = vb[i][1];
            const uvec2 low = (even & 0xffffu) | (odd << 16), high = (even >> 16) | (odd & 0xffff0000u);
            stage4(B_STAGED + at / (BN / 4u) * B_STRIDE + at % (BN / 4u) * 4u, uvec4(low.x, high.x, low.y, high.y));
#else
            const uint at = thread + i * THREADS;
            stage4(B_STAGED + at / (BN / 4u) * B_STRIDE + at % (BN / 4u) * 4u, vb[i]);
#endif
        }
        barrier();
        b_at += min(BK, k_count - k) * BN;
        k += BK;
    }
#endif

#ifdef SHUFFLED
    // The sums leave in blocks of ROWS rows: the next block's move into the first rows, so that this code exists once per
    // block size and not once per row.
    const uint end = tile < tiles ? rows : 0u;
    const Row first = row_of(a, min(m0, rows - 1u)); // of a group beyond the last tile too, whose sums go nowhere
    uint m = m0, left = TM;
    vec4 column_bias[TN / 4u], frame_bias[TN / 4u];
    [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
        const uint n = panel * BN + j * WN + tx * 4u;
        column_bias[j / 4u] = load_float4(bias, n);
        if (SAMPLE_BIAS && WHOLE && stored(a, n))
            frame_bias[j / 4u] = load_sample_bias(a, first.s, n);
    }
    vec4 base[TN / 4u], sum[TN / 4u], squares[TN / 4u]; // the first row; sums of distances from it
    [[dont_unroll]] do {
        Row row = row_of(a, m);
        [[unroll]] for (uint i = 0u; i < ROWS; i++) {
            [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                const uint n = panel * BN + j * WN + tx * 4u;
                vec4 v = vec4(acc[i][j], acc[i][j + 1u], acc[i][j + 2u], acc[i][j + 3u]) + column_bias[j / 4u];
                if (m + i < end && stored(a, n)) {
                    if (SAMPLE_BIAS)
                        v += WHOLE ? frame_bias[j / 4u] : load_sample_bias(a, row.s, n);
                    v = finish(a, row, n, v);
                }
                if (i == 0u && left == TM)
                    base[j / 4u] = v, sum[j / 4u] = squares[j / 4u] = vec4(0.0);
                v -= base[j / 4u];
                sum[j / 4u] += v;
                squares[j / 4u] += v * v;
            }
            row.p++;
            row.s += row.p == a.pixels ? 1u : 0u;
            row.p = row.p == a.pixels ? 0u : row.p;
        }
        [[unroll]] for (uint i = 0u; i < TM - ROWS; i++)
            [[unroll]] for (uint j = 0u; j < TN; j++)
                acc[i][j] = acc[i + ROWS][j];
        m += ROWS;
        left -= min(left, ROWS);
    } while (left != 0u);
    if (STATS && m0 < end) // a block is TM rows: whole or not there
        [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
            const uint n = panel * BN + j * WN + tx * 4u;
            const vec4 offset = sum[j / 4u] / float(TM);
            if (n < a.result_pitch)
                store_stats(a, first, TM, n, base[j / 4u] + offset, max(squares[j / 4u] - sum[j / 4u] * offset, vec4(0.0)));
        }
#else
    const uint m = m0 + ty * 4u;
    vec4 column_bias[TN / 4u];
    [[unroll]] for (uint j = 0u; j < TN; j += 4u)
        column_bias[j / 4u] = load_float4(bias, panel * BN + j * WN + tx * 4u);
    [[unroll]] for (uint i = 0u; i < TM; i++) {
        const uint at = m + i / 4u * (WM * 4u) + i % 4u;
        if (at < rows)
            [[unroll]] for (uint j = 0u; j < TN; j += 4u) {
                const uint n = panel * BN + j * WN + tx * 4u;
                const Row row = row_of(a, at);
                vec4 v = vec4(acc[i][j], acc[i][j + 1u], acc[i][j + 2u], acc[i][j + 3u]) + column_bias[j / 4u];
                vec4 y = vec4(0.0);
                if (stored(a, n)) {
                    if (SAMPLE_BIAS)
                        v += load_sample_bias(a, row.s, n);
                    y = finish(a, row, n, v);
                }
                if (STATS)
                    [[unroll]] for (uint e = 0u; e < 4u; e++)
                        acc[i][j + e] = y[e];
            }
    }
    if (STATS) // mean and M2 of each invocation's 4 rows, then of the WM * 4 that lie together
        [[unroll]] for (uint j = 0u; j < TN; j += 4u)
            [[unroll]] for (uint i = 0u; i < TM; i += 4u) {
                vec4 mean, m2;
                [[unroll]] for (uint e = 0u; e < 4u; e++) {
                    const vec4 v = vec4(acc[i][j + e], acc[i + 1u][j + e], acc[i + 2u][j + e], acc[i + 3u][j + e]);
                    mean[e] = ((v.x + v.y) + (v.z + v.w)) * 0.25;
                    const vec4 d = v - mean[e];
                    m2[e] = (d.x * d.x + d.y * d.y) + (d.z * d.z + d.w * d.w);
                }
                barrier();
                keep_moments(ty * WN + tx, mean);
                keep_moments(WM * WN + ty * WN + tx, m2);
                barrier();
                const uint n = panel * BN + j * WN + tx * 4u, row = m0 + i * WM;
                if (ty == 0u && n < a.result_pitch && row < rows) {
                    vec4 all = vec4(0.0), apart = vec4(0.0), within = vec4(0.0);
                    [[dont_unroll]] for (uint t = 0u; t < WM; t++)
                        all += moments(t * WN + tx);
                    all /= float(WM);
                    [[dont_unroll]] for (uint t = 0u; t < WM; t++) {
                        const vec4 d = moments(t * WN + tx) - all;
                        apart += d * d;
                        within += moments(WM * WN + t * WN + tx);
                    }
                    store_stats(a, row_of(a, row), WM * 4u, n, all, within + 4.0 * apart);
                }
            }
#endif
}
