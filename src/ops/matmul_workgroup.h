/* matmul_workgroup.h - products on matrices of a workgroup (shaders/matmul_nv2.comp): what ops/matmul.h's tiles and
 * records become on VKA_PATH_NV2.  matmul_matrix.c and matmul.c ask here; nobody else includes this. */
#ifndef VKA_OPS_MATMUL_WORKGROUP_H
#define VKA_OPS_MATMUL_WORKGROUP_H

#include "ops/matmul.h"

/* Of such a tile `rows` x `columns` are an accumulator (GEGLU has two), `across` is 1 where A comes by tensor
 * addressing as far as the product allows, 0 where it is always gathered, and `stages` are those of gathered blocks. */

bool vka_matmul_on_workgroup(const struct vka_kernel_table *t, const struct vka_matmul_shape *s);
/* As vka_matmul_tiles. */
uint32_t vka_matmul_workgroup_tiles(const struct vka_kernel_table *t, const struct vka_matmul_shape *s,
                                    struct vka_matmul_tile *out, uint32_t most);
void vka_matmul_record_workgroup(const struct vka_node *node, struct vka_recorder *r);

#endif
