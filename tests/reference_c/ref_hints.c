/* ref_hints.c - see ref_hints.h. */
#include "ref_hints.h"

#include <math.h>
#include <stdlib.h>

static long nearest(long x, long n) { return x < 0 ? 0 : x >= n ? n - 1 : x; }

static double pixel(const double *p, uint32_t h, uint32_t w, long y, long x, uint32_t c)
{
    return p[(nearest(y, h) * (long)w + nearest(x, w)) * 3 + c];
}

void ref_hint_picture(uint32_t h, uint32_t w, uint8_t *rgb)
{
    uint32_t seed = 1;
    for (int y = 0; y < (int)h; y++)
        for (int x = 0; x < (int)w; x++)
            for (int c = 0; c < 3; c++) {
                int v = 40 + 2 * y + (c == 2 ? x : 0), d = (x - 20) * (x - 20) + (y - 18) * (y - 18);
                if (d < 150)
                    v = c == 0 ? 220 : 60 + d / 3;
                if (x > 36 && x < 58 && y > 8 && y < 30)
                    v = abs((x * 5 + y * 3) % 64 - 32) * 4 + 40 * c;
                if (2 * x + 3 * y > 170 && 2 * x + 3 * y < 185)
                    v = 250 - 60 * c;
                seed = seed * 1664525u + 1013904223u;
                v += (int)(seed >> 24) % 13 - 6;
                *rgb++ = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
}

/* The Gaussian filter, cut off at 3 sigma. */
static double *smooth(const uint8_t *rgb, uint32_t h, uint32_t w, double sigma)
{
    const long reach = (long)ceil(3 * sigma);
    double *a = calloc((size_t)h * w * 3, sizeof *a), *b = calloc((size_t)h * w * 3, sizeof *b), all = 0;
    if (!a || !b)
        abort();
    for (long k = -reach; k <= reach; k++)
        all += exp(-(double)(k * k) / (2 * sigma * sigma));
    for (size_t i = 0; i < (size_t)h * w * 3; i++)
        a[i] = rgb[i];
    for (int axis = 0; axis < 2; axis++) {
        for (long y = 0; y < (long)h; y++)
            for (long x = 0; x < (long)w; x++)
                for (uint32_t c = 0; c < 3; c++) {
                    double sum = 0;
                    for (long k = -reach; k <= reach; k++)
                        sum += exp(-(double)(k * k) / (2 * sigma * sigma)) / all *
                               pixel(a, h, w, axis ? y + k : y, axis ? x : x + k, c);
                    b[(y * (long)w + x) * 3 + c] = sum;
                }
        double *t = a;
        a = b, b = t;
    }
    free(b);
    return a;
}

void ref_hint_lineart(const uint8_t *rgb, uint32_t h, uint32_t w, double sigma, double *out)
{
    double *a = smooth(rgb, h, w, 0.7f), *b = smooth(rgb, h, w, sigma);
    for (size_t i = 0; i < (size_t)h * w; i++) {
        double most = 0;
        for (size_t c = 0; c < 3; c++)
            most = fmax(most, 255.0 / 32 * (b[3 * i + c] - a[3 * i + c]));
        out[i] = fmin(most, 255);
    }
    free(a), free(b);
}

void ref_hint_soft_edge(const uint8_t *rgb, uint32_t h, uint32_t w, double *out)
{
    for (size_t i = 0; i < (size_t)h * w; i++)
        out[i] = 0;
    for (int k = 0; k < 3; k++) {
        const double sigma = 1 << k;
        double *a = smooth(rgb, h, w, sigma);
        for (long y = 0; y < (long)h; y++)
            for (long x = 0; x < (long)w; x++)
                for (uint32_t c = 0; c < 3; c++) {
                    double dx = (pixel(a, h, w, y, x + 1, c) - pixel(a, h, w, y, x - 1, c)) / 2;
                    double dy = (pixel(a, h, w, y + 1, x, c) - pixel(a, h, w, y - 1, x, c)) / 2;
                    double m = sigma * hypot(dx, dy), *to = &out[y * (long)w + x];
                    *to = fmax(*to, 255 * m / (m + 24));
                }
        free(a);
    }
}

void ref_hint_tile(const uint8_t *rgb, uint32_t h, uint32_t w, uint32_t factor, double *out)
{
    const uint32_t sh = (h + factor - 1) / factor, sw = (w + factor - 1) / factor;
    double *small = calloc((size_t)sh * sw * 3, sizeof *small);
    if (!small)
        abort();
    for (uint32_t y = 0; y < sh; y++)
        for (uint32_t x = 0; x < sw; x++)
            for (uint32_t c = 0; c < 3; c++) {
                double sum = 0;
                int n = 0;
                for (uint32_t j = y * factor; j < (y + 1) * factor && j < h; j++)
                    for (uint32_t i = x * factor; i < (x + 1) * factor && i < w; i++, n++)
                        sum += rgb[((size_t)j * w + i) * 3 + c];
                small[((size_t)y * sw + x) * 3 + c] = sum / n;
            }
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t c = 0; c < 3; c++) {
                double sy = fmin(fmax((y + 0.5) / factor - 0.5, 0), sh - 1.0), sx = fmin(fmax((x + 0.5) / factor - 0.5, 0), sw - 1.0);
                double fy = floor(sy), fx = floor(sx), ay = sy - fy, ax = sx - fx;
                long iy = (long)fy, ix = (long)fx;
                out[((size_t)y * w + x) * 3 + c] =
                    (pixel(small, sh, sw, iy, ix, c) * (1 - ax) + pixel(small, sh, sw, iy, ix + 1, c) * ax) * (1 - ay) +
                    (pixel(small, sh, sw, iy + 1, ix, c) * (1 - ax) + pixel(small, sh, sw, iy + 1, ix + 1, c) * ax) * ay;
            }
    free(small);
}

