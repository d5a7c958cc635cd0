/* pipeline.c - pipelines by key: an open-addressing table of what was made, and how one is made. */
#include "gpu/gpu_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "shaders/shaders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static uint64_t hash_key(const vka_pipeline_key *key)
{
    const uint8_t *p = (const uint8_t *)key;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof *key; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static size_t find_slot(vka_pipeline *const *table, size_t size, const vka_pipeline_key *key)
{
    size_t i = (size_t)hash_key(key) & (size - 1);
    while (table[i] && memcmp(&table[i]->key, key, sizeof *key) != 0)
        i = (i + 1) & (size - 1);
    return i;
}

static bool grow_table(vka_gpu *gpu)
{
    if (gpu->table && (size_t)gpu->pipelines * 2 < gpu->table_size)
        return true;
    size_t size = gpu->table_size ? gpu->table_size * 2 : 64;
    vka_pipeline **table = vka_calloc(size, sizeof(vka_pipeline *));
    if (!table)
        return false;
    for (size_t i = 0; i < gpu->table_size; i++)
        if (gpu->table[i])
            table[find_slot(table, size, &gpu->table[i]->key)] = gpu->table[i];
    free(gpu->table);
    gpu->table = table;
    gpu->table_size = size;
    return true;
}

static vka_status check_key(const vka_gpu *gpu, const vka_pipeline_key *key, vka_error *err)
{
    const vka_gpu_info *info = &gpu->physical.info;
    if (key->shader >= VKA_SHADER_COUNT || key->count > VKA_MAX_CONSTANTS)
        return vka_fail(err, VKA_E_INTERNAL, "a pipeline key names shader %u with %u constants", key->shader,
                        key->count);
    if (!vka_shader_built(key->shader))
        return vka_fail(err, VKA_E_DEVICE, "this build does not have the kernel '%s'", vka_shaders[key->shader].name);
    uint32_t n = key->subgroup_size;
    bool fits = !n || (info->subgroup_control ? n >= info->subgroup_min && n <= info->subgroup_max && !(n & (n - 1))
                                              : n == info->subgroup_size);
    if (!fits)
        return vka_fail(err, VKA_E_DEVICE, "the kernel '%s' needs subgroups of %u, and '%.200s' offers %u to %u",
                        vka_shaders[key->shader].name, n, info->name, info->subgroup_min, info->subgroup_max);
    return VKA_OK;
}

static vka_status make(vka_gpu *gpu, vka_pipeline *p, vka_error *err)
{
    const vka_pipeline_key *key = &p->key;
    const struct vka_shader *shader = &vka_shaders[key->shader];
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = *shader->bytes, .pCode = shader->words};
    VkShaderModule module = VK_NULL_HANDLE;
    vka_status s =
        VKA_CHECK(gpu, gpu->vk.vkCreateShaderModule(gpu->device, &code, NULL, &module), "load a shader", err);
    if (s != VKA_OK)
        return s;
    VkSpecializationMapEntry entries[VKA_MAX_CONSTANTS];
    for (uint32_t i = 0; i < key->count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    VkSpecializationInfo constants = {.mapEntryCount = key->count,
                                      .pMapEntries = entries,
                                      .dataSize = 4 * (size_t)key->count,
                                      .pData = key->constants};
    bool pinned = key->subgroup_size && gpu->physical.info.subgroup_control;
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = key->subgroup_size,
    };
    bool full = pinned && key->full_subgroups && gpu->physical.full_subgroups;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT |
                 (gpu->statistics ? (VkPipelineCreateFlags)VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0),
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = pinned ? &size : NULL,
                  .flags = full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = key->count ? &constants : NULL},
        .layout = gpu->layout,
    };
    double start = vka_now();
    VkResult r = gpu->vk.vkCreateComputePipelines(gpu->device, gpu->cache, 1, &info, NULL, &p->handle);
    gpu->vk.vkDestroyShaderModule(gpu->device, module, NULL);
    if (r != VK_SUCCESS) {
        p->handle = VK_NULL_HANDLE;
        char what[96];
        snprintf(what, sizeof what, "compile the kernel '%.64s'", shader->name);
        return VKA_CHECK(gpu, r < VK_SUCCESS ? r : VK_ERROR_UNKNOWN, what, err);
    }
    p->name = shader->name;
    vka_logf(&gpu->log, VKA_LOG_DEBUG, "pipeline %u: %s, %.0f ms", gpu->pipelines, shader->name,
             1e3 * (vka_now() - start));
    if (gpu->instance.vk.SetDebugUtilsObjectNameEXT) {
        VkDebugUtilsObjectNameInfoEXT name = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                              .objectType = VK_OBJECT_TYPE_PIPELINE,
                                              .objectHandle = (uint64_t)(uintptr_t)p->handle,
                                              .pObjectName = shader->name};
        gpu->instance.vk.SetDebugUtilsObjectNameEXT(gpu->device, &name);
    }
    return VKA_OK;
}

