/* html_charts.c - the page's charts: clips, shares of the roof, predictions.  A group of bars is a clip's size or a
 * row's name, found again under every letter. */
#include "report/page.h"

#include "base/mem.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int by_weight(const void *a, const void *b)
{
    const bench_group *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return x->name && y->name ? strcmp(x->name, y->name) : memcmp(x->size, y->size, sizeof x->size);
}

static bool same_size(const double a[3], const double b[3])
{
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* All sizes of clips in all sources, small ones first. */
static bench_group *clip_sizes(bench_page *p, size_t *count)
{
    size_t most = 0;
    for (size_t r = 0; r < p->run_count; r++)
        most += bench_row_count(p->runs[r]) + bench_page_peers(p->runs[r]);
    bench_group *groups = vka_calloc(most + 1, sizeof *groups);
    *count = 0;
    p->short_of_memory = p->short_of_memory || !groups;
    for (size_t r = 0; groups && r < p->run_count; r++)
        for (size_t i = 0; i < bench_row_count(p->runs[r]) + bench_page_peers(p->runs[r]); i++) {
            size_t n = bench_row_count(p->runs[r]);
            const json_t *one =
                i < n ? bench_row(p->runs[r], i) : json_array_get(json_object_get(p->runs[r], "peers"), i - n);
            bench_group g = {0};
            if ((i < n && !bench_row_is(one, "clip")) || !bench_clip_size(one, g.size))
                continue;
            bool known = false;
            for (size_t k = 0; k < *count && !known; k++)
                known = same_size(groups[k].size, g.size);
            g.weight = g.size[0] * g.size[1] * g.size[2];
            if (!known)
                groups[(*count)++] = g;
        }
    if (*count)
        qsort(groups, *count, sizeof *groups, by_weight);
    return groups;
}

static void clip_bar(const json_t *clip, bool bytes, bench_bar *bar)
{
    char long_text[2 * BENCH_TEXT];
    double v = bench_number(clip, bytes ? "peak_bytes" : "s_per_it");
    if (!clip)
        return;
    if (bench_void_reason(clip)) {
        bar->value = (double)NAN;
        strcpy(bar->text, bench_void_word(clip));
        return;
    }
    if (!(v > 0))
        return;
    bar->value = v;
    if (bytes) {
        bench_text_bytes(bar->text, v);
        if (bench_number(clip, "planned_bytes") > 0) {
            bench_text_bytes(long_text, bench_number(clip, "planned_bytes"));
            snprintf(bar->cell, sizeof bar->cell, "%.39s (planned %.39s)", bar->text, long_text);
        }
    } else {
        bench_text_digits(bar->text, v, 4);
        strcat(bar->text, " s");
        bench_text_s_per_it(long_text, clip);
        bench_copy(bar->cell, sizeof bar->cell, long_text);
    }
}

/* Seconds per iteration or peak memory of every clip. */
void bench_page_clips(bench_page *p, bool bytes)
{
    size_t count;
    bench_group *groups = clip_sizes(p, &count);
    bench_chart chart = {.id = bytes ? "vram" : "speed",
                         .title = bytes ? "Peak VRAM by resolution" : "Seconds per iteration by resolution",
                         .description = "Horizontal bars, shorter is better; one group per resolution and frame count, "
                                        "one bar per run and path, or other program.",
                         .corner = "clip",
                         .names = p->names,
                         .mark = (double)NAN};
    if (groups && bench_chart_open(&chart, count, p->source_count)) {
        for (size_t g = 0; g < count; g++) {
            const double *s = groups[g].size;
            snprintf(chart.labels[g], sizeof *chart.labels, "%.0f x %.0f, %.0f frame%s", s[0], s[1], s[2],
                     s[2] > 1 ? "s" : "");
            for (size_t i = 0; i < p->source_count; i++)
                clip_bar(bench_page_clip(p, i, s), bytes, bench_chart_bar(&chart, g, i));
        }
        if (bench_chart_used(&chart)) {
            fprintf(p->to, "<section>\n<h2>%s</h2>\n<p>%s</p>\n", chart.title,
                    bytes ? "The most memory that was allocated on the device at one time. Shorter is better."
                          : "One iteration is one step of the sampler on the whole clip, guidance included. Shorter is "
                            "better.");
            bench_chart_write(&chart, p->to);
            fputs("</section>\n", p->to);
        }
        bench_chart_close(&chart);
    } else
        p->short_of_memory = true;
    free(groups);
}

static void write_weighted(bench_page *p)
{
    static const char *const kinds[] = {"linear", "conv", "attention", "all"};
    static const char *const titles[] = {"linear layers", "convolutions", "attention", "all of them"};
    char path[64];
    bench_chart chart = {.id = "weighted",
                         .title = "Share of the roof by operator, weighted by work",
                         .description =
                             "Horizontal bars from 0 to 100 percent of the measured matrix roof R, longer is better.",
                         .corner = "operators",
                         .names = p->names,
                         .least_scale = 1,
                         .mark = 1,
                         .mark_text = "R"};
    if (!bench_chart_open(&chart, 4, p->own_count)) {
        p->short_of_memory = true;
        return;
    }
    for (size_t g = 0; g < 4; g++) {
        strcpy(chart.labels[g], titles[g]);
        snprintf(path, sizeof path, "summary.weighted_roof_share.%s", kinds[g]);
        for (size_t i = 0; i < p->own_count; i++) { /* a run sums up its main path */
            bench_bar *bar = bench_chart_bar(&chart, g, i);
            bar->value = p->sources[i].first ? bench_number(p->sources[i].run, path) : (double)NAN;
            if (bar->value >= 0)
                bench_text_share(bar->text, bar->value);
        }
    }
    if (bench_chart_used(&chart)) {
        fputs("<h3>Kinds of operators, weighted by FLOP</h3>\n", p->to);
        bench_chart_write(&chart, p->to);
    }
    bench_chart_close(&chart);
}

/* The greater of the two shares: an operator is held back by the roof that it comes nearest to. */
static void share_bar(const json_t *row, bench_bar *bar)
{
    double roof = bench_number(row, "roof_share"), copy = bench_number(row, "copy_share");
    if (!row)
        return;
    if (bench_void_reason(row)) {
        bar->value = (double)NAN;
        strcpy(bar->text, bench_void_word(row));
        return;
    }
    bar->outlined = !(roof >= copy) && copy >= 0;
    bar->value = bar->outlined ? copy : roof;
    if (!(bar->value >= 0))
        return;
    bench_text_share(bar->text, bar->value);
    bench_copy(bar->cell, sizeof bar->cell, bar->text);
    strcat(bar->cell, bar->outlined ? " of copy" : " of R");
    if (bar->outlined && strlen(bar->text) + sizeof " of copy" <= sizeof bar->text)
        strcat(bar->text, " of copy");
}

static void write_roofs(const bench_page *p)
{
    for (size_t i = 0; i < p->own_count; i++) {
        char text[BENCH_TEXT];
        const json_t *run = p->sources[i].run;
        const char *by = bench_string(run, "roof.by");
        double roof = bench_number(run, "roof.tflops");
        if (!p->sources[i].first)
            continue;
        bench_text_digits(text, roof, 4);
        fprintf(p->to, "%s%s: R is %s%s%s", i ? "; " : "", p->names[i], text,
                isnan(roof) ? " (not measured)" : " TFLOP/s", by ? ", by " : "");
        bench_put_html(p->to, by ? by : "");
    }
}

void bench_page_shares(bench_page *p)
{
    size_t count;
    bench_group *groups = bench_page_names(p, "op", &count);
    bench_chart chart = {
        .id = "shares",
        .title = "Share of the roof by shape",
        .description =
            "Horizontal bars; filled bars are shares of the matrix roof R, outlined bars of the copying rate. "
            "Operators that take most of a step come first.",
        .corner = "operator",
        .names = p->names,
        .least_scale = 1,
        .mark = 1,
        .mark_text = "100 %"};
    if (count)
        qsort(groups, count, sizeof *groups, by_weight);
    if (groups && bench_chart_open(&chart, count, p->own_count)) {
        for (size_t g = 0; g < count; g++) {
            bench_copy(chart.labels[g], sizeof *chart.labels, groups[g].name);
            for (size_t i = 0; i < p->own_count; i++)
                share_bar(bench_page_row(p, i, "op", groups[g].name), bench_chart_bar(&chart, g, i));
        }
        if (bench_chart_used(&chart)) {
            fputs("<section>\n<h2>Share of the roof</h2>\n<p>", p->to);
            write_roofs(p);
            fputs(".</p>\n", p->to);
            write_weighted(p);
            fputs(
                "<h3>Each shape</h3>\n<p>What takes most of a step comes first. Filled bars are shares of R; outlined "
                "bars are shares of the copying rate, where that is what an operator comes nearest to.</p>\n",
                p->to);
            bench_chart_write(&chart, p->to);
            fputs("</section>\n", p->to);
        }
        bench_chart_close(&chart);
    } else
        p->short_of_memory = true;
    free(groups);
}

static bool has_prediction(const bench_page *p)
{
    for (size_t r = 0; r < p->run_count; r++) {
        for (size_t i = 0; i < bench_prediction_count(p->runs[r]); i++)
            if (bench_prediction_open(p->runs[r], i))
                return true;
        for (size_t i = 0; i < bench_row_count(p->runs[r]); i++)
            if (!isnan(bench_row_predicted(p->runs[r], bench_row(p->runs[r], i))))
                return true;
    }
    return false;
}

static void predicted_level(bench_page *p, size_t level)
{
    static const char *const ids[BENCH_LEVELS] = {"predicted-clip", "predicted-stage", "predicted-op"};
    char predicted[BENCH_TEXT], measured[BENCH_TEXT];
    size_t count, kept = 0;
    bench_group *groups = bench_page_names(p, bench_levels[level], &count);
    for (size_t g = 0; g < count; g++) { /* only what was foretold */
        bool any = false;
        for (size_t i = 0; i < p->own_count; i++)
            any = any || !isnan(bench_page_predicted(p, i, bench_page_row(p, i, bench_levels[level], groups[g].name)));
        if (any)
            groups[kept++] = groups[g];
    }
    bench_chart chart = {.id = ids[level],
                         .title = "Measured time over predicted time",
                         .description =
                             "Horizontal bars with a line at 1; longer than the line is slower than predicted.",
                         .corner = "row",
                         .names = p->names,
                         .least_scale = 1.5,
                         .mark = 1,
                         .mark_text = "as predicted"};
    if (p->own_count && p->foretold[p->sources[0].run_index]) {
        chart.title = "Predicted time";
        chart.description = "Horizontal bars of milliseconds; shorter is faster.";
        chart.least_scale = 0;
        chart.mark = (double)NAN;
    }
    if (!groups || !bench_chart_open(&chart, kept, p->own_count)) {
        p->short_of_memory = true;
        free(groups);
        return;
    }
    for (size_t g = 0; g < kept; g++) {
        bench_copy(chart.labels[g], sizeof *chart.labels, groups[g].name);
        for (size_t i = 0; i < p->own_count; i++) {
            const json_t *row = bench_page_row(p, i, bench_levels[level], groups[g].name);
            bench_bar *bar = bench_chart_bar(&chart, g, i);
            double foretold = bench_page_predicted(p, i, row), ms = bench_number(row, "ms.median");
            if (isnan(foretold))
                continue;
            bench_text_digits(predicted, foretold, 4);
            if (p->foretold[p->sources[i].run_index]) { /* the page is about predictions alone */
                bar->value = foretold;
                snprintf(bar->text, sizeof bar->text, "%.20s ms", predicted);
                continue;
            }
            bool is_void = bench_void_reason(row) != NULL;
            bar->value = is_void ? (double)NAN : ms / foretold;
            if (isnan(bar->value)) {
                strcpy(bar->text, is_void ? bench_void_word(row) : "not measured");
                snprintf(bar->cell, sizeof bar->cell, "%s, predicted %s ms", bar->text, predicted);
                continue;
            }
            bench_text_digits(bar->text, bar->value, 3);
            bench_text_digits(measured, ms, 4);
            snprintf(bar->cell, sizeof bar->cell, "%.20s ms of %.20s (%.20s)", measured, predicted, bar->text);
        }
    }
    if (bench_chart_used(&chart)) {
        fprintf(p->to, "<h3>%s</h3>\n", bench_level_titles[level]);
        bench_chart_write(&chart, p->to);
    }
    bench_chart_close(&chart);
    free(groups);
}

/* What was foretold and has not been measured. */
static void write_open(const bench_page *p)
{
    bool any = false;
    char number[BENCH_TEXT];
    for (size_t r = 0; r < p->run_count; r++)
        for (size_t i = 0; i < bench_prediction_count(p->runs[r]); i++) {
            const json_t *one = bench_prediction_open(p->runs[r], i);
            if (!one)
                continue;
            if (!any)
                fputs("<h3>Not measured yet</h3>\n<table>\n<thead><tr><th scope=\"col\">run</th><th "
                      "scope=\"col\">row</th>"
                      "<th scope=\"col\" class=\"n\">predicted ms</th></tr></thead>\n<tbody>\n",
                      p->to);
            any = true;
            size_t own = bench_page_source(p, r);
            fprintf(p->to, "<tr><td>%s</td><td class=\"name\">", own == SIZE_MAX ? "-" : p->names[own]);
            bench_put_html(p->to, bench_string_or(one, "name"));
            bench_text_digits(number, bench_number(one, "predicted_ms"), 4);
            fprintf(p->to, "</td><td class=\"n\">%s</td></tr>\n", number);
        }
    if (any)
        fputs("</tbody></table>\n", p->to);
}

void bench_page_predictions(bench_page *p)
{
    if (!has_prediction(p))
        return;
    fputs("<section>\n<h2>Predicted and measured</h2>\n<p>Predictions were written down before the measurement. 1 is "
          "as predicted, more "
          "is slower.</p>\n",
          p->to);
    for (size_t l = 0; l < BENCH_LEVELS; l++)
        predicted_level(p, l);
    write_open(p);
    fputs("</section>\n", p->to);
}
