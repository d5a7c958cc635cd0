/* test_bits.c - the budget never changes the picture: each network at ten budgets, from the smallest plan to the
 * fastest, gives the same bits, takes exactly the memory that was planned, and reads nothing that it has not
 * written.  Then weights that come on a queue of their own while the device works, and how a run is submitted, stopped and
 * begun again.
 *
 * Networks: small ones with random weights (networks.h) in both precisions, and the miniature. */
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

enum { BUDGETS = 10 };

static struct vka_kernel_table table(void)
{
    return check_table(gpu);
}

/* The k-th of the budgets, from all that can be used to all that must be. */
static uint64_t budget_at(uint64_t least, uint64_t most, uint32_t k)
{
    return k == 0 ? most : least + (most - least) / (BUDGETS - 1) * (BUDGETS - 1 - k);
}

/* What was planned is what was taken. */
static void check_peak(const char *what, uint64_t before, uint64_t need, uint64_t budget)
{
    uint64_t peak;
    vka_gpu_device_bytes(gpu, &peak);
    if (peak - before != need || need > budget)
        fail_msg("%s: %llu bytes taken, %llu planned, %llu allowed", what, (unsigned long long)(peak - before),
                 (unsigned long long)need, (unsigned long long)budget);
}

/* ---- UNet ------------------------------------------------------------------------------------------------ */

struct unet_case {
    const char *what;
    struct vka_unet_stage_params p;
    float *context, *sample;
    size_t elements; /* of sample and eps */
};

static struct unet_case unet_case(const char *what, vka_weights *weights, const vka_unet_config *c, vka_weights *more,
                                  const vka_motion_info *motion, uint32_t frames, uint32_t height, uint32_t width,
                                  bool f16)
{
    struct unet_case u = {.what = what,
                          .p = {.weights = weights,
                                .motion_weights = more,
                                .config = c,
                                .motion = motion,
                                .frames = frames,
                                .height = height,
                                .width = width,
                                .branches = 2,
                                .prompts = 2,
                                .tokens = 20,
                                .text_width = c->cross_attention_dim,
                                .f16 = f16,
                                .table = table()}};
    u.elements = (size_t)2 * frames * c->in_channels * height * width;
    u.context = check_random(7, (size_t)2 * u.p.tokens * u.p.text_width, 1.0f);
    u.sample = check_random(8, u.elements, 1.5f);
    return u;
}

static void release(struct unet_case *u)
{
    free(u->context);
    free(u->sample);
}

/* Plans within the budget, or by `knobs`, starts on a spoilt arena and hands the prompt in.  Returns what the stage needs. */
static uint64_t start_by(struct vka_unet_stage *s, const struct unet_case *u, uint64_t budget, const struct vka_knobs *knobs)
{
    vka_error err = {0};
    uint64_t need;
    int32_t *index = calloc(2 * (size_t)u->p.frames, sizeof *index);
    assert_non_null(index);
    for (uint32_t i = 0; i < u->p.frames; i++)
        index[u->p.frames + i] = 1;
    check_ok(vka_unet_stage_build(s, &u->p, &err), &err);
    check_ok(vka_unet_stage_plan(s, budget, &need, &err), &err);
    if (knobs) {
        vka_plan_destroy(&s->unet.plan);
        s->unet.plan = vka_plan_make(s->unet.graph, knobs, &err);
        check_ok(err.status, &err);
    }
    check_ok(vka_unet_stage_start(s, gpu, NULL, &err), &err);
    check_spoil(s->unet.exec);
    check_ok(vka_unet_stage_prompt(s, u->context, index, &err), &err);
    free(index);
    return need;
}

static uint64_t start(struct vka_unet_stage *s, const struct unet_case *u, uint64_t budget)
{
    return start_by(s, u, budget, NULL);
}

static void evaluate(struct vka_unet_stage *s, const struct unet_case *u, float timestep, float *eps)
{
    vka_error err = {0};
    check_ok(vka_unet_stage_once(s, u->sample, timestep, eps, NULL, &err), &err);
}

