/* client.c - see client.h. */
#define _GNU_SOURCE /* memmem */
#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void reply_free(struct reply *r)
{
    free(r->headers);
    free(r->body);
    *r = (struct reply){0};
}

static const char *find_header(const char *headers, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = headers; line && *line;) {
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " ");
        line = strstr(line, "\r\n");
        line = line ? line + 2 : NULL;
    }
    return NULL;
}

const char *reply_header(const struct reply *r, const char *name, char *out, size_t size)
{
    const char *value = find_header(r->headers, name);
    snprintf(out, size, "%.*s", value ? (int)strcspn(value, "\r") : 0, value ? value : "");
    return out;
}

int client_connect(unsigned port, int seconds)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {.tv_sec = seconds};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool client_send(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Joins chunks in place; their size, or -1 while the last one is missing. */
static long join_chunks(char *text, size_t size)
{
    char *to = text, *end = text + size;
    for (char *p = text;;) {
        char *line = memchr(p, '\n', (size_t)(end - p));
        if (!line)
            return -1;
        size_t chunk = strtoul(p, NULL, 16);
        p = line + 1;
        if (!chunk)
            return to - text;
        if ((size_t)(end - p) < chunk + 2)
            return -1;
        memmove(to, p, chunk);
        to += chunk;
        p += chunk + 2;
    }
}

struct reply client_read(int fd, bool head)
{
    struct reply r = {0};
    char *all = NULL, *end = NULL;
    size_t size = 0, room = 0;
    for (;;) {
        if (size + 4097 > room) {
            room = 2 * room + 16384;
            all = realloc(all, room);
        }
        ssize_t n = recv(fd, all + size, room - size - 1, 0);
        if (n > 0)
            size += (size_t)n;
        all[size] = '\0';
        end = end ? all + (end - all) : strstr(all, "\r\n\r\n");
        if (end) { /* realloc may have moved it */
            end = strstr(all, "\r\n\r\n");
            size_t have = size - (size_t)(end + 4 - all);
            const char *length = find_header(all, "Content-Length");
            bool bare = head || strncmp(all + 9, "304", 3) == 0 || strncmp(all + 9, "204", 3) == 0;
            bool chunked = find_header(all, "Transfer-Encoding") != NULL && !bare;
            if (bare || (length && length < end && have >= strtoul(length, NULL, 10)) ||
                (chunked && memmem(end, size - (size_t)(end - all), "\r\n0\r\n\r\n", 7)))
                n = 0;
        }
        if (n <= 0)
            break;
    }
    if (end) {
        r.status = atoi(all + 9);
        r.headers = strndup(all, (size_t)(end + 2 - all));
        r.size = size - (size_t)(end + 4 - all);
        r.body = malloc(r.size + 1);
        memcpy(r.body, end + 4, r.size);
        if (find_header(r.headers, "Transfer-Encoding")) {
            long joined = join_chunks(r.body, r.size);
            r.size = joined > 0 ? (size_t)joined : 0;
        }
        r.body[r.size] = '\0';
    }
    free(all);
    return r;
}

struct reply client_ask(unsigned port, const char *method, const char *path, const char *headers, const char *body)
{
    int fd = client_connect(port, 60);
    char head[4096], length[128] = "";
    if (fd < 0)
        return (struct reply){0};
    if (body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n%s", strlen(body),
                 headers && find_header(headers, "Content-Type") ? "" : "Content-Type: application/json\r\n");
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n%s%s\r\n", method, path, port,
             length, headers ? headers : "");
    client_send(fd, head, strlen(head));
    if (body)
        client_send(fd, body, strlen(body));
    struct reply r = client_read(fd, strcmp(method, "HEAD") == 0);
    close(fd);
    return r;
}

int client_json(unsigned port, const char *method, const char *path, const char *body, json_t **out)
{
    struct reply r = client_ask(port, method, path, NULL, body);
    if (out)
        *out = r.body ? json_loadb(r.body, r.size, 0, NULL) : NULL;
    int status = r.status;
    reply_free(&r);
    return status;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

bool events_open(struct events *e, unsigned port, const char *path, int seconds)
{
    char head[512];
    *e = (struct events){.fd = client_connect(port, seconds)};
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/event-stream\r\n\r\n", path, port);
    size_t size = 0;
    e->raw = calloc(1, 65536);
    e->text = calloc(1, 1 << 20);
    if (e->fd < 0 || !client_send(e->fd, head, strlen(head)))
        return false;
    char *end = NULL;
    while (!end && size < 60000) {
        ssize_t n = recv(e->fd, e->raw + size, 1, 0);
        if (n <= 0)
            return false;
        e->raw[++size] = '\0';
        end = strstr(e->raw, "\r\n\r\n");
    }
    return strncmp(e->raw + 9, "200", 3) == 0 && find_header(e->raw, "Content-Type");
}

/* Takes one more chunk of the transfer; false at its end. */
static bool more(struct events *e)
{
    char line[32];
    size_t n = 0, chunk;
    while (n < sizeof line - 1 && recv(e->fd, line + n, 1, 0) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    chunk = strtoul(line, NULL, 16);
    if (!chunk || e->size + chunk + 1 > 1 << 20)
        return false;
    for (size_t got = 0; got < chunk + 2;) {
        char scrap[2];
        size_t left = got < chunk ? chunk - got : chunk + 2 - got;
        ssize_t m = recv(e->fd, got < chunk ? e->text + e->size + got : scrap, left, 0);
        if (m <= 0)
            return false;
        got += (size_t)m;
    }
    e->size += chunk;
    e->text[e->size] = '\0';
    return true;
}

json_t *events_next(struct events *e, char name[32])
{
    for (;;) {
        char *from = e->text + e->used, *end = strstr(from, "\n\n");
        if (!end) {
            memmove(e->text, from, e->size - e->used + 1);
            e->size -= e->used;
            e->used = 0;
            if (!more(e))
                return NULL;
            continue;
        }
        e->used += (size_t)(end + 2 - from);
        if (strncmp(from, "event: ", 7) != 0)
            continue;
        snprintf(name, 32, "%.*s", (int)strcspn(from + 7, "\n"), from + 7);
        char *data = strstr(from, "\ndata: ");
        if (data && data < end)
            return json_loadb(data + 7, (size_t)(end - data - 7), 0, NULL);
    }
}

void events_close(struct events *e)
{
    if (e->fd >= 0)
        close(e->fd);
    free(e->raw);
    free(e->text);
    *e = (struct events){.fd = -1};
}
