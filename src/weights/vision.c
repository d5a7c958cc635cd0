/* vision.c - opens an image encoder and finds its sizes; see vision.h. */
#include "weights/vision.h"

#include "weights/config.h"
#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/json_reader.h"
#include "weights/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 65536, MAX_LAYERS = 256, MAX_IMAGE = 4096 };

struct vka_vision {
    char *path, *file;
    vka_safetensors st;
    vka_weights *weights;
    vka_vision_config config;
};

/* ---- names ---- */

/* Adds what belongs to the image encoder; a file of a whole CLIP model holds the text encoder too. */
static bool add_tensor(vka_weights *w, const vka_weight *t)
{
    const char *name = t->name;
    vka_weight item = *t;
    if (strcmp(name, "vision_model.embeddings.patch_embedding.weight") == 0 && t->rank == 4) {
        uint64_t columns = t->dims[1];
        for (uint32_t d = 2; d < 4; d++)
            if (!vka_mul_u64(columns, t->dims[d], &columns))
                return true; /* the shape is refused below */
        item.rank = 2;
        item.dims[1] = columns;
    } else if (!vka_name_after(name, "vision_model.") && strcmp(name, "visual_projection.weight") != 0)
        return true;
    if (strcmp(name, "vision_model.embeddings.position_ids") == 0)
        return true;
    return vka_weights_add(w, name, &item);
}

/* ---- sizes ---- */

static uint32_t dim(const vka_weight *t, uint32_t rank, uint32_t d)
{
    return t && t->rank == rank && t->dims[d] <= MAX_WIDTH ? (uint32_t)t->dims[d] : 0;
}

static vka_status read_shapes(vka_vision_config *c, const vka_weights *w, const vka_safetensors *st, vka_error *err)
{
    *c = (vka_vision_config){.eps = 1e-5f};
    const vka_weight *patch = vka_safetensors_find(st, "vision_model.embeddings.patch_embedding.weight");
    c->hidden = dim(vka_weights_find(w, "vision_model.embeddings.class_embedding"), 1, 0);
    c->patch = dim(patch, 4, 3);
    uint32_t positions = dim(vka_weights_find(w, "vision_model.embeddings.position_embedding.weight"), 2, 0), side = 1;
    while ((uint64_t)side * side + 1 < positions)
        side++;
    while (c->layers <= MAX_LAYERS &&
           vka_weights_findf(w, "vision_model.encoder.layers.%u.layer_norm1.weight", (unsigned)c->layers))
        c->layers++;
    c->intermediate = dim(vka_weights_find(w, "vision_model.encoder.layers.0.mlp.fc1.weight"), 2, 0);
    c->projection = dim(vka_weights_find(w, "visual_projection.weight"), 2, 0);
    if (!c->hidden || !patch || dim(patch, 4, 1) != 3 || dim(patch, 4, 2) != c->patch || !c->patch || positions < 2 || !c->layers ||
        c->layers > MAX_LAYERS || !c->intermediate)
        return vka_fail(err, VKA_E_INPUT, "%s lacks an image encoder's embeddings or layers", vka_weights_title(w));
    if ((uint64_t)side * side + 1 != positions || (uint64_t)side * c->patch > MAX_IMAGE)
        return vka_fail(err, VKA_E_INPUT, "%s has %u positions, which are no square of patches and one more", vka_weights_title(w),
                        (unsigned)positions);
    c->image = side * c->patch;
    return VKA_OK;
}

/* What shapes cannot tell, in the sizes that were published: heads are 80 wide in ViT-H, 104 in bigG, else 64; OpenAI's (768 and
 * 1024 wide) have the quick GELU. */
static void guess(vka_vision_config *c)
{
    uint32_t wide = c->hidden == 1280 ? 80 : c->hidden == 1664 ? 104 : 64;
    c->heads = c->hidden % wide == 0 ? c->hidden / wide : 1;
    c->act = c->hidden == 768 || c->hidden == 1024 ? VKA_TEXT_QUICK_GELU : VKA_TEXT_GELU;
}

static void agree(vka_json_reader *r, const char *key, uint32_t tensors)
{
    uint32_t config = tensors;
    char text[128];
    vka_json_uint(r, key, &config, 1, MAX_WIDTH);
    if (r->status == VKA_OK && config != tensors) {
        snprintf(text, sizeof text, "is %u, but the tensors say %u", (unsigned)config, (unsigned)tensors);
        vka_json_refuse(r, key, text);
    }
}

