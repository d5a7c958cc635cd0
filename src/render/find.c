/* find.c - where models lie. */
#include "render/setup.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* dir/name when that exists, else NULL. */
static char *try_dir(const char *dir, size_t length, const char *middle, const char *name)
{
    if (!length)
        return NULL;
    char *path = vka_asprintf("%.*s/%s%s", (int)length, dir, middle, name);
    if (path && vka_path_exists(path))
        return path;
    free(path);
    return NULL;
}

static char *try_list(const char *list, const char *middle, const char *name)
{
    while (list && *list) {
        size_t n = strcspn(list, ":");
        char *path = try_dir(list, n, middle, name);
        if (path)
            return path;
        list += n + (list[n] == ':');
    }
    return NULL;
}

char *vka_find_model(const char *name, vka_error *err)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME"), *dirs = getenv("XDG_DATA_DIRS");
    if (vka_path_exists(name)) {
        char *copy = vka_strdup(name);
        if (!copy)
            vka_fail(err, VKA_E_MEMORY, "out of memory");
        return copy;
    }
    char *path = NULL;
    if (!strchr(name, '/')) {
        path = try_list(getenv("VKANIM_MODEL_PATH"), "", name);
        if (!path && xdg && *xdg)
            path = try_list(xdg, "vkanim/models/", name);
        else if (!path && home)
            path = try_dir(home, strlen(home), ".local/share/vkanim/models/", name);
        if (!path)
            path = try_list(dirs && *dirs ? dirs : "/usr/local/share:/usr/share", "vkanim/models/", name);
        char *program = path ? NULL : vka_program_dir();
        if (program) { /* an installed tree, then a build folder inside the sources */
            path = try_dir(program, strlen(program), "../share/vkanim/models/", name);
            if (!path)
                path = try_dir(program, strlen(program), "../models/", name);
        }
        free(program);
    }
    if (!path) {
        vka_fail(err, VKA_E_INPUT, "there is no model '%s'", name);
        vka_error_hint(err, "give a file or folder with --model, or put it into a folder of VKANIM_MODEL_PATH");
    }
    return path;
}
