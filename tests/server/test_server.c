/* test_server.c - the server with an engine that renders nothing: queue, events, previews, guard, limits, its end.  No device.
 *
 * What a job does is in its prompt: "hold" renders until it is cancelled or let go, "fail" cannot write, "lost" loses its
 * device; anything else is done at once. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "client.h"
#include "server/files.h"
#include "server/inside.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the engine ----------------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool let_go;
    vka_context *cancelled;
    char kept[512]; /* output of the job that was stopped */
    unsigned renders, resumes;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void fake_cancel(vka_context *cx)
{
    pthread_mutex_lock(&fake.lock);
    fake.cancelled = cx;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

static void let_go(bool yes)
{
    pthread_mutex_lock(&fake.lock);
    fake.let_go = yes;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

static vka_status finish(const char *output, char **report)
{
    FILE *f = fopen(output, "w");
    if (f) {
        fputs("clip", f);
        fclose(f);
    }
    json_t *o = json_pack("{s:i, s:s, s:[{s:s, s:i}], s:[{s:s}]}", "schema", 1, "command", "render", "outputs", "path", output,
                          "bytes", 4, "models", "path", "/home/somebody/models/x.safetensors");
    *report = json_dumps(o, 0); /* vka_free is free */
    json_decref(o);
    return VKA_OK;
}

static vka_status fake_work(vka_context *cx, const vka_context_params *hooks, const char *prompt, const char *output,
                            char **report, vka_error *err)
{
    static const unsigned char rgb[2 * 4 * 4 * 3] = {255, 0, 0, 9, 9, 9};
    pthread_mutex_lock(&fake.lock);
    while (strstr(prompt, "early") && fake.cancelled != cx)
        pthread_cond_wait(&fake.moved, &fake.lock);
    fake.cancelled = NULL; /* a call forgets what was before it, as the library's do */
    pthread_mutex_unlock(&fake.lock);
    for (unsigned step = 1; step <= 3; step++) {
        vka_progress p = {.stage = "steps", .clips = 1, .done = step, .total = 3, .eta_s = -1};
        vka_preview v = {.step = step, .steps = 3, .frames = 2, .width = 4, .height = 4, .fps = 8, .rgb = rgb};
        hooks->progress(hooks->user, &p);
        hooks->preview(hooks->user, &v);
    }
    if (strstr(prompt, "fail")) {
        err->status = VKA_E_OUTPUT;
        snprintf(err->what, sizeof err->what, "cannot write '/home/somebody/results/x.webp'");
        return VKA_E_OUTPUT;
    }
    if (strstr(prompt, "lost")) {
        snprintf(err->what, sizeof err->what, "the device was lost");
        return VKA_E_LOST;
    }
    pthread_mutex_lock(&fake.lock);
    while (strstr(prompt, "hold") && !fake.let_go && fake.cancelled != cx)
        pthread_cond_wait(&fake.moved, &fake.lock);
    bool stopped = fake.cancelled == cx;
    if (stopped)
        snprintf(fake.kept, sizeof fake.kept, "%s", output);
    fake.cancelled = NULL;
    pthread_mutex_unlock(&fake.lock);
    if (stopped) {
        snprintf(err->hint, sizeof err->hint, "vkanim resume 01234567");
        return VKA_E_STOPPED;
    }
    return finish(output, report);
}

static vka_status fake_render(vka_context *cx, const vka_context_params *hooks, const vka_job *job, char **report,
                              vka_error *err)
{
    char *text = vka_job_write(job);
    json_t *o = json_loads(text, 0, NULL);
    vka_free(text);
    fake.renders++;
    vka_status status = fake_work(cx, hooks, json_string_value(json_object_get(o, "prompt")),
                                  json_string_value(json_array_get(json_object_get(o, "output"), 0)), report, err);
    json_decref(o);
    return status;
}

static vka_status fake_resume(vka_context *cx, const vka_context_params *hooks, const char *name, char **report, vka_error *err)
{
    (void)cx;
    if (strcmp(name, "01234567") != 0) {
        snprintf(err->what, sizeof err->what, "there is no job '%s'", name);
        return VKA_E_INPUT;
    }
    fake.resumes++;
    return fake_work(cx, hooks, "", fake.kept, report, err);
}

static vka_status fake_jobs(vka_context *cx, char **report, vka_error *err)
{
    (void)cx, (void)err;
    json_t *o = json_pack("{s:[]}", "jobs");
    if (fake.kept[0])
        json_array_append_new(json_object_get(o, "jobs"),
                              json_pack("{s:s, s:s, s:s, s:s, s:[s]}", "id", "01234567", "state", "stopped", "created",
                                        "2026-01-31T10:20:30Z", "prompt", "an earlier one", "outputs", fake.kept));
    *report = json_dumps(o, 0);
    json_decref(o);
    return VKA_OK;
}

static vka_status fake_forget(vka_context *cx, const char *name, vka_error *err)
{
    (void)cx, (void)err;
    assert_string_equal(name, "01234567");
    fake.kept[0] = '\0';
    return VKA_OK;
}

static const struct srv_engine engine = {fake_render, fake_resume, fake_jobs, fake_cancel, fake_forget};

/* ---- a route that answers later ------------------------------------------------------------------------------- */

static void finish_later(struct srv *s, void *user, struct srv_reply *reply)
{
    json_t *job = srv_queue_get(s, user);
    srv_reply_json(reply, 200, json_pack("{s:O}", "state", json_object_get(job, "state")));
    json_decref(job);
}

static void post_later(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    char id[SRV_ID];
    json_t *job = srv_body_object(request, &err);
    unsigned status = job ? srv_queue_add(s, job, id, &err) : 400;
    bool late = strcmp(json_string_value(json_object_get(job, "prompt")), "late") == 0;
    json_decref(job);
    if (late) { /* the job is over, and everybody told, before anybody waits for it */
        struct timespec moment = {0, 50000000};
        srv_queue_wait(s, id, 10);
        nanosleep(&moment, NULL);
    }
    if (status == 202)
        srv_reply_when(reply, id, finish_later, strdup(id));
    else
        srv_reply_error(reply, status, &err);
}

static void post_raw(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    unsigned long long sum = 0;
    (void)s;
    for (size_t i = 0; i < request->size; i++)
        sum += (unsigned char)request->body[i];
    srv_reply_json(reply, 200, json_pack("{s:I, s:I}", "size", (json_int_t)request->size, "sum", (json_int_t)sum));
}

/* In place of A1111's, which are tested elsewhere. */
const struct srv_route srv_a1111_routes[] = {
    {"POST", "/test/later", post_later, SRV_BODY_JSON, false, false},
    {"POST", "/test/raw", post_raw, SRV_BODY_UPLOAD, false, true},
    {0},
};

vka_status srv_a1111_open(struct srv *s, const struct srv_config *config, vka_error *err)
{
    (void)s, (void)config, (void)err;
    return VKA_OK;
}

void srv_a1111_close(struct srv *s) { (void)s; }

/* ---- servers -------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/vkanim-server-XXXXXX";

static unsigned port_of(const struct srv *s)
{
    const char *colon = strrchr(srv_url(s), ':');
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

static struct srv *start(unsigned queue, const char *token_file)
{
    struct srv *s = NULL;
    vka_error err = {0};
    struct srv_config config = {.results = folder, .queue = queue, .upload_bytes = 1 << 20, .token_file = token_file};
    if (srv_start_with(&s, &config, &engine, &err) != VKA_OK)
        fail_msg("the server does not start: %s: %s", err.what, err.why);
    return s;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static void clear_fake(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.let_go = false;
    fake.cancelled = NULL;
    fake.kept[0] = '\0';
    pthread_mutex_unlock(&fake.lock);
}

/* Queues a job through HTTP; its id. */
static void add(unsigned port, const char *prompt, char id[SRV_ID])
{
    char body[256];
    json_t *o;
    snprintf(body, sizeof body, "{\"prompt\":\"%s\"}", prompt);
    assert_int_equal(client_json(port, "POST", "/api/v1/jobs", body, &o), 202);
    snprintf(id, SRV_ID, "%s", json_string_value(json_object_get(o, "id")));
    json_decref(o);
}

static json_t *get(unsigned port, const char *id)
{
    char path[128];
    json_t *o;
    snprintf(path, sizeof path, "/api/v1/jobs/%s", id);
    assert_int_equal(client_json(port, "GET", path, NULL, &o), 200);
    return o;
}

static void assert_state(unsigned port, const char *id, const char *state)
{
    json_t *o = get(port, id);
    assert_string_equal(json_string_value(json_object_get(o, "state")), state);
    json_decref(o);
}

/* Until a running job has told all its steps. */
static void await_steps(unsigned port, const char *id)
{
    for (int i = 0; i < 500; i++) {
        struct timespec moment = {0, 10000000};
        json_t *o = get(port, id);
        bool there = json_integer_value(json_object_get(json_object_get(o, "progress"), "preview")) == 3;
        json_decref(o);
        if (there)
            return;
        nanosleep(&moment, NULL);
    }
    fail_msg("the job does not begin");
}

static int change(unsigned port, const char *method, const char *id, const char *what)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/jobs/%s%s", id, what);
    return client_json(port, method, path, NULL, NULL);
}

/* ---- jobs ----------------------------------------------------------------------------------------------------- */

static void test_one_job(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID], name[300], path[600];
    add(port, "a ball", id);
    assert_true(srv_queue_wait(s, id, 10));
    json_t *o = get(port, id), *output = json_array_get(json_object_get(o, "outputs"), 0);
    long long seed = json_integer_value(json_object_get(json_object_get(o, "job"), "seed"));
    assert_true(seed >= 0 && json_is_integer(json_object_get(json_object_get(o, "job"), "seed")));
    snprintf(name, sizeof name, "%s-%lld.webp", id, seed);
    assert_string_equal(json_string_value(json_object_get(o, "state")), "done");
    assert_string_equal(json_string_value(json_object_get(output, "name")), name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(access(path, R_OK), 0);
    assert_true(json_is_null(json_object_get(o, "error")));
    char *text = json_dumps(o, 0); /* no path of this machine in all of it */
    assert_null(strstr(text, folder));
    assert_null(strstr(text, "/home/"));
    assert_non_null(strstr(text, "x.safetensors"));
    free(text);
    json_decref(o);
    assert_int_equal(change(port, "POST", id, "/cancel"), 409);
    assert_int_equal(change(port, "POST", id, "/resume"), 409);
    assert_int_equal(change(port, "DELETE", id, ""), 200);
    assert_int_equal(change(port, "GET", id, ""), 404);
    assert_int_equal(access(path, R_OK), 0); /* its clip stays */
    srv_end(&s);
    assert_null(s);
}

static void test_failures(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID];
    clear_fake();
    add(port, "fail", id);
    assert_true(srv_queue_wait(s, id, 10));
    json_t *o = get(port, id), *error = json_object_get(o, "error");
    assert_string_equal(json_string_value(json_object_get(o, "state")), "failed");
    assert_int_equal(json_integer_value(json_object_get(error, "code")), VKA_E_OUTPUT);
    assert_string_equal(json_string_value(json_object_get(error, "what")), "cannot write 'x.webp'");
    json_decref(o);
    add(port, "lost", id);
    assert_true(srv_queue_wait(s, id, 10));
    assert_state(port, id, "failed");
    add(port, "and on", id); /* neither ends the server */
    assert_true(srv_queue_wait(s, id, 10));
    assert_state(port, id, "done");
    const char *const bad[] = {"[]",          "{\"prompt\":1}",  "{\"steps\":0}", "{\"nonsense\":1}",
                               "{\"prompt\"", "{\"frames\":\"\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(client_json(port, "POST", "/api/v1/jobs", bad[i], NULL), 400);
    srv_end(&s);
}

static void test_queue(void **state)
{
    (void)state;
    struct srv *s = start(2, NULL);
    unsigned port = port_of(s);
    char first[SRV_ID], second[SRV_ID], third[SRV_ID];
    clear_fake();
    add(port, "hold", first);
    await_steps(port, first); /* it runs: it takes no place */
    add(port, "second", second);
    add(port, "third", third);
    assert_int_equal(client_json(port, "POST", "/api/v1/jobs", "{\"prompt\":\"fourth\"}", NULL), 429);
    json_t *o;
    assert_int_equal(client_json(port, "GET", "/api/v1/jobs", NULL, &o), 200);
    json_t *list = json_object_get(o, "jobs");
    assert_int_equal(json_array_size(list), 3);
    const char *const ids[] = {first, second, third};
    for (size_t i = 0; i < 3; i++) {
        json_t *j = json_array_get(list, i);
        assert_string_equal(json_string_value(json_object_get(j, "id")), ids[i]);
        if (i)
            assert_int_equal(json_integer_value(json_object_get(j, "place")), i);
    }
    json_decref(o);
    assert_int_equal(change(port, "DELETE", first, ""), 409);
    assert_int_equal(change(port, "DELETE", second, ""), 409);
    assert_int_equal(change(port, "POST", second, "/cancel"), 200); /* it waits: it is stopped at once */
    assert_state(port, second, "stopped");
    o = get(port, third);
    assert_int_equal(json_integer_value(json_object_get(o, "place")), 1);
    json_decref(o);
    assert_int_equal(change(port, "POST", first, "/cancel"), 200);
    assert_true(srv_queue_wait(s, first, 10));
    o = get(port, first);
    assert_string_equal(json_string_value(json_object_get(o, "state")), "stopped");
    assert_true(json_is_true(json_object_get(o, "resumable")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "error"), "hint")), "the job can be resumed");
    json_decref(o);
    assert_true(srv_queue_wait(s, third, 10));
    unsigned resumes = fake.resumes;
    assert_int_equal(change(port, "POST", first, "/resume"), 200);
    assert_true(srv_queue_wait(s, first, 10));
    assert_state(port, first, "done");
    assert_int_equal(fake.resumes, resumes + 1);
    assert_int_equal(change(port, "POST", second, "/resume"), 200); /* never begun: from its beginning */
    assert_true(srv_queue_wait(s, second, 10));
    assert_state(port, second, "done");
    assert_int_equal(change(port, "POST", "00000000", "/cancel"), 404);
    srv_end(&s);
}

