/* picture.c - decoded pixels in [-1, 1] to bytes: x [n, h, w, >= 3] -> U8X4 [n, h, w, 1], see shaders/picture.comp. */
#include "ops/launch.h"
#include "ops/ops.h"

static void picture_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 12.0 * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t picture_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void picture_record(const struct vka_node *node, struct vka_recorder *r)
{
    (void)node;
    const struct vka_view *x = &r->in[0], *out = &r->out[0];
    struct {
        uint64_t x, result;
        uint32_t x_stride, result_stride, x_pitch, result_pitch, rows, pad;
    } push = {.x = x->address,
              .result = out->address,
              .x_stride = x->sample_stride,
              .result_stride = out->sample_stride,
              .x_pitch = x->pitch,
              .result_pitch = out->pitch,
              .rows = out->pixels};
    _Static_assert(sizeof push == 40, "the push block of shaders/picture.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, vka_variant(x->dtype, VKA_SHADER_PICTURE_F32, VKA_SHADER_PICTURE_F16), &lanes, 1, &push, sizeof push,
               vka_div_up(out->pixels, lanes), out->n);
}

static const struct vka_op vka_op_picture = {"picture", picture_cost, picture_axes, picture_record, NULL};

vka_tensor vka_picture(vka_build *b, vka_tensor x)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, x);
    if (info.c < 3 || (info.dtype != VKA_F32 && info.dtype != VKA_F16)) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s has %u channels, not a picture's three", info.name, info.c);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, "picture", info.domain, VKA_TEMP, VKA_U8X4, info.n, info.h, info.w, 1);
    vka_graph_node(b, &vka_op_picture, vka_scope_root("picture"), &x, 1, &out, 1, NULL, 0);
    return b->err.status == VKA_OK ? out : none;
}
