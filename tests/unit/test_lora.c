/* test_lora.c - LoRA files of every family, merged, against double precision; each through a real file.
 *
 * A merged tensor is read whole, row by row and in odd pieces: the bits are the same.  Its distance from the double-precision
 * merge is at most 1e-6 of what the LoRA adds. */
#include "weights_build.h"

#include "base/gemm.h"
#include "render/setup.h"

#include <math.h>

/* ---- a small model ---- */

#define ATTENTION "down_blocks.0.attentions.0.transformer_blocks.0.attn1."

struct layer {
    const char *name;
    unsigned rank;
    uint64_t dims[4];
};
static const struct layer layers[] = {
    {"down_blocks.0.resnets.0.norm1.weight", 1, {8}},
    {"down_blocks.0.resnets.0.norm1.bias", 1, {8}},
    {"down_blocks.0.resnets.0.conv1.weight", 4, {70, 6, 3, 3}},
    {"down_blocks.0.resnets.0.conv1.bias", 1, {70}},
    {"down_blocks.0.attentions.0.norm.weight", 1, {8}},
    {"down_blocks.0.attentions.0.proj_in.weight", 4, {8, 8, 1, 1}},
    {ATTENTION "to_q.weight", 2, {80, 20}},
    {ATTENTION "to_out.0.weight", 2, {12, 12}},
    {ATTENTION "to_out.0.bias", 1, {12}},
};
enum { LAYERS = sizeof layers / sizeof *layers, MOST = 64 };

static uint64_t state = 1;
static float draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(state >> 40) / (double)(1 << 23) - 1);
}

static struct model {
    vka_weights *table;
    float *data[LAYERS];
} model;

static size_t elements(unsigned rank, const uint64_t *dims)
{
    size_t n = 1;
    for (unsigned i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    return n;
}

static void model_make(void)
{
    model.table = vka_weights_new("the UNet");
    assert_non_null(model.table);
    for (size_t i = 0; i < LAYERS; i++) {
        size_t n = elements(layers[i].rank, layers[i].dims);
        model.data[i] = malloc(n * sizeof(float));
        assert_non_null(model.data[i]);
        for (size_t k = 0; k < n; k++)
            model.data[i][k] = draw();
        vka_weight w = {.name = layers[i].name,
                        .dtype = VKA_WEIGHT_F32,
                        .rank = layers[i].rank,
                        .data = model.data[i],
                        .bytes = n * sizeof(float)};
        memcpy(w.dims, layers[i].dims, sizeof layers[i].dims);
        assert_true(vka_weights_add(model.table, layers[i].name, &w));
    }
    assert_int_equal(vka_weights_finish(model.table, NULL), VKA_OK);
}

static void model_free(void)
{
    vka_weights_free(model.table);
    for (size_t i = 0; i < LAYERS; i++)
        free(model.data[i]);
}

/* ---- a LoRA file ---- */

static struct file {
    vka_weight t[MOST];
    char names[MOST][200];
    float *data[MOST];
    size_t count;
} file;

/* A random tensor; its numbers. */
static float *put(const char *name, unsigned rank, ...)
{
    vka_weight *w = &file.t[file.count];
    va_list ap;
    *w = (vka_weight){.dtype = VKA_WEIGHT_F32, .rank = rank};
    va_start(ap, rank);
    for (unsigned i = 0; i < rank; i++)
        w->dims[i] = va_arg(ap, unsigned);
    va_end(ap);
    snprintf(file.names[file.count], sizeof file.names[0], "%s", name);
    size_t n = elements(rank, w->dims);
    float *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = draw();
    w->name = file.names[file.count];
    w->data = p;
    file.data[file.count++] = p;
    return p;
}

static void put_number(const char *name, double v)
{
    *put(name, 0) = (float)v;
}

static vka_status file_open(vka_lora **l, const char *const (*metadata)[2], size_t count, vka_error *err)
{
    const char *path = in_folder("lora.safetensors");
    assert_int_equal(vka_safetensors_write(path, file.t, file.count, metadata, count, NULL), VKA_OK);
    return vka_lora_open(l, path, err);
}

static void file_clear(void)
{
    for (size_t i = 0; i < file.count; i++)
        free(file.data[i]);
    file.count = 0;
}

/* ---- merging and comparing ---- */

static size_t index_of(const char *name)
{
    for (size_t i = 0; i < LAYERS; i++)
        if (!strcmp(layers[i].name, name))
            return i;
    fail_msg("no layer %s", name);
    return 0;
}

/* The merged tensor against base + delta (doubles); `delta` is freed. */
static void compare(const char *name, double *delta)
{
    size_t at = index_of(name), n = elements(layers[at].rank, layers[at].dims), row = n / (size_t)layers[at].dims[0];
    const vka_weight *w = vka_weights_find(model.table, name);
    float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts);
    double off = 0, size = 0;
    assert_true(whole && parts);
    if (!w->changes)
        fail_msg("%s is not changed", name);
    vka_lora_numbers(w->changes, 0, n, whole);
    for (size_t i = 0; i < n; i++) {
        double want = (double)model.data[at][i] + delta[i], d = (double)whole[i] - want;
        off += d * d;
        size += delta[i] * delta[i];
    }
    if (!(sqrt(off) <= 1e-6 * sqrt(size)))
        fail_msg("%s is %g off", name, sqrt(off / size));
    for (size_t piece = 1; piece <= 3 * row + 1; piece += row > 3 ? row / 3 : 1) {
        memset(parts, 0xff, n * sizeof *parts);
        for (size_t i = 0; i < n; i += piece)
            vka_lora_numbers(w->changes, i, n - i < piece ? n - i : piece, parts + i);
        assert_memory_equal(parts, whole, n * sizeof *parts);
    }
    for (size_t i = n; i > 0;) { /* and from the end, whole rows */
        i -= row;
        vka_lora_numbers(w->changes, i, row, parts + i);
    }
    assert_memory_equal(parts, whole, n * sizeof *parts);
    free(whole);
    free(parts);
    free(delta);
}

