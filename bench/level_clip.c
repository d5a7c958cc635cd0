/* level_clip.c - clips of a grid of sizes through the stages of a render: text, UNet with its sampler (DDIM, guidance),
 * VAE.
 *
 * A sample is one step on the clock, as a render's s/it: lists submitted, latents read back and looked at.  The first
 * steps are not counted: they compile, and the lists find their cuts.  Weights are random: the clips show nothing. */
#include "bench.h"

#include "base/clock.h"
#include "base/rng.h"
#include "sample/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_STEPS = 2, MOST_STEPS = 20, MOST_FRAMES = 4 /* decoded */ };

struct clip {
    struct bench_run *r;
    struct bench_clip_size size;
    json_t *row;
    vka_sampler *sampler;
    struct vka_text_stage text;
    struct vka_unet_stage unet;
    struct vka_vae_stage vae;
    uint64_t need[3];
    float *context; /* [2, tokens, width] */
    float *latents; /* [frames, channels, h, w] */
    size_t count;
    struct bench_samples steps, frames;
    double text_s, load_s;
    bool finite;
};

static vka_status build(struct clip *c, vka_error *err)
{
    struct bench_run *r = c->r;
    const struct bench_model *m = &r->model;
    uint32_t h = c->size.height / m->factor, w = c->size.width / m->factor, tokens = m->text.max_positions;
    vka_sampler_params sampling = vka_sampler_params_default();
    sampling.steps = MOST_STEPS;
    c->sampler = vka_sampler_create(&sampling, err);
    if (!c->sampler)
        return err->status;
    struct vka_unet_stage_params p = {.weights = m->unet_table,
                                      .motion_weights = m->motion_table,
                                      .config = &m->unet,
                                      .motion = &m->motion,
                                      .frames = c->size.frames,
                                      .height = h,
                                      .width = w,
                                      .branches = 2,
                                      .prompts = 2,
                                      .tokens = tokens,
                                      .text_width = m->text.hidden,
                                      .f16 = r->size.f16,
                                      .sampler = c->sampler,
                                      .table = r->table};
    vka_status s = vka_text_stage_build(&c->text, m->text_table, &m->text, 0, 2, tokens, r->size.f16, &r->table, err);
    if (s == VKA_OK)
        s = vka_unet_stage_build(&c->unet, &p, err);
    if (s == VKA_OK)
        s = vka_vae_stage_build(&c->vae, VKA_VAE_PICTURES, m->vae_table, &m->vae, 1, h, w, r->size.f16 && m->vae_f16,
                                &r->table, err);
    if (s == VKA_OK)
        s = vka_text_stage_plan(&c->text, r->budget, &c->need[0], err);
    if (s == VKA_OK)
        s = vka_unet_stage_plan(&c->unet, r->budget, &c->need[1], err);
    if (s == VKA_OK)
        s = vka_vae_stage_plan(&c->vae, r->budget, &c->need[2], err);
    return s;
}

static vka_status encode_text(struct clip *c, vka_error *err)
{
    const vka_text_config *t = &c->r->model.text;
    uint32_t ids[2 * 77], count = 2 * t->max_positions;
    double began = vka_now();
    if (count > sizeof ids / sizeof *ids)
        return vka_fail(err, VKA_E_INTERNAL, "prompts of %u tokens", t->max_positions);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = i * 7919 % t->vocab;
    c->context = vka_calloc((size_t)count * t->hidden, sizeof *c->context);
    if (!c->context)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status s = vka_text_stage_run(&c->text, c->r->gpu, ids, c->context, &c->r->ticker, &c->r->log, err);
    c->text_s = vka_now() - began;
    return s;
}

static vka_status load(struct clip *c, vka_error *err)
{
    double began = vka_now();
    uint32_t samples = 2 * c->size.frames;
    int32_t *index = vka_calloc(samples, sizeof *index);
    vka_status s = index ? vka_unet_stage_start(&c->unet, c->r->gpu, &c->r->ticker, err)
                         : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (uint32_t i = 0; index && i < samples; i++)
        index[i] = (int32_t)(i / c->size.frames);
    if (s == VKA_OK)
        s = vka_unet_stage_prompt(&c->unet, c->context, index, err);
    c->load_s = vka_now() - began;
    free(index);
    return s;
}

