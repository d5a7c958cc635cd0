/* test_between.c - frames between two where the truth is known: textures and shapes whose motion is drawn, not estimated.
 *
 * Every case draws the first and the last picture and the two between them, has the stage make those, and holds them against the
 * truth and against the plain blend of both pictures: the peak signal-to-noise ratio must be good and better by a margin.  Limits
 * stand some dB below what was measured, more where a case hangs on few pixels.  Two equal pictures give copies; the smallest plan and the
 * largest, and a second run, give the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "render/between.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 72, W = 96, FRAMES = 2, WAVES = 24, TEXTURES = 6 };
static const double PI = 3.14159265358979;
static vka_gpu *gpu;

/* ---- what is drawn ------------------------------------------------------------------------------------------- */

/* A sum of waves, so that it can be read anywhere. */
static struct texture {
    double x[WAVES], y[WAVES], phase[WAVES], height[WAVES];
} textures[TEXTURES];

static double next_random(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return (*s >> 8) / 16777216.0;
}

static void make_textures(void)
{
    for (uint32_t t = 0; t < TEXTURES; t++) {
        uint32_t s = 7919 * (t + 1) + 1;
        for (int i = 0; i < WAVES; i++) {
            double f = 0.01 + (t < 3 ? 0.12 : 0.2) * next_random(&s), a = 2 * PI * next_random(&s);
            textures[t].x[i] = 2 * PI * f * cos(a);
            textures[t].y[i] = 2 * PI * f * sin(a);
            textures[t].phase[i] = 2 * PI * next_random(&s);
            textures[t].height[i] = 0.5 + 0.5 * next_random(&s);
        }
    }
}

static double limited(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static double texture_at(uint32_t t, double x, double y)
{
    double sum = 0;
    for (int i = 0; i < WAVES; i++)
        sum += textures[t].height[i] * sin(textures[t].x[i] * x + textures[t].y[i] * y + textures[t].phase[i]);
    return limited(0.5 + 0.11 * sum);
}

enum kind { MOVE, TURN, ZOOM, DISC, SHAPES, PAN, FADE, CUT };
struct scene {
    const char *name;
    enum kind kind;
    double dx, dy, size;
    double least, gain; /* dB: of the frames between, and over the plain blend */
};

static void draw_pixel(const struct scene *k, double t, double x, double y, double c[3])
{
    const double mx = (double)W / 2, my = (double)H / 2, turn = 0.12 * (t - 0.5), zoom = 1 - 0.12 * (t - 0.5);
    double X = x - t * k->dx, Y = y - t * k->dy, a;
    if (k->kind == TURN) {
        X = mx + cos(turn) * (x - mx) + sin(turn) * (y - my);
        Y = my - sin(turn) * (x - mx) + cos(turn) * (y - my);
    } else if (k->kind == ZOOM) {
        X = mx + zoom * (x - mx);
        Y = my + zoom * (y - my);
    } else if (k->kind == DISC) { /* before a texture that moves the other way */
        X = x + 0.5 * t * k->dx;
        Y = y;
    }
    for (uint32_t i = 0; i < 3; i++)
        c[i] = texture_at(i, X, Y);
    if (k->kind == FADE) /* a tenth darker, too */
        for (int i = 0; i < 3; i++)
            c[i] *= 1 - 0.08 * t;
    if (k->kind == DISC || k->kind == PAN) { /* PAN: a still disc before a texture that moves */
        const double vx = k->kind == DISC ? k->dx : 0, vy = k->kind == DISC ? k->dy : 0;
        a = limited(k->size + 0.5 - hypot(x - mx - vx * (t - 0.5), y - my - vy * (t - 0.5)));
        const double flat[3] = {0.9, 0.2, 0.2};
        for (uint32_t i = 0; i < 3; i++)
            c[i] += a * ((k->kind == PAN ? flat[i] : texture_at(i + 3, x - vx * t, y - vy * t)) - c[i]);
    }
    if (k->kind == CUT) {
        const double other[3] = {0.2 + 0.5 * x / (double)W, 0.4, 0.8 - 0.5 * y / (double)H};
        for (int i = 0; i < 3; i++)
            c[i] += t * (other[i] - c[i]);
    }
    if (k->kind == SHAPES) { /* flat colours, as in a cartoon */
        const double sky[3] = {0.3 + 0.2 * y / H, 0.5 + 0.2 * y / H, 0.8}, ground[3] = {0.2, 0.6, 0.2}, ball[3] = {0.9, 0.2, 0.2},
                     box[3] = {0.9, 0.8, 0.1};
        memcpy(c, y > H - 22 ? ground : sky, sizeof sky);
        a = limited(k->size + 0.5 - hypot(x - mx - k->dx * (t - 0.5), y - my + 6));
        for (int i = 0; i < 3; i++)
            c[i] += a * (ball[i] - c[i]);
        a = limited(7.5 - fabs(x - mx / 2 + k->dx * t / 2)) * limited(7.5 - fabs(y - H + 16));
        for (int i = 0; i < 3; i++)
            c[i] += a * (box[i] - c[i]);
    }
}

static void draw(const struct scene *k, double t, uint8_t *out)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            double c[3];
            draw_pixel(k, t, x, y, c);
            for (int i = 0; i < 3; i++)
                *out++ = (uint8_t)lrint(255 * limited(c[i]));
        }
}

