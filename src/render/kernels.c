/* kernels.c - see kernels.h.
 *
 * The file: {"schema": 1, "kernels": hash of the embedded SPIR-V, "paths": {"khr 16x16x16": {"right", "seconds",
 * "portable_seconds"}}, "tuned": {"khr 16x16x16": [[class, tile], ...]}}.  One that is damaged or of another build counts as
 * empty: the worst case is probing again. */
#include "render/kernels.h"

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "ops/ops.h"
#include "render/exec.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the probe's networks --------------------------------------------------------------------------------------- */

enum { ROWS = 21, COLUMNS = 19, CHANNELS = 96, INNER = 80, HEADS = 2, WIDE = 640, WIDE_SIDE = 64, ROUNDS = 3 };

static const struct {
    const char *name;
    uint32_t rank, dims[4];
} weights[] = {
    {"conv.weight", 4, {INNER, CHANNELS, 3, 3}}, {"conv.bias", 1, {INNER}},
    {"to_q.weight", 2, {INNER, INNER}},          {"to_k.weight", 2, {INNER, INNER}},
    {"to_v.weight", 2, {INNER, INNER}},          {"to_out.weight", 2, {INNER, INNER}},
    {"to_out.bias", 1, {INNER}},                 {"proj.weight", 2, {2 * WIDE, INNER}},
    {"proj.bias", 1, {2 * WIDE}},                {"wide.weight", 2, {WIDE, WIDE}},
};

static bool find(void *user, const char *name, struct vka_weight_data *out)
{
    (void)user;
    for (uint32_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        if (strcmp(weights[i].name, name) != 0)
            continue;
        if (out) {
            *out = (struct vka_weight_data){.name = weights[i].name, .dtype = i, .rank = weights[i].rank};
            for (uint32_t k = 0; k < weights[i].rank; k++)
                out->dims[k] = weights[i].dims[k];
        }
        return true;
    }
    return false;
}

/* Uniform in [-1, 1), a pure function of its number (the finisher of SplitMix64: Steele, Lea and Flood 2014). */
static float random_number(uint64_t n)
{
    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return (float)((n ^ n >> 31) >> 40) / 8388608.0f - 1.0f;
}

/* Such that sums of products stay near 1. */
static void to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    (void)user;
    double inputs = 1;
    for (uint32_t i = 1; i < w->rank; i++)
        inputs *= (double)w->dims[i];
    float scale = (float)sqrt(3.0 / inputs);
    for (uint64_t i = 0; i < count; i++)
        out[i] = scale * random_number((uint64_t)w->dtype << 40 | (first + i));
}

static vka_tensor small_network(vka_build *b, vka_tensor x)
{
    vka_tensor h = vka_conv(b, x, &(struct vka_conv_args){.at = vka_scope_root("conv"), .kernel = 3, .stride = 1,
                                                         .pad = {1, 1, 1, 1}, .act = VKA_ACT_SILU});
    vka_tensor qkv = vka_linear(b, h, &(struct vka_linear_args){.at = vka_scope_root("to_q"), .stacked = 2,
                                                               .stack = {vka_scope_root("to_k"), vka_scope_root("to_v")},
                                                               .heads_out = HEADS});
    vka_tensor o = vka_attention(b, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = qkv, .k = qkv, .v = qkv,
                                                                 .k_channel = INNER, .v_channel = 2 * INNER,
                                                                 .heads = HEADS, .head_dim = INNER / HEADS,
                                                                 .label = vka_scope_root("attention")});
    h = vka_linear(b, o, &(struct vka_linear_args){.at = vka_scope_root("to_out"), .heads_in = HEADS, .add = h});
    return vka_linear(b, h, &(struct vka_linear_args){.at = vka_scope_root("proj"), .act = VKA_ACT_GEGLU, .out_f32 = true});
}

static vka_tensor wide_network(vka_build *b, vka_tensor x)
{
    return vka_linear(b, x, &(struct vka_linear_args){.at = vka_scope_root("wide"), .out_f32 = true});
}

