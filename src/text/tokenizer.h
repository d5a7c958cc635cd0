/* tokenizer.h - CLIP's byte-pair tokenizer: text to token ids, equal to transformers' CLIPTokenizer (5.x).
 *
 * The room `text` turns prompts into numbers and owns nothing else; it knows no models and no devices.  A tokenizer is
 * read-only once made, so any number of threads may share one.
 *
 * Rules: special tokens are cut out of the text first (special.h); the rest is normalised (unicode.h), split into
 * words (contractions 's 't 're 've 'm 'll 'd, runs of letters, single numbers, runs of anything else; white space
 * separates), and each word's bytes are joined by the merges (vocabulary.h).  A byte without a piece becomes the
 * unknown token.  Bytes that are not UTF-8 count as U+FFFD. */
#ifndef VKA_TEXT_TOKENIZER_H
#define VKA_TEXT_TOKENIZER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vka_tokenizer vka_tokenizer;

/* A file in memory; `name` is for messages.  data == NULL: not there. */
typedef struct vka_text_file {
    const char *name;
    const char *data;
    size_t size;
} vka_text_file;

/* Either `tokenizer` (tokenizer.json, what transformers 5 saves) or `vocab` and `merges` (vocab.json, merges.txt); with
 * all of them tokenizer.json counts, as in transformers.  The others are optional: tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json. */
typedef struct vka_tokenizer_files {
    vka_text_file tokenizer, vocab, merges, config, special_map, added;
} vka_tokenizer_files;

/* The files are not needed afterwards.  VKA_E_INPUT with one sentence when they are damaged or of another kind;
 * *out is then NULL. */
vka_status vka_tokenizer_create(vka_tokenizer **out, const vka_tokenizer_files *files, vka_error *err);
/* Reads the files named above from a folder. */
vka_status vka_tokenizer_open(vka_tokenizer **out, const char *dir, vka_error *err);
/* NULL inside is fine; sets it to NULL. */
void vka_tokenizer_destroy(vka_tokenizer **tokenizer);

/* Tokens of `size` bytes of text, without start and end.  *ids is malloc'ed, NULL when there are none.  A text of more
 * than VKA_TEXT_MAX bytes is refused (VKA_E_USAGE).  Time size * log(size), whatever the text. */
#define VKA_TEXT_MAX (4u << 20)
vka_status vka_tokenizer_encode(const vka_tokenizer *t, const char *text, size_t size, uint32_t **ids, size_t *count,
                                vka_error *err);

uint32_t vka_tokenizer_bos(const vka_tokenizer *t);
uint32_t vka_tokenizer_eos(const vka_tokenizer *t);
uint32_t vka_tokenizer_pad(const vka_tokenizer *t); /* the end token where the files name none */
/* Largest id + 1: the rows that a token embedding must have. */
uint32_t vka_tokenizer_size(const vka_tokenizer *t);
/* The id of one piece of the vocabulary, e.g. "cat</w>"; false when it is not there. */
bool vka_tokenizer_find(const vka_tokenizer *t, const char *piece, uint32_t *id);

/* Rows of `length` tokens, one per call of the text encoder: start, up to length - 2 tokens, end, padding. */
typedef struct vka_text_chunks {
    uint32_t *ids; /* [count][length] */
    size_t count;
    uint32_t length; /* 77 for CLIP: the encoder's max_position_embeddings */
} vka_text_chunks;

/* Chunks that `tokens` tokens need: at least 1.  length >= 3. */
size_t vka_text_chunks_needed(size_t tokens, uint32_t length);
/* Cuts tokens into as many chunks as needed and no fewer than `at_least`; chunks beyond the text are those of the empty
 * prompt.  So a prompt and its negative come out alike when both ask for the larger of their needs.  VKA_E_INPUT when
 * `length` is below 3, VKA_E_MEMORY when memory is short; *out is then empty. */
vka_status vka_text_chunks_make(vka_text_chunks *out, const vka_tokenizer *t, const uint32_t *ids, size_t count,
                                uint32_t length, size_t at_least, vka_error *err);
void vka_text_chunks_free(vka_text_chunks *chunks);

#endif
