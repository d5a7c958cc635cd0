/* main.c - the vkanim command: from a command line to a call of the library to an exit code. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim_lab.h>

struct run {
    struct cli_args args;
    struct cli_progress progress;
    vka_context *context;
    vka_job *job;
    bool ready; /* progress may be used */
};

/* A signal that came between two calls of the library is passed on here: a call forgets what was before it. */
static void pass_signal(const struct run *r)
{
    if (cli_signals_caught() && r->context)
        vka_cancel(r->context);
}

static void on_log(void *user, vka_level level, const char *text)
{
    struct run *r = user;
    pass_signal(r);
    cli_progress_log(&r->progress, level, text);
}

static void on_progress(void *user, const vka_progress *progress)
{
    struct run *r = user;
    pass_signal(r);
    cli_progress_show(&r->progress, progress);
}

static vka_status open_context(struct run *r, vka_error *err)
{
    cli_progress_init(&r->progress, r->args.progress, r->args.quiet);
    r->ready = true;
    vka_context_params params = {
        .log = on_log,
        .progress = on_progress,
        .user = r,
        .level = r->args.quiet          ? VKA_LEVEL_ERROR
                 : r->args.verbose >= 2 ? VKA_LEVEL_DEBUG
                 : r->args.verbose      ? VKA_LEVEL_INFO
                                        : VKA_LEVEL_WARN,
    };
    vka_status status = vka_context_create(&r->context, &params, err);
    if (status == VKA_OK)
        cli_signals_context(r->context);
    if (status == VKA_OK && cli_signals_caught())
        status = cli_fail(err, VKA_E_STOPPED, "stopped");
    return status;
}

/* ---- results ----------------------------------------------------------------------------------------------- */

static vka_status put_json(const char *text, vka_error *err)
{
    if (fputs(text, stdout) < 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0)
        return cli_fail(err, VKA_E_OUTPUT, "cannot write to standard output");
    return VKA_OK;
}

static vka_status put_object(json_t *object, vka_error *err)
{
    char *text = object ? json_dumps(object, JSON_REAL_PRECISION(15)) : NULL;
    vka_status status = text ? put_json(text, err) : cli_fail(err, VKA_E_MEMORY, "out of memory");
    free(text);
    return status;
}

/* A library's report: itself with --json, else through `print`. */
static vka_status put_report(const struct run *r, const char *report, void (*print)(FILE *, json_t *), FILE *to,
                             vka_error *err)
{
    if (r->args.json)
        return put_json(report, err);
    json_t *object = json_loads(report, 0, NULL);
    if (!object)
        return cli_fail(err, VKA_E_INTERNAL, "the library's report is not JSON");
    print(to, object);
    json_decref(object);
    if (to == stdout && (fflush(stdout) != 0 || ferror(stdout)))
        return cli_fail(err, VKA_E_OUTPUT, "cannot write to standard output");
    return VKA_OK;
}

/* ---- overwriting ------------------------------------------------------------------------------------------ */

/* Asks about one file; a no is the refusal that the library would give. */
static vka_status ask_about(const char *path, bool *yes, vka_error *err)
{
    char question[4200];
    if (!path || !cli_is_regular_file(path))
        return VKA_OK;
    snprintf(question, sizeof question, "'%.4000s' exists. Replace it?", path);
    if (!cli_ask(question)) {
        cli_fail(err, VKA_E_OUTPUT, "'%.300s' exists", path);
        cli_hint(err, "--overwrite, or another name");
        return VKA_E_OUTPUT;
    }
    *yes = true;
    return VKA_OK;
}

/* On a terminal, files that exist are asked about before the render starts; the library refuses to replace any unless
 * it is told to.  Patterns, folders and several clips are left to the library. */
static vka_status ask_to_overwrite(struct run *r, vka_error *err)
{
    char *text = vka_job_write(r->job);
    json_t *job = text ? json_loads(text, 0, NULL) : NULL;
    vka_free(text);
    if (!job)
        return cli_fail(err, VKA_E_MEMORY, "out of memory");
    vka_status status = VKA_OK;
    bool yes = false;
    if (!json_is_true(json_object_get(job, "overwrite")) && !json_is_true(json_object_get(job, "no-overwrite")) &&
        json_integer_value(json_object_get(job, "count")) <= 1 && cli_can_ask()) {
        json_t *outputs = json_object_get(job, "output"), *seed = json_object_get(job, "seed");
        for (size_t i = 0; status == VKA_OK && i < json_array_size(outputs); i++)
            status = ask_about(json_string_value(json_array_get(outputs, i)), &yes, err);
        if (!json_array_size(outputs) && json_is_integer(seed) && json_integer_value(seed) >= 0) {
            char path[64];
            snprintf(path, sizeof path, "vkanim-%" JSON_INTEGER_FORMAT ".webp", json_integer_value(seed));
            status = ask_about(path, &yes, err);
        }
    }
    json_decref(job);
    return status == VKA_OK && yes ? vka_job_set(r->job, "overwrite", "true", err) : status;
}

