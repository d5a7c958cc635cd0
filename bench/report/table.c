/* table.c - the table of bench/README.md, made from the result files in a folder.
 *
 * A line per run and clip that counts: void rows have no place there.  Lines are sorted by
 * device, path, size of the clip and date, so that the table does not depend on the files' names or their order on
 * disk. */
#define _POSIX_C_SOURCE 200809L /* opendir, lstat */
#include "report/view.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_DEPTH = 4, MOST_README = 4 << 20 };

typedef struct entry {
    const json_t *run, *row;
    double size[3];
} entry;

static int text_order(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "");
}

static int by_place(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    int o = text_order(bench_string(a->run, "device.name"), bench_string(b->run, "device.name"));
    o = o ? o : text_order(bench_row_path(a->run, a->row), bench_row_path(b->run, b->row));
    double u = a->size[0] * a->size[1] * a->size[2], v = b->size[0] * b->size[1] * b->size[2];
    o = o ? o : (u > v) - (u < v);
    for (int i = 0; i < 3 && !o; i++)
        o = (a->size[i] > b->size[i]) - (a->size[i] < b->size[i]);
    o = o ? o : text_order(bench_string(a->run, "date"), bench_string(b->run, "date"));
    return o ? o : text_order(bench_string(a->run, "commit"), bench_string(b->run, "commit"));
}

static void put_cell(FILE *to, const char *text)
{
    bench_put_markdown(to, text);
    fputs(" | ", to);
}

static void write_entry(const entry *e, FILE *to)
{
    char number[2 * BENCH_TEXT];
    const char *date = bench_string_or(e->run, "date"), *commit = bench_string_or(e->run, "commit");
    double share = bench_number(e->row, "roof_share"), roof = bench_number(e->run, "roof.tflops");
    fputs("| ", to);
    put_cell(to, bench_string_or(e->run, "device.name"));
    put_cell(to, bench_string_or(e->run, "device.driver"));
    put_cell(to, *bench_row_path(e->run, e->row) ? bench_row_path(e->run, e->row) : "not known");
    fprintf(to, "%.0f x %.0f, %.0f frame%s, ", e->size[0], e->size[1], e->size[2], e->size[2] > 1 ? "s" : "");
    put_cell(to, bench_string(e->run, "settings.model") ? bench_string(e->run, "settings.model") : "model not known");
    bench_text_s_per_it(number, e->row);
    put_cell(to, number);
    bench_text_bytes(number, bench_number(e->row, "peak_bytes"));
    put_cell(to, number);
    bench_text_share(number, share);
    fputs(number, to);
    if (!isnan(share) && roof > 0) {
        bench_text_digits(number, roof, 3);
        fprintf(to, " of %s TFLOP/s", number);
    }
    fputs(" | ", to);
    bench_copy(number, 13, commit); /* the head of a hash, and of a date the day */
    put_cell(to, strcmp(commit, "not known") == 0 ? commit : number);
    bench_copy(number, strchr(date, 'T') ? 11 : 2 * BENCH_TEXT, date);
    bench_put_markdown(to, number);
    fputs(" |\n", to);
}

vka_status bench_results_table(const json_t *const *results, size_t count, FILE *to, vka_error *err)
{
    size_t most = 0, n = 0;
    for (size_t r = 0; r < count; r++) {
        vka_status s = bench_check_results(results[r], "the run", err);
        if (s != VKA_OK)
            return s;
        most += bench_row_count(results[r]);
    }
    entry *entries = vka_calloc(most + 1, sizeof *entries);
    if (!entries)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < bench_row_count(results[r]); i++) {
            entry e = {.run = results[r], .row = bench_row(results[r], i)};
            if (bench_row_is(e.row, "clip") && !bench_void_reason(e.row) && bench_clip_size(e.row, e.size) &&
                bench_number(e.row, "s_per_it") > 0)
                entries[n++] = e;
        }
    if (n)
        qsort(entries, n, sizeof *entries, by_place);
    if (n)
        fputs("| device | driver | path | clip | s/it | peak VRAM | of the roof R | commit | date |\n"
              "|---|---|---|---|---:|---:|---:|---|---|\n",
              to);
    else
        fputs("No clips have been measured yet.\n", to);
    for (size_t i = 0; i < n; i++)
        write_entry(&entries[i], to);
    free(entries);
    return bench_finish(to, err);
}

/* ---- the folder -------------------------------------------------------------------------------------- */

typedef struct runs {
    json_t **list;
    size_t count, capacity;
} runs;

