// flow_match.comp - the condition that brightness stays, linearised around the median of the flow (Wedel et al. 2009): with I the
// picture itself, J the other one read where the flow leads, J(x + f) - I(x) + g (f' - f) = 0, g the mean of both gradients.
//
// plane f32 [2, h, 1, w], state f32 [2, h, 1, 8 w] -> match f32 [2, h, 1, 4 w]: (gx, gy, c, edge), the condition being
// gx u + gy v + c = 0, zeros where the flow leads outside; edge = max(1/10, 1 / (1 + 30 |grad I|^2)), the weight of smoothness.
// -> the state with the medians of 3 x 3 as its flow.  Sample n looks from picture n to the other.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const float EDGE = 30.0, EDGE_LEAST = 0.1;

layout(push_constant, scalar) uniform Push {
    uvec2 plane, state, match, result;
    uint h, w;
} push;

vec2 median(Field f, uint n, int y, int x)
{
    vec2 v[9];
    for (int k = 0; k < 9; k++)
        v[k] = load_f32x4(f.address, pixel_near(f, n, y + k / 3 - 1, x + k % 3 - 1)).xy;
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 9; j++) {
            const vec2 less = min(v[i], v[j]);
            v[j] = max(v[i], v[j]);
            v[i] = less;
        }
    return v[4];
}

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y, other = 1u - n;
    if (i >= push.h * push.w)
        return;
    const uint y = i / push.w, x = i % push.w;
    const Field plane = field(push.plane, push.h, push.w, 1u), from = field(push.state, push.h, push.w, 8u);
    const Field match = field(push.match, push.h, push.w, 4u), to = field(push.result, push.h, push.w, 8u);
    const int iy = int(y), ix = int(x);
    const vec2 flow = median(from, n, iy, ix);
    const float here = load_f32(push.plane, pixel_at(plane, n, y, x));
    const vec2 own = 0.5 * vec2(load_f32(push.plane, pixel_near(plane, n, iy, ix + 1)) -
                                    load_f32(push.plane, pixel_near(plane, n, iy, ix - 1)),
                                load_f32(push.plane, pixel_near(plane, n, iy + 1, ix)) -
                                    load_f32(push.plane, pixel_near(plane, n, iy - 1, ix)));
    const float ty = float(y) + flow.y, tx = float(x) + flow.x;
    vec4 m = vec4(0.0);
    if (ty >= 0.0 && tx >= 0.0 && ty <= float(push.h - 1u) && tx <= float(push.w - 1u)) {
        m.x = 0.5 * own.x + 0.25 * (number_between(plane, other, ty, tx + 1.0) - number_between(plane, other, ty, tx - 1.0));
        m.y = 0.5 * own.y + 0.25 * (number_between(plane, other, ty + 1.0, tx) - number_between(plane, other, ty - 1.0, tx));
        m.z = number_between(plane, other, ty, tx) - here - m.x * flow.x - m.y * flow.y;
    }
    m.w = max(EDGE_LEAST, 1.0 / (1.0 + EDGE * dot(own, own)));
    store_f32x4(push.match, pixel_at(match, n, y, x), m);
    end_row(match, n, y, x);
    store_f32x4(push.result, pixel_at(to, n, y, x), flow.xyxy);
    store_f32x4(push.result, pixel_at(to, n, y, x) + 4u, load_f32x4(push.state, pixel_at(from, n, y, x) + 4u));
}
