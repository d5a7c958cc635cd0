/* test_rng.c - the generators against torch's numbers (tests/golden/samplers.json) and A1111's published
 * ones, the three noise layouts, states saved and restored. */
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden_json.h"

/* torch itself differs by 2e-6 between its vector and its plain code. */
static const double TOLERANCE = 3e-6;

static json_t *golden(const char *key) { return golden_part(VKA_TEST_DATA "/golden/samplers.json", key); }

/* Every draw of a sequence, so that spare halves and positions carry over from draw to draw. */
static void torch_draws(void **state)
{
    (void)state;
    json_t *tables = golden("rng");
    assert_int_equal(json_array_size(tables), 3);
    float *v = malloc(65536 * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < json_array_size(tables); i++) {
        json_t *table = json_array_get(tables, i), *draws = json_object_get(table, "draws");
        vka_rng rng;
        vka_rng_init(&rng, VKA_RNG_TORCH_CPU, (uint64_t)json_integer_value(json_object_get(table, "seed")));
        for (size_t d = 0; d < json_array_size(draws); d++) {
            json_t *draw = json_array_get(draws, d), *at = json_object_get(draw, "at");
            json_t *values = json_object_get(draw, "values");
            size_t n = (size_t)json_integer_value(json_object_get(draw, "n"));
            vka_rng_normal(&rng, v, n);
            double sum = 0.0;
            for (size_t k = 0; k < n; k++)
                sum += (double)v[k];
            for (size_t k = 0; k < json_array_size(values); k++)
                near((double)v[json_array_size(at) ? (size_t)number(at, k) : k], number(values, k), TOLERANCE, "draw");
            near(sum, json_number_value(json_object_get(draw, "sum")), 2e-7 * (double)n + TOLERANCE, "sum");
        }
    }
    free(v);
    json_decref(tables);
}

static void published_values(void **state)
{
    (void)state;
    static const double nv[12] = {-0.92466259, -0.42534415, -2.6438457,  0.14518388,  -0.12086647, -0.57972564,
                                  -0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497};
    static const double torch[4] = {-1.1258, -1.1524, -0.2506, -0.4339};
    float v[64];
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_NV, 0);
    vka_rng_normal(&rng, v, 12);
    for (int i = 0; i < 12; i++)
        near((double)v[i], nv[i], 1.5e-7, "nv");
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 0);
    vka_rng_normal(&rng, v, 64);
    for (int i = 0; i < 4; i++)
        near((double)v[i], torch[i], 5e-5, "torch");
}

static void nv_rules(void **state)
{
    (void)state;
    float a[40], b[40];
    vka_rng rng, again;
    vka_rng_init(&rng, VKA_RNG_NV, 3);
    vka_rng_normal(&rng, a, 40);
    vka_rng_init(&again, VKA_RNG_NV, 3);
    vka_rng_normal(&again, b, 20);
    assert_memory_equal(a, b, 20 * sizeof *a); /* a value depends on its index and the call, not on the size */
    vka_rng_normal(&rng, a, 20);
    assert_memory_not_equal(a, b, 20 * sizeof *a);
    vka_rng_init(&again, VKA_RNG_NV, 3 + (UINT64_C(1) << 32)); /* the key has 64 bits */
    vka_rng_normal(&again, a, 20);
    assert_memory_not_equal(a, b, 20 * sizeof *a);
}

static void torch_uses_low_seed_bits(void **state)
{
    (void)state;
    float a[20], b[20];
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 5);
    vka_rng_normal(&rng, a, 20);
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, (UINT64_C(1) << 32) + 5);
    vka_rng_normal(&rng, b, 20);
    assert_memory_equal(a, b, sizeof a);
}

