/* combine.c - a linear combination of up to six fp32 tensors with coefficients that lie on the device: guidance,
 * sampler updates, input scaling.
 *
 * x[i] [n_i, h, w, c], coefficients f32 [1, 1, 1, m] -> f32 [n, h, w, c]. Rounded term by term in the order given,
 * see shaders/combine.comp. Cut by samples and pixels. */
#include "ops/launch.h"
#include "ops/ops.h"

enum { MAX_TERMS = 6 };

struct combine_params {
    uint32_t count, first;
    uint32_t skip[MAX_TERMS];
    uint32_t cut; /* bit i: x[i] is in the domain SAMPLE, its view is already at the part */
};

static void combine_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct combine_params *p = (const struct combine_params *)(const void *)node->params;
    double elements = vka_elements(vka_info(g, node->out[0]));
    cost->flop = 2.0 * p->count * elements;
    cost->bytes = 4.0 * (p->count + 1) * elements;
}

static uint32_t combine_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void combine_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct combine_params *p = (const struct combine_params *)(const void *)node->params;
    const struct vka_view *out = &r->out[0];
    struct {
        uint64_t x[MAX_TERMS], coefficients, result;
        uint32_t skip_samples[MAX_TERMS], x_stride[MAX_TERMS], count, quads, result_stride, pad;
    } push = {.coefficients = r->in[0].address + 4ull * p->first,
              .result = out->address,
              .count = p->count,
              .quads = out->pixels * (out->pitch / 4),
              .result_stride = out->sample_stride};
    _Static_assert(sizeof push == 128, "the push block of shaders/combine.comp");
    for (uint32_t i = 0; i < p->count; i++) {
        const struct vka_view *x = &r->in[1 + i];
        bool cut = p->cut >> i & 1;
        uint64_t pixel = cut || !r->part.pn || x->h * x->w == 1 ? 0 : r->part.p0;
        push.x[i] = x->address + pixel * x->pitch * 4;
        uint32_t samples = cut ? out->n : x->n, skip = cut ? 0 : (p->skip[i] + r->part.s0) % samples;
        push.skip_samples[i] = skip | samples << 16;
        push.x_stride[i] = x->sample_stride;
    }
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_COMBINE, &lanes, 1, &push, sizeof push, vka_div_up(push.quads, lanes), out->n);
}

static const struct vka_op vka_op_combine = {"combine", combine_cost, combine_axes, combine_record, NULL};

vka_tensor vka_combine(vka_build *b, const struct vka_combine_args *a)
{
    const vka_tensor none = {0};
    if (b->err.status != VKA_OK || !a->coefficients.id)
        return none;
    if (a->count == 0 || a->count > MAX_TERMS) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %u terms", a->label.path, a->count);
        return none;
    }
    struct combine_params p = {.count = a->count, .first = a->first};
    vka_tensor in[1 + MAX_TERMS] = {a->coefficients};
    struct vka_tensor_info shape = {0};
    uint32_t n = UINT32_MAX;
    bool fits = true;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!a->x[i].id)
            return none;
        in[1 + i] = a->x[i];
        const struct vka_tensor_info *x = vka_info(b->graph, a->x[i]);
        if (i == 0)
            shape = *x;
        fits = fits && x->dtype == VKA_F32 && x->h == shape.h && x->w == shape.w && x->c == shape.c &&
               x->pitch == shape.pitch && x->n < 65536;
        if (x->domain == VKA_SAMPLE) {
            p.cut |= 1u << i;
            fits = fits && a->skip[i] == 0; /* a part of a clip sees no other samples */
        } else {
            p.skip[i] = a->skip[i];
            fits = fits && a->skip[i] < x->n;
            n = vka_min_u32(n, x->n - a->skip[i]);
        }
    }
    const struct vka_tensor_info *c = vka_info(b->graph, a->coefficients);
    fits = fits && c->dtype == VKA_F32 && c->domain == VKA_GLOBAL && (uint64_t)a->first + a->count <= c->c;
    if (!fits) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: the tensors to combine do not fit together", a->label.path);
        return none;
    }
    enum vka_domain domain = p.cut || a->to_samples ? VKA_SAMPLE : VKA_GLOBAL;
    vka_tensor out = vka_graph_tensor(b, a->label.path, domain, VKA_TEMP, VKA_F32, n, shape.h, shape.w, shape.c);
    vka_graph_node(b, &vka_op_combine, a->label, in, 1 + a->count, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}
