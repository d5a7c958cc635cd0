/* test_long_clips.c - clips in context windows, and clips whose state is in host memory.
 *
 * Where the state is and how it is sliced changes no bit.  A clip in windows is compared, to the bit, with the network
 * alone on each window, with guidance, merge and sampler done here.  Pictures that are held are where the clip ends.
 * Planned device memory does not depend on the number of frames, and what was planned is what is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "numbers.h"

#include "render/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3, TOKENS = 12, HEIGHT = 6, WIDTH = 5 };
static const double CFG = 3.5;

/* A clip: the network, the sampler, its noise, one prompt for uncond and one for every frame. */
struct clip {
    vka_unet_config config;
    vka_motion_info motion;
    vka_weights *weights, *more;
    vka_sampler *sampler;
    struct vka_unet_stage_params p;
    float *context, *noise, *step_noise;
    size_t frame, all; /* elements */
    uint32_t together; /* windows at once; 0: as they come */
    const struct vka_hold *hold;
};

static struct clip clip_sized(uint32_t height, uint32_t width, uint32_t frames, uint32_t branches, vka_sampler_id sampler,
                              bool motion, bool f16)
{
    struct clip c = {.config = networks_small_unet(16, 2, 1)};
    vka_sampler_params sp = vka_sampler_params_default();
    vka_error err = {0};
    sp.sampler = sampler;
    sp.steps = STEPS;
    c.motion = networks_v2_motion(&c.config);
    c.weights = networks_unet_table(&c.config, &numbers);
    c.more = motion ? networks_motion_table(&c.motion, &c.config, &numbers) : NULL;
    c.sampler = vka_sampler_create(&sp, &err);
    assert_true(c.weights && c.sampler);
    c.frame = (size_t)c.config.in_channels * height * width;
    c.all = frames * c.frame;
    c.p = (struct vka_unet_stage_params){.weights = c.weights,
                                         .motion_weights = c.more,
                                         .config = NULL,
                                         .motion = NULL,
                                         .frames = frames,
                                         .height = height,
                                         .width = width,
                                         .branches = branches,
                                         .prompts = 1 + frames,
                                         .tokens = TOKENS,
                                         .text_width = c.config.cross_attention_dim,
                                         .f16 = f16,
                                         .sampler = c.sampler,
                                         .table = check_table(gpu)};
    c.context = check_random(7, (size_t)c.p.prompts * TOKENS * c.p.text_width, 1.0f);
    c.noise = check_random(8, c.all, 1.5f);
    c.step_noise = check_random(9, STEPS * c.all, 1.0f);
    return c;
}

static struct clip clip_of(uint32_t frames, uint32_t branches, vka_sampler_id sampler, bool motion, bool f16)
{
    return clip_sized(HEIGHT, WIDTH, frames, branches, sampler, motion, f16);
}

/* The parameters, pointing into the clip where it is now. */
static struct vka_unet_stage_params params(const struct clip *c)
{
    struct vka_unet_stage_params p = c->p;
    p.config = &c->config;
    p.motion = c->more ? &c->motion : NULL;
    return p;
}

static void release(struct clip *c)
{
    free(c->context);
    free(c->noise);
    free(c->step_noise);
    vka_sampler_free(c->sampler);
    vka_weights_free(c->weights);
    vka_weights_free(c->more);
}

/* Uncond is prompt 0, frame f's prompt 1 + f; for `frames` of a clip with numbers frame[] (NULL: all of them). */
static void set_prompt(struct vka_unet_stage *s, const struct clip *c, uint32_t frames, const int32_t *frame)
{
    vka_error err = {0};
    uint32_t cond = (c->p.branches - 1) * frames;
    int32_t *index = calloc((size_t)cond + frames, sizeof *index);
    assert_non_null(index);
    for (uint32_t i = 0; i < frames; i++)
        index[cond + i] = 1 + (frame ? frame[i] : (int32_t)i);
    check_ok(vka_unet_stage_prompt(s, c->context, index, &err), &err);
    free(index);
}

/* The whole clip through the stage: latents and the last EPS.  With `choose` the planner says where the clip's state is;
 * returns whether in host memory. */
