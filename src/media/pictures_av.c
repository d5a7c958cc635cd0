/* pictures_av.c - pictures through FFmpeg: stills by one decoder, videos and animations by a demuxer and a decoder.
 *
 * What a file is its bytes tell.  Stills never meet a demuxer; the demuxers are those of a list, none of which opens other
 * files.  Formats that say how long they are (JPEG's end marker, a Matroska segment's size, MP4's samples) are held to it;
 * GIF and PNG were walked before (info.c).  libswscale only turns a picture's colours into RGB, at its own size. */
#include "media/pictures_int.h"

#include "base/mem.h"

#include <string.h>

#ifndef VKANIM_FFMPEG
vka_status vka_av_open(vka_reader *r, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "this vkanim cannot read '%s': it was built without FFmpeg", r->name);
    vka_error_why(err, "it reads PNG and WebP");
    return VKA_E_INPUT;
}
vka_status vka_av_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err)
{
    (void)pixels, (void)p, (void)end;
    return vka_av_open(r, err);
}
void vka_av_skip(vka_reader *r, double seconds) { (void)r, (void)seconds; }
void vka_av_close(vka_reader *r) { (void)r; }
#else
#include "media/av_memory.h"
#include "media/av_mux.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

struct av {
    vka_av_memory memory; /* of videos and animations */
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *convert;
    const char *kind; /* for messages */
    bool strict;      /* a packet that is marked as damaged is an error */
    bool drained;     /* the decoder was told of the end */
    bool timed;       /* base is set */
    int64_t base;     /* time stamp of second 0 */
    double next;      /* seconds: where a picture without a time stamp is */
};

static vka_status failed(const vka_reader *r, int code, vka_error *err)
{
    const struct av *a = r->decoder;
    char why[AV_ERROR_MAX_STRING_SIZE] = "";
    if (code == AVERROR(ENOMEM))
        return vka_picture_no_memory(r->name, err);
    av_strerror(code, why, sizeof why);
    return vka_picture_damaged(r->name, a->kind, why, err);
}

/* ---- what it is ------------------------------------------------------------------------------------------------------ */

struct kind {
    const char *name, *demuxer;
    enum AVCodecID codec; /* of stills */
};

static const struct kind jpeg = {"JPEG", NULL, AV_CODEC_ID_MJPEG};

static bool begins(const vka_reader *r, const char *with, size_t n)
{
    return r->size >= n && !memcmp(r->data, with, n);
}

