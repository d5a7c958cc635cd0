/* test_freenoise.c - windows of frames inside a motion module: attention in windows against a reference in double, cut and for two
 * branches, whose other frames are left alone; and a whole module, which gives the same bits however it is cut and whatever lay in
 * its memory, and for a window at the clip's begin, of which all frames but those of other windows are left, those of a clip as
 * long as a window.
 *
 * Tolerances: attention as in test_temporal.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_attention.h"
#include "harness.h"
#include "networks.h"
#include "temporal.h"

#include "base/half.h"
#include "nets/nets.h"
#include "render/netrun.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_gpu *gpu;

/* ---- attention ------------------------------------------------------------------------------------------------- */

enum { HEADS = 2, DIM = 24, C = HEADS * DIM, PIXELS = 5 };

struct attention_case {
    uint32_t branches, frames;
    struct vka_frame_phase phase;
};
static const struct attention_case cases[] = {
    {1, 9, {4, 1, 4, 2}}, {2, 20, {8, 2, 8, 2}}, {2, 21, {8, 13, 9, 1}}, {1, 40, {16, 4, 16, 2}}, {2, 7, {3, 0, 4, 2}},
};

static float *attend(const struct attention_case *k, const float *qkv, enum vka_dtype storage, bool cpu, const struct vka_cut *cuts,
                     uint32_t count)
{
    struct check *c = check_begin(gpu, storage, storage, k->branches, k->frames);
    c->table.cpu = cpu && c->table.cpu;
    vka_tensor x = check_input(c, "qkv", VKA_SAMPLE, storage, k->branches * k->frames, 1, PIXELS, 3 * C, qkv);
    vka_tensor y = temporal_attention(&c->build, x, HEADS, DIM, k->phase);
    check_run(c, cuts, count);
    float *out = check_output(c, y);
    check_end(&c);
    return out;
}

