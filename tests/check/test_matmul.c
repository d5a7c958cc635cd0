/* test_matmul.c - linear layers and convolutions on the device against tests/reference_c/ref_matmul.h: both storage
 * types, both kernel modes, odd shapes, guard bands, NaN wherever nobody wrote, and parts that give the bits of the
 * whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_matmul.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;
static bool on_matrix; /* $VKA_CHECK_PATH or the device takes matrix units: the portable kernels are another run's */

/* Which kernels: the device's own, those of a software device without 64-bit integers, those of a GPU, those of a GPU with
 * few registers. */
enum mode { OWN, NARROW, STAGING, FEW };
static const char *const modes[] = {"own kernels", "narrow loads", "staging", "staging in few registers"};

enum {
    CONV = 1,
    NORM = 2,
    SILU_IN = 4,
    SAMPLE_BIAS = 8,
    ADD = 16,
    NO_BIAS = 32,
    OUT_F32 = 64,
    X_F32 = 128,
    GLOBAL = 256,
    ONE_BIAS = 512 /* the sample bias is one for all */,
    IN_PLACE = 1024, /* added in place */
    POSITIONS = 2048 /* added to x by frame */
};

struct shape {
    const char *name;
    uint32_t branches, frames, h, w, c1, c2, n;
    uint32_t flags;
    uint32_t act, stacked, heads_in, heads_out;
    uint32_t kernel, stride, pad[4], up_h, up_w;
    uint32_t e1, e2; /* channels of the shortcut's inputs; of a linear layer's second one with a weight of its own */
};

