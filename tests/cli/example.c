/* example.c - the example in vkanim.h, word for word, as a program.  cli_test.sh compares the two. */
#include <stdio.h>
#include <vkanim/vkanim.h>

int main(void)
{
    vka_error e = {0};
    vka_context *cx = NULL;
    vka_job *job = vka_job_create();
    char *report = NULL;
    if (vka_context_create(&cx, NULL, &e) == VKA_OK && vka_job_set(job, "prompt", "a red ball", &e) == VKA_OK &&
        vka_job_set(job, "output", "ball.webp", &e) == VKA_OK && vka_render(cx, job, &report, &e) == VKA_OK)
        puts(report);
    else
        fprintf(stderr, "%s\n%s\n", e.what, e.why);
    vka_free(report);
    vka_job_destroy(&job);
    vka_context_destroy(&cx);
    return (int)e.status;
}
