/* test_graph.c - building graphs: shapes, errors, the final order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "graph_build.h"

#include <stdio.h>

static const vka_tensor none;

static void names_join_with_dots(void **state)
{
    (void)state;
    vka_scope s = vka_in_index(vka_in(vka_scope_root(""), "down_blocks.0"), "resnets", 12);
    assert_string_equal(s.path, "down_blocks.0.resnets.12");
    char name[256];
    memset(name, 'x', sizeof name);
    name[255] = '\0';
    s = vka_in(vka_in(vka_scope_root("a"), name), "b"); /* cut, not overrun */
    assert_true(strlen(s.path) == sizeof s.path - 1);
}

static void tensors_have_padded_pitch(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 2, 3);
    vka_tensor t = vka_graph_tensor(&b, "t", VKA_SAMPLE, VKA_TEMP, VKA_F16, 99, 5, 7, 9);
    const struct vka_tensor_info *i = vka_info(b.graph, t);
    assert_int_equal(i->n, 6); /* the clip's, whatever was asked for */
    assert_int_equal(i->pitch, 16);
    assert_int_equal(vka_tensor_bytes(i), 6 * 5 * 7 * 16 * 2);
    t = vka_graph_tensor(&b, "ids", VKA_GLOBAL, VKA_INPUT, VKA_I32, 2, 1, 77, 1);
    assert_int_equal(vka_info(b.graph, t)->pitch, 1);
    assert_int_equal(vka_tensor_bytes(vka_info(b.graph, t)), 2 * 77 * 4);
    t = vka_graph_weight(&b, "w", VKA_F16, 1, 3, 5, 7, &(struct vka_weight_recipe){.kind = 1});
    assert_int_equal(vka_info(b.graph, t)->pitch, 7);
    assert_int_equal(vka_info(b.graph, t)->recipe->kind, 1);
    assert_int_equal(b.err.status, VKA_OK);
    vka_graph_destroy(&b.graph);
    assert_null(b.graph);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum vka_domain domain;
        uint32_t n, h, w, c;
        vka_status status;
    } cases[] = {
        {VKA_SAMPLE, 1, 0, 4, 4, VKA_E_INPUT},
        {VKA_SAMPLE, 1, 4, 4, 0, VKA_E_INPUT},
        {VKA_GLOBAL, 0, 4, 4, 4, VKA_E_INPUT},
        {VKA_SAMPLE, 1, 65536, 65536, 8, VKA_E_MEMORY},
        {VKA_SAMPLE, 1, UINT32_MAX, UINT32_MAX, UINT32_MAX, VKA_E_MEMORY},
        {VKA_SAMPLE, 1, 16384, 16384, 8, VKA_E_MEMORY}, /* 2^31 elements */
        {VKA_SAMPLE, 1, 16383, 16384, 8, VKA_OK},
        {VKA_SAMPLE, 1, 1, 1, UINT32_MAX, VKA_E_MEMORY}, /* its pitch would wrap to 0 */
        {VKA_SAMPLE, 1, 1, 1, UINT32_MAX - 7, VKA_E_MEMORY},
        {VKA_GLOBAL, 2, 16384, 8192, 8, VKA_E_MEMORY},
        {VKA_GLOBAL, 2, 16383, 8192, 8, VKA_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_build b;
        fake_begin(&b, 2, 16);
        vka_tensor t = vka_graph_tensor(&b, "t", cases[i].domain, VKA_TEMP, VKA_F32, cases[i].n, cases[i].h, cases[i].w,
                                        cases[i].c);
        if (b.err.status != cases[i].status)
            fail_msg("case %zu: status %d, want %d", i, b.err.status, cases[i].status);
        assert_int_equal(t.id != 0, cases[i].status == VKA_OK);
        vka_graph_destroy(&b.graph);
    }
    assert_null(vka_graph_create("no frames", 1, 0));
    assert_null(vka_graph_create("no branches", 0, 1));
    assert_null(vka_graph_create("too many", 65536, 65536));
    /* a clip so long that its bytes, summed over a network, would not fit in 64 bits */
    vka_build b;
    fake_begin(&b, 1, 2147483647);
    vka_graph_tensor(&b, "t", VKA_SAMPLE, VKA_TEMP, VKA_F32, 1, 16383, 16384, 8);
    assert_int_equal(b.err.status, VKA_E_MEMORY);
    vka_graph_destroy(&b.graph);
}

static void the_first_error_stays(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 1);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 2, 2, 8);
    vka_build_fail(&b, VKA_E_INPUT, "the %s fault", "first");
    vka_build_fail(&b, VKA_E_MEMORY, "the second fault");
    assert_int_equal(fake_node(&b, FAKE_ROW, VKA_SAMPLE, 2, 2, 8, &x, 1, false).id, 0);
    assert_int_equal(vka_graph_weight(&b, "w", VKA_F32, 1, 1, 1, 1, &(struct vka_weight_recipe){0}).id, 0);
    vka_graph_output(&b, x);
    assert_int_equal(vka_info(b.graph, x)->role, VKA_INPUT);
    assert_int_equal(b.graph->node_count, 0);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, NULL, 0, &err), VKA_E_INPUT);
    assert_string_equal(err.what, "the first fault");
    vka_graph_destroy(&b.graph);
}

