/* fuzz_pictures.c - pictures from any bytes.  Every byte of a picture is written; its size is within the limits; what fails
 * says why; a second reading gives what the first gave. */
#include "media/pictures_int.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 6, PIXELS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t read_all(const uint8_t *data, size_t size, bool pixels, vka_status *status)
{
    vka_reader r;
    vka_error err = {0};
    struct vka_picture p = {0};
    uint32_t n = 0, sum = 0;
    bool end = false;
    vka_status s = vka_reader_open(&r, data, size, "input", &err);
    while (s == VKA_OK && !end && n < MOST) {
        s = vka_reader_next(&r, pixels, &p, &end, &err);
        if (s != VKA_OK || end)
            break;
        n++;
        if (!p.width || !p.height || p.width > VKA_PICTURE_SIDE || p.height > VKA_PICTURE_SIDE)
            abort();
        if ((uint64_t)p.width * p.height > PIXELS)
            break;
        for (size_t i = 0; pixels && i < (size_t)p.width * p.height * 3; i++)
            sum += p.rgb[i];
    }
    if (s != err.status || (s != VKA_OK && s != VKA_E_INPUT && s != VKA_E_MEMORY) || (s != VKA_OK && !err.what[0]))
        abort();
    vka_reader_close(&r);
    free(p.rgb);
    *status = s;
    return n + (sum == 1); /* so that the pixels are looked at */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_media_info info;
    vka_status first, second;
    if (vka_media_info_parse(data, size, "input", &info, NULL) == VKA_OK) {
        bool large = (uint64_t)info.width * info.height > PIXELS; /* only slow */
        vka_media_info_free(&info);
        if (large)
            return 0;
    }
    uint32_t a = read_all(data, size, false, &first), b = read_all(data, size, true, &second);
    if (first == VKA_OK && second == VKA_OK && a != b && b != a + 1)
        abort();
    return 0;
}
