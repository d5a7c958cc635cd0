/* test_pictures.c - pictures that come in: every kind of file against what was put into it, which of a video's pictures are
 * taken, folders and patterns, resampling against Pillow's bits, and what is refused.  tests/reference/make_pictures.py made
 * the files in pictures/. */
#include "media_clip.h"

#include "media/pictures.h"

enum { W = 24, H = 16 };

static const char *given(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/unit/pictures/%s", VKA_TEST_DATA, name);
    return path[turn];
}

/* The picture of make_pictures.py. */
static void scene(uint8_t *rgb)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++, rgb += 3) {
            rgb[0] = (uint8_t)(40 + 180 * x / (W - 1));
            rgb[1] = (uint8_t)(30 + 200 * y / (H - 1));
            rgb[2] = y < H / 3 && x < W / 3 ? 220 : 60;
        }
}

/* All pictures, malloc'ed [count,H,W,3]. */
static uint8_t *read_all(const struct vka_picture_ask *ask, uint32_t *count, uint32_t *w, uint32_t *h)
{
    vka_pictures *p;
    vka_error err = {0};
    bool end = false;
    if (vka_pictures_open(&p, ask, &err) != VKA_OK)
        fail_msg("%s: %s (%s)", ask->path, err.what, err.why);
    *count = vka_pictures_count(p);
    *w = vka_pictures_width(p);
    *h = vka_pictures_height(p);
    size_t bytes = (size_t)*w * *h * 3;
    uint8_t *all = calloc(*count, bytes);
    assert_non_null(all);
    for (uint32_t i = 0; i < *count; i++) {
        assert_int_equal(vka_pictures_next(p, all + i * bytes, &end, &err), VKA_OK);
        assert_false(end);
    }
    assert_int_equal(vka_pictures_next(p, NULL, &end, &err), VKA_OK);
    assert_true(end);
    vka_pictures_close(p);
    return all;
}

static uint8_t *read_one(const char *path, uint32_t *w, uint32_t *h)
{
    uint32_t count;
    uint8_t *rgb = read_all(&(struct vka_picture_ask){.path = path}, &count, w, h);
    assert_int_equal(count, 1);
    return rgb;
}

static vka_status refused(const struct vka_picture_ask *ask, const char *word)
{
    vka_pictures *p;
    vka_error err = {0};
    vka_status s = vka_pictures_open(&p, ask, &err);
    if (p)
        fail_msg("%s was not refused", ask->path);
    assert_int_equal(s, err.status);
    if (!strstr(err.what, word) && !strstr(err.why, word))
        fail_msg("'%s' is not in: %s (%s)", word, err.what, err.why);
    return s;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------ */

static void lossless_kinds(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.png", "turn6.png", "turn6.webp",
#ifdef VKANIM_FFMPEG
                                        "rgb.bmp", "rgb.tif", "rgb.ppm"
#endif
    };
    uint8_t want[W * H * 3];
    uint32_t w, h;
    scene(want);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint8_t *rgb = read_one(given(names[i]), &w, &h);
        assert_int_equal(w, W);
        assert_int_equal(h, H);
        if (memcmp(rgb, want, sizeof want) != 0)
            fail_msg("%s", names[i]);
        free(rgb);
    }
}

static void other_pngs(void **state)
{
    (void)state;
    uint8_t want[W * H * 3];
    uint32_t w, h;
    scene(want);
    uint8_t *grey = read_one(given("grey16.png"), &w, &h);
    uint8_t *bits = read_one(given("bits.png"), &w, &h);
    for (size_t i = 0; i < W * H; i++)
        for (size_t c = 0; c < 3; c++) {
            assert_int_equal(grey[3 * i + c], want[3 * i]);
            assert_int_equal(bits[3 * i + c], want[3 * i] > 128 ? 255 : 0);
        }
    free(grey);
    free(bits);
}

/* A pixel is its colour times its alpha, rounded. */
static void alpha_over_black(void **state)
{
    (void)state;
    static const char *const names[] = {"alpha.png", "alpha.webp"};
    FILE *f = fopen(given("alpha.txt"), "r");
    assert_non_null(f);
    uint8_t rgba[W * H * 4];
    for (size_t i = 0; i < sizeof rgba; i++) {
        unsigned v;
        assert_int_equal(fscanf(f, "%u", &v), 1);
        rgba[i] = (uint8_t)v;
    }
    fclose(f);
    for (int n = 0; n < 2; n++) {
        uint32_t w, h;
        uint8_t *rgb = read_one(given(names[n]), &w, &h);
        for (size_t i = 0; i < W * H; i++)
            for (size_t c = 0; c < 3; c++)
                assert_int_equal(rgb[3 * i + c], (int)floor(rgba[4 * i + c] * rgba[4 * i + 3] / 255.0 + 0.5));
        assert_int_equal(rgb[3 * (W - 1)], 0);
        free(rgb);
    }
}

