/* lora_mix.c - several LoRAs over a model's tables: which tensors they change, and the merged numbers.  See lora.h.
 *
 * A tensor is read some rows at a time, front to back, by whoever packs it.  When the first of its rows is asked for, each
 * term's right-hand side is made ready in the mix's own room (matrices in panels, Tucker's middles multiplied out, LoKr's
 * factors, DoRA's norms by column); then BLOCK rows at a time are computed.  The room is taken when a file is added, so that
 * reading cannot fail.
 *
 * Bits: every number is computed from its own row (and the whole right-hand side) by the same operations in the same order,
 * whatever the rows asked for together. */
#include "weights/lora_int.h"

#include "base/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum { BLOCK = 64 }; /* rows computed together */

struct term {
    const struct vka_lora_module *module;
    size_t file; /* whose weights count */
    struct term *next;
    /* ready for the current target, inside the room: */
    float *panels[2], *left[2];  /* right-hand sides; left-hand sides where they are stored turned, else NULL */
    size_t rank[2];              /* inner size of each product */
    float *a1, *a2;              /* GLoRA's, in panels */
    float *w1, *w2;              /* LoKr's factors [a, b], [c, d * taps] */
    float *factors;              /* IA3's */
    float *magnitudes, *columns; /* DoRA: by row; by channel, already magnitude / norm */
};

struct target {
    struct vka_lora_changes how;
    vka_lora_mix *mix;
    vka_weights *table;
    const vka_weight *base;
    bool bias, text;
    size_t rows, in, taps, columns; /* columns = in * taps */
    struct term *terms, *last;
    struct target *next;
};

struct vka_lora_mix {
    vka_arena arena;
    struct target *targets;
    struct {
        double weight, text;
    } * files;
    size_t count, capacity;
    /* the room: `block` arrays of BLOCK rows, and what the current target's terms need */
    float *room;
    size_t room_floats;
    size_t most_columns, most_rank, most_store, most_work;
    const struct target *current;
    float *row, *a, *base, *delta, *product[2], *inner, *taken, *work, *store;
};

vka_lora_mix *vka_lora_mix_create(void)
{
    return vka_calloc(1, sizeof(vka_lora_mix));
}

void vka_lora_mix_destroy(vka_lora_mix *m)
{
    if (!m)
        return;
    for (const struct target *t = m->targets; t; t = t->next)
        vka_weights_change(t->table, t->base, NULL);
    vka_arena_free(&m->arena);
    free(m->files);
    free(m->room);
    free(m);
}

void vka_lora_mix_weigh(vka_lora_mix *m, size_t i, double weight, double text_weight)
{
    m->files[i].weight = weight;
    m->files[i].text = text_weight;
    m->current = NULL;
}

static double weight_of(const struct target *t, const struct term *term)
{
    return t->text ? t->mix->files[term->file].text : t->mix->files[term->file].weight;
}

/* ---- sizes ---- */

static size_t count(const vka_weight *w)
{
    return w ? (size_t)vka_weight_count(w) : 0;
}
static size_t first(const vka_weight *w)
{
    return w->rank ? (size_t)w->dims[0] : 1;
}
static size_t rest(const vka_weight *w)
{
    return count(w) / first(w);
}

static size_t take(size_t *at, size_t n)
{
    size_t here = *at;
    *at += (n + 15) / 16 * 16;
    return here;
}

