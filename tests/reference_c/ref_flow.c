/* ref_flow.c - see ref_flow.h. */
#include "ref_flow.h"

#include <math.h>
#include <string.h>

enum { REACH = 4, KEPT = 8, FILL_REACH = 16, SEARCH = 4, PATCH = 2 };
static const double EDGE = 30, EDGE_LEAST = 0.1, HUBER = 0.01, STEP = 0.35355339059327376; /* sqrt(1/8) */
static const double SEARCH_FAR = 0.01, SEARCH_GAIN = 0.02;
static const double FILL_COLOR = 1, FILL_DEVIATION = 0.05, FILL_FAR = 0.005;
static const double ONE_SIDE = 0.12, NO_SIDE = 0.5, DEVIATION = 0.02, AGREE = 1, FEW = 0.3, MANY = 0.5;

static long clampl(long x, long a, long b) { return x < a ? a : x > b ? b : x; }
static double clampd(double x, double a, double b) { return x < a ? a : x > b ? b : x; }

static double pixel(const double *p, struct ref_size s, long y, long x)
{
    return p[clampl(y, 0, (long)s.h - 1) * (long)s.w + clampl(x, 0, (long)s.w - 1)];
}

/* Between pixels, bilinearly; outside the nearest. */
static double at(const double *p, struct ref_size s, double y, double x)
{
    double fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    long iy = (long)fy, ix = (long)fx;
    return (pixel(p, s, iy, ix) * (1 - ax) + pixel(p, s, iy, ix + 1) * ax) * (1 - ay) +
           (pixel(p, s, iy + 1, ix) * (1 - ax) + pixel(p, s, iy + 1, ix + 1) * ax) * ay;
}

void ref_flow_luma(const uint8_t *bytes, struct ref_size s, double *plane)
{
    for (uint64_t i = 0; i < 2ull * s.h * s.w; i++)
        plane[i] = (0.299 * bytes[4 * i] + 0.587 * bytes[4 * i + 1] + 0.114 * bytes[4 * i + 2]) / 255;
}

void ref_flow_reduce(const double *plane, struct ref_size s, double *half)
{
    static const double k[5] = {1 / 16.0, 4 / 16.0, 6 / 16.0, 4 / 16.0, 1 / 16.0};
    uint32_t h = (s.h + 1) / 2, w = (s.w + 1) / 2;
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t y = 0; y < h; y++)
            for (uint32_t x = 0; x < w; x++) {
                double sum = 0;
                for (int j = 0; j < 5; j++)
                    for (int i = 0; i < 5; i++)
                        sum += k[j] * k[i] * pixel(plane + (uint64_t)n * s.h * s.w, s, 2l * y + j - 2, 2l * x + i - 2);
                half[((uint64_t)n * h + y) * w + x] = sum;
            }
}

void ref_flow_expand(const double *from, struct ref_size small, struct ref_size s, double *state)
{
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++)
                for (uint32_t c = 0; c < 8; c++) {
                    double *to = &state[(((uint64_t)n * s.h + y) * s.w + x) * 8 + c];
                    *to = 0;
                    if (!from)
                        continue;
                    long y0 = y / 2, x0 = x / 2, y1 = clampl(y0 + (y & 1), 0, small.h - 1),
                         x1 = clampl(x0 + (x & 1), 0, small.w - 1);
                    const double *p = from + (uint64_t)n * small.h * small.w * 8 + c;
                    double v = (p[(y0 * small.w + x0) * 8] + p[(y0 * small.w + x1) * 8] + p[(y1 * small.w + x0) * 8] +
                                p[(y1 * small.w + x1) * 8]) /
                               4;
                    *to = c < 4 ? 2 * v : v;
                }
}

static double median9(double *v)
{
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 9; j++)
            if (v[j] < v[i]) {
                double t = v[i];
                v[i] = v[j];
                v[j] = t;
            }
    return v[4];
}