/* Returns how many segments were cut, and units of weights streamed. */
static uint32_t unet_bits(const struct unet_case *u)
{
    float *first = calloc(u->elements, sizeof *first), *second = calloc(u->elements, sizeof *second);
    float *eps = calloc(u->elements, sizeof *eps);
    uint64_t least, most;
    uint32_t together = 0, apart = 0, cut = 0, streamed = 0, parked = 0, ahead = 0;
    vka_error err = {0};
    struct vka_unet_stage s;
    assert_true(first && second && eps);
    check_ok(vka_unet_stage_build(&s, &u->p, &err), &err);
    check_ok(vka_unet_stage_plan(&s, 0, &least, &err), &err);
    check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &most, &err), &err);
    vka_unet_stage_end(&s);
    for (uint32_t k = 0; k < BUDGETS; k++) {
        uint64_t budget = budget_at(least, most, k), before = vka_gpu_device_bytes(gpu, NULL);
        vka_gpu_reset_peak(gpu);
        uint64_t need = start(&s, u, budget);
        const struct vka_plan *p = s.unet.exec->plan;
        together += p->passes == 1;
        apart += p->passes > 1;
        streamed += p->unit_count;
        parked += p->parking_count;
        ahead += p->prefetch;
        for (uint32_t i = 0; i < p->segment_count; i++)
            cut += p->segments[i].parts > 1;
        evaluate(&s, u, 501, eps);
        if (k == 0) {
            check_finite(u->what, eps, u->elements);
            memcpy(first, eps, u->elements * sizeof *eps);
        } else
            check_same(u->what, eps, first, u->elements);
        /* the next step, on what the first one kept */
        evaluate(&s, u, 250, eps);
        if (k == 0) {
            memcpy(second, eps, u->elements * sizeof *eps);
            assert_memory_not_equal(first, second, u->elements * sizeof *eps);
        } else
            check_same(u->what, eps, second, u->elements);
        check_peak(u->what, before, need, budget);
        vka_unet_stage_end(&s);
        assert_true(vka_gpu_device_bytes(gpu, NULL) == before);
    }
    printf("%s: %.2f to %.2f MB; %u plans with the branches together, %u apart, %u segments cut, %u units of weights streamed, "
           "%u plans with prefetching, %u tensors parked\n",
           u->what, (double)most / 1e6, (double)least / 1e6, together, apart, cut, streamed, ahead, parked);
    assert_true(together > 0 && parked > 0 && (ahead > 0) == vka_gpu_describe(gpu)->transfer_queue);
    free(first);
    free(second);
    free(eps);
    return cut + streamed;
}

static void small_unets(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint32_t levels, layers, frames, height, width;
        bool joint, f16;
    } cases[] = {{"a small UNet, fp32", 2, 1, 3, 11, 7, false, false},
                 {"a small UNet, fp16", 2, 1, 4, 15, 11, false, true},
                 {"a small UNet with joint norms, fp16", 3, 1, 4, 12, 16, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_unet_config c = networks_small_unet(16, cases[i].levels, cases[i].layers);
        vka_motion_info motion = networks_v2_motion(&c);
        vka_weights *weights = networks_unet_table(&c, &numbers), *more = networks_motion_table(&motion, &c, &numbers);
        assert_true(weights && more);
        struct unet_case u = unet_case(cases[i].what, weights, &c, more, &motion, cases[i].frames, cases[i].height,
                                       cases[i].width, cases[i].f16);
        u.p.norms = (struct vka_net_norms){cases[i].joint, cases[i].joint};
        assert_true(unet_bits(&u) > 0);
        release(&u);
        vka_weights_free(weights);
        vka_weights_free(more);
    }
}

struct miniature {
    vka_model *model;
    vka_motion *motion;
};