/* ---- commands ----------------------------------------------------------------------------------------------- */

static vka_status make_job(struct run *r, vka_error *err)
{
    json_t *file;
    vka_status status = cli_args_job(&r->args, &r->job, &file, err);
    json_decref(file);
    return status;
}

static vka_status run_plan(struct run *r, vka_error *err)
{
    char *report = NULL;
    vka_status status = vka_plan(r->context, r->job, &report, err);
    cli_progress_end(&r->progress);
    if (report) { /* a plan that does not fit is a result too */
        vka_status put = put_report(r, report, r->args.verbose ? cli_print_plan_verbose : cli_print_plan, stdout, err);
        status = status == VKA_OK ? put : status;
    }
    vka_free(report);
    return status;
}

/* What a finished render says: its object with --json, its files and figures on standard error. */
static vka_status put_render(struct run *r, const char *report, vka_error *err)
{
    cli_progress_end(&r->progress);
    vka_status status = r->args.json ? put_json(report, err) : VKA_OK;
    if (status != VKA_OK)
        return status;
    json_t *object = json_loads(report, 0, NULL);
    if (object && !r->args.quiet && r->progress.form != CLI_NDJSON)
        cli_print_render(stderr, object);
    cli_progress_done(&r->progress, object);
    json_decref(object);
    return VKA_OK;
}

static vka_status run_render(struct run *r, vka_error *err)
{
    char *report = NULL;
    cli_signals_ignore_pipe();
    vka_status status = ask_to_overwrite(r, err);
    if (status == VKA_OK)
        status = vka_render(r->context, r->job, &report, err);
    cli_progress_end(&r->progress);
    if (status == VKA_OK)
        status = put_render(r, report, err);
    vka_free(report);
    return status;
}

static vka_status run_resume(struct run *r, vka_error *err)
{
    char *report = NULL;
    vka_status status;
    cli_signals_ignore_pipe();
    if (r->args.forget && !r->args.word_count) {
        status = cli_fail(err, VKA_E_USAGE, "--forget wants a job");
        cli_hint(err, "'vkanim resume' lists them");
    } else if (r->args.forget) {
        status = vka_forget(r->context, r->args.words[0], err);
        if (status == VKA_OK && r->args.json)
            status = put_object(json_pack("{s:i, s:s, s:s}", "schema", 1, "command", "resume", "forgotten", r->args.words[0]), err);
    } else if (r->args.word_count) {
        status = vka_resume(r->context, r->args.words[0], r->job, &report, err);
        if (status == VKA_OK)
            status = put_render(r, report, err);
        cli_progress_end(&r->progress);
    } else {
        status = vka_jobs(r->context, &report, err);
        if (status == VKA_OK)
            status = put_report(r, report, cli_print_jobs, stdout, err);
    }
    vka_free(report);
    return status;
}

static vka_status run_net(struct run *r, vka_error *err)
{
    char *report = NULL;
    cli_signals_ignore_pipe();
    vka_status status = vka_net(r->context, r->job, r->args.words[0], r->args.in, r->args.out, &report, err);
    cli_progress_end(&r->progress);
    if (status == VKA_OK && r->args.json)
        status = put_json(report ? report : "{}", err);
    vka_free(report);
    return status;
}

/* Whether --overwrite was said, and no --no-overwrite behind it. */
static bool may_overwrite(const struct cli_args *a, bool *said)
{
    bool yes = false;
    *said = false;
    for (size_t i = 0; i < a->count; i++) {
        bool over = strcmp(a->values[i].option->name, "overwrite") == 0, no = strcmp(a->values[i].option->name, "no-overwrite") == 0;
        yes = over || (yes && !no);
        *said = *said || over || no;
    }
    return yes;
}

static vka_status run_convert(struct run *r, vka_error *err)
{
    char *report = NULL;
    const char *in = r->args.words[0], *out = r->args.words[1];
    bool said, yes = may_overwrite(&r->args, &said);
    vka_status status = !said && cli_can_ask() ? ask_about(out, &yes, err) : VKA_OK;
    cli_signals_ignore_pipe();
    if (status == VKA_OK)
        status = vka_convert(r->context, in, out, yes, &report, err);
    cli_progress_end(&r->progress);
    if (status == VKA_OK && (r->args.json || (!r->args.quiet && r->progress.form != CLI_NDJSON)))
        status = put_report(r, report, cli_print_convert, stderr, err);
    vka_free(report);
    return status;
}

