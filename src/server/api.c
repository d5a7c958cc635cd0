/* api.c - the server's own interface, /api/v1: about, options, models, devices, plan and jobs; and the page. */
#define _POSIX_C_SOURCE 200809L
#include "server/files.h"
#include "server/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_S = 5 }; /* how long a list of models is not asked for again */

/* ---- the page ------------------------------------------------------------------------------------------------- */

static const char nonce_mark[] = "@NONCE@";

static void get_page(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s, (void)request;
    const char *page = (const char *)srv_page, *end = page + srv_page_size;
    size_t mark = sizeof nonce_mark - 1, digits = 32;
    char *out = malloc(srv_page_size * digits / mark + 1), *to = out; /* each mark becomes 32 digits */
    if (!out || !srv_random_hex(reply->nonce, digits / 2)) {
        free(out);
        srv_reply_refuse(reply, 500, "out of memory");
        return;
    }
    while (page < end) {
        const char *at = memchr(page, '@', (size_t)(end - page));
        const char *stop = at ? at : end;
        memcpy(to, page, (size_t)(stop - page));
        to += stop - page;
        page = stop;
        if (at && (size_t)(end - at) >= mark && memcmp(at, nonce_mark, mark) == 0) {
            memcpy(to, reply->nonce, digits);
            to += digits;
            page += mark;
        } else if (at)
            *to++ = *page++;
    }
    reply->status = 200;
    reply->type = "text/html; charset=utf-8";
    reply->size = (size_t)(to - out);
    reply->body = out;
}

/* ---- what there is -------------------------------------------------------------------------------------------- */

json_t *srv_defaults(struct srv *s)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    json_t *all = json_loads(s->defaults, 0, NULL);
    for (size_t i = 0; all && i < count; i++)
        if (!srv_option_allowed(&options[i]))
            json_object_del(all, options[i].name);
    if (all)
        srv_clean_json(all);
    return all;
}

static void get_about(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    json_t *limits = json_pack("{s:i, s:I, s:i}", "queue", (int)s->queue.most, "upload_bytes", (json_int_t)s->upload_bytes,
                               "body_bytes", (int)SRV_BODY_JSON);
    srv_reply_json(reply, 200, json_pack("{s:i, s:s, s:o, s:o, s:b}", "schema", 1, "version", vka_version(), "limits", limits,
                                         "defaults", srv_defaults(s), "a1111", srv_a1111_routes[0].method != NULL));
}

static json_t *text_or_null(const char *text) { return text ? json_string(text) : json_null(); }

/* Choices as words; those behind a '|' are known and refused. */
static json_t *choices_json(const char *choices)
{
    json_t *list = json_array();
    if (!choices)
        return json_decref(list), json_null();
    for (const char *p = choices; *p && *p != '|';) {
        size_t n = strcspn(p, " |");
        if (n)
            json_array_append_new(list, json_stringn(p, n));
        p += n;
        p += strspn(p, " ");
    }
    return list;
}

static void get_options(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    static const char *const kinds[] = {"flag", "text", "path", "list", "int", "real", "size", "choice"};
    (void)s, (void)request;
    size_t count;
    const vka_option *options = vka_options(&count);
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        const vka_option *o = &options[i];
        if (!srv_option_allowed(o))
            continue;
        char letter[2] = {o->letter, '\0'};
        bool local = (o->marks & VKA_MARK_LOCAL) != 0, files = (o->marks & VKA_MARK_FILES) != 0;
        json_t *row = json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:b, s:b}", "name", o->name, "letter",
                                text_or_null(o->letter ? letter : NULL), "kind", kinds[o->kind], "value",
                                text_or_null(o->value), "default", text_or_null(o->initial), "choices",
                                choices_json(o->choices), "group", o->group, "help", o->help, "local", local, "files", files);
        if (row && (o->kind == VKA_OPTION_INT || o->kind == VKA_OPTION_REAL)) {
            json_object_set_new(row, "least", json_real(o->least));
            json_object_set_new(row, "most", json_real(o->most));
        }
        whole = json_array_append_new(list, row) == 0;
    }
    if (!whole) {
        json_decref(list);
        list = NULL;
    }
    srv_reply_json(reply, 200, json_pack("{s:o}", "options", list));
}

