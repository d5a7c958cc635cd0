/* bench_runs.h - bench runs to test reports with, and checks of what becomes of them. */
#ifndef BENCH_RUNS_H
#define BENCH_RUNS_H

#include "report/report.h"
#include "report/view.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every kind of row, a peer, predictions, and text that wants escapes everywhere. */
static const char sample_run[] =
    "{\"schema\":1,\"command\":\"bench\",\"vkanim\":\"0.1.0\",\"commit\":\"0123456789abcdef\",\"date\":\"2026-11-22T09:"
    "30:00Z\","
    "\"device\":{\"name\":\"Card <i>1</i> & \\\"x\\\", 'y' | z\",\"driver\":\"drv "
    "1.2\",\"api\":\"1.3.0\",\"path\":\"khr\","
    "\"integrated\":false,\"cpu\":true,\"heap_bytes\":8589934592},"
    "\"settings\":{\"model\":\"sd15\",\"width\":512,\"height\":512,\"frames\":16,\"precision\":\"fp16\",\"samples\":3,"
    "\"kernel_table\":2},"
    "\"roof\":{\"tflops\":100.5,\"by\":\"gemm "
    "<probe>\",\"probes\":[{\"name\":\"gemm\",\"tflops\":100.5,\"samples_ms\":[1,2]}],"
    "\"copy_gbps\":900.25},"
    "\"rows\":["
    "{\"level\":\"op\",\"operator\":\"linear\",\"name\":\"linear 4096 x 320 -> 2560, "
    "\\\"geglu\\\"\",\"shape\":{\"m\":4096},"
    "\"count\":10,\"samples_ms\":[1.5,1.25,1.75],\"ms\":{\"min\":1.25,\"median\":1.5,\"max\":1.75},\"tflop\":0.02,"
    "\"gbyte\":0.1,\"tflops\":13.3,\"gbps\":66,\"roof_share\":0.5,\"copy_share\":0.1,\"peak_bytes\":null,"
    "\"planned_bytes\":1048576,\"check\":{\"passed\":true,\"elements\":64,\"worst\":0.001,\"tolerance\":0.004},"
    "\"void\":null,"
    "\"path\":\"khr\",\"predicted_ms\":1.2},"
    "{\"level\":\"op\",\"operator\":\"norm\",\"name\":\"norm 64x64x320\",\"count\":3,\"samples_ms\":[7.125,7.25],"
    "\"ms\":{\"min\":7.125,\"median\":7.1875,\"max\":7.25},\"roof_share\":0.01,\"copy_share\":0.7,\"check\":{"
    "\"passed\":false},"
    "\"void\":\"3 elements | off <b>\",\"path\":\"plain\"},"
    "{\"level\":\"stage\",\"name\":\"unet "
    "step\",\"samples_ms\":[50,51,52],\"ms\":{\"min\":50,\"median\":51,\"max\":52},"
    "\"s_per_it\":0.051,\"void\":null},"
    "{\"level\":\"clip\",\"name\":\"clip 512x512x16\",\"shape\":{\"width\":512,\"height\":512,\"frames\":16},"
    "\"samples_ms\":[120,121,122],\"ms\":{\"min\":120,\"median\":121,\"max\":122},\"roof_share\":0.4,\"peak_bytes\":"
    "4294967296,"
    "\"planned_bytes\":4400000000,\"s_per_it\":0.121,\"decode_s_per_frame\":0.02,\"check\":null,\"void\":null},"
    "{\"level\":\"clip\",\"name\":\"clip "
    "256x256x8\",\"shape\":{\"width\":256,\"height\":256,\"frames\":8},\"samples_ms\":[9],"
    "\"ms\":{\"min\":9,\"median\":9,\"max\":9},\"peak_bytes\":1073741824,\"s_per_it\":0.009}],"
    "\"summary\":{\"op_ms_per_step\":15.0,\"weighted_roof_share\":{\"linear\":0.5,\"conv\":0.4,\"attention\":null,"
    "\"all\":0.45}},"
    "\"peers\":[{\"name\":\"diffusers <compiled>\",\"version\":\"0.42\",\"width\":512,\"height\":512,\"frames\":16,"
    "\"s_per_it\":0.242,\"samples_ms\":[242],\"peak_bytes\":9000000000,\"decode_s_per_frame\":0.04}],"
    "\"floor\":[{\"size\":\"512x512x16\",\"tflop\":35.4,\"gbyte\":70.5,\"floor_s\":0.3522,\"mark_s\":0.7045,\"aim_s\":"
    "null}],"
    "\"marks\":[{\"name\":\"conv "
    "<share>\",\"value\":0.4,\"mark\":0.55,\"aim\":0.75,\"met\":false,\"aim_met\":null,\"note\":\"a & b\"}],"
    "\"predictions\":[{\"level\":\"stage\",\"name\":\"unet step\",\"predicted_ms\":40},{\"name\":\"far "
    "<away>\",\"predicted_ms\":3}]}";

