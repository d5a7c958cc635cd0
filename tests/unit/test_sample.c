/* test_sample.c - samplers against diffusers: per-step coefficients (tests/golden/samplers.json) and the
 * sums published in its scheduler tests, which are rebuilt here from their formulas. */
#include "base/rng.h"
#include "sample/sample.h"

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

static json_t *golden(const char *key) { return golden_part(VKA_TEST_DATA "/golden/samplers.json", key); }

/* The weight of a slot in an evaluation of one operation; 0 where it is not named. */
static double weight(const vka_sampler_eval *e, uint32_t slot)
{
    assert_int_equal(e->ops, 1);
    assert_int_equal(e->op[0].out, VKA_SLOT_X);
    for (uint32_t t = 0; t < e->op[0].terms; t++)
        if (e->op[0].slot[t] == slot)
            return e->op[0].coef[t];
    return 0.0;
}

static vka_sampler *create(const vka_sampler_params *p)
{
    vka_error err = {0};
    vka_sampler *s = vka_sampler_create(p, &err);
    if (!s)
        fail_msg("%s", err.what);
    return s;
}

static void alphas(void **state)
{
    (void)state;
    json_t *tables = golden("alphas");
    assert_true(json_array_size(tables) >= 5);
    for (size_t i = 0; i < json_array_size(tables); i++) {
        json_t *table = json_array_get(tables, i), *at = json_object_get(table, "at");
        vka_sampler_params p = vka_sampler_params_default();
        assert_int_equal(vka_beta_from_name(text(table, "beta"), &p.beta, NULL), VKA_OK);
        p.beta_start = json_number_value(json_object_get(table, "start"));
        p.beta_end = json_number_value(json_object_get(table, "end"));
        p.train_steps = (uint32_t)json_integer_value(json_object_get(table, "train"));
        float *a = malloc(p.train_steps * sizeof *a);
        assert_non_null(a);
        vka_alphas_cumprod(&p, a);
        for (size_t k = 0; k < json_array_size(at); k++) { /* to the last bit of fp32 */
            float want = (float)number(json_object_get(table, "alphas"), k);
            near((double)a[(size_t)number(at, k)], (double)want, 0.0, text(table, "beta"));
        }
        free(a);
    }
    json_decref(tables);
}

static void coefficients(void **state)
{
    (void)state;
    json_t *tables = golden("samplers");
    assert_true(json_array_size(tables) >= 40);
    for (size_t i = 0; i < json_array_size(tables); i++) {
        json_t *table = json_array_get(tables, i), *rows = json_object_get(table, "rows");
        vka_sampler_params p = vka_sampler_params_default();
        assert_int_equal(vka_sampler_from_name(text(table, "sampler"), &p.sampler, NULL), VKA_OK);
        assert_int_equal(vka_schedule_from_name(text(table, "spacing"), &p.schedule, NULL), VKA_OK);
        assert_int_equal(vka_beta_from_name(text(table, "beta"), &p.beta, NULL), VKA_OK);
        assert_int_equal(vka_prediction_from_name(text(table, "prediction"), &p.prediction, NULL), VKA_OK);
        p.steps = (uint32_t)json_integer_value(json_object_get(table, "steps"));
        p.steps_offset = (uint32_t)json_integer_value(json_object_get(table, "offset"));
        p.set_alpha_to_one = json_is_true(json_object_get(table, "alpha_one"));
        vka_sampler *s = create(&p);
        double init = json_number_value(json_object_get(table, "init"));
        near(vka_sampler_init_noise_scale(s), init, 1e-6 * init, "initial noise scale");
        assert_int_equal(vka_sampler_evals(s), p.steps);
        assert_int_equal(json_array_size(rows), p.steps);
        for (uint32_t k = 0; k < p.steps; k++) {
            const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
            const json_t *row = json_array_get(rows, k);
            char what[160];
            for (size_t c = 0; c < 5; c++) {
                double got = c == 0   ? (double)e->timestep
                             : c == 1 ? e->input_scale
                                      : weight(e, c == 2   ? (uint32_t)VKA_SLOT_X
                                                  : c == 3 ? (uint32_t)VKA_SLOT_EPS
                                                           : (uint32_t)VKA_SLOT_NOISE);
                double want = c == 0 ? (double)(float)number(row, c) : number(row, c);
                snprintf(what, sizeof what, "%s %s %u steps, row %u column %zu", text(table, "sampler"),
                         text(table, "spacing"), p.steps, k, c);
                near(got, want, c == 0 ? 0.0 : 1e-5 * fabs(want) + 2e-7, what);
            }
        }
        vka_sampler_free(s);
    }
    json_decref(tables);
}

