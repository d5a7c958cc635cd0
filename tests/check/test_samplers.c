/* test_samplers.c - every sampler on the device, with a small network.
 *
 * Each evaluation's operations come out to the bit as the shader's rounding says and near what vka_sampler_apply gives in
 * double for the device's own model outputs.  Where the clip's state is changes no bit, and neither does going on from
 * the slots that a checkpoint keeps, after whichever step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "numbers.h"

#include "render/run.h"
#include "render/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 6, FRAMES = 3, TOKENS = 12, HEIGHT = 6, WIDTH = 5 };
static const double CFG = 3.5;

struct clip {
    vka_unet_config config;
    vka_weights *weights;
    vka_sampler *sampler;
    float *context, *noise, *drawn;
    size_t all; /* elements of a clip tensor */
};

static struct clip clip_of(vka_sampler_id id)
{
    struct clip c = {.config = networks_small_unet(16, 2, 1)};
    vka_sampler_params p = vka_sampler_params_default();
    vka_error err = {0};
    p.sampler = id;
    p.steps = STEPS;
    c.weights = networks_unet_table(&c.config, &numbers);
    c.sampler = vka_sampler_create(&p, &err);
    assert_true(c.weights && c.sampler);
    c.all = (size_t)FRAMES * c.config.in_channels * HEIGHT * WIDTH;
    c.context = check_random(7, (size_t)2 * TOKENS * c.config.cross_attention_dim, 1.0f);
    c.noise = check_random(8, c.all, 1.5f);
    c.drawn = check_random(9, 2 * STEPS * c.all, 1.0f);
    for (size_t i = 0; i < c.all; i++)
        c.noise[i] *= (float)vka_sampler_init_noise_scale(c.sampler);
    return c;
}

static void release(struct clip *c)
{
    free(c->context);
    free(c->noise);
    free(c->drawn);
    vka_sampler_free(c->sampler);
    vka_weights_free(c->weights);
}

static void start(struct vka_unet_stage *s, const struct clip *c, bool park)
{
    const struct vka_unet_stage_params p = {.weights = c->weights,
                                            .config = &c->config,
                                            .frames = FRAMES,
                                            .height = HEIGHT,
                                            .width = WIDTH,
                                            .branches = 2,
                                            .prompts = 2,
                                            .tokens = TOKENS,
                                            .text_width = c->config.cross_attention_dim,
                                            .sampler = c->sampler,
                                            .table = check_table(gpu),
                                            .park = park,
                                            .slice = park ? 2 : 0};
    static const int32_t index[2 * FRAMES] = {0, 0, 0, 1, 1, 1};
    vka_error err = {0};
    uint64_t need;
    check_ok(vka_unet_stage_build(s, &p, &err), &err);
    check_ok(vka_unet_stage_plan(s, UINT64_MAX, &need, &err), &err);
    check_ok(vka_unet_stage_start(s, gpu, NULL, &err), &err);
    check_ok(vka_unet_stage_prompt(s, c->context, index, &err), &err);
}

static void eval(struct vka_unet_stage *s, const struct clip *c, uint32_t i)
{
    const vka_sampler_eval *e = vka_sampler_eval_at(c->sampler, i);
    vka_error err = {0};
    if (e->draws_noise)
        check_ok(vka_unet_stage_set(s, VKA_SLOT_NOISE, c->drawn + i * c->all, &err), &err);
    check_ok(vka_unet_stage_eval(s, e, CFG, NULL, &err), &err);
}

/* One operation rounded term by term as shaders/combine.comp does; zero coefficients are left out. */
static void combine(float *out, float *const *slot, const vka_sampler_op *op, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        bool begun = false;
        for (uint32_t t = 0; t < op->terms; t++) {
            float a = (float)op->coef[t], term = a * slot[op->slot[t]][i];
            if (a != 0.0f)
                sum = begun ? sum + term : term;
            begun = begun || a != 0.0f;
        }
        out[i] = sum;
    }
}

