/* shapes.c - see shapes.h.
 *
 * A key is text: operator, its numbers, and for each tensor its position and [n, h, w, c] with its type; a weight counts
 * by what it means (its recipe), not by how it is packed. */
#include "shapes.h"

#include "ops/describe.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "ops/pack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *at;
    size_t room;
};

static void put(struct text *t, const char *fmt, ...) VKA_PRINTF(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->at, t->room, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < t->room ? (size_t)n : t->room - 1;
    t->at += used;
    t->room -= used;
}

static void number(struct bench_shape *s, const char *name, double value)
{
    if (s->numbers < BENCH_NUMBERS) {
        s->number[s->numbers].name = name;
        s->number[s->numbers++].value = value;
    }
}

static const char *type_name(enum vka_dtype t)
{
    static const char *const names[] = {"f32", "f16", "i32", "u8"};
    return names[t];
}

static bool is_product(const struct vka_node *n)
{
    return n->op == &vka_op_linear || n->op == &vka_op_conv;
}

int32_t bench_sum_of(const struct vka_graph *g, uint32_t node)
{
    if (!is_product(&g->nodes[node]) || vka_matmul_of(&g->nodes[node])->splits <= 1)
        return -1;
    for (uint32_t i = node + 1; i < g->node_count; i++)
        if (g->nodes[i].op == &vka_op_matmul_sum && g->nodes[i].in[VKA_MATMUL_X].id == g->nodes[node].out[0].id)
            return (int32_t)i;
    return -1;
}

void bench_product_inputs(const struct vka_node *product, const struct vka_node *sum, vka_tensor in[VKA_NODE_INPUTS])
{
    memcpy(in, product->in, sizeof product->in);
    if (sum == product)
        return;
    in[VKA_MATMUL_BIAS] = sum->in[VKA_MATMUL_BIAS];
    in[VKA_MATMUL_SAMPLE_BIAS] = sum->in[VKA_MATMUL_SAMPLE_BIAS];
    in[VKA_MATMUL_ADD] = sum->in[VKA_MATMUL_ADD];
}

/* The first output and whether there is a second: what a product leaves for a norm. */
static void put_tensors(struct text *t, const struct vka_graph *g, const struct vka_node *node,
                        const struct vka_node *sum)
{
    vka_tensor in[VKA_NODE_INPUTS];
    bench_product_inputs(node, sum, in);
    for (uint32_t i = 0; i < node->inputs + sum->outputs; i++) {
        vka_tensor x = i < node->inputs ? in[i] : sum->out[i - node->inputs];
        const struct vka_tensor_info *info = vka_info(g, x);
        if (!x.id)
            continue;
        if (i > node->inputs) {
            put(t, " statistics");
            continue;
        }
        if (info->role != VKA_WEIGHT) {
            put(t, " %u:%u,%u,%u,%u%s%s", i, info->n, info->h, info->w, info->c, type_name(info->dtype),
                info->domain == VKA_GLOBAL ? "g" : "");
            continue;
        }
        struct vka_pack_matrix m;
        memcpy(&m, info->recipe->p, sizeof m);
        if (info->recipe->kind == VKA_PACK_TABLE)
            put(t, " %u:table", i);
        else
            put(t, " %u:%s%u*%u/%u,%u,%u+%u,%u,%u,%u,%u,%u", i, type_name(info->dtype), info->recipe->sources, m.rows,
                m.taps, m.c1, m.c2, m.e1, m.e2, m.heads_in, m.heads_out, m.geglu, m.present);
    }
}

static const char *act_name(uint32_t act)
{
    static const char *const names[] = {"", " silu", " gelu", " quick-gelu", " geglu"};
    return act < sizeof names / sizeof *names ? names[act] : " ?";
}

