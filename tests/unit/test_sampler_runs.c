/* test_sampler_runs.c - every sampler with every schedule against diffusers and k-diffusion, which ran the same small
 * model in double (tests/golden/sampler_runs.json); and the sums that diffusers' tests publish for the samplers that
 * test_sample.c does not have.  Prints a table: sampler, schedule, outside source, our value, theirs. */
#include "base/rng.h"
#include "sample/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden_json.h"

static json_t *golden(const char *key) { return golden_part(VKA_TEST_DATA "/golden/sampler_runs.json", key); }

static vka_sampler *create(const vka_sampler_params *p)
{
    vka_error err = {0};
    vka_sampler *s = vka_sampler_create(p, &err);
    if (!s)
        fail_msg("%s", err.what);
    return s;
}

/* ---- runs ------------------------------------------------------------------------------------------------ */

enum { VALUES = 3 };

/* The model of make_sampler_runs.py. */
static void run(const vka_sampler *s, double x[VALUES])
{
    static const double first[VALUES] = {0.8, -1.1, 0.35};
    double data[VKA_SLOTS][VALUES], *slot[VKA_SLOTS];
    int drawn = 0;
    for (int i = 0; i < VKA_SLOTS; i++) {
        slot[i] = data[i];
        for (int j = 0; j < VALUES; j++)
            data[i][j] = NAN;
    }
    for (int i = 0; i < VALUES; i++)
        data[VKA_SLOT_X][i] = first[i] * vka_sampler_init_noise_scale(s);
    for (uint32_t k = 0; k < vka_sampler_evals(s); k++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
        for (int i = 0; i < VALUES; i++) {
            double u = e->input_scale * data[VKA_SLOT_X][i];
            data[VKA_SLOT_EPS][i] = 0.55 * u + 0.35 * tanh(u) + 0.2 * sin((double)e->timestep / 150.0 + i);
            if (e->draws_noise)
                data[VKA_SLOT_NOISE][i] = 1.3 * sin(2.1 * drawn + 0.9 * i + 0.4);
        }
        drawn += e->draws_noise;
        vka_sampler_apply(e, slot, VALUES);
    }
    memcpy(x, data[VKA_SLOT_X], sizeof data[VKA_SLOT_X]);
}

/* Sums of fp32 rounding in the outside programs are a few 1e-7; LMS multiplies them by its alternating weights. */
static const double TOLERANCE = 1e-5;

static void runs(void **state)
{
    (void)state;
    json_t *list = golden("runs");
    bool all = getenv("VKANIM_TEST_ALL") != NULL;
    size_t count = json_array_size(list), bad = 0;
    uint32_t seen[VKA_SAMPLER_DDPM + 1] = {0};
    double worst = 0.0;
    assert_true(count >= 500);
    printf("%-13s %-12s %5s  %-44s %-22s %s\n", "sampler", "schedule", "steps", "outside source", "ours", "theirs");
    for (size_t i = 0; i < count; i++) {
        const json_t *c = json_array_get(list, i), *want = json_object_get(c, "x");
        const char *prediction = text(c, "prediction");
        vka_sampler_params p = vka_sampler_params_default();
        assert_int_equal(vka_sampler_from_name(text(c, "sampler"), &p.sampler, NULL), VKA_OK);
        assert_int_equal(vka_schedule_from_name(text(c, "schedule"), &p.schedule, NULL), VKA_OK);
        if (prediction)
            assert_int_equal(vka_prediction_from_name(prediction, &p.prediction, NULL), VKA_OK);
        p.steps = (uint32_t)json_integer_value(json_object_get(c, "steps"));
        if (json_object_get(c, "eta"))
            p.eta = json_number_value(json_object_get(c, "eta"));
        if (json_object_get(c, "original"))
            p.original_steps = (uint32_t)json_integer_value(json_object_get(c, "original"));
        p.end_at_least_sigma = json_is_true(json_object_get(c, "least_sigma"));
        p.zero_snr = json_is_true(json_object_get(c, "zero_snr"));
        vka_sampler *s = create(&p);
        double x[VALUES], most = 0.0, off = 0.0;
        run(s, x);
        for (int k = 0; k < VALUES; k++) {
            most = fmax(most, fabs(number(want, (size_t)k)));
            off = fmax(off, fabs(x[k] - number(want, (size_t)k)));
        }
        bool good = off <= TOLERANCE * fmax(most, 1.0);
        worst = fmax(worst, off / fmax(most, 1.0));
        bad += !good;
        if (all || !good || (p.steps == 10 && !prediction))
            printf("%-13s %-12s %5u  %-44s %-22.10g %.10g%s%s\n", text(c, "sampler"), text(c, "schedule"), p.steps,
                   text(c, "source"), x[0], number(want, 0), p.zero_snr ? " zero snr" : prediction ? prediction : "", good ? "" : "  DIFFERS");
        seen[p.sampler] |= 1u << p.schedule;
        vka_sampler_free(s);
    }
    printf("%zu runs, the furthest %.2g off\n", count, worst);
    for (int id = 0; id <= VKA_SAMPLER_DDPM; id++)
        if (!seen[id])
            fail_msg("no run of %s", vka_sampler_name((vka_sampler_id)id));
    json_decref(list);
    assert_int_equal(bad, 0);
}

