/* names.c - see names.h. */
#include "server/names.h"

#include <stdint.h>
#include <string.h>

/* ---- names -------------------------------------------------------------------------------------------------- */

/* Length of the character of UTF-8 at p, 0 where there is none; control characters are none. */
static size_t character(const unsigned char *p)
{
    unsigned c = p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0x20 || c == 0x7f || (c == 0xc2 && p[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (p[i] < low || p[i] > high)
            return 0;
    return n;
}

bool srv_text_is_clean(const char *text, size_t most)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n;
    for (; *p; p += n)
        if ((n = character(p)) == 0 || (size_t)(p - (const unsigned char *)text) + n > most)
            return false;
    return true;
}

bool srv_name_is_file(const char *name)
{
    return *name && *name != '.' && !strpbrk(name, "/\\") && srv_text_is_clean(name, SRV_NAME - 1);
}

bool srv_name_is_model(const char *name)
{
    if (!srv_text_is_clean(name, 1000) || strchr(name, '\\'))
        return false;
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || *p == '.')
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

bool srv_name_is_upload(const char *name)
{
    enum { HEAD = 7, DIGITS = 24 };
    if (strncmp(name, "upload-", HEAD) != 0 || strspn(name + HEAD, "0123456789abcdef") != DIGITS)
        return false;
    const struct srv_file_type *type = srv_type_of(name);
    return type && strcmp(name + HEAD + DIGITS, type->ending) == 0;
}

bool srv_name_is_result(const char *name)
{
    const struct srv_file_type *type = srv_name_is_file(name) ? srv_type_of(name) : NULL;
    return type && type->output;
}

bool srv_name_is_output(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._+-,()[]@#";
    size_t n = strspn(name, allowed);
    return n && n <= 200 && !name[n] && srv_name_is_result(name);
}

/* ---- types -------------------------------------------------------------------------------------------------- */

enum place {
    WEBP,
    WEBP_STILL,
    GIF,
    PNG,
    PNG_STILL,
    APNG,
    MP4,
    WEBM,
    Y4M,
    JPG,
    JPEG,
    BMP,
    TIF,
    PPM,
    MOV,
    MKV,
    AVI,
    TENSORS,
    TYPES
};
static const struct srv_file_type types[TYPES] = {
    [WEBP] = {".webp", "image/webp", "animation", true},
    [WEBP_STILL] = {".webp", "image/webp", "image", true},
    [GIF] = {".gif", "image/gif", "animation", true},
    [PNG] = {".png", "image/png", "animation", true},
    [PNG_STILL] = {".png", "image/png", "image", true},
    [APNG] = {".apng", "image/apng", "animation", true},
    [MP4] = {".mp4", "video/mp4", "video", true},
    [WEBM] = {".webm", "video/webm", "video", true},
    [Y4M] = {".y4m", "application/octet-stream", "video", true},
    [JPG] = {".jpg", "image/jpeg", "image", false},
    [JPEG] = {".jpeg", "image/jpeg", "image", false},
    [BMP] = {".bmp", "image/bmp", "image", false},
    [TIF] = {".tif", "image/tiff", "image", false},
    [PPM] = {".ppm", "application/octet-stream", "image", false},
    [MOV] = {".mov", "video/quicktime", "video", false},
    [MKV] = {".mkv", "video/x-matroska", "video", false},
    [AVI] = {".avi", "video/x-msvideo", "video", false},
    [TENSORS] = {".safetensors", "application/octet-stream", "tensors", false},
};

static bool same_ending(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a) != *b)
            return false;
    return !*a && !*b;
}

const struct srv_file_type *srv_type_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot > name && i < TYPES; i++)
        if (same_ending(dot, types[i].ending))
            return &types[i];
    return NULL;
}

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Whether a PNG has more than one picture: the chunk that says so comes before the first of pixels. */
static bool png_moves(const unsigned char *d, size_t size)
{
    for (size_t at = 8; size - at >= 12;) {
        uint32_t n = big32(d + at);
        if (memcmp(d + at + 4, "acTL", 4) == 0)
            return true;
        if (memcmp(d + at + 4, "IDAT", 4) == 0 || n > size - at - 12)
            return false;
        at += (size_t)n + 12;
    }
    return false;
}

/* MP4 and QuickTime, but not the still pictures that have the same boxes. */
static const struct srv_file_type *movie(const unsigned char *d)
{
    static const char *const stills[] = {"avif", "avis", "heic", "heix", "hevc", "mif1", "msf1", "crx "};
    for (size_t i = 0; i < sizeof stills / sizeof *stills; i++)
        if (memcmp(d + 8, stills[i], 4) == 0)
            return NULL;
    return &types[memcmp(d + 8, "qt  ", 4) == 0 ? MOV : MP4];
}

static const struct srv_file_type *matroska(const unsigned char *d, size_t size)
{
    size_t most = size < 128 ? size : 128;
    for (size_t i = 4; i + 7 <= most; i++)
        if (memcmp(d + i, "\x42\x82\x84webm", 7) == 0)
            return &types[WEBM];
    return &types[MKV];
}

const struct srv_file_type *srv_sniff(const void *data, size_t size)
{
    const unsigned char *d = data;
    if (size < 16)
        return NULL;
    if (memcmp(d, "\x89PNG\r\n\x1a\n", 8) == 0)
        return &types[png_moves(d, size) ? PNG : PNG_STILL];
    if (memcmp(d, "\xff\xd8\xff", 3) == 0)
        return &types[JPG];
    if (memcmp(d, "GIF87a", 6) == 0 || memcmp(d, "GIF89a", 6) == 0)
        return &types[GIF];
    if (memcmp(d, "RIFF", 4) == 0 && memcmp(d + 8, "WEBPVP8", 7) == 0)
        return &types[d[15] == 'X' && size > 20 && d[20] & 2 ? WEBP : WEBP_STILL];
    if (memcmp(d, "RIFF", 4) == 0 && memcmp(d + 8, "AVI ", 4) == 0)
        return &types[AVI];
    if (memcmp(d + 4, "ftyp", 4) == 0)
        return movie(d);
    if (memcmp(d, "\x1a\x45\xdf\xa3", 4) == 0)
        return matroska(d, size);
    if (memcmp(d, "YUV4MPEG2 ", 10) == 0)
        return &types[Y4M];
    if (memcmp(d, "BM", 2) == 0 && size >= 26 && d[15] == 0 && d[16] == 0 && d[17] == 0)
        return &types[BMP];
    if (memcmp(d, "II*\0", 4) == 0 || memcmp(d, "MM\0*", 4) == 0)
        return &types[TIF];
    if (d[0] == 'P' && d[1] >= '1' && d[1] <= '6' && (d[2] == '\n' || d[2] == ' ' || d[2] == '\r' || d[2] == '\t'))
        return &types[PPM];
    uint64_t header = 0; /* safetensors: the length of its JSON, least byte first */
    for (size_t i = 0; i < 8; i++)
        header |= (uint64_t)d[i] << 8 * i;
    if (header >= 2 && header <= size - 8 && d[8] == '{')
        return &types[TENSORS];
    return NULL;
}