static struct miniature open_miniature(void)
{
    struct miniature m = {0};
    vka_error err = {0};
    const char *root = getenv("VKA_TEST_ROOT"); /* of a tree that has moved since it was built */
    char model[512], motion[576];
    snprintf(model, sizeof model, "%s/models/miniature", root ? root : VKA_SOURCE_DIR);
    snprintf(motion, sizeof motion, "%s/motion.safetensors", model);
    check_ok(vka_model_open(&m.model, model, &err), &err);
    check_ok(vka_motion_open(&m.motion, motion, &err), &err);
    return m;
}

static void close_miniature(struct miniature *m)
{
    vka_motion_close(m->motion);
    vka_model_close(m->model);
}

static struct unet_case miniature_case(const struct miniature *m, const char *what, uint32_t frames, uint32_t size,
                                       bool f16)
{
    vka_error err = {0};
    vka_weights *weights = vka_model_weights(m->model, VKA_PART_UNET, &err);
    const vka_unet_config *c = vka_model_unet(m->model, &err);
    check_ok(err.status, &err);
    return unet_case(what, weights, c, vka_motion_weights(m->motion), vka_motion_describe(m->motion), frames, size,
                     size, f16);
}

static void miniature_unet(void **state)
{
    (void)state;
    struct miniature m = open_miniature();
    struct unet_case u = miniature_case(&m, "the miniature's UNet, fp32", 4, 8, false);
    assert_true(unet_bits(&u) > 0);
    release(&u);
    u = miniature_case(&m, "the miniature's UNet, fp16", 4, 8, true);
    unet_bits(&u); /* one branch at a time may be all that a table with split products needs */
    release(&u);
    close_miniature(&m);
}

/* ---- text, VAE ------------------------------------------------------------------------------------------- */

static void text_bits(const char *what, vka_weights *weights, const vka_text_config *c, bool f16)
{
    enum { CHUNKS = 3, TOKENS = 21 };
    const struct vka_kernel_table t = table();
    size_t count = (size_t)CHUNKS * TOKENS * c->hidden;
    float *first = calloc(count, sizeof *first), *out = calloc(count, sizeof *out);
    uint32_t ids[CHUNKS * TOKENS];
    uint64_t least = 0, most = 0;
    assert_true(first && out);
    for (uint32_t i = 0; i < CHUNKS * TOKENS; i++)
        ids[i] = i * 37 % c->vocab;
    for (uint32_t k = 0; k < BUDGETS + 1; k++) { /* the first round only asks for the ends of the range */
        struct vka_text_stage s;
        vka_error err = {0};
        uint64_t need, budget = k ? budget_at(least, most, k - 1) : 0, before = vka_gpu_device_bytes(gpu, NULL);
        check_ok(vka_text_stage_build(&s, weights, c, 0, CHUNKS, TOKENS, f16, &t, &err), &err);
        if (k == 0) {
            check_ok(vka_text_stage_plan(&s, 0, &least, &err), &err);
            check_ok(vka_text_stage_plan(&s, UINT64_MAX, &most, &err), &err);
            vka_text_stage_end(&s);
            continue;
        }
        check_ok(vka_text_stage_plan(&s, budget, &need, &err), &err);
        vka_gpu_reset_peak(gpu);
        check_ok(vka_text_stage_run(&s, gpu, ids, out, NULL, &(vka_log){0}, &err), &err);
        check_peak(what, before, need, budget);
        vka_text_stage_end(&s);
        if (k == 1) {
            check_finite(what, out, count);
            memcpy(first, out, count * sizeof *out);
        } else
            check_same(what, out, first, count);
    }
    printf("%s: %.2f to %.2f MB\n", what, (double)most / 1e6, (double)least / 1e6);
    free(first);
    free(out);
}

