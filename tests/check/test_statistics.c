/* test_statistics.c - statistics that a product leaves beside its result, for the group norm behind it: against means and
 * squared distances in double precision of what the product gave; then the norm over one or two products, against
 * tests/reference_c/ref_norm.h.  Every kernel mode and storage, pads, blocks that fill tiles and that do not, and parts
 * that give the bits of the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_norm.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;

enum mode { OWN, STAGING, FEW };
static const char *const modes[] = {"own kernels", "staging", "staging in few registers"};

struct norm_case {
    const char *name;
    uint32_t branches, frames, h, w, k, n, n2, groups; /* n2: channels of a second product, 0: none */
    bool conv, add, joint;
    float mean; /* of the result, about */
};

static const struct norm_case cases[] = {
    {"one block", 1, 2, 8, 8, 24, 40, 0, 4, false, false, false, 0},
    {"four blocks, pads", 2, 2, 16, 16, 20, 36, 0, 4, false, true, false, 3},
    {"convolution", 1, 3, 16, 8, 12, 40, 0, 8, true, true, false, 0},
    {"convolution, all frames", 2, 2, 8, 16, 12, 24, 0, 8, true, false, true, 1},
    {"two products", 1, 2, 8, 8, 24, 40, 24, 16, true, false, false, 0}, /* groups of 4 */
    {"a group of both", 1, 3, 8, 8, 24, 20, 12, 4, false, true, false, 0},
    {"many rows", 1, 2, 32, 32, 16, 136, 0, 4, false, true, false, 0},
    {"many rows, convolution", 1, 2, 32, 32, 8, 136, 0, 8, true, true, false, 20},
    {"frames that end within a tile", 1, 3, 40, 40, 8, 128, 0, 4, false, false, false, 0},
    {"no whole block", 1, 2, 9, 9, 24, 40, 0, 4, false, false, false, 0},
};

struct data {
    float *x, *add, *gamma, *beta, *weight[2], *bias[2];
};

struct result {
    float *y[2], *stats[2], *norm;
    uint32_t block, pitch; /* of the first's statistics: rows, 0 where no product left them */
};

static void free_result(struct result *r)
{
    for (int i = 0; i < 2; i++)
        free(r->y[i]), free(r->stats[i]);
    free(r->norm);
}

static void make_data(const struct norm_case *k, enum vka_dtype storage, struct data *d)
{
    size_t rows = (size_t)k->branches * k->frames * k->h * k->w;
    uint32_t taps = k->conv ? 9 : 1;
    d->x = check_random(1, rows * k->k, 1);
    d->add = check_random(2, rows * k->n, 1);
    d->gamma = check_random(3, k->n + k->n2, 1);
    d->beta = check_random(4, k->n + k->n2, 1);
    check_round(d->x, rows * k->k, storage);
    check_round(d->add, rows * k->n, storage);
    for (int i = 0; i < 2; i++) {
        uint32_t n = i ? k->n2 : k->n;
        d->weight[i] = check_random(5 + (uint64_t)i, (size_t)n * k->k * taps, 2 / sqrtf((float)(k->k * taps)));
        d->bias[i] = check_random(7 + (uint64_t)i, n, 1);
        for (uint32_t c = 0; c < n; c++)
            d->bias[i][c] += k->mean;
    }
}

static void free_data(struct data *d)
{
    free(d->x), free(d->add), free(d->gamma), free(d->beta);
    free(d->weight[0]), free(d->weight[1]), free(d->bias[0]), free(d->bias[1]);
}

