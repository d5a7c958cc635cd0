/* http.h - a request, for http.c (reading) and http_send.c (answering). */
#ifndef VKA_SERVER_HTTP_H
#define VKA_SERVER_HTTP_H

#include "server/files.h"
#include "server/inside.h"

#include <microhttpd.h>

enum http_stage { HTTP_READING, HTTP_WORKING, HTTP_DONE };

struct http_request {
    struct http_request *next; /* pool.c's */
    struct srv *s;
    struct MHD_Connection *connection;
    enum http_stage stage; /* WORKING: the pool's; else libmicrohttpd's thread's */
    const struct srv_route *route;
    struct srv_request request;
    struct srv_reply reply;
    char *path, *rest;
    char type[64], allow[64];
    bool head, cookie; /* cookie: the token goes into one */
    size_t most_body, dropped;
    char *body; /* in memory, or mapped */
    size_t body_room, mapped;
    int body_fd;
    unsigned long long reserved;
    unsigned spoilt; /* a status: the body is not wanted any more */
};

/* Queues the reply; MHD_NO closes the connection. */
enum MHD_Result http_send(struct http_request *r);
/* The connection's time from now on; 0: all it wants.  reading: its request is not whole yet, so that it is useless once the
 * client has ended it. */
void http_give_time(struct srv *s, struct MHD_Connection *c, double seconds, bool reading);
/* Puts a body that lies in a file into memory's reach. */
bool http_map_body(struct http_request *r);
void http_free(struct http_request *r);
/* The socket, bound and listening, and s->url. */
vka_status http_listen(struct srv *s, unsigned port, vka_error *err);

#endif
