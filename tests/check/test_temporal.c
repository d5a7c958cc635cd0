/* test_temporal.c - attention along frames, from 16 frames to 1024: right, in memory that grows with the frames and never with
 * their square, and in a time that is the same for every pair of a frame and a key.
 *
 *     test_temporal              the test
 *     test_temporal --measure    prints memory and times as JSON; bench/temporal draws them
 *
 * Right: q, k and v are made of x and a table of positions, as a motion module makes them, and attention is held against
 * tests/reference_c in double.  The table comes from its formula (sin and cos of t / 10000^(2i / C), Vaswani et al. 2017), since no
 * file has one of 1024 rows.  Tolerances, on values of V within 2: fp32 5e-6, for sums of up to 1024 weights and two layers;
 * fp16 3e-3, since q, k and v are rounded to it (2^-11 each, and scores are sums of 40 products), and weights on matrix units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_attention.h"
#include "../reference_c/ref_matmul.h"
#include "harness.h"
#include "networks.h"
#include "temporal.h"

#include "nets/nets.h"
#include "render/netrun.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 2, DIM = 40, C = HEADS * DIM, LONGEST = 1024, ROUNDS = 5, MEASURED = 31, PAIRS = 1 << 21 };

static const uint32_t lengths[] = {16, 64, 256, LONGEST}; /* frames */
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static vka_gpu *gpu;

/* ---- right --------------------------------------------------------------------------------------------------- */

enum { PIXELS = 3, PARTS = 3 };
static const char *const names[PARTS] = {"to_q", "to_k", "to_v"};

struct values {
    uint32_t frames;
    float *x, *table, *weight[PARTS];
};

static struct values make_values(uint32_t frames, enum vka_dtype storage)
{
    struct values v = {.frames = frames, .x = check_random(1, (size_t)frames * PIXELS * C, 1)};
    check_round(v.x, (size_t)frames * PIXELS * C, storage);
    v.table = malloc((size_t)frames * C * sizeof *v.table);
    assert_non_null(v.table);
    for (uint32_t t = 0; t < frames; t++)
        for (uint32_t c = 0; c < C; c++) {
            double angle = t / pow(10000, (double)(c / 2 * 2) / (double)C);
            v.table[t * C + c] = (float)(c % 2 ? cos(angle) : sin(angle));
        }
    check_round(v.table, (size_t)frames * C, storage);
    for (uint32_t i = 0; i < PARTS; i++) {
        v.weight[i] = check_random(2 + i, C * C, 0.19f); /* sqrt(3 / C): q, k and v near 1 */
        check_round(v.weight[i], C * C, storage);
    }
    return v;
}

static void free_values(struct values *v)
{
    free(v->x), free(v->table);
    for (uint32_t i = 0; i < PARTS; i++)
        free(v->weight[i]);
}

/* [frames, PIXELS, C] */
static double *reference(const struct values *v, enum vka_dtype storage)
{
    size_t count = (size_t)v->frames * PIXELS * C;
    double *part[PARTS], *out = malloc(count * sizeof *out);
    float *rounded = malloc(count * sizeof *rounded);
    assert_true(out && rounded);
    for (uint32_t i = 0; i < PARTS; i++) {
        const struct ref_matmul m = {.samples = v->frames,
                                     .h = 1,
                                     .w = PIXELS,
                                     .c1 = C,
                                     .x = v->x,
                                     .weight = v->weight[i],
                                     .n = C,
                                     .kernel = 1,
                                     .stride = 1,
                                     .positions = v->table,
                                     .frames = v->frames};
        part[i] = malloc(count * sizeof *part[i]);
        assert_non_null(part[i]);
        ref_matmul(&m, part[i]);
        for (size_t k = 0; storage == VKA_F16 && k < count; k++)
            rounded[k] = (float)part[i][k];
        check_round(rounded, storage == VKA_F16 ? count : 0, storage);
        for (size_t k = 0; storage == VKA_F16 && k < count; k++)
            part[i][k] = (double)rounded[k];
    }
    for (uint32_t p = 0; p < PIXELS; p++)
        for (uint32_t h = 0; h < HEADS; h++) {
            size_t at = (size_t)p * C + h * DIM, step = (size_t)PIXELS * C;
            ref_attention(part[0] + at, step, part[1] + at, step, part[2] + at, step, out + at, step, v->frames,
                          v->frames, DIM, 1 / sqrt(DIM), false);
        }
    free(rounded);
    for (uint32_t i = 0; i < PARTS; i++)
        free(part[i]);
    return out;
}

