/* test_queues.c - the second queue: copies and launches that wait for each other, what is refused, times, failing calls, a
 * loss and a hang there; and that a program's edges between its queues are what is submitted, and no more.
 *
 * Where the device has one queue, both lines are that one (VKA_TRANSFERS_TWIN): timelines, tickets and waits are the same.
 * check.two_families runs this on a device with a family that only copies (two_families.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"
#include "networks.h"

#include "base/clock.h"
#include "gpu/gpu_internal.h"
#include "render/stages.h"
#include "shaders/shaders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 5000, NUMBERS = 1 << 19 };

/* The device with its second queue where it has one, else with a twin. */
static vka_gpu *open_two(void)
{
    vka_gpu *gpu = check_open_gpu_with(VKA_TRANSFERS_BEST, false);
    if (vka_gpu_describe(gpu)->transfer_queue)
        return gpu;
    check_close_gpu(&gpu);
    return check_open_gpu_with(VKA_TRANSFERS_TWIN, false);
}

/* ---- a chain over both queues ----------------------------------------------------------------------------- */

/* fill: a[i] = 3 i + base; there: b = a; twice: c[i] = 2 b[i]; back: d = c.  Each waits for the one before. */
struct chain {
    vka_gpu *gpu;
    vka_block *a, *b, *c, *d;
    vka_list *fill, *there, *twice, *back;
    uint64_t tickets[4];
};

static vka_status probe(vka_gpu *gpu, uint32_t use_src, uint32_t factor, vka_pipeline **p, vka_error *err)
{
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.count = 3;
    key.constants[0] = 64;
    key.constants[1] = use_src;
    key.constants[2] = factor;
    return vka_gpu_pipeline(gpu, &key, p, err);
}

static vka_status add_fill(struct chain *c, vka_list *list, uint32_t factor, const vka_block *dst, const vka_block *src,
                           const char *label, vka_error *err)
{
    struct {
        uint64_t dst, src;
        uint32_t count, base;
    } push = {.dst = dst->address, .src = src ? src->address : 0, .count = WORDS, .base = 7};
    const uint32_t groups[3] = {(WORDS + 63) / 64, 1, 1};
    vka_pipeline *p = NULL;
    vka_status s = probe(c->gpu, src != NULL, factor, &p, err);
    if (s == VKA_OK)
        vka_list_dispatch(list, p, &push, sizeof push, groups, label);
    return s;
}

static vka_status chain_open(struct chain *c, vka_gpu *gpu, vka_error *err)
{
    *c = (struct chain){.gpu = gpu};
    vka_block **blocks[] = {&c->a, &c->b, &c->c, &c->d};
    vka_status s = VKA_OK;
    for (int i = 0; s == VKA_OK && i < 4; i++)
        s = vka_block_create(gpu, 4 * WORDS, i == 3 ? VKA_MEMORY_HOST : VKA_MEMORY_DEVICE, true, blocks[i], err);
    if (s == VKA_OK)
        s = vka_list_begin(gpu, "the filling", &c->fill, err);
    if (s == VKA_OK)
        s = add_fill(c, c->fill, 3, c->a, NULL, "conv 7", err);
    if (s == VKA_OK)
        s = vka_list_end(c->fill, err);
    if (s == VKA_OK)
        s = vka_list_begin_transfer(gpu, "the way there", &c->there, err);
    if (s == VKA_OK) {
        vka_list_copy(c->there, c->b, 0, c->a, 0, 4 * (WORDS / 2));
        vka_list_copy(c->there, c->b, 4 * (WORDS / 2), c->a, 4 * (WORDS / 2), 4 * (WORDS - WORDS / 2));
        s = vka_list_end(c->there, err);
    }
    if (s == VKA_OK)
        s = vka_list_begin(gpu, "the doubling", &c->twice, err);
    if (s == VKA_OK)
        s = add_fill(c, c->twice, 2, c->c, c->b, "conv 8", err);
    if (s == VKA_OK)
        s = vka_list_end(c->twice, err);
    if (s == VKA_OK)
        s = vka_list_begin_transfer(gpu, "the way back", &c->back, err);
    if (s == VKA_OK) {
        vka_list_copy(c->back, c->d, 0, c->c, 0, 4 * WORDS);
        vka_list_barrier(c->back);
        s = vka_list_end(c->back, err);
    }
    return s;
}

