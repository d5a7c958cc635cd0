/* launch.h - small helpers that operators share: emitting a launch, common shape checks, costs. */
#ifndef VKA_OPS_LAUNCH_H
#define VKA_OPS_LAUNCH_H

#include "graph/graph.h"
#include "ops/table.h"
#include "shaders/shaders.h"

/* Emits one launch of groups_x * groups_y workgroups. What exceeds the device's limit on x continues in z: the kernel
 * counts with shaders/lib/launch.glsl and masks the surplus. `constants` are ids 0 ..; constant 0 is the workgroup's
 * size. */
void vka_launch(struct vka_recorder *r, uint32_t shader, const uint32_t *constants, uint32_t count, const void *push,
                uint32_t push_bytes, uint64_t groups_x, uint32_t groups_y);
/* The same with the subgroup size pinned (0: the driver's choice). */
void vka_launch_pinned(struct vka_recorder *r, uint32_t shader, uint32_t subgroup_size, const uint32_t *constants,
                       uint32_t count, const void *push, uint32_t push_bytes, uint64_t groups_x, uint32_t groups_y);

/* The fp32 or the fp16 binary of a kernel. */
static inline uint32_t vka_variant(enum vka_dtype storage, uint32_t f32, uint32_t f16)
{
    return storage == VKA_F16 ? f16 : f32;
}

/* Of four binaries the one for the storage and the device: NAME_F32, NAME_F16, NAME_F32_WIDE or NAME_F16_WIDE. */
#define VKA_WIDE_VARIANT(table, storage, NAME)                                                                         \
    ((table)->wide_loads ? vka_variant(storage, NAME##_F32_WIDE, NAME##_F16_WIDE)                                      \
                         : vka_variant(storage, NAME##_F32, NAME##_F16))

/* Workgroup size of elementwise kernels: it changes no bit. */
static inline uint32_t vka_elementwise_lanes(const struct vka_kernel_table *t)
{
    return t->cpu ? 32 : 128;
}

/* Elements of a whole tensor without its padding. */
static inline double vka_elements(const struct vka_tensor_info *t)
{
    return (double)t->n * (double)t->h * (double)t->w * (double)t->c;
}

/* Bytes of all inputs and outputs of a node, each counted once; weights too. */
double vka_node_bytes(const struct vka_graph *g, const struct vka_node *node);

/* `mask` when the node's first output is cut with the clip, 0 when it is GLOBAL. */
uint32_t vka_axes_if_sample(const struct vka_graph *g, const struct vka_node *node, uint32_t mask);

/* Whether a build may go on: no error yet and t is a tensor. */
static inline bool vka_build_ok(const vka_build *b, vka_tensor t)
{
    return b->err.status == VKA_OK && t.id != 0;
}

/* A norm's weights "<at>.weight" and "<at>.bias" as f32 tables of exactly `c` elements; false after an error. */
bool vka_norm_weights(vka_build *b, vka_scope at, uint32_t c, vka_tensor *gamma, vka_tensor *beta);

#endif