/* A cancellation that reaches the context before the call has begun. */
static void test_early_cancel(void **state)
{
    (void)state;
    struct srv *s = start(2, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID], running[SRV_ID];
    clear_fake();
    add(port, "early hold", id);
    for (int i = 0; i < 1000 && !srv_queue_running(s, running); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_string_equal(running, id);
    assert_int_equal(change(port, "POST", id, "/cancel"), 200);
    assert_true(srv_queue_wait(s, id, 10));
    assert_state(port, id, "stopped");
    assert_true(fake.kept[0]); /* and what it leaves goes with it */
    assert_int_equal(change(port, "DELETE", id, ""), 200);
    assert_false(fake.kept[0]);
    srv_end(&s);
}

static void test_memory_of_jobs(void **state)
{
    (void)state;
    struct srv *s = start(200, NULL);
    json_t *request = json_pack("{s:s}", "prompt", "quick");
    char id[SRV_ID];
    for (int i = 0; i < SRV_KEPT + 50; i++)
        assert_int_equal(srv_queue_add(s, request, id, NULL), 202);
    assert_true(srv_queue_wait(s, id, 60));
    json_t *list = srv_queue_list(s);
    assert_int_equal(json_array_size(json_object_get(list, "jobs")), SRV_KEPT);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(list, "jobs"), 0), "id")), id);
    json_decref(list);
    json_decref(request);
    srv_end(&s);
}

