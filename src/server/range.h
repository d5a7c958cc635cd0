/* range.h - parts of files (RFC 9110, 14.1.2 and 14.2).  Pure. */
#ifndef VKA_SERVER_RANGE_H
#define VKA_SERVER_RANGE_H

#include <stdint.h>

/* What the header Range asks of a file of `size` bytes: one of "bytes=A-B", "bytes=A-" and "bytes=-N".  206: *count bytes, at
 * least one, from *from on, within the file; 416: it lies outside; 200: all of it, *from 0 and *count `size`, as for anything
 * else (several parts, other units, what is no range). */
unsigned srv_range(const char *text, uint64_t size, uint64_t *from, uint64_t *count);

#endif
