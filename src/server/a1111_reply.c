/* a1111_reply.c - the reply of txt2img and img2img: pictures in base64, and "info", a text that is JSON, in A1111's members
 * and with our own ones behind them: vkanim_job, vkanim_jobs (where there are several), vkanim_ids, vkanim_outputs,
 * vkanim_notes, vkanim_stopped.  What was made is read in the reports of the jobs, never in the request. */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include "server/a1111.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool srv_a1111_holds_frames(const char *output)
{
    size_t n = strlen(output);
    return n > 5 && strcmp(output + n - 5, ".apng") == 0;
}

void srv_a1111_job_error(const json_t *error, struct srv_a1111_error *out)
{
    const char *what = json_string_value(json_object_get(error, "what")),
               *why = json_string_value(json_object_get(error, "why")),
               *hint = json_string_value(json_object_get(error, "hint"));
    json_int_t code = json_integer_value(json_object_get(error, "code"));
    unsigned status = code == VKA_E_USAGE ? 422 : code == VKA_E_INPUT ? 404 : 500;
    srv_a1111_fail(out, status, "", "%.200s%s%.120s%s%.60s", what ? what : "the job failed", why && *why ? ": " : "",
                   why ? why : "", hint && *hint ? "; " : "", hint ? hint : "");
}

void srv_a1111_stamp(double made, char out[32])
{
    time_t seconds = (time_t)made;
    struct tm tm;
    out[0] = '\0';
    if (gmtime_r(&seconds, &tm))
        strftime(out, 32, "%Y%m%d%H%M%S", &tm);
}

/* What is gathered over the clips. */
struct gather {
    const struct srv_a1111_work *work;
    const struct srv_a1111_sources *from;
    json_t *images, *infotexts, *seeds, *subseeds, *prompts, *negatives, *jobs, *ids, *outputs;
    bool whole, stopped;
};

static void add(struct gather *g, json_t *list, json_t *value)
{
    g->whole = json_array_append_new(list, value) == 0 && g->whole;
}

static void put(bool *whole, json_t *o, const char *key, json_t *value)
{
    *whole = json_object_set_new(o, key, value) == 0 && *whole;
}

static json_t *text_json(const char *text)
{
    return json_string(text ? text : "");
}

/* One picture with what is said of it; data is taken. */
static void add_picture(struct gather *g, unsigned char *data, size_t size, const char *infotext, json_int_t seed,
                        const json_t *settings)
{
    char *text = data ? srv_a1111_base64(data, size) : NULL;
    free(data);
    g->whole = text != NULL && g->whole;
    if (text)
        add(g, g->images, json_stringn_nocheck(text, strlen(text)));
    free(text);
    const json_t *subseed = json_object_get(settings, "subseed");
    add(g, g->infotexts, text_json(infotext));
    add(g, g->seeds, json_integer(seed));
    add(g, g->subseeds, json_is_integer(subseed) ? json_incref((json_t *)(uintptr_t)subseed) : json_integer(-1));
    add(g, g->prompts, text_json(json_string_value(json_object_get(settings, "prompt"))));
    add(g, g->negatives, text_json(json_string_value(json_object_get(settings, "negative"))));
}

static const char *last_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

struct frames {
    struct gather *g;
    const char *infotext;
    const json_t *settings;
    json_int_t seed; /* counts up, frame by frame */
};

static bool take_frame(void *user, unsigned char *png, size_t size)
{
    struct frames *f = user;
    add_picture(f->g, png, size, f->infotext, f->seed++, f->settings);
    return f->g->whole;
}

