/* fuzz_media.c - the readers of finished files: WebP, GIF, PNG, APNG, y4m, and the XMP packet and EXIF inside WebP.  Any bytes
 * give an answer; what is called metadata is a JSON object; sizes and counts of an accepted file are not 0. */
#include "media/media.h"
#include "media/media_int.h"

#include <stdlib.h>
#include <string.h>

static void check_text(char *text)
{
    if (text && !*text)
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_media_info info;
    vka_error err = {0};
    vka_status s = vka_media_info_parse(data, size, "input", &info, &err);
    if (s != err.status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err.what[0]))
        abort();
    bool own = info.format != VKA_MEDIA_NONE && info.format != VKA_MEDIA_MP4 && info.format != VKA_MEDIA_WEBM;
    if (s == VKA_OK && own && (!info.width || !info.height || !info.frames || !(info.duration >= 0)))
        abort();
    if (info.metadata && info.metadata[0] != '{' && !strchr(info.metadata, '{'))
        abort();
    if (info.infotext && !info.infotext[0])
        abort();
    vka_media_info_free(&info);
    check_text(vka_exif_unwrap(data, size));
    check_text(vka_text_copy(data, size));
    free(vka_xmp_unwrap(data, size));
    return 0;
}
