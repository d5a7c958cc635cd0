/* table.h - the kernel table: everything about the device that picks a kernel, as plain data.
 *
 * All that can change a bit of a result is a function of this table and of the shape of one frame of one
 * branch, never of how a clip is cut (DESIGN "Same bits"). */
#ifndef VKA_OPS_TABLE_H
#define VKA_OPS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct vka_gpu_info;

struct vka_kernel_table {
    uint32_t id;            /* written into the job and the JSON; the same id means the same bits on one device */
    bool cpu;               /* a software device: one workgroup is one subgroup, uniform reads are cheap */
    uint32_t subgroup_size; /* pinned; 0: the driver's choice */
    uint32_t shared_bytes;
    uint32_t max_groups[3];
    uint32_t max_invocations;
    bool few_registers;  /* an invocation has about 100 before the compiler spills; without, 160 */
    bool wide_loads;     /* software devices with 64-bit integers: one load of 8 bytes costs as much as one of 4 */
    bool storage_f16;    /* 16-bit storage is there */
    bool arithmetic_f16; /* 16-bit arithmetic is there */
};

/* From a device; `gpu_info` NULL gives the table of a common discrete GPU, for plans made without a device. */
void vka_kernel_table_init(struct vka_kernel_table *t, const struct vka_gpu_info *gpu_info);

#endif