/* ---- diffusers' scheduler tests ---- */

enum { BATCH = 4, CHANNELS = 3, SIDE = 8, DUMMY = BATCH * CHANNELS * SIDE * SIDE };

/* Their sample [4,3,8,8]: i/768 counted over [3,8,8,4]; their noise is the same with the rows reversed. */
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

/* Their loop: model(x, t) = x t / (t + 1).  The Euler family's tests scale the sample in place, so the
 * step works on the scaled one. */
static double full_loop(const vka_sampler_params *p, uint32_t start)
{
    vka_sampler *s = create(p);
    double x[DUMMY], eps[DUMMY], noise[DUMMY];
    dummy(x, false);
    double image = 1.0, mix = 0.0;
    if (start) {
        vka_sampler_start_mix(s, start, &image, &mix);
        dummy(noise, true);
    }
    for (int i = 0; i < DUMMY; i++) {
        x[i] *= vka_sampler_init_noise_scale(s) * image;
        x[i] += start ? mix * noise[i] : 0.0;
    }
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 0);
    double *slot[VKA_SLOTS] = {[VKA_SLOT_X] = x, [VKA_SLOT_EPS] = eps, [VKA_SLOT_NOISE] = noise};
    for (uint32_t k = start; k < vka_sampler_evals(s); k++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
        double t = (double)e->timestep;
        for (int i = 0; i < DUMMY; i++) {
            x[i] *= e->input_scale;
            eps[i] = x[i] * t / (t + 1.0);
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

static vka_sampler_params published(vka_sampler_id sampler)
{
    vka_sampler_params p = vka_sampler_params_default();
    p.sampler = sampler;
    p.steps = 10;
    p.beta_start = 0.0001;
    p.beta_end = 0.02;
    p.steps_offset = 0;
    p.train_steps = sampler == VKA_SAMPLER_DDIM ? 1000 : 1100;
    p.set_alpha_to_one = true;
    return p;
}

static void published_sums(void **state)
{
    (void)state;
    vka_sampler_params p = published(VKA_SAMPLER_DDIM);
    double sum = full_loop(&p, 0);
    near(sum, 172.0067, 1e-2, "ddim"); /* the tolerances are those of the published tests */
    near(sum / (double)DUMMY, 0.223967, 1e-5, "ddim mean");
    near(full_loop(&p, 8), 354.5418, 1e-2, "ddim with noise");
    p.prediction = VKA_PREDICT_V;
    near(full_loop(&p, 0), 52.5302, 1e-2, "ddim v prediction");
    p = published(VKA_SAMPLER_DDIM);
    p.beta_start = 0.01;
    near(full_loop(&p, 0), 149.8295, 1e-2, "ddim, last alpha one");
    p.set_alpha_to_one = false;
    near(full_loop(&p, 0), 149.0784, 1e-2, "ddim, last alpha not one");

    p = published(VKA_SAMPLER_EULER);
    near(full_loop(&p, 0), 10.0807, 1e-2, "euler");
    near(full_loop(&p, 8), 57062.9297, 1e-2 * 10, "euler with noise");
    p.prediction = VKA_PREDICT_V;
    sum = full_loop(&p, 0);
    near(sum, 0.0002, 1e-2, "euler v prediction");
    near(sum, 2.4181e-10, 1e-13, "euler v prediction"); /* what diffusers 0.42.1 prints, in fp32 and in double */

    p = published(VKA_SAMPLER_EULER_A);
    near(full_loop(&p, 0), 152.3192, 1e-2, "euler-a");
    near(full_loop(&p, 8), 56163.0508, 1e-2 * 10, "euler-a with noise");
    p.prediction = VKA_PREDICT_V;
    near(full_loop(&p, 0), 108.4439, 1e-2, "euler-a v prediction");
}

static void published_timesteps_and_variances(void **state)
{
    (void)state;
    vka_sampler_params p = published(VKA_SAMPLER_DDIM);
    p.steps = 5;
    p.steps_offset = 1;
    vka_sampler *s = create(&p);
    static const float want[5] = {801, 601, 401, 201, 1};
    for (uint32_t k = 0; k < 5; k++)
        near((double)vka_sampler_eval_at(s, k)->timestep, (double)want[k], 0.0, "timestep");
    vka_sampler_free(s);
    static const struct {
        int t, before;
        double variance;
    } v[] = {{420, 400, 0.14771}, {980, 960, 0.32460}, {487, 486, 0.00979}, {999, 998, 0.02}};
    float a[1000];
    vka_alphas_cumprod(&p, a);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        double now = (double)a[v[i].t], before = (double)a[v[i].before];
        near((1.0 - before) / (1.0 - now) * (1.0 - now / before), v[i].variance, 1e-5, "variance");
    }
}

/* sigma_max of AnimateDiff's and SD's betas, and sigma at 500 (reference tables of the model families). */
static void family_sigmas(void **state)
{
    (void)state;
    static const struct {
        vka_beta_kind beta;
        double end, largest, middle;
    } f[] = {{VKA_BETA_LINEAR, 0.012, 25.146, 2.2847},
             {VKA_BETA_SCALED_LINEAR, 0.012, 14.615, 1.6183},
             {VKA_BETA_SCALED_LINEAR, 0.020, 65.929, 2.2182},
             {VKA_BETA_LINEAR, 0.014, 41.668, 2.6462}};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        vka_sampler_params p = vka_sampler_params_default();
        p.sampler = VKA_SAMPLER_EULER;
        p.beta = f[i].beta;
        p.beta_end = f[i].end;
        p.steps = 1000;
        vka_sampler *s = create(&p);
        double image, sigma;
        near(vka_sampler_init_noise_scale(s), f[i].largest, 1e-3, "sigma_max");
        vka_sampler_start_mix(s, 499, &image, &sigma); /* t = 999 - 499 = 500 */
        near((double)vka_sampler_eval_at(s, 499)->timestep, 500.0, 0.0, "timestep");
        near(sigma, f[i].middle, 1e-4, "sigma at 500");
        near(image, 1.0, 0.0, "image weight");
        vka_sampler_free(s);
    }
}

