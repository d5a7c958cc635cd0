/* a1111_make.c - txt2img and img2img: a request into jobs of the queue, and their ends into its answer.
 *
 * What a request needs until its jobs have ended lies in `waiting`, found by a number, so that a server that ends frees it.
 * Several jobs (n_iter of an animation) are queued together, all of them or none, and one behind the other. */
#define _POSIX_C_SOURCE 200809L /* unlink */
#include "server/a1111_state.h"

#include "server/files.h"
#include "server/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_RESULT = 1 << 30 };

/* ---- what a translation and a reply ask for ---- */

static vka_status store(void *user, const char *suggested, const void *data, size_t size, char name[80], vka_error *err)
{
    char stored[64];
    vka_status st = srv_upload_store(user, suggested, data, size, stored, err);
    if (st == VKA_OK)
        snprintf(name, 80, "upload:%s", stored);
    return st;
}

/* A file of the results folder. */
static unsigned char *load(void *user, const char *output, size_t *size)
{
    char path[4096];
    *size = 0;
    if (snprintf(path, sizeof path, "%s/%s", srv_results(user), output) >= (int)sizeof path)
        return NULL;
    FILE *file = fopen(path, "rb");
    unsigned char *data = NULL;
    long end = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (end > 0 && end <= MOST_RESULT && fseek(file, 0, SEEK_SET) == 0 && (data = malloc((size_t)end)) != NULL) {
        *size = fread(data, 1, (size_t)end, file);
        if (*size != (size_t)end) {
            free(data);
            data = NULL;
        }
    }
    if (file)
        fclose(file);
    return data;
}

static char *infotext(void *user, const char *output)
{
    char path[4096], *copy = NULL;
    if (snprintf(path, sizeof path, "%s/%s", srv_results(user), output) >= (int)sizeof path)
        return NULL;
    json_t *o = srv_a1111_inspect(user, path, NULL);
    const char *text = json_string_value(json_object_get(o, "infotext"));
    if (text && (copy = malloc(strlen(text) + 1)) != NULL)
        memcpy(copy, text, strlen(text) + 1);
    json_decref(o);
    return copy;
}

static unsigned char *last_preview(void *user, const char *id, size_t *size)
{
    struct srv_a1111 *a = srv_a1111_state(user);
    unsigned char *copy = NULL;
    pthread_mutex_lock(&a->lock);
    if (a->preview && strcmp(a->seen, id) == 0 && (copy = malloc(a->preview_size)) != NULL) {
        memcpy(copy, a->preview, a->preview_size);
        *size = a->preview_size;
    }
    pthread_mutex_unlock(&a->lock);
    return copy;
}

static struct srv_waiting *take_waiting(struct srv *s, unsigned long long number)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    pthread_mutex_lock(&a->lock);
    struct srv_waiting **at = &a->waiting, *w;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    if ((w = *at) != NULL)
        *at = w->next;
    pthread_mutex_unlock(&a->lock);
    return w;
}

static void put_waiting(struct srv *s, struct srv_waiting *w)
{
    struct srv_a1111 *a = srv_a1111_state(s);
    pthread_mutex_lock(&a->lock);
    w->next = a->waiting;
    a->waiting = w;
    pthread_mutex_unlock(&a->lock);
}

void srv_waiting_free(struct srv_waiting *w)
{
    if (w)
        srv_a1111_work_free(&w->work);
    free(w);
}

/* The results that only the reply was for. */
static void drop_frames(struct srv *s, const json_t *clips)
{
    char path[4096];
    size_t i, k;
    json_t *clip, *output;
    json_array_foreach((json_t *)(uintptr_t)clips, i, clip)
        json_array_foreach(json_object_get(clip, "outputs"), k, output) {
            const char *name = json_string_value(json_object_get(output, "name"));
            if (name && !strchr(name, '/') && srv_a1111_holds_frames(name) &&
                snprintf(path, sizeof path, "%s/%s", srv_results(s), name) < (int)sizeof path)
                unlink(path);
        }
}

static bool has_ended(const json_t *job)
{
    const char *is = json_string_value(json_object_get(job, "state"));
    return !is || strcmp(is, "done") == 0 || strcmp(is, "failed") == 0 || strcmp(is, "stopped") == 0;
}

static void finish(struct srv *s, void *user, struct srv_reply *reply);

static void wait_for(struct srv *s, struct srv_waiting *w, const char *id, struct srv_reply *reply)
{
    unsigned long long *number = malloc(sizeof *number);
    if (!number) {
        srv_waiting_free(w);
        srv_a1111_refuse(reply, 500, "out of memory");
        return;
    }
    *number = w->number;
    put_waiting(s, w);
    srv_reply_when(reply, id, finish, number);
}

