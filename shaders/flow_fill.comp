// flow_fill.comp - flow that the other direction confirms, and something likely where it does not (what is covered or comes into
// the picture has no counterpart).
//
// pictures u8x4 [2, h, w, 1], state f32 [2, h, 1, 8 w], coarse f32 [2, ch, 1, 8 cw], whose pixels are `factor` apart
// -> motion f32 [2, h, 1, 4 w]: (u, v, 1 where confirmed or 0, 0).  Confirmed: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, b the other
// direction's flow where f leads (Sundaram, Brox and Keutzer 2010).  Else the flow of the first confirmed pixel in one of eight
// directions, at most REACH away, whose colour is most alike; a little counts how far it is, and how far its flow is from the
// coarse flow, which is mostly the background's.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const int REACH = 16;
const float COLOR = 1.0, DEVIATION = 0.05, FAR = 0.005;

layout(push_constant, scalar) uniform Push {
    uvec2 pictures, state, coarse, motion;
    uint h, w, coarse_h, coarse_w, factor;
} push;

bool confirmed(Field state, uint n, int y, int x, vec2 f)
{
    const float ty = float(y) + f.y, tx = float(x) + f.x;
    if (!(ty >= 0.0 && tx >= 0.0 && ty <= float(state.h - 1u) && tx <= float(state.w - 1u)))
        return false;
    const vec2 b = four_between(state, 1u - n, ty, tx).xy, d = f + b;
    return dot(d, d) < 0.01 * (dot(f, f) + dot(b, b)) + 0.5;
}

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w);
    const Field pictures = picture(push.pictures, push.h, push.w), state = field(push.state, push.h, push.w, 8u);
    const Field coarse = field(push.coarse, push.coarse_h, push.coarse_w, 8u), motion = field(push.motion, push.h, push.w, 4u);
    vec2 flow = load_f32x4(push.state, pixel_at(state, n, uint(y), uint(x))).xy;
    const bool good = confirmed(state, n, y, x, flow);
    if (!good) {
        const ivec2 directions[8] = ivec2[8](ivec2(1, 0), ivec2(1, 1), ivec2(0, 1), ivec2(-1, 1), ivec2(-1, 0), ivec2(-1, -1),
                                             ivec2(0, -1), ivec2(1, -1));
        const float factor = float(push.factor);
        const vec2 mean = four_between(coarse, n, float(y) / factor, float(x) / factor).xy * factor;
        const vec4 color = color_near(pictures, n, y, x);
        float best = 1e30;
        for (int d = 0; d < 8; d++)
            for (int r = 1; r <= REACH; r++) {
                const ivec2 p = ivec2(x, y) + r * directions[d];
                if (p.x < 0 || p.y < 0 || p.x >= int(push.w) || p.y >= int(push.h))
                    break;
                const vec2 f = load_f32x4(push.state, pixel_at(state, n, uint(p.y), uint(p.x))).xy;
                if (!confirmed(state, n, p.y, p.x, f))
                    continue;
                const float differs = dot(abs(color - color_near(pictures, n, p.y, p.x)).rgb, vec3(1.0 / 765.0));
                const float cost = COLOR * differs + DEVIATION * min(distance(f, mean), 8.0) / 8.0 + FAR * float(r);
                if (cost < best) {
                    best = cost;
                    flow = f;
                }
                break;
            }
    }
    store_f32x4(push.motion, pixel_at(motion, n, uint(y), uint(x)), vec4(flow, good ? 1.0 : 0.0, 0.0));
    end_row(motion, n, uint(y), uint(x));
}
