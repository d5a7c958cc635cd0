/* wildcards.c - see wildcards.h.  The generator is SplitMix64 (Steele, Lea and Flood 2014); a number below n is the upper half of
 * a product, which is even to one part in 2^32 / n. */
#include "text/wildcards.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "text/prompt.h"
#include "text/signs.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 16 << 20,  /* bytes of a file of lines */
    LINES_MAX = 1 << 20,  /* of all files that a name means */
    DRAWS_MAX = 2000,     /* for one prompt */
    NAME_MAX_BYTES = 256
};

struct drawer {
    const char *dir;
    uint64_t state;
    uint32_t draws;
    vka_error *err;
    vka_status status;
};

static uint32_t draw(struct drawer *d, uint32_t below)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * below >> 32);
}

static void fail_memory(struct drawer *d)
{
    if (d->status == VKA_OK)
        d->status = vka_fail(d->err, VKA_E_MEMORY, "out of memory");
}

/* ---- files of lines ----------------------------------------------------------------------------------------- */

struct lines {
    char **items;
    size_t count, capacity;
};

static void lines_free(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
}

static void read_lines(struct drawer *d, const char *path, struct lines *out)
{
    char *data;
    size_t size;
    vka_status st = vka_read_file(path, FILE_MAX, &data, &size, d->err);
    if (st != VKA_OK) {
        d->status = st;
        return;
    }
    char *p = data, *end = data + size;
    if (size >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    while (p < end && d->status == VKA_OK) {
        char *stop = memchr(p, '\n', (size_t)(end - p)), *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        while (p < stop && vka_sign_space(*p))
            p++;
        while (stop > p && vka_sign_space(stop[-1]))
            stop--;
        if (stop > p && *p != '#' && !memchr(p, '\0', (size_t)(stop - p))) {
            char **items = vka_grow(out->items, &out->capacity, out->count + 1, sizeof *items);
            out->items = items ? items : out->items;
            struct vka_text_buffer b = {0};
            if (items && vka_text_buffer_add(&b, p, (size_t)(stop - p)))
                items[out->count++] = b.text;
            else
                fail_memory(d);
            if (out->count > LINES_MAX)
                d->status = vka_fail(d->err, VKA_E_INPUT, "the wildcard files have more than %d lines", LINES_MAX);
        }
        p = next;
    }
    free(data);
}

/* Whether a name fits a pattern with '*'. */
static bool fits(const char *pattern, size_t n, const char *name, size_t m)
{
    size_t i = 0, k = 0, star = SIZE_MAX, from = 0;
    while (k < m) {
        if (i < n && pattern[i] == '*') {
            star = i++;
            from = k;
        } else if (i < n && pattern[i] == name[k]) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            k = ++from;
        } else
            return false;
    }
    while (i < n && pattern[i] == '*')
        i++;
    return i == n;
}

/* Lines of all files below `dir` that `pattern` names; sub-folders as in the pattern. */
static void collect(struct drawer *d, const char *dir, const char *pattern, struct lines *out)
{
    const char *slash = strchr(pattern, '/');
    size_t n = slash ? (size_t)(slash - pattern) : strlen(pattern), count;
    char **names = vka_folder_names(dir, &count);
    for (size_t i = 0; i < count; i++) {
        size_t m = strlen(names[i]);
        bool file = m > 4 && !strcmp(names[i] + m - 4, ".txt");
        if (d->status == VKA_OK && (slash || file) && fits(pattern, n, names[i], slash ? m : m - 4)) {
            char *path = vka_path_join(dir, names[i]);
            if (!path)
                fail_memory(d);
            else if (slash && vka_path_is_dir(path))
                collect(d, path, slash + 1, out);
            else if (!slash)
                read_lines(d, path, out);
            free(path);
        }
        free(names[i]);
    }
    free(names);
}

/* A name that leads out of the folder is none. */
static bool is_name(const char *name, size_t size)
{
    if (size == 0 || size > NAME_MAX_BYTES || name[0] == '/' || name[size - 1] == '/')
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == '\\' || strchr("{}|<>()[]:,", name[i]) ||
            (name[i] == '.' && (i == 0 || name[i - 1] == '/')) || (name[i] == '/' && name[i + 1] == '/'))
            return false;
    return true;
}

/* ---- texts -------------------------------------------------------------------------------------------------- */

static void resolve(struct drawer *d, const char *text, size_t size, uint32_t depth, struct vka_text_buffer *out);

static void add(struct drawer *d, struct vka_text_buffer *out, const char *text, size_t size)
{
    if (out->size + size > VKA_PROMPT_MAX)
        d->status = vka_fail(d->err, VKA_E_USAGE, "the wildcards make a prompt of more than the %d bytes that vkanim reads",
                             VKA_PROMPT_MAX);
    else if (!vka_text_buffer_add(out, text, size))
        fail_memory(d);
}

