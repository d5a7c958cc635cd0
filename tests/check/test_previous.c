/* test_previous.c - controls that see the frame before (--control PATH,source=previous), in whole renders of the golden tests'
 * models: a clip has the frames that are rendered one by one, each with the picture of the one before as its hint; no plan and no
 * stop within a frame changes a bit; what does not go together is one sentence.
 *
 * In noise layout `frame` frame k of seed s has the noise of a clip of one frame of seed s + k. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "golden/redraw.h"
#include "harness.h"

#include "base/file.h"
#include "media/media.h"
#include "media/pictures.h"

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim.h>

enum { FRAMES = 3, WIDTH = 12, HEIGHT = 8, PICTURE = WIDTH * HEIGHT * 3, STEPS = 2 };

static char folder[] = "/tmp/vkanim-previous-XXXXXX";
static vka_context *cx;
static uint32_t stop_at; /* a render stops after so many steps; 0: it does not */

struct clip {
    uint8_t rgb[FRAMES * PICTURE];
    char sha256[65];
    uint64_t planned; /* bytes of device memory */
};

static void progress(void *user, const vka_progress *now)
{
    (void)user;
    if (stop_at && now->stage && !strcmp(now->stage, "steps") && now->done >= stop_at)
        vka_cancel(cx);
}

static void take(const char *report, struct clip *out)
{
    json_t *r = json_loads(report, 0, NULL);
    const char *sha = json_string_value(json_object_get(json_array_get(json_object_get(r, "outputs"), 0), "frames_sha256"));
    assert_non_null(sha);
    snprintf(out->sha256, sizeof out->sha256, "%s", sha);
    out->planned = (uint64_t)json_integer_value(json_object_get(json_object_get(r, "memory"), "planned_bytes"));
    json_decref(r);
}

static void read_frame(const char *name, uint32_t frame, uint8_t *rgb)
{
    char path[160];
    uint32_t w = 0, h = 0;
    uint8_t *read;
    vka_error err = {0};
    snprintf(path, sizeof path, "%s/%s/%05u.png", folder, name, (unsigned)frame);
    check_ok(vka_picture_read(path, VKA_RESIZE_CROP, &w, &h, &read, &err), &err);
    assert_true(w == WIDTH && h == HEIGHT);
    memcpy(rgb, read, PICTURE);
    free(read);
}

/* Renders `frames` frames of a seed into the folder `name`, with options, names and values in turn up to a NULL; "@x" in a value is
 * x in the test's folder. */
static vka_status render(const char *name, uint32_t frames, uint32_t seed, const char *const *options, struct clip *out, vka_error *err)
{
    char count[16], number[16], steps[16], to[128];
    const char *device = getenv("VKANIM_DEVICE");
    snprintf(count, sizeof count, "%u", (unsigned)frames);
    snprintf(number, sizeof number, "%u", (unsigned)seed);
    snprintf(steps, sizeof steps, "%d", STEPS);
    snprintf(to, sizeof to, "@%s/%%05d.png", name);
    const char *const always[] = {"model",  "@models/model", "prompt",    "x",    "width", "12",   "height",       "8",     "frames", count,
                                  "steps",  steps,           "seed",      number, "precision", "f32", "noise-layout", "frame", "output", to,
                                  "overwrite", "true",       NULL};
    vka_job *job = vka_job_create();
    char *report = NULL;
    vka_status st = VKA_OK;
    for (int pass = 0; pass < 2; pass++) {
        const char *const *o = pass ? options : always;
        for (size_t i = 0; st == VKA_OK && o[i] && o[i + 1]; i += 2) {
            char value[1024] = "";
            size_t at = 0;
            for (const char *s = o[i + 1]; *s; s++)
                at += (size_t)(*s == '@' ? snprintf(value + at, sizeof value - at, "%s/", folder)
                                         : snprintf(value + at, sizeof value - at, "%c", *s));
            st = vka_job_set(job, o[i], value, err);
        }
    }
    if (st == VKA_OK && device)
        st = vka_job_set(job, "device", device, err);
    if (st == VKA_OK)
        st = vka_render(cx, job, &report, err);
    if (st == VKA_OK) {
        take(report, out);
        for (uint32_t f = 0; f < frames; f++)
            read_frame(name, f, out->rgb + f * PICTURE);
    }
    vka_free(report);
    vka_job_destroy(&job);
    return st;
}

