/* table.c - the kernel table of a device.  See table.h. */
#include "ops/table.h"

#include "gpu/gpu.h"

/* Table 1: the register-tiled kernels of this version.  A change that can move a bit gets a new number. */
enum { TABLE_ID = 1 };

/* Whose drivers compile the large tiles without spilling, by tests/rigs/drivers: AMD, NVIDIA, Apple, Qualcomm.  Intel's (SIMD8
 * over 128 registers) do not; nobody has looked at the others'. */
static bool few_registers(uint32_t vendor)
{
    return vendor != 0x1002 && vendor != 0x10de && vendor != 0x106b && vendor != 0x5143;
}

void vka_kernel_table_init(struct vka_kernel_table *t, const struct vka_gpu_info *info)
{
    if (!info) {
        *t = (struct vka_kernel_table){.id = TABLE_ID,
                                       .shared_bytes = 32768,
                                       .max_groups = {65535, 65535, 65535},
                                       .max_invocations = 1024,
                                       .storage_f16 = true,
                                       .arithmetic_f16 = true};
        return;
    }
    *t = (struct vka_kernel_table){.id = TABLE_ID,
                                   .cpu = info->cpu,
                                   .subgroup_size = info->cpu ? info->subgroup_size : 0,
                                   .shared_bytes = info->shared_bytes,
                                   .max_groups = {info->max_groups[0], info->max_groups[1], info->max_groups[2]},
                                   .max_invocations = info->max_invocations,
                                   .storage_f16 = info->storage_f16,
                                   .arithmetic_f16 = info->arithmetic_f16};
    t->few_registers = !info->cpu && few_registers(info->vendor);
    t->wide_loads = info->cpu && info->arithmetic_i64;
    /* A software device without shuffles, or of a width nobody has, takes the GPU's kernels. */
    if (t->cpu && (!info->subgroup_shuffle || t->subgroup_size < 4 || t->subgroup_size > 16))
        t->cpu = t->wide_loads = false, t->subgroup_size = 0;
}
