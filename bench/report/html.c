/* html.c - one page about one or several runs: no script, no file beside it, nothing from a network.
 *
 * Runs have letters A, B, ... in the order given; the peers measured in a run's visit are A1, A2, ...  Everything that
 * comes from a file goes through bench_put_html().  Sections in which no run has anything to say are left out.  Here
 * are the frame and the list of runs; sources, charts and tables have files of their own. */
#include "report/page.h"

#include <math.h>
#include <stdint.h>

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fcfcfa;--ink:#1c2126;--soft:#555d66;--line:#d8dbd6;"
    "--s0:#2c6592;--s1:#b8621b;--s2:#3f7f55;--s3:#7d55a0;--s4:#a33f46;--s5:#5c6872}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#14171a;--ink:#e4e6e3;--soft:#a3abb3;--line:#343a40;"
    "--s0:#6aa5d4;--s1:#e09a57;--s2:#79b98f;--s3:#b394d6;--s4:#e08a8f;--s5:#98a4af}}\n"
    "@media print{:root{color-scheme:light;--bg:#fff;--ink:#000;--soft:#444;--line:#bbb;"
    "--s0:#2c6592;--s1:#b8621b;--s2:#3f7f55;--s3:#7d55a0;--s4:#a33f46;--s5:#5c6872}"
    ".scroll{overflow:visible}tr,figure{break-inside:avoid}h2,h3{break-after:avoid}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:76rem;background:var(--bg);color:var(--ink);"
    "font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif}\n"
    "h1{font-size:1.75rem;font-weight:600;line-height:1.2;margin:0 0 .25rem}\n"
    "h2{font-size:1.25rem;font-weight:600;margin:3rem 0 .25rem;padding-top:1rem;border-top:1px solid var(--line)}\n"
    "h3{font-size:1rem;font-weight:600;margin:1.75rem 0 .5rem}\n"
    "p{margin:.25rem 0 1rem;max-width:44rem;color:var(--soft)}\n"
    ".pair{display:grid;gap:1.5rem 2.5rem;grid-template-columns:minmax(0,1fr);align-items:start}\n"
    "@media (min-width:62rem){.pair:not(.many){grid-template-columns:minmax(0,7fr) minmax(0,5fr)}}\n"
    ".pair tbody th{min-width:10rem}.pair:not(.many) td.n{white-space:normal;min-width:6rem}\n"
    "figure{margin:0}svg.chart{display:block;font-size:13px;fill:var(--ink)}\n"
    "svg .value{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}"
    "svg .label{font-weight:500}svg .letter{font-weight:600;fill:var(--soft);font-size:12px}\n"
    "svg .value{font-variant-numeric:tabular-nums;font-size:12px}\n"
    "svg .mark{stroke:var(--soft);stroke-dasharray:3 3}svg .mark-text{fill:var(--soft);font-size:12px}\n"
    ".s0{fill:var(--s0);stroke:var(--s0)}.s1{fill:var(--s1);stroke:var(--s1)}.s2{fill:var(--s2);stroke:var(--s2)}"
    ".s3{fill:var(--s3);stroke:var(--s3)}.s4{fill:var(--s4);stroke:var(--s4)}.s5{fill:var(--s5);stroke:var(--s5)}"
    "svg .outline{fill-opacity:.15}\n"
    ".scroll{overflow-x:auto}.scroll:focus-visible{outline:2px solid var(--s0)}\n"
    "table{border-collapse:collapse;font-size:.8125rem;line-height:1.35;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.3rem .75rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}\n"
    "th{font-weight:500}thead th{color:var(--soft);white-space:nowrap;vertical-align:bottom}\n"
    ".n{text-align:right;white-space:nowrap}tr.void td,tr.void th{color:var(--soft);font-style:italic}\n"
    ".runs{min-width:64rem}.runs td,.runs th{padding-right:1.25rem}.name{min-width:15rem}.w{white-space:nowrap}\n"
    "@media print{body{padding:0;max-width:none}table{font-size:.625rem}th,td{padding-right:.4rem}.n,.w,thead "
    "th{white-space:"
    "normal}.runs{min-width:0}.name{min-width:8rem}}\n";

void bench_page_raw(const bench_page *p, const char *text)
{
    fputs(text, p->to);
}

void bench_page_text(const bench_page *p, const char *text)
{
    bench_put_html(p->to, text);
}

void bench_page_cell(const bench_page *p, const char *text)
{
    bench_page_raw(p, "<td>");
    bench_page_text(p, text);
    bench_page_raw(p, "</td>");
}

void bench_page_number(const bench_page *p, double v, int significant)
{
    char number[BENCH_TEXT];
    bench_text_digits(number, v, significant);
    fprintf(p->to, "<td class=\"n\">%s</td>", number);
}

void bench_page_table(const bench_page *p, const char *name, const char *classes)
{
    fprintf(p->to,
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">\n<table class=\"%s\">\n"
            "<thead><tr>",
            name, classes);
}

void bench_page_heads(const bench_page *p, const char *const *heads, size_t count, size_t first_number)
{
    for (size_t i = 0; i < count; i++)
        fprintf(p->to, "<th scope=\"col\"%s>%s</th>", i >= first_number ? " class=\"n\"" : "", heads[i]);
    bench_page_raw(p, "</tr></thead>\n<tbody>\n");
}

void bench_page_table_end(const bench_page *p)
{
    bench_page_raw(p, "</tbody></table></div>\n");
}

/* ---- what was measured where ------------------------------------------------------------------------- */

