/* test_options.c - the option table against the contract, values as text, jobs as JSON.  No device, no model. */
#include "media/media.h"
#include "render/job.h"
#include "render/options.h"
#include "sample/sample.h"
#include "sample/noise_kind.h"
#include "sample/windows.h"
#include "weights/inspect.h"

#include <jansson.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four headers above first */
#include <cmocka.h>

#include "base/rng.h"

static bool none_set(const vka_job *job)
{
    static const struct vka_option_set nothing;
    return memcmp(&job->set, &nothing, sizeof nothing) == 0;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

/* The outside contract: name, letter, whether it takes a value, whether it may be repeated. */
static const struct {
    const char *name;
    char letter;
    bool value, list;
} contract[] = {
    {"prompt", 'p', true, false},     {"negative", 'n', true, false},    {"model", 'm', true, false},
    {"motion", 0, true, false},       {"vae", 0, true, false},           {"lora", 0, true, true},
    {"motion-lora", 0, true, true},   {"embedding", 0, true, true},      {"width", 'W', true, false},
    {"height", 'H', true, false},     {"frames", 'f', true, false},      {"fps", 0, true, false},
    {"seed", 's', true, false},       {"count", 0, true, false},         {"rng", 0, true, false},
    {"context-length", 0, true, false},   {"context-stride", 0, true, false}, {"context-overlap", 0, true, false},
    {"context-schedule", 0, true, false}, {"context-merge", 0, true, false},
    {"noise-layout", 0, true, false}, {"steps", 0, true, false},         {"cfg", 0, true, false},
    {"sampler", 0, true, false},      {"schedule", 0, true, false},      {"beta", 0, true, false},
    {"norm", 0, true, false},         {"precision", 0, true, false},     {"clip-skip", 0, true, false},
    {"output", 'o', true, true},      {"overwrite", 0, false, false},    {"no-overwrite", 0, false, false},
    {"device", 'd', true, false},     {"path", 0, true, false},          {"vram", 0, true, false},
    {"tokenizer", 0, true, false},    {"step-noise", 0, true, false},    {"trace", 0, true, false},
    {"noise", 0, true, false},        {"embeds", 0, true, false},        {"json", 0, false, false},
    {"progress", 0, true, false},     {"quiet", 'q', false, false},      {"verbose", 'v', false, false},
    {"verify", 0, true, false},       {"job", 0, true, false},           {"from", 0, true, false},
    {"dry-run", 0, false, false},     {"device-memory", 0, true, false}, {"in", 0, true, false},
    {"out", 0, true, false},          {"motion-scale", 0, true, false},  {"motion-effect", 0, true, false},
    {"help", 'h', false, false},      {"version", 0, false, false},
    /* beyond the contract's first list */
    {"prompt-syntax", 0, true, false}, {"pad-prompt", 0, true, false},   {"comma-padding", 0, true, false},
    {"wildcards", 0, true, false},    {"motion-family", 0, true, false}, {"cfg-schedule", 0, true, false},
    {"cfg-rescale", 0, true, false},  {"pag", 0, true, false},           {"eta", 0, true, false},
    {"original-steps", 0, true, false}, {"subseed", 0, true, false},     {"subseed-strength", 0, true, false},
    {"plays", 0, true, false},        {"ping-pong", 0, false, false},    {"quality", 0, true, false},
    {"kind", 0, true, false},         {"hash", 0, false, false},         {"forget", 0, false, false},
    {"lossless", 0, false, false},    {"colors", 0, true, false},        {"dither", 0, true, false},
    {"travel", 0, true, false}, {"travel-blend", 0, true, false}, {"travel-ease", 0, true, false},
    {"lora-frames", 0, true, true}, {"loop", 0, true, false}, {"noise-kind", 0, true, false},
    {"freenoise", 0, false, false}, {"freeinit", 0, true, false}, {"freeinit-filter", 0, true, false},
    {"freeinit-cutoff", 0, true, false}, {"freeinit-order", 0, true, false}, {"freeinit-fast", 0, false, false},
    {"hires", 0, true, false}, {"hires-upscaler", 0, true, false}, {"hires-steps", 0, true, false},
    {"init", 0, true, false}, {"init-last", 0, true, false}, {"keyframe", 0, true, true},
    {"init-video", 0, true, false}, {"video-fps", 0, true, false}, {"video-start", 0, true, false},
    {"video-stride", 0, true, false}, {"resize", 0, true, false}, {"strength", 0, true, false},
    {"latent-power", 0, true, false}, {"latent-scale", 0, true, false}, {"latent-power-last", 0, true, false},
    {"latent-scale-last", 0, true, false}, {"hold", 0, true, false}, {"mask", 0, true, false},
    {"control", 0, true, true}, {"save-hints", 0, true, false}, {"ip-adapter", 0, true, true},
    {"vision", 0, true, false}, {"cfg-frames", 0, true, false}, {"interpolate", 0, true, false},
    {"listen", 0, true, false}, {"port", 0, true, false}, {"token-file", 0, true, false},
    {"results", 0, true, false}, {"queue", 0, true, false}, {"upload-limit", 0, true, false},
};

static void table_is_the_contract(void **state)
{
    (void)state;
    size_t count, want = sizeof contract / sizeof *contract;
    const vka_option *options = vka_options(&count);
    assert_int_equal(count, want);
    for (size_t i = 0; i < want; i++) {
        const vka_option *o = vka_option_find(contract[i].name);
        if (!o)
            fail_msg("--%s is not in the table", contract[i].name);
        assert_int_equal(o->letter, contract[i].letter);
        assert_int_equal(o->kind != VKA_OPTION_FLAG, contract[i].value);
        assert_int_equal(o->kind == VKA_OPTION_LIST, contract[i].list);
    }
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        assert_true(o->name && o->group && o->help && o->commands);
        assert_int_equal(o->kind != VKA_OPTION_FLAG, o->value != NULL);
        assert_int_equal(o->kind == VKA_OPTION_CHOICE, o->choices != NULL);
        assert_int_equal(o->help[strlen(o->help) - 1], '.');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(o->name, options[j].name);
            assert_false(o->letter && o->letter == options[j].letter);
        }
        /* a group's rows stand together, since a heading is printed where the group changes */
        for (size_t j = i + 1; j < count && strcmp(o->group, options[i + 1].group) != 0; j++)
            assert_string_not_equal(o->group, options[j].group);
    }
}

