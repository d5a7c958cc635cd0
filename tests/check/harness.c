/* harness.c - see harness.h.
 *
 * The block holds guard, tensor, guard, tensor, ..., guard; every guard and all else that is not an input or a weight
 * is filled with 0xff bytes, which is NaN in fp32 and fp16. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"

#include "base/clock.h"
#include "base/half.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 4096, ARGS_BYTES = 1 << 20 };

static void on_log(void *user, int level, const char *text)
{
    (void)user;
    if (level <= VKA_LOG_ERROR)
        fprintf(stderr, "%s\n", text);
}

vka_gpu *check_open_gpu(void)
{
    return check_open_gpu_with(VKA_TRANSFERS_BEST, false);
}

vka_gpu *check_open_gpu_with(enum vka_transfers transfers, bool timers)
{
    vka_gpu *gpu = NULL;
    vka_error err = {0};
    vka_gpu_params p = {.validation = true, .transfers = transfers, .timers = timers,
                        .log = {.write = on_log, .level = VKA_LOG_ERROR}};
    vka_status s = vka_gpu_create(&gpu, &p, &err);
    if (s == VKA_E_DEVICE) {
        fprintf(stderr, "skipped: %s\n", err.what);
        exit(77);
    }
    if (s != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return gpu;
}

/* lavapipe has no matrices of a workgroup, but all else that those kernels ask for: they have a form for that. */
static bool only_subgroups(const vka_gpu_info *info)
{
    const struct vka_matrix2 *m = &info->matrix2;
    return info->cpu && !m->workgroup_scope && m->flexible && m->conversions && m->per_element;
}

struct vka_kernel_table check_table(const vka_gpu *gpu)
{
    struct vka_kernel_table t;
    vka_error err = {0};
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    const char *path = getenv("VKA_CHECK_PATH");
    bool form = path && !strcmp(path, "nv2") && only_subgroups(info);
    vka_kernel_table_init(&t, info);
    vka_status s = vka_kernel_table_take(&t, info, form ? "khr" : path, getenv("VKA_CHECK_MATRIX"), &err);
    if (s == VKA_OK && form) {
        t.id += VKA_PATH_NV2 - VKA_PATH_KHR;
        t.path = VKA_PATH_NV2;
        t.matrix2.max_dimension = info->matrix2.max_dimension;
    }
    if (s == VKA_E_DEVICE) {
        fprintf(stderr, "skipped: %s, %s\n", err.what, err.why);
        exit(77);
    }
    if (s != VKA_OK)
        fail_msg("%s", err.what);
    return t;
}

void check_close_gpu(vka_gpu **gpu)
{
    assert_int_equal(vka_gpu_validation_messages(*gpu), 0);
    vka_gpu_destroy(gpu);
}

/* ---- weights and inputs --------------------------------------------------------------------------- */

static bool find(void *user, const char *name, struct vka_weight_data *out)
{
    struct check *c = user;
    for (uint32_t i = 0; i < c->weight_count; i++) {
        struct check_weight_entry *w = &c->weights[i];
        if (strcmp(w->name, name) != 0)
            continue;
        if (out) {
            *out = (struct vka_weight_data){.name = w->name, .data = w->values, .rank = w->rank};
            memcpy(out->dims, w->dims, sizeof w->dims);
        }
        return true;
    }
    return false;
}

static void to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    (void)user;
    memcpy(out, (const float *)w->data + first, count * sizeof *out);
}

static void *need(void *p)
{
    assert_non_null(p);
    return p;
}

struct check *check_begin(vka_gpu *gpu, enum vka_dtype storage, enum vka_dtype weights, uint32_t branches,
                          uint32_t frames)
{
    struct check *c = need(calloc(1, sizeof *c));
    c->gpu = gpu;
    c->table = check_table(gpu);
    c->graph = need(vka_graph_create("check", branches, frames));
    c->build = (vka_build){.graph = c->graph,
                           .storage = c->table.storage_f16 ? storage : VKA_F32,
                           .weights = weights,
                           .table = &c->table,
                           .source = {.user = c, .find = find, .to_f32 = to_f32}};
    return c;
}

