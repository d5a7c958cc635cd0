/* spec.h - "PATH[,KEY=VALUE]...": a file with settings of its own, as options that may be given several times have it. */
#ifndef VKA_RENDER_SPEC_H
#define VKA_RENDER_SPEC_H

#include "base/error.h"

#include <stddef.h>

enum { VKA_SPEC_KEYS = 16 };
struct vka_spec {
    char *path;
    const char *values[VKA_SPEC_KEYS]; /* by place in `keys`; NULL: not given.  Owned by the spec */
    char *text;
};

/* A setting begins at a comma behind which letters, then '=' follow; so values may hold commas, and so may the path.  `keys` ends
 * with NULL.  VKA_E_USAGE with a sentence that begins with `option` ("--ip-adapter"): no path, a key that is none of `keys`, one given
 * twice. */
vka_status vka_spec_parse(struct vka_spec *spec, const char *option, const char *text, const char *const *keys, vka_error *err);
void vka_spec_free(struct vka_spec *spec);

#endif
