/* attention_launch.c - records attention: which kernel, and the layout of the portable ones (shaders/attention.comp).
 *
 * A layout depends on the number of tokens and the head alone, never on the part that is recorded. */
#include "ops/attention.h"
#include "ops/ops.h"

enum {
    STAGE = 512,        /* vec4 of staged K, and of V, at most: 16 KiB together; four keys of the largest head fit */
    WHOLE_QUADS = 10,   /* vec4 of a head in one lane's registers, twice: what 128 registers hold on most devices, */
    PART_QUADS = 8,     /* with the sums of parts, */
    FEW_QUADS = 5,      /* and with few registers */
    SHUFFLED_QUADS = 8, /* vec4 of all queries in one lane of the shuffled kernel; measured on lavapipe, 8 lanes */
    MAX_QUERIES = 4,
    MAX_SHUFFLED = 40 /* vec4 of the largest head it takes: beyond, compiling takes longer than running */
};

/* How one launch of the staged kernel is laid out. */
struct layout {
    uint32_t lanes, quads, split, keys, capacity, partials; /* specialization constants */
    uint32_t span, pack, stage; /* queries and problems of a workgroup, keys staged at once */
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

/* One launch: of all there is, or of one window of frames. */
static void launch(struct vka_recorder *r, enum vka_dtype storage, const struct vka_attention_shape *whole,
                   const struct vka_attention_tile *wanted, struct vka_attention_push *push)
{
    struct vka_attention_tile tile;
    if (wanted || vka_attention_matrix(r->table, storage, whole, &tile)) {
        vka_attention_launch_matrix(r, wanted ? wanted : &tile, push);
        return;
    }
    if (shuffled(r->table, push->slot)) {
        uint32_t constants[3] = {r->table->subgroup_size, push->slot, shuffled_queries(r->table, push->slot, whole->queries)};
        vka_launch_pinned(r, VKA_WIDE_VARIANT(r->table, storage, VKA_SHADER_ATTENTION_SHUFFLED),
                          r->table->subgroup_size, constants, 3, push, sizeof *push, push->problems,
                          vka_div_up(push->queries, constants[0] * constants[2]));
        return;
    }
    struct layout l = lay_out(r->table, push->slot, whole->queries, push->tokens);
    push->span_pack = l.span | l.pack << 16;
    push->stage_flags |= l.stage;
    uint32_t constants[6] = {l.lanes, l.quads, l.split, l.keys, l.capacity, l.partials};
    vka_launch(r, vka_variant(storage, VKA_SHADER_ATTENTION_F32, VKA_SHADER_ATTENTION_F16), constants, 6, push,
               sizeof *push, (push->problems + l.pack - 1) / l.pack, vka_div_up(push->queries, l.span));
}

void vka_attention_record_tile(const struct vka_node *node, struct vka_recorder *r,
                               const struct vka_attention_tile *wanted)
{
    const struct vka_attention_params *p = (const struct vka_attention_params *)(const void *)node->params;
    const struct vka_view *q = &r->in[0], *k = &r->in[1], *v = &r->in[2], *out = &r->out[0];
    bool temporal = p->kind == VKA_ATTENTION_TEMPORAL, indexed = node->in[3].id != 0;
    uint32_t width = vka_pitch(p->head_dim), slot = width / 4, bytes = vka_dtype_bytes(q->dtype);
    uint32_t frames = p->phase.length ? p->phase.length : r->frames; /* that see each other */
    uint32_t queries = temporal ? frames : q->pixels;
    uint32_t tokens = temporal ? frames : k->pixels;
    /* A part may hold fewer pixels than the tensor; the layout must not know. */
    const struct vka_attention_shape whole = {width, temporal ? frames : q->h * q->w, tokens};
    uint32_t batches = temporal ? out->n / r->frames * out->pixels : out->n;
    struct vka_attention_push push = {.q = q->address + (uint64_t)p->q_channel * bytes,
                                      .k = k->address + (uint64_t)p->k_channel * bytes,
                                      .v = v->address + (uint64_t)p->v_channel * bytes,
                                      .result = out->address,
                                      .index = indexed ? r->in[3].address : 0,
                                      .q_sample = q->sample_stride,
                                      .q_pixel = q->pitch,
                                      .k_sample = k->sample_stride,
                                      .k_pixel = k->pitch,
                                      .v_sample = v->sample_stride,
                                      .v_pixel = v->pitch,
                                      .result_sample = out->sample_stride,
                                      .result_pixel = out->pitch,
                                      .index_sample = indexed ? r->in[3].sample_stride : r->frames,
                                      .queries = queries,
                                      .tokens = tokens,
                                      .heads = p->heads,
                                      .slot = slot,
                                      .inner = temporal ? out->pixels : 1,
                                      .problems = batches * p->heads,
                                      .stage_flags = (temporal ? 1u << 16 : 0) | (p->causal ? 1u << 17 : 0),
                                      .scale = p->scale * 1.44269504088896340736f};
    for (uint32_t i = 0; i < vka_max_u32(p->phase.count, 1); i++) {
        struct vka_attention_push at = push;
        uint64_t frame = (uint64_t)p->phase.first + (uint64_t)i * p->phase.every;
        at.q += frame * q->sample_stride * bytes;
        at.k += frame * k->sample_stride * bytes;
        at.v += frame * v->sample_stride * bytes;
        at.result += frame * out->sample_stride * bytes;
        launch(r, q->dtype, &whole, wanted, &at);
    }
}

void vka_attention_record(const struct vka_node *node, struct vka_recorder *r)
{
    vka_attention_record_tile(node, r, NULL);
}
