/* test_knobs.c - the same latents and frames for every setting of the planner's knobs, and every block as it was planned.
 *
 * test_bits goes through budgets, as a user does; here the knobs are turned themselves: branches together or one at a time,
 * the weights' limit, streamed between the work or ahead of it, skips parked or not, and the arena's limit from plan to plan, each a
 * little smaller than the one before, until there is no smaller one.  Every plan runs on an arena of NaN.  Networks: the miniature, and Stable Diffusion 1.5's topology with
 * AnimateDiff v2 at a tenth of the width.  `./run test --all` runs every plan, else some of them, with the first and the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "networks.h"
#include "../sanitized.h"

#include "base/file.h"
#include "render/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1 << 21, MOST_PLANS = 4096, STEPS = 2, TOKENS = 20, HASH_TEXT = 65 };

static vka_gpu *gpu;


static bool thorough(void)
{
    const char *all = getenv("VKANIM_TEST_ALL");
    return all && *all && !SANITIZED;
}

/* ---- a network under test --------------------------------------------------------------------------------------- */

struct subject {
    const char *what;
    uint32_t runs;                  /* plans that a short test runs */
    struct vka_unet_stage_params p; /* a UNet: frames of latents; weights NULL: a VAE */
    vka_weights *vae_weights;
    const vka_vae_config *vae;
    uint32_t height, width; /* of its latents, one frame */
    bool f16;
    float *context, *noise; /* of a VAE: its latents */
    size_t out_bytes;
};

struct stage {
    struct vka_unet_stage unet;
    struct vka_vae_stage vae;
    struct vka_netrun *run; /* the network whose plan is under test */
    uint64_t other;         /* bytes of the device beside it */
};

static void build(struct stage *s, const struct subject *u)
{
    vka_error err = {0};
    uint64_t need;
    const struct vka_kernel_table table = check_table(gpu);
    *s = (struct stage){0};
    if (u->p.weights) {
        check_ok(vka_unet_stage_build(&s->unet, &u->p, &err), &err);
        check_ok(vka_unet_stage_plan(&s->unet, UINT64_MAX, &need, &err), &err);
        s->run = &s->unet.unet;
    } else {
        check_ok(vka_vae_stage_build(&s->vae, VKA_VAE_PICTURES, u->vae_weights, u->vae, 1, u->height, u->width, u->f16,
                               &table, &err),
           &err);
        check_ok(vka_vae_stage_plan(&s->vae, UINT64_MAX, &need, &err), &err);
        s->run = &s->vae.run;
    }
    s->other = need - s->run->need;
}

static void end(struct stage *s)
{
    vka_unet_stage_end(&s->unet);
    vka_vae_stage_end(&s->vae);
}

/* Bytes of the arguments of a plan, from a recording for made-up addresses. */
static uint64_t argument_bytes(const struct stage *s)
{
    struct vka_addresses at;
    uint64_t *store, bytes;
    const struct vka_rates rates = vka_exec_rates(NULL, 0);
    vka_error err = {0};
    check_ok(vka_addresses_fake(s->run->plan, &at, &store, &err), &err);
    struct vka_program *p = vka_program_record(s->run->plan, &s->run->table, &at, &rates, &err);
    free(store);
    if (!p)
        fail_msg("%s: %s", err.what, err.why);
    bytes = p->args_bytes;
    vka_program_destroy(&p);
    return bytes;
}

/* Block for block what the plan says. */
static void check_blocks(const struct vka_exec *e)
{
    const struct vka_plan *p = e->plan;
    uint64_t arena = 0, weights = 0, host = 0;
    for (uint32_t i = 0; i < p->arena_block_count; i++, arena += p->arena_blocks[i - 1])
        assert_true(e->arena[i]->size == p->arena_blocks[i] && e->addresses[i] == e->arena[i]->address);
    for (uint32_t i = 0; i < p->weight_block_count; i++, weights += p->weight_blocks[i - 1])
        assert_true(e->weights[i]->size == p->weight_blocks[i]);
    for (uint32_t i = 0; i < p->host_block_count; i++, host += p->host_blocks[i - 1])
        assert_true(e->host[i]->size == p->host_blocks[i]);
    assert_true(arena == p->arena_bytes && weights == p->weight_bytes && host == p->host_bytes);
}

