/* hostile_test.c - `vkanim serve` among people who mean it harm, while it renders.
 *
 *     hostile_test VKANIM MODELS
 *
 * Starts the command in a folder of its own, lets it render a clip, and meanwhile sends it what hostile_table.c has, and then
 * what no table can say: slow headers and bodies, bodies without end, requests cut anywhere, many in one packet, a thousand
 * connections, event streams opened and dropped, uploads until there is no more room.  Every answer must be a right one; none
 * may say a path of this machine or what lies outside the folders; the server's memory must not grow; and the clip must be
 * the one that the command makes alone, byte for byte.  VKANIM_TEST_ALL waits for the server's clocks too (a minute more).
 *
 * Exit status: 0, 1 for what went wrong (each on a line), 77 where there is no device. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "../sanitized.h"
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16 << 20, GROWTH_KB = 40 << 10, AGAIN_KB = 2 << 10, THOUSAND = 1000 };
#define SECRET "nobody outside may read this"
#define PROMPT "a red ball moving left"
#define STEPS "20"

static char folder[200];
static const char *binary;
static unsigned port, failures, sent;
static pid_t server;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stdout, format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    failures++;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rest(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static const char *in(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        printf("%s cannot be written\n", path);
        exit(1);
    }
}

static char *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *data = f ? malloc(MOST) : NULL;
    *size = data ? fread(data, 1, MOST, f) : 0;
    if (f)
        fclose(f);
    return data;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

struct answer {
    int status; /* 0: closed without one; -1: nothing came in time */
    char *data; /* all that came, with a final 0 */
    size_t size;
};

static int dial(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {10, 0};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool push(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Whether an answer with an announced length is whole. */
static bool is_whole(const struct answer *a, bool head)
{
    const char *end = strstr(a->data, "\r\n\r\n"), *length = end ? strstr(a->data, "Content-Length: ") : NULL;
    if (!end)
        return false;
    if (head || !strncmp(a->data + 9, "304", 3) || !strncmp(a->data + 9, "204", 3))
        return true;
    return length && length < end && a->size >= (size_t)(end + 4 - a->data) + strtoull(length + 16, NULL, 10);
}

/* Reads until the answer is whole, the connection closed, or `seconds` over. */
static struct answer read_answer(int fd, double seconds, bool head)
{
    struct answer a = {.status = -1, .data = malloc(4096)};
    size_t room = 4096;
    double until = now() + seconds;
    if (!a.data)
        exit(1);
    a.data[0] = '\0';
    while (!is_whole(&a, head) && now() < until) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 100) <= 0)
            continue;
        if (a.size + 2048 > room && !(a.data = realloc(a.data, room *= 2)))
            exit(1);
        ssize_t n = recv(fd, a.data + a.size, room - a.size - 1, 0);
        if (n <= 0) {
            a.status = 0;
            break;
        }
        a.size += (size_t)n;
        a.data[a.size] = '\0';
    }
    if (a.size > 12 && strncmp(a.data, "HTTP/1.", 7) == 0)
        a.status = atoi(a.data + 9);
    return a;
}

static bool holds(const struct answer *a, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; n && i + n <= a->size; i++)
        if (a->data[i] == text[0] && memcmp(a->data + i, text, n) == 0)
            return true;
    return false;
}

/* No answer says what lies elsewhere, or where. */
static void check_silence(const char *name, const struct answer *a)
{
    if (holds(a, SECRET) || holds(a, "root:x:") || holds(a, "root:*:"))
        wrong("%s: the answer has a file from outside", name);
    if (holds(a, folder))
        wrong("%s: the answer has a path of this machine: %.300s", name, a->data);
    if (holds(a, "\r\nSet-Cookie: a=b"))
        wrong("%s: the answer has a header of the client's", name);
    if (a->status > 0 && !holds(a, "X-Content-Type-Options: nosniff") && a->status != 400 && a->status != 413 &&
        a->status != 505 && a->status != 431 && a->status != 414 && a->status != 408 && a->status != 501)
        wrong("%s: %d without nosniff", name, a->status);
}

