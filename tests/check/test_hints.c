/* test_hints.c - preprocessors of control hints on the device: canny against OpenCV's edges (tests/golden/canny.txt) and against
 * tests/reference_c, which follows every chain to its end; the others against tests/reference_c within one step of a byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "../reference_c/ref_hints.h"
#include "harness.h"
#include "render/hints.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 128 * 128 };
static vka_gpu *gpu;
static uint8_t rgb[3 * MOST], got[3 * MOST], again[3 * MOST];
static double want[3 * MOST];

static struct vka_kernel_table table_of(bool cpu)
{
    struct vka_kernel_table t = check_table(gpu);
    t.cpu = cpu; /* the size of workgroups */
    return t;
}

static void process(const struct vka_hint_params *p, uint32_t h, uint32_t w, bool cpu, uint8_t *out)
{
    vka_error err = {0};
    const struct vka_kernel_table table = table_of(cpu);
    struct vka_hints_stage s;
    uint64_t need = 0;
    check_ok(vka_hints_stage_build(&s, p, h, w, &table, &err), &err);
    check_ok(vka_hints_stage_ask(&s, &(struct vka_ask){.room = {UINT64_MAX, UINT64_MAX}}, &need, &err), &err);
    check_ok(vka_hints_stage_start(&s, gpu, NULL, &err), &err);
    check_ok(vka_hints_stage_run(&s, rgb, out, NULL, &err), &err);
    vka_hints_stage_end(&s);
}

static uint32_t differing_edges(const uint8_t *edges, uint32_t pixels)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pixels; i++) {
        assert_true(got[3 * i] == got[3 * i + 1] && got[3 * i] == got[3 * i + 2] && (got[3 * i] == 0 || got[3 * i] == 255));
        n += got[3 * i] != edges[i];
    }
    return n;
}

static void test_canny(void **state)
{
    (void)state;
    FILE *f = fopen(VKA_TEST_DATA "/golden/canny.txt", "r");
    uint32_t h, w, low, high, cases = 0;
    static uint8_t edges[MOST], mine[MOST];
    assert_non_null(f);
    for (; fscanf(f, "%u %u %u %u", &h, &w, &low, &high) == 4; cases++) {
        assert_true(h * w <= MOST);
        for (uint32_t y = 0; y < h; y++) {
            char line[128];
            assert_int_equal(fscanf(f, "%127s", line), 1);
            for (uint32_t x = 0; x < w; x++) {
                const char digit[2] = {line[x / 4], 0};
                edges[y * w + x] = strtol(digit, NULL, 16) >> (3 - x % 4) & 1 ? 255 : 0;
            }
        }
        ref_hint_picture(h, w, rgb);
        ref_hint_canny(rgb, h, w, (int)low, (int)high, mine);
        struct vka_hint_params p = vka_hint_defaults(VKA_HINT_CANNY);
        p.low = low;
        p.high = high;
        for (int cpu = 0; cpu < 2; cpu++) {
            process(&p, h, w, cpu, got);
            assert_int_equal(differing_edges(mine, h * w), 0);
            assert_int_equal(differing_edges(edges, h * w), 0);
        }
    }
    fclose(f);
    assert_int_equal(cases, 3);
}

/* A faint line that winds through all tiles from one certain pixel at its end. */
static void test_chain(void **state)
{
    (void)state;
    enum { SIDE = 96 };
    static uint8_t mine[SIDE * SIDE];
    memset(rgb, 100, sizeof rgb);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (y % 24 >= 12 && (y / 24 % 2 ? x > 8 : x < SIDE - 8))
                memset(rgb + 3 * (y * SIDE + x), y < 13 && x < 3 ? 190 : 130, 3);
    ref_hint_canny(rgb, SIDE, SIDE, 100, 200, mine);
    const struct vka_hint_params p = vka_hint_defaults(VKA_HINT_CANNY);
    process(&p, SIDE, SIDE, true, got);
    assert_int_equal(differing_edges(mine, SIDE * SIDE), 0);
    uint32_t on = 0;
    for (int i = 0; i < SIDE * SIDE; i++)
        on += mine[i] != 0;
    assert_in_range(on, 100, SIDE * SIDE / 4); /* the line was followed */
}