/* Lays out what a term keeps in the store (from *at on), and sets its pointers where `store` is there. */
static void lay_out(const struct target *t, struct term *term, float *store, size_t *at)
{
    const struct vka_lora_module *m = term->module;
    const vka_weight *const *w = m->t;
    struct {
        const vka_weight *left, *mid, *right;
        bool turned;
    } pair[2] = {{NULL, NULL, NULL, false}, {NULL, NULL, NULL, false}};
    size_t n;
#define PLACE(pointer, floats) (n = take(at, floats), (pointer) = store ? store + n : NULL)
    if (t->bias)
        return;
    if (m->kind == VKA_LORA_KIND_LORA)
        pair[0].left = w[VKA_LORA_UP], pair[0].mid = w[VKA_LORA_MID], pair[0].right = w[VKA_LORA_DOWN];
    else if (m->kind == VKA_LORA_KIND_GLORA)
        pair[0].left = w[VKA_LORA_B1], pair[0].mid = w[VKA_LORA_BM], pair[0].right = w[VKA_LORA_B2];
    else if (m->kind == VKA_LORA_KIND_LOHA) {
        pair[0].left = w[VKA_LORA_W1A], pair[0].mid = w[VKA_LORA_T1], pair[0].right = w[VKA_LORA_W1B];
        pair[1].left = w[VKA_LORA_W2A], pair[1].mid = w[VKA_LORA_T2], pair[1].right = w[VKA_LORA_W2B];
        pair[0].turned = pair[1].turned = w[VKA_LORA_T1] != NULL;
    }
    for (int p = 0; p < 2; p++)
        if (pair[p].left) {
            term->rank[p] = pair[p].mid ? first(pair[p].mid) : first(pair[p].right);
            PLACE(term->panels[p], vka_gemm_panels(term->rank[p], t->columns));
            if (pair[p].turned)
                PLACE(term->left[p], t->rows * term->rank[p]);
        }
    if (m->kind == VKA_LORA_KIND_GLORA) {
        PLACE(term->a1, vka_gemm_panels(t->in, first(w[VKA_LORA_A2])));
        PLACE(term->a2, vka_gemm_panels(first(w[VKA_LORA_A2]), t->in));
    }
    if (m->kind == VKA_LORA_KIND_LOKR) {
        size_t a = w[VKA_LORA_W1] ? first(w[VKA_LORA_W1]) : first(w[VKA_LORA_W1A]);
        size_t b = w[VKA_LORA_W1] ? rest(w[VKA_LORA_W1]) : rest(w[VKA_LORA_W1B]);
        PLACE(term->w1, a * b);
        PLACE(term->w2, t->rows / a * (t->columns / b));
    }
    if (m->kind == VKA_LORA_KIND_IA3)
        PLACE(term->factors, count(w[VKA_LORA_FACTOR]));
    const vka_weight *dora = w[VKA_LORA_MAGNITUDE] ? w[VKA_LORA_MAGNITUDE] : w[VKA_LORA_DORA];
    if (dora) { /* of a square layer [1, in] tells the columns */
        bool columns =
            !w[VKA_LORA_MAGNITUDE] && (count(dora) != t->rows || (dora->rank > 1 && dora->dims[0] == 1 && t->rows > 1));
        if (columns)
            PLACE(term->columns, t->in);
        else
            PLACE(term->magnitudes, t->rows);
    }
#undef PLACE
}

/* Floats that make_ready takes for a while. */
static size_t work_of(const struct term *term)
{
    size_t sum = 0;
    for (int r = 0; r < VKA_LORA_HADA; r++)
        sum += count(term->module->t[r]);
    return sum;
}

