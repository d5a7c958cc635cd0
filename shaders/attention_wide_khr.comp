// attention_wide_khr.comp - attention on cooperative matrices for heads too large for one subgroup's registers (a VAE's
// 512 channels); the small ones are attention_khr.comp's, and so are the words used here.
//
// The PARTS subgroups of a workgroup share ROWS * M queries of one problem. Of BLOCK keys at a time each computes the
// scores of its own keys, CHUNK channels of Q and K after another out of shared memory; all scores go to shared memory,
// where GROUP invocations per query fold them into the running maximum and sum (fp32; Milakov and Gimelshein 2018) and
// leave weights in fp16; then each subgroup multiplies these with its own columns of V, which passes by TURN keys at a
// time. The way of a score through memory is short beside its two times 512 multiplications, so nothing is lazy here.
//
// A query's bits depend on its own scores in their order, on BLOCK and on GROUP, not on its neighbours. Keys beyond
// the last token or after a causal query weigh exactly 0; the padding of a head is zero in shared memory.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "matrix.glsl"
#include "lanes.glsl"

layout(constant_id = 1) const uint WIDTH = 32; // of a subgroup
layout(constant_id = 2) const uint M = 16;     // fragments: A [M, K], B [K, N], sums [M, N]
layout(constant_id = 3) const uint N = 16;
layout(constant_id = 4) const uint K = 16;
layout(constant_id = 5) const uint SLOT = 64;  // eights of a head in memory
layout(constant_id = 6) const uint ROWS = 1;   // fragments of queries
layout(constant_id = 7) const uint BLOCK = 64; // keys folded at once: a multiple of PARTS * N and of TURN
layout(constant_id = 8) const uint PARTS = 4;  // subgroups
layout(constant_id = 9) const uint TRANSPOSED = 0;

#include "attention.glsl"

const uint CREW = PARTS * WIDTH;
const uint CHUNK = 64; // channels, a multiple of K
const uint CHUNKS = (SLOT * 8 + CHUNK - 1) / CHUNK;
const uint TURN = K > 16 ? K : 16;
const uint OWN_KEYS = BLOCK / PARTS / N;                            // fragments of a subgroup's keys
const uint OWN = ((SLOT * 8 + N - 1) / N + PARTS - 1) / PARTS;      // and of its columns of the output
const uint COLUMNS = OWN * PARTS * N;
const uint QUERIES = ROWS * M;
const uint GROUP = CREW / QUERIES; // invocations that fold one query's scores

// Pitches in 16 bytes, odd so that rows begin in different banks.
const uint C_ROW = CHUNK / 8 | 1;
const uint V_ROW = TRANSPOSED != 0 ? TURN / 8 | 1 : COLUMNS / 8 | 1;
const uint V_SIZE = V_ROW * (TRANSPOSED != 0 ? COLUMNS : TURN);
const uint C_SIZE = (BLOCK + QUERIES) * C_ROW; // K, then Q
const uint E_ROW = BLOCK / 4 | 1;
const uint P_ROW = BLOCK / 8 | 1;

const float FIRST_MAXIMUM = -1e30;

shared uvec4 staged[C_SIZE > V_SIZE ? C_SIZE : V_SIZE];
shared uvec4 scores[QUERIES * E_ROW]; // fp32
shared uvec4 weights[QUERIES * P_ROW]; // fp16
shared uvec4 fades[QUERIES / 4];
shared float partial[CREW];

float score(uint row, uint c) { return uintBitsToFloat(scores[row * E_ROW + (c >> 2)][c & 3]); }