void check_end(struct check **check)
{
    struct check *c = *check;
    vka_list_destroy(c->gpu, &c->list);
    vka_block_destroy(c->gpu, &c->block);
    vka_block_destroy(c->gpu, &c->args);
    vka_graph_destroy(&c->graph);
    for (uint32_t i = 0; i < c->weight_count; i++)
        free(c->weights[i].values);
    for (uint32_t i = 0; i < CHECK_TENSORS; i++)
        free(c->inputs[i]);
    free(c->before);
    free(c);
    *check = NULL;
}

float *check_random(uint64_t seed, size_t count, float scale)
{
    float *v = need(malloc((count + 1) * sizeof *v));
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        v[i] = ((float)(uint32_t)(s >> 40) / 8388608.0f - 1.0f) * scale;
    }
    return v;
}

uint16_t *check_random_halves(uint64_t seed, size_t count, float scale)
{
    float *values = check_random(seed, count, scale);
    uint16_t *halves = need(malloc((count + 1) * sizeof *halves));
    for (size_t i = 0; i < count; i++)
        halves[i] = vka_float_to_half(values[i]);
    free(values);
    return halves;
}

void check_ok(vka_status status, const vka_error *err)
{
    if (status != VKA_OK)
        fail_msg("%s: %s", err->what, err->why);
}

void check_finite(const char *what, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            fail_msg("%s: element %zu is not finite", what, i);
}

void check_spoil(struct vka_exec *exec)
{
    for (uint32_t i = 0; i < exec->plan->arena_block_count; i++) {
        size_t bytes = (size_t)(exec->plan->arena_blocks[i] + VKA_BLOCK_SLACK);
        void *nan = need(malloc(bytes));
        vka_error err = {0};
        memset(nan, 0xff, bytes);
        check_ok(vka_block_write(exec->gpu, exec->arena[i], 0, nan, bytes, &err), &err);
        free(nan);
    }
}

void check_round(float *values, size_t count, enum vka_dtype type)
{
    for (size_t i = 0; type == VKA_F16 && i < count; i++)
        values[i] = vka_half_to_float(vka_float_to_half(values[i]));
}

void check_weight(struct check *c, const char *name, uint32_t rank, const uint64_t *dims, const float *values)
{
    assert_true(c->weight_count < CHECK_WEIGHTS && rank <= 8);
    struct check_weight_entry *w = &c->weights[c->weight_count++];
    size_t count = 1;
    snprintf(w->name, sizeof w->name, "%s", name);
    w->rank = rank;
    for (uint32_t i = 0; i < rank; i++)
        count *= w->dims[i] = dims[i];
    w->values = need(malloc(count * sizeof *values));
    memcpy(w->values, values, count * sizeof *values);
}

static void build_ok(const struct check *c)
{
    if (c->build.err.status != VKA_OK)
        fail_msg("building: %s (%s)", c->build.err.what, c->build.err.why);
    if (c->build.missing_count)
        fail_msg("building: '%s' is missing", c->build.missing[0]);
}

vka_tensor check_input(struct check *c, const char *name, enum vka_domain domain, enum vka_dtype dtype, uint32_t n,
                       uint32_t h, uint32_t w, uint32_t channels, const void *values)
{
    enum vka_dtype asked = dtype;
    if (asked == VKA_F16 && !c->table.storage_f16)
        dtype = VKA_F32;
    vka_tensor t = vka_graph_tensor(&c->build, name, domain, VKA_INPUT, dtype, n, h, w, channels);
    build_ok(c);
    assert_true(t.id < CHECK_TENSORS);
    const struct vka_tensor_info *info = vka_info(c->graph, t);
    uint8_t *bytes = need(calloc(1, vka_tensor_bytes(info)));
    for (size_t p = 0; p < (size_t)info->n * h * w; p++)
        for (uint32_t k = 0; k < channels; k++) {
            size_t from = p * channels + k, to = p * info->pitch + k;
            if (dtype == VKA_F16)
                ((uint16_t *)(void *)bytes)[to] = vka_float_to_half(((const float *)values)[from]);
            else
                memcpy(bytes + to * 4, (const uint8_t *)values + from * 4, 4);
            if (asked != dtype)
                check_round((float *)(void *)bytes + to, 1, asked);
        }
    c->inputs[t.id] = bytes;
    return t;
}

