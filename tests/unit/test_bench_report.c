/* test_bench_report.c - what becomes of a bench run's numbers: escapes of each format, files that come back as they
 * went, files that are damaged in every way that can be gone through in turn, and the table of the README. */
#define _XOPEN_SOURCE 700 /* open_memstream, mkdtemp */
#include "base/number.h"
#include "bench_runs.h"

#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- formats ----------------------------------------------------------------------------------------- */

static void put(char *out, bench_put *how, const char *text)
{
    FILE *to = fmemopen(out, 200, "w");
    assert_non_null(to);
    how(to, text);
    fclose(to);
}

static void escapes(void **state)
{
    char out[200];
    (void)state;
    put(out, bench_put_csv, "plain 1.5");
    assert_string_equal(out, "plain 1.5");
    put(out, bench_put_csv, "a,b");
    assert_string_equal(out, "\"a,b\"");
    put(out, bench_put_csv, "say \"x\"");
    assert_string_equal(out, "\"say \"\"x\"\"\"");
    put(out, bench_put_csv, "two\r\nlines");
    assert_string_equal(out, "\"two\r\nlines\"");
    put(out, bench_put_html, "<a href=\"x\">&'\x01</a>");
    assert_string_equal(out, "&lt;a href=&quot;x&quot;&gt;&amp;&#39; &lt;/a&gt;");
    put(out, bench_put_markdown, "a|b <i> *x* _y_ fp16_khr\n&lt; `c` [d]");
    assert_string_equal(out, "a\\|b \\<i> \\*x\\* \\_y\\_ fp16_khr \\&lt; \\`c\\` \\[d\\]");
    put(out, bench_put_plain, "a\x1b[31m\n");
    assert_string_equal(out, "a [31m ");
    bench_copy(out, 4, "ab\xc3\xa9");
    assert_string_equal(out, "ab");
    bench_copy(out, 5, "ab\xc3\xa9");
    assert_string_equal(out, "ab\xc3\xa9");
}

static void numbers(void **state)
{
    char out[BENCH_TEXT], real[8];
    (void)state;
    bench_text_digits(out, 0.0123456, 4);
    assert_string_equal(out, "0.01235");
    bench_text_digits(out, 123456, 4);
    assert_string_equal(out, "123456");
    bench_text_digits(out, -1e300, 3);
    assert_string_equal(out, "-1.00e+300");
    bench_text_digits(out, (double)NAN, 3);
    assert_string_equal(out, "-");
    bench_text_exact(out, 0.1);
    assert_string_equal(out, "0.1");
    bench_text_exact(out, 1.0 / 3);
    assert_true(strtod(out, NULL) == 1.0 / 3);
    bench_text_exact(out, 8589934592.0);
    assert_string_equal(out, "8589934592");
    bench_text_bytes(out, 8589934592.0);
    assert_string_equal(out, "8.00 GiB");
    bench_text_bytes(out, 1e300);
    assert_string_equal(out, "-");
    bench_text_share(out, 0.4567);
    assert_string_equal(out, "45.7 %");
    vka_format_real(real, sizeof real, 1234567.25, 'f', 2); /* cut, not overrun */
    assert_string_equal(real, "1234567");
}

static void other_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    bool found = false;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ".") != 0;
    if (!found) {
        setlocale(LC_ALL, "C");
        skip();
    }
    json_t *run = parse(sample_run);
    char *text = capture(as_csv, run), number[16];
    vka_format_real(number, sizeof number, 1.5, 'f', 2);
    assert_has(text, ",1.25,1.5,1.75,");
    assert_string_equal(number, "1.50");
    free(text);
    text = capture(as_json, run);
    assert_has(text, "100.5");
    free(text);
    json_decref(run);
    setlocale(LC_ALL, "C");
}

