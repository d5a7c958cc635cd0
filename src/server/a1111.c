/* a1111.c - the routes of A1111's web UI under /sdapi/v1, and of its ControlNet extension's lists.
 *
 * Settings last as long as the server.  Interrupting keeps the newest preview: it is the picture that A1111 would answer
 * with. */
#define _POSIX_C_SOURCE 200809L /* mkstemp, sysconf */
#include "server/a1111_state.h"

#include "server/a1111_lists.h"
#include "server/files.h"
#include "server/queue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BODY = 64 << 20 };

struct srv_a1111 *srv_a1111_state(struct srv *s)
{
    return srv_parts(s)->a1111;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void srv_a1111_answer(struct srv_reply *reply, const struct srv_a1111_error *err)
{
    srv_reply_json(reply, err->status, srv_a1111_error_json(err));
}

void srv_a1111_refuse(struct srv_reply *reply, unsigned status, const char *text, ...)
{
    struct srv_a1111_error err = {0};
    char line[sizeof err.text];
    va_list ap;
    va_start(ap, text);
    vsnprintf(line, sizeof line, text, ap);
    va_end(ap);
    srv_a1111_fail(&err, status, "", "%s", line);
    srv_a1111_answer(reply, &err);
}

void srv_a1111_refuse_error(struct srv_reply *reply, unsigned status, vka_error *e)
{
    srv_clean_error(e);
    srv_a1111_refuse(reply, status, "%.200s%s%.150s", e->what, e->why[0] ? ": " : "", e->why);
}

json_t *srv_a1111_body(const struct srv_request *request, struct srv_reply *reply)
{
    vka_error e = {0};
    json_t *body = srv_body_object(request, &e);
    if (!body)
        srv_a1111_refuse_error(reply, 422, &e);
    return body;
}

/* What FastAPI says where there is nothing to say. */
static void answer_null(struct srv_reply *reply)
{
    static const char text[] = "null";
    reply->body = malloc(sizeof text - 1);
    reply->status = reply->body ? 200 : 500;
    if (!reply->body)
        return;
    memcpy(reply->body, text, sizeof text - 1);
    reply->size = sizeof text - 1;
    reply->type = "application/json";
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* The title of the checkpoint that is set, and its hash. */
static void put_checkpoint(struct srv *s, json_t *options, const char *own)
{
    vka_error e = {0};
    json_t *models = srv_models(s, NULL, &e);
    const char *set = json_string_value(json_object_get(options, "sd_model_checkpoint"));
    const json_t *model = srv_a1111_model(models, "checkpoint", set && *set ? set : own);
    char title[400];
    if (model) {
        srv_a1111_title(model, true, title);
        json_object_set_new(options, "sd_model_checkpoint", json_string(title));
    } else if (!set || !*set)
        json_object_set_new(options, "sd_model_checkpoint", json_string(own));
    const char *sha = json_string_value(json_object_get(model, "sha256"));
    json_object_set_new(options, "sd_checkpoint_hash", sha ? json_string(sha) : json_string(""));
    json_decref(models);
}

json_t *srv_a1111_options(struct srv *s)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    pthread_mutex_lock(&a->lock);
    json_t *copy = json_deep_copy(a->options);
    pthread_mutex_unlock(&a->lock);
    return copy;
}

static void get_options(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    json_t *options = srv_a1111_options(s);
    if (options)
        put_checkpoint(s, options, *srv_a1111_state(s)->model ? srv_a1111_state(s)->model : "miniature");
    srv_reply_json(reply, 200, options);
}

bool srv_a1111_find_model(void *user, const char *kind, const char *title, char name[300])
{
    vka_error e = {0};
    json_t *models = srv_models(user, NULL, &e);
    const json_t *model = srv_a1111_model(models, kind, title);
    const char *is = json_string_value(json_object_get(model, "name"));
    bool fits = is && strlen(is) < 300;
    if (fits)
        memcpy(name, is, strlen(is) + 1);
    json_decref(models);
    return fits;
}

/* Models that a settings object names must be there. */
static bool models_are_there(struct srv *s, const json_t *given, struct srv_a1111_error *err)
{
    const char *model = json_string_value(json_object_get(given, "sd_model_checkpoint")),
               *vae = json_string_value(json_object_get(given, "sd_vae"));
    char name[300];
    if (model && *model && !srv_a1111_find_model(s, "checkpoint", model, name))
        return srv_a1111_fail(err, 404, "sd_model_checkpoint", "Checkpoint not found: '%.120s'", model);
    if (vae && *vae && !srv_a1111_same(vae, "Automatic") && !srv_a1111_same(vae, "None") &&
        !srv_a1111_find_model(s, "vae", vae, name))
        return srv_a1111_fail(err, 404, "sd_vae", "VAE not found: '%.120s'", vae);
    return true;
}

bool srv_a1111_keep(struct srv *s, const json_t *given, struct srv_a1111_error *err)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    if (!models_are_there(s, given, err))
        return false;
    pthread_mutex_lock(&a->lock);
    bool good = srv_a1111_options_set(a->options, given, "", NULL, err);
    pthread_mutex_unlock(&a->lock);
    return good;
}

