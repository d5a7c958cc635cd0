/* unicode.c - see unicode.h.
 *
 * Where the reference differs from utf8proc, found by asking it about every code point:
 *  - it knows letters and digits up to Unicode 16 and lower case up to Unicode 17 (late_classes, late_cases);
 *  - its NFC is older: marks that came after Unicode 9 neither move nor combine (inert_marks);
 *  - U+0130 lower-cases to two characters, the full mapping of SpecialCasing.txt; there is no final-sigma rule. */
#include "text/unicode.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* First and last code point of a range, both inside it. */
typedef struct range {
    uint32_t first, last;
} range;

typedef struct class_range {
    uint32_t first, last;
    vka_char_class class;
} class_range;

/* Letters and numbers of Unicode 15.1 and 16, sorted. */
static const class_range late_classes[] = {
    {0x1c89, 0x1c8a, VKA_CHAR_LETTER},   {0xa7cb, 0xa7cd, VKA_CHAR_LETTER},   {0xa7da, 0xa7dc, VKA_CHAR_LETTER},
    {0x105c0, 0x105f3, VKA_CHAR_LETTER}, {0x10d40, 0x10d49, VKA_CHAR_NUMBER}, {0x10d4a, 0x10d65, VKA_CHAR_LETTER},
    {0x10d6f, 0x10d85, VKA_CHAR_LETTER}, {0x10ec2, 0x10ec4, VKA_CHAR_LETTER}, {0x11380, 0x11389, VKA_CHAR_LETTER},
    {0x1138b, 0x1138b, VKA_CHAR_LETTER}, {0x1138e, 0x1138e, VKA_CHAR_LETTER}, {0x11390, 0x113b5, VKA_CHAR_LETTER},
    {0x113b7, 0x113b7, VKA_CHAR_LETTER}, {0x113d1, 0x113d1, VKA_CHAR_LETTER}, {0x113d3, 0x113d3, VKA_CHAR_LETTER},
    {0x116d0, 0x116e3, VKA_CHAR_NUMBER}, {0x11bc0, 0x11be0, VKA_CHAR_LETTER}, {0x11bf0, 0x11bf9, VKA_CHAR_NUMBER},
    {0x13460, 0x143fa, VKA_CHAR_LETTER}, {0x16100, 0x1611d, VKA_CHAR_LETTER}, {0x16130, 0x16139, VKA_CHAR_NUMBER},
    {0x16d40, 0x16d6c, VKA_CHAR_LETTER}, {0x16d70, 0x16d79, VKA_CHAR_NUMBER}, {0x18cff, 0x18cff, VKA_CHAR_LETTER},
    {0x1ccf0, 0x1ccf9, VKA_CHAR_NUMBER}, {0x1e5d0, 0x1e5ed, VKA_CHAR_LETTER}, {0x1e5f0, 0x1e5f0, VKA_CHAR_LETTER},
    {0x1e5f1, 0x1e5fa, VKA_CHAR_NUMBER}, {0x2ebf0, 0x2ee5d, VKA_CHAR_LETTER},
};

/* Lower case of Unicode 16 and 17: first..last map to first_lower.., sorted. */
static const struct case_range {
    uint32_t first, last, first_lower;
} late_cases[] = {
    {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x0264},    {0xa7cc, 0xa7cc, 0xa7cd}, {0xa7ce, 0xa7ce, 0xa7cf},
    {0xa7d2, 0xa7d2, 0xa7d3},    {0xa7d4, 0xa7d4, 0xa7d5},    {0xa7da, 0xa7da, 0xa7db}, {0xa7dc, 0xa7dc, 0x019b},
    {0x10d50, 0x10d65, 0x10d70}, {0x16ea0, 0x16eb8, 0x16ebb},
};

/* Marks and composites that came after Unicode 9, which the reference's NFC passes through, sorted; and U+11A7, a
 * letter that never combines but that utf8proc's Hangul composition swallows. */