static void attention_is_confined(void **state)
{
    (void)state;
    static const struct vka_cut cuts[] = {{.p0 = 0, .pn = 3}, {.p0 = 3, .pn = 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int way = 0; way < 4; way++) {
            const struct attention_case *k = &cases[i];
            const enum vka_dtype storage = way & 1 ? VKA_F16 : VKA_F32;
            const size_t row = 3 * C, rows = (size_t)k->branches * k->frames * PIXELS;
            float *qkv = check_random(i, rows * row, 1);
            check_round(qkv, rows * row, storage);
            double *in = malloc(rows * row * sizeof *in), *want = malloc(rows * C * sizeof *want);
            assert_true(in && want);
            for (size_t n = 0; n < rows * row; n++)
                in[n] = (double)qkv[n];
            float *got = attend(k, qkv, storage, way & 2, NULL, 0), *parts = attend(k, qkv, storage, way & 2, cuts, 2);
            for (uint32_t b = 0; b < k->branches; b++)
                for (uint32_t n = 0; n < k->phase.count; n++)
                    for (uint32_t p = 0; p < PIXELS; p++)
                        for (uint32_t h = 0; h < HEADS; h++) {
                            size_t at = ((size_t)(b * k->frames + k->phase.first + n * k->phase.every) * PIXELS + p);
                            const double *q = in + at * row + h * DIM;
                            ref_attention(q, PIXELS * row, q + C, PIXELS * row, q + 2 * C, PIXELS * row, want + at * C + h * DIM,
                                          (uint64_t)PIXELS * C, k->phase.length, k->phase.length, DIM, 1 / sqrt(DIM), false);
                        }
            uint32_t left = 0;
            for (uint32_t s = 0; s < k->branches * k->frames; s++) {
                uint32_t f = s % k->frames - k->phase.first;
                size_t at = (size_t)s * PIXELS * C;
                bool inside = s % k->frames >= k->phase.first && f / k->phase.every < k->phase.count && f % k->phase.every < k->phase.length;
                if (inside) {
                    check_close("in a window", got + at, want + at, PIXELS * C, way & 1 ? 3e-3 : 5e-6);
                    check_same("cut", parts + at, got + at, PIXELS * C);
                }
                for (size_t n = at; !inside && n < at + PIXELS * C; n++)
                    assert_true(isnan(got[n]) && isnan(parts[n])); /* as it was */
                left += !inside;
            }
            assert_true(left > 0);
            free(qkv), free(in), free(want), free(got), free(parts);
        }
}

static void refused(void **state)
{
    (void)state;
    static const struct vka_frame_phase wrong[] = {{4, 1, 4, 2}, {4, 0, 3, 2}, {9, 0, 9, 1}, {4, 0, 4, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        float zero[8 * 3 * C] = {0};
        struct check *c = check_begin(gpu, VKA_F32, VKA_F32, 1, 8);
        vka_tensor x = check_input(c, "qkv", VKA_SAMPLE, VKA_F32, 8, 1, 1, 3 * C, zero);
        vka_attention(&c->build, &(struct vka_attention_args){.kind = VKA_ATTENTION_TEMPORAL, .q = x, .k = x, .v = x, .heads = HEADS,
                                                              .head_dim = DIM, .phase = wrong[i], .label = vka_scope_root("at")});
        assert_int_equal(c->build.err.status, VKA_E_INTERNAL);
        check_end(&c);
    }
}

/* ---- a module --------------------------------------------------------------------------------------------------- */

enum { SIZE = 8, NUMBERS = 1 << 14 };

/* One branch or two of a motion module; the output, finite. */
static float *run_module(vka_weights *motion, const vka_motion_info *info, struct vka_frame_windows w, uint32_t branches,
                         uint32_t frames, bool f16, uint64_t budget, const float *x, uint32_t *parts, uint64_t *need)
{
    struct vka_netrun run;
    struct vka_kernel_table table = check_table(gpu);
    struct vka_io io = {0};
    vka_error err = {0};
    vka_block *block = NULL;
    f16 = f16 && table.storage_f16;
    check_ok(vka_netrun_begin(&run, "motion module", branches, frames, NULL, motion, f16, &table, &err), &err);
    vka_build *b = &run.build;
    vka_tensor in = vka_graph_tensor(b, "x", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, SIZE, SIZE, info->channels[0]);
    vka_tensor one = vka_graph_tensor(b, "one", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 1);
    vka_tensor h = vka_combine(b, &(struct vka_combine_args){.x = {in}, .count = 1, .coefficients = one, .label = vka_scope_root("x")});
    vka_tensor out = vka_net_motion_windows(b, info, info->norm_num_groups, false, (struct vka_net_amount){0}, w, h,
                                            vka_scope_root("down_blocks.0.motion_modules.0"));
    vka_graph_output(b, out);
    check_ok(vka_netrun_finish(&run, &in, 1, &err), &err);
    const struct vka_tensor_info *o = vka_info(run.graph, out);
    size_t count = (size_t)o->n * o->h * o->w * o->pitch;
    assert_true(o->dtype == VKA_F32 || f16);
    uint64_t in_at = vka_io_add(&io, count * sizeof(float)), out_at = vka_io_add(&io, vka_tensor_bytes(o)), one_at = vka_io_add(&io, 32);
    check_ok(vka_netrun_plan(&run, budget, vka_block_footprint(io.bytes), &err), &err);
    *need = run.need + vka_block_footprint(io.bytes);
    for (uint32_t i = *parts = 0; i < run.plan->segment_count; i++)
        *parts = vka_max_u32(*parts, run.plan->segments[i].parts);
    check_ok(vka_block_create(gpu, io.bytes, VKA_MEMORY_DEVICE, false, &block, &err), &err);
    check_ok(vka_netrun_start(&run, gpu, NULL, &err), &err);
    vka_exec_bind(run.exec, in, block->address + in_at);
    vka_exec_bind(run.exec, out, block->address + out_at);
    vka_exec_bind(run.exec, one, block->address + one_at);
    check_ok(vka_exec_record(run.exec, &err), &err); /* proves it free of hazards */
    check_spoil(run.exec);
    check_ok(vka_block_write(gpu, block, in_at, x, count * sizeof *x, &err), &err);
    check_ok(vka_block_write(gpu, block, one_at, &(float[8]){1}, 32, &err), &err);
    check_ok(vka_exec_run(run.exec, true, NULL, &err), &err);
    void *raw = malloc(count * sizeof(float));
    assert_non_null(raw);
    check_ok(vka_block_read(gpu, block, out_at, raw, (size_t)vka_tensor_bytes(o), &err), &err);
    vka_block_destroy(gpu, &block);
    float *y = malloc(count * sizeof *y);
    assert_non_null(y);
    for (size_t i = 0; i < count; i++)
        y[i] = o->dtype == VKA_F16 ? vka_half_to_float(((uint16_t *)raw)[i]) : ((float *)raw)[i];
    check_finite("module", y, count);
    free(raw);
    vka_netrun_end(&run);
    return y;
}

static void same_bits_under_every_plan(void **state)
{
    (void)state;
    const vka_unet_config unet = networks_small_unet(16, 2, 1);
    const vka_motion_info info = networks_v2_motion(&unet);
    uint16_t *halves = check_random_halves(5, NUMBERS, 0.25f);
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_weights *motion = networks_motion_table(&info, &unet, &numbers);
    assert_non_null(motion);
    static const struct {
        uint32_t branches, frames;
        struct vka_frame_windows w;
    } clips[] = {{2, 20, {8, 2, false}}, {1, 21, {8, 3, false}}, {2, 12, {4, 4, true}}};
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++)
        for (int f16 = 0; f16 < 2; f16++) {
            size_t count = (size_t)clips[i].branches * clips[i].frames * SIZE * SIZE * info.channels[0];
            float *x = check_random(3, count, 1);
            uint32_t whole, cut;
            uint64_t most, least;
            float *a = run_module(motion, &info, clips[i].w, clips[i].branches, clips[i].frames, f16, UINT64_MAX, x, &whole, &most);
            float *b = run_module(motion, &info, clips[i].w, clips[i].branches, clips[i].frames, f16, 1, x, &cut, &least);
            assert_true(whole == 1 && cut > 1 && least < most);
            check_same("the smallest plan", b, a, count);
            free(a), free(b), free(x);
        }
    vka_weights_free(motion);
    free(halves);
}

/* Frames of one window alone are those of a clip that ends with it. */
static void a_window_is_a_clip(void **state)
{
    (void)state;
    const vka_unet_config unet = networks_small_unet(16, 2, 1);
    const vka_motion_info info = networks_v2_motion(&unet);
    uint16_t *halves = check_random_halves(5, NUMBERS, 0.25f);
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_weights *motion = networks_motion_table(&info, &unet, &numbers);
    const size_t frame = (size_t)SIZE * SIZE * info.channels[0];
    float *x = check_random(4, 24 * frame, 1);
    uint32_t parts;
    uint64_t need;
    assert_non_null(motion);
    float *long_one = run_module(motion, &info, (struct vka_frame_windows){8, 4, false}, 1, 24, false, UINT64_MAX, x, &parts, &need);
    float *clip = run_module(motion, &info, (struct vka_frame_windows){0}, 1, 8, false, UINT64_MAX, x, &parts, &need);
    float *apart = run_module(motion, &info, (struct vka_frame_windows){8, 8, false}, 1, 24, false, UINT64_MAX, x, &parts, &need);
    float *end = run_module(motion, &info, (struct vka_frame_windows){0}, 1, 8, false, UINT64_MAX, x + 16 * frame, &parts, &need);
    check_same("the first frames", long_one, clip, 4 * frame);
    check_same("the last frames", long_one + 20 * frame, end + 4 * frame, 4 * frame);
    check_same("windows apart", apart, clip, 8 * frame);
    check_same("the last window apart", apart + 16 * frame, end, 8 * frame);
    assert_true(memcmp(long_one + 4 * frame, clip + 4 * frame, 4 * frame * sizeof *clip) != 0);
    free(x), free(long_one), free(clip), free(apart), free(end);
    vka_weights_free(motion);
    free(halves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_confined),
        cmocka_unit_test(refused),
        cmocka_unit_test(same_bits_under_every_plan),
        cmocka_unit_test(a_window_is_a_clip),
    };
    gpu = check_open_gpu();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
