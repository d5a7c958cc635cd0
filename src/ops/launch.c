/* launch.c - what launch.h declares: launches folded into the device's limits, bytes of a node, weights of a norm. */
#include "ops/launch.h"
#include "ops/ops.h"

#include <string.h>

enum { FOLDED_ROW = 4096 };

void vka_launch_pinned(struct vka_recorder *r, uint32_t shader, uint32_t subgroup_size, const uint32_t *constants,
                       uint32_t count, const void *push, uint32_t push_bytes, uint64_t groups_x, uint32_t groups_y)
{
    if (groups_x == 0 || groups_y == 0)
        return;
    const uint32_t *limit = r->table->max_groups;
    struct vka_dispatch d;
    memset(&d, 0, sizeof d);
    d.shader = shader;
    d.subgroup_size = subgroup_size;
    d.count = count;
    memcpy(d.constants, constants, count * sizeof *constants);
    d.push_bytes = push_bytes;
    memcpy(d.push, push, push_bytes);
    uint64_t row = groups_x; /* groups along x; short where z is needed: a long launch is taken apart between its z */
    if (row > limit[0]) {
        row = vka_min_u32(limit[0], FOLDED_ROW);
        if ((groups_x + row - 1) / row > limit[2])
            row = limit[0];
    }
    d.groups[0] = (uint32_t)row;
    d.groups[1] = groups_y;
    d.groups[2] = (uint32_t)((groups_x + row - 1) / row);
    r->emit(r, &d);
}

void vka_launch(struct vka_recorder *r, uint32_t shader, const uint32_t *constants, uint32_t count, const void *push,
                uint32_t push_bytes, uint64_t groups_x, uint32_t groups_y)
{
    vka_launch_pinned(r, shader, 0, constants, count, push, push_bytes, groups_x, groups_y);
}

double vka_node_bytes(const struct vka_graph *g, const struct vka_node *node)
{
    double bytes = 0;
    for (uint32_t i = 0; i < node->inputs; i++)
        if (node->in[i].id)
            bytes += (double)vka_tensor_bytes(vka_info(g, node->in[i]));
    for (uint32_t i = 0; i < node->outputs; i++)
        bytes += (double)vka_tensor_bytes(vka_info(g, node->out[i]));
    return bytes;
}

uint32_t vka_axes_if_sample(const struct vka_graph *g, const struct vka_node *node, uint32_t mask)
{
    return vka_info(g, node->out[0])->domain == VKA_SAMPLE ? mask : 0;
}

bool vka_norm_weights(vka_build *b, vka_scope at, uint32_t c, vka_tensor *gamma, vka_tensor *beta)
{
    *gamma = vka_weight_table(b, at, "weight");
    *beta = vka_weight_table(b, at, "bias");
    if (b->err.status != VKA_OK || !gamma->id || !beta->id)
        return false;
    const vka_tensor tables[2] = {*gamma, *beta};
    for (int i = 0; i < 2; i++) {
        const struct vka_tensor_info *t = vka_info(b->graph, tables[i]);
        if ((uint64_t)t->n * t->h * t->w * t->c != c) {
            vka_build_fail(b, VKA_E_INPUT, "%s.%s has %llu elements, but the network has %u channels there", at.path,
                           i ? "bias" : "weight", (unsigned long long)((uint64_t)t->n * t->h * t->w * t->c), c);
            return false;
        }
    }
    return true;
}
