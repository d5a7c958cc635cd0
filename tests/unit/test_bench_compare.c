/* test_bench_compare.c - is a run slower than its baseline: the statistics against values computed elsewhere with 40
 * digits (and agreeing with scipy), and the verdicts. */
#define _XOPEN_SOURCE 700 /* open_memstream */
#include "bench_runs.h"
#include "report/stats.h"

static void assert_close(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

/* ---- statistics -------------------------------------------------------------------------------------- */

static void incomplete_beta(void **state)
{
    static const double cases[][4] = {
        {0.5, 0.5, 0.3, 0.369010119565545}, {2, 3, 0.4, 0.5248},
        {10, 0.5, 0.9, 0.15164090963471},   {0.7, 12, 0.05, 0.614663658499962},
        {50, 60, 0.45, 0.464235291430604},  {5000, 0.5, 0.9999, 0.317310507257953},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_close(bench_beta(cases[i][0], cases[i][1], cases[i][2], 1 - cases[i][2]), cases[i][3], 1e-9);
    assert_true(bench_beta(2, 3, 0, 1) == 0 && bench_beta(2, 3, 1, 0) == 1);
}

static void student(void **state)
{
    static const double cases[][3] = {
        {0.5, 1, 0.704832764699133},     {2, 3, 0.139325968558843},    {12, 4.5, 0.00013783197653273},
        {1.96, 1e6, 0.0499960675852698}, {40, 7, 1.59021799848504e-9}, {0.001, 30, 0.999208735766485},
        {6, 200, 9.11512034881039e-9},   {1e-8, 2, 0.999999992928932}, {0, 5, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_close(bench_student_p(cases[i][0], cases[i][1]), cases[i][2], 1e-9);
        assert_close(bench_student_p(-cases[i][0], cases[i][1]), cases[i][2], 1e-9);
    }
    assert_true(bench_student_p(1e200, 5) == 0);
    assert_true(bench_student_p((double)INFINITY, 5) == 0);
    assert_true(isnan(bench_student_p((double)NAN, 5)) && isnan(bench_student_p(1, 0)));
}

static void welch(void **state)
{
    double long_a[60], long_b[40];
    for (int i = 0; i < 60; i++)
        long_a[i] = 5.0 + 0.01 * ((i * 7) % 13);
    for (int i = 0; i < 40; i++)
        long_b[i] = 5.05 + 0.02 * ((i * 5) % 11);
    const struct {
        const double *a;
        size_t n;
        const double *b;
        size_t m;
        double t, df, p;
    } cases[] = {
        {(double[]){10.1, 10.2, 9.9, 10.0}, 4, (double[]){9.0, 9.1, 8.9, 9.2, 9.05}, 5, 12.2474487139159,
         6.04724409448819, 1.70321909093276e-5},
        {(double[]){1, 2, 3, 4, 5}, 5, (double[]){2, 3, 4, 5, 7}, 5, -1.07763181216065, 7.7111334002006,
         0.313751609462475},
        {(double[]){100.0, 100.5, 99.8}, 3, (double[]){100.1, 100.2}, 2, -0.233549683248453, 2.22263041880973,
         0.835109862720743},
        {(double[]){0.5, 0.51, 0.49, 0.505, 0.495, 0.502}, 6, (double[]){0.5, 0.5, 0.5, 0.5}, 4, 0.114707866935281, 5,
         0.913140709494103},
        {(double[]){3, 1}, 2, (double[]){1, 2}, 2, 0.447213595499958, 1.47058823529412, 0.71172279123367},
        {(double[]){20.4, 24.2, 15.4, 21.4, 20.2, 18.5, 21.5}, 7,
         (double[]){26.2, 31.5, 28.1, 24.9, 29.3, 30.0, 27.7, 26.5}, 8, -6.0414383652219, 11.4537468415562,
         7.09985313186596e-5},
        {long_a, 60, long_b, 40, -8.22272830100502, 56.7604512325001, 3.02478652036211e-11},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench_welch_result r;
        assert_true(bench_welch(cases[i].a, cases[i].n, cases[i].b, cases[i].m, &r));
        assert_close(r.t, cases[i].t, 1e-9);
        assert_close(r.df, cases[i].df, 1e-9);
        assert_close(r.p, cases[i].p, 1e-9);
        assert_true(bench_welch(cases[i].b, cases[i].m, cases[i].a, cases[i].n, &r));
        assert_close(r.t, -cases[i].t, 1e-9);
        assert_close(r.p, cases[i].p, 1e-9);
    }
}

static void welch_without_spread(void **state)
{
    const double same[] = {2, 2, 2}, other[] = {3, 3, 3}, thirds[] = {0.1, 0.1, 0.1}, tiny[] = {1e-200, 2e-200, 3e-200};
    bench_welch_result r;
    (void)state;
    assert_true(bench_welch(same, 3, same, 3, &r) && r.t == 0 && r.p == 1);
    assert_true(bench_welch(thirds, 3, thirds, 3, &r) && r.t == 0 && r.p == 1);
    assert_true(bench_welch(other, 3, same, 3, &r) && isinf(r.t) && r.t > 0 && r.p == 0 && isnan(r.df));
    assert_false(bench_welch(other, 2, same, 3, &r)); /* two equal readings say little */
    assert_false(bench_welch(other, 1, same, 3, &r));
    assert_true(r.mean_a == 3 && r.mean_b == 2 && isnan(r.p));
    assert_false(bench_welch(other, 0, same, 3, &r));
    assert_true(isnan(r.mean_a));
    assert_true(bench_welch(tiny, 3, tiny, 3, &r) && r.p == 1);
}

static void holm(void **state)
{
    double p[] = {0.01, 0.04, 0.03, 0.005}, gaps[] = {0.02, (double)NAN, 0.02, 0.9}, one[] = {0.03},
           many[] = {0.6, 0.7};
    (void)state;
    assert_true(bench_holm(p, 4));
    assert_close(p[0], 0.03, 1e-12);
    assert_close(p[1], 0.06, 1e-12);
    assert_close(p[2], 0.06, 1e-12);
    assert_close(p[3], 0.02, 1e-12);
    assert_true(bench_holm(gaps, 4)); /* three tests; equal p stay equal */
    assert_close(gaps[0], 0.06, 1e-12);
    assert_true(isnan(gaps[1]));
    assert_close(gaps[2], 0.06, 1e-12);
    assert_close(gaps[3], 0.9, 1e-12);
    assert_true(bench_holm(one, 1) && one[0] == 0.03);
    assert_true(bench_holm(many, 2) && many[0] == 1 && many[1] == 1);
    assert_true(bench_holm(NULL, 0));
}

/* A run of `count` rows "a", "b", ...; samples of row i are base[i] times 1 - spread, 1 and 1 + spread, twice each. */
static json_t *make_run(const char *device, const char *path, size_t count, const double *base, double spread)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        json_t *samples = json_array();
        for (int k = 0; k < 6; k++)
            json_array_append_new(samples, json_real(base[i] * (1 + spread * (k % 3 - 1))));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:o}", "level", "op", "name", name, "samples_ms", samples));
    }
    json_t *run = json_pack("{s:i, s:s, s:s, s:{s:s, s:s}, s:o}", "schema", BENCH_SCHEMA, "command", "bench", "commit",
                            "c", "device", "name", device, "path", path, "rows", rows);
    assert_non_null(run);
    return run;
}

