/* video.c - MP4 (H.264) and WebM (VP9) through FFmpeg: yuv420p, limited range, BT.709, all of it tagged.
 *
 * 4:2:0 needs even sizes: an odd clip gets its last column and row once more.  Chroma sits left, as H.264 and VP9
 * assume.  Lossless WebM is VP9's profile 1 with RGB planes, which need no conversion and no padding.  Time stamps are frame numbers in a time base of 1/fps, so durations are exact. */
#include "media/media_int.h"

#ifndef VKANIM_FFMPEG
static vka_status without(vka_media_format format, vka_error *err)
{
    vka_fail(err, VKA_E_OUTPUT, "this vkanim cannot write .%s: it was built without FFmpeg",
             vka_media_format_name(format));
    vka_error_hint(err, "use .webp or .apng, which need nothing more");
    return VKA_E_OUTPUT;
}

vka_status vka_video_check(vka_media_format format, uint32_t width, uint32_t height, const vka_media_look *look,
                           vka_error *err)
{
    (void)width, (void)height, (void)look;
    return without(format, err);
}

vka_status vka_video_write(vka_outfile *out, const vka_clip *clip, vka_media_format format, vka_error *err)
{
    (void)out, (void)clip;
    return without(format, err);
}
#else
#include "media/av_mux.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUALITY = 68 }; /* which is CRF 17 of H.264 and 20 of VP9 */

/* The whole of H.264's and VP9's scales, but for H.264's 0, which is its lossless mode and not for every player. */
static int crf_of(bool vp9, uint32_t quality)
{
    return vp9 ? (int)(63 - 0.63 * quality + 0.5) : 51 - (int)quality / 2;
}

static AVCodecContext *try_encoder(const AVCodec *codec, int width, int height, AVRational fps,
                                   const vka_media_look *look)
{
    enum AVPixelFormat pixels = look->lossless ? AV_PIX_FMT_GBRP : AV_PIX_FMT_YUV420P;
    if (!codec || !vka_av_encoder_takes(codec, pixels))
        return NULL;
    AVCodecContext *c = avcodec_alloc_context3(codec);
    if (!c)
        return NULL;
    c->width = width;
    c->height = height;
    c->pix_fmt = pixels;
    c->time_base = (AVRational){fps.den, fps.num};
    c->framerate = fps;
    c->sample_aspect_ratio = (AVRational){1, 1};
    c->color_range = look->lossless ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    c->colorspace = look->lossless ? AVCOL_SPC_RGB : AVCOL_SPC_BT709;
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = look->lossless ? AVCOL_TRC_IEC61966_2_1 : AVCOL_TRC_BT709;
    c->chroma_sample_location = look->lossless ? AVCHROMA_LOC_UNSPECIFIED : AVCHROMA_LOC_LEFT;
    c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    /* Constant quality where the encoder has such a thing; else a rate at which blocks do not show. */
    bool vp9 = codec->id == AV_CODEC_ID_VP9;
    uint32_t quality = look->has_quality ? look->quality : QUALITY;
    if (look->lossless && av_opt_set_int(c->priv_data, "lossless", 1, 0) < 0) {
        avcodec_free_context(&c); /* an encoder that knows no such thing */
        return NULL;
    }
    if (!look->lossless && av_opt_set_int(c->priv_data, "crf", crf_of(vp9, quality), 0) < 0)
        c->bit_rate = (int64_t)((double)width * height * av_q2d(fps) * 0.4 * exp2((double)((int)quality - QUALITY) / 12)) + 100000;
    if (vp9) {
        (void)av_opt_set(c->priv_data, "deadline", "good", 0);
        (void)av_opt_set(c->priv_data, "cpu-used", "2", 0);
        (void)av_opt_set(c->priv_data, "row-mt", "1", 0);
    } else
        (void)av_opt_set(c->priv_data, "preset", "medium", 0);
    if (avcodec_open2(c, codec, NULL) < 0)
        avcodec_free_context(&c);
    return c;
}