static vka_lora *lora;
static vka_lora_mix *mix;

static vka_status try_mix(double weight, vka_error *err)
{
    vka_lora_fit fit;
    const struct vka_lora_tables tables = {.unet = model.table};
    vka_status s = file_open(&lora, NULL, 0, err);
    mix = vka_lora_mix_create();
    assert_non_null(mix);
    return s == VKA_OK ? vka_lora_mix_add(mix, lora, &tables, weight, weight, &fit, err) : s;
}

static void begin(double weight)
{
    vka_error err = {0};
    if (try_mix(weight, &err) != VKA_OK)
        fail_msg("%s", err.what);
}

static void end(void)
{
    vka_lora_mix_destroy(mix);
    for (size_t i = 0; i < vka_weights_count(model.table); i++)
        assert_null(vka_weights_at(model.table, i)->changes);
    vka_lora_close(lora);
    mix = NULL;
    lora = NULL;
    file_clear();
}

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* [rows, k] x [k, columns] times scale. */
static double *product(const float *a, const float *b, size_t rows, size_t k, size_t columns, double scale)
{
    double *d = zeros(rows * columns);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            for (size_t l = 0; l < k; l++)
                d[r * columns + c] += scale * (double)a[r * k + l] * (double)b[l * columns + c];
    return d;
}

/* ---- families ---- */

#define Q  "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
#define O  "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"
#define C  "lora_unet_input_blocks_1_0_in_layers_2"
#define C2 "lora_unet_down_blocks_0_resnets_0_conv1"
#define P  "lora_unet_down_blocks_0_attentions_0_proj_in"

