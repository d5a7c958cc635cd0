/* render.c - options of a job as names and values, rendered with progress on standard error:
 *
 *     cc render.c $(pkg-config --cflags --libs vkanim) -o render
 *     ./render prompt "a red ball bouncing on a beach at sunset" output ball.webp
 *
 * It stands in libvkanim(3), too. */
#include <signal.h>
#include <stdio.h>
#include <vkanim/vkanim.h>

static vka_context *context;

static void stop(int number)
{
    (void)number;
    if (context)
        vka_cancel(context);
}

static void show(void *user, const vka_progress *now)
{
    (void)user;
    fprintf(stderr, "%s: %u of %u\n", now->stage, now->done, now->total);
}

static void say(void *user, vka_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    vka_error error = {0};
    vka_context_params params = {.log = say, .progress = show, .level = VKA_LEVEL_WARN};
    vka_job *job = vka_job_create();
    char *report = NULL;
    vka_status status = vka_context_create(&context, &params, &error);
    signal(SIGINT, stop);
    for (int i = 1; status == VKA_OK && i + 1 < argc; i += 2)
        status = vka_job_set(job, argv[i], argv[i + 1], &error);
    if (status == VKA_OK)
        status = vka_render(context, job, &report, &error);
    if (status == VKA_OK)
        puts(report);
    else
        fprintf(stderr, "%s\n%s\n%s\n", error.what, error.why, error.hint);
    vka_free(report);
    vka_job_destroy(&job);
    vka_context_destroy(&context);
    return (int)status;
}