static void set_options(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    struct srv_a1111_error err = {0};
    json_t *given = srv_a1111_body(request, reply);
    if (!given)
        return;
    if (srv_a1111_keep(s, given, &err))
        answer_null(reply);
    else
        srv_a1111_answer(reply, &err);
    json_decref(given);
}

static void txt2img(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    srv_a1111_make(s, request, reply, A1111_TXT2IMG);
}

static void img2img(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    srv_a1111_make(s, request, reply, A1111_IMG2IMG);
}

/* ---- what runs now ----------------------------------------------------------------------------------------------- */

/* 0 is "nothing runs" to clients, so that never stands for a job at work. */
static double share_of(const json_t *progress)
{
    static const struct {
        const char *stage;
        double begin, end;
    } stages[] = {{"load", 0.01, 0.02},  {"text", 0.02, 0.03},   {"images", 0.03, 0.04},  {"pictures", 0.03, 0.04},
                  {"steps", 0.04, 0.90}, {"decode", 0.90, 0.96}, {"between", 0.96, 0.98}, {"encode", 0.98, 0.99}};
    const char *stage = json_string_value(json_object_get(progress, "stage"));
    double done = json_number_value(json_object_get(progress, "done")),
           total = json_number_value(json_object_get(progress, "total")),
           clips = json_number_value(json_object_get(progress, "clips")),
           clip = json_number_value(json_object_get(progress, "clip"));
    double share = 0.01;
    for (size_t i = 0; stage && i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stage, stages[i].stage) == 0)
            share = stages[i].begin + (stages[i].end - stages[i].begin) * (total > 0 ? done / total : 0);
    return clips > 1 && clip < clips ? (clip + share) / clips : share;
}

static json_t *preview_json(struct srv *s, const char *id)
{
    char *data = NULL;
    size_t size = srv_queue_preview(s, id, "png", &data, NULL);
    char *text = size ? srv_a1111_base64(data, size) : NULL;
    free(data);
    json_t *value = text ? json_stringn_nocheck(text, strlen(text)) : json_null();
    free(text);
    return value;
}