/* ---- events and previews -------------------------------------------------------------------------------------- */

static void test_events(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID], path[128], name[32];
    struct events one, all;
    clear_fake();
    assert_true(events_open(&all, port, "/api/v1/events", 10));
    add(port, "hold", id);
    await_steps(port, id);
    snprintf(path, sizeof path, "/api/v1/jobs/%s/events", id);
    assert_true(events_open(&one, port, path, 10));
    json_t *o = events_next(&one, name);
    assert_string_equal(name, "state");
    assert_string_equal(json_string_value(json_object_get(o, "state")), "running");
    assert_null(json_object_get(o, "job"));
    json_decref(o);
    bool progress = false, preview = false, done = false;
    for (int i = 0; i < 2; i++) {
        o = events_next(&one, name);
        progress = progress || strcmp(name, "progress") == 0;
        preview = preview || strcmp(name, "preview") == 0;
        assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "progress"), "done")), 3);
        json_decref(o);
    }
    assert_true(progress && preview);
    let_go(true);
    o = events_next(&one, name);
    assert_string_equal(name, "done");
    assert_non_null(json_object_get(o, "outputs"));
    json_decref(o);
    double told = srv_now();
    assert_null(events_next(&one, name)); /* which is the stream's end */
    assert_true(srv_now() - told < 5);
    while (!done && (o = events_next(&all, name))) {
        done = strcmp(name, "done") == 0;
        assert_string_equal(json_string_value(json_object_get(o, "id")), id);
        json_decref(o);
    }
    assert_true(done);
    events_close(&one);
    events_close(&all);
    assert_int_equal(client_json(port, "GET", "/api/v1/jobs/ffff/events", NULL, NULL), 404);
    /* Clients that go away in the middle, many times over, take nothing with them. */
    clear_fake();
    add(port, "hold", id);
    for (int i = 0; i < 3 * SRV_STREAMS; i++) {
        struct events e;
        if (events_open(&e, port, "/api/v1/events", 10) && i % 3 == 0)
            json_decref(events_next(&e, name));
        events_close(&e);
        if (i % SRV_STREAMS == SRV_STREAMS - 1)
            srv_events_ping(s); /* finds them out */
    }
    let_go(true);
    assert_true(srv_queue_wait(s, id, 10));
    assert_int_equal(client_json(port, "GET", "/api/v1/about", NULL, NULL), 200);
    srv_end(&s);
}

