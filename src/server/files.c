/* files.c - see files.h: the folders, uploads and the routes of files.  The gallery's list is in gallery.c. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "server/files.h"

#include "server/gallery.h"
#include "server/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct srv_files {
    char *results, *uploads;
    int results_fd, uploads_fd;
    unsigned long long most; /* bytes of all uploads */
    pthread_mutex_t lock;    /* of what the uploads folder holds */
    struct srv_gallery *gallery;
};

static struct srv_files *files_of(struct srv *s)
{
    return srv_parts(s)->files;
}

const char *srv_results(struct srv *s)
{
    return files_of(s)->results;
}

static char *joined(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* ---- the folders ----------------------------------------------------------------------------------------------- */

/* mkdir -p; every part that is made is for this user alone. */
static bool make_folders(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            bool bad = mkdir(path, 0700) != 0 && errno != EEXIST;
            *p = '/';
            if (bad)
                return false;
        }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static char *users_folder(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/')
        return joined(data, "vkanim/results");
    return home && *home ? joined(home, ".local/share/vkanim/results") : NULL;
}

static vka_status cannot_open(vka_error *err, const char *path)
{
    int number = errno;
    srv_fail(err, VKA_E_OUTPUT, "cannot use '%.300s' as a folder", path);
    if (err && !err->why[0])
        snprintf(err->why, sizeof err->why, "%s", strerror(number));
    return VKA_E_OUTPUT;
}

/* Makes and opens a folder; *full is its path without links. */
static vka_status open_folder(const char *path, char **full, int *fd, vka_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return srv_fail(err, VKA_E_MEMORY, "out of memory");
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    bool good = n && make_folders(copy) && (*full = realpath(copy, NULL)) != NULL &&
                (*fd = open(*full, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 &&
                faccessat(*fd, ".", W_OK | X_OK, 0) == 0;
    vka_status status = good ? VKA_OK : cannot_open(err, path);
    free(copy);
    return status;
}

/* ---- uploads --------------------------------------------------------------------------------------------------- */

struct upload {
    char name[SRV_UPLOAD_NAME];
    unsigned long long bytes;
    time_t used;
};

static int oldest_first(const void *a, const void *b)
{
    const struct upload *x = a, *y = b;
    return x->used != y->used ? (x->used < y->used ? -1 : 1) : strcmp(x->name, y->name);
}

/* What lies in the uploads folder, the oldest first; at the server's start half-written files are removed.  False when
 * memory is short or the folder cannot be read. */
static bool list_uploads(struct srv_files *f, bool start, struct upload **out, size_t *count)
{
    int fd = openat(f->uploads_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t room = 0;
    bool good = dir != NULL;
    *out = NULL;
    *count = 0;
    if (!dir && fd >= 0)
        close(fd);
    for (struct dirent *e; good && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (start && strncmp(e->d_name, ".part-", 6) == 0)
            unlinkat(f->uploads_fd, e->d_name, 0);
        if (!srv_name_is_upload(e->d_name) || fstatat(f->uploads_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (*count == room) {
            struct upload *more = realloc(*out, (room = 2 * room + 16) * sizeof *more);
            good = more != NULL;
            if (!good)
                break;
            *out = more;
        }
        struct upload *u = &(*out)[(*count)++];
        *u = (struct upload){.bytes = st.st_size > 0 ? (unsigned long long)st.st_size : 0, .used = st.st_mtime};
        snprintf(u->name, sizeof u->name, "%.63s", e->d_name);
    }
    if (dir)
        closedir(dir);
    if (good && *count)
        qsort(*out, *count, sizeof **out, oldest_first);
    return good;
}

/* Removes what has not been used for `seconds`, the oldest first, until `size` more bytes have their room; SIZE_MAX: all
 * that is so old.  Whether they have it. */
static bool make_room(struct srv_files *f, bool start, size_t size, time_t seconds)
{
    struct upload *list;
    size_t count, left;
    unsigned long long all = 0;
    bool good = list_uploads(f, start, &list, &count);
    for (size_t i = 0; i < count; i++)
        all += list[i].bytes;
    left = count;
    for (size_t i = 0; i < count && (size == SIZE_MAX || all + size > f->most || left >= SRV_UPLOADS); i++) {
        if (list[i].used + seconds > time(NULL) || unlinkat(f->uploads_fd, list[i].name, 0) != 0)
            break;
        all -= list[i].bytes;
        left--;
    }
    free(list);
    return good && (size == SIZE_MAX || (all + size <= f->most && left < SRV_UPLOADS));
}

/* All of it under its name, or nothing. */
static vka_status write_file(int folder, const char *name, const char *data, size_t size, vka_error *err)
{
    char part[80], hex[25];
    if (!srv_random_hex(hex, 12))
        return srv_fail(err, VKA_E_OUTPUT, "the system gives no random numbers");
    snprintf(part, sizeof part, ".part-%s", hex);
    int fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), number = errno;
    bool good = fd >= 0;
    while (good && size) {
        ssize_t n = write(fd, data, size);
        good = n > 0 || (n < 0 && errno == EINTR);
        number = errno;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        number = errno;
    }
    if (good && renameat(folder, part, folder, name) == 0)
        return VKA_OK;
    number = good ? errno : number;
    unlinkat(folder, part, 0);
    srv_fail(err, VKA_E_OUTPUT, "the file cannot be kept");
    if (err && !err->why[0])
        snprintf(err->why, sizeof err->why, "%s", strerror(number));
    return VKA_E_OUTPUT;
}

vka_status srv_upload_store(struct srv *s, const char *suggested, const void *data, size_t size,
                            char name[SRV_UPLOAD_NAME], vka_error *err)
{
    struct srv_files *f = files_of(s);
    const struct srv_file_type *type = srv_sniff(data, size);
    char hex[25];
    name[0] = '\0';
    if (!type) {
        srv_fail(err, VKA_E_INPUT, "the file is no picture, animation, video or tensor file that is taken");
        if (err && !err->hint[0])
            snprintf(err->hint, sizeof err->hint,
                     "PNG, JPEG, WebP, GIF, BMP, TIFF, MP4, WebM, Matroska, QuickTime, AVI, y4m, safetensors");
        return VKA_E_INPUT;
    }
    if (!srv_random_hex(hex, 12))
        return srv_fail(err, VKA_E_OUTPUT, "the system gives no random numbers");
    snprintf(name, SRV_UPLOAD_NAME, "upload-%s%s", hex, type->ending);
    pthread_mutex_lock(&f->lock);
    vka_status status = make_room(f, false, size, SRV_UPLOAD_HELD)
                            ? write_file(f->uploads_fd, name, data, size, err)
                            : srv_fail(err, VKA_E_OUTPUT, "the uploads have no more room");
    pthread_mutex_unlock(&f->lock);
    if (status == VKA_OK)
        srv_log(s, VKA_LEVEL_INFO, "%s is the upload of '%s'", name,
                suggested && srv_text_is_clean(suggested, 100) ? suggested : "?");
    return status;
}

/* ---- settings of a file ------------------------------------------------------------------------------------------ */

/* The settings in a file, without what no request may say. */
static json_t *settings_at(const char *path, vka_error *err)
{
    vka_job *job = vka_job_create();
    char *text = NULL;
    if (job && vka_job_read_animation(job, path, err) == VKA_OK)
        text = vka_job_write(job);
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    if (!object)
        srv_fail(err, VKA_E_MEMORY, "out of memory"); /* kept out by an error that is there */
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; object && i < count; i++)
        if (!srv_option_allowed(&options[i]))
            json_object_del(object, options[i].name);
    vka_free(text);
    vka_job_destroy(&job);
    return object;
}

json_t *srv_settings(struct srv *s, const void *data, size_t size, vka_error *err)
{
    struct srv_files *f = files_of(s);
    const struct srv_file_type *type = srv_sniff(data, size);
    char name[96], hex[25];
    json_t *object = NULL;
    vka_error own = {0};
    if (!type && (!size || size > (1 << 20) || memchr(data, 0, size))) {
        srv_fail(err, VKA_E_INPUT, "the file is no picture, animation or text of settings");
        return NULL;
    }
    if (!srv_random_hex(hex, 12)) {
        srv_fail(err, VKA_E_OUTPUT, "the system gives no random numbers");
        return NULL;
    }
    snprintf(name, sizeof name, ".part-%s-seen%s", hex,
             type ? type->ending : ".txt"); /* gone at the next start in any case */
    char *path = joined(f->uploads, name);
    if (!path)
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    else if (write_file(f->uploads_fd, name, data, size, err) == VKA_OK) {
        object = settings_at(path, &own);
        unlinkat(f->uploads_fd, name, 0);
        if (!object && own.status == VKA_E_INPUT) { /* in other words: the client knows no file of that name */
            srv_fail(err, VKA_E_INPUT, "the file does not say how it was made");
            if (err && !err->why[0])
                snprintf(err->why, sizeof err->why, "%s", own.why);
        } else if (!object && err && err->status == VKA_OK)
            *err = own;
    }
    free(path);
    return object;
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------- */

static char *model_path(void *user, const char *kind, const char *name, vka_error *err)
{
    char *path = NULL, *copy = NULL;
    (void)user;
    if (vka_find(kind, name, &path, err) == VKA_OK && !(copy = strdup(path)))
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    vka_free(path);
    return copy;
}

static char *file_path(void *user, enum srv_folder folder, const char *name, vka_error *err)
{
    struct srv_files *f = user;
    bool upload = folder == SRV_UPLOAD;
    int fd = upload ? f->uploads_fd : f->results_fd;
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        srv_fail(err, VKA_E_INPUT, "there is no %s '%.100s'", upload ? "upload" : "result", name);
        return NULL;
    }
    if (upload) /* used now: it is not the next to go */
        utimensat(fd, name, NULL, AT_SYMLINK_NOFOLLOW);
    char *path = joined(upload ? f->uploads : f->results, name);
    if (!path)
        srv_fail(err, VKA_E_MEMORY, "out of memory");
    return path;
}

json_t *srv_confine(struct srv *s, const json_t *request, vka_error *err)
{
    struct srv_files *f = files_of(s);
    struct srv_confine_rules rules = {.model = model_path, .file = file_path, .user = f, .results = f->results};
    return srv_confine_job(&rules, request, err);
}

/* ---- routes ---------------------------------------------------------------------------------------------------------- */

static void not_there(struct srv_reply *reply)
{
    srv_reply_refuse(reply, 404, "there is no such file");
}

/* Sends a file below a folder's descriptor; ?download=1 makes browsers save it. */
static void send_file(int folder, const struct srv_request *request, struct srv_reply *reply)
{
    const struct srv_file_type *type = srv_type_of(request->rest);
    const char *download = srv_query(request, "download");
    struct stat st;
    int fd = openat(folder, request->rest, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (!type || fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        not_there(reply);
        return;
    }
    reply->status = 200;
    reply->type = type->type;
    reply->fd = fd;
    reply->size = (size_t)st.st_size;
    snprintf(reply->etag, sizeof reply->etag, "\"%llx-%llx-%llx\"", (unsigned long long)st.st_ino,
             (unsigned long long)st.st_size,
             (unsigned long long)st.st_mtim.tv_sec * 1000000000u + (unsigned long long)st.st_mtim.tv_nsec);
    if (download && *download && srv_name_is_output(request->rest) && strlen(request->rest) < sizeof reply->name)
        snprintf(reply->name, sizeof reply->name, "%s", request->rest);
}

static void remove_file(int folder, const char *name, struct srv_reply *reply)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        not_there(reply);
    else if (unlinkat(folder, name, 0) != 0)
        srv_reply_refuse(reply, 507, "the file cannot be removed");
    else
        reply->status = 204;
}

static void get_upload(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    if (srv_name_is_upload(request->rest))
        send_file(files_of(s)->uploads_fd, request, reply);
    else
        not_there(reply);
}

static void delete_upload(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    if (srv_name_is_upload(request->rest))
        remove_file(files_of(s)->uploads_fd, request->rest, reply);
    else
        not_there(reply);
}

static void post_upload(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    char name[SRV_UPLOAD_NAME];
    vka_error err = {0};
    if (srv_upload_store(s, srv_query(request, "name"), request->body, request->size, name, &err) != VKA_OK) {
        srv_reply_error(reply, err.status == VKA_E_INPUT ? 415 : 0, &err);
        return;
    }
    const struct srv_file_type *type = srv_sniff(request->body, request->size);
    srv_reply_json(reply, 201,
                   json_pack("{s:s, s:o, s:I, s:s, s:s}", "name", name, "url", json_sprintf("/uploads/%s", name),
                             "bytes", (json_int_t)request->size, "kind", type->kind, "type", type->type));
}

static void get_result(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    if (srv_name_is_result(request->rest))
        send_file(files_of(s)->results_fd, request, reply);
    else
        not_there(reply);
}

static void delete_result(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    if (srv_name_is_result(request->rest))
        remove_file(files_of(s)->results_fd, request->rest, reply);
    else
        not_there(reply);
}

static void get_result_job(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    struct srv_files *f = files_of(s);
    struct stat st;
    vka_error err = {0};
    if (!srv_name_is_result(request->rest) || fstatat(f->results_fd, request->rest, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
        not_there(reply);
        return;
    }
    char *path = joined(f->results, request->rest);
    json_t *job = path ? settings_at(path, &err) : NULL;
    free(path);
    if (job)
        srv_reply_json(reply, 200, job);
    else
        srv_reply_error(reply, 0, &err);
}

static void post_inspect(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    vka_error err = {0};
    json_t *job = request->size ? srv_settings(s, request->body, request->size, &err) : NULL;
    if (job)
        srv_reply_json(reply, 200, json_pack("{s:o}", "job", job));
    else if (!request->size)
        srv_reply_refuse(reply, 400, "there is no file in the request");
    else
        srv_reply_error(reply, 0, &err);
}

static void get_results(struct srv *s, const struct srv_request *request, struct srv_reply *reply)
{
    struct srv_files *f = files_of(s);
    uint64_t offset = srv_query_number(request, "offset", 0, 1000000000),
             limit = srv_query_number(request, "limit", 50, 1000000000);
    vka_error err = {0};
    json_t *list = srv_gallery_list(f->gallery, s, (size_t)offset,
                                    (size_t)(limit < SRV_RESULTS_PAGE ? limit : SRV_RESULTS_PAGE), &err);
    if (list)
        srv_reply_json(reply, 200, list);
    else
        srv_reply_error(reply, 0, &err);
}

const struct srv_route srv_files_routes[] = {
    {"POST", "/api/v1/uploads", post_upload, SRV_BODY_UPLOAD, false, true},
    {"DELETE", "/api/v1/uploads/*", delete_upload, 0, false, false},
    {"GET", "/uploads/*", get_upload, 0, false, false},
    {"GET", "/api/v1/results", get_results, 0, true, false},
    {"GET", "/api/v1/results/*/job", get_result_job, 0, true, false},
    {"DELETE", "/api/v1/results/*", delete_result, 0, false, false},
    {"GET", "/results/*", get_result, 0, false, false},
    {"POST", "/api/v1/inspect", post_inspect, SRV_BODY_UPLOAD, true, true},
    {0},
};

/* ---- beginning and end --------------------------------------------------------------------------------------------- */

vka_status srv_files_open(struct srv *s, const struct srv_config *config, vka_error *err)
{
    struct srv_files *f = calloc(1, sizeof *f);
    char *own = config->results ? NULL : users_folder(), *uploads = NULL;
    const char *path = config->results ? config->results : own;
    if (!f) {
        free(own);
        return srv_fail(err, VKA_E_MEMORY, "out of memory");
    }
    srv_parts(s)->files = f;
    f->results_fd = f->uploads_fd = -1;
    f->most = 4 * config->upload_bytes;
    pthread_mutex_init(&f->lock, NULL);
    vka_status status = path ? open_folder(path, &f->results, &f->results_fd, err)
                             : srv_fail(err, VKA_E_OUTPUT, "there is no home folder for results: --results FOLDER");
    if (status == VKA_OK &&
        (!(uploads = joined(f->results, ".uploads")) || !(f->gallery = srv_gallery_create(f->results, f->results_fd))))
        status = srv_fail(err, VKA_E_MEMORY, "out of memory");
    if (status == VKA_OK)
        status = open_folder(uploads, &f->uploads, &f->uploads_fd, err);
    if (status == VKA_OK)
        make_room(f, true, SIZE_MAX, SRV_UPLOAD_KEPT);
    else
        srv_files_close(s);
    free(uploads);
    free(own);
    return status;
}

void srv_files_close(struct srv *s)
{
    struct srv_files *f = files_of(s);
    if (!f)
        return;
    srv_parts(s)->files = NULL;
    srv_gallery_destroy(f->gallery);
    if (f->results_fd >= 0)
        close(f->results_fd);
    if (f->uploads_fd >= 0)
        close(f->uploads_fd);
    pthread_mutex_destroy(&f->lock);
    free(f->results);
    free(f->uploads);
    free(f);
}