static void moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    float *v = malloc(N * sizeof *v);
    assert_non_null(v);
    for (int kind = VKA_RNG_TORCH_CPU; kind <= VKA_RNG_NV; kind++) {
        vka_rng rng;
        vka_rng_init(&rng, (vka_rng_kind)kind, 42);
        vka_rng_normal(&rng, v, N);
        double sum = 0.0, square = 0.0, fourth = 0.0;
        for (int i = 0; i < N; i++) {
            double x = (double)v[i];
            sum += x;
            square += x * x;
            fourth += x * x * x * x;
        }
        near(sum / (double)N, 0.0, 0.012, "mean");
        near(square / (double)N, 1.0, 0.016, "variance");
        near(fourth / (double)N, 3.0, 0.11, "fourth moment");
    }
    free(v);
}

static void layouts_against_torch(void **state)
{
    (void)state;
    json_t *tables = golden("noise");
    assert_int_equal(json_array_size(tables), 6);
    for (size_t i = 0; i < json_array_size(tables); i++) {
        json_t *table = json_array_get(tables, i), *shape = json_object_get(table, "shape");
        json_t *draws = json_object_get(table, "draws");
        vka_noise_layout layout;
        assert_true(vka_noise_layout_from_name(json_string_value(json_object_get(table, "layout")), &layout));
        uint32_t e[4];
        for (size_t k = 0; k < 4; k++)
            e[k] = (uint32_t)number(shape, k);
        size_t n = (size_t)e[0] * e[1] * e[2] * e[3];
        uint64_t seed = (uint64_t)json_integer_value(json_object_get(table, "seed"));
        vka_noise_source src;
        assert_int_equal(vka_noise_open(&src, VKA_RNG_TORCH_CPU, layout, seed, e[0], e[1], e[2], e[3], NULL), VKA_OK);
        float v[64], first[64];
        assert_true(n <= 64);
        assert_int_equal(vka_noise(VKA_RNG_TORCH_CPU, layout, seed, e[0], e[1], e[2], e[3], first, NULL), VKA_OK);
        for (size_t d = 0; d < 2; d++) {
            json_t *values = json_array_get(draws, d);
            assert_int_equal(json_array_size(values), n);
            vka_noise_draw(&src, v);
            for (size_t k = 0; k < n; k++)
                near((double)v[k], number(values, k), TOLERANCE, "draw");
            if (d == 0)
                assert_memory_equal(v, first, n * sizeof *v);
        }
        vka_noise_close(&src);
    }
    json_decref(tables);
}

/* NV in the three layouts, from the generator itself: index arithmetic is all that can go wrong. */
static void layouts_of_nv(void **state)
{
    (void)state;
    enum { F = 3, C = 4, H = 2, W = 5, P = H * W, N = F * C * P };
    float raw[2][N], v[N];
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_NV, 11);
    vka_rng_normal(&rng, raw[0], N);
    vka_rng_normal(&rng, raw[1], N);
    vka_noise_source src;
    assert_int_equal(vka_noise_open(&src, VKA_RNG_NV, VKA_NOISE_5D, 11, F, C, H, W, NULL), VKA_OK);
    for (int d = 0; d < 2; d++) {
        vka_noise_draw(&src, v);
        for (int f = 0; f < F; f++)
            for (int c = 0; c < C; c++)
                for (int p = 0; p < P; p++)
                    assert_true(v[(f * C + c) * P + p] == raw[d][(c * F + f) * P + p]);
    }
    vka_noise_close(&src);
    assert_int_equal(vka_noise(VKA_RNG_NV, VKA_NOISE_CLIP, 11, F, C, H, W, v, NULL), VKA_OK);
    assert_memory_equal(v, raw[0], sizeof v);
    assert_int_equal(vka_noise(VKA_RNG_NV, VKA_NOISE_FRAME, 11, F, C, H, W, v, NULL), VKA_OK);
    for (int f = 0; f < F; f++) {
        vka_rng_init(&rng, VKA_RNG_NV, 11 + (uint64_t)f);
        vka_rng_normal(&rng, raw[0], C * P);
        assert_memory_equal(v + f * C * P, raw[0], C * P * sizeof *v);
    }
}

