/* table.c - the kernel table of a device, and which path it takes.  See table.h. */
#include "ops/table.h"

#include "base/file.h"
#include "base/mem.h"
#include "gpu/gpu.h"
#include "shaders/shaders.h"

#include <stdio.h>
#include <string.h>

/* Version 2: matrix paths.  A change that can move a bit gets a new number; the table's id tells the path too. */
enum { TABLE_VERSION = 2 };

enum { AMD = 0x1002, NVIDIA = 0x10de, APPLE = 0x106b, QUALCOMM = 0x5143 };

static const char *const names[] = {"fp32", "fp16", "khr", "nv2"};

const char *vka_path_name(enum vka_path path)
{
    return names[path];
}

void vka_kernels_hash(char hex[65])
{
    vka_sha256 h;
    vka_sha256_init(&h);
    for (uint32_t i = 0; i < VKA_SHADER_COUNT; i++)
        if (vka_shader_built(i))
            vka_sha256_add(&h, vka_shaders[i].words, *vka_shaders[i].bytes);
    vka_sha256_hex(&h, hex);
}

/* Whose drivers compile the large tiles without spilling, by tests/rigs/drivers: AMD, NVIDIA, Apple, Qualcomm.  Intel's (SIMD8
 * over 128 registers) do not; nobody has looked at the others'. */
static bool few_registers(uint32_t vendor)
{
    return vendor != AMD && vendor != NVIDIA && vendor != APPLE && vendor != QUALCOMM;
}

/* Fragments by preference: 16 x 16 x 16 is native on AMD and NVIDIA, 8 x 16 x 16 on Intel's Xe2. */
static bool best_fragment(const vka_gpu_info *info, const char *wanted, uint32_t *chosen)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < info->matrix_count; i++) {
        char name[48];
        uint32_t score = info->matrix[i].m * info->matrix[i].n * info->matrix[i].k;
        snprintf(name, sizeof name, "%ux%ux%u", info->matrix[i].m, info->matrix[i].n, info->matrix[i].k);
        if (wanted ? strcmp(name, wanted) != 0 : score > 4096)
            continue;
        if (score > best) {
            best = score;
            *chosen = i;
        }
    }
    return best > 0;
}

/* The width that the matrix units take: 32 lanes on RDNA and NVIDIA, the narrowest on Intel and software devices. */
static uint32_t matrix_subgroup(const vka_gpu_info *info)
{
    if (info->vendor == AMD || info->vendor == NVIDIA)
        return vka_min_u32(vka_max_u32(32, info->subgroup_min), info->subgroup_max);
    return info->subgroup_control ? info->subgroup_min : info->subgroup_size;
}

bool vka_path_offered(const struct vka_gpu_info *info, enum vka_path path, char *why, size_t size)
{
    const struct vka_matrix2 *m = &info->matrix2;
    uint32_t any;
    const char *what = NULL;
    if (path == VKA_PATH_FP32)
        return true;
    if (!info->storage_f16)
        what = "the device cannot store 16-bit numbers";
    else if (path == VKA_PATH_FP16)
        return true;
    else if (!info->matrix_khr)
        what = "its driver does not offer VK_KHR_cooperative_matrix";
    else if (path == VKA_PATH_NV2 && !info->matrix_nv2)
        what = "its driver does not offer VK_NV_cooperative_matrix2";
    else if (!info->memory_model)
        what = "its driver lacks Vulkan's memory model";
    else if (!info->arithmetic_f16)
        what = "the device has no 16-bit arithmetic";
    else if (!best_fragment(info, NULL, &any))
        what = "its matrices do not multiply fp16 into fp32";
    else if (path == VKA_PATH_NV2 && (!m->workgroup_scope || !m->flexible || !m->conversions || !m->per_element ||
                                      !m->tensor_addressing || !m->invocations))
        what = "its driver does not offer matrices of a workgroup with tensor addressing";
    else if (path == VKA_PATH_KHR ? !VKA_SHADERS_KHR : !VKA_SHADERS_NV2)
        what = path == VKA_PATH_KHR ? "this build has no matrix kernels: glslang was older than 13.0"
                                    : "this build has no kernels for it: glslang was older than 15.0";
    if (what && size)
        snprintf(why, size, "%s", what);
    return !what;
}

