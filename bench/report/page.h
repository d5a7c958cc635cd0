/* page.h - what the parts of the page share; internal to report. */
#ifndef BENCH_REPORT_PAGE_H
#define BENCH_REPORT_PAGE_H

#include "report/chart.h"

/* What has a letter on the page: a run on one kernel path, or a peer measured beside a run. */
typedef struct bench_source {
    const json_t *run;
    size_t run_index;
    const char *path; /* "" when not known */
    bool first;       /* of its run: it also takes rows whose path is no source's (a network that stores fp32) */
    const char *peer; /* its name, or NULL */
} bench_source;

typedef struct bench_page {
    const json_t *const *runs;
    size_t run_count;
    bool *foretold;        /* [run_count]: nothing in it was measured; it has no letter unless all are so */
    bench_source *sources; /* [source_count]: runs and their paths, then every run's peers */
    size_t own_count, source_count;
    char (*names)[8]; /* [source_count]: A, B, ...; peers A1, A2, ... after the first letter of their run */
    FILE *to;
    bool short_of_memory;
} bench_page;

/* Fills sources and names from runs; false when memory is short.  Closing is due in both cases. */
bool bench_page_open(bench_page *p);
void bench_page_close(bench_page *p);
size_t bench_page_peers(const json_t *run);
/* The first source of a run, or SIZE_MAX. */
size_t bench_page_source(const bench_page *p, size_t run);
/* The clip of that size, or the first row of that level and name, of a source; NULL when it has none. */
const json_t *bench_page_clip(const bench_page *p, size_t source, const double size[3]);
const json_t *bench_page_row(const bench_page *p, size_t source, const char *level, const char *name);
/* Milliseconds foretold for a source's row, by its run or by a run that only foretells; NaN when nobody did. */
double bench_page_predicted(const bench_page *p, size_t source, const json_t *row);

typedef struct bench_group {
    double weight; /* by which groups are ordered */
    double size[3];
    const char *name; /* NULL for clips */
} bench_group;
/* The distinct names of a level in the order of the files, `weight` their time per step, negated.  free() it. */
bench_group *bench_page_names(bench_page *p, const char *level, size_t *count);

/* Sections, left out where no run has anything to say. */
void bench_page_clips(bench_page *p, bool bytes); /* seconds per iteration, or peak memory */
void bench_page_shares(bench_page *p);
void bench_page_predictions(bench_page *p);
void bench_page_marks(const bench_page *p);
void bench_page_against_peers(const bench_page *p);
void bench_page_verdicts(const bench_page *p);
void bench_page_beside(bench_page *p);
void bench_page_rows(const bench_page *p);

/* Text of the page's own, text of a file, a cell of a table with text of a file, and with a number. */
void bench_page_raw(const bench_page *p, const char *text);
void bench_page_text(const bench_page *p, const char *text);
void bench_page_cell(const bench_page *p, const char *text);
void bench_page_number(const bench_page *p, double v, int significant);
/* <div><table> with a caption for those who do not see it; the head's cells follow.  And its end. */
void bench_page_table(const bench_page *p, const char *name, const char *classes);
void bench_page_heads(const bench_page *p, const char *const *heads, size_t count, size_t first_number);
void bench_page_table_end(const bench_page *p);

#endif
