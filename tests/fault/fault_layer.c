/* fault_layer.c - VK_LAYER_VKANIM_fault: an explicit Vulkan layer of the tests that counts the calls which can fail and
 * makes one of them fail.
 *
 * It reads its orders from the environment when the first instance is made:
 *   FAULT_CALL    name of the function, for example vkAllocateMemory
 *   FAULT_INDEX   which call of it fails, counted from 0 over the whole process; -1: none
 *   FAULT_RESULT  the VkResult it returns, as a number
 *   FAULT_AGAIN   another call of it that fails too, on whatever device it comes then
 *   FAULT_GONE    1: once something has failed, no device can be made any more
 *   FAULT_STAY    1: every later call of the function fails too
 *   FAULT_REPORT  file that is written when an instance goes: "calls NAME COUNT" for each function, "fired 0" or "fired 1"
 *
 * It fails as hard as the specification allows: the call is not passed on; result parameters whose contents are then
 * undefined are filled with POISON, so that using or destroying such a handle crashes; those that have to be NULL are.
 * A lost device is lost for good: every later call on it that may report a loss does, as with a real driver, and the real
 * device is made idle first, since on a lost one nothing runs any more. */
#define _POSIX_C_SOURCE 200809L
#define VK_NO_PROTOTYPES
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

static const uint64_t POISON = UINT64_C(0xfa017fa017fa0170);

/* Functions on a device, a queue or a command buffer; LOSS: may return VK_ERROR_DEVICE_LOST. */
#define DEVICE_CALLS(X)                                                                                                \
    X(AllocateMemory)                                                                                                  \
    X(CreateBuffer)                                                                                                    \
    X(BindBufferMemory)                                                                                                \
    X(MapMemory)                                                                                                       \
    X(CreateShaderModule)                                                                                              \
    X(CreatePipelineLayout)                                                                                            \
    X(CreateComputePipelines)                                                                                          \
    X(CreatePipelineCache)                                                                                             \
    X(GetPipelineCacheData)                                                                                            \
    X(CreateCommandPool)                                                                                               \
    X(ResetCommandPool)                                                                                                \
    X(AllocateCommandBuffers)                                                                                          \
    X(BeginCommandBuffer)                                                                                              \
    X(EndCommandBuffer)                                                                                                \
    X(ResetCommandBuffer)                                                                                              \
    X(CreateSemaphore)                                                                                                 \
    X(CreateFence)                                                                                                     \
    X(CreateQueryPool)                                                                                                 \
    X(GetQueryPoolResults)                                                                                             \
    X(QueueSubmit)                                                                                                     \
    X(WaitSemaphores)                                                                                                  \
    X(GetSemaphoreCounterValue)                                                                                        \
    X(QueueWaitIdle)                                                                                                   \
    X(DeviceWaitIdle)
/* Functions on the instance or a physical device. */
#define INSTANCE_CALLS(X)                                                                                              \
    X(CreateInstance)                                                                                                  \
    X(EnumeratePhysicalDevices)                                                                                        \
    X(EnumerateDeviceExtensionProperties)                                                                              \
    X(CreateDevice)

enum call {
#define ID(name) CALL_##name,
    DEVICE_CALLS(ID) INSTANCE_CALLS(ID)
#undef ID
        CALLS
};

static const char *const names[CALLS] = {
#define NAME(name) "vk" #name,
    DEVICE_CALLS(NAME) INSTANCE_CALLS(NAME)
#undef NAME
};

enum { OBJECTS = 64 };

struct device {
    void *key; /* the loader's dispatch table: a device, its queues and its command buffers share it */
    VkDevice handle;
    bool lost;
    PFN_vkGetDeviceProcAddr get;
    PFN_vkDestroyDevice DestroyDevice;
#define MEMBER(name) PFN_vk##name name;
    DEVICE_CALLS(MEMBER)
#undef MEMBER
};

struct instance {
    void *key;
    PFN_vkGetInstanceProcAddr get;
    PFN_vkDestroyInstance DestroyInstance;
    PFN_vkEnumeratePhysicalDevices EnumeratePhysicalDevices;
    PFN_vkEnumerateDeviceExtensionProperties EnumerateDeviceExtensionProperties;
};

