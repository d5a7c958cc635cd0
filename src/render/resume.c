/* resume.c - see resume.h; and the commands that continue a job and list those there are.
 *
 * job.json: {"schema": 1, "vkanim", "id", "created", "folder": where it was begun, "job": as --job takes it, "same":
 * {...}, "models": [{"path", "id", "sha256"}], "files": {option: sha256}, "tokens": sha256 of the prompts' ids,
 * "decided": {...}, "check"}.
 *
 * The encoded prompts are not kept: the text encoder gives the same bits again, in the time of about one step, and the
 * report and the animations name its file anyway. */
#include "render/resume.h"

#include "base/mem.h"
#include "render/setup_ip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1 };

/* ---- what must be the same ------------------------------------------------------------------------------ */

static json_t *same_json(const struct vka_work *w)
{
    char kernels[65], uuid[33], matrix[48], version[16];
    vka_kernels_hash(kernels);
    for (size_t i = 0; i < sizeof w->info.driver_uuid; i++)
        snprintf(uuid + 2 * i, 3, "%02x", w->info.driver_uuid[i]);
    snprintf(matrix, sizeof matrix, "%ux%ux%u", w->table.matrix.m, w->table.matrix.n, w->table.matrix.k);
    snprintf(version, sizeof version, "%08" PRIx32, w->info.driver_version);
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "device", w->info.name, "driver", w->info.driver,
                     "driver_version", version, "driver_uuid", uuid, "kernel_table", (int)w->table.id, "path",
                     vka_path_name(w->table.path), "precision", w->f16 ? "f16" : "f32", "matrix", matrix, "kernels",
                     kernels);
}

static void add_number(vka_sha256 *sha, double v)
{
    vka_sha256_add(sha, &v, sizeof v);
}

/* What came out of the models' small files, which nothing hashes as files: their configs, the sampler's every number,
 * and the settings. */
static json_t *decided_json(const struct vka_work *w)
{
    static const enum vka_part parts[] = {VKA_PART_TEXT, VKA_PART_UNET, VKA_PART_VAE};
    const struct vka_setup *s = &w->setup;
    char configs[65], sampler[65];
    vka_sha256 sha;
    vka_sha256_init(&sha);
    for (size_t i = w->job->embeds ? 1 : 0; i < sizeof parts / sizeof *parts; i++) { /* not to open what is not used */
        const json_t *config = vka_model_json(parts[i] == VKA_PART_VAE ? s->vae_model : s->model, parts[i]);
        char *text = config ? json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
        vka_sha256_add(&sha, text ? text : "", text ? strlen(text) + 1 : 1);
        free(text);
    }
    vka_sha256_hex(&sha, configs);
    vka_sha256_init(&sha);
    add_number(&sha, vka_sampler_init_noise_scale(s->sampler));
    for (uint32_t i = 0; i < vka_sampler_evals(s->sampler); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s->sampler, i);
        add_number(&sha, e->timestep);
        add_number(&sha, e->input_scale);
        add_number(&sha, e->draws_noise);
        for (uint32_t o = 0; o < e->ops; o++) {
            add_number(&sha, e->op[o].out);
            for (uint32_t t = 0; t < e->op[o].terms; t++) {
                add_number(&sha, e->op[o].slot[t]);
                add_number(&sha, e->op[o].coef[t]);
            }
        }
    }
    vka_sha256_hex(&sha, sampler);
    json_t *o = json_pack("{s:s, s:s}", "configs", configs, "sampler", sampler);
    bool whole = true;
    vka_report_put(&whole, o, "settings", vka_setup_settings_json(s, 0, w->f16));
    if (!whole) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static vka_status check_decided(const struct vka_state *s, const struct vka_work *w, vka_error *err)
{
    json_t *now = decided_json(w), *then = json_object_get(s->facts, "decided");
    const char *key = NULL;
    json_t *value;
    bool same = now && json_equal(then, now);
    if (!now)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status st =
        same ? VKA_OK : vka_fail(err, VKA_E_INPUT, "the model is not set up as it was when the job %s began", s->id);
    if (!same) {
        json_object_foreach(
            json_object_get(then, "settings"), key,
            value) if (!json_equal(value, json_object_get(json_object_get(now, "settings"), key))) break;
        vka_error_why(err, key ? "--%.60s would be another" : "a config file in the model's folder has changed%s",
                      key ? key : "");
        vka_error_hint(err, "put the model's files back, or render it anew");
    }
    json_decref(now);
    return st;
}

