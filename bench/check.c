/* check.c - see check.h.  Each operator has one function here that computes elements of one pixel the long way; what it
 * means is taken from tests/reference_c, which does the same for whole tensors. */
#include "check.h"

#include "base/half.h"
#include "ops/describe.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "ops/pack.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = 24, CHANNELS = 16, GROUPS = 2 };

struct checking {
    const struct bench_check *c;
    const struct vka_graph *g;
    const struct vka_node *node;    /* the last: its outputs are looked at */
    const struct vka_node *product; /* the first */
    vka_tensor in[VKA_NODE_INPUTS]; /* of the piece of work as a whole */
    struct bench_verdict *v;
    uint64_t random;
    float *got;      /* a pixel of the output */
    vka_arena arena; /* until the end */
    bool failed;     /* out of memory */
};

static void object(struct checking *k, const char *fmt, ...) VKA_PRINTF(2, 3);
static void object(struct checking *k, const char *fmt, ...)
{
    va_list ap;
    k->v->passed = false;
    if (k->v->why[0])
        return;
    va_start(ap, fmt);
    vsnprintf(k->v->why, sizeof k->v->why, fmt, ap);
    va_end(ap);
}

static uint32_t draw(struct checking *k, uint32_t below)
{
    k->random = k->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((k->random >> 33) % below);
}

/* Element `channel` of the pixel at hand is `want`; `magnitude` as in check.h. */
static void expect(struct checking *k, uint32_t sample, uint32_t pixel, uint32_t channel, double want, double magnitude)
{
    double got = (double)k->got[channel], error = fabs(got - want), scale = fabs(want) + magnitude;
    double e = error == 0 ? 0 : error / scale;
    k->v->elements++;
    if (!(e <= k->v->worst)) /* NaN is worse than anything */
        k->v->worst = e;
    if (!(e <= k->v->tolerance))
        object(k, "sample %u, pixel %u, channel %u is %.7g, should be %.7g", sample, pixel, channel, got, want);
}

static void *room(struct checking *k, size_t count, size_t size)
{
    void *p = vka_arena_alloc(&k->arena, count * size + 1);
    k->failed = k->failed || !p;
    return p;
}

/* Channels first .. of a pixel of an input, or of a table of weights. */
static void fetch(struct checking *k, vka_tensor t, uint32_t sample, uint32_t pixel, uint32_t first, uint32_t count,
                  double *out)
{
    const struct vka_tensor_info *info = vka_info(k->g, t);
    if (info->role != VKA_WEIGHT) {
        bench_data_row(k->c->pool, &k->c->fill[t.id], info, sample, pixel, first, count, out);
        return;
    }
    const struct vka_weight_recipe *r = info->recipe;
    const struct vka_weight_data *w = &r->source[0];
    uint64_t columns = w->rank ? w->dims[w->rank - 1] : 1;
    for (uint32_t i = 0; i < count; i++) {
        float v = 0;
        if (first + i < columns)
            r->from->to_f32(r->from->user, w, pixel * columns + first + i, 1, &v);
        out[i] = (double)v;
    }
}

/* A whole table of weights, as [rows * columns]. */
static float *table(struct checking *k, vka_tensor t)
{
    const struct vka_weight_recipe *r = vka_info(k->g, t)->recipe;
    const struct vka_weight_data *w = &r->source[0];
    uint64_t count = 1;
    for (uint32_t i = 0; i < w->rank; i++)
        count *= w->dims[i];
    float *out = room(k, count, sizeof *out);
    if (out)
        r->from->to_f32(r->from->user, w, 0, count, out);
    return out;
}

