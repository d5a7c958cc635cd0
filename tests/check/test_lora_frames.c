/* test_lora_frames.c - LoRAs whose weight is another in every frame: low-rank products beside the layers, against the same files
 * merged, which the golden tests hold against PEFT, LyCORIS and diffusers.
 *
 * The model is the golden tests', drawn anew.  The same weight in all frames gives what merging with it gives; without a motion
 * module every frame gives what merging with its own weight gives; weights of 0 give what no LoRA gives.  With a motion module
 * tests/reference/lora_frames.py compares with diffusers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "tiny.h"

#include "render/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 3, BRANCHES = 2, SAMPLES = FRAMES * BRANCHES, HEIGHT = 8, WIDTH = 8, TOKENS = 7, MOST = 3 };

static vka_gpu *gpu;
static struct tiny tiny;

/* Some files with a weight for each frame; NULL: no more. */
struct files {
    const char *name[MOST];
    float weight[MOST][FRAMES];
};

enum how { NONE, MERGED, TRAVELLING };

struct answer {
    float *eps; /* [SAMPLES][frame] */
    size_t frame;
};

/* Nothing that the plan launches gets in each other's way. */
static void check_hazards(const struct vka_netrun *run)
{
    struct vka_addresses at;
    uint64_t *store;
    vka_error err = {0};
    const struct vka_rates rates = vka_exec_rates(NULL, 0);
    check_ok(vka_addresses_fake(run->plan, &at, &store, &err), &err);
    struct vka_program *p = vka_program_record(run->plan, &run->table, &at, &rates, &err);
    free(store);
    assert_non_null(p);
    check_ok(vka_hazard_check(p, &err), &err);
    vka_program_destroy(&p);
}

/* What the network answers with the files, merged with their weights of frame `at`, or travelling. */
static struct answer ask(const struct files *files, enum how how, uint32_t at, bool motion, bool f16, bool least)
{
    vka_error err = {0};
    vka_model *model;
    vka_motion *module = NULL;
    vka_lora *lora[MOST] = {NULL};
    char path[600];
    uint64_t need;
    snprintf(path, sizeof path, "%s/models/model", tiny.folder);
    check_ok(vka_model_open(&model, path, &err), &err);
    const vka_unet_config *unet = vka_model_unet(model, &err);
    snprintf(path, sizeof path, "%s/models/motion-v2.safetensors", tiny.folder);
    if (motion)
        check_ok(vka_motion_open(&module, path, &err), &err);
    vka_lora_mix *mix = vka_lora_mix_create();
    vka_lora_travel *travel = vka_lora_travel_create();
    assert_true(unet && mix && travel);
    const struct vka_lora_tables tables = {.unet = vka_model_weights(model, VKA_PART_UNET, NULL),
                                           .motion = motion ? vka_motion_weights(module) : NULL};
    struct vka_unet_stage_params p = {.weights = tables.unet,
                                      .motion_weights = tables.motion,
                                      .config = unet,
                                      .motion = motion ? vka_motion_describe(module) : NULL,
                                      .frames = FRAMES,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .branches = BRANCHES,
                                      .prompts = 2,
                                      .tokens = TOKENS,
                                      .text_width = unet->cross_attention_dim,
                                      .f16 = f16,
                                      .table = check_table(gpu)};
    for (int i = 0; how != NONE && i < MOST && files->name[i]; i++) {
        vka_lora_fit fit;
        snprintf(path, sizeof path, "%s/golden/lora/%s.safetensors", VKA_TEST_DATA, files->name[i]);
        check_ok(vka_lora_open(&lora[i], path, &err), &err);
        if (how == MERGED)
            check_ok(vka_lora_mix_add(mix, lora[i], &tables, (double)files->weight[i][at], 0, &fit, &err), &err);
        else {
            check_ok(vka_lora_travel_add(travel, lora[i], &tables, &fit, &err), &err);
            p.values[p.value_count++] = (struct vka_frame_values){.frame = files->weight[i], .end = 1};
            p.low_rank = travel;
        }
        assert_true(fit.applied > 0);
    }
    struct vka_unet_stage stage;
    struct vka_knobs knobs = vka_knobs_least();
    const struct vka_ask wish = {.room = {UINT64_MAX, UINT64_MAX}, .knobs = least ? &knobs : NULL};
    check_ok(vka_unet_stage_build(&stage, &p, &err), &err);
    check_ok(vka_unet_stage_ask(&stage, &wish, &need, &err), &err);
    check_hazards(&stage.unet);
    check_ok(vka_unet_stage_start(&stage, gpu, NULL, &err), &err);
    struct answer a = {.frame = (size_t)unet->in_channels * HEIGHT * WIDTH};
    float *context = check_random(1, (size_t)2 * TOKENS * unet->cross_attention_dim, 1.0f);
    float *sample = check_random(2, SAMPLES * a.frame, 1.0f);
    a.eps = calloc(SAMPLES * a.frame, sizeof *a.eps);
    assert_non_null(a.eps);
    const int32_t index[SAMPLES] = {0, 0, 0, 1, 0, 1};
    check_ok(vka_unet_stage_prompt(&stage, context, index, &err), &err);
    check_ok(vka_unet_stage_once(&stage, sample, 501, a.eps, NULL, &err), &err);
    vka_unet_stage_end(&stage);
    vka_lora_mix_destroy(mix);
    vka_lora_travel_destroy(travel);
    for (int i = 0; i < MOST; i++)
        vka_lora_close(lora[i]);
    vka_motion_close(module);
    vka_model_close(model);
    free(context);
    free(sample);
    return a;
}

