/* png.c - PNG (ISO/IEC 15948) through libpng, and animated PNG (PNG third edition, section 11.3.6) put together from
 * such images: libpng compresses a frame as a whole file, whose IDAT chunks become the frame's fdAT chunks.
 *
 * Order of an animated file: signature, IHDR, sRGB, acTL, iTXt, then per frame fcTL and its data (IDAT for frame 0,
 * fdAT after), IEND.  fcTL and fdAT share one sequence number. */
#include "media/media_int.h"

#include "base/mem.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

void vka_bytes_add(vka_bytes *b, const void *data, size_t size)
{
    uint8_t *p = size > SIZE_MAX - b->size || b->failed ? NULL : vka_grow(b->data, &b->capacity, b->size + size, 1);
    if (!p) {
        b->failed = true;
        return;
    }
    b->data = p;
    if (size)
        memcpy(p + b->size, data, size);
    b->size += size;
}

void vka_bytes_free(vka_bytes *b)
{
    free(b->data);
    *b = (vka_bytes){0};
}

uint32_t vka_crc32(uint32_t crc, const void *data, size_t size)
{
    /* Remainders of the reversed polynomial 0xedb88320 for each value of four bits. */
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

/* ---- one image --------------------------------------------------------------------------------------------- */

static const char no_memory[] = "out of memory";

static void png_write_bytes(png_structp png, png_bytep data, size_t size)
{
    vka_bytes *b = png_get_io_ptr(png);
    vka_bytes_add(b, data, size);
    if (b->failed)
        png_error(png, no_memory);
}

static void png_flush_bytes(png_structp png)
{
    (void)png;
}

static void png_failed(png_structp png, png_const_charp text)
{
    vka_error *err = png_get_error_ptr(png);
    /* ours, libpng's and zlib's words for it; of one text chunk "too many" are what libpng found no room for */
    if (strstr(text, "emory") || strstr(text, "too many"))
        vka_fail(err, VKA_E_MEMORY, "out of memory writing a PNG image");
    else if (vka_fail(err, VKA_E_OUTPUT, "cannot write a PNG image"))
        vka_error_why(err, "%s", text);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

/* Texts as chunks in front of the image; ASCII is what every reader of tEXt understands. */
static void set_texts(png_structp png, png_infop info, char *metadata, char *infotext)
{
    char keys[2][11] = {"vkanim", "parameters"}, none[] = "";
    png_text t[2];
    int n = 0;
    bool ascii = true;
    for (const char *p = infotext; p && *p; p++)
        ascii = ascii && (unsigned char)*p < 0x80;
    for (int i = 0; i < 2; i++) {
        char *text = i ? infotext : metadata;
        bool plain = i && ascii;
        if (!text)
            continue;
        t[n] = (png_text){.compression = plain ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE, .key = keys[i], .text = text};
        if (plain)
            t[n].text_length = strlen(text);
        else {
            t[n].lang = t[n].lang_key = none;
            t[n].itxt_length = strlen(text);
        }
        n++;
    }
    if (n)
        png_set_text(png, info, t, n);
}

vka_status vka_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, const char *metadata, const char *infotext,
                          vka_bytes *out, vka_error *err)
{
    char *text = metadata ? vka_strdup(metadata) : NULL; /* libpng's interface wants it writable */
    char *lines = infotext ? vka_strdup(infotext) : NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, err, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || (metadata && !text) || (infotext && !lines)) {
        png_destroy_write_struct(&png, &info);
        free(text);
        free(lines);
        return vka_fail(err, VKA_E_MEMORY, "out of memory writing a PNG image");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        free(text);
        free(lines);
        return err ? err->status : VKA_E_OUTPUT;
    }
    png_set_write_fn(png, out, png_write_bytes, png_flush_bytes);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
    png_set_compression_buffer_size(png, 256 * 1024); /* few, large IDAT chunks */
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(png, info, PNG_sRGB_INTENT_PERCEPTUAL);
    set_texts(png, info, text, lines);
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++)
        png_write_row(png, rgb + (size_t)y * width * 3);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(text);
    free(lines);
    return VKA_OK;
}