static bool render_in(const struct clip *c, const struct vka_unet_stage_params *p, struct vka_room room, bool choose,
                      float *latents, float *eps)
{
    const struct vka_ask ask = {.room = room};
    struct vka_unet_stage s;
    vka_error err = {0};
    uint64_t need, peak, before = vka_gpu_device_bytes(gpu, NULL);
    check_ok(vka_unet_stage_build(&s, p, &err), &err);
    if (c->together)
        check_ok(vka_unet_stage_together(&s, c->together, &err), &err);
    if (choose)
        check_ok(vka_unet_stage_choose(&s, &ask, &need, &err), &err);
    else
        check_ok(vka_unet_stage_ask(&s, &ask, &need, &err), &err);
    bool parked = s.parked;
    vka_gpu_reset_peak(gpu);
    check_ok(vka_unet_stage_start(&s, gpu, NULL, &err), &err);
    set_prompt(&s, c, p->frames, NULL);
    check_ok(vka_unet_stage_set(&s, VKA_SLOT_X, c->noise, &err), &err);
    if (c->hold)
        check_ok(vka_unet_stage_hold(&s, c->hold, &err), &err);
    for (uint32_t i = 0; i < STEPS; i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(c->sampler, i);
        if (e->draws_noise)
            check_ok(vka_unet_stage_set(&s, VKA_SLOT_NOISE, c->step_noise + i * c->all, &err), &err);
        check_ok(vka_unet_stage_eval(&s, e, CFG, NULL, &err), &err);
    }
    check_ok(vka_unet_stage_get(&s, VKA_SLOT_X, latents, &err), &err);
    check_ok(vka_unet_stage_get(&s, VKA_SLOT_EPS, eps, &err), &err);
    vka_gpu_device_bytes(gpu, &peak);
    assert_true(peak - before == need);
    vka_unet_stage_end(&s);
    assert_true(vka_gpu_device_bytes(gpu, NULL) == before);
    return parked;
}

static void render(const struct clip *c, const struct vka_unet_stage_params *p, uint64_t budget, float *latents,
                   float *eps)
{
    render_in(c, p, (struct vka_room){budget, UINT64_MAX}, false, latents, eps);
}

/* out = a[0] x[0] + a[1] x[1] .., rounded term by term as shaders/combine.comp does; zero coefficients are left out. */
static void combine(float *out, const float *const *x, const float *a, uint32_t terms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        bool begun = false;
        for (uint32_t t = 0; t < terms; t++) {
            float term = a[t] * x[t][i];
            if (a[t] != 0.0f)
                sum = begun ? sum + term : term;
            begun = begun || a[t] != 0.0f;
        }
        out[i] = sum;
    }
}

/* The same clip by the network alone: a window at a time, all else here. */
static void render_apart(const struct clip *c, const struct vka_window_params *window, float *latents, float *eps)
{
    struct vka_unet_stage_params p = params(c);
    struct vka_unet_stage s;
    struct vka_windows w = {0};
    vka_error err = {0};
    uint64_t need;
    uint32_t f = p.frames;
    p.frames = window->length;
    p.sampler = NULL;
    check_ok(vka_unet_stage_build(&s, &p, &err), &err);
    check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need, &err), &err);
    check_ok(vka_unet_stage_start(&s, gpu, NULL, &err), &err);
    size_t one = window->length * c->frame;
    float *in = calloc(2 * one, sizeof *in), *out = calloc(2 * one, sizeof *out), *guided = calloc(one, sizeof *guided);
    assert_true(in && out && guided);
    memcpy(latents, c->noise, c->all * sizeof *latents);
    for (uint32_t i = 0; i < STEPS; i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(c->sampler, i);
        const float scale = (float)e->input_scale, guidance[2] = {(float)(p.branches > 1 ? 1 - CFG : 1), (float)CFG};
        check_ok(vka_windows_make(&w, window, f, e->step, &err), &err);
        memset(eps, 0, c->all * sizeof *eps);
        for (uint32_t k = 0; k < w.count; k++) {
            const int32_t *frame = w.frame + k * w.length;
            for (uint32_t j = 0; j < w.length; j++)
                for (uint32_t b = 0; b < p.branches; b++)
                    combine(in + b * one + j * c->frame, (const float *[]){latents + (size_t)frame[j] * c->frame},
                            &scale, 1, c->frame);
            set_prompt(&s, c, w.length, frame);
            check_ok(vka_unet_stage_once(&s, in, e->timestep, out, NULL, &err), &err);
            combine(guided, (const float *[]){out, out + one}, guidance, p.branches, one);
            for (uint32_t j = 0; j < w.length; j++) {
                const float share = w.weight[k * w.length + j];
                float *sum = eps + (size_t)frame[j] * c->frame;
                if (share == 0)
                    continue;
                combine(guided + j * c->frame, (const float *[]){guided + j * c->frame}, &share, 1, c->frame);
                for (uint32_t v = 0; v < c->frame; v++)
                    sum[v] = sum[v] + guided[j * c->frame + v];
            }
        }
        for (uint32_t o = 0; o < e->ops; o++) {
            const float *x[VKA_SAMPLER_TERMS];
            float a[VKA_SAMPLER_TERMS];
            for (uint32_t t = 0; t < e->op[o].terms; t++) {
                uint32_t slot = e->op[o].slot[t];
                assert_true(slot <= VKA_SLOT_NOISE);
                x[t] = slot == VKA_SLOT_X ? latents : slot == VKA_SLOT_EPS ? eps : c->step_noise + i * c->all;
                a[t] = (float)e->op[o].coef[t];
            }
            assert_int_equal(e->op[o].out, VKA_SLOT_X);
            combine(latents, x, a, e->op[o].terms, c->all);
        }
    }
    free(in);
    free(out);
    free(guided);
    vka_windows_free(&w);
    vka_unet_stage_end(&s);
}

