/* flow.h - optical flow between two pictures, and frames between them, as operators.
 *
 * The method is TV-L1 flow (Zach, Pock and Bischof 2007, "A duality based approach for realtime TV-L1 optical flow"; median and
 * edges: Wedel et al. 2009, Werlberger et al. 2009) by the primal-dual steps of Chambolle and Pock (2011), coarse to fine,
 * helped by a search for patches; the frames between: see shaders/between_choose.comp.
 *
 * All tensors are GLOBAL: pictures U8X4 (r, g, b and a byte that is not read), the others fp32 with dense rows,
 * [n, h, 1, w * k] with k numbers for each of w pixels.  Both directions at once: sample n is the view from picture n to the
 * other.
 *
 *   picture   U8X4 [2, h, w, 1]
 *   plane     [2, h, 1, w]      brightness, 0 .. 1
 *   state     [2, h, 1, 8 w]    the flow (u, v) in pixels to the right and down, the same a step ahead, duals of u and of v
 *   match     [2, h, 1, 4 w]    gx, gy, c, edge: the condition gx u + gy v + c = 0, and the weight of smoothness
 *   motion    [2, h, 1, 4 w]    u, v, 1 where the other direction confirms it or 0, 0
 *
 * Every number of a result depends on the same numbers of the input whatever the plan: none of them is ever cut. */
#ifndef VKA_OPS_FLOW_H
#define VKA_OPS_FLOW_H

#include "graph/graph.h"

vka_tensor vka_flow_luma(vka_build *b, vka_tensor pictures);
/* Half the size, halves rounded up. */
vka_tensor vka_flow_reduce(vka_build *b, vka_tensor plane);
/* The first state of a plane: zero, or that of its half (`from`). */
vka_tensor vka_flow_expand(vka_build *b, vka_tensor plane, vka_tensor from);
/* Replaces flow where a patch within 4 pixels matches much better. */
vka_tensor vka_flow_search(vka_build *b, vka_tensor plane, vka_tensor state);
/* Linearises around the flow's median, which becomes the flow of *smooth. */
vka_tensor vka_flow_match(vka_build *b, vka_tensor plane, vka_tensor state, vka_tensor *smooth);
/* One step towards the least; lambda: weight of the match. */
vka_tensor vka_flow_relax(vka_build *b, vka_tensor match, vka_tensor state, float lambda);
/* The flow where it is confirmed, else that of a neighbour; coarse: the state of a plane whose pixels are `factor` apart. */
vka_tensor vka_flow_fill(vka_build *b, vka_tensor pictures, vka_tensor state, vka_tensor coarse, uint32_t factor);
/* Each motion becomes the one of those up to `reach` (0 .. 2) pixels around that is nearest to all of them: [n, h, 1, 4 w]. */
vka_tensor vka_flow_usual(vka_build *b, vka_tensor motion, uint32_t reach);
/* The motions that pass through the pixels of `frames` pictures at 1 / (frames + 1), 2 / (frames + 1) .. of the time between
 * both: paths [frames, h, 1, 4 w]: u, v, the share of pixels around that are confirmed, 0. */
vka_tensor vka_between_choose(vka_build *b, vka_tensor pictures, vka_tensor motion, vka_tensor coarse, uint32_t factor,
                              uint32_t frames);
/* These pictures: U8X4 [frames, h, w, 1]. */
vka_tensor vka_between(vka_build *b, vka_tensor pictures, vka_tensor motion, vka_tensor paths);

#endif
