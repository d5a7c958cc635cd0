/* test_workgroup.c - products on matrices of a workgroup, as far as that goes without a driver that has them: which
 * tiles there are, and that every launch of a recorded step of Stable Diffusion 1.5 with AnimateDiff v2 covers its
 * product, within the device's shared memory, whole and in parts.
 *
 * No device, no model files (networks.h).  Without these kernels in the build there is nothing to look at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sd15_stage.h"

#include "graph/plan.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "shaders/shaders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NVIDIA = 0x10de, INVOCATIONS = 256, MOST_TILES = 64, MOST_PIPELINES = 150, BLOCK = 64 };

static struct vka_kernel_table table_of(uint32_t shared, uint32_t reserved)
{
    struct vka_kernel_table t;
    vka_kernel_table_init(&t, NULL);
    t.vendor = NVIDIA;
    t.path = VKA_PATH_NV2;
    t.subgroup_size = 32;
    t.shared_bytes = shared;
    t.matrix.m = t.matrix.n = t.matrix.k = 16;
    t.matrix2.m = t.matrix2.n = 32;
    t.matrix2.k = 16;
    t.matrix2.invocations = INVOCATIONS;
    t.matrix2.max_dimension = 1024;
    t.matrix2.reserved_shared = reserved;
    return t;
}

static struct vka_matmul_shape shape(bool conv, bool geglu, uint32_t pixels, uint32_t n, uint32_t k)
{
    return (struct vka_matmul_shape){.x = VKA_F16,
                                     .storage = VKA_F16,
                                     .weight = VKA_F16,
                                     .clip = true,
                                     .conv = conv,
                                     .geglu = geglu,
                                     .pixels = pixels,
                                     .n = n,
                                     .k = k};
}

static void tiles_fit(void **state)
{
    (void)state;
    const struct vka_matmul_shape shapes[] = {shape(true, false, 4096, 320, 2880), shape(false, true, 1024, 5120, 640),
                                              shape(false, false, 64, 1280, 1280), shape(true, false, 4096, 4, 2880)};
    const struct vka_kernel_table t = table_of(49152, 8192);
    for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct vka_matmul_tile tiles[MOST_TILES];
        uint32_t count = vka_matmul_tiles(&t, &shapes[i], tiles, MOST_TILES), sums = shapes[i].geglu ? 2 : 1;
        assert_in_range(count, 8, MOST_TILES);
        assert_int_equal(vka_matmul_choose(&t, &shapes[i]).id, tiles[0].id);
        for (uint32_t k = 0; k < count; k++) {
            assert_true(tiles[k].id >= VKA_TILE_WORKGROUP && tiles[k].threads == INVOCATIONS &&
                        tiles[k].depth == BLOCK);
            assert_true(tiles[k].rows % 32 == 0 && tiles[k].columns % 32 == 0);
            assert_in_range((uint32_t)tiles[k].rows * tiles[k].columns * sums / INVOCATIONS, 1, 160);
            for (uint32_t j = 0; j < k; j++)
                assert_int_not_equal(tiles[j].id, tiles[k].id);
        }
    }
    /* matrices that are multiples of 128, or no room at all: what is left */
    struct vka_kernel_table coarse = t;
    struct vka_matmul_tile tiles[MOST_TILES];
    coarse.matrix2.m = coarse.matrix2.n = 128;
    uint32_t count = vka_matmul_tiles(&coarse, &shapes[0], tiles, MOST_TILES);
    assert_true(count > 0);
    for (uint32_t k = 0; k < count; k++)
        assert_true(tiles[k].rows % 128 == 0 && tiles[k].columns % 128 == 0);
    coarse = table_of(49152, 49152);
    assert_int_equal(vka_matmul_tiles(&coarse, &shapes[0], tiles, MOST_TILES), 0);
    assert_int_equal(vka_matmul_choose(&coarse, &shapes[0]).id, 0);
    const struct vka_matmul_shape deep = shape(true, false, 64, 1280, 11520); /* portable kernels do not split */
    assert_int_equal(vka_matmul_splits(&coarse, &deep), 1);
}

