/* view.h - reading a result object that may be damaged, and writing values into text; internal to report. */
#ifndef BENCH_REPORT_VIEW_H
#define BENCH_REPORT_VIEW_H

#include "report/report.h"

/* The value at keys joined by dots ("device.name"), or NULL. */
const json_t *bench_at(const json_t *object, const char *path);
/* A finite number, or NaN. */
double bench_number(const json_t *object, const char *path);
/* A string that is not empty, or NULL. */
const char *bench_string(const json_t *object, const char *path);
/* The same with "not known" in place of NULL. */
const char *bench_string_or(const json_t *object, const char *path);

/* The object is a result with an array of rows; VKA_E_INPUT otherwise. */
vka_status bench_check_results(const json_t *results, const char *name, vka_error *err);
/* What a line of JSONL says about its run; everything else in it is the row. */
enum { BENCH_HEAD_KEYS = 8 };
extern const char *const bench_head_keys[BENCH_HEAD_KEYS];
/* The i-th row, or NULL when it is not an object. */
const json_t *bench_row(const json_t *results, size_t i);
size_t bench_row_count(const json_t *results);
/* Why a row counts for nothing, or NULL when it counts: its "void", or a check that did not pass. */
const char *bench_void_reason(const json_t *row);
/* "void", or "skipped" for a row that was not measured; of a row with a reason. */
const char *bench_void_word(const json_t *row);
/* The kernel path of a row: its own, else the run's; "" when neither is known.  Likewise the precision. */
const char *bench_row_path(const json_t *results, const json_t *row);
const char *bench_row_precision(const json_t *results, const json_t *row);
/* Milliseconds that were foretold for a row, by itself or by the run's "predictions"; NaN when nobody did. */
double bench_row_predicted(const json_t *results, const json_t *row);
/* The run's "predictions", and the i-th if it was foretold of a row that the run has not, else NULL. */
size_t bench_prediction_count(const json_t *results);
const json_t *bench_prediction_open(const json_t *results, size_t i);
/* The verdict against a baseline that a run carries as "comparison", or NULL. */
const json_t *bench_comparison(const json_t *results);
/* The i-th row of a verdict if it is worth a line (anything but "same"), or NULL. */
const json_t *bench_verdict_row(const json_t *verdict, size_t i);
size_t bench_verdict_count(const json_t *verdict);
/* Width, height and frames of a clip row's shape or of a peer; false unless all three are there. */
bool bench_clip_size(const json_t *object, double size[3]);

/* Text of numbers, '.' as the decimal point; "-" for NaN. */
enum { BENCH_TEXT = 40 };
void bench_text_digits(char out[BENCH_TEXT], double v, int significant); /* plain notation where that is readable */
void bench_text_exact(char out[BENCH_TEXT], double v);                   /* reads back as the same double; "" for NaN */
void bench_text_share(char out[BENCH_TEXT], double v);                   /* 0.5 is "50.0 %" */
void bench_text_bytes(char out[BENCH_TEXT], double v);                   /* KiB, MiB, GiB */
/* "1.23 (1.20 to 1.31)": seconds per iteration of a clip row with the range of its samples where they are of the same
 * thing. */
void bench_text_s_per_it(char out[2 * BENCH_TEXT], const json_t *row);

/* As much of the text as fits, cut between characters. */
void bench_copy(char *out, size_t size, const char *text);

/* Text into a document, with that document's escapes; controls become blanks. */
typedef void bench_put(FILE *to, const char *text);
bench_put bench_put_plain, bench_put_markdown, bench_put_html;
/* RFC 4180: quoted where needed, quotes doubled. */
bench_put bench_put_csv;

/* VKA_E_OUTPUT unless all that was written has arrived. */
vka_status bench_finish(FILE *to, vka_error *err);

/* The columns of the tables of rows, 0 .. BENCH_COLUMNS - 1, the same in every document. */
enum { BENCH_COLUMNS = 18 };
const char *bench_column_title(size_t column);
bool bench_column_is_number(size_t column);
/* Whether any row of the level has something to say there. */
bool bench_column_used(size_t column, const json_t *results, const char *level);
void bench_column_put(size_t column, const json_t *results, const json_t *row, FILE *to, bench_put *put);

/* The levels in order, and what they are called. */
enum { BENCH_LEVELS = 3 };
extern const char *const bench_levels[BENCH_LEVELS], *const bench_level_titles[BENCH_LEVELS];
bool bench_row_is(const json_t *row, const char *level);
bool bench_has_level(const json_t *results, const char *level);

#endif
