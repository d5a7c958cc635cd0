/* text.c - one run as Markdown, CSV, JSON or JSONL.
 *
 * JSON is the run itself.  JSONL is a row a line with the head of the run beside it, so that many runs can be
 * concatenated for other programs; load.c reads a file of one run back.  CSV has the same columns for every level,
 * numbers with all their digits; a void row keeps its name and reason, and its numbers are left empty. */
#include "report/view.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void line(FILE *to, const char *what, const char *value)
{
    if (!value)
        return;
    fprintf(to, "- %s: ", what);
    bench_put_markdown(to, value);
    fputs("\n", to);
}

static void line_rate(FILE *to, const char *what, double rate, const char *unit, const char *by)
{
    char text[BENCH_TEXT];
    if (isnan(rate))
        return;
    bench_text_digits(text, rate, 4);
    fprintf(to, "- %s: %s %s", what, text, unit);
    if (by) {
        fputs(", by ", to);
        bench_put_markdown(to, by);
    }
    fputs("\n", to);
}

static void markdown_head(const json_t *results, FILE *to)
{
    char text[BENCH_TEXT];
    double size[3], heap = bench_number(results, "device.heap_bytes");
    fputs("# vkanim bench: ", to);
    bench_put_markdown(to, bench_string_or(results, "device.name"));
    fputs("\n\n", to);
    line(to, "driver", bench_string_or(results, "device.driver"));
    line(to, "Vulkan", bench_string(results, "device.api"));
    line(to, "path", bench_string_or(results, "device.path"));
    line(to, "precision", bench_string(results, "settings.precision"));
    if (!isnan(heap)) {
        bench_text_bytes(text, heap);
        line(to, "memory", text);
    }
    line(to, "vkanim", bench_string(results, "vkanim"));
    line(to, "commit", bench_string_or(results, "commit"));
    line(to, "date", bench_string(results, "date"));
    line(to, "model", bench_string(results, "settings.model"));
    if (bench_clip_size(json_object_get(results, "settings"), size))
        fprintf(to, "- shapes of: %.0f x %.0f, %.0f frames\n", size[0], size[1], size[2]);
    line_rate(to, "roof R", bench_number(results, "roof.tflops"), "TFLOP/s", bench_string(results, "roof.by"));
    line_rate(to, "copy", bench_number(results, "roof.copy_gbps"), "GB/s", NULL);
    if (json_is_true(bench_at(results, "device.cpu")))
        fputs("- a software device: its times say nothing about a GPU\n", to);
}

static void markdown_level(const json_t *results, size_t level, FILE *to)
{
    bool used[BENCH_COLUMNS] = {false};
    fprintf(to, "\n## %s\n\n|", bench_level_titles[level]);
    for (size_t c = 0; c < BENCH_COLUMNS; c++) {
        used[c] = bench_column_used(c, results, bench_levels[level]);
        if (used[c])
            fprintf(to, " %s |", bench_column_title(c));
    }
    fputs("\n|", to);
    for (size_t c = 0; c < BENCH_COLUMNS; c++)
        if (used[c])
            fputs(bench_column_is_number(c) ? "---:|" : "---|", to);
    fputs("\n", to);
    for (size_t i = 0; i < bench_row_count(results); i++) {
        const json_t *row = bench_row(results, i);
        if (!bench_row_is(row, bench_levels[level]))
            continue;
        fputs("|", to);
        for (size_t c = 0; c < BENCH_COLUMNS; c++) {
            if (!used[c])
                continue;
            fputs(" ", to);
            bench_column_put(c, results, row, to, bench_put_markdown);
            fputs(" |", to);
        }
        fputs("\n", to);
    }
}

static void markdown_summary(const json_t *results, FILE *to)
{
    static const char *const kinds[] = {"linear", "conv", "attention", "all"};
    const json_t *shares = bench_at(results, "summary.weighted_roof_share");
    double ms = bench_number(results, "summary.op_ms_per_step");
    char text[BENCH_TEXT];
    bool any = !isnan(ms);
    for (size_t i = 0; i < 4; i++)
        any = any || !isnan(bench_number(shares, kinds[i]));
    if (!any)
        return;
    fputs("\n## Together\n\n", to);
    if (!isnan(ms)) {
        bench_text_digits(text, ms, 4);
        fprintf(to, "- operators per step: %s ms\n", text);
    }
    for (size_t i = 0; i < 4; i++)
        if (!isnan(bench_number(shares, kinds[i]))) {
            bench_text_share(text, bench_number(shares, kinds[i]));
            fprintf(to, "- %s, weighted by FLOP: %s of R\n", kinds[i], text);
        }
}

