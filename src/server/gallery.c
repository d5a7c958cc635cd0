/* gallery.c - see gallery.h. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/gallery.h"

#include "server/names.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KNOWN = 5000 /* files whose facts are kept */ };

struct srv_gallery {
    char *path;
    int fd;
    pthread_mutex_t lock; /* of `known` */
    json_t *known;        /* name -> {"id", and the facts} */
};

struct srv_gallery *srv_gallery_create(const char *path, int fd)
{
    struct srv_gallery *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    pthread_mutex_init(&g->lock, NULL);
    g->fd = fd;
    g->path = strdup(path);
    g->known = json_object();
    if (g->path && g->known)
        return g;
    srv_gallery_destroy(g);
    return NULL;
}

void srv_gallery_destroy(struct srv_gallery *g)
{
    if (!g)
        return;
    json_decref(g->known);
    pthread_mutex_destroy(&g->lock);
    free(g->path);
    free(g);
}

/* ---- the folder ------------------------------------------------------------------------------------------------ */

struct entry {
    char *name;
    struct stat st;
};

static int newest_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->st.st_mtim.tv_sec != y->st.st_mtim.tv_sec)
        return x->st.st_mtim.tv_sec > y->st.st_mtim.tv_sec ? -1 : 1;
    if (x->st.st_mtim.tv_nsec != y->st.st_mtim.tv_nsec)
        return x->st.st_mtim.tv_nsec > y->st.st_mtim.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void free_entries(struct entry *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* Files that are clips, none that are links. */
static struct entry *read_folder(const struct srv_gallery *g, size_t *count, vka_error *err)
{
    int fd = openat(g->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct entry *list = calloc(1, sizeof *list);
    size_t room = 1;
    bool good = list != NULL;
    *count = 0;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        free(list);
        srv_fail(err, VKA_E_OUTPUT, "the results folder cannot be read");
        return NULL;
    }
    for (struct dirent *e; good && (e = readdir(dir)) != NULL;) {
        struct entry one = {.name = NULL};
        if (!srv_name_is_result(e->d_name) || fstatat(g->fd, e->d_name, &one.st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(one.st.st_mode))
            continue;
        if (*count == room) {
            struct entry *more = realloc(list, (room *= 2) * sizeof *more);
            good = more != NULL;
            list = more ? more : list;
        }
        good = good && (one.name = strdup(e->d_name)) != NULL;
        if (good)
            list[(*count)++] = one;
    }
    closedir(dir);
    if (good) {
        qsort(list, *count, sizeof *list, newest_first);
        return list;
    }
    free_entries(list, *count);
    srv_fail(err, VKA_E_MEMORY, "out of memory");
    return NULL;
}

/* ---- what a clip is ---------------------------------------------------------------------------------------------- */

/* {"id", "frames", "width", "height", "fps", "kind", "prompt"} of a file. */
static json_t *inspect(const struct srv_gallery *g, struct srv *s, const struct entry *e, const char *id)
{
    size_t size = strlen(g->path) + strlen(e->name) + 2;
    char *path = malloc(size), *report = NULL;
    json_t *about = NULL, *facts = json_object();
    if (path) {
        snprintf(path, size, "%s/%s", g->path, e->name);
        vka_context *cx = srv_context_take(s);
        if (cx && vka_inspect_file(cx, path, &report, NULL) == VKA_OK)
            about = json_loads(report, 0, NULL);
        srv_context_give(s, cx);
    }
    const char *kind = json_string_value(json_object_get(about, "kind"));
    bool known = kind && strcmp(kind, "animation") == 0;
    json_int_t frames = known ? json_integer_value(json_object_get(about, "frames")) : 0;
    double seconds = known ? json_number_value(json_object_get(about, "duration_s")) : 0;
    static const char *const sizes[] = {"frames", "width", "height"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        json_t *value = known ? json_object_get(about, sizes[i]) : NULL;
        json_object_set_new(facts, sizes[i], json_integer_value(value) > 0 ? json_incref(value) : json_null());
    }
    /* two digits are what files keep of it */
    double fps = frames > 1 && seconds > 0 ? (double)(long long)((double)frames / seconds * 100 + 0.5) / 100 : 0;
    json_object_set_new(facts, "fps", fps > 0 ? json_real(fps) : json_null());
    const struct srv_file_type *type = srv_type_of(e->name);
    json_object_set_new(facts, "kind", json_string(frames == 1 ? "image" : type->kind));
    json_object_set_new(facts, "id", json_string(id));
    json_t *prompt = json_object_get(json_object_get(json_object_get(about, "metadata"), "settings"), "prompt");
    json_object_set_new(facts, "prompt", known && json_is_string(prompt) ? json_incref(prompt) : json_null());
    json_decref(about);
    vka_free(report);
    free(path);
    return facts;
}

/* The same, from memory where the file is what it was.  New; NULL when memory is short. */
static json_t *facts_of(struct srv_gallery *g, struct srv *s, const struct entry *e)
{
    char id[80];
    snprintf(id, sizeof id, "%llx-%llx-%llx-%lx", (unsigned long long)e->st.st_ino, (unsigned long long)e->st.st_size,
             (unsigned long long)e->st.st_mtim.tv_sec, (unsigned long)e->st.st_mtim.tv_nsec);
    pthread_mutex_lock(&g->lock);
    json_t *known = json_object_get(g->known, e->name);
    const char *known_id = json_string_value(json_object_get(known, "id"));
    json_t *copy = known_id && strcmp(known_id, id) == 0 ? json_copy(known) : NULL;
    pthread_mutex_unlock(&g->lock);
    if (copy)
        return copy;
    json_t *facts = inspect(g, s, e, id);
    copy = facts ? json_copy(facts) : NULL;
    pthread_mutex_lock(&g->lock);
    if (json_object_size(g->known) >= KNOWN)
        json_object_clear(g->known);
    json_object_set_new(g->known, e->name, facts);
    pthread_mutex_unlock(&g->lock);
    return copy;
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */

char *srv_result_url(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~",
                      hex[] = "0123456789ABCDEF";
    char *url = malloc(3 * strlen(name) + 10), *to = url;
    if (!url)
        return NULL;
    to += sprintf(to, "/results/");
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        if (strchr(plain, *p))
            *to++ = (char)*p;
        else {
            *to++ = '%';
            *to++ = hex[*p >> 4];
            *to++ = hex[*p & 15];
        }
    }
    *to = '\0';
    return url;
}

static json_t *describe(struct srv_gallery *g, struct srv *s, const struct entry *e)
{
    json_t *o = facts_of(g, s, e);
    char *url = srv_result_url(e->name);
    bool good = o && url && json_object_set_new(o, "name", json_string(e->name)) == 0 &&
                json_object_set_new(o, "url", json_string(url)) == 0 &&
                json_object_set_new(o, "bytes", json_integer((json_int_t)e->st.st_size)) == 0 &&
                json_object_set_new(o, "made", json_integer((json_int_t)e->st.st_mtim.tv_sec)) == 0 &&
                json_object_set_new(o, "type", json_string(srv_type_of(e->name)->type)) == 0 &&
                json_object_del(o, "id") == 0;
    free(url);
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

json_t *srv_gallery_list(struct srv_gallery *g, struct srv *s, size_t offset, size_t limit, vka_error *err)
{
    size_t count;
    struct entry *entries = read_folder(g, &count, err);
    if (!entries)
        return NULL;
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = offset; good && i < count && i - offset < limit; i++)
        good = json_array_append_new(list, describe(g, s, &entries[i])) == 0;
    free_entries(entries, count);
    json_t *out = good ? json_pack("{s:O, s:I}", "results", list, "total", (json_int_t)count) : NULL;
    json_decref(list);
    if (!out)
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    return out;
}
