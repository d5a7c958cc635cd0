/* test_norm.c - group and layer normalisation on the device against tests/reference_c/ref_norm.h: odd widths,
 * concatenated inputs, joint statistics, large means, both storages and kernel modes; every way of cutting
 * gives the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_norm.h"
#include "base/half.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;
static uint32_t group_limit; /* workgroups on one axis, 0: the device's; small ones fold launches */

static double *doubles(const float *v, size_t n)
{
    double *d = malloc(n * sizeof *d);
    assert_non_null(d);
    for (size_t i = 0; i < n; i++)
        d[i] = (double)v[i];
    return d;
}

/* `mean` plus or minus `spread`, as the storage type holds it. */
static float *around(uint64_t seed, size_t n, enum vka_dtype storage, float mean, float spread)
{
    float *v = check_random(seed, n, spread);
    for (size_t i = 0; i < n; i++)
        v[i] += mean;
    check_round(v, n, storage);
    return v;
}

/* Cuts of `step` samples or pixels that cover `all`. */
static uint32_t cut_up(bool pixels, uint32_t all, uint32_t step, struct vka_cut *cuts)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < all; at += step) {
        uint32_t n = step < all - at ? step : all - at;
        cuts[count++] = pixels ? (struct vka_cut){.p0 = at, .pn = n} : (struct vka_cut){.s0 = at, .sn = n};
    }
    return count;
}

enum { MAX_CUTS = 256 };

/* ---- group norm ---------------------------------------------------------------------------------- */

struct group_case {
    uint32_t branches, frames, h, w, c1, c2, groups;
    bool joint;
    float mean, spread; /* of the input */
};

static const struct group_case group_cases[] = {
    {1, 1, 1, 1, 8, 0, 4, false, 0, 2},        {2, 3, 1, 1, 20, 12, 4, true, 0, 2},
    {2, 2, 5, 7, 20, 0, 4, false, 0, 2},       {1, 3, 9, 9, 20, 12, 4, false, 1, 2},
    {2, 4, 8, 8, 96, 64, 32, true, 0, 2},      {1, 2, 16, 16, 64, 0, 32, false, 0, 2},
    {1, 1, 3, 5, 1280, 1280, 32, false, 0, 2}, {1, 2, 13, 11, 32, 0, 8, true, 1000, 4},
    {1, 1, 130, 70, 16, 0, 4, false, 0, 2},    {1, 1, 9, 9, 48, 0, 4, false, 3000, 16},
    {1, 1, 7, 7, 6, 3, 3, false, 0, 2},        {2, 1, 4, 4, 5, 7, 4, true, 0, 2},
    {1, 1, 6, 6, 16, 0, 16, false, 2, 0},
};

struct group_data {
    float *x1, *x2, *gamma, *beta;
    char name[160];
};

/* Runs the case in parts; values of the norm, of its application, and of that with SiLU. */
static void run_group(const struct group_case *k, const struct group_data *d, enum vka_dtype storage, bool cpu,
                      const struct vka_cut *cuts, uint32_t count, float **norm, float **plain, float **silu)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, k->branches, k->frames);
    c->table.cpu = cpu;
    c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
    uint32_t n = k->branches * k->frames;
    const uint64_t dims[1] = {k->c1 + k->c2};
    check_weight(c, "norm.weight", 1, dims, d->gamma);
    check_weight(c, "norm.bias", 1, dims, d->beta);
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, storage, n, k->h, k->w, k->c1, d->x1), x2 = {0};
    if (k->c2)
        x2 = check_input(c, "x2", VKA_SAMPLE, storage, n, k->h, k->w, k->c2, d->x2);
    vka_tensor a = vka_group_norm(&c->build, x, x2, vka_scope_root("norm"), k->groups, 1e-5f, k->joint);
    vka_tensor b = vka_norm_apply(&c->build, x, x2, a, VKA_ACT_NONE);
    vka_tensor e = vka_norm_apply(&c->build, x, x2, a, VKA_ACT_SILU);
    check_run(c, cuts, count);
    *norm = check_output(c, a);
    *plain = check_output(c, b);
    *silu = check_output(c, e);
    check_end(&c);
}