/* Whether the last step of a sampler goes to alpha 1 by way of x0 alone: not lcm and tcd on their own timesteps, not
 * deis with diffusers' spacings, not pndm where those leave gaps. */
static bool lands(vka_sampler_id id, vka_schedule_id schedule)
{
    bool spaced = schedule <= VKA_SCHEDULE_TRAILING;
    return !(spaced && (id == VKA_SAMPLER_LCM || id == VKA_SAMPLER_TCD || id == VKA_SAMPLER_DEIS)) &&
           !(spaced && id == VKA_SAMPLER_PNDM && schedule != VKA_SCHEDULE_LEADING);
}

/* An exact model of a single picture lands on it: with eps = (X - sqrt(a) x0) / sqrt(1 - a) every sampler
 * has to end at x0 when its last step goes to zero noise. */
static void lands_on_the_picture(void **state)
{
    (void)state;
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_DDPM; id++)
        for (int schedule = VKA_SCHEDULE_LEADING; schedule <= VKA_SCHEDULE_AYS; schedule++)
            for (int prediction = VKA_PREDICT_EPSILON; prediction <= VKA_PREDICT_SAMPLE; prediction++) {
                if (!lands((vka_sampler_id)id, (vka_schedule_id)schedule) ||
                    (id == VKA_SAMPLER_PNDM && prediction != VKA_PREDICT_EPSILON)) /* v is not constant on the way */
                    continue;
                vka_sampler_params p = vka_sampler_params_default();
                p.sampler = (vka_sampler_id)id;
                p.schedule = (vka_schedule_id)schedule;
                p.prediction = (vka_prediction)prediction;
                p.steps = 20;
                p.set_alpha_to_one = true;
                p.steps_offset = 0; /* with offset 1, leading never reaches a timestep before the first */
                vka_sampler *s = create(&p);
                const double x0 = 0.7;
                double x = 1.3 * vka_sampler_init_noise_scale(s), m, noise = 0.0, h[4];
                double *slot[VKA_SLOTS] = {&x, &m, &noise, &h[0], &h[1], &h[2], &h[3]};
                for (uint32_t k = 0; k < vka_sampler_evals(s); k++) {
                    const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
                    double image = 1.0, level = sqrt(1.0 / (e->input_scale * e->input_scale) - 1.0);
                    if (e->input_scale == 1.0) /* the second evaluation of pndm's first step is where the next step is */
                        vka_sampler_start_mix(s, e->step + e->stage, &image, &level);
                    double length = sqrt(image * image + level * level), eps = (x - image * x0) / level;
                    m = prediction == VKA_PREDICT_EPSILON ? eps
                        : prediction == VKA_PREDICT_V     ? (image * eps - level * x0) / length
                                                          : x0;
                    noise = (k % 3) - 1.0;
                    vka_sampler_apply(e, slot, 1);
                }
                near(x, x0, 1e-9, vka_sampler_name(p.sampler));
                vka_sampler_free(s);
            }
}

