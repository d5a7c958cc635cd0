/* test_values.c - values over frames and steps: what each form gives at each place, and the sentences of what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sample/values.h"

#include <locale.h>
#include <math.h>
#include <string.h>

enum { MOST = 16 };

struct given {
    const char *text;
    uint32_t count;
    double want[MOST];
};

static const struct given right[] = {
    {"1.2", 3, {1.2, 1.2, 1.2}},
    {"  -0.5\t", 2, {-0.5, -0.5}},
    {"1, 2,3", 5, {1, 2, 3, 3, 3}},
    {"1,2,3,4", 2, {1, 2}}, /* more than there are frames */
    {"0:1, 4:3", 6, {1, 1.5, 2, 2.5, 3, 3}},
    {"2:1, 4:3", 6, {1, 1, 1, 2, 3, 3}}, /* held before the first */
    {"0:1, 8:2", 5, {1, 1.125, 1.25, 1.375, 1.5}}, /* on the way to a place behind the end */
    {"7:4", 3, {4, 4, 4}},
    {"0.0:1, 1.0:0", 5, {1, 0.75, 0.5, 0.25, 0}},
    {"0.0:1, 0.5:2, 1.0:1", 4, {1, 1 + 2.0 / 3, 1 + 2.0 / 3, 1}}, /* 0.5 lies between frames 1 and 2 */
    {"0.0:1, 1.0:5", 1, {1}},
    {"0 : 1 ; 2 : 2\n", 3, {1, 1.5, 2}},
    {"0:1e1,1:1.5e+1", 2, {10, 15}},
    {"0:1,1:1,2:0", 3, {1, 1, 0}},
    {"0:1, -1:3", 5, {1, 1.5, 2, 2.5, 3}},
    {"-4:1, -2:3", 6, {1, 1, 1, 2, 3, 3}},
    {"0-2:1, 4:3", 6, {1, 1, 1, 2, 3, 3}},
    {"1 - 2:1, -2--1:3", 6, {1, 1, 1, 2, 3, 3}},
    {"0.0-0.5:1, 1.0:3", 5, {1, 1, 1, 2, 3}},
    {"1-2:5", 4, {5, 5, 5, 5}},
    {"0 hold:1, 3:2, 4:9", 5, {1, 1, 1, 2, 9}},
    {"0 ease-in:1, 4:2", 5, {1, 1 + 1.0 / 64, 1.125, 1 + 27.0 / 64, 2}},
    {"0 ease-out:1, 4:2", 5, {1, 2 - 27.0 / 64, 1.875, 2 - 1.0 / 64, 2}},
    {"0 ease-in-out:1,2 linear:2,4:4", 5, {1, 1.5, 2, 3, 4}},
    {"0-1 hold: 1; 3: 2", 4, {1, 1, 1, 2}},
};

static void each_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        const struct given *g = &right[i];
        vka_error err = {0};
        double out[MOST + 1];
        for (int k = 0; k <= MOST; k++)
            out[k] = NAN;
        if (vka_values_parse("--x", g->text, -100, 100, g->count, out, &err) != VKA_OK)
            fail_msg("'%s': %s", g->text, err.what);
        for (uint32_t k = 0; k < g->count; k++)
            if (!(fabs(out[k] - g->want[k]) < 1e-12))
                fail_msg("'%s' at %u of %u: %.17g, not %.17g", g->text, k, g->count, out[k], g->want[k]);
        assert_true(isnan(out[g->count]));
        assert_int_equal(vka_values_parse("--x", g->text, -100, 100, 0, NULL, &err), VKA_OK);
    }
}

/* At a place that an entry names its value stands, to the last bit. */
static void exact_at_places(void **state)
{
    (void)state;
    double out[MOST];
    assert_int_equal(vka_values_parse("--x", "0:0.1, 7:0.7, 15:0.3", 0, 1, MOST, out, NULL), VKA_OK);
    assert_true(out[0] == 0.1 && out[7] == 0.7 && out[15] == 0.3);
}