/* All four at once; the host waits for none. */
static vka_status chain_submit(struct chain *c, vka_error *err)
{
    vka_list *lists[] = {c->fill, c->there, c->twice, c->back};
    vka_status s = VKA_OK;
    for (int i = 0; s == VKA_OK && i < 4; i++)
        s = vka_gpu_submit_after(c->gpu, &lists[i], 1, i ? c->tickets[i - 1] : 0, &c->tickets[i], err);
    return s;
}

static void chain_close(struct chain *c)
{
    vka_list_destroy(c->gpu, &c->fill);
    vka_list_destroy(c->gpu, &c->there);
    vka_list_destroy(c->gpu, &c->twice);
    vka_list_destroy(c->gpu, &c->back);
    vka_block_destroy(c->gpu, &c->a);
    vka_block_destroy(c->gpu, &c->b);
    vka_block_destroy(c->gpu, &c->c);
    vka_block_destroy(c->gpu, &c->d);
}

/* What d holds when all is right: probe_fill writes factor * (src, else index) + base. */
static void chain_check(struct chain *c)
{
    uint32_t *words = malloc(4 * WORDS);
    vka_error err = {0};
    assert_non_null(words);
    check_ok(vka_block_read(c->gpu, c->d, 0, words, 4 * WORDS, &err), &err);
    for (uint32_t i = 0; i < WORDS; i++)
        if (words[i] != 2 * (3 * i + 7) + 7)
            fail_msg("word %u is %u", i, words[i]);
    free(words);
}

static void queues_take_turns(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        vka_gpu *gpu = mode == 0 ? open_two() : check_open_gpu_with(mode == 1 ? VKA_TRANSFERS_NONE : VKA_TRANSFERS_TWIN, mode == 2);
        bool two = vka_gpu_describe(gpu)->transfer_queue;
        assert_true(two == (mode != 1));
        struct chain c;
        vka_error err = {0};
        check_ok(chain_open(&c, gpu, &err), &err);
        for (int i = 0; i < 5; i++) {
            bool done = false;
            if (c.d->map)
                memset(c.d->map, 0, 4 * WORDS);
            check_ok(chain_submit(&c, &err), &err);
            for (int k = 0; k < 4; k++)
                assert_int_equal((c.tickets[k] & VKA_TICKET_TRANSFER) != 0, two && k % 2 == 1);
            if (i % 2)
                check_ok(vka_gpu_idle(gpu, &err), &err);
            else {
                check_ok(vka_gpu_wait(gpu, c.tickets[3], 60, &done, &err), &err);
                assert_true(done);
            }
            chain_check(&c);
            /* all before it is done too, on either queue */
            for (int k = 0; k < 3; k++) {
                check_ok(vka_gpu_wait(gpu, c.tickets[k], 0, &done, &err), &err);
                assert_true(done);
            }
        }
        if (vka_gpu_describe(gpu)->timestamps) {
            assert_true(vka_list_time(gpu, c.fill) > 0);
            if (c.there->queries)
                assert_true(vka_list_time(gpu, c.there) > 0 && vka_list_time(gpu, c.there) < UINT64_C(10000000000));
        }
        chain_close(&c);
        check_close_gpu(&gpu);
    }
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    vka_gpu *gpu = open_two();
    struct chain c;
    vka_error err = {0};
    uint64_t ticket = 0;
    check_ok(chain_open(&c, gpu, &err), &err);
    vka_list *mixed[] = {c.fill, c.there}, *list = NULL;
    assert_int_equal(vka_gpu_submit(gpu, mixed, 2, &ticket, &err), VKA_E_INTERNAL);
    assert_non_null(strstr(err.what, "two queues"));
    vka_error_clear(&err);
    /* what is not submitted yet might wait for this one */
    assert_int_equal(vka_gpu_submit_after(gpu, &c.fill, 1, VKA_TICKET_TRANSFER | 1, &ticket, &err), VKA_E_INTERNAL);
    assert_int_equal(vka_gpu_wait(gpu, VKA_TICKET_TRANSFER | 1, 0, &(bool){false}, NULL), VKA_E_INTERNAL);
    vka_error_clear(&err);
    check_ok(vka_list_begin_transfer(gpu, "copies", &list, &err), &err);
    check_ok(add_fill(&c, list, 1, c.a, NULL, "conv 9", &err), &err);
    assert_int_equal(vka_list_end(list, &err), VKA_E_INTERNAL);
    assert_non_null(strstr(err.what, "conv 9"));
    vka_list_destroy(gpu, &list);
    vka_error_clear(&err);
    check_ok(chain_submit(&c, &err), &err); /* nothing of it did harm */
    check_ok(vka_gpu_idle(gpu, &err), &err);
    chain_check(&c);
    chain_close(&c);
    check_close_gpu(&gpu);
}

