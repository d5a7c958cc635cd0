// flow_relax.comp - a step of the primal-dual method (Chambolle and Pock 2011, algorithm 1) for TV-L1 optical flow (Zach, Pock and
// Bischof 2007) with Huber's norm and weights at edges (Werlberger et al. 2009): the least
//     sum of  edge (|grad u| + |grad v|)  +  lambda |gx u + gy v + c|.
//
// match f32 [2, h, 1, 4 w] as of flow_match.comp; a pixel's state: the flow (u, v), the same a step ahead, the dual variables
// (px, py) of u and of v.  state f32 [2, h, 1, 8 w] -> the next.  Differences look to the right and down, zero at the borders;
// both steps are sqrt(1/8), since the squared norm of the difference operator is at most 8.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const float STEP = 0.35355339059327376, HUBER = 0.01;

layout(push_constant, scalar) uniform Push {
    uvec2 match, state, result;
    uint h, w;
    float lambda;
} push;

// The duals of a pixel, (px, py) of u and of v, a step on.
vec4 duals_of(Field state, uint n, uint y, uint x, float edge)
{
    const uint at = pixel_at(state, n, y, x);
    const vec2 here = load_f32x4(state.address, at).zw;
    vec4 p = load_f32x4(state.address, at + 4u), d = vec4(0.0);
    const bool right = x + 1u < state.w, below = y + 1u < state.h;
    if (right)
        d.xz = load_f32x4(state.address, at + 8u).zw - here;
    if (below)
        d.yw = load_f32x4(state.address, at + state.pitch).zw - here;
    p = (p + STEP * edge * d) / (1.0 + STEP * HUBER);
    if (!right)
        p.xz = vec2(0.0);
    if (!below)
        p.yw = vec2(0.0);
    p.xy /= max(1.0, sqrt(p.x * p.x + p.y * p.y));
    p.zw /= max(1.0, sqrt(p.z * p.z + p.w * p.w));
    return p;
}

void main()
{
    const uint i = invocation_number(), n = gl_WorkGroupID.y;
    if (i >= push.h * push.w)
        return;
    const uint y = i / push.w, x = i % push.w;
    const Field match = field(push.match, push.h, push.w, 4u), state = field(push.state, push.h, push.w, 8u);
    const uint at = pixel_at(state, n, y, x), from = pixel_at(match, n, y, x);
    const vec4 m = load_f32x4(push.match, from);
    const vec2 before = load_f32x4(push.state, at).xy;
    const vec4 p = duals_of(state, n, y, x, m.w);
    vec2 divergence = m.w * (p.xz + p.yw);
    if (x > 0u) {
        const float edge = load_f32(push.match, from - 1u);
        divergence -= edge * duals_of(state, n, y, x - 1u, edge).xz;
    }
    if (y > 0u) {
        const float edge = load_f32(push.match, from - match.pitch + 3u);
        divergence -= edge * duals_of(state, n, y - 1u, x, edge).yw;
    }
    vec2 u = before + STEP * divergence;
    const float g = dot(m.xy, m.xy);
    if (g > 1e-12) {
        const float most = push.lambda * STEP;
        u += m.xy * clamp(-(m.z + dot(m.xy, u)) / g, -most, most);
    }
    store_f32x4(push.result, at, vec4(u, 2.0 * u - before));
    store_f32x4(push.result, at + 4u, p);
}