static vka_status run_devices(struct run *r, vka_error *err)
{
    char *report = NULL;
    vka_status status = vka_devices(r->context, &report, err);
    if (status == VKA_OK)
        status = put_report(r, report, cli_print_devices, stdout, err);
    vka_free(report);
    return status;
}

static vka_status run_models(struct run *r, vka_error *err)
{
    char *report = NULL;
    vka_models_query query = {.names = r->args.words, .name_count = r->args.word_count, .kind = r->args.kind, .hash = r->args.hash};
    cli_signals_ignore_pipe();
    vka_status status = vka_models(r->context, &query, &report, err);
    cli_progress_end(&r->progress);
    if (status == VKA_OK)
        status = put_report(r, report, r->args.verbose ? cli_print_models_verbose : cli_print_models, stdout, err);
    vka_free(report);
    return status;
}

/* One file: its object into `files`, or its text to standard output. */
static vka_status inspect_one(struct run *r, const char *path, json_t *files, vka_error *err)
{
    char *report = NULL;
    vka_status status = vka_inspect_file(r->context, path, &report, err);
    json_t *object = report ? json_loads(report, 0, NULL) : NULL;
    vka_free(report);
    if (status == VKA_OK && !object)
        status = cli_fail(err, VKA_E_INTERNAL, "the library's report is not JSON");
    if (status != VKA_OK) {
        json_decref(object);
        object = json_pack("{s:s,s:o}", "path", path, "error", cli_error_json(err));
    } else if (!r->args.json)
        cli_print_inspect(stdout, object);
    if (object) {
        json_object_del(object, "schema");
        json_object_del(object, "command");
        json_array_append_new(files, object);
    }
    return status;
}

/* The files that can be read are printed, whatever the others are; the first failure decides the exit code. */
static vka_status run_inspect(struct run *r, vka_error *err)
{
    json_t *files = json_array();
    vka_status status = VKA_OK;
    for (size_t i = 0; i < r->args.word_count && status != VKA_E_STOPPED; i++) {
        vka_error one = {0};
        vka_status this_one = inspect_one(r, r->args.words[i], files, &one);
        if (this_one != VKA_OK && i + 1 < r->args.word_count)
            cli_print_error(&one, false);
        else if (this_one != VKA_OK)
            *err = one;
        status = status == VKA_OK ? this_one : status;
    }
    vka_error out = {0};
    if (r->args.json && status != VKA_E_STOPPED) {
        json_t *object = json_pack("{s:i,s:s}", "schema", 1, "command", "inspect");
        if (object && json_array_size(files) == 1) /* one file: its members stand at the top too */
            json_object_update(object, json_array_get(files, 0));
        if (object)
            json_object_set(object, "files", files);
        put_object(object, &out);
        json_decref(object);
    } else if (fflush(stdout) != 0)
        cli_fail(&out, VKA_E_OUTPUT, "cannot write to standard output");
    json_decref(files);
    if (status == VKA_OK && out.status != VKA_OK) {
        *err = out;
        status = out.status;
    }
    return status;
}

static vka_status run_serve(struct run *r, vka_error *err)
{
    vka_status status = make_job(r, err);
    cli_progress_init(&r->progress, r->args.progress, r->args.quiet);
    r->ready = true;
    cli_signals_ignore_pipe();
    return status == VKA_OK ? cli_serve(&r->args, r->job, &r->progress, err) : status;
}

static vka_status run_command(struct run *r, vka_error *err)
{
    enum cli_command c = r->args.command;
    vka_status status = VKA_OK;
    if (c == CLI_SERVE) /* which has contexts of its own */
        return run_serve(r, err);
    if (c == CLI_RENDER || c == CLI_PLAN || c == CLI_NET || c == CLI_RESUME)
        status = make_job(r, err);
    if (status == VKA_OK)
        status = open_context(r, err);
    if (status != VKA_OK)
        return status;
    switch (c) {
    case CLI_RENDER:
        return r->args.dry_run ? run_plan(r, err) : run_render(r, err);
    case CLI_PLAN:
        return run_plan(r, err);
    case CLI_NET:
        return run_net(r, err);
    case CLI_DEVICES:
        return run_devices(r, err);
    case CLI_INSPECT:
        return run_inspect(r, err);
    case CLI_RESUME:
        return run_resume(r, err);
    case CLI_MODELS:
        return run_models(r, err);
    case CLI_CONVERT:
        return run_convert(r, err);
    case CLI_SERVE:
    case CLI_BENCH:
    case CLI_HELP:
    case CLI_COMMANDS:
        break;
    }
    return VKA_OK;
}