static void add_outputs(struct gather *g, const json_t *clip, struct srv_a1111_error *err)
{
    const json_t *report = json_object_get(clip, "report"), *list = json_object_get(report, "outputs"),
                 *settings = json_object_get(report, "settings");
    char *infotext = NULL;
    json_int_t of_seed = -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *name = last_name(json_string_value(json_object_get(o, "path")));
        json_int_t seed = json_integer_value(json_object_get(o, "seed"));
        bool frames = name && g->work->animation && srv_a1111_holds_frames(name);
        size_t size = 0;
        if (!name)
            continue;
        if (!(frames && g->work->drop_frames))
            add(g, g->outputs, json_string(name));
        if (!g->work->send || (frames && !g->work->frames))
            continue;
        if (!infotext || seed != of_seed) { /* all files of a seed say the same */
            free(infotext);
            infotext = g->from->infotext(g->from->user, name);
            of_seed = seed;
        }
        unsigned char *data = g->from->load(g->from->user, name, &size);
        if (!data)
            srv_a1111_fail(err, 500, "", "the result '%.80s' is no longer there", name);
        else if (!frames)
            add_picture(g, data, size, infotext, seed, settings);
        else {
            struct frames f = {g, infotext, settings, seed};
            if (!srv_a1111_split(data, size, take_frame, &f))
                srv_a1111_fail(err, 500, "", "the frames of '%.80s' cannot be read", name);
            free(data);
        }
    }
    free(infotext);
}

/* The job with what was drawn for it. */
static json_t *job_of(const json_t *clip)
{
    json_t *job = json_deep_copy(json_object_get(clip, "job"));
    const json_t *settings = json_object_get(json_object_get(clip, "report"), "settings");
    static const char *const drawn[] = {"seed", "subseed"};
    for (size_t i = 0; job && i < 2; i++) {
        json_t *value = json_object_get(settings, drawn[i]);
        if (json_is_integer(value) && (i == 0 || json_number_value(json_object_get(job, "subseed-strength")) > 0))
            json_object_set(job, drawn[i], value);
    }
    return job;
}

static void gather_clips(struct gather *g, const json_t *clips, struct srv_a1111_error *err)
{
    for (size_t i = 0; i < json_array_size(clips) && !err->status; i++) {
        const json_t *clip = json_array_get(clips, i);
        const char *state = json_string_value(json_object_get(clip, "state")),
                   *id = json_string_value(json_object_get(clip, "id"));
        if (state && strcmp(state, "failed") == 0)
            srv_a1111_job_error(json_object_get(clip, "error"), err);
        add(g, g->jobs, job_of(clip));
        add(g, g->ids, text_json(id));
        if (state && strcmp(state, "stopped") == 0) {
            size_t size = 0;
            unsigned char *data = id && g->work->send ? g->from->preview(g->from->user, id, &size) : NULL;
            const json_t *job = json_object_get(clip, "job");
            g->stopped = true;
            if (data)
                add_picture(g, data, size, "", json_integer_value(json_object_get(job, "seed")), job);
        } else
            add_outputs(g, clip, err);
    }
}

/* The name of a model of a kind in the report, without folders and extension; NULL. */
static json_t *model_of(const json_t *report, const char *kind, const char *member)
{
    const json_t *list = json_object_get(report, "models");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *is = json_string_value(json_object_get(m, "kind")),
                   *path = last_name(json_string_value(json_object_get(m, "path"))),
                   *sha = json_string_value(json_object_get(m, "sha256"));
        if (!is || strcmp(is, kind) != 0)
            continue;
        if (strcmp(member, "hash") == 0)
            return sha ? json_stringn(sha, strlen(sha) < 10 ? strlen(sha) : 10) : json_null();
        const char *dot = path ? strrchr(path, '.') : NULL;
        return path ? json_stringn(path, dot && dot != path ? (size_t)(dot - path) : strlen(path)) : json_null();
    }
    return json_null();
}

static json_t *member_of(const json_t *o, const char *key)
{
    json_t *value = json_object_get(o, key);
    return value ? json_incref(value) : json_null();
}

static json_t *first_of(const json_t *list, json_t *otherwise)
{
    json_t *first = json_array_get(list, 0);
    if (!first)
        return otherwise;
    json_decref(otherwise);
    return json_incref(first);
}

