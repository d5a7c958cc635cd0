/* prompts.h - the texts of a job as the UNet gets them: every distinct one encoded once, and which of them a clip, a branch of
 * guidance and a step take.
 *
 * Branch 0 is the negative prompt; branch i = 1 .. conds is part i of the prompt, of which AND makes several.  What guidance
 * makes of the branches is uncond + cfg * sum over i of weight[i] * (cond[i] - uncond).
 *
 * Rows lie as the text encoder is asked for them: those of the negative prompts, then those of the prompts.  A plain job has one
 * of each.  --embeds stands for both, with one row for the clip or one for each frame. */
#ifndef VKA_RENDER_PROMPTS_H
#define VKA_RENDER_PROMPTS_H

#include "base/error.h"
#include "sample/guidance.h"

#include <stdbool.h>
#include <stdint.h>

struct vka_prompts {
    float *rows;            /* [count][tokens][width]; NULL until they are encoded (or read from --embeds) */
    uint32_t count;         /* rows in all */
    uint32_t unconds;       /* rows of the negative prompts, the first ones; 0 where --embeds brings none */
    uint32_t tokens, width; /* of every row: chunks * 77, and the text encoder's width */
    uint32_t conds;         /* parts of the prompt; 1 without AND */
    uint32_t clips, steps;  /* what `row` is made for; a later clip or step is as the last one */
    uint32_t frames[2];     /* --embeds with a row per frame: frames of uncond, of cond; else 1 and 1 */
    double *weight;         /* [clips][conds] */
    uint32_t *row;          /* [clips][1 + conds][steps]: the row, of its first frame where it has more */
};

/* The row of a branch in a step of a clip. */
uint32_t vka_prompts_row(const struct vka_prompts *p, uint32_t clip, uint32_t branch, uint32_t step);
/* Weights of the parts of a clip's prompt, [conds].  Where conds is 1 it may differ from 1 too: "a cat :1.2". */
const double *vka_prompts_weights(const struct vka_prompts *p, uint32_t clip);

/* What the UNet holds: all rows, or where there is no branch for the negative prompt only the prompts'.  The number of them, known
 * before they are encoded, and the first. */
uint32_t vka_prompts_held(const struct vka_prompts *p, bool unguided);
const float *vka_prompts_context(const struct vka_prompts *p, bool unguided);
/* Each sample's row among these, [branches of the guidance * frames]: all frames of a branch, then those of the next. */
void vka_prompts_index(const struct vka_prompts *p, uint32_t clip, uint32_t step, const struct vka_guide *g, uint32_t frames,
                       int32_t *index);
/* Whether a step takes other rows than the step before it; true for the first. */
bool vka_prompts_change(const struct vka_prompts *p, uint32_t clip, uint32_t step);

/* Sets clips, conds and steps and takes the memory of weight (1) and row (0). */
vka_status vka_prompts_init(struct vka_prompts *p, uint32_t clips, uint32_t conds, uint32_t steps, vka_error *err);
void vka_prompts_free(struct vka_prompts *p);

#endif
