/* memory.c - blocks of memory with an address, and copies between them and the host.
 *
 * A block is one buffer on one dedicated allocation of vka_block_footprint(bytes) bytes: the slack
 * behind its end is real memory, since nothing checks an address.  Blocks the host can see stay
 * mapped; the others are reached through one staging block of 8 MiB that is made when first needed.
 *
 * Accounting: device_bytes is the sum of the footprints of VKA_MEMORY_DEVICE blocks.  Host blocks and
 * the staging block are host memory and not in it, on every device. */
#include "gpu/gpu_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { GRAIN = 64 * 1024, STAGING_BYTES = 8 * 1024 * 1024, ADDRESS_ALIGNMENT = 256, MAP_READ_LIMIT = 4096 };

/* From this size on block sizes are nonsense, and sums below cannot overflow. */
static const uint64_t BYTES_LIMIT = UINT64_C(1) << 62;

uint64_t vka_block_footprint(uint64_t bytes)
{
    return bytes < BYTES_LIMIT ? vka_round_up(bytes + VKA_BLOCK_SLACK, GRAIN) : UINT64_MAX;
}

uint64_t vka_gpu_device_bytes(const vka_gpu *gpu, uint64_t *peak)
{
    if (peak)
        *peak = gpu->peak_bytes;
    return gpu->device_bytes;
}

void vka_gpu_reset_peak(vka_gpu *gpu)
{
    gpu->peak_bytes = gpu->device_bytes;
}

/* ---- choice of memory type ---------------------------------------------------------------------- */

/* How well a memory type serves a kind; below 0: not at all.
 * Device: device-local, on the largest such heap; host-visible too where that costs nothing.  The
 * small host-visible window of a discrete GPU (256 MiB without ReBAR) is left alone.
 * Host: coherent, cached for reading back, not in the device's own memory. */