struct results {
    float *latents, *eps, *want_latents, *want_eps;
};

static struct results results_of(size_t n)
{
    struct results r = {calloc(n, sizeof(float)), calloc(n, sizeof(float)), calloc(n, sizeof(float)),
                        calloc(n, sizeof(float))};
    assert_true(r.latents && r.eps && r.want_latents && r.want_eps);
    return r;
}

static void same(const char *what, const struct results *r, size_t n)
{
    char name[96];
    snprintf(name, sizeof name, "%s: EPS", what);
    check_same(name, r->eps, r->want_eps, n);
    snprintf(name, sizeof name, "%s: latents", what);
    check_same(name, r->latents, r->want_latents, n);
}

static void forget(struct results *r)
{
    free(r->latents);
    free(r->eps);
    free(r->want_latents);
    free(r->want_eps);
}

/* A clip in one piece, its state on the device and in host memory, in slices of every size. */
static void parked_state_changes_no_bit(void **state)
{
    (void)state;
    static const struct {
        uint32_t frames, branches;
        vka_sampler_id sampler;
        bool f16;
    } cases[] = {{5, 2, VKA_SAMPLER_DDIM, true}, {7, 1, VKA_SAMPLER_EULER_A, false}, {1, 2, VKA_SAMPLER_EULER, true}};
    static const uint32_t slices[] = {0, 1, 2, 3, 7};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct clip c = clip_of(cases[i].frames, cases[i].branches, cases[i].sampler, true, cases[i].f16);
        struct vka_unet_stage_params p = params(&c);
        struct results r = results_of(c.all);
        render(&c, &p, UINT64_MAX, r.want_latents, r.want_eps);
        assert_memory_not_equal(r.want_latents, c.noise, c.all * sizeof *c.noise);
        p.park = true;
        for (size_t k = 0; k < sizeof slices / sizeof *slices; k++) {
            p.slice = slices[k];
            c.together = (uint32_t)k + 1;
            render(&c, &p, k % 2 ? 0 : UINT64_MAX, r.latents, r.eps);
            same("parked", &r, c.all);
        }
        forget(&r);
        release(&c);
    }
}

/* What the stage needs within `budget`, with the clip's state on the device or in host memory. */
static uint64_t need_of(const struct vka_unet_stage_params *p, bool park, uint64_t budget, uint64_t *host)
{
    struct vka_unet_stage s;
    struct vka_unet_stage_params q = *p;
    vka_error err = {0};
    uint64_t need;
    q.park = park;
    check_ok(vka_unet_stage_build(&s, &q, &err), &err);
    check_ok(vka_unet_stage_plan(&s, budget, &need, &err), &err);
    *host = s.unet.plan->host_bytes + vka_unet_stage_host_bytes(&s);
    vka_unet_stage_end(&s);
    return need;
}

/* The planner puts the clip's state into host memory where nothing else fits, and leaves it on the device where there is room,
 * where the host has none, and where a cut that makes room for it costs less than copies do. */
