// blend.comp - a number of its own for each sample: result = x + w (y - x), or x + w factor y, or some
// channels of x times w.
//
// x, y, result [n, rows, c] of one pitch; weights f32, one for each sample or, blending, for each row. Blending is done in
// fp32, rounded step by step (no contraction), so that every device gives the same bits; where w is 0 the bits are those of x,
// whatever y holds, and blending with 1 gives those of y. One invocation takes four channels of a row; it reads what it
// overwrites where the result lies on x or y.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint MODE = 0;
const uint BLEND = 0, ADD = 1, BY_PIXEL = 3; // 2: scale

layout(push_constant, scalar) uniform Push {
    uvec2 x, y, weights, result;
    uint x_stride, y_stride, weights_stride, result_stride; // elements between samples
    uint quads;     // of a sample's part
    uint row_quads; // of a row
    uint first, end; // scaling: quads of a row that are multiplied
    uint weights_pitch; // BY_PIXEL: elements between pixels
    float factor;       // ADD: of w
} push;

void main()
{
    const uint i = invocation_number(), s = gl_WorkGroupID.y;
    if (i >= push.quads)
        return;
    const uint pixel = MODE == BY_PIXEL ? i / push.row_quads * push.weights_pitch : 0;
    precise float w = load_f32(push.weights, s * push.weights_stride + pixel);
    if (MODE == ADD)
        w = w * push.factor;
    const vec4 x = load_quad(push.x, s * push.x_stride + i * 4);
    precise vec4 v = x;
    if (MODE == BLEND || MODE == ADD || MODE == BY_PIXEL) {
        const vec4 y = load_quad(push.y, s * push.y_stride + i * 4);
        v = MODE == ADD ? y : y - x;
        v = w * v;
        v = x + v;
        if (w == 0.0)
            v = x;
        if (MODE != ADD && w == 1.0)
            v = y;
    } else {
        const uint quad = i % push.row_quads;
        if (quad >= push.first && quad < push.end)
            v = w * x;
    }
    store_quad(push.result, s * push.result_stride + i * 4, v);
}
