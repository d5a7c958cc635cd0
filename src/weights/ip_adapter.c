/* ip_adapter.c - opens an IP-Adapter, tells its kind and finds its sizes; see ip_adapter.h. */
#include "weights/ip_adapter.h"

#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Resamplers have heads of 64, whatever their width; a file does not say. */
enum { MAX_WIDTH = 65536, MAX_TOKENS = 4096, MAX_LAYERS = 64, MAX_PAIRS = 512, HEAD = 64 };

struct vka_ip_adapter {
    char *path;
    vka_safetensors st;
    vka_ip_info info;
    vka_weights *projection, *pairs;
};

const char *vka_ip_kind_name(enum vka_ip_kind kind)
{
    static const char *const names[] = {"plain", "plus", "full"};
    return names[kind];
}

/* ---- the projection ---- */

struct reader {
    const vka_weights *weights;
    vka_missing missing;
    vka_status status;
    vka_error *err;
};

static uint32_t dim(const vka_weight *t, uint32_t rank, uint32_t d)
{
    return t && t->rank == rank && t->dims[d] && t->dims[d] <= MAX_WIDTH ? (uint32_t)t->dims[d] : 0;
}

/* The tensor of a printf'ed name is [rows, columns], or [rows] where columns is 0. */
static void want(struct reader *r, uint64_t rows, uint64_t columns, const char *fmt, ...) VKA_PRINTF(4, 5);
static void want(struct reader *r, uint64_t rows, uint64_t columns, const char *fmt, ...)
{
    char name[96], shape[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const vka_weight *t = vka_weights_find(r->weights, name);
    if (!t) {
        vka_missing_add(&r->missing, name);
        return;
    }
    if (vka_dtype_is_float(t->dtype) && t->rank == (columns ? 2 : 1) && t->dims[0] == rows && (!columns || t->dims[1] == columns))
        return;
    vka_weight_shape_text(t, shape, sizeof shape);
    if (r->status == VKA_OK)
        r->status = vka_fail(r->err, VKA_E_INPUT, "%s: 'image_proj.%s' has the shape %s, which does not fit the other tensors",
                             vka_weights_title(r->weights), name, shape);
}

static void want_pair(struct reader *r, uint64_t rows, uint64_t columns, const char *at)
{
    want(r, rows, columns, "%s.weight", at);
    want(r, rows, 0, "%s.bias", at);
}

static vka_status done(struct reader *r)
{
    vka_status s = vka_missing_check(&r->missing, vka_weights_title(r->weights), r->err);
    return s == VKA_OK ? r->status : s;
}

static vka_status odd(const vka_weights *w, const char *what, vka_error *err)
{
    return vka_fail(err, VKA_E_INPUT, "%s: 'image_proj.%s' has an odd shape", vka_weights_title(w), what);
}

/* One linear layer, cut in tokens, and their norm. */
static vka_status read_plain(vka_ip_info *i, const vka_weights *w, vka_error *err)
{
    const vka_weight *proj = vka_weights_find(w, "proj.weight");
    uint32_t rows = dim(proj, 2, 0);
    struct reader r = {.weights = w, .err = err};
    i->kind = VKA_IP_PLAIN;
    i->width = dim(vka_weights_find(w, "norm.weight"), 1, 0);
    i->takes = dim(proj, 2, 1);
    if (!rows || !i->takes || !i->width || rows % i->width)
        return odd(w, "proj.weight", err);
    i->tokens = rows / i->width;
    want_pair(&r, rows, i->takes, "proj");
    want_pair(&r, i->width, 0, "norm");
    return done(&r);
}

/* linear, GELU, linear, norm: over every patch. */
static vka_status read_full(vka_ip_info *i, const vka_weights *w, vka_error *err)
{
    const vka_weight *first = vka_weights_find(w, "proj.0.weight");
    struct reader r = {.weights = w, .err = err};
    i->kind = VKA_IP_FULL;
    i->takes = dim(first, 2, 1);
    i->hidden = dim(first, 2, 0);
    i->width = dim(vka_weights_find(w, "proj.3.weight"), 1, 0);
    if (!i->takes || !i->hidden || !i->width)
        return odd(w, "proj.0.weight", err);
    want_pair(&r, i->hidden, i->takes, "proj.0");
    want_pair(&r, i->width, i->hidden, "proj.2");
    want_pair(&r, i->width, 0, "proj.3");
    return done(&r);
}

/* Latents that look at the patches and at themselves, layer by layer (Alayrac et al. 2022, 3.1). */
static vka_status read_plus(vka_ip_info *i, const vka_weights *w, vka_error *err)
{
    const vka_weight *latents = vka_weights_find(w, "latents"), *in = vka_weights_find(w, "proj_in.weight");
    struct reader r = {.weights = w, .err = err};
    i->kind = VKA_IP_PLUS;
    i->tokens = dim(latents, 3, 1);
    i->hidden = dim(latents, 3, 2);
    i->takes = dim(in, 2, 1);
    i->width = dim(vka_weights_find(w, "proj_out.weight"), 2, 0);
    while (i->layers <= MAX_LAYERS && vka_weights_findf(w, "layers.%u.0.to_q.weight", (unsigned)i->layers))
        i->layers++;
    uint32_t inner = dim(vka_weights_find(w, "layers.0.0.to_q.weight"), 2, 0);
    if (!i->tokens || latents->dims[0] != 1 || !vka_dtype_is_float(latents->dtype))
        return odd(w, "latents", err);
    if (!i->hidden || !i->takes || !i->width || !i->layers || i->layers > MAX_LAYERS || !inner || inner % HEAD)
        return odd(w, i->layers ? "layers.0.0.to_q.weight" : "proj_in.weight", err);
    i->heads = inner / HEAD;
    want_pair(&r, i->hidden, i->takes, "proj_in");
    want_pair(&r, i->width, i->hidden, "proj_out");
    want_pair(&r, i->width, 0, "norm_out");
    for (unsigned l = 0; l < i->layers; l++) {
        uint32_t ff = dim(vka_weights_findf(w, "layers.%u.1.1.weight", l), 2, 0);
        char at[64];
        snprintf(at, sizeof at, "layers.%u.0.norm1", l);
        want_pair(&r, i->hidden, 0, at);
        snprintf(at, sizeof at, "layers.%u.0.norm2", l);
        want_pair(&r, i->hidden, 0, at);
        snprintf(at, sizeof at, "layers.%u.1.0", l);
        want_pair(&r, i->hidden, 0, at);
        want(&r, inner, i->hidden, "layers.%u.0.to_q.weight", l);
        want(&r, 2 * (uint64_t)inner, i->hidden, "layers.%u.0.to_kv.weight", l);
        want(&r, i->hidden, inner, "layers.%u.0.to_out.weight", l);
        want(&r, ff, i->hidden, "layers.%u.1.1.weight", l);
        want(&r, i->hidden, ff, "layers.%u.1.3.weight", l);
    }
    return done(&r);
}

/* ---- the file ---- */

/* FaceID's are told by what only they have: layers of LoRAs beside the pairs, a norm behind an MLP, a resampler inside. */
static bool is_face_id(const vka_safetensors *st)
{
    for (size_t i = 0; i < st->count; i++)
        if (vka_name_after(st->tensors[i].name, "image_proj.perceiver_resampler.") || strstr(st->tensors[i].name, "to_k_lora."))
            return true;
    return vka_safetensors_find(st, "image_proj.norm.weight") && vka_safetensors_find(st, "image_proj.proj.0.weight");
}

/* The number of the pair that a name belongs to, and which half it is; false: it is none. */
static bool pair_of(const char *name, uint32_t *n, bool *value)
{
    const char *rest = vka_name_after(name, "ip_adapter.");
    rest = rest ? vka_name_index_at(rest, n) : NULL;
    *value = rest && strcmp(rest, "to_v_ip.weight") == 0;
    return rest && (*value || strcmp(rest, "to_k_ip.weight") == 0);
}

vka_status vka_ip_adapter_read(vka_weights *w, vka_ip_info *info, const char **family, const vka_safetensors *st, const char *path,
                               vka_error *err)
{
    uint32_t n, keys = 0, values = 0;
    bool value, adapter = false, odd_pair = false;
    uint64_t width = 0;
    *info = (vka_ip_info){0};
    *family = NULL;
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        const char *rest = vka_name_after(t->name, "image_proj.");
        adapter = adapter || rest || vka_name_after(t->name, "ip_adapter.");
        if (rest && *rest && !vka_weights_add(w, rest, t))
            return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
        if (!pair_of(t->name, &n, &value))
            continue;
        keys += !value;
        values += value;
        width = t->rank == 2 && vka_dtype_is_float(t->dtype) && (!width || width == t->dims[1]) ? t->dims[1] : 0;
        odd_pair = odd_pair || !width;
    }
    vka_status s = vka_weights_finish(w, err);
    if (s != VKA_OK)
        return s;
    if (!adapter) {
        vka_classification c;
        vka_classify(&c, st);
        return vka_fail(err, VKA_E_INPUT, "'%s' is %s, not an IP-Adapter", path, vka_file_kind_phrase(c.kind));
    }
    if (!odd_pair && keys)
        *family = width == 2048 ? "sdxl" : width == 768 ? "sd15" : NULL;
    if (is_face_id(st)) {
        vka_fail(err, VKA_E_INPUT, "'%s' is a FaceID adapter, which is not supported", path);
        vka_error_why(err, "it wants the numbers of a face recogniser, not those of CLIP's image encoder");
        vka_error_hint(err, "an adapter of the kinds plain, plus or full face");
        return VKA_E_INPUT;
    }
    s = vka_weights_find(w, "latents")         ? read_plus(info, w, err)
        : vka_weights_find(w, "proj.3.weight") ? read_full(info, w, err)
                                               : read_plain(info, w, err);
    if (s != VKA_OK)
        return s;
    if (!keys || keys != values || keys > MAX_PAIRS || odd_pair || info->tokens > MAX_TOKENS)
        return vka_fail(err, VKA_E_INPUT, "'%s' has %u keys and %u values for cross-attention, which do not make pairs", path,
                        (unsigned)keys, (unsigned)values);
    info->pairs = keys;
    if (width != info->width)
        return vka_fail(err, VKA_E_INPUT, "'%s' makes tokens of %u numbers, but its keys take %u", path, (unsigned)info->width,
                        (unsigned)width);
    return VKA_OK;
}