/* The largest inner size of a term's products. */
static size_t rank_of(const struct term *term)
{
    const struct vka_lora_module *m = term->module;
    size_t r = term->rank[0] > term->rank[1] ? term->rank[0] : term->rank[1];
    if (m->kind == VKA_LORA_KIND_GLORA && first(m->t[VKA_LORA_A2]) > r)
        r = first(m->t[VKA_LORA_A2]);
    return r;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Room for every target as it is now. */
static vka_status take_room(vka_lora_mix *m, vka_error *err)
{
    for (struct target *t = m->targets; t; t = t->next) {
        size_t store = 0;
        m->most_columns = larger(m->most_columns, t->columns);
        for (struct term *term = t->terms; term; term = term->next) {
            lay_out(t, term, NULL, &store);
            m->most_rank = larger(m->most_rank, rank_of(term));
            m->most_work = larger(m->most_work, work_of(term));
        }
        m->most_store = larger(m->most_store, store);
    }
    size_t at = 0, wide = BLOCK * m->most_columns, row = take(&at, m->most_columns), a = take(&at, BLOCK * m->most_rank);
    size_t base = take(&at, wide), delta = take(&at, wide), one = take(&at, wide), two = take(&at, wide);
    size_t inner = take(&at, BLOCK * m->most_rank), taken = take(&at, wide), work = take(&at, m->most_work),
           store = take(&at, m->most_store);
    if (at > m->room_floats) {
        free(m->room);
        m->room_floats = 0;
        m->room = vka_calloc(at, sizeof *m->room);
        if (!m->room)
            return vka_fail(err, VKA_E_MEMORY, "out of memory for merging LoRAs");
        m->room_floats = at;
    }
    m->row = m->room + row;
    m->a = m->room + a;
    m->base = m->room + base;
    m->delta = m->room + delta;
    m->product[0] = m->room + one;
    m->product[1] = m->room + two;
    m->inner = m->room + inner;
    m->taken = m->room + taken;
    m->work = m->room + work;
    m->store = m->room + store;
    m->current = NULL;
    return VKA_OK;
}

/* ---- making a target's terms ready ---- */

/* A right-hand side [rank, columns] to its panels: `right` itself, or with a middle [rank, q, taps] the product
 * sum over q of mid[., q, tap] right[q, channel]. */
static void ready_right(const struct target *t, float *panels, size_t rank, const vka_weight *mid, const vka_weight *right)
{
    vka_lora_mix *x = t->mix;
    float *row = x->row;
    if (!mid) {
        for (size_t r = 0; r < rank; r++) {
            vka_weight_to_f32(right, r * t->columns, t->columns, row);
            vka_gemm_panel_row(panels, rank, t->columns, r, row);
        }
        return;
    }
    size_t q = first(right);
    float *middle = x->work, *channels = middle + count(mid);
    vka_weight_to_f32(mid, 0, count(mid), middle);
    vka_weight_to_f32(right, 0, count(right), channels);
    for (size_t r = 0; r < rank; r++) {
        memset(row, 0, t->columns * sizeof *row);
        for (size_t k = 0; k < q; k++)
            for (size_t c = 0; c < t->in; c++)
                for (size_t tap = 0; tap < t->taps; tap++)
                    row[c * t->taps + tap] += middle[(r * q + k) * t->taps + tap] * channels[k * t->in + c];
        vka_gemm_panel_row(panels, rank, t->columns, r, row);
    }
}

/* A left-hand side stored [rank, rows] as [rows, rank]. */
static void ready_left(const struct target *t, float *left, size_t rank, const vka_weight *w)
{
    float *turned = t->mix->work;
    vka_weight_to_f32(w, 0, count(w), turned);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t k = 0; k < rank; k++)
            left[r * rank + k] = turned[k * t->rows + r];
}

static void ready_matrix(float *panels, size_t k, size_t n, const vka_weight *w, float *row)
{
    for (size_t r = 0; r < k; r++) {
        vka_weight_to_f32(w, r * n, n, row);
        vka_gemm_panel_row(panels, k, n, r, row);
    }
}

/* out [rows, columns] = left [rows, k] right [k, columns]; small. */
static void multiply(float *out, const float *left, const float *right, size_t rows, size_t k, size_t columns)
{
    memset(out, 0, rows * columns * sizeof *out);
    for (size_t r = 0; r < rows; r++)
        for (size_t l = 0; l < k; l++)
            for (size_t c = 0; c < columns; c++)
                out[r * columns + c] += left[r * k + l] * right[l * columns + c];
}

