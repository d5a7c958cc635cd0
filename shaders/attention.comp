// attention.comp - softmax(q k^T * scale) v per head, without ever holding the scores: keys are folded in chunks with
// a running maximum and sum in fp32 (Milakov and Gimelshein 2018; Dao et al. 2022).
//
// A problem is one head of one batch: `queries` query tokens against `tokens` key tokens. A batch is a sample (tokens
// are its pixels, token stride = pitch), or with `temporal` a pixel of a branch (tokens are its frames, token stride
// = sample stride); the branches' samples lie `index_sample` apart, which is more than `queries` in windows of frames. With an index (cross attention) k and v are those of
// prompt index[sample].
//
// Two ways to run, two binaries:
//
// staged (GPUs): a workgroup takes `pack` problems of `span` queries each: invocation = (problem, part of the head,
// query). A query's head of 4 * QUADS * SPLIT numbers is shared by SPLIT invocations, each with q and the sum of its
// part in registers. K and V of `stage` keys at a time lie in shared memory as fp32, zero beyond the last token and
// beyond the head's slot.
//
// shuffled (software devices): a workgroup is one subgroup, each lane holds QUERIES queries and, of LANES keys at a
// time, one key; keys go round by shuffles with a constant lane, which cost next to nothing there, while a load costs
// tens of multiplications wherever it goes, shared memory included.
//
// Keys are folded in their order, KEYS (LANES) at once; what is not seen (beyond the last token, after a causal
// query) has weight exactly 0, so a query's bits do not depend on its neighbours in the launch.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SHUFFLED
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "lanes.glsl"
#include "quad.glsl"
#include "math.glsl"

layout(constant_id = 1) const uint QUADS = 2;    // vec4 of a head in one lane
#ifdef SHUFFLED
layout(constant_id = 2) const uint QUERIES = 4;
#else
layout(constant_id = 2) const uint SPLIT = 1;    // a power of two
layout(constant_id = 3) const uint KEYS = 8;
layout(constant_id = 4) const uint STAGE = 512;  // capacity of the staged K, and of V, in vec4
layout(constant_id = 5) const uint PARTIALS = 1; // 2 * KEYS * LANES where SPLIT > 1
#endif

const float FIRST_MAXIMUM = -1e30;
const float UNSEEN = -3e38;

layout(push_constant, scalar) uniform Push {
    uvec2 q, k, v, result, index; // at the first channel of the first head; index 0: none
    uint q_sample, q_pixel, k_sample, k_pixel, v_sample, v_pixel, result_sample, result_pixel, index_sample; // strides
    uint queries, tokens;
    uint heads, slot;  // slot: vec4 of a head in memory
    uint inner;        // pixels of a sample where temporal, else 1
    uint problems;     // heads * batches
    uint span_pack;    // queries of a workgroup | problems of a workgroup << 16
    uint stage_flags;  // keys staged at once | temporal << 16 | causal << 17
    float scale;       // times log2(e)
} push;

// Read once, here: on a software device they would be loads per lane inside of loops.
uvec2 k_address = push.k, v_address = push.v, result_address = push.result;
uint queries = push.queries, tokens = push.tokens, problems = push.problems;

bool temporal() { return (push.stage_flags & 0x10000u) != 0; }
bool causal() { return (push.stage_flags & 0x20000u) != 0; }

// Where the tokens of a problem begin and how far apart they are.
struct Place {
    uint q, k, v, result;
    uint q_token, k_token, v_token, result_token;
};

Place place_of(uint problem)
{
    uint batch = problem / push.heads, channel = (problem - batch * push.heads) * push.slot * 4;
    uint outer = batch, pixel = 0;
    if (temporal()) {
        outer = batch / push.inner;
        pixel = batch - outer * push.inner;
        outer *= push.index_sample;
    }
    uint kv_outer = outer;
    if ((push.index.x | push.index.y) != 0)
        kv_outer = uint(load_i32(push.index, outer * push.index_sample));
    return Place(outer * push.q_sample + pixel * push.q_pixel + channel,
                 kv_outer * push.k_sample + pixel * push.k_pixel + channel,
                 kv_outer * push.v_sample + pixel * push.v_pixel + channel,
                 outer * push.result_sample + pixel * push.result_pixel + channel,
                 temporal() ? push.q_sample : push.q_pixel, temporal() ? push.k_sample : push.k_pixel,
                 temporal() ? push.v_sample : push.v_pixel, temporal() ? push.result_sample : push.result_pixel);
}

