// between.comp - frames between two, each pixel read along its motion from both and blended by time (after Herbst, Seitz and
// Baker 2009; pictures are read with Keys' cubic, 1981).
//
// pictures u8x4 [2, h, w, 1], motion f32 [2, h, 1, 4 w] of flow_fill.comp, coarse f32 [2, ch, 1, 8 cw] -> result u8x4
// [N - 1, h, w, 1]: frame i is at t = (i + 1) / N.
//
// Motions that may pass through a pixel at t are those of pixels around it in either picture that land near it, and the fixed
// points of u = flow(x - t u).  For each, where it comes from in picture 0 and where it goes to in picture 1 are looked at: v0 and
// v1 say whether the flow there is that motion, which it is not where something lies in front.  It costs v0 v1 times the
// difference of the two patches, a constant where it is seen on one side only, more where on neither; a little is taken off for
// being another than the coarse motion, so that small things go in front of large ones.  The best one is blended with the
// weights (1 - t) v0 and t v1; where even that costs much, or few of the pixels around are confirmed by the other direction (a
// change of scene), the plain blend takes its place.  Equal pictures give the same
// picture, to the bit: no sum of weights is rounded where both colours are one.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const int REACH = 4, KEPT = 8;
const float AGREE = 1.0, ONE_SIDE = 0.12, NO_SIDE = 0.5, DEVIATION = 0.02, FEW = 0.3, MANY = 0.5;

layout(push_constant, scalar) uniform Push {
    uvec2 pictures, motion, coarse, result;
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

vec2 flow_at(Field motion, uint n, vec2 p) { return four_between(motion, n, p.y, p.x).xy; }

float agreement(Field motion, uint n, vec2 p, vec2 u)
{
    if (!(p.x >= 0.0 && p.y >= 0.0 && p.x <= float(push.w - 1u) && p.y <= float(push.h - 1u)))
        return 0.0;
    const vec2 d = flow_at(motion, n, p) - u;
    const float e = dot(d, d) / AGREE;
    return 1.0 / (1.0 + e * e);
}

float difference(Field pictures, vec2 p0, vec2 p1)
{
    const vec2 around[5] = vec2[5](vec2(0.0), vec2(0.0, -1.0), vec2(0.0, 1.0), vec2(-1.0, 0.0), vec2(1.0, 0.0));
    vec3 sum = vec3(0.0);
    for (int k = 0; k < 5; k++)
        sum += abs(color_between(pictures, 0u, p0.y + around[k].y, p0.x + around[k].x) -
                   color_between(pictures, 1u, p1.y + around[k].y, p1.x + around[k].x)).rgb;
    return (sum.r + sum.g + sum.b) / (15.0 * 255.0);
}

vec4 cubic(float a)
{
    return vec4(a * (-0.5 + a * (1.0 - 0.5 * a)), 1.0 + a * a * (-2.5 + 1.5 * a), a * (0.5 + a * (2.0 - 1.5 * a)),
                a * a * (-0.5 + 0.5 * a));
}

vec4 color_cubic(Field pictures, uint n, vec2 p)
{
    p = clamp(p, vec2(-3.0), vec2(float(push.w), float(push.h)) + 2.0);
    const vec2 whole = floor(p);
    const vec4 wx = cubic(p.x - whole.x), wy = cubic(p.y - whole.y);
    vec4 sum = vec4(0.0);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            sum += wy[j] * wx[i] * color_near(pictures, n, int(whole.y) + j - 1, int(whole.x) + i - 1);
    return sum;
}

void main()
{
    const uint i = invocation_number(), frame = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const Field pictures = picture(push.pictures, push.h, push.w), motion = field(push.motion, push.h, push.w, 4u);
    const Field coarse = field(push.coarse, push.coarse_h, push.coarse_w, 8u), to = picture(push.result, push.h, push.w);
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
    vec2 best_u = vec2(0.0), v = vec2(0.0);
    for (int k = 0; k < count; k++) {
        vec2 u = list[k].u;
        for (uint n = 0u; n < 2u; n++) { // as it is where it comes from, and then where it goes to, if it is the same motion
            const vec2 f = sign[n] * flow_at(motion, n, p - sign[n] * ahead[n] * u), d = f - u;
            if (dot(d, d) < 2.25)
                u = f;
        }
        const vec2 p0 = p - t * u, p1 = p + (1.0 - t) * u;
        const float v0 = agreement(motion, 0u, p0, u), v1 = agreement(motion, 1u, p1, -u);
        const float cost = v0 * v1 * difference(pictures, p0, p1) + (1.0 - v0 * v1) * ONE_SIDE +
                           (1.0 - v0) * (1.0 - v1) * NO_SIDE - DEVIATION * min(distance(u, mean), 8.0) / 8.0;
        if (cost < best) {
            best = cost;
            best_u = u;
            v = vec2(v0, v1);
        }
    }
    const float w0 = (1.0 - t) * (v.x + 1e-3), w1 = t * (v.y + 1e-3);
    const float trust = clamp((2.5 * ONE_SIDE - best) / ONE_SIDE, 0.0, 1.0) *
                        clamp((confirmed / max(seen, 1.0) - FEW) / (MANY - FEW), 0.0, 1.0);
    const vec4 a = color_cubic(pictures, 0u, p - t * best_u), b = color_cubic(pictures, 1u, p + (1.0 - t) * best_u);
    const vec4 a0 = color_near(pictures, 0u, y, x), b0 = color_near(pictures, 1u, y, x);
    const vec4 plain = a0 + t * (b0 - a0), along = clamp(a + w1 / (w0 + w1) * (b - a), 0.0, 255.0);
    vec4 color = plain + trust * (along - plain);
    color.a = 255.0;
    store_u32(push.result, pixel_at(to, frame, uint(y), uint(x)), to_bytes(color));
}
