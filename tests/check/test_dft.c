/* test_dft.c - the discrete Fourier transform against its definition in double, along every axis, cut in every way; and FreeInit's
 * mixture of two noises: against the published form with two transforms, whole and in slices, and at the ends of the filter.
 *
 * Tolerances: a sum of n terms near 1 is near sqrt(n) and rounded some ten times on its way to it, of numbers that are rounded
 * themselves: 1e-6 of sqrt(n).  The mixture has numbers near 1 and passes six sums: 1e-6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_dft.h"
#include "harness.h"

#include "render/freeinit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;

/* ---- the operator ------------------------------------------------------------------------------------------- */

struct dft_case {
    uint32_t branches, frames, h, w, c; /* c: complex numbers of a pixel, times 2 */
    enum vka_dft_axis axis;
    bool inverse, filtered;
};
static const struct dft_case cases[] = {
    {1, 16, 3, 5, 8, VKA_DFT_FRAMES, false, false}, {2, 7, 2, 9, 8, VKA_DFT_FRAMES, false, true},
    {1, 1, 2, 2, 8, VKA_DFT_FRAMES, true, false},   {1, 97, 1, 9, 16, VKA_DFT_FRAMES, true, false},
    {1, 3, 8, 5, 8, VKA_DFT_ROWS, false, false},    {2, 2, 13, 4, 8, VKA_DFT_ROWS, true, true},
    {1, 3, 5, 64, 8, VKA_DFT_COLUMNS, false, true}, {2, 2, 4, 33, 16, VKA_DFT_COLUMNS, true, false},
    {1, 5, 1, 1, 8, VKA_DFT_COLUMNS, false, false},
};

static float *run(const struct dft_case *k, const float *x, const float *filter, const float *turns, uint32_t n, bool cpu, bool cut)
{
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, k->branches, k->frames);
    struct vka_cut cuts[64];
    uint32_t all = k->branches * k->frames, pixels = k->h * k->w, count = 0;
    c->table.cpu = cpu && c->table.cpu;
    vka_tensor in = check_input(c, "x", VKA_SAMPLE, VKA_F32, all, k->h, k->w, k->c, x);
    vka_tensor table = check_input(c, "turns", VKA_GLOBAL, VKA_F32, 1, 1, 1, 2 * n, turns);
    vka_tensor by = k->filtered ? check_input(c, "filter", VKA_SAMPLE, VKA_F32, all, k->h, k->w, 1, filter) : (vka_tensor){0};
    vka_tensor out = vka_dft(&c->build, in, k->axis, k->inverse, table, by);
    for (uint32_t p = 0; cut && k->axis == VKA_DFT_FRAMES && p < pixels; p += 4)
        cuts[count++] = (struct vka_cut){.p0 = p, .pn = vka_min_u32(4, pixels - p)};
    for (uint32_t s = 0; cut && k->axis != VKA_DFT_FRAMES && s < all; s += 2)
        cuts[count++] = (struct vka_cut){.s0 = s, .sn = vka_min_u32(2, all - s)};
    check_run(c, cuts, count);
    float *got = check_output(c, out);
    check_end(&c);
    return got;
}

static void check_dft(const struct dft_case *k)
{
    uint32_t n = k->axis == VKA_DFT_FRAMES ? k->frames : k->axis == VKA_DFT_ROWS ? k->h : k->w;
    size_t pixels = (size_t)k->h * k->w, rows = k->branches * k->frames * pixels, all = rows * k->c, half = k->c / 2;
    size_t step = k->axis == VKA_DFT_FRAMES ? pixels : k->axis == VKA_DFT_ROWS ? k->w : 1; /* in rows */
    float *x = check_random(1, all, 1), *filter = check_random(2, rows, 1), *turns = malloc(2 * n * sizeof *turns);
    double *real = malloc(rows * sizeof *real), *imaginary = malloc(rows * sizeof *real), *a = malloc(rows * sizeof *a),
           *b = malloc(rows * sizeof *b), *want = malloc(all * sizeof *want);
    assert_true(turns && real && imaginary && a && b && want);
    vka_dft_table(n, turns);
    for (size_t c = 0; c < half; c++) {
        for (size_t i = 0; i < rows; i++)
            real[i] = x[i * k->c + c], imaginary[i] = x[i * k->c + half + c];
        for (size_t i = 0; i < rows; i++)
            if (i / step % n == 0)
                ref_dft(real + i, imaginary + i, step, n, k->inverse, a + i, b + i);
        for (size_t i = 0; i < rows; i++) {
            double by = k->filtered ? (double)filter[i] : 1, least = k->inverse ? sqrt(n) : 1 / sqrt(n);
            want[i * k->c + c] = a[i] * by * least; /* near 1 */
            want[i * k->c + half + c] = b[i] * by * least;
        }
    }
    for (int cpu = 0; cpu < 2; cpu++) {
        float *got = run(k, x, filter, turns, n, cpu, false), *parts = run(k, x, filter, turns, n, cpu, true);
        check_same("in parts", parts, got, all);
        for (size_t i = 0; i < all; i++)
            got[i] *= (float)(k->inverse ? sqrt(n) : 1 / sqrt(n));
        check_close("transform", got, want, all, 1e-6);
        free(got), free(parts);
    }
    free(x), free(filter), free(turns), free(real), free(imaginary), free(a), free(b), free(want);
}

static void transforms_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_dft(&cases[i]);
}