static void test_previews(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID], path[128], etag[128], header[256];
    clear_fake();
    add(port, "hold", id);
    await_steps(port, id);
    snprintf(path, sizeof path, "/api/v1/jobs/%s/preview.webp", id);
    struct reply r = client_ask(port, "GET", path, NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_true(r.size > 20 && memcmp(r.body, "RIFF", 4) == 0 && memcmp(r.body + 8, "WEBP", 4) == 0);
    reply_header(&r, "ETag", etag, sizeof etag);
    reply_free(&r);
    snprintf(header, sizeof header, "If-None-Match: %s\r\n", etag);
    r = client_ask(port, "GET", path, header, NULL);
    assert_int_equal(r.status, 304);
    assert_int_equal(r.size, 0);
    reply_free(&r);
    snprintf(path, sizeof path, "/api/v1/jobs/%s/preview.png", id);
    r = client_ask(port, "GET", path, NULL, NULL);
    assert_true(r.status == 200 && r.size > 20 && memcmp(r.body, "\x89PNG", 4) == 0);
    reply_free(&r);
    let_go(true);
    assert_true(srv_queue_wait(s, id, 10));
    assert_int_equal(client_json(port, "GET", path, NULL, NULL), 404); /* it holds no memory any more */
    srv_end(&s);
}

