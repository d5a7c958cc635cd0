/* serve.h - `vkanim serve`, for the command: all that src/cli sees of this room. */
#ifndef VKA_SERVER_SERVE_H
#define VKA_SERVER_SERVE_H

#include <stdbool.h>
#include <vkanim/vkanim.h>

struct srv_config {
    const char *listen;     /* an address; NULL: 127.0.0.1 */
    unsigned port;          /* 0: any that is free */
    const char *token_file; /* NULL: no token, which only a loopback address may have */
    const char *results;    /* folder of finished clips, made where it is not there; NULL: the user's */
    unsigned queue;         /* jobs that may wait, at least 1 */
    unsigned long long upload_bytes; /* of one upload at most */
    const vka_job *job;     /* the machine's options and the defaults of jobs; borrowed, may be NULL */
    void (*log)(void *user, vka_level level, const char *text); /* from any thread, one at a time; NULL: silence */
    void *user;
    vka_level level;
    int validation; /* as in vka_context_params */
};

struct srv;
/* Starts every thread of the server; it serves when this returns.  VKA_E_USAGE: an address that needs a token; VKA_E_OUTPUT:
 * the port is taken, or a folder cannot be made. */
vka_status srv_start(struct srv **out, const struct srv_config *config, vka_error *err);
/* "http://127.0.0.1:7860/", with the port that was taken. */
const char *srv_url(const struct srv *s);
/* Ends it: the running job is cancelled and can be resumed, requests get their last answers.  Takes the address of the
 * handle and writes NULL back. */
void srv_end(struct srv **s);

#endif