#ifdef VKANIM_FFMPEG
/* Eight orientations of one picture come out as that picture, as well as JPEG holds it. */
static void turned_jpegs(void **state)
{
    (void)state;
    uint8_t want[W * H * 3];
    scene(want);
    for (int turn = 1; turn <= 8; turn++) {
        char name[32];
        uint32_t w, h;
        snprintf(name, sizeof name, "turn%d.jpg", turn);
        uint8_t *rgb = read_one(given(name), &w, &h);
        assert_int_equal(w, W);
        assert_int_equal(h, H);
        double db = psnr(rgb, want, sizeof want);
        if (db < 33)
            fail_msg("%s: %.1f dB", name, db);
        free(rgb);
    }
}

/* A palette's transparent entry is black. */
static void palettes(void **state)
{
    (void)state;
    uint32_t w, h;
    uint8_t *png = read_one(given("palette.png"), &w, &h), *gif = read_one(given("palette.gif"), &w, &h), want[W * H * 3];
    size_t black = 0;
    scene(want);
    assert_memory_equal(png, gif, sizeof want);
    for (size_t i = 0; i < W * H; i++) {
        bool gone = !png[3 * i] && !png[3 * i + 1] && !png[3 * i + 2];
        black += gone;
        for (size_t c = 0; c < 3 && !gone; c++)
            assert_in_range(abs(png[3 * i + c] - want[3 * i + c]), 0, 60);
    }
    assert_in_range(black, 1, W * H / 4);
    free(png);
    free(gif);
}

static void display_matrix(void **state)
{
    (void)state;
    uint32_t count, w, h;
    uint8_t *rgb = read_all(&(struct vka_picture_ask){.path = given("turned.mp4"), .most = 1}, &count, &w, &h);
    assert_int_equal(count, 1);
    assert_int_equal(w, 16);
    assert_int_equal(h, 32);
    /* The red corner of the stored picture is its upper left; ffmpeg, which turns too, shows it here. */
    const uint8_t *corner = rgb + (size_t)31 * 16 * 3;
    assert_in_range(corner[0], 150, 255);
    assert_in_range(corner[1], 0, 60);
    assert_in_range(rgb[0], 0, 60);
    free(rgb);
}

/* ---- what of a video --------------------------------------------------------------------------------------------- */

/* grey.mp4 has 6 pictures, 10 a second, of these greys. */
static const int greys[] = {20, 60, 100, 140, 180, 220};

static void check_greys(struct vka_picture_ask ask, const char *places)
{
    uint32_t count, w, h;
    ask.path = given("grey.mp4");
    uint8_t *all = read_all(&ask, &count, &w, &h);
    if (count != strlen(places))
        fail_msg("%s: %u pictures", places, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *middle = all + ((size_t)i * w * h + (size_t)(h / 2) * w + w / 2) * 3;
        if (abs(middle[0] - greys[places[i] - '0']) > 3)
            fail_msg("%s: picture %u is %d", places, i, middle[0]);
    }
    free(all);
}

static void picked_from_a_video(void **state)
{
    (void)state;
    check_greys((struct vka_picture_ask){0}, "012345");
    check_greys((struct vka_picture_ask){.stride = 2}, "024");
    check_greys((struct vka_picture_ask){.stride = 4}, "04");
    check_greys((struct vka_picture_ask){.most = 2}, "01");
    check_greys((struct vka_picture_ask){.start = 0.2}, "2345");
    check_greys((struct vka_picture_ask){.start = 0.25, .stride = 2}, "35");
    check_greys((struct vka_picture_ask){.fps = 10}, "012345");
    check_greys((struct vka_picture_ask){.fps = 5}, "024");
    check_greys((struct vka_picture_ask){.fps = 20}, "001122334455");
    check_greys((struct vka_picture_ask){.fps = 20, .stride = 2}, "012345");
    check_greys((struct vka_picture_ask){.fps = 10, .start = 0.35}, "345");
    check_greys((struct vka_picture_ask){.fps = 4}, "025");
    check_greys((struct vka_picture_ask){.fps = 4, .width = 8, .height = 8, .most = 2}, "02");
    assert_int_equal(refused(&(struct vka_picture_ask){.path = given("grey.mp4"), .start = 0.7}, "0.7"), VKA_E_INPUT);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = given("grey.mp4"), .start = 30}, "30"), VKA_E_INPUT);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = given("grey.mp4"), .start = 30, .fps = 8}, "30"), VKA_E_INPUT);
}
#endif

