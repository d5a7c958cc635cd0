/* info.c - what a finished file says about itself: size, frames, duration, metadata.
 *
 * Own readers for WebP (RIFF), GIF, PNG and y4m that walk headers and never decode pixels; MP4 and WebM go to
 * video_info.c.  Everything here takes hostile bytes: each reads through a `span` whose bounds are checked
 * first, sums are 64-bit and saturate, and loops advance by at least one byte. */
#include "media/media_int.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The bytes not yet read. */
typedef struct span {
    const uint8_t *p;
    size_t left;
} span;

/* The next n bytes, or NULL when there are fewer. */
static const uint8_t *take(span *s, size_t n)
{
    if (n > s->left)
        return NULL;
    const uint8_t *p = s->p;
    s->p += n;
    s->left -= n;
    return p;
}

static vka_status damaged(const char *name, const char *kind, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "'%s' is a damaged %s file", name, kind);
    vka_error_why(err, "%s", why);
    return VKA_E_INPUT;
}

/* ---- WebP: RIFF chunks of fourcc, little-endian size, data, padded to even ------------------------------------ */

/* Size of a still image from its VP8 or VP8L header. */
static void webp_still(const uint8_t *chunk, const uint8_t *data, size_t size, vka_media_info *info)
{
    if (!memcmp(chunk, "VP8 ", 4) && size >= 10 && data[3] == 0x9d && data[4] == 0x01 && data[5] == 0x2a) {
        info->width = vka_le16(data + 6) & 0x3fff;
        info->height = vka_le16(data + 8) & 0x3fff;
    } else if (!memcmp(chunk, "VP8L", 4) && size >= 5 && data[0] == 0x2f) {
        uint32_t bits = vka_le32(data + 1);
        info->width = (bits & 0x3fff) + 1;
        info->height = ((bits >> 14) & 0x3fff) + 1;
    }
}

static vka_status read_webp(span s, const char *name, vka_media_info *info, vka_error *err)
{
    uint64_t ms = 0;
    bool still = false;
    const uint8_t *head = take(&s, 12);
    size_t riff = vka_le32(head + 4); /* counts from byte 8 */
    if (riff < 4 || riff - 4 > s.left)
        return damaged(name, "WebP", "it is shorter than it says", err);
    s.left = riff - 4;
    info->plays = 1;
    while (s.left >= 8) {
        const uint8_t *chunk = take(&s, 8);
        size_t size = vka_le32(chunk + 4);
        const uint8_t *data = take(&s, size);
        if (!data)
            return damaged(name, "WebP", "a chunk reaches past its end", err);
        if (size & 1)
            take(&s, 1);
        if (!memcmp(chunk, "VP8X", 4) && size >= 10) {
            info->width = vka_le24(data + 4) + 1;
            info->height = vka_le24(data + 7) + 1;
        } else if (!memcmp(chunk, "ANIM", 4) && size >= 6) {
            info->plays = vka_le16(data + 4);
        } else if (!memcmp(chunk, "ANMF", 4) && size >= 16) {
            if (info->frames < UINT32_MAX)
                info->frames++;
            ms += vka_le24(data + 12);
        } else if (!memcmp(chunk, "VP8 ", 4) || !memcmp(chunk, "VP8L", 4)) {
            still = true;
            if (!info->width)
                webp_still(chunk, data, size, info);
        } else if (!memcmp(chunk, "XMP ", 4) && !info->metadata)
            info->metadata = vka_xmp_unwrap(data, size);
        else if (!memcmp(chunk, "EXIF", 4) && !info->infotext)
            info->infotext = vka_exif_unwrap(data, size);
    }
    if (!info->frames && still)
        info->frames = 1;
    info->duration = (double)ms / 1000;
    if (!info->width || !info->height || !info->frames)
        return damaged(name, "WebP", "it holds no image", err);
    return VKA_OK;
}

/* ---- GIF: blocks, whose data is a chain of sub-blocks of 1 to 255 bytes ended by an empty one ------------------ */

