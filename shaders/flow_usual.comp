// flow_usual.comp - each motion becomes the one of those around it that is nearest to all of them (the vector median of Astola,
// Haavisto and Neuvo, 1990): grains go, edges stay.
//
// motion f32 [n, h, 1, 4 w]: the first two numbers -> the same shape, the other two as they are.  Around: (2 reach + 1) squared
// pixels, reach at most 2.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 motion, result;
    uint h, w;
    int reach, pad;
} push;

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w), side = 2 * push.reach + 1, count = side * side;
    const Field motion = field(push.motion, push.h, push.w, 4u), to = field(push.result, push.h, push.w, 4u);
    vec2 all[25];
    for (int k = 0; k < count; k++)
        all[k] = load_f32x4(push.motion, pixel_near(motion, n, y + k / side - push.reach, x + k % side - push.reach)).xy;
    vec4 v = load_f32x4(push.motion, pixel_at(motion, n, uint(y), uint(x)));
    float best = 1e30;
    for (int k = 0; k < count; k++) {
        float sum = 0.0;
        for (int e = 0; e < count; e++)
            sum += abs(all[k].x - all[e].x) + abs(all[k].y - all[e].y);
        if (sum < best) {
            best = sum;
            v.xy = all[k];
        }
    }
    store_f32x4(push.result, pixel_at(to, n, uint(y), uint(x)), v);
    end_row(to, n, uint(y), uint(x));
}
