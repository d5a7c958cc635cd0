/* table.c - see table.h.
 *
 * A table owns copies of its names; the tensors' bytes belong to whoever opened the file. */
#include "weights/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vka_weights {
    char *title;
    vka_arena arena;
    vka_weight *items;
    bool *used;
    size_t count, capacity;
    vka_name_index index;
};

uint64_t vka_weight_count(const vka_weight *w)
{
    uint64_t n = 1; /* readers have checked that it does not overflow */
    for (uint32_t i = 0; i < w->rank; i++)
        n *= w->dims[i];
    return n;
}

void vka_weight_to_f32(const vka_weight *w, uint64_t first, uint64_t count, float *out)
{
    vka_dtype_to_f32(out, (const char *)w->data + first * vka_dtype_size(w->dtype), w->dtype, (size_t)count);
    vka_dtype_scale(out, w->scales, w->scale_run, first, count);
}

bool vka_weight_shape_is(const vka_weight *w, uint32_t rank, const int64_t *dims)
{
    if (w->rank != rank)
        return false;
    for (uint32_t i = 0; i < rank; i++)
        if (dims[i] >= 0 && (uint64_t)dims[i] != w->dims[i])
            return false;
    return true;
}

void vka_weight_shape_text(const vka_weight *w, char *buf, size_t cap)
{
    size_t n = 0;
    int r = snprintf(buf, cap, "[");
    for (uint32_t i = 0; i < w->rank && r >= 0 && (n += (size_t)r) < cap; i++)
        r = snprintf(buf + n, cap - n, "%s%" PRIu64, i ? ", " : "", w->dims[i]);
    if (w->rank == 0)
        n = 1;
    else if (r >= 0)
        n = strlen(buf);
    if (n + 1 < cap)
        snprintf(buf + n, cap - n, "]");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vka_name_entry *)a)->name, ((const vka_name_entry *)b)->name);
}

vka_status vka_name_index_build(vka_name_index *ix, vka_arena *arena, const vka_weight *items, size_t count,
                                const char **duplicate)
{
    *duplicate = NULL;
    if (count >= VKA_NAME_NONE)
        return VKA_E_MEMORY;
    ix->entries = vka_arena_alloc(arena, (count + 1) * sizeof *ix->entries);
    if (!ix->entries)
        return VKA_E_MEMORY;
    ix->count = count;
    for (size_t i = 0; i < count; i++)
        ix->entries[i] = (vka_name_entry){items[i].name, (uint32_t)i};
    if (count)
        qsort(ix->entries, count, sizeof *ix->entries, by_name);
    for (size_t i = 1; i < count; i++)
        if (by_name(&ix->entries[i - 1], &ix->entries[i]) == 0) {
            *duplicate = ix->entries[i].name;
            return VKA_E_INPUT;
        }
    return VKA_OK;
}

uint32_t vka_name_index_find(const vka_name_index *ix, const char *name)
{
    size_t lo = 0, hi = ix->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(ix->entries[mid].name, name);
        if (order == 0)
            return ix->entries[mid].position;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return VKA_NAME_NONE;
}

vka_weights *vka_weights_new(const char *title)
{
    vka_weights *w = vka_calloc(1, sizeof *w);
    if (w && !(w->title = vka_strdup(title))) {
        free(w);
        return NULL;
    }
    return w;
}

bool vka_weights_add(vka_weights *w, const char *name, const vka_weight *source)
{
    vka_weight *items = vka_grow(w->items, &w->capacity, w->count + 1, sizeof *items);
    if (!items)
        return false;
    w->items = items;
    char *copy = vka_arena_strdup(&w->arena, name);
    if (!copy)
        return false;
    items[w->count] = *source;
    items[w->count].name = copy;
    items[w->count].source = strcmp(name, source->name) == 0 ? NULL : source->name;
    w->count++;
    return true;
}

vka_status vka_weights_finish(vka_weights *w, vka_error *err)
{
    const char *twice;
    w->used = vka_arena_alloc(&w->arena, (w->count + 1) * sizeof *w->used);
    vka_status s = vka_name_index_build(&w->index, &w->arena, w->items, w->count, &twice);
    if (s == VKA_E_MEMORY || !w->used)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading %s", w->title);
    if (s != VKA_OK)
        return vka_fail(err, s, "%s has two tensors for the name '%s'", w->title, twice);
    return VKA_OK;
}

void vka_weights_free(vka_weights *w)
{
    if (!w)
        return;
    vka_arena_free(&w->arena);
    free(w->items);
    free(w->title);
    free(w);
}

const vka_weight *vka_weights_find(const vka_weights *w, const char *name)
{
    uint32_t i = vka_name_index_find(&w->index, name);
    return i == VKA_NAME_NONE ? NULL : &w->items[i];
}

const vka_weight *vka_weights_findf(const vka_weights *w, const char *fmt, ...)
{
    char name[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return vka_weights_find(w, name);
}

const vka_weight *vka_weights_use(vka_weights *w, const char *name)
{
    uint32_t i = vka_name_index_find(&w->index, name);
    if (i == VKA_NAME_NONE)
        return NULL;
    w->used[i] = true;
    return &w->items[i];
}

size_t vka_weights_count(const vka_weights *w)
{
    return w->count;
}
const vka_weight *vka_weights_at(const vka_weights *w, size_t i)
{
    return &w->items[i];
}
bool vka_weights_is_used(const vka_weights *w, size_t i)
{
    return w->used[i];
}
const char *vka_weights_title(const vka_weights *w)
{
    return w->title;
}

size_t vka_weights_unused(const vka_weights *w, const char **names, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++)
        if (!w->used[i]) {
            if (n < cap)
                names[n] = w->items[i].name;
            n++;
        }
    return n;
}

void vka_weights_reset_used(vka_weights *w)
{
    if (w->used)
        memset(w->used, 0, w->count * sizeof *w->used);
}

void vka_weights_change(vka_weights *w, const vka_weight *item, const void *changes)
{
    w->items[item - w->items].changes = changes;
}

void vka_missing_add(vka_missing *m, const char *name)
{
    size_t at = strlen(m->text), need = strlen(name) + (at ? 2 : 0);
    /* The first few only: once one did not fit, none follows, so that the list stays in order. */
    bool full = m->count > 0 && at > 0 && m->text[at - 1] == '.';
    if (!full) {
        if (at + need + 6 < sizeof m->text)
            snprintf(m->text + at, sizeof m->text - at, "%s%s", at ? ", " : "", name);
        else
            snprintf(m->text + at, sizeof m->text - at, "%s...", at ? ", " : "");
    }
    m->count++;
}

vka_status vka_missing_check(const vka_missing *m, const char *title, vka_error *err)
{
    if (m->count == 0)
        return VKA_OK;
    return vka_fail(err, VKA_E_INPUT, "%.120s lacks %zu tensor%s: %s", title, m->count, m->count == 1 ? "" : "s",
                    m->text);
}