/* One run of a network over random numbers: its output (free it) and its seconds, the least of ROUNDS. */
static vka_status run(vka_gpu *gpu, const struct vka_kernel_table *table, bool wide, float **values, size_t *count,
                      double *seconds, vka_error *err)
{
    uint32_t h = wide ? WIDE_SIDE : ROWS, w = wide ? WIDE_SIDE : COLUMNS, c = wide ? WIDE : CHANNELS;
    struct vka_graph *g = vka_graph_create("probe", 1, wide ? 1 : 2);
    struct vka_exec *exec = NULL;
    struct vka_plan *plan = NULL;
    vka_block *io = NULL;
    *values = NULL;
    if (!g)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_build b = {.graph = g, .source = {NULL, find, to_f32}, .table = table, .storage = VKA_F16, .weights = VKA_F16};
    vka_tensor x = vka_graph_tensor(&b, "x", VKA_SAMPLE, VKA_INPUT, VKA_F16, 0, h, w, c);
    vka_tensor y = wide ? wide_network(&b, x) : small_network(&b, x);
    vka_graph_output(&b, y);
    vka_status s = vka_build_finish(&b, &x, 1, err);
    uint64_t need = 0, in_bytes = 0, out_bytes = 0;
    if (s == VKA_OK) {
        in_bytes = vka_round_up(vka_tensor_bytes(vka_info(g, x)), VKA_PLAN_ALIGN);
        out_bytes = vka_tensor_bytes(vka_info(g, y));
        s = vka_exec_plan(g, table, &(struct vka_ask){.room = {UINT64_MAX, UINT64_MAX}}, 0, &plan, &need, err);
    }
    if (s == VKA_OK)
        s = vka_exec_create(&exec, gpu, plan, table, NULL, err);
    if (s == VKA_OK)
        s = vka_block_create(gpu, in_bytes + out_bytes, VKA_MEMORY_DEVICE, false, &io, err);
    uint16_t *input = s == VKA_OK ? malloc(in_bytes) : NULL;
    *values = s == VKA_OK ? malloc(out_bytes) : NULL;
    if (s == VKA_OK && (!input || !*values))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK) {
        for (uint64_t i = 0; i < in_bytes / 2; i++)
            input[i] = vka_float_to_half(random_number(i ^ UINT64_C(0x5eed) << 32));
        s = vka_block_write(gpu, io, 0, input, in_bytes, err);
    }
    if (s == VKA_OK) {
        vka_exec_bind(exec, x, io->address);
        vka_exec_bind(exec, y, io->address + in_bytes);
        s = vka_exec_record(exec, err);
    }
    *seconds = HUGE_VAL;
    for (int i = 0; s == VKA_OK && i < (wide ? ROUNDS : 1); i++) {
        s = vka_exec_run(exec, true, NULL, err);
        uint64_t ns = 0;
        for (uint32_t k = 0; s == VKA_OK && k < exec->lists.count; k++)
            ns += vka_list_time(gpu, exec->lists.items[k].list);
        *seconds = fmin(*seconds, 1e-9 * (double)ns);
    }
    if (s == VKA_OK)
        s = vka_block_read(gpu, io, in_bytes, *values, out_bytes, err);
    *count = out_bytes / sizeof **values;
    free(input);
    vka_exec_destroy(&exec);
    vka_block_destroy(gpu, &io);
    vka_graph_destroy(&g);
    return s;
}

static bool agree(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= 0.02f * (1.0f + fabsf(b[i])))) /* NaN does not agree */
            return false;
    return true;
}

vka_status vka_kernels_probe(vka_gpu *gpu, const struct vka_kernel_table *table, bool *right, double seconds[2],
                             vka_error *err)
{
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    struct vka_kernel_table tables[2] = {*table};
    vka_kernel_table_init(&tables[1], info);
    vka_status s = vka_kernel_table_take(&tables[1], info, "fp16", NULL, err);
    int paths = table->path == VKA_PATH_FP16 ? 1 : 2;
    *right = true;
    for (int wide = 0; s == VKA_OK && wide < 2; wide++) {
        float *values[2] = {NULL, NULL};
        size_t count = 0;
        for (int k = 0; s == VKA_OK && k < paths; k++)
            s = run(gpu, &tables[k], wide, &values[k], &count, &seconds[k], err);
        if (s == VKA_OK)
            *right = *right && agree(values[0], values[paths - 1], count);
        if (paths == 1)
            seconds[1] = seconds[0];
        free(values[0]);
        free(values[1]);
    }
    return s;
}

/* ---- the file ------------------------------------------------------------------------------------------------------- */

static char *file_path(const vka_gpu_info *info)
{
    char name[128];
    char *folder = vka_cache_dir(), *path = NULL;
    int used = snprintf(name, sizeof name, "kernels-%04x-%04x-%08x-", info->vendor & 0xffffu, info->device & 0xffffu,
                        info->driver_version);
    for (size_t i = 0; i < 8; i++)
        used += snprintf(name + used, sizeof name - (size_t)used, "%02x", info->driver_uuid[i]);
    snprintf(name + used, sizeof name - (size_t)used, ".json");
    if (folder)
        path = vka_path_join(folder, name);
    free(folder);
    return path;
}

/* What is known of this device, driver and build: a new reference, an empty object where that is nothing. */
static json_t *read_file(const vka_gpu_info *info)
{
    enum { LIMIT = 1 << 20 };
    char *path = file_path(info), *text = NULL, hex[65];
    size_t size = 0;
    json_t *known = NULL;
    if (path && vka_path_exists(path) && vka_read_file(path, LIMIT, &text, &size, NULL) == VKA_OK)
        known = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    vka_kernels_hash(hex);
    const char *kernels = json_string_value(json_object_get(known, "kernels"));
    if (!kernels || strcmp(kernels, hex) != 0 || json_integer_value(json_object_get(known, "schema")) != 1) {
        json_decref(known);
        known = json_pack("{s:i, s:s, s:{}, s:{}}", "schema", 1, "kernels", hex, "paths", "tuned");
    }
    free(text);
    free(path);
    return known;
}

