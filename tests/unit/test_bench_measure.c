/* test_bench_measure.c - what of the bench needs no device: statistics, the command line, the shapes of Stable Diffusion 1.5
 * with AnimateDiff v2 against the counts of reference/flops.txt, the miniature's sizes against its files, and the operator
 * check against whole-tensor references: right outputs pass, outputs spoilt in one way each do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_attention.h"
#include "../reference_c/ref_matmul.h"
#include "../reference_c/ref_norm.h"
#include "check.h"
#include "options.h"

#include "base/half.h"
#include "ops/ops.h"
#include "ops/table.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- statistics and the command line --------------------------------------------------------------------- */

static void spread(void **state)
{
    (void)state;
    struct bench_samples s = {{5, 1, 3}, 3};
    struct bench_spread m = bench_spread_of(&s);
    assert_true(m.min == 1 && m.median == 3 && m.max == 5 && m.mean == 3);
    assert_true(bench_sample_add(&s, 7));
    m = bench_spread_of(&s);
    assert_true(m.median == 4 && m.mean == 4 && s.ms[0] == 5); /* the order stays */
    while (bench_sample_add(&s, 1)) {
    }
    assert_int_equal(s.count, BENCH_SAMPLES);
    s.count = 0;
    assert_true(bench_spread_of(&s).median == 0);
}

static vka_status parse(struct bench_options *o, const char *line)
{
    static char words[256];
    char *argv[32] = {"vkanim-bench"};
    int argc = 1;
    vka_error err = {0};
    snprintf(words, sizeof words, "%s", line);
    for (char *p = strtok(words, " "); p && argc < 32; p = strtok(NULL, " "))
        argv[argc++] = p;
    vka_status s = bench_options_parse(o, argc, argv, &err);
    assert_int_equal(s, err.status);
    return s;
}

static void command_line(void **state)
{
    (void)state;
    struct bench_options o;
    static const char *const wrong[] = {
        "--level all --bogus", "--level none",   "--samples 0",  "--samples 257", "--seconds x", "--grid 512x512",
        "--grid 512x512x16,",  "--grid 1x2x3x4", "-o out.txt",   "result.json",   "--compare",   "--predict",
        "--roof 100",          "--roof 0,1",     "--vram 3Q",    "--json=yes",    "--width -5",  "--precision",
        "--path vulkan",       "--width",        "--readme x.md"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse(&o, wrong[i]) != VKA_E_USAGE)
            fail_msg("'%s' is taken", wrong[i]);
    assert_int_equal(
        parse(&o, "--level op -W 64 --height=96 -f 8 --samples 7 --seconds 1.5 --vram 1.5G -o a.md -o b.json -v -v"),
        VKA_OK);
    assert_true(o.level == BENCH_LEVEL_OP && o.width == 64 && o.height == 96 && o.frames == 8 && o.samples == 7);
    assert_true(o.seconds == 1.5 && o.vram == 3ull << 29 && o.output_count == 2 && o.verbose == 2);
    assert_int_equal(parse(&o, "--grid 256x128x16,512x512x32 --json"), VKA_OK);
    assert_true(o.grid_count == 2 && o.grid[0].height == 128 && o.grid[1].frames == 32 &&
                strcmp(o.format, "json") == 0);
    assert_int_equal(parse(&o, "--compare a.json b.json --html c.html"), VKA_OK);
    assert_true(o.comparing && o.compare_count == 2);
    assert_int_equal(parse(&o, "--predict --roof 123,960.5"), VKA_OK);
    assert_true(o.roof_tflops == 123 && o.roof_gbps == 960.5);
}

/* ---- shapes ---------------------------------------------------------------------------------------------- */

static struct vka_kernel_table gpu_table(void)
{
    struct vka_kernel_table t;
    vka_kernel_table_init(&t, NULL);
    return t;
}

static double number(const struct bench_shape *s, const char *name)
{
    for (uint32_t i = 0; i < s->numbers; i++)
        if (strcmp(s->number[i].name, name) == 0)
            return s->number[i].value;
    return 0;
}

