/* control.c - see control.h.
 *
 * What a file holds is read from its names and shapes, and from config.json where there is one; nothing of a file is trusted.
 * Widths that the graph needs to agree are checked again, tensor by tensor, where it is built. */
#include "weights/control.h"

#include "base/file.h"
#include "weights/expected.h"
#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/json_reader.h"
#include "weights/motion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HINT_CONVS = 16, MAX_OUTPUTS = 32, MAX_CHANNELS = 65536 };

struct vka_control {
    char *path, *file;
    vka_safetensors st;
    vka_weights *weights;
    json_t *json;
    vka_control_info info;
};

const char *vka_control_kind_name(enum vka_control_kind kind)
{
    static const char *const names[] = {[VKA_CONTROL_NET] = "controlnet",
                                        [VKA_CONTROL_SPARSE_RGB] = "sparsectrl-rgb",
                                        [VKA_CONTROL_SPARSE_SCRIBBLE] = "sparsectrl-scribble"};
    return names[kind];
}

/* ---- what is refused ------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

const char *vka_control_refusal(const vka_safetensors *st)
{
    size_t low_rank = 0;
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        const char *s = t->name;
        bool first = ends_with(s, "input_hint_block.0.weight") || ends_with(s, "controlnet_cond_embedding.conv_in.weight");
        low_rank += ends_with(s, ".up") || ends_with(s, ".down");
        if (strcmp(s, "lora_controlnet") == 0)
            return "is a Control-LoRA, which is not supported";
        if (strcmp(s, "difference") == 0)
            return "holds the differences of a ControlNet from a model, which are not supported";
        if (ends_with(s, "label_emb.0.0.weight") || ends_with(s, "add_embedding.linear_1.weight") ||
            (t->rank == 2 && t->dims[1] == 2048 && ends_with(s, ".attn2.to_k.weight")))
            return "is a ControlNet for SDXL, which is not supported";
        if (ends_with(s, "task_embedding") || ends_with(s, "spatial_ch_projs.weight"))
            return "is a ControlNet of several kinds in one (union), which is not supported";
        if (first && t->rank == 4 && t->dims[1] == 6)
            return "is a ControlNet of 6 channels, a picture and how it moves (TemporalNet2), which is not supported";
    }
    return low_rank > 4 ? "is a Control-LoRA, which is not supported" : NULL;
}

/* Why a readable file is no control that this program takes. */
static vka_status refuse_kind(const vka_safetensors *st, const char *path, vka_error *err)
{
    vka_classification c;
    const char *refusal = vka_control_refusal(st);
    vka_classify(&c, st);
    bool inside = strcmp(vka_control_prefix(st), "control_model.") == 0; /* a training's checkpoint */
    if (c.kind != VKA_FILE_CONTROLNET && !inside && c.kind != VKA_FILE_UNKNOWN) {
        vka_fail(err, VKA_E_INPUT, "'%s' is %s, not a ControlNet", path, vka_file_kind_phrase(c.kind));
        if (c.kind == VKA_FILE_LORA)
            vka_error_hint(err, "give it with --lora");
        else if (c.kind == VKA_FILE_MOTION)
            vka_error_hint(err, "give it with --motion");
        return VKA_E_INPUT;
    }
    if (c.kind == VKA_FILE_CONTROLNET || inside)
        return refusal ? vka_fail(err, VKA_E_INPUT, "'%s' %s", path, refusal) : VKA_OK;
    vka_fail(err, VKA_E_INPUT, "'%s' is not a ControlNet: none of its %zu tensors is one's", path, st->count);
    vka_error_why(err, "%s", c.note ? c.note : "");
    return VKA_E_INPUT;
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

static vka_status collect(vka_weights *w, const vka_safetensors *st, vka_error *err)
{
    const char *prefix = vka_control_prefix(st);
    vka_control_names *map = vka_calloc(1, sizeof *map);
    char out[VKA_NAME_CAP];
    bool memory = map != NULL;
    if (map)
        vka_control_map(map, st, prefix);
    for (size_t i = 0; memory && i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        const char *name = vka_name_after(t->name, prefix);
        if (name && !vka_name_is_ignorable(t->name) && vka_rename_control(out, name, map) == VKA_NAME_KEEP)
            memory = vka_weights_add(w, out, t);
    }
    free(map);
    return memory ? vka_weights_finish(w, err) : vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", st->path);
}

/* The motion modules, where there are some; their names in the table are those that `collect` gave. */
static vka_status read_motion(vka_control_info *info, const vka_weights *w, const vka_safetensors *st, const json_t *json,
                              const char *config_path, vka_error *err)
{
    bool any = false;
    for (size_t i = 0; i < vka_weights_count(w) && !any; i++)
        any = strstr(vka_weights_at(w, i)->name, "motion_modules.") != NULL;
    if (!any)
        return VKA_OK;
    vka_weights *modules = vka_weights_new(vka_weights_title(w));
    if (!modules)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", st->path);
    vka_missing missing = {0};
    vka_status s = vka_motion_read(modules, &info->motion, st, NULL, err);
    if (s == VKA_OK) {
        vka_motion_missing(&missing, modules, &info->motion);
        s = vka_missing_check(&missing, vka_weights_title(w), err);
    }
    if (s == VKA_OK && json) {
        vka_json_reader r = {.object = json, .path = config_path, .err = err};
        vka_json_uint(&r, "motion_num_attention_heads", &info->motion.heads, 1, 1024);
        s = r.status;
    }
    if (s == VKA_OK)
        s = vka_motion_check(&info->motion, modules, st->path, err);
    vka_weights_free(modules);
    for (uint32_t l = 0; s == VKA_OK && l < VKA_MAX_LEVELS; l++) {
        uint32_t modules_here = info->motion.down_modules[l];
        bool level = l < info->unet.levels;
        if (info->motion.up_modules[l] || (!level && modules_here) ||
            (level && (modules_here != info->unet.layers[l] || info->motion.channels[l] != info->unet.channels[l])))
            s = vka_fail(err, VKA_E_INPUT, "%s has motion modules that do not go with its blocks", vka_weights_title(w));
    }
    return s == VKA_OK && info->motion.mid_modules
               ? vka_fail(err, VKA_E_INPUT, "%s has motion modules in its middle, which is not supported", vka_weights_title(w))
               : s;
}

/* What the hint goes through, and so what kind it is. */
static vka_status read_hint(vka_control_info *info, const vka_weights *w, vka_error *err)
{
    static const char at[] = "controlnet_cond_embedding";
    const char *title = vka_weights_title(w);
    const vka_weight *alone = vka_weights_findf(w, "%s.weight", at), *in = vka_weights_findf(w, "%s.conv_in.weight", at),
                     *first = alone ? alone : in;
    if (!first || first->rank != 4 || first->dims[1] < 1 || first->dims[1] > MAX_CHANNELS)
        return vka_fail(err, VKA_E_INPUT, "%s lacks the tensor '%s.conv_in.weight', or it has an odd shape", title, at);
    info->hint_channels = (uint32_t)first->dims[1];
    while (!alone && info->hint_convs <= MAX_HINT_CONVS && vka_weights_findf(w, "%s.blocks.%u.weight", at, (unsigned)info->hint_convs))
        info->hint_convs++;
    if (info->hint_convs % 2 || info->hint_convs > MAX_HINT_CONVS)
        return vka_fail(err, VKA_E_INPUT, "%s takes its hint through %u convolutions, which is not supported", title,
                        (unsigned)info->hint_convs);
    info->hint_factor = 1u << info->hint_convs / 2;
    bool sparse = info->motion.slots > 0;
    info->kind = alone ? VKA_CONTROL_SPARSE_RGB : sparse ? VKA_CONTROL_SPARSE_SCRIBBLE : VKA_CONTROL_NET;
    uint32_t wanted = info->kind == VKA_CONTROL_NET ? 3 : info->kind == VKA_CONTROL_SPARSE_RGB ? info->unet.in_channels + 1 : 4;
    if (info->hint_channels != wanted)
        return vka_fail(err, VKA_E_INPUT, "%s takes hints of %u channels, which is not supported (%u are)", title,
                        (unsigned)info->hint_channels, (unsigned)wanted);
    if (info->kind == VKA_CONTROL_SPARSE_RGB && info->hint_bgr)
        return vka_fail(err, VKA_E_INPUT, "%s takes latents in reverse order, which is not supported", title);
    return VKA_OK;
}

static void want(vka_missing *m, const vka_weights *w, const char *name)
{
    static const char *const ends[] = {"weight", "bias"};
    char full[96];
    for (size_t i = 0; i < 2; i++) {
        snprintf(full, sizeof full, "%s.%s", name, ends[i]);
        if (!vka_weights_find(w, full))
            vka_missing_add(m, full);
    }
}

static vka_status check_names(const vka_control_info *info, const vka_weights *w, vka_error *err)
{
    vka_missing missing = {0};
    char name[64];
    vka_encoder_missing(&missing, w, &info->unet);
    for (unsigned i = 0; i + 1 < info->outputs; i++) {
        snprintf(name, sizeof name, "controlnet_down_blocks.%u", i);
        want(&missing, w, name);
    }
    want(&missing, w, "controlnet_mid_block");
    for (unsigned i = 0; i < info->hint_convs; i++) {
        snprintf(name, sizeof name, "controlnet_cond_embedding.blocks.%u", i);
        want(&missing, w, name);
    }
    if (info->kind == VKA_CONTROL_SPARSE_RGB)
        want(&missing, w, "controlnet_cond_embedding");
    else {
        want(&missing, w, "controlnet_cond_embedding.conv_in");
        want(&missing, w, "controlnet_cond_embedding.conv_out");
    }
    return vka_missing_check(&missing, vka_weights_title(w), err);
}

static vka_status read_json(vka_control_info *info, const json_t *json, const vka_weights *w, const char *path, vka_error *err)
{
    vka_json_reader reader = {.object = json, .path = path, .err = err}, *r = &reader;
    char order[16] = "rgb";
    if (json_is_string(json_object_get(json, "addition_embed_type")))
        return vka_fail(err, VKA_E_INPUT, "'%s' describes a ControlNet for SDXL, which is not supported", path);
    r->status = vka_encoder_config_from_json(&info->unet, json, w, path, err);
    vka_json_must_be(r, "global_pool_conditions", NULL);
    vka_json_text(r, "controlnet_conditioning_channel_order", order, sizeof order);
    info->hint_bgr = strcmp(order, "bgr") == 0;
    if (!info->hint_bgr && strcmp(order, "rgb") != 0)
        vka_json_refuse(r, "controlnet_conditioning_channel_order", "is neither rgb nor bgr");
    return r->status;
}

vka_status vka_control_read(vka_weights *w, vka_control_info *info, const vka_safetensors *st, const json_t *json,
                            const char *config_path, vka_error *err)
{
    const char *refusal = vka_control_refusal(st);
    *info = (vka_control_info){.kind = VKA_CONTROL_NET};
    if (refusal)
        return vka_fail(err, VKA_E_INPUT, "'%s' %s", st->path, refusal);
    vka_status s = collect(w, st, err);
    if (s == VKA_OK)
        s = json ? read_json(info, json, w, config_path, err) : vka_encoder_config_infer(&info->unet, w, err);
    if (s == VKA_OK)
        s = read_motion(info, w, st, json, config_path, err);
    if (s == VKA_OK)
        s = read_hint(info, w, err);
    info->outputs = 1 + info->unet.levels; /* of the first convolution, and between levels; and of the middle */
    for (uint32_t l = 0; l < info->unet.levels; l++)
        info->outputs += info->unet.layers[l];
    if (s == VKA_OK && info->outputs > MAX_OUTPUTS)
        return vka_fail(err, VKA_E_INPUT, "%s adds to %u places of a UNet, which is not supported (%d are)", vka_weights_title(w),
                        (unsigned)info->outputs, MAX_OUTPUTS);
    return s == VKA_OK ? check_names(info, w, err) : s;
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

/* The weights file of a folder, and its config.json. */
static vka_status find_files(vka_control *c, char **config, vka_error *err)
{
    static const char *const names[] = {"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors",
                                        "diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin"};
    if (!vka_path_is_dir(c->path)) {
        c->file = vka_strdup(c->path);
        return c->file ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", c->path);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names && !c->file; i++) {
        if (!(c->file = vka_path_join(c->path, names[i])))
            return vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", c->path);
        if (!vka_path_exists(c->file)) {
            free(c->file);
            c->file = NULL;
        }
    }
    if (!c->file)
        return vka_fail(err, VKA_E_INPUT, "'%s' has no %s", c->path, names[0]);
    *config = vka_path_join(c->path, "config.json");
    return *config ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", c->path);
}

vka_status vka_control_open(vka_control **out, const char *path, vka_error *err)
{
    *out = NULL;
    vka_control *c = vka_calloc(1, sizeof *c);
    char *config = NULL, *title = NULL;
    vka_error own = {0};
    if (!c || !(c->path = vka_strdup(path)) || !(title = vka_asprintf("the ControlNet '%s'", path)) ||
        !(c->weights = vka_weights_new(title)))
        vka_fail(&own, VKA_E_MEMORY, "out of memory opening '%s'", path);
    if (own.status == VKA_OK)
        find_files(c, &config, &own);
    if (own.status == VKA_OK)
        vka_model_file_open(&c->st, c->file, &own);
    if (own.status == VKA_OK)
        refuse_kind(&c->st, path, &own);
    if (own.status == VKA_OK && strstr(vka_path_base(c->file), "sd15_shuffle")) /* its tensors do not tell */
        vka_fail(&own, VKA_E_INPUT, "'%s' averages what it adds over the picture (shuffle), which is not supported", path);
    if (own.status == VKA_OK && config && vka_path_exists(config))
        c->json = vka_json_load(config, &own);
    if (own.status == VKA_OK)
        vka_control_read(c->weights, &c->info, &c->st, c->json, config, &own);
    free(config);
    free(title);
    if (own.status == VKA_OK) {
        *out = c;
        return VKA_OK;
    }
    vka_control_close(c);
    if (err && err->status == VKA_OK)
        *err = own;
    return own.status;
}

void vka_control_close(vka_control *c)
{
    if (!c)
        return;
    vka_weights_free(c->weights);
    vka_safetensors_close(&c->st);
    json_decref(c->json);
    free(c->file);
    free(c->path);
    free(c);
}

const char *vka_control_file(const vka_control *c)
{
    return c->file;
}
vka_weights *vka_control_weights(vka_control *c)
{
    return c->weights;
}
const vka_control_info *vka_control_describe(const vka_control *c)
{
    return &c->info;
}

static void widths(const vka_unet_config *u, char *out, size_t cap)
{
    size_t at = 0;
    for (uint32_t l = 0; l < u->levels && at + 12 < cap; l++)
        at += (size_t)snprintf(out + at, cap - at, "%s%u", l ? ", " : "", (unsigned)u->channels[l]);
}

vka_status vka_control_fit(vka_control *c, const vka_unet_config *unet, vka_error *err)
{
    vka_unet_config *own = &c->info.unet;
    bool same = own->levels == unet->levels && own->in_channels == unet->in_channels && own->mid_resnets == unet->mid_resnets &&
                (own->cross_attention_dim == unet->cross_attention_dim || !own->cross_attention_dim);
    char have[128] = "", need[128] = "";
    for (uint32_t l = 0; same && l < unet->levels; l++)
        same = own->channels[l] == unet->channels[l] && own->layers[l] == unet->layers[l];
    if (same && !c->json) {
        memcpy(own->heads, unet->heads, sizeof own->heads);
        own->mid_heads = unet->mid_heads;
        own->norm_num_groups = unet->norm_num_groups;
        own->norm_eps = unet->norm_eps;
        own->flip_sin_to_cos = unet->flip_sin_to_cos;
        own->freq_shift = unet->freq_shift;
        own->downsample_padding = unet->downsample_padding;
    }
    if (same)
        return VKA_OK;
    widths(own, have, sizeof have);
    widths(unet, need, sizeof need);
    vka_fail(err, VKA_E_INPUT, "the ControlNet '%s' does not fit this model's UNet", c->path);
    vka_error_why(err, "it was made for channels %s and a text of width %u; the UNet has %s and %u", have,
                  (unsigned)own->cross_attention_dim, need, (unsigned)unet->cross_attention_dim);
    if (own->cross_attention_dim == 1024)
        vka_error_hint(err, "it looks like one for Stable Diffusion 2");
    return VKA_E_INPUT;
}
