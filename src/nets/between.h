/* between.h - frames between two, as a network without weights: see ops/flow.h. */
#ifndef VKA_NETS_BETWEEN_H
#define VKA_NETS_BETWEEN_H

#include "graph/graph.h"

/* pictures U8X4 GLOBAL [2, h, w, 1] -> U8X4 GLOBAL [frames, h, w, 1], at times i / (frames + 1), i = 1 .. frames. */
vka_tensor vka_net_between(vka_build *b, vka_tensor pictures, uint32_t frames);
/* The flow alone: *state [2, h, 1, 8 w] of the full size, *coarse that of a level whose pixels are *factor apart. */
void vka_net_flow(vka_build *b, vka_tensor pictures, vka_tensor *state, vka_tensor *coarse, uint32_t *factor);

#endif
