/* test_attention.c - attention over pixels, texts and frames on the device against tests/reference_c/ref_attention.h:
 * head sizes 4 to 512, odd numbers of tokens, causal, large logits, both storages and kernels; every way of cutting
 * gives the same bits.  On a matrix path ($VKA_CHECK_PATH) its kernels take the place of the portable ones; besides,
 * tiles that a tuner may choose, keys whose scores rise without end, and what a query's neighbours may not change.
 *
 * Tolerances, on values of V within 1.7.  fp32: 2e-6 for a few ulps of sums.  fp16: half an ulp of the output, 2^-11
 * |y|, hence 5e-4.  Matrix units take weights in fp16, each off by up to 2^-11 of itself, and the output by up to 2^-11
 * of the mean of |V|: 8.3e-4 more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_attention.h"
#include "harness.h"
#include "ops/attention.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;
static bool matrix;                             /* the matrix path is under test */
static uint32_t vendor;                         /* whose tiles it takes, 0: the device's own */
static const struct vka_attention_tile *forced; /* the tile it takes, NULL: its own choice */
static bool poor; /* a GPU with few registers, the least of shared memory and workgroups that Vulkan allows */
static uint32_t group_limit; /* workgroups on one axis, 0: the device's; small ones fold launches */

struct attention_case {
    enum vka_attention_kind kind;
    uint32_t branches, frames, h, w, heads, dim;
    uint32_t tokens, prompts; /* of a cross attention */
    bool causal, global;
    float spread; /* of q: large makes large logits */
    float slope;  /* what K grows by from key to key, for positive q: scores rise along a row */
};

/* One case's tensors.  q lies behind 8 channels of something else; k and v share a tensor: v first, 8 channels, k. */
struct data {
    float *q, *kv;
    int32_t *index;
    uint32_t q_width, kv_width, width;
};

/* Zero in the pads of the head slots from channel `first` on, as the graph promises. */
static void clear_pads(float *x, size_t rows, uint32_t width, uint32_t first, uint32_t heads, uint32_t dim)
{
    for (size_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < heads * vka_pitch(dim); c++)
            if (c % vka_pitch(dim) >= dim)
                x[r * width + first + c] = 0;
}

static double *doubles(const float *v, size_t n)
{
    double *d = malloc(n * sizeof *d);
    assert_non_null(d);
    for (size_t i = 0; i < n; i++)
        d[i] = (double)v[i];
    return d;
}

/* `out` [n, pixels, width] by the reference. */
static void reference(const struct attention_case *k, const struct data *d, double *out)
{
    uint32_t n = k->branches * k->frames, pixels = k->h * k->w, slot = vka_pitch(k->dim);
    bool cross = k->kind == VKA_ATTENTION_CROSS;
    size_t rows = (size_t)n * pixels, kv_rows = cross ? (size_t)k->prompts * k->tokens : rows;
    double *q = doubles(d->q, rows * d->q_width), *kv = doubles(d->kv, kv_rows * d->kv_width);
    double scale = 1 / sqrt(k->dim);
    uint32_t batches = k->kind == VKA_ATTENTION_TEMPORAL ? k->branches * pixels : n;
    for (uint32_t h = 0; h < k->heads; h++)
        for (uint32_t b = 0; b < batches; b++) {
            /* the first token's row, rows between tokens, tokens */
            size_t row = (size_t)b * pixels, kv_row = row, step = 1;
            uint32_t queries = pixels, tokens = pixels;
            if (cross) {
                kv_row = (size_t)d->index[b] * k->tokens;
                tokens = k->tokens;
            } else if (k->kind == VKA_ATTENTION_TEMPORAL) {
                row = kv_row = (size_t)(b / pixels) * k->frames * pixels + b % pixels;
                step = pixels;
                queries = tokens = k->frames;
            }
            ref_attention(q + row * d->q_width + 8 + h * slot, step * d->q_width,
                          kv + kv_row * d->kv_width + d->width + 8 + h * slot, step * d->kv_width,
                          kv + kv_row * d->kv_width + h * slot, step * d->kv_width, out + row * d->width + h * slot,
                          step * d->width, queries, tokens, k->dim, scale, k->causal);
        }
    free(q), free(kv);
}