/* What this room writes it reads: all frames, lossless ones to the bit. */
static void own_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool lossless, ffmpeg;
        double db;
    } files[] = {{"a.webp", true, false, 200}, {"b.webp", false, false, 35}, {"a.apng", false, true, 200}, {"a.gif", false, true, 22},
                 {"a.mp4", false, true, 30},   {"a.webm", true, true, 200},  {"a.y4m", false, true, 35},   {"d", false, false, 200},
                 {"x%03d.png", false, false, 200}};
    synthetic c;
    vka_clip clip = make_clip(&c, 64, 48, 12);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
#ifndef VKANIM_FFMPEG
        if (files[i].ffmpeg)
            continue;
#endif
        clip.look.lossless = files[i].lossless;
        write_ok(in_folder(files[i].name), &clip, NULL);
        uint32_t count, w, h;
        uint8_t *all = read_all(&(struct vka_picture_ask){.path = in_folder(files[i].name)}, &count, &w, &h);
        assert_int_equal(count, 12);
        assert_int_equal(w, 64);
        assert_int_equal(h, 48);
        for (uint32_t k = 0; k < count; k++) {
            draw(&c, k, c.rgb);
            double db = psnr(all + (size_t)k * 64 * 48 * 3, c.rgb, 64 * 48 * 3);
            if (db < files[i].db)
                fail_msg("%s: picture %u at %.1f dB", files[i].name, k, db);
        }
        free(all);
        if (files[i].ffmpeg || i < 2) { /* at 8 pictures a second, half of them */
            all = read_all(&(struct vka_picture_ask){.path = in_folder(files[i].name), .fps = 4}, &count, &w, &h);
            if (count != 6)
                fail_msg("%s: %u pictures at 4 a second", files[i].name, count);
            draw(&c, 10, c.rgb);
            assert_true(psnr(all + (size_t)5 * 64 * 48 * 3, c.rgb, 64 * 48 * 3) >= files[i].db);
            free(all);
        }
    }
    free(c.rgb);
}

/* ---- folders and patterns ------------------------------------------------------------------------------------------ */

static void put_picture(const char *name, uint8_t value, uint32_t w, uint32_t h)
{
    vka_bytes png = {0};
    uint8_t *rgb = malloc((size_t)w * h * 3);
    assert_non_null(rgb);
    memset(rgb, value, (size_t)w * h * 3);
    assert_int_equal(vka_png_encode(rgb, w, h, NULL, NULL, &png, NULL), VKA_OK);
    assert_int_equal(vka_write_file(in_folder(name), png.data, png.size, NULL), VKA_OK);
    vka_bytes_free(&png);
    free(rgb);
}

static void folders(void **state)
{
    (void)state;
    uint32_t count, w, h;
    put_picture("f10.png", 30, 4, 4);
    put_picture("f2.PNG", 20, 8, 6);
    put_picture("f01.png", 10, 8, 6);
    assert_int_equal(vka_write_file(in_folder("notes.txt"), "x", 1, NULL), VKA_OK);
    uint8_t *all = read_all(&(struct vka_picture_ask){.path = folder}, &count, &w, &h);
    assert_int_equal(count, 3);
    assert_int_equal(w, 8); /* of the first, f01 */
    assert_int_equal(h, 6);
    assert_int_equal(all[0], 10);
    assert_int_equal(all[144], 20);
    assert_int_equal(all[288], 30);
    free(all);
    all = read_all(&(struct vka_picture_ask){.path = folder, .stride = 2}, &count, &w, &h);
    assert_int_equal(count, 2);
    assert_int_equal(all[144], 30);
    free(all);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = folder, .fps = 8}, "times"), VKA_E_USAGE);
    assert_int_equal(vka_write_file(in_folder("f3.png"), "x", 1, NULL), VKA_OK);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = folder}, "f3.png"), VKA_E_INPUT);
}

static void patterns(void **state)
{
    (void)state;
    uint32_t count, w, h;
    put_picture("a007.png", 7, 2, 2);
    put_picture("a008.png", 8, 2, 2);
    put_picture("a009.png", 9, 2, 2);
    put_picture("a0010.png", 99, 2, 2); /* not three digits, and not more than three either */
    put_picture("ab08.png", 99, 2, 2);
    uint8_t *all = read_all(&(struct vka_picture_ask){.path = in_folder("a%03d.png")}, &count, &w, &h);
    assert_int_equal(count, 3);
    assert_int_equal(all[0], 7);
    assert_int_equal(all[24], 9);
    free(all);
    put_picture("a011.png", 11, 2, 2);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = in_folder("a%03d.png")}, "number 10"), VKA_E_INPUT);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = in_folder("z%03d.png")}, "fits"), VKA_E_INPUT);
}