static void open_sd15(struct bench_model *m, struct bench_network *n, bool motion)
{
    const struct bench_size size = {512, 512, 16, 2, true, motion};
    struct vka_kernel_table t = gpu_table();
    vka_error err = {0};
    assert_int_equal(bench_model_open(m, "sd15", false, &err), VKA_OK);
    if (bench_network_open(n, m, &size, &t, &err) != VKA_OK)
        fail_msg("%s", err.what);
}

/* reference/flops.txt, sections 2 and 6: 35.40 TFLOP a step with the module and 25.61 without, of which attention. */
static void flop_of_a_step(void **state)
{
    (void)state;
    struct bench_model m;
    struct bench_network n;
    double flop, bytes, attention = 0, spatial = 0, temporal = 0;
    open_sd15(&m, &n, true);
    bench_network_cost(&n, &flop, &bytes);
    for (uint32_t i = 0; i < n.count; i++) {
        const struct bench_shape *s = &n.shapes[i];
        assert_true(strlen(s->key) + 1 < sizeof s->key &&
                    strlen(s->name) + 1 < sizeof s->name); /* nothing is cut off */
        assert_ptr_equal(bench_network_find(&n, s->key), s);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(n.shapes[k].name, s->name) == 0)
                fail_msg("two rows are called '%s'", s->name);
        attention += strcmp(s->op, "attention") == 0 ? s->flop * s->count : 0;
        spatial += strncmp(s->name, "attention spatial", 17) == 0 ? s->flop * s->count : 0;
        temporal += strncmp(s->name, "attention temporal", 18) == 0 ? s->flop * s->count : 0;
    }
    assert_true(fabs(flop / 35.40e12 - 1) < 0.005);
    assert_true(fabs(spatial / 3.920e12 - 1) < 0.005);
    assert_true(fabs(temporal / 0.049e12 - 1) < 0.02);
    assert_true(fabs(attention / (3.920e12 + 0.114e12 + 0.049e12) - 1) < 0.005);
    bench_network_close(&n);
    bench_model_close(&m);
    open_sd15(&m, &n, false);
    bench_network_cost(&n, &flop, &bytes);
    assert_true(fabs(flop / 25.61e12 - 1) < 0.005);
    bench_network_close(&n);
    bench_model_close(&m);
}

/* Section 6, row by row: m, n, k and how often, products of any form together.  k holds a shortcut's channels. */
static void counts_of_products(void **state)
{
    (void)state;
    static const struct {
        uint32_t m, n, k, count;
    } want[] = {{131072, 2560, 320, 10}, {32768, 5120, 640, 10},  {8192, 10240, 1280, 10}, {131072, 320, 320, 45},
                {131072, 960, 320, 15},  {32768, 640, 640, 45},   {32768, 1920, 640, 15},  {8192, 1280, 1280, 45},
                {8192, 3840, 1280, 15},  {131072, 320, 1280, 10}, {32768, 640, 2560, 10},  {8192, 1280, 5120, 10},
                {131072, 320, 2880, 4},  {8192, 1280, 23040, 2},  {32768, 1280, 11520, 1}, {131072, 640, 5760, 1},
                {131072, 320, 5760, 2},  {8192, 1280, 11520, 3},  {32768, 640, 17280, 1},  {131072, 320, 8640, 1},
                {8192, 1280, 14080, 2},  {131072, 320, 3520, 2},  {2048, 1280, 11520, 9},  {32768, 640, 5760, 2},
                {32768, 640, 11520, 1},  {2048, 10240, 1280, 7},  {2048, 1280, 23040, 3},  {8192, 1280, 17280, 1},
                {32768, 640, 8640, 1},   {32768, 640, 7680, 1},   {131072, 320, 3840, 1},  {32768, 640, 7040, 1},
                {8192, 1280, 13440, 1},  {32768, 640, 6720, 1},   {2048, 3840, 1280, 13},  {32768, 640, 6080, 1},
                {8192, 1280, 12160, 1},  {2048, 1280, 14080, 3},  {2048, 1280, 1280, 29},  {2048, 1280, 5120, 7},
                {32768, 640, 2880, 1},   {8192, 1280, 5760, 1},   {32768, 320, 2880, 1},   {8192, 640, 5760, 1},
                {131072, 320, 36, 1},    {131072, 4, 2880, 1}};
    struct bench_model m;
    struct bench_network n;
    uint32_t products = 0, found = 0;
    open_sd15(&m, &n, true);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < n.count; k++)
            if (number(&n.shapes[k], "m") == want[i].m && number(&n.shapes[k], "n") == want[i].n &&
                number(&n.shapes[k], "k") == want[i].k)
                count += n.shapes[k].count;
        if (count != want[i].count)
            fail_msg("%u x %u -> %u: %u in a step, should be %u", want[i].m, want[i].k, want[i].n, count,
                     want[i].count);
        found += count;
    }
    for (uint32_t k = 0; k < n.count; k++)
        if (number(&n.shapes[k], "m") > 1 && n.shapes[k].count)
            products += n.shapes[k].count;
    assert_int_equal(products, found); /* none but these, the timestep's small ones apart */
    bench_network_close(&n);
    bench_model_close(&m);
}

