/* prompt.c - the outermost signs of a prompt: extra networks and AND.  See prompt.h. */
#include "text/prompt.h"

#include "base/mem.h"
#include "base/number.h"
#include "text/signs.h"
#include "text/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool vka_prompt_syntax_from_name(const char *name, vka_prompt_syntax *out)
{
    static const char *const names[] = {"a1111", "comfy", "plain"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) {
            *out = (vka_prompt_syntax)i;
            return true;
        }
    return false;
}

bool vka_text_buffer_add(struct vka_text_buffer *b, const char *text, size_t size)
{
    char *grown = size < SIZE_MAX - b->size ? vka_grow(b->text, &b->capacity, b->size + size + 1, 1) : NULL;
    if (!grown)
        return false;
    b->text = grown;
    if (size)
        memcpy(grown + b->size, text, size);
    b->size += size;
    grown[b->size] = '\0';
    return true;
}

/* ---- signs.h ------------------------------------------------------------------------------------------------ */

bool vka_sign_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool vka_sign_digit(char c) { return c >= '0' && c <= '9'; }

/* A letter, a number or '_': what \w means.  `from` is where a code point begins. */
static bool is_word(const char *from, const char *end)
{
    unsigned char c = (unsigned char)*from;
    if (c < 0x80)
        return vka_sign_digit(*from) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    uint32_t cp = c;
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    cp &= c >= 0xf0 ? 0x07 : c >= 0xe0 ? 0x0f : 0x1f;
    if (c < 0xc0 || more >= (size_t)(end - from))
        return false;
    for (size_t i = 1; i <= more; i++)
        cp = cp << 6 | ((unsigned char)from[i] & 0x3f);
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return false;
    vka_char_class class = vka_char_classify(cp);
    return class == VKA_CHAR_LETTER || class == VKA_CHAR_NUMBER;
}

const char *vka_sign_word(const char *begin, const char *end, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = begin; (size_t)(end - p) >= n; p++) {
        if (*p != *word || memcmp(p, word, n) != 0)
            continue;
        const char *before = p;
        while (before > begin && ((unsigned char)before[-1] & 0xc0) == 0x80)
            before--;
        before -= before > begin;
        if ((p == begin || !is_word(before, p)) && (p + n == end || !is_word(p + n, end)))
            return p;
    }
    return NULL;
}

bool vka_sign_number(const char *begin, const char *end, double *out)
{
    char text[64], *stop;
    while (begin < end && vka_sign_space(*begin))
        begin++;
    while (end > begin && vka_sign_space(end[-1]))
        end--;
    size_t n = (size_t)(end - begin);
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, begin, n);
    text[n] = '\0';
    double v = vka_parse_real(text, &stop);
    if (stop != text + n || !isfinite(v))
        return false;
    *out = v;
    return true;
}

/* ---- extra networks ----------------------------------------------------------------------------------------- */

/* The '>' of <kind:...> at `p`, NULL where there is no such thing; *colon ends the kind. */
static const char *network_at(const char *p, const char **colon)
{
    const char *q = p + 1, *end = p + strlen(p);
    while (q < end && is_word(q, end))
        for (q++; q < end && ((unsigned char)*q & 0xc0) == 0x80; q++)
            ;
    if (q == p + 1 || *q != ':')
        return NULL;
    *colon = q;
    const char *close = strchr(q, '>');
    return close && close > q + 1 ? close : NULL;
}

static char *copy_slice(const char *begin, const char *end)
{
    struct vka_text_buffer b = {0};
    return vka_text_buffer_add(&b, begin, (size_t)(end - begin)) ? b.text : NULL;
}

/* name[:weight[:te]], and "te=x" or "unet=x" anywhere behind the name. */
static vka_status read_arguments(struct vka_prompt_network *n, const char *at, const char *end, vka_error *err)
{
    double number[2] = {1, 1}; /* weight, te */
    bool te = false;
    for (int place = 0; at <= end;) {
        const char *stop = memchr(at, ':', (size_t)(end - at)), *value = at;
        stop = stop ? stop : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        int which = -1;
        if (!n->name) {
            n->name = copy_slice(at, stop);
            if (!n->name)
                return vka_fail(err, VKA_E_MEMORY, "out of memory");
        } else if (equals) {
            which = equals - at == 2 && !memcmp(at, "te", 2) ? 1 : equals - at == 4 && !memcmp(at, "unet", 4) ? 0 : -1;
            value = equals + 1;
        } else
            which = place++;
        if (which == 0 || which == 1) {
            if (!vka_sign_number(value, stop, &number[which]))
                return vka_fail(err, VKA_E_USAGE, "<%s:%.60s:...> in the prompt: '%.*s' is no weight", n->kind, n->name,
                                (int)(stop - value < 40 ? stop - value : 40), value);
            te = te || which == 1;
        }
        at = stop + 1;
    }
    n->weight = number[0];
    n->te_weight = te ? number[1] : number[0];
    return VKA_OK;
}

