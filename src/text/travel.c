/* travel.c - a prompt as lines of keys to the texts of every frame; see travel.h.
 *
 * Keys are sorted by place, checked against the clip and each other, and their texts made whole (head, text, tail) and told apart.
 * With expressions the texts of every frame are worked out here, so that what follows knows plain texts only. */
#include "text/travel.h"

#include "base/mem.h"
#include "base/number.h"
#include "text/maths.h"
#include "text/prompt.h"
#include "text/signs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct range {
    const char *begin, *end;
};

/* A line with a key: its key as written, and its text with the lines that go on with it. */
struct keyed {
    struct vka_key key;
    struct range name, text;
    struct vka_key_span span;
    char *whole;
};

struct maker {
    struct vka_travel *t;
    const char *name;
    struct keyed *keys;
    size_t count, capacity;
    struct range head, tail;
    size_t bytes; /* of texts */
    size_t text_capacity;
    vka_error *err;
};

static vka_status no_memory(vka_error *err) { return vka_fail(err, VKA_E_MEMORY, "out of memory"); }

static struct range trimmed(struct range r)
{
    while (r.begin < r.end && vka_sign_space(*r.begin))
        r.begin++;
    while (r.end > r.begin && vka_sign_space(r.end[-1]))
        r.end--;
    return r;
}

static const char *line_end(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end : p + strlen(p);
}

/* A line that begins with a key: what is behind its colon; else NULL. */
static const char *read_key(const char *line, struct vka_key *key, struct range *name)
{
    const char *p = vka_key_read(line, key);
    if (!p || *p != ':' || (p[1] && !vka_sign_space(p[1])))
        return NULL;
    *name = trimmed((struct range){line, p});
    return p + 1;
}

bool vka_travel_is(const char *prompt)
{
    struct vka_key key;
    struct range name;
    for (const char *p = prompt; *p;) {
        if (read_key(p, &key, &name))
            return true;
        p = line_end(p);
        p += *p == '\n';
    }
    return false;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static vka_status add_key(struct maker *m, const struct keyed *k)
{
    struct keyed *grown = vka_grow(m->keys, &m->capacity, m->count + 1, sizeof *grown);
    if (!grown)
        return no_memory(m->err);
    m->keys = grown;
    m->keys[m->count++] = *k;
    return VKA_OK;
}

static vka_status read_lines(struct maker *m, const char *prompt)
{
    vka_status st = VKA_OK;
    m->head = m->tail = (struct range){prompt, prompt};
    for (const char *p = prompt, *end; st == VKA_OK && *p; p = end + (*end == '\n')) {
        struct keyed k = {0};
        end = line_end(p);
        const char *text = read_key(p, &k.key, &k.name);
        if (text) {
            if (m->count)
                m->keys[m->count - 1].text.end = p;
            k.text = (struct range){text < end ? text : end, end};
            st = add_key(m, &k);
            m->tail.begin = end;
        } else if (!m->count)
            m->head.end = end;
        m->tail.end = end;
    }
    return st;
}

/* For messages. */
static int name_length(const struct keyed *k)
{
    ptrdiff_t n = k->name.end - k->name.begin;
    return n < 60 ? (int)n : 60;
}

/* Where a key is among the frames. */
static vka_status place_key(struct maker *m, struct keyed *k, enum vka_ease ease)
{
    uint32_t frames = m->t->frames;
    struct vka_key_span *s = &k->span;
    int n = name_length(k);
    bool before = !vka_key_frame(&k->key.first, frames, &s->first) || !vka_key_frame(&k->key.last, frames, &s->last);
    s->ease = k->key.eased ? k->key.ease : ease;
    if (before || s->first > frames - 1.0 || s->last > frames - 1.0) {
        vka_fail(m->err, VKA_E_USAGE, "the %s for frame %.*s lies %s of the clip", m->name, n, k->name.begin,
                 before ? "before the beginning" : "beyond the end");
        vka_error_why(m->err, "it has %u frames: 0 to %u, or -%u to -1", frames, frames - 1, frames);
        return VKA_E_USAGE;
    }
    if (s->last < s->first)
        return vka_fail(m->err, VKA_E_USAGE, "the %s for frames %.*s runs backwards", m->name, n, k->name.begin);
    return VKA_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->span.first < y->span.first || x->span.first > y->span.first)
        return x->span.first < y->span.first ? -1 : 1;
    return x->name.begin < y->name.begin ? -1 : x->name.begin > y->name.begin;
}