static void vae_bits(const char *what, enum vka_vae_mode mode, vka_weights *weights, const vka_vae_config *c,
                     uint32_t frames, uint32_t height, uint32_t width, bool f16)
{
    const struct vka_kernel_table t = table();
    uint64_t least, most;
    struct vka_vae_stage s;
    vka_error err = {0};
    check_ok(vka_vae_stage_build(&s, mode, weights, c, frames, height, width, f16, &t, &err), &err);
    check_ok(vka_vae_stage_plan(&s, 0, &least, &err), &err);
    check_ok(vka_vae_stage_plan(&s, UINT64_MAX, &most, &err), &err);
    size_t in_count = (size_t)frames * s.in_h * s.in_w * s.in_c;
    size_t out_bytes = (size_t)frames * s.out_h * s.out_w * (mode == VKA_VAE_ENCODE ? c->latent_channels : 3) *
                       (mode == VKA_VAE_PICTURES ? 1 : sizeof(float));
    vka_vae_stage_end(&s);
    float *in = check_random(9, in_count, 1.0f);
    void *first = calloc(out_bytes, 1), *out = calloc(out_bytes, 1);
    uint32_t bands = 0;
    assert_true(first && out);
    for (uint32_t k = 0; k < BUDGETS; k++) {
        uint64_t need, budget = budget_at(least, most, k), before = vka_gpu_device_bytes(gpu, NULL);
        bool bad = true;
        check_ok(vka_vae_stage_build(&s, mode, weights, c, frames, height, width, f16, &t, &err), &err);
        check_ok(vka_vae_stage_plan(&s, budget, &need, &err), &err);
        for (uint32_t i = 0; i < s.run.plan->segment_count; i++)
            bands += s.run.plan->segments[i].axis == VKA_AXIS_ROW ? s.run.plan->segments[i].parts - 1 : 0;
        vka_gpu_reset_peak(gpu);
        check_ok(vka_vae_stage_start(&s, gpu, NULL, &err), &err);
        check_spoil(s.run.exec);
        check_ok(vka_vae_stage_run(&s, in, out, &bad, NULL, &err), &err);
        assert_false(bad); /* no NaN came through */
        check_peak(what, before, need, budget);
        vka_vae_stage_end(&s);
        if (k == 0)
            memcpy(first, out, out_bytes);
        else
            assert_memory_equal(first, out, out_bytes);
    }
    assert_true(frames == 1 ? bands > 0 : bands == 0);
    printf("%s: %.2f to %.2f MB\n", what, (double)most / 1e6, (double)least / 1e6);
    free(in);
    free(first);
    free(out);
}

static void small_text_and_vae(void **state)
{
    (void)state;
    const vka_text_config text = networks_small_text(32, 2);
    const vka_vae_config vae = networks_small_vae(8, 3);
    vka_weights *weights = networks_text_table(&text, &numbers);
    assert_non_null(weights);
    text_bits("a small text encoder, fp32", weights, &text, false);
    text_bits("a small text encoder, fp16", weights, &text, true);
    vka_weights_free(weights);
    weights = networks_vae_table(&vae, &numbers);
    assert_non_null(weights);
    vae_bits("a small VAE's pictures, fp16", VKA_VAE_PICTURES, weights, &vae, 3, 5, 7, true);
    vae_bits("a small VAE's decoder, fp32", VKA_VAE_DECODE, weights, &vae, 2, 5, 7, false);
    vae_bits("a small VAE's encoder, fp16", VKA_VAE_ENCODE, weights, &vae, 2, 20, 28, true);
    vae_bits("one picture of a small VAE in bands of rows, fp16", VKA_VAE_PICTURES, weights, &vae, 1, 33, 17, true);
    vae_bits("one picture of a small VAE in bands of rows, fp32", VKA_VAE_DECODE, weights, &vae, 1, 8, 16, false);
    vae_bits("one picture into a small VAE in bands of rows, fp16", VKA_VAE_ENCODE, weights, &vae, 1, 88, 56, true);
    vka_weights_free(weights);
}

