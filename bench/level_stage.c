/* level_stage.c - whole networks, planned and run by what a render uses: text encoder, UNet evaluation with guidance, the
 * same without its motion module, VAE decoding of one frame.
 *
 * A row's samples are GPU time, the sum of a run's lists; "wall_ms" is the median of the same runs by the clock. */
#include "bench.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one network's runs --------------------------------------------------------------------------------- */

/* A run with what runs once, runs until the lists have found their cuts, then samples. */
static vka_status time_network(struct bench_run *r, struct vka_exec *x, struct bench_samples *gpu,
                               struct bench_samples *wall, vka_error *err)
{
    double began = vka_now();
    vka_status s = vka_exec_run(x, true, &r->ticker, err);
    for (int i = 0; s == VKA_OK && i < 2 && (i == 0 || vka_now() - began < 0.3 * r->sampling.seconds); i++)
        s = vka_exec_run(x, false, &r->ticker, err);
    for (uint32_t i = 0; s == VKA_OK && gpu->count < r->sampling.samples && i < 2 * r->sampling.samples + 8; i++) {
        double start = vka_now();
        if (gpu->count && start - began > r->sampling.seconds)
            break;
        s = vka_exec_run(x, false, &r->ticker, err);
        double took = vka_now() - start, seconds = r->info.timestamps ? bench_exec_seconds(x, false) : took;
        if (s == VKA_OK && seconds > 0) { /* 0: the lists were cut anew, the next run tells */
            bench_sample_add(gpu, 1e3 * seconds);
            bench_sample_add(wall, 1e3 * took);
        }
    }
    if (s == VKA_OK && !gpu->count)
        s = vka_fail(err, VKA_E_INTERNAL, "the device does not tell the %s's time", x->plan->graph->name);
    return s;
}

