/* stats.h - is one set of times really slower than another?  Internal to report. */
#ifndef BENCH_REPORT_STATS_H
#define BENCH_REPORT_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* I_x(a, b), the regularised incomplete beta function (DLMF 8.17.2); a, b > 0.  `x` in 0..1 and y = 1 - x, given apart
 * so that neither end loses digits. */
double bench_beta(double a, double b, double x, double y);
/* Two-sided p of Student's t with df > 0 degrees of freedom: I_x(df/2, 1/2) at x = df / (df + t^2). */
double bench_student_p(double t, double df);

typedef struct bench_welch_result {
    double mean_a, mean_b; /* ms */
    double t;              /* above 0 when a is slower; infinite when neither side spreads and the means differ */
    double df, p;          /* df is NaN when neither side spreads */
} bench_welch_result;
/* Welch's unequal variances t-test (Welch 1947) with the degrees of freedom of Welch and Satterthwaite (Satterthwaite
 * 1946). At least 2 samples on each side, and 3 where neither side spreads (equal readings of a coarse timer say
 * little); false when there are fewer: then only the means are set (NaN of nothing). */
bool bench_welch(const double *a, size_t n, const double *b, size_t m, bench_welch_result *out);

/* Holm's step-down correction (Holm 1979): p[n] becomes what may be held against the level itself.  n tests, NaN are
 * none. False when memory is short. */
bool bench_holm(double *p, size_t n);

#endif
