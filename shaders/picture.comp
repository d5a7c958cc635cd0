// picture.comp - channels 0..2 in [-1, 1] to bytes: round((clamp(x) + 1) * 127.5), halves to even; byte 3 is 255.
//
// x [n, rows, >= 3], result u8x4 [n, rows, 1].  NaN and infinity become 0 and the pixel's byte 3 becomes 0.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x, result;
    uint x_stride, result_stride, x_pitch, result_pitch;
    uint rows;
} push;

void main()
{
    uint row = invocation_number();
    if (row >= push.rows)
        return;
    vec4 v = load_storage4(push.x, gl_WorkGroupID.y * push.x_stride + row * push.x_pitch);
    uint pixel = 255u << 24;
    for (uint k = 0; k < 3; k++) {
        if ((floatBitsToUint(v[k]) & 0x7fffffffu) >= 0x7f800000u) { // NaN, infinity
            pixel &= 0x00ffffffu;
            continue;
        }
        precise float y = (clamp(v[k], -1.0, 1.0) + 1.0) * 127.5;
        pixel |= uint(roundEven(y)) << (8 * k);
    }
    uint to = gl_WorkGroupID.y * push.result_stride + row * push.result_pitch;
    store_u32(push.result, to, pixel);
    for (uint k = 1; k < push.result_pitch; k++)
        store_u32(push.result, to + k, 0);
}