void ref_flow_match(const double *plane, const double *state, struct ref_size s, double *match, double *out)
{
    for (uint32_t n = 0; n < 2; n++) {
        const double *here = plane + (uint64_t)n * s.h * s.w, *there = plane + (uint64_t)(1 - n) * s.h * s.w;
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                uint64_t i = ((uint64_t)n * s.h + y) * s.w + x;
                double flow[2], *m = match + 4 * i, *o = out + 8 * i;
                for (int c = 0; c < 2; c++) {
                    double v[9];
                    for (int k = 0; k < 9; k++) {
                        long yy = clampl((long)y + k / 3 - 1, 0, (long)s.h - 1), xx = clampl((long)x + k % 3 - 1, 0, (long)s.w - 1);
                        v[k] = state[(((uint64_t)n * s.h + (uint64_t)yy) * s.w + (uint64_t)xx) * 8 + (uint64_t)c];
                    }
                    flow[c] = median9(v);
                }
                double ty = y + flow[1], tx = x + flow[0];
                long ly = (long)y, lx = (long)x;
                double gx = (pixel(here, s, ly, lx + 1) - pixel(here, s, ly, lx - 1)) / 2;
                double gy = (pixel(here, s, ly + 1, lx) - pixel(here, s, ly - 1, lx)) / 2;
                double ix = 0.5 * gx + 0.25 * (at(there, s, ty, tx + 1) - at(there, s, ty, tx - 1));
                double iy = 0.5 * gy + 0.25 * (at(there, s, ty + 1, tx) - at(there, s, ty - 1, tx));
                int inside = ty >= 0 && tx >= 0 && ty <= s.h - 1 && tx <= s.w - 1;
                m[0] = inside ? ix : 0;
                m[1] = inside ? iy : 0;
                m[2] = inside ? at(there, s, ty, tx) - here[(uint64_t)y * s.w + x] - ix * flow[0] - iy * flow[1] : 0;
                m[3] = fmax(EDGE_LEAST, 1 / (1 + EDGE * (gx * gx + gy * gy)));
                memcpy(o, state + 8 * i, 8 * sizeof *o);
                o[0] = o[2] = flow[0];
                o[1] = o[3] = flow[1];
            }
    }
}

/* The dual variables of pixel (y, x) after their step, times the pixel's edge weight; outside zero. */
static void dual(const double *match, const double *state, struct ref_size s, long y, long x, double raw[4], double p[4])
{
    const double sigma = STEP;
    for (int c = 0; c < 4; c++)
        p[c] = raw[c] = 0;
    if (y < 0 || x < 0)
        return;
    const double *q = state + ((uint64_t)y * s.w + (uint64_t)x) * 8;
    double e = match[((uint64_t)y * s.w + (uint64_t)x) * 4 + 3];
    for (int c = 0; c < 2; c++) {
        double dx = x + 1 < (long)s.w ? q[8 + 2 + c] - q[2 + c] : 0;
        double dy = y + 1 < (long)s.h ? q[8 * (uint64_t)s.w + 2 + (uint64_t)c] - q[2 + c] : 0;
        double px = x + 1 < (long)s.w ? (q[4 + 2 * c] + sigma * e * dx) / (1 + sigma * HUBER) : 0;
        double py = y + 1 < (long)s.h ? (q[5 + 2 * c] + sigma * e * dy) / (1 + sigma * HUBER) : 0;
        double norm = fmax(1, sqrt(px * px + py * py));
        raw[2 * c] = px / norm;
        raw[2 * c + 1] = py / norm;
        p[2 * c] = e * raw[2 * c];
        p[2 * c + 1] = e * raw[2 * c + 1];
    }
}

void ref_flow_relax(const double *match, const double *state, struct ref_size s, double lambda, double *out)
{
    const double tau = STEP;
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                uint64_t base = (uint64_t)n * s.h * s.w, i = base + (uint64_t)y * s.w + x;
                const double *m = match + 4 * i, *q = state + 8 * i;
                double here[4], left[4], above[4], own[4], skip[4], u[2];
                dual(match + 4 * base, state + 8 * base, s, y, x, own, here);
                dual(match + 4 * base, state + 8 * base, s, y, (long)x - 1, skip, left);
                dual(match + 4 * base, state + 8 * base, s, (long)y - 1, x, skip, above);
                for (int c = 0; c < 2; c++)
                    u[c] = q[c] + tau * (here[2 * c] - left[2 * c] + here[2 * c + 1] - above[2 * c + 1]);
                double g = m[0] * m[0] + m[1] * m[1], rho = m[2] + m[0] * u[0] + m[1] * u[1];
                double step = g > 1e-12 ? clampd(-rho / g, -lambda * tau, lambda * tau) : 0;
                u[0] += step * m[0];
                u[1] += step * m[1];
                double *o = out + 8 * i;
                for (int c = 0; c < 2; c++) {
                    o[c] = u[c];
                    o[2 + c] = 2 * u[c] - q[c];
                }
                memcpy(o + 4, own, sizeof own);
            }
}