static void plain(void **unused)
{
    (void)unused;
    const float *down = put(Q ".lora_down.weight", 2, 5, 20), *up = put(Q ".lora_up.weight", 2, 80, 5);
    put_number(Q ".alpha", 3);
    const float *pd = put(P ".lora_down.weight", 4, 2, 8, 1, 1), *pu = put(P ".lora_up.weight", 4, 8, 2, 1, 1);
    begin(-0.7);
    assert_string_equal(vka_lora_describe(lora)->algorithm, "lora");
    compare(ATTENTION "to_q.weight", product(up, down, 80, 5, 20, -0.7 * 3 / 5));
    compare("down_blocks.0.attentions.0.proj_in.weight", product(pu, pd, 8, 2, 8, -0.7)); /* no alpha: the rank */
    assert_null(vka_weights_find(model.table, ATTENTION "to_out.0.weight")->changes);
    end();
}

static void convolution(void **unused)
{
    (void)unused;
    const float *down = put(C ".lora_down.weight", 4, 3, 6, 3, 3), *up = put(C ".lora_up.weight", 4, 70, 3, 1, 1);
    put_number(C ".alpha", 6);
    begin(0.5);
    assert_string_equal(vka_lora_describe(lora)->algorithm, "locon");
    compare("down_blocks.0.resnets.0.conv1.weight", product(up, down, 70, 3, 54, 0.5 * 2));
    end();
}

/* up [70, r], mid [r, q, 9], down [q, 6] */
static void tucker(void **unused)
{
    (void)unused;
    const float *down = put(C2 ".lora_down.weight", 4, 4, 6, 1, 1), *mid = put(C2 ".lora_mid.weight", 4, 4, 4, 3, 3),
                *up = put(C2 ".lora_up.weight", 4, 70, 4, 1, 1);
    put_number(C2 ".alpha", 1);
    begin(1.25);
    double *d = zeros(70 * 54);
    for (size_t o = 0; o < 70; o++)
        for (size_t c = 0; c < 6; c++)
            for (size_t tap = 0; tap < 9; tap++)
                for (size_t m = 0; m < 4; m++)
                    for (size_t n = 0; n < 4; n++)
                        d[o * 54 + c * 9 + tap] +=
                            1.25 / 4 * (double)up[o * 4 + m] * (double)mid[(m * 4 + n) * 9 + tap] * (double)down[n * 6 + c];
    compare("down_blocks.0.resnets.0.conv1.weight", d);
    end();
}

static void loha(void **unused)
{
    (void)unused;
    const float *a = put(Q ".hada_w1_a", 2, 80, 4), *b = put(Q ".hada_w1_b", 2, 4, 20), *c = put(Q ".hada_w2_a", 2, 80, 4),
                *e = put(Q ".hada_w2_b", 2, 4, 20);
    put_number(Q ".alpha", 2);
    /* Tucker: w1_a [r, 70], t [r, r, 9], w1_b [r, 6] */
    const float *t1 = put(C ".hada_t1", 4, 3, 3, 3, 3), *wa = put(C ".hada_w1_a", 2, 3, 70),
                *wb = put(C ".hada_w1_b", 2, 3, 6);
    const float *t2 = put(C ".hada_t2", 4, 3, 3, 3, 3), *xa = put(C ".hada_w2_a", 2, 3, 70),
                *xb = put(C ".hada_w2_b", 2, 3, 6);
    begin(0.9);
    assert_string_equal(vka_lora_describe(lora)->algorithm, "loha");
    double *one = product(a, b, 80, 4, 20, 1), *two = product(c, e, 80, 4, 20, 1);
    for (size_t i = 0; i < 80 * 20; i++)
        one[i] *= two[i] * 0.9 / 2;
    free(two);
    compare(ATTENTION "to_q.weight", one);
    double *d = zeros(70 * 54);
    for (size_t o = 0; o < 70; o++)
        for (size_t ch = 0; ch < 6; ch++)
            for (size_t tap = 0; tap < 9; tap++) {
                double x = 0, y = 0;
                for (size_t i = 0; i < 3; i++)
                    for (size_t j = 0; j < 3; j++) {
                        x += (double)t1[(i * 3 + j) * 9 + tap] * (double)wa[i * 70 + o] * (double)wb[j * 6 + ch];
                        y += (double)t2[(i * 3 + j) * 9 + tap] * (double)xa[i * 70 + o] * (double)xb[j * 6 + ch];
                    }
                d[o * 54 + ch * 9 + tap] = 0.9 * x * y;
            }
    compare("down_blocks.0.resnets.0.conv1.weight", d);
    end();
}