void main()
{
    const uint lane = gl_SubgroupInvocationID, part = gl_SubgroupID, hand = part * WIDTH + lane;
    const uint problem = workgroup_number();
    if (problem >= push.problems)
        return;
    const Place at = place_of(problem);
    const uint first_query = gl_WorkGroupID.y * QUERIES;
    const uint row = min(hand / GROUP, QUERIES - 1), member = hand % GROUP; // the row that this invocation folds
    const bool folds = hand < QUERIES * GROUP;

    SUMS o[ROWS][OWN];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        [[unroll]] for (uint w = 0; w < OWN; w++)
            o[r][w] = SUMS(0.0);
    float maximum = FIRST_MAXIMUM, sum = 0.0;

    const uint seen = causal() ? min(push.tokens, first_query + QUERIES) : push.tokens;
    const uint limit = causal() ? min(push.tokens, first_query + row + 1) : push.tokens;
    for (uint first = 0; first < seen; first += BLOCK) {
        SUMS e[ROWS][OWN_KEYS];
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            [[unroll]] for (uint j = 0; j < OWN_KEYS; j++)
                e[r][j] = SUMS(0.0);
        [[dont_unroll]] for (uint chunk = 0; chunk < CHUNKS; chunk++) {
            barrier(); // what was staged before has been used
            for (uint t = hand; t < BLOCK * (CHUNK / 8); t += CREW) {
                uint key = t / (CHUNK / 8), i = t % (CHUNK / 8), eight = chunk * (CHUNK / 8) + i;
                staged[key * C_ROW + i] = load_eight(push.k, at.k + (first + key) * at.k_token + eight * 8,
                                                     eight < SLOT && first + key < push.tokens);
            }
            for (uint t = hand; t < QUERIES * (CHUNK / 8); t += CREW) {
                uint query = t / (CHUNK / 8), i = t % (CHUNK / 8), eight = chunk * (CHUNK / 8) + i;
                staged[(BLOCK + query) * C_ROW + i] =
                    load_eight(push.q, at.q + (first_query + query) * at.q_token + eight * 8,
                               eight < SLOT && first_query + query < push.queries);
            }
            barrier();
            [[unroll]] for (uint d = 0; d < CHUNK; d += K) {
                OPERAND_A q[ROWS];
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    coopMatLoad(q[r], staged, (BLOCK + r * M) * C_ROW + d / 8, C_ROW,
                                gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint j = 0; j < OWN_KEYS; j++) {
                    OPERAND_B k;
                    coopMatLoad(k, staged, (part * OWN_KEYS + j) * N * C_ROW + d / 8, C_ROW,
                                gl_CooperativeMatrixLayoutColumnMajor);
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        e[r][j] = coopMatMulAdd(q[r], k, e[r][j]);
                }
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            [[unroll]] for (uint j = 0; j < OWN_KEYS; j++)
                coopMatStore(e[r][j], scores, r * M * E_ROW + (part * OWN_KEYS + j) * N / 4, E_ROW,
                             gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        float largest = maximum;
        for (uint c = 2 * member; c < BLOCK; c += 2 * GROUP) {
            largest = max(largest, first + c < limit ? score(row, c) * push.scale : FIRST_MAXIMUM);
            largest = max(largest, first + c + 1 < limit ? score(row, c + 1) * push.scale : FIRST_MAXIMUM);
        }
        partial[hand] = largest;
        barrier();
        for (uint i = 0; i < GROUP; i++)
            largest = max(largest, partial[row * GROUP + i]);
        const float fade = exp2(maximum - largest);
        maximum = largest;
        sum *= fade;
        if (folds) {
            for (uint c = 2 * member; c < BLOCK; c += 2 * GROUP) {
                float a = first + c < limit ? exp2(fma(score(row, c), push.scale, -largest)) : 0.0;
                float b = first + c + 1 < limit ? exp2(fma(score(row, c + 1), push.scale, -largest)) : 0.0;
                sum += a;
                sum += b;
                weights[row * P_ROW + (c >> 3)][(c >> 1) & 3] = packFloat2x16(f16vec2(a, b));
            }
            if (member == 0)
                fades[row >> 2][row & 3] = floatBitsToUint(fade);
        }
        barrier();
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            SUMS f; // of the row in every column
            coopMatLoad(f, fades, r * M / 4, 0, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint w = 0; w < OWN; w++)
                [[unroll]] for (uint i = 0; i < f.length(); i++)
                    o[r][w][i] *= f[i];
        }
        [[dont_unroll]] for (uint turn = 0; turn < BLOCK && first + turn < seen; turn += TURN) {
            if (turn > 0)
                barrier();
            if (TRANSPOSED != 0) {
                for (uint t = hand; t < TURN / 2 * SLOT; t += CREW) {
                    uint pair = t / SLOT, eight = t % SLOT, key = first + turn + 2 * pair;
                    uvec4 a = load_eight(push.v, at.v + key * at.v_token + eight * 8, key < push.tokens);
                    uvec4 b = load_eight(push.v, at.v + (key + 1) * at.v_token + eight * 8, key + 1 < push.tokens);
                    [[unroll]] for (uint i = 0; i < 4; i++) {
                        uint to = (eight * 8 + 2 * i) * V_ROW + (pair >> 2);
                        staged[to][pair & 3] = (a[i] & 0xffffu) | b[i] << 16;
                        staged[to + V_ROW][pair & 3] = a[i] >> 16 | (b[i] & 0xffff0000u);
                    }
                }
            } else {
                for (uint t = hand; t < TURN * SLOT; t += CREW) {
                    uint key = t / SLOT, eight = t % SLOT;
                    staged[key * V_ROW + eight] =
                        load_eight(push.v, at.v + (first + turn + key) * at.v_token + eight * 8,
                                   first + turn + key < push.tokens);
                }
            }
            barrier();
            [[unroll]] for (uint s = 0; s < TURN; s += K) {
                OPERAND_A p[ROWS];
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    coopMatLoad(p[r], weights, r * M * P_ROW + (turn + s) / 8, P_ROW,
                                gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint w = 0; w < OWN; w++) { // columns behind the head: whatever lies there, for nobody
                    OPERAND_B v;
                    uint column = (part * OWN + w) * N;
                    if (TRANSPOSED != 0)
                        coopMatLoad(v, staged, column * V_ROW + s / 8, V_ROW, gl_CooperativeMatrixLayoutColumnMajor);
                    else
                        coopMatLoad(v, staged, s * V_ROW + column / 8, V_ROW, gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        o[r][w] = coopMatMulAdd(p[r], v, o[r][w]);
                }
            }
        }
    }

    partial[hand] = sum;
    barrier();
    if (folds && member == 0) {
        sum = 0.0;
        for (uint i = 0; i < GROUP; i++)
            sum += partial[row * GROUP + i];
        fades[row >> 2][row & 3] = floatBitsToUint(1.0 / sum);
    }
    // A fragment of every subgroup at a time through the memory of the scores.
    const uint column = part * (BLOCK / PARTS);
    [[unroll]] for (uint w = 0; w < OWN; w++) {
        barrier();
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            coopMatStore(o[r][w], scores, r * M * E_ROW + column / 4, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        for (uint t = lane; t < QUERIES * (N / 8); t += WIDTH) {
            uint q = t / (N / 8), i = t % (N / 8), eight = (part * OWN + w) * N / 8 + i;
            if (eight >= SLOT || first_query + q >= push.queries)
                continue;
            float share = uintBitsToFloat(fades[q >> 2][q & 3]);
            vec4 a = uintBitsToFloat(scores[q * E_ROW + column / 4 + 2 * i]) * share;
            vec4 b = uintBitsToFloat(scores[q * E_ROW + column / 4 + 2 * i + 1]) * share;
            store_u32x4(push.result, (at.result + (first_query + q) * at.result_token + eight * 8) >> 1, halves(a, b));
        }
    }
}
