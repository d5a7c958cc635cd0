/* room.c - see room.h. */
#include "render/room.h"

#include "base/machine.h"

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

uint64_t vka_room_most(const struct vka_job *job, const vka_gpu_info *info)
{
    uint64_t machine = vka_machine_memory();
    if (info)
        return !info->cpu ? info->device_heap : machine ? machine : UINT64_MAX;
    return vka_job_has(job, "vram") && vka_job_has(job, "device-memory") ? job->device_memory : UINT64_MAX;
}

static void warn(const struct vka_job *job, const vka_gpu_info *info, const vka_log *log)
{
    uint64_t most = vka_room_most(job, info), now = info && info->cpu ? vka_machine_available()
                                                    : info            ? info->device_free
                                                                      : 0;
    if (job->vram > most && info)
        vka_logf(log, VKA_LOG_WARN, "--vram asks for %.0f MiB, but '%s' has only %.0f MiB", mib(job->vram), info->name,
                 mib(most));
    else if (job->vram > most)
        vka_logf(log, VKA_LOG_WARN, "--vram asks for %.0f MiB, but --device-memory is only %.0f MiB", mib(job->vram),
                 mib(most));
    else if (now && job->vram > now)
        vka_logf(log, VKA_LOG_WARN, "--vram asks for %.0f MiB, but only %.0f MiB of '%s' are free at the moment",
                 mib(job->vram), mib(now), info->name);
}

struct vka_room vka_room_decide(const struct vka_job *job, const vka_gpu_info *info, const vka_log *log)
{
    struct vka_room room = {0, vka_machine_available() / 2};
    if (!room.host)
        room.host = UINT64_MAX; /* a system that says nothing of its memory */
    if (vka_job_has(job, "vram")) {
        room.device = job->vram;
        warn(job, info, log);
    } else if (vka_job_has(job, "device-memory"))
        room.device = job->device_memory;
    else if (info)
        room.device = info->cpu ? info->device_heap : info->device_free / 10 * 9;
    return room;
}