static void spread_of_clips(void **state)
{
    char out[2 * BENCH_TEXT];
    json_t *row = json_pack("{s:f, s:{s:f, s:f}}", "s_per_it", 0.5, "ms", "min", 490.0, "max", 520.0);
    (void)state;
    bench_text_s_per_it(out, row);
    assert_string_equal(out, "0.5000 (0.4900 to 0.5200)");
    json_object_set_new(row, "ms",
                        json_pack("{s:f, s:f}", "min", 4900.0, "max", 5200.0)); /* of ten steps: not the same thing */
    bench_text_s_per_it(out, row);
    assert_string_equal(out, "0.5000");
    json_object_set_new(row, "ms", json_pack("{s:f, s:f}", "min", 49.0, "max", 52.0));
    bench_text_s_per_it(out, row);
    assert_string_equal(out, "0.5000");
    json_decref(row);
}

static void skipped_rows(void **state)
{
    json_t *run = parse(sample_run);
    (void)state;
    edit(run, 1, "skipped", json_true());
    char *text = capture(as_md, run);
    assert_has(text, "| skipped: 3 elements");
    assert_lacks(text, "void");
    free(text);
    text = capture(as_html, run);
    assert_has(text, ">skipped</text>");
    free(text);
    json_decref(run);
}

static void csv(void **state)
{
    json_t *run = parse(sample_run);
    char *text = capture(as_csv, run);
    size_t lines = 0;
    (void)state;
    for (const char *p = text; (p = strstr(p, "\r\n")) != NULL; p += 2)
        lines++;
    assert_int_equal(lines, 6); /* the head and five rows */
    assert_has(text, "\r\n\"Card <i>1</i> & \"\"x\"\", 'y' | z\",drv 1.2,");
    assert_has(
        text,
        ",khr,op,linear,\"linear 4096 x 320 -> 2560, \"\"geglu\"\"\",10,3,1.2,1.25,1.5,1.75,0.02,0.1,13.3,66,0.5,0.1,,"
        "1048576,,,passed,\r\n");
    assert_has(
        text, ",plain,op,norm,norm 64x64x320,3,0,,,,,,,,,,,,,,,failed,3 elements | off <b>\r\n"); /* void: no numbers */
    free(text);
    json_decref(run);
}

static void markdown(void **state)
{
    json_t *run = parse(sample_run);
    char *text = capture(as_md, run);
    (void)state;
    assert_has(text, "# vkanim bench: Card \\<i>1\\</i> \\& \"x\", 'y' \\| z\n");
    assert_has(text, "- commit: 0123456789abcdef\n");
    assert_has(text, "- roof R: 100.5 TFLOP/s, by gemm \\<probe>\n");
    assert_has(text, "| void: 3 elements \\| off \\<b> |");
    assert_lacks(text, "7.125");          /* a number of the void row */
    assert_has(text, "| 1.200 | 1.25 |"); /* predicted, and measured over it */
    assert_has(text, "| 40.00 | 1.27 |"); /* a prediction from the list */
    assert_has(text, "| far \\<away> | 3.000 |");
    assert_has(text, "0.1210 (0.1200 to 0.1220)");
    assert_has(text, "4.00 GiB");
    assert_has(text, "| diffusers \\<compiled> 0.42 | 512 x 512, 16 frames | 0.2420 | 2.00 |");
    free(text);
    json_decref(run);
}

static void page(void **state)
{
    json_t *run = parse(sample_run);
    char *text = capture(as_html, run);
    (void)state;
    assert_well_formed(text);
    assert_has(text, "Card &lt;i&gt;1&lt;/i&gt; &amp; &quot;x&quot;, &#39;y&#39; | z");
    assert_has(text, "gemm &lt;probe&gt;");
    assert_has(text, "void: 3 elements | off &lt;b&gt;");
    assert_has(text, "diffusers &lt;compiled&gt;");
    assert_has(text, "far &lt;away&gt;");
    assert_has(text, "prefers-color-scheme:dark");
    assert_has(text, "<title id=\"speed-t\">");
    assert_has(text, "<desc id=\"vram-d\">");
    assert_lacks(text, "Card <i>");
    assert_lacks(text, "<script");
    assert_lacks(text, "http");
    assert_lacks(text, "url(");
    assert_has(text, "conv &lt;share&gt;");
    assert_has(text, "<td>not reached</td>");
    assert_has(text, "0.7045");
    assert_lacks(text, "7.125");
    assert_has(text, "<td class=\"n\">4.00 GiB (planned 4.10 GiB)</td>");
    free(text);
    text = capture(as_two, run);
    assert_well_formed(text);
    assert_has(text, "Runs beside each other");
    assert_has(text, "<td class=\"n\">121.0 (1.00)</td>");
    free(text);
    assert_int_equal(bench_report_html(NULL, 0, stdout, NULL), VKA_E_USAGE);
    json_decref(run);
}