/* clang-format off */
#define SAME .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}
static const struct shape shapes[] = {
    /* branches, frames, h, w, c1, c2, n, flags */
    {.name = "one pixel", 1, 1, 1, 1, 40, 0, 33, GLOBAL},
    {.name = "77 tokens", 1, 1, 1, 77, 64, 0, 100, GLOBAL, .act = VKA_ACT_QUICK_GELU},
    {.name = "three in, four out", 1, 3, 5, 7, 3, 0, 4, 0},
    {.name = "plain", 2, 2, 13, 9, 40, 0, 64, NO_BIAS},
    {.name = "silu out", 1, 2, 4, 4, 20, 0, 33, 0, .act = VKA_ACT_SILU},
    {.name = "gelu", 1, 2, 4, 4, 20, 0, 20, 0, .act = VKA_ACT_GELU},
    {.name = "geglu", 1, 3, 3, 5, 33, 0, 72, 0, .act = VKA_ACT_GEGLU},
    {.name = "geglu, odd half", 1, 2, 3, 5, 40, 0, 42, ADD | IN_PLACE, .act = VKA_ACT_GEGLU},
    {.name = "add", 2, 3, 6, 6, 80, 0, 77, ADD | IN_PLACE},
    {.name = "two inputs, norm, silu", 1, 3, 4, 5, 33, 20, 40, NORM | SILU_IN},
    {.name = "two small inputs, norm", 1, 3, 4, 5, 4, 4, 40, NORM},
    {.name = "two inputs, norm, full pitch", 1, 2, 4, 5, 33, 23, 40, NORM},
    {.name = "two inputs", 1, 2, 13, 9, 64, 40, 64, ADD},
    {.name = "norm", 1, 3, 4, 4, 64, 0, 64, NORM},
    {.name = "silu in, fp32", 1, 1, 1, 2, 64, 0, 96, GLOBAL | SILU_IN | OUT_F32 | X_F32},
    {.name = "q, k, v", 1, 2, 3, 7, 40, 0, 40, NO_BIAS, .stacked = 2, .heads_out = 2},
    {.name = "k, v in two", 1, 2, 3, 7, 40, 0, 30, 0, .stacked = 1, .heads_out = 3},
    {.name = "heads in", 1, 2, 3, 7, 60, 0, 40, ADD, .heads_in = 5},
    {.name = "sample bias", 1, 4, 3, 3, 16, 0, 36, SAMPLE_BIAS, .act = VKA_ACT_SILU},
    {.name = "positions", 2, 5, 3, 5, 20, 0, 36, POSITIONS, .act = VKA_ACT_SILU},
    {.name = "positions, q, k, v", 2, 3, 3, 7, 40, 0, 40, NO_BIAS | POSITIONS, .stacked = 2, .heads_out = 2},
    {.name = "1x1", 1, 2, 13, 9, 20, 0, 24, CONV, .kernel = 1, .stride = 1},
    {.name = "3x3 from 4", 1, 2, 8, 8, 4, 0, 40, CONV | X_F32, SAME},
    {.name = "3x3 to 4", 1, 2, 13, 9, 40, 0, 4, CONV | OUT_F32, SAME},
    {.name = "3x3, biases", 2, 2, 5, 6, 33, 0, 64, CONV | SAMPLE_BIAS | ONE_BIAS, SAME},
    {.name = "3x3, bias per sample", 1, 3, 5, 6, 16, 0, 20, CONV | SAMPLE_BIAS, SAME},
    {.name = "3x3, add", 1, 2, 5, 6, 40, 0, 77, CONV | ADD | IN_PLACE, SAME},
    {.name = "stride 2", 1, 2, 13, 9, 20, 0, 40, CONV, .kernel = 3, .stride = 2, .pad = {1, 1, 1, 1}},
    {.name = "stride 2, asymmetric", 1, 2, 12, 9, 20, 0, 40, CONV, .kernel = 3, .stride = 2, .pad = {0, 1, 0, 1}},
    {.name = "upsample 7x5 to 13x9", 1, 2, 7, 5, 24, 0, 40, CONV, SAME, .up_h = 13, .up_w = 9},
    {.name = "many rows", 1, 2, 33, 32, 24, 0, 136, CONV, SAME, .act = VKA_ACT_SILU},
    {.name = "shortcut", 2, 2, 5, 6, 24, 0, 40, CONV, SAME, .e1 = 20},
    {.name = "shortcut of two", 1, 3, 5, 7, 20, 0, 33, CONV | SAMPLE_BIAS | ONE_BIAS, SAME, .e1 = 33, .e2 = 12},
    {.name = "many rows, shortcut of two", 1, 2, 33, 32, 12, 0, 136, CONV, SAME, .e1 = 24, .e2 = 9},
    {.name = "inputs with weights of their own", 1, 2, 5, 7, 20, 0, 33, ADD, .e1 = 12},
    {.name = "inputs with weights of their own, geglu", 1, 2, 5, 7, 33, 0, 72, 0, .act = VKA_ACT_GEGLU, .e1 = 16},
    {.name = "many rows, positions", 1, 3, 33, 32, 24, 0, 136, NO_BIAS | POSITIONS},
    {.name = "many rows, geglu", 1, 2, 33, 32, 24, 0, 144, ADD | IN_PLACE, .act = VKA_ACT_GEGLU},
    {.name = "many rows of two inputs, norm", 1, 2, 33, 32, 20, 12, 200, NORM | SAMPLE_BIAS},
    {.name = "one pixel, 3x3", 1, 3, 1, 1, 20, 0, 40, CONV, SAME},
};

/* For matrix units, which take products of 64 k and more: blocks of k that end within a fragment, inputs that end within a
 * block, norms that begin on an odd channel, rows and columns that end within a tile. */
