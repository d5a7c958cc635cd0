/* gif.c - GIF89a through FFmpeg: one palette for the whole clip (palettegen), frames mapped to it (paletteuse), then
 * FFmpeg's encoder and muxer, and a comment extension with the metadata put in behind the palette.
 *
 * Two passes over the frames.  One palette, so that colours do not jump between frames and the file carries it once.
 * Delays are centiseconds, cumulative, so that 12.5 becomes 12, 13, 12, ...; never under 2, which viewers
 * would show as 10. */
#include "media/media_int.h"

#ifndef VKANIM_FFMPEG
vka_status vka_gif_check(vka_error *err)
{
    vka_fail(err, VKA_E_OUTPUT, "this vkanim cannot write .gif: it was built without FFmpeg");
    vka_error_hint(err, "use .webp or .apng, which need nothing more");
    return VKA_E_OUTPUT;
}

vka_status vka_gif_write(vka_outfile *out, const vka_clip *clip, vka_error *err)
{
    (void)out, (void)clip;
    return vka_gif_check(err);
}
#else
#include "media/av_mux.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By eye on rendered clips: sierra2_4a leaves bright specks beside edges, bayer a grid in skies, none bands. */
static const char own_dither[] = "floyd_steinberg";

vka_status vka_gif_check(vka_error *err)
{
    static const char *const filters[] = {"buffer", "buffersink", "palettegen", "paletteuse", NULL};
    const char *missing = avcodec_find_encoder(AV_CODEC_ID_GIF) ? NULL : "GIF encoder";
    for (const char *const *f = filters; *f && !missing; f++)
        if (!avfilter_get_by_name(*f))
            missing = *f;
    if (!missing)
        return VKA_OK;
    vka_fail(err, VKA_E_OUTPUT, "this FFmpeg cannot make .gif: it lacks '%s'", missing);
    vka_error_hint(err, "install a complete FFmpeg, or use .webp or .apng");
    return VKA_E_OUTPUT;
}

/* The filter's name for a dither: as ours, with lines below. */
static void dither_name(const vka_media_look *look, char out[24])
{
    snprintf(out, 24, "%s", look->dither ? look->dither : own_dither);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : *p;
}

static int64_t start_time(const vka_clip *clip, uint32_t frame)
{
    return clip->fps > 50 ? 2 * (int64_t)frame : vka_frame_time(clip, frame, 100);
}

/* Frame `index` in FFmpeg's RGB32 (one native 32-bit word per pixel, opaque): what both filters take as it is. */
static vka_status make_frame(vka_av_mux *mux, const vka_clip *clip, uint32_t index, AVFrame **made)
{
    const uint8_t *rgb;
    vka_status s = vka_clip_frame(clip, index, &rgb, mux->err);
    if (s != VKA_OK)
        return s;
    AVFrame *f = av_frame_alloc();
    if (!f)
        return vka_av_fail(mux, AVERROR(ENOMEM));
    f->format = AV_PIX_FMT_RGB32;
    f->width = (int)clip->width;
    f->height = (int)clip->height;
    f->sample_aspect_ratio = (AVRational){1, 1};
    f->pts = start_time(clip, index);
    int e = av_frame_get_buffer(f, 0);
    if (e < 0) {
        av_frame_free(&f);
        return vka_av_fail(mux, e);
    }
    for (uint32_t y = 0; y < clip->height; y++) {
        uint8_t *row = f->data[0] + (ptrdiff_t)y * f->linesize[0];
        for (uint32_t x = 0; x < clip->width; x++, rgb += 3) {
            uint32_t pixel = 0xff000000u | (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
            memcpy(row + 4 * (size_t)x, &pixel, 4);
        }
    }
    *made = f;
    return VKA_OK;
}

static int open_graph(AVFilterGraph **graph, const char *text)
{
    *graph = avfilter_graph_alloc();
    if (!*graph)
        return AVERROR(ENOMEM);
    AVFilterInOut *in = NULL, *out = NULL;
    int e = avfilter_graph_parse2(*graph, text, &in, &out);
    if (e >= 0 && (in || out))
        e = AVERROR_BUG;
    avfilter_inout_free(&in);
    avfilter_inout_free(&out);
    return e < 0 ? e : avfilter_graph_config(*graph, NULL);
}

/* First pass: all frames in, one 16x16 picture of the colours out. */
static vka_status make_palette(vka_av_mux *mux, const vka_clip *clip, AVFrame **palette)
{
    char text[512];
    AVFilterGraph *graph = NULL;
    snprintf(text, sizeof text,
             "buffer@in=video_size=%ux%u:pix_fmt=%d:time_base=1/100:pixel_aspect=1/1,"
             "palettegen=stats_mode=full:max_colors=%u,buffersink@out",
             (unsigned)clip->width, (unsigned)clip->height, (int)AV_PIX_FMT_RGB32,
             (unsigned)(clip->look.colors ? clip->look.colors : 256));
    int e = open_graph(&graph, text);
    vka_status s = e < 0 ? vka_av_fail(mux, e) : VKA_OK;
    AVFilterContext *in = NULL, *out = NULL;
    if (s == VKA_OK) {
        in = avfilter_graph_get_filter(graph, "buffer@in");
        out = avfilter_graph_get_filter(graph, "buffersink@out");
        if (!in || !out)
            s = vka_av_fail(mux, AVERROR_BUG);
    }
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        AVFrame *frame = NULL;
        s = make_frame(mux, clip, i, &frame);
        if (s == VKA_OK && (e = av_buffersrc_add_frame(in, frame)) < 0)
            s = vka_av_fail(mux, e);
        av_frame_free(&frame);
    }
    if (s == VKA_OK) {
        *palette = av_frame_alloc();
        e = *palette ? av_buffersrc_add_frame(in, NULL) : AVERROR(ENOMEM);
        if (e >= 0)
            e = av_buffersink_get_frame(out, *palette);
        if (e < 0)
            s = vka_av_fail(mux, e);
    }
    avfilter_graph_free(&graph);
    return s;
}