static void miniature_text_and_vae(void **state)
{
    (void)state;
    struct miniature m = open_miniature();
    vka_error err = {0};
    vka_weights *text = vka_model_weights(m.model, VKA_PART_TEXT, &err),
                *vae = vka_model_weights(m.model, VKA_PART_VAE, &err);
    check_ok(err.status, &err);
    text_bits("the miniature's text encoder, fp16", text, vka_model_text(m.model, &err), true);
    vae_bits("the miniature's VAE decoder, fp32", VKA_VAE_DECODE, vae, vka_model_vae(m.model, &err), 1, 6, 8, false);
    /* fp32 only: this VAE's activations reach 2e6, beyond fp16 */
    vae_bits("the miniature's VAE's pictures, fp32", VKA_VAE_PICTURES, vae, vka_model_vae(m.model, &err), 2, 4, 6,
             false);
    close_miniature(&m);
}

/* ---- weights that come while the device works ------------------------------------------------------------ */

/* The ring becomes NaN: what is read from it has come since. */
static void spoil_ring(struct vka_exec *e)
{
    size_t bytes = (size_t)e->plan->weight_blocks[e->plan->ring_block];
    void *nan = malloc(bytes);
    vka_error err = {0};
    assert_non_null(nan);
    memset(nan, 0xff, bytes);
    check_ok(vka_block_write(gpu, e->weights[e->plan->ring_block], 0, nan, bytes, &err), &err);
    free(nan);
}

/* The same bits as with everything resident, at several limits for weights.  Returns how many lists waited for another queue. */
static uint32_t prefetched_bits(const struct unet_case *u)
{
    enum { SHARES = 5 };
    float *first = calloc(u->elements, sizeof *first), *second = calloc(u->elements, sizeof *second);
    float *eps = calloc(u->elements, sizeof *eps);
    struct vka_unet_stage s;
    uint32_t waits = 0;
    assert_true(first && second && eps);
    start(&s, u, UINT64_MAX);
    uint64_t weights = s.unet.exec->plan->weight_bytes;
    evaluate(&s, u, 501, first);
    evaluate(&s, u, 250, second);
    vka_unet_stage_end(&s);
    for (uint32_t k = 0; k < 2 * SHARES; k++) {
        struct vka_knobs knobs = vka_knobs_free();
        knobs.branches_per_pass = 1 + k % 2;
        knobs.weight_limit = weights / SHARES * (k / 2);
        knobs.prefetch = true;
        start_by(&s, u, UINT64_MAX, &knobs);
        const struct vka_program *p = s.unet.exec->program;
        assert_true(p->plan->prefetch && (k < 6 || p->plan->weight_bytes <= knobs.weight_limit));
        for (uint32_t i = 0; i < p->list_count; i++)
            waits += p->lists[i].transfer && p->lists[i].after[VKA_TURN_NEXT];
        for (int round = 0; round < 3; round++) { /* one with what runs once; then twice without */
            spoil_ring(s.unet.exec);
            evaluate(&s, u, round ? 250 : 501, eps);
            check_same(u->what, eps, round ? second : first, u->elements);
        }
        vka_unet_stage_end(&s);
    }
    free(first);
    free(second);
    free(eps);
    return waits;
}

static vka_gpu *ordinary; /* while `gpu` is another one */

static int use_gpu(enum vka_transfers transfers, bool timers)
{
    ordinary = gpu;
    gpu = check_open_gpu_with(transfers, timers);
    return 0;
}

static int with_twin(void **state) { (void)state; return use_gpu(VKA_TRANSFERS_TWIN, false); }

static int with_timers(void **state) { (void)state; return use_gpu(VKA_TRANSFERS_TWIN, true); }

static int with_the_best(void **state) { (void)state; return use_gpu(VKA_TRANSFERS_BEST, false); }

static int without(void **state)
{
    (void)state;
    check_close_gpu(&gpu);
    gpu = ordinary;
    return 0;
}

