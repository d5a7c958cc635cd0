/* html_tables.c - the page's tables: other programs, marks, the verdict against a baseline, runs beside each other, and
 * all rows. */
#include "report/page.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void section(const bench_page *p, const char *title, const char *words)
{
    fprintf(p->to, "<section>\n<h2>%s</h2>\n<p>%s</p>\n", title, words);
}

static void size_cell(const bench_page *p, bool sized, const double size[3])
{
    if (sized)
        fprintf(p->to, "<td class=\"w\">%.0f x %.0f, %.0f frame%s</td>", size[0], size[1], size[2],
                size[2] > 1 ? "s" : "");
    else
        bench_page_raw(p, "<td>-</td>");
}

static void bytes_cell(const bench_page *p, double bytes)
{
    char text[BENCH_TEXT];
    bench_text_bytes(text, bytes);
    fprintf(p->to, "<td class=\"n\">%s</td>", text);
}

/* The fastest clip of that size that counts, of any path of a run. */
static const json_t *best_clip(const bench_page *p, size_t run, const double size[3])
{
    const json_t *best = NULL;
    for (size_t i = 0; i < p->own_count; i++) {
        const json_t *clip = p->sources[i].run_index == run ? bench_page_clip(p, i, size) : NULL;
        double s = clip && !bench_void_reason(clip) ? bench_number(clip, "s_per_it") : (double)NAN;
        if (s > 0 && !(best && bench_number(best, "s_per_it") <= s))
            best = clip;
    }
    return best;
}

/* Whether a peer ran the networks that the run measured; where one of them does not say, it is taken for granted. */
static bool same_model(const json_t *run, const json_t *peer)
{
    const char *a = bench_string(run, "settings.model"), *b = bench_string(peer, "model");
    return !a || !b || strcmp(a, b) == 0;
}

static void peer_row(const bench_page *p, size_t source, const json_t *peer)
{
    const bench_source *s = &p->sources[source];
    double size[3], theirs = bench_number(peer, "s_per_it");
    bool sized = bench_clip_size(peer, size);
    const json_t *own = sized && same_model(s->run, peer) ? best_clip(p, s->run_index, size) : NULL;
    fprintf(p->to, "<tr><th scope=\"row\" class=\"w\">%s ", p->names[source]);
    bench_page_text(p, s->peer);
    bench_page_raw(p, "</th>");
    bench_page_cell(p, bench_string_or(peer, "version"));
    size_cell(p, sized, size);
    bench_page_number(p, theirs, 4);
    bench_page_number(p, bench_number(own, "s_per_it"), 4);
    bench_page_number(p, theirs / bench_number(own, "s_per_it"), 3);
    bytes_cell(p, bench_number(peer, "peak_bytes"));
    bytes_cell(p, bench_number(own, "peak_bytes"));
    bench_page_raw(p, "</tr>\n");
}

void bench_page_against_peers(const bench_page *p)
{
    static const char *const heads[] = {"program",     "version", "clip",      "s/it",
                                        "vkanim s/it", "ratio",   "peak VRAM", "vkanim peak VRAM"};
    if (p->source_count == p->own_count)
        return;
    section(
        p, "Beside other programs",
        "Measured in the same visit on the same device. The ratio is the other program's time over that of vkanim's "
        "fastest path: above 1, vkanim is faster.");
    bench_page_table(p, "Beside other programs", "");
    bench_page_heads(p, heads, COUNT(heads), 3);
    for (size_t i = p->own_count; i < p->source_count; i++) {
        const json_t *list = json_object_get(p->sources[i].run, "peers");
        for (size_t k = 0; k < json_array_size(list); k++) {
            const char *name = bench_string(json_array_get(list, k), "name");
            if (name && strcmp(name, p->sources[i].peer) == 0)
                peer_row(p, i, json_array_get(list, k));
        }
    }
    bench_page_table_end(p);
    bench_page_raw(p, "</section>\n");
}

/* ---- marks of a visit -------------------------------------------------------------------------------- */

static void write_floor(const bench_page *p, const json_t *floor)
{
    static const char *const heads[] = {"clip", "TFLOP", "GB", "floor s", "first mark s", "aim s"};
    static const char *const keys[] = {"tflop", "gbyte", "floor_s", "mark_s", "aim_s"};
    bench_page_raw(p, "<h3>Floor of a step</h3>\n");
    bench_page_table(p, "Floor of a step", "");
    bench_page_heads(p, heads, COUNT(heads), 1);
    for (size_t i = 0; i < json_array_size(floor); i++) {
        const json_t *row = json_array_get(floor, i);
        bench_page_raw(p, "<tr>");
        bench_page_cell(p, bench_string_or(row, "size"));
        for (size_t k = 0; k < COUNT(keys); k++)
            bench_page_number(p, bench_number(row, keys[k]), 4);
        bench_page_raw(p, "</tr>\n");
    }
    bench_page_table_end(p);
}

