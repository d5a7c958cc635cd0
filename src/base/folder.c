/* folder.c - see folder.h.  POSIX, like file.c; locks are those of open file descriptions, which two users inside one
 * process do not share and which closing another descriptor of the file does not drop. */
#define _GNU_SOURCE
#include "base/folder.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static vka_status failed(vka_error *err, vka_status status, const char *what, const char *path, int e)
{
    vka_fail(err, status, "cannot %s '%s'", what, path ? path : "a temporary file");
    vka_error_why(err, "%s", strerror(e));
    return status;
}

/* ---- locks ----------------------------------------------------------------------------------------------- */

vka_status vka_lock_take(vka_lock *lock, const char *path, bool *taken, vka_error *err)
{
    *lock = (vka_lock){0};
    *taken = false;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(err, VKA_E_OUTPUT, "open", path, errno);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0) {
        *taken = true;
        lock->held = fd + 1;
        return VKA_OK;
    }
    int e = errno;
    close(fd);
    return e == EAGAIN || e == EACCES ? VKA_OK : failed(err, VKA_E_OUTPUT, "lock", path, e);
}

void vka_lock_drop(vka_lock *lock)
{
    if (lock->held)
        close(lock->held - 1);
    lock->held = 0;
}

bool vka_lock_is_held(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool held = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held;
}

/* ---- files at offsets -------------------------------------------------------------------------------------- */

vka_status vka_disk_open(vka_disk_file *f, const char *path, vka_error *err)
{
    *f = (vka_disk_file){0};
    if (!path) {
        const char *folder = getenv("TMPDIR");
        return vka_disk_open_in(f, folder && *folder ? folder : "/tmp", err);
    }
    f->path = vka_strdup(path);
    if (!f->path)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        vka_status st = failed(err, VKA_E_OUTPUT, "open", path, errno);
        vka_disk_close(f);
        return st;
    }
    f->open = fd + 1;
    return VKA_OK;
}

vka_status vka_disk_open_in(vka_disk_file *f, const char *folder, vka_error *err)
{
    *f = (vka_disk_file){0};
    char *name = vka_asprintf("%s/vkanim-XXXXXX", folder);
    if (!name)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(name);
    free(name);
    if (fd < 0)
        return failed(err, VKA_E_OUTPUT, "open", NULL, errno);
    f->open = fd + 1;
    return VKA_OK;
}

vka_status vka_disk_write(vka_disk_file *f, uint64_t offset, const void *data, size_t size, vka_error *err)
{
    const char *p = data;
    if (offset > INT64_MAX || size > (uint64_t)INT64_MAX - offset)
        return failed(err, VKA_E_OUTPUT, "write", f->path, EFBIG);
    while (size) {
        ssize_t n = pwrite(f->open - 1, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, VKA_E_OUTPUT, "write", f->path, n < 0 ? errno : ENOSPC);
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return VKA_OK;
}

vka_status vka_disk_read(vka_disk_file *f, uint64_t offset, void *data, size_t size, vka_error *err)
{
    char *p = data;
    if (offset > INT64_MAX || size > (uint64_t)INT64_MAX - offset)
        return failed(err, VKA_E_INPUT, "read", f->path, EFBIG);
    while (size) {
        ssize_t n = pread(f->open - 1, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(err, VKA_E_INPUT, "read", f->path, errno);
        if (n == 0)
            return vka_fail(err, VKA_E_INPUT, "'%s' ends too soon", f->path ? f->path : "a temporary file");
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return VKA_OK;
}

vka_status vka_disk_sync(vka_disk_file *f, vka_error *err)
{
    if (fdatasync(f->open - 1) != 0 && errno != EINVAL && errno != EROFS) /* not every file system can */
        return failed(err, VKA_E_OUTPUT, "write", f->path, errno);
    return VKA_OK;
}

void vka_disk_close(vka_disk_file *f)
{
    if (f->open)
        close(f->open - 1);
    free(f->path);
    *f = (vka_disk_file){0};
}

/* ---- folders ------------------------------------------------------------------------------------------------ */

vka_status vka_folder_make(const char *path, bool *fresh, vka_error *err)
{
    *fresh = mkdir(path, 0700) == 0;
    return *fresh || errno == EEXIST ? VKA_OK : failed(err, VKA_E_OUTPUT, "make the folder", path, errno);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **vka_folder_names(const char *path, size_t *count)
{
    bool whole;
    return vka_folder_list(path, count, &whole);
}

char **vka_folder_list(const char *path, size_t *count, bool *whole)
{
    char **names = NULL;
    size_t capacity = 0;
    errno = 0;
    DIR *dir = opendir(path);
    *whole = dir || errno != ENOMEM;
    *count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *name = vka_strdup(entry->d_name);
        char **more = name ? vka_grow(names, &capacity, *count + 1, sizeof *more) : NULL;
        if (!more) {
            free(name);
            *whole = false;
            break;
        }
        names = more;
        names[(*count)++] = name;
    }
    if (dir)
        closedir(dir);
    if (*count)
        qsort(names, *count, sizeof *names, by_name);
    return names;
}

int64_t vka_folder_age(const char *path)
{
    struct stat st;
    int64_t now = vka_clock_unix();
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return -1;
    return (int64_t)st.st_mtime < now ? now - (int64_t)st.st_mtime : 0;
}

void vka_folder_remove(const char *path)
{
    size_t count;
    char **names = vka_folder_names(path, &count);
    for (size_t i = 0; i < count; i++) {
        char *file = vka_path_join(path, names[i]);
        if (file)
            (void)unlink(file);
        free(file);
        free(names[i]);
    }
    free(names);
    (void)rmdir(path);
}

void vka_file_remove(const char *path)
{
    (void)unlink(path);
}

/* ---- paths and time ------------------------------------------------------------------------------------------- */

bool vka_file_link(const char *path, const char *also)
{
    return link(path, also) == 0;
}

char *vka_path_absolute(const char *path)
{
    if (*path == '/')
        return vka_strdup(path);
    char *here = getcwd(NULL, 0); /* fresh memory of the right size: POSIX leaves it open, glibc and musl do it */
    char *full = here ? vka_path_join(here, path) : NULL;
    free(here);
    return full;
}

int64_t vka_clock_unix(void)
{
    return (int64_t)time(NULL);
}

void vka_clock_text(int64_t unix_seconds, char out[32])
{
    time_t t = (time_t)unix_seconds;
    struct tm parts;
    if (!gmtime_r(&t, &parts) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &parts))
        snprintf(out, 32, "?");
}

char *vka_jobs_dir(void)
{
    const char *own = getenv("VKANIM_CACHE_DIR"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *dir = NULL;
    if (own && *own)
        dir = vka_path_join(own, "jobs");
    else if (xdg && *xdg == '/')
        dir = vka_path_join(xdg, "vkanim/jobs");
    else if (home && *home)
        dir = vka_path_join(home, ".local/state/vkanim/jobs");
    if (dir && *dir != '/') { /* a job folder's path is told to people, who may be elsewhere by then */
        char *full = vka_path_absolute(dir);
        free(dir);
        dir = full;
    }
    if (dir && vka_make_dirs(dir, NULL) != VKA_OK) {
        free(dir);
        dir = NULL;
    }
    return dir;
}
