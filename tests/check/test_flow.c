/* test_flow.c - the operators of optical flow and of frames between two against tests/reference_c, one by one, on odd sizes.
 *
 * Some of them decide (search, fill, choose, usual): where a decision hangs on the last bits of a number another pixel may come out,
 * so a few may differ there; the others are close everywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_flow.h"
#include "harness.h"
#include "ops/flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static vka_gpu *gpu;

static const struct ref_size sizes[] = {{16, 24}, {13, 17}, {21, 9}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void *get(size_t count, size_t size)
{
    void *p = calloc(count, size);
    assert_non_null(p);
    return p;
}

static double *doubles(const float *x, size_t n)
{
    double *d = get(n, sizeof *d);
    for (size_t i = 0; i < n; i++)
        d[i] = (double)x[i];
    return d;
}

/* Two pictures of waves, the second moved by (1.7, -0.8); every third a block of it is another. */
static uint32_t *make_pictures(struct ref_size s, unsigned seed)
{
    uint32_t *p = get(2ull * s.h * s.w, sizeof *p);
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                double X = x - 1.7 * n + seed, Y = y + 0.8 * n, c[3];
                for (int k = 0; k < 3; k++)
                    c[k] = 127 + 60 * sin(0.5 * X + 0.3 * Y + k) + 60 * sin(0.23 * (k + 1) * X - 0.6 * Y);
                if (n && y > s.h / 2 && x > s.w / 2)
                    c[0] = 255 - c[0];
                p[((size_t)n * s.h + y) * s.w + x] =
                    (uint32_t)lrint(c[0]) | (uint32_t)lrint(c[1]) << 8 | (uint32_t)lrint(c[2]) << 16 | (x * 7 & 255) << 24;
            }
    return p;
}

static vka_tensor field(struct check *c, const char *name, struct ref_size s, uint32_t k, const void *values)
{
    return k ? check_input(c, name, VKA_GLOBAL, VKA_F32, 2, s.h, 1, s.w * k, values)
             : check_input(c, name, VKA_GLOBAL, VKA_U8X4, 2, s.h, s.w, 1, values);
}

static struct check *begin(int variant)
{
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 1);
    c->table.cpu = variant & 1;
    if (variant & 2)
        c->table.max_groups[0] = 1; /* launches fold */
    return c;
}

/* How many of `pixels` have a number of their `each` further from `want` than the tolerance. */
static void check_most(const char *what, const float *got, const double *want, size_t pixels, uint32_t each, double tolerance,
                       size_t may)
{
    size_t bad = 0;
    for (size_t i = 0; i < pixels; i++) {
        int far = 0;
        for (uint32_t k = 0; k < each; k++)
            far |= !(fabs((double)got[i * each + k] - want[i * each + k]) <= tolerance);
        bad += far != 0;
    }
    if (bad > may)
        fail_msg("%s: %zu of %zu pixels are not the reference's, %zu may", what, bad, pixels, may);
}

static void test_levels(void **state)
{
    (void)state;
    for (int k = 0; k < 3 * SIZES; k++) {
        const struct ref_size s = sizes[k / 3], half = {(s.h + 1) / 2, (s.w + 1) / 2};
        const size_t n = 2ull * s.h * s.w, m = 2ull * half.h * half.w;
        uint32_t *pictures = make_pictures(s, 3);
        double *plane = get(n, sizeof *plane), *less = get(m, sizeof *less), *large = get(8 * n, sizeof *large);
        float *small = check_random(5, 8 * m, 4);
        double *small_d = doubles(small, 8 * m);
        ref_flow_luma((const uint8_t *)pictures, s, plane);
        ref_flow_reduce(plane, s, less);
        ref_flow_expand(small_d, half, s, large);
        struct check *c = begin(k % 3);
        vka_tensor a = vka_flow_luma(&c->build, field(c, "pictures", s, 0, pictures));
        vka_tensor r = vka_flow_reduce(&c->build, a);
        vka_tensor e = vka_flow_expand(&c->build, a, field(c, "small", half, 8, small));
        vka_tensor zero = vka_flow_expand(&c->build, a, (vka_tensor){0});
        check_run(c, NULL, 0);
        float *got[4] = {check_output(c, a), check_output(c, r), check_output(c, e), check_output(c, zero)};
        check_close("luma", got[0], plane, n, 2e-7);
        check_close("reduce", got[1], less, m, 5e-7);
        check_close("expand", got[2], large, 8 * n, 1e-6);
        for (size_t i = 0; i < 8 * n; i++)
            assert_true(got[3][i] == 0.0f);
        for (int i = 0; i < 4; i++)
            free(got[i]);
        free(pictures), free(plane), free(less), free(large), free(small), free(small_d);
        check_end(&c);
    }
}