static vka_status write_file(const vka_gpu_info *info, const json_t *known, vka_error *err)
{
    char *path = file_path(info), *text = json_dumps(known, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    vka_status s = path && text ? vka_write_file(path, text, strlen(text), err)
                                : vka_fail(err, VKA_E_OUTPUT, "there is no cache folder to write to");
    free(text);
    free(path);
    return s;
}

static void path_key(const struct vka_kernel_table *t, char key[48])
{
    snprintf(key, 48, "%s %ux%ux%u", vka_path_name(t->path), t->matrix.m, t->matrix.n, t->matrix.k);
}

/* Whether the table's path is right and faster than the portable kernels, from the file or by a probe. */
static vka_status worth_taking(vka_gpu *gpu, struct vka_kernel_table *t, bool *yes, const vka_log *log, vka_error *err)
{
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    char key[48];
    path_key(t, key);
    json_t *known = read_file(info), *of = json_object_get(json_object_get(known, "paths"), key);
    bool right = json_is_true(json_object_get(of, "right"));
    double seconds[2] = {json_number_value(json_object_get(of, "seconds")),
                         json_number_value(json_object_get(of, "portable_seconds"))};
    vka_status s = VKA_OK;
    if (!json_is_object(of)) {
        s = vka_kernels_probe(gpu, t, &right, seconds, err);
        if (s == VKA_OK) {
            json_object_set_new(json_object_get(known, "paths"), key,
                                json_pack("{s:b, s:f, s:f}", "right", right, "seconds", seconds[0], "portable_seconds",
                                          seconds[1]));
            vka_error none = {0};
            if (write_file(info, known, &none) != VKA_OK)
                vka_logf(log, VKA_LOG_DEBUG, "%s", none.what);
        }
    }
    json_decref(known);
    *yes = right && (seconds[0] <= seconds[1] || seconds[1] <= 0);
    t->flops = seconds[0] > 0 ? 2.0 * (double)(WIDE_SIDE * WIDE_SIDE) * (double)(WIDE * WIDE) / seconds[0] : 0;
    if (s == VKA_OK && !*yes)
        vka_logf(log, VKA_LOG_WARN, "the path %s on '%.200s': %s", key, info->name,
                 right ? "the portable kernels are faster there" : "its results are wrong");
    return s;
}

static void read_tuned(const vka_gpu_info *info, struct vka_kernel_table *t)
{
    char key[48];
    path_key(t, key);
    json_t *known = read_file(info), *pair;
    size_t i;
    t->tuned_count = 0;
    json_array_foreach(json_object_get(json_object_get(known, "tuned"), key), i, pair)
    {
        json_int_t class = json_integer_value(json_array_get(pair, 0)), tile = json_integer_value(json_array_get(pair, 1));
        if (t->tuned_count < VKA_TUNED && class >= 0 && class <= UINT32_MAX && tile >= 0 && tile <= UINT32_MAX)
            t->tuned[t->tuned_count++] = (struct vka_tuned){(uint32_t)class, (uint32_t)tile};
    }
    json_decref(known);
}

vka_status vka_kernels_settle(vka_gpu *gpu, struct vka_kernel_table *t, bool forced, const vka_log *log, vka_error *err)
{
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    vka_status s = VKA_OK;
    while (s == VKA_OK && !info->cpu && t->path >= VKA_PATH_FP16) {
        bool yes = false;
        s = worth_taking(gpu, t, &yes, log, err);
        if (yes || forced || t->path == VKA_PATH_FP16)
            break;
        bool khr = t->path == VKA_PATH_NV2 && vka_path_offered(info, VKA_PATH_KHR, NULL, 0);
        if (s == VKA_OK)
            s = vka_kernel_table_take(t, info, khr ? "khr" : "fp16", NULL, err);
    }
    if (s == VKA_OK)
        read_tuned(info, t);
    return s;
}

vka_status vka_kernels_keep_tuned(const vka_gpu_info *info, const struct vka_kernel_table *t, vka_error *err)
{
    char key[48];
    path_key(t, key);
    json_t *known = read_file(info), *list = json_array();
    for (uint32_t i = 0; i < t->tuned_count; i++)
        json_array_append_new(list, json_pack("[I, I]", (json_int_t)t->tuned[i].shape_class, (json_int_t)t->tuned[i].tile));
    json_t *tuned = json_object_get(known, "tuned");
    vka_status s = tuned && json_object_set_new(tuned, key, list) == 0 ? write_file(info, known, err)
                                                                      : vka_fail(err, VKA_E_MEMORY, "out of memory");
    json_decref(known);
    return s;
}
