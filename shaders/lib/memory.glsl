// memory.glsl - the only way shaders touch memory: typed loads and stores at an address plus an element index.
//
// An address is a uvec2 (low, high word) out of the push block.  "Storage" is the network's activation type:
// fp16 in binaries compiled with STORAGE_F16, else fp32; arithmetic is fp32 in both.  Indices are in elements,
// those of the 4-wide forms too, and must be multiples of 4 there (addresses are 16-byte aligned, pitches multiples of 8).
#ifndef MEMORY_GLSL
#define MEMORY_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_scalar_block_layout : require

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer RefFloat { float v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer RefFloat4 { vec4 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer RefInt { int v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer RefUint { uint v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer RefUint2 { uvec2 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer RefUint4 { uvec4 v[]; };

#define load_f32(address, i) (RefFloat(address).v[i])
#define load_f32x4(address, i) (RefFloat4(address).v[(i) >> 2])
#define store_f32(address, i, x) (RefFloat(address).v[i] = (x))
#define store_f32x4(address, i, x) (RefFloat4(address).v[(i) >> 2] = (x))
#define load_i32(address, i) (RefInt(address).v[i])
#define load_u32(address, i) (RefUint(address).v[i])
#define load_u32x2(address, i) (RefUint2(address).v[(i) >> 1])
#define load_u32x4(address, i) (RefUint4(address).v[(i) >> 2])
#define store_u32x2(address, i, x) (RefUint2(address).v[(i) >> 1] = (x))
#define store_u32x4(address, i, x) (RefUint4(address).v[(i) >> 2] = (x))
#define store_u32(address, i, x) (RefUint(address).v[i] = (x))

#ifdef STORAGE_F16
#extension GL_EXT_shader_16bit_storage : require
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer RefHalf { float16_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer RefHalf4 { f16vec4 v[]; };
#define load_storage(address, i) float(RefHalf(address).v[i])
#define load_storage4(address, i) vec4(RefHalf4(address).v[(i) >> 2])
#define store_storage(address, i, x) (RefHalf(address).v[i] = float16_t(x))
#define store_storage4(address, i, x) (RefHalf4(address).v[(i) >> 2] = f16vec4(x))
#else
#define load_storage(address, i) load_f32(address, i)
#define load_storage4(address, i) load_f32x4(address, i)
#define store_storage(address, i, x) store_f32(address, i, x)
#define store_storage4(address, i, x) store_f32x4(address, i, x)
#endif

#endif
