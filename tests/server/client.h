/* client.h - a small HTTP client for the server's tests: blocking, one connection for one exchange, nothing hidden. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct reply {
    int status;    /* 0: no answer */
    char *headers; /* with the status line, lines ended by "\r\n" */
    char *body;    /* [size], a 0 behind it; chunks joined */
    size_t size;
};
void reply_free(struct reply *r);
/* The value of a header into `out`, "" when there is none. */
const char *reply_header(const struct reply *r, const char *name, char *out, size_t size);

/* A connection to 127.0.0.1, or -1; reads and writes give up after `seconds`. */
int client_connect(unsigned port, int seconds);
bool client_send(int fd, const void *data, size_t size);
/* Reads one answer; with `head` none of its body, which is not there. */
struct reply client_read(int fd, bool head);
/* One request; `headers` ("Name: value\r\n"..., may be NULL) beside Host and, with a body, Content-Length and a JSON type. */
struct reply client_ask(unsigned port, const char *method, const char *path, const char *headers, const char *body);
/* The same for JSON: the status, and in *out (may be NULL; new) the answer's object. */
int client_json(unsigned port, const char *method, const char *path, const char *body, json_t **out);

/* An event stream, read as it comes. */
struct events {
    int fd;
    char *text; /* what has come of chunks, without their sizes */
    size_t size, used;
    char *raw;
    size_t raw_size;
};
bool events_open(struct events *e, unsigned port, const char *path, int seconds);
/* The next event: its name into `name`, its data new; NULL when the stream has ended or nothing came in time. */
json_t *events_next(struct events *e, char name[32]);
void events_close(struct events *e);

#endif
