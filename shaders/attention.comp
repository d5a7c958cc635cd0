// attention.comp - softmax(q k^T * scale) v per head, without ever holding the scores: keys are folded in chunks with a running
// maximum and sum in fp32 (Milakov and Gimelshein 2018; Dao et al. 2022).
//
// A problem is one head of one batch: `queries` query tokens against `tokens` key tokens.  A batch is a sample (tokens are its
// pixels, token stride = pitch), or with `temporal` a pixel of a branch (tokens are its frames, token stride = sample stride); the
// branches' samples lie `queries` apart.  With an index (cross attention) k and v are those of prompt index[sample].
//
// A workgroup takes `pack` problems of SPAN queries each: invocation = (problem, part of the head, query).  A query's head of 4 *
// QUADS * SPLIT numbers is shared by SPLIT invocations, each with q and the accumulator of its part in registers.  K and V
// of `stage` keys at a time lie in shared memory as fp32, zero beyond the last token and beyond the head's slot.  On a
// CPU device (CPU) SPAN is a multiple of the subgroup, so that all lanes of a subgroup read the same key: that is a scalar load there.
//
// Keys are folded in their order, KEYS at once; what is not seen (beyond the last token, after a causal query) has weight exactly 0, so
// a query's bits do not depend on its neighbours in the launch.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#include "memory.glsl"
#include "lanes.glsl"
#include "math.glsl"

layout(constant_id = 1) const uint QUADS = 2;
layout(constant_id = 2) const uint SPLIT = 1;    // a power of two
layout(constant_id = 3) const uint KEYS = 8;
layout(constant_id = 4) const uint STAGE = 512;  // capacity of the staged K, and of V, in vec4
layout(constant_id = 5) const uint PARTIALS = 1; // 2 * KEYS * LANES where SPLIT > 1
layout(constant_id = 6) const bool CPU = false;
layout(constant_id = 7) const uint SUBGROUP = 8; // where CPU

const uint SLOT = QUADS * SPLIT;
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

shared vec4 staged_k[STAGE];
shared vec4 staged_v[STAGE];
shared float partial[PARTIALS];

void main()
{
    uint span = push.span_pack & 0xffffu, pack = push.span_pack >> 16;
    uint stage = push.stage_flags & 0xffffu;
    bool temporal = (push.stage_flags & 0x10000u) != 0, causal = (push.stage_flags & 0x20000u) != 0;

    uint lane = gl_LocalInvocationIndex;
    uint strand = CPU ? gl_SubgroupID * SUBGROUP / span : lane / span; // (problem, part)
    uint local_problem = strand / SPLIT, part = strand % SPLIT;
    uint local_query = lane - strand * span;
    bool inside = local_problem < pack;
    uint problem = workgroup_number() * pack + local_problem;
    uint query = gl_WorkGroupID.y * span + local_query;
    bool live = inside && problem < push.problems && query < push.queries;
    problem = min(problem, push.problems - 1);
    uint row = min(query, push.queries - 1);

    // bases of the problem
    uint batch = problem / push.heads, channel = (problem - batch * push.heads) * push.slot * 4;
    uint outer = temporal ? batch / push.inner : batch;
    uint pixel = temporal ? batch - outer * push.inner : 0;
    outer *= temporal ? push.queries : 1;
    uint kv_outer = outer;
    if ((push.index.x | push.index.y) != 0)
        kv_outer = uint(load_i32(push.index, outer * push.index_sample));
    uint q_at = outer * push.q_sample + pixel * push.q_pixel + channel + row * (temporal ? push.q_sample : push.q_pixel);
    uint k_at = kv_outer * push.k_sample + pixel * push.k_pixel + channel;
    uint v_at = kv_outer * push.v_sample + pixel * push.v_pixel + channel;
    uint k_token = temporal ? push.k_sample : push.k_pixel, v_token = temporal ? push.v_sample : push.v_pixel;

    vec4 q[QUADS], sum[QUADS];
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        uint quad = part * QUADS + i;
        q[i] = quad < push.slot ? load_storage4(push.q, q_at + quad * 4) * push.scale : vec4(0);
        sum[i] = vec4(0);
    }
    float maximum = FIRST_MAXIMUM, weight = 0.0;

    uint seen = causal ? min(push.tokens, (gl_WorkGroupID.y + 1) * span) : push.tokens;
    uint base = local_problem * stage * SLOT;
    uint member = part * span + local_query;
    uint turn = 0;
    for (uint first = 0; first < seen; first += stage) {
        barrier(); // the chunk before has been used
        if (inside)
            for (uint e = member; e < stage * SLOT; e += SPLIT * span) {
                uint key = e / SLOT, quad = e % SLOT;
                bool there = first + key < push.tokens && quad < push.slot;
                uint token = there ? first + key : 0;
                quad = there ? quad * 4 : 0;
                staged_k[base + e] = there ? load_storage4(push.k, k_at + token * k_token + quad) : vec4(0);
                staged_v[base + e] = there ? load_storage4(push.v, v_at + token * v_token + quad) : vec4(0);
            }
        barrier();
        uint end = min(stage, seen - first);
        for (uint key = 0; key < end; key += KEYS) {
            uint at = (inside ? base : 0) + key * SLOT + part * QUADS;
            float s[KEYS];
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                vec4 d = q[0] * staged_k[at + j * SLOT];
                [[unroll]] for (uint i = 1; i < QUADS; i++)
                    d += q[i] * staged_k[at + j * SLOT + i];
                s[j] = (d.x + d.y) + (d.z + d.w);
            }
            if (SPLIT > 1) { // the parts of a score, summed in their order; two buffers save a barrier
                uint to = turn * KEYS * LANES;
                [[unroll]] for (uint j = 0; j < KEYS; j++)
                    partial[to + j * LANES + lane] = s[j];
                barrier();
                uint strand_lane = lane - part * span;
                [[unroll]] for (uint j = 0; j < KEYS; j++) {
                    s[j] = partial[to + j * LANES + strand_lane];
                    for (uint p = 1; p < SPLIT; p++)
                        s[j] += partial[to + j * LANES + strand_lane + p * span];
                }
                turn ^= 1;
            }
            uint limit = causal ? min(push.tokens, query + 1) : push.tokens;
            float largest = maximum;
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                s[j] = first + key + j < limit ? s[j] : UNSEEN;
                largest = max(largest, s[j]);
            }
            float fade = CPU ? exp2_nonpositive(maximum - largest) : exp2(maximum - largest);
            maximum = largest;
            weight *= fade;
            [[unroll]] for (uint i = 0; i < QUADS; i++)
                sum[i] *= fade;
            [[unroll]] for (uint j = 0; j < KEYS; j++) {
                float p = CPU ? exp2_nonpositive(s[j] - largest) : exp2(s[j] - largest);
                weight += p;
                [[unroll]] for (uint i = 0; i < QUADS; i++)
                    sum[i] += p * staged_v[at + j * SLOT + i];
            }
        }
    }
    if (!live)
        return;
    float share = 1.0 / weight;
    uint to = outer * push.result_sample + pixel * push.result_pixel + channel +
              row * (temporal ? push.result_sample : push.result_pixel);
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        uint quad = part * QUADS + i;
        if (quad < push.slot)
            store_storage4(push.result, to + quad * 4, sum[i] * share);
    }
}
