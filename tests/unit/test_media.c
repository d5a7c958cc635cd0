/* test_media.c - clips written in every format and decoded again by libwebp, libpng and FFmpeg: pixels, times, sizes,
 * and what the room's own reader says about them. */
#include "media_clip.h"

#include <png.h>
#include <webp/demux.h>

#ifdef VKANIM_FFMPEG
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#endif

/* ---- names ----------------------------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint32_t frames;
        vka_status status;
        vka_media_format format;
    } cases[] = {
        {"clip.webp", 16, VKA_OK, VKA_MEDIA_WEBP},       {"/a/b.c/Clip.WebP", 16, VKA_OK, VKA_MEDIA_WEBP},
        {"clip.gif", 16, VKA_OK, VKA_MEDIA_GIF},         {"clip.mp4", 16, VKA_OK, VKA_MEDIA_MP4},
        {"clip.webm", 16, VKA_OK, VKA_MEDIA_WEBM},       {"clip.apng", 16, VKA_OK, VKA_MEDIA_APNG},
        {"clip.y4m", 16, VKA_OK, VKA_MEDIA_Y4M},         {"50%.webp", 16, VKA_OK, VKA_MEDIA_WEBP},
        {"one.png", 1, VKA_OK, VKA_MEDIA_PNG},           {"one.png", 2, VKA_E_USAGE, VKA_MEDIA_NONE},
        {"f%05d.png", 16, VKA_OK, VKA_MEDIA_FRAMES},     {"f%d.png", 1, VKA_OK, VKA_MEDIA_FRAMES},
        {"f%%d.png", 1, VKA_OK, VKA_MEDIA_PNG},          {"f%d-%d.png", 16, VKA_E_USAGE, VKA_MEDIA_NONE},
        {"f%010d.png", 16, VKA_E_USAGE, VKA_MEDIA_NONE}, {"f%s.png", 16, VKA_E_USAGE, VKA_MEDIA_NONE},
        {"f%05d.webp", 16, VKA_E_USAGE, VKA_MEDIA_NONE}, {"out/", 16, VKA_OK, VKA_MEDIA_FRAMES},
        {"no-extension", 16, VKA_OK, VKA_MEDIA_FRAMES},  {"/", 16, VKA_OK, VKA_MEDIA_FRAMES},
        {"clip.avi", 16, VKA_E_USAGE, VKA_MEDIA_NONE},   {"clip.jpg", 1, VKA_E_USAGE, VKA_MEDIA_NONE},
        {".webp", 16, VKA_E_USAGE, VKA_MEDIA_NONE},      {"", 16, VKA_E_USAGE, VKA_MEDIA_NONE},
        {"-", 16, VKA_E_USAGE, VKA_MEDIA_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_media_format format;
        vka_error err = {0};
        vka_status s = vka_media_format_of(cases[i].path, cases[i].frames, &format, &err);
        if (s != cases[i].status || format != cases[i].format)
            fail_msg("'%s': status %d, format %s", cases[i].path, s, vka_media_format_name(format));
        assert_int_equal(err.status, s);
    }
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        double fps;
        uint32_t limit, num, den;
    } cases[] = {{8, 65535, 8, 1},
                 {12.5, 65535, 25, 2},
                 {29.97, 65535, 2997, 100},
                 {23.976, 65535, 2997, 125},
                 {24000.0 / 1001, 65535, 24000, 1001},
                 {0.1, 65535, 1, 10},
                 {1000, 65535, 1000, 1},
                 {1.0 / 3, 65535, 1, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t num, den;
        vka_fps_ratio(cases[i].fps, cases[i].limit, &num, &den);
        assert_int_equal(num, cases[i].num);
        assert_int_equal(den, cases[i].den);
    }
    for (double fps = 0.0123; fps < 1000; fps *= 1.37) { /* whatever comes: within the limit and close */
        uint32_t num, den;
        vka_fps_ratio(fps, 65535, &num, &den);
        assert_true(num >= 1 && num <= 65535 && den >= 1 && den <= 65535);
        assert_true(fabs((double)num / den / fps - 1) < 1e-3);
    }
    vka_clip clip = {.fps = 24};
    assert_int_equal(vka_frame_time(&clip, 1, 1000), 42);
    assert_int_equal(vka_frame_time(&clip, 24, 1000), 1000);
    assert_int_equal(vka_crc32(0, "123456789", 9), 0xcbf43926u); /* the check value of CRC-32 */
}

