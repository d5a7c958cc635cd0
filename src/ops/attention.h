/* attention.h - what the files of attention share: a node's parameters, a launch's push block, and its layouts.
 *
 * attention.c builds the nodes, attention_launch.c records them and lays out the portable kernels, attention_matrix.c
 * lays out those of matrix units; nobody else includes this but tests and the bench. */
#ifndef VKA_OPS_ATTENTION_H
#define VKA_OPS_ATTENTION_H

#include "graph/graph.h"
#include "ops/frame_windows.h"
#include "ops/launch.h"

struct vka_attention_params {
    uint32_t kind, q_channel, k_channel, v_channel, heads, head_dim, causal;
    float scale;
    struct vka_frame_phase phase;
};

enum { VKA_ATTENTION_MAX_HEAD = 512 };

/* The push block of shaders/attention.comp and attention_khr.comp. */
struct vka_attention_push {
    uint64_t q, k, v, result, index;
    uint32_t q_sample, q_pixel, k_sample, k_pixel, v_sample, v_pixel, result_sample, result_pixel;
    uint32_t index_sample; /* temporal: samples of a branch */
    uint32_t queries, tokens, heads, slot, inner, problems, span_pack, stage_flags;
    float scale;
};
_Static_assert(sizeof(struct vka_attention_push) == 112, "the push block of shaders/attention.comp");

/* What picks a layout: channels of a head in memory, queries and tokens of one problem of the whole clip, never of a
 * part; of frames in windows, of one window. */
struct vka_attention_shape {
    uint32_t slot, queries, tokens;
};

/* One launch on matrix units. `step` (and the fragment) may change bits, the others do not; of a wide one all may but
 * `transposed`. */
struct vka_attention_tile {
    uint32_t wide;       /* a head's sums are shared by the subgroups of a workgroup: shaders/attention_wide_khr.comp */
    uint32_t rows;       /* fragments of queries in a subgroup (wide: in a workgroup) */
    uint32_t step;       /* keys folded at once */
    uint32_t block;      /* keys in shared memory */
    uint32_t team;       /* subgroups of a problem */
    uint32_t teams;      /* problems of a workgroup */
    uint32_t transposed; /* V lies by channels in shared memory */
    uint32_t ahead;      /* the next block is on its way while one is used */
};

/* Whether matrix units take attention of this shape and type on this device; if so, how. */
bool vka_attention_matrix(const struct vka_kernel_table *t, enum vka_dtype storage,
                          const struct vka_attention_shape *shape, struct vka_attention_tile *tile);
/* Bytes of shared memory of a tile. */
uint32_t vka_attention_shared(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *tile);
/* Tiles for a tuner, equal in bits to that of vka_attention_matrix(), which is the first; returns how many, at most
 * `most`. 0: matrix units do not take this shape. */
uint32_t vka_attention_tiles(const struct vka_kernel_table *t, const struct vka_attention_shape *shape,
                             struct vka_attention_tile *tiles, uint32_t most);
void vka_attention_launch_matrix(struct vka_recorder *r, const struct vka_attention_tile *tile,
                                 const struct vka_attention_push *push);

/* Records a node with this tile; NULL: with the one that vka_attention_record() takes. */
void vka_attention_record_tile(const struct vka_node *node, struct vka_recorder *r,
                               const struct vka_attention_tile *wanted);
void vka_attention_record(const struct vka_node *node, struct vka_recorder *r);

#endif