/* Whether standard output has its object already when a command failed. */
static bool has_printed(const struct run *r, vka_status status)
{
    enum cli_command c = r->args.command;
    bool plan = c == CLI_PLAN || (c == CLI_RENDER && r->args.dry_run);
    if (c == CLI_SERVE && status == VKA_E_STOPPED)
        return true;
    return r->context && ((c == CLI_INSPECT && status != VKA_E_STOPPED) || (plan && status == VKA_E_MEMORY));
}

static int exit_code(vka_status status)
{
    if (status == VKA_E_STOPPED)
        return 128 + (cli_signals_caught() ? cli_signals_caught() : 2);
    return (int)status;
}

static void report_failure(struct run *r, vka_status status, vka_error *err)
{
    if (status == VKA_E_STOPPED && !err->what[0])
        snprintf(err->what, sizeof err->what, "stopped");
    err->status = status;
    bool ndjson = r->ready ? r->progress.form == CLI_NDJSON : r->args.progress && strcmp(r->args.progress, "json") == 0;
    if (err->what[0])
        cli_print_error(err, ndjson);
    if (r->args.json && !ferror(stdout) && !has_printed(r, status)) {
        vka_error again = {0};
        json_t *error = cli_error_json(err), *object = NULL;
        if (error) {
            json_object_set_new(error, "code", json_integer(exit_code(status)));
            enum cli_command c = r->args.command;
            object = json_pack("{s:i,s:s,s:o}", "schema", 1, "command",
                               c == CLI_RENDER && r->args.dry_run ? "plan" : cli_commands[c].name, "error", error);
        }
        put_object(object, &again);
        json_decref(object);
    }
}

/* --help and its like; false when there is work to do. */
static bool answer(const struct run *r, int argc, char **argv, vka_status *status, vka_error *err)
{
    enum cli_command c = r->args.command;
    if (r->args.version)
        printf("vkanim %s\n", vka_version());
    else if (c == CLI_HELP || r->args.help) {
        int which = (int)c;
        if (c == CLI_HELP && r->args.word_count)
            for (which = 0; which < CLI_COMMANDS && strcmp(cli_commands[which].name, r->args.words[0]) != 0;)
                which++;
        else if (c == CLI_RENDER && argc > 1 && argv[1][0] == '-') /* no command was named */
            which = CLI_HELP;
        if (which == CLI_COMMANDS) {
            *status = cli_fail(err, VKA_E_USAGE, "unknown command '%.100s'", r->args.words[0]);
            cli_hint(err, "vkanim --help");
        } else
            cli_print_help(stdout, (enum cli_command)which);
    } else if (r->args.bare) {
        *status = cli_fail(err, VKA_E_USAGE, "nothing to do");
        cli_hint(err, "vkanim -p 'a red balloon over the sea', or vkanim --help");
    } else
        return false;
    if (*status == VKA_OK && fflush(stdout) != 0)
        *status = cli_fail(err, VKA_E_OUTPUT, "cannot write to standard output");
    return true;
}

int main(int argc, char **argv)
{
    /* The build makes the manual page and the completions with these; packagers may too. */
    if (argc == 3 && strcmp(argv[1], "--print") == 0) {
        if (strcmp(argv[2], "man") == 0)
            cli_print_man(stdout);
        else if (strcmp(argv[2], "man-job") == 0)
            cli_print_man_job(stdout);
        else if (!cli_print_completion(stdout, argv[2]))
            return VKA_E_USAGE;
        return fflush(stdout) == 0 ? 0 : VKA_E_OUTPUT;
    }
    struct run r = {0};
    vka_error err = {0};
    bool help_bench = argc == 3 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], cli_commands[CLI_BENCH].name) == 0;
    if (help_bench || (argc > 1 && strcmp(argv[1], cli_commands[CLI_BENCH].name) == 0)) {
        char help[] = "--help";
        if (help_bench)
            argv[2] = help;
        vka_status failed = cli_become("vkanim-bench", argv + 1, &err);
        cli_print_error(&err, false);
        return (int)failed;
    }
    cli_signals_catch();
    vka_status status = cli_args_parse(&r.args, argc, argv, &err);
    if (status == VKA_OK && !answer(&r, argc, argv, &status, &err))
        status = run_command(&r, &err);
    cli_signals_context(NULL);
    if (status != VKA_OK)
        report_failure(&r, status, &err);
    vka_context_destroy(&r.context);
    vka_job_destroy(&r.job);
    cli_args_free(&r.args);
    return exit_code(status);
}