static bool may_draw(struct drawer *d, uint32_t depth)
{
    if (d->status == VKA_OK && (depth > VKA_WILDCARD_DEPTH || ++d->draws > DRAWS_MAX))
        d->status = vka_fail(d->err, VKA_E_USAGE, "the prompt's wildcards and choices lead to one another without end");
    return d->status == VKA_OK;
}

static void take_line(struct drawer *d, const char *name, size_t size, uint32_t depth, struct vka_text_buffer *out)
{
    struct lines lines = {0};
    char pattern[NAME_MAX_BYTES + 1];
    memcpy(pattern, name, size);
    pattern[size] = '\0';
    if (may_draw(d, depth))
        collect(d, d->dir, pattern, &lines);
    if (d->status == VKA_OK && lines.count == 0) {
        d->status = vka_fail(d->err, VKA_E_INPUT, "'%.300s' has no lines for the wildcard __%s__", d->dir, pattern);
        vka_error_hint(d->err, "a file %s.txt there with one choice to a line", pattern);
    }
    if (d->status == VKA_OK) {
        const char *line = lines.items[draw(d, (uint32_t)lines.count)];
        resolve(d, line, strlen(line), depth + 1, out);
    }
    lines_free(&lines);
}

/* The end of the choices that begin behind a '{', NULL when there is none. */
static const char *choices_end(const char *p, const char *end)
{
    for (uint32_t level = 0; p < end; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (*p == '{')
            level++;
        else if (*p == '}' && level-- == 0)
            return p;
    }
    return NULL;
}

/* The end of the choice at p. */
static const char *choice_end(const char *p, const char *end)
{
    uint32_t level = 0;
    for (; p < end && (*p != '|' || level); p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (*p == '{')
            level++;
        else if (*p == '}')
            level--;
    }
    return p;
}

/* "2::" in front of a choice: how often it counts, in thousandths. */
static uint32_t choice_share(const char **p, const char *end)
{
    const char *q = *p;
    double share;
    while (q < end && (vka_sign_digit(*q) || *q == '.'))
        q++;
    if (end - q > 1 && q[0] == ':' && q[1] == ':' && vka_sign_number(*p, q, &share) && share >= 0 && share <= 1000) {
        *p = q + 2;
        return (uint32_t)(share * 1000);
    }
    return 1000;
}

static void take_choice(struct drawer *d, const char *begin, const char *end, uint32_t depth, struct vka_text_buffer *out)
{
    uint64_t all = 0;
    if (!may_draw(d, depth))
        return;
    for (const char *p = begin, *stop;; p = stop + 1) {
        stop = choice_end(p, end);
        all += choice_share(&p, stop);
        if (stop == end)
            break;
    }
    uint32_t at = draw(d, all < UINT32_MAX ? (uint32_t)all : UINT32_MAX);
    for (const char *p = begin, *stop;; p = stop + 1) {
        stop = choice_end(p, end);
        uint32_t share = choice_share(&p, stop);
        if (at < share || stop == end) {
            resolve(d, p, (size_t)(stop - p), depth + 1, out);
            return;
        }
        at -= share;
    }
}

static void resolve(struct drawer *d, const char *text, size_t size, uint32_t depth, struct vka_text_buffer *out)
{
    const char *p = text, *end = text + size;
    bool braces = true, names = true; /* there may be more that are closed */
    while (p < end && d->status == VKA_OK) {
        const char *close = NULL;
        if (*p == '{' && braces) {
            close = choices_end(p + 1, end);
            braces = close != NULL;
            if (close)
                take_choice(d, p + 1, close, depth, out);
        } else if (*p == '_' && names && end - p > 4 && p[1] == '_') {
            const char *q = p + 2;
            while (q + 1 < end && !(q[0] == '_' && q[1] == '_'))
                q++;
            if (q + 1 >= end)
                names = false;
            else if (is_name(p + 2, (size_t)(q - p - 2))) {
                close = q + 1;
                take_line(d, p + 2, (size_t)(q - p - 2), depth, out);
            }
        }
        if (close)
            p = close + 1;
        else {
            size_t n = *p == '\\' && p + 1 < end ? 2 : 1;
            while (p + n < end && n < 4096 && !strchr("{_\\", p[n]))
                n++;
            add(d, out, p, n);
            p += n;
        }
    }
}

vka_status vka_wildcards_resolve(const char *dir, const char *text, uint64_t seed, uint32_t stream, char **out, vka_error *err)
{
    struct drawer d = {.dir = dir, .state = seed + (uint64_t)stream * 0xd1342543de82ef95u, .err = err};
    struct vka_text_buffer b = {0};
    *out = NULL;
    if (!vka_path_is_dir(dir))
        return vka_fail(err, VKA_E_INPUT, "there is no folder '%.300s' for wildcards", dir);
    add(&d, &b, "", 0);
    resolve(&d, text, strlen(text), 0, &b);
    if (d.status == VKA_OK)
        *out = b.text;
    else
        free(b.text);
    return d.status;
}
