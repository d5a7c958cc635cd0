/* http.c - requests in and replies out: libmicrohttpd's callbacks, routes, limits.
 *
 * A request's life, all on libmicrohttpd's thread but where said: `begin` looks at method, guard, route and announced size,
 * and refuses before any of the body is read; `take_body` gathers it, large ones in a file without a name; then the
 * connection is suspended and the pool runs the handler (its thread); `http_done` resumes the connection, and `send_reply`
 * answers.  `forget` frees the request, whatever became of it.
 *
 * Clients that are slow on purpose: libmicrohttpd ends a connection on which nothing moves; one on which a byte moves now and
 * then is ended by a clock of our own (struct srv_connection.deadline), which gives a header SRV_HEADER_S, and bodies and
 * answers a time that goes with their size.  The clock only shuts sockets down, under the lock that their closing takes too. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct srv_connection {
    struct srv_connection *next, *before;
    int fd;
    double deadline; /* srv_now's; 0: none */
    bool reading;    /* its request is not whole yet */
};

/* ---- connections ---------------------------------------------------------------------------------------------- */

static struct srv_connection *connection_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void http_give_time(struct srv *s, struct MHD_Connection *c, double seconds, bool reading)
{
    struct srv_connection *own = connection_of(c);
    if (!own)
        return;
    pthread_mutex_lock(&s->http.lock);
    own->deadline = seconds > 0 ? srv_now() + seconds : 0;
    own->reading = reading;
    pthread_mutex_unlock(&s->http.lock);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct srv *s = cls;
    struct srv_connection *own = *context;
    pthread_mutex_lock(&s->http.lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        own = info ? calloc(1, sizeof *own) : NULL;
        *context = own; /* without memory there is only libmicrohttpd's clock */
        if (own) {
            own->fd = info->connect_fd;
            own->deadline = srv_now() + (double)SRV_HEADER_S;
            own->reading = true;
            own->next = s->http.first;
            if (own->next)
                own->next->before = own;
            s->http.first = own;
        }
    } else if (own) {
        *(own->before ? &own->before->next : &s->http.first) = own->next;
        if (own->next)
            own->next->before = own->before;
        free(own);
        *context = NULL;
    }
    pthread_mutex_unlock(&s->http.lock);
}

/* Whether the client has gone before its request was whole.  libmicrohttpd learns of data and their end as one event, and then
 * reads the data alone: the connection would keep its place until its time is over. */
static bool is_cut(const struct srv_connection *c)
{
    char byte;
    return c->reading && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void srv_http_tick(struct srv *s)
{
    double now = srv_now();
    pthread_mutex_lock(&s->http.lock);
    for (struct srv_connection *c = s->http.first; c; c = c->next)
        if ((c->deadline > 0 && c->deadline < now) || is_cut(c)) {
            c->deadline = 0;
            shutdown(c->fd, SHUT_RDWR);
        }
    pthread_mutex_unlock(&s->http.lock);
}

/* ---- what handlers ask of a request --------------------------------------------------------------------------- */

struct http_request **http_next(struct http_request *r) { return &r->next; }
bool http_is_slow(const struct http_request *r) { return r->route && r->route->slow; }
struct srv_reply *http_reply(struct http_request *r) { return &r->reply; }

const char *srv_query(const struct srv_request *request, const char *name)
{
    struct http_request *r = request->http;
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *srv_header(const struct srv_request *request, const char *name)
{
    struct http_request *r = request->http;
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

uint64_t srv_query_number(const struct srv_request *request, const char *name, uint64_t otherwise, uint64_t most)
{
    const char *text = srv_query(request, name);
    if (!text || !*text || strlen(text) > 18 || strspn(text, "0123456789") != strlen(text))
        return otherwise;
    uint64_t value = strtoull(text, NULL, 10);
    return value <= most ? value : otherwise;
}

json_t *srv_body_object(const struct srv_request *request, vka_error *err)
{
    json_error_t where;
    if (!request->size)
        return json_object();
    json_t *value = json_loadb(request->body, request->size, JSON_REJECT_DUPLICATES, &where);
    if (!value) {
        srv_fail(err, VKA_E_INPUT, "the body of the request is not JSON");
        if (err)
            snprintf(err->why, sizeof err->why, "line %d, column %d: %.200s", where.line, where.column, where.text);
    } else if (!json_is_object(value)) {
        srv_fail(err, VKA_E_INPUT, "the body of the request is no JSON object");
        json_decref(value);
        value = NULL;
    }
    return value;
}

/* ---- routes --------------------------------------------------------------------------------------------------- */

/* Whether `path` is the route's; what stands for its '*' into *rest (malloc'd), which stays NULL when there is none. */
static bool fits(const char *pattern, const char *path, char **rest)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, path) == 0;
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1), size = strlen(path);
    if (size <= head + tail || strncmp(pattern, path, head) != 0 || strcmp(star + 1, path + size - tail) != 0 ||
        memchr(path + head, '/', size - head - tail))
        return false;
    *rest = malloc(size - head - tail + 1);
    if (*rest) {
        memcpy(*rest, path + head, size - head - tail);
        (*rest)[size - head - tail] = '\0';
    }
    return true;
}