static double *kron(const double *w1, const double *w2, size_t a, size_t b, size_t c, size_t d, size_t taps, double scale)
{
    double *out = zeros(a * b * c * d * taps);
    for (size_t i = 0; i < a; i++)
        for (size_t k = 0; k < c; k++)
            for (size_t j = 0; j < b; j++)
                for (size_t e = 0; e < d * taps; e++)
                    out[(i * c + k) * b * d * taps + j * d * taps + e] = scale * w1[i * b + j] * w2[k * d * taps + e];
    return out;
}

static double *doubles(const float *p, size_t n)
{
    double *d = zeros(n);
    for (size_t i = 0; i < n; i++)
        d[i] = (double)p[i];
    return d;
}

static void lokr(void **unused)
{
    (void)unused;
    /* both whole: no scale; both factorised; a convolution with a middle */
    const float *w1 = put(Q ".lokr_w1", 2, 4, 5), *w2 = put(Q ".lokr_w2", 2, 20, 4);
    put_number(Q ".alpha", 7);
    const float *a1 = put(O ".lokr_w1_a", 2, 3, 2), *b1 = put(O ".lokr_w1_b", 2, 2, 4), *a2 = put(O ".lokr_w2_a", 2, 4, 2),
                *b2 = put(O ".lokr_w2_b", 2, 2, 3);
    put_number(O ".alpha", 1);
    const float *c1 = put(C ".lokr_w1", 2, 7, 2), *ca = put(C ".lokr_w2_a", 2, 2, 10), *cb = put(C ".lokr_w2_b", 2, 2, 3),
                *ct = put(C ".lokr_t2", 4, 2, 2, 3, 3);
    begin(0.6);
    double *x = doubles(w1, 20), *y = doubles(w2, 80);
    compare(ATTENTION "to_q.weight", kron(x, y, 4, 5, 20, 4, 1, 0.6));
    free(x);
    free(y);
    x = product(a1, b1, 3, 2, 4, 1);
    y = product(a2, b2, 4, 2, 3, 1);
    compare(ATTENTION "to_out.0.weight", kron(x, y, 3, 4, 4, 3, 1, 0.6 / 2));
    free(x);
    free(y);
    x = doubles(c1, 14);
    y = zeros(10 * 27);
    for (size_t p = 0; p < 10; p++)
        for (size_t r = 0; r < 3; r++)
            for (size_t tap = 0; tap < 9; tap++)
                for (size_t i = 0; i < 2; i++)
                    for (size_t j = 0; j < 2; j++)
                        y[(p * 3 + r) * 9 + tap] +=
                            (double)ct[(i * 2 + j) * 9 + tap] * (double)ca[i * 10 + p] * (double)cb[j * 3 + r];
    compare("down_blocks.0.resnets.0.conv1.weight", kron(x, y, 7, 2, 10, 3, 9, 0.6));
    free(x);
    free(y);
    end();
}

/* scale * (W a1 a2 + b1 b2), tap by tap of W. */
static double *glora_delta(const float *w, const float *a1, const float *a2, const float *b1, const float *b2, size_t rows,
                           size_t in, size_t taps, size_t r, double scale)
{
    double *a = product(a1, a2, in, r, in, 1), *d = product(b1, b2, rows, r, in * taps, scale);
    for (size_t o = 0; o < rows; o++)
        for (size_t j = 0; j < in; j++)
            for (size_t tap = 0; tap < taps; tap++)
                for (size_t i = 0; i < in; i++)
                    d[(o * in + j) * taps + tap] += scale * (double)w[(o * in + i) * taps + tap] * a[i * in + j];
    free(a);
    return d;
}

