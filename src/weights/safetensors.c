/* safetensors.c - the reader; see safetensors.h for the rules it enforces.
 *
 * The header goes through jansson (UTF-8 checked, duplicate keys refused).  Before that a scan counts its commas and
 * brackets, so that a crafted header of 100 MB cannot become gigabytes of JSON nodes.  After the checks every tensor's
 * [data, data + bytes) lies inside the mapped bytes. */
#include "weights/safetensors.h"

#include "weights/foreign.h"
#include "weights/json_reader.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A tensor needs three keys, up to eight dims and two offsets: 13 commas or brackets, two more for itself. */
#define MAX_NODES (VKA_SAFETENSORS_MAX_TENSORS * 20u)

static uint64_t read_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* The file is not a safetensors file: says what it is instead. */
static vka_status not_safetensors(const uint8_t *p, size_t n, const char *path, vka_error *err)
{
    if (n > 8 && p[8] == '{' && read_u64(p) > VKA_SAFETENSORS_MAX_HEADER && read_u64(p) >> 40 == 0)
        return vka_fail(err, VKA_E_INPUT, "'%s' claims a header of %" PRIu64 " bytes (at most %u are allowed)", path,
                        read_u64(p), VKA_SAFETENSORS_MAX_HEADER);
    if (n > 0 && n < 10 && p[0] < 9)
        return vka_fail(err, VKA_E_INPUT, "'%s' is truncated: it has only %zu bytes", path, n);
    return vka_refuse_foreign(p, n, "a safetensors file", path, err);
}

static bool too_many_nodes(const uint8_t *p, size_t n)
{
    size_t nodes = 0;
    for (size_t i = 0; i < n; i++)
        nodes += p[i] == ',' || p[i] == '[' || p[i] == '{';
    return nodes > MAX_NODES;
}

static bool is_size(const json_t *j)
{
    return json_is_integer(j) && json_integer_value(j) >= 0;
}

/* One tensor's entry: everything but the order of the ranges, which needs all of them. */
static vka_status read_tensor(vka_weight *t, const char *name, const json_t *entry, const uint8_t *data, uint64_t size,
                              const char *path, vka_error *err)
{
    size_t length = strlen(name);
    if (length == 0 || length > VKA_SAFETENSORS_MAX_NAME)
        return vka_fail(err, VKA_E_INPUT, "'%s' has a tensor whose name is %zu bytes long (1 to %u are allowed)", path,
                        length, VKA_SAFETENSORS_MAX_NAME);
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)name[i] < 32 || name[i] == 127)
            return vka_fail(err, VKA_E_INPUT, "'%s' has a tensor with a control character in its name", path);
    const json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape"),
                 *range = json_object_get(entry, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(range) || json_array_size(range) != 2)
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' lacks its dtype, shape or data_offsets", path, name);
    if (!vka_dtype_parse(json_string_value(dtype), &t->dtype))
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' has the unknown dtype '%.20s'", path, name,
                        json_string_value(dtype));
    if (json_array_size(shape) > VKA_WEIGHT_MAX_RANK)
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' has %zu dimensions (at most %d are allowed)", path,
                        name, json_array_size(shape), VKA_WEIGHT_MAX_RANK);
    uint64_t bytes = vka_dtype_size(t->dtype);
    t->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < t->rank; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!is_size(d))
            return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' has a dimension that is not a whole number", path,
                            name);
        t->dims[i] = (uint64_t)json_integer_value(d);
        if (!vka_mul_u64(bytes, t->dims[i], &bytes))
            return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' is impossibly large", path, name);
    }
    const json_t *b = json_array_get(range, 0), *e = json_array_get(range, 1);
    if (!is_size(b) || !is_size(e))
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' has data_offsets that are not whole numbers", path,
                        name);
    uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(e);
    if (begin > end)
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' ends before it begins", path, name);
    if (end - begin != bytes)
        return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' has %" PRIu64 " bytes, but its shape needs %" PRIu64,
                        path, name, end - begin, bytes);
    if (end > size) {
        vka_fail(err, VKA_E_INPUT, "'%s' is truncated", path);
        vka_error_why(err, "tensor '%.160s' ends at byte %" PRIu64 " of the data, the file has %" PRIu64, name, end,
                      size);
        vka_error_hint(err, "fetch or copy the file again");
        return VKA_E_INPUT;
    }
    t->data = data + begin;
    t->bytes = bytes;
    return VKA_OK;
}

static int by_range(const void *a, const void *b)
{
    const vka_weight *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->bytes != y->bytes) /* an empty tensor comes before the one that begins where it lies */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static vka_status check_ranges(const vka_safetensors *st, const uint8_t *data, uint64_t size, vka_error *err)
{
    const uint8_t *next = data;
    for (size_t i = 0; i < st->count; i++) {
        const uint8_t *at = st->tensors[i].data;
        if (at < next)
            return vka_fail(err, VKA_E_INPUT, "'%s': tensor '%.160s' overlaps another", st->path, st->tensors[i].name);
        if (at > next)
            return vka_fail(err, VKA_E_INPUT, "'%s' has %zu unused bytes before tensor '%.160s'", st->path,
                            (size_t)(at - next), st->tensors[i].name);
        next = at + st->tensors[i].bytes;
    }
    if ((uint64_t)(next - data) != size)
        return vka_fail(err, VKA_E_INPUT, "'%s' goes on behind its last tensor (bytes: %" PRIu64 ")", st->path,
                        size - (uint64_t)(next - data));
    return VKA_OK;
}

