/* test_resize.c - latents of another size against torch's (tests/golden/resize.json by tests/reference/make_resize.py). */
#include "sample/resize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum { MOST = 256 };

static uint32_t whole(const json_t *o, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(o, key));
}

static json_t *golden(void)
{
    json_error_t e;
    json_t *root = json_load_file(VKA_TEST_DATA "/golden/resize.json", 0, &e);
    assert_non_null(root);
    return root;
}

static void values(void **state)
{
    (void)state;
    json_t *root = golden(), *cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) >= 18);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k), *want = json_object_get(c, "values");
        uint32_t h = whole(c, "h"), w = whole(c, "w"), to_h = whole(c, "to_h"), to_w = whole(c, "to_w");
        const char *name = json_string_value(json_object_get(c, "name"));
        float src[MOST], dst[MOST];
        vka_error err = {0};
        assert_true(2 * h * w <= MOST && 2 * to_h * to_w <= MOST && json_array_size(want) == 2 * to_h * to_w);
        for (uint32_t i = 0; i < 2 * h * w; i++)
            src[i] = (float)sin(i);
        vka_latent_resize kind = strstr(name, "nearest")   ? VKA_LATENT_NEAREST
                                 : strstr(name, "bicubic") ? VKA_LATENT_BICUBIC
                                                           : VKA_LATENT_BILINEAR;
        assert_int_equal(vka_latents_resize(kind, src, 2, h, w, dst, to_h, to_w, &err), VKA_OK);
        for (uint32_t i = 0; i < 2 * to_h * to_w; i++)
            if (!(fabs((double)dst[i] - json_number_value(json_array_get(want, i))) < 2e-6))
                fail_msg("%s %u x %u to %u x %u: value %u is %g", name, w, h, to_w, to_h, i, (double)dst[i]);
    }
    json_decref(root);
}

/* Which pixel is the nearest where two are equally near: rounding.  (Beyond 20 times torch's own kernels differ
 * among themselves.) */
static void nearest(void **state)
{
    (void)state;
    json_t *root = golden();
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint32_t n = 1; n <= 80; n++)
        for (uint32_t to = 1; to < 200 && to < 8 * n; to++) {
            float src[MOST], dst[MOST];
            vka_error err = {0};
            for (uint32_t i = 0; i < n; i++)
                src[i] = (float)i;
            assert_int_equal(vka_latents_resize(VKA_LATENT_NEAREST, src, 1, 1, n, dst, 1, to, &err), VKA_OK);
            for (uint32_t i = 0; i < to + 2; i++) {
                uint32_t word = i == 0 ? n : i == 1 ? to : (uint32_t)dst[i - 2];
                for (int bit = 0; bit < 32; bit += 8)
                    h = (h ^ (word >> bit & 255)) * 0x100000001b3u;
            }
        }
    char text[17];
    snprintf(text, sizeof text, "%08lx%08lx", (unsigned long)(h >> 32), (unsigned long)(h & 0xffffffffu));
    assert_string_equal(text, json_string_value(json_object_get(root, "nearest")));
    json_decref(root);
}

static void same_size_is_the_same(void **state)
{
    (void)state;
    float src[60], dst[60];
    vka_error err = {0};
    for (int i = 0; i < 60; i++)
        src[i] = (float)cos(i) * 3;
    for (int kind = 0; kind <= VKA_LATENT_BICUBIC; kind++) {
        assert_int_equal(vka_latents_resize((vka_latent_resize)kind, src, 3, 4, 5, dst, 4, 5, &err), VKA_OK);
        assert_memory_equal(dst, src, sizeof src);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(nearest),
                                       cmocka_unit_test(same_size_is_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