static const struct shape long_shapes[] = {
    {.name = "one row", 1, 1, 1, 1, 64, 0, 33, 0},
    {.name = "72 channels", 1, 3, 5, 7, 72, 0, 40, 0},
    {.name = "72 channels, silu in, out", 1, 3, 5, 7, 72, 0, 96, SILU_IN | OUT_F32, .act = VKA_ACT_SILU},
    {.name = "two inputs, odd pitches", 1, 3, 4, 5, 33, 52, 77, ADD | IN_PLACE},
    {.name = "two inputs, odd norm, silu", 1, 3, 4, 5, 33, 52, 40, NORM | SILU_IN | SAMPLE_BIAS},
    {.name = "two inputs, norm", 1, 3, 4, 5, 40, 28, 40, NORM},
    {.name = "norm of one pixel", 1, 4, 1, 1, 100, 0, 40, NORM},
    {.name = "long geglu", 1, 3, 3, 5, 72, 0, 144, 0, .act = VKA_ACT_GEGLU},
    {.name = "long geglu, odd half", 1, 2, 3, 5, 80, 0, 84, ADD | IN_PLACE, .act = VKA_ACT_GEGLU},
    {.name = "long positions, q, k, v", 2, 3, 3, 7, 80, 0, 40, NO_BIAS | POSITIONS, .stacked = 2, .heads_out = 2},
    {.name = "long heads in", 1, 2, 3, 7, 100, 0, 40, ADD, .heads_in = 5},
    {.name = "long 1x1", 1, 2, 13, 9, 68, 0, 24, CONV, .kernel = 1, .stride = 1},
    {.name = "wide", 1, 2, 5, 5, 64, 0, 330, ADD},
    {.name = "long shortcut of two, split", 1, 3, 5, 7, 272, 0, 33, CONV | SAMPLE_BIAS | ADD, SAME, .e1 = 72, .e2 = 60},
    {.name = "long inputs with weights of their own, geglu", 1, 2, 5, 7, 72, 0, 144, 0, .act = VKA_ACT_GEGLU, .e1 = 24},
    {.name = "split, bias by frame", 2, 3, 3, 3, 2600, 0, 40, POSITIONS | ADD | IN_PLACE},
};
/* clang-format on */

static uint32_t slots(uint32_t c, uint32_t heads)
{
    return heads ? heads * vka_pitch(c / heads) : c;
}

static uint32_t slot(uint32_t i, uint32_t c, uint32_t heads)
{
    return heads ? i / (c / heads) * vka_pitch(c / heads) + i % (c / heads) : i;
}

/* [rows, c] spread over the slots of its heads; free it. */
static float *spread(const float *values, size_t rows, uint32_t c, uint32_t heads)
{
    uint32_t wide = slots(c, heads);
    float *out = calloc(rows * wide, sizeof *out);
    assert_non_null(out);
    for (size_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < c; i++)
            out[r * wide + slot(i, c, heads)] = values[r * c + i];
    return out;
}

/* [samples, C] scales and shifts as vka_group_norm returns them; free it. */
static float *norm_values(const float *scale, const float *shift, uint32_t samples, uint32_t c)
{
    uint32_t p = vka_pitch(c);
    float *out = calloc((size_t)samples * 2 * p, sizeof *out);
    assert_non_null(out);
    for (uint32_t s = 0; s < samples; s++)
        for (uint32_t i = 0; i < c; i++) {
            out[(size_t)s * 2 * p + i] = scale[s * c + i];
            out[(size_t)s * 2 * p + p + i] = shift[s * c + i];
        }
    return out;
}

struct data {
    float *x, *x2, *scale, *shift, *weight, *bias, *sample_bias, *add, *positions, *e1, *e2, *extra_weight, *extra_bias;
    double *want; /* as the device lays it out */
    uint32_t samples, out_h, out_w, out_c;
    size_t count;
};