static void describe_matmul(const struct vka_graph *g, const struct vka_node *node, const struct vka_node *sum,
                            struct bench_shape *s, struct text *key)
{
    const struct vka_matmul_params *p = vka_matmul_of(sum);
    const struct vka_tensor_info *x = vka_info(g, node->in[VKA_MATMUL_X]), *out = vka_info(g, sum->out[0]);
    vka_tensor in[VKA_NODE_INPUTS];
    struct vka_pack_matrix m;
    bench_product_inputs(node, sum, in);
    memcpy(&m, vka_info(g, in[VKA_MATMUL_WEIGHT])->recipe->p, sizeof m);
    uint64_t rows = (uint64_t)out->n * out->h * out->w;
    struct text name = {s->name, sizeof s->name};
    put(key, " k%u n%u act%u,%u kernel%u,%u pad%u,%u up%u,%u fb%d", p->k, p->n, p->act, p->act_in, p->kernel, p->stride,
        p->pad_top, p->pad_left, p->up_h, p->up_w, p->frame_bias);
    if (p->kernel)
        put(&name, "conv %ux%u %ux%ux%u %u -> %u", p->kernel, p->kernel, out->n, out->h, out->w, x->c, p->n);
    else
        put(&name, "linear %llu x %u -> %u", (unsigned long long)rows, p->k, p->n);
    put(&name, "%s", act_name(p->act));
    if (p->stride > 1)
        put(&name, " stride %u", p->stride);
    if (p->kernel && (p->up_h != x->h || p->up_w != x->w))
        put(&name, " enlarged");
    if (p->kernel && in[VKA_MATMUL_X2].id)
        put(&name, " shortcut of %u", m.e1 + m.e2);
    else if (in[VKA_MATMUL_X2].id)
        put(&name, " of two");
    if (m.heads_in)
        put(&name, " of heads");
    if (in[VKA_MATMUL_NORM].id)
        put(&name, " norm");
    if (p->act_in == VKA_ACT_SILU)
        put(&name, " of silu");
    if (!m.present)
        put(&name, " unbiased");
    if (in[VKA_MATMUL_SAMPLE_BIAS].id)
        put(&name, p->frame_bias ? " +frame bias" : " +sample bias");
    if (in[VKA_MATMUL_ADD].id)
        put(&name, " +add");
    if (sum->outputs > 1)
        put(&name, " +statistics");
    if (out->dtype != x->dtype)
        put(&name, " to %s", type_name(out->dtype));
    s->flop = 2.0 * (double)rows * p->n * p->k;
    number(s, "m", (double)rows);
    number(s, "n", p->n);
    number(s, "k", p->k);
    if (p->kernel) {
        number(s, "kernel", p->kernel);
        number(s, "stride", p->stride);
        number(s, "height", out->h);
        number(s, "width", out->w);
    }
}

static void describe_attention(const struct vka_graph *g, const struct vka_node *node,
                               const struct vka_attention_facts *f, struct bench_shape *s, struct text *key)
{
    static const char *const kinds[] = {"spatial", "cross", "temporal"};
    const struct vka_tensor_info *q = vka_info(g, node->in[0]), *k = vka_info(g, node->in[1]);
    double rows = (double)q->n * q->h * q->w;
    uint32_t tokens = f->kind == VKA_ATTENTION_TEMPORAL ? g->frames : k->h * k->w;
    const char *kind = f->kind < sizeof kinds / sizeof *kinds ? kinds[f->kind] : "?";
    put(key, " %u,%u,%u,%u h%u d%u %d %a", f->kind, f->q_channel, f->k_channel, f->v_channel, f->heads, f->head_dim,
        f->causal, (double)f->scale);
    snprintf(s->name, sizeof s->name, "attention %s %.0f x %u tokens, %u heads of %u%s", kind, rows, tokens, f->heads,
             f->head_dim, f->causal ? " causal" : "");
    s->flop = 4.0 * rows * tokens * f->heads * f->head_dim;
    number(s, "queries", rows);
    number(s, "tokens", tokens);
    number(s, "heads", f->heads);
    number(s, "head_dim", f->head_dim);
}

static void describe(const struct vka_graph *g, uint32_t index, struct bench_shape *s)
{
    const struct vka_node *node = &g->nodes[index], *sum = node;
    struct text key = {s->key, sizeof s->key};
    struct vka_cost cost = {0};
    struct vka_attention_facts attention;
    struct vka_group_norm_facts norm;
    const struct vka_tensor_info *out = vka_info(g, node->out[0]);
    uint32_t act, dim;
    float eps, shift;
    bool flip;
    *s = (struct bench_shape){.op = node->op->name, .node = index, .sum = bench_sum_of(g, index)};
    node->op->cost(g, node, &cost);
    s->bytes = cost.bytes;
    if (s->sum >= 0) {
        sum = &g->nodes[s->sum];
        sum->op->cost(g, sum, &cost);
        s->bytes += cost.bytes;
    }
    put(&key, "%s f%u", node->op->name, g->frames);
    snprintf(s->name, sizeof s->name, "%s %ux%ux%ux%u", node->op->name, out->n, out->h, out->w, out->c);
    if (is_product(node))
        describe_matmul(g, node, sum, s, &key);
    else if (vka_attention_describe(node, &attention))
        describe_attention(g, node, &attention, s, &key);
    else if (vka_group_norm_describe(node, &norm)) {
        put(&key, " %u,%u g%u r%u %d %a", norm.c1, norm.c2, norm.groups, norm.rows, norm.joint, (double)norm.eps);
        snprintf(s->name, sizeof s->name, "%s %u x %u x %u%s%s", node->op->name, g->samples, norm.rows,
                 norm.c1 + norm.c2, norm.joint ? " joint" : "", norm.eps < 5e-6f && norm.groups ? " eps 1e-6" : "");
        number(s, "rows", norm.rows);
        number(s, "channels", norm.c1 + norm.c2);
        number(s, "groups", norm.groups);
    } else if (vka_norm_apply_describe(node, &act)) {
        put(&key, " %u", act);
        snprintf(s->name, sizeof s->name, "norm_apply %ux%ux%ux%u%s", out->n, out->h, out->w, out->c, act_name(act));
    } else if (vka_layer_norm_describe(node, &eps)) {
        put(&key, " %a", (double)eps);
        snprintf(s->name, sizeof s->name, "layer_norm %llu x %u%s", (unsigned long long)out->n * out->h * out->w,
                 out->c, node->in[3].id ? " +positions" : "");
    } else if (vka_timestep_describe(node, &dim, &flip, &shift)) {
        put(&key, " %u %d %a", dim, flip, (double)shift);
    }
    if (!s->numbers) {
        number(s, "n", out->n);
        number(s, "height", out->h);
        number(s, "width", out->w);
        number(s, "channels", out->c);
    }
    put_tensors(&key, g, node, sum);
}

