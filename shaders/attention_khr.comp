// attention_khr.comp - softmax(q k^T * scale) v per head on cooperative matrices of subgroup scope, fp16 in, fp32 sums.
//
// A problem is one head of one batch, as in attention.comp. A workgroup holds TEAMS problems; a team of TEAM subgroups
// shares K and V of one problem, BLOCK keys at a time in shared memory, and each subgroup owns ROWS * M queries: their
// Q fragments stay in registers, so do the sums of the output [ROWS * M, WIDE * N]. The head is padded to the fragment
// (40 -> 48) in shared memory alone, with zeros.
//
// Keys go in steps of STEP (a multiple of N and of K), in their order:
//   e = scale * (q k^T) - m     scores in powers of two, relative to the query's reference m, in accumulators
//   p = exp2(e)                 fp16, through shared memory from accumulator to operand A
//   o += p v                    and the sum of p: the product with a column of ones where the padding has a column to
//                               spare, else sums of p by column, added up at the end
// The reference m is the largest score of the query's first step, and it moves only where a later score lies more than
// LIMIT above it: 2^LIMIT fits fp16 and the sums are fp32, so up to there nothing is lost, and the weight of a
// query's largest score is never less than 1. (Lazy rescaling; Dao 2023 rescales at every step.) So a step in which no
// score of the subgroup lies above its limit, nearly every step of a long row, needs no maximum, no rescaling, and no
// score in memory. Otherwise scores go through memory, where a lane looks along a row, and m moves for the rows for
// which it must: by `delta`, which is 0 for the others, and e - 0 and o * 2^-0 change no bit. What happens to a query
// hence depends on its own scores in their order alone, not on its neighbours, nor on ROWS, TEAM, TEAMS, BLOCK,
// TRANSPOSED.
//
// Keys beyond the last token, or after a causal query, get e = UNSEEN and p = 0; fragments past the last query compute
// on zeros and are not stored.
//
// Blocks: with AHEAD the next BLOCK keys are on their way in registers while one block is used; without it, for short
// rows, K and V of one step (BLOCK = STEP) take turns in the same memory, which lets more problems live at once.
//
// Shared memory: K [BLOCK][head]; V likewise, or with TRANSPOSED [head][BLOCK], so that drivers that load operand B
// element by element along a column (RADV) find them side by side. A row is an odd number of 16 bytes, which takes the
// rows of a fragment to different banks.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_vote : require
#include "matrix.glsl"
#include "lanes.glsl"

layout(constant_id = 1) const uint WIDTH = 32; // of a subgroup
layout(constant_id = 2) const uint M = 16;     // fragments: A [M, K], B [K, N], sums [M, N]
layout(constant_id = 3) const uint N = 16;
layout(constant_id = 4) const uint K = 16;
layout(constant_id = 5) const uint SLOT = 5;   // eights of a head in memory
layout(constant_id = 6) const uint ROWS = 2;   // fragments of queries in a subgroup
layout(constant_id = 7) const uint STEP = 32;  // keys of a step
layout(constant_id = 8) const uint BLOCK = 64; // keys in shared memory, a multiple of STEP
layout(constant_id = 9) const uint TEAM = 4;   // subgroups of a problem
layout(constant_id = 10) const uint TEAMS = 1; // problems of a workgroup
layout(constant_id = 11) const uint TRANSPOSED = 0;
layout(constant_id = 12) const uint AHEAD = 1; // see "Blocks" above
layout(constant_id = 13) const uint LOCKSTEP = 0; // a subgroup needs no barrier, see settle()

#include "attention.glsl"

const uint DEPTH = (SLOT * 8 + K - 1) / K;
const uint WIDE = (SLOT * 8 + N - 1) / N;
const uint STEPS_N = STEP / N, STEPS_K = STEP / K;
const bool SPARE = WIDE * N > SLOT * 8;

