// hint_show.comp - the picture of a hint: u8x4 [1, h, w, 1], byte 3 is 255.
//
// KIND 0: edges i32 [1, h, w, 1], where they are 2: white.
// KIND 1, lines: a, b f32 [1, h, 1, 4 w], b the smoother one: 255 / 32 times how much darker a is, in the colour where it is most.
// KIND 2, soft edges: a, b, c f32 [1, h, 1, 4 w], smoothed with sigma 1, 2 and 4: m the largest over these and the colours of
//     sigma |grad| (Lindeberg 1998: gradients comparable over scales), 255 m / (m + 24).
// KIND 3: a f32 [1, ceil(h / factor), 1, 4 ceil(w / factor)], its pixels' centres `factor` apart, read between them.
// KIND 4: a f32 [1, h, 1, 4 w], 255 minus it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(constant_id = 1) const uint KIND = 0u;

layout(push_constant, scalar) uniform Push {
    uvec2 a, b, c, result;
    uint h, w, factor;
} push;

const float LINE = 32.0, HALF_WAY = 24.0;

float slope(uvec2 address, int y, int x)
{
    const Field f = field(address, push.h, push.w, 4u);
    const vec3 dx = 0.5 * (load_f32x4(address, pixel_near(f, 0u, y, x + 1)) - load_f32x4(address, pixel_near(f, 0u, y, x - 1))).rgb;
    const vec3 dy = 0.5 * (load_f32x4(address, pixel_near(f, 0u, y + 1, x)) - load_f32x4(address, pixel_near(f, 0u, y - 1, x))).rgb;
    const vec3 m = sqrt(dx * dx + dy * dy);
    return max(m.r, max(m.g, m.b));
}

void main()
{
    const uint i = invocation_number();
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w);
    const Field to = picture(push.result, push.h, push.w), f = field(push.a, push.h, push.w, 4u);
    const uint at = pixel_at(to, 0u, uint(y), uint(x)), from = pixel_at(f, 0u, uint(y), uint(x));
    vec4 v = vec4(0.0);
    if (KIND == 0u) {
        v = vec4(load_u32(push.a, at) == 2u ? 255.0 : 0.0);
    } else if (KIND == 1u) {
        const vec3 d = (load_f32x4(push.b, from) - load_f32x4(push.a, from)).rgb;
        v = vec4(255.0 / LINE * max(d.r, max(d.g, d.b)));
    } else if (KIND == 2u) {
        const float m = max(slope(push.a, y, x), max(2.0 * slope(push.b, y, x), 4.0 * slope(push.c, y, x)));
        v = vec4(255.0 * m / (m + HALF_WAY));
    } else if (KIND == 3u) {
        const Field small = field(push.a, (push.h + push.factor - 1u) / push.factor, (push.w + push.factor - 1u) / push.factor, 4u);
        const float apart = float(push.factor);
        v = four_between(small, 0u, (float(y) + 0.5) / apart - 0.5, (float(x) + 0.5) / apart - 0.5);
    } else {
        v = 255.0 - load_f32x4(push.a, from);
    }
    v.a = 255.0;
    store_u32(push.result, at, to_bytes(v));
}