static vka_status read_config(vka_vision_config *c, const json_t *json, const char *path, vka_error *err)
{
    const json_t *nested = json_object_get(json, "vision_config"); /* a whole CLIPModel's config */
    vka_json_reader reader = {.object = json_is_object(nested) ? nested : json, .path = path, .err = err}, *r = &reader;
    char type[64] = "", act[32] = "quick_gelu";
    c->heads = 12; /* transformers' default */
    c->act = VKA_TEXT_QUICK_GELU;
    vka_json_text(r, "model_type", type, sizeof type);
    if (type[0] && strncmp(type, "clip", 4) != 0)
        r->status = vka_fail(err, VKA_E_INPUT, "'%s' describes a model of type %s, not a CLIP image encoder", path, type);
    agree(r, "hidden_size", c->hidden);
    agree(r, "num_hidden_layers", c->layers);
    agree(r, "intermediate_size", c->intermediate);
    agree(r, "patch_size", c->patch);
    agree(r, "image_size", c->image);
    vka_json_uint(r, "num_attention_heads", &c->heads, 1, 1024);
    vka_json_float(r, "layer_norm_eps", 1e-12, 1.0, &c->eps);
    vka_json_text(r, "hidden_act", act, sizeof act);
    if (strcmp(act, "gelu") == 0)
        c->act = VKA_TEXT_GELU;
    else
        vka_json_must_be(r, "hidden_act", "quick_gelu");
    return r->status;
}

/* ---- what must be there ---- */

struct want {
    const vka_weights *weights;
    vka_missing missing;
    vka_status status;
    vka_error *err;
};

/* The tensor "<at><name>" is [rows, columns], or [rows] where columns is 0. */
static void want(struct want *x, const char *at, const char *name, uint64_t rows, uint64_t columns)
{
    char full[160], shape[96];
    snprintf(full, sizeof full, "%s%s", at, name);
    const vka_weight *t = vka_weights_find(x->weights, full);
    if (!t) {
        vka_missing_add(&x->missing, full);
        return;
    }
    if (vka_dtype_is_float(t->dtype) && t->rank == (columns ? 2 : 1) && t->dims[0] == rows && (!columns || t->dims[1] == columns))
        return;
    vka_weight_shape_text(t, shape, sizeof shape);
    if (x->status == VKA_OK)
        x->status = vka_fail(x->err, VKA_E_INPUT, "%s: '%s' has the shape %s, which does not fit the other tensors",
                             vka_weights_title(x->weights), full, shape);
}

static void want_layer(struct want *x, const char *at, const char *name, uint64_t rows, uint64_t columns)
{
    char one[64];
    snprintf(one, sizeof one, "%s.weight", name);
    want(x, at, one, rows, columns);
    snprintf(one, sizeof one, "%s.bias", name);
    want(x, at, one, rows, 0);
}

