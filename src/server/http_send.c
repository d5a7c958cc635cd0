/* http_send.c - replies: headers that every answer has, files and parts of them, event streams; and the socket. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/http.h"

#include "server/range.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

bool http_map_body(struct http_request *r)
{
    struct srv_request *q = &r->request;
    if (r->body_fd >= 0) {
        void *map = mmap(NULL, q->size, PROT_READ, MAP_PRIVATE, r->body_fd, 0);
        if (map == MAP_FAILED)
            return false;
        r->body = map;
        r->mapped = q->size;
    }
    q->body = q->size ? r->body : NULL;
    return true;
}

void http_free(struct http_request *r)
{
    if (r->mapped)
        munmap(r->body, r->mapped);
    else
        free(r->body);
    if (r->body_fd >= 0)
        close(r->body_fd);
    pthread_mutex_lock(&r->s->http.lock);
    r->s->http.body_bytes -= r->reserved;
    pthread_mutex_unlock(&r->s->http.lock);
    if (r->reply.fd >= 0)
        close(r->reply.fd);
    if (r->reply.later)
        free(r->reply.later->user);
    free(r->reply.later);
    free(r->reply.body);
    free(r->path);
    free(r->rest);
    free(r);
}

/* ---- headers -------------------------------------------------------------------------------------------------- */

static void header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value && *value)
        MHD_add_response_header(response, name, value);
}

/* The page may load nothing from elsewhere and run nothing but itself; anything else is data. */
static void policy(struct MHD_Response *response, const char *nonce)
{
    char text[512] = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox";
    if (nonce[0])
        snprintf(text, sizeof text,
                 "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; img-src 'self' data: blob:; "
                 "media-src 'self' blob:; connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
                 "form-action 'none'",
                 nonce, nonce);
    header(response, "Content-Security-Policy", text);
}

static void put_headers(const struct http_request *r, struct MHD_Response *response, unsigned status)
{
    const struct srv_reply *p = &r->reply;
    char text[512];
    header(response, "Content-Type", p->type);
    header(response, "X-Content-Type-Options", "nosniff");
    header(response, "X-Frame-Options", "DENY");
    header(response, "Referrer-Policy", "no-referrer");
    header(response, "Cross-Origin-Resource-Policy", "same-origin");
    header(response, "Cross-Origin-Opener-Policy", "same-origin");
    header(response, "Cache-Control", p->caching ? p->caching : p->etag[0] ? "no-cache" : "no-store");
    header(response, "ETag", p->etag);
    policy(response, p->nonce);
    if (p->name[0] && !strpbrk(p->name, "\"\\\r\n")) {
        snprintf(text, sizeof text, "attachment; filename=\"%s\"", p->name);
        header(response, "Content-Disposition", text);
    }
    if (status == 405 || (status == 204 && r->allow[0]))
        header(response, "Allow", r->allow);
    if (p->challenge)
        header(response, "WWW-Authenticate", p->challenge);
    if (status == 429 || status == 503)
        header(response, "Retry-After", "5");
    if (r->cookie) {
        snprintf(text, sizeof text, "vkanim_token=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
                 r->s->guard.token);
        header(response, "Set-Cookie", text);
        header(response, "Location", "/");
    }
}

/* ---- files in parts ---------------------------------------------------------------------------------------------------- */

static struct MHD_Response *file_response(struct http_request *r, unsigned *status)
{
    struct srv_reply *p = &r->reply;
    uint64_t from = 0, count = p->size;
    char text[96];
    const char *asked = *status == 200 ? MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Range") : NULL;
    *status = asked ? srv_range(asked, p->size, &from, &count) : *status;
    if (*status == 416) {
        struct MHD_Response *none = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        snprintf(text, sizeof text, "bytes */%zu", p->size);
        if (none)
            header(none, "Content-Range", text);
        return none;
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(count, p->fd, from);
    if (!response)
        return NULL;
    p->fd = -1;
    header(response, "Accept-Ranges", "bytes");
    if (*status == 206) {
        unsigned long long first = from, last = from + count - 1;
        snprintf(text, sizeof text, "bytes %llu-%llu/%zu", first, last, p->size);
        header(response, "Content-Range", text);
    }
    p->size = (size_t)count;
    return response;
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

static bool client_has_it(const struct http_request *r)
{
    const char *tags = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "If-None-Match");
    return r->reply.status == 200 && r->reply.etag[0] && tags && strstr(tags, r->reply.etag);
}

enum MHD_Result http_send(struct http_request *r)
{
    struct srv_reply *p = &r->reply;
    struct MHD_Response *response = NULL;
    if (p->stream && !r->head) {
        response = srv_stream_open(r->s, r->connection, p->stream_of);
        if (!response)
            srv_reply_refuse(p, 503, "too many event streams are open");
    }
    unsigned status = p->status ? p->status : 500;
    double seconds = (double)SRV_IDLE_S + (double)p->size / (double)SRV_SLOWEST;
    if (client_has_it(r)) {
        status = 304;
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else if (!response && p->fd >= 0)
        response = file_response(r, &status);
    else if (!response && p->body) {
        response = MHD_create_response_from_buffer(p->size, p->body, MHD_RESPMEM_MUST_FREE);
        p->body = response ? NULL : p->body;
    } else if (!response)
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    put_headers(r, response, status);
    http_give_time(r->s, r->connection, p->stream && status == 200 ? 0 : seconds, false);
    enum MHD_Result sent = MHD_queue_response(r->connection, status, response);
    MHD_destroy_response(response);
    return sent;
}

/* ---- the socket ----------------------------------------------------------------------------------------------- */

vka_status http_listen(struct srv *s, unsigned port, vka_error *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound = {.six = {.sin6_family = AF_INET6}};
    bool is_six = strchr(s->guard.listen, ':') != NULL;
    socklen_t size = is_six ? sizeof bound.six : sizeof bound.four;
    if (is_six)
        bound.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    else
        bound.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    void *to = is_six ? (void *)&bound.six.sin6_addr : (void *)&bound.four.sin_addr;
    inet_pton(bound.any.sa_family, s->guard.listen, to);
    int yes = 1, fd = socket(bound.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, &bound.any, size) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, &bound.any, &size) != 0) {
        int number = errno;
        srv_fail(err, VKA_E_OUTPUT, "cannot listen at %s, port %u", s->guard.listen, port);
        if (err) {
            snprintf(err->why, sizeof err->why, "%s", strerror(number));
            if (number == EADDRINUSE)
                snprintf(err->hint, sizeof err->hint, "another program has it: --port N, or --port 0 for any that is free");
        }
        if (fd >= 0)
            close(fd);
        return VKA_E_OUTPUT;
    }
    s->http.socket = fd;
    s->guard.port = ntohs(is_six ? bound.six.sin6_port : bound.four.sin_port);
    snprintf(s->url, sizeof s->url, is_six ? "http://[%s]:%u/" : "http://%s:%u/", s->guard.listen, s->guard.port);
    return VKA_OK;
}