/* ---- WebP -------------------------------------------------------------------------------------------------------- */

static void check_webp(uint32_t width, uint32_t height, uint32_t frames, double fps)
{
    synthetic c;
    vka_clip clip = make_clip(&c, width, height, frames);
    vka_media_result result = {0};
    const char *path = in_folder("clip.webp");
    clip.fps = fps;
    clip.plays = 3;
    clip.metadata = "{\"schema\":1}";
    write_ok(path, &clip, &result);
    assert_int_equal(result.count, 1);
    assert_string_equal(result.files[0].path, path);
    assert_int_equal(count_files(folder), 1);

    char *bytes, hex[65];
    size_t size;
    vka_sha256 sha;
    assert_int_equal(vka_read_file(path, 1 << 30, &bytes, &size, NULL), VKA_OK);
    assert_int_equal(size, result.files[0].bytes);
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, bytes, size);
    vka_sha256_hex(&sha, hex);
    assert_string_equal(hex, result.files[0].sha256);

    WebPData data = {(const uint8_t *)bytes, size};
    WebPAnimDecoderOptions options;
    WebPAnimInfo anim;
    assert_true(WebPAnimDecoderOptionsInit(&options));
    options.color_mode = MODE_RGBA;
    WebPAnimDecoder *dec = WebPAnimDecoderNew(&data, &options);
    assert_non_null(dec);
    assert_true(WebPAnimDecoderGetInfo(dec, &anim));
    assert_int_equal(anim.canvas_width, width);
    assert_int_equal(anim.canvas_height, height);
    assert_int_equal(anim.frame_count, frames);
    if (frames > 1)
        assert_int_equal(anim.loop_count, 3);
    uint8_t *rgb = malloc((size_t)width * height * 3);
    double worst = 1000;
    for (uint32_t i = 0; i < frames; i++) {
        uint8_t *rgba;
        int end;
        assert_true(WebPAnimDecoderGetNext(dec, &rgba, &end));
        if (frames > 1)
            assert_int_equal(end, (int)floor((i + 1) * 1000 / fps + 0.5)); /* decoders tell when a frame ends */
        for (size_t p = 0; p < (size_t)width * height; p++) {
            memcpy(rgb + 3 * p, rgba + 4 * p, 3);
            assert_int_equal(rgba[4 * p + 3], 255);
        }
        draw(&c, i, c.rgb);
        double d = psnr(rgb, c.rgb, (size_t)width * height * 3);
        worst = d < worst ? d : worst;
    }
    print_message("webp %ux%ux%u: worst frame %.1f dB, %zu bytes\n", (unsigned)frames, (unsigned)width,
                  (unsigned)height, worst, size);
    assert_true(worst > 35);
    WebPAnimDecoderDelete(dec);
    free(rgb);

    vka_media_info info = info_ok(path);
    assert_int_equal(info.format, VKA_MEDIA_WEBP);
    assert_int_equal(info.width, width);
    assert_int_equal(info.height, height);
    assert_int_equal(info.frames, frames);
    assert_string_equal(info.metadata, clip.metadata);
    if (frames > 1) {
        assert_int_equal(info.plays, 3);
        assert_true(fabs(info.duration - frames / fps) < 0.0006);
    }
    vka_media_info_free(&info);
    vka_media_result_free(&result);
    free(bytes);
    free(c.rgb);
}

static void test_webp(void **state)
{
    (void)state;
    check_webp(128, 96, 12, 8);
    check_webp(120, 88, 10, 24);
    check_webp(97, 61, 7, 29.97);
    check_webp(64, 64, 1, 8);
}

/* A fade of one level per frame must not fall behind: the last frame is as near as the first. */
static const uint8_t *get_fade(void *user, uint32_t index, vka_error *err)
{
    synthetic *c = user;
    (void)err;
    for (size_t i = 0; i < (size_t)c->width * c->height * 3; i++)
        c->rgb[i] = (uint8_t)(100 + i % 7 + index);
    return c->rgb;
}