static const struct {
    const char *key, *words, *hint;
} sameness[] = {
    {"device", "device", "--device with a part of its name, or render it anew"},
    {"driver", "driver", "go back to that driver, or render it anew"},
    {"driver_version", "version of the driver", "go back to that driver, or render it anew"},
    {"driver_uuid", "build of the driver", "go back to that driver, or render it anew"},
    {"path", "kernel path", "render it anew"},
    {"precision", "precision", "render it anew"},
    {"matrix", "matrix fragment", "render it anew"},
    {"kernel_table", "kernel table", "the vkanim that began it, or render it anew"},
    {"kernels", "build of the kernels", "the vkanim that began it, or render it anew"},
};

vka_status vka_resume_check_device(const struct vka_state *s, const struct vka_work *w, vka_error *err)
{
    json_t *now = same_json(w), *then = json_object_get(s->facts, "same");
    vka_status st = now ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; st == VKA_OK && i < sizeof sameness / sizeof *sameness; i++) {
        json_t *a = json_object_get(then, sameness[i].key), *b = json_object_get(now, sameness[i].key);
        if (json_equal(a, b))
            continue;
        st = vka_fail(err, VKA_E_USAGE,
                      "the job %s cannot go on with the same bits: the %s is not the one that it began with", s->id,
                      sameness[i].words);
        char *x = a ? json_dumps(a, JSON_ENCODE_ANY) : NULL, *y = json_dumps(b, JSON_ENCODE_ANY);
        vka_error_why(err, "it was %.200s, now it is %.200s", x ? x : "not said", y ? y : "not known");
        vka_error_hint(err, "%s", sameness[i].hint);
        free(x);
        free(y);
    }
    json_decref(now);
    return st == VKA_OK && w->setup.sampler ? check_decided(s, w, err) : st;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static bool file_sha256(const char *path, char hex[65])
{
    vka_map map;
    vka_sha256 sha;
    if (vka_map_open(&map, path, NULL) != VKA_OK)
        return false;
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, map.data, map.size);
    vka_sha256_hex(&sha, hex);
    vka_map_close(&map);
    return true;
}

static void tokens_sha256(const struct vka_work *w, char hex[65])
{
    const struct vka_texts *t = &w->texts;
    const struct vka_prompts *p = &w->prompts;
    vka_sha256 sha;
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, t->ids, (size_t)t->chunks * t->length * sizeof *t->ids);
    vka_sha256_add(&sha, t->chunk, t->cells * sizeof *t->chunk);
    vka_sha256_add(&sha, t->weight, (size_t)t->cells * t->length * sizeof *t->weight);
    vka_sha256_add(&sha, p->row, (size_t)p->clips * (1 + p->conds) * p->steps * sizeof *p->row);
    vka_sha256_add(&sha, p->weight, (size_t)p->clips * p->conds * sizeof *p->weight);
    vka_sha256_hex(&sha, hex);
}

/* The pictures of frames with a picture of their own, one after the other. */
static bool keyframes_sha256(const struct vka_job *job, char hex[65])
{
    vka_sha256 sha;
    vka_sha256_init(&sha);
    bool good = true;
    for (size_t i = 0; good && i < job->keyframe.count; i++) {
        const char *at = strchr(job->keyframe.items[i], '=');
        good = at && vka_pictures_sha256(at + 1, hex, NULL) == VKA_OK;
        if (good)
            vka_sha256_add(&sha, hex, 64);
    }
    vka_sha256_hex(&sha, hex);
    return good;
}

/* What image prompts are shown, as the image encoder takes it: so it is the pictures that count, not where they come from. */
static void pictures_sha256(const struct vka_setup *s, char hex[65])
{
    const vka_vision_config *c = vka_vision_describe(s->vision);
    vka_sha256 sha;
    vka_sha256_init(&sha);
    for (size_t i = 0; i < s->ip_count; i++)
        vka_sha256_add(&sha, s->ips[i].patches, (size_t)s->ips[i].pictures * 3 * c->image * c->image * sizeof(float));
    vka_sha256_hex(&sha, hex);
}

