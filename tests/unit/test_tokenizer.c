/* test_tokenizer.c - the room `text` against ids that transformers' CLIPTokenizer gave, against a naive byte-pair
 * encoder, and against files that are wrong in every way we could think of. */
#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#define MINIATURE VKA_SOURCE_DIR "/models/miniature/tokenizer"
#define START     "<|startoftext|>"
#define END       "<|endoftext|>"

static vka_text_file file_of(const char *name, const char *text)
{
    return (vka_text_file){.name = name, .data = text, .size = text ? strlen(text) : 0};
}

/* A tokenizer from literals; any but the first two may be NULL.  NULL and a filled error when refused. */
static vka_tokenizer *make(const char *vocab, const char *merges, const char *map, const char *config, vka_error *err)
{
    vka_tokenizer_files files = {.vocab = file_of("vocab.json", vocab),
                                 .merges = file_of("merges.txt", merges),
                                 .special_map = file_of("special_tokens_map.json", map),
                                 .config = file_of("tokenizer_config.json", config)};
    vka_tokenizer *t;
    vka_error_clear(err);
    vka_status s = vka_tokenizer_create(&t, &files, err);
    assert_int_equal(s, err->status);
    assert_true((s == VKA_OK) == (t != NULL));
    return t;
}

static vka_tokenizer *open_miniature(void)
{
    vka_tokenizer *t;
    vka_error err = {0};
    if (vka_tokenizer_open(&t, MINIATURE, &err) != VKA_OK)
        fail_msg("%s", err.what);
    return t;
}

static void expect_ids(const vka_tokenizer *t, const char *text, size_t size, const uint32_t *want, size_t want_count,
                       const char *label)
{
    uint32_t *ids;
    size_t count;
    vka_error err = {0};
    assert_int_equal(vka_tokenizer_encode(t, text, size, &ids, &count, &err), VKA_OK);
    bool equal = count == want_count;
    for (size_t i = 0; equal && i < count; i++)
        equal = ids[i] == want[i];
    if (!equal) {
        for (size_t i = 0; i < count || i < want_count; i++)
            print_error("%zu: %ld, want %ld\n", i, i < count ? (long)ids[i] : -1L,
                        i < want_count ? (long)want[i] : -1L);
        fail_msg("wrong ids for %s", label);
    }
    free(ids);
}

#define EXPECT(t, text, ...)                                                                                           \
    expect_ids((t), (text), strlen(text), (const uint32_t[]){__VA_ARGS__},                                             \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (text))

/* The toy of transformers' own tests: three merges, an unknown token that is not the end token. */
static const char toy_vocab[] =
    "{\"l\":0,\"o\":1,\"w\":2,\"e\":3,\"r\":4,\"s\":5,\"t\":6,\"i\":7,\"d\":8,\"n\":9,\"lo\":10,\"l</w>\":11,"
    "\"w</w>\":12,\"r</w>\":13,\"t</w>\":14,\"low</w>\":15,\"er</w>\":16,\"lowest</w>\":17,\"newer</w>\":18,"
    "\"wider\":19,\"<unk>\":20,\"" START "\":21,\"" END "\":22}";
static const char toy_merges[] = "#version: 0.2\nl o\nlo w</w>\ne r</w>";
static const char toy_map[] = "{\"unk_token\":\"<unk>\"}";

static void toy_vocabulary(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_tokenizer *t = make(toy_vocab, toy_merges, toy_map, NULL, &err);
    assert_non_null(t);
    EXPECT(t, "lower newer", 10, 2, 16, 9, 3, 2, 16);
    EXPECT(t, "low lowx", 15, 10, 2, 20);
    EXPECT(t, "zz", 20, 20);
    EXPECT(t, "<unk>l", 20, 11);
    assert_int_equal(vka_tokenizer_bos(t), 21);
    assert_int_equal(vka_tokenizer_eos(t), 22);
    assert_int_equal(vka_tokenizer_pad(t), 22);
    assert_int_equal(vka_tokenizer_size(t), 23);
    uint32_t id = 99;
    assert_true(vka_tokenizer_find(t, "low</w>", &id));
    assert_int_equal(id, 15);
    assert_false(vka_tokenizer_find(t, "lowe", &id));
    vka_tokenizer_destroy(&t);
    assert_null(t);
    vka_tokenizer_destroy(&t);
}

