/* fuzz_travel.c - prompts that change over the frames, and the files that hold them.  The first byte of an input chooses frames,
 * loop and ease, the rest is the text.  It is refused with a sentence; or a file becomes lines that travel, and every frame lies
 * between two texts, by a share that is at least 0 and less than 1, and at the keys' own places by none. */
#include "text/maths.h"
#include "text/travel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void refused(vka_status st, const vka_error *err)
{
    check(st == VKA_E_USAGE && st == err->status && err->what[0]);
}

static void check_travel(const char *text, uint8_t first)
{
    static const uint32_t frames[] = {1, 2, 5, 16};
    struct vka_travel t;
    vka_error err = {0};
    vka_status st = vka_travel_make(&t, "prompt", text, frames[first & 3], first & 4, (enum vka_ease)((first >> 3) % 5), &err);
    if (st != VKA_OK) {
        refused(st, &err);
        check(!t.texts && !t.spans);
        return;
    }
    check(vka_travel_is(text) && t.count && t.text_count && t.frames == frames[first & 3]);
    for (uint32_t i = 0; i < t.text_count; i++) {
        check(strlen(t.texts[i]) <= VKA_TRAVEL_BYTES && !strchr(t.texts[i], '\n') && !strchr(t.texts[i], '`'));
        for (uint32_t k = 0; k < i && k < 16; k++)
            check(strcmp(t.texts[i], t.texts[k]) != 0);
    }
    for (uint32_t i = 0; i < t.count; i++)
        check(t.spans[i].first <= t.spans[i].last && t.spans[i].last < t.frames && (!i || t.spans[i].first > t.spans[i - 1].last));
    for (uint32_t f = 0; f < t.frames; f++) {
        uint32_t at[2], key[2];
        double share = vka_travel_at(&t, f, at);
        check(at[0] < t.text_count && at[1] < t.text_count && share >= 0 && share < 1 && (at[0] != at[1] || !(share > 0)));
        share = vka_key_share(t.spans, t.count, t.closed, f, &key[0], &key[1]);
        if (f >= t.spans[key[0]].first && f <= t.spans[key[0]].last)
            check(!(share > 0));
    }
    vka_travel_free(&t);
}

static void check_file(const char *text, uint8_t first)
{
    struct vka_travel_file file;
    vka_error err = {0};
    vka_status st = vka_travel_read(&file, text, &err);
    if (st != VKA_OK) {
        refused(st, &err);
        check(!file.prompt && !file.negative && !file.settings);
        return;
    }
    check(file.prompt || file.negative || file.count);
    if (file.prompt) {
        check(vka_travel_is(file.prompt));
        check_travel(file.prompt, first);
    }
    if (file.negative) {
        check(vka_travel_is(file.negative));
        check_travel(file.negative, first);
    }
    for (size_t i = 0; i < file.count; i++)
        check(file.settings[i].name && file.settings[i].value);
    vka_travel_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 20000)
        return 0;
    char *text = malloc(size);
    check(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_travel(text, data[0]);
    check_file(text, data[0]);
    const struct vka_maths_value values[] = {{"t", 3}, {"max_f", 16}};
    double v;
    vka_error err = {0};
    vka_status st = vka_maths_evaluate(text, strlen(text), values, 2, &v, &err);
    check(st == VKA_OK ? isfinite(v) : st == VKA_E_USAGE && err.what[0]);
    free(text);
    return 0;
}
