/* values.h - a number that changes over the frames of a clip or the steps of a render, as text.
 *
 *     1.2                        the same everywhere
 *     0:1, 8:1.3, 15:0.8         places and values: between them a line, before the first and behind the last their own
 *     0.0:1, 0.5:1.3, 1.0:0.8    the same with places as fractions (they have a point): 0.0 is the first, 1.0 the last
 *     1, 1.1, 1.2                values of places 0, 1, 2 ..., the last one held
 *
 * Places rise from entry to entry.  Spaces may stand around numbers, ';' or a new line for ','. */
#ifndef VKA_SAMPLE_VALUES_H
#define VKA_SAMPLE_VALUES_H

#include "base/error.h"

#include <stdint.h>

/* Reads `text` for `count` places into out[count]; count 0 (out NULL) only checks, which does not depend on a count.
 * VKA_E_USAGE with a sentence that begins with `name` ("--motion-scale") when it is none of the above, or a value is outside
 * least .. most. */
vka_status vka_values_parse(const char *name, const char *text, double least, double most, uint32_t count, double *out,
                            vka_error *err);

#endif