/* Sizes that are none are refused by name. */
static void refusals(void **state)
{
    (void)state;
    static const struct bench_size wrong[] = {
        {500, 512, 16, 2, true, true}, {512, 512, 33, 2, true, true}, {512, 512, 0, 2, true, true}};
    struct bench_model m;
    struct vka_kernel_table t = gpu_table();
    vka_error err = {0};
    assert_int_equal(bench_model_open(&m, "sd14", false, &err), VKA_E_USAGE);
    err = (vka_error){0};
    assert_int_equal(bench_model_open(&m, "sd15", false, &err), VKA_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bench_network n;
        err = (vka_error){0};
        assert_int_equal(bench_network_open(&n, &m, &wrong[i], &t, &err), VKA_E_USAGE);
    }
    bench_model_close(&m);
}

static void miniature(void **state)
{
    (void)state;
    struct bench_model m;
    vka_model *model = NULL;
    vka_motion *motion = NULL;
    vka_error err = {0};
    assert_int_equal(bench_model_open(&m, "miniature", false, &err), VKA_OK);
    assert_int_equal(vka_model_open(&model, VKA_SOURCE_DIR "/models/miniature", &err), VKA_OK);
    assert_int_equal(vka_motion_open(&motion, VKA_SOURCE_DIR "/models/miniature/motion.safetensors", &err), VKA_OK);
    const struct {
        const char *name;
        vka_weights *have, *want;
    } part[] = {{"unet", m.unet_table, vka_model_weights(model, VKA_PART_UNET, &err)},
                {"motion", m.motion_table, vka_motion_weights(motion)},
                {"vae", m.vae_table, vka_model_weights(model, VKA_PART_VAE, &err)},
                {"text", m.text_table, vka_model_weights(model, VKA_PART_TEXT, &err)}};
    for (size_t p = 0; p < sizeof part / sizeof *part; p++)
        for (size_t i = 0; i < vka_weights_count(part[p].have); i++) {
            const vka_weight *a = vka_weights_at(part[p].have, i), *b = vka_weights_find(part[p].want, a->name);
            if (!b && p == 1 && strstr(a->name, "pos_embed.pe")) /* made from its formula where a file has none */
                continue;
            if (!b || vka_weight_count(a) != vka_weight_count(b))
                fail_msg("%s: '%s' is not in the model, or of another size", part[p].name, a->name);
        }
    const vka_unet_config *u = vka_model_unet(model, &err);
    assert_true(u && u->heads[0] == m.unet.heads[0] && u->mid_heads == m.unet.mid_heads &&
                u->norm_num_groups == m.unet.norm_num_groups && u->levels == m.unet.levels);
    vka_motion_close(motion);
    vka_model_close(model);
    bench_model_close(&m);
}

/* ---- the operator check ------------------------------------------------------------------------------------ */

