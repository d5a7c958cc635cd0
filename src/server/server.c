/* server.c - the server as a whole: its beginning, its clock and its end. */
#define _POSIX_C_SOURCE 200809L
#include "server/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { END_S = 3 }; /* that requests get for their last answers */

const char *srv_url(const struct srv *s) { return s->url; }

struct srv_parts *srv_parts(struct srv *s) { return &s->parts; }

vka_context *srv_context_take(struct srv *s)
{
    pthread_mutex_lock(&s->context_lock);
    return s->context;
}

void srv_context_give(struct srv *s, vka_context *cx)
{
    (void)cx;
    pthread_mutex_unlock(&s->context_lock);
}

/* ---- the clock ------------------------------------------------------------------------------------------------ */

static void *tick(void *server)
{
    struct srv *s = server;
    double pinged = srv_now();
    pthread_mutex_lock(&s->tick_lock);
    while (!atomic_load(&s->ending)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&s->tick, &s->tick_lock, &until);
        srv_http_tick(s);
        srv_events_look(s);
        if (srv_now() - pinged >= (double)SRV_PING_S) {
            pinged = srv_now();
            srv_events_ping(s);
        }
    }
    pthread_mutex_unlock(&s->tick_lock);
    return NULL;
}

/* ---- beginning and end ---------------------------------------------------------------------------------------- */

static vka_status make_locks(struct srv *s, vka_error *err)
{
    pthread_mutex_t *locks[] = {&s->http.lock,   &s->pool.lock, &s->events.lock, &s->queue.lock,
                                &s->context_lock, &s->log_lock, &s->tick_lock};
    pthread_cond_t *conditions[] = {&s->pool.some, &s->queue.some, &s->queue.ended, &s->tick};
    pthread_condattr_t monotonic;
    bool good = pthread_condattr_init(&monotonic) == 0 && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0;
    for (size_t i = 0; good && i < sizeof locks / sizeof *locks; i++)
        good = pthread_mutex_init(locks[i], NULL) == 0;
    for (size_t i = 0; good && i < sizeof conditions / sizeof *conditions; i++)
        good = pthread_cond_init(conditions[i], &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    return good ? VKA_OK : srv_fail(err, VKA_E_MEMORY, "out of memory");
}

static vka_status take_config(struct srv *s, const struct srv_config *c, vka_error *err)
{
    s->log = c->log;
    s->user = c->user;
    s->level = c->level;
    s->validation = c->validation;
    s->upload_bytes = c->upload_bytes;
    s->queue.most = c->queue ? c->queue : 1;
    s->http.socket = -1;
    char *text = c->job ? vka_job_write(c->job) : NULL;
    s->defaults = strdup(text ? text : "{}");
    bool good = s->defaults && (text || !c->job);
    vka_free(text);
    if (!good)
        return srv_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status status = c->token_file ? srv_token_read(c->token_file, s->guard.token, err) : VKA_OK;
    return status == VKA_OK ? srv_guard_listen(&s->guard, c->listen, err) : status;
}

vka_status srv_start_with(struct srv **out, const struct srv_config *config, const struct srv_engine *engine, vka_error *err)
{
    struct srv *s = *out = calloc(1, sizeof *s);
    if (!s)
        return srv_fail(err, VKA_E_MEMORY, "out of memory");
    s->queue.engine = *engine;
    vka_status status = make_locks(s, err);
    if (status != VKA_OK) { /* no lock may be touched */
        free(s);
        *out = NULL;
        return status;
    }
    status = take_config(s, config, err);
    vka_context_params params = {.validation = config->validation, .names_only = 1};
    if (status == VKA_OK)
        status = vka_context_create(&s->context, &params, err);
    if (status == VKA_OK)
        status = srv_files_open(s, config, err);
    bool files = status == VKA_OK, a1111 = false;
    if (status == VKA_OK) {
        status = srv_a1111_open(s, config, err);
        a1111 = status == VKA_OK;
    }
    if (status == VKA_OK)
        status = srv_queue_start(s, err);
    if (status == VKA_OK)
        status = srv_pool_start(s, err);
    if (status == VKA_OK)
        status = srv_http_start(s, config, err);
    if (status == VKA_OK && pthread_create(&s->ticker, NULL, tick, s) != 0)
        status = srv_fail(err, VKA_E_MEMORY, "there is no thread left for the server's clock");
    s->ticking = status == VKA_OK;
    if (status == VKA_OK)
        return VKA_OK;
    s->without_files = !files;
    s->without_a1111 = !a1111;
    srv_end(out);
    return status;
}

static vka_status library_render(vka_context *cx, const vka_context_params *hooks, const vka_job *job, char **report,
                                 vka_error *err)
{
    (void)hooks;
    return vka_render(cx, job, report, err);
}

static vka_status library_resume(vka_context *cx, const vka_context_params *hooks, const char *name, char **report,
                                 vka_error *err)
{
    (void)hooks;
    return vka_resume(cx, name, NULL, report, err);
}

vka_status srv_start(struct srv **out, const struct srv_config *config, vka_error *err)
{
    static const struct srv_engine library = {library_render, library_resume, vka_jobs, vka_cancel, vka_forget};
    return srv_start_with(out, config, &library, err);
}

/* Answers that are on their way get some time; event streams have had their last word before. */
static void await_clients(struct srv *s)
{
    struct timespec moment = {0, 10000000};
    for (double until = srv_now() + (double)END_S; atomic_load(&s->http.busy) && srv_now() < until;)
        nanosleep(&moment, NULL);
}

void srv_end(struct srv **server)
{
    struct srv *s = *server;
    *server = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->tick_lock);
    atomic_store(&s->ending, true); /* requests are refused from here on */
    pthread_cond_broadcast(&s->tick);
    pthread_mutex_unlock(&s->tick_lock);
    if (s->ticking)
        pthread_join(s->ticker, NULL);
    srv_http_quiesce(s);
    srv_queue_end(s);
    srv_pool_end(s);
    srv_events_end(s);
    await_clients(s);
    srv_http_stop(s);
    if (!s->without_a1111)
        srv_a1111_close(s);
    if (!s->without_files)
        srv_files_close(s);
    srv_queue_free(s);
    vka_context_destroy(&s->context);
    pthread_mutex_t *locks[] = {&s->http.lock,   &s->pool.lock, &s->events.lock, &s->queue.lock,
                                &s->context_lock, &s->log_lock, &s->tick_lock};
    pthread_cond_t *conditions[] = {&s->pool.some, &s->queue.some, &s->queue.ended, &s->tick};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        pthread_mutex_destroy(locks[i]);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        pthread_cond_destroy(conditions[i]);
    free(s->models);
    free(s->defaults);
    free(s);
}
