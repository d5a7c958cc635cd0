/* model.c - opens a model's parts, whatever way they are stored; see model.h.
 *
 * A part ends up as one table of tensors under diffusers' names plus one config struct.  Opening is lazy and happens at
 * most once per part; a part that failed keeps failing with the same message. */
#include "weights/model.h"

#include "weights/expected.h"
#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/names.h"
#include "weights/safetensors.h"
#include "weights/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
    char *dir;          /* diffusers folder of the part; NULL when it is in the single file */
    const char *prefix; /* of its names in the single file; NULL when it is not there */
    bool tried;
    vka_error error;
    vka_weights *weights;
    json_t *json;
    union {
        vka_unet_config unet;
        vka_vae_config vae;
        vka_text_config text;
    } config;
};

struct vka_model {
    char *path;
    struct part part[VKA_PARTS];
    char *scheduler_dir, *tokenizer_dir;
    bool scheduler_tried;
    vka_error scheduler_error;
    vka_scheduler_config scheduler;
    const char *family;
    vka_safetensors **files; /* every file opened so far */
    size_t file_count, file_capacity;
    const vka_safetensors *single; /* of a single-file model: files[0], or the caller's */
    const char **strangers;
    size_t stranger_count;
};

const char *vka_part_title(enum vka_part part)
{
    static const char *const titles[VKA_PARTS] = {"UNet", "VAE", "text encoder"};
    return titles[part];
}

static vka_status no_memory(const vka_model *m, vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", m->path);
}

static void copy_error(vka_error *to, const vka_error *from)
{
    if (to && to->status == VKA_OK)
        *to = *from;
}

static vka_safetensors *open_file(vka_model *m, const char *path, vka_error *err)
{
    vka_safetensors **files = vka_grow(m->files, &m->file_capacity, m->file_count + 1, sizeof(vka_safetensors *));
    if (files)
        m->files = files;
    vka_safetensors *st = files ? vka_calloc(1, sizeof *st) : NULL;
    if (!st) {
        no_memory(m, err);
        return NULL;
    }
    if (vka_model_file_open(st, path, err) != VKA_OK) {
        free(st);
        return NULL;
    }
    m->files[m->file_count++] = st;
    return st;
}

/* ---- finding the parts ---- */

enum { PATH_SIZE = 4096 }; /* no system call takes more */

/* Looking for a file allocates nothing: a model must not turn into another one because memory is short. */
static bool is_dir_at(const char *dir, const char *name)
{
    char path[PATH_SIZE];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < PATH_SIZE && vka_path_is_dir(path);
}

static bool is_file_at(const char *dir, const char *name)
{
    char path[PATH_SIZE];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < PATH_SIZE && vka_path_exists(path) && !vka_path_is_dir(path);
}

/* The folder's path where it is there, else NULL; false when memory is short. */
static bool take_dir(const char *dir, const char *name, char **path)
{
    *path = is_dir_at(dir, name) ? vka_path_join(dir, name) : NULL;
    return *path || !is_dir_at(dir, name);
}

