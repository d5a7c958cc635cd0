/* fuzz_tokenizer.c - tokenizer files and text.  The input is up to seven parts with a NUL byte after each but the last:
 * vocab.json, merges.txt, special_tokens_map.json, tokenizer_config.json, added_tokens.json, tokenizer.json, text; an
 * empty part counts as a missing file.  A file is refused with a sentence or read; every id lies below the size. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const vka_tokenizer *t, const char *text, size_t size)
{
    uint32_t *ids;
    size_t count;
    vka_error err = {0};
    vka_text_chunks chunks;
    if (vka_tokenizer_encode(t, text, size, &ids, &count, &err) != VKA_OK)
        abort();
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= vka_tokenizer_size(t))
            abort();
    if (vka_text_chunks_make(&chunks, t, ids, count, 7, 2, &err) != VKA_OK || chunks.count < 2)
        abort();
    for (size_t i = 0; i < chunks.count * chunks.length; i++)
        if (chunks.ids[i] >= vka_tokenizer_size(t))
            abort();
    vka_text_chunks_free(&chunks);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_tokenizer_files files = {0};
    vka_text_file *const parts[] = {&files.vocab,  &files.merges, &files.special_map,
                                    &files.config, &files.added,  &files.tokenizer};
    const char *at = (const char *)data, *end = at + size;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *stop = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        if (!stop)
            stop = end;
        *parts[i] = (vka_text_file){.name = "input", .data = stop > at ? at : NULL, .size = (size_t)(stop - at)};
        at = stop < end ? stop + 1 : end;
    }
    if (files.vocab.data && !files.merges.data)
        files.merges.data = "";
    vka_tokenizer *t;
    vka_error err = {0};
    vka_status s = vka_tokenizer_create(&t, &files, &err);
    if (s != err.status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK) != (t == NULL) || (!t && !err.what[0]))
        abort();
    if (!t)
        return 0;
    check_text(t, at, (size_t)(end - at));
    static const char odd[] =
        "A caf\xc3\xa9 cafe\xcc\x81 's <|endoftext|>!! <|ENDOFTEXT|> \xe6\x9d\xb1\xe4\xba\xac \xff 12";
    check_text(t, odd, sizeof odd - 1);
    vka_tokenizer_destroy(&t);
    return 0;
}