/* ---- animation --------------------------------------------------------------------------------------------- */

/* One chunk whose data is `head` then `body`. */
static vka_status put_chunk(vka_outfile *out, const char *type, const void *head, size_t head_size, const void *body,
                            size_t body_size, vka_error *err)
{
    uint8_t start[8], end[4];
    if (head_size + body_size > 0x7fffffff)
        return vka_fail(err, VKA_E_OUTPUT, "a PNG chunk of more than 2 GiB cannot be written");
    vka_put_be32(start, (uint32_t)(head_size + body_size));
    memcpy(start + 4, type, 4);
    uint32_t crc = vka_crc32(0, start + 4, 4);
    crc = vka_crc32(crc, head, head_size);
    crc = vka_crc32(crc, body, body_size);
    vka_put_be32(end, crc);
    vka_status s = vka_out_write(out, start, 8, err);
    if (s == VKA_OK)
        s = vka_out_write(out, head, head_size, err);
    if (s == VKA_OK)
        s = vka_out_write(out, body, body_size, err);
    return s == VKA_OK ? vka_out_write(out, end, 4, err) : s;
}

/* fcTL: the frame covers the canvas, is shown for den/num seconds, and replaces what was there. */
static vka_status put_frame_control(vka_outfile *out, const vka_clip *clip, uint32_t sequence, vka_error *err)
{
    uint8_t d[26] = {0};
    uint32_t num, den;
    vka_fps_ratio(clip->fps, 65535, &num, &den);
    vka_put_be32(d, sequence);
    vka_put_be32(d + 4, clip->width);
    vka_put_be32(d + 8, clip->height);
    d[20] = (uint8_t)(den >> 8), d[21] = (uint8_t)den;
    d[22] = (uint8_t)(num >> 8), d[23] = (uint8_t)num;
    return put_chunk(out, "fcTL", d, sizeof d, NULL, 0, err);
}

static vka_status put_frame(vka_outfile *out, const vka_clip *clip, uint32_t frame, const vka_bytes *png,
                            uint32_t *sequence, vka_error *err)
{
    /* The image is libpng's own, so its chunks are whole. */
    vka_status s = VKA_OK;
    bool started = false;
    for (size_t at = 8; s == VKA_OK && at + 12 <= png->size;) {
        const uint8_t *chunk = png->data + at;
        size_t size = vka_be32(chunk);
        bool data = !memcmp(chunk + 4, "IDAT", 4);
        if (data && !started) {
            if (frame == 0) {
                uint8_t control[8];
                vka_put_be32(control, clip->frames);
                vka_put_be32(control + 4, clip->plays);
                s = put_chunk(out, "acTL", control, sizeof control, NULL, 0, err);
            }
            if (s == VKA_OK)
                s = put_frame_control(out, clip, (*sequence)++, err);
            started = true;
        }
        if (s == VKA_OK && frame == 0 && memcmp(chunk + 4, "IEND", 4) != 0)
            s = vka_out_write(out, chunk, size + 12, err);
        else if (s == VKA_OK && data) {
            uint8_t number[4];
            vka_put_be32(number, (*sequence)++);
            s = put_chunk(out, "fdAT", number, 4, chunk + 8, size, err);
        }
        at += size + 12;
    }
    return s;
}

vka_status vka_apng_write(vka_outfile *out, const vka_clip *clip, vka_error *err)
{
    vka_bytes png = {0};
    uint32_t sequence = 0;
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        const uint8_t *rgb;
        png.size = 0;
        s = vka_clip_frame(clip, i, &rgb, err);
        if (s == VKA_OK)
            s = vka_png_encode(rgb, clip->width, clip->height, i ? NULL : clip->metadata, i ? NULL : clip->infotext, &png,
                               err);
        if (s == VKA_OK && i == 0)
            s = vka_out_write(out, png.data, 8, err);
        if (s == VKA_OK)
            s = put_frame(out, clip, i, &png, &sequence, err);
    }
    vka_bytes_free(&png);
    return s == VKA_OK ? put_chunk(out, "IEND", NULL, 0, NULL, 0, err) : s;
}