static void *ask_later(void *port)
{
    json_t *o = NULL;
    int status = client_json(*(unsigned *)port, "POST", "/test/later", "{\"prompt\":\"hold\"}", &o);
    const char *state = status == 200 ? json_string_value(json_object_get(o, "state")) : "";
    void *result = strcmp(state, "done") == 0 ? port : status == 503 || strcmp(state, "stopped") == 0 ? &fake : NULL;
    json_decref(o);
    return result;
}

static void test_later(void **state)
{
    (void)state;
    struct srv *s = start(20, NULL);
    unsigned port = port_of(s);
    pthread_t threads[2 * SRV_HANDLERS]; /* more than there are threads for handlers */
    struct timespec moment = {0, 200000000};
    clear_fake();
    assert_int_equal(client_json(port, "POST", "/test/later", "{\"prompt\":\"late\"}", NULL), 200);
    for (size_t i = 0; i < 2 * SRV_HANDLERS; i++)
        pthread_create(&threads[i], NULL, ask_later, &port);
    nanosleep(&moment, NULL);
    assert_int_equal(client_json(port, "GET", "/api/v1/about", NULL, NULL), 200);
    let_go(true);
    for (size_t i = 0; i < 2 * SRV_HANDLERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &port);
    }
    let_go(false); /* and one that the server's end finds waiting */
    pthread_create(&threads[0], NULL, ask_later, &port);
    nanosleep(&moment, NULL);
    double began = srv_now();
    srv_end(&s);
    assert_true(srv_now() - began < 2);
    void *result;
    pthread_join(threads[0], &result);
    assert_ptr_equal(result, &fake);
}

/* ---- refusals ------------------------------------------------------------------------------------------------- */

static int ask(unsigned port, const char *method, const char *path, const char *headers, const char *body)
{
    struct reply r = client_ask(port, method, path, headers, body);
    int status = r.status;
    reply_free(&r);
    return status;
}

/* A request as it stands; the status of the answer. */
static int ask_raw(unsigned port, const char *text)
{
    int fd = client_connect(port, 10);
    client_send(fd, text, strlen(text));
    struct reply r = client_read(fd, false);
    int status = r.status;
    reply_free(&r);
    close(fd);
    return status;
}

