/* main.c - vkanim-bench: see --help.  Opens the device, measures what was asked for, writes the result object. */
#define _POSIX_C_SOURCE 200809L /* sigaction, gmtime_r */
#include "bench.h"

#include "bench_commit.h"
#include "report/report.h"
#include "tune.h"

#include "base/clock.h"
#include "base/file.h"
#include "render/kernels.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stop_signal; /* the signal that asked for the end */

static void on_signal(int number)
{
    stop_signal = number;
}

static int tick(void *user)
{
    (void)user;
    return stop_signal != 0;
}

static void on_log(void *user, int level, const char *text)
{
    const struct bench_options *o = user;
    if (level <= VKA_LOG_WARN + o->verbose && !o->quiet)
        fprintf(stderr, "%s\n", text);
}

static int complain(const vka_error *err)
{
    fprintf(stderr, "vkanim-bench: %s\n", err->what);
    if (err->why[0])
        fprintf(stderr, "  %s\n", err->why);
    if (err->hint[0])
        fprintf(stderr, "  try: %s\n", err->hint);
    if (err->status == VKA_E_STOPPED)
        return 128 + (stop_signal ? (int)stop_signal : SIGINT);
    return (int)err->status;
}

/* ---- the object ------------------------------------------------------------------------------------------ */

static json_t *device_object(const struct bench_run *r)
{
    const vka_gpu_info *i = &r->info;
    char api[32];
    if (!r->gpu)
        return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "name", "none: a prediction", "driver", "", "api", "",
                         "path", bench_path(r, r->size.f16), "integrated", 0, "cpu", 0);
    snprintf(api, sizeof api, "%u.%u.%u", i->api_version >> 22 & 127, i->api_version >> 12 & 1023,
             i->api_version & 4095);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I}", "name", i->name, "driver", i->driver, "api", api,
                     "path", bench_path(r, r->size.f16), "integrated", i->integrated, "cpu", i->cpu, "heap_bytes",
                     (json_int_t)i->device_heap, "vendor", (json_int_t)i->vendor);
}

static bool begin_results(struct bench_run *r)
{
    char date[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    r->rows = json_array();
    r->results =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "schema", BENCH_SCHEMA, "command", "bench", "vkanim",
                  BENCH_VERSION, "commit", BENCH_COMMIT, "date", date, "device", device_object(r), "settings",
                  json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:i, s:f, s:i, s:I}", "model", r->model.name, "width",
                            (int)r->size.width, "height", (int)r->size.height, "frames", (int)r->size.frames,
                            "branches", (int)r->size.branches, "precision", r->size.f16 ? "f16" : "f32", "samples",
                            (int)r->sampling.samples, "seconds", r->options->seconds, "kernel_table", (int)r->table.id,
                            "budget_bytes", (json_int_t)r->budget),
                  "rows", r->rows);
    return r->results != NULL;
}

/* ---- the run --------------------------------------------------------------------------------------------- */

/* Path and precision as a render takes them (render/setup.c), and what is known of this device. */
static vka_status choose_kernels(struct bench_run *r, const struct bench_options *o, vka_error *err)
{
    const vka_gpu_info *info = r->gpu ? &r->info : NULL;
    const char *path = o->path ? o->path : "auto";
    bool named = strcmp(path, "auto") != 0;
    vka_kernel_table_init(&r->table, info);
    r->size.f16 = o->precision ? strcmp(o->precision, "f16") == 0
                  : named      ? strcmp(path, "fp32") != 0
                               : r->table.storage_f16;
    if (named && r->size.f16 != (strcmp(path, "fp32") != 0))
        return vka_fail(err, VKA_E_USAGE, "--path %s and --precision %s contradict each other", path, o->precision);
    if (r->size.f16 && !r->table.storage_f16) {
        vka_fail(err, VKA_E_DEVICE, "the device cannot store 16-bit numbers");
        vka_error_hint(err, "--precision f32");
        return VKA_E_DEVICE;
    }
    vka_status s = vka_kernel_table_take(&r->table, info, r->size.f16 ? path : "fp32", NULL, err);
    return s == VKA_OK && r->gpu ? vka_kernels_settle(r->gpu, &r->table, named, &r->log, err) : s;
}

