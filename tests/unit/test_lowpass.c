/* test_lowpass.c - FreeInit's filters against numbers of another program (tests/reference/make_lowpass.py: diffusers' filter and a
 * transcription of the box), and what holds for any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sample/lowpass.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void equal_to_the_tables(void **state)
{
    (void)state;
    json_t *all = json_load_file(VKA_TEST_DATA "/golden/lowpass.json", 0, NULL), *k;
    size_t i;
    assert_true(json_array_size(all) >= 8);
    json_array_foreach(all, i, k)
    {
        const char *name;
        int order, f, h, w;
        struct vka_lowpass_params p;
        json_t *gains;
        vka_error err = {0};
        assert_int_equal(json_unpack(k, "{s:s, s:i, s:F, s:F, s:[iii], s:o}", "filter", &name, "order", &order, "space", &p.space, "time",
                                     &p.time, "shape", &f, &h, &w, "gains", &gains),
                         0);
        assert_int_equal(vka_lowpass_from_name(name, &p.filter, &err), VKA_OK);
        assert_string_equal(vka_lowpass_name(p.filter), name);
        p.order = (uint32_t)order;
        assert_int_equal(json_array_size(gains), f * h * w);
        for (int g = 0; g < f * h * w; g++) {
            double got = vka_lowpass_gain(&p, (uint32_t)f, (uint32_t)h, (uint32_t)w, (uint32_t)(g / (h * w)),
                                          (uint32_t)(g / w % h), (uint32_t)(g % w));
            double want = json_real_value(json_array_get(gains, (size_t)g));
            if (!(fabs(got - want) <= 1e-7))
                fail_msg("%s of case %zu: %.9g at %d, %.9g is wanted", name, i, got, g, want);
        }
    }
    json_decref(all);
}

static void another_name(void **state)
{
    (void)state;
    vka_lowpass f;
    vka_error err = {0};
    assert_int_equal(vka_lowpass_from_name("brickwall", &f, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "brickwall"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_to_the_tables), cmocka_unit_test(another_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