/* ---- frames between ---------------------------------------------------------------------------------------- */


struct pair {
    const uint8_t *bytes;
    const double *state;
    struct ref_size s;
};

static void flow_at(const double *state, struct ref_size s, uint32_t n, double y, double x, double u[2])
{
    y = clampd(y, 0, s.h - 1.0), x = clampd(x, 0, s.w - 1.0);
    double fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    long y0 = (long)fy, x0 = (long)fx, y1 = clampl(y0 + 1, 0, s.h - 1), x1 = clampl(x0 + 1, 0, s.w - 1);
    const double *p = state + (uint64_t)n * s.h * s.w * 8;
    for (int c = 0; c < 2; c++)
        u[c] = (p[(y0 * s.w + x0) * 8 + c] * (1 - ax) + p[(y0 * s.w + x1) * 8 + c] * ax) * (1 - ay) +
               (p[(y1 * s.w + x0) * 8 + c] * (1 - ax) + p[(y1 * s.w + x1) * 8 + c] * ax) * ay;
}

static double color_pixel(const struct pair *p, uint32_t n, long y, long x, uint32_t c)
{
    y = clampl(y, 0, p->s.h - 1), x = clampl(x, 0, p->s.w - 1);
    return p->bytes[(((uint64_t)n * p->s.h + (uint64_t)y) * p->s.w + (uint64_t)x) * 4 + c];
}

static double color_linear(const struct pair *p, uint32_t n, double y, double x, uint32_t c)
{
    double fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    long iy = (long)fy, ix = (long)fx;
    return (color_pixel(p, n, iy, ix, c) * (1 - ax) + color_pixel(p, n, iy, ix + 1, c) * ax) * (1 - ay) +
           (color_pixel(p, n, iy + 1, ix, c) * (1 - ax) + color_pixel(p, n, iy + 1, ix + 1, c) * ax) * ay;
}

/* Keys (1981), a = -1/2. */
static void cubic(double a, double w[4])
{
    w[0] = a * (-0.5 + a * (1 - 0.5 * a));
    w[1] = 1 + a * a * (-2.5 + 1.5 * a);
    w[2] = a * (0.5 + a * (2 - 1.5 * a));
    w[3] = a * a * (-0.5 + 0.5 * a);
}

static double color_cubic(const struct pair *p, uint32_t n, double y, double x, uint32_t c)
{
    double fy = floor(y), fx = floor(x), wy[4], wx[4], sum = 0;
    cubic(y - fy, wy);
    cubic(x - fx, wx);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            sum += wy[j] * wx[i] * color_pixel(p, n, (long)fy + j - 1, (long)fx + i - 1, c);
    return sum;
}


