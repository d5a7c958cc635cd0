/* special.c - see special.h.
 *
 * transformers' order: tokenizer_config.json names the tokens.  If it also has "added_tokens_decoder", that lists their
 * flags and the other files do not count; otherwise special_tokens_map.json overrides the names, and added_tokens.json
 * and tokenizer.json add to the list.  A name given as a plain string is looked for in the typed text.  Of two
 * definitions of one token the later counts.
 *
 * One difference: a name that no file gives an id is not looked for, where transformers would make up an id beyond the
 * rows of the token embedding. */
#include "text/special.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 4096, TOKEN_BYTES_MAX = 1024 };

/* A token as a file gives it.  `text` points into the parsed JSON or at a literal. */
typedef struct definition {
    const char *text;
    bool plain;      /* given as a bare string, without flags */
    bool normalized; /* the flag; a plain string counts as not normalised */
    json_int_t id;   /* as the file says, -1 when it does not */
    uint32_t assigned;
} definition;

typedef struct definition_list {
    definition *data;
    size_t count, capacity;
    const char *name; /* of the file, for messages */
} definition_list;

/* In transformers' order, which decides between definitions of the same token. */
static const char *const role_keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
enum { ROLE_BOS, ROLE_EOS, ROLE_UNK, ROLE_SEP, ROLE_PAD, ROLE_CLS, ROLE_MASK, ROLES };

static vka_status bad(const char *name, vka_error *err)
{
    return vka_fail(
        err, VKA_E_INPUT,
        "the special tokens of '%s' are damaged: an entry is neither a string nor an object with a \"content\"", name);
}

/* Reads a string or an object with flags.  `special` is what an object counts as that does not say whether it is. */
static vka_status read_definition(definition *d, const json_t *value, bool special, const char *name, vka_error *err)
{
    *d = (definition){.id = -1, .assigned = VKA_NO_TOKEN};
    if (json_is_string(value)) {
        d->text = json_string_value(value);
        d->plain = true;
        return VKA_OK;
    }
    d->text = json_string_value(json_object_get(value, "content"));
    if (!d->text)
        return bad(name, err);
    if (json_is_true(json_object_get(value, "single_word")))
        return vka_fail(err, VKA_E_INPUT, "the special tokens of '%s' use \"single_word\", which vkanim does not read",
                        name);
    const json_t *said = json_object_get(value, "special"), *normalized = json_object_get(value, "normalized");
    if (said)
        special = json_is_true(said);
    d->normalized = normalized ? json_is_true(normalized) : !special;
    return VKA_OK;
}

static bool same(const definition *a, const definition *b)
{
    return a->plain == b->plain && a->normalized == b->normalized && strcmp(a->text, b->text) == 0;
}

static vka_status add(definition_list *list, definition d, vka_error *err)
{
    if (list->count == TOKENS_MAX)
        return vka_fail(err, VKA_E_INPUT, "'%s' has more than the %d special tokens that vkanim reads", list->name,
                        TOKENS_MAX);
    if (strlen(d.text) > TOKEN_BYTES_MAX)
        return vka_fail(err, VKA_E_INPUT, "'%s' has a special token of more than %d bytes", list->name,
                        TOKEN_BYTES_MAX);
    definition *data = vka_grow(list->data, &list->capacity, list->count + 1, sizeof *data);
    if (!data)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    list->data = data;
    data[list->count++] = d;
    return VKA_OK;
}

/* Overrides the roles that `object` names; null keeps what was there. */
static vka_status read_roles(definition roles[ROLES], const json_t *object, const char *name, vka_error *err)
{
    for (size_t i = 0; i < ROLES; i++) {
        const json_t *value = json_object_get(object, role_keys[i]);
        if (!value || json_is_null(value))
            continue;
        vka_status s = read_definition(&roles[i], value, true, name, err);
        if (s != VKA_OK)
            return s;
    }
    return VKA_OK;
}

