/* unit.c - see unit.h.
 *
 * The unit's graph has the samples and frames of the network's, so that the operator records what it would there.  Every
 * tensor that no node of the unit makes is an input with a block of its own; outputs are filled with NaN before the first
 * run. */
#include "unit.h"

#include "check.h"

#include "base/clock.h"
#include "base/half.h"
#include "ops/describe.h"
#include "ops/matmul.h"
#include "ops/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A list of repetitions takes about this long on a GPU, on a software device, and a warm-up this long. */
static const double list_seconds = 0.010, list_seconds_cpu = 0.005, warm_seconds = 0.050;
enum { MOST_ROUNDS = 256 };

/* ---- the graph ------------------------------------------------------------------------------------------ */

static vka_tensor copy_tensor(struct bench_unit *u, const struct vka_tensor_info *t)
{
    if (t->role == VKA_WEIGHT)
        return vka_graph_weight(&u->build, t->name, t->dtype, t->n, t->h, t->w, t->c, t->recipe);
    vka_tensor copy = vka_graph_tensor(&u->build, t->name, t->domain, VKA_INPUT, t->dtype, t->n, t->h, t->w, t->c);
    if (copy.id)
        u->graph->tensors[copy.id].block = t->block;
    return copy;
}

/* How input number `input` of a node is filled. */
static struct bench_fill fill_for(const struct vka_graph *g, const struct vka_node *node, uint32_t input, uint32_t id)
{
    struct bench_fill f = {.salt = id};
    const struct vka_tensor_info *x = vka_info(g, node->in[0]), *x2 = vka_info(g, node->in[1]);
    struct vka_attention_facts a;
    struct vka_group_norm_facts norm;
    uint32_t act, dim;
    float shift;
    bool flip;
    if (node->op == &vka_op_linear || node->op == &vka_op_conv) {
        struct vka_pack_matrix m;
        memcpy(&m, vka_info(g, node->in[VKA_MATMUL_WEIGHT])->recipe->p, sizeof m);
        if (input == VKA_MATMUL_X && m.heads_in) {
            f.slot = vka_pitch(m.c1 / m.heads_in);
            f.valid = m.c1 / m.heads_in;
        } else if (input == VKA_MATMUL_SAMPLE_BIAS && m.heads_out) {
            f.slot = vka_pitch(m.rows / m.heads_out);
            f.valid = m.rows / m.heads_out;
        } else if (input == VKA_MATMUL_NORM) {
            f.kind = BENCH_FILL_NORM;
            f.normed = x->c + (node->in[VKA_MATMUL_X2].id ? x2->c : 0);
        }
    } else if (vka_attention_describe(node, &a)) {
        f.slot = vka_pitch(a.head_dim);
        f.valid = a.head_dim;
        if (input == 3) {
            f.kind = BENCH_FILL_BRANCH;
            f.limit = g->frames;
            f.slot = 0;
        }
    } else if (vka_group_norm_describe(node, &norm) && norm.groups) { /* the finish, of one or two statistics */
        f.kind = BENCH_FILL_STATS;
        f.rows = norm.rows;
        f.normed = input ? norm.c2 : norm.c1;
    } else if (vka_norm_apply_describe(node, &act) && input == 2) {
        f.kind = BENCH_FILL_NORM;
        f.normed = vka_info(g, node->out[0])->c;
    } else if (vka_timestep_describe(node, &dim, &flip, &shift)) {
        f.kind = BENCH_FILL_STEP;
    } else if (vka_info(g, node->in[input])->dtype == VKA_I32) { /* ids of rows of a table */
        f.kind = BENCH_FILL_TOKEN;
        f.limit = x2->w;
    }
    if (f.slot == f.valid)
        f.slot = 0; /* no pads: quicker to make */
    return f;
}

