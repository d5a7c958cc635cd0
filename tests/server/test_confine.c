/* test_confine.c - from a request's job to one with real paths: what comes through, and a long list of what must not.
 * The names that lead somewhere are made up here; no file is looked at. */
#include "server/confine.h"
#include "server/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define UPLOAD "upload-0123456789abcdef01234567.png"
#define FOLDER "/srv/results"
#define UPLOADS FOLDER "/.uploads/"

/* ---- names that lead somewhere ------------------------------------------------------------------------------------- */

static unsigned asked;

static char *copy_of(const char *a, const char *b, const char *c)
{
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    snprintf(text, size, "%s%s%s", a, b, c);
    return text;
}

static char *model(void *user, const char *kind, const char *name, vka_error *err)
{
    static const char *const known[] = {"ink",      "style/ink",      "Dream Shaper_8 [879db523c3]", "8", "a:b",
                                        "odd;name", "ink.safetensors"};
    (void)user;
    asked++;
    assert_true(srv_name_is_model(name));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0) {
            char *head = copy_of("/models/", kind, "/"), *path = copy_of(head, name, "");
            free(head);
            return path;
        }
    *err = (vka_error){.status = VKA_E_INPUT, .what = "there is none"};
    return NULL;
}

static char *file(void *user, enum srv_folder folder, const char *name, vka_error *err)
{
    (void)user;
    asked++;
    assert_true(folder == SRV_UPLOAD ? srv_name_is_upload(name) : srv_name_is_result(name));
    assert_true(name[0] != '.' && !strpbrk(name, "/\\\n"));
    if (strcmp(name, UPLOAD) == 0 || strcmp(name, "boat.webp") == 0)
        return copy_of(folder == SRV_UPLOAD ? UPLOADS : FOLDER "/", name, "");
    *err = (vka_error){.status = VKA_E_INPUT, .what = "there is none"};
    return NULL;
}

static const struct srv_confine_rules rules = {.model = model, .file = file, .results = FOLDER};

static json_t *confine(json_t *request, vka_error *err)
{
    *err = (vka_error){0};
    json_t *out = srv_confine_job(&rules, request, err);
    if (out ? err->status != VKA_OK : (err->status == VKA_OK || !err->what[0]))
        fail_msg("a job without an error, or an error without a sentence: %s", err->what);
    json_decref(request);
    return out;
}

/* ---- what comes through -------------------------------------------------------------------------------------------- */