static void record_forced(const struct vka_node *node, struct vka_recorder *r)
{
    vka_attention_record_tile(node, r, forced);
}

static float *run(const struct attention_case *k, const struct data *d, enum vka_dtype storage, bool cpu,
                  const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, storage, VKA_F32, k->branches, k->frames);
    c->table.cpu = (cpu || matrix) && c->table.cpu;
    c->table.vendor = vendor ? vendor : c->table.vendor;
    if (poor)
        c->table.few_registers = true, c->table.shared_bytes = 16384, c->table.max_invocations = 128;
    c->table.max_groups[0] = group_limit ? group_limit : c->table.max_groups[0];
    uint32_t n = k->branches * k->frames;
    bool cross = k->kind == VKA_ATTENTION_CROSS;
    enum vka_domain domain = k->global ? VKA_GLOBAL : VKA_SAMPLE;
    struct vka_attention_args a = {.kind = k->kind,
                                   .q_channel = 8,
                                   .k_channel = d->width + 8,
                                   .heads = k->heads,
                                   .head_dim = k->dim,
                                   .causal = k->causal,
                                   .label = vka_scope_root("attention")};
    a.q = check_input(c, "q", domain, storage, n, k->h, k->w, d->q_width, d->q);
    a.k = cross ? check_input(c, "text", VKA_GLOBAL, storage, k->prompts, 1, k->tokens, d->kv_width, d->kv)
                : check_input(c, "kv", domain, storage, n, k->h, k->w, d->kv_width, d->kv);
    a.v = a.k;
    if (cross)
        a.index = check_input(c, "index", VKA_SAMPLE, VKA_I32, n, 1, 1, 1, d->index);
    vka_tensor y = vka_attention(&c->build, &a);
    struct vka_op op;
    if (forced && y.id) {
        struct vka_node *node = &c->graph->nodes[c->graph->node_count - 1];
        op = *node->op;
        op.record = record_forced;
        node->op = &op;
    }
    check_run(c, cuts, count);
    float *out = check_output(c, y);
    check_end(&c);
    return out;
}

enum { MAX_CUTS = 64 };

/* Random tensors of a case, rounded to the storage. */
static struct data make_data(const struct attention_case *k, enum vka_dtype storage)
{
    uint32_t n = k->branches * k->frames, pixels = k->h * k->w, width = k->heads * vka_pitch(k->dim);
    bool cross = k->kind == VKA_ATTENTION_CROSS;
    size_t rows = (size_t)n * pixels, kv_rows = cross ? (size_t)k->prompts * k->tokens : rows;
    struct data d = {.width = width, .q_width = 8 + width, .kv_width = 2 * width + 8};
    d.q = check_random(1 + k->dim, rows * d.q_width, k->spread);
    d.kv = check_random(2 + k->dim, kv_rows * d.kv_width, 1.7f);
    d.index = calloc(n, sizeof *d.index);
    assert_non_null(d.index);
    for (size_t i = 0; k->slope > 0 && i < rows * d.q_width; i++)
        d.q[i] = fabsf(d.q[i]);
    for (size_t i = 0; k->slope > 0 && i < kv_rows; i++) {
        size_t token = cross ? i % k->tokens : k->kind == VKA_ATTENTION_TEMPORAL ? i / pixels % k->frames : i % pixels;
        for (uint32_t c = width + 8; c < d.kv_width; c++)
            d.kv[i * d.kv_width + c] += k->slope * (float)token;
    }
    check_round(d.q, rows * d.q_width, storage);
    check_round(d.kv, kv_rows * d.kv_width, storage);
    clear_pads(d.q, rows, d.q_width, 8, k->heads, k->dim);
    clear_pads(d.kv, kv_rows, d.kv_width, 0, k->heads, k->dim);
    clear_pads(d.kv, kv_rows, d.kv_width, width + 8, k->heads, k->dim);
    for (uint32_t s = 0; s < n && k->prompts; s++)
        d.index[s] = (int32_t)((s * 7 + 1) % k->prompts);
    return d;
}

