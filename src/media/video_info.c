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
#include "media/av_mux.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct memory {
    const uint8_t *data;
    int64_t size, at;
} memory;

static int memory_read(void *opaque, uint8_t *to, int size)
{
    memory *m = opaque;
    int64_t n = m->size - m->at < size ? m->size - m->at : size;
    if (n <= 0)
        return AVERROR_EOF;
    memcpy(to, m->data + m->at, (size_t)n);
    m->at += n;
    return (int)n;
}

static int64_t memory_seek(void *opaque, int64_t offset, int whence)
{
    memory *m = opaque;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return m->size;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->size;
    if (offset < -base || offset > m->size - base)
        return AVERROR(EINVAL);
    return m->at = base + offset;
}

static int open_nothing(AVFormatContext *s, AVIOContext **io, const char *url, int flags, AVDictionary **options)
{
    (void)s, (void)url, (void)flags, (void)options;
    *io = NULL;
    return AVERROR(EPERM);
}

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
    enum { IO_BUFFER = 32 * 1024 };
    bool mp4 = info->format == VKA_MEDIA_MP4;
    memory m = {.data = data, .size = (int64_t)size};
    vka_av_quiet();
    uint8_t *buffer = av_malloc(IO_BUFFER);
    AVIOContext *io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, &m, memory_read, NULL, memory_seek) : NULL;
    AVFormatContext *format = avformat_alloc_context();
    AVPacket *packet = av_packet_alloc();
    vka_status s = VKA_OK;
    if (!io || !format || !packet) {
        avformat_free_context(format);
        format = NULL;
        s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
    } else {
        format->pb = io;
        format->io_open = open_nothing;
        int e = avformat_open_input(&format, NULL, av_find_input_format(mp4 ? "mov" : "matroska"), NULL);
        if (e >= 0) /* on failure the context is gone already */
            read_streams(format, packet, info);
        if (e < 0 || !info->frames) {
            char why[AV_ERROR_MAX_STRING_SIZE] = "it holds no video";
            if (e < 0)
                av_strerror(e, why, sizeof why);
            s = vka_fail(err, VKA_E_INPUT, "'%s' is a damaged %s file", name, mp4 ? "MP4" : "WebM");
            vka_error_why(err, "%s", why);
        }
    }
    avformat_close_input(&format);
    av_packet_free(&packet);
    if (io)
        av_freep(&io->buffer);
    else
        av_free(buffer);
    avio_context_free(&io);
    return s;
}
#endif
