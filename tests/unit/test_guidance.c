/* test_guidance.c - coefficients of guidance against the formulas of sample/guidance.h, written out. */
#include "sample/guidance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four headers above first */
#include <cmocka.h>

static const double u = 0.31, c[5] = {-1.7, 2.2, 0.4, -0.9, 3.1}, p[5] = {-1.1, 0.7, 0.2, 1.9, -2.5};

/* What each branch puts out, in the order of branches. */
static double branch_value(const struct vka_guide *g, uint32_t k)
{
    int part = vka_guide_part(g, k);
    return part < 0 ? u : k >= vka_guide_first_perturbed(g) ? p[part] : c[part];
}

static void check(uint32_t parts, const double *w, double cfg, double pag, uint32_t branches)
{
    struct vka_guide g;
    vka_error err = {0};
    double guided[VKA_GUIDE_BRANCHES], positive[VKA_GUIDE_BRANCHES], want = u, plain = u, got = 0, got_plain = 0;
    assert_int_equal(vka_guide_make(&g, parts, w, cfg == 1, pag, 0, &err), VKA_OK);
    assert_int_equal(vka_guide_branches(&g), branches);
    vka_guide_coefficients(&g, cfg, guided, positive);
    for (uint32_t i = 0; i < parts; i++) {
        want += cfg * w[i] * (c[i] - u) + pag * w[i] * (c[i] - p[i]);
        plain += w[i] * (c[i] - u);
    }
    for (uint32_t k = 0; k < branches; k++) {
        got += guided[k] * branch_value(&g, k);
        got_plain += positive[k] * branch_value(&g, k);
    }
    for (uint32_t k = branches; k < VKA_GUIDE_BRANCHES; k++)
        assert_true(guided[k] == 0 && positive[k] == 0);
    if (fabs(got - want) > 1e-12 || fabs(got_plain - plain) > 1e-12)
        fail_msg("%u parts, cfg %g, pag %g: %.15g and %.15g, not %.15g and %.15g", parts, cfg, pag, got, got_plain, want,
                 plain);
}

static void test_formulas(void **state)
{
    (void)state;
    static const double one[] = {1}, some[] = {0.5}, two[] = {1, 1}, five[] = {1, -0.3, 0.7, 2, 0.01};
    check(1, one, 7.5, 0, 2);
    check(1, one, 0, 0, 2);
    check(1, one, 1, 0, 1); /* no branch for the negative prompt */
    check(1, one, 1, 3, 2); /* the prompt and its perturbed twin */
    check(1, one, 7.5, 3, 3);
    check(1, some, 1, 0, 2);
    check(2, two, 1, 0, 3);
    check(2, five, 8, 2.5, 5);
    check(5, five, 8, 0, 6);
}

static void test_plain_is_exact(void **state)
{
    (void)state;
    const double one = 1;
    double k[VKA_GUIDE_BRANCHES];
    struct vka_guide g;
    vka_guide_make(&g, 1, &one, false, 0, 0, NULL);
    vka_guide_coefficients(&g, 7.5, k, NULL);
    assert_true(k[0] == 1 - 7.5 && k[1] == 7.5);
    vka_guide_make(&g, 1, &one, true, 0, 0, NULL);
    vka_guide_coefficients(&g, 1, k, NULL);
    assert_true(k[0] == 1 && k[1] == 0);
}

static void test_too_many(void **state)
{
    (void)state;
    static const double w[] = {1, 1, 1, 1, 1, 1, 1};
    struct vka_guide g;
    vka_error err = {0};
    assert_int_equal(vka_guide_make(&g, 6, w, false, 0, 0, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.hint, "at most 5 parts"));
    err = (vka_error){0};
    assert_int_equal(vka_guide_make(&g, 3, w, false, 1, 0, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.hint, "at most 2 parts, or no --pag"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_plain_is_exact),
                                       cmocka_unit_test(test_too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