/* Two steps of the sampler: the latents and the last prediction. */
static void run_unet(struct stage *s, const struct subject *u, void *out)
{
    vka_error err = {0};
    size_t half = u->out_bytes / 2;
    int32_t *index = calloc(2 * (size_t)u->p.frames, sizeof *index);
    assert_non_null(index);
    for (uint32_t i = 0; i < u->p.frames; i++)
        index[u->p.frames + i] = 1;
    check_ok(vka_unet_stage_start(&s->unet, gpu, NULL, &err), &err);
    check_spoil(s->run->exec);
    check_ok(vka_unet_stage_prompt(&s->unet, u->context, index, &err), &err);
    check_ok(vka_unet_stage_set(&s->unet, VKA_SLOT_X, u->noise, &err), &err);
    for (uint32_t i = 0; i < STEPS; i++)
        check_ok(vka_unet_stage_eval(&s->unet, vka_sampler_eval_at(u->p.sampler, i), 5, NULL, &err), &err);
    check_ok(vka_unet_stage_get(&s->unet, VKA_SLOT_X, out, &err), &err);
    check_ok(vka_unet_stage_get(&s->unet, VKA_SLOT_EPS, (float *)(void *)((char *)out + half), &err), &err);
    check_finite(u->what, out, u->out_bytes / sizeof(float));
    free(index);
}

static void run_vae(struct stage *s, const struct subject *u, void *out)
{
    vka_error err = {0};
    bool bad = true;
    check_ok(vka_vae_stage_start(&s->vae, gpu, NULL, &err), &err);
    check_spoil(s->run->exec);
    check_ok(vka_vae_stage_run(&s->vae, u->noise, out, &bad, NULL, &err), &err);
    assert_false(bad); /* no NaN came through */
}

/* Runs what these knobs plan, on memory that is taken to the byte as planned. */
static void run(const struct subject *u, const struct vka_knobs *knobs, void *out)
{
    struct stage s;
    vka_error err = {0};
    uint64_t peak, before = vka_gpu_device_bytes(gpu, NULL);
    build(&s, u);
    vka_plan_destroy(&s.run->plan);
    s.run->plan = vka_plan_make(s.run->graph, knobs, &err);
    if (!s.run->plan)
        fail_msg("%s: %s", u->what, err.what);
    uint64_t args = argument_bytes(&s), need = s.other + vka_exec_footprint(s.run->plan, args);
    vka_gpu_reset_peak(gpu);
    if (u->p.weights)
        run_unet(&s, u, out);
    else
        run_vae(&s, u, out);
    check_blocks(s.run->exec);
    vka_gpu_device_bytes(gpu, &peak);
    if (peak - before != need)
        fail_msg("%s: %llu bytes taken, %llu planned", u->what, (unsigned long long)(peak - before),
                 (unsigned long long)need);
    end(&s);
    assert_true(vka_gpu_device_bytes(gpu, NULL) == before);
}

/* ---- turning the knobs -------------------------------------------------------------------------------------------- */

struct setting {
    struct vka_knobs knobs;
    char sign[HASH_TEXT]; /* two plans with the same are the same */
    uint32_t cut, streamed, ahead, parked, passes;
};

struct settings {
    struct setting *items;
    uint32_t count, asked;
};

static void sign_plan(const struct vka_plan *p, char out[HASH_TEXT])
{
    vka_sha256 h;
    vka_sha256_init(&h);
    vka_sha256_add(&h, &p->branches_per_pass, sizeof p->branches_per_pass);
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const struct vka_segment *s = &p->segments[i];
        const uint32_t words[] = {s->first, s->end, s->axis, s->parts, s->step};
        vka_sha256_add(&h, words, sizeof words);
    }
    for (uint32_t i = 1; i < p->graph->tensor_count; i++) {
        const struct vka_place *a = &p->places[i];
        const uint64_t words[] = {a->space, a->block, a->offset, a->bytes, a->streamed};
        vka_sha256_add(&h, words, sizeof words);
    }
    for (uint32_t i = 0; i < p->parking_count; i++)
        vka_sha256_add(&h, &p->parkings[i], sizeof p->parkings[i]);
    const uint32_t ahead = p->prefetch;
    vka_sha256_add(&h, &ahead, sizeof ahead);
    vka_sha256_hex(&h, out);
}

/* Keeps the plan's knobs where no earlier plan is the same. */
static void keep(struct settings *all, const struct vka_knobs *knobs, const struct vka_plan *p)
{
    struct setting s = {.knobs = *knobs,
                        .streamed = p->unit_count,
                        .ahead = p->prefetch,
                        .parked = p->parking_count,
                        .passes = p->passes};
    sign_plan(p, s.sign);
    all->asked++;
    for (uint32_t i = 0; i < p->segment_count; i++)
        s.cut += p->segments[i].parts > 1;
    for (uint32_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].sign, s.sign) == 0)
            return;
    assert_true(all->count < MOST_PLANS);
    all->items[all->count++] = s;
}

