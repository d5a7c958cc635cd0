/* test_tiles.c - the tiles of products on matrix units: that every one gives the bits of every other, that split sums are right
 * and the same in parts, and that statistics left by a product are those of its result.  On a path without matrix units the same products run on its kernels.
 *
 * A software device compiles a tile's whole unrolled product, minutes for the large ones: there only the small ones run.
 * $VKA_CHECK_TEST picks tests, $VKA_CHECK_SHAPE shapes, $VKA_CHECK_UNROLLED says how many products of 8 x 8 x 8 are still small
 * (16). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_matmul.h"
#include "harness.h"
#include "ops/matmul.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;
static struct vka_kernel_table table;
static bool on_matrix;

struct product {
    const char *name;
    uint32_t frames, h, w, c1, c2, n;
    bool conv, norm, add;
    enum vka_act act;
};

/* Everything a product has, the same for each of its runs. */
struct data {
    float *x, *x2, *norm, *weight, *bias, *add;
    uint32_t k, columns; /* channels of the output */
    size_t count;
    double *want;
};

static void make_data(const struct product *p, struct data *d)
{
    uint32_t taps = p->conv ? 9 : 1, c = p->c1 + p->c2;
    size_t rows = (size_t)p->frames * p->h * p->w;
    memset(d, 0, sizeof *d);
    d->k = c * taps;
    d->columns = p->act == VKA_ACT_GEGLU ? p->n / 2 : p->n;
    d->count = rows * d->columns;
    d->x = check_random(21, rows * p->c1, 1.5f);
    d->x2 = check_random(22, rows * p->c2, 1.5f);
    d->norm = check_random(23, (size_t)p->frames * 2 * vka_pitch(c), 1.0f);
    d->weight = check_random(24, (size_t)p->n * d->k, 1.7f / sqrtf((float)d->k));
    d->bias = check_random(25, p->n, 0.5f);
    d->add = check_random(26, d->count, 1.0f);
    check_round(d->x, rows * p->c1, VKA_F16);
    check_round(d->x2, rows * p->c2, VKA_F16);
    check_round(d->weight, (size_t)p->n * d->k, VKA_F16);
    check_round(d->add, d->count, VKA_F16);
    float *scale = calloc((size_t)p->frames * c + 1, sizeof *scale),
          *shift = calloc((size_t)p->frames * c + 1, sizeof *shift);
    d->want = calloc(d->count, sizeof *d->want);
    assert_true(scale && shift && d->want);
    for (uint32_t s = 0; s < p->frames; s++)
        for (uint32_t i = 0; i < vka_pitch(c); i++)
            for (uint32_t half = 0; half < 2; half++) {
                float *v = &d->norm[(s * 2 + half) * vka_pitch(c) + i];
                if (i >= c)
                    *v = 0;
                else
                    (half ? shift : scale)[s * c + i] = *v;
            }
    struct ref_matmul r = {.samples = p->frames,
                           .h = p->h,
                           .w = p->w,
                           .c1 = p->c1,
                           .c2 = p->c2,
                           .x = d->x,
                           .x2 = d->x2,
                           .scale = p->norm ? scale : NULL,
                           .shift = p->norm ? shift : NULL,
                           .silu_in = p->norm,
                           .weight = d->weight,
                           .bias = d->bias,
                           .n = p->n,
                           .kernel = p->conv ? 3 : 1,
                           .stride = 1,
                           .pad = {p->conv, p->conv, p->conv, p->conv},
                           .act = (enum ref_act)p->act,
                           .add = p->add ? d->add : NULL};
    ref_matmul(&r, d->want);
    free(scale);
    free(shift);
}

static void free_data(struct data *d)
{
    free(d->x), free(d->x2), free(d->norm), free(d->weight), free(d->bias), free(d->add), free(d->want);
}

static struct vka_matmul_shape shape_of(const struct product *p, const struct data *d)
{
    return (struct vka_matmul_shape){.x = VKA_F16,
                                     .storage = VKA_F16,
                                     .weight = VKA_F16,
                                     .clip = true,
                                     .conv = p->conv,
                                     .geglu = p->act == VKA_ACT_GEGLU,
                                     .pixels = p->h * p->w,
                                     .k = d->k,
                                     .n = p->n};
}

/* The product with a tile (0: the default), in parts; `nodes` tells how many nodes it is.  With `stats` the product leaves them:
 * [frames, blocks, 2 pitch] values, to be freed. */
