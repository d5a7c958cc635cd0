/* prompts.h - the texts of a job as the UNet gets them: every distinct one encoded once, and which of them a clip, a branch of
 * guidance and a step take.
 *
 * Branch 0 is the negative prompt; branch i = 1 .. conds is part i of the prompt, of which AND makes several.  What guidance
 * makes of the branches is uncond + cfg * sum over i of weight[i] * (cond[i] - uncond).
 *
 * Rows lie as the text encoder is asked for them: those of the negative prompts, then those of the prompts.  A plain job has one
 * of each.  --embeds stands for both, with one row for the clip or one for each frame.  A prompt that travels has a row for each
 * of its texts and steps; what a frame gets lies between two of them. */
#ifndef VKA_RENDER_PROMPTS_H
#define VKA_RENDER_PROMPTS_H

#include "base/error.h"
#include "sample/guidance.h"
#include "text/travel.h"

#include <stdbool.h>
#include <stdint.h>

/* A prompt or negative prompt that travels; without one travel.count is 0. */
struct vka_prompts_way {
    struct vka_travel travel; /* owned */
    uint32_t *row;            /* [travel.text_count][steps] */
};

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
    struct vka_prompts_way *way; /* [clips][2]: of branch 0, of branch 1, the only part of such a prompt; NULL: nothing travels */
    bool slerp;             /* how rows are blended, see vka_prompts_blend */
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
/* Whether frames have rows of their own: a prompt of some clip travels, or --embeds has a row for each frame. */
bool vka_prompts_travels(const struct vka_prompts *p);
/* What a frame gets in a branch and step, [tokens][width]; where nothing travels the branch's row.  Rows must be encoded. */
void vka_prompts_frame(const struct vka_prompts *p, uint32_t clip, uint32_t branch, uint32_t step, uint32_t frame, float *out);
/* The same for the branches of a guidance, as the UNet's stage asks for them (vka_context_row); `user` is this. */
struct vka_prompts_rows {
    const struct vka_prompts *prompts;
    const struct vka_guide *guide;
    uint32_t clip, step;
};
void vka_prompts_rows_get(void *user, uint32_t branch, uint32_t frame, float *out);
/* a by 1 - share and b by the share, in double and rounded once: on the line between them, or with `slerp` on the arc,
 *     (sin((1 - share) w) a + sin(share w) b) / sin(w)
 * where w is the angle between a and b as two vectors of all n numbers, tokens and widths in one, and lengths are left as they are.
 * That is how A1111's AnimateDiff extension and ADE have it, so that keys give their pictures; an angle for each token would turn
 * the start token, which all texts share, not at all and the others by different ways.  Where |cos w| > 0.9995, or one of them is
 * nothing but zeros, the line is taken, as there. */
void vka_prompts_blend(const float *a, const float *b, double share, bool slerp, size_t n, float *out);
/* Whether a step takes other rows than the step before it; true for the first. */
bool vka_prompts_change(const struct vka_prompts *p, uint32_t clip, uint32_t step);

/* Sets clips, conds and steps and takes the memory of weight (1) and row (0). */
vka_status vka_prompts_init(struct vka_prompts *p, uint32_t clips, uint32_t conds, uint32_t steps, vka_error *err);
void vka_prompts_free(struct vka_prompts *p);

#endif
