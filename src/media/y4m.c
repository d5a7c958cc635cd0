/* y4m.c - raw video for other programs: YUV4MPEG2, 4:4:4, 8 bits, limited range, BT.601.
 *
 * The format cannot name a matrix; programs take BT.601 for what does not say (FFmpeg's scaler does), so that is
 * what is written.  From ITU-R BT.601, with Y' = 0.299 R + 0.587 G + 0.114 B:
 *     Y  = 16 + 219 Y' / 255
 *     Cb = 128 + 112 (B - Y') / (0.886 * 255)
 *     Cr = 128 + 112 (R - Y') / (0.701 * 255)
 * Planes follow each other: Y, Cb, Cr, each [H,W]. */
#include "media/media_int.h"

#include <stdio.h>
#include <stdlib.h>

/* Rows of the matrix times 65536, rounded; each chroma row sums to 0, the luma row to 219/255. */
static const int32_t matrix[3][3] = {{16829, 33039, 6416}, {-9714, -19070, 28784}, {28784, -24103, -4681}};
static const int32_t offset[3] = {16, 128, 128};

vka_status vka_y4m_write(vka_outfile *out, const vka_clip *clip, vka_error *err)
{
    uint32_t num, den;
    char head[128];
    size_t pixels = (size_t)clip->width * clip->height;
    uint8_t *plane = malloc(pixels);
    if (!plane)
        return vka_fail(err, VKA_E_MEMORY, "out of memory writing '%s'", out->path);
    vka_fps_ratio(clip->fps, 1000000, &num, &den);
    int n = snprintf(head, sizeof head, "YUV4MPEG2 W%u H%u F%u:%u Ip A1:1 C444 XCOLORRANGE=LIMITED\n",
                     (unsigned)clip->width, (unsigned)clip->height, (unsigned)num, (unsigned)den);
    vka_status s = vka_out_write(out, head, (size_t)n, err);
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        const uint8_t *rgb;
        s = vka_clip_frame(clip, i, &rgb, err);
        if (s == VKA_OK)
            s = vka_out_write(out, "FRAME\n", 6, err);
        for (int c = 0; s == VKA_OK && c < 3; c++) {
            const int32_t *m = matrix[c];
            for (size_t p = 0; p < pixels; p++)
                plane[p] = (uint8_t)((m[0] * rgb[3 * p] + m[1] * rgb[3 * p + 1] + m[2] * rgb[3 * p + 2] +
                                      offset[c] * 65536 + 32768) >>
                                     16);
            s = vka_out_write(out, plane, pixels, err);
        }
    }
    free(plane);
    return s;
}
