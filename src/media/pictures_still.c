/* pictures_still.c - PNG through libpng, WebP (stills and animations) through libwebp; EXIF's orientation; alpha over black.
 *
 * Both read from memory.  Sizes are known from headers, and limited, before anything is allocated. */
#include "media/pictures_int.h"

#include "base/mem.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <webp/demux.h>

vka_status vka_picture_damaged(const char *name, const char *kind, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "'%s' is a damaged %s file", name, kind);
    if (why)
        vka_error_why(err, "%s", why);
    return VKA_E_INPUT;
}

vka_status vka_picture_no_memory(const char *name, vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
}

vka_status vka_picture_limits(uint64_t width, uint64_t height, const char *name, vka_error *err)
{
    if (width <= VKA_PICTURE_SIDE && height <= VKA_PICTURE_SIDE && width * height <= VKA_PICTURE_PIXELS)
        return VKA_OK;
    vka_fail(err, VKA_E_INPUT, "'%s' has %llu x %llu pixels, which is too many", name, (unsigned long long)width,
             (unsigned long long)height);
    vka_error_why(err, "at most %d a side and %d million in all are read", VKA_PICTURE_SIDE, VKA_PICTURE_PIXELS / 1000000);
    return VKA_E_INPUT;
}

vka_status vka_picture_room(struct vka_picture *p, uint32_t width, uint32_t height, const char *name, vka_error *err)
{
    vka_status s = vka_picture_limits(width, height, name, err);
    if (s != VKA_OK)
        return s;
    uint8_t *more = vka_grow(p->rgb, &p->capacity, (size_t)width * height * 3, 1);
    if (!more)
        return vka_picture_no_memory(name, err);
    p->rgb = more;
    p->width = width;
    p->height = height;
    return VKA_OK;
}

void vka_picture_over_black(uint8_t *rgb, const uint8_t *rgba, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3, rgba += 4)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * rgba[3] + 127) / 255);
}

/* ---- turning ------------------------------------------------------------------------------------------------------- */

unsigned vka_exif_turn(const uint8_t *d, size_t size)
{
    static const uint8_t head[6] = {'E', 'x', 'i', 'f', 0, 0};
    if (size >= 6 && !memcmp(d, head, 6))
        d += 6, size -= 6;
    if (size < 8 || (memcmp(d, "II", 2) != 0 && memcmp(d, "MM", 2) != 0))
        return 1;
    bool little = *d == 'I';
    uint32_t at = little ? vka_le32(d + 4) : vka_be32(d + 4);
    if (at > size - 2)
        return 1;
    uint32_t n = little ? vka_le16(d + at) : (uint32_t)(d[at] << 8 | d[at + 1]);
    for (const uint8_t *e = d + at + 2; n && size - (size_t)(e - d) >= 12; e += 12, n--) {
        uint32_t tag = little ? vka_le16(e) : (uint32_t)(e[0] << 8 | e[1]);
        uint32_t turn = little ? vka_le16(e + 8) : (uint32_t)(e[8] << 8 | e[9]);
        if (tag == 0x0112)
            return turn >= 1 && turn <= 8 ? turn : 1;
    }
    return 1;
}

vka_status vka_picture_upright(struct vka_picture *p, vka_error *err)
{
    if (p->turn <= 1 || p->turn > 8)
        return VKA_OK;
    uint32_t w = p->width, h = p->height;
    bool across = p->turn >= 5; /* sides change places */
    uint32_t ow = across ? h : w, oh = across ? w : h;
    size_t bytes = (size_t)w * h * 3;
    uint8_t *out = vka_calloc(1, bytes);
    if (!out)
        return vka_fail(err, VKA_E_MEMORY, "out of memory turning a picture");
    for (uint32_t y = 0; y < oh; y++)
        for (uint32_t x = 0; x < ow; x++) {
            /* 1 to 4: as it is, left to right, upside down, top to bottom; 5 to 8 the same of the transposed picture */
            bool flip_x = across ? p->turn == 7 || p->turn == 8 : p->turn == 2 || p->turn == 3;
            bool flip_y = across ? p->turn == 6 || p->turn == 7 : p->turn == 3 || p->turn == 4;
            uint32_t sx = across ? y : x, sy = across ? x : y;
            sx = flip_x ? w - 1 - sx : sx;
            sy = flip_y ? h - 1 - sy : sy;
            memcpy(out + ((size_t)y * ow + x) * 3, p->rgb + ((size_t)sy * w + sx) * 3, 3);
        }
    free(p->rgb);
    p->rgb = out;
    p->capacity = bytes;
    p->width = ow;
    p->height = oh;
    p->turn = 1;
    return VKA_OK;
}

/* ---- PNG ------------------------------------------------------------------------------------------------------------ */

struct png_source {
    const vka_reader *r;
    size_t at;
    vka_error *err;
    uint8_t *rgba;
    bool no_memory;
};

static void png_take(png_structp png, png_bytep to, size_t size)
{
    struct png_source *s = png_get_io_ptr(png);
    if (size > s->r->size - s->at)
        png_error(png, "it ends too soon");
    memcpy(to, s->r->data + s->at, size);
    s->at += size;
}

static void png_stop(png_structp png, png_const_charp text)
{
    struct png_source *s = png_get_error_ptr(png);
    s->no_memory = strstr(text, "emory") != NULL;
    if (s->no_memory)
        vka_picture_no_memory(s->r->name, s->err);
    else
        vka_picture_damaged(s->r->name, "PNG", text, s->err);
    png_longjmp(png, 1);
}

