/* fuzz_prompt.c - prompts in all three syntaxes.  The first byte of an input chooses steps, comma padding and length of a chunk,
 * the rest is the text.  A prompt is refused with a sentence, or every step has a text, every text weights, and every token lies
 * below the vocabulary or is a vector of a name, none of which is cut in two; wildcards end. */
#include "base/file.h"
#include "text/prompt.h"
#include "text/wildcards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIRST = 1000, VECTORS = 3 };

#define CARDS "fuzz_prompt.tmp"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void refused(vka_status st, const vka_error *err)
{
    check(st == err->status && (st == VKA_E_USAGE || st == VKA_E_INPUT) && err->what[0]);
}

static const vka_tokenizer *tokenizer(void)
{
    static vka_tokenizer *t;
    static const char vocab[] = "{\"a\":0,\"b\":1,\"c\":2,\"a</w>\":3,\"b</w>\":4,\"c</w>\":5,\",</w>\":6,\",\":7,\"ab</w>\":8,"
                                "\"1\":9,\"1</w>\":10,\"<|startoftext|>\":11,\"<|endoftext|>\":12}";
    vka_tokenizer_files files = {.vocab = {"vocab.json", vocab, sizeof vocab - 1},
                                 .merges = {"merges.txt", "#version: 0.2\na b</w>", 21}};
    vka_error err = {0};
    if (!t)
        check(vka_tokenizer_create(&t, &files, &err) == VKA_OK);
    return t;
}

static vka_status take(void *user, size_t which, uint32_t *first, uint32_t *vectors, vka_error *err)
{
    (void)user;
    (void)err;
    *first = FIRST + VECTORS * (uint32_t)which;
    *vectors = VECTORS;
    return VKA_OK;
}

static void check_chunks(vka_prompt_syntax syntax, uint32_t comma, uint32_t length, const char *text)
{
    uint32_t ids[] = {3, 8};
    struct vka_prompt_word items[] = {{(char *)(uintptr_t) "a", ids, 1}, {(char *)(uintptr_t) "<c>", ids + 1, 1}};
    struct vka_prompt_words words = {.items = items, .count = 2, .take = take};
    struct vka_prompt_reader r = {.tokenizer = tokenizer(), .syntax = syntax, .length = length, .comma_padding = comma, .words = &words};
    struct vka_prompt_chunks c;
    vka_error err = {0};
    vka_status st = vka_prompt_chunks_make(&c, &r, text, &err);
    if (st != VKA_OK) {
        refused(st, &err);
        return;
    }
    check(c.count > 0 && c.length == length);
    for (size_t i = 0; i < c.count * length; i++) {
        uint32_t id = c.ids[i], at = (uint32_t)(i % length);
        check(id < vka_tokenizer_size(tokenizer()) || (id >= FIRST && id < FIRST + 2 * VECTORS));
        check(isfinite(c.weights[i]) && (at > 0 || (id == 11 && !(c.weights[i] < 1) && !(c.weights[i] > 1))));
        if (id > FIRST && (id - FIRST) % VECTORS)
            check(at > 1 && c.ids[i - 1] == id - 1);
        if (id >= FIRST && (id - FIRST) % VECTORS + 1 < VECTORS)
            check(at + 1 < length && c.ids[i + 1] == id + 1);
    }
    vka_prompt_chunks_free(&c);
}

static void check_edits(const char *text, uint32_t steps)
{
    struct vka_prompt_edits e;
    vka_error err = {0};
    vka_status st = vka_prompt_edits_make(&e, text, steps, &err);
    if (st != VKA_OK) {
        refused(st, &err);
        return;
    }
    check(e.count > 0 && e.items[e.count - 1].end == steps);
    for (size_t i = 0; i < e.count; i++)
        check(strlen(e.items[i].text) <= strlen(text) && (i == 0 || e.items[i].end > e.items[i - 1].end));
    check_chunks(VKA_SYNTAX_A1111, 2, 9, e.items[vka_prompt_edit_at(&e, steps / 2)].text);
    vka_prompt_edits_free(&e);
}

static void check_wildcards(const char *text)
{
    static bool made;
    vka_error err = {0};
    char *out;
    if (!made) {
        made = true;
        check(vka_make_dirs(CARDS, &err) == VKA_OK && vka_write_file(CARDS "/a.txt", "b\n{b|__a__}\n__c__\n", 18, &err) == VKA_OK &&
              vka_write_file(CARDS "/c.txt", "{a|{b|c}}\n", 10, &err) == VKA_OK);
    }
    vka_status st = vka_wildcards_resolve(CARDS, text, strlen(text), 1, &out, &err);
    if (st != VKA_OK)
        refused(st, &err);
    check((st == VKA_OK) == (out != NULL));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint32_t steps = 1 + data[0] % 7, comma = data[0] / 16, length = 6 + data[0] % 5;
    char *text = malloc(size), *rest;
    check(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    struct vka_prompt_networks networks = {0};
    struct vka_prompt_parts parts;
    vka_error err = {0};
    vka_status st = vka_prompt_cut_networks(text, &rest, &networks, &err);
    if (st != VKA_OK)
        refused(st, &err);
    else
        check(strlen(rest) <= strlen(text));
    free(rest);
    vka_prompt_networks_free(&networks);
    vka_error_clear(&err);
    st = vka_prompt_split(text, &parts, &err);
    if (st != VKA_OK)
        refused(st, &err);
    for (size_t i = 0; i < parts.count; i++)
        check(parts.items[i].text && isfinite(parts.items[i].weight));
    vka_prompt_parts_free(&parts);
    check_edits(text, steps);
    for (int syntax = VKA_SYNTAX_A1111; syntax <= VKA_SYNTAX_PLAIN; syntax++)
        check_chunks((vka_prompt_syntax)syntax, syntax == VKA_SYNTAX_A1111 ? comma : 0, length, text);
    check_wildcards(text);
    free(text);
    return 0;
}