/* What the options leave open, by the device; `info` is zeroed for a prediction. */
static vka_status decide(struct bench_run *r, struct bench_options *o, vka_error *err)
{
    bool cpu = r->gpu && r->info.cpu;
    vka_status s = choose_kernels(r, o, err);
    if (s == VKA_OK)
        s = bench_model_open(&r->model, o->model ? o->model : cpu ? "miniature" : "sd15", r->gpu != NULL, err);
    if (s != VKA_OK)
        return s;
    bool small = strcmp(r->model.name, "miniature") == 0;
    o->seconds = o->seconds > 0 ? o->seconds : cpu ? 20 : 5;
    r->sampling = (struct bench_sampling){o->samples ? o->samples : o->quick ? 3 : 10, o->seconds};
    if (o->quick)
        r->sampling.seconds *= 0.25;
    r->size = (struct bench_size){.width = o->width ? o->width
                                           : small  ? 128
                                                    : 512,
                                  .height = o->height ? o->height
                                            : small   ? 128
                                                      : 512,
                                  .frames = o->frames ? o->frames : 16,
                                  .branches = 2,
                                  .motion = true,
                                  .f16 = r->size.f16};
    r->budget = o->vram ? o->vram : cpu ? r->info.device_heap : r->info.device_free / 10 * 9;
    return VKA_OK;
}

static vka_status measure(struct bench_run *r, vka_error *err)
{
    const struct bench_options *o = r->options;
    bench_note(r, "%s, %s, path %s; %s, %ux%ux%u", r->info.name, r->info.driver, bench_path(r, r->size.f16),
               r->model.name, r->size.width, r->size.height, r->size.frames);
    vka_status s = bench_pool_open(&r->pool, err);
    if (s == VKA_OK)
        s = bench_probe(r, err);
    if (s == VKA_OK && o->tune)
        s = bench_tune(r, 0, err);
    if (s == VKA_OK && !o->probes && o->level & BENCH_LEVEL_OP)
        s = bench_level_op(r, err);
    if (s == VKA_OK && !o->probes && o->level & BENCH_LEVEL_STAGE)
        s = bench_level_stage(r, err);
    if (s == VKA_OK && !o->probes && o->level & BENCH_LEVEL_CLIP)
        s = bench_level_clip(r, err);
    return s;
}

static vka_status open_gpu(struct bench_run *r, vka_error *err)
{
    char *cache = vka_cache_dir();
    vka_gpu_params p = {.device = r->options->device, .cache_dir = cache, .log = r->log};
    vka_status s = vka_gpu_create(&r->gpu, &p, err);
    free(cache);
    if (s == VKA_OK)
        r->info = *vka_gpu_describe(r->gpu);
    return s;
}

/* ---- outputs --------------------------------------------------------------------------------------------- */

/* format NULL: the page. */
static vka_status write_to(FILE *to, const json_t *const *results, size_t count, const char *format, vka_error *err)
{
    return format ? bench_report_write(results[0], format, to, err) : bench_report_html(results, count, to, err);
}

static vka_status write_file(const char *path, const json_t *const *results, size_t count, const char *format,
                             vka_error *err)
{
    vka_outfile out = {0};
    vka_status s = vka_out_open(&out, path, err);
    if (s != VKA_OK)
        return s;
    s = write_to(out.file, results, count, format, err);
    if (s == VKA_OK)
        return vka_out_commit(&out, err);
    vka_out_abandon(&out);
    return s;
}

/* A mistake in a name is told before minutes of measuring. */
static vka_status try_outputs(const struct bench_options *o, vka_error *err)
{
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i <= o->output_count; i++) {
        const char *path = i < o->output_count ? o->output[i] : o->html;
        vka_outfile out = {0};
        if (path && (s = vka_out_open(&out, path, err)) == VKA_OK)
            vka_out_abandon(&out);
    }
    return s;
}

static vka_status write_outputs(const struct bench_options *o, const json_t *const *results, size_t count,
                                vka_error *err)
{
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i < o->output_count; i++)
        s = write_file(o->output[i], results, count, bench_format_of(o->output[i]), err);
    if (s == VKA_OK && o->html)
        s = write_file(o->html, results, count, NULL, err);
    if (s == VKA_OK && (o->format || (!o->output_count && !o->html)))
        s = write_to(stdout, results, count, o->format ? o->format : "md", err);
    return s;
}