/* Appends the chain's bytes to `into` (may be NULL); false when it is cut off. */
static bool gif_chain(span *s, vka_bytes *into)
{
    for (;;) {
        const uint8_t *n = take(s, 1);
        if (!n)
            return false;
        if (!*n)
            return true;
        const uint8_t *data = take(s, *n);
        if (!data)
            return false;
        if (into)
            vka_bytes_add(into, data, *n);
    }
}

static bool gif_extension(span *s, vka_media_info *info, uint64_t *cs, vka_bytes *bytes)
{
    const uint8_t *label = take(s, 1);
    bytes->size = 0;
    if (!label || !gif_chain(s, bytes) || bytes->failed)
        return false;
    const uint8_t *d = bytes->data;
    if (*label == 0xf9 && bytes->size >= 4) /* graphic control: flags, delay, transparent colour */
        *cs += vka_le16(d + 1);
    else if (*label == 0xff && bytes->size >= 14 && !memcmp(d, "NETSCAPE2.0", 11) && d[11] == 1)
        info->plays = vka_le16(d + 12) ? vka_le16(d + 12) + 1 : 0; /* it counts repetitions, we count plays */
    else if (*label == 0xfe) {
        char *json = vka_json_copy(d, bytes->size);
        if (json && !info->metadata) {
            info->metadata = json;
            json = NULL;
        } else if (!json && !info->infotext)
            info->infotext = vka_text_copy(d, bytes->size);
        free(json);
    }
    return true;
}

static vka_status read_gif(span s, const char *name, vka_media_info *info, vka_error *err)
{
    static const char cut[] = "it ends in the middle of a block";
    vka_bytes bytes = {0};
    uint64_t cs = 0;
    bool whole = false, ok = true;
    const uint8_t *head = take(&s, 13);
    if (!head)
        return damaged(name, "GIF", cut, err);
    info->width = vka_le16(head + 6);
    info->height = vka_le16(head + 8);
    info->plays = 1;
    if (head[10] & 0x80 && !take(&s, (size_t)6 << (head[10] & 7)))
        return damaged(name, "GIF", cut, err);
    while (ok && !whole) {
        const uint8_t *kind = take(&s, 1), *image;
        if (!kind)
            ok = false;
        else if (*kind == 0x3b)
            whole = true;
        else if (*kind == 0x21)
            ok = gif_extension(&s, info, &cs, &bytes);
        else if (*kind == 0x2c && (image = take(&s, 9)) != NULL) {
            /* Position, size, flags; then maybe a palette, the code size, the data. */
            ok = (!(image[8] & 0x80) || take(&s, (size_t)6 << (image[8] & 7))) && take(&s, 1) && gif_chain(&s, NULL);
            if (ok && info->frames < UINT32_MAX)
                info->frames++;
        } else
            ok = false;
    }
    vka_bytes_free(&bytes);
    info->duration = (double)cs / 100;
    if (!whole)
        return damaged(name, "GIF", cut, err);
    if (!info->width || !info->height || !info->frames)
        return damaged(name, "GIF", "it holds no image", err);
    return VKA_OK;
}

/* ---- PNG: big-endian size, type, data, CRC ------------------------------------------------------------------- */

static const uint8_t own_key[7] = "vkanim", other_key[11] = "parameters"; /* with their NULs */

/* iTXt: keyword 0, compressed (0 or 1), method, language 0, translated keyword 0, text.  Compressed text is nobody's and is
 * left alone. */
static void png_itxt(const uint8_t *d, size_t size, vka_media_info *info)
{
    span s = {d, size};
    bool own = size >= sizeof own_key && !memcmp(d, own_key, sizeof own_key);
    if (!own && !(size >= sizeof other_key && !memcmp(d, other_key, sizeof other_key)))
        return;
    take(&s, own ? sizeof own_key : sizeof other_key);
    const uint8_t *flags = take(&s, 2);
    if (!flags || flags[0] != 0)
        return;
    for (int i = 0; i < 2; i++) {
        const uint8_t *end = s.left ? memchr(s.p, 0, s.left) : NULL;
        if (!end)
            return;
        take(&s, (size_t)(end - s.p) + 1);
    }
    if (own && !info->metadata)
        info->metadata = vka_json_copy(s.p, s.left);
    else if (!own && !info->infotext)
        info->infotext = vka_text_copy(s.p, s.left);
}

