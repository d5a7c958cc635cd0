/* worker.c - the one thread that renders: job after job, each with a context of its own.
 *
 * A context is cheap and opens its device anew, so a lost device, or a cancellation that came between two calls, ends with the
 * job it belongs to.  The library keeps what a stopped or failed job has done in its jobs folder; which one it is is found
 * by the job's output, a name that no other job has. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/files.h"
#include "server/gallery.h"
#include "server/inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct call { /* what the library's callbacks see */
    struct srv *s;
    struct srv_job *job; /* running: nobody else removes it */
};

/* ---- while it runs -------------------------------------------------------------------------------------------- */

static void on_log(void *user, vka_level level, const char *text)
{
    struct call *c = user;
    srv_log(c->s, level, "job %s: %s", c->job->id, text);
}

static void on_progress(void *user, const vka_progress *progress)
{
    struct call *c = user;
    pthread_mutex_lock(&c->s->queue.lock);
    struct srv_job *j = c->job;
    j->progress = *progress;
    snprintf(j->stage, sizeof j->stage, "%s", progress->stage ? progress->stage : "");
    j->progress.stage = NULL; /* the library's, as long as the call runs */
    srv_job_changed(c->s, &j->serial_progress);
    if (j->cancelled && j->cx) /* a call forgets a cancellation that came before it began */
        c->s->queue.engine.cancel(j->cx);
    pthread_mutex_unlock(&c->s->queue.lock);
    srv_events_wake(c->s);
}

static void on_preview(void *user, const vka_preview *preview)
{
    struct call *c = user;
    struct srv_preview *fresh = srv_preview_copy(preview), *old;
    if (!fresh)
        return;
    pthread_mutex_lock(&c->s->queue.lock);
    old = c->job->preview;
    c->job->preview = fresh;
    c->job->preview_step = preview->step;
    srv_job_changed(c->s, &c->job->serial_preview);
    pthread_mutex_unlock(&c->s->queue.lock);
    srv_preview_drop(old);
    srv_events_wake(c->s);
}

/* ---- what the library keeps of it ----------------------------------------------------------------------------- */

static const char *last_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

static json_t *kept_jobs(struct srv *s, vka_context *cx)
{
    char *text = NULL;
    json_t *report = s->queue.engine.jobs(cx, &text, NULL) == VKA_OK && text ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    return report;
}

/* The library's id of the job that writes `output`; malloc'd, NULL when it has kept none. */
static char *find_folder(struct srv *s, vka_context *cx, const char *output)
{
    json_t *report = kept_jobs(s, cx), *entry;
    char *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(report, "jobs"), i, entry)
    {
        const char *first = json_string_value(json_array_get(json_object_get(entry, "outputs"), 0));
        const char *state = json_string_value(json_object_get(entry, "state"));
        const char *id = json_string_value(json_object_get(entry, "id"));
        if (!first || !state || !id || strcmp(state, "stopped") != 0 || strcmp(last_name(first), output) != 0)
            continue;
        free(found); /* the last one is the newest */
        found = strdup(id);
    }
    json_decref(report);
    return found;
}

/* ---- its end -------------------------------------------------------------------------------------------------- */

/* [{"name", "url", "bytes"}] of a report's outputs; taken before paths are cut. */
static json_t *outputs_json(struct srv *s, const json_t *report)
{
    json_t *list = json_array(), *output;
    const char *folder = srv_results(s);
    size_t i, n = strlen(folder);
    json_array_foreach(json_object_get(report, "outputs"), i, output)
    {
        const char *path = json_string_value(json_object_get(output, "path"));
        if (!path || strncmp(path, folder, n) != 0 || path[n] != '/')
            continue;
        json_t *bytes = json_object_get(output, "bytes");
        char *url = srv_result_url(path + n + 1);
        json_array_append_new(list, json_pack("{s:s, s:s?, s:O}", "name", path + n + 1, "url", url, "bytes",
                                              bytes ? bytes : json_null()));
        free(url);
    }
    return list;
}

/* What the library's last line says about going on is true of the command; here it is another request. */
static void fix_hint(vka_error *err, bool resumable)
{
    char *tail = strstr(err->hint, "vkanim resume ");
    if (!tail)
        return;
    if (tail >= err->hint + 7 && strncmp(tail - 7, "; then ", 7) == 0)
        tail -= 7;
    *tail = '\0';
    if (resumable && !err->hint[0])
        snprintf(err->hint, sizeof err->hint, "the job can be resumed");
}

