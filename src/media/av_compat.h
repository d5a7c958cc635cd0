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
#include <libavutil/pixdesc.h>
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

/* How long a decoded frame is shown, in the stream's time base; 0: unknown.  The field has another name since FFmpeg 6
 * (libavutil 57.30). */
static inline int64_t vka_av_frame_duration(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return frame->duration;
#else
    return frame->pkt_duration;
#endif
}

/* The nine numbers of a stream's display matrix (libavutil/display.h), or NULL.  They lie with the codec's parameters since
 * FFmpeg 6.1 (libavcodec 60.30). */
static inline const uint8_t *vka_av_display_matrix(const AVStream *stream)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100)
    const AVCodecParameters *p = stream->codecpar;
    const AVPacketSideData *data =
        av_packet_side_data_get(p->coded_side_data, p->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= 36 ? data->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 36 ? data : NULL;
#endif
}

#endif
