// hint_open.comp - a picture's bytes to numbers 0 .. 255: u8x4 [1, h, w, 1] -> f32 [1, h, 1, 4 w] (r, g, b, 0).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 image, result;
    uint h, w;
} push;

void main()
{
    const uint i = invocation_number();
    if (i >= push.h * push.w)
        return;
    const uint y = i / push.w, x = i % push.w;
    const Field from = picture(push.image, push.h, push.w), to = field(push.result, push.h, push.w, 4u);
    vec4 v = bytes_of(load_u32(push.image, pixel_at(from, 0u, y, x)));
    v.a = 0.0;
    store_f32x4(push.result, pixel_at(to, 0u, y, x), v);
    end_row(to, 0u, y, x);
}
