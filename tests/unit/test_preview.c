/* test_preview.c - previews without a device: the map from latents to colours and its fit, its file and what becomes of a damaged
 * one, which frames are shown, and previews as files, read back by what reads pictures here. */
#include "media_clip.h"

#include "base/rng.h"
#include "media/pictures.h"
#include "render/preview.h"

enum { C = 4, H = 9, W = 7, PLANE = H * W };

/* ---- the map ------------------------------------------------------------------------------------------------- */

static struct vka_latent_map some_map(void)
{
    struct vka_latent_map m = {.channels = C, .bias = {120, 130, 110}};
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, 5);
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < C; c++)
            vka_rng_normal(&rng, m.weight[k][c], VKA_LATENT_TAPS);
    return m;
}

/* As latent_map.h says it, in double. */
static void plain(const struct vka_latent_map *m, const float *z, int h, int w, double *rgb)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < 3; k++) {
                double sum = (double)m->bias[k];
                for (int c = 0; c < (int)m->channels; c++)
                    for (int t = 0; t < VKA_LATENT_TAPS; t++) {
                        int yy = y + t / 3 - 1, xx = x + t % 3 - 1;
                        yy = yy < 0 ? 0 : yy >= h ? h - 1 : yy;
                        xx = xx < 0 ? 0 : xx >= w ? w - 1 : xx;
                        sum += (double)m->weight[k][c][t] * (double)z[(c * h + yy) * w + xx];
                    }
                rgb[(y * w + x) * 3 + k] = sum;
            }
}

static void noise(uint64_t seed, float *out, size_t n)
{
    vka_rng rng;
    vka_rng_init(&rng, VKA_RNG_TORCH_CPU, seed);
    vka_rng_normal(&rng, out, n);
}

static void map_is_its_formula(void **state)
{
    (void)state;
    static const int sizes[][2] = {{H, W}, {1, 1}, {1, 5}, {6, 1}, {2, 2}};
    const struct vka_latent_map m = some_map();
    float z[C * PLANE], row[3 * W];
    uint8_t rgb[PLANE * 3];
    double want[PLANE * 3];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int h = sizes[i][0], w = sizes[i][1];
        noise(i, z, (size_t)(C * h * w));
        for (int v = 0; v < C * h * w; v++)
            z[v] *= 12; /* enough to reach black and white */
        plain(&m, z, h, w, want);
        vka_latent_map_show(&m, z, (uint32_t)h, (uint32_t)w, row, rgb);
        for (int v = 0; v < h * w * 3; v++) {
            double cut = want[v] < 0 ? 0 : want[v] > 255 ? 255 : want[v];
            assert_true(fabs((double)rgb[v] - cut) < 0.51);
        }
    }
    z[0] = NAN;
    z[1] = INFINITY;
    vka_latent_map_show(&m, z, 2, 2, row, rgb); /* no number is none of a picture's, and no accident */
}

/* What was made by a map is fitted by that map; what is not, by the best one. */
static void fit_finds_the_map(void **state)
{
    (void)state;
    const struct vka_latent_map m = some_map();
    vka_latent_fit *f = vka_latent_fit_create(C);
    struct vka_latent_map got;
    double error, want[PLANE * 3];
    assert_non_null(f);
    assert_false(vka_latent_fit_solve(f, 1e-3, &got, &error)); /* of nothing */
    for (int loud = 0; loud < 2; loud++) {
        for (uint64_t i = 0; i < 40; i++) {
            float z[C * PLANE], rgb[PLANE * 3], other[PLANE * 3];
            noise(i, z, C * PLANE);
            noise(1000 + i, other, PLANE * 3);
            plain(&m, z, H, W, want);
            for (int v = 0; v < PLANE * 3; v++)
                rgb[v] = (float)want[v] + (loud ? 3 * other[v] : 0);
            vka_latent_fit_add(f, z, rgb, H, W);
        }
        assert_true(vka_latent_fit_solve(f, 0, &got, &error));
        double most = 0;
        for (int k = 0; k < 3; k++) {
            most = fmax(most, fabs((double)got.bias[k] - (double)m.bias[k]));
            for (int c = 0; c < C; c++)
                for (int t = 0; t < VKA_LATENT_TAPS; t++)
                    most = fmax(most, fabs((double)got.weight[k][c][t] - (double)m.weight[k][c][t]));
        }
        assert_true(most < (loud ? 0.2 : 1e-4)); /* of half the pairs only, with noise of 3: 3 / sqrt(2520) = 0.06 a weight */
        assert_true(loud ? fabs(error - 4.5) < 0.3 : error < 1e-6);
    }
    float bad[C * 4] = {NAN}, colours[12] = {0};
    vka_latent_fit_add(f, bad, colours, 2, 2);
    assert_false(vka_latent_fit_solve(f, 1e-3, &got, &error));
    vka_latent_fit_free(f);
    f = vka_latent_fit_create(C); /* one colour and one latent say nothing without a penalty, and enough with one */
    float z[C] = {1, 2, 3, 4}, colour[3] = {10, 20, 30}, row[3];
    uint8_t rgb[3];
    vka_latent_fit_add(f, z, colour, 1, 1);
    assert_true(vka_latent_fit_solve(f, 1e-3, &got, &error));
    vka_latent_map_show(&got, z, 1, 1, row, rgb);
    assert_true(rgb[0] == 10 && rgb[1] == 20 && rgb[2] == 30);
    vka_latent_fit_free(f);
    assert_null(vka_latent_fit_create(VKA_LATENT_CHANNELS + 1));
    assert_null(vka_latent_fit_create(0));
}