static void ready_kron(const struct target *t, struct term *term)
{
    const vka_weight *const *w = term->module->t;
    float *x = t->mix->work;
    size_t a = w[VKA_LORA_W1] ? first(w[VKA_LORA_W1]) : first(w[VKA_LORA_W1A]), b;
    if (w[VKA_LORA_W1]) {
        b = rest(w[VKA_LORA_W1]);
        vka_weight_to_f32(w[VKA_LORA_W1], 0, a * b, term->w1);
    } else {
        b = rest(w[VKA_LORA_W1B]);
        float *y = x + count(w[VKA_LORA_W1A]);
        vka_weight_to_f32(w[VKA_LORA_W1A], 0, count(w[VKA_LORA_W1A]), x);
        vka_weight_to_f32(w[VKA_LORA_W1B], 0, count(w[VKA_LORA_W1B]), y);
        multiply(term->w1, x, y, a, first(w[VKA_LORA_W1B]), b);
    }
    size_t c = t->rows / a, d = t->in / b;
    if (w[VKA_LORA_W2]) {
        vka_weight_to_f32(w[VKA_LORA_W2], 0, count(w[VKA_LORA_W2]), term->w2);
        return;
    }
    float *y = x + count(w[VKA_LORA_W2A]), *z = y + count(w[VKA_LORA_W2B]);
    vka_weight_to_f32(w[VKA_LORA_W2A], 0, count(w[VKA_LORA_W2A]), x);
    vka_weight_to_f32(w[VKA_LORA_W2B], 0, count(w[VKA_LORA_W2B]), y);
    if (!w[VKA_LORA_T2]) {
        multiply(term->w2, x, y, c, first(w[VKA_LORA_W2B]), d * t->taps);
        return;
    }
    size_t p = first(w[VKA_LORA_T2]), q = first(w[VKA_LORA_W2B]);
    vka_weight_to_f32(w[VKA_LORA_T2], 0, count(w[VKA_LORA_T2]), z);
    memset(term->w2, 0, c * d * t->taps * sizeof *term->w2);
    for (size_t i = 0; i < p; i++) /* sum over i, j of t[i, j, tap] w2a[i, row] w2b[j, channel]; inner sum first */
        for (size_t k = 0; k < d; k++)
            for (size_t tap = 0; tap < t->taps; tap++) {
                float sum = 0;
                for (size_t j = 0; j < q; j++)
                    sum += z[(i * q + j) * t->taps + tap] * y[j * d + k];
                for (size_t r = 0; r < c; r++)
                    term->w2[(r * d + k) * t->taps + tap] += x[i * c + r] * sum;
            }
}

static void add_delta(const struct target *t, const struct term *term, size_t row, size_t n, const float *base, float *out,
                      float scale);

/* DoRA by input channel: the norm goes over all rows and taps. */
static void ready_columns(const struct target *t, struct term *term)
{
    vka_lora_mix *x = t->mix;
    const vka_weight *dora = term->module->t[VKA_LORA_DORA];
    double *sums = (double *)(void *)x->product[0]; /* add_delta's: so they are kept in `taken` between blocks */
    float *keep = x->taken;
    memset(keep, 0, 2 * t->in * sizeof(float));
    for (size_t row = 0; row < t->rows; row += BLOCK) {
        size_t n = t->rows - row < BLOCK ? t->rows - row : BLOCK;
        vka_weight_to_f32(t->base, row * t->columns, n * t->columns, x->base);
        memset(x->delta, 0, n * t->columns * sizeof *x->delta);
        add_delta(t, term, row, n, x->base, x->delta, (float)term->module->scale);
        memcpy(sums, keep, t->in * sizeof *sums);
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c < t->in; c++)
                for (size_t tap = 0; tap < t->taps; tap++) {
                    size_t i = r * t->columns + c * t->taps + tap;
                    double v = (double)(x->base[i] + x->delta[i]);
                    sums[c] += v * v;
                }
        memcpy(keep, sums, t->in * sizeof *sums);
    }
    vka_weight_to_f32(dora, 0, t->in, term->columns);
    memcpy(sums, keep, t->in * sizeof *sums);
    for (size_t c = 0; c < t->in; c++)
        term->columns[c] = sums[c] > 0 ? (float)((double)term->columns[c] / sqrt(sums[c])) : 1;
}