static void markdown_peers(const json_t *results, FILE *to)
{
    const json_t *peers = json_object_get(results, "peers");
    char text[BENCH_TEXT];
    double size[3], own[3];
    if (!json_array_size(peers))
        return;
    fputs("\n## Peers in the same visit\n\n| peer | size | s/it | peer / vkanim | peak VRAM | decode s/frame |\n"
          "|---|---|---:|---:|---:|---:|\n",
          to);
    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        double s = bench_number(peer, "s_per_it"), ratio = (double)NAN;
        fputs("| ", to);
        bench_put_markdown(to, bench_string_or(peer, "name"));
        if (bench_string(peer, "version")) {
            fputs(" ", to);
            bench_put_markdown(to, bench_string(peer, "version"));
        }
        if (bench_clip_size(peer, size))
            fprintf(to, " | %.0f x %.0f, %.0f frames", size[0], size[1], size[2]);
        else
            fputs(" | -", to);
        for (size_t r = 0; r < bench_row_count(results); r++) {
            const json_t *row = bench_row(results, r);
            if (bench_row_is(row, "clip") && !bench_void_reason(row) && bench_clip_size(row, own) &&
                bench_clip_size(peer, size) && memcmp(own, size, sizeof size) == 0)
                ratio = s / bench_number(row, "s_per_it");
        }
        bench_text_digits(text, s, 4);
        fprintf(to, " | %s", text);
        bench_text_digits(text, ratio, 3);
        fprintf(to, " | %s", text);
        bench_text_bytes(text, bench_number(peer, "peak_bytes"));
        fprintf(to, " | %s", text);
        bench_text_digits(text, bench_number(peer, "decode_s_per_frame"), 3);
        fprintf(to, " | %s |\n", text);
    }
}

static void markdown_open(const json_t *results, FILE *to)
{
    char text[BENCH_TEXT];
    bool any = false;
    for (size_t i = 0; i < bench_prediction_count(results); i++) {
        const json_t *one = bench_prediction_open(results, i);
        if (!one)
            continue;
        if (!any)
            fputs("\n## Predicted, not measured yet\n\n| name | predicted ms |\n|---|---:|\n", to);
        any = true;
        fputs("| ", to);
        bench_put_markdown(to, bench_string_or(one, "name"));
        bench_text_digits(text, bench_number(one, "predicted_ms"), 4);
        fprintf(to, " | %s |\n", text);
    }
}

static void markdown_verdict(const json_t *results, FILE *to)
{
    static const char *const keys[] = {"baseline_ms", "ms", "ratio", "p_holm"};
    const json_t *verdict = bench_comparison(results);
    char text[BENCH_TEXT];
    bool any = false;
    if (!verdict)
        return;
    fputs("\n## Against the baseline\n\nCommit ", to);
    bench_put_markdown(to, bench_string_or(verdict, "baseline.commit"));
    fputs(json_is_true(bench_at(verdict, "summary.regressed")) ? ": slower.\n" : ": not slower.\n", to);
    for (size_t i = 0; i < bench_verdict_count(verdict); i++) {
        const json_t *row = bench_verdict_row(verdict, i);
        if (!row)
            continue;
        if (!any)
            fputs("\n| name | verdict | baseline ms | ms | ratio | p | reason |\n|---|---|---:|---:|---:|---:|---|\n",
                  to);
        any = true;
        fputs("| ", to);
        bench_put_markdown(to, bench_string_or(row, "name"));
        fputs(" | ", to);
        bench_put_markdown(to, bench_string_or(row, "status"));
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            bench_text_digits(text, bench_number(row, keys[k]), k < 3 ? 4 : 2);
            fprintf(to, " | %s", text);
        }
        fputs(" | ", to);
        bench_put_markdown(to, bench_string(row, "reason") ? bench_string(row, "reason") : "");
        fputs(" |\n", to);
    }
}

static void write_markdown(const json_t *results, FILE *to)
{
    markdown_head(results, to);
    for (size_t l = 0; l < BENCH_LEVELS; l++)
        if (bench_has_level(results, bench_levels[l]))
            markdown_level(results, l, to);
    markdown_summary(results, to);
    markdown_peers(results, to);
    markdown_open(results, to);
    markdown_verdict(results, to);
}

