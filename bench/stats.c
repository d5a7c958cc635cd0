/* stats.c - see stats.h. */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_spread bench_spread_of(const struct bench_samples *s)
{
    double v[BENCH_SAMPLES], sum = 0;
    uint32_t n = s->count;
    if (n == 0)
        return (struct bench_spread){0};
    memcpy(v, s->ms, n * sizeof *v);
    qsort(v, n, sizeof *v, compare);
    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    return (struct bench_spread){v[0], n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]), v[n - 1], sum / n};
}