static struct clip must(const char *name, uint32_t frames, uint32_t seed, const char *const *options)
{
    struct clip c;
    vka_error err = {0};
    check_ok(render(name, frames, seed, options, &c, &err), &err);
    return c;
}
#define RENDER(name, frames, seed, ...) must(name, frames, seed, (const char *const[]){__VA_ARGS__, NULL})

static void same_frame(const char *what, const struct clip *clip, uint32_t frame, const struct clip *alone)
{
    if (memcmp(clip->rgb + frame * PICTURE, alone->rgb, PICTURE) != 0)
        fail_msg("%s: frame %u is another one", what, (unsigned)frame);
}

static const char before[] = "@models/control-a,source=previous,weight=1.2, 1, 0.8", other[] = "@models/control-b,source=@pictures";

/* A sampler that hands values on from step to step too; a second control and the
 * weights over the frames take the numbers of their own frames. */
static void frames_see_the_one_before(void **state)
{
    (void)state;
    static const char *const samplers[] = {"ddim", "dpmpp-2m"};
    static const char *const weights[FRAMES] = {"1.2", "1", "0.8"};
    for (size_t k = 0; k < sizeof samplers / sizeof *samplers; k++) {
        struct clip clip = RENDER("clip", FRAMES, 7, "sampler", samplers[k], "control", before, "control", other);
        struct clip plain = RENDER("plain", FRAMES, 7, "sampler", samplers[k], "motion", "none", "control", other);
        for (uint32_t f = 0; f < FRAMES; f++) {
            char hint[128], second[128], name[16];
            snprintf(second, sizeof second, "@models/control-b,source=@pictures/%u.png", (unsigned)f);
            snprintf(hint, sizeof hint, "@models/control-a,source=@by-hand-%u/00000.png,weight=%s", (unsigned)(f - 1), weights[f]);
            snprintf(name, sizeof name, "by-hand-%u", (unsigned)f);
            struct clip one = f ? RENDER(name, 1, 7 + f, "motion", "none", "sampler", samplers[k], "control", hint, "control", second)
                                : RENDER(name, 1, 7, "motion", "none", "sampler", samplers[k], "control", second);
            same_frame(samplers[k], &clip, f, &one);
            assert_true(!memcmp(clip.rgb + f * PICTURE, plain.rgb + f * PICTURE, PICTURE) == !f);
        }
    }
}

/* Where a clip begins from a video frame 0 sees its first picture, and every frame begins from its own. */
static void a_video_begins(void **state)
{
    (void)state;
    struct clip clip = RENDER("clip", FRAMES, 3, "init-video", "@pictures", "strength", "0.7", "control", before);
    struct clip none = RENDER("clip", FRAMES, 3, "control", before);
    for (uint32_t f = 0; f < 2; f++) {
        const char *init = f ? "@pictures/1.png" : "@pictures/0.png";
        const char *hint = f ? "@models/control-a,source=@by-hand-0/00000.png"
                             : "@models/control-a,source=@pictures/0.png,weight=1.2";
        struct clip one = RENDER(f ? "by-hand-1" : "by-hand-0", 1, 3 + f, "motion", "none", "init", init, "hold", "0", "strength", "0.7",
                                 "control", hint);
        same_frame("from a video", &clip, f, &one);
    }
    assert_true(memcmp(clip.rgb, none.rgb, sizeof clip.rgb) != 0);
    struct clip alone = RENDER("alone", 1, 3, "control", before), first = RENDER("alone", 1, 3, "motion", "none");
    same_frame("of one frame", &alone, 0, &first);
}

/* The UNet and the decoder beside it within less memory; a random sampler, whose generators go through the frames. */
static void plans_change_no_bit(void **state)
{
    (void)state;
    struct clip free_plan = RENDER("clip", FRAMES, 5, "sampler", "euler-a", "control", before), small;
    vka_error err = {0};
    vka_status st = VKA_E_MEMORY;
    for (uint64_t share = 4; st == VKA_E_MEMORY && share < 10; share++) {
        char vram[32];
        err = (vka_error){0};
        snprintf(vram, sizeof vram, "%lluK", (unsigned long long)(free_plan.planned * share / 10 / 1024));
        st = render("small", FRAMES, 5, (const char *const[]){"sampler", "euler-a", "control", before, "vram", vram, NULL}, &small, &err);
    }
    check_ok(st, &err);
    assert_true(small.planned < free_plan.planned);
    assert_string_equal(small.sha256, free_plan.sha256);
}

