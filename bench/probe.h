/* probe.h - the project's own product at a size of choice, for the roof. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "bench.h"

/* The project's own linear layer of m rows (even), k -> n, checked as an operator is: samples of one product. */
vka_status bench_gemm(struct bench_run *r, uint32_t m, uint32_t n, uint32_t k, struct bench_samples *out,
                      struct bench_verdict *verdict, vka_error *err);

#endif
