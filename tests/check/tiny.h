/* tiny.h - the golden tests' models, drawn anew in a folder of their own, and whole renders with them.
 *
 * Link with golden/redraw.c. */
#ifndef VKA_TESTS_TINY_H
#define VKA_TESTS_TINY_H

#include "base/error.h"

#include <vkanim/vkanim.h>

enum {
    TINY_FRAMES = 6,
    TINY_WIDTH = 12,
    TINY_HEIGHT = 8,
    TINY_VALUES = TINY_FRAMES * 4 * (TINY_WIDTH / 2) * (TINY_HEIGHT / 2) /* of the latents: half as wide and as high */
};

struct tiny {
    char folder[64];         /* begin makes it: models/ is what redraw.h writes */
    vka_context *cx;         /* of the renders; the end destroys it */
    const char *const *more; /* further options of every render, as in tiny_render; NULL: none */
};

struct tiny_clip {
    float latents[TINY_VALUES];
    uint64_t planned; /* bytes of device memory */
};

/* Draws tests/golden/tiny and, if not NULL, a second set of tests/golden.  Failures are cmocka's. */
void tiny_begin(struct tiny *t, const char *second);
/* Removes the folder; zeroed ones are fine. */
void tiny_end(struct tiny *t);
/* Path of `name` in tests/golden. */
void tiny_golden(const char *name, char *path, size_t size);

/* Renders two steps with the options, names and values in turn up to a NULL; "@x" in a value is x in the folder. */
vka_status tiny_render(const struct tiny *t, const char *const *options, struct tiny_clip *out, vka_error *err);
/* The same, which must go well. */
struct tiny_clip tiny_must(const struct tiny *t, const char *const *options);
bool tiny_differ(const struct tiny_clip *a, const struct tiny_clip *b);

#endif
