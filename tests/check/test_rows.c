/* test_rows.c - rows as tokens, every bit: those of a tensor or of a table, behind them another's, positions added, rows cut in
 * several; and spatial attention whose keys are other tokens than its queries, against the reference in double.
 *
 * Copies are exact; one addition in fp32, then the storage's rounding.  Attention: as in test_attention.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_attention.h"
#include "../reference_c/ref_elementwise.h"
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;

struct rows_case {
    uint32_t samples, h, w, c; /* of x; a table is [h * w, c] */
    uint32_t y_rows;           /* 0: no y */
    uint32_t take, split;
    bool table, positions;
};
static const struct rows_case cases[] = {
    {3, 1, 1, 40, 25, 0, 0, true, true},  {2, 1, 26, 16, 6, 0, 0, false, false}, {4, 1, 17, 24, 0, 1, 0, false, false},
    {3, 1, 1, 96, 0, 0, 4, false, false}, {2, 1, 9, 24, 0, 0, 0, true, false},   {1, 3, 5, 13, 7, 4, 0, false, true},
    {2, 2, 1, 48, 3, 0, 2, false, true},  {1, 1, 2, 5, 3, 0, 0, true, true},
};

static float *run_rows(const struct rows_case *k, const float *x, const float *y, const float *positions, enum vka_dtype storage,
                       bool cut)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, 1, k->samples);
    struct vka_cut cuts[8];
    uint32_t split = k->split ? k->split : 1, width = k->c / split, rows = (k->take ? k->take : k->h * k->w * split) + k->y_rows;
    vka_scope at = vka_scope_root("rows");
    struct vka_rows_args a = {.take = k->take, .split = k->split, .label = at};
    if (k->table) {
        check_weight(c, "rows.table", 2, (uint64_t[]){k->h * k->w, k->c}, x);
        a.x = vka_weight_table(&c->build, at, "table");
    } else
        a.x = check_input(c, "x", VKA_SAMPLE, storage, k->samples, k->h, k->w, k->c, x);
    vka_tensor other = check_input(c, "y", VKA_SAMPLE, storage, k->samples, 1, k->y_rows ? k->y_rows : 1, width, y);
    if (k->y_rows)
        a.y = other;
    else
        a.like = other;
    if (k->positions) {
        check_weight(c, "rows.positions", 2, (uint64_t[]){rows, width}, positions);
        a.positions = vka_weight_table(&c->build, at, "positions");
    }
    vka_tensor out = vka_rows(&c->build, &a);
    for (uint32_t s = 0; cut && s < k->samples; s++)
        cuts[s] = (struct vka_cut){.s0 = s, .sn = 1};
    check_run(c, cuts, cut ? k->samples : 0);
    float *got = check_output(c, out);
    check_end(&c);
    return got;
}

static void check_rows(const struct rows_case *k, enum vka_dtype storage)
{
    uint32_t split = k->split ? k->split : 1, width = k->c / split, all = k->h * k->w * split, taken = k->take ? k->take : all;
    uint32_t rows = taken + k->y_rows, y_rows = k->y_rows ? k->y_rows : 1;
    size_t x_count = (size_t)(k->table ? 1 : k->samples) * all * width;
    float *x = check_random(1, x_count, 3), *y = check_random(2, (size_t)k->samples * y_rows * width, 3);
    float *positions = check_random(3, (size_t)rows * width, 2), *want = malloc((size_t)k->samples * rows * width * sizeof *want);
    assert_non_null(want);
    if (!k->table)
        check_round(x, x_count, storage);
    check_round(y, (size_t)k->samples * y_rows * width, storage);
    ref_rows(x, k->table ? 0 : (size_t)all * width, taken, y, (size_t)y_rows * width, k->y_rows, k->positions ? positions : NULL,
             k->samples, width, want);
    check_round(want, (size_t)k->samples * rows * width, storage);
    for (int cut = 0; cut < 2; cut++) {
        float *got = run_rows(k, x, y, positions, storage, cut);
        check_same(cut ? "cut along samples" : "rows", got, want, (size_t)k->samples * rows * width);
        free(got);
    }
    free(x), free(y), free(positions), free(want);
}

static void rows_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int half = 0; half < 2; half++)
            check_rows(&cases[i], half ? VKA_F16 : VKA_F32);
}