static void test_refusals(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char text[512], value[128];
    snprintf(text, sizeof text, "GET /api/v1/about HTTP/1.1\r\nHost: evil.example:%u\r\n\r\n", port);
    assert_int_equal(ask_raw(port, text), 403);
    assert_int_equal(ask_raw(port, "GET /api/v1/about HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 403); /* port 80 */
    snprintf(text, sizeof text, "GET /api/v1/about HTTP/1.1\r\nHost: LocalHost:%u\r\nConnection: close\r\n\r\n", port);
    assert_int_equal(ask_raw(port, text), 200);
    assert_int_equal(ask(port, "POST", "/api/v1/jobs", "Origin: http://evil.example\r\n", "{}"), 403);
    assert_int_equal(ask(port, "POST", "/api/v1/jobs", "Origin: null\r\n", "{}"), 403);
    assert_int_equal(ask(port, "POST", "/api/v1/jobs", "Sec-Fetch-Site: cross-site\r\n", "{}"), 403);
    snprintf(text, sizeof text, "Origin: http://127.0.0.1:%u\r\nSec-Fetch-Site: same-origin\r\n", port);
    assert_int_equal(ask(port, "GET", "/api/v1/about", text, NULL), 200);
    assert_int_equal(ask(port, "GET", "/api/v2/about", NULL, NULL), 404);
    assert_int_equal(ask(port, "GET", "/api/v1/jobs/..%2f..%2fetc", NULL, NULL), 404);
    struct reply r = client_ask(port, "PUT", "/api/v1/jobs", NULL, NULL);
    assert_int_equal(r.status, 405);
    reply_header(&r, "Allow", value, sizeof value);
    assert_non_null(strstr(value, "POST"));
    assert_non_null(strstr(value, "HEAD"));
    reply_free(&r);
    assert_int_equal(ask(port, "OPTIONS", "/api/v1/jobs", NULL, NULL), 204);
    assert_int_equal(ask(port, "POST", "/api/v1/jobs", "Content-Type: text/plain\r\n", "{}"), 415);
    r = client_ask(port, "HEAD", "/api/v1/about", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.size, 0);
    reply_free(&r);
    r = client_ask(port, "GET", "/", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.headers, "default-src 'none'"));
    assert_non_null(strstr(r.headers, "nosniff"));
    assert_null(strstr(r.body, "@NONCE@"));
    reply_free(&r);
    /* Too large: announced, and not announced. */
    snprintf(text, sizeof text,
             "POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
             "Content-Length: 99999999\r\n\r\n",
             port);
    assert_int_equal(ask_raw(port, text), 413);
    int fd = client_connect(port, 10);
    snprintf(text, sizeof text, "POST /test/raw HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nTransfer-Encoding: chunked\r\n\r\n", port);
    client_send(fd, text, strlen(text));
    char *block = calloc(1, 65536);
    for (int i = 0; i < 17; i++) {
        client_send(fd, "10000\r\n", 7);
        client_send(fd, block, 65536);
        client_send(fd, "\r\n", 2);
    }
    client_send(fd, "0\r\n\r\n", 5);
    r = client_read(fd, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    close(fd);
    free(block);
    srv_end(&s);
}

static void test_bodies(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    size_t sizes[] = {0, 1, SRV_BODY_MEMORY, SRV_BODY_MEMORY + 1, 1 << 20}; /* in memory, in a file, at the limit */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *body = malloc(sizes[i] + 1);
        memset(body, 'a', sizes[i]);
        body[sizes[i]] = '\0';
        json_t *o;
        assert_int_equal(client_json(port, "POST", "/test/raw", body, &o), 200);
        assert_int_equal(json_integer_value(json_object_get(o, "size")), sizes[i]);
        assert_int_equal(json_integer_value(json_object_get(o, "sum")), 'a' * sizes[i]);
        json_decref(o);
        free(body);
    }
    unsigned long long held = 1;
    for (int i = 0; held && i < 500; i++) { /* a request is freed a little after its answer has come */
        struct timespec moment = {0, 10000000};
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&s->http.lock);
        held = s->http.body_bytes;
        pthread_mutex_unlock(&s->http.lock);
    }
    assert_int_equal(held, 0);
    srv_end(&s);
}