static int consistent(const double *state, struct ref_size s, uint32_t n, long y, long x)
{
    const double *f = state + (((uint64_t)n * s.h + (uint64_t)y) * s.w + (uint64_t)x) * 8;
    double ty = (double)y + f[1], tx = (double)x + f[0], b[2];
    if (ty < 0 || tx < 0 || ty > s.h - 1 || tx > s.w - 1)
        return 0;
    flow_at(state, s, 1 - n, ty, tx, b);
    double dx = f[0] + b[0], dy = f[1] + b[1];
    return dx * dx + dy * dy < 0.01 * (f[0] * f[0] + f[1] * f[1] + b[0] * b[0] + b[1] * b[1]) + 0.5;
}
void ref_flow_fill(const uint8_t *bytes, const double *state, struct ref_size s, const double *coarse, struct ref_size cs,
                   uint32_t factor, double *out)
{
    static const int dir[8][2] = {{0, 1}, {1, 1}, {1, 0}, {1, -1}, {0, -1}, {-1, -1}, {-1, 0}, {-1, 1}};
    const struct pair p = {bytes, state, s};
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                uint64_t i = ((uint64_t)n * s.h + y) * s.w + x;
                double mean[2], best = 1e30;
                memcpy(out + 8 * i, state + 8 * i, 8 * sizeof *out);
                out[8 * i + 2] = 1;
                if (consistent(state, s, n, y, x))
                    continue;
                out[8 * i + 2] = 0;
                flow_at(coarse, cs, n, (double)y / factor, (double)x / factor, mean);
                for (int d = 0; d < 8; d++)
                    for (int r = 1; r <= FILL_REACH; r++) {
                        long yy = (long)y + dir[d][0] * r, xx = (long)x + dir[d][1] * r;
                        if (yy < 0 || xx < 0 || yy >= (long)s.h || xx >= (long)s.w)
                            break;
                        if (!consistent(state, s, n, yy, xx))
                            continue;
                        const double *f = state + (((uint64_t)n * s.h + (uint64_t)yy) * s.w + (uint64_t)xx) * 8;
                        double diff = 0, dev = hypot(f[0] - mean[0] * factor, f[1] - mean[1] * factor);
                        for (uint32_t c = 0; c < 3; c++)
                            diff += fabs(color_pixel(&p, n, y, x, c) - color_pixel(&p, n, yy, xx, c)) / 765;
                        double cost = FILL_COLOR * diff + FILL_DEVIATION * fmin(dev, 8) / 8 + FILL_FAR * r;
                        if (cost < best)
                            best = cost, out[8 * i] = f[0], out[8 * i + 1] = f[1];
                        break;
                    }
            }
}

static double agreement(const struct pair *p, uint32_t n, double y, double x, double uy, double ux)
{
    double f[2];
    if (y < 0 || x < 0 || y > p->s.h - 1 || x > p->s.w - 1)
        return 0;
    flow_at(p->state, p->s, n, y, x, f);
    double d = ((f[0] - ux) * (f[0] - ux) + (f[1] - uy) * (f[1] - uy)) / AGREE;
    return 1 / (1 + d * d);
}

struct motion {
    double x, y, off;
};

static void offer(struct motion *list, int *count, struct motion m)
{
    for (int i = 0; i < *count; i++) {
        double dx = list[i].x - m.x, dy = list[i].y - m.y;
        if (dx * dx + dy * dy < 0.5625) {
            if (m.off < list[i].off)
                list[i] = m;
            return;
        }
    }
    if (*count < KEPT)
        list[(*count)++] = m;
}

static double difference(const struct pair *p, double y0, double x0, double y1, double x1)
{
    static const int dy[5] = {0, -1, 1, 0, 0}, dx[5] = {0, 0, 0, -1, 1};
    double sum = 0;
    for (int k = 0; k < 5; k++)
        for (uint32_t c = 0; c < 3; c++)
            sum += fabs(color_linear(p, 0, y0 + dy[k], x0 + dx[k], c) - color_linear(p, 1, y1 + dy[k], x1 + dx[k], c));
    return sum / (15 * 255);
}

/* What a motion costs, and whether it is seen in either picture. */
static double cost_of(const struct pair *p, double t, double y, double x, const double mean[2], struct motion m, double v[2])
{
    const double y0 = y - t * m.y, x0 = x - t * m.x, y1 = y + (1 - t) * m.y, x1 = x + (1 - t) * m.x;
    v[0] = agreement(p, 0, y0, x0, m.y, m.x), v[1] = agreement(p, 1, y1, x1, -m.y, -m.x);
    double both = v[0] * v[1], dev = hypot(m.x - mean[0], m.y - mean[1]);
    return both * difference(p, y0, x0, y1, x1) + (1 - both) * ONE_SIDE + (1 - v[0]) * (1 - v[1]) * NO_SIDE -
           DEVIATION * fmin(dev, 8) / 8;
}