static double activate(uint32_t act, double x)
{
    switch (act) {
    case VKA_ACT_SILU:
        return x / (1 + exp(-x));
    case VKA_ACT_GELU:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case VKA_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

/* ---- what is looked at ------------------------------------------------------------------------------------ */

/* Number i of the pixels. */
static void pick(struct checking *k, uint32_t i, uint32_t *sample, uint32_t *pixel)
{
    const struct vka_tensor_info *out = vka_info(k->g, k->node->out[0]);
    uint32_t pixels = out->h * out->w;
    const uint32_t corner[4] = {0, out->w - 1, pixels - out->w, pixels - 1};
    *sample = i < 4 ? 0 : i < 8 ? out->n - 1 : draw(k, out->n);
    *pixel = i < 8 ? corner[i % 4] : draw(k, pixels);
}

/* Number i of the channels: the first, the last, drawn ones. */
static uint32_t pick_channel(struct checking *k, uint32_t i, uint32_t channels)
{
    return channels <= CHANNELS ? i : i == 0 ? 0 : i == 1 ? channels - 1 : draw(k, channels);
}

/* ---- linear layers and convolutions ----------------------------------------------------------------------- */

struct product {
    const struct vka_matmul_params *p;
    struct vka_pack_matrix m;
    const struct vka_weight_recipe *weight, *bias;
    bool half;                             /* weights are rounded to fp16 */
    uint32_t k0, k1;                       /* length of a row of the first weight, and of the shortcut's */
    double *x0, *x1, *row;                 /* the inputs in the order of those rows; one input pixel */
    float *w, *all_bias[VKA_LINEAR_SIDES]; /* a row of a weight; biases by source, or NULL */
};

/* Channels of input pixel `pixel` of x (or x and x2), after norm and activation, to every `step`-th place of out. */
static void load_input(struct checking *k, const struct product *q, uint32_t sample, uint32_t pixel, uint32_t step,
                       double *out)
{
    const vka_tensor *in = k->in;
    uint32_t c2 = q->p->kernel ? 0 : q->m.c2, c = q->m.c1 + c2, pitch = vka_info(k->g, in[VKA_MATMUL_X])->pitch;
    fetch(k, in[VKA_MATMUL_X], sample, pixel, 0, pitch, q->row);
    for (uint32_t i = 0; i < q->m.c1; i++) {
        uint32_t width = q->m.heads_in ? q->m.c1 / q->m.heads_in : 1;
        out[(size_t)i * step] = q->row[q->m.heads_in ? i / width * vka_pitch(width) + i % width : i];
    }
    if (c2) {
        fetch(k, in[VKA_MATMUL_X2], sample, pixel, 0, c2, q->row);
        for (uint32_t i = 0; i < c2; i++)
            out[(size_t)(q->m.c1 + i) * step] = q->row[i];
    }
    if (in[VKA_MATMUL_NORM].id) {
        const struct vka_tensor_info *norm = vka_info(k->g, in[VKA_MATMUL_NORM]);
        fetch(k, in[VKA_MATMUL_NORM], norm->n > 1 ? sample : 0, 0, 0, norm->c, q->row);
        for (uint32_t i = 0; i < c; i++)
            out[(size_t)i * step] = out[(size_t)i * step] * q->row[i] + q->row[norm->c / 2 + i];
    }
    for (uint32_t i = 0; q->p->act_in == VKA_ACT_SILU && i < c; i++)
        out[(size_t)i * step] = activate(VKA_ACT_SILU, out[(size_t)i * step]);
}

/* All inputs of one output pixel. */
static void gather(struct checking *k, const struct product *q, uint32_t sample, uint32_t pixel)
{
    const struct vka_matmul_params *p = q->p;
    const struct vka_tensor_info *x = vka_info(k->g, k->in[VKA_MATMUL_X]), *out = vka_info(k->g, k->node->out[0]);
    if (!p->kernel) {
        load_input(k, q, sample, pixel, 1, q->x0);
        return;
    }
    uint32_t taps = p->kernel * p->kernel;
    for (uint32_t tap = 0; tap < taps; tap++) {
        int64_t row = (int64_t)(pixel / out->w) * p->stride + tap / p->kernel - p->pad_top;
        int64_t column = (int64_t)(pixel % out->w) * p->stride + tap % p->kernel - p->pad_left;
        if (row >= 0 && column >= 0 && row < (int64_t)p->up_h && column < (int64_t)p->up_w) {
            uint64_t from = (uint64_t)row * x->h / p->up_h * x->w + (uint64_t)column * x->w / p->up_w;
            load_input(k, q, sample, (uint32_t)from, taps, q->x0 + tap);
        } else {
            for (uint32_t c = 0; c < q->m.c1; c++)
                q->x0[(size_t)c * taps + tap] = 0;
        }
    }
    if (q->m.e1)
        fetch(k, k->in[VKA_MATMUL_X2], sample, pixel, 0, q->m.e1, q->x1);
    if (q->m.e2)
        fetch(k, k->in[VKA_MATMUL_X3], sample, pixel, 0, q->m.e2, q->x1 + q->m.e1);
}

static void add_products(const struct product *q, uint32_t source, uint32_t row, const double *x, uint32_t count,
                         double *sum, double *squares)
{
    const struct vka_weight_recipe *r = q->weight;
    r->from->to_f32(r->from->user, &r->source[source], (uint64_t)row * count, count, q->w);
    for (uint32_t i = 0; i < count; i++) {
        double w = q->half ? (double)vka_half_to_float(vka_float_to_half(q->w[i])) : (double)q->w[i], t = x[i] * w;
        *sum += t;
        *squares += t * t;
    }
}

/* Row `row` of source `source` before the activation; `at` is its place among the biases of samples and frames. */
static double one_sum(struct checking *k, const struct product *q, uint32_t sample, uint32_t source, uint32_t row,
                      uint32_t at, double *squares)
{
    double sum = 0, t;
    *squares = 0;
    add_products(q, source, row, q->x0, q->k0, &sum, squares);
    if (q->m.e1)
        add_products(q, 1, row, q->x1, q->k1, &sum, squares);
    for (uint32_t s = 0; s < q->weight->sources; s++)
        if (q->all_bias[s] && (s == source || q->m.e1)) {
            sum += t = (double)q->all_bias[s][row];
            *squares += t * t;
        }
    vka_tensor bias = k->in[VKA_MATMUL_SAMPLE_BIAS];
    if (bias.id) {
        const struct vka_tensor_info *info = vka_info(k->g, bias);
        uint32_t frame = sample % k->g->frames;
        fetch(k, bias,
              q->p->frame_bias ? 0
              : info->n > 1    ? sample
                               : 0,
              q->p->frame_bias ? frame : 0, q->p->bias_channel + at, 1, &t);
        sum += t;
        *squares += t * t;
    }
    return sum;
}

static uint32_t rows_of(const struct product *q, uint32_t source)
{
    return q->m.rows ? q->m.rows : (uint32_t)q->weight->source[source].dims[0];
}

/* Which row of which weight an output channel is; false for a pad. */
static bool find_row(const struct product *q, uint32_t channel, uint32_t *source, uint32_t *row)
{
    const struct vka_pack_matrix *m = &q->m;
    uint32_t first = 0, last = m->e1 ? 1 : q->weight->sources;
    for (uint32_t i = 0; i < last; i++) {
        uint32_t width = m->heads_out ? m->rows / m->heads_out : rows_of(q, i);
        uint32_t columns = m->rows ? vka_pack_columns(m) : vka_pitch(width);
        if (channel < first + columns) {
            uint32_t slot = (channel - first) / vka_pitch(width), in = (channel - first) % vka_pitch(width);
            *source = i;
            *row = slot * width + in;
            return in < width;
        }
        first += columns;
    }
    return false;
}

static void matmul_element(struct checking *k, const struct product *q, uint32_t sample, uint32_t pixel,
                           uint32_t channel)
{
    const struct vka_pack_matrix *m = &q->m;
    double want, squares, gate_squares;
    if (q->p->act == VKA_ACT_GEGLU) {
        double a = one_sum(k, q, sample, 0, channel, channel, &squares);
        double gate = one_sum(k, q, sample, 0, m->rows / 2 + channel, m->rows / 2 + channel, &gate_squares);
        double g = activate(VKA_ACT_GELU, gate);
        want = a * g;
        squares = squares * g * g + gate_squares * a * a;
    } else {
        uint32_t source = 0, row = 0;
        if (!find_row(q, channel, &source, &row)) { /* a pad between heads or layers */
            expect(k, sample, pixel, channel, 0, 0);
            return;
        }
        want = activate(q->p->act, one_sum(k, q, sample, source, row, channel, &squares));
    }
    if (k->in[VKA_MATMUL_ADD].id) {
        double t;
        fetch(k, k->in[VKA_MATMUL_ADD], sample, pixel, channel, 1, &t);
        want += t;
        squares += t * t;
    }
    expect(k, sample, pixel, channel, want, sqrt(squares));
}

static bool begin_product(struct checking *k, struct product *q)
{
    const struct vka_tensor_info *weight = vka_info(k->g, k->in[VKA_MATMUL_WEIGHT]);
    *q = (struct product){.p = vka_matmul_of(k->node),
                          .weight = weight->recipe,
                          .bias = k->in[VKA_MATMUL_BIAS].id ? vka_info(k->g, k->in[VKA_MATMUL_BIAS])->recipe : NULL,
                          .half = weight->dtype == VKA_F16};
    memcpy(&q->m, q->weight->p, sizeof q->m);
    if (q->weight->kind != VKA_PACK_MATRIX || q->weight->sources > VKA_LINEAR_SIDES) {
        object(k, "this form of product is not known to the check");
        return false;
    }
    q->k0 = (q->m.c1 + q->m.c2) * q->m.taps;
    q->k1 = q->m.e1 + q->m.e2;
    uint32_t widest = q->k0 + q->k1;
    for (uint32_t i = 0; i < VKA_NODE_INPUTS; i++)
        if (k->in[i].id && vka_info(k->g, k->in[i])->role != VKA_WEIGHT)
            widest = vka_max_u32(widest, vka_info(k->g, k->in[i])->pitch);
    widest = vka_max_u32(widest, vka_info(k->g, k->in[VKA_MATMUL_X])->pitch);
    q->x0 = room(k, q->k0, sizeof *q->x0);
    q->x1 = room(k, q->k1, sizeof *q->x1);
    q->row = room(k, widest, sizeof *q->row);
    q->w = room(k, widest, sizeof *q->w);
    struct vka_pack_matrix bias = {0};
    if (q->bias)
        memcpy(&bias, q->bias->p, sizeof bias);
    for (uint32_t s = 0, have = 0; s < q->weight->sources && !k->failed; s++)
        if (bias.present >> s & 1) {
            q->all_bias[s] = room(k, rows_of(q, s), sizeof(float));
            if (q->all_bias[s])
                q->bias->from->to_f32(q->bias->from->user, &q->bias->source[have++], 0, rows_of(q, s), q->all_bias[s]);
        }
    return !k->failed;
}

/* ---- attention -------------------------------------------------------------------------------------------- */

static void attention_head(struct checking *k, const struct vka_attention_facts *f, uint32_t sample, uint32_t pixel,
                           uint32_t head)
{
    const vka_tensor *in = k->in;
    const struct vka_tensor_info *keys = vka_info(k->g, in[1]);
    bool temporal = f->kind == VKA_ATTENTION_TEMPORAL, cross = f->kind == VKA_ATTENTION_CROSS;
    uint32_t d = f->head_dim, slot = vka_pitch(d), frames = k->g->frames, at = head * slot;
    uint32_t tokens = temporal ? frames : keys->h * keys->w, first = sample / frames * frames, from = sample;
    uint32_t position = temporal ? sample - first : pixel;
    double *q = room(k, d, sizeof *q), *row = room(k, d, sizeof *row), *score = room(k, tokens, sizeof *score);
    double *sum = room(k, d, sizeof *sum), *squares = room(k, d, sizeof *squares), largest = -HUGE_VAL, weight = 0;
    if (k->failed)
        return;
    if (cross) {
        double index;
        fetch(k, in[3], sample, 0, 0, 1, &index);
        from = (uint32_t)index;
    }
    fetch(k, in[0], sample, pixel, f->q_channel + at, d, q);
    uint32_t seen = f->causal ? position + 1 : tokens;
    for (uint32_t t = 0; t < seen; t++) {
        fetch(k, in[1], temporal ? first + t : from, temporal ? pixel : t, f->k_channel + at, d, row);
        score[t] = 0;
        for (uint32_t i = 0; i < d; i++)
            score[t] += q[i] * row[i];
        score[t] *= (double)f->scale;
        largest = fmax(largest, score[t]);
    }
    for (uint32_t t = 0; t < seen; t++)
        weight += score[t] = exp(score[t] - largest);
    for (uint32_t t = 0; t < seen; t++) {
        fetch(k, in[2], temporal ? first + t : from, temporal ? pixel : t, f->v_channel + at, d, row);
        for (uint32_t i = 0; i < d; i++) {
            double term = score[t] / weight * row[i];
            sum[i] += term;
            squares[i] += term * term;
        }
    }
    for (uint32_t i = 0; i < slot; i++)
        expect(k, sample, pixel, at + i, i < d ? sum[i] : 0, i < d ? sqrt(squares[i]) : 0);
}

/* ---- norms ------------------------------------------------------------------------------------------------ */

static void layer_norm_pixel(struct checking *k, float eps, const float *gamma, const float *beta, uint32_t sample,
                             uint32_t pixel)
{
    const struct vka_tensor_info *x = vka_info(k->g, k->in[0]);
    uint32_t c = x->c;
    double *row = room(k, c, sizeof *row), sum = 0, squares = 0;
    if (k->failed)
        return;
    fetch(k, k->in[0], sample, pixel, 0, c, row);
    for (uint32_t i = 0; i < c; i++)
        sum += row[i];
    for (uint32_t i = 0; i < c; i++)
        squares += (row[i] - sum / c) * (row[i] - sum / c);
    double rstd = 1 / sqrt(squares / c + (double)eps);
    for (uint32_t j = 0; j < vka_min_u32(CHANNELS, c); j++) {
        uint32_t i = pick_channel(k, j, c);
        double a = (row[i] - sum / c) * rstd * (double)gamma[i], b = (double)beta[i], p = 0;
        if (k->node->inputs > 3 && k->in[3].id)
            fetch(k, k->in[3], 0, sample % k->g->frames, i, 1, &p);
        expect(k, sample, pixel, i, a + b + p, sqrt(a * a + b * b + p * p));
    }
}

/* Counts, means and squares of block `block` of a statistics input, channel c of its 2 P. */
static void block_of(struct checking *k, vka_tensor stats, uint32_t rows, uint32_t sample, uint32_t block, uint32_t c,
                     double *count, double *mean, double *squares)
{
    const struct vka_tensor_info *info = vka_info(k->g, stats);
    *count = bench_block_rows(info, rows, block);
    fetch(k, stats, sample, block, c, 1, mean);
    fetch(k, stats, sample, block, info->c / 2 + c, 1, squares);
}

/* Scale and shift of one group, out of the statistics of blocks: the union's mean is the weighted mean, its sum of squared
 * distances the blocks' sums and what their means are apart. */
static void group_norm_group(struct checking *k, const struct vka_group_norm_facts *f, const float *gamma,
                             const float *beta, uint32_t sample, uint32_t group)
{
    uint32_t width = (f->c1 + f->c2) / f->groups, first = group * width, frames = f->joint ? k->g->frames : 1;
    uint32_t from = f->joint ? sample / k->g->frames * k->g->frames : sample;
    uint32_t half = vka_info(k->g, k->node->out[0])->c / 2;
    double total = 0, sum = 0, squares = 0, mean = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t s = from; s < from + frames; s++)
            for (uint32_t c = first; c < first + width; c++) {
                vka_tensor stats = k->in[c < f->c1 ? 0 : 1];
                for (uint32_t b = 0; b < vka_info(k->g, stats)->w; b++) {
                    double count, m, q;
                    block_of(k, stats, f->rows, s, b, c < f->c1 ? c : c - f->c1, &count, &m, &q);
                    if (pass == 0) {
                        total += count;
                        sum += count * m;
                    } else {
                        squares += q + count * (m - mean) * (m - mean);
                    }
                }
            }
        mean = sum / total;
    }
    double rstd = 1 / sqrt(squares / total + (double)f->eps);
    for (uint32_t i = first; i < first + width; i++) {
        double scale = (double)gamma[i] * rstd, b = (double)beta[i];
        expect(k, sample, 0, i, scale, 0);
        expect(k, sample, 0, half + i, b - mean * scale, fabs(b) + fabs(mean * scale) + 0.05 * fabs(scale));
    }
}

