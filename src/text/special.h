/* special.h - tokens that stand in text as they are: start, end, padding and whatever a model's files add.
 *
 * transformers looks for each of them either in the text as it was typed or, where its flag "normalized" is set, in the
 * text after normalisation (so that "<|STARTOFTEXT|>" is found too).  Which one a token has follows from up to four
 * files and the order in which transformers reads them; special.c keeps that order. */
#ifndef VKA_TEXT_SPECIAL_H
#define VKA_TEXT_SPECIAL_H

#include "base/error.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

#include <jansson.h>

/* Pattern: code points, ends with the list that owns it. */
typedef struct vka_special {
    uint32_t *pattern;
    size_t count;
    uint32_t id;
    uint32_t order; /* in which it was added */
} vka_special;

/* Sorted by pattern, no two alike. */
typedef struct vka_special_list {
    vka_special *tokens;
    size_t count, capacity;
} vka_special_list;

typedef struct vka_specials {
    vka_special_list typed, normalized;
    uint32_t bos, eos, unk, pad;
    uint32_t size; /* largest id + 1 of vocabulary and added tokens */
} vka_specials;

/* The parsed files, any of which may be NULL; `tokenizer` is tokenizer.json's root. */
typedef struct vka_special_files {
    const json_t *config, *map, *added, *tokenizer;
} vka_special_files;

/* VKA_E_INPUT when start, end or unknown token have no id.  A missing padding token is the end token.  On failure there
 * is nothing to destroy. */
vka_status vka_specials_create(vka_specials *s, const vka_vocabulary *v, const vka_special_files *files,
                               const char *name, vka_error *err);
void vka_specials_destroy(vka_specials *s);

/* The longest token that begins at text[0], NULL when none does. */
const vka_special *vka_special_match(const vka_special_list *list, const uint32_t *text, size_t count);

#endif
