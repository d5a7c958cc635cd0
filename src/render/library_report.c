/* library_report.c - `vkanim models`: what lies in the folders of models, each file judged by its header alone.
 *
 * What was found out is kept in the cache folder, library.json: "path" -> {"id", "by", and what `judge` puts in}, so that the
 * next listing reads no file.  Sidecars, which are small and change by themselves, are read every time. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "render/context.h"
#include "render/filehash.h"
#include "render/library.h"
#include "render/report.h"
#include "weights/file.h"
#include "weights/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORM = 1, MOST_TAGS = 8, MOST_SIDECAR = 4 << 20, MOST_TAG_TEXT = 16 << 20 };
static const double quiet_s = 0.7; /* a listing that takes longer shows how far it is */

/* ---- a file's header --------------------------------------------------------------------------------------------- */

struct tag {
    const char *name;
    json_int_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct tag *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->name, y->name);
}

static json_int_t added(const json_t *a, const json_t *b)
{
    enum { MOST = 1000000000 };
    json_int_t sum = json_integer_value(a) + (json_integer_value(b) < MOST ? json_integer_value(b) : MOST);
    return sum < 0 ? 0 : sum < MOST ? sum : MOST;
}

/* The tags that a LoRA's training pictures had most: {"folder": {"tag": count}}, counts of a tag added up. */
static json_t *training_tags(const char *text)
{
    json_t *list = json_array(), *sets = text && strlen(text) < MOST_TAG_TEXT ? json_loads(text, 0, NULL) : NULL,
           *sums = json_object(), *tags, *count;
    const char *set, *name;
    bool whole = list && sums;
    json_object_foreach(sets, set, tags)
        json_object_foreach(tags, name, count)
            if (json_is_integer(count))
                vka_report_put(&whole, sums, name,
                               json_integer(added(json_object_get(sums, name), count)));
    size_t n = 0, all = json_object_size(sums);
    struct tag *sorted = all ? vka_calloc(all, sizeof *sorted) : NULL;
    if (sorted)
        json_object_foreach(sums, name, count)
            sorted[n++] = (struct tag){name, json_integer_value(count)};
    if (n)
        qsort(sorted, n, sizeof *sorted, by_count);
    for (size_t i = 0; i < n && i < MOST_TAGS; i++)
        vka_report_add(&whole, list, json_string(sorted[i].name));
    free(sorted);
    json_decref(sets);
    json_decref(sums);
    return list;
}

/* {"kind", "family", "variant", "problem", "trigger", "tags", "title"}: those that there are. */
static json_t *judge(const struct vka_library_entry *e)
{
    vka_safetensors st = {0};
    vka_inspection x = {0};
    vka_error err = {0};
    json_t *o = json_object(), *tags = NULL;
    bool whole = o != NULL;
    vka_status s = e->is_folder ? vka_inspect(&x, e->path, &err) : vka_model_file_open(&st, e->path, &err);
    const char *trigger = NULL, *title = NULL, *tag_text = NULL;
    if (s == VKA_OK && !e->is_folder) {
        s = vka_inspect_parsed(&x, &st, e->path, &err);
        trigger = vka_safetensors_metadata(&st, "modelspec.trigger_phrase");
        title = vka_safetensors_metadata(&st, "modelspec.title");
        tag_text = vka_safetensors_metadata(&st, "ss_tag_frequency");
    }
    vka_report_put(&whole, o, "kind", json_string(s == VKA_OK ? vka_file_kind_name(x.kind) : "unknown"));
    if (s == VKA_OK && x.family)
        vka_report_put(&whole, o, "family", json_string(x.family));
    if (s == VKA_OK && x.variant)
        vka_report_put(&whole, o, "variant", json_string(x.variant));
    if (trigger && *trigger)
        vka_report_put(&whole, o, "trigger", json_string(trigger));
    if (title && *title)
        vka_report_put(&whole, o, "title", json_string(title));
    if (tag_text && (tags = training_tags(tag_text)) != NULL)
        vka_report_put(&whole, o, "tags", tags);
    if (s != VKA_OK)
        vka_report_put(&whole, o, "problem", json_sprintf("%s%s%s", err.what, err.why[0] ? ": " : "", err.why));
    vka_inspection_free(&x);
    vka_safetensors_close(&st);
    if (whole && s != VKA_E_MEMORY)
        return o;
    json_decref(o);
    return NULL;
}

/* ---- sidecars: NAME.json as A1111 writes it, NAME.civitai.info as its helpers do ----------------------------------- */

static json_t *read_sidecar(const struct vka_library_entry *e, const char *end)
{
    char *path = e->is_folder ? NULL : vka_asprintf("%.*s%s", (int)vka_library_stem(e->path), e->path, end), *text = NULL;
    size_t size;
    json_t *o = NULL;
    if (path && vka_path_exists(path) && vka_read_file(path, MOST_SIDECAR, &text, &size, NULL) == VKA_OK)
        o = json_loadb(text, size, 0, NULL);
    free(text);
    free(path);
    return o;
}

