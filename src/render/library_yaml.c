/* library_yaml.c - ComfyUI's extra_model_paths.yaml: a mapping of sections, each a mapping of keys to text.
 *
 *     comfyui:
 *         base_path: ~/ComfyUI
 *         is_default: true
 *         checkpoints: models/checkpoints/
 *         loras: |
 *             models/loras
 *             models/LyCORIS
 *
 * Read as libyaml's events, so that nothing is built that a hostile file could blow up: aliases are refused. */
#include "base/file.h"
#include "base/mem.h"
#include "render/library.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST_PATHS = 256, MOST_EVENTS = 100000 };

struct reader {
    struct vka_model_paths *paths;
    const char *dir, *home;
    char *base;      /* base_path of the section */
    size_t begun;    /* paths before the section */
    bool is_default; /* of the section */
    bool failed;     /* memory */
};

/* `path` below `base`, unless it begins at the root or at home. */
static char *below(const struct reader *r, const char *base, const char *path, size_t length)
{
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length && *path == '/')
        return vka_asprintf("%.*s", (int)length, path);
    if (length && *path == '~' && r->home && (length == 1 || path[1] == '/'))
        return vka_asprintf("%s%.*s", r->home, (int)length - 1, path + 1);
    if (length >= 2 && path[0] == '.' && path[1] == '/')
        path += 2, length -= 2;
    return length ? vka_asprintf("%s/%.*s", base, (int)length, path) : vka_strdup(base);
}

static void add_path(struct reader *r, enum vka_library_kind kind, const char *text, size_t length)
{
    struct vka_model_paths *p = r->paths;
    if (p->count >= MOST_PATHS)
        return;
    struct vka_model_path *items = vka_grow(p->items, &p->capacity, p->count + 1, sizeof *items);
    char *path = items ? vka_asprintf("%.*s", (int)length, text) : NULL;
    if (items)
        p->items = items;
    if (path)
        items[p->count++] = (struct vka_model_path){path, kind, false};
    else
        r->failed = true;
}

/* One key of a section: base_path and is_default count for all of it, wherever they stand. */
static void take_pair(struct reader *r, const char *key, const char *value)
{
    bool skip;
    if (strcmp(key, "base_path") == 0) {
        free(r->base);
        r->base = below(r, r->dir, value, strlen(value));
        r->failed = r->failed || !r->base;
        return;
    }
    if (strcmp(key, "is_default") == 0) {
        r->is_default = strcmp(value, "true") == 0 || strcmp(value, "True") == 0 || strcmp(value, "yes") == 0;
        return;
    }
    enum vka_library_kind kind = vka_library_folder_kind(key, &skip);
    for (const char *line = value; kind != VKA_LIBRARY_ANY && *line;) {
        size_t n = strcspn(line, "\n"), from = strspn(line, " \t"), to = n;
        while (to > from && strchr(" \t\r", line[to - 1]))
            to--;
        if (from < to)
            add_path(r, kind, line + from, to - from);
        line += n + (line[n] == '\n');
    }
}

static void end_section(struct reader *r)
{
    for (size_t i = r->begun; i < r->paths->count; i++) {
        struct vka_model_path *p = &r->paths->items[i];
        char *full = below(r, r->base ? r->base : r->dir, p->path, strlen(p->path));
        r->failed = r->failed || !full;
        if (full) {
            free(p->path);
            p->path = full;
        }
        p->first = r->is_default;
    }
    r->begun = r->paths->count;
    free(r->base);
    r->base = NULL;
    r->is_default = false;
}

static vka_status bad_form(const yaml_event_t *event, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "it is not sections of names and folders");
    vka_error_why(err, "line %zu", event->start_mark.line + 1);
    return VKA_E_INPUT;
}

/* `depth` counts mappings that are open: 1 the document's, 2 a section's.  Lists of texts stand for lines. */
static vka_status read_events(struct reader *r, yaml_parser_t *parser, vka_error *err)
{
    int depth = 0, list = 0;
    char *key = NULL;
    vka_status st = VKA_OK;
    for (int events = 0, done = 0; !done && st == VKA_OK && !r->failed; events++) {
        yaml_event_t e;
        if (!yaml_parser_parse(parser, &e)) {
            if (parser->error == YAML_MEMORY_ERROR)
                r->failed = true;
            else {
                st = vka_fail(err, VKA_E_INPUT, "it is not YAML");
                vka_error_why(err, "line %zu: %s", parser->problem_mark.line + 1, parser->problem ? parser->problem : "");
            }
            break;
        }
        const char *text = e.type == YAML_SCALAR_EVENT ? (const char *)e.data.scalar.value : NULL;
        if (e.type == YAML_ALIAS_EVENT || events > MOST_EVENTS ||
            (text && strlen(text) != e.data.scalar.length)) /* a NUL inside */
            st = bad_form(&e, err);
        else if (e.type == YAML_MAPPING_START_EVENT) {
            depth++;
            if (list || depth > 2 || (depth == 2 && !key))
                st = bad_form(&e, err);
            free(key);
            key = NULL;
        } else if (e.type == YAML_MAPPING_END_EVENT) {
            if (depth-- == 2)
                end_section(r);
        } else if (e.type == YAML_SEQUENCE_START_EVENT) {
            list++;
            if (depth != 2 || !key || list > 1)
                st = bad_form(&e, err);
        } else if (e.type == YAML_SEQUENCE_END_EVENT) {
            list--;
            free(key);
            key = NULL;
        } else if (text && depth == 0) { /* an empty document is an empty text */
            if (*text)
                st = bad_form(&e, err);
        } else if (text && !key) {
            key = vka_strdup(text);
            r->failed = r->failed || !key;
        } else if (text) {
            if (depth == 2)
                take_pair(r, key, text);
            if (!list) {
                free(key);
                key = NULL;
            }
        }
        done = e.type == YAML_STREAM_END_EVENT || e.type == YAML_NO_EVENT;
        yaml_event_delete(&e);
    }
    free(key);
    return st;
}

vka_status vka_model_paths_read(struct vka_model_paths *paths, const char *text, size_t size, const char *dir,
                                const char *home, vka_error *err)
{
    *paths = (struct vka_model_paths){0};
    struct reader r = {.paths = paths, .dir = dir, .home = home};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    vka_status st = read_events(&r, &parser, err);
    yaml_parser_delete(&parser);
    free(r.base);
    if (r.failed)
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st != VKA_OK)
        vka_model_paths_free(paths);
    return st;
}

void vka_model_paths_free(struct vka_model_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        free(paths->items[i].path);
    free(paths->items);
    *paths = (struct vka_model_paths){0};
}
