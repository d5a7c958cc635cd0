/* shards.c - see shards.h. */
#include "weights/shards.h"

#include "weights/config.h"
#include "weights/file.h"
#include "weights/json_reader.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 1000 };

/* A shard's name must stay in its folder. */
static bool is_plain_name(const char *s)
{
    return s && s[0] && !strchr(s, '/') && !strchr(s, '\\') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

vka_status vka_shards_read(json_t **map, json_t **files, const char *index_path, vka_error *err)
{
    *map = *files = NULL;
    json_t *json = vka_json_load(index_path, err);
    if (!json)
        return err && err->status != VKA_OK ? err->status : VKA_E_INPUT;
    json_t *names = json_object_get(json, "weight_map"), *shards = json_object();
    vka_status s = VKA_OK;
    if (!shards)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", index_path);
    else if (!json_is_object(names))
        s = vka_fail(err, VKA_E_INPUT, "'%s' has no weight_map", index_path);
    for (void *it = json_object_iter(names); s == VKA_OK && it; it = json_object_iter_next(names, it)) {
        const char *file = json_string_value(json_object_iter_value(it));
        if (!is_plain_name(file))
            s = vka_fail(err, VKA_E_INPUT, "'%s' names a shard that is not a plain file name", index_path);
        else if (!json_object_get(shards, file) && json_object_set_new(shards, file, json_true()) != 0)
            s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", index_path);
    }
    if (s == VKA_OK && json_object_size(shards) > MAX_SHARDS)
        s = vka_fail(err, VKA_E_INPUT, "'%s' names more than %d shards", index_path, (int)MAX_SHARDS);
    if (s == VKA_OK) {
        *map = json_incref(names);
        *files = shards;
    } else
        json_decref(shards);
    json_decref(json);
    return s;
}

static vka_status open_index(vka_shards *x, const char *path, vka_error *err)
{
    json_t *map, *files;
    vka_status s = vka_shards_read(&map, &files, path, err);
    if (s != VKA_OK)
        return s;
    int folder = (int)(vka_path_base(path) - path);
    x->files = vka_calloc(json_object_size(files) + 1, sizeof *x->files);
    if (!x->files)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    for (void *it = json_object_iter(files); s == VKA_OK && it; it = json_object_iter_next(files, it)) {
        char *file = vka_asprintf("%.*s%s", folder, path, json_object_iter_key(it));
        s = file ? vka_model_file_open(&x->files[x->file_count], file, err)
                 : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
        x->file_count += s == VKA_OK;
        free(file);
    }
    vka_missing missing = {0};
    for (void *it = json_object_iter(map); s == VKA_OK && it; it = json_object_iter_next(map, it)) {
        size_t f = 0;
        while (f < x->file_count && !vka_safetensors_find(&x->files[f], json_object_iter_key(it)))
            f++;
        if (f == x->file_count)
            vka_missing_add(&missing, json_object_iter_key(it));
    }
    if (s == VKA_OK)
        s = vka_missing_check(&missing, path, err);
    json_decref(map);
    json_decref(files);
    return s;
}

vka_status vka_shards_open(vka_shards *x, const char *path, vka_error *err)
{
    vka_status s;
    *x = (vka_shards){0};
    if (strcmp(vka_path_extension(path), ".json") == 0)
        s = open_index(x, path, err);
    else if (!(x->files = vka_calloc(1, sizeof *x->files)))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    else if ((s = vka_model_file_open(x->files, path, err)) == VKA_OK)
        x->file_count = 1;
    for (size_t f = 0; s == VKA_OK && f < x->file_count; f++)
        x->count += x->files[f].count;
    if (s == VKA_OK && !(x->tensors = vka_calloc(x->count + 1, sizeof *x->tensors)))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    for (size_t f = 0, at = 0; s == VKA_OK && f < x->file_count; at += x->files[f++].count)
        if (x->files[f].count)
            memcpy(x->tensors + at, x->files[f].tensors, x->files[f].count * sizeof *x->tensors);
    if (s != VKA_OK)
        vka_shards_close(x);
    return s;
}

void vka_shards_close(vka_shards *x)
{
    for (size_t f = 0; f < x->file_count; f++)
        vka_safetensors_close(&x->files[f]);
    free(x->files);
    free(x->tensors);
    *x = (vka_shards){0};
}
