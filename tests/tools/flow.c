/* flow.c - which way the picture of a Y4M file goes, and how warm it is: numbers a test can hold against a sign.
 *
 *     flow FILE [GAP]
 *
 * prints "H V W S": the mean move of the picture's content in pixels a frame, positive to the right and down; the mean of
 * Cr - Cb, positive where red and brown outweigh blue; and the move of the subject to the right, in pixels a frame.
 *
 * H and V: frames GAP apart (2) are compared by block matching in the luma plane:
 * blocks of 16 x 16, every 8 pixels, moves up to 10 pixels in either axis; what counts is the mean absolute difference and a
 * little for the distance, so that flat parts stay where they are.  Blocks without structure (standard deviation under 4) say
 * nothing; the others count by theirs.
 *
 * S: the scenery is the median of each pixel over the clip, the subject what differs from it by more than SUBJECT (the sum
 * over Y, Cb and Cr); S is the slope of the line that fits the subject's centre best, each frame counted by how much of it
 * there is.  A small subject before a still picture shows here, where H and V are close to 0.
 *
 * Only 8-bit C444 is read, as vkanim writes it. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16, STRIDE = 8, REACH = 10, LIMIT = 4096, SUBJECT = 40 };

typedef struct {
    long width, height, frames;
    uint8_t *pixels; /* [frames, 3, height, width] */
    double warmth;   /* sum of Cr - Cb over all pixels */
} clip;

static int complain(const char *file, const char *what)
{
    fprintf(stderr, "flow: %s: %s\n", file, what);
    return 2;
}

/* Returns NULL or what is wrong. */
static const char *clip_read(clip *c, FILE *f)
{
    char line[256], *at;
    if (!fgets(line, sizeof line, f) || strncmp(line, "YUV4MPEG2 ", 10) != 0 || !strstr(line, " C444 "))
        return "not Y4M with C444";
    c->width = (at = strstr(line, " W")) ? strtol(at + 2, NULL, 10) : 0;
    c->height = (at = strstr(line, " H")) ? strtol(at + 2, NULL, 10) : 0;
    if (c->width < BLOCK || c->height < BLOCK || c->width > LIMIT || c->height > LIMIT)
        return "a size out of range";
    size_t plane = (size_t)c->width * (size_t)c->height;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "FRAME", 5) != 0 || c->frames >= LIMIT)
            return "not a frame";
        uint8_t *more = realloc(c->pixels, ((size_t)c->frames + 1) * 3 * plane);
        if (!more)
            return "out of memory";
        c->pixels = more;
        more += (size_t)c->frames * 3 * plane;
        if (fread(more, 1, 3 * plane, f) != 3 * plane)
            return "the last frame is cut off";
        for (size_t i = 0; i < plane; i++)
            c->warmth += (double)more[2 * plane + i] - (double)more[plane + i];
        c->frames++;
    }
    return NULL;
}

static double spread(const uint8_t *p, long stride)
{
    double sum = 0, square = 0;
    for (long y = 0; y < BLOCK; y++)
        for (long x = 0; x < BLOCK; x++) {
            double v = p[y * stride + x];
            sum += v;
            square += v * v;
        }
    double n = BLOCK * BLOCK, mean = sum / n;
    return sqrt(fmax(0, square / n - mean * mean));
}

/* Mean absolute difference of two blocks. */
static double difference(const uint8_t *a, const uint8_t *b, long stride)
{
    long sum = 0;
    for (long y = 0; y < BLOCK; y++)
        for (long x = 0; x < BLOCK; x++)
            sum += labs((long)a[y * stride + x] - (long)b[y * stride + x]);
    return (double)sum / (BLOCK * BLOCK);
}

/* Adds the moves of all blocks from frame `a` to frame `b`, weighted; sum[0] to the right, sum[1] down, sum[2] the weights. */
static void compare(const clip *c, const uint8_t *a, const uint8_t *b, double sum[3])
{
    for (long y = 0; y + BLOCK <= c->height; y += STRIDE)
        for (long x = 0; x + BLOCK <= c->width; x += STRIDE) {
            const uint8_t *p = a + y * c->width + x;
            double weight = spread(p, c->width), best = HUGE_VAL;
            long move[2] = {0, 0};
            if (weight < 4)
                continue;
            for (long v = -REACH; v <= REACH; v++)
                for (long h = -REACH; h <= REACH; h++) {
                    if (x + h < 0 || y + v < 0 || x + h + BLOCK > c->width || y + v + BLOCK > c->height)
                        continue;
                    double d =
                        difference(p, b + (y + v) * c->width + x + h, c->width) + 0.02 * (double)(labs(h) + labs(v));
                    if (d < best) {
                        best = d;
                        move[0] = h;
                        move[1] = v;
                    }
                }
            sum[0] += weight * (double)move[0];
            sum[1] += weight * (double)move[1];
            sum[2] += weight;
        }
}

static int by_value(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The subject's move to the right in pixels a frame, 0 when nothing differs from the median; false: out of memory. */
static bool subject(const clip *c, double *slope)
{
    size_t plane = (size_t)c->width * (size_t)c->height, n = (size_t)c->frames;
    uint8_t *median = malloc(3 * plane), *sorted = malloc(n);
    double w = 0, t = 0, x = 0, tt = 0, tx = 0;
    if (median && sorted) {
        for (size_t i = 0; i < 3 * plane; i++) {
            for (size_t k = 0; k < n; k++)
                sorted[k] = c->pixels[k * 3 * plane + i];
            qsort(sorted, n, 1, by_value);
            median[i] = sorted[n / 2];
        }
        for (size_t k = 0; k < n; k++) {
            const uint8_t *frame = c->pixels + k * 3 * plane;
            for (size_t i = 0; i < plane; i++) {
                long d = -SUBJECT;
                for (size_t p = i; p < 3 * plane; p += plane)
                    d += labs((long)frame[p] - (long)median[p]);
                if (d <= 0)
                    continue;
                double m = (double)d, at = (double)(i % (size_t)c->width), when = (double)k;
                w += m;
                t += m * when;
                x += m * at;
                tt += m * when * when;
                tx += m * when * at;
            }
        }
    }
    bool good = median && sorted;
    free(median);
    free(sorted);
    double spread_t = tt * w - t * t;
    *slope = spread_t > 0 ? (tx * w - t * x) / spread_t : 0;
    return good;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        return complain("usage", "flow FILE [GAP]");
    long gap = argc == 3 ? strtol(argv[2], NULL, 10) : 2;
    clip c = {0};
    FILE *f = fopen(argv[1], "rb");
    if (!f)
        return complain(argv[1], "cannot be opened");
    const char *wrong = clip_read(&c, f);
    fclose(f);
    if (!wrong && (gap < 1 || c.frames <= gap))
        wrong = "too few frames";
    double sum[3] = {0, 0, 0};
    size_t plane = (size_t)c.width * (size_t)c.height;
    for (long i = 0; !wrong && i + gap < c.frames; i += gap)
        compare(&c, c.pixels + (size_t)i * 3 * plane, c.pixels + (size_t)(i + gap) * 3 * plane, sum);
    double slope = 0;
    if (!wrong && !subject(&c, &slope))
        wrong = "out of memory";
    free(c.pixels);
    if (wrong)
        return complain(argv[1], wrong);
    double scale = sum[2] > 0 ? 1 / (sum[2] * (double)gap) : 0;
    printf("%.3f %.3f %.3f %.3f\n", sum[0] * scale, sum[1] * scale, c.warmth / ((double)plane * (double)c.frames),
           slope);
    return 0;
}