static vka_status take_steps(struct clip *c, vka_error *err)
{
    struct bench_run *r = c->r;
    const struct vka_unet_stage_params *p = &c->unet.p;
    c->count = (size_t)p->frames * p->config->in_channels * p->height * p->width;
    c->latents = vka_calloc(c->count, sizeof *c->latents);
    vka_status s = c->latents ? vka_noise(VKA_RNG_TORCH_CPU, VKA_NOISE_5D, 1, p->frames, p->config->in_channels,
                                          p->height, p->width, c->latents, err)
                              : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK)
        s = vka_unet_stage_set(&c->unet, VKA_SLOT_X, c->latents, err);
    double first = vka_now();
    c->finite = true;
    for (uint32_t i = 0; s == VKA_OK && i < vka_sampler_evals(c->sampler); i++) {
        double began = vka_now();
        if (c->steps.count >= r->sampling.samples || (c->steps.count && began - first > r->sampling.seconds))
            break;
        s = vka_unet_stage_eval(&c->unet, vka_sampler_eval_at(c->sampler, i), 7.5, &r->ticker, err);
        if (s == VKA_OK)
            s = vka_unet_stage_get(&c->unet, VKA_SLOT_X, c->latents, err);
        for (size_t k = 0; s == VKA_OK && k < c->count; k++)
            c->finite = c->finite && isfinite(c->latents[k]);
        /* where time is short one step of warming up has to do */
        bool warm = i >= WARM_STEPS || (i > 0 && vka_now() - first > 0.5 * r->sampling.seconds);
        if (s == VKA_OK && warm)
            bench_sample_add(&c->steps, 1e3 * (vka_now() - began));
    }
    return s;
}

