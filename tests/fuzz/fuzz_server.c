/* fuzz_server.c - what requests to `vkanim serve` say, before anything is done.  The input's first byte chooses:
 *   c  a job object (JSON) through srv_confine_job: whatever comes out, no text of it has a path that was not made here
 *   t, i  a request of A1111's txt2img or img2img, translated, and the jobs that come out of it confined likewise
 *   o  settings of A1111's
 *   g  lines: method, Host, Origin, Sec-Fetch-Site, Authorization, Cookie, token of the query, through the guard
 *   r  "SIZE RANGE": a part of a file lies within it
 *   n  a name
 *   s  the first bytes of a file
 *   x  a text for the outside: no absolute path is left in it */
#include "server/a1111.h"
#include "server/confine.h"
#include "server/guard.h"
#include "server/names.h"
#include "server/range.h"
#include "server/server.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts that no request can say: paths that were made here are known by them. */
#define MODELS "/\x01models/"
#define RESULTS "/\x01results"

static char *joined(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = malloc(size);
    if (!text)
        abort();
    snprintf(text, size, "%s%s", a, b);
    return text;
}

/* Half of all names lead somewhere. */
static char *model(void *user, const char *kind, const char *name, vka_error *err)
{
    (void)user;
    if (!kind || !srv_name_is_model(name) || name[0] == '/' || strncmp(name, "../", 3) == 0 || strstr(name, "/../"))
        abort();
    if (strlen(name) % 2)
        return joined(MODELS, name);
    *err = (vka_error){.status = VKA_E_INPUT, .what = "there is none"};
    return NULL;
}

static char *file(void *user, enum srv_folder folder, const char *name, vka_error *err)
{
    (void)user;
    if (strchr(name, '/') || name[0] == '.' || strlen(name) >= SRV_NAME ||
        !(folder == SRV_UPLOAD ? srv_name_is_upload(name) : srv_name_is_result(name)))
        abort();
    if (name[strlen(name) - 1] % 2)
        return joined(RESULTS "/", name);
    *err = (vka_error){.status = VKA_E_INPUT, .what = "there is none"};
    return NULL;
}

/* A value of an option that names files begins with a path that was made here, and every further '/' in it lies behind one. */
static void check_text(const vka_option *o, const char *text)
{
    if (!(o->marks & VKA_MARK_FILES) && o->kind != VKA_OPTION_PATH)
        return;
    if (strcmp(o->name, "travel") == 0) {
        if (!strchr(text, '\n'))
            abort(); /* it could be a file's name */
        return;
    }
    if (strcmp(o->name, "motion") == 0 && strcmp(text, "none") == 0)
        return;
    if (strcmp(o->name, "lora-frames") == 0 ? strchr(text, '/') != NULL : !strchr(text, '\x01'))
        abort();
    const char *begin = strcmp(o->name, "keyframe") == 0 ? strchr(text, '=') : text - 1;
    if (!begin || (strcmp(o->name, "lora-frames") != 0 && (begin[1] != '/' || begin[2] != '\x01')))
        abort();
    for (const char *p = text; (p = strstr(p, "..")) != NULL; p++)
        if ((p == text || p[-1] == '/') && (p[2] == '/' || !p[2]))
            abort();
}

