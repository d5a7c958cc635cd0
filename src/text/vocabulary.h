/* vocabulary.h - the tables of a byte-pair encoding: pieces with their ids, and the merges in order of priority.
 *
 * Built once from parsed files, then read-only, so one vocabulary serves any number of threads. */
#ifndef VKA_TEXT_VOCABULARY_H
#define VKA_TEXT_VOCABULARY_H

#include "base/error.h"
#include "text/unicode.h"

#include <jansson.h>

#define VKA_NO_TOKEN  UINT32_MAX
#define VKA_VOCAB_MAX (1u << 20) /* most entries, and the bound of every id; CLIP has 49,408 */
#define VKA_WORD_END  "</w>"     /* ends the piece that ends a word */

/* One piece of the vocabulary: UTF-8, not terminated. */
typedef struct vka_piece {
    const char *text;
    uint32_t size, id;
} vka_piece;

/* `left` (known from where the entry stands) and `right` join into `id`; smaller ranks join first. */
typedef struct vka_merge {
    uint32_t right, rank, id;
} vka_merge;

typedef struct vka_vocabulary {
    vka_piece *pieces; /* sorted by bytes */
    size_t count;
    char *text;                /* the pieces' bytes */
    uint32_t size;             /* largest id + 1 */
    uint32_t byte_piece[256];  /* id of the piece that stands for a byte, VKA_NO_TOKEN where there is none */
    uint32_t byte_ending[256]; /* the same with the word's end behind it */
    vka_merge *merges;         /* sorted by left id, then by right id */
    uint32_t *first_merge;     /* [size + 1]: merges of left id i are first_merge[i] .. first_merge[i + 1] - 1 */
} vka_vocabulary;

/* Takes an object of piece -> id (ids unique, 0 <= id < VKA_VOCAB_MAX).  `name` is for messages.  VKA_E_INPUT where the
 * object is no such table.  On failure there is nothing to destroy. */
vka_status vka_vocabulary_create(vka_vocabulary *v, const json_t *pieces, const char *name, vka_error *err);
/* Adds the merges, once: either the text of a merges.txt (two pieces and one space between them per line; lines that
 * begin with "#version" and empty ones are skipped) or a JSON array of "a b" strings or ["a","b"] pairs.  Both pieces
 * and their join must be in the vocabulary; of two equal pairs the later counts. */
vka_status vka_vocabulary_merge_text(vka_vocabulary *v, const char *text, size_t size, const char *name,
                                     vka_error *err);
vka_status vka_vocabulary_merge_json(vka_vocabulary *v, const json_t *list, const char *name, vka_error *err);
void vka_vocabulary_destroy(vka_vocabulary *v);

/* The id of a piece, VKA_NO_TOKEN when it is not there. */
uint32_t vka_vocabulary_find(const vka_vocabulary *v, const char *text, size_t size);
/* The merge of two ids, NULL when they do not join.  Any id may be asked for. */
const vka_merge *vka_vocabulary_pair(const vka_vocabulary *v, uint32_t left, uint32_t right);

/* Working memory of vka_bpe_word, reused from word to word.  Zero-initialise; free with vka_bpe_free. */
typedef struct vka_bpe {
    struct vka_symbol *symbols;
    size_t symbol_capacity;
    uint64_t *heap;
    size_t heap_count, heap_capacity;
} vka_bpe;
/* Appends the ids of one word of `size` bytes, 0 < size < 2^31; bytes without a piece become `unknown`.  Time
 * size * log(size).  False when memory is short. */
bool vka_bpe_word(vka_bpe *bpe, const vka_vocabulary *v, const uint8_t *word, size_t size, uint32_t unknown,
                  vka_u32_list *ids);
void vka_bpe_free(vka_bpe *bpe);

#endif