static void progress(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    const char *skip = srv_query(request, "skip_current_image");
    char id[SRV_ID] = "";
    unsigned waiting = srv_queue_waiting(s);
    json_t *job = srv_queue_running(s, id) ? srv_queue_get(s, id) : NULL, *options = srv_a1111_options(s),
           *now = json_object_get(job, "progress"), *image = NULL;
    const char *stage = json_string_value(json_object_get(now, "stage"));
    char stamp[32];
    if (job)
        srv_a1111_stamp(json_number_value(json_object_get(job, "made")), stamp);
    else
        memcpy(stamp, "0", 2);
    bool steps = stage && strcmp(stage, "steps") == 0;
    double eta = json_number_value(json_object_get(now, "eta_s"));
    json_int_t clips = json_integer_value(json_object_get(now, "clips"));
    double share = job ? share_of(now) : 0;
    pthread_mutex_lock(&a->lock);
    if (strcmp(a->shown, id) != 0) {
        memcpy(a->shown, id, SRV_ID);
        a->share = 0;
    }
    a->share = share = job && a->share > share ? a->share : share; /* a second pass begins its steps anew */
    bool interrupted = *id && strcmp(id, a->interrupted) == 0;
    pthread_mutex_unlock(&a->lock);
    bool wanted = !(skip && (srv_a1111_same(skip, "true") || strcmp(skip, "1") == 0)) &&
                  json_is_true(json_object_get(options, "live_previews_enable"));
    image = job && wanted ? preview_json(s, id) : json_null();
    json_t *state_json = json_pack("{s:b, s:b, s:b, s:s, s:I, s:s, s:I, s:I, s:I}", "skipped", 0, "interrupted", interrupted,
                                   "stopping_generation", interrupted, "job", job ? id : "", "job_count",
                                   (json_int_t)(job ? (clips > 0 ? clips : 1) : 0) + (json_int_t)waiting, "job_timestamp",
                                   stamp, "job_no", json_integer_value(json_object_get(now, "clip")), "sampling_step",
                                   steps ? json_integer_value(json_object_get(now, "done")) : 0, "sampling_steps",
                                   steps ? json_integer_value(json_object_get(now, "total")) : 0);
    srv_reply_json(reply, 200,
                   json_pack("{s:f, s:f, s:o, s:o, s:s?, s:s?}", "progress", share, "eta_relative", job && eta > 0 ? eta : 0.0,
                             "state", state_json, "current_image", image, "textinfo", stage, "current_task", job ? id : NULL));
    json_decref(job);
    json_decref(options);
}

/* The job that runs is cancelled; `all`: with those of the same request that wait behind it. */
static void stop(struct srv *s, bool all, struct srv_reply *reply)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    char id[SRV_ID], rest[A1111_CLIPS][SRV_ID];
    unsigned count = 0;
    if (srv_queue_running(s, id)) {
        char *data = NULL;
        size_t size = srv_queue_preview(s, id, "png", &data, NULL);
        pthread_mutex_lock(&a->lock);
        for (struct srv_waiting *w = a->waiting; all && w; w = w->next)
            for (unsigned i = 0; i < w->count; i++)
                if (strcmp(w->ids[i], id) == 0)
                    for (count = 0; i + 1 + count < w->count; count++)
                        memcpy(rest[count], w->ids[i + 1 + count], SRV_ID);
        memcpy(a->interrupted, id, SRV_ID);
        if (size) {
            free(a->preview);
            a->preview = (unsigned char *)data;
            a->preview_size = size;
            memcpy(a->seen, id, SRV_ID);
            data = NULL;
        }
        pthread_mutex_unlock(&a->lock);
        free(data);
        while (count-- > 0)
            srv_queue_cancel(s, rest[count], NULL);
        srv_queue_cancel(s, id, NULL);
    }
    srv_reply_json(reply, 200, json_object());
}

static void interrupt(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    stop(s, true, reply);
}

static void skip(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    stop(s, false, reply);
}

/* ---- pictures that say how they were made ------------------------------------------------------------------------ */

json_t *srv_a1111_inspect(struct srv *s, const char *path, vka_error *err)
{
    char *report = NULL;
    vka_context *cx = srv_context_take(s);
    json_t *o = cx && vka_inspect_file(cx, path, &report, err) == VKA_OK ? json_loads(report, 0, NULL) : NULL;
    srv_context_give(s, cx);
    vka_free(report);
    return o;
}

