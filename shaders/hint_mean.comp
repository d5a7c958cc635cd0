// hint_mean.comp - the mean of squares of `factor` pixels: f32 [1, h, 1, 4 w] -> f32 [1, ceil(h / factor), 1, 4 ceil(w / factor)];
// squares at the lower and right border are what there is of them.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 image, result;
    uint h, w, factor;
} push;

void main()
{
    const Field from = field(push.image, push.h, push.w, 4u);
    const Field to = field(push.result, (push.h + push.factor - 1u) / push.factor, (push.w + push.factor - 1u) / push.factor, 4u);
    const uint i = invocation_number();
    if (i >= to.h * to.w)
        return;
    const uint y = i / to.w, x = i % to.w;
    const uint h = min(push.factor, push.h - y * push.factor), w = min(push.factor, push.w - x * push.factor);
    vec4 sum = vec4(0.0);
    for (uint j = 0u; j < h; j++)
        for (uint k = 0u; k < w; k++)
            sum += load_f32x4(push.image, pixel_at(from, 0u, y * push.factor + j, x * push.factor + k));
    store_f32x4(push.result, pixel_at(to, 0u, y, x), sum / float(h * w));
    end_row(to, 0u, y, x);
}