static void glora(void **unused)
{
    (void)unused;
    const float *a1 = put(Q ".a1.weight", 2, 20, 3), *a2 = put(Q ".a2.weight", 2, 3, 20), *b1 = put(Q ".b1.weight", 2, 80, 3),
                *b2 = put(Q ".b2.weight", 2, 3, 20);
    put_number(Q ".alpha", 2);
    /* as LyCORIS 1 wrote it */
    const float *o2 = put(O ".a1.weight", 2, 3, 12), *o1 = put(O ".a2.weight", 2, 12, 3), *p2 = put(O ".b1.weight", 2, 3, 12),
                *p1 = put(O ".b2.weight", 2, 12, 3);
    const float *c1 = put(C ".a1.weight", 4, 6, 2, 1, 1), *c2 = put(C ".a2.weight", 4, 2, 6, 1, 1),
                *d1 = put(C ".b1.weight", 4, 70, 2, 1, 1), *d2 = put(C ".b2.weight", 4, 2, 6, 3, 3);
    begin(0.8);
    compare(ATTENTION "to_q.weight",
            glora_delta(model.data[index_of(ATTENTION "to_q.weight")], a1, a2, b1, b2, 80, 20, 1, 3, 0.8 * 2 / 3));
    compare(ATTENTION "to_out.0.weight",
            glora_delta(model.data[index_of(ATTENTION "to_out.0.weight")], o1, o2, p1, p2, 12, 12, 1, 3, 0.8));
    compare("down_blocks.0.resnets.0.conv1.weight", glora_delta(model.data[2], c1, c2, d1, d2, 70, 6, 9, 2, 0.8));
    end();
}

static double *times(const float *p, size_t n, double scale)
{
    double *d = doubles(p, n);
    for (size_t i = 0; i < n; i++)
        d[i] *= scale;
    return d;
}

static void differences(void **unused)
{
    (void)unused;
    const float *w = put(O ".diff", 2, 12, 12), *b = put(O ".diff_b", 1, 12);
    const float *n = put("lora_unet_down_blocks_0_resnets_0_norm1.w_norm", 1, 8),
                *nb = put("lora_unet_down_blocks_0_resnets_0_norm1.b_norm", 1, 8);
    const float *cb = put(C ".diff_b", 1, 70);
    begin(0.3);
    assert_string_equal(vka_lora_describe(lora)->algorithm, "full");
    compare(ATTENTION "to_out.0.weight", times(w, 144, 0.3));
    compare(ATTENTION "to_out.0.bias", times(b, 12, 0.3));
    compare("down_blocks.0.resnets.0.norm1.weight", times(n, 8, 0.3));
    compare("down_blocks.0.resnets.0.norm1.bias", times(nb, 8, 0.3));
    compare("down_blocks.0.resnets.0.conv1.bias", times(cb, 70, 0.3));
    assert_null(vka_weights_find(model.table, "down_blocks.0.resnets.0.conv1.weight")->changes);
    end();
}

static void ia3(void **unused)
{
    (void)unused;
    const float *in = put(Q ".weight", 1, 20), *out = put(C ".weight", 4, 1, 70, 1, 1);
    put_number(Q ".on_input", 1);
    put_number(C ".on_input", 0);
    begin(0.4);
    const float *q = model.data[6], *c = model.data[2];
    double *d = zeros(1600), *e = zeros(70 * 54);
    for (size_t i = 0; i < 1600; i++)
        d[i] = 0.4 * (double)q[i] * (double)in[i % 20];
    for (size_t i = 0; i < 70 * 54; i++)
        e[i] = 0.4 * (double)c[i] * (double)out[i / 54];
    compare(ATTENTION "to_q.weight", d);
    compare("down_blocks.0.resnets.0.conv1.weight", e);
    end();
}