/* A picture that is held: whatever X and the noise are, the output that vka_sampler_hold_mix makes predicts the picture, and a
 * sampler that ends without noise ends with it.  From any step. */
static void holds_a_picture(void **state)
{
    (void)state;
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_DDPM; id++)
        for (int schedule = VKA_SCHEDULE_LEADING; schedule <= VKA_SCHEDULE_AYS; schedule++)
            for (int prediction = VKA_PREDICT_EPSILON; prediction <= VKA_PREDICT_SAMPLE; prediction++)
                for (uint32_t skip = 0; skip < 20; skip += 13) {
                    if (!lands((vka_sampler_id)id, (vka_schedule_id)schedule) ||
                        (id == VKA_SAMPLER_PNDM && prediction != VKA_PREDICT_EPSILON))
                        continue;
                    vka_sampler_params p = vka_sampler_params_default();
                    p.sampler = (vka_sampler_id)id;
                    p.schedule = (vka_schedule_id)schedule;
                    p.prediction = (vka_prediction)prediction;
                    p.steps = 20;
                    p.begin = skip;
                    p.set_alpha_to_one = true;
                    p.steps_offset = 0;
                    vka_sampler *s = create(&p);
                    const double picture = 0.7;
                    double image, level, hold_x, hold_image;
                    vka_sampler_start_mix(s, 0, &image, &level);
                    double x = image * picture + level * 1.3, m, noise = 0.0, h[4];
                    double *slot[VKA_SLOTS] = {&x, &m, &noise, &h[0], &h[1], &h[2], &h[3]};
                    for (uint32_t k = 0; k < vka_sampler_evals(s); k++) {
                        const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
                        vka_sampler_hold_mix(s, e, &hold_x, &hold_image);
                        m = hold_x * x + hold_image * picture;
                        near(e->clean_x * x + e->clean_eps * m, picture, 1e-10, "predicted");
                        noise = (k % 3) - 1.0;
                        vka_sampler_apply(e, slot, 1);
                    }
                    near(x, picture, 1e-9, vka_sampler_name(p.sampler));
                    vka_sampler_free(s);
                }
}