static vka_status decode(struct clip *c, vka_error *err)
{
    struct bench_run *r = c->r;
    size_t frame = c->count / c->size.frames;
    void *picture = vka_calloc((size_t)c->size.width * c->size.height, 3);
    vka_status s =
        picture ? vka_vae_stage_start(&c->vae, r->gpu, &r->ticker, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    double first = vka_now();
    for (uint32_t f = 0; s == VKA_OK && f <= MOST_FRAMES; f++) { /* the first is not counted */
        double began = vka_now();
        bool bad = false;
        if (c->frames.count && began - first > r->sampling.seconds)
            break;
        s = vka_vae_stage_run(&c->vae, c->latents + f % c->size.frames * frame, picture, &bad, &r->ticker, err);
        c->finite = c->finite && !bad;
        if (s == VKA_OK && f)
            bench_sample_add(&c->frames, 1e3 * (vka_now() - began));
    }
    free(picture);
    return s;
}

static void report(struct clip *c, double flop, double bytes)
{
    struct bench_run *r = c->r;
    struct bench_spread step = bench_spread_of(&c->steps), frame = bench_spread_of(&c->frames);
    const struct bench_total *totals[] = {&r->text_check, &r->unet_check, &r->vae_check};
    uint64_t peak, planned = c->need[0] > c->need[1] ? c->need[0] : c->need[1];
    planned = c->need[2] > planned ? c->need[2] : planned;
    vka_gpu_device_bytes(r->gpu, &peak);
    bench_row_samples(c->row, &c->steps);
    bench_row_rates(r, c->row, flop, bytes, step.median);
    bench_row_totals(c->row, totals, 3, c->finite);
    json_object_set_new(c->row, "s_per_it", json_real(1e-3 * step.mean));
    json_object_set_new(c->row, "decode_s_per_frame", json_real(1e-3 * frame.mean));
    json_object_set_new(c->row, "load_s", json_real(c->load_s));
    json_object_set_new(c->row, "text_s", json_real(c->text_s));
    json_object_set_new(c->row, "planned_bytes", json_integer((json_int_t)planned));
    json_object_set_new(c->row, "peak_bytes", json_integer((json_int_t)peak));
    bench_note(r, "  %ux%ux%u: %.4g s/it, decode %.4g s/frame, load %.3g s, peak %.0f MiB of %.0f planned",
               c->size.width, c->size.height, c->size.frames, 1e-3 * step.mean, 1e-3 * frame.mean, c->load_s,
               (double)peak / 1048576, (double)planned / 1048576);
}

static vka_status measure(struct clip *c, vka_error *err)
{
    double flop = 0, bytes = 0;
    struct bench_run *r = c->r;
    vka_status s = build(c, err);
    struct bench_shape *shapes = NULL;
    uint32_t count = 0;
    if (s == VKA_OK)
        s = bench_shapes_of(c->unet.unet.graph, &shapes, &count, err);
    for (uint32_t i = 0; i < count; i++) {
        flop += shapes[i].flop * shapes[i].count;
        bytes += shapes[i].bytes * shapes[i].count;
    }
    free(shapes);
    if (s != VKA_OK)
        return s;
    double guess = 2 * bench_guess(r, flop, bytes);
    uint64_t need = c->need[1] > c->need[2] ? c->need[1] : c->need[2];
    if (need > r->budget || guess > r->options->seconds) {
        if (need > r->budget)
            bench_row_skip(c->row, "does not fit: it needs %llu bytes, the budget is %llu", (unsigned long long)need,
                           (unsigned long long)r->budget);
        else
            bench_row_skip(c->row, "two steps would take about %.0f s, --seconds allows %.0f", guess,
                           r->options->seconds);
        bench_note(r, "  %ux%ux%u: skipped", c->size.width, c->size.height, c->size.frames);
        return VKA_OK;
    }
    vka_gpu_reset_peak(r->gpu);
    s = encode_text(c, err);
    if (s == VKA_OK)
        s = load(c, err);
    if (s == VKA_OK)
        s = take_steps(c, err);
    vka_unet_stage_end(&c->unet);
    if (s == VKA_OK)
        s = decode(c, err);
    if (s == VKA_OK)
        report(c, flop, bytes);
    return s;
}

/* The operators of the three networks at the run's size, where the other levels have not checked them. */
static vka_status check_operators(struct bench_run *r, vka_error *err)
{
    struct clip c = {.r = r, .size = {r->size.width, r->size.height, r->size.frames}};
    vka_status s = r->text_check.done && r->unet_check.done && r->vae_check.done ? VKA_OK : build(&c, err);
    if (s == VKA_OK && !r->text_check.done)
        s = bench_check_graph(r, c.text.run.graph, &r->text_check, err);
    if (s == VKA_OK && !r->unet_check.done)
        s = bench_check_graph(r, c.unet.unet.graph, &r->unet_check, err);
    if (s == VKA_OK && !r->vae_check.done)
        s = bench_check_graph(r, c.vae.run.graph, &r->vae_check, err);
    vka_text_stage_end(&c.text);
    vka_unet_stage_end(&c.unet);
    vka_vae_stage_end(&c.vae);
    vka_sampler_free(c.sampler);
    return s;
}

vka_status bench_level_clip(struct bench_run *r, vka_error *err)
{
    static const struct bench_clip_size big[] = {{256, 256, 16}, {512, 512, 16}, {768, 512, 16},
                                                 {512, 512, 32}, {768, 768, 16}, {1024, 1024, 16}},
                                        small[] = {{64, 64, 8}, {128, 128, 8}, {128, 128, 16}};
    const struct bench_options *o = r->options;
    bool tiny = strcmp(r->model.name, "miniature") == 0;
    const struct bench_clip_size *grid = o->grid_count ? o->grid : tiny ? small : big;
    uint32_t count = o->grid_count ? o->grid_count : tiny ? 3 : o->quick ? 3 : 6;
    vka_status s = check_operators(r, err);
    for (uint32_t i = 0; s == VKA_OK && i < count; i++) {
        struct clip c = {.r = r, .size = grid[i]};
        char name[64];
        uint32_t factor = r->model.factor;
        snprintf(name, sizeof name, "clip %ux%ux%u", grid[i].width, grid[i].height, grid[i].frames);
        if (!bench_wanted(r, "clip", name))
            continue;
        c.row = bench_row_new(r, "clip", "clip", name);
        json_object_set_new(c.row, "shape",
                            json_pack("{s:i, s:i, s:i}", "width", (int)grid[i].width, "height", (int)grid[i].height,
                                      "frames", (int)grid[i].frames));
        if (grid[i].width % factor || grid[i].height % factor || grid[i].frames > r->model.motion.pe_length)
            bench_row_skip(c.row, "not a size of this model: multiples of %u, at most %u frames", factor,
                           r->model.motion.pe_length);
        else
            s = measure(&c, err);
        vka_text_stage_end(&c.text);
        vka_unet_stage_end(&c.unet);
        vka_vae_stage_end(&c.vae);
        vka_sampler_free(c.sampler);
        free(c.context);
        free(c.latents);
        if (s == VKA_E_MEMORY) { /* the driver's word against the plan's: this row's matter */
            bench_row_skip(c.row, "%s", err->what);
            vka_error_clear(err);
            s = VKA_OK;
        }
    }
    return s;
}
