/* av_compat.h - FFmpeg's headers and every difference between its versions (5.1 of Debian 12 to 8) in one place.
 *
 * Only the FFmpeg files of this room include it, under VKANIM_FFMPEG. */
#ifndef VKA_MEDIA_AV_COMPAT_H
#define VKA_MEDIA_AV_COMPAT_H

#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <stdbool.h>
#include <stddef.h>

/* The write callback of an AVIOContext takes constant bytes since FFmpeg 7 (libavformat 61). */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t vka_av_written;
#else
typedef uint8_t vka_av_written;
#endif

/* The pixel formats that an encoder takes: a field before FFmpeg 7.1 (libavcodec 61.13), a query since.  An encoder
 * that names none takes any. */
static inline bool vka_av_encoder_takes(const AVCodec *codec, enum AVPixelFormat format)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *list = NULL;
    if (avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &list, NULL) < 0)
        return false;
    const enum AVPixelFormat *formats = list;
#else
    const enum AVPixelFormat *formats = codec->pix_fmts;
#endif
    if (!formats)
        return true;
    for (; *formats != AV_PIX_FMT_NONE; formats++)
        if (*formats == format)
            return true;
    return false;
}

#endif