static void lists(void **state)
{
    (void)state;
    json_t *all = golden("lists");
    vka_sampler_params p = vka_sampler_params_default();
    float alphas[1000];
    vka_alphas_cumprod(&p, alphas);
    assert_true(json_array_size(all) >= 27);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i), *want = json_object_get(c, "sigmas");
        vka_schedule_id id;
        assert_int_equal(vka_schedule_from_name(text(c, "schedule"), &id, NULL), VKA_OK);
        uint32_t n = (uint32_t)json_array_size(want);
        double got[16];
        vka_sigmas(id, alphas, 1000, n, got);
        for (uint32_t k = 0; k < n; k++)
            near(got[k], number(want, k), 1e-6 * number(want, k), text(c, "schedule"));
    }
    json_decref(all);
}

static void cosine(void **state)
{
    (void)state;
    json_t *c = golden("cosine"), *at = json_object_get(c, "at");
    vka_sampler_params p = vka_sampler_params_default();
    p.beta = VKA_BETA_COSINE;
    float alphas[1000];
    vka_alphas_cumprod(&p, alphas);
    for (size_t i = 0; i < json_array_size(at); i++) {
        double want = number(json_object_get(c, "alphas"), i);
        near((double)alphas[(size_t)number(at, i)], want, 2e-6 * want, "squaredcos_cap_v2");
    }
    json_decref(c);
}

/* ---- sub-seeds ------------------------------------------------------------------------------------------- */

static void subseeds(void **state)
{
    (void)state;
    json_t *all = golden("subseeds");
    assert_int_equal(json_array_size(all), 9);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i), *shape = json_object_get(c, "shape"), *want = json_object_get(c, "noise");
        uint32_t n[4];
        for (size_t k = 0; k < 4; k++)
            n[k] = (uint32_t)json_integer_value(json_array_get(shape, k));
        vka_noise_layout layout;
        assert_true(vka_noise_layout_from_name(text(c, "layout"), &layout));
        vka_subseed sub = {50, json_number_value(json_object_get(c, "share"))};
        vka_noise_source source;
        vka_error err = {0};
        float got[60];
        assert_int_equal(n[0] * n[1] * n[2] * n[3], 60);
        assert_int_equal(
            vka_noise_open_sub(&source, VKA_RNG_TORCH_CPU, layout, 7, sub, n[0], n[1], n[2], n[3], &err), VKA_OK);
        vka_noise_draw(&source, got);
        assert_int_equal(vka_noise_mix(&source, sub, got, &err), VKA_OK);
        for (size_t k = 0; k < 60; k++)
            near((double)got[k], number(want, k), 3e-6, text(c, "layout"));
        vka_noise_close(&source);
    }
    json_decref(all);
}

/* Columns of one value are parallel, and so are those of equal seeds: no division by the sine of 0. */
static void parallel_subseeds(void **state)
{
    (void)state;
    for (uint32_t height = 1; height <= 4; height += 3)
        for (int nv = 0; nv < 2; nv++) {
            vka_subseed sub = {height == 1 ? 9 : 7, 0.25};
            vka_noise_source source;
            vka_rng_kind kind = nv ? VKA_RNG_NV : VKA_RNG_TORCH_CPU;
            float a[32], b[32], got[32];
            uint32_t values = 2 * height * 4;
            assert_int_equal(vka_noise(kind, VKA_NOISE_CLIP, 7, 1, 2, height, 4, a, NULL), VKA_OK);
            assert_int_equal(vka_noise(kind, VKA_NOISE_CLIP, sub.seed, 1, 2, height, 4, b, NULL), VKA_OK);
            assert_int_equal(vka_noise_open_sub(&source, kind, VKA_NOISE_CLIP, 7, sub, 1, 2, height, 4, NULL), VKA_OK);
            vka_noise_draw(&source, got);
            assert_int_equal(vka_noise_mix(&source, sub, got, NULL), VKA_OK);
            for (uint32_t i = 0; i < values; i++)
                near((double)got[i], 0.75 * (double)a[i] + 0.25 * (double)b[i], 1e-6, "parallel columns");
            vka_noise_close(&source);
        }
}