static uint32_t *ids_of(const json_t *array, size_t *count)
{
    *count = json_array_size(array);
    uint32_t *ids = vka_calloc(*count, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *count; i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

static char *bytes_of(const char *hex, size_t *size)
{
    *size = strlen(hex) / 2;
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *size; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (char)strtoul(two, NULL, 16);
    }
    return bytes;
}

static void run_cases(const vka_tokenizer *t)
{
    json_error_t why;
    json_t *cases = json_load_file(VKA_TEST_DATA "/golden/tokenizer_cases.json", JSON_ALLOW_NUL, &why);
    assert_non_null(cases);
    assert_true(json_array_size(cases) > 150);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i), *text = json_object_get(item, "text");
        const char *hex = json_string_value(json_object_get(item, "bytes"));
        size_t count, size;
        uint32_t *ids = ids_of(json_object_get(item, "ids"), &count);
        char label[64];
        snprintf(label, sizeof label, "case %zu", i);
        if (text) {
            expect_ids(t, json_string_value(text), json_string_length(text), ids, count, label);
        } else {
            assert_non_null(hex);
            char *bytes = bytes_of(hex, &size);
            expect_ids(t, bytes, size, ids, count, label);
            free(bytes);
        }
        free(ids);
    }
    json_decref(cases);
}

static void equals_transformers(void **state)
{
    (void)state;
    vka_tokenizer *t = open_miniature();
    assert_int_equal(vka_tokenizer_size(t), 887);
    assert_int_equal(vka_tokenizer_bos(t), 885);
    assert_int_equal(vka_tokenizer_eos(t), 886);
    assert_int_equal(vka_tokenizer_pad(t), 886);
    run_cases(t);
    vka_tokenizer_destroy(&t);
}

/* The same vocabulary as transformers 5 saves it, merges as pairs or as strings. */
static void reads_tokenizer_json(void **state)
{
    (void)state;
    for (int pairs = 0; pairs < 2; pairs++) {
        char *merges;
        size_t size;
        vka_error err = {0};
        assert_int_equal(vka_read_file(MINIATURE "/merges.txt", 1 << 20, &merges, &size, &err), VKA_OK);
        json_t *list = json_array(), *vocab = json_load_file(MINIATURE "/vocab.json", 0, NULL);
        assert_non_null(vocab);
        for (char *line = merges, *next; *line; line = next) {
            size_t n = strcspn(line, "\n");
            next = line + n + (line[n] == '\n');
            line[n] = '\0';
            const char *space = strchr(line, ' ');
            if (strncmp(line, "#version", 8) != 0 && space)
                json_array_append_new(list, pairs ? json_pack("[s#s]", line, (int)(space - line), space + 1)
                                                  : json_string(line));
        }
        assert_int_equal(json_array_size(list), 373);
        json_t *added = json_pack("[{s:i,s:s,s:b,s:b},{s:i,s:s,s:b,s:b}]", "id", 885, "content", START, "normalized", 1,
                                  "special", 1, "id", 886, "content", END, "normalized", 0, "special", 1);
        json_t *root = json_pack("{s:o,s:{s:s,s:s,s:o,s:o}}", "added_tokens", added, "model", "type", "BPE",
                                 "end_of_word_suffix", "</w>", "vocab", vocab, "merges", list);
        assert_non_null(root);
        char *text = json_dumps(root, JSON_COMPACT);
        vka_tokenizer_files files = {.tokenizer = file_of("tokenizer.json", text)};
        vka_tokenizer *t;
        if (vka_tokenizer_create(&t, &files, &err) != VKA_OK)
            fail_msg("%s", err.what);
        run_cases(t);
        vka_tokenizer_destroy(&t);
        json_decref(root);
        free(text);
        free(merges);
    }
}