static float *run(const struct product *p, const struct data *d, uint32_t tile, const struct vka_cut *cuts,
                  uint32_t count, uint32_t *nodes, float **stats)
{
    struct check *c = check_begin(gpu, VKA_F16, VKA_F16, 1, p->frames);
    const struct vka_matmul_shape shape = shape_of(p, d);
    if (tile) {
        c->table.tuned_count = 1;
        c->table.tuned[0].shape_class = vka_matmul_class(&shape);
        c->table.tuned[0].tile = (uint16_t)tile;
    }
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F16, p->frames, p->h, p->w, p->c1, d->x), x2 = {0}, norm = {0},
               add = {0}, y;
    if (p->c2)
        x2 = check_input(c, "x2", VKA_SAMPLE, VKA_F16, p->frames, p->h, p->w, p->c2, d->x2);
    if (p->norm)
        norm = check_input(c, "norm", VKA_SAMPLE, VKA_F32, p->frames, 1, 1, 2 * vka_pitch(p->c1 + p->c2), d->norm);
    if (p->add)
        add = check_input(c, "add", VKA_SAMPLE, VKA_F16, p->frames, p->h, p->w, d->columns, d->add);
    uint32_t side = p->conv ? 3 : 1;
    const uint64_t dims[4] = {p->n, p->c1 + p->c2, side, side}, n = p->n;
    check_weight(c, "at.weight", 4, dims, d->weight);
    check_weight(c, "at.bias", 1, &n, d->bias);
    if (p->conv)
        y = vka_conv(
            &c->build, x,
            &(struct vka_conv_args){
                .at = vka_scope_root("at"), .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}, .act = p->act, .add = add});
    else
        y = vka_linear(&c->build, x,
                       &(struct vka_linear_args){.at = vka_scope_root("at"),
                                                 .x2 = x2,
                                                 .norm = norm,
                                                 .act_in = p->norm ? VKA_ACT_SILU : VKA_ACT_NONE,
                                                 .act = p->act,
                                                 .add = add});
    vka_tensor left = {0};
    if (stats) {
        left = vka_matmul_statistics(&c->build, y);
        assert_true(left.id);
    }
    check_run(c, cuts, count);
    if (tile)
        assert_int_equal(vka_matmul_of(&c->graph->nodes[0])->tile.id, tile);
    if (nodes)
        *nodes = c->graph->node_count;
    float *values = check_output(c, y);
    if (stats)
        *stats = check_output(c, left);
    check_end(&c);
    return values;
}

/* What a subgroup multiplies in one block of k, in products of 8 x 8 x 8: the code that a software device compiles. */
static uint32_t unrolled(const struct vka_matmul_tile *t)
{
    return (uint32_t)t->rows * t->columns / (t->threads / table.subgroup_size) * t->depth / 512;
}

static const struct product products[] = {
    /* frames, h, w, c1, c2, n, conv, norm, add */
    {"linear of two inputs", 3, 7, 7, 72, 36, 106, false, true, true, VKA_ACT_NONE},
    {"geglu", 2, 9, 8, 80, 0, 200, false, false, false, VKA_ACT_GEGLU},
    {"convolution", 2, 9, 11, 40, 0, 170, true, false, true, VKA_ACT_SILU},
};

static void equal_bits(void **state)
{
    (void)state;
    const char *one = getenv("VKA_CHECK_SHAPE"), *large = getenv("VKA_CHECK_UNROLLED");
    uint32_t most = large ? (uint32_t)atoi(large) : 16;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        const struct product *p = &products[i];
        if (one && !strstr(p->name, one))
            continue;
        struct vka_matmul_tile tiles[64];
        struct data d;
        make_data(p, &d);
        const struct vka_matmul_shape shape = shape_of(p, &d);
        uint32_t count = vka_matmul_tiles(&table, &shape, tiles, 64), ran = 0;
        assert_in_range(count, on_matrix, 64);
        float *first = run(p, &d, 0, NULL, 0, NULL, NULL);
        check_close(p->name, first, d.want, d.count, 1e-3);
        for (uint32_t k = 0; k < count; k++) {
            char what[100];
            if (table.cpu && unrolled(&tiles[k]) > most)
                continue;
            float *other = run(p, &d, tiles[k].id, NULL, 0, NULL, NULL);
            snprintf(what, sizeof what, "%s, tile %u", p->name, tiles[k].id);
            check_same(what, other, first, d.count);
            free(other);
            ran++;
        }
        printf("    %s: %u of %u tiles\n", p->name, ran, count);
        assert_true(ran >= 2 || !on_matrix);
        free(first);
        free_data(&d);
    }
}