static struct result run(const struct norm_case *k, const struct data *d, enum vka_dtype storage, enum mode mode,
                         const struct vka_cut *cuts, uint32_t count)
{
    static const char *const at[2] = {"first", "second"};
    struct check *c = check_begin(gpu, storage, storage, k->branches, k->frames);
    struct result r = {0};
    uint32_t samples = k->branches * k->frames;
    if (mode != OWN) {
        c->table.wide_loads = c->table.cpu = false;
        c->table.subgroup_size = 0;
        c->table.max_invocations = 256;
        c->table.few_registers = mode == FEW;
        c->table.matrix.m = 0;
        c->table.path = storage == VKA_F16 ? VKA_PATH_FP16 : VKA_PATH_FP32;
    }
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, storage, samples, k->h, k->w, k->k, d->x), y[2] = {{0}};
    vka_tensor add = {0};
    if (k->add)
        add = check_input(c, "add", VKA_SAMPLE, storage, samples, k->h, k->w, k->n, d->add);
    for (int i = 0; i < (k->n2 ? 2 : 1); i++) {
        uint32_t n = i ? k->n2 : k->n;
        const uint64_t dims[4] = {n, k->k, 3, 3};
        check_weight(c, vka_in(vka_scope_root(at[i]), "weight").path, k->conv ? 4 : 2, dims, d->weight[i]);
        check_weight(c, vka_in(vka_scope_root(at[i]), "bias").path, 1, dims, d->bias[i]);
        vka_tensor more = i ? (vka_tensor){0} : add;
        if (k->conv)
            y[i] = vka_conv(&c->build, x,
                            &(struct vka_conv_args){
                                .at = vka_scope_root(at[i]), .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}, .add = more});
        else
            y[i] = vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root(at[i]), .add = more});
    }
    const uint64_t channels = k->n + k->n2;
    check_weight(c, "norm.weight", 1, &channels, d->gamma);
    check_weight(c, "norm.bias", 1, &channels, d->beta);
    vka_tensor norm = vka_group_norm(&c->build, y[0], y[1], vka_scope_root("norm"), k->groups, 1e-5f, k->joint);
    check_run(c, cuts, count);
    for (int i = 0; i < (k->n2 ? 2 : 1); i++) {
        const struct vka_tensor_info *stats = vka_info(c->graph, (vka_tensor){vka_info(c->graph, y[i])->stats});
        const struct vka_node *maker = &c->graph->nodes[stats->producer];
        r.y[i] = check_output(c, y[i]);
        r.stats[i] = check_output(c, (vka_tensor){vka_info(c->graph, y[i])->stats});
        if (i == 0 && maker->out[0].id == y[0].id)
            r.block = stats->block;
        r.pitch = i == 0 ? stats->c / 2 : r.pitch;
    }
    r.norm = check_output(c, norm);
    check_end(&c);
    return r;
}

/* The first product's statistics against its own values. */
static void check_statistics(const char *what, const struct norm_case *k, enum vka_dtype storage, const struct result *r)
{
    uint32_t samples = k->branches * k->frames, rows = k->h * k->w;
    for (uint32_t s = 0; s < samples; s++)
        for (uint32_t block = 0; block < rows / r->block; block++) {
            const float *stats = r->stats[0] + ((size_t)s * (rows / r->block) + block) * 2 * r->pitch;
            for (uint32_t c = 0; c < r->pitch; c++) {
                double mean = 0, m2 = 0;
                const float *y = r->y[0] + ((size_t)s * rows + (size_t)block * r->block) * k->n + c;
                for (uint32_t i = 0; i < r->block && c < k->n; i++)
                    mean += (double)y[(size_t)i * k->n] / r->block;
                for (uint32_t i = 0; i < r->block && c < k->n; i++)
                    m2 += ((double)y[(size_t)i * k->n] - mean) * ((double)y[(size_t)i * k->n] - mean);
                double slack = storage == VKA_F16 ? 1e-3 : 2e-6;
                if (fabs((double)stats[c] - mean) > slack * (1 + fabs(mean)) ||
                    fabs((double)stats[r->pitch + c] - m2) > 4 * slack * (m2 + 1e-2) * (1 + fabs(mean)))
                    fail_msg("%s: sample %u, block %u, channel %u: mean %g, M2 %g; want %g, %g", what, s, block, c,
                             (double)stats[c], (double)stats[r->pitch + c], mean, m2);
            }
        }
}

