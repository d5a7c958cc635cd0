/* text.c - the infotext of A1111 and its AnimateDiff extension in files: bytes of whatever encoding to UTF-8, and the EXIF of
 * a WebP, whose UserComment holds it.
 *
 * What is written is the least that EXIF allows (CIPA DC-008): a big-endian TIFF header, one directory that points to the
 * EXIF one, that with one entry, whose bytes are "UNICODE\0" and UTF-16, big-endian as A1111's library has it.  What is read
 * may be any bytes: every offset is checked, directories are looked through once. */
#include "media/media_int.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 4 << 20, EXIF_POINTER = 0x8769, USER_COMMENT = 0x9286 };

/* The next character of UTF-8, *n its bytes; 0xfffd and 1 byte where there is none. */
static uint32_t next_utf8(const uint8_t *p, size_t left, size_t *n)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t want = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    uint32_t c = want == 1 ? p[0] : want ? p[0] & (0x7fu >> want) : 0xfffd;
    *n = 1;
    if (!want || want > left)
        return 0xfffd;
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[want] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0xfffd;
    *n = want;
    return c;
}

void vka_utf8_add(vka_bytes *b, uint32_t c)
{
    uint8_t u[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        u[i] = (uint8_t)(0x80 | (c & 63));
    u[0] = (uint8_t)(lead[n] | c);
    vka_bytes_add(b, u, n);
}

static char *finish(vka_bytes *b)
{
    vka_bytes_add(b, "", 1);
    if (b->failed || b->size < 2)
        vka_bytes_free(b);
    return (char *)b->data;
}

char *vka_text_copy(const void *text, size_t size)
{
    bool latin1 = false;
    const uint8_t *p = text, *end = size ? memchr(p, 0, size) : NULL;
    vka_bytes b = {0};
    size_t left = end ? (size_t)(end - p) : size, n;
    if (!left || left > MOST_TEXT)
        return NULL;
    for (size_t i = 0; !latin1 && i < left; i += n) {
        uint32_t c = next_utf8(p + i, left - i, &n);
        latin1 = c == 0xfffd && n == 1;
    }
    if (!latin1)
        vka_bytes_add(&b, p, left);
    else
        for (size_t i = 0; i < left; i++)
            vka_utf8_add(&b, p[i]);
    return finish(&b);
}

/* ---- UTF-16 ---------------------------------------------------------------------------------------------------------- */

static char *from_utf16(const uint8_t *p, size_t size, bool big)
{
    size_t zeros[2] = {0, 0};
    vka_bytes b = {0};
    if (size > 2u * MOST_TEXT)
        return NULL;
    for (size_t i = 0; i < size; i++)
        zeros[i & 1] += p[i] == 0;
    if (zeros[0] != zeros[1]) /* writers do not agree whose order counts; Latin letters have their zeros in front in big-endian */
        big = zeros[0] > zeros[1];
    if (size >= 2 && ((p[0] == 0xfe && p[1] == 0xff) || (p[0] == 0xff && p[1] == 0xfe))) {
        big = p[0] == 0xfe;
        p += 2, size -= 2;
    }
    for (size_t i = 0; i + 2 <= size;) {
        uint32_t c = big ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];
        i += 2;
        if (c >= 0xd800 && c < 0xdc00 && i + 2 <= size) {
            uint32_t d = big ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];
            if (d >= 0xdc00 && d < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
                i += 2;
            }
        }
        if (!c)
            break;
        vka_utf8_add(&b, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    }
    return finish(&b);
}

static void put_be16(vka_bytes *b, uint32_t v)
{
    uint8_t u[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    vka_bytes_add(b, u, 2);
}

static void put_entry(vka_bytes *b, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    uint8_t u[4];
    put_be16(b, tag);
    put_be16(b, type);
    vka_put_be32(u, count);
    vka_bytes_add(b, u, 4);
    vka_put_be32(u, value);
    vka_bytes_add(b, u, 4);
}

bool vka_exif_wrap(const char *text, vka_bytes *out)
{
    enum { FIRST = 8, SECOND = FIRST + 2 + 12 + 4, DATA = SECOND + 2 + 12 + 4, UNSIGNED_LONG = 4, UNDEFINED = 7 };
    const uint8_t *p = (const uint8_t *)text;
    vka_bytes chars = {0};
    size_t left = strlen(text), n;
    for (; left; p += n, left -= n) {
        uint32_t c = next_utf8(p, left, &n);
        if (c >= 0x10000) {
            put_be16(&chars, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        put_be16(&chars, c);
    }
    vka_bytes_add(out, "MM\0*\0\0\0\10", 8);
    put_be16(out, 1);
    put_entry(out, EXIF_POINTER, UNSIGNED_LONG, 1, SECOND);
    vka_bytes_add(out, "\0\0\0\0", 4);
    put_be16(out, 1);
    put_entry(out, USER_COMMENT, UNDEFINED, (uint32_t)chars.size + 8, DATA);
    vka_bytes_add(out, "\0\0\0\0", 4);
    vka_bytes_add(out, "UNICODE\0", 8);
    vka_bytes_add(out, chars.data, chars.size);
    out->failed = out->failed || chars.failed || chars.size > 0x7ffffff0;
    vka_bytes_free(&chars);
    return !out->failed;
}

/* ---- reading EXIF ------------------------------------------------------------------------------------------------------ */

struct tiff {
    const uint8_t *p;
    size_t size;
    bool big;
};

static uint32_t read16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->p + at;
    return t->big ? (uint32_t)p[0] << 8 | p[1] : vka_le16(p);
}

static uint32_t read32(const struct tiff *t, size_t at)
{
    return t->big ? vka_be32(t->p + at) : vka_le32(t->p + at);
}

/* Where an entry of the directory at `at` begins, 12 bytes of which are there; 0 when it has none of the tag. */
static size_t find_entry(const struct tiff *t, size_t at, uint32_t tag)
{
    if (at < 8 || t->size < 2 || at > t->size - 2)
        return 0;
    size_t count = read16(t, at);
    for (size_t i = 0; i < count; i++) {
        size_t entry = at + 2 + 12 * i;
        if (entry > t->size || t->size - entry < 12)
            return 0;
        if (read16(t, entry) == tag)
            return entry;
    }
    return 0;
}

char *vka_exif_unwrap(const uint8_t *exif, size_t size)
{
    if (size >= 6 && !memcmp(exif, "Exif\0\0", 6)) /* JPEG's prefix, which some writers leave in */
        exif += 6, size -= 6;
    struct tiff t = {exif, size, size >= 2 && exif[0] == 'M'};
    if (size < 8 || (memcmp(exif, "MM\0*", 4) != 0 && memcmp(exif, "II*\0", 4) != 0))
        return NULL;
    size_t pointer = find_entry(&t, read32(&t, 4), EXIF_POINTER);
    size_t comment = pointer ? find_entry(&t, read32(&t, pointer + 8), USER_COMMENT) : 0;
    if (!comment)
        return NULL;
    size_t count = read32(&t, comment + 4), at = count <= 4 ? comment + 8 : read32(&t, comment + 8);
    if (at > size || count > size - at)
        return NULL;
    const uint8_t *p = exif + at;
    if (count >= 8 && !memcmp(p, "UNICODE\0", 8))
        return from_utf16(p + 8, count - 8, t.big);
    if (count >= 8 && (!memcmp(p, "ASCII\0\0\0", 8) || !memcmp(p, "\0\0\0\0\0\0\0\0", 8)))
        return vka_text_copy(p + 8, count - 8);
    return vka_text_copy(p, count);
}