static void make_ready(const struct target *t, struct term *term)
{
    const struct vka_lora_module *m = term->module;
    const vka_weight *const *w = m->t;
    if (t->bias)
        return;
    switch (m->kind) {
    case VKA_LORA_KIND_LORA:
        ready_right(t, term->panels[0], term->rank[0], w[VKA_LORA_MID], w[VKA_LORA_DOWN]);
        break;
    case VKA_LORA_KIND_LOHA:
        ready_right(t, term->panels[0], term->rank[0], w[VKA_LORA_T1], w[VKA_LORA_W1B]);
        ready_right(t, term->panels[1], term->rank[1], w[VKA_LORA_T2], w[VKA_LORA_W2B]);
        if (w[VKA_LORA_T1]) {
            ready_left(t, term->left[0], term->rank[0], w[VKA_LORA_W1A]);
            ready_left(t, term->left[1], term->rank[1], w[VKA_LORA_W2A]);
        }
        break;
    case VKA_LORA_KIND_LOKR:
        ready_kron(t, term);
        break;
    case VKA_LORA_KIND_GLORA: {
        size_t r = first(w[VKA_LORA_A2]);
        ready_right(t, term->panels[0], term->rank[0], w[VKA_LORA_BM], w[VKA_LORA_B2]);
        ready_matrix(term->a1, t->in, r, w[VKA_LORA_A1], t->mix->work);
        ready_matrix(term->a2, r, t->in, w[VKA_LORA_A2], t->mix->row);
        break;
    }
    case VKA_LORA_KIND_IA3:
        vka_weight_to_f32(w[VKA_LORA_FACTOR], 0, count(w[VKA_LORA_FACTOR]), term->factors);
        break;
    case VKA_LORA_KIND_ADD:
    case VKA_LORA_KINDS:
        break;
    }
    if (term->magnitudes)
        vka_weight_to_f32(w[VKA_LORA_MAGNITUDE] ? w[VKA_LORA_MAGNITUDE] : w[VKA_LORA_DORA], 0, t->rows, term->magnitudes);
    if (term->columns)
        ready_columns(t, term);
}

static void enter(const struct target *t)
{
    vka_lora_mix *m = t->mix;
    size_t at = 0;
    if (m->current == t)
        return;
    for (struct term *term = t->terms; term; term = term->next)
        if (weight_of(t, term) != 0) {
            lay_out(t, term, m->store, &at);
            make_ready(t, term);
        }
    m->current = t;
}

/* ---- rows ---- */

/* out += scale * left[row ..] right, of one of a term's products. */
static void add_product(const struct target *t, const struct term *term, int p, const vka_weight *left, size_t row, size_t n,
                        float *out, float scale)
{
    size_t rank = term->rank[p];
    const float *a = t->mix->a;
    if (term->left[p])
        a = term->left[p] + row * rank;
    else
        vka_weight_to_f32(left, row * rank, n * rank, t->mix->a);
    vka_gemm_add(out, t->columns, a, rank, term->panels[p], n, rank, t->columns, scale);
}

static void add_glora(const struct target *t, const struct term *term, size_t n, const float *base, float *out, float scale)
{
    vka_lora_mix *x = t->mix;
    size_t r = first(term->module->t[VKA_LORA_A2]);
    for (size_t tap = 0; tap < t->taps; tap++) {
        float *w = x->product[0], *d = x->product[1]; /* [n, in] of this tap */
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < t->in; c++)
                w[i * t->in + c] = base[i * t->columns + c * t->taps + tap];
        memset(x->inner, 0, n * r * sizeof *x->inner);
        memset(d, 0, n * t->in * sizeof *d);
        vka_gemm_add(x->inner, r, w, t->in, term->a1, n, t->in, r, 1);
        vka_gemm_add(d, t->in, x->inner, r, term->a2, n, r, t->in, 1);
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < t->in; c++)
                out[i * t->columns + c * t->taps + tap] += scale * d[i * t->in + c];
    }
}

static void add_kron(const struct target *t, const struct term *term, size_t row, size_t n, float *out, float scale)
{
    const vka_weight *const *w = term->module->t;
    size_t a = w[VKA_LORA_W1] ? first(w[VKA_LORA_W1]) : first(w[VKA_LORA_W1A]), c = t->rows / a;
    size_t b = w[VKA_LORA_W1] ? rest(w[VKA_LORA_W1]) : rest(w[VKA_LORA_W1B]), d = t->columns / b;
    for (size_t i = 0; i < n; i++) {
        const float *one = term->w1 + (row + i) / c * b, *two = term->w2 + (row + i) % c * d;
        for (size_t k = 0; k < b; k++)
            for (size_t e = 0; e < d; e++)
                out[i * t->columns + k * d + e] += scale * (one[k] * two[e]);
    }
}

