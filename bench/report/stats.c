/* stats.c - see stats.h.
 *
 * The incomplete beta function is the continued fraction DLMF 8.17.22, evaluated from the front by Lentz's method in
 * the form of Thompson and Barnett (Lentz 1976; Thompson and Barnett 1986).  It converges fast for x below (a + 1) / (a
 * + b + 2); beyond that the symmetry I_x(a, b) = 1 - I_y(b, a) is used. */
#include "report/stats.h"

#include <math.h>
#include <stdlib.h>

/* 1 + d1 / (1 + d2 / (1 + ...)), the denominator of DLMF 8.17.22. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300, enough = 1e-16;
    double f = 1, c = 1, d = 0;
    for (int k = 1; k <= 100000; k++) {
        double m = k / 2, term; /* k = 2m or 2m + 1 */
        if (k % 2 == 0)
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        else
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + term * d;
        c = 1 + term / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= c * d;
        if (fabs(c * d - 1) < enough)
            break;
    }
    return f;
}

/* ln x for x = 1 - y, whichever of the two has more digits. */
static double log_of(double x, double y)
{
    return x < 0.5 ? log(x) : log1p(-y);
}

double bench_beta(double a, double b, double x, double y)
{
    if (!(x > 0))
        return 0;
    if (!(y > 0))
        return 1;
    double front = exp(a * log_of(x, y) + b * log_of(y, x) + lgamma(a + b) - lgamma(a) - lgamma(b));
    if (x < (a + 1) / (a + b + 2))
        return front / (a * beta_fraction(a, b, x));
    return 1 - front / (b * beta_fraction(b, a, y));
}

double bench_student_p(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return (double)NAN;
    double r = t / sqrt(df), q = 1 + r * r; /* q may be infinite: then p is 0 */
    if (isinf(q))
        return 0;
    double p = bench_beta(df / 2, 0.5, 1 / q, r * r / q);
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

/* Mean and variance of the mean. */
static void moments(const double *v, size_t n, double *mean, double *variance)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    *mean = n ? sum / (double)n : (double)NAN;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - *mean) * (v[i] - *mean);
    *variance = n > 1 ? squares / (double)(n - 1) / (double)n : 0;
    /* The mean of equal numbers may miss them by a rounding. */
    if (*variance < 1e-30 * *mean * *mean)
        *variance = 0;
}

bool bench_welch(const double *a, size_t n, const double *b, size_t m, bench_welch_result *out)
{
    double u, w;
    *out = (bench_welch_result){.t = (double)NAN, .df = (double)NAN, .p = (double)NAN};
    moments(a, n, &out->mean_a, &u);
    moments(b, m, &out->mean_b, &w);
    double difference = out->mean_a - out->mean_b, both = u + w;
    if (n < 2 || m < 2 || isnan(difference) || (!(both > 0) && (n < 3 || m < 3)))
        return false;
    if (!(both > 0)) {
        bool equal = fabs(difference) <= 1e-14 * fabs(out->mean_b);
        out->t = equal ? 0 : copysign((double)INFINITY, difference);
        out->p = equal ? 1 : 0;
        return true;
    }
    out->t = difference / sqrt(both);
    u /= both;
    w /= both;
    out->df = 1 / (u * u / (double)(n - 1) + w * w / (double)(m - 1));
    out->p = bench_student_p(out->t, out->df);
    return true;
}

typedef struct ranked {
    double p;
    size_t at;
} ranked;

static int by_p(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    return a->p != b->p ? (a->p > b->p) - (a->p < b->p) : (a->at > b->at) - (a->at < b->at);
}

bool bench_holm(double *p, size_t n)
{
    size_t tests = 0;
    double highest = 0;
    ranked *order = n ? calloc(n, sizeof *order) : NULL;
    if (n && !order)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            order[tests++] = (ranked){p[i], i};
    if (tests)
        qsort(order, tests, sizeof *order, by_p);
    for (size_t i = 0; i < tests; i++) {
        double adjusted = order[i].p * (double)(tests - i);
        highest = adjusted > highest ? adjusted : highest;
        p[order[i].at] = highest < 1 ? highest : 1;
    }
    free(order);
    return true;
}
