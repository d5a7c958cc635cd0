/* probe.c - what the device can do at best, measured in the same run as everything that is held against it.
 *
 * matrix: cooperative matrices out of registers, where the path uses them.  fma: multiplications and additions out of
 * registers, in fp32 and fp16.  gemm: the project's own linear layer at a big size, checked.  tiled: a plain
 * register-tiled product through addresses.  copy: one large block to another, bytes read and bytes written.
 *
 * The roof R is the best of matrix and gemm where the path takes matrix units, else the best of fma (in fp16 where
 * networks store it) and gemm.  The tiled probe is a yardstick of its own. */
#include "probe.h"

#include "shaders/shaders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One launch takes about this long; a list holds a few. */
static const double launch_seconds = 0.004, launch_seconds_cpu = 0.02;

struct kernel {
    vka_pipeline_key key;
    uint8_t push[VKA_PUSH_BYTES];
    uint32_t push_bytes, groups[3];
};

static vka_status time_kernel(const struct bench_run *r, const struct kernel *k, uint32_t samples,
                              struct bench_samples *out, vka_error *err)
{
    vka_pipeline *pipeline;
    vka_list *list = NULL;
    double seconds;
    out->count = 0;
    vka_status s = vka_gpu_pipeline(r->gpu, &k->key, &pipeline, err);
    if (s == VKA_OK)
        s = vka_list_begin(r->gpu, "probe", &list, err);
    if (s == VKA_OK) {
        vka_list_dispatch(list, pipeline, k->push, k->push_bytes, k->groups, "probe");
        s = vka_list_end(list, err);
    }
    for (uint32_t i = 0; s == VKA_OK && i < samples + 1; i++) { /* the first warms up */
        s = bench_list_run(r->gpu, list, &r->ticker, &seconds, err);
        if (s == VKA_OK && i)
            bench_sample_add(out, 1e3 * seconds);
    }
    vka_list_destroy(r->gpu, &list);
    return s;
}

/* What a probe came to: the best of several forms. */
struct outcome {
    const char *name, *unit;
    double rate; /* FLOP or bytes a second, of the fastest sample */
    struct bench_samples samples;
};

static void keep_best(struct outcome *o, double work, const struct bench_samples *s)
{
    double rate = work / (1e-3 * bench_spread_of(s).min);
    if (s->count && rate > o->rate) {
        o->rate = rate;
        o->samples = *s;
    }
}

static void report(struct bench_run *r, json_t *probes, const struct outcome *o)
{
    bool flops = strcmp(o->unit, "tflops") == 0;
    json_t *p, *samples = json_array();
    double value = o->rate * (flops ? 1e-12 : 1e-9);
    if (o->rate > 0) {
        for (uint32_t i = 0; i < o->samples.count; i++)
            json_array_append_new(samples, json_real(o->samples.ms[i]));
        p = json_pack("{s:s, s:f, s:o}", "name", o->name, o->unit, value, "samples_ms", samples);
        json_array_append_new(probes, p);
        bench_note(r, "  %s: %.4g %s", o->name, value, flops ? "TFLOP/s" : "GB/s");
    } else {
        json_decref(samples);
    }
}

/* ---- the kernels --------------------------------------------------------------------------------------- */

static void set_push(struct kernel *k, const void *push, uint32_t bytes)
{
    memcpy(k->push, push, bytes);
    k->push_bytes = bytes;
}

/* `rounds` of a register kernel so that a launch takes about as long as it should: starts small, grows by what it
 * took.  `per_round`: FLOP of one round of the launch. */
