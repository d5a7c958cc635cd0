/* chart.h - bar charts as inline SVG, each with its numbers as a table; internal to report. */
#ifndef BENCH_REPORT_CHART_H
#define BENCH_REPORT_CHART_H

#include "report/view.h"

typedef struct bench_bar {
    double value;          /* length; NaN: no bar, only the text */
    bool outlined;         /* drawn as an outline: a quantity of another kind than its neighbours */
    char text[BENCH_TEXT]; /* beside the bar; empty: this series has nothing here */
    char cell[96];         /* in the table; the text when empty */
} bench_bar;

/* Groups of horizontal bars, one bar per series and group. */
typedef struct bench_chart {
    const char *id, *title, *description; /* of plain ASCII without markup */
    const char *corner;                   /* heading of the labels' column in the table */
    size_t groups, series;
    char (*labels)[128]; /* [groups], not escaped */
    bench_bar *bars;     /* [groups][series] */
    char (*names)[8];    /* [series]: the letters before the bars and above the table's columns; borrowed */
    double least_scale;  /* the axis reaches at least this far */
    double mark;         /* a vertical line at this value, or NaN */
    const char *mark_text;
} bench_chart;

/* Room for the bars and labels, all empty; false when memory is short. */
bool bench_chart_open(bench_chart *chart, size_t groups, size_t series);
void bench_chart_close(bench_chart *chart);
bench_bar *bench_chart_bar(bench_chart *chart, size_t group, size_t series);
/* Whether any bar has a length. */
bool bench_chart_used(const bench_chart *chart);
/* The picture and its table. */
void bench_chart_write(const bench_chart *chart, FILE *to);

#endif
