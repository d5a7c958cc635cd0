/* compare.c - a run against an earlier one.
 *
 * A row is compared with the baseline's row of the same level, name, precision, path and device, and only then: the
 * same operator on another device or path is refused and said so, a row without counterpart is listed.  Which rows may
 * be compared is settled first, for all of them; then each pair gets Welch's test on its samples, the p of all tests
 * are corrected together by Holm's method, and a difference is real when it is both large enough and significant. */
#include "report/stats.h"
#include "report/view.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One line of the verdict. */
typedef struct pair {
    const json_t *row, *old; /* either may be NULL */
    char reason[160];        /* why not comparable; empty when it is */
    bench_welch_result welch;
    double p_holm; /* NaN without a test */
    size_t samples, old_samples;
    bool tested;
} pair;

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Whether two rows measure the same work, on whatever device. */
static bool same_work(const json_t *a, const json_t *b)
{
    return same_text(bench_string(a, "level"), bench_string(b, "level")) &&
           same_text(bench_string(a, "name"), bench_string(b, "name"));
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Why two rows of the same name may not be compared; false when they may. */
static bool differs(const json_t *results, const json_t *row, const json_t *baseline, const json_t *old, char out[160])
{
    static const char *const sizes[] = {"settings.width", "settings.height", "settings.frames"};
    const struct {
        const char *what, *a, *b;
    } words[] = {
        {"device", bench_string(results, "device.name"), bench_string(baseline, "device.name")},
        {"path", bench_row_path(results, row), bench_row_path(baseline, old)},
        {"precision", bench_row_precision(results, row), bench_row_precision(baseline, old)},
        {"model", bench_string(results, "settings.model"), bench_string(baseline, "settings.model")},
    };
    char a[56], b[56];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!same_text(words[i].a, words[i].b)) {
            bench_copy(a, sizeof a, words[i].a && *words[i].a ? words[i].a : "not known");
            bench_copy(b, sizeof b, words[i].b && *words[i].b ? words[i].b : "not known");
            snprintf(out, 160, "%s differs: %s, baseline %s", words[i].what, a, b);
            return true;
        }
    const json_t *shape = json_object_get(row, "shape"), *old_shape = json_object_get(old, "shape");
    bool unequal = json_is_object(shape) && json_is_object(old_shape) && !json_equal(shape, old_shape);
    for (size_t i = 0; i < 3 && bench_row_is(row, "stage"); i++) /* an operator's name and a clip's hold their size */
        unequal = unequal || !same_number(bench_number(results, sizes[i]), bench_number(baseline, sizes[i]));
    if (unequal)
        strcpy(out, "the shape differs under the same name");
    return unequal;
}

/* Fills pairs: all rows of the run in their order, then what only the baseline has.  Returns how many. */
static size_t match(const json_t *results, const json_t *baseline, pair *pairs, bool *used)
{
    size_t n = bench_row_count(results), m = bench_row_count(baseline), count = n;
    char reason[160];
    for (size_t i = 0; i < n; i++)
        pairs[i].row = bench_row(results, i);
    for (int strict = 1; strict >= 0; strict--) /* exact counterparts first, so that a near one does not take them */
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < m && !pairs[i].old; j++) {
                const json_t *old = bench_row(baseline, j);
                reason[0] = '\0';
                if (used[j] || !same_work(pairs[i].row, old) ||
                    (differs(results, pairs[i].row, baseline, old, reason) && strict))
                    continue;
                pairs[i].old = old;
                strcpy(pairs[i].reason, reason);
                used[j] = true;
            }
    for (size_t j = 0; j < m; j++)
        if (!used[j])
            pairs[count++].old = bench_row(baseline, j);
    return count;
}