/* Whether `want`, statuses between blanks, has the status. */
static bool is_wanted(const char *want, int status)
{
    for (const char *p = want; *p;) {
        char *end;
        long w = strtol(p, &end, 10);
        if (w == status)
            return true;
        p = end + strspn(end, " ");
    }
    return false;
}

static struct answer ask(const char *name, const char *data, size_t size, const char *want)
{
    int fd = dial();
    struct answer a = {.status = -2, .data = NULL};
    sent++;
    if (fd < 0) {
        wrong("%s: no connection: %s", name, strerror(errno));
        return a;
    }
    (void)push(fd, data, size); /* what is refused early is not taken to its end */
    a = read_answer(fd, 20, !strncmp(data, "HEAD", 4));
    close(fd);
    if (!is_wanted(want, a.status))
        wrong("%s: %d instead of %s: %.300s", name, a.status, want, a.size ? a.data : "");
    check_silence(name, &a);
    return a;
}

static struct answer ask_for(const char *name, const char *request, const char *body, size_t size, const char *want)
{
    size_t room = strlen(request) + size + 200;
    char *text = malloc(room), length[60] = "";
    if (!text)
        exit(1);
    if (body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", size);
    size_t n = (size_t)snprintf(text, room, "%sHost: 127.0.0.1:%u\r\n%s\r\n", request, port, length);
    if (body)
        memcpy(text + n, body, size);
    struct answer a = ask(name, text, n + size, want);
    free(text);
    return a;
}

static void expect(const char *name, const char *request, const char *body, const char *want)
{
    free(ask_for(name, request, body, body ? strlen(body) : 0, want).data);
}

/* With the port put in place of '$'. */
static void expect_whole(const struct hostile *h)
{
    char text[4096];
    size_t n = 0;
    for (const char *p = h->request; *p && n < sizeof text - 8; p++)
        n += *p == '$' ? (size_t)snprintf(text + n, 8, "%u", port) : (text[n] = *p, (size_t)1);
    free(ask(h->name, text, n, h->want).data);
}

/* ---- the server --------------------------------------------------------------------------------------------------- */

static pid_t run(char *const arguments[], int *out)
{
    int ends[2] = {-1, -1};
    if (out && pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        if (out) {
            dup2(ends[1], 1);
            close(ends[0]);
            close(ends[1]);
        }
        if (chdir(in("cwd")) != 0)
            _exit(126);
        execv(binary, arguments);
        _exit(127);
    }
    if (out) {
        close(ends[1]);
        *out = ends[0];
    }
    return child;
}

static int ended(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Starts it and reads its port; false where it ends at once. */
static bool start(char *const more[])
{
    const char *all[24] = {binary,      "serve",       "--port",         "0",  "--json",  "--quiet",
                           "--results", in("results"), "--upload-limit", "8M", "--queue", "4"};
    size_t n = 12;
    char line[400] = "";
    int out;
    for (; *more; more++)
        all[n++] = *more;
    server = run((char *const *)all, &out);
    FILE *f = fdopen(out, "r");
    const char *url = f && fgets(line, sizeof line, f) ? strstr(line, "http://") : NULL;
    const char *colon = url ? strchr(url + 7, ':') : NULL;
    if (f)
        fclose(f);
    port = colon ? (unsigned)atoi(colon + 1) : 0;
    return port != 0;
}

/* Ends it as a terminal or a service would; says how long that took. */
static void stop(int signal_number, int want)
{
    double began = now();
    kill(server, signal_number);
    int code = ended(server);
    if (code != want)
        wrong("the server ends with %d instead of %d", code, want);
    if (now() - began > 15)
        wrong("the server takes %.1f s to end", now() - began);
}

/* Memory of the server's own, in kB; prints it with what it maps of files too. */
static long resident_kb(const char *when)
{
    char path[64], line[200];
    long kb = -1, all = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)server);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "RssAnon:", 8))
            kb = atol(line + 8);
        else if (!strncmp(line, "VmRSS:", 6))
            all = atol(line + 6);
    if (f)
        fclose(f);
    printf("%s: VmRSS %ld kB, of which its own %ld kB\n", when, all, kb);
    return kb;
}

