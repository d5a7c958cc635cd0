/* volk.c - the one translation unit that holds volk (the loader of Vulkan's entry points).
 *
 * Its symbols stay hidden (the build's visibility preset), so that two libraries with volk inside one
 * process do not share pointers.  volk keeps its pointers in globals of its own; vkanim reads from them only the loader's four entry
 * points, which are set once.  Instance functions are kept per instance (struct vka_instance_table),
 * device functions per device (VolkDeviceTable); filling the latter goes through volk's globals and
 * is therefore done under a lock. */
#define VK_NO_PROTOTYPES
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include "gpu/gpu_internal.h"

#include <threads.h>

static once_flag once = ONCE_FLAG_INIT;
static mtx_t lock;
static bool ready;

static void open_loader(void)
{
    ready = mtx_init(&lock, mtx_plain) == thrd_success && volkInitialize() == VK_SUCCESS;
}

bool vka_loader_open(void)
{
    call_once(&once, open_loader);
    return ready;
}

void vka_loader_device_table(VkInstance instance, VkDevice device, struct VolkDeviceTable *table)
{
    mtx_lock(&lock);
    volkLoadInstanceOnly(instance);
    volkLoadDeviceTable(table, device);
    mtx_unlock(&lock);
}