/* ---- failing calls ------------------------------------------------------------------------------------------ */

static struct VolkDeviceTable real;
static int calls_left; /* below 0: the call has failed */
static VkResult answer;

static bool fails(void) { return calls_left-- == 0; }

static VKAPI_ATTR VkResult VKAPI_CALL fail_submit(VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f)
{
    return fails() ? answer : real.vkQueueSubmit(q, n, i, f);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_wait(VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t)
{
    return fails() ? answer : real.vkWaitSemaphores(d, i, t);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_commands(VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *c)
{
    return fails() ? answer : real.vkAllocateCommandBuffers(d, i, c);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_queries(VkDevice d, const VkQueryPoolCreateInfo *i, const VkAllocationCallbacks *a,
                                                   VkQueryPool *q)
{
    return fails() ? answer : real.vkCreateQueryPool(d, i, a, q);
}

static void use_fault(struct VolkDeviceTable *t, int which)
{
    switch (which) {
    case 0:
        t->vkQueueSubmit = fail_submit;
        break;
    case 1:
        t->vkWaitSemaphores = fail_wait;
        break;
    case 2:
        t->vkAllocateCommandBuffers = fail_commands;
        break;
    default:
        t->vkCreateQueryPool = fail_queries;
        break;
    }
}

static vka_status day(vka_gpu *gpu, vka_error *err)
{
    struct chain c;
    vka_status s = chain_open(&c, gpu, err);
    if (s == VKA_OK)
        s = chain_submit(&c, err);
    if (s == VKA_OK)
        s = vka_gpu_idle(gpu, err);
    chain_close(&c);
    return s;
}

static void calls_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        int met = 0;
        for (int k = 0; k < 12; k++) {
            vka_gpu *gpu = open_two();
            bool stamps = vka_gpu_describe(gpu)->timestamps;
            real = *vka_gpu_table(gpu);
            use_fault(vka_gpu_table(gpu), which);
            answer = VK_ERROR_OUT_OF_HOST_MEMORY;
            calls_left = k;
            vka_error err = {0};
            vka_status s = day(gpu, &err);
            bool hit = calls_left < 0;
            met += hit;
            assert_int_equal(s, hit ? VKA_E_MEMORY : VKA_OK);
            assert_int_equal(vka_gpu_device_bytes(gpu, NULL), 0);
            *vka_gpu_table(gpu) = real;
            vka_error_clear(&err);
            check_ok(day(gpu, &err), &err);
            check_close_gpu(&gpu);
            if (!hit) {
                assert_true(met >= (which == 1 ? 1 : 2) || (which == 3 && !stamps));
                break;
            }
        }
    }
}

static void a_loss_names_both_queues(void **state)
{
    (void)state;
    for (int at = 1; at < 4; at++) { /* seen when the copies are submitted, the launches behind them, and at last by waiting */
        vka_gpu *gpu = open_two();
        struct chain c;
        vka_error err = {0};
        check_ok(chain_open(&c, gpu, &err), &err);
        real = *vka_gpu_table(gpu);
        use_fault(vka_gpu_table(gpu), at == 3);
        answer = VK_ERROR_DEVICE_LOST;
        calls_left = at == 3 ? 0 : at;
        vka_status s = chain_submit(&c, &err);
        if (at == 3) {
            assert_int_equal(s, VKA_OK);
            s = vka_gpu_wait(gpu, c.tickets[3], 60, &(bool){false}, &err);
        }
        assert_int_equal(s, VKA_E_LOST);
        assert_non_null(strstr(err.why, "the filling (conv 7)"));
        assert_non_null(strstr(err.why, "the way there"));
        assert_true((at >= 2) == (strstr(err.why, "the doubling (conv 8)") != NULL));
        *vka_gpu_table(gpu) = real;
        real.vkDeviceWaitIdle(gpu->device); /* the runs are real: they have to end before their objects go */
        assert_int_equal(vka_gpu_submit(gpu, &c.there, 1, &c.tickets[0], NULL), VKA_E_LOST);
        assert_int_equal(vka_gpu_idle(gpu, NULL), VKA_E_LOST);
        assert_int_equal(vka_list_begin_transfer(gpu, "x", &(vka_list *){NULL}, NULL), VKA_E_LOST);
        chain_close(&c);
        check_close_gpu(&gpu);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL never(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t ns)
{
    (void)device, (void)info, (void)ns;
    return VK_TIMEOUT;
}

static VkSemaphore stuck; /* the timeline that does not move */

static VKAPI_ATTR VkResult VKAPI_CALL count_unless_stuck(VkDevice device, VkSemaphore semaphore, uint64_t *value)
{
    if (stuck && semaphore != stuck)
        return real.vkGetSemaphoreCounterValue(device, semaphore, value);
    *value = 0;
    return VK_SUCCESS;
}

/* Copies that never end: while the other queue gets on the device is alive, then it counts as lost. */
static void copies_hang(void **state)
{
    (void)state;
    for (int abandoned = 0; abandoned < 2; abandoned++) {
        vka_gpu *gpu = open_two();
        struct chain c;
        vka_error err = {0};
        check_ok(chain_open(&c, gpu, &err), &err);
        check_ok(vka_gpu_idle(gpu, &err), &err);
        real = *vka_gpu_table(gpu);
        VkDevice handle = gpu->device;
        stuck = gpu->lines[VKA_LANE_TRANSFER].timeline;
        vka_gpu_table(gpu)->vkWaitSemaphores = never;
        vka_gpu_table(gpu)->vkGetSemaphoreCounterValue = count_unless_stuck;
        check_ok(chain_submit(&c, &err), &err);
        real.vkDeviceWaitIdle(handle);
        gpu->patience_s = 0.2;
        double began = vka_now();
        if (abandoned)
            vka_gpu_abandon(gpu);
        else {
            bool done = true;
            assert_int_equal(vka_gpu_wait(gpu, c.tickets[3], 0.01, &done, &err), VKA_OK);
            assert_false(done);
            assert_int_equal(vka_gpu_wait(gpu, c.tickets[3], 30, &done, &err), VKA_E_LOST);
            assert_true(vka_ticket_done(gpu, c.tickets[2])); /* the other queue was asked too */
            assert_non_null(strstr(err.why, "the way there; the way back"));
            assert_null(strstr(err.why, "conv"));
        }
        assert_true(vka_gpu_is_lost(gpu) && vka_now() - began < 5);
        assert_int_equal(vka_gpu_idle(gpu, NULL), VKA_E_LOST);
        chain_close(&c);
        vka_gpu_destroy(&gpu);
        assert_true(vka_now() - began < 6);
        stuck = VK_NULL_HANDLE;
    }
}

/* ---- what is submitted -------------------------------------------------------------------------------------- */

/* Every submission of a run, as the driver sees it. */
struct seen {
    VkCommandBuffer cmds[256];
    uint32_t count;
    int lane;       /* whose timeline it signals */
    uint64_t value; /* that it signals */
    uint64_t known; /* value of the other timeline that is reached before it begins */
};

static struct {
    vka_gpu *gpu;
    struct seen *list;
    size_t count, capacity;
    uint64_t known[VKA_LANES]; /* by what the queue has waited for so far */
} spy;

static int lane_of(VkSemaphore s)
{
    return s == spy.gpu->lines[VKA_LANE_TRANSFER].timeline ? VKA_LANE_TRANSFER : VKA_LANE_COMPUTE;
}

static VKAPI_ATTR VkResult VKAPI_CALL watch_submit(VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f)
{
    const VkTimelineSemaphoreSubmitInfo *t = i->pNext;
    struct seen *grown = vka_grow(spy.list, &spy.capacity, spy.count + 1, sizeof *grown);
    assert_non_null(grown);
    spy.list = grown;
    struct seen *s = &spy.list[spy.count++];
    assert_true(n == 1 && i->commandBufferCount <= 256 && i->signalSemaphoreCount == 1 && i->waitSemaphoreCount <= 1);
    *s = (struct seen){.count = i->commandBufferCount, .lane = lane_of(i->pSignalSemaphores[0]),
                       .value = t->pSignalSemaphoreValues[0]};
    memcpy(s->cmds, i->pCommandBuffers, i->commandBufferCount * sizeof *s->cmds);
    uint64_t *known = &spy.known[s->lane];
    if (i->waitSemaphoreCount) {
        assert_int_equal(lane_of(i->pWaitSemaphores[0]), 1 - s->lane);
        assert_true(i->pWaitDstStageMask[0] == VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
        *known = t->pWaitSemaphoreValues[0] > *known ? t->pWaitSemaphoreValues[0] : *known;
    }
    /* what the host has seen done is done */
    *known = spy.gpu->lines[1 - s->lane].done > *known ? spy.gpu->lines[1 - s->lane].done : *known;
    s->known = *known;
    return real.vkQueueSubmit(q, n, i, f);
}

static const struct seen *submission_of(const vka_list *list)
{
    for (size_t i = 0; i < spy.count; i++)
        for (uint32_t k = 0; k < spy.list[i].count; k++)
            if (spy.list[i].cmds[k] == list->cmd)
                return &spy.list[i];
    return NULL;
}

/* Each edge of the program is a wait, and each queue gets its lists in the program's order.  Returns how many edges there were. */
static uint32_t check_submissions(const struct vka_lists *l, enum vka_turn turn)
{
    const struct vka_program *p = l->program;
    uint64_t last[VKA_LANES] = {0, 0};
    uint32_t edges = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct vka_program_list *list = &p->lists[l->items[i].of];
        const struct seen *s = submission_of(l->items[i].list);
        if (turn == VKA_TURN_NEXT && list->once) {
            assert_null(s);
            continue;
        }
        assert_non_null(s);
        assert_int_equal(s->lane, list->transfer ? VKA_LANE_TRANSFER : VKA_LANE_COMPUTE);
        assert_true(s->value >= last[s->lane]);
        last[s->lane] = s->value;
        uint32_t on = list->after[turn];
        for (uint32_t k = 0; on && k < l->count; k++)
            if (l->items[k].of == on - 1) {
                const struct seen *before = submission_of(l->items[k].list);
                assert_non_null(before);
                if (s->known < before->value)
                    fail_msg("list %u does not wait for list %u", l->items[i].of, on - 1);
            }
        edges += on > 0;
    }
    return edges;
}

/* The copies of a unit wait for nothing of the unit before, in a pass: not for its launches, nor for what was submitted with them.
 * Returns how many units that holds for. */
static uint32_t check_overlap(const struct vka_lists *l)
{
    const struct vka_program *p = l->program;
    const struct seen *unit = NULL; /* the first launches of the unit before */
    uint32_t copy = UINT32_MAX, count = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct vka_program_list *list = &p->lists[l->items[i].of];
        if (list->once)
            continue;
        if (!list->transfer) {
            bool begins = i == 0 || l->items[i - 1].of != l->items[i].of;
            if (list->after[VKA_TURN_NEXT] && begins)
                unit = submission_of(l->items[i].list);
            continue;
        }
        if (unit && list->copy > copy) {
            const struct seen *s = submission_of(l->items[i].list);
            if (s->known >= unit->value)
                fail_msg("the copies of list %u wait for the unit before", l->items[i].of);
            count++;
        }
        copy = list->copy;
    }
    return count;
}

static void edges_are_submitted(void **state)
{
    (void)state;
    vka_gpu *gpu = open_two();
    uint16_t *halves = check_random_halves(11, NUMBERS, 0.25f);
    const struct networks_numbers numbers = {halves, NUMBERS};
    vka_unet_config c = networks_small_unet(16, 3, 1);
    vka_motion_info motion = networks_v2_motion(&c);
    vka_weights *weights = networks_unet_table(&c, &numbers), *more = networks_motion_table(&motion, &c, &numbers);
    enum { FRAMES = 2, SIZE = 8, TOKENS = 20 };
    const struct vka_unet_stage_params p = {.weights = weights, .motion_weights = more, .config = &c, .motion = &motion,
                                            .frames = FRAMES, .height = SIZE, .width = SIZE, .branches = 2, .prompts = 1,
                                            .tokens = TOKENS, .text_width = c.cross_attention_dim, .table = check_table(gpu)};
    size_t elements = (size_t)2 * FRAMES * c.in_channels * SIZE * SIZE;
    float *context = check_random(7, (size_t)TOKENS * p.text_width, 1.0f), *sample = check_random(8, elements, 1.5f);
    float *eps = calloc(elements, sizeof *eps);
    int32_t index[2 * FRAMES] = {0};
    uint32_t edges = 0, units = 0;
    assert_true(weights && more && eps);
    for (uint32_t k = 0; k < 8; k++) {
        struct vka_unet_stage s;
        struct vka_knobs knobs = vka_knobs_free();
        vka_error err = {0};
        uint64_t need;
        knobs.branches_per_pass = 1 + k % 2;
        knobs.weight_limit = k / 2 % 2 ? 400000 : 0;
        knobs.prefetch = true;
        check_ok(vka_unet_stage_build(&s, &p, &err), &err);
        check_ok(vka_unet_stage_plan(&s, UINT64_MAX, &need, &err), &err);
        vka_plan_destroy(&s.unet.plan);
        s.unet.plan = vka_plan_make(s.unet.graph, &knobs, &err);
        check_ok(err.status, &err);
        check_ok(vka_unet_stage_start(&s, gpu, NULL, &err), &err);
        check_ok(vka_unet_stage_prompt(&s, context, index, &err), &err);
        struct vka_exec *e = s.unet.exec;
        if (k >= 4) { /* every dispatch a list of its own */
            e->limits = (struct vka_limits){1e3, 1e-9, k & 1 ? 1e-9 : 1, 1, false};
            check_ok(vka_exec_record(e, &err), &err);
        }
        for (int round = 0; round < 3; round++) {
            real = *vka_gpu_table(gpu);
            spy.gpu = gpu;
            spy.count = 0;
            memset(spy.known, 0, sizeof spy.known);
            e->lists.limits.measured = false; /* these lists are looked at */
            vka_gpu_table(gpu)->vkQueueSubmit = watch_submit;
            check_ok(vka_exec_run(e, round == 0, NULL, &err), &err);
            *vka_gpu_table(gpu) = real;
            edges += check_submissions(&e->lists, round ? VKA_TURN_NEXT : VKA_TURN_FIRST);
            if (round)
                units += check_overlap(&e->lists);
        }
        check_ok(vka_unet_stage_once(&s, sample, 501, eps, NULL, &err), &err);
        vka_unet_stage_end(&s);
    }
    printf("%u edges between the queues, each submitted as a wait; %u units came while the one before ran\n", edges, units);
    assert_true(edges > 2000 && units > 500);
    free(spy.list);
    free(context);
    free(sample);
    free(eps);
    free(halves);
    vka_weights_free(weights);
    vka_weights_free(more);
    check_close_gpu(&gpu);
}

/* [NAME]: only the tests of that name, which may have a * in it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_take_turns),        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(calls_fail_and_nothing_is_lost), cmocka_unit_test(a_loss_names_both_queues),
        cmocka_unit_test(copies_hang),              cmocka_unit_test(edges_are_submitted),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
