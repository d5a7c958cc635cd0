// layer_norm.comp - (x - mean) / sqrt(variance + eps) * gamma + beta over the channels of a row, then plus a row of a
// table of positions.
//
// x, result [n, rows, c]; gamma, beta f32 [c]; positions f32 [L, c] (address 0: none), row = frame of the sample.  GANG
// invocations share one row; two passes (mean, then squared distances) in fp32, so a large mean costs nothing.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"

layout(constant_id = 1) const uint GANG = 32; // divides LANES

layout(push_constant, scalar) uniform Push {
    uvec2 x, gamma, beta, positions, result;
    uint x_stride, result_stride, x_pitch, result_pitch, positions_pitch;
    uint rows, total; // of a sample, of all samples
    uint c;
    uint frame, frames; // of the first sample; of a branch
    float eps;
} push;

shared float gang[LANES];

// The sum of v over the gang, the same bits in every member.
float gang_sum(float v)
{
    if (GANG == 1)
        return v;
    uint lane = gl_LocalInvocationIndex, member = lane % GANG;
    barrier(); // the last sum has been read
    gang[lane] = v;
    for (uint half_gang = GANG / 2; half_gang > 0; half_gang /= 2) {
        barrier();
        if (member < half_gang)
            gang[lane] += gang[lane + half_gang];
    }
    barrier();
    return gang[lane - member];
}

vec4 only_channels(vec4 v, uint c) // zero at and beyond channel push.c
{
    return vec4(v.x, c + 1 < push.c ? v.y : 0.0, c + 2 < push.c ? v.z : 0.0, c + 3 < push.c ? v.w : 0.0);
}

vec4 load_row4(uvec2 table, uint at, uint c) // four of a row that has no padding
{
    return vec4(load_f32(table, at + c), c + 1 < push.c ? load_f32(table, at + c + 1) : 0.0,
                c + 2 < push.c ? load_f32(table, at + c + 2) : 0.0, c + 3 < push.c ? load_f32(table, at + c + 3) : 0.0);
}

void main()
{
    uint lane = gl_LocalInvocationIndex;
    uint member = lane % GANG;
    uint row = workgroup_number() * (LANES / GANG) + lane / GANG;
    bool live = row < push.total;
    row = live ? row : 0;
    uint sample_index = row / push.rows;
    row -= sample_index * push.rows;
    uint from = sample_index * push.x_stride + row * push.x_pitch;
    uint to = sample_index * push.result_stride + row * push.result_pitch;

    vec4 s = vec4(0);
    for (uint c = member * 4; c < push.c; c += GANG * 4)
        s += only_channels(load_storage4(push.x, from + c), c);
    float mean = gang_sum((s.x + s.y) + (s.z + s.w)) / float(push.c);
    vec4 q = vec4(0);
    for (uint c = member * 4; c < push.c; c += GANG * 4) {
        vec4 d = only_channels(load_storage4(push.x, from + c) - mean, c);
        q += d * d;
    }
    float rstd = 1.0 / sqrt(gang_sum((q.x + q.y) + (q.z + q.w)) / float(push.c) + push.eps);
    if (!live)
        return;

    bool placed = (push.positions.x | push.positions.y) != 0;
    uint position = placed ? (push.frame + sample_index) % push.frames * push.positions_pitch : 0;
    for (uint c = member * 4; c < push.result_pitch; c += GANG * 4) {
        vec4 v = vec4(0);
        if (c < push.c) {
            v = (load_storage4(push.x, from + c) - mean) * rstd * load_row4(push.gamma, 0, c) + load_row4(push.beta, 0, c);
            if (placed)
                v += load_row4(push.positions, position, c);
            v = only_channels(v, c);
        }
        store_storage4(push.result, to + c, v);
    }
}
