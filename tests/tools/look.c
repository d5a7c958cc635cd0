/* look.c - numbers about clips and pictures, for tests that say what must be seen.
 *
 *     look loop CLIP                 "D N": mean absolute difference of the last and the first frame; of neighbours, on average
 *     look light CLIP                "A Z": mean brightness of the first and of the last quarter of the frames
 *     look near CLIP N PICTURE [M]   PSNR in dB of frame N and picture M (0), over all three channels; 99 when they are equal
 *     look edges CLIP HINTS          F1 of the frames' edges and those that HINTS shows in white on black, the mean over the
 *                                    frames; a hint is met within REACH pixels; a single hint is every frame's
 *     look count CLIP                frames
 *
 * CLIP, PICTURE and HINTS are whatever media/pictures.h reads; values are those of 8-bit pixels, 0..255.
 *
 * Edges: brightness (0.299, 0.587, 0.114), a Gaussian of 5 x 5 with sigma 1.4, Sobel, |gx| + |gy|, kept where no neighbour
 * across the edge has more, from LOW on where connected to something from HIGH on (J. Canny, "A computational approach to edge
 * detection", 1986); the rules of models/miniature/train/train_control.py. */
#include "base/error.h"
#include "media/pictures.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REACH = 2, LOW = 100, HIGH = 200 };

typedef struct {
    size_t width, height, frames;
    uint8_t *rgb; /* [frames, height, width, 3] */
} clip;

static size_t clip_bytes(const clip *c)
{
    return c->width * c->height * 3;
}
static const uint8_t *clip_frame(const clip *c, size_t n)
{
    return c->rgb + n * clip_bytes(c);
}

static bool clip_read(clip *c, const char *path)
{
    struct vka_picture_ask ask = {.path = path};
    vka_pictures *p = NULL;
    vka_error err = {0};
    if (vka_pictures_open(&p, &ask, &err) == VKA_OK) {
        *c = (clip){vka_pictures_width(p), vka_pictures_height(p), vka_pictures_count(p), NULL};
        c->rgb = malloc(clip_bytes(c) * c->frames);
        bool end = false;
        for (size_t i = 0; c->rgb && i < c->frames && !end && err.status == VKA_OK; i++)
            vka_pictures_next(p, c->rgb + i * clip_bytes(c), &end, &err);
        vka_pictures_close(p);
        if (c->rgb && !end && err.status == VKA_OK)
            return true;
    }
    fprintf(stderr, "look: %s: %s\n", path, err.what[0] ? err.what : "cannot be read");
    return false;
}

/* ---- differences --------------------------------------------------------------------------------------------------- */

static double difference(const clip *c, size_t a, size_t b)
{
    const uint8_t *p = clip_frame(c, a), *q = clip_frame(c, b);
    double sum = 0;
    for (size_t i = 0; i < clip_bytes(c); i++)
        sum += abs(p[i] - q[i]);
    return sum / (double)clip_bytes(c);
}

static double light(const clip *c, size_t from, size_t to)
{
    double sum = 0;
    for (const uint8_t *p = clip_frame(c, from); p < clip_frame(c, to); p += 3)
        sum += 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    return sum / ((double)(c->width * c->height) * (double)(to - from));
}

static double psnr(const uint8_t *p, const uint8_t *q, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)(p[i] - q[i]) * (double)(p[i] - q[i]);
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : 99;
}

/* ---- edges --------------------------------------------------------------------------------------------------------- */

static size_t clamped(size_t at, int by, size_t n)
{
    if (by < 0 && at < (size_t)-by)
        return 0;
    size_t to = by < 0 ? at - (size_t)-by : at + (size_t)by;
    return to < n ? to : n - 1;
}

/* One axis of a separable kernel of 2 r + 1 taps, edges repeated; in and out [h, w]. */
static void filter(const double *in, double *out, size_t w, size_t h, const double *taps, int r, bool down)
{
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            double sum = 0;
            for (int k = -r; k <= r; k++)
                sum += taps[k + r] * (down ? in[clamped(y, k, h) * w + x] : in[y * w + clamped(x, k, w)]);
            out[y * w + x] = sum;
        }
}

/* The strength at (x + dx, y + dy), 0 outside. */
static double beside(const double *m, size_t x, size_t y, int dx, int dy, size_t w, size_t h)
{
    if ((dx < 0 && x == 0) || (dy < 0 && y == 0) || (dx > 0 && x + 1 == w) || (dy > 0 && y + 1 == h))
        return 0;
    return m[clamped(y, dy, h) * w + clamped(x, dx, w)];
}