/* Appends the strings or objects of an array such as "additional_special_tokens". */
static vka_status read_extras(definition_list *extras, const json_t *object, vka_error *err)
{
    static const char *const keys[] = {"additional_special_tokens", "extra_special_tokens"};
    vka_status s = VKA_OK;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const json_t *array = json_object_get(object, keys[k]);
        for (size_t i = 0; s == VKA_OK && i < json_array_size(array); i++) {
            definition d;
            s = read_definition(&d, json_array_get(array, i), true, extras->name, err);
            if (s == VKA_OK)
                s = add(extras, d, err);
        }
    }
    return s;
}

/* "added_tokens_decoder": an object of id -> flags. */
static vka_status read_decoder(definition_list *list, const json_t *decoder, vka_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)decoder, key, value)
    {
        definition d;
        json_int_t id = 0;
        size_t digits = strspn(key, "0123456789");
        if (digits == 0 || digits > 9 || key[digits] != '\0')
            return vka_fail(err, VKA_E_INPUT, "'%s' is damaged: \"added_tokens_decoder\" has a key that is no id",
                            list->name);
        for (size_t i = 0; i < digits; i++)
            id = 10 * id + (key[i] - '0');
        vka_status s =
            json_is_object(value) ? read_definition(&d, value, false, list->name, err) : bad(list->name, err);
        d.id = id;
        if (s == VKA_OK)
            s = add(list, d, err);
        if (s != VKA_OK)
            return s;
    }
    return VKA_OK;
}

/* added_tokens.json: an object of token -> id; tokens that have a role are special, the rest are words. */
static vka_status read_added(definition_list *list, const json_t *added, const definition roles[ROLES], vka_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)added, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return vka_fail(err, VKA_E_INPUT, "'%s' is damaged: the id of an added token is not a whole number",
                            list->name);
        definition d = {.text = key, .normalized = true, .id = json_integer_value(value), .assigned = VKA_NO_TOKEN};
        for (size_t i = 0; i < ROLES; i++)
            if (roles[i].text && strcmp(roles[i].text, key) == 0)
                d.normalized = false;
        vka_status s = add(list, d, err);
        if (s != VKA_OK)
            return s;
    }
    return VKA_OK;
}

/* tokenizer.json's "added_tokens": an array of flags with ids. */
static vka_status read_tokenizer(definition_list *list, const json_t *tokenizer, vka_error *err)
{
    const json_t *array = json_object_get(tokenizer, "added_tokens");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i), *id = json_object_get(item, "id");
        definition d;
        vka_status s = json_is_object(item) ? read_definition(&d, item, false, list->name, err) : bad(list->name, err);
        if (s == VKA_OK && (!json_is_integer(id) || json_integer_value(id) < 0))
            s = bad(list->name, err);
        if (s != VKA_OK)
            return s;
        d.id = json_integer_value(id);
        s = add(list, d, err);
        if (s != VKA_OK)
            return s;
    }
    return VKA_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const definition *p = a, *q = b;
    if (p->id != q->id)
        return p->id < q->id ? -1 : 1;
    return strcmp(p->text, q->text);
}

static bool contains(const definition_list *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list->data[i].text, text) == 0)
            return true;
    return false;
}

/* Appends a role or an extra token unless a file lists it with flags or an identical one is there; list->data[0] to
 * [listed - 1] are the ones from files. */
static vka_status add_named(definition_list *list, size_t listed, const definition *d, vka_error *err)
{
    if (!d->text || contains(list, listed, d->text))
        return VKA_OK;
    for (size_t i = 0; i < list->count; i++)
        if (same(&list->data[i], d))
            return VKA_OK;
    return add(list, *d, err);
}

