/* test_travel.c - prompts over the frames: every form that people have them in as lines, their texts and shares, blending and
 * expressions against the table of tests/reference/travel.py, and the sentences of what is wrong. */
#include "base/file.h"
#include "base/mem.h"
#include "render/job.h"
#include "render/prompts.h"
#include "text/maths.h"
#include "text/travel.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- lines ---------------------------------------------------------------------------------------------------- */

static void which_travel(void **state)
{
    (void)state;
    static const char *const yes[] = {"0: a",        "head\n8: b",  "0:\n",      "-1: a",        "0.5: a",       "4-9: a",
                                      "8 hold: a",   " 8: a",       "4 - 9: a",  "0.0-0.5: a",   "-4--2: a",     "8 ease-in-out: a",
                                      "a\r\n8:\tb",  "0:"};
    static const char *const no[] = {"",         "a",          "16:9 picture", "a cat 8: b", "1girl: a", "8 fast: a", "(8: b)", "x\n-: a",
                                     "1.5: a",   "-0.5: a",    "-0: a",        "8 a: b",     "2e9: a",   "- 1: a",    "8\n: a"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!vka_travel_is(yes[i]))
            fail_msg("'%s' travels", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (vka_travel_is(no[i]))
            fail_msg("'%s' does not travel", no[i]);
}

/* "text|share|text" of each frame, the same text alone. */
static char *shown(const struct vka_travel *t, uint32_t frame)
{
    uint32_t text[2];
    double share = vka_travel_at(t, frame, text);
    return share > 0 ? vka_asprintf("%s|%.4g|%s", t->texts[text[0]], share, t->texts[text[1]]) : vka_strdup(t->texts[text[0]]);
}

static void right(const char *prompt, uint32_t frames, bool closed, enum vka_ease ease, const char *const *want)
{
    struct vka_travel t;
    vka_error err = {0};
    if (vka_travel_make(&t, "prompt", prompt, frames, closed, ease, &err) != VKA_OK)
        fail_msg("'%s': %s", prompt, err.what);
    for (uint32_t f = 0; f < frames; f++) {
        char *is = shown(&t, f);
        if (!is || strcmp(is, want[f]) != 0)
            fail_msg("'%s', frame %u: '%s', not '%s'", prompt, f, is, want[f]);
        free(is);
    }
    vka_travel_free(&t);
}

#define RIGHT(prompt, frames, closed, ease, ...) right(prompt, frames, closed, ease, (const char *const[]){__VA_ARGS__})

static void texts_and_shares(void **state)
{
    (void)state;
    RIGHT("0: a\n4: b", 5, false, VKA_EASE_LINEAR, "a", "a|0.25|b", "a|0.5|b", "a|0.75|b", "b");
    RIGHT("4: b\n 0:a: c\n0: a", 5, false, VKA_EASE_LINEAR, "a", "a|0.25|b 0:a: c", "a|0.5|b 0:a: c", "a|0.75|b 0:a: c", "b 0:a: c");
    RIGHT("1: a\n2: b", 4, false, VKA_EASE_LINEAR, "a", "a", "b", "b");
    RIGHT("head\n\n more , \n0: a\n2:  b\r\n\ttail\n \nend", 3, false, VKA_EASE_LINEAR, "head, more , , a, tail, end",
          "head, more , , a, tail, end|0.5|head, more , , b, tail, end", "head, more , , b, tail, end");
    RIGHT("head\n0:\n2: b", 3, false, VKA_EASE_HOLD, "head", "head", "head, b");
    RIGHT("0: a\n goes on\n2: b", 3, false, VKA_EASE_HOLD, "a goes on", "a goes on", "b");
    RIGHT("0-2: a\n4: b", 5, false, VKA_EASE_LINEAR, "a", "a", "a", "a|0.5|b", "b");
    RIGHT("0: a\n-1: b", 3, false, VKA_EASE_LINEAR, "a", "a|0.5|b", "b");
    RIGHT("-3: a\n-2--1: b", 3, false, VKA_EASE_LINEAR, "a", "b", "b");
    RIGHT("0.0: a\n1.0: b", 3, false, VKA_EASE_LINEAR, "a", "a|0.5|b", "b");
    RIGHT("0: a\n0.5: b\n-1: c", 4, false, VKA_EASE_LINEAR, "a", "a|0.6667|b", "b|0.3333|c", "c"); /* 0.5 is frame 1.5 */
    RIGHT("0 hold: a\n4: b", 5, false, VKA_EASE_LINEAR, "a", "a", "a", "a", "b");
    RIGHT("0 ease-in: a\n2 ease-out: b\n4: c", 5, false, VKA_EASE_HOLD, "a", "a|0.125|b", "b", "b|0.875|c", "c");
    RIGHT("0 ease-in-out: a\n4: b", 5, false, VKA_EASE_LINEAR, "a", "a|0.0625|b", "a|0.5|b", "a|0.9375|b", "b");
    RIGHT("0: a\n4: b", 5, false, VKA_EASE_IN, "a", "a|0.01562|b", "a|0.125|b", "a|0.4219|b", "b");
    RIGHT("0: a\n2: a\n4: b", 5, false, VKA_EASE_LINEAR, "a", "a", "a", "a|0.5|b", "b");
    /* loops */
    RIGHT("0: a\n2: b", 4, true, VKA_EASE_LINEAR, "a", "a|0.5|b", "b", "b|0.5|a");
    RIGHT("1: a\n2: b", 4, true, VKA_EASE_LINEAR, "b|0.6667|a", "a", "b", "b|0.3333|a");
    RIGHT("1: a\n2 hold: b", 4, true, VKA_EASE_LINEAR, "b", "a", "b", "b");
    RIGHT("2: a", 4, true, VKA_EASE_LINEAR, "a", "a", "a", "a");
    RIGHT("0.00000000000000000001: a\n3: b", 4, true, VKA_EASE_LINEAR, "a", "a|0.3333|b", "a|0.6667|b", "b"); /* as good as at 0 */
    /* expressions, of both texts, for each frame */
    RIGHT("0: (a:`t/4`)\n2: b `max_f` `pw_a`", 3, false, VKA_EASE_LINEAR, "(a:0)", "(a:0.25)|0.5|b 3 0", "b 3 0");
    RIGHT("0: `-0.00000001` `1/3` `-1.50`\n1: c", 2, false, VKA_EASE_LINEAR, "0 0.333333 -1.5", "c");
}

static void wrong_line(const char *prompt, uint32_t frames, const char *what, const char *why)
{
    struct vka_travel t;
    vka_error err = {0};
    vka_status st = vka_travel_make(&t, "prompt", prompt, frames, false, VKA_EASE_LINEAR, &err);
    if (st != VKA_E_USAGE || !strstr(err.what, what) || !strstr(err.why, why))
        fail_msg("'%.60s': %d %s / %s", prompt, st, err.what, err.why);
    assert_null(t.texts);
}

static void wrong_lines(void **state)
{
    (void)state;
    wrong_line("0: a\n16: b", 16, "the prompt for frame 16 lies beyond the end of the clip", "16 frames: 0 to 15, or -16 to -1");
    wrong_line("0: a\n14-16: b", 16, "the prompt for frame 14-16 lies beyond the end", "");
    wrong_line("-17: a\n0: b", 16, "the prompt for frame -17 lies before the beginning", "");
    wrong_line("4: a\n4: b", 16, "two texts of the prompt are for the same frame: those at '4' and at '4'", "");
    wrong_line("-1: a\n15: b", 16, "same frame: those at '-1' and at '15'", "");
    wrong_line("4-9: a\n8 hold: b", 16, "those at '4-9' and at '8 hold'", "");
    wrong_line("0.5: a\n0.50: b", 16, "those at '0.5' and at '0.50'", "");
    wrong_line("9-4: a", 16, "frames 9-4 runs backwards", "");
    wrong_line("a", 16, "no line of the prompt begins with a frame", "");
    wrong_line("0: `1/0`", 16, "the expression `1/0` cannot be worked out", "no finite number");
    wrong_line("0: `2*`", 16, "the expression `2*` cannot be worked out", "a number, a name or a bracket");
    wrong_line("0: (a:`t", 16, "a back quote in the prompt is not closed: '`t'", "");
    wrong_line("0: `1e9`", 16, "more than a million at frame 0", "");
    wrong_line("0: `t`", 2000, "more than 1024 different texts", "");
    struct vka_travel t; /* at the cap it is not refused */
    assert_int_equal(vka_travel_make(&t, "prompt", "0: `t`", 1024, false, VKA_EASE_LINEAR, NULL), VKA_OK);
    assert_int_equal(t.text_count, 1024);
    vka_travel_free(&t);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static void reads(const char *text, const char *prompt, const char *negative, const char *settings)
{
    struct vka_travel_file f;
    vka_error err = {0};
    if (vka_travel_read(&f, text, &err) != VKA_OK)
        fail_msg("'%s': %s", text, err.what);
    char *all = vka_strdup("");
    for (size_t i = 0; i < f.count; i++) {
        char *more = vka_asprintf("%s%s=%s;", all, f.settings[i].name, f.settings[i].value);
        free(all);
        all = more;
    }
    if (strcmp(f.prompt ? f.prompt : "-", prompt) != 0 || strcmp(f.negative ? f.negative : "-", negative) != 0 || strcmp(all, settings) != 0)
        fail_msg("'%s':\n%s\n/ %s / %s", text, f.prompt ? f.prompt : "-", f.negative ? f.negative : "-", all);
    free(all);
    vka_travel_file_free(&f);
}

static void every_form(void **state)
{
    (void)state;
    reads("head\n0: a\n8:b\ntail", "head\n0: a\n8: b\ntail", "-", "");
    reads("8 hold:b", "8 hold: b", "-", "");
    reads("{\"0\": \"a\", \"16\": \"b\"}", "0: a\n16: b", "-", "");
    reads("\"0\": \"a\",\n\"16\": \"b (c:`0.5+0.5*t/max_f`)\",\n", "0: a\n16: b (c:`0.5+0.5*t/max_f`)", "-", "");
    reads("0 = \"a\", 4:9 = 'b', 16: = \"c\"", "0: a\n4-8: b\n16 hold: c", "-", "");
    reads("{0: \"a\", 4-9: \"b\", \"0.5\": \"c\", \"-1\": \"d\", \"12 ease-in\": \"e\"}", "0: a\n4-9: b\n0.5: c\n-1: d\n12 ease-in: e", "-", "");
    reads("{\"0:-1\": \"a\", \"-4:-1\": \"b\", \"3:4\": \"c\", \"3:3\": \"d\", \"0.0:0.5\": \"e\"}", "0--2: a\n-4--2: b\n3: c\n3: d\n0.0-0.5: e", "-", "");
    reads("{\"head\": \"h\", \"tail\": \"t\", \"prompt\": {\"0\": \"a\"}, \"negative\": {\"0\": \"x\", \"8\": \"y\"}, \"cfg\": {\"0\": 4, \"8\": 7.5},"
          " \"motion_scale\": \"0:1, 8:1.2\", \"steps\": 20, \"freenoise\": true}",
          "h\n0: a\nt", "0: x\n8: y", "cfg=0:4, 8:7.5;motion-scale=0:1, 8:1.2;steps=20;freenoise=true;");
    reads("{\"head_prompt\": \"h\", \"prompt_map\": {\"0\": \"a\", \"8\": \"b\"}, \"tail_prompt\": \"t\"}", "h\n0: a\n8: b\nt", "-", "");
    reads("{\"prompt\": \"a\"}", "0: a", "-", "");
    reads("{\"prompt\": \"h\\n0: a\\n8: b\", \"negative\": \"x\"}", "h\n0: a\n8: b", "0: x", "");
    reads("{\"0\": \"a --neg x\", \"8\": \"b--neg c\", \"9\": \"--neg y\"}", "0: a\n8: b--neg c\n9: ", "0: x\n9: y", "");
    reads("0: a --neg x\n8: b", "0: a\n8: b", "0: x", "");
    reads("{\"0\": \"`pw_a*2` pw_a `pw_d`\", \"pw_a\": 0.5}", "0: `(0.5)*2` pw_a `pw_d`", "-", "");
    reads("{\"0\": \"\\u00e9\\ud83d\\ude00 \\\"q\\\" \\(b\\) \\\\(c\\\\)\\na\tb\"}", "0: \xc3\xa9\xf0\x9f\x98\x80 \"q\" \\(b\\) \\(c\\) a\tb", "-", "");
    reads("{\"cfg\": 4}", "-", "-", "cfg=4;");
    assert_true(vka_travel_is_text("{}"));
    assert_true(vka_travel_is_text(" \"0\": \"a\""));
    assert_true(vka_travel_is_text("a\nb"));
    assert_true(vka_travel_is_text("0: a"));
    assert_false(vka_travel_is_text("day-night.txt"));
    assert_false(vka_travel_is_text("C:/day.json"));
}

static void wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } wrong[] = {
        {"", "the travel has no prompts"},
        {"  \n", "the travel has no prompts"},
        {"{}", "the travel has no prompts"},
        {"a\nb", "the travel has no prompts"},
        {"{\"0\": \"a\"", "a brace is not closed"},
        {"{\"0\": \"a", "a text is not closed"},
        {"{\"0\" \"a\"}", "a colon is missing"},
        {"{\"0\": \"a\" \"8\": \"b\"}", "a comma is missing"},
        {"{\"0\": \"a\",\n \"0\": \"b\"}", "line 2 of the travel cannot be read: a name stands there twice"},
        {"{\"0\": \"a\"} x", "something stands behind its end"},
        {"{\"0\": [1]}", "there are no lists"},
        {"{\"0\": }", "a value is missing"},
        {"{\"0\": 5}", "frame '0' of the travel has no text in quotes"},
        {"{\"prompt\": {\"x\": \"a\"}}", "'x' in the travel is no frame with a text"},
        {"{\"cfg\": {\"x\": 1}}", "'x' of 'cfg' in the travel is no frame with a number"},
        {"{\"head\": {\"0\": \"a\"}, \"0\": \"b\"}", "'head' in the travel is not one text"},
        {"{\"head\": \"0: a\", \"0\": \"b\"}", "'head' in the travel is not one text"},
        {"{\"0\": \"\\ud800\"}", "stands for no character"},
        {"{\"pw_a\": \"x\", \"0\": \"b\"}", "'pw_a' in the travel is not a number"},
        {"{a:{b:{c:{d:{e:1}}}}}", "too deep"},
        {"{a}", "a name and a colon are wanted"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct vka_travel_file f;
        vka_error err = {0};
        vka_status st = vka_travel_read(&f, wrong[i].text, &err);
        if (st != VKA_E_USAGE || !strstr(err.what, wrong[i].what))
            fail_msg("'%s': %d %s", wrong[i].text, st, err.what);
        assert_null(f.prompt);
    }
}

/* ---- against the table ------------------------------------------------------------------------------------------ */

static void frame_line(char *line)
{
    unsigned frames, loop, at, want[2];
    char keys[400], lines[600] = "", share[40];
    assert_int_equal(sscanf(line, "frame %u %u %399s %u %u %u %39s", &frames, &loop, keys, &at, &want[0], &want[1], share), 7);
    unsigned count = 0;
    for (char *k = strtok(keys, ","); k; k = strtok(NULL, ","), count++) {
        unsigned first, last;
        char ease[20];
        size_t n = strlen(lines);
        assert_int_equal(sscanf(k, "%u:%u:%19s", &first, &last, ease), 3);
        snprintf(lines + n, sizeof lines - n, "%u-%u %s: text %u\n", first, last, ease, count);
    }
    struct vka_travel t;
    uint32_t text[2];
    assert_int_equal(vka_travel_make(&t, "prompt", lines, frames, loop, VKA_EASE_LINEAR, NULL), VKA_OK);
    double is = vka_travel_at(&t, at, text);
    if (text[0] != want[0] || text[1] != want[1] || !(fabs(is - strtod(share, NULL)) < 1e-14))
        fail_msg("%s: %u %u %.17g", line, text[0], text[1], is);
    vka_travel_free(&t);
}

static void blend_line(char *line)
{
    char kind[8];
    double share, v[12];
    assert_int_equal(sscanf(line, "blend %7s %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", kind, &share, v, v + 1, v + 2, v + 3, v + 4,
                            v + 5, v + 6, v + 7, v + 8, v + 9, v + 10, v + 11),
                     14);
    float a[4], b[4], out[4];
    for (int i = 0; i < 4; i++) {
        a[i] = (float)v[i];
        b[i] = (float)v[4 + i];
    }
    vka_prompts_blend(a, b, share, !strcmp(kind, "slerp"), 4, out);
    for (int i = 0; i < 4; i++)
        if (!(fabs((double)out[i] - v[8 + i]) <= 2e-7 * (1 + fabs(v[8 + i]))))
            fail_msg("%s: %d: %.9g", line, i, (double)out[i]);
}

static void maths_line(char *line)
{
    char text[200], number[40];
    assert_int_equal(sscanf(line, "maths %199s %39s", text, number), 2);
    for (char *c = text; *c; c++)
        if (*c == '_' && (c == text || !strchr("xw", c[-1])))
            *c = ' ';
    const struct vka_maths_value values[] = {{"t", 5}, {"max_f", 16}, {"pw_a", 0.25}};
    double v, want = strtod(number, NULL);
    vka_error err = {0};
    if (vka_maths_evaluate(text, strlen(text), values, 3, &v, &err) != VKA_OK)
        fail_msg("%s: %s", text, err.why);
    if (!(fabs(v - want) <= 1e-15 * (1 + fabs(want))))
        fail_msg("%s: %.17g", line, v);
}

static void as_the_reference(void **state)
{
    (void)state;
    char *data;
    size_t size, lines[3] = {0};
    assert_int_equal(vka_read_file(VKA_TEST_DATA "/unit/travel/table.txt", 1 << 20, &data, &size, NULL), VKA_OK);
    for (char *p = data, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
        *end = '\0';
        int which = *p == 'f' ? 0 : *p == 'b' ? 1 : 2;
        (which == 0 ? frame_line : which == 1 ? blend_line : maths_line)(p);
        lines[which]++;
    }
    assert_true(lines[0] > 200 && lines[1] == 44 && lines[2] == 30);
    free(data);
}

static void wrong_maths(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "1+", "(1", "1)", "sin", "sin 1", "sin(1", "min(1)", "pow(1)", "pow(1,2,3)", "frames", "2x", "1 2",
                                        "0/0", "log(0)", "sqrt(-1)", "5%0", "1e400", "__", "t()", "*2", "2 ** ", ","};
    const struct vka_maths_value values[] = {{"t", 5}};
    double v;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vka_maths_evaluate(wrong[i], strlen(wrong[i]), values, 1, &v, NULL) != VKA_E_USAGE)
            fail_msg("'%s' is %g", wrong[i], v);
    char deep[300];
    memset(deep, '(', 299);
    deep[299] = '\0';
    assert_int_equal(vka_maths_evaluate(deep, 299, NULL, 0, &v, NULL), VKA_E_USAGE);
    memset(deep, '-', 299);
    assert_int_equal(vka_maths_evaluate(deep, 299, NULL, 0, &v, NULL), VKA_E_USAGE);
    memset(deep, '(', 60);
    deep[60] = '1';
    memset(deep + 61, ')', 60);
    assert_int_equal(vka_maths_evaluate(deep, 121, NULL, 0, &v, NULL), VKA_OK);
    char *longest = calloc(VKA_MATHS_MAX + 2, 1);
    memset(longest, '1', VKA_MATHS_MAX + 1);
    assert_int_equal(vka_maths_evaluate(longest, VKA_MATHS_MAX + 1, NULL, 0, &v, NULL), VKA_E_USAGE);
    free(longest);
}