/* Mean and sum of squared distances of channel c in k->got, of `rows` values. */
static void expect_statistics(struct checking *k, const struct vka_tensor_info *stats, uint32_t sample, uint32_t block,
                              uint32_t c, const double *values, uint32_t rows)
{
    double sum = 0, squares = 0;
    for (uint32_t r = 0; r < rows; r++)
        sum += values[r];
    for (uint32_t r = 0; r < rows; r++)
        squares += (values[r] - sum / rows) * (values[r] - sum / rows);
    expect(k, sample, block, c, sum / rows, sqrt(squares / rows));
    expect(k, sample, block, stats->c / 2 + c, squares, 0);
}

static void norm_apply_element(struct checking *k, uint32_t act, uint32_t sample, uint32_t pixel, uint32_t channel)
{
    const vka_tensor *in = k->in;
    const struct vka_tensor_info *x = vka_info(k->g, in[0]), *norm = vka_info(k->g, in[2]);
    double v, scale, shift;
    if (channel < x->c)
        fetch(k, in[0], sample, pixel, channel, 1, &v);
    else
        fetch(k, in[1], sample, pixel, channel - x->c, 1, &v);
    fetch(k, in[2], sample, 0, channel, 1, &scale);
    fetch(k, in[2], sample, 0, norm->c / 2 + channel, 1, &shift);
    expect(k, sample, pixel, channel, activate(act, v * scale + shift), fabs(v * scale) + fabs(shift));
}