/* (dx, dy) of the colour that changes most, and |dx| + |dy|. */
static int sobel(const uint8_t *rgb, uint32_t h, uint32_t w, long y, long x, int *dx, int *dy)
{
    static const int weight[3] = {1, 2, 1};
    int most = -1;
    *dx = *dy = 0;
    if (y < 0 || x < 0 || y >= (long)h || x >= (long)w)
        return 0;
    for (int c = 0; c < 3; c++) {
        int gx = 0, gy = 0;
        for (int k = -1; k <= 1; k++) {
            gx += weight[k + 1] * (rgb[(nearest(y + k, h) * (long)w + nearest(x + 1, w)) * 3 + c] -
                                   rgb[(nearest(y + k, h) * (long)w + nearest(x - 1, w)) * 3 + c]);
            gy += weight[k + 1] * (rgb[(nearest(y + 1, h) * (long)w + nearest(x + k, w)) * 3 + c] -
                                   rgb[(nearest(y - 1, h) * (long)w + nearest(x + k, w)) * 3 + c]);
        }
        if (abs(gx) + abs(gy) > most)
            most = abs(gx) + abs(gy), *dx = gx, *dy = gy;
    }
    return most;
}

void ref_hint_canny(const uint8_t *rgb, uint32_t h, uint32_t w, int low, int high, uint8_t *out)
{
    const double tan_22 = 13573 / 32768.0;
    int dx, dy, sx, sy, changed = 1;
    for (long y = 0; y < (long)h; y++)
        for (long x = 0; x < (long)w; x++) {
            int m = sobel(rgb, h, w, y, x, &dx, &dy), edge = 0;
            double ax = abs(dx), ay = abs(dy);
            if (m <= low)
                ;
            else if (ay < tan_22 * ax)
                edge = m > sobel(rgb, h, w, y, x - 1, &sx, &sy) && m >= sobel(rgb, h, w, y, x + 1, &sx, &sy);
            else if (ay > (tan_22 + 2) * ax)
                edge = m > sobel(rgb, h, w, y - 1, x, &sx, &sy) && m >= sobel(rgb, h, w, y + 1, x, &sx, &sy);
            else {
                const int s = (dx ^ dy) < 0 ? -1 : 1;
                edge = m > sobel(rgb, h, w, y - 1, x - s, &sx, &sy) && m > sobel(rgb, h, w, y + 1, x + s, &sx, &sy);
            }
            out[y * (long)w + x] = (uint8_t)(!edge ? 0 : m > high ? 255 : 1);
        }
    while (changed) {
        changed = 0;
        for (long y = 0; y < (long)h; y++)
            for (long x = 0; x < (long)w; x++)
                for (int k = 0; k < 9 && out[y * (long)w + x] == 1; k++)
                    if (out[nearest(y + k / 3 - 1, h) * (long)w + nearest(x + k % 3 - 1, w)] == 255)
                        out[y * (long)w + x] = 255, changed = 1;
    }
    for (size_t i = 0; i < (size_t)h * w; i++)
        out[i] = out[i] == 255 ? 255 : 0;
}