static void test_token(void **state)
{
    (void)state;
    static const char token[] = "correct-horse-battery";
    char path[128], value[256], cookie[300];
    snprintf(path, sizeof path, "%s/.token", folder);
    FILE *f = fopen(path, "w");
    fprintf(f, "%s\n", token);
    fclose(f);
    struct srv *s = start(4, path);
    unsigned port = port_of(s);
    assert_int_equal(ask(port, "GET", "/api/v1/about", NULL, NULL), 401);
    assert_int_equal(ask(port, "GET", "/api/v1/about", "Authorization: Bearer correct-horse-batterz\r\n", NULL), 401);
    assert_int_equal(ask(port, "GET", "/api/v1/about", "Authorization: Bearer correct-horse-batter\r\n", NULL), 401);
    assert_int_equal(ask(port, "GET", "/api/v1/about", "Authorization: Bearer correct-horse-battery\r\n", NULL), 200);
    /* any:correct-horse-battery */
    static const char right[] = "Authorization: Basic YW55OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==\r\n";
    static const char wrong[] = "Authorization: Basic YW55OmNvcnJlY3QtaG9yc2UtYmF0dGVyeg==\r\n";
    assert_int_equal(ask(port, "GET", "/api/v1/about", right, NULL), 200);
    assert_int_equal(ask(port, "GET", "/api/v1/about", wrong, NULL), 401);
    assert_int_equal(ask(port, "GET", "/api/v1/about?token=correct-horse-battery", NULL, NULL), 401);
    /* browsers ask for the page's password themselves; what the page asks for is the page's matter */
    static const char *const asked[][3] = {{"/", "Sec-Fetch-Mode: navigate\r\n", "Basic "},
                                           {"/api/v1/about", NULL, "Basic "},
                                           {"/api/v1/about", "Sec-Fetch-Mode: cors\r\n", "Bearer "}};
    struct reply r;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        r = client_ask(port, "GET", asked[i][0], asked[i][1], NULL);
        assert_int_equal(r.status, 401);
        reply_header(&r, "WWW-Authenticate", value, sizeof value);
        assert_int_equal(strncmp(value, asked[i][2], strlen(asked[i][2])), 0);
        reply_free(&r);
    }
    r = client_ask(port, "GET", "/?token=correct-horse-battery", NULL, NULL);
    assert_int_equal(r.status, 303);
    reply_header(&r, "Set-Cookie", value, sizeof value);
    assert_non_null(strstr(value, "HttpOnly"));
    assert_non_null(strstr(value, "SameSite=Strict"));
    snprintf(cookie, sizeof cookie, "Cookie: other=1; %.*s\r\n", (int)strcspn(value, ";"), value);
    reply_free(&r);
    assert_int_equal(ask(port, "GET", "/", cookie, NULL), 200);
    assert_int_equal(ask(port, "GET", "/", "Cookie: vkanim_token=\r\n", NULL), 401);
    srv_end(&s);
    vka_error err = {0};
    struct srv_config open_to_all = {.results = folder, .queue = 1, .upload_bytes = 1, .listen = "0.0.0.0"};
    assert_int_equal(srv_start_with(&s, &open_to_all, &engine, &err), VKA_E_USAGE);
    assert_null(s);
    assert_true(srv_token_is("abc", "abc", 3));
    assert_false(srv_token_is("abc", "abcd", 4));
    assert_false(srv_token_is("", "", 0));
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static void test_clean(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"cannot open '/home/a b/x.safetensors'", "cannot open 'x.safetensors'"},
        {"/home/a b/x.safetensors", "x.safetensors"},
        {"in /etc/passwd: no", "in passwd: no"},
        {"a red / blue ball", "a red / blue ball"},
        {"1/2 and and/or", "1/2 and and/or"},
        {"http://127.0.0.1:7860/", "http://127.0.0.1:7860/"},
        {"folder '/home/x/models/' is empty", "folder 'models' is empty"},
        {"x=/a/b,y=/c/d", "x=b,y=d"},
        {"'/a/b' and \"/c/d e\"", "'b' and \"d e\""},
        {"/", "/"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *clean = srv_clean_text(cases[i][0]);
        assert_string_equal(clean, cases[i][1]);
        free(clean);
    }
}

/* ---- beginnings and ends -------------------------------------------------------------------------------------- */

