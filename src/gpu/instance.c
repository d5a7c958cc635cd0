/* instance.c - the Vulkan instance: version 1.2 at least, validation where it is asked for and
 * installed, and a messenger that counts what the layers say and passes it to the log as errors.
 *
 * Only messages of type VALIDATION count: the loader's own chatter about drivers of other
 * architectures is not vkanim's fault. */
#include "gpu/gpu_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    struct vka_instance *in = user;
    (void)severity;
    (void)types;
    atomic_fetch_add(&in->messages, 1);
    vka_logf(&in->log, VKA_LOG_ERROR, "validation: %s", data->pMessage ? data->pMessage : "(no text)");
    return VK_FALSE; /* the call goes on */
}

static bool has_layer(const char *name)
{
    uint32_t n = 0;
    bool found = false;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || !n)
        return false;
    VkLayerProperties *layers = vka_calloc(n, sizeof *layers);
    if (layers && vkEnumerateInstanceLayerProperties(&n, layers) >= VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found |= strcmp(layers[i].layerName, name) == 0;
    free(layers);
    return found;
}

static bool has_extension(const char *layer, const char *name)
{
    uint32_t n = 0;
    bool found = false;
    if (vkEnumerateInstanceExtensionProperties(layer, &n, NULL) != VK_SUCCESS || !n)
        return false;
    VkExtensionProperties *exts = vka_calloc(n, sizeof *exts);
    if (exts && vkEnumerateInstanceExtensionProperties(layer, &n, exts) >= VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found |= strcmp(exts[i].extensionName, name) == 0;
    free(exts);
    return found;
}

static void load_table(struct vka_instance *in)
{
#define LOAD(name) in->vk.name = (PFN_vk##name)vkGetInstanceProcAddr(in->handle, "vk" #name)
    LOAD(DestroyInstance);
    LOAD(EnumeratePhysicalDevices);
    LOAD(EnumerateDeviceExtensionProperties);
    LOAD(GetPhysicalDeviceProperties);
    LOAD(GetPhysicalDeviceProperties2);
    LOAD(GetPhysicalDeviceFeatures2);
    LOAD(GetPhysicalDeviceMemoryProperties2);
    LOAD(GetPhysicalDeviceQueueFamilyProperties);
    LOAD(CreateDevice);
    LOAD(GetPhysicalDeviceCooperativeMatrixPropertiesKHR);
    LOAD(GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV);
    if (in->debug_utils) {
        LOAD(CreateDebugUtilsMessengerEXT);
        LOAD(DestroyDebugUtilsMessengerEXT);
        LOAD(CmdBeginDebugUtilsLabelEXT);
        LOAD(CmdEndDebugUtilsLabelEXT);
        LOAD(SetDebugUtilsObjectNameEXT);
    }
#undef LOAD
}

vka_status vka_instance_open(struct vka_instance *in, bool validation, const vka_log *log, vka_error *err)
{
    memset(in, 0, sizeof *in);
    if (log)
        in->log = *log;
    if (!vka_loader_open()) {
        vka_fail(err, VKA_E_DEVICE, "there is no Vulkan on this machine");
        vka_error_why(err, "the Vulkan loader (libvulkan.so.1) is not installed");
        vka_error_hint(err, "install the loader and a driver: libvulkan1 and mesa-vulkan-drivers on Debian and Ubuntu, "
                            "vulkan-loader on Fedora, vulkan-icd-loader on Arch");
        return VKA_E_DEVICE;
    }
    uint32_t loader = volkGetInstanceVersion();
    if (loader < VK_API_VERSION_1_2) {
        vka_fail(err, VKA_E_DEVICE, "the Vulkan loader is too old");
        vka_error_why(err, "it speaks version %u.%u, and vkanim needs 1.2", VK_API_VERSION_MAJOR(loader),
                      VK_API_VERSION_MINOR(loader));
        vka_error_hint(err, "update libvulkan1");
        return VKA_E_DEVICE;
    }
    in->api = loader < VK_API_VERSION_1_3 ? VK_API_VERSION_1_2 : VK_API_VERSION_1_3;

    const char *layers[1] = {VALIDATION_LAYER}, *extensions[2];
    uint32_t layer_count = 0, extension_count = 0;
    bool synchronisation = false;
    if (validation && !has_layer(VALIDATION_LAYER)) {
        vka_logf(log, VKA_LOG_WARN, "validation was asked for, but %s is not installed", VALIDATION_LAYER);
        validation = false;
    }
    if (validation) {
        layer_count = 1;
        if (has_extension(NULL, VK_EXT_DEBUG_UTILS_EXTENSION_NAME) ||
            has_extension(VALIDATION_LAYER, VK_EXT_DEBUG_UTILS_EXTENSION_NAME)) {
            extensions[extension_count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
            in->debug_utils = true;
        }
        if (has_extension(VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME)) {
            extensions[extension_count++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
            synchronisation = true;
        }
    }
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = in,
    };
    VkValidationFeatureEnableEXT enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = in->debug_utils ? &messenger : NULL, /* covers instance creation and destruction too */
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = &enable,
    };
    VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "vkanim",
        .pEngineName = "vkanim",
        .apiVersion = in->api,
    };
    VkInstanceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = synchronisation   ? (const void *)&features
                 : in->debug_utils ? (const void *)&messenger
                                   : NULL,
        .pApplicationInfo = &app,
        .enabledLayerCount = layer_count,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = extension_count,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult r = vkCreateInstance(&create, NULL, &in->handle);
    if (r != VK_SUCCESS) {
        in->handle = VK_NULL_HANDLE;
        if (r == VK_ERROR_OUT_OF_HOST_MEMORY)
            return vka_fail(err, VKA_E_MEMORY, "out of memory starting Vulkan");
        if (r != VK_ERROR_INCOMPATIBLE_DRIVER) {
            vka_fail(err, VKA_E_DEVICE, "Vulkan could not be started");
            vka_error_why(err, "making an instance failed with %s", vka_result_name(r));
            vka_error_hint(err, "'vulkaninfo --summary' may say more; check VK_INSTANCE_LAYERS if you set it");
            return VKA_E_DEVICE;
        }
        vka_fail(err, VKA_E_DEVICE, "no Vulkan driver was found");
        vka_error_why(err, "the loader is installed, but there is no driver for it to load");
        vka_error_hint(err,
                       "install the driver of your GPU, or mesa-vulkan-drivers (AMD, Intel and a software device); "
                       "check VK_DRIVER_FILES if you set it");
        return VKA_E_DEVICE;
    }
    load_table(in);
    if (in->debug_utils && in->vk.CreateDebugUtilsMessengerEXT &&
        in->vk.CreateDebugUtilsMessengerEXT(in->handle, &messenger, NULL, &in->messenger) != VK_SUCCESS)
        in->messenger = VK_NULL_HANDLE;
    return VKA_OK;
}

void vka_instance_close(struct vka_instance *in)
{
    if (!in->handle)
        return;
    if (in->messenger)
        in->vk.DestroyDebugUtilsMessengerEXT(in->handle, in->messenger, NULL);
    in->vk.DestroyInstance(in->handle, NULL);
    in->handle = VK_NULL_HANDLE;
}