/* The tensor files of a job by option, and its pictures; small enough to be hashed at once. */
static json_t *files_json(const struct vka_work *w)
{
    const struct vka_job *job = w->job;
    const struct {
        const char *name, *path;
    } files[] = {{"noise", job->noise}, {"step-noise", job->step_noise}, {"embeds", job->embeds}},
      pictures[] = {{"init", job->init}, {"init-last", job->init_last}, {"init-video", job->init_video}, {"mask", job->mask}};
    json_t *o = json_object();
    bool whole = o != NULL;
    char hex[65];
    for (size_t i = 0; o && i < sizeof files / sizeof *files; i++)
        if (files[i].path && file_sha256(files[i].path, hex))
            vka_report_put(&whole, o, files[i].name, json_string(hex));
    for (size_t i = 0; o && i < sizeof pictures / sizeof *pictures; i++)
        if (pictures[i].path && vka_pictures_sha256(pictures[i].path, hex, NULL) == VKA_OK)
            vka_report_put(&whole, o, pictures[i].name, json_string(hex));
    if (o && job->keyframe.count && keyframes_sha256(job, hex))
        vka_report_put(&whole, o, "keyframe", json_string(hex));
    if (o && w->setup.ip_count) {
        pictures_sha256(&w->setup, hex);
        vka_report_put(&whole, o, "ip-adapter", json_string(hex));
    }
    if (!whole) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static vka_status changed(const char *path, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "'%.300s' is not the file that the job began with", path);
    vka_error_why(err, "%s", why);
    vka_error_hint(err, "put that file back, or render it anew");
    return VKA_E_INPUT;
}

static vka_status check_models(const struct vka_state *s, struct vka_setup *setup, vka_error *err)
{
    bool all;
    json_t *then = json_object_get(s->facts, "models"), *now = vka_setup_identities_json(setup, &all), *hashes = NULL;
    vka_status st = now ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && json_array_size(then) != json_array_size(now))
        st = vka_fail(err, VKA_E_INPUT, "the model has %zu files, %zu when the job began", json_array_size(now),
                      json_array_size(then));
    for (size_t i = 0; st == VKA_OK && i < json_array_size(now); i++) {
        json_t *a = json_array_get(then, i), *b = json_array_get(now, i);
        const char *path = json_string_value(json_object_get(b, "path")),
                   *hash = json_string_value(json_object_get(a, "sha256"));
        if (json_equal(json_object_get(a, "id"), json_object_get(b, "id")) &&
            json_equal(json_object_get(a, "path"), json_object_get(b, "path")))
            continue;
        if (!hash) {
            st = changed(path, "its size, time or place is another, and the job was stopped before its hash was known",
                         err);
            break;
        }
        if (!hashes)
            hashes = vka_setup_models_json(setup, true, err); /* waits */
        const char *other = json_string_value(json_object_get(json_array_get(hashes, i), "sha256"));
        if (!hashes)
            st = err ? err->status : VKA_E_INPUT;
        else if (!other || strcmp(other, hash) != 0)
            st = changed(path, "its SHA-256 is another", err);
    }
    json_decref(hashes);
    json_decref(now);
    return st;
}

vka_status vka_resume_check_files(const struct vka_state *s, struct vka_work *w, vka_error *err)
{
    json_t *then = json_object_get(s->facts, "files"), *now = files_json(w), *value;
    const char *key;
    vka_status st = now ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    json_object_foreach(then, key, value)
    {
        if (st == VKA_OK && !json_equal(value, json_object_get(now, key))) {
            char option[32];
            snprintf(option, sizeof option, "--%.20s", key);
            st = changed(option, "its SHA-256 is another", err);
        }
    }
    json_decref(now);
    const char *tokens = json_string_value(json_object_get(s->facts, "tokens"));
    char hex[65];
    if (st == VKA_OK && tokens && !w->job->embeds) {
        tokens_sha256(w, hex);
        if (strcmp(hex, tokens) != 0)
            st = changed(w->job->wildcards ? "a file of the wildcards" : "the tokenizer", "the prompts come out as other tokens", err);
    }
    return st == VKA_OK ? check_models(s, &w->setup, err) : st;
}

void vka_resume_add_hashes(struct vka_state *s, struct vka_setup *setup)
{
    bool all;
    if (!s->folder || json_object_get(json_array_get(json_object_get(s->facts, "models"), 0), "sha256"))
        return;
    json_t *list = vka_setup_identities_json(setup, &all);
    if (list && all && json_object_set(s->facts, "models", list) == 0)
        vka_state_keep_facts(s);
    json_decref(list);
}

