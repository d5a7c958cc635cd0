/* table.h - the kernel table: everything about the device that picks a kernel, as plain data.
 *
 * All that can change a bit of a result is a function of this table and of the shape of one frame of one
 * branch, never of how a clip is cut (DESIGN "Same bits"). */
#ifndef VKA_OPS_TABLE_H
#define VKA_OPS_TABLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vka_gpu_info;

/* Which units multiply in networks of fp16 storage.  Those of fp32 storage take VKA_PATH_FP32 on any device. */
enum vka_path {
    VKA_PATH_FP32, /* fp32 throughout */
    VKA_PATH_FP16, /* fp16 storage, portable kernels */
    VKA_PATH_KHR,  /* VK_KHR_cooperative_matrix, fragments of a subgroup */
    VKA_PATH_NV2   /* VK_NV_cooperative_matrix2, matrices of a workgroup */
};
#define VKA_PATHS ((enum vka_path)4)

/* A tile that a tuner chose for a class of products: both numbers are ops/matmul.h's. */
struct vka_tuned {
    uint32_t shape_class, tile;
};
enum { VKA_TUNED = 96 };

struct vka_kernel_table {
    uint32_t id;            /* written into the job and the JSON; the same id means the same bits on one device */
    bool cpu;               /* a software device: one workgroup is one subgroup, uniform reads are cheap */
    uint32_t subgroup_size; /* pinned in matrix and software devices' kernels; 0: the driver's choice */
    uint32_t shared_bytes;
    uint32_t max_groups[3];
    uint32_t max_invocations;
    bool few_registers;  /* an invocation has about 100 before the compiler spills; without, 160 */
    bool wide_loads;     /* software devices with 64-bit integers and 16-bit floats: an access of 8 bytes costs as much as one of 2 */
    bool storage_f16;    /* 16-bit storage is there */
    bool arithmetic_f16; /* 16-bit arithmetic is there */
    uint32_t vendor;     /* PCI id */
    enum vka_path path;
    struct {
        uint32_t m, n, k; /* the fragment of matrix kernels; 0: none */
    } matrix;
    struct { /* of kernels at workgroup scope: dimensions are multiples of m, n and k */
        uint32_t m, n, k, invocations, max_dimension, reserved_shared;
    } matrix2;
    bool transfer_queue; /* copies can run beside the work; changes no bit */
    double flops; /* measured FLOP/s of a matrix product on the path, for estimates alone; 0: not known */
    uint32_t tuned_count;
    struct vka_tuned tuned[VKA_TUNED]; /* changes no bit */
};

/* From a device, with the path that it takes unasked; `gpu_info` NULL gives the table of a common discrete GPU, for plans made
 * without a device. */
void vka_kernel_table_init(struct vka_kernel_table *t, const struct vka_gpu_info *gpu_info);

/* Takes the path `name` ("auto": leaves what init chose): VKA_E_USAGE when there is none of this name, VKA_E_DEVICE when the
 * device or this build does not have it.  `fragment` "16x16x16" picks among the device's; NULL: the best. */
vka_status vka_kernel_table_take(struct vka_kernel_table *t, const struct vka_gpu_info *gpu_info, const char *name,
                                 const char *fragment, vka_error *err);

/* SHA-256 of all embedded kernels, in hexadecimal: what was learnt about a device holds for this build. */
void vka_kernels_hash(char hex[65]);

/* "fp32", "fp16", "khr", "nv2". */
const char *vka_path_name(enum vka_path path);
/* Whether the device and this build have the path; if not, one sentence in why[0..size-1]. */
bool vka_path_offered(const struct vka_gpu_info *gpu_info, enum vka_path path, char *why, size_t size);

#endif
