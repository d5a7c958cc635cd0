/* test_elementwise.c - embeddings, linear combinations and pictures on the device against tests/reference_c: bit for
 * bit where the reference rounds as the device does; every way of cutting a clip gives the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_elementwise.h"
#include "../reference_c/ref_embedding.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;
static uint32_t group_limit; /* workgroups on one axis, 0: the device's; small ones fold launches */

/* ---- timestep ------------------------------------------------------------------------------------ */

static void test_timestep(void **state)
{
    (void)state;
    static const float times[] = {0, 1, 0.5f, 17, 499, 981, 999, 1000, 249.75f};
    static const struct {
        uint32_t dim;
        bool flip;
        float shift;
    } kinds[] = {{320, true, 0}, {64, true, 0}, {128, false, 1}, {34, true, 0}, {5, false, 0.5f}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            double want[320];
            char name[96];
            snprintf(name, sizeof name, "timestep %g, %u numbers", (double)times[i], kinds[k].dim);
            ref_timestep_embedding(times[i], kinds[k].dim, kinds[k].flip, (double)kinds[k].shift, want);
            struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 1);
            c->table.cpu = i & 1;
            c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
            vka_tensor t = check_input(c, "t", VKA_GLOBAL, VKA_F32, 1, 1, 1, 1, &times[i]);
            vka_tensor e = vka_timestep_embedding(&c->build, t, kinds[k].dim, kinds[k].flip, kinds[k].shift);
            check_run(c, NULL, 0);
            float *got = check_output(c, e);
            check_close(name, got, want, kinds[k].dim, 5e-7);
            free(got);
            check_end(&c);
        }
}

/* ---- tokens -------------------------------------------------------------------------------------- */

static void check_tokens(uint32_t chunks, uint32_t count, uint32_t dim, uint32_t vocabulary, uint32_t places,
                         enum vka_dtype storage)
{
    float *tokens = check_random(1, (size_t)vocabulary * dim, 1), *positions = check_random(2, (size_t)places * dim, 1);
    int32_t *ids = malloc(chunks * count * sizeof *ids);
    double *want = malloc((size_t)chunks * count * dim * sizeof *want);
    assert_true(ids && want);
    for (uint32_t i = 0; i < chunks * count; i++)
        ids[i] = (int32_t)((i * 7919u + 3) % vocabulary);
    ids[0] = (int32_t)vocabulary - 1;
    ref_token_embedding(ids, chunks, count, dim, tokens, positions, want);
    struct check *c = check_begin(gpu, storage, VKA_F32, 1, 1);
    const uint64_t td[2] = {vocabulary, dim}, pd[2] = {places, dim};
    check_weight(c, "token.weight", 2, td, tokens);
    check_weight(c, "position.weight", 2, pd, positions);
    vka_tensor in = check_input(c, "ids", VKA_GLOBAL, VKA_I32, chunks, 1, count, 1, ids);
    vka_tensor out = vka_token_embedding(&c->build, in, vka_scope_root("token"), vka_scope_root("position"));
    check_run(c, NULL, 0);
    float *got = check_output(c, out);
    check_close("tokens", got, want, (size_t)chunks * count * dim, storage == VKA_F16 ? 5e-4 : 1e-7);
    free(got), free(tokens), free(positions), free(ids), free(want);
    check_end(&c);
}

static void test_tokens(void **state)
{
    (void)state;
    for (int f16 = 0; f16 < 2; f16++) {
        check_tokens(1, 77, 128, 887, 77, f16 ? VKA_F16 : VKA_F32);
        check_tokens(3, 77, 30, 100, 80, f16 ? VKA_F16 : VKA_F32);
        check_tokens(2, 1, 5, 2, 1, f16 ? VKA_F16 : VKA_F32);
    }
    /* an id outside the table reads its ends, not somebody's memory */
    const int32_t wild[2] = {-5, 1000000};
    float table[8] = {1, 2, 3, 4, 5, 6, 7, 8}, zero[8] = {0};
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 1);
    const uint64_t dims[2] = {2, 4};
    check_weight(c, "token.weight", 2, dims, table);
    check_weight(c, "position.weight", 2, dims, zero);
    vka_tensor ids = check_input(c, "ids", VKA_GLOBAL, VKA_I32, 1, 1, 2, 1, wild);
    vka_tensor out = vka_token_embedding(&c->build, ids, vka_scope_root("token"), vka_scope_root("position"));
    check_run(c, NULL, 0);
    float *got = check_output(c, out);
    for (int i = 0; i < 8; i++)
        assert_true(got[i] == table[i]);
    free(got);
    check_end(&c);
}