static void the_planner_parks_where_it_must(void **state)
{
    (void)state;
    struct clip c = clip_sized(24, 24, 16, 2, VKA_SAMPLER_EULER_A, true, true);
    struct vka_unet_stage_params p = params(&c);
    struct results r = results_of(c.all);
    uint64_t here_host, there_host, none, most = need_of(&p, false, UINT64_MAX, &none);
    uint64_t here = need_of(&p, false, 0, &here_host), there = need_of(&p, true, 0, &there_host);
    printf("16 frames of 24 x 24: %llu bytes at least with the state on the device, %llu with it in host memory\n",
           (unsigned long long)here, (unsigned long long)there);
    assert_true(there < here && there_host > here_host && need_of(&p, true, UINT64_MAX, &none) < most);
    assert_false(render_in(&c, &p, (struct vka_room){UINT64_MAX, UINT64_MAX}, true, r.want_latents, r.want_eps));
    static const bool parked[] = {true, true, false, false};
    const struct vka_room rooms[] = {
        {there, there_host}, {here - 1, UINT64_MAX}, {most, 0}, {most - 1, UINT64_MAX}};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        assert_true(render_in(&c, &p, rooms[i], true, r.latents, r.eps) == parked[i]);
        same("chosen", &r, c.all);
    }
    p.park = true; /* a wish of the caller's is kept */
    assert_true(render_in(&c, &p, (struct vka_room){UINT64_MAX, UINT64_MAX}, true, r.latents, r.eps));
    same("wished", &r, c.all);
    forget(&r);
    release(&c);
}

static void windows_are_the_network_apart(void **state)
{
    (void)state;
    static const struct {
        uint32_t frames, branches;
        vka_sampler_id sampler;
        bool f16;
        struct vka_window_params window;
    } cases[] = {{11, 2, VKA_SAMPLER_DDIM, true, {.length = 4, .stride = 1, .overlap = 1}},
                 {9, 2, VKA_SAMPLER_EULER_A, false, {.length = 4, .stride = 2, .overlap = 2}},
                 {8, 1, VKA_SAMPLER_EULER, true, {.length = 3, .stride = 3, .overlap = 0}},
                 {6, 2, VKA_SAMPLER_EULER, false, {.length = 1, .stride = 1, .overlap = 0}},
                 {6, 1, VKA_SAMPLER_EULER, false, {4, 3, 1, VKA_WINDOWS_UNIFORM, VKA_MERGE_PYRAMID, true, true, 0}},
                 {4, 1, VKA_SAMPLER_EULER, false, {4, 1, 1, VKA_WINDOWS_UNIFORM, VKA_MERGE_RELATIVE, true, false, 0}},
                 {7, 1, VKA_SAMPLER_EULER, true, {3, 1, 0, VKA_WINDOWS_SHUFFLE, VKA_MERGE_LAST, false, false, 9}},
                 {9, 2, VKA_SAMPLER_EULER_A, false, {4, 1, 2, VKA_WINDOWS_STATIC, VKA_MERGE_OVERLAP_LINEAR, false, false, 0}},
                 {7, 1, VKA_SAMPLER_DDIM, true, {3, 1, 0, VKA_WINDOWS_BATCHED, VKA_MERGE_PYRAMID, false, false, 0}},
                 {8, 2, VKA_SAMPLER_DDIM, true, {4, 1, 2, VKA_WINDOWS_UNIFORM, VKA_MERGE_OVERLAP_LINEAR, true, false, 0}},
                 {9, 1, VKA_SAMPLER_EULER, false, {4, 2, 1, VKA_WINDOWS_UNIFORM_STANDARD, VKA_MERGE_LAST, false, false, 0}},
                 {8, 1, VKA_SAMPLER_EULER, true, {5, 1, 3, VKA_WINDOWS_STATIC, VKA_MERGE_RELATIVE, false, false, 0}}};
    static const uint32_t slices[] = {0, 1, 5, 100};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct clip c = clip_of(cases[i].frames, cases[i].branches, cases[i].sampler, true, cases[i].f16);
        struct vka_unet_stage_params p = params(&c);
        struct results r = results_of(c.all);
        render_apart(&c, &cases[i].window, r.want_latents, r.want_eps);
        p.window = cases[i].window;
        for (size_t k = 0; k < sizeof slices / sizeof *slices; k++) {
            p.slice = slices[k];
            c.together = (uint32_t)k + 1;
            render(&c, &p, k % 2 ? 0 : UINT64_MAX, r.latents, r.eps);
            same("windows", &r, c.all);
        }
        forget(&r);
        release(&c);
    }
}

