/* hint.c - pictures of bytes as a network takes them, the way back from picture.c: x U8X4 [n, H, W, 1] -> [n, H, W, c], channel k
 * being byte k over 255; see shaders/hint.comp.  Cut by samples and pixels. */
#include "ops/launch.h"
#include "ops/ops.h"

struct hint_params {
    uint32_t swap;
};

static void hint_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t hint_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void hint_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct hint_params *p = (const struct hint_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *out = &r->out[0];
    struct {
        uint64_t x, result;
        uint32_t x_stride, result_stride, pixels, pitch, channels, swap;
    } push = {.x = x->address,
              .result = out->address,
              .x_stride = x->sample_stride,
              .result_stride = out->sample_stride,
              .pixels = out->pixels,
              .pitch = out->pitch,
              .channels = out->c,
              .swap = p->swap};
    _Static_assert(sizeof push == 40, "the push block of shaders/hint.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, vka_variant(out->dtype, VKA_SHADER_HINT_F32, VKA_SHADER_HINT_F16), &lanes, 1, &push, sizeof push,
               vka_div_up(push.pixels, lanes), out->n);
}

static const struct vka_op vka_op_hint = {"hint", hint_cost, hint_axes, hint_record, NULL};

vka_tensor vka_hint(vka_build *b, vka_tensor x, uint32_t channels, bool swap)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x))
        return none;
    const struct vka_tensor_info info = *vka_info(b->graph, x);
    if (info.dtype != VKA_U8X4 || info.pitch != 1 || info.domain != VKA_SAMPLE || (channels != 3 && channels != 4)) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s is no picture of %u channels", info.name, channels);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, info.name, VKA_SAMPLE, VKA_TEMP, b->storage, 0, info.h, info.w, channels);
    const struct hint_params p = {swap};
    vka_graph_node(b, &vka_op_hint, vka_scope_root("hint"), &x, 1, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}
