/* rows.c - rows of the result object: what every level puts there.  See bench.h; the names are those that bench/report
 * reads. */
#include "bench.h"

#include "base/number.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void bench_note(const struct bench_run *r, const char *fmt, ...)
{
    va_list ap;
    if (r->options->quiet)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

const char *bench_path(const struct bench_run *r, bool f16)
{
    return vka_path_name(f16 ? r->table.path : VKA_PATH_FP32);
}

json_t *bench_row_new(struct bench_run *r, const char *level, const char *op, const char *name)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:n}", "level", level, "operator", op, "name", name, "precision",
                            r->size.f16 ? "f16" : "f32", "path", bench_path(r, r->size.f16), "void");
    json_array_append_new(r->rows, row);
    return row;
}

void bench_row_samples(json_t *row, const struct bench_samples *s)
{
    struct bench_spread m = bench_spread_of(s);
    json_t *all = json_array();
    for (uint32_t i = 0; i < s->count; i++)
        json_array_append_new(all, json_real(s->ms[i]));
    json_object_set_new(row, "samples_ms", all);
    json_object_set_new(row, "ms", json_pack("{s:f, s:f, s:f}", "min", m.min, "median", m.median, "max", m.max));
}

void bench_row_rates(const struct bench_run *r, json_t *row, double flop, double bytes, double median_ms)
{
    double tflop = 1e-12 * flop, gbyte = 1e-9 * bytes, seconds = 1e-3 * median_ms;
    json_object_set_new(row, "tflop", json_real(tflop));
    json_object_set_new(row, "gbyte", json_real(gbyte));
    if (!(seconds > 0))
        return;
    json_object_set_new(row, "gbps", json_real(gbyte / seconds));
    if (flop > 0)
        json_object_set_new(row, "tflops", json_real(tflop / seconds));
    if (flop > 0 && r->roof.tflops > 0)
        json_object_set_new(row, "roof_share", json_real(tflop / seconds / r->roof.tflops));
    if (flop > 0 && r->roof.tiled > 0)
        json_object_set_new(row, "tiled_share", json_real(tflop / seconds / r->roof.tiled));
    if (r->roof.gbps > 0)
        json_object_set_new(row, "copy_share", json_real(gbyte / seconds / r->roof.gbps));
}

void bench_row_check(json_t *row, bool passed, uint32_t elements, double worst, double tolerance)
{
    json_object_set_new(row, "check",
                        json_pack("{s:b, s:i, s:o, s:f}", "passed", passed, "elements", (int)elements, "worst",
                                  worst <= 1e300 ? json_real(worst) : json_null(), "tolerance", tolerance));
}

void bench_total_add(struct bench_run *r, struct bench_total *t, const char *name, const struct bench_verdict *v)
{
    t->elements += v->elements;
    if (!(t->tolerance > 0) || !(v->worst / v->tolerance <= t->worst / t->tolerance)) {
        t->worst = v->worst;
        t->tolerance = v->tolerance;
    }
    if (v->passed)
        return;
    if (!t->failed)
        snprintf(t->why, sizeof t->why, "%.100s: %.140s", name, v->why);
    if (!r->failed)
        snprintf(r->failure, sizeof r->failure, "%.100s: %.140s", name, v->why);
    t->failed = r->failed = true;
}

void bench_row_totals(json_t *row, const struct bench_total *const *totals, uint32_t count, bool finite)
{
    struct bench_total sum = {.done = true};
    for (uint32_t i = 0; i < count; i++) {
        const struct bench_total *t = totals[i];
        sum.done = sum.done && t->done;
        sum.failed = sum.failed || t->failed;
        sum.elements += t->elements;
        if (t->tolerance > 0 && (!(sum.tolerance > 0) || !(t->worst / t->tolerance <= sum.worst / sum.tolerance))) {
            sum.worst = t->worst;
            sum.tolerance = t->tolerance;
        }
        if (t->failed)
            bench_row_void(row, t->why);
    }
    bench_row_check(row, sum.done && !sum.failed && finite, sum.elements, sum.worst, sum.tolerance);
    if (!finite)
        bench_row_void(row, "the output holds NaN or Inf");
    else if (!sum.done)
        bench_row_void(row, "not every operator was checked in this run");
}

void bench_row_void(json_t *row, const char *reason)
{
    json_object_set_new(row, "void", json_string(reason));
}

void bench_row_skip(json_t *row, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bench_row_void(row, text);
    json_object_set_new(row, "skipped", json_true());
}

void bench_row_shape(json_t *row, const struct bench_shape *s)
{
    json_t *shape = json_object();
    for (uint32_t i = 0; i < s->numbers; i++)
        json_object_set_new(shape, s->number[i].name, json_integer((json_int_t)s->number[i].value));
    json_object_set_new(row, "shape", shape);
    json_object_set_new(row, "count", json_integer(s->count));
    if (s->once)
        json_object_set_new(row, "once", json_integer(s->once));
}

bool bench_wanted(const struct bench_run *r, const char *op, const char *name)
{
    const char *f = r->options->filter;
    return !f || strstr(op, f) || strstr(name, f);
}

double bench_guess(const struct bench_run *r, double flop, double bytes)
{
    double rate = r->roof.tflops > 0 ? 0.25e12 * r->roof.tflops : r->info.cpu ? 5e9 : 1e12;
    double copy = r->roof.gbps > 0 ? 0.5e9 * r->roof.gbps : r->info.cpu ? 1e9 : 50e9;
    double compute = flop / rate, memory = bytes / copy;
    return compute > memory ? compute : memory;
}
