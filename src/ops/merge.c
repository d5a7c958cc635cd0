/* merge.c - what windows predict for the frames of a clip, added to their sums.
 *
 * sum f32 SAMPLE [n, h, w, c], x f32 GLOBAL [m, h, w, c], table f32 SAMPLE [n, 1, 1, 2 terms] -> f32 [n, h, w, c]; see
 * shaders/merge.comp.  May be written over the sum.  Cut by samples and pixels. */
#include "ops/launch.h"
#include "ops/ops.h"

struct merge_params {
    uint32_t terms;
};

static void merge_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 2.0 * vka_elements(vka_info(g, node->in[1]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t merge_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void merge_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct merge_params *p = (const struct merge_params *)(const void *)node->params;
    const struct vka_view *sum = &r->in[0], *x = &r->in[1], *table = &r->in[2], *out = &r->out[0];
    struct {
        uint64_t sum, x, table, result;
        uint32_t sum_stride, x_stride, table_stride, result_stride, terms, quads;
    } push = {.sum = sum->address,
              .x = x->address + (r->part.pn ? 4ull * r->part.p0 * x->pitch : 0),
              .table = table->address,
              .result = out->address,
              .sum_stride = sum->sample_stride,
              .x_stride = x->sample_stride,
              .table_stride = table->sample_stride,
              .result_stride = out->sample_stride,
              .terms = p->terms,
              .quads = out->pixels * (out->pitch / 4)};
    _Static_assert(sizeof push == 56, "the push block of shaders/merge.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_MERGE, &lanes, 1, &push, sizeof push, vka_div_up(push.quads, lanes), out->n);
}

static const struct vka_op vka_op_merge = {"merge", merge_cost, merge_axes, merge_record, NULL};

vka_tensor vka_merge(vka_build *b, vka_tensor sum, vka_tensor x, vka_tensor table)
{
    const vka_tensor none = {0}, in[3] = {sum, x, table};
    vka_scope at = vka_scope_root("merge windows");
    if (!vka_build_ok(b, sum) || !x.id || !table.id)
        return none;
    const struct vka_tensor_info i = *vka_info(b->graph, sum), *k = vka_info(b->graph, x), *t = vka_info(b->graph, table);
    if (i.dtype != VKA_F32 || i.domain != VKA_SAMPLE || k->dtype != VKA_F32 || k->domain != VKA_GLOBAL || k->h != i.h ||
        k->w != i.w || k->c != i.c || t->dtype != VKA_F32 || t->domain != VKA_SAMPLE || t->h * t->w != 1 || t->c % 2) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %s and %s cannot be merged", at.path, i.name, k->name);
        return none;
    }
    const struct merge_params p = {t->c / 2};
    vka_tensor out = vka_graph_tensor(b, at.path, VKA_SAMPLE, VKA_TEMP, VKA_F32, i.n, i.h, i.w, i.c);
    int32_t node = vka_graph_node(b, &vka_op_merge, at, in, 3, &out, 1, &p, sizeof p);
    vka_graph_in_place(b, node, 0);
    return b->err.status == VKA_OK ? out : none;
}
