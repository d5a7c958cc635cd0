/* list.c - recorded lists.
 *
 * Dispatches are first gathered in host memory and become Vulkan commands in vka_list_end: only then
 * is it known how many timestamps the list needs, and recording has one place that can fail.
 *
 * Shape of a list: [reset queries] [barrier against all before] [timestamp] dispatches and barriers
 * [timestamp] [barrier towards the host].  With timers every dispatch is followed by a barrier and a
 * timestamp, so that dispatch i took ticks[i+1] - ticks[i]; without, there are two timestamps.
 *
 * A queue that only copies cannot reset queries: the host does, before each submission. */
#include "gpu/gpu_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vka_status begin(vka_gpu *gpu, struct vka_line *line, bool transfer, const char *label, vka_list **out, vka_error *err)
{
    *out = NULL;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s != VKA_OK)
        return s;
    vka_list *list = vka_calloc(1, sizeof *list);
    if (!list)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    list->gpu = gpu;
    list->line = line;
    list->transfer = transfer;
    snprintf(list->label, sizeof list->label, "%s", label ? label : "list");
    VkCommandBufferAllocateInfo alloc = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                         .commandPool = line->pool,
                                         .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                         .commandBufferCount = 1};
    s = VKA_CHECK(gpu, gpu->vk.vkAllocateCommandBuffers(gpu->device, &alloc, &list->cmd), "allocate a command buffer",
                  err);
    if (s != VKA_OK) {
        free(list);
        return s;
    }
    gpu->lists++;
    *out = list;
    return VKA_OK;
}

vka_status vka_list_begin(vka_gpu *gpu, const char *label, vka_list **out, vka_error *err)
{
    return begin(gpu, &gpu->lines[VKA_LANE_COMPUTE], false, label, out, err);
}

vka_status vka_list_begin_transfer(vka_gpu *gpu, const char *label, vka_list **out, vka_error *err)
{
    return begin(gpu, &gpu->lines[gpu->line_count - 1], true, label, out, err);
}

static struct vka_command *add(vka_list *list)
{
    if (list->error.status != VKA_OK)
        return NULL;
    if (list->ended) {
        vka_fail(&list->error, VKA_E_INTERNAL, "the list '%s' is ended; nothing can be added", list->label);
        return NULL;
    }
    struct vka_command *grown = vka_grow(list->commands, &list->capacity, list->count + 1, sizeof *list->commands);
    if (!grown) {
        vka_fail(&list->error, VKA_E_MEMORY, "out of memory");
        return NULL;
    }
    list->commands = grown;
    struct vka_command *c = &list->commands[list->count++];
    memset(c, 0, sizeof *c);
    return c;
}

void vka_list_dispatch(vka_list *list, vka_pipeline *pipeline, const void *push, uint32_t push_bytes,
                       const uint32_t groups[3], const char *label)
{
    vka_list_dispatch_part(list, pipeline, push, push_bytes, (const uint32_t[3]){0, 0, 0}, groups, label);
}

void vka_list_dispatch_part(vka_list *list, vka_pipeline *pipeline, const void *push, uint32_t push_bytes,
                            const uint32_t base[3], const uint32_t groups[3], const char *label)
{
    const uint32_t *most = list->gpu->physical.info.max_groups;
    bool fits = true;
    for (int i = 0; i < 3; i++)
        fits = fits && base[i] <= most[i] && groups[i] <= most[i] - base[i];
    if (!pipeline || push_bytes > VKA_PUSH_BYTES || push_bytes % 4 || !fits) {
        vka_fail(&list->error, VKA_E_INTERNAL,
                 "the dispatch '%s' of %u x %u x %u groups with %u push bytes is not possible", label ? label : "?",
                 groups[0], groups[1], groups[2], push_bytes);
        return;
    }
    if (list->transfer) {
        vka_fail(&list->error, VKA_E_INTERNAL, "the dispatch '%s' is in a list of copies", label ? label : "?");
        return;
    }
    struct vka_command *c = add(list);
    if (!c)
        return;
    c->pipeline = pipeline;
    c->label = label ? label : pipeline->name;
    memcpy(c->base, base, sizeof c->base);
    memcpy(c->groups, groups, sizeof c->groups);
    c->push_bytes = push_bytes;
    if (push_bytes)
        memcpy(c->push, push, push_bytes);
    list->dispatches++;
}

