/* fuzz_options.c - job files and option values, values over frames among them.  The input's first byte chooses: 'j' a JSON object for vka_job_read,
 * anything else lines "name=value" for vka_job_set.  Whatever comes in, what is written must read back to the same. */
#include "render/job.h"
#include "render/options.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_lines(vka_job *job, char *text)
{
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        vka_error err = {0};
        char *equals = strchr(line, '=');
        if (equals)
            *equals = '\0';
        if (vka_job_set(job, line, equals ? equals + 1 : NULL, &err) != VKA_OK && !err.what[0])
            abort(); /* every refusal has its sentence */
        (void)vka_option_nearest(line);
    }
}

/* What was accepted gives every frame a number within its range, however many there are; but places from the end may lie too far
 * from it. */
static void read_amounts(const char *text)
{
    static const uint32_t counts[] = {1, 2, 7, 64};
    double out[65];
    for (size_t k = 0; text && k < sizeof counts / sizeof *counts; k++) {
        out[counts[k]] = -1;
        vka_status st = vka_amount_parse("motion-scale", text, counts[k], k % 2, out, NULL);
        if ((st != VKA_OK && !strchr(text, '-')) || out[counts[k]] >= 0)
            abort();
        for (uint32_t i = 0; st == VKA_OK && i < counts[k]; i++)
            if (!(out[i] >= -1e-9 && out[i] <= 10 + 1e-9))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    vka_job *job = vka_job_create(), *again = vka_job_create();
    char *text = malloc(size);
    if (!job || !again || !text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    vka_error err = {0};
    if (data[0] == 'j') {
        if (vka_job_read(job, text, size - 1, &err) != VKA_OK && !err.what[0])
            abort();
    } else
        set_lines(job, text);
    read_amounts(job->motion_scale);
    read_amounts(job->motion_effect);

    char *first = vka_job_write(job);
    if (!first || vka_job_read(again, first, strlen(first), NULL) != VKA_OK)
        abort();
    char *second = vka_job_write(again);
    if (!second || strcmp(first, second) != 0)
        abort();
    vka_job *copy = vka_job_copy(again);
    char *third = vka_job_write(copy);
    if (!third || strcmp(first, third) != 0)
        abort();
    free(first);
    free(second);
    free(third);
    free(text);
    vka_job_destroy(&copy);
    vka_job_destroy(&again);
    vka_job_destroy(&job);
    return 0;
}
