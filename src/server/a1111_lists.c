/* a1111_lists.c - what there is, in A1111's form: models by title ("name.safetensors [hash]"), samplers, schedules, scripts.
 * */
#include "server/a1111_lists.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* A list that memory was too short for becomes NULL. */
static void add(json_t **list, json_t *value)
{
    if (!*list || json_array_append_new(*list, value) != 0) {
        if (!*list)
            json_decref(value);
        json_decref(*list);
        *list = NULL;
    }
}

void srv_a1111_title(const json_t *model, bool hash, char out[400])
{
    const char *name = text_of(model, "name"), *path = text_of(model, "path"), *dot = strrchr(path, '.'),
               *short_hash = text_of(model, "hash");
    bool file = json_is_integer(json_object_get(model, "bytes"));
    snprintf(out, 400, "%.300s%.20s%s%.16s%s", name, file && dot ? dot : "", hash && *short_hash ? " [" : "",
             hash ? short_hash : "", hash && *short_hash ? "]" : "");
}

static bool is_of(const json_t *model, const char *kind)
{
    return strcmp(text_of(model, "kind"), kind) == 0;
}

const json_t *srv_a1111_model(const json_t *models, const char *kind, const char *name)
{
    const json_t *list = json_object_get(models, "models");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        char title[400], bare[400];
        srv_a1111_title(m, true, title);
        srv_a1111_title(m, false, bare);
        if (!is_of(m, kind))
            continue;
        if (srv_a1111_same(name, title) || srv_a1111_same(name, bare) || srv_a1111_same(name, text_of(m, "name")) ||
            (*text_of(m, "hash") && (srv_a1111_same(name, text_of(m, "hash")) || srv_a1111_same(name, text_of(m, "sha256")))))
            return m;
    }
    return NULL;
}

/* Whether a model of that name and kind stands before it: names mean the first one. */
static bool is_again(const json_t *list, size_t i)
{
    const json_t *m = json_array_get(list, i);
    for (size_t k = 0; k < i; k++) {
        const json_t *before = json_array_get(list, k);
        if (is_of(before, text_of(m, "kind")) && strcmp(text_of(before, "name"), text_of(m, "name")) == 0 &&
            strcmp(text_of(before, "path"), text_of(m, "path")) == 0)
            return true;
    }
    return false;
}

static json_t *hash_json(const json_t *model, const char *key)
{
    const char *text = text_of(model, key);
    return *text ? json_string(text) : json_null();
}

json_t *srv_a1111_list_models(const json_t *models, const char *kind, enum srv_a1111_list form)
{
    const json_t *list = json_object_get(models, "models");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        char title[400], bare[400];
        srv_a1111_title(m, true, title);
        srv_a1111_title(m, false, bare);
        if (*text_of(m, "problem") || !is_of(m, kind) || is_again(list, i))
            continue;
        if (form == A1111_CHECKPOINTS)
            add(&out, json_pack("{s:s, s:s, s:o, s:o, s:s, s:n}", "title", title, "model_name", text_of(m, "name"), "hash",
                                hash_json(m, "hash"), "sha256", hash_json(m, "sha256"), "filename", bare, "config"));
        else if (form == A1111_VAES)
            add(&out, json_pack("{s:s, s:s}", "model_name", bare, "filename", bare));
        else if (form == A1111_LORAS)
            add(&out, json_pack("{s:s, s:s, s:s, s:{}}", "name", text_of(m, "name"), "alias", text_of(m, "name"), "path", bare,
                                "metadata"));
        else
            add(&out, json_string(title));
    }
    return out;
}

json_t *srv_a1111_list_embeddings(const json_t *models)
{
    const json_t *list = json_object_get(models, "models");
    json_t *loaded = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *name = text_of(m, "name"), *slash = strrchr(name, '/');
        if (!*text_of(m, "problem") && is_of(m, "embedding"))
            json_object_set_new(loaded, slash ? slash + 1 : name,
                                json_pack("{s:n, s:n, s:n, s:i, s:i}", "step", "sd_checkpoint", "sd_checkpoint_name", "shape",
                                          768, "vectors", 1));
    }
    return json_pack("{s:o, s:{}}", "loaded", loaded, "skipped");
}

static void add_sampler(void *user, const char *value, const char *label)
{
    add(user, json_pack("{s:s, s:[s], s:{}}", "name", label, "aliases", value, "options"));
}

static void add_schedule(void *user, const char *value, const char *label)
{
    char name[40];
    srv_a1111_short_name(label, name);
    add(user, json_pack("{s:s, s:s, s:[s], s:f, s:b}", "name", name, "label", label, "aliases", value, "default_rho", -1.0,
                        "need_inner_model", 0));
}

json_t *srv_a1111_list_samplers(void)
{
    json_t *list = json_array();
    srv_a1111_each_value("sampler", add_sampler, &list);
    return list;
}

json_t *srv_a1111_list_schedulers(void)
{
    json_t *list = json_array();
    srv_a1111_each_value("schedule", add_schedule, &list);
    return list;
}

json_t *srv_a1111_list_upscalers(bool latent)
{
    json_t *list = json_array();
    const char *name;
    for (size_t i = 0; (name = srv_a1111_upscaler_name(i, latent)) != NULL; i++)
        add(&list,
            latent ? json_pack("{s:s}", "name", name)
                   : json_pack("{s:s, s:n, s:n, s:n, s:i}", "name", name, "model_name", "model_path", "model_url", "scale", 4));
    return list;
}

/* The last one is none of ours: it is how clients see that ControlNet is there, and webuiapi sends the units of an earlier
 * request again where it does not. */
json_t *srv_a1111_list_scripts(void)
{
    return json_pack("{s:[s, s, s], s:[s, s, s]}", "txt2img", "animatediff", "controlnet", "controlnet m2m", "img2img",
                     "animatediff", "controlnet", "controlnet m2m");
}

json_t *srv_a1111_list_script_info(void)
{
    json_t *list = json_array();
    for (int image = 0; image < 2; image++) {
        add(&list, json_pack("{s:s, s:b, s:b, s:o}", "name", "animatediff", "is_alwayson", 1, "is_img2img", image, "args",
                             srv_a1111_unit_members()));
        add(&list, json_pack("{s:s, s:b, s:b, s:[]}", "name", "controlnet", "is_alwayson", 1, "is_img2img", image, "args"));
    }
    return list;
}
