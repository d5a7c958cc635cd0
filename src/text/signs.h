/* signs.h - small readers that the files of prompt.h share.  Internal to the room. */
#ifndef VKA_TEXT_SIGNS_H
#define VKA_TEXT_SIGNS_H

#include <stdbool.h>

bool vka_sign_space(char c); /* of ASCII */
bool vka_sign_digit(char c);
/* The first place in [begin, end) where `word` stands as a word of its own, NULL when there is none.  The ends of the range
 * count as ends of a word. */
const char *vka_sign_word(const char *begin, const char *end, const char *word);
/* A number with white space around it, and nothing else. */
bool vka_sign_number(const char *begin, const char *end, double *out);

#endif