static void test_webp_fade(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 64, 64, 30);
    clip.get = get_fade;
    const char *path = in_folder("fade.webp");
    write_ok(path, &clip, NULL);
    char *bytes;
    size_t size;
    assert_int_equal(vka_read_file(path, 1 << 30, &bytes, &size, NULL), VKA_OK);
    WebPData data = {(const uint8_t *)bytes, size};
    WebPAnimDecoder *dec = WebPAnimDecoderNew(&data, NULL);
    assert_non_null(dec);
    uint8_t *rgba;
    int end, seen = 0;
    while (WebPAnimDecoderHasMoreFrames(dec)) {
        assert_true(WebPAnimDecoderGetNext(dec, &rgba, &end));
        double sum = 0, want = 0;
        get_fade(&c, (uint32_t)(end / 125 - 1), NULL);
        for (size_t p = 0; p < 64 * 64; p++)
            for (size_t k = 0; k < 3; k++)
                sum += rgba[4 * p + k], want += c.rgb[3 * p + k];
        assert_true(fabs(sum - want) / (64 * 64 * 3) < 1.0);
        seen++;
    }
    assert_int_equal(seen, 30);
    assert_int_equal(end, 30 * 125);
    WebPAnimDecoderDelete(dec);
    free(bytes);
    free(c.rgb);
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

static void assert_png_equals(const void *data, size_t size, const synthetic *c, uint32_t frame)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, data, size));
    assert_int_equal(image.width, c->width);
    assert_int_equal(image.height, c->height);
    assert_int_equal(image.format & (PNG_FORMAT_FLAG_ALPHA | PNG_FORMAT_FLAG_COLORMAP), 0);
    image.format = PNG_FORMAT_RGB;
    uint8_t *rgb = malloc(PNG_IMAGE_SIZE(image));
    assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
    draw(c, frame, c->rgb);
    assert_memory_equal(rgb, c->rgb, (size_t)c->width * c->height * 3);
    free(rgb);
}

static void assert_png_file(const char *path, const synthetic *c, uint32_t frame)
{
    char *bytes;
    size_t size;
    assert_int_equal(vka_read_file(path, 1 << 30, &bytes, &size, NULL), VKA_OK);
    assert_png_equals(bytes, size, c, frame);
    free(bytes);
}

static void test_png(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 67, 41, 1);
    clip.metadata = "{\"a\":\"b\"}";
    write_ok(in_folder("one.png"), &clip, NULL);
    assert_png_file(in_folder("one.png"), &c, 0);
    vka_media_info info = info_ok(in_folder("one.png"));
    assert_int_equal(info.format, VKA_MEDIA_PNG);
    assert_int_equal(info.width, 67);
    assert_int_equal(info.height, 41);
    assert_int_equal(info.frames, 1);
    assert_string_equal(info.metadata, clip.metadata);
    vka_media_info_free(&info);
    free(c.rgb);
}

static void test_frames(void **state)
{
    (void)state;
    static const char *const outputs[] = {"plain", "slash/", "deep/er/x-%03d.png", "p%%%d.png"};
    static const char *const third[] = {"plain/00003.png", "slash/00003.png", "deep/er/x-003.png", "p%3.png"};
    synthetic c;
    vka_clip clip = make_clip(&c, 24, 24, 5);
    clip.metadata = "{\"a\":1}";
    for (size_t i = 0; i < 4; i++) {
        vka_media_result result = {0};
        const char *path = in_folder(outputs[i]);
        assert_int_equal(vka_media_check(path, 24, 24, 5, NULL), VKA_OK);
        assert_false(vka_media_would_overwrite(path, 5));
        write_ok(path, &clip, &result);
        assert_true(vka_media_would_overwrite(path, 5));
        assert_int_equal(result.count, 5);
        assert_string_equal(vka_path_base(result.files[3].path), vka_path_base(third[i]));
        assert_int_equal(strlen(result.files[3].sha256), 64);
        assert_string_not_equal(result.files[3].sha256, result.files[4].sha256);
        assert_png_file(in_folder(third[i]), &c, 3);
        vka_media_info info = info_ok(in_folder(third[i]));
        assert_string_equal(info.metadata, "{\"a\":1}");
        vka_media_info_free(&info);
        vka_media_result_free(&result);
    }
    assert_int_equal(count_files(in_folder("plain")), 5);
    assert_int_equal(count_files(in_folder("deep/er")), 5);
    assert_int_equal(count_files(folder), 3 + 5);
    free(c.rgb);
}

