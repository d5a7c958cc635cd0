/* server.h - what the files of this room share: requests, replies, routes, JSON for the outside.
 *
 * Threads.  libmicrohttpd has one thread, which never waits for anything: it reads requests, writes replies and event
 * streams.  A request that is whole has its connection suspended and goes to a handler on one of a few threads of the
 * server's own (SRV_HANDLERS for quick routes, one more for the slow ones, which so run one at a time).  A handler may
 * therefore read files, encode a picture or plan, but never wait for a render: it says srv_reply_when instead, returns, and a
 * handler's thread calls it back when the job has ended; the connection stays suspended meanwhile and costs no thread.
 * The worker is the one thread that renders (worker.c).
 *
 * What leaves the server has no absolute path of this machine in it: errors, reports and logs go through srv_clean_text
 * and srv_clean_json, which keep the last name of a path. */
#ifndef VKA_SERVER_SERVER_H
#define VKA_SERVER_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vkanim/vkanim.h>

#include "server/serve.h"

#if defined(__GNUC__)
#define SRV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SRV_PRINTF(fmt, args)
#endif

enum { SRV_ID = 32, SRV_HANDLERS = 4 };

/* ---- requests ------------------------------------------------------------------------------------------ */

/* One request, read whole and let through by the guard (guard.c).  Valid while the handler runs. */
struct srv_request {
    const char *method; /* "GET", also for HEAD; "POST", "DELETE" */
    const char *path;   /* decoded, without the query; begins with '/', may hold anything else behind it */
    const char *rest;   /* of a route that ends in '*': what stands in its place, decoded once; else "" */
    const char *type;   /* Content-Type without parameters, in lower case; "" when there is none */
    const char *body;   /* [size], no final 0; a mapped file when it is large; NULL when size is 0 */
    size_t size;
    void *http; /* http.c's own */
};
/* A value of the query, decoded, or NULL; valid as long as the request. */
const char *srv_query(const struct srv_request *request, const char *name);
/* A whole number of the query, or `otherwise` when it is missing or no number from 0 to `most`. */
uint64_t srv_query_number(const struct srv_request *request, const char *name, uint64_t otherwise, uint64_t most);
const char *srv_header(const struct srv_request *request, const char *name);
/* The body as one JSON object (new), an empty body being an empty one; NULL with VKA_E_INPUT. */
json_t *srv_body_object(const struct srv_request *request, vka_error *err);

/* ---- replies ------------------------------------------------------------------------------------------- */

/* A handler gets it zeroed with .fd = -1 and fills it: body or fd or neither. */
struct srv_reply {
    unsigned status;     /* 0 is a defect and becomes 500 */
    const char *type;    /* static text: "image/webp"; NULL with an empty body */
    char *body;          /* malloc'd, taken */
    size_t size;         /* of the body or the file */
    int fd;              /* -1, or a file that is sent from its beginning; taken.  Ranges are http.c's matter */
    char etag[80];       /* with its quotes, or ""; a request that has it already gets 304 */
    char name[96];       /* download as this (Content-Disposition: attachment), or "" */
    const char *caching; /* Cache-Control, static; NULL: no-store, or no-cache where there is an etag */
    /* for this file's owner alone */
    char nonce[40];          /* of the page */
    const char *challenge;   /* not NULL: the WWW-Authenticate of a 401, static */
    bool stream;             /* an event stream instead, of this job or "" of all */
    char stream_of[SRV_ID];
    struct srv_later *later; /* srv_reply_when's */
};
/* Takes `object`; NULL becomes 500 (out of memory). */
void srv_reply_json(struct srv_reply *reply, unsigned status, json_t *object);
/* {"error":{"code","what","why","hint"}}, cleaned; status 0: the one that goes with err->status (srv_http_status). */
void srv_reply_error(struct srv_reply *reply, unsigned status, const vka_error *err);
/* The same in one line: code VKA_E_USAGE for 4xx, VKA_E_INTERNAL for 5xx. */
void srv_reply_refuse(struct srv_reply *reply, unsigned status, const char *what, ...) SRV_PRINTF(3, 4);
/* USAGE, INPUT: 400; DEVICE, STOPPED: 503; MEMORY, OUTPUT: 507; else 500. */
unsigned srv_http_status(vka_status status);

/* The reply is made when job `id` is done, failed or stopped, or no longer known: `finish` is called then on a handler's
 * thread with the zeroed reply to fill; `user` is malloc'd or NULL and is freed (free) by the server afterwards, also when the
 * server ends first: the client gets 503 then and `finish` is not called.  To be the handler's last act, or that of `finish`,
 * which waits for another job so.  A client that goes
 * away meanwhile is noticed only at the end; its job goes on. */