static vka_status grow_rounds(const struct bench_run *r, struct kernel *k, size_t at, double per_round,
                              struct outcome *o, vka_error *err)
{
    double want = r->info.cpu ? launch_seconds_cpu : launch_seconds;
    uint32_t rounds = 16;
    struct bench_samples s;
    vka_status st = VKA_OK;
    for (int tries = 0; st == VKA_OK && tries < 8; tries++) {
        memcpy(k->push + at, &rounds, sizeof rounds);
        st = time_kernel(r, k, 1, &s, err);
        double took = 1e-3 * s.ms[0];
        if (st != VKA_OK || took > 0.5 * want || rounds >= 1u << 24)
            break;
        rounds = (uint32_t)fmin(rounds * fmin(fmax(want / fmax(took, 1e-7), 2), 32), 1u << 24);
    }
    if (st == VKA_OK)
        st = time_kernel(r, k, r->sampling.samples, &s, err);
    if (st == VKA_OK)
        keep_best(o, per_round * rounds, &s);
    return st;
}

static vka_status probe_fma(const struct bench_run *r, bool half, struct outcome *o, vka_error *err)
{
    enum { WORDS = 1 << 20, STEPS = 16 /* of the kernel */ };
    vka_block *block = NULL;
    const float factors[2] = {1, 0};
    vka_status s = vka_block_create(r->gpu, 256 + WORDS * sizeof(float), VKA_MEMORY_DEVICE, false, &block, err);
    if (s == VKA_OK)
        s = vka_block_write(r->gpu, block, 0, factors, sizeof factors, err);
    static const uint32_t forms[] = {2, 3, 4, 8};
    for (uint32_t form = 0; s == VKA_OK && form < sizeof forms / sizeof *forms; form++) {
        struct kernel k = {.groups = {r->info.cpu ? 64 : WORDS / 256, 1, 1}};
        uint32_t lanes = r->info.cpu ? 32 : 256, chains = forms[form];
        struct {
            uint64_t factors, result;
            uint32_t rounds;
        } push = {block->address, block->address + 256, 1};
        k.key.shader = half ? VKA_SHADER_PROBE_FMA_F16 : VKA_SHADER_PROBE_FMA_F32;
        k.key.count = 2;
        k.key.constants[0] = lanes;
        k.key.constants[1] = chains;
        set_push(&k, &push, 20);
        s = grow_rounds(r, &k, 16, 8.0 * chains * (double)STEPS * lanes * k.groups[0], o, err);
    }
    vka_block_destroy(r->gpu, &block);
    return s;
}

static vka_status probe_matrix(const struct bench_run *r, struct outcome *o, vka_error *err)
{
    vka_block *block = NULL;
    uint32_t waves = r->info.cpu ? 1 : 8, groups = r->info.cpu ? 4 : 1024, width = r->table.subgroup_size;
    uint32_t m = r->table.matrix.m, n = r->table.matrix.n, k = r->table.matrix.k;
    uint64_t sums = (uint64_t)groups * waves * m * n * sizeof(float);
    if (!m || !width || !vka_shader_built(VKA_SHADER_PROBE_MATRIX))
        return VKA_OK;
    vka_status s = vka_block_create(r->gpu, 16384 + sums, VKA_MEMORY_DEVICE, true, &block, err);
    if (s == VKA_OK) {
        struct kernel kernel = {.groups = {groups, 1, 1}};
        struct {
            uint64_t factors, result;
            uint32_t rounds;
        } push = {block->address, block->address + 16384, 1};
        kernel.key.shader = VKA_SHADER_PROBE_MATRIX;
        kernel.key.subgroup_size = width;
        kernel.key.full_subgroups = 1;
        kernel.key.count = 4;
        kernel.key.constants[0] = width * waves;
        kernel.key.constants[1] = m;
        kernel.key.constants[2] = n;
        kernel.key.constants[3] = k;
        set_push(&kernel, &push, 20);
        s = grow_rounds(r, &kernel, 16, 2.0 * m * n * k * 8 * waves * groups, o, err);
    }
    vka_block_destroy(r->gpu, &block);
    return s;
}