/* Which special tokens are found where: ids from transformers with the same files. */
static void special_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *map, *config;
        uint32_t pad, upper, bang; /* id of "<|ENDOFTEXT|>" (0: not found), of the last token of "a!" */
    } table[] = {
        {NULL, NULL, 886, 0, 256},
        {"{\"pad_token\":\"!\"}", NULL, 0, 0, 0},
        {"{\"bos_token\":\"" START "\",\"eos_token\":{\"content\":\"" END "\",\"normalized\":true},"
         "\"unk_token\":{\"content\":\"" END "\",\"normalized\":true},\"pad_token\":\"!\"}",
         NULL, 0, 886, 0},
        {"{\"eos_token\":{\"content\":\"" END "\",\"normalized\":true},\"unk_token\":\"" END "\",\"pad_token\":"
         "{\"content\":\"" END "\",\"normalized\":true}}",
         NULL, 886, 0, 256},
        {"{\"pad_token\":\"" END "\"}",
         "{\"pad_token\":\"!\",\"added_tokens_decoder\":{\"886\":{\"content\":\"" END
         "\",\"normalized\":true,\"special\":true}}}",
         0, 886, 0},
        {NULL, "{\"pad_token\":null,\"added_tokens_decoder\":{\"886\":{\"content\":\"" END "\"}}}", 886, 886, 256},
    };
    char *vocab, *merges;
    vka_error err = {0};
    assert_int_equal(vka_read_file(MINIATURE "/vocab.json", 1 << 20, &vocab, NULL, &err), VKA_OK);
    assert_int_equal(vka_read_file(MINIATURE "/merges.txt", 1 << 20, &merges, NULL, &err), VKA_OK);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        vka_tokenizer *t = make(vocab, merges, table[i].map, table[i].config, &err);
        if (!t)
            fail_msg("row %zu: %s", i, err.what);
        assert_int_equal(vka_tokenizer_pad(t), table[i].pad);
        uint32_t *ids;
        size_t count;
        const char upper[] = "<|ENDOFTEXT|>";
        assert_int_equal(vka_tokenizer_encode(t, upper, strlen(upper), &ids, &count, &err), VKA_OK);
        assert_true(table[i].upper ? count == 1 && ids[0] == table[i].upper : count > 1);
        free(ids);
        EXPECT(t, "a!", 320, table[i].bang);
        EXPECT(t, "a" END "a", 320, 886, 320);
        vka_tokenizer_destroy(&t);
    }
    /* A token that only added_tokens.json knows takes the next id, in any case of letters. */
    vka_tokenizer_files files = {.vocab = file_of("vocab.json", vocab),
                                 .merges = file_of("merges.txt", merges),
                                 .added = file_of("added_tokens.json", "{\"<CAT>\":887,\"<dog>\":888}")};
    vka_tokenizer *t;
    assert_int_equal(vka_tokenizer_create(&t, &files, &err), VKA_OK);
    assert_int_equal(vka_tokenizer_size(t), 889);
    EXPECT(t, "<CAT> <cat><DOG>a", 887, 887, 888, 320);
    vka_tokenizer_destroy(&t);
    free(vocab);
    free(merges);
}

static void chunks(void **state)
{
    (void)state;
    static const struct {
        size_t tokens, at_least;
        uint32_t length;
        size_t want;
    } table[] = {{0, 0, 77, 1},  {1, 1, 77, 1}, {75, 0, 77, 1}, {76, 0, 77, 2}, {150, 1, 77, 2}, {151, 0, 77, 3},
                 {75, 3, 77, 3}, {0, 2, 77, 2}, {5, 0, 3, 5},   {14, 0, 16, 1}, {15, 0, 16, 2},  {200, 2, 16, 15}};
    vka_error err = {0};
    vka_tokenizer *t = make(toy_vocab, toy_merges, "{\"unk_token\":\"<unk>\",\"pad_token\":\"n\"}", NULL, &err);
    assert_non_null(t);
    assert_int_equal(vka_tokenizer_pad(t), 9);
    for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
        size_t n = table[k].tokens, body = table[k].length - 2;
        uint32_t ids[256];
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)(1000 + i);
        vka_text_chunks c;
        assert_int_equal(vka_text_chunks_make(&c, t, ids, n, table[k].length, table[k].at_least, &err), VKA_OK);
        assert_int_equal(c.count, table[k].want);
        assert_int_equal(c.length, table[k].length);
        assert_true(vka_text_chunks_needed(n, c.length) <= c.count);
        if (table[k].at_least <= 1)
            assert_int_equal(vka_text_chunks_needed(n, c.length), c.count);
        for (size_t row = 0; row < c.count; row++)
            for (size_t i = 0; i < c.length; i++) {
                size_t from = row * body, here = n > from ? (n - from < body ? n - from : body) : 0;
                uint32_t want = i == 0 ? 21 : i <= here ? (uint32_t)(1000 + from + i - 1) : i == here + 1 ? 22 : 9;
                assert_int_equal(c.ids[row * c.length + i], want);
            }
        vka_text_chunks_free(&c);
        assert_null(c.ids);
    }
    vka_text_chunks c;
    assert_int_equal(vka_text_chunks_make(&c, t, NULL, 0, 2, 1, &err), VKA_E_INPUT);
    assert_null(c.ids);
    vka_error_clear(&err);
    assert_int_equal(vka_text_chunks_make(&c, t, NULL, 0, 77, SIZE_MAX / 8, &err), VKA_E_MEMORY);
    vka_tokenizer_destroy(&t);
}