/* ---- the facts ------------------------------------------------------------------------------------------ */

/* Fills in what was decided; the rest would be decided the same way again, from the same files by the same version. */
static bool resolve(struct vka_job *job, const struct vka_work *w)
{
    const struct vka_setup *s = &w->setup;
    static const char *const marks[] = {"seed", "width", "height", "frames", "fps", "cfg", "steps"};
    job->seed = (int64_t)s->seed;
    job->width = s->width;
    job->height = s->height;
    job->frames = s->frames;
    job->fps = s->fps;
    job->cfg = s->cfg;
    job->steps = s->sampling.steps;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        vka_job_mark(job, marks[i]);
    if (s->sub.share > 0) {
        job->subseed = (int64_t)s->sub.seed;
        vka_job_mark(job, "subseed");
    }
    char *vae = job->vae && *job->vae ? vka_find_model(VKA_LIBRARY_VAE, job->vae, NULL) : NULL, output[64];
    bool good = vka_job_set(job, "model", s->model_path, NULL) == VKA_OK &&
                vka_job_set(job, "motion", s->motion_path ? s->motion_path : "none", NULL) == VKA_OK &&
                vka_job_set(job, "sampler", vka_sampler_name(s->sampling.sampler), NULL) == VKA_OK &&
                vka_job_set(job, "path", vka_path_name(w->table.path), NULL) == VKA_OK &&
                vka_job_set(job, "precision", w->f16 ? "f16" : "f32", NULL) == VKA_OK &&
                (!vae || vka_job_set(job, "vae", vae, NULL) == VKA_OK);
    free(vae);
    for (int motion = 0; good && motion < 2; motion++) { /* where they were found, with their weights */
        json_t *loras = vka_setup_loras_json(s, motion, true);
        const vka_text_list *list = motion ? &job->motion_lora : &job->lora;
        good = loras && json_array_size(loras) == list->count;
        for (size_t i = 0; good && i < list->count; i++)
            good = vka_job_text(&list->items[i], json_string_value(json_array_get(loras, i)));
        json_decref(loras);
    }
    json_t *controls = vka_setup_controls_json(s, true);
    good = good && controls && json_array_size(controls) == job->control.count;
    for (size_t i = 0; good && i < job->control.count; i++)
        good = vka_job_text(&job->control.items[i], json_string_value(json_array_get(controls, i)));
    json_decref(controls);
    for (size_t i = 0; good && i < job->embedding.count; i++) { /* names become paths, and those whole */
        char *path = NULL, *name = NULL;
        good = vka_embedding_spec_parse(job->embedding.items[i], &path, &name, NULL) == VKA_OK;
        char *full = good ? vka_path_absolute(path) : NULL, *spec = full ? vka_asprintf("%s:%s", full, name) : NULL;
        good = spec != NULL;
        if (good) {
            free(job->embedding.items[i]);
            job->embedding.items[i] = spec;
        }
        free(full);
        free(path);
        free(name);
    }
    for (size_t i = 0; good && i < job->ip_adapter.count; i++) { /* where they were found, with whole paths */
        char *spec = vka_setup_ip_text(s, i);
        good = spec != NULL;
        if (good) {
            free(job->ip_adapter.items[i]);
            job->ip_adapter.items[i] = spec;
        }
    }
    if (good && s->vision)
        good = vka_job_set(job, "vision", vka_vision_path(s->vision), NULL) == VKA_OK;
    if (!job->output.count) { /* the name that render.c gives; with --count it puts the seed in */
        snprintf(output, sizeof output, "vkanim-%" PRIu64 ".webp", s->seed);
        good = good && vka_job_set(job, "output", s->count > 1 ? "vkanim.webp" : output, NULL) == VKA_OK;
    }
    return good && vka_job_absolute(job);
}