/* ---- running ------------------------------------------------------------------------------------- */

static struct vka_view view(const struct check *c, vka_tensor t, const struct vka_cut *cut)
{
    const struct vka_tensor_info *i = vka_info(c->graph, t);
    if (!t.id)
        return (struct vka_view){0};
    struct vka_view v = {.address = c->block->address + c->offsets[t.id],
                         .sample_stride = i->h * i->w * i->pitch,
                         .n = i->n,
                         .pixels = i->h * i->w,
                         .h = i->h,
                         .w = i->w,
                         .c = i->c,
                         .pitch = i->pitch,
                         .dtype = i->dtype};
    if (i->domain != VKA_SAMPLE)
        return v;
    uint64_t first = (uint64_t)cut->s0 * v.sample_stride;
    v.n = cut->sn;
    if (cut->pn && i->h * i->w * i->block > 1) {
        v.pixels = cut->pn / i->block;
        first += (uint64_t)(cut->p0 / i->block) * v.pitch;
    }
    v.address += first * vka_dtype_bytes(i->dtype);
    return v;
}

struct recording {
    struct check *check;
    const char *label;
    uint32_t args_used;
};

static void emit(struct vka_recorder *r, const struct vka_dispatch *d)
{
    struct recording *rec = r->user;
    struct check *c = rec->check;
    vka_pipeline_key key;
    vka_pipeline *pipeline = NULL;
    vka_error err = {0};
    memset(&key, 0, sizeof key);
    key.shader = d->shader;
    key.subgroup_size = d->subgroup_size;
    key.full_subgroups = d->subgroup_size && d->constants[0] % d->subgroup_size == 0;
    key.count = d->count;
    memcpy(key.constants, d->constants, d->count * sizeof *d->constants);
    if (vka_gpu_pipeline(c->gpu, &key, &pipeline, &err) != VKA_OK)
        fail_msg("%s: %s (%s)", rec->label, err.what, err.why);
    vka_list_dispatch(c->list, pipeline, d->push, d->push_bytes, d->groups, rec->label);
}

static uint64_t put_args(struct vka_recorder *r, const void *data, uint32_t bytes)
{
    struct recording *rec = r->user;
    uint64_t at = rec->args_used;
    vka_error err = {0};
    assert_true(bytes % 4 == 0 && at + bytes <= ARGS_BYTES);
    assert_int_equal(vka_block_write(rec->check->gpu, rec->check->args, at, data, bytes, &err), VKA_OK);
    rec->args_used = (uint32_t)vka_round_up(at + bytes, 16);
    return rec->check->args->address + at;
}

void check_in_place(struct check *c, vka_tensor out, vka_tensor in)
{
    assert_true(in.id < out.id &&
                vka_tensor_bytes(vka_info(c->graph, in)) == vka_tensor_bytes(vka_info(c->graph, out)));
    c->in_place[out.id] = in.id;
}

static void place_tensors(struct check *c)
{
    const struct vka_graph *g = c->graph;
    uint64_t bytes = GUARD;
    vka_error err = {0};
    assert_true(g->tensor_count <= CHECK_TENSORS);
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        c->offsets[i] = c->in_place[i] ? c->offsets[c->in_place[i]] : bytes;
        if (c->in_place[i])
            continue;
        bytes = vka_round_up(bytes + vka_tensor_bytes(&g->tensors[i]), 256) + GUARD;
    }
    if (vka_block_create(c->gpu, bytes, VKA_MEMORY_DEVICE, false, &c->block, &err) != VKA_OK ||
        vka_block_create(c->gpu, ARGS_BYTES, VKA_MEMORY_DEVICE, true, &c->args, &err) != VKA_OK)
        fail_msg("%s", err.what);
    c->before = need(malloc(bytes));
    memset(c->before, 0xff, bytes);
    for (uint32_t i = 1; i < g->tensor_count; i++) {
        const struct vka_tensor_info *t = &g->tensors[i];
        if (c->inputs[i])
            memcpy(c->before + c->offsets[i], c->inputs[i], vka_tensor_bytes(t));
        else if (t->role == VKA_WEIGHT && vka_pack_weight(t, c->before + c->offsets[i], &err) != VKA_OK)
            fail_msg("packing: %s", err.what);
    }
    /* the slack behind the block's end too, where the host sees it */
    if (c->block->map)
        memset((uint8_t *)c->block->map + bytes, 0xff, VKA_BLOCK_SLACK);
    assert_int_equal(vka_block_write(c->gpu, c->block, 0, c->before, bytes, &err), VKA_OK);
}

