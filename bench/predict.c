/* predict.c - what each operator should take on a given roof, from the graph alone: the larger of its FLOP at a share of
 * the matrix peak and its bytes at a share of the bandwidth.  The shares are what the project promises as a first mark for
 * products, convolutions and attention; the first measurement on a device puts them to the test. */
#include "bench.h"

#include <math.h>
#include <string.h>

static const double gemm_share = 0.65, conv_share = 0.55, attention_share = 0.35, copy_share = 0.75;

static double share_of(const char *op)
{
    if (strcmp(op, "conv") == 0)
        return conv_share;
    return strcmp(op, "attention") == 0 ? attention_share : gemm_share;
}

vka_status bench_predict(struct bench_run *r, vka_error *err)
{
    struct bench_network n;
    double sum = 0, flop = 0;
    const struct bench_options *o = r->options;
    r->roof = (struct bench_roof){o->roof_tflops, "given", 0, o->roof_gbps};
    json_object_set_new(r->results, "roof",
                        json_pack("{s:f, s:s, s:[], s:f, s:{s:f, s:f, s:f, s:f}}", "tflops", o->roof_tflops, "by",
                                  "given", "probes", "copy_gbps", o->roof_gbps, "assumed", "linear", gemm_share, "conv",
                                  conv_share, "attention", attention_share, "copy", copy_share));
    vka_status s = bench_network_open(&n, &r->model, &r->size, &r->table, err);
    for (uint32_t i = 0; s == VKA_OK && i < n.count; i++) {
        const struct bench_shape *shape = &n.shapes[i];
        double compute = shape->flop / (1e12 * o->roof_tflops * share_of(shape->op));
        double ms = 1e3 * fmax(compute, shape->bytes / (1e9 * o->roof_gbps * copy_share));
        sum += ms * shape->count;
        flop += shape->flop * shape->count;
        if (!bench_wanted(r, shape->op, shape->name))
            continue;
        json_t *row = bench_row_new(r, "op", shape->op, shape->name);
        bench_row_shape(row, shape);
        bench_row_rates(r, row, shape->flop, shape->bytes, 0);
        json_object_set_new(row, "predicted_ms", json_real(ms));
        bench_row_void(row, "a prediction");
    }
    if (s == VKA_OK) {
        json_object_set_new(r->results, "summary",
                            json_pack("{s:f, s:f, s:f}", "predicted_ms_per_step", sum, "tflop_per_step", 1e-12 * flop,
                                      "predicted_s_per_it", 1e-3 * sum));
        bench_note(r, "an evaluation of %.3g TFLOP: %.4g ms", 1e-12 * flop, sum);
    }
    bench_network_close(&n);
    return s;
}
