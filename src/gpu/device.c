/* device.c - the logical device, its queues, and what every call's result turns into.
 *
 * Invariant: once `lost` is set, no function of this room calls the device again but to destroy
 * objects. */
#include "gpu/gpu_internal.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Submissions are made for 250 ms at most, so this is far beyond a busy machine. */
static const double patience_s = 60;

struct VolkDeviceTable *vka_gpu_table(vka_gpu *gpu)
{
    return &gpu->vk;
}

const vka_gpu_info *vka_gpu_describe(const vka_gpu *gpu)
{
    return &gpu->physical.info;
}

bool vka_gpu_is_lost(const vka_gpu *gpu)
{
    return atomic_load(&gpu->lost);
}

uint32_t vka_gpu_validation_messages(const vka_gpu *gpu)
{
    return atomic_load(&gpu->instance.messages);
}

uint64_t vka_gpu_device_free(const vka_gpu *gpu)
{
    return vka_physical_free(&gpu->instance, &gpu->physical);
}

const char *vka_result_name(VkResult r)
{
    switch (r) {
#define NAME(x)                                                                                                        \
    case x:                                                                                                            \
        return #x
        NAME(VK_SUCCESS);
        NAME(VK_NOT_READY);
        NAME(VK_TIMEOUT);
        NAME(VK_INCOMPLETE);
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY);
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY);
        NAME(VK_ERROR_INITIALIZATION_FAILED);
        NAME(VK_ERROR_DEVICE_LOST);
        NAME(VK_ERROR_MEMORY_MAP_FAILED);
        NAME(VK_ERROR_LAYER_NOT_PRESENT);
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT);
        NAME(VK_ERROR_FEATURE_NOT_PRESENT);
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER);
        NAME(VK_ERROR_TOO_MANY_OBJECTS);
        NAME(VK_ERROR_FRAGMENTATION);
        NAME(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS);
        NAME(VK_ERROR_UNKNOWN);
#undef NAME
    default:
        return "an unknown error";
    }
}

/* ---- loss --------------------------------------------------------------------------------------- */

static void append(char *text, size_t size, const char *part)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", part);
}

/* A list with its operators, once each. */
static void describe_list(const vka_list *list, char *text, size_t size)
{
    const char *last = NULL;
    append(text, size, list->label);
    for (uint32_t k = 0, shown = 0; k < list->dispatches && shown < 12; k++) {
        if (last && strcmp(last, list->labels[k]) == 0) /* the parts of one operator: name it once */
            continue;
        last = list->labels[k];
        append(text, size, shown++ ? ", " : " (");
        append(text, size, last);
    }
    append(text, size, last ? ")" : "");
}

/* What was in flight: the lists of every submission not known to be done. */
static void describe_flights(const vka_gpu *gpu, char *text, size_t size)
{
    uint32_t named = 0, more = 0;
    for (uint32_t q = 0; q < gpu->line_count; q++)
        for (size_t i = 0; i < gpu->lines[q].flight_count; i++)
            for (uint32_t j = 0; j < gpu->lines[q].flights[i].count; j++) {
                if (named == 4 + q) /* of the compute queue four; then at least one of the other */ {
                    more++;
                    continue;
                }
                append(text, size, named++ ? "; " : "");
                describe_list(gpu->lines[q].flights[i].lists[j], text, size);
            }
    size_t length = strlen(text);
    if (length + 1 == size) /* cut: at a name's end */ {
        while (length > 0 && (length > size - 5 || (text[length] != ',' && text[length] != ';' && text[length] != '(')))
            length--;
        text[length] = '\0';
        append(text, size, " ...");
    }
    char rest[40] = "";
    if (more)
        snprintf(rest, sizeof rest, "; and %u lists more", more);
    append(text, size, rest);
}