/* ---- combinations -------------------------------------------------------------------------------- */

struct combine_case {
    uint32_t branches, frames, h, w, c, count, first;
    uint32_t global[6]; /* samples of a GLOBAL x, 0: a clip */
    uint32_t skip[6];
    float coefficient[6];
    bool to_samples;
    bool poison; /* NaN in every x whose coefficient is 0 */
};

static const struct combine_case combine_cases[] = {
    {1, 5, 3, 7, 4, 1, 0, {0}, {0}, {0.3f}, false, false},
    {1, 16, 16, 16, 4, 6, 3, {0}, {0}, {0.1f, -7.3f, 1e-3f, 3.5f, 1.1f, -0.77f}, false, false},
    {1, 3, 5, 5, 4, 3, 0, {0, 6, 6}, {0, 0, 3}, {1, -7.5f, 8.5f}, false, false}, /* guidance of two branches */
    {2, 3, 4, 4, 4, 1, 1, {3}, {0}, {0.5f}, true, false},                        /* one clip for two branches */
    {1, 2, 3, 3, 20, 4, 0, {0, 5, 0, 9}, {0, 2, 0, 7}, {1, 0, 0, 2}, false, true},
    {1, 1, 1, 1, 3, 2, 2, {1, 4}, {0, 3}, {2, 3}, false, false}, /* everything GLOBAL */
    {1, 2, 3, 3, 4, 2, 0, {0}, {0}, {0, 0}, false, true},        /* nothing left: zero */
};

static float *run_combine(const struct combine_case *k, float *const *x, const float *coefficients, bool cpu,
                          const struct vka_cut *cuts, uint32_t count, uint32_t *samples)
{
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, k->branches, k->frames);
    c->table.cpu = cpu;
    c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
    struct vka_combine_args a = {
        .count = k->count, .first = k->first, .to_samples = k->to_samples, .label = vka_scope_root("combine")};
    a.coefficients = check_input(c, "coefficients", VKA_GLOBAL, VKA_F32, 1, 1, 1, k->first + 6, coefficients);
    for (uint32_t i = 0; i < k->count; i++) {
        uint32_t n = k->global[i] ? k->global[i] : k->branches * k->frames;
        a.x[i] = check_input(c, "x", k->global[i] ? VKA_GLOBAL : VKA_SAMPLE, VKA_F32, n, k->h, k->w, k->c, x[i]);
        a.skip[i] = k->skip[i];
    }
    vka_tensor y = vka_combine(&c->build, &a);
    check_run(c, cuts, count);
    *samples = vka_info(c->graph, y)->n;
    float *out = check_output(c, y);
    check_end(&c);
    return out;
}

static void check_combine(const struct combine_case *k, bool cpu)
{
    float *x[6] = {0}, coefficients[16], *y;
    size_t size = (size_t)k->h * k->w * k->c;
    uint32_t n;
    for (uint32_t i = 0; i < 16; i++)
        coefficients[i] = 1e30f; /* must not be used */
    memcpy(coefficients + k->first, k->coefficient, sizeof k->coefficient);
    for (uint32_t i = 0; i < k->count; i++) {
        size_t count = size * (k->global[i] ? k->global[i] : k->branches * k->frames);
        x[i] = check_random(10 + i, count, 3);
        for (size_t e = 0; k->poison && k->coefficient[i] == 0 && e < count; e++)
            x[i][e] = NAN;
    }
    y = run_combine(k, x, coefficients, cpu, NULL, 0, &n);
    float *want = malloc(n * size * sizeof *want);
    assert_non_null(want);
    for (uint32_t s = 0; s < n; s++) {
        const float *at[6];
        for (uint32_t i = 0; i < k->count; i++)
            at[i] = x[i] + size * (k->global[i] ? (k->skip[i] + s) % k->global[i] : s);
        ref_combine(at, k->coefficient, k->count, size, want + s * size);
    }
    check_same("combine", y, want, n * size);
    if (k->to_samples || !k->global[0]) {
        struct vka_cut samples[64], pixels[64];
        uint32_t all = k->branches * k->frames, rows = k->h * k->w, count = 0, m;
        for (; count < all; count++)
            samples[count] = (struct vka_cut){.s0 = count, .sn = 1};
        group_limit = 1;
        float *again = run_combine(k, x, coefficients, cpu, samples, count, &m);
        group_limit = 0;
        check_same("combine by samples", again, y, n * size);
        free(again);
        count = 0;
        for (uint32_t p = 0; p < rows; p += 5)
            pixels[count++] = (struct vka_cut){.p0 = p, .pn = p + 5 > rows ? rows - p : 5};
        again = run_combine(k, x, coefficients, cpu, pixels, count, &m);
        check_same("combine by pixels", again, y, n * size);
        free(again);
    }
    for (uint32_t i = 0; i < k->count; i++)
        free(x[i]);
    free(y), free(want);
}

