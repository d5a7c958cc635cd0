/* test_long_plans.c - what clips in context windows need of Stable Diffusion 1.5 with AnimateDiff v2: device memory
 * that does not know how long the clip is; and the programs around the network, with the state in host memory, free
 * of hazards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "networks.h"

#include "render/stages.h"

#include <stdio.h>
#include <stdlib.h>

static vka_unet_config config;
static vka_motion_info motion;
static vka_weights *weights, *more;
static vka_sampler *sampler;

static void build(struct vka_unet_stage *s, uint32_t frames, uint32_t width, uint32_t height, uint32_t window)
{
    struct vka_unet_stage_params p = {.weights = weights,
                                      .motion_weights = more,
                                      .config = &config,
                                      .motion = &motion,
                                      .frames = frames,
                                      .height = height / 8,
                                      .width = width / 8,
                                      .branches = 2,
                                      .prompts = 2,
                                      .tokens = 77,
                                      .text_width = 768,
                                      .f16 = true,
                                      .sampler = sampler,
                                      .window = {window, 1, window / 4}};
    vka_error err = {0};
    vka_kernel_table_init(&p.table, NULL);
    if (vka_unet_stage_build(s, &p, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
}

static uint64_t plan(struct vka_unet_stage *s, uint64_t budget)
{
    uint64_t need;
    vka_error err = {0};
    assert_int_equal(vka_unet_stage_plan(s, budget, &need, &err), VKA_OK);
    return need;
}

static void any_length_needs_the_same(void **state)
{
    (void)state;
    static const uint32_t frames[] = {33, 64, 10000, 65535};
    struct vka_unet_stage s;
    build(&s, 16, 512, 512, 0);
    uint64_t piece = plan(&s, UINT64_MAX), first = 0, least = 0;
    vka_unet_stage_end(&s);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        build(&s, frames[i], 512, 512, 16);
        uint64_t need = plan(&s, UINT64_MAX), small = plan(&s, 0);
        first = i ? first : need;
        least = i ? least : small;
        printf("512 x 512, %u frames in windows of 16: %.3f GiB at full speed, %.3f GiB at least, %.3f GiB in host "
               "memory\n",
               frames[i], (double)need / 0x1p30, (double)small / 0x1p30,
               (double)vka_unet_stage_host_bytes(&s) / 0x1p30);
        assert_true(need == first && small == least);
        /* X, EPS and NOISE, 4 channels of 64 x 64 in fp32 */
        assert_true(vka_unet_stage_host_bytes(&s) >= (uint64_t)frames[i] * 3 * 4 * 64 * 64 * 4);
        vka_unet_stage_end(&s);
    }
    /* as one window: what is around it hardly counts, and X, EPS and NOISE, 2 MiB each, take turns */
    assert_true(first < piece && piece < first + (5 << 20));
    assert_true((double)first <= 3.3 * 0x1p30);
    build(&s, 64, 1024, 576, 16);
    uint64_t small = plan(&s, 0);
    printf("1024 x 576, 64 frames in windows of 16: %.3f GiB at least\n", (double)small / 0x1p30);
    assert_true((double)small <= 3.1 * 0x1p30);
    vka_unet_stage_end(&s);
}

static void prove(const struct vka_netrun *n, const struct vka_kernel_table *table)
{
    struct vka_addresses at;
    uint64_t *store;
    struct vka_rates rates = vka_exec_rates(NULL, 0);
    vka_error err = {0};
    assert_int_equal(vka_addresses_fake(n->plan, &at, &store, &err), VKA_OK);
    struct vka_program *p = vka_program_record(n->plan, table, &at, &rates, &err);
    assert_non_null(p);
    assert_true(p->launch_count > 0);
    if (vka_hazard_check(p, &err) != VKA_OK)
        fail_msg("%s: %s", n->graph->name, err.what);
    vka_program_destroy(&p);
    free(store);
}

static void programs_have_no_hazards(void **state)
{
    (void)state;
    struct vka_unet_stage s;
    build(&s, 100, 256, 256, 16);
    plan(&s, UINT64_MAX);
    assert_true(s.parked && s.length == 16 && s.patterns == 2); /* with noise, and the last step's without */
    prove(&s.begin, &s.p.table);
    prove(&s.guide, &s.p.table);
    for (uint32_t k = 0; k < s.patterns; k++)
        prove(&s.pattern[k], &s.p.table);
    vka_unet_stage_end(&s);
}

static int set_up(void **state)
{
    (void)state;
    vka_sampler_params sp = vka_sampler_params_default();
    vka_error err = {0};
    sp.sampler = VKA_SAMPLER_EULER_A;
    config = networks_sd15_unet();
    motion = networks_v2_motion(&config);
    weights = networks_unet_table(&config, NULL);
    more = networks_motion_table(&motion, &config, NULL);
    sampler = vka_sampler_create(&sp, &err);
    return weights && more && sampler ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vka_sampler_free(sampler);
    vka_weights_free(weights);
    vka_weights_free(more);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_needs_the_same),
        cmocka_unit_test(programs_have_no_hazards),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