/* What does not fit is a sentence, not a launch. */
static void refused(void **state)
{
    (void)state;
    float zero[512] = {0};
    for (int i = 0; i < 5; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 2, 1, 4, 24, zero);
        vka_tensor narrow = check_input(c, "narrow", VKA_SAMPLE, VKA_F32, 2, 1, 4, 16, zero);
        check_weight(c, "at.table", 2, (uint64_t[]){3, 24}, zero);
        vka_scope at = vka_scope_root("at");
        vka_tensor table = vka_weight_table(&c->build, at, "table");
        struct vka_rows_args a = {.x = i == 3 ? table : x, .label = at};
        if (i == 0)
            a.y = narrow;
        if (i == 1)
            a.take = 5;
        if (i == 2)
            a.split = 2; /* rows of 12 are no multiple of 8 */
        if (i == 4)
            a.positions = table; /* of fewer rows */
        assert_int_equal(vka_rows(&c->build, &a).id, 0);
        assert_int_equal(c->build.err.status, i == 4 ? VKA_E_INPUT : VKA_E_INTERNAL);
        check_end(&c);
    }
}

/* ---- attention to other tokens ------------------------------------------------------------------------------- */

static void check_attention(uint32_t samples, uint32_t queries, uint32_t tokens, uint32_t heads, uint32_t dim, enum vka_dtype storage,
                            bool cpu)
{
    uint32_t width = heads * vka_pitch(dim);
    size_t q_count = (size_t)samples * queries * width, kv_count = (size_t)samples * tokens * 2 * width;
    float *q = check_random(5, q_count, 2), *kv = check_random(6, kv_count, 1.7f), *got[2];
    double *dq = malloc(q_count * sizeof *dq), *dkv = malloc(kv_count * sizeof *dkv), *want = calloc(q_count, sizeof *want);
    assert_true(dq && dkv && want);
    check_round(q, q_count, storage);
    check_round(kv, kv_count, storage);
    for (size_t i = 0; i < q_count; i++)
        dq[i] = (double)q[i];
    for (size_t i = 0; i < kv_count; i++)
        dkv[i] = (double)kv[i];
    for (uint32_t s = 0; s < samples; s++)
        for (uint32_t h = 0; h < heads; h++) {
            size_t row = (size_t)s * queries * width + h * dim, kv_row = (size_t)s * tokens * 2 * width + h * dim;
            ref_attention(dq + row, width, dkv + kv_row, 2 * width, dkv + kv_row + width, 2 * width, want + row, width, queries, tokens,
                          dim, 1 / sqrt(dim), false);
        }
    for (int cut = 0; cut < 2; cut++) {
        struct check *c = check_begin(gpu, storage, VKA_F32, 1, samples);
        struct vka_cut cuts[8];
        c->table.cpu = cpu && c->table.cpu;
        vka_tensor a = check_input(c, "q", VKA_SAMPLE, storage, samples, 1, queries, width, q);
        vka_tensor b = check_input(c, "kv", VKA_SAMPLE, storage, samples, 1, tokens, 2 * width, kv);
        vka_tensor out = vka_attention(&c->build, &(struct vka_attention_args){.kind = VKA_ATTENTION_SPATIAL, .q = a, .k = b, .v = b,
                                                                               .v_channel = width, .heads = heads, .head_dim = dim,
                                                                               .label = vka_scope_root("attention")});
        for (uint32_t s = 0; cut && s < samples; s++)
            cuts[s] = (struct vka_cut){.s0 = s, .sn = 1};
        check_run(c, cuts, cut ? samples : 0);
        got[cut] = check_output(c, out);
        check_end(&c);
    }
    check_close("attention", got[0], want, q_count, storage == VKA_F16 ? 4e-3 : 2e-5);
    check_same("cut along samples", got[1], got[0], q_count);
    free(q), free(kv), free(dq), free(dkv), free(want), free(got[0]), free(got[1]);
}

static void attends_to_others(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        enum vka_dtype storage = way & 1 ? VKA_F16 : VKA_F32;
        check_attention(2, 6, 32, 2, 64, storage, way & 2);
        check_attention(1, 16, 273, 3, 64, storage, way & 2);
        check_attention(3, 40, 7, 1, 8, storage, way & 2);
    }
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_right), cmocka_unit_test(refused),
                                       cmocka_unit_test(attends_to_others)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