void vka_list_copy(vka_list *list, vka_block *to, uint64_t to_offset, vka_block *from, uint64_t from_offset, uint64_t bytes)
{
    if (to_offset > to->size || bytes > to->size - to_offset || from_offset > from->size || bytes > from->size - from_offset) {
        vka_fail(&list->error, VKA_E_INTERNAL, "a copy of %llu bytes reaches beyond a block", (unsigned long long)bytes);
        return;
    }
    struct vka_command *c = add(list);
    if (!c)
        return;
    c->from = ((struct vka_block_full *)from)->buffer; /* the public part comes first */
    c->to = ((struct vka_block_full *)to)->buffer;
    c->region = (VkBufferCopy){from_offset, to_offset, bytes};
}

void vka_list_barrier(vka_list *list)
{
    add(list);
}

/* ---- recording ---------------------------------------------------------------------------------- */

/* Labels are for queues that compute. */
static void begin_label(const vka_list *list, const char *name)
{
    const vka_gpu *gpu = list->gpu;
    if (!gpu->instance.vk.CmdBeginDebugUtilsLabelEXT || list->line->copies_only)
        return;
    VkDebugUtilsLabelEXT label = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT, .pLabelName = name};
    gpu->instance.vk.CmdBeginDebugUtilsLabelEXT(list->cmd, &label);
}

static void end_label(const vka_list *list)
{
    if (list->gpu->instance.vk.CmdEndDebugUtilsLabelEXT && !list->line->copies_only)
        list->gpu->instance.vk.CmdEndDebugUtilsLabelEXT(list->cmd);
}

static void stamp(vka_list *list, uint32_t *next)
{
    if (list->queries)
        list->gpu->vk.vkCmdWriteTimestamp(list->cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, list->queries, (*next)++);
}

static void record_commands(vka_list *list)
{
    vka_gpu *gpu = list->gpu;
    VkPipeline bound = VK_NULL_HANDLE;
    uint32_t next = 0, labels = 0;
    if (list->queries && !list->host_reset)
        gpu->vk.vkCmdResetQueryPool(list->cmd, list->queries, 0, list->query_count);
    begin_label(list, list->label);
    vka_cmd_barrier(gpu, list->line, list->cmd);
    stamp(list, &next);
    for (size_t i = 0; i < list->count; i++) {
        const struct vka_command *c = &list->commands[i];
        if (c->to) {
            gpu->vk.vkCmdCopyBuffer(list->cmd, c->from, c->to, 1, &c->region);
            continue;
        }
        if (!c->pipeline) {
            if (!gpu->timers || list->transfer) /* with timers there is one behind every dispatch */
                vka_cmd_barrier(gpu, list->line, list->cmd);
            continue;
        }
        list->labels[labels++] = c->label;
        begin_label(list, c->label);
        if (bound != c->pipeline->handle)
            gpu->vk.vkCmdBindPipeline(list->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, c->pipeline->handle);
        bound = c->pipeline->handle;
        if (c->push_bytes)
            gpu->vk.vkCmdPushConstants(list->cmd, gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, c->push_bytes, c->push);
        if (c->base[0] | c->base[1] | c->base[2])
            gpu->vk.vkCmdDispatchBase(list->cmd, c->base[0], c->base[1], c->base[2], c->groups[0], c->groups[1],
                                      c->groups[2]);
        else
            gpu->vk.vkCmdDispatch(list->cmd, c->groups[0], c->groups[1], c->groups[2]);
        end_label(list);
        if (gpu->timers) {
            vka_cmd_barrier(gpu, list->line, list->cmd);
            stamp(list, &next);
        }
    }
    if (next < list->query_count)
        stamp(list, &next);
    vka_cmd_barrier_host(gpu, list->line, list->cmd);
    end_label(list);
}

