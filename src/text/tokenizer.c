/* tokenizer.c - see tokenizer.h.  Text goes through four stages, each a function below:
 * typed text -> (special tokens cut out) encode_typed -> (normalised, special tokens again) encode_normalized
 * -> words: encode_words -> pieces: vka_bpe_word. */
#include "text/tokenizer.h"

#include "base/file.h"
#include "base/mem.h"
#include "text/special.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 32 << 20 }; /* bytes; CLIP's tokenizer.json has under 4 MiB */

struct vka_tokenizer {
    vka_vocabulary vocabulary;
    vka_specials specials;
};

/* What one call of encode carries along. */
typedef struct job {
    const vka_tokenizer *tokenizer;
    vka_u32_list ids;
    vka_bpe bpe;
    uint8_t *word; /* bytes of the current word */
    size_t word_capacity;
} job;

/* One word, as UTF-8, through the merges. */
static bool encode_word(job *j, const uint32_t *text, size_t count)
{
    if (count > SIZE_MAX / 4)
        return false;
    uint8_t *word = vka_grow(j->word, &j->word_capacity, 4 * count, 1);
    if (!word)
        return false;
    j->word = word;
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += vka_utf8_encode(text[i], word + size);
    return vka_bpe_word(&j->bpe, &j->tokenizer->vocabulary, word, size, j->tokenizer->specials.unk, &j->ids);
}

static bool starts_with(const uint32_t *text, size_t count, const char *ascii, size_t *length)
{
    size_t n = strlen(ascii);
    if (n > count)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] != (uint32_t)(unsigned char)ascii[i])
            return false;
    *length = n;
    return true;
}

/* The length of the word at text[0], count > 0, which is no white space.  The order of the rules matters. */
static size_t word_length(const uint32_t *text, size_t count)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    size_t n = 1;
    for (size_t i = 0; text[0] == '\'' && i < sizeof endings / sizeof endings[0]; i++)
        if (starts_with(text, count, endings[i], &n))
            return n;
    vka_char_class class = vka_char_classify(text[0]);
    if (class != VKA_CHAR_NUMBER)
        while (n < count && vka_char_classify(text[n]) == class)
            n++;
    return n;
}

/* Normalised text without special tokens: words between white space. */
static bool encode_words(job *j, const uint32_t *text, size_t count)
{
    static const char *const markers[] = {"<|startoftext|>", "<|endoftext|>"};
    bool ok = true;
    for (size_t i = 0, n; ok && i < count; i += n) {
        n = 1;
        if (vka_char_classify(text[i]) == VKA_CHAR_SPACE)
            continue;
        /* The two names end a run of signs also where they are no tokens of this vocabulary or came out of lower case:
         * they stand as "<|", the name, "|>", and what follows begins anew. */
        if (text[i] == '<' &&
            (starts_with(text + i, count - i, markers[0], &n) || starts_with(text + i, count - i, markers[1], &n)))
            ok = encode_word(j, text + i, 2) && encode_word(j, text + i + 2, n - 4) &&
                 encode_word(j, text + i + n - 2, 2);
        else
            ok = encode_word(j, text + i, n = word_length(text + i, count - i));
    }
    return ok;
}

/* Calls `rest` on what lies between special tokens and adds the tokens themselves. */
static bool split(job *j, const vka_special_list *list, const uint32_t *text, size_t count,
                  bool (*rest)(job *j, const uint32_t *text, size_t count))
{
    size_t from = 0, at = 0;
    while (at < count) {
        const vka_special *special = vka_special_match(list, text + at, count - at);
        if (!special) {
            at++;
            continue;
        }
        if ((at > from && !rest(j, text + from, at - from)) || !vka_u32_list_add(&j->ids, special->id))
            return false;
        from = at += special->count;
    }
    return at == from || rest(j, text + from, at - from);
}

static bool encode_normalized(job *j, const uint32_t *text, size_t count)
{
    vka_u32_list normalized = {0};
    bool ok = vka_text_normalize(&normalized, text, count) &&
              split(j, &j->tokenizer->specials.normalized, normalized.data, normalized.count, encode_words);
    vka_u32_list_free(&normalized);
    return ok;
}