/* Rows of one name on several paths have a letter each; rows of a run that only foretells stand beside what was
 * measured. */
static void page_letters(void **state)
{
    json_t *run = json_pack("{s:i, s:s, s:{s:s, s:s}, s:[]}", "schema", BENCH_SCHEMA, "command", "bench", "device",
                            "name", "d", "path", "khr", "rows");
    json_t *foretold = json_deep_copy(run), *rows = json_object_get(run, "rows");
    static const char *const paths[] = {"khr", "fp16", "fp32"};
    vka_error err = {0};
    char *text;
    (void)state;
    for (int i = 0; i < 2; i++)
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:{s:f}, s:f}", "level", "op", "name", "product", "path",
                                              paths[i], "ms", "median", 8.0 * (i + 1), "roof_share", 0.25 * (i + 1)));
    json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:{s:f}}", "level", "stage", "name", "text", "path",
                                          paths[2], "ms", "median", 3.0));
    text = capture(as_html, run);
    assert_well_formed(text);
    assert_has(text,
               "<tr><td class=\"name\">product</td><td class=\"n\">8.000</td><td class=\"n\">16.00 (2.00)</td></tr>");
    assert_has(text, "<tr><td class=\"name\">text</td><td class=\"n\">3.000</td><td class=\"n\">-</td></tr>");
    assert_has(text, "<h2>All rows of A, B</h2>");
    assert_lacks(text, "Predicted and measured");
    free(text);

    json_array_append_new(json_object_get(foretold, "rows"),
                          json_pack("{s:s, s:s, s:f, s:s}", "level", "op", "name", "product", "predicted_ms", 4.0,
                                    "void", "a prediction"));
    text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    assert_int_equal(bench_report_html((const json_t *const[]){foretold, run}, 2, to, &err), VKA_OK);
    fclose(to);
    assert_well_formed(text);
    assert_has(text, "<td class=\"n\">8.000 ms of 4.000 (2.00)</td><td class=\"n\">16.00 ms of 4.000 (4.00)</td>");
    assert_lacks(text, ">C</th>");
    free(text);
    json_t *other = json_deep_copy(run); /* what one run foretold of itself is not held against another */
    edit(other, 0, "predicted_ms", json_real(2.0));
    to = open_memstream(&text, &size);
    assert_non_null(to);
    assert_int_equal(bench_report_html((const json_t *const[]){other, run}, 2, to, &err), VKA_OK);
    fclose(to);
    assert_has(text, "<td class=\"n\">8.000 ms of 2.000 (4.00)</td><td class=\"n\">-</td><td class=\"n\">-</td>"
                     "<td class=\"n\">-</td>");
    free(text);
    json_decref(other);
    text = capture(as_html, foretold); /* alone it has the letter */
    assert_has(text, ">4.000 ms</text>");
    free(text);
    json_decref(run);
    json_decref(foretold);
}

