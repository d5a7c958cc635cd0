// group_norm_finish.comp - second half of group normalisation: merges the channels and blocks of each group and
// writes scale and shift per channel.
//
// stats f32 [n][block][P means, P M2s] of group_norm_stats.comp; result f32 [n][pitch(C) scales, pitch(C) shifts],
// where channel c of the C = c1 + c2 channels lies at c in the statistics if c < c1, else at p1 + c - c1. Groups are
// cg consecutive channels and may straddle c1. GANG invocations share one group of one sample (of `frames` samples
// when the statistics are joint): each merges every GANG-th (frame, block, channel) in order, then the gang merges in
// a tree, by the pairwise rule of Chan, Golub and LeVeque (1979).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "lanes.glsl"
#include "moments.glsl"

layout(constant_id = 1) const uint GANG = 64; // divides LANES

layout(push_constant, scalar) uniform Push {
    uvec2 stats, gamma, beta, result;
    uint stats_stride, result_stride;
    uint c, c1, p1, p; // channels, those of x, pitch(c1), P
    uint cg, groups;
    uint rows, block, blocks;
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
    uint base = set * push.frames * push.stats_stride;

    // (frame, block, channel) as the digits of a number that grows by GANG
    uint channel = member % push.cg, step_channel = GANG % push.cg;
    uint rest = member / push.cg, step_rest = GANG / push.cg;
    uint block = rest % push.blocks, step_block = step_rest % push.blocks;
    uint frame = rest / push.blocks, step_frame = step_rest / push.blocks;
    Moments m = Moments(0.0, 0.0, 0.0);
    while (frame < push.frames) {
        uint c = group * push.cg + channel;
        uint at = base + frame * push.stats_stride + 2 * block * push.p + (c < push.c1 ? c : push.p1 + c - push.c1);
        float n = float(min(push.block, push.rows - block * push.block));
        m = merged(m, Moments(n, load_f32(push.stats, at), load_f32(push.stats, at + push.p)));
        channel += step_channel;
        block += step_block;
        frame += step_frame;
        if (channel >= push.cg) {
            channel -= push.cg;
            block++;
        }
        if (block >= push.blocks) {
            block -= push.blocks;
            frame++;
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