/* A graph of one node whose output is held here as the device would hold it. */
struct piece {
    struct vka_kernel_table table;
    struct vka_graph *graph;
    vka_build build;
    struct bench_pool pool;
    struct bench_fill fill[BENCH_UNIT_TENSORS];
    float weight[64 * 1024], bias[256]; /* what every name is filled from */
    uint64_t dims[4];
    uint32_t rank;
    float *out; /* [n, h, w, pitch] */
};

static bool find(void *user, const char *name, struct vka_weight_data *out)
{
    struct piece *p = user;
    bool bias = strstr(name, "bias") != NULL, norm = strstr(name, "norm") != NULL;
    if (out) {
        *out = (struct vka_weight_data){
            .name = name, .data = bias ? p->bias : p->weight, .rank = bias || norm ? 1 : p->rank};
        memcpy(out->dims, p->dims, sizeof p->dims);
    }
    return true;
}

static void to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    (void)user;
    memcpy(out, (const float *)w->data + first, count * sizeof *out);
}

static struct piece *piece_begin(uint32_t frames)
{
    struct piece *p = calloc(1, sizeof *p);
    vka_error err = {0};
    assert_non_null(p);
    p->table = gpu_table();
    p->graph = vka_graph_create("piece", 2, frames);
    assert_non_null(p->graph);
    assert_int_equal(bench_pool_open(&p->pool, &err), VKA_OK);
    p->build = (vka_build){
        .graph = p->graph, .source = {p, find, to_f32}, .table = &p->table, .storage = VKA_F16, .weights = VKA_F16};
    for (size_t i = 0; i < sizeof p->weight / sizeof *p->weight; i++)
        p->weight[i] = vka_half_to_float(vka_float_to_half(0.1f * p->pool.f32[i * 7 % p->pool.size]));
    for (size_t i = 0; i < sizeof p->bias / sizeof *p->bias; i++)
        p->bias[i] = p->pool.f32[i * 13];
    return p;
}

static void piece_end(struct piece *p)
{
    vka_graph_destroy(&p->graph);
    bench_pool_close(&p->pool);
    free(p->out);
    free(p);
}

static vka_tensor input(struct piece *p, uint32_t h, uint32_t w, uint32_t c)
{
    vka_tensor t = vka_graph_tensor(&p->build, "x", VKA_SAMPLE, VKA_INPUT, VKA_F16, 0, h, w, c);
    p->fill[t.id] = (struct bench_fill){.salt = t.id};
    return t;
}

/* An input's values without pads. */
static float *values(struct piece *p, vka_tensor t)
{
    const struct vka_tensor_info *i = vka_info(p->graph, t);
    double *row = calloc(i->pitch, sizeof *row);
    float *v = calloc((size_t)i->n * i->h * i->w * i->c, sizeof *v), *at = v;
    for (uint32_t s = 0; s < i->n; s++)
        for (uint32_t q = 0; q < i->h * i->w; q++) {
            bench_data_row(&p->pool, &p->fill[t.id], i, s, q, 0, i->c, row);
            for (uint32_t c = 0; c < i->c; c++)
                *at++ = (float)row[c];
        }
    free(row);
    return v;
}

/* Takes over the reference's output [.., c] in fp16, pads zero. */
static void hold(struct piece *p, const double *y)
{
    const struct vka_tensor_info *o = vka_info(p->graph, p->graph->nodes[0].out[0]);
    size_t rows = (size_t)o->n * o->h * o->w;
    p->out = calloc(rows * o->pitch, sizeof *p->out);
    for (size_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < o->c; c++)
            p->out[r * o->pitch + c] = vka_half_to_float(vka_float_to_half((float)y[r * o->c + c]));
}

static vka_status read_piece(void *user, uint32_t output, uint32_t sample, uint32_t pixel, float *out, vka_error *err)
{
    struct piece *p = user;
    const struct vka_tensor_info *o = vka_info(p->graph, p->graph->nodes[0].out[0]);
    (void)err;
    assert_int_equal(output, 0);
    memcpy(out, p->out + ((size_t)sample * o->h * o->w + pixel) * o->pitch, o->pitch * sizeof *out);
    return VKA_OK;
}