static void make_data(const struct shape *s, enum vka_dtype storage, enum vka_dtype weights, struct data *d)
{
    memset(d, 0, sizeof *d);
    uint32_t samples = s->branches * s->frames, kernel = s->kernel ? s->kernel : 1, c = s->c1 + s->c2,
             n = s->n * (1 + s->stacked);
    uint32_t k = c * kernel * kernel;
    size_t rows = (size_t)samples * s->h * s->w;
    enum vka_dtype in = s->flags & X_F32 ? VKA_F32 : storage;
    d->samples = samples;
    d->x = check_random(1, rows * s->c1, 1.5f);
    d->x2 = check_random(2, rows * s->c2, 1.5f);
    d->scale = check_random(3, (size_t)samples * c, 1.0f);
    d->shift = check_random(4, (size_t)samples * c, 0.5f);
    d->weight = check_random(5, (size_t)n * k, 1.7f / sqrtf((float)k));
    d->bias = check_random(6, n, 0.5f);
    check_round(d->x, rows * s->c1, in);
    check_round(d->x2, rows * s->c2, in);
    check_round(d->weight, (size_t)n * k, weights);
    struct ref_matmul r = {.samples = samples,
                           .h = s->h,
                           .w = s->w,
                           .c1 = s->c1,
                           .c2 = s->c2,
                           .x = d->x,
                           .x2 = d->x2,
                           .silu_in = s->flags & SILU_IN,
                           .weight = d->weight,
                           .bias = s->flags & NO_BIAS ? NULL : d->bias,
                           .n = n,
                           .kernel = kernel,
                           .stride = s->stride ? s->stride : 1,
                           .up_h = s->up_h,
                           .up_w = s->up_w,
                           .act = (enum ref_act)s->act};
    memcpy(r.pad, s->pad, sizeof r.pad);
    uint32_t extra = s->e1 + s->e2;
    d->positions = check_random(9, (size_t)(s->frames + 2) * s->c1, 1.0f);
    d->e1 = check_random(10, rows * s->e1, 1.5f);
    d->e2 = check_random(11, rows * s->e2, 1.5f);
    d->extra_weight = check_random(12, (size_t)n * extra, 1.0f / sqrtf((float)extra + 1));
    d->extra_bias = check_random(13, n, 0.5f);
    check_round(d->e1, rows * s->e1, in);
    check_round(d->e2, rows * s->e2, in);
    check_round(d->extra_weight, (size_t)n * extra, weights);
    r.positions = s->flags & POSITIONS ? d->positions : NULL;
    r.frames = s->frames;
    r.e1 = s->e1, r.e2 = s->e2;
    r.extra1 = d->e1, r.extra2 = d->e2, r.extra_weight = d->extra_weight, r.extra_bias = s->flags & CONV ? d->extra_bias : NULL;
    if (s->flags & NORM)
        r.scale = d->scale, r.shift = d->shift;
    d->out_h = ref_matmul_out_h(&r);
    d->out_w = ref_matmul_out_w(&r);
    uint32_t plain = s->act == VKA_ACT_GEGLU ? n / 2 : n;
    size_t out_rows = (size_t)samples * d->out_h * d->out_w;
    d->sample_bias = check_random(7, (size_t)samples * n, 0.5f);
    if (s->flags & ONE_BIAS)
        for (uint32_t i = n; i < samples * n; i++)
            d->sample_bias[i] = d->sample_bias[i - n];
    d->add = check_random(8, out_rows * plain, 1.0f);
    check_round(d->add, out_rows * plain, storage);
    r.sample_bias = s->flags & SAMPLE_BIAS ? d->sample_bias : NULL;
    r.add = s->flags & ADD ? d->add : NULL;
    double *y = malloc(out_rows * plain * sizeof *y);
    assert_non_null(y);
    ref_matmul(&r, y);
    uint32_t one = slots(s->n, s->heads_out);
    d->out_c = s->act == VKA_ACT_GEGLU ? plain : one * (1 + s->stacked);
    d->count = out_rows * d->out_c;
    d->want = calloc(d->count, sizeof *d->want);
    assert_non_null(d->want);
    for (size_t row = 0; row < out_rows; row++)
        for (uint32_t i = 0; i < plain; i++) {
            uint32_t to = s->act == VKA_ACT_GEGLU ? i : i / s->n * one + slot(i % s->n, s->n, s->heads_out);
            d->want[row * d->out_c + to] = y[row * plain + i];
        }
    free(y);
}

static void free_data(struct data *d)
{
    free(d->x), free(d->x2), free(d->scale), free(d->shift), free(d->weight), free(d->bias), free(d->sample_bias);
    free(d->add), free(d->want), free(d->positions), free(d->e1), free(d->e2), free(d->extra_weight);
    free(d->extra_bias);
}

