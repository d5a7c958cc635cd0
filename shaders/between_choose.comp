// between_choose.comp - which motion passes through a pixel of a frame between two (after Herbst, Seitz and Baker 2009).
//
// pictures u8x4 [2, h, w, 1], motion f32 [2, h, 1, 4 w] of flow_fill.comp, coarse f32 [2, ch, 1, 8 cw] -> paths f32
// [N - 1, h, 1, 4 w]: frame i is at t = (i + 1) / N; (u, v, the share of pixels around whose motion the other direction
// confirms, 0).
//
// Motions that may pass through a pixel at t are those of pixels around it in either picture that land near it, and the fixed
// points of u = flow(x - t u).  For each, where it comes from in picture 0 and where it goes to in picture 1 are looked at: v0 and
// v1 say whether the flow there is that motion, which it is not where something lies in front.  It costs v0 v1 times the
// difference of the two patches, a constant where it is seen on one side only, more where on neither; a little is taken off for
// being another than the coarse motion, so that small things go in front of large ones.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "paths.glsl"

const int REACH = 4, KEPT = 8;
const float DEVIATION = 0.02;

layout(push_constant, scalar) uniform Push {
    uvec2 pictures, motion, coarse, paths;
    uint h, w, coarse_h, coarse_w, factor, frames;
} push;

struct Motion {
    vec2 u;
    float off; // how far from the pixel it lands
};
Motion list[KEPT];
int count = 0;

void offer(vec2 u, float off)
{
    for (int i = 0; i < count; i++) {
        const vec2 d = list[i].u - u;
        if (dot(d, d) < 0.5625) {
            if (off < list[i].off)
                list[i] = Motion(u, off);
            return;
        }
    }
    if (count < KEPT)
        list[count++] = Motion(u, off);
}

void main()
{
    const uint i = invocation_number(), frame = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const Field pictures = picture(push.pictures, push.h, push.w), motion = field(push.motion, push.h, push.w, 4u);
    const Field coarse = field(push.coarse, push.coarse_h, push.coarse_w, 8u), paths = field(push.paths, push.h, push.w, 4u);
    const int y = int(i / push.w), x = int(i % push.w);
    const float t = float(frame + 1u) / float(push.frames + 1u), factor = float(push.factor);
    const vec2 p = vec2(float(x), float(y));
    const float ahead[2] = float[2](t, 1.0 - t), sign[2] = float[2](1.0, -1.0); // picture n's pixel q lands at q + ahead flow(q)

    for (uint n = 0u; n < 2u; n++) {
        vec2 f = flow_at(motion, n, p);
        for (int k = 0; k < 3; k++)
            f = flow_at(motion, n, p - ahead[n] * f);
        offer(sign[n] * f, 0.0);
    }
    float seen = 0.0, confirmed = 0.0; // pixels around that lead into the other picture; those that lead back as well
    const int apart = int(max(2u, (max(push.h, push.w) + 63u) / 64u));
    for (uint n = 0u; n < 2u; n++)
        for (int j = -REACH; j <= REACH; j++)
            for (int k = -REACH; k <= REACH; k++) {
                const ivec2 q = ivec2(x, y) + apart * ivec2(k, j);
                if (q.x < 0 || q.y < 0 || q.x >= int(push.w) || q.y >= int(push.h))
                    continue;
                const vec3 m = load_f32x4(push.motion, pixel_at(motion, n, uint(q.y), uint(q.x))).xyz;
                const vec2 f = m.xy, to = vec2(q) + f;
                if (to.x >= 0.0 && to.y >= 0.0 && to.x <= float(push.w - 1u) && to.y <= float(push.h - 1u)) {
                    seen += 1.0;
                    confirmed += m.z;
                }
                const vec2 miss = abs(vec2(q - ivec2(x, y)) + ahead[n] * f);
                const float off = max(miss.x, miss.y);
                if (off <= float(apart))
                    offer(sign[n] * f, off);
            }

    const vec2 mean = four_between(coarse, 0u, float(y) / factor, float(x) / factor).xy * factor;
    float best = 1e30;
    vec2 best_u = vec2(0.0);
    for (int k = 0; k < count; k++) {
        vec2 u = list[k].u;
        for (uint n = 0u; n < 2u; n++) { // as it is where it comes from, and then where it goes to, if it is the same motion
            const vec2 f = sign[n] * flow_at(motion, n, p - sign[n] * ahead[n] * u), d = f - u;
            if (dot(d, d) < 2.25)
                u = f;
        }
        vec2 v;
        const float cost = cost_of(pictures, motion, t, p, u, v) - DEVIATION * min(distance(u, mean), 8.0) / 8.0;
        if (cost < best) {
            best = cost;
            best_u = u;
        }
    }
    store_f32x4(push.paths, pixel_at(paths, frame, uint(y), uint(x)), vec4(best_u, confirmed / max(seen, 1.0), 0.0));
    end_row(paths, frame, uint(y), uint(x));
}
