/* gpu.h - the only room that sees Vulkan.  It hands out four things: a block of memory with an
 * address, a pipeline for a key, a recorded list, a submission to wait on.
 *
 * Kernels take buffer addresses (VK_KHR_buffer_device_address) and a push block of at most 128 bytes;
 * there are no descriptor sets.  One device, one compute queue, and where the device has one a second
 * queue for copies beside the work; each queue has a timeline semaphore.  One thread owns a vka_gpu
 * and everything made from it; nothing here is safe to call from two threads at once but
 * vka_gpu_is_lost.
 *
 * Device loss is sticky: the first call that sees it returns VKA_E_LOST and names the operators that
 * were in flight; every later call returns VKA_E_LOST at once.  A GPU that ends no submission for a
 * minute has hung and counts as lost too; software devices may take as long as they want. */
#ifndef VKA_GPU_GPU_H
#define VKA_GPU_GPU_H

#include "base/error.h"
#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vka_gpu vka_gpu;

enum { VKA_MATRIX_SHAPES = 8 };

/* What VK_NV_cooperative_matrix2 offers for fp16 x fp16 -> fp32 at workgroup scope; all zero without it. */
struct vka_matrix2 {
    bool workgroup_scope, flexible, reductions, conversions, per_element, tensor_addressing, block_loads;
    uint32_t m, n, k;         /* dimensions are multiples of these, with workgroups of exactly `invocations` */
    uint32_t invocations;     /* the largest size of a workgroup that is offered */
    uint32_t sizes[8];        /* all of them */
    uint32_t size_count;
    uint32_t max_dimension;   /* of a matrix */
    uint32_t reserved_shared; /* bytes of shared memory that the driver keeps */
};

/* What a device is and what it offers.  Plain data; lives as long as its owner. */
typedef struct vka_gpu_info {
    uint32_t index; /* position in the enumeration: --device INDEX */
    char name[256];
    char driver[256]; /* driver name and version text */
    uint32_t vendor, device, driver_version, api_version;
    uint8_t driver_uuid[16];
    bool cpu; /* a software device */
    bool integrated;
    bool cautious; /* vka_gpu_params.cautious, for whoever cuts work for it */
    bool usable;
    char reason[256];     /* why it is not usable, one sentence; empty when it is */
    uint64_t device_heap; /* bytes of the largest device-local heap; on a CPU device half of the machine's memory */
    uint64_t device_free; /* VK_EXT_memory_budget's word on it, else device_heap */
    uint32_t heap_count;
    struct {
        uint64_t bytes;
        bool device_local;
    } heaps[16];
    uint32_t subgroup_size, subgroup_min, subgroup_max; /* min/max: what can be required per pipeline */
    bool subgroup_control;
    uint32_t shared_bytes;    /* maxComputeSharedMemorySize */
    uint32_t max_invocations; /* per workgroup */
    uint32_t max_groups[3];
    uint64_t max_block; /* bytes of the largest block the driver allows, slack included */
    bool storage_f16;   /* 16-bit storage through addresses */
    bool storage_8bit;  /* 8-bit storage through addresses, and 8-bit integers in shaders */
    bool arithmetic_f16;
    bool arithmetic_i64; /* 64-bit integers in shaders: wide loads on software devices, never needed */
    bool subgroup_arithmetic, subgroup_shuffle;
    bool transfer_queue;  /* a second queue, on which copies run beside the work */
    bool transfer_engine; /* it is of a family that only copies: engines of their own, no compute unit is taken */
    bool timestamps;
    float timestamp_ns;          /* nanoseconds per tick */
    bool memory_model;           /* Vulkan's memory model at device scope: matrix kernels need it */
    bool matrix_khr, matrix_nv2; /* VK_KHR_cooperative_matrix, VK_NV_cooperative_matrix2: offered by the driver */
    bool matrix_trusted;         /* by matrix units, as far as vendor, driver and properties tell: the allow-list */
    uint32_t matrix_count;       /* fragments of fp16 x fp16 -> fp32 at subgroup scope */
    struct {
        uint32_t m, n, k;
    } matrix[VKA_MATRIX_SHAPES];
    struct vka_matrix2 matrix2;
} vka_gpu_info;

/* Every Vulkan device of the machine, in the order --device counts them.  *list is malloc'ed.  No
 * loader or no driver at all is VKA_E_DEVICE with a sentence that says what to install. */
vka_status vka_gpu_enumerate(vka_gpu_info **list, uint32_t *count, const vka_log *log, vka_error *err);

