/* test_tiles_table.c - the choice of a product's tile on matrix units: what fits which device, what the tuner may override, and
 * what may not depend on how a clip is cut.  Without matrix kernels in the build there is nothing to choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "ops/matmul.h"
#include "shaders/shaders.h"

#include <string.h>

static const struct device {
    const char *name;
    uint32_t vendor, subgroup, shared, m, n, k, least; /* at least so many tiles */
} devices[] = {
    {"RDNA", 0x1002, 32, 65536, 16, 16, 16, 8},  {"NVIDIA", 0x10de, 32, 49152, 16, 16, 16, 8},
    {"Xe2", 0x8086, 16, 65536, 8, 16, 16, 4},    {"Alchemist", 0x8086, 8, 65536, 8, 8, 16, 2},
    {"software", 0x10005, 8, 32768, 8, 8, 8, 6}, {"software, 16", 0x10005, 8, 32768, 16, 16, 16, 6},
};
enum { DEVICES = sizeof devices / sizeof *devices };

static struct vka_kernel_table table_of(const struct device *d)
{
    return (struct vka_kernel_table){.subgroup_size = d->subgroup,
                                     .shared_bytes = d->shared,
                                     .max_invocations = 1024,
                                     .storage_f16 = true,
                                     .arithmetic_f16 = true,
                                     .vendor = d->vendor,
                                     .path = VKA_PATH_KHR,
                                     .matrix = {d->m, d->n, d->k}};
}

static struct vka_matmul_shape shape(bool conv, uint32_t pixels, uint32_t n, uint32_t k)
{
    return (struct vka_matmul_shape){.x = VKA_F16,
                                     .storage = VKA_F16,
                                     .weight = VKA_F16,
                                     .clip = true,
                                     .conv = conv,
                                     .pixels = pixels,
                                     .n = n,
                                     .k = k};
}

/* Rows x columns x depth of every tile in fragments and subgroups, and their bytes in the device's shared memory. */
static void fitting(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < DEVICES; i++) {
        const struct vka_kernel_table t = table_of(&devices[i]);
        const struct vka_matmul_shape s = shape(true, 4096, 320, 2880);
        struct vka_matmul_tile tiles[64];
        uint32_t count = vka_matmul_tiles(&t, &s, tiles, 64);
        if (!VKA_SHADERS_KHR) {
            assert_int_equal(count, 0);
            continue;
        }
        assert_in_range(count, devices[i].least, 64);
        for (uint32_t k = 0; k < count; k++) {
            const struct vka_matmul_tile *m = &tiles[k];
            uint32_t subgroups = m->threads / t.subgroup_size, down = subgroups / m->across;
            assert_true(m->id > 0 && m->id < VKA_TILE_WORKGROUP && m->threads <= t.max_invocations);
            assert_int_equal(m->rows / down % t.matrix.m, 0);
            assert_int_equal(m->columns / m->across % t.matrix.n, 0);
            assert_int_equal(m->depth % t.matrix.k, 0);
            assert_int_equal(vka_matmul_depth(m) % m->depth, 0);
            assert_int_equal(m->columns % vka_matmul_panel(m), 0);
            assert_in_range(m->stages * (m->rows + m->columns) * m->depth * 2, 1, t.shared_bytes);
            for (uint32_t j = 0; j < k; j++)
                assert_int_not_equal(tiles[j].id, m->id);
            struct vka_matmul_tile stats = *m;
            assert_true(vka_matmul_statistics_tile(&t, &stats));
            assert_int_equal(stats.rows % 64, 0);
            assert_true(m->rows % 64 || stats.id == m->id);
        }
    }
}

/* A tuned tile is taken by its class alone, and only where it fits. */
static void tuned(void **state)
{
    (void)state;
    struct vka_kernel_table t = table_of(&devices[1]);
    const struct vka_matmul_shape s = shape(false, 4096, 320, 1280), other = shape(false, 4096, 640, 1280);
    if (!VKA_SHADERS_KHR)
        return;
    struct vka_matmul_tile first = vka_matmul_choose(&t, &s), tiles[64];
    uint32_t count = vka_matmul_tiles(&t, &s, tiles, 64), last = tiles[count - 1].id;
    assert_int_equal(tiles[0].id, first.id);
    t.tuned_count = 1;
    t.tuned[0].shape_class = vka_matmul_class(&s);
    t.tuned[0].tile = (uint16_t)last;
    assert_int_equal(vka_matmul_choose(&t, &s).id, last);
    assert_int_equal(vka_matmul_tiles(&t, &s, tiles, 64), count);
    assert_int_equal(tiles[0].id, last);
    assert_int_not_equal(vka_matmul_choose(&t, &other).id, last);
    t.tuned[0].tile = 17; /* 60 KiB */
    assert_int_equal(vka_matmul_choose(&t, &s).id, first.id);
    t.tuned[0].tile = 9999;
    assert_int_equal(vka_matmul_choose(&t, &s).id, first.id);
}

