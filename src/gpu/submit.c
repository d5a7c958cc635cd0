/* submit.c - submissions and waiting.
 *
 * Each queue has a timeline semaphore: submission n of the queue signals the value n.  Its ticket is that number, with
 * VKA_TICKET_TRANSFER set on the second queue.  The submissions of a queue run in order, since every list begins with a barrier
 * whose first scope is everything earlier on the queue; between the queues there is only the order that vka_gpu_submit_after
 * asks for.  It takes tickets that exist already, so that no two submissions can wait for each other and both lines may
 * even be one queue.  Every wait of the host is cut into slices of at most SLICE_NS.
 *
 * A list has one command buffer and one set of timestamps, so a run of it must be over before it is
 * submitted again: vka_gpu_submit waits for that.  A step has many lists, so that the next step's
 * first list is long done when its turn comes; SIMULTANEOUS_USE would cost some drivers their fast
 * path and make "the last completed run" ambiguous. */
#include "gpu/gpu_internal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SLICE_NS = 250u * 1000u * 1000u;

static struct vka_line *line_of(vka_gpu *gpu, uint64_t ticket)
{
    return &gpu->lines[ticket & VKA_TICKET_TRANSFER ? VKA_LANE_TRANSFER : VKA_LANE_COMPUTE];
}

static uint64_t value_of(uint64_t ticket)
{
    return ticket & ~VKA_TICKET_TRANSFER;
}

static uint64_t ticket_of(const vka_gpu *gpu, const struct vka_line *line, uint64_t value)
{
    return line == &gpu->lines[VKA_LANE_TRANSFER] ? value | VKA_TICKET_TRANSFER : value;
}

bool vka_ticket_done(const vka_gpu *gpu, uint64_t ticket)
{
    return value_of(ticket) <= gpu->lines[ticket & VKA_TICKET_TRANSFER ? VKA_LANE_TRANSFER : VKA_LANE_COMPUTE].done;
}

void vka_flights_free(vka_gpu *gpu)
{
    for (uint32_t q = 0; q < VKA_LANES; q++) {
        struct vka_line *line = &gpu->lines[q];
        for (size_t i = 0; i < line->flight_count; i++)
            free(line->flights[i].lists);
        free(line->flights);
        line->flights = NULL;
        line->flight_count = line->flight_capacity = 0;
    }
}

/* Everything up to `value` is done. */
static void retire(vka_gpu *gpu, struct vka_line *line, uint64_t value)
{
    size_t n = 0;
    if (value > line->done) {
        line->done = value;
        gpu->progress_s = vka_now();
    }
    while (n < line->flight_count && line->flights[n].ticket <= value) {
        struct vka_flight *f = &line->flights[n++];
        for (uint32_t i = 0; i < f->count; i++)
            vka_list_harvest(f->lists[i]);
        free(f->lists);
    }
    if (n) {
        line->flight_count -= n;
        memmove(line->flights, line->flights + n, line->flight_count * sizeof *line->flights);
    }
}

vka_status vka_submit_raw(vka_gpu *gpu, struct vka_line *line, const VkCommandBuffer *cmds, uint32_t count, uint64_t after,
                          uint64_t *ticket, vka_error *err)
{
    const struct vka_line *other = line_of(gpu, after);
    uint64_t value = line->last + 1, past = value_of(after);
    if (past > other->last)
        return vka_fail(err, VKA_E_INTERNAL, "work is to wait for submission %llu, but the last one is %llu",
                        (unsigned long long)past, (unsigned long long)other->last);
    /* of its own queue, or known to be done: in order anyway */
    uint32_t waits = past && other != line && past > other->done ? 1 : 0;
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                              .waitSemaphoreValueCount = waits,
                                              .pWaitSemaphoreValues = &past,
                                              .signalSemaphoreValueCount = 1,
                                              .pSignalSemaphoreValues = &value};
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .pNext = &timeline,
                         .waitSemaphoreCount = waits,
                         .pWaitSemaphores = &other->timeline,
                         .pWaitDstStageMask = &all,
                         .commandBufferCount = count,
                         .pCommandBuffers = cmds,
                         .signalSemaphoreCount = 1,
                         .pSignalSemaphores = &line->timeline};
    vka_status s = VKA_CHECK(gpu, gpu->vk.vkQueueSubmit(line->queue, 1, &info, VK_NULL_HANDLE), "submit work", err);
    if (s != VKA_OK)
        return s;
    bool idle = true;
    for (uint32_t q = 0; q < gpu->line_count; q++)
        idle = idle && gpu->lines[q].last == gpu->lines[q].done;
    if (idle)
        gpu->progress_s = vka_now();
    line->last = value;
    *ticket = ticket_of(gpu, line, value);
    return VKA_OK;
}

