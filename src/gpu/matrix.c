/* matrix.c - cooperative matrices: what a driver offers, and whether matrix units are behind it.
 *
 * Only fp16 x fp16 -> fp32 counts.  Two drivers' families offer the extension without having the units, and are then far slower
 * than the plain kernels: the allow-list keeps those from being chosen unasked.  --path takes whatever is offered. */
#include "gpu/gpu_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { AMD = 0x1002, NVIDIA = 0x10de, INTEL = 0x8086 };

void *vka_matrix_chain(struct vka_matrix_features *f, bool khr, bool nv2)
{
    *f = (struct vka_matrix_features){
        .khr = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR},
        .nv2 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV},
    };
    f->khr.pNext = khr && nv2 ? &f->nv2 : NULL;
    return khr ? &f->khr : NULL;
}

static bool half_to_float(VkComponentTypeKHR a, VkComponentTypeKHR b, VkComponentTypeKHR c, VkComponentTypeKHR result)
{
    return a == VK_COMPONENT_TYPE_FLOAT16_KHR && b == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           c == VK_COMPONENT_TYPE_FLOAT32_KHR && result == VK_COMPONENT_TYPE_FLOAT32_KHR;
}

static void add_shape(vka_gpu_info *info, uint32_t m, uint32_t n, uint32_t k)
{
    for (uint32_t i = 0; i < info->matrix_count; i++)
        if (info->matrix[i].m == m && info->matrix[i].n == n && info->matrix[i].k == k)
            return;
    if (info->matrix_count < VKA_MATRIX_SHAPES && m && n && k && m <= 64 && n <= 64 && k <= 64) {
        info->matrix[info->matrix_count].m = m;
        info->matrix[info->matrix_count].n = n;
        info->matrix[info->matrix_count++].k = k;
    }
}

static void list_fragments(const struct vka_instance *in, struct vka_physical *p)
{
    uint32_t n = 0;
    if (!in->vk.GetPhysicalDeviceCooperativeMatrixPropertiesKHR ||
        in->vk.GetPhysicalDeviceCooperativeMatrixPropertiesKHR(p->handle, &n, NULL) < VK_SUCCESS)
        return;
    VkCooperativeMatrixPropertiesKHR *all = vka_calloc(n, sizeof *all);
    for (uint32_t i = 0; all && i < n; i++)
        all[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (all && n && in->vk.GetPhysicalDeviceCooperativeMatrixPropertiesKHR(p->handle, &n, all) >= VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            if (half_to_float(all[i].AType, all[i].BType, all[i].CType, all[i].ResultType) &&
                !all[i].saturatingAccumulation && all[i].scope == VK_SCOPE_SUBGROUP_KHR)
                add_shape(&p->info, all[i].MSize, all[i].NSize, all[i].KSize);
    free(all);
}

/* Workgroup scope goes into info.matrix2; flexible fragments of a subgroup add 16 x 16 x 16 to the list. */
static void list_flexible(const struct vka_instance *in, struct vka_physical *p)
{
    struct vka_matrix2 *m = &p->info.matrix2;
    uint32_t n = 0;
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV limits = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &limits};
    in->vk.GetPhysicalDeviceProperties2(p->handle, &props);
    m->max_dimension = limits.cooperativeMatrixFlexibleDimensionsMaxDimension;
    m->reserved_shared = limits.cooperativeMatrixWorkgroupScopeReservedSharedMemory;
    if (!in->vk.GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV ||
        in->vk.GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV(p->handle, &n, NULL) < VK_SUCCESS)
        return;
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV *all = vka_calloc(n, sizeof *all);
    for (uint32_t i = 0; all && i < n; i++)
        all[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV;
    if (!all || !n ||
        in->vk.GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV(p->handle, &n, all) < VK_SUCCESS)
        n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!half_to_float(all[i].AType, all[i].BType, all[i].CType, all[i].ResultType) ||
            all[i].saturatingAccumulation || !all[i].MGranularity || !all[i].NGranularity || !all[i].KGranularity)
            continue;
        if (all[i].scope == VK_SCOPE_SUBGROUP_KHR && 16 % all[i].MGranularity == 0 && 16 % all[i].NGranularity == 0 &&
            16 % all[i].KGranularity == 0 && m->flexible) {
            add_shape(&p->info, 16, 16, 16);
        } else if (all[i].scope == VK_SCOPE_WORKGROUP_KHR) {
            if (m->size_count < sizeof m->sizes / sizeof *m->sizes)
                m->sizes[m->size_count++] = all[i].workgroupInvocations;
            if (all[i].workgroupInvocations < m->invocations)
                continue;
            m->invocations = all[i].workgroupInvocations;
            m->m = all[i].MGranularity;
            m->n = all[i].NGranularity;
            m->k = all[i].KGranularity;
        }
    }
    free(all);
}