/* Runs the clip and follows it in fp32 and in double; `kept` [steps][slots] are the lasting slots after each step. */
static double follow(struct vka_unet_stage *s, const struct clip *c, const char *name, float *latents,
                     float *kept[STEPS][VKA_SLOTS])
{
    float *single[VKA_SLOTS], *got = calloc(c->all, sizeof *got);
    double *reference[VKA_SLOTS], worst = 0.0;
    uint32_t lasting = vka_sampler_lasting(c->sampler), written = 1u << VKA_SLOT_X;
    vka_error err = {0};
    assert_non_null(got);
    for (int k = 0; k < VKA_SLOTS; k++) {
        single[k] = calloc(c->all, sizeof **single);
        reference[k] = calloc(c->all, sizeof **reference);
        assert_true(single[k] && reference[k]);
    }
    memcpy(single[VKA_SLOT_X], c->noise, c->all * sizeof(float));
    for (size_t j = 0; j < c->all; j++)
        reference[VKA_SLOT_X][j] = (double)c->noise[j];
    check_ok(vka_unet_stage_set(s, VKA_SLOT_X, c->noise, &err), &err);
    for (uint32_t i = 0; i < vka_sampler_evals(c->sampler); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(c->sampler, i);
        eval(s, c, i);
        check_ok(vka_unet_stage_get(s, VKA_SLOT_EPS, single[VKA_SLOT_EPS], &err), &err);
        memcpy(single[VKA_SLOT_NOISE], c->drawn + i * c->all, c->all * sizeof(float));
        for (size_t j = 0; j < c->all; j++) {
            reference[VKA_SLOT_EPS][j] = (double)single[VKA_SLOT_EPS][j];
            reference[VKA_SLOT_NOISE][j] = (double)single[VKA_SLOT_NOISE][j];
        }
        for (uint32_t o = 0; o < e->ops; o++) {
            combine(got, single, &e->op[o], c->all);
            memcpy(single[e->op[o].out], got, c->all * sizeof *got);
            written |= 1u << e->op[o].out;
        }
        vka_sampler_apply(e, reference, c->all);
        for (uint32_t k = 0; k < VKA_SLOTS; k++) {
            char what[64];
            if (!(written >> k & 1))
                continue;
            check_ok(vka_unet_stage_get(s, (enum vka_slot)k, got, &err), &err);
            snprintf(what, sizeof what, "%s, evaluation %u, slot %u", name, i, k);
            check_same(what, got, single[k], c->all);
            double most = 0.0, off = 0.0;
            for (size_t j = 0; j < c->all; j++) {
                most = fmax(most, fabs(reference[k][j]));
                off = fmax(off, fabs((double)got[j] - reference[k][j]));
            }
            worst = fmax(worst, off / most);
            if (kept && e->ends_step && lasting >> k & 1)
                memcpy(kept[e->step][k], got, c->all * sizeof *got);
        }
    }
    memcpy(latents, single[VKA_SLOT_X], c->all * sizeof *latents);
    for (int k = 0; k < VKA_SLOTS; k++) {
        free(single[k]);
        free(reference[k]);
    }
    free(got);
    return worst;
}

/* Goes on after `step`; the slots that a checkpoint does not keep hold no numbers. */
static void go_on(struct vka_unet_stage *s, const struct clip *c, uint32_t step, float *const kept[VKA_SLOTS],
                  float *latents)
{
    float *nothing = calloc(c->all, sizeof *nothing);
    uint32_t lasting = vka_sampler_lasting(c->sampler), all = vka_sampler_slots(c->sampler), i = 0;
    vka_error err = {0};
    assert_non_null(nothing);
    for (size_t j = 0; j < c->all; j++)
        nothing[j] = NAN;
    for (uint32_t k = 0; k < VKA_SLOTS; k++)
        if (all >> k & 1)
            check_ok(vka_unet_stage_set(s, (enum vka_slot)k, lasting >> k & 1 ? kept[k] : nothing, &err), &err);
    while (vka_sampler_eval_at(c->sampler, i)->step <= step)
        i++;
    for (; i < vka_sampler_evals(c->sampler); i++)
        eval(s, c, i);
    check_ok(vka_unet_stage_get(s, VKA_SLOT_X, latents, &err), &err);
    free(nothing);
}

static void every_sampler(void **state)
{
    (void)state;
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_DDPM; id++) {
        struct clip c = clip_of((vka_sampler_id)id);
        struct vka_unet_stage s;
        const char *name = vka_sampler_name((vka_sampler_id)id);
        float *kept[STEPS][VKA_SLOTS], *want = calloc(c.all, sizeof *want), *got = calloc(c.all, sizeof *got);
        assert_true(want && got);
        for (int i = 0; i < STEPS; i++)
            for (int k = 0; k < VKA_SLOTS; k++)
                assert_non_null(kept[i][k] = calloc(c.all, sizeof **kept[i]));
        start(&s, &c, false);
        double off = follow(&s, &c, name, want, kept);
        check_finite(name, want, c.all);
        printf("%-13s %u evaluations, %u patterns: %.1e from double\n", name, vka_sampler_evals(c.sampler),
               vka_sampler_patterns(c.sampler), off);
        assert_true(off < 1e-5);
        for (uint32_t step = 0; step + 1 < STEPS; step++) {
            go_on(&s, &c, step, kept[step], got);
            check_same(name, got, want, c.all);
        }
        vka_unet_stage_end(&s);
        start(&s, &c, true);
        follow(&s, &c, name, got, NULL);
        check_same(name, got, want, c.all);
        vka_unet_stage_end(&s);
        for (int i = 0; i < STEPS; i++)
            for (int k = 0; k < VKA_SLOTS; k++)
                free(kept[i][k]);
        free(want);
        free(got);
        release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sampler),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