/* Asks each queue how far it is; *moved says whether any got further. */
static vka_status look(vka_gpu *gpu, bool *moved, vka_error *err)
{
    *moved = false;
    for (uint32_t q = 0; q < gpu->line_count; q++) {
        uint64_t value = 0;
        vka_status s = VKA_CHECK(gpu, gpu->vk.vkGetSemaphoreCounterValue(gpu->device, gpu->lines[q].timeline, &value),
                                 "ask the device how far it is", err);
        if (s != VKA_OK)
            return s;
        *moved = *moved || value > gpu->lines[q].done;
        retire(gpu, &gpu->lines[q], value);
    }
    return VKA_OK;
}

vka_status vka_gpu_wait(vka_gpu *gpu, uint64_t ticket, double seconds, bool *done, vka_error *err)
{
    *done = false;
    vka_status s = vka_gpu_alive(gpu, err);
    struct vka_line *line = line_of(gpu, ticket);
    uint64_t wanted = value_of(ticket);
    if (s != VKA_OK)
        return s;
    if (wanted > line->last)
        return vka_fail(err, VKA_E_INTERNAL, "waiting for submission %llu, but the last one is %llu",
                        (unsigned long long)wanted, (unsigned long long)line->last);
    double end = vka_now() + (seconds > 0 ? seconds : 0);
    while (wanted > line->done) {
        double left = end - vka_now();
        uint64_t slice = left <= 0 ? 0 : left >= 1e-9 * (double)SLICE_NS ? SLICE_NS : (uint64_t)(left * 1e9);
        VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &line->timeline,
                                    .pValues = &wanted};
        VkResult r = gpu->vk.vkWaitSemaphores(gpu->device, &info, slice);
        bool hung = r == VK_TIMEOUT && vka_now() - gpu->progress_s > gpu->patience_s, moved;
        if (r == VK_TIMEOUT && !hung) {
            if (slice == 0)
                return VKA_OK;
            continue;
        }
        s = VKA_CHECK(gpu, r, "wait for the device", err);
        if (s == VKA_OK)
            s = look(gpu, &moved, err);
        if (s != VKA_OK)
            return s;
        if (hung && !moved) /* it was asked last: this process may have been the one that slept */
            return vka_gpu_hung(gpu, __FILE__, __LINE__, err);
        if (!hung)
            retire(gpu, line, wanted);
    }
    *done = true;
    return VKA_OK;
}

vka_status vka_wait_for(vka_gpu *gpu, uint64_t ticket, vka_error *err)
{
    bool done = false;
    vka_status s = VKA_OK;
    while (s == VKA_OK && !done)
        s = vka_gpu_wait(gpu, ticket, 60.0, &done, err);
    return s;
}

vka_status vka_settle(vka_gpu *gpu, uint64_t ticket, vka_error *err)
{
    vka_status s = vka_wait_for(gpu, ticket, err);
    if (s != VKA_OK && !vka_gpu_is_lost(gpu))
        gpu->vk.vkDeviceWaitIdle(gpu->device);
    return s;
}