/* The usable samples of a row in fresh memory: positive, finite milliseconds. */
static double *take_samples(const json_t *row, size_t *count)
{
    const json_t *list = json_object_get(row, "samples_ms");
    size_t n = json_array_size(list);
    double *v = vka_calloc(n ? n : 1, sizeof *v);
    *count = 0;
    for (size_t i = 0; v && i < n; i++) {
        double ms = json_number_value(json_array_get(list, i));
        if (ms > 0 && ms < 1e12)
            v[(*count)++] = ms;
    }
    return v;
}

static bool test(pair *p)
{
    double *a = take_samples(p->row, &p->samples), *b = take_samples(p->old, &p->old_samples);
    if (a && b)
        p->tested = bench_welch(a, p->samples, b, p->old_samples, &p->welch);
    bool good = a && b;
    free(a);
    free(b);
    return good;
}

static const char *status_of(const pair *p, bench_limits limits, char reason[256])
{
    reason[0] = '\0';
    if (!p->old)
        return "new";
    if (!p->row)
        return "missing";
    if (p->reason[0]) {
        snprintf(reason, 256, "%s", p->reason);
        return "refused";
    }
    const char *now = bench_void_reason(p->row), *then = bench_void_reason(p->old);
    if (now || then) {
        const char *where = now ? "" : "in the baseline: ";
        strcpy(reason, where);
        bench_copy(reason + strlen(where), 256 - strlen(where), now ? now : then);
        return "void";
    }
    if (!p->tested) {
        snprintf(reason, 256, "too few samples: %zu against %zu", p->samples, p->old_samples);
        return "untested";
    }
    double ratio = p->welch.mean_a / p->welch.mean_b;
    if (!(p->p_holm < limits.p))
        return "same";
    return ratio > 1 + limits.slower ? "slower" : 1 / ratio > 1 + limits.slower ? "faster" : "same";
}

static int put_number(json_t *to, const char *key, double v)
{
    return isfinite(v) ? json_object_set_new(to, key, json_real(v)) : 0;
}

static int put_text(json_t *to, const char *key, const char *text)
{
    return json_object_set_new(to, key, json_string(text));
}

