/* file.c - see file.h.
 *
 * The readers give names as they stand in the file; here they lose what trainers wrapped around them.  Names are borrowed
 * from the arena, so taking a beginning off is moving a pointer. */
#include "weights/file.h"

#include "weights/foreign.h"
#include "weights/names.h"
#include "weights/torch_file.h"

#include <stdlib.h>
#include <string.h>

static vka_status no_memory(const vka_safetensors *st, vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", st->path);
}

/* In the order of their bytes, as a file is read fastest. */
static int by_place(const void *a, const void *b)
{
    const vka_weight *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static vka_status reindex(vka_safetensors *st, vka_error *err)
{
    const char *twice;
    if (st->count)
        qsort(st->tensors, st->count, sizeof *st->tensors, by_place);
    vka_status s = vka_name_index_build(&st->index, &st->arena, st->tensors, st->count, &twice);
    if (s == VKA_E_INPUT)
        return vka_fail(err, s, "'%s' has two tensors of the name '%.160s'", st->path, twice);
    return s == VKA_OK ? s : no_memory(st, err);
}

/* "module." of distributed training, where every name has it. */
static bool strip_module(vka_safetensors *st)
{
    for (size_t i = 0; i < st->count; i++) {
        const char *rest = vka_name_after(st->tensors[i].name, "module.");
        if (!rest || !*rest)
            return false;
    }
    for (size_t i = 0; i < st->count; i++)
        st->tensors[i].name = vka_name_after(st->tensors[i].name, "module.");
    return st->count > 0;
}

/* Averages take the places of a UNet's weights that are not there. */
static vka_status place_averages(vka_safetensors *st, bool *changed, vka_error *err)
{
    char name[VKA_NAME_CAP];
    bool any = false;
    for (size_t i = 0; i < st->count; i++) {
        if (vka_name_after(st->tensors[i].name, "model.diffusion_model."))
            return VKA_OK;
        any = any || vka_name_after(st->tensors[i].name, "model_ema.diffusion_model");
    }
    for (size_t i = 0; any && i < st->count; i++)
        if (vka_rename_average(name, st->tensors[i].name)) {
            if (!(st->tensors[i].name = vka_arena_strdup(&st->arena, name)))
                return no_memory(st, err);
            *changed = st->is_average = true;
        }
    return VKA_OK;
}

/* The weight that a scale belongs to, where its name is one of a scale's. */
static vka_weight *scaled_by(const vka_safetensors *st, const char *name)
{
    static const char *const ends[] = {".scale_weight", ".weight_scale"};
    char weight[VKA_SAFETENSORS_MAX_NAME + 8];
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i]);
        if (n <= k || n > VKA_SAFETENSORS_MAX_NAME || strcmp(name + n - k, ends[i]) != 0)
            continue;
        memcpy(weight, name, n - k);
        memcpy(weight + n - k, ".weight", sizeof ".weight");
        uint32_t at = vka_name_index_find(&st->index, weight);
        return at == VKA_NAME_NONE ? NULL : &st->tensors[at];
    }
    return NULL;
}

/* One factor for the whole weight, or one for each of its rows. */
static vka_status attach_scales(vka_safetensors *st, vka_error *err)
{
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *scale = &st->tensors[i];
        vka_weight *w = scaled_by(st, scale->name);
        if (!w)
            continue;
        uint64_t n = vka_weight_count(scale), all = vka_weight_count(w);
        bool rows = w->rank > 0 && n == w->dims[0] && scale->rank > 0 && scale->dims[0] == n;
        if ((w->dtype != VKA_WEIGHT_F8_E4M3 && w->dtype != VKA_WEIGHT_F8_E5M2) || !vka_dtype_is_float(scale->dtype) ||
            !(n == 1 || (rows && n > 0))) {
            char shape[96];
            vka_weight_shape_text(scale, shape, sizeof shape);
            vka_fail(err, VKA_E_INPUT, "'%s': '%.160s' scales %s weights in a way that is not read", st->path,
                     scale->name, vka_dtype_name(w->dtype));
            vka_error_why(err, "fp8 weights with one scale, or one for each row, are; this one has the shape %s",
                          shape);
            return VKA_E_INPUT;
        }
        float *scales = vka_arena_alloc(&st->arena, (size_t)n * sizeof *scales);
        if (!scales)
            return no_memory(st, err);
        vka_dtype_to_f32(scales, scale->data, scale->dtype, (size_t)n);
        w->scales = scales;
        w->scale_run = all / n ? all / n : 1;
    }
    return VKA_OK;
}

static vka_status settle(vka_safetensors *st, vka_error *err)
{
    bool changed = strip_module(st) || st->is_torch;
    vka_status s = place_averages(st, &changed, err);
    if (s == VKA_OK && changed)
        s = reindex(st, err);
    if (s == VKA_OK)
        s = attach_scales(st, err);
    if (s != VKA_OK)
        vka_safetensors_close(st);
    return s;
}

static bool may_be_safetensors(const uint8_t *p, size_t n)
{
    return (n > 8 && p[8] == '{') || (n > 0 && n < 10 && p[0] < 9);
}

vka_status vka_model_file_parse(vka_safetensors *st, const void *data, size_t size, const char *path, vka_error *err)
{
    vka_status s;
    *st = (vka_safetensors){0};
    if (vka_is_zip(data, size))
        s = vka_torch_parse(st, data, size, path, err);
    else if (may_be_safetensors(data, size))
        s = vka_safetensors_parse(st, data, size, path, err);
    else
        s = vka_refuse_foreign(data, size, "a model file that is read", path, err);
    return s == VKA_OK ? settle(st, err) : s;
}

vka_status vka_model_file_open(vka_safetensors *st, const char *path, vka_error *err)
{
    vka_map map;
    *st = (vka_safetensors){0};
    vka_status s = vka_map_open(&map, path, err);
    if (s != VKA_OK)
        return s;
    s = vka_model_file_parse(st, map.data, map.size, path, err);
    if (s != VKA_OK)
        vka_map_close(&map);
    else
        st->map = map;
    return s;
}