static void weights_with_prefetching(void **state)
{
    (void)state;
    for (int f16 = 0; f16 < 2; f16++) {
        vka_unet_config c = networks_small_unet(16, 2 + (uint32_t)f16, 1);
        vka_motion_info motion = networks_v2_motion(&c);
        vka_weights *weights = networks_unet_table(&c, &numbers), *more = networks_motion_table(&motion, &c, &numbers);
        assert_true(weights && more);
        struct unet_case u = unet_case("prefetched weights", weights, &c, more, &motion, 2, 12, 8, f16);
        uint32_t waits = prefetched_bits(&u);
        printf("%s: %u copies waited for room in the ring\n", u.what, waits);
        assert_true(waits > 100);
        release(&u);
        vka_weights_free(weights);
        vka_weights_free(more);
    }
}

/* Budgets alone, on a device that has a second queue. */
static void budgets_with_two_queues(void **state)
{
    (void)state;
    vka_unet_config c = networks_small_unet(16, 3, 1);
    vka_motion_info motion = networks_v2_motion(&c);
    vka_weights *weights = networks_unet_table(&c, &numbers), *more = networks_motion_table(&motion, &c, &numbers);
    struct unet_case u = unet_case("a small UNet on two queues, fp16", weights, &c, more, &motion, 4, 12, 16, true);
    assert_true(unet_bits(&u) > 0);
    release(&u);
    vka_weights_free(weights);
    vka_weights_free(more);
}

/* ---- submitting ------------------------------------------------------------------------------------------- */

struct counter {
    int calls, stop_at; /* the call that asks for a stop; -1: never */
};

static int count_ticks(void *user)
{
    struct counter *c = user;
    return c->calls++ == c->stop_at;
}

static void stop_and_begin_again(const struct vka_knobs *knobs)
{
    vka_unet_config c = networks_small_unet(16, 2, 1);
    vka_motion_info motion = networks_v2_motion(&c);
    vka_weights *weights = networks_unet_table(&c, &numbers), *more = networks_motion_table(&motion, &c, &numbers);
    struct unet_case u = unet_case("a run in pieces", weights, &c, more, &motion, 3, 8, 8, false);
    float *first = calloc(u.elements, sizeof *first), *eps = calloc(u.elements, sizeof *eps);
    struct vka_unet_stage s;
    vka_error err = {0};
    assert_true(first && eps && weights && more);
    start_by(&s, &u, 0, knobs);
    evaluate(&s, &u, 501, first);
    struct vka_exec *e = s.unet.exec;
    e->lists.limits.measured = false; /* or the lists would be cut by what they take */
    uint32_t lists = e->lists.count;
    struct counter ticks = {0, -1};
    const vka_ticker ticker = {count_ticks, &ticks};

    /* every list a submission of its own; the device's word about their time replaces the estimate */
    for (uint32_t i = 0; i < lists; i++)
        e->lists.items[i].seconds = 100;
    s.first = true;
    check_spoil(e);
    check_ok(vka_unet_stage_once(&s, u.sample, 501, eps, &ticker, &err), &err);
    check_same("one list in each submission", eps, first, u.elements);
    uint32_t copies = 0;
    for (uint32_t i = 0; i < lists; i++)
        copies += e->program->lists[e->lists.items[i].of].transfer;
    assert_true((copies > 0) == (knobs != NULL));
    assert_true(ticks.calls >= (int)(lists - copies)); /* asked at least once for each that it waits for */
    if (vka_gpu_describe(gpu)->timestamps)
        for (uint32_t i = 0; i < lists; i++)
            assert_true(e->lists.items[i].seconds < 100);

    /* a stop at any moment leaves the device quiet and the executor as it was */
    int all = ticks.calls;
    for (int at = 0; at < all; at += all / 6 + 1) {
        for (uint32_t i = 0; i < lists; i++)
            e->lists.items[i].seconds = 100;
        ticks = (struct counter){0, at};
        s.first = true;
        vka_error stop = {0};
        assert_int_equal(vka_unet_stage_once(&s, u.sample, 501, eps, &ticker, &stop), VKA_E_STOPPED);
        assert_true(s.first);
        check_ok(vka_gpu_idle(gpu, &err), &err);
        evaluate(&s, &u, 501, eps);
        check_same("after a stop", eps, first, u.elements);
    }

    /* recorded again, for other addresses of input and output, it takes no more memory */
    uint64_t bytes = vka_gpu_device_bytes(gpu, NULL);
    vka_block *other = NULL;
    check_ok(vka_block_create(gpu, s.io.bytes, VKA_MEMORY_DEVICE, true, &other, &err), &err);
    vka_exec_bind(e, s.eps, other->address + s.eps_at);
    check_ok(vka_exec_record(e, &err), &err);
    s.first = true;
    check_ok(vka_exec_run(e, true, NULL, &err), &err);
    size_t out_bytes = (size_t)vka_tensor_bytes(vka_info(s.unet.graph, s.eps));
    float *pixels = malloc(out_bytes);
    assert_non_null(pixels);
    check_ok(vka_block_read(gpu, other, s.eps_at, pixels, out_bytes, &err), &err);
    vka_pixels_to_planes(eps, pixels, 2 * u.p.frames, c.out_channels, u.p.height, u.p.width);
    check_same("recorded again", eps, first, u.elements);
    vka_block_destroy(gpu, &other);
    assert_true(vka_gpu_device_bytes(gpu, NULL) == bytes);

    free(pixels);
    free(first);
    free(eps);
    vka_unet_stage_end(&s);
    release(&u);
    vka_weights_free(weights);
    vka_weights_free(more);
}

