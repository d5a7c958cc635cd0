// between.comp - frames between two, each pixel read along its motion from both pictures and blended by time (pictures are read
// with Keys' cubic, 1981).
//
// pictures u8x4 [2, h, w, 1], motion f32 [2, h, 1, 4 w], paths f32 [N - 1, h, 1, 4 w] as of between_choose.comp -> result u8x4
// [N - 1, h, w, 1]: frame i is at t = (i + 1) / N.
//
// The weights are (1 - t) v0 and t v1, v0 and v1 saying in which picture the motion is seen.  Where even that costs much, or few
// of the pixels around are confirmed by the other direction (a change of scene), the plain blend takes its place.  Equal pictures
// give the same picture, to the bit: no sum of weights is rounded where both colours are one.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "paths.glsl"

const float FEW = 0.3, MANY = 0.5;

layout(push_constant, scalar) uniform Push {
    uvec2 pictures, motion, paths, result;
    uint h, w, frames, pad;
} push;

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
    const Field paths = field(push.paths, push.h, push.w, 4u), to = picture(push.result, push.h, push.w);
    const int y = int(i / push.w), x = int(i % push.w);
    const float t = float(frame + 1u) / float(push.frames + 1u);
    const vec2 p = vec2(float(x), float(y));
    const vec4 path = load_f32x4(push.paths, pixel_at(paths, frame, uint(y), uint(x)));
    vec2 v;
    const float cost = cost_of(pictures, motion, t, p, path.xy, v);
    const float w0 = (1.0 - t) * (v.x + 1e-3), w1 = t * (v.y + 1e-3);
    const float trust = clamp((2.5 * ONE_SIDE - cost) / ONE_SIDE, 0.0, 1.0) * clamp((path.z - FEW) / (MANY - FEW), 0.0, 1.0);
    const vec4 a = color_cubic(pictures, 0u, p - t * path.xy), b = color_cubic(pictures, 1u, p + (1.0 - t) * path.xy);
    const vec4 a0 = color_near(pictures, 0u, y, x), b0 = color_near(pictures, 1u, y, x);
    const vec4 plain = a0 + t * (b0 - a0), along = clamp(a + w1 / (w0 + w1) * (b - a), 0.0, 255.0);
    vec4 color = plain + trust * (along - plain);
    color.a = 255.0;
    store_u32(push.result, pixel_at(to, frame, uint(y), uint(x)), to_bytes(color));
}
