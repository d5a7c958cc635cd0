/* test_serve.c VKANIM SOURCES - `vkanim serve` as a process: clips with the bits of `vkanim render`, cancelled, resumed, killed
 * and resumed by the next server, ended by a signal.  Needs a device; lavapipe will do. */
#define _GNU_SOURCE
#include "client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *vkanim;
static unsigned failures, port;
static pid_t server;

static void bad(const char *what, ...)
{
    va_list list;
    va_start(list, what);
    fputs("FAILED: ", stderr);
    vfprintf(stderr, what, list);
    fputc('\n', stderr);
    va_end(list);
    failures++;
}

/* Starts the command with standard output into a pipe; *out is its end to read from. */
static pid_t spawn(const char *const argv[], int *out)
{
    int ends[2];
    if (pipe(ends) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execv(vkanim, (char *const *)(void *)argv);
        _exit(127);
    }
    close(ends[1]);
    *out = ends[0];
    return pid;
}

static int exit_of(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* A file's bytes, malloc'd. */
static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(1 << 22);
    *size = f && data ? fread(data, 1, 1 << 22, f) : 0;
    if (f)
        fclose(f);
    return data;
}

static void start_server(void)
{
    static const char *const argv[] = {"vkanim", "serve", "--port", "0", "--json", "-q", "--results", "results", NULL};
    char line[512];
    int out;
    server = spawn(argv, &out);
    FILE *f = fdopen(out, "r");
    json_t *o = f && fgets(line, sizeof line, f) ? json_loads(line, 0, NULL) : NULL;
    const char *url = json_string_value(json_object_get(o, "url"));
    if (!url || strncmp(url, "http://127.0.0.1:", 17) != 0) {
        bad("the server does not say where it is");
        exit(1);
    }
    port = (unsigned)strtoul(url + 17, NULL, 10);
    json_decref(o);
    fclose(f);
}

static void add(const char *steps, char id[64])
{
    char body[512];
    json_t *o;
    snprintf(body, sizeof body,
             "{\"prompt\":\"a red ball\",\"seed\":5,\"steps\":%s,\"frames\":4,\"width\":64,\"height\":64,\"cfg\":1}", steps);
    if (client_json(port, "POST", "/api/v1/jobs", body, &o) != 202)
        bad("a job is refused");
    snprintf(id, 64, "%s", o ? json_string_value(json_object_get(o, "id")) : "");
    json_decref(o);
}

static json_t *change(const char *id, const char *what, int status)
{
    char path[128];
    json_t *o = NULL;
    snprintf(path, sizeof path, "/api/v1/jobs/%s%s", id, what);
    int got = client_json(port, *what ? "POST" : "GET", path, NULL, &o);
    if (got != status)
        bad("%s: %d, not %d", path, got, status);
    return o;
}

/* Follows a job until its `stage` has done `done`, or its end; the last event's data, its name in `name`. */
static json_t *follow(const char *id, const char *stage, int done, char name[32], unsigned *previews)
{
    struct events e;
    char path[128];
    json_t *o = NULL, *next;
    snprintf(path, sizeof path, "/api/v1/jobs/%s/events", id);
    if (!events_open(&e, port, path, 120))
        bad("no event stream");
    while ((next = events_next(&e, name))) {
        json_decref(o);
        o = next;
        json_t *p = json_object_get(o, "progress");
        *previews += strcmp(name, "preview") == 0;
        if (strcmp(name, "done") == 0 || (stage && strcmp(json_string_value(json_object_get(p, "stage")), stage) == 0 &&
                                          json_integer_value(json_object_get(p, "done")) >= done))
            break;
    }
    events_close(&e);
    return o;
}

