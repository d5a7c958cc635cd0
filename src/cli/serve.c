/* serve.c - `vkanim serve`: the options into a server's configuration, its first line, its end by a signal. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#ifdef VKANIM_SERVER
#include "server/serve.h"

/* A whole number as the option's row allows; its default when it was not given. */
static vka_status number(const char *name, const char *text, unsigned *out, vka_error *err)
{
    size_t count;
    const vka_option *options = vka_options(&count), *o = options;
    while (strcmp(o->name, name) != 0)
        o++;
    text = text ? text : o->initial;
    unsigned long value = strlen(text) < 9 && strspn(text, "0123456789") == strlen(text) ? strtoul(text, NULL, 10) : ~0ul;
    if ((double)value < o->least || (double)value > o->most) {
        cli_fail(err, VKA_E_USAGE, "--%s wants a whole number from %.0f to %.0f, not '%.60s'", name, o->least, o->most, text);
        return VKA_E_USAGE;
    }
    *out = (unsigned)value;
    return VKA_OK;
}

/* "256M": powers of 1024. */
static vka_status size(const char *text, unsigned long long *out, vka_error *err)
{
    char *end;
    unsigned long long value = strspn(text, "0123456789") && strlen(text) < 15 ? strtoull(text, &end, 10) : 0;
    static const char units[] = "KMGT";
    const char *unit = value && *end ? strchr(units, *end & ~32) : NULL;
    if (!value || (*end && (!unit || !*unit || end[1])) || (unit && value > 1ull << 40))
        return cli_fail(err, VKA_E_USAGE, "--upload-limit wants a size such as 64M or 1G, not '%.60s'", text);
    *out = unit ? value << (10 * (unit - units + 1)) : value;
    if (*out > 1ull << 40)
        return cli_fail(err, VKA_E_USAGE, "--upload-limit %.60s is more than 1T", text);
    return VKA_OK;
}

static void on_log(void *user, vka_level level, const char *text) { cli_progress_log(user, level, text); }

static vka_status say(const struct cli_args *args, const char *url, vka_error *err)
{
    if (!args->quiet)
        fprintf(stderr, "vkanim %s serves %s\n", vka_version(), url);
    if (!args->json)
        return VKA_OK;
    json_t *object = json_pack("{s:i, s:s, s:s, s:s}", "schema", 1, "command", "serve", "version", vka_version(), "url", url);
    char *text = object ? json_dumps(object, 0) : NULL;
    json_decref(object);
    bool put = text && puts(text) >= 0 && fflush(stdout) == 0;
    free(text);
    return put ? VKA_OK : cli_fail(err, VKA_E_OUTPUT, "cannot write to standard output");
}

vka_status cli_serve(const struct cli_args *args, const vka_job *job, struct cli_progress *progress, vka_error *err)
{
    struct srv *server = NULL;
    struct srv_config config = {
        .listen = args->listen,
        .token_file = args->token_file,
        .results = args->results,
        .job = job,
        .log = on_log,
        .user = progress,
        .level = args->quiet          ? VKA_LEVEL_ERROR
                 : args->verbose >= 2 ? VKA_LEVEL_DEBUG
                 : args->verbose      ? VKA_LEVEL_INFO
                                      : VKA_LEVEL_WARN,
    };
    vka_status status = number("port", args->port, &config.port, err);
    if (status == VKA_OK)
        status = number("queue", args->queue, &config.queue, err);
    if (status == VKA_OK)
        status = size(args->upload_limit ? args->upload_limit : "256M", &config.upload_bytes, err);
    if (status != VKA_OK)
        return status;
    cli_signals_hold();
    status = srv_start(&server, &config, err);
    if (status == VKA_OK)
        status = say(args, srv_url(server), err);
    if (status == VKA_OK) {
        cli_signals_wait();
        status = cli_fail(err, VKA_E_STOPPED, "the server has ended");
    }
    srv_end(&server);
    return status;
}

#else

vka_status cli_serve(const struct cli_args *args, const vka_job *job, struct cli_progress *progress, vka_error *err)
{
    (void)args, (void)job, (void)progress;
    cli_fail(err, VKA_E_USAGE, "this vkanim was built without the server");
    cli_hint(err, "-DVKANIM_SERVER=ON and libmicrohttpd when it is built");
    return VKA_E_USAGE;
}

#endif