/* The operator on the device, in parts; free the result. */
static float *run(const struct shape *s, const struct data *d, enum vka_dtype storage, enum vka_dtype weights,
                  enum mode mode, const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, storage, weights, s->branches, s->frames);
    uint32_t samples = d->samples, kernel = s->kernel ? s->kernel : 1, k = (s->c1 + s->c2) * kernel * kernel;
    enum vka_domain domain = s->flags & GLOBAL ? VKA_GLOBAL : VKA_SAMPLE;
    enum vka_dtype in = s->flags & X_F32 ? VKA_F32 : storage;
    static const char *const at[3] = {"at", "at1", "at2"};
    if (mode != OWN)
        c->table.wide_loads = false;
    if (mode != OWN && c->table.path >= VKA_PATH_KHR)
        c->table.path = VKA_PATH_FP16;
    if (mode >= STAGING) {
        c->table.cpu = false, c->table.subgroup_size = 0;
        c->table.max_invocations = storage == VKA_F16 && mode == STAGING ? 128 : 256; /* both workgroup sizes */
        c->table.few_registers = mode == FEW;
    }
    float *x = spread(d->x, (size_t)samples * s->h * s->w, s->c1, s->heads_in);
    float *norm = norm_values(d->scale, d->shift, samples, s->c1 + s->c2);
    vka_tensor tx = check_input(c, "x", domain, in, samples, s->h, s->w, slots(s->c1, s->heads_in), x), x2 = {0},
               tn = {0}, ts = {0}, ta = {0}, out;
    if (s->c2)
        x2 = check_input(c, "x2", domain, in, samples, s->h, s->w, s->c2, d->x2);
    if (s->flags & NORM)
        tn = check_input(c, "norm", domain, VKA_F32, samples, 1, 1, 2 * vka_pitch(s->c1 + s->c2), norm);
    if (s->flags & SAMPLE_BIAS)
        ts = check_input(c, "sample_bias", s->flags & ONE_BIAS ? VKA_GLOBAL : domain, VKA_F32,
                         s->flags & ONE_BIAS ? 1 : samples, 1, 1, s->n, d->sample_bias);
    if (s->flags & ADD)
        ta = check_input(c, "add", domain, storage, samples, d->out_h, d->out_w, d->out_c, d->add);
    for (uint32_t i = 0; i <= s->stacked; i++) {
        const uint64_t dims[4] = {s->n, s->c1 + s->c2, kernel, kernel}, n = s->n;
        check_weight(c, vka_in(vka_scope_root(at[i]), "weight").path, s->flags & CONV || i == 1 ? 4 : 2, dims,
                     d->weight + (size_t)i * s->n * k);
        if (!(s->flags & NO_BIAS))
            check_weight(c, vka_in(vka_scope_root(at[i]), "bias").path, 1, &n, d->bias + (size_t)i * s->n);
    }
    vka_tensor positions = {0}, e1 = {0}, e2 = {0};
    if (s->flags & POSITIONS) {
        const uint64_t dims[3] = {1, s->frames + 2, s->c1};
        check_weight(c, "pos.pe", 3, dims, d->positions);
        positions = vka_weight_rows(&c->build, vka_scope_root("pos"), "pe");
    }
    if (s->e1) {
        const uint64_t dims[4] = {s->n, s->e1 + s->e2, 1, 1}, n = s->n;
        check_weight(c, "extra.weight", s->e2 ? 2 : 4, dims, d->extra_weight);
        check_weight(c, "extra.bias", 1, &n, d->extra_bias);
        e1 = check_input(c, "e1", domain, in, samples, s->h, s->w, s->e1, d->e1);
        if (s->e2)
            e2 = check_input(c, "e2", domain, in, samples, s->h, s->w, s->e2, d->e2);
    }
    if (s->flags & CONV) {
        struct vka_conv_args a = {.at = vka_scope_root("at"),
                                  .kernel = kernel,
                                  .stride = s->stride,
                                  .upsample_h = s->up_h,
                                  .upsample_w = s->up_w,
                                  .shortcut = vka_scope_root(s->e1 ? "extra" : ""),
                                  .x2 = e1,
                                  .x3 = e2,
                                  .act = s->act,
                                  .sample_bias = ts,
                                  .add = ta,
                                  .out_f32 = s->flags & OUT_F32};
        memcpy(a.pad, s->pad, sizeof a.pad);
        out = vka_conv(&c->build, tx, &a);
    } else {
        struct vka_linear_args a = {.at = vka_scope_root("at"),
                                    .stacked = s->stacked,
                                    .heads_out = s->heads_out,
                                    .heads_in = s->heads_in,
                                    .no_bias = s->flags & NO_BIAS,
                                    .x2 = s->e1 ? e1 : x2,
                                    .x2_at = vka_scope_root(s->e1 ? "extra" : ""),
                                    .norm = tn,
                                    .act_in = s->flags & SILU_IN ? VKA_ACT_SILU : VKA_ACT_NONE,
                                    .act = s->act,
                                    .sample_bias = ts,
                                    .positions = positions,
                                    .add = ta,
                                    .out_f32 = s->flags & OUT_F32};
        for (uint32_t i = 0; i < s->stacked; i++)
            a.stack[i] = vka_scope_root(at[i + 1]);
        out = vka_linear(&c->build, tx, &a);
    }
    if (s->flags & IN_PLACE)
        check_in_place(c, out, ta);
    check_run(c, cuts, count);
    const struct vka_tensor_info *info = vka_info(c->graph, out);
    assert_int_equal(info->c, d->out_c);
    assert_int_equal(info->h, d->out_h);
    assert_int_equal(info->w, d->out_w);
    float *values = check_output(c, out);
    check_end(&c);
    free(x);
    free(norm);
    return values;
}