/* The driver's own word on the fault, where VK_EXT_device_fault gives one: what it was, and the first address of it. */
static void describe_fault(vka_gpu *gpu, char *text, size_t size)
{
    enum { ADDRESSES = 4, VENDOR = 2 };
    VkDeviceFaultAddressInfoEXT addresses[ADDRESSES];
    VkDeviceFaultVendorInfoEXT vendor[VENDOR];
    VkDeviceFaultInfoEXT info = {.sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_INFO_EXT};
    VkDeviceFaultCountsEXT counts = {.sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_COUNTS_EXT};
    if (!gpu->fault_info || !gpu->vk.vkGetDeviceFaultInfoEXT ||
        gpu->vk.vkGetDeviceFaultInfoEXT(gpu->device, &counts, NULL) < VK_SUCCESS)
        return;
    counts.addressInfoCount = counts.addressInfoCount < ADDRESSES ? counts.addressInfoCount : ADDRESSES;
    counts.vendorInfoCount = counts.vendorInfoCount < VENDOR ? counts.vendorInfoCount : VENDOR;
    counts.vendorBinarySize = 0;
    info.pAddressInfos = addresses;
    info.pVendorInfos = vendor;
    if (gpu->vk.vkGetDeviceFaultInfoEXT(gpu->device, &counts, &info) < VK_SUCCESS)
        return;
    snprintf(text, size, "the driver says: %.120s", info.description);
    for (uint32_t i = 0; i < counts.addressInfoCount; i++) {
        const char *access = addresses[i].addressType == VK_DEVICE_FAULT_ADDRESS_TYPE_READ_INVALID_EXT    ? "read"
                             : addresses[i].addressType == VK_DEVICE_FAULT_ADDRESS_TYPE_WRITE_INVALID_EXT ? "write"
                                                                                                         : NULL;
        char part[64];
        if (!access)
            continue;
        snprintf(part, sizeof part, " (a %s of 0x%llx)", access, (unsigned long long)addresses[i].reportedAddress);
        append(text, size, part);
        break;
    }
}

/* The only place that marks a device as lost. */
static vka_status set_lost(vka_gpu *gpu, bool hung, const char *file, int line, vka_error *err)
{
    if (atomic_exchange(&gpu->lost, true))
        return vka_gpu_alive(gpu, err);
    gpu->abandoned = hung;
    gpu->lost_file = file;
    gpu->lost_line = line;
    char flights[300] = "", fault[190] = "";
    describe_flights(gpu, flights, sizeof flights);
    if (!hung)
        describe_fault(gpu, fault, sizeof fault);
    vka_logf(&gpu->log, VKA_LOG_INFO, "device %s, seen at %s:%d; in flight: %s", hung ? "hung" : "lost", file, line,
             flights[0] ? flights : "nothing");
    vka_fail(err, VKA_E_LOST, "the device '%.200s' %s (%s:%d)", gpu->physical.info.name,
             hung ? "does not answer any more" : "was lost", file, line);
    if (flights[0] || fault[0])
        vka_error_why(err, "%s%s%s%s", fault, fault[0] && flights[0] ? "; " : "", flights[0] ? "it was running: " : "",
                      flights);
    vka_error_hint(err,
                   "the driver's time limit or a full host memory are the usual reasons; dmesg may tell; a smaller "
                   "--vram makes shorter dispatches");
    return VKA_E_LOST;
}

vka_status vka_gpu_hung(vka_gpu *gpu, const char *file, int line, vka_error *err)
{
    return set_lost(gpu, true, file, line, err);
}

void vka_gpu_abandon(vka_gpu *gpu)
{
    set_lost(gpu, true, __FILE__, __LINE__, NULL);
}

bool vka_gpu_is_abandoned(const vka_gpu *gpu)
{
    return gpu->abandoned;
}

bool vka_gpu_was_short(const vka_gpu *gpu)
{
    return gpu->was_short;
}

vka_status vka_gpu_alive(const vka_gpu *gpu, vka_error *err)
{
    if (!atomic_load(&gpu->lost))
        return VKA_OK;
    return vka_fail(err, VKA_E_LOST, "the device '%.200s' was lost earlier (%s:%d)", gpu->physical.info.name,
                    gpu->lost_file, gpu->lost_line);
}

vka_status vka_gpu_check(vka_gpu *gpu, VkResult r, const char *what, const char *file, int line, vka_error *err)
{
    if (r >= VK_SUCCESS)
        return VKA_OK;
    if (r == VK_ERROR_DEVICE_LOST)
        return set_lost(gpu, false, file, line, err);
    bool memory = r == VK_ERROR_OUT_OF_HOST_MEMORY || r == VK_ERROR_OUT_OF_DEVICE_MEMORY ||
                  r == VK_ERROR_MEMORY_MAP_FAILED || r == VK_ERROR_FRAGMENTATION;
    vka_status s = memory ? VKA_E_MEMORY : VKA_E_DEVICE;
    gpu->was_short = gpu->was_short || r == VK_ERROR_OUT_OF_DEVICE_MEMORY;
    vka_fail(err, s, "cannot %s", what);
    vka_error_why(err, "the driver of '%.200s' answered %s", gpu->physical.info.name, vka_result_name(r));
    return s;
}

/* ---- creation ----------------------------------------------------------------------------------- */