static void states(void **state)
{
    (void)state;
    float a[70], b[70];
    uint8_t bytes[VKA_RNG_STATE_BYTES];
    for (int kind = VKA_RNG_TORCH_CPU; kind <= VKA_RNG_NV; kind++)
        for (size_t before = 0; before < 20; before += 3) { /* odd counts leave a spare half behind */
            vka_rng rng, other;
            vka_rng_init(&rng, (vka_rng_kind)kind, UINT64_C(0x123456789));
            vka_rng_normal(&rng, a, before);
            vka_rng_save(&rng, bytes);
            memset(&other, 0x5a, sizeof other);
            assert_true(vka_rng_load(&other, bytes));
            for (size_t n = 1; n < 70; n += 17) {
                vka_rng_normal(&rng, a, n);
                vka_rng_normal(&other, b, n);
                assert_memory_equal(a, b, n * sizeof *a);
            }
            bytes[0] ^= 1; /* not a state */
            assert_false(vka_rng_load(&other, bytes));
            bytes[0] ^= 1;
            bytes[VKA_RNG_STATE_BYTES - 18] = 0xff; /* an index far past the table */
            assert_false(vka_rng_load(&other, bytes));
        }
}

static void source_states(void **state)
{
    (void)state;
    vka_noise_source a, b;
    float va[3 * 2 * 9], vb[3 * 2 * 9];
    for (int layout = VKA_NOISE_5D; layout <= VKA_NOISE_FRAME; layout++) {
        assert_int_equal(vka_noise_open(&a, VKA_RNG_TORCH_CPU, (vka_noise_layout)layout, 1, 3, 2, 3, 3, NULL), VKA_OK);
        assert_int_equal(vka_noise_open(&b, VKA_RNG_TORCH_CPU, (vka_noise_layout)layout, 2, 3, 2, 3, 3, NULL), VKA_OK);
        vka_noise_draw(&a, va);
        size_t size = vka_noise_state_bytes(&a);
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        vka_noise_save(&a, bytes);
        assert_false(vka_noise_load(&b, bytes, size - 1));
        assert_true(vka_noise_load(&b, bytes, size));
        vka_noise_draw(&a, va);
        vka_noise_draw(&b, vb);
        assert_memory_equal(va, vb, sizeof va);
        vka_noise_draw(&b, vb);
        assert_memory_not_equal(va, vb, sizeof va);
        free(bytes);
        vka_noise_close(&a);
        vka_noise_close(&b);
    }
}

static void refused(void **state)
{
    (void)state;
    vka_noise_source src;
    vka_error err = {0};
    assert_int_equal(vka_noise_open(&src, VKA_RNG_NV, VKA_NOISE_CLIP, 0, 0, 4, 8, 8, &err), VKA_E_USAGE);
    assert_int_equal(err.status, VKA_E_USAGE);
    vka_error_clear(&err);
    assert_int_equal(vka_noise_open(&src, VKA_RNG_NV, VKA_NOISE_CLIP, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX, 8, &err),
                     VKA_E_USAGE);
    vka_rng_kind kind;
    vka_noise_layout layout;
    assert_true(vka_rng_kind_from_name("nv", &kind) && kind == VKA_RNG_NV);
    assert_true(vka_rng_kind_from_name("torch-cpu", &kind) && kind == VKA_RNG_TORCH_CPU);
    assert_false(vka_rng_kind_from_name("gpu", &kind));
    assert_false(vka_noise_layout_from_name("4d", &layout));
    for (int i = VKA_NOISE_5D; i <= VKA_NOISE_FRAME; i++)
        assert_true(vka_noise_layout_from_name(vka_noise_layout_name((vka_noise_layout)i), &layout) &&
                    layout == (vka_noise_layout)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_draws),   cmocka_unit_test(published_values),
        cmocka_unit_test(nv_rules),      cmocka_unit_test(torch_uses_low_seed_bits),
        cmocka_unit_test(moments),       cmocka_unit_test(layouts_against_torch),
        cmocka_unit_test(layouts_of_nv), cmocka_unit_test(states),
        cmocka_unit_test(source_states), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