static struct bench_verdict verdict(struct piece *p)
{
    struct bench_check c = {.graph = p->graph, .pool = &p->pool, .fill = p->fill, .read = read_piece, .user = p};
    struct bench_verdict v;
    vka_error err = {0};
    assert_int_equal(bench_check_run(&c, 1, &v, &err), VKA_OK);
    return v;
}

static void must_fail(struct piece *p, const char *how)
{
    struct bench_verdict v = verdict(p);
    if (v.passed || !v.why[0])
        fail_msg("%s: nobody objects", how);
}

/* What holds for every operator: it passes as it is, and not with NaN, zeros, a wrong corner, a dirty pad or shifted rows. */
static void must_notice(struct piece *p, const char *name)
{
    const struct vka_tensor_info *o = vka_info(p->graph, p->graph->nodes[0].out[0]);
    size_t count = (size_t)o->n * o->h * o->w * o->pitch;
    float *kept = malloc(count * sizeof *kept);
    struct bench_verdict v = verdict(p);
    assert_non_null(kept);
    if (!v.passed)
        fail_msg("%s: %s", name, v.why);
    assert_true(v.elements >= 100 && v.worst < 0.5 * v.tolerance);
    memcpy(kept, p->out, count * sizeof *kept);
    p->out[count - o->pitch] += 0.05f + 0.05f * fabsf(p->out[count - o->pitch]); /* the last pixel's first channel */
    must_fail(p, "a wrong corner");
    memcpy(p->out, kept, count * sizeof *kept);
    if (o->pitch > o->c) {
        p->out[o->c] = 1e-3f;
        must_fail(p, "a dirty pad");
        memcpy(p->out, kept, count * sizeof *kept);
    }
    p->out[o->c - 1] = NAN;
    must_fail(p, "NaN in the first pixel's last channel");
    memset(p->out, 0, count * sizeof *kept);
    must_fail(p, "zeros");
    memcpy(p->out, kept + o->pitch, (count - o->pitch) * sizeof *kept);
    must_fail(p, "rows shifted by one");
    memcpy(p->out, kept, count * sizeof *kept);
    for (size_t i = 0; i < count; i++)
        p->out[i] *= 1.02f;
    must_fail(p, "everything 2 % too large");
    free(kept);
}

/* y of ref_matmul, held. */
static void hold_product(struct piece *p, const struct ref_matmul *r)
{
    uint32_t n = r->act == REF_GEGLU ? r->n / 2 : r->n;
    double *y = calloc((size_t)r->samples * ref_matmul_out_h(r) * ref_matmul_out_w(r) * n, sizeof *y);
    ref_matmul(r, y);
    free(p->out);
    hold(p, y);
    free(y);
}

static void linear_is_checked(void **state)
{
    (void)state;
    struct piece *p = piece_begin(2);
    p->rank = 2;
    p->dims[0] = 100;
    p->dims[1] = 120;
    vka_tensor x = input(p, 3, 5, 120);
    vka_tensor y =
        vka_linear(&p->build, x, &(struct vka_linear_args){.at = vka_scope_root("at"), .act = VKA_ACT_GEGLU});
    assert_int_not_equal(y.id, 0);
    float *v = values(p, x);
    struct ref_matmul r = {.samples = 4,
                           .h = 3,
                           .w = 5,
                           .c1 = 120,
                           .x = v,
                           .weight = p->weight,
                           .bias = p->bias,
                           .n = 100,
                           .kernel = 1,
                           .stride = 1,
                           .act = REF_GEGLU};
    hold_product(p, &r);
    must_notice(p, "linear");
    for (size_t i = 0; i < 60; i++) /* one input of 120 is left out everywhere */
        v[i * 120 + 77] = 0;
    hold_product(p, &r);
    must_fail(p, "an input left out");
    free(v);
    piece_end(p);
}

