/* test_image_prompts.c - IP-Adapters in whole renders of the golden tests' models: windows take the pictures and weights of their own
 * frames, plans change no bit, what counts nowhere changes no bit either, and what cannot be is one sentence.
 *
 * Without a motion module frames know nothing of each other, so that a clip in windows has the bits of one in one piece, if every
 * frame gets its own picture and weight. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "golden/redraw.h"
#include "harness.h"

#include "weights/safetensors.h"

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim.h>

enum { FRAMES = 6, WIDTH = 12, HEIGHT = 8, FACTOR = 2, VALUES = FRAMES * 4 * (WIDTH / FACTOR) * (HEIGHT / FACTOR) };

static char folder[] = "/tmp/vkanim-image-prompts-XXXXXX";
static vka_context *cx;
static bool blind; /* renders without --vision */

struct clip {
    float latents[VALUES];
    uint64_t planned; /* bytes of device memory */
};

/* Renders with the options, names and values in turn up to a NULL; "@x" in a value is x in the folder. */
static vka_status render(const char *const *options, struct clip *out, vka_error *err)
{
    static const char *const always[] = {"model", "@models/model", "prompt", "x", "width",     "12",  "height", "8", "frames", "6",
                                         "steps", "2",             "seed",   "1", "precision", "f32", NULL};
    vka_job *job = vka_job_create();
    const char *device = getenv("VKANIM_DEVICE");
    char *report = NULL, trace[128], webp[128];
    snprintf(trace, sizeof trace, "%s/trace.safetensors", folder);
    snprintf(webp, sizeof webp, "%s/out.webp", folder);
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
    char vision[128];
    snprintf(vision, sizeof vision, "%s/models/vision", folder);
    if (st == VKA_OK && !blind)
        st = vka_job_set(job, "vision", vision, err);
    if (st == VKA_OK)
        st = vka_job_set(job, "trace", trace, err);
    if (st == VKA_OK)
        st = vka_job_set(job, "output", webp, err);
    if (st == VKA_OK && device)
        st = vka_job_set(job, "device", device, err);
    if (st == VKA_OK)
        st = vka_job_set(job, "overwrite", "true", err);
    remove(trace);
    if (st == VKA_OK)
        st = vka_render(cx, job, &report, err);
    if (st == VKA_OK) {
        vka_safetensors t;
        json_t *r = json_loads(report, 0, NULL);
        check_ok(vka_safetensors_open(&t, trace, err), err);
        const vka_weight *w = vka_safetensors_find(&t, "latents");
        assert_true(w && vka_weight_count(w) == VALUES);
        vka_dtype_to_f32(out->latents, w->data, w->dtype, VALUES);
        out->planned = (uint64_t)json_integer_value(json_object_get(json_object_get(r, "memory"), "planned_bytes"));
        vka_safetensors_close(&t);
        json_decref(r);
    }
    vka_free(report);
    vka_job_destroy(&job);
    return st;
}

static struct clip must(const char *const *options)
{
    struct clip c;
    vka_error err = {0};
    check_ok(render(options, &c, &err), &err);
    check_finite("latents", c.latents, VALUES);
    return c;
}
#define RENDER(...) must((const char *const[]){__VA_ARGS__, NULL})

static bool differ(const struct clip *a, const struct clip *b) { return memcmp(a->latents, b->latents, sizeof a->latents) != 0; }

static const char wide[] = "@models/ip-plain.safetensors,image=@wide.png",
                  keyed[] = "@models/ip-plus.safetensors,image=@wide.png;@high.png,frames=0;4,weight=0:0.4;5:1.2";

