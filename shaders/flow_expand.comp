// flow_expand.comp - a level's state from that of the level below it, whose pixels are twice as far apart: flow and duals read
// between pixels, flow doubled.  Without START the state is zero.
//
// from f32 [2, ceil(h / 2), 1, 8 ceil(w / 2)] -> state f32 [2, h, 1, 8 w]; what a pixel's eight numbers are: flow_relax.comp.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(constant_id = 1) const bool FROM = true;

layout(push_constant, scalar) uniform Push {
    uvec2 from, state;
    uint h, w; // of the state
} push;

void main()
{
    const Field small = field(push.from, (push.h + 1u) / 2u, (push.w + 1u) / 2u, 8u);
    const Field to = field(push.state, push.h, push.w, 8u);
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= to.h * to.w)
        return;
    const uint y = i / to.w, x = i % to.w, at = pixel_at(to, n, y, x);
    vec4 flow = vec4(0.0), duals = vec4(0.0);
    if (FROM) {
        for (uint k = 0u; k < 4u; k++) {
            const uint from = pixel_near(small, n, int((y + (k >> 1 & y)) / 2u), int((x + (k & x & 1u)) / 2u));
            flow += load_f32x4(push.from, from) * 0.5;
            duals += load_f32x4(push.from, from + 4u) * 0.25;
        }
    }
    store_f32x4(push.state, at, flow);
    store_f32x4(push.state, at + 4u, duals);
}