/* The timestep's sinusoids with each step of the frequency rounded to binary32, as models were trained (see ops/embedding.c);
 * the fill's timestep is 501. */
static void timestep(struct checking *k, uint32_t dim, bool flip, float shift)
{
    double t;
    fetch(k, k->in[0], 0, 0, 0, 1, &t);
    for (uint32_t i = 0; i < dim / 2; i++) {
        float exponent = (float)(-log(10000.0) * i);
        exponent = (float)((double)exponent / ((double)(dim / 2) - (double)shift));
        float x = (float)t * (float)exp((double)exponent);
        expect(k, 0, 0, i, flip ? cos((double)x) : sin((double)x), 1);
        expect(k, 0, 0, dim / 2 + i, flip ? sin((double)x) : cos((double)x), 1);
    }
}

static vka_status read_pixel(struct checking *k, uint32_t output, uint32_t sample, uint32_t pixel, vka_error *err)
{
    const struct vka_tensor_info *out = vka_info(k->g, k->node->out[output]);
    vka_status s = k->c->read(k->c->user, output, sample, pixel, k->got, err);
    for (uint32_t i = out->c; s == VKA_OK && i < out->pitch; i++)
        expect(k, sample, pixel, i, 0, 0);
    return s;
}

static vka_status check_finish(struct checking *k, const struct vka_group_norm_facts *f, vka_error *err)
{
    const float *gamma = table(k, k->in[2]), *beta = table(k, k->in[3]);
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && !k->failed && i < 4; i++) {
        uint32_t sample = i == 0 ? 0 : i == 1 ? k->g->samples - 1 : draw(k, k->g->samples);
        s = read_pixel(k, 0, sample, 0, err);
        for (uint32_t j = 0; s == VKA_OK && j < GROUPS; j++)
            group_norm_group(k, f, gamma, beta, sample, i == 0 ? (j ? f->groups - 1 : 0) : draw(k, f->groups));
    }
    return s;
}

