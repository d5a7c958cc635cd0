/* rescale.c - the spread of guidance's output, sample by sample; see shaders/rescale.comp.
 *
 * guided, positive f32 [n, h, w, c], phi f32 GLOBAL [1, 1, 1, m] -> f32 [n, h, w, c].  Cut by samples: a sample's spread is
 * over all of it. */
#include "ops/launch.h"
#include "ops/ops.h"

struct rescale_params {
    uint32_t first; /* where phi is */
};

static void rescale_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    cost->flop = 20.0 * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node) * 4 / 3; /* guided is read twice */
}

static uint32_t rescale_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
}

static void rescale_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct rescale_params *p = (const struct rescale_params *)(const void *)node->params;
    const struct vka_view *guided = &r->in[0], *positive = &r->in[1], *out = &r->out[0];
    struct {
        uint64_t guided, positive, phi, result;
        uint32_t guided_stride, positive_stride, result_stride, pixels, pitch, channels, samples, pad;
    } push = {.guided = guided->address,
              .positive = positive->address,
              .phi = r->in[2].address + 4ull * p->first,
              .result = out->address,
              .guided_stride = guided->sample_stride,
              .positive_stride = positive->sample_stride,
              .result_stride = out->sample_stride,
              .pixels = out->pixels,
              .pitch = out->pitch,
              .channels = out->c,
              .samples = out->n};
    _Static_assert(sizeof push == 64, "the push block of shaders/rescale.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_RESCALE, &lanes, 1, &push, sizeof push, out->n, 1);
}

static const struct vka_op vka_op_rescale = {"rescale", rescale_cost, rescale_axes, rescale_record, NULL};

vka_tensor vka_rescale(vka_build *b, vka_tensor guided, vka_tensor positive, vka_tensor phi, uint32_t first)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, guided) || !positive.id || !phi.id)
        return none;
    const struct vka_tensor_info x = *vka_info(b->graph, guided), y = *vka_info(b->graph, positive),
                                 f = *vka_info(b->graph, phi);
    if (x.dtype != VKA_F32 || y.dtype != VKA_F32 || x.domain != y.domain || x.n != y.n || x.h != y.h || x.w != y.w ||
        x.c != y.c || x.pitch != y.pitch || f.dtype != VKA_F32 || f.domain != VKA_GLOBAL || first >= f.c) {
        vka_build_fail(b, VKA_E_INTERNAL, "'%s' and '%s' cannot be compared", x.name, y.name);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, "rescaled", x.domain, VKA_TEMP, VKA_F32, x.n, x.h, x.w, x.c);
    const struct rescale_params p = {first};
    const vka_tensor in[3] = {guided, positive, phi};
    vka_graph_node(b, &vka_op_rescale, vka_scope_root("guidance rescale"), in, 3, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}
