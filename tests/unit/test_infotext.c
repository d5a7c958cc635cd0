/* test_infotext.c - infotext of A1111 and its AnimateDiff extension: taken apart, turned into options, written, and in files
 * of every format; those in infotext/ were made with the libraries that the originals use (reference/make_infotext.py). */
#include "media_clip.h"
#include "render/infotext.h"
#include "render/options.h"
#include "render/setup.h"

#include <jansson.h>

static bool has_note(const vka_job *job, const char *word)
{
    for (size_t i = 0; i < job->note_count; i++)
        if (strstr(job->notes[i].text, word))
            return true;
    return false;
}

static void wants_note(const vka_job *job, const char *word)
{
    if (!has_note(job, word)) {
        for (size_t i = 0; i < job->note_count; i++)
            print_error("note: %s\n", job->notes[i].text);
        fail_msg("no note says '%s'", word);
    }
}

/* An option is what it should be where this version has that value, else a note names it. */
static void is_or_note(const vka_job *job, const char *option, const char *field, const char *want)
{
    vka_job *probe = vka_job_create();
    if (vka_job_set(probe, option, want, NULL) == VKA_OK)
        assert_string_equal(field, want);
    else
        wants_note(job, want);
    vka_job_destroy(&probe);
}

static const char *file(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, VKA_TEST_DATA "/unit/infotext/%s", name);
    return path;
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

static void files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool unicode, video;
    } cases[] = {{"ascii.png", false, false},   {"unicode.png", true, false}, {"clip.webp", true, false},
                 {"little.webp", false, false}, {"clip.gif", false, false},   {"clip.mp4", true, true},
                 {"clip.webm", false, true},    {"beside.png", false, false}, {"beside.txt", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
#ifndef VKANIM_FFMPEG
        if (cases[i].video)
            continue;
#endif
        vka_job *job = vka_job_create();
        vka_error err = {0};
        vka_status st = vka_job_read_animation(job, file(cases[i].name), &err);
        if (st != VKA_OK)
            fail_msg("%s: %s %s", cases[i].name, err.what, err.why);
        char want[300];
        snprintf(want, sizeof want, "%s, (walking:1.2), <lora:add_detail:0.8>\n0: spring\n8: autumn",
                 cases[i].unicode ? "ein M\xc3\xa4" "dchen, \xe3\x82\xb9\xe3\x83\x97\xe3\x83\xaa\xe3\x83\xb3\xe3\x82\xb0, "
                                    "\xf0\x9f\x8c\xb8"
                                  : "1girl");
        assert_string_equal(job->prompt, want);
        assert_string_equal(job->negative, "(worst quality:2), easynegative,\nblurry");
        assert_int_equal(job->steps, 20);
        assert_true(job->cfg == 7.5);
        assert_int_equal(job->seed, 1234567890);
        assert_int_equal(job->width, 512);
        assert_int_equal(job->height, 768);
        assert_int_equal(job->clip_skip, 2);
        assert_int_equal(job->frames, 16);
        assert_true(job->fps == 8);
        assert_int_equal(job->context_length, 16);
        assert_int_equal(job->context_overlap, 4);
        assert_string_equal(job->rng, "nv");
        assert_string_equal(job->noise_layout, "frame");
        is_or_note(job, "sampler", job->sampler, "dpmpp-2m");
        is_or_note(job, "schedule", job->schedule, "karras");
        assert_null(job->model);
        assert_null(job->motion);
        wants_note(job, "'dreamshaper_8' (879db523c3)");
        wants_note(job, "'mm_sd_v15_v2.ckpt' (69ed0f5f)");
        wants_note(job, "'vae-ft-mse-840000-ema-pruned.safetensors'");
        wants_note(job, "closed_loop: R-P, ENSD: 31337");
        assert_false(has_note(job, "Lora hashes"));
        assert_int_equal(has_note(job, "beside.txt"), strcmp(cases[i].name, "beside.png") == 0);
        vka_job_destroy(&job);
    }
    vka_job *job = vka_job_create();
    vka_error err = {0};
    assert_int_equal(vka_job_read_animation(job, file("bare.gif"), &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "does not say"));
    assert_int_equal(job->note_count, 0);
    vka_job_destroy(&job);
}

