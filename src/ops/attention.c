/* attention.c - softmax(q k^T * scale) v per head, for pixels of a sample, pixels against a text, and frames at a
 * pixel: the nodes; attention_launch.c records them.
 *
 * q [nq, h, w, *], k, v [nk, hk, wk, *] -> [nq, h, w, heads * pitch(head_dim)] of q's type. Spatial attention is cut
 * by samples (every key is needed), cross attention by samples and pixels, temporal attention by pixels. */
#include "ops/attention.h"
#include "ops/describe.h"
#include "ops/ops.h"

#include <math.h>

static void attention_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct vka_attention_params *p = (const struct vka_attention_params *)(const void *)node->params;
    const struct vka_tensor_info *q = vka_info(g, node->in[0]), *k = vka_info(g, node->in[1]);
    double rows = (double)q->n * q->h * q->w;
    double tokens = p->kind == VKA_ATTENTION_TEMPORAL ? g->frames : (double)k->h * k->w;
    if (p->phase.length) {
        tokens = p->phase.length;
        rows *= (double)p->phase.length * p->phase.count / g->frames;
    }
    cost->flop = rows * tokens * p->heads * (4.0 * p->head_dim + 4.0);
    /* q, k, v may be ranges of one tensor: what is read of each, and the output */
    double width = (double)p->heads * vka_pitch(p->head_dim);
    cost->bytes =
        (2.0 * rows * vka_dtype_bytes(q->dtype) + 2.0 * (double)k->n * k->h * k->w * vka_dtype_bytes(k->dtype)) * width;
}

static uint32_t attention_axes(const struct vka_graph *g, const struct vka_node *node)
{
    const struct vka_attention_params *p = (const struct vka_attention_params *)(const void *)node->params;
    switch (p->kind) {
    case VKA_ATTENTION_CROSS: /* keys of a sample's own are needed whole */
        return vka_axes_if_sample(g, node, node->in[3].id ? VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL : VKA_AXIS_SAMPLE);
    case VKA_ATTENTION_TEMPORAL:
        return vka_axes_if_sample(g, node, VKA_AXIS_PIXEL);
    default:
        return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
    }
}

static const struct vka_op vka_op_attention = {"attention", attention_cost, attention_axes, vka_attention_record, NULL};

/* The head slots beginning at `channel` lie inside the tensor, and rows of four can be loaded. */
static bool slots_fit(vka_build *b, const struct vka_tensor_info *t, uint32_t channel, uint32_t width,
                      const char *label)
{
    if (channel % 8 == 0 && (uint64_t)channel + width <= t->pitch)
        return true;
    vka_build_fail(b, VKA_E_INTERNAL, "%s: channels %u to %u of %s, which has %u", label, channel, channel + width,
                   t->name, t->c);
    return false;
}

vka_tensor vka_attention(vka_build *b, const struct vka_attention_args *a)
{
    const vka_tensor none = {0};
    if (!vka_build_ok(b, a->q) || !a->k.id || !a->v.id)
        return none;
    const struct vka_tensor_info q = *vka_info(b->graph, a->q), k = *vka_info(b->graph, a->k),
                                 v = *vka_info(b->graph, a->v);
    const char *label = a->label.path;
    if (a->heads == 0 || a->head_dim == 0 || a->head_dim > VKA_ATTENTION_MAX_HEAD) {
        vka_build_fail(b, VKA_E_INPUT, "%s: %u heads of %u; heads of 1 to %u are supported", label, a->heads,
                       a->head_dim, (unsigned)VKA_ATTENTION_MAX_HEAD);
        return none;
    }
    uint32_t width = a->heads * vka_pitch(a->head_dim);
    if (!slots_fit(b, &q, a->q_channel, width, label) || !slots_fit(b, &k, a->k_channel, width, label) ||
        !slots_fit(b, &v, a->v_channel, width, label))
        return none;
    bool cross = a->kind == VKA_ATTENTION_CROSS;
    bool fits = q.dtype == k.dtype && q.dtype == v.dtype && (q.dtype == VKA_F32 || q.dtype == VKA_F16) && k.n == v.n &&
                k.h == v.h && k.w == v.w && k.domain == v.domain;
    if (cross) {
        const struct vka_tensor_info *index = a->index.id ? vka_info(b->graph, a->index) : NULL;
        fits = fits && q.domain == VKA_SAMPLE &&
               (k.domain == VKA_SAMPLE || (index && index->dtype == VKA_I32 && index->domain == VKA_SAMPLE && index->h * index->w == 1));
    } else {
        bool same = q.h == k.h && q.w == k.w, spatial = a->kind == VKA_ATTENTION_SPATIAL;
        fits = fits && q.n == k.n && (same || (spatial && !a->causal)) && q.domain == k.domain &&
               (spatial || q.domain == VKA_SAMPLE);
    }
    if (!fits) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: q %s, k %s and v %s do not fit together", label, q.name, k.name, v.name);
        return none;
    }
    const struct vka_frame_phase *w = &a->phase;
    if (w->length && (a->kind != VKA_ATTENTION_TEMPORAL || !w->count || w->every < w->length ||
                      (uint64_t)w->first + (uint64_t)(w->count - 1) * w->every + w->length > b->graph->frames)) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: %u windows of %u frames do not lie in a clip of %u", label, w->count, w->length,
                       b->graph->frames);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, label, q.domain, VKA_TEMP, q.dtype, q.n, q.h, q.w, width);
    const vka_tensor in[4] = {a->q, a->k, a->v, cross && k.domain == VKA_GLOBAL ? a->index : none};
    const struct vka_attention_params p = {.kind = a->kind,
                                           .q_channel = a->q_channel,
                                           .k_channel = a->k_channel,
                                           .v_channel = a->v_channel,
                                           .heads = a->heads,
                                           .head_dim = a->head_dim,
                                           .causal = a->causal,
                                           .scale = a->scale != 0 ? a->scale : (float)(1.0 / sqrt(a->head_dim)),
                                           .phase = a->phase};
    vka_graph_node(b, &vka_op_attention, a->label, in, 4, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}

bool vka_attention_describe(const struct vka_node *node, struct vka_attention_facts *out)
{
    const struct vka_attention_params *p = (const struct vka_attention_params *)(const void *)node->params;
    if (node->op != &vka_op_attention || p->phase.length)
        return false;
    *out = (struct vka_attention_facts){.kind = p->kind,
                                        .q_channel = p->q_channel,
                                        .k_channel = p->k_channel,
                                        .v_channel = p->v_channel,
                                        .heads = p->heads,
                                        .head_dim = p->head_dim,
                                        .causal = p->causal != 0,
                                        .scale = p->scale};
    return true;
}