static int score(const vka_gpu *gpu, uint32_t type, enum vka_memory kind)
{
    const VkPhysicalDeviceMemoryProperties *m = &gpu->physical.memory;
    const vka_gpu_info *info = &gpu->physical.info;
    VkMemoryPropertyFlags f = m->memoryTypes[type].propertyFlags;
    /* Protected, lazily allocated, and AMD's uncached types need features that are not enabled. */
    const VkMemoryPropertyFlags known = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    bool local = f & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    bool visible = (f & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (f & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    bool cached = f & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    if (f & ~known)
        return -1;
    if (kind == VKA_MEMORY_HOST)
        return !visible ? -1 : 1 + (local ? 0 : 4) + (cached ? 2 : 0);
    bool shared = info->cpu || info->integrated;
    uint32_t heap = m->memoryTypes[type].heapIndex;
    bool largest = m->memoryHeaps[heap].size >= m->memoryHeaps[gpu->physical.heap].size;
    if (!local) /* an integrated GPU whose own heap is full can still use the machine's memory */
        return info->integrated && visible ? 0 : -1;
    if (!largest && visible && !shared)
        return -1;
    return 1 + (largest ? 8 : 0) + (visible && (shared || largest) ? 4 : 0) + (cached ? 2 : 0);
}

/* The best type among `bits`, VK_MAX_MEMORY_TYPES when none serves. */
static uint32_t best_type(const vka_gpu *gpu, uint32_t bits, enum vka_memory kind)
{
    uint32_t best = VK_MAX_MEMORY_TYPES;
    int best_score = -1;
    for (uint32_t i = 0; i < gpu->physical.memory.memoryTypeCount; i++) {
        int s = bits & (1u << i) ? score(gpu, i, kind) : -1;
        if (s > best_score) {
            best_score = s;
            best = i;
        }
    }
    return best;
}

/* ---- creation ----------------------------------------------------------------------------------- */

static vka_status no_room(const vka_gpu *gpu, uint64_t bytes, enum vka_memory kind, const char *why, vka_error *err)
{
    vka_fail(err, VKA_E_MEMORY, "cannot allocate %.1f MiB of %s memory", (double)bytes / 1048576.0,
             kind == VKA_MEMORY_DEVICE ? "device" : "host-visible");
    vka_error_why(err, "%s; vkanim holds %.1f MiB of the %.1f MiB of '%.160s'", why,
                  (double)gpu->device_bytes / 1048576.0, (double)gpu->physical.info.device_heap / 1048576.0,
                  gpu->physical.info.name);
    vka_error_hint(err, "close other programs that use the device, or give a smaller --vram");
    return VKA_E_MEMORY;
}

/* Allocates, binds and maps; the buffer is there already. */
static vka_status back_buffer(vka_gpu *gpu, struct vka_block_full *b, vka_error *err)
{
    VkMemoryRequirements need;
    gpu->vk.vkGetBufferMemoryRequirements(gpu->device, b->buffer, &need);
    VkMemoryDedicatedAllocateInfo dedicated = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                                               .buffer = b->buffer};
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .pNext = &dedicated,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo alloc = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .pNext = &flags, .allocationSize = need.size};
    VkResult r = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t bits = need.memoryTypeBits; r == VK_ERROR_OUT_OF_DEVICE_MEMORY;
         bits &= ~(1u << alloc.memoryTypeIndex)) {
        alloc.memoryTypeIndex = best_type(gpu, bits, b->kind);
        if (alloc.memoryTypeIndex == VK_MAX_MEMORY_TYPES)
            break;
        r = gpu->vk.vkAllocateMemory(gpu->device, &alloc, NULL, &b->memory);
    }
    if (r != VK_SUCCESS) {
        b->memory = VK_NULL_HANDLE;
        gpu->was_short = gpu->was_short || r == VK_ERROR_OUT_OF_DEVICE_MEMORY;
        if (r == VK_ERROR_OUT_OF_DEVICE_MEMORY || r == VK_ERROR_OUT_OF_HOST_MEMORY || r == VK_ERROR_TOO_MANY_OBJECTS)
            return no_room(gpu, b->footprint, b->kind, vka_result_name(r), err);
        return VKA_CHECK(gpu, r, "allocate memory", err);
    }
    vka_status s = VKA_CHECK(gpu, gpu->vk.vkBindBufferMemory(gpu->device, b->buffer, b->memory, 0), "bind memory", err);
    if (s != VKA_OK)
        return s;
    VkMemoryPropertyFlags f = gpu->physical.memory.memoryTypes[alloc.memoryTypeIndex].propertyFlags;
    if ((f & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (f & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        s = VKA_CHECK(gpu, gpu->vk.vkMapMemory(gpu->device, b->memory, 0, VK_WHOLE_SIZE, 0, &b->block.map),
                      "map memory", err);
        if (s != VKA_OK)
            return s;
        b->slow_read = !(f & VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
    }
    VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = b->buffer};
    b->block.address = gpu->vk.vkGetBufferDeviceAddress(gpu->device, &address);
    if (!b->block.address || b->block.address % ADDRESS_ALIGNMENT)
        return vka_fail(err, VKA_E_DEVICE, "the driver of '%.200s' gave a buffer an address that is not aligned to %d",
                        gpu->physical.info.name, ADDRESS_ALIGNMENT);
    return VKA_OK;
}

static void release(vka_gpu *gpu, struct vka_block_full *b)
{
    if (b->buffer && !gpu->abandoned)
        gpu->vk.vkDestroyBuffer(gpu->device, b->buffer, NULL);
    if (b->memory && !gpu->abandoned)
        gpu->vk.vkFreeMemory(gpu->device, b->memory, NULL); /* unmaps it */
    free(b);
}

static vka_status fill_zero(vka_gpu *gpu, struct vka_block_full *b, vka_error *err);

static vka_status create(vka_gpu *gpu, uint64_t bytes, enum vka_memory kind, struct vka_block_full **out,
                         vka_error *err)
{
    uint64_t footprint = vka_block_footprint(bytes);
    if (footprint > gpu->physical.info.max_block)
        return no_room(gpu, footprint, kind, "the driver does not allow a block of this size", err);
    struct vka_block_full *b = vka_calloc(1, sizeof *b);
    if (!b)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    b->kind = kind;
    b->footprint = footprint;
    b->block.size = bytes;
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = footprint,
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    /* Two families share every block: lists are recorded once, so ownership cannot be handed to and fro in them, and drivers
     * keep buffers the same way for one family or several (it is images whose compression depends on it). */
    const uint32_t families[VKA_LANES] = {gpu->lines[VKA_LANE_COMPUTE].family, gpu->lines[VKA_LANE_TRANSFER].family};
    if (families[0] != families[1]) {
        info.sharingMode = VK_SHARING_MODE_CONCURRENT;
        info.queueFamilyIndexCount = VKA_LANES;
        info.pQueueFamilyIndices = families;
    }
    VkBuffer buffer; /* what a call that failed leaves in its result parameters is anybody's guess */
    vka_status s = VKA_CHECK(gpu, gpu->vk.vkCreateBuffer(gpu->device, &info, NULL, &buffer), "make a buffer", err);
    if (s == VKA_OK) {
        b->buffer = buffer;
        s = back_buffer(gpu, b, err);
    }
    if (s != VKA_OK) {
        release(gpu, b);
        return s;
    }
    *out = b;
    return VKA_OK;
}

vka_status vka_block_create(vka_gpu *gpu, uint64_t bytes, enum vka_memory kind, bool zero, vka_block **out,
                            vka_error *err)
{
    *out = NULL;
    struct vka_block_full *b = NULL;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s == VKA_OK)
        s = create(gpu, bytes, kind, &b, err);
    if (s == VKA_OK && zero) {
        s = fill_zero(gpu, b, err);
        if (s != VKA_OK)
            release(gpu, b);
    }
    if (s != VKA_OK)
        return s;
    gpu->blocks++;
    if (kind == VKA_MEMORY_DEVICE) {
        gpu->device_bytes += b->footprint;
        if (gpu->device_bytes > gpu->peak_bytes)
            gpu->peak_bytes = gpu->device_bytes;
    }
    *out = &b->block;
    return VKA_OK;
}