static vka_status probe_copy(const struct bench_run *r, struct outcome *o, vka_error *err)
{
    uint64_t bytes = (uint64_t)(r->info.cpu ? 64 : 512) << 20; /* beyond any cache */
    while (bytes > r->budget / 4 && bytes > 1 << 20)
        bytes /= 2;
    vka_block *src = NULL, *dst = NULL;
    vka_status s = vka_block_create(r->gpu, bytes, VKA_MEMORY_DEVICE, true, &src, err);
    if (s == VKA_OK)
        s = vka_block_create(r->gpu, bytes, VKA_MEMORY_DEVICE, true, &dst, err);
    for (uint32_t form = 0; s == VKA_OK && form < 4; form++) {
        bool wide = form & 1;
        uint32_t quads = (uint32_t)(bytes / 16), lanes = r->info.cpu ? 32 : 256, each = form & 2 ? 16 : 4;
        struct bench_samples samples;
        struct {
            uint64_t src, dst;
            uint32_t quads;
        } push = {src->address, dst->address, quads};
        if (wide && !r->info.arithmetic_i64)
            continue;
        while ((uint64_t)each * lanes * r->info.max_groups[0] < quads)
            each *= 2;
        struct kernel k = {.groups = {(quads + lanes * each - 1) / (lanes * each), 1, 1}};
        k.key.shader = wide ? VKA_SHADER_PROBE_COPY_WIDE : VKA_SHADER_PROBE_COPY;
        k.key.count = 2;
        k.key.constants[0] = lanes;
        k.key.constants[1] = each;
        set_push(&k, &push, 20);
        s = time_kernel(r, &k, r->sampling.samples, &samples, err);
        if (s == VKA_OK)
            keep_best(o, 2.0 * (double)bytes, &samples);
    }
    vka_block_destroy(r->gpu, &src);
    vka_block_destroy(r->gpu, &dst);
    return s;
}

/* Several tiles, as anybody who wrote one would try: the best counts.  A software device does not mind sums that spill. */
static vka_status probe_tiled(const struct bench_run *r, struct outcome *o, vka_error *err)
{
    static const struct {
        uint32_t rows, columns;
    } gpu[] = {{4, 4}, {8, 4}, {4, 8}, {8, 8}}, cpu[] = {{8, 8}, {16, 8}, {32, 8}, {16, 4}}, *forms;
    enum { FORMS = sizeof gpu / sizeof *gpu };
    forms = r->info.cpu ? cpu : gpu;
    /* no power of two: rows share no cache lines */
    const uint32_t lanes = r->info.cpu ? r->info.subgroup_size : 64, most = r->info.integrated ? 1536 : 2560;
    const uint32_t edge = (r->info.cpu ? 576 : most) / (8 * lanes) * (8 * lanes);
    const bool wide = r->info.cpu && r->info.arithmetic_i64;
    uint64_t bytes = (uint64_t)edge * edge * sizeof(float);
    vka_block *block = NULL;
    vka_status s = vka_block_create(r->gpu, 3 * bytes, VKA_MEMORY_DEVICE, true, &block, err);
    for (uint32_t form = 0; s == VKA_OK && form < FORMS; form++) {
        uint32_t rows = forms[form].rows, columns = forms[form].columns;
        struct bench_samples samples;
        struct {
            uint64_t a, b, c;
            uint32_t n, k;
        } push = {block->address, block->address + bytes, block->address + 2 * bytes, edge, edge};
        struct kernel k = {.groups = {edge / columns / lanes, edge / rows, 1}};
        k.key.shader = wide ? VKA_SHADER_PROBE_TILED_WIDE : VKA_SHADER_PROBE_TILED;
        k.key.count = 3;
        k.key.constants[0] = lanes;
        k.key.constants[1] = rows;
        k.key.constants[2] = columns == 4;
        set_push(&k, &push, 32);
        s = time_kernel(r, &k, r->sampling.samples < 5 ? r->sampling.samples : 5, &samples, err);
        if (s == VKA_OK)
            keep_best(o, 2.0 * edge * edge * edge, &samples);
    }
    vka_block_destroy(r->gpu, &block);
    return s;
}

