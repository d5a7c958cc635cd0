/* motion.c - the motion module: a transformer over the frames of a clip at each pixel.  x [n, h, w, C] -> the same.
 *
 * In windows (ops/frame_windows.h) both attentions of a block run inside a window, as they would for a clip of its length, and
 * the windows' results are merged before the feed-forward: diffusers' order.  Windows without a common frame go through
 * together, so each phase is a pass over the whole clip; frames that no window of a phase holds hold anything there, NaN
 * included: only attention joins frames, and merging leaves them out.  Row t of the positions' table begins again with every
 * window: one table, long enough for all phases, each of which begins in another row of it. */
#include "nets/parts.h"

static uint32_t channels(vka_build *b, vka_tensor x) { return vka_info(b->graph, x)->c; }

enum { ATTENTIONS = 2 };

/* The attentions of a block. */
static vka_tensor attentions(vka_build *b, vka_tensor h, vka_scope t, const vka_motion_info *m, struct vka_net_frames f,
                             vka_tensor *products, struct vka_net_amount amount)
{
    for (uint32_t a = 0; a < vka_min_u32(m->attention_blocks, ATTENTIONS); a++) {
        f.products = products ? &products[a] : NULL;
        h = vka_net_self_attention(b, h, vka_in(t, a ? "norm2" : "norm1"), vka_in(t, a ? "attn2" : "attn1"), m->heads, &f,
                                   (struct vka_net_amount){.table = amount.table, .scale = amount.scale});
    }
    return h;
}

static vka_tensor attentions_in_windows(vka_build *b, vka_tensor h, vka_scope t, const vka_motion_info *m,
                                        const struct vka_frame_windows *w, struct vka_net_amount amount)
{
    uint32_t frames = b->graph->frames, every = vka_frame_windows_phase(w, frames, 0).every;
    vka_tensor products[ATTENTIONS] = {{0}}, merged = h;
    vka_tensor positions = vka_weight_rows_again(b, t, "pos_embed.pe", w->length, every, frames + every - 1);
    for (uint32_t p = 0; p < vka_frame_windows_phases(w, frames); p++) {
        struct vka_net_frames f = {.positions = positions, .phase = vka_frame_windows_phase(w, frames, p)};
        f.first_position = (every - f.phase.first % every) % every;
        vka_tensor y = attentions(b, h, t, m, f, products, amount);
        merged = p ? vka_merge_windows(b, merged, y, w, p, vka_in(t, "windows")) : y;
    }
    return merged;
}

vka_tensor vka_net_motion_windows(vka_build *b, const vka_motion_info *m, uint32_t groups, bool joint_norm,
                                  struct vka_net_amount amount, struct vka_frame_windows windows, vka_tensor x, vka_scope s)
{
    if (b->err.status == VKA_OK && channels(b, x) % m->heads) {
        vka_build_fail(b, VKA_E_INPUT, "%u channels do not divide into %u heads at '%s'", channels(b, x), m->heads, s.path);
        return x;
    }
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(s, "norm"), groups, 1e-6f, joint_norm);
    vka_tensor h = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "proj_in"), .norm = norm});
    for (uint32_t i = 0; i < m->transformer_blocks; i++) {
        vka_scope t = vka_in_index(s, "transformer_blocks", i);
        if (vka_frame_windows_used(&windows, b->graph->frames))
            h = attentions_in_windows(b, h, t, m, &windows, amount);
        else
            h = attentions(b, h, t, m, (struct vka_net_frames){.positions = vka_weight_rows(b, t, "pos_embed.pe")}, NULL,
                           amount);
        h = vka_net_feed_forward(b, h, vka_in(t, "norm3"), vka_in(t, "ff"));
    }
    h = vka_linear(b, h, &(struct vka_linear_args){.at = vka_in(s, "proj_out"), .add = x});
    return amount.effect ? vka_blend(b, x, h, amount.table, VKA_AMOUNT_EFFECT, vka_in(s, "motion effect")) : h;
}

vka_tensor vka_net_motion(vka_build *b, const vka_motion_info *m, uint32_t groups, bool joint_norm,
                          struct vka_net_amount amount, vka_tensor x, vka_scope s)
{
    return vka_net_motion_windows(b, m, groups, joint_norm, amount, (struct vka_frame_windows){0}, x, s);
}
