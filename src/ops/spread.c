/* spread.c - rows of a tensor that all samples share, to the samples that want them.
 *
 * x GLOBAL [m, h, w, c] f32 or f16, index i32 SAMPLE [n, 1, 1, 1] or none -> SAMPLE [n, h, w, c] of x's type; see
 * shaders/spread.comp.  Cut by samples and pixels. */
#include "ops/launch.h"
#include "ops/ops.h"

static void spread_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 0;
    cost->bytes = 2.0 * (double)vka_tensor_bytes(vka_info(g, node->out[0]));
}

static uint32_t spread_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void spread_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct vka_view *x = &r->in[0], *index = &r->in[1], *out = &r->out[0];
    uint32_t bytes = vka_dtype_bytes(out->dtype), first = r->part.pn && out->h * out->w > 1 ? r->part.p0 : 0;
    struct {
        uint64_t x, index, result;
        uint32_t x_stride, index_stride, result_stride, pieces;
    } push = {.x = x->address + (uint64_t)first * x->pitch * bytes,
              .index = node->in[1].id ? index->address : 0,
              .result = out->address,
              .x_stride = x->sample_stride / 4 * bytes,
              .index_stride = node->in[1].id ? index->sample_stride : 0,
              .result_stride = out->sample_stride / 4 * bytes,
              .pieces = out->pixels * (out->pitch * bytes / 16)};
    _Static_assert(sizeof push == 40, "the push block of shaders/spread.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_SPREAD, &lanes, 1, &push, sizeof push, vka_div_up(push.pieces, lanes), out->n);
}

static const struct vka_op vka_op_spread = {"spread", spread_cost, spread_axes, spread_record, NULL};

vka_tensor vka_spread(vka_build *b, vka_tensor x, vka_tensor index, vka_scope label)
{
    const vka_tensor none = {0}, in[2] = {x, index};
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info i = *vka_info(b->graph, x), *k = vka_info(b->graph, index);
    if ((i.dtype != VKA_F32 && i.dtype != VKA_F16) || i.domain != VKA_GLOBAL || i.pitch % 8 || (!index.id && i.n != 1) ||
        (index.id && (k->dtype != VKA_I32 || k->domain != VKA_SAMPLE || k->h * k->w != 1))) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %s cannot be given to samples", label.path, i.name);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, label.path, VKA_SAMPLE, VKA_TEMP, i.dtype, 0, i.h, i.w, i.c);
    vka_graph_node(b, &vka_op_spread, label, in, 2, &out, 1, NULL, 0);
    return b->err.status == VKA_OK ? out : none;
}