void vka_block_destroy(vka_gpu *gpu, vka_block **block)
{
    if (!block || !*block)
        return;
    struct vka_block_full *b = (struct vka_block_full *)*block;
    if (b->kind == VKA_MEMORY_DEVICE)
        gpu->device_bytes -= b->footprint;
    gpu->blocks--;
    release(gpu, b);
    *block = NULL;
}

/* ---- barriers and copies ------------------------------------------------------------------------ */

/* What commands of a queue read and write, and in which stages; a queue that only copies knows no other. */
struct traffic {
    VkPipelineStageFlags stages;
    VkAccessFlags reads, writes;
};

static struct traffic traffic_of(const struct vka_line *line)
{
    struct traffic t = {VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT, VK_ACCESS_TRANSFER_WRITE_BIT};
    if (!line->copies_only) {
        t.stages |= VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
        t.reads |= VK_ACCESS_SHADER_READ_BIT;
        t.writes |= VK_ACCESS_SHADER_WRITE_BIT;
    }
    return t;
}

void vka_cmd_barrier(vka_gpu *gpu, const struct vka_line *line, VkCommandBuffer cmd)
{
    const struct traffic t = traffic_of(line);
    VkMemoryBarrier b = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                         .srcAccessMask = t.writes,
                         .dstAccessMask = t.reads | t.writes};
    gpu->vk.vkCmdPipelineBarrier(cmd, t.stages, t.stages, 0, 1, &b, 0, NULL, 0, NULL);
}

void vka_cmd_barrier_host(vka_gpu *gpu, const struct vka_line *line, VkCommandBuffer cmd)
{
    const struct traffic t = traffic_of(line);
    VkMemoryBarrier b = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                         .srcAccessMask = t.writes,
                         .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    gpu->vk.vkCmdPipelineBarrier(cmd, t.stages, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &b, 0, NULL, 0, NULL);
}

/* One transfer, recorded, submitted and waited for: a copy of `bytes` from `src` + src_offset to `dst` +
 * dst_offset, or, with src NULL, zeros over all of `dst`. */
