/* bench.h - one run of vkanim-bench: the device, what was asked for, the roof, and the growing result object. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "check.h"
#include "options.h"
#include "unit.h"

#include <jansson.h>

/* What the device reached in this run.  Rates of 0: not measured. */
struct bench_roof {
    double tflops;  /* R: the highest of the probes that bear on the path taken */
    const char *by; /* that probe's name */
    double tiled;   /* TFLOP/s of the plain register-tiled product */
    double gbps;    /* copied, read and written bytes counted */
};

/* The operator checks of one network. */
struct bench_total {
    bool done, failed;
    uint32_t elements;
    double worst, tolerance; /* of the element nearest to its tolerance, or farthest beyond */
    char why[256];
};

struct bench_run {
    const struct bench_options *options;
    struct bench_model model;
    struct bench_size size; /* of the operator and stage levels */
    struct bench_sampling sampling;
    struct bench_pool pool;
    vka_gpu *gpu; /* NULL: a prediction */
    vka_gpu_info info;
    struct vka_kernel_table table;
    uint64_t budget; /* bytes of device memory */
    struct bench_roof roof;
    json_t *results, *rows; /* rows is borrowed from results */
    vka_log log;
    vka_ticker ticker;                                    /* stops the run on a signal */
    struct bench_total unet_check, vae_check, text_check; /* of this run's operators */
    bool failed;                                          /* some check did */
    char failure[256];
};

/* Progress and notes on standard error, unless -q. */
void bench_note(const struct bench_run *r, const char *fmt, ...) VKA_PRINTF(2, 3);

/* The device's probes, the roof, and results["roof"]. */
vka_status bench_probe(struct bench_run *r, vka_error *err);
/* Rows of the three levels, appended to r->rows. */
vka_status bench_level_op(struct bench_run *r, vka_error *err);
vka_status bench_level_stage(struct bench_run *r, vka_error *err);
vka_status bench_level_clip(struct bench_run *r, vka_error *err);
/* Rows of the operator level with "predicted_ms", and the step's sum; no device. */
vka_status bench_predict(struct bench_run *r, vka_error *err);
/* Every operator of a graph checked once (those that --seconds allows), where `total` is not done yet. */
vka_status bench_check_graph(struct bench_run *r, const struct vka_graph *g, struct bench_total *total, vka_error *err);
/* One verdict more; a failure is the run's too. */
void bench_total_add(struct bench_run *r, struct bench_total *total, const char *name, const struct bench_verdict *v);

/* ---- rows ------------------------------------------------------------------------------------------------ */

/* A new row of these, appended; borrowed. */
json_t *bench_row_new(struct bench_run *r, const char *level, const char *op, const char *name);
/* "samples_ms" and "ms". */
void bench_row_samples(json_t *row, const struct bench_samples *s);
/* "tflop", "gbyte", and what follows from the median and the roof. */
void bench_row_rates(const struct bench_run *r, json_t *row, double flop, double bytes, double median_ms);
void bench_row_check(json_t *row, bool passed, uint32_t elements, double worst, double tolerance);
/* The row stands on these operators: void unless all were checked and right, and `finite` says so of its own output. */
void bench_row_totals(json_t *row, const struct bench_total *const *totals, uint32_t count, bool finite);
/* Says why the row does not count, or was not measured ("skipped"). */
void bench_row_void(json_t *row, const char *reason);
void bench_row_skip(json_t *row, const char *fmt, ...) VKA_PRINTF(2, 3);
void bench_row_shape(json_t *row, const struct bench_shape *s);
/* Whether --filter lets it through. */
bool bench_wanted(const struct bench_run *r, const char *op, const char *name);
/* "fp32", "fp16", "khr" or "nv2": of networks whose storage is f16 or not. */
const char *bench_path(const struct bench_run *r, bool f16);
/* Seconds that `flop` and `bytes` should take, by the probes of this run; for deciding what to skip. */
double bench_guess(const struct bench_run *r, double flop, double bytes);

#endif