static json_t *info_of(struct gather *g, const json_t *clips)
{
    const json_t *clip = json_array_get(clips, 0), *report = json_object_get(clip, "report"),
                 *said = json_object_get(report, "settings"), *settings = said ? said : json_object_get(clip, "job");
    const char *sampler = json_string_value(json_object_get(settings, "sampler"));
    const char *label = sampler ? vka_option_webui_name("sampler", sampler) : NULL;
    const json_t *share = json_object_get(settings, "subseed-strength"), *skip = json_object_get(settings, "clip-skip");
    char stamp[32], version[40];
    srv_a1111_stamp(json_number_value(json_object_get(clip, "made")), stamp);
    snprintf(version, sizeof version, "vkanim %.24s", vka_version());
    json_t *info = json_object();
    bool *w = &g->whole;
    put(w, info, "prompt", member_of(settings, "prompt"));
    put(w, info, "all_prompts", json_incref(g->prompts));
    put(w, info, "negative_prompt", text_json(json_string_value(json_object_get(settings, "negative"))));
    put(w, info, "all_negative_prompts", json_incref(g->negatives));
    put(w, info, "seed", first_of(g->seeds, member_of(settings, "seed")));
    put(w, info, "all_seeds", json_incref(g->seeds));
    put(w, info, "subseed", first_of(g->subseeds, json_integer(-1)));
    put(w, info, "all_subseeds", json_incref(g->subseeds));
    put(w, info, "subseed_strength", json_real(json_number_value(share)));
    put(w, info, "width", member_of(settings, "width"));
    put(w, info, "height", member_of(settings, "height"));
    put(w, info, "sampler_name", label ? json_string(label) : text_json(sampler));
    put(w, info, "cfg_scale", member_of(settings, "cfg"));
    put(w, info, "steps", member_of(settings, "steps"));
    put(w, info, "batch_size", json_integer(1));
    put(w, info, "restore_faces", json_false());
    put(w, info, "face_restoration_model", json_null());
    put(w, info, "sd_model_name", model_of(report, "checkpoint", "name"));
    put(w, info, "sd_model_hash", model_of(report, "checkpoint", "hash"));
    put(w, info, "sd_vae_name", model_of(report, "vae", "name"));
    put(w, info, "sd_vae_hash", model_of(report, "vae", "hash"));
    put(w, info, "seed_resize_from_w", json_integer(-1));
    put(w, info, "seed_resize_from_h", json_integer(-1));
    put(w, info, "denoising_strength", member_of(g->work->job, "strength"));
    put(w, info, "extra_generation_params", json_object());
    put(w, info, "index_of_first_image", json_integer(0));
    put(w, info, "infotexts", json_incref(g->infotexts));
    put(w, info, "styles", json_array());
    put(w, info, "job_timestamp", json_string(stamp));
    put(w, info, "clip_skip", json_is_integer(skip) ? json_incref((json_t *)(uintptr_t)skip) : json_integer(1));
    put(w, info, "is_using_inpainting_conditioning", json_false());
    put(w, info, "version", json_string(version));
    put(w, info, "vkanim_job", first_of(g->jobs, json_null()));
    if (json_array_size(g->jobs) > 1)
        put(w, info, "vkanim_jobs", json_incref(g->jobs));
    put(w, info, "vkanim_ids", json_incref(g->ids));
    put(w, info, "vkanim_outputs", json_incref(g->outputs));
    put(w, info, "vkanim_notes", json_incref(g->work->notes));
    put(w, info, "vkanim_stopped", json_boolean(g->stopped));
    return info;
}

json_t *srv_a1111_reply(const struct srv_a1111_work *work, const json_t *clips, const struct srv_a1111_sources *sources,
                        struct srv_a1111_error *err)
{
    struct gather g = {.work = work, .from = sources, .whole = true};
    json_t **lists[] = {&g.images, &g.infotexts, &g.seeds, &g.subseeds, &g.prompts, &g.negatives, &g.jobs, &g.ids, &g.outputs};
    enum { LISTS = sizeof lists / sizeof *lists };
    for (size_t i = 0; i < LISTS; i++)
        g.whole = (*lists[i] = json_array()) != NULL && g.whole;
    json_t *info = NULL, *reply = NULL;
    char *text = NULL;
    if (g.whole)
        gather_clips(&g, clips, err);
    if (g.whole && !err->status) {
        info = info_of(&g, clips);
        text = info && g.whole ? json_dumps(info, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
        reply = text ? json_pack("{s:O, s:O, s:s}", "images", g.images, "parameters", work->parameters, "info", text) : NULL;
    }
    if (!reply)
        srv_a1111_fail(err, 500, "", "out of memory");
    for (size_t i = 0; i < LISTS; i++)
        json_decref(*lists[i]);
    json_decref(info);
    free(text);
    return reply;
}