/* Files that are no tokenizer, and what the sentence must say. */
static void hostile_files(void **state)
{
    (void)state;
#define ENDS "\"" START "\":90,\"" END "\":91"
    static const struct {
        const char *vocab, *merges, *map, *config, *says;
    } table[] = {
        {"", "", NULL, NULL, "JSON"},
        {"nonsense", "", NULL, NULL, "JSON"},
        {"{\"a\":0,", "", NULL, NULL, "JSON"},
        {"[1,2]", "", NULL, NULL, "no JSON object"},
        {"{}", "", NULL, NULL, "empty"},
        {"{\"a\":0,\"a\":1," ENDS "}", "", NULL, NULL, "JSON"},
        {"{\"a\":0,\"b\":0," ENDS "}", "", NULL, NULL, "two entries"},
        {"{\"a\":1.5," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":\"1\"," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":null," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":-1," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":1048576," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":9223372036854775807," ENDS "}", "", NULL, NULL, "whole number"},
        {"{\"a\":0,\"\xff\":1," ENDS "}", "", NULL, NULL, "JSON"},
        {"{\"a\":0,\"" END "\":91}", "", NULL, NULL, "start token"},
        {"{\"a\":0,\"" START "\":90}", "", NULL, NULL, "end token"},
        {"{\"a\":0," ENDS "}", "", toy_map, NULL, "unknown token"},
        {"{\"a\":0,\"b\":1," ENDS "}", "#version: 0.2\na b\n", NULL, NULL, "merge 2 makes"},
        {"{\"a\":0,\"ab\":1," ENDS "}", "a b", NULL, NULL, "merge 1 names"},
        {"{\"a\":0," ENDS "}", "a", NULL, NULL, "line 1"},
        {"{\"a\":0," ENDS "}", "\n\na  a\n", NULL, NULL, "line 3"},
        {"{\"a\":0," ENDS "}", "a a a", NULL, NULL, "line 1"},
        {"{\"a\":0," ENDS "}", "a\ta", NULL, NULL, "line 1"},
        {"{\"a\":0," ENDS "}", "", "{\"eos_token\":7}", NULL, "special tokens"},
        {"{\"a\":0," ENDS "}", "", "{\"eos_token\":{}}", NULL, "special tokens"},
        {"{\"a\":0," ENDS "}", "", "{\"eos_token\":[\"a\"]}", NULL, "special tokens"},
        {"{\"a\":0," ENDS "}", "", "{\"mask_token\":{\"content\":\"a\",\"single_word\":true}}", NULL, "single_word"},
        {"{\"a\":0," ENDS "}", "", "{", NULL, "special_tokens_map.json"},
        {"{\"a\":0," ENDS "}", "", NULL, "nope", "tokenizer_config.json"},
        {"{\"a\":0," ENDS "}", "", NULL, "{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}", "no id"},
        {"{\"a\":0," ENDS "}", "", NULL, "{\"added_tokens_decoder\":{\"99999999999999999999\":{\"content\":\"a\"}}}",
         "no id"},
        {"{\"a\":0," ENDS "}", "", NULL, "{\"added_tokens_decoder\":{\"5\":{\"content\":\"a\"}}}", "has the id 5"},
        {"{\"a\":0," ENDS "}", "", NULL, "{\"added_tokens_decoder\":{\"5\":\"a\"}}", "special tokens"},
        {"{\"a\":0," ENDS "}", NULL, NULL, NULL, "merges.txt"},
        {NULL, "", NULL, NULL, "vocab.json"},
    };
    vka_error err;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        vka_tokenizer *t = make(table[i].vocab, table[i].merges, table[i].map, table[i].config, &err);
        assert_null(t);
        if (err.status != VKA_E_INPUT || !strstr(err.what, table[i].says) || strchr(err.what, '\n'))
            fail_msg("row %zu: status %d, \"%s\"", i, (int)err.status, err.what);
    }
    static const char *const json[] = {
        "{}",
        "[]",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"}}",
        "{\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0," ENDS "}}}",
        "{\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0," ENDS "},\"merges\":[7]}}",
        "{\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0," ENDS "},\"merges\":[[\"a\"]]}}",
        "{\"added_tokens\":[7],\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{"
        "\"a\":0," ENDS "},\"merges\":[]}}"};
    for (size_t i = 0; i < sizeof json / sizeof json[0]; i++) {
        vka_tokenizer_files files = {.tokenizer = file_of("tokenizer.json", json[i])};
        vka_tokenizer *t;
        vka_error_clear(&err);
        assert_int_equal(vka_tokenizer_create(&t, &files, &err), VKA_E_INPUT);
        assert_null(t);
    }
    vka_tokenizer *t = make("{\"a\":0," ENDS "}", "", NULL, NULL, &err); /* what the table spoils is good */
    assert_non_null(t);
    vka_tokenizer_destroy(&t);
}

