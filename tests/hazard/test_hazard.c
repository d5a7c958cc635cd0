/* test_hazard.c - plans of the real networks without a device: planned at many budgets, recorded for made-up
 * addresses, and proven free of hazards; then spoilt, one barrier, offset, copy or edge at a time, and the proof must fail.
 *
 * Weights are names and shapes (networks.h), so that Stable Diffusion 1.5 with AnimateDiff v2 takes no memory here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "networks.h"

#include "render/stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUDGETS = 10 };

/* gcc tells of a sanitizer by a macro, clang by a feature */
#if defined(__SANITIZE_ADDRESS__)
#define SLOWNESS 20.0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOWNESS 20.0
#endif
#endif
#ifndef SLOWNESS
#define SLOWNESS 1.0
#endif

/* No number in a push block looks like one of these by chance. */
#define FAR_AWAY ((uint64_t)0x0f3a5 << 40)

struct shape {
    uint32_t frames, height, width, branches;
    bool motion, resnet_joint, motion_joint, f16, cpu;
};

static struct vka_kernel_table table_for(bool cpu)
{
    struct vka_kernel_table t;
    vka_kernel_table_init(&t, NULL);
    if (cpu) {
        t.cpu = true;
        t.subgroup_size = 8;
    }
    return t;
}

/* `./run test --all` deletes every barrier of the large networks and goes through more budgets. */
static bool thorough(void)
{
    const char *all = getenv("VKANIM_TEST_ALL");
    return all && *all;
}

/* ---- a recorded program -------------------------------------------------------------------------------- */

struct recorded {
    struct vka_program *program;
    struct vka_addresses at;
    uint64_t *store;
};

static struct recorded record(const struct vka_plan *p, const struct vka_kernel_table *table)
{
    struct recorded r = {0};
    vka_error err = {0};
    const struct vka_rates rates = vka_exec_rates(NULL, 0);
    assert_int_equal(vka_addresses_fake(p, &r.at, &r.store, &err), VKA_OK);
    for (uint32_t i = 0; i < p->arena_block_count + p->weight_block_count + p->graph->tensor_count; i++)
        r.store[i] += FAR_AWAY;
    r.at.args += FAR_AWAY;
    r.program = vka_program_record(p, table, &r.at, &rates, &err);
    if (!r.program)
        fail_msg("%s", err.what);
    return r;
}

static void forget(struct recorded *r)
{
    vka_program_destroy(&r->program);
    free(r->store);
}

static void must_hold(const struct vka_program *p, const char *what)
{
    vka_error err = {0};
    if (vka_hazard_check(p, &err) != VKA_OK)
        fail_msg("%s: %s: %s", what, err.what, err.why);
}

/* Whether the step declares that it touches the byte, or the byte belongs to a weight that it reads, or to its
 * arguments. */
static bool declared(const struct recorded *r, const struct vka_step *s, uint64_t address)
{
    const struct vka_program *p = r->program;
    if (address >= r->at.args && address < r->at.args + p->args_bytes)
        return true;
    for (uint32_t i = s->range; i < s->range + s->ranges; i++)
        if (address >= p->ranges[i].begin && address < p->ranges[i].end)
            return true;
    for (uint32_t i = 0; i < s->node->inputs; i++) {
        const struct vka_place *at = &p->plan->places[s->node->in[i].id];
        if (at->space == VKA_SPACE_WEIGHT) {
            uint64_t base = r->at.weights[at->block] + at->offset;
            if (address >= base && address < base + at->bytes)
                return true;
        }
    }
    return false;
}