/* A case in one mode: against the reference, then in parts of one sample, of three pixels, and of both ends. */
static void check_shape(const struct shape *s, enum vka_dtype storage, enum vka_dtype weights, enum mode mode)
{
    struct data d;
    char what[200];
    make_data(s, storage, weights, &d);
    snprintf(what, sizeof what, "%s (%s, weights %s, %s)", s->name, storage == VKA_F16 ? "f16" : "f32",
             weights == VKA_F16 ? "f16" : "f32", modes[mode]);
    double k = (double)(s->c1 + s->c2) * (s->kernel ? s->kernel * s->kernel : 1) + s->e1 + s->e2;
    /* What is stored in fp16 has half a unit of 2^-10; matrix units round what a norm or SiLU makes of x to fp16 too. */
    bool rounds = storage == VKA_F16 && (!(s->flags & OUT_F32) || (on_matrix && s->flags & (NORM | SILU_IN)));
    float *whole = run(s, &d, storage, weights, mode, NULL, 0);
    check_close(what, whole, d.want, d.count, rounds ? 1e-3 : 4e-7 * sqrt(k) + 2e-6);
    if (!(s->flags & GLOBAL)) {
        struct vka_cut cuts[512];
        uint32_t count = 0, pixels = d.out_h * d.out_w;
        for (; count < d.samples; count++)
            cuts[count] = (struct vka_cut){.s0 = count, .sn = 1};
        float *parts = run(s, &d, storage, weights, mode, cuts, count);
        check_same(what, parts, whole, d.count);
        free(parts);
        if (!(s->flags & CONV)) {
            for (count = 0; count * 3 < pixels && count < 512; count++)
                cuts[count] = (struct vka_cut){.p0 = count * 3, .pn = pixels - count * 3 < 3 ? pixels - count * 3 : 3};
            parts = run(s, &d, storage, weights, mode, cuts, count);
            check_same(what, parts, whole, d.count);
            free(parts);
        }
    }
    free(whole);
    free_data(&d);
}

/* Every `step`-th shape, beginning with the first'th: pipelines are what costs time here. */
static void some_shapes(enum vka_dtype storage, enum vka_dtype weights, enum mode mode, size_t first, size_t step)
{
    if (on_matrix && (storage != VKA_F16 || mode != OWN))
        return;
    const char *one = getenv("VKA_CHECK_SHAPE");
    for (size_t i = first; i < sizeof shapes / sizeof *shapes; i += step)
        if (!one || strstr(shapes[i].name, one))
            check_shape(&shapes[i], storage, weights, mode);
}

static void f32(void **state)
{
    (void)state;
    some_shapes(VKA_F32, VKA_F32, OWN, 0, 1);
}

static void f16(void **state)
{
    (void)state;
    some_shapes(VKA_F16, VKA_F16, OWN, 0, 1);
}

