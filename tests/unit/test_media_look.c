/* test_media_look.c - how files hold their frames: quality, lossless, colours and dither of a GIF; what each format has a
 * place for. */
#include "media_clip.h"

#include <webp/demux.h>

#ifdef VKANIM_FFMPEG
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#endif

static uint64_t bytes_of(const char *path, const vka_clip *clip)
{
    vka_media_result result = {0};
    write_ok(path, clip, &result);
    uint64_t bytes = result.files[0].bytes;
    vka_media_result_free(&result);
    return bytes;
}

static void abilities(void **state)
{
    (void)state;
    assert_int_equal(vka_media_takes(VKA_MEDIA_GIF), VKA_MEDIA_PLAYS | VKA_MEDIA_COLORS | VKA_MEDIA_DITHER);
    assert_int_equal(vka_media_takes(VKA_MEDIA_MP4), VKA_MEDIA_QUALITY);
    assert_int_equal(vka_media_takes(VKA_MEDIA_Y4M), 0);
    assert_int_equal(vka_media_takes(VKA_MEDIA_NONE), 0);
    assert_true(vka_media_takes(VKA_MEDIA_FRAMES) & VKA_MEDIA_LOSSLESS);
    synthetic c;
    vka_clip clip = make_clip(&c, 16, 16, 2);
    vka_error err = {0};
    clip.look.lossless = true;
    assert_int_equal(vka_media_write(in_folder("a.mp4"), &clip, NULL, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "lossless"));
    clip.look = (vka_media_look){.has_quality = true, .quality = 101};
    assert_int_equal(vka_media_write(in_folder("a.webp"), &clip, NULL, NULL), VKA_E_USAGE);
    free(c.rgb);
}

/* All bits of every frame of a WebP. */
static bool webp_equals(const char *path, synthetic *c, uint32_t frames)
{
    char *bytes;
    size_t size;
    assert_int_equal(vka_read_file(path, 1 << 30, &bytes, &size, NULL), VKA_OK);
    WebPData data = {(const uint8_t *)bytes, size};
    WebPAnimDecoderOptions options;
    assert_true(WebPAnimDecoderOptionsInit(&options));
    options.color_mode = MODE_RGBA;
    WebPAnimDecoder *dec = WebPAnimDecoderNew(&data, &options);
    assert_non_null(dec);
    bool equal = true;
    for (uint32_t i = 0; i < frames; i++) {
        uint8_t *rgba;
        int end;
        assert_true(WebPAnimDecoderGetNext(dec, &rgba, &end));
        draw(c, i, c->rgb);
        for (size_t p = 0; p < (size_t)c->width * c->height; p++)
            equal = equal && memcmp(rgba + 4 * p, c->rgb + 3 * p, 3) == 0;
    }
    WebPAnimDecoderDelete(dec);
    free(bytes);
    return equal;
}

static void webp(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 97, 64, 4);
    const char *path = in_folder("clip.webp");
    uint64_t own = bytes_of(path, &clip);
    assert_false(webp_equals(path, &c, 4));
    clip.look = (vka_media_look){.has_quality = true, .quality = 90};
    assert_int_equal(bytes_of(path, &clip), own);
    clip.look.quality = 20;
    assert_true(bytes_of(path, &clip) < own * 3 / 4);
    clip.look = (vka_media_look){.lossless = true};
    bytes_of(path, &clip);
    assert_true(webp_equals(path, &c, 4));
    free(c.rgb);
}

#ifdef VKANIM_FFMPEG
struct seen {
    uint32_t frames, colours; /* colours: of the first frame */
    bool equal;               /* every bit, of planes G, B, R */
};

static uint32_t count_colours(const AVFrame *f)
{
    static uint32_t table[1024];
    uint32_t n = 0;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++) {
            uint32_t v, i = 0;
            memcpy(&v, f->data[0] + (ptrdiff_t)y * f->linesize[0] + 4 * (ptrdiff_t)x, 4);
            while (i < n && table[i] != v)
                i++;
            if (i == n && n < 1024)
                table[n++] = v;
        }
    return n;
}

static bool planes_equal(const AVFrame *f, const uint8_t *rgb)
{
    static const int from[3] = {1, 2, 0};
    bool equal = f->format == AV_PIX_FMT_GBRP;
    for (int p = 0; equal && p < 3; p++)
        for (int y = 0; y < f->height; y++)
            for (int x = 0; x < f->width; x++)
                equal = equal && f->data[p][(ptrdiff_t)y * f->linesize[p] + x] ==
                                     rgb[3 * ((size_t)y * (size_t)f->width + (size_t)x) + (size_t)from[p]];
    return equal;
}

