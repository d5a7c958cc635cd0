/* gpu_internal.h - what the files of the gpu room share; also for fault tests, which swap function
 * pointers in the device table.  Nobody else includes it. */
#ifndef VKA_GPU_INTERNAL_H
#define VKA_GPU_INTERNAL_H

#define VK_NO_PROTOTYPES
#include <volk.h>

#include "gpu/ext.h"
#include "gpu/gpu.h"

#include <stdatomic.h>

/* ---- volk.c ------------------------------------------------------------------------------------- */

/* Opens the Vulkan loader once per process; false when there is none. */
bool vka_loader_open(void);
void vka_loader_device_table(VkInstance instance, VkDevice device, struct VolkDeviceTable *table);

/* ---- instance.c --------------------------------------------------------------------------------- */

struct vka_instance_table {
    PFN_vkDestroyInstance DestroyInstance;
    PFN_vkEnumeratePhysicalDevices EnumeratePhysicalDevices;
    PFN_vkEnumerateDeviceExtensionProperties EnumerateDeviceExtensionProperties;
    PFN_vkGetPhysicalDeviceProperties GetPhysicalDeviceProperties;
    PFN_vkGetPhysicalDeviceProperties2 GetPhysicalDeviceProperties2;
    PFN_vkGetPhysicalDeviceFeatures2 GetPhysicalDeviceFeatures2;
    PFN_vkGetPhysicalDeviceMemoryProperties2 GetPhysicalDeviceMemoryProperties2;
    PFN_vkGetPhysicalDeviceQueueFamilyProperties GetPhysicalDeviceQueueFamilyProperties;
    PFN_vkCreateDevice CreateDevice;
    /* NULL where no device has the extension */
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR GetPhysicalDeviceCooperativeMatrixPropertiesKHR;
    PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV
        GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV;
    /* VK_EXT_debug_utils, NULL without it */
    PFN_vkCreateDebugUtilsMessengerEXT CreateDebugUtilsMessengerEXT;
    PFN_vkDestroyDebugUtilsMessengerEXT DestroyDebugUtilsMessengerEXT;
    PFN_vkCmdBeginDebugUtilsLabelEXT CmdBeginDebugUtilsLabelEXT;
    PFN_vkCmdEndDebugUtilsLabelEXT CmdEndDebugUtilsLabelEXT;
    PFN_vkSetDebugUtilsObjectNameEXT SetDebugUtilsObjectNameEXT;
};

struct vka_instance {
    VkInstance handle;
    uint32_t api; /* the version asked for: 1.2, or 1.3 where the loader knows it */
    struct vka_instance_table vk;
    VkDebugUtilsMessengerEXT messenger;
    bool debug_utils;
    _Atomic uint32_t messages; /* from the validation layers */
    vka_log log;
};

/* `in` must not move while it is open: the messenger points to it. */
vka_status vka_instance_open(struct vka_instance *in, bool validation, const vka_log *log, vka_error *err);
void vka_instance_close(struct vka_instance *in);

/* ---- choose.c ----------------------------------------------------------------------------------- */

/* The features of both matrix extensions, to chain into a query or a device's creation; what the device lacks is off. */
struct vka_matrix_features {
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR khr;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV nv2;
};

/* A physical device with what device creation needs besides the public description. */
struct vka_physical {
    VkPhysicalDevice handle;
    VkPhysicalDeviceType type;
    VkDriverId driver_id;
    vka_gpu_info info;
    uint32_t api; /* what both the device and the instance speak */
    uint32_t queue_family, timestamp_bits;
    uint32_t transfer_family, transfer_index, transfer_bits; /* of the second queue: family, queue in it, timestamp bits */
    bool host_reset;                                         /* timestamps can be reset by the host */
    uint8_t cache_uuid[16];
    uint32_t heap; /* the heap info.device_heap speaks of */
    VkPhysicalDeviceMemoryProperties memory;
    bool ext_budget, ext_subgroup_control, ext_fault, ext_statistics;
    struct vka_matrix_features matrix_features; /* as the driver answered */
    bool maintenance4; /* workgroup sizes by id, as SPIR-V 1.6 has them */
    bool full_subgroups, storage_u16, storage_u8, int16;
};

