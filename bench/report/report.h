/* report.h - what becomes of a bench run's numbers: text, a page, a comparison with an earlier run, the table of the
 * README.
 *
 * `results` is the JSON object of one run (schema 1): device, settings, roof, rows, summary, peers, predictions, and
 * "comparison" where a verdict of bench_compare() was put into it.  Any number
 * in it may be null or absent, and any value may be of the wrong kind (a file is not trusted): what cannot be read is
 * shown as missing.  Everything is written locale-independently, UTF-8, with '\n'.  Nothing here touches a device.
 *
 * Errors: VKA_E_INPUT for a file or object that is no bench result, VKA_E_OUTPUT when `to` could not be written,
 * VKA_E_USAGE for an unknown format, VKA_E_MEMORY.  Every object passed in stays the caller's. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define BENCH_SCHEMA 1 /* of the result object */

/* One run as "md", "csv", "json" or "jsonl".  A row of jsonl carries the run's head, so that lines can be told apart.
 */
vka_status bench_report_write(const json_t *results, const char *format, FILE *to, vka_error *err);
/* One self-contained page about one or several runs; ratios are taken to the first. */
vka_status bench_report_html(const json_t *const *results, size_t count, FILE *to, vka_error *err);

/* What counts as a real difference. */
typedef struct bench_limits {
    double slower; /* least relative difference of the mean times; 0.03 */
    double p;      /* greatest two-sided p of Welch's test after Holm's correction over all rows compared; 0.01 */
} bench_limits;
#define BENCH_LIMITS_DEFAULT ((bench_limits){0.03, 0.01})

/* Row by row against an earlier run.  *verdict (json_decref() it): {"schema", "command", "run", "baseline", "limits",
 * "notes", "rows", "summary"}; each row has "level", "name", "precision", "path", "status" (slower, faster, same,
 * untested, void, refused, new or missing), "reason", and, where they exist, "ms", "baseline_ms" (means), "ratio", "t",
 * "df", "p", "p_holm". *regressed: a row is "slower"; the command then ends with VKA_E_REGRESSION, which is the
 * caller's to say. bench_compare() uses BENCH_LIMITS_DEFAULT. */
vka_status bench_compare(const json_t *results, const json_t *baseline, json_t **verdict, bool *regressed,
                         vka_error *err);
vka_status bench_compare_with(const json_t *results, const json_t *baseline, bench_limits limits, json_t **verdict,
                              bool *regressed, vka_error *err);
/* The verdict as plain text. */
vka_status bench_compare_write(const json_t *verdict, FILE *to, vka_error *err);

/* The Markdown table of bench/README.md: a line per run and clip, sorted by device, then by size. */
vka_status bench_results_table(const json_t *const *results, size_t count, FILE *to, vka_error *err);
/* Puts that table, made of every *.json in `folder`, between the lines BENCH_README_BEGIN and BENCH_README_END of
 * `readme`. The file is replaced at once or not at all; each marker stands alone on its line, once. */
#define BENCH_README_BEGIN "<!-- results: begin -->"
#define BENCH_README_END   "<!-- results: end -->"
vka_status bench_readme_update(const char *readme, const char *folder, vka_error *err);

/* A result file, JSON or JSONL (of one run); *out is the caller's (json_decref()), NULL on failure. */
vka_status bench_results_load(const char *path, json_t **out, vka_error *err);
/* The same from memory; `name` is for messages. */
vka_status bench_results_parse(const char *text, size_t size, const char *name, json_t **out, vka_error *err);

#endif
