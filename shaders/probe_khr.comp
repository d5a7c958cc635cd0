// probe_khr.comp - compiled while configuring, to learn whether glslang knows cooperative matrices; no binary of its own.
#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 32) in;
layout(constant_id = 0) const uint M = 16;
shared uvec4 a[64];
shared float c[256];

void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, M, 16, gl_MatrixUseA> x;
    coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB> y;
    coopmat<float, gl_ScopeSubgroup, M, 16, gl_MatrixUseAccumulator> z = coopmat<float, gl_ScopeSubgroup, M, 16, gl_MatrixUseAccumulator>(0.0);
    coopMatLoad(x, a, 0, 2, gl_CooperativeMatrixLayoutRowMajor);
    coopMatLoad(y, a, 32, 2, gl_CooperativeMatrixLayoutRowMajor);
    z = coopMatMulAdd(x, y, z);
    coopMatStore(z, c, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
}