vka_status vka_ip_adapter_open(vka_ip_adapter **out, const char *path, vka_error *err)
{
    const char *family = NULL;
    *out = NULL;
    vka_ip_adapter *a = vka_calloc(1, sizeof *a);
    char *title = vka_asprintf("the IP-Adapter '%s'", path);
    vka_status s = a && title && (a->path = vka_strdup(path)) && (a->projection = vka_weights_new(title))
                       ? VKA_OK
                       : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
    if (s == VKA_OK)
        s = vka_model_file_open(&a->st, path, err);
    if (s == VKA_OK)
        s = vka_ip_adapter_read(a->projection, &a->info, &family, &a->st, path, err);
    if (s == VKA_OK && family && strcmp(family, "sdxl") == 0) {
        s = vka_fail(err, VKA_E_INPUT, "'%s' is an IP-Adapter for SDXL, which is not supported", path);
        vka_error_hint(err, "an adapter for SD1.5, such as ip-adapter_sd15.safetensors");
    }
    free(title);
    if (s == VKA_OK)
        *out = a;
    else
        vka_ip_adapter_close(a);
    return s;
}

void vka_ip_adapter_close(vka_ip_adapter *a)
{
    if (!a)
        return;
    vka_weights_free(a->projection);
    vka_weights_free(a->pairs);
    vka_safetensors_close(&a->st);
    free(a->path);
    free(a);
}

