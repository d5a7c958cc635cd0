/* pictures_int.h - one file of pictures, decoded in order: what pictures.c makes its sequences from.  Internal to pictures*.c. */
#ifndef VKA_MEDIA_PICTURES_INT_H
#define VKA_MEDIA_PICTURES_INT_H

#include "base/file.h"
#include "media/media_int.h"
#include "media/pictures.h"

/* A decoded picture, not turned yet.  Owns its memory, which readers use again. */
struct vka_picture {
    uint8_t *rgb; /* [height][width][3] */
    size_t capacity;
    uint32_t width, height;
    unsigned turn; /* EXIF's orientation, 1 (as it is) to 8 */
    double at;     /* seconds from the file's first picture to when it is shown */
    double lasts;  /* seconds; 0: unknown, or a still */
};
/* Room for width x height; VKA_E_INPUT beyond the limits (`name` is the file's), VKA_E_MEMORY. */
vka_status vka_picture_room(struct vka_picture *p, uint32_t width, uint32_t height, const char *name, vka_error *err);
/* Whether a picture of this size is read; VKA_E_INPUT with the sentence. */
vka_status vka_picture_limits(uint64_t width, uint64_t height, const char *name, vka_error *err);
/* A row of RGBA over black. */
void vka_picture_over_black(uint8_t *rgb, const uint8_t *rgba, size_t pixels);
/* Turns it upright; after that turn is 1. */
vka_status vka_picture_upright(struct vka_picture *p, vka_error *err);
/* The orientation in an EXIF block (a TIFF file, maybe behind "Exif\0\0"): 1 where it says none. */
unsigned vka_exif_turn(const uint8_t *exif, size_t size);

/* A file being read. */
typedef struct vka_reader {
    const char *name;    /* the file's; borrowed */
    const uint8_t *data; /* its bytes; borrowed */
    size_t size;
    vka_media_info info; /* format, and for WebP, GIF and PNG the size */
    bool still;          /* one picture that has no time */
    bool given;          /* ... and has been given */
    unsigned turn;
    void *decoder; /* of the kind at work */
} vka_reader;

/* Looks at the bytes, which stay the caller's.  VKA_E_INPUT, VKA_E_MEMORY.  Close in every case. */
vka_status vka_reader_open(vka_reader *r, const uint8_t *data, size_t size, const char *name, vka_error *err);
/* The next picture; *end where there is none.  Without `pixels` everything but rgb. */
vka_status vka_reader_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err);
/* Leaves out what is shown before `seconds`, as far as that saves time: the next picture may be an earlier one, and its time
 * is right.  Only before the first picture. */
void vka_reader_skip(vka_reader *r, double seconds);
void vka_reader_close(vka_reader *r);

/* "'name' is a damaged KIND file", and why (may be NULL).  VKA_E_INPUT. */
vka_status vka_picture_damaged(const char *name, const char *kind, const char *why, vka_error *err);
vka_status vka_picture_no_memory(const char *name, vka_error *err);

/* pictures_still.c */
vka_status vka_png_decode(const vka_reader *r, bool pixels, struct vka_picture *p, vka_error *err);
vka_status vka_webp_open(vka_reader *r, vka_error *err);
vka_status vka_webp_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err);
void vka_webp_close(vka_reader *r);
/* pictures_av.c; without FFmpeg opening says so */
vka_status vka_av_open(vka_reader *r, vka_error *err);
vka_status vka_av_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err);
void vka_av_skip(vka_reader *r, double seconds);
void vka_av_close(vka_reader *r);

#endif