static void end_job(struct srv *s, struct srv_job *j, vka_status status, json_t *report, vka_error *err, char *folder)
{
    json_t *outputs = report ? outputs_json(s, report) : NULL, *error = NULL;
    struct srv_preview *preview;
    if (status != VKA_OK) {
        err->status = status;
        if (!err->what[0] && status == VKA_E_STOPPED)
            snprintf(err->what, sizeof err->what, "stopped");
        fix_hint(err, folder != NULL);
        error = srv_error_json(err);
    }
    if (report)
        srv_clean_json(report);
    pthread_mutex_lock(&s->queue.lock);
    j->state = status == VKA_OK ? SRV_DONE : status == VKA_E_STOPPED ? SRV_STOPPED : SRV_FAILED;
    j->turn = ++s->queue.turn;
    j->cx = NULL;
    json_decref(j->report);
    json_decref(j->error);
    json_decref(j->outputs);
    j->report = report;
    j->error = error;
    j->outputs = outputs;
    free(j->folder);
    j->folder = folder;
    preview = j->preview;
    j->preview = NULL;
    j->preview_step = 0;
    if (status == VKA_OK) /* nothing to begin again with */
        vka_job_destroy(&j->job);
    s->queue.running = NULL;
    srv_job_changed(s, &j->serial_state);
    srv_queue_moved(s);
    srv_queue_trim(s);
    pthread_cond_broadcast(&s->queue.ended);
    pthread_mutex_unlock(&s->queue.lock);
    srv_preview_drop(preview);
    srv_events_wake(s);
    srv_pool_look(s);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void work(struct srv *s, struct srv_job *j)
{
    struct call call = {s, j};
    vka_context_params params = {.log = s->log ? on_log : NULL,
                                 .progress = on_progress,
                                 .preview = on_preview,
                                 .user = &call,
                                 .level = s->level,
                                 .validation = s->validation,
                                 .names_only = 1};
    vka_context *cx = NULL;
    vka_error err = {0};
    char *text = NULL, *folder = NULL;
    vka_status status = vka_context_create(&cx, &params, &err);
    if (status == VKA_OK) {
        pthread_mutex_lock(&s->queue.lock);
        j->cx = cx;
        pthread_mutex_unlock(&s->queue.lock);
        srv_log(s, VKA_LEVEL_INFO, "job %s begins", j->id);
        status = j->folder ? s->queue.engine.resume(cx, &params, j->folder, &text, &err)
                           : s->queue.engine.render(cx, &params, j->job, &text, &err);
        if (status != VKA_OK)
            folder = find_folder(s, cx, j->output);
        bool failed = status != VKA_OK && status != VKA_E_STOPPED;
        srv_log(s, failed ? VKA_LEVEL_ERROR : VKA_LEVEL_INFO, "job %s: %s", j->id,
                status == VKA_OK ? "done" : status == VKA_E_STOPPED ? "stopped" : err.what);
    }
    json_t *report = text ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    pthread_mutex_lock(&s->queue.lock);
    j->cx = NULL; /* from here on there is nothing to cancel */
    pthread_mutex_unlock(&s->queue.lock);
    vka_context_destroy(&cx);
    end_job(s, j, status, report, &err, folder);
}

/* The queued job whose turn it is, made the running one; waits for one.  NULL: the end. */
static struct srv_job *next_job(struct srv *s)
{
    struct srv_queue *q = &s->queue;
    struct srv_job *next = NULL;
    pthread_mutex_lock(&q->lock);
    while (!next && !q->ending) {
        for (struct srv_job *j = q->first; j; j = j->next)
            if (j->state == SRV_QUEUED && (!next || j->turn < next->turn))
                next = j;
        if (!next)
            pthread_cond_wait(&q->some, &q->lock);
    }
    if (q->ending)
        next = NULL;
    if (next) {
        next->state = SRV_RUNNING;
        next->cancelled = false;
        q->running = next;
        q->waiting--;
        srv_job_changed(s, &next->serial_state);
    }
    pthread_mutex_unlock(&q->lock);
    if (next)
        srv_events_wake(s);
    return next;
}

static void *worker(void *server)
{
    struct srv *s = server;
    struct srv_job *j;
    while ((j = next_job(s)))
        work(s, j);
    return NULL;
}

/* ---- what earlier servers left -------------------------------------------------------------------------------- */

/* Unix seconds of "2026-01-31T23:59:59Z" or the like; 0 when it is none. */
static long long time_of(const char *text)
{
    struct tm t = {0};
    if (!text || sscanf(text, "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
                        &t.tm_sec) != 6)
        return 0;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return (long long)timegm(&t);
}

/* Whether every output lies in the results folder itself: what others began is not ours to go on with. */
static bool is_ours(struct srv *s, const json_t *outputs)
{
    const char *folder = srv_results(s);
    size_t i, n = strlen(folder);
    json_t *output;
    json_array_foreach(outputs, i, output)
    {
        const char *path = json_string_value(output);
        if (!path || strncmp(path, folder, n) != 0 || path[n] != '/' || strchr(path + n + 1, '/'))
            return false;
    }
    return json_array_size(outputs) > 0;
}

static struct srv_job *restore(struct srv *s, const json_t *entry)
{
    const char *id = json_string_value(json_object_get(entry, "id"));
    const char *state = json_string_value(json_object_get(entry, "state"));
    const char *prompt = json_string_value(json_object_get(entry, "prompt"));
    const json_t *outputs = json_object_get(entry, "outputs");
    const char *output = last_name(json_string_value(json_array_get(outputs, 0)));
    struct srv_job *j = id && state && strcmp(state, "stopped") == 0 && is_ours(s, outputs) ? calloc(1, sizeof *j) : NULL;
    if (!j)
        return NULL;
    /* The id that it had is in the name that it was given; where the client gave another, the library's will do. */
    bool named = strspn(output, "0123456789abcdef") == 8 && (output[8] == '-' || output[8] == '.');
    snprintf(j->id, sizeof j->id, named ? "%.8s" : "%.30s", named ? output : id);
    j->state = SRV_STOPPED;
    j->made = time_of(json_string_value(json_object_get(entry, "created")));
    j->folder = strdup(id);
    j->output = strdup(output);
    j->prompt = strdup(prompt ? prompt : "");
    j->request = json_pack("{s:s}", "prompt", prompt ? prompt : "");
    j->progress.eta_s = -1;
    if (j->folder && j->output && j->prompt && j->request && !srv_job_find(s, j->id))
        return j;
    srv_job_free(j);
    return NULL;
}

/* Adds the jobs that earlier servers left in the results folder. */
static void restore_all(struct srv *s)
{
    vka_context *cx = NULL;
    if (vka_context_create(&cx, NULL, NULL) != VKA_OK)
        return;
    json_t *report = kept_jobs(s, cx), *entry;
    size_t i;
    struct srv_job **end = &s->queue.first;
    json_array_foreach(json_object_get(report, "jobs"), i, entry)
    {
        struct srv_job *j = restore(s, entry);
        if (!j)
            continue;
        j->turn = ++s->queue.turn;
        srv_job_changed(s, &j->serial_state);
        *end = j;
        end = &j->next;
    }
    srv_queue_trim(s);
    json_decref(report);
    vka_context_destroy(&cx);
}

vka_status srv_queue_start(struct srv *s, vka_error *err)
{
    restore_all(s);
    if (pthread_create(&s->queue.thread, NULL, worker, s) != 0)
        return srv_fail(err, VKA_E_MEMORY, "there is no thread left for renders");
    s->queue.worker = true;
    return VKA_OK;
}

void srv_queue_end(struct srv *s)
{
    struct srv_queue *q = &s->queue;
    pthread_mutex_lock(&q->lock);
    q->ending = true;
    if (q->running) {
        q->running->cancelled = true;
        if (q->running->cx)
            q->engine.cancel(q->running->cx);
    }
    pthread_cond_broadcast(&q->some);
    pthread_mutex_unlock(&q->lock);
    if (q->worker)
        pthread_join(q->thread, NULL);
    q->worker = false;
}

void srv_queue_free(struct srv *s)
{
    struct srv_job *next;
    for (struct srv_job *j = s->queue.first; j; j = next) {
        next = j->next;
        srv_job_free(j);
    }
    s->queue.first = NULL;
}
