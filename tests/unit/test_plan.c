/* test_plan.c - plans of synthetic graphs: run on the host part by part, in any order that the barriers allow, and
 * compared bit for bit with the graph run whole; and programs with a fault, which the proof must find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "plan_check.h"

enum { GRAPHS = 130, ARGS_AT = 256 };

/* Whether neighbouring parts both make some rows of the node's output. */
static bool makes_rows_twice(const struct vka_plan *p, uint32_t node)
{
    for (uint32_t i = 0; i < p->segment_count; i++)
        if (node >= p->segments[i].first && node < p->segments[i].wide_end && p->segments[i].parts > 1)
            return true;
    return false;
}

/* Every node covers each sample and pixel of its output once; rows that two parts need twice, or three times. */
static void check_cover(const struct vka_program *p)
{
    const struct vka_graph *g = p->plan->graph;
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct vka_node *n = &g->nodes[i];
        const struct vka_tensor_info *o = vka_info(g, n->out[0]);
        uint32_t pixels = o->h * o->w;
        uint8_t *seen = calloc((size_t)o->n * pixels, 1);
        assert_non_null(seen);
        for (uint32_t s = 0; s < p->step_count; s++) {
            if (p->steps[s].node != n)
                continue;
            struct fake_call k;
            uint64_t at;
            assert_int_equal(p->steps[s].launches, 1);
            memcpy(&at, p->launches[p->steps[s].launch].push, sizeof at);
            memcpy(&k, p->args + (at - ARGS_AT), sizeof k);
            for (uint32_t x = 0; x < k.out.n; x++)
                for (uint32_t q = 0; q < k.out.pixels; q++) {
                    uint32_t sample = o->domain == VKA_SAMPLE ? k.s0 + x : x, pixel = pixels == 1 ? 0 : k.p0 + q;
                    assert_true(sample < o->n && pixel < pixels);
                    seen[(size_t)sample * pixels + pixel]++;
                }
        }
        uint32_t want = o->domain == VKA_SAMPLE || n->once ? 1 : p->plan->passes; /* global ones again in every pass */
        bool twice = makes_rows_twice(p->plan, i);
        for (uint32_t x = 0; x < o->n * pixels; x++)
            if (twice ? seen[x] < want || seen[x] > 3 * want : seen[x] != want)
                fail_msg("'%s' makes element %u %u times, not %u (domain %d, %u passes)", n->label, x, seen[x], want,
                         o->domain, p->plan->passes);
        free(seen);
    }
}

/* Every range lies in the place of its tensor. */
static void check_ranges(const struct vka_program *p, const struct vka_addresses *at)
{
    for (uint32_t i = 0; i < p->range_count; i++) {
        const struct vka_range *r = &p->ranges[i];
        const struct vka_place *place = &p->plan->places[r->tensor];
        uint64_t base =
            place->space == VKA_SPACE_ARENA ? at->arena[place->block] + place->offset : at->bound[r->tensor];
        assert_true(r->begin >= base && r->end <= base + place->bytes && r->begin < r->end);
        assert_true(r->runs >= 1 && r->end == r->begin + (r->runs - 1) * r->stride + r->run);
    }
}

/* ---- running a plan ---------------------------------------------------------------------------------- */

struct memory {
    uint32_t **tensors;  /* per tensor: inputs, and outputs of the plan's run */
    uint32_t **expected; /* the same for the run node by node */
    uint64_t *bound;
    uint32_t count;
};

static uint32_t **allocate(const struct vka_graph *g)
{
    uint32_t **m = calloc(g->tensor_count, sizeof *m);
    assert_non_null(m);
    for (uint32_t t = 1; t < g->tensor_count; t++) {
        m[t] = calloc(vka_tensor_bytes(&g->tensors[t]), 1);
        assert_non_null(m[t]);
    }
    return m;
}

static struct memory memory_of(const struct vka_graph *g)
{
    struct memory m = {.tensors = allocate(g),
                       .expected = allocate(g),
                       .count = g->tensor_count,
                       .bound = calloc(g->tensor_count, sizeof *m.bound)};
    assert_non_null(m.bound);
    for (uint32_t t = 1; t < g->tensor_count; t++)
        m.bound[t] = (uint64_t)(uintptr_t)m.tensors[t];
    return m;
}