static float *run(const struct values *v, enum vka_dtype storage, bool cpu, const struct vka_cut *cuts, uint32_t count)
{
    struct check *c = check_begin(gpu, storage, storage, 1, v->frames);
    c->table.cpu = cpu && c->table.cpu;
    for (uint32_t i = 0; i < PARTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.weight", names[i]);
        check_weight(c, name, 2, (uint64_t[]){C, C}, v->weight[i]);
    }
    check_weight(c, "pos_embed.pe", 2, (uint64_t[]){v->frames, C}, v->table);
    vka_tensor x = check_input(c, "x", VKA_SAMPLE, storage, v->frames, 1, PIXELS, C, v->x);
    vka_tensor positions = vka_weight_rows(&c->build, vka_scope_root("pos_embed"), "pe");
    vka_tensor qkv = vka_linear(&c->build, x,
                                &(struct vka_linear_args){.at = vka_scope_root(names[0]),
                                                          .stacked = 2,
                                                          .stack = {vka_scope_root(names[1]), vka_scope_root(names[2])},
                                                          .heads_out = HEADS,
                                                          .positions = positions});
    vka_tensor y = temporal_attention(&c->build, qkv, HEADS, DIM, (struct vka_frame_phase){0});
    check_run(c, cuts, count);
    float *out = check_output(c, y);
    check_end(&c);
    return out;
}

