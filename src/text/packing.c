/* packing.c - weighted tokens into chunks of the text encoder's length.  See prompt.h.
 *
 * A1111: tokens are laid one behind the other; a chunk that is full is cut behind its last comma where that is near; BREAK ends a
 * chunk.  ComfyUI: the text between two weights is one group; a group of fewer than 8 tokens goes to the next chunk whole where
 * it does not fit.  Vectors of one name always stay together. */
#include "text/prompt.h"

#include "base/mem.h"
#include "text/signs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COMFY_LARGE = 8 }; /* tokens of a group that may be cut in two */

struct packer {
    const struct vka_prompt_reader *r;
    struct vka_prompt_chunks *out;
    uint32_t body; /* tokens of a chunk without start and end */
    uint32_t used; /* in the chunk that is being filled, which is not in `out` yet */
    uint32_t *ids; /* [body] */
    float *weights;
    uint32_t comma; /* tokens up to and with the last comma; 0: none */
    bool has_comma;
    uint32_t comma_id;
    vka_error *err;
};

static vka_status no_memory(vka_error *err) { return vka_fail(err, VKA_E_MEMORY, "out of memory"); }

/* Ends the chunk behind `keep` tokens; the others begin the next one. */
static vka_status next_chunk(struct packer *p, uint32_t keep)
{
    struct vka_prompt_chunks *out = p->out;
    uint32_t length = out->length;
    size_t capacity = out->capacity;
    uint32_t *ids = vka_grow(out->ids, &capacity, out->count + 1, length * sizeof *ids);
    if (!ids)
        return no_memory(p->err);
    out->ids = ids;
    float *weights = vka_grow(out->weights, &out->capacity, out->count + 1, length * sizeof *weights);
    if (!weights)
        return no_memory(p->err);
    out->weights = weights;
    ids += out->count * length;
    weights += out->count++ * length;
    for (uint32_t i = 0; i < length; i++) {
        bool token = i > 0 && i <= keep;
        ids[i] = token ? p->ids[i - 1]
                 : i == 0 ? vka_tokenizer_bos(p->r->tokenizer)
                 : i == keep + 1 ? vka_tokenizer_eos(p->r->tokenizer)
                                 : vka_tokenizer_pad(p->r->tokenizer);
        weights[i] = token ? p->weights[i - 1] : 1;
        out->weighted = out->weighted || fabsf(weights[i] - 1) > 0;
    }
    p->used -= keep;
    memmove(p->ids, p->ids + keep, p->used * sizeof *p->ids);
    memmove(p->weights, p->weights + keep, p->used * sizeof *p->weights);
    p->comma = 0;
    return VKA_OK;
}

static void add_token(struct packer *p, uint32_t id, float weight)
{
    p->ids[p->used] = id;
    p->weights[p->used++] = weight;
}

/* The vectors of a name, in one chunk. */
static vka_status add_vectors(struct packer *p, size_t which, float weight)
{
    const struct vka_prompt_words *words = p->r->words;
    uint32_t first, vectors;
    vka_status st = words->take(words->user, which, &first, &vectors, p->err);
    if (st == VKA_OK && vectors > p->body)
        st = vka_fail(p->err, VKA_E_INPUT, "the embedding '%.200s' has %u vectors, and a chunk of the prompt has room for %u",
                      words->items[which].name, vectors, p->body);
    if (st == VKA_OK && p->used + vectors > p->body)
        st = next_chunk(p, p->used);
    for (uint32_t i = 0; st == VKA_OK && i < vectors; i++)
        add_token(p, first + i, weight);
    return st;
}

/* ---- A1111, and plain text -------------------------------------------------------------------------------- */

enum { NO_WORD = -1 };

/* The longest name that the tokens begin with. */
static ptrdiff_t word_of(const struct vka_prompt_words *words, const uint32_t *ids, size_t count)
{
    ptrdiff_t best = NO_WORD;
    for (size_t i = 0; words && i < words->count; i++) {
        const struct vka_prompt_word *w = &words->items[i];
        if (w->count && w->count <= count && w->ids[0] == ids[0] &&
            (best == NO_WORD || w->count > words->items[best].count) && !memcmp(w->ids, ids, w->count * sizeof *ids))
            best = (ptrdiff_t)i;
    }
    return best;
}