static vka_status build(struct bench_unit *u, const struct vka_graph *g, uint32_t node,
                        const struct vka_kernel_table *table, vka_error *err)
{
    int32_t sum = bench_sum_of(g, node);
    const uint32_t list[2] = {node, sum < 0 ? node : (uint32_t)sum}, count = sum < 0 ? 1 : 2;
    vka_tensor known[2 * (VKA_NODE_INPUTS + VKA_NODE_OUTPUTS)], made[2 * (VKA_NODE_INPUTS + VKA_NODE_OUTPUTS)];
    vka_tensor changing[BENCH_UNIT_TENSORS];
    uint32_t tensors = 0, inputs = 0;
    u->graph = vka_graph_create("bench", g->samples / g->frames, g->frames);
    if (!u->graph)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    u->build = (vka_build){.graph = u->graph, .table = table};
    for (uint32_t k = 0; k < count; k++) {
        const struct vka_node *n = &g->nodes[list[k]];
        vka_tensor in[VKA_NODE_INPUTS] = {{0}}, out[VKA_NODE_OUTPUTS] = {{0}};
        for (uint32_t i = 0; i < n->inputs + n->outputs; i++) {
            bool written = i >= n->inputs;
            vka_tensor t = written ? n->out[i - n->inputs] : n->in[i];
            uint32_t at = 0;
            while (at < tensors && known[at].id != t.id)
                at++;
            if (t.id && at == tensors) {
                known[tensors] = t;
                made[tensors++] = copy_tensor(u, vka_info(g, t));
                if (u->build.err.status == VKA_OK && !written && vka_info(g, t)->role != VKA_WEIGHT &&
                    made[at].id < BENCH_UNIT_TENSORS) {
                    u->fill[made[at].id] = fill_for(g, n, i, made[at].id);
                    changing[inputs++] = made[at];
                }
            }
            if (t.id && written)
                out[i - n->inputs] = made[at];
            else if (t.id)
                in[i] = made[at];
            if (t.id && written && u->build.err.status == VKA_OK)
                u->graph->tensors[made[at].id].role = VKA_TEMP;
        }
        vka_graph_node(&u->build, n->op, vka_scope_root(n->label), in, n->inputs, out, n->outputs, n->params,
                       sizeof n->params);
        if (k + 1 == count)
            for (uint32_t i = 0; i < n->outputs; i++)
                vka_graph_output(&u->build, out[i]);
    }
    vka_status s = vka_build_finish(&u->build, changing, inputs, err);
    if (s == VKA_OK && u->graph->tensor_count > BENCH_UNIT_TENSORS)
        s = vka_fail(err, VKA_E_INTERNAL, "a node of %u tensors", u->graph->tensor_count - 1);
    return s;
}

/* ---- on the device -------------------------------------------------------------------------------------- */

static vka_status fill_nan(struct bench_unit *u, vka_block *block, vka_error *err)
{
    enum { CHUNK = 4 << 20 };
    void *chunk = malloc(CHUNK);
    vka_status s = chunk ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of host memory");
    if (chunk)
        memset(chunk, 0xff, CHUNK);
    for (uint64_t at = 0; s == VKA_OK && at < block->size; at += CHUNK)
        s = vka_block_write(u->gpu, block, at, chunk, block->size - at < CHUNK ? block->size - at : CHUNK, err);
    free(chunk);
    return s;
}

static vka_status place(struct bench_unit *u, vka_error *err)
{
    vka_status s = VKA_OK;
    for (uint32_t t = 1; s == VKA_OK && t < u->graph->tensor_count; t++) {
        const struct vka_tensor_info *info = &u->graph->tensors[t];
        if (info->role != VKA_INPUT && info->role != VKA_OUTPUT)
            continue;
        s = vka_block_create(u->gpu, vka_tensor_bytes(info), VKA_MEMORY_DEVICE, false, &u->block[t], err);
        if (s == VKA_OK && info->role == VKA_INPUT)
            s = bench_upload(u->gpu, u->pool, &u->fill[t], info, u->block[t], 0, err);
        else if (s == VKA_OK)
            s = fill_nan(u, u->block[t], err);
        if (s == VKA_OK) {
            vka_exec_bind(u->exec, (vka_tensor){t}, u->block[t]->address);
            u->planned += vka_block_footprint(vka_tensor_bytes(info));
        }
    }
    return s;
}

vka_status bench_unit_open(struct bench_unit *u, vka_gpu *gpu, const struct bench_pool *pool, const struct vka_graph *g,
                           uint32_t node, const struct vka_kernel_table *table, const vka_ticker *ticker,
                           vka_error *err)
{
    *u = (struct bench_unit){.gpu = gpu, .pool = pool};
    vka_status s = build(u, g, node, table, err);
    const struct vka_knobs knobs = vka_knobs_free();
    struct vka_plan *plan = s == VKA_OK ? vka_plan_make(u->graph, &knobs, err) : NULL;
    if (s == VKA_OK && !plan)
        s = err ? err->status : VKA_E_MEMORY;
    if (s == VKA_OK)
        s = vka_exec_create(&u->exec, gpu, plan, table, ticker, err);
    if (s == VKA_OK)
        s = place(u, err);
    if (s == VKA_OK)
        s = vka_exec_record(u->exec, err);
    if (s == VKA_OK)
        s = vka_exec_run(u->exec, true, ticker, err);
    if (s == VKA_OK) {
        u->planned += vka_exec_footprint(u->exec->plan, u->exec->program->args_bytes);
        u->launches = u->exec->program->launch_count;
    } else {
        bench_unit_close(u);
    }
    return s;
}