static vka_status transfer(vka_gpu *gpu, VkBuffer dst, uint64_t dst_offset, VkBuffer src, uint64_t src_offset,
                           uint64_t bytes, vka_error *err)
{
    vka_status s = VKA_OK;
    struct vka_line *line = &gpu->lines[VKA_LANE_COMPUTE];
    if (!gpu->transfer) {
        VkCommandBufferAllocateInfo alloc = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                             .commandPool = line->pool,
                                             .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                             .commandBufferCount = 1};
        VkResult r = gpu->vk.vkAllocateCommandBuffers(gpu->device, &alloc, &gpu->transfer);
        if (r != VK_SUCCESS)
            gpu->transfer = VK_NULL_HANDLE;
        s = VKA_CHECK(gpu, r, "allocate a command buffer", err);
    }
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    if (s == VKA_OK)
        s = VKA_CHECK(gpu, gpu->vk.vkBeginCommandBuffer(gpu->transfer, &begin), "record a copy", err);
    if (s != VKA_OK)
        return s;
    vka_cmd_barrier(gpu, line, gpu->transfer);
    if (src) {
        VkBufferCopy region = {.srcOffset = src_offset, .dstOffset = dst_offset, .size = bytes};
        gpu->vk.vkCmdCopyBuffer(gpu->transfer, src, dst, 1, &region);
    } else {
        gpu->vk.vkCmdFillBuffer(gpu->transfer, dst, 0, VK_WHOLE_SIZE, 0);
    }
    vka_cmd_barrier_host(gpu, line, gpu->transfer);
    s = VKA_CHECK(gpu, gpu->vk.vkEndCommandBuffer(gpu->transfer), "record a copy", err);
    uint64_t ticket = 0;
    if (s == VKA_OK)
        s = vka_submit_raw(gpu, line, &gpu->transfer, 1, 0, &ticket, err);
    return s == VKA_OK ? vka_settle(gpu, ticket, err) : s;
}

static vka_status fill_zero(vka_gpu *gpu, struct vka_block_full *b, vka_error *err)
{
    if (b->block.map) {
        memset(b->block.map, 0, (size_t)b->footprint);
        return VKA_OK;
    }
    return transfer(gpu, b->buffer, 0, VK_NULL_HANDLE, 0, b->footprint, err);
}

static vka_status need_staging(vka_gpu *gpu, vka_error *err)
{
    if (gpu->staging)
        return VKA_OK;
    vka_status s = create(gpu, STAGING_BYTES, VKA_MEMORY_HOST, &gpu->staging, err);
    if (s == VKA_OK)
        gpu->blocks++; /* destroyed like any block */
    return s;
}

/* The slack belongs to the range: tests put guard bands there. */
static vka_status check_range(const vka_block *block, uint64_t offset, uint64_t bytes, vka_error *err)
{
    uint64_t end = block->size + VKA_BLOCK_SLACK;
    if (offset <= end && bytes <= end - offset)
        return VKA_OK;
    return vka_fail(err, VKA_E_INTERNAL, "a copy of %llu bytes at %llu leaves a block of %llu bytes",
                    (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)block->size);
}

vka_status vka_block_write(vka_gpu *gpu, vka_block *block, uint64_t offset, const void *data, uint64_t bytes,
                           vka_error *err)
{
    struct vka_block_full *b = (struct vka_block_full *)block;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s == VKA_OK)
        s = check_range(block, offset, bytes, err);
    if (s != VKA_OK || !bytes)
        return s;
    if (block->map) {
        memcpy((uint8_t *)block->map + offset, data, (size_t)bytes);
        return VKA_OK;
    }
    s = need_staging(gpu, err);
    for (uint64_t done = 0; s == VKA_OK && done < bytes;) {
        uint64_t n = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        memcpy(gpu->staging->block.map, (const uint8_t *)data + done, (size_t)n);
        s = transfer(gpu, b->buffer, offset + done, gpu->staging->buffer, 0, n, err);
        done += n;
    }
    return s;
}

vka_status vka_block_read(vka_gpu *gpu, vka_block *block, uint64_t offset, void *data, uint64_t bytes, vka_error *err)
{
    struct vka_block_full *b = (struct vka_block_full *)block;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s == VKA_OK)
        s = check_range(block, offset, bytes, err);
    if (s != VKA_OK || !bytes)
        return s;
    if (block->map && (!b->slow_read || bytes <= MAP_READ_LIMIT || b->kind == VKA_MEMORY_HOST)) {
        memcpy(data, (const uint8_t *)block->map + offset, (size_t)bytes);
        return VKA_OK;
    }
    s = need_staging(gpu, err);
    for (uint64_t done = 0; s == VKA_OK && done < bytes;) {
        uint64_t n = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        s = transfer(gpu, gpu->staging->buffer, 0, b->buffer, offset + done, n, err);
        if (s == VKA_OK)
            memcpy((uint8_t *)data + done, gpu->staging->block.map, (size_t)n);
        done += n;
    }
    return s;
}
