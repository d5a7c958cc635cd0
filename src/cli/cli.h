/* cli.h - the vkanim command.  It sees include/vkanim and nothing else of the project.
 *
 * Standard output carries data: the result of `devices`, `inspect` and `plan`, or with --json one JSON object.
 * Everything else goes to standard error.  Functions that can fail fill a vka_error, as the library's do. */
#ifndef VKANIM_CLI_H
#define VKANIM_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <vkanim/vkanim.h>

/* ---- commands (args.c) --------------------------------------------------------------------------------- */

enum cli_command {
    CLI_RENDER,
    CLI_PLAN,
    CLI_DEVICES,
    CLI_INSPECT,
    CLI_NET,
    CLI_RESUME,
    CLI_CONVERT,
    CLI_MODELS,
    CLI_SERVE,
    CLI_BENCH,
    CLI_HELP,
    CLI_COMMANDS
};

struct cli_command_info {
    const char *name;
    unsigned mask;         /* VKA_FOR_... of the options it takes */
    const char *arguments; /* behind the name in the usage line */
    const char *help;      /* one sentence */
};
extern const struct cli_command_info cli_commands[CLI_COMMANDS];

struct cli_value {
    const vka_option *option;
    const char *value; /* NULL for flags */
};

/* A command line, taken apart.  Strings belong to argv. */
struct cli_args {
    enum cli_command command;
    struct cli_value *values; /* options of the job, in order */
    size_t count;
    const char **words; /* arguments that are no options */
    size_t word_count;
    bool json, quiet, help, version, dry_run, hash, forget, bare; /* bare: nothing at all was given */
    unsigned verbose;
    const char *progress, *job, *from, *in, *out, *kind;                    /* NULL: not given */
    const char *listen, *port, *token_file, *results, *queue, *upload_limit; /* of serve */
};

/* VKA_E_USAGE with `args` filled as far as it went. */
vka_status cli_args_parse(struct cli_args *args, int argc, char **argv, vka_error *err);
void cli_args_free(struct cli_args *args);
/* A job of --from, --job and the options, in that order; a job file's json, quiet, verbose and progress are taken
 * over into `args` where the command line does not speak of them.  `text` holds the job file as long as args lives. */
vka_status cli_args_job(struct cli_args *args, vka_job **job, json_t **file, vka_error *err);

/* ---- messages (print.c) ---------------------------------------------------------------------------------- */

#if defined(__GNUC__)
#define CLI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CLI_PRINTF(fmt, args)
#endif
/* Fills the error unless it is set; returns `status`. */
vka_status cli_fail(vka_error *err, vka_status status, const char *what, ...) CLI_PRINTF(3, 4);
void cli_hint(vka_error *err, const char *hint, ...) CLI_PRINTF(2, 3);

/* At most three lines on standard error, or one NDJSON event. */
void cli_print_error(const vka_error *err, bool ndjson);
json_t *cli_error_json(const vka_error *err);
/* A report for people. */
void cli_print_devices(FILE *to, json_t *report);
void cli_print_inspect(FILE *to, json_t *report);
void cli_print_plan(FILE *to, json_t *report);         /* plan.c */
void cli_print_plan_verbose(FILE *to, json_t *report); /* with a step's operators */
void cli_print_render(FILE *to, json_t *report);
void cli_print_models(FILE *to, json_t *report);         /* models.c */
void cli_print_models_verbose(FILE *to, json_t *report); /* with whole hashes, training tags, titles */
void cli_print_jobs(FILE *to, json_t *report);
void cli_print_convert(FILE *to, json_t *report);
/* "1.5 GiB", in place. */
const char *cli_size_text(char out[32], double bytes);

/* ---- progress (progress.c) ------------------------------------------------------------------------------- */

enum cli_form { CLI_NONE, CLI_BAR, CLI_PLAIN, CLI_NDJSON };
struct cli_progress {
    enum cli_form form;
    bool quiet;
    char stage[32]; /* of the last report */
    unsigned clip, tenth;
    bool shown; /* a bar stands on the terminal's line */
    int drawn;  /* its columns */
};
/* `name` as --progress has it, NULL being "auto". */
void cli_progress_init(struct cli_progress *p, const char *name, bool quiet);
void cli_progress_show(struct cli_progress *p, const vka_progress *now);
void cli_progress_log(struct cli_progress *p, vka_level level, const char *text);
/* A render is done: the last event of NDJSON. */
void cli_progress_done(const struct cli_progress *p, json_t *report);
/* Clears a bar; to be called before anything else is written to the terminal. */
void cli_progress_end(struct cli_progress *p);

/* ---- the system (system.c) ------------------------------------------------------------------------------- */

/* Catches SIGINT and SIGTERM: the first asks `*context` to stop, a second of a kind ends the process at once. */
void cli_signals_catch(void);
void cli_signals_context(vka_context *context); /* NULL: none is running */
int cli_signals_caught(void);                   /* the signal's number, or 0 */
/* For a program that waits: the two signals come to cli_signals_wait alone.  Before any thread is started. */
void cli_signals_hold(void);
/* Waits for one of them and returns its number, as cli_signals_caught does from then on; the next one ends the process. */
int cli_signals_wait(void);
/* A reader of progress that goes away must not end a render. */
void cli_signals_ignore_pipe(void);

bool cli_error_is_terminal(void); /* and not a dumb one */
bool cli_can_ask(void);           /* somebody can read a question and answer it */
bool cli_ask(const char *question);
bool cli_use_colour(void);
int cli_terminal_columns(void);
bool cli_is_regular_file(const char *path);
/* Becomes the program `name` that was installed with this one, argv[0] being replaced; returns only when it cannot. */
vka_status cli_become(const char *name, char **argv, vka_error *err);
/* All of a file, or of standard input for "-"; free() it. */
vka_status cli_read_file(const char *path, char **data, size_t *size, vka_error *err);

/* ---- the server (serve.c) ---------------------------------------------------------------------------------- */

/* Serves until a signal comes, which is VKA_E_STOPPED; `job` holds the defaults of jobs. */
vka_status cli_serve(const struct cli_args *args, const vka_job *job, struct cli_progress *progress, vka_error *err);

/* ---- texts made from the option table (help.c, man.c, man_job.c, complete.c) ------------------------------- */

void cli_print_help(FILE *to, enum cli_command command);
#define CLI_MAN_DATE "2026-11-22" /* of the manual pages; a constant, so that two builds are alike */
void cli_print_man(FILE *to);     /* vkanim(1) */
void cli_print_man_job(FILE *to); /* vkanim-job(5) */
/* Text with roff's own characters made harmless: backslashes, hyphens, dots and quotes at the start of a line. */
void cli_put_roff(FILE *to, const char *text);
/* The heading of an option's group where another than *group begins, which becomes that; NULL before the first. */
void cli_put_group(FILE *to, const vka_option *o, const char **group);
/* What an option with a number takes: "1 to 16384". */
void cli_put_range(FILE *to, const vka_option *option);
/* "bash", "zsh" or "fish"; false for another shell. */
bool cli_print_completion(FILE *to, const char *shell);
/* The choices of an option that can be used, with `between` between them; false when it has none. */
bool cli_choices(const vka_option *option, const char *between, char *out, size_t size);

#endif
