/* test_segments.c - where graphs are cut, how finely, and how tensors fill blocks, at sizes that no test could run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "plan_check.h"

static int32_t made_by(const struct vka_graph *g, vka_tensor t)
{
    return vka_info(g, t)->producer;
}

/* x -> picture -> rows -> frames -> rows -> picture, like a ResNet around a motion module. */
static void borders_lie_where_least_is_alive(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 2, 4);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 8, 8, 8);
    vka_tensor once = fake_input(&b, VKA_GLOBAL, 1, 1, 8);
    vka_tensor table = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, &once, 1, false); /* segment 0: runs once */
    vka_tensor tiny = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 2, 2, 8, (vka_tensor[]){x, table}, 2, false);
    vka_tensor a = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 8, 8, 8, &tiny, 1, false);
    vka_tensor wide = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 8, 8, 64, (vka_tensor[]){a, {0}}, 2, false);
    vka_tensor f = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 8, 8, 64, &wide, 1, false);
    vka_tensor narrow = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 8, 8, 8, (vka_tensor[]){f, {0}}, 2, false);
    vka_tensor wide2 = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 8, 8, 64, (vka_tensor[]){narrow, {0}}, 2, false);
    vka_tensor z = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 4, 4, 8, &wide2, 1, false);
    vka_tensor joint = fake_node(&b, FAKE_JOINT, VKA_SAMPLE, 1, 1, 8, &z, 1, false);
    vka_tensor end = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 4, 4, 8, (vka_tensor[]){z, joint}, 2, false);
    vka_graph_output(&b, end);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 0, UINT64_MAX);
    static const struct {
        uint32_t first, end, axis, extent;
        bool once;
    } want[] = {
        {0, 1, 0, 1, true}, /* the table */
        {1, 3, VKA_AXIS_SAMPLE, 8,
         false}, /* both pictures, however small the first; not the rows behind, which are wide */
        {3, 6, VKA_AXIS_PIXEL, 64, false}, /* rows, frames, rows: up to where it is narrow again */
        {6, 8, VKA_AXIS_SAMPLE, 8, false}, /* rows, picture */
        {8, 9, 0, 1, false},               /* the joint node is never cut */
        {9, 10, VKA_AXIS_SAMPLE, 8, false},
    };
    assert_int_equal(p->segment_count, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const struct vka_segment *s = &p->segments[i];
        if (s->first != want[i].first || s->end != want[i].end || s->axis != want[i].axis ||
            s->extent != want[i].extent || s->once != want[i].once)
            fail_msg("segment %u is %u..%u axis %u extent %u", i, s->first, s->end, s->axis, s->extent);
    }
    assert_true(p->places[wide.id].born == made_by(b.graph, wide) && p->places[wide.id].dies == made_by(b.graph, f));
    assert_true(p->places[table.id].born == 0 && p->places[table.id].dies == (int32_t)b.graph->node_count); /* kept */
    vka_plan_destroy(&p);
    /* the smallest plan cuts the wide ones away */
    p = plan(b.graph, 0, 0);
    assert_true(p->places[wide.id].local && p->places[f.id].local && p->places[wide2.id].local);
    assert_true(!p->places[a.id].local && !p->places[narrow.id].local);
    check_places(p);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void pictures_of_other_sizes_are_not_cut_by_pixels(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 2);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 8, 8, 8), small = fake_input(&b, VKA_SAMPLE, 4, 4, 8);
    vka_tensor r = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 8, 8, 8, (vka_tensor[]){x, {0}}, 2, false);
    vka_tensor s = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 4, 4, 8, (vka_tensor[]){small, {0}}, 2, false);
    vka_tensor f = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 4, 4, 8, &s, 1, false);
    vka_graph_output(&b, r);
    vka_graph_output(&b, f);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, (vka_tensor[]){x, small}, 2, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, 0);
    for (uint32_t i = 0; i < p->segment_count; i++)
        if (p->segments[i].axis == VKA_AXIS_PIXEL) {
            assert_int_equal(p->segments[i].extent, 16);
            assert_true(p->segments[i].first >= 1);
        }
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
    /* nor is a node that reads pictures of two sizes */
    fake_begin(&b, 1, 2);
    x = fake_input(&b, VKA_SAMPLE, 8, 8, 8), small = fake_input(&b, VKA_SAMPLE, 4, 4, 8);
    f = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 8, 8, 8, (vka_tensor[]){x, small}, 2, false);
    vka_graph_output(&b, f);
    assert_int_equal(vka_build_finish(&b, (vka_tensor[]){x, small}, 2, &err), VKA_OK);
    p = plan(b.graph, 1, 0);
    assert_int_equal(p->segments[0].axis, 0);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