const char *vka_ip_adapter_file(const vka_ip_adapter *a)
{
    return a->path;
}
const vka_ip_info *vka_ip_adapter_describe(const vka_ip_adapter *a)
{
    return &a->info;
}
vka_weights *vka_ip_adapter_projection(vka_ip_adapter *a)
{
    return a->projection;
}
vka_weights *vka_ip_adapter_pairs(vka_ip_adapter *a)
{
    return a->pairs;
}

/* ---- the pairs ---- */

struct fitting {
    vka_ip_adapter *a;
    uint32_t next; /* cross-attentions so far */
    vka_status status;
    vka_error *err;
};

/* The attentions of one block: `layers` of `depth` each, `channels` wide. */
static void fit_block(struct fitting *f, const char *block, uint32_t layers, uint32_t depth, uint32_t channels)
{
    static const char *const halves[] = {"to_k_ip", "to_v_ip"};
    char name[160];
    for (uint32_t l = 0; l < layers; l++)
        for (uint32_t d = 0; d < depth; d++, f->next++)
            for (int half = 0; half < 2 && f->status == VKA_OK; half++) {
                snprintf(name, sizeof name, "ip_adapter.%u.%s.weight", (unsigned)(2 * f->next + 1), halves[half]);
                const vka_weight *t = vka_safetensors_find(&f->a->st, name);
                if (!t || t->dims[0] != channels) {
                    f->status = vka_fail(f->err, VKA_E_INPUT, "the IP-Adapter '%s' does not fit this model's UNet", f->a->path);
                    if (t)
                        vka_error_why(f->err, "'%s' is for %u channels, the UNet has %u there", name, (unsigned)t->dims[0],
                                      (unsigned)channels);
                    else
                        vka_error_why(f->err, "it has no '%s'", name);
                    return;
                }
                snprintf(name, sizeof name, "%s.attentions.%u.transformer_blocks.%u.attn2.%s.weight", block, (unsigned)l, (unsigned)d,
                         halves[half]);
                if (!vka_weights_add(f->a->pairs, name, t))
                    f->status = vka_fail(f->err, VKA_E_MEMORY, "out of memory opening '%s'", f->a->path);
            }
}

