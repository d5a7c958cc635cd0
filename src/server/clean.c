/* clean.c - texts for the outside, without this machine's paths; errors, randomness, time.
 *
 * A path is taken for one when a '/' begins a word (nothing but a blank, a quote, a bracket or the like stands before it) and
 * something that is no blank follows.  Behind a quote it reaches to the same quote, otherwise to the next blank; the text's
 * own beginning counts as a quote that never closes when the whole text is one path. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static bool begins_path(const char *text, const char *p)
{
    return *p == '/' && p[1] && !strchr(" \t\n/", p[1]) && (p == text || strchr(" \t\n'\"`([{<=,;|", p[-1]));
}

/* The end of the path at p. */
static const char *path_end(const char *text, const char *p)
{
    char quote = p > text ? p[-1] : '\0';
    if (quote == '\'' || quote == '"' || quote == '`') {
        const char *end = strchr(p, quote);
        if (end)
            return end;
    } else if (p == text && !strpbrk(text, "\n'\"")) /* a text that is a path, blanks and all */
        return p + strlen(p);
    size_t n = strcspn(p, " \t\n'\"`)]}>,;|");
    if (n && p[n] && p[n - 1] == ':')
        n--;
    return p + n;
}

char *srv_clean_text(const char *text)
{
    char *out = malloc(strlen(text) + 1), *to = out;
    for (const char *p = text; out && *p;) {
        if (!begins_path(text, p)) {
            *to++ = *p++;
            continue;
        }
        const char *end = path_end(text, p), *last = p;
        while (end > p + 1 && end[-1] == '/') /* a folder's */
            end--;
        for (const char *c = p; c < end; c++)
            last = *c == '/' ? c + 1 : last;
        memcpy(to, last, (size_t)(end - last));
        to += end - last;
        p = end;
        p += *p == '/';
    }
    if (out)
        *to = '\0';
    return out;
}

static bool clean_in_place(char *text, size_t size)
{
    char *clean = srv_clean_text(text);
    if (clean)
        snprintf(text, size, "%s", clean);
    else
        text[0] = '\0';
    free(clean);
    return clean != NULL;
}

void srv_clean_error(vka_error *err)
{
    clean_in_place(err->what, sizeof err->what);
    clean_in_place(err->why, sizeof err->why);
    clean_in_place(err->hint, sizeof err->hint);
}

static bool clean_string(json_t *string)
{
    char *clean = srv_clean_text(json_string_value(string));
    bool done = clean && (strcmp(clean, json_string_value(string)) == 0 || json_string_set(string, clean) == 0);
    free(clean);
    return done;
}

bool srv_clean_json(json_t *value)
{
    size_t i;
    const char *key;
    json_t *member;
    bool done = true;
    if (json_is_string(value))
        return clean_string(value);
    json_array_foreach(value, i, member)
        done = srv_clean_json(member) && done;
    json_object_foreach(value, key, member)
        if (strcmp(key, "prompt") != 0 && strcmp(key, "negative") != 0 && strcmp(key, "travel") != 0)
            done = srv_clean_json(member) && done;
    return done;
}

vka_status srv_fail(vka_error *err, vka_status status, const char *what, ...)
{
    if (err && err->status == VKA_OK) {
        va_list list;
        va_start(list, what);
        vsnprintf(err->what, sizeof err->what, what, list);
        va_end(list);
        err->status = status;
    }
    return status;
}

void srv_log(struct srv *s, vka_level level, const char *format, ...)
{
    if (!s->log || level > s->level)
        return;
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    pthread_mutex_lock(&s->log_lock);
    s->log(s->user, level, text);
    pthread_mutex_unlock(&s->log_lock);
}

bool srv_random_hex(char *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[64];
    out[0] = '\0';
    if (size > sizeof bytes)
        return false;
    for (size_t got = 0; got < size;) {
        ssize_t n = getrandom(bytes + got, size - got, 0);
        if (n < 0 && errno != EINTR)
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
    return true;
}

double srv_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