static void record_node(struct recording *rec, const struct vka_node *node, const struct vka_cut *cut)
{
    struct check *c = rec->check;
    struct vka_recorder r = {
        .table = &c->table, .part = *cut, .frames = c->graph->frames, .emit = emit, .args = put_args, .user = rec};
    for (uint32_t i = 0; i < node->inputs; i++)
        r.in[i] = view(c, node->in[i], cut);
    for (uint32_t i = 0; i < node->outputs; i++)
        r.out[i] = view(c, node->out[i], cut);
    rec->label = node->op->name;
    node->op->record(node, &r);
}

static void submit(struct check *c)
{
    uint64_t ticket;
    bool done = false;
    vka_error err = {0};
    if (vka_gpu_submit(c->gpu, &c->list, 1, &ticket, &err) != VKA_OK ||
        vka_gpu_wait(c->gpu, ticket, 600, &done, &err) != VKA_OK || !done)
        fail_msg("the run failed: %s", err.what);
}

/* Nothing but outputs of nodes may have changed. */
static void check_guards(struct check *c)
{
    const struct vka_graph *g = c->graph;
    uint64_t bytes = c->block->size;
    uint8_t *after = need(malloc(bytes));
    vka_error err = {0};
    assert_int_equal(vka_block_read(c->gpu, c->block, 0, after, bytes, &err), VKA_OK);
    for (uint32_t i = 1; i < g->tensor_count; i++) /* what may change is made equal */
        if (g->tensors[i].producer >= 0)
            memcpy(after + c->offsets[i], c->before + c->offsets[i], vka_tensor_bytes(&g->tensors[i]));
    for (uint64_t i = 0; i < bytes; i++)
        if (after[i] != c->before[i]) {
            uint32_t t = 1;
            for (uint32_t k = 2; k < g->tensor_count; k++)
                t = c->offsets[k] <= i && c->offsets[k] > c->offsets[t] ? k : t;
            fail_msg("byte %lld from the beginning of '%s' (%llu bytes) was written", (long long)(i - c->offsets[t]),
                     g->tensors[t].name, (unsigned long long)vka_tensor_bytes(&g->tensors[t]));
        }
    free(after);
}

/* Every node of a clip can run branch by branch. */
static bool whole_branches(const struct check *c, const struct vka_node *node, const struct vka_cut *cut)
{
    return vka_info(c->graph, node->out[0])->domain == VKA_SAMPLE && cut->s0 % c->graph->frames == 0 &&
           cut->sn % c->graph->frames == 0;
}

void check_run(struct check *c, const struct vka_cut *cuts, uint32_t count)
{
    vka_error err = {0};
    struct recording rec = {.check = c};
    build_ok(c);
    place_tensors(c);
    assert_int_equal(vka_list_begin(c->gpu, "check", &c->list, &err), VKA_OK);
    for (uint32_t i = 0; i < c->graph->node_count; i++) {
        const struct vka_node *node = &c->graph->nodes[i];
        uint32_t axes = node->op->axes(c->graph, node);
        bool fits = count > 0;
        for (uint32_t k = 0; k < count; k++)
            fits = fits && (cuts[k].sn == 0 || axes & VKA_AXIS_SAMPLE || whole_branches(c, node, &cuts[k])) &&
                   (cuts[k].pn == 0 || axes & VKA_AXIS_PIXEL);
        vka_list_barrier(c->list);
        for (uint32_t k = 0; k < (fits ? count : 1); k++) {
            struct vka_cut cut = fits ? cuts[k] : (struct vka_cut){0};
            if (cut.sn == 0)
                cut.sn = c->graph->samples;
            record_node(&rec, node, &cut);
        }
    }
    if (vka_list_end(c->list, &err) != VKA_OK)
        fail_msg("recording: %s", err.what);
    submit(c);
    check_guards(c);
}

