/* vocabulary.c - see vocabulary.h.
 *
 * Files may be hostile, so nothing here hashes with a known function: pieces are looked up by binary search, and only
 * while loading; encoding finds a pair among its left id's merges, again by binary search. */
#include "text/vocabulary.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A merge before it is filed under its left id. */
typedef struct raw_merge {
    uint32_t left;
    vka_merge merge;
} raw_merge;

typedef struct merge_list {
    raw_merge *data;
    size_t count, capacity;
} merge_list;

static int compare_text(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int order = n ? memcmp(a, b, n) : 0;
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_pieces(const void *a, const void *b)
{
    const vka_piece *p = a, *q = b;
    return compare_text(p->text, p->size, q->text, q->size);
}

static int compare_merges(const void *a, const void *b)
{
    const raw_merge *p = a, *q = b;
    if (p->left != q->left)
        return p->left < q->left ? -1 : 1;
    if (p->merge.right != q->merge.right)
        return p->merge.right < q->merge.right ? -1 : 1;
    return p->merge.rank < q->merge.rank ? -1 : p->merge.rank > q->merge.rank;
}

/* The character that stands for a byte in the pieces: printable Latin-1 stands for itself, the rest for U+0100 and up
 * in order (Radford et al. 2019, the byte-level alphabet of GPT-2). */
static void byte_alphabet(uint32_t alphabet[256])
{
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; b++) {
        bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        alphabet[b] = itself ? b : next++;
    }
}

static void find_bytes(vka_vocabulary *v)
{
    uint32_t alphabet[256];
    byte_alphabet(alphabet);
    for (size_t b = 0; b < 256; b++) {
        char piece[4 + sizeof VKA_WORD_END];
        size_t n = vka_utf8_encode(alphabet[b], (uint8_t *)piece);
        v->byte_piece[b] = vka_vocabulary_find(v, piece, n);
        memcpy(piece + n, VKA_WORD_END, sizeof VKA_WORD_END - 1);
        v->byte_ending[b] = vka_vocabulary_find(v, piece, n + sizeof VKA_WORD_END - 1);
    }
}

/* Checks every id and adds up what the table takes: v->size and the bytes of all pieces. */
static vka_status measure(vka_vocabulary *v, const json_t *pieces, size_t *bytes, const char *name, vka_error *err)
{
    const char *key;
    json_t *value;
    *bytes = 0;
    json_object_foreach((json_t *)(uintptr_t)pieces, key, value)
    {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= (json_int_t)VKA_VOCAB_MAX)
            return vka_fail(err, VKA_E_INPUT,
                            "'%s' is not a vocabulary: the id of an entry is not a whole number from 0 to %u", name,
                            VKA_VOCAB_MAX - 1);
        v->size = vka_max_u32(v->size, (uint32_t)id + 1);
        *bytes += strlen(key); /* the keys are in memory together, so the sum fits */
    }
    return *bytes <= UINT32_MAX ? VKA_OK : vka_fail(err, VKA_E_INPUT, "'%s' is too large", name);
}

/* Copies names and ids; `seen` has v->size zeroes. */
static vka_status take_pieces(vka_vocabulary *v, const json_t *pieces, uint8_t *seen, const char *name, vka_error *err)
{
    char *to = v->text;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)pieces, key, value)
    {
        uint32_t id = (uint32_t)json_integer_value(value);
        if (seen[id])
            return vka_fail(err, VKA_E_INPUT, "'%s' is damaged: two entries of the vocabulary have the id %u", name,
                            id);
        seen[id] = 1;
        size_t n = strlen(key);
        memcpy(to, key, n);
        v->pieces[v->count++] = (vka_piece){.text = to, .size = (uint32_t)n, .id = id};
        to += n;
    }
    return VKA_OK;
}

vka_status vka_vocabulary_create(vka_vocabulary *v, const json_t *pieces, const char *name, vka_error *err)
{
    *v = (vka_vocabulary){0};
    if (!json_is_object(pieces))
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a vocabulary: it is no JSON object of pieces and ids", name);
    size_t count = json_object_size(pieces), bytes;
    if (count == 0)
        return vka_fail(err, VKA_E_INPUT, "the vocabulary '%s' is empty", name);
    if (count > VKA_VOCAB_MAX)
        return vka_fail(err, VKA_E_INPUT, "the vocabulary '%s' has %zu entries, more than the %u that vkanim reads",
                        name, count, VKA_VOCAB_MAX);
    vka_status s = measure(v, pieces, &bytes, name, err);
    if (s != VKA_OK)
        return s;
    uint8_t *seen = vka_calloc(v->size, 1);
    v->pieces = vka_calloc(count, sizeof *v->pieces);
    v->text = malloc(bytes + 1);
    if (!seen || !v->pieces || !v->text)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    else
        s = take_pieces(v, pieces, seen, name, err);
    free(seen);
    if (s != VKA_OK) {
        vka_vocabulary_destroy(v);
        return s;
    }
    qsort(v->pieces, v->count, sizeof *v->pieces, compare_pieces);
    find_bytes(v);
    return VKA_OK;
}

void vka_vocabulary_destroy(vka_vocabulary *v)
{
    free(v->pieces);
    free(v->text);
    free(v->merges);
    free(v->first_merge);
    *v = (vka_vocabulary){0};
}

uint32_t vka_vocabulary_find(const vka_vocabulary *v, const char *text, size_t size)
{
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = compare_text(v->pieces[mid].text, v->pieces[mid].size, text, size);
        if (order == 0)
            return v->pieces[mid].id;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return VKA_NO_TOKEN;
}

