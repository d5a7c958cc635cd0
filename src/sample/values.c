/* values.c - values over frames or steps; see values.h.
 *
 * One walk over the text: each entry fills the places between the one before it and itself, so nothing is stored and a
 * list may be as long as a clip. */
#include "sample/values.h"

#include "base/number.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum places { PLACES_UNKNOWN, PLACES_NONE, PLACES_WHOLE, PLACES_FRACTIONS };

static const double farthest = 1e9; /* a place: no clip is so long, and a double counts exactly up to there */

struct entry {
    bool has_place, is_fraction;
    double place, value;
};

static const char *skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

static bool ends_entry(char c)
{
    return c == ',' || c == ';' || c == '\n';
}

/* "[place:]value" up to a separator or the end; NULL when there is no such thing. */
static const char *read_entry(const char *p, struct entry *e)
{
    char *end;
    *e = (struct entry){0};
    p = skip_spaces(p);
    double v = vka_parse_real(p, &end);
    if (end == p || !isfinite(v))
        return NULL;
    const char *after = skip_spaces(end);
    if (*after == ':') {
        e->has_place = true;
        e->is_fraction = memchr(p, '.', (size_t)(end - p)) != NULL;
        e->place = v;
        if (!(v >= 0) || v > (e->is_fraction ? 1 : farthest) || (!e->is_fraction && v != floor(v)))
            return NULL;
        p = skip_spaces(after + 1);
        v = vka_parse_real(p, &end);
        if (end == p || !isfinite(v))
            return NULL;
        after = skip_spaces(end);
    }
    e->value = v;
    return *after == '\0' || ends_entry(*after) ? after : NULL;
}

static vka_status refuse(const char *name, const char *text, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_USAGE, "%s does not understand '%.100s'", name, text);
    vka_error_why(err, "%s", why);
    vka_error_hint(err, "a number such as 1.2, or places and values such as 0:1, 8:1.3, 15:0.8 or 0.0:1, 1.0:0.8");
    return VKA_E_USAGE;
}

/* The places from *next on that lie before `place` or at it, on the line from the entry before. */
static void fill(double *out, uint32_t count, uint32_t *next, const struct entry *before, double from, double place,
                 double value)
{
    for (; *next < count && *next <= place; ++*next) {
        double span = place - from;
        out[*next] = !before || *next == place || span <= 0
                         ? value
                         : before->value + (value - before->value) * ((*next - from) / span);
    }
}

vka_status vka_values_parse(const char *name, const char *text, double least, double most, uint32_t count, double *out,
                            vka_error *err)
{
    enum places kind = PLACES_UNKNOWN;
    struct entry before = {0}, e;
    double from = 0;
    uint32_t next = 0, entries = 0;
    const char *p = text;
    for (;;) {
        p = read_entry(p, &e);
        if (!p)
            return refuse(
                name, text,
                "an entry is a value, or a place, a colon and a value; places are whole numbers, or fractions "
                "from 0.0 to 1.0",
                err);
        enum places now = !e.has_place ? PLACES_NONE : e.is_fraction ? PLACES_FRACTIONS : PLACES_WHOLE;
        if (kind != PLACES_UNKNOWN && kind != now)
            return refuse(name, text, "places are whole numbers, or fractions, or left out: of one kind in all entries",
                          err);
        kind = now;
        if (!e.has_place)
            e.place = entries;
        if (entries && e.place <= before.place)
            return refuse(name, text, "each place must lie behind the one before it", err);
        if (!(e.value >= least && e.value <= most)) {
            vka_fail(err, VKA_E_USAGE, "a value of %s is out of range", name);
            vka_error_why(err, "it takes numbers from %.0f to %.0f", least, most);
            return VKA_E_USAGE;
        }
        double place = e.is_fraction && count ? e.place * (count - 1) : e.place;
        if (count)
            fill(out, count, &next, entries ? &before : NULL, from, place, e.value);
        before = e;
        from = place;
        entries++;
        if (!*p)
            break;
        p = skip_spaces(p + 1);
        if (!*p) /* a separator behind the last entry */
            break;
    }
    for (; next < count; next++)
        out[next] = before.value;
    return VKA_OK;
}
