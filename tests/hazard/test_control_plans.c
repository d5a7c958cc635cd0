/* test_control_plans.c - Stable Diffusion 1.5 with AnimateDiff v2 and ControlNets: plans free of hazards, and the smallest of them as
 * small as without, since a ControlNet's blocks are segments of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sd15_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct control {
    vka_control_info info;
    vka_weights *weights, *unet;
};

static void add(struct control *c, const char *name, uint32_t out, uint32_t in, uint32_t kernel)
{
    char full[96];
    vka_weight w = {.name = full, .dtype = VKA_WEIGHT_F16, .rank = 4, .dims = {out, in, kernel, kernel}};
    snprintf(full, sizeof full, "%s.weight", name);
    assert_true(vka_weights_add(c->weights, full, &w));
    w.rank = 1;
    snprintf(full, sizeof full, "%s.bias", name);
    assert_true(vka_weights_add(c->weights, full, &w));
}

/* A UNet's encoder with what a ControlNet has besides. */
static void make(struct control *c, const vka_unet_config *unet)
{
    static const uint32_t widths[8] = {3, 16, 16, 32, 32, 96, 96, 256};
    char name[64];
    uint32_t output = 0;
    vka_error err = {0};
    *c = (struct control){.info = {.unet = *unet, .outputs = 1 + unet->levels, .hint_channels = 3, .hint_convs = 6, .hint_factor = 8}};
    c->unet = networks_unet_table(unet, NULL);
    c->weights = vka_weights_new("the ControlNet");
    assert_true(c->unet && c->weights);
    for (size_t i = 0; i < vka_weights_count(c->unet); i++)
        assert_true(vka_weights_add(c->weights, vka_weights_at(c->unet, i)->name, vka_weights_at(c->unet, i)));
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof name, i == 0 ? "controlnet_cond_embedding.conv_in" : i == 7 ? "controlnet_cond_embedding.conv_out"
                                                                                          : "controlnet_cond_embedding.blocks.%u", i - 1);
        add(c, name, i < 7 ? widths[i + 1] : unet->channels[0], widths[i], 3);
    }
    for (uint32_t l = 0; l < unet->levels; l++) {
        c->info.outputs += unet->layers[l];
        for (uint32_t k = 0; k < unet->layers[l] + 1; k++) { /* what enters the level, and its layers */
            snprintf(name, sizeof name, "controlnet_down_blocks.%u", output++);
            uint32_t width = unet->channels[k ? l : l ? l - 1 : 0];
            add(c, name, width, width, 1);
        }
    }
    add(c, "controlnet_mid_block", unet->channels[unet->levels - 1], unet->channels[unet->levels - 1], 1);
    assert_int_equal(output + 1, c->info.outputs);
    assert_int_equal(vka_weights_finish(c->weights, &err), VKA_OK);
}

static vka_status no_hint(void *user, uint32_t branch, uint32_t frame, void *out, vka_error *err)
{
    (void)user, (void)branch, (void)frame, (void)out, (void)err;
    return VKA_OK;
}

/* The stage once more with `count` controls. */
static void build(struct sd15_stage *n, uint32_t pixels, struct control *c, uint32_t count)
{
    const struct sd15_shape shape = {pixels, pixels, 16, 0, vka_sampler_params_default().sampler};
    struct vka_kernel_table table;
    vka_error err = {0};
    vka_kernel_table_init(&table, NULL);
    sd15_build(n, &table, &shape);
    struct vka_unet_stage_params p = n->stage.p;
    vka_unet_stage_end(&n->stage);
    for (uint32_t i = 0; i < count; i++) {
        struct vka_unet_control *to = &p.controls[p.control_count++];
        *to = (struct vka_unet_control){.weights = c->weights, .info = &c->info, .value = p.value_count, .get = no_hint};
        for (uint32_t k = 0; k < c->info.outputs; k++)
            to->layers[k] = 1;
        p.values[p.value_count++] = (struct vka_frame_values){.end = 1};
    }
    if (vka_unet_stage_build(&n->stage, &p, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
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
    if (vka_hazard_check(p, &err) != VKA_OK)
        fail_msg("%s: %s", n->graph->name, err.what);
    vka_program_destroy(&p);
    free(store);
}

static void no_hazards(void **state)
{
    (void)state;
    struct control c;
    vka_unet_config unet = networks_sd15_unet();
    make(&c, &unet);
    struct sd15_stage n;
    build(&n, 256, &c, 2);
    uint64_t most = sd15_plan(&n, UINT64_MAX);
    prove(&n.stage.unet, &n.stage.p.table);
    uint64_t least = sd15_plan(&n, 0);
    prove(&n.stage.unet, &n.stage.p.table);
    assert_true(least < most / 4);
    sd15_end(&n);
    vka_weights_free(c.weights);
    vka_weights_free(c.unet);
}

static void as_small_as_without(void **state)
{
    (void)state;
    enum { HINTS = 32 << 20 }; /* bytes of 16 frames of 512 x 512, for both branches */
    struct control c;
    vka_unet_config unet = networks_sd15_unet();
    make(&c, &unet);
    struct sd15_stage n;
    build(&n, 512, &c, 0);
    uint64_t without = sd15_plan(&n, 0);
    sd15_end(&n);
    build(&n, 512, &c, 1);
    uint64_t with = sd15_plan(&n, 0), free_plan = sd15_plan(&n, UINT64_MAX);
    printf("512 x 512, 16 frames with a ControlNet: %.3f GiB at full speed, %.3f GiB at least (%.3f without one)\n",
           (double)free_plan / 0x1p30, (double)with / 0x1p30, (double)without / 0x1p30);
    assert_true(with < without + HINTS + (64 << 20));
    sd15_end(&n);
    vka_weights_free(c.weights);
    vka_weights_free(c.unet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_hazards), cmocka_unit_test(as_small_as_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