/* ---- published sums -------------------------------------------------------------------------------------- */

enum { BATCH = 4, CHANNELS = 3, SIDE = 8, DUMMY = BATCH * CHANNELS * SIDE * SIDE };

/* As in test_sample.c: their sample [4,3,8,8], i/768 counted over [3,8,8,4]; their noise has the rows reversed. */
static void dummy(double *sample, bool reversed)
{
    for (int b = 0; b < BATCH; b++)
        for (int c = 0; c < CHANNELS; c++)
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++) {
                    int from = ((c * SIDE + y) * SIDE + (reversed ? SIDE - 1 - x : x)) * BATCH + b;
                    sample[((b * CHANNELS + c) * SIDE + y) * SIDE + x] = (double)from / (double)DUMMY;
                }
}

/* Their loop: model(x, t) = x t / (t + 1).  `scaled`: their test scales the sample in place, and its step works on the
 * scaled one. */
struct published {
    vka_sampler_params p;
    uint32_t start;
    bool scaled;
};

static double full_loop(const struct published *c)
{
    vka_sampler *s = create(&c->p);
    double x[DUMMY], eps[DUMMY], noise[DUMMY], h[4][DUMMY], image = 1.0, mix = 0.0;
    dummy(x, false);
    dummy(noise, true);
    if (c->start)
        vka_sampler_start_mix(s, c->start, &image, &mix);
    for (int i = 0; i < DUMMY; i++)
        x[i] = x[i] * vka_sampler_init_noise_scale(s) * image + mix * noise[i];
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 0);
    double *slot[VKA_SLOTS] = {x, eps, noise, h[0], h[1], h[2], h[3]};
    uint32_t begin = 0;
    while (vka_sampler_eval_at(s, begin)->step < c->start)
        begin++;
    for (uint32_t k = begin; k < vka_sampler_evals(s); k++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
        double t = (double)e->timestep;
        for (int i = 0; i < DUMMY; i++) {
            eps[i] = x[i] * e->input_scale * t / (t + 1.0);
            x[i] *= c->scaled ? e->input_scale : 1.0;
        }
        if (e->draws_noise) {
            float drawn[DUMMY];
            vka_rng_normal(&rng, drawn, DUMMY);
            for (int i = 0; i < DUMMY; i++)
                noise[i] = (double)drawn[i];
        }
        vka_sampler_apply(e, slot, DUMMY);
    }
    double sum = 0.0;
    for (int i = 0; i < DUMMY; i++)
        sum += fabs(x[i]);
    vka_sampler_free(s);
    return sum;
}

static vka_sampler_params published_params(vka_sampler_id sampler)
{
    vka_sampler_params p = vka_sampler_params_default();
    p.sampler = sampler;
    p.schedule = VKA_SCHEDULE_LINSPACE;
    p.steps = 10;
    p.beta_start = 0.0001;
    p.beta_end = 0.02;
    p.steps_offset = 0;
    p.train_steps = sampler == VKA_SAMPLER_DPMPP_2M || sampler == VKA_SAMPLER_UNIPC || sampler == VKA_SAMPLER_DEIS ||
                            sampler == VKA_SAMPLER_DDPM
                        ? 1000
                        : 1100;
    return p;
}

