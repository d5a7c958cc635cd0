/* test_traffic.c - what one step of Stable Diffusion 1.5 with AnimateDiff v2 moves and launches, 16 frames of 512 x 512 with
 * guidance, counted from the recorded plan: within its goals, on the portable kernels and on matrix units; without a
 * node that only moves a tensor; and by the same count that the operators' costs give.
 *
 * No device, no model files (networks.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sd15_stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES 92e9
enum { MOST_DISPATCHES = 700 };

static struct vka_kernel_table portable(void)
{
    struct vka_kernel_table t;
    vka_kernel_table_init(&t, NULL);
    return t;
}

static struct vka_kernel_table with_matrix_units(uint32_t vendor)
{
    struct vka_kernel_table t = portable();
    t.vendor = vendor;
    t.path = VKA_PATH_KHR;
    t.subgroup_size = 32;
    t.shared_bytes = 65536;
    t.matrix.m = t.matrix.n = t.matrix.k = 16;
    return t;
}

/* Bytes of the tensors of a node, each counted once. */
static double tensors_of(const struct vka_graph *g, const struct vka_node *n)
{
    uint32_t seen[VKA_NODE_INPUTS + VKA_NODE_OUTPUTS], count = 0;
    double bytes = 0;
    for (uint32_t i = 0; i < n->inputs + n->outputs; i++) {
        uint32_t t = i < n->inputs ? n->in[i].id : n->out[i - n->inputs].id, k = 0;
        while (k < count && seen[k] != t)
            k++;
        if (t && k == count) {
            seen[count++] = t;
            bytes += (double)vka_tensor_bytes(&g->tensors[t]);
        }
    }
    return bytes;
}

/* Every node of a step computes: it has as many operations as results, so none is a copy or a transpose.  And what it says
 * it moves is its tensors, once each. */
static void nodes_compute(const struct vka_graph *g)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct vka_node *n = &g->nodes[i];
        const struct vka_tensor_info *out = &g->tensors[n->out[0].id];
        struct vka_cost cost = {0};
        if (n->once)
            continue;
        n->op->cost(g, n, &cost);
        double elements = (double)out->n * out->h * out->w * out->c, bytes = tensors_of(g, n);
        if (out->domain == VKA_SAMPLE && cost.flop < elements)
            fail_msg("'%s' (%s) computes nothing: %g operations for %g results", n->label, n->op->name, cost.flop,
                     elements);
        if (fabs(cost.bytes - bytes) > 0.001 * bytes)
            fail_msg("'%s' (%s) says that it moves %g bytes; its tensors are %g", n->label, n->op->name, cost.bytes,
                     bytes);
    }
}

static void within(const char *what, const struct vka_kernel_table *table)
{
    struct sd15_stage n;
    struct vka_traffic lines[VKA_TRAFFIC_LINES];
    uint32_t count = 0;
    vka_error err = {0};
    sd15_begin(&n, table, 64, 64, UINT64_MAX);
    assert_int_equal(vka_unet_stage_traffic(&n.stage, lines, &count, &err), VKA_OK);
    printf("%s\n    %-20s %10s %10s %10s\n", what, "operator", "dispatches", "TFLOP", "GB");
    for (uint32_t i = 1; i <= count; i++) { /* the sum last */
        const struct vka_traffic *l = &lines[i % count];
        printf("    %-20s %10u %10.3f %10.3f\n", l->op, l->dispatches, l->flop / 1e12, l->bytes / 1e9);
    }
    nodes_compute(n.stage.unet.graph);
    assert_true(lines[0].bytes <= MOST_BYTES);
    assert_true(lines[0].dispatches <= MOST_DISPATCHES);
    assert_true(lines[0].flop > 35.3e12 && lines[0].flop < 35.8e12);
    /* uncut, what is counted from the recording is what the nodes say */
    double said = n.stage.unet.plan->bytes + n.stage.begin.plan->bytes + n.stage.pattern[0].plan->bytes;
    assert_true(fabs(lines[0].bytes - said) < 0.001 * said);
    sd15_end(&n);
}

static void portable_kernels(void **state)
{
    (void)state;
    const struct vka_kernel_table t = portable();
    within("portable kernels", &t);
}

static void matrix_units(void **state)
{
    (void)state;
    const struct vka_kernel_table amd = with_matrix_units(0x1002), nvidia = with_matrix_units(0x10de);
    within("matrix units of AMD", &amd);
    within("matrix units of NVIDIA", &nvidia);
}

/* A plan in parts launches more and reads weights again. */
static void parts_cost_more(void **state)
{
    (void)state;
    const struct vka_kernel_table t = portable();
    struct sd15_stage n;
    struct vka_traffic whole[VKA_TRAFFIC_LINES], parts[VKA_TRAFFIC_LINES];
    uint32_t count = 0;
    uint64_t need;
    vka_error err = {0};
    sd15_begin(&n, &t, 64, 64, UINT64_MAX);
    assert_int_equal(vka_unet_stage_traffic(&n.stage, whole, &count, &err), VKA_OK);
    assert_int_equal(vka_unet_stage_plan(&n.stage, 0, &need, &err), VKA_OK);
    assert_int_equal(vka_unet_stage_traffic(&n.stage, parts, &count, &err), VKA_OK);
    assert_true(parts[0].dispatches > 2 * whole[0].dispatches && parts[0].bytes > whole[0].bytes + 2e9);
    assert_true(fabs(parts[0].flop - whole[0].flop) < 1e-6 * whole[0].flop);
    sd15_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portable_kernels),
        cmocka_unit_test(matrix_units),
        cmocka_unit_test(parts_cost_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
