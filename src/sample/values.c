/* values.c - values over frames or steps; see values.h.
 *
 * One walk over the text: each entry fills the places between the one before it and itself, so nothing is stored and a
 * list may be as long as a clip.  In a loop the first and the last entry fill what lies around the ends. */
#include "sample/values.h"

#include "base/keys.h"
#include "base/number.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum places { PLACES_UNKNOWN, PLACES_NONE, PLACES_WHOLE, PLACES_FRACTIONS };

struct entry {
    bool has_place;
    struct vka_key key;
    double value;
    double first, last; /* among the frames, where these are known */
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
    const char *behind = vka_key_read(p, &e->key);
    if (behind && *behind == ':') {
        e->has_place = true;
        p = skip_spaces(behind + 1);
    }
    e->value = vka_parse_real(p, &end);
    if (end == p || !isfinite(e->value))
        return NULL;
    p = skip_spaces(end);
    return *p == '\0' || ends_entry(*p) ? p : NULL;
}

static vka_status refuse(const char *name, const char *text, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_USAGE, "%s does not understand '%.100s'", name, text);
    vka_error_why(err, "%s", why);
    vka_error_hint(err, "a number such as 1.2, or places and values such as 0:1, 8:1.3, 15:0.8 or 0.0:1, 1.0:0.8");
    return VKA_E_USAGE;
}

struct walk {
    uint32_t count, next; /* places in all; filled up to */
    double *out;
    bool closed;
    struct entry first, before;
    uint32_t entries;
};

/* The places from w->next on that lie on the way from `a`, whose last place is at `from`, to `b`, whose first is at `to`. */
static void fill(struct walk *w, uint32_t until, const struct entry *a, double from, const struct entry *b, double to)
{
    enum vka_ease ease = a->key.eased ? a->key.ease : VKA_EASE_LINEAR;
    for (; w->next < until && w->next < to; w->next++) {
        double s = w->next <= from ? 0 : vka_ease_at(ease, (w->next - from) / (to - from));
        w->out[w->next] = a->value + (b->value - a->value) * s;
    }
}

static void hold(struct walk *w, uint32_t until, double to, double value)
{
    for (; w->next < until && w->next <= to; w->next++)
        w->out[w->next] = value;
}

static void take(struct walk *w, const struct entry *e)
{
    if (!w->count)
        return;
    if (w->entries)
        fill(w, w->count, &w->before, w->before.last, e, e->first);
    else if (w->closed) /* what comes before it is written at the end, when the last entry is known */
        w->next = e->first < w->count ? (uint32_t)ceil(e->first) : w->count;
    else
        hold(w, w->count, e->first, e->value);
    hold(w, w->count, e->last, e->value);
}

/* What lies behind the last entry, and in a loop before the first. */
static void finish(struct walk *w)
{
    double begin = w->first.first;
    if (!w->closed)
        hold(w, w->count, w->count, w->before.value);
    else {
        fill(w, w->count, &w->before, w->before.last, &w->first, begin + w->count);
        w->next = 0;
        fill(w, begin < w->count ? (uint32_t)ceil(begin) : w->count, &w->before, w->before.last - w->count, &w->first, begin);
    }
}

/* Where an entry lies among the frames; false with *why where it cannot. */
static bool resolve(const struct walk *w, struct entry *e, const char **why)
{
    bool whole = !e->key.first.fraction;
    *why = "each place must lie behind the one before it";
    if (!e->has_place)
        e->first = e->last = w->entries;
    else if (w->count) {
        *why = "a place that counts from the end lies before the first frame";
        if (!vka_key_frame(&e->key.first, w->count, &e->first) || !vka_key_frame(&e->key.last, w->count, &e->last))
            return false;
        *why = "each place must lie behind the one before it";
        if (!whole) /* of a single frame all fractions are the same */
            return e->key.last.at >= e->key.first.at && (!w->entries || e->key.first.at > w->before.key.last.at);
    } else { /* as far as it is known without a count */
        e->first = e->key.first.at;
        e->last = e->key.last.at;
        if (whole && (e->first < 0) != (e->last < 0))
            e->last = e->first;
        if (w->entries && whole && (e->first < 0) != (w->before.last < 0))
            return true;
    }
    return e->last >= e->first && (!w->entries || e->first > w->before.last);
}

vka_status vka_values_parse_loop(const char *name, const char *text, double least, double most, uint32_t count, bool closed,
                                 double *out, vka_error *err)
{
    enum places kind = PLACES_UNKNOWN;
    struct walk w = {.count = count, .out = out, .closed = closed};
    struct entry e;
    const char *p = text, *why;
    for (;;) {
        p = read_entry(p, &e);
        if (!p)
            return refuse(name, text,
                          "an entry is a value, or a place, a colon and a value; places are whole numbers, or fractions "
                          "from 0.0 to 1.0",
                          err);
        enum places now = !e.has_place ? PLACES_NONE : e.key.first.fraction ? PLACES_FRACTIONS : PLACES_WHOLE;
        if ((kind != PLACES_UNKNOWN && kind != now) || e.key.first.fraction != e.key.last.fraction)
            return refuse(name, text, "places are whole numbers, or fractions, or left out: of one kind in all entries",
                          err);
        kind = now;
        if (!resolve(&w, &e, &why))
            return refuse(name, text, why, err);
        if (!(e.value >= least && e.value <= most)) {
            vka_fail(err, VKA_E_USAGE, "a value of %s is out of range", name);
            vka_error_why(err, "it takes numbers from %.0f to %.0f", least, most);
            return VKA_E_USAGE;
        }
        if (!w.entries)
            w.first = e;
        take(&w, &e);
        w.before = e;
        w.entries++;
        if (!*p)
            break;
        p = skip_spaces(p + 1);
        if (!*p) /* a separator behind the last entry */
            break;
    }
    if (kind == PLACES_NONE) /* a value for each frame: there is no way back */
        w.closed = false;
    if (count)
        finish(&w);
    return VKA_OK;
}

vka_status vka_values_parse(const char *name, const char *text, double least, double most, uint32_t count, double *out,
                            vka_error *err)
{
    return vka_values_parse_loop(name, text, least, most, count, false, out, err);
}