/* Whether fp32 or fp16 numbers, or pictures' marks, tell of no NaN or Inf. */
static vka_status look_at(struct bench_run *r, vka_block *block, uint64_t at, const struct vka_tensor_info *t,
                          bool *finite, vka_error *err)
{
    size_t bytes = (size_t)vka_tensor_bytes(t);
    unsigned char *raw = malloc(bytes);
    vka_status s =
        raw ? vka_block_read(r->gpu, block, at, raw, bytes, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    *finite = true;
    for (size_t i = 0; s == VKA_OK && i < bytes; i += vka_dtype_bytes(t->dtype)) {
        uint32_t word = 0;
        memcpy(&word, raw + i, vka_dtype_bytes(t->dtype));
        if (t->dtype == VKA_U8X4)
            *finite = *finite && word >> 24;
        else if (t->dtype == VKA_F16)
            *finite = *finite && (word & 0x7c00u) != 0x7c00u;
        else
            *finite = *finite && (word & 0x7f800000u) != 0x7f800000u;
    }
    free(raw);
    return s;
}

static void cost_of(const struct vka_graph *g, double *flop, double *bytes)
{
    struct bench_shape *shapes;
    uint32_t count;
    *flop = *bytes = 0;
    if (bench_shapes_of(g, &shapes, &count, NULL) != VKA_OK)
        return;
    for (uint32_t i = 0; i < count; i++) {
        *flop += shapes[i].flop * shapes[i].count;
        *bytes += shapes[i].bytes * shapes[i].count;
    }
    free(shapes);
}

/* The row, or NULL when it is not wanted or is skipped (the reason in it). */
static json_t *begin_row(struct bench_run *r, const char *op, const char *name, const struct vka_graph *g)
{
    double flop, bytes;
    if (!bench_wanted(r, op, name))
        return NULL;
    json_t *row = bench_row_new(r, "stage", op, name);
    cost_of(g, &flop, &bytes);
    double guess = 2 * bench_guess(r, flop, bytes);
    if (guess <= r->options->seconds)
        return row;
    bench_row_skip(row, "two runs would take about %.0f s, --seconds allows %.0f", guess, r->options->seconds);
    bench_row_rates(r, row, flop, bytes, 0);
    bench_note(r, "  %s: skipped", name);
    return NULL;
}

static vka_status end_row(struct bench_run *r, json_t *row, const char *name, struct vka_netrun *run, uint64_t need,
                          const struct bench_total *total, vka_block *block, uint64_t out_at, vka_tensor out,
                          struct bench_samples *gpu, vka_error *err)
{
    struct bench_samples wall = {.count = 0};
    bool finite = false;
    double flop, bytes;
    uint64_t peak;
    vka_status s = time_network(r, run->exec, gpu, &wall, err);
    if (s == VKA_OK)
        s = look_at(r, block, out_at, vka_info(run->graph, out), &finite, err);
    if (s != VKA_OK)
        return s;
    cost_of(run->graph, &flop, &bytes);
    vka_gpu_device_bytes(r->gpu, &peak);
    bench_row_samples(row, gpu);
    bench_row_rates(r, row, flop, bytes, bench_spread_of(gpu).median);
    bench_row_totals(row, &total, 1, finite);
    json_object_set_new(row, "wall_ms", json_real(bench_spread_of(&wall).median));
    json_object_set_new(row, "planned_bytes", json_integer((json_int_t)need));
    json_object_set_new(row, "peak_bytes", json_integer((json_int_t)peak));
    json_object_set_new(row, "launches", json_integer(run->exec->program->launch_count));
    bench_note(r, "  %s: %.3f ms, %.3f TFLOP/s", name, bench_spread_of(gpu).median,
               1e-9 * flop / bench_spread_of(gpu).median);
    return VKA_OK;
}

/* A stage that does not fit is a matter of its row. */
static bool fits(const struct bench_run *r, json_t *row, uint64_t need)
{
    if (need <= r->budget)
        return true;
    bench_row_skip(row, "does not fit: it needs %llu bytes, the budget is %llu", (unsigned long long)need,
                   (unsigned long long)r->budget);
    return false;
}

/* ---- the stages ----------------------------------------------------------------------------------------- */

static vka_status text_stage(struct bench_run *r, vka_error *err)
{
    struct vka_text_stage t = {0};
    const vka_text_config *c = &r->model.text;
    struct bench_samples gpu = {.count = 0};
    vka_block *block = NULL;
    uint64_t need = 0;
    vka_status s =
        vka_text_stage_build(&t, r->model.text_table, c, 0, 2, c->max_positions, r->size.f16, &r->table, err);
    json_t *row = s == VKA_OK ? begin_row(r, "text", "text encoder, 2 prompts", t.run.graph) : NULL;
    if (row)
        s = bench_check_graph(r, t.run.graph, &r->text_check, err);
    if (s == VKA_OK && row)
        s = vka_text_stage_plan(&t, r->budget, &need, err);
    if (s == VKA_OK && row && fits(r, row, need)) {
        vka_gpu_reset_peak(r->gpu);
        s = vka_block_create(r->gpu, t.io.bytes, VKA_MEMORY_DEVICE, true, &block, err);
        if (s == VKA_OK)
            s = vka_netrun_start(&t.run, r->gpu, &r->ticker, err);
        if (s == VKA_OK) { /* the ids are zero: the same row of the table again and again */
            vka_exec_bind(t.run.exec, t.ids, block->address + t.ids_at);
            vka_exec_bind(t.run.exec, t.out, block->address + t.out_at);
            s = vka_exec_record(t.run.exec, err);
        }
        if (s == VKA_OK)
            s = end_row(r, row, "text encoder", &t.run, need, &r->text_check, block, t.out_at, t.out, &gpu, err);
    }
    vka_text_stage_end(&t);
    vka_block_destroy(r->gpu, &block);
    return s;
}

/* *ms: the median, 0 when it was not measured. */
static vka_status unet_stage(struct bench_run *r, bool motion, double *ms, vka_error *err)
{
    struct bench_network n;
    struct bench_size size = r->size;
    struct bench_samples gpu = {.count = 0};
    char name[96];
    uint64_t need = 0;
    *ms = 0;
    size.motion = motion;
    snprintf(name, sizeof name, "unet %ux%ux%u with guidance%s", size.width, size.height, size.frames,
             motion ? "" : ", without motion module");
    vka_status s = bench_network_open(&n, &r->model, &size, &r->table, err);
    if (s != VKA_OK)
        return s;
    json_t *row = begin_row(r, motion ? "unet" : "unet-no-motion", name, bench_graph(&n));
    if (row)
        s = bench_check_graph(r, bench_graph(&n), &r->unet_check, err);
    if (s == VKA_OK && row)
        s = vka_unet_stage_plan(&n.stage, r->budget, &need, err);
    if (s == VKA_OK && row && fits(r, row, need)) {
        const struct vka_unet_stage_params *p = &n.stage.p;
        size_t width = p->text_width, rows = (size_t)p->prompts * p->tokens, samples = (size_t)p->branches * p->frames;
        size_t plane = (size_t)p->height * p->width * p->config->in_channels;
        float *context = vka_calloc(rows * width, sizeof *context), *x = vka_calloc(samples * plane, sizeof *x);
        float *eps = vka_calloc(samples * plane, sizeof *eps);
        int32_t *index = vka_calloc(samples, sizeof *index);
        s = context && x && eps && index ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (size_t i = 0; s == VKA_OK && i < rows * width; i++)
            context[i] = r->pool.f32[i % r->pool.size];
        for (size_t i = 0; s == VKA_OK && i < samples * plane; i++)
            x[i] = 1.7f * r->pool.f32[(i + 7919) % r->pool.size]; /* unit variance */
        for (size_t i = 0; s == VKA_OK && i < samples; i++)
            index[i] = (int32_t)(i / p->frames);
        vka_gpu_reset_peak(r->gpu);
        if (s == VKA_OK)
            s = vka_unet_stage_start(&n.stage, r->gpu, &r->ticker, err);
        if (s == VKA_OK)
            s = vka_unet_stage_prompt(&n.stage, context, index, err);
        if (s == VKA_OK)
            s = vka_unet_stage_once(&n.stage, x, 501, eps, &r->ticker, err);
        if (s == VKA_OK)
            s = end_row(r, row, name, &n.stage.unet, need, &r->unet_check, n.stage.block, n.stage.eps_at, n.stage.eps,
                        &gpu, err);
        *ms = bench_spread_of(&gpu).median;
        if (s == VKA_OK)
            json_object_set_new(row, "s_per_it", json_real(1e-3 * *ms));
        free(context);
        free(x);
        free(eps);
        free(index);
    }
    bench_network_close(&n);
    return s;
}

static vka_status vae_stage(struct bench_run *r, vka_error *err)
{
    struct vka_vae_stage v = {0};
    struct bench_samples gpu = {.count = 0};
    uint64_t need = 0;
    char name[96];
    uint32_t h = r->size.height / r->model.factor, w = r->size.width / r->model.factor;
    bool f16 = r->size.f16 && r->model.vae_f16;
    snprintf(name, sizeof name, "vae decode, one frame of %ux%u", r->size.width, r->size.height);
    vka_status s =
        vka_vae_stage_build(&v, VKA_VAE_PICTURES, r->model.vae_table, &r->model.vae, 1, h, w, f16, &r->table, err);
    json_t *row = s == VKA_OK ? begin_row(r, "vae", name, v.run.graph) : NULL;
    if (row) {
        json_object_set_new(row, "precision", json_string(f16 ? "f16" : "f32"));
        json_object_set_new(row, "path", json_string(bench_path(r, f16)));
        s = bench_check_graph(r, v.run.graph, &r->vae_check, err);
    }
    if (s == VKA_OK && row)
        s = vka_vae_stage_plan(&v, r->budget, &need, err);
    if (s == VKA_OK && row && fits(r, row, need)) {
        size_t count = (size_t)v.in_h * v.in_w * v.in_c;
        float *latents = vka_calloc(count, sizeof *latents);
        void *picture = vka_calloc((size_t)v.out_h * v.out_w, 3);
        bool bad = false;
        s = latents && picture ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (size_t i = 0; s == VKA_OK && i < count; i++)
            latents[i] = 1.7f * r->pool.f32[(i + 104729) % r->pool.size];
        vka_gpu_reset_peak(r->gpu);
        if (s == VKA_OK)
            s = vka_vae_stage_start(&v, r->gpu, &r->ticker, err);
        if (s == VKA_OK)
            s = vka_vae_stage_run(&v, latents, picture, &bad, &r->ticker, err);
        if (s == VKA_OK)
            s = end_row(r, row, name, &v.run, need, &r->vae_check, v.ends.block, v.ends.out_at, v.ends.out, &gpu, err);
        if (s == VKA_OK)
            json_object_set_new(row, "decode_s_per_frame", json_real(1e-3 * bench_spread_of(&gpu).median));
        free(latents);
        free(picture);
    }
    vka_vae_stage_end(&v);
    return s;
}

vka_status bench_level_stage(struct bench_run *r, vka_error *err)
{
    double with = 0, without = 0;
    vka_status s = text_stage(r, err);
    if (s == VKA_OK)
        s = unet_stage(r, true, &with, err);
    if (s == VKA_OK)
        s = unet_stage(r, false, &without, err);
    if (s == VKA_OK)
        s = vae_stage(r, err);
    json_t *summary = json_object_get(r->results, "summary");
    if (s == VKA_OK && with > 0 && without > 0) {
        if (!summary)
            json_object_set_new(r->results, "summary", summary = json_object());
        json_object_set_new(summary, "motion_share", json_real(1 - without / with));
        bench_note(r, "  motion module: %.1f %% of a UNet evaluation", 100 * (1 - without / with));
    }
    return s;
}