/* Into a file of its own for as long as it is looked at. */
static json_t *inspected_bytes(struct srv *s, const unsigned char *data, size_t size, vka_error *err)
{
    char path[4096];
    json_t *o = NULL;
    if (snprintf(path, sizeof path, "%s/.info-XXXXXX", srv_results(s)) >= (int)sizeof path)
        return NULL;
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (fd >= 0 && !file)
        close(fd);
    bool whole = file && fwrite(data, 1, size, file) == size;
    whole = file && fclose(file) == 0 && whole;
    if (whole)
        o = srv_a1111_inspect(s, path, err);
    else
        srv_fail(err, VKA_E_OUTPUT, "the picture cannot be kept in the results folder");
    if (fd >= 0)
        unlink(path);
    return o;
}

static void png_info(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    struct srv_a1111_error err = {0};
    vka_error e = {0};
    json_t *body = srv_a1111_body(request, reply), *o = NULL;
    const struct srv_a1111_values v = {body, "", &err};
    if (!body)
        return;
    const char *image = srv_a1111_text(&v, "image", "");
    size_t size = 0;
    unsigned char *data = *image ? srv_a1111_bytes(image, strlen(image), &size) : NULL;
    if (!err.status && !*image)
        srv_a1111_fail(&err, 404, "image", "Image not found");
    else if (!err.status && !data)
        srv_a1111_fail(&err, 422, "image", "Invalid encoded image");
    if (!err.status && !(o = inspected_bytes(s, data, size, &e)))
        srv_a1111_fail(&err, e.status == VKA_E_OUTPUT ? 507 : 422, "image", "%.300s", e.what[0] ? e.what : "it is no picture");
    if (o) {
        const char *text = json_string_value(json_object_get(o, "infotext"));
        json_t *meta = json_object_get(o, "metadata"), *settings = json_object_get(meta, "settings"), *items = json_object();
        if (!settings)
            settings = json_object_get(o, "settings");
        if (text)
            json_object_set_new(items, "parameters", json_string(text));
        if (meta && !json_is_null(meta))
            json_object_set(items, "vkanim", meta);
        srv_reply_json(reply, 200,
                       json_pack("{s:s, s:o, s:o}", "info", text ? text : "", "items", items, "parameters",
                                 json_is_object(settings) ? json_incref(settings) : json_object()));
    } else
        srv_a1111_answer(reply, &err);
    free(data);
    json_decref(o);
    json_decref(body);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static void models_as(struct srv *s, struct srv_reply *reply, const char *kind, enum srv_a1111_list form, const char *wrapped)
{
    vka_error e = {0};
    json_t *models = srv_models(s, NULL, &e), *list;
    if (!models) {
        srv_a1111_refuse_error(reply, 500, &e);
        return;
    }
    list = srv_a1111_list_models(models, kind, form);
    srv_reply_json(reply, 200, wrapped && list ? json_pack("{s:o}", wrapped, list) : list);
    json_decref(models);
}

static void memory(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    vka_error e = {0};
    double page = (double)sysconf(_SC_PAGESIZE), total = (double)sysconf(_SC_PHYS_PAGES) * page,
           rest = (double)sysconf(_SC_AVPHYS_PAGES) * page;
    json_t *report = srv_devices(s, &e), *list = json_object_get(report, "devices"), *device = json_array_get(list, 0);
    json_int_t all = json_integer_value(json_object_get(device, "memory_bytes")),
               some = json_integer_value(json_object_get(device, "free_bytes"));
    char id[SRV_ID];
    json_t *job = srv_queue_running(s, id) ? srv_queue_get(s, id) : NULL, *now = json_object_get(job, "progress");
    json_int_t held = json_integer_value(json_object_get(now, "device_bytes")),
               peak = json_integer_value(json_object_get(now, "device_peak_bytes"));
    json_t *cuda =
        device ? json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:i, s:i}}",
                           "system", "free", some, "used", all - some, "total", all, "active", "current", held, "peak", peak,
                           "allocated", "current", held, "peak", peak, "reserved", "current", held, "peak", peak, "inactive",
                           "current", (json_int_t)0, "peak", (json_int_t)0, "events", "retries", 0, "oom", 0)
               : json_pack("{s:s}", "error", e.what[0] ? e.what : "no device");
    srv_reply_json(
        reply, 200,
        json_pack("{s:{s:f, s:f, s:f}, s:o}", "ram", "free", rest, "used", total - rest, "total", total, "cuda", cuda));
    json_decref(job);
    json_decref(report);
}