static vka_status open_encoder(vka_av_mux *mux, const vka_clip *clip)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_GIF);
    AVCodecContext *c = mux->enc = avcodec_alloc_context3(codec);
    if (!c)
        return vka_av_fail(mux, AVERROR(ENOMEM));
    c->width = (int)clip->width;
    c->height = (int)clip->height;
    c->pix_fmt = AV_PIX_FMT_PAL8;
    c->time_base = (AVRational){1, 100};
    int e = avcodec_open2(c, codec, NULL);
    if (e < 0)
        return vka_av_fail(mux, e);
    /* The muxer counts repetitions: 0 for ever, -1 none. */
    AVDictionary *options = NULL;
    int64_t last = start_time(clip, clip->frames) - start_time(clip, clip->frames - 1);
    int64_t loop = clip->plays == 0      ? 0
                   : clip->plays == 1    ? -1
                   : clip->plays > 65535 ? 65535
                                         : (int64_t)clip->plays - 1;
    vka_status s = VKA_OK;
    if ((e = av_dict_set_int(&options, "loop", loop, 0)) < 0 ||
        (e = av_dict_set_int(&options, "final_delay", last > 65535 ? 65535 : last, 0)) < 0)
        s = vka_av_fail(mux, e);
    if (s == VKA_OK)
        s = vka_av_mux_open(mux, "gif", NULL, NULL, &options);
    av_dict_free(&options);
    return s;
}

/* Takes what the filter has ready to the encoder. */
static vka_status drain(vka_av_mux *mux, AVFilterContext *out, AVFrame *mapped)
{
    int e;
    vka_status s = VKA_OK;
    while (s == VKA_OK && (e = av_buffersink_get_frame(out, mapped)) >= 0) {
        mapped->pts = av_rescale_q(mapped->pts, av_buffersink_get_time_base(out), mux->enc->time_base);
        s = vka_av_mux_frame(mux, mapped);
        av_frame_unref(mapped);
    }
    return s != VKA_OK || e == AVERROR(EAGAIN) || e == AVERROR_EOF ? s : vka_av_fail(mux, e);
}