#ifdef SHUFFLED

void main()
{
    const uint lane = gl_LocalInvocationIndex;
    const uint problem = min(workgroup_number(), problems - 1);
    const uint first_query = gl_WorkGroupID.y * LANES * QUERIES;
    Place at = place_of(problem);

    vec4 q[QUERIES][QUADS], sum[QUERIES][QUADS];
    float maximum[QUERIES], weight[QUERIES];
    uint limit[QUERIES];
    [[unroll]] for (uint n = 0; n < QUERIES; n++) {
        uint query = min(first_query + n * LANES + lane, queries - 1);
        limit[n] = causal() ? query + 1 : tokens;
        [[unroll]] for (uint i = 0; i < QUADS; i++) {
            q[n][i] = load_quad(push.q, at.q + query * at.q_token + i * 4) * push.scale;
            sum[n][i] = vec4(0);
        }
        maximum[n] = FIRST_MAXIMUM;
        weight[n] = 0.0;
    }

    uint seen = causal() ? min(tokens, first_query + LANES * QUERIES) : tokens;
    for (uint first = 0; first < seen; first += LANES) {
        uint key = min(first + lane, tokens - 1);
        vec4 held[QUADS];
        [[unroll]] for (uint i = 0; i < QUADS; i++)
            held[i] = load_quad(k_address, at.k + key * at.k_token + i * 4);
        float s[QUERIES][LANES];
        [[unroll]] for (uint j = 0; j < LANES; j++) {
            [[unroll]] for (uint i = 0; i < QUADS; i++) {
                vec4 k = subgroupShuffle(held[i], j);
                [[unroll]] for (uint n = 0; n < QUERIES; n++) {
                    s[n][j] = i == 0 ? q[n][0].x * k.x : s[n][j] + q[n][i].x * k.x;
                    s[n][j] += q[n][i].y * k.y;
                    s[n][j] += q[n][i].z * k.z;
                    s[n][j] += q[n][i].w * k.w;
                }
            }
        }
        [[unroll]] for (uint n = 0; n < QUERIES; n++) {
            float largest = maximum[n];
            [[unroll]] for (uint j = 0; j < LANES; j++) {
                s[n][j] = first + j < limit[n] ? s[n][j] : UNSEEN;
                largest = max(largest, s[n][j]);
            }
            float fade = exp2_nonpositive(maximum[n] - largest);
            maximum[n] = largest;
            weight[n] *= fade;
            [[unroll]] for (uint i = 0; i < QUADS; i++)
                sum[n][i] *= fade;
            [[unroll]] for (uint j = 0; j < LANES; j++) {
                s[n][j] = exp2_nonpositive(s[n][j] - largest);
                weight[n] += s[n][j];
            }
        }
        [[unroll]] for (uint i = 0; i < QUADS; i++)
            held[i] = load_quad(v_address, at.v + key * at.v_token + i * 4);
        [[unroll]] for (uint j = 0; j < LANES; j++) {
            [[unroll]] for (uint i = 0; i < QUADS; i++) {
                vec4 v = subgroupShuffle(held[i], j);
                [[unroll]] for (uint n = 0; n < QUERIES; n++)
                    sum[n][i] += s[n][j] * v;
            }
        }
    }
    [[unroll]] for (uint n = 0; n < QUERIES; n++) {
        uint query = first_query + n * LANES + lane;
        if (query < queries && workgroup_number() < problems) {
            float share = 1.0 / weight[n];
            [[unroll]] for (uint i = 0; i < QUADS; i++)
                store_quad(result_address, at.result + query * at.result_token + i * 4, sum[n][i] * share);
        }
    }
}