/* The last submission of each queue. */
static vka_status for_all(vka_gpu *gpu, vka_status (*wait)(vka_gpu *gpu, uint64_t ticket, vka_error *err), vka_error *err)
{
    vka_status s = VKA_OK;
    for (uint32_t q = 0; q < gpu->line_count; q++) {
        vka_status now = wait(gpu, ticket_of(gpu, &gpu->lines[q], gpu->lines[q].last), s == VKA_OK ? err : NULL);
        s = s == VKA_OK ? now : s;
    }
    return s;
}

vka_status vka_settle_all(vka_gpu *gpu, vka_error *err)
{
    return gpu->line_count ? for_all(gpu, vka_settle, err) : VKA_OK;
}

vka_status vka_gpu_idle(vka_gpu *gpu, vka_error *err)
{
    return for_all(gpu, vka_wait_for, err);
}

vka_status vka_gpu_submit(vka_gpu *gpu, vka_list *const *lists, uint32_t count, uint64_t *ticket, vka_error *err)
{
    return vka_gpu_submit_after(gpu, lists, count, 0, ticket, err);
}

/* One by one and all together; *latest: the last submission that one of them was in. */
static vka_status check_lists(vka_list *const *lists, uint32_t count, uint64_t *latest, vka_error *err)
{
    *latest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!lists[i]->ended)
            return vka_fail(err, VKA_E_INTERNAL, "the list '%s' is submitted before it is ended", lists[i]->label);
        if (lists[i]->line != lists[0]->line)
            return vka_fail(err, VKA_E_INTERNAL, "the lists '%s' and '%s' are of two queues", lists[0]->label,
                            lists[i]->label);
        for (uint32_t j = 0; j < i; j++)
            if (lists[i] == lists[j])
                return vka_fail(err, VKA_E_INTERNAL, "the list '%s' is twice in one submission", lists[i]->label);
        if (lists[i]->ticket > *latest)
            *latest = lists[i]->ticket;
    }
    return VKA_OK;
}

vka_status vka_gpu_submit_after(vka_gpu *gpu, vka_list *const *lists, uint32_t count, uint64_t after, uint64_t *ticket,
                                vka_error *err)
{
    uint64_t latest = 0;
    struct vka_line *line = count ? lists[0]->line : &gpu->lines[VKA_LANE_COMPUTE];
    vka_status s = vka_gpu_alive(gpu, err);
    if (s == VKA_OK)
        s = check_lists(lists, count, &latest, err);
    if (s == VKA_OK && !vka_ticket_done(gpu, latest))
        s = vka_wait_for(gpu, latest, err);
    if (s != VKA_OK)
        return s;
    VkCommandBuffer *cmds = vka_calloc(count, sizeof *cmds);
    vka_list **copy = vka_calloc(count, sizeof *copy);
    struct vka_flight *flights =
        vka_grow(line->flights, &line->flight_capacity, line->flight_count + 1, sizeof *line->flights);
    if (flights)
        line->flights = flights;
    if (!cmds || !copy || !flights) {
        free(cmds);
        free(copy);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = lists[i];
        cmds[i] = lists[i]->cmd;
        if (lists[i]->queries && lists[i]->host_reset)
            gpu->vk.vkResetQueryPool(gpu->device, lists[i]->queries, 0, lists[i]->query_count);
    }
    /* Entered before the call, so that a loss seen by it names these lists too. */
    line->flights[line->flight_count++] = (struct vka_flight){.ticket = line->last + 1, .lists = copy, .count = count};
    s = vka_submit_raw(gpu, line, cmds, count, after, ticket, err);
    free(cmds);
    if (s != VKA_OK) {
        line->flight_count--;
        free(copy);
        return s;
    }
    for (uint32_t i = 0; i < count; i++)
        lists[i]->ticket = *ticket;
    return VKA_OK;
}
