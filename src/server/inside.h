/* inside.h - the server itself, for server.c, http.c, pool.c, events.c, queue.c, worker.c and api.c alone.
 *
 * Locks, in the order in which they may be held together: pool, events, queue.  The log's is held alone or last.  None is held
 * while the library works, but the context's. */
#ifndef VKA_SERVER_INSIDE_H
#define VKA_SERVER_INSIDE_H

#include "server/guard.h"
#include "server/queue.h"
#include "server/server.h"

#include <pthread.h>
#include <stdatomic.h>

struct MHD_Connection;
struct MHD_Daemon;
struct http_request; /* http.c */
struct srv_stream;   /* events.c */

enum {
    SRV_CONNECTIONS = 128,      /* of all clients */
    SRV_CONNECTIONS_PER_IP = 96,
    SRV_STREAMS = 48,           /* event streams */
    SRV_IDLE_S = 30,            /* of a connection on which nothing moves */
    SRV_HEADER_S = 20,          /* for a whole header, from the connection or the last answer on */
    SRV_SLOWEST = 16384,        /* bytes in a second, below which bodies and answers run out of time */
    SRV_PING_S = 15,            /* between comments of an event stream */
    SRV_SLOW_WAITING = 32,      /* requests waiting for the thread of slow ones */
    SRV_BODY_MEMORY = 256 << 10 /* a body beyond that lies in a file */
};

/* What renders: the library, or a test's, which calls `hooks`, those of the context, itself. */
struct srv_engine {
    vka_status (*render)(vka_context *cx, const vka_context_params *hooks, const vka_job *job, char **report, vka_error *err);
    vka_status (*resume)(vka_context *cx, const vka_context_params *hooks, const char *name, char **report, vka_error *err);
    vka_status (*jobs)(vka_context *cx, char **report, vka_error *err);
    void (*cancel)(vka_context *cx);
    vka_status (*forget)(vka_context *cx, const char *name, vka_error *err);
};

/* ---- the pool of handlers (pool.c) ---------------------------------------------------------------------------- */

struct srv_later {
    char id[SRV_ID];
    srv_finish *finish;
    void *user;
};

struct srv_pool {
    pthread_mutex_t lock;
    pthread_cond_t some; /* something to do, or the end */
    pthread_t threads[SRV_HANDLERS + 1];
    unsigned started;
    struct http_request *quick, *slow, *later; /* lists, oldest first; later: those whose jobs have not ended */
    unsigned slow_count;
    bool changed, ending; /* changed: a job has ended since `later` was looked through */
};
vka_status srv_pool_start(struct srv *s, vka_error *err);
/* Hands over a request whose connection is suspended; http.c's http_done gets it back.  False: too many wait. */
bool srv_pool_add(struct srv *s, struct http_request *r);
/* A job has ended. */
void srv_pool_look(struct srv *s);
/* Every request that has no reply yet gets 503; the threads end. */
void srv_pool_end(struct srv *s);

/* ---- event streams (events.c) --------------------------------------------------------------------------------- */

struct srv_events {
    pthread_mutex_t lock;
    struct srv_stream *first;
    unsigned count;
    bool ending;
};
struct MHD_Response;
/* A stream's response for `connection`, of one job or "" of all; NULL: too many streams, or no memory. */
struct MHD_Response *srv_stream_open(struct srv *s, struct MHD_Connection *connection, const char *id);
/* Something about a job has changed; not to be called with the queue locked. */
void srv_events_wake(struct srv *s);
void srv_events_ping(struct srv *s); /* every SRV_PING_S */
void srv_events_look(struct srv *s); /* every second: for clients that are gone */
/* Streams end once they have told what there is to tell. */
void srv_events_end(struct srv *s);

/* ---- jobs (queue.c, worker.c, preview.c) ---------------------------------------------------------------------- */

enum srv_state { SRV_QUEUED, SRV_RUNNING, SRV_DONE, SRV_FAILED, SRV_STOPPED };

/* A step's clip in small, shared by the job and those who encode it. */
struct srv_preview {
    pthread_mutex_t lock; /* of all but `holders` */
    atomic_uint holders;
    vka_preview meta; /* rgb is its own */
    unsigned char *made[2];
    size_t size[2]; /* webp, png */
};
struct srv_preview *srv_preview_copy(const vka_preview *from); /* NULL when memory is short */
void srv_preview_drop(struct srv_preview *p);

