/* keys.c - see keys.h. */
#include "base/keys.h"

#include "base/number.h"

#include <math.h>
#include <string.h>

static const double farthest = 1e9; /* no clip is so long, and a double counts exactly up to there */

static const char *const names[] = {"linear", "hold", "ease-in", "ease-out", "ease-in-out"};

bool vka_ease_from_name(const char *name, size_t size, enum vka_ease *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == size && !memcmp(names[i], name, size)) {
            *out = (enum vka_ease)i;
            return true;
        }
    return false;
}

double vka_ease_at(enum vka_ease ease, double s)
{
    double r = 1 - s;
    switch (ease) {
    case VKA_EASE_LINEAR:
        break;
    case VKA_EASE_HOLD:
        return s < 1 ? 0 : 1;
    case VKA_EASE_IN:
        return s * s * s;
    case VKA_EASE_OUT:
        return 1 - r * r * r;
    case VKA_EASE_IN_OUT:
        return s < 0.5 ? 4 * s * s * s : 1 - 4 * r * r * r;
    }
    return s;
}

static const char *skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

static const char *read_place(const char *p, struct vka_key_place *out)
{
    char *end;
    double v = vka_parse_real(p, &end);
    if (end == p || !isfinite(v))
        return NULL;
    out->at = v;
    out->fraction = memchr(p, '.', (size_t)(end - p)) != NULL;
    bool whole = v == floor(v) && fabs(v) <= farthest && !(*p == '-' && v >= 0);
    return (out->fraction ? *p != '-' && v <= 1 : whole) ? end : NULL;
}

const char *vka_key_read(const char *text, struct vka_key *out)
{
    struct vka_key k = {.ease = VKA_EASE_LINEAR};
    const char *p = read_place(skip_spaces(text), &k.first);
    if (!p)
        return NULL;
    const char *next = skip_spaces(p);
    k.last = k.first;
    if (*next == '-' && (next = read_place(skip_spaces(next + 1), &k.last)) != NULL) {
        k.range = true;
        p = next;
    }
    next = skip_spaces(p);
    size_t n = strspn(next, "abcdefghijklmnopqrstuvwxyz-");
    if (n && next > p && vka_ease_from_name(next, n, &k.ease)) {
        k.eased = true;
        next += n;
    }
    *out = k;
    return skip_spaces(next);
}

bool vka_key_frame(const struct vka_key_place *place, uint32_t count, double *frame)
{
    if (place->fraction)
        *frame = place->at * (count - 1.0);
    else
        *frame = place->at < 0 ? count + place->at : place->at;
    return *frame >= 0;
}

double vka_key_share(const struct vka_key_span *spans, uint32_t count, uint32_t closed, double at, uint32_t *from, uint32_t *to)
{
    uint32_t low = 0, high = count; /* spans[low - 1].first <= at < spans[high].first */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (spans[middle].first <= at)
            low = middle + 1;
        else
            high = middle;
    }
    *from = *to = low ? low - 1 : closed ? count - 1 : 0;
    if ((!closed && (low == 0 || low == count)) || count == 1 || (low && at <= spans[*from].last))
        return 0;
    *to = low < count ? low : 0;
    double begin = spans[*from].last - (low ? 0 : closed), end = spans[*to].first + (low < count ? 0 : closed);
    double share = end > begin ? vka_ease_at(spans[*from].ease, (at - begin) / (end - begin)) : 0;
    if (share > 0 && share < 1)
        return share;
    if (share >= 1) /* so near the next key that nothing is between */
        *from = *to;
    else
        *to = *from;
    return 0;
}