/* What stays on the portable kernels. */
static void elsewhere(void **state)
{
    (void)state;
    struct vka_kernel_table t = table_of(&devices[0]);
    struct vka_matmul_shape s = shape(false, 4096, 320, 320);
    assert_int_equal(vka_matmul_on_matrix(&t, &s), VKA_SHADERS_KHR);
    s.k = 36;
    assert_false(vka_matmul_on_matrix(&t, &s));
    s = shape(false, 4096, 320, 320), s.x = VKA_F32;
    assert_false(vka_matmul_on_matrix(&t, &s));
    s = shape(false, 4096, 320, 320), s.clip = false;
    assert_false(vka_matmul_on_matrix(&t, &s));
    s = shape(false, 4096, 320, 320), s.weight = VKA_F32;
    assert_false(vka_matmul_on_matrix(&t, &s));
    s = shape(false, 4096, 320, 320), t.shared_bytes = 1024;
    assert_false(vka_matmul_on_matrix(&t, &s));
    assert_int_equal(vka_matmul_choose(&t, &s).id, 0);
    t = table_of(&devices[0]), t.path = VKA_PATH_FP16;
    assert_false(vka_matmul_on_matrix(&t, &s));
}

/* Splits: small frames, long K. */
static void splits(void **state)
{
    (void)state;
    const struct vka_kernel_table t = table_of(&devices[0]);
    const struct {
        uint32_t pixels, k, splits;
    } want[] = {{64, 2559, 1},  {64, 2560, 2},  {64, 5120, 2}, {64, 11520, 4},
                {64, 23040, 4}, {65, 23040, 1}, {1, 7680, 3}};
    for (size_t i = 0; VKA_SHADERS_KHR && i < sizeof want / sizeof *want; i++) {
        const struct vka_matmul_shape s = shape(true, want[i].pixels, 1280, want[i].k);
        assert_int_equal(vka_matmul_splits(&t, &s), want[i].splits);
    }
}

/* SD1.5's products at 512x512 fall into no more classes than a table has room for, and different products into different ones. */
static void classes(void **state)
{
    (void)state;
    static const struct {
        uint32_t pixels, n, k;
        bool conv;
    } all[] = {{4096, 2560, 320, 0}, {1024, 5120, 640, 0},  {256, 10240, 1280, 0},  {4096, 320, 320, 0},
               {4096, 960, 320, 0},  {1024, 640, 640, 0},   {1024, 1920, 640, 0},   {256, 1280, 1280, 0},
               {256, 3840, 1280, 0}, {4096, 320, 1280, 0},  {1024, 640, 2560, 0},   {256, 1280, 5120, 0},
               {4096, 320, 2880, 1}, {256, 1280, 23040, 1}, {1024, 1280, 11520, 1}, {4096, 640, 5760, 1},
               {4096, 320, 5760, 1}, {256, 1280, 11520, 1}, {1024, 640, 17280, 1},  {4096, 320, 8640, 1},
               {64, 1280, 11520, 1}, {64, 1280, 23040, 1},  {64, 10240, 1280, 0},   {64, 3840, 1280, 0},
               {64, 1280, 5120, 0}};
    enum { ALL = sizeof all / sizeof *all };
    uint32_t class[ALL];
    for (size_t i = 0; i < ALL; i++) {
        const struct vka_matmul_shape s = shape(all[i].conv, all[i].pixels, all[i].n, all[i].k);
        class[i] = vka_matmul_class(&s);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(class[i], class[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fitting), cmocka_unit_test(tuned), cmocka_unit_test(elsewhere),
                                       cmocka_unit_test(splits), cmocka_unit_test(classes)};
    return cmocka_run_group_tests_name("tiles", tests, NULL, NULL);
}
