#version 460
/* probe_tiled - a plain register-tiled product C = A B through addresses, the yardstick for the real one: an invocation makes
 * ROWS rows of eight columns (four with NARROW); of four k it takes four times its neighbouring elements of B and four elements of
 * each row of A, which are the same for a whole workgroup.  No shared memory, no subgroups, nothing packed.
 * A fp32 [m, k], B fp32 [k, n], C fp32 [m, n]; m a multiple of ROWS, n of 8 * LANES, k of 4. */
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const bool NARROW = false;

layout(push_constant, scalar) uniform Push {
    uvec2 a, b, c;
    uint n, k;
};

void main()
{
    uint width = NARROW ? 4u : 8u;
    uint row = gl_WorkGroupID.y * ROWS, column = (gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x) * width;
    vec4 left[ROWS], right[ROWS];
    for (uint r = 0; r < ROWS; r++)
        left[r] = right[r] = vec4(0.0);
    for (uint i = 0; i < k; i += 4) {
        uint at = i * n + column;
        vec4 y0 = load_quad_f32(b, at), y1 = load_quad_f32(b, at + n);
        vec4 y2 = load_quad_f32(b, at + 2 * n), y3 = load_quad_f32(b, at + 3 * n);
        vec4 z0 = y0, z1 = y1, z2 = y2, z3 = y3;
        if (!NARROW) {
            z0 = load_quad_f32(b, at + 4), z1 = load_quad_f32(b, at + n + 4);
            z2 = load_quad_f32(b, at + 2 * n + 4), z3 = load_quad_f32(b, at + 3 * n + 4);
        }
        for (uint r = 0; r < ROWS; r++) {
            vec4 x = load_quad_f32(a, (row + r) * k + i);
            left[r] = fma(x.wwww, y3, fma(x.zzzz, y2, fma(x.yyyy, y1, fma(x.xxxx, y0, left[r]))));
            if (!NARROW)
                right[r] = fma(x.wwww, z3, fma(x.zzzz, z2, fma(x.yyyy, z1, fma(x.xxxx, z0, right[r]))));
        }
    }
    for (uint r = 0; r < ROWS; r++) {
        uint at = (row + r) * n + column;
        store_quad_f32(c, at, left[r]);
        if (!NARROW)
            store_quad_f32(c, at + 4, right[r]);
    }
}