/* "a b | c": the words, in order, `built` for those before the bar. */
static size_t words_of(const char *choices, char words[32][32], bool built[32])
{
    size_t n = 0;
    bool before = true;
    for (const char *p = choices; *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        if (length == 1 && *p == '|')
            before = false;
        else {
            assert_in_range(n, 0, 31);
            assert_in_range(length, 1, 31);
            memcpy(words[n], p, length);
            words[n][length] = '\0';
            built[n++] = before;
        }
        p += length;
    }
    return n;
}

static void choices_are_what_the_rooms_know(void **state)
{
    (void)state;
    char words[32][32];
    bool built[32], other;
    const char *name;
    size_t n = words_of(vka_option_find("sampler")->choices, words, built), i;
    for (i = 0; (name = vka_sampler_list((uint32_t)i, &other)); i++) {
        assert_in_range(i, 0, n - 1);
        assert_string_equal(words[i], name);
        assert_int_equal(built[i], other);
    }
    assert_int_equal(i, n);
    n = words_of(vka_option_find("schedule")->choices, words, built);
    for (i = 0; (name = vka_schedule_list((uint32_t)i, &other)); i++) {
        assert_in_range(i, 0, n - 1);
        assert_string_equal(words[i], name);
        assert_int_equal(built[i], other);
    }
    assert_int_equal(i, n);
    vka_window_schedule schedule;
    vka_window_merge merge;
    vka_loop loop;
    vka_noise_kind noise;
    vka_error err = {0};
    n = words_of(vka_option_find("context-schedule")->choices, words, built);
    for (i = 0; i < n; i++)
        assert_int_equal(vka_window_schedule_from_name(words[i], &schedule, &err), VKA_OK);
    n = words_of(vka_option_find("context-merge")->choices, words, built);
    for (i = 0; i < n; i++)
        assert_int_equal(vka_window_merge_from_name(words[i], &merge, &err), VKA_OK);
    n = words_of(vka_option_find("loop")->choices, words, built);
    for (i = 0; i < n; i++)
        assert_int_equal(vka_loop_from_name(words[i], &loop, &err), VKA_OK);
    n = words_of(vka_option_find("noise-kind")->choices, words, built);
    for (i = 0; i < n; i++)
        assert_int_equal(vka_noise_kind_from_name(words[i], &noise, &err), VKA_OK);
    n = words_of(vka_option_find("rng")->choices, words, built);
    vka_rng_kind kind;
    for (i = 0; i < n; i++)
        assert_true(vka_rng_kind_from_name(words[i], &kind));
    n = words_of(vka_option_find("noise-layout")->choices, words, built);
    vka_noise_layout layout;
    for (i = 0; i < n; i++)
        assert_true(vka_noise_layout_from_name(words[i], &layout));
    n = words_of(vka_option_find("kind")->choices, words, built);
    for (int kind_of = 0; kind_of < VKA_FILE_KINDS; kind_of++) {
        for (i = 0; i < n && strcmp(words[i], vka_file_kind_name((enum vka_file_kind)kind_of)) != 0; i++)
            continue;
        assert_in_range(i, 0, n - 1);
    }
}