void bench_unit_close(struct bench_unit *u)
{
    vka_exec_destroy(&u->exec);
    for (uint32_t t = 0; u->gpu && t < BENCH_UNIT_TENSORS; t++)
        vka_block_destroy(u->gpu, &u->block[t]);
    vka_graph_destroy(&u->graph);
    *u = (struct bench_unit){0};
}

vka_status bench_unit_read(struct bench_unit *u, uint32_t output, uint32_t sample, uint32_t pixel, float *out,
                           vka_error *err)
{
    vka_tensor t = u->graph->nodes[u->graph->node_count - 1].out[output];
    const struct vka_tensor_info *info = vka_info(u->graph, t);
    uint32_t size = vka_dtype_bytes(info->dtype);
    uint64_t at = ((uint64_t)sample * info->h * info->w + pixel) * info->pitch * size,
             bytes = (uint64_t)info->pitch * size;
    if (info->dtype != VKA_F16)
        return vka_block_read(u->gpu, u->block[t.id], at, out, bytes, err);
    uint16_t *half = malloc((size_t)bytes);
    vka_status s = half ? vka_block_read(u->gpu, u->block[t.id], at, half, bytes, err)
                        : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; s == VKA_OK && i < info->pitch; i++)
        out[i] = vka_half_to_float(half[i]);
    free(half);
    return s;
}

/* ---- time ----------------------------------------------------------------------------------------------- */

/* As the executor asks for it. */
static vka_status pipeline_of(vka_gpu *gpu, const struct vka_dispatch *d, vka_pipeline **out, vka_error *err)
{
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = d->shader;
    key.subgroup_size = d->subgroup_size;
    key.count = d->count;
    memcpy(key.constants, d->constants, d->count * sizeof *d->constants);
    key.full_subgroups = d->subgroup_size && d->constants[0] % d->subgroup_size == 0;
    return vka_gpu_pipeline(gpu, &key, out, err);
}

static vka_status record_rounds(struct bench_unit *u, uint32_t rounds, vka_list **list, vka_error *err)
{
    const struct vka_program *p = u->exec->program;
    vka_status s = vka_list_begin(u->gpu, "bench", list, err);
    for (uint32_t r = 0; s == VKA_OK && r < rounds; r++) {
        for (uint32_t i = 0; s == VKA_OK && i < p->step_count; i++) {
            vka_list_barrier(*list);
            for (uint32_t l = p->steps[i].launch; s == VKA_OK && l < p->steps[i].launch + p->steps[i].launches; l++) {
                const struct vka_dispatch *d = &p->launches[l];
                vka_pipeline *pipeline = NULL;
                s = pipeline_of(u->gpu, d, &pipeline, err);
                if (s == VKA_OK)
                    vka_list_dispatch(*list, pipeline, d->push, d->push_bytes, d->groups, p->steps[i].node->label);
            }
        }
    }
    return s == VKA_OK ? vka_list_end(*list, err) : s;
}

vka_status bench_list_run(vka_gpu *gpu, vka_list *list, const vka_ticker *ticker, double *seconds, vka_error *err)
{
    uint64_t ticket;
    bool done = false;
    double began = vka_now();
    vka_status s = vka_gpu_submit(gpu, &list, 1, &ticket, err);
    while (s == VKA_OK && !done)
        s = vka_gpu_wait(gpu, ticket, 1.0, &done, err);
    uint64_t ns = s == VKA_OK ? vka_list_time(gpu, list) : 0;
    *seconds = ns ? 1e-9 * (double)ns : vka_now() - began;
    if (s == VKA_OK && ticker && ticker->tick && ticker->tick(ticker->user))
        s = vka_fail(err, VKA_E_STOPPED, "stopped");
    return s;
}