double check_time(struct check *c, uint32_t rounds)
{
    double best = HUGE_VAL;
    for (uint32_t i = 0; i < rounds; i++) {
        double begin = vka_now();
        submit(c);
        double t = vka_now() - begin;
        uint64_t ns = vka_list_time(c->gpu, c->list);
        if (ns)
            t = (double)ns * 1e-9;
        best = t < best ? t : best;
    }
    return best;
}

float *check_output(struct check *c, vka_tensor t)
{
    const struct vka_tensor_info *info = vka_info(c->graph, t);
    uint64_t bytes = vka_tensor_bytes(info);
    uint32_t wide = info->dtype == VKA_U8X4 ? 4 : 1;
    size_t pixels = (size_t)info->n * info->h * info->w;
    uint8_t *raw = need(malloc(bytes));
    float *out = need(malloc(pixels * info->c * wide * sizeof *out));
    vka_error err = {0};
    assert_int_equal(vka_block_read(c->gpu, c->block, c->offsets[t.id], raw, bytes, &err), VKA_OK);
    for (size_t p = 0; p < pixels; p++)
        for (uint32_t k = 0; k < info->pitch; k++) {
            size_t at = p * info->pitch + k;
            float v[4] = {0};
            if (info->dtype == VKA_F16)
                v[0] = vka_half_to_float(((const uint16_t *)(const void *)raw)[at]);
            else if (info->dtype == VKA_I32)
                v[0] = (float)((const int32_t *)(const void *)raw)[at];
            else if (info->dtype == VKA_U8X4)
                for (uint32_t e = 0; e < 4; e++)
                    v[e] = raw[at * 4 + e];
            else
                memcpy(v, raw + at * 4, 4);
            if (k < info->c)
                memcpy(out + (p * info->c + k) * wide, v, wide * sizeof *v);
            else if (v[0] != 0.0f)
                fail_msg("'%s': pad channel %u of pixel %zu is %g, not zero", info->name, k, p, (double)v[0]);
        }
    free(raw);
    return out;
}

float *check_run_along(struct check *c, vka_tensor out, enum check_along along)
{
    enum { MOST = 32 };
    const struct vka_tensor_info *o = vka_info(c->graph, out);
    struct vka_cut cuts[MOST];
    uint32_t pixels = o->h * o->w, count = 0;
    for (uint32_t s = 0; along == CHECK_SAMPLES && s < c->graph->samples; s += 2, count++) {
        assert_true(count < MOST);
        cuts[count] = (struct vka_cut){.s0 = s, .sn = vka_min_u32(2, c->graph->samples - s)};
    }
    for (uint32_t p = 0; along == CHECK_PIXELS && p < pixels; p += 4, count++) {
        assert_true(count < MOST);
        cuts[count] = (struct vka_cut){.p0 = p, .pn = vka_min_u32(4, pixels - p)};
    }
    check_run(c, cuts, count);
    float *got = check_output(c, out);
    check_end(&c);
    return got;
}

void check_close(const char *what, const float *got, const double *want, size_t count, double tolerance)
{
    size_t worst = 0;
    double most = -1;
    for (size_t i = 0; i < count; i++) {
        double e = fabs((double)got[i] - want[i]) / (1 + fabs(want[i]));
        if (!(e <= most)) { /* NaN is the worst of all */
            most = e;
            worst = i;
            if (isnan(e))
                break;
        }
    }
    if (!(most <= tolerance))
        fail_msg("%s: element %zu of %zu is %.9g, should be %.9g (error %.3g, allowed %.3g)", what, worst, count,
                 (double)got[worst], want[worst], most, tolerance);
}

void check_same(const char *what, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: element %zu of %zu is %.9g in parts, %.9g whole", what, i, count, (double)a[i], (double)b[i]);
}
