/* blend.c - a number of its own for each sample: x + w (y - x), x + w y, and some channels of x times w; or for each pixel of
 * each sample: x + w (y - x).  The numbers come from a tensor or, where windows of frames are merged, from the windows
 * themselves.
 *
 * x, y [n, h, w, c] of one type, weights f32 SAMPLE [n, 1, 1, m] (by pixel: [n, h, w, m]), one channel of it -> x's shape and
 * type; see shaders/blend.comp.  May be written over y (the other two: over x).  Cut by samples and pixels. */
#include "ops/launch.h"
#include "ops/ops.h"

enum { BLEND, ADD, SCALE, BY_PIXEL }; /* MODE of shaders/blend.comp */

struct blend_params {
    uint32_t mode;
    uint32_t channel;    /* of the weights */
    uint32_t first, end; /* channels of x that are multiplied */
    float factor;        /* of the weights, where something is added */
    struct vka_frame_windows windows;
    uint32_t phase;
};

enum { MOST_FRAMES = 8192 }; /* of a clip that is merged: its shares are made on the stack */

static void blend_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct blend_params *p = (const struct blend_params *)(const void *)node->params;
    cost->flop = (p->mode == SCALE ? 1.0 : p->mode == ADD ? 2.0 : 3.0) * vka_elements(vka_info(g, node->out[0]));
    cost->bytes = vka_node_bytes(g, node);
}

static uint32_t blend_axes(const struct vka_graph *g, const struct vka_node *node)
{
    return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
}

static void blend_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct blend_params *p = (const struct blend_params *)(const void *)node->params;
    const struct vka_view *x = &r->in[0], *y = node->in[1].id ? &r->in[1] : x, *weights = &r->in[2], *out = &r->out[0];
    struct {
        uint64_t x, y, weights, result;
        uint32_t x_stride, y_stride, weights_stride, result_stride, quads, row_quads, first, end, weights_pitch;
        float factor;
    } push = {.x = x->address,
              .y = y->address,
              .weights = weights->address + 4ull * p->channel,
              .result = out->address,
              .x_stride = x->sample_stride,
              .y_stride = y->sample_stride,
              .weights_stride = weights->sample_stride,
              .result_stride = out->sample_stride,
              .quads = out->pixels * (out->pitch / 4),
              .row_quads = out->pitch / 4,
              .first = p->first / 4,
              .end = p->end / 4,
              .weights_pitch = weights->pitch,
              .factor = p->factor};
    _Static_assert(sizeof push == 72, "the push block of shaders/blend.comp");
    uint32_t constants[] = {vka_elementwise_lanes(r->table), p->mode};
    uint32_t shader = vka_variant(out->dtype, VKA_SHADER_BLEND_F32, VKA_SHADER_BLEND_F16), groups = vka_div_up(push.quads, constants[0]);
    if (!p->windows.length) {
        vka_launch(r, shader, constants, 2, &push, sizeof push, groups, out->n);
        return;
    }
    float share[MOST_FRAMES];
    for (uint32_t f = 0; f < r->frames; f++)
        share[f] = vka_frame_windows_share(&p->windows, r->frames, p->phase, f);
    const uint64_t shares = r->args(r, share, r->frames * (uint32_t)sizeof *share), bytes = vka_dtype_bytes(out->dtype);
    push.weights_stride = 1;
    for (uint32_t s = 0, n; s < out->n; s += n) { /* branch by branch */
        uint32_t frame = (r->part.s0 + s) % r->frames;
        n = vka_min_u32(r->frames - frame, out->n - s);
        push.weights = shares + frame * sizeof *share;
        push.x = x->address + s * bytes * x->sample_stride;
        push.y = y->address + s * bytes * y->sample_stride;
        push.result = out->address + s * bytes * out->sample_stride;
        vka_launch(r, shader, constants, 2, &push, sizeof push, groups, n);
    }
}

static const struct vka_op vka_op_blend = {"blend", blend_cost, blend_axes, blend_record, NULL};

