/* queue.c - see queue.h.  Every job lies in one list, guarded by one lock; the worker is in worker.c.
 *
 * Whatever changes about a job gets the next serial number, so that event streams know what they have not told. */
#define _POSIX_C_SOURCE 200809L
#include "server/files.h"
#include "server/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const state_names[] = {"queued", "running", "done", "failed", "stopped"};

/* ---- one job -------------------------------------------------------------------------------------------------- */

bool srv_job_has_ended(const struct srv_job *j) { return j->state != SRV_QUEUED && j->state != SRV_RUNNING; }

struct srv_job *srv_job_find(struct srv *s, const char *id)
{
    for (struct srv_job *j = s->queue.first; j; j = j->next)
        if (strcmp(j->id, id) == 0)
            return j;
    return NULL;
}

void srv_job_changed(struct srv *s, uint64_t *serial) { *serial = ++s->queue.serial; }

void srv_job_free(struct srv_job *j)
{
    if (!j)
        return;
    free(j->prompt);
    free(j->folder);
    free(j->output);
    json_decref(j->request);
    json_decref(j->report);
    json_decref(j->error);
    json_decref(j->outputs);
    vka_job_destroy(&j->job);
    srv_preview_drop(j->preview);
    free(j);
}

static bool can_resume(const struct srv_job *j)
{
    return (j->state == SRV_STOPPED || j->state == SRV_FAILED) && (j->folder || j->job);
}

/* Jobs that go before it: the running one and those queued earlier. */
static unsigned place_of(const struct srv *s, const struct srv_job *j)
{
    unsigned place = s->queue.running != NULL;
    for (const struct srv_job *other = s->queue.first; other; other = other->next)
        place += other->state == SRV_QUEUED && other->turn < j->turn;
    return place;
}

/* Places have changed: those who wait are told. */
static void move_up(struct srv *s)
{
    for (struct srv_job *j = s->queue.first; j; j = j->next)
        if (j->state == SRV_QUEUED)
            srv_job_changed(s, &j->serial_state);
}

static json_t *seconds(double value) { return value >= 0 ? json_real(value) : json_null(); }

static json_t *progress_json(const struct srv_job *j)
{
    const vka_progress *p = &j->progress;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:o, s:I, s:I, s:i}", "stage", j->stage, "clip", (int)p->clip,
                     "clips", (int)p->clips, "done", (int)p->done, "total", (int)p->total, "elapsed_s", p->elapsed_s,
                     "per_item_s", p->per_item_s, "eta_s", seconds(p->eta_s), "device_bytes", (json_int_t)p->device_bytes,
                     "device_peak_bytes", (json_int_t)p->device_peak_bytes, "preview", (int)j->preview_step);
}

/* What lists, events and the job itself have in common. */
static json_t *brief_json(struct srv *s, const struct srv_job *j)
{
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:b, s:o}", "id", j->id, "state", state_names[j->state], "made",
                          (json_int_t)j->made, "prompt", j->prompt ? j->prompt : "", "resumable", can_resume(j), "progress",
                          progress_json(j));
    if (o && j->state == SRV_QUEUED)
        json_object_set_new(o, "place", json_integer((json_int_t)place_of(s, j)));
    return o;
}

static json_t *copy_or_null(const json_t *value) { return value ? json_deep_copy(value) : json_null(); }

