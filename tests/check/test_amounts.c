/* test_amounts.c - a number of its own for each frame: the operator against a reference in double, cut in every way and written in
 * place; and the motion modules' scale and effect in the UNet stage, where windows take those of their own frames.
 *
 * Through the command's own network: an effect of 0 is the picture model to the bit, ones are the module as it is.
 *
 * Tolerances: in fp32 three roundings of numbers within 10 or so; in fp16 the result's own rounding, 2^-11. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_elementwise.h"
#include "harness.h"
#include "networks.h"

#include "render/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vkanim/vkanim_lab.h>

static vka_gpu *gpu;

/* ---- the operator ------------------------------------------------------------------------------------------- */

struct blend_case {
    uint32_t branches, frames, h, w, c;
    uint32_t first, count; /* channels scaled; 0: x and y are blended, or added */
    uint32_t channel;      /* of the weights */
    bool in_place, add;
    float factor; /* of what is added; 0: 1 */
};
static const struct blend_case cases[] = {
    {1, 5, 3, 7, 64, 0, 0, 1, false, false, 0},    {2, 3, 9, 5, 24, 0, 0, 0, true, false, 0},    {1, 1, 1, 1, 5, 0, 0, 0, false, false, 0},
    {1, 4, 5, 5, 120, 40, 40, 0, false, false, 0}, {2, 2, 6, 3, 240, 80, 80, 1, true, false, 0}, {1, 3, 2, 2, 32, 0, 32, 1, true, false, 0},
    {1, 7, 17, 3, 96, 64, 32, 0, false, false, 0}, {2, 3, 4, 5, 24, 0, 0, 0, false, true, 0}, {1, 5, 3, 7, 64, 0, 0, 1, true, true, 0},
    {2, 2, 5, 3, 40, 0, 0, 1, true, true, 0.37f},
};

static float *run(const struct blend_case *k, const float *x, const float *y, const float *weights,
                  enum vka_dtype storage, bool cpu, enum check_along along)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, k->branches, k->frames);
    uint32_t n = k->branches * k->frames;
    c->table.cpu = cpu && c->table.cpu;
    vka_tensor a = check_input(c, "x", VKA_SAMPLE, storage, n, k->h, k->w, k->c, x);
    vka_tensor b = k->count ? (vka_tensor){0} : check_input(c, "y", VKA_SAMPLE, storage, n, k->h, k->w, k->c, y);
    vka_tensor w = check_input(c, "weights", VKA_SAMPLE, VKA_F32, n, 1, 1, 2, weights);
    vka_scope at = vka_scope_root("blend");
    vka_tensor out = k->count ? vka_scale_channels(&c->build, a, k->first, k->count, w, k->channel, at)
               : k->factor > 0 ? vka_add_scaled_by(&c->build, a, b, w, k->channel, k->factor, at)
               : k->add       ? vka_add_scaled(&c->build, a, b, w, k->channel, at)
                              : vka_blend(&c->build, a, b, w, k->channel, at);
    if (k->in_place)
        check_in_place(c, out, k->count || k->add ? a : b);
    return check_run_along(c, out, along);
}

static void check_blend(const struct blend_case *k, enum vka_dtype storage, bool cpu)
{
    uint32_t n = k->branches * k->frames;
    size_t one = (size_t)k->h * k->w * k->c, all = n * one;
    float *x = check_random(1, all, 3), *y = check_random(2, all, 3), *w = check_random(3, 2 * n, 2);
    double *want = malloc(all * sizeof *want);
    assert_non_null(want);
    check_round(x, all, storage);
    check_round(y, all, storage);
    w[k->channel] = 0;               /* of the first sample, */
    w[2 * (n - 1) + k->channel] = 1; /* and of the last */
    for (uint32_t s = 0; s < n; s++)
        if (k->count)
            ref_scale_channels(x + s * one, w[2 * s + k->channel], (uint64_t)k->h * k->w, k->c, k->first, k->count,
                               want + s * one);
        else if (k->add)
            for (size_t i = s * one; i < (s + 1) * one; i++)
                want[i] = (double)x[i] + (k->factor > 0 ? (double)k->factor : 1) * (double)w[2 * s + k->channel] * (double)y[i];
        else
            ref_blend(x + s * one, y + s * one, w[2 * s + k->channel], one, want + s * one);
    if (!k->count && n > 1) /* what has no weight may be anything */
        for (size_t i = 0; i < one; i++)
            y[i] = NAN;
    float *got = run(k, x, y, w, storage, cpu, CHECK_WHOLE);
    check_close("blend", got, want, all, storage == VKA_F16 ? 5e-4 : 2e-6);
    if (!k->count) {
        if (n > 1)
            check_same("weight 0", got, x, one);
        if (!k->add)
            check_same("weight 1", got + (n - 1) * one, y + (n - 1) * one, one);
    }
    for (int along = CHECK_SAMPLES; along <= CHECK_PIXELS; along++) {
        float *parts = run(k, x, y, w, storage, cpu, (enum check_along)along);
        check_same(along == CHECK_SAMPLES ? "cut along samples" : "cut along pixels", parts, got, all);
        free(parts);
    }
    free(x), free(y), free(w), free(want), free(got);
}