static void test_combine(void **state)
{
    (void)state;
    for (int cpu = 0; cpu < 2; cpu++)
        for (size_t i = 0; i < sizeof combine_cases / sizeof *combine_cases; i++)
            check_combine(&combine_cases[i], cpu);
}

/* ---- pictures ------------------------------------------------------------------------------------ */

/* ---- guidance rescale ------------------------------------------------------------------------------ */

static float *run_rescale(uint32_t frames, uint32_t h, uint32_t w, uint32_t ch, bool clip, bool cpu, const float *guided,
                          const float *positive, const float *numbers, const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, frames);
    enum vka_domain domain = clip ? VKA_SAMPLE : VKA_GLOBAL;
    c->table.cpu = cpu;
    c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
    vka_tensor n = check_input(c, "numbers", VKA_GLOBAL, VKA_F32, 1, 1, 1, 4, numbers);
    vka_tensor x = check_input(c, "guided", domain, VKA_F32, frames, h, w, ch, guided);
    vka_tensor y = check_input(c, "positive", domain, VKA_F32, frames, h, w, ch, positive);
    vka_tensor z = vka_rescale(&c->build, x, y, n, 2);
    check_run(c, cuts, count);
    float *out = check_output(c, z);
    check_end(&c);
    return out;
}

static void test_rescale(void **state)
{
    (void)state;
    static const struct {
        uint32_t frames, h, w, c;
        float phi;
        bool clip, flat; /* flat: a guided sample without spread */
    } cases[] = {{1, 1, 1, 4, 0.7f, false, false}, {3, 5, 7, 4, 0.7f, false, false}, {4, 16, 16, 4, 1, true, false},
                 {2, 9, 31, 9, 0.3f, true, false}, {3, 8, 8, 4, 0.5f, true, true},   {16, 32, 32, 4, 0, false, false}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int cpu = 0; cpu < 2; cpu++) {
            size_t one = (size_t)cases[k].h * cases[k].w * cases[k].c, all = one * cases[k].frames;
            float *guided = check_random(1, all, 5), *positive = check_random(2, all, 2);
            const float numbers[4] = {NAN, NAN, cases[k].phi, NAN}; /* only the third may be read */
            double *want = malloc(all * sizeof *want);
            assert_non_null(want);
            for (size_t i = 0; i < all; i++)
                guided[i] = cases[k].flat && i < one ? 3 : guided[i] + 100; /* a mean that is much of it all */
            for (uint32_t s = 0; s < cases[k].frames; s++)
                ref_rescale(guided + s * one, positive + s * one, (double)cases[k].phi, one, want + s * one);
            float *got = run_rescale(cases[k].frames, cases[k].h, cases[k].w, cases[k].c, cases[k].clip, cpu, guided, positive,
                                     numbers, NULL, 0);
            check_close("rescale", got, want, all, 2e-6);
            if (cases[k].clip) {
                struct vka_cut cuts[16];
                for (uint32_t s = 0; s < cases[k].frames; s++)
                    cuts[s] = (struct vka_cut){.s0 = s, .sn = 1};
                group_limit = 1;
                float *cut = run_rescale(cases[k].frames, cases[k].h, cases[k].w, cases[k].c, true, cpu, guided, positive,
                                         numbers, cuts, cases[k].frames);
                group_limit = 0;
                check_same("rescale in parts", cut, got, all);
                free(cut);
            }
            free(got), free(want), free(guided), free(positive);
        }
}

/* ---- merge of windows ------------------------------------------------------------------------------ */

