/* load.c - result files.  JSON holds a run whole; JSONL holds a row a line, each with the head of its run (everything
 * but rows, summary, peers and predictions), and all lines of a file must be of one run, since only then are they one
 * result. */
#include "report/view.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 64 << 20 };

static vka_status bad_json(const char *name, size_t line, const json_error_t *why, vka_error *err)
{
    if (line)
        vka_fail(err, VKA_E_INPUT, "'%s', line %zu: not a row of a bench result", name, line);
    else
        vka_fail(err, VKA_E_INPUT, "'%s' is not JSON", name);
    vka_error_why(err, "line %d, column %d: %s", line ? (int)line : why->line, why->column, why->text);
    return VKA_E_INPUT;
}

const char *const bench_head_keys[BENCH_HEAD_KEYS] = {"schema", "command", "vkanim",   "commit",
                                                      "date",   "device",  "settings", "roof"};

/* Moves the head out of a line.  The first line's becomes the result's; a later one must be the same. */
static vka_status take_head(json_t *line, const char *name, size_t number, json_t **out, vka_error *err)
{
    bool first = !*out;
    if (first && !(*out = json_pack("{s:[]}", "rows")))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; i < BENCH_HEAD_KEYS; i++) {
        const char *key = bench_head_keys[i];
        json_t *a = json_object_get(*out, key), *b = json_object_get(line, key);
        if (first) {
            if (b && json_object_set(*out, key, b) != 0)
                return vka_fail(err, VKA_E_MEMORY, "out of memory");
        } else if (a != b && (!a || !b || !json_equal(a, b))) {
            vka_fail(err, VKA_E_INPUT, "'%s', line %zu is of another run than the lines before it", name, number);
            vka_error_why(err, "'%s' differs", key);
            vka_error_hint(err, "give one file per run");
            return VKA_E_INPUT;
        }
        json_object_del(line, key);
    }
    return VKA_OK;
}

static vka_status parse_lines(const char *text, size_t size, const char *name, json_t **out, vka_error *err)
{
    const char *end = text + size;
    vka_status s = VKA_OK;
    size_t number = 0;
    for (const char *p = text; p < end && s == VKA_OK;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        number++;
        size_t blank = 0;
        while (p + blank < stop && (p[blank] == ' ' || p[blank] == '\t' || p[blank] == '\r'))
            blank++;
        if (p + blank < stop) {
            json_error_t why;
            json_t *line = json_loadb(p, (size_t)(stop - p), JSON_REJECT_DUPLICATES, &why);
            if (!line)
                s = bad_json(name, number, &why, err);
            else if (!json_object_get(line, "level"))
                s = vka_fail(err, VKA_E_INPUT, "'%s', line %zu: not a row of a bench result", name, number);
            else
                s = take_head(line, name, number, out, err);
            if (s == VKA_OK && json_array_append(json_object_get(*out, "rows"), line) != 0)
                s = vka_fail(err, VKA_E_MEMORY, "out of memory");
            json_decref(line);
        }
        p = stop < end ? stop + 1 : end;
    }
    return s;
}

vka_status bench_results_parse(const char *text, size_t size, const char *name, json_t **out, vka_error *err)
{
    json_error_t why;
    vka_status s = VKA_OK;
    *out = NULL;
    size_t blank = 0;
    while (blank < size && (text[blank] == ' ' || text[blank] == '\t' || text[blank] == '\r' || text[blank] == '\n'))
        blank++;
    if (blank == size)
        return vka_fail(err, VKA_E_INPUT, "'%s' is empty", name);
    json_t *whole = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (whole && (!json_object_get(whole, "level") || json_object_get(whole, "rows")))
        *out = whole;
    else {
        json_decref(whole);
        /* Whether the file was meant to be JSONL shows in its first line: that is a row by itself. */
        const char *newline = memchr(text, '\n', size);
        json_error_t ignored;
        json_t *first = json_loadb(text, newline ? (size_t)(newline - text) : size, 0, &ignored);
        bool lines = json_object_get(first, "level") && !json_object_get(first, "rows");
        json_decref(first);
        s = lines ? parse_lines(text, size, name, out, err) : bad_json(name, 0, &why, err);
    }
    if (s == VKA_OK)
        s = bench_check_results(*out, name, err);
    if (s != VKA_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return s;
}

vka_status bench_results_load(const char *path, json_t **out, vka_error *err)
{
    char *text;
    size_t size;
    *out = NULL;
    vka_status s = vka_read_file(path, MOST_BYTES, &text, &size, err);
    if (s == VKA_OK)
        s = bench_results_parse(text, size, path, out, err);
    free(text);
    return s;
}