static void check_group(const struct group_case *k, enum vka_dtype storage, bool cpu)
{
    struct group_data d;
    snprintf(d.name, sizeof d.name, "group norm %s%s %ux%u of %ux%u, %u+%u channels, %u groups%s, mean %g",
             storage == VKA_F16 ? "f16" : "f32", cpu ? " cpu" : "", k->branches, k->frames, k->h, k->w, k->c1, k->c2,
             k->groups, k->joint ? ", joint" : "", (double)k->mean);
    uint32_t n = k->branches * k->frames, rows = k->h * k->w, c = k->c1 + k->c2, pitch = vka_pitch(c);
    size_t count = (size_t)n * rows;
    d.x1 = around(1, count * k->c1, storage, k->mean, k->spread);
    d.x2 = around(2, count * (k->c2 ? k->c2 : 1), storage, k->mean, 2 * k->spread);
    d.gamma = around(3, c, VKA_F32, 1, 0.5f);
    d.beta = around(4, c, VKA_F32, 0, 0.5f);
    double *x = malloc(count * c * sizeof *x), *want = malloc(count * c * sizeof *want);
    double *scale = malloc((size_t)n * c * sizeof *scale), *shift = malloc((size_t)n * c * sizeof *shift);
    assert_true(x && want && scale && shift);
    for (size_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < c; i++)
            x[r * c + i] = (double)(i < k->c1 ? d.x1[r * k->c1 + i] : d.x2[r * k->c2 + i - k->c1]);
    ref_group_norm(x, n, rows, c, k->groups, 1e-5, k->joint ? k->frames : 1, d.gamma, d.beta, scale, shift);

    float *norm, *plain, *silu;
    run_group(k, &d, storage, cpu, NULL, 0, &norm, &plain, &silu);
    /* The mean is held in fp32: half an ulp of it, times scale, is in every result. */
    double inherent = 6e-7 * (double)k->mean / sqrt((double)k->spread * (double)k->spread / 3 + 1e-5);
    for (uint32_t s = 0; s < n; s++) {
        check_close(d.name, norm + (size_t)s * 2 * pitch, scale + (size_t)s * c, c, 3e-6 + 0.1 * inherent);
        for (uint32_t i = c; i < pitch; i++)
            assert_true(norm[(size_t)s * 2 * pitch + i] == 0 && norm[((size_t)s * 2 + 1) * pitch + i] == 0);
    }
    double tolerance = inherent + (storage == VKA_F16 ? 5e-4 : 3e-6);
    ref_norm_apply(x, scale, shift, n, rows, c, 0, want);
    check_close(d.name, plain, want, count * c, tolerance);
    ref_norm_apply(x, scale, shift, n, rows, c, 1, want);
    check_close(d.name, silu, want, count * c, tolerance);

    static const uint32_t steps[4][2] = {{0, 1}, {0, 3}, {1, 3}, {2, 1}}; /* samples, pixels, branches */
    for (int i = 0; i < 4; i++) {
        struct vka_cut cuts[MAX_CUTS];
        group_limit = i == 1 ? 3 : 0;
        uint32_t step = steps[i][0] == 2 ? k->frames : steps[i][1];
        if (steps[i][0] == 1 && rows > 3 * MAX_CUTS)
            continue;
        uint32_t parts = cut_up(steps[i][0] == 1, steps[i][0] == 1 ? rows : n, step, cuts);
        float *a, *b, *e;
        run_group(k, &d, storage, cpu, cuts, parts, &a, &b, &e);
        check_same(d.name, a, norm, (size_t)n * 2 * pitch);
        check_same(d.name, b, plain, count * c);
        check_same(d.name, e, silu, count * c);
        free(a), free(b), free(e);
    }
    group_limit = 0;
    free(d.x1), free(d.x2), free(d.gamma), free(d.beta), free(x), free(want), free(scale), free(shift);
    free(norm), free(plain), free(silu);
}

static void test_group_norm(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++)
        for (size_t i = 0; i < sizeof group_cases / sizeof *group_cases; i++)
            check_group(&group_cases[i], mode & 1 ? VKA_F16 : VKA_F32, mode & 2);
}

/* ---- rounding to fp16 --------------------------------------------------------------------------------- */

