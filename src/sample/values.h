/* values.h - a number that changes over the frames of a clip or the steps of a render, as text.
 *
 *     1.2                        the same everywhere
 *     0:1, 8:1.3, 15:0.8         places and values: between them a line, before the first and behind the last their own
 *     0:1, -1:0.8                a negative place counts from the end, -1 being the last
 *     0.0:1, 0.5:1.3, 1.0:0.8    places as fractions (they have a point): 0.0 is the first, 1.0 the last
 *     0:1, 4-9:1.3               a range, over which the value holds
 *     0 hold:1, 8 ease-in:1.3    how the way to the next place is gone: linear, hold, ease-in, ease-out, ease-in-out (base/keys.h)
 *     1, 1.1, 1.2                values of places 0, 1, 2 ..., the last one held
 *
 * Places rise from entry to entry; whole numbers and fractions may not be mixed, the negative being whole.  Spaces may stand
 * around numbers, ';' or a new line for ','.  A place may lie behind the last frame: the way to it is gone as far as there are
 * frames. */
#ifndef VKA_SAMPLE_VALUES_H
#define VKA_SAMPLE_VALUES_H

#include "base/error.h"

#include <stdint.h>

/* Reads `text` for `count` places into out[count]; count 0 (out NULL) only checks, which does not depend on a count but for
 * places that count from the end: whether those rise, and lie in the clip, shows with the count alone.
 * VKA_E_USAGE with a sentence that begins with `name` ("--motion-scale") when it is none of the above, or a value is outside
 * least .. most. */
vka_status vka_values_parse(const char *name, const char *text, double least, double most, uint32_t count, double *out,
                            vka_error *err);
/* The same where `closed` says that the clip is a loop: the last value leads back to the first, and goes on behind the end as
 * if the first place came again there. */
vka_status vka_values_parse_loop(const char *name, const char *text, double least, double most, uint32_t count, bool closed,
                                 double *out, vka_error *err);

#endif
