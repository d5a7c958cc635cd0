/* two_families.c - a Vulkan driver in front of lavapipe that reports a second queue family, which only copies, so that
 * the validation layers watch what vkanim does on devices that have such a family.  Both queues are lavapipe's one.
 *
 * A driver for the loader like any other (VK_DRIVER_FILES names its manifest): every call goes to lavapipe's library, but
 * those that tell of queue families or take a queue.  $VKA_UNDER names another library than libvulkan_lvp.so. */
#include <vulkan/vk_icd.h>
#include <vulkan/vulkan.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 1 /* the family that is not there */, DEVICES = 64 };

/* The second queue; begins with what the loader writes into every such object. */
static struct fake {
    VK_LOADER_DATA loader;
    VkDevice device;
    VkQueue real;
} fakes[DEVICES];

static PFN_vkGetInstanceProcAddr under;
static PFN_vkGetDeviceProcAddr under_device;
static PFN_vkGetPhysicalDeviceQueueFamilyProperties real_families;
static PFN_vkGetPhysicalDeviceQueueFamilyProperties2 real_families2;
static PFN_vkCreateDevice real_create_device;
static PFN_vkDestroyDevice real_destroy_device;
static PFN_vkGetDeviceQueue real_get_queue;
static PFN_vkCreateCommandPool real_create_pool;
static PFN_vkQueueSubmit real_submit;
static PFN_vkQueueWaitIdle real_wait_idle;

static const VkQueueFamilyProperties copies = {.queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1, .timestampValidBits = 64,
                                               .minImageTransferGranularity = {1, 1, 1}};

static VKAPI_ATTR void VKAPI_CALL families(VkPhysicalDevice p, uint32_t *count, VkQueueFamilyProperties *f)
{
    if (!f) {
        real_families(p, count, NULL);
        ++*count;
        return;
    }
    uint32_t room = *count, n = room < COPIES ? room : COPIES;
    real_families(p, &n, f);
    if (n == COPIES && room > n)
        f[n++] = copies;
    *count = n;
}

static VKAPI_ATTR void VKAPI_CALL families2(VkPhysicalDevice p, uint32_t *count, VkQueueFamilyProperties2 *f)
{
    if (!f) {
        real_families2(p, count, NULL);
        ++*count;
        return;
    }
    uint32_t room = *count, n = room < COPIES ? room : COPIES;
    real_families2(p, &n, f);
    if (n == COPIES && room > n)
        f[n++].queueFamilyProperties = copies;
    *count = n;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice p, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *a, VkDevice *device)
{
    VkDeviceCreateInfo less = *info;
    VkDeviceQueueCreateInfo queues[COPIES + 1];
    less.queueCreateInfoCount = 0;
    less.pQueueCreateInfos = queues;
    for (uint32_t i = 0; i < info->queueCreateInfoCount; i++)
        if (info->pQueueCreateInfos[i].queueFamilyIndex < COPIES)
            queues[less.queueCreateInfoCount++] = info->pQueueCreateInfos[i];
    return real_create_device(p, &less, a, device);
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice device, const VkAllocationCallbacks *a)
{
    for (int i = 0; i < DEVICES; i++)
        if (fakes[i].device == device)
            fakes[i].device = VK_NULL_HANDLE;
    real_destroy_device(device, a);
}

static VKAPI_ATTR void VKAPI_CALL get_queue(VkDevice device, uint32_t family, uint32_t index, VkQueue *queue)
{
    real_get_queue(device, family < COPIES ? family : 0, index, queue);
    if (family < COPIES)
        return;
    int at = -1;
    for (int i = 0; i < DEVICES; i++)
        at = fakes[i].device == device || (at < 0 && !fakes[i].device) ? i : at;
    if (at < 0)
        abort();
    if (!fakes[at].device)
        fakes[at] = (struct fake){.device = device, .real = *queue};
    set_loader_magic_value(&fakes[at]);
    *queue = (VkQueue)&fakes[at];
}

static VkQueue real_queue(VkQueue queue)
{
    for (int i = 0; i < DEVICES; i++)
        if (queue == (VkQueue)&fakes[i])
            return fakes[i].real;
    return queue;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pool(VkDevice device, const VkCommandPoolCreateInfo *info,
                                                  const VkAllocationCallbacks *a, VkCommandPool *pool)
{
    VkCommandPoolCreateInfo other = *info;
    if (other.queueFamilyIndex >= COPIES)
        other.queueFamilyIndex = 0;
    return real_create_pool(device, &other, a, pool);
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t n, const VkSubmitInfo *info, VkFence fence)
{
    return real_submit(real_queue(queue), n, info, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_idle(VkQueue queue) { return real_wait_idle(real_queue(queue)); }

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice device, const char *name);

/* Ours for `name`, with the real one kept; NULL where lavapipe's own will do. */
static PFN_vkVoidFunction ours(const char *name, PFN_vkVoidFunction real)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
        PFN_vkVoidFunction *real;
    } all[] = {
#define OURS(n, f, r) {n, (PFN_vkVoidFunction)(f), (PFN_vkVoidFunction *)&(r)}
        OURS("vkGetPhysicalDeviceQueueFamilyProperties", families, real_families),
        OURS("vkGetPhysicalDeviceQueueFamilyProperties2", families2, real_families2),
        OURS("vkGetPhysicalDeviceQueueFamilyProperties2KHR", families2, real_families2),
        OURS("vkCreateDevice", create_device, real_create_device),
        OURS("vkDestroyDevice", destroy_device, real_destroy_device),
        OURS("vkGetDeviceQueue", get_queue, real_get_queue),
        OURS("vkCreateCommandPool", create_pool, real_create_pool),
        OURS("vkQueueSubmit", submit, real_submit),
        OURS("vkQueueWaitIdle", wait_idle, real_wait_idle),
        OURS("vkGetDeviceProcAddr", device_proc, under_device),
#undef OURS
    };
    for (size_t i = 0; real && i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i].name) == 0) {
            *all[i].real = real;
            return all[i].function;
        }
    return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice device, const char *name)
{
    PFN_vkVoidFunction real = under_device(device, name), own = ours(name, real);
    return own ? own : real;
}

static void *library(void)
{
    static void *handle;
    const char *name = getenv("VKA_UNDER");
    if (!handle)
        handle = dlopen(name ? name : "libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
    return handle;
}

static void *symbol(const char *name)
{
    return library() ? dlsym(library(), name) : NULL;
}

VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance, const char *name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance instance, const char *name);

VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
    PFN_vkNegotiateLoaderICDInterfaceVersion real;
    *(void **)&real = symbol("vk_icdNegotiateLoaderICDInterfaceVersion");
    *(void **)&under = symbol("vk_icdGetInstanceProcAddr");
    if (!real || !under)
        return VK_ERROR_INCOMPATIBLE_DRIVER;
    if (*version > 5) /* later ones ask for more entry points */
        *version = 5;
    return real(version);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction real = under ? under(instance, name) : NULL, own = ours(name, real);
    return own ? own : real;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction (*VKAPI_PTR real)(VkInstance, const char *);
    *(void **)&real = symbol("vk_icdGetPhysicalDeviceProcAddr");
    PFN_vkVoidFunction found = real ? real(instance, name) : NULL, own = ours(name, found);
    return own ? own : found;
}