/* Formats that are told by few bytes; then what FFmpeg takes it for, if that is on the list. */
static const struct kind *kind_of(const vka_reader *r)
{
    static const struct kind stills[] = {{"BMP", NULL, AV_CODEC_ID_BMP},
                                         {"TIFF", NULL, AV_CODEC_ID_TIFF},
                                         {"PPM", NULL, AV_CODEC_ID_PPM},
                                         {"PGM", NULL, AV_CODEC_ID_PGM},
                                         {"PBM", NULL, AV_CODEC_ID_PBM}};
    static const struct kind moving[] = {
        {"GIF", "gif", AV_CODEC_ID_NONE},      {"APNG", "apng", AV_CODEC_ID_NONE},
        {"y4m", "yuv4mpegpipe", AV_CODEC_ID_NONE}, {"MP4", "mov", AV_CODEC_ID_NONE},
        {"Matroska", "matroska", AV_CODEC_ID_NONE}, {"AVI", "avi", AV_CODEC_ID_NONE},
        {"MPEG", "mpeg", AV_CODEC_ID_NONE},    {"MPEG-TS", "mpegts", AV_CODEC_ID_NONE},
        {"Ogg", "ogg", AV_CODEC_ID_NONE},      {"FLV", "flv", AV_CODEC_ID_NONE},
    };
    if (begins(r, "\xff\xd8\xff", 3))
        return &jpeg;
    if (begins(r, "II*\0", 4) || begins(r, "MM\0*", 4))
        return &stills[1];
    if (r->size >= 3 && r->data[0] == 'P' && strchr("\t\n\r #", r->data[2])) {
        int n = r->data[1] - '0';
        if (n == 3 || n == 6)
            return &stills[2];
        if (n == 2 || n == 5)
            return &stills[3];
        if (n == 1 || n == 4)
            return &stills[4];
    }
    if (begins(r, "BM", 2) && r->size >= 26 && vka_le32(r->data + 14) >= 12 && vka_le32(r->data + 14) <= 124)
        return &stills[0];
    const char *name = NULL;
    switch (r->info.format) {
    case VKA_MEDIA_GIF:
        name = "gif";
        break;
    case VKA_MEDIA_APNG:
        name = "apng";
        break;
    case VKA_MEDIA_Y4M:
        name = "yuv4mpegpipe";
        break;
    case VKA_MEDIA_MP4:
        name = "mov";
        break;
    case VKA_MEDIA_WEBM:
        name = "matroska";
        break;
    default: {
        uint8_t head[4096 + AVPROBE_PADDING_SIZE] = {0};
        size_t n = r->size < 4096 ? r->size : 4096;
        char nameless[] = "";
        int score = 0;
        if (n)
            memcpy(head, r->data, n);
        AVProbeData probe = {.filename = nameless, .buf = head, .buf_size = (int)n};
        const AVInputFormat *found = av_probe_input_format3(&probe, 1, &score);
        name = found ? found->name : NULL;
    }
    }
    for (size_t i = 0; name && i < sizeof moving / sizeof *moving; i++) {
        size_t n = strlen(moving[i].demuxer);
        if (!strncmp(name, moving[i].demuxer, n) && (!name[n] || name[n] == ','))
            return &moving[i];
    }
    return NULL;
}

/* Walks a JPEG file's segments to its end; *turn is what EXIF says. */
static bool jpeg_is_whole(const uint8_t *d, size_t size, unsigned *turn)
{
    size_t at = 2;
    while (size - at >= 2) {
        if (d[at] != 0xff || d[at + 1] == 0 || d[at + 1] == 0xff || (d[at + 1] >= 0xd0 && d[at + 1] <= 0xd7)) {
            at++; /* between the segments: coded data, restarts, filling */
            continue;
        }
        uint8_t marker = d[at + 1];
        at += 2;
        if (marker == 0xd9)
            return true;
        if (marker == 0x01 || marker == 0xd8)
            continue;
        if (size - at < 2)
            return false;
        size_t n = (size_t)d[at] << 8 | d[at + 1];
        if (n < 2 || n > size - at)
            return false;
        if (marker == 0xe1 && n > 2 && *turn == 1)
            *turn = vka_exif_turn(d + at + 2, n - 2);
        at += n;
    }
    return false;
}

/* An EBML number at *at: its length is the place of the first bit that is set, which belongs to identifiers. */
static bool ebml_number(const uint8_t *d, size_t size, size_t *at, bool id, uint64_t *value)
{
    if (*at >= size || !d[*at])
        return false;
    uint32_t n = 1;
    while (!(d[*at] >> (8 - n) & 1))
        n++;
    if (n > size - *at)
        return false;
    uint64_t v = id ? d[*at] : (uint64_t)d[*at] & ((1u << (8 - n)) - 1), ones = (UINT64_C(1) << 7 * n) - 1;
    for (uint32_t i = 1; i < n; i++)
        v = v << 8 | d[*at + i];
    *value = !id && v == ones ? UINT64_MAX : v; /* all ones: unknown */
    *at += n;
    return true;
}

/* Whether a Matroska file is shorter than its segment says. */
static bool matroska_is_cut(const uint8_t *d, size_t size)
{
    uint64_t id, n;
    size_t at = 0;
    if (!ebml_number(d, size, &at, true, &id) || !ebml_number(d, size, &at, false, &n) || n > size - at)
        return true;
    at += (size_t)n;
    if (!ebml_number(d, size, &at, true, &id) || !ebml_number(d, size, &at, false, &n))
        return true;
    return id == 0x18538067 && n != UINT64_MAX && n > size - at;
}

