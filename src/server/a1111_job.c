/* a1111_job.c - a request of /sdapi/v1/txt2img or img2img into a job object.  See a1111.h.
 *
 * Without AnimateDiff a request is one picture, or several with seeds that count up: --frames 1 without a motion module.
 * With it a request is a clip, n_iter of them with as many seeds between them as a clip has frames, which is how A1111
 * counts. Members that are missing have A1111's own first values (steps 50, cfg_scale 7, sampler Euler), but for width and
 * height, which are then what the model was made for. */
#include "server/a1111.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PICTURES = 64, MOST_AT_ONCE = 100 };

/* ---- what the files of the translation share ------------------------------------------------------------------------ */

void srv_a1111_put(struct srv_a1111_making *m, const char *key, json_t *value)
{
    if (json_object_set_new(m->work->job, key, value) != 0)
        srv_a1111_fail(m->err, 500, "", "out of memory");
}

void srv_a1111_append(struct srv_a1111_making *m, const char *key, const char *text)
{
    json_t *list = json_object_get(m->work->job, key);
    if (!list) {
        srv_a1111_put(m, key, json_array());
        list = json_object_get(m->work->job, key);
    }
    if (!list || json_array_append_new(list, json_string(text)) != 0)
        srv_a1111_fail(m->err, 500, "", "out of memory, or a name that is not UTF-8");
}

void srv_a1111_note(struct srv_a1111_making *m, const char *text, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, text);
    vsnprintf(line, sizeof line, text, ap);
    va_end(ap);
    if (json_array_append_new(m->work->notes, json_stringn_nocheck(line, strlen(line))) != 0)
        srv_a1111_fail(m->err, 500, "", "out of memory");
}

void srv_a1111_number(char out[40], double value)
{
    json_t *number = json_real(value);
    char *text = number ? json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10)) : NULL;
    snprintf(out, 40, "%s", text ? text : "0");
    size_t n = strlen(out);
    if (n > 2 && strcmp(out + n - 2, ".0") == 0)
        out[n - 2] = '\0';
    free(text);
    json_decref(number);
}

bool srv_a1111_picture(struct srv_a1111_making *m, const char *where, const char *text, char name[80])
{
    size_t size, length = strlen(text);
    char suggested[16];
    vka_error e = {0};
    if (strncmp(text, "upload:", 7) == 0 || strncmp(text, "result:", 7) == 0) {
        if (length >= 80 || strpbrk(text, "/\\,;="))
            return srv_a1111_fail(m->err, 422, where, "'%.80s' is no name of an upload", text);
        memcpy(name, text, length + 1);
        return true;
    }
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
        return srv_a1111_fail(m->err, 422, where, "pictures of other servers are not fetched: send them in base64");
    unsigned char *data = srv_a1111_bytes(text, length, &size);
    if (!data)
        return srv_a1111_fail(m->err, 422, where,
                              "Invalid encoded image: it is no base64; files of the server are not read by a path");
    snprintf(suggested, sizeof suggested, "webui%s", srv_a1111_extension(data, size));
    vka_status st = m->store->put(m->store->user, suggested, data, size, name, &e);
    free(data);
    if (st == VKA_OK)
        return true;
    return srv_a1111_fail(m->err, st == VKA_E_USAGE || st == VKA_E_INPUT ? 422 : 507, where, "%.300s", e.what);
}

bool srv_a1111_model_name(struct srv_a1111_making *m, const char *where, const char *kind, const char *what, const char *title,
                          char name[300])
{
    return m->store->model(m->store->user, kind, title, name) ||
           srv_a1111_fail(m->err, 404, where, "%s not found: '%.120s'", what, title);
}

/* ---- members that must be as they are ---------------------------------------------------------------------------- */