/* A path below one of the report's folders becomes what follows that folder. */
static void make_relative(json_t *report)
{
    json_t *folders = json_object_get(report, "folders"), *model, *folder;
    size_t i, k;
    json_array_foreach(json_object_get(report, "models"), i, model)
    {
        const char *path = json_string_value(json_object_get(model, "path"));
        size_t longest = 0;
        json_array_foreach(folders, k, folder)
        {
            const char *root = json_string_value(json_object_get(folder, "path"));
            size_t n = root ? strlen(root) : 0;
            if (path && n > longest && strncmp(path, root, n) == 0 && path[n] == '/')
                longest = n;
        }
        if (longest)
            json_object_set_new(model, "path", json_string(path + longest + 1));
    }
}

static char *list_models(struct srv *s, vka_error *err)
{
    char *text = NULL, *clean = NULL;
    if (vka_models(s->context, NULL, &text, err) != VKA_OK)
        return NULL;
    json_t *report = json_loads(text, 0, NULL);
    vka_free(text);
    if (report) {
        make_relative(report);
        if (srv_clean_json(report))
            clean = json_dumps(report, JSON_COMPACT);
    }
    json_decref(report);
    if (!clean)
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    return clean;
}

json_t *srv_models(struct srv *s, const char *kind, vka_error *err)
{
    pthread_mutex_lock(&s->context_lock);
    if (!s->models || srv_now() - s->models_at > (double)MODELS_S) {
        char *fresh = list_models(s, err);
        free(s->models);
        s->models = fresh;
        s->models_at = srv_now();
    }
    json_t *report = s->models ? json_loads(s->models, 0, NULL) : NULL;
    pthread_mutex_unlock(&s->context_lock);
    json_t *models = json_object_get(report, "models");
    for (size_t i = json_array_size(models); kind && i-- > 0;) {
        const char *is = json_string_value(json_object_get(json_array_get(models, i), "kind"));
        if (!is || strcmp(is, kind) != 0)
            json_array_remove(models, i);
    }
    if (!report)
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    return report;
}

static void get_models(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    json_t *report = srv_models(s, srv_query(request, "kind"), &err);
    if (report)
        srv_reply_json(reply, 200, report);
    else
        srv_reply_error(reply, 0, &err);
}

json_t *srv_devices(struct srv *s, vka_error *err)
{
    char *text = NULL;
    vka_context *cx = srv_context_take(s);
    vka_status status = vka_devices(cx, &text, err);
    srv_context_give(s, cx);
    json_t *report = status == VKA_OK ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    if (report)
        srv_clean_json(report);
    else
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    return report;
}

static void get_devices(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    (void)request;
    json_t *report = srv_devices(s, &err);
    if (report)
        srv_reply_json(reply, 200, report);
    else
        srv_reply_error(reply, 0, &err);
}

/* ---- plan ----------------------------------------------------------------------------------------------------- */

json_t *srv_plan(struct srv *s, const json_t *request, vka_error *err)
{
    char *text = NULL;
    json_t *confined = srv_confine(s, request, err);
    vka_job *job = confined ? srv_make_job(s, confined, err) : NULL;
    json_decref(confined);
    if (!job) {
        srv_fail(err, VKA_E_MEMORY, "out of memory");
        return NULL;
    }
    vka_context *cx = srv_context_take(s);
    vka_status status = vka_plan(cx, job, &text, err);
    srv_context_give(s, cx);
    vka_job_destroy(&job);
    json_t *report = text ? json_loads(text, 0, NULL) : NULL; /* there is one too when it does not fit */
    vka_free(text);
    if (report)
        srv_clean_json(report);
    else
        srv_fail(err, status == VKA_OK ? VKA_E_MEMORY : status, "out of memory");
    return report;
}

static void post_plan(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    json_t *job = srv_body_object(request, &err), *report = job ? srv_plan(s, job, &err) : NULL;
    json_decref(job);
    if (report)
        srv_reply_json(reply, 200, report);
    else
        srv_reply_error(reply, 0, &err);
}

/* ---- jobs ----------------------------------------------------------------------------------------------------- */