static void check_norm(const char *what, const struct norm_case *k, const struct data *d, enum vka_dtype storage,
                       const struct result *r)
{
    uint32_t samples = k->branches * k->frames, c = k->n + k->n2, pitch = vka_pitch(c);
    size_t rows = (size_t)samples * k->h * k->w;
    double *y = malloc(rows * c * sizeof *y), *scale = malloc((size_t)samples * c * sizeof *scale),
           *shift = malloc((size_t)samples * c * sizeof *shift);
    assert_true(y && scale && shift);
    for (size_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < c; i++)
            y[row * c + i] = (double)(i < k->n ? r->y[0][row * k->n + i] : r->y[1][row * k->n2 + i - k->n]);
    ref_group_norm(y, samples, k->h * k->w, c, k->groups, 1e-5, k->joint ? k->frames : 1, d->gamma, d->beta, scale,
                   shift);
    double tolerance = (storage == VKA_F16 ? 1e-3 : 4e-6) * (1 + (double)k->mean);
    for (uint32_t s = 0; s < samples; s++) {
        check_close(what, r->norm + (size_t)s * 2 * pitch, scale + (size_t)s * c, c, tolerance);
        check_close(what, r->norm + ((size_t)s * 2 + 1) * pitch, shift + (size_t)s * c, c, tolerance);
    }
    free(y), free(scale), free(shift);
}

static void check_case(const struct norm_case *k, enum vka_dtype storage, enum mode mode)
{
    struct data d;
    char what[160];
    uint32_t samples = k->branches * k->frames, rows = k->h * k->w;
    make_data(k, storage, &d);
    snprintf(what, sizeof what, "%s (%s, %s)", k->name, storage == VKA_F16 ? "f16" : "f32", modes[mode]);
    struct result whole = run(k, &d, storage, mode, NULL, 0);
    /* kernels at workgroup scope leave none */
    bool none = mode == OWN && storage == VKA_F16 && check_table(gpu).path == VKA_PATH_NV2;
    if (!none && (whole.block != 0) != (rows % 64 == 0))
        fail_msg("%s: blocks of %u rows", what, whole.block);
    if (whole.block)
        check_statistics(what, k, storage, &whole);
    check_norm(what, k, &d, storage, &whole);
    for (int pixels = 0; pixels < 2; pixels++) {
        struct vka_cut cuts[64];
        uint32_t count = 0, extent = pixels ? rows : samples, step = pixels ? 64 : 1;
        for (uint32_t at = 0; at < extent; at += step, count++) {
            uint32_t n = step < extent - at ? step : extent - at;
            cuts[count] = pixels ? (struct vka_cut){.p0 = at, .pn = n} : (struct vka_cut){.s0 = at, .sn = n};
        }
        struct result parts = run(k, &d, storage, mode, cuts, count);
        check_same(what, parts.norm, whole.norm, (size_t)samples * 2 * vka_pitch(k->n + k->n2));
        for (int i = 0; i < 2 && whole.y[i]; i++)
            check_same(what, parts.y[i], whole.y[i], (size_t)samples * rows * (i ? k->n2 : k->n));
        free_result(&parts);
    }
    free_result(&whole);
    free_data(&d);
}

static void own_kernels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i], VKA_F32, OWN);
        check_case(&cases[i], VKA_F16, OWN);
    }
}

static void staging(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i], VKA_F32, STAGING);
        check_case(&cases[i], VKA_F16, i % 2 ? FEW : STAGING);
    }
}

/* Two norms of one tensor read the same statistics. */
static void made_once(void **state)
{
    (void)state;
    float *values = check_random(1, 2 * 64 * 16, 1);
    const uint64_t dims[2] = {16, 16}, two[1] = {32};
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 2, 8, 8, 16, values);
    check_weight(c, "at.weight", 2, dims, values);
    check_weight(c, "one.weight", 1, dims, values);
    check_weight(c, "one.bias", 1, dims, values);
    check_weight(c, "two.weight", 1, two, values);
    check_weight(c, "two.bias", 1, two, values);
    vka_tensor y = vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root("at")});
    vka_group_norm(&c->build, y, (vka_tensor){0}, vka_scope_root("one"), 4, 1e-5f, false);
    vka_group_norm(&c->build, x, y, vka_scope_root("two"), 4, 1e-5f, false); /* x is no product: a node of its own */
    assert_int_equal(c->build.err.status, VKA_OK);
    assert_int_equal(c->graph->node_count, 4);
    assert_int_equal(c->graph->nodes[0].outputs, 2);
    assert_string_equal(c->graph->nodes[1].op->name, "group_norm_finish");
    assert_string_equal(c->graph->nodes[2].op->name, "group_norm_stats");
    check_run(c, NULL, 0);
    check_end(&c);
    free(values);
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(own_kernels), cmocka_unit_test(staging),
                                       cmocka_unit_test(made_once)};
    int failed = cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