/* The motion that passes through a pixel at t, and the share of pixels around that are confirmed. */
static void choose(const struct pair *p, const double *coarse, struct ref_size cs, uint32_t factor, double t, uint32_t y,
                   uint32_t x, double out[3])
{
    struct motion list[KEPT];
    int count = 0;
    double f[2], mean[2], step = fmax(2, ceil(fmax(p->s.h, p->s.w) / 64.0)), best = 1e30;
    struct motion chosen = {0};
    int seen = 0, confirmed = 0;
    for (uint32_t n = 0; n < 2; n++) {
        double ahead = n ? 1 - t : t, sign = n ? -1 : 1; /* a pixel of picture n lands at itself + ahead * flow */
        flow_at(p->state, p->s, n, y, x, f);
        for (int k = 0; k < 3; k++)
            flow_at(p->state, p->s, n, y - ahead * f[1], x - ahead * f[0], f);
        offer(list, &count, (struct motion){sign * f[0], sign * f[1], 0});
    }
    for (uint32_t n = 0; n < 2; n++) {
        double ahead = n ? 1 - t : t, sign = n ? -1 : 1;
        for (int j = -REACH; j <= REACH; j++)
            for (int i = -REACH; i <= REACH; i++) {
                double py = y + j * step, px = x + i * step;
                if (py < 0 || px < 0 || py > p->s.h - 1 || px > p->s.w - 1)
                    continue;
                flow_at(p->state, p->s, n, py, px, f);
                if (py + f[1] >= 0 && px + f[0] >= 0 && py + f[1] <= p->s.h - 1 && px + f[0] <= p->s.w - 1) {
                    seen++;
                    confirmed += p->state[(((uint64_t)n * p->s.h + (uint64_t)py) * p->s.w + (uint64_t)px) * 8 + 2] > 0;
                }
                double oy = py + ahead * f[1] - y, ox = px + ahead * f[0] - x, off = fmax(fabs(oy), fabs(ox));
                if (off <= step)
                    offer(list, &count, (struct motion){sign * f[0], sign * f[1], off});
            }
    }
    flow_at(coarse, cs, 0, (double)y / factor, (double)x / factor, mean);
    mean[0] *= factor, mean[1] *= factor;
    for (int k = 0; k < count; k++) {
        struct motion m = list[k];
        double v[2];
        for (uint32_t n = 0; n < 2; n++) { /* the flow where the motion comes from, and where it goes to, if it is the same */
            double ahead = n ? 1 - t : t, sign = n ? -1 : 1;
            flow_at(p->state, p->s, n, y - sign * ahead * m.y, x - sign * ahead * m.x, f);
            double dx = sign * f[0] - m.x, dy = sign * f[1] - m.y;
            if (dx * dx + dy * dy < 2.25)
                m.x = sign * f[0], m.y = sign * f[1];
        }
        double cost = cost_of(p, t, y, x, mean, m, v);
        if (cost < best) {
            best = cost;
            chosen = m;
        }
    }
    out[0] = chosen.x;
    out[1] = chosen.y;
    out[2] = (double)confirmed / (seen ? seen : 1);
}

void ref_between_choose(const uint8_t *bytes, const double *state, struct ref_size s, const double *coarse, struct ref_size cs,
                        uint32_t factor, uint32_t n, double *paths)
{
    const struct pair p = {bytes, state, s};
    for (uint32_t i = 0; i + 1 < n; i++)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++, paths += 4) {
                choose(&p, coarse, cs, factor, (i + 1.0) / n, y, x, paths);
                paths[3] = 0;
            }
}

void ref_flow_usual(const double *motion, struct ref_size s, uint32_t n, int reach, double *out)
{
    for (uint32_t i = 0; i < n; i++, motion += 4ull * s.h * s.w)
        for (long y = 0; y < (long)s.h; y++)
            for (long x = 0; x < (long)s.w; x++, out += 4) {
                const double *all[25];
                int count = 0;
                double best = 1e30;
                for (long yy = y - reach; yy <= y + reach; yy++)
                    for (long xx = x - reach; xx <= x + reach; xx++)
                        all[count++] = &motion[(clampl(yy, 0, (long)s.h - 1) * (long)s.w + clampl(xx, 0, (long)s.w - 1)) * 4];
                memcpy(out, &motion[(y * (long)s.w + x) * 4], 4 * sizeof *out);
                for (int k = 0; k < count; k++) {
                    double sum = 0;
                    for (int e = 0; e < count; e++)
                        sum += fabs(all[k][0] - all[e][0]) + fabs(all[k][1] - all[e][1]);
                    if (sum < best)
                        best = sum, out[0] = all[k][0], out[1] = all[k][1];
                }
            }
}

