/* fault_shim.c - a library for LD_PRELOAD: makes a chosen allocation or a chosen file operation of the program fail.
 *
 * Allocations: malloc, calloc and realloc count when the call comes from one of the modules named in FAULT_MODULES (parts
 * of file names with ':' between, for example "libvkanim:/vkanim"); the driver's and everybody else's do not.
 *   FAULT_ALLOC         which of them returns NULL, counted from 0; -1: none
 *   FAULT_ALLOC_STAY    1: all later ones too
 * File operations: opening for writing, mkdir, write, pwrite, fwrite, fflush, fsync, fclose, ftruncate and rename count
 * when their file lies under FAULT_FOLDER (an absolute path; the program must be given absolute paths too).
 *   FAULT_FILE          which of them fails, counted from 0; -1: none
 *   FAULT_FILE_STAY     1: all later ones too, as on a full disk
 *   FAULT_ERRNO         the error as a number, 28 (ENOSPC) when not given; 0: a write that is short without being an error
 * Both: FAULT_SHIM_REPORT is a file that gets, at the end, "allocs N", "site INDEX" for the first allocation of every
 * distinct call stack and "last INDEX" for the last of each, and "files N"; and at once, when something failed, "fired"
 * with the call stack.
 * A limit of file sizes (RLIMIT_FSIZE, the soft one) is lifted where a driver sizes memory that only looks like a file: Mesa
 * since 24 does so, and ends with a bus error where it cannot.
 * FAULT_KEEP: 1: dlclose does nothing, so that leak checkers can still name the modules.
 *
 * A failing fwrite has written half of its bytes; a failing fclose or rename has closed, or not renamed, the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { RANGES = 32, SITES = 8192, FRAMES = 10 };

static struct {
    bool ready;
    struct {
        uintptr_t from, to;
    } range[RANGES];
    size_t ranges;
    long alloc, allocs, file, files;
    bool alloc_stay, file_stay, keep, sites_wanted;
    int error;
    const char *modules, *folder, *report;
    struct {
        uint64_t hash;
        long first, last;
    } site[SITES]; /* open addressing by hash; indices + 1, so that 0 is empty */
} state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool inside __attribute__((tls_model("initial-exec")));

/* The function of this name behind this library.  Filled once; a function pointer is not an object pointer in C. */
#define NEXT(result, name, params)                                                                                     \
    static result(*real) params;                                                                                       \
    if (!real) {                                                                                                       \
        void *found = dlsym(RTLD_NEXT, name);                                                                          \
        memcpy(&real, &found, sizeof real);                                                                            \
    }

static int add_module(struct dl_phdr_info *info, size_t size, void *user)
{
    const char *name = info->dlpi_name && info->dlpi_name[0] ? info->dlpi_name : user;
    (void)size;
    for (const char *part = state.modules; part && *part;) {
        size_t n = strcspn(part, ":");
        char word[256];
        snprintf(word, sizeof word, "%.*s", (int)n, part);
        if (n && strstr(name, word))
            for (int i = 0; i < info->dlpi_phnum && state.ranges < RANGES; i++)
                if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
                    uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                    state.range[state.ranges].from = from;
                    state.range[state.ranges++].to = from + info->dlpi_phdr[i].p_memsz;
                }
        part += n + (part[n] == ':');
    }
    return 0;
}

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    static char self[4096];
    void *frames[2];
    inside = true;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    state.modules = getenv("FAULT_MODULES");
    state.folder = getenv("FAULT_FOLDER");
    state.report = getenv("FAULT_SHIM_REPORT");
    state.alloc = number("FAULT_ALLOC", -1);
    state.alloc_stay = number("FAULT_ALLOC_STAY", 0) != 0;
    state.file = number("FAULT_FILE", -1);
    state.file_stay = number("FAULT_FILE_STAY", 0) != 0;
    state.error = (int)number("FAULT_ERRNO", ENOSPC);
    state.keep = number("FAULT_KEEP", 0) != 0;
    state.sites_wanted = state.report && state.alloc < 0 && state.modules;
    dl_iterate_phdr(add_module, self);
    (void)backtrace(frames, 2); /* loads the unwinder now */
    state.ready = true;
    inside = false;
}

static void put(int fd, const char *text, long value)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %ld\n", text, value);
    ssize_t done = n > 0 ? write(fd, line, (size_t)n) : 0;
    (void)done;
}

