/* test_long_plans.c - what clips in context windows need of Stable Diffusion 1.5 with AnimateDiff v2: device memory
 * that does not know how long the clip is; and the programs around the network, with the state in host memory, free
 * of hazards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sd15_stage.h"

#include <stdio.h>
#include <stdlib.h>

static void build(struct sd15_stage *n, uint32_t frames, uint32_t width, uint32_t height, uint32_t window)
{
    const struct sd15_shape shape = {width, height, frames, window, VKA_SAMPLER_EULER_A};
    struct vka_kernel_table table;
    vka_kernel_table_init(&table, NULL);
    sd15_build(n, &table, &shape);
}

static void any_length_needs_the_same(void **state)
{
    (void)state;
    static const uint32_t frames[] = {33, 64, 10000, 65535};
    struct sd15_stage n;
    build(&n, 16, 512, 512, 0);
    uint64_t piece = sd15_plan(&n, UINT64_MAX), first = 0, least = 0;
    sd15_end(&n);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        build(&n, frames[i], 512, 512, 16);
        uint64_t need = sd15_plan(&n, UINT64_MAX), small = sd15_plan(&n, 0);
        first = i ? first : need;
        least = i ? least : small;
        printf("512 x 512, %u frames in windows of 16: %.3f GiB at full speed, %.3f GiB at least, %.3f GiB in host "
               "memory\n",
               frames[i], (double)need / 0x1p30, (double)small / 0x1p30,
               (double)vka_unet_stage_host_bytes(&n.stage) / 0x1p30);
        assert_true(need == first && small == least);
        /* X, EPS and NOISE, 4 channels of 64 x 64 in fp32 */
        assert_true(vka_unet_stage_host_bytes(&n.stage) >= (uint64_t)frames[i] * 3 * 4 * 64 * 64 * 4);
        sd15_end(&n);
    }
    /* as one window: what is around it hardly counts, and X, EPS and NOISE, 2 MiB each, take turns */
    assert_true(first < piece && piece < first + (5 << 20));
    assert_true((double)first <= 3.3 * 0x1p30); /* the goals for other clips are test_plan_table's */
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
    struct sd15_stage n;
    build(&n, 100, 256, 256, 16);
    sd15_plan(&n, UINT64_MAX);
    assert_true(n.stage.parked && n.stage.length == 16 &&
                n.stage.patterns == 2); /* with noise, and the last step's without */
    prove(&n.stage.begin, &n.stage.p.table);
    prove(&n.stage.guide, &n.stage.p.table);
    for (uint32_t k = 0; k < n.stage.patterns; k++)
        prove(&n.stage.pattern[k], &n.stage.p.table);
    sd15_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_needs_the_same),
        cmocka_unit_test(programs_have_no_hazards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