/* tEXt: keyword 0, Latin-1, though some write UTF-8. */
static void png_plain_text(const uint8_t *d, size_t size, vka_media_info *info)
{
    if (!info->infotext && size > sizeof other_key && !memcmp(d, other_key, sizeof other_key))
        info->infotext = vka_text_copy(d + sizeof other_key, size - sizeof other_key);
}

static vka_status read_png(span s, const char *name, vka_media_info *info, vka_error *err)
{
    static const char cut[] = "it ends in the middle of a chunk";
    bool whole = false, first = true, data = false;
    info->frames = 1;
    info->plays = 1;
    take(&s, 8);
    while (!whole) {
        const uint8_t *chunk = take(&s, 8);
        if (!chunk)
            return damaged(name, "PNG", cut, err);
        size_t size = vka_be32(chunk);
        const uint8_t *d = take(&s, size), *crc = take(&s, 4), *type = chunk + 4;
        if (!d || !crc)
            return damaged(name, "PNG", cut, err);
        if (first != !memcmp(type, "IHDR", 4) || (first && size != 13))
            return damaged(name, "PNG", "it does not start with one header", err);
        if (first) {
            info->width = vka_be32(d);
            info->height = vka_be32(d + 4);
        } else if (!memcmp(type, "acTL", 4) && size >= 8 && !data) {
            info->format = VKA_MEDIA_APNG;
            info->frames = vka_be32(d);
            info->plays = vka_be32(d + 4);
        } else if (!memcmp(type, "fcTL", 4) && size >= 26) {
            double num = d[20] * 256.0 + d[21], den = d[22] * 256.0 + d[23];
            info->duration += num / (den > 0 ? den : 100); /* 0 stands for 100 */
        } else if (!memcmp(type, "iTXt", 4) || !memcmp(type, "tEXt", 4)) {
            if (vka_crc32(0, type, size + 4) == vka_be32(crc)) {
                if (*type == 'i')
                    png_itxt(d, size, info);
                else
                    png_plain_text(d, size, info);
            }
        } else if (!memcmp(type, "IDAT", 4))
            data = true;
        else if (!memcmp(type, "IEND", 4))
            whole = true;
        first = false;
    }
    if (!info->width || !info->height || !info->frames || !data)
        return damaged(name, "PNG", "it holds no image", err);
    if (info->format != VKA_MEDIA_APNG)
        info->duration = 0;
    return VKA_OK;
}

/* ---- y4m: a line of parameters, then frames of one size ------------------------------------------------------- */

static uint32_t y4m_number(const uint8_t **p, const uint8_t *end)
{
    uint64_t v = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
        v = v > UINT32_MAX ? v : v * 10 + (uint64_t)(**p - '0');
    return v > UINT32_MAX ? 0 : (uint32_t)v;
}

static vka_status read_y4m(span s, const char *name, vka_media_info *info, vka_error *err)
{
    static const uint8_t frame_word[5] = {'F', 'R', 'A', 'M', 'E'};
    const uint8_t *end = memchr(s.p, '\n', s.left < 1024 ? s.left : 1024), *p = s.p + 9;
    uint64_t num = 0, den = 0, half = 0, size = 0;
    bool full = false;
    if (!end)
        return damaged(name, "y4m", "its first line does not end", err);
    while (p < end) {
        const uint8_t *word = p++;
        if (word[-1] != ' ')
            continue;
        if (*word == 'W')
            info->width = y4m_number(&p, end);
        else if (*word == 'H')
            info->height = y4m_number(&p, end);
        else if (*word == 'F') {
            num = y4m_number(&p, end);
            den = p < end && *p == ':' ? (p++, y4m_number(&p, end)) : 0;
        } else if (*word == 'C')
            full = end - word >= 4 && !memcmp(word + 1, "444", 3) && (word + 4 == end || word[4] == ' ');
    }
    if (!info->width || !info->height || info->width > 65535 || info->height > 65535)
        return damaged(name, "y4m", "it holds no image", err);
    half = (uint64_t)((info->width + 1) / 2) * ((info->height + 1) / 2);
    size = (uint64_t)info->width * info->height;
    size = full ? 3 * size : size + 2 * half; /* 4:4:4, else 4:2:0 is taken, which readers assume too */
    take(&s, (size_t)(end - s.p) + 1);
    while (s.left) {
        const uint8_t *line = s.p;
        end = memchr(s.p, '\n', s.left < 1024 ? s.left : 1024);
        if (!end || end - line < 5 || memcmp(line, frame_word, 5) != 0)
            return damaged(name, "y4m", "a frame's header is missing", err);
        take(&s, (size_t)(end - line) + 1);
        if (size > s.left)
            return damaged(name, "y4m", "its last frame is cut off", err);
        take(&s, (size_t)size);
        info->frames++;
    }
    info->plays = 1;
    info->duration = num && den ? (double)info->frames * (double)den / (double)num : 0;
    return info->frames ? VKA_OK : damaged(name, "y4m", "it holds no image", err);
}