static bool weights_fit(vka_build *b, vka_tensor x, vka_tensor weights, uint32_t channel, uint32_t mode)
{
    const struct vka_tensor_info *i = vka_info(b->graph, x), *w = vka_info(b->graph, weights);
    bool shape = mode == BY_PIXEL ? w->n == i->n && w->h == i->h && w->w == i->w : w->h * w->w == 1;
    return (i->dtype == VKA_F32 || i->dtype == VKA_F16) && i->domain == VKA_SAMPLE && w->domain == VKA_SAMPLE &&
           w->dtype == VKA_F32 && shape && channel < w->c;
}

static vka_tensor append(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, vka_scope label,
                         const struct blend_params *p)
{
    const vka_tensor none = {0}, in[3] = {x, y, weights};
    const struct vka_tensor_info i = *vka_info(b->graph, x);
    vka_tensor out = vka_graph_tensor(b, label.path, VKA_SAMPLE, VKA_TEMP, i.dtype, i.n, i.h, i.w, i.c);
    int32_t node = vka_graph_node(b, &vka_op_blend, label, in, 3, &out, 1, p, sizeof *p);
    vka_graph_in_place(b, node, p->mode == BLEND || p->mode == BY_PIXEL ? 1 : 0);
    return b->err.status == VKA_OK ? out : none;
}

static vka_tensor pair(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, vka_scope label, const struct blend_params *p)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !y.id || !weights.id)
        return none;
    const struct vka_tensor_info *i = vka_info(b->graph, x), *k = vka_info(b->graph, y);
    if (!weights_fit(b, x, weights, p->channel, p->mode) || k->dtype != i->dtype || k->domain != i->domain || k->h != i->h ||
        k->w != i->w || k->c != i->c) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %s and %s cannot be blended", label.path, i->name, k->name);
        return none;
    }
    return append(b, x, y, weights, label, p);
}

vka_tensor vka_merge_windows(vka_build *b, vka_tensor x, vka_tensor y, const struct vka_frame_windows *w, uint32_t phase,
                             vka_scope label)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !y.id)
        return none;
    const struct vka_tensor_info *i = vka_info(b->graph, x), *k = vka_info(b->graph, y);
    if (b->graph->frames > MOST_FRAMES) {
        vka_build_fail(b, VKA_E_USAGE, "%u frames, but windows inside the motion module are for clips of up to %d", b->graph->frames,
                       MOST_FRAMES);
        return none;
    }
    if (!vka_frame_windows_used(w, b->graph->frames) || phase >= vka_frame_windows_phases(w, b->graph->frames) ||
        i->domain != VKA_SAMPLE || k->domain != VKA_SAMPLE || (i->dtype != VKA_F32 && i->dtype != VKA_F16) ||
        k->dtype != i->dtype || k->h != i->h || k->w != i->w || k->c != i->c) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %s and %s are no windows of a clip", label.path, i->name, k->name);
        return none;
    }
    return append(b, x, y, none, label, &(struct blend_params){.mode = BLEND, .windows = *w, .phase = phase});
}

vka_tensor vka_blend(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, vka_scope label)
{
    return pair(b, x, y, weights, label, &(struct blend_params){.mode = BLEND, .channel = channel});
}

vka_tensor vka_add_scaled(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, vka_scope label)
{
    return vka_add_scaled_by(b, x, y, weights, channel, 1, label);
}

vka_tensor vka_add_scaled_by(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, float factor,
                             vka_scope label)
{
    return pair(b, x, y, weights, label, &(struct blend_params){.mode = ADD, .channel = channel, .factor = factor});
}

vka_tensor vka_mask_blend(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor mask, vka_scope label)
{
    return pair(b, x, y, mask, label, &(struct blend_params){.mode = BY_PIXEL});
}

vka_tensor vka_scale_channels(vka_build *b, vka_tensor x, uint32_t first, uint32_t count, vka_tensor weights,
                              uint32_t channel, vka_scope label)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, x) || !weights.id)
        return none;
    const struct vka_tensor_info *i = vka_info(b->graph, x);
    if (!weights_fit(b, x, weights, channel, SCALE) || first % 4 || count % 4 || !count || first > i->pitch ||
        count > i->pitch - first) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: channels %u to %u of %s cannot be scaled", label.path, first,
                       first + count, i->name);
        return none;
    }
    return append(b, x, none, weights, label,
                  &(struct blend_params){.mode = SCALE, .channel = channel, .first = first, .end = first + count});
}