/* The orientation that a display matrix is, of those that EXIF knows: x' = a x + c y, y' = b x + d y. */
static unsigned turn_of_matrix(const uint8_t *bytes)
{
    int32_t m[9];
    memcpy(m, bytes, sizeof m);
    double a = m[0], b = m[1], c = m[3], d = m[4];
    if (fabs(a) + fabs(d) >= fabs(b) + fabs(c))
        return a < 0 ? (d < 0 ? 3 : 2) : (d < 0 ? 4 : 1);
    return c > 0 ? (b > 0 ? 5 : 8) : (b > 0 ? 6 : 7);
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static int open_codec(struct av *a, enum AVCodecID id, const AVCodecParameters *parameters, bool strict)
{
    const AVCodec *decoder = avcodec_find_decoder(id);
    if (!decoder)
        return AVERROR_DECODER_NOT_FOUND;
    a->codec = avcodec_alloc_context3(decoder);
    if (!a->codec)
        return AVERROR(ENOMEM);
    int e = parameters ? avcodec_parameters_to_context(a->codec, parameters) : 0;
    if (e < 0)
        return e;
    a->codec->max_pixels = VKA_PICTURE_PIXELS;
    a->codec->thread_count = a->codec->width >= 1280 ? 0 : 1; /* small ones are faster than threads start */
    if (strict)
        a->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    return avcodec_open2(a->codec, decoder, NULL);
}

static vka_status open_still(vka_reader *r, const struct kind *kind, vka_error *err)
{
    struct av *a = r->decoder;
    r->still = true;
    if (kind == &jpeg && !jpeg_is_whole(r->data, r->size, &r->turn))
        return vka_picture_damaged(r->name, kind->name, "it ends too soon", err);
    if (kind->codec == AV_CODEC_ID_TIFF)
        r->turn = vka_exif_turn(r->data, r->size);
    int e = r->size > INT_MAX / 2 ? AVERROR_INVALIDDATA : av_new_packet(a->packet, (int)r->size);
    if (e < 0)
        return failed(r, e, err);
    memcpy(a->packet->data, r->data, r->size);
    e = open_codec(a, kind->codec, NULL, true);
    return e < 0 ? failed(r, e, err) : VKA_OK;
}

static vka_status open_moving(vka_reader *r, const struct kind *kind, vka_error *err)
{
    struct av *a = r->decoder;
    if (!strcmp(kind->demuxer, "matroska") && matroska_is_cut(r->data, r->size))
        return vka_picture_damaged(r->name, kind->name, "it is shorter than it says", err);
    const AVInputFormat *demuxer = av_find_input_format(kind->demuxer);
    if (!demuxer)
        return vka_fail(err, VKA_E_INPUT, "this FFmpeg cannot read '%s': it has no %s", r->name, kind->name);
    int e = vka_av_memory_open(&a->memory, r->data, r->size, demuxer);
    if (e >= 0)
        e = avformat_find_stream_info(a->memory.format, NULL);
    int which = e < 0 ? e : av_find_best_stream(a->memory.format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (which < 0)
        return e < 0 ? failed(r, e, err) : vka_fail(err, VKA_E_INPUT, "'%s' holds no pictures", r->name);
    for (unsigned i = 0; i < a->memory.format->nb_streams; i++)
        if ((int)i != which)
            a->memory.format->streams[i]->discard = AVDISCARD_ALL;
    a->stream = a->memory.format->streams[which];
    const AVCodecParameters *p = a->stream->codecpar;
    if (p->width > 0 && p->height > 0) {
        vka_status s = vka_picture_limits((uint64_t)p->width, (uint64_t)p->height, r->name, err);
        if (s != VKA_OK)
            return s;
    }
    const uint8_t *matrix = vka_av_display_matrix(a->stream);
    r->turn = matrix ? turn_of_matrix(matrix) : 1;
    bool animation = r->info.format == VKA_MEDIA_GIF || r->info.format == VKA_MEDIA_APNG;
    a->strict = animation || r->info.format == VKA_MEDIA_MP4;
    a->timed = a->stream->start_time != AV_NOPTS_VALUE;
    a->base = a->timed ? a->stream->start_time : 0;
    e = open_codec(a, p->codec_id, p, animation);
    if (e == AVERROR_DECODER_NOT_FOUND) {
        vka_fail(err, VKA_E_INPUT, "this FFmpeg has no decoder for '%s'", r->name);
        vka_error_why(err, "its video is %s", avcodec_get_name(p->codec_id));
        return VKA_E_INPUT;
    }
    return e < 0 ? failed(r, e, err) : VKA_OK;
}

vka_status vka_av_open(vka_reader *r, vka_error *err)
{
    vka_av_quiet();
    const struct kind *kind = kind_of(r);
    if (!kind) {
        vka_fail(err, VKA_E_INPUT, "'%s' is neither a picture nor a video that vkanim reads", r->name);
        vka_error_hint(err, "PNG, JPEG, WebP, BMP, TIFF, GIF, APNG, MP4, WebM, AVI, y4m, a folder of pictures, or a pattern like "
                            "%%05d.png");
        return VKA_E_INPUT;
    }
    struct av *a = vka_calloc(1, sizeof *a);
    r->decoder = a;
    if (!a)
        return vka_picture_no_memory(r->name, err);
    a->kind = kind->name;
    a->packet = av_packet_alloc();
    a->frame = av_frame_alloc();
    a->rgb = av_frame_alloc();
    if (!a->packet || !a->frame || !a->rgb)
        return vka_picture_no_memory(r->name, err);
    return kind->demuxer ? open_moving(r, kind, err) : open_still(r, kind, err);
}

void vka_av_skip(vka_reader *r, double seconds)
{
    struct av *a = r->decoder;
    if (!a->stream || !a->timed || seconds < 2)
        return;
    double ticks = seconds / av_q2d(a->stream->time_base);
    if (ticks < 9e18 - (double)a->base)
        (void)av_seek_frame(a->memory.format, a->stream->index, a->base + (int64_t)ticks, AVSEEK_FLAG_BACKWARD);
}

/* ---- decoding ----------------------------------------------------------------------------------------------------------- */

/* Hands the decoder a packet, or the end. */
static int feed(struct av *a)
{
    if (!a->stream) { /* a still's packet */
        int e = avcodec_send_packet(a->codec, a->packet);
        a->drained = true;
        return e < 0 ? e : avcodec_send_packet(a->codec, NULL);
    }
    for (;;) {
        int e = av_read_frame(a->memory.format, a->packet);
        if (e == AVERROR_EOF) {
            a->drained = true;
            return avcodec_send_packet(a->codec, NULL);
        }
        if (e < 0)
            return e;
        bool ours = a->packet->stream_index == a->stream->index;
        if (ours && a->strict && a->packet->flags & AV_PKT_FLAG_CORRUPT)
            e = AVERROR_INVALIDDATA;
        else if (ours)
            e = avcodec_send_packet(a->codec, a->packet);
        av_packet_unref(a->packet);
        if (ours)
            return e;
    }
}

static bool is_full_range(const AVFrame *f)
{
    switch (f->format) {
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
        return true;
    default:
        return f->color_range == AVCOL_RANGE_JPEG;
    }
}

/* The decoded frame's colours as RGB into p->rgb. */
static vka_status to_rgb(const vka_reader *r, struct vka_picture *p, vka_error *err)
{
    struct av *a = r->decoder;
    AVFrame *f = a->frame, *to = a->rgb;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)f->format);
    if (!d)
        return failed(r, AVERROR_INVALIDDATA, err);
    bool alpha = d->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL);
    enum AVPixelFormat format = alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    if (to->width != f->width || to->height != f->height || to->format != (int)format) {
        av_frame_unref(to);
        to->width = f->width;
        to->height = f->height;
        to->format = (int)format;
        int e = av_frame_get_buffer(to, 0); /* rows have room for what the fast paths write too much */
        if (e < 0)
            return failed(r, e, err);
    }
    int flags = SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND | SWS_BITEXACT;
    a->convert = sws_getCachedContext(a->convert, f->width, f->height, (enum AVPixelFormat)f->format, f->width, f->height, format,
                                      flags, NULL, NULL, NULL);
    if (!a->convert)
        return failed(r, AVERROR(ENOSYS), err);
    if (!(d->flags & AV_PIX_FMT_FLAG_RGB)) /* of what is no YCbCr it is refused, and does nothing */
        (void)sws_setColorspaceDetails(a->convert, sws_getCoefficients((int)f->colorspace), is_full_range(f),
                                       sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    int e = sws_scale(a->convert, (const uint8_t *const *)f->data, f->linesize, 0, f->height, to->data, to->linesize);
    if (e < 0)
        return failed(r, e, err);
    for (uint32_t y = 0; y < p->height; y++) {
        const uint8_t *row = to->data[0] + (ptrdiff_t)y * to->linesize[0];
        uint8_t *out = p->rgb + (size_t)y * p->width * 3;
        if (alpha)
            vka_picture_over_black(out, row, p->width);
        else
            memcpy(out, row, (size_t)p->width * 3);
    }
    return VKA_OK;
}

