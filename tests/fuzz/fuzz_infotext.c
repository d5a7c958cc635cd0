/* fuzz_infotext.c - infotext: any text is taken apart or refused with a sentence; what it says becomes valid options, and what
 * it cannot becomes notes. */
#define _XOPEN_SOURCE 700
#include "render/infotext.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vka_infotext info;
    vka_error err = {0};
    setenv("HOME", "/dev/null", 1); /* no model is to be found here, and no folder to be made */
    setenv("XDG_DATA_DIRS", "/dev/null", 1);
    char *text = malloc(size + 1);
    vka_job *job = vka_job_create(), *again = vka_job_create();
    if (!text || !job || !again)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    vka_status s = vka_infotext_parse(&info, text, &err);
    if (s != err.status || (s != VKA_OK && (s != VKA_E_INPUT || !err.what[0])))
        abort();
    if (s == VKA_OK) {
        if (!vka_infotext_get(&info.pairs, "Steps") || strlen(info.prompt) + strlen(info.negative) > size)
            abort();
        if (vka_infotext_apply(&info, job, &err) != VKA_OK)
            abort();
        for (size_t i = 0; i < job->note_count; i++)
            if (!job->notes[i].text[0])
                abort();
        char *json = vka_job_write(job);
        if (!json || vka_job_read(again, json, strlen(json), NULL) != VKA_OK)
            abort();
        free(json);
    }
    vka_infotext_free(&info);
    free(text);
    vka_job_destroy(&job);
    vka_job_destroy(&again);
    return 0;
}