static vka_status check(const vka_weights *w, const vka_vision_config *c, vka_error *err)
{
    struct want x = {.weights = w, .err = err};
    uint64_t d = c->hidden, side = c->image / c->patch;
    static const char root[] = "vision_model.";
    want(&x, root, "embeddings.class_embedding", d, 0);
    want(&x, root, "embeddings.patch_embedding.weight", d, (uint64_t)3 * c->patch * c->patch);
    want(&x, root, "embeddings.position_embedding.weight", side * side + 1, d);
    want_layer(&x, root, "pre_layrnorm", d, 0);
    want_layer(&x, root, "post_layernorm", d, 0);
    if (c->projection)
        want(&x, "", "visual_projection.weight", c->projection, d);
    for (uint32_t i = 0; i < c->layers; i++) {
        static const char *const square[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"};
        char at[64];
        snprintf(at, sizeof at, "%sencoder.layers.%u.", root, (unsigned)i);
        want_layer(&x, at, "layer_norm1", d, 0);
        want_layer(&x, at, "layer_norm2", d, 0);
        for (size_t k = 0; k < sizeof square / sizeof *square; k++)
            want_layer(&x, at, square[k], d, d);
        want_layer(&x, at, "mlp.fc1", c->intermediate, d);
        want_layer(&x, at, "mlp.fc2", d, c->intermediate);
    }
    vka_status s = vka_missing_check(&x.missing, vka_weights_title(w), err);
    return s == VKA_OK ? x.status : s;
}

vka_status vka_vision_read(vka_weights *w, vka_vision_config *c, const vka_safetensors *st, const json_t *json, const char *path,
                           vka_error *err)
{
    for (size_t i = 0; i < st->count; i++)
        if (!add_tensor(w, &st->tensors[i]))
            return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    vka_status s = vka_weights_finish(w, err);
    if (s == VKA_OK)
        s = read_shapes(c, w, st, err);
    if (s == VKA_OK) {
        guess(c);
        s = json ? read_config(c, json, path, err) : VKA_OK;
    }
    if (s == VKA_OK && c->hidden % c->heads)
        s = vka_fail(err, VKA_E_INPUT, "%s: a width of %u cannot be split in %u heads", vka_weights_title(w), (unsigned)c->hidden,
                     (unsigned)c->heads);
    return s == VKA_OK ? check(w, c, err) : s;
}

/* ---- opening ---- */

static vka_status refuse_kind(const vka_safetensors *st, const char *path, vka_error *err)
{
    vka_classification c;
    for (size_t i = 0; i < st->count; i++)
        if (vka_name_after(st->tensors[i].name, "vision_model."))
            return VKA_OK;
    vka_classify(&c, st);
    vka_fail(err, VKA_E_INPUT, "'%s' is %s, not an image encoder", path, vka_file_kind_phrase(c.kind));
    vka_error_hint(err, "IP-Adapters for SD1.5 go with CLIP ViT-H/14: the folder image_encoder that they are published with");
    return VKA_E_INPUT;
}

/* The folder's weights file into v->file; its config into *config. */
static vka_status find_files(vka_vision *v, const char *dir, char **config, vka_error *err)
{
    static const char *const names[] = {"model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "pytorch_model.fp16.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !v->file; i++) {
        char *path = vka_path_join(dir, names[i]);
        if (!path)
            return vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", dir);
        if (vka_path_exists(path))
            v->file = path;
        else
            free(path);
    }
    if (!v->file)
        return vka_fail(err, VKA_E_INPUT, "the folder '%s' is no image encoder: it has no %s", dir, names[0]);
    *config = vka_path_join(dir, "config.json");
    return *config ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", dir);
}

static vka_status find_folder(vka_vision *v, char **config, vka_error *err)
{
    char *inner = vka_path_join(v->path, "image_encoder");
    vka_status s = !inner                    ? vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", v->path)
                   : vka_path_is_dir(inner) ? find_files(v, inner, config, err)
                                             : find_files(v, v->path, config, err);
    free(inner);
    return s;
}

/* config.json beside the encoder's own file. */
static vka_status find_sibling(const vka_vision *v, char **config, vka_error *err)
{
    const char *base = vka_path_base(v->file);
    if (!vka_name_after(base, "model.") && !vka_name_after(base, "pytorch_model."))
        return VKA_OK;
    *config = vka_asprintf("%.*sconfig.json", (int)(base - v->file), v->file);
    return *config ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", v->path);
}

vka_status vka_vision_open(vka_vision **out, const char *path, vka_error *err)
{
    *out = NULL;
    vka_vision *v = vka_calloc(1, sizeof *v);
    char *config = NULL, *title = vka_asprintf("the image encoder '%s'", path);
    json_t *json = NULL;
    vka_status s = v && title && (v->path = vka_strdup(path)) && (v->weights = vka_weights_new(title))
                       ? VKA_OK
                       : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    if (s == VKA_OK && vka_path_is_dir(path))
        s = find_folder(v, &config, err);
    else if (s == VKA_OK && !(v->file = vka_strdup(path)))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    if (s == VKA_OK && !config)
        s = find_sibling(v, &config, err);
    if (s == VKA_OK)
        s = vka_model_file_open(&v->st, v->file, err);
    if (s == VKA_OK)
        s = refuse_kind(&v->st, path, err);
    if (s == VKA_OK && config && vka_path_exists(config) && !(json = vka_json_load(config, err)))
        s = VKA_E_INPUT;
    if (s == VKA_OK)
        s = vka_vision_read(v->weights, &v->config, &v->st, json, json ? config : path, err);
    json_decref(json);
    free(config);
    free(title);
    if (s == VKA_OK)
        *out = v;
    else
        vka_vision_close(v);
    return s;
}

void vka_vision_close(vka_vision *v)
{
    if (!v)
        return;
    vka_weights_free(v->weights);
    vka_safetensors_close(&v->st);
    free(v->file);
    free(v->path);
    free(v);
}

const char *vka_vision_path(const vka_vision *v)
{
    return v->path;
}
const char *vka_vision_file(const vka_vision *v)
{
    return v->file;
}
vka_weights *vka_vision_weights(vka_vision *v)
{
    return v->weights;
}
const vka_vision_config *vka_vision_describe(const vka_vision *v)
{
    return &v->config;
}
