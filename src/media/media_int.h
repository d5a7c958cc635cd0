/* media_int.h - what the files of this room share; nobody else includes it. */
#ifndef VKA_MEDIA_INT_H
#define VKA_MEDIA_INT_H

#include "base/file.h"
#include "media/media.h"

/* Writers of one format each: the clip is checked, fps is set, `out` is open; they write the whole file to it and
 * neither commit nor abandon it. */
vka_status vka_webp_write(vka_outfile *out, const vka_clip *clip, vka_error *err);
vka_status vka_apng_write(vka_outfile *out, const vka_clip *clip, vka_error *err);
vka_status vka_y4m_write(vka_outfile *out, const vka_clip *clip, vka_error *err);
vka_status vka_gif_write(vka_outfile *out, const vka_clip *clip, vka_error *err);
vka_status vka_video_write(vka_outfile *out, const vka_clip *clip, vka_media_format format, vka_error *err);
/* Whether the encoders are there; opens them for this size.  `look` may be NULL. */
vka_status vka_gif_check(vka_error *err);
vka_status vka_video_check(vka_media_format format, uint32_t width, uint32_t height, const vka_media_look *look,
                           vka_error *err);

/* clip->get with its error as status: of the callback, or VKA_E_INTERNAL when it gave none. */
vka_status vka_clip_frame(const vka_clip *clip, uint32_t index, const uint8_t **rgb, vka_error *err);

/* Growable bytes; `failed` is sticky, so that it can be checked once. */
typedef struct vka_bytes {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} vka_bytes;
void vka_bytes_add(vka_bytes *b, const void *data, size_t size);
void vka_bytes_free(vka_bytes *b);

/* A clip as a whole WebP file behind what is in `out`; `name` is for messages. */
vka_status vka_webp_encode(const char *name, const vka_clip *clip, vka_bytes *out, vka_error *err);
/* One RGB image as a whole PNG file, [H,W,3]; `metadata` and `infotext` may be NULL. */
vka_status vka_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, const char *metadata, const char *infotext,
                          vka_bytes *out, vka_error *err);
/* CRC-32 of PNG (ISO 3309), continuing from `crc` (0 at first). */
uint32_t vka_crc32(uint32_t crc, const void *data, size_t size);

/* The metadata as XMP packet (WebP), and back: NULL when the packet does not hold it.  malloc'ed. */
char *vka_xmp_wrap(const char *json);
char *vka_xmp_unwrap(const uint8_t *xmp, size_t size);
/* VKA_OK if the bytes are one JSON object, VKA_E_INPUT if not, VKA_E_MEMORY when that could not be found out. */
vka_status vka_json_check(const void *text, size_t size);
/* A copy if the bytes are one JSON object, else NULL. */
char *vka_json_copy(const void *text, size_t size);

/* One character as UTF-8. */
void vka_utf8_add(vka_bytes *b, uint32_t c);
/* Text of at most 4 MiB up to its first NUL as UTF-8; what is not UTF-8 is taken for Latin-1.  NULL when there is none, or
 * memory is short. */
char *vka_text_copy(const void *text, size_t size);
/* EXIF whose one entry is the text as UserComment; false when memory is short.  And back, of any bytes: NULL where there is
 * none. */
bool vka_exif_wrap(const char *text, vka_bytes *out);
char *vka_exif_unwrap(const uint8_t *exif, size_t size);

/* frames per second as num/den, both at most `limit`, the best such approximation. */
void vka_fps_ratio(double fps, uint32_t limit, uint32_t *num, uint32_t *den);
/* When frame i starts, in units of 1/per_second s, rounded: what delays are differences of. */
int64_t vka_frame_time(const vka_clip *clip, uint32_t frame, uint32_t per_second);

/* MP4 and WebM through libavformat; `info->format` is set. */
vka_status vka_video_info(const void *data, size_t size, const char *name, vka_media_info *info, vka_error *err);

static inline uint32_t vka_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t vka_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t vka_le24(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t vka_le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}
static inline void vka_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

#endif
