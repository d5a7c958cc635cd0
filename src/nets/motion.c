/* motion.c - the motion module: a transformer over the frames of a clip at each pixel.  x [n, h, w, C] -> the same. */
#include "nets/parts.h"

static uint32_t channels(vka_build *b, vka_tensor x) { return vka_info(b->graph, x)->c; }

vka_tensor vka_net_motion(vka_build *b, const vka_motion_info *m, uint32_t groups, bool joint_norm,
                          struct vka_net_amount amount, vka_tensor x, vka_scope s)
{
    if (b->err.status == VKA_OK && channels(b, x) % m->heads) {
        vka_build_fail(b, VKA_E_INPUT, "%u channels do not divide into %u heads at '%s'", channels(b, x), m->heads, s.path);
        return x;
    }
    vka_tensor norm = vka_group_norm(b, x, (vka_tensor){0}, vka_in(s, "norm"), groups, 1e-6f, joint_norm);
    vka_tensor h = vka_linear(b, x, &(struct vka_linear_args){.at = vka_in(s, "proj_in"), .norm = norm});
    for (uint32_t i = 0; i < m->transformer_blocks; i++) {
        vka_scope t = vka_in_index(s, "transformer_blocks", i);
        vka_tensor positions = vka_weight_rows(b, t, "pos_embed.pe");
        for (uint32_t a = 0; a < vka_min_u32(m->attention_blocks, 2); a++)
            h = vka_net_self_attention(b, h, vka_in(t, a ? "norm2" : "norm1"), vka_in(t, a ? "attn2" : "attn1"), m->heads,
                               VKA_ATTENTION_TEMPORAL, positions,
                               (struct vka_net_amount){.table = amount.table, .scale = amount.scale});
        h = vka_net_feed_forward(b, h, vka_in(t, "norm3"), vka_in(t, "ff"));
    }
    h = vka_linear(b, h, &(struct vka_linear_args){.at = vka_in(s, "proj_out"), .add = x});
    return amount.effect ? vka_blend(b, x, h, amount.table, VKA_AMOUNT_EFFECT, vka_in(s, "motion effect")) : h;
}