static void free_data(struct data *d)
{
    free(d->q), free(d->kv), free(d->index);
}

static void check_attention(const struct attention_case *k, enum vka_dtype storage, bool cpu)
{
    static const char *const kinds[] = {"spatial", "cross", "temporal"};
    char name[160];
    snprintf(name, sizeof name, "%s%s %s%s, %ux%u of %ux%u, %u heads of %u, %u tokens, spread %g", kinds[k->kind],
             k->causal ? " causal" : "", storage == VKA_F16 ? "f16" : "f32", cpu ? " cpu" : "", k->branches, k->frames,
             k->h, k->w, k->heads, k->dim, k->tokens, (double)k->spread);
    uint32_t n = k->branches * k->frames, pixels = k->h * k->w, width = k->heads * vka_pitch(k->dim);
    size_t rows = (size_t)n * pixels;
    struct data d = make_data(k, storage);
    double *want = calloc(rows * width, sizeof *want);
    assert_non_null(want);
    reference(k, &d, want);

    float *got = run(k, &d, storage, cpu, NULL, 0);
    /* A score is off by some ulps of the sizes it is summed from, and a weight relatively by as much. */
    double largest = (double)k->spread * (1 + (double)k->slope * (k->tokens ? k->tokens : pixels));
    double tolerance = (storage == VKA_F16 ? 5e-4 : 2e-6) + (matrix ? 8.3e-4 : 0) + 2.4e-7 * largest * sqrt(k->dim);
    check_close(name, got, want, rows * width, tolerance);
    for (int way = 0; way < 4 && !k->global; way++) { /* samples, pixels, more pixels, branches */
        struct vka_cut cuts[MAX_CUTS];
        uint32_t all = way == 1 || way == 2 ? pixels : n, count = 0;
        uint32_t step = way == 0 ? 1 : way == 1 ? 1 : way == 2 ? 13 : k->frames;
        if (all > step * MAX_CUTS || all <= step || (way == 1 && pixels > 9))
            continue;
        for (uint32_t at = 0; at < all; at += step) {
            uint32_t m = step < all - at ? step : all - at;
            cuts[count++] = all == pixels && way != 0 && way != 3 ? (struct vka_cut){.p0 = at, .pn = m}
                                                                  : (struct vka_cut){.s0 = at, .sn = m};
        }
        group_limit = way == 0 ? 5 : 0;
        float *again = run(k, &d, storage, cpu, cuts, count);
        check_same(name, again, got, rows * width);
        free(again);
    }
    group_limit = 0;
    free_data(&d);
    free(want), free(got);
}

static const enum vka_attention_kind S = VKA_ATTENTION_SPATIAL, C = VKA_ATTENTION_CROSS, T = VKA_ATTENTION_TEMPORAL;

/* Every head size, three kinds; the large ones in fp32 only, since a software device compiles each for a second. */
static void test_head_sizes(void **state)
{
    (void)state;
    static const uint32_t dims[] = {4, 8, 12, 20, 40, 64, 72, 80, 136, 160, 512};
    for (int mode = 0; mode < 4; mode++)
        for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
            uint32_t d = dims[i], heads = 1 + i % 3;
            enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
            if (storage == VKA_F16 && d > 40)
                continue;
            check_attention(&(struct attention_case){S, 1, 2, 5, 7, heads, d, .spread = 1}, storage, mode & 2);
            check_attention(&(struct attention_case){C, 2, 2, 3, 5, heads, d, 77, 3, .spread = 1}, storage, mode & 2);
            check_attention(&(struct attention_case){T, 2, 5, 3, 3, heads, d, .spread = 1}, storage, mode & 2);
        }
}

/* Heads that take another layout there, with many tokens and few. */
static void test_poor_devices(void **state)
{
    (void)state;
    static const uint32_t dims[] = {20, 40, 64, 160, 512};
    poor = true;
    for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        check_attention(&(struct attention_case){S, 1, 2, 9, 11, 2, dims[i], .spread = 1}, VKA_F32, false);
        check_attention(&(struct attention_case){T, 2, 5, 3, 3, 1, dims[i], .spread = 1}, VKA_F32, false);
    }
    poor = false;
}

