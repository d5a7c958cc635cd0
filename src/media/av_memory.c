/* av_memory.c - see av_memory.h. */
#ifdef VKANIM_FFMPEG
#include "media/av_memory.h"

#include <errno.h>
#include <string.h>

enum { IO_BUFFER = 32 * 1024 };

static int memory_read(void *opaque, uint8_t *to, int size)
{
    vka_av_memory *m = opaque;
    int64_t n = m->size - m->at < size ? m->size - m->at : size;
    if (n <= 0)
        return AVERROR_EOF;
    memcpy(to, m->data + m->at, (size_t)n);
    m->at += n;
    return (int)n;
}

static int64_t memory_seek(void *opaque, int64_t offset, int whence)
{
    vka_av_memory *m = opaque;
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

int vka_av_memory_open(vka_av_memory *m, const void *data, size_t size, const AVInputFormat *demuxer)
{
    *m = (vka_av_memory){.data = data, .size = (int64_t)size};
    uint8_t *buffer = av_malloc(IO_BUFFER);
    m->io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, m, memory_read, NULL, memory_seek) : NULL;
    if (!m->io) {
        av_free(buffer);
        return AVERROR(ENOMEM);
    }
    m->format = avformat_alloc_context();
    if (!m->format)
        return AVERROR(ENOMEM);
    m->format->pb = m->io;
    m->format->io_open = open_nothing;
    return avformat_open_input(&m->format, NULL, demuxer, NULL); /* on failure the context is gone already */
}

void vka_av_memory_close(vka_av_memory *m)
{
    avformat_close_input(&m->format);
    if (m->io)
        av_freep(&m->io->buffer);
    avio_context_free(&m->io);
}
#else
typedef int vka_av_memory_is_not_built;
#endif