static vka_status open_folder(vka_model *m, vka_error *err)
{
    static const char *const dirs[VKA_PARTS] = {"unet", "vae", "text_encoder"};
    bool any = false, memory = true;
    for (int p = 0; p < VKA_PARTS; p++) {
        memory = take_dir(m->path, dirs[p], &m->part[p].dir) && memory;
        any = any || m->part[p].dir;
    }
    memory = take_dir(m->path, "scheduler", &m->scheduler_dir) && memory;
    memory = take_dir(m->path, "tokenizer", &m->tokenizer_dir) && memory;
    if (is_dir_at(m->path, "text_encoder_2"))
        m->family = "sdxl";
    if (!memory)
        return no_memory(m, err);
    if (any || m->tokenizer_dir)
        return VKA_OK;
    /* One part's own folder? */
    char *config = vka_path_join(m->path, "config.json");
    vka_status s = VKA_OK;
    if (!config)
        return no_memory(m, err);
    if (vka_path_exists(config)) {
        json_t *json = vka_json_load(config, err);
        const char *class = json_string_value(json_object_get(json, "_class_name")),
                   *type = json_string_value(json_object_get(json, "model_type"));
        int p = class && strncmp(class, "UNet", 4) == 0           ? VKA_PART_UNET
                : class && strncmp(class, "Autoencoder", 11) == 0 ? VKA_PART_VAE
                : type && strcmp(type, "clip_vision_model") == 0  ? -1
                : type && strncmp(type, "clip", 4) == 0           ? VKA_PART_TEXT
                                                                  : -1;
        if (!json)
            s = VKA_E_INPUT;
        else if (p < 0)
            s = vka_fail(err, VKA_E_INPUT, "'%s' holds a %.60s, not a model", m->path,
                         class ? class : "model of another kind");
        else if (!(m->part[p].dir = vka_strdup(m->path)))
            s = no_memory(m, err);
        json_decref(json);
    } else {
        s = vka_fail(err, VKA_E_INPUT,
                     "the folder '%s' is not a diffusers model: it has no unet, vae or text_encoder in it", m->path);
    }
    free(config);
    return s;
}

/* A part is there when one of its tell-tale tensors is, under one of the prefixes in use. */
static const char *find_prefix(const vka_safetensors *st, const char *const *prefixes, const char *const *names)
{
    char name[256];
    for (size_t p = 0; prefixes[p]; p++)
        for (size_t n = 0; names[n]; n++) {
            snprintf(name, sizeof name, "%s%s", prefixes[p], names[n]);
            if (vka_safetensors_find(st, name))
                return prefixes[p];
        }
    return NULL;
}

static void find_parts(vka_model *m, const vka_safetensors *st)
{
    static const char *const unet[] = {"model.diffusion_model.", "", NULL};
    static const char *const unet_names[] = {"input_blocks.0.0.weight", "time_embed.0.weight",
                                             "time_embedding.linear_1.weight", NULL};
    static const char *const vae[] = {"first_stage_model.", "", NULL};
    static const char *const vae_names[] = {"decoder.conv_in.weight", "encoder.conv_in.weight", NULL};
    static const char *const text[] = {"cond_stage_model.transformer.", "conditioner.embedders.0.transformer.", "",
                                       NULL};
    static const char *const text_names[] = {"text_model.embeddings.token_embedding.weight",
                                             "embeddings.token_embedding.weight",
                                             "text_model.embeddings.position_embedding.weight", NULL};
    m->part[VKA_PART_UNET].prefix = find_prefix(st, unet, unet_names);
    m->part[VKA_PART_VAE].prefix = find_prefix(st, vae, vae_names);
    m->part[VKA_PART_TEXT].prefix = find_prefix(st, text, text_names);
}

/* The part with the longest prefix that the name begins with; -1: none. */
static int part_of(const vka_model *m, const char *name)
{
    int best = -1;
    for (int p = 0; p < VKA_PARTS; p++) {
        const char *prefix = m->part[p].prefix;
        if (prefix && vka_name_after(name, prefix) && (best < 0 || strlen(prefix) > strlen(m->part[best].prefix)))
            best = p;
    }
    return best;
}