static void write_csv(const json_t *results, FILE *to)
{
    static const char *const head[] = {"device.name", "device.driver", "commit", "date"};
    static const char *const numbers[] = {"ms.min",
                                          "ms.median",
                                          "ms.max",
                                          "tflop",
                                          "gbyte",
                                          "tflops",
                                          "gbps",
                                          "roof_share",
                                          "copy_share",
                                          "peak_bytes",
                                          "planned_bytes",
                                          "s_per_it",
                                          "decode_s_per_frame"};
    enum { HEAD = sizeof head / sizeof *head, NUMBERS = sizeof numbers / sizeof *numbers };
    char text[BENCH_TEXT];
    fputs("device,driver,commit,date,precision,path,level,operator,name,count,samples,predicted_ms", to);
    for (size_t i = 0; i < NUMBERS; i++)
        fprintf(to, ",%s",
                strcmp(numbers[i], "ms.min") == 0      ? "min_ms"
                : strcmp(numbers[i], "ms.median") == 0 ? "median_ms"
                : strcmp(numbers[i], "ms.max") == 0    ? "max_ms"
                                                       : numbers[i]);
    fputs(",check,void\r\n", to);
    for (size_t r = 0; r < bench_row_count(results); r++) {
        const json_t *row = bench_row(results, r), *passed = bench_at(row, "check.passed");
        const char *reason = bench_void_reason(row);
        if (!row)
            continue;
        for (size_t i = 0; i < HEAD; i++) {
            const char *s = bench_string(results, head[i]);
            bench_put_csv(to, s ? s : "");
            fputs(",", to);
        }
        const char *const words[] = {bench_row_precision(results, row), bench_row_path(results, row),
                                     bench_string(row, "level"), bench_string(row, "operator"),
                                     bench_string(row, "name")};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            bench_put_csv(to, words[i] ? words[i] : "");
            fputs(",", to);
        }
        bench_text_exact(text, bench_number(row, "count"));
        fprintf(to, "%s,%zu", text, reason ? 0 : json_array_size(json_object_get(row, "samples_ms")));
        bench_text_exact(text, bench_row_predicted(results, row));
        fprintf(to, ",%s", text);
        for (size_t i = 0; i < NUMBERS; i++) {
            bench_text_exact(text, reason ? (double)NAN : bench_number(row, numbers[i]));
            fprintf(to, ",%s", text);
        }
        fprintf(to, ",%s,", json_is_true(passed) ? "passed" : json_is_false(passed) ? "failed" : "");
        bench_put_csv(to, reason ? reason : "");
        fputs("\r\n", to);
    }
}

static bool dump(const json_t *value, size_t flags, FILE *to)
{
    char *text = json_dumps(value, flags);
    if (!text)
        return false;
    fputs(text, to);
    fputs("\n", to);
    free(text);
    return true;
}

static bool write_lines(const json_t *results, FILE *to)
{
    for (size_t r = 0; r < bench_row_count(results); r++) {
        const json_t *row = bench_row(results, r);
        json_t *one = row ? json_object() : NULL;
        bool good = one != NULL;
        for (size_t i = 0; good && i < BENCH_HEAD_KEYS; i++) {
            json_t *value = json_object_get(results, bench_head_keys[i]);
            good = !value || json_object_set(one, bench_head_keys[i], value) == 0;
        }
        good = good && json_object_update_missing(one, (json_t *)(uintptr_t)row) == 0;
        if (good && !json_object_get(one, "level"))
            good = json_object_set_new(one, "level", json_null()) == 0; /* by which a line is known */
        if (good && !bench_string(one, "path") && *bench_row_path(results, row))
            good = json_object_set_new(one, "path", json_string(bench_row_path(results, row))) == 0;
        good = good && dump(one, JSON_COMPACT, to);
        json_decref(one);
        if (row && !good)
            return false;
    }
    return true;
}

vka_status bench_report_write(const json_t *results, const char *format, FILE *to, vka_error *err)
{
    vka_status s = bench_check_results(results, "the run", err);
    bool good = true;
    if (s != VKA_OK)
        return s;
    if (strcmp(format, "md") == 0)
        write_markdown(results, to);
    else if (strcmp(format, "csv") == 0)
        write_csv(results, to);
    else if (strcmp(format, "json") == 0)
        good = dump(results, JSON_INDENT(1), to);
    else if (strcmp(format, "jsonl") == 0)
        good = write_lines(results, to);
    else {
        vka_fail(err, VKA_E_USAGE, "'%s' is no format of a report", format);
        vka_error_hint(err, "use md, csv, json or jsonl");
        return VKA_E_USAGE;
    }
    return good ? bench_finish(to, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
}