static vka_status add_file(runs *all, const char *path, vka_error *err)
{
    char *data;
    size_t size;
    json_error_t why;
    vka_status s = vka_read_file(path, 64u << 20, &data, &size, err);
    if (s != VKA_OK)
        return s;
    /* The folder also holds what other measurements wrote; a file that says it is of bench must be one. */
    json_t *peek = json_loadb(data, size, 0, &why), *run = NULL;
    const char *command = bench_string(peek, "command");
    bool other = peek && !(command && strcmp(command, "bench") == 0);
    json_decref(peek);
    if (!other)
        s = bench_results_parse(data, size, path, &run, err);
    free(data);
    if (s != VKA_OK || !run)
        return s;
    json_t **list = vka_grow(all->list, &all->capacity, all->count + 1, sizeof *list);
    if (!list) {
        json_decref(run);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    all->list = list;
    all->list[all->count++] = run;
    return VKA_OK;
}

static vka_status add_folder(runs *all, const char *folder, unsigned depth, vka_error *err)
{
    DIR *dir = opendir(folder);
    vka_status s = VKA_OK;
    if (!dir) {
        vka_fail(err, VKA_E_INPUT, "cannot open the folder '%s'", folder);
        vka_error_why(err, "%s", strerror(errno));
        return VKA_E_INPUT;
    }
    for (struct dirent *e; s == VKA_OK && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        char *path = vka_path_join(folder, e->d_name);
        if (!path)
            s = vka_fail(err, VKA_E_MEMORY, "out of memory");
        else if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && depth < MOST_DEPTH)
            s = add_folder(all, path, depth + 1, err);
        else if (strcmp(vka_path_extension(path), ".json") == 0)
            s = add_file(all, path, err);
        free(path);
    }
    closedir(dir);
    return s;
}

/* ---- the README -------------------------------------------------------------------------------------- */

/* The marker where it stands alone on its line, NULL when it does not or more than once; *next is behind that line. */
static const char *find_marker(const char *text, const char *marker, const char **next)
{
    const char *found = NULL;
    size_t n = strlen(marker);
    for (const char *p = text; (p = strstr(p, marker)) != NULL; p += n) {
        if ((p > text && p[-1] != '\n') || (p[n] && p[n] != '\n'))
            continue;
        if (found)
            return NULL;
        found = p;
        *next = p + n + (p[n] == '\n');
    }
    return found;
}

static vka_status write_readme(const char *readme, const char *text, size_t size, const runs *all, vka_error *err)
{
    const char *table = NULL, *rest = NULL;
    const char *begin = find_marker(text, BENCH_README_BEGIN, &table),
               *end = find_marker(text, BENCH_README_END, &rest);
    vka_outfile out;
    if (!begin || !end || end < table) {
        vka_fail(err, VKA_E_INPUT, "'%s' has no place for the table", readme);
        vka_error_why(err, "it needs the lines '%s' and '%s', each once, in this order", BENCH_README_BEGIN,
                      BENCH_README_END);
        return VKA_E_INPUT;
    }
    vka_status s = vka_out_open(&out, readme, err);
    if (s != VKA_OK)
        return s;
    s = vka_out_write(&out, text, (size_t)(table - text), err);
    if (s == VKA_OK && fputs("\n", out.file) >= 0)
        s = bench_results_table((const json_t *const *)all->list, all->count, out.file, err);
    if (s == VKA_OK && fputs("\n", out.file) >= 0)
        s = vka_out_write(&out, end, size - (size_t)(end - text), err);
    if (s == VKA_OK && ferror(out.file))
        s = vka_fail(err, VKA_E_OUTPUT, "cannot write '%s'", readme);
    if (s == VKA_OK)
        return vka_out_commit(&out, err);
    vka_out_abandon(&out);
    return s;
}

vka_status bench_readme_update(const char *readme, const char *folder, vka_error *err)
{
    runs all = {0};
    char *text = NULL;
    size_t size = 0;
    vka_status s = vka_read_file(readme, MOST_README, &text, &size, err);
    if (s == VKA_OK)
        s = add_folder(&all, folder, 0, err);
    if (s == VKA_OK && strlen(text) != size)
        s = vka_fail(err, VKA_E_INPUT, "'%s' is not a text file", readme);
    if (s == VKA_OK)
        s = write_readme(readme, text, size, &all, err);
    for (size_t i = 0; i < all.count; i++)
        json_decref(all.list[i]);
    free(all.list);
    free(text);
    return s;
}