/* Reads all files into one list, in the order in which they count. */
static vka_status collect(definition_list *list, definition roles[ROLES], definition_list *extras,
                          const vka_special_files *files, vka_error *err)
{
    static const char start[] = "<|startoftext|>", end[] = "<|endoftext|>";
    for (size_t i = 0; i < ROLES; i++)
        roles[i] = (definition){.plain = true, .id = -1, .assigned = VKA_NO_TOKEN};
    roles[ROLE_BOS].text = start;
    roles[ROLE_EOS].text = roles[ROLE_UNK].text = roles[ROLE_PAD].text = end;
    vka_status s = read_roles(roles, files->config, list->name, err);
    if (s == VKA_OK)
        s = read_extras(extras, files->config, err);
    const json_t *decoder = json_object_get(files->config, "added_tokens_decoder");
    if (s == VKA_OK && json_is_object(decoder)) {
        s = read_decoder(list, decoder, err);
    } else if (s == VKA_OK) {
        s = read_roles(roles, files->map, list->name, err);
        if (s == VKA_OK)
            s = read_extras(extras, files->map, err);
        if (s == VKA_OK)
            s = read_added(list, files->added, roles, err);
        if (s == VKA_OK)
            s = read_tokenizer(list, files->tokenizer, err);
    }
    if (s == VKA_OK && list->count)
        qsort(list->data, list->count, sizeof *list->data, compare_ids);
    size_t listed = list->count;
    for (size_t i = 0; s == VKA_OK && i < ROLES; i++)
        s = add_named(list, listed, &roles[i], err);
    for (size_t i = 0; s == VKA_OK && i < extras->count; i++)
        s = add_named(list, listed, &extras->data[i], err);
    return s;
}

/* Gives each token the vocabulary's id, or the next free one when a file lists it as an addition. */
static vka_status assign(vka_specials *s, definition_list *list, const vka_vocabulary *v, vka_error *err)
{
    s->size = v->size;
    for (size_t i = 0; i < list->count; i++) {
        definition *d = &list->data[i];
        d->assigned = vka_vocabulary_find(v, d->text, strlen(d->text));
        for (size_t k = 0; k < i && d->assigned == VKA_NO_TOKEN; k++)
            if (strcmp(list->data[k].text, d->text) == 0)
                d->assigned = list->data[k].assigned;
        if (d->assigned == VKA_NO_TOKEN && d->id >= 0)
            d->assigned = s->size++;
        if (d->id >= 0 && d->id != (json_int_t)d->assigned)
            return vka_fail(err, VKA_E_INPUT,
                            "'%s' is damaged: a special token has the id %lld there, but %u by its vocabulary",
                            list->name, (long long)d->id, d->assigned);
    }
    return VKA_OK;
}

static int compare_patterns(const void *a, const void *b)
{
    const vka_special *p = a, *q = b;
    for (size_t i = 0; i < p->count && i < q->count; i++)
        if (p->pattern[i] != q->pattern[i])
            return p->pattern[i] < q->pattern[i] ? -1 : 1;
    if (p->count != q->count)
        return p->count < q->count ? -1 : 1;
    return p->order < q->order ? -1 : p->order > q->order;
}

/* What to look for: the token's characters, normalised where its flag says so. */
static bool make_pattern(vka_u32_list *pattern, const definition *d)
{
    if (!d->normalized)
        return vka_utf8_decode(pattern, d->text, strlen(d->text));
    vka_u32_list typed = {0};
    bool ok = vka_utf8_decode(&typed, d->text, strlen(d->text)) && vka_text_normalize(pattern, typed.data, typed.count);
    vka_u32_list_free(&typed);
    return ok;
}

static vka_status add_pattern(vka_special_list *list, const definition *d, uint32_t order, vka_error *err)
{
    vka_u32_list pattern = {0};
    vka_special *tokens = NULL;
    if (make_pattern(&pattern, d))
        tokens = vka_grow(list->tokens, &list->capacity, list->count + 1, sizeof *tokens);
    if (tokens)
        list->tokens = tokens;
    if (!tokens || pattern.count == 0) { /* transformers passes over empty tokens, too */
        vka_u32_list_free(&pattern);
        return tokens ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    tokens[list->count++] =
        (vka_special){.pattern = pattern.data, .count = pattern.count, .id = d->assigned, .order = order};
    return VKA_OK;
}

/* Sorts, and of equal patterns keeps the first. */
static void finish(vka_special_list *list)
{
    if (list->count == 0)
        return;
    qsort(list->tokens, list->count, sizeof *list->tokens, compare_patterns);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        const vka_special *a = &list->tokens[kept - 1], *b = &list->tokens[i];
        if (a->count == b->count && memcmp(a->pattern, b->pattern, a->count * sizeof *a->pattern) == 0)
            free(b->pattern);
        else
            list->tokens[kept++] = *b;
    }
    list->count = kept;
}

