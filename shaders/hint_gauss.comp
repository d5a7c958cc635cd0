// hint_gauss.comp - one axis of a Gaussian filter: f32 [1, h, 1, 4 w] -> the same shape; outside the nearest pixel.
//
// weights f32 [reach + 1]: of the pixel itself and of those 1, 2 .. reach away.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(constant_id = 1) const bool DOWN = false;

layout(push_constant, scalar) uniform Push {
    uvec2 image, weights, result;
    uint h, w, reach;
} push;

void main()
{
    const uint i = invocation_number();
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w);
    const Field from = field(push.image, push.h, push.w, 4u), to = field(push.result, push.h, push.w, 4u);
    const int dy = DOWN ? 1 : 0, dx = DOWN ? 0 : 1;
    vec4 sum = load_f32(push.weights, 0u) * load_f32x4(push.image, pixel_near(from, 0u, y, x));
    for (int k = 1; k <= int(push.reach); k++)
        sum += load_f32(push.weights, uint(k)) * (load_f32x4(push.image, pixel_near(from, 0u, y + k * dy, x + k * dx)) +
                                                  load_f32x4(push.image, pixel_near(from, 0u, y - k * dy, x - k * dx)));
    store_f32x4(push.result, pixel_at(to, 0u, uint(y), uint(x)), sum);
    end_row(to, 0u, uint(y), uint(x));
}
