/* data.h - the random contents of a tensor, as a function of its place: what the device is given, and what the host
 * recomputes from, without keeping a copy.
 *
 * Values come from a pool of a prime number of uniform numbers, read round and round from a place that depends on the
 * tensor, so that no row of a matrix equals another. */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "gpu/gpu.h"
#include "graph/graph.h"

enum bench_fill_kind {
    BENCH_FILL_UNIFORM, /* (-1, 1) */
    BENCH_FILL_NORM,    /* scales 1 + u / 2 in the first half of the channels, shifts u / 2 in the second */
    BENCH_FILL_STATS, /* statistics of blocks of rows: means u / 2, then rows (0.3 + u / 5) as sums of squared distances */
    BENCH_FILL_BRANCH, /* i32: the sample's branch */
    BENCH_FILL_TOKEN,  /* i32: some number below `limit` */
    BENCH_FILL_STEP    /* one f32, a timestep */
};

struct bench_fill {
    enum bench_fill_kind kind;
    uint32_t salt; /* where in the pool */
    uint32_t slot,
        valid;       /* channels come in slots of `slot`, of which the first `valid` are not padding; 0: no slots */
    uint32_t normed; /* BENCH_FILL_NORM, BENCH_FILL_STATS: channels that are no padding, of each half */
    uint32_t rows;   /* BENCH_FILL_STATS: of a sample; the last block may have fewer than the others */
    uint32_t limit;  /* BENCH_FILL_BRANCH: samples of a branch; BENCH_FILL_TOKEN */
};

struct bench_pool {
    float *f32; /* what f16 holds, in fp32 */
    uint16_t *f16;
    uint32_t size; /* prime */
};

vka_status bench_pool_open(struct bench_pool *p, vka_error *err);
void bench_pool_close(struct bench_pool *p);

/* Rows that block `index` of a tensor of statistics stands for. */
uint32_t bench_block_rows(const struct vka_tensor_info *stats, uint32_t rows, uint32_t index);

/* Channels first .. first + count - 1 of a pixel as the tensor's type holds them; the channels behind info->c are zero. */
void bench_data_row(const struct bench_pool *pool, const struct bench_fill *fill, const struct vka_tensor_info *info,
                    uint32_t sample, uint32_t pixel, uint32_t first, uint32_t count, double *out);

/* The whole tensor into a block at `offset`. */
vka_status bench_upload(vka_gpu *gpu, const struct bench_pool *pool, const struct bench_fill *fill,
                        const struct vka_tensor_info *info, vka_block *block, uint64_t offset, vka_error *err);

#endif