/* ---- its file ------------------------------------------------------------------------------------------------ */

static void file_holds_the_map(void **state)
{
    (void)state;
    const struct vka_latent_map m = some_map();
    struct vka_latent_map got;
    char *text = vka_preview_map_write(&m, "abc");
    size_t n = strlen(text);
    assert_true(vka_preview_map_read(&got, text, n, "abc", C));
    assert_memory_equal(&got, &m, sizeof m);
    assert_false(vka_preview_map_read(&got, text, n, "abd", C));
    assert_false(vka_preview_map_read(&got, text, n, "abc", C - 1));
    assert_false(vka_preview_map_read(&got, text, n, "abc", VKA_LATENT_CHANNELS + 1));
    for (size_t cut = 0; cut < n; cut++)
        assert_false(vka_preview_map_read(&got, text, cut, "abc", C));
    static const char *const wrong[] = {"", "[]", "{}", "null", "{\"format\":1}",
                                        "{\"format\":1,\"vae\":\"abc\",\"channels\":4,\"bias\":3,\"weight\":[]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(vka_preview_map_read(&got, wrong[i], strlen(wrong[i]), "abc", C));
    struct vka_latent_map wild = m; /* numbers that no picture has */
    wild.weight[2][3][8] = 2e5f;
    char *other = vka_preview_map_write(&wild, "abc");
    assert_false(vka_preview_map_read(&got, other, strlen(other), "abc", C));
    free(other);
    /* a byte changed anywhere: refused, or a map of sensible numbers all the same */
    uint32_t refused = 0;
    for (size_t at = 0; at < n; at++)
        for (int c = 0; c < 256; c += 15) {
            char kept = text[at];
            text[at] = (char)c;
            if (!vka_preview_map_read(&got, text, n, "abc", C))
                refused++;
            else
                for (int k = 0; k < 3; k++)
                    assert_true(fabs((double)got.bias[k]) <= 1e5 && fabs((double)got.weight[k][0][0]) <= 1e5);
            text[at] = kept;
        }
    assert_true(refused > n * 9); /* of 18 a place */
    free(text);
}

/* ---- which frames ---------------------------------------------------------------------------------------------- */

enum { LONG = 2000 };
struct seen {
    vka_preview is;
    uint8_t first[VKA_PREVIEW_FRAMES]; /* red of each frame's first pixel */
    uint32_t calls;
};

static void see(void *user, const vka_preview *p)
{
    struct seen *s = user;
    s->is = *p;
    s->calls++;
    for (unsigned i = 0; i < p->frames; i++)
        s->first[i] = p->rgb[(size_t)i * p->width * p->height * 3];
}

/* A map whose red is the first channel. */
static struct vka_previews red(void)
{
    struct vka_previews p = {.tried = true, .on = true, .map = {.channels = 1}};
    p.map.weight[0][0][4] = 1;
    return p;
}

static void long_clips_are_thinned(void **state)
{
    (void)state;
    struct vka_previews p = red();
    struct seen seen = {0};
    const vka_context_params to = {.preview = see, .user = &seen};
    float *x = calloc(LONG * 6, sizeof *x), *eps = calloc(LONG * 6, sizeof *eps);
    assert_true(x && eps);
    for (int f = 0; f < LONG; f++)
        for (int v = 0; v < 6; v++)
            x[f * 6 + v] = (float)(f % 250) + 2, eps[f * 6 + v] = 1;
    const vka_sampler_eval e = {.clean_x = 1, .clean_eps = -2};
    struct vka_preview_state s = {.x = x, .eps = eps, .e = &e, .channels = 1, .height = 2, .width = 3, .begun = LONG};
    assert_true(vka_previews_take(&p, &s));
    vka_previews_show(&p, &to, 3, 7, 20, 8);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.is.frames, VKA_PREVIEW_FRAMES);
    assert_true(seen.is.clip == 3 && seen.is.step == 7 && seen.is.steps == 20 && seen.is.width == 3 && seen.is.height == 2);
    assert_true(fabs(seen.is.fps - 8.0 * (double)VKA_PREVIEW_FRAMES / (double)LONG) < 1e-9);
    for (int i = 0; i < VKA_PREVIEW_FRAMES; i++)
        assert_int_equal(seen.first[i], i * LONG / VKA_PREVIEW_FRAMES % 250);
    /* one frame after the other: two that are done, one at work, the others not there */
    s.begun = 3;
    s.done = 2;
    assert_true(vka_previews_take(&p, &s));
    vka_previews_show(&p, &to, 0, 1, 1, 8);
    assert_int_equal(seen.is.frames, 3);
    assert_true(seen.first[0] == 2 && seen.first[1] == 3 && seen.first[2] == 2);
    assert_true(fabs(seen.is.fps - 8) < 1e-9);
    free(x);
    free(eps);
    vka_previews_end(&p);
}

