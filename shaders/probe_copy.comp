#version 460
/* probe_copy - how fast memory is copied: four words an invocation, QUADS times, neighbours beside each other.
 * src, dst: `quads` vectors of four words. */
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 4;

layout(push_constant, scalar) uniform Push {
    uvec2 src, dst;
    uint quads;
};

void main()
{
    uint first = workgroup_number() * LANES * QUADS + gl_LocalInvocationIndex;
    for (uint k = 0; k < QUADS; k++) {
        uint i = first + k * LANES;
        if (i < quads)
            store_quad_f32(dst, i * 4, load_quad_f32(src, i * 4));
    }
}