static void release(struct memory *m)
{
    for (uint32_t t = 0; t < m->count; t++) {
        free(m->tensors[t]);
        free(m->expected[t]);
    }
    free(m->tensors);
    free(m->expected);
    free(m->bound);
}

/* New numbers for the inputs: all of them in the first evaluation, those that change in the next. */
static void fill_inputs(const struct case_graph *c, struct memory *m, uint32_t seed, bool all)
{
    const struct vka_graph *g = c->b.graph;
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (g->tensors[t].role == VKA_INPUT && (all || t == c->clip.id || t == c->step.id))
            for (uint64_t i = 0; i < vka_tensor_bytes(&g->tensors[t]) / 4; i++)
                m->tensors[t][i] = m->expected[t][i] = fake_mix(seed + t, (uint32_t)i);
}

static void compare(const struct vka_graph *g, const struct memory *m)
{
    for (uint32_t t = 1; t < g->tensor_count; t++)
        if (g->tensors[t].role == VKA_OUTPUT &&
            memcmp(m->tensors[t], m->expected[t], vka_tensor_bytes(&g->tensors[t])) != 0)
            fail_msg("'%s' has other bits than the graph run whole", g->tensors[t].name);
}

/* Records the plan for memory of this process, proves it, and runs two evaluations in orders that the barriers
 * allow. */