static struct settings turn(const struct vka_graph *g, uint32_t branches)
{
    struct settings all = {.items = calloc(MOST_PLANS, sizeof *all.items)};
    const uint32_t shares = 4; /* of the weights */
    vka_error err = {0};
    assert_non_null(all.items);
    struct vka_knobs knobs = vka_knobs_free();
    struct vka_plan *p = vka_plan_make(g, &knobs, &err);
    assert_non_null(p);
    uint64_t weights = p->weight_bytes;
    vka_plan_destroy(&p);
    for (uint32_t together = branches; together >= 1; together = together > 1 ? 1 : 0)
        for (uint32_t share = shares + 1; share-- > 0;)
            for (uint32_t how = 0; how < 4; how++) {
                bool smaller = true;
                knobs = vka_knobs_free();
                knobs.branches_per_pass = together;
                knobs.weight_limit = share == shares ? UINT64_MAX : weights / shares * share;
                knobs.park = how & 1;
                knobs.prefetch = how & 2;
                while (smaller) {
                    p = vka_plan_make(g, &knobs, &err);
                    if (!p)
                        fail_msg("%s: %s", err.what, err.why);
                    keep(&all, &knobs, p);
                    smaller = p->arena_bytes > 0 && p->arena_bytes <= knobs.arena_limit;
                    knobs.arena_limit = smaller ? p->arena_bytes - 1 : 0;
                    vka_plan_destroy(&p);
                }
            }
    return all;
}

static void sweep(const struct subject *u)
{
    struct stage s;
    build(&s, u);
    struct settings all = turn(s.run->graph, u->p.weights ? u->p.branches : 1);
    end(&s);
    uint32_t runs = thorough() || all.count < u->runs ? all.count : u->runs, cut = 0, streamed = 0, apart = 0,
             ahead = 0, parked = 0;
    char first[HASH_TEXT] = "";
    void *out = calloc(1, u->out_bytes);
    assert_non_null(out);
    for (uint32_t k = 0; k < runs; k++) {
        const struct setting *set = &all.items[runs > 1 ? (uint64_t)k * (all.count - 1) / (runs - 1) : 0];
        char hash[HASH_TEXT];
        vka_sha256 h;
        memset(out, 0, u->out_bytes);
        run(u, &set->knobs, out);
        vka_sha256_init(&h);
        vka_sha256_add(&h, out, u->out_bytes);
        vka_sha256_hex(&h, hash);
        if (k == 0)
            memcpy(first, hash, sizeof hash);
        if (strcmp(first, hash) != 0)
            fail_msg("%s: another picture with %u branches at a time, limits of %llu and %llu bytes: %u passes, %u "
                     "segments cut, "
                     "%u units streamed%s, %u tensors parked",
                     u->what, set->knobs.branches_per_pass, (unsigned long long)set->knobs.arena_limit,
                     (unsigned long long)set->knobs.weight_limit, set->passes, set->cut, set->streamed,
                     set->ahead ? " ahead" : "", set->parked);
        cut += set->cut > 0;
        streamed += set->streamed > 0;
        ahead += set->ahead;
        parked += set->parked > 0;
        apart += set->passes > 1;
    }
    printf("%s: %u settings, %u plans, %u of them run: %u with cuts, %u streamed (%u ahead), %u with skips parked, %u "
           "with the branches apart; %.16s\n",
           u->what, all.asked, all.count, runs, cut, streamed, ahead, parked, apart, first);
    assert_true(runs > 2 && cut > 0 && streamed > ahead && ahead > 0 && (!u->p.weights || (apart > 0 && parked > 0)));
    free(out);
    free(all.items);
}

/* ---- networks ------------------------------------------------------------------------------------------------------- */

static void sweep_unet(const char *what, uint32_t runs, vka_weights *weights, const vka_unet_config *c,
                       vka_weights *more, const vka_motion_info *motion, uint32_t frames, uint32_t height,
                       uint32_t width, bool f16, bool amounts)
{
    static const float scale[] = {0.7f, 1.0f, 1.3f, 1.1f}, effect[] = {1.0f, 0.5f, 1.2f, 0.8f};
    vka_sampler_params params = vka_sampler_params_default();
    vka_error err = {0};
    params.steps = STEPS;
    vka_sampler *sampler = vka_sampler_create(&params, &err);
    assert_non_null(sampler);
    struct subject u = {.what = what,
                        .runs = runs,
                        .p = {.weights = weights,
                              .motion_weights = more,
                              .config = c,
                              .motion = motion,
                              .frames = frames,
                              .height = height,
                              .width = width,
                              .branches = 2,
                              .prompts = 2,
                              .tokens = TOKENS,
                              .text_width = c->cross_attention_dim,
                              .f16 = f16,
                              .sampler = sampler,
                              .motion_scale = amounts ? scale : NULL,
                              .motion_effect = amounts ? effect : NULL,
                              .table = check_table(gpu)}};
    assert_true(!amounts || frames <= 4);
    size_t elements = (size_t)frames * c->out_channels * height * width;
    u.out_bytes = 2 * elements * sizeof(float);
    u.context = check_random(7, (size_t)2 * TOKENS * u.p.text_width, 1.0f);
    u.noise = check_random(8, elements, 1.5f);
    sweep(&u);
    free(u.context), free(u.noise);
    vka_sampler_free(sampler);
}