static void test_restart(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL);
    unsigned port = port_of(s);
    char id[SRV_ID];
    clear_fake();
    add(port, "hold", id);
    await_steps(port, id);
    struct events e;
    char name[32];
    assert_true(events_open(&e, port, "/api/v1/events", 10));
    json_decref(events_next(&e, name));
    double began = srv_now();
    srv_end(&s); /* stops it */
    assert_true(srv_now() - began < 2);
    json_t *o;
    bool told = false;
    while ((o = events_next(&e, name))) {
        told = told || (strcmp(name, "done") == 0 && strcmp(json_string_value(json_object_get(o, "state")), "stopped") == 0);
        json_decref(o);
    }
    assert_true(told); /* clients had the last word */
    events_close(&e);
    s = start(4, NULL); /* the library has kept it */
    port = port_of(s);
    o = get(port, id);
    assert_string_equal(json_string_value(json_object_get(o, "state")), "stopped");
    assert_string_equal(json_string_value(json_object_get(o, "prompt")), "an earlier one");
    assert_true(json_is_true(json_object_get(o, "resumable")));
    assert_int_equal(json_integer_value(json_object_get(o, "made")), 1769854830);
    json_decref(o);
    let_go(true);
    assert_int_equal(change(port, "POST", id, "/resume"), 200);
    assert_true(srv_queue_wait(s, id, 10));
    assert_state(port, id, "done");
    srv_end(&s);
    snprintf(fake.kept, sizeof fake.kept, "/somewhere/else/%s-1.webp", id); /* another program's: not ours to touch */
    s = start(4, NULL);
    assert_int_equal(change(port_of(s), "GET", id, ""), 404);
    srv_end(&s);
    clear_fake();
}

/* A port that is taken, a folder that cannot be made: said, and nothing left running. */
static void test_no_start(void **state)
{
    (void)state;
    struct srv *s = start(4, NULL), *second = NULL;
    vka_error err = {0};
    struct srv_config config = {.results = folder, .queue = 1, .upload_bytes = 1, .port = port_of(s)};
    assert_int_equal(srv_start_with(&second, &config, &engine, &err), VKA_E_OUTPUT);
    assert_null(second);
    assert_non_null(strstr(err.hint, "--port"));
    srv_end(&s);
    err = (vka_error){0};
    config = (struct srv_config){.results = "/proc/nowhere", .queue = 1, .upload_bytes = 1};
    assert_int_not_equal(srv_start_with(&s, &config, &engine, &err), VKA_OK);
    assert_null(s);
    config = (struct srv_config){.results = folder, .queue = 1, .upload_bytes = 1, .listen = "somewhere"};
    err = (vka_error){0};
    assert_int_equal(srv_start_with(&s, &config, &engine, &err), VKA_E_USAGE);
}

/* ---- many at once --------------------------------------------------------------------------------------------- */

struct crowd {
    struct srv *s;
    unsigned port;
    atomic_bool over;
};

static void *crowd_member(void *user)
{
    struct crowd *c = user;
    json_t *request = json_pack("{s:s}", "prompt", "quick");
    char id[SRV_ID], *data;
    while (!atomic_load(&c->over)) {
        if (srv_queue_add(c->s, request, id, NULL) == 202) {
            json_decref(srv_queue_get(c->s, id));
            srv_queue_cancel(c->s, id, NULL);
            if (srv_queue_preview(c->s, id, "png", &data, NULL))
                free(data);
            srv_queue_resume(c->s, id, NULL);
        }
        json_decref(srv_queue_list(c->s));
        srv_queue_forget(c->s, id, NULL);
        client_json(c->port, "GET", "/api/v1/jobs", NULL, NULL);
    }
    json_decref(request);
    return NULL;
}

static void test_crowd(void **state)
{
    (void)state;
    struct srv *s = start(8, NULL);
    struct crowd c = {.s = s, .port = port_of(s)};
    struct events e;
    pthread_t threads[6];
    struct timespec some = {1, 500000000};
    char name[32];
    clear_fake();
    assert_true(events_open(&e, c.port, "/api/v1/events", 10));
    for (size_t i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, crowd_member, &c);
    for (int i = 0; i < 20; i++)
        json_decref(events_next(&e, name));
    nanosleep(&some, NULL);
    atomic_store(&c.over, true);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    events_close(&e);
    srv_end(&s);
    clear_fake();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),     cmocka_unit_test(test_one_job),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_queue),     cmocka_unit_test(test_memory_of_jobs), cmocka_unit_test(test_events),
        cmocka_unit_test(test_previews),  cmocka_unit_test(test_later),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bodies),    cmocka_unit_test(test_token),          cmocka_unit_test(test_restart),
        cmocka_unit_test(test_no_start),  cmocka_unit_test(test_crowd),          cmocka_unit_test(test_early_cancel),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