static uint32_t role_id(const definition_list *list, const definition *role)
{
    for (size_t i = 0; i < list->count && role->text; i++)
        if (strcmp(list->data[i].text, role->text) == 0)
            return list->data[i].assigned;
    return VKA_NO_TOKEN;
}

static vka_status require(uint32_t id, const char *what, const char *name, vka_error *err)
{
    return id != VKA_NO_TOKEN
               ? VKA_OK
               : vka_fail(err, VKA_E_INPUT, "'%s' is not CLIP's vocabulary: it lacks the %s token", name, what);
}

vka_status vka_specials_create(vka_specials *s, const vka_vocabulary *v, const vka_special_files *files,
                               const char *name, vka_error *err)
{
    *s = (vka_specials){0};
    definition roles[ROLES];
    definition_list list = {.name = name}, extras = {.name = name};
    vka_status status = collect(&list, roles, &extras, files, err);
    if (status == VKA_OK)
        status = assign(s, &list, v, err);
    if (status == VKA_OK) {
        s->bos = role_id(&list, &roles[ROLE_BOS]);
        s->eos = role_id(&list, &roles[ROLE_EOS]);
        s->unk = role_id(&list, &roles[ROLE_UNK]);
        s->pad = role_id(&list, &roles[ROLE_PAD]);
        if (s->pad == VKA_NO_TOKEN)
            s->pad = s->eos;
        status = require(s->bos, "start", name, err);
    }
    if (status == VKA_OK)
        status = require(s->eos, "end", name, err);
    if (status == VKA_OK)
        status = require(s->unk, "unknown", name, err);
    for (size_t i = 0; status == VKA_OK && i < list.count; i++) {
        bool last = list.data[i].assigned != VKA_NO_TOKEN; /* later definitions of the same token replace this one */
        for (size_t k = i + 1; last && k < list.count; k++)
            last = strcmp(list.data[k].text, list.data[i].text) != 0;
        if (last)
            status = add_pattern(list.data[i].normalized ? &s->normalized : &s->typed, &list.data[i], (uint32_t)i, err);
    }
    finish(&s->typed);
    finish(&s->normalized);
    free(list.data);
    free(extras.data);
    if (status != VKA_OK)
        vka_specials_destroy(s);
    return status;
}

static void destroy_list(vka_special_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->tokens[i].pattern);
    free(list->tokens);
    *list = (vka_special_list){0};
}

void vka_specials_destroy(vka_specials *s)
{
    destroy_list(&s->typed);
    destroy_list(&s->normalized);
    *s = (vka_specials){0};
}

/* First token in [low, high) whose character `depth` is at least `c`; all of them are longer than `depth`. */
static size_t lower_bound(const vka_special *tokens, size_t low, size_t high, size_t depth, uint32_t c)
{
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (tokens[mid].pattern[depth] < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const vka_special *vka_special_match(const vka_special_list *list, const uint32_t *text, size_t count)
{
    const vka_special *best = NULL;
    size_t low = 0, high = list->count;
    for (size_t depth = 0; low < high; depth++) {
        if (list->tokens[low].count == depth)
            best = &list->tokens[low++];
        if (depth == count)
            break;
        low = lower_bound(list->tokens, low, high, depth, text[depth]);
        high = text[depth] == UINT32_MAX ? high : lower_bound(list->tokens, low, high, depth, text[depth] + 1);
    }
    return best;
}
