// flow_reduce.comp - a level of a pyramid to the next: every second pixel in both axes, behind the filter (1, 4, 6, 4, 1) / 16
// (Burt and Adelson, 1983).
//
// plane f32 [2, H, 1, W] -> half f32 [2, ceil(H / 2), 1, ceil(W / 2)].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 plane, half_plane;
    uint h, w; // of the plane
} push;

void main()
{
    const Field from = field(push.plane, push.h, push.w, 1u);
    const Field to = field(push.half_plane, (push.h + 1u) / 2u, (push.w + 1u) / 2u, 1u);
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= to.h * to.w)
        return;
    const uint y = i / to.w, x = i % to.w;
    const float weight[5] = float[5](0.0625, 0.25, 0.375, 0.25, 0.0625);
    float sum = 0.0;
    for (int j = 0; j < 5; j++) {
        float row = 0.0;
        for (int k = 0; k < 5; k++)
            row += weight[k] * load_f32(push.plane, pixel_near(from, n, 2 * int(y) + j - 2, 2 * int(x) + k - 2));
        sum += weight[j] * row;
    }
    store_f32(push.half_plane, pixel_at(to, n, y, x), sum);
    end_row(to, n, y, x);
}