static struct seen look_at(const char *path, synthetic *c)
{
    struct seen r = {.equal = true};
    AVFormatContext *format = NULL;
    const AVCodec *codec;
    assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    int index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    assert_true(index >= 0);
    AVCodecContext *dec = avcodec_alloc_context3(codec);
    assert_true(avcodec_parameters_to_context(dec, format->streams[index]->codecpar) >= 0);
    assert_int_equal(avcodec_open2(dec, codec, NULL), 0);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    for (bool more = true; more;) {
        more = av_read_frame(format, packet) >= 0;
        assert_int_equal(avcodec_send_packet(dec, more ? packet : NULL), 0);
        av_packet_unref(packet);
        while (avcodec_receive_frame(dec, frame) == 0) {
            if (r.frames == 0 && frame->format == AV_PIX_FMT_BGRA)
                r.colours = count_colours(frame);
            draw(c, r.frames++, c->rgb);
            r.equal = r.equal && frame->width == (int)c->width && planes_equal(frame, c->rgb);
        }
    }
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&dec);
    avformat_close_input(&format);
    return r;
}

static void gif(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 96, 72, 3);
    const char *path = in_folder("clip.gif");
    uint64_t own = bytes_of(path, &clip);
    struct seen s = look_at(path, &c);
    assert_int_equal(s.frames, 3);
    assert_in_range(s.colours, 65, 256);
    clip.look = (vka_media_look){.colors = 256, .dither = "floyd-steinberg"};
    assert_int_equal(bytes_of(path, &clip), own);
    clip.look.colors = 8;
    assert_true(bytes_of(path, &clip) < own);
    s = look_at(path, &c);
    assert_in_range(s.colours, 2, 8);
    static const char *const dithers[] = {"floyd-steinberg", "sierra2-4a", "sierra2", "heckbert", "bayer", "none"};
    char *first = NULL, *other;
    size_t size, n;
    for (size_t i = 0; i < sizeof dithers / sizeof *dithers; i++) { /* each is taken, and each is another */
        clip.look.dither = dithers[i];
        bytes_of(path, &clip);
        assert_int_equal(vka_read_file(path, 1 << 30, &other, &n, NULL), VKA_OK);
        if (i == 0) {
            first = other;
            size = n;
            continue;
        }
        assert_false(n == size && memcmp(first, other, n) == 0);
        free(other);
    }
    free(first);
    free(c.rgb);
}

static void video(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 97, 63, 5); /* odd sides: lossless files have them as they are */
    static const char *const names[] = {"clip.mp4", "clip.webm"};
    for (int i = 0; i < 2; i++) {
        const char *path = in_folder(names[i]);
        if (vka_media_check(path, 96, 64, 5, NULL) != VKA_OK)
            continue;
        clip.look = (vka_media_look){0};
        uint64_t own = bytes_of(path, &clip);
        clip.look = (vka_media_look){.has_quality = true, .quality = 68};
        uint64_t same = bytes_of(path, &clip); /* encoders with threads may differ by a few bytes */
        assert_in_range(same, own - own / 50, own + own / 50);
        clip.look.quality = 10;
        assert_true(bytes_of(path, &clip) < own);
        clip.look.quality = 100;
        assert_true(bytes_of(path, &clip) > own);
        clip.look = (vka_media_look){.lossless = true};
        vka_error err = {0};
        if (i == 0) {
            assert_int_equal(vka_media_write(path, &clip, NULL, &err), VKA_E_USAGE);
            continue;
        }
        assert_int_equal(vka_media_check_look(path, 97, 63, &clip.look, &err), VKA_OK);
        clip.metadata = "{\"a\":1}";
        bytes_of(path, &clip);
        struct seen s = look_at(path, &c);
        assert_int_equal(s.frames, 5);
        assert_true(s.equal);
        vka_media_info info = info_ok(path);
        assert_int_equal(info.width, 97);
        assert_string_equal(info.metadata, "{\"a\":1}");
        vka_media_info_free(&info);
    }
    free(c.rgb);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(abilities),
        IN_FOLDER(webp),
#ifdef VKANIM_FFMPEG
        IN_FOLDER(gif),
        IN_FOLDER(video),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
