/* maths.h - small expressions of numbers, as people put them between back quotes in prompts that change over the frames. */
#ifndef VKA_TEXT_MATHS_H
#define VKA_TEXT_MATHS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Brackets and signs inside one another, and bytes; an expression with more is refused. */
enum { VKA_MATHS_DEPTH = 64, VKA_MATHS_MAX = 4096 };

struct vka_maths_value {
    const char *name;
    double value;
};

/* Numbers, + - * / % ** (from right to left, before a sign on its left), brackets, abs sin cos tan exp log sqrt floor ceil, pow of
 * two, min and max of two or more, pi, and the names in `values` [count].  log is natural, % is C's fmod.
 * VKA_E_USAGE for anything else, and for results that are no finite number (a division by 0). */
vka_status vka_maths_evaluate(const char *text, size_t size, const struct vka_maths_value *values, size_t count, double *out,
                              vka_error *err);

#endif