static void defaults(void **state)
{
    (void)state;
    static const struct {
        bool conv, geglu;
        uint32_t pixels, n, k, rows, columns;
    } wanted[] = {{true, false, 4096, 320, 2880, 128, 160}, {false, false, 4096, 320, 320, 128, 160},
                  {false, true, 4096, 2560, 320, 128, 128}, {false, false, 256, 1280, 5120, 128, 256},
                  {false, false, 4096, 960, 320, 128, 160}, {false, true, 256, 10240, 1280, 128, 128},
                  {true, false, 64, 1280, 11520, 64, 128},  {true, false, 4096, 4, 2880, 128, 64}};
    struct vka_kernel_table t = table_of(49152, 8192);
    for (uint32_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct vka_matmul_shape s =
            shape(wanted[i].conv, wanted[i].geglu, wanted[i].pixels, wanted[i].n, wanted[i].k);
        const struct vka_matmul_tile tile = vka_matmul_choose(&t, &s);
        assert_int_equal(tile.rows, wanted[i].rows);
        assert_int_equal(tile.columns, wanted[i].columns);
    }
    /* the tuner's word, where the tile fits */
    const struct vka_matmul_shape s = shape(true, false, 4096, 320, 2880), g = shape(false, true, 4096, 2560, 320);
    t.tuned_count = 2;
    t.tuned[0].shape_class = vka_matmul_class(&s);
    t.tuned[0].tile = 104;
    t.tuned[1].shape_class = vka_matmul_class(&g);
    t.tuned[1].tile = 109; /* two accumulators of 128 x 320 are too much */
    assert_int_equal(vka_matmul_choose(&t, &s).id, 104);
    assert_int_equal(vka_matmul_choose(&t, &g).id, 100);
    /* a split moves bits: it is the same whatever the tile */
    const struct vka_matmul_shape deep = shape(true, false, 64, 1280, 11520);
    t.tuned[0].shape_class = vka_matmul_class(&deep);
    assert_int_equal(vka_matmul_splits(&t, &deep), 4);
    const struct vka_matmul_shape gated = shape(false, true, 64, 10240, 2560);
    assert_int_equal(vka_matmul_splits(&t, &gated), 1);
}

/* ---- a recorded step ---------------------------------------------------------------------------------------- */

/* Constants and arguments by number, as shaders/matmul_nv2.comp has them. */
enum { ROWS = 1, COLUMNS = 2, DEPTH = 3, TENSOR = 4, PATCH = 5, B_CLAMP = 9, STAGES = 10, CONV = 13, ACT = 15 };
enum {
    ARG_PIXELS = 0,
    ARG_PITCH = 10,
    ARG_OUT_W = 29,
    ARG_N = 40,
    ARG_GROUP_ROWS,
    ARG_GROUP_TILES,
    ARG_SAMPLES,
    ARG_OUT_H,
    ARG_PATCHES_Y,
    ARG_PATCHES_X,
    ARG_SPLITS,
    ARG_SPLIT_C
};

static uint32_t div_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

/* One launch covers all rows and columns of its part once, and no more tiles than that takes. */
static void covers(const struct vka_dispatch *d, const uint32_t *a, const struct vka_kernel_table *t, const char *label)
{
    const uint32_t *c = d->constants;
    uint32_t tiles[2];
    memcpy(tiles, d->push + 80, sizeof tiles);
    uint32_t columns = a[ARG_SPLITS] ? a[ARG_SPLIT_C] : a[ARG_PITCH], splits = a[ARG_SPLITS] ? a[ARG_SPLITS] : 1;
    uint32_t samples = a[ARG_SAMPLES], room = t->shared_bytes - t->matrix2.reserved_shared;
    bool good = c[0] == INVOCATIONS && c[DEPTH] == BLOCK && tiles[1] == div_up(columns, c[COLUMNS]) &&
                d->groups[0] * d->groups[1] * d->groups[2] >= tiles[0] * tiles[1] * splits;
    good = good && (c[B_CLAMP] || (c[ACT] == VKA_ACT_GEGLU ? a[ARG_N] / 2 : a[ARG_N]) % c[COLUMNS] == 0) &&
           a[ARG_N] >= (c[ACT] == VKA_ACT_GEGLU ? 2 : 1) * columns;
    if (c[TENSOR] && c[CONV])
        good = good && c[PATCH] * c[PATCH + 1] * c[PATCH + 2] == c[ROWS] &&
               a[ARG_PATCHES_Y] == div_up(a[ARG_OUT_H], c[PATCH + 1]) &&
               a[ARG_PATCHES_X] == div_up(a[ARG_OUT_W], c[PATCH + 2]) &&
               tiles[0] == div_up(samples, c[PATCH]) * a[ARG_PATCHES_Y] * a[ARG_PATCHES_X];
    else
        good = good && a[ARG_GROUP_TILES] == div_up(a[ARG_GROUP_ROWS], c[ROWS]) && tiles[0] % a[ARG_GROUP_TILES] == 0 &&
               tiles[0] / a[ARG_GROUP_TILES] * a[ARG_GROUP_ROWS] == samples * a[ARG_PIXELS];
    if (!c[TENSOR])
        good = good && c[STAGES] >= 1 && c[STAGES] * c[ROWS] * (BLOCK + 8) * 2 <= room;
    if (!good)
        fail_msg("%s: %u x %u tiles of %u x %u do not make its product", label, tiles[0], tiles[1], c[ROWS],
                 c[COLUMNS]);
}