static void good(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "{}"},
        {"{\"prompt\":\"a fox\",\"steps\":4,\"cfg\":1,\"seed\":-1,\"freenoise\":true,\"fps\":\"12.5\"}",
         "{\"prompt\":\"a fox\",\"steps\":4,\"cfg\":1,\"seed\":-1,\"freenoise\":true,\"fps\":\"12.5\"}"},
        {"{\"prompt\":\"0: a / b\\n8: ../c <lora:ink:0.5> <b> <lora:style/ink>\"}",
         "{\"prompt\":\"0: a / b\\n8: ../c <lora:ink:0.5> <b> <lora:style/ink>\"}"},
        {"{\"travel\":\"0: a\\n8: b\"}", "{\"travel\":\"0: a\\n8: b\"}"},
        {"{\"travel\":\"/etc/passwd\"}", "{\"travel\":\"/etc/passwd\\n\"}"}, /* a text, whatever it says */
        {"{\"model\":\"ink\"}", "{\"model\":\"/models/checkpoint/ink\"}"},
        {"{\"model\":\"Dream Shaper_8 [879db523c3]\"}", "{\"model\":\"/models/checkpoint/Dream Shaper_8 [879db523c3]\"}"},
        {"{\"motion\":\"none\",\"vae\":\"style/ink\"}", "{\"motion\":\"none\",\"vae\":\"/models/vae/style/ink\"}"},
        {"{\"motion\":\"ink\"}", "{\"motion\":\"/models/motion-module/ink\"}"},
        {"{\"lora\":[\"ink\",\"ink:0.8\",\"style/ink:0.8:-.5\"]}",
         "{\"lora\":[\"/models/lora/ink\",\"/models/lora/ink:0.8:0.8\",\"/models/lora/style/ink:0.8:-.5\"]}"},
        {"{\"lora\":\"8:1\"}", "{\"lora\":[\"/models/lora/8:1:1\"]}"},
        {"{\"lora\":[\"ink.safetensors:1\"]}", "{\"lora\":[\"/models/lora/ink.safetensors:1:1\"]}"},
        {"{\"motion-lora\":[\"a:b:1e-1\"]}", "{\"motion-lora\":[\"/models/motion-lora/a:b:1e-1:1e-1\"]}"},
        {"{\"lora-frames\":[\"style/ink=0:0, 15:1\"]}", "{\"lora-frames\":[\"ink=0:0, 15:1\"]}"},
        {"{\"embedding\":[\"ink\",\"ink:word\",\"a:b\"]}",
         "{\"embedding\":[\"/models/embedding/ink\",\"/models/embedding/ink:word\",\"/models/embedding/a:b\"]}"},
        {"{\"init\":\"upload:" UPLOAD "\",\"mask\":\"result:boat.webp\"}",
         "{\"init\":\"" UPLOADS UPLOAD "\",\"mask\":\"" FOLDER "/boat.webp\"}"},
        {"{\"keyframe\":[\"0=upload:" UPLOAD "\",\"-1=result:boat.webp\"]}",
         "{\"keyframe\":[\"0=" UPLOADS UPLOAD "\",\"-1=" FOLDER "/boat.webp\"]}"},
        {"{\"control\":[\"ink,source=upload:" UPLOAD ",weight=0:1, 8:0.5,process=canny\",\"ink\",\"ink,source=previous\"]}",
         "{\"control\":[\"/models/controlnet/ink,source=" UPLOADS UPLOAD ",weight=0:1, 8:0.5,process=canny\","
         "\"/models/controlnet/ink\",\"/models/controlnet/ink,source=previous\"]}"},
        {"{\"ip-adapter\":[\"ink,image=upload:" UPLOAD ";result:boat.webp,frames=0;8\"],\"vision\":\"ink\"}",
         "{\"ip-adapter\":[\"/models/ip-adapter/ink,image=" UPLOADS UPLOAD ";" FOLDER "/boat.webp,frames=0;8\"],"
         "\"vision\":\"/models/vision/ink\"}"},
        {"{\"output\":[\"a b.webp\",\"c.mp4\"]}", "{\"output\":[\"" FOLDER "/a b.webp\",\"" FOLDER "/c.mp4\"]}"},
        {"{\"count\":100}", "{\"count\":100}"},
        {"{\"noise\":\"upload:upload-0123456789abcdef01234567.png\"}", "{\"noise\":\"" UPLOADS UPLOAD "\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_error err;
        json_t *out = confine(json_loads(cases[i][0], 0, NULL), &err), *want = json_loads(cases[i][1], 0, NULL);
        assert_non_null(want);
        char *text = json_dumps(out, JSON_COMPACT);
        if (!json_equal(out, want))
            fail_msg("%s\nbecomes %s\n%s", cases[i][0], text ? text : "nothing", err.what);
        vka_job *job = vka_job_create();
        vka_error inner = {0};
        if (vka_job_read(job, text, strlen(text), &inner) != VKA_OK)
            fail_msg("%s\nis no job: %s", text, inner.what);
        vka_job_destroy(&job);
        free(text);
        json_decref(out);
        json_decref(want);
    }
}

/* ---- what must not --------------------------------------------------------------------------------------------------- */

