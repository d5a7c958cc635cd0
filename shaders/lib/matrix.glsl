// matrix.glsl - what kernels on cooperative matrices (VK_KHR_cooperative_matrix, subgroup scope) share: the extensions.
//
// Such a kernel runs under Vulkan's memory model: barrier() makes shared memory visible to the workgroup,
// subgroupBarrier() to the subgroup.
#ifndef MATRIX_GLSL
#define MATRIX_GLSL

#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#include "memory.glsl"
#include "halves.glsl"

#endif