/* Steps that are left out change nothing about where the others lie. */
static void skipped_steps(void **state)
{
    (void)state;
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_DDPM; id++) {
        vka_sampler_params p = vka_sampler_params_default();
        p.sampler = (vka_sampler_id)id;
        p.steps = 10;
        vka_sampler *whole = create(&p);
        p.begin = 4;
        vka_sampler *part = create(&p);
        assert_int_equal(vka_sampler_steps(part), 6);
        for (uint32_t k = 0; k < 6; k++) {
            double a[2], b[2];
            vka_sampler_start_mix(whole, k + 4, &a[0], &a[1]);
            vka_sampler_start_mix(part, k, &b[0], &b[1]);
            assert_memory_equal(a, b, sizeof a);
        }
        const vka_sampler_eval *x = vka_sampler_eval_at(whole, vka_sampler_evals(whole) - 1);
        const vka_sampler_eval *y = vka_sampler_eval_at(part, vka_sampler_evals(part) - 1);
        assert_int_equal(y->step, 5);
        assert_int_equal(x->ops, y->ops); /* six steps are enough for any history */
        for (uint32_t o = 0; o < x->ops; o++)
            for (uint32_t t = 0; t < x->op[o].terms; t++)
                near(x->op[o].coef[t], y->op[o].coef[t], 0.0, vka_sampler_name(p.sampler));
        near((double)x->timestep, (double)y->timestep, 0.0, "timestep");
        vka_sampler_free(whole);
        vka_sampler_free(part);
    }
    vka_sampler_params p = vka_sampler_params_default();
    p.begin = p.steps;
    assert_null(vka_sampler_create(&p, NULL));
}

/* What a renderer relies on when it records lists once: patterns, slots, nothing read before written. */
static void check_structure(const vka_sampler *s, uint32_t steps)
{
    uint32_t lasting = 1u << VKA_SLOT_X, used = 1u << VKA_SLOT_X | 1u << VKA_SLOT_EPS, step = 0, stage = 0, draws = 0;
    assert_in_range(vka_sampler_patterns(s), 1, 8);
    assert_in_range(vka_sampler_evals(s), steps, 2 * steps);
    assert_int_equal(vka_sampler_steps(s), steps);
    for (uint32_t i = 0; i < vka_sampler_evals(s); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, i);
        uint32_t written = lasting | 1u << VKA_SLOT_EPS | (e->draws_noise ? 1u << VKA_SLOT_NOISE : 0);
        assert_int_equal(e->step, step);
        assert_int_equal(e->stage, stage);
        assert_true(e->pattern < vka_sampler_patterns(s));
        assert_in_range(e->ops, 1, VKA_SAMPLER_OPS);
        assert_true(e->timestep >= 0.0f && e->timestep <= 999.0f && e->input_scale > 0.0);
        assert_true(!e->draws_noise || e->draw == draws);
        assert_true(e->carry >= 0.0 && e->carry < 1.0 && (e->carry == 0.0 || e->draw == 1));
        draws += e->draws_noise;
        for (uint32_t o = 0; o < e->ops; o++) {
            assert_in_range(e->op[o].terms, 1, VKA_SAMPLER_TERMS);
            for (uint32_t t = 0; t < e->op[o].terms; t++) {
                assert_true(written >> e->op[o].slot[t] & 1u);
                assert_true(isfinite(e->op[o].coef[t]));
                used |= 1u << e->op[o].slot[t];
            }
            assert_true(e->op[o].out == VKA_SLOT_X || e->op[o].out >= VKA_SLOT_H0);
            written |= 1u << e->op[o].out;
            lasting |= 1u << e->op[o].out;
            used |= 1u << e->op[o].out;
        }
        stage = e->ends_step ? 0 : stage + 1;
        step += e->ends_step;
        draws = e->ends_step ? 0 : draws;
        if (i && e->stage == 0 && vka_sampler_eval_at(s, i - 1)->stage == 0)
            assert_true(e->timestep < vka_sampler_eval_at(s, i - 1)->timestep);
    }
    assert_int_equal(step, steps);
    assert_int_equal(stage, 0);
    assert_int_equal(vka_sampler_slots(s), used);
    assert_int_equal(vka_sampler_draws(s), used >> VKA_SLOT_NOISE & 1u);
}