// Pitches in 16 bytes.
const uint K_ROW = DEPTH * K / 8 | 1;
const uint V_ROW = TRANSPOSED != 0 ? BLOCK / 8 | (BLOCK > 16 ? 1 : 0) : WIDE * N / 8 | 1;
const uint V_SIZE = V_ROW * (TRANSPOSED != 0 ? WIDE * N : BLOCK);
const uint E_ROW = STEP / 4 | 1; // fp32: scores, chunks of the output
const uint P_ROW = STEP / 8 | 1; // fp16: weights
const uint Q_PART = STEP / K;    // fragments of Q that pass through the room of the weights at once
// A subgroup's room: E [M][E_ROW] or P [ROWS * M][P_ROW] (with SUMS_F32, for matrices without accumulators in fp16, E
// and P), then per query m, delta, 2^-delta
const uint E_SIZE = M * E_ROW, P_SIZE = ROWS * M * P_ROW;
#ifdef SUMS_F32
const uint P_AT = E_SIZE; // both at once
#else
const uint P_AT = 0;
#endif
const uint STATE = P_AT + P_SIZE > E_SIZE ? P_AT + P_SIZE : E_SIZE;
const uint STATE_ROWS = ROWS * M / 4;
const uint ROOM = STATE + 3 * STATE_ROWS;

const float LIMIT = 15.0;
const float UNSEEN = -3e38;

const uint K_SIZE = BLOCK * K_ROW;
const uint KV_SIZE = AHEAD != 0 ? K_SIZE + V_SIZE : K_SIZE > V_SIZE ? K_SIZE : V_SIZE;

shared uvec4 staged[TEAMS * KV_SIZE];
shared uvec4 room[TEAMS * TEAM * ROOM];