#define LIST(name, made)                                                                                                       \
    static void name(struct srv *s, const struct srv_request *request, struct srv_reply *reply)                                \
    {                                                                                                                          \
        (void)s, (void)request;                                                                                                \
        srv_reply_json(reply, 200, made);                                                                                      \
    }
#define MODELS(name, kind, form, wrapped)                                                                                      \
    static void name(struct srv *s, const struct srv_request *request, struct srv_reply *reply)                                \
    {                                                                                                                          \
        (void)request;                                                                                                         \
        models_as(s, reply, kind, form, wrapped);                                                                              \
    }
LIST(samplers, srv_a1111_list_samplers())
LIST(schedulers, srv_a1111_list_schedulers())
LIST(upscalers, srv_a1111_list_upscalers(false))
LIST(latent_modes, srv_a1111_list_upscalers(true))
LIST(scripts, srv_a1111_list_scripts())
LIST(script_info, srv_a1111_list_script_info())
LIST(nothing, json_array())
LIST(cmd_flags, json_pack("{s:b, s:b, s:b, s:s}", "api", 1, "nowebui", 0, "listen", 0, "vkanim", vka_version()))
LIST(control_version, json_pack("{s:i}", "version", 2))
MODELS(checkpoints, "checkpoint", A1111_CHECKPOINTS, NULL)
MODELS(vaes, "vae", A1111_VAES, NULL)
MODELS(loras, "lora", A1111_LORAS, NULL)
MODELS(control_models, "controlnet", A1111_TITLES, "model_list")

static void done(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s, (void)request;
    answer_null(reply);
}

static void embeddings(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    vka_error e = {0};
    json_t *models = srv_models(s, NULL, &e);
    if (models)
        srv_reply_json(reply, 200, srv_a1111_list_embeddings(models));
    else
        srv_a1111_refuse_error(reply, 500, &e);
    json_decref(models);
}

static void control_modules(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s, (void)request;
    srv_reply_json(reply, 200, json_pack("{s:o}", "module_list", srv_a1111_unit_modules()));
}

/* ---- what is not there ------------------------------------------------------------------------------------------- */

static void no_such_thing(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s;
    srv_a1111_refuse(reply, 501,
                     "vkanim has nothing like %.80s: it makes pictures and animations, and neither looks at them nor trains",
                     request->path);
}