static vka_status open_single(vka_model *m, const vka_safetensors *st, vka_error *err)
{
    if (!st) /* the file could not be opened */
        return err ? err->status : VKA_E_INPUT;
    m->single = st;
    vka_classification c;
    vka_classify(&c, st);
    bool model =
        c.kind == VKA_FILE_CHECKPOINT || c.kind == VKA_FILE_UNET || c.kind == VKA_FILE_VAE || c.kind == VKA_FILE_TEXT;
    if (!model && c.kind != VKA_FILE_UNKNOWN) {
        vka_fail(err, VKA_E_INPUT, "'%s' is %s, not a model", m->path, vka_file_kind_phrase(c.kind));
        if (c.kind == VKA_FILE_MOTION)
            vka_error_hint(err, "give it with --motion");
        else if (c.kind == VKA_FILE_LORA)
            vka_error_hint(err, "give it with --lora, beside a model");
        else if (c.kind == VKA_FILE_MOTION_LORA)
            vka_error_hint(err, "give it with --motion-lora, beside a model and a motion module");
        else if (c.kind == VKA_FILE_EMBEDDING)
            vka_error_hint(err, "give it with --embedding, beside a model");
        else if (c.kind == VKA_FILE_IP_ADAPTER)
            vka_error_hint(err, "give it with --ip-adapter, beside a model");
        return VKA_E_INPUT;
    }
    m->family = c.family;
    find_parts(m, st);
    if (!model || (!m->part[VKA_PART_UNET].prefix && !m->part[VKA_PART_VAE].prefix && !m->part[VKA_PART_TEXT].prefix)) {
        vka_fail(err, VKA_E_INPUT,
                 "'%s' is not a model: its tensors belong to no UNet, VAE or text encoder that is known", m->path);
        vka_error_why(err, "%s", c.note ? c.note : "");
        return VKA_E_INPUT;
    }
    m->strangers = vka_calloc(st->count + 1, sizeof *m->strangers);
    if (!m->strangers)
        return no_memory(m, err);
    for (size_t i = 0; i < st->count; i++)
        if (part_of(m, st->tensors[i].name) < 0 && !vka_name_is_ignorable(st->tensors[i].name))
            m->strangers[m->stranger_count++] = st->tensors[i].name;
    return VKA_OK;
}

static vka_model *new_model(const char *path, vka_error *err)
{
    vka_model *m = vka_calloc(1, sizeof *m);
    if (!m || !(m->path = vka_strdup(path))) {
        free(m);
        vka_fail(err, VKA_E_MEMORY, "out of memory opening '%s'", path);
        return NULL;
    }
    return m;
}

static vka_status hand_over(vka_model **out, vka_model *m, vka_status s)
{
    if (s == VKA_OK)
        *out = m;
    else
        vka_model_close(m);
    return s;
}

vka_status vka_model_open(vka_model **out, const char *path, vka_error *err)
{
    vka_error own = {0};
    *out = NULL;
    vka_model *m = new_model(path, err);
    if (!m)
        return VKA_E_MEMORY;
    vka_status s = vka_path_is_dir(path) ? open_folder(m, &own) : open_single(m, open_file(m, path, &own), &own);
    copy_error(err, &own);
    return hand_over(out, m, s != VKA_OK && own.status != VKA_OK ? own.status : s);
}

vka_status vka_model_open_parsed(vka_model **out, const vka_safetensors *st, vka_error *err)
{
    *out = NULL;
    vka_model *m = new_model(st->path, err);
    return m ? hand_over(out, m, open_single(m, st, err)) : VKA_E_MEMORY;
}

void vka_model_close(vka_model *m)
{
    if (!m)
        return;
    for (int p = 0; p < VKA_PARTS; p++) {
        vka_weights_free(m->part[p].weights);
        json_decref(m->part[p].json);
        free(m->part[p].dir);
    }
    for (size_t i = 0; i < m->file_count; i++) {
        vka_safetensors_close(m->files[i]);
        free(m->files[i]);
    }
    free(m->files);
    free(m->strangers);
    free(m->scheduler_dir);
    free(m->tokenizer_dir);
    free(m->path);
    free(m);
}

/* ---- opening a part ---- */

/* Attention projections of old VAEs are stored as 1x1 convolutions: [C, C, 1, 1] is the matrix [C, C]. */
static vka_weight flatten_attention(const vka_weight *t, const char *name)
{
    vka_weight flat = *t;
    if (strstr(name, "mid_block.attentions.0.to_") && t->rank == 4 && t->dims[2] == 1 && t->dims[3] == 1)
        flat.rank = 2;
    return flat;
}

/* Adds one tensor of a part under its diffusers name; `name` is without the part's prefix. */
static bool add_renamed(vka_weights *w, enum vka_part p, const char *name, const vka_weight *t, const vka_ldm_map *map)
{
    char out[VKA_NAME_CAP];
    enum vka_name_fate fate = p == VKA_PART_UNET  ? vka_rename_unet(out, name, map)
                              : p == VKA_PART_VAE ? vka_rename_vae(out, name, map)
                                                  : vka_rename_text(out, name);
    if (fate == VKA_NAME_IGNORE)
        return true;
    vka_weight flat = flatten_attention(t, out);
    return vka_weights_add(w, out, &flat);
}