static void published_sums(void **state)
{
    (void)state;
    enum { EPS = VKA_PREDICT_EPSILON, V = VKA_PREDICT_V };
    static const struct {
        const char *name;
        vka_sampler_id sampler;
        int prediction, karras;
        uint32_t start;
        double want, tolerance;
        bool mean;
    } rows[] = {
        {"euler, karras", VKA_SAMPLER_EULER, EPS, 1, 0, 124.5230, 1e-2, false},
        {"heun", VKA_SAMPLER_HEUN, EPS, 0, 0, 0.1233, 1e-4, false},
        {"heun, v", VKA_SAMPLER_HEUN, V, 0, 0, 0.0, 1e-4, false},
        {"heun, with noise", VKA_SAMPLER_HEUN, EPS, 0, 8, 75074.8906, 1.0, false},
        {"heun, karras", VKA_SAMPLER_HEUN, EPS, 1, 0, 0.00015, 1e-5, false},
        {"lms", VKA_SAMPLER_LMS, EPS, 0, 0, 1006.388, 1e-1, false},
        {"lms, v", VKA_SAMPLER_LMS, V, 0, 0, 0.0017, 1e-3, false},
        {"lms, karras", VKA_SAMPLER_LMS, EPS, 1, 0, 3812.9927, 2e-1, false},
        {"dpm2", VKA_SAMPLER_DPM2, EPS, 0, 0, 20.4125, 1e-2, false},
        {"dpm2, v", VKA_SAMPLER_DPM2, V, 0, 0, 0.0, 1e-4, false},
        {"dpm2, with noise", VKA_SAMPLER_DPM2, EPS, 0, 8, 70408.4062, 1.0, false},
        {"dpm2-a", VKA_SAMPLER_DPM2_A, EPS, 0, 0, 13979.9433, 5.0, false},
        {"dpm2-a, v", VKA_SAMPLER_DPM2_A, V, 0, 0, 331.8133, 1e-1, false},
        {"dpmpp-2m", VKA_SAMPLER_DPMPP_2M, EPS, 0, 0, 0.3301, 1e-3, true},
        {"dpmpp-2m, v", VKA_SAMPLER_DPMPP_2M, V, 0, 0, 0.2251, 1e-3, true},
        {"unipc", VKA_SAMPLER_UNIPC, EPS, 0, 0, 0.2464, 1e-3, true},
        {"unipc, v", VKA_SAMPLER_UNIPC, V, 0, 0, 0.1014, 1e-3, true},
        {"deis", VKA_SAMPLER_DEIS, EPS, 0, 0, 0.23916, 1e-3, true},
        {"deis, v", VKA_SAMPLER_DEIS, V, 0, 0, 0.091, 1e-3, true},
        /* Theirs clamps x0 (258.9606 and 202.0296): these are what diffusers 0.42.1 gives with clip_sample off. */
        {"ddpm, not clamped", VKA_SAMPLER_DDPM, EPS, 0, 0, 263.3468, 1e-2, false},
        {"ddpm, not clamped, v", VKA_SAMPLER_DDPM, V, 0, 0, 202.2979, 1e-2, false},
    };
    size_t bad = 0;
    printf("%-24s %-12s %s\n", "diffusers' test", "ours", "published");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct published c = {.p = published_params(rows[i].sampler), .start = rows[i].start};
        vka_sampler_id id = rows[i].sampler;
        c.p.prediction = (vka_prediction)rows[i].prediction;
        c.scaled = c.p.train_steps == 1100;
        if (rows[i].karras)
            c.p.schedule = VKA_SCHEDULE_KARRAS;
        c.p.end_at_least_sigma = id == VKA_SAMPLER_DPMPP_2M || id == VKA_SAMPLER_UNIPC;
        if (id == VKA_SAMPLER_DDPM) {
            c.p.steps = 1000;
            c.p.schedule = VKA_SCHEDULE_LEADING;
        }
        double got = full_loop(&c) / (rows[i].mean ? (double)DUMMY : 1.0);
        bool good = fabs(got - rows[i].want) <= rows[i].tolerance;
        bad += !good;
        printf("%-24s %-12.7g %.7g%s\n", rows[i].name, got, rows[i].want, good ? "" : "  DIFFERS");
    }
    static const struct {
        const char *name;
        vka_sampler_id sampler;
        uint32_t steps;
        double want;
    } distilled[] = {{"lcm, one step", VKA_SAMPLER_LCM, 1, 18.7097},
                     {"lcm, ten steps", VKA_SAMPLER_LCM, 10, 197.7616},
                     {"tcd, one step", VKA_SAMPLER_TCD, 1, 29.8715},
                     {"tcd, ten steps", VKA_SAMPLER_TCD, 10, 181.2040}};
    for (size_t i = 0; i < 4; i++) {
        struct published c = {.p = vka_sampler_params_default()};
        c.p.sampler = distilled[i].sampler;
        c.p.steps = distilled[i].steps;
        c.p.beta = VKA_BETA_SCALED_LINEAR;
        c.p.eta = c.p.sampler == VKA_SAMPLER_TCD ? 0.0 : -1.0; /* as their test has it */
        double got = full_loop(&c);
        bool good = fabs(got - distilled[i].want) <= 1e-2;
        bad += !good;
        printf("%-24s %-12.7g %.7g%s\n", distilled[i].name, got, distilled[i].want, good ? "" : "  DIFFERS");
    }
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs),
        cmocka_unit_test(lists),
        cmocka_unit_test(cosine),
        cmocka_unit_test(subseeds),
        cmocka_unit_test(parallel_subseeds),
        cmocka_unit_test(published_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
