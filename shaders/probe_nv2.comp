// probe_nv2.comp - compiled while configuring, to learn whether glslang knows matrices of a workgroup; no binary of its own.
#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_16bit_storage : require
layout(local_size_x = 256) in;
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Half { float16_t v[]; };
layout(push_constant) uniform Push { uvec2 a, b, c; uint m, n, k; };

void main()
{
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> rows = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    coopmat<float16_t, gl_ScopeWorkgroup, 64, 32, gl_MatrixUseA> x;
    coopmat<float16_t, gl_ScopeWorkgroup, 32, 64, gl_MatrixUseB> y;
    coopmat<float, gl_ScopeWorkgroup, 64, 64, gl_MatrixUseAccumulator> z = coopmat<float, gl_ScopeWorkgroup, 64, 64, gl_MatrixUseAccumulator>(0.0);
    rows = setTensorLayoutDimensionNV(rows, m, k);
    coopMatLoadTensorNV(x, Half(a).v, 0, sliceTensorLayoutNV(rows, 0, 64, 0, 32));
    rows = setTensorLayoutDimensionNV(rows, k, n);
    coopMatLoadTensorNV(y, Half(b).v, 0, sliceTensorLayoutNV(rows, 0, 32, 0, 64));
    z = coopMatMulAdd(x, y, z);
    rows = setTensorLayoutDimensionNV(rows, m, n);
    coopmat<float16_t, gl_ScopeWorkgroup, 64, 64, gl_MatrixUseAccumulator> h = coopmat<float16_t, gl_ScopeWorkgroup, 64, 64, gl_MatrixUseAccumulator>(z);
    coopMatStoreTensorNV(h, Half(c).v, 0, sliceTensorLayoutNV(rows, 0, 64, 0, 64));
}
