/* test_times.c - a GPU that also draws the desktop: no dispatch over 100 ms, no submission over 250 ms (DESIGN,
 * promise 6), by the estimates and with their caution, for Stable Diffusion 1.5 with AnimateDiff v2 and its VAE; and
 * pieces of a launch are the launch.  No device. */
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
#include <string.h>

static const double dispatch_limit = 0.1, submission_limit = 0.25;

static void pieces_are_the_launch(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {{1, 1, 1}, {7, 1, 1}, {5, 9, 1}, {9, 5, 1}, {4, 3, 6}, {3, 8, 2}, {60, 1, 1}, {2, 3, 40}};
    const struct vka_limits limits = {.dispatch = 0.5};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const uint32_t *g = shapes[i];
        uint32_t cut[3], all = vka_cut_pieces(&limits, g, 1e9, cut);
        assert_int_equal(all, g[2] > 1 ? g[1] * g[2] : g[0] * g[1]); /* x and z are numbered as one */
        for (uint32_t want = 1; want <= all; want++) {
            uint8_t seen[512] = {0};
            uint32_t pieces = vka_cut_pieces(&limits, g, 0.5 * want - 0.1, cut);
            assert_true(pieces >= want && pieces <= 2 * want && pieces == cut[0] * cut[1] * cut[2]);
            assert_true(g[2] == 1 || cut[0] == 1);
            for (uint32_t k = 0; k < pieces; k++) {
                uint32_t base[3], count[3];
                vka_cut_piece(g, cut, k, base, count);
                for (uint32_t z = base[2]; z < base[2] + count[2]; z++)
                    for (uint32_t y = base[1]; y < base[1] + count[1]; y++)
                        for (uint32_t x = base[0]; x < base[0] + count[0]; x++)
                            seen[(z * g[1] + y) * g[0] + x]++;
                for (uint32_t a = 0; a < 3; a++)
                    assert_in_range(count[a], g[a] / cut[a], (g[a] + cut[a] - 1) / cut[a]);
            }
            for (uint32_t n = 0; n < g[0] * g[1] * g[2]; n++)
                assert_int_equal(seen[n], 1);
        }
    }
}

/* The longest dispatch of a network at full speed, in seconds as far as it is known before the first run; *whole:
 * what it would be without cuts. */
static double longest(struct vka_netrun *run, const struct vka_kernel_table *table, const vka_gpu_info *info, double *whole)
{
    const struct vka_limits limits = vka_limits_for(info);
    const struct vka_rates rates = vka_exec_rates(info, 0);
    struct vka_addresses at;
    uint64_t *store;
    vka_error err = {0};
    double most = 0;
    assert_int_equal(vka_netrun_plan(run, UINT64_MAX, 0, &err), VKA_OK);
    assert_int_equal(vka_addresses_fake(run->plan, &at, &store, &err), VKA_OK);
    struct vka_program *p = vka_program_record(run->plan, table, &at, &rates, &err);
    assert_non_null(p);
    free(store);
    for (uint32_t i = 0; i < p->step_count; i++) {
        const struct vka_step *s = &p->steps[i];
        assert_true(s->launches == 1); /* else the step's time would have to be shared out */
        double seconds = s->seconds * limits.caution;
        uint32_t cut[3], pieces = vka_cut_pieces(&limits, p->launches[s->launch].groups, seconds, cut);
        *whole = seconds > *whole ? seconds : *whole;
        most = seconds / pieces > most ? seconds / pieces : most;
    }
    vka_program_destroy(&p);
    return most;
}

static void nothing_takes_long(void **state)
{
    (void)state;
    const vka_unet_config unet = networks_sd15_unet();
    const vka_motion_info motion = networks_v2_motion(&unet);
    const vka_vae_config vae = networks_sd15_vae();
    vka_weights *weights = networks_unet_table(&unet, NULL), *more = networks_motion_table(&motion, &unet, NULL);
    vka_weights *pictures = networks_vae_table(&vae, NULL);
    assert_true(weights && more && pictures);
    for (int k = 0; k < 4; k++) {
        vka_gpu_info info = {.integrated = k & 1};
        const struct vka_limits limits = vka_limits_for(&info);
        assert_true(limits.measured && limits.caution > 1);
        assert_true(limits.dispatch <= dispatch_limit && limits.submission <= submission_limit);
        assert_true(limits.list + limits.dispatch <= submission_limit);
        uint32_t size = k < 2 ? 64 : 128; /* 512 or 1024 pixels */
        struct vka_kernel_table table;
        vka_kernel_table_init(&table, NULL);
        struct vka_unet_stage u;
        struct vka_vae_stage v;
        vka_error err = {0};
        const struct vka_unet_stage_params p = {.weights = weights, .motion_weights = more, .config = &unet, .motion = &motion,
                                                .frames = 16, .height = size, .width = size, .branches = 2, .prompts = 2,
                                                .tokens = 77, .text_width = 768, .f16 = true, .table = table};
        double whole = 0, dispatch;
        assert_int_equal(vka_unet_stage_build(&u, &p, &err), VKA_OK);
        dispatch = longest(&u.unet, &table, &info, &whole);
        printf("UNet at %u pixels, %s: at most %.3f s of %.3f s\n", 8 * size, k & 1 ? "integrated" : "discrete", dispatch, whole);
        assert_true(dispatch <= dispatch_limit && whole > dispatch_limit);
        whole = 0;
        assert_int_equal(vka_vae_stage_build(&v, VKA_VAE_PICTURES, pictures, &vae, 1, size, size, true, &table, &err), VKA_OK);
        dispatch = longest(&v.run, &table, &info, &whole);
        printf("VAE at %u pixels, %s: at most %.3f s of %.3f s\n", 8 * size, k & 1 ? "integrated" : "discrete", dispatch, whole);
        assert_true(dispatch <= dispatch_limit && whole > dispatch_limit);
        vka_unet_stage_end(&u);
        vka_vae_stage_end(&v);
    }
    vka_weights_free(weights);
    vka_weights_free(more);
    vka_weights_free(pictures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_are_the_launch), cmocka_unit_test(nothing_takes_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