/* Ways to say a file that is none of the server's. */
static const char *const hostile[] = {
    "/etc/passwd",
    "//etc/passwd",
    "/",
    ".",
    "..",
    "../x.webp",
    "../../../../etc/passwd",
    "./ink",
    "./x.webp",
    "a/../../x.webp",
    "ink/../../x",
    "ink/",
    "/ink",
    "ink//x",
    ".hidden.webp",
    ".uploads/" UPLOAD,
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/x",
    "%2e%2e%2fx.webp",
    "..\\x.webp",
    "..\\..\\etc\\passwd",
    "C:\\x.webp",
    "\\\\host\\share\\x.webp",
    "..;/x.webp",
    "....//x.webp",
    "..%252fx.webp",
    "..%c0%afx.webp",
    "\xe2\x80\xa6/x",
    "file:///etc/passwd",
    "http://127.0.0.1/x.webp",
    "concat:/etc/passwd",
    "pipe:0",
    "/dev/stdin",
    "/proc/self/environ",
    "-",
    "~",
    "~/x.webp",
    "$HOME/x.webp",
    "`id`.webp",
    "|id",
    "x.webp\n/etc/passwd",
    "x.webp\r\nSet-Cookie: a=b",
    "\x1b[2J",
    "upload:",
    "result:",
    "upload:/etc/passwd",
    "result:/etc/passwd",
    "upload:../boat.webp",
    "result:../boat.webp",
    "result:.uploads/" UPLOAD,
    "result:.webp",
    "result:boat.webp/",
    "result:boat.webp\n",
    "result:boat.txt",
    "result:boat.html",
    "result:boat",
    "upload:boat.webp",
    "upload:" UPLOAD "/..",
    "upload:upload-0123456789ABCDEF01234567.png",
    "upload:upload-0123456789abcdef0123456.png",
    "upload:upload-0123456789abcdef012345678.png",
    "upload:upload-0123456789abcdef01234567.sh",
    "upload:upload-0123456789abcdef01234567",
    "upload:upload-xyz.png",
    "upload:upload-0123456789abcdef01234567.png.png",
    "upload:upload-0123456789abcdef01234567/.png",
    "Upload:" UPLOAD,
    "UPLOAD:" UPLOAD,
    " upload:" UPLOAD,
    "upload: " UPLOAD,
    "upload:" UPLOAD " ",
    "upload:upload:" UPLOAD,
    "result:%62oat.webp",
    "result:boat%05d.webp/x",
    "upload:upload-%05d.png",
    "result:a/boat.webp",
    "result:..",
    "result:...webp",
    "upload:" UPLOAD ";/etc/passwd",
    "upload:" UPLOAD ",source=/etc/passwd",
    "CON.webp/x",
    "ink,source=/etc/passwd",
    "ink,image=/etc/passwd",
    "ink,source=upload:../" UPLOAD,
    "ink,image=upload:" UPLOAD ";/etc/passwd",
    "ink,image=;upload:" UPLOAD,
    "ink,image=upload:" UPLOAD ";",
    "ink,source=",
    "ink,image=",
    "ink,trace=/tmp/x",
    "ink,weight=/etc/passwd",
    "ink,mode=../x",
    "ink,source=ink,source=/etc/passwd",
    "/etc/passwd,source=previous",
    "../ink,weight=1",
    "ink,so=x",
    "odd;name,weight=1",
    "0=/etc/passwd",
    "0=../boat.webp",
    "0=boat.webp",
    "=upload:" UPLOAD,
    "x=upload:" UPLOAD,
    "0 =upload:" UPLOAD,
    "1e3=upload:" UPLOAD,
    "12345678=upload:" UPLOAD,
    "--1=upload:" UPLOAD,
    "0=result:../boat.webp",
    "0==upload:" UPLOAD,
    "/etc/passwd:1",
    "../ink:0.5:0.5",
    "/etc/passwd=0:1",
    "../ink=1",
    ":1",
    ":1:1",
    "=1",
    "<lora:/etc/passwd:1>",
    "nobody:/etc/passwd",
};

static const char *const with_files[] = {
    "model",      "motion",     "vae",           "vision",    "lora",       "motion-lora", "lora-frames", "embedding",
    "control",    "ip-adapter", "init",          "init-last", "init-video", "mask",        "keyframe",    "noise",
    "step-noise", "embeds",     "output",        "wildcards", "tokenizer",  "trace",       "save-hints",  "device",
    "path",       "vram",       "device-memory", "job",       "from",       "in",          "out"};

static void refuses_files(void **state)
{
    (void)state;
    unsigned count = 0;
    for (size_t o = 0; o < sizeof with_files / sizeof *with_files; o++)
        for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
            for (int form = 0; form < 2; form++) { /* alone and in a list */
                vka_error err;
                json_t *value = json_string(hostile[i]);
                if (!value) /* no UTF-8: JSON cannot say it */
                    continue;
                if (strcmp(with_files[o], "lora-frames") == 0 &&
                    !strpbrk(hostile[i], "/\\")) { /* a name to compare, and numbers */
                    json_decref(value);
                    continue;
                }
                json_t *out =
                    confine(form ? json_pack("{s:[o]}", with_files[o], value) : json_pack("{s:o}", with_files[o], value), &err);
                if (out)
                    fail_msg("--%s '%s' becomes %s", with_files[o], hostile[i], json_dumps(out, 0));
                assert_true(err.status == VKA_E_USAGE || err.status == VKA_E_INPUT);
                count++;
            }
    assert_true(count > 5000);
}

/* A value that is good elsewhere in the same list does not help. */
static void refuses_among_good(void **state)
{
    (void)state;
    vka_error err;
    assert_null(confine(json_pack("{s:[s,s]}", "lora", "ink:1", "/etc/passwd:1"), &err));
    assert_null(confine(json_pack("{s:[s,s]}", "output", "a.webp", "../a.webp"), &err));
    assert_null(confine(json_pack("{s:s,s:s}", "prompt", "a", "trace", "x"), &err));
    assert_null(confine(json_pack("{s:s,s:s}", "trace", "x", "prompt", "a"), &err));
}