static void any_length_is_right(void **state)
{
    (void)state;
    static const struct vka_cut cuts[] = {{.p0 = 0, .pn = 2}, {.p0 = 2, .pn = 1}};
    for (uint32_t i = 0; i < LENGTHS; i++)
        for (int half = 0; half < 2; half++) {
            enum vka_dtype storage = half ? VKA_F16 : VKA_F32;
            struct values v = make_values(lengths[i], storage);
            double *want = reference(&v, storage);
            size_t count = (size_t)v.frames * PIXELS * C;
            for (int cpu = 0; cpu < 2; cpu++) { /* the kernel for GPUs, and on a CPU its own */
                char name[80];
                snprintf(name, sizeof name, "%u frames, %s%s", v.frames, half ? "f16" : "f32", cpu ? "" : ", portable");
                float *got = run(&v, storage, cpu, NULL, 0), *parts = run(&v, storage, cpu, cuts, 2);
                check_close(name, got, want, count, half ? 3e-3 : 5e-6);
                check_same(name, parts, got, count);
                free(got), free(parts);
            }
            free(want);
            free_values(&v);
        }
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

struct module {
    struct vka_netrun run;
    vka_tensor in, out;
    struct vka_io io;
    uint64_t out_at;
};

/* A motion module without a table of its own, for one branch; `motion` has the weights. */
static void build_module(struct module *m, const vka_motion_info *info, vka_weights *motion, uint32_t frames,
                         uint32_t size, bool f16, const struct vka_kernel_table *table)
{
    vka_error err = {0};
    *m = (struct module){0};
    check_ok(vka_netrun_begin(&m->run, "motion module", 1, frames, NULL, motion, f16, table, &err), &err);
    vka_build *b = &m->run.build;
    m->in = vka_graph_tensor(b, "x", VKA_SAMPLE, VKA_INPUT, f16 ? VKA_F16 : VKA_F32, 0, size, size, info->channels[0]);
    m->out =
        vka_net_motion(b, info, info->norm_num_groups, false, (struct vka_net_amount){0}, m->in,
                       vka_scope_root("down_blocks.0.motion_modules.0"));
    vka_graph_output(b, m->out);
    check_ok(vka_netrun_finish(&m->run, &m->in, 1, &err), &err);
    vka_io_add(&m->io, vka_tensor_bytes(vka_info(m->run.graph, m->in)));
    m->out_at = vka_io_add(&m->io, vka_tensor_bytes(vka_info(m->run.graph, m->out)));
    check_ok(vka_netrun_plan(&m->run, UINT64_MAX, vka_block_footprint(m->io.bytes), &err), &err);
}

static uint64_t planned(const struct module *m)
{
    return m->run.need + vka_block_footprint(m->io.bytes);
}

/* A line within 5 %: what a frame adds between any two lengths is what it adds between the first two. */
static void check_line(const char *what, const uint64_t *bytes)
{
    double first = (double)(bytes[1] - bytes[0]) / (lengths[1] - lengths[0]);
    for (uint32_t i = 2; i < LENGTHS; i++) {
        double slope = (double)(bytes[i] - bytes[i - 1]) / (lengths[i] - lengths[i - 1]);
        if (fabs(slope - first) > 0.05 * first)
            fail_msg("%s: a frame adds %.0f bytes between %u and %u frames, %.0f between %u and %u", what, slope,
                     lengths[i - 1], lengths[i], first, lengths[0], lengths[1]);
    }
    printf("%s: %.2f MB for %u frames, %.2f MB for %u; %.0f bytes a frame\n", what, (double)bytes[0] / 1e6, lengths[0],
           (double)bytes[LENGTHS - 1] / 1e6, lengths[LENGTHS - 1], first);
}

/* Runs the module: takes what was planned, and every number that comes out is finite. */
static void run_module(struct module *m, uint32_t channels)
{
    vka_error err = {0};
    vka_block *block = NULL;
    const struct vka_tensor_info *in = vka_info(m->run.graph, m->in), *out = vka_info(m->run.graph, m->out);
    size_t count = (size_t)out->n * out->h * out->w * out->pitch;
    uint64_t before = vka_gpu_device_bytes(gpu, NULL), peak, need = planned(m);
    float *x = check_random(3, count, 1);
    assert_true(in->pitch == channels && out->pitch == channels && out->dtype == VKA_F32);
    vka_gpu_reset_peak(gpu);
    check_ok(vka_block_create(gpu, m->io.bytes, VKA_MEMORY_DEVICE, false, &block, &err), &err);
    check_ok(vka_netrun_start(&m->run, gpu, NULL, &err), &err);
    vka_exec_bind(m->run.exec, m->in, block->address);
    vka_exec_bind(m->run.exec, m->out, block->address + m->out_at);
    check_ok(vka_exec_record(m->run.exec, &err), &err);
    check_ok(vka_block_write(gpu, block, 0, x, count * sizeof *x, &err), &err);
    check_ok(vka_exec_run(m->run.exec, true, NULL, &err), &err);
    check_ok(vka_block_read(gpu, block, m->out_at, x, count * sizeof *x, &err), &err);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            fail_msg("%u frames: element %zu is not finite", in->n, i);
    vka_gpu_device_bytes(gpu, &peak);
    if (peak - before != need)
        fail_msg("%u frames: %llu bytes taken, %llu planned", in->n, (unsigned long long)(peak - before),
                 (unsigned long long)need);
    vka_block_destroy(gpu, &block);
    free(x);
}

/* What SD1.5's first motion module takes at 16 x 16 latent pixels, on a GPU's kernels; no device is needed. */
static uint64_t large_module(uint32_t frames)
{
    const vka_unet_config unet = networks_sd15_unet();
    vka_motion_info info = networks_v2_motion(&unet);
    info.pe_length = 0;
    vka_weights *weights = networks_motion_table(&info, &unet, NULL);
    struct vka_kernel_table table;
    struct module m;
    vka_kernel_table_init(&table, NULL);
    assert_non_null(weights);
    build_module(&m, &info, weights, frames, 16, true, &table);
    for (uint32_t s = 0; s < m.run.plan->segment_count; s++)
        assert_int_equal(m.run.plan->segments[s].parts, 1); /* or cuts would hide what a frame takes */
    uint64_t bytes = planned(&m);
    vka_netrun_end(&m.run);
    vka_weights_free(weights);
    return bytes;
}

static void memory_grows_with_frames(void **state)
{
    (void)state;
    enum { NUMBERS = 1 << 14 };
    const vka_unet_config unet = networks_small_unet(16, 2, 1);
    vka_motion_info info = networks_v2_motion(&unet);
    info.pe_length = 0; /* the table is made */
    uint16_t *halves = check_random_halves(5, NUMBERS, 0.25f);
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_weights *weights = networks_motion_table(&info, &unet, &numbers);
    const struct vka_kernel_table table = check_table(gpu);
    uint64_t small[LENGTHS], large[LENGTHS];
    assert_non_null(weights);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        struct module m;
        build_module(&m, &info, weights, lengths[i], 8, false, &table);
        small[i] = planned(&m);
        run_module(&m, info.channels[0]);
        vka_netrun_end(&m.run);
        large[i] = large_module(lengths[i]);
    }
    check_line("a small motion module, planned and taken", small);
    check_line("SD1.5's first motion module at 16 x 16, planned", large);
    vka_weights_free(weights);
    free(halves);
}