static vka_status compare(const struct bench_options *o, json_t *results, const json_t *baseline, vka_error *err)
{
    json_t *verdict = NULL;
    bool regressed = false;
    vka_status s = bench_compare(results, baseline, &verdict, &regressed, err);
    if (s == VKA_OK)
        s = bench_compare_write(verdict, stderr, err);
    if (s == VKA_OK)
        json_object_set(results, "comparison", verdict);
    if (s == VKA_OK && regressed)
        s = vka_fail(err, VKA_E_REGRESSION, "slower than '%s'", o->baseline);
    json_decref(verdict);
    return s;
}

/* --compare: result files beside each other. */
static vka_status put_together(const struct bench_options *o, vka_error *err)
{
    json_t *all[BENCH_FILES] = {0};
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i < o->compare_count; i++)
        s = bench_results_load(o->compare[i], &all[i], err);
    const json_t *const *results = (const json_t *const *)all;
    if (s == VKA_OK && o->html)
        s = write_file(o->html, results, o->compare_count, NULL, err);
    else if (s == VKA_OK)
        s = bench_results_table(results, o->compare_count, stdout, err);
    for (uint32_t i = 0; i < o->compare_count; i++)
        json_decref(all[i]);
    return s;
}

/* Writes what there is.  A regression is told last: the results are written all the same. */
static vka_status finish(struct bench_run *r, const json_t *baseline, vka_error *err)
{
    const struct bench_options *o = r->options;
    vka_error slower = {0};
    vka_status verdict = VKA_OK, s;
    if (r->failed)
        json_object_set_new(r->results, "failed_check", json_string(r->failure));
    if (baseline)
        verdict = compare(o, r->results, baseline, &slower);
    s = write_outputs(o, (const json_t *const *)&r->results, 1, err);
    if (s == VKA_OK && r->failed)
        s = vka_fail(err, VKA_E_VERIFY, "an operator check failed: %s", r->failure);
    if (s == VKA_OK && verdict != VKA_OK)
        *err = slower;
    return s == VKA_OK ? verdict : s;
}

static vka_status run_bench(struct bench_run *r, struct bench_options *o, vka_error *err)
{
    json_t *baseline = NULL;
    vka_status s = o->baseline ? bench_results_load(o->baseline, &baseline, err) : VKA_OK;
    if (s == VKA_OK)
        s = try_outputs(o, err);
    if (s == VKA_OK && !o->predict)
        s = open_gpu(r, err);
    if (s == VKA_OK)
        s = decide(r, o, err);
    if (s == VKA_OK && !begin_results(r))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK)
        s = o->predict ? bench_predict(r, err) : measure(r, err);
    if (s == VKA_OK) {
        s = finish(r, baseline, err);
    } else if (json_array_size(r->rows)) { /* what was measured before is worth keeping, and says that it is not all */
        vka_error ignored = {0};
        json_object_set_new(r->results, "error", json_string(err->what));
        write_outputs(o, (const json_t *const *)&r->results, 1, &ignored);
    }
    json_decref(baseline);
    return s;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--print") == 0 && strcmp(argv[2], "man") == 0) { /* for the build, like vkanim's */
        bench_options_man(stdout);
        return fflush(stdout) == 0 ? 0 : VKA_E_OUTPUT;
    }
    struct bench_options o;
    vka_error err = {0};
    vka_status s = bench_options_parse(&o, argc, argv, &err);
    if (s != VKA_OK) {
        vka_error_hint(&err, "vkanim-bench --help");
        return complain(&err);
    }
    if (o.help) {
        bench_options_help(stdout);
        return fflush(stdout) == 0 ? 0 : VKA_E_OUTPUT;
    }
    if (o.version) {
        puts("vkanim-bench " BENCH_VERSION " (" BENCH_COMMIT ")");
        return fflush(stdout) == 0 ? 0 : VKA_E_OUTPUT;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct bench_run r = {.options = &o,
                          .log = {.write = on_log, .user = &o, .level = VKA_LOG_WARN + o.verbose},
                          .ticker = {.tick = tick}};
    s = o.results_table ? bench_readme_update(o.readme, o.results_table, &err)
        : o.comparing   ? put_together(&o, &err)
                        : run_bench(&r, &o, &err);
    json_decref(r.results);
    bench_pool_close(&r.pool);
    bench_model_close(&r.model);
    vka_gpu_destroy(&r.gpu);
    if (s == VKA_OK && fflush(stdout) != 0)
        s = vka_fail(&err, VKA_E_OUTPUT, "the results could not be written");
    return s == VKA_OK ? 0 : complain(&err);
}
