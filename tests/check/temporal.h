/* temporal.h - attention along time on queries, keys and values that lie beside one another: [n, h, w, 3 * heads * head_dim]. */
#ifndef VKA_TESTS_TEMPORAL_H
#define VKA_TESTS_TEMPORAL_H

#include "ops/ops.h"

static inline vka_tensor temporal_attention(vka_build *b, vka_tensor qkv, uint32_t heads, uint32_t head_dim,
                                            struct vka_frame_phase phase)
{
    return vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_TEMPORAL,
                                                         .q = qkv,
                                                         .k = qkv,
                                                         .v = qkv,
                                                         .k_channel = heads * head_dim,
                                                         .v_channel = 2 * heads * head_dim,
                                                         .heads = heads,
                                                         .head_dim = head_dim,
                                                         .phase = phase,
                                                         .label = vka_scope_root("attention")});
}

#endif