void ref_between(const uint8_t *bytes, const double *state, struct ref_size s, const double *paths, uint32_t n, double *out)
{
    const struct pair p = {bytes, state, s};
    for (uint32_t i = 0; i + 1 < n; i++, paths += 4ull * s.h * s.w)
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                const double t = (i + 1.0) / n;
                const double *path = &paths[((uint64_t)y * s.w + x) * 4];
                const struct motion m = {.x = path[0], .y = path[1]};
                double v[2], same[2] = {m.x, m.y}, cost = cost_of(&p, t, y, x, same, m, v);
                double w0 = (1 - t) * (v[0] + 1e-3), w1 = t * (v[1] + 1e-3), share = w1 / (w0 + w1);
                double trust = clampd((2.5 * ONE_SIDE - cost) / ONE_SIDE, 0, 1) *
                               clampd((path[2] - FEW) / (MANY - FEW), 0, 1);
                for (uint32_t c = 0; c < 3; c++) {
                    double a = color_cubic(&p, 0, y - t * m.y, x - t * m.x, c),
                           b = color_cubic(&p, 1, y + (1 - t) * m.y, x + (1 - t) * m.x, c);
                    double along = clampd(a + share * (b - a), 0, 255);
                    double a0 = color_pixel(&p, 0, y, x, c), b0 = color_pixel(&p, 1, y, x, c), plain = a0 + t * (b0 - a0);
                    *out++ = plain + trust * (along - plain);
                }
                *out++ = 255;
            }
}

/* ---- search ------------------------------------------------------------------------------------------------ */

static double patch_difference(const double *here, const double *there, struct ref_size s, long y, long x, double ty, double tx)
{
    double sum = 0;
    for (int a = -PATCH; a <= PATCH; a++)
        for (int b = -PATCH; b <= PATCH; b++)
            sum += fabs(at(there, s, ty + a, tx + b) - pixel(here, s, y + a, x + b));
    return sum / ((2 * PATCH + 1) * (2 * PATCH + 1));
}

void ref_flow_search(const double *plane, const double *state, struct ref_size s, double *out)
{
    for (uint32_t n = 0; n < 2; n++) {
        const double *here = plane + (uint64_t)n * s.h * s.w, *there = plane + (uint64_t)(1 - n) * s.h * s.w;
        for (uint32_t y = 0; y < s.h; y++)
            for (uint32_t x = 0; x < s.w; x++) {
                uint64_t i = ((uint64_t)n * s.h + y) * s.w + x;
                double u = state[8 * i], v = state[8 * i + 1], best = 1e30, ty = 0, tx = 0;
                double now = patch_difference(here, there, s, (long)y, (long)x, y + v, x + u);
                memcpy(out + 8 * i, state + 8 * i, 8 * sizeof *out);
                if (now <= SEARCH_GAIN)
                    continue;
                for (int j = -SEARCH; j <= SEARCH; j++)
                    for (int k = -SEARCH; k <= SEARCH; k++) {
                        double cy = y + rint(v) + j, cx = x + rint(u) + k;
                        if (cy < 0 || cx < 0 || cy > s.h - 1 || cx > s.w - 1)
                            continue;
                        double cost = patch_difference(here, there, s, (long)y, (long)x, cy, cx) +
                                      SEARCH_FAR / (double)SEARCH * sqrt(j * j + k * k);
                        if (cost < best)
                            best = cost, ty = cy, tx = cx;
                    }
                if (best < now - SEARCH_GAIN) {
                    out[8 * i] = out[8 * i + 2] = tx - x;
                    out[8 * i + 1] = out[8 * i + 3] = ty - y;
                }
            }
    }
}
