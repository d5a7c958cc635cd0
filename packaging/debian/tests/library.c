/* library.c - renders a short clip through libvkanim, as its header shows it. */
#include <stdio.h>
#include <vkanim/vkanim.h>

int main(int argc, char **argv)
{
    static const char *const settings[][2] = {{"prompt", "a red ball"}, {"seed", "1"}, {"frames", "4"}, {"steps", "2"}};
    vka_error e = {0};
    vka_context *cx = NULL;
    vka_job *job = vka_job_create();
    char *report = NULL;
    vka_status status = argc == 2 ? vka_context_create(&cx, NULL, &e) : VKA_E_USAGE;
    for (size_t i = 0; status == VKA_OK && i < sizeof settings / sizeof *settings; i++)
        status = vka_job_set(job, settings[i][0], settings[i][1], &e);
    if (status == VKA_OK)
        status = vka_job_set(job, "output", argv[1], &e);
    if (status == VKA_OK)
        status = vka_render(cx, job, &report, &e);
    if (status == VKA_OK)
        printf("libvkanim %s: %s\n", vka_version(), report);
    else
        fprintf(stderr, "%s\n%s\n", e.what, e.why);
    vka_free(report);
    vka_job_destroy(&job);
    vka_context_destroy(&cx);
    return (int)status;
}