/* Every address in a push block is one that the step declared; every step launches something. */
static void check_pushes(const struct recorded *r)
{
    const struct vka_program *p = r->program;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const struct vka_step *s = &p->steps[i];
        assert_true(s->launches > 0);
        for (uint32_t l = s->launch; l < s->launch + s->launches; l++) {
            uint32_t addresses = 0;
            assert_true(p->launches[l].push_bytes <= VKA_DISPATCH_PUSH && p->launches[l].push_bytes % 4 == 0);
            for (uint32_t b = 0; b + 8 <= p->launches[l].push_bytes; b += 8) {
                uint64_t v;
                memcpy(&v, p->launches[l].push + b, sizeof v);
                if (v >> 40 != FAR_AWAY >> 40)
                    continue;
                addresses++;
                if (!declared(r, s, v))
                    fail_msg("'%s' (%s) gets the address at byte %u of its push block from nowhere", s->node->label,
                             s->node->op->name, b);
            }
            assert_true(addresses >= 2); /* it reads and it writes */
        }
    }
}

/* Every range lies in the bytes of its tensor. */
static void check_ranges(const struct recorded *r)
{
    const struct vka_program *p = r->program;
    for (uint32_t i = 0; i < p->range_count; i++) {
        const struct vka_range *x = &p->ranges[i];
        const struct vka_place *at = &p->plan->places[x->tensor];
        uint64_t base = at->space == VKA_SPACE_ARENA    ? r->at.arena[at->block] + at->offset
                        : at->space == VKA_SPACE_WEIGHT ? r->at.weights[at->block] + at->offset
                                                        : r->at.bound[x->tensor];
        assert_true(at->space != VKA_SPACE_WEIGHT || (at->streamed && !x->write));
        assert_true(x->begin >= base && x->begin < x->end && x->end <= base + at->bytes);
        if (at->space == VKA_SPACE_ARENA)
            assert_true(at->offset + at->bytes <= p->plan->arena_blocks[at->block]);
    }
}

/* Takes barriers away one at a time, at most `most` of them, evenly spread; each must be missed.  Returns how many. */
static uint32_t spoil_barriers(struct vka_program *p, uint32_t most)
{
    uint32_t barriers = 0, seen = 0, spoilt = 0;
    for (uint32_t i = 0; i < p->step_count; i++)
        barriers += p->steps[i].barrier;
    for (uint32_t i = 0; i < p->step_count; i++) {
        if (!p->steps[i].barrier)
            continue;
        if (barriers <= most || (uint64_t)seen * most / barriers != (uint64_t)(seen + 1) * most / barriers) {
            vka_error err = {0};
            p->steps[i].barrier = false;
            if (vka_hazard_check(p, &err) != VKA_E_INTERNAL)
                fail_msg("nobody misses the barrier before '%s', step %u of %u", p->steps[i].node->label, i,
                         p->step_count);
            p->steps[i].barrier = true;
            spoilt++;
        }
        seen++;
    }
    return spoilt;
}

/* Puts tensors where others lie that live at the same time, at most `most` times; each must be found.  Returns how
 * many. */
static uint32_t spoil_offsets(struct vka_plan *p, const struct vka_kernel_table *table, uint32_t most)
{
    const struct vka_graph *g = p->graph;
    int32_t *last = calloc(g->tensor_count, sizeof *last);
    uint32_t spoilt = 0, met = 0;
    assert_non_null(last);
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
            last[g->nodes[i].in[k].id] = (int32_t)i;
    for (uint32_t i = 0; i < g->node_count && spoilt < most; i++) {
        uint32_t b = g->nodes[i].out[0].id;
        struct vka_place kept = p->places[b];
        for (uint32_t a = 1; a < g->tensor_count && spoilt < most; a++) {
            /* a is written before node i, and read after it or by it; but not what b may be written over */
            const struct vka_place *other = &p->places[a];
            bool over = false;
            for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
                over = over || (g->nodes[i].in[k].id == a && last[a] == (int32_t)i && (g->nodes[i].in_place >> k & 1));
            if (kept.space != VKA_SPACE_ARENA || other->space != VKA_SPACE_ARENA ||
                g->tensors[a].producer >= (int32_t)i || last[a] < (int32_t)i || over || met++ % 7)
                continue;
            p->places[b].block = other->block;
            p->places[b].offset = other->offset;
            struct recorded r = record(p, table);
            vka_error err = {0};
            if (vka_hazard_check(r.program, &err) != VKA_E_INTERNAL)
                fail_msg("'%s' lies on '%s' and nobody objects", g->tensors[b].name, g->tensors[a].name);
            forget(&r);
            p->places[b] = kept;
            spoilt++;
        }
    }
    free(last);
    return spoilt;
}