static void test_tokens(void **state)
{
    (void)state;
    static const uint32_t frames[] = {1, 2, 7, 16, 24, 31, 32}, tokens[] = {1, 5, 77, 154};
    for (int mode = 0; mode < 4; mode++) {
        enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
        bool cpu = mode & 2;
        for (uint32_t i = 0; i < sizeof frames / sizeof *frames; i++) {
            check_attention(&(struct attention_case){T, 2, frames[i], 3, 5, 8, 8, .spread = 1}, storage, cpu);
            check_attention(&(struct attention_case){T, 1, frames[i], 2, 2, 8, 12, .spread = 2}, storage, cpu);
        }
        check_attention(&(struct attention_case){T, 1, 150, 2, 1, 2, 16, .spread = 1}, storage, cpu);
        for (uint32_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
            check_attention(&(struct attention_case){C, 1, 3, 4, 4, 8, 8, tokens[i], 2, .spread = 1}, storage, cpu);
        check_attention(&(struct attention_case){S, 1, 1, 1, 1, 4, 16, .spread = 1}, storage, cpu);
        check_attention(&(struct attention_case){S, 1, 1, 16, 16, 8, 8, .spread = 1}, storage, cpu);
        check_attention(&(struct attention_case){S, 1, 1, 9, 33, 1, 40, .spread = 1}, storage, cpu);
    }
}

static void test_causal(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
        bool cpu = mode & 2;
        check_attention(&(struct attention_case){S, 1, 2, 1, 77, 4, 32, .causal = true, .global = true, .spread = 1},
                        storage, cpu);
        check_attention(&(struct attention_case){S, 1, 1, 1, 154, 2, 32, .causal = true, .spread = 3}, storage, cpu);
        check_attention(&(struct attention_case){T, 1, 9, 2, 2, 2, 40, .causal = true, .spread = 1}, storage, cpu);
        if (storage == VKA_F32)
            check_attention(&(struct attention_case){S, 1, 1, 3, 50, 2, 160, .causal = true, .spread = 1}, storage,
                            cpu);
    }
}

static void test_large_logits(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        enum vka_dtype storage = mode & 1 ? VKA_F16 : VKA_F32;
        check_attention(&(struct attention_case){S, 1, 1, 6, 6, 2, 40, .spread = 300}, storage, mode & 2);
        check_attention(&(struct attention_case){C, 1, 1, 6, 6, 2, 12, 20, 1, .spread = 1000}, storage, mode & 2);
        check_attention(&(struct attention_case){T, 1, 24, 2, 2, 2, 8, .spread = 10000}, storage, mode & 2);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 2);
        float *zero = check_random(1, 4096, 0);
        struct vka_attention_args a = {.heads = 2, .head_dim = i == 0 ? 520 : 8, .label = vka_scope_root("attention")};
        a.kind = i == 2 ? VKA_ATTENTION_TEMPORAL : VKA_ATTENTION_SPATIAL; /* frames have the same pixels on both sides */
        a.q = check_input(c, "q", VKA_SAMPLE, VKA_F32, 2, 1, 1, 16, zero);
        a.k = a.v = check_input(c, "k", VKA_SAMPLE, VKA_F32, 2, 1, i == 2 ? 3 : 1, 16, zero);
        a.v_channel = i == 1 ? 8 : 0; /* 8 + 2 heads of 8 are more than 16 */
        assert_int_equal(vka_attention(&c->build, &a).id, 0);
        assert_int_equal(c->build.err.status, i == 0 ? VKA_E_INPUT : VKA_E_INTERNAL);
        assert_true(strlen(c->build.err.what) > 10);
        free(zero);
        check_end(&c);
    }
}

/* ---- the matrix path ------------------------------------------------------------------------------------ */