static double decibels(const uint8_t *a, const uint8_t *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum > 0 ? 10 * log10(65025.0 * (double)n / sum) : 99;
}

/* ---- the stage ----------------------------------------------------------------------------------------------- */

static void start(struct vka_between_stage *s, uint32_t frames, uint32_t h, uint32_t w, const struct vka_knobs *knobs)
{
    vka_error err = {0};
    uint64_t need = 0;
    struct vka_kernel_table table = check_table(gpu);
    check_ok(vka_between_stage_build(s, frames, h, w, &table, &err), &err);
    check_ok(vka_between_stage_ask(s, &(struct vka_ask){.room = {UINT64_MAX, UINT64_MAX}, .knobs = knobs}, &need, &err), &err);
    check_ok(vka_between_stage_start(s, gpu, NULL, &err), &err);
    check_spoil(s->run.exec);
}

static const struct scene scenes[] = {
    {"1 pixel", MOVE, 1, 0, 0, 45, 4},
    {"2 pixels aslant", MOVE, 2, 1, 0, 43, 13},
    {"4 pixels", MOVE, 4, -2, 0, 42, 22},
    {"8 pixels", MOVE, 8, 0, 0, 39, 25},
    {"11 pixels", MOVE, -10, 4, 0, 35, 24},
    {"12 pixels", MOVE, 12, 0, 0, 26, 14},
    {"rotation", TURN, 0, 0, 0, 34, 13},
    {"zoom", ZOOM, 0, 0, 0, 34, 13},
    {"textured disc over a moving texture", DISC, 6, 3, 14, 23, 3},
    {"shapes, 4 pixels", SHAPES, 4, 0, 14, 39, 10},
    {"shapes, 12 pixels", SHAPES, 12, 0, 14, 40, 17},
    {"small shapes, 12 pixels", SHAPES, 12, 0, 7, 40, 15},
    {"still disc before a moving texture", PAN, 6, 0, 6, 30, 13},
    {"change of scene", CUT, 0, 0, 0, 40, -3}, /* its truth is the blend */
    {"moving and darker", FADE, 5, 0, 0, 33, 14},
};

static void test_truth(void **state)
{
    (void)state;
    enum { N = H * W * 3 };
    static uint8_t first[N], last[N], truth[FRAMES * N], got[FRAMES * N], plain[FRAMES * N];
    struct vka_between_stage s;
    vka_error err = {0};
    int bad = 0;
    start(&s, FRAMES, H, W, NULL);
    for (size_t k = 0; k < sizeof scenes / sizeof *scenes; k++) {
        draw(&scenes[k], 0, first);
        draw(&scenes[k], 1, last);
        for (int f = 0; f < FRAMES; f++) {
            const double t = (f + 1.0) / (FRAMES + 1);
            draw(&scenes[k], t, truth + f * N);
            for (int i = 0; i < N; i++)
                plain[f * N + i] = (uint8_t)lrint(first[i] + t * (last[i] - first[i]));
        }
        check_ok(vka_between_stage_run(&s, first, last, got, NULL, &err), &err);
        const double d = decibels(got, truth, FRAMES * N), before = decibels(plain, truth, FRAMES * N);
        printf("%-36s %5.1f dB, plain blend %5.1f, better by %5.1f\n", scenes[k].name, d, before, d - before);
        bad += d < scenes[k].least || d - before < scenes[k].gain;
    }
    assert_int_equal(bad, 0);
    vka_between_stage_end(&s);
}