static void put_png_chunk(vka_bytes *b, const char *type, const uint8_t *data, size_t size)
{
    uint8_t n[4];
    vka_put_be32(n, (uint32_t)size);
    vka_bytes_add(b, n, 4);
    vka_bytes_add(b, type, 4);
    vka_bytes_add(b, data, size);
    vka_put_be32(n, vka_crc32(vka_crc32(0, type, 4), data, size));
    vka_bytes_add(b, n, 4);
}

/* Each frame of the animation, taken out as a file of its own, is the frame that went in. */
static void test_apng(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 50, 34, 6);
    char *bytes;
    size_t size;
    clip.fps = 12.5;
    clip.plays = 2;
    clip.metadata = "{\"a\":1}";
    write_ok(in_folder("clip.apng"), &clip, NULL);
    assert_int_equal(vka_read_file(in_folder("clip.apng"), 1 << 30, &bytes, &size, NULL), VKA_OK);
    const uint8_t *d = (const uint8_t *)bytes;
    assert_png_equals(d, size, &c, 0); /* viewers without animation show the first frame */

    vka_bytes png = {0};
    uint8_t header[13];
    uint32_t sequence = 0, frames = 0;
    char order[256] = "";
    bool ended = false;
    for (size_t at = 8; at < size && !ended;) {
        size_t n = vka_be32(d + at);
        const uint8_t *type = d + at + 4, *data = d + at + 8;
        assert_true(at + 12 + n <= size);
        assert_int_equal(vka_crc32(0, type, n + 4), vka_be32(data + n));
        size_t len = strlen(order);
        assert_true(len + 6 < sizeof order);
        snprintf(order + len, sizeof order - len, "%.4s ", (const char *)type);
        bool control = !memcmp(type, "fcTL", 4), rest = !memcmp(type, "fdAT", 4), first = !memcmp(type, "IDAT", 4);
        ended = !memcmp(type, "IEND", 4);
        if (!memcmp(type, "IHDR", 4))
            memcpy(header, data, 13);
        if (!memcmp(type, "acTL", 4)) {
            assert_int_equal(vka_be32(data), 6);
            assert_int_equal(vka_be32(data + 4), 2);
        }
        if ((control || ended) && png.size) {
            put_png_chunk(&png, "IEND", NULL, 0);
            assert_png_equals(png.data, png.size, &c, frames++);
            png.size = 0;
        }
        if (control || rest)
            assert_int_equal(vka_be32(data), sequence++);
        if (control) {
            assert_int_equal(n, 26);
            assert_int_equal(data[20] << 8 | data[21], 2); /* 2/25 s */
            assert_int_equal(data[22] << 8 | data[23], 25);
            vka_bytes_add(&png, d, 8);
            put_png_chunk(&png, "IHDR", header, 13);
        }
        if (rest)
            put_png_chunk(&png, "IDAT", data + 4, n - 4);
        if (first)
            put_png_chunk(&png, "IDAT", data, n);
        at += n + 12;
    }
    assert_true(ended);
    assert_int_equal(frames, 6);
    assert_non_null(strstr(order, "IHDR sRGB iTXt acTL fcTL IDAT fcTL fdAT fcTL"));
    vka_bytes_free(&png);
    free(bytes);

    vka_media_info info = info_ok(in_folder("clip.apng"));
    assert_int_equal(info.format, VKA_MEDIA_APNG);
    assert_int_equal(info.frames, 6);
    assert_int_equal(info.plays, 2);
    assert_true(fabs(info.duration - 6 / 12.5) < 1e-9);
    vka_media_info_free(&info);
    free(c.rgb);
}

/* ---- y4m --------------------------------------------------------------------------------------------------------- */