/* A program that lets strangers choose options (a server) goes by the mark: what is missing here would let them name any file of
 * the machine.  Every path has it, and every other option whose value's name in --help tells of one. */
static void files_are_marked(void **state)
{
    (void)state;
    static const char *const words[] = {"PATH", "FILE", "FOLDER", "DIR", "PATTERN", "IMAGE"};
    static const char *const lists[] = {"lora", "motion-lora", "embedding", "keyframe", "control", "ip-adapter", "output", "travel"};
    size_t count, marked = 0;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        bool tells = o->kind == VKA_OPTION_PATH || strcmp(o->name, "lora-frames") == 0;
        for (size_t w = 0; o->value && w < sizeof words / sizeof *words; w++)
            tells = tells || strstr(o->value, words[w]);
        if (tells != ((o->marks & VKA_MARK_FILES) != 0))
            fail_msg("--%s: %s", o->name, tells ? "is not marked as one that may name files" : "is marked, and names no files");
        marked += tells;
    }
    assert_in_range(marked, 28, count);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        assert_true(vka_option_find(lists[i])->marks & VKA_MARK_FILES);
}

/* Setting each option must arrive in the job, and nowhere else; defaults must be what the table says. */
static void every_option_has_a_field(void **state)
{
    (void)state;
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (o->marks & (VKA_MARK_COMMAND | VKA_MARK_LATER))
            continue;
        vka_job *job = vka_job_create();
        assert_non_null(job);
        assert_false(vka_job_has(job, o->name));
        const char *value = strcmp(o->name, "beta") == 0     ? "linear"
                            : strcmp(o->name, "verify") == 0 ? "0123456789abcdef0123456789abcdef"
                                                               "0123456789abcdef0123456789abcdef"
                            : o->kind == VKA_OPTION_FLAG     ? "true"
                            : o->kind == VKA_OPTION_CHOICE   ? NULL
                            : o->kind == VKA_OPTION_SIZE     ? "12345"
                            : o->most > 0 && o->most < 3     ? "1"
                                                             : "3";
        char first[32];
        if (o->kind == VKA_OPTION_INT && o->least > 3) {
            snprintf(first, sizeof first, "%.0f", o->least);
            value = first;
        }
        if (o->kind == VKA_OPTION_CHOICE) {
            snprintf(first, sizeof first, "%.*s", (int)strcspn(o->choices, " "), o->choices);
            value = first;
        }
        vka_error err = {0};
        if (vka_job_set(job, o->name, value, &err) != VKA_OK)
            fail_msg("%s", err.what);
        assert_true(vka_job_has(job, o->name));
        char *text = vka_job_write(job);
        json_t *object = json_loads(text, 0, NULL);
        assert_int_equal(json_object_size(object), 1);
        json_t *written = json_object_get(object, o->name);
        assert_non_null(written);
        if (json_is_integer(written))
            assert_int_equal(json_integer_value(written), o->kind == VKA_OPTION_SIZE ? 12345 : o->least > 3 ? (int)o->least : 3);
        else if (json_is_real(written))
            assert_true(json_real_value(written) == strtod(value, NULL));
        else if (json_is_boolean(written))
            assert_true(json_is_true(written));
        else
            assert_string_equal(json_string_value(json_is_array(written) ? json_array_get(written, 0) : written),
                                value);
        json_decref(object);
        free(text);
        vka_job_destroy(&job);
        assert_null(job);
    }
}