/* Frames of 64 rows and a long K: partial sums and a second node. */
static void splits(void **state)
{
    (void)state;
    static const struct product split[] = {
        {"split linear", 3, 5, 3, 2568, 0, 36, false, false, true, VKA_ACT_NONE},
        {"split linear of two inputs", 2, 3, 3, 2000, 572, 24, false, true, false, VKA_ACT_SILU},
        {"split geglu", 2, 3, 3, 2576, 0, 24, false, false, true, VKA_ACT_GEGLU},
        {"split convolution", 3, 4, 4, 296, 0, 44, true, false, true, VKA_ACT_NONE},
        {"convolution split in four", 2, 3, 2, 1144, 0, 10, true, false, true, VKA_ACT_SILU},
    };
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        const struct product *p = &split[i];
        const struct vka_cut cuts[2] = {{.s0 = 0, .sn = 1}, {.s0 = 1, .sn = p->frames - 1}};
        struct data d;
        uint32_t nodes = 0;
        make_data(p, &d);
        float *whole = run(p, &d, 0, NULL, 0, &nodes, NULL), *parts = run(p, &d, 0, cuts, 2, NULL, NULL);
        assert_int_equal(nodes, on_matrix && !(table.path == VKA_PATH_NV2 && p->act == VKA_ACT_GEGLU) ? 2 : 1);
        check_close(p->name, whole, d.want, d.count, 1e-3);
        check_same(p->name, parts, whole, d.count);
        free(whole);
        free(parts);
        free_data(&d);
    }
}

/* Means and sums of squared distances of every 64 rows, against the product's double precision reference. */
static void statistics(void **state)
{
    (void)state;
    if (table.path != VKA_PATH_KHR)
        return; /* blocks of other kernels: test_statistics.c; those of a workgroup leave none */
    static const struct product left[] = {
        {"statistics of a convolution", 2, 8, 16, 40, 0, 44, true, false, true, VKA_ACT_NONE},
        {"statistics of a linear layer", 3, 8, 8, 72, 0, 36, false, false, false, VKA_ACT_SILU},
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        const struct product *p = &left[i];
        const struct vka_cut cuts[2] = {{.s0 = 0, .sn = 1}, {.s0 = 1, .sn = p->frames - 1}};
        uint32_t blocks = p->h * p->w / 64, pitch = vka_pitch(p->n);
        struct data d;
        float *stats = NULL, *again = NULL;
        make_data(p, &d);
        float *whole = run(p, &d, 0, NULL, 0, NULL, &stats), *parts = run(p, &d, 0, cuts, 2, NULL, &again);
        check_close(p->name, whole, d.want, d.count, 1e-3);
        check_same(p->name, parts, whole, d.count);
        size_t count = (size_t)p->frames * blocks * 2 * pitch;
        double *want = calloc(count, sizeof *want);
        assert_non_null(want);
        for (uint32_t b = 0; b < p->frames * blocks; b++)
            for (uint32_t c = 0; c < d.columns; c++) {
                double mean = 0, m2 = 0;
                for (uint32_t row = 0; row < 64; row++)
                    mean += d.want[((size_t)b * 64 + row) * d.columns + c] / 64;
                for (uint32_t row = 0; row < 64; row++) {
                    double off = d.want[((size_t)b * 64 + row) * d.columns + c] - mean;
                    m2 += off * off;
                }
                want[(size_t)b * 2 * pitch + c] = mean;
                want[(size_t)b * 2 * pitch + pitch + c] = m2;
            }
        check_close(p->name, stats, want, count, 2e-5);
        check_same(p->name, again, stats, count);
        free(want);
        free(whole);
        free(parts);
        free(stats);
        free(again);
        free_data(&d);
    }
}

static int open_device(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    table = check_table(gpu);
    on_matrix = table.path >= VKA_PATH_KHR;
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    check_close_gpu(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_bits), cmocka_unit_test(splits),
                                       cmocka_unit_test(statistics)};
    cmocka_set_test_filter(getenv("VKA_CHECK_TEST"));
    return cmocka_run_group_tests_name("tiles", tests, open_device, close_device);
}