static void test_y4m(void **state)
{
    (void)state;
    static const char head[] = "YUV4MPEG2 W51 H33 F25:2 Ip A1:1 C444 XCOLORRANGE=LIMITED\nFRAME\n";
    synthetic c;
    vka_clip clip = make_clip(&c, 51, 33, 4);
    char *bytes;
    size_t size, pixels = 51 * 33;
    clip.fps = 12.5;
    write_ok(in_folder("clip.y4m"), &clip, NULL);
    assert_int_equal(vka_read_file(in_folder("clip.y4m"), 1 << 30, &bytes, &size, NULL), VKA_OK);
    assert_int_equal(size, sizeof head - 1 - 6 + 4 * (6 + 3 * pixels));
    assert_memory_equal(bytes, head, sizeof head - 1);
    uint8_t *rgb = malloc(3 * pixels);
    const uint8_t *y = (const uint8_t *)bytes + sizeof head - 1, *u = y + pixels, *v = u + pixels;
    for (size_t p = 0; p < pixels; p++) { /* the inverse in floating point, ITU-R BT.601 */
        double l = (y[p] - 16) * 255.0 / 219, b = (u[p] - 128) * 255.0 / 224, r = (v[p] - 128) * 255.0 / 224;
        double out[3] = {l + 1.402 * r, l - 0.344136 * b - 0.714136 * r, l + 1.772 * b};
        for (int k = 0; k < 3; k++)
            rgb[3 * p + (size_t)k] = (uint8_t)fmin(255, fmax(0, floor(out[k] + 0.5)));
    }
    draw(&c, 0, c.rgb);
    assert_true(psnr(rgb, c.rgb, 3 * pixels) > 48);
    free(rgb);
    free(bytes);
    vka_media_info info = info_ok(in_folder("clip.y4m"));
    assert_int_equal(info.format, VKA_MEDIA_Y4M);
    assert_int_equal(info.frames, 4);
    assert_int_equal(info.width, 51);
    assert_true(fabs(info.duration - 4 / 12.5) < 1e-9);
    assert_null(info.metadata);
    vka_media_info_free(&info);
    free(c.rgb);
}

/* ---- through FFmpeg ---------------------------------------------------------------------------------------------- */

#ifdef VKANIM_FFMPEG
typedef struct decoded {
    uint32_t frames;
    double worst;      /* dB over the clip's own area */
    double fps;        /* by the times of the first and last frame */
    double last_start; /* s */
    int width, height, range, matrix;
} decoded;

static decoded decode(const char *path, synthetic *c)
{
    decoded r = {.worst = 1000};
    AVFormatContext *format = NULL;
    const AVCodec *codec;
    assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    int index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    assert_true(index >= 0);
    AVStream *stream = format->streams[index];
    AVCodecContext *dec = avcodec_alloc_context3(codec);
    assert_true(avcodec_parameters_to_context(dec, stream->codecpar) >= 0);
    assert_int_equal(avcodec_open2(dec, codec, NULL), 0);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    struct SwsContext *sws = NULL;
    uint8_t *rgb = NULL, *cropped = malloc((size_t)c->width * c->height * 3);
    int64_t first = 0, last = 0;
    bool more = true;
    while (more) {
        more = av_read_frame(format, packet) >= 0;
        if (more && packet->stream_index != index) {
            av_packet_unref(packet);
            continue;
        }
        assert_int_equal(avcodec_send_packet(dec, more ? packet : NULL), 0);
        av_packet_unref(packet);
        while (avcodec_receive_frame(dec, frame) == 0) {
            if (!sws) {
                r.width = frame->width, r.height = frame->height;
                r.range = (int)frame->color_range, r.matrix = (int)frame->colorspace;
                sws = sws_getContext(frame->width, frame->height, frame->format, frame->width, frame->height,
                                     AV_PIX_FMT_RGB24, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL,
                                     NULL);
                const int *table = sws_getCoefficients(SWS_CS_ITU709); /* ignored for GIF's BGRA */
                sws_setColorspaceDetails(sws, table, 0, table, 1, 0, 1 << 16, 1 << 16);
                rgb = malloc((size_t)frame->width * (size_t)frame->height * 3 + 64);
            }
            int stride = frame->width * 3;
            sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, &rgb, &stride);
            for (uint32_t y = 0; y < c->height; y++)
                memcpy(cropped + (size_t)y * c->width * 3, rgb + (size_t)y * (size_t)stride, (size_t)c->width * 3);
            draw(c, r.frames, c->rgb);
            double d = psnr(cropped, c->rgb, (size_t)c->width * c->height * 3);
            r.worst = d < r.worst ? d : r.worst;
            last = frame->best_effort_timestamp;
            if (!r.frames++)
                first = last;
        }
    }
    r.last_start = (double)(last - first) * av_q2d(stream->time_base);
    r.fps = r.frames > 1 ? (r.frames - 1) / r.last_start : 0;
    free(cropped);
    free(rgb);
    sws_freeContext(sws);
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&dec);
    avformat_close_input(&format);
    return r;
}