static void runs_are_stopped_and_begun_again(void **state)
{
    (void)state;
    stop_and_begin_again(NULL);
}

static void runs_with_copies_are_stopped_and_begun_again(void **state)
{
    (void)state;
    struct vka_knobs knobs = vka_knobs_free();
    knobs.weight_limit = 0;
    knobs.prefetch = true;
    stop_and_begin_again(&knobs);
}

static void packing_can_be_stopped(void **state)
{
    (void)state;
    vka_unet_config c = networks_small_unet(16, 2, 1);
    vka_weights *weights = networks_unet_table(&c, &numbers);
    struct unet_case u = unet_case("a start that is stopped", weights, &c, NULL, NULL, 1, 8, 8, false);
    struct counter ticks = {0, 5};
    struct vka_unet_stage s;
    vka_error err = {0};
    uint64_t need, before = vka_gpu_device_bytes(gpu, NULL);
    check_ok(vka_unet_stage_build(&s, &u.p, &err), &err);
    check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need, &err), &err);
    assert_int_equal(vka_unet_stage_start(&s, gpu, &(vka_ticker){count_ticks, &ticks}, &err), VKA_E_STOPPED);
    vka_unet_stage_end(&s);
    assert_true(vka_gpu_device_bytes(gpu, NULL) == before);
    release(&u);
    vka_weights_free(weights);
}

/* [NAME]: only the tests of that name, which may have a * in it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_unets),
        cmocka_unit_test(small_text_and_vae),
        cmocka_unit_test(miniature_unet),
        cmocka_unit_test(miniature_text_and_vae),
        cmocka_unit_test_setup_teardown(weights_with_prefetching, with_twin, without),
        cmocka_unit_test_setup_teardown(weights_with_prefetching, with_timers, without),
        cmocka_unit_test_setup_teardown(weights_with_prefetching, with_the_best, without),
        cmocka_unit_test_setup_teardown(budgets_with_two_queues, with_twin, without),
        cmocka_unit_test(runs_are_stopped_and_begun_again),
        cmocka_unit_test_setup_teardown(runs_with_copies_are_stopped_and_begun_again, with_twin, without),
        cmocka_unit_test(packing_can_be_stopped),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