/* What would make another picture and is not there.  A number that is the value that changes nothing is let through. */
static bool refuse_others(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const struct {
        const char *name;
        double quiet[2];
        const char *what;
    } numbers[] = {{"s_churn", {0, 0}, "samplers have no churn here"},
                   {"s_tmin", {0, 0}, "samplers have no churn here"},
                   {"s_noise", {1, 1}, "noise of samplers is not scaled here"},
                   {"seed_resize_from_w", {-1, 0}, "seeds are not resized here"},
                   {"seed_resize_from_h", {-1, 0}, "seeds are not resized here"},
                   {"firstphase_width", {0, 0}, "give width and height of the first pass, and hr_scale"},
                   {"firstphase_height", {0, 0}, "give width and height of the first pass, and hr_scale"},
                   {"initial_noise_multiplier", {1, 1}, "the first noise is not scaled here"},
                   {"inpainting_mask_invert", {0, 0}, "masks are not inverted here: white is what is drawn anew"}};
    static const struct {
        const char *name, *what;
    } flags[] = {{"restore_faces", "faces are not restored here"}, {"tiling", "pictures that tile are not made here"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double is = srv_a1111_real(v, numbers[i].name, numbers[i].quiet[0]);
        if (is != numbers[i].quiet[0] && is != numbers[i].quiet[1])
            return srv_a1111_bad(v, numbers[i].name, 422, "%s: %s", numbers[i].name, numbers[i].what);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (srv_a1111_flag(v, flags[i].name, false))
            return srv_a1111_bad(v, flags[i].name, 422, "%s: %s", flags[i].name, flags[i].what);
    const char *script = srv_a1111_text(v, "script_name", "");
    if (*script)
        return srv_a1111_bad(v, "script_name", 422, "Script '%.80s' not found", script);
    const json_t *styles = json_object_get(v->object, "styles");
    if (json_array_size(styles))
        srv_a1111_note(m, "styles: there are none here");
    return !m->err->status;
}

/* ---- settings: options and override_settings --------------------------------------------------------------------- */

/* The settings that hold for this request, new; NULL with the error set. */
static json_t *settings_of(struct srv_a1111_making *m, const struct srv_a1111_values *v, const json_t *options)
{
    json_t *all = json_deep_copy(options), *unknown = json_array(), *given = json_object_get(v->object, "override_settings");
    if (!all || !unknown)
        srv_a1111_fail(m->err, 500, "", "out of memory");
    else if (given && !json_is_null(given) && !json_is_object(given))
        srv_a1111_bad(v, "override_settings", 422, "override_settings is to be an object");
    else if (json_is_object(given) && srv_a1111_options_set(all, given, "override_settings", unknown, m->err)) {
        if (!srv_a1111_flag(v, "override_settings_restore_afterwards", true))
            m->work->keep = json_incref(given);
        for (size_t i = 0; i < json_array_size(unknown); i++)
            srv_a1111_note(m, "override_settings: %.80s is no setting here", json_string_value(json_array_get(unknown, i)));
    }
    json_decref(unknown);
    if (!m->err->status)
        return all;
    json_decref(all);
    return NULL;
}

static bool put_settings(struct srv_a1111_making *m, const json_t *settings)
{
    const struct srv_a1111_values v = {settings, "", m->err};
    const char *model = srv_a1111_text(&v, "sd_model_checkpoint", ""), *vae = srv_a1111_text(&v, "sd_vae", "Automatic");
    json_int_t skip = srv_a1111_int(&v, "CLIP_stop_at_last_layers", 1),
               commas = srv_a1111_int(&v, "comma_padding_backtrack", 20);
    char name[300];
    if (*model) {
        if (!srv_a1111_model_name(m, "sd_model_checkpoint", "checkpoint", "Checkpoint", model, name))
            return false;
        srv_a1111_put(m, "model", json_string(name));
    }
    if (*vae && !srv_a1111_same(vae, "Automatic") && !srv_a1111_same(vae, "None")) {
        if (!srv_a1111_model_name(m, "sd_vae", "vae", "VAE", vae, name))
            return false;
        srv_a1111_put(m, "vae", json_string(name));
    }
    if (skip != 1)
        srv_a1111_put(m, "clip-skip", json_integer(skip));
    if (commas != 20)
        srv_a1111_put(m, "comma-padding", json_integer(commas));
    if (!srv_a1111_flag(&v, "pad_cond_uncond", true))
        srv_a1111_put(m, "pad-prompt", json_string("repeat"));
    return !m->err->status;
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* eta of the request, else the setting of its kind where that is not what the sampler has anyway. */
static void put_eta(struct srv_a1111_making *m, const struct srv_a1111_values *v, const json_t *settings)
{
    const struct srv_a1111_values s = {settings, "", m->err};
    const char *sampler = json_string_value(json_object_get(m->work->job, "sampler"));
    bool ddim = sampler && strcmp(sampler, "ddim") == 0;
    double own = ddim ? 0 : 1, eta = srv_a1111_real(v, "eta", srv_a1111_real(&s, ddim ? "eta_ddim" : "eta_ancestral", own));
    if (eta != own)
        srv_a1111_put(m, "eta", json_real(eta));
}

static bool put_sampling(struct srv_a1111_making *m, const struct srv_a1111_values *v, const json_t *settings)
{
    const struct srv_a1111_values s = {settings, "", m->err};
    const char *sampler = srv_a1111_text(v, "sampler_name", srv_a1111_text(v, "sampler_index", "Euler"));
    json_int_t steps = srv_a1111_int(v, "steps", 50), seed = srv_a1111_int(v, "seed", -1),
               subseed = srv_a1111_int(v, "subseed", -1);
    double cfg = srv_a1111_real(v, "cfg_scale", 7), strength = srv_a1111_real(v, "subseed_strength", 0);
    if (m->err->status || !srv_a1111_sampling(m, sampler, srv_a1111_text(v, "scheduler", "Automatic"),
                                              srv_a1111_text(&s, "randn_source", "NV"), steps))
        return false;
    srv_a1111_put(m, "steps", json_integer(steps));
    srv_a1111_put(m, "cfg", json_real(cfg));
    if (seed != -1)
        srv_a1111_put(m, "seed", json_integer(seed));
    if (strength != 0) {
        srv_a1111_put(m, "subseed-strength", json_real(strength));
        if (subseed != -1)
            srv_a1111_put(m, "subseed", json_integer(subseed));
    }
    put_eta(m, v, settings);
    return !m->err->status;
}

/* ---- the second pass --------------------------------------------------------------------------------------------- */

static bool is_same_again(const struct srv_a1111_values *v, const char *name, const char *word, const char *main)
{
    const char *text = srv_a1111_text(v, name, "");
    return !*text || srv_a1111_same(text, word) || srv_a1111_same(text, main) ||
           srv_a1111_bad(v, name, 422, "%s: the second pass has the settings of the first one here", name);
}

/* hr_resize_x and hr_resize_y as a scale, where they are given. */
static bool scale_of(const struct srv_a1111_values *v, double *scale)
{
    json_int_t x = srv_a1111_int(v, "hr_resize_x", 0), y = srv_a1111_int(v, "hr_resize_y", 0),
               width = srv_a1111_int(v, "width", 0), height = srv_a1111_int(v, "height", 0);
    *scale = srv_a1111_real(v, "hr_scale", 2);
    if (v->err->status || (!x && !y))
        return !v->err->status;
    if (width < 1 || height < 1 || x < 0 || y < 0 || (x && y && (double)x * (double)height != (double)y * (double)width))
        return srv_a1111_bad(v, "hr_resize_x", 422, "hr_resize_x and hr_resize_y are to have the shape of width and height");
    *scale = x ? (double)x / (double)width : (double)y / (double)height;
    return true;
}

static bool put_hires(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    if (m->kind != A1111_TXT2IMG || !srv_a1111_flag(v, "enable_hr", false))
        return !m->err->status;
    const char *upscaler = srv_a1111_text(v, "hr_upscaler", "Latent"), *ours = srv_a1111_upscaler(upscaler);
    double scale, strength = srv_a1111_real(v, "denoising_strength", 0.75);
    json_int_t steps = srv_a1111_int(v, "hr_second_pass_steps", 0);
    char number[2][40], text[90];
    if (!is_same_again(v, "hr_checkpoint_name", "Use same checkpoint", "") ||
        !is_same_again(v, "hr_sampler_name", "Use same sampler", srv_a1111_text(v, "sampler_name", "")) ||
        !is_same_again(v, "hr_scheduler", "Use same scheduler", srv_a1111_text(v, "scheduler", "")) ||
        !is_same_again(v, "hr_prompt", "", srv_a1111_text(v, "prompt", "")) ||
        !is_same_again(v, "hr_negative_prompt", "", srv_a1111_text(v, "negative_prompt", "")) || !scale_of(v, &scale) ||
        m->err->status)
        return false;
    if (!ours)
        return srv_a1111_bad(v, "hr_upscaler", 400,
                             "Invalid upscaler: '%.60s'; GET /sdapi/v1/latent-upscale-modes and /sdapi/v1/upscalers list them",
                             upscaler);
    srv_a1111_number(number[0], scale);
    srv_a1111_number(number[1], strength);
    snprintf(text, sizeof text, "%s:%s", number[0], number[1]);
    srv_a1111_put(m, "hires", json_string(text));
    srv_a1111_put(m, "hires-upscaler", json_string(ours));
    if (steps > 0)
        srv_a1111_put(m, "hires-steps", json_integer(steps));
    return !m->err->status;
}

/* ---- pictures to begin from -------------------------------------------------------------------------------------- */

static bool put_resize(struct srv_a1111_making *m, const struct srv_a1111_values *v, bool pictures)
{
    static const char *const ways[] = {"stretch", "crop", "fit"};
    json_int_t mode = srv_a1111_int(v, "resize_mode", 0);
    if (pictures && (mode < 0 || mode > 2))
        return srv_a1111_bad(v, "resize_mode", 422,
                             "resize_mode is to be 0 (just resize), 1 (crop and resize) or 2 (resize and fill)");
    const char *way = pictures ? ways[mode] : m->resize;
    if (pictures && *m->resize && strcmp(m->resize, way) != 0)
        return srv_a1111_bad(v, "resize_mode", 422,
                             "pictures and those of ControlNet units are resized in one way here, and resize_mode names two");
    if (*way)
        srv_a1111_put(m, "resize", json_string(way));
    if (strcmp(way, "fit") == 0)
        srv_a1111_note(m, "resize_mode: what is filled up is black");
    return !m->err->status;
}

static bool put_mask(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    char name[80];
    const char *mask = srv_a1111_text(v, "mask", "");
    if (*mask) {
        if (*m->mask)
            return srv_a1111_bad(v, "mask", 422, "mask and mask_path are two masks");
        if (!srv_a1111_picture(m, "mask", mask, name))
            return false;
        srv_a1111_put(m, "mask", json_string(name));
        if (srv_a1111_real(v, "mask_blur", 4) != 0 || srv_a1111_int(v, "mask_blur_x", 4) != 0)
            srv_a1111_note(m, "mask_blur: masks are taken as they are");
        if (srv_a1111_flag(v, "inpaint_full_res", true))
            srv_a1111_note(m, "inpaint_full_res: the whole picture is drawn, not the masked part alone");
        if (srv_a1111_int(v, "inpainting_fill", 0) != 1)
            srv_a1111_note(m, "inpainting_fill: what lies below the mask is the picture itself (1)");
    } else if (*m->mask)
        srv_a1111_put(m, "mask", json_string(m->mask));
    /* A1111 keeps in every step what the mask keeps, and nothing else */
    srv_a1111_put(m, "hold", json_real(*mask || *m->mask ? 1 : 0));
    return !m->err->status;
}

static bool put_pictures(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    const json_t *list = json_object_get(v->object, "init_images");
    size_t count = json_array_size(list);
    char name[80], key[120], where[40];
    if (m->kind == A1111_TXT2IMG)
        return put_resize(m, v, false);
    if (!count)
        return srv_a1111_bad(v, "init_images", 404, "Init image not found");
    if (count > 1 && (!m->work->animation || count > MOST_PICTURES))
        return srv_a1111_bad(v, "init_images", 422, "init_images may be several with AnimateDiff only, one for each frame");
    if (count > 1 && m->video_length == 0)
        m->frames = (json_int_t)count;
    if (count > 1 && (json_int_t)count != m->frames)
        return srv_a1111_bad(v, "init_images", 422, "init_images are %zu and video_length is %lld: one for each frame, or one",
                             count, (long long)m->frames);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        snprintf(where, sizeof where, "init_images.%zu", i);
        if (!text)
            return srv_a1111_fail(m->err, 422, where, "init_images are to be texts in base64");
        if (!srv_a1111_picture(m, where, text, name))
            return false;
        if (count == 1)
            srv_a1111_put(m, "init", json_string(name));
        else {
            snprintf(key, sizeof key, "%zu=%s", i, name);
            srv_a1111_append(m, "keyframe", key);
        }
    }
    srv_a1111_put(m, "strength", json_real(srv_a1111_real(v, "denoising_strength", 0.75)));
    return put_resize(m, v, true) && put_mask(m, v);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool put_size(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const char *const names[] = {"width", "height"};
    for (int i = 0; i < 2; i++)
        if (srv_a1111_has(v, names[i]))
            srv_a1111_put(m, names[i], json_integer(srv_a1111_int(v, names[i], 512)));
    return !m->err->status;
}

/* One picture, or several with seeds that count up. */
static void put_stills(struct srv_a1111_making *m, json_int_t count, const json_t *settings)
{
    const struct srv_a1111_values v = {settings, "", m->err};
    char output[160];
    srv_a1111_put(m, "frames", json_integer(1));
    srv_a1111_put(m, "motion", json_string("none"));
    if (count > 1)
        srv_a1111_put(m, "count", json_integer(count));
    snprintf(output, sizeof output, "%.100s.%.8s", m->name, srv_a1111_text(&v, "samples_format", "png"));
    srv_a1111_append(m, "output", output);
}

static bool put_count(struct srv_a1111_making *m, const struct srv_a1111_values *v, const json_t *settings)
{
    json_int_t times = srv_a1111_int(v, "n_iter", 1), batch = srv_a1111_int(v, "batch_size", 1);
    if (times < 1 || times > 1000)
        return srv_a1111_bad(v, "n_iter", 422, "n_iter is to be from 1 to 1000");
    if (batch < 1 || batch > 1000)
        return srv_a1111_bad(v, "batch_size", 422, "batch_size is to be from 1 to 1000");
    if (!m->work->animation && times * batch > MOST_AT_ONCE)
        return srv_a1111_bad(v, "n_iter", 422, "n_iter times batch_size is to be at most %d", MOST_AT_ONCE);
    if (!m->work->animation) {
        put_stills(m, times * batch, settings);
        return !m->err->status;
    }
    if (times > A1111_CLIPS)
        return srv_a1111_bad(v, "n_iter", 422, "n_iter is to be at most %d with AnimateDiff", A1111_CLIPS);
    m->work->clips = (unsigned)times;
    m->work->apart = (unsigned)m->frames;
    srv_a1111_put(m, "frames", json_integer(m->frames));
    return !m->err->status;
}

static bool translate(struct srv_a1111_making *m, const json_t *request, const json_t *options)
{
    const struct srv_a1111_values v = {request, "", m->err};
    json_t *settings = NULL;
    bool good = refuse_others(m, &v) && (settings = settings_of(m, &v, options)) != NULL;
    if (good) {
        srv_a1111_put(m, "prompt", json_string(srv_a1111_text(&v, "prompt", "")));
        srv_a1111_put(m, "negative", json_string(srv_a1111_text(&v, "negative_prompt", "")));
        good = put_settings(m, settings);
    }
    good = good && put_size(m, &v) && srv_a1111_units(m, json_object_get(request, "alwayson_scripts")) && put_pictures(m, &v) &&
           put_count(m, &v, settings) && put_sampling(m, &v, settings) && put_hires(m, &v);
    m->work->send = srv_a1111_flag(&v, "send_images", true);
    if (good && srv_a1111_has(&v, "infotext") && *srv_a1111_text(&v, "infotext", ""))
        good = srv_a1111_bad(&v, "infotext", 422, "infotext is not taken in requests: send its settings");
    json_decref(settings);
    return good && !m->err->status;
}

/* What the option table says to it, so that it is said before anything is queued. */
static bool check(struct srv_a1111_making *m)
{
    vka_error e = {0};
    vka_job *job = vka_job_create();
    char *text = json_dumps(m->work->job, JSON_COMPACT);
    vka_status st = job && text ? vka_job_read(job, text, strlen(text), &e) : VKA_E_MEMORY;
    free(text);
    vka_job_destroy(&job);
    return st == VKA_OK ||
           srv_a1111_fail(m->err, st == VKA_E_MEMORY ? 500 : 422, "", "%.390s", e.what[0] ? e.what : "out of memory");
}

/* The request for the reply, without its pictures unless it wants them back: what is longer than any setting becomes null. */
static json_t *echo(const json_t *value, bool all)
{
    enum { LONG = 65536 };
    const char *key;
    json_t *item;
    size_t i;
    if (all || (!json_is_object(value) && !json_is_array(value)))
        return !all && json_string_length(value) > LONG ? json_null() : json_incref((json_t *)(uintptr_t)value);
    json_t *copy = json_is_object(value) ? json_object() : json_array();
    bool whole = copy != NULL;
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
        whole = whole && json_object_set_new_nocheck(copy, key, echo(item, false)) == 0;
    if (json_is_array(value))
        json_array_foreach(value, i, item)
            whole = whole && json_array_append_new(copy, echo(item, false)) == 0;
    if (whole)
        return copy;
    json_decref(copy);
    return NULL;
}

bool srv_a1111_translate(struct srv_a1111_work *out, const json_t *request, enum srv_a1111_kind kind, const json_t *options,
                         const char *name, const struct srv_a1111_store *store, struct srv_a1111_error *err)
{
    *out = (struct srv_a1111_work){.job = json_object(), .notes = json_array(), .clips = 1, .send = true};
    struct srv_a1111_making m = {.work = out, .store = store, .err = err, .kind = kind, .name = name, .frames = 1};
    if (!out->job || !out->notes)
        return srv_a1111_fail(err, 500, "", "out of memory");
    if (!json_is_object(request))
        return srv_a1111_fail(err, 422, "", "the request is to be an object");
    const struct srv_a1111_values v = {request, "", err};
    out->parameters = echo(request, srv_a1111_flag(&v, "include_init_images", false));
    if (!out->parameters)
        return srv_a1111_fail(err, 500, "", "out of memory");
    return translate(&m, request, options) && check(&m);
}

void srv_a1111_work_free(struct srv_a1111_work *work)
{
    json_decref(work->job);
    json_decref(work->parameters);
    json_decref(work->notes);
    json_decref(work->keep);
    *work = (struct srv_a1111_work){0};
}
