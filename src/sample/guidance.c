/* guidance.c - see guidance.h. */
#include "sample/guidance.h"

uint32_t vka_guide_branches(const struct vka_guide *g)
{
    return (g->unguided ? 1 : 0) + g->parts * (g->perturbed ? 2 : 1);
}

uint32_t vka_guide_first_perturbed(const struct vka_guide *g)
{
    return (g->unguided ? 1 : 0) + g->parts;
}

int vka_guide_part(const struct vka_guide *g, uint32_t branch)
{
    uint32_t first = g->unguided ? 1 : 0;
    return branch < first ? -1 : (int)((branch - first) % g->parts);
}

void vka_guide_coefficients(const struct vka_guide *g, double cfg, double guided[VKA_GUIDE_BRANCHES],
                            double positive[VKA_GUIDE_BRANCHES])
{
    uint32_t first = g->unguided ? 1 : 0;
    double sum = 0;
    for (uint32_t i = 0; i < VKA_GUIDE_BRANCHES; i++) {
        if (guided)
            guided[i] = 0;
        if (positive)
            positive[i] = 0;
    }
    for (uint32_t i = 0; i < g->parts; i++) {
        double w = g->weight[i];
        sum += w;
        if (positive)
            positive[first + i] = w;
        if (!guided)
            continue;
        guided[first + i] = (g->unguided ? cfg * w : w) + (g->perturbed ? g->pag * w : 0);
        if (g->perturbed)
            guided[first + g->parts + i] = -g->pag * w;
    }
    if (g->unguided && guided)
        guided[0] = 1 - cfg * sum;
    if (g->unguided && positive)
        positive[0] = 1 - sum;
}

vka_status vka_guide_make(struct vka_guide *g, uint32_t parts, const double *weight, bool cfg_is_one, double pag,
                          double rescale, vka_error *err)
{
    *g = (struct vka_guide){.parts = parts, .perturbed = pag > 0, .pag = pag, .rescale = rescale};
    g->unguided = !cfg_is_one || parts != 1 || weight[0] != 1;
    uint32_t branches = vka_guide_branches(g);
    if (branches > VKA_GUIDE_BRANCHES || parts > VKA_GUIDE_BRANCHES) {
        vka_fail(err, VKA_E_USAGE, "a prompt of %u parts joined by AND%s is more than guidance takes", parts,
                 g->perturbed ? ", each with perturbed attention," : "");
        vka_error_hint(err, "at most %u parts%s", g->perturbed ? (VKA_GUIDE_BRANCHES - 1) / 2 : VKA_GUIDE_BRANCHES - 1,
                       g->perturbed ? ", or no --pag" : "");
        return VKA_E_USAGE;
    }
    for (uint32_t i = 0; i < parts; i++)
        g->weight[i] = weight[i];
    return VKA_OK;
}
