// layer_norm.comp - (x - mean) / sqrt(variance + eps) * gamma + beta over the channels of a row.
//
// x, result [n, rows, c]; gamma, beta f32 [c].  GANG invocations share ROWS rows. Mean and M2 (the sum of squared distances from it) are formed exactly within
// eight channels, then merged in a fixed order by the pairwise rule of Chan, Golub and LeVeque (1979): one reading,
// and a large mean costs nothing.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lanes.glsl"
#include "quad.glsl"
#include "moments.glsl"

layout(constant_id = 1) const uint GANG = 32; // divides LANES
layout(constant_id = 2) const uint ROWS = 1;
layout(constant_id = 3) const bool EIGHTS = false; // the channels are whole eights: no partial ones, no pads

layout(push_constant, scalar) uniform Push {
    uvec2 x, gamma, beta, result;
    uint x_stride, result_stride, x_pitch, result_pitch;
    uint rows, total; // of a sample, of all samples
    uint c;
    float eps;
} push;
// Read once, here: on a software device they would be loads per lane inside of loops.
uvec2 x_address = push.x, gamma_address = push.gamma, beta_address = push.beta, result_address = push.result;
uint channels = push.c, pitch = push.result_pitch, total = push.total;

shared Moments gang[LANES];

// Channels c .. c + 7 of a row, those behind the last left out.
Moments of_eight(vec4 a, vec4 b, uint c)
{
    if (EIGHTS || c + 8 <= channels) {
        float mean = ((a.x + a.y) + (a.z + a.w) + ((b.x + b.y) + (b.z + b.w))) * 0.125;
        a -= mean;
        b -= mean;
        vec4 q = a * a + b * b;
        return Moments(8.0, mean, (q.x + q.y) + (q.z + q.w));
    }
    Moments m = Moments(0.0, 0.0, 0.0);
    for (uint k = 0; k < channels - c; k++)
        m = merged(m, Moments(1.0, k < 4 ? a[k] : b[k - 4], 0.0));
    return m;
}

vec4 load_table(uvec2 table, uint c) // four of a row that has no padding
{
    if (EIGHTS || (channels & 3) == 0)
        return load_quad_f32(table, c);
    vec4 v = vec4(0);
    for (uint k = 0; k < 4; k++)
        if (c + k < channels)
            v[k] = load_f32(table, c + k);
    return v;
}

void main()
{
    const uint lane = gl_LocalInvocationIndex, member = lane % GANG;
    const uint first = (workgroup_number() * (LANES / GANG) + lane / GANG) * ROWS;

    uint from[ROWS], to[ROWS];
    float mean[ROWS], rstd[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        uint row = min(first + r, total - 1);
        uint sample_index = row / push.rows;
        row -= sample_index * push.rows;
        from[r] = sample_index * push.x_stride + row * push.x_pitch;
        to[r] = sample_index * push.result_stride + row * push.result_pitch;
        Moments m = Moments(0.0, 0.0, 0.0);
        for (uint c = member * 8; c < channels; c += GANG * 8)
            m = merged(m, of_eight(load_quad(x_address, from[r] + c), load_quad(x_address, from[r] + c + 4), c));
        if (GANG > 1) {
            barrier(); // the row before has been read
            gang[lane] = m;
            for (uint half_gang = GANG / 2; half_gang > 0; half_gang /= 2) {
                barrier();
                if (member < half_gang)
                    gang[lane] = merged(gang[lane], gang[lane + half_gang]);
            }
            barrier();
            m = gang[lane - member];
        }
        mean[r] = m.mean;
        rstd[r] = 1.0 / sqrt(m.m2 / m.n + push.eps);
    }

    for (uint c = member * 4; c < pitch; c += GANG * 4) {
        bool there = EIGHTS || c < channels;
        vec4 gamma = there ? load_table(gamma_address, c) : vec4(0);
        vec4 beta = there ? load_table(beta_address, c) : vec4(0);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 v = (load_quad(x_address, from[r] + c) - mean[r]) * rstd[r] * gamma + beta;
            if (!EIGHTS && c + 4 > channels) // the pad channels
                v = vec4(c < channels ? v.x : 0.0, c + 1 < channels ? v.y : 0.0, c + 2 < channels ? v.z : 0.0, 0.0);
            if (first + r < total)
                store_quad(result_address, to[r] + c, v);
        }
    }
}