/* The row, or NULL with the methods that the path would take in `allow` ("" when there is no such path). */
static const struct srv_route *find_route(const char *method, const char *path, char **rest, char *allow, size_t size)
{
    static const struct srv_route *const tables[] = {srv_api_routes, srv_files_routes, srv_a1111_routes};
    size_t used = 0;
    *rest = NULL;
    allow[0] = '\0';
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct srv_route *row = tables[t]; row->method; row++) {
            char *star = NULL;
            if (!fits(row->path, path, &star))
                continue;
            if (strcmp(row->method, method) == 0 && (star || !strchr(row->path, '*'))) {
                *rest = star;
                return row;
            }
            free(star);
            if (!strstr(allow, row->method) && used < size)
                used += (size_t)snprintf(allow + used, size - used, "%s%s%s", used ? ", " : "", row->method,
                                         strcmp(row->method, "GET") == 0 ? ", HEAD" : "");
        }
    if (used && used < size)
        snprintf(allow + used, size - used, ", OPTIONS");
    return NULL;
}

/* ---- bodies --------------------------------------------------------------------------------------------------- */

/* A file without a name in the results folder: gone with the process, whatever becomes of it. */
static int body_file(struct srv *s)
{
    const char *folder = srv_results(s);
    char path[4200];
#ifdef O_TMPFILE
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
#endif
    if ((size_t)snprintf(path, sizeof path, "%s/.body-XXXXXX", folder) >= sizeof path)
        return -1;
    int named = mkstemp(path);
    if (named >= 0)
        unlink(path);
    return named;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Counts what bodies hold on the disk; false when all of them together would hold too much. */
static bool reserve(struct http_request *r, size_t bytes)
{
    struct srv *s = r->s;
    unsigned long long most = 4 * s->upload_bytes;
    pthread_mutex_lock(&s->http.lock);
    bool fitting = s->http.body_bytes + bytes <= most;
    if (fitting) {
        s->http.body_bytes += bytes;
        r->reserved += bytes;
    }
    pthread_mutex_unlock(&s->http.lock);
    return fitting;
}

/* The body will not be used: what is left of it is read and dropped. */
static void spoil(struct http_request *r, unsigned status, const char *why)
{
    if (!r->spoilt) {
        r->spoilt = status;
        srv_reply_refuse(&r->reply, status, "%s", why);
    }
}

static void take_body(struct http_request *r, const char *data, size_t size)
{
    struct srv_request *q = &r->request;
    if (!r->spoilt && size > r->most_body - q->size)
        spoil(r, 413, "the body of the request is too large");
    if (r->spoilt) {
        r->dropped += size;
        return;
    }
    if (r->body_fd < 0 && q->size + size <= SRV_BODY_MEMORY) {
        if (q->size + size > r->body_room) {
            size_t room = 2 * (q->size + size);
            char *more = realloc(r->body, room);
            if (!more) {
                spoil(r, 500, "out of memory");
                return;
            }
            r->body = more;
            r->body_room = room;
        }
        memcpy(r->body + q->size, data, size);
        q->size += size;
        return;
    }
    if (!reserve(r, r->body_fd < 0 ? q->size + size : size)) {
        spoil(r, 503, "too many large requests at once");
        return;
    }
    if (r->body_fd < 0) {
        r->body_fd = body_file(r->s);
        if (r->body_fd < 0 || !write_all(r->body_fd, r->body, q->size)) {
            spoil(r, 507, "the body of the request cannot be kept");
            return;
        }
        free(r->body);
        r->body = NULL;
    }
    if (!write_all(r->body_fd, data, size))
        spoil(r, 507, "the body of the request cannot be kept: the disk is full, or gone");
    q->size += size;
}

/* ---- a request begins ----------------------------------------------------------------------------------------- */

/* "image/png" of "Image/PNG; charset=x" */
static void take_type(struct http_request *r, const char *header)
{
    size_t n = header ? strcspn(header, "; \t") : 0;
    n = n < sizeof r->type ? n : sizeof r->type - 1;
    for (size_t i = 0; i < n; i++)
        r->type[i] = header[i] >= 'A' && header[i] <= 'Z' ? (char)(header[i] - 'A' + 'a') : header[i];
    r->request.type = r->type;
}

/* What a 401 asks for: a password, for which browsers open their own dialog.  Requests of scripts are asked for a bearer
 * instead, which browsers leave to the page: it has a dialog of its own, and a request that waits for theirs never ends. */
static const char *challenge(struct MHD_Connection *c)
{
    const char *mode = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Sec-Fetch-Mode");
    return mode && strcmp(mode, "navigate") != 0 ? "Bearer realm=\"vkanim\"" : "Basic realm=\"vkanim\", charset=\"UTF-8\"";
}

static unsigned check(struct http_request *r, const char *method, bool *redirect)
{
    struct srv *s = r->s;
    struct MHD_Connection *c = r->connection;
    const char *why, *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    struct srv_guard_input in = {
        .method = method,
        .host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host"),
        .origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin"),
        .fetch_site = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Sec-Fetch-Site"),
        .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"),
        .cookie = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Cookie"),
        .query_token = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "token"),
    };
    bool page = strcmp(r->path, "/") == 0 && strcmp(method, "GET") == 0;
    if (!page) /* a token in an address is for the page's first visit alone, which makes a cookie of it */
        in.query_token = NULL;
    unsigned status = srv_guard_check(&s->guard, &in, &why);
    if (status) {
        srv_reply_refuse(&r->reply, status, "%s", why);
        if (status == 401)
            r->reply.challenge = challenge(c);
        return status;
    }
    if (atomic_load(&s->ending)) {
        srv_reply_refuse(&r->reply, 503, "the server is ending");
        return 503;
    }
    *redirect = page && in.query_token && s->guard.token[0];
    if (strcmp(method, "OPTIONS") == 0) {
        r->route = find_route(method, r->path, &r->rest, r->allow, sizeof r->allow);
        r->reply.status = r->allow[0] ? 204 : 404;
        return r->reply.status;
    }
    r->route = find_route(strcmp(method, "HEAD") == 0 ? "GET" : method, r->path, &r->rest, r->allow, sizeof r->allow);
    if (!r->route) {
        status = r->allow[0] ? 405 : 404;
        srv_reply_refuse(&r->reply, status, status == 405 ? "there is no such method here" : "there is nothing of this name");
        return status;
    }
    bool upload = r->route->most_body == SRV_BODY_UPLOAD;
    r->most_body = upload ? (size_t)s->upload_bytes : r->route->most_body;
    if (length && (strlen(length) > 18 || strtoull(length, NULL, 10) > r->most_body)) {
        srv_reply_refuse(&r->reply, 413, "the body of the request is too large");
        return 413;
    }
    const char *coding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding");
    if (coding && strcasecmp(coding, "chunked") != 0) { /* nobody could tell where the body ends */
        srv_reply_refuse(&r->reply, 501, "the body of the request has a transfer coding that is not known here");
        return 501;
    }
    bool body = (length && strtoull(length, NULL, 10)) || coding;
    take_type(r, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"));
    if (body && !upload && !r->route->raw && strcmp(r->type, "application/json") != 0) {
        srv_reply_refuse(&r->reply, 415, "the body of the request must be application/json");
        return 415;
    }
    double most = length ? strtod(length, NULL) : (double)r->most_body;
    http_give_time(s, c, (double)SRV_IDLE_S + most / (double)SRV_SLOWEST, true);
    return 0;
}

static enum MHD_Result begin(struct srv *s, struct MHD_Connection *c, const char *url, const char *method, void **context)
{
    struct http_request *r = calloc(1, sizeof *r);
    bool redirect = false;
    if (!r)
        return MHD_NO;
    *context = r;
    atomic_fetch_add(&s->http.busy, 1);
    r->s = s;
    r->connection = c;
    r->body_fd = r->reply.fd = -1;
    r->head = strcmp(method, "HEAD") == 0;
    r->path = strdup(url);
    if (!r->path)
        return MHD_NO;
    if (check(r, method, &redirect))
        return http_send(r);
    if (redirect) {
        r->cookie = true;
        r->reply.status = 303;
        return http_send(r);
    }
    r->request.method = r->route->method;
    r->request.path = r->path;
    r->request.rest = r->rest ? r->rest : "";
    r->request.http = r;
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                  const char *data, size_t *size, void **context)
{
    struct http_request *r = *context;
    (void)version;
    if (!r)
        return begin(cls, c, url, method, context);
    if (*size) {
        take_body(r, data, *size);
        *size = 0;
        /* A refusal cannot be sent before the end of a body without an announced size: a little is waited for. */
        return r->dropped > (1 << 20) ? MHD_NO : MHD_YES;
    }
    if (r->stage == HTTP_WORKING) /* nothing to do before the handler is done */
        return MHD_YES;
    if (r->stage == HTTP_DONE || r->spoilt)
        return http_send(r);
    r->stage = HTTP_WORKING;
    http_give_time(r->s, c, 0, false);
    MHD_suspend_connection(c);
    if (!srv_pool_add(r->s, r)) {
        srv_reply_refuse(&r->reply, 503, "the server has too much to do");
        http_done(r);
    }
    return MHD_YES;
}

void http_run(struct http_request *r)
{
    if (http_map_body(r))
        r->route->run(r->s, &r->request, &r->reply);
    else
        srv_reply_refuse(&r->reply, 507, "the body of the request cannot be read back");
}

void http_done(struct http_request *r)
{
    r->stage = HTTP_DONE;
    MHD_resume_connection(r->connection);
}

static void forget(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode code)
{
    struct srv *s = cls;
    struct http_request *r = *context;
    (void)code;
    *context = NULL;
    if (!r)
        return;
    http_give_time(s, c, SRV_HEADER_S, true);
    http_free(r);
    atomic_fetch_sub(&s->http.busy, 1);
}

/* ---- the daemon ----------------------------------------------------------------------------------------------- */

vka_status srv_http_start(struct srv *s, const struct srv_config *config, vka_error *err)
{
    vka_status status = http_listen(s, config->port, err);
    if (status != VKA_OK)
        return status;
    s->http.daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, on_request, s,
        MHD_OPTION_LISTEN_SOCKET, s->http.socket, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
        forget, s, MHD_OPTION_CONNECTION_LIMIT, (unsigned)SRV_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)SRV_CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SRV_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!s->http.daemon)
        return srv_fail(err, VKA_E_OUTPUT, "the HTTP server cannot be started: no memory, no threads or no files are left");
    return VKA_OK;
}

void srv_http_quiesce(struct srv *s)
{
    if (!s->http.daemon)
        return;
    MHD_socket fd = MHD_quiesce_daemon(s->http.daemon);
    if (fd != MHD_INVALID_SOCKET) {
        s->http.socket = -1;
        close(fd);
    }
}

void srv_http_stop(struct srv *s)
{
    if (s->http.daemon)
        MHD_stop_daemon(s->http.daemon);
    s->http.daemon = NULL;
    if (s->http.socket >= 0)
        close(s->http.socket);
    s->http.socket = -1;
}