static void test_gif(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 95, 71, 12);
    clip.metadata = "{\"a\":1}";
    write_ok(in_folder("clip.gif"), &clip, NULL);
    assert_int_equal(c.calls, 24);
    decoded d = decode(in_folder("clip.gif"), &c);
    print_message("gif: worst frame %.1f dB\n", d.worst);
    assert_int_equal(d.frames, 12);
    assert_int_equal(d.width, 95);
    assert_int_equal(d.height, 71);
    assert_true(d.worst > 32);
    assert_true(fabs(d.last_start - 11 / 8.0) < 0.0051);
    vka_media_info info = info_ok(in_folder("clip.gif"));
    assert_int_equal(info.format, VKA_MEDIA_GIF);
    assert_int_equal(info.width, 95);
    assert_int_equal(info.height, 71);
    assert_int_equal(info.frames, 12);
    assert_int_equal(info.plays, 0);
    assert_true(fabs(info.duration - 1.5) < 1e-9);
    assert_string_equal(info.metadata, "{\"a\":1}");
    vka_media_info_free(&info);

    /* Plays are counted, and delays under 2 centiseconds do not exist. */
    static const struct {
        uint32_t plays, frames;
        double fps, duration;
    } cases[] = {{1, 12, 25, 0.48}, {2, 3, 100, 0.06}, {5, 1, 8, 0.13}, {0, 1, 4, 0.25}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clip.plays = cases[i].plays;
        clip.fps = cases[i].fps;
        clip.frames = cases[i].frames;
        clip.metadata = NULL;
        write_ok(in_folder("clip.gif"), &clip, NULL);
        info = info_ok(in_folder("clip.gif"));
        assert_int_equal(info.plays, cases[i].plays);
        assert_int_equal(info.frames, cases[i].frames);
        assert_true(fabs(info.duration - cases[i].duration) < 1e-9);
        assert_null(info.metadata);
        vka_media_info_free(&info);
    }
    free(c.rgb);
}

static void check_video(const char *name, vka_media_format format, uint32_t width, uint32_t height, uint32_t frames,
                        double fps)
{
    synthetic c;
    vka_clip clip = make_clip(&c, width, height, frames);
    const char *path = in_folder(name);
    vka_error err = {0};
    if (vka_media_check(path, width, height, frames, &err) !=
        VKA_OK) { /* the encoder may be missing; the sentence not */
        assert_int_equal(err.status, VKA_E_OUTPUT);
        assert_non_null(strstr(err.what, "encoder"));
        assert_true(err.hint[0]);
        free(c.rgb);
        return;
    }
    clip.fps = fps;
    clip.metadata = "{\"a\":1}";
    write_ok(path, &clip, NULL);
    decoded d = decode(path, &c);
    print_message("%s %ux%ux%u: worst frame %.1f dB, %g fps\n", name, (unsigned)frames, (unsigned)width,
                  (unsigned)height, d.worst, d.fps);
    assert_int_equal(d.frames, frames);
    assert_int_equal(d.width, width + (width & 1));
    assert_int_equal(d.height, height + (height & 1));
    assert_int_equal(d.range, AVCOL_RANGE_MPEG);
    assert_int_equal(d.matrix, AVCOL_SPC_BT709);
    assert_true(d.worst > 36);
    if (frames > 1)
        assert_true(fabs(d.last_start - (frames - 1) / fps) < 0.0011);
    vka_media_info info = info_ok(path);
    assert_int_equal(info.format, format);
    assert_int_equal(info.width, d.width);
    assert_int_equal(info.height, d.height);
    assert_int_equal(info.frames, frames);
    assert_true(fabs(info.duration - frames / fps) < 0.002);
    assert_string_equal(info.metadata, clip.metadata);
    vka_media_info_free(&info);
    free(c.rgb);
}