/* `inspect` says what --from would do. */
static void inspected(void **state)
{
    (void)state;
    vka_context *cx;
    char *report;
    assert_int_equal(vka_context_create(&cx, NULL, NULL), VKA_OK);
    assert_int_equal(vka_inspect_file(cx, file("clip.gif"), &report, NULL), VKA_OK);
    json_t *o = json_loads(report, 0, NULL), *settings = json_object_get(o, "settings");
    vka_free(report);
    assert_string_equal(json_string_value(json_object_get(o, "kind")), "animation");
    assert_true(json_is_null(json_object_get(o, "metadata")));
    assert_int_equal(json_integer_value(json_object_get(settings, "seed")), 1234567890);
    assert_null(json_object_get(settings, "model"));
    assert_true(json_array_size(json_object_get(o, "notes")) >= 4);
    assert_non_null(strstr(json_string_value(json_object_get(o, "infotext")), "AnimateDiff: \"enable"));
    json_decref(o);
    assert_int_equal(vka_inspect_file(cx, file("bare.gif"), &report, NULL), VKA_OK);
    o = json_loads(report, 0, NULL);
    vka_free(report);
    assert_null(json_object_get(o, "settings"));
    assert_int_equal(json_array_size(json_object_get(o, "notes")), 1);
    json_decref(o);
    vka_context_destroy(&cx);
}

/* What a clip says comes back from every format that has a place for it, beside the JSON and without it. */
static void formats(void **state)
{
    (void)state;
    static const char *const names[] = {"a.webp", "a.gif", "a.mp4", "a.webm", "a.apng", "one.png", "f/"};
    static const char *const texts[] = {"a fox\nSteps: 1, Sampler: Euler, Seed: 1, Size: 8x8",
                                        "f\xc3\xbc" "chse & <x> \xf0\x9f\xa6\x8a\nSteps: 1, Sampler: Euler, Seed: 1, A: \"b, c\""};
    synthetic c;
    vka_clip clip = make_clip(&c, 16, 16, 3);
    char first[400];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int k = 0; k < 4; k++) {
            clip.frames = strcmp(names[i], "one.png") == 0 ? 1 : 3;
            const char *path = in_folder(names[i]);
            if (vka_media_check(path, 16, 16, clip.frames, NULL) != VKA_OK)
                continue;
            clip.infotext = texts[k & 1];
            clip.metadata = k < 2 ? "{\"a\":1}" : NULL;
            write_ok(path, &clip, NULL);
            snprintf(first, sizeof first, "%s%s", path, strcmp(names[i], "f/") == 0 ? "00002.png" : "");
            vka_media_info info = info_ok(first);
            if (!info.infotext || strcmp(info.infotext, clip.infotext) != 0)
                fail_msg("%s: '%s'", names[i], info.infotext ? info.infotext : "nothing");
            if (clip.metadata)
                assert_string_equal(info.metadata, clip.metadata);
            else
                assert_null(info.metadata);
            vka_media_info_free(&info);
        }
    free(c.rgb);
}

static void exif(void **state)
{
    (void)state;
    vka_bytes b = {0};
    assert_true(vka_exif_wrap("a\xc3\xa4\xf0\x9f\xa6\x8a", &b));
    char *back = vka_exif_unwrap(b.data, b.size);
    assert_string_equal(back, "a\xc3\xa4\xf0\x9f\xa6\x8a");
    free(back);
    for (size_t n = 0; n < b.size; n++) { /* cut anywhere: nothing, or whole */
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, b.data, n);
        assert_null(vka_exif_unwrap(cut, n));
        free(cut);
    }
    uint8_t prefixed[256] = "Exif\0";
    memcpy(prefixed + 6, b.data, b.size);
    back = vka_exif_unwrap(prefixed, b.size + 6);
    assert_non_null(back);
    free(back);
    prefixed[6 + 29] ^= 1; /* the entry's tag */
    assert_null(vka_exif_unwrap(prefixed, b.size + 6));
    vka_bytes_free(&b);
    back = vka_text_copy("a\xe4", 2); /* no UTF-8: Latin-1 */
    assert_string_equal(back, "a\xc3\xa4");
    free(back);
    assert_null(vka_text_copy("\0abc", 4));
}