/* out [n, columns] += scale * what the term adds to rows [row, row + n), without its DoRA; scale holds the module's. */
static void add_delta(const struct target *t, const struct term *term, size_t row, size_t n, const float *base, float *out,
                      float scale)
{
    const struct vka_lora_module *m = term->module;
    const vka_weight *const *w = m->t;
    vka_lora_mix *x = t->mix;
    size_t all = n * t->columns;
    switch (m->kind) {
    case VKA_LORA_KIND_LORA:
        add_product(t, term, 0, w[VKA_LORA_UP], row, n, out, scale);
        break;
    case VKA_LORA_KIND_GLORA:
        add_glora(t, term, n, base, out, scale);
        add_product(t, term, 0, w[VKA_LORA_B1], row, n, out, scale);
        break;
    case VKA_LORA_KIND_LOHA:
        memset(x->product[0], 0, all * sizeof(float));
        memset(x->product[1], 0, all * sizeof(float));
        add_product(t, term, 0, w[VKA_LORA_W1A], row, n, x->product[0], 1);
        add_product(t, term, 1, w[VKA_LORA_W2A], row, n, x->product[1], 1);
        for (size_t i = 0; i < all; i++)
            out[i] += scale * (x->product[0][i] * x->product[1][i]);
        break;
    case VKA_LORA_KIND_LOKR:
        add_kron(t, term, row, n, out, scale);
        break;
    case VKA_LORA_KIND_ADD:
        vka_weight_to_f32(w[VKA_LORA_DIFF], row * t->columns, all, x->product[0]);
        for (size_t i = 0; i < all; i++)
            out[i] += scale * x->product[0][i];
        break;
    case VKA_LORA_KIND_IA3: {
        float on_input = 0;
        vka_weight_to_f32(w[VKA_LORA_ON_INPUT], 0, 1, &on_input);
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < t->columns; c++)
                out[i * t->columns + c] +=
                    scale * (base[i * t->columns + c] * term->factors[on_input != 0 ? c / t->taps : row + i]);
        break;
    }
    case VKA_LORA_KINDS:
        break;
    }
}

/* out += weight * ((base + delta) * magnitude / norm - base). */
static void add_dora(const struct target *t, const struct term *term, size_t row, size_t n, const float *base, float *out,
                     float weight)
{
    float *d = t->mix->delta;
    memset(d, 0, n * t->columns * sizeof *d);
    add_delta(t, term, row, n, base, d, (float)term->module->scale);
    for (size_t i = 0; i < n; i++) {
        const float *w = base + i * t->columns;
        float *v = d + i * t->columns, *o = out + i * t->columns;
        double sum = 0;
        for (size_t c = 0; c < t->columns; c++) {
            v[c] += w[c];
            sum += (double)v[c] * (double)v[c];
        }
        if (term->columns) {
            for (size_t c = 0; c < t->columns; c++)
                o[c] += weight * (v[c] * term->columns[c / t->taps] - w[c]);
        } else {
            float by = sum > 0 ? (float)((double)term->magnitudes[row + i] / sqrt(sum)) : 1;
            for (size_t c = 0; c < t->columns; c++)
                o[c] += weight * (v[c] * by - w[c]);
        }
    }
}

/* A bias: what the module has for it, times the weight. */
static void add_bias(const struct target *t, const struct term *term, size_t row, size_t n, float *out, double weight)
{
    const struct vka_lora_module *m = term->module;
    const vka_weight *w = m->t[VKA_LORA_DIFF_B] ? m->t[VKA_LORA_DIFF_B] : m->t[VKA_LORA_UP_BIAS];
    float scale = (float)(m->t[VKA_LORA_DIFF_B] ? weight : weight * m->scale), *v = t->mix->delta;
    vka_weight_to_f32(w, row, n, v);
    for (size_t i = 0; i < n; i++)
        out[i] += scale * v[i];
}

/* Rows [row, row + n), n at most BLOCK, merged in `out`. */
static void merge(const struct target *t, size_t row, size_t n, float *out)
{
    vka_lora_mix *m = t->mix;
    size_t all = n * t->columns;
    vka_weight_to_f32(t->base, row * t->columns, all, out);
    memcpy(m->base, out, all * sizeof *out);
    for (const struct term *term = t->terms; term; term = term->next) {
        double weight = weight_of(t, term);
        if (weight == 0)
            continue;
        if (t->bias)
            add_bias(t, term, row, n, out, weight);
        else if (term->magnitudes || term->columns)
            add_dora(t, term, row, n, m->base, out, (float)weight);
        else
            add_delta(t, term, row, n, m->base, out, (float)(weight * term->module->scale));
    }
}