vka_status vka_ip_adapter_fit(vka_ip_adapter *a, const vka_unet_config *unet, vka_error *err)
{
    struct fitting f = {.a = a, .status = VKA_OK, .err = err};
    char block[32];
    if (a->pairs)
        return VKA_OK;
    if (unet->cross_attention_dim != a->info.width) {
        vka_fail(err, VKA_E_INPUT, "the IP-Adapter '%s' does not fit this model's UNet", a->path);
        vka_error_why(err, "its tokens are %u wide, the UNet's text %u", (unsigned)a->info.width, (unsigned)unet->cross_attention_dim);
        return VKA_E_INPUT;
    }
    if (!(a->pairs = vka_weights_new(vka_weights_title(a->projection))))
        return vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", a->path);
    for (uint32_t i = 0; i < unet->levels; i++) {
        snprintf(block, sizeof block, "down_blocks.%u", (unsigned)i);
        fit_block(&f, block, unet->layers[i], unet->depth[i], unet->channels[i]);
    }
    for (uint32_t i = 0; i < unet->levels; i++) {
        uint32_t level = unet->levels - 1 - i;
        snprintf(block, sizeof block, "up_blocks.%u", (unsigned)i);
        fit_block(&f, block, unet->layers[level] + 1, unet->up_depth[i], unet->channels[level]);
    }
    fit_block(&f, "mid_block", unet->mid_resnets > 1 ? 1 : 0, unet->mid_depth, unet->channels[unet->levels - 1]);
    if (f.status == VKA_OK && f.next != a->info.pairs) {
        f.status = vka_fail(err, VKA_E_INPUT, "the IP-Adapter '%s' does not fit this model's UNet", a->path);
        vka_error_why(err, "it is made for %u cross-attentions, the UNet has %u", (unsigned)a->info.pairs, (unsigned)f.next);
    }
    if (f.status == VKA_OK)
        f.status = vka_weights_finish(a->pairs, err);
    if (f.status != VKA_OK) {
        vka_weights_free(a->pairs);
        a->pairs = NULL;
    }
    return f.status;
}
