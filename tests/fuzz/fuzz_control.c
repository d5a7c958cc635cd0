/* fuzz_control.c - what --control says, and the frames that it names: any text gives an answer, and what is accepted is within its
 * bounds. */
#include "render/setup_control.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct vka_control_spec s;
    vka_error err = {0};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    vka_status st = vka_control_spec_parse(&s, text, &err);
    if (st != err.status || (st != VKA_OK && (st != VKA_E_USAGE || !err.what[0])))
        abort();
    if (st == VKA_OK && (!s.path || !*s.path || !(s.start >= 0 && s.start <= 1) || !(s.end >= 0 && s.end <= 1)))
        abort();
    enum { FRAMES = 16, PICTURES = 6 };
    uint32_t out[PICTURES], count = 0;
    err = (vka_error){0};
    st = vka_control_frames(st == VKA_OK && s.frames ? s.frames : text, FRAMES, PICTURES, out, &count, &err);
    if (count > PICTURES || st != err.status)
        abort();
    for (uint32_t i = 0; i < count; i++)
        if (out[i] >= FRAMES)
            abort();
    vka_control_spec_free(&s);
    free(text);
    return 0;
}