/* Equal pictures: copies.  The smallest plan, the largest and another run: the same bits. */
static void test_bits(void **state)
{
    (void)state;
    enum { h = 37, w = 45, N = h * w * 3, BETWEEN = 3 };
    static uint8_t first[N], last[N], got[3][BETWEEN * N];
    const struct vka_knobs least = vka_knobs_least();
    vka_error err = {0};
    for (int i = 0; i < N; i++) {
        const int x = i / 3 % w, y = i / 3 / w;
        first[i] = (uint8_t)lrint(127 + 120 * sin(0.31 * x + 0.2 * y + i % 3));
        last[i] = (uint8_t)lrint(127 + 120 * sin(0.31 * (x - 3) + 0.2 * y + i % 3));
    }
    for (int plan = 0; plan < 2; plan++) {
        struct vka_between_stage s;
        start(&s, BETWEEN, h, w, plan ? &least : NULL);
        check_ok(vka_between_stage_run(&s, first, first, got[2], NULL, &err), &err);
        for (int f = 0; f < BETWEEN; f++)
            assert_memory_equal(got[2] + f * N, first, N);
        check_ok(vka_between_stage_run(&s, first, last, got[plan], NULL, &err), &err);
        check_ok(vka_between_stage_run(&s, first, last, got[2], NULL, &err), &err);
        assert_memory_equal(got[2], got[plan], sizeof got[2]);
        vka_between_stage_end(&s);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
    assert_memory_not_equal(got[0], first, N);
}

/* One pixel, a row, a column: nothing is read outside. */
static void test_tiny(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{1, 1}, {1, 33}, {19, 2}};
    vka_error err = {0};
    for (size_t k = 0; k < 3; k++) {
        const size_t n = (size_t)sizes[k][0] * sizes[k][1] * 3;
        uint8_t first[128], last[128], got[2 * 128];
        for (size_t i = 0; i < n; i++)
            first[i] = (uint8_t)(40 + i), last[i] = (uint8_t)(46 + i);
        struct vka_between_stage s;
        start(&s, 2, sizes[k][0], sizes[k][1], NULL);
        check_ok(vka_between_stage_run(&s, first, last, got, NULL, &err), &err);
        for (size_t i = 0; i < n; i++)
            assert_in_range(got[i], 30, 170);
        vka_between_stage_end(&s);
    }
}

static void test_order(void **state)
{
    (void)state;
    uint32_t at, which;
    const struct vka_between_order open = {5, 3, false}, closed = {5, 3, true}, none = {5, 1, true}, one = {1, 4, false};
    assert_int_equal(vka_between_count(&open), 13);
    assert_int_equal(vka_between_pairs(&open), 4);
    assert_int_equal(vka_between_count(&closed), 15);
    assert_int_equal(vka_between_pairs(&closed), 5);
    assert_int_equal(vka_between_count(&none), 5);
    assert_int_equal(vka_between_pairs(&none), 0);
    assert_int_equal(vka_between_count(&one), 1);
    assert_int_equal(vka_between_pairs(&one), 0);
    for (uint32_t i = 0; i < 15; i++) {
        assert_true(vka_between_frame(&closed, i, &at, &which) == (i % 3 != 0));
        assert_int_equal(at, i / 3);
        assert_int_equal(which, i % 3 ? i % 3 - 1 : 0);
    }
    assert_false(vka_between_frame(&none, 4, &at, &which));
    assert_int_equal(at, 4);
}

int main(void)
{
    make_textures();
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_tiny), cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_truth)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