static vka_status make_queries(vka_list *list, vka_error *err)
{
    vka_gpu *gpu = list->gpu;
    list->host_reset = list->transfer && gpu->physical.host_reset;
    if (!gpu->physical.info.timestamps || !list->line->timestamp_bits || (list->line->copies_only && !list->host_reset))
        return VKA_OK;
    list->query_count = gpu->timers && list->dispatches ? list->dispatches + 1 : 2;
    list->ticks = vka_calloc(list->query_count, sizeof *list->ticks);
    if (!list->ticks)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = list->query_count};
    VkResult r = gpu->vk.vkCreateQueryPool(gpu->device, &info, NULL, &list->queries);
    if (r != VK_SUCCESS)
        list->queries = VK_NULL_HANDLE;
    return VKA_CHECK(gpu, r, "make timestamp queries", err);
}

vka_status vka_list_end(vka_list *list, vka_error *err)
{
    vka_gpu *gpu = list->gpu;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s != VKA_OK)
        return s;
    if (list->error.status != VKA_OK) {
        vka_fail(err, list->error.status, "%s", list->error.what);
        return list->error.status;
    }
    if (list->ended)
        return vka_fail(err, VKA_E_INTERNAL, "the list '%s' is ended twice", list->label);
    list->labels = vka_calloc((size_t)list->dispatches + 1, sizeof *list->labels);
    if (!list->labels)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    s = make_queries(list, err);
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    if (s == VKA_OK)
        s = VKA_CHECK(gpu, gpu->vk.vkBeginCommandBuffer(list->cmd, &begin), "record a list", err);
    if (s == VKA_OK) {
        record_commands(list);
        s = VKA_CHECK(gpu, gpu->vk.vkEndCommandBuffer(list->cmd), "record a list", err);
    }
    if (s != VKA_OK) {
        if (list->error.status == VKA_OK)
            vka_fail(&list->error, s, "the list '%s' could not be recorded", list->label);
        return s;
    }
    free(list->commands);
    list->commands = NULL;
    list->count = list->capacity = 0;
    list->ended = true;
    return VKA_OK;
}

void vka_list_destroy(vka_gpu *gpu, vka_list **plist)
{
    if (!plist || !*plist)
        return;
    vka_list *list = *plist;
    if (!vka_ticket_done(gpu, list->ticket))
        vka_settle(gpu, list->ticket, NULL);
    /* On a lost device it may still be listed as in flight. */
    for (size_t i = 0; i < list->line->flight_count; i++) {
        struct vka_flight *f = &list->line->flights[i];
        uint32_t kept = 0;
        for (uint32_t j = 0; j < f->count; j++)
            if (f->lists[j] != list)
                f->lists[kept++] = f->lists[j];
        f->count = kept;
    }
    if (list->queries && !gpu->abandoned)
        gpu->vk.vkDestroyQueryPool(gpu->device, list->queries, NULL);
    if (!gpu->abandoned)
        gpu->vk.vkFreeCommandBuffers(gpu->device, list->line->pool, 1, &list->cmd);
    gpu->lists--;
    free(list->commands);
    free(list->labels);
    free(list->ticks);
    free(list);
    *plist = NULL;
}

/* ---- timings ------------------------------------------------------------------------------------ */

void vka_list_harvest(vka_list *list)
{
    vka_gpu *gpu = list->gpu;
    if (!list->queries || vka_gpu_is_lost(gpu))
        return;
    VkResult r = gpu->vk.vkGetQueryPoolResults(gpu->device, list->queries, 0, list->query_count,
                                               list->query_count * sizeof *list->ticks, list->ticks,
                                               sizeof *list->ticks, VK_QUERY_RESULT_64_BIT);
    list->ran = r == VK_SUCCESS; /* a loss shows again, and is handled, in the next wait */
}

static uint64_t ticks_between(const vka_list *list, uint32_t from, uint32_t to)
{
    uint32_t bits = list->line->timestamp_bits;
    uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t ticks = (list->ticks[to] - list->ticks[from]) & mask;
    return (uint64_t)((double)ticks * (double)list->gpu->physical.info.timestamp_ns);
}

uint64_t vka_list_time(vka_gpu *gpu, vka_list *list)
{
    (void)gpu;
    return list->ran ? ticks_between(list, 0, list->query_count - 1) : 0;
}

void vka_list_times(vka_gpu *gpu, vka_list *list, void (*visit)(void *user, const char *label, uint64_t ns), void *user)
{
    if (!gpu->timers || !list->ran)
        return;
    for (uint32_t i = 0; i < list->dispatches; i++)
        visit(user, list->labels[i], ticks_between(list, i, i + 1));
}