static void unknown(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s;
    srv_a1111_refuse(reply, 404, "Not Found: there is no %.80s", request->path);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define V1 "/sdapi/v1/"
const struct srv_route srv_a1111_routes[] = {
    {.method = "POST", .path = V1 "txt2img", .run = txt2img, .most_body = MOST_BODY},
    {.method = "POST", .path = V1 "img2img", .run = img2img, .most_body = MOST_BODY},
    {.method = "POST", .path = V1 "png-info", .run = png_info, .most_body = MOST_BODY},
    {.method = "GET", .path = V1 "progress", .run = progress},
    {.method = "POST", .path = V1 "interrupt", .run = interrupt, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "skip", .run = skip, .most_body = SRV_BODY_JSON},
    {.method = "GET", .path = V1 "options", .run = get_options},
    {.method = "POST", .path = V1 "options", .run = set_options, .most_body = SRV_BODY_JSON},
    {.method = "GET", .path = V1 "cmd-flags", .run = cmd_flags},
    {.method = "GET", .path = V1 "samplers", .run = samplers},
    {.method = "GET", .path = V1 "schedulers", .run = schedulers},
    {.method = "GET", .path = V1 "upscalers", .run = upscalers},
    {.method = "GET", .path = V1 "latent-upscale-modes", .run = latent_modes},
    {.method = "GET", .path = V1 "sd-models", .run = checkpoints},
    {.method = "GET", .path = V1 "sd-vae", .run = vaes},
    {.method = "GET", .path = V1 "loras", .run = loras},
    {.method = "GET", .path = V1 "embeddings", .run = embeddings},
    {.method = "GET", .path = V1 "hypernetworks", .run = nothing},
    {.method = "GET", .path = V1 "face-restorers", .run = nothing},
    {.method = "GET", .path = V1 "realesrgan-models", .run = nothing},
    {.method = "GET", .path = V1 "prompt-styles", .run = nothing},
    {.method = "GET", .path = V1 "extensions", .run = nothing},
    {.method = "GET", .path = V1 "scripts", .run = scripts},
    {.method = "GET", .path = V1 "script-info", .run = script_info},
    {.method = "GET", .path = V1 "memory", .run = memory},
    {.method = "POST", .path = V1 "refresh-checkpoints", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "refresh-vae", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "refresh-loras", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "refresh-embeddings", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "reload-checkpoint", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "unload-checkpoint", .run = done, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "interrogate", .run = no_such_thing, .most_body = MOST_BODY},
    {.method = "POST", .path = V1 "extra-single-image", .run = no_such_thing, .most_body = MOST_BODY},
    {.method = "POST", .path = V1 "extra-batch-images", .run = no_such_thing, .most_body = MOST_BODY},
    {.method = "POST", .path = V1 "create/*", .run = no_such_thing, .most_body = SRV_BODY_JSON},
    {.method = "POST", .path = V1 "train/*", .run = no_such_thing, .most_body = SRV_BODY_JSON},
    {.method = "GET", .path = V1 "*", .run = unknown},
    {.method = "POST", .path = V1 "*", .run = unknown, .most_body = SRV_BODY_JSON},
    {.method = "GET", .path = "/controlnet/version", .run = control_version},
    {.method = "GET", .path = "/controlnet/model_list", .run = control_models},
    {.method = "GET", .path = "/controlnet/module_list", .run = control_modules},
    {.method = "POST", .path = "/controlnet/detect", .run = no_such_thing, .most_body = MOST_BODY},
    {0},
};

/* ---- open and close ---------------------------------------------------------------------------------------------- */

vka_status srv_a1111_open(struct srv *s, const struct srv_config *config, vka_error *err)
{
    struct srv_a1111 *a = calloc(1, sizeof *a);
    if (!a || !(a->options = srv_a1111_options_make()) || pthread_mutex_init(&a->lock, NULL) != 0) {
        if (a)
            json_decref(a->options);
        free(a);
        return srv_fail(err, VKA_E_MEMORY, "out of memory");
    }
    char *text = config->job ? vka_job_write(config->job) : NULL;
    json_t *job = text ? json_loads(text, 0, NULL) : NULL;
    const char *model = json_string_value(json_object_get(job, "model")), *slash = model ? strrchr(model, '/') : NULL;
    if (model)
        snprintf(a->model, sizeof a->model, "%s", slash && slash[1] ? slash + 1 : model);
    json_decref(job);
    vka_free(text);
    srv_parts(s)->a1111 = a;
    return VKA_OK;
}

void srv_a1111_close(struct srv *s)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    if (!a)
        return;
    for (struct srv_waiting *w = a->waiting, *next; w; w = next) {
        next = w->next;
        srv_waiting_free(w);
    }
    json_decref(a->options);
    free(a->preview);
    pthread_mutex_destroy(&a->lock);
    free(a);
    srv_parts(s)->a1111 = NULL;
}
