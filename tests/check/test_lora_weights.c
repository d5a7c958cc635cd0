/* test_lora_weights.c - LoRAs whose weights change while a network is loaded: what is packed again has the bits of a fresh load.
 *
 * The model is the golden tests', drawn anew, with files of tests/golden/lora: an ordinary LoRA, DoRA, families mixed, norms and
 * a MotionLoRA at once.  Twenty changes to and fro, weights on the device and streamed from the host, in both types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "tiny.h"

#include "render/stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 2, HEIGHT = 4, WIDTH = 4, TOKENS = 7, FILES = 5, CHANGES = 20 };

static const char *const files[FILES] = {"kohya-df", "dora", "mixed", "norms", "motion-left"};
static const double weights[2][FILES] = {{0.8, 1.0, -0.3, 0.7, 1.1}, {-0.4, 0.0, 0.9, 0.2, 0.5}};

static vka_gpu *gpu;
static struct tiny tiny;

/* A model with its LoRAs and a UNet of it. */
struct loaded {
    vka_model *model;
    vka_motion *motion;
    vka_lora *lora[FILES];
    vka_lora_mix *mix;
    struct vka_unet_stage stage;
    float *context, *sample, *eps;
    size_t count;
};

static struct loaded load(bool with, unsigned which, bool f16, bool streamed)
{
    struct loaded l = {0};
    vka_error err = {0};
    char path[600];
    uint64_t need;
    snprintf(path, sizeof path, "%s/models/model", tiny.folder);
    check_ok(vka_model_open(&l.model, path, &err), &err);
    const vka_unet_config *unet = vka_model_unet(l.model, &err);
    snprintf(path, sizeof path, "%s/models/motion-v2.safetensors", tiny.folder);
    check_ok(vka_motion_open(&l.motion, path, &err), &err);
    l.mix = vka_lora_mix_create();
    assert_true(unet && l.mix);
    const struct vka_lora_tables tables = {.unet = vka_model_weights(l.model, VKA_PART_UNET, NULL),
                                           .motion = vka_motion_weights(l.motion)};
    for (int i = 0; with && i < FILES; i++) {
        vka_lora_fit fit;
        snprintf(path, sizeof path, "%s/golden/lora/%s.safetensors", VKA_TEST_DATA, files[i]);
        check_ok(vka_lora_open(&l.lora[i], path, &err), &err);
        check_ok(vka_lora_mix_add(l.mix, l.lora[i], &tables, which < 2 ? weights[which][i] : 0, 0, &fit, &err), &err);
        assert_true(fit.applied > 0);
    }
    struct vka_unet_stage_params p = {.weights = tables.unet,
                                      .motion_weights = tables.motion,
                                      .config = unet,
                                      .motion = vka_motion_describe(l.motion),
                                      .frames = FRAMES,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .branches = 1,
                                      .prompts = 1,
                                      .tokens = TOKENS,
                                      .text_width = unet->cross_attention_dim,
                                      .f16 = f16,
                                      .table = check_table(gpu)};
    struct vka_knobs knobs = vka_knobs_least();
    const struct vka_ask ask = {.room = {UINT64_MAX, UINT64_MAX}, .knobs = streamed ? &knobs : NULL};
    check_ok(vka_unet_stage_build(&l.stage, &p, &err), &err);
    check_ok(vka_unet_stage_ask(&l.stage, &ask, &need, &err), &err);
    assert_int_equal(l.stage.unet.plan->host_block_count > 0, streamed);
    check_ok(vka_unet_stage_start(&l.stage, gpu, NULL, &err), &err);
    l.count = (size_t)FRAMES * unet->in_channels * HEIGHT * WIDTH;
    l.context = check_random(1, (size_t)TOKENS * unet->cross_attention_dim, 1.0f);
    l.sample = check_random(2, l.count, 1.0f);
    l.eps = calloc(l.count, sizeof *l.eps);
    assert_non_null(l.eps);
    const int32_t index[FRAMES] = {0};
    check_ok(vka_unet_stage_prompt(&l.stage, l.context, index, &err), &err);
    return l;
}

static void release(struct loaded *l)
{
    vka_unet_stage_end(&l->stage);
    vka_lora_mix_destroy(l->mix);
    for (int i = 0; i < FILES; i++)
        vka_lora_close(l->lora[i]);
    vka_motion_close(l->motion);
    vka_model_close(l->model);
    free(l->context);
    free(l->sample);
    free(l->eps);
}

static void evaluate(struct loaded *l)
{
    vka_error err = {0};
    memset(l->eps, 0xff, l->count * sizeof *l->eps);
    check_ok(vka_unet_stage_once(&l->stage, l->sample, 501, l->eps, NULL, &err), &err);
}

static void weigh(struct loaded *l, unsigned which)
{
    vka_error err = {0};
    for (size_t i = 0; i < FILES; i++)
        vka_lora_mix_weigh(l->mix, i, which < 2 ? weights[which][i] : 0, 0);
    check_ok(vka_unet_stage_repack(&l->stage, NULL, &err), &err);
}

static bool same(const struct loaded *a, const struct loaded *b)
{
    return a->count == b->count && memcmp(a->eps, b->eps, a->count * sizeof *a->eps) == 0;
}

static void change(bool f16, bool streamed)
{
    struct loaded fresh[2] = {load(true, 0, f16, false), load(true, 1, f16, false)}, bare = load(false, 0, f16, false);
    struct loaded one = load(true, 0, f16, streamed);
    evaluate(&fresh[0]);
    evaluate(&fresh[1]);
    evaluate(&bare);
    assert_false(same(&fresh[0], &fresh[1]));
    assert_false(same(&fresh[0], &bare));
    for (unsigned i = 0; i < CHANGES; i++) {
        if (i)
            weigh(&one, i % 2);
        evaluate(&one);
        assert_true(same(&one, &fresh[i % 2]));
    }
    weigh(&one, 2); /* all 0: as if there were none */
    evaluate(&one);
    assert_true(same(&one, &bare));
    release(&fresh[0]);
    release(&fresh[1]);
    release(&bare);
    release(&one);
}

static void weights_on_the_device(void **state)
{
    (void)state;
    change(false, false);
}

static void weights_streamed(void **state)
{
    (void)state;
    change(false, true);
}

static void weights_in_16_bits(void **state)
{
    (void)state;
    if (check_table(gpu).storage_f16)
        change(true, false);
    else
        skip();
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
        cmocka_unit_test(weights_on_the_device),
        cmocka_unit_test(weights_streamed),
        cmocka_unit_test(weights_in_16_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