static void blend_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int way = 0; way < 4; way++)
            check_blend(&cases[i], way & 1 ? VKA_F16 : VKA_F32, way & 2);
}

/* What cannot be blended is a sentence, not a launch. */
static void refused(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        float zero[2 * 4 * 16] = {0};
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 2, 2, 2, 16, zero);
        vka_tensor narrow = check_input(c, "narrow", VKA_SAMPLE, VKA_F32, 2, 2, 2, 8, zero);
        vka_tensor w = check_input(c, "w", VKA_SAMPLE, VKA_F32, 2, 1, 1, 1, zero), y;
        vka_scope at = vka_scope_root("at");
        y = i == 0   ? vka_blend(&c->build, x, narrow, w, 0, at)
            : i == 1 ? vka_blend(&c->build, x, x, w, 1, at)
            : i == 2 ? vka_scale_channels(&c->build, x, 8, 16, w, 0, at)
                     : vka_scale_channels(&c->build, x, 0, 6, w, 0, at);
        assert_int_equal(y.id, 0);
        assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
        c->build.err = (vka_error){0};
        check_end(&c);
    }
}

/* ---- the stage ---------------------------------------------------------------------------------------------- */

enum { NUMBERS = 1 << 18, FRAMES = 12, WINDOW = 4, TOKENS = 9, HEIGHT = 4, WIDTH = 5, MOVED = 7 };

struct net {
    vka_unet_config config;
    vka_motion_info motion;
    vka_weights *weights, *more;
    vka_sampler *sampler;
    struct vka_unet_stage_params p;
    float *context, *noise;
    size_t frame, all;
};

static struct net *make_net(const struct networks_numbers *numbers, bool f16)
{
    struct net *n = calloc(1, sizeof *n);
    vka_sampler_params sp = vka_sampler_params_default();
    assert_non_null(n);
    sp.steps = 2;
    n->config = networks_small_unet(16, 2, 1);
    n->motion = networks_v2_motion(&n->config);
    n->weights = networks_unet_table(&n->config, numbers);
    n->more = networks_motion_table(&n->motion, &n->config, numbers);
    n->sampler = vka_sampler_create(&sp, NULL);
    assert_true(n->weights && n->more && n->sampler);
    n->frame = (size_t)n->config.in_channels * HEIGHT * WIDTH;
    n->all = FRAMES * n->frame;
    n->context = check_random(7, (size_t)2 * TOKENS * n->config.cross_attention_dim, 1);
    n->noise = check_random(8, n->all, 1.5f);
    n->p = (struct vka_unet_stage_params){.weights = n->weights,
                                          .motion_weights = n->more,
                                          .config = &n->config,
                                          .motion = &n->motion,
                                          .frames = FRAMES,
                                          .height = HEIGHT,
                                          .width = WIDTH,
                                          .branches = 2,
                                          .prompts = 2,
                                          .tokens = TOKENS,
                                          .text_width = n->config.cross_attention_dim,
                                          .f16 = f16,
                                          .sampler = n->sampler,
                                          .table = check_table(gpu)};
    return n;
}

static void free_net(struct net *n)
{
    free(n->context), free(n->noise);
    vka_sampler_free(n->sampler);
    vka_weights_free(n->weights);
    vka_weights_free(n->more);
    free(n);
}