static void set_path(struct vka_kernel_table *t, const vka_gpu_info *info, enum vka_path path, uint32_t fragment)
{
    t->path = path;
    t->id = TABLE_VERSION * 10 + (uint32_t)path;
    if (path < VKA_PATH_KHR)
        return;
    t->matrix.m = info->matrix[fragment].m;
    t->matrix.n = info->matrix[fragment].n;
    t->matrix.k = info->matrix[fragment].k;
    t->subgroup_size = matrix_subgroup(info);
    if (path == VKA_PATH_NV2) {
        t->matrix2.m = info->matrix2.m;
        t->matrix2.n = info->matrix2.n;
        t->matrix2.k = info->matrix2.k;
        t->matrix2.invocations = info->matrix2.invocations;
        t->matrix2.max_dimension = info->matrix2.max_dimension;
        t->matrix2.reserved_shared = info->matrix2.reserved_shared;
    }
}

void vka_kernel_table_init(struct vka_kernel_table *t, const struct vka_gpu_info *info)
{
    memset(t, 0, sizeof *t);
    if (!info) {
        *t = (struct vka_kernel_table){.shared_bytes = 32768,
                                       .max_groups = {65535, 65535, 65535},
                                       .max_invocations = 1024,
                                       .storage_f16 = true,
                                       .arithmetic_f16 = true,
                                       .transfer_queue = true};
        set_path(t, NULL, VKA_PATH_FP16, 0);
        return;
    }
    *t = (struct vka_kernel_table){.cpu = info->cpu,
                                   .subgroup_size = info->cpu ? info->subgroup_size : 0,
                                   .shared_bytes = info->shared_bytes,
                                   .max_groups = {info->max_groups[0], info->max_groups[1], info->max_groups[2]},
                                   .max_invocations = info->max_invocations,
                                   .storage_f16 = info->storage_f16,
                                   .arithmetic_f16 = info->arithmetic_f16,
                                   .vendor = info->vendor,
                                   .transfer_queue = info->transfer_queue};
    t->few_registers = !info->cpu && few_registers(info->vendor);
    t->wide_loads = info->cpu && info->arithmetic_i64 && info->arithmetic_f16;
    /* A software device without shuffles, or of a width nobody has, takes the GPU's kernels. */
    if (t->cpu && (!info->subgroup_shuffle || t->subgroup_size < 4 || t->subgroup_size > 16))
        t->cpu = t->wide_loads = false, t->subgroup_size = 0;
    enum vka_path path = info->storage_f16 ? VKA_PATH_FP16 : VKA_PATH_FP32;
    uint32_t fragment = 0;
    if (info->matrix_trusted && best_fragment(info, NULL, &fragment)) {
        if (vka_path_offered(info, VKA_PATH_NV2, NULL, 0))
            path = VKA_PATH_NV2;
        else if (vka_path_offered(info, VKA_PATH_KHR, NULL, 0))
            path = VKA_PATH_KHR;
    }
    set_path(t, info, path, fragment);
}

vka_status vka_kernel_table_take(struct vka_kernel_table *t, const struct vka_gpu_info *info, const char *name,
                                 const char *fragment, vka_error *err)
{
    enum vka_path path = VKA_PATH_FP32;
    uint32_t chosen = 0;
    char why[160] = "";
    if (!name || !strcmp(name, "auto"))
        return VKA_OK;
    while (path < VKA_PATHS && strcmp(names[path], name) != 0)
        path++;
    if (path == VKA_PATHS) {
        vka_fail(err, VKA_E_USAGE, "there is no kernel path '%.32s'", name);
        vka_error_hint(err, "auto, fp32, fp16, khr or nv2");
        return VKA_E_USAGE;
    }
    if (!info) { /* a common GPU has every path that this build has */
        static const vka_gpu_info common = {.storage_f16 = true,
                                            .arithmetic_f16 = true,
                                            .memory_model = true,
                                            .subgroup_size = 32,
                                            .matrix_khr = true,
                                            .matrix_nv2 = true,
                                            .matrix_count = 1,
                                            .matrix = {{16, 16, 16}},
                                            .matrix2 = {true, true, true, true, true, true, true, 32, 32, 16, 256, {128, 256},
                                                        2, 1024, 0}};
        if (!vka_path_offered(&common, path, why, sizeof why))
            return vka_fail(err, VKA_E_DEVICE, "there is no path '%s': %s", name, why);
        vka_kernel_table_init(t, NULL);
        set_path(t, &common, path, 0);
        return VKA_OK;
    }
    if (!vka_path_offered(info, path, why, sizeof why) ||
        (path >= VKA_PATH_KHR && !best_fragment(info, fragment, &chosen))) {
        vka_fail(err, VKA_E_DEVICE, "the path '%s' cannot be taken on '%.200s'", name, info->name);
        vka_error_why(err, "%s", why[0] ? why : "its matrices have no such fragment");
        vka_error_hint(err, "'vkanim devices' says which paths there are; --path auto takes the best");
        return VKA_E_DEVICE;
    }
    vka_kernel_table_init(t, info);
    set_path(t, info, path, chosen);
    return VKA_OK;
}