/* Frames that no motion module joins: windows are as good as the whole, overlaps of two included. */
static void windows_without_motion_change_no_bit(void **state)
{
    (void)state;
    struct clip c = clip_of(10, 2, VKA_SAMPLER_DDIM, false, true);
    struct vka_unet_stage_params p = params(&c);
    struct results r = results_of(c.all);
    render(&c, &p, UINT64_MAX, r.want_latents, r.want_eps);
    p.window = (struct vka_window_params){.length = 4, .stride = 1, .overlap = 0};
    render(&c, &p, UINT64_MAX, r.latents, r.eps);
    same("without motion", &r, c.all);
    p.window = (struct vka_window_params){.length = 10, .stride = 1, .overlap = 0}; /* one piece */
    render(&c, &p, UINT64_MAX, r.latents, r.eps);
    same("one window", &r, c.all);
    forget(&r);
    release(&c);
}

/* Pictures of all frames, of which the first, the fourth and the left half of the second are held. */
struct pictures {
    const float *latents;
    size_t frame;
};

static const float *picture_of(void *user, uint32_t frame)
{
    const struct pictures *p = user;
    return p->latents + frame * p->frame;
}

static float held_at(uint32_t frame, uint32_t x) { return frame == 0 || frame == 3 || (frame == 1 && x < WIDTH / 2) ? 1 : 0; }

static void held_share(void *user, uint32_t frame, float *out)
{
    (void)user;
    for (uint32_t i = 0; i < HEIGHT * WIDTH; i++)
        out[i] = held_at(frame, i % WIDTH);
}

static void check_held(const struct clip *c, const float *latents, const float *pictures)
{
    double apart = 0;
    for (size_t i = 0; i < c->all; i++) {
        double d = fabs((double)latents[i] - (double)pictures[i]);
        if (held_at((uint32_t)(i / c->frame), (uint32_t)(i % WIDTH)) > 0) {
            if (!(d <= 1e-4))
                fail_msg("value %zu is %g from the picture that is held", i, d);
        } else
            apart = d > apart ? d : apart;
    }
    assert_true(apart > 0.1); /* what is not held is something else */
}

/* What is held to the last step ends as the picture; where the state is and how it is sliced changes no bit; what is held in no
 * step is as if nothing were. */
static void held_pictures_are_reached(void **state)
{
    (void)state;
    static const vka_sampler_id samplers[] = {VKA_SAMPLER_DDIM, VKA_SAMPLER_EULER_A, VKA_SAMPLER_DPMPP_2M};
    for (size_t i = 0; i < 3; i++) {
        struct clip c = clip_of(6, 2, samplers[i], true, i == 1);
        vka_sampler_params sp = vka_sampler_params_default();
        vka_error err = {0};
        sp.sampler = samplers[i];
        sp.steps = STEPS;
        sp.set_alpha_to_one = true; /* DDIM's last step leaves some noise without it */
        vka_sampler_free(c.sampler);
        c.p.sampler = c.sampler = vka_sampler_create(&sp, &err);
        assert_non_null(c.sampler);
        float *pictures = check_random(21 + i, c.all, 1.0f);
        struct pictures of = {pictures, c.frame};
        struct vka_hold hold = {&of, picture_of, held_share, STEPS};
        struct vka_unet_stage_params p = params(&c);
        struct results r = results_of(c.all);
        c.hold = &hold;
        p.holds = true;
        render(&c, &p, UINT64_MAX, r.want_latents, r.want_eps);
        check_held(&c, r.want_latents, pictures);
        p.park = true;
        for (uint32_t slice = 0; slice < 4; slice += 3) {
            p.slice = slice;
            render(&c, &p, slice ? 0 : UINT64_MAX, r.latents, r.eps);
            same("held, parked", &r, c.all);
        }
        hold.steps = 0; /* changes over in the first step */
        render(&c, &p, UINT64_MAX, r.want_latents, r.want_eps);
        p.park = false;
        render(&c, &p, UINT64_MAX, r.latents, r.eps);
        same("held in no step", &r, c.all);
        p.holds = false;
        c.hold = NULL;
        render(&c, &p, UINT64_MAX, r.latents, r.eps);
        same("not held", &r, c.all);
        hold.steps = STEPS;
        p.holds = true;
        c.hold = &hold;
        p.window = (struct vka_window_params){.length = 4, .stride = 1, .overlap = 2};
        render(&c, &p, UINT64_MAX, r.latents, r.eps);
        check_held(&c, r.latents, pictures);
        free(pictures);
        forget(&r);
        release(&c);
    }
}

