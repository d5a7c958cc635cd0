/* resample.c - 8-bit RGB pictures of another size.
 *
 * A filter of support s is laid over every output pixel's middle, s * scale wide where the picture becomes smaller, cut off at
 * the edges and brought to a sum of 1.  Its weights are rounded to 22 bits behind the point; sums are whole numbers and are
 * rounded to 8 bits after the rows and again after the columns.  So does Pillow, whose bits these are, but that its version 13
 * takes the columns first where that is less work.  Only what is looked at is computed: of a picture of which a slice is cut
 * out, the slice. */
#include "media/pictures.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BITS = 22 };

/* ---- kernels ------------------------------------------------------------------------------------------------------ */

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return fabs(x) > 0 ? sin(pi * x) / (pi * x) : 1;
}

static double support_of(enum vka_filter filter)
{
    switch (filter) {
    case VKA_FILTER_LANCZOS:
        return 3;
    case VKA_FILTER_BICUBIC:
        return 2;
    case VKA_FILTER_BILINEAR:
        return 1;
    case VKA_FILTER_BOX:
        break;
    }
    return 0.5;
}

static double kernel(enum vka_filter filter, double x)
{
    const double a = -0.5;
    double d = fabs(x);
    switch (filter) {
    case VKA_FILTER_LANCZOS:
        return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case VKA_FILTER_BICUBIC: /* Keys 1981 */
        if (d < 1)
            return ((a + 2) * d - (a + 3)) * d * d + 1;
        return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    case VKA_FILTER_BILINEAR:
        return d < 1 ? 1 - d : 0;
    case VKA_FILTER_BOX:
        break;
    }
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

/* ---- one axis ------------------------------------------------------------------------------------------------------ */

/* Outputs first .. first + count - 1 of an axis that goes from `in` to `scaled` pixels. */
struct axis {
    uint32_t count, taps;
    uint32_t *from, *used; /* [count] the first input and how many */
    int32_t *weight;       /* [count][taps] */
    bool same;             /* inputs are outputs */
};

static void axis_free(struct axis *a)
{
    free(a->from);
    free(a->used);
    free(a->weight);
}

static bool axis_make(struct axis *a, uint32_t in, uint32_t scaled, uint32_t first, uint32_t count, enum vka_filter filter)
{
    double scale = (double)in / scaled, wide = scale > 1 ? scale : 1, support = support_of(filter) * wide;
    uint32_t taps = 2 * (uint32_t)ceil(support) + 1;
    *a = (struct axis){.count = count, .taps = taps, .same = in == scaled};
    a->from = vka_calloc(count, sizeof *a->from);
    a->used = vka_calloc(count, sizeof *a->used);
    a->weight = vka_calloc((size_t)count * taps, sizeof *a->weight);
    double *w = vka_calloc(taps, sizeof *w);
    if (!a->from || !a->used || !a->weight || !w) {
        free(w);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        double middle = ((double)first + i + 0.5) * scale, sum = 0;
        double low = middle - support + 0.5, high = middle + support + 0.5;
        uint32_t from = low > 0 ? (uint32_t)low : 0, to = high < in ? (uint32_t)high : in;
        uint32_t n = to - from < taps ? to - from : taps;
        a->from[i] = from;
        a->used[i] = n;
        for (uint32_t k = 0; k < n; k++) {
            w[k] = kernel(filter, (from + k - middle + 0.5) / wide);
            sum += w[k];
        }
        for (uint32_t k = 0; k < n; k++) {
            double v = (fabs(sum) > 0 ? w[k] / sum : w[k]) * (1 << WEIGHT_BITS);
            a->weight[(size_t)i * taps + k] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
        }
    }
    free(w);
    return true;
}

static uint8_t rounded(int32_t sum)
{
    return sum < 0 ? 0 : sum >> WEIGHT_BITS > 255 ? 255 : (uint8_t)(sum >> WEIGHT_BITS);
}

/* rows of `in` [rows][width] -> [rows][a->count] */
static void along_rows(const struct axis *a, uint32_t first, const uint8_t *in, uint32_t width, uint32_t rows, uint8_t *out)
{
    for (uint32_t y = 0; y < rows; y++) {
        const uint8_t *line = in + (size_t)y * width * 3;
        uint8_t *to = out + (size_t)y * a->count * 3;
        if (a->same) {
            memcpy(to, line + (size_t)first * 3, (size_t)a->count * 3);
            continue;
        }
        for (uint32_t x = 0; x < a->count; x++) {
            const uint8_t *p = line + (size_t)a->from[x] * 3;
            const int32_t *w = a->weight + (size_t)x * a->taps;
            int32_t r = 1 << (WEIGHT_BITS - 1), g = r, b = r;
            for (uint32_t k = 0; k < a->used[x]; k++, p += 3) {
                r += w[k] * p[0];
                g += w[k] * p[1];
                b += w[k] * p[2];
            }
            to[3 * x] = rounded(r), to[3 * x + 1] = rounded(g), to[3 * x + 2] = rounded(b);
        }
    }
}

/* One row of the result, [bytes], from rows that begin with number `base`. */
static void along_columns(const struct axis *a, uint32_t row, const uint8_t *in, uint32_t base, size_t bytes, uint8_t *out)
{
    const int32_t *w = a->weight + (size_t)row * a->taps;
    const uint8_t *p = in + (a->from[row] - base) * bytes;
    for (size_t i = 0; i < bytes; i++) {
        int32_t sum = 1 << (WEIGHT_BITS - 1);
        for (uint32_t k = 0; k < a->used[row]; k++)
            sum += w[k] * p[k * bytes + i];
        out[i] = rounded(sum);
    }
}

/* ---- pictures ------------------------------------------------------------------------------------------------------- */

/* What becomes of a side: scaled to `scaled`, of which `count` pixels from `first` on go to `at`. */
struct side {
    uint32_t scaled, first, count, at;
};

static struct side side_of(uint32_t scaled, uint32_t wanted)
{
    struct side s = {.scaled = scaled ? scaled : 1};
    if (s.scaled >= wanted) {
        s.first = s.scaled / 2 - wanted / 2;
        s.count = wanted;
    } else {
        s.at = wanted / 2 - s.scaled / 2;
        s.count = s.scaled;
    }
    return s;
}

/* The scaled size is rounded down, as A1111 rounds it; the middle is that of the halves rounded down. */
static void decide_sides(uint32_t w, uint32_t h, uint32_t ow, uint32_t oh, enum vka_resize resize, struct side *x, struct side *y)
{
    bool wider = (uint64_t)w * oh >= (uint64_t)ow * h; /* than what is wanted */
    uint32_t sw = ow, sh = oh;
    if (resize != VKA_RESIZE_STRETCH) {
        bool by_height = wider == (resize == VKA_RESIZE_CROP);
        uint64_t scaled = by_height ? (uint64_t)w * oh / h : (uint64_t)h * ow / w;
        if (by_height)
            sw = scaled > UINT32_MAX ? UINT32_MAX : (uint32_t)scaled;
        else
            sh = scaled > UINT32_MAX ? UINT32_MAX : (uint32_t)scaled;
    }
    *x = side_of(sw, ow);
    *y = side_of(sh, oh);
}

vka_status vka_picture_resize(const uint8_t *in, uint32_t width, uint32_t height, uint8_t *out, uint32_t out_width,
                              uint32_t out_height, enum vka_resize resize, enum vka_filter filter, vka_error *err)
{
    struct side x, y;
    struct axis ax = {0}, ay = {0};
    uint8_t *mid = NULL;
    decide_sides(width, height, out_width, out_height, resize, &x, &y);
    bool good = axis_make(&ax, width, x.scaled, x.first, x.count, filter) &&
                axis_make(&ay, height, y.scaled, y.first, y.count, filter);
    if (good) { /* the rows that columns look at; a copied row looks at itself */
        for (uint32_t i = 0; ay.same && i < ay.count; i++)
            ay.from[i] = y.first + i, ay.used[i] = 1;
        uint32_t base = ay.from[0], rows = ay.from[ay.count - 1] + ay.used[ay.count - 1] - base;
        size_t line = (size_t)x.count * 3;
        mid = vka_calloc(rows, line);
        good = mid != NULL;
        if (good) {
            if (x.count < out_width || y.count < out_height)
                memset(out, 0, (size_t)out_width * out_height * 3);
            along_rows(&ax, x.first, in + (size_t)base * width * 3, width, rows, mid);
            for (uint32_t i = 0; i < y.count; i++) {
                uint8_t *to = out + ((size_t)(y.at + i) * out_width + x.at) * 3;
                if (ay.same)
                    memcpy(to, mid + (size_t)(ay.from[i] - base) * line, line);
                else
                    along_columns(&ay, i, mid, base, line, to);
            }
        }
    }
    free(mid);
    axis_free(&ax);
    axis_free(&ay);
    return good ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory scaling a picture of %u x %u", width, height);
}
