/* attention.c - softmax(q k^T * scale) v per head, for pixels of a sample, pixels against a text, and frames at a
 * pixel.
 *
 * q [nq, h, w, *], k, v [nk, hk, wk, *] -> [nq, h, w, heads * pitch(head_dim)] of q's type. Spatial attention is cut
 * by samples (every key is needed), cross attention by samples and pixels, temporal attention by pixels. The layout
 * of a launch (see shaders/attention.comp) depends on the number of tokens and the head alone, never on the part. */
#include "ops/launch.h"
#include "ops/ops.h"

#include <math.h>

struct attention_params {
    uint32_t kind, q_channel, k_channel, v_channel, heads, head_dim, causal;
    float scale;
};

enum {
    STAGE = 512,        /* vec4 of staged K, and of V, at most: 16 KiB together */
    WHOLE_QUADS = 10,   /* vec4 of a head in one lane's registers, twice: what 128 registers hold on most devices, */
    PART_QUADS = 8,     /* with the sums of parts, */
    FEW_QUADS = 5,      /* and with few registers */
    MAX_HEAD = 512,     /* four keys of it still fit the stage */
    SHUFFLED_QUADS = 8, /* vec4 of all queries in one lane of the shuffled kernel; measured on lavapipe, 8 lanes */
    MAX_QUERIES = 4,
    MAX_SHUFFLED = 40 /* vec4 of the largest head it takes: beyond, compiling takes longer than running */
};

/* How one launch of the staged kernel is laid out. */
struct layout {
    uint32_t lanes, quads, split, keys, capacity, partials; /* specialization constants */
    uint32_t span, pack, stage;         /* queries and problems of a workgroup, keys staged at once */
};

static struct layout lay_out(const struct vka_kernel_table *t, uint32_t slot, uint32_t queries, uint32_t tokens)
{
    struct layout l = {.split = 1, .lanes = 128};
    while (vka_div_up(slot, l.split) > (t->few_registers ? FEW_QUADS : l.split == 1 ? WHOLE_QUADS : PART_QUADS))
        l.split *= 2;
    if (l.lanes < 8 * l.split)
        l.lanes = 8 * l.split;
    while (l.lanes > t->max_invocations && l.lanes > 8)
        l.lanes /= 2;
    l.split = vka_min_u32(l.split, l.lanes / 8); /* a workgroup has eight queries or more */
    l.quads = vka_div_up(slot, l.split);
    uint32_t whole = l.quads * l.split; /* staged vec4 per key */
    for (l.keys = 16, l.capacity = 0; whole * l.keys > l.capacity && l.keys > 1;) {
        l.keys /= 2;
        l.partials = l.split > 1 ? 2 * l.keys * l.lanes : 1;
        l.capacity = vka_min_u32(STAGE, (t->shared_bytes - 4 * l.partials) / 32); /* every device has 16 KiB */
    }
    uint32_t most = l.lanes / l.split / 8 * 8; /* queries that fit */
    uint32_t blocks = vka_div_up(queries, most);
    l.span = (uint32_t)vka_round_up(vka_div_up(queries, blocks), 8);
    l.pack = l.lanes / (l.span * l.split);
    uint32_t all = (uint32_t)vka_round_up(tokens, l.keys);
    uint32_t fit = l.capacity / whole; /* keys of one problem that fit */
    while (l.pack > 1 && fit / l.pack < vka_min_u32(all, 4 * l.keys))
        l.pack--;
    l.stage = vka_min_u32(fit / l.pack / l.keys * l.keys, all);
    return l;
}

static bool shuffled(const struct vka_kernel_table *t, uint32_t slot)
{
    return t->cpu && slot <= MAX_SHUFFLED;
}

/* Queries per lane of the shuffled kernel: the more, the less is loaded, up to what stays in the first cache. */
static uint32_t shuffled_queries(const struct vka_kernel_table *t, uint32_t slot, uint32_t queries)
{
    uint32_t vectors = vka_div_up(queries, t->subgroup_size);
    uint32_t most = slot >= SHUFFLED_QUADS ? 1 : SHUFFLED_QUADS / slot;
    most = vka_min_u32(most, MAX_QUERIES);
    return vka_div_up(vectors, vka_div_up(vectors, most));
}

static void attention_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct attention_params *p = (const struct attention_params *)(const void *)node->params;
    const struct vka_tensor_info *q = vka_info(g, node->in[0]), *k = vka_info(g, node->in[1]);
    double rows = (double)q->n * q->h * q->w;
    double tokens = p->kind == VKA_ATTENTION_TEMPORAL ? g->frames : (double)k->h * k->w;
    cost->flop = rows * tokens * p->heads * (4.0 * p->head_dim + 4.0);
    /* q, k, v may be ranges of one tensor: what is read of each, and the output */
    double width = (double)p->heads * vka_pitch(p->head_dim);
    cost->bytes =
        (2.0 * rows * vka_dtype_bytes(q->dtype) + 2.0 * (double)k->n * k->h * k->w * vka_dtype_bytes(k->dtype)) * width;
}

static uint32_t attention_axes(const struct vka_graph *g, const struct vka_node *node)
{
    const struct attention_params *p = (const struct attention_params *)(const void *)node->params;
    switch (p->kind) {
    case VKA_ATTENTION_CROSS:
        return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL);
    case VKA_ATTENTION_TEMPORAL:
        return vka_axes_if_sample(g, node, VKA_AXIS_PIXEL);
    default:
        return vka_axes_if_sample(g, node, VKA_AXIS_SAMPLE);
    }
}