static void confine(const json_t *request)
{
    static const struct srv_confine_rules rules = {.model = model, .file = file, .results = RESULTS};
    vka_error err = {0};
    json_t *out = srv_confine_job(&rules, request, &err), *value;
    const char *key;
    if (!out && (!err.what[0] || (err.status != VKA_E_USAGE && err.status != VKA_E_INPUT)))
        abort();
    json_object_foreach(out, key, value)
    {
        size_t count;
        const vka_option *options = vka_options(&count), *o = NULL;
        for (size_t i = 0; i < count; i++)
            if (strcmp(options[i].name, key) == 0)
                o = &options[i];
        if (!o || !srv_option_allowed(o))
            abort();
        if (json_is_string(value))
            check_text(o, json_string_value(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            check_text(o, json_string_value(json_array_get(value, i)));
    }
    json_decref(out);
}

/* ---- A1111's requests ----------------------------------------------------------------------------------------------- */

static vka_status put(void *user, const char *suggested, const void *data, size_t size, char name[80], vka_error *err)
{
    const struct srv_file_type *type = srv_sniff(data, size);
    (void)user, (void)suggested;
    name[0] = '\0';
    if (!type)
        return srv_fail(err, VKA_E_INPUT, "it is nothing");
    snprintf(name, 80, "upload:upload-0123456789abcdef01234567%s", type->ending);
    return VKA_OK;
}

static bool find(void *user, const char *kind, const char *title, char name[300])
{
    (void)user, (void)kind;
    snprintf(name, 300, "%.200s", title);
    return strlen(title) % 2;
}

static void translate(const char *text, size_t size, enum srv_a1111_kind kind)
{
    static const struct srv_a1111_store store = {put, find, NULL};
    struct srv_a1111_work work = {0};
    struct srv_a1111_error err = {0};
    json_t *request = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *options = srv_a1111_options_make();
    if (json_is_object(request)) {
        if (srv_a1111_translate(&work, request, kind, options, "name", &store, &err))
            confine(work.job);
        else if (err.status < 400 || err.status > 599 || !err.text[0])
            abort();
        srv_a1111_work_free(&work);
    }
    json_decref(options);
    json_decref(request);
}

static void set_options(const char *text, size_t size)
{
    struct srv_a1111_error err = {0};
    json_t *given = json_loadb(text, size, 0, NULL), *options = srv_a1111_options_make(), *unknown = json_array();
    if (json_is_object(given) && !srv_a1111_options_set(options, given, "", unknown, &err) && !err.text[0])
        abort();
    json_decref(unknown);
    json_decref(options);
    json_decref(given);
}

/* ---- headers --------------------------------------------------------------------------------------------------------- */

static void guard(char *text)
{
    static const char token[] = "0123456789abcdef";
    const char *lines[7] = {NULL};
    for (size_t i = 0; i < 7 && text; i++) {
        char *end = strchr(text, '\n');
        if (end)
            *end++ = '\0';
        lines[i] = *text ? text : NULL;
        text = end;
    }
    struct srv_guard_input in = {.method = lines[0] ? lines[0] : "GET",
                                 .host = lines[1],
                                 .origin = lines[2],
                                 .fetch_site = lines[3],
                                 .authorization = lines[4],
                                 .cookie = lines[5],
                                 .query_token = lines[6]};
    struct srv_guard open = {.listen = "127.0.0.1", .loopback = true, .port = 7860},
                     closed = {.listen = "0.0.0.0", .any = true, .port = 7860};
    memcpy(closed.token, token, sizeof token);
    const char *why = NULL;
    unsigned status = srv_guard_check(&open, &in, &why);
    if ((status != 0 && status != 403) || !why || (status && !*why))
        abort();
    if (status == 0 && (!in.host || !strstr(in.host, "7860"))) /* our port, so nobody's name that leads here */
        abort();
    status = srv_guard_check(&closed, &in, &why);
    if (status != 0 && status != 401 && status != 403)
        abort();
    if (status == 0) { /* the token was somewhere, plain or in base64 ("dTowMTIz..." has it at another offset) */
        bool plain = (in.authorization && strstr(in.authorization, token)) || (in.cookie && strstr(in.cookie, token)) ||
                     (in.query_token && strcmp(in.query_token, token) == 0);
        if (!plain && !(in.authorization && strlen(in.authorization) > 6 + sizeof token * 4 / 3))
            abort();
    }
}

static void part(const char *text)
{
    char *end;
    uint64_t size = strtoull(text, &end, 10), from = 7, count = 7;
    unsigned status = srv_range(*end ? end + 1 : end, size, &from, &count);
    if (status != 200 && status != 206 && status != 416)
        abort();
    if (status == 206 && (count == 0 || from >= size || count > size - from))
        abort();
}

static void name(const char *text)
{
    if (srv_name_is_file(text) && (strchr(text, '/') || *text == '.' || !*text || strlen(text) >= SRV_NAME))
        abort();
    if ((srv_name_is_upload(text) || srv_name_is_output(text)) && !srv_name_is_file(text))
        abort();
    if (srv_name_is_model(text) && (*text == '/' || strstr(text, "/.") || strstr(text, "//") || *text == '.'))
        abort();
}

static void clean(const char *text)
{
    char *out = srv_clean_text(text);
    if (!out)
        abort();
    for (const char *p = out; (p = strchr(p, '/')) != NULL; p++)
        if ((p == out || p[-1] == '\'' || p[-1] == ' ') && strncmp(p, "/home/", 6) == 0)
            abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char *text = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'c': {
        json_t *request = json_loadb(text, size - 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (request)
            confine(request);
        json_decref(request);
        break;
    }
    case 't':
    case 'i':
        translate(text, size - 1, data[0] == 't' ? A1111_TXT2IMG : A1111_IMG2IMG);
        break;
    case 'o':
        set_options(text, size - 1);
        break;
    case 'g':
        guard(text);
        break;
    case 'r':
        part(text);
        break;
    case 'n':
        name(text);
        break;
    case 'x':
        clean(text);
        break;
    default:
        (void)srv_sniff(data + 1, size - 1);
    }
    free(text);
    return 0;
}