static void device_memory_does_not_grow(void **state)
{
    (void)state;
    static const uint32_t frames[] = {9, 64, 1000, 10000};
    struct clip c = clip_of(9, 2, VKA_SAMPLER_EULER_A, true, true);
    uint64_t need[4], host[4];
    for (size_t i = 0; i < 4; i++) {
        struct vka_unet_stage_params p = params(&c);
        struct vka_unet_stage s;
        struct vka_traffic lines[VKA_TRAFFIC_LINES];
        vka_error err = {0};
        uint32_t count;
        p.frames = frames[i];
        p.prompts = 2;
        p.window = (struct vka_window_params){.length = 8, .stride = 1, .overlap = 2};
        check_ok(vka_unet_stage_build(&s, &p, &err), &err);
        check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need[i], &err), &err);
        check_ok(vka_unet_stage_traffic(&s, lines, &count, &err), &err);
        host[i] = vka_unet_stage_host_bytes(&s);
        printf("%u frames in windows of 8: %llu bytes on the device, %llu in host memory, %u dispatches a step\n",
               frames[i], (unsigned long long)need[i], (unsigned long long)host[i], lines[0].dispatches);
        uint32_t sum = 0;
        for (uint32_t k = 1; k < count; k++)
            sum += lines[k].dispatches;
        assert_int_equal(sum, lines[0].dispatches);
        vka_unet_stage_end(&s);
        assert_true(need[i] == need[0]);
        if (i)
            assert_true((host[i] - host[0]) % (frames[i] - frames[0]) == 0);
    }
    /* X, EPS and NOISE of a frame, X of the last step and of the next one, its prompts and its count */
    assert_true((host[3] - host[0]) / (frames[3] - frames[0]) == 5 * c.frame * sizeof(float) + 2 * 4 + 1 + 4);
    release(&c);
}

struct counter {
    int calls, stop_at;
};

static int count_ticks(void *user)
{
    struct counter *c = user;
    return c->calls++ == c->stop_at;
}

/* A stop in the middle of an evaluation leaves the clip as it was before it. */
static void a_stopped_evaluation_can_be_repeated(void **state)
{
    (void)state;
    struct clip c = clip_of(11, 2, VKA_SAMPLER_DDIM, true, false);
    struct vka_unet_stage_params p = params(&c);
    struct vka_unet_stage s;
    vka_error err = {0};
    uint64_t need;
    struct results r = results_of(c.all);
    const vka_sampler_eval *e = vka_sampler_eval_at(c.sampler, 0);
    p.window = (struct vka_window_params){.length = 4, .stride = 1, .overlap = 1};
    check_ok(vka_unet_stage_build(&s, &p, &err), &err);
    check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need, &err), &err);
    check_ok(vka_unet_stage_start(&s, gpu, NULL, &err), &err);
    set_prompt(&s, &c, p.frames, NULL);
    check_ok(vka_unet_stage_set(&s, VKA_SLOT_X, c.noise, &err), &err);
    struct counter ticks = {0, -1};
    const vka_ticker ticker = {count_ticks, &ticks};
    check_ok(vka_unet_stage_eval(&s, e, CFG, &ticker, &err), &err);
    check_ok(vka_unet_stage_get(&s, VKA_SLOT_X, r.want_latents, &err), &err);
    const struct vka_windows *w = vka_unet_stage_windows(&s);
    assert_true(w && w->count >= 3 && w->length == 4 && w->frames == 11);
    int all = ticks.calls;
    for (int k = 0; k < 4; k++) {
        ticks = (struct counter){0, k * all / 5};
        vka_error stop = {0};
        check_ok(vka_unet_stage_set(&s, VKA_SLOT_X, c.noise, &err), &err);
        assert_int_equal(vka_unet_stage_eval(&s, e, CFG, &ticker, &stop), VKA_E_STOPPED);
        check_ok(vka_unet_stage_get(&s, VKA_SLOT_X, r.latents, &err), &err);
        check_same("X after a stop", r.latents, c.noise, c.all);
        check_ok(vka_unet_stage_eval(&s, e, CFG, NULL, &err), &err);
        check_ok(vka_unet_stage_get(&s, VKA_SLOT_X, r.latents, &err), &err);
        check_same("repeated", r.latents, r.want_latents, c.all);
    }
    vka_unet_stage_end(&s);
    forget(&r);
    release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parked_state_changes_no_bit),          cmocka_unit_test(the_planner_parks_where_it_must),
        cmocka_unit_test(windows_are_the_network_apart),        cmocka_unit_test(windows_without_motion_change_no_bit),
        cmocka_unit_test(held_pictures_are_reached),
        cmocka_unit_test(device_memory_does_not_grow),          cmocka_unit_test(a_stopped_evaluation_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