/* A state whose flow is about that of the pictures. */
static float *make_state(struct ref_size s, unsigned seed, float spread)
{
    float *v = check_random(seed, 16ull * s.h * s.w, 1);
    for (size_t i = 0; i < 16ull * s.h * s.w; i++) {
        const int backward = i >= 8ull * s.h * s.w;
        v[i] = i % 8 >= 4 ? 0.7f * v[i] : (i % 2 ? -0.8f : 1.7f) * (backward ? -1.0f : 1.0f) + spread * v[i];
    }
    return v;
}

static void test_steps(void **state)
{
    (void)state;
    for (int k = 0; k < 3 * SIZES; k++) {
        const struct ref_size s = sizes[k / 3];
        const size_t n = 2ull * s.h * s.w;
        uint32_t *pictures = make_pictures(s, 1);
        float *begins = make_state(s, 7, k % 3 == 2 ? 9.0f : 1.0f); /* 9: many lead outside */
        double *plane = get(n, sizeof *plane), *match = get(4 * n, sizeof *match), *smooth = get(8 * n, sizeof *smooth),
               *relaxed = get(8 * n, sizeof *relaxed), *twice = get(8 * n, sizeof *twice), *begins_d = doubles(begins, 8 * n);
        ref_flow_luma((const uint8_t *)pictures, s, plane);
        ref_flow_match(plane, begins_d, s, match, smooth);
        ref_flow_relax(match, smooth, s, 40, relaxed);
        ref_flow_relax(match, relaxed, s, 40, twice);
        struct check *c = begin(k % 3);
        vka_tensor a = vka_flow_luma(&c->build, field(c, "pictures", s, 0, pictures)), after;
        vka_tensor m = vka_flow_match(&c->build, a, field(c, "state", s, 8, begins), &after);
        vka_tensor r = vka_flow_relax(&c->build, m, after, 40);
        vka_tensor t = vka_flow_relax(&c->build, m, r, 40);
        check_run(c, NULL, 0);
        float *got[4] = {check_output(c, m), check_output(c, after), check_output(c, r), check_output(c, t)};
        check_most("match", got[0], match, n, 4, 2e-5, 0);
        check_close("smooth", got[1], smooth, 8 * n, 0);
        check_close("relaxed", got[2], relaxed, 8 * n, 2e-4); /* the condition's distance over a small gradient */
        check_close("relaxed twice", got[3], twice, 8 * n, 4e-4);
        for (int i = 0; i < 4; i++)
            free(got[i]);
        free(pictures), free(begins), free(plane), free(match), free(smooth), free(relaxed), free(twice), free(begins_d);
        check_end(&c);
    }
}