/* ---- time ----------------------------------------------------------------------------------------------------- */

/* Attention alone, f16; `pixels` such that all lengths compute the same. */
struct timing {
    struct check *check;
    double each;               /* frames, keys and heads of one run, as ns per second */
    double best, ns[MEASURED]; /* for one frame, one key, one head of 40 */
    uint32_t rounds;
};

static struct timing timing_begin(uint32_t frames)
{
    uint32_t pixels = vka_max_u32(PAIRS / frames / frames, 1);
    float *qkv = check_random(9, (size_t)frames * pixels * 3 * C, 1);
    struct timing t = {.check = check_begin(gpu, VKA_F16, VKA_F16, 1, frames),
                       .each = 1e9 / ((double)pixels * frames * frames * (double)HEADS),
                       .best = HUGE_VAL};
    vka_tensor x = check_input(t.check, "qkv", VKA_SAMPLE, VKA_F16, frames, 1, pixels, 3 * C, qkv);
    temporal_attention(&t.check->build, x, HEADS, DIM, (struct vka_frame_phase){0});
    check_run(t.check, NULL, 0);
    free(qkv);
    return t;
}

static void timing_round(struct timing *t)
{
    double ns = check_time(t->check, 1) * t->each;
    t->best = fmin(t->best, ns);
    t->ns[t->rounds++ % MEASURED] = ns;
}

/* What 16 frames take is also the reading and writing of q, k, v and the output, which grows with the frames alone: a frame and a
 * key may take less in longer clips, but never more.  Other work on the machine disturbs: the lengths take turns, the best
 * rounds count, and there are more of them until the best are what they should be. */
static void time_is_flat(void **state)
{
    (void)state;
    struct timing t[LENGTHS];
    double grows = HUGE_VAL, spread = HUGE_VAL;
    for (uint32_t i = 0; i < LENGTHS; i++)
        t[i] = timing_begin(lengths[i]);
    for (uint32_t round = 0; round < ROUNDS || (round < 8 * ROUNDS && (grows > 1.3 || spread > 2.5)); round++) {
        double least = HUGE_VAL, most = 0;
        for (uint32_t i = 0; i < LENGTHS; i++) {
            timing_round(&t[i]);
            most = i ? fmax(most, t[i].best) : 0;
            least = i ? fmin(least, t[i].best) : HUGE_VAL;
        }
        grows = most / t[0].best;
        spread = most / least;
    }
    for (uint32_t i = 0; i < LENGTHS; i++) {
        printf("%4u frames: %.2f ns for a frame and a key\n", lengths[i], t[i].best);
        check_end(&t[i].check);
    }
    assert_true(grows <= 1.3);
    assert_true(spread <= 2.5);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int measure(void)
{
    static const uint32_t every[] = {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, LONGEST};
    enum { EVERY = sizeof every / sizeof *every };
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    struct timing t[EVERY];
    for (uint32_t i = 0; i < EVERY; i++)
        t[i] = timing_begin(every[i]);
    for (uint32_t round = 0; round < MEASURED; round++)
        for (uint32_t i = 0; i < EVERY; i++)
            timing_round(&t[i]);
    printf("{\"device\":\"%s\",\"driver\":\"%s\",\"heads\":%d,\"head_dim\":%d,\"rounds\":%d,\"rows\":[", info->name,
           info->driver, HEADS, DIM, MEASURED);
    for (uint32_t i = 0; i < EVERY; i++) {
        qsort(t[i].ns, MEASURED, sizeof *t[i].ns, by_size);
        printf("%s\n{\"frames\":%u,\"planned_bytes\":%llu,\"ns_least\":%.2f,\"ns_median\":%.2f,\"ns_most\":%.2f}",
               i ? "," : "", every[i], (unsigned long long)large_module(every[i]), t[i].ns[0], t[i].ns[MEASURED / 2],
               t[i].ns[MEASURED - 1]);
        check_end(&t[i].check);
    }
    printf("\n]}\n");
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_is_right),
        cmocka_unit_test(memory_grows_with_frames),
        cmocka_unit_test(time_is_flat),
    };
    gpu = check_open_gpu();
    int failed = argc > 1 && strcmp(argv[1], "--measure") == 0 ? measure() : cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
