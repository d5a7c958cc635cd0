/* range.c - see range.h. */
#include "server/range.h"

#include <stddef.h>
#include <string.h>

/* Digits into a number that stays at the highest where there are too many; the text behind them, NULL where there is none. */
static const char *number(const char *p, uint64_t *out)
{
    const char *begin = p;
    for (*out = 0; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return p > begin ? p : NULL;
}

unsigned srv_range(const char *text, uint64_t size, uint64_t *from, uint64_t *count)
{
    uint64_t first = 0, last = UINT64_MAX;
    *from = 0;
    *count = size;
    if (!text || strncmp(text, "bytes=", 6) != 0)
        return 200;
    const char *p = text + 6;
    if (*p == '-') { /* the last bytes */
        p = number(p + 1, &last);
        if (!p || *p)
            return 200;
        if (!last || !size)
            return 416;
        *count = last < size ? last : size;
        *from = size - *count;
        return 206;
    }
    p = number(p, &first);
    if (!p || *p++ != '-')
        return 200;
    if (*p && ((p = number(p, &last)) == NULL || *p || last < first))
        return 200;
    if (first >= size)
        return 416;
    *from = first;
    *count = (last < size ? last + 1 : size) - first;
    return 206;
}