/* ---- sizes ----------------------------------------------------------------------------------------------------------- */

static void like_pillow(void **state)
{
    (void)state;
    static const char *const filters[] = {"lanczos", "bicubic", "bilinear", "box"};
    uint32_t w, h, ow, oh, lines = 0;
    uint8_t *noise = read_one(given("noise.png"), &w, &h), out[32 * 32 * 3];
    char name[16];
    static char hex[8192];
    FILE *f = fopen(given("pillow.txt"), "r");
    assert_non_null(f);
    while (fscanf(f, "%15s %u %u %8191s", name, &ow, &oh, hex) == 4) {
        int which = 0;
        while (strcmp(filters[which], name) != 0)
            which++;
        assert_int_equal(vka_picture_resize(noise, w, h, out, ow, oh, VKA_RESIZE_STRETCH, (enum vka_filter)which, NULL), VKA_OK);
        for (size_t i = 0; i < (size_t)ow * oh * 3; i++) {
            unsigned v;
            sscanf(hex + 2 * i, "%2x", &v);
            if (out[i] != v)
                fail_msg("%s %u x %u: byte %zu is %d, Pillow has %u", name, ow, oh, i, out[i], v);
        }
        lines++;
    }
    fclose(f);
    free(noise);
    assert_int_equal(lines, 16);
}

static void resize_modes(void **state)
{
    (void)state;
    /* 8 x 4: four columns of 2 pixels, 0 50 100 150 */
    uint8_t in[8 * 4 * 3], out[8 * 8 * 3];
    for (int i = 0; i < 8 * 4; i++)
        memset(in + 3 * i, 50 * (i % 8 / 2), 3);
    /* crop to 4 x 4: the middle */
    assert_int_equal(vka_picture_resize(in, 8, 4, out, 4, 4, VKA_RESIZE_CROP, VKA_FILTER_LANCZOS, NULL), VKA_OK);
    for (int i = 0; i < 16; i++)
        assert_int_equal(out[3 * i], i % 4 < 2 ? 50 : 100);
    /* fit into 8 x 8: two black rows above and below */
    assert_int_equal(vka_picture_resize(in, 8, 4, out, 8, 8, VKA_RESIZE_FIT, VKA_FILTER_LANCZOS, NULL), VKA_OK);
    for (int i = 0; i < 64; i++)
        assert_int_equal(out[3 * i], i / 8 < 2 || i / 8 >= 6 ? 0 : in[3 * (i % 8)]);
    /* stretch to 4 x 2 with areas */
    assert_int_equal(vka_picture_resize(in, 8, 4, out, 4, 2, VKA_RESIZE_STRETCH, VKA_FILTER_BOX, NULL), VKA_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[3 * i], 50 * (i % 4));
    /* a crop is the slice of the scaled whole */
    uint32_t w, h;
    uint8_t *noise = read_one(given("noise.png"), &w, &h), whole[26 * 22 * 3], slice[22 * 22 * 3];
    assert_int_equal(vka_picture_resize(noise, w, h, whole, 26, 22, VKA_RESIZE_STRETCH, VKA_FILTER_LANCZOS, NULL), VKA_OK);
    assert_int_equal(vka_picture_resize(noise, w, h, slice, 22, 22, VKA_RESIZE_CROP, VKA_FILTER_LANCZOS, NULL), VKA_OK);
    for (int y = 0; y < 22; y++)
        assert_memory_equal(slice + y * 66, whole + (y * 26 + 2) * 3, 66);
    free(noise);
    /* a line of one pixel's height */
    assert_int_equal(vka_picture_resize(in, 8, 1, out, 8, 8, VKA_RESIZE_CROP, VKA_FILTER_LANCZOS, NULL), VKA_OK);
    assert_int_equal(vka_picture_resize(in, 8, 1, out, 2, 8, VKA_RESIZE_FIT, VKA_FILTER_LANCZOS, NULL), VKA_OK);
}

/* ---- what is refused --------------------------------------------------------------------------------------------------- */

static void refuse_bytes(const char *name, const char *bytes, size_t size, const char *word)
{
    assert_int_equal(vka_write_file(in_folder(name), bytes, size, NULL), VKA_OK);
    assert_int_equal(refused(&(struct vka_picture_ask){.path = in_folder(name)}, word), VKA_E_INPUT);
}