/* ---- comparison -------------------------------------------------------------------------------------- */

static void verdicts(void **state)
{
    /* row: 10 % slower, 10 % faster, 2 % slower, 3.5 % slower, equal */
    const double now[] = {1.1, 0.9, 1.02, 1.035, 1}, then[] = {1, 1, 1, 1, 1};
    char out[64];
    (void)state;
    assert_true(statuses(make_run("d", "p", 5, now, 0.002), make_run("d", "p", 5, then, 0.002), out));
    assert_string_equal(out, "sf=s=");
    /* the same means in noise: 10 % is found no more */
    assert_false(statuses(make_run("d", "p", 5, now, 0.2), make_run("d", "p", 5, then, 0.2), out));
    assert_string_equal(out, "=====");
    /* no spread at all */
    assert_true(statuses(make_run("d", "p", 5, now, 0), make_run("d", "p", 5, then, 0), out));
    assert_string_equal(out, "sf=s=");
}

static void verdict_of_many(void **state)
{
    /* One row alone is significant at 0.01; among 26 it is not: p is between 0.01 / 26 and 0.01. */
    double now[26], then[26];
    char out[64];
    (void)state;
    for (int i = 0; i < 26; i++)
        now[i] = then[i] = 1;
    now[3] = 1.05;
    assert_true(statuses(make_run("d", "p", 1, now + 3, 0.024), make_run("d", "p", 1, then, 0.024), out));
    assert_false(statuses(make_run("d", "p", 26, now, 0.024), make_run("d", "p", 26, then, 0.024), out));
    assert_int_equal(out[3], '=');
}