/* ---- texts -------------------------------------------------------------------------------------------------------------- */

static vka_job *job_of(const char *text)
{
    struct vka_infotext info;
    vka_error err = {0};
    vka_job *job = vka_job_create();
    if (vka_infotext_parse(&info, text, &err) != VKA_OK)
        fail_msg("%s: %s", text, err.what);
    assert_int_equal(vka_infotext_apply(&info, job, &err), VKA_OK);
    vka_infotext_free(&info);
    return job;
}

static void prompts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *prompt, *negative;
    } cases[] = {
        {"Steps: 1, Sampler: Euler, Seed: 2", "", ""},
        {"a\nSteps: 1, Sampler: Euler, Seed: 2", "a", ""},
        {"a\r\nNegative prompt: b\r\nSteps: 1, Sampler: Euler, Seed: 2\r\n", "a", "b"},
        {"a\n\nb\nNegative prompt:c\nd\n\n  Steps: 1, Sampler: Euler, Seed: 2  \n\n", "a\n\nb", "c\nd"},
        {"Negative prompt: only\nSteps: 1, Sampler: Euler, Seed: 2", "", "only"},
        {"a Negative prompt: b\nSteps: 1, Sampler: Euler, Seed: 2", "a Negative prompt: b", ""},
        {"Steps: 9, a: b, c: d\nSteps: 1, Sampler: Euler, Seed: 2", "Steps: 9, a: b, c: d", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_job *job = job_of(cases[i].text);
        if (strcmp(job->prompt, cases[i].prompt) != 0 || strcmp(job->negative, cases[i].negative) != 0)
            fail_msg("case %zu: '%s', '%s'", i, job->prompt, job->negative);
        assert_int_equal(job->steps, 1);
        vka_job_destroy(&job);
    }
}

static void pairs(void **state)
{
    (void)state;
    struct vka_infotext info;
    assert_int_equal(vka_infotext_parse(&info,
                                        "x\nSteps: 20, , Sampler:Euler a,CFG scale:  7 , nonsense, (odd): 1, Note: \"a, b: \\\"c\\\"\\n"
                                        "\\u00e4\", Cut: \"open, Size-1/2: 5x5, Last: \"end\"",
                                        NULL),
                     VKA_OK);
    static const char *const want[][2] = {{"steps", "20"},          {"SAMPLER", "Euler a"},  {"CFG scale", "7"},
                                          {"Note", "a, b: \"c\"\n\xc3\xa4"}, {"Cut", "\"open"}, {"Size-1/2", "5x5"},
                                          {"Last", "end"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *value = vka_infotext_get(&info.pairs, want[i][0]);
        if (!value || strcmp(value, want[i][1]) != 0)
            fail_msg("%s: '%s'", want[i][0], value ? value : "nothing");
    }
    assert_null(vka_infotext_get(&info.pairs, "odd"));
    vka_infotext_free(&info);
    static const char *const none[] = {"", "\n\n", "just a prompt", "a\nSteps: 20", "a: 1, b: 2, c: 3", "Steps, Sampler, Seed",
                                       "{\"prompt\": 1, \"steps\": 2, \"c\": 3}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        vka_error err = {0};
        assert_int_equal(vka_infotext_parse(&info, none[i], &err), VKA_E_INPUT);
        assert_true(err.what[0]);
    }
}

/* Megabytes of what looks like pairs, quotes that never close, lines without end. */
static void absurd(void **state)
{
    (void)state;
    static const char *const parts[] = {"a: b, ", "\"", "Steps: 1, ", "\n", "Negative prompt:\n", "AnimateDiff: \"\\", ",", "\\\"x: "};
    enum { SIZE = 3 << 20 };
    char *text = malloc(SIZE + 64);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct vka_infotext info;
        size_t n = strlen(parts[i]), at = 0;
        while (at + n < SIZE) {
            memcpy(text + at, parts[i], n);
            at += n;
        }
        strcpy(text + at, "\nSteps: 1, Sampler: Euler, Seed: 5");
        assert_int_equal(vka_infotext_parse(&info, text, NULL), VKA_OK);
        vka_infotext_free(&info);
        memcpy(text + at, "\nSteps: 1, x: 2, \"y: 3, AnimateDiff: \"", 39);
        vka_infotext_parse(&info, text, NULL);
        vka_infotext_free(&info);
    }
    free(text);
}

