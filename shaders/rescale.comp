// rescale.comp - gives a guided output back the spread of the unguided one, sample by sample (Lin et al. 2023, 3.4).
//
// guided, positive, result f32 [n, h, w, c]; phi f32 [1].  One workgroup takes one sample:
// result = guided * (phi * sd(positive) / sd(guided) + 1 - phi), sd over all pixels and channels of the sample; a guided
// sample without spread stays as it is.  Mean and M2 are merged in a fixed order by the pairwise rule of Chan, Golub
// and LeVeque (1979).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "memory.glsl"
#include "moments.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 guided, positive, phi, result;
    uint guided_stride, positive_stride, result_stride; // elements between samples
    uint pixels, pitch, channels, samples, pad;
} push;

shared Moments gang[LANES];

Moments of_sample(uvec2 address, uint from)
{
    const uint lane = gl_LocalInvocationIndex;
    Moments m = Moments(0.0, 0.0, 0.0);
    for (uint p = lane; p < push.pixels; p += LANES)
        for (uint c = 0; c < push.channels; c++)
            m = merged(m, Moments(1.0, load_f32(address, from + p * push.pitch + c), 0.0));
    barrier(); // what was there has been read
    gang[lane] = m;
    for (uint width = LANES / 2; width > 0; width /= 2) {
        barrier();
        if (lane < width)
            gang[lane] = merged(gang[lane], gang[lane + width]);
    }
    barrier();
    return gang[0];
}

void main()
{
    const uint s = workgroup_number();
    if (s >= push.samples)
        return;
    const uint from = s * push.guided_stride, to = s * push.result_stride;
    const float before = of_sample(push.positive, s * push.positive_stride).m2, now = of_sample(push.guided, from).m2;
    const float phi = load_f32(push.phi, 0);
    precise float factor = phi * (now > 0.0 ? sqrt(before / now) : 1.0) + (1.0 - phi);
    for (uint i = gl_LocalInvocationIndex; i < push.pixels * push.pitch; i += LANES)
        store_f32(push.result, to + i, load_f32(push.guided, from + i) * factor);
}