static void round_trips(void **state)
{
    json_t *run = parse(sample_run);
    char *text = capture(as_json, run);
    json_t *back = parse(text);
    (void)state;
    assert_true(json_equal(run, back));
    json_decref(back);
    free(text);

    text = capture(as_jsonl, run);
    back = parse(text);
    assert_int_equal(bench_row_count(back), bench_row_count(run));
    for (size_t i = 0; i < BENCH_HEAD_KEYS; i++)
        assert_true(json_equal(json_object_get(run, bench_head_keys[i]), json_object_get(back, bench_head_keys[i])));
    for (size_t i = 0; i < bench_row_count(run); i++) {
        json_t *a = json_deep_copy(bench_row(run, i));
        json_object_set_new(a, "path", json_string(bench_row_path(run, a))); /* a line always says its path */
        assert_true(json_equal(a, bench_row(back, i)));
        json_decref(a);
    }
    assert_has(text, "\"device\":{\"name\":\"Card ");
    assert_has(text, "\"commit\":\"0123456789abcdef\"");
    char letters[16];
    assert_false(statuses(back, run, letters)); /* and it serves as a baseline */
    assert_string_equal(letters, "=v==u");

    /* One line alone; lines of two runs; a line that is cut. */
    char *first = strchr(text, '\n');
    *first = '\0';
    back = parse(text);
    assert_int_equal(bench_row_count(back), 1);
    json_decref(back);
    *first = '\n';
    vka_error err = {0};
    char *commit = strstr(first, "0123456789abcdef");
    commit[0] = 'f';
    assert_int_equal(bench_results_parse(text, strlen(text), "lines", &back, &err), VKA_E_INPUT);
    assert_has(err.what, "line 2");
    commit[0] = '0';
    err = (vka_error){0};
    assert_int_equal(bench_results_parse(text, (size_t)(first - text) + 100, "lines", &back, &err), VKA_E_INPUT);
    assert_has(err.what, "line 2");
    assert_null(back);
    free(text);
}

static void formats_and_full_disk(void **state)
{
    json_t *run = parse(sample_run);
    vka_error err = {0};
    (void)state;
    assert_int_equal(bench_report_write(run, "xml", stdout, &err), VKA_E_USAGE);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        err = (vka_error){0};
        assert_int_equal(bench_report_write(run, "md", full, &err), VKA_E_OUTPUT);
        fclose(full);
    }
    json_decref(run);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void assert_refused(const char *text, const char *because)
{
    json_t *run;
    vka_error err = {0};
    assert_int_equal(bench_results_parse(text, strlen(text), "test", &run, &err), VKA_E_INPUT);
    assert_null(run);
    assert_has(err.what, because);
}

static void bad_files(void **state)
{
    json_t *run;
    vka_error err = {0};
    (void)state;
    assert_refused("", "is empty");
    assert_refused(" \n\t ", "is empty");
    assert_refused("nonsense", "is not JSON");
    assert_refused("[]", "not a result");
    assert_refused("{}", "not a result");
    assert_refused("{\"schema\":\"1\"}", "not a result");
    assert_refused("{\"schema\":2,\"rows\":[]}", "schema 2");
    assert_refused("{\"schema\":1,\"rows\":[]}", "which device");
    assert_refused("{\"schema\":1,\"device\":{}}", "has no rows");
    assert_refused("{\"schema\":1,\"device\":{},\"rows\":{}}", "has no rows");
    assert_refused("{\"schema\":1,\"device\":{},\"rows\":[{},3]}", "row 2");
    assert_refused("{\"schema\":1,\"schema\":1,\"device\":{},\"rows\":[]}", "not JSON");
    assert_refused("{\"schema\":1,\"device\":{},\"level\":\"op\"}\n{}\n", "line 2");
    assert_int_equal(bench_results_load("/nowhere/at/all.json", &run, &err), VKA_E_INPUT);
    assert_null(run);
}

