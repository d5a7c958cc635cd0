/* reply.c - what handlers say with one call. */
#include "server/inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that may have been cut within a character, or come from a file's name. */
static json_t *text_json(char *text)
{
    json_t *value = json_string(text);
    for (char *c = text; !value && *c; c++)
        if ((unsigned char)*c > 127)
            *c = '?';
    return value ? value : json_string(text);
}

json_t *srv_error_json(const vka_error *err)
{
    vka_error e = *err;
    srv_clean_error(&e);
    if (!e.what[0])
        snprintf(e.what, sizeof e.what, e.status == VKA_E_MEMORY ? "out of memory" : "it failed");
    return json_pack("{s:i, s:o, s:o, s:o}", "code", (int)e.status, "what", text_json(e.what), "why", text_json(e.why), "hint",
                     text_json(e.hint));
}

static void reply_text(struct srv_reply *reply, unsigned status, char *text)
{
    reply->status = status;
    reply->type = text ? "application/json" : NULL;
    reply->body = text;
    reply->size = text ? strlen(text) : 0;
}

void srv_reply_json(struct srv_reply *reply, unsigned status, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(object);
    reply_text(reply, text ? status : 500, text);
}

unsigned srv_http_status(vka_status status)
{
    switch (status) {
    case VKA_OK:
        return 200;
    case VKA_E_USAGE:
    case VKA_E_INPUT:
        return 400;
    case VKA_E_DEVICE:
    case VKA_E_LOST:
    case VKA_E_STOPPED:
        return 503;
    case VKA_E_MEMORY:
    case VKA_E_OUTPUT:
        return 507;
    case VKA_E_INTERNAL:
    case VKA_E_VERIFY:
    case VKA_E_REGRESSION:
        break;
    }
    return 500;
}

void srv_reply_error(struct srv_reply *reply, unsigned status, const vka_error *err)
{
    json_t *object = json_pack("{s:o}", "error", srv_error_json(err));
    srv_reply_json(reply, status ? status : srv_http_status(err->status), object);
}

void srv_reply_refuse(struct srv_reply *reply, unsigned status, const char *what, ...)
{
    vka_error err = {.status = status < 500 ? VKA_E_USAGE : VKA_E_INTERNAL};
    va_list list;
    va_start(list, what);
    vsnprintf(err.what, sizeof err.what, what, list);
    va_end(list);
    srv_reply_error(reply, status, &err);
}

void srv_reply_when(struct srv_reply *reply, const char *id, srv_finish *finish, void *user)
{
    struct srv_later *later = calloc(1, sizeof *later);
    if (!later) {
        free(user);
        srv_reply_refuse(reply, 500, "out of memory");
        return;
    }
    snprintf(later->id, sizeof later->id, "%s", id);
    later->finish = finish;
    later->user = user;
    reply->later = later;
}