static void write_head(const bench_page *p)
{
    bench_page_raw(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>vkanim bench: ");
    bench_page_text(p, bench_string_or(p->sources[0].run, "device.name"));
    bench_page_raw(p, "</title>\n<style>\n");
    bench_page_raw(p, style);
    bench_page_raw(p, "</style>\n</head>\n<body>\n<header>\n<h1>vkanim bench</h1>\n<p>");
    bench_page_text(p, bench_string_or(p->sources[0].run, "device.name"));
    size_t others = 0;
    for (size_t i = 1; i < p->own_count; i++)
        others += p->sources[i].first;
    if (others)
        fprintf(p->to, " and %zu more run%s", others, others > 1 ? "s" : "");
    bench_page_raw(p, "</p>\n</header>\n<main>\n");
}

static void rate_cell(const bench_page *p, double rate, const char *unit, const char *by)
{
    char number[BENCH_TEXT];
    bench_text_digits(number, rate, 4);
    bench_page_raw(p, "<td>");
    bench_page_raw(p, number);
    if (!isnan(rate))
        bench_page_raw(p, unit);
    if (!isnan(rate) && by) {
        bench_page_raw(p, ", by ");
        bench_page_text(p, by);
    }
    bench_page_raw(p, "</td>");
}

static void write_foretold(const bench_page *p)
{
    for (size_t r = 0; r < p->run_count; r++) {
        char number[BENCH_TEXT];
        if (!p->foretold[r] || bench_page_source(p, r) != SIZE_MAX)
            continue;
        bench_page_raw(p, "<p>Predictions of commit ");
        bench_page_text(p, bench_string_or(p->runs[r], "commit"));
        bench_text_digits(number, bench_number(p->runs[r], "roof.tflops"), 4);
        fprintf(p->to, " for a roof of %s TFLOP/s and ", number);
        bench_text_digits(number, bench_number(p->runs[r], "roof.copy_gbps"), 4);
        fprintf(p->to, "%s GB/s are held against the measurements.</p>\n", number);
    }
}

static void write_runs(const bench_page *p)
{
    static const char *const heads[] = {"",       "device", "driver", "model",          "path", "precision",
                                        "memory", "R",      "copy",   "vkanim, commit", "date"};
    char text[BENCH_TEXT];
    bench_page_raw(p,
                   "<section>\n<h2>Runs</h2>\n<p>R is the device's own matrix roof and copy its own copying rate, both "
                   "measured in the same run as everything else.</p>\n");
    bench_page_table(p, "Runs", "runs");
    bench_page_heads(p, heads, sizeof heads / sizeof *heads, SIZE_MAX);
    for (size_t i = 0; i < p->own_count; i++) {
        const json_t *run = p->sources[i].run;
        fprintf(p->to, "<tr><th scope=\"row\">%s</th><td>", p->names[i]);
        bench_page_text(p, bench_string_or(run, "device.name"));
        if (json_is_true(bench_at(run, "device.cpu")))
            bench_page_raw(p, " (a software device)");
        bench_page_raw(p, "</td>");
        bench_page_cell(p, bench_string_or(run, "device.driver"));
        bench_page_cell(p, bench_string_or(run, "settings.model"));
        bench_page_cell(p, *p->sources[i].path ? p->sources[i].path : "not known");
        bench_page_cell(p, p->sources[i].first ? bench_string_or(run, "settings.precision") : "-");
        bench_text_bytes(text, bench_number(run, "device.heap_bytes"));
        bench_page_cell(p, text);
        rate_cell(p, bench_number(run, "roof.tflops"), " TFLOP/s", bench_string(run, "roof.by"));
        rate_cell(p, bench_number(run, "roof.copy_gbps"), " GB/s", NULL);
        bench_page_raw(p, "<td>");
        bench_page_text(p, bench_string(run, "vkanim") ? bench_string(run, "vkanim") : "-");
        bench_page_raw(p, ", ");
        bench_copy(text, 13, bench_string_or(run, "commit")); /* the head of a hash */
        bench_page_text(p, text);
        bench_page_raw(p, "</td><td class=\"w\">");
        bench_page_text(p, bench_string_or(run, "date"));
        bench_page_raw(p, "</td></tr>\n");
    }
    bench_page_table_end(p);
    if (p->source_count > p->own_count)
        bench_page_raw(p, "<p>Other programs, measured in the same visit as the run whose letter they carry:");
    for (size_t i = p->own_count; i < p->source_count; i++) {
        fprintf(p->to, "%s <strong>%s</strong> ", i > p->own_count ? "," : "", p->names[i]);
        bench_page_text(p, p->sources[i].peer);
    }
    if (p->source_count > p->own_count)
        bench_page_raw(p, ".</p>\n");
    write_foretold(p);
    bench_page_raw(p, "</section>\n");
}

vka_status bench_report_html(const json_t *const *results, size_t count, FILE *to, vka_error *err)
{
    bench_page p = {.runs = results, .run_count = count, .to = to};
    if (!count)
        return vka_fail(err, VKA_E_USAGE, "a page needs at least one run");
    for (size_t r = 0; r < count; r++) {
        vka_status s = bench_check_results(results[r], "the run", err);
        if (s != VKA_OK)
            return s;
    }
    p.short_of_memory = !bench_page_open(&p);
    if (!p.short_of_memory) {
        write_head(&p);
        write_runs(&p);
        bench_page_clips(&p, false);
        bench_page_clips(&p, true);
        bench_page_against_peers(&p);
        bench_page_marks(&p);
        bench_page_shares(&p);
        bench_page_predictions(&p);
        bench_page_verdicts(&p);
        bench_page_beside(&p);
        bench_page_rows(&p);
        bench_page_raw(&p, "</main>\n</body>\n</html>\n");
    }
    bench_page_close(&p);
    return p.short_of_memory ? vka_fail(err, VKA_E_MEMORY, "out of memory") : bench_finish(to, err);
}
