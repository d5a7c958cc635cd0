/* pixels.h - pictures between files, [h, w, 3], and the device, four bytes a pixel. */
#ifndef VKA_RENDER_PIXELS_H
#define VKA_RENDER_PIXELS_H

#include <stddef.h>
#include <stdint.h>

static inline void vka_rgb_to_pixels(const uint8_t *rgb, size_t pixels, uint8_t *out)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3, out += 4) {
        out[0] = rgb[0];
        out[1] = rgb[1];
        out[2] = rgb[2];
        out[3] = 255;
    }
}

static inline void vka_rgb_from_pixels(const uint8_t *in, size_t pixels, uint8_t *rgb)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3, in += 4) {
        rgb[0] = in[0];
        rgb[1] = in[1];
        rgb[2] = in[2];
    }
}

#endif