/* Streamed weights: each has its bytes in the ring and in the host's blocks, alone there among all of them.  Then, at most `most`
 * times, a unit's copies are left out, or two weights of a unit lie on each other: each must be found.  Returns how many. */
static uint32_t spoil_units(struct vka_plan *p, const struct vka_kernel_table *table, uint32_t most)
{
    const struct vka_graph *g = p->graph;
    uint32_t spoilt = 0;
    for (uint32_t a = 1; a < g->tensor_count; a++) {
        const struct vka_place *x = &p->places[a];
        if (!x->streamed)
            continue;
        assert_true(x->space == VKA_SPACE_WEIGHT && x->block == p->ring_block && x->host_block < p->host_block_count);
        assert_true(x->offset + x->bytes <= p->weight_blocks[x->block]);
        assert_true(x->host_offset + x->bytes <= p->host_blocks[x->host_block]);
        for (uint32_t b = 1; b < a; b++) {
            const struct vka_place *y = &p->places[b];
            assert_true(!y->streamed || y->host_block != x->host_block || x->host_offset >= y->host_offset + y->bytes ||
                        y->host_offset >= x->host_offset + x->bytes);
        }
    }
    for (uint32_t u = 0; u < p->unit_count && spoilt < most; u++) {
        struct vka_unit *unit = &p->units[u];
        vka_error err = {0};
        unit->copies--;
        struct recorded r = record(p, table);
        /* what an earlier unit brought to the same place may still be there: then nothing is wrong */
        bool there = false;
        for (uint32_t v = 0; v < u; v++)
            for (uint32_t i = p->units[v].copy; i < p->units[v].copy + p->units[v].copies; i++)
                there = there || p->copies[i] == p->copies[unit->copy + unit->copies];
        if (vka_hazard_check(r.program, &err) != VKA_E_INTERNAL && !there)
            fail_msg("nobody misses '%s'", g->tensors[p->copies[unit->copy + unit->copies]].name);
        forget(&r);
        unit->copies++;
        spoilt++;
        if (unit->copies < 2)
            continue;
        struct vka_place *first = &p->places[p->copies[unit->copy]], kept = *first;
        first->offset = p->places[p->copies[unit->copy + 1]].offset;
        r = record(p, table);
        if (vka_hazard_check(r.program, &err) != VKA_E_INTERNAL)
            fail_msg("two weights of a unit lie on each other and nobody objects");
        forget(&r);
        *first = kept;
        spoilt++;
    }
    return spoilt;
}

/* What the lists of two queues wait for: a unit's copies for nothing of the unit before it in the pass, or they would not come
 * while that runs; its launches for its copies.  Then, at most `most` times, an edge is left out, or turned to a list that comes
 * later, or a list changes its queue: each must be found.  Returns how many. */
static uint32_t spoil_edges(struct vka_program *p, uint32_t most)
{
    uint32_t spoilt = 0, edges = 0, seen = 0, unit = UINT32_MAX;
    for (uint32_t l = 0; l < p->list_count; l++) {
        struct vka_program_list *list = &p->lists[l];
        edges += (list->after[VKA_TURN_FIRST] ? 1u : 0u) + (list->after[VKA_TURN_NEXT] ? 1u : 0u);
        assert_true(list->transfer == (p->plan->prefetch && list->copies));
        if (!list->transfer || list->once)
            continue;
        assert_int_equal(p->lists[l + 1].after[VKA_TURN_NEXT], l + 1);
        if (unit != UINT32_MAX && p->lists[unit].copy < list->copy)
            assert_true(list->after[VKA_TURN_NEXT] <= unit);
        unit = l;
    }
    assert_true(p->plan->prefetch ? edges > 0 : edges == 0);
    for (uint32_t l = 0; l < p->list_count; l++)
        for (enum vka_turn turn = VKA_TURN_FIRST; turn < VKA_TURNS; turn++) {
            struct vka_program_list *list = &p->lists[l];
            const uint32_t kept = list->after[turn];
            if (!kept || (edges > most && (uint64_t)seen * most / edges == (uint64_t)(seen + 1) * most / edges)) {
                seen += kept > 0;
                continue;
            }
            seen++;
            for (int how = 0; how < 3; how++) {
                vka_error err = {0};
                list->after[turn] = how == 1 ? l + 1 : how == 2 ? kept : 0;
                list->transfer ^= how == 2;
                if (vka_hazard_check(p, &err) != VKA_E_INTERNAL)
                    fail_msg("edge %u -> %u of turn %d is spoilt (%d) and nobody objects", kept - 1, l, (int)turn, how);
                list->transfer ^= how == 2;
                spoilt++;
            }
            list->after[turn] = kept;
        }
    return spoilt;
}

