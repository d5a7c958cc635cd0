/* tensors.c - see tensors.h. */
#include "render/tensors.h"

#include <stdlib.h>
#include <string.h>

static const char *file_name(const vka_safetensors *st) { return st->path ? st->path : "?"; }

static const vka_weight *need(const vka_safetensors *st, const char *name, vka_error *err)
{
    const vka_weight *w = vka_safetensors_find(st, name);
    if (!w)
        vka_fail(err, VKA_E_INPUT, "'%s' has no tensor '%s'", file_name(st), name);
    return w;
}

/* Takes what the caller leaves open, checks what it asks for. */
static bool match(uint32_t *want, uint64_t have)
{
    if (have == 0 || have > INT32_MAX || (*want && *want != have))
        return false;
    *want = (uint32_t)have;
    return true;
}

static vka_status wrong_shape(const vka_safetensors *st, const vka_weight *w, const char *form, vka_error *err)
{
    char shape[96];
    vka_weight_shape_text(w, shape, sizeof shape);
    vka_fail(err, VKA_E_INPUT, "the tensor '%s' of '%s' has the wrong shape", w->name, file_name(st));
    vka_error_why(err, "it is %s; wanted: %s", shape, form);
    return VKA_E_INPUT;
}

static float *to_floats(const vka_weight *w, vka_error *err)
{
    uint64_t n = vka_weight_count(w);
    float *out = n < SIZE_MAX / sizeof *out ? malloc((size_t)n * sizeof *out) : NULL;
    if (!out)
        vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", w->name);
    else
        vka_dtype_to_f32(out, w->data, w->dtype, (size_t)n);
    return out;
}

vka_status vka_read_clip(const vka_safetensors *st, const char *name, uint32_t *f, uint32_t *c, uint32_t *h, uint32_t *w,
                         float **out, vka_error *err)
{
    const vka_weight *t = need(st, name, err);
    *out = NULL;
    if (!t)
        return VKA_E_INPUT;
    bool five = t->rank == 5 && t->dims[0] == 1;
    if ((t->rank != 4 && !five) || !match(f, t->dims[five ? 2 : 0]) || !match(c, t->dims[1]) ||
        !match(h, t->dims[five ? 3 : 2]) || !match(w, t->dims[five ? 4 : 3])) {
        char form[128];
        snprintf(form, sizeof form, "[%u, %u, %u, %u], or [1, %u, %u, %u, %u] (0: any)", *f, *c, *h, *w, *c, *f, *h, *w);
        return wrong_shape(st, t, form, err);
    }
    float *data = to_floats(t, err);
    if (data && five) {
        size_t plane = (size_t)*h * *w;
        float *moved = malloc((size_t)*f * *c * plane * sizeof *moved);
        for (size_t i = 0; moved && i < *f; i++)
            for (size_t k = 0; k < *c; k++)
                memcpy(moved + (i * *c + k) * plane, data + (k * *f + i) * plane, plane * sizeof *data);
        free(data);
        data = moved;
        if (!data)
            vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    }
    *out = data;
    return data ? VKA_OK : VKA_E_MEMORY;
}

vka_status vka_read_frames(const vka_safetensors *st, const char *name, uint32_t *f, uint32_t *h, uint32_t *w, float **out,
                           vka_error *err)
{
    const vka_weight *t = need(st, name, err);
    *out = NULL;
    if (!t)
        return VKA_E_INPUT;
    if (t->rank != 4 || t->dims[3] != 3 || !match(f, t->dims[0]) || !match(h, t->dims[1]) || !match(w, t->dims[2]))
        return wrong_shape(st, t, "[F, H, W, 3]", err);
    *out = to_floats(t, err);
    return *out ? VKA_OK : VKA_E_MEMORY;
}

vka_status vka_read_embeds(const vka_safetensors *st, const char *name, uint32_t *p, uint32_t *n, uint32_t *d, float **out,
                           vka_error *err)
{
    const vka_weight *t = need(st, name, err);
    *out = NULL;
    if (!t)
        return VKA_E_INPUT;
    uint32_t lead = t->rank == 3;
    if ((t->rank != 2 && t->rank != 3) || !match(p, lead ? t->dims[0] : 1) || !match(n, t->dims[lead]) ||
        !match(d, t->dims[lead + 1])) {
        char form[96];
        snprintf(form, sizeof form, "[%u, %u, %u] (0: any)", *p, *n, *d);
        return wrong_shape(st, t, form, err);
    }
    *out = to_floats(t, err);
    return *out ? VKA_OK : VKA_E_MEMORY;
}

vka_status vka_read_scalar(const vka_safetensors *st, const char *name, float *out, vka_error *err)
{
    const vka_weight *t = need(st, name, err);
    if (!t)
        return VKA_E_INPUT;
    if (vka_weight_count(t) != 1)
        return wrong_shape(st, t, "[1]", err);
    vka_dtype_to_f32(out, t->data, t->dtype, 1);
    return VKA_OK;
}

void vka_tensor_file_add(vka_tensor_file *t, const char *name, enum vka_weight_dtype dtype, uint32_t rank,
                         const uint64_t *dims, const void *data)
{
    vka_weight *items = vka_grow(t->items, &t->capacity, t->count + 1, sizeof *items);
    if (!items) {
        t->failed = true;
        return;
    }
    t->items = items;
    vka_weight *w = &items[t->count];
    *w = (vka_weight){.name = vka_arena_strdup(&t->arena, name), .dtype = dtype, .rank = rank};
    memcpy(w->dims, dims, rank * sizeof *dims);
    size_t bytes = (size_t)vka_weight_count(w) * vka_dtype_size(dtype);
    void *copy = vka_arena_alloc(&t->arena, bytes);
    if (!copy || !w->name) {
        t->failed = true;
        return;
    }
    memcpy(copy, data, bytes);
    w->data = copy;
    w->bytes = bytes;
    t->count++;
}

vka_status vka_tensor_file_write(vka_tensor_file *t, const char *path, vka_error *err)
{
    if (t->failed)
        return vka_fail(err, VKA_E_MEMORY, "out of memory for '%s'", path);
    return vka_safetensors_write(path, t->items, t->count, NULL, 0, err);
}

void vka_tensor_file_free(vka_tensor_file *t)
{
    free(t->items);
    vka_arena_free(&t->arena);
    *t = (vka_tensor_file){0};
}