/* Where copies go that are recorded for the transfer queue. */
enum vka_transfers {
    VKA_TRANSFERS_BEST, /* to the second queue where there is one, else to the compute queue, in its order */
    VKA_TRANSFERS_NONE, /* to the compute queue */
    VKA_TRANSFERS_TWIN  /* for tests: to the compute queue under a timeline of their own, as if there were a second one */
};

typedef struct vka_gpu_params {
    const char *device;    /* index, or part of a name (case ignored); NULL: $VKANIM_DEVICE, else the best GPU,
                              else, when there is no GPU at all, a software device with a word in the log */
    bool validation;       /* VK_LAYER_KHRONOS_validation where installed; its messages go to the log as errors */
    bool timers;           /* timestamps around every dispatch, not only around lists */
    bool cautious;         /* it was lost a moment ago: work is to be cut finer (vka_gpu_info.cautious) */
    bool statistics;       /* keep what the compiler tells of pipelines: vka_pipeline_statistics */
    enum vka_transfers transfers;
    const char *cache_dir; /* pipeline cache; NULL: none */
    vka_log log;
} vka_gpu_params;

vka_status vka_gpu_create(vka_gpu **out, const vka_gpu_params *params, vka_error *err);
void vka_gpu_destroy(vka_gpu **gpu); /* waits for the device, saves the pipeline cache; NULL and &NULL are fine */
const vka_gpu_info *vka_gpu_describe(const vka_gpu *gpu);
bool vka_gpu_is_lost(const vka_gpu *gpu);
/* For a caller that must stop and whose submission does not end: the device counts as lost from here on, and what was
 * made of it is left to the end of the process, since a driver would wait for the work, or worse, on destroying it. */
void vka_gpu_abandon(vka_gpu *gpu);
/* Whether the device hung or was abandoned: its work may still run, and opening it again would wait for that. */
bool vka_gpu_is_abandoned(const vka_gpu *gpu);
/* Whether a call has failed because the device had no memory left, though the plan had been within the budget. */
bool vka_gpu_was_short(const vka_gpu *gpu);
/* Messages of the validation layers so far (0 without them). */
uint32_t vka_gpu_validation_messages(const vka_gpu *gpu);

/* ---- memory ------------------------------------------------------------------------------------- */

enum vka_memory {
    VKA_MEMORY_DEVICE, /* device-local; host-visible too where that is free (CPU and integrated devices, ReBAR) */
    VKA_MEMORY_HOST    /* host-visible, coherent, for step buffers and staging */
};

enum { VKA_BLOCK_SLACK = 64 * 1024 }; /* readable and writable bytes behind the end of every block */

typedef struct vka_block {
    uint64_t address; /* device address, at least 256-byte aligned */
    uint64_t size;    /* bytes asked for, without the slack */
    void *map;        /* host pointer, or NULL where the host cannot see it */
} vka_block;

/* A block of `bytes` (at most 1 GiB less the slack is wise, and its footprint at most info.max_block).
 * VKA_E_MEMORY when the device has no room.
 * New memory is zeroed on creation only when `zero`. */
vka_status vka_block_create(vka_gpu *gpu, uint64_t bytes, enum vka_memory kind, bool zero, vka_block **out,
                            vka_error *err);
void vka_block_destroy(vka_gpu *gpu, vka_block **block);
/* Bytes that creating a block of `bytes` takes from the device (slack and alignment included): the
 * planner's own arithmetic, the same on every device. */
uint64_t vka_block_footprint(uint64_t bytes);
/* Copy from and to the host; blocking; staged in chunks where the block is not host-visible.  The
 * device must not be using the range. */
vka_status vka_block_write(vka_gpu *gpu, vka_block *block, uint64_t offset, const void *data, uint64_t bytes,
                           vka_error *err);
vka_status vka_block_read(vka_gpu *gpu, vka_block *block, uint64_t offset, void *data, uint64_t bytes, vka_error *err);
/* Bytes the device could still give this process now, by VK_EXT_memory_budget where it is there. */
uint64_t vka_gpu_device_free(const vka_gpu *gpu);
/* Sum of the footprints of device-local blocks alive now, and the most it ever was. */
uint64_t vka_gpu_device_bytes(const vka_gpu *gpu, uint64_t *peak);
void vka_gpu_reset_peak(vka_gpu *gpu);

/* ---- pipelines ---------------------------------------------------------------------------------- */

enum { VKA_MAX_CONSTANTS = 24, VKA_PUSH_BYTES = 128 };

/* Everything that picks a pipeline.  Zero it first: keys are compared as bytes. */
typedef struct vka_pipeline_key {
    uint32_t shader;                       /* index into the embedded table, shaders/shaders.h */
    uint32_t subgroup_size;                /* 0: the driver's choice */
    uint32_t count;                        /* constants used */
    uint32_t constants[VKA_MAX_CONSTANTS]; /* specialization constants with ids 0 .. count-1 */
    uint32_t full_subgroups; /* 1: every subgroup is full (needs subgroup_size, and a local x that is a multiple of it);
                                without effect where the device cannot promise it */
} vka_pipeline_key;