static json_t *verdict_row(const json_t *results, const json_t *baseline, const pair *p, const char *status,
                           const char *reason)
{
    const json_t *row = p->row ? p->row : p->old, *of = p->row ? results : baseline;
    const char *level = bench_string(row, "level");
    json_t *o = json_object();
    int bad = put_text(o, "level", level ? level : "");
    bad |= put_text(o, "name", bench_string_or(row, "name"));
    bad |= put_text(o, "precision", bench_row_precision(of, row));
    bad |= put_text(o, "path", bench_row_path(of, row));
    bad |= put_text(o, "status", status);
    if (*reason)
        bad |= put_text(o, "reason", reason);
    if (p->row && p->old && !p->reason[0] && strcmp(status, "void") != 0) {
        bad |= put_number(o, "ms", p->welch.mean_a);
        bad |= put_number(o, "baseline_ms", p->welch.mean_b);
        bad |= put_number(o, "ratio", p->welch.mean_a / p->welch.mean_b);
        bad |= json_object_set_new(o, "samples", json_integer((json_int_t)p->samples));
        bad |= json_object_set_new(o, "baseline_samples", json_integer((json_int_t)p->old_samples));
        if (p->tested) { /* t and df are left out where neither side spreads */
            bad |= put_number(o, "t", p->welch.t);
            bad |= put_number(o, "df", p->welch.df);
            bad |= put_number(o, "p", p->welch.p);
            bad |= put_number(o, "p_holm", p->p_holm);
        }
    }
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *identity(const json_t *results)
{
    static const char *const keys[] = {"vkanim", "commit", "date"};
    json_t *o = json_object();
    int bad = put_text(o, "device", bench_string_or(results, "device.name"));
    bad |= put_text(o, "driver", bench_string_or(results, "device.driver"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        bad |= put_text(o, keys[i], bench_string_or(results, keys[i]));
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* What may explain a difference beside the code. */
static json_t *notes(const json_t *results, const json_t *baseline)
{
    static const char *const keys[][2] = {{"driver", "device.driver"}, {"kernel table", "settings.kernel_table"}};
    json_t *list = json_array();
    int bad = list ? 0 : -1;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *a = bench_at(results, keys[i][1]), *b = bench_at(baseline, keys[i][1]);
        if (a != b && (!a || !b || !json_equal(a, b)))
            bad |= json_array_append_new(list, json_sprintf("the %s differs between the runs", keys[i][0]));
    }
    double a = bench_number(results, "roof.tflops"), b = bench_number(baseline, "roof.tflops");
    bool one_device = same_text(bench_string(results, "device.name"), bench_string(baseline, "device.name"));
    if (one_device && a > 0 && b > 0 && (a / b > 1.05 || b / a > 1.05))
        bad |= json_array_append_new(list,
                                     json_string("the roof differs by more than 5 %: the device ran at another clock"));
    if (bad) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *make_verdict(const json_t *results, const json_t *baseline, bench_limits limits, const pair *pairs,
                            size_t count, bool *regressed)
{
    static const char *const kinds[] = {"slower", "faster", "same", "untested", "void", "refused", "new", "missing"};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    size_t counts[KINDS] = {0}, tests = 0;
    char reason[256];
    json_t *rows = json_array(), *summary = json_object();
    int bad = rows && summary ? 0 : -1;
    for (size_t i = 0; i < count; i++) {
        const char *status = status_of(&pairs[i], limits, reason);
        for (size_t k = 0; k < KINDS; k++)
            counts[k] += strcmp(status, kinds[k]) == 0;
        tests += pairs[i].tested;
        bad |= json_array_append_new(rows, verdict_row(results, baseline, &pairs[i], status, reason));
    }
    *regressed = counts[0] > 0;
    for (size_t k = 0; k < KINDS; k++)
        bad |= json_object_set_new(summary, kinds[k], json_integer((json_int_t)counts[k]));
    bad |= json_object_set_new(summary, "compared", json_integer((json_int_t)tests));
    bad |= json_object_set_new(summary, "regressed", json_boolean(*regressed));
    if (bad) {
        json_decref(rows);
        json_decref(summary);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:o, s:o, s:{s:f, s:f}, s:o, s:o, s:o}", "schema", BENCH_SCHEMA, "command",
                     "bench-compare", "run", identity(results), "baseline", identity(baseline), "limits", "slower",
                     limits.slower, "p", limits.p, "notes", notes(results, baseline), "rows", rows, "summary", summary);
}

vka_status bench_compare_with(const json_t *results, const json_t *baseline, bench_limits limits, json_t **verdict,
                              bool *regressed, vka_error *err)
{
    *verdict = NULL;
    *regressed = false;
    vka_status s = bench_check_results(results, "the run", err);
    if (s == VKA_OK)
        s = bench_check_results(baseline, "the baseline", err);
    if (s != VKA_OK)
        return s;
    size_t n = bench_row_count(results), m = bench_row_count(baseline);
    pair *pairs = vka_calloc(n + m + 1, sizeof *pairs);
    bool *used = vka_calloc(m + 1, sizeof *used);
    double *p = vka_calloc(n + m + 1, sizeof *p);
    bool good = pairs && used && p;
    size_t count = good ? match(results, baseline, pairs, used) : 0;
    for (size_t i = 0; i < count && good; i++) {
        pair *q = &pairs[i];
        if (q->row && q->old && !q->reason[0] && !bench_void_reason(q->row) && !bench_void_reason(q->old))
            good = test(q);
        p[i] = q->tested ? q->welch.p : (double)NAN;
    }
    good = good && bench_holm(p, count);
    for (size_t i = 0; i < count && good; i++)
        pairs[i].p_holm = p[i];
    if (good)
        *verdict = make_verdict(results, baseline, limits, pairs, count, regressed);
    free(pairs);
    free(used);
    free(p);
    return *verdict ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

vka_status bench_compare(const json_t *results, const json_t *baseline, json_t **verdict, bool *regressed,
                         vka_error *err)
{
    return bench_compare_with(results, baseline, BENCH_LIMITS_DEFAULT, verdict, regressed, err);
}

/* ---- as text ----------------------------------------------------------------------------------------- */

static void write_run(const json_t *verdict, const char *key, FILE *to)
{
    const json_t *run = json_object_get(verdict, key);
    fprintf(to, "%-9s", key);
    static const char *const parts[] = {"device", "driver", "commit", "date"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fputs(i ? ", " : "", to);
        fputs(strcmp(parts[i], "commit") == 0 ? "commit " : "", to);
        bench_put_plain(to, bench_string_or(run, parts[i]));
    }
    fputs("\n", to);
}

static void write_row(const json_t *row, FILE *to)
{
    char ms[BENCH_TEXT], old[BENCH_TEXT], p[BENCH_TEXT], change[BENCH_TEXT];
    const char *reason = bench_string(row, "reason");
    double ratio = bench_number(row, "ratio");
    fprintf(to, "%-9s", bench_string_or(row, "status"));
    const char *level = bench_string(row, "level"), *name = bench_string_or(row, "name");
    if (level && strncmp(name, level, strlen(level)) != 0) { /* "clip 512x512" says it already */
        bench_put_plain(to, level);
        fputs(" ", to);
    }
    bench_put_plain(to, name);
    if (!isnan(ratio)) {
        bench_text_digits(old, bench_number(row, "baseline_ms"), 4);
        bench_text_digits(ms, bench_number(row, "ms"), 4);
        bench_text_share(change, ratio - 1);
        fprintf(to, ": %s -> %s ms (%s%s", old, ms, ratio >= 1 ? "+" : "", change);
        if (!isnan(bench_number(row, "p_holm"))) {
            bench_text_digits(p, bench_number(row, "p_holm"), 2);
            fprintf(to, ", p %s", p);
        }
        fputs(")", to);
    }
    if (reason) {
        fputs(": ", to);
        bench_put_plain(to, reason);
    }
    fputs("\n", to);
}

vka_status bench_compare_write(const json_t *verdict, FILE *to, vka_error *err)
{
    /* What matters first; rows that are the same are only counted. */
    static const char *const order[] = {"slower", "faster", "void", "refused", "untested", "missing", "new"};
    const json_t *rows = json_object_get(verdict, "rows"), *remarks = json_object_get(verdict, "notes");
    char slower[BENCH_TEXT], p[BENCH_TEXT];
    if (!same_text(bench_string(verdict, "command"), "bench-compare") || !json_is_array(rows))
        return vka_fail(err, VKA_E_INPUT, "this is no verdict of a comparison");
    write_run(verdict, "baseline", to);
    write_run(verdict, "run", to);
    for (size_t i = 0; i < json_array_size(remarks); i++)
        if (json_is_string(json_array_get(remarks, i))) {
            fputs("note     ", to);
            bench_put_plain(to, json_string_value(json_array_get(remarks, i)));
            fputs("\n", to);
        }
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            if (same_text(bench_string(row, "status"), order[k]))
                write_row(row, to);
        }
    const json_t *summary = json_object_get(verdict, "summary");
    bench_text_share(slower, bench_number(verdict, "limits.slower"));
    bench_text_digits(p, bench_number(verdict, "limits.p"), 1);
    fprintf(to, "%.0f rows compared: %.0f slower, %.0f faster, %.0f the same", bench_number(summary, "compared"),
            bench_number(summary, "slower"), bench_number(summary, "faster"), bench_number(summary, "same"));
    fprintf(to, " (real: over %s and p under %s by Welch's test with Holm's correction)\n", slower, p);
    return bench_finish(to, err);
}