double bench_exec_seconds(const struct vka_exec *x, bool once)
{
    double sum = 0;
    for (uint32_t i = 0; i < x->lists.count; i++)
        if (once || !x->lists.items[i].once)
            sum += 1e-9 * (double)vka_list_time(x->gpu, x->lists.items[i].list);
    return sum;
}

/* What its lists should take, by the first run or a cautious estimate. */
static double expected_seconds(const struct bench_unit *u)
{
    double sum = 0;
    for (uint32_t i = 0; i < u->exec->lists.count; i++)
        sum += u->exec->lists.items[i].seconds;
    return sum;
}

/* Work that the executor has to cut, one run a sample; runs after which the lists were cut anew tell nothing. */
static vka_status time_cut(struct bench_unit *u, const struct bench_sampling *how, const vka_ticker *ticker,
                           struct bench_samples *out, vka_error *err)
{
    double began = vka_now();
    const bool stamps = vka_gpu_describe(u->gpu)->timestamps;
    vka_status s = vka_exec_run(u->exec, true, ticker, err);
    for (uint32_t i = 0; s == VKA_OK && out->count < how->samples && i < 2 * how->samples + 8; i++) {
        double start = vka_now();
        if (out->count && start - began > how->seconds)
            break;
        s = vka_exec_run(u->exec, true, ticker, err);
        double seconds = stamps ? bench_exec_seconds(u->exec, true) : vka_now() - start;
        if (s == VKA_OK && seconds > 0)
            bench_sample_add(out, 1e3 * seconds);
    }
    if (s == VKA_OK && !out->count)
        s = vka_fail(err, VKA_E_INTERNAL, "the device does not tell times of '%s'", u->graph->nodes[0].label);
    return s;
}

vka_status bench_unit_time(struct bench_unit *u, const struct bench_sampling *how, const vka_ticker *ticker,
                           struct bench_samples *out, vka_error *err)
{
    const bool cpu = vka_gpu_describe(u->gpu)->cpu;
    double first = expected_seconds(u), began = vka_now(), once = 0;
    vka_list *list = NULL;
    out->count = 0;
    if (!cpu && first > u->exec->limits.dispatch)
        return time_cut(u, how, ticker, out, err);
    vka_status s = record_rounds(u, 1, &list, err);
    for (uint32_t i = 0; s == VKA_OK && i < 2; i++) /* the first may still compile */
        s = bench_list_run(u->gpu, list, ticker, &once, err);
    double want = cpu ? list_seconds_cpu : list_seconds;
    uint32_t rounds = once > 0 ? (uint32_t)fmin(fmax(ceil(want / once), 1), MOST_ROUNDS) : MOST_ROUNDS;
    if (s == VKA_OK && rounds > 1) {
        vka_list_destroy(u->gpu, &list);
        s = record_rounds(u, rounds, &list, err);
    }
    double warm = vka_now(), last = 0;
    while (s == VKA_OK && !cpu && vka_now() - warm < fmin(warm_seconds, 0.2 * how->seconds)) /* clocks rise */
        s = bench_list_run(u->gpu, list, ticker, &last, err);
    while (s == VKA_OK && out->count < how->samples && (out->count == 0 || vka_now() - began < how->seconds)) {
        s = bench_list_run(u->gpu, list, ticker, &last, err);
        if (s == VKA_OK)
            bench_sample_add(out, 1e3 * last / rounds);
    }
    vka_list_destroy(u->gpu, &list);
    return s;
}

vka_status bench_node_time(vka_gpu *gpu, const struct bench_pool *pool, const struct bench_model *model,
                           const struct bench_size *size, const char *key, const struct vka_kernel_table *table,
                           const struct bench_sampling *how, const vka_ticker *ticker, struct bench_samples *out,
                           struct bench_verdict *check, vka_error *err)
{
    struct bench_network n;
    struct bench_unit u = {0};
    vka_status s = bench_network_open(&n, model, size, table, err);
    if (s != VKA_OK)
        return s;
    const struct bench_shape *shape = bench_network_find(&n, key);
    if (!shape)
        s = vka_fail(err, VKA_E_INTERNAL, "the network has no node '%s'", key);
    if (s == VKA_OK)
        s = bench_unit_open(&u, gpu, pool, bench_graph(&n), shape->node, table, ticker, err);
    if (s == VKA_OK && check)
        s = bench_unit_check(&u, 1, check, err);
    if (s == VKA_OK)
        s = bench_unit_time(&u, how, ticker, out, err);
    bench_unit_close(&u);
    bench_network_close(&n);
    return s;
}