static void png_say_nothing(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

/* Everything that libpng may jump out of; the size is checked and s->rgba is there. */
static void png_rows(png_structp png, png_infop info, png_infop end, struct png_source *s)
{
    png_set_read_fn(png, s, png_take);
    png_set_user_limits(png, VKA_PICTURE_SIDE, VKA_PICTURE_SIDE);
    png_read_info(png, info);
    uint32_t w = png_get_image_width(png, info), h = png_get_image_height(png, info);
    if (w != s->r->info.width || h != s->r->info.height)
        png_error(png, "it has two headers");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < h; y++)
            png_read_row(png, s->rgba + (size_t)y * w * 4, NULL);
    png_read_end(png, end);
}

static unsigned png_turn(png_structp png, png_infop info, png_infop end)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(png, info, &size, &exif) || png_get_eXIf_1(png, end, &size, &exif))
        return vka_exif_turn(exif, size);
#else
    (void)png, (void)info, (void)end;
#endif
    return 1;
}

vka_status vka_png_decode(const vka_reader *r, bool pixels, struct vka_picture *p, vka_error *err)
{
    struct png_source source = {.r = r, .err = err};
    vka_status s = vka_picture_room(p, r->info.width, r->info.height, r->name, err);
    if (s != VKA_OK)
        return s;
    source.rgba = vka_calloc((size_t)p->width * p->height, 4);
    png_structp png = source.rgba ? png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, png_stop, png_say_nothing) : NULL;
    png_infop info = png ? png_create_info_struct(png) : NULL, end = info ? png_create_info_struct(png) : NULL;
    if (!end)
        s = vka_picture_no_memory(r->name, err);
    else if (setjmp(png_jmpbuf(png)))
        s = source.no_memory ? VKA_E_MEMORY : VKA_E_INPUT;
    else {
        png_rows(png, info, end, &source);
        p->turn = png_turn(png, info, end);
    }
    png_destroy_read_struct(png ? &png : NULL, info ? &info : NULL, end ? &end : NULL);
    if (s == VKA_OK && pixels)
        vka_picture_over_black(p->rgb, source.rgba, (size_t)p->width * p->height);
    free(source.rgba);
    return s;
}

/* ---- WebP ------------------------------------------------------------------------------------------------------------ */

struct webp {
    WebPAnimDecoder *decoder; /* stills too */
    int ends;                 /* milliseconds: where the picture before ended */
};

static unsigned webp_turn(const vka_reader *r)
{
    WebPData bytes = {r->data, r->size};
    WebPDemuxer *demux = WebPDemux(&bytes);
    WebPChunkIterator it;
    unsigned turn = 1;
    if (demux && WebPDemuxGetChunk(demux, "EXIF", 1, &it)) {
        turn = vka_exif_turn(it.chunk.bytes, it.chunk.size);
        WebPDemuxReleaseChunkIterator(&it);
    }
    WebPDemuxDelete(demux);
    return turn;
}

vka_status vka_webp_open(vka_reader *r, vka_error *err)
{
    vka_status s = vka_picture_limits(r->info.width, r->info.height, r->name, err);
    if (s != VKA_OK)
        return s;
    struct webp *w = vka_calloc(1, sizeof *w);
    r->decoder = w;
    if (!w)
        return vka_picture_no_memory(r->name, err);
    WebPAnimDecoderOptions options;
    WebPData bytes = {r->data, r->size};
    if (!WebPAnimDecoderOptionsInit(&options))
        return vka_fail(err, VKA_E_INTERNAL, "libwebp is of another version than its headers");
    options.color_mode = MODE_RGBA;
    w->decoder = WebPAnimDecoderNew(&bytes, &options);
    WebPAnimInfo info;
    if (!w->decoder || !WebPAnimDecoderGetInfo(w->decoder, &info))
        return vka_picture_damaged(r->name, "WebP", NULL, err);
    if (info.canvas_width != r->info.width || info.canvas_height != r->info.height)
        return vka_picture_damaged(r->name, "WebP", "it names two sizes", err);
    r->turn = webp_turn(r);
    return VKA_OK;
}

vka_status vka_webp_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err)
{
    struct webp *w = r->decoder;
    uint8_t *rgba = NULL;
    int ends = 0;
    *end = !WebPAnimDecoderHasMoreFrames(w->decoder);
    if (*end)
        return VKA_OK;
    if (!WebPAnimDecoderGetNext(w->decoder, &rgba, &ends))
        return vka_picture_damaged(r->name, "WebP", NULL, err);
    vka_status s = vka_picture_room(p, r->info.width, r->info.height, r->name, err);
    if (s != VKA_OK)
        return s;
    if (pixels)
        vka_picture_over_black(p->rgb, rgba, (size_t)p->width * p->height);
    p->at = w->ends / 1000.0;
    p->lasts = ends > w->ends ? (ends - w->ends) / 1000.0 : 0;
    w->ends = ends > w->ends ? ends : w->ends;
    p->turn = r->turn;
    return VKA_OK;
}

void vka_webp_close(vka_reader *r)
{
    struct webp *w = r->decoder;
    if (w && w->decoder)
        WebPAnimDecoderDelete(w->decoder);
    free(w);
    r->decoder = NULL;
}
