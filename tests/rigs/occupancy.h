/* occupancy.h - how many subgroups of a kernel an AMD GPU holds at once, by the published rules of allocation. */
#ifndef VKA_RIGS_OCCUPANCY_H
#define VKA_RIGS_OCCUPANCY_H

#include <stdbool.h>
#include <stdint.h>

struct rig_kernel {
    uint32_t subgroup;     /* invocations of a subgroup: 32 or 64 */
    uint32_t invocations;  /* of a workgroup */
    uint32_t vgprs, sgprs; /* of a subgroup, as the driver tells them */
    uint32_t shared;       /* bytes of a workgroup */
};

/* Subgroups per SIMD, whole workgroups only (averaged over the SIMDs that share a workgroup's memory, so not always whole):
 * the smaller of what the rules say and of what the driver tells, `told` (negative: nothing).  `device` is RADV's name,
 * such as "AMD Radeon RX 7900 XTX (RADV NAVI31)"; of a chip that is not known here the driver's word is passed on. */
double rig_waves(const char *device, const struct rig_kernel *k, double told);
/* Whether the chip is one on which a matrix kernel must keep four subgroups on a SIMD. */
bool rig_wants_four(const char *device);

#endif