static bool encode_typed(job *j, const uint32_t *text, size_t count)
{
    return split(j, &j->tokenizer->specials.typed, text, count, encode_normalized);
}

vka_status vka_tokenizer_encode(const vka_tokenizer *t, const char *text, size_t size, uint32_t **ids, size_t *count,
                                vka_error *err)
{
    *ids = NULL;
    *count = 0;
    if (size > VKA_TEXT_MAX)
        return vka_fail(err, VKA_E_USAGE, "the prompt has %zu bytes, more than the %u that vkanim reads", size,
                        VKA_TEXT_MAX);
    vka_u32_list typed = {0};
    job j = {.tokenizer = t};
    bool ok = vka_utf8_decode(&typed, text, size) && encode_typed(&j, typed.data, typed.count);
    vka_u32_list_free(&typed);
    vka_bpe_free(&j.bpe);
    free(j.word);
    if (!ok) {
        vka_u32_list_free(&j.ids);
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading the prompt");
    }
    *ids = j.ids.data;
    *count = j.ids.count;
    return VKA_OK;
}

/* Parses a file that may be absent (then *root is NULL). */
static vka_status parse(json_t **root, const vka_text_file *file, vka_error *err)
{
    *root = NULL;
    if (!file->data)
        return VKA_OK;
    if (file->size > (size_t)FILE_MAX)
        return vka_fail(err, VKA_E_INPUT, "'%s' is larger than the %d MiB that a tokenizer file may have", file->name,
                        FILE_MAX >> 20);
    json_error_t why;
    *root = json_loadb(file->data, file->size, JSON_REJECT_DUPLICATES, &why);
    if (*root)
        return VKA_OK;
    if (json_error_code(&why) == json_error_out_of_memory || !why.text[0])
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", file->name);
    for (char *p = why.text; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    vka_fail(err, VKA_E_INPUT, "'%s' is not a JSON file that vkanim can read", file->name);
    vka_error_why(err, "line %d: %s", why.line, why.text);
    return VKA_E_INPUT;
}

/* Pieces and merges of tokenizer.json, which must be a byte-pair model that ends words as CLIP does. */
static vka_status load_tokenizer_json(vka_vocabulary *v, const json_t *root, const char *name, vka_error *err)
{
    const json_t *model = json_object_get(root, "model"), *type = json_object_get(model, "type");
    const char *ending = json_string_value(json_object_get(model, "end_of_word_suffix"));
    if ((type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0)) || !ending ||
        strcmp(ending, VKA_WORD_END) != 0)
        return vka_fail(err, VKA_E_INPUT, "'%s' is not a tokenizer of CLIP's kind", name);
    vka_status s = vka_vocabulary_create(v, json_object_get(model, "vocab"), name, err);
    return s != VKA_OK ? s : vka_vocabulary_merge_json(v, json_object_get(model, "merges"), name, err);
}

static vka_status load_vocabulary(vka_vocabulary *v, const vka_tokenizer_files *files, const json_t *tokenizer,
                                  vka_error *err)
{
    if (tokenizer)
        return load_tokenizer_json(v, tokenizer, files->tokenizer.name, err);
    if (!files->vocab.data || !files->merges.data)
        return vka_fail(err, VKA_E_INPUT, "a tokenizer needs vocab.json and merges.txt, or tokenizer.json");
    if (files->merges.size > (size_t)FILE_MAX)
        return vka_fail(err, VKA_E_INPUT, "'%s' is larger than the %d MiB that a tokenizer file may have",
                        files->merges.name, FILE_MAX >> 20);
    json_t *pieces;
    vka_status s = parse(&pieces, &files->vocab, err);
    if (s == VKA_OK)
        s = vka_vocabulary_create(v, pieces, files->vocab.name, err);
    json_decref(pieces);
    if (s != VKA_OK)
        return s;
    return vka_vocabulary_merge_text(v, files->merges.data, files->merges.size, files->merges.name, err);
}