static float *run_merge(uint32_t n, uint32_t m, uint32_t h, uint32_t w, uint32_t ch, uint32_t terms, const float *sum,
                        const float *x, const float *table, const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, n);
    vka_tensor s = check_input(c, "sum", VKA_SAMPLE, VKA_F32, n, h, w, ch, sum);
    vka_tensor y = check_input(c, "guided", VKA_GLOBAL, VKA_F32, m, h, w, ch, x);
    vka_tensor t = check_input(c, "table", VKA_SAMPLE, VKA_F32, n, 1, 1, 2 * terms, table);
    vka_tensor out = vka_merge(&c->build, s, y, t);
    check_in_place(c, out, s);
    check_run(c, cuts, count);
    float *got = check_output(c, out);
    check_end(&c);
    return got;
}

/* Several windows at once, one of which brings numbers that are none and no weight. */
static void test_merge(void **state)
{
    (void)state;
    enum { N = 5, M = 7, H = 3, W = 5, C = 4, TERMS = 3, ONE = H * W * C };
    float *sum = check_random(1, (size_t)N * ONE, 5), *x = check_random(2, (size_t)M * ONE, 5), table[N * 2 * TERMS];
    double want[N * ONE];
    for (uint32_t i = 0; i < ONE; i++)
        x[6 * ONE + i] = NAN; /* of no frame */
    for (uint32_t s = 0; s < N; s++)
        for (uint32_t k = 0; k < TERMS; k++) {
            bool there = k <= s % TERMS;
            uint32_t from = (2 * s + k) % 6;
            table[(s * TERMS + k) * 2] = there ? (float)from : -1.0f;
            table[(s * TERMS + k) * 2 + 1] = 0.25f * (float)(k + 1);
            for (uint32_t i = 0; i < ONE; i++)
                want[s * ONE + i] = (k ? want[s * ONE + i] : (double)sum[s * ONE + i]) +
                                    (there ? 0.25 * (k + 1) * (double)x[from * ONE + i] : 0);
        }
    float *got = run_merge(N, M, H, W, C, TERMS, sum, x, table, NULL, 0);
    check_close("merge", got, want, N * ONE, 2e-6);
    const struct vka_cut samples[] = {{.s0 = 0, .sn = 2}, {.s0 = 2, .sn = 3}}, pixels[] = {{.p0 = 0, .pn = 4}, {.p0 = 4, .pn = 11}};
    for (int way = 0; way < 2; way++) {
        float *parts = run_merge(N, M, H, W, C, TERMS, sum, x, table, way ? pixels : samples, 2);
        check_same(way ? "merge, cut along pixels" : "merge, cut along samples", parts, got, N * ONE);
        free(parts);
    }
    free(sum), free(x), free(got);
}

/* ---- rows to samples --------------------------------------------------------------------------------- */

static void test_spread(void **state)
{
    (void)state;
    enum { N = 5, M = 3, H = 2, W = 7, C = 13, ONE = H * W * C };
    static const int32_t rows[N] = {2, 0, 0, 1, 2};
    const struct vka_cut samples[] = {{.s0 = 0, .sn = 2}, {.s0 = 2, .sn = 3}}, pixels[] = {{.p0 = 0, .pn = 4}, {.p0 = 4, .pn = 10}};
    for (int way = 0; way < 12; way++) {
        enum vka_dtype storage = way & 1 ? VKA_F16 : VKA_F32;
        bool indexed = way & 2;
        float *x = check_random(4, (size_t)M * ONE, 3);
        check_round(x, (size_t)M * ONE, storage);
        struct check *c = check_begin(gpu, storage, VKA_F32, 1, N);
        vka_tensor in = check_input(c, "x", VKA_GLOBAL, storage, indexed ? M : 1, H, W, C, x);
        vka_tensor index = indexed ? check_input(c, "index", VKA_SAMPLE, VKA_I32, N, 1, 1, 1, rows) : (vka_tensor){0};
        vka_tensor out = vka_spread(&c->build, in, index, vka_scope_root("spread"));
        check_run(c, way < 4 ? NULL : way < 8 ? samples : pixels, way < 4 ? 0 : 2);
        float *got = check_output(c, out);
        for (int s = 0; s < N; s++)
            for (int i = 0; i < ONE; i++)
                if (got[s * ONE + i] != x[(indexed ? rows[s] : 0) * ONE + i])
                    fail_msg("spread %d: sample %d, value %d is %g", way, s, i, (double)got[s * ONE + i]);
        free(got), free(x);
        check_end(&c);
    }
}