static void sampling(void **state)
{
    (void)state;
    static const struct {
        const char *says, *sampler, *schedule;
    } cases[] = {
        {"Sampler: Euler a", "euler-a", "linspace"},
        {"Sampler: DPM++ 2M Karras", "dpmpp-2m", "karras"},
        {"Sampler: DPM++ 2M", "dpmpp-2m", "linspace"},
        {"Sampler: DPM++ 2M, Schedule type: Automatic", "dpmpp-2m", "karras"},
        {"Sampler: DPM++ 3M SDE, Schedule type: Automatic", "dpmpp-3m-sde", "exponential"},
        {"Sampler: DPM++ 2M SDE Exponential", "dpmpp-2m-sde", "exponential"},
        {"Sampler: Euler, Schedule type: SGM Uniform", "euler", "sgm-uniform"},
        {"Sampler: euler, Schedule type: Uniform", "euler", "linspace"},
        {"Sampler: DDIM", "ddim", "leading"},
        {"Sampler: LCM", "lcm", "auto"},
        {"Sampler: DPM2 a, Schedule type: Align Your Steps", "dpm2-a", "ays"},
    };
    char text[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "x\nSteps: 5, %s, Seed: 1, Version: v1.10.1", cases[i].says);
        vka_job *job = job_of(text);
        is_or_note(job, "sampler", job->sampler, cases[i].sampler);
        is_or_note(job, "schedule", job->schedule, cases[i].schedule);
        vka_job_destroy(&job);
    }
    vka_job *job = job_of("x\nSteps: 5, Sampler: Restart, Schedule type: Turbo, Seed: 1, CFG scale: 1e9, Size: wide, Eta: 0.5, "
                          "Variation seed: 7, Variation seed strength: 0.25, Hires upscale: 2, RNG: CPU");
    wants_note(job, "'Restart' has no equal");
    wants_note(job, "'Turbo' has no equal");
    wants_note(job, "CFG scale: 1e9");
    wants_note(job, "Size: wide");
    wants_note(job, "Hires upscale: 2");
    assert_string_equal(job->sampler, "ddim");
    assert_string_equal(job->rng, "torch-cpu");
    if (!has_note(job, "Eta"))
        assert_true(job->eta == 0.5);
    if (!has_note(job, "Variation"))
        assert_true(job->subseed == 7 && job->subseed_strength == 0.25);
    vka_job_destroy(&job);
    job = job_of("x\nSteps: 5, Seed: 1, Size: 64x32, AnimateDiff: \"enable: False, video_length: 9\"");
    wants_note(job, "switched off");
    assert_false(vka_job_has(job, "frames"));
    assert_int_equal(job->height, 32);
    vka_job_destroy(&job);
    job = job_of("x\nSteps: 5, Seed: 1, A: 1, AnimateDiff: \"enable: True, video_length: 0, loop_number: 3, overlap: -1, interp: FILM, "
                 "freeinit_enable: True\"");
    wants_note(job, "--plays 3");
    wants_note(job, "interp: FILM, freeinit_enable: True");
    assert_false(vka_job_has(job, "frames"));
    assert_false(vka_job_has(job, "context-overlap"));
    vka_job_destroy(&job);
}