/* The head sizes of Stable Diffusion's UNet, text encoder and VAE and odd ones, over pixels, texts and frames. */
static void test_matrix_heads(void **state)
{
    (void)state;
    static const uint32_t dims[] = {4, 8, 24, 40, 64, 80, 160, 168, 200, 512};
    for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        uint32_t d = dims[i], heads = 1 + i % 3;
        check_attention(&(struct attention_case){S, 1, 2, 5, 7, heads, d, .spread = 1}, VKA_F16, false);
        check_attention(&(struct attention_case){C, 1, 2, 3, 5, heads, d, 77, 3, .spread = 1}, VKA_F16, false);
        if (d < 80)
            check_attention(&(struct attention_case){T, 2, 5, 3, 3, heads, d, .spread = 1}, VKA_F16, false);
    }
    check_attention(&(struct attention_case){S, 1, 1, 9, 11, 8, 40, .spread = 1}, VKA_F16, false);
}

static void test_matrix_tokens(void **state)
{
    (void)state;
    static const uint32_t frames[] = {1, 7, 8, 16, 17, 24, 32, 33}, tokens[] = {1, 5, 16, 33, 77, 154};
    for (uint32_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        check_attention(&(struct attention_case){T, 2, frames[i], 3, 5, 8, 8, .spread = 1}, VKA_F16, false);
        check_attention(&(struct attention_case){T, 1, frames[i], 2, 1, 3, 40, .spread = 2}, VKA_F16, false);
    }
    for (uint32_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        check_attention(&(struct attention_case){C, 1, 3, 4, 4, 8, 8, tokens[i], 2, .spread = 1}, VKA_F16, false);
        check_attention(&(struct attention_case){C, 2, 2, 1, 1, 2, 200, tokens[i], 3, .spread = 1}, VKA_F16, false);
    }
    check_attention(&(struct attention_case){S, 1, 1, 1, 1, 4, 16, .spread = 1}, VKA_F16, false);
    check_attention(&(struct attention_case){S, 1, 1, 16, 16, 4, 8, .spread = 1}, VKA_F16, false);
}

static void test_matrix_causal(void **state)
{
    (void)state;
    static const uint32_t dims[] = {8, 64, 200};
    for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        check_attention(
            &(struct attention_case){S, 1, 2, 1, 77, 2, dims[i], .causal = true, .global = true, .spread = 1}, VKA_F16,
            false);
        check_attention(&(struct attention_case){T, 1, 9, 2, 2, 2, dims[i], .causal = true, .spread = 1}, VKA_F16,
                        false);
    }
    check_attention(&(struct attention_case){S, 1, 1, 1, 154, 2, 8, .causal = true, .spread = 3}, VKA_F16, false);
}

/* Scores of hundreds and thousands, and such as rise along the row, so that the reference must move at every step. */
static void test_matrix_logits(void **state)
{
    (void)state;
    check_attention(&(struct attention_case){S, 1, 1, 6, 6, 2, 40, .spread = 300}, VKA_F16, false);
    check_attention(&(struct attention_case){C, 1, 1, 6, 6, 2, 8, 77, 1, .spread = 1000}, VKA_F16, false);
    check_attention(&(struct attention_case){T, 1, 24, 2, 2, 2, 8, .spread = 10000}, VKA_F16, false);
    static const uint32_t dims[] = {8, 40, 64, 200};
    for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        float slope = 8.0f / sqrtf((float)dims[i]);
        check_attention(&(struct attention_case){S, 1, 1, 10, 11, 1, dims[i], .spread = 1, .slope = slope}, VKA_F16,
                        false);
        check_attention(&(struct attention_case){C, 1, 2, 3, 7, 1, dims[i], 77, 2, .spread = 1, .slope = slope / 16},
                        VKA_F16, false);
    }
}

/* The tiles of GPUs, which a software device does not take by itself, and those that a tuner may choose among: equal
 * bits. */