static void merged_numbers(const void *self, uint64_t from, uint64_t number, float *out)
{
    const struct target *t = self;
    size_t k = t->columns;
    bool any = false;
    for (const struct term *term = t->terms; term; term = term->next)
        any = any || weight_of(t, term) != 0;
    if (!any) {
        vka_weight_to_f32(t->base, from, number, out);
        return;
    }
    enter(t);
    while (number) {
        size_t row = (size_t)(from / k), skip = (size_t)(from % k), n = (size_t)(number / k);
        if (skip || !n) { /* a piece of a row */
            size_t here = k - skip < number ? k - skip : (size_t)number;
            merge(t, row, 1, t->mix->row);
            memcpy(out, t->mix->row + skip, here * sizeof *out);
            from += here;
            number -= here;
            out += here;
            continue;
        }
        n = n < BLOCK ? n : BLOCK;
        merge(t, row, n, out);
        from += n * k;
        number -= n * k;
        out += n * k;
    }
}

void vka_lora_numbers(const void *changes, uint64_t from, uint64_t number, float *out)
{
    ((const struct vka_lora_changes *)changes)->numbers(changes, from, number, out);
}

/* ---- adding a file ---- */

static struct target *target_of(vka_lora_mix *m, vka_weights *table, const vka_weight *base, bool bias, bool text)
{
    if (base->changes)
        for (struct target *t = m->targets; t; t = t->next)
            if (t == base->changes)
                return t;
    struct target *t = vka_arena_alloc(&m->arena, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct target){.how = {merged_numbers}, .mix = m, .table = table, .base = base, .bias = bias, .text = text, .next = m->targets};
    t->rows = first(base);
    t->columns = t->rows ? rest(base) : 1;
    t->in = base->rank > 1 ? (size_t)base->dims[1] : 1;
    t->taps = t->in ? t->columns / t->in : 1;
    m->targets = t;
    vka_weights_change(table, base, t);
    return t;
}

static bool append(vka_lora_mix *m, struct target *t, const struct vka_lora_module *module)
{
    struct term *term = t ? vka_arena_alloc(&m->arena, sizeof *term) : NULL;
    if (!term)
        return false;
    *term = (struct term){.module = module, .file = m->count};
    if (t->last)
        t->last->next = term;
    else
        t->terms = term;
    t->last = term;
    return true;
}

static bool is_twice(const vka_lora_mix *m, const vka_weight *base)
{
    const struct target *t = base ? base->changes : NULL;
    return t && t->last && t->last->file == m->count;
}