static struct {
    pthread_mutex_t lock;
    bool ready;
    const char *report;
    int call; /* -1: none */
    long index, again;
    VkResult result;
    bool stay, gone, fired;
    long count[CALLS];
    struct device devices[OBJECTS];
    struct instance instances[OBJECTS];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *key_of(const void *handle)
{
    return *(void *const *)handle;
}

/* Call with the lock held. */
static void read_orders(void)
{
    const char *call = getenv("FAULT_CALL"), *index = getenv("FAULT_INDEX"), *result = getenv("FAULT_RESULT"),
               *stay = getenv("FAULT_STAY"), *again = getenv("FAULT_AGAIN"), *gone = getenv("FAULT_GONE");
    if (state.ready)
        return;
    state.ready = true;
    state.call = -1;
    for (int i = 0; call && i < CALLS; i++)
        if (strcmp(call, names[i]) == 0)
            state.call = i;
    if (call && *call && state.call < 0) {
        fprintf(stderr, "fault layer: there is no call '%s'\n", call);
        exit(99);
    }
    state.index = index ? strtol(index, NULL, 10) : -1;
    state.again = again && *again ? strtol(again, NULL, 10) : -1;
    state.result = result ? (VkResult)strtol(result, NULL, 10) : VK_ERROR_UNKNOWN;
    state.gone = gone && *gone == '1';
    state.stay = stay && *stay == '1';
    state.report = getenv("FAULT_REPORT");
}

static void write_report(void)
{
    FILE *file = state.report ? fopen(state.report, "w") : NULL;
    if (!file)
        return;
    for (int i = 0; i < CALLS; i++)
        fprintf(file, "calls %s %ld\n", names[i], state.count[i]);
    fprintf(file, "fired %d\n", state.fired);
    fclose(file);
}

static bool tells_loss(enum call call)
{
    return call == CALL_QueueSubmit || call == CALL_WaitSemaphores || call == CALL_GetSemaphoreCounterValue ||
           call == CALL_QueueWaitIdle || call == CALL_DeviceWaitIdle || call == CALL_GetQueryPoolResults;
}

/* Counts a call; true when it is to fail with *result. */
static bool fails(enum call call, struct device *d, VkResult *result)
{
    pthread_mutex_lock(&state.lock);
    read_orders();
    long k = state.count[call]++;
    bool now = (int)call == state.call && state.index >= 0 && (k == state.index || k == state.again || (state.stay && k > state.index));
    bool lost = d && d->lost && tells_loss(call), gone = state.gone && state.fired && call == CALL_CreateDevice;
    *result = gone ? VK_ERROR_INITIALIZATION_FAILED : lost ? VK_ERROR_DEVICE_LOST : state.result;
    if (now && !lost && !gone) {
        state.fired = true;
        write_report(); /* now, in case the program does not live to its end */
        if (d && state.result == VK_ERROR_DEVICE_LOST) {
            d->lost = true;
            d->DeviceWaitIdle(d->handle);
        }
    }
    pthread_mutex_unlock(&state.lock);
    return now || lost || gone;
}

static struct device *device_of(const void *handle)
{
    void *key = key_of(handle);
    struct device *found = NULL;
    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < OBJECTS && !found; i++)
        if (state.devices[i].key == key)
            found = &state.devices[i];
    pthread_mutex_unlock(&state.lock);
    return found;
}

static struct instance *instance_of(const void *handle)
{
    void *key = key_of(handle);
    struct instance *found = NULL;
    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < OBJECTS && !found; i++)
        if (state.instances[i].key == key)
            found = &state.instances[i];
    pthread_mutex_unlock(&state.lock);
    return found;
}

static void poison(void *out, size_t bytes)
{
    for (size_t i = 0; out && i < bytes; i++)
        ((uint8_t *)out)[i] = ((const uint8_t *)&POISON)[i % sizeof POISON];
}

/* ---- device functions -------------------------------------------------------------------------------------- */