/* ---- entry ------------------------------------------------------------------------------------------------- */

static vka_media_format format_of_bytes(const uint8_t *d, size_t n)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, ebml[4] = {0x1a, 0x45, 0xdf, 0xa3};
    if (n >= 12 && !memcmp(d, "RIFF", 4) && !memcmp(d + 8, "WEBP", 4))
        return VKA_MEDIA_WEBP;
    if (n >= 6 && (!memcmp(d, "GIF89a", 6) || !memcmp(d, "GIF87a", 6)))
        return VKA_MEDIA_GIF;
    if (n >= 8 && !memcmp(d, png, 8))
        return VKA_MEDIA_PNG;
    if (n >= 10 && !memcmp(d, "YUV4MPEG2 ", 10))
        return VKA_MEDIA_Y4M;
    if (n >= 8 && !memcmp(d + 4, "ftyp", 4))
        return VKA_MEDIA_MP4;
    if (n >= 4 && !memcmp(d, ebml, 4))
        return VKA_MEDIA_WEBM;
    return VKA_MEDIA_NONE;
}

vka_status vka_media_info_parse(const void *data, size_t size, const char *name, vka_media_info *info, vka_error *err)
{
    span s = {data, size};
    *info = (vka_media_info){.format = format_of_bytes(data, size), .plays = 1};
    vka_status status = VKA_OK;
    if (info->format == VKA_MEDIA_WEBP)
        status = read_webp(s, name, info, err);
    else if (info->format == VKA_MEDIA_GIF)
        status = read_gif(s, name, info, err);
    else if (info->format == VKA_MEDIA_PNG)
        status = read_png(s, name, info, err);
    else if (info->format == VKA_MEDIA_Y4M)
        status = read_y4m(s, name, info, err);
    if (status != VKA_OK)
        vka_media_info_free(info);
    return status;
}

void vka_media_info_free(vka_media_info *info)
{
    free(info->metadata);
    free(info->infotext);
    *info = (vka_media_info){0};
}

vka_status vka_media_info_read(const char *path, vka_media_info *info, vka_error *err)
{
    vka_map map;
    *info = (vka_media_info){0};
    vka_status s = vka_map_open(&map, path, err);
    if (s != VKA_OK)
        return s;
    s = vka_media_info_parse(map.data, map.size, path, info, err);
    if (s == VKA_OK && (info->format == VKA_MEDIA_MP4 || info->format == VKA_MEDIA_WEBM)) {
        s = vka_video_info(map.data, map.size, path, info, err);
        if (s != VKA_OK)
            vka_media_info_free(info);
    }
    vka_map_close(&map);
    return s;
}

vka_status vka_media_read_metadata(const char *path, char **json, vka_error *err)
{
    vka_media_info info;
    *json = NULL;
    vka_status s = vka_media_info_read(path, &info, err);
    if (s != VKA_OK)
        return s;
    *json = info.metadata;
    info.metadata = NULL;
    if (!*json) {
        s = vka_fail(err, VKA_E_INPUT, "'%s' does not say how it was made", path);
        vka_error_why(err, info.format == VKA_MEDIA_NONE ? "it is neither a picture nor an animation that vkanim knows"
                                                         : "it carries no settings");
    }
    vka_media_info_free(&info);
    return s;
}
