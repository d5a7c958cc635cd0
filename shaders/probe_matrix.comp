#version 460
/* probe_matrix - the rate of matrix units out of registers: CHAINS independent accumulators, `rounds` products of fragments
 * each.  The fragments come from memory; they are zero there, so that the sums stay what they are, and one of them is scaled in
 * every round, so that no compiler makes the product once and adds it again and again.
 * 2 * M * N * K * CHAINS * rounds operations a subgroup. */
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "memory.glsl"

layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;
const uint CHAINS = 8;

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer RefFragment { float16_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer RefSum { float v[]; };

layout(push_constant, scalar) uniform Push {
    uvec2 factors, result; // fp16 [16 KiB]; fp32 [subgroups, M, N]
    uint rounds;
};

void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a;
    coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sum[CHAINS];
    coopMatLoad(a, RefFragment(factors).v, 0, K, gl_CooperativeMatrixLayoutRowMajor);
    coopMatLoad(b, RefFragment(factors).v, M * K, N, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint i = 0; i < CHAINS; i++)
        sum[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(float(i));
    float16_t factor = RefFragment(factors).v[0];
    for (uint r = 0; r < rounds; r++) {
        [[unroll]] for (uint i = 0; i < CHAINS; i++)
            sum[i] = coopMatMulAdd(a, b, sum[i]);
        a = a * factor;
    }
    [[unroll]] for (uint i = 1; i < CHAINS; i++)
        sum[0] += sum[i];
    uint place = workgroup_number() * gl_NumSubgroups + gl_SubgroupID;
    coopMatStore(sum[0], RefSum(result).v, place * M * N, N, gl_CooperativeMatrixLayoutRowMajor);
}
