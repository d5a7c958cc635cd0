/* av_memory.h - FFmpeg's readers over bytes in memory, with no way to open anything else. */
#ifndef VKA_MEDIA_AV_MEMORY_H
#define VKA_MEDIA_AV_MEMORY_H

#include "media/av_compat.h"

typedef struct vka_av_memory {
    const uint8_t *data; /* the caller's */
    int64_t size, at;
    AVIOContext *io;
    AVFormatContext *format; /* NULL until it is open */
} vka_av_memory;

/* Opens `data` with a demuxer that is named, not guessed.  0 or FFmpeg's error; close in every case. */
int vka_av_memory_open(vka_av_memory *m, const void *data, size_t size, const AVInputFormat *demuxer);
void vka_av_memory_close(vka_av_memory *m);

#endif