__attribute__((destructor)) static void finish(void)
{
    inside = true;
    int fd = state.report ? open(state.report, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (fd >= 0) {
        put(fd, "allocs", state.allocs);
        put(fd, "files", state.files);
        for (size_t i = 0; i < SITES; i++)
            if (state.site[i].first) {
                put(fd, "site", state.site[i].first - 1);
                put(fd, "last", state.site[i].last - 1);
            }
        close(fd);
    }
    inside = false;
}

static void fired(const char *what, long index)
{
    void *frames[32];
    int fd = state.report ? open(state.report, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (fd < 0)
        return;
    put(fd, what, index);
    put(fd, "fired", 1);
    backtrace_symbols_fd(frames, backtrace(frames, 32), fd);
    close(fd);
}

/* ---- allocations ------------------------------------------------------------------------------------------- */

static void note_site(long index)
{
    void *frames[FRAMES];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    int n = backtrace(frames, FRAMES);
    for (int i = 2; i < n; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * UINT64_C(0x100000001b3);
    size_t i = (size_t)(hash % SITES), tries = 0;
    while (tries < SITES && state.site[i].first && state.site[i].hash != hash)
        i = (i + 1) % SITES, tries++;
    if (tries == SITES)
        return;
    if (!state.site[i].first)
        state.site[i].first = index + 1;
    state.site[i].hash = hash;
    state.site[i].last = index + 1;
}

/* Whether the allocation that is asked for from `caller` fails. */
static bool alloc_fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    bool ours = false, fail = false;
    if (!state.ready || inside)
        return false;
    for (size_t i = 0; i < state.ranges && !ours; i++)
        ours = at >= state.range[i].from && at < state.range[i].to;
    if (!ours)
        return false;
    inside = true;
    pthread_mutex_lock(&lock);
    long k = state.allocs++;
    fail = state.alloc >= 0 && (k == state.alloc || (state.alloc_stay && k > state.alloc));
    if (fail && k == state.alloc)
        fired("alloc", k);
    if (state.sites_wanted)
        note_site(k);
    pthread_mutex_unlock(&lock);
    inside = false;
    if (fail)
        errno = ENOMEM;
    return fail;
}

/* dlsym may allocate before calloc is found. */
static char early[4096];
static size_t early_used;

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void *early_alloc(size_t bytes)
{
    size_t at = early_used;
    bytes = (bytes + 15) / 16 * 16;
    if (bytes > sizeof early - at)
        return NULL;
    early_used += bytes;
    return early + at;
}

EXPORT void *malloc(size_t bytes)
{
    static _Thread_local bool looking __attribute__((tls_model("initial-exec")));
    if (looking)
        return early_alloc(bytes);
    looking = true;
    NEXT(void *, "malloc", (size_t))
    looking = false;
    return alloc_fails(__builtin_return_address(0)) ? NULL : real(bytes);
}

EXPORT void *calloc(size_t count, size_t size)
{
    static _Thread_local bool looking __attribute__((tls_model("initial-exec")));
    if (looking)
        return early_alloc(count * size);
    looking = true;
    NEXT(void *, "calloc", (size_t, size_t))
    looking = false;
    return alloc_fails(__builtin_return_address(0)) ? NULL : real(count, size);
}

EXPORT void *realloc(void *old, size_t bytes)
{
    NEXT(void *, "realloc", (void *, size_t))
    if (is_early(old)) {
        void *p = malloc(bytes);
        size_t most = sizeof early - (size_t)((char *)old - early);
        return p ? memcpy(p, old, bytes < most ? bytes : most) : NULL;
    }
    return alloc_fails(__builtin_return_address(0)) ? NULL : real(old, bytes);
}

EXPORT void free(void *p)
{
    static _Thread_local bool looking __attribute__((tls_model("initial-exec")));
    if (looking) /* dlsym frees the text of an earlier error of its own: once, and it is small */
        return;
    looking = true;
    NEXT(void, "free", (void *))
    looking = false;
    if (!is_early(p))
        real(p);
}

EXPORT int dlclose(void *handle)
{
    NEXT(int, "dlclose", (void *))
    return state.keep ? 0 : real(handle);
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static bool under_folder(const char *path)
{
    return state.folder && path && strncmp(path, state.folder, strlen(state.folder)) == 0;
}

static bool fd_under_folder(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = state.folder ? readlink(link, path, sizeof path - 1) : -1;
    if (n <= 0)
        return false;
    path[n] = '\0';
    return under_folder(path);
}

/* Counts an operation on a file of the folder; true when it fails, with errno set. */
static bool file_fails(const char *what, bool counts)
{
    bool fail = false;
    if (!state.ready || inside || !counts)
        return false;
    inside = true;
    pthread_mutex_lock(&lock);
    long k = state.files++;
    fail = state.file >= 0 && (k == state.file || (state.file_stay && k > state.file));
    if (fail && k == state.file)
        fired(what, k);
    pthread_mutex_unlock(&lock);
    inside = false;
    if (fail)
        errno = state.error;
    return fail;
}

static bool for_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
}

#define OPEN(name)                                                                                                     \
    EXPORT int name(const char *path, int flags, ...)                                                                  \
    {                                                                                                                  \
        NEXT(int, #name, (const char *, int, ...))                                                                     \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                           \
            va_list ap;                                                                                                \
            va_start(ap, flags);                                                                                       \
            mode = va_arg(ap, mode_t);                                                                                 \
            va_end(ap);                                                                                                \
        }                                                                                                              \
        if (state.error && file_fails(#name, for_writing(flags) && under_folder(path)))                                \
            return -1;                                                                                                 \
        return real(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                                                                    \
    EXPORT FILE *name(const char *path, const char *mode)                                                              \
    {                                                                                                                  \
        NEXT(FILE *, #name, (const char *, const char *))                                                              \
        if (state.error && file_fails(#name, mode && (mode[0] != 'r' || strchr(mode, '+')) && under_folder(path)))     \
            return NULL;                                                                                               \
        return real(path, mode);                                                                                       \
    }
FOPEN(fopen)
FOPEN(fopen64)

EXPORT int mkdir(const char *path, mode_t mode)
{
    NEXT(int, "mkdir", (const char *, mode_t))
    struct stat st;
    if (state.error && file_fails("mkdir", under_folder(path) && stat(path, &st) != 0))
        return -1;
    return real(path, mode);
}

EXPORT int rename(const char *from, const char *to)
{
    NEXT(int, "rename", (const char *, const char *))
    if (state.error && file_fails("rename", under_folder(to)))
        return -1;
    return real(from, to);
}

EXPORT ssize_t write(int fd, const void *data, size_t bytes)
{
    NEXT(ssize_t, "write", (int, const void *, size_t))
    if (state.ready && !inside && file_fails("write", fd_under_folder(fd))) {
        if (state.error)
            return -1;
        bytes = bytes > 1 ? bytes / 2 : bytes;
    }
    return real(fd, data, bytes);
}

#define PWRITE(name, offset)                                                                                           \
    EXPORT ssize_t name(int fd, const void *data, size_t bytes, offset at)                                             \
    {                                                                                                                  \
        NEXT(ssize_t, #name, (int, const void *, size_t, offset))                                                      \
        if (file_fails(#name, fd_under_folder(fd))) {                                                                  \
            if (state.error)                                                                                           \
                return -1;                                                                                             \
            bytes = bytes > 1 ? bytes / 2 : bytes;                                                                     \
        }                                                                                                              \
        return real(fd, data, bytes, at);                                                                              \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

EXPORT size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    NEXT(size_t, "fwrite", (const void *, size_t, size_t, FILE *))
    if (state.error && file_fails("fwrite", fd_under_folder(fileno(file)))) {
        size_t done = real(data, size, count / 2, file);
        errno = state.error;
        return done;
    }
    return real(data, size, count, file);
}

/* fflush takes NULL, which means every stream. */
static bool stream_fails(const char *name, FILE *file)
{
    return file && state.error && file_fails(name, fd_under_folder(fileno(file)));
}

#define ON_STREAM(name)                                                                                                \
    EXPORT int name(FILE *file)                                                                                        \
    {                                                                                                                  \
        NEXT(int, #name, (FILE *))                                                                                     \
        bool fail = stream_fails(#name, file);                                                                         \
        int r = real(file);                                                                                            \
        if (!fail)                                                                                                     \
            return r;                                                                                                  \
        errno = state.error;                                                                                           \
        return EOF;                                                                                                    \
    }
ON_STREAM(fflush)
ON_STREAM(fclose)

#define ON_DESCRIPTOR(name)                                                                                            \
    EXPORT int name(int fd)                                                                                            \
    {                                                                                                                  \
        NEXT(int, #name, (int))                                                                                        \
        return state.error && file_fails(#name, fd_under_folder(fd)) ? -1 : real(fd);                                  \
    }
ON_DESCRIPTOR(fsync)
ON_DESCRIPTOR(fdatasync)

/* Whether the descriptor is memory; then the limit of file sizes is lifted, and *was is what it has to become again. */
static bool lift_limit(int fd, struct rlimit *was)
{
    static const char memory[] = "/memfd:";
    char link[64], path[sizeof memory];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path) < (ssize_t)sizeof memory - 1 || memcmp(path, memory, sizeof memory - 1) != 0 ||
        getrlimit(RLIMIT_FSIZE, was) != 0 || was->rlim_cur == was->rlim_max)
        return false;
    return setrlimit(RLIMIT_FSIZE, &(struct rlimit){was->rlim_max, was->rlim_max}) == 0;
}

#define TRUNCATE(name, offset)                                                                                         \
    EXPORT int name(int fd, offset size)                                                                               \
    {                                                                                                                  \
        NEXT(int, #name, (int, offset))                                                                                \
        if (state.error && file_fails(#name, fd_under_folder(fd)))                                                     \
            return -1;                                                                                                 \
        struct rlimit was;                                                                                             \
        bool lifted = lift_limit(fd, &was);                                                                            \
        int r = real(fd, size);                                                                                        \
        if (lifted)                                                                                                    \
            setrlimit(RLIMIT_FSIZE, &was);                                                                             \
        return r;                                                                                                      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)
