/* guard.h - who may ask: Host, Origin and token of a request, before anything else is looked at.
 *
 * A page of another site that a browser has open can send requests here.  It cannot choose their Origin, so what has another
 * Origin than ours is refused; it can make its own name lead to 127.0.0.1 (DNS rebinding), so Host must be a name that is ours;
 * and without a token nothing but a loopback address is listened at. */
#ifndef VKA_SERVER_GUARD_H
#define VKA_SERVER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <vkanim/vkanim.h>

enum { SRV_TOKEN = 256 };

struct srv_guard {
    char listen[64];       /* the address, without brackets */
    bool loopback, any;    /* 127.0.0.0/8 or ::1; 0.0.0.0 or :: */
    unsigned port;
    char token[SRV_TOKEN]; /* "": none */
};

/* Header values as they came; NULL: not there. */
struct srv_guard_input {
    const char *method;
    const char *host, *origin, *fetch_site; /* fetch_site: Sec-Fetch-Site */
    const char *authorization, *cookie, *query_token;
};

/* 0: let it through; 401: no token or another; 403: Host or Origin.  *why: one sentence, static. */
unsigned srv_guard_check(const struct srv_guard *guard, const struct srv_guard_input *input, const char **why);
/* Whether the two are the same, in a time that tells nothing about the token but its length. */
bool srv_token_is(const char *token, const char *given, size_t given_size);
/* The first line of a file: 16 to 255 printable ASCII characters without blanks, commas, semicolons and quotes. */
vka_status srv_token_read(const char *path, char token[SRV_TOKEN], vka_error *err);
/* Takes an address (a number, or "localhost") apart.  VKA_E_USAGE. */
vka_status srv_guard_listen(struct srv_guard *guard, const char *address, vka_error *err);

#endif