static vka_status open_device(vka_gpu *gpu, vka_error *err)
{
    const struct vka_physical *p = &gpu->physical;
    const vka_gpu_info *info = &p->info;
    const char *extensions[8];
    uint32_t extension_count = 0;
    VkPhysicalDeviceFaultFeaturesEXT fault = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT,
                                              .deviceFault = VK_TRUE};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = VK_TRUE,
        .computeFullSubgroups = p->full_subgroups,
    };
    VkPhysicalDeviceVulkan12Features v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .bufferDeviceAddress = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .hostQueryReset = p->host_reset,
        .scalarBlockLayout = VK_TRUE,
        .shaderFloat16 = info->arithmetic_f16,
        .shaderInt8 = info->storage_8bit,
        .storageBuffer8BitAccess = info->storage_8bit,
        .uniformAndStorageBuffer8BitAccess = info->storage_8bit && p->storage_u8,
        .vulkanMemoryModel = info->memory_model,
        .vulkanMemoryModelDeviceScope = info->memory_model,
    };
    VkPhysicalDeviceVulkan11Features v11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .pNext = &v12,
        .storageBuffer16BitAccess = info->storage_f16,
        .uniformAndStorageBuffer16BitAccess = info->storage_f16 && p->storage_u16,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &v11,
        .features.shaderInt16 = p->int16,
        .features.shaderInt64 = info->arithmetic_i64,
    };
    void **tail = &v12.pNext;
    if (info->subgroup_control) {
        *tail = &sizes;
        tail = &sizes.pNext;
        if (p->api < VK_API_VERSION_1_3)
            extensions[extension_count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    VkPhysicalDeviceMaintenance4Features maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, .maintenance4 = VK_TRUE};
    if (p->maintenance4) {
        *tail = &maintenance;
        tail = &maintenance.pNext;
    }
    gpu->statistics = gpu->statistics && p->ext_statistics;
    if (gpu->statistics) {
        *tail = &executables;
        tail = &executables.pNext;
        extensions[extension_count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    }
    if (p->ext_fault) {
        *tail = &fault;
        tail = &fault.pNext;
        extensions[extension_count++] = VK_EXT_DEVICE_FAULT_EXTENSION_NAME;
        gpu->fault_info = true;
    }
    struct vka_matrix_features matrix;
    *tail = vka_matrix_enable(p, &matrix, extensions, &extension_count);
    if (p->ext_budget)
        extensions[extension_count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    const float priorities[2] = {1.0f, 1.0f};
    bool second = info->transfer_queue && !gpu->twin, same = second && p->transfer_family == p->queue_family;
    VkDeviceQueueCreateInfo queues[2] = {{
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = p->queue_family,
        .queueCount = same ? 2 : 1,
        .pQueuePriorities = priorities,
    }};
    queues[1] = queues[0];
    queues[1].queueFamilyIndex = p->transfer_family;
    VkDeviceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &features,
        .queueCreateInfoCount = second && !same ? 2 : 1,
        .pQueueCreateInfos = queues,
        .enabledExtensionCount = extension_count,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult r = gpu->instance.vk.CreateDevice(p->handle, &create, NULL, &gpu->device);
    if (r != VK_SUCCESS) {
        gpu->device = VK_NULL_HANDLE;
        return VKA_CHECK(gpu, r, "open the device", err);
    }
    vka_loader_device_table(gpu->instance.handle, gpu->device, &gpu->vk);
    struct vka_line *work = &gpu->lines[VKA_LANE_COMPUTE], *copies = &gpu->lines[VKA_LANE_TRANSFER];
    gpu->line_count = info->transfer_queue ? 2 : 1;
    gpu->vk.vkGetDeviceQueue(gpu->device, p->queue_family, 0, &work->queue);
    work->family = p->queue_family;
    work->timestamp_bits = p->timestamp_bits;
    *copies = *work;
    if (second) {
        copies->family = p->transfer_family;
        copies->timestamp_bits = p->transfer_bits;
        copies->copies_only = info->transfer_engine;
        gpu->vk.vkGetDeviceQueue(gpu->device, p->transfer_family, p->transfer_index, &copies->queue);
    }
    return VKA_OK;
}

/* What the caller asked for and what the device has. */
static void settle_transfers(vka_gpu *gpu, enum vka_transfers wanted)
{
    vka_gpu_info *info = &gpu->physical.info;
    gpu->twin = wanted == VKA_TRANSFERS_TWIN;
    if (wanted != VKA_TRANSFERS_BEST) {
        info->transfer_queue = gpu->twin;
        info->transfer_engine = false;
    }
}

static vka_status open_line(vka_gpu *gpu, struct vka_line *line, vka_error *err)
{
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    /* What a call that failed leaves in its result parameters is anybody's guess. */
    VkSemaphore made_semaphore;
    VkCommandPool made_pool;
    vka_status s = VKA_CHECK(gpu, gpu->vk.vkCreateSemaphore(gpu->device, &semaphore, NULL, &made_semaphore),
                             "make a timeline semaphore", err);
    if (s != VKA_OK)
        return s;
    line->timeline = made_semaphore;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = line->family};
    s = VKA_CHECK(gpu, gpu->vk.vkCreateCommandPool(gpu->device, &pool, NULL, &made_pool), "make a command pool", err);
    if (s == VKA_OK)
        line->pool = made_pool;
    return s;
}

static vka_status open_objects(vka_gpu *gpu, vka_error *err)
{
    vka_status s = VKA_OK;
    VkPipelineLayout made_layout;
    for (uint32_t q = 0; s == VKA_OK && q < gpu->line_count; q++)
        s = open_line(gpu, &gpu->lines[q], err);
    if (s != VKA_OK)
        return s;
    VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = VKA_PUSH_BYTES};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &range};
    s = VKA_CHECK(gpu, gpu->vk.vkCreatePipelineLayout(gpu->device, &layout, NULL, &made_layout), "make a pipeline layout",
                  err);
    if (s == VKA_OK)
        gpu->layout = made_layout;
    return s;
}