static void bad_files(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.png", "alpha.webp",
#ifdef VKANIM_FFMPEG
                                        "turn1.jpg", "rgb.bmp", "rgb.tif", "palette.gif", "grey.mp4"
#endif
    };
    refuse_bytes("empty.png", "", 0, "empty.png");
    refuse_bytes("text.txt", "hello", 5, "text.txt");
    assert_int_equal(refused(&(struct vka_picture_ask){.path = in_folder("missing.png")}, "missing.png"), VKA_E_INPUT);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) { /* cut off after a half and before the end */
        char *bytes;
        size_t size;
        assert_int_equal(vka_read_file(given(names[i]), 1 << 20, &bytes, &size, NULL), VKA_OK);
        refuse_bytes(names[i], bytes, size / 2, names[i]);
        if (strcmp(names[i], "grey.mp4") != 0) /* whose last bytes are no picture's */
            refuse_bytes(names[i], bytes, size - 3, names[i]);
        free(bytes);
    }
    /* a PNG of 20000 x 20000, a BMP likewise */
    char *png, *bmp;
    size_t size;
    assert_int_equal(vka_read_file(given("rgb.png"), 1 << 20, &png, &size, NULL), VKA_OK);
    vka_put_be32((uint8_t *)png + 16, 20000);
    vka_put_be32((uint8_t *)png + 20, 20000);
    vka_put_be32((uint8_t *)png + 29, vka_crc32(0, png + 12, 17));
    refuse_bytes("huge.png", png, size, "20000");
    png[16] = (char)0x7f;
    refuse_bytes("huge.png", png, size, "too many");
    free(png);
#ifdef VKANIM_FFMPEG
    assert_int_equal(vka_read_file(given("rgb.bmp"), 1 << 20, &bmp, &size, NULL), VKA_OK);
    bmp[20] = bmp[24] = 0x10; /* a million pixels a side */
    refuse_bytes("huge.bmp", bmp, size, "huge.bmp");
    free(bmp);
    synthetic c; /* what was written whole and lost its tail */
    vka_clip clip = make_clip(&c, 64, 48, 12);
    static const char *const cut[] = {"a.webm", "a.mp4", "a.apng", "a.y4m", "a.webp", "a.gif"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        write_ok(in_folder(cut[i]), &clip, NULL);
        assert_int_equal(vka_read_file(in_folder(cut[i]), 1 << 24, &bmp, &size, NULL), VKA_OK);
        refuse_bytes(cut[i], bmp, size * 2 / 3, cut[i]);
        free(bmp);
    }
    free(c.rgb);
#else
    (void)bmp;
    assert_int_equal(refused(&(struct vka_picture_ask){.path = given("rgb.bmp")}, "FFmpeg"), VKA_E_INPUT);
#endif
}

static void one_picture(void **state)
{
    (void)state;
    uint32_t w = 0, h = 0;
    uint8_t *rgb, want[W * H * 3];
    scene(want);
    assert_int_equal(vka_picture_read(given("rgb.png"), VKA_RESIZE_CROP, &w, &h, &rgb, NULL), VKA_OK);
    assert_int_equal(w, W);
    assert_memory_equal(rgb, want, sizeof want);
    free(rgb);
    w = h = 8;
    assert_int_equal(vka_picture_read(given("rgb.png"), VKA_RESIZE_STRETCH, &w, &h, &rgb, NULL), VKA_OK);
    assert_int_equal(w, 8);
    free(rgb);
    enum vka_resize r;
    assert_true(vka_resize_from_name("fit", &r) && r == VKA_RESIZE_FIT);
    assert_false(vka_resize_from_name("Fit", &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_kinds),
        cmocka_unit_test(other_pngs),
        cmocka_unit_test(alpha_over_black),
#ifdef VKANIM_FFMPEG
        cmocka_unit_test(turned_jpegs),
        cmocka_unit_test(palettes),
        cmocka_unit_test(display_matrix),
        cmocka_unit_test(picked_from_a_video),
#endif
        cmocka_unit_test_setup_teardown(own_files, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(folders, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(patterns, make_folder, drop_folder),
        cmocka_unit_test(like_pillow),
        cmocka_unit_test(resize_modes),
        cmocka_unit_test_setup_teardown(bad_files, make_folder, drop_folder),
        cmocka_unit_test(one_picture),
    };
    return cmocka_run_group_tests_name("pictures", tests, NULL, NULL);
}
