/* av_mux.c - see av_mux.h. */
#ifdef VKANIM_FFMPEG
#include "media/av_mux.h"

#include <errno.h>
#include <libavutil/avstring.h>
#include <limits.h>
#include <stdio.h>

enum { IO_BUFFER = 64 * 1024 };

void vka_av_quiet(void)
{
    /* AV_LOG_INFO is FFmpeg's start value: whoever wants its log has set another one. */
    if (av_log_get_level() == AV_LOG_INFO)
        av_log_set_level(AV_LOG_QUIET);
}

vka_status vka_av_fail(vka_av_mux *mux, int code)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    if (mux->io_status != VKA_OK)
        return mux->io_status;
    vka_status s = code == AVERROR(ENOMEM) ? VKA_E_MEMORY : VKA_E_OUTPUT;
    av_strerror(code, text, sizeof text);
    vka_fail(mux->err, s, "cannot encode '%s'", mux->out->path);
    vka_error_why(mux->err, "%s", text);
    return s;
}

static int io_write(void *opaque, vka_av_written *data, int size)
{
    vka_av_mux *mux = opaque;
    if (mux->io_status == VKA_OK)
        mux->io_status = vka_out_write(mux->out, data, (size_t)size, mux->err);
    return mux->io_status == VKA_OK ? size : AVERROR(EIO);
}

static int64_t io_seek(void *opaque, int64_t offset, int whence)
{
    vka_av_mux *mux = opaque;
    FILE *f = mux->out->file;
    long at = ftell(f), end;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) {
        if (at < 0 || fseek(f, 0, SEEK_END) != 0 || (end = ftell(f)) < 0 || fseek(f, at, SEEK_SET) != 0)
            return AVERROR(EIO);
        return end;
    }
    if (offset > LONG_MAX || offset < LONG_MIN || fseek(f, (long)offset, whence) != 0)
        return AVERROR(EIO);
    return ftell(f);
}

vka_status vka_av_mux_open(vka_av_mux *mux, const char *name, const char *comment, const char *description,
                           AVDictionary **options)
{
    int e = avformat_alloc_output_context2(&mux->format, NULL, name, NULL);
    if (e < 0)
        return vka_av_fail(mux, e);
    if (mux->in_memory)
        e = avio_open_dyn_buf(&mux->io);
    else {
        /* The buffering is FFmpeg's.  Its +faststart opens the file a second time to read what was written, by the
         * url, so nothing may linger in the FILE. */
        setvbuf(mux->out->file, NULL, _IONBF, 0);
        uint8_t *buffer = av_malloc(IO_BUFFER);
        mux->io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 1, mux, NULL, io_write, io_seek) : NULL;
        if (!mux->io)
            av_free(buffer);
        mux->format->url = av_asprintf("file:%s", mux->out->part);
    }
    mux->packet = av_packet_alloc();
    mux->stream = avformat_new_stream(mux->format, NULL);
    if (e < 0 || !mux->io || !mux->packet || !mux->stream || (!mux->in_memory && !mux->format->url))
        return vka_av_fail(mux, AVERROR(ENOMEM));
    mux->format->pb = mux->io;
    mux->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT; /* equal frames make equal files */
    mux->stream->time_base = mux->enc->time_base;
    mux->stream->avg_frame_rate = mux->enc->framerate;
    e = avcodec_parameters_from_context(mux->stream->codecpar, mux->enc);
    if (e >= 0 && comment)
        e = av_dict_set(&mux->format->metadata, "comment", comment, 0);
    if (e >= 0 && description)
        e = av_dict_set(&mux->format->metadata, "description", description, 0);
    if (e >= 0)
        e = avformat_write_header(mux->format, options);
    return e < 0 ? vka_av_fail(mux, e) : VKA_OK;
}

vka_status vka_av_mux_frame(vka_av_mux *mux, AVFrame *frame)
{
    int e = avcodec_send_frame(mux->enc, frame);
    while (e >= 0) {
        e = avcodec_receive_packet(mux->enc, mux->packet);
        if (e < 0)
            break;
        if (mux->frame_duration)
            mux->packet->duration = mux->frame_duration;
        mux->packet->stream_index = mux->stream->index;
        av_packet_rescale_ts(mux->packet, mux->enc->time_base, mux->stream->time_base);
        e = av_interleaved_write_frame(mux->format, mux->packet);
    }
    return e < 0 && e != AVERROR(EAGAIN) && e != AVERROR_EOF ? vka_av_fail(mux, e) : VKA_OK;
}

vka_status vka_av_mux_finish(vka_av_mux *mux, uint8_t **data, size_t *size)
{
    int e = av_write_trailer(mux->format);
    avio_flush(mux->io);
    if (e >= 0 && mux->io->error < 0)
        e = mux->io->error;
    if (e < 0 || mux->io_status != VKA_OK)
        return vka_av_fail(mux, e);
    if (mux->in_memory) {
        int n = avio_close_dyn_buf(mux->io, data);
        mux->io = mux->format->pb = NULL;
        *size = n > 0 ? (size_t)n : 0;
    }
    return VKA_OK;
}

void vka_av_mux_close(vka_av_mux *mux)
{
    if (mux->io && mux->in_memory) {
        uint8_t *data = NULL;
        avio_close_dyn_buf(mux->io, &data);
        av_free(data);
        mux->io = NULL;
    } else if (mux->io) {
        av_freep(&mux->io->buffer);
        avio_context_free(&mux->io);
    }
    avformat_free_context(mux->format); /* frees the url too */
    av_packet_free(&mux->packet);
    avcodec_free_context(&mux->enc);
    mux->format = NULL;
}
#else
typedef int vka_av_mux_without_ffmpeg; /* a file of C11 is not empty */
#endif
