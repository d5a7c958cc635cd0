/* system.c - signals, the terminal, files.  POSIX; the one file of this room that a port has to change. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal handler may see: the context to stop, and which signal came. */
static _Atomic(vka_context *) active;
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
    vka_context *context = atomic_load(&active);
    if (context)
        vka_cancel(context);
}

void cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = (int)SA_RESETHAND}; /* a second one ends the process */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void cli_signals_context(vka_context *context)
{
    atomic_store(&active, context);
}

static void both_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void cli_signals_hold(void)
{
    sigset_t set;
    both_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int cli_signals_wait(void)
{
    sigset_t set;
    int number = 0;
    both_signals(&set);
    if (caught) /* before they were held */
        return caught;
    while (sigwait(&set, &number) != 0) {
    }
    caught = number;
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return number;
}

int cli_signals_caught(void)
{
    return caught;
}

void cli_signals_ignore_pipe(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
}

bool cli_error_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

bool cli_can_ask(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool cli_ask(const char *question)
{
    char answer[64];
    fprintf(stderr, "vkanim: %s [y/N] ", question);
    fflush(stderr);
    if (!fgets(answer, sizeof answer, stdin)) {
        fputc('\n', stderr);
        return false;
    }
    return answer[0] == 'y' || answer[0] == 'Y';
}

bool cli_use_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return cli_error_is_terminal() && !(no && *no);
}

int cli_terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

bool cli_is_regular_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

vka_status cli_become(const char *name, char **argv, vka_error *err)
{
    /* Beside this program, in the folder that packages have for helpers, or in the build. */
    static const char *const places[] = {"", "../libexec/vkanim/", "../lib/vkanim/", "bench/"};
    char self[4096], path[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s%s", self, places[i], name);
        if (cli_is_regular_file(path)) {
            argv[0] = path;
            execv(path, argv);
        }
    }
    cli_fail(err, VKA_E_INPUT, "the program '%s' is not installed", name);
    cli_hint(err, "it comes with vkanim's package of benchmarks, or with a build from source");
    return VKA_E_INPUT;
}

vka_status cli_read_file(const char *path, char **data, size_t *size, vka_error *err)
{
    enum { CHUNK = 65536, MOST = 64 << 20 };
    bool input = strcmp(path, "-") == 0;
    struct stat st;
    FILE *file = input ? stdin : fopen(path, "rb");
    *data = NULL;
    *size = 0;
    if (!file || (!input && fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode))) {
        cli_fail(err, VKA_E_INPUT, "cannot open '%.300s'", path);
        snprintf(err->why, sizeof err->why, "%s", file ? "it is a folder" : strerror(errno));
        if (file)
            fclose(file);
        return VKA_E_INPUT;
    }
    vka_status status = VKA_OK;
    while (status == VKA_OK) {
        char *more = realloc(*data, *size + CHUNK + 1);
        if (!more || *size > MOST) {
            *data = more ? more : *data;
            status = more ? cli_fail(err, VKA_E_INPUT, "'%.300s' is too long for a job", path)
                          : cli_fail(err, VKA_E_MEMORY, "out of memory");
            break;
        }
        *data = more;
        size_t n = fread(*data + *size, 1, CHUNK, file);
        *size += n;
        if (!n)
            break;
    }
    if (status == VKA_OK && ferror(file))
        status = cli_fail(err, VKA_E_INPUT, "cannot read '%.300s'", path);
    if (!input)
        fclose(file);
    if (status == VKA_OK)
        (*data)[*size] = '\0';
    else {
        free(*data);
        *data = NULL;
    }
    return status;
}