/* ---- jobs ------------------------------------------------------------------------------------------------------- */

/* What --travel makes of a job given as "option", "value", ... */
static vka_status job_of(const char *const *options, struct vka_job **own, vka_error *err)
{
    vka_job *job = vka_job_create();
    vka_error_clear(err);
    for (; *options; options += 2)
        if (vka_job_set(job, options[0], options[1], err) != VKA_OK)
            fail_msg("--%s %s: %s", options[0], options[1], err->what);
    vka_status st = vka_job_travel(job, own, err);
    vka_job_destroy(&job);
    return st;
}

#define JOB(...) job_of((const char *const[]){__VA_ARGS__, NULL}, &own, &err)

static void jobs(void **state)
{
    (void)state;
    struct vka_job *own;
    vka_error err = {0};
    assert_int_equal(JOB("prompt", "0: a"), VKA_OK);
    assert_null(own);
    assert_int_equal(JOB("travel", "0: a\n8: b"), VKA_OK);
    assert_string_equal(own->prompt, "0: a\n8: b");
    assert_null(own->travel);
    assert_true(vka_job_has(own, "prompt") && !vka_job_has(own, "travel"));
    vka_job_destroy(&own);
    assert_int_equal(JOB("prompt", "best", "negative", "bad", "cfg", "3", "travel",
                         "{\"0\":\"a\",\"negative\":{\"4\":\"x\"},\"cfg\":9,\"steps\":7,\"motion-scale\":{\"0\":1,\"8\":2}}"),
                     VKA_OK);
    assert_string_equal(own->prompt, "best\n0: a");
    assert_string_equal(own->negative, "bad\n4: x");
    assert_string_equal(own->motion_scale, "0:1, 8:2");
    assert_true(own->steps == 7 && fabs(own->cfg - 3) < 1e-9); /* given wins */
    vka_job_destroy(&own);
    assert_int_equal(JOB("travel", "{\"0\":\"a\",\"cfg\":{\"0\":9,\"4\":3}}"), VKA_OK);
    assert_string_equal(own->cfg_frames, "0:9, 4:3");
    vka_job_destroy(&own);
    assert_int_equal(JOB("prompt", "0: a", "travel", "0: b"), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "--travel and --prompt both say"));
    assert_int_equal(JOB("travel", "{\"0\":\"a\",\"output\":\"x.webp\"}"), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "'output' in the travel is no setting of a clip"));
    assert_int_equal(JOB("travel", "{\"0\":\"a\",\"flavour\":1}"), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "'flavour' in the travel is no setting"));
    assert_int_equal(JOB("travel", "{\"0\":\"a\",\"steps\":0}"), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "--steps 0 is out of range"));
    assert_int_equal(JOB("travel", "nowhere/at-all.txt"), VKA_E_INPUT);
    assert_null(own);
    assert_int_equal(vka_write_file("test_travel.tmp", "\xef\xbb\xbf" "0: a\r\n8: b\r\n", 15, &err), VKA_OK);
    assert_int_equal(JOB("travel", "test_travel.tmp"), VKA_OK);
    assert_string_equal(own->prompt, "0: a\n8: b");
    vka_job_destroy(&own);
    assert_int_equal(vka_write_file("test_travel.tmp", "{\"0\":", 5, &err), VKA_OK);
    assert_int_equal(JOB("travel", "test_travel.tmp"), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "'test_travel.tmp': line 1 of the travel cannot be read"));
    assert_int_equal(vka_write_file("test_travel.tmp", "0: \xff\n", 5, &err), VKA_OK);
    assert_int_equal(JOB("travel", "test_travel.tmp"), VKA_E_INPUT);
    assert_int_equal(vka_write_file("test_travel.tmp", "", 0, &err), VKA_OK);
    assert_int_equal(JOB("travel", "test_travel.tmp"), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "has no prompts"));
    remove("test_travel.tmp");
}

static void any_locale(void **state)
{
    (void)state;
    struct vka_travel t;
    uint32_t text[2];
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) /* where it is installed */
        setlocale(LC_NUMERIC, "");
    assert_int_equal(vka_travel_make(&t, "prompt", "0.5: (a:`t/4+0.1`)", 2, false, VKA_EASE_LINEAR, NULL), VKA_OK);
    vka_travel_at(&t, 1, text);
    assert_string_equal(t.texts[text[0]], "(a:0.35)");
    vka_travel_free(&t);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_travel), cmocka_unit_test(texts_and_shares), cmocka_unit_test(wrong_lines),
        cmocka_unit_test(every_form),   cmocka_unit_test(wrong_files),      cmocka_unit_test(as_the_reference),
        cmocka_unit_test(wrong_maths),  cmocka_unit_test(jobs),             cmocka_unit_test(any_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
