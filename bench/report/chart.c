/* chart.c - see chart.h.
 *
 * Bars are horizontal with their label on a line of its own above, so that a narrow window needs no smaller letters:
 * the SVG has no viewBox, its heights are pixels and its lengths percentages of a nested viewport of 66 % of the width,
 * which leaves room for the values.  Colours come from the page's style by class; no meaning hangs on them, since every
 * bar has a letter. */
#include "report/chart.h"

#include "base/mem.h"
#include "base/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 20, BAR = 16, STEP = 20, GAP = 12, TOP = 4, MARK = 20, LETTERS = 26, HUES = 6 };

bool bench_chart_open(bench_chart *chart, size_t groups, size_t series)
{
    uint64_t bars;
    chart->groups = groups;
    chart->series = series;
    chart->labels = vka_calloc(groups + 1, sizeof *chart->labels);
    chart->bars = vka_mul_u64(groups, series, &bars) ? vka_calloc((size_t)bars + 1, sizeof *chart->bars) : NULL;
    if (chart->labels && chart->bars)
        return true;
    bench_chart_close(chart);
    return false;
}

void bench_chart_close(bench_chart *chart)
{
    free(chart->labels);
    free(chart->bars);
    chart->labels = NULL;
    chart->bars = NULL;
    chart->groups = 0;
}

bench_bar *bench_chart_bar(bench_chart *chart, size_t group, size_t series)
{
    return &chart->bars[group * chart->series + series];
}

static const bench_bar *bar_at(const bench_chart *chart, size_t group, size_t series)
{
    return &chart->bars[group * chart->series + series];
}

bool bench_chart_used(const bench_chart *chart)
{
    for (size_t i = 0; i < chart->groups * chart->series; i++)
        if (chart->bars[i].text[0] && !isnan(chart->bars[i].value))
            return true;
    return false;
}

static void number(FILE *to, double v)
{
    char text[BENCH_TEXT];
    vka_format_real(text, sizeof text, v, 'f', 2);
    fputs(text, to);
}

static void write_group(const bench_chart *chart, size_t g, size_t *y, double scale, FILE *to)
{
    fprintf(to, "<text class=\"label\" x=\"0\" y=\"%zu\">", *y + 14);
    bench_put_html(to, chart->labels[g]);
    fputs("</text>\n", to);
    *y += LABEL;
    for (size_t s = 0; s < chart->series; s++) {
        const bench_bar *b = bar_at(chart, g, s);
        if (!b->text[0])
            continue;
        double length = b->value > 0 ? b->value / scale * 100 : 0;
        if (chart->series > 1)
            fprintf(to, "<text class=\"letter\" x=\"0\" y=\"%zu\">%s</text>", *y + 12, chart->names[s]);
        fprintf(to, "<svg x=\"%d\" y=\"%zu\" width=\"66%%\" height=\"%d\" overflow=\"visible\">",
                chart->series > 1 ? LETTERS : 0, *y, BAR);
        if (!isnan(chart->mark)) { /* beside the bars only: the labels stay readable */
            fputs("<line class=\"mark\" x1=\"", to);
            number(to, chart->mark / scale * 100);
            fputs("%\" x2=\"", to);
            number(to, chart->mark / scale * 100);
            fprintf(to, "%%\" y1=\"%d\" y2=\"%d\"/>", -(STEP - BAR) / 2, BAR + (STEP - BAR) / 2);
        }
        if (length > 0) {
            fprintf(to, "<rect class=\"s%zu%s\" height=\"%d\" rx=\"1.5\" width=\"", s % HUES,
                    b->outlined ? " outline" : "", BAR);
            number(to, length);
            fputs("%\"/>", to);
        }
        fprintf(to, "<text class=\"value\" dx=\"6\" y=\"12\" x=\"");
        number(to, length);
        fputs("%\">", to);
        bench_put_html(to, b->text);
        fputs("</text></svg>\n", to);
        *y += STEP;
    }
    *y += GAP;
}

static void write_picture(const bench_chart *chart, FILE *to)
{
    double scale = chart->least_scale;
    bool marked = !isnan(chart->mark);
    size_t height = TOP + (marked ? MARK : 0), y = height;
    for (size_t g = 0; g < chart->groups; g++) {
        height += LABEL + GAP;
        for (size_t s = 0; s < chart->series; s++) {
            const bench_bar *b = bar_at(chart, g, s);
            height += b->text[0] ? STEP : 0;
            scale = b->text[0] && b->value > scale ? b->value : scale;
        }
    }
    scale = scale > 0 ? scale : 1;
    fprintf(to, "<svg class=\"chart\" role=\"img\" aria-labelledby=\"%s-t %s-d\" width=\"100%%\" height=\"%zu\">\n",
            chart->id, chart->id, height);
    fprintf(to, "<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">%s</desc>\n", chart->id, chart->title, chart->id,
            chart->description);
    if (marked) {
        fprintf(to,
                "<svg x=\"%d\" y=\"0\" width=\"66%%\" height=\"%d\" overflow=\"visible\"><text class=\"mark-text\" ",
                chart->series > 1 ? LETTERS : 0, MARK);
        fputs("text-anchor=\"middle\" y=\"12\" x=\"", to);
        number(to, chart->mark / scale * 100);
        fprintf(to, "%%\">%s</text></svg>\n", chart->mark_text);
    }
    for (size_t g = 0; g < chart->groups; g++)
        write_group(chart, g, &y, scale, to);
    fputs("</svg>\n", to);
}

static void write_table(const bench_chart *chart, FILE *to)
{
    fprintf(to,
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s, as a table\">\n<table>\n<thead><tr>"
            "<th scope=\"col\">%s</th>",
            chart->title, chart->corner);
    for (size_t s = 0; s < chart->series; s++)
        fprintf(to, "<th scope=\"col\" class=\"n\">%s</th>", chart->series > 1 ? chart->names[s] : "value");
    fputs("</tr></thead>\n<tbody>\n", to);
    for (size_t g = 0; g < chart->groups; g++) {
        fputs("<tr><th scope=\"row\">", to);
        bench_put_html(to, chart->labels[g]);
        fputs("</th>", to);
        for (size_t s = 0; s < chart->series; s++) {
            const bench_bar *b = bar_at(chart, g, s);
            fputs("<td class=\"n\">", to);
            bench_put_html(to, b->cell[0] ? b->cell : b->text[0] ? b->text : "-");
            fputs("</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table></div>\n", to);
}

void bench_chart_write(const bench_chart *chart, FILE *to)
{
    fprintf(to, "<div class=\"pair%s\">\n<figure>\n",
            chart->series > 2 ? " many" : ""); /* many columns need the width */
    write_picture(chart, to);
    fputs("</figure>\n", to);
    write_table(chart, to);
    fputs("</div>\n", to);
}