static void nodes_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t inputs, outputs;
        size_t bytes;
    } cases[] = {{VKA_NODE_INPUTS + 1, 1, 0}, {1, VKA_NODE_OUTPUTS + 1, 0}, {1, 0, 0}, {1, 1, VKA_NODE_PARAMS + 1}};
    vka_tensor many[VKA_NODE_INPUTS + 1] = {{0}};
    uint8_t params[VKA_NODE_PARAMS + 1] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint32_t before = 255; before <= 256; before++) { /* with and without room in the array of nodes */
            vka_build b;
            fake_begin(&b, 1, 1);
            vka_tensor x = fake_input(&b, VKA_SAMPLE, 1, 1, 8);
            for (uint32_t n = 0; n < before; n++)
                x = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 1, 1, 8, &x, 1, false);
            assert_int_equal(b.err.status, VKA_OK);
            assert_int_equal(vka_graph_node(&b, &fake_op, vka_scope_root("n"), many, cases[i].inputs, &x,
                                            cases[i].outputs, params, cases[i].bytes),
                             -1);
            assert_int_equal(b.err.status, VKA_E_INTERNAL);
            vka_graph_destroy(&b.graph);
        }
}

static bool find_nothing(void *user, const char *name, struct vka_weight_data *out)
{
    (void)out;
    return user && strcmp(name, user) == 0;
}

static void missing_weights_are_one_error(void **state)
{
    (void)state;
    char there[] = "a.there";
    vka_build b;
    fake_begin(&b, 1, 1);
    b.source = (struct vka_weight_source){.user = there, .find = find_nothing};
    struct vka_weight_data d;
    assert_true(vka_find_weight(&b, vka_scope_root("a"), "there", true, &d));
    assert_false(vka_find_weight(&b, vka_scope_root("a"), "optional", false, &d));
    assert_false(vka_has_weight(&b, vka_scope_root("a"), "missing"));
    assert_int_equal(b.missing_count, 0);
    for (int i = 0; i < 20; i++)
        assert_false(
            vka_find_weight(&b, vka_in_index(vka_scope_root("a"), "missing", (uint32_t)i), "weight", true, &d));
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, NULL, 0, &err), VKA_E_INPUT);
    assert_string_equal(err.what, "the model lacks 20 tensors that its synthetic graph needs");
    assert_string_equal(err.why, "missing: 'a.missing.0.weight', 'a.missing.1.weight', 'a.missing.2.weight', ...");
    vka_graph_destroy(&b.graph);
}

/* Position of the node that makes a tensor. */
static int32_t made(const vka_build *b, vka_tensor t)
{
    return vka_info(b->graph, t)->producer;
}

static void the_order_is_once_then_global_then_clip(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 2);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 2, 2, 8), text = fake_input(&b, VKA_GLOBAL, 1, 3, 8);
    vka_tensor step = fake_input(&b, VKA_GLOBAL, 1, 1, 8);
    vka_tensor a = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 2, 2, 8, &x, 1, false);
    vka_tensor t1 = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, &step, 1, false);
    vka_tensor kv = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 3, 8, &text, 1, false);
    vka_tensor both[3] = {t1, kv, none};
    vka_tensor t2 = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, both, 3, false);
    /* a global tensor that comes of the clip, and what comes of that: neither may run before the clip */
    vka_tensor sum = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, &a, 1, false);
    vka_tensor more = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, &sum, 1, false);
    vka_tensor kv2 = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 3, 8, &kv, 1, false);
    vka_tensor end[4] = {a, t2, more, kv2};
    vka_tensor out = fake_node(&b, FAKE_ROW, VKA_SAMPLE, 2, 2, 8, end, 4, false);
    vka_graph_output(&b, out);
    const vka_tensor changing[] = {x, step, none};
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, changing, 3, &err), VKA_OK);
    const struct vka_graph *g = b.graph;
    const vka_tensor want[] = {kv, kv2, t1, t2, a, sum, more, out};
    assert_int_equal(g->node_count, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < g->node_count; i++) {
        assert_int_equal(g->nodes[i].out[0].id, want[i].id);
        assert_int_equal(made(&b, want[i]), i);
        assert_int_equal(g->nodes[i].once, i < 2);
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++) /* what a node reads is there */
            assert_true(made(&b, g->nodes[i].in[k]) < (int32_t)i);
    }
    vka_graph_destroy(&b.graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_join_with_dots),
        cmocka_unit_test(tensors_have_padded_pitch),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(the_first_error_stays),
        cmocka_unit_test(nodes_beyond_the_limits_are_refused),
        cmocka_unit_test(missing_weights_are_one_error),
        cmocka_unit_test(the_order_is_once_then_global_then_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