const vka_merge *vka_vocabulary_pair(const vka_vocabulary *v, uint32_t left, uint32_t right)
{
    if (left >= v->size || !v->first_merge)
        return NULL;
    size_t low = v->first_merge[left], end = v->first_merge[left + 1], high = end;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (v->merges[mid].right < right)
            low = mid + 1;
        else
            high = mid;
    }
    return low < end && v->merges[low].right == right ? &v->merges[low] : NULL;
}

/* One merge of a[a_size] and b[b_size]; `where` counts lines or entries from 1. */
static vka_status add_merge(const vka_vocabulary *v, merge_list *list, const char *a, size_t a_size, const char *b,
                            size_t b_size, size_t where, const char *name, vka_error *err)
{
    raw_merge m = {.left = vka_vocabulary_find(v, a, a_size)};
    m.merge.right = vka_vocabulary_find(v, b, b_size);
    m.merge.rank = (uint32_t)list->count;
    m.merge.id = VKA_NO_TOKEN;
    char small[256], *join = a_size + b_size <= sizeof small ? small : malloc(a_size + b_size);
    if (!join)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    if (a_size)
        memcpy(join, a, a_size);
    if (b_size)
        memcpy(join + a_size, b, b_size);
    m.merge.id = vka_vocabulary_find(v, join, a_size + b_size);
    if (join != small)
        free(join);
    if (m.left == VKA_NO_TOKEN || m.merge.right == VKA_NO_TOKEN)
        return vka_fail(err, VKA_E_INPUT,
                        "'%s' does not belong to its vocabulary: merge %zu names a piece that is not in it", name,
                        where);
    if (m.merge.id == VKA_NO_TOKEN)
        return vka_fail(err, VKA_E_INPUT, "'%s' does not belong to its vocabulary: what merge %zu makes is not in it",
                        name, where);
    if (list->count == 4 * (size_t)VKA_VOCAB_MAX)
        return vka_fail(err, VKA_E_INPUT, "'%s' has more than the %u merges that vkanim reads", name,
                        4 * VKA_VOCAB_MAX);
    raw_merge *data = vka_grow(list->data, &list->capacity, list->count + 1, sizeof *data);
    if (!data)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    list->data = data;
    list->data[list->count++] = m;
    return VKA_OK;
}

/* Sorts the merges under their left ids; of equal pairs the last one stays. */
static vka_status file_merges(vka_vocabulary *v, merge_list *list, const char *name, vka_error *err)
{
    if (list->count)
        qsort(list->data, list->count, sizeof *list->data, compare_merges);
    v->merges = vka_calloc(list->count + 1, sizeof *v->merges);
    v->first_merge = vka_calloc((size_t)v->size + 1, sizeof *v->first_merge);
    if (!v->merges || !v->first_merge)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    uint32_t kept = 0, left = 0;
    for (size_t i = 0; i < list->count; i++) {
        const raw_merge *m = &list->data[i];
        if (i + 1 < list->count && m[1].left == m->left && m[1].merge.right == m->merge.right)
            continue;
        while (left < m->left)
            v->first_merge[++left] = kept;
        v->merges[kept++] = m->merge;
    }
    while (left < v->size)
        v->first_merge[++left] = kept;
    return VKA_OK;
}

vka_status vka_vocabulary_merge_text(vka_vocabulary *v, const char *text, size_t size, const char *name, vka_error *err)
{
    static const char version[] = "#version";
    merge_list list = {0};
    vka_status s = VKA_OK;
    size_t line = 0;
    for (size_t at = 0, next; s == VKA_OK && at < size; at = next) {
        const char *start = text + at, *newline = memchr(start, '\n', size - at);
        size_t n = newline ? (size_t)(newline - start) : size - at;
        next = at + n + 1;
        line++;
        if (n && newline && start[n - 1] == '\r')
            n--;
        if (n == 0 || (n >= sizeof version - 1 && memcmp(start, version, sizeof version - 1) == 0))
            continue;
        const char *space = memchr(start, ' ', n);
        size_t left = space ? (size_t)(space - start) : n, right = space ? n - left - 1 : 0;
        if (!space || memchr(space + 1, ' ', right))
            s = vka_fail(err, VKA_E_INPUT,
                         "'%s' is not a list of merges: line %zu is not two pieces with a space between", name, line);
        else
            s = add_merge(v, &list, start, left, space + 1, right, line, name, err);
    }
    if (s == VKA_OK)
        s = file_merges(v, &list, name, err);
    free(list.data);
    return s;
}

vka_status vka_vocabulary_merge_json(vka_vocabulary *v, const json_t *array, const char *name, vka_error *err)
{
    merge_list list = {0};
    vka_status s = json_is_array(array) ? VKA_OK : vka_fail(err, VKA_E_INPUT, "'%s' has no list of merges", name);
    size_t count = json_array_size(array);
    for (size_t i = 0; s == VKA_OK && i < count; i++) {
        const json_t *item = json_array_get(array, i), *a = json_array_get(item, 0), *b = json_array_get(item, 1);
        const char *text = json_string_value(item), *space = text ? strchr(text, ' ') : NULL;
        if (space && !strchr(space + 1, ' '))
            s = add_merge(v, &list, text, (size_t)(space - text), space + 1, strlen(space + 1), i + 1, name, err);
        else if (json_array_size(item) == 2 && json_is_string(a) && json_is_string(b))
            s = add_merge(v, &list, json_string_value(a), json_string_length(a), json_string_value(b),
                          json_string_length(b), i + 1, name, err);
        else
            s = vka_fail(err, VKA_E_INPUT, "'%s': merge %zu is not a pair of pieces", name, i + 1);
    }
    if (s == VKA_OK)
        s = file_merges(v, &list, name, err);
    free(list.data);
    return s;
}