/* The state of a job, and "" for one that is not known. */
static void state_of(const char *id, char state[16])
{
    char request[200];
    snprintf(request, sizeof request, "GET /api/v1/jobs/%s HTTP/1.1\r\n", id);
    struct answer a = ask_for("a job", request, NULL, 0, "200");
    const char *p = a.data ? strstr(a.data, "\"state\"") : NULL;
    state[0] = '\0';
    if (p && (p = strchr(p + 7, '"')) != NULL)
        snprintf(state, 16, "%.*s", (int)strcspn(p + 1, "\""), p + 1);
    free(a.data);
    sent--; /* not hostile */
}

static bool post_job(const char *body, const char *want, char id[40])
{
    struct answer a =
        ask_for("a job", "POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\n", body, strlen(body), want);
    const char *p = a.status == 202 ? strstr(a.data, "\"id\"") : NULL;
    id[0] = '\0';
    if (p && (p = strchr(p + 4, '"')) != NULL)
        snprintf(id, 40, "%.*s", (int)strcspn(p + 1, "\""), p + 1);
    free(a.data);
    return id[0] != '\0';
}

static bool await(const char *id, const char *wanted, double seconds)
{
    char state[16] = "";
    for (double until = now() + seconds; now() < until; rest(0.1)) {
        state_of(id, state);
        if (strcmp(state, wanted) == 0)
            return true;
        if (strcmp(state, "failed") == 0 || strcmp(state, "stopped") == 0)
            break;
    }
    wrong("the job %s is %s, not %s", id, state, wanted);
    return false;
}

/* The server answers, soon: those who are gone give way within its next look. */
static void is_alive(const char *after)
{
    double began = now();
    int status = 0;
    while (status != 200 && now() - began < 4) {
        struct answer a = ask_for(after, "GET /api/v1/about HTTP/1.1\r\n", NULL, 0, "200 0");
        status = a.status;
        free(a.data);
        sent--;
        if (status != 200)
            rest(0.1);
    }
    if (status != 200)
        wrong("%s: the server does not answer any more", after);
}

/* ---- what no table can say -------------------------------------------------------------------------------------------- */

static void jobs_and_paths(void)
{
    char request[1200], body[700], name[1300];
    static const char *const routes[] = {"/api/v1/jobs", "/api/v1/plan"};
    for (unsigned i = 0; i < hostile_job_count; i++)
        for (int k = 0; k < 2; k++) {
            snprintf(body, sizeof body, "{%s}", hostile_jobs[i]);
            snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nContent-Type: application/json\r\n", routes[k]);
            snprintf(name, sizeof name, "%s %s", routes[k], body);
            expect(name, request, body, "400");
        }
    for (unsigned i = 0; i < hostile_path_count; i++)
        for (unsigned k = 0; k < hostile_prefix_count; k++) {
            const struct hostile_prefix *p = &hostile_prefixes[k];
            snprintf(request, sizeof request, "%s %s%s%s HTTP/1.1\r\n", p->method, p->path, hostile_paths[i], p->tail);
            snprintf(name, sizeof name, "%s %s%s%s", p->method, p->path, hostile_paths[i], p->tail);
            expect(name, request, NULL, "400 404 405");
        }
}

static void tables(void)
{
    for (unsigned i = 0; i < hostile_count; i++)
        if (hostile_table[i].whole)
            expect_whole(&hostile_table[i]);
        else
            expect(hostile_table[i].name, hostile_table[i].request, hostile_table[i].body, hostile_table[i].want);
}

/* What the library refuses when it looks. */
static void late_jobs(void)
{
    char body[700], id[40], state[16] = "";
    for (unsigned i = 0; i < hostile_late_job_count; i++) {
        snprintf(body, sizeof body, "{%s}", hostile_late_jobs[i]);
        expect(body, "POST /api/v1/plan HTTP/1.1\r\nContent-Type: application/json\r\n", body, "400");
        if (!post_job(body, "202 400", id))
            continue;
        for (double until = now() + 30; strcmp(state, "failed") != 0 && now() < until; rest(0.05))
            state_of(id, state);
        if (strcmp(state, "failed") != 0)
            wrong("%s is %s and not failed", body, state);
        state[0] = '\0';
    }
}