/* ---- as files -------------------------------------------------------------------------------------------------- */

static struct vka_preview drawn(uint32_t width, uint32_t height, uint32_t frames, uint8_t **rgb)
{
    synthetic c = {.width = width, .height = height};
    *rgb = malloc((size_t)width * height * frames * 3);
    assert_non_null(*rgb);
    for (uint32_t f = 0; f < frames; f++)
        draw(&c, f, *rgb + (size_t)f * width * height * 3);
    return (vka_preview){.step = 1, .steps = 2, .frames = frames, .width = width, .height = height, .fps = 10, .rgb = *rgb};
}

/* The file's frames, one behind the other. */
static uint8_t *read_back(const char *name, const unsigned char *data, size_t size, uint32_t *frames, uint32_t *width, uint32_t *height)
{
    vka_error err = {0};
    assert_int_equal(vka_write_file(in_folder(name), data, size, &err), VKA_OK);
    vka_pictures *p;
    if (vka_pictures_open(&p, &(struct vka_picture_ask){.path = in_folder(name)}, &err) != VKA_OK)
        fail_msg("%s: %s", name, err.what);
    *frames = vka_pictures_count(p);
    *width = vka_pictures_width(p);
    *height = vka_pictures_height(p);
    size_t bytes = (size_t)*width * *height * 3;
    uint8_t *rgb = malloc(bytes * *frames);
    bool end = false;
    for (uint32_t i = 0; i < *frames; i++) {
        assert_int_equal(vka_pictures_next(p, rgb + i * bytes, &end, &err), VKA_OK);
        assert_false(end);
    }
    vka_pictures_close(p);
    return rgb;
}

static void files_hold_the_frames(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 5, 16, 40};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint8_t *rgb, *got;
        unsigned char *data;
        size_t size;
        uint32_t frames, width, height, row = counts[i] < VKA_PREVIEW_ROW ? counts[i] : VKA_PREVIEW_ROW;
        vka_error err = {0};
        vka_media_info info;
        const vka_preview p = drawn(48, 32, counts[i], &rgb);
        const size_t bytes = 48 * 32 * 3;

        assert_int_equal(vka_preview_encode(&p, "webp", &data, &size, &err), VKA_OK);
        got = read_back("a.webp", data, size, &frames, &width, &height);
        assert_true(frames == counts[i] && width == 48 && height == 32);
        for (uint32_t f = 0; f < frames; f++)
            assert_true(psnr(got + f * bytes, rgb + f * bytes, bytes) > 28);
        assert_int_equal(vka_media_info_parse(data, size, "a.webp", &info, &err), VKA_OK);
        assert_int_equal(info.format, VKA_MEDIA_WEBP);
        assert_int_equal(info.frames, frames);
        if (frames > 1)
            assert_true(fabs(info.duration - frames / 10.0) < 1e-6 && info.plays == 0);
        assert_true(size < frames * bytes / 4);
        vka_media_info_free(&info);
        vka_free(data);
        free(got);

        assert_int_equal(vka_preview_encode(&p, "png", &data, &size, &err), VKA_OK);
        got = read_back("a.png", data, size, &frames, &width, &height);
        assert_true(frames == 1 && width == row * 48 && height == 32);
        for (uint32_t f = 0; f < row; f++)
            for (uint32_t y = 0; y < 32; y++)
                assert_memory_equal(got + (y * width + f * 48) * 3, rgb + f * counts[i] / row * bytes + y * 48 * 3, 48 * 3);
        vka_free(data);
        free(got);
        free(rgb);
    }
}

static void files_are_refused(void **state)
{
    (void)state;
    uint8_t *rgb;
    unsigned char *data;
    size_t size;
    vka_error err = {0};
    vka_preview p = drawn(4, 4, 2, &rgb), bad;
    assert_int_equal(vka_preview_encode(&p, "gif", &data, &size, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "gif"));
    assert_true(!data && !size);
    assert_int_equal(vka_preview_encode(&p, "", &data, &size, NULL), VKA_E_USAGE);
    for (int i = 0; i < 5; i++) {
        bad = p;
        *(i == 0 ? &bad.frames : i == 1 ? &bad.width : &bad.height) = i == 3 ? 20000 : 0;
        if (i == 4) {
            bad = p;
            bad.rgb = NULL;
        }
        assert_int_equal(vka_preview_encode(&bad, i % 2 ? "webp" : "png", &data, &size, NULL), VKA_E_USAGE);
        assert_null(data);
    }
    p.fps = 0; /* no rate is no reason */
    assert_int_equal(vka_preview_encode(&p, "webp", &data, &size, NULL), VKA_OK);
    vka_free(data);
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_is_its_formula),   cmocka_unit_test(fit_finds_the_map), cmocka_unit_test(file_holds_the_map),
        cmocka_unit_test(long_clips_are_thinned), IN_FOLDER(files_hold_the_frames),  cmocka_unit_test(files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
