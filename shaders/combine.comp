// combine.comp - a linear combination of up to six fp32 tensors: result = sum of coefficient[i] * x[i].
//
// All [n, ..] of one shape; sample s of the result takes sample (skip[i] + s) mod samples[i] of x[i]. Products and
// sums are rounded one by one, in the order of i, from the first term on (no contraction), so that every device gives
// the same bits. A term whose coefficient is zero is left out: it may hold anything, NaN included.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 x[6];
    uvec2 coefficients, result;
    uint skip_samples[6]; // skip | samples << 16
    uint x_stride[6];     // elements between samples
    uint count, quads, result_stride; // quads: of a sample's part
} push;

void main()
{
    uint i = invocation_number() * 4;
    if (i >= push.quads * 4)
        return;
    precise vec4 sum = vec4(0);
    bool begun = false;
    for (uint k = 0; k < push.count; k++) {
        float coefficient = load_f32(push.coefficients, k);
        if (coefficient == 0.0)
            continue;
        uint skip = push.skip_samples[k] & 0xffffu, samples = push.skip_samples[k] >> 16;
        uint from = (skip + gl_WorkGroupID.y) % samples * push.x_stride[k] + i;
        precise vec4 term = coefficient * load_f32x4(push.x[k], from);
        sum = begun ? sum + term : term;
        begun = true;
    }
    store_f32x4(push.result, gl_WorkGroupID.y * push.result_stride + i, sum);
}
