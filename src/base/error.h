/* error.h - why a call failed, in at most three lines: what happened, why, what to try.
 *
 * Every fallible function of the project returns a vka_status (or NULL) and fills a caller-owned
 * vka_error, which may be NULL.  The first failure wins: setting an error that is set already keeps
 * the old text.  Nothing here allocates. */
#ifndef VKA_BASE_ERROR_H
#define VKA_BASE_ERROR_H

#include <stdbool.h>
#include <vkanim/status.h>

#if defined(__GNUC__)
#define VKA_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define VKA_PRINTF(fmt, args)
#endif

/* Sets the error unless it is set already; returns `status`, so that it can end a function. */
vka_status vka_fail(vka_error *err, vka_status status, const char *what, ...) VKA_PRINTF(3, 4);
/* Add the second and the third line to an error that is set.  Kept if already there. */
void vka_error_why(vka_error *err, const char *why, ...) VKA_PRINTF(2, 3);
void vka_error_hint(vka_error *err, const char *hint, ...) VKA_PRINTF(2, 3);
void vka_error_clear(vka_error *err);

#endif
