/* columns.c - the tables of rows: which columns there are and what stands in a cell.
 *
 * Markdown and the page show the same cells.  A column appears in a level's table only when a row of that level has
 * something to say there, so that the tables of operators, stages and clips need no lists of their own.  A void row
 * shows its name and the reason and no number, since nobody should quote a number that failed its check. */
#include "report/view.h"

#include <math.h>
#include <string.h>

enum kind { NAME, NUMBER, COUNT, SHARE, BYTES, PREDICTED, AGAINST, S_PER_IT, PATH, CHECK };

static const struct column {
    const char *title, *path;
    enum kind kind;
} columns[BENCH_COLUMNS] = {
    {"name", "name", NAME},
    {"per step", "count", COUNT},
    {"s/it", "s_per_it", S_PER_IT},
    {"decode s/frame", "decode_s_per_frame", NUMBER},
    {"min ms", "ms.min", NUMBER},
    {"median ms", "ms.median", NUMBER},
    {"max ms", "ms.max", NUMBER},
    {"predicted ms", NULL, PREDICTED},
    {"measured / predicted", NULL, AGAINST},
    {"TFLOP/s", "tflops", NUMBER},
    {"GB/s", "gbps", NUMBER},
    {"of R", "roof_share", SHARE},
    {"of tiled probe", "tiled_share", SHARE},
    {"of copy", "copy_share", SHARE},
    {"peak VRAM", "peak_bytes", BYTES},
    {"planned VRAM", "planned_bytes", BYTES},
    {"path", NULL, PATH},
    {"check", NULL, CHECK},
};

const char *const bench_levels[BENCH_LEVELS] = {"clip", "stage", "op"};
const char *const bench_level_titles[BENCH_LEVELS] = {"Clips", "Stages", "Operators"};

const char *bench_column_title(size_t column)
{
    return columns[column].title;
}

bool bench_column_is_number(size_t column)
{
    enum kind kind = columns[column].kind;
    return kind != NAME && kind != PATH && kind != CHECK;
}

bool bench_row_is(const json_t *row, const char *level)
{
    const char *s = bench_string(row, "level");
    return s && strcmp(s, level) == 0;
}

bool bench_has_level(const json_t *results, const char *level)
{
    for (size_t i = 0; i < bench_row_count(results); i++)
        if (bench_row_is(bench_row(results, i), level))
            return true;
    return false;
}

static double against(const json_t *results, const json_t *row)
{
    return bench_number(row, "ms.median") / bench_row_predicted(results, row);
}

static bool has(const struct column *column, const json_t *results, const json_t *row)
{
    const char *own = bench_string(row, "path"), *run = bench_string(results, "device.path");
    if (column->kind == NAME)
        return true;
    if (column->kind == PATH)
        return own && (!run || strcmp(own, run) != 0); /* worth a column only where it is not the run's */
    if (column->kind == CHECK)
        return bench_void_reason(row) || json_is_object(json_object_get(row, "check"));
    if (column->kind == PREDICTED) /* shown for void rows too: nothing was measured about it */
        return !isnan(bench_row_predicted(results, row));
    if (bench_void_reason(row) && column->kind != COUNT)
        return false;
    return column->kind == AGAINST ? !isnan(against(results, row)) : !isnan(bench_number(row, column->path));
}

bool bench_column_used(size_t column, const json_t *results, const char *level)
{
    for (size_t i = 0; i < bench_row_count(results); i++) {
        const json_t *row = bench_row(results, i);
        if (bench_row_is(row, level) && has(&columns[column], results, row))
            return true;
    }
    return false;
}

static void put_check(const json_t *row, FILE *to, bench_put *put)
{
    const char *reason = bench_void_reason(row);
    char text[BENCH_TEXT];
    double worst = bench_number(row, "check.worst"), tolerance = bench_number(row, "check.tolerance");
    if (reason) {
        put(to, bench_void_word(row));
        put(to, ": ");
        put(to, reason);
        return;
    }
    put(to, json_is_true(bench_at(row, "check.passed")) ? "passed" : "none");
    if (!isnan(worst) && !isnan(tolerance)) {
        bench_text_digits(text, worst, 2);
        put(to, ", ");
        put(to, text);
        bench_text_digits(text, tolerance, 2);
        put(to, " of ");
        put(to, text);
    }
}

void bench_column_put(size_t index, const json_t *results, const json_t *row, FILE *to, bench_put *put)
{
    const struct column *column = &columns[index];
    char text[2 * BENCH_TEXT];
    double v = column->path ? bench_number(row, column->path) : (double)NAN;
    if (column->kind == CHECK) {
        put_check(row, to, put);
        return;
    }
    if (column->kind == NAME || column->kind == PATH) {
        put(to, column->kind == NAME ? bench_string_or(row, "name") : bench_row_path(results, row));
        return;
    }
    if (!has(column, results, row)) {
        put(to, bench_void_reason(row) && column->kind == NUMBER ? bench_void_word(row) : "-");
        return;
    }
    switch (column->kind) {
    case COUNT:
        bench_text_exact(text, v);
        break;
    case SHARE:
        bench_text_share(text, v);
        break;
    case BYTES:
        bench_text_bytes(text, v);
        break;
    case PREDICTED:
        bench_text_digits(text, bench_row_predicted(results, row), 4);
        break;
    case AGAINST:
        bench_text_digits(text, against(results, row), 3);
        break;
    case S_PER_IT:
        bench_text_s_per_it(text, row);
        break;
    default:
        bench_text_digits(text, v, 4);
    }
    put(to, text);
}