static void structure(void **state)
{
    (void)state;
    uint32_t most = 0;
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_DDPM; id++)
        for (int schedule = VKA_SCHEDULE_AUTO; schedule <= VKA_SCHEDULE_AYS; schedule++)
            for (int prediction = VKA_PREDICT_EPSILON; prediction <= VKA_PREDICT_SAMPLE; prediction++)
                for (uint32_t steps = 1; steps < 30; steps += steps < 4 ? 1 : 7) {
                    vka_sampler_params p = vka_sampler_params_default();
                    p.sampler = (vka_sampler_id)id;
                    p.schedule = (vka_schedule_id)schedule;
                    p.prediction = (vka_prediction)prediction;
                    p.steps = steps;
                    if (id == VKA_SAMPLER_PNDM && prediction == VKA_PREDICT_SAMPLE)
                        continue;
                    vka_sampler *s = create(&p);
                    check_structure(s, steps);
                    if (prediction != VKA_PREDICT_EPSILON) {
                        p.zero_snr = true;
                        vka_sampler_free(s);
                        check_structure(s = create(&p), steps);
                    }
                    most = vka_sampler_patterns(s) > most ? vka_sampler_patterns(s) : most;
                    vka_sampler_free(s);
                }
    assert_in_range(most, 4, 8);
    for (int id = VKA_SAMPLER_DDIM; id <= VKA_SAMPLER_EULER_A; id++) {
        vka_sampler_params p = vka_sampler_params_default();
        p.sampler = (vka_sampler_id)id;
        vka_sampler *s = create(&p);
        bool noisy = id == VKA_SAMPLER_EULER_A;
        assert_int_equal(vka_sampler_patterns(s), noisy ? 2 : 1);
        assert_int_equal(vka_sampler_slots(s), 3 | (noisy ? 4 : 0));
        vka_sampler_free(s);
    }
}

/* Operations run in order and may write what they read: Heun's second half on history slots. */
static void operations(void **state)
{
    (void)state;
    vka_sampler_eval e = {.ops = 3};
    e.op[0] = (vka_sampler_op){VKA_SLOT_H1, 2, {VKA_SLOT_X, VKA_SLOT_EPS}, {1.0, -2.0}};
    e.op[1] = (vka_sampler_op){VKA_SLOT_X, 4, {VKA_SLOT_X, VKA_SLOT_H0, VKA_SLOT_H1, VKA_SLOT_EPS}, {1, 2, 3, 4}};
    e.op[2] = (vka_sampler_op){VKA_SLOT_H0, 1, {VKA_SLOT_H1}, {1.0}};
    double x[2] = {1, 2}, eps[2] = {3, 5}, h0[2] = {7, 11}, h1[2] = {NAN, NAN};
    double *slot[VKA_SLOTS] = {[VKA_SLOT_X] = x, [VKA_SLOT_EPS] = eps, [VKA_SLOT_H0] = h0, [VKA_SLOT_H1] = h1};
    vka_sampler_apply(&e, slot, 2);
    near(h1[0], -5.0, 0.0, "h1");
    near(h0[1], -8.0, 0.0, "h0");
    near(x[0], 1 + 14 - 15 + 12, 0.0, "x");
    near(x[1], 2 + 22 - 24 + 20, 0.0, "x");
}

/* 61 trailing steps: diffusers' arange yields 62 values there, the last one -1. */
static void trailing_keeps_its_count(void **state)
{
    (void)state;
    vka_sampler_params p = vka_sampler_params_default();
    p.schedule = VKA_SCHEDULE_TRAILING;
    for (p.steps = 1; p.steps <= 1000; p.steps++) {
        vka_sampler *s = create(&p);
        near((double)vka_sampler_eval_at(s, 0)->timestep, 999.0, 0.0, "first");
        assert_true(vka_sampler_eval_at(s, p.steps - 1)->timestep >= 0.0f);
        vka_sampler_free(s);
    }
}