static vka_status read_single(vka_model *m, enum vka_part p, vka_error *err)
{
    struct part *part = &m->part[p];
    vka_ldm_map *map = vka_calloc(1, sizeof *map);
    bool ok = map != NULL;
    if (ok && p == VKA_PART_UNET)
        vka_ldm_map_unet(map, m->single, part->prefix);
    else if (ok)
        vka_ldm_map_vae(map, m->single, part->prefix);
    for (size_t i = 0; ok && i < m->single->count; i++) {
        const vka_weight *t = &m->single->tensors[i];
        const char *name = vka_name_after(t->name, part->prefix);
        if (name && part_of(m, t->name) == (int)p && !vka_name_is_ignorable(t->name))
            ok = add_renamed(part->weights, p, name, t, map);
    }
    free(map);
    return ok ? vka_weights_finish(part->weights, err) : no_memory(m, err);
}

static vka_status read_file_into(vka_model *m, enum vka_part p, const char *path, vka_error *err)
{
    const vka_safetensors *st = open_file(m, path, err);
    if (!st)
        return VKA_E_INPUT;
    static const vka_ldm_map nothing;
    for (size_t i = 0; i < st->count; i++)
        if (!vka_name_is_ignorable(st->tensors[i].name) &&
            !add_renamed(m->part[p].weights, p, st->tensors[i].name, &st->tensors[i], &nothing))
            return no_memory(m, err);
    return VKA_OK;
}

/* Every name of the index must be in one of the files opened since `first`. */
static vka_status check_index(const vka_model *m, size_t first, json_t *map, const char *title, vka_error *err)
{
    vka_missing missing = {0};
    for (void *it = json_object_iter(map); it; it = json_object_iter_next(map, it)) {
        size_t f = first;
        while (f < m->file_count && !vka_safetensors_find(m->files[f], json_object_iter_key(it)))
            f++;
        if (f == m->file_count)
            vka_missing_add(&missing, json_object_iter_key(it));
    }
    return vka_missing_check(&missing, title, err);
}

static vka_status read_index(vka_model *m, enum vka_part p, const char *index_path, vka_error *err)
{
    json_t *map, *shards;
    size_t first = m->file_count;
    vka_status s = vka_shards_read(&map, &shards, index_path, err);
    for (void *it = json_object_iter(shards); s == VKA_OK && it; it = json_object_iter_next(shards, it)) {
        char *path = vka_path_join(m->part[p].dir, json_object_iter_key(it));
        s = path ? read_file_into(m, p, path, err) : no_memory(m, err);
        free(path);
    }
    if (s == VKA_OK)
        s = check_index(m, first, map, vka_weights_title(m->part[p].weights), err);
    json_decref(shards);
    json_decref(map);
    return s;
}

/* The weights of a folder: safetensors before pickles, whole before shards, the unmarked precision before fp16. */
static vka_status read_folder(vka_model *m, enum vka_part p, vka_error *err)
{
    static const struct {
        const char *suffix;
        bool index, pickle;
    } ways[] = {{".safetensors", false, false},
                {".safetensors.index.json", true, false},
                {".fp16.safetensors", false, false},
                {".safetensors.index.fp16.json", true, false},
                {".fp16.safetensors.index.json", true, false},
                {".bin", false, true},
                {".bin.index.json", true, true},
                {".fp16.bin", false, true},
                {".bin.index.fp16.json", true, true},
                {".fp16.bin.index.json", true, true}};
    struct part *part = &m->part[p];
    const char *base = p == VKA_PART_TEXT ? "model" : "diffusion_pytorch_model";
    const char *pickled = p == VKA_PART_TEXT ? "pytorch_model" : base;
    char name[96];
    char *config = vka_path_join(part->dir, "config.json");
    part->json = config ? vka_json_load(config, err) : NULL;
    vka_status s = !config ? no_memory(m, err) : part->json ? VKA_OK : VKA_E_INPUT;
    free(config);
    for (size_t i = 0; s == VKA_OK && i < sizeof ways / sizeof *ways; i++) {
        snprintf(name, sizeof name, "%s%s", ways[i].pickle ? pickled : base, ways[i].suffix);
        if (!is_file_at(part->dir, name))
            continue;
        char *path = vka_path_join(part->dir, name);
        s = !path ? no_memory(m, err) : ways[i].index ? read_index(m, p, path, err) : read_file_into(m, p, path, err);
        free(path);
        return s == VKA_OK ? vka_weights_finish(part->weights, err) : s;
    }
    if (s != VKA_OK)
        return s;
    return vka_fail(err, VKA_E_INPUT, "'%s' has no %s.safetensors", part->dir, base);
}