static const range inert_marks[] = {
    {0x07fd, 0x07fd},   {0x0898, 0x089f},   {0x08ca, 0x08d3},   {0x09fe, 0x09fe},   {0x0c3c, 0x0c3c},
    {0x0d3b, 0x0d3c},   {0x0eba, 0x0eba},   {0x11a7, 0x11a7},   {0x1715, 0x1715},   {0x1abf, 0x1ace},
    {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e},
    {0x11839, 0x1183a}, {0x11930, 0x11930}, {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193d, 0x1193e},
    {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99},
    {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
};

bool vka_u32_list_reserve(vka_u32_list *list, size_t more)
{
    if (more > SIZE_MAX - list->count)
        return false;
    if (list->count + more <= list->capacity)
        return true;
    uint32_t *data = vka_grow(list->data, &list->capacity, list->count + more, sizeof *data);
    if (data)
        list->data = data;
    return data != NULL;
}

bool vka_u32_list_add(vka_u32_list *list, uint32_t value)
{
    if (list->count == list->capacity && !vka_u32_list_reserve(list, 1))
        return false;
    list->data[list->count++] = value;
    return true;
}

void vka_u32_list_free(vka_u32_list *list)
{
    free(list->data);
    *list = (vka_u32_list){0};
}

/* Reads one code point at text[0], size > 0; *used is the number of bytes it took (the maximal subpart if ill-formed,
 * and then U+FFFD is returned). */
static uint32_t utf8_next(const uint8_t *text, size_t size, size_t *used)
{
    uint8_t b = text[0];
    size_t need;
    uint8_t low = 0x80, high = 0xbf; /* what the second byte may be: no overlong forms, surrogates, > U+10FFFF */
    uint32_t cp;
    *used = 1;
    if (b < 0x80)
        return b;
    if (b >= 0xc2 && b <= 0xdf) {
        need = 1;
        cp = b & 0x1fu;
    } else if (b >= 0xe0 && b <= 0xef) {
        need = 2;
        cp = b & 0x0fu;
        if (b == 0xe0)
            low = 0xa0;
        if (b == 0xed)
            high = 0x9f;
    } else if (b >= 0xf0 && b <= 0xf4) {
        need = 3;
        cp = b & 0x07u;
        if (b == 0xf0)
            low = 0x90;
        if (b == 0xf4)
            high = 0x8f;
    } else {
        return 0xfffd;
    }
    for (size_t i = 1; i <= need; i++) {
        if (i >= size || text[i] < low || text[i] > high)
            return 0xfffd;
        cp = cp << 6 | (text[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
        *used = i + 1;
    }
    return cp;
}

bool vka_utf8_decode(vka_u32_list *out, const char *text, size_t size)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t at = 0, used; at < size; at += used)
        if (!vka_u32_list_add(out, utf8_next(p + at, size - at, &used)))
            return false;
    return true;
}

size_t vka_utf8_encode(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xc0u | cp >> 6);
        out[1] = (uint8_t)(0x80u | (cp & 0x3fu));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xe0u | cp >> 12);
        out[1] = (uint8_t)(0x80u | (cp >> 6 & 0x3fu));
        out[2] = (uint8_t)(0x80u | (cp & 0x3fu));
        return 3;
    }
    out[0] = (uint8_t)(0xf0u | cp >> 18);
    out[1] = (uint8_t)(0x80u | (cp >> 12 & 0x3fu));
    out[2] = (uint8_t)(0x80u | (cp >> 6 & 0x3fu));
    out[3] = (uint8_t)(0x80u | (cp & 0x3fu));
    return 4;
}

/* White_Space of Unicode's PropList, stable since Unicode 6.3: what \s means to the reference. */
static bool is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

vka_char_class vka_char_classify(uint32_t cp)
{
    if (is_space(cp))
        return VKA_CHAR_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return VKA_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return VKA_CHAR_NUMBER;
    case UTF8PROC_CATEGORY_CN:
        break;
    default:
        return VKA_CHAR_OTHER;
    }
    for (size_t i = 0; i < sizeof late_classes / sizeof late_classes[0] && late_classes[i].first <= cp; i++)
        if (cp <= late_classes[i].last)
            return late_classes[i].class;
    return VKA_CHAR_OTHER;
}

