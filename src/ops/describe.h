/* describe.h - what a node computes, told to those who check or time it from outside (bench, tuner): the numbers behind an
 * operator's private parameters, without anything that only picks a kernel.  Linear layers and convolutions are
 * described by ops/matmul.h.
 *
 * Each function returns false when the node is of another operator. */
#ifndef VKA_OPS_DESCRIBE_H
#define VKA_OPS_DESCRIBE_H

#include "graph/graph.h"

struct vka_attention_facts {
    uint32_t kind; /* enum vka_attention_kind */
    uint32_t q_channel, k_channel, v_channel, heads, head_dim;
    bool causal;
    float scale;
};
/* Attention in windows of frames is not described. */
bool vka_attention_describe(const struct vka_node *node, struct vka_attention_facts *out);

/* Both halves of a group norm: statistics and finish. */
struct vka_group_norm_facts {
    uint32_t c1, c2, groups; /* channels of x and x2 */
    uint32_t rows;           /* pixels of a sample */
    bool joint;              /* over all frames of a branch */
    float eps;
};
bool vka_group_norm_describe(const struct vka_node *node, struct vka_group_norm_facts *out);

/* *act: enum vka_act. */
bool vka_norm_apply_describe(const struct vka_node *node, uint32_t *act);
bool vka_layer_norm_describe(const struct vka_node *node, float *eps);
bool vka_timestep_describe(const struct vka_node *node, uint32_t *dim, bool *flip_sin_to_cos, float *shift);

#endif