static void verdict_limits(void **state)
{
    const double now[] = {1.1}, then[] = {1};
    json_t *run = make_run("d", "p", 1, now, 0.002), *baseline = make_run("d", "p", 1, then, 0.002), *verdict;
    bool regressed;
    vka_error err = {0};
    (void)state;
    assert_int_equal(bench_compare_with(run, baseline, (bench_limits){0.2, 0.01}, &verdict, &regressed, &err), VKA_OK);
    assert_false(regressed);
    json_decref(verdict);
    assert_int_equal(bench_compare_with(run, baseline, (bench_limits){0.03, 1e-30}, &verdict, &regressed, &err),
                     VKA_OK);
    assert_false(regressed);
    json_decref(verdict);
    assert_int_equal(bench_compare(run, baseline, &verdict, &regressed, &err), VKA_OK);
    const json_t *row = json_array_get(json_object_get(verdict, "rows"), 0);
    assert_true(regressed);
    assert_close(bench_number(row, "ratio"), 1.1, 1e-12);
    assert_close(bench_number(row, "p"), bench_number(row, "p_holm"), 1e-12);
    json_decref(verdict);
    json_decref(run);
    json_decref(baseline);
}

static void verdicts_without_test(void **state)
{
    const double base[] = {1, 1, 1, 1, 1, 1, 1};
    char out[64];
    (void)state;
    statuses(make_run("d", "p", 2, base, 0.01), make_run("e", "p", 2, base, 0.01), out);
    assert_string_equal(out, "rr");
    statuses(make_run("d", "p", 2, base, 0.01), make_run("d", "q", 2, base, 0.01), out);
    assert_string_equal(out, "rr");
    statuses(make_run("d", "p", 3, base, 0.01), make_run("d", "p", 1, base, 0.01), out);
    assert_string_equal(out, "=nn");
    statuses(make_run("d", "p", 1, base, 0.01), make_run("d", "p", 3, base, 0.01), out);
    assert_string_equal(out, "=mm");

    json_t *run = make_run("d", "p", 7, base, 0.01), *baseline = make_run("d", "p", 7, base, 0.01);
    edit(run, 0, "void", json_string("wrong"));
    edit(baseline, 1, "void", json_string("wrong"));
    edit(run, 2, "samples_ms", json_pack("[f]", 2.0));
    edit(run, 3, "samples_ms", json_pack("[n, s, b, f, f]", "x", 1, -1.0, 0.0)); /* nothing usable */
    edit(baseline, 4, "samples_ms", json_null());
    edit(run, 5, "shape", json_pack("{s:i}", "m", 1));
    edit(baseline, 5, "shape", json_pack("{s:i}", "m", 2));
    edit(run, 6, "check", json_pack("{s:b}", "passed", 0));
    assert_false(statuses(run, baseline, out));
    assert_string_equal(out, "vvuuurv");
    /* Precision, and the same row twice: each is taken once, and the exact counterpart goes first. */
    run = make_run("d", "p", 2, base, 0.01);
    baseline = make_run("d", "p", 2, base, 0.01);
    edit(run, 0, "precision", json_string("fp32"));
    edit(run, 1, "name", json_string("a"));
    edit(baseline, 1, "name", json_string("a"));
    edit(baseline, 1, "precision", json_string("fp16"));
    statuses(run, baseline, out);
    assert_string_equal(out, "r=");
    statuses(parse(sample_run), parse(sample_run), out);
    assert_string_equal(out, "=v==u");
}

static void verdict_as_text(void **state)
{
    const double now[] = {1.1, 1, 1}, then[] = {1, 1};
    json_t *run = make_run("d", "p", 3, now, 0.002), *baseline = make_run("d", "p", 2, then, 0.002), *verdict;
    bool regressed;
    (void)state;
    edit(run, 1, "void", json_string("line\nbreak"));
    assert_int_equal(bench_compare(run, baseline, &verdict, &regressed, NULL), VKA_OK);
    char *text = capture(as_verdict, verdict);
    assert_has(text, "slower   op a: 1.000 -> 1.100 ms (+10.0 %, p ");
    assert_has(text, "void     op b: line break\n");
    assert_has(text, "new      op c\n");
    assert_has(text, "1 rows compared: 1 slower, 0 faster, 0 the same");
    free(text);
    assert_int_equal(bench_compare_write(run, stdout, NULL), VKA_E_INPUT);
    json_object_set(run, "comparison", verdict); /* a run may carry it */
    text = capture(as_md, run);
    assert_has(text, "## Against the baseline\n\nCommit c: slower.\n");
    assert_has(text, "| a | slower | 1.000 | 1.100 | 1.100 | ");
    free(text);
    text = capture(as_html, run);
    assert_well_formed(text);
    assert_has(text, ": 1 compared, 1 slower, 0 faster, 0 same.");
    free(text);
    json_decref(verdict);
    json_decref(run);
    json_decref(baseline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incomplete_beta),
        cmocka_unit_test(student),
        cmocka_unit_test(welch),
        cmocka_unit_test(welch_without_spread),
        cmocka_unit_test(holm),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(verdict_of_many),
        cmocka_unit_test(verdict_limits),
        cmocka_unit_test(verdicts_without_test),
        cmocka_unit_test(verdict_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