/* Stopped in the first frame, at a frame's end and within one that sees another. */
static void stops_change_no_bit(void **state)
{
    (void)state;
    struct clip whole = RENDER("clip", FRAMES, 5, "sampler", "euler-a", "control", before), again;
    for (uint32_t at = 1; at < 4; at++) {
        vka_error err = {0};
        char *report = NULL, id[128] = "";
        stop_at = at;
        vka_status st = render("stopped", FRAMES, 5, (const char *const[]){"sampler", "euler-a", "control", before, NULL}, &again, &err);
        stop_at = 0;
        assert_int_equal(st, VKA_E_STOPPED);
        vka_context_destroy(&cx);
        check_ok(vka_context_create(&cx, &(vka_context_params){.progress = progress}, NULL), NULL);
        const char *told = strstr(err.hint, "vkanim resume ");
        assert_true(told && sscanf(told, "vkanim resume %127s", id) == 1);
        check_ok(vka_resume(cx, id, NULL, &report, &err), &err);
        take(report, &again);
        vka_free(report);
        if (strcmp(again.sha256, whole.sha256) != 0)
            fail_msg("stopped after step %u: other frames", (unsigned)at);
    }
}

static void what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *control, *option, *value, *sentence;
    } cases[] = {
        {before, "freeinit", "2", "--freeinit does not go with a control of source=previous"},
        {before, "hires", "2", "--hires does not"},
        {before, "context-length", "8", "--context-length does not"},
        {before, "loop", "always", "--loop does not"},
        {before, "freenoise", "true", "--freenoise does not"},
        {before, "trace", "@trace", "--trace does not"},
        {before, "save-hints", "@hints", "--save-hints does not"},
        {"@models/sparse-rgb,source=previous", "cfg", "2", "is a SparseCtrl encoder"},
        {"@models/control-a,source=previous,process=canny", "cfg", "2", "'process' is for pictures"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct clip c;
        vka_error err = {0};
        vka_status st = render("none", FRAMES, 1, (const char *const[]){"control", cases[i].control, cases[i].option, cases[i].value, NULL}, &c,
                               &err);
        if (st != VKA_E_USAGE || !strstr(err.what, cases[i].sentence))
            fail_msg("%s with --%s: %d, %s", cases[i].control, cases[i].option, (int)st, err.what);
    }
}

/* ---- what there is to begin with -------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static const uint8_t *picture(void *user, uint32_t index, vka_error *err)
{
    static uint8_t rgb[PICTURE];
    (void)user;
    (void)err;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7 + (size_t)index * 53 + i / 5 * 31);
    return rgb;
}

static int begin(void **state)
{
    (void)state;
    const char *root = getenv("VKA_TEST_ROOT");
    char set[512], tokenizer[512], path[160];
    vka_error err = {0};
    snprintf(path, sizeof path, "%s/models", folder);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", root ? root : VKA_SOURCE_DIR);
    for (int i = 0; i < 2; i++) {
        snprintf(set, sizeof set, "%s/tests/golden/%s", root ? root : VKA_SOURCE_DIR, i ? "control" : "tiny");
        check_ok(vka_test_redraw(set, tokenizer, path, &err), &err);
    }
    vka_media_result made = {0};
    vka_clip clip = {.width = WIDTH, .height = HEIGHT, .frames = FRAMES, .fps = 8, .get = picture};
    snprintf(path, sizeof path, "%s/pictures", folder);
    check_ok(vka_make_dirs(path, &err), &err);
    snprintf(path, sizeof path, "%s/pictures/%%d.png", folder);
    check_ok(vka_media_write(path, &clip, &made, &err), &err);
    vka_media_result_free(&made);
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("VKANIM_CACHE_DIR", path, 1); /* jobs that are stopped */
    check_ok(vka_context_create(&cx, &(vka_context_params){.progress = progress}, &err), &err);
    return 0;
}

static int end(void **state)
{
    (void)state;
    vka_context_destroy(&cx);
    return 0;
}

int main(void)
{
    vka_gpu *gpu = check_open_gpu(); /* skipped where there is none */
    check_close_gpu(&gpu);
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames_see_the_one_before), cmocka_unit_test(a_video_begins),
                                       cmocka_unit_test(plans_change_no_bit), cmocka_unit_test(stops_change_no_bit),
                                       cmocka_unit_test(what_cannot_be)};
    int failed = cmocka_run_group_tests(tests, begin, end);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