/* norm -> conv -> norm -> conv -> rows of one picture, like a VAE's ResNet block. */
static void a_picture_alone_is_cut_into_bands(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 1);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 40, 24, 8);
    vka_tensor stem = fake_node(&b, FAKE_NEAR, VKA_SAMPLE, 40, 24, 32, &x, 1, false);
    vka_tensor stats = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 1, 1, 8, &stem, 1, false);
    vka_tensor norm = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 40, 24, 32, (vka_tensor[]){stem, stats, {0}}, 3, false);
    vka_tensor conv = fake_node(&b, FAKE_NEAR, VKA_SAMPLE, 40, 24, 16, &norm, 1, false);
    vka_tensor row = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 40, 24, 16, (vka_tensor[]){conv, {0}}, 2, false);
    vka_tensor last = fake_node(&b, FAKE_NEAR, VKA_SAMPLE, 40, 24, 16, (vka_tensor[]){row, stem}, 2, false);
    vka_graph_output(&b, last);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, 0);
    static const struct {
        uint32_t first, end, axis, wide_end;
    } want[] = {
        {0, 1, VKA_AXIS_ROW, 0}, /* reads the caller's rows */
        {1, 2, 0, 0},            /* statistics of the whole picture */
        {2, 5, VKA_AXIS_ROW, 3}, /* the norm with a row more on either side, and what follows the convolution */
        {5, 6, VKA_AXIS_ROW, 5}, /* one convolution a segment */
    };
    assert_int_equal(p->segment_count, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const struct vka_segment *s = &p->segments[i];
        if (s->first != want[i].first || s->end != want[i].end || s->axis != want[i].axis || s->wide_end != want[i].wide_end)
            fail_msg("segment %u is %u..%u axis %u, wide up to %u", i, s->first, s->end, s->axis, s->wide_end);
        assert_true(s->axis == 0 || (s->extent == 40 * 24 && s->quantum == 24 && s->step % 24 == 0));
    }
    /* the norm has room for a part and two rows more, what the convolution makes for a part */
    const struct vka_segment *cut = &p->segments[2];
    assert_true(cut->parts > 1 && p->places[norm.id].local && p->places[conv.id].local && !p->places[row.id].local);
    assert_int_equal(p->places[norm.id].sample_stride, (cut->step + 2 * 24) * 32);
    assert_int_equal(p->places[conv.id].sample_stride, cut->step * 16);
    check_places(p);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void blocks_stay_below_their_limit(void **state)
{
    (void)state;
    /* 16 frames of 512 x 512 x 64: 1 GiB a tensor; a chain of rows between pictures, and a skip over all of it */
    vka_build b;
    fake_begin(&b, 1, 16);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 512, 512, 8);
    vka_tensor skip = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 512, 512, 16, &x, 1, false), t = skip;
    vka_tensor rows[6];
    for (int i = 0; i < 6; i++)
        t = rows[i] = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 512, 512, i % 2 ? 16 : 64, (vka_tensor[]){t, {0}}, 2, false);
    vka_tensor f = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 512, 512, 16, &t, 1, false);
    vka_tensor end = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 64, 64, 8, (vka_tensor[]){f, skip}, 2, false);
    vka_graph_output(&b, end);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    for (uint32_t k = 0; k < 5; k++) {
        struct vka_plan *p = plan(b.graph, 1, k ? (uint64_t)(5 - k) << 30 : UINT64_MAX);
        check_places(p); /* no tensor across blocks; no block above the limit but where one tensor is */
        for (int i = 0; i < 5; i++)
            assert_true(p->places[rows[i].id].bytes <= VKA_BLOCK_LIMIT); /* what can be cut below it is */
        struct vka_program *program = record_fake(p);
        if (vka_hazard_check(program, &err) != VKA_OK)
            fail_msg("%s: %s", err.what, err.why);
        vka_program_destroy(&program);
        vka_plan_destroy(&p);
    }
    vka_graph_destroy(&b.graph);
}