static void try_all(const json_t *run, const json_t *good)
{
    static vka_status (*const ways[])(const void *, FILE *, vka_error *) = {as_md,   as_csv, as_json, as_jsonl,
                                                                            as_html, as_two, as_table};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        char *text = NULL;
        size_t size = 0;
        FILE *to = open_memstream(&text, &size);
        vka_error err = {0};
        vka_status s = ways[w](run, to, &err);
        fclose(to);
        assert_true(s == VKA_OK || (s == VKA_E_INPUT && err.what[0]));
        if (s == VKA_OK && ways[w] != as_json && ways[w] != as_jsonl) {
            assert_lacks(text, "nan");
            assert_lacks(text, "inf");
        }
        if (s == VKA_OK && (ways[w] == as_html || ways[w] == as_two))
            assert_well_formed(text);
        free(text);
    }
    for (int turn = 0; turn < 2; turn++) {
        json_t *verdict;
        bool regressed;
        vka_error err = {0};
        vka_status s = bench_compare(turn ? good : run, turn ? run : good, &verdict, &regressed, &err);
        assert_true(s == VKA_OK ? verdict != NULL : s == VKA_E_INPUT && !verdict);
        if (verdict)
            free(capture(as_verdict, verdict));
        json_decref(verdict);
    }
}

/* Puts each odd value in each place of the tree under `at`, one at a time. */
static void damage(json_t *root, json_t *at, const json_t *good, size_t *tries)
{
    static const char *const odd[] = {"null",
                                      "true",
                                      "-1",
                                      "0",
                                      "1e308",
                                      "1e-300",
                                      "9223372036854775807",
                                      "\"\"",
                                      "\"<&\\\"'>\\u0001\"",
                                      "[]",
                                      "{}",
                                      "[[1,\"x\",null]]",
                                      "{\"name\":[],\"passed\":3}"};
    size_t n = json_is_object(at) ? json_object_size(at) : json_array_size(at);
    for (size_t i = 0; i < n; i++) {
        void *it = json_is_object(at) ? json_object_iter(at) : NULL;
        for (size_t k = 0; it && k < i; k++)
            it = json_object_iter_next(at, it);
        char key[64] = "";
        if (it)
            strncat(key, json_object_iter_key(it), sizeof key - 1);
        json_t *old = json_incref(it ? json_object_iter_value(it) : json_array_get(at, i));
        for (size_t o = 0; o < sizeof odd / sizeof *odd; o++) {
            json_t *value = json_loads(odd[o], JSON_DECODE_ANY, NULL);
            assert_non_null(value);
            if (it)
                json_object_set_new(at, key, value);
            else
                json_array_set_new(at, i, value);
            try_all(root, good);
            ++*tries;
        }
        if (it)
            json_object_set(at, key, old);
        else
            json_array_set(at, i, old);
        json_decref(old);
        if (json_is_object(old) || json_is_array(old))
            damage(root, old, good, tries);
    }
}

static void wrong_kinds_everywhere(void **state)
{
    json_t *run = parse(sample_run), *good = parse(sample_run), *verdict;
    size_t tries = 0;
    bool regressed;
    (void)state;
    assert_int_equal(bench_compare(run, good, &verdict, &regressed, NULL), VKA_OK);
    json_object_set_new(run, "comparison", verdict);
    json_object_set_new(good, "comparison", json_deep_copy(verdict));
    damage(run, run, good, &tries);
    assert_true(json_equal(run, good)); /* all was put back */
    assert_true(tries > 1000);
    json_decref(run);
    json_decref(good);
}

static void cut_anywhere(void **state)
{
    json_t *run = parse(sample_run), *back;
    char *lines = capture(as_jsonl, run);
    (void)state;
    for (size_t n = 0; n + 1 < sizeof sample_run - 1; n++) {
        char *copy = malloc(n + 1); /* of its own size, so that reading on is seen */
        assert_non_null(copy);
        memcpy(copy, sample_run, n);
        assert_int_equal(bench_results_parse(copy, n, "cut", &back, NULL), VKA_E_INPUT);
        assert_null(back);
        free(copy);
    }
    for (size_t n = 0; n < strlen(lines); n += 7)
        if (bench_results_parse(lines, n, "cut", &back, NULL) == VKA_OK) {
            try_all(back, run); /* cut between two lines */
            json_decref(back);
        }
    free(lines);
    json_decref(run);
}

