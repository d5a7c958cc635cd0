/* options.h - the option table from the inside: look-up and values as text.  Nothing here looks at the locale. */
#ifndef VKA_RENDER_OPTIONS_H
#define VKA_RENDER_OPTIONS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <vkanim/vkanim.h>

/* The row of a long name, or NULL. */
const vka_option *vka_option_find(const char *name);
/* VKA_E_USAGE for an unknown name (with the nearest one as a hint), a reserved name, or one of the command's own. */
vka_status vka_option_check(const char *name, const vka_option **option, vka_error *err);

/* Whole text to value; false when it is not one.  Decimal digits with an optional sign. */
bool vka_parse_int(const char *text, int64_t *out);
/* All of the text one finite number in decimal notation (base/number.h). */
bool vka_parse_whole_real(const char *text, double *out);
/* Bytes: a number, then nothing or K, M, G, T (either case), alone or followed by "iB"; powers of 1024.  Fractions of a
 * byte are dropped; 1 to 2^63-1. */
bool vka_parse_size(const char *text, uint64_t *out);
/* "true", "yes", "on", "1" and "false", "no", "off", "0". */
bool vka_parse_flag(const char *text, bool *out);
/* Whether a byte string is UTF-8 (no surrogates, no overlong forms). */
bool vka_is_utf8(const char *text);

/* --motion-scale and --motion-effect: values over `count` frames, of a loop where `closed` (sample/values.h), each from 0 to 10;
 * count 0 only checks. */
vka_status vka_amount_parse(const char *option, const char *text, uint32_t count, bool closed, double *out, vka_error *err);
/* Checks one value against its row: range, choice, form of --beta and --verify, UTF-8.  VKA_E_USAGE names all three. */
vka_status vka_option_check_text(const vka_option *option, const char *value, vka_error *err);
vka_status vka_option_check_int(const vka_option *option, int64_t value, vka_error *err);
vka_status vka_option_check_real(const vka_option *option, double value, vka_error *err);

#endif