/* The guided prediction of the first step, [FRAMES, 4, h, w]; free it. */
static float *predict(const struct net *n, const struct vka_unet_stage_params *p)
{
    struct vka_unet_stage s;
    vka_error err = {0};
    uint64_t need;
    int32_t index[2 * FRAMES];
    float *eps = malloc(n->all * sizeof *eps);
    assert_non_null(eps);
    for (uint32_t i = 0; i < 2 * FRAMES; i++)
        index[i] = i >= FRAMES;
    check_ok(vka_unet_stage_build(&s, p, &err), &err);
    check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need, &err), &err);
    check_ok(vka_unet_stage_start(&s, gpu, NULL, &err), &err);
    check_ok(vka_unet_stage_prompt(&s, n->context, index, &err), &err);
    check_ok(vka_unet_stage_set(&s, VKA_SLOT_X, n->noise, &err), &err);
    check_ok(vka_unet_stage_eval(&s, vka_sampler_eval_at(n->sampler, 0), 3, NULL, &err), &err);
    check_ok(vka_unet_stage_get(&s, VKA_SLOT_EPS, eps, &err), &err);
    vka_unet_stage_end(&s);
    check_finite("eps", eps, n->all);
    return eps;
}

/* |a - b| / |b| of one frame. */
static double apart(const struct net *n, const float *a, const float *b, uint32_t frame)
{
    double difference = 0, norm = 0;
    for (size_t i = frame * n->frame; i < (frame + 1) * n->frame; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}

/* The modules act on one frame alone: that one differs from the image model's, whether the clip is one piece or in windows, and all
 * others do not.  A window that took another's numbers would move another frame. */
static void windows_take_their_frames(void **state)
{
    const struct networks_numbers *numbers = *state;
    struct net *n = make_net(numbers, false);
    float effect[FRAMES] = {[MOVED] = 1};
    struct vka_unet_stage_params p = n->p;
    p.motion = NULL;
    p.motion_weights = NULL;
    float *still = predict(n, &p);
    for (int windows = 0; windows < 2; windows++) {
        p = n->p;
        p.motion_effect = effect;
        p.window = windows ? (struct vka_window_params){.length = WINDOW, .stride = 1, .overlap = 1} : (struct vka_window_params){0};
        float *eps = predict(n, &p);
        for (uint32_t f = 0; f < FRAMES; f++) {
            double d = apart(n, eps, still, f);
            if (f == MOVED ? d < 1e-2 : d > 1e-5)
                fail_msg("%s: frame %u is %g away from the image model's", windows ? "in windows" : "in one piece", f,
                         d);
        }
        free(eps);
    }
    free(still);
    free_net(n);
}

/* Ones change nothing, though they go through the operators; a scale moves every frame; and a scale of one frame is not that of
 * another. */
static void what_amounts_do(void **state)
{
    const struct networks_numbers *numbers = *state;
    for (int f16 = 0; f16 < 2; f16++) {
        struct net *n = make_net(numbers, f16);
        float ones[FRAMES], scale[FRAMES];
        for (uint32_t f = 0; f < FRAMES; f++)
            ones[f] = scale[f] = 1;
        struct vka_unet_stage_params p = n->p;
        float *plain = predict(n, &p), *eps[2];
        p.motion_scale = ones;
        float *same = predict(n, &p);
        check_same("a scale of 1", same, plain, n->all);
        free(same);
        for (int i = 0; i < 2; i++) {
            scale[i ? 9 : 2] = 0.25f;
            p.motion_scale = scale;
            eps[i] = predict(n, &p);
            scale[i ? 9 : 2] = 1;
            for (uint32_t f = 0; f < FRAMES; f++)
                if (apart(n, eps[i], plain, f) < 1e-6)
                    fail_msg("frame %u does not heed the scale of a key", f);
        }
        assert_true(apart(n, eps[0], eps[1], 5) > 1e-6);
        free(eps[0]), free(eps[1]), free(plain);
        free_net(n);
    }
}

/* ---- the command's network ------------------------------------------------------------------------------------ */

enum { NET_FRAMES = 4, NET_SIZE = 8, NET_TOKENS = 77, NET_WIDTH = 128 };
static char folder[128];

static void write_input(const char *path)
{
    const float t = 501;
    float *sample = check_random(11, NET_FRAMES * 4 * NET_SIZE * NET_SIZE, 1.5f),
          *cond = check_random(12, NET_TOKENS * NET_WIDTH, 1);
    const vka_weight tensors[] = {
        {.name = "sample",
         .dtype = VKA_WEIGHT_F32,
         .rank = 4,
         .dims = {NET_FRAMES, 4, NET_SIZE, NET_SIZE},
         .data = sample},
        {.name = "timestep", .dtype = VKA_WEIGHT_F32, .rank = 1, .dims = {1}, .data = &t},
        {.name = "cond", .dtype = VKA_WEIGHT_F32, .rank = 3, .dims = {1, NET_TOKENS, NET_WIDTH}, .data = cond},
    };
    vka_error err = {0};
    check_ok(vka_safetensors_write(path, tensors, 3, NULL, 0, &err), &err);
    free(sample), free(cond);
}

/* eps of `vkanim net unet` on the miniature, [NET_FRAMES, 4, NET_SIZE, NET_SIZE]. */
static void net_unet(const char *motion, const char *scale, const char *effect, float *eps)
{
    const char *root = getenv("VKA_TEST_ROOT"), *device = getenv("VKANIM_DEVICE");
    char in[160], out[160], model[600], path[700], *report;
    vka_context *cx;
    vka_error err = {0};
    vka_safetensors st;
    vka_job *job = vka_job_create();
    snprintf(in, sizeof in, "%s/in.safetensors", folder);
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    snprintf(model, sizeof model, "%s/models/miniature", root ? root : VKA_SOURCE_DIR);
    snprintf(path, sizeof path, "%s/motion.safetensors", model);
    write_input(in);
    check_ok(vka_context_create(&cx, NULL, &err), &err);
    check_ok(vka_job_set(job, "model", model, &err), &err);
    check_ok(vka_job_set(job, "motion", motion ? motion : path, &err), &err);
    check_ok(vka_job_set(job, "precision", "f32", &err), &err);
    if (scale)
        check_ok(vka_job_set(job, "motion-scale", scale, &err), &err);
    if (effect)
        check_ok(vka_job_set(job, "motion-effect", effect, &err), &err);
    if (device)
        check_ok(vka_job_set(job, "device", device, &err), &err);
    check_ok(vka_net(cx, job, "unet", in, out, &report, &err), &err);
    check_ok(vka_safetensors_open(&st, out, &err), &err);
    const vka_weight *w = vka_safetensors_find(&st, "eps");
    assert_true(w && vka_weight_count(w) == NET_FRAMES * 4 * NET_SIZE * NET_SIZE);
    vka_dtype_to_f32(eps, w->data, w->dtype, (size_t)vka_weight_count(w));
    vka_safetensors_close(&st);
    remove(in), remove(out);
    vka_free(report);
    vka_job_destroy(&job);
    vka_context_destroy(&cx);
}

/* With an effect of 0 the bits of the picture model alone; with ones those of the module as it is. */
static void nothing_and_all(void **state)
{
    (void)state;
    enum { ALL = NET_FRAMES * 4 * NET_SIZE * NET_SIZE };
    static float still[ALL], moving[ALL], eps[ALL];
    net_unet("none", NULL, NULL, still);
    net_unet(NULL, NULL, NULL, moving);
    assert_true(memcmp(still, moving, sizeof still) != 0);
    net_unet(NULL, "1.5", "0", eps);
    check_same("an effect of 0", eps, still, ALL);
    net_unet(NULL, NULL, "0:0, 2:0", eps);
    check_same("an effect of 0 in a list", eps, still, ALL);
    net_unet(NULL, "1", "1, 1", eps);
    check_same("ones", eps, moving, ALL);
    net_unet(NULL, "1", "0.0:1, 1.0:0", eps);
    assert_true(memcmp(eps, moving, sizeof eps) != 0 && memcmp(eps, still, sizeof eps) != 0);
}

int main(void)
{
    gpu = check_open_gpu();
    uint16_t *halves = check_random_halves(5, NUMBERS, 0.25f);
    struct networks_numbers numbers = {halves, NUMBERS};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blend_is_right),
        cmocka_unit_test(refused),
        cmocka_unit_test_prestate(windows_take_their_frames, &numbers),
        cmocka_unit_test_prestate(what_amounts_do, &numbers),
        cmocka_unit_test(nothing_and_all),
    };
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.90s/vkanim-amounts-XXXXXX", tmp && *tmp ? tmp : P_tmpdir);
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(halves);
    rmdir(folder);
    check_close_gpu(&gpu); /* the validation layers kept silent */
    return failed;
}
