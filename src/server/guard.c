/* guard.c - see guard.h. */
#define _POSIX_C_SOURCE 200809L
#include "server/guard.h"

#include "server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the token ------------------------------------------------------------------------------------------------ */

bool srv_token_is(const char *token, const char *given, size_t given_size)
{
    size_t size = strlen(token);
    unsigned differ = size != given_size || !size;
    for (size_t i = 0; i < size; i++)
        differ |= (unsigned char)(token[i] ^ (i < given_size ? given[i] : 0));
    return !differ;
}

vka_status srv_token_read(const char *path, char token[SRV_TOKEN], vka_error *err)
{
    FILE *file = fopen(path, "re");
    token[0] = '\0';
    if (!file) {
        srv_fail(err, VKA_E_INPUT, "cannot open the token file '%.300s'", path);
        if (err)
            snprintf(err->why, sizeof err->why, "%s", strerror(errno));
        return VKA_E_INPUT;
    }
    char line[SRV_TOKEN + 2] = "";
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    size_t n = strcspn(line, "\r\n");
    bool good = read && n >= 16 && n < SRV_TOKEN;
    line[n < sizeof line ? n : 0] = '\0';
    for (size_t i = 0; good && i < n; i++)
        good = line[i] > ' ' && line[i] < 127 && !strchr(",;\"'\\", line[i]);
    if (!good)
        return srv_fail(err, VKA_E_INPUT,
                        "the token in '%.300s' is none: its first line must be 16 to 255 characters without blanks, commas, "
                        "semicolons and quotes", path);
    memcpy(token, line, n + 1);
    return VKA_OK;
}

static int base64_value(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* "user:token" in base64 (RFC 7617); the user does not matter. */
static bool basic_is(const char *token, const char *text)
{
    char plain[2 * SRV_TOKEN];
    size_t n = 0;
    unsigned bits = 0, held = 0;
    for (; *text && *text != '=' && *text != ' '; text++) {
        int value = base64_value(*text);
        if (value < 0 || n >= sizeof plain)
            return false;
        bits = bits << 6 | (unsigned)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            plain[n++] = (char)(bits >> held & 255);
        }
    }
    const char *colon = memchr(plain, ':', n);
    return colon && srv_token_is(token, colon + 1, n - (size_t)(colon + 1 - plain));
}

static bool cookie_is(const char *token, const char *cookie)
{
    static const char name[] = "vkanim_token=";
    while (cookie && *cookie) {
        size_t n = strcspn(cookie, ";");
        size_t m = sizeof name - 1;
        if (strncmp(cookie, name, m) == 0 && srv_token_is(token, cookie + m, n - m))
            return true;
        cookie += n;
        cookie += strspn(cookie, "; ");
    }
    return false;
}

static bool has_token(const struct srv_guard *g, const struct srv_guard_input *in)
{
    const char *a = in->authorization;
    if (!g->token[0])
        return true;
    if (a && strncasecmp(a, "Bearer ", 7) == 0 && srv_token_is(g->token, a + 7, strlen(a + 7)))
        return true;
    if (a && strncasecmp(a, "Basic ", 6) == 0 && basic_is(g->token, a + 6))
        return true;
    const char *q = in->query_token;
    return (q && srv_token_is(g->token, q, strlen(q))) || cookie_is(g->token, in->cookie);
}

/* ---- names of this machine ------------------------------------------------------------------------------------ */

/* "[::1]:7860" into "::1" and 7860; 80 where no port is said.  False when it is neither. */
static bool split_host(const char *host, char name[128], unsigned *port)
{
    const char *end, *from = host;
    if (*host == '[') {
        end = strchr(host, ']');
        from = host + 1;
    } else
        end = host + strcspn(host, ":");
    if (!end || end == from || end - from > 127)
        return false;
    memcpy(name, from, (size_t)(end - from));
    name[end - from] = '\0';
    end += *host == '[';
    *port = 80;
    if (!*end)
        return true;
    if (*end++ != ':' || strlen(end) < 1 || strlen(end) > 5 || strspn(end, "0123456789") != strlen(end))
        return false;
    *port = (unsigned)strtoul(end, NULL, 10);
    return true;
}

static bool is_ours(const struct srv_guard *g, const char *host)
{
    char name[128];
    unsigned port;
    if (!host || !split_host(host, name, &port) || port != g->port)
        return false;
    /* Without a token this is what stops a site that lets its own name lead here; with one, and when every address
     * is listened at, that site lacks the token. */
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 || strcmp(name, "::1") == 0 ||
           strcasecmp(name, g->listen) == 0 || (g->any && g->token[0]);
}

static bool changes(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

unsigned srv_guard_check(const struct srv_guard *g, const struct srv_guard_input *in, const char **why)
{
    *why = "";
    if (!is_ours(g, in->host)) {
        *why = "the Host of the request is not a name of this server";
        return 403;
    }
    if (in->origin && !(strncasecmp(in->origin, "http://", 7) == 0 && strcasecmp(in->origin + 7, in->host) == 0)) {
        *why = "the request comes from a page of another site";
        return 403;
    }
    const char *site = in->fetch_site;
    if (changes(in->method) && site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) {
        *why = "the request comes from a page of another site";
        return 403;
    }
    if (!has_token(g, in)) {
        *why = "the token is missing, or is another one";
        return 401;
    }
    return 0;
}

vka_status srv_guard_listen(struct srv_guard *g, const char *address, vka_error *err)
{
    struct in_addr four;
    struct in6_addr six;
    const char *plain = !address || strcasecmp(address, "localhost") == 0 ? "127.0.0.1" : address;
    size_t n = strlen(plain);
    bool brackets = n > 2 && plain[0] == '[' && plain[n - 1] == ']';
    if (n - 2 * brackets < sizeof g->listen)
        snprintf(g->listen, sizeof g->listen, "%.*s", (int)(n - 2 * brackets), plain + brackets);
    if (inet_pton(AF_INET, g->listen, &four) == 1) {
        g->loopback = ntohl(four.s_addr) >> 24 == 127;
        g->any = four.s_addr == 0;
    } else if (inet_pton(AF_INET6, g->listen, &six) == 1) {
        g->loopback = IN6_IS_ADDR_LOOPBACK(&six);
        g->any = IN6_IS_ADDR_UNSPECIFIED(&six);
    } else
        return srv_fail(err, VKA_E_USAGE, "--listen wants an address in numbers, not '%.100s'", plain);
    if (!g->loopback && !g->token[0]) {
        srv_fail(err, VKA_E_USAGE, "--listen %.60s needs a token: not this machine's users alone can reach it", g->listen);
        if (err && !err->hint[0])
            snprintf(err->hint, sizeof err->hint, "--token-file FILE, with 16 characters or more in its first line");
        return VKA_E_USAGE;
    }
    return VKA_OK;
}