/* weight * ((W + delta) m / |W + delta| - W); by row, or by input channel. */
static double *dora_delta(const float *w, double *delta, const float *m, size_t rows, size_t in, size_t taps, bool channels,
                          double weight)
{
    size_t k = in * taps;
    double *norm = zeros(channels ? in : rows);
    for (size_t i = 0; i < rows * k; i++) {
        delta[i] += (double)w[i];
        norm[channels ? i % k / taps : i / k] += delta[i] * delta[i];
    }
    for (size_t i = 0; i < rows * k; i++) {
        size_t n = channels ? i % k / taps : i / k;
        delta[i] = weight * (delta[i] * (double)m[n] / sqrt(norm[n]) - (double)w[i]);
    }
    free(norm);
    return delta;
}

static void dora(void **unused)
{
    (void)unused;
    const float *down = put(Q ".lora_down.weight", 2, 5, 20), *up = put(Q ".lora_up.weight", 2, 80, 5),
                *m = put(Q ".dora_scale", 2, 80, 1);
    put_number(Q ".alpha", 10);
    const float *hd = put(O ".hada_w1_a", 2, 12, 2), *he = put(O ".hada_w1_b", 2, 2, 12), *hf = put(O ".hada_w2_a", 2, 12, 2),
                *hg = put(O ".hada_w2_b", 2, 2, 12), *hm = put(O ".dora_scale", 2, 1, 12);
    const float *cd = put(C ".lora_down.weight", 4, 3, 6, 3, 3), *cu = put(C ".lora_up.weight", 4, 70, 3, 1, 1),
                *cm = put(C ".dora_scale", 4, 1, 6, 1, 1);
    begin(0.5);
    assert_string_equal(vka_lora_describe(lora)->algorithm, "dora");
    compare(ATTENTION "to_q.weight", dora_delta(model.data[6], product(up, down, 80, 5, 20, 2), m, 80, 20, 1, false, 0.5));
    double *one = product(hd, he, 12, 2, 12, 1), *two = product(hf, hg, 12, 2, 12, 1);
    for (size_t i = 0; i < 144; i++)
        one[i] *= two[i];
    free(two);
    compare(ATTENTION "to_out.0.weight", dora_delta(model.data[7], one, hm, 12, 12, 1, true, 0.5));
    compare("down_blocks.0.resnets.0.conv1.weight",
            dora_delta(model.data[2], product(cu, cd, 70, 3, 54, 1), cm, 70, 6, 9, true, 0.5));
    end();
}

/* PEFT's names, rank-stabilised scales by layer, magnitudes, and a bias of B. */
static void peft(void **unused)
{
    (void)unused;
#define B "base_model.model." ATTENTION
    const float *down = put(B "to_q.lora_A.default.weight", 2, 4, 20), *up = put(B "to_q.lora_B.default.weight", 2, 80, 4);
    const float *od = put(B "to_out.0.lora_A.weight", 2, 2, 12), *ou = put(B "to_out.0.lora_B.weight", 2, 12, 2),
                *ob = put(B "to_out.0.lora_B.bias", 1, 12), *om = put(B "to_out.0.lora_magnitude_vector", 1, 12);
    static const char *const metadata[][2] = {
        {"lora_adapter_metadata",
         "{\"unet.lora_alpha\": 8, \"unet.use_rslora\": true, \"unet.alpha_pattern\": {\"attn1.to_out.0\": 3}}"}};
    vka_lora_fit fit;
    const struct vka_lora_tables tables = {.unet = model.table};
    assert_int_equal(file_open(&lora, metadata, 1, NULL), VKA_OK);
    assert_string_equal(vka_lora_describe(lora)->dialect, "peft");
    mix = vka_lora_mix_create();
    assert_int_equal(vka_lora_mix_add(mix, lora, &tables, 1, 1, &fit, NULL), VKA_OK);
    compare(ATTENTION "to_q.weight", product(up, down, 80, 4, 20, 8 / sqrt(4)));
    double scale = 3 / sqrt(2);
    compare(ATTENTION "to_out.0.weight",
            dora_delta(model.data[7], product(ou, od, 12, 2, 12, scale), om, 12, 12, 1, false, 1));
    compare(ATTENTION "to_out.0.bias", times(ob, 12, scale));
    end();
}