/* The first encoder that opens: the good ones by name, then whatever FFmpeg has for the format. */
static AVCodecContext *open_encoder(vka_media_format format, int width, int height, AVRational fps,
                                    const vka_media_look *look, vka_error *err)
{
    static const char *const h264[] = {"libx264", "libopenh264", NULL}, *const vp9[] = {"libvpx-vp9", NULL};
    bool mp4 = format == VKA_MEDIA_MP4;
    enum AVCodecID id = mp4 ? AV_CODEC_ID_H264 : AV_CODEC_ID_VP9;
    AVCodecContext *c = NULL;
    void *place = NULL;
    vka_av_quiet();
    for (const char *const *name = mp4 ? h264 : vp9; *name && !c; name++)
        c = try_encoder(avcodec_find_encoder_by_name(*name), width, height, fps, look);
    for (const AVCodec *codec; !c && (codec = av_codec_iterate(&place)) != NULL;)
        if (codec->id == id && av_codec_is_encoder(codec))
            c = try_encoder(codec, width, height, fps, look);
    if (!c) {
        vka_fail(err, VKA_E_OUTPUT, "this FFmpeg has no %s%s encoder for %dx%d pixels, so .%s cannot be written",
                 look->lossless ? "lossless " : "", mp4 ? "H.264" : "VP9", width, height, vka_media_format_name(format));
        vka_error_hint(err, mp4 ? "install an FFmpeg with libx264, or use .webm or .webp"
                                : "install an FFmpeg with libvpx, or use .mp4 or .webp");
    }
    return c;
}

static int even(uint32_t n)
{
    return (int)(n + (n & 1));
}

vka_status vka_video_check(vka_media_format format, uint32_t width, uint32_t height, const vka_media_look *look,
                           vka_error *err)
{
    static const vka_media_look plain = {0};
    AVCodecContext *c = open_encoder(format, even(width), even(height), (AVRational){8, 1}, look ? look : &plain, err);
    if (!c)
        return VKA_E_OUTPUT;
    avcodec_free_context(&c);
    return VKA_OK;
}

/* RGB [H,W,3] full range to yuv420p limited range by BT.709, chroma left and half-way down, same size. */
static struct SwsContext *open_scaler(int width, int height)
{
    struct SwsContext *sws = sws_alloc_context();
    if (!sws)
        return NULL;
    const struct {
        const char *name;
        int64_t value;
    } options[] = {{"srcw", width},
                   {"srch", height},
                   {"src_format", AV_PIX_FMT_RGB24},
                   {"dstw", width},
                   {"dsth", height},
                   {"dst_format", AV_PIX_FMT_YUV420P},
                   {"dst_h_chr_pos", 0},
                   {"dst_v_chr_pos", 128},
                   {"sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP | SWS_BITEXACT}};
    int e = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options && e >= 0; i++)
        e = av_opt_set_int(sws, options[i].name, options[i].value, 0);
    if (e >= 0)
        e = sws_init_context(sws, NULL, NULL);
    const int *table = sws_getCoefficients(SWS_CS_ITU709);
    if (e < 0 || sws_setColorspaceDetails(sws, table, 1, table, 0, 0, 1 << 16, 1 << 16) < 0) {
        sws_freeContext(sws);
        return NULL;
    }
    return sws;
}

/* rgb [H,W,3] into padded [even H, even W, 3]. */
static void pad_even(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t *padded)
{
    size_t row = (size_t)width * 3, wide = (size_t)even(width) * 3, y = 0;
    for (; y < height; y++) {
        memcpy(padded + y * wide, rgb + y * row, row);
        if (wide > row)
            memcpy(padded + y * wide + row, rgb + y * row + row - 3, 3);
    }
    if (height & 1)
        memcpy(padded + y * wide, padded + (y - 1) * wide, wide);
}

/* rgb [H,W,3] into planes G, B, R. */
static void split_planes(const uint8_t *rgb, AVFrame *frame)
{
    static const int from[3] = {1, 2, 0};
    for (int p = 0; p < 3; p++)
        for (int y = 0; y < frame->height; y++) {
            uint8_t *row = frame->data[p] + (ptrdiff_t)y * frame->linesize[p];
            const uint8_t *source = rgb + (size_t)y * (size_t)frame->width * 3 + from[p];
            for (int x = 0; x < frame->width; x++)
                row[x] = source[3 * x];
        }
}

static vka_status encode_frames(vka_av_mux *mux, const vka_clip *clip, struct SwsContext *sws, AVFrame *frame,
                                uint8_t *padded)
{
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        const uint8_t *rgb;
        s = vka_clip_frame(clip, i, &rgb, mux->err);
        if (s != VKA_OK)
            return s;
        if (padded)
            pad_even(rgb, clip->width, clip->height, padded);
        int stride = mux->enc->width * 3, e = av_frame_make_writable(frame);
        if (e < 0)
            return vka_av_fail(mux, e);
        const uint8_t *source = padded ? padded : rgb;
        if (sws)
            sws_scale(sws, &source, &stride, 0, mux->enc->height, frame->data, frame->linesize);
        else
            split_planes(rgb, frame);
        frame->pts = i;
        s = vka_av_mux_frame(mux, frame);
    }
    return s == VKA_OK ? vka_av_mux_frame(mux, NULL) : s;
}