static inline json_t *parse(const char *text)
{
    json_t *run;
    vka_error err = {0};
    if (bench_results_parse(text, strlen(text), "test", &run, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return run;
}

/* What a writer writes, which must succeed; free() it. */
static inline char *capture(vka_status (*write)(const void *what, FILE *to, vka_error *err), const void *what)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    vka_error err = {0};
    assert_non_null(to);
    if (write(what, to, &err) != VKA_OK)
        fail_msg("%s", err.what);
    fclose(to);
    assert_int_equal(strlen(text), size);
    char *copy = strdup(text); /* gcc 12 takes open_memstream's result for memory of this function */
    free(text);
    assert_non_null(copy);
    return copy;
}

static inline vka_status as_md(const void *run, FILE *to, vka_error *err)
{
    return bench_report_write(run, "md", to, err);
}
static inline vka_status as_csv(const void *run, FILE *to, vka_error *err)
{
    return bench_report_write(run, "csv", to, err);
}
static inline vka_status as_json(const void *run, FILE *to, vka_error *err)
{
    return bench_report_write(run, "json", to, err);
}
static inline vka_status as_jsonl(const void *run, FILE *to, vka_error *err)
{
    return bench_report_write(run, "jsonl", to, err);
}

static inline vka_status as_html(const void *run, FILE *to, vka_error *err)
{
    return bench_report_html(&(const json_t *){run}, 1, to, err);
}

static inline vka_status as_two(const void *run, FILE *to, vka_error *err)
{
    return bench_report_html((const json_t *const[]){run, run}, 2, to, err);
}

static inline vka_status as_table(const void *run, FILE *to, vka_error *err)
{
    return bench_results_table(&(const json_t *){run}, 1, to, err);
}

static inline vka_status as_verdict(const void *verdict, FILE *to, vka_error *err)
{
    return bench_compare_write(verdict, to, err);
}

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is missing in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' should not be in:\n%s", part, text);
}

/* Every element that is opened is closed, in order; no bare < or &, since each < must start a tag that is known here.
 */
static inline void assert_well_formed(const char *text)
{
    char stack[64][16];
    size_t depth = 0;
    for (const char *p = text; (p = strchr(p, '<')) != NULL;) {
        const char *end = strchr(p, '>');
        char name[16];
        size_t n = strspn(p + 1 + (p[1] == '/'), "abcdefghijklmnopqrstuvwxyz123");
        assert_non_null(end);
        if (strncmp(p, "<!DOCTYPE html>", 15) == 0) {
            p = end;
            continue;
        }
        if (n == 0 || n >= sizeof name)
            fail_msg("not a tag: %.40s", p);
        memcpy(name, p + 1 + (p[1] == '/'), n);
        name[n] = '\0';
        if (p[1] == '/') {
            if (depth == 0 || strcmp(stack[depth - 1], name) != 0)
                fail_msg("</%s> closes nothing", name);
            depth--;
        } else if (end[-1] != '/' && strcmp(name, "meta") != 0) {
            assert_true(depth < 64);
            strcpy(stack[depth++], name);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
    for (const char *p = text; (p = strchr(p, '&')) != NULL; p++)
        if (strncmp(p, "&amp;", 5) && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) && strncmp(p, "&quot;", 6) &&
            strncmp(p, "&#39;", 5))
            fail_msg("a bare ampersand: %.40s", p);
}

static inline void edit(json_t *run, size_t row, const char *key, json_t *value)
{
    json_object_set_new(json_array_get(json_object_get(run, "rows"), row), key, value);
}

/* Compares and frees the runs; the statuses of the rows, one letter each, in their order. */
static inline bool statuses(json_t *run, json_t *baseline, char *out)
{
    json_t *verdict;
    bool regressed;
    vka_error err = {0};
    assert_int_equal(bench_compare(run, baseline, &verdict, &regressed, &err), VKA_OK);
    const json_t *rows = json_object_get(verdict, "rows");
    size_t n = json_array_size(rows);
    for (size_t i = 0; i < n; i++) {
        const char *s = bench_string(json_array_get(rows, i), "status");
        out[i] = strcmp(s, "same") == 0 ? '=' : *s; /* slower, faster, untested, void, refused, new, missing */
    }
    out[n] = '\0';
    assert_true(json_is_true(bench_at(verdict, "summary.regressed")) == regressed);
    json_decref(verdict);
    json_decref(run);
    json_decref(baseline);
    return regressed;
}

#endif