static void attention_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct attention_params *p = (const struct attention_params *)(const void *)node->params;
    const struct vka_view *q = &r->in[0], *k = &r->in[1], *v = &r->in[2], *out = &r->out[0];
    bool temporal = p->kind == VKA_ATTENTION_TEMPORAL, cross = p->kind == VKA_ATTENTION_CROSS;
    uint32_t slot = vka_pitch(p->head_dim) / 4, bytes = vka_dtype_bytes(q->dtype);
    uint32_t queries = temporal ? r->frames : q->pixels;
    uint32_t tokens = temporal ? r->frames : k->pixels;
    /* A part may hold fewer pixels than the tensor; the layout must not know. */
    uint32_t whole = temporal ? r->frames : q->h * q->w;
    uint32_t batches = temporal ? out->n / r->frames * out->pixels : out->n;
    struct {
        uint64_t q, k, v, result, index;
        uint32_t q_sample, q_pixel, k_sample, k_pixel, v_sample, v_pixel, result_sample, result_pixel, index_sample;
        uint32_t queries, tokens, heads, slot, inner, problems, span_pack, stage_flags;
        float scale;
    } push = {.q = q->address + (uint64_t)p->q_channel * bytes,
              .k = k->address + (uint64_t)p->k_channel * bytes,
              .v = v->address + (uint64_t)p->v_channel * bytes,
              .result = out->address,
              .index = cross ? r->in[3].address : 0,
              .q_sample = q->sample_stride,
              .q_pixel = q->pitch,
              .k_sample = k->sample_stride,
              .k_pixel = k->pitch,
              .v_sample = v->sample_stride,
              .v_pixel = v->pitch,
              .result_sample = out->sample_stride,
              .result_pixel = out->pitch,
              .index_sample = cross ? r->in[3].sample_stride : 0,
              .queries = queries,
              .tokens = tokens,
              .heads = p->heads,
              .slot = slot,
              .inner = temporal ? out->pixels : 1,
              .problems = batches * p->heads,
              .stage_flags = (temporal ? 1u << 16 : 0) | (p->causal ? 1u << 17 : 0),
              .scale = p->scale * 1.44269504088896340736f};
    _Static_assert(sizeof push == 112, "the push block of shaders/attention.comp");
    if (shuffled(r->table, slot)) {
        uint32_t constants[3] = {r->table->subgroup_size, slot, shuffled_queries(r->table, slot, whole)};
        vka_launch_pinned(r, VKA_WIDE_VARIANT(r->table, q->dtype, VKA_SHADER_ATTENTION_SHUFFLED),
                          r->table->subgroup_size, constants, 3, &push, sizeof push, push.problems,
                          vka_div_up(queries, constants[0] * constants[2]));
        return;
    }
    struct layout l = lay_out(r->table, slot, whole, tokens);
    push.span_pack = l.span | l.pack << 16;
    push.stage_flags |= l.stage;
    uint32_t constants[6] = {l.lanes, l.quads, l.split, l.keys, l.capacity, l.partials};
    vka_launch(r, vka_variant(q->dtype, VKA_SHADER_ATTENTION_F32, VKA_SHADER_ATTENTION_F16), constants, 6, &push,
               sizeof push, (push.problems + l.pack - 1) / l.pack, vka_div_up(queries, l.span));
}

static const struct vka_op vka_op_attention = {"attention", attention_cost, attention_axes, attention_record};

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
    if (a->heads == 0 || a->head_dim == 0 || a->head_dim > MAX_HEAD) {
        vka_build_fail(b, VKA_E_INPUT, "%s: %u heads of %u; heads of 1 to %u are supported", label, a->heads,
                       a->head_dim, (unsigned)MAX_HEAD);
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
        fits = fits && index && index->dtype == VKA_I32 && index->domain == VKA_SAMPLE && index->h * index->w == 1 &&
               q.domain == VKA_SAMPLE && k.domain == VKA_GLOBAL;
    } else {
        fits = fits && q.n == k.n && q.h == k.h && q.w == k.w && q.domain == k.domain &&
               (a->kind == VKA_ATTENTION_SPATIAL || q.domain == VKA_SAMPLE);
    }
    if (!fits) {
        vka_build_fail(b, VKA_E_INTERNAL, "%s: q %s, k %s and v %s do not fit together", label, q.name, k.name, v.name);
        return none;
    }
    vka_tensor out = vka_graph_tensor(b, label, q.domain, VKA_TEMP, q.dtype, q.n, q.h, q.w, width);
    const vka_tensor in[4] = {a->q, a->k, a->v, cross ? a->index : none};
    const struct attention_params p = {.kind = a->kind,
                                       .q_channel = a->q_channel,
                                       .k_channel = a->k_channel,
                                       .v_channel = a->v_channel,
                                       .heads = a->heads,
                                       .head_dim = a->head_dim,
                                       .causal = a->causal,
                                       .scale = a->scale != 0 ? a->scale : (float)(1.0 / sqrt(a->head_dim))};
    vka_graph_node(b, &vka_op_attention, a->label, in, 4, &out, 1, &p, sizeof p);
    return b->err.status == VKA_OK ? out : none;
}
