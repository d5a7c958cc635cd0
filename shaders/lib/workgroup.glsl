// workgroup.glsl - matrices that a whole workgroup holds (VK_NV_cooperative_matrix2), and tensors in memory to load
// them from and store them to.
//
// A tensor is 2 or 4 dimensions over an address, innermost stride 1; a slice of it fills a matrix in row-major order, a
// row of the matrix being the innermost dimension.  Elements of a slice that lie outside the tensor are zero when
// loaded and left alone when stored (clamp mode Constant; with Undefined the caller promises that there are none).
// Offsets may be negative.
//
// Compiled with SCOPE_SUBGROUP the same kernels run where a driver has the extension's matrices at subgroup scope
// alone, without tensor addressing (Mesa's lavapipe): the workgroup is one subgroup, and tensors are gathered element
// by element through shared memory, by the rules of SPV_NV_cooperative_matrix2, so that dimensions, strides and slices
// are put to the test.
//
// The file needs STORAGE_F16 and, before it, a constant THREADS (the workgroup's size) that the matrices come after.
// With SCOPE_SUBGROUP SCRATCH elements of shared memory must hold the largest matrix loaded or stored.
#ifndef WORKGROUP_GLSL
#define WORKGROUP_GLSL

#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "memory.glsl"

const uint CLAMP_NONE = 0u; // gl_CooperativeMatrixClampModeUndefinedNV
const uint CLAMP_ZERO = 1u; // gl_CooperativeMatrixClampModeConstantNV

#define MATRIX(T, ROWS, COLUMNS, USE) coopmat<T, SCOPE, ROWS, COLUMNS, USE>

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer TensorHalf { float16_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer TensorFloat { float v[]; };

#ifndef SCOPE_SUBGROUP

#define SCOPE gl_ScopeWorkgroup

#define TENSOR2(t, CLAMP) tensorLayoutNV<2, CLAMP> t = createTensorLayoutNV(2, CLAMP)
#define TENSOR4(t, CLAMP) tensorLayoutNV<4, CLAMP> t = createTensorLayoutNV(4, CLAMP)
#define SET2(t, d0, d1, s0) t = setTensorLayoutStrideNV(setTensorLayoutDimensionNV(t, d0, d1), s0, 1u)
#define SET4(t, d0, d1, d2, d3, s0, s1, s2)                                                                            \
    t = setTensorLayoutStrideNV(setTensorLayoutDimensionNV(t, d0, d1, d2, d3), s0, s1, s2, 1u)
#define SLICE2(t, o0, n0, o1, n1) sliceTensorLayoutNV(t, o0, n0, o1, n1)
#define SLICE4(t, o0, n0, o1, n1, o2, n2, o3, n3) sliceTensorLayoutNV(t, o0, n0, o1, n1, o2, n2, o3, n3)
#define LOAD_HALVES(m, ROWS, COLUMNS, address, element, slice)                                                         \
    coopMatLoadTensorNV(m, TensorHalf(address).v, element, slice)
#define LOAD_FLOATS(m, ROWS, COLUMNS, address, element, slice)                                                         \
    coopMatLoadTensorNV(m, TensorFloat(address).v, element, slice)
#define STORE_HALVES(m, ROWS, COLUMNS, address, element, slice)                                                        \
    coopMatStoreTensorNV(m, TensorHalf(address).v, element, slice)
#define STORE_FLOATS(m, ROWS, COLUMNS, address, element, slice)                                                        \
    coopMatStoreTensorNV(m, TensorFloat(address).v, element, slice)

#else

#define SCOPE gl_ScopeSubgroup

shared float16_t tensor_halves[SCRATCH];
shared float tensor_floats[SCRATCH];

struct Tensor {
    uvec4 dimension, stride, span;
    ivec4 offset;
};

Tensor tensor_of(uvec4 dimension, uvec4 stride) { return Tensor(dimension, stride, dimension, ivec4(0)); }
Tensor sliced(Tensor t, ivec4 offset, uvec4 span) { return Tensor(t.dimension, t.stride, span, t.offset + offset); }

// The element of number i of the slice; false where it is outside.
bool tensor_at(Tensor t, uint i, out uint at)
{
    at = 0u;
    bool inside = true;
    for (int d = 3; d >= 0; d--) {
        const int c = int(i % t.span[d]) + t.offset[d];
        i /= t.span[d];
        inside = inside && c >= 0 && c < int(t.dimension[d]);
        at += uint(c) * t.stride[d];
    }
    return inside;
}

#define TENSOR2(t, CLAMP) Tensor t
#define TENSOR4(t, CLAMP) Tensor t
#define SET2(t, d0, d1, s0) t = tensor_of(uvec4(1u, 1u, d0, d1), uvec4(0u, 0u, s0, 1u))
#define SET4(t, d0, d1, d2, d3, s0, s1, s2) t = tensor_of(uvec4(d0, d1, d2, d3), uvec4(s0, s1, s2, 1u))
#define SLICE2(t, o0, n0, o1, n1) sliced(t, ivec4(0, 0, o0, o1), uvec4(1u, 1u, n0, n1))
#define SLICE4(t, o0, n0, o1, n1, o2, n2, o3, n3) sliced(t, ivec4(o0, o1, o2, o3), uvec4(n0, n1, n2, n3))

#define LOAD_TENSOR(m, ROWS, COLUMNS, REF, T, shared_elements, address, element, slice)                                \
    {                                                                                                                  \
        const Tensor of = slice;                                                                                       \
        barrier();                                                                                                     \
        for (uint i = gl_LocalInvocationIndex; i < ROWS * COLUMNS; i += THREADS) {                                     \
            uint at;                                                                                                   \
            const bool inside = tensor_at(of, i, at);                                                                  \
            shared_elements[i] = inside ? REF(address).v[inside ? element + at : 0u] : T(0.0);                         \
        }                                                                                                              \
        barrier();                                                                                                     \
        coopMatLoad(m, shared_elements, 0, COLUMNS, gl_CooperativeMatrixLayoutRowMajor);                               \
    }
#define STORE_TENSOR(m, ROWS, COLUMNS, REF, shared_elements, address, element, slice)                                  \
    {                                                                                                                  \
        const Tensor of = slice;                                                                                       \
        barrier();                                                                                                     \
        coopMatStore(m, shared_elements, 0, COLUMNS, gl_CooperativeMatrixLayoutRowMajor);                              \
        barrier();                                                                                                     \
        for (uint i = gl_LocalInvocationIndex; i < ROWS * COLUMNS; i += THREADS) {                                     \
            uint at;                                                                                                   \
            if (tensor_at(of, i, at))                                                                                  \
                REF(address).v[element + at] = shared_elements[i];                                                     \
        }                                                                                                              \
    }
#define LOAD_HALVES(m, ROWS, COLUMNS, address, element, slice)                                                         \
    LOAD_TENSOR(m, ROWS, COLUMNS, TensorHalf, float16_t, tensor_halves, address, element, slice)
#define LOAD_FLOATS(m, ROWS, COLUMNS, address, element, slice)                                                         \
    LOAD_TENSOR(m, ROWS, COLUMNS, TensorFloat, float, tensor_floats, address, element, slice)
#define STORE_HALVES(m, ROWS, COLUMNS, address, element, slice)                                                        \
    STORE_TENSOR(m, ROWS, COLUMNS, TensorHalf, tensor_halves, address, element, slice)
#define STORE_FLOATS(m, ROWS, COLUMNS, address, element, slice)                                                        \
    STORE_TENSOR(m, ROWS, COLUMNS, TensorFloat, tensor_floats, address, element, slice)

#endif
#endif