static json_t *whole_json(struct srv *s, const struct srv_job *j)
{
    json_t *o = brief_json(s, j);
    if (o && (json_object_set_new(o, "report", copy_or_null(j->report)) != 0 ||
              json_object_set_new(o, "error", copy_or_null(j->error)) != 0 ||
              json_object_set_new(o, "outputs", j->outputs ? json_deep_copy(j->outputs) : json_array()) != 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

json_t *srv_job_event(struct srv *s, const struct srv_job *j)
{
    return srv_job_has_ended(j) ? whole_json(s, j) : brief_json(s, j);
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

json_t *srv_queue_get(struct srv *s, const char *id)
{
    json_t *o = NULL;
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j = srv_job_find(s, id);
    if (j)
        o = whole_json(s, j);
    if (o)
        json_object_set_new(o, "job", copy_or_null(j->request));
    pthread_mutex_unlock(&s->queue.lock);
    return o;
}

/* Running, then queued by their turn, then ended ones, the last first. */
static int by_rank(const void *a, const void *b)
{
    const struct srv_job *x = *(struct srv_job *const *)a, *y = *(struct srv_job *const *)b;
    int rank_x = x->state == SRV_RUNNING ? 0 : x->state == SRV_QUEUED ? 1 : 2;
    int rank_y = y->state == SRV_RUNNING ? 0 : y->state == SRV_QUEUED ? 1 : 2;
    if (rank_x != rank_y)
        return rank_x - rank_y;
    return (rank_x == 2 ? -1 : 1) * (x->turn < y->turn ? -1 : x->turn > y->turn);
}

json_t *srv_queue_list(struct srv *s)
{
    json_t *list = json_array();
    size_t count = 0;
    pthread_mutex_lock(&s->queue.lock);
    for (struct srv_job *j = s->queue.first; j; j = j->next)
        count++;
    struct srv_job **jobs = malloc((count + 1) * sizeof *jobs);
    count = 0;
    for (struct srv_job *j = s->queue.first; jobs && j; j = j->next)
        jobs[count++] = j;
    if (jobs)
        qsort(jobs, count, sizeof *jobs, by_rank);
    bool whole = jobs && list;
    for (size_t i = 0; whole && i < count; i++)
        whole = json_array_append_new(list, brief_json(s, jobs[i])) == 0;
    pthread_mutex_unlock(&s->queue.lock);
    free(jobs);
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o}", "jobs", list);
}

bool srv_queue_running(struct srv *s, char id[SRV_ID])
{
    pthread_mutex_lock(&s->queue.lock);
    bool running = s->queue.running != NULL;
    snprintf(id, SRV_ID, "%s", running ? s->queue.running->id : "");
    pthread_mutex_unlock(&s->queue.lock);
    return running;
}

unsigned srv_queue_waiting(struct srv *s)
{
    pthread_mutex_lock(&s->queue.lock);
    unsigned waiting = s->queue.waiting;
    pthread_mutex_unlock(&s->queue.lock);
    return waiting;
}

bool srv_queue_is_over(struct srv *s, const char *id)
{
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j = srv_job_find(s, id);
    bool over = !j || srv_job_has_ended(j);
    pthread_mutex_unlock(&s->queue.lock);
    return over;
}

bool srv_queue_wait(struct srv *s, const char *id, double limit)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double at = (double)until.tv_sec + (double)until.tv_nsec * 1e-9 + limit;
    until.tv_sec = (time_t)at;
    until.tv_nsec = (long)((at - (double)until.tv_sec) * 1e9);
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j;
    bool over = false;
    for (int waited = 0; !over && waited == 0;) {
        j = srv_job_find(s, id);
        over = !j || srv_job_has_ended(j);
        if (!over)
            waited = pthread_cond_timedwait(&s->queue.ended, &s->queue.lock, &until);
    }
    pthread_mutex_unlock(&s->queue.lock);
    return over;
}

/* ---- adding --------------------------------------------------------------------------------------------------- */

/* The request's copy with the seed it will have, when it has no other. */
static bool give_seed(struct srv *s, json_t *request)
{
    char hex[9];
    json_t *seed = json_object_get(request, "seed"), *defaults = seed ? NULL : srv_defaults(s);
    if (defaults)
        seed = json_object_get(defaults, "seed");
    bool given = seed && !(json_is_integer(seed) && json_integer_value(seed) == -1);
    json_decref(defaults);
    if (given)
        return true;
    if (!srv_random_hex(hex, 4))
        return false;
    return json_object_set_new(request, "seed", json_integer((json_int_t)strtoul(hex, NULL, 16))) == 0;
}

/* Where the clip goes when the request does not say. */
static bool give_output(struct srv *s, json_t *confined, const char *id)
{
    const json_t *seed = json_object_get(confined, "seed"), *count = json_object_get(confined, "count");
    if (json_object_get(confined, "output"))
        return true;
    const char *folder = srv_results(s);
    json_t *path = json_integer_value(count) > 1 || !json_is_integer(seed) /* the library adds each seed */
                       ? json_sprintf("%s/%s.webp", folder, id)
                       : json_sprintf("%s/%s-%" JSON_INTEGER_FORMAT ".webp", folder, id, json_integer_value(seed));
    return path && json_object_set_new(confined, "output", json_pack("[o]", path)) == 0;
}

vka_job *srv_make_job(struct srv *s, const json_t *confined, vka_error *err)
{
    json_t *all = json_loads(s->defaults, 0, NULL);
    vka_job *job = vka_job_create();
    char *text = all && json_object_update(all, (json_t *)(uintptr_t)confined) == 0 ? json_dumps(all, JSON_COMPACT) : NULL;
    vka_status status =
        job && text ? vka_job_read(job, text, strlen(text), err) : srv_fail(err, VKA_E_MEMORY, "out of memory");
    free(text);
    json_decref(all);
    if (status != VKA_OK)
        vka_job_destroy(&job);
    return job;
}

/* The last name of the job's first output, and a prompt for lists. */
static bool describe(struct srv_job *j)
{
    char *text = vka_job_write(j->job);
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    const char *output = json_string_value(json_array_get(json_object_get(all, "output"), 0));
    const char *prompt = json_string_value(json_object_get(all, "prompt")), *slash = output ? strrchr(output, '/') : NULL;
    size_t n = prompt ? strlen(prompt) : 0;
    for (n = n > 500 ? 500 : n; n && ((unsigned char)prompt[n] & 0xc0) == 0x80;) /* whole characters */
        n--;
    j->output = strdup(slash ? slash + 1 : output ? output : "");
    j->prompt = strndup(prompt ? prompt : "", n);
    json_decref(all);
    return all && j->output && j->prompt;
}

static struct srv_job *make(struct srv *s, const json_t *request, vka_error *err)
{
    struct srv_job *j = calloc(1, sizeof *j);
    json_t *confined = NULL;
    bool good = j && srv_random_hex(j->id, 4) && (j->request = json_deep_copy(request)) && give_seed(s, j->request);
    if (good) {
        confined = srv_confine(s, j->request, err);
        good = confined && give_output(s, confined, j->id) && (j->job = srv_make_job(s, confined, err)) && describe(j);
        j->made = (long long)time(NULL);
        j->progress.eta_s = -1;
    }
    json_decref(confined);
    if (good)
        return j;
    srv_fail(err, VKA_E_MEMORY, "out of memory");
    srv_job_free(j);
    return NULL;
}

/* With the lock: 202 and a place in the queue, or why not. */
static unsigned enqueue(struct srv *s, struct srv_job *j, vka_error *err)
{
    struct srv_queue *q = &s->queue;
    if (q->ending) {
        srv_fail(err, VKA_E_STOPPED, "the server is ending");
        return 503;
    }
    if (q->waiting >= q->most) {
        srv_fail(err, VKA_E_USAGE, "the queue is full: %u jobs are waiting", q->waiting);
        return 429;
    }
    j->state = SRV_QUEUED;
    j->turn = ++q->turn;
    q->waiting++;
    srv_job_changed(s, &j->serial_state);
    pthread_cond_signal(&q->some);
    return 202;
}

unsigned srv_queue_add(struct srv *s, const json_t *request, char id[SRV_ID], vka_error *err)
{
    id[0] = '\0';
    struct srv_job *j = make(s, request, err);
    if (!j)
        return err ? srv_http_status(err->status) : 400;
    pthread_mutex_lock(&s->queue.lock);
    unsigned status = 500;
    if (srv_job_find(s, j->id)) /* four random bytes that are there already */
        srv_fail(err, VKA_E_INTERNAL, "no name was found for the job");
    else
        status = enqueue(s, j, err);
    if (status == 202) {
        struct srv_job **end = &s->queue.first;
        while (*end)
            end = &(*end)->next;
        *end = j;
        snprintf(id, SRV_ID, "%s", j->id);
        j = NULL;
    }
    pthread_mutex_unlock(&s->queue.lock);
    srv_job_free(j);
    if (status == 202)
        srv_events_wake(s);
    return status;
}

/* ---- changing ------------------------------------------------------------------------------------------------- */

static unsigned unknown(const char *id, vka_error *err)
{
    srv_fail(err, VKA_E_USAGE, "there is no job '%.31s'", id);
    return 404;
}

unsigned srv_queue_cancel(struct srv *s, const char *id, vka_error *err)
{
    unsigned status = 200;
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j = srv_job_find(s, id);
    bool waited = j && j->state == SRV_QUEUED;
    if (!j)
        status = unknown(id, err);
    else if (waited) {
        j->state = SRV_STOPPED;
        j->turn = ++s->queue.turn;
        s->queue.waiting--;
        srv_job_changed(s, &j->serial_state);
        move_up(s);
        pthread_cond_broadcast(&s->queue.ended);
    } else if (j->state == SRV_RUNNING) {
        j->cancelled = true;
        if (j->cx)
            s->queue.engine.cancel(j->cx);
    } else {
        srv_fail(err, VKA_E_USAGE, "the job is %s already", state_names[j->state]);
        status = 409;
    }
    pthread_mutex_unlock(&s->queue.lock);
    if (waited) {
        srv_events_wake(s);
        srv_pool_look(s);
    }
    return status;
}

unsigned srv_queue_resume(struct srv *s, const char *id, vka_error *err)
{
    unsigned status;
    pthread_mutex_lock(&s->queue.lock);
    struct srv_job *j = srv_job_find(s, id);
    if (!j)
        status = unknown(id, err);
    else if (!can_resume(j)) {
        srv_fail(err, VKA_E_USAGE, "the job is %s and cannot be resumed", state_names[j->state]);
        status = 409;
    } else {
        status = enqueue(s, j, err);
        if (status == 202) {
            json_decref(j->error);
            j->error = NULL;
            j->cancelled = false;
            j->progress = (vka_progress){.eta_s = -1};
            j->stage[0] = '\0';
            j->preview_step = 0;
            status = 200;
        }
    }
    pthread_mutex_unlock(&s->queue.lock);
    if (status == 200)
        srv_events_wake(s);
    return status;
}

/* What the library has kept of a stopped job. */
static void forget_folder(struct srv *s, const struct srv_job *j)
{
    vka_context *cx = NULL;
    vka_error err = {0};
    if (vka_context_create(&cx, NULL, &err) != VKA_OK || s->queue.engine.forget(cx, j->folder, &err) != VKA_OK)
        srv_log(s, VKA_LEVEL_WARN, "job %s: %s", j->id, err.what);
    vka_context_destroy(&cx);
}

unsigned srv_queue_forget(struct srv *s, const char *id, vka_error *err)
{
    unsigned status = 404;
    struct srv_job *gone = NULL;
    pthread_mutex_lock(&s->queue.lock);
    for (struct srv_job **at = &s->queue.first; *at && !gone; at = gone ? at : &(*at)->next) {
        struct srv_job *j = *at;
        if (strcmp(j->id, id) != 0)
            continue;
        status = srv_job_has_ended(j) ? 200 : 409;
        if (status == 409) {
            srv_fail(err, VKA_E_USAGE, "the job is %s; it can be cancelled", state_names[j->state]);
            break;
        }
        *at = j->next;
        gone = j;
    }
    pthread_mutex_unlock(&s->queue.lock);
    if (gone && gone->folder) /* else the next server would list it again */
        forget_folder(s, gone);
    srv_job_free(gone);
    if (status == 404)
        unknown(id, err);
    if (gone) { /* streams of it end */
        srv_events_wake(s);
        srv_pool_look(s);
    }
    return status;
}

void srv_queue_moved(struct srv *s) { move_up(s); }

void srv_queue_trim(struct srv *s)
{
    for (;;) {
        unsigned ended = 0;
        struct srv_job **oldest = NULL;
        for (struct srv_job **at = &s->queue.first; *at; at = &(*at)->next)
            if (srv_job_has_ended(*at)) {
                ended++;
                oldest = !oldest || (*at)->turn < (*oldest)->turn ? at : oldest;
            }
        if (ended <= SRV_KEPT)
            return;
        struct srv_job *gone = *oldest;
        *oldest = gone->next;
        srv_job_free(gone);
    }
}