static void test_decisions(void **state)
{
    (void)state;
    for (int k = 0; k < 3 * SIZES; k++) {
        const struct ref_size s = sizes[k / 3], few = {5, 7};
        const size_t n = 2ull * s.h * s.w;
        enum { FACTOR = 4, FRAMES = 3 };
        uint32_t *pictures = make_pictures(s, 2);
        float *flow = make_state(s, 9, k % 3 == 2 ? 3.0f : 0.6f), *coarse = make_state(few, 4, 0.2f);
        double *plane = get(n, sizeof *plane), *searched = get(8 * n, sizeof *searched), *filled = get(8 * n, sizeof *filled),
               *frames = get((size_t)FRAMES * s.h * s.w * 4, sizeof *frames), *flow_d = doubles(flow, 8 * n),
               *coarse_d = doubles(coarse, 16ull * few.h * few.w);
        double *motion = get(4 * n, sizeof *motion), *paths = get((size_t)FRAMES * s.h * s.w * 4, sizeof *paths),
               *usual = get((size_t)FRAMES * s.h * s.w * 4, sizeof *usual);
        float *usual_f = get((size_t)FRAMES * s.h * s.w * 4, sizeof *usual_f);
        ref_flow_luma((const uint8_t *)pictures, s, plane);
        ref_flow_search(plane, flow_d, s, searched);
        ref_flow_fill((const uint8_t *)pictures, flow_d, s, coarse_d, few, FACTOR, filled);
        ref_between_choose((const uint8_t *)pictures, filled, s, coarse_d, few, FACTOR, FRAMES + 1, paths);
        ref_flow_usual(paths, s, FRAMES, k % 3, usual);
        ref_between((const uint8_t *)pictures, filled, s, usual, FRAMES + 1, frames);
        for (size_t i = 0; i < (size_t)FRAMES * s.h * s.w * 4; i++)
            usual_f[i] = (float)paths[i];
        for (size_t i = 0; i < n; i++)
            for (uint32_t e = 0; e < 3; e++)
                motion[4 * i + e] = filled[8 * i + e];
        struct check *c = begin(k % 3);
        vka_tensor p = field(c, "pictures", s, 0, pictures), f = field(c, "state", s, 8, flow),
                   o = field(c, "coarse", few, 8, coarse);
        vka_tensor se = vka_flow_search(&c->build, vka_flow_luma(&c->build, p), f);
        vka_tensor mo = vka_flow_fill(&c->build, p, f, o, FACTOR);
        vka_tensor pa = vka_between_choose(&c->build, p, mo, o, FACTOR, FRAMES);
        /* from the reference's paths, so that what was decided otherwise shows once */
        vka_tensor us = vka_flow_usual(&c->build, check_input(c, "paths", VKA_GLOBAL, VKA_F32, FRAMES, s.h, 1, 4 * s.w, usual_f), (uint32_t)k % 3);
        vka_tensor fr = vka_between(&c->build, p, mo, us);
        check_run(c, NULL, 0);
        float *got[5] = {check_output(c, se), check_output(c, mo), check_output(c, fr), check_output(c, pa), check_output(c, us)};
        check_most("search", got[0], searched, n, 8, 1e-6, n / 100);
        check_most("fill", got[1], motion, n, 4, 1e-6, n / 100);
        check_most("between", got[2], frames, (size_t)FRAMES * s.h * s.w, 4, 0.52, FRAMES * n / 100);
        check_most("choose", got[3], paths, (size_t)FRAMES * s.h * s.w, 4, 1e-4, FRAMES * n / 100);
        check_most("usual", got[4], usual, (size_t)FRAMES * s.h * s.w, 4, 1e-5, FRAMES * n / 200);
        for (int i = 0; i < 5; i++)
            free(got[i]);
        free(pictures), free(flow), free(coarse), free(plane), free(searched), free(filled), free(frames), free(flow_d);
        free(coarse_d), free(motion), free(paths), free(usual), free(usual_f);
        check_end(&c);
    }
}

/* Two equal pictures are every frame between them, whatever the flow of equal samples is. */
static void test_still(void **state)
{
    (void)state;
    const struct ref_size s = sizes[1];
    const size_t one = (size_t)s.h * s.w;
    uint32_t *pictures = make_pictures(s, 6);
    float *zero = get(16 * one, sizeof *zero);
    for (size_t i = 0; i < one; i++)
        pictures[one + i] = pictures[i] |= 255u << 24;
    struct check *c = begin(0);
    vka_tensor p = field(c, "pictures", s, 0, pictures), o = field(c, "coarse", s, 8, zero);
    vka_tensor m = vka_flow_fill(&c->build, p, o, o, 1);
    vka_tensor f = vka_between(&c->build, p, m, vka_between_choose(&c->build, p, m, o, 1, 5));
    check_run(c, NULL, 0);
    float *got = check_output(c, f);
    for (size_t i = 0; i < 5 * one; i++)
        for (uint32_t e = 0; e < 4; e++)
            assert_int_equal((int)got[4 * i + e], pictures[i % one] >> (8 * e) & 255);
    free(got), free(pictures), free(zero);
    check_end(&c);
}

/* What does not fit together is refused while building. */
static void test_refused(void **state)
{
    (void)state;
    float *v = check_random(1, 4096, 1);
    struct check *c = begin(0);
    vka_tensor a = field(c, "plane", (struct ref_size){8, 8}, 1, v), s = field(c, "state", (struct ref_size){8, 9}, 8, v), out;
    assert_int_equal(vka_flow_match(&c->build, a, s, &out).id, 0);
    assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
    assert_int_equal(vka_flow_reduce(&c->build, a).id, 0); /* the first error stays */
    free(v);
    check_end(&c);
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels), cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_decisions), cmocka_unit_test(test_still),
                                       cmocka_unit_test(test_refused)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
