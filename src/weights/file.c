/* file.c - see file.h. */
#include "weights/file.h"

vka_status vka_model_file_open(vka_safetensors *st, const char *path, vka_error *err)
{
    return vka_safetensors_open(st, path, err);
}
