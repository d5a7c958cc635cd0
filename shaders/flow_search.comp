// flow_search.comp - what coarse levels cannot see, small things that move far: whole pixels around the flow whose patch matches
// better than where it leads now.
//
// plane f32 [2, h, 1, w], state f32 [2, h, 1, 8 w] -> the state, its flow replaced where a patch of 5 x 5 at most 4 pixels away in
// either axis is better by more than GAIN in mean difference, with a little added for the distance.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const int REACH = 4, PATCH = 2;
const float FAR = 0.01, GAIN = 0.02;

layout(push_constant, scalar) uniform Push {
    uvec2 plane, state, result;
    uint h, w;
} push;

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y, other = 1u - n;
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w);
    const Field plane = field(push.plane, push.h, push.w, 1u), state = field(push.state, push.h, push.w, 8u);
    const uint at = pixel_at(state, n, uint(y), uint(x));
    vec4 flow = load_f32x4(push.state, at);
    float here[25], now = 0.0;
    for (int k = 0; k < 25; k++) {
        here[k] = load_f32(push.plane, pixel_near(plane, n, y + k / 5 - PATCH, x + k % 5 - PATCH));
        now += abs(number_between(plane, other, float(y + k / 5 - PATCH) + flow.y, float(x + k % 5 - PATCH) + flow.x) - here[k]);
    }
    now /= 25.0;
    if (now > GAIN) {
        // a flow that leads far outside has no candidates: the whole numbers stay small
        const int cy = y + int(roundEven(clamp(flow.y, -65536.0, 65536.0))),
                  cx = x + int(roundEven(clamp(flow.x, -65536.0, 65536.0)));
        float best = 1e30;
        ivec2 to = ivec2(0);
        for (int j = -REACH; j <= REACH; j++)
            for (int k = -REACH; k <= REACH; k++) {
                const int ty = cy + j, tx = cx + k;
                if (ty < 0 || tx < 0 || ty >= int(push.h) || tx >= int(push.w))
                    continue;
                float cost = 0.0;
                for (int e = 0; e < 25; e++)
                    cost += abs(load_f32(push.plane, pixel_near(plane, other, ty + e / 5 - PATCH, tx + e % 5 - PATCH)) - here[e]);
                cost = cost / 25.0 + FAR / float(REACH) * sqrt(float(j * j + k * k));
                if (cost < best) {
                    best = cost;
                    to = ivec2(tx, ty);
                }
            }
        if (best < now - GAIN)
            flow = vec2(to - ivec2(x, y)).xyxy;
    }
    store_f32x4(push.result, at, flow);
    store_f32x4(push.result, at + 4u, load_f32x4(push.state, at + 4u));
}
