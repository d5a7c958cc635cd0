/* stats.h - samples of a measurement, and their order statistics. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stdint.h>

enum { BENCH_SAMPLES = 256 };

/* Milliseconds, in the order in which they were taken. */
struct bench_samples {
    double ms[BENCH_SAMPLES];
    uint32_t count;
};

struct bench_spread {
    double min, median, max, mean;
};

/* False when there is no room left. */
static inline int bench_sample_add(struct bench_samples *s, double ms)
{
    if (s->count == BENCH_SAMPLES)
        return 0;
    s->ms[s->count++] = ms;
    return 1;
}

/* The median of an even count is the mean of the middle two; of no samples everything is 0. */
struct bench_spread bench_spread_of(const struct bench_samples *s);

#endif
