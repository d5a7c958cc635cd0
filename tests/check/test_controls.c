/* test_controls.c - ControlNets and SparseCtrl in whole renders of the golden tests' models: windows take the hints and weights of
 * their own frames, plans change no bit, what counts nowhere changes no bit either, hints are shown as they are given, and what
 * cannot be is one sentence.
 *
 * Without a motion module frames know nothing of each other, so that a clip in windows has the bits of one in one piece, if every
 * frame gets its own hint and weight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "tiny.h"

#include "base/file.h"
#include "media/media.h"
#include "media/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = TINY_FRAMES, WIDTH = TINY_WIDTH, HEIGHT = TINY_HEIGHT, VALUES = TINY_VALUES };

static struct tiny tiny;
#define RENDER(...) tiny_must(&tiny, (const char *const[]){__VA_ARGS__, NULL})

static const char all[] = "@models/control-a,source=@pictures,weight=0:0.4, 5:1.2",
                  some[] = "@models/sparse-rgb,source=@pictures,frames=0;-1";

static void windows_take_their_frames(void **state)
{
    (void)state;
    struct tiny_clip one = RENDER("motion", "none", "control", all),
                     windows = RENDER("motion", "none", "control", all, "context-length", "3", "context-overlap", "1");
    check_same("in windows", windows.latents, one.latents, VALUES);
    struct tiny_clip plain = RENDER("motion", "none"),
                     still = RENDER("motion", "none", "control", "@models/control-a,source=@pictures/0.png");
    assert_true(tiny_differ(&one, &plain) && tiny_differ(&one, &still) && tiny_differ(&plain, &still));
    /* frame 0 has the same picture in both, but not the same weight; with weights of 1 it is the same, and all others are not */
    struct tiny_clip each = RENDER("motion", "none", "control", "@models/control-a,source=@pictures");
    check_same("frame 0", each.latents, still.latents, VALUES / FRAMES);
    for (int f = 1; f < FRAMES; f++)
        assert_true(
            memcmp(each.latents + f * VALUES / FRAMES, still.latents + f * VALUES / FRAMES, sizeof each.latents / FRAMES) != 0);
}

/* A share of steps in which there is none, weights of nothing; the unguided branch where there is none. */
static void what_counts_nowhere(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct tiny_clip plain = RENDER("motion", motion),
                     none = RENDER("motion", motion, "control", "@models/control-a,source=@pictures,end=0"),
                     nothing = RENDER("motion", motion, "control", "@models/control-a,source=@pictures,weight=0");
    check_same("in no step", none.latents, plain.latents, VALUES);
    check_same("with no weight", nothing.latents, plain.latents, VALUES);
    struct tiny_clip half = RENDER("motion", motion, "control", "@models/control-a,source=@pictures,end=0.5"),
                     whole = RENDER("motion", motion, "control", "@models/control-a,source=@pictures");
    assert_true(tiny_differ(&half, &plain) && tiny_differ(&half, &whole));
    struct tiny_clip prompt = RENDER("motion", motion, "control", "@models/control-a,source=@pictures,mode=prompt"),
                     control = RENDER("motion", motion, "control", "@models/control-a,source=@pictures,mode=control");
    assert_true(tiny_differ(&prompt, &whole) && tiny_differ(&prompt, &control));
    struct tiny_clip prompt1 =
                         RENDER("motion", motion, "cfg", "1", "control", "@models/control-a,source=@pictures,mode=prompt"),
                     control1 =
                         RENDER("motion", motion, "cfg", "1", "control", "@models/control-a,source=@pictures,mode=control");
    check_same("without an unguided branch", control1.latents, prompt1.latents, VALUES);
}

/* The smallest plan, with weights streamed, has the bits of the largest. */
static void plans_change_no_bit(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct tiny_clip free_plan = RENDER("motion", motion, "control", all, "control", some);
    char vram[32];
    vka_error err = {0};
    struct tiny_clip small;
    vka_status st = VKA_E_MEMORY;
    for (uint64_t share = 4; st == VKA_E_MEMORY && share < 10; share++) {
        err = (vka_error){0};
        snprintf(vram, sizeof vram, "%lluK", (unsigned long long)(free_plan.planned * share / 10 / 1024));
        st = tiny_render(&tiny, (const char *const[]){"motion", motion, "control", all, "control", some, "vram", vram, NULL},
                         &small, &err);
    }
    check_ok(st, &err);
    assert_true(small.planned < free_plan.planned);
    check_same("under a budget", small.latents, free_plan.latents, VALUES);
    struct tiny_clip windows = RENDER("motion", motion, "control", some, "context-length", "4", "context-overlap", "2");
    struct tiny_clip drawn =
        RENDER("motion", motion, "control", "@models/sparse-rgb,source=@pictures,frames=0;-1,encode=sample", "context-length",
               "4", "context-overlap", "2");
    assert_true(tiny_differ(&windows, &drawn));
}

