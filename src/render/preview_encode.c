/* preview_encode.c - previews as files in memory, vka_preview_encode: see vkanim.h.
 *
 * A preview is [F,H,W,3] bytes.  WebP takes its frames as they lie; PNG a row of at most VKA_PREVIEW_ROW of them, which is one
 * picture of [H, n W, 3]. */
#include "base/error.h"
#include "base/mem.h"
#include "media/media.h"
#include "render/preview.h"

#include <stdlib.h>
#include <string.h>

enum { QUALITY = 80 };

struct frames {
    const unsigned char *rgb;
    size_t bytes; /* of a frame */
};

static const uint8_t *get_frame(void *user, uint32_t index, vka_error *err)
{
    const struct frames *f = user;
    (void)err;
    return f->rgb + index * f->bytes;
}

/* The frames of the row beside each other, malloc'ed; NULL when memory is short. */
static uint8_t *make_row(const vka_preview *p, uint32_t count)
{
    const size_t line = (size_t)p->width * 3;
    uint8_t *row = vka_calloc((size_t)count * p->height, line);
    for (uint32_t i = 0; row && i < count; i++)
        for (uint32_t y = 0; y < p->height; y++)
            memcpy(row + ((size_t)y * count + i) * line,
                   p->rgb + ((size_t)vka_preview_frame(p->frames, count, i) * p->height + y) * line, line);
    return row;
}

vka_status vka_preview_encode(const vka_preview *preview, const char *type, unsigned char **data, size_t *size, vka_error *err)
{
    enum { MOST_SIDE = 16383 };
    const vka_preview *p = preview;
    bool webp = strcmp(type, "webp") == 0;
    *data = NULL;
    *size = 0;
    if (!webp && strcmp(type, "png") != 0) {
        vka_fail(err, VKA_E_USAGE, "previews cannot be had as '%.60s'", type);
        vka_error_hint(err, "webp or png");
        return VKA_E_USAGE;
    }
    if (!p->rgb || !p->frames || !p->width || !p->height || p->width > MOST_SIDE || p->height > MOST_SIDE || p->frames > 65535)
        return vka_fail(err, VKA_E_USAGE, "no preview has %u frames of %ux%u pixels", p->frames, p->width, p->height);
    struct frames f = {p->rgb, (size_t)p->width * p->height * 3};
    vka_clip clip = {.width = p->width,
                     .height = p->height,
                     .frames = p->frames,
                     .fps = p->fps >= 0.01 && p->fps <= 1000 ? p->fps : 0,
                     .look = {.has_quality = true, .quality = QUALITY},
                     .get = get_frame,
                     .user = &f};
    if (webp)
        return vka_media_encode(VKA_MEDIA_WEBP, &clip, data, size, err);
    uint32_t count = vka_min_u32(p->frames, VKA_PREVIEW_ROW);
    uint8_t *row = make_row(p, count);
    if (!row)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    f.rgb = row;
    clip.width *= count;
    clip.frames = 1;
    vka_status st = vka_media_encode(VKA_MEDIA_PNG, &clip, data, size, err);
    free(row);
    return st;
}
