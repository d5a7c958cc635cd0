/* spec.c - see spec.h. */
#include "render/spec.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the next setting's comma is, from `p` on; its key is `*size` letters long.  NULL: there is none. */
static char *next_setting(char *p, size_t *size)
{
    for (; (p = strchr(p, ',')); p++) {
        *size = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz-");
        if (*size && p[1 + *size] == '=')
            return p;
    }
    return NULL;
}

static vka_status unknown_key(const char *option, const char *key, size_t size, const char *const *keys, vka_error *err)
{
    char list[200] = "";
    for (size_t i = 0, at = 0; keys[i] && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? " " : "", keys[i]);
    vka_fail(err, VKA_E_USAGE, "%s knows no setting '%.*s'", option, (int)(size < 40 ? size : 40), key);
    vka_error_hint(err, "%s", list);
    return VKA_E_USAGE;
}

vka_status vka_spec_parse(struct vka_spec *spec, const char *option, const char *text, const char *const *keys, vka_error *err)
{
    size_t size;
    *spec = (struct vka_spec){.text = vka_strdup(text)};
    vka_status st = spec->text ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    char *p = spec->text ? next_setting(spec->text, &size) : NULL;
    while (st == VKA_OK && p) {
        char *key = p + 1;
        *p = '\0';
        size_t i = 0, length = size;
        while (keys[i] && (strlen(keys[i]) != length || strncmp(keys[i], key, length) != 0))
            i++;
        p = next_setting(key + length + 1, &size);
        if (!keys[i] || i == VKA_SPEC_KEYS)
            st = unknown_key(option, key, length, keys, err);
        else if (spec->values[i])
            st = vka_fail(err, VKA_E_USAGE, "%s has '%s' twice", option, keys[i]);
        else
            spec->values[i] = key + length + 1; /* up to the next setting's comma, which becomes the end */
    }
    if (st == VKA_OK && !*spec->text)
        st = vka_fail(err, VKA_E_USAGE, "%s names no file", option);
    if (st == VKA_OK && !(spec->path = vka_strdup(spec->text)))
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st != VKA_OK)
        vka_spec_free(spec);
    return st;
}

void vka_spec_free(struct vka_spec *spec)
{
    free(spec->path);
    free(spec->text);
    *spec = (struct vka_spec){0};
}