/* Several files: each adds to what the model's file says, in the order given; their weights may change. */
static void several(void **unused)
{
    (void)unused;
    const float *down = put(Q ".lora_down.weight", 2, 5, 20), *up = put(Q ".lora_up.weight", 2, 80, 5);
    begin(0.5);
    vka_lora_fit fit;
    const struct vka_lora_tables tables = {.unet = model.table};
    assert_int_equal(vka_lora_mix_add(mix, lora, &tables, 2, 1, &fit, NULL), VKA_OK);
    compare(ATTENTION "to_q.weight", product(up, down, 80, 5, 20, 2.5));
    vka_lora_mix_weigh(mix, 0, -1, 0);
    compare(ATTENTION "to_q.weight", product(up, down, 80, 5, 20, 1));
    vka_lora_mix_weigh(mix, 1, 0, 0);
    compare(ATTENTION "to_q.weight", product(up, down, 80, 5, 20, -1));
    vka_lora_mix_weigh(mix, 0, 0, 0);
    float now[1600];
    vka_lora_numbers(vka_weights_find(model.table, ATTENTION "to_q.weight")->changes, 0, 1600, now);
    assert_memory_equal(now, model.data[6], sizeof now);
    end();
}

/* ---- faults ---- */

static void refused(const char *what, const char *why)
{
    vka_error err = {0};
    assert_int_equal(try_mix(1, &err), VKA_E_INPUT);
    if (!strstr(err.what, what) || (why && !strstr(err.why, why)))
        fail_msg("'%s' / '%s' is not about '%s' / '%s'", err.what, err.why, what, why ? why : "");
    end();
}

static void faults(void **unused)
{
    (void)unused;
    put(Q ".lora_down.weight", 2, 80, 5);
    put(Q ".lora_up.weight", 2, 5, 20);
    refused("swapped", NULL);
    put(Q ".lora_down.weight", 2, 5, 20);
    put(Q ".lora_up.weight", 2, 80, 4);
    refused("ranks", "[80, 4] and [5, 20]");
    put(Q ".lora_up.weight", 2, 80, 4);
    refused("up but no down", NULL);
    put(Q ".lora_down.weight", 2, 4, 24);
    put(Q ".lora_up.weight", 2, 80, 4);
    refused("another shape", "[80, 20]");
    put("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 2, 4, 2048);
    put("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight", 2, 80, 4);
    refused("none of its 1 layers", "SDXL");
    *put(Q ".lora_down.weight", 2, 4, 20) = NAN;
    put(Q ".lora_up.weight", 2, 80, 4);
    refused("NaN", NULL);
    put(Q ".lora_down.weight", 2, 4, 20);
    put(Q ".lora_up.weight", 2, 80, 4);
    put_number(Q ".alpha", (double)INFINITY);
    refused("alpha", NULL);
    put(Q ".oft_blocks", 3, 4, 5, 5);
    refused("OFT", NULL);
    put("hello.world", 1, 3);
    refused("is not a LoRA", NULL);
    put(Q ".hada_w1_a", 2, 80, 4);
    put(Q ".lora_up.weight", 2, 80, 4);
    refused("mixes several", NULL);
    put(P ".diff_b", 1, 8);
    refused("bias", NULL);
}

/* ---- the product ---- */

static void products(void **unused)
{
    (void)unused;
    static const size_t sizes[][3] = {{1, 1, 1}, {4, 3, 16}, {5, 7, 17}, {9, 128, 33}, {64, 40, 100}, {3, 0, 5}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2], all = vka_gemm_panels(k, n);
        float *a = calloc(m * k + 1, sizeof *a), *b = calloc(k * n + 1, sizeof *b), *p = calloc(all + 1, sizeof *p),
              *c = calloc(m * n, sizeof *c), *one = calloc(m * n, sizeof *one);
        assert_true(a && b && p && c && one);
        for (size_t i = 0; i < m * k; i++)
            a[i] = draw();
        for (size_t i = 0; i < k * n; i++)
            b[i] = draw();
        for (size_t i = 0; i < m * n; i++)
            c[i] = one[i] = draw();
        for (size_t r = 0; r < k; r++)
            vka_gemm_panel_row(p, k, n, r, b + r * n);
        float *want = malloc(m * n * sizeof *want);
        assert_non_null(want);
        for (size_t i = 0; i < m; i++) /* one sum in order, each operation rounded: these very bits */
            for (size_t j = 0; j < n; j++) {
                volatile float sum = 0, product_, scaled;
                for (size_t l = 0; l < k; l++) {
                    product_ = a[i * k + l] * b[l * n + j];
                    sum = sum + product_;
                }
                scaled = 0.75f * sum;
                want[i * n + j] = c[i * n + j] + scaled;
            }
        vka_gemm_add(c, n, a, k, p, m, k, n, 0.75f);
        assert_memory_equal(c, want, m * n * sizeof *c);
        for (size_t i = 0; i < m; i++)
            vka_gemm_add(one + i * n, n, a + i * k, k, p, 1, k, n, 0.75f);
        assert_memory_equal(one, want, m * n * sizeof *c);
        free(a);
        free(b);
        free(p);
        free(c);
        free(one);
        free(want);
    }
}

