/* fault_run.c - see fault_run.h. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "fault_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fault_settings fault_settings;

enum { MOST_JOBS = 16 };
static const char before[] = "the clip that was here before\n";
static const double signal_after = 1.5, stop_within = 2.0; /* seconds: to SIGINT, and from it to the end */

/* Outputs by option, and the files they make; the first of each is the only one without `formats`. */
static const char *const outputs[] = {"clip.webp", "clip.apng", "clip.y4m", "frame-%02d.png",
#ifdef VKANIM_FFMPEG
                                      "clip.gif", "clip.mp4",
#endif
};
static const char *const files[] = {"clip.webp", "clip.apng", "clip.y4m", "frame-00.png", "frame-01.png",
#ifdef VKANIM_FFMPEG
                                    "clip.gif", "clip.mp4",
#endif
};
enum { OUTPUTS = sizeof outputs / sizeof *outputs, FILES = sizeof files / sizeof *files };

/* Hash of what a run without a fault wrote, without and with `formats`. */
static uint64_t reference[2][FILES];

static size_t file_count(bool formats)
{
    return formats ? FILES : 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static char *join(char out[1024], const char *folder, const char *name)
{
    int n = snprintf(out, 1024, "%s/%s", folder, name);
    if (n < 0 || n >= 1024) {
        fprintf(stderr, "the folder's name is too long: %s\n", folder);
        exit(1);
    }
    return out;
}

/* FNV-1a of a file; 0 when it is not there. */
static uint64_t hash_file(const char *folder, const char *name)
{
    char path[1024], data[4096];
    FILE *file = fopen(join(path, folder, name), "rb");
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    if (!file)
        return 0;
    for (size_t n; (n = fread(data, 1, sizeof data, file)) > 0;)
        for (size_t i = 0; i < n; i++)
            h = (h ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
    fclose(file);
    return h;
}

static bool is_before(const char *folder, const char *name)
{
    char path[1024], data[sizeof before + 1];
    FILE *file = fopen(join(path, folder, name), "rb");
    size_t n = file ? fread(data, 1, sizeof data, file) : 0;
    if (file)
        fclose(file);
    return n == sizeof before - 1 && memcmp(data, before, n) == 0;
}

static size_t read_text(const char *folder, const char *name, char *text, size_t size)
{
    char path[1024];
    FILE *file = fopen(join(path, folder, name), "rb");
    size_t n = file ? fread(text, 1, size - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    return n;
}

void fault_remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[1024];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (lstat(join(name, path, e->d_name), &st) == 0 && S_ISDIR(st.st_mode))
            fault_remove_folder(name);
        else
            unlink(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static void make_folder(const struct fault *f, const char *folder)
{
    char path[1024], out[1024];
    mkdir(folder, 0777);
    mkdir(join(path, folder, "cache"), 0777);
    mkdir(join(out, folder, "out"), 0777);
    for (size_t i = 0; i < file_count(f->formats); i++) {
        FILE *file = fopen(join(path, out, files[i]), "wb");
        if (!file || fputs(before, file) < 0 || fclose(file) != 0) {
            fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
            exit(1);
        }
    }
}

size_t fault_report_values(const char *folder, const char *report, const char *name, long *values, size_t most)
{
    char path[1024], line[512];
    FILE *file = fopen(join(path, folder, report), "r");
    size_t n = 0, length = strlen(name);
    while (file && n < most && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            values[n++] = strtol(line + length + 1, NULL, 10);
    if (file)
        fclose(file);
    return n;
}

long fault_report_value(const char *folder, const char *report, const char *name)
{
    long value;
    return fault_report_values(folder, report, name, &value, 1) ? value : -1;
}

/* ---- the command ------------------------------------------------------------------------------------------- */

/* What the child's environment and command line are made of; with `text` it is written out instead of set. */
static void set(char *text, size_t size, const char *name, const char *format, ...)
{
    char value[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(value, sizeof value, format, ap);
    va_end(ap);
    if (!text) {
        setenv(name, value, 1);
        return;
    }
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s='%s' ", name, value);
}

static void set_environment(const struct fault *f, const char *folder, char *text, size_t size)
{
    const struct fault_settings *s = &fault_settings;
    bool shim = f->kind == FAULT_ALLOC || f->kind == FAULT_FILE || f->kind == FAULT_DISK || f->report || s->leaks;
    bool layer = f->kind != FAULT_ALLOC && f->kind != FAULT_FILE && f->kind != FAULT_DISK;
    set(text, size, "VKANIM_CACHE_DIR", "%s/cache", folder);
    set(text, size, "VKANIM_MODEL_PATH", "%s", s->models);
    set(text, size, "VK_ADD_LAYER_PATH", "%s", s->layers);
    set(text, size, "NODEVICE_SELECT", "1"); /* without Mesa's own layer, which calls what is counted here */
    if (layer || f->validate)
        set(text, size, "VK_INSTANCE_LAYERS", "%s%s%s", f->validate ? "VK_LAYER_KHRONOS_validation" : "",
            f->validate && layer ? ":" : "", layer ? "VK_LAYER_VKANIM_fault" : "");
    if (layer)
        set(text, size, "FAULT_REPORT", "%s/layer.txt", folder);
    if (f->kind == FAULT_VULKAN || f->kind == FAULT_INTERRUPT) {
        set(text, size, "FAULT_CALL", "%s", f->call);
        set(text, size, "FAULT_INDEX", "%ld", f->index);
        set(text, size, "FAULT_RESULT", "%d", f->result);
        set(text, size, "FAULT_STAY", "%d", f->stay);
    }
    if (shim) {
        set(text, size, "LD_PRELOAD", "%s/libvkanim_fault_shim.so", s->layers);
        set(text, size, "FAULT_SHIM_REPORT", "%s/shim.txt", folder);
    }
    if (f->modules)
        set(text, size, "FAULT_MODULES", "%s", f->modules);
    if (f->folder)
        set(text, size, "FAULT_FOLDER", "%s/%s", folder, f->folder);
    if (f->kind == FAULT_ALLOC) {
        set(text, size, "FAULT_ALLOC", "%ld", f->index);
        set(text, size, "FAULT_ALLOC_STAY", "%d", f->stay);
    }
    if (f->kind == FAULT_FILE) {
        set(text, size, "FAULT_FILE", "%ld", f->index);
        set(text, size, "FAULT_FILE_STAY", "%d", f->stay);
        set(text, size, "FAULT_ERRNO", "%d", f->error);
    }
    /* 99: not one of vkanim's own exit codes */
    set(text, size, "UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99");
    set(text, size, "ASAN_OPTIONS", "exitcode=99:abort_on_error=0:verify_asan_link_order=0:detect_leaks=%d", s->leaks);
    if (s->leaks) {
        set(text, size, "FAULT_KEEP", "1");
        set(text, size, "LSAN_OPTIONS", "exitcode=99:print_suppressions=0:suppressions=%s", s->suppressions);
    }
}

static size_t make_arguments(const struct fault *f, const char *folder, char *words[64], char store[64][1100])
{
    static const char *const fixed[] = {"-q",      "-p", "a red ball", "-s", "1",  "--steps", "1",
                                        "--frames", "2",  "-W",        "64", "-H", "64",      "--overwrite"};
    size_t n = 0;
    snprintf(store[n], sizeof store[n], "%s", fault_settings.binary);
    words[n] = store[n], n++;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        snprintf(store[n], sizeof store[n], "%s", fixed[i]);
        words[n] = store[n], n++;
    }
    for (size_t i = 0; i < (f->formats ? OUTPUTS : 1); i++) {
        words[n] = store[n];
        snprintf(store[n++], sizeof store[n], "-o");
        words[n] = store[n];
        snprintf(store[n++], sizeof store[n], "%s/out/%s", folder, outputs[i]);
    }
    words[n] = NULL;
    return n;
}

static void show_command(const struct fault *f, const char *folder)
{
    char text[8192] = "", *words[64], store[64][1100];
    set_environment(f, folder, text, sizeof text);
    size_t n = make_arguments(f, folder, words, store);
    fprintf(stderr, "    %s", text);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, strchr(words[i], ' ') ? "'%s' " : "%s ", words[i]);
    fputc('\n', stderr);
}

static void redirect(const char *folder, const char *name, int to)
{
    char path[1024];
    int fd = open(join(path, folder, name), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(98);
    close(fd);
}

/* With FAULT_DISK standard error is a pipe, whose reading end comes back in *heard: the limit is for files. */
static pid_t start(const struct fault *f, const char *folder, int *heard)
{
    static char store[64][1100];
    char *words[64];
    int ends[2] = {-1, -1};
    make_arguments(f, folder, words, store);
    if (f->kind == FAULT_DISK && pipe(ends) != 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    *heard = ends[0];
    if (pid != 0) {
        if (ends[1] >= 0)
            close(ends[1]);
        return pid;
    }
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    redirect(folder, "stdout.txt", 1);
    if (ends[1] >= 0)
        dup2(ends[1], 2);
    else
        redirect(folder, "stderr.txt", 2);
    set_environment(f, folder, NULL, 0);
    if (f->kind == FAULT_DISK) {
        struct rlimit most = {.rlim_cur = (rlim_t)f->index, .rlim_max = RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN); /* so that writing fails with EFBIG */
        setrlimit(RLIMIT_FSIZE, &most);
    }
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    execv(fault_settings.binary, words);
    _exit(98);
}

/* ---- verdicts ---------------------------------------------------------------------------------------------- */

static void against(struct fault_result *r, const char *format, ...)
{
    if (r->verdict[0]) /* the first is what matters */
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->verdict, sizeof r->verdict, format, ap);
    va_end(ap);
}

static void judge_message(const struct fault *f, struct fault_result *r)
{
    static const char *const marks[] = {"Sanitizer", "runtime error:", "Assertion", "VUID", "Validation", "outlive"};
    char out[2048];
    read_text(r->folder, "stderr.txt", r->message, sizeof r->message);
    size_t size = read_text(r->folder, "stdout.txt", out, sizeof out);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(r->message, marks[i]) || strstr(out, marks[i]))
            against(r, "it says '%s'", marks[i]);
    if (size && !f->validate) /* the layer tells there that it is */
        against(r, "standard output is not empty: %.60s", out);
    size_t lines = 0;
    for (const char *p = r->message; *p; p++)
        lines += *p == '\n';
    if (lines > 3)
        against(r, "%zu lines on standard error, not three at most", lines);
    if (r->code != 0 && (!lines || strncmp(r->message, "vkanim: ", 8) != 0))
        against(r, "no sentence on standard error");
    if (r->code != 0 && strlen(r->message) < 20)
        against(r, "no sentence on standard error, only %zu letters", strlen(r->message));
}

/* Every output is the one from before, untouched, or the whole new one; and nothing else lies there. */
static void judge_outputs(const struct fault *f, struct fault_result *r)
{
    char out[1024];
    join(out, r->folder, "out");
    for (size_t i = 0; i < file_count(f->formats); i++) {
        bool old = is_before(out, files[i]);
        uint64_t hash = old ? 0 : hash_file(out, files[i]);
        bool good = hash && (hash == reference[f->formats][i] || f->other);
        if (!old && !good && reference[f->formats][i])
            against(r, hash ? "%s is neither the old clip nor the new one" : "%s is gone", files[i]);
        if (r->code == 0 && old)
            against(r, "%s was not written, and all is said to be well", files[i]);
        if (r->code != 0 && good && (f->kind == FAULT_VULKAN || f->kind == FAULT_INTERRUPT))
            against(r, "%s was replaced by a run that failed", files[i]);
    }
    DIR *dir = opendir(out);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        bool known = e->d_name[0] == '.' && (!e->d_name[1] || strcmp(e->d_name, "..") == 0);
        for (size_t i = 0; i < file_count(f->formats); i++)
            known = known || strcmp(e->d_name, files[i]) == 0;
        if (!known)
            against(r, "out/%.60s was left behind", e->d_name);
    }
    if (dir)
        closedir(dir);
    /* the cache may keep what is whole */
    dir = opendir(join(out, r->folder, "cache"));
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strstr(e->d_name, ".part"))
            against(r, "cache/%.60s was left behind", e->d_name);
    if (dir)
        closedir(dir);
}

/* Jansson's lexer (2.14) does not look at whether a character found room in its buffer, and then looks for the closing quote of
 * a text beyond the end of it, copying as it goes: that ends in a segmentation fault or, where the copy is longer than its room,
 * in an abort of the C library's, which sees its heap spoilt.  Nothing of ours can stand between. */
static bool is_the_lexer_of_jansson(const struct fault *f, const struct fault_result *r)
{
    char path[1024], line[512];
    bool top = false, loads = false;
    if (f->kind != FAULT_ALLOC || !f->other || (r->code != -SIGSEGV && r->code != -SIGABRT))
        return false;
    FILE *file = fopen(join(path, r->folder, "shim.txt"), "r");
    for (int n = 0; file && n < 10 && fgets(line, sizeof line, file);) {
        if (!strchr(line, '(') || strstr(line, "vkanim_fault_shim"))
            continue;
        top = top || (n == 0 && strstr(line, "libjansson"));
        loads = loads || strstr(line, "(json_load");
        n++;
    }
    if (file)
        fclose(file);
    return top && loads;
}

static void judge(const struct fault *f, int status, bool late, struct fault_result *r)
{
    r->code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (is_the_lexer_of_jansson(f, r))
        return;
    bool shim = f->kind == FAULT_ALLOC || f->kind == FAULT_FILE;
    r->fired = f->kind == FAULT_NONE || f->kind == FAULT_DISK ||
               fault_report_value(r->folder, shim ? "shim.txt" : "layer.txt", "fired") == 1;
    if (late)
        against(r, "it hangs: not over after %.0f s", r->seconds);
    else if (r->code < 0)
        against(r, "signal %d ended it", -r->code);
    int bit = r->code == 130 ? STOPPED_BIT : r->code;
    if (bit < 0 || bit > 31 || !(f->codes & (1u << bit)))
        against(r, "exit code %d", r->code);
    if (!r->fired && !f->may_miss)
        against(r, "the fault was never met");
    if (!r->fired && r->code != 0)
        against(r, "the fault was not met, and the exit code is %d", r->code);
    if (f->kind == FAULT_INTERRUPT && r->after_signal > stop_within)
        against(r, "it took %.1f s to stop", r->after_signal);
    judge_message(f, r);
    judge_outputs(f, r);
}

void fault_describe(const struct fault *f, char *text, size_t size)
{
    const char *more = f->stay ? " and all later ones" : "", *layer = f->validate ? ", validated" : "";
    switch (f->kind) {
    case FAULT_VULKAN:
    case FAULT_INTERRUPT:
        snprintf(text, size, "%s %ld answers %d%s%s%s", f->call, f->index, f->result, more, layer,
                 f->kind == FAULT_INTERRUPT ? ", then SIGINT" : "");
        break;
    case FAULT_ALLOC:
        snprintf(text, size, "allocation %ld of %s fails%s%s", f->index, f->modules, more, layer);
        break;
    case FAULT_FILE:
        snprintf(text, size, "file operation %ld in %s fails with %d%s", f->index, f->folder, f->error, more);
        break;
    case FAULT_DISK:
        snprintf(text, size, "no file beyond %ld bytes", f->index);
        break;
    case FAULT_NONE:
        snprintf(text, size, "no fault%s", layer);
        break;
    }
}

/* ---- running ----------------------------------------------------------------------------------------------- */

struct running {
    pid_t pid;
    int heard; /* standard error, where it is a pipe; else -1 */
    size_t which;
    double began, signalled;
    bool late;
};

static void begin(const struct fault *f, struct fault_result *r, struct running *slot, size_t which)
{
    static unsigned serial;
    *r = (struct fault_result){0};
    snprintf(r->folder, sizeof r->folder, "%s/run%u", fault_settings.root, serial++);
    make_folder(f, r->folder);
    *slot = (struct running){.which = which, .began = now()};
    slot->pid = start(f, r->folder, &slot->heard);
    if (slot->pid < 0) {
        perror("fork");
        exit(1);
    }
}

/* What the pipe holds becomes the file that a run without one has. */
static void save_heard(const char *folder, int heard)
{
    char path[1024], text[4096];
    FILE *file = fopen(join(path, folder, "stderr.txt"), "wb");
    for (ssize_t n; (n = read(heard, text, sizeof text)) > 0;)
        if (file)
            fwrite(text, 1, (size_t)n, file);
    if (file)
        fclose(file);
    close(heard);
}

/* True when the run is over. */
static bool look(const struct fault *f, struct fault_result *r, struct running *slot)
{
    int status;
    pid_t pid = waitpid(slot->pid, &status, WNOHANG);
    double t = now();
    if (pid == slot->pid) {
        r->seconds = t - slot->began;
        if (slot->heard >= 0)
            save_heard(r->folder, slot->heard);
        r->after_signal = slot->signalled > 0 ? t - slot->signalled : 0;
        judge(f, status, slot->late, r);
        return true;
    }
    if (f->kind == FAULT_INTERRUPT && slot->signalled <= 0 && t - slot->began > signal_after &&
        fault_report_value(r->folder, "layer.txt", "fired") == 1) {
        slot->signalled = t;
        kill(slot->pid, SIGINT);
    }
    if (t - slot->began > fault_settings.limit_s) {
        slot->late = true;
        kill(slot->pid, SIGKILL);
    }
    return false;
}

/* The frames of what failed, as the library for LD_PRELOAD wrote them: MODULE(FUNCTION+OFFSET). */
static void show_stack(const char *folder)
{
    char path[1024], line[512];
    FILE *file = fopen(join(path, folder, "shim.txt"), "r");
    for (int n = 0; file && n < 10 && fgets(line, sizeof line, file);)
        if (strchr(line, '(') && !strstr(line, "vkanim_fault_shim"))
            n += fprintf(stderr, "      at %s", line) > 0;
    if (file)
        fclose(file);
}

static void tell(const struct fault *f, const struct fault_result *r)
{
    char text[256];
    fault_describe(f, text, sizeof text);
    if (r->verdict[0]) {
        fprintf(stderr, "FAILED: %s: %s (exit code %d, %.1f s)\n", text, r->verdict, r->code, r->seconds);
        fprintf(stderr, "%s%s", r->message, r->message[0] && r->message[strlen(r->message) - 1] != '\n' ? "\n" : "");
        show_stack(r->folder);
        show_command(f, r->folder);
    } else if (fault_settings.verbose) {
        fprintf(stderr, "%s: exit code %d, %.1f s%s\n%s", text, r->code, r->seconds, r->fired ? "" : ", not met", r->message);
    }
}

size_t fault_run_all(const struct fault *faults, size_t count, struct fault_result *results)
{
    struct running slots[MOST_JOBS] = {{0}};
    size_t jobs = (size_t)fault_settings.jobs, next = 0, over = 0, bad = 0;
    while (over < count) {
        for (size_t k = 0; k < jobs && k < MOST_JOBS; k++) {
            struct running *slot = &slots[k];
            if (!slot->pid && next < count) {
                begin(&faults[next], &results[next], slot, next);
                next++;
            }
            if (!slot->pid || !look(&faults[slot->which], &results[slot->which], slot))
                continue;
            struct fault_result *r = &results[slot->which];
            slot->pid = 0;
            over++;
            bad += r->verdict[0] != '\0';
            tell(&faults[slot->which], r);
            if (!fault_settings.keep || !r->verdict[0])
                fault_remove_folder(r->folder);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return bad;
}

void fault_run_one(const struct fault *fault, struct fault_result *result)
{
    struct running slot = {0};
    begin(fault, result, &slot, 0);
    while (!look(fault, result, &slot))
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    tell(fault, result);
}

bool fault_remember(const struct fault_result *r, bool formats)
{
    char out[1024];
    join(out, r->folder, "out");
    for (size_t i = 0; i < file_count(formats); i++) {
        reference[formats][i] = hash_file(out, files[i]);
        if (!reference[formats][i] || is_before(out, files[i]))
            return false;
    }
    return true;
}
