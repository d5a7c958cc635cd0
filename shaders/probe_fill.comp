#version 460
/* probe_fill - a kernel for the gpu room's own tests: dst[i] = base + factor * (src ? src[i] : i).
 * dst, src: `count` words each; one invocation a word. */
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint USE_SRC = 0;
layout(constant_id = 2) const uint FACTOR = 1;

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words {
    uint at[];
};

layout(push_constant, scalar) uniform Push {
    Words dst;
    Words src;
    uint count;
    uint base;
};

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < count)
        dst.at[i] = base + FACTOR * (USE_SRC != 0 ? src.at[i] : i);
}