static void run_plan(const struct case_graph *c, const struct vka_plan *p, uint32_t seed)
{
    const struct vka_graph *g = c->b.graph;
    struct memory m = memory_of(g);
    uint64_t *blocks = calloc(p->arena_block_count + 1, sizeof *blocks);
    vka_error err = {0};
    assert_non_null(blocks);
    for (uint32_t i = 0; i < p->arena_block_count; i++) {
        void *block = malloc(p->arena_blocks[i]);
        assert_non_null(block);
        blocks[i] = (uint64_t)(uintptr_t)block;
    }
    const struct vka_addresses at = {.arena = blocks, .bound = m.bound, .args = ARGS_AT};
    struct vka_program *program = vka_program_record(p, NULL, &at, &rates, &err);
    assert_non_null(program);
    check_cover(program);
    check_ranges(program, &at);
    if (vka_hazard_check(program, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    for (uint32_t order = 0; order < 3; order++) {
        for (uint32_t i = 0; i < p->arena_block_count; i++)
            memset((void *)(uintptr_t)blocks[i], 0xcd, p->arena_blocks[i]);
        for (int evaluation = 0; evaluation < 2; evaluation++) {
            fill_inputs(c, &m, seed + (uint32_t)evaluation, evaluation == 0);
            fake_reference(g, m.expected, evaluation == 0);
            assert_true(fake_program_run(program, evaluation == 0, order * 77777u));
            compare(g, &m);
        }
    }
    vka_program_destroy(&program);
    for (uint32_t i = 0; i < p->arena_block_count; i++)
        free((void *)(uintptr_t)blocks[i]);
    free(blocks);
    release(&m);
}

/* Two plans of the same question are the same plan. */
static void check_same(const struct vka_plan *a, const struct vka_plan *b)
{
    assert_int_equal(a->segment_count, b->segment_count);
    for (uint32_t i = 0; i < a->segment_count; i++)
        assert_true(a->segments[i].first == b->segments[i].first && a->segments[i].axis == b->segments[i].axis &&
                    a->segments[i].step == b->segments[i].step && a->segments[i].parts == b->segments[i].parts);
    for (uint32_t t = 1; t < a->graph->tensor_count; t++)
        assert_true(a->places[t].block == b->places[t].block && a->places[t].offset == b->places[t].offset &&
                    a->places[t].bytes == b->places[t].bytes && a->places[t].shares == b->places[t].shares);
    assert_true(a->arena_bytes == b->arena_bytes && a->peak_node == b->peak_node);
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void every_plan_gives_the_same_bits(void **state)
{
    (void)state;
    uint32_t cut = 0, shared = 0, apart = 0, bands = 0;
    for (uint32_t seed = 1; seed <= GRAPHS; seed++) {
        struct case_graph c = random_graph(seed);
        uint32_t branches = c.b.graph->samples / c.b.graph->frames;
        for (uint32_t together = 1; together <= branches;
             together++) { /* with a shorter last pass where it does not divide */
            struct vka_plan *most = plan(c.b.graph, together, UINT64_MAX), *least = plan(c.b.graph, together, 0);
            uint64_t before = UINT64_MAX;
            for (uint32_t i = 0; i < most->segment_count; i++)
                assert_int_equal(most->segments[i].parts, 1);
            assert_true(least->arena_bytes <= most->arena_bytes);
            for (uint32_t k = 0; k <= 6; k++) {
                uint64_t limit = least->arena_bytes + (most->arena_bytes - least->arena_bytes) * (6 - k) / 6;
                struct vka_plan *p = plan(c.b.graph, together, limit), *again = plan(c.b.graph, together, limit);
                assert_true(p->arena_bytes <= limit);  /* what can be kept is kept */
                assert_true(p->arena_bytes <= before); /* and less memory is never more */
                before = p->arena_bytes;
                check_same(p, again);
                check_places(p);
                run_plan(&c, p, seed);
                for (uint32_t i = 0; i < p->segment_count; i++) {
                    const struct vka_segment *s = &p->segments[i];
                    cut += s->parts > 1;
                    bands += s->parts > 1 && s->axis == VKA_AXIS_ROW && s->wide_end > s->first;
                }
                for (uint32_t t = 1; t < c.b.graph->tensor_count; t++)
                    shared += p->places[t].shares != 0;
                apart += p->passes > 1;
                vka_plan_destroy(&p);
                vka_plan_destroy(&again);
            }
            vka_plan_destroy(&most);
            vka_plan_destroy(&least);
        }
        vka_graph_destroy(&c.b.graph);
    }
    /* the cases are worth something */
    if (cut < 500 || shared < 500 || apart < 100 || bands < 30)
        fail_msg("only %u segments were cut, %u of them with rows made twice, %u bytes shared, %u plans in passes", cut,
                 bands, shared, apart);
    printf("%u segments cut, %u of them with rows made twice\n", cut, bands);
}

/* Tensors that wait in host memory: less of the device, the same bits, and a way left out is found. */
static void parked_tensors_come_back(void **state)
{
    (void)state;
    uint32_t parked = 0, smaller = 0;
    for (uint32_t seed = 1; seed <= GRAPHS; seed++) {
        struct case_graph c = random_graph(seed);
        uint32_t branches = c.b.graph->samples / c.b.graph->frames;
        struct vka_plan *most = plan(c.b.graph, branches, UINT64_MAX), *least = plan(c.b.graph, branches, 0);
        for (uint32_t k = 0; k < 3; k++) {
            uint64_t limit = k == 0 ? UINT64_MAX : k == 1 ? least->arena_bytes : 0;
            struct vka_plan *p = plan_parked(c.b.graph, 1 + k % branches, limit, true);
            check_places(p);
            run_plan(&c, p, seed);
            struct vka_program *program = record_fake(p);
            vka_error err = {0};
            for (uint32_t l = 0; l < program->list_count; l++) {
                uint32_t held = program->lists[l].parking;
                if (!held)
                    continue;
                program->lists[l].parking = 0;
                assert_int_equal(vka_hazard_check(program, &err), VKA_E_INTERNAL);
                program->lists[l].parking = held;
            }
            assert_int_equal(vka_hazard_check(program, NULL), VKA_OK);
            parked += p->parking_count;
            if (k == 0 && branches == 1)
                smaller += p->arena_bytes < most->arena_bytes;
            vka_program_destroy(&program);
            vka_plan_destroy(&p);
        }
        vka_plan_destroy(&most);
        vka_plan_destroy(&least);
        vka_graph_destroy(&c.b.graph);
    }
    printf("%u tensors parked, %u arenas smaller for it\n", parked, smaller);
    assert_true(parked > 100 && smaller > 10);
}

static void a_missing_barrier_is_found(void **state)
{
    (void)state;
    uint32_t barriers = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct case_graph c = random_graph(seed);
        for (uint32_t k = 0; k < 2; k++) {
            struct vka_plan *p = plan(c.b.graph, 1, k ? 0 : UINT64_MAX);
            struct vka_program *program = record_fake(p);
            for (uint32_t i = 0; i < program->step_count; i++) {
                if (!program->steps[i].barrier)
                    continue;
                vka_error err = {0};
                program->steps[i].barrier = false;
                if (vka_hazard_check(program, &err) != VKA_E_INTERNAL)
                    fail_msg("graph %u: nobody misses the barrier before step %u, '%s'", seed, i,
                             program->steps[i].node->label);
                program->steps[i].barrier = true;
                barriers++;
            }
            vka_program_destroy(&program);
            vka_plan_destroy(&p);
        }
        vka_graph_destroy(&c.b.graph);
    }
    assert_true(barriers > 1000);
}

/* Whether a is read after b is written, b itself or the step's next evaluation doing it: then they must not share
 * bytes, unless b may be written over a. */
static bool at_odds(const struct vka_plan *p, const int32_t *last, uint32_t a, uint32_t b)
{
    const struct vka_graph *g = p->graph;
    const struct vka_tensor_info *x = &g->tensors[a], *y = &g->tensors[b];
    if (p->places[a].space != VKA_SPACE_ARENA || p->places[b].space != VKA_SPACE_ARENA || root(p, a) == root(p, b))
        return false;
    const struct vka_node *n = &g->nodes[y->producer];
    if (g->nodes[x->producer].once && last[a] >= 0 && !g->nodes[last[a]].once && !n->once)
        return true; /* a is kept */
    if (x->producer >= y->producer || last[a] < y->producer)
        return false;
    for (uint32_t i = 0; i < n->inputs && last[a] == y->producer; i++)
        if (n->in[i].id == a && (n->in_place >> i & 1))
            return false;
    return true;
}

static void must_object(const struct vka_plan *p, const char *what, uint32_t seed, uint32_t a, uint32_t b)
{
    struct vka_program *program = record_fake(p);
    vka_error err = {0};
    if (vka_hazard_check(program, &err) != VKA_E_INTERNAL)
        fail_msg("graph %u: '%s' and '%s' %s and nobody objects", seed, p->graph->tensors[a].name,
                 p->graph->tensors[b].name, what);
    vka_program_destroy(&program);
}

static void two_tensors_in_one_place_are_found(void **state)
{
    (void)state;
    uint32_t found = 0, askew = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct case_graph c = random_graph(seed);
        const struct vka_graph *g = c.b.graph;
        int32_t *last = calloc(g->tensor_count, sizeof *last);
        assert_non_null(last);
        for (uint32_t i = 0; i < g->node_count; i++)
            for (uint32_t k = 0; k < g->nodes[i].inputs; k++)
                last[g->nodes[i].in[k].id] = (int32_t)i;
        for (uint32_t k = 0; k < 2; k++) {
            struct vka_plan *p = plan(g, 1, k ? 0 : UINT64_MAX);
            for (uint32_t a = 1; a < g->tensor_count; a++)
                for (uint32_t b = 1; b < g->tensor_count; b++) {
                    if (!at_odds(p, last, a, b))
                        continue;
                    struct vka_place kept = p->places[b];
                    p->places[b].block = p->places[a].block;
                    p->places[b].offset = p->places[a].offset;
                    must_object(p, "lie in one place", seed, a, b);
                    p->places[b] = kept;
                    found++;
                }
            for (uint32_t t = 1; t < g->tensor_count; t++)
                if (p->places[t].shares && p->places[t].bytes > VKA_PLAN_ALIGN) {
                    p->places[t].offset += VKA_PLAN_ALIGN;
                    must_object(p, "lie askew", seed, p->places[t].shares, t);
                    p->places[t].offset -= VKA_PLAN_ALIGN;
                    askew++;
                }
            vka_plan_destroy(&p);
        }
        free(last);
        vka_graph_destroy(&c.b.graph);
    }
    assert_true(found > 1000 && askew > 20);
}

static void a_part_read_before_it_is_written_is_found(void **state)
{
    (void)state;
    /* a picture's node in a segment cut by pixels would read pixels of parts to come */
    vka_build b;
    fake_begin(&b, 1, 4);
    vka_tensor x = fake_input(&b, VKA_SAMPLE, 8, 8, 8);
    vka_tensor y = fake_node(&b, FAKE_FRAMES, VKA_SAMPLE, 8, 8, 8, &x, 1, false);
    vka_tensor z = fake_node(&b, FAKE_PICTURE, VKA_SAMPLE, 8, 8, 8, &y, 1, false);
    vka_graph_output(&b, z);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, &x, 1, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, UINT64_MAX);
    assert_int_equal(p->segment_count, 2);
    p->segments[0].parts = 4; /* the tensor between is whole, whatever the parts */
    p->segments[0].step = 16;
    struct vka_program *program = record_fake(p);
    assert_int_equal(vka_hazard_check(program, &err), VKA_OK);
    /* now leave the last part out: a quarter of every sample is never written */
    program->steps[3].ranges--;
    assert_int_equal(program->steps[3].node->out[0].id, y.id);
    assert_int_equal(vka_hazard_check(program, &err), VKA_E_INTERNAL);
    assert_non_null(strstr(err.what, "nothing yet"));
    vka_program_destroy(&program);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void equal_arguments_are_stored_once(void **state)
{
    (void)state;
    vka_build b;
    fake_begin(&b, 1, 64);
    vka_tensor x = fake_input(&b, VKA_GLOBAL, 1, 1, 8), t = x;
    for (int i = 0; i < 600; i++)
        t = fake_node(&b, FAKE_TABLE, VKA_GLOBAL, 1, 1, 8, &t, 1, false);
    vka_graph_output(&b, t);
    vka_error err = {0};
    assert_int_equal(vka_build_finish(&b, NULL, 0, &err), VKA_OK);
    struct vka_plan *p = plan(b.graph, 1, UINT64_MAX);
    struct vka_program *program = record_fake(p);
    /* two places take turns, but each node has a number of its own: all differ, in 16-byte steps */
    uint64_t each = vka_round_up(sizeof(struct fake_call), 16);
    assert_true(program->args_bytes > 599 * each && program->args_bytes <= 600 * each);
    size_t all = program->args_bytes;
    vka_program_destroy(&program);
    for (uint32_t i = 0; i < b.graph->node_count; i++)
        memcpy(b.graph->nodes[i].params, &(struct fake_params){FAKE_TABLE, 5}, sizeof(struct fake_params));
    program = record_fake(p); /* the same number: the same arguments wherever the places recur */
    assert_true(program->args_bytes < all / 50);
    for (uint32_t i = 0; i < program->step_count; i++) {
        struct fake_call k;
        uint64_t at;
        memcpy(&at, program->launches[i].push, sizeof at);
        struct vka_addresses fake;
        uint64_t *store;
        assert_int_equal(vka_addresses_fake(p, &fake, &store, &err), VKA_OK);
        memcpy(&k, program->args + (at - fake.args), sizeof k);
        free(store);
        for (uint32_t r = program->steps[i].range; r < program->steps[i].range + program->steps[i].ranges; r++)
            assert_true(program->ranges[r].begin == (program->ranges[r].write ? k.out.address : k.in[0].address));
    }
    vka_program_destroy(&program);
    vka_plan_destroy(&p);
    vka_graph_destroy(&b.graph);
}

static void lists_end_where_their_time_does(void **state)
{
    (void)state;
    struct case_graph c = random_graph(7);
    struct vka_plan *p = plan(c.b.graph, 1, 0);
    struct vka_program *program = record_fake(p);
    uint32_t steps = 0;
    assert_true(program->list_count > 3);
    for (uint32_t l = 0; l < program->list_count; l++) {
        const struct vka_program_list *list = &program->lists[l];
        assert_int_equal(list->step, steps);
        assert_true(list->steps > 0);
        double seconds = 0;
        for (uint32_t i = list->step; i < list->step + list->steps; i++) {
            if (i > list->step)
                assert_true(seconds <= rates.list_seconds);
            seconds += program->steps[i].seconds;
            assert_int_equal(program->steps[i].node->once, list->once);
        }
        steps += list->steps;
    }
    assert_int_equal(steps, program->step_count);
    vka_program_destroy(&program);
    vka_plan_destroy(&p);
    vka_graph_destroy(&c.b.graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_plan_gives_the_same_bits),
        cmocka_unit_test(parked_tensors_come_back),
        cmocka_unit_test(a_missing_barrier_is_found),
        cmocka_unit_test(two_tensors_in_one_place_are_found),
        cmocka_unit_test(a_part_read_before_it_is_written_is_found),
        cmocka_unit_test(equal_arguments_are_stored_once),
        cmocka_unit_test(lists_end_where_their_time_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