static void test_picture(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
        enum { N = 3, H = 9, W = 7, C = 5 };
        float *x = check_random(3, N * H * W * C, 1.2f);
        for (int i = 0; i < 256; i++) /* every byte's middle, and ties */
            x[i * 3 % (N * H * W * C)] = (float)((i + (i & 1) * 0.5) / 127.5 - 1);
        x[1] = NAN;
        x[C] = -NAN;
        x[2 * C + 2] = HUGE_VALF;
        x[2 * C + 1] = -HUGE_VALF;
        x[3 * C] = -1;
        x[3 * C + 1] = 1;
        x[3 * C + 3] = NAN; /* not one of the three */
        check_round(x, N * H * W * C, storage);
        uint32_t want[N * H * W];
        ref_picture(x, N * H * W, C, want);
        for (int cut = 0; cut < 3; cut++) {
            struct check *c = check_begin(gpu, storage, VKA_F32, 1, N);
            c->table.cpu = mode & 2;
            c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
            vka_tensor in = check_input(c, "x", VKA_SAMPLE, storage, N, H, W, C, x);
            vka_tensor out = vka_picture(&c->build, in);
            const struct vka_cut by_samples[2] = {{.s0 = 0, .sn = 1}, {.s0 = 1, .sn = 2}};
            const struct vka_cut by_pixels[2] = {{.p0 = 0, .pn = 41}, {.p0 = 41, .pn = 22}};
            check_run(c, cut == 1 ? by_samples : by_pixels, cut ? 2 : 0);
            float *got = check_output(c, out);
            for (int i = 0; i < N * H * W; i++)
                for (int e = 0; e < 4; e++)
                    if ((uint32_t)got[i * 4 + e] != (want[i] >> (8 * e) & 255))
                        fail_msg("pixel %d, byte %d is %g, should be %u", i, e, (double)got[i * 4 + e],
                                 want[i] >> (8 * e) & 255);
            free(got);
            check_end(&c);
        }
        free(x);
    }
}

/* Pictures as a network takes them, also where they are cut. */
static void test_hint(void **state)
{
    (void)state;
    enum { N = 6, H = 5, W = 11, PIXELS = N * H * W };
    uint8_t bytes[PIXELS * 4];
    for (uint32_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + i / 251);
    for (int mode = 0; mode < 16; mode++) {
        enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
        uint32_t ch = mode & 4 ? 4 : 3;
        bool swap = mode & 8;
        double want[PIXELS * 4];
        float *whole = NULL;
        for (uint32_t p = 0; p < PIXELS; p++)
            for (uint32_t c = 0; c < ch; c++)
                want[p * ch + c] = bytes[p * 4 + (swap && c < 3 ? 2 - c : c)] / 255.0;
        for (int cut = 0; cut < 3; cut++) {
            struct check *c = check_begin(gpu, storage, VKA_F32, 2, N / 2);
            c->table.cpu = mode & 2;
            vka_tensor in = check_input(c, "x", VKA_SAMPLE, VKA_U8X4, N, H, W, 1, bytes);
            vka_tensor out = vka_hint(&c->build, in, ch, swap);
            const struct vka_cut cuts[2][3] = {{{.s0 = 0, .sn = 1}, {.s0 = 1, .sn = 4}, {.s0 = 5, .sn = 1}},
                                               {{.p0 = 0, .pn = 24}, {.p0 = 24, .pn = 8}, {.p0 = 32, .pn = H * W - 32}}};
            check_run(c, cut ? cuts[cut - 1] : NULL, cut ? 3 : 0);
            float *got = check_output(c, out);
            check_close("hint", got, want, PIXELS * ch, storage == VKA_F16 ? 5e-4 : 2e-7);
            if (cut)
                check_same("hint in parts", got, whole, PIXELS * ch);
            free(whole);
            whole = got;
            check_end(&c);
        }
        free(whole);
    }
    for (int i = 0; i < 2; i++) { /* what is none is a sentence */
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        static const float zero[2 * 4 * 8];
        vka_tensor in = check_input(c, "x", VKA_SAMPLE, i ? VKA_F32 : VKA_U8X4, 2, 4, 8, 1, zero);
        assert_int_equal(vka_hint(&c->build, in, i ? 3 : 2, false).id, 0);
        assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
        c->build.err = (vka_error){0};
        check_end(&c);
    }
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_timestep), cmocka_unit_test(test_tokens),
                                       cmocka_unit_test(test_combine), cmocka_unit_test(test_merge), cmocka_unit_test(test_spread),
                                       cmocka_unit_test(test_rescale), cmocka_unit_test(test_picture),
                                       cmocka_unit_test(test_hint)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