vka_status vka_video_write(vka_outfile *out, const vka_clip *clip, vka_media_format format, vka_error *err)
{
    bool lossless = clip->look.lossless;
    int width = lossless ? (int)clip->width : even(clip->width), height = lossless ? (int)clip->height : even(clip->height);
    uint32_t num, den;
    vka_fps_ratio(clip->fps, 65535, &num, &den);
    vka_av_mux mux = {.out = out, .err = err, .frame_duration = 1};
    mux.enc = open_encoder(format, width, height, (AVRational){(int)num, (int)den}, &clip->look, err);
    if (!mux.enc)
        return VKA_E_OUTPUT;
    bool odd = width != (int)clip->width || height != (int)clip->height;
    uint8_t *padded = odd ? malloc((size_t)width * (size_t)height * 3) : NULL;
    struct SwsContext *sws = lossless ? NULL : open_scaler(width, height);
    AVFrame *frame = av_frame_alloc();
    AVDictionary *options = NULL;
    vka_status s = VKA_OK;
    int e = (sws || lossless) && frame && (padded || !odd) ? 0 : AVERROR(ENOMEM);
    if (e >= 0) {
        frame->format = mux.enc->pix_fmt;
        frame->width = width;
        frame->height = height;
        frame->color_range = mux.enc->color_range;
        frame->colorspace = mux.enc->colorspace;
        frame->color_primaries = mux.enc->color_primaries;
        frame->color_trc = mux.enc->color_trc;
        frame->chroma_location = mux.enc->chroma_sample_location;
        e = av_frame_get_buffer(frame, 0);
    }
    if (e >= 0 && format == VKA_MEDIA_MP4)
        e = av_dict_set(&options, "movflags", "+faststart", 0);
    if (e < 0)
        s = vka_av_fail(&mux, e);
    if (s == VKA_OK)
        s = vka_av_mux_open(&mux, format == VKA_MEDIA_MP4 ? "mp4" : "webm", clip->metadata, clip->infotext, &options);
    if (s == VKA_OK)
        s = encode_frames(&mux, clip, sws, frame, padded);
    if (s == VKA_OK)
        s = vka_av_mux_finish(&mux, NULL, NULL);
    av_dict_free(&options);
    av_frame_free(&frame);
    sws_freeContext(sws);
    free(padded);
    vka_av_mux_close(&mux);
    return s;
}
#endif