#else

const uint SLOT = QUADS * SPLIT;

shared vec4 staged_k[STAGE];
shared vec4 staged_v[STAGE];
shared float partial[PARTIALS];

void main()
{
    const uint span = push.span_pack & 0xffffu, pack = push.span_pack >> 16;
    const uint stage = push.stage_flags & 0xffffu;
    const uint lane = gl_LocalInvocationIndex;
    const uint strand = lane / span; // (problem, part)
    const uint local_problem = strand / SPLIT, part = strand % SPLIT;
    const uint local_query = lane - strand * span;
    const bool inside = local_problem < pack;
    const uint problem = workgroup_number() * pack + local_problem;
    const uint query = gl_WorkGroupID.y * span + local_query;
    const bool live = inside && problem < problems && query < queries;
    Place at = place_of(min(problem, problems - 1));

    vec4 q[QUADS], sum[QUADS];
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        uint quad = part * QUADS + i;
        uint row = min(query, queries - 1);
        q[i] = quad < push.slot ? load_quad(push.q, at.q + row * at.q_token + quad * 4) * push.scale : vec4(0);
        sum[i] = vec4(0);
    }
    float maximum = FIRST_MAXIMUM, weight = 0.0;

    uint seen = causal() ? min(tokens, (gl_WorkGroupID.y + 1) * span) : tokens;
    uint limit = causal() ? min(tokens, query + 1) : tokens;
    uint base = inside ? local_problem * stage * SLOT : 0;
    uint turn = 0;
    for (uint first = 0; first < seen; first += stage) {
        barrier(); // the chunk before has been used
        if (inside)
            for (uint e = part * span + local_query; e < stage * SLOT; e += SPLIT * span) {
                uint key = e / SLOT, quad = e % SLOT;
                bool there = first + key < tokens && quad < push.slot;
                uint token = there ? first + key : 0;
                quad = there ? quad * 4 : 0;
                staged_k[base + e] = there ? load_quad(k_address, at.k + token * at.k_token + quad) : vec4(0);
                staged_v[base + e] = there ? load_quad(v_address, at.v + token * at.v_token + quad) : vec4(0);
            }
        barrier();
        uint end = min(stage, seen - first);
        for (uint key = 0; key < end; key += KEYS) {
            uint from = base + key * SLOT + part * QUADS;
            float s[KEYS];
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                vec4 d = q[0] * staged_k[from + j * SLOT];
                [[unroll]] for (uint i = 1; i < QUADS; i++)
                    d += q[i] * staged_k[from + j * SLOT + i];
                s[j] = (d.x + d.y) + (d.z + d.w);
            }
            if (SPLIT > 1) { // the parts of a score, summed in their order; two buffers save a barrier
                uint to = turn * KEYS * LANES;
                [[unroll]] for (uint j = 0; j < KEYS; j++)
                    partial[to + j * LANES + lane] = s[j];
                barrier();
                uint first_part = lane - part * span;
                [[unroll]] for (uint j = 0; j < KEYS; j++) {
                    s[j] = partial[to + j * LANES + first_part];
                    for (uint p = 1; p < SPLIT; p++)
                        s[j] += partial[to + j * LANES + first_part + p * span];
                }
                turn ^= 1;
            }
            float largest = maximum;
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                s[j] = first + key + j < limit ? s[j] : UNSEEN;
                largest = max(largest, s[j]);
            }
            float fade = exp2(maximum - largest);
            maximum = largest;
            weight *= fade;
            [[unroll]] for (uint i = 0; i < QUADS; i++)
                sum[i] *= fade;
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                float p = exp2(s[j] - largest);
                weight += p;
                [[unroll]] for (uint i = 0; i < QUADS; i++)
                    sum[i] += p * staged_v[from + j * SLOT + i];
            }
        }
    }
    if (!live)
        return;
    float share = 1.0 / weight;
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        uint quad = part * QUADS + i;
        if (quad < push.slot)
            store_quad(result_address, at.result + query * at.result_token + quad * 4, sum[i] * share);
    }
}

#endif