vka_status vka_gpu_create(vka_gpu **out, const vka_gpu_params *params, vka_error *err)
{
    *out = NULL;
    vka_gpu *gpu = vka_calloc(1, sizeof *gpu);
    if (!gpu)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    gpu->log = params->log;
    gpu->timers = params->timers;
    gpu->statistics = params->statistics;
    struct vka_physical *list = NULL;
    uint32_t count = 0, chosen = 0;
    vka_status s = vka_instance_open(&gpu->instance, params->validation, &gpu->log, err);
    if (s == VKA_OK)
        s = vka_physical_list(&gpu->instance, &list, &count, err);
    if (s == VKA_OK)
        s = vka_physical_choose(list, count, params->device, &gpu->log, &chosen, err);
    if (s == VKA_OK) {
        gpu->physical = list[chosen];
        gpu->physical.info.cautious = params->cautious;
        gpu->patience_s = gpu->physical.info.cpu ? INFINITY : patience_s;
        settle_transfers(gpu, params->transfers);
        s = open_device(gpu, err);
    }
    free(list);
    if (s == VKA_OK)
        s = open_objects(gpu, err);
    if (s == VKA_OK)
        s = vka_cache_open(gpu, params->cache_dir, err);
    if (s != VKA_OK) {
        vka_gpu_destroy(&gpu);
        return s;
    }
    gpu->timers = gpu->timers && gpu->physical.info.timestamps;
    vka_logf(&gpu->log, VKA_LOG_INFO, "device %u: %s (%s)", gpu->physical.info.index, gpu->physical.info.name,
             gpu->physical.info.driver);
    *out = gpu;
    return VKA_OK;
}

void vka_gpu_destroy(vka_gpu **pgpu)
{
    if (!pgpu || !*pgpu)
        return;
    vka_gpu *gpu = *pgpu;
    if (gpu->device) {
        vka_settle_all(gpu, NULL);
        vka_block *staging = (vka_block *)gpu->staging;
        gpu->staging = NULL;
        vka_block_destroy(gpu, &staging);
        if (gpu->blocks || gpu->lists)
            vka_logf(&gpu->log, VKA_LOG_WARN, "%u memory blocks and %u lists outlive their device", gpu->blocks,
                     gpu->lists);
        vka_cache_close(gpu);
        vka_pipelines_free(gpu);
        vka_flights_free(gpu);
    }
    if (gpu->device && !gpu->abandoned) {
        if (gpu->layout)
            gpu->vk.vkDestroyPipelineLayout(gpu->device, gpu->layout, NULL);
        for (uint32_t q = 0; q < VKA_LANES; q++) {
            if (gpu->lines[q].pool)
                gpu->vk.vkDestroyCommandPool(gpu->device, gpu->lines[q].pool, NULL); /* frees its command buffers */
            if (gpu->lines[q].timeline)
                gpu->vk.vkDestroySemaphore(gpu->device, gpu->lines[q].timeline, NULL);
        }
        gpu->vk.vkDestroyDevice(gpu->device, NULL);
    }
    if (!gpu->abandoned)
        vka_instance_close(&gpu->instance);
    if (!gpu->abandoned || !gpu->instance.messenger) /* it may still be called, and writes here */
        free(gpu);
    *pgpu = NULL;
}