struct srv_job {
    struct srv_job *next; /* the order in which they were queued; ended ones stay where they are */
    char id[SRV_ID];
    enum srv_state state;
    long long made;     /* unix seconds */
    uint64_t turn;      /* queued: the lower goes first; else when it ended */
    char *prompt;       /* cut to some hundred bytes */
    json_t *request;    /* as the client said it */
    vka_job *job;       /* with real paths; NULL: one that an earlier server began */
    char *folder;       /* the library's id of what can be resumed, or NULL */
    char *output;       /* the last name of the first file it writes */
    vka_context *cx;    /* while it runs */
    bool cancelled;
    vka_progress progress;
    char stage[32];
    unsigned preview_step;
    struct srv_preview *preview;
    json_t *report, *error, *outputs;
    uint64_t serial_state, serial_progress, serial_preview; /* of their last changes */
};

struct srv_queue {
    pthread_mutex_t lock;
    pthread_cond_t some, ended; /* a job is queued, or the end; a job has ended */
    struct srv_job *first;
    struct srv_job *running;
    unsigned most, waiting;
    uint64_t serial, turn;
    bool ending, worker;
    pthread_t thread;
    struct srv_engine engine;
};
vka_status srv_queue_start(struct srv *s, vka_error *err); /* with the worker, and what can be resumed of earlier servers */
/* No more jobs are begun; the running one is cancelled and its end awaited. */
void srv_queue_end(struct srv *s);
void srv_queue_free(struct srv *s);
/* With the queue locked. */
struct srv_job *srv_job_find(struct srv *s, const char *id);
bool srv_job_has_ended(const struct srv_job *j);
void srv_job_changed(struct srv *s, uint64_t *serial);
void srv_job_free(struct srv_job *j);
/* "data" of an event: the object without "job", and without "report" unless it has ended. */
json_t *srv_job_event(struct srv *s, const struct srv_job *j);
/* Whether the job is unknown or has ended. */
bool srv_queue_is_over(struct srv *s, const char *id);
void srv_queue_moved(struct srv *s); /* places have changed */
void srv_queue_trim(struct srv *s);  /* forgets the oldest of more than SRV_KEPT that have ended */

/* ---- HTTP (http.c) -------------------------------------------------------------------------------------------- */

struct srv_connection; /* what is open, for the clock that ends the slow ones */
struct srv_http {
    pthread_mutex_t lock; /* of the list and of deadlines */
    struct srv_connection *first;
    struct MHD_Daemon *daemon;
    int socket;
    unsigned port;
    unsigned long long body_bytes; /* that bodies hold on the disk now */
    atomic_uint busy;              /* requests from their headers to the end of their answers */
};
vka_status srv_http_start(struct srv *s, const struct srv_config *config, vka_error *err);
/* No more connections are taken; those that are busy get some seconds to end. */
void srv_http_quiesce(struct srv *s);
void srv_http_stop(struct srv *s);
void srv_http_tick(struct srv *s); /* ends connections that are out of time */
/* For pool.c: the request's handler, and the reply to be sent. */
struct http_request **http_next(struct http_request *r);
bool http_is_slow(const struct http_request *r);
void http_run(struct http_request *r);
struct srv_reply *http_reply(struct http_request *r);
void http_done(struct http_request *r);

/* ---- the whole ------------------------------------------------------------------------------------------------ */

struct srv {
    struct srv_guard guard;
    struct srv_http http;
    struct srv_pool pool;
    struct srv_events events;
    struct srv_queue queue;
    struct srv_parts parts;
    char url[160];
    unsigned long long upload_bytes;
    char *defaults; /* JSON of the machine's options and the defaults, with real paths */
    pthread_mutex_t context_lock; /* and what is below */
    vka_context *context;
    char *models; /* the last report */
    double models_at;
    pthread_mutex_t log_lock;
    void (*log)(void *user, vka_level level, const char *text);
    void *user;
    vka_level level;
    int validation;
    pthread_t ticker;
    bool ticking, without_files, without_a1111; /* without: its open function failed */
    pthread_mutex_t tick_lock;
    pthread_cond_t tick;
    atomic_bool ending;
};

/* Seconds of a clock that only goes forward. */
double srv_now(void);
/* A job of the defaults and a confined request; NULL with the error. */
vka_job *srv_make_job(struct srv *s, const json_t *confined, vka_error *err);
/* For tests: as srv_start, with another engine. */
vka_status srv_start_with(struct srv **out, const struct srv_config *config, const struct srv_engine *engine, vka_error *err);

#endif