/* AMD's own drivers offer matrices on every RDNA, but the units came with RDNA 3, whose packed dot products also take operands of
 * mixed signs; Mesa's offers them only where they are.  Intel's emulate them before Xe2, which is the first that has no
 * subgroups of 8. */
static bool trusted(const struct vka_instance *in, const struct vka_physical *p)
{
    const vka_gpu_info *info = &p->info;
    VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &dot};
    if (info->cpu || !info->matrix_count || !info->memory_model || !info->storage_f16 || !info->arithmetic_f16)
        return false;
    switch (info->vendor) {
    case NVIDIA:
        return true;
    case AMD:
        if (p->driver_id == VK_DRIVER_ID_MESA_RADV)
            return true;
        if (p->api < VK_API_VERSION_1_3)
            return false;
        in->vk.GetPhysicalDeviceProperties2(p->handle, &props);
        return dot.integerDotProduct4x8BitPackedMixedSignednessAccelerated;
    case INTEL:
        return info->subgroup_min >= 16;
    default:
        return false;
    }
}

void vka_matrix_describe(const struct vka_instance *in, struct vka_physical *p)
{
    vka_gpu_info *info = &p->info;
    const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *nv2 = &p->matrix_features.nv2;
    struct vka_matrix2 *m = &info->matrix2;
    info->matrix_khr = p->matrix_features.khr.cooperativeMatrix;
    if (!p->maintenance4) /* kernels with these are SPIR-V 1.6, which sets a workgroup's size by id */
        p->matrix_features.nv2 = (VkPhysicalDeviceCooperativeMatrix2FeaturesNV){.sType = nv2->sType};
    if (info->matrix_khr) {
        *m = (struct vka_matrix2){.workgroup_scope = nv2->cooperativeMatrixWorkgroupScope,
                                  .flexible = nv2->cooperativeMatrixFlexibleDimensions,
                                  .reductions = nv2->cooperativeMatrixReductions,
                                  .conversions = nv2->cooperativeMatrixConversions,
                                  .per_element = nv2->cooperativeMatrixPerElementOperations,
                                  .tensor_addressing = nv2->cooperativeMatrixTensorAddressing,
                                  .block_loads = nv2->cooperativeMatrixBlockLoads};
        list_fragments(in, p);
    }
    info->matrix_nv2 = m->workgroup_scope || m->flexible || m->reductions || m->conversions || m->per_element ||
                       m->tensor_addressing || m->block_loads;
    if (info->matrix_nv2)
        list_flexible(in, p);
    info->matrix_trusted = info->matrix_khr && trusted(in, p);
}

void *vka_matrix_enable(const struct vka_physical *p, struct vka_matrix_features *f, const char **extensions,
                        uint32_t *count)
{
    const vka_gpu_info *info = &p->info;
    if (!info->matrix_khr || !info->memory_model)
        return NULL;
    *f = p->matrix_features;
    f->khr.cooperativeMatrixRobustBufferAccess = VK_FALSE;
    f->khr.pNext = info->matrix_nv2 ? &f->nv2 : NULL;
    f->nv2.pNext = NULL;
    extensions[(*count)++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (info->matrix_nv2)
        extensions[(*count)++] = VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
    return &f->khr;
}