static vka_status place_keys(struct maker *m, enum vka_ease ease)
{
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < m->count; i++)
        st = place_key(m, &m->keys[i], ease);
    if (st != VKA_OK)
        return st;
    qsort(m->keys, m->count, sizeof *m->keys, by_place);
    for (size_t i = 1; i < m->count; i++) {
        const struct keyed *a = &m->keys[i - 1], *b = &m->keys[i];
        if (b->span.first <= a->span.last)
            return vka_fail(m->err, VKA_E_USAGE, "two texts of the %s are for the same frame: those at '%.*s' and at '%.*s'",
                            m->name, name_length(a), a->name.begin, name_length(b), b->name.begin);
    }
    return VKA_OK;
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* Appends the lines of a range that are not empty, `between` in front of each but the first in the buffer. */
static bool join(struct vka_text_buffer *b, struct range r, const char *between)
{
    bool good = true;
    for (const char *p = r.begin, *end; good && p < r.end; p = end + 1) {
        end = memchr(p, '\n', (size_t)(r.end - p));
        end = end ? end : r.end;
        struct range line = trimmed((struct range){p, end});
        if (line.begin == line.end)
            continue;
        while (line.end < end && (*line.end == ' ' || *line.end == '\t')) /* they keep two commas from being one token */
            line.end++;
        good = !b->size || vka_text_buffer_add(b, between, strlen(between));
        good = good && vka_text_buffer_add(b, line.begin, (size_t)(line.end - line.begin));
    }
    return good;
}

/* Head, text and tail of a key. */
static vka_status make_whole(struct maker *m, struct keyed *k)
{
    struct vka_text_buffer whole = {0}, text = {0};
    bool good = join(&whole, m->head, ", ") && join(&text, k->text, " ") && vka_text_buffer_add(&text, "", 0);
    good = good && join(&whole, (struct range){text.text, text.text + text.size}, ", ") &&
           join(&whole, m->tail, ", ") && vka_text_buffer_add(&whole, "", 0);
    free(text.text);
    k->whole = whole.text;
    if (!good || !k->whole)
        return no_memory(m->err);
    m->bytes += whole.size;
    if (m->bytes > VKA_TRAVEL_BYTES)
        return vka_fail(m->err, VKA_E_USAGE, "the texts of the %s are longer than %d MiB", m->name, VKA_TRAVEL_BYTES >> 20);
    return VKA_OK;
}

/* The number of a text, which is malloc'ed and taken, among the different ones. */
static vka_status intern(struct maker *m, char *text, uint32_t *which)
{
    struct vka_travel *t = m->t;
    for (uint32_t i = t->text_count; i-- > 0;) /* the newest are the likeliest */
        if (!strcmp(t->texts[i], text)) {
            free(text);
            *which = i;
            return VKA_OK;
        }
    char **grown = t->text_count < VKA_TRAVEL_TEXTS ? vka_grow(t->texts, &m->text_capacity, t->text_count + 1u, sizeof *grown) : NULL;
    if (!grown) {
        free(text);
        if (t->text_count < VKA_TRAVEL_TEXTS)
            return no_memory(m->err);
        vka_fail(m->err, VKA_E_USAGE, "the %s has more than %d different texts over the frames", m->name, VKA_TRAVEL_TEXTS);
        vka_error_hint(m->err, "an expression with floor() changes at some frames only");
        return VKA_E_USAGE;
    }
    t->texts = grown;
    t->texts[t->text_count] = text;
    *which = t->text_count++;
    return VKA_OK;
}

/* A number as a weight is written: six decimals without the zeros at their end. */
static vka_status put_number(struct maker *m, struct vka_text_buffer *b, double v, uint32_t frame)
{
    char text[40];
    if (!(fabs(v) <= 1e6))
        return vka_fail(m->err, VKA_E_USAGE, "an expression in the %s comes out as more than a million at frame %u", m->name, frame);
    vka_format_real(text, sizeof text, v, 'f', 6);
    size_t n = strlen(text);
    while (n > 1 && text[n - 1] == '0')
        n--;
    n -= text[n - 1] == '.';
    bool zero = n == 2 && text[0] == '-' && text[1] == '0';
    return vka_text_buffer_add(b, text + zero, n - zero) ? VKA_OK : no_memory(m->err);
}