/* The estimate: one queue after the other takes the sum; two take no less than either alone, and with copies that come early
 * less than the sum. */
static void check_seconds(const struct vka_program *p)
{
    double alone[2] = {0, 0}, all = vka_program_seconds(p);
    for (uint32_t l = 0; l < p->list_count; l++)
        alone[p->lists[l].transfer] += p->lists[l].once ? 0 : p->lists[l].seconds;
    double sum = alone[0] + alone[1], longer = alone[0] > alone[1] ? alone[0] : alone[1];
    assert_true(all >= 0.999999 * longer && all <= 1.000001 * sum);
    if (p->plan->prefetch && alone[1] > 0)
        assert_true(all < sum);
}

/* ---- a network at many budgets --------------------------------------------------------------------------- */

struct tally {
    uint32_t plans, steps, barriers, offsets, cut, apart, streamed, units, ahead, edges;
    double worst_seconds;
};

static vka_status plan_within(const struct vka_graph *g, const struct vka_kernel_table *table, uint64_t budget, uint64_t other,
                              struct vka_plan **plan, uint64_t *need, vka_error *err)
{
    return vka_exec_plan(g, table, &(struct vka_ask){.room = {budget, UINT64_MAX}}, other, plan, need, err);
}

static void prove(const struct vka_graph *g, const struct vka_kernel_table *table, uint32_t budgets, uint32_t barriers,
                  uint32_t offsets, struct tally *t)
{
    const uint64_t other = 12345678; /* what a caller needs beside the network */
    struct vka_plan *p = NULL;
    uint64_t least, most;
    vka_error err = {0};
    assert_int_equal(plan_within(g, table, 0, 0, &p, &least, &err), VKA_OK);
    vka_plan_destroy(&p);
    assert_int_equal(plan_within(g, table, UINT64_MAX, 0, &p, &most, &err), VKA_OK);
    assert_true(least <= most && p->passes == 1);
    vka_plan_destroy(&p);
    for (uint32_t b = 0; b <= budgets; b++) { /* the last has one byte too little */
        uint64_t budget = b < budgets ? least + (most - least) / (budgets - 1) * (budgets - 1 - b) : least - 1, need;
        if (b == 0)
            budget = most;
        clock_t began = clock();
        assert_int_equal(plan_within(g, table, other + budget, other, &p, &need, &err), VKA_OK);
        double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
        t->worst_seconds = seconds > t->worst_seconds ? seconds : t->worst_seconds;
        assert_true(b == budgets ? need == least : need <= budget);
        struct recorded r = record(p, table);
        assert_true(vka_exec_footprint(p, r.program->args_bytes) == need);
        must_hold(r.program, g->name);
        check_pushes(&r);
        check_ranges(&r);
        t->barriers += spoil_barriers(r.program, barriers);
        t->plans++;
        t->steps += r.program->step_count;
        t->apart += p->passes > 1;
        t->streamed += p->unit_count > 0;
        t->ahead += p->prefetch;
        check_seconds(r.program);
        t->edges += spoil_edges(r.program, thorough() ? barriers : barriers / 4);
        if (b % 3 == 0)
            t->units += spoil_units(p, table, offsets);
        for (uint32_t i = 0; i < p->segment_count; i++)
            t->cut += p->segments[i].parts > 1;
        forget(&r);
        if (b == 0 || b == budgets / 2 || b == budgets)
            t->offsets += spoil_offsets(p, table, offsets);
        vka_plan_destroy(&p);
    }
}

