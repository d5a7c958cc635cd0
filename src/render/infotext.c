/* infotext.c - infotext taken apart: prompt, negative prompt, pairs.  Any text is safe: it is gone through once, and pairs are
 * at most MOST_PAIRS.  See infotext.h. */
#include "render/infotext.h"

#include "base/mem.h"
#include "render/library.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 400, LEAST_PAIRS = 3 };
static const char negative_word[] = "Negative prompt:";

static char *copy_of(const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    if (copy) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---- pairs ----------------------------------------------------------------------------------------------------------- */

static void free_pairs(struct vka_infotext_pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].key);
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct vka_infotext_pairs){0};
}

/* A value as it stands or, in quotes, the text that it is in JSON. */
static char *value_of(const char *text, size_t n)
{
    char *copy = NULL;
    if (n >= 2 && *text == '"' && text[n - 1] == '"') {
        json_t *j = json_loadb(text, n, JSON_DECODE_ANY, NULL);
        const char *inside = json_string_value(j);
        copy = inside ? vka_strdup(inside) : NULL;
        json_decref(j);
        if (copy)
            return copy;
    }
    return copy_of(text, n);
}

static bool add_pair(struct vka_infotext_pairs *p, const char *key, size_t key_length, const char *value, size_t length)
{
    if (p->count >= MOST_PAIRS)
        return true;
    struct vka_infotext_pair *items = vka_grow(p->items, &p->capacity, p->count + 1, sizeof *items);
    if (!items)
        return false;
    p->items = items;
    while (length && is_space(value[length - 1]))
        length--;
    struct vka_infotext_pair *pair = &items[p->count];
    *pair = (struct vka_infotext_pair){copy_of(key, key_length), value_of(value, length), false};
    if (!pair->key || !pair->value) {
        free(pair->key);
        free(pair->value);
        return false;
    }
    p->count++;
    return true;
}

/* The end of a text in quotes that is followed by a comma or the end, else NULL. */
static const char *end_of_quoted(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && ++p >= end)
            return NULL;
    if (p >= end)
        return NULL;
    const char *after = p + 1;
    while (after < end && is_space(*after))
        after++;
    return after == end || *after == ',' ? p + 1 : NULL;
}

/* "key: value, key: value" of a line; what is no pair is passed over up to the next comma.  False when memory is short. */
static bool read_pairs(struct vka_infotext_pairs *pairs, const char *p, const char *end)
{
    while (p < end) {
        while (p < end && (is_space(*p) || *p == ','))
            p++;
        const char *key = p, *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL, *colon = p;
        comma = comma ? comma : end;
        while (colon < end && (is_word(*colon) || *colon == ' ' || *colon == '-' || *colon == '/' || *colon == '+'))
            colon++;
        if (colon == end || *colon != ':' || colon == key || !is_word(*key)) {
            p = comma;
            continue;
        }
        const char *value = colon + 1, *stop;
        while (value < end && is_space(*value) && *value != '\n')
            value++;
        stop = value < end && *value == '"' ? end_of_quoted(value, end) : NULL;
        if (!stop) {
            stop = value < end ? memchr(value, ',', (size_t)(end - value)) : NULL;
            stop = stop ? stop : end;
        }
        size_t length = (size_t)(colon - key);
        while (length && key[length - 1] == ' ')
            length--;
        if (!add_pair(pairs, key, length, value, (size_t)(stop - value)))
            return false;
        p = stop;
    }
    return true;
}

const char *vka_infotext_get(const struct vka_infotext_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (vka_library_same(pairs->items[i].key, strlen(pairs->items[i].key), key, strlen(key), true))
            return pairs->items[i].value;
    return NULL;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

/* Appends a line to a text that has `*used` bytes of room for all of them. */
static void add_line(char *text, size_t *used, const char *line, size_t n)
{
    if (*used)
        text[(*used)++] = '\n';
    memcpy(text + *used, line, n);
    *used += n;
    text[*used] = '\0';
}

/* Lines up to `end`: the prompt, from the word on the negative one. */
static bool read_prompts(struct vka_infotext *info, const char *p, const char *end)
{
    size_t room = (size_t)(end - p) + 2, used[2] = {0, 0}, word = sizeof negative_word - 1;
    bool negative = false, begun[2] = {false, false};
    info->prompt = vka_calloc(room, 1);
    info->negative = vka_calloc(room, 1);
    while (info->prompt && info->negative && p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p)), *line = p;
        stop = stop ? stop : end;
        size_t n = (size_t)(stop - p);
        while (n && is_space(line[0]))
            line++, n--;
        while (n && is_space(line[n - 1]))
            n--;
        if (n >= word && !memcmp(line, negative_word, word)) {
            negative = true;
            line += word, n -= word;
            while (n && is_space(line[0]))
                line++, n--;
        }
        if (n || begun[negative]) /* an empty line within is one */
            add_line(negative ? info->negative : info->prompt, &used[negative], line, n);
        begun[negative] = true;
        p = stop + (stop < end);
    }
    return info->prompt && info->negative;
}

vka_status vka_infotext_parse(struct vka_infotext *info, const char *text, vka_error *err)
{
    *info = (struct vka_infotext){0};
    const char *begin = text, *end = text + strlen(text), *line;
    while (end > begin && is_space(end[-1]))
        end--;
    for (line = end; line > begin && line[-1] != '\n'; line--)
        ;
    bool good = read_pairs(&info->pairs, line, end);
    if (good && (info->pairs.count < LEAST_PAIRS || !vka_infotext_get(&info->pairs, "Steps"))) {
        vka_infotext_free(info);
        vka_fail(err, VKA_E_INPUT, "the text does not say how a picture was made");
        vka_error_why(err, "it has no last line like 'Steps: 20, Sampler: Euler a, CFG scale: 7'");
        return VKA_E_INPUT;
    }
    const char *own = vka_infotext_get(&info->pairs, "AnimateDiff");
    good = good && read_prompts(info, begin, line > begin ? line - 1 : line) &&
           (!own || read_pairs(&info->animatediff, own, own + strlen(own)));
    if (good)
        return VKA_OK;
    vka_infotext_free(info);
    return vka_fail(err, VKA_E_MEMORY, "out of memory");
}

void vka_infotext_free(struct vka_infotext *info)
{
    free(info->prompt);
    free(info->negative);
    free_pairs(&info->pairs);
    free_pairs(&info->animatediff);
    *info = (struct vka_infotext){0};
}
