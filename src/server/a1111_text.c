/* a1111_text.c - base64 (RFC 4648, section 4), and what bytes are by their beginning.  See a1111.h. */
#include "server/a1111.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char letters[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *srv_a1111_base64(const void *data, size_t size)
{
    const uint8_t *p = data;
    if (size > SIZE_MAX / 2)
        return NULL;
    char *out = malloc((size + 2) / 3 * 4 + 1), *to = out;
    for (size_t i = 0; out && i < size; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < size ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < size ? p[i + 2] : 0);
        *to++ = letters[v >> 18];
        *to++ = letters[v >> 12 & 63];
        *to++ = i + 1 < size ? letters[v >> 6 & 63] : '=';
        *to++ = i + 2 < size ? letters[v & 63] : '=';
    }
    if (out)
        *to = '\0';
    return out;
}

/* 0 to 63; 64: '='; 65: white space; 66: none of these. */
static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? 64 : c == ' ' || (c >= '\t' && c <= '\r') ? 65 : 66;
}

unsigned char *srv_a1111_bytes(const char *text, size_t size, size_t *out_size)
{
    static const char head[] = "data:", mark[] = ";base64,";
    *out_size = 0;
    if (size >= sizeof head - 1 && memcmp(text, head, sizeof head - 1) == 0) {
        const char *comma = memchr(text, ',', size < 200 ? size : 200);
        size_t before = comma ? (size_t)(comma + 1 - text) : 0;
        if (before < sizeof mark - 1 || memcmp(text + before - (sizeof mark - 1), mark, sizeof mark - 1) != 0)
            return NULL;
        text += before, size -= before;
    }
    unsigned char *out = malloc(size / 4 * 3 + 3);
    uint32_t held = 0;
    unsigned bits = 0;
    size_t n = 0, count = 0, ends = 0;
    for (size_t i = 0; out && i < size; i++) {
        unsigned v = value_of(text[i]);
        if (v == 65)
            continue;
        if (v == 66 || (v == 64 && ends == 2) || (v != 64 && ends)) {
            free(out);
            return NULL;
        }
        count++;
        if (v == 64) {
            ends++;
            continue;
        }
        held = (held << 6 | v) & 0xffffff;
        if ((bits += 6) >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(held >> bits & 0xff);
        }
    }
    if (out && (count % 4 != 0 || n == 0)) {
        free(out);
        return NULL;
    }
    *out_size = out ? n : 0;
    return out;
}

const char *srv_a1111_extension(const void *data, size_t size)
{
    static const struct {
        size_t at, size;
        const char *bytes, *extension;
    } kinds[] = {{0, 8, "\x89PNG\r\n\x1a\n", ".png"},
                 {0, 3, "\xff\xd8\xff", ".jpg"},
                 {8, 4, "WEBP", ".webp"},
                 {0, 4, "GIF8", ".gif"},
                 {4, 4, "ftyp", ".mp4"},
                 {0, 4, "\x1a\x45\xdf\xa3", ".webm"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].at + kinds[i].size && memcmp((const char *)data + kinds[i].at, kinds[i].bytes, kinds[i].size) == 0)
            return kinds[i].extension;
    return ".bin";
}