/* All physical devices in the instance's order; *list is malloc'ed; none at all is VKA_E_DEVICE. */
vka_status vka_physical_list(struct vka_instance *in, struct vka_physical **list, uint32_t *count, vka_error *err);
/* Chooses among `n` queue families: p->queue_family, and the second queue where there is one.  False without a compute queue. */
bool vka_physical_queues(struct vka_physical *p, const VkQueueFamilyProperties *f, uint32_t n);
/* The one that `wanted` (or $VKANIM_DEVICE, or the ranking) names: its position in the list. */
vka_status vka_physical_choose(const struct vka_physical *list, uint32_t count, const char *wanted, const vka_log *log,
                               uint32_t *chosen, vka_error *err);
/* Bytes of heap `heap` that this process may still take, by VK_EXT_memory_budget; else its size. */
uint64_t vka_physical_free(const struct vka_instance *in, const struct vka_physical *p);

/* ---- matrix.c ----------------------------------------------------------------------------------- */

/* Fills `f` for a query of what the driver lists; returns the chain (NULL: nothing to ask). */
void *vka_matrix_chain(struct vka_matrix_features *f, bool khr, bool nv2);
/* Turns p->matrix_features into p->info: what is offered, its shapes, and whether matrix units are behind it. */
void vka_matrix_describe(const struct vka_instance *in, struct vka_physical *p);
/* Fills `f` with what a device made from `p` enables and appends the extensions' names; returns the chain or NULL. */
void *vka_matrix_enable(const struct vka_physical *p, struct vka_matrix_features *f, const char **extensions,
                        uint32_t *count);

/* ---- device.c ----------------------------------------------------------------------------------- */

/* A submission that may still run. */
struct vka_flight {
    uint64_t ticket; /* its value on the queue's timeline */
    vka_list **lists;
    uint32_t count;
};

struct vka_block_full {
    vka_block block; /* first: the public pointer is the full one */
    VkBuffer buffer;
    VkDeviceMemory memory;
    enum vka_memory kind;
    uint64_t footprint;
    bool slow_read; /* mapped, but uncached: large reads go through staging */
};

struct vka_pipeline {
    vka_pipeline_key key;
    VkPipeline handle;
    const char *name; /* the shader's */
};

/* A queue's number is a bit of its tickets, so that a ticket says all. */
enum vka_lane { VKA_LANE_COMPUTE, VKA_LANE_TRANSFER, VKA_LANES };
#define VKA_TICKET_TRANSFER ((uint64_t)1 << 63)

/* A queue and what has been submitted to it; flights and tickets count by themselves.  Values of the timeline are tickets
 * without VKA_TICKET_TRANSFER. */
struct vka_line {
    VkQueue queue;
    uint32_t family, timestamp_bits;
    bool copies_only; /* of a family without compute: other barriers, no resets of queries */
    VkSemaphore timeline;
    VkCommandPool pool;
    uint64_t last, done;
    struct vka_flight *flights; /* oldest first */
    size_t flight_count, flight_capacity;
};

struct vka_gpu {
    struct vka_instance instance;
    struct vka_physical physical;
    struct VolkDeviceTable vk;
    VkDevice device;
    struct vka_line lines[VKA_LANES];
    uint32_t line_count; /* 1: transfers go to the compute queue */
    VkPipelineLayout layout;
    bool timers, fault_info, statistics, twin; /* twin: both lines are the compute queue */
    vka_log log;

    _Atomic bool lost;
    bool abandoned; /* lost with work that may still run: nothing of it is destroyed */
    bool was_short; /* of device memory, in a call that failed for it */
    const char *lost_file; /* where the loss was seen first */
    int lost_line;

    uint64_t device_bytes, peak_bytes;
    uint32_t blocks, lists; /* alive */
    VkCommandBuffer transfer;
    struct vka_block_full *staging;

    VkPipelineCache cache;
    char *cache_path; /* NULL: not kept on disk */
    bool cache_loaded, cache_dirty;
    char cache_sha256[64]; /* of the data in the file, as far as known */
    vka_pipeline **table;  /* open addressing, capacity a power of two, at most half full */
    size_t table_size;
    uint32_t pipelines;

