/* number.c - see number.h. */
#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

double vka_parse_real(const char *text, char **end)
{
    const char *p = text;
    bool negative = *p == '-', digits = false;
    uint64_t mantissa = 0;
    int scale = 0;
    p += *p == '-' || *p == '+';
    for (bool fraction = false;; p++) {
        if (*p == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            break;
        digits = true;
        if (mantissa < UINT64_MAX / 10 - 1) {
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            scale -= fraction;
        } else
            scale += !fraction;
    }
    if (!digits) {
        *end = (char *)(uintptr_t)text;
        return 0;
    }
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1;
        bool minus = *q == '-';
        int e = 0;
        q += *q == '-' || *q == '+';
        if (*q >= '0' && *q <= '9') {
            for (; *q >= '0' && *q <= '9'; q++)
                e = e < 10000 ? e * 10 + (*q - '0') : e;
            scale += minus ? -e : e;
            p = q;
        }
    }
    *end = (char *)(uintptr_t)p;
    double v = (double)mantissa;
    if (scale < 0)
        v = scale < -300 ? v / 1e300 / pow(10, -scale - 300) : v / pow(10, -scale);
    else
        v *= pow(10, scale);
    return negative ? -v : v;
}

void vka_format_real(char *out, size_t size, double v, char style, int precision)
{
    if (style == 'e')
        snprintf(out, size, "%.*e", precision, v);
    else if (style == 'g')
        snprintf(out, size, "%.*g", precision, v);
    else
        snprintf(out, size, "%.*f", precision, v);
    const char *point = localeconv()->decimal_point; /* may be more than one byte */
    size_t n = strlen(point);
    char *at = size && n && strcmp(point, ".") != 0 ? strstr(out, point) : NULL;
    if (at) {
        *at = '.';
        memmove(at + 1, at + n, strlen(at + n) + 1);
    }
}