typedef void srv_finish(struct srv *s, void *user, struct srv_reply *reply);
void srv_reply_when(struct srv_reply *reply, const char *id, srv_finish *finish, void *user);

/* ---- routes -------------------------------------------------------------------------------------------- */

typedef void srv_handler(struct srv *s, const struct srv_request *request, struct srv_reply *reply);
struct srv_route {
    const char *method; /* "GET" serves HEAD too; OPTIONS and 405 are http.c's matter */
    const char *path;   /* may hold one '*', for one or more characters but '/', as in "/api/v1/jobs/" "*" "/cancel" */
    srv_handler *run;
    size_t most_body; /* bytes; 0: none is taken.  SRV_BODY_UPLOAD: the limit of uploads */
    bool slow;        /* may take longer than a tenth of a second: runs one at a time */
    bool raw;         /* the body is no JSON: any Content-Type will do (uploads have that anyway); else 415 */
};
#define SRV_BODY_UPLOAD ((size_t)-1)
enum { SRV_BODY_JSON = 4 << 20 };
/* Tables that end with an empty row; the first row that fits is taken. */
extern const struct srv_route srv_api_routes[];   /* api.c */
extern const struct srv_route srv_files_routes[]; /* files.c */
extern const struct srv_route srv_a1111_routes[]; /* a1111.c */

/* The page, one file; made by the build from src/server/page/.  Where "@NONCE@" stands in it (<script nonce="@NONCE@">,
 * <style nonce="@NONCE@">) every answer has fresh random text, and Content-Security-Policy lets only such elements run:
 * no inline handlers, no style attributes in markup (element.style from a script is fine); images from here, data:, blob:. */
extern const unsigned char srv_page[];
extern const size_t srv_page_size;

/* ---- parts with a state of their own --------------------------------------------------------------------- */

struct srv_parts {
    struct srv_files *files; /* files.c's */
    struct srv_a1111 *a1111; /* a1111.c's */
};
/* Not changed between the open functions and the close functions; what they point to is their owners' to lock. */
struct srv_parts *srv_parts(struct srv *s);
/* Called once before the first request, and after the last one; `open` that fails has closed what it opened. */
vka_status srv_files_open(struct srv *s, const struct srv_config *config, vka_error *err);
void srv_files_close(struct srv *s);
vka_status srv_a1111_open(struct srv *s, const struct srv_config *config, vka_error *err);
void srv_a1111_close(struct srv *s);

/* The context for short calls (plan, models, inspect, devices), alone: to be given back before the handler returns. */
vka_context *srv_context_take(struct srv *s);
void srv_context_give(struct srv *s, vka_context *cx);
/* What `vkanim models --json` prints, cleaned; `kind` NULL: every kind.  New, or NULL.  Kept for some seconds. */
json_t *srv_models(struct srv *s, const char *kind, vka_error *err);
json_t *srv_devices(struct srv *s, vka_error *err);
/* The defaults of a job here that are not the option table's, as a job object without files: new. */
json_t *srv_defaults(struct srv *s);
/* A request's job object (not confined) planned: *fits tells whether; new, or NULL. */
json_t *srv_plan(struct srv *s, const json_t *request, vka_error *err);

/* What this file's owner uses of files.h (uploads, results, confinement):
 *   const char *srv_results(struct srv *s);               the folder, absolute, without a final '/'
 *   json_t *srv_confine(struct srv *s, const json_t *request, vka_error *err);   new object with real paths, or NULL
 *   bool srv_option_allowed(const vka_option *option);    whether a request's job may have it
 * srv_confine leaves "output" out when the request has none. */

/* ---- texts for the outside (clean.c) ---------------------------------------------------------------------- */

/* `text` with every absolute path cut to its last name; malloc'd, NULL when memory is short. */
char *srv_clean_text(const char *text);
/* The same in every text within `value`, keys excepted; members named prompt, negative and travel stay as they are.  False
 * when memory is short. */
bool srv_clean_json(json_t *value);
void srv_clean_error(vka_error *err);
/* {"code", "what", "why", "hint"}, cleaned; new, or NULL. */
json_t *srv_error_json(const vka_error *err);
void srv_log(struct srv *s, vka_level level, const char *format, ...) SRV_PRINTF(3, 4);
/* Fills the error unless it is set; returns `status`. */
vka_status srv_fail(vka_error *err, vka_status status, const char *what, ...) SRV_PRINTF(3, 4);
/* `size` random bytes as 2 * size lower-case hexadecimal digits and a 0; false when the system has none. */
bool srv_random_hex(char *out, size_t size);

#endif