/* Numbers next to and between halves of every size, of both signs, with what has no half. */
static float *awkward_numbers(uint32_t count)
{
    static const float edges[] = {0.0f,        0x1p-25f,      0x1.000002p-25f, 0x1.8p-24f, 0x1.8p-25f, 0x1.ffcp-15f, 0x1.ffep-15f,
                                  0x1.fffp-15f, 0x1p-14f,      1.0f,            2049.0f,    2051.0f,    65504.0f,     65519.99f,
                                  65520.0f,    65536.0f,      1e30f,           INFINITY};
    const uint32_t fixed = sizeof edges / sizeof *edges;
    float *v = malloc(count * sizeof *v), *noise = check_random(11, count, 1.0f);
    assert_non_null(v);
    for (uint32_t i = 0; i < count; i++) {
        v[i] = i / 2 < fixed ? edges[i / 2] : ldexpf(1.0f + fabsf(noise[i]), (int)(i / 2 % 44) - 27);
        if (i / 2 >= fixed && i % 3 == 0) /* in the middle between two halves */
            v[i] = vka_half_to_float(vka_float_to_half(v[i])) * (1.0f + 0x1p-11f);
        v[i] = i % 2 ? -v[i] : v[i];
    }
    free(noise);
    return v;
}

/* x * scale + shift = 1 * scale + 0 is whatever one likes. */
static void test_rounding(void **state)
{
    (void)state;
    enum { C = 2048 };
    float *ones = malloc(C * sizeof *ones), *norm = calloc(2 * C, sizeof *norm), *numbers = awkward_numbers(C);
    assert_true(ones && norm);
    for (uint32_t i = 0; i < C; i++) {
        ones[i] = 1.0f;
        norm[i] = numbers[i];
    }
    for (int cpu = 0; cpu < 2; cpu++) {
        struct check *c = check_begin(gpu, VKA_F16, VKA_F16, 1, 1);
        c->table.cpu = c->table.cpu && cpu;
        c->table.wide_loads = c->table.wide_loads && cpu;
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F16, 1, 1, 1, C, ones);
        vka_tensor n = check_input(c, "norm", VKA_SAMPLE, VKA_F32, 1, 1, 1, 2 * C, norm);
        vka_tensor y = vka_norm_apply(&c->build, x, (vka_tensor){0}, n, VKA_ACT_NONE);
        check_run(c, NULL, 0);
        float *got = check_output(c, y);
        for (uint32_t i = 0; i < C; i++) {
            float want = vka_half_to_float(vka_float_to_half(numbers[i]));
            bool same = got[i] == want && (numbers[i] == 0 || signbit(got[i]) == signbit(want)); /* -0 + 0 is 0 */
            if (!vka_gpu_describe(gpu)->cpu) { /* a GPU may round the other way and need not have subnormal halves */
                float step = fmaxf(0x1p-24f, fabsf(want) * 0x1p-10f);
                same = same || fabsf(got[i] - numbers[i]) <= step || (got[i] == 0 && fabsf(numbers[i]) < 0x1p-14f) ||
                       fabsf(numbers[i]) > 65504.0f;
            }
            if (!same)
                fail_msg("%a became %a, not %a", (double)numbers[i], (double)got[i], (double)want);
        }
        free(got);
        check_end(&c);
    }
    free(ones), free(norm), free(numbers);
}

/* ---- layer norm ---------------------------------------------------------------------------------- */

struct layer_case {
    uint32_t branches, frames, h, w, c;
    float mean;
    bool global;
};

static const struct layer_case layer_cases[] = {
    {2, 3, 4, 3, 8, 0, false},    {2, 3, 4, 3, 20, 0, false},   {2, 16, 3, 3, 96, 0, false},
    {1, 2, 1, 7, 1280, 0, false}, {1, 2, 1, 77, 128, 0, true},  {1, 1, 3, 5, 30, 1000, false},
    {1, 1, 3, 5, 3, 0, false},    {1, 5, 3, 5, 2000, 0, false},
};

struct layer_data {
    float *x, *gamma, *beta;
};

