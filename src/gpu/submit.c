/* submit.c - submissions and waiting.
 *
 * One queue, one timeline semaphore: submission n signals the value n, its ticket.  Submissions run
 * in order, since every list begins with a barrier whose first scope is everything earlier on the
 * queue.  Every wait is cut into slices of at most SLICE_NS.
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

void vka_flights_free(vka_gpu *gpu)
{
    for (size_t i = 0; i < gpu->flight_count; i++)
        free(gpu->flights[i].lists);
    free(gpu->flights);
    gpu->flights = NULL;
    gpu->flight_count = gpu->flight_capacity = 0;
}

/* Everything up to `value` is done. */
static void retire(vka_gpu *gpu, uint64_t value)
{
    size_t n = 0;
    if (value > gpu->done_ticket) {
        gpu->done_ticket = value;
        gpu->progress_s = vka_now();
    }
    while (n < gpu->flight_count && gpu->flights[n].ticket <= value) {
        struct vka_flight *f = &gpu->flights[n++];
        for (uint32_t i = 0; i < f->count; i++)
            vka_list_harvest(f->lists[i]);
        free(f->lists);
    }
    if (n) {
        gpu->flight_count -= n;
        memmove(gpu->flights, gpu->flights + n, gpu->flight_count * sizeof *gpu->flights);
    }
}

vka_status vka_submit_raw(vka_gpu *gpu, const VkCommandBuffer *cmds, uint32_t count, uint64_t *ticket, vka_error *err)
{
    uint64_t value = gpu->last_ticket + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                              .signalSemaphoreValueCount = 1,
                                              .pSignalSemaphoreValues = &value};
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .pNext = &timeline,
                         .commandBufferCount = count,
                         .pCommandBuffers = cmds,
                         .signalSemaphoreCount = 1,
                         .pSignalSemaphores = &gpu->timeline};
    vka_status s = VKA_CHECK(gpu, gpu->vk.vkQueueSubmit(gpu->queue, 1, &info, VK_NULL_HANDLE), "submit work", err);
    if (s != VKA_OK)
        return s;
    if (gpu->last_ticket == gpu->done_ticket)
        gpu->progress_s = vka_now();
    gpu->last_ticket = value;
    *ticket = value;
    return VKA_OK;
}

vka_status vka_gpu_wait(vka_gpu *gpu, uint64_t ticket, double seconds, bool *done, vka_error *err)
{
    *done = false;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s != VKA_OK)
        return s;
    if (ticket > gpu->last_ticket)
        return vka_fail(err, VKA_E_INTERNAL, "waiting for submission %llu, but the last one is %llu",
                        (unsigned long long)ticket, (unsigned long long)gpu->last_ticket);
    double end = vka_now() + (seconds > 0 ? seconds : 0);
    while (ticket > gpu->done_ticket) {
        double left = end - vka_now();
        uint64_t slice = left <= 0 ? 0 : left >= 1e-9 * (double)SLICE_NS ? SLICE_NS : (uint64_t)(left * 1e9);
        VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &gpu->timeline,
                                    .pValues = &ticket};
        VkResult r = gpu->vk.vkWaitSemaphores(gpu->device, &info, slice);
        bool hung = r == VK_TIMEOUT && vka_now() - gpu->progress_s > gpu->patience_s;
        if (r == VK_TIMEOUT && !hung) {
            if (slice == 0)
                return VKA_OK;
            continue;
        }
        s = VKA_CHECK(gpu, r, "wait for the device", err);
        uint64_t value = 0;
        if (s == VKA_OK)
            s = VKA_CHECK(gpu, gpu->vk.vkGetSemaphoreCounterValue(gpu->device, gpu->timeline, &value),
                          "ask the device how far it is", err);
        if (s != VKA_OK)
            return s;
        if (hung && value <= gpu->done_ticket) /* it was asked last: this process may have been the one that slept */
            return vka_gpu_hung(gpu, __FILE__, __LINE__, err);
        retire(gpu, value < ticket && !hung ? ticket : value);
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

vka_status vka_gpu_idle(vka_gpu *gpu, vka_error *err)
{
    return vka_wait_for(gpu, gpu->last_ticket, err);
}

vka_status vka_gpu_submit(vka_gpu *gpu, vka_list *const *lists, uint32_t count, uint64_t *ticket, vka_error *err)
{
    vka_status s = vka_gpu_alive(gpu, err);
    if (s != VKA_OK)
        return s;
    uint64_t latest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!lists[i]->ended)
            return vka_fail(err, VKA_E_INTERNAL, "the list '%s' is submitted before it is ended", lists[i]->label);
        for (uint32_t j = 0; j < i; j++)
            if (lists[i] == lists[j])
                return vka_fail(err, VKA_E_INTERNAL, "the list '%s' is twice in one submission", lists[i]->label);
        if (lists[i]->ticket > latest)
            latest = lists[i]->ticket;
    }
    if (latest > gpu->done_ticket) {
        s = vka_wait_for(gpu, latest, err);
        if (s != VKA_OK)
            return s;
    }
    VkCommandBuffer *cmds = vka_calloc(count, sizeof *cmds);
    vka_list **copy = vka_calloc(count, sizeof *copy);
    struct vka_flight *flights =
        vka_grow(gpu->flights, &gpu->flight_capacity, gpu->flight_count + 1, sizeof *gpu->flights);
    if (flights)
        gpu->flights = flights;
    if (!cmds || !copy || !flights) {
        free(cmds);
        free(copy);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = lists[i];
        cmds[i] = lists[i]->cmd;
    }
    /* Entered before the call, so that a loss seen by it names these lists too. */
    gpu->flights[gpu->flight_count++] =
        (struct vka_flight){.ticket = gpu->last_ticket + 1, .lists = copy, .count = count};
    s = vka_submit_raw(gpu, cmds, count, ticket, err);
    free(cmds);
    if (s != VKA_OK) {
        gpu->flight_count--;
        free(copy);
        return s;
    }
    for (uint32_t i = 0; i < count; i++)
        lists[i]->ticket = *ticket;
    return VKA_OK;
}
