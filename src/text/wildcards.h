/* wildcards.h - prompts that are drawn: __name__ becomes a line of DIR/name.txt, {a|b|c} one of its choices.
 *
 * A name may have sub-folders (__animals/cat__) and '*', which stands for any part of a file's or a folder's name; the lines of
 * all files that fit are one list.  Empty lines and lines that begin with '#' do not count.  A line may hold wildcards and
 * choices itself.  Choices may be empty and may hold others; "{2::red|blue}" draws red twice as often. */
#ifndef VKA_TEXT_WILDCARDS_H
#define VKA_TEXT_WILDCARDS_H

#include "base/error.h"

#include <stdint.h>

/* Lines and choices inside one another; a prompt with more is refused (VKA_E_USAGE), one that names itself too. */
enum { VKA_WILDCARD_DEPTH = 32 };

/* Draws with a generator of its own, which `seed` and `stream` begin: the same again for the same files.  `*out` is malloc'ed.
 * VKA_E_INPUT when a file is missing, empty or not readable; VKA_E_USAGE when the result has no end. */
vka_status vka_wildcards_resolve(const char *dir, const char *text, uint64_t seed, uint32_t stream, char **out, vka_error *err);

#endif