static vka_status add_module(vka_lora_mix *m, const vka_lora *l, const struct vka_lora_module *module, vka_weights *table,
                             const char *layer, bool text, vka_error *err)
{
    const vka_weight *weight = vka_weights_findf(table, "%s.weight", layer),
                     *bias = vka_weights_findf(table, "%s.bias", layer);
    const vka_weight *more = module->t[VKA_LORA_DIFF_B] ? module->t[VKA_LORA_DIFF_B] : module->t[VKA_LORA_UP_BIAS];
    bool whole = module->kind != VKA_LORA_KIND_ADD || module->t[VKA_LORA_DIFF];
    if (module->fault) {
        if (err && err->status == VKA_OK)
            *err = *module->fault;
        return module->fault->status;
    }
    vka_status s = vka_lora_check(l, module, weight, err);
    if (s == VKA_OK && more && (!bias || vka_weight_count(more) != vka_weight_count(bias)))
        s = vka_fail(err, VKA_E_INPUT,
                     "the LoRA '%.200s' does not fit the model: '%.160s' changes a bias that the layer has not", l->path,
                     module->name);
    if (s == VKA_OK && ((whole && is_twice(m, weight)) || (more && is_twice(m, bias))))
        s = vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' is there twice, under two names", l->path,
                     module->name);
    if (s == VKA_OK && !vka_lora_is_finite(module))
        s = vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' holds NaN or infinity", l->path, module->name);
    if (s != VKA_OK)
        return s;
    if ((whole && !append(m, target_of(m, table, weight, false, text), module)) ||
        (more && !append(m, target_of(m, table, bias, true, text), module)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", l->path);
    return VKA_OK;
}

static void note_unknown(vka_lora_fit *fit, const char *name, size_t tensors)
{
    size_t at = strlen(fit->names);
    fit->unknown += tensors;
    if (at + strlen(name) + 3 < sizeof fit->names)
        snprintf(fit->names + at, sizeof fit->names - at, "%s%s", at ? ", " : "", name);
}

static vka_status nothing_fits(const vka_lora *l, const vka_lora_fit *fit, vka_error *err)
{
    uint64_t width = l->info.text_width;
    if (l->info.second_text)
        return vka_fail(err, VKA_E_INPUT,
                        "the LoRA '%.200s' is for SDXL: it changes a second text encoder, which this model has not", l->path);
    vka_fail(err, VKA_E_INPUT, "the LoRA '%.200s' is for another kind of model: none of its %zu layers is in this one",
             l->path, l->count);
    if (width >= 1024)
        vka_error_why(err, "its text is %llu wide, as %s's", (unsigned long long)width,
                      width == 2048   ? "SDXL"
                      : width == 1024 ? "Stable Diffusion 2"
                                      : "no known model");
    else if (l->info.motion == l->count)
        vka_error_why(err, "it changes motion modules");
    else
        vka_error_why(err, "for example '%.160s'", fit->names);
    return VKA_E_INPUT;
}

vka_status vka_lora_mix_add(vka_lora_mix *m, const vka_lora *l, const struct vka_lora_tables *tables, double weight,
                            double text_weight, vka_lora_fit *fit, vka_error *err)
{
    vka_weights *table[VKA_LORA_TABLES] = {tables->unet, tables->motion, tables->text};
    struct vka_lora_names names[VKA_LORA_TABLES] = {0};
    vka_status s = VKA_OK;
    *fit = (vka_lora_fit){0};
    void *files = vka_grow(m->files, &m->capacity, m->count + 1, sizeof *m->files);
    if (!files)
        return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", l->path);
    m->files = files;
    for (int k = 0; s == VKA_OK && k < VKA_LORA_TABLES; k++)
        if (table[k] && !vka_lora_names_build(&names[k], table[k], (enum vka_lora_table)k))
            s = vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", l->path);
    for (size_t i = 0; s == VKA_OK && i < l->count; i++) {
        const struct vka_lora_module *module = &l->modules[i];
        bool motion = strstr(module->plain, "motion_modules") != NULL;
        const char *layer = NULL;
        int k = motion ? VKA_LORA_OF_MOTION : module->side == VKA_LORA_TEXT ? VKA_LORA_OF_TEXT : VKA_LORA_OF_UNET;
        if (module->side != VKA_LORA_OTHER)
            layer = vka_lora_names_find(&names[k], module->plain);
        if (!layer && module->side == VKA_LORA_ANY && !motion) {
            layer = vka_lora_names_find(&names[VKA_LORA_OF_TEXT], module->plain);
            k = layer ? VKA_LORA_OF_TEXT : k;
        }
        if (layer) {
            s = add_module(m, l, module, table[k], layer, k == VKA_LORA_OF_TEXT, err);
            fit->applied++;
        } else if (module->side != VKA_LORA_OTHER && !table[k] && !(motion && tables->unet))
            fit->elsewhere++;
        else
            note_unknown(fit, module->name, vka_lora_tensors(module));
    }
    if (l->info.strangers)
        note_unknown(fit, l->info.stranger, l->info.strangers);
    for (int k = 0; k < VKA_LORA_TABLES; k++)
        vka_lora_names_free(&names[k]);
    if (s == VKA_OK && ((!fit->applied && fit->unknown) || l->info.second_text))
        s = nothing_fits(l, fit, err);
    if (s != VKA_OK)
        return s;
    m->files[m->count].weight = weight;
    m->files[m->count++].text = text_weight;
    return take_room(m, err);
}