vka_status vka_gpu_pipeline(vka_gpu *gpu, const vka_pipeline_key *key, vka_pipeline **out, vka_error *err)
{
    *out = NULL;
    vka_status s = vka_gpu_alive(gpu, err);
    if (s == VKA_OK)
        s = check_key(gpu, key, err);
    if (s != VKA_OK)
        return s;
    if (!grow_table(gpu))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    size_t slot = find_slot(gpu->table, gpu->table_size, key);
    if (!gpu->table[slot]) {
        vka_pipeline *p = vka_calloc(1, sizeof *p);
        if (!p)
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        p->key = *key;
        s = make(gpu, p, err);
        if (s != VKA_OK) {
            free(p);
            return s;
        }
        gpu->table[slot] = p;
        gpu->pipelines++;
        gpu->cache_dirty = true;
    }
    *out = gpu->table[slot];
    return VKA_OK;
}

enum { MOST_EXECUTABLES = 4, MOST_FIGURES = 64 };

static double figure(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return s->value.b32 ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)s->value.u64;
    default:
        return s->value.f64;
    }
}

uint32_t vka_pipeline_statistics(vka_gpu *gpu, const vka_pipeline *pipeline,
                                 void (*visit)(void *user, uint32_t executable, const char *name, double value),
                                 void *user)
{
    VkPipelineInfoKHR of = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline->handle};
    VkPipelineExecutablePropertiesKHR all[MOST_EXECUTABLES] = {{0}};
    VkPipelineExecutableStatisticKHR figures[MOST_FIGURES];
    uint32_t count = MOST_EXECUTABLES;
    for (uint32_t i = 0; i < MOST_EXECUTABLES; i++)
        all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
    if (!gpu->statistics || atomic_load(&gpu->lost) ||
        gpu->vk.vkGetPipelineExecutablePropertiesKHR(gpu->device, &of, &count, all) < VK_SUCCESS)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        VkPipelineExecutableInfoKHR which = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline->handle, .executableIndex = i};
        uint32_t n = MOST_FIGURES;
        memset(figures, 0, sizeof figures);
        for (uint32_t k = 0; k < MOST_FIGURES; k++)
            figures[k].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
        visit(user, i, "Subgroup size", all[i].subgroupSize);
        if (gpu->vk.vkGetPipelineExecutableStatisticsKHR(gpu->device, &which, &n, figures) < VK_SUCCESS)
            continue;
        for (uint32_t k = 0; k < n; k++)
            visit(user, i, figures[k].name, figure(&figures[k]));
    }
    return count;
}

uint32_t vka_gpu_pipeline_count(const vka_gpu *gpu)
{
    return gpu->pipelines;
}

void vka_pipelines_free(vka_gpu *gpu)
{
    for (size_t i = 0; i < gpu->table_size; i++) {
        if (gpu->table[i] && !gpu->abandoned)
            gpu->vk.vkDestroyPipeline(gpu->device, gpu->table[i]->handle, NULL);
        free(gpu->table[i]);
    }
    free(gpu->table);
    gpu->table = NULL;
    gpu->table_size = 0;
}