static float *run_layer(const struct layer_case *k, const struct layer_data *d, enum vka_dtype storage, bool cpu,
                        const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, k->branches, k->frames);
    c->table.cpu = cpu;
    c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
    const uint64_t dims[1] = {k->c};
    check_weight(c, "ln.weight", 1, dims, d->gamma);
    check_weight(c, "ln.bias", 1, dims, d->beta);
    vka_tensor x = check_input(c, "x", k->global ? VKA_GLOBAL : VKA_SAMPLE, storage, k->branches * k->frames, k->h,
                               k->w, k->c, d->x);
    vka_tensor y = vka_layer_norm(&c->build, x, vka_scope_root("ln"), 1e-5f);
    check_run(c, cuts, count);
    float *out = check_output(c, y);
    check_end(&c);
    return out;
}

static void check_layer(const struct layer_case *k, enum vka_dtype storage, bool cpu)
{
    char name[160];
    snprintf(name, sizeof name, "layer norm %s%s %ux%u of %ux%u, %u channels, mean %g",
             storage == VKA_F16 ? "f16" : "f32", cpu ? " cpu" : "", k->branches, k->frames, k->h, k->w, k->c,
             (double)k->mean);
    uint32_t n = k->branches * k->frames, rows = k->h * k->w;
    size_t count = (size_t)n * rows * k->c;
    struct layer_data d = {around(5, count, storage, k->mean, 2), around(6, k->c, VKA_F32, 1, 0.5f),
                           around(7, k->c, VKA_F32, 0, 0.5f)};
    double *x = doubles(d.x, count), *want = malloc(count * sizeof *want);
    assert_non_null(want);
    ref_layer_norm(x, n, rows, k->c, 1e-5, d.gamma, d.beta, want);
    float *got = run_layer(k, &d, storage, cpu, NULL, 0);
    check_close(name, got, want, count, (storage == VKA_F16 ? 5e-4 : 3e-6) + 2.4e-7 * (double)k->mean);
    static const uint32_t steps[3][2] = {{0, 1}, {1, 5}, {2, 1}};
    for (int i = 0; i < 3 && !k->global; i++) {
        struct vka_cut cuts[MAX_CUTS];
        group_limit = i == 1 ? 3 : 0;
        bool pixels = steps[i][0] == 1;
        uint32_t parts = cut_up(pixels, pixels ? rows : n, steps[i][0] == 2 ? k->frames : steps[i][1], cuts);
        float *again = run_layer(k, &d, storage, cpu, cuts, parts);
        check_same(name, again, got, count);
        free(again);
    }
    group_limit = 0;
    free(d.x), free(d.gamma), free(d.beta), free(x), free(want), free(got);
}

static void test_layer_norm(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++)
        for (size_t i = 0; i < sizeof layer_cases / sizeof *layer_cases; i++)
            check_layer(&layer_cases[i], mode & 1 ? VKA_F16 : VKA_F32, mode & 2);
}

/* What cannot be is refused at build time, with a sentence. */
static void test_refusals(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 3);
        float ones[24];
        for (int k = 0; k < 24; k++)
            ones[k] = 1;
        const uint64_t dims[1] = {i == 1 ? 4 : 8};
        check_weight(c, "norm.weight", 1, dims, ones);
        check_weight(c, "norm.bias", 1, dims, ones);
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 3, 1, 1, 8, ones), y;
        if (i == 0) /* 8 channels in 3 groups */
            y = vka_group_norm(&c->build, x, (vka_tensor){0}, vka_scope_root("norm"), 3, 1e-5f, false);
        else if (i == 1) /* 4 weights for 8 channels */
            y = vka_layer_norm(&c->build, x, vka_scope_root("norm"), 1e-5f);
        else /* a frame-joint norm of what has no frames */
            y = vka_group_norm(&c->build, check_input(c, "g", VKA_GLOBAL, VKA_F32, 1, 1, 1, 8, ones), (vka_tensor){0},
                               vka_scope_root("norm"), 4, 1e-5f, true);
        assert_int_equal(y.id, 0);
        assert_int_equal(c->build.err.status, i == 2 ? VKA_E_INTERNAL : VKA_E_INPUT);
        assert_true(strlen(c->build.err.what) > 10);
        check_end(&c);
    }
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_group_norm), cmocka_unit_test(test_layer_norm),
                                       cmocka_unit_test(test_rounding),
                                       cmocka_unit_test(test_refusals)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
