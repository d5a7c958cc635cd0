/* zip.c - see zip.h for the rules it enforces.
 *
 * Every number is read after a check that its bytes are there; sums of offsets are taken as differences from the file's
 * size, so that none can wrap. */
#include "weights/zip.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20 };
enum { FLAG_ENCRYPTED = 1, FLAG_DESCRIPTOR = 8, FLAG_PATCH = 0x20, FLAG_STRONG = 0x40, FLAG_MASKED = 0x2000 };

struct archive {
    const uint8_t *data;
    uint64_t size;
    const char *path;
    vka_error *err;
};

/* One entry of the central directory. */
struct central {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, size, header;
    const char *name;
    uint32_t length;
};

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}
static uint64_t u64(const uint8_t *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

static bool is_at(const struct archive *a, uint64_t at, uint64_t bytes)
{
    return at <= a->size && bytes <= a->size - at;
}

static bool has_mark(const struct archive *a, uint64_t at, const char *mark, uint64_t bytes)
{
    return is_at(a, at, bytes) && memcmp(a->data + at, mark, 4) == 0;
}

static vka_status truncated(const struct archive *a)
{
    vka_fail(a->err, VKA_E_INPUT, "'%s' is truncated or damaged", a->path);
    vka_error_why(a->err, "a zip archive ends with its directory, and this file does not");
    vka_error_hint(a->err, "fetch or copy the file again");
    return VKA_E_INPUT;
}

static vka_status broken(const struct archive *a, const char *what)
{
    return vka_fail(a->err, VKA_E_INPUT, "'%s' is not a sound zip archive: %s", a->path, what);
}

/* About one entry, whose name may hold anything. */
static vka_status refuse(const struct archive *a, const char *name, uint32_t length, const char *what)
{
    char clean[81];
    uint32_t n = 0;
    for (; n < length && n < sizeof clean - 1; n++)
        clean[n] = name[n] >= 32 && name[n] < 127 ? name[n] : '?';
    clean[n] = '\0';
    return vka_fail(a->err, VKA_E_INPUT, "'%s': its entry '%s' %s", a->path, clean, what);
}

/* ---- the directory ---- */

struct directory {
    uint64_t at, bytes, count;
};

/* The end record closes the file; PyTorch writes no comment, other programs may. */
static bool find_end(const struct archive *a, uint64_t *at)
{
    if (a->size < END)
        return false;
    for (uint64_t comment = 0; comment <= 0xffff && comment <= a->size - END; comment++) {
        uint64_t here = a->size - END - comment;
        if (has_mark(a, here, "PK\5\6", END) && u16(a->data + here + 20) == comment) {
            *at = here;
            return true;
        }
    }
    return false;
}

static vka_status read_end(const struct archive *a, struct directory *d)
{
    uint64_t end;
    if (!find_end(a, &end))
        return truncated(a);
    const uint8_t *p = a->data + end;
    uint64_t disk = u16(p + 4), first_disk = u16(p + 6), here = u16(p + 8), close = end;
    d->count = u16(p + 10);
    d->bytes = u32(p + 12);
    d->at = u32(p + 16);
    if (end >= LOCATOR && has_mark(a, end - LOCATOR, "PK\6\7", LOCATOR)) {
        const uint8_t *l = a->data + end - LOCATOR;
        uint64_t end64 = u64(l + 8);
        if (end64 > end - LOCATOR || end - LOCATOR - end64 < END64 || !has_mark(a, end64, "PK\6\6", END64))
            return broken(a, "its zip64 end record is not where it should be");
        const uint8_t *q = a->data + end64;
        if (u64(q + 4) != end - LOCATOR - end64 - 12)
            return broken(a, "its zip64 end record has an odd length");
        if ((d->count != 0xffff && d->count != u64(q + 32)) || (d->bytes != 0xffffffff && d->bytes != u64(q + 40)) ||
            (d->at != 0xffffffff && d->at != u64(q + 48)))
            return broken(a, "its two end records contradict each other");
        disk = u32(q + 16);
        first_disk = u32(q + 20);
        here = u64(q + 24);
        d->count = u64(q + 32);
        d->bytes = u64(q + 40);
        d->at = u64(q + 48);
        close = end64;
    }
    if (disk || first_disk || here != d->count)
        return broken(a, "it is a part of a split archive");
    if (!is_at(a, d->at, d->bytes) || d->at + d->bytes != close)
        return broken(a, "its directory does not end where its end record begins");
    if (d->count > VKA_ZIP_MAX_ENTRIES || d->count > d->bytes / CENTRAL)
        return broken(a, "its directory has an impossible number of entries");
    return VKA_OK;
}

/* Takes the 8-byte values of the zip64 field, in their fixed order, for each that is 0xffffffff; false when one is missing. */
static bool widen(const uint8_t *extra, uint32_t bytes, uint64_t *const *values, int count)
{
    const uint8_t *field = NULL;
    uint32_t left = 0;
    for (uint32_t i = 0; i + 4 <= bytes;) {
        uint32_t n = u16(extra + i + 2);
        if (n > bytes - i - 4)
            break;
        if (u16(extra + i) == 1) {
            field = extra + i + 4;
            left = n;
            break;
        }
        i += 4 + n;
    }
    for (int i = 0; i < count; i++) {
        if (*values[i] != 0xffffffff)
            continue;
        if (left < 8)
            return false;
        *values[i] = u64(field);
        field += 8;
        left -= 8;
    }
    return true;
}

static vka_status read_central(const struct archive *a, uint64_t *at, uint64_t end, struct central *c)
{
    if (end - *at < CENTRAL || !has_mark(a, *at, "PK\1\2", CENTRAL))
        return broken(a, "its directory is damaged");
    const uint8_t *p = a->data + *at;
    uint32_t extra = u16(p + 30), comment = u16(p + 32);
    *c = (struct central){.flags = u16(p + 8),
                          .method = u16(p + 10),
                          .crc = u32(p + 16),
                          .packed = u32(p + 20),
                          .size = u32(p + 24),
                          .header = u32(p + 42),
                          .name = (const char *)p + CENTRAL,
                          .length = u16(p + 28)};
    if (end - *at - CENTRAL < (uint64_t)c->length + extra + comment)
        return broken(a, "its directory is damaged");
    if (!c->length || c->length > VKA_ZIP_MAX_NAME)
        return broken(a, "an entry has a name that is empty or too long");
    uint64_t *const wide[] = {&c->size, &c->packed, &c->header};
    if (!widen(p + CENTRAL + c->length, extra, wide, 3))
        return refuse(a, c->name, c->length, "has a damaged zip64 field");
    *at += CENTRAL + c->length + extra + comment;
    if (c->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED))
        return refuse(a, c->name, c->length, "is encrypted");
    if (c->method != 0 || c->flags & FLAG_PATCH) {
        refuse(a, c->name, c->length, "is compressed, which no PyTorch file is");
        vka_error_hint(a->err, "if this is an archive around a model file, unpack it; TorchScript programs (.jit) are not read");
        return VKA_E_INPUT;
    }
    if (c->packed != c->size)
        return refuse(a, c->name, c->length, "has two different sizes");
    return VKA_OK;
}