// Writes of this subgroup to its room before become visible to its reads after, and the other way round. (lavapipe runs
// a subgroup in lockstep, but makes a barrier of the workgroup of its barrier, which not every subgroup passes here.
// Past a memory barrier of the subgroup alone it carries values stored in fp16 in registers, unrounded.)
void settle()
{
    if (LOCKSTEP != 0)
        memoryBarrier(gl_ScopeWorkgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    else
        controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
}

float room_float(uint at, uint i) { return uintBitsToFloat(room[at + (i >> 2)][i & 3]); }
void room_set(uint at, uint i, float x) { room[at + (i >> 2)][i & 3] = floatBitsToUint(x); }

const uint CREW = TEAM * WIDTH; // invocations of a team
// Tasks of an invocation when K, or V, of a block is fetched: eights; with TRANSPOSED eights of a pair of keys.
const uint FETCH_K = (BLOCK * SLOT + CREW - 1) / CREW;
const uint V_KEYS = TRANSPOSED != 0 ? 2 : 1;
const uint FETCH_V = (BLOCK / V_KEYS * SLOT + CREW - 1) / CREW;
// How many of them are under way at once: all, or where a block is waited for, a few.
const uint PIECE_K = AHEAD != 0 || FETCH_K < 4 ? FETCH_K : 4;
const uint PIECE_V = AHEAD != 0 || FETCH_V < 2 ? FETCH_V : 2;
const uint HELD_V = PIECE_V * V_KEYS;

// Tasks `piece` .. of the block from key `first` on, K's and V's, into registers and from there to shared memory.
void fetch_k(out uvec4 k[PIECE_K], Place at, uint hand, uint first, uint piece)
{
    [[unroll]] for (uint t = 0; t < PIECE_K; t++) {
        uint e = (piece + t) * CREW + hand, key = first + e / SLOT;
        k[t] = load_eight(push.k, at.k + key * at.k_token + e % SLOT * 8, e < BLOCK * SLOT && key < push.tokens);
    }
}

void put_k(uvec4 k[PIECE_K], uint my_k, uint hand, uint piece)
{
    [[unroll]] for (uint t = 0; t < PIECE_K; t++) {
        uint e = (piece + t) * CREW + hand;
        if (e < BLOCK * SLOT)
            staged[my_k + e / SLOT * K_ROW + e % SLOT] = k[t];
    }
}

void fetch_v(out uvec4 v[HELD_V], Place at, uint hand, uint first, uint piece)
{
    [[unroll]] for (uint t = 0; t < PIECE_V; t++)
        [[unroll]] for (uint i = 0; i < V_KEYS; i++) {
            uint e = (piece + t) * CREW + hand, key = first + e / SLOT * V_KEYS + i;
            v[t * V_KEYS + i] = load_eight(push.v, at.v + key * at.v_token + e % SLOT * 8,
                                           e < BLOCK / V_KEYS * SLOT && key < push.tokens);
        }
}

void put_v(uvec4 v[HELD_V], uint my_v, uint hand, uint piece)
{
    [[unroll]] for (uint t = 0; t < PIECE_V; t++) {
        uint e = (piece + t) * CREW + hand, key = e / SLOT, eight = e % SLOT;
        if (e >= BLOCK / V_KEYS * SLOT)
            break;
        if (TRANSPOSED == 0) {
            staged[my_v + key * V_ROW + eight] = v[t];
        } else { // `key` counts pairs: the two halves of a word
            [[unroll]] for (uint i = 0; i < 4; i++) {
                uint a = v[t * V_KEYS][i], b = v[t * V_KEYS + V_KEYS - 1][i];
                uint at = my_v + (eight * 8 + 2 * i) * V_ROW + (key >> 2);
                staged[at][key & 3] = (a & 0xffffu) | b << 16;
                staged[at + V_ROW][key & 3] = a >> 16 | (b & 0xffff0000u);
            }
        }
    }
}

// The padding, which put_k() and put_v() leave alone: zeros, and ones in the first column that V has to spare.
void pad_k(uint my_k, uint hand)
{
    if (DEPTH * K > SLOT * 8)
        for (uint key = hand; key < BLOCK; key += CREW)
            [[unroll]] for (uint i = SLOT; i < DEPTH * K / 8; i++)
                staged[my_k + key * K_ROW + i] = uvec4(0);
}

void pad_v(uint my_v, uint hand)
{
    if (SPARE && TRANSPOSED != 0) {
        for (uint e = hand; e < (WIDE * N - SLOT * 8) * (BLOCK / 8); e += CREW) {
            uint row = e / (BLOCK / 8), i = e % (BLOCK / 8);
            staged[my_v + (SLOT * 8 + row) * V_ROW + i] = uvec4(row == 0 ? 0x3c003c00u : 0u);
        }
    } else if (SPARE) {
        for (uint key = hand; key < BLOCK; key += CREW)
            [[unroll]] for (uint i = SLOT; i < WIDE * N / 8; i++)
                staged[my_v + key * V_ROW + i] = uvec4(i == SLOT ? 0x3c00u : 0u, 0u, 0u, 0u);
    }
}

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint team = gl_SubgroupID / TEAM, member = gl_SubgroupID % TEAM;
    const uint hand = member * WIDTH + lane; // number in the team
    const uint my_k = team * KV_SIZE, my_v = AHEAD != 0 ? my_k + K_SIZE : my_k, my_room = gl_SubgroupID * ROOM;
    const uint my_state = my_room + STATE;

    const uint asked = workgroup_number() * TEAMS + team;
    const Place at = place_of(min(asked, push.problems - 1));
    const uint first_query = (gl_WorkGroupID.y * TEAM + member) * ROWS * M;
    const bool busy = asked < push.problems && first_query < push.queries;

    if (AHEAD != 0) {
        pad_k(my_k, hand);
        pad_v(my_v, hand);
    }

    // Q, a few fragments at a time through the room of the weights.
    OPERAND_A q[ROWS][DEPTH];
    [[unroll]] for (uint d = 0; d < DEPTH; d += Q_PART) {
        for (uint e = lane; e < ROWS * M * (STEP / 8); e += WIDTH) {
            uint row = e / (STEP / 8), i = e % (STEP / 8), eight = d * K / 8 + i;
            bool there = first_query + row < push.queries && eight < SLOT;
            room[my_room + row * P_ROW + i] =
                load_eight(push.q, at.q + (first_query + row) * at.q_token + eight * 8, there);
        }
        settle();
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            [[unroll]] for (uint i = 0; i < Q_PART; i++)
                if (d + i < DEPTH)
                    coopMatLoad(q[r][d + i], room, my_room + r * M * P_ROW + i * K / 8, P_ROW,
                                gl_CooperativeMatrixLayoutRowMajor);
        settle();
    }

    SUMS o[ROWS][WIDE], reference[ROWS], weight[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        [[unroll]] for (uint w = 0; w < WIDE; w++)
            o[r][w] = SUMS(0.0);
        reference[r] = SUMS(0.0);
        weight[r] = SUMS(0.0);
    }
    for (uint i = lane; i < ROWS * M; i += WIDTH)
        room_set(my_state, i, 0.0);

    const uint rows_of_all = TEAM * ROWS * M;
    const uint seen = causal() ? min(push.tokens, (gl_WorkGroupID.y + 1) * rows_of_all) : push.tokens;
    uvec4 next_k[PIECE_K], next_v[HELD_V];
    if (AHEAD != 0) {
        fetch_k(next_k, at, hand, 0, 0);
        fetch_v(next_v, at, hand, 0, 0);
    }
    for (uint first = 0; first < seen; first += BLOCK) {
        barrier(); // the block before has been used
        [[dont_unroll]] for (uint piece = 0; piece < FETCH_K; piece += PIECE_K) {
            if (AHEAD == 0)
                fetch_k(next_k, at, hand, first, piece);
            put_k(next_k, my_k, hand, piece);
        }
        if (AHEAD != 0)
            put_v(next_v, my_v, hand, 0);
        else
            pad_k(my_k, hand);
        barrier();
        if (AHEAD != 0 && first + BLOCK < seen) {
            fetch_k(next_k, at, hand, first + BLOCK, 0);
            fetch_v(next_v, at, hand, first + BLOCK, 0);
        }
        for (uint step = 0; step < BLOCK && first + step < seen; step += STEP) {
            const uint from = first + step;
            SUMS e[ROWS][STEPS_N];
            if (busy) {
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    [[unroll]] for (uint j = 0; j < STEPS_N; j++)
                        e[r][j] = SUMS(0.0);
                [[unroll]] for (uint d = 0; d < DEPTH; d++)
                    [[unroll]] for (uint j = 0; j < STEPS_N; j++) {
                        OPERAND_B k;
                        coopMatLoad(k, staged, my_k + (step + j * N) * K_ROW + d * K / 8, K_ROW,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                        [[unroll]] for (uint r = 0; r < ROWS; r++)
                            e[r][j] = coopMatMulAdd(q[r][d], k, e[r][j]);
                    }
                float top = UNSEEN;
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    [[unroll]] for (uint j = 0; j < STEPS_N; j++)
                        [[unroll]] for (uint i = 0; i < e[r][j].length(); i++) {
                            float x = fma(e[r][j][i], push.scale, -reference[r][i]);
                            top = max(top, x);
                            e[r][j][i] = x;
                        }
                const bool masked = from + STEP > push.tokens || (causal() && from + STEP > first_query + 1);
                if (masked || from == 0 || subgroupAny(top > LIMIT)) {
                    [[unroll]] for (uint r = 0; r < ROWS; r++) {
                        [[unroll]] for (uint j = 0; j < STEPS_N; j++)
                            coopMatStore(e[r][j], room, my_room + j * N / 4, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
                        settle();
                        for (uint row = lane; row < M; row += WIDTH) {
                            uint limit = causal() ? min(push.tokens, first_query + r * M + row + 1) : push.tokens;
                            float largest = UNSEEN;
                            for (uint c = 0; c < STEP; c++) {
                                uint i = row * E_ROW * 4 + c;
                                if (from + c < limit)
                                    largest = max(largest, room_float(my_room, i));
                                else
                                    room_set(my_room, i, UNSEEN);
                            }
                            uint i = r * M + row;
                            float delta = from == 0 || largest > LIMIT ? largest : 0.0;
                            room_set(my_state, i, room_float(my_state, i) + delta);
                            room_set(my_state + STATE_ROWS, i, delta);
                            room_set(my_state + 2 * STATE_ROWS, i, from == 0 || delta == 0.0 ? 1.0 : exp2(-delta));
                        }
                        settle();
                        SUMS delta, fade; // of the row in every column
                        const uint state = my_state + r * M / 4;
                        coopMatLoad(reference[r], room, state, 0, gl_CooperativeMatrixLayoutColumnMajor);
                        coopMatLoad(delta, room, state + STATE_ROWS, 0, gl_CooperativeMatrixLayoutColumnMajor);
                        coopMatLoad(fade, room, state + 2 * STATE_ROWS, 0, gl_CooperativeMatrixLayoutColumnMajor);
                        [[unroll]] for (uint j = 0; j < STEPS_N; j++) {
                            if (masked)
                                coopMatLoad(e[r][j], room, my_room + j * N / 4, E_ROW,
                                            gl_CooperativeMatrixLayoutRowMajor);
                            e[r][j] = e[r][j] - delta;
                        }
                        [[unroll]] for (uint w = 0; w < WIDE; w++)
                            [[unroll]] for (uint i = 0; i < fade.length(); i++)
                                o[r][w][i] *= fade[i];
                        if (!SPARE)
                            [[unroll]] for (uint i = 0; i < fade.length(); i++)
                                weight[r][i] *= fade[i];
                        settle();
                    }
                }
            }
            if (AHEAD == 0) { // V takes the place of K
                barrier();
                [[dont_unroll]] for (uint piece = 0; piece < FETCH_V; piece += PIECE_V) {
                    fetch_v(next_v, at, hand, first, piece);
                    put_v(next_v, my_v, hand, piece);
                }
                pad_v(my_v, hand);
                barrier();
            }
            if (busy) {
                [[unroll]] for (uint r = 0; r < ROWS; r++) {
                    [[unroll]] for (uint j = 0; j < STEPS_N; j++) {
                        [[unroll]] for (uint i = 0; i < e[r][j].length(); i++)
                            e[r][j][i] = exp2(e[r][j][i]);
                        if (!SPARE)
                            weight[r] += e[r][j];
#ifdef SUMS_F32
                        coopMatStore(e[r][j], room, my_room + j * N / 4, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
#else
                        SUMS_HALF p = SUMS_HALF(e[r][j]);
                        coopMatStore(p, room, my_room + r * M * P_ROW + j * N / 8, P_ROW,
                                     gl_CooperativeMatrixLayoutRowMajor);
#endif
                    }
#ifdef SUMS_F32
                    settle();
                    for (uint t = lane; t < M * (STEP / 8); t += WIDTH) {
                        uint row = t / (STEP / 8), i = t % (STEP / 8), from = my_room + row * E_ROW + 2 * i;
                        room[my_room + P_AT + (r * M + row) * P_ROW + i] =
                            halves(uintBitsToFloat(room[from]), uintBitsToFloat(room[from + 1]));
                    }
                    settle();
#endif
                }
                settle();
                [[unroll]] for (uint s = 0; s < STEPS_K; s++) {
                    OPERAND_A p[ROWS];
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        coopMatLoad(p[r], room, my_room + P_AT + r * M * P_ROW + s * K / 8, P_ROW,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint w = 0; w < WIDE; w++) {
                        OPERAND_B v;
                        if (TRANSPOSED != 0)
                            coopMatLoad(v, staged, my_v + w * N * V_ROW + (step + s * K) / 8, V_ROW,
                                        gl_CooperativeMatrixLayoutColumnMajor);
                        else
                            coopMatLoad(v, staged, my_v + (step + s * K) * V_ROW + w * N / 8, V_ROW,
                                        gl_CooperativeMatrixLayoutRowMajor);
                        [[unroll]] for (uint r = 0; r < ROWS; r++)
                            o[r][w] = coopMatMulAdd(p[r], v, o[r][w]);
                    }
                }
                settle();
            }
        }
    }
    if (!busy)
        return;

    // The output, STEPS_N fragments of a row at a time through the room.
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        if (SPARE) {
            const uint w = min(SLOT * 8 / N, WIDE - 1); // the index must be one where this is not reached, too
            coopMatStore(o[r][w], room, my_room, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
        } else {
            coopMatStore(weight[r], room, my_room, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
        }
        settle();
        for (uint row = lane; row < M; row += WIDTH) {
            float sum = 0.0;
            if (SPARE)
                sum = room_float(my_room, row * E_ROW * 4 + SLOT * 8 % N);
            else
                for (uint c = 0; c < N; c++)
                    sum += room_float(my_room, row * E_ROW * 4 + c);
            room_set(my_state, r * M + row, 1.0 / sum);
        }
        settle();
        [[unroll]] for (uint w = 0; w < WIDE; w += STEPS_N) {
            [[unroll]] for (uint j = 0; j < STEPS_N; j++)
                if (w + j < WIDE)
                    coopMatStore(o[r][w + j], room, my_room + j * N / 4, E_ROW, gl_CooperativeMatrixLayoutRowMajor);
            settle();
            for (uint e = lane; e < M * (STEP / 8); e += WIDTH) {
                uint row = e / (STEP / 8), i = e % (STEP / 8), eight = w * N / 8 + i;
                uint query = first_query + r * M + row;
                if (eight >= SLOT || query >= push.queries)
                    continue;
                float share = room_float(my_state, r * M + row);
                vec4 a = uintBitsToFloat(room[my_room + row * E_ROW + 2 * i]) * share;
                vec4 b = uintBitsToFloat(room[my_room + row * E_ROW + 2 * i + 1]) * share;
                store_u32x4(push.result, (at.result + query * at.result_token + eight * 8) >> 1, halves(a, b));
            }
            settle();
        }
    }
}