/* ---- PATH[:WEIGHT[:TEXT]] ---- */

static void is_spec(const char *text, const char *path, double weight, double text_weight)
{
    char *p;
    double w, t;
    assert_int_equal(vka_lora_spec_parse(text, &p, &w, &t, NULL), VKA_OK);
    assert_string_equal(p, path);
    assert_true(w == weight && t == text_weight);
    free(p);
}

static void specs(void **unused)
{
    (void)unused;
    is_spec("a.safetensors", "a.safetensors", 1, 1);
    is_spec("a.safetensors:0.8", "a.safetensors", 0.8, 0.8);
    is_spec("a.safetensors:-0.8:.5", "a.safetensors", -0.8, 0.5);
    is_spec("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1, 1);
    is_spec("C:\\loras\\a.safetensors:2", "C:\\loras\\a.safetensors", 2, 2);
    is_spec("x:1:2:3", "x:1", 2, 3);
    is_spec("x:y:2", "x:y", 2, 2);
    is_spec("x:", "x:", 1, 1);
    is_spec("x:nan", "x:nan", 1, 1);
    is_spec("x:0.5x", "x:0.5x", 1, 1);
    is_spec(":5", ":5", 1, 1);
    char path[600], longer[620];
    snprintf(path, sizeof path, "%s", in_folder("odd:0.5"));
    write_text(path, "");
    is_spec(path, path, 1, 1); /* such a file is there */
    snprintf(longer, sizeof longer, "%s:0.25:4", path);
    is_spec(longer, path, 0.25, 4);
}

static int set_up(void **unused)
{
    model_make();
    return make_folder(unused);
}

static int tear_down(void **unused)
{
    model_free();
    return remove_folder(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),    cmocka_unit_test(convolution), cmocka_unit_test(tucker),      cmocka_unit_test(loha),
        cmocka_unit_test(lokr),     cmocka_unit_test(glora),       cmocka_unit_test(differences), cmocka_unit_test(ia3),
        cmocka_unit_test(dora),     cmocka_unit_test(peft),        cmocka_unit_test(several),     cmocka_unit_test(faults),
        cmocka_unit_test(products), cmocka_unit_test(specs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