/* Every sampler and schedule that the option table has, there and back. */
static void names(void **state)
{
    (void)state;
    static const char *const options[] = {"sampler", "schedule"};
    for (int o = 0; o < 2; o++)
        for (const char *p = vka_option_find(options[o])->choices; *p; p += strspn(p, " |")) {
            char word[32];
            size_t n = strcspn(p, " ");
            snprintf(word, sizeof word, "%.*s", (int)n, p);
            p += n;
            const char *schedule = NULL, *theirs = o ? vka_infotext_schedule(word) : vka_infotext_sampler(word);
            if (!theirs)
                fail_msg("%s has no name", word);
            assert_string_equal(o ? vka_infotext_schedule_from(theirs) : vka_infotext_sampler_from(theirs, &schedule), word);
            assert_null(schedule);
        }
}

/* ---- models ---------------------------------------------------------------------------------------------------------------- */

static void models(void **state)
{
    (void)state;
    char path[400];
    setenv("VKANIM_MODEL_PATH", folder, 1);
    setenv("VKANIM_CACHE_DIR", in_folder("cache"), 1);
    snprintf(path, sizeof path, "%s", in_folder("Dream_8.safetensors"));
    assert_int_equal(vka_write_file(path, "abc", 3, NULL), VKA_OK);
    vka_job *job = job_of("x\nSteps: 5, Seed: 1, Model hash: ba7816bf8f, Model: dream_8");
    wants_note(job, path);
    assert_null(job->model); /* paths are the caller's */
    vka_job_destroy(&job);
    job = job_of("x\nSteps: 5, Seed: 1, Model: another");
    wants_note(job, "'another': give it with --model");
    vka_job_destroy(&job);
    job = job_of("x\nSteps: 5, Seed: 1, Z: 1, AnimateDiff: \"model: dream_8.ckpt, fps: 8\"");
    wants_note(job, "--motion '");
    vka_job_destroy(&job);
    unsetenv("VKANIM_MODEL_PATH");
}

/* ---- written ---------------------------------------------------------------------------------------------------------------- */