/* `on_failure` sets the result parameters. */
#define WRAP(name, first, params, args, on_failure)                                                                    \
    static VKAPI_ATTR VkResult VKAPI_CALL fault_##name params                                                          \
    {                                                                                                                  \
        struct device *d = device_of(first);                                                                           \
        VkResult r;                                                                                                    \
        if (!fails(CALL_##name, d, &r))                                                                                \
            return d->name args;                                                                                       \
        on_failure;                                                                                                    \
        return r;                                                                                                      \
    }
#define NOTHING (void)0
#define CREATE(name, Info, Handle)                                                                                     \
    WRAP(name, dev, (VkDevice dev, const Info *info, const VkAllocationCallbacks *a, Handle *out), (dev, info, a, out), \
         poison(out, sizeof *out))

CREATE(AllocateMemory, VkMemoryAllocateInfo, VkDeviceMemory)
CREATE(CreateBuffer, VkBufferCreateInfo, VkBuffer)
WRAP(BindBufferMemory, dev, (VkDevice dev, VkBuffer b, VkDeviceMemory m, VkDeviceSize at), (dev, b, m, at), NOTHING)
WRAP(MapMemory, dev,
     (VkDevice dev, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize size, VkMemoryMapFlags flags, void **out),
     (dev, m, at, size, flags, out), poison(out, sizeof *out))
CREATE(CreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule)
CREATE(CreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout)
/* pipelines that could not be made are VK_NULL_HANDLE */
WRAP(CreateComputePipelines, dev,
     (VkDevice dev, VkPipelineCache cache, uint32_t n, const VkComputePipelineCreateInfo *info,
      const VkAllocationCallbacks *a, VkPipeline *out),
     (dev, cache, n, info, a, out), memset(out, 0, n * sizeof *out))
CREATE(CreatePipelineCache, VkPipelineCacheCreateInfo, VkPipelineCache)
WRAP(GetPipelineCacheData, dev, (VkDevice dev, VkPipelineCache cache, size_t *size, void *data),
     (dev, cache, size, data), poison(size, sizeof *size))
CREATE(CreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool)
WRAP(ResetCommandPool, dev, (VkDevice dev, VkCommandPool pool, VkCommandPoolResetFlags flags), (dev, pool, flags), NOTHING)
/* command buffers are all NULL when one of them could not be made */
WRAP(AllocateCommandBuffers, dev, (VkDevice dev, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out),
     (dev, info, out), memset(out, 0, info->commandBufferCount * sizeof *out))
WRAP(BeginCommandBuffer, cmd, (VkCommandBuffer cmd, const VkCommandBufferBeginInfo *info), (cmd, info), NOTHING)
WRAP(EndCommandBuffer, cmd, (VkCommandBuffer cmd), (cmd), NOTHING)
WRAP(ResetCommandBuffer, cmd, (VkCommandBuffer cmd, VkCommandBufferResetFlags flags), (cmd, flags), NOTHING)
CREATE(CreateSemaphore, VkSemaphoreCreateInfo, VkSemaphore)
CREATE(CreateFence, VkFenceCreateInfo, VkFence)
CREATE(CreateQueryPool, VkQueryPoolCreateInfo, VkQueryPool)
WRAP(GetQueryPoolResults, dev,
     (VkDevice dev, VkQueryPool pool, uint32_t first, uint32_t n, size_t size, void *data, VkDeviceSize stride,
      VkQueryResultFlags flags),
     (dev, pool, first, n, size, data, stride, flags), poison(data, size))
WRAP(QueueSubmit, queue, (VkQueue queue, uint32_t n, const VkSubmitInfo *info, VkFence fence), (queue, n, info, fence),
     NOTHING)
WRAP(WaitSemaphores, dev, (VkDevice dev, const VkSemaphoreWaitInfo *info, uint64_t ns), (dev, info, ns), NOTHING)
WRAP(GetSemaphoreCounterValue, dev, (VkDevice dev, VkSemaphore semaphore, uint64_t *value), (dev, semaphore, value),
     poison(value, sizeof *value))
WRAP(QueueWaitIdle, queue, (VkQueue queue), (queue), NOTHING)
WRAP(DeviceWaitIdle, dev, (VkDevice dev), (dev), NOTHING)

static VKAPI_ATTR void VKAPI_CALL fault_DestroyDevice(VkDevice dev, const VkAllocationCallbacks *a)
{
    struct device *d = dev ? device_of(dev) : NULL;
    if (!d)
        return;
    PFN_vkDestroyDevice destroy = d->DestroyDevice;
    pthread_mutex_lock(&state.lock);
    memset(d, 0, sizeof *d);
    pthread_mutex_unlock(&state.lock);
    destroy(dev, a);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice dev, const char *name)
{
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (PFN_vkVoidFunction)get_device;
    if (strcmp(name, "vkDestroyDevice") == 0)
        return (PFN_vkVoidFunction)fault_DestroyDevice;
#define FIND(call)                                                                                                     \
    if (strcmp(name, "vk" #call) == 0)                                                                                 \
        return (PFN_vkVoidFunction)fault_##call;
    DEVICE_CALLS(FIND)
#undef FIND
    struct device *d = device_of(dev);
    return d ? d->get(dev, name) : NULL;
}

/* ---- instance functions ------------------------------------------------------------------------------------ */

static VKAPI_ATTR VkResult VKAPI_CALL fault_CreateInstance(const VkInstanceCreateInfo *info,
                                                           const VkAllocationCallbacks *a, VkInstance *out)
{
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)(uintptr_t)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO))
        link = (VkLayerInstanceCreateInfo *)(uintptr_t)link->pNext;
    VkResult r;
    if (fails(CALL_CreateInstance, NULL, &r) || !link)
        return link ? r : VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)get(VK_NULL_HANDLE, "vkCreateInstance");
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    r = create(info, a, out);
    if (r != VK_SUCCESS)
        return r;
    pthread_mutex_lock(&state.lock);
    int i = 0;
    while (i < OBJECTS - 1 && state.instances[i].key)
        i++;
    state.instances[i] = (struct instance){
        .key = key_of(*out),
        .get = get,
        .DestroyInstance = (PFN_vkDestroyInstance)get(*out, "vkDestroyInstance"),
        .EnumeratePhysicalDevices = (PFN_vkEnumeratePhysicalDevices)get(*out, "vkEnumeratePhysicalDevices"),
        .EnumerateDeviceExtensionProperties =
            (PFN_vkEnumerateDeviceExtensionProperties)get(*out, "vkEnumerateDeviceExtensionProperties"),
    };
    pthread_mutex_unlock(&state.lock);
    return r;
}