/* Writes the one or two code points of a character in lower case. */
static size_t lower(uint32_t cp, uint32_t out[2])
{
    if (cp < 0x80) {
        out[0] = cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
        return 1;
    }
    if (cp == 0x130) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    if (out[0] != cp)
        return 1;
    for (size_t i = 0; i < sizeof late_cases / sizeof late_cases[0] && late_cases[i].first <= cp; i++)
        if (cp <= late_cases[i].last)
            out[0] = late_cases[i].first_lower + (cp - late_cases[i].first);
    return 1;
}

static bool is_inert(uint32_t cp)
{
    size_t low = 0, high = sizeof inert_marks / sizeof inert_marks[0];
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (inert_marks[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < sizeof inert_marks / sizeof inert_marks[0] && inert_marks[low].first <= cp;
}

/* Canonical combining class, 0 to 254. */
static unsigned combining_class(uint32_t cp)
{
    return cp < 0x300 ? 0 : (unsigned)utf8proc_get_property((utf8proc_int32_t)cp)->combining_class & 255u;
}

/* Stable counting sort of a run of non-starters by combining class: a text of nothing but marks stays linear, where
 * utf8proc's own exchange sort would take quadratic time. */
static bool sort_marks(uint32_t *run, size_t count)
{
    if (count < 2)
        return true;
    uint32_t *copy = malloc(count * sizeof *copy); /* count < SIZE_MAX / 4: the run is such an array */
    size_t start[257] = {0};
    if (!copy)
        return false;
    memcpy(copy, run, count * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        start[combining_class(copy[i]) + 1]++;
    for (size_t c = 0; c < 256; c++)
        start[c + 1] += start[c];
    for (size_t i = 0; i < count; i++)
        run[start[combining_class(copy[i])]++] = copy[i];
    free(copy);
    return true;
}

/* Canonical decomposition of one character, appended. */
static bool decompose(vka_u32_list *out, uint32_t cp)
{
    utf8proc_int32_t parts[16];
    int boundclass = 0;
    if (cp < 0xc0)
        return vka_u32_list_add(out, cp);
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)cp, parts, 16, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundclass);
    if (n < 1 || n > 16)
        return vka_u32_list_add(out, cp); /* not a scalar value: cannot happen behind vka_utf8_decode */
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!vka_u32_list_add(out, (uint32_t)parts[i]))
            return false;
    return true;
}

/* NFC of decomposed text, in place: canonical order, then composition. */
static bool compose(vka_u32_list *text)
{
    for (size_t i = 0, end; i < text->count; i = end) {
        end = i + 1;
        if (combining_class(text->data[i]) == 0)
            continue;
        while (end < text->count && combining_class(text->data[end]) != 0)
            end++;
        if (!sort_marks(text->data + i, end - i))
            return false;
    }
    if (text->count == 0)
        return true;
    utf8proc_ssize_t n = utf8proc_normalize_utf32((utf8proc_int32_t *)text->data, (utf8proc_ssize_t)text->count,
                                                  UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n >= 0)
        text->count = (size_t)n;
    return true;
}

/* Appends composed text in lower case with white space folded; *space says that the last character was white space. */
static bool append_folded(vka_u32_list *out, const uint32_t *text, size_t count, bool *space)
{
    for (size_t i = 0; i < count; i++) {
        bool now = is_space(text[i]);
        uint32_t parts[2] = {' ', 0};
        size_t n = now ? (*space ? 0 : 1) : lower(text[i], parts);
        *space = now;
        for (size_t k = 0; k < n; k++)
            if (!vka_u32_list_add(out, parts[k]))
                return false;
    }
    return true;
}

bool vka_text_normalize(vka_u32_list *out, const uint32_t *text, size_t count)
{
    vka_u32_list part = {0};
    bool ok = true, space = false;
    for (size_t i = 0; ok && i <= count; i++) {
        bool inert = i < count && is_inert(text[i]);
        if (i < count && !inert) {
            ok = decompose(&part, text[i]);
            continue;
        }
        /* nothing moves or combines across an inert mark, so the text up to it is normalised alone */
        ok = compose(&part) && append_folded(out, part.data, part.count, &space);
        part.count = 0;
        if (ok && inert)
            ok = append_folded(out, &text[i], 1, &space);
    }
    vka_u32_list_free(&part);
    return ok;
}