vka_status vka_tokenizer_create(vka_tokenizer **out, const vka_tokenizer_files *files, vka_error *err)
{
    *out = NULL;
    vka_tokenizer *t = vka_calloc(1, sizeof *t);
    if (!t)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    json_t *tokenizer = NULL, *config = NULL, *map = NULL, *added = NULL;
    vka_status s = parse(&tokenizer, &files->tokenizer, err);
    if (s == VKA_OK)
        s = load_vocabulary(&t->vocabulary, files, tokenizer, err);
    if (s == VKA_OK)
        s = parse(&config, &files->config, err);
    if (s == VKA_OK)
        s = parse(&map, &files->special_map, err);
    if (s == VKA_OK)
        s = parse(&added, &files->added, err);
    vka_special_files special = {.config = config, .map = map, .added = added, .tokenizer = tokenizer};
    if (s == VKA_OK)
        s = vka_specials_create(&t->specials, &t->vocabulary, &special,
                                tokenizer ? files->tokenizer.name : files->vocab.name, err);
    json_decref(tokenizer);
    json_decref(config);
    json_decref(map);
    json_decref(added);
    if (s == VKA_OK)
        *out = t;
    else
        vka_tokenizer_destroy(&t);
    return s;
}

vka_status vka_tokenizer_open(vka_tokenizer **out, const char *dir, vka_error *err)
{
    static const char *const names[] = {
        "tokenizer.json",          "vocab.json",       "merges.txt", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json"};
    enum { COUNT = sizeof names / sizeof names[0] };
    vka_tokenizer_files files = {0};
    vka_text_file *const list[COUNT] = {&files.tokenizer, &files.vocab,       &files.merges,
                                        &files.config,    &files.special_map, &files.added};
    char *paths[COUNT] = {0}, *data[COUNT] = {0};
    vka_status s = VKA_OK;
    *out = NULL;
    if (!vka_path_is_dir(dir))
        s = vka_fail(err, VKA_E_INPUT, "'%s' is not a folder with a tokenizer", dir);
    for (size_t i = 0; s == VKA_OK && i < COUNT; i++) {
        paths[i] = vka_path_join(dir, names[i]);
        bool needed = !files.tokenizer.data && (list[i] == &files.vocab || list[i] == &files.merges);
        bool ignored = files.tokenizer.data && (list[i] == &files.vocab || list[i] == &files.merges);
        if (!paths[i])
            s = vka_fail(err, VKA_E_MEMORY, "out of memory");
        else if (needed || (!ignored && vka_path_exists(paths[i])))
            s = vka_read_file(paths[i], (size_t)FILE_MAX, &data[i], &list[i]->size, err);
        list[i]->name = paths[i];
        list[i]->data = data[i];
    }
    if (s == VKA_OK)
        s = vka_tokenizer_create(out, &files, err);
    for (size_t i = 0; i < COUNT; i++) {
        free(paths[i]);
        free(data[i]);
    }
    return s;
}

void vka_tokenizer_destroy(vka_tokenizer **tokenizer)
{
    if (!*tokenizer)
        return;
    vka_vocabulary_destroy(&(*tokenizer)->vocabulary);
    vka_specials_destroy(&(*tokenizer)->specials);
    free(*tokenizer);
    *tokenizer = NULL;
}

uint32_t vka_tokenizer_bos(const vka_tokenizer *t)
{
    return t->specials.bos;
}
uint32_t vka_tokenizer_eos(const vka_tokenizer *t)
{
    return t->specials.eos;
}
uint32_t vka_tokenizer_pad(const vka_tokenizer *t)
{
    return t->specials.pad;
}
uint32_t vka_tokenizer_size(const vka_tokenizer *t)
{
    return t->specials.size;
}

bool vka_tokenizer_find(const vka_tokenizer *t, const char *piece, uint32_t *id)
{
    uint32_t found = vka_vocabulary_find(&t->vocabulary, piece, strlen(piece));
    if (found == VKA_NO_TOKEN)
        return false;
    *id = found;
    return true;
}
