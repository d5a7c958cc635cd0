/* file.c - see file.h.  POSIX; the one place (with clock.c) that a port has to change. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

vka_status vka_map_open(vka_map *map, const char *path, vka_error *err)
{
    *map = (vka_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        vka_fail(err, VKA_E_INPUT, "cannot open '%s'", path);
        vka_error_why(err, "%s", strerror(e));
        return VKA_E_INPUT;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a regular file", path);
    }
    if (st.st_size == 0) {
        close(fd);
        map->data = (const uint8_t *)"";
        return VKA_OK;
    }
    if ((uintmax_t)st.st_size > SIZE_MAX) {
        close(fd);
        return vka_fail(err, VKA_E_INPUT, "'%s' is too large for this machine", path);
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int e = errno;
    close(fd);
    if (p == MAP_FAILED) {
        vka_fail(err, VKA_E_INPUT, "cannot map '%s'", path);
        vka_error_why(err, "%s", strerror(e));
        return VKA_E_INPUT;
    }
    map->data = p;
    map->size = (size_t)st.st_size;
    return VKA_OK;
}

void vka_map_close(vka_map *map)
{
    if (map->data && map->size)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (vka_map){0};
}

vka_status vka_read_file(const char *path, size_t limit, char **data, size_t *size, vka_error *err)
{
    vka_map m;
    *data = NULL;
    vka_status s = vka_map_open(&m, path, err);
    if (s != VKA_OK)
        return s;
    if (m.size > limit) {
        vka_fail(err, VKA_E_INPUT, "'%s' is larger than the %zu bytes such a file may have", path, limit);
        vka_map_close(&m);
        return VKA_E_INPUT;
    }
    char *copy = malloc(m.size + 1);
    if (!copy) {
        vka_map_close(&m);
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    }
    memcpy(copy, m.data, m.size);
    copy[m.size] = '\0';
    *data = copy;
    if (size)
        *size = m.size;
    vka_map_close(&m);
    return VKA_OK;
}

static vka_status out_error(vka_outfile *out, int e, vka_error *err)
{
    vka_fail(err, VKA_E_OUTPUT, "cannot write '%s'", out->path ? out->path : "?");
    vka_error_why(err, "%s", strerror(e));
    return VKA_E_OUTPUT;
}

vka_status vka_out_open(vka_outfile *out, const char *path, vka_error *err)
{
    *out = (vka_outfile){.path = vka_strdup(path), .part = vka_asprintf("%s.part", path)};
    if (!out->path || !out->part) {
        vka_out_abandon(out);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    out->file = vka_path_is_dir(path) ? (errno = EISDIR, NULL) : fopen(out->part, "wb");
    if (!out->file) {
        out_error(out, errno, err);
        vka_out_abandon(out);
        return VKA_E_OUTPUT;
    }
    return VKA_OK;
}

vka_status vka_out_write(vka_outfile *out, const void *data, size_t size, vka_error *err)
{
    if (size && fwrite(data, 1, size, out->file) != size)
        return out_error(out, errno, err);
    return VKA_OK;
}

static void sync_folder(const char *path)
{
    char *dir = vka_strdup(path);
    if (!dir)
        return;
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* best effort: not every file system can */
        close(fd);
    }
    free(dir);
}

vka_status vka_out_commit(vka_outfile *out, vka_error *err)
{
    int e = 0;
    if (fflush(out->file) != 0 || (fsync(fileno(out->file)) != 0 && errno != EINVAL && errno != EROFS))
        e = errno ? errno : EIO;
    if (fclose(out->file) != 0 && !e)
        e = errno;
    out->file = NULL;
    if (!e && rename(out->part, out->path) != 0)
        e = errno;
    if (e) {
        out_error(out, e, err);
        vka_out_abandon(out);
        return VKA_E_OUTPUT;
    }
    sync_folder(out->path);
    free(out->path);
    free(out->part);
    *out = (vka_outfile){0};
    return VKA_OK;
}

void vka_out_abandon(vka_outfile *out)
{
    if (out->file)
        fclose(out->file);
    if (out->part)
        unlink(out->part);
    free(out->path);
    free(out->part);
    *out = (vka_outfile){0};
}

vka_status vka_write_file(const char *path, const void *data, size_t size, vka_error *err)
{
    vka_outfile out;
    vka_status s = vka_out_open(&out, path, err);
    if (s != VKA_OK)
        return s;
    s = vka_out_write(&out, data, size, err);
    if (s != VKA_OK) {
        vka_out_abandon(&out);
        return s;
    }
    return vka_out_commit(&out, err);
}

bool vka_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool vka_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *vka_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return vka_asprintf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

const char *vka_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *vka_path_extension(const char *path)
{
    const char *base = vka_path_base(path), *dot = strrchr(base, '.');
    return dot && dot != base ? dot : base + strlen(base);
}

vka_status vka_make_dirs(const char *path, vka_error *err)
{
    char *p = vka_strdup(path);
    if (!p)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (char *s = p + 1;; s++) {
        if (*s && *s != '/')
            continue;
        char keep = *s;
        *s = '\0';
        if (mkdir(p, 0777) != 0 && errno != EEXIST) {
            int e = errno;
            vka_fail(err, VKA_E_OUTPUT, "cannot make the folder '%s'", p);
            vka_error_why(err, "%s", strerror(e));
            free(p);
            return VKA_E_OUTPUT;
        }
        *s = keep;
        if (!keep)
            break;
    }
    bool dir = vka_path_is_dir(p);
    free(p);
    return dir ? VKA_OK : vka_fail(err, VKA_E_OUTPUT, "'%s' is not a folder", path);
}

char *vka_cache_dir(void)
{
    const char *own = getenv("VKANIM_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *dir = NULL;
    if (own && *own)
        dir = vka_strdup(own);
    else if (xdg && *xdg == '/')
        dir = vka_path_join(xdg, "vkanim");
    else if (home && *home)
        dir = vka_path_join(home, ".cache/vkanim");
    if (dir && vka_make_dirs(dir, NULL) != VKA_OK) {
        free(dir);
        dir = NULL;
    }
    return dir;
}

char *vka_file_identity(const char *path, char id[96])
{
    struct stat st;
    char *full = realpath(path, NULL);
    if (!full || stat(full, &st) != 0) {
        free(full);
        return NULL;
    }
    snprintf(id, 96, "%lld-%lld.%09ld-%llu", (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
             (unsigned long long)st.st_ino);
    return full;
}

char *vka_program_dir(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return vka_strdup(path);
}