/* Sizes by the rate that the registers reach: a product takes from half a millisecond to some ten. */
static vka_status probe_gemm(struct bench_run *r, double rate, struct outcome *o, vka_error *err)
{
    static const struct {
        uint32_t m, n, k;
        double least; /* FLOP a second that it takes to be tried */
    } sizes[] = {{2048, 512, 512, 0}, {8192, 2048, 1280, 2e11}, {8192, 8192, 1280, 5e12}, {8192, 8192, 8192, 5e13}};
    vka_status s = VKA_OK;
    for (size_t i = 0; s == VKA_OK && i < sizeof sizes / sizeof *sizes; i++) {
        struct bench_samples samples = {.count = 0};
        struct bench_verdict verdict = {0};
        uint32_t m = sizes[i].m, n = sizes[i].n, k = sizes[i].k;
        uint64_t bytes = 4 * ((uint64_t)m * k + (uint64_t)n * k + (uint64_t)m * n);
        if (rate < sizes[i].least || bytes > r->budget / 2)
            continue;
        s = bench_gemm(r, m, n, k, &samples, &verdict, err);
        if (s == VKA_OK && !verdict.passed && !r->failed) {
            r->failed = true;
            snprintf(r->failure, sizeof r->failure, "gemm %u x %u -> %u: %.180s", m, k, n, verdict.why);
        }
        if (s == VKA_OK && verdict.passed)
            keep_best(o, 2.0 * m * n * k, &samples);
    }
    return s;
}

vka_status bench_probe(struct bench_run *r, vka_error *err)
{
    struct outcome fma32 = {.name = "fma fp32", .unit = "tflops"}, fma16 = {.name = "fma fp16", .unit = "tflops"},
                   matrix = {.name = "matrix", .unit = "tflops"}, gemm = {.name = "gemm", .unit = "tflops"},
                   tiled = {.name = "tiled", .unit = "tflops"}, copy = {.name = "copy", .unit = "gbps"};
    bool units = r->size.f16 && r->table.path >= VKA_PATH_KHR;
    vka_status s = probe_fma(r, false, &fma32, err);
    if (s == VKA_OK && r->info.arithmetic_f16)
        s = probe_fma(r, true, &fma16, err);
    if (s == VKA_OK && units)
        s = probe_matrix(r, &matrix, err);
    if (s == VKA_OK)
        s = probe_gemm(r, fmax(fmax(fma32.rate, fma16.rate), matrix.rate), &gemm, err);
    if (s == VKA_OK)
        s = probe_tiled(r, &tiled, err);
    if (s == VKA_OK)
        s = probe_copy(r, &copy, err);
    if (s != VKA_OK)
        return s;
    const struct outcome *best = &gemm, *all[] = {&matrix, &gemm, &fma32, &fma16, &tiled, &copy};
    if (units && matrix.rate > best->rate)
        best = &matrix;
    if (!units && fma32.rate > best->rate)
        best = &fma32;
    if (!units && r->size.f16 && fma16.rate > best->rate)
        best = &fma16;
    json_t *probes = json_array();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        report(r, probes, all[i]);
    r->roof = (struct bench_roof){1e-12 * best->rate, best->name, 1e-12 * tiled.rate, 1e-9 * copy.rate};
    json_object_set_new(r->results, "roof",
                        json_pack("{s:f, s:s, s:o, s:f, s:f}", "tflops", r->roof.tflops, "by", r->roof.by, "probes",
                                  probes, "copy_gbps", r->roof.gbps, "tiled_tflops", r->roof.tiled));
    bench_note(r, "roof: %.4g TFLOP/s (%s), copy %.4g GB/s", r->roof.tflops, r->roof.by, r->roof.gbps);
    return VKA_OK;
}
