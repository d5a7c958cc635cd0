/* occupancy.c - see occupancy.h.
 *
 * Registers: a SIMD has a file of so many vector registers for each of its lanes, handed out to a subgroup in
 * granules. RDNA 3's large chips and RDNA 4 have 1536 for subgroups of 32, in granules of 24; RDNA 2 and the small
 * chips of RDNA 3 and 3.5 have 1024, in granules of 16; RDNA 1 has 1024, in granules of 8; half of all that for
 * subgroups of 64. GCN has 256 for subgroups of 64, in granules of 4, and 800 scalar registers, in granules of 16. A
 * SIMD keeps at most 16 subgroups (RDNA 1: 20, GCN: 10).
 * Shared memory: 128 KiB for the four SIMDs of an RDNA workgroup processor, 64 KiB for those of a GCN compute unit.
 * Sources: LLVM's User Guide for the AMDGPU backend and its AMDGPUBaseInfo (getVGPRAllocGranule, getTotalNumVGPRs,
 * getTotalNumSGPRs, getMaxWavesPerEU); AMD's instruction set guides for RDNA 2, 3 and 4 and for GCN 3. */
#include "occupancy.h"

#include <string.h>

enum { SIMDS = 4 };

static const struct chip {
    const char *name;       /* as in RADV's parentheses */
    uint32_t file, granule; /* vector registers for subgroups of 32; of 64 where there is no other */
    uint32_t most;
    uint32_t shared;
    bool gcn, four;
} chips[] = {
    {"NAVI31", 1536, 24, 16, 131072, false, true},  {"NAVI32", 1536, 24, 16, 131072, false, true},
    {"GFX1200", 1536, 24, 16, 131072, false, true}, {"GFX1201", 1536, 24, 16, 131072, false, true},
    {"NAVI33", 1024, 16, 16, 131072, false, false}, {"PHOENIX", 1024, 16, 16, 131072, false, false},
    {"STRIX1", 1024, 16, 16, 131072, false, false}, {"REMBRANDT", 1024, 16, 16, 131072, false, false},
    {"NAVI21", 1024, 16, 16, 131072, false, false}, {"NAVI10", 1024, 8, 20, 131072, false, false},
    {"POLARIS10", 256, 4, 10, 65536, true, false},  {"VEGA10", 256, 4, 10, 65536, true, false},
    {"RENOIR", 256, 4, 10, 65536, true, false},
};

static const struct chip *find(const char *device)
{
    const char *at = strstr(device, "(RADV ");
    for (size_t i = 0; at && i < sizeof chips / sizeof *chips; i++) {
        size_t n = strlen(chips[i].name);
        if (strncmp(at + 6, chips[i].name, n) == 0 && at[6 + n] == ')')
            return &chips[i];
    }
    return NULL;
}

static uint32_t fit(uint32_t file, uint32_t granule, uint32_t taken)
{
    uint32_t each = taken ? (taken + granule - 1) / granule * granule : granule;
    return file / each;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

double rig_waves(const char *device, const struct rig_kernel *k, double told)
{
    const struct chip *c = find(device);
    if (!c || (k->subgroup != 32 && k->subgroup != 64) || (c->gcn && k->subgroup != 64) || !k->invocations)
        return told;
    uint32_t halves = c->gcn ? 1 : k->subgroup / 32;
    uint32_t waves = smaller(c->most, fit(c->file / halves, c->granule / halves, k->vgprs));
    if (c->gcn)
        waves = smaller(waves, fit(800, 16, k->sgprs));
    uint32_t of_group = (k->invocations + k->subgroup - 1) / k->subgroup;
    uint32_t groups = waves * SIMDS / of_group;
    if (k->shared)
        groups = smaller(groups, c->shared / k->shared);
    double rule = (double)(groups * of_group) / SIMDS;
    /* On RDNA, Mesa's "Subgroups per SIMD" counts a subgroup of 64 twice (26.1: 32 where the chip keeps 16). */
    return told >= 0 && told / halves < rule ? told / halves : rule;
}

bool rig_wants_four(const char *device)
{
    const struct chip *c = find(device);
    return c && c->four;
}