static int by_cost(const void *a, const void *b)
{
    const struct bench_shape *x = a, *y = b;
    double fx = x->flop * (x->count + x->once), fy = y->flop * (y->count + y->once);
    double bx = x->bytes * (x->count + x->once), by = y->bytes * (y->count + y->once);
    if (fx != fy)
        return fx < fy ? 1 : -1;
    if (bx != by)
        return bx < by ? 1 : -1;
    return x->node < y->node ? -1 : 1;
}

/* Rows are found again by their names: what differs only in what a name does not say gets a number. */
static void tell_apart(struct bench_shape *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t same = 1;
        for (uint32_t k = i + 1; k < n; k++)
            if (strcmp(s[i].name, s[k].name) == 0) {
                size_t used = strlen(s[k].name);
                snprintf(s[k].name + used, sizeof s[k].name - used, " (%u)", ++same);
            }
    }
}

vka_status bench_shapes_of(const struct vka_graph *g, struct bench_shape **out, uint32_t *count, vka_error *err)
{
    struct bench_shape *s = NULL;
    size_t capacity = 0;
    uint32_t n = 0;
    *out = NULL;
    *count = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].op == &vka_op_matmul_sum)
            continue; /* with the product it belongs to */
        struct bench_shape *grown = vka_grow(s, &capacity, (size_t)n + 1, sizeof *s);
        if (!grown) {
            free(s);
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        }
        s = grown;
        describe(g, i, &s[n]);
        uint32_t k = 0;
        while (k < n && strcmp(s[k].key, s[n].key) != 0)
            k++;
        n += k == n;
        if (g->nodes[i].once)
            s[k].once++;
        else
            s[k].count++;
    }
    if (n)
        qsort(s, n, sizeof *s, by_cost);
    tell_apart(s, n);
    *out = s;
    *count = n;
    return VKA_OK;
}

vka_status bench_network_open(struct bench_network *n, const struct bench_model *model, const struct bench_size *size,
                              const struct vka_kernel_table *table, vka_error *err)
{
    uint32_t factor = model->factor;
    *n = (struct bench_network){.model = model};
    if (!size->frames || !size->width || !size->height || size->width % factor || size->height % factor ||
        (size->motion && size->frames > model->motion.pe_length))
        return vka_fail(err, VKA_E_USAGE,
                        "a clip of %ux%ux%u is not possible: sizes are multiples of %u, frames at most %u", size->width,
                        size->height, size->frames, factor, model->motion.pe_length);
    struct vka_unet_stage_params p = {.weights = model->unet_table,
                                      .motion_weights = size->motion ? model->motion_table : NULL,
                                      .config = &model->unet,
                                      .motion = size->motion ? &model->motion : NULL,
                                      .frames = size->frames,
                                      .height = size->height / factor,
                                      .width = size->width / factor,
                                      .branches = size->branches,
                                      .prompts = size->branches,
                                      .tokens = model->text.max_positions,
                                      .text_width = model->text.hidden,
                                      .f16 = size->f16,
                                      .table = *table};
    vka_status s = vka_unet_stage_build(&n->stage, &p, err);
    if (s == VKA_OK)
        s = bench_shapes_of(bench_graph(n), &n->shapes, &n->count, err);
    if (s != VKA_OK)
        bench_network_close(n);
    return s;
}

void bench_network_close(struct bench_network *n)
{
    vka_unet_stage_end(&n->stage);
    free(n->shapes);
    *n = (struct bench_network){0};
}

const struct bench_shape *bench_network_find(const struct bench_network *n, const char *key)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (strcmp(n->shapes[i].key, key) == 0)
            return &n->shapes[i];
    return NULL;
}

void bench_network_cost(const struct bench_network *n, double *flop, double *bytes)
{
    *flop = *bytes = 0;
    for (uint32_t i = 0; i < n->count; i++) {
        *flop += n->shapes[i].flop * n->shapes[i].count;
        *bytes += n->shapes[i].bytes * n->shapes[i].count;
    }
}
