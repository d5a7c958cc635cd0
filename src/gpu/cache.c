/* cache.c - the driver's pipeline cache on disk.
 *
 * One file per device and driver: a header of our own, then the driver's bytes.  Drivers check their
 * own header, but not for damage, and some crash on it; so the bytes reach the driver only when
 * identity, length and SHA-256 agree.  Anything else is an empty cache, never an error: the worst
 * case is compiling again. */
#include "gpu/gpu_internal.h"

#include "base/file.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
    char magic[8];
    uint32_t version;
    uint32_t pointer_bytes;
    uint32_t vendor, device, driver_version, api_version;
    uint8_t cache_uuid[16], driver_uuid[16];
    uint64_t data_bytes;
    char sha256[64]; /* of the data, lower-case hex */
};
static_assert(sizeof(struct header) == 136, "no padding, so that a header can be compared as bytes");

enum { CACHE_VERSION = 1 };
static const size_t DATA_LIMIT = (size_t)512 * 1024 * 1024;

static void hash_hex(const void *data, size_t size, char out[64])
{
    char hex[65];
    vka_sha256 h;
    vka_sha256_init(&h);
    vka_sha256_add(&h, data, size);
    vka_sha256_hex(&h, hex);
    memcpy(out, hex, 64);
}

/* The header that belongs to this device and these bytes. */
static struct header make_header(const vka_gpu *gpu, const void *data, size_t size)
{
    const vka_gpu_info *info = &gpu->physical.info;
    struct header h;
    memset(&h, 0, sizeof h);
    memcpy(h.magic, "VKAPIPE", 8);
    h.version = CACHE_VERSION;
    h.pointer_bytes = sizeof(void *);
    h.vendor = info->vendor;
    h.device = info->device;
    h.driver_version = info->driver_version;
    h.api_version = info->api_version;
    memcpy(h.cache_uuid, gpu->physical.cache_uuid, sizeof h.cache_uuid);
    memcpy(h.driver_uuid, info->driver_uuid, sizeof h.driver_uuid);
    h.data_bytes = size;
    hash_hex(data, size, h.sha256);
    return h;
}

/* Names the file after the device's identity, so that two devices or drivers do not fight over one. */
static char *cache_path(const vka_gpu *gpu, const char *dir)
{
    const vka_gpu_info *info = &gpu->physical.info;
    char id[64], name[96];
    struct {
        uint8_t cache_uuid[16], driver_uuid[16];
    } identity;
    memcpy(identity.cache_uuid, gpu->physical.cache_uuid, sizeof identity.cache_uuid);
    memcpy(identity.driver_uuid, info->driver_uuid, sizeof identity.driver_uuid);
    hash_hex(&identity, sizeof identity, id);
    snprintf(name, sizeof name, "pipelines-%04x-%04x-%08x-%.16s.bin", info->vendor & 0xffffu, info->device & 0xffffu,
             info->driver_version, id);
    return vka_path_join(dir, name);
}

static VkResult create(vka_gpu *gpu, const void *data, size_t size)
{
    VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = data};
    VkResult r = gpu->vk.vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->cache);
    if (r != VK_SUCCESS)
        gpu->cache = VK_NULL_HANDLE;
    return r;
}

vka_status vka_cache_open(vka_gpu *gpu, const char *dir, vka_error *err)
{
    char *data = NULL;
    size_t size = 0;
    bool loaded = false;
    if (dir && vka_make_dirs(dir, NULL) != VKA_OK)
        vka_logf(&gpu->log, VKA_LOG_WARN, "the cache folder '%s' cannot be made; pipelines are not kept", dir);
    else if (dir)
        gpu->cache_path = cache_path(gpu, dir);
    if (gpu->cache_path && vka_path_exists(gpu->cache_path) &&
        vka_read_file(gpu->cache_path, DATA_LIMIT, &data, &size, NULL) == VKA_OK) {
        bool good = false;
        if (size >= sizeof(struct header)) {
            const char *bytes = data + sizeof(struct header);
            struct header want = make_header(gpu, bytes, size - sizeof(struct header));
            good = memcmp(data, &want, sizeof want) == 0;
            loaded = good && create(gpu, bytes, size - sizeof want) == VK_SUCCESS;
            if (loaded)
                memcpy(gpu->cache_sha256, want.sha256, sizeof want.sha256);
        }
        if (loaded)
            vka_logf(&gpu->log, VKA_LOG_DEBUG, "pipeline cache: %zu bytes from '%s'", size, gpu->cache_path);
        else
            vka_logf(&gpu->log, VKA_LOG_INFO, "the pipeline cache '%s' is damaged or another driver's; it is made anew",
                     gpu->cache_path);
    }
    free(data);
    gpu->cache_loaded = loaded;
    gpu->cache_dirty = false;
    return loaded ? VKA_OK : VKA_CHECK(gpu, create(gpu, NULL, 0), "make a pipeline cache", err);
}

void vka_gpu_save_cache(vka_gpu *gpu)
{
    size_t size = 0;
    if (!gpu->cache || !gpu->cache_path || !gpu->cache_dirty || vka_gpu_is_lost(gpu) ||
        gpu->vk.vkGetPipelineCacheData(gpu->device, gpu->cache, &size, NULL) != VK_SUCCESS ||
        size > DATA_LIMIT - sizeof(struct header))
        return;
    char *file = malloc(sizeof(struct header) + size);
    if (!file)
        return;
    if (gpu->vk.vkGetPipelineCacheData(gpu->device, gpu->cache, &size, file + sizeof(struct header)) == VK_SUCCESS) {
        struct header h = make_header(gpu, file + sizeof h, size);
        memcpy(file, &h, sizeof h);
        vka_error why = {0};
        if (memcmp(gpu->cache_sha256, h.sha256, sizeof h.sha256) == 0) /* everything came from the file */
            gpu->cache_dirty = false;
        else if (vka_write_file(gpu->cache_path, file, sizeof h + size, &why) != VKA_OK)
            vka_logf(&gpu->log, VKA_LOG_WARN, "the pipeline cache is not kept: %s: %s", why.what, why.why);
        else {
            memcpy(gpu->cache_sha256, h.sha256, sizeof h.sha256);
            gpu->cache_dirty = false;
        }
    }
    free(file);
}

void vka_cache_close(vka_gpu *gpu)
{
    vka_gpu_save_cache(gpu);
    if (gpu->cache && !gpu->abandoned)
        gpu->vk.vkDestroyPipelineCache(gpu->device, gpu->cache, NULL);
    gpu->cache = VK_NULL_HANDLE;
    free(gpu->cache_path);
    gpu->cache_path = NULL;
}
