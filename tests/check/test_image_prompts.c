/* test_image_prompts.c - IP-Adapters in whole renders of the golden tests' models: windows take the pictures and weights of their own
 * frames, plans change no bit, what counts nowhere changes no bit either, and what cannot be is one sentence.
 *
 * Without a motion module frames know nothing of each other, so that a clip in windows has the bits of one in one piece, if every
 * frame gets its own picture and weight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = TINY_FRAMES, VALUES = TINY_VALUES };

static struct tiny tiny;
static const char *const vision[] = {"vision", "@models/vision", NULL};
#define RENDER(...) tiny_must(&tiny, (const char *const[]){__VA_ARGS__, NULL})

static const char wide[] = "@models/ip-plain.safetensors,image=@wide.png",
                  keyed[] = "@models/ip-plus.safetensors,image=@wide.png;@high.png,frames=0;4,weight=0:0.4;5:1.2";

static void windows_take_their_frames(void **state)
{
    (void)state;
    struct tiny_clip one = RENDER("motion", "none", "ip-adapter", keyed),
                     windows = RENDER("motion", "none", "ip-adapter", keyed, "context-length", "3", "context-overlap", "1");
    check_same("in windows", windows.latents, one.latents, VALUES);
    struct tiny_clip plain = RENDER("motion", "none"),
                     same = RENDER("motion", "none", "ip-adapter",
                                   "@models/ip-plus.safetensors,image=@wide.png,weight=0:0.4;5:1.2");
    assert_true(tiny_differ(&one, &plain));
    check_same("up to the second key", same.latents, one.latents, VALUES / FRAMES * 4); /* which is frame 4's */
    for (int f = 4; f < FRAMES; f++)
        assert_true(
            memcmp(one.latents + f * VALUES / FRAMES, same.latents + f * VALUES / FRAMES, sizeof one.latents / FRAMES) != 0);
}

/* Weights of nothing, no step; both branches have the picture, so that a share of the steps is seen without guidance too. */
static void what_counts_nowhere(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct tiny_clip plain = RENDER("motion", motion),
                     nothing = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,weight=0"),
                     none = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,end=0.3");
    check_same("weight 0", nothing.latents, plain.latents, VALUES);
    check_same("in no whole step", none.latents, plain.latents, VALUES);
    struct tiny_clip whole = RENDER("motion", motion, "ip-adapter", wide),
                     late = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,start=0.5");
    assert_true(tiny_differ(&whole, &plain) && tiny_differ(&late, &plain) && tiny_differ(&late, &whole));
    struct tiny_clip alone = RENDER("cfg", "1", "motion", motion),
                     with = RENDER("cfg", "1", "motion", motion, "ip-adapter", wide);
    assert_true(tiny_differ(&alone, &with));
}

static void plans_change_no_bit(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct tiny_clip big = RENDER("motion", motion, "ip-adapter", keyed, "ip-adapter", wide), small = big;
    vka_error err = {0};
    vka_status st = VKA_E_MEMORY;
    for (unsigned share = 2; st == VKA_E_MEMORY && share < 10; share++) { /* the least budget that will do */
        char vram[32];
        vka_error_clear(&err);
        snprintf(vram, sizeof vram, "%lluK", (unsigned long long)(big.planned * share / 10 / 1024));
        st = tiny_render(&tiny,
                         (const char *const[]){"motion", motion, "ip-adapter", keyed, "ip-adapter", wide, "vram", vram, NULL},
                         &small, &err);
    }
    check_ok(st, &err);
    assert_true(small.planned < big.planned);
    check_same("under a budget", small.latents, big.latents, VALUES);
}

static void what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *adapter, *sentence;
        vka_status status;
    } cases[] = {
        {"@models/ip-plain.safetensors", "is shown no picture", VKA_E_USAGE},
        {"@models/ip-plain.safetensors,image=@nowhere.png", "nowhere", VKA_E_INPUT},
        {"@models/ip-plain.safetensors,image=@models/motion-v2.safetensors", "motion-v2.safetensors'", VKA_E_INPUT},
        {"@models/ip-plain.safetensors,image=@wide.png,frames=6", "none of the clip's 6 frames", VKA_E_USAGE},
        {"@models/ip-plain.safetensors,image=@wide.png;@high.png,frames=3;2", "do not rise", VKA_E_USAGE},
        {"@models/ip-plain.safetensors,image=@wide.png;@high.png,frames=3", "2 pictures for 1 key frames", VKA_E_USAGE},
        {"@models/ip-plain.safetensors,image=@wide.png,start=0.5,end=0.4", "never works", VKA_E_USAGE},
        {"@models/ip-plain.safetensors,image=@wide.png,wight=1", "knows no setting 'wight'", VKA_E_USAGE},
        {"@models/motion-v2.safetensors,image=@wide.png", "is a motion module, not an IP-Adapter", VKA_E_INPUT},
        {"no-such-adapter,image=@wide.png", "no-such-adapter", VKA_E_INPUT},
        {"@alone.safetensors,image=@wide.png", "needs an image encoder", VKA_E_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny_clip c;
        vka_error err = {0};
        tiny.more = strstr(cases[i].adapter, "alone") ? NULL : vision;
        vka_status st =
            tiny_render(&tiny, (const char *const[]){"motion", "none", "ip-adapter", cases[i].adapter, NULL}, &c, &err);
        tiny.more = vision;
        if (st != cases[i].status || !strstr(err.what, cases[i].sentence))
            fail_msg("%s: %d, %s", cases[i].adapter, (int)st, err.what);
    }
}

/* ---- what there is to begin with -------------------------------------------------------------------------------------- */

static void copy(const char *from, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", tiny.folder, name);
    FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
    assert_true(in && out);
    for (int c; (c = getc(in)) != EOF;)
        putc(c, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static int begin(void **state)
{
    (void)state;
    vka_error err = {0};
    char path[600];
    vka_gpu *gpu = check_open_gpu(); /* skipped where there is none */
    check_close_gpu(&gpu);
    tiny_begin(&tiny, "ip");
    tiny.more = vision;
    tiny_golden("ip/wide.png", path, sizeof path);
    copy(path, "wide.png");
    tiny_golden("ip/high.png", path, sizeof path);
    copy(path, "high.png");
    snprintf(path, sizeof path, "%s/models/ip-plain.safetensors", tiny.folder);
    copy(path, "alone.safetensors");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows_take_their_frames), cmocka_unit_test(what_counts_nowhere),
                                       cmocka_unit_test(plans_change_no_bit), cmocka_unit_test(what_cannot_be)};
    return cmocka_run_group_tests(tests, begin, end);
}