static void post_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    char id[SRV_ID];
    json_t *job = srv_body_object(request, &err);
    unsigned status = job ? srv_queue_add(s, job, id, &err) : 400;
    json_decref(job);
    json_t *made = status == 202 ? srv_queue_get(s, id) : NULL;
    if (status == 202) {
        json_t *place = json_object_get(made, "place"), *state = json_object_get(made, "state");
        place = place ? place : json_null();
        srv_reply_json(reply, 202, json_pack("{s:s, s:O, s:O}", "id", id, "state", state, "place", place));
    } else
        srv_reply_error(reply, status, &err);
    json_decref(made);
}

static void get_jobs(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)request;
    srv_reply_json(reply, 200, srv_queue_list(s));
}

static void no_job(struct srv_reply *reply) { srv_reply_refuse(reply, 404, "there is no such job"); }

static void get_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    json_t *job = srv_queue_get(s, request->rest);
    if (job)
        srv_reply_json(reply, 200, job);
    else
        no_job(reply);
}

static void change_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply,
                       unsigned (*change)(struct srv *, const char *, vka_error *))
{
    vka_error err = {0};
    unsigned status = change(s, request->rest, &err);
    if (status != 200) {
        srv_reply_error(reply, status, &err);
        return;
    }
    json_t *job = srv_queue_get(s, request->rest);
    srv_reply_json(reply, 200, job ? job : json_pack("{s:s}", "id", request->rest));
}

static void cancel_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    change_job(s, request, reply, srv_queue_cancel);
}

static void resume_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    change_job(s, request, reply, srv_queue_resume);
}

static void forget_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    change_job(s, request, reply, srv_queue_forget);
}

static void stream(struct srv_reply *reply, const char *id)
{
    reply->status = 200;
    reply->type = "text/event-stream";
    reply->stream = true;
    snprintf(reply->stream_of, sizeof reply->stream_of, "%s", id);
}

static void get_events(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    (void)s, (void)request;
    stream(reply, "");
}

static void get_job_events(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    json_t *job = strlen(request->rest) < SRV_ID ? srv_queue_get(s, request->rest) : NULL;
    if (job)
        stream(reply, request->rest);
    else
        no_job(reply);
    json_decref(job);
}

static void preview(struct srv *s, const struct srv_request *request, struct srv_reply *reply, const char *type,
                    const char *mime)
{
    unsigned step = 0;
    reply->size = srv_queue_preview(s, request->rest, type, &reply->body, &step);
    if (!reply->size) {
        srv_reply_refuse(reply, 404, "there is no preview of this job");
        return;
    }
    reply->status = 200;
    reply->type = mime;
    snprintf(reply->etag, sizeof reply->etag, "\"%.31s-%u-%zu\"", request->rest, step, reply->size);
}

static void get_webp(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    preview(s, request, reply, "webp", "image/webp");
}

static void get_png(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    preview(s, request, reply, "png", "image/png");
}

/* method, path, handler, most_body, slow, raw */
const struct srv_route srv_api_routes[] = {
    {"GET", "/", get_page, 0, false, false},
    {"GET", "/api/v1/about", get_about, 0, false, false},
    {"GET", "/api/v1/options", get_options, 0, false, false},
    {"GET", "/api/v1/models", get_models, 0, true, false},
    {"GET", "/api/v1/devices", get_devices, 0, true, false},
    {"POST", "/api/v1/plan", post_plan, SRV_BODY_JSON, true, false},
    {"POST", "/api/v1/jobs", post_job, SRV_BODY_JSON, false, false},
    {"GET", "/api/v1/jobs", get_jobs, 0, false, false},
    {"GET", "/api/v1/events", get_events, 0, false, false},
    {"GET", "/api/v1/jobs/*", get_job, 0, false, false},
    {"DELETE", "/api/v1/jobs/*", forget_job, 0, false, false},
    {"POST", "/api/v1/jobs/*/cancel", cancel_job, SRV_BODY_JSON, false, false},
    {"POST", "/api/v1/jobs/*/resume", resume_job, SRV_BODY_JSON, false, false},
    {"GET", "/api/v1/jobs/*/events", get_job_events, 0, false, false},
    {"GET", "/api/v1/jobs/*/preview.webp", get_webp, 0, false, false},
    {"GET", "/api/v1/jobs/*/preview.png", get_png, 0, false, false},
    {0},
};