static void names(void **state)
{
    (void)state;
    bool built;
    uint32_t count = 0, ready = 0;
    for (const char *name; (name = vka_sampler_list(count, &built)) != NULL; count++) {
        vka_sampler_id id;
        vka_error err = {0};
        vka_status status = vka_sampler_from_name(name, &id, &err);
        assert_int_equal(status, built ? VKA_OK : VKA_E_USAGE);
        if (built)
            assert_string_equal(vka_sampler_name(id), name);
        else
            assert_non_null(strstr(err.what, "not built"));
        ready += built;
    }
    assert_int_equal(count, 18);
    assert_int_equal(ready, 18);
    for (count = ready = 0; vka_schedule_list(count, &built); count++) {
        vka_schedule_id id;
        assert_int_equal(vka_schedule_from_name(vka_schedule_list(count, &built), &id, NULL),
                         built ? VKA_OK : VKA_E_USAGE);
        ready += built;
    }
    assert_int_equal(count, 13);
    assert_int_equal(ready, 13);
    vka_schedule_id schedule;
    vka_sampler_id sampler;
    vka_beta_kind beta;
    vka_prediction prediction;
    vka_error err = {0};
    assert_int_equal(vka_schedule_from_name("krras", &schedule, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "unknown"));
    assert_non_null(strstr(err.hint, "auto leading linspace trailing"));
    assert_int_equal(vka_sampler_from_name("", &sampler, NULL), VKA_E_USAGE);
    assert_int_equal(vka_sampler_from_name("DDIM", &sampler, NULL), VKA_E_USAGE);
    assert_int_equal(vka_beta_from_name("sigmoid", &beta, NULL), VKA_E_USAGE);
    assert_int_equal(vka_prediction_from_name("flow", &prediction, NULL), VKA_E_USAGE);
}

static void refuse(vka_sampler_params p, vka_status status)
{
    vka_error err = {0};
    assert_null(vka_sampler_create(&p, &err));
    assert_int_equal(err.status, status);
    assert_true(strlen(err.what) > 10);
}

static void refusals(void **state)
{
    (void)state;
    vka_sampler_params p, base = vka_sampler_params_default();
    p = base, p.steps = 0, refuse(p, VKA_E_USAGE);
    p = base, p.steps = 1001, refuse(p, VKA_E_USAGE);
    p = base, p.steps = 1000, refuse(p, VKA_E_USAGE); /* leading with offset 1 would begin at 1000 */
    p = base, p.clip_sample = true, refuse(p, VKA_E_INPUT);
    p = base, p.train_steps = 1, refuse(p, VKA_E_INPUT);
    p = base, p.beta_start = 0.0, refuse(p, VKA_E_USAGE);
    p = base, p.beta_end = 1.0, refuse(p, VKA_E_USAGE);
    p = base, p.beta_end = NAN, refuse(p, VKA_E_USAGE);
    p = base, p.beta_start = p.beta_end = 0.5, refuse(p, VKA_E_USAGE); /* alpha underflows */
    p = base, p.beta_start = 1e-12, refuse(p, VKA_E_USAGE);            /* alpha 0 rounds to 1 */
    p = base, p.sampler = VKA_SAMPLER_PNDM, p.prediction = VKA_PREDICT_SAMPLE, refuse(p, VKA_E_USAGE);
    static const vka_sampler_id calm[] = {VKA_SAMPLER_EULER, VKA_SAMPLER_HEUN,     VKA_SAMPLER_LMS,
                                          VKA_SAMPLER_DPM2,  VKA_SAMPLER_DPMPP_2M, VKA_SAMPLER_UNIPC,
                                          VKA_SAMPLER_PNDM,  VKA_SAMPLER_DEIS,     VKA_SAMPLER_LCM,
                                          VKA_SAMPLER_DDPM};
    for (size_t i = 0; i < sizeof calm / sizeof *calm; i++)
        p = base, p.sampler = calm[i], p.eta = 0.5, refuse(p, VKA_E_USAGE);
    p = base, p.zero_snr = true, refuse(p, VKA_E_INPUT); /* of noise alone, a model of noise can say nothing */
    p = base, p.eta = 1.1, refuse(p, VKA_E_USAGE);
    p = base, p.eta = NAN, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_TCD, p.eta = 1.1, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_LCM, p.steps = 51, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_TCD, p.steps = 9, p.original_steps = 8, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_LCM, p.original_steps = 0, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_LCM, p.original_steps = 1001, refuse(p, VKA_E_USAGE);
    p = base, p.sampler = VKA_SAMPLER_DPMPP_2M, p.spacing = VKA_SCHEDULE_LINSPACE, p.steps = 1000, refuse(p, VKA_E_USAGE); /* not 1000 different levels */
    p = base, p.schedule = VKA_SCHEDULE_DDIM_UNIFORM, p.steps = 1000, refuse(p, VKA_E_USAGE);
    p = base, p.steps = 1000, p.steps_offset = 0;
    vka_sampler_free(create(&p));
    p.sampler = VKA_SAMPLER_UNIPC, p.schedule = VKA_SCHEDULE_KARRAS;
    vka_sampler_free(create(&p));
    vka_sampler_free(NULL);
}

