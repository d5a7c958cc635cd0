// dft.comp - a discrete Fourier transform along one axis: y[k] = scale filter[k] sum over m of x[m] exp(-+ 2 pi i k m / length).
//
// x, result f32 [slab, outer, length, inner, pitch]: complex numbers, the real parts in the first `half_row` channels of a row,
// the imaginary parts behind them; one invocation makes four of them.  The table holds cos and sin of 2 pi j / length.  Terms
// are added 32 at a time, so that rounding grows with length / 32 and not with length.  What is not asked for, the filter, is 1.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "memory.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, table, filter_values, result; // filter_values 0: none
    uint x_slab, x_outer, x_step; // elements from one to the next
    uint filter_slab, filter_outer, filter_step, filter_pitch;
    uint result_slab, result_outer, result_step;
    uint n, inner, pitch, half_row; // n: the length
    uint count; // of a slab: outer * length * inner * half_row / 4
    uint inverse;
    float scale;
} push;

const uint TERMS = 32; // added up before they go to the sum

void main()
{
    uint i = invocation_number();
    if (i >= push.count)
        return;
    const uint quads = push.half_row / 4, slab = gl_WorkGroupID.y;
    const uint channel = i % quads * 4;
    i /= quads;
    const uint place = i % push.inner;
    i /= push.inner;
    const uint k = i % push.n, outer = i / push.n;
    const uint from = slab * push.x_slab + outer * push.x_outer + place * push.pitch + channel;
    vec4 real = vec4(0), imaginary = vec4(0);
    uint turn = 0; // k m mod length
    for (uint first = 0; first < push.n; first += TERMS) {
        vec4 some_real = vec4(0), some_imaginary = vec4(0);
        for (uint m = first; m < min(first + TERMS, push.n); m++) {
            const float c = load_f32(push.table, 2 * turn), sine = load_f32(push.table, 2 * turn + 1);
            const float s = push.inverse != 0 ? -sine : sine;
            const vec4 a = load_f32x4(push.x, from + m * push.x_step);
            const vec4 b = load_f32x4(push.x, from + m * push.x_step + push.half_row);
            some_real += a * c + b * s;
            some_imaginary += b * c - a * s;
            turn += k;
            turn -= turn >= push.n ? push.n : 0;
        }
        real += some_real;
        imaginary += some_imaginary;
    }
    float factor = push.scale;
    if ((push.filter_values.x | push.filter_values.y) != 0)
        factor *= load_f32(push.filter_values, slab * push.filter_slab + outer * push.filter_outer + k * push.filter_step +
                                                   place * push.filter_pitch);
    const uint to = slab * push.result_slab + outer * push.result_outer + k * push.result_step + place * push.pitch + channel;
    store_f32x4(push.result, to, real * factor);
    store_f32x4(push.result, to + push.half_row, imaginary * factor);
}