/* A vocabulary with `count` made-up entries and the two markers. */
static char *big_vocabulary(size_t count)
{
    char *text = malloc(count * 20 + 100), *to = text;
    assert_non_null(text);
    to += sprintf(to, "{\"" START "\":0,\"" END "\":1");
    for (size_t i = 0; i < count; i++)
        to += sprintf(to, ",\"%zx\":%zu", i, i + 2);
    sprintf(to, "}");
    return text;
}

static void huge_files(void **state)
{
    (void)state;
    vka_error err;
    char *vocab = big_vocabulary(10 * 1000 * 1000);
    assert_null(make(vocab, "", NULL, NULL, &err));
    assert_int_equal(err.status, VKA_E_INPUT);
    assert_non_null(strstr(err.what, "larger than"));
    free(vocab);
    vocab = big_vocabulary(VKA_VOCAB_MAX - 1);
    assert_null(make(vocab, "", NULL, NULL, &err));
    assert_int_equal(err.status, VKA_E_INPUT);
    assert_non_null(strstr(err.what, "more than the"));
    free(vocab);
    vocab = big_vocabulary(100 * 1000);
    vka_tokenizer *t = make(vocab, "", NULL, NULL, &err);
    assert_non_null(t);
    assert_int_equal(vka_tokenizer_size(t), 100002);
    vka_tokenizer_destroy(&t);
    free(vocab);
}

static void folders(void **state)
{
    (void)state;
    vka_tokenizer *t;
    vka_error err = {0};
    assert_int_equal(vka_tokenizer_open(&t, VKA_TEST_DATA "/no-such-folder", &err), VKA_E_INPUT);
    assert_null(t);
    vka_error_clear(&err);
    assert_int_equal(vka_tokenizer_open(&t, VKA_TEST_DATA "/golden/tokenizer_cases.json", &err), VKA_E_INPUT);
    assert_null(t);
    vka_error_clear(&err);
    assert_int_equal(vka_tokenizer_open(&t, VKA_TEST_DATA "/golden", &err), VKA_E_INPUT);
    assert_null(t);
    assert_non_null(strstr(err.what, "vocab.json"));
}

/* One megabyte without a space, of several kinds.  Measured: 0.2 to 0.5 s with CLIP's own vocabulary; the bound is
 * loose because sanitizers and busy machines are slow, and a quadratic method would need hours. */