static void read_times(struct av *a, struct vka_picture *p)
{
    double tick = a->stream ? av_q2d(a->stream->time_base) : 0;
    int64_t stamp = a->frame->best_effort_timestamp, lasts = vka_av_frame_duration(a->frame);
    AVRational rate = a->stream ? a->stream->avg_frame_rate : (AVRational){0, 1};
    p->at = a->next;
    if (a->stream && stamp != AV_NOPTS_VALUE) {
        a->base = a->timed ? a->base : stamp;
        a->timed = true;
        p->at = ((double)stamp - (double)a->base) * tick;
    }
    p->lasts = lasts > 0 ? (double)lasts * tick : rate.num > 0 && rate.den > 0 ? (double)rate.den / rate.num : 0;
    a->next = p->at + p->lasts;
}

vka_status vka_av_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err)
{
    struct av *a = r->decoder;
    int e;
    while ((e = avcodec_receive_frame(a->codec, a->frame)) == AVERROR(EAGAIN) && !a->drained) {
        e = feed(a);
        if (e < 0)
            return failed(r, e, err);
    }
    *end = e == AVERROR_EOF;
    if (*end)
        return VKA_OK;
    if (e < 0)
        return failed(r, e == AVERROR(EAGAIN) ? AVERROR_INVALIDDATA : e, err);
    if (a->frame->width <= 0 || a->frame->height <= 0)
        return failed(r, AVERROR_INVALIDDATA, err);
    vka_status s = vka_picture_room(p, (uint32_t)a->frame->width, (uint32_t)a->frame->height, r->name, err);
    if (s == VKA_OK && pixels)
        s = to_rgb(r, p, err);
    p->turn = r->turn;
    read_times(a, p);
    av_frame_unref(a->frame);
    return s;
}

void vka_av_close(vka_reader *r)
{
    struct av *a = r->decoder;
    if (!a)
        return;
    sws_freeContext(a->convert);
    av_frame_free(&a->frame);
    av_frame_free(&a->rgb);
    av_packet_free(&a->packet);
    avcodec_free_context(&a->codec);
    vka_av_memory_close(&a->memory);
    free(a);
    r->decoder = NULL;
}
#endif