/* `auto` takes the model's spacing, a name given by the user wins over it. */
static void auto_schedule(void **state)
{
    (void)state;
    vka_sampler_params p = vka_sampler_params_default();
    p.sampler = VKA_SAMPLER_EULER;
    p.spacing = VKA_SCHEDULE_TRAILING;
    vka_sampler *s = create(&p);
    assert_int_equal(vka_sampler_schedule(s), VKA_SCHEDULE_TRAILING);
    vka_sampler_free(s);
    p.schedule = VKA_SCHEDULE_LEADING;
    s = create(&p);
    assert_int_equal(vka_sampler_schedule(s), VKA_SCHEDULE_LEADING);
    vka_sampler_free(s);
    static const struct {
        vka_sampler_id sampler;
        vka_schedule_id own;
        double eta;
    } own[] = {{VKA_SAMPLER_DDIM, VKA_SCHEDULE_LEADING, 0.0},       {VKA_SAMPLER_EULER_A, VKA_SCHEDULE_LINSPACE, 1.0},
               {VKA_SAMPLER_DPMPP_2M, VKA_SCHEDULE_KARRAS, -1.0},   {VKA_SAMPLER_DPMPP_2M_SDE, VKA_SCHEDULE_EXPONENTIAL, 1.0},
               {VKA_SAMPLER_UNIPC, VKA_SCHEDULE_LINSPACE, -1.0},    {VKA_SAMPLER_LCM, VKA_SCHEDULE_AUTO, -1.0},
               {VKA_SAMPLER_TCD, VKA_SCHEDULE_AUTO, 0.3},           {VKA_SAMPLER_PNDM, VKA_SCHEDULE_LEADING, -1.0}};
    p = vka_sampler_params_default();
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        p.sampler = own[i].sampler;
        s = create(&p);
        assert_int_equal(vka_sampler_schedule(s), own[i].own);
        near(vka_sampler_eta(s), own[i].eta, 0.0, "eta");
        vka_sampler_free(s);
    }
    p.sampler = VKA_SAMPLER_TCD; /* a model's spacing does not move the timesteps that it was distilled on */
    p.spacing = VKA_SCHEDULE_TRAILING;
    s = create(&p);
    assert_int_equal(vka_sampler_schedule(s), VKA_SCHEDULE_AUTO);
    near(vka_sampler_sigma_max(s), 25.146, 1e-3, "sigma_max");
    vka_sampler_free(s);
    near(vka_schedule_made_for(VKA_SCHEDULE_AYS), 14.615, 0.0, "ays");
    near(vka_schedule_made_for(VKA_SCHEDULE_KARRAS), 0.0, 0.0, "karras");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alphas),
        cmocka_unit_test(coefficients),
        cmocka_unit_test(published_sums),
        cmocka_unit_test(published_timesteps_and_variances),
        cmocka_unit_test(family_sigmas),
        cmocka_unit_test(lands_on_the_picture),
        cmocka_unit_test(holds_a_picture),
        cmocka_unit_test(skipped_steps),
        cmocka_unit_test(structure),
        cmocka_unit_test(operations),
        cmocka_unit_test(trailing_keeps_its_count),
        cmocka_unit_test(names),
        cmocka_unit_test(refusals),
        cmocka_unit_test(auto_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
