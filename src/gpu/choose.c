/* choose.c - what devices there are, what each lacks, and which one to take.
 *
 * Order of choice: what the caller names; $VKANIM_DEVICE; the best usable GPU (discrete, integrated,
 * other; then the larger heap).  A software device is taken unasked only when the machine has no GPU
 * at all: a GPU that cannot be used is an error that says why, because minutes would silently become
 * hours otherwise. */
#include "gpu/gpu_internal.h"

#include "base/machine.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool listed(const VkExtensionProperties *exts, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(exts[i].extensionName, name) == 0)
            return true;
    return false;
}

/* Memory heaps, and the budget where the driver tells it. */
static void describe_memory(const struct vka_instance *in, struct vka_physical *p)
{
    VkPhysicalDeviceMemoryProperties2 m = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    in->vk.GetPhysicalDeviceMemoryProperties2(p->handle, &m);
    p->memory = m.memoryProperties;
    vka_gpu_info *info = &p->info;
    info->heap_count = vka_min_u32(p->memory.memoryHeapCount, (uint32_t)(sizeof info->heaps / sizeof *info->heaps));
    for (uint32_t i = 0; i < info->heap_count; i++) {
        info->heaps[i].bytes = p->memory.memoryHeaps[i].size;
        info->heaps[i].device_local = (p->memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
        if (info->heaps[i].device_local && info->heaps[i].bytes > info->device_heap) {
            info->device_heap = info->heaps[i].bytes;
            p->heap = i;
        }
    }
    if (info->cpu && vka_machine_memory()) /* what a software driver reports is not what it can allocate */
        info->device_heap = vka_machine_memory() / 2;
    info->device_free = vka_physical_free(in, p);
}

uint64_t vka_physical_free(const struct vka_instance *in, const struct vka_physical *p)
{
    if (p->info.cpu || !p->ext_budget)
        return p->info.device_heap;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT b = {.sType =
                                                       VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 m = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &b};
    in->vk.GetPhysicalDeviceMemoryProperties2(p->handle, &m);
    return b.heapBudget[p->heap] > b.heapUsage[p->heap] ? b.heapBudget[p->heap] - b.heapUsage[p->heap] : 0;
}

/* How well a queue family serves copies beside the work of the compute queue; below 0: not at all.  A family that only copies
 * has engines of its own; a second compute queue copies with compute units, still beside the work; graphics is the desktop's.
 * Families for video and the like may copy, but have limits of their own. */
static int score_transfer(const struct vka_physical *p, const VkQueueFamilyProperties *f, uint32_t i)
{
    const VkQueueFlags plain = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT |
                               VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    bool works = f[i].queueFlags & (VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT); /* and copies, whether it says so or not */
    bool graphics = f[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
    if (f[i].queueCount < (i == p->queue_family ? 2u : 1u))
        return -1;
    if (!works)
        return !(f[i].queueFlags & VK_QUEUE_TRANSFER_BIT) || f[i].queueFlags & ~plain ? -1 : 8;
    return (i == p->queue_family ? 4 : 2) + (graphics ? 0 : 1);
}

bool vka_physical_queues(struct vka_physical *p, const VkQueueFamilyProperties *f, uint32_t n)
{
    bool found = false;
    int best = -1;
    /* A compute queue without graphics is the better one: the graphics ring has the shorter watchdog and the desktop. */
    for (uint32_t i = 0; i < n; i++) {
        if (!(f[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || !f[i].queueCount)
            continue;
        int score = (f[i].timestampValidBits ? 2 : 0) + (f[i].queueFlags & VK_QUEUE_GRAPHICS_BIT ? 0 : 1);
        if (score > best) {
            best = score;
            p->queue_family = i;
            p->timestamp_bits = f[i].timestampValidBits;
            found = true;
        }
    }
    best = -1;
    for (uint32_t i = 0; found && i < n; i++) {
        int score = score_transfer(p, f, i);
        if (score <= best)
            continue;
        best = score;
        p->transfer_family = i;
        p->transfer_index = i == p->queue_family ? 1 : 0;
        p->transfer_bits = f[i].timestampValidBits;
        p->info.transfer_queue = true;
        p->info.transfer_engine = !(f[i].queueFlags & (VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT));
    }
    return found;
}

static bool find_queues(const struct vka_instance *in, struct vka_physical *p)
{
    VkQueueFamilyProperties f[32];
    uint32_t n = (uint32_t)(sizeof f / sizeof *f);
    in->vk.GetPhysicalDeviceQueueFamilyProperties(p->handle, &n, f);
    return vka_physical_queues(p, f, n);
}

static void describe_properties(const struct vka_instance *in, struct vka_physical *p)
{
    vka_gpu_info *info = &p->info;
    VkPhysicalDeviceMaintenance4Properties maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceVulkan12Properties v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceVulkan11Properties v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                              .pNext = &v12};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &v11};
    bool v13 = p->api >= VK_API_VERSION_1_3;
    if (v13) {
        maintenance.pNext = v12.pNext;
        v12.pNext = &maintenance;
    }
    if (v13 || p->ext_subgroup_control) {
        sizes.pNext = v12.pNext;
        v12.pNext = &sizes;
    }
    in->vk.GetPhysicalDeviceProperties2(p->handle, &props);
    const VkPhysicalDeviceLimits *l = &props.properties.limits;
    p->driver_id = v12.driverID;
    snprintf(info->driver, sizeof info->driver, "%.120s%s%.120s", v12.driverName, v12.driverInfo[0] ? " " : "",
             v12.driverInfo);
    memcpy(info->driver_uuid, v11.driverUUID, sizeof info->driver_uuid);
    info->shared_bytes = l->maxComputeSharedMemorySize;
    info->max_invocations = l->maxComputeWorkGroupInvocations;
    memcpy(info->max_groups, l->maxComputeWorkGroupCount, sizeof info->max_groups);
    info->max_block = v11.maxMemoryAllocationSize;
    if (v13 && maintenance.maxBufferSize && maintenance.maxBufferSize < info->max_block)
        info->max_block = maintenance.maxBufferSize;
    info->timestamp_ns = l->timestampPeriod;
    info->timestamps = p->timestamp_bits > 0 && l->timestampPeriod > 0;
    info->subgroup_size = info->subgroup_min = info->subgroup_max = v11.subgroupSize;
    bool compute = (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    info->subgroup_arithmetic = compute && (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) != 0;
    info->subgroup_shuffle = compute && (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0;
    if (info->subgroup_control && (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT)) {
        info->subgroup_min = sizes.minSubgroupSize;
        info->subgroup_max = sizes.maxSubgroupSize;
    } else {
        info->subgroup_control = false;
    }
}

/* Features; returns the name of the first required one that is missing, NULL when all are there. */
static const char *describe_features(const struct vka_instance *in, struct vka_physical *p, bool khr, bool nv2)
{
    vka_gpu_info *info = &p->info;
    struct vka_matrix_features matrix;
    VkPhysicalDeviceFaultFeaturesEXT fault = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceMaintenance4Features maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceVulkan11Features v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
                                            .pNext = &v12};
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v11};
    void **tail = &v12.pNext;
    if (p->api >= VK_API_VERSION_1_3 || p->ext_subgroup_control) {
        *tail = &sizes;
        tail = &sizes.pNext;
    }
    if (p->api >= VK_API_VERSION_1_3) {
        *tail = &maintenance;
        tail = &maintenance.pNext;
    }
    if (p->ext_fault) {
        *tail = &fault;
        tail = &fault.pNext;
    }
    if (p->ext_statistics) {
        *tail = &executables;
        tail = &executables.pNext;
    }
    *tail = vka_matrix_chain(&matrix, khr, nv2);
    in->vk.GetPhysicalDeviceFeatures2(p->handle, &f);
    info->subgroup_control = sizes.subgroupSizeControl;
    p->full_subgroups = sizes.computeFullSubgroups;
    p->maintenance4 = maintenance.maintenance4;
    p->ext_fault = fault.deviceFault;
    p->ext_statistics = executables.pipelineExecutableInfo;
    info->memory_model = v12.vulkanMemoryModel && v12.vulkanMemoryModelDeviceScope;
    p->host_reset = v12.hostQueryReset;
    info->storage_f16 = v11.storageBuffer16BitAccess;
    p->storage_u16 = v11.uniformAndStorageBuffer16BitAccess;
    info->arithmetic_f16 = v12.shaderFloat16;
    info->storage_8bit = v12.storageBuffer8BitAccess && v12.shaderInt8;
    p->storage_u8 = v12.uniformAndStorageBuffer8BitAccess;
    p->int16 = f.features.shaderInt16;
    info->arithmetic_i64 = f.features.shaderInt64;
    p->matrix_features = matrix;
    return !v12.bufferDeviceAddress ? "buffer addresses (bufferDeviceAddress)"
           : !v12.timelineSemaphore ? "timeline semaphores (timelineSemaphore)"
           : !v12.scalarBlockLayout ? "scalar block layout (scalarBlockLayout)"
                                    : NULL;
}

static vka_status describe(const struct vka_instance *in, struct vka_physical *p, vka_error *err)
{
    vka_gpu_info *info = &p->info;
    VkPhysicalDeviceProperties props;
    in->vk.GetPhysicalDeviceProperties(p->handle, &props);
    snprintf(info->name, sizeof info->name, "%s", props.deviceName);
    info->vendor = props.vendorID;
    info->device = props.deviceID;
    info->driver_version = props.driverVersion;
    info->api_version = props.apiVersion;
    memcpy(p->cache_uuid, props.pipelineCacheUUID, sizeof p->cache_uuid);
    p->type = props.deviceType;
    info->cpu = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    info->integrated = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
    p->api = vka_min_u32(in->api, props.apiVersion);
    if (props.apiVersion < VK_API_VERSION_1_2) {
        describe_memory(in, p);
        snprintf(info->reason, sizeof info->reason, "its driver speaks Vulkan %u.%u, and vkanim needs 1.2",
                 VK_API_VERSION_MAJOR(props.apiVersion), VK_API_VERSION_MINOR(props.apiVersion));
        return VKA_OK;
    }
    uint32_t n = 0;
    VkResult r = in->vk.EnumerateDeviceExtensionProperties(p->handle, NULL, &n, NULL);
    VkExtensionProperties *exts = r >= VK_SUCCESS ? vka_calloc(n, sizeof *exts) : NULL;
    if (exts)
        r = in->vk.EnumerateDeviceExtensionProperties(p->handle, NULL, &n, exts);
    if ((!exts && r >= VK_SUCCESS) || r == VK_ERROR_OUT_OF_HOST_MEMORY || r == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        free(exts);
        return vka_fail(err, VKA_E_MEMORY, "out of memory describing the Vulkan devices");
    }
    if (r < VK_SUCCESS) { /* without its extensions other kernels would be chosen: not the same device any more */
        free(exts);
        describe_memory(in, p);
        snprintf(info->reason, sizeof info->reason, "asked for its extensions its driver answered %s", vka_result_name(r));
        return VKA_OK;
    }
    p->ext_budget = listed(exts, n, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    p->ext_subgroup_control = listed(exts, n, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    p->ext_fault = listed(exts, n, VK_EXT_DEVICE_FAULT_EXTENSION_NAME);
    p->ext_statistics = listed(exts, n, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    bool khr = listed(exts, n, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    bool nv2 = khr && listed(exts, n, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
    free(exts);

    bool queue = find_queues(in, p);
    const char *missing = describe_features(in, p, khr, nv2);
    describe_properties(in, p);
    vka_matrix_describe(in, p);
    describe_memory(in, p);
    if (!queue)
        snprintf(info->reason, sizeof info->reason, "it has no compute queue");
    else if (missing)
        snprintf(info->reason, sizeof info->reason, "its driver lacks %s; a newer driver may have it", missing);
    info->usable = queue && !missing;
    return VKA_OK;
}

vka_status vka_physical_list(struct vka_instance *in, struct vka_physical **list, uint32_t *count, vka_error *err)
{
    *list = NULL;
    *count = 0;
    uint32_t n = 0;
    VkResult r = in->vk.EnumeratePhysicalDevices(in->handle, &n, NULL);
    if (r < VK_SUCCESS)
        n = 0; /* it may be anything */
    VkPhysicalDevice *handles = vka_calloc(n, sizeof *handles);
    struct vka_physical *p = vka_calloc(n, sizeof *p);
    vka_status s = VKA_OK;
    if (handles && p && n)
        r = in->vk.EnumeratePhysicalDevices(in->handle, &n, handles);
    if (!handles || !p || r == VK_ERROR_OUT_OF_HOST_MEMORY || r == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory describing the Vulkan devices");
    if (s == VKA_OK && (r < VK_SUCCESS || !n)) {
        s = vka_fail(err, VKA_E_DEVICE, "no Vulkan device was found");
        if (r < VK_SUCCESS)
            vka_error_why(err, "the driver answered %s", vka_result_name(r));
        vka_error_hint(err,
                       "install the driver of your GPU, or mesa-vulkan-drivers (AMD, Intel and a software device); "
                       "check that you may open /dev/dri/renderD128");
    }
    for (uint32_t i = 0; s == VKA_OK && i < n; i++) {
        p[i].handle = handles[i];
        p[i].info.index = i;
        s = describe(in, &p[i], err);
    }
    free(handles);
    if (s != VKA_OK) {
        free(p);
        return s;
    }
    *list = p;
    *count = n;
    return VKA_OK;
}

vka_status vka_gpu_enumerate(vka_gpu_info **list, uint32_t *count, const vka_log *log, vka_error *err)
{
    *list = NULL;
    *count = 0;
    struct vka_instance *in = vka_calloc(1, sizeof *in);
    if (!in)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    struct vka_physical *physical = NULL;
    uint32_t n = 0;
    vka_status s = vka_instance_open(in, false, log, err);
    if (s == VKA_OK)
        s = vka_physical_list(in, &physical, &n, err);
    if (s == VKA_OK) {
        *list = vka_calloc(n, sizeof **list);
        if (*list) {
            for (uint32_t i = 0; i < n; i++)
                (*list)[i] = physical[i].info;
            *count = n;
        } else {
            s = vka_fail(err, VKA_E_MEMORY, "out of memory");
        }
    }
    free(physical);
    vka_instance_close(in);
    free(in);
    return s;
}

/* ---- choice ------------------------------------------------------------------------------------- */

static int rank(const struct vka_physical *p)
{
    if (!p->info.usable)
        return -1;
    if (p->driver_id == (VkDriverId)23) /* Mesa's Dozen, Vulkan on D3D12: the same GPU a second time */
        return 1;
    switch (p->type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 0;
    default:
        return 2;
    }
}

static bool better(const struct vka_physical *a, const struct vka_physical *b)
{
    int ra = rank(a), rb = rank(b);
    return ra != rb ? ra > rb : a->info.device_heap > b->info.device_heap;
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

static vka_status choose_named(const struct vka_physical *list, uint32_t count, const char *wanted, uint32_t *chosen,
                               vka_error *err)
{
    const struct vka_physical *best = NULL;
    if (strspn(wanted, "0123456789") == strlen(wanted)) {
        errno = 0;
        unsigned long index = strtoul(wanted, NULL, 10);
        if (errno == 0 && index < count)
            best = &list[index]; /* else it may be part of a name: 7900, 4090 */
    }
    for (uint32_t i = 0; !best && i < count; i++) {
        if (!contains(list[i].info.name, wanted))
            continue;
        best = &list[i];
        for (uint32_t j = i + 1; j < count; j++)
            if (contains(list[j].info.name, wanted) && better(&list[j], best))
                best = &list[j];
    }
    if (!best) {
        char names[400] = "";
        for (uint32_t i = 0; i < count; i++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%u: %s", i ? ", " : "", i, list[i].info.name);
        }
        vka_fail(err, VKA_E_DEVICE, "no device is called '%.64s'", wanted);
        vka_error_why(err, "there is %s", names);
        vka_error_hint(err, "name one by its index or by part of its name");
        return VKA_E_DEVICE;
    }
    if (!best->info.usable) {
        vka_fail(err, VKA_E_DEVICE, "the device '%s' cannot be used", best->info.name);
        vka_error_why(err, "%s", best->info.reason);
        vka_error_hint(err, "'vkanim devices' lists the others");
        return VKA_E_DEVICE;
    }
    *chosen = best->info.index;
    return VKA_OK;
}

vka_status vka_physical_choose(const struct vka_physical *list, uint32_t count, const char *wanted, const vka_log *log,
                               uint32_t *chosen, vka_error *err)
{
    const char *env = getenv("VKANIM_DEVICE");
    if (!wanted || !*wanted)
        wanted = env && *env ? env : NULL;
    if (wanted)
        return choose_named(list, count, wanted, chosen, err);

    const struct vka_physical *gpu = NULL, *software = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct vka_physical **slot = list[i].info.cpu ? &software : &gpu;
        if (!*slot || better(&list[i], *slot))
            *slot = &list[i];
        if (!list[i].info.usable)
            vka_logf(log, VKA_LOG_WARN, "device %u, %s, cannot be used: %s", i, list[i].info.name, list[i].info.reason);
    }
    const struct vka_physical *best = gpu ? gpu : software;
    if (!best->info.usable) {
        vka_fail(err, VKA_E_DEVICE, "the device '%s' cannot be used", best->info.name);
        vka_error_why(err, "%s", best->info.reason);
        if (gpu && software && software->info.usable)
            vka_error_hint(err, "update its driver, or ask for the software device with --device %u (very slow)",
                           software->info.index);
        else
            vka_error_hint(err, "update its driver");
        return VKA_E_DEVICE;
    }
    if (best->info.cpu)
        vka_logf(log, VKA_LOG_WARN, "this machine has no GPU with a Vulkan driver; the software device '%s' is slow",
                 best->info.name);
    *chosen = best->info.index;
    return VKA_OK;
}
