// hint.comp - pictures of bytes as a network takes them: channel k of the result is byte k of the pixel over 255.
//
// x u8x4 [n, rows, 1], result [n, rows, channels] with 3 or 4 channels, its pads zero.  One invocation takes one pixel.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "memory.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, result;
    uint x_stride, result_stride; // elements between samples
    uint pixels, pitch, channels;
    uint swap; // red is byte 2, and blue byte 0
} push;

void main()
{
    const uint i = invocation_number(), s = gl_WorkGroupID.y;
    if (i >= push.pixels)
        return;
    const uint bytes = load_u32(push.x, s * push.x_stride + i);
    const uint to = s * push.result_stride + i * push.pitch;
    precise vec4 v = vec4(bytes & 255u, bytes >> 8 & 255u, bytes >> 16 & 255u, push.channels > 3 ? bytes >> 24 : 0u) *
                     0.00392156862745098;
    store_storage4(push.result, to, push.swap != 0 ? v.zyxw : v);
    for (uint k = 4; k < push.pitch; k += 4)
        store_storage4(push.result, to + k, vec4(0.0));
}