/* What a setup's infotext says is what the setup is. */
static void written(void **state)
{
    (void)state;
    static const char *const given[][2] = {
        {"model", VKA_SOURCE_DIR "/models/miniature"}, {"prompt", "a fox, \"quoted\": (x:1.2)\nsecond line"},
        {"negative", "blurry, dark"}, {"seed", "18446744073709551"}, {"steps", "7"}, {"cfg", "3.25"}, {"fps", "12.5"},
        {"frames", "20"}, {"context-length", "8"}, {"context-overlap", "3"}, {"context-stride", "2"}, {"clip-skip", "2"},
        {"sampler", "euler-a"}, {"rng", "nv"}, {"noise-layout", "clip"}, {"width", "64"}, {"height", "96"}, {"loop", "full"}};
    vka_job *job = vka_job_create();
    vka_error err = {0};
    struct vka_setup s;
    vka_log log = {0};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(vka_job_set(job, given[i][0], given[i][1], &err), VKA_OK);
    if (vka_setup_open(&s, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_TEXT | VKA_NEED_CLIP, &log, &err) != VKA_OK)
        fail_msg("%s", err.what);
    json_t *list = json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,s:s,s:s},{s:s,s:s,s:s}]", "kind", "checkpoint", "name",
                             "m.safetensors", "sha256", "0123456789abcdef", "kind", "motion-module", "name", "motion.safetensors",
                             "sha256", "fedcba9876543210", "kind", "lora", "name", "add, more.safetensors", "sha256", "00", "lora_hash",
                             "7c6bad76eb54", "kind", "embedding", "name", "easy.pt", "sha256", "c74b4e810b030000");
    char *text = vka_infotext_write(&s, 0, list);
    assert_non_null(text);
    static const char *const parts[] = {
        "a fox, \"quoted\": (x:1.2)\nsecond line\nNegative prompt: blurry, dark\nSteps: 7, Sampler: Euler a, Schedule type: ",
        ", CFG scale: 3.25, Seed: 18446744073709551, Size: 64x96, Model hash: 0123456789, Model: miniature, Clip skip: 2, RNG: NV, ",
        "AnimateDiff: \"enable: True, model: motion.safetensors, video_length: 20, fps: 12.5, loop_number: 0, closed_loop: R+P, ",
        "closed_loop: R+P, batch_size: 8, stride: 2, overlap: 3, mm_hash: fedcba98\", ",
        "Lora hashes: \"add more: 7c6bad76eb54\", ", "TI hashes: \"easy: c74b4e810b\", Version: vkanim "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("no '%s' in\n%s", parts[i], text);
    vka_job *back = job_of(text);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (strcmp(given[i][0], "model") != 0 && !vka_job_has(back, given[i][0]))
            fail_msg("--%s does not come back", given[i][0]);
    assert_string_equal(back->prompt, job->prompt);
    assert_string_equal(back->negative, job->negative);
    assert_true(back->seed == job->seed && back->steps == 7 && back->cfg == 3.25 && back->fps == 12.5 && back->frames == 20);
    assert_true(back->context_length == 8 && back->context_overlap == 3 && back->context_stride == 2 && back->clip_skip == 2);
    assert_true(back->width == 64 && back->height == 96);
    assert_string_equal(back->loop, "full");
    assert_string_equal(back->sampler, "euler-a");
    assert_string_equal(back->rng, "nv");
    assert_string_equal(back->noise_layout, "clip");
    assert_string_equal(back->schedule, vka_schedule_name(vka_sampler_schedule(s.sampler)));
    assert_int_equal(back->note_count, 2); /* which model, which motion module */
    vka_job_destroy(&back);
    free(text);
    json_decref(list);
    vka_setup_close(&s);
    vka_job_destroy(&job);
}

/* The two public calls: names both ways, and infotext by itself. */
static void by_itself(void **state)
{
    (void)state;
    assert_string_equal(vka_option_webui_name("sampler", "dpmpp-2m"), "DPM++ 2M");
    assert_string_equal(vka_option_webui_name("schedule", "sgm-uniform"), "SGM Uniform");
    assert_null(vka_option_webui_name("sampler", "karras"));
    assert_null(vka_option_webui_name("steps", "20"));
    assert_null(vka_option_webui_name("sampler", NULL));
    vka_job *job = vka_job_create();
    vka_error err = {0};
    assert_int_equal(vka_job_set(job, "steps", "9", NULL), VKA_OK);
    assert_int_equal(vka_job_read_infotext(job, "no settings", &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "does not say"));
    assert_null(strstr(err.what, "(null)"));
    assert_int_equal(job->steps, 9);
    assert_int_equal(vka_job_read_infotext(job, "a fox\nSteps: 5, Sampler: DPM++ 2M, Schedule type: Automatic, RNG: NV", NULL), VKA_OK);
    assert_string_equal(job->prompt, "a fox");
    assert_int_equal(job->steps, 5);
    assert_string_equal(job->sampler, "dpmpp-2m");
    assert_string_equal(job->schedule, "karras");
    assert_int_equal(vka_job_read_infotext(job, NULL, NULL), VKA_E_USAGE);
    vka_job_destroy(&job);
}

int main(void)
{
    unsetenv("VKANIM_MODEL_PATH");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),   cmocka_unit_test(inspected), IN_FOLDER(formats),         cmocka_unit_test(exif),
        cmocka_unit_test(prompts), cmocka_unit_test(pairs),     cmocka_unit_test(absurd),   cmocka_unit_test(sampling),
        cmocka_unit_test(names),   IN_FOLDER(models),           cmocka_unit_test(written), cmocka_unit_test(by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