/* config.json beside one part's own file. */
static vka_status read_sibling_config(vka_model *m, struct part *part, vka_error *err)
{
    const char *base = vka_path_base(m->path);
    if (!vka_name_after(base, "diffusion_pytorch_model") && !vka_name_after(base, "model.") && !vka_name_after(base, "pytorch_model."))
        return VKA_OK;
    char *path = vka_asprintf("%.*sconfig.json", (int)(base - m->path), m->path);
    if (!path)
        return no_memory(m, err);
    vka_status s = VKA_OK;
    if (vka_path_exists(path) && !(part->json = vka_json_load(path, err)))
        s = VKA_E_INPUT;
    free(path);
    return s;
}

static vka_status read_config(vka_model *m, enum vka_part p, vka_error *err)
{
    struct part *part = &m->part[p];
    char *path = part->json ? vka_path_join(part->dir ? part->dir : m->path, "config.json") : NULL;
    if (part->json && !path)
        return no_memory(m, err);
    vka_status s = VKA_E_INTERNAL;
    switch (p) {
    case VKA_PART_UNET:
        s = part->json ? vka_unet_config_from_json(&part->config.unet, part->json, part->weights, path, err)
                       : vka_unet_config_infer(&part->config.unet, part->weights, err);
        break;
    case VKA_PART_VAE:
        s = part->json ? vka_vae_config_from_json(&part->config.vae, part->json, part->weights, path, err)
                       : vka_vae_config_infer(&part->config.vae, part->weights, err);
        break;
    case VKA_PART_TEXT:
        s = part->json ? vka_text_config_from_json(&part->config.text, part->json, part->weights, path, err)
                       : vka_text_config_infer(&part->config.text, part->weights, err);
        break;
    case VKA_PARTS:
        break;
    }
    free(path);
    return s;
}

static vka_status check_names(const vka_model *m, enum vka_part p, vka_error *err)
{
    const struct part *part = &m->part[p];
    vka_missing missing = {0};
    if (p == VKA_PART_UNET)
        vka_unet_missing(&missing, part->weights, &part->config.unet);
    else if (p == VKA_PART_VAE)
        vka_vae_missing(&missing, part->weights, &part->config.vae);
    else
        vka_text_missing(&missing, part->weights, &part->config.text);
    return vka_missing_check(&missing, vka_weights_title(part->weights), err);
}

static void settle_family(vka_model *m, enum vka_part p)
{
    const vka_unet_config *u = &m->part[p].config.unet;
    if (p == VKA_PART_UNET && !m->family)
        m->family = u->in_channels == 9            ? "sd15-inpaint"
                    : u->in_channels == 8          ? "sd15-pix2pix"
                    : u->cross_attention_dim == 1024 ? "sd2" : "sd15";
}

