/* unit.h - one piece of work of a network alone on the device, on random inputs: made by the planner and the executor that a
 * render uses, run, read, timed.  It is one node, or a split product and the node that adds up its sums. */
#ifndef BENCH_UNIT_H
#define BENCH_UNIT_H

#include "data.h"
#include "shapes.h"
#include "stats.h"

#include "render/exec.h"

enum { BENCH_UNIT_TENSORS = 24 };

struct bench_unit {
    vka_gpu *gpu;
    const struct bench_pool *pool;
    struct vka_graph *graph;
    vka_build build;
    struct vka_exec *exec;
    struct bench_fill fill[BENCH_UNIT_TENSORS]; /* by tensor id; of inputs */
    vka_block *block[BENCH_UNIT_TENSORS];       /* by tensor id; of inputs and outputs */
    uint64_t planned;                           /* bytes */
    uint32_t launches;                          /* of a run */
};

/* What to measure of it. */
struct bench_sampling {
    uint32_t samples; /* wanted, at most BENCH_SAMPLES */
    double seconds;   /* at most about this long, but always one sample */
};

/* Node number `node` of g (whose model's numbers are there), uploaded and run once.  `table` is the one that g was built
 * with. */
vka_status bench_unit_open(struct bench_unit *u, vka_gpu *gpu, const struct bench_pool *pool, const struct vka_graph *g,
                           uint32_t node, const struct vka_kernel_table *table, const vka_ticker *ticker,
                           vka_error *err);
void bench_unit_close(struct bench_unit *u); /* a zeroed one is fine */

/* One pixel of output number `output` of the last node, pitch floats (pictures: one word each, as it is). */
vka_status bench_unit_read(struct bench_unit *u, uint32_t output, uint32_t sample, uint32_t pixel, float *out,
                           vka_error *err);

/* GPU time of a run by the device's timestamps (wall time where it has none): warm-up, then samples.  Short ones are
 * repeated within a list, with barriers between. */
vka_status bench_unit_time(struct bench_unit *u, const struct bench_sampling *how, const vka_ticker *ticker,
                           struct bench_samples *out, vka_error *err);

/* Seconds of one submission of the list, by its timestamps where there are any. */
vka_status bench_list_run(vka_gpu *gpu, vka_list *list, const vka_ticker *ticker, double *seconds, vka_error *err);

/* GPU seconds of the executor's last run, with what runs once or without; 0 without timestamps, and after a run that made the
 * executor cut its lists anew. */
double bench_exec_seconds(const struct vka_exec *x, bool once);

/* For a tuner: the shape `key` of a network of `size`, built and packed for the given table, timed; with `check` its operator
 * check too (bench/check.h).  Whoever tries many tables of one shape pays a build of the graph (milliseconds) each time. */
struct bench_verdict;
vka_status bench_node_time(vka_gpu *gpu, const struct bench_pool *pool, const struct bench_model *model,
                           const struct bench_size *size, const char *key, const struct vka_kernel_table *table,
                           const struct bench_sampling *how, const vka_ticker *ticker, struct bench_samples *out,
                           struct bench_verdict *check, vka_error *err);

#endif
