/* pictures.h - pictures that come in: image files, animations, videos, folders and numbered files as a sequence of 8-bit RGB
 * pictures of one size.
 *
 *     a file       WebP (still or animated), PNG; with FFmpeg also JPEG, BMP, TIFF, PNM, GIF, APNG, y4m, MP4/MOV, WebM/Matroska,
 *                  AVI, MPEG, Ogg and FLV.  What it is its bytes tell, not its name
 *     a folder     its image files in the order of their names, numbers in them by value (2.png before 10.png); of an animation
 *                  the first picture
 *     x%05d.png    numbered files, from the lowest number there is; a number that is missing is an error
 *
 * What is transparent is laid over black.  Pictures are turned as their files say (EXIF, display matrix).  Colours are taken
 * as they are stored: no colour profile and no gamma is applied; YCbCr follows the file's matrix and range (BT.601, limited,
 * where it names none).
 *
 * Pictures of another size than wanted are resampled, unless told otherwise with Lanczos' kernel of three lobes, which widens
 * where pictures become smaller, in fixed point: equal bits on every machine, and those of Pillow's LANCZOS where that goes
 * over the rows first (Pillow 13 takes the columns first where that is less work).
 *
 * Damaged and truncated files, and such with more than VKA_PICTURE_SIDE pixels a side or VKA_PICTURE_PIXELS in all, are
 * VKA_E_INPUT, which the opening already tells: it decodes every picture that will be asked for once, to count them. */
#ifndef VKA_MEDIA_PICTURES_H
#define VKA_MEDIA_PICTURES_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { VKA_PICTURE_SIDE = 16384, VKA_PICTURE_PIXELS = 1 << 27 };

/* How a picture of another shape is made to fit. */
enum vka_resize {
    VKA_RESIZE_CROP,   /* scaled to cover, the middle cut out */
    VKA_RESIZE_FIT,    /* scaled to fit in, black around it */
    VKA_RESIZE_STRETCH /* both sides scaled as they need */
};
/* "crop", "fit", "stretch"; false for anything else. */
bool vka_resize_from_name(const char *name, enum vka_resize *out);

/* Kernels as Pillow has them, widened where pictures become smaller: LANCZOS (three lobes), BICUBIC (a = -1/2), BILINEAR
 * (a triangle), BOX (area average). */
enum vka_filter { VKA_FILTER_LANCZOS, VKA_FILTER_BICUBIC, VKA_FILTER_BILINEAR, VKA_FILTER_BOX };

/* What is wanted; all zero but for `path`: every picture as it is. */
struct vka_picture_ask {
    const char *path;
    uint32_t width, height; /* pixels; 0 and 0: the first picture's own */
    enum vka_resize resize;
    enum vka_filter filter;
    double fps;      /* pictures per second of the file's time, the one shown then; 0: every stored picture */
    double start;    /* seconds: what is shown before is left out */
    uint32_t stride; /* of those, every stride-th; 0 stands for 1 */
    uint32_t most;   /* no more than these; 0: all of them */
};

typedef struct vka_pictures vka_pictures;

/* Opens and counts.  VKA_E_INPUT: missing, damaged, empty, too large, of a kind that this build does not read; VKA_E_USAGE:
 * fps or start for a folder or numbered files, which have no times; VKA_E_MEMORY. */
vka_status vka_pictures_open(vka_pictures **out, const struct vka_picture_ask *ask, vka_error *err);
uint32_t vka_pictures_count(const vka_pictures *p);  /* at least 1 */
uint32_t vka_pictures_width(const vka_pictures *p);  /* of what next gives */
uint32_t vka_pictures_height(const vka_pictures *p);
/* The first picture's own size, turned as it is shown. */
void vka_pictures_stored(const vka_pictures *p, uint32_t *width, uint32_t *height);
/* The next picture as [H,W,3] without padding; *end (and nothing written) behind the last. */
vka_status vka_pictures_next(vka_pictures *p, uint8_t *rgb, bool *end, vka_error *err);
/* Back to the first picture. */
void vka_pictures_rewind(vka_pictures *p);
void vka_pictures_close(vka_pictures *p);

/* SHA-256 of the bytes of the file, or of all files of the folder or pattern in their order. */
vka_status vka_pictures_sha256(const char *path, char hex[65], vka_error *err);

/* The first picture of `path` alone, malloc'ed [H,W,3]; *width and *height are the wanted size, or 0 and 0, and become what it
 * has. */
vka_status vka_picture_read(const char *path, enum vka_resize resize, uint32_t *width, uint32_t *height, uint8_t **rgb,
                            vka_error *err);

/* ---- resampling -------------------------------------------------------------------------------------------------- */

/* in [h,w,3] -> out [H,W,3]; first along rows, then along columns, 8 bits between.  Equal sizes are a copy.  `resize` decides
 * what becomes of another shape.  VKA_E_MEMORY. */
vka_status vka_picture_resize(const uint8_t *in, uint32_t width, uint32_t height, uint8_t *out, uint32_t out_width,
                              uint32_t out_height, enum vka_resize resize, enum vka_filter filter, vka_error *err);

#endif
