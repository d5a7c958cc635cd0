#version 460
/* probe_tiled - a plain register-tiled product C = A B through addresses, the yardstick for the real one: an invocation makes
 * four rows (eight with TALL) of four columns; of four k it takes four times four neighbouring elements of B and four of each
 * row of A, which are the same for a whole workgroup.
 * A fp32 [m, k], B fp32 [k, n], C fp32 [m, n]; m a multiple of 8, n of 4 * LANES, k of 4. */
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(constant_id = 1) const bool TALL = false;

layout(push_constant, scalar) uniform Push {
    uvec2 a, b, c;
    uint n, k;
};

// Four k of one row: sum += x y.
#define ADD(sum, at)                                                                                                   \
    {                                                                                                                  \
        vec4 v = load_quad_f32(a, at);                                                                                 \
        sum = fma(v.wwww, y3, fma(v.zzzz, y2, fma(v.yyyy, y1, fma(v.xxxx, y0, sum))));                                 \
    }

void main()
{
    uint row = gl_WorkGroupID.y * (TALL ? 8u : 4u), column = (gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x) * 4;
    vec4 s0 = vec4(0.0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (uint i = 0; i < k; i += 4) {
        vec4 y0 = load_quad_f32(b, i * n + column), y1 = load_quad_f32(b, (i + 1) * n + column);
        vec4 y2 = load_quad_f32(b, (i + 2) * n + column), y3 = load_quad_f32(b, (i + 3) * n + column);
        uint x = row * k + i;
        ADD(s0, x)
        ADD(s1, x + k)
        ADD(s2, x + 2 * k)
        ADD(s3, x + 3 * k)
        if (TALL) {
            ADD(s4, x + 4 * k)
            ADD(s5, x + 5 * k)
            ADD(s6, x + 6 * k)
            ADD(s7, x + 7 * k)
        }
    }
    uint z = row * n + column;
    store_quad_f32(c, z, s0);
    store_quad_f32(c, z + n, s1);
    store_quad_f32(c, z + 2 * n, s2);
    store_quad_f32(c, z + 3 * n, s3);
    if (TALL) {
        store_quad_f32(c, z + 4 * n, s4);
        store_quad_f32(c, z + 5 * n, s5);
        store_quad_f32(c, z + 6 * n, s6);
        store_quad_f32(c, z + 7 * n, s7);
    }
}
