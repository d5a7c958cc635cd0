/* test_lists.c - launches cut by time give the bits of whole ones: a UNet on the device with its own kernels and with those
 * of a GPU, with launches along x, y and folded into z; cuts that follow the measured times; and so do budgets, down to weights
 * that are streamed unit by unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "networks.h"

#include "render/stages.h"

#include <stdlib.h>

enum { NUMBERS = 1 << 19, FRAMES = 3, SIZE = 16, TOKENS = 20 };

static vka_gpu *gpu;
static uint16_t *halves;

struct network {
    vka_unet_config config;
    vka_motion_info motion;
    vka_weights *weights, *motion_weights;
    struct vka_unet_stage stage;
    float *sample, *eps, *whole;
    size_t elements;
};

/* The network on the device within a budget, run once in whole launches: n->whole.  Returns what was planned. */
static uint64_t start(struct network *n, const struct vka_kernel_table *table, bool f16, uint64_t budget)
{
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_error err = {0};
    uint64_t need;
    int32_t index[2 * FRAMES] = {0};
    n->config = networks_small_unet(16, 2, 1);
    n->motion = networks_v2_motion(&n->config);
    n->weights = networks_unet_table(&n->config, &numbers);
    n->motion_weights = networks_motion_table(&n->motion, &n->config, &numbers);
    assert_true(n->weights && n->motion_weights);
    const struct vka_unet_stage_params p = {.weights = n->weights, .motion_weights = n->motion_weights, .config = &n->config,
                                            .motion = &n->motion, .frames = FRAMES, .height = SIZE, .width = SIZE,
                                            .branches = 2, .prompts = 1, .tokens = TOKENS,
                                            .text_width = n->config.cross_attention_dim, .f16 = f16, .table = *table};
    n->elements = (size_t)2 * FRAMES * n->config.in_channels * SIZE * SIZE;
    float *context = check_random(7, (size_t)TOKENS * p.text_width, 1.0f);
    n->sample = check_random(8, n->elements, 1.5f);
    n->whole = calloc(n->elements, sizeof *n->whole);
    n->eps = calloc(n->elements, sizeof *n->eps);
    assert_true(n->whole && n->eps);
    check_ok(vka_unet_stage_build(&n->stage, &p, &err), &err);
    check_ok(vka_unet_stage_plan(&n->stage, budget, &need, &err), &err);
    vka_gpu_reset_peak(gpu);
    check_ok(vka_unet_stage_start(&n->stage, gpu, NULL, &err), &err);
    check_ok(vka_unet_stage_prompt(&n->stage, context, index, &err), &err);
    check_ok(vka_unet_stage_once(&n->stage, n->sample, 501, n->whole, NULL, &err), &err);
    free(context);
    return need;
}

static void end(struct network *n)
{
    vka_unet_stage_end(&n->stage);
    vka_weights_free(n->weights);
    vka_weights_free(n->motion_weights);
    free(n->sample);
    free(n->whole);
    free(n->eps);
}

static void run_with(struct network *n, const struct vka_limits *limits)
{
    vka_error err = {0};
    struct vka_exec *e = n->stage.unet.exec;
    if (limits) {
        e->limits = *limits;
        check_ok(vka_exec_record(e, &err), &err);
        n->stage.first = true; /* what runs once is cut too */
    }
    check_ok(vka_unet_stage_once(&n->stage, n->sample, 501, n->eps, NULL, &err), &err);
    check_same("cut by time", n->eps, n->whole, n->elements);
}

static struct vka_kernel_table own_kernels(void)
{
    return check_table(gpu);
}

static void cuts_change_no_bit(void **state)
{
    (void)state;
    /* whole; into a few pieces; into as many as there are workgroups, few in a submission */
    static const double seconds[] = {1e3, 1e-5, 1e-9};
    for (int k = 0; k < 3; k++) {
        struct vka_kernel_table t = own_kernels();
        if (k) { /* a GPU's portable kernels */
            t.cpu = t.wide_loads = false, t.subgroup_size = 0;
            t.path = t.path > VKA_PATH_FP16 ? VKA_PATH_FP16 : t.path;
        }
        if (k == 2)
            t.max_groups[0] = 3;
        struct network n;
        uint32_t before = 0;
        start(&n, &t, k == 1 && t.storage_f16, UINT64_MAX);
        for (int i = 0; i < 3; i++) {
            run_with(&n, &(struct vka_limits){seconds[i], i == 2 ? 1e-2 : seconds[i], i == 2 ? 1e-1 : 2 * seconds[i], 1, false});
            const struct vka_lists *l = &n.stage.unet.exec->lists;
            assert_true(i == 0 ? l->dispatches == l->program->launch_count : l->dispatches > before + before / 2);
            before = l->dispatches;
        }
        end(&n);
    }
}

static void cuts_follow_the_times(void **state)
{
    (void)state;
    if (!vka_gpu_describe(gpu)->timestamps)
        skip();
    struct vka_kernel_table t = own_kernels();
    struct network n;
    start(&n, &t, false, UINT64_MAX);
    const struct vka_lists *l = &n.stage.unet.exec->lists;
    /* far too cautious at first: the first run shows that nothing needs a cut */
    run_with(&n, &(struct vka_limits){10, 20, 40, 1e9, true});
    assert_int_equal(l->dispatches, l->program->launch_count);
    for (int i = 0; i < 3; i++)
        run_with(&n, NULL);
    assert_int_equal(l->dispatches, l->program->launch_count);
    /* far too bold: what takes longer than it may is cut, though the first runs are long over */
    run_with(&n, &(struct vka_limits){1e-4, 2e-4, 1, 1e-6, true});
    assert_true(l->dispatches > l->program->launch_count);
    for (int i = 0; i < 3; i++)
        run_with(&n, NULL);
    uint32_t settled = l->dispatches;
    n.stage.unet.exec->lists.limits.dispatch = 1e-5;
    run_with(&n, NULL);
    assert_true(l->dispatches >= settled);
    end(&n);
}

static void budgets_change_no_bit(void **state)
{
    (void)state;
    enum { BUDGETS = 6 };
    for (int f16 = 0; f16 < 2; f16++) {
        struct vka_kernel_table t = own_kernels();
        if (f16 && !t.storage_f16)
            continue;
        struct network whole, n;
        uint32_t streamed = 0, parts = 0;
        uint64_t most = start(&whole, &t, f16, UINT64_MAX), least = start(&n, &t, f16, 0);
        end(&n);
        for (int b = 0; b <= BUDGETS; b++) {
            uint64_t budget = least + (most - least) / BUDGETS * (uint64_t)b, peak, need = start(&n, &t, f16, budget);
            const struct vka_plan *p = n.stage.unet.exec->plan;
            vka_gpu_device_bytes(gpu, &peak);
            assert_true(need <= budget);
            assert_true(peak == need + most); /* both networks are there, and nothing else */
            check_same("within a budget", n.whole, whole.whole, n.elements);
            run_with(&n, NULL); /* again, without what runs once */
            streamed += p->unit_count > 0;
            for (uint32_t i = 0; i < p->segment_count; i++)
                parts = p->segments[i].parts > parts ? p->segments[i].parts : parts;
            end(&n);
        }
        end(&whole);
        assert_true(streamed >= 2 && parts >= 2);
    }
}

static int set_up(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    halves = check_random_halves(11, NUMBERS, 0.25f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(halves);
    check_close_gpu(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cuts_change_no_bit), cmocka_unit_test(cuts_follow_the_times),
                                       cmocka_unit_test(budgets_change_no_bit)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