static vka_status read_metadata(vka_safetensors *st, const json_t *meta, vka_error *err)
{
    if (!json_is_object(meta))
        return vka_fail(err, VKA_E_INPUT, "'%s': __metadata__ is not a JSON object", st->path);
    size_t n = json_object_size(meta);
    st->metadata = vka_arena_alloc(&st->arena, (n + 1) * sizeof *st->metadata);
    if (!st->metadata)
        return VKA_E_MEMORY;
    for (void *it = json_object_iter((json_t *)(uintptr_t)meta); it; /* jansson's iterators want it non-const */
         it = json_object_iter_next((json_t *)(uintptr_t)meta, it)) {
        const char *value = json_string_value(json_object_iter_value(it));
        if (!value)
            return vka_fail(err, VKA_E_INPUT, "'%s': __metadata__ has a value that is not a string", st->path);
        const char **pair = st->metadata[st->metadata_count++];
        pair[0] = vka_arena_strdup(&st->arena, json_object_iter_key(it));
        pair[1] = vka_arena_strdup(&st->arena, value);
        if (!pair[0] || !pair[1])
            return VKA_E_MEMORY;
    }
    return VKA_OK;
}

static vka_status read_header(vka_safetensors *st, json_t *header, const uint8_t *data, uint64_t size, vka_error *err)
{
    size_t n = json_object_size(header);
    const json_t *meta = json_object_get(header, "__metadata__");
    if (meta) {
        vka_status s = read_metadata(st, meta, err);
        if (s != VKA_OK)
            return s;
        n--;
    }
    if (n > VKA_SAFETENSORS_MAX_TENSORS)
        return vka_fail(err, VKA_E_INPUT, "'%s' has %zu tensors (at most %u are allowed)", st->path, n,
                        VKA_SAFETENSORS_MAX_TENSORS);
    st->tensors = vka_arena_alloc(&st->arena, (n + 1) * sizeof *st->tensors);
    if (!st->tensors)
        return VKA_E_MEMORY;
    for (void *it = json_object_iter(header); it; it = json_object_iter_next(header, it)) {
        const json_t *entry = json_object_iter_value(it);
        if (entry == meta)
            continue;
        vka_weight *t = &st->tensors[st->count];
        vka_status s = read_tensor(t, json_object_iter_key(it), entry, data, size, st->path, err);
        if (s != VKA_OK)
            return s;
        t->name = vka_arena_strdup(&st->arena, json_object_iter_key(it));
        if (!t->name)
            return VKA_E_MEMORY;
        st->count++;
    }
    if (st->count)
        qsort(st->tensors, st->count, sizeof *st->tensors, by_range);
    const char *twice; /* cannot be: JSON keys are checked to differ */
    vka_status s = vka_name_index_build(&st->index, &st->arena, st->tensors, st->count, &twice);
    return s != VKA_OK ? s : check_ranges(st, data, size, err);
}

vka_status vka_safetensors_parse(vka_safetensors *st, const void *bytes, size_t size, const char *path, vka_error *err)
{
    const uint8_t *p = bytes;
    *st = (vka_safetensors){.path = vka_strdup(path)};
    if (!st->path)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status s = VKA_OK;
    uint64_t length = size >= 8 ? read_u64(p) : 0;
    if (size < 10 || length < 2 || length > VKA_SAFETENSORS_MAX_HEADER || p[8] != '{') {
        s = not_safetensors(p, size, path, err);
    } else if (length > size - 8) {
        s = vka_fail(err, VKA_E_INPUT, "'%s' is truncated", path);
        vka_error_why(err, "its header has %" PRIu64 " bytes, the whole file %zu", length, size);
        vka_error_hint(err, "fetch or copy the file again");
    } else if (too_many_nodes(p + 8, (size_t)length)) {
        s = vka_fail(err, VKA_E_INPUT, "the header of '%s' has too many entries", path);
    } else {
        json_error_t je;
        json_t *header = json_loadb((const char *)p + 8, (size_t)length, JSON_REJECT_DUPLICATES, &je);
        if (!header) {
            bool twice = json_error_code(&je) == json_error_duplicate_key;
            s = vka_json_no_memory(&je) ? vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path)
                : twice ? vka_fail(err, VKA_E_INPUT, "the header of '%s' has the same name twice", path)
                      : vka_fail(err, VKA_E_INPUT, "the header of '%s' is damaged: it is not valid JSON", path);
            vka_error_why(err, "byte %d of the header: %s", je.position, je.text);
        } else {
            s = read_header(st, header, p + 8 + length, size - 8 - length, err);
            if (s == VKA_E_MEMORY)
                vka_fail(err, s, "out of memory reading '%s'", path);
        }
        json_decref(header);
    }
    if (s != VKA_OK)
        vka_safetensors_close(st);
    return s;
}

vka_status vka_safetensors_open(vka_safetensors *st, const char *path, vka_error *err)
{
    vka_map map;
    *st = (vka_safetensors){0};
    vka_status s = vka_map_open(&map, path, err);
    if (s != VKA_OK)
        return s;
    s = vka_safetensors_parse(st, map.data, map.size, path, err);
    if (s != VKA_OK)
        vka_map_close(&map);
    else
        st->map = map;
    return s;
}

void vka_safetensors_close(vka_safetensors *st)
{
    vka_arena_free(&st->arena);
    vka_map_close(&st->map);
    free(st->path);
    *st = (vka_safetensors){0};
}

const vka_weight *vka_safetensors_find(const vka_safetensors *st, const char *name)
{
    uint32_t i = vka_name_index_find(&st->index, name);
    return i == VKA_NAME_NONE ? NULL : &st->tensors[i];
}

const char *vka_safetensors_metadata(const vka_safetensors *st, const char *key)
{
    for (size_t i = 0; i < st->metadata_count; i++)
        if (strcmp(st->metadata[i][0], key) == 0)
            return st->metadata[i][1];
    return NULL;
}