static void add_trigger(bool *whole, json_t *list, const char *text)
{
    for (size_t i = 0; text && i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return;
    if (text && *text)
        vka_report_add(whole, list, json_string(text));
}

static json_t *triggers(bool *whole, const struct vka_library_entry *e, const json_t *facts)
{
    json_t *list = json_array(), *own = read_sidecar(e, ".json"), *civitai = read_sidecar(e, ".civitai.info");
    const json_t *words = json_object_get(civitai, "trainedWords");
    add_trigger(whole, list, json_string_value(json_object_get(facts, "trigger")));
    add_trigger(whole, list, json_string_value(json_object_get(own, "activation text")));
    for (size_t i = 0; i < json_array_size(words); i++)
        add_trigger(whole, list, json_string_value(json_array_get(words, i)));
    json_decref(own);
    json_decref(civitai);
    return list;
}

/* ---- the list ------------------------------------------------------------------------------------------------------- */

struct listing {
    struct vka_context *cx;
    const vka_models_query *query;
    struct vka_library lib;
    json_t *facts, *hashes, *models; /* the two caches, and what is listed */
    char *facts_path, *hashes_path;
    bool facts_changed, hashes_changed, whole;
    double began;
    bool shown; /* progress */
};

static bool is_asked_for(const struct listing *l, const struct vka_library_entry *e)
{
    bool asked = !l->query->name_count;
    for (size_t i = 0; i < l->query->name_count && !asked; i++)
        asked = vka_library_contains(e->name, l->query->names[i]);
    return asked;
}

/* What is known of a file, from the cache or from the file; NULL when memory is short.  Borrowed. */
static const json_t *facts_of(struct listing *l, const struct vka_library_entry *e, const char *full, const char *id)
{
    const json_t *known = json_object_get(l->facts, full);
    const char *known_id = json_string_value(json_object_get(known, "id"));
    const char *by = json_string_value(json_object_get(known, "by"));
    if (known_id && by && strcmp(known_id, id) == 0 && strcmp(by, vka_version()) == 0 &&
        json_integer_value(json_object_get(known, "form")) == FORM)
        return known;
    json_t *fresh = judge(e);
    bool whole = fresh != NULL;
    vka_report_put(&whole, fresh, "id", json_string(id));
    vka_report_put(&whole, fresh, "by", json_string(vka_version()));
    vka_report_put(&whole, fresh, "form", json_integer(FORM));
    if (!whole) {
        json_decref(fresh);
        return NULL;
    }
    l->facts_changed = true;
    return json_object_set_new(l->facts, full, fresh) == 0 ? fresh : NULL;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* The hashes of a file: those that are known, with --hash all. */
static vka_status put_hashes(struct listing *l, const struct vka_library_entry *e, json_t *o, bool lora, vka_error *err)
{
    char sha[65] = "", upper[11] = "", legacy[9] = "", addnet[13] = "";
    bool known = !e->is_folder && vka_hash_known(l->hashes, e->path, sha);
    if (!known && !e->is_folder && l->query->hash) {
        vka_status st = vka_hash_of(l->hashes, e->path, NULL, sha, &l->hashes_changed, err);
        if (st != VKA_OK)
            return st == VKA_E_MEMORY ? st : VKA_OK; /* gone since it was found */
        known = true;
    }
    for (int i = 0; known && i < 10; i++)
        upper[i] = (char)(sha[i] >= 'a' && sha[i] <= 'f' ? sha[i] - 'a' + 'A' : sha[i]);
    vka_report_put(&l->whole, o, "sha256", text_or_null(known ? sha : NULL));
    vka_report_put(&l->whole, o, "hash", known ? json_sprintf("%.10s", sha) : json_null());
    vka_report_put(&l->whole, o, "autov2", text_or_null(known ? upper : NULL));
    if (!l->query->hash || e->is_folder)
        return VKA_OK;
    vka_report_put(&l->whole, o, "legacy_hash", text_or_null(vka_hash_legacy(e->path, legacy) ? legacy : NULL));
    if (lora)
        vka_report_put(&l->whole, o, "lora_hash", text_or_null(vka_hash_addnet(e->path, addnet) ? addnet : NULL));
    return VKA_OK;
}

static vka_status list_entry(struct listing *l, const struct vka_library_entry *e, vka_error *err)
{
    char id[96], *full = vka_file_identity(e->path, id);
    if (!full) /* gone, or a link to nowhere */
        return VKA_OK;
    const json_t *facts = facts_of(l, e, full, id), *tags = json_object_get(facts, "tags");
    free(full);
    if (!facts)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    const char *kind = json_string_value(json_object_get(facts, "kind"));
    if (l->query->kind && (!kind || strcmp(kind, l->query->kind) != 0))
        return VKA_OK;
    json_t *o = json_object();
    size_t stem = e->is_folder ? strlen(e->name) : vka_library_stem(e->name);
    char *name = vka_asprintf("%.*s", (int)stem, e->name);
    l->whole = l->whole && o && name;
    vka_report_put(&l->whole, o, "name", name ? vka_report_path(name) : NULL);
    vka_report_put(&l->whole, o, "kind", text_or_null(kind));
    vka_report_put(&l->whole, o, "family", text_or_null(json_string_value(json_object_get(facts, "family"))));
    vka_report_put(&l->whole, o, "variant", text_or_null(json_string_value(json_object_get(facts, "variant"))));
    vka_report_put(&l->whole, o, "path", vka_report_path(e->path));
    vka_report_put(&l->whole, o, "bytes", e->is_folder ? json_null() : json_integer((json_int_t)strtoull(id, NULL, 10)));
    vka_status st = put_hashes(l, e, o, kind && strstr(kind, "lora"), err);
    vka_report_put(&l->whole, o, "title", text_or_null(json_string_value(json_object_get(facts, "title"))));
    vka_report_put(&l->whole, o, "triggers", triggers(&l->whole, e, facts));
    vka_report_put(&l->whole, o, "tags", tags ? json_deep_copy(tags) : json_array());
    vka_report_put(&l->whole, o, "problem", text_or_null(json_string_value(json_object_get(facts, "problem"))));
    vka_report_add(&l->whole, l->models, o);
    free(name);
    return st == VKA_OK && !l->whole ? vka_fail(err, VKA_E_MEMORY, "out of memory") : st;
}

static vka_status list_all(struct listing *l, vka_error *err)
{
    size_t total = 0, done = 0;
    vka_status st = VKA_OK;
    for (size_t i = 0; i < l->lib.count; i++)
        total += is_asked_for(l, &l->lib.entries[i]);
    for (size_t i = 0; st == VKA_OK && i < l->lib.count; i++) {
        if (!is_asked_for(l, &l->lib.entries[i]))
            continue;
        if (vka_context_cancelled(l->cx))
            return vka_fail(err, VKA_E_STOPPED, "stopped");
        st = list_entry(l, &l->lib.entries[i], err);
        done++;
        if (!l->shown && vka_now() - l->began > quiet_s && done < total) {
            l->shown = true;
            vka_context_stage(l->cx, "models", (unsigned)total);
        }
        if (l->shown)
            vka_context_done(l->cx, (unsigned)done);
    }
    return st;
}

static json_t *folders_json(struct listing *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->lib.folder_count; i++) {
        const struct vka_library_folder *f = &l->lib.folders[i];
        json_t *o = json_pack("{s:s, s:I}", "layout", f->layout, "models", (json_int_t)f->models);
        vka_report_put(&l->whole, o, "path", vka_report_path(f->path));
        vka_report_add(&l->whole, list, o);
    }
    return list;
}

static vka_status check_found(const struct listing *l, vka_error *err)
{
    if (json_array_size(l->models) || !l->query->name_count)
        return VKA_OK;
    const char *name = l->query->names[0];
    vka_fail(err, VKA_E_INPUT, "no model in the folders of models has '%.100s' in its name%s", name,
             l->query->kind ? " and is of that kind" : "");
    vka_error_hint(err, "'vkanim models' lists all that there are");
    return VKA_E_INPUT;
}

vka_status vka_models(vka_context *cx, const vka_models_query *query, char **report, vka_error *err)
{
    static const vka_models_query all = {0};
    struct listing l = {.cx = cx, .query = query ? query : &all, .whole = true};
    *report = NULL;
    vka_context_begin(cx);
    l.began = vka_now();
    l.models = json_array();
    l.facts = vka_cache_load("library.json", &l.facts_path);
    l.hashes = vka_cache_load("hashes.json", &l.hashes_path);
    vka_status st = vka_library_scan(&l.lib, err);
    if (st == VKA_OK)
        st = list_all(&l, err);
    if (l.facts_changed)
        vka_cache_store(l.facts_path, l.facts);
    if (l.hashes_changed)
        vka_cache_store(l.hashes_path, l.hashes);
    if (st == VKA_OK && l.lib.note[0])
        vka_logf(&cx->log, VKA_LOG_WARN, "%s", l.lib.note);
    if (st == VKA_OK && l.lib.cut)
        vka_logf(&cx->log, VKA_LOG_WARN, "there is more in the folders of models than %zu models: the rest is left out",
                 l.lib.count);
    if (st == VKA_OK)
        st = check_found(&l, err);
    if (st == VKA_OK) {
        json_t *o = vka_report_begin("models");
        vka_report_put(&l.whole, o, "folders", folders_json(&l));
        vka_report_put(&l.whole, o, "models", json_incref(l.models));
        *report = l.whole ? vka_report_end(o) : NULL;
        if (!l.whole)
            json_decref(o);
        if (!*report)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    vka_library_free(&l.lib);
    json_decref(l.models);
    json_decref(l.facts);
    json_decref(l.hashes);
    free(l.facts_path);
    free(l.hashes_path);
    return st;
}