/* The job's clip, fetched from the server, against a file of the command's. */
static void compare(const char *id, const char *want)
{
    json_t *o = change(id, "", 200), *output = json_array_get(json_object_get(o, "outputs"), 0);
    const char *state = json_string_value(json_object_get(o, "state"));
    const char *url = json_string_value(json_object_get(output, "url"));
    if (!state || strcmp(state, "done") != 0 || !url) {
        char *text = json_dumps(o, JSON_INDENT(1));
        bad("the job is not done: %s", text ? text : "");
        free(text);
    } else {
        size_t size;
        char *bytes = read_file(want, &size);
        struct reply r = client_ask(port, "GET", url, NULL, NULL);
        if (r.status != 200 || !size || r.size != size || memcmp(r.body, bytes, size) != 0)
            bad("the clip at %s (%d, %zu bytes) is not that of the command (%zu bytes)", url, r.status, r.size, size);
        reply_free(&r);
        free(bytes);
    }
    json_decref(o);
}

static void render(const char *steps, const char *output)
{
    const char *const argv[] = {"vkanim", "-q", "-p",  "a red ball", "-s", "5", "--steps", steps,  "-f", "4",
                                "-W",     "64", "-H",  "64",         "--cfg", "1", "-o",   output, NULL};
    int out;
    pid_t pid = spawn(argv, &out);
    close(out);
    if (exit_of(pid) != 0)
        bad("render fails");
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/vkanim-serve-XXXXXX", models[4096], name[32], id[64], command[128];
    const char *const devices[] = {"vkanim", "devices", NULL};
    if (argc < 3 || !mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    vkanim = argv[1];
    snprintf(models, sizeof models, "%s/models", argv[2]);
    setenv("VKANIM_MODEL_PATH", models, 1);
    setenv("VKANIM_CACHE_DIR", "cache", 1);
    int out;
    pid_t pid = spawn(devices, &out);
    FILE *f = fdopen(out, "r");
    bool usable = false;
    for (char line[512]; f && fgets(line, sizeof line, f);)
        usable = usable || (strstr(line, "usable") && strstr(line, "yes"));
    if (f)
        fclose(f);
    exit_of(pid);
    unsigned previews = 0;
    int code = 0;
    if (!usable) {
        puts("no usable Vulkan device");
        code = 77;
        goto end;
    }
    render("3", "short.webp");
    render("30", "long.webp");
    start_server();
    add("3", id);
    json_t *o = follow(id, NULL, 0, name, &previews);
    if (!o || strcmp(name, "done") != 0 || previews < 1)
        bad("events: the last is '%s', with %u previews", name, previews);
    json_decref(o);
    compare(id, "short.webp");
    /* Cancelled between steps, resumed; the server killed, and the next one goes on. */
    add("30", id);
    json_decref(follow(id, "steps", 2, name, &previews));
    json_decref(change(id, "/cancel", 200));
    o = follow(id, NULL, 0, name, &previews);
    if (!o || strcmp(json_string_value(json_object_get(o, "state")), "stopped") != 0 ||
        !json_is_true(json_object_get(o, "resumable")))
        bad("a cancelled job cannot be resumed");
    json_decref(o);
    json_decref(change(id, "/resume", 200));
    json_decref(follow(id, "steps", 8, name, &previews));
    kill(server, SIGKILL);
    exit_of(server);
    start_server();
    o = change(id, "", 200);
    if (!o || strcmp(json_string_value(json_object_get(o, "state")), "stopped") != 0)
        bad("the next server does not know the job of the killed one");
    json_decref(o);
    json_decref(change(id, "/resume", 200));
    o = follow(id, NULL, 0, name, &previews);
    json_decref(o);
    compare(id, "long.webp");
    /* A signal while it renders: the job stays, clients are told. */
    add("30", id);
    json_decref(follow(id, "steps", 1, name, &previews));
    kill(server, SIGTERM);
    code = exit_of(server);
    if (code != 143)
        bad("SIGTERM: it ends with %d", code);
    const char *const resume[] = {"vkanim", "resume", "--json", NULL};
    pid = spawn(resume, &out);
    o = NULL;
    f = fdopen(out, "r");
    if (f) {
        o = json_loadf(f, 0, NULL);
        fclose(f);
    }
    if (exit_of(pid) != 0 || json_array_size(json_object_get(o, "jobs")) != 1)
        bad("the stopped job is not there to be resumed");
    json_decref(o);
    code = failures > 0;
    printf("%u failures\n", failures);
end:
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? code : 1;
}