static void finish(struct srv *s, void *user, struct srv_reply *reply)
{
    struct srv_waiting *w = take_waiting(s, *(unsigned long long *)user);
    const struct srv_a1111_sources sources = {load, infotext, last_preview, s};
    struct srv_a1111_error err = {0};
    json_t *clips = json_array(), *made = NULL;
    for (unsigned i = 0; w && clips && i < w->count; i++) {
        json_t *job = srv_queue_get(s, w->ids[i]);
        if (job && !has_ended(job)) { /* one of several, cancelled out of turn */
            json_decref(job);
            json_decref(clips);
            wait_for(s, w, w->ids[i], reply);
            return;
        }
        if (!job)
            srv_a1111_fail(&err, 500, "", "the job is no longer known");
        else
            json_array_append_new(clips, job);
    }
    if (!w || !clips)
        srv_a1111_fail(&err, 500, "", "out of memory");
    if (!err.status)
        made = srv_a1111_reply(&w->work, clips, &sources, &err);
    if (w && w->work.drop_frames)
        drop_frames(s, clips);
    if (made)
        srv_reply_json(reply, 200, made);
    else
        srv_a1111_answer(reply, &err);
    json_decref(clips);
    srv_waiting_free(w);
}

/* A job of several: its own seeds and names. */
static json_t *job_at(const struct srv_a1111_work *work, unsigned k)
{
    json_t *job = json_deep_copy(work->job), *outputs = json_object_get(job, "output"), *value;
    const char *counted = json_number_value(json_object_get(job, "subseed-strength")) > 0 ? "subseed" : "seed";
    char name[400];
    size_t i;
    if (!job || !k)
        return job;
    json_int_t seed = json_integer_value(json_object_get(job, counted));
    json_object_set_new(job, counted, json_integer(seed + (json_int_t)k * work->apart));
    json_array_foreach(outputs, i, value) {
        const char *text = json_string_value(value), *dot = strrchr(text, '.');
        snprintf(name, sizeof name, "%.*s-%u%s", (int)(dot - text), text, k + 1, dot);
        json_array_set_new(outputs, i, json_string(name));
    }
    return job;
}

/* Several jobs need seeds that are known. */
static void draw_seeds(json_t *job)
{
    static const char *const names[] = {"seed", "subseed"};
    char digits[9];
    for (int i = 0; i < 2; i++)
        if (!json_object_get(job, names[i]) && (i == 0 || json_number_value(json_object_get(job, "subseed-strength")) > 0) &&
            srv_random_hex(digits, 4))
            json_object_set_new(job, names[i], json_integer((json_int_t)strtoul(digits, NULL, 16)));
}

/* Queues the jobs of a request, all of them or none. */
static bool queue_all(struct srv *s, struct srv_waiting *w, struct srv_reply *reply)
{
    for (unsigned k = 0; k < w->work.clips; k++) {
        vka_error e = {0};
        json_t *job = job_at(&w->work, k);
        unsigned status = job ? srv_queue_add(s, job, w->ids[k], &e) : 500;
        json_decref(job);
        if (status == 202) {
            w->count++;
            continue;
        }
        for (unsigned i = w->count; i-- > 0;)
            srv_queue_cancel(s, w->ids[i], NULL);
        if (status == 400)
            status = e.status == VKA_E_INPUT ? 404 : 422;
        srv_a1111_refuse_error(reply, status, &e);
        return false;
    }
    return true;
}

void srv_a1111_make(struct srv *s, const struct srv_request *request, struct srv_reply *reply, enum srv_a1111_kind kind)
{
    const struct srv_a1111_store storage = {store, srv_a1111_find_model, s};
    struct srv_a1111 *a = srv_a1111_state(s);
    struct srv_a1111_error err = {0};
    struct srv_waiting *w = calloc(1, sizeof *w);
    char hex[13], name[32];
    json_t *options = srv_a1111_options(s), *body = w && options ? srv_a1111_body(request, reply) : NULL;
    if (!w || !options || !srv_random_hex(hex, 6))
        srv_a1111_refuse(reply, 500, "out of memory");
    else if (body) {
        snprintf(name, sizeof name, "webui-%s", hex);
        pthread_mutex_lock(&a->lock);
        w->number = ++a->numbers;
        pthread_mutex_unlock(&a->lock);
        if (!srv_a1111_translate(&w->work, body, kind, options, name, &storage, &err) ||
            (w->work.keep && !srv_a1111_keep(s, w->work.keep, &err)))
            srv_a1111_answer(reply, &err);
        else {
            if (w->work.clips > 1)
                draw_seeds(w->work.job);
            if (queue_all(s, w, reply)) {
                wait_for(s, w, w->ids[w->count - 1], reply);
                w = NULL;
            }
        }
    }
    json_decref(body);
    json_decref(options);
    srv_waiting_free(w);
}