static void sentences(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what, *why;
    } wrong[] = {
        {"", "--x does not understand ''", "an entry is a value"},
        {",", "does not understand", "an entry is a value"},
        {"1,,2", "does not understand", "an entry is a value"},
        {"fast", "does not understand 'fast'", "an entry is a value"},
        {"1 2", "does not understand", "an entry is a value"},
        {"1:", "does not understand", "an entry is a value"},
        {":1", "does not understand", "an entry is a value"},
        {"1:2:3", "does not understand", "an entry is a value"},
        {"0 fast:2", "does not understand", "an entry is a value"},
        {"1 hold", "does not understand", "an entry is a value"},
        {"-0:2", "does not understand", "an entry is a value"},
        {"-0.5:2", "does not understand", "an entry is a value"},
        {"4-1:2", "does not understand", "behind the one before"},
        {"0-4:1, 4:2", "does not understand", "behind the one before"},
        {"-1:1, -2:2", "does not understand", "behind the one before"},
        {"0-0.5:1", "does not understand", "of one kind"},
        {"1.5:2", "does not understand", "an entry is a value"}, /* a fraction beyond the end */
        {"1e10:2", "does not understand", "an entry is a value"},
        {"nan", "does not understand", "an entry is a value"},
        {"inf", "does not understand", "an entry is a value"},
        {"1e999", "does not understand", "an entry is a value"},
        {"0:1, 0.5:2", "does not understand", "of one kind"},
        {"0:1, 2", "does not understand", "of one kind"},
        {"4:1, 2:2", "does not understand", "behind the one before"},
        {"4:1, 4:2", "does not understand", "behind the one before"},
        {"5", "a value of --x is out of range", "from 0 to 4"},
        {"0:1, 3:-1", "a value of --x is out of range", "from 0 to 4"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vka_error err = {0};
        assert_int_equal(vka_values_parse("--x", wrong[i].text, 0, 4, 0, NULL, &err), VKA_E_USAGE);
        if (!strstr(err.what, wrong[i].what) || !strstr(err.why, wrong[i].why))
            fail_msg("'%s': %s / %s", wrong[i].text, err.what, err.why);
    }
}

/* Places from the end mean something with a count alone. */
static void from_the_end(void **state)
{
    (void)state;
    double out[MOST];
    vka_error err = {0};
    assert_int_equal(vka_values_parse("--x", "3:1, -1:2", 0, 4, 0, NULL, NULL), VKA_OK);
    assert_int_equal(vka_values_parse("--x", "3:1, -1:2", 0, 4, 5, out, NULL), VKA_OK);
    assert_int_equal(vka_values_parse("--x", "3:1, -1:2", 0, 4, 4, out, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.why, "behind the one before"));
    vka_error_clear(&err);
    assert_int_equal(vka_values_parse("--x", "-5:1", 0, 4, 4, out, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.why, "before the first frame"));
}

static void loops(void **state)
{
    (void)state;
    static const struct given closed[] = {
        {"0:1, 2:3", 4, {1, 2, 3, 2}},
        {"1:1, 2:4", 4, {2, 1, 4, 3}},
        {"1:1, 2 hold:4", 4, {4, 1, 4, 4}},
        {"1-2:1, 3:4", 6, {1.75, 1, 1, 4, 3.25, 2.5}},
        {"0.0:1, 1.0:5", 5, {1, 2, 3, 4, 5}},
        {"2:7", 4, {7, 7, 7, 7}},
        {"7", 3, {7, 7, 7}},
        {"1,2", 4, {1, 2, 2, 2}}, /* a list says all */
        {"0:1, 8:2", 5, {1, 1.125, 1.25, 1.375, 1.5}},
    };
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        const struct given *g = &closed[i];
        double out[MOST] = {0};
        assert_int_equal(vka_values_parse_loop("--x", g->text, -100, 100, g->count, true, out, NULL), VKA_OK);
        for (uint32_t k = 0; k < g->count; k++)
            if (!(fabs(out[k] - g->want[k]) < 1e-12))
                fail_msg("'%s' at %u of %u: %.17g, not %.17g", g->text, k, g->count, out[k], g->want[k]);
    }
}

static void any_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) /* where it is installed */
        setlocale(LC_NUMERIC, "");
    double out[2];
    assert_int_equal(vka_values_parse("--x", "0:1.5, 1:2.5", 0, 4, 2, out, NULL), VKA_OK);
    assert_true(out[0] == 1.5 && out[1] == 2.5);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form),
        cmocka_unit_test(exact_at_places),
        cmocka_unit_test(sentences),
        cmocka_unit_test(from_the_end),
        cmocka_unit_test(loops),
        cmocka_unit_test(any_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
