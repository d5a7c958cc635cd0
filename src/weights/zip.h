/* zip.h - a zip archive in memory, as PyTorch writes it: stored entries, found where they lie.
 *
 * The reader hands out ranges of the mapped file and copies nothing, which is why it is not libzip: that one reads through
 * its own buffers and does not tell where an entry's bytes begin.  It is strict in return.  Every entry is stored, neither
 * compressed nor encrypted; its local header (and its data descriptor, where it has one) says what the central directory
 * says; no two have one name, no two overlap; the directory ends where its end record begins, and that ends the file.
 * Zip64 is understood.  Checksums are not looked at: newer PyTorch may leave them out.  Names are matched and never used
 * as paths. */
#ifndef VKA_WEIGHTS_ZIP_H
#define VKA_WEIGHTS_ZIP_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define VKA_ZIP_MAX_ENTRIES 200000u
#define VKA_ZIP_MAX_NAME    512u

typedef struct vka_zip_entry {
    const char *name; /* `length` bytes in the archive, without a NUL */
    uint32_t length;
    const uint8_t *data; /* in the archive */
    uint64_t size;
} vka_zip_entry;

typedef struct vka_zip {
    vka_zip_entry *entries; /* sorted by name */
    size_t count;
    const vka_zip_entry *first; /* the first of the central directory; NULL when it is empty */
} vka_zip;

/* `data` stays alive as long as the archive; `path` is used in messages.  VKA_E_INPUT with the rule that is broken. */
vka_status vka_zip_read(vka_zip *z, const void *data, size_t size, const char *path, vka_error *err);
void vka_zip_free(vka_zip *z); /* a zeroed one is fine */
/* NULL when there is no such entry. */
const vka_zip_entry *vka_zip_find(const vka_zip *z, const char *name, size_t length);

#endif