/* ---- the entries ---- */

/* Behind the bytes of an entry whose local header did not know its size: an optional mark, the checksum, both sizes. */
static bool descriptor_fits(const struct archive *a, uint64_t at, const struct central *c)
{
    if (has_mark(a, at, "PK\7\x08", 4))
        at += 4;
    if (is_at(a, at, 20) && u32(a->data + at) == c->crc && u64(a->data + at + 4) == c->packed &&
        u64(a->data + at + 12) == c->size)
        return true;
    return is_at(a, at, 12) && u32(a->data + at) == c->crc && u32(a->data + at + 4) == c->packed &&
           u32(a->data + at + 8) == c->size;
}

static vka_status read_entry(const struct archive *a, const struct central *c, uint64_t directory, vka_zip_entry *e)
{
    if (c->header > directory || directory - c->header < LOCAL || !has_mark(a, c->header, "PK\3\4", LOCAL))
        return refuse(a, c->name, c->length, "is not where the directory says");
    const uint8_t *p = a->data + c->header;
    uint32_t length = u16(p + 26), extra = u16(p + 28);
    uint64_t packed = u32(p + 18), size = u32(p + 22), room = directory - c->header - LOCAL;
    if (room < (uint64_t)length + extra || length != c->length || memcmp(p + LOCAL, c->name, length) != 0)
        return refuse(a, c->name, c->length, "has another name in its own header");
    if (u16(p + 6) != c->flags || u16(p + 8) != c->method)
        return refuse(a, c->name, c->length, "has other flags in its own header");
    room -= (uint64_t)length + extra;
    if (c->size > room) {
        refuse(a, c->name, c->length, "goes beyond the end of the archive's data");
        vka_error_hint(a->err, "fetch or copy the file again");
        return VKA_E_INPUT;
    }
    uint64_t *const wide[] = {&size, &packed};
    bool later = c->flags & FLAG_DESCRIPTOR && size == 0 && packed == 0;
    if (!later && !widen(p + LOCAL + length, extra, wide, 2))
        return refuse(a, c->name, c->length, "has a damaged zip64 field");
    uint64_t begin = c->header + LOCAL + length + extra;
    if ((!later && (size != c->size || packed != c->packed || u32(p + 14) != c->crc)) ||
        (later && !descriptor_fits(a, begin + c->size, c)))
        return refuse(a, c->name, c->length, "has another size or checksum in its own header");
    *e = (vka_zip_entry){c->name, c->length, a->data + begin, c->size};
    return VKA_OK;
}

