/* embedding.c - see embedding.h. */
#include "weights/embedding.h"

#include "base/mem.h"
#include "weights/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VECTORS = 4096 };

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The tensor with the vectors; NULL with an error.  *named: it bears the name of its token. */
static const vka_weight *find_vectors(const vka_safetensors *st, const char *path, bool *named, vka_error *err)
{
    const vka_weight *found = NULL;
    size_t floats = 0, params = 0;
    *named = false;
    if (vka_safetensors_find(st, "clip_g")) {
        vka_fail(err, VKA_E_INPUT, "'%.300s' is an embedding for Stable Diffusion XL, which vkanim does not render", path);
        return NULL;
    }
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *w = &st->tensors[i];
        if (!vka_dtype_is_float(w->dtype))
            continue; /* A1111's files keep counters beside the vectors */
        floats++;
        if (begins(w->name, "string_to_param.") || !strcmp(w->name, "emb_params")) {
            params++;
            found = w;
        }
    }
    if (params > 1) {
        vka_fail(err, VKA_E_INPUT, "'%.300s' holds %zu embeddings: one is wanted", path, params);
        return NULL;
    }
    for (size_t i = 0; !found && floats == 1 && i < st->count; i++)
        if (vka_dtype_is_float(st->tensors[i].dtype))
            found = &st->tensors[i];
    if (!found) {
        vka_fail(err, VKA_E_INPUT, "'%.300s' is no textual-inversion embedding", path);
        vka_error_why(err, "it holds %zu tensors of numbers, and none is called emb_params or string_to_param", floats);
        return NULL;
    }
    *named = !params && found->name[0] == '<';
    return found;
}

vka_status vka_embedding_read(vka_embedding *out, const char *path, vka_error *err)
{
    vka_safetensors st = {0};
    bool named;
    *out = (vka_embedding){0};
    vka_status status = vka_model_file_open(&st, path, err);
    const vka_weight *w = status == VKA_OK ? find_vectors(&st, path, &named, err) : NULL;
    if (status == VKA_OK && !w)
        status = VKA_E_INPUT;
    uint64_t count = 1, width = 0;
    if (status == VKA_OK) {
        width = w->rank ? w->dims[w->rank - 1] : 0;
        for (uint32_t i = 0; i + 1 < w->rank; i++)
            count = count > MOST_VECTORS ? count : count * w->dims[i];
        if (width == 0 || count == 0 || count > MOST_VECTORS || width > 65536) {
            char shape[96];
            vka_weight_shape_text(w, shape, sizeof shape);
            status = vka_fail(err, VKA_E_INPUT, "'%.300s' is no textual-inversion embedding: its tensor '%.60s' is %s", path,
                              w->source ? w->source : w->name, shape);
        }
    }
    if (status == VKA_OK) {
        out->count = (uint32_t)count;
        out->width = (uint32_t)width;
        out->vectors = vka_calloc((size_t)(count * width), sizeof *out->vectors);
        out->token = named ? vka_strdup(w->name) : NULL;
        if (!out->vectors || (named && !out->token))
            status = vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    if (status == VKA_OK) {
        vka_dtype_to_f32(out->vectors, w->data, w->dtype, (size_t)(count * width));
        for (size_t i = 0; status == VKA_OK && i < count * width; i++)
            if (!isfinite(out->vectors[i]))
                status = vka_fail(err, VKA_E_INPUT, "the embedding '%.300s' holds %s", path, isnan(out->vectors[i]) ? "NaN" : "infinity");
    }
    vka_safetensors_close(&st);
    if (status != VKA_OK)
        vka_embedding_free(out);
    return status;
}

void vka_embedding_free(vka_embedding *e)
{
    free(e->vectors);
    free(e->token);
    *e = (vka_embedding){0};
}