static void windows_take_their_frames(void **state)
{
    (void)state;
    struct clip one = RENDER("motion", "none", "ip-adapter", keyed),
                windows = RENDER("motion", "none", "ip-adapter", keyed, "context-length", "3", "context-overlap", "1");
    check_same("in windows", windows.latents, one.latents, VALUES);
    struct clip plain = RENDER("motion", "none"), same = RENDER("motion", "none", "ip-adapter",
                                                                "@models/ip-plus.safetensors,image=@wide.png,weight=0:0.4;5:1.2");
    assert_true(differ(&one, &plain));
    check_same("up to the second key", same.latents, one.latents, VALUES / FRAMES * 4); /* which is frame 4's */
    for (int f = 4; f < FRAMES; f++)
        assert_true(memcmp(one.latents + f * VALUES / FRAMES, same.latents + f * VALUES / FRAMES, sizeof one.latents / FRAMES) != 0);
}

/* Weights of nothing, no step; both branches have the picture, so that a share of the steps is seen without guidance too. */
static void what_counts_nowhere(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct clip plain = RENDER("motion", motion),
                nothing = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,weight=0"),
                none = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,end=0.3");
    check_same("weight 0", nothing.latents, plain.latents, VALUES);
    check_same("in no whole step", none.latents, plain.latents, VALUES);
    struct clip whole = RENDER("motion", motion, "ip-adapter", wide),
                late = RENDER("motion", motion, "ip-adapter", "@models/ip-plain.safetensors,image=@wide.png,start=0.5");
    assert_true(differ(&whole, &plain) && differ(&late, &plain) && differ(&late, &whole));
    struct clip alone = RENDER("cfg", "1", "motion", motion), with = RENDER("cfg", "1", "motion", motion, "ip-adapter", wide);
    assert_true(differ(&alone, &with));
}

static void plans_change_no_bit(void **state)
{
    (void)state;
    const char motion[] = "@models/motion-v2.safetensors";
    struct clip big = RENDER("motion", motion, "ip-adapter", keyed, "ip-adapter", wide), small = big;
    vka_error err = {0};
    vka_status st = VKA_E_MEMORY;
    for (unsigned share = 2; st == VKA_E_MEMORY && share < 10; share++) { /* the least budget that will do */
        char vram[32];
        vka_error_clear(&err);
        snprintf(vram, sizeof vram, "%lluK", (unsigned long long)(big.planned * share / 10 / 1024));
        st = render((const char *const[]){"motion", motion, "ip-adapter", keyed, "ip-adapter", wide, "vram", vram, NULL}, &small, &err);
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
        {"@models/ip-plain.safetensors,image=@models/ip-plain.safetensors", "neither a picture", VKA_E_INPUT},
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
        struct clip c;
        vka_error err = {0};
        blind = strstr(cases[i].adapter, "alone") != NULL;
        vka_status st = render((const char *const[]){"motion", "none", "ip-adapter", cases[i].adapter, NULL}, &c, &err);
        blind = false;
        if (st != cases[i].status || !strstr(err.what, cases[i].sentence))
            fail_msg("%s: %d, %s", cases[i].adapter, (int)st, err.what);
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

static void copy(const char *from, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
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
    const char *root = getenv("VKA_TEST_ROOT");
    char set[512], tokenizer[512], models[64], path[600];
    vka_error err = {0};
    snprintf(models, sizeof models, "%s/models", folder);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", root ? root : VKA_SOURCE_DIR);
    for (int i = 0; i < 2; i++) {
        snprintf(set, sizeof set, "%s/tests/golden/%s", root ? root : VKA_SOURCE_DIR, i ? "ip" : "tiny");
        check_ok(vka_test_redraw(set, tokenizer, models, &err), &err);
    }
    snprintf(path, sizeof path, "%s/wide.png", set);
    copy(path, "wide.png");
    snprintf(path, sizeof path, "%s/high.png", set);
    copy(path, "high.png");
    snprintf(path, sizeof path, "%s/ip-plain.safetensors", models);
    copy(path, "alone.safetensors");
    check_ok(vka_context_create(&cx, NULL, &err), &err);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows_take_their_frames), cmocka_unit_test(what_counts_nowhere),
                                       cmocka_unit_test(plans_change_no_bit), cmocka_unit_test(what_cannot_be)};
    int failed = cmocka_run_group_tests(tests, begin, end);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
