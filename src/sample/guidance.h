/* guidance.h - classifier-free guidance over the branches of an evaluation: one unguided, one for each part of the prompt,
 * and for perturbed-attention guidance each part once more with its attention perturbed.
 *
 *     guided   = u + cfg * sum_i w_i (c_i - u) + pag * sum_i w_i (c_i - p_i)
 *     positive = u +       sum_i w_i (c_i - u)
 *
 * u: the output for the negative prompt, c_i: for part i of the prompt (parts are joined by AND, weights w_i; one part
 * of weight 1 otherwise), p_i: the same with the middle block's self-attention replaced by the identity.  Ho and
 * Salimans 2022; Liu et al. 2022 (composition); Ahn et al. 2024 (PAG).  `positive` is what guidance rescale compares
 * with (Lin et al. 2023).  Everything is linear, so a guidance is two rows of coefficients. */
#ifndef VKA_SAMPLE_GUIDANCE_H
#define VKA_SAMPLE_GUIDANCE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { VKA_GUIDE_BRANCHES = 6 }; /* terms of one linear combination */

struct vka_guide {
    uint32_t parts;                      /* of the prompt, at least 1 */
    double weight[VKA_GUIDE_BRANCHES];   /* of each part */
    bool unguided;                       /* there is a branch u: false where cfg is 1 throughout for one part of weight 1 */
    bool perturbed;                      /* there are branches p_i */
    double pag, rescale;                 /* rescale: 0 none .. 1 */
};

/* What branch k, 0 .. vka_guide_branches - 1, evaluates: u first, then the parts, then the perturbed parts. */
uint32_t vka_guide_branches(const struct vka_guide *g);
/* The part that a branch belongs to, or -1 for u. */
int vka_guide_part(const struct vka_guide *g, uint32_t branch);
/* Branches from this one on are perturbed (the number of branches where none is). */
uint32_t vka_guide_first_perturbed(const struct vka_guide *g);

/* Coefficients of the branches for a guidance scale; either may be NULL. */
void vka_guide_coefficients(const struct vka_guide *g, double cfg, double guided[VKA_GUIDE_BRANCHES],
                            double positive[VKA_GUIDE_BRANCHES]);

/* Fills in parts, weights and which branches there are.  `cfg_is_one`: the guidance scale is 1 in every step.  VKA_E_USAGE when
 * there are more branches than VKA_GUIDE_BRANCHES. */
vka_status vka_guide_make(struct vka_guide *g, uint32_t parts, const double *weight, bool cfg_is_one, double pag,
                          double rescale, vka_error *err);

#endif