/* A text with its expressions worked out for a frame. */
static vka_status expand(struct maker *m, const char *text, uint32_t frame, char **out)
{
    const struct vka_maths_value values[] = {
        {"t", frame}, {"max_f", m->t->frames}, {"pw_a", 0}, {"pw_b", 0}, {"pw_c", 0}, {"pw_d", 0},
    };
    struct vka_text_buffer b = {0};
    vka_status st = vka_text_buffer_add(&b, "", 0) ? VKA_OK : no_memory(m->err);
    for (const char *p = text, *end; st == VKA_OK && *p; p = end) {
        if (*p != '`') {
            end = p + strcspn(p, "`");
            st = vka_text_buffer_add(&b, p, (size_t)(end - p)) ? VKA_OK : no_memory(m->err);
            continue;
        }
        double v;
        end = strchr(p + 1, '`');
        st = end ? vka_maths_evaluate(p + 1, (size_t)(end - p - 1), values, sizeof values / sizeof *values, &v, m->err)
                 : vka_fail(m->err, VKA_E_USAGE, "a back quote in the %s is not closed: '%.60s'", m->name, p);
        if (st == VKA_OK)
            st = put_number(m, &b, v, frame);
        end = end ? end + 1 : NULL;
    }
    if (st == VKA_OK)
        *out = b.text;
    else
        free(b.text);
    return st;
}

/* The text of each key; or of each frame where some have expressions. */
static vka_status make_texts(struct maker *m)
{
    struct vka_travel *t = m->t;
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < m->count; i++) {
        st = make_whole(m, &m->keys[i]);
        t->each_frame = t->each_frame || (st == VKA_OK && strchr(m->keys[i].whole, '`'));
    }
    if (st != VKA_OK)
        return st;
    t->text = t->each_frame ? vka_calloc(t->frames, 2 * sizeof *t->text) : vka_calloc(m->count, sizeof *t->text);
    if (!t->text)
        return no_memory(m->err);
    for (uint32_t i = 0; st == VKA_OK && i < (t->each_frame ? t->frames : t->count); i++) {
        uint32_t key[2] = {i, i};
        if (t->each_frame)
            vka_key_share(t->spans, t->count, t->closed, i, &key[0], &key[1]);
        for (int k = 0; st == VKA_OK && k < (t->each_frame ? 2 : 1); k++) {
            char *text = NULL;
            const char *from = m->keys[key[k]].whole;
            st = t->each_frame ? expand(m, from, i, &text) : (text = vka_strdup(from)) ? VKA_OK : no_memory(m->err);
            if (st == VKA_OK)
                st = intern(m, text, &t->text[t->each_frame ? 2 * (size_t)i + (size_t)k : i]);
        }
    }
    return st;
}

vka_status vka_travel_make(struct vka_travel *t, const char *name, const char *prompt, uint32_t frames, bool closed,
                           enum vka_ease ease, vka_error *err)
{
    struct maker m = {.t = t, .name = name, .err = err};
    *t = (struct vka_travel){.frames = frames, .closed = closed ? frames : 0};
    vka_status st = strlen(prompt) <= VKA_PROMPT_MAX ? read_lines(&m, prompt)
                                                     : vka_fail(err, VKA_E_USAGE, "the %s is longer than %d bytes", name, VKA_PROMPT_MAX);
    if (st == VKA_OK && (!m.count || !frames))
        st = vka_fail(err, VKA_E_USAGE, "no line of the %s begins with a frame and a colon", name);
    if (st == VKA_OK)
        st = place_keys(&m, ease);
    if (st == VKA_OK && !(t->spans = vka_calloc(m.count, sizeof *t->spans)))
        st = no_memory(err);
    for (size_t i = 0; st == VKA_OK && i < m.count; i++)
        t->spans[i] = m.keys[i].span;
    t->count = (uint32_t)m.count;
    if (st == VKA_OK)
        st = make_texts(&m);
    for (size_t i = 0; i < m.count; i++)
        free(m.keys[i].whole);
    free(m.keys);
    if (st != VKA_OK)
        vka_travel_free(t);
    return st;
}

double vka_travel_at(const struct vka_travel *t, uint32_t frame, uint32_t text[2])
{
    uint32_t key[2];
    double share = vka_key_share(t->spans, t->count, t->closed, frame, &key[0], &key[1]);
    for (int k = 0; k < 2; k++)
        text[k] = t->each_frame ? t->text[2 * (size_t)frame + (size_t)k] : t->text[key[k]];
    return text[0] == text[1] ? 0 : share;
}

void vka_travel_free(struct vka_travel *t)
{
    for (uint32_t i = 0; t->texts && i < t->text_count; i++)
        free(t->texts[i]);
    free(t->texts);
    free(t->text);
    free(t->spans);
    *t = (struct vka_travel){0};
}
