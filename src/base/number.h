/* number.h - numbers as text, whatever the locale. */
#ifndef VKA_BASE_NUMBER_H
#define VKA_BASE_NUMBER_H

#include <stddef.h>

/* Decimal notation with optional sign, fraction and exponent; *end is behind the last character used (`text` itself when
 * there is no number).  Correctly rounded up to 15 digits and powers of ten up to 22. */
double vka_parse_real(const char *text, char **end);
/* printf's %.*f, %.*e or %.*g (`style` is the letter) with '.' as the decimal point; cut to `size` bytes with the NUL. */
void vka_format_real(char *out, size_t size, double v, char style, int precision);

#endif
