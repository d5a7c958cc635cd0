// attention.glsl - what attention on cooperative matrices shares: the push block, places of tokens, fragments.
//
// Included after the constants M, N, K (the fragment) and SLOT (eights of a head in memory).
#ifndef ATTENTION_GLSL
#define ATTENTION_GLSL

layout(push_constant, scalar) uniform Push {
    uvec2 q, k, v, result, index; // at the first channel of the first head; index 0: none
    uint q_sample, q_pixel, k_sample, k_pixel, v_sample, v_pixel, result_sample, result_pixel, index_sample; // strides;
    // index_sample of temporal attention: samples from branch to branch
    uint queries, tokens;
    uint heads, slot; // slot: as SLOT says
    uint inner;       // pixels of a sample where temporal, else 1
    uint problems;    // heads * batches
    uint unused;
    uint flags;  // temporal << 16 | causal << 17
    float scale; // times log2(e)
} push;

bool temporal() { return (push.flags & 0x10000u) != 0; }
bool causal() { return (push.flags & 0x20000u) != 0; }

#define FRAGMENT(type, rows, columns, use) coopmat<type, gl_ScopeSubgroup, rows, columns, use>
#define OPERAND_A FRAGMENT(float16_t, M, K, gl_MatrixUseA)
#define OPERAND_B FRAGMENT(float16_t, K, N, gl_MatrixUseB)
#define SUMS FRAGMENT(float, M, N, gl_MatrixUseAccumulator)
#define SUMS_HALF FRAGMENT(float16_t, M, N, gl_MatrixUseAccumulator) // not every device has it

// Eight halves of a row of a head, zeros where it is not there.
uvec4 load_eight(uvec2 address, uint element, bool there)
{
    return there ? load_u32x4(address, element >> 1) : uvec4(0);
}

// Where the problem's tokens lie, and how far apart.
struct Place {
    uint q, k, v, result;
    uint q_token, k_token, v_token, result_token;
};

Place place_of(uint problem)
{
    uint batch = problem / push.heads, channel = (problem - batch * push.heads) * SLOT * 8;
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

#endif
