/* tune.h - which tile each class of products takes on this device, by trying them: `vkanim-bench --tune`.
 *
 * The classes are those of the run's network and size, by falling share of the FLOP, as far as the time reaches.  Every tile
 * that vka_matmul_tiles() offers runs the most expensive product of the class; one whose output bits are not the default's is
 * a defect (DESIGN.md, "Same bits"): it is dropped and the run counts as failed.  One that is more than 2 % faster than the
 * default, in two rounds, is kept for later runs of this device, driver and build (vka_kernels_keep_tuned). */
#ifndef BENCH_TUNE_H
#define BENCH_TUNE_H

#include "bench.h"

/* Takes about `seconds` (0: 40, with --quick 10); what the time does not reach keeps what it had.  Winners go into r->table,
 * into the cache folder and, with all that was measured, into r->results["tuned"]: [{"name", "operator", "class", "share",
 * "default", "default_ms", "tile", "ms", "gain", "kept", "tried": [{"tile", "rows", "columns", "ms",
 * "status": "timed|slower|other bits|refused"}]}].
 * A folder that cannot be written to is a note, not an error.  Needs the run's device, pool and model; call it after the probes. */
vka_status bench_tune(struct bench_run *r, double seconds, vka_error *err);

/* What is compared of an output of so many bytes: all of it up to 16 MiB, else 64 slices spread over it, the first and the last
 * bytes among them. */
struct bench_slices {
    uint64_t first, length, step; /* slice 0 begins at 0, slice i at first + i * step */
    uint32_t count;
};
struct bench_slices bench_slices_of(uint64_t bytes);

#endif