static VKAPI_ATTR void VKAPI_CALL fault_DestroyInstance(VkInstance handle, const VkAllocationCallbacks *a)
{
    struct instance *in = handle ? instance_of(handle) : NULL;
    if (!in)
        return;
    PFN_vkDestroyInstance destroy = in->DestroyInstance;
    pthread_mutex_lock(&state.lock);
    memset(in, 0, sizeof *in);
    write_report();
    pthread_mutex_unlock(&state.lock);
    destroy(handle, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL fault_EnumeratePhysicalDevices(VkInstance handle, uint32_t *n, VkPhysicalDevice *out)
{
    VkResult r;
    if (!fails(CALL_EnumeratePhysicalDevices, NULL, &r))
        return instance_of(handle)->EnumeratePhysicalDevices(handle, n, out);
    poison(n, sizeof *n);
    return r;
}

static VKAPI_ATTR VkResult VKAPI_CALL fault_EnumerateDeviceExtensionProperties(VkPhysicalDevice handle, const char *layer,
                                                                               uint32_t *n, VkExtensionProperties *out)
{
    VkResult r;
    if (!fails(CALL_EnumerateDeviceExtensionProperties, NULL, &r))
        return instance_of(handle)->EnumerateDeviceExtensionProperties(handle, layer, n, out);
    poison(n, sizeof *n);
    return r;
}

static VKAPI_ATTR VkResult VKAPI_CALL fault_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                         const VkAllocationCallbacks *a, VkDevice *out)
{
    VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)(uintptr_t)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO))
        link = (VkLayerDeviceCreateInfo *)(uintptr_t)link->pNext;
    VkResult r;
    if (fails(CALL_CreateDevice, NULL, &r) || !link) {
        poison(out, sizeof *out);
        return link ? r : VK_ERROR_INITIALIZATION_FAILED;
    }
    PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    PFN_vkGetDeviceProcAddr get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    r = ((PFN_vkCreateDevice)next(VK_NULL_HANDLE, "vkCreateDevice"))(physical, info, a, out);
    if (r != VK_SUCCESS)
        return r;
    pthread_mutex_lock(&state.lock);
    int i = 0;
    while (i < OBJECTS - 1 && state.devices[i].key)
        i++;
    struct device *d = &state.devices[i];
    *d = (struct device){.key = key_of(*out), .handle = *out, .get = get};
    d->DestroyDevice = (PFN_vkDestroyDevice)get(*out, "vkDestroyDevice");
#define LOAD(name) d->name = (PFN_vk##name)get(*out, "vk" #name);
    DEVICE_CALLS(LOAD)
#undef LOAD
    pthread_mutex_unlock(&state.lock);
    return r;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance handle, const char *name)
{
#define FIND(call)                                                                                                     \
    if (strcmp(name, "vk" #call) == 0)                                                                                 \
        return (PFN_vkVoidFunction)fault_##call;
    INSTANCE_CALLS(FIND)
    FIND(DestroyInstance)
    FIND(DestroyDevice)
    DEVICE_CALLS(FIND)
#undef FIND
    if (strcmp(name, "vkGetInstanceProcAddr") == 0)
        return (PFN_vkVoidFunction)get_instance;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (PFN_vkVoidFunction)get_device;
    struct instance *in = handle ? instance_of(handle) : NULL;
    return in ? in->get(handle, name) : NULL;
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version)
{
    if (version->loaderLayerInterfaceVersion > 2)
        version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = get_instance;
    version->pfnGetDeviceProcAddr = get_device;
    version->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