/* Statistics that output number `output` holds: number 0 of the input, number 1 of what the device holds as output 0
 * (rounded; the statistics were taken before). */
static vka_status check_statistics(struct checking *k, uint32_t output, vka_error *err)
{
    const struct vka_tensor_info *stats = vka_info(k->g, k->node->out[output]);
    const struct vka_tensor_info *x = vka_info(k->g, output ? k->node->out[0] : k->in[0]);
    uint32_t rows = x->h * x->w, channel[CHANNELS], channels = vka_min_u32(CHANNELS, x->c);
    double *values = room(k, (size_t)channels * stats->block, sizeof *values);
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && !k->failed && i < 4; i++) {
        uint32_t sample = i == 0 ? 0 : i == 1 ? x->n - 1 : draw(k, x->n);
        uint32_t block = i == 0   ? 0
                         : i == 1 ? stats->w - 1
                                  : draw(k, stats->w),
                 count = bench_block_rows(stats, rows, block);
        for (uint32_t j = 0; j < channels; j++)
            channel[j] = pick_channel(k, j, x->c);
        for (uint32_t r = 0; s == VKA_OK && r < count; r++) {
            uint32_t pixel = block * stats->block + r;
            if (output)
                s = k->c->read(k->c->user, 0, sample, pixel, k->got, err);
            for (uint32_t j = 0; s == VKA_OK && j < channels; j++)
                if (output)
                    values[(size_t)j * stats->block + r] = (double)k->got[channel[j]];
                else
                    fetch(k, k->in[0], sample, pixel, channel[j], 1, &values[(size_t)j * stats->block + r]);
        }
        if (s == VKA_OK)
            s = read_pixel(k, output, sample, block, err);
        for (uint32_t j = 0; s == VKA_OK && j < channels; j++)
            expect_statistics(k, stats, sample, block, channel[j], values + (size_t)j * stats->block, count);
    }
    return s;
}

