// flow_luma.comp - two pictures to brightness: 0.299 r + 0.587 g + 0.114 b (ITU-R BT.601), 0 .. 1.
//
// pictures u8x4 [2, h, w, 1] -> plane f32 [2, h, 1, w].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 pictures, plane;
    uint h, w;
} push;

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const uint y = i / push.w, x = i % push.w;
    const Field from = picture(push.pictures, push.h, push.w), to = field(push.plane, push.h, push.w, 1u);
    const vec4 v = bytes_of(load_u32(push.pictures, pixel_at(from, n, y, x)));
    store_f32(push.plane, pixel_at(to, n, y, x), dot(v.rgb, vec3(0.299, 0.587, 0.114)) / 255.0);
    end_row(to, n, y, x);
}
