/* layer_norm.c - layer normalisation over the channels of each row.
 *
 * x [n, h, w, c] -> [n, h, w, c] of x's type. Cut by samples and pixels: a row sees nothing but itself. */
#include "ops/describe.h"
#include "ops/launch.h"
#include "ops/ops.h"

struct layer_norm_params {
    float eps;
};

static void layer_norm_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 8.0 * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t layer_norm_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void layer_norm_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct layer_norm_params *p = (const struct layer_norm_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *out = &r->out[0];
    struct {
        uint64_t x, gamma, beta, result;
        uint32_t x_stride, result_stride, x_pitch, result_pitch, rows, total, c;
        float eps;
    } push = {.x = x->address,
              .gamma = r->in[1].address,
              .beta = r->in[2].address,
              .result = out->address,
              .x_stride = x->sample_stride,
              .result_stride = out->sample_stride,
              .x_pitch = x->pitch,
              .result_pitch = out->pitch,
              .rows = out->pixels,
              .total = out->n * out->pixels,
              .c = x->c,
              .eps = p->eps};
    _Static_assert(sizeof push == 64, "the push block of shaders/layer_norm.comp");
    /* On a CPU device one lane takes whole rows, four of them: a load costs the same wherever it falls, gamma and
     * beta are shared, and there is no barrier. */
    bool cpu = r->table->cpu;
    uint32_t constants[] = {cpu ? r->table->subgroup_size : 128, cpu ? 1 : 32, cpu ? 4 : 1, x->c % 8 == 0};
    uint32_t rows = constants[0] / constants[1] * constants[2];
    vka_launch(r, VKA_WIDE_VARIANT(r->table, x->dtype, VKA_SHADER_LAYER_NORM), constants, sizeof constants / sizeof *constants, &push,
               sizeof push,
               (push.total + rows - 1) / rows, 1);
}

static const struct vka_op vka_op_layer_norm = {"layer_norm", layer_norm_cost, layer_norm_axes, layer_norm_record, NULL};

vka_tensor vka_layer_norm(vka_build *b, vka_tensor x, vka_scope at, float eps)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, x);
    vka_tensor gamma, beta;
    if (!vka_norm_weights(b, at, info.c, &gamma, &beta))
        return none;
    vka_tensor out = vka_graph_tensor(b, at.path, info.domain, VKA_TEMP, info.dtype, info.n, info.h, info.w, info.c);
    const vka_tensor in[3] = {x, gamma, beta};
    const struct layer_norm_params p = {eps};
    vka_graph_node(b, &vka_op_layer_norm, at, in, 3, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}

bool vka_layer_norm_describe(const struct vka_node *node, float *eps)
{
    const struct layer_norm_params *p = (const struct layer_norm_params *)(const void *)node->params;
    if (node->op != &vka_op_layer_norm)
        return false;
    *eps = p->eps;
    return true;
}
