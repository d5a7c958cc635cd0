/* webp.c - animated WebP: every frame a whole picture, lossy or lossless, by WebPEncode, put together by WebPMux, metadata as XMP
 * chunk.
 *
 * Not WebPAnimEncoder: it leaves out changes that it holds invisible and merges frames that differ by up to three
 * levels, so that a slow fade moves in steps and frames go missing.  Here F frames go in and F come out, each of them
 * as good as a still.  Delays are differences of cumulative milliseconds, round(i * 1000 / fps): they never drift.
 * One frame makes a still picture. */
#include "media/media_int.h"

#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>
#include <webp/mux.h>

enum { QUALITY = 90, METHOD = 4, LOSSLESS_LEVEL = 6, MAX_DELAY = 0xffffff };

static vka_status failed(const char *name, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_OUTPUT, "cannot encode '%s'", name);
    vka_error_why(err, "%s", why);
    return VKA_E_OUTPUT;
}

static vka_status out_of_memory(const char *name, vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory encoding '%s'", name);
}

/* rgb [H,W,3] to a still WebP in `into`. */
static vka_status encode(const uint8_t *rgb, const vka_clip *clip, const WebPConfig *config, WebPMemoryWriter *into,
                         const char *name, vka_error *err)
{
    WebPPicture picture;
    vka_status s = VKA_OK;
    if (!WebPPictureInit(&picture))
        return failed(name, "libwebp is of another version than its headers", err);
    picture.width = (int)clip->width;
    picture.height = (int)clip->height;
    picture.use_argb = 1;
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = into;
    if (!WebPPictureImportRGB(&picture, rgb, (int)clip->width * 3))
        s = out_of_memory(name, err);
    else if (!WebPEncode(config, &picture)) {
        if (picture.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY)
            s = out_of_memory(name, err);
        else {
            char why[64] = "a frame does not fit into libwebp's partitions";
            if (picture.error_code != VP8_ENC_ERROR_PARTITION0_OVERFLOW &&
                picture.error_code != VP8_ENC_ERROR_PARTITION_OVERFLOW)
                snprintf(why, sizeof why, "libwebp's error %d", (int)picture.error_code);
            s = failed(name, why, err);
        }
    }
    WebPPictureFree(&picture);
    return s;
}

static vka_status push_frames(WebPMux *mux, const WebPConfig *config, const char *name, const vka_clip *clip,
                              vka_error *err)
{
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        const uint8_t *rgb;
        WebPMemoryWriter bytes;
        WebPMemoryWriterInit(&bytes);
        s = vka_clip_frame(clip, i, &rgb, err);
        if (s == VKA_OK)
            s = encode(rgb, clip, config, &bytes, name, err);
        int64_t delay = vka_frame_time(clip, i + 1, 1000) - vka_frame_time(clip, i, 1000);
        WebPMuxFrameInfo frame = {.bitstream = {bytes.mem, bytes.size},
                                  .duration = (int)(delay > MAX_DELAY ? MAX_DELAY : delay),
                                  .id = WEBP_CHUNK_ANMF,
                                  .dispose_method = WEBP_MUX_DISPOSE_NONE,
                                  .blend_method = WEBP_MUX_NO_BLEND};
        if (s == VKA_OK) {
            WebPMuxError e =
                clip->frames > 1 ? WebPMuxPushFrame(mux, &frame, 1) : WebPMuxSetImage(mux, &frame.bitstream, 1);
            if (e == WEBP_MUX_MEMORY_ERROR)
                s = out_of_memory(name, err);
            else if (e != WEBP_MUX_OK)
                s = failed(name, "libwebp could not add a frame", err);
        }
        WebPMemoryWriterClear(&bytes);
    }
    return s;
}

/* The whole file into `data`, which the caller clears in every case; `name` is for messages. */
static vka_status assemble(const char *name, const vka_clip *clip, WebPData *data, vka_error *err)
{
    WebPConfig config;
    if (!WebPConfigInit(&config))
        return failed(name, "libwebp is of another version than its headers", err);
    config.quality = (float)(clip->look.has_quality ? clip->look.quality : QUALITY);
    config.method = METHOD;
    if (clip->look.lossless && !WebPConfigLosslessPreset(&config, LOSSLESS_LEVEL))
        return failed(name, "libwebp is of another version than its headers", err);
    config.thread_level = 1;
    config.use_sharp_yuv = 1; /* saturated edges keep their place in 4:2:0 */
    WebPMux *mux = WebPMuxNew();
    char *xmp = clip->metadata ? vka_xmp_wrap(clip->metadata) : NULL;
    vka_bytes exif = {0};
    bool wrapped = (xmp || !clip->metadata) && (!clip->infotext || vka_exif_wrap(clip->infotext, &exif));
    vka_status s = mux && wrapped ? VKA_OK : out_of_memory(name, err);
    if (s == VKA_OK)
        s = push_frames(mux, &config, name, clip, err);
    /* The colour behind the frames is never seen, since every frame covers the canvas. */
    WebPMuxAnimParams params = {.bgcolor = 0xff000000u, .loop_count = clip->plays > 65535 ? 65535 : (int)clip->plays};
    WebPData chunk = {(const uint8_t *)xmp, xmp ? strlen(xmp) : 0}, comment = {exif.data, exif.size};
    WebPMuxError e = WEBP_MUX_OK;
    if (s == VKA_OK && clip->frames > 1)
        e = WebPMuxSetAnimationParams(mux, &params);
    if (s == VKA_OK && e == WEBP_MUX_OK && xmp)
        e = WebPMuxSetChunk(mux, "XMP ", &chunk, 0);
    if (s == VKA_OK && e == WEBP_MUX_OK && exif.size)
        e = WebPMuxSetChunk(mux, "EXIF", &comment, 0);
    if (s == VKA_OK && e == WEBP_MUX_OK)
        e = WebPMuxAssemble(mux, data);
    if (e != WEBP_MUX_OK)
        s = e == WEBP_MUX_MEMORY_ERROR ? out_of_memory(name, err)
                                       : failed(name, "libwebp could not put the file together", err);
    WebPMuxDelete(mux);
    vka_bytes_free(&exif);
    free(xmp);
    return s;
}

vka_status vka_webp_write(vka_outfile *out, const vka_clip *clip, vka_error *err)
{
    WebPData data = {0};
    vka_status s = assemble(out->path, clip, &data, err);
    if (s == VKA_OK)
        s = vka_out_write(out, data.bytes, data.size, err);
    WebPDataClear(&data);
    return s;
}

vka_status vka_webp_encode(const char *name, const vka_clip *clip, vka_bytes *out, vka_error *err)
{
    WebPData data = {0};
    vka_status s = assemble(name, clip, &data, err);
    if (s == VKA_OK)
        vka_bytes_add(out, data.bytes, data.size);
    WebPDataClear(&data);
    return s == VKA_OK && out->failed ? out_of_memory(name, err) : s;
}
