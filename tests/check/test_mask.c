/* test_mask.c - x + m (y - x) with a number for each pixel: against a reference in double, cut in every way and written in
 * place.
 *
 * Tolerances: in fp32 three roundings of numbers within 10 or so; in fp16 the result's own rounding, 2^-11. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_elementwise.h"
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;

struct mask_case {
    uint32_t frames, h, w, c;
    bool in_place;
};
static const struct mask_case cases[] = {{5, 3, 7, 4, false}, {3, 9, 5, 4, true}, {1, 1, 1, 4, false}, {2, 6, 3, 24, true}, {4, 5, 5, 9, false}};

static float *run(const struct mask_case *k, const float *x, const float *y, const float *mask, enum vka_dtype storage, bool cpu,
                  enum check_along along)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, 1, k->frames);
    uint32_t n = k->frames;
    c->table.cpu = cpu && c->table.cpu;
    vka_tensor a = check_input(c, "x", VKA_SAMPLE, storage, n, k->h, k->w, k->c, x);
    vka_tensor b = check_input(c, "y", VKA_SAMPLE, storage, n, k->h, k->w, k->c, y);
    vka_tensor m = check_input(c, "mask", VKA_SAMPLE, VKA_F32, n, k->h, k->w, 1, mask);
    vka_tensor out = vka_mask_blend(&c->build, a, b, m, vka_scope_root("mask"));
    if (k->in_place)
        check_in_place(c, out, b);
    return check_run_along(c, out, along);
}

static void check_mask(const struct mask_case *k, enum vka_dtype storage, bool cpu)
{
    size_t rows = (size_t)k->frames * k->h * k->w, all = rows * k->c;
    float *x = check_random(1, all, 3), *y = check_random(2, all, 3), *m = check_random(3, rows, 1);
    double *want = malloc(all * sizeof *want);
    assert_non_null(want);
    check_round(x, all, storage);
    check_round(y, all, storage);
    for (size_t i = 0; i < rows; i++) {
        m[i] = i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : m[i];
        ref_blend(x + i * k->c, y + i * k->c, m[i], k->c, want + i * k->c);
        for (uint32_t c = 0; c < k->c; c++) { /* what has no weight may be anything */
            if (i % 3 == 0)
                y[i * k->c + c] = NAN;
            else if (i % 3 == 1)
                x[i * k->c + c] = NAN;
        }
    }
    float *got = run(k, x, y, m, storage, cpu, CHECK_WHOLE);
    check_close("mask", got, want, all, storage == VKA_F16 ? 5e-4 : 2e-6);
    for (size_t i = 0; i < rows; i++)
        if (i % 3 < 2)
            check_same("weights 0 and 1", got + i * k->c, (i % 3 ? y : x) + i * k->c, k->c);
    for (int along = CHECK_SAMPLES; along <= CHECK_PIXELS; along++) {
        float *parts = run(k, x, y, m, storage, cpu, (enum check_along)along);
        check_same(along == CHECK_SAMPLES ? "cut along samples" : "cut along pixels", parts, got, all);
        free(parts);
    }
    free(x), free(y), free(m), free(want), free(got);
}

static void mask_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int way = 0; way < 4; way++)
            check_mask(&cases[i], way & 1 ? VKA_F16 : VKA_F32, way & 2);
}

/* A mask of another size is a sentence, not a launch. */
static void refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        float zero[2 * 3 * 3 * 8] = {0};
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 2, 3, 3, 4, zero);
        vka_tensor m = check_input(c, "m", VKA_SAMPLE, VKA_F32, 2, 3 - (i == 0), 3 - (i == 1), 1, zero);
        vka_tensor y = vka_mask_blend(&c->build, x, x, m, vka_scope_root("at"));
        assert_int_equal(y.id, 0);
        assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
        c->build.err = (vka_error){0};
        check_end(&c);
    }
}

static int open_gpu(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    return 0;
}

static int close_gpu(void **state)
{
    (void)state;
    check_close_gpu(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mask_is_right), cmocka_unit_test(refused)};
    return cmocka_run_group_tests_name("mask", tests, open_gpu, close_gpu);
}