static void check_within(const char *what, uint32_t numbers, uint32_t each)
{
    double worst = 0;
    for (uint32_t i = 0; i < numbers; i++)
        for (uint32_t c = 0; c < each; c++)
            worst = fmax(worst, fabs(got[i * each + c] - want[each == 1 ? i : i * each + c]));
    if (worst > 0.51)
        fail_msg("%s: %g from the reference", what, worst);
}

static void gray(uint32_t pixels)
{
    for (uint32_t i = 0; i < pixels; i++) {
        assert_true(got[3 * i] == got[3 * i + 1] && got[3 * i] == got[3 * i + 2]);
        got[i] = got[3 * i];
    }
}

static void test_others(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{48, 64}, {37, 53}, {1, 1}, {3, 40}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int cpu = 0; cpu < 2; cpu++) {
            const uint32_t h = sizes[k][0], w = sizes[k][1];
            struct vka_hint_params p = vka_hint_defaults(VKA_HINT_LINEART);
            ref_hint_picture(h, w, rgb);
            ref_hint_lineart(rgb, h, w, (double)p.sigma, want);
            process(&p, h, w, cpu, got);
            gray(h * w);
            check_within("lineart", h * w, 1);
            p = vka_hint_defaults(VKA_HINT_SOFT_EDGE);
            ref_hint_soft_edge(rgb, h, w, want);
            process(&p, h, w, cpu, got);
            gray(h * w);
            check_within("soft edge", h * w, 1);
            p = vka_hint_defaults(VKA_HINT_TILE);
            for (p.factor = 1; p.factor < 20; p.factor += 7) {
                ref_hint_tile(rgb, h, w, p.factor, want);
                process(&p, h, w, cpu, got);
                check_within("tile", h * w, 3);
            }
            p = vka_hint_defaults(VKA_HINT_INVERT);
            process(&p, h, w, cpu, got);
            for (uint32_t i = 0; i < 3 * h * w; i++)
                assert_int_equal(got[i], 255 - rgb[i]);
        }
}

/* One stage for many pictures, in place, under any plan: the same bits. */
static void test_stage(void **state)
{
    (void)state;
    enum { h = 40, w = 56 };
    const struct vka_knobs least = vka_knobs_least();
    ref_hint_picture(h, w, rgb);
    for (int kind = 0; kind < VKA_HINT_KINDS; kind++) {
        const struct vka_hint_params p = vka_hint_defaults((enum vka_hint_kind)kind);
        const struct vka_kernel_table table = table_of(true);
        struct vka_hints_stage s;
        vka_error err = {0};
        uint64_t need = 0;
        process(&p, h, w, true, got);
        check_ok(vka_hints_stage_build(&s, &p, h, w, &table, &err), &err);
        check_ok(vka_hints_stage_ask(&s, &(struct vka_ask){.room = {UINT64_MAX, UINT64_MAX}, .knobs = &least}, &need, &err), &err);
        check_ok(vka_hints_stage_start(&s, gpu, NULL, &err), &err);
        for (int turn = 0; turn < 2; turn++) {
            check_spoil(s.run.exec);
            memcpy(again, rgb, 3 * h * w);
            check_ok(vka_hints_stage_run(&s, again, again, NULL, &err), &err);
            assert_memory_equal(again, got, 3 * h * w);
        }
        vka_hints_stage_end(&s);
    }
}

int main(void)
{
    gpu = check_open_gpu();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_canny), cmocka_unit_test(test_chain), cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_stage)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    check_close_gpu(&gpu);
    return failed;
}