static void conv_is_checked(void **state)
{
    (void)state;
    struct piece *p = piece_begin(1);
    p->rank = 4;
    memcpy(p->dims, (uint64_t[]){44, 24, 3, 3}, sizeof p->dims);
    vka_tensor x = input(p, 9, 7, 24);
    vka_tensor y =
        vka_conv(&p->build, x,
                 &(struct vka_conv_args){
                     .at = vka_scope_root("at"), .kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}, .act = VKA_ACT_SILU});
    assert_int_not_equal(y.id, 0);
    float *v = values(p, x);
    struct ref_matmul r = {.samples = 2,
                           .h = 9,
                           .w = 7,
                           .c1 = 24,
                           .x = v,
                           .weight = p->weight,
                           .bias = p->bias,
                           .n = 44,
                           .kernel = 3,
                           .stride = 2,
                           .pad = {1, 1, 1, 1},
                           .act = REF_SILU};
    hold_product(p, &r);
    must_notice(p, "conv");
    r.pad[0] = 0; /* another padding, of the same size of output */
    r.pad[1] = 2;
    hold_product(p, &r);
    must_fail(p, "another padding");
    free(v);
    piece_end(p);
}

static void attention_is_checked(void **state)
{
    (void)state;
    struct piece *p = piece_begin(4);
    const uint32_t heads = 2, d = 16, tokens = 40, width = heads * d;
    vka_tensor x = input(p, 8, 5, 3 * width);
    vka_tensor y = vka_attention(&p->build, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL,
                                                                         .q = x,
                                                                         .k = x,
                                                                         .v = x,
                                                                         .k_channel = width,
                                                                         .v_channel = 2 * width,
                                                                         .heads = heads,
                                                                         .head_dim = d,
                                                                         .label = vka_scope_root("at")});
    assert_int_not_equal(y.id, 0);
    float *v = values(p, x);
    size_t count = (size_t)8 * tokens * 3 * width;
    double *in = calloc(count, sizeof *in), *out = calloc(count / 3, sizeof *out);
    for (size_t i = 0; i < count; i++)
        in[i] = (double)v[i];
    for (int spoilt = 0; spoilt < 2; spoilt++) {
        for (uint32_t s = 0; s < 8; s++)
            for (uint32_t h = 0; h < heads; h++) {
                const double *q = in + (size_t)s * tokens * 3 * width + h * d;
                ref_attention(q, 3 * width, q + width, 3 * width, q + 2 * width, 3 * width,
                              out + (size_t)s * tokens * width + h * d, width, tokens, tokens - (uint32_t)spoilt, d,
                              1 / sqrt(d), false);
            }
        free(p->out);
        hold(p, out);
        if (!spoilt)
            must_notice(p, "attention");
        else
            must_fail(p, "one key of 40 left out");
    }
    free(v);
    free(in);
    free(out);
    piece_end(p);
}

static void layer_norm_is_checked(void **state)
{
    (void)state;
    struct piece *p = piece_begin(3);
    p->dims[0] = 100;
    vka_tensor x = input(p, 4, 4, 100);
    vka_tensor y = vka_layer_norm(&p->build, x, vka_scope_root("norm"), 1e-5f);
    assert_int_not_equal(y.id, 0);
    float *v = values(p, x);
    size_t count = (size_t)6 * 16 * 100;
    double *in = calloc(count, sizeof *in), *out = calloc(count, sizeof *out);
    for (size_t i = 0; i < count; i++)
        in[i] = (double)v[i];
    ref_layer_norm(in, 6, 16, 100, 1e-5, p->weight, p->bias, out);
    hold(p, out);
    must_notice(p, "layer norm");
    free(v);
    free(in);
    free(out);
    piece_end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spread),
                                       cmocka_unit_test(command_line),
                                       cmocka_unit_test(flop_of_a_step),
                                       cmocka_unit_test(counts_of_products),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(miniature),
                                       cmocka_unit_test(linear_is_checked),
                                       cmocka_unit_test(conv_is_checked),
                                       cmocka_unit_test(attention_is_checked),
                                       cmocka_unit_test(layer_norm_is_checked)};
    return cmocka_run_group_tests_name("bench, measuring", tests, NULL, NULL);
}
