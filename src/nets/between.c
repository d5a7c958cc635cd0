/* between.c - optical flow from coarse to fine in both directions, and the frames between two pictures.  See between.h.
 *
 * A pyramid down to a shorter side of LEAST pixels.  On each level: the flow of the coarser one, a search for patches (but on
 * the finest, where it would cost the most and find the least), then WARPS times the match linearised anew and STEPS steps.
 * All of these numbers are the same for every size and plan.  They were tried on moving textures and shapes of known motion,
 * see tests/check/test_between.c: more steps gain little. */
#include "nets/between.h"

#include "ops/flow.h"

enum { LEVELS = 16, LEAST = 10, WARPS = 5, STEPS = 12 };
static const float LAMBDA = 40;

void vka_net_flow(vka_build *b, vka_tensor pictures, vka_tensor *state, vka_tensor *coarse, uint32_t *factor)
{
    vka_tensor plane[LEVELS];
    uint32_t levels = 1;
    *state = *coarse = (vka_tensor){0};
    *factor = 1;
    plane[0] = vka_flow_luma(b, pictures);
    for (; b->err.status == VKA_OK && levels < LEVELS; levels++) {
        const struct vka_tensor_info *i = vka_info(b->graph, plane[levels - 1]);
        if ((i->h + 1) / 2 < LEAST || (i->c + 1) / 2 < LEAST)
            break;
        plane[levels] = vka_flow_reduce(b, plane[levels - 1]);
    }
    for (uint32_t l = levels; b->err.status == VKA_OK && l-- > 0;) {
        *state = vka_flow_expand(b, plane[l], *state);
        if (l > 0)
            *state = vka_flow_search(b, plane[l], *state);
        for (int k = 0; k < WARPS; k++) {
            vka_tensor match = vka_flow_match(b, plane[l], *state, state);
            for (int i = 0; i < STEPS; i++)
                *state = vka_flow_relax(b, match, *state, LAMBDA);
        }
        if (l + 1 == levels) {
            *coarse = *state;
            *factor = 1u << l;
        }
    }
}

vka_tensor vka_net_between(vka_build *b, vka_tensor pictures, uint32_t frames)
{
    vka_tensor state, coarse;
    uint32_t factor;
    vka_net_flow(b, pictures, &state, &coarse, &factor);
    vka_tensor motion = vka_flow_usual(b, vka_flow_fill(b, pictures, state, coarse, factor), 2);
    vka_tensor paths = vka_flow_usual(b, vka_between_choose(b, pictures, motion, coarse, factor, frames), 1);
    return vka_between(b, pictures, motion, paths);
}
