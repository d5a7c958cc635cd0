/* fuzz_paths.c - extra_model_paths.yaml: any bytes give paths or a sentence; every path has a base in front. */
#include "render/library.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vka_model_paths paths;
    vka_error err = {0};
    vka_status s = vka_model_paths_read(&paths, (const char *)data, size, "/dir", "/home/me", &err);
    if (s != err.status || (s != VKA_OK && (s != VKA_E_INPUT || !err.what[0] || paths.count)))
        abort();
    for (size_t i = 0; i < paths.count; i++)
        if (paths.items[i].path[0] != '/' || paths.items[i].kind == VKA_LIBRARY_ANY)
            abort();
    vka_model_paths_free(&paths);
    return 0;
}
