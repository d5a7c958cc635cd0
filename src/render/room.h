/* room.h - how much memory a job may take: the rule, in one place.
 *
 * Of the device: --vram, a hard limit; else, for a plan without a device, --device-memory; else what
 * VK_EXT_memory_budget says is free (the whole device-local heap where the driver does not say) less a tenth for the
 * desktop and the driver; of a software device half of the machine's memory.
 * Of the host, for streamed weights and parked clip state: half of the machine's memory that is available. */
#ifndef VKA_RENDER_ROOM_H
#define VKA_RENDER_ROOM_H

#include "base/log.h"
#include "gpu/gpu.h"
#include "render/exec.h"
#include "render/job.h"

/* info NULL: no device.  Warns where --vram is more than there is, and obeys all the same. */
struct vka_room vka_room_decide(const struct vka_job *job, const vka_gpu_info *info, const vka_log *log);
/* The largest --vram that could be kept on that device, whatever is free now; UINT64_MAX where nobody knows. */
uint64_t vka_room_most(const struct vka_job *job, const vka_gpu_info *info);

#endif