static void look_at(const struct vka_kernel_table *table, bool parts)
{
    struct sd15_stage n;
    struct vka_addresses at;
    uint64_t *store;
    vka_error err = {0};
    const struct vka_rates rates = {1e14, 1e12, 0.05, 1e10};
    sd15_begin(&n, table, 72, 64, parts ? 0 : UINT64_MAX);
    const struct vka_plan *plan = n.stage.unet.plan;
    assert_int_equal(vka_addresses_fake(plan, &at, &store, &err), VKA_OK);
    struct vka_program *p = vka_program_record(plan, table, &at, &rates, &err);
    if (!p)
        fail_msg("%s", err.what);
    double here = 0, all = 0;
    uint32_t *times = calloc(plan->graph->node_count, sizeof *times); /* that a node is recorded: parts and passes */
    assert_non_null(times);
    for (uint32_t i = 0; i < p->step_count; i++)
        times[p->steps[i].node - plan->graph->nodes]++;
    uint32_t ours = 0, patches = 0, gathered = 0, groups = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const struct vka_step *s = &p->steps[i];
        struct vka_cost cost = {0};
        s->node->op->cost(plan->graph, s->node, &cost);
        cost.flop /= times[s->node - plan->graph->nodes];
        all += cost.flop;
        for (uint32_t k = s->launch; k < s->launch + s->launches; k++) {
            const struct vka_dispatch *d = &p->launches[k];
            uint64_t address;
            uint32_t args[59];
            if (d->shader != VKA_SHADER_MATMUL_NV2)
                continue;
            memcpy(&address, d->push + 72, sizeof address);
            assert_true(address >= at.args && address - at.args + sizeof args <= p->args_bytes);
            memcpy(args, p->args + (address - at.args), sizeof args);
            covers(d, args, table, s->node->label);
            here += cost.flop;
            ours++;
            patches += d->constants[TENSOR] && d->constants[CONV];
            gathered += !d->constants[TENSOR];
            groups += !(d->constants[TENSOR] && d->constants[CONV]) &&
                      args[ARG_GROUP_ROWS] < args[ARG_SAMPLES] * args[ARG_PIXELS];
        }
    }
    /* the rest is attention */
    assert_true(here > 0.8 * all && ours > 100 && patches > 20);
    assert_true(parts || gathered < ours / 4);
    assert_true(!parts || groups > 0);
    uint32_t pipelines = 0;
    for (uint32_t i = 0; i < p->launch_count; i++) {
        const struct vka_dispatch *d = &p->launches[i];
        uint32_t k = 0;
        while (k < i && (p->launches[k].shader != d->shader || p->launches[k].count != d->count ||
                         memcmp(p->launches[k].constants, d->constants, sizeof d->constants) != 0))
            k++;
        pipelines += k == i;
    }
    assert_in_range(pipelines, 1, MOST_PIPELINES);
    printf("%s: %u launches of matmul_nv2, %u of them patches, %u gathered, %u in groups; %.1f %% of the FLOP; %u "
           "pipelines\n",
           parts ? "in parts" : "whole", ours, patches, gathered, groups, 100 * here / all, pipelines);
    vka_program_destroy(&p);
    free(times);
    free(store);
    sd15_end(&n);
}

static void whole(void **state)
{
    (void)state;
    const struct vka_kernel_table t = table_of(49152, 8192), tight = table_of(49152, 32768);
    look_at(&t, false);
    look_at(&tight, false);
}

static void in_parts(void **state)
{
    (void)state;
    const struct vka_kernel_table t = table_of(49152, 8192);
    look_at(&t, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles_fit), cmocka_unit_test(defaults), cmocka_unit_test(whole),
                                       cmocka_unit_test(in_parts)};
    if (!vka_shader_built(VKA_SHADER_MATMUL_NV2))
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
