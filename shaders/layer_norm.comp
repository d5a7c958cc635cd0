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

layout(push_constant, scalar) uniform Push {
    uvec2 x, gamma, beta, result;
    uint x_stride, result_stride, x_pitch, result_pitch;
    uint rows, total; // of a sample, of all samples
    uint c;
    float eps;
} push;

shared Moments gang[LANES];

// Channels c .. c + 7 of a row, those from push.c on left out.
Moments of_eight(vec4 a, vec4 b, uint c)
{
    if (c + 8 <= push.c) {
        float mean = ((a.x + a.y) + (a.z + a.w) + ((b.x + b.y) + (b.z + b.w))) * 0.125;
        a -= mean;
        b -= mean;
        vec4 q = a * a + b * b;
        return Moments(8.0, mean, (q.x + q.y) + (q.z + q.w));
    }
    Moments m = Moments(0.0, 0.0, 0.0);
    for (uint k = 0; k < push.c - c; k++)
        m = merged(m, Moments(1.0, k < 4 ? a[k] : b[k - 4], 0.0));
    return m;
}

vec4 load_table(uvec2 table, uint c) // four of a row that has no padding
{
    if ((push.c & 3) == 0)
        return load_quad_f32(table, c);
    vec4 v = vec4(0);
    for (uint k = 0; k < 4; k++)
        if (c + k < push.c)
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
        uint row = min(first + r, push.total - 1);
        uint sample_index = row / push.rows;
        row -= sample_index * push.rows;
        from[r] = sample_index * push.x_stride + row * push.x_pitch;
        to[r] = sample_index * push.result_stride + row * push.result_pitch;
        Moments m = Moments(0.0, 0.0, 0.0);
        for (uint c = member * 8; c < push.c; c += GANG * 8)
            m = merged(m, of_eight(load_quad(push.x, from[r] + c), load_quad(push.x, from[r] + c + 4), c));
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

    for (uint c = member * 4; c < push.result_pitch; c += GANG * 4) {
        bool there = c < push.c;
        vec4 gamma = there ? load_table(push.gamma, c) : vec4(0);
        vec4 beta = there ? load_table(push.beta, c) : vec4(0);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 v = (load_quad(push.x, from[r] + c) - mean[r]) * rstd[r] * gamma + beta;
            if (c + 4 > push.c) // the pad channels
                v = vec4(c < push.c ? v.x : 0.0, c + 1 < push.c ? v.y : 0.0, c + 2 < push.c ? v.z : 0.0, 0.0);
            if (first + r < push.total)
                store_quad(push.result, to[r] + c, v);
        }
    }
}