typedef struct vka_pipeline vka_pipeline;
/* Made on first use and kept until the device goes. */
vka_status vka_gpu_pipeline(vka_gpu *gpu, const vka_pipeline_key *key, vka_pipeline **out, vka_error *err);
uint32_t vka_gpu_pipeline_count(const vka_gpu *gpu);
/* With vka_gpu_params.statistics and a driver that has VK_KHR_pipeline_executable_properties: calls `visit` with each
 * figure of each executable of the pipeline, under the driver's own names ("VGPRs", "Spill count"), and the width of
 * its subgroups.  Returns how many executables there were; 0 when the driver tells nothing. */
uint32_t vka_pipeline_statistics(vka_gpu *gpu, const vka_pipeline *pipeline,
                                 void (*visit)(void *user, uint32_t executable, const char *name, double value),
                                 void *user);
/* Writes the pipeline cache now where it grew; never fails louder than a word in the log.  Worth a call
 * after the first step, so that a killed render keeps what it compiled. */
void vka_gpu_save_cache(vka_gpu *gpu);

/* ---- lists -------------------------------------------------------------------------------------- */

typedef struct vka_list vka_list;
/* A list is recorded once and submitted any number of times.  It begins with a barrier against
 * everything submitted before it. */
vka_status vka_list_begin(vka_gpu *gpu, const char *label, vka_list **out, vka_error *err);
/* A list for the transfer queue: it takes copies and barriers, no launches.  Where there is no such queue it is one for the
 * compute queue. */
vka_status vka_list_begin_transfer(vka_gpu *gpu, const char *label, vka_list **out, vka_error *err);
/* push_bytes <= VKA_PUSH_BYTES and a multiple of 4; groups within the device's limits; `label` must
 * outlive the list (it names the operator in timings and loss reports). */
void vka_list_dispatch(vka_list *list, vka_pipeline *pipeline, const void *push, uint32_t push_bytes,
                       const uint32_t groups[3], const char *label);
/* Workgroups `base` .. base + groups - 1 of a launch, as if it had been dispatched whole: gl_WorkGroupID counts from
 * `base`, only gl_NumWorkGroups is `groups`. */
void vka_list_dispatch_part(vka_list *list, vka_pipeline *pipeline, const void *push, uint32_t push_bytes,
                            const uint32_t base[3], const uint32_t groups[3], const char *label);
/* Copies bytes from one block to another; blocks outlive the list.  Like launches, copies need barriers between them and what
 * they share bytes with. */
void vka_list_copy(vka_list *list, vka_block *to, uint64_t to_offset, vka_block *from, uint64_t from_offset, uint64_t bytes);
/* What was written before becomes visible to all after. */
void vka_list_barrier(vka_list *list);
vka_status vka_list_end(vka_list *list, vka_error *err);
void vka_list_destroy(vka_gpu *gpu, vka_list **list);
/* GPU time of the list's last completed run in ns; 0 when the device has no timestamps. */
uint64_t vka_list_time(vka_gpu *gpu, vka_list *list);
/* With vka_gpu_params.timers: calls `visit` for each dispatch of the last completed run. */
void vka_list_times(vka_gpu *gpu, vka_list *list, void (*visit)(void *user, const char *label, uint64_t ns),
                    void *user);

/* ---- submission --------------------------------------------------------------------------------- */

/* Submits the lists, all of one queue, in order as one submission; *ticket is its number, never 0, and tells the queue too:
 * only those of one queue can be compared.  A list may not be in it twice; where a list's former run is still under way the
 * call waits for that first. */
vka_status vka_gpu_submit(vka_gpu *gpu, vka_list *const *lists, uint32_t count, uint64_t *ticket, vka_error *err);
/* The same, to begin once the submission `after` is done with all before it on its queue; 0: at once.  A queue goes through
 * its own submissions in order without being told. */
vka_status vka_gpu_submit_after(vka_gpu *gpu, vka_list *const *lists, uint32_t count, uint64_t after, uint64_t *ticket,
                                vka_error *err);
/* Waits until the submission is done, at most `seconds`; *done says whether it is. */
vka_status vka_gpu_wait(vka_gpu *gpu, uint64_t ticket, double seconds, bool *done, vka_error *err);
/* Waits for everything, without limit but in finite slices. */
vka_status vka_gpu_idle(vka_gpu *gpu, vka_error *err);

#endif