static const char *met(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);
    return json_is_true(v) ? "reached" : json_is_false(v) ? "not reached" : "-";
}

static void write_marks(const bench_page *p, const json_t *marks)
{
    static const char *const heads[] = {"what", "measured", "first mark", "", "aim", "", "note"};
    bench_page_raw(p, "<h3>Marks</h3>\n");
    bench_page_table(p, "Marks", "");
    bench_page_heads(p, heads, COUNT(heads), SIZE_MAX);
    for (size_t i = 0; i < json_array_size(marks); i++) {
        const json_t *row = json_array_get(marks, i);
        bench_page_raw(p, "<tr><td class=\"name\">");
        bench_page_text(p, bench_string_or(row, "name"));
        bench_page_raw(p, "</td>");
        bench_page_number(p, bench_number(row, "value"), 4);
        bench_page_number(p, bench_number(row, "mark"), 4);
        bench_page_cell(p, met(row, "met"));
        bench_page_number(p, bench_number(row, "aim"), 4);
        bench_page_cell(p, met(row, "aim_met"));
        bench_page_cell(p, bench_string(row, "note") ? bench_string(row, "note") : "");
        bench_page_raw(p, "</tr>\n");
    }
    bench_page_table_end(p);
}

void bench_page_marks(const bench_page *p)
{
    for (size_t r = 0; r < p->run_count; r++) {
        const json_t *floor = json_object_get(p->runs[r], "floor"), *marks = json_object_get(p->runs[r], "marks");
        size_t own = bench_page_source(p, r);
        if (own == SIZE_MAX || (!json_array_size(floor) && !json_array_size(marks)))
            continue;
        fprintf(p->to,
                "<section>\n<h2>What %s was to reach</h2>\n<p>The floor is the longer of a step's operations over R "
                "and its "
                "bytes over the copying rate.</p>\n",
                p->names[own]);
        if (json_array_size(marks))
            write_marks(p, marks);
        if (json_array_size(floor))
            write_floor(p, floor);
        bench_page_raw(p, "</section>\n");
    }
}

/* ---- comparisons ------------------------------------------------------------------------------------- */

static void write_verdict(const bench_page *p, const json_t *verdict, const char *name)
{
    static const char *const kinds[] = {"compared", "slower", "faster", "same"};
    static const char *const heads[] = {"row", "verdict", "baseline ms", "ms", "ratio", "p", "reason"};
    const json_t *was = json_object_get(verdict, "baseline");
    char number[BENCH_TEXT];
    bool any = false;
    fprintf(p->to, "<section>\n<h2>%s against its baseline</h2>\n<p>Commit ", name);
    bench_page_text(p, bench_string_or(was, "commit"));
    bench_page_raw(p, " of ");
    bench_page_text(p, bench_string_or(was, "date"));
    bench_page_raw(p,
                   ". A difference is real when it is large enough and Welch's test with Holm's correction finds it:");
    for (size_t k = 0; k < COUNT(kinds); k++) {
        bench_text_exact(number, bench_number(json_object_get(verdict, "summary"), kinds[k]));
        fprintf(p->to, "%s %s %s", k ? "," : "", number[0] ? number : "-", kinds[k]);
    }
    bench_page_raw(p, ".</p>\n");
    for (size_t i = 0; i < bench_verdict_count(verdict); i++) {
        const json_t *row = bench_verdict_row(verdict, i);
        if (!row)
            continue;
        if (!any) {
            bench_page_table(p, "Against the baseline", "");
            bench_page_heads(p, heads, COUNT(heads), SIZE_MAX);
        }
        any = true;
        bench_page_raw(p, "<tr><td class=\"name\">");
        bench_page_text(p, bench_string_or(row, "name"));
        bench_page_raw(p, "</td>");
        bench_page_cell(p, bench_string_or(row, "status"));
        bench_page_number(p, bench_number(row, "baseline_ms"), 4);
        bench_page_number(p, bench_number(row, "ms"), 4);
        bench_page_number(p, bench_number(row, "ratio"), 4);
        bench_page_number(p, bench_number(row, "p_holm"), 2);
        bench_page_cell(p, bench_string(row, "reason") ? bench_string(row, "reason") : "");
        bench_page_raw(p, "</tr>\n");
    }
    if (any)
        bench_page_table_end(p);
    bench_page_raw(p, "</section>\n");
}