static vka_status add_tokens(struct packer *p, const uint32_t *ids, size_t count, float weight)
{
    uint32_t near = p->r->comma_padding;
    const struct vka_prompt_words *words = p->r->syntax == VKA_SYNTAX_A1111 ? p->r->words : NULL;
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < count;) {
        if (p->has_comma && ids[i] == p->comma_id)
            p->comma = p->used + 1;
        else if (p->used == p->body && p->comma && p->used - p->comma < near)
            st = next_chunk(p, p->comma);
        if (st == VKA_OK && p->used == p->body)
            st = next_chunk(p, p->used);
        if (st != VKA_OK)
            break;
        ptrdiff_t word = word_of(words, ids + i, count - i);
        if (word == NO_WORD)
            add_token(p, ids[i++], weight);
        else {
            st = add_vectors(p, (size_t)word, weight);
            i += words->items[word].count;
        }
    }
    return st;
}

static vka_status add_text(struct packer *p, const char *text, size_t size, float weight)
{
    uint32_t *ids;
    size_t count;
    vka_status st = vka_tokenizer_encode(p->r->tokenizer, text, size, &ids, &count, p->err);
    if (st == VKA_OK)
        st = add_tokens(p, ids, count, weight);
    free(ids);
    return st;
}

/* A name in angle brackets at text[0]: "<cat>" for the name "cat", or for one that has brackets of its own. */
static ptrdiff_t quoted_word(const struct vka_prompt_words *words, const char *text, size_t size, size_t *length)
{
    const char *close = size > 2 ? memchr(text, '>', size < 256 ? size : 256) : NULL;
    if (!close)
        return NO_WORD;
    *length = (size_t)(close - text) + 1;
    for (size_t i = 0; i < words->count; i++) {
        const char *name = words->items[i].name;
        size_t n = strlen(name);
        if ((n == *length && !memcmp(name, text, n)) || (n + 2 == *length && !memcmp(name, text + 1, n)))
            return (ptrdiff_t)i;
    }
    return NO_WORD;
}

static vka_status add_a1111(struct packer *p, const struct vka_prompt_piece *piece)
{
    const struct vka_prompt_words *words = p->r->words;
    const char *text = piece->text, *end = text + piece->size, *at = text;
    float weight = (float)piece->weight;
    size_t length;
    vka_status st = VKA_OK;
    if (piece->is_break)
        return next_chunk(p, p->used);
    while (st == VKA_OK && words && words->count && (at = memchr(at, '<', (size_t)(end - at)))) {
        ptrdiff_t word = quoted_word(words, at, (size_t)(end - at), &length);
        if (word == NO_WORD) {
            at++;
            continue;
        }
        st = add_text(p, text, (size_t)(at - text), weight);
        if (st == VKA_OK && p->used == p->body)
            st = next_chunk(p, p->used);
        if (st == VKA_OK)
            st = add_vectors(p, (size_t)word, weight);
        text = at += length;
    }
    return st == VKA_OK ? add_text(p, text, (size_t)(end - text), weight) : st;
}

/* ---- ComfyUI ------------------------------------------------------------------------------------------------ */

static vka_status add_group(struct packer *p, const char *text, size_t size, float weight)
{
    uint32_t *ids;
    size_t count;
    vka_status st = vka_tokenizer_encode(p->r->tokenizer, text, size, &ids, &count, p->err);
    bool large = count >= COMFY_LARGE || count > p->body;
    for (size_t i = 0; st == VKA_OK && i < count;) {
        if (count - i > p->body - p->used) {
            while (large && p->used < p->body)
                add_token(p, ids[i++], weight);
            st = next_chunk(p, p->used);
        } else
            while (i < count)
                add_token(p, ids[i++], weight);
    }
    free(ids);
    return st;
}

