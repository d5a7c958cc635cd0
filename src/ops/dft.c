/* dft.c - a discrete Fourier transform along one axis of a clip, any length; three in a row are one of the clip.
 *
 * x f32 [n, h, w, 2 m], m a multiple of 4: the real parts of m complex numbers, then their imaginary parts -> the same.  Summed
 * as it is defined: the axes of latents are short, and the longest, a clip's frames, is transformed once in a render; a fast
 * algorithm would want a kernel for each factor of the length.  See shaders/dft.comp.  Along the frames cut by pixels, else by
 * samples. */
#include "ops/launch.h"
#include "ops/ops.h"

#include <math.h>

struct dft_params {
    uint32_t axis, inverse, filtered;
};

static const struct dft_params *params_of(const struct vka_node *node)
{
    return (const struct dft_params *)(const void *)node->params;
}

static uint32_t length_of(const struct vka_tensor_info *x, uint32_t axis, uint32_t frames)
{
    return axis == VKA_DFT_FRAMES ? frames : axis == VKA_DFT_ROWS ? x->h : x->w;
}

static void dft_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct vka_tensor_info *x = vka_info(g, node->in[0]);
    cost->flop = 4.0 * length_of(x, params_of(node)->axis, g->frames) * vka_elements(x);
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t dft_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, params_of(node)->axis == VKA_DFT_FRAMES ? VKA_AXIS_PIXEL : VKA_AXIS_SAMPLE);
}

/* Elements from slab to slab, from line to line of it, and from element to element of a line. */
struct strides {
    uint32_t slab, outer, step;
};

static struct strides strides_of(const struct vka_view *v, uint32_t axis, uint32_t frames)
{
    switch (axis) {
    case VKA_DFT_FRAMES:
        return (struct strides){frames * v->sample_stride, 0, v->sample_stride};
    case VKA_DFT_ROWS:
        return (struct strides){v->sample_stride, 0, v->w * v->pitch};
    default:
        return (struct strides){v->sample_stride, v->w * v->pitch, v->pitch};
    }
}

static void dft_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct dft_params *p = params_of(node);
    const struct vka_view *x = &r->in[0], *filter = &r->in[2], *out = &r->out[0];
    const bool along_frames = p->axis == VKA_DFT_FRAMES;
    const struct strides from = strides_of(x, p->axis, r->frames), to = strides_of(out, p->axis, r->frames),
                         of = strides_of(filter, p->axis, r->frames);
    const uint32_t length = along_frames ? r->frames : p->axis == VKA_DFT_ROWS ? out->h : out->w;
    struct {
        uint64_t x, table, filter, result;
        uint32_t x_slab, x_outer, x_step, filter_slab, filter_outer, filter_step, filter_pitch, result_slab, result_outer,
            result_step, length, inner, pitch, half, count, inverse;
        float scale;
        uint32_t pad;
    } push = {.x = x->address,
              .table = r->in[1].address,
              .filter = p->filtered ? filter->address : 0,
              .result = out->address,
              .x_slab = from.slab,
              .x_outer = from.outer,
              .x_step = from.step,
              .filter_slab = of.slab,
              .filter_outer = of.outer,
              .filter_step = of.step,
              .filter_pitch = filter->pitch,
              .result_slab = to.slab,
              .result_outer = to.outer,
              .result_step = to.step,
              .length = length,
              .inner = along_frames ? out->pixels : p->axis == VKA_DFT_ROWS ? out->w : 1,
              .pitch = out->pitch,
              .half = out->c / 2,
              .count = (along_frames ? r->frames : 1) * out->pixels * (out->c / 8),
              .inverse = p->inverse,
              .scale = p->inverse ? (float)(1.0 / length) : 1};
    _Static_assert(sizeof push == 104, "the push block of shaders/dft.comp");
    uint32_t lanes = vka_elementwise_lanes(r->table);
    vka_launch(r, VKA_SHADER_DFT, &lanes, 1, &push, sizeof push, vka_div_up(push.count, lanes),
               along_frames ? out->n / r->frames : out->n);
}

static const struct vka_op vka_op_dft = {"dft", dft_cost, dft_axes, dft_record, NULL};

vka_tensor vka_dft(vka_build *b, vka_tensor x, enum vka_dft_axis axis, bool inverse, vka_tensor table, vka_tensor filter)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !table.id)
        return none;
    const struct vka_tensor_info i = *vka_info(b->graph, x), t = *vka_info(b->graph, table), *f = vka_info(b->graph, filter);
    uint32_t length = length_of(&i, axis, b->graph->frames);
    if (i.dtype != VKA_F32 || i.domain != VKA_SAMPLE || i.c % 8 || t.dtype != VKA_F32 || t.domain != VKA_GLOBAL ||
        t.n * t.h * t.w != 1 || t.c != (uint64_t)2 * length ||
        (filter.id && (f->dtype != VKA_F32 || f->domain != VKA_SAMPLE || f->h != i.h || f->w != i.w))) {
        vka_build_fail(b, VKA_E_INTERNAL, "'%s' has no transform along that axis with '%s'", i.name, t.name);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, "spectrum", VKA_SAMPLE, VKA_TEMP, VKA_F32, i.n, i.h, i.w, i.c);
    const struct dft_params p = {axis, inverse, filter.id != 0};
    const vka_tensor in[3] = {x, table, filter};
    vka_graph_node(b, &vka_op_dft, vka_scope_root(inverse ? "inverse transform" : "transform"), in, 3, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}

void vka_dft_table(uint32_t length, float *out)
{
    for (uint32_t j = 0; j < length; j++) {
        double angle = 6.283185307179586476925 * j / length;
        out[2 * (size_t)j] = (float)cos(angle);
        out[2 * (size_t)j + 1] = (float)sin(angle);
    }
}