/* Second pass. */
static vka_status map_frames(vka_av_mux *mux, const vka_clip *clip, AVFrame *palette)
{
    char text[768], dither[24];
    AVFilterGraph *graph = NULL;
    dither_name(&clip->look, dither);
    snprintf(text, sizeof text,
             "buffer@in=video_size=%ux%u:pix_fmt=%d:time_base=1/100:pixel_aspect=1/1[a];"
             "buffer@palette=video_size=%dx%d:pix_fmt=%d:time_base=1/100:pixel_aspect=1/1[b];"
             "[a][b]paletteuse=dither=%s:diff_mode=rectangle,buffersink@out",
             (unsigned)clip->width, (unsigned)clip->height, (int)AV_PIX_FMT_RGB32, palette->width, palette->height,
             palette->format, dither);
    int e = open_graph(&graph, text);
    AVFilterContext *in = e < 0 ? NULL : avfilter_graph_get_filter(graph, "buffer@in");
    AVFilterContext *colours = e < 0 ? NULL : avfilter_graph_get_filter(graph, "buffer@palette");
    AVFilterContext *out = e < 0 ? NULL : avfilter_graph_get_filter(graph, "buffersink@out");
    AVFrame *mapped = av_frame_alloc();
    vka_status s = VKA_OK;
    if (e >= 0 && (!in || !colours || !out || !mapped))
        e = mapped ? AVERROR_BUG : AVERROR(ENOMEM);
    palette->pts = 0;
    if (e < 0 || (e = av_buffersrc_add_frame(colours, palette)) < 0 || (e = av_buffersrc_add_frame(colours, NULL)) < 0)
        s = vka_av_fail(mux, e);
    for (uint32_t i = 0; s == VKA_OK && i < clip->frames; i++) {
        AVFrame *frame = NULL;
        s = make_frame(mux, clip, i, &frame);
        if (s == VKA_OK && (e = av_buffersrc_add_frame(in, frame)) < 0)
            s = vka_av_fail(mux, e);
        av_frame_free(&frame);
        if (s == VKA_OK)
            s = drain(mux, out, mapped);
    }
    if (s == VKA_OK && (e = av_buffersrc_add_frame(in, NULL)) < 0)
        s = vka_av_fail(mux, e);
    if (s == VKA_OK)
        s = drain(mux, out, mapped);
    av_frame_free(&mapped);
    avfilter_graph_free(&graph);
    return s == VKA_OK ? vka_av_mux_frame(mux, NULL) : s;
}

/* A comment extension: 0x21 0xfe, sub-blocks of up to 255 bytes, an empty one. */
static vka_status put_comment(vka_outfile *out, const char *text, vka_error *err)
{
    static const uint8_t start[2] = {0x21, 0xfe}, end = 0;
    vka_status s = vka_out_write(out, start, 2, err);
    for (size_t left = strlen(text); s == VKA_OK && left;) {
        uint8_t n = (uint8_t)(left > 255 ? 255 : left);
        s = vka_out_write(out, &n, 1, err);
        if (s == VKA_OK)
            s = vka_out_write(out, text, n, err);
        text += n;
        left -= n;
    }
    return s == VKA_OK ? vka_out_write(out, &end, 1, err) : s;
}

vka_status vka_gif_write(vka_outfile *out, const vka_clip *clip, vka_error *err)
{
    vka_status s = vka_gif_check(err);
    if (s != VKA_OK)
        return s;
    vka_av_quiet();
    vka_av_mux mux = {.out = out, .err = err, .in_memory = true};
    AVFrame *palette = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    s = make_palette(&mux, clip, &palette);
    if (s == VKA_OK)
        s = open_encoder(&mux, clip);
    if (s == VKA_OK)
        s = map_frames(&mux, clip, palette);
    if (s == VKA_OK)
        s = vka_av_mux_finish(&mux, &data, &size);
    if (s == VKA_OK) {
        /* Header and screen descriptor are 13 bytes, then the palette if flag 0x80 is set. */
        size_t head = size > 13 && data[10] & 0x80 ? 13 + ((size_t)6 << (data[10] & 7)) : 13;
        if (size <= head)
            s = vka_fail(err, VKA_E_INTERNAL, "FFmpeg made a GIF without frames");
        else {
            s = vka_out_write(out, data, head, err);
            if (s == VKA_OK && clip->metadata)
                s = put_comment(out, clip->metadata, err);
            if (s == VKA_OK && clip->infotext)
                s = put_comment(out, clip->infotext, err);
            if (s == VKA_OK)
                s = vka_out_write(out, data + head, size - head, err);
        }
    }
    av_free(data);
    av_frame_free(&palette);
    vka_av_mux_close(&mux);
    return s;
}
#endif
