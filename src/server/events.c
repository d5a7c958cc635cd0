/* events.c - server-sent events (HTML, 9.2): what happens to jobs, as text/event-stream.
 *
 * A stream holds no events: it remembers the serial number up to which its client knows everything, and when it may write it
 * tells what has a higher one.  So a client that reads slowly gets fewer events, the last ones always among them, and costs no
 * more memory than another.  With nothing to tell the connection is suspended; srv_events_wake resumes it, and
 * srv_events_ping, whose comment finds out clients that are gone.
 *
 * The stream of one job ends behind its "done"; that of all begins with jobs that have not ended. */
#define _POSIX_C_SOURCE 200809L
#include "server/inside.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BLOCK = 16384 };

struct srv_stream {
    struct srv_stream *next;
    struct srv *s;
    struct MHD_Connection *connection;
    char id[SRV_ID];
    uint64_t seen;
    char *text; /* not sent yet: from `at` to `size` */
    size_t at, size, room;
    bool asleep, ping, over, begun; /* begun: told something, or that there was nothing */
};

static void put(struct srv_stream *st, const char *text, size_t size)
{
    if (st->size + size + 1 > st->room) {
        size_t room = 2 * (st->size + size + 1);
        char *more = realloc(st->text, room);
        if (!more) { /* the client comes again and is told all */
            st->over = true;
            return;
        }
        st->text = more;
        st->room = room;
    }
    memcpy(st->text + st->size, text, size);
    st->size += size;
}

static void put_event(struct srv_stream *st, const char *name, const char *data)
{
    put(st, "event: ", 7);
    put(st, name, strlen(name));
    put(st, "\ndata: ", 7);
    put(st, data, strlen(data));
    put(st, "\n\n", 2);
}

/* Everything about one job that the client does not know. */
static void tell_job(struct srv_stream *st, const struct srv_job *j)
{
    uint64_t seen = st->seen;
    bool ended = srv_job_has_ended(j);
    if (!st->begun && ended && !st->id[0])
        return;
    if (j->serial_state <= seen && j->serial_progress <= seen && j->serial_preview <= seen)
        return;
    json_t *object = srv_job_event(st->s, j);
    char *data = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!data) {
        st->over = true;
        return;
    }
    if (j->serial_state > seen)
        put_event(st, ended ? "done" : "state", data);
    if (!ended && j->serial_progress > seen)
        put_event(st, "progress", data);
    if (!ended && j->serial_preview > seen)
        put_event(st, "preview", data);
    st->over = st->over || (ended && st->id[0]);
    free(data);
}

static void tell(struct srv_stream *st)
{
    struct srv_queue *q = &st->s->queue;
    bool known = !st->id[0];
    pthread_mutex_lock(&q->lock);
    for (const struct srv_job *j = q->first; j; j = j->next)
        if (!st->id[0] || strcmp(st->id, j->id) == 0) {
            tell_job(st, j);
            known = true;
        }
    st->seen = q->serial;
    st->begun = true;
    pthread_mutex_unlock(&q->lock);
    st->over = st->over || !known;
}

/* libmicrohttpd may write: what there is, or sleep. */
static ssize_t read_stream(void *cls, uint64_t position, char *to, size_t most)
{
    struct srv_stream *st = cls;
    struct srv_events *e = &st->s->events;
    ssize_t n = 0;
    (void)position;
    pthread_mutex_lock(&e->lock);
    if (st->at == st->size) {
        st->at = st->size = 0;
        if (!st->over)
            tell(st);
        if (!st->size && st->ping)
            put(st, ": \n\n", 4);
        st->ping = false;
    }
    if (st->at < st->size) {
        n = (ssize_t)(st->size - st->at < most ? st->size - st->at : most);
        memcpy(to, st->text + st->at, (size_t)n);
        st->at += (size_t)n;
        if (st->at == st->size && st->room > BLOCK) {
            free(st->text);
            st->text = NULL;
            st->at = st->size = st->room = 0;
        }
    } else if (st->over || e->ending)
        n = MHD_CONTENT_READER_END_OF_STREAM;
    else {
        st->asleep = true;
        MHD_suspend_connection(st->connection);
    }
    pthread_mutex_unlock(&e->lock);
    return n;
}

static void free_stream(void *cls)
{
    struct srv_stream *st = cls;
    struct srv_events *e = &st->s->events;
    pthread_mutex_lock(&e->lock);
    for (struct srv_stream **at = &e->first; *at; at = &(*at)->next)
        if (*at == st) {
            *at = st->next;
            e->count--;
            break;
        }
    pthread_mutex_unlock(&e->lock);
    free(st->text);
    free(st);
}

struct MHD_Response *srv_stream_open(struct srv *s, struct MHD_Connection *connection, const char *id)
{
    struct srv_events *e = &s->events;
    struct srv_stream *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->s = s;
    st->connection = connection;
    snprintf(st->id, sizeof st->id, "%s", id);
    pthread_mutex_lock(&e->lock);
    bool room = e->count < SRV_STREAMS && !e->ending;
    if (room) {
        put(st, "retry: 2000\n\n", 13);
        st->next = e->first;
        e->first = st;
        e->count++;
    }
    pthread_mutex_unlock(&e->lock);
    struct MHD_Response *response =
        room ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, st, free_stream) : NULL;
    if (!response)
        free_stream(st);
    return response;
}

static void resume_all(struct srv *s, bool ping)
{
    struct srv_events *e = &s->events;
    for (struct srv_stream *st = e->first; st; st = st->next) {
        st->ping = st->ping || ping;
        if (st->asleep) {
            st->asleep = false;
            MHD_resume_connection(st->connection);
        }
    }
}

void srv_events_wake(struct srv *s)
{
    pthread_mutex_lock(&s->events.lock);
    resume_all(s, false);
    pthread_mutex_unlock(&s->events.lock);
}

void srv_events_ping(struct srv *s)
{
    pthread_mutex_lock(&s->events.lock);
    resume_all(s, true);
    pthread_mutex_unlock(&s->events.lock);
}

/* Nobody reads a suspended connection, so that its end is not seen: a client that is gone would keep its place until the next
 * event or comment. */
void srv_events_look(struct srv *s)
{
    struct srv_events *e = &s->events;
    char byte;
    pthread_mutex_lock(&e->lock);
    for (struct srv_stream *st = e->first; st; st = st->next) {
        const union MHD_ConnectionInfo *info =
            st->asleep ? MHD_get_connection_info(st->connection, MHD_CONNECTION_INFO_CONNECTION_FD) : NULL;
        ssize_t n = info ? recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            st->over = true;
            st->asleep = false;
            MHD_resume_connection(st->connection);
        }
    }
    pthread_mutex_unlock(&e->lock);
}

void srv_events_end(struct srv *s)
{
    pthread_mutex_lock(&s->events.lock);
    s->events.ending = true;
    resume_all(s, false);
    pthread_mutex_unlock(&s->events.lock);
}