static void test_mp4(void **state)
{
    (void)state;
    check_video("clip.mp4", VKA_MEDIA_MP4, 128, 96, 12, 8);
    check_video("odd.mp4", VKA_MEDIA_MP4, 97, 61, 9, 23.976);
    check_video("one.mp4", VKA_MEDIA_MP4, 64, 64, 1, 8);
    if (!vka_path_exists(in_folder("clip.mp4")))
        return;
    /* The index stands before the pictures. */
    char *bytes;
    size_t size, at = 0;
    bool moov = false;
    assert_int_equal(vka_read_file(in_folder("clip.mp4"), 1 << 30, &bytes, &size, NULL), VKA_OK);
    while (at + 8 <= size && memcmp(bytes + at + 4, "mdat", 4) != 0) {
        moov = moov || !memcmp(bytes + at + 4, "moov", 4);
        at += vka_be32((const uint8_t *)bytes + at);
    }
    assert_true(moov && at + 8 <= size);
    free(bytes);
}

static void test_webm(void **state)
{
    (void)state;
    check_video("clip.webm", VKA_MEDIA_WEBM, 128, 96, 12, 8);
    check_video("odd.webm", VKA_MEDIA_WEBM, 97, 61, 5, 12.5);
}

/* Equal frames give equal files. */
static void test_same_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"a.webp", "a.gif", "a.mp4", "a.webm", "a.apng", "a.y4m"};
    synthetic c;
    vka_clip clip = make_clip(&c, 64, 48, 5);
    clip.metadata = "{\"a\":1}";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vka_media_result result = {0};
        if (vka_media_check(in_folder(names[i]), 64, 48, 5, NULL) != VKA_OK)
            continue;
        write_ok(in_folder(names[i]), &clip, &result);
        write_ok(in_folder(names[i]), &clip, &result);
        assert_string_equal(result.files[0].sha256, result.files[1].sha256);
        vka_media_result_free(&result);
    }
    free(c.rgb);
}
#else
static void test_without_ffmpeg(void **state)
{
    (void)state;
    static const char *const names[] = {"a.gif", "a.mp4", "a.webm"};
    if (vka_gif_check(NULL) == VKA_OK)
        skip();
    for (size_t i = 0; i < 3; i++) {
        vka_error err = {0};
        assert_int_equal(vka_media_check(in_folder(names[i]), 64, 64, 4, &err), VKA_E_OUTPUT);
        assert_non_null(strstr(err.what, "FFmpeg"));
        assert_non_null(strstr(err.hint, ".webp"));
    }
}
#endif

static void test_frames_sha256(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 19, 7, 3);
    char hex[65], want[65];
    vka_sha256 sha;
    vka_sha256_init(&sha);
    for (uint32_t i = 0; i < 3; i++) {
        draw(&c, i, c.rgb);
        vka_sha256_add(&sha, c.rgb, 19 * 7 * 3);
    }
    vka_sha256_hex(&sha, want);
    assert_int_equal(vka_frames_sha256(&clip, hex, NULL), VKA_OK);
    assert_string_equal(hex, want);
    c.fail_at = 1;
    assert_int_equal(vka_frames_sha256(&clip, hex, NULL), VKA_E_STOPPED);
    free(c.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_times),
        IN_FOLDER(test_webp),
        IN_FOLDER(test_webp_fade),
        IN_FOLDER(test_png),
        IN_FOLDER(test_frames),
        IN_FOLDER(test_apng),
        IN_FOLDER(test_y4m),
#ifdef VKANIM_FFMPEG
        IN_FOLDER(test_gif),
        IN_FOLDER(test_mp4),
        IN_FOLDER(test_webm),
        IN_FOLDER(test_same_bytes),
#else
        IN_FOLDER(test_without_ffmpeg),
#endif
        cmocka_unit_test(test_frames_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