/* Pictures: bytes of round((clamp(x, -1, 1) + 1) * 127.5), by 1 off where that lies near a half. */
static void picture_pixel(struct checking *k, uint32_t sample, uint32_t pixel)
{
    uint32_t word;
    double x[3];
    memcpy(&word, k->got, sizeof word);
    fetch(k, k->in[0], sample, pixel, 0, 3, x);
    for (uint32_t i = 0; i < 4; i++) {
        double want = i < 3 ? (fmax(fmin(x[i], 1), -1) + 1) * 127.5 : 255, got = word >> 8 * i & 255;
        k->v->elements++;
        if (!(fabs(got - want) <= 0.501))
            object(k, "sample %u, pixel %u, byte %u is %.0f, should be %.3f", sample, pixel, i, got, want);
    }
}

static void token_element(struct checking *k, uint32_t sample, uint32_t pixel, uint32_t channel)
{
    double id, token, position;
    fetch(k, k->in[0], sample, pixel, 0, 1, &id);
    fetch(k, k->in[1], 0, (uint32_t)id, channel, 1, &token);
    fetch(k, k->in[2], 0, pixel, channel, 1, &position);
    expect(k, sample, pixel, channel, token + position, fabs(token) + fabs(position));
}

static vka_status check_pixels(struct checking *k, vka_error *err)
{
    const struct vka_tensor_info *out = vka_info(k->g, k->node->out[0]);
    struct vka_attention_facts attention;
    struct product product;
    uint32_t act, dim;
    float eps = 0, shift = 0;
    bool flip;
    bool matmul = k->product->op == &vka_op_linear || k->product->op == &vka_op_conv;
    bool attends = vka_attention_describe(k->node, &attention), layer = vka_layer_norm_describe(k->node, &eps);
    bool apply = vka_norm_apply_describe(k->node, &act), time = vka_timestep_describe(k->node, &dim, &flip, &shift);
    bool token = strcmp(k->node->op->name, "token_embedding") == 0, picture = out->dtype == VKA_U8X4;
    if (!(matmul || attends || layer || apply || time || token || picture)) {
        object(k, "there is no check of the operator %s", k->node->op->name);
        return VKA_OK;
    }
    if (matmul && !begin_product(k, &product))
        return VKA_OK;
    const float *gamma = layer ? table(k, k->in[1]) : NULL, *beta = layer ? table(k, k->in[2]) : NULL;
    uint64_t all = (uint64_t)out->n * out->h * out->w;
    vka_status s = VKA_OK;
    for (uint32_t i = 0; s == VKA_OK && !k->failed && i < PIXELS && (i == 0 || all > 1); i++) {
        uint32_t sample, pixel;
        pick(k, i, &sample, &pixel);
        s = read_pixel(k, 0, sample, pixel, err);
        if (s != VKA_OK)
            break;
        if (matmul)
            gather(k, &product, sample, pixel);
        if (attends)
            for (uint32_t j = 0; j < 2; j++)
                attention_head(k, &attention, sample, pixel,
                               i   ? draw(k, attention.heads)
                               : j ? attention.heads - 1
                                   : 0);
        if (layer)
            layer_norm_pixel(k, eps, gamma, beta, sample, pixel);
        if (time)
            timestep(k, dim, flip, shift);
        if (picture)
            picture_pixel(k, sample, pixel);
        for (uint32_t j = 0; (matmul || apply || token) && j < vka_min_u32(CHANNELS, out->c); j++) {
            uint32_t channel = pick_channel(k, j, out->c);
            if (matmul)
                matmul_element(k, &product, sample, pixel, channel);
            else if (apply)
                norm_apply_element(k, act, sample, pixel, channel);
            else
                token_element(k, sample, pixel, channel);
        }
    }
    return s;
}