static void hints_are_shown(void **state)
{
    (void)state;
    RENDER("motion", "none", "control", all, "control", "@models/sparse-rgb,source=@pictures,frames=0;-1,process=invert",
           "save-hints", "@hints");
    uint8_t given[HEIGHT * WIDTH * 3];
    for (int i = 0; i < FRAMES + 2; i++) {
        char path[160];
        uint32_t w = 0, h = 0, k = (uint32_t)(i < FRAMES ? i : i - FRAMES);
        uint8_t *rgb;
        vka_error err = {0};
        snprintf(path, sizeof path, "%s/pictures/%u.png", tiny.folder, (unsigned)k);
        check_ok(vka_picture_read(path, VKA_RESIZE_CROP, &w, &h, &rgb, &err), &err);
        memcpy(given, rgb, sizeof given);
        free(rgb);
        w = h = 0;
        snprintf(path, sizeof path, "%s/hints/control%d-%05u.png", tiny.folder, i >= FRAMES, (unsigned)k);
        check_ok(vka_picture_read(path, VKA_RESIZE_CROP, &w, &h, &rgb, &err), &err);
        assert_int_equal(w, WIDTH);
        assert_int_equal(h, HEIGHT);
        for (size_t n = 0; i >= FRAMES && n < sizeof given; n++)
            given[n] = (uint8_t)(255 - given[n]);
        assert_memory_equal(rgb, given, sizeof given);
        free(rgb);
    }
}

/* Every process on the device: another hint, the same again, and black pictures have no edges. */
static void processes(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "canny", "lineart", "soft-edge", "tile", "invert"};
    struct tiny_clip made[6];
    for (int i = 0; i < 6; i++) {
        char control[128];
        snprintf(control, sizeof control, "@models/control-a,source=@pictures/2.png,process=%s", names[i]);
        made[i] = RENDER("motion", "none", "control", control, "save-hints", "@made", "overwrite", "true");
        for (int k = 0; k < i; k++)
            if (!tiny_differ(&made[i], &made[k]))
                fail_msg("%s and %s are the same", names[i], names[k]);
        char path[160];
        uint32_t w = 0, h = 0, least = 255, most = 0;
        uint8_t *rgb;
        vka_error err = {0};
        snprintf(path, sizeof path, "%s/made/control0-00000.png", tiny.folder);
        check_ok(vka_picture_read(path, VKA_RESIZE_CROP, &w, &h, &rgb, &err), &err);
        for (size_t n = 0; n < (size_t)w * h * 3; n++) {
            least = rgb[n] < least ? rgb[n] : least;
            most = rgb[n] > most ? rgb[n] : most;
            assert_true(i != 1 || rgb[n] == 0 || rgb[n] == 255); /* canny */
        }
        assert_true(most > least);
        free(rgb);
    }
}

static void what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *control, *sentence;
        vka_status status;
    } cases[] = {
        {"@models/control-a", "has no pictures", VKA_E_USAGE},
        {"@models/control-a,source=@nowhere", "nowhere", VKA_E_INPUT},
        {"@models/control-a,source=@three", "has 3 pictures for a clip of 6 frames", VKA_E_INPUT},
        {"@models/sparse-rgb,source=@three,frames=0;2;4;5", "names more frames than there are pictures", VKA_E_INPUT},
        {"@models/sparse-rgb,source=@three,frames=0;6", "frame 6 is beyond", VKA_E_USAGE},
        {"@models/control-a,source=@pictures,frames=0", "'frames' is for SparseCtrl", VKA_E_USAGE},
        {"@models/sparse-scribble,source=@pictures,encode=sample", "'encode' is for SparseCtrl of pictures", VKA_E_USAGE},
        {"@models/motion-v2.safetensors,source=@pictures", "is a motion module, not a ControlNet", VKA_E_INPUT},
        {"@models/control-a,source=@pictures,start=0.6,end=0.5", "behind end", VKA_E_USAGE},
        {"no-such-controlnet,source=@pictures", "no-such-controlnet", VKA_E_INPUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny_clip c;
        vka_error err = {0};
        vka_status st =
            tiny_render(&tiny, (const char *const[]){"motion", "none", "control", cases[i].control, NULL}, &c, &err);
        if (st != cases[i].status || !strstr(err.what, cases[i].sentence))
            fail_msg("%s: %d, %s", cases[i].control, (int)st, err.what);
    }
}

/* ---- what there is to begin with -------------------------------------------------------------------------------------- */

static const uint8_t *picture(void *user, uint32_t index, vka_error *err)
{
    static uint8_t rgb[HEIGHT * WIDTH * 3];
    (void)user;
    (void)err;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7 + (size_t)index * 53 + i / 5 * 31);
    return rgb;
}

static void write_pictures(const char *name, uint32_t count)
{
    char path[160];
    vka_error err = {0};
    vka_media_result made = {0};
    snprintf(path, sizeof path, "%s/%s", tiny.folder, name);
    check_ok(vka_make_dirs(path, &err), &err);
    snprintf(path, sizeof path, "%s/%s/%%d.png", tiny.folder, name);
    vka_clip clip = {.width = WIDTH, .height = HEIGHT, .frames = count, .fps = 8, .get = picture};
    check_ok(vka_media_write(path, &clip, &made, &err), &err);
    vka_media_result_free(&made);
}

static int begin(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_gpu *gpu = check_open_gpu(); /* skipped where there is none */
    check_close_gpu(&gpu);
    tiny_begin(&tiny, "control");
    write_pictures("pictures", FRAMES);
    write_pictures("three", 3);
    check_ok(vka_context_create(&tiny.cx, NULL, &err), &err);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tiny_end(&tiny);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows_take_their_frames),
                                       cmocka_unit_test(what_counts_nowhere),
                                       cmocka_unit_test(plans_change_no_bit),
                                       cmocka_unit_test(hints_are_shown),
                                       cmocka_unit_test(processes),
                                       cmocka_unit_test(what_cannot_be)};
    return cmocka_run_group_tests(tests, begin, end);
}
