/* tiny.c - see tiny.h. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "tiny.h"

#include "golden/redraw.h"
#include "harness.h"

#include "weights/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *sources(void)
{
    const char *root = getenv("VKA_TEST_ROOT");
    return root ? root : VKA_SOURCE_DIR;
}

void tiny_golden(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/tests/golden/%s", sources(), name);
}

void tiny_begin(struct tiny *t, const char *second)
{
    char set[512], tokenizer[512], models[80];
    vka_error err = {0};
    *t = (struct tiny){0};
    strcpy(t->folder, "/tmp/vkanim-tiny-XXXXXX");
    if (!mkdtemp(t->folder)) {
        t->folder[0] = 0;
        fail_msg("no folder in /tmp");
    }
    snprintf(models, sizeof models, "%s/models", t->folder);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", sources());
    for (int i = 0; i < (second ? 2 : 1); i++) {
        tiny_golden(i ? second : "tiny", set, sizeof set);
        check_ok(vka_test_redraw(set, tokenizer, models, &err), &err);
    }
}

void tiny_end(struct tiny *t)
{
    vka_context_destroy(&t->cx);
    if (t->folder[0])
        vka_test_remove(t->folder);
    *t = (struct tiny){0};
}

/* The value with "@" replaced by the folder. */
static vka_status set(vka_job *job, const struct tiny *t, const char *name, const char *with, vka_error *err)
{
    char value[1024] = "";
    size_t at = 0;
    for (const char *s = with; *s && at < sizeof value; s++)
        at += (size_t)(*s == '@' ? snprintf(value + at, sizeof value - at, "%s/", t->folder)
                                 : snprintf(value + at, sizeof value - at, "%c", *s));
    assert_true(at < sizeof value);
    return vka_job_set(job, name, value, err);
}

vka_status tiny_render(const struct tiny *t, const char *const *options, struct tiny_clip *out, vka_error *err)
{
    static const char *const always[] = {"model",     "@models/model",
                                         "prompt",    "x",
                                         "width",     "12",
                                         "height",    "8",
                                         "frames",    "6",
                                         "steps",     "2",
                                         "seed",      "1",
                                         "trace",     "@trace.safetensors",
                                         "output",    "@out.webp",
                                         "precision", "f32",
                                         "overwrite", "true",
                                         NULL};
    const char *const *const list[] = {always, options, t->more};
    const char *device = getenv("VKANIM_DEVICE");
    vka_job *job = vka_job_create();
    char *report = NULL, trace[128];
    vka_status st = VKA_OK;
    for (int k = 0; k < 3; k++)
        for (const char *const *o = list[k]; st == VKA_OK && o && o[0] && o[1]; o += 2)
            st = set(job, t, o[0], o[1], err);
    if (st == VKA_OK && device)
        st = vka_job_set(job, "device", device, err);
    snprintf(trace, sizeof trace, "%s/trace.safetensors", t->folder);
    remove(trace);
    if (st == VKA_OK)
        st = vka_render(t->cx, job, &report, err);
    if (st == VKA_OK) {
        vka_safetensors file;
        json_t *r = json_loads(report, 0, NULL);
        check_ok(vka_safetensors_open(&file, trace, err), err);
        const vka_weight *w = vka_safetensors_find(&file, "latents");
        assert_true(w && vka_weight_count(w) == TINY_VALUES);
        vka_dtype_to_f32(out->latents, w->data, w->dtype, TINY_VALUES);
        out->planned = (uint64_t)json_integer_value(json_object_get(json_object_get(r, "memory"), "planned_bytes"));
        vka_safetensors_close(&file);
        json_decref(r);
    }
    vka_free(report);
    vka_job_destroy(&job);
    return st;
}

struct tiny_clip tiny_must(const struct tiny *t, const char *const *options)
{
    struct tiny_clip c;
    vka_error err = {0};
    check_ok(tiny_render(t, options, &c, &err), &err);
    check_finite("latents", c.latents, TINY_VALUES);
    return c;
}

bool tiny_differ(const struct tiny_clip *a, const struct tiny_clip *b)
{
    return memcmp(a->latents, b->latents, sizeof a->latents) != 0;
}