static void refuses_outputs(void **state)
{
    (void)state;
    static const char *const names[] = {"",          "a",         "a.txt",    "a.webp.sh",   ".webp",         "a/b.webp",
                                        "a%05d.png", "%s.webp",   "a:b.webp", "a\nb.webp",   "\xc3\xa9.webp", "a*.webp",
                                        "a?.webp",   "a\"b.webp", "a<b.webp", "a|b.webp",    "a;b.webp",      "a&b.webp",
                                        "a'b.webp",  "a$b.webp",  "-",        "/dev/stdout", "frames/",       "a.html",
                                        "a.svg",     "a.webp\\",  "~a.webp",  "a.jpg",       "a.safetensors", "a.json"};
    vka_error err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *out = confine(json_pack("{s:[s]}", "output", names[i]), &err);
        if (out)
            fail_msg("'%s' becomes %s", names[i], json_dumps(out, 0));
    }
    char name[300];
    memset(name, 'a', sizeof name);
    strcpy(name + 196, ".webp");
    assert_null(confine(json_pack("{s:[s]}", "output", name), &err));
    memset(name, 'a', sizeof name);
    strcpy(name + 195, ".webp");
    json_t *out = confine(json_pack("{s:[s]}", "output", name), &err);
    assert_non_null(out);
    json_decref(out);
}

static void refuses_prompts(void **state)
{
    (void)state;
    static const char *const texts[] = {"a <lora:/etc/passwd:1> b",
                                        "<lora:../x>",
                                        "<lora:./x:1>",
                                        "<lyco:/x:1>",
                                        "<lora:a/../b:1>",
                                        "<lora:.x:1>",
                                        "<lora:a//b>",
                                        "<lora:a/>",
                                        "0: a\n8: <lora:/x:1>",
                                        "<lora:ink:1><lora:/x:1>",
                                        "<<lora:/x:1>",
                                        "<lora:a\\b:1>",
                                        "<lora:\x01:1>",
                                        "{\"0\": \"<lora:/x:1>\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        static const char *const options[] = {"prompt", "negative", "travel"};
        for (size_t k = 0; k < 3; k++) {
            vka_error err;
            json_t *out = confine(json_pack("{s:s}", options[k], texts[i]), &err);
            if (out)
                fail_msg("--%s '%s' comes through", options[k], texts[i]);
            assert_int_equal(err.status, VKA_E_USAGE);
        }
    }
}

static void refuses_shapes(void **state)
{
    (void)state;
    static const char *const requests[] = {"[]",
                                           "\"a\"",
                                           "7",
                                           "null",
                                           "true",
                                           "{\"nope\":1}",
                                           "{\"\":1}",
                                           "{\"prompt\":null}",
                                           "{\"prompt\":7}",
                                           "{\"prompt\":{}}",
                                           "{\"prompt\":[]}",
                                           "{\"prompt\":[\"a\"]}",
                                           "{\"prompt\":true}",
                                           "{\"steps\":[4]}",
                                           "{\"steps\":{}}",
                                           "{\"steps\":4.5}",
                                           "{\"steps\":true}",
                                           "{\"steps\":null}",
                                           "{\"cfg\":[1]}",
                                           "{\"cfg\":true}",
                                           "{\"freenoise\":1}",
                                           "{\"freenoise\":{}}",
                                           "{\"lora\":{}}",
                                           "{\"lora\":7}",
                                           "{\"lora\":[7]}",
                                           "{\"lora\":[[\"ink\"]]}",
                                           "{\"lora\":[null]}",
                                           "{\"lora\":[{}]}",
                                           "{\"sampler\":7}",
                                           "{\"model\":[\"ink\"]}",
                                           "{\"model\":{\"name\":\"ink\"}}",
                                           "{\"output\":[[]]}",
                                           "{\"json\":true}",
                                           "{\"help\":true}",
                                           "{\"verbose\":true}",
                                           "{\"progress\":\"json\"}",
                                           "{\"job\":\"x\"}",
                                           "{\"from\":\"x\"}",
                                           "{\"dry-run\":true}",
                                           "{\"vram\":1}",
                                           "{\"vram\":\"64G\"}",
                                           "{\"device\":\"0\"}",
                                           "{\"device\":0}",
                                           "{\"path\":\"fp32\"}",
                                           "{\"device-memory\":1}",
                                           "{\"--prompt\":\"a\"}",
                                           "{\"Prompt\":\"a\"}",
                                           "{\"prompt \":\"a\"}",
                                           "{\"in\":\"x\"}",
                                           "{\"kind\":\"lora\"}",
                                           "{\"count\":101}",
                                           "{\"count\":1000000}",
                                           "{\"count\":\"1000000\"}",
                                           "{\"count\":\"99x\"}",
                                           "{\"count\":\"\"}",
                                           "{\"listen\":\"0.0.0.0\"}",
                                           "{\"port\":1}",
                                           "{\"token-file\":\"x\"}",
                                           "{\"results\":\"/tmp\"}",
                                           "{\"queue\":1}",
                                           "{\"upload-limit\":1}",
                                           "{\"verify\":\"a\\u0007b\"}",
                                           "{\"sampler\":\"ddim\\n\"}"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        vka_error err;
        json_t *out = confine(json_loads(requests[i], JSON_DECODE_ANY, NULL), &err);
        if (out)
            fail_msg("%s comes through", requests[i]);
        assert_int_equal(err.status, VKA_E_USAGE);
    }
    vka_error err;
    assert_null(confine(json_loads("{\"prompt\":\"a\\u0000b\"}", JSON_ALLOW_NUL, NULL), &err));
    assert_null(confine(json_loads("{\"model\":\"ink\\u0000b\"}", JSON_ALLOW_NUL, NULL), &err));
}

