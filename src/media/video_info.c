/* video_info.c - what an MP4 or WebM file says about itself, through libavformat, from bytes in memory.
 *
 * The demuxer is named, not guessed, and gets no way to open anything else.  Packets are counted, never decoded. */
#include "media/media_int.h"

#ifndef VKANIM_FFMPEG
vka_status vka_video_info(const void *data, size_t size, const char *name, vka_media_info *info, vka_error *err)
{
    (void)data, (void)size, (void)name, (void)info, (void)err;
    return VKA_OK;
}
#else
#include "media/av_memory.h"
#include "media/av_mux.h"

#include <errno.h>
#include <string.h>

static void read_streams(AVFormatContext *format, AVPacket *packet, vka_media_info *info)
{
    AVStream *video = NULL;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *st = format->streams[i];
        if (!video && st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO)
            video = st;
        else
            st->discard = AVDISCARD_ALL;
    }
    if (!video || video->codecpar->width <= 0 || video->codecpar->height <= 0)
        return;
    info->width = (uint32_t)video->codecpar->width;
    info->height = (uint32_t)video->codecpar->height;
    while (av_read_frame(format, packet) >= 0 && info->frames < UINT32_MAX) {
        info->frames += packet->stream_index == video->index;
        av_packet_unref(packet);
    }
    if (video->duration != AV_NOPTS_VALUE)
        info->duration = (double)video->duration * av_q2d(video->time_base);
    else if (format->duration != AV_NOPTS_VALUE)
        info->duration = (double)format->duration / AV_TIME_BASE;
    if (!(info->duration > 0))
        info->duration = 0;
    const AVDictionaryEntry *comment = av_dict_get(format->metadata, "comment", NULL, 0);
    if (comment && !info->metadata)
        info->metadata = vka_json_copy(comment->value, strlen(comment->value));
    static const char *const keys[] = {"comment", "description", "parameters", "title"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !info->infotext; i++) {
        const AVDictionaryEntry *e = av_dict_get(format->metadata, keys[i], NULL, 0);
        if (e && !(e == comment && info->metadata))
            info->infotext = vka_text_copy(e->value, strlen(e->value));
    }
}

vka_status vka_video_info(const void *data, size_t size, const char *name, vka_media_info *info, vka_error *err)
{
    bool mp4 = info->format == VKA_MEDIA_MP4;
    vka_av_memory m;
    vka_av_quiet();
    int e = vka_av_memory_open(&m, data, size, av_find_input_format(mp4 ? "mov" : "matroska"));
    AVPacket *packet = e >= 0 ? av_packet_alloc() : NULL;
    vka_status s = VKA_OK;
    if (e == AVERROR(ENOMEM) || (e >= 0 && !packet))
        s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    else {
        if (e >= 0)
            read_streams(m.format, packet, info);
        if (e < 0 || !info->frames) {
            char why[AV_ERROR_MAX_STRING_SIZE] = "it holds no video";
            if (e < 0)
                av_strerror(e, why, sizeof why);
            s = vka_fail(err, VKA_E_INPUT, "'%s' is a damaged %s file", name, mp4 ? "MP4" : "WebM");
            vka_error_why(err, "%s", why);
        }
    }
    av_packet_free(&packet);
    vka_av_memory_close(&m);
    return s;
}
#endif