static void refused(void **state)
{
    (void)state;
    float zero[2 * 4 * 16] = {0};
    for (int i = 0; i < 3; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 2, 2, 2, i == 0 ? 12 : 16, zero);
        vka_tensor table = check_input(c, "turns", VKA_GLOBAL, VKA_F32, 1, 1, 1, i == 1 ? 6 : 4, zero);
        vka_tensor filter = check_input(c, "filter", VKA_SAMPLE, VKA_F32, 2, 1, 2, 1, zero);
        assert_int_equal(vka_dft(&c->build, x, VKA_DFT_ROWS, false, table, i == 2 ? filter : (vka_tensor){0}).id, 0);
        assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
        check_end(&c);
    }
}

/* ---- FreeInit ------------------------------------------------------------------------------------------------- */

enum { F = 6, C = 4, H = 5, W = 8, PIXELS = H * W, ALL = F * C * PIXELS };

static float *mix(const struct vka_lowpass_params *p, const float *z, const float *eta, const uint32_t *slice, int rounds)
{
    struct vka_freeinit s;
    struct vka_kernel_table table = check_table(gpu);
    vka_error err = {0};
    uint64_t need, before = vka_gpu_device_bytes(gpu, NULL), peak;
    float *out = malloc(ALL * sizeof *out);
    assert_non_null(out);
    check_ok(vka_freeinit_build(&s, F, C, H, W, slice, &table, &err), &err);
    check_ok(vka_freeinit_ask(&s, &(struct vka_ask){.room = {UINT64_MAX, UINT64_MAX}}, &need, &err), &err);
    vka_gpu_reset_peak(gpu);
    for (int i = 0; i < rounds; i++)
        check_ok(vka_freeinit_mix(&s, gpu, p, z, eta, out, NULL, &err), &err);
    assert_int_equal(vka_gpu_device_bytes(gpu, &peak), before);
    assert_int_equal(peak - before, need);
    vka_freeinit_end(&s);
    return out;
}

/* The published form: both noises transformed, weighed, and back; [F, C, H, W]. */
static double *published(const struct vka_lowpass_params *p, const float *z, const float *eta)
{
    double *out = malloc(ALL * sizeof *out), a[F * PIXELS], b[F * PIXELS], c[F * PIXELS], d[F * PIXELS];
    assert_non_null(out);
    for (uint32_t ch = 0; ch < C; ch++) {
        memset(b, 0, sizeof b);
        memset(d, 0, sizeof d);
        for (uint32_t i = 0; i < F * PIXELS; i++) {
            size_t at = ((size_t)i / PIXELS * C + ch) * PIXELS + i % PIXELS;
            a[i] = z[at], c[i] = eta[at];
        }
        ref_dft3(a, b, F, H, W, false);
        ref_dft3(c, d, F, H, W, false);
        for (uint32_t i = 0; i < F * PIXELS; i++) {
            double gain = (double)(float)vka_lowpass_gain(p, F, H, W, i / PIXELS, i % PIXELS / W, i % W);
            a[i] = a[i] * gain + c[i] * (1 - gain);
            b[i] = b[i] * gain + d[i] * (1 - gain);
        }
        ref_dft3(a, b, F, H, W, true);
        for (uint32_t i = 0; i < F * PIXELS; i++)
            out[((size_t)i / PIXELS * C + ch) * PIXELS + i % PIXELS] = a[i];
    }
    return out;
}

static void mixtures_are_right(void **state)
{
    (void)state;
    static const struct vka_lowpass_params filters[] = {{VKA_LOWPASS_BUTTERWORTH, 4, 0.25, 0.25},
                                                        {VKA_LOWPASS_GAUSSIAN, 0, 0.4, 0.7},
                                                        {VKA_LOWPASS_IDEAL, 0, 0.5, 0.25},
                                                        {VKA_LOWPASS_BOX, 0, 0.6, 0.5}};
    static const uint32_t odd[2] = {4, 7}, one[2] = {1, 1};
    float *z = check_random(3, ALL, 1.7f), *eta = check_random(4, ALL, 1.7f);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        double *want = published(&filters[i], z, eta);
        float *got = mix(&filters[i], z, eta, NULL, 1);
        check_close(vka_lowpass_name(filters[i].filter), got, want, ALL, 1e-6);
        float *parts = mix(&filters[i], z, eta, odd, 2), *pieces = i ? NULL : mix(&filters[i], z, eta, one, 1);
        check_same("in slices", parts, got, ALL);
        if (pieces)
            check_same("one by one", pieces, got, ALL);
        free(want), free(got), free(parts), free(pieces);
    }
    free(z), free(eta);
}

/* A filter that keeps everything returns the old noise, one that keeps nothing the fresh one, to the bit. */
static void ends_of_the_filter(void **state)
{
    (void)state;
    float *z = check_random(5, ALL, 1.7f), *eta = check_random(6, ALL, 1.7f);
    double *want = malloc(ALL * sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < ALL; i++)
        want[i] = z[i];
    const struct vka_lowpass_params all = {VKA_LOWPASS_IDEAL, 0, 1, 1e9}, nothing = {VKA_LOWPASS_GAUSSIAN, 0, 0, 0.5};
    for (uint32_t i = 0; i < F * PIXELS; i++) {
        assert_true(vka_lowpass_gain(&all, F, H, W, i / PIXELS, i % PIXELS / W, i % W) == 1);
        assert_true(vka_lowpass_gain(&nothing, F, H, W, i / PIXELS, i % PIXELS / W, i % W) == 0);
    }
    float *kept = mix(&all, z, eta, NULL, 1), *fresh = mix(&nothing, z, eta, NULL, 1);
    check_close("all is kept", kept, want, ALL, 1e-6);
    check_same("nothing is kept", fresh, eta, ALL);
    free(z), free(eta), free(want), free(kept), free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transforms_are_right),
        cmocka_unit_test(refused),
        cmocka_unit_test(mixtures_are_right),
        cmocka_unit_test(ends_of_the_filter),
    };
    gpu = check_open_gpu();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