static void limits(void **state)
{
    (void)state;
    vka_error err;
    json_t *many = json_object(), *list = json_array();
    char name[20], *long_text = malloc((size_t)SRV_JOB_PROMPT + 2);
    assert_non_null(long_text);
    for (int i = 0; i < SRV_JOB_KEYS + 1; i++) {
        snprintf(name, sizeof name, "k%d", i);
        json_object_set_new(many, name, json_true());
    }
    assert_null(confine(many, &err));
    assert_non_null(strstr(err.what, "members"));
    for (int i = 0; i < SRV_JOB_ITEMS; i++)
        json_array_append_new(list, json_string("ink"));
    asked = 0;
    json_t *out = confine(json_pack("{s:O}", "lora", list), &err);
    assert_non_null(out);
    assert_int_equal(asked, SRV_JOB_ITEMS);
    json_decref(out);
    json_array_append_new(list, json_string("ink"));
    asked = 0;
    assert_null(confine(json_pack("{s:o}", "lora", list), &err));
    assert_int_equal(asked, 0);
    memset(long_text, 'a', (size_t)SRV_JOB_PROMPT + 1);
    long_text[SRV_JOB_PROMPT + 1] = '\0';
    assert_null(confine(json_pack("{s:s}", "prompt", long_text), &err));
    long_text[SRV_JOB_PROMPT] = '\0';
    out = confine(json_pack("{s:s}", "prompt", long_text), &err);
    assert_non_null(out);
    json_decref(out);
    assert_null(confine(json_pack("{s:s}", "cfg-schedule", long_text), &err));
    free(long_text);
}

/* A new option that may name files is closed until it has a rule: then it belongs into one of these lists. */
static void every_option(void **state)
{
    (void)state;
    static const char *const open[] = {"travel",      "model",       "motion",    "vae",        "lora",
                                       "motion-lora", "lora-frames", "embedding", "init",       "init-last",
                                       "keyframe",    "init-video",  "mask",      "control",    "ip-adapter",
                                       "vision",      "output",      "noise",     "step-noise", "embeds"};
    static const char *const closed[] = {"wildcards", "tokenizer", "trace", "save-hints",
                                         "device",    "path",      "vram",  "device-memory"};
    size_t count, files = 0, never = 0;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        bool is_open = false, is_closed = false;
        for (size_t k = 0; k < sizeof open / sizeof *open; k++)
            is_open = is_open || strcmp(open[k], o->name) == 0;
        for (size_t k = 0; k < sizeof closed / sizeof *closed; k++)
            is_closed = is_closed || strcmp(closed[k], o->name) == 0;
        bool of_job = (o->commands & VKA_FOR_RENDER) && !(o->marks & (VKA_MARK_COMMAND | VKA_MARK_LATER));
        if (srv_option_allowed(o) != (of_job && !is_closed))
            fail_msg("--%s: decide whether requests may have it", o->name);
        bool names_files = of_job && ((o->marks & VKA_MARK_FILES) || o->kind == VKA_OPTION_PATH);
        if (names_files && !is_open && !is_closed)
            fail_msg("--%s may name files and has no rule", o->name);
        files += is_open;
        never += is_closed;
    }
    assert_int_equal(files, sizeof open / sizeof *open);
    assert_int_equal(never, sizeof closed / sizeof *closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good),
                                       cmocka_unit_test(refuses_files),
                                       cmocka_unit_test(refuses_among_good),
                                       cmocka_unit_test(refuses_outputs),
                                       cmocka_unit_test(refuses_prompts),
                                       cmocka_unit_test(refuses_shapes),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(every_option)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