double bench_tolerance(const struct vka_graph *g)
{
    bool half = false;
    for (uint32_t i = 1; i < g->tensor_count; i++)
        half = half || g->tensors[i].dtype == VKA_F16;
    /* fp16 has 11 bits: half an ulp is 2.4e-4 relative, of the result, of staged inputs, of softmax's weights */
    return half ? 2e-3 : 2e-5;
}

vka_status bench_check_run(const struct bench_check *c, uint64_t seed, struct bench_verdict *out, vka_error *err)
{
    const struct vka_graph *g = c->graph;
    struct checking k = {
        .c = c, .g = g, .node = &g->nodes[g->node_count - 1], .product = &g->nodes[0], .v = out, .random = seed};
    struct vka_group_norm_facts norm;
    uint32_t widest = 4;
    *out = (struct bench_verdict){.passed = true, .tolerance = bench_tolerance(g)};
    bench_product_inputs(k.product, k.node, k.in);
    for (uint32_t i = 0; i < k.node->outputs; i++)
        widest = vka_max_u32(widest, vka_info(g, k.node->out[i])->pitch);
    k.got = room(&k, widest, sizeof *k.got);
    bool group = vka_group_norm_describe(k.node, &norm);
    vka_status s = k.failed               ? VKA_OK
                   : group && norm.groups ? check_finish(&k, &norm, err)
                   : group                ? check_statistics(&k, 0, err)
                                          : check_pixels(&k, err);
    if (s == VKA_OK && !k.failed && k.node->outputs > 1)
        s = check_statistics(&k, 1, err);
    if (s == VKA_OK && k.failed)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory checking '%s'", k.node->label);
    if (out->elements == 0)
        object(&k, "nothing was checked");
    vka_arena_free(&k.arena);
    return s;
}

static vka_status read_unit(void *user, uint32_t output, uint32_t sample, uint32_t pixel, float *out, vka_error *err)
{
    return bench_unit_read(user, output, sample, pixel, out, err);
}

vka_status bench_unit_check(struct bench_unit *u, uint64_t seed, struct bench_verdict *out, vka_error *err)
{
    struct bench_check c = {.graph = u->graph, .pool = u->pool, .fill = u->fill, .read = read_unit, .user = u};
    return bench_check_run(&c, seed, out, err);
}
