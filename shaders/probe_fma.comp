#version 460
/* probe_fma - the rate of multiplication and addition out of registers: 2, 3, 4 or 8 independent sums of four components
 * (CHAINS), STEPS products each a round.  The factors come from memory, so that nothing is known when the kernel is
 * compiled; with a = 1 and b = 0 the sums keep what they began with.  8 * CHAINS * STEPS * rounds operations an
 * invocation. */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lanes.glsl"
#include "memory.glsl"

#ifdef ARITHMETIC_F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define Vector f16vec4
#define Scalar float16_t
#else
#define Vector vec4
#define Scalar float
#endif

layout(constant_id = 1) const uint CHAINS = 8;
const uint STEPS = 16;

layout(push_constant, scalar) uniform Push {
    uvec2 factors, result; // a, b; one word an invocation
    uint rounds;
};

void main()
{
    Vector a = Vector(Scalar(load_f32(factors, 0))), b = Vector(Scalar(load_f32(factors, 1)));
    Vector s0 = Vector(Scalar(gl_LocalInvocationIndex));
    Vector s1 = s0 + a, s2 = s1 + a, s3 = s2 + a, s4 = s3 + a, s5 = s4 + a, s6 = s5 + a, s7 = s6 + a;
    for (uint r = 0; r < rounds; r++) {
        [[unroll]] for (uint i = 0; i < STEPS; i++) {
            s0 = fma(s0, a, b);
            s1 = fma(s1, a, b);
            if (CHAINS > 2)
                s2 = fma(s2, a, b);
            if (CHAINS > 3)
                s3 = fma(s3, a, b);
            if (CHAINS > 4) {
                s4 = fma(s4, a, b);
                s5 = fma(s5, a, b);
                s6 = fma(s6, a, b);
                s7 = fma(s7, a, b);
            }
        }
    }
    Vector all = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7;
    store_f32(result, invocation_number(), float(all.x) + float(all.y) + float(all.z) + float(all.w));
}