void vka_resume_describe(struct vka_state *s, struct vka_work *w)
{
    bool all;
    char hex[65];
    struct vka_job *job = s->folder ? vka_job_copy(w->job) : NULL;
    char *text = job && resolve(job, w) ? vka_job_write(job) : NULL;
    json_t *resolved = text ? json_loads(text, 0, NULL) : NULL;
    bool whole = resolved != NULL;
    if (resolved) {
        vka_report_put(&whole, s->facts, "schema", json_integer(SCHEMA));
        vka_report_put(&whole, s->facts, "vkanim", json_string(vka_version()));
        vka_report_put(&whole, s->facts, "id", json_string(s->id));
        vka_report_put(&whole, s->facts, "created", json_integer((json_int_t)vka_clock_unix()));
        char *here = vka_path_absolute("");
        vka_report_put(&whole, s->facts, "folder", vka_report_path(here ? here : "/"));
        free(here);
        vka_report_put(&whole, s->facts, "job", resolved);
        vka_report_put(&whole, s->facts, "same", same_json(w));
        vka_report_put(&whole, s->facts, "decided", decided_json(w));
        vka_report_put(&whole, s->facts, "models", vka_setup_identities_json(&w->setup, &all));
        vka_report_put(&whole, s->facts, "files", files_json(w));
        if (!w->job->embeds) {
            tokens_sha256(w, hex);
            vka_report_put(&whole, s->facts, "tokens", json_string(hex));
        }
    }
    if (s->folder && (!whole || !vka_state_keep_facts(s))) { /* a folder without facts is of no use */
        vka_folder_remove(s->folder);
        free(s->folder);
        s->folder = NULL;
        vka_lock_drop(&s->lock);
    }
    free(text);
    vka_job_destroy(&job);
}

vka_status vka_resume_job(const struct vka_state *s, const struct vka_job *changes, struct vka_job **job,
                          vka_error *err)
{
    const char *version = json_string_value(json_object_get(s->facts, "vkanim"));
    vka_error inner = {0};
    *job = NULL;
    if (json_integer_value(json_object_get(s->facts, "schema")) != SCHEMA || !version ||
        strcmp(version, vka_version()) != 0) {
        vka_fail(err, VKA_E_USAGE, "vkanim %s began the job %s, and this is vkanim %s",
                 version ? version : "of another time", s->id, vka_version());
        vka_error_hint(err, "that version of vkanim, or render it anew");
        return VKA_E_USAGE;
    }
    char *text = json_dumps(json_object_get(s->facts, "job"), JSON_REAL_PRECISION(17));
    struct vka_job *j = text ? vka_job_create() : NULL;
    vka_status st = j ? vka_job_read(j, text, strlen(text), &inner) : VKA_E_INPUT;
    free(text);
    if (st != VKA_OK) {
        vka_fail(err, VKA_E_INPUT, "the folder of the job %s holds no job", s->id);
        vka_error_why(err, "%s", inner.what);
        vka_job_destroy(&j);
        return VKA_E_INPUT;
    }
    if (changes && vka_job_has(changes, "vram")) {
        j->vram = changes->vram;
        vka_job_mark(j, "vram");
    }
    if (changes && vka_job_has(changes, "device"))
        st = vka_job_set(j, "device", changes->device, err);
    if (st == VKA_OK && changes && changes->overwrite)
        st = vka_job_set(j, "overwrite", "true", err);
    if (st == VKA_OK)
        *job = j;
    else
        vka_job_destroy(&j);
    return st;
}

/* ---- commands ------------------------------------------------------------------------------------------- */

vka_status vka_resume(vka_context *cx, const char *name, const vka_job *changes, char **report, vka_error *err)
{
    struct vka_state state;
    struct vka_job *job = NULL;
    *report = NULL;
    vka_status st = vka_state_open(&state, name, &cx->log, err);
    if (st != VKA_OK)
        return st;
    st = vka_resume_job(&state, changes, &job, err);
    if (st == VKA_OK)
        st = vka_render_in(cx, job, &state, report, err);
    vka_state_close(&state, false);
    vka_job_destroy(&job);
    return st;
}

vka_status vka_forget(vka_context *cx, const char *name, vka_error *err)
{
    struct vka_state state;
    vka_status st = vka_state_open(&state, name, &cx->log, err);
    if (st == VKA_OK)
        vka_state_close(&state, true);
    return st;
}

vka_status vka_jobs(vka_context *cx, char **report, vka_error *err)
{
    (void)cx;
    json_t *list = vka_state_list(), *r = list ? vka_report_begin("resume") : NULL;
    *report = NULL;
    if (r && json_object_set_new(r, "jobs", list) == 0)
        *report = vka_report_end(r);
    else
        json_decref(list);
    return *report ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}