/* Frame by frame, as a render decodes: so it is cut into bands of rows. */
static void sweep_vae(const char *what, uint32_t runs, vka_weights *weights, const vka_vae_config *c, uint32_t height,
                      uint32_t width, bool f16)
{
    uint32_t factor = 1u << (c->levels - 1);
    struct subject u = {.what = what,
                        .runs = runs,
                        .vae_weights = weights,
                        .vae = c,
                        .height = height,
                        .width = width,
                        .f16 = f16,
                        .out_bytes = (size_t)height * factor * width * factor * 3};
    u.noise = check_random(9, (size_t)c->latent_channels * height * width, 1.0f);
    sweep(&u);
    free(u.noise);
}

static void the_miniature(void **state)
{
    (void)state;
    vka_model *model = NULL;
    vka_motion *motion = NULL;
    vka_error err = {0};
    const char *root = getenv("VKA_TEST_ROOT"); /* of a tree that has moved since it was built */
    char folder[512], path[576];
    snprintf(folder, sizeof folder, "%s/models/miniature", root ? root : VKA_SOURCE_DIR);
    snprintf(path, sizeof path, "%s/motion.safetensors", folder);
    check_ok(vka_model_open(&model, folder, &err), &err);
    check_ok(vka_motion_open(&motion, path, &err), &err);
    vka_weights *unet = vka_model_weights(model, VKA_PART_UNET, &err),
                *vae = vka_model_weights(model, VKA_PART_VAE, &err);
    check_ok(err.status, &err);
    for (int f16 = 0; f16 < 2; f16++)
        sweep_unet(f16 ? "the miniature's UNet, fp16" : "the miniature's UNet, fp32", 20, unet,
                   vka_model_unet(model, &err), vka_motion_weights(motion), vka_motion_describe(motion), 4, 8, 8,
                   f16 == 1, false);
    sweep_unet("the miniature's UNet with a motion scale and effect", 12, unet, vka_model_unet(model, &err),
               vka_motion_weights(motion), vka_motion_describe(motion), 4, 8, 8, true, true);
    sweep_vae("the miniature's VAE, fp32", 30, vae, vka_model_vae(model, &err), 6, 8, false);
    vka_motion_close(motion);
    vka_model_close(model);
}

static void stable_diffusion_at_a_tenth(void **state)
{
    (void)state;
    uint16_t *halves = check_random_halves(11, NUMBERS, 0.1f);
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_unet_config unet = networks_sd15_unet();
    vka_vae_config vae = networks_sd15_vae();
    static const uint32_t unet_channels[] = {32, 64, 128, 128}, vae_channels[] = {32, 32, 64, 64};
    memcpy(unet.channels, unet_channels, sizeof unet_channels);
    memcpy(vae.channels, vae_channels, sizeof vae_channels);
    unet.cross_attention_dim = 80;
    unet.time_embed_dim = 128;
    const vka_motion_info motion = networks_v2_motion(&unet);
    vka_weights *weights = networks_unet_table(&unet, &numbers),
                *more = networks_motion_table(&motion, &unet, &numbers),
                *vae_weights = networks_vae_table(&vae, &numbers);
    assert_true(weights && more && vae_weights);
    sweep_unet("SD1.5's UNet at a tenth, fp16", 24, weights, &unet, more, &motion, 3, 8, 16, true, false);
    sweep_unet("SD1.5's UNet at a tenth, fp32", 12, weights, &unet, more, &motion, 2, 16, 8, false, false);
    sweep_vae("SD1.5's VAE at a tenth, fp16", 20, vae_weights, &vae, 7, 6, true);
    vka_weights_free(weights);
    vka_weights_free(more);
    vka_weights_free(vae_weights);
    free(halves);
}

int main(void)
{
    gpu = check_open_gpu_with(VKA_TRANSFERS_TWIN, false); /* a second queue even where the device has one */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_miniature),
        cmocka_unit_test(stable_diffusion_at_a_tenth),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu); /* the validation layers kept silent */
    return failed;
}