static void defaults(void **state)
{
    (void)state;
    vka_job *job = vka_job_create();
    assert_string_equal(job->prompt, "");
    assert_string_equal(job->negative, "");
    assert_string_equal(job->sampler, "ddim");
    assert_string_equal(job->schedule, "auto");
    assert_string_equal(job->beta, "auto");
    assert_string_equal(job->rng, "torch-cpu");
    assert_string_equal(job->noise_layout, "5d");
    assert_string_equal(job->norm, "auto");
    assert_string_equal(job->path, "auto");
    assert_null(job->model);
    assert_null(job->precision);
    assert_int_equal(job->seed, -1);
    assert_int_equal(job->frames, 16);
    assert_int_equal(job->width, 0);
    assert_int_equal(job->clip_skip, 1);
    assert_true(job->cfg == 7.5 && job->fps == 8.0);
    assert_true(none_set(job));
    char *text = vka_job_write(job);
    assert_string_equal(text, "{}");
    free(text);
    vka_job_destroy(&job);
    vka_job_destroy(&job);
    vka_job_destroy(NULL);
}

/* ---- values as text ----------------------------------------------------------------------------------------- */

static void ints(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(vka_parse_int("0", &v) && v == 0);
    assert_true(vka_parse_int("-1", &v) && v == -1);
    assert_true(vka_parse_int("+12", &v) && v == 12);
    assert_true(vka_parse_int("007", &v) && v == 7);
    assert_true(vka_parse_int("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(vka_parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    v = 7;
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "--1",
                                      "1,000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vka_parse_int(bad[i], &v) || v != 7)
            fail_msg("'%s' was taken for a whole number", bad[i]);
}

static void reals(void **state)
{
    (void)state;
    double v = 7;
    assert_true(vka_parse_whole_real("7.5", &v) && v == 7.5);
    assert_true(vka_parse_whole_real("-.5", &v) && v == -0.5);
    assert_true(vka_parse_whole_real("5.", &v) && v == 5);
    assert_true(vka_parse_whole_real("1e-3", &v) && v == 1e-3);
    assert_true(vka_parse_whole_real("0.00085", &v) && v == 0.00085);
    assert_true(vka_parse_whole_real("23.976", &v) && v == 23.976);
    v = 7;
    static const char *const bad[] = {"",    ".",     "-",     "1,5",   "1.5x", " 1", "nan",
                                      "inf", "1e999", "0x1p3", "1.2.3", "1e",   "e5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vka_parse_whole_real(bad[i], &v) || v != 7)
            fail_msg("'%s' was taken for a number", bad[i]);
}

static void sizes(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(vka_parse_size("1", &v) && v == 1);
    assert_true(vka_parse_size("512M", &v) && v == UINT64_C(512) << 20);
    assert_true(vka_parse_size("6G", &v) && v == UINT64_C(6) << 30);
    assert_true(vka_parse_size("6g", &v) && v == UINT64_C(6) << 30);
    assert_true(vka_parse_size("6GiB", &v) && v == UINT64_C(6) << 30);
    assert_true(vka_parse_size("1.5k", &v) && v == 1536);
    assert_true(vka_parse_size("2T", &v) && v == UINT64_C(2) << 40);
    assert_true(vka_parse_size("9007199254740993", &v) && v == UINT64_C(9007199254740993));
    v = 7;
    static const char *const bad[] = {"",    "0",   "-1",  "+1",        "6GB",      "6B",
                                      "G",   "6 G", "6Gi", "6P",        "1e30",     "9223372036854775808",
                                      "0.5", "nan", "6G ", "10000000T", "6\xc4\xa0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vka_parse_size(bad[i], &v) || v != 7)
            fail_msg("'%s' was taken for a size", bad[i]);
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc3",      "\xc0\xaf",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xe2\x82",  "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "a\xe2(\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(vka_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(vka_is_utf8(bad[i]));
}

/* ---- refusals ------------------------------------------------------------------------------------------------- */

static void refused(const char *name, const char *value, const char *word)
{
    vka_job *job = vka_job_create();
    vka_error err = {0};
    vka_status status = vka_job_set(job, name, value, &err);
    if (status != VKA_E_USAGE || err.status != VKA_E_USAGE || !strstr(err.what, word))
        fail_msg("--%s '%s': status %d, '%s' lacks '%s'", name, value ? value : "(null)", (int)status, err.what, word);
    assert_true(none_set(job));
    vka_job_destroy(&job);
}

static void bad_values(void **state)
{
    (void)state;
    refused("frames", "0", "--frames 0");
    refused("frames", "many", "whole number");
    refused("frames", NULL, "wants a value");
    refused("seed", "-2", "--seed -2");
    refused("steps", "1001", "out of range");
    refused("cfg", "1,5", "--cfg");
    refused("cfg", "-0.1", "out of range");
    refused("fps", "0", "--fps");
    refused("vram", "lots", "--vram");
    refused("overwrite", "maybe", "--overwrite");
    refused("output", "", "--output");
    refused("model", "", "--model");
    refused("device", "", "--device");
    refused("prompt", "\xff", "UTF-8");
    refused("cfg", "\xff", "UTF-8");
    refused("sampler", "", "--sampler");
    refused("sampler", "DDIM", "does not know 'DDIM'");
    refused("sampler", "|", "does not know");
    refused("sampler", "ddim euler", "does not know");
    refused("schedule", "karass", "does not know 'karass'");
    refused("eta", "-0.1", "out of range");
    refused("original-steps", "0", "--original-steps 0");
    refused("path", "cuda", "does not know 'cuda'");
    refused("motion-scale", "fast", "--motion-scale does not understand 'fast'");
    refused("motion-scale", "0:1,0:2", "--motion-scale does not understand");
    refused("motion-scale", "10.5", "a value of --motion-scale is out of range");
    refused("motion-effect", "", "--motion-effect does not understand");
    refused("motion-effect", "0:1, 8:-1", "a value of --motion-effect is out of range");
    refused("motion-family", "sdxl-beta", "--motion-family does not know 'sdxl-beta'");
    refused("beta", "cosine", "cosine");
    refused("beta", "squaredcos_cap_v2:0.1:0.2", "squaredcos_cap_v2");
    refused("beta", "linear:0.1", "--beta");
    refused("beta", "linear:0.1:2", "--beta");
    refused("beta", "linear:0.2:0.1", "--beta");
    refused("beta", "linear:0.1:0.2:0.3", "--beta");
    refused("beta", "auto:0.1:0.2", "auto");
    refused("beta", "", "");
    refused("verify", "abc", "--verify");
    refused("json", "true", "option of the command");
    refused("stepz", "5", "unknown option 'stepz'");
    refused("", "5", "unknown option");
}

static void hints(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_job *job = vka_job_create();
    vka_job_set(job, "stepz", "5", &err);
    assert_non_null(strstr(err.hint, "steps"));
    vka_error_clear(&err);
    vka_job_set(job, "sampler", "huen", &err);
    assert_non_null(strstr(err.hint, "ddim euler euler-a heun"));
    vka_error_clear(&err);
    vka_job_set(job, "context-schedule", "looped", &err);
    assert_non_null(strstr(err.hint, "uniform-standard uniform static"));
    assert_string_equal(vka_option_nearest("widht")->name, "width");
    assert_string_equal(vka_option_nearest("neg")->name, "negative");
    assert_null(vka_option_nearest("negativ-prompt"));
    assert_null(vka_option_nearest("x"));
    assert_null(vka_option_nearest("foo"));
    assert_null(vka_option_nearest(""));
    assert_string_equal(vka_option_nearest("loras")->name, "lora");
    vka_job_destroy(&job);
    vka_job_set(NULL, "steps", "5", NULL);
}

static void beta(void **state)
{
    (void)state;
    bool is_auto;
    vka_beta_kind kind = VKA_BETA_LINEAR;
    double start, end;
    assert_int_equal(vka_beta_parse("auto", &is_auto, &kind, &start, &end, NULL), VKA_OK);
    assert_true(is_auto);
    assert_int_equal(vka_beta_parse("scaled_linear", &is_auto, &kind, &start, &end, NULL), VKA_OK);
    assert_true(!is_auto && kind == VKA_BETA_SCALED_LINEAR && start == 0 && end == 0);
    assert_int_equal(vka_beta_parse("linear:0.00085:0.012", &is_auto, &kind, &start, &end, NULL), VKA_OK);
    assert_true(!is_auto && kind == VKA_BETA_LINEAR && start == 0.00085 && end == 0.012);
}

/* ---- jobs as JSON --------------------------------------------------------------------------------------------- */

static vka_status read_job(vka_job *job, const char *json, vka_error *err)
{
    return vka_job_read(job, json, strlen(json), err);
}

static void json_in(void **state)
{
    (void)state;
    vka_job *job = vka_job_create();
    vka_error err = {0};
    if (read_job(
            job,
            "{\"prompt\":\"\xc3\xa4 "
            "\\\"b\\\"\",\"steps\":20,\"cfg\":4,\"fps\":12.5,\"vram\":\"6G\",\"device-memory\":123,"
            "\"output\":[\"a.webp\",\"b.gif\"],\"overwrite\":true,\"seed\":\"5\",\"json\":true,\"progress\":\"none\"}",
            &err) != VKA_OK)
        fail_msg("%s", err.what);
    assert_string_equal(job->prompt, "\xc3\xa4 \"b\"");
    assert_int_equal(job->steps, 20);
    assert_true(job->cfg == 4.0 && job->fps == 12.5);
    assert_true(job->vram == UINT64_C(6) << 30 && job->device_memory == 123);
    assert_int_equal(job->output.count, 2);
    assert_string_equal(job->output.items[1], "b.gif");
    assert_true(job->overwrite && !job->no_overwrite);
    assert_int_equal(job->seed, 5);
    assert_true(vka_job_has(job, "steps") && !vka_job_has(job, "frames"));

    /* the command line's list replaces the file's, then appends */
    vka_job_set(job, "output", "c.webp", &err);
    vka_job_set(job, "output", "d.webp", &err);
    assert_int_equal(job->output.count, 2);
    assert_string_equal(job->output.items[0], "c.webp");
    vka_job_set(job, "no-overwrite", NULL, &err);
    assert_true(!job->overwrite && job->no_overwrite);

    /* a second file replaces the list too, and an empty one empties it */
    assert_int_equal(read_job(job, "{\"output\":\"e.webp\"}", &err), VKA_OK);
    assert_int_equal(job->output.count, 1);
    assert_int_equal(read_job(job, "{\"output\":[]}", &err), VKA_OK);
    assert_int_equal(job->output.count, 0);
    assert_false(vka_job_has(job, "output"));
    vka_job_destroy(&job);
}

static void json_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        vka_status status;
        const char *word;
    } bad[] = {
        {"", VKA_E_INPUT, "not a JSON object"},
        {"[]", VKA_E_INPUT, "not a JSON object"},
        {"{\"steps\":20", VKA_E_INPUT, "not a JSON object"},
        {"{\"steps\":20}x", VKA_E_INPUT, "not a JSON object"},
        {"{\"steps\":20,\"steps\":21}", VKA_E_INPUT, "not a JSON object"},
        {"{\"prompt\":\"\\u0000\"}", VKA_E_INPUT, "not a JSON object"},
        {"{\"stepz\":20}", VKA_E_USAGE, "stepz"},
        {"{\"p\":\"short names are not keys\"}", VKA_E_USAGE, "unknown option 'p'"},
        {"{\"steps\":20.5}", VKA_E_USAGE, "--steps"},
        {"{\"steps\":0}", VKA_E_USAGE, "--steps 0"},
        {"{\"steps\":null}", VKA_E_USAGE, "--steps"},
        {"{\"steps\":[20]}", VKA_E_USAGE, "--steps"},
        {"{\"cfg\":1e9}", VKA_E_USAGE, "--cfg"},
        {"{\"prompt\":5}", VKA_E_USAGE, "--prompt"},
        {"{\"vram\":0}", VKA_E_USAGE, "--vram"},
        {"{\"vram\":-5}", VKA_E_USAGE, "--vram"},
        {"{\"vram\":1.5}", VKA_E_USAGE, "--vram"},
        {"{\"output\":[5]}", VKA_E_USAGE, "--output"},
        {"{\"output\":{}}", VKA_E_USAGE, "--output"},
        {"{\"overwrite\":1}", VKA_E_USAGE, "--overwrite"},
        {"{\"context-schedule\":\"looped\"}", VKA_E_USAGE, "does not know"},
        {"{\"lora\":5}", VKA_E_USAGE, "--lora"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vka_job *job = vka_job_create();
        vka_error err = {0};
        vka_job_set(job, "output", "keep.webp", &err);
        vka_job_set(job, "steps", "3", &err);
        /* all or nothing: what stands before the bad member is not taken either */
        char text[256];
        snprintf(text, sizeof text, "%s", bad[i].json);
        if (text[0] == '{' && strlen(text) > 2)
            snprintf(text, sizeof text, "{\"frames\":4,\"output\":[\"x\"],%s", bad[i].json + 1);
        vka_status status = read_job(job, strstr(bad[i].json, "output") ? bad[i].json : text, &err);
        if (status != bad[i].status || !strstr(err.what, bad[i].word))
            fail_msg("%s: status %d, '%s'", bad[i].json, (int)status, err.what);
        assert_int_equal(job->frames, 16);
        assert_int_equal(job->steps, 3);
        assert_int_equal(job->output.count, 1);
        assert_string_equal(job->output.items[0], "keep.webp");
        vka_job_destroy(&job);
    }
}

static void json_out(void **state)
{
    (void)state;
    vka_job *job = vka_job_create(), *again = vka_job_create();
    vka_error err = {0};
    static const char *const pairs[][2] = {
        {"prompt", "a \"b\" \xe2\x82\xac\n"},
        {"cfg", "7.3"},
        {"fps", "23.976023976023978"},
        {"seed", "9223372036854775807"},
        {"output", "a.webp"},
        {"output", "b/"},
        {"vram", "1.5G"},
        {"overwrite", "no"},
        {"verify", "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (vka_job_set(job, pairs[i][0], pairs[i][1], &err) != VKA_OK)
            fail_msg("%s", err.what);
    assert_int_equal(job->verify[0], 'a');
    char *text = vka_job_write(job);
    if (read_job(again, text, &err) != VKA_OK)
        fail_msg("%s", err.what);
    assert_true(again->fps == job->fps && again->cfg == 7.3 && again->seed == INT64_MAX && again->vram == job->vram);
    assert_string_equal(again->prompt, job->prompt);
    assert_int_equal(again->output.count, 2);
    assert_memory_equal(&again->set, &job->set, sizeof job->set);
    char *twice = vka_job_write(again);
    assert_string_equal(twice, text);
    free(text);
    free(twice);

    vka_job_set(job, "cfg", "7.3", &err);
    vka_job_set(job, "fps", "8", &err);
    text = vka_job_write(job);
    assert_non_null(strstr(text, "7.3,"));
    free(text);

    /* a copy shares nothing; portable settings have no paths, devices or budgets */
    vka_job *copy = vka_job_copy(job);
    vka_job_set(copy, "prompt", "other", &err);
    vka_job_set(copy, "output", "c.webp", &err);
    assert_string_not_equal(copy->prompt, job->prompt);
    assert_int_equal(job->output.count, 2);
    json_t *settings = vka_job_json(copy, VKA_JOB_ALL, true);
    static const char *const absent[] = {"output", "vram",      "model", "device", "path",
                                         "verify", "overwrite", "count", "width"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(json_object_get(settings, absent[i]));
    static const char *const present[] = {"prompt", "negative", "seed", "steps", "sampler", "clip-skip", "fps", "beta"};
    for (size_t i = 0; i < sizeof present / sizeof *present; i++)
        assert_non_null(json_object_get(settings, present[i]));
    json_decref(settings);
    vka_job_destroy(&copy);
    vka_job_destroy(&job);
    vka_job_destroy(&again);
    assert_null(vka_job_write(NULL));
}

static const uint8_t *black(void *user, uint32_t index, vka_error *err)
{
    (void)index;
    (void)err;
    return user;
}

static void animation(void **state)
{
    (void)state;
    static const struct {
        const char *metadata;
        vka_status status;
        const char *word;
    } cases[] = {
        {"{\"schema\":1,\"vkanim\":\"0.1.0\",\"settings\":{\"prompt\":\"from a "
         "clip\",\"steps\":7,\"seed\":12},\"models\":[]}",
         VKA_OK, ""},
        {"{\"schema\":1}", VKA_E_INPUT, "no settings"},
        {"{\"schema\":1,\"settings\":{\"later-option\":1}}", VKA_E_INPUT, "later-option"},
        {"{\"schema\":1,\"settings\":{\"output\":[\"/tmp/somewhere\"]}}", VKA_E_INPUT, "--output"},
        {"{\"schema\":1,\"settings\":{\"overwrite\":true}}", VKA_E_INPUT, "--overwrite"},
        {"{\"schema\":1,\"settings\":{\"sampler\":\"lmc\"}}", VKA_E_INPUT, "lmc"},
        {NULL, VKA_E_INPUT, ""},
    };
    static uint8_t pixels[4 * 4 * 3];
    const char *path = "test_options.tmp.png";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_clip clip = {
            .width = 4, .height = 4, .frames = 1, .metadata = cases[i].metadata, .get = black, .user = pixels};
        vka_error err = {0};
        assert_int_equal(vka_media_write(path, &clip, NULL, &err), VKA_OK);
        vka_job *job = vka_job_create();
        vka_job_set(job, "frames", "9", &err);
        vka_status status = vka_job_read_animation(job, path, &err);
        if (status != cases[i].status || !(strstr(err.what, cases[i].word) || strstr(err.why, cases[i].word)))
            fail_msg("case %zu: status %d, '%s', '%s'", i, (int)status, err.what, err.why);
        assert_string_equal(job->prompt, status == VKA_OK ? "from a clip" : "");
        assert_int_equal(job->steps, status == VKA_OK ? 7 : 25);
        assert_int_equal(job->frames, 9);
        assert_int_equal(job->output.count, 0);
        vka_job_destroy(&job);
    }
    remove(path);
    vka_error err = {0};
    vka_job *job = vka_job_create();
    assert_int_equal(vka_job_read_animation(job, path, &err), VKA_E_INPUT);
    vka_job_destroy(&job);
}

/* With a decimal comma in the locale, values and JSON keep their point.  Runs where such a locale is installed. */
static void locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "ru_RU.UTF-8"};
    const char *got = NULL;
    for (size_t i = 0; !got && i < sizeof names / sizeof *names; i++)
        got = setlocale(LC_ALL, names[i]);
    if (!got)
        skip();
    vka_job *job = vka_job_create();
    vka_error err = {0};
    assert_int_equal(vka_job_set(job, "cfg", "1.5", &err), VKA_OK);
    assert_int_equal(vka_job_set(job, "cfg", "1,5", NULL), VKA_E_USAGE);
    assert_true(job->cfg == 1.5);
    char *text = vka_job_write(job);
    setlocale(LC_ALL, "C");
    assert_non_null(strstr(text, "1.5"));
    free(text);
    vka_job_destroy(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_the_contract),
        cmocka_unit_test(files_are_marked),
        cmocka_unit_test(choices_are_what_the_rooms_know),
        cmocka_unit_test(every_option_has_a_field),
        cmocka_unit_test(defaults),
        cmocka_unit_test(ints),
        cmocka_unit_test(reals),
        cmocka_unit_test(sizes),
        cmocka_unit_test(utf8),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(hints),
        cmocka_unit_test(beta),
        cmocka_unit_test(json_in),
        cmocka_unit_test(json_refused),
        cmocka_unit_test(json_out),
        cmocka_unit_test(animation),
        cmocka_unit_test(locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
