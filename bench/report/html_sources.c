/* html_sources.c - who has a letter on the page, and what was measured under it.
 *
 * A run may hold the same rows on several kernel paths (a visit measures all that a device offers); each path of its
 * operators and clips has a letter of its own, the run's main path first.  Rows of a path that has no letter, such as a
 * text encoder in fp32, go with the run's first letter. */
#include "report/page.h"

#include "base/mem.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t bench_page_peers(const json_t *run)
{
    return json_array_size(json_object_get(run, "peers"));
}

/* A, B, .. Z, AA, AB, ... */
static void letter(size_t i, char out[8])
{
    char back[8];
    size_t n = 0, m = 0;
    for (i++; i && n < 6; i = (i - 1) / 26)
        back[n++] = (char)('A' + (i - 1) % 26);
    while (n)
        out[m++] = back[--n];
    out[m] = '\0';
}

static bool only_foretells(const json_t *run)
{
    bool foretold = false;
    for (size_t i = 0; i < bench_row_count(run); i++) {
        const json_t *row = bench_row(run, i);
        if (!isnan(bench_number(row, "ms.median")))
            return false;
        foretold = foretold || !isnan(bench_number(row, "predicted_ms"));
    }
    return foretold;
}

/* The source of the run with that path among [first, source_count), or SIZE_MAX. */
static size_t find_path(const bench_page *p, size_t run, const char *path)
{
    for (size_t i = 0; i < p->own_count; i++)
        if (p->sources[i].run_index == run && strcmp(p->sources[i].path, path) == 0)
            return i;
    return SIZE_MAX;
}

static void add_own(bench_page *p, size_t run, const char *path, bool first)
{
    letter(p->own_count, p->names[p->own_count]);
    p->sources[p->own_count++] = (bench_source){p->runs[run], run, path, first, NULL};
}

static void add_run(bench_page *p, size_t run)
{
    const char *main_path = bench_string(p->runs[run], "device.path");
    add_own(p, run, main_path ? main_path : "", true);
    for (size_t i = 0; i < bench_row_count(p->runs[run]); i++) {
        const json_t *row = bench_row(p->runs[run], i);
        const char *path = bench_row_path(p->runs[run], row);
        if ((bench_row_is(row, "op") || bench_row_is(row, "clip")) && *path && find_path(p, run, path) == SIZE_MAX)
            add_own(p, run, path, false);
    }
}

static void add_peers(bench_page *p, size_t run)
{
    size_t first = p->source_count, own = bench_page_source(p, run);
    for (size_t i = 0; i < bench_page_peers(p->runs[run]) && own != SIZE_MAX; i++) {
        const char *name = bench_string(json_array_get(json_object_get(p->runs[run], "peers"), i), "name");
        bool known = !name;
        for (size_t k = first; k < p->source_count && !known; k++)
            known = strcmp(p->sources[k].peer, name) == 0;
        if (known)
            continue;
        char name_of_run[4];
        bench_copy(name_of_run, sizeof name_of_run, p->names[own]);
        snprintf(p->names[p->source_count], sizeof *p->names, "%s%u", name_of_run,
                 (unsigned)(p->source_count - first + 1) % 1000);
        p->sources[p->source_count++] = (bench_source){p->runs[run], run, "", false, name};
    }
}

bool bench_page_open(bench_page *p)
{
    size_t most = p->run_count, foretold = 0;
    for (size_t r = 0; r < p->run_count; r++)
        most += bench_row_count(p->runs[r]) + bench_page_peers(p->runs[r]);
    p->foretold = vka_calloc(p->run_count, sizeof *p->foretold);
    p->sources = vka_calloc(most, sizeof *p->sources);
    p->names = vka_calloc(most, sizeof *p->names);
    if (!p->foretold || !p->sources || !p->names)
        return false;
    for (size_t r = 0; r < p->run_count; r++)
        foretold += p->foretold[r] = only_foretells(p->runs[r]);
    for (size_t r = 0; r < p->run_count; r++)
        if (!p->foretold[r] || foretold == p->run_count)
            add_run(p, r);
    p->source_count = p->own_count;
    for (size_t r = 0; r < p->run_count; r++)
        add_peers(p, r);
    return true;
}

void bench_page_close(bench_page *p)
{
    free(p->foretold);
    free(p->sources);
    free(p->names);
}

size_t bench_page_source(const bench_page *p, size_t run)
{
    for (size_t i = 0; i < p->own_count; i++)
        if (p->sources[i].run_index == run)
            return i;
    return SIZE_MAX;
}

static bool is_of(const bench_page *p, size_t source, const json_t *row)
{
    const bench_source *s = &p->sources[source];
    const char *path = bench_row_path(s->run, row);
    return strcmp(path, s->path) == 0 || (s->first && find_path(p, s->run_index, path) == SIZE_MAX);
}

const json_t *bench_page_clip(const bench_page *p, size_t source, const double size[3])
{
    const bench_source *s = &p->sources[source];
    const json_t *list = json_object_get(s->run, s->peer ? "peers" : "rows");
    double own[3];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        bool mine = s->peer ? bench_string(one, "name") && strcmp(bench_string(one, "name"), s->peer) == 0
                            : bench_row_is(one, "clip") && is_of(p, source, one);
        if (mine && bench_clip_size(one, own) && own[0] == size[0] && own[1] == size[1] && own[2] == size[2])
            return one;
    }
    return NULL;
}

static bool is_named(const json_t *row, const char *level, const char *name)
{
    const char *own = bench_string(row, "name");
    return bench_row_is(row, level) && own && strcmp(own, name) == 0;
}

const json_t *bench_page_row(const bench_page *p, size_t source, const char *level, const char *name)
{
    const json_t *run = p->sources[source].run;
    for (size_t i = 0; i < bench_row_count(run); i++)
        if (is_named(bench_row(run, i), level, name) && is_of(p, source, bench_row(run, i)))
            return bench_row(run, i);
    return NULL;
}

double bench_page_predicted(const bench_page *p, size_t source, const json_t *row)
{
    const char *level = bench_string(row, "level"), *name = bench_string(row, "name");
    double ms = bench_row_predicted(p->sources[source].run, row);
    for (size_t r = 0; r < p->run_count && isnan(ms) && level && name; r++)
        for (size_t i = 0; p->foretold[r] && i < bench_row_count(p->runs[r]) && isnan(ms); i++)
            if (is_named(bench_row(p->runs[r], i), level, name))
                ms = bench_row_predicted(p->runs[r], bench_row(p->runs[r], i));
    return ms;
}

bench_group *bench_page_names(bench_page *p, const char *level, size_t *count)
{
    size_t most = 0;
    for (size_t r = 0; r < p->run_count; r++)
        most += bench_row_count(p->runs[r]);
    bench_group *groups = vka_calloc(most + 1, sizeof *groups);
    *count = 0;
    p->short_of_memory = p->short_of_memory || !groups;
    for (size_t r = 0; groups && r < p->run_count; r++)
        for (size_t i = 0; i < bench_row_count(p->runs[r]) && bench_page_source(p, r) != SIZE_MAX; i++) {
            const json_t *row = bench_row(p->runs[r], i);
            const char *name = bench_string(row, "name");
            bool known = !name || !bench_row_is(row, level);
            for (size_t k = 0; k < *count && !known; k++)
                known = strcmp(groups[k].name, name) == 0;
            if (known)
                continue;
            double ms = bench_number(row, "ms.median"), times = bench_number(row, "count");
            groups[(*count)++] = (bench_group){.weight = ms > 0 ? -ms * (times > 0 ? times : 1) : 0, .name = name};
        }
    return groups;
}