static vka_status read_part(vka_model *m, enum vka_part p, vka_error *err)
{
    struct part *part = &m->part[p];
    if (!part->dir && !part->prefix) {
        if (m->single && m->family && p == VKA_PART_TEXT && strcmp(m->family, "sd2") == 0)
            return vka_fail(err, VKA_E_INPUT, "'%s' has Stable Diffusion 2's text encoder, which is not supported",
                            m->path);
        return vka_fail(err, VKA_E_INPUT, "'%s' has no %s", m->path, vka_part_title(p));
    }
    if (p != VKA_PART_VAE && m->family && strcmp(m->family, "sdxl") == 0)
        return vka_fail(err, VKA_E_INPUT, "'%s' is an SDXL model, which is not supported", m->path);
    char *title = vka_asprintf("the %s of '%s'", vka_part_title(p), m->path);
    part->weights = title ? vka_weights_new(title) : NULL;
    free(title);
    if (!part->weights)
        return no_memory(m, err);
    vka_status s = part->dir ? read_folder(m, p, err) : read_single(m, p, err);
    if (s == VKA_OK && !part->dir && !*part->prefix)
        s = read_sibling_config(m, part, err);
    if (s == VKA_OK)
        s = read_config(m, p, err);
    if (s == VKA_OK)
        s = check_names(m, p, err);
    if (s == VKA_OK)
        settle_family(m, p);
    return s;
}

vka_weights *vka_model_weights(vka_model *m, enum vka_part p, vka_error *err)
{
    struct part *part = &m->part[p];
    if (!part->tried) {
        part->tried = true;
        read_part(m, p, &part->error);
    }
    copy_error(err, &part->error);
    return part->error.status == VKA_OK ? part->weights : NULL;
}

const vka_unet_config *vka_model_unet(vka_model *m, vka_error *err)
{
    return vka_model_weights(m, VKA_PART_UNET, err) ? &m->part[VKA_PART_UNET].config.unet : NULL;
}
const vka_vae_config *vka_model_vae(vka_model *m, vka_error *err)
{
    return vka_model_weights(m, VKA_PART_VAE, err) ? &m->part[VKA_PART_VAE].config.vae : NULL;
}
const vka_text_config *vka_model_text(vka_model *m, vka_error *err)
{
    return vka_model_weights(m, VKA_PART_TEXT, err) ? &m->part[VKA_PART_TEXT].config.text : NULL;
}

const json_t *vka_model_json(vka_model *m, enum vka_part p)
{
    return vka_model_weights(m, p, NULL) ? m->part[p].json : NULL;
}

bool vka_model_has(const vka_model *m, enum vka_part p)
{
    return m->part[p].dir || m->part[p].prefix;
}

const vka_scheduler_config *vka_model_scheduler(vka_model *m, vka_error *err)
{
    if (!m->scheduler_tried) {
        m->scheduler_tried = true;
        vka_scheduler_config_default(&m->scheduler);
        char *path = m->scheduler_dir ? vka_path_join(m->scheduler_dir, "scheduler_config.json") : NULL;
        if (m->scheduler_dir && !path)
            no_memory(m, &m->scheduler_error);
        if (path && vka_path_exists(path)) {
            json_t *json = vka_json_load(path, &m->scheduler_error);
            if (json)
                vka_scheduler_config_from_json(&m->scheduler, json, path, &m->scheduler_error);
            json_decref(json);
        }
        free(path);
        if (m->single && vka_safetensors_find(m->single, "v_pred")) /* a mark that some trainers leave */
            snprintf(m->scheduler.prediction_type, sizeof m->scheduler.prediction_type, "v_prediction");
    }
    copy_error(err, &m->scheduler_error);
    return m->scheduler_error.status == VKA_OK ? &m->scheduler : NULL;
}

const char *vka_model_path(const vka_model *m)
{
    return m->path;
}
const char *vka_model_family(const vka_model *m)
{
    return m->family;
}

const char *vka_model_tokenizer(const vka_model *m)
{
    return m->tokenizer_dir && is_file_at(m->tokenizer_dir, "vocab.json") && is_file_at(m->tokenizer_dir, "merges.txt")
               ? m->tokenizer_dir
               : NULL;
}

const char *vka_model_file(const vka_model *m, size_t i)
{
    return i < m->file_count ? m->files[i]->path : NULL;
}
const char *vka_model_stranger(const vka_model *m, size_t i)
{
    return i < m->stranger_count ? m->strangers[i] : NULL;
}
