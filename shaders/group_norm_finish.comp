// group_norm_finish.comp - second half of group normalisation: merges the channels and blocks of each group and
// writes scale and shift per channel.
//
// stats f32 [n][block][P means, P M2s] of x's c1 channels and stats2 of x2's, as group_norm_stats.comp and matmul.comp
// leave them, with blocks of their own size each; result f32 [n][pitch(C) scales, pitch(C) shifts], C = c1 + c2.  Groups
// are cg consecutive channels and may straddle c1.  GANG invocations share one group of one sample (of `frames` samples
// when the statistics are joint): each merges every GANG-th (frame, block, channel) in order, those of x before those of
// x2, then the gang merges in a tree, by the pairwise rule of Chan, Golub and LeVeque (1979).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"
#include "moments.glsl"

layout(constant_id = 1) const uint GANG = 64; // divides LANES

layout(push_constant, scalar) uniform Push {
    uvec2 stats, stats2, gamma, beta, result;
    uint stats_stride, stats2_stride, result_stride;
    uint c, c1, p1, p2; // channels, those of x, P of both
    uint cg, groups;
    uint rows, block1, blocks1, block2, blocks2; // of a sample; rows of a block, blocks
    uint frames; // samples that share one statistic
    uint units;  // groups * samples / frames
    uint result_pitch;
    float eps;
} push;

shared Moments gang[LANES];

void main()
{
    uint lane = gl_LocalInvocationIndex;
    uint member = lane % GANG;
    uint unit = workgroup_number() * (LANES / GANG) + lane / GANG;
    bool live = unit < push.units;
    unit = live ? unit : 0;
    uint set = unit / push.groups; // the sample, or the branch
    uint group = unit - set * push.groups;

    Moments m = Moments(0.0, 0.0, 0.0);
    for (uint second = 0; second < 2; second++) {
        // the group's channels that this input has, counted from the input's first
        uint lo = group * push.cg, hi = lo + push.cg;
        if (second == 0)
            hi = min(hi, push.c1);
        else
            lo = max(lo, push.c1) - push.c1, hi = max(hi, push.c1) - push.c1;
        if (lo >= hi)
            continue;
        const uint width = hi - lo, pitch = second == 0 ? push.p1 : push.p2;
        const uint rows = second == 0 ? push.block1 : push.block2, blocks = second == 0 ? push.blocks1 : push.blocks2;
        const uint stride = second == 0 ? push.stats_stride : push.stats2_stride;
        const uvec2 stats = second == 0 ? push.stats : push.stats2;
        // (frame, block, channel) as the digits of a number that grows by GANG
        uint channel = member % width, step_channel = GANG % width;
        uint rest = member / width, step_rest = GANG / width;
        uint block = rest % blocks, step_block = step_rest % blocks;
        uint frame = rest / blocks, step_frame = step_rest / blocks;
        while (frame < push.frames) {
            uint at = (set * push.frames + frame) * stride + 2 * block * pitch + lo + channel;
            float n = float(min(rows, push.rows - block * rows));
            m = merged(m, Moments(n, load_f32(stats, at), load_f32(stats, at + pitch)));
            channel += step_channel;
            block += step_block;
            frame += step_frame;
            if (channel >= width) {
                channel -= width;
                block++;
            }
            if (block >= blocks) {
                block -= blocks;
                frame++;
            }
        }
    }
    if (GANG > 1) {
        gang[lane] = m;
        for (uint half_gang = GANG / 2; half_gang > 0; half_gang /= 2) {
            barrier();
            if (member < half_gang)
                gang[lane] = merged(gang[lane], gang[lane + half_gang]);
        }
        barrier();
        m = gang[lane - member];
    }
    if (!live)
        return;

    float rstd = 1.0 / sqrt(max(m.m2, 0.0) / m.n + push.eps);
    for (uint f = 0; f < push.frames; f++) {
        uint to = (set * push.frames + f) * push.result_stride;
        for (uint k = member; k < push.cg; k += GANG) {
            uint c = group * push.cg + k;
            float scale = load_f32(push.gamma, c) * rstd;
            store_f32(push.result, to + c, scale);
            store_f32(push.result, to + push.result_pitch + c, load_f32(push.beta, c) - m.mean * scale);
        }
        if (group == push.groups - 1)
            for (uint c = push.c + member; c < push.result_pitch; c += GANG) {
                store_f32(push.result, to + c, 0.0);
                store_f32(push.result, to + push.result_pitch + c, 0.0);
            }
    }
}
