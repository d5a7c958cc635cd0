/* level_op.c - every distinct operator of one UNet evaluation, alone: checked, then timed.
 *
 * The summary holds what an evaluation's operators take together (each median times how often it runs) and how much of
 * the roof products reach, weighted by their FLOP. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Checks a shape, and times it where `row` is given. */
static vka_status measure(struct bench_run *r, const struct vka_graph *g, const struct bench_shape *shape,
                          struct bench_total *total, json_t *row, struct bench_samples *samples, vka_error *err)
{
    struct bench_unit u = {0};
    struct bench_verdict verdict = {0};
    vka_gpu_reset_peak(r->gpu);
    vka_status s = bench_unit_open(&u, r->gpu, &r->pool, g, shape->node, &r->table, &r->ticker, err);
    if (s == VKA_E_MEMORY && row) { /* the row's matter, not the run's */
        bench_row_skip(row, "does not fit: %s", err->what);
        vka_error_clear(err);
        return VKA_OK;
    }
    if (s == VKA_OK)
        s = bench_unit_check(&u, 1 + shape->node, &verdict, err);
    if (s == VKA_OK)
        bench_total_add(r, total, shape->name, &verdict);
    if (s == VKA_OK && row)
        s = bench_unit_time(&u, &r->sampling, &r->ticker, samples, err);
    if (s == VKA_OK && row) {
        uint64_t peak;
        vka_gpu_device_bytes(r->gpu, &peak);
        bench_row_samples(row, samples);
        bench_row_rates(r, row, shape->flop, shape->bytes, bench_spread_of(samples).median);
        bench_row_check(row, verdict.passed, verdict.elements, verdict.worst, verdict.tolerance);
        json_object_set_new(row, "planned_bytes", json_integer((json_int_t)u.planned));
        json_object_set_new(row, "peak_bytes", json_integer((json_int_t)peak));
        json_object_set_new(row, "launches", json_integer(u.launches));
        if (!verdict.passed)
            bench_row_void(row, verdict.why);
    }
    bench_unit_close(&u);
    return s;
}

/* FLOP-weighted means: the roof's time for all products over what they took. */
struct share {
    const char *name;
    double flop, ms;
};

static void summarise(struct bench_run *r, double sum_ms, bool whole, const struct share *shares, uint32_t count)
{
    json_t *weighted = json_object(), *tiled = json_object();
    double flop = 0, ms = 0;
    for (uint32_t i = 0; i < count; i++) {
        flop += shares[i].flop;
        ms += shares[i].ms;
        if (shares[i].ms > 0 && r->roof.tflops > 0)
            json_object_set_new(weighted, shares[i].name,
                                json_real(1e-9 * shares[i].flop / shares[i].ms / r->roof.tflops));
    }
    for (uint32_t i = 0; i < count; i++)
        if (shares[i].ms > 0 && r->roof.tiled > 0)
            json_object_set_new(tiled, shares[i].name, json_real(1e-9 * shares[i].flop / shares[i].ms / r->roof.tiled));
    if (ms > 0 && r->roof.tflops > 0)
        json_object_set_new(weighted, "all", json_real(1e-9 * flop / ms / r->roof.tflops));
    json_object_set_new(r->results, "summary",
                        json_pack("{s:f, s:b, s:f, s:o, s:o}", "op_ms_per_step", sum_ms, "complete", whole,
                                  "tflop_per_step", 1e-12 * flop, "weighted_roof_share", weighted,
                                  "weighted_tiled_share", tiled));
}

vka_status bench_level_op(struct bench_run *r, vka_error *err)
{
    struct bench_network n;
    struct share shares[] = {{"linear", 0, 0}, {"conv", 0, 0}, {"attention", 0, 0}};
    enum { SHARES = sizeof shares / sizeof *shares };
    double sum_ms = 0;
    bool whole = true;
    vka_status s = bench_network_open(&n, &r->model, &r->size, &r->table, err);
    for (uint32_t i = 0; s == VKA_OK && i < n.count; i++) {
        const struct bench_shape *shape = &n.shapes[i];
        struct bench_samples samples = {.count = 0};
        if (!bench_wanted(r, shape->op, shape->name)) {
            whole = false;
            continue;
        }
        json_t *row = bench_row_new(r, "op", shape->op, shape->name);
        bench_row_shape(row, shape);
        double guess = bench_guess(r, shape->flop, shape->bytes);
        if (shape->bytes > (double)r->budget) {
            bench_row_skip(row, "does not fit: it touches %.0f bytes, the budget is %llu", shape->bytes,
                           (unsigned long long)r->budget);
        } else if (guess > r->options->seconds) {
            bench_row_skip(row, "would take about %.0f s, --seconds allows %.0f", guess, r->options->seconds);
            bench_row_rates(r, row, shape->flop, shape->bytes, 0);
        } else {
            s = measure(r, bench_graph(&n), shape, &r->unet_check, row, &samples, err);
        }
        if (samples.count == 0) {
            whole = whole && !shape->count;
            bench_note(r, "  [%u/%u] %s: skipped", i + 1, n.count, shape->name);
            continue;
        }
        double ms = bench_spread_of(&samples).median;
        sum_ms += ms * shape->count;
        for (uint32_t k = 0; k < SHARES; k++)
            if (strcmp(shares[k].name, shape->op) == 0) {
                shares[k].flop += shape->flop * shape->count;
                shares[k].ms += ms * shape->count;
            }
        bench_note(r, "  [%u/%u] %s: %.3f ms x %u, %.3f TFLOP/s%s", i + 1, n.count, shape->name, ms, shape->count,
                   1e-9 * shape->flop / ms, json_is_null(json_object_get(row, "void")) ? "" : ", VOID");
    }
    if (s == VKA_OK) {
        summarise(r, sum_ms, whole, shares, SHARES);
        r->unet_check.done = whole;
    }
    bench_network_close(&n);
    return s;
}

vka_status bench_check_graph(struct bench_run *r, const struct vka_graph *g, struct bench_total *total, vka_error *err)
{
    struct bench_shape *shapes;
    uint32_t count;
    if (total->done)
        return VKA_OK;
    vka_status s = bench_shapes_of(g, &shapes, &count, err);
    *total = (struct bench_total){.done = true};
    bench_note(r, "checking %u operators of the %s", count, g->name);
    for (uint32_t i = 0; s == VKA_OK && i < count; i++)
        if (bench_guess(r, shapes[i].flop, shapes[i].bytes) <= r->options->seconds)
            s = measure(r, g, &shapes[i], total, NULL, NULL, err);
        else
            total->done = false;
    total->done = total->done && s == VKA_OK;
    free(shapes);
    return s;
}