static void report(const char *what, const struct tally *t)
{
    printf("%s: %u plans, %u steps, %u barriers, %u offsets, %u copies and %u edges spoilt; %u segments cut, %u plans in passes, "
           "%u with streamed weights, %u of them ahead; slowest plan %.3f s\n",
           what, t->plans, t->steps, t->barriers, t->offsets, t->units, t->edges, t->cut, t->apart, t->streamed, t->ahead,
           t->worst_seconds);
}

/* `with_amounts`: a motion scale and effect, numbers for each frame; `windows`: inside the motion modules.  Returns the bytes of
 * all weights. */
static uint64_t prove_unet(const vka_unet_config *c, const struct shape *s, bool with_amounts, struct vka_frame_windows windows,
                           uint32_t budgets, uint32_t barriers, uint32_t offsets, struct tally *t)
{
    vka_motion_info motion = networks_v2_motion(c);
    vka_weights *weights = networks_unet_table(c, NULL),
                *more = s->motion ? networks_motion_table(&motion, c, NULL) : NULL;
    struct vka_unet_stage stage;
    float amounts[64];
    for (uint32_t i = 0; i < 64; i++)
        amounts[i] = 0.5f;
    assert_true(s->frames <= 64);
    const struct vka_unet_stage_params p = {.weights = weights,
                                            .motion_windows = windows,
                                            .motion_scale = with_amounts ? amounts : NULL,
                                            .motion_effect = with_amounts ? amounts : NULL,
                                            .motion_weights = more,
                                            .config = c,
                                            .motion = s->motion ? &motion : NULL,
                                            .norms = {s->resnet_joint, s->motion_joint},
                                            .frames = s->frames,
                                            .height = s->height,
                                            .width = s->width,
                                            .branches = s->branches,
                                            .prompts = s->branches,
                                            .tokens = 77,
                                            .text_width = c->cross_attention_dim,
                                            .f16 = s->f16,
                                            .table = table_for(s->cpu)};
    vka_error err = {0};
    assert_non_null(weights);
    if (vka_unet_stage_build(&stage, &p, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    assert_int_equal(vka_weights_unused(weights, NULL, 0), 0);
    if (more)
        assert_int_equal(vka_weights_unused(more, NULL, 0), 0);
    prove(stage.unet.graph, &p.table, budgets, barriers, offsets, t);
    uint64_t bytes = 0;
    for (uint32_t i = 1; i < stage.unet.graph->tensor_count; i++)
        if (stage.unet.graph->tensors[i].role == VKA_WEIGHT)
            bytes += vka_tensor_bytes(&stage.unet.graph->tensors[i]);
    vka_unet_stage_end(&stage);
    vka_weights_free(weights);
    vka_weights_free(more);
    return bytes;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void small_unets_in_every_shape(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        /* frames, h, w, branches, motion, joint norms, f16, cpu */
        {1, 8, 8, 1, false, false, false, false, true},  {1, 8, 8, 2, true, false, false, true, true},
        {2, 16, 16, 2, true, true, true, false, true},   {3, 13, 9, 2, true, true, false, true, false},
        {5, 6, 5, 1, true, false, true, false, false},   {8, 32, 8, 2, false, false, false, true, true},
        {16, 16, 16, 2, true, false, false, true, true}, {32, 8, 12, 2, true, true, true, true, false},
        {7, 33, 31, 2, true, false, true, false, true},  {4, 1, 1, 2, true, false, false, false, true},
        {4, 2, 1, 2, true, true, true, false, false},    {16, 64, 64, 2, true, false, false, true, false},
    };
    static const struct vka_frame_windows windows[sizeof shapes / sizeof *shapes] = {
        [5] = {4, 4, true}, [7] = {8, 3, false}, [8] = {4, 1, false}};
    const vka_unet_config unets[] = {networks_small_unet(16, 2, 1), networks_small_unet(24, 3, 2)};
    struct tally t = {0};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        prove_unet(&unets[i % 2], &shapes[i], i == 6, windows[i], thorough() ? 4 * BUDGETS : BUDGETS, thorough() ? 100000 : 400, 60, &t);
    report("small UNets", &t);
    assert_true(t.barriers > 5000 && t.offsets > 500 && t.units > 500 && t.cut > 200 && t.apart > 20 && t.streamed > 50);
}

static void stable_diffusion_in_every_shape(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {16, 64, 64, 2, true, false, false, true, false},  {32, 64, 64, 2, true, false, false, true, false},
        {16, 128, 128, 2, true, false, true, true, false}, {7, 65, 47, 2, true, true, true, true, false},
        {16, 64, 48, 1, true, true, false, false, false},  {1, 64, 64, 2, false, false, false, true, false},
        {4, 96, 64, 2, true, false, false, true, true},
    };
    const vka_unet_config c = networks_sd15_unet();
    struct tally t = {0};
    uint64_t bytes[sizeof shapes / sizeof *shapes];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        bytes[i] = prove_unet(&c, &shapes[i], false, (struct vka_frame_windows){i == 1 ? 16 : 0, 4, false}, thorough() ? 2 * BUDGETS : BUDGETS, thorough() ? 100000 : 12, thorough() ? 40 : 4, &t);
    report("SD1.5 with v2", &t);
    assert_true(bytes[1] > bytes[0] && bytes[1] < bytes[0] + bytes[0] / 500); /* phases of windows share their weights */
    assert_true(t.worst_seconds < 1.0 * SLOWNESS);
}

static void vaes(void **state)
{
    (void)state;
    const vka_vae_config configs[] = {networks_small_vae(8, 3), networks_sd15_vae()};
    struct tally t = {0};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        vka_weights *weights = networks_vae_table(&configs[i], NULL);
        assert_non_null(weights);
        for (int mode = VKA_VAE_PICTURES; mode <= VKA_VAE_ENCODE; mode++) {
            const struct vka_kernel_table table = table_for(i == 0);
            struct vka_vae_stage stage;
            uint32_t size = i ? 64 : 9, times = mode == VKA_VAE_ENCODE ? (i ? 8 : 4) : 1;
            vka_error err = {0};
            if (vka_vae_stage_build(&stage, (enum vka_vae_mode)mode, weights, &configs[i], i ? 1 : 3, size * times,
                                    (size + 2) * times, i == 1, &table, &err) != VKA_OK)
                fail_msg("%s: %s", err.what, err.why);
            prove(stage.run.graph, &table, i ? 3 : BUDGETS, 400, 30, &t);
            vka_vae_stage_end(&stage);
        }
        assert_int_equal(vka_weights_unused(weights, NULL, 0), 0);
        vka_weights_free(weights);
    }
    report("VAEs", &t);
}

static void text_encoders(void **state)
{
    (void)state;
    const vka_text_config configs[] = {networks_small_text(64, 3), networks_sd15_text()};
    struct tally t = {0};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
        for (uint32_t chunks = 1; chunks <= 4; chunks += 3) {
            vka_weights *weights = networks_text_table(&configs[i], NULL);
            const struct vka_kernel_table table = table_for(i == 0);
            struct vka_text_stage stage;
            vka_error err = {0};
            assert_non_null(weights);
            if (vka_text_stage_build(&stage, weights, &configs[i], 0, chunks, 77, i == 1, &table, &err) != VKA_OK)
                fail_msg("%s: %s", err.what, err.why);
            assert_int_equal(vka_weights_unused(weights, NULL, 0), 0);
            prove(stage.run.graph, &table, BUDGETS, 400, 30, &t);
            vka_text_stage_end(&stage);
            vka_weights_free(weights);
        }
    report("text encoders", &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_unets_in_every_shape),
        cmocka_unit_test(stable_diffusion_in_every_shape),
        cmocka_unit_test(vaes),
        cmocka_unit_test(text_encoders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
