/* chunks.c - long prompts as rows for the text encoder; see tokenizer.h. */
#include "base/mem.h"
#include "text/tokenizer.h"

#include <stdlib.h>

size_t vka_text_chunks_needed(size_t tokens, uint32_t length)
{
    size_t body = (size_t)length - 2;
    return tokens == 0 ? 1 : tokens / body + (tokens % body != 0);
}

vka_status vka_text_chunks_make(vka_text_chunks *out, const vka_tokenizer *t, const uint32_t *ids, size_t count,
                                uint32_t length, size_t at_least, vka_error *err)
{
    *out = (vka_text_chunks){0};
    if (length < 3)
        return vka_fail(err, VKA_E_INPUT, "a text encoder with %u positions has no room for a prompt", length);
    size_t chunks = vka_text_chunks_needed(count, length), body = (size_t)length - 2;
    if (chunks < at_least)
        chunks = at_least;
    uint64_t cells;
    if (!vka_mul_u64(chunks, length, &cells) || cells > SIZE_MAX / sizeof *out->ids ||
        !(out->ids = vka_calloc((size_t)cells, sizeof *out->ids)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory for a prompt of %zu tokens", count);
    out->count = chunks;
    out->length = length;
    uint32_t *row = out->ids, pad = vka_tokenizer_pad(t);
    for (size_t c = 0, next = 0; c < chunks; c++, row += length) {
        size_t n = count - next < body ? count - next : body;
        row[0] = vka_tokenizer_bos(t);
        for (size_t i = 0; i < n; i++)
            row[1 + i] = ids[next++];
        row[1 + n] = vka_tokenizer_eos(t);
        for (size_t i = n + 2; i < length; i++)
            row[i] = pad;
    }
    return VKA_OK;
}

void vka_text_chunks_free(vka_text_chunks *chunks)
{
    free(chunks->ids);
    *chunks = (vka_text_chunks){0};
}
