/* unicode.h - the text side of CLIP's tokenizer: UTF-8, normalisation and character classes.
 *
 * The rules are those that transformers' CLIPTokenizer applies before it splits text into words: NFC, every run of
 * white space becomes one space, lower case character by character.  Unicode data come from utf8proc; unicode.c adds
 * the few ranges in which the reference's own tables are older or newer, so that the ids of a prompt do not depend on
 * the utf8proc a distribution carries (2.8 or newer). */
#ifndef VKA_TEXT_UNICODE_H
#define VKA_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growable list of code points or token ids.  Zero-initialise; free with vka_u32_list_free. */
typedef struct vka_u32_list {
    uint32_t *data;
    size_t count, capacity;
} vka_u32_list;
/* Both return false when memory is short; the list stays valid. */
bool vka_u32_list_reserve(vka_u32_list *list, size_t more);
bool vka_u32_list_add(vka_u32_list *list, uint32_t value);
void vka_u32_list_free(vka_u32_list *list);

/* Appends the code points of `text`.  Bytes that are not UTF-8 become U+FFFD, one for each maximal subpart of an
 * ill-formed sequence (Unicode 15, section 3.9, table 3-8), as Python's errors="replace" does.  False when memory is
 * short. */
bool vka_utf8_decode(vka_u32_list *out, const char *text, size_t size);
/* Writes a code point as UTF-8 and returns the number of bytes, 1 to 4.  `cp` must be a scalar value. */
size_t vka_utf8_encode(uint32_t cp, uint8_t out[4]);

/* Appends NFC(text), with each run of white space replaced by one U+0020, in lower case.  Linear in `count` whatever
 * the text is.  False when memory is short. */
bool vka_text_normalize(vka_u32_list *out, const uint32_t *text, size_t count);

typedef enum vka_char_class { VKA_CHAR_SPACE, VKA_CHAR_LETTER, VKA_CHAR_NUMBER, VKA_CHAR_OTHER } vka_char_class;
vka_char_class vka_char_classify(uint32_t cp);

#endif
