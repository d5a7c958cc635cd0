/* check.h - the operator check of a row: some hundred elements of a node's output, recomputed in double precision from the
 * inputs as the device holds them.
 *
 * The pixels are the corners of the first and the last sample and others drawn by the seed; of each the first and the last
 * channels and some drawn ones, and every pad channel, which must be zero.  An element is right when
 *
 *     |got - want| <= tolerance * (|want| + magnitude)
 *
 * where `magnitude` is the root of the sum of the squared terms of the sum that the element is, the size of what rounding
 * leaves behind: a term left out of n, all alike, weighs 1 / sqrt(n) of it. */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include "data.h"
#include "unit.h"

struct bench_verdict {
    bool passed;
    uint32_t elements;
    double worst, tolerance;
    char why[200]; /* empty when it passed */
};

/* What a check looks at.  `read` fetches one pixel of output number `output` of the last node of `graph`, pitch floats;
 * anything that produces an output will do. */
struct bench_check {
    const struct vka_graph *graph; /* one node, or a split product and its sum */
    const struct bench_pool *pool;
    const struct bench_fill *fill; /* by tensor id */
    vka_status (*read)(void *user, uint32_t output, uint32_t sample, uint32_t pixel, float *out, vka_error *err);
    void *user;
};

/* An error is one of reading or memory; whether the output is right says the verdict.  A node that the check does not know is
 * not right. */
vka_status bench_check_run(const struct bench_check *c, uint64_t seed, struct bench_verdict *out, vka_error *err);
/* The same of a unit on the device, which has run. */
vka_status bench_unit_check(struct bench_unit *u, uint64_t seed, struct bench_verdict *out, vka_error *err);

/* Largest allowed error: by whether fp16 is among the types. */
double bench_tolerance(const struct vka_graph *g);

#endif