static void long_products(void **state)
{
    (void)state;
    const char *one = getenv("VKA_CHECK_SHAPE");
    for (size_t i = 0; on_matrix && i < sizeof long_shapes / sizeof *long_shapes; i++)
        if (!one || strstr(long_shapes[i].name, one))
            check_shape(&long_shapes[i], VKA_F16, VKA_F16, OWN);
}

static void mixed(void **state)
{
    (void)state;
    some_shapes(VKA_F32, VKA_F16, OWN, 1, 3);
    some_shapes(VKA_F16, VKA_F32, OWN, 2, 3);
}

static void narrow(void **state)
{
    (void)state;
    some_shapes(VKA_F32, VKA_F32, NARROW, 0, 2);
    some_shapes(VKA_F16, VKA_F16, NARROW, 1, 2);
}

static void staging(void **state)
{
    (void)state;
    some_shapes(VKA_F32, VKA_F32, STAGING, 0, 1);
    some_shapes(VKA_F16, VKA_F16, STAGING, 1, 2);
}

/* The large tiles, which pictures of 1024 pixels take. */
static void large_tiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !on_matrix; i++)
        if (shapes[i].h * shapes[i].w >= 1024) {
            check_shape(&shapes[i], VKA_F16, VKA_F16, FEW);
            check_shape(&shapes[i], VKA_F32, VKA_F16, FEW);
        }
}

/* What the builders refuse, and how they say it. */
static void refusals(void **state)
{
    (void)state;
    static const struct {
        uint32_t rank;
        uint64_t dims[4];
        const char *text;
    } wrong[] = {{2, {8, 15}, "'at.weight' has the shape [8, 15], but the network needs [N, 16]"},
                 {1, {16}, "'at.weight' has the shape [16]"},
                 {4, {8, 16, 3, 3}, "'at.weight' has the shape [8, 16, 3, 3]"},
                 {2, {7, 16}, "'at.weight' has 7 outputs"}};
    float *values = check_random(1, 8 * 16 * 9, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 1);
        vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 1, 2, 2, 16, values);
        check_weight(c, "at.weight", wrong[i].rank, wrong[i].dims, values);
        vka_tensor y =
            vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root("at"), .act = VKA_ACT_GEGLU});
        assert_int_equal(y.id, 0);
        assert_int_equal(c->build.err.status, VKA_E_INPUT);
        if (!strstr(c->build.err.what, wrong[i].text))
            fail_msg("'%s' should say '%s'", c->build.err.what, wrong[i].text);
        check_end(&c);
    }
    struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 1);
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 1, 2, 2, 16, values);
    assert_int_equal(vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root("none")}).id, 0);
    assert_string_equal(c->build.missing[0], "none.weight");
    check_end(&c);
    /* 3 frames, 2 positions */
    const uint64_t dims[2] = {8, 16}, rows[2] = {2, 16};
    c = check_begin(gpu, VKA_F32, VKA_F32, 1, 3);
    x = check_input(c, "x", VKA_SAMPLE, VKA_F32, 3, 2, 2, 16, values);
    check_weight(c, "at.weight", 2, dims, values);
    check_weight(c, "pos.pe", 2, rows, values);
    vka_tensor y =
        vka_linear(&c->build, x, &(struct vka_linear_args){.at = vka_scope_root("at"),
                                                           .positions = vka_weight_rows(&c->build, vka_scope_root("pos"), "pe")});
    assert_int_equal(y.id, 0);
    assert_int_equal(c->build.err.status, VKA_E_USAGE);
    check_end(&c);
    free(values);
}

static int open_device(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    on_matrix = check_table(gpu).path >= VKA_PATH_KHR;
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    check_close_gpu(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32),    cmocka_unit_test(f16),     cmocka_unit_test(long_products),
                                       cmocka_unit_test(mixed),
                                       cmocka_unit_test(narrow), cmocka_unit_test(staging),
                                       cmocka_unit_test(large_tiles), cmocka_unit_test(refusals)};
    cmocka_set_test_filter(getenv("VKA_CHECK_TEST"));
    return cmocka_run_group_tests_name("matmul", tests, open_device, close_device);
}
