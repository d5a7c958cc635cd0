/* av_mux.h - one encoder and one muxer of FFmpeg that end in a vka_outfile or in memory; gif.c and video.c use it. */
#ifndef VKA_MEDIA_AV_MUX_H
#define VKA_MEDIA_AV_MUX_H

#include "media/av_compat.h"
#include "media/media_int.h"

typedef struct vka_av_mux {
    vka_outfile *out;    /* the caller's */
    vka_error *err;      /* the caller's; may be NULL */
    AVCodecContext *enc; /* set by the caller, opened; freed by close */
    AVFormatContext *format;
    AVStream *stream;
    AVPacket *packet;
    AVIOContext *io;        /* over `out`, or a growing buffer */
    bool in_memory;         /* set by the caller: bytes go to a growing buffer, not to `out` */
    vka_status io_status;   /* the first failed write to `out`, which `err` then tells */
    int64_t frame_duration; /* of one packet, in the encoder's time base; 0: the muxer works it out */
} vka_av_mux;

/* Silences FFmpeg's log unless the program chose a level. */
void vka_av_quiet(void);
/* Sets the error "cannot encode 'path'" with FFmpeg's reason; returns the status. */
vka_status vka_av_fail(vka_av_mux *mux, int code);

/* Opens the muxer `name` and writes its header with the tags "comment" and "description", either of which may be NULL;
 * `options` are consumed as far as known. */
vka_status vka_av_mux_open(vka_av_mux *mux, const char *name, const char *comment, const char *description,
                           AVDictionary **options);
/* Encodes one frame (NULL: the end) and writes what the encoder gives. */
vka_status vka_av_mux_frame(vka_av_mux *mux, AVFrame *frame);
/* Trailer and flush.  With in_memory, *data (av_free) and *size are the whole file. */
vka_status vka_av_mux_finish(vka_av_mux *mux, uint8_t **data, size_t *size);
/* Frees everything, at any point. */
void vka_av_mux_close(vka_av_mux *mux);

#endif