static void test_matrix_tiles(void **state)
{
    (void)state;
    static const struct attention_case cases[] = {{S, 1, 1, 10, 11, 3, 8, .spread = 1, .slope = 1},
                                                  {C, 1, 2, 9, 5, 3, 8, 101, 2, .spread = 3},
                                                  {T, 1, 24, 3, 3, 3, 8, .spread = 1}};
    static const uint32_t vendors[] = {0x1002, 0x8086, 0x10de}; /* AMD, Intel, NVIDIA */
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct attention_case *k = &cases[i];
        for (uint32_t v = 0; v < 3; v++) {
            vendor = vendors[v];
            check_attention(k, VKA_F16, false);
        }
        struct data d = make_data(k, VKA_F16);
        struct vka_kernel_table t = check_table(gpu);
        struct vka_attention_tile tiles[96];
        const struct vka_attention_shape shape = {8, k->kind == T ? k->frames : k->h * k->w,
                                                  k->kind == T   ? k->frames
                                                  : k->kind == C ? k->tokens
                                                                 : k->h * k->w};
        t.vendor = vendor;
        uint32_t count = vka_attention_tiles(&t, &shape, tiles, sizeof tiles / sizeof *tiles);
        assert_true(count >= 4);
        float *want = NULL;
        for (uint32_t j = 0; j < count; j += j ? 3 : 1) { /* a third of them: LLVM is slow */
            forced = &tiles[j];
            float *got = run(k, &d, VKA_F16, false, NULL, 0);
            if (want)
                check_same("another tile", got, want, (size_t)k->branches * k->frames * k->h * k->w * d.width);
            else
                want = got;
            if (got != want)
                free(got);
        }
        forced = NULL;
        vendor = 0;
        free(want);
        free_data(&d);
    }
}

/* A query whose neighbours' scores leap, so that their references move, keeps its bits. */
static void test_matrix_neighbours(void **state)
{
    (void)state;
    static const uint32_t dims[] = {8, 64, 200};
    for (uint32_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        const struct attention_case k = {S, 1, 1, 10, 11, 1, dims[i], .spread = 1};
        struct data d = make_data(&k, VKA_F16);
        float *before = run(&k, &d, VKA_F16, false, NULL, 0);
        for (uint32_t q = 0; q < k.h * k.w; q++)
            for (uint32_t c = 0; q % 5 != 0 && c < d.q_width; c++)
                d.q[q * d.q_width + c] *= 128;
        float *after = run(&k, &d, VKA_F16, false, NULL, 0);
        bool moved = false;
        for (uint32_t q = 0; q < k.h * k.w; q++) {
            if (q % 5 == 0)
                check_same("beside louder neighbours", after + q * d.width, before + q * d.width, d.width);
            else
                moved = moved || memcmp(after + q * d.width, before + q * d.width, d.width * sizeof *after) != 0;
        }
        assert_true(moved);
        free(before), free(after);
        free_data(&d);
    }
}

/* The path takes the shapes it should: the test above would pass on the portable kernels just as well. */
static void test_matrix_taken(void **state)
{
    (void)state;
    struct vka_kernel_table t = check_table(gpu);
    struct vka_attention_tile tile;
    for (uint32_t slot = 8; slot <= 512; slot += 8) {
        const struct vka_attention_shape shape = {slot, 4096, slot % 16 ? 77 : 4096};
        assert_true(vka_attention_matrix(&t, VKA_F16, &shape, &tile));
        assert_false(vka_attention_matrix(&t, VKA_F32, &shape, &tile));
        assert_true(tile.wide == (slot > 160) && vka_attention_shared(&t, slot, &tile) <= t.shared_bytes);
    }
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest portable[] = {cmocka_unit_test(test_head_sizes),   cmocka_unit_test(test_tokens),
                                          cmocka_unit_test(test_causal),       cmocka_unit_test(test_large_logits),
                                          cmocka_unit_test(test_poor_devices), cmocka_unit_test(test_refusals)};
    const struct CMUnitTest units[] = {cmocka_unit_test(test_matrix_taken),  cmocka_unit_test(test_matrix_heads),
                                       cmocka_unit_test(test_matrix_tokens), cmocka_unit_test(test_matrix_causal),
                                       cmocka_unit_test(test_matrix_logits), cmocka_unit_test(test_matrix_neighbours),
                                       cmocka_unit_test(test_matrix_tiles)};
    matrix = check_table(gpu).path >= VKA_PATH_KHR;
    int failed = matrix ? cmocka_run_group_tests(units, NULL, NULL) : cmocka_run_group_tests(portable, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