static vka_status add_network(struct vka_prompt_networks *list, const char *open, const char *colon, const char *close,
                              vka_error *err)
{
    struct vka_prompt_network *items = vka_grow(list->items, &list->capacity, list->count + 1, sizeof *items);
    if (!items)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    list->items = items;
    struct vka_prompt_network *n = &items[list->count++];
    *n = (struct vka_prompt_network){.kind = copy_slice(open + 1, colon), .weight = 1, .te_weight = 1};
    if (!n->kind)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (strcmp(n->kind, "lora") != 0 && strcmp(n->kind, "lyco") != 0) { /* what its arguments mean is not known */
        n->name = copy_slice(colon + 1, close);
        return n->name ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    return read_arguments(n, colon + 1, close, err);
}

vka_status vka_prompt_cut_networks(const char *text, char **rest, struct vka_prompt_networks *list, vka_error *err)
{
    struct vka_text_buffer out = {0};
    const char *from = text, *last = strrchr(text, '>'), *colon;
    vka_status st = vka_text_buffer_add(&out, "", 0) ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    *rest = NULL;
    for (const char *p = strchr(text, '<'); st == VKA_OK && p && p < last; p = strchr(p, '<')) {
        const char *close = network_at(p, &colon);
        if (!close) {
            p++;
            continue;
        }
        if (!vka_text_buffer_add(&out, from, (size_t)(p - from)))
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        else
            st = add_network(list, p, colon, close, err);
        p = from = close + 1;
    }
    if (st == VKA_OK && !vka_text_buffer_add(&out, from, strlen(from)))
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        *rest = out.text;
    else
        free(out.text);
    return st;
}

void vka_prompt_networks_free(struct vka_prompt_networks *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].kind);
        free(list->items[i].name);
    }
    free(list->items);
    *list = (struct vka_prompt_networks){0};
}

/* ---- AND ---------------------------------------------------------------------------------------------------- */

/* Whether [begin, end) is a weight: sign, digits, at most one point; no exponent. */
static bool is_weight(const char *begin, const char *end)
{
    size_t digits = 0, points = 0;
    begin += begin < end && (*begin == '+' || *begin == '-');
    for (; begin < end; begin++) {
        digits += vka_sign_digit(*begin);
        points += *begin == '.';
        if (!vka_sign_digit(*begin) && *begin != '.')
            return false;
    }
    return digits > 0 && points <= 1;
}

static vka_status add_part(struct vka_prompt_parts *out, const char *begin, const char *end, vka_error *err)
{
    struct vka_prompt_part *items = vka_grow(out->items, &out->capacity, out->count + 1, sizeof *items);
    if (!items)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    out->items = items;
    double weight = 1;
    while (end > begin && vka_sign_space(end[-1]))
        end--;
    const char *number = end;
    while (number > begin && (vka_sign_digit(number[-1]) || strchr("+-.", number[-1])))
        number--;
    const char *colon = number;
    while (colon > begin && vka_sign_space(colon[-1]))
        colon--;
    if (colon > begin && colon[-1] == ':' && is_weight(number, end) && vka_sign_number(number, end, &weight)) {
        end = colon - 1;
        while (end > begin && vka_sign_space(end[-1]))
            end--;
    }
    char *text = copy_slice(begin, end);
    if (!text)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    items[out->count++] = (struct vka_prompt_part){text, weight};
    return VKA_OK;
}

vka_status vka_prompt_split(const char *text, struct vka_prompt_parts *out, vka_error *err)
{
    const char *end = text + strlen(text), *and;
    vka_status st = VKA_OK;
    *out = (struct vka_prompt_parts){0};
    do {
        and = vka_sign_word(text, end, "AND");
        st = add_part(out, text, and ? and : end, err);
        text = and ? and + 3 : end;
        if (st == VKA_OK && and && out->count >= VKA_PROMPT_PARTS)
            st = vka_fail(err, VKA_E_USAGE, "the prompt has more than %d parts joined by AND", VKA_PROMPT_PARTS);
    } while (st == VKA_OK && and);
    if (st != VKA_OK)
        vka_prompt_parts_free(out);
    return st;
}

void vka_prompt_parts_free(struct vka_prompt_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free(parts->items[i].text);
    free(parts->items);
    *parts = (struct vka_prompt_parts){0};
}