/* The name behind "embedding:", also with a file's ending; *length is what of the text it takes. */
static ptrdiff_t comfy_word(const struct vka_prompt_words *words, const char *name, size_t size)
{
    static const char *const endings[] = {"", ".safetensors", ".pt", ".bin"};
    for (size_t i = 0; words && i < words->count; i++) {
        size_t n = strlen(words->items[i].name);
        for (size_t k = 0; k < 4; k++)
            if (size == n + strlen(endings[k]) && !memcmp(name, words->items[i].name, n) &&
                !memcmp(name + n, endings[k], size - n))
                return (ptrdiff_t)i;
    }
    return NO_WORD;
}

/* Text that may begin with "embedding:name". */
static vka_status add_comfy_part(struct packer *p, const char *text, const char *end, float weight)
{
    static const char sign[] = "embedding:";
    const size_t n = sizeof sign - 1;
    vka_status st = VKA_OK;
    if ((size_t)(end - text) >= n && !memcmp(text, sign, n)) {
        const char *name = text + n;
        while (name < end && vka_sign_space(*name))
            name++;
        const char *stop = name;
        while (stop < end && !vka_sign_space(*stop))
            stop++;
        ptrdiff_t word = comfy_word(p->r->words, name, (size_t)(stop - name));
        text = stop;
        for (; word == NO_WORD && stop > name && stop[-1] == ','; text = stop)
            word = comfy_word(p->r->words, name, (size_t)(--stop - name));
        if (word == NO_WORD && p->r->log)
            vka_logf(p->r->log, VKA_LOG_WARN, "there is no embedding '%.*s': left out", (int)(stop - name < 200 ? stop - name : 200),
                     name);
        else if (word != NO_WORD)
            st = add_vectors(p, (size_t)word, weight);
    }
    return st == VKA_OK ? add_group(p, text, (size_t)(end - text), weight) : st;
}

static vka_status add_comfy(struct packer *p, const struct vka_prompt_piece *piece)
{
    const char *text = piece->text, *end = text + piece->size;
    vka_status st = VKA_OK;
    for (const char *at = text; st == VKA_OK && (at = memchr(at, 'e', (size_t)(end - at)));) {
        if (at > text && vka_sign_space(at[-1]) && end - at >= 10 && !memcmp(at, "embedding:", 10)) {
            st = add_comfy_part(p, text, at, (float)piece->weight);
            text = at;
        }
        at++;
    }
    return st == VKA_OK ? add_comfy_part(p, text, end, (float)piece->weight) : st;
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

vka_status vka_prompt_chunks_make(struct vka_prompt_chunks *out, const struct vka_prompt_reader *r, const char *text,
                                  vka_error *err)
{
    struct vka_prompt_pieces pieces;
    *out = (struct vka_prompt_chunks){.length = r->length};
    if (r->length < 3)
        return vka_fail(err, VKA_E_INPUT, "a text encoder with %u positions has no room for a prompt", r->length);
    vka_status st = vka_prompt_pieces_make(&pieces, r->syntax, text, err);
    if (st != VKA_OK)
        return st;
    struct packer p = {.r = r, .out = out, .body = r->length - 2, .err = err};
    p.has_comma = r->syntax == VKA_SYNTAX_A1111 && r->comma_padding &&
                  vka_tokenizer_find(r->tokenizer, ",</w>", &p.comma_id);
    p.ids = vka_calloc(p.body, sizeof *p.ids);
    p.weights = vka_calloc(p.body, sizeof *p.weights);
    st = p.ids && p.weights ? VKA_OK : no_memory(err);
    for (size_t i = 0; st == VKA_OK && i < pieces.count; i++)
        st = r->syntax == VKA_SYNTAX_A1111   ? add_a1111(&p, &pieces.items[i])
             : r->syntax == VKA_SYNTAX_COMFY ? add_comfy(&p, &pieces.items[i])
                                             : add_text(&p, pieces.items[i].text, pieces.items[i].size, 1);
    if (st == VKA_OK && (p.used || !out->count))
        st = next_chunk(&p, p.used);
    free(p.ids);
    free(p.weights);
    vka_prompt_pieces_free(&pieces);
    if (st != VKA_OK)
        vka_prompt_chunks_free(out);
    return st;
}

void vka_prompt_chunks_free(struct vka_prompt_chunks *chunks)
{
    free(chunks->ids);
    free(chunks->weights);
    *chunks = (struct vka_prompt_chunks){0};
}
