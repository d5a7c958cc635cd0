/* pool.c - the threads that run handlers.
 *
 * SRV_HANDLERS threads take quick requests, one more takes the slow ones; requests that wait for a job's end lie in a list of
 * their own, and a quick thread finishes them.  Every request that came in here goes out through http_done, once. */
#include "server/inside.h"

#include <stdlib.h>

static void append(struct http_request **list, struct http_request *r)
{
    while (*list)
        list = http_next(*list);
    *http_next(r) = NULL;
    *list = r;
}

static struct http_request *take_first(struct http_request **list)
{
    struct http_request *r = *list;
    if (r)
        *list = *http_next(r);
    return r;
}

/* The first of those that wait whose job is over. */
static struct http_request *take_over(struct srv *s)
{
    for (struct http_request **at = &s->pool.later; *at; at = http_next(*at))
        if (srv_queue_is_over(s, http_reply(*at)->later->id))
            return take_first(at);
    return NULL;
}

/* The handler or finish has returned: its reply goes out, or waits for a job. */
static void settle(struct srv *s, struct http_request *r)
{
    if (!http_reply(r)->later) {
        http_done(r);
        return;
    }
    pthread_mutex_lock(&s->pool.lock);
    if (s->pool.ending)
        srv_reply_refuse(http_reply(r), 503, "the server is ending");
    else {
        append(&s->pool.later, r);
        s->pool.changed = true; /* the job may have ended before we came here */
        pthread_cond_broadcast(&s->pool.some);
        r = NULL;
    }
    pthread_mutex_unlock(&s->pool.lock);
    if (r)
        http_done(r);
}

static void finish(struct srv *s, struct http_request *r)
{
    struct srv_reply *reply = http_reply(r);
    struct srv_later *later = reply->later;
    reply->later = NULL;
    later->finish(s, later->user, reply);
    free(later->user);
    free(later);
    settle(s, r);
}

static void run(struct srv *s, struct http_request *r)
{
    http_run(r);
    settle(s, r);
}

static void *quick(void *server)
{
    struct srv *s = server;
    struct srv_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        struct http_request *over = NULL, *r = NULL;
        if (p->changed) {
            over = take_over(s);
            p->changed = over != NULL; /* there may be more */
        }
        if (!over)
            r = take_first(&p->quick);
        if (!over && !r) {
            pthread_cond_wait(&p->some, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        if (over)
            finish(s, over);
        else
            run(s, r);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void *slow(void *server)
{
    struct srv *s = server;
    struct srv_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        struct http_request *r = take_first(&p->slow);
        if (!r) {
            pthread_cond_wait(&p->some, &p->lock);
            continue;
        }
        p->slow_count--;
        pthread_mutex_unlock(&p->lock);
        run(s, r);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

vka_status srv_pool_start(struct srv *s, vka_error *err)
{
    struct srv_pool *p = &s->pool;
    for (unsigned i = 0; i < SRV_HANDLERS + 1; i++, p->started++)
        if (pthread_create(&p->threads[i], NULL, i ? quick : slow, s) != 0)
            return srv_fail(err, VKA_E_MEMORY, "there is no thread left for requests");
    return VKA_OK;
}

bool srv_pool_add(struct srv *s, struct http_request *r)
{
    struct srv_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    bool slow_one = http_is_slow(r), taken = !p->ending && !(slow_one && p->slow_count >= SRV_SLOW_WAITING);
    if (taken) {
        append(slow_one ? &p->slow : &p->quick, r);
        p->slow_count += slow_one;
        pthread_cond_broadcast(&p->some);
    }
    pthread_mutex_unlock(&p->lock);
    return taken;
}

void srv_pool_look(struct srv *s)
{
    pthread_mutex_lock(&s->pool.lock);
    s->pool.changed = true;
    pthread_cond_broadcast(&s->pool.some);
    pthread_mutex_unlock(&s->pool.lock);
}

void srv_pool_end(struct srv *s)
{
    struct srv_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->some);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    p->started = 0;
    struct http_request **lists[] = {&p->quick, &p->slow, &p->later}, *r;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        while ((r = take_first(lists[i]))) {
            srv_reply_refuse(http_reply(r), 503, "the server is ending");
            http_done(r);
        }
}
