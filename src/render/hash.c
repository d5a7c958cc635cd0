/* hash.c - hashes of model files, kept by file identity; and what a report says about models and settings. */
#include "render/setup.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* The cache: one JSON object, "path" -> {"id": "size-mtime-inode", "sha256": hex}. */
static json_t *cache_open(char **path)
{
    char *dir = vka_cache_dir();
    *path = dir ? vka_path_join(dir, "hashes.json") : NULL;
    free(dir);
    json_t *j = *path && vka_path_exists(*path) ? vka_json_load(*path, NULL) : NULL;
    return j ? j : json_object();
}

static vka_status hash_file(json_t *cache, bool *changed, const char *path, char hex[65], vka_error *err)
{
    char id[96], *full = vka_file_identity(path, id);
    if (!full) {
        return vka_fail(err, VKA_E_INPUT, "cannot read '%s'", path);
    }
    const json_t *entry = json_object_get(cache, full);
    const char *known = json_string_value(json_object_get(entry, "id")), *sha = json_string_value(json_object_get(entry, "sha256"));
    if (known && sha && !strcmp(known, id) && strlen(sha) == 64)
        memcpy(hex, sha, 65);
    else {
        vka_map map;
        vka_status st = vka_map_open(&map, full, err);
        if (st != VKA_OK) {
            free(full);
            return st;
        }
        vka_sha256 s;
        vka_sha256_init(&s);
        vka_sha256_add(&s, map.data, map.size);
        vka_sha256_hex(&s, hex);
        vka_map_close(&map);
        json_object_set_new(cache, full, json_pack("{s:s, s:s}", "id", id, "sha256", hex));
        *changed = true;
    }
    free(full);
    return VKA_OK;
}

static vka_status add_file(json_t *list, json_t *cache, bool *changed, const char *path, const char *kind,
                           const char *family, const char *variant, bool paths, vka_error *err)
{
    char hex[65];
    vka_status st = hash_file(cache, changed, path, hex, err);
    if (st != VKA_OK)
        return st;
    json_t *entry = json_pack("{s:s, s:s?, s:s}", "kind", kind, "family", family, "sha256", hex);
    if (variant)
        json_object_set_new(entry, "variant", json_string(variant));
    json_object_set_new(entry, paths ? "path" : "name", json_string(paths ? path : vka_path_base(path)));
    json_array_append_new(list, entry);
    return VKA_OK;
}

json_t *vka_setup_models_json(const struct vka_setup *s, bool paths, vka_error *err)
{
    char *path;
    json_t *list = json_array(), *cache = cache_open(&path);
    bool changed = false;
    vka_status st = VKA_OK;
    const char *file, *family = vka_model_family(s->model);
    for (size_t i = 0; st == VKA_OK && (file = vka_model_file(s->model, i)); i++)
        st = add_file(list, cache, &changed, file, "checkpoint", family, NULL, paths, err);
    if (s->vae_model != s->model)
        for (size_t i = 0; st == VKA_OK && (file = vka_model_file(s->vae_model, i)); i++)
            st = add_file(list, cache, &changed, file, "vae", family, NULL, paths, err);
    if (st == VKA_OK && s->motion) /* it fits the UNet, so it is of its family */
        st = add_file(list, cache, &changed, vka_motion_file(s->motion), "motion-module", family ? family : "sd15",
                      vka_motion_variant_name(s->motion_info->variant), paths, err);
    if (changed && path) {
        char *text = json_dumps(cache, JSON_COMPACT | JSON_SORT_KEYS);
        if (text)
            vka_write_file(path, text, strlen(text), NULL); /* a cache that cannot be written is only slower */
        free(text);
    }
    json_decref(cache);
    free(path);
    if (st != VKA_OK) {
        json_decref(list);
        return NULL;
    }
    return list;
}

json_t *vka_setup_settings_json(const struct vka_setup *s, uint64_t seed, bool f16)
{
    const vka_sampler_params *p = &s->sampling;
    const struct vka_job *j = s->job;
    json_t *o = json_object();
    char beta[80];
    snprintf(beta, sizeof beta, "%s:%.10g:%.10g", vka_beta_name(p->beta), p->beta_start, p->beta_end);
    for (char *c = beta; *c; c++) /* some locales write a comma */
        if (*c == ',')
            *c = '.';
    json_object_set_new(o, "prompt", json_string(j->prompt ? j->prompt : ""));
    json_object_set_new(o, "negative", json_string(j->negative ? j->negative : ""));
    json_object_set_new(o, "width", json_integer(s->width));
    json_object_set_new(o, "height", json_integer(s->height));
    json_object_set_new(o, "frames", json_integer(s->frames));
    json_object_set_new(o, "fps", json_real(s->fps));
    json_object_set_new(o, "seed", json_integer((json_int_t)seed));
    json_object_set_new(o, "rng", json_string(vka_rng_kind_name(s->rng)));
    json_object_set_new(o, "noise-layout", json_string(vka_noise_layout_name(s->layout)));
    json_object_set_new(o, "steps", json_integer(p->steps));
    json_object_set_new(o, "cfg", json_real(s->cfg));
    json_object_set_new(o, "sampler", json_string(vka_sampler_name(p->sampler)));
    json_object_set_new(o, "schedule", json_string(vka_schedule_name(vka_sampler_schedule(s->sampler))));
    json_object_set_new(o, "beta", json_string(beta));
    json_object_set_new(o, "norm", json_string(s->norms.motion_joint ? "diffusers" : "original"));
    json_object_set_new(o, "precision", json_string(f16 ? "f16" : "f32"));
    json_object_set_new(o, "clip-skip", json_integer(s->skip + 1));
    return o;
}