/* ---- the table of the README ------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 1 << 16);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

static void readme(void **state)
{
    static const char before[] = "# Head\n\nMarker in a line: " BENCH_README_BEGIN "\n\n" BENCH_README_BEGIN
                                 "\nold\n" BENCH_README_END "\n\nTail\n";
    char folder[] = "/tmp/vkanim-report-XXXXXX", results[64], sub[80], file[100], other[100], text_file[64];
    vka_error err = {0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(results, sizeof results, "%s/results", folder);
    snprintf(sub, sizeof sub, "%s/card", results);
    snprintf(file, sizeof file, "%s/run.json", sub);
    snprintf(other, sizeof other, "%s/registers.json", results);
    snprintf(text_file, sizeof text_file, "%s/README.md", folder);
    assert_true(mkdir(results, 0700) == 0 && mkdir(sub, 0700) == 0);
    write_text(text_file, before);
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_OK); /* an empty folder */
    char *text = read_text(text_file);
    assert_has(text, BENCH_README_BEGIN "\n\nNo clips have been measured yet.\n\n" BENCH_README_END "\n\nTail\n");
    free(text);

    write_text(file, sample_run);
    write_text(other, "{\"command\":\"pipelines\",\"registers\":[]}");
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_OK);
    text = read_text(text_file);
    assert_has(text,
               "# Head\n\nMarker in a line: " BENCH_README_BEGIN "\n\n" BENCH_README_BEGIN "\n\n| device | driver |");
    assert_has(text, "| Card \\<i>1\\</i> \\& \"x\", 'y' \\| z | drv 1.2 | khr | 256 x 256, 8 frames, sd15 | 0.009000 "
                     "(0.009000 to 0.009000) |"
                     " 1.00 GiB | - | 0123456789ab | 2026-11-22 |\n| Card");
    assert_has(text, "| 512 x 512, 16 frames, sd15 | 0.1210 (0.1200 to 0.1220) | 4.00 GiB | 40.0 % of 100 TFLOP/s |");
    assert_has(text, "|\n\n" BENCH_README_END "\n\nTail\n");
    assert_lacks(text, "old");
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_OK); /* twice is the same */
    char *again = read_text(text_file);
    assert_string_equal(text, again);
    free(again);

    write_text(
        other,
        "{\"schema\":1,\"command\":\"bench\",\"device\":{\"name\":\"Other\"},\"rows\":[{\"level\":\"clip\",\"shape\":{"
        "\"width\":8,\"height\":8,\"frames\":1},\"s_per_it\":1,\"void\":\"wrong\"}]}");
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_OK); /* a void clip has no line */
    again = read_text(text_file);
    assert_string_equal(text, again);
    free(again);
    write_text(other, "{\"command\":\"bench\"}"); /* says it is one, and is not: nothing is written */
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_E_INPUT);
    assert_has(err.what, "registers.json");
    again = read_text(text_file);
    assert_string_equal(text, again);
    free(again);
    free(text);
    remove(other);
    write_text(text_file, "no marker\n");
    err = (vka_error){0};
    assert_int_equal(bench_readme_update(text_file, results, &err), VKA_E_INPUT);
    assert_has(err.what, "no place for the table");
    write_text(text_file, BENCH_README_BEGIN "\n" BENCH_README_BEGIN "\n" BENCH_README_END "\n");
    assert_int_equal(bench_readme_update(text_file, results, NULL), VKA_E_INPUT);
    write_text(text_file, BENCH_README_END "\n" BENCH_README_BEGIN "\n");
    assert_int_equal(bench_readme_update(text_file, results, NULL), VKA_E_INPUT);
    assert_int_equal(bench_readme_update(text_file, "/nowhere/at/all", NULL), VKA_E_INPUT);
    remove(file);
    remove(text_file);
    rmdir(sub);
    rmdir(results);
    assert_int_equal(rmdir(folder), 0); /* no part was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(numbers),
        cmocka_unit_test(other_locale),
        cmocka_unit_test(spread_of_clips),
        cmocka_unit_test(skipped_rows),
        cmocka_unit_test(csv),
        cmocka_unit_test(markdown),
        cmocka_unit_test(page),
        cmocka_unit_test(page_letters),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(formats_and_full_disk),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(wrong_kinds_everywhere),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(readme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