/* rgb [h, w, 3] -> edge [h, w] of 0 and 1; work: 4 w h. */
static void canny(const uint8_t *rgb, uint8_t *edge, size_t w, size_t h, double *work)
{
    static const double slope[3] = {-1, 0, 1}, smooth[3] = {1, 2, 1};
    double gauss[5], sum = 0, *y = work, *gx = work + w * h, *gy = gx + w * h, *m = gy + w * h;
    for (int k = -2; k <= 2; k++)
        sum += gauss[k + 2] = exp(-k * k / (2 * 1.4 * 1.4));
    for (int k = 0; k < 5; k++)
        gauss[k] /= sum;
    for (size_t i = 0; i < w * h; i++)
        y[i] = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
    filter(y, m, w, h, gauss, 2, false);
    filter(m, y, w, h, gauss, 2, true);
    filter(y, m, w, h, slope, 1, false);
    filter(m, gx, w, h, smooth, 1, true);
    filter(y, m, w, h, smooth, 1, false);
    filter(m, gy, w, h, slope, 1, true);
    for (size_t i = 0; i < w * h; i++)
        m[i] = fabs(gx[i]) + fabs(gy[i]);
    static const int step[4][2] = {{1, 0}, {1, 1}, {0, 1}, {-1, 1}};
    for (size_t i = 0; i < w * h; i++) {
        const int *d = step[((int)lround(atan2(gy[i], gx[i]) / atan(1)) + 4) % 4];
        bool top = m[i] > beside(m, i % w, i / w, -d[0], -d[1], w, h) && m[i] >= beside(m, i % w, i / w, d[0], d[1], w, h);
        edge[i] = !top || m[i] <= (double)LOW ? 0 : m[i] > (double)HIGH ? 1 : 2; /* 2: one that waits for a strong neighbour */
    }
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < w * h; i++)
            for (int k = 0; k < 9 && edge[i] == 2; k++)
                if (edge[clamped(i / w, k / 3 - 1, h) * w + clamped(i % w, k % 3 - 1, w)] == 1) {
                    edge[i] = 1;
                    grew = true;
                }
    }
    for (size_t i = 0; i < w * h; i++)
        edge[i] = edge[i] == 1;
}

/* The share of `a` that has something of `b` within REACH pixels; *any: whether there is any of `a`. */
static double met(const uint8_t *a, const uint8_t *b, size_t w, size_t h, bool *any)
{
    size_t all = 0, good = 0;
    for (size_t i = 0; i < w * h; i++) {
        if (!a[i])
            continue;
        bool found = false;
        for (int dy = -REACH; dy <= REACH && !found; dy++)
            for (int dx = -REACH; dx <= REACH && !found; dx++)
                found = b[clamped(i / w, dy, h) * w + clamped(i % w, dx, w)] != 0;
        all++;
        good += found;
    }
    *any = all > 0;
    return all ? (double)good / (double)all : 0;
}

static bool edges(const clip *c, const clip *hints, double *f1)
{
    size_t n = c->width * c->height;
    uint8_t *made = malloc(2 * n);
    double *work = malloc(4 * n * sizeof *work), sum = 0;
    for (size_t k = 0; made && work && k < c->frames; k++) {
        uint8_t *wanted = made + n;
        const uint8_t *hint = clip_frame(hints, hints->frames > 1 ? k : 0);
        canny(clip_frame(c, k), made, c->width, c->height, work);
        for (size_t i = 0; i < n; i++)
            wanted[i] = hint[3 * i] > 127;
        bool some = false, asked = false;
        double precision = met(made, wanted, c->width, c->height, &some), recall = met(wanted, made, c->width, c->height, &asked);
        if (!some || !asked)
            sum += some == asked;
        else if (precision + recall > 0)
            sum += 2 * precision * recall / (precision + recall);
    }
    bool good = made && work;
    free(made);
    free(work);
    *f1 = sum / (double)c->frames;
    return good;
}

/* ---- the command --------------------------------------------------------------------------------------------------- */

static int complain(const char *what)
{
    fprintf(stderr, "look: %s\n", what);
    return 2;
}

static int run(int argc, char **argv, clip *c, clip *other)
{
    const char *what = argc > 2 ? argv[1] : "";
    bool loop = argc == 3 && !strcmp(what, "loop"), bright = argc == 3 && !strcmp(what, "light");
    bool near = (argc == 5 || argc == 6) && !strcmp(what, "near"), edge = argc == 4 && !strcmp(what, "edges");
    bool count = argc == 3 && !strcmp(what, "count");
    if (!loop && !bright && !near && !edge && !count)
        return complain("loop CLIP | light CLIP | near CLIP N PICTURE [M] | edges CLIP HINTS | count CLIP");
    if (!clip_read(c, argv[2]) || ((near || edge) && !clip_read(other, argv[near ? 4 : 3])))
        return 2;
    if ((near || edge) && (c->width != other->width || c->height != other->height))
        return complain("pictures of different sizes");
    if (count)
        printf("%zu\n", c->frames);
    if (loop) {
        double sum = 0;
        if (c->frames < 2)
            return complain("too few frames");
        for (size_t i = 0; i + 1 < c->frames; i++)
            sum += difference(c, i, i + 1);
        printf("%.3f %.3f\n", difference(c, c->frames - 1, 0), sum / (double)(c->frames - 1));
    }
    if (bright) {
        size_t quarter = c->frames / 4;
        if (!quarter)
            return complain("too few frames");
        printf("%.3f %.3f\n", light(c, 0, quarter), light(c, c->frames - quarter, c->frames));
    }
    if (near) {
        size_t n = strtoul(argv[3], NULL, 10), m = argc == 6 ? strtoul(argv[5], NULL, 10) : 0;
        if (n >= c->frames || m >= other->frames)
            return complain("no such frame");
        printf("%.3f\n", psnr(clip_frame(c, n), clip_frame(other, m), clip_bytes(c)));
    }
    if (edge) {
        double f1 = 0;
        if (other->frames != 1 && other->frames < c->frames)
            return complain("fewer hints than frames");
        if (!edges(c, other, &f1))
            return complain("out of memory");
        printf("%.3f\n", f1);
    }
    return 0;
}

int main(int argc, char **argv)
{
    clip c = {0}, other = {0};
    int status = run(argc, argv, &c, &other);
    free(c.rgb);
    free(other.rgb);
    return status;
}