static int compare(const char *a, size_t n, const char *b, size_t k)
{
    int order = memcmp(a, b, n < k ? n : k);
    return order ? order : n < k ? -1 : n > k;
}

static int by_name(const void *a, const void *b)
{
    const vka_zip_entry *x = a, *y = b;
    return compare(x->name, x->length, y->name, y->length);
}

/* By place, an entry without bytes before the one that begins where it lies. */
static int by_place(const void *a, const void *b)
{
    const vka_zip_entry *x = a, *y = b;
    if (x->data != y->data)
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static vka_status check_overlap(const struct archive *a, vka_zip *z)
{
    qsort(z->entries, z->count, sizeof *z->entries, by_place);
    for (size_t i = 1; i < z->count; i++) {
        const vka_zip_entry *e = &z->entries[i], *before = e - 1;
        /* What lies between two entries holds at least the later one's header. */
        if ((uint64_t)(e->data - before->data) < before->size + LOCAL + e->length)
            return refuse(a, e->name, e->length, "overlaps another");
    }
    return VKA_OK;
}

static vka_status read_entries(const struct archive *a, const struct directory *d, vka_zip *z)
{
    uint64_t at = d->at, end = d->at + d->bytes;
    const char *first = NULL;
    for (uint64_t i = 0; i < d->count; i++) {
        struct central c;
        vka_status s = read_central(a, &at, end, &c);
        if (s == VKA_OK)
            s = read_entry(a, &c, d->at, &z->entries[z->count]);
        if (s != VKA_OK)
            return s;
        first = first ? first : c.name;
        z->count++;
    }
    if (at != end)
        return broken(a, "its directory is longer than its entries");
    if (!z->count)
        return VKA_OK;
    vka_status s = check_overlap(a, z);
    qsort(z->entries, z->count, sizeof *z->entries, by_name);
    for (size_t i = 0; i < z->count && s == VKA_OK; i++) {
        if (i && by_name(&z->entries[i - 1], &z->entries[i]) == 0)
            s = refuse(a, z->entries[i].name, z->entries[i].length, "is there twice");
        if (z->entries[i].name == first)
            z->first = &z->entries[i];
    }
    return s;
}

vka_status vka_zip_read(vka_zip *z, const void *data, size_t size, const char *path, vka_error *err)
{
    struct archive a = {data, size, path, err};
    struct directory d;
    *z = (vka_zip){0};
    vka_status s = read_end(&a, &d);
    if (s == VKA_OK && !(z->entries = vka_calloc((size_t)d.count + 1, sizeof *z->entries)))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    if (s == VKA_OK)
        s = read_entries(&a, &d, z);
    if (s != VKA_OK)
        vka_zip_free(z);
    return s;
}

void vka_zip_free(vka_zip *z)
{
    free(z->entries);
    *z = (vka_zip){0};
}

const vka_zip_entry *vka_zip_find(const vka_zip *z, const char *name, size_t length)
{
    size_t lo = 0, hi = z->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const vka_zip_entry *e = &z->entries[mid];
        int order = compare(e->name, e->length, name, length);
        if (order == 0)
            return e;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