/* Relative l2 of two answers, of one frame's samples or (FRAMES) of all. */
static double apart(const struct answer *got, const struct answer *want, uint32_t frame)
{
    double difference = 0, size = 0;
    for (uint32_t s = 0; s < SAMPLES; s++)
        for (size_t i = s * got->frame; (frame == FRAMES || s % FRAMES == frame) && i < (s + 1) * got->frame; i++) {
            difference += pow((double)got->eps[i] - (double)want->eps[i], 2);
            size += pow((double)want->eps[i], 2);
        }
    return sqrt(difference / size);
}

static void check_files(const struct files *f, bool motion, bool f16, double limit)
{
    struct answer bare = ask(f, NONE, 0, motion, f16, false);
    struct files one = *f; /* the last frame's weight in all of them; then none */
    for (int i = 0; i < MOST; i++)
        for (int k = 0; k < FRAMES; k++)
            one.weight[i][k] = f->weight[i][FRAMES - 1];
    struct answer want = ask(&one, MERGED, 0, motion, f16, false), got = ask(&one, TRAVELLING, 0, motion, f16, false);
    double moved = apart(&want, &bare, FRAMES), error = apart(&got, &want, FRAMES);
    if (!(moved > 30 * limit) || !(error <= limit))
        fail_msg("%s: %g from the merged one, which is %g from none", f->name[0], error, moved);
    free(got.eps);
    free(want.eps);
    memset(one.weight, 0, sizeof one.weight);
    got = ask(&one, TRAVELLING, 0, motion, f16, false);
    if (apart(&got, &bare, FRAMES) > 1e-6 && !f16)
        fail_msg("%s: %g from none with a weight of 0", f->name[0], apart(&got, &bare, FRAMES));
    free(got.eps);
    got = ask(f, TRAVELLING, 0, motion, f16, false);
    struct answer least = ask(f, TRAVELLING, 0, motion, f16, true);
    if (memcmp(got.eps, least.eps, SAMPLES * got.frame * sizeof *got.eps) != 0)
        fail_msg("%s: other bits where the least is on the device", f->name[0]);
    for (uint32_t k = 0; !motion && k < FRAMES; k++) {
        want = ask(f, MERGED, k, motion, f16, false);
        error = apart(&got, &want, k);
        if (!(error <= limit))
            fail_msg("%s: frame %u is %g from the merged one", f->name[0], k, error);
        free(want.eps);
    }
    free(least.eps);
    free(got.eps);
    free(bare.eps);
}

static void for_pictures(void **state)
{
    (void)state;
    static const struct files all[] = {
        {{"kohya-df"}, {{1, -0.4f, 0.7f}}},
        {{"kohya-ldm"}, {{0, 0.5f, 0.8f}}},
        {{"locon"}, {{0.9f, 0, -0.6f}}},
        {{"locon-tucker"}, {{0.2f, 1, 0.6f}}},
        {{"peft-alpha"}, {{0.9f, 0, 0.5f}}},
        {{"diffusers-lora"}, {{0.5f, 1, 0.9f}}},
        {{"kohya-noalpha", "locon", "processors"}, {{0.6f, 0, 0.5f}, {0, -0.7f, 0.4f}, {0.3f, 1, 0.8f}}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_files(&all[i], false, false, 1e-4);
}

static void for_motion(void **state)
{
    (void)state;
    static const struct files all[] = {
        {{"motion-left"}, {{0, 0.5f, 1}}},
        {{"motion-peft", "kohya-df"}, {{0.8f, 0, 0.4f}, {0, 1, 0.7f}}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_files(&all[i], true, false, 1e-4);
}

static void in_16_bits(void **state)
{
    (void)state;
    static const struct files f = {{"locon", "kohya-df"}, {{0.9f, 0, -0.6f}, {0.3f, 1, 0.8f}}};
    if (check_table(gpu).storage_f16)
        check_files(&f, false, true, 4e-3);
    else
        skip();
}

/* What is no product of two matrices is refused, and damage is named. */
static void refused(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"loha", "LoHa"}, {"lokr", "LoKr"},   {"dora", "DoRA"}, {"full", "difference"},
                                           {"glora", "GLoRA"}, {"norms", "norm"}, {"damage/width", "does not fit"},
                                           {"damage/nan", "NaN"}, {"damage/no-up", "no up"}, {"kohya-te", "changes nothing"}};
    vka_error err = {0};
    vka_model *model;
    char path[600];
    snprintf(path, sizeof path, "%s/models/model", tiny.folder);
    check_ok(vka_model_open(&model, path, &err), &err);
    const struct vka_lora_tables tables = {.unet = vka_model_weights(model, VKA_PART_UNET, NULL)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vka_lora *l = NULL;
        vka_lora_fit fit;
        vka_lora_travel *travel = vka_lora_travel_create();
        snprintf(path, sizeof path, "%s/golden/lora/%s.safetensors", VKA_TEST_DATA, names[i][0]);
        err = (vka_error){0};
        check_ok(vka_lora_open(&l, path, &err), &err);
        vka_status st = vka_lora_travel_add(travel, l, &tables, &fit, &err);
        if (st != VKA_E_INPUT || !strstr(err.what, names[i][1]))
            fail_msg("%s: status %d, '%s'", names[i][0], st, err.what);
        vka_lora_travel_destroy(travel);
        vka_lora_close(l);
    }
    vka_model_close(model);
}

static int set_up(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    tiny_begin(&tiny, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vka_gpu_destroy(&gpu);
    tiny_end(&tiny);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_pictures),
        cmocka_unit_test(for_motion),
        cmocka_unit_test(in_16_bits),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
