/* error.c - see error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

vka_status vka_fail(vka_error *err, vka_status status, const char *what, ...)
{
    if (err && err->status == VKA_OK) {
        va_list ap;
        va_start(ap, what);
        vsnprintf(err->what, sizeof err->what, what, ap);
        va_end(ap);
        err->status = status;
        err->why[0] = err->hint[0] = '\0';
    }
    return status;
}

void vka_error_why(vka_error *err, const char *why, ...)
{
    if (!err || err->status == VKA_OK || err->why[0])
        return;
    va_list ap;
    va_start(ap, why);
    vsnprintf(err->why, sizeof err->why, why, ap);
    va_end(ap);
}

void vka_error_hint(vka_error *err, const char *hint, ...)
{
    if (!err || err->status == VKA_OK || err->hint[0])
        return;
    va_list ap;
    va_start(ap, hint);
    vsnprintf(err->hint, sizeof err->hint, hint, ap);
    va_end(ap);
}

void vka_error_clear(vka_error *err)
{
    if (err) {
        err->status = VKA_OK;
        err->what[0] = err->why[0] = err->hint[0] = '\0';
    }
}
