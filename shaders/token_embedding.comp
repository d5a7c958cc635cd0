// token_embedding.comp - rows of a token table plus rows of a position table.
//
// ids i32 [n, T] at `id_pitch`; tokens f32 [vocabulary, c], positions f32 [>= T, c], rows without padding; result [n,
// T, c]. An id outside the vocabulary is clamped into it (addresses have no bounds check).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 ids, tokens, positions, result;
    uint id_stride, id_pitch, result_stride, result_pitch;
    uint c, count, vocabulary; // count: T
} push;

void main()
{
    uint i = invocation_number();
    uint quads = push.result_pitch / 4;
    uint token = i / quads;
    uint c = (i - token * quads) * 4;
    if (token >= push.count)
        return;
    uint chunk = gl_WorkGroupID.y;
    int id = load_i32(push.ids, chunk * push.id_stride + token * push.id_pitch);
    uint row = uint(clamp(id, 0, int(push.vocabulary) - 1)) * push.c;
    vec4 v = vec4(0);
    for (uint k = 0; k < 4; k++)
        if (c + k < push.c)
            v[k] = load_f32(push.tokens, row + c + k) + load_f32(push.positions, token * push.c + c + k);
    store_storage4(push.result, chunk * push.result_stride + token * push.result_pitch + c, v);
}