/* Long lines, many headers. */
static void long_ones(void)
{
    size_t size = 300000;
    char *text = malloc(size + 100);
    if (!text)
        exit(1);
    size_t n = (size_t)sprintf(text, "GET /results/");
    memset(text + n, 'a', 200000);
    n += 200000;
    n += (size_t)sprintf(text + n, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", port);
    free(ask("a path of 200,000 bytes", text, n, "400 404 414 431 0").data);
    n = (size_t)sprintf(text, "GET /api/v1/about HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nCookie: ", port);
    memset(text + n, 'b', 200000);
    n += 200000;
    n += (size_t)sprintf(text + n, "\r\n\r\n");
    free(ask("a header of 200,000 bytes", text, n, "400 413 431 0").data);
    n = (size_t)sprintf(text, "GET /api/v1/about HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", port);
    for (int i = 0; i < 20000; i++)
        n += (size_t)sprintf(text + n, "X-%d: y\r\n", i);
    n += (size_t)sprintf(text + n, "\r\n");
    free(ask("20,000 headers", text, n, "400 413 431 0").data);
    n = 0;
    text[n++] = '{';
    n += (size_t)sprintf(text + n, "\"prompt\":");
    memset(text + n, '[', 100000);
    n += 100000;
    free(ask_for("100,000 brackets", "POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\n", text, n, "400").data);
    memset(text, ' ', size);
    free(ask_for("300,000 blanks", "POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\n", text, size, "400").data);
    free(text);
}

/* Bodies that are larger than allowed, announced or in chunks without end. */
static void huge_bodies(void)
{
    static char megabyte[1 << 20];
    char head[400], chunk[20];
    memset(megabyte, ' ', sizeof megabyte);
    static const struct {
        const char *path, *type;
        size_t bytes;
    } cases[] = {{"/api/v1/jobs", "application/json", 5 << 20},
                 {"/api/v1/uploads", "image/png", 9 << 20},
                 {"/api/v1/inspect", "image/png", 9 << 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int chunked = 0; chunked < 2; chunked++) {
            int fd = dial();
            char length[60];
            snprintf(length, sizeof length, chunked ? "Transfer-Encoding: chunked" : "Content-Length: %zu", cases[i].bytes);
            size_t n =
                (size_t)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: %s\r\n%s\r\n\r\n",
                                 cases[i].path, port, cases[i].type, length);
            bool open = fd >= 0 && push(fd, head, n);
            for (size_t done = 0; open && done < cases[i].bytes; done += sizeof megabyte) {
                if (chunked && (open = push(fd, chunk, (size_t)sprintf(chunk, "%zx\r\n", sizeof megabyte))) == false)
                    break;
                open = push(fd, megabyte, sizeof megabyte) && (!chunked || push(fd, "\r\n", 2));
            }
            if (open && chunked)
                open = push(fd, "0\r\n\r\n", 5);
            struct answer a = fd >= 0 ? read_answer(fd, 10, false) : (struct answer){.status = -2, .data = NULL};
            if (a.status != 413 && a.status != 0)
                wrong("%s: %zu bytes%s: %d instead of 413", cases[i].path, cases[i].bytes, chunked ? " in chunks" : "",
                      a.status);
            free(a.data);
            if (fd >= 0)
                close(fd);
            sent++;
        }
}

/* Connections that send a byte now and then.  `path` NULL: a header without end, else a body. */
static void slow_ones(const char *path, double patience)
{
    enum { SLOW = 20 };
    int fds[SLOW];
    char head[300];
    unsigned closed = 0;
    size_t n = (size_t)snprintf(
        head, sizeof head,
        path ? "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
             : "GET /%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX: ",
        path ? path : "", port);
    for (int i = 0; i < SLOW; i++) {
        fds[i] = dial();
        (void)(fds[i] >= 0 && push(fds[i], head, n));
        sent++;
    }
    for (double until = now() + patience; now() < until && closed < SLOW; rest(0.5)) {
        is_alive("slow clients");
        for (int i = 0; i < SLOW; i++) {
            char byte;
            if (fds[i] < 0)
                continue;
            ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK) || got > 0 || !push(fds[i], " ", 1)) {
                close(fds[i]);
                fds[i] = -1;
                closed++;
            }
        }
    }
    if (patience > 20 && closed < SLOW)
        wrong("%u of %d slow %s are still open after %.0f s", SLOW - closed, SLOW, path ? "bodies" : "headers", patience);
    for (int i = 0; i < SLOW; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* A good request cut after each byte, and bodies shorter than announced. */
static void cut_ones(void)
{
    char text[400];
    size_t n = (size_t)snprintf(
        text, sizeof text,
        "POST /api/v1/plan HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
        "{\"prompt\":\"a\"",
        port);
    for (size_t cut = 0; cut <= n; cut += 3) {
        int fd = dial();
        if (fd >= 0) {
            (void)push(fd, text, cut);
            if (cut % 2) { /* gone without a word, or at the end of sending */
                struct linger hard = {1, 0};
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            } else
                shutdown(fd, SHUT_WR);
            close(fd);
        }
        sent++;
    }
    is_alive("requests that were cut");
}

/* Many requests in one packet: as many answers, in their order. */
static void pipelined(void)
{
    enum { COUNT = 40 };
    char *text = malloc(COUNT * 120);
    size_t n = 0;
    unsigned good = 0, bad = 0;
    if (!text)
        exit(1);
    for (int i = 0; i < COUNT; i++)
        n += (size_t)sprintf(text + n, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n",
                             i == COUNT - 1 ? "/results/..%2fvictim.webp" : "/api/v1/about", port,
                             i == COUNT - 1 ? "Connection: close\r\n" : "");
    int fd = dial();
    if (fd >= 0 && push(fd, text, n)) {
        struct answer a = {.status = 0, .data = malloc(MOST)};
        ssize_t got = 1;
        for (double until = now() + 20; a.data && got > 0 && now() < until && a.size < MOST - 1;) {
            struct pollfd p = {fd, POLLIN, 0};
            if (poll(&p, 1, 100) > 0 && (got = recv(fd, a.data + a.size, MOST - 1 - a.size, 0)) > 0)
                a.size += (size_t)got;
        }
        if (a.data) {
            a.data[a.size] = '\0';
            for (const char *p = a.data; (p = strstr(p, "HTTP/1.1 ")) != NULL; p += 9) {
                good += !strncmp(p + 9, "200", 3);
                bad += !strncmp(p + 9, "404", 3);
            }
            check_silence("pipelined", &a);
        }
        free(a.data);
    }
    if (fd >= 0)
        close(fd);
    free(text);
    sent += COUNT;
    if (good != COUNT - 1 || bad != 1)
        wrong("%d requests in one packet: %u times 200 and %u times 404", (int)COUNT, good, bad);
}

/* A thousand at once: the server takes as many as it wants to, and serves again when they are gone. */
static void thousand(void)
{
    static int fds[THOUSAND];
    struct rlimit limit;
    unsigned open = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < THOUSAND + 100) {
        limit.rlim_cur = limit.rlim_max < THOUSAND + 100 ? limit.rlim_max : (rlim_t)(THOUSAND + 100);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < THOUSAND; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fds[i] >= 0 && (connect(fds[i], (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS))
            open++;
        sent++;
    }
    rest(0.5);
    for (int i = 0; i < THOUSAND; i++)
        if (fds[i] >= 0)
            (void)send(fds[i], "GET /api/v1/about HTTP/1.1\r\n", 28, MSG_NOSIGNAL | MSG_DONTWAIT);
    rest(1);
    for (int i = 0; i < THOUSAND; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (open < THOUSAND * 9 / 10)
        wrong("only %u connections of %d could be begun", open, THOUSAND);
    double began = now();
    int fd = -1;
    struct answer a = {.status = -1, .data = NULL};
    for (; a.status != 200 && now() - began < 20; rest(0.1)) { /* until the queue of connections is worked off */
        char text[100];
        free(a.data);
        a.data = NULL;
        fd = dial();
        if (fd < 0)
            continue;
        (void)push(fd, text,
                   (size_t)snprintf(text, sizeof text, "GET /api/v1/about HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", port));
        a = read_answer(fd, 5, false);
        close(fd);
    }
    free(a.data);
    if (a.status != 200)
        wrong("after a thousand connections the server does not answer");
    printf("a thousand connections: %.2f s until the next answer\n", now() - began);
}

/* Event streams: opened and dropped at once, and more at the same time than there may be. */
static void streams(const char *id)
{
    enum { AT_ONCE = 70 };
    int fds[AT_ONCE];
    char text[200];
    unsigned good = 0, refused = 0;
    for (int i = 0; i < 60; i++) {
        int fd = dial();
        size_t n = (size_t)snprintf(text, sizeof text, "GET /api/v1/%s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                                    i % 2 ? "jobs/" : "events", i % 2 ? id : "", i % 2 ? "/events" : "", port);
        if (fd >= 0 && push(fd, text, n) && i % 3)
            rest(0.005);
        if (fd >= 0)
            close(fd);
        sent++;
    }
    rest(2.5); /* the server looks every second */
    size_t n = (size_t)snprintf(text, sizeof text, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", port);
    for (int i = 0; i < AT_ONCE; i++) {
        fds[i] = dial();
        (void)(fds[i] >= 0 && push(fds[i], text, n));
        sent++;
    }
    is_alive("many event streams");
    for (int i = 0; i < AT_ONCE; i++) {
        char line[16] = "";
        struct pollfd p = {fds[i], POLLIN, 0};
        if (fds[i] >= 0 && poll(&p, 1, 3000) > 0 && recv(fds[i], line, 12, 0) == 12) {
            good += !strncmp(line + 9, "200", 3);
            refused += !strncmp(line + 9, "503", 3);
        }
        if (fds[i] >= 0)
            close(fds[i]);
    }
    if (!good || !refused || good + refused != AT_ONCE)
        wrong("%d event streams at once: %u opened, %u refused", AT_ONCE, good, refused);
    is_alive("event streams that were dropped");
}

/* Uploads until there is no more room; then away with them. */
static void uploads(void)
{
    enum { BYTES = 7 << 20, TRIES = 6 };
    static char body[BYTES];
    char names[TRIES][80], request[600];
    unsigned kept = 0, full = 0;
    memcpy(body, "YUV4MPEG2 W16 H16 F8:1\nFRAME\n", 29);
    for (int i = 0; i < TRIES; i++) {
        struct answer a =
            ask_for("an upload", "POST /api/v1/uploads?name=..%2f..%2fevil.y4m HTTP/1.1\r\n", body, BYTES, "201 507");
        const char *p = a.status == 201 ? strstr(a.data, "upload-") : NULL;
        full += a.status == 507;
        if (p && kept < TRIES)
            snprintf(names[kept++], 80, "%.*s", (int)strcspn(p, "\""), p);
        if (a.status == 201 && (!p || holds(&a, "evil")))
            wrong("an upload's name is the client's: %.200s", a.data);
        free(a.data);
    }
    if (kept != 4 || full != TRIES - 4)
        wrong("of %d uploads of 7 MB %u were kept and %u refused, and 32 MB are allowed", TRIES, kept, full);
    for (unsigned i = 0; i < kept; i++) {
        snprintf(request, sizeof request, "DELETE /api/v1/uploads/%s HTTP/1.1\r\n", names[i]);
        expect("an upload goes", request, NULL, "204");
        expect("an upload goes twice", request, NULL, "404");
    }
}

/* More jobs than may wait. */
static void full_queue(void)
{
    char ids[6][40], request[400];
    unsigned taken = 0, refused = 0;
    for (int i = 0; i < 6; i++)
        if (post_job("{\"prompt\":\"x\",\"frames\":1,\"steps\":1,\"cfg\":1,\"output\":[\"never.webp\"]}", "202 429",
                     ids[taken]))
            taken++;
        else
            refused++;
    if (taken != 4 || refused != 2)
        wrong("of 6 jobs %u were taken and %u refused, and 4 may wait", taken, refused);
    for (unsigned i = 0; i < taken; i++) {
        snprintf(request, sizeof request, "POST /api/v1/jobs/%s/cancel HTTP/1.1\r\n", ids[i]);
        expect("a job that waits is cancelled", request, NULL, "200 202 204");
        snprintf(request, sizeof request, "DELETE /api/v1/jobs/%s HTTP/1.1\r\n", ids[i]);
        expect("and forgotten", request, NULL, "200 204");
    }
}

/* With a token nothing is told without it. */
static void tokens(void)
{
    static const struct {
        const char *header, *want;
    } cases[] = {
        {"", "401"},
        {"Authorization: Bearer \r\n", "401"},
        {"Authorization: Bearer wrong\r\n", "401"},
        {"Authorization: Bearer 0123456789abcde\r\n", "401"},
        {"Authorization: Bearer 0123456789abcdeg\r\n", "401"},
        {"Authorization: Bearer 0123456789abcdef0\r\n", "401"},
        {"Authorization: 0123456789abcdef\r\n", "401"},
        {"Authorization: Digest 0123456789abcdef\r\n", "401"},
        {"Authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==\r\n", "401"}, /* no colon */
        {"Authorization: Basic dTp3cm9uZw==\r\n", "401"},             /* u:wrong */
        {"Authorization: Basic ====\r\n", "401"},
        {"Authorization: Basic \xff\xfe\r\n", "401"},
        {"Cookie: vkanim_token=wrong\r\n", "401"},
        {"Cookie: vkanim_token=\r\n", "401"},
        {"Cookie: xvkanim_token=0123456789abcdef\r\n", "401"},
        {"X-Token: 0123456789abcdef\r\n", "401"},
        {"Authorization: Bearer 0123456789abcdef\r\n", "200"},
        {"Authorization: Basic dTowMTIzNDU2Nzg5YWJjZGVm\r\n", "200"}, /* u:0123456789abcdef */
        {"Cookie: a=b; vkanim_token=0123456789abcdef\r\n", "200"},
        {"Origin: http://evil.example\r\nAuthorization: Bearer 0123456789abcdef\r\n", "403"},
    };
    static const char *const paths[] = {"/", "/api/v1/jobs", "/results/warm.webp", "/sdapi/v1/options", "/nothing"};
    char request[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(request, sizeof request, "GET /api/v1/about HTTP/1.1\r\n%s", cases[i].header);
        expect(cases[i].header, request, NULL, cases[i].want);
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n", paths[i]);
        expect(paths[i], request, NULL, "401");
    }
    expect("a token in the query that is wrong", "GET /?token=wrong HTTP/1.1\r\n", NULL, "401");
    expect("no token in the query", "GET /?token= HTTP/1.1\r\n", NULL, "401");
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

static void make_folder(const char *models)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/vkanim-hostile-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder) || mkdir(in("results"), 0700) != 0 || mkdir(in("cwd"), 0700) != 0 ||
        mkdir(in("results/folder.webp"), 0700) != 0 || symlink("../victim.webp", in("results/link.webp")) != 0 ||
        mkfifo(in("results/pipe.webp"), 0600) != 0)
        exit(1);
    put_file(in("victim.webp"), SECRET);
    put_file(in("results/secret.txt"), SECRET);
    put_file(in("results/.hidden.webp"), SECRET);
    put_file(in("cwd/secret.txt"), SECRET);
    put_file(in("token"), "0123456789abcdef\n");
    setenv("VKANIM_MODEL_PATH", models, 1);
    setenv("VKANIM_CACHE_DIR", in("cache"), 1);
    setenv("XDG_DATA_HOME", in("data"), 1);
    setenv("HOME", folder, 1);
}

static void check_outside(void)
{
    static const char *const kept[] = {"victim.webp", "results/secret.txt", "results/.hidden.webp", "cwd/secret.txt"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        size_t size;
        char *text = get_file(in(kept[i]), &size);
        if (!text || size != strlen(SECRET) || memcmp(text, SECRET, size) != 0)
            wrong("%s is not what it was", kept[i]);
        free(text);
    }
    struct stat st;
    static const char *const there[] = {"results/link.webp", "results/pipe.webp", "results/folder.webp"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (lstat(in(there[i]), &st) != 0)
            wrong("%s is gone", there[i]);
    static const char *const nowhere[] = {"cwd/trace.safetensors", "cwd/hints", "results/trace.safetensors",
                                          "results/never.webp", "cwd/never.webp"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        if (lstat(in(nowhere[i]), &st) == 0)
            wrong("%s was made", nowhere[i]);
}

static void same_clip(const char *mine, const char *want)
{
    size_t n, m;
    char *a = get_file(in(mine), &n), *b = get_file(in(want), &m);
    if (!a || !b || n == 0 || n != m || memcmp(a, b, n) != 0)
        wrong("%s (%zu bytes) is not %s (%zu bytes)", mine, n, want, m);
    else
        printf("the clip is the same: %zu bytes\n", n);
    free(a);
    free(b);
}

/* Everything that is over in seconds. */
static void hurry(const char *id)
{
    streams(id);
    tables();
    jobs_and_paths();
    long_ones();
    huge_bodies();
    cut_ones();
    pipelined();
}

int main(int argc, char **argv)
{
    const char *all = getenv("VKANIM_TEST_ALL");
    bool whole = all && *all && strcmp(all, "0") != 0;
    if (argc != 3)
        return 2;
    binary = argv[1];
    signal(SIGPIPE, SIG_IGN);
    make_folder(argv[2]);
    const char *alone[] = {binary, "-p", PROMPT,          "-s", "7", "-f", "4", "--steps", STEPS, "--cfg", "1",
                           "-q",   "-o", in("base.webp"), NULL};
    double began = now();
    int code = ended(run((char *const *)alone, NULL));
    if (code != 0) {
        printf("the command alone ends with %d\n", code);
        return code == 4 ? 77 : 1;
    }
    printf("the clip alone: %.1f s\n", now() - began);

    const char *open_to_all[] = {binary, "serve", "--listen", "0.0.0.0", "--port", "0", "-q", NULL};
    if ((code = ended(run((char *const *)open_to_all, NULL))) != 2)
        wrong("--listen 0.0.0.0 without a token ends with %d", code);
    if (!start((char *[]){NULL})) {
        printf("the server does not start\n");
        return 1;
    }
    char warm[40], id[40], state[16];
    if (!post_job("{\"prompt\":\"" PROMPT "\",\"seed\":3,\"frames\":4,\"steps\":" STEPS
                  ",\"cfg\":1,\"output\":[\"warm.webp\"]}",
                  "202", warm) ||
        !await(warm, "done", 120))
        return 1;
    expect("the gallery", "GET /api/v1/results HTTP/1.1\r\n", NULL, "200");
    hurry(warm); /* what threads and allocator keep from their first work on is no growth */
    sent = 0;
    rest(1);
    long before = resident_kb("before");
    if (!post_job("{\"prompt\":\"" PROMPT "\",\"seed\":7,\"frames\":4,\"steps\":" STEPS
                  ",\"cfg\":1,\"output\":[\"main.webp\"]}",
                  "202", id) ||
        !await(id, "running", 30))
        return 1;
    began = now();
    full_queue();
    hurry(id);
    state_of(id, state);
    printf("%u hostile requests after %.1f s, the job is %s\n", sent, now() - began, state);
    slow_ones(NULL, whole ? 40 : 1);
    slow_ones("/api/v1/jobs", whole ? 60 : 1);
    uploads();
    thousand();
    state_of(id, state);
    printf("%u hostile requests in %.1f s, the job is %s\n", sent, now() - began, state);
    await(id, "done", 300);
    same_clip("results/main.webp", "base.webp");
    late_jobs();
    rest(1);
    long after = resident_kb("after");
    /* a driver keeps more from a second and a third render on: 7 MB with lavapipe of Mesa 22.3, 19 with that of 25.0 */
    if (!SANITIZED && (before < 0 || after - before > GROWTH_KB))
        wrong("the server has grown by %ld kB", after - before);
    hurry(id); /* the same again, with nothing else to do */
    if (whole)
        thousand();
    rest(2);
    long again = resident_kb("after as many again");
    if (!SANITIZED && again - after > AGAIN_KB)
        wrong("the server grows with what it is asked, by %ld kB", again - after);
    stop(SIGTERM, 143);
    char option[] = "--token-file", token[400];
    snprintf(token, sizeof token, "%s", in("token"));
    char *const more[] = {option, token, NULL};
    if (start(more)) {
        tokens();
        stop(SIGINT, 130);
    } else
        wrong("the server with a token does not start");
    check_outside();
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    if (system(command) != 0)
        wrong("%s cannot be removed", folder);
    printf("%u hostile requests, %u wrong\n", sent, failures);
    return failures != 0;
}