void bench_page_verdicts(const bench_page *p)
{
    for (size_t r = 0; r < p->run_count; r++)
        if (bench_comparison(p->runs[r]) && bench_page_source(p, r) != SIZE_MAX)
            write_verdict(p, bench_comparison(p->runs[r]), p->names[bench_page_source(p, r)]);
}

static double median_ms(const json_t *row)
{
    double ms = bench_void_reason(row) ? (double)NAN : bench_number(row, "ms.median");
    return ms > 0 ? ms : (double)NAN;
}

static void beside_row(const bench_page *p, size_t level, const char *name)
{
    char number[BENCH_TEXT];
    double first = median_ms(bench_page_row(p, 0, bench_levels[level], name));
    bench_page_raw(p, "<tr><td class=\"name\">");
    bench_page_text(p, name);
    bench_page_raw(p, "</td>");
    for (size_t i = 0; i < p->own_count; i++) {
        const json_t *row = bench_page_row(p, i, bench_levels[level], name);
        double ms = median_ms(row);
        bench_text_digits(number, ms, 4);
        fprintf(p->to, "<td class=\"n\">%s", row && bench_void_reason(row) ? bench_void_word(row) : number);
        if (i && !isnan(ms / first)) {
            bench_text_digits(number, ms / first, 3);
            fprintf(p->to, " (%s)", number);
        }
        bench_page_raw(p, "</td>");
    }
    bench_page_raw(p, "</tr>\n");
}

void bench_page_beside(bench_page *p)
{
    if (p->own_count < 2)
        return;
    section(p, "Runs beside each other",
            "Median milliseconds, and in brackets the ratio to A: below 1 is faster than A.");
    bench_page_table(p, "Runs beside each other", "");
    bench_page_raw(p, "<th scope=\"col\">row</th>");
    for (size_t i = 0; i < p->own_count; i++)
        fprintf(p->to, "<th scope=\"col\" class=\"n\">%s</th>", p->names[i]);
    bench_page_raw(p, "</tr></thead>\n<tbody>\n");
    for (size_t l = 0; l < BENCH_LEVELS; l++) {
        size_t count;
        bench_group *groups = bench_page_names(p, bench_levels[l], &count);
        if (count)
            fprintf(p->to, "<tr><th scope=\"rowgroup\" colspan=\"%zu\">%s</th></tr>\n", p->own_count + 1,
                    bench_level_titles[l]);
        for (size_t g = 0; g < count; g++)
            beside_row(p, l, groups[g].name);
        free(groups);
    }
    bench_page_table_end(p);
    bench_page_raw(p, "</section>\n");
}

/* ---- all rows ---------------------------------------------------------------------------------------- */

static void write_rows(const bench_page *p, const json_t *run, size_t level)
{
    bool used[BENCH_COLUMNS];
    fprintf(p->to, "<h3>%s</h3>\n", bench_level_titles[level]);
    bench_page_table(p, bench_level_titles[level], "");
    for (size_t c = 0; c < BENCH_COLUMNS; c++) {
        used[c] = bench_column_used(c, run, bench_levels[level]);
        if (used[c])
            fprintf(p->to, "<th scope=\"col\"%s>%s</th>", bench_column_is_number(c) ? " class=\"n\"" : "",
                    bench_column_title(c));
    }
    bench_page_raw(p, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < bench_row_count(run); i++) {
        const json_t *row = bench_row(run, i);
        if (!bench_row_is(row, bench_levels[level]))
            continue;
        bench_page_raw(p, bench_void_reason(row) ? "<tr class=\"void\">" : "<tr>");
        for (size_t c = 0; c < BENCH_COLUMNS; c++) {
            if (!used[c])
                continue;
            bench_page_raw(p, bench_column_is_number(c) ? "<td class=\"n\">" : c == 0 ? "<td class=\"name\">" : "<td>");
            bench_column_put(c, run, row, p->to, bench_put_html);
            bench_page_raw(p, "</td>");
        }
        bench_page_raw(p, "</tr>\n");
    }
    bench_page_table_end(p);
}

void bench_page_rows(const bench_page *p)
{
    for (size_t r = 0; r < p->run_count; r++) {
        bool any = false;
        if (bench_page_source(p, r) == SIZE_MAX)
            continue;
        bench_page_raw(p, "<section>\n<h2>All rows");
        for (size_t i = 0; i < p->own_count && p->own_count > 1; i++)
            if (p->sources[i].run_index == r) {
                fprintf(p->to, "%s %s", any ? "," : " of", p->names[i]);
                any = true;
            }
        bench_page_raw(p, "</h2>\n");
        for (size_t l = 0; l < BENCH_LEVELS; l++)
            if (bench_has_level(p->runs[r], bench_levels[l]))
                write_rows(p, p->runs[r], l);
        bench_page_raw(p, "</section>\n");
    }
}