static void long_text(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a", "the", "!", "\xff", "ball", "\xcc\x81\xcc\xa3", "\xe6\x9d\xb1", "\xe0\xa2\x98", START "a", "1"};
    vka_tokenizer *t = open_miniature();
    size_t size = 1000 * 1000;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
        size_t unit = strlen(units[k]);
        for (size_t i = 0; i < size; i++)
            text[i] = units[k][i % unit];
        uint32_t *ids;
        size_t count;
        vka_error err = {0};
        clock_t start = clock();
        assert_int_equal(vka_tokenizer_encode(t, text, size, &ids, &count, &err), VKA_OK);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        assert_true(count > 0);
        if (seconds > 10.0)
            fail_msg("%zu bytes of \"%s\" took %.1f s", size, units[k], seconds);
        free(ids);
    }
    free(text);
    size = (size_t)VKA_TEXT_MAX + 1;
    text = vka_calloc(size, 1);
    assert_non_null(text);
    uint32_t *ids;
    size_t count;
    vka_error err = {0};
    assert_int_equal(vka_tokenizer_encode(t, text, size, &ids, &count, &err), VKA_E_USAGE);
    assert_null(ids);
    free(text);
    vka_tokenizer_destroy(&t);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* The textbook method: join the best-ranked leftmost pair, again and again. */
static size_t naive_bpe(const vka_vocabulary *v, uint32_t *ids, size_t n)
{
    for (;;) {
        const vka_merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const vka_merge *m = vka_vocabulary_pair(v, ids[i], ids[i + 1]);
            if (m && (!best || m->rank < best->rank)) {
                best = m;
                at = i;
            }
        }
        if (!best)
            return n;
        ids[at] = best->id;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void heap_equals_textbook(void **state)
{
    (void)state;
    uint32_t seed = 5;
    for (int round = 0; round < 60; round++) {
        /* all strings of a and b up to length 4, and some merges of them in random order */
        json_t *pieces = json_object();
        char names[60][12];
        size_t count = 0;
        for (size_t length = 1; length <= 4; length++)
            for (size_t bits = 0; bits < (size_t)1 << length; bits++)
                for (int end = 0; end < 2; end++) {
                    for (size_t i = 0; i < length; i++)
                        names[count][i] = (char)('a' + (bits >> i & 1));
                    strcpy(names[count] + length, end ? "</w>" : "");
                    json_object_set_new(pieces, names[count], json_integer((json_int_t)count));
                    count++;
                }
        vka_vocabulary v;
        vka_error err = {0};
        assert_int_equal(vka_vocabulary_create(&v, pieces, "test", &err), VKA_OK);
        json_decref(pieces);
        char merges[4096], *to = merges;
        for (int i = 0; i < 40; i++) {
            const char *a = names[next_random(&seed) % count], *b = names[next_random(&seed) % count];
            if (!strchr(a, '<') && strlen(a) + strcspn(b, "<") <= 4)
                to += sprintf(to, "%s %s\n", a, b);
        }
        assert_int_equal(vka_vocabulary_merge_text(&v, merges, (size_t)(to - merges), "test", &err), VKA_OK);
        vka_bpe bpe = {0};
        for (int word = 0; word < 50; word++) {
            uint8_t text[64];
            uint32_t want[64];
            size_t n = 1 + next_random(&seed) % 60;
            for (size_t i = 0; i < n; i++) {
                text[i] = (uint8_t)('a' + next_random(&seed) % 2);
                want[i] = i + 1 < n ? v.byte_piece[text[i]] : v.byte_ending[text[i]];
            }
            vka_u32_list got = {0};
            assert_true(vka_bpe_word(&bpe, &v, text, n, 0, &got));
            size_t left = naive_bpe(&v, want, n);
            assert_int_equal(got.count, left);
            assert_memory_equal(got.data, want, left * sizeof *want);
            vka_u32_list_free(&got);
        }
        vka_bpe_free(&bpe);
        vka_vocabulary_destroy(&v);
    }
}

/* Of two merges of the same pair the later counts; both lines must be sound. */
static void repeated_merge(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_tokenizer *t = make("{\"a\":0,\"b\":1,\"c</w>\":2,\"ab\":3,\"bc</w>\":4," ENDS "}", "a b\r\nb c</w>\r\na b\r\n",
                            NULL, NULL, &err);
    assert_non_null(t);
    EXPECT(t, "abc", 0, 4);
    vka_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toy_vocabulary),
        cmocka_unit_test(equals_transformers),
        cmocka_unit_test(reads_tokenizer_json),
        cmocka_unit_test(special_tokens),
        cmocka_unit_test(chunks),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(huge_files),
        cmocka_unit_test(folders),
        cmocka_unit_test(long_text),
        cmocka_unit_test(repeated_merge),
        cmocka_unit_test(heap_equals_textbook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