    double progress_s;   /* when a submission ended last, or was made with none before it; vka_now() */
    double patience_s;   /* without progress on any queue for so long a device has hung */
};

/* The table every device call goes through: tests put their own functions there. */
struct VolkDeviceTable *vka_gpu_table(vka_gpu *gpu);

/* Turns a result into a status; loss becomes sticky here.  `what` completes "cannot ...". */
vka_status vka_gpu_check(vka_gpu *gpu, VkResult result, const char *what, const char *file, int line, vka_error *err);
#define VKA_CHECK(gpu, result, what, err) vka_gpu_check(gpu, result, what, __FILE__, __LINE__, err)
/* Marks the device as lost and abandoned, since a submission does not end. */
vka_status vka_gpu_hung(vka_gpu *gpu, const char *file, int line, vka_error *err);
/* VKA_E_LOST with the story when the device was lost before, else VKA_OK. */
vka_status vka_gpu_alive(const vka_gpu *gpu, vka_error *err);
const char *vka_result_name(VkResult result);

/* ---- memory.c ----------------------------------------------------------------------------------- */

/* Everything written before, by any stage or the host, is visible to every compute and transfer command after; cmd is for
 * `line`. */
void vka_cmd_barrier(vka_gpu *gpu, const struct vka_line *line, VkCommandBuffer cmd);
/* Device writes before are visible to the host once the submission is done. */
void vka_cmd_barrier_host(vka_gpu *gpu, const struct vka_line *line, VkCommandBuffer cmd);

/* ---- cache.c ------------------------------------------------------------------------------------ */

/* Makes gpu->cache, from the file of this device in `dir` where that is whole and matches. */
vka_status vka_cache_open(vka_gpu *gpu, const char *dir, vka_error *err);
void vka_cache_close(vka_gpu *gpu); /* saves first when it grew */

/* ---- pipeline.c, list.c, submit.c --------------------------------------------------------------- */

void vka_pipelines_free(vka_gpu *gpu);

struct vka_command {
    vka_pipeline *pipeline; /* NULL: a barrier, or a copy */
    VkBuffer from, to;      /* of a copy */
    VkBufferCopy region;
    const char *label;
    uint32_t base[3], groups[3];
    uint32_t push_bytes;
    uint32_t push[VKA_PUSH_BYTES / 4];
};

struct vka_list {
    vka_gpu *gpu;
    struct vka_line *line; /* where it is submitted */
    bool transfer;         /* asked for as a list of copies */
    char label[96];
    struct vka_command *commands; /* until the list is ended */
    size_t count, capacity;
    vka_error error; /* the first thing that went wrong while recording */
    bool ended;
    VkCommandBuffer cmd;
    const char **labels; /* one per dispatch */
    uint32_t dispatches;
    /* Timestamps: at the start, at the end, and with timers after each dispatch in between. */
    VkQueryPool queries;
    uint32_t query_count;
    bool host_reset; /* by the host, before each run */
    uint64_t *ticks; /* of the last completed run */
    bool ran;        /* ticks hold something */
    uint64_t ticket; /* of the last submission, 0: never submitted */
};

/* Reads the timestamps of a run that is complete. */
void vka_list_harvest(vka_list *list);
/* Submits one command buffer or several to a queue under its next ticket; `after`: as vka_gpu_submit_after has it. */
vka_status vka_submit_raw(vka_gpu *gpu, struct vka_line *line, const VkCommandBuffer *cmds, uint32_t count, uint64_t after,
                          uint64_t *ticket, vka_error *err);
/* Whether the submission is known to be done. */
bool vka_ticket_done(const vka_gpu *gpu, uint64_t ticket);
vka_status vka_wait_for(vka_gpu *gpu, uint64_t ticket, vka_error *err);
/* The same, but whatever the wait says, the submission does not run any more afterwards: what it uses may go. */
vka_status vka_settle(vka_gpu *gpu, uint64_t ticket, vka_error *err);
/* The same for all there is. */
vka_status vka_settle_all(vka_gpu *gpu, vka_error *err);
void vka_flights_free(vka_gpu *gpu);

#endif