static void many_blocks_are_filled_without_straddling(void **state)
{
    (void)state;
    /* forty skips of 300 MiB: three to a block */
    vka_build b;
    fake_begin(&b, 1, 1);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 64, 64, 8), skips[40];
    for (int i = 0; i < 40; i++)
        skips[i] = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 1024, 1024, 72, &x, 1, false);
    vka_tensor t = x;
    for (int i = 40; i-- > 0;)
        t = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 1, 1, 8, (vka_tensor[]){t, skips[i]}, 2, false);
    vka_graph_output(&b, t);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, UINT64_MAX);
    check_places(p);
    assert_true(p->arena_block_count >= 14 && p->arena_block_count <= 16);
    for (uint32_t i = 0; i < p->arena_block_count; i++)
        assert_true(p->arena_blocks[i] <= VKA_BLOCK_LIMIT);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void parts_stay_countable(void **state)
{
    (void)state;
    /* 64 samples of 2^26 elements: kernels count to 2^31 - 1, so at most 31 samples go at once */
    vka_build b;
    fake_begin(&b, 4, 16);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 1024, 1024, 8);
    vka_tensor wide = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 1024, 1024, 64, (vka_tensor[]){x, {0}}, 2, false);
    vka_tensor y = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 8, 8, 8, &wide, 1, false);
    vka_graph_output(&b, y);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 0, UINT64_MAX);
    struct vka_program *program = record_fake(p);
    for (uint32_t i = 0; i < program->range_count; i++)
        assert_true((program->ranges[i].end - program->ranges[i].begin) / 4 <= INT32_MAX);
    assert_int_equal(vka_hazard_check(program, &err), VKA_OK);
    vka_program_destroy(&program);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
    /* temporal attention needs all frames of a whole tensor: too large together, but not a branch at a time */
    fake_begin(&b, 2, 16);
    x = fake_input(&b, VKA_SAMPLE, 1024, 1024, 8);
    wide = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 1024, 1024, 64, &x, 1, false);
    y = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 1024, 1024, 8, &wide, 1, false);
    vka_graph_output(&b, y);
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_knobs together = vka_knobs_free();
    together.branches_per_pass = 2;
    assert_null(vka_plan_make(b.graph, &together, &err));
    assert_int_equal(err.status, VKA_E_MEMORY);
    assert_non_null(strstr(err.what, "too large"));
    p = plan(b.graph, 1, UINT64_MAX);
    check_places(p);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void weights_fill_blocks(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 1);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 1, 1, 8), w[9];
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 9; i++) /* 400 MiB each but the last, which is larger than a block */
        w[i] = vka_graph_weight(&b, "w", VKA_F16, 1, 1, i < 8 ? 1024 : 3000, i < 8 ? 204801 : 204800,
                                &(struct vka_weight_recipe){.kind = 0});
    vka_tensor y = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 1, 1, 8, (vka_tensor[]){x, w[0]}, 2, false);
    vka_graph_output(&b, y);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, UINT64_MAX);
    assert_int_equal(p->weight_block_count, 5);
    for (uint32_t i = 0; i < 9; i++) {
        const struct vka_place *at = &p->places[w[i].id];
        assert_int_equal(at->space, VKA_SPACE_WEIGHT);
        assert_true(at->offset % VKA_PLAN_ALIGN == 0 && at->bytes >= vka_tensor_bytes(vka_info(b.graph, w[i])));
        assert_true(at->offset + at->bytes <= p->weight_blocks[at->block]);
        for (uint32_t k = 0; k < i; k++) {
            const struct vka_place *other = &p->places[w[k].id];
            assert_true(at->block != other->block || at->offset >= other->offset + other->bytes ||
                        other->offset >= at->offset + at->bytes);
        }
        bytes += at->bytes;
    }
    assert_true(p->weight_bytes == bytes);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders_lie_where_least_is_alive),
        cmocka_unit_test(pictures_of_other_sizes_are_not_cut_by_pixels),
        cmocka_unit_test(a_picture_alone_is_cut_into_bands),
        cmocka_unit_test(blocks_stay_below_their_limit),
        cmocka_unit_test(many_blocks_are_filled_without_straddling),
        cmocka_unit_test(parts_stay_countable),
        cmocka_unit_test(weights_fill_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
