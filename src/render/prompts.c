/* prompts.c - see prompts.h. */
#include "render/prompts.h"

#include "base/mem.h"

#include <stdlib.h>

static uint32_t *place(const struct vka_prompts *p, uint32_t clip, uint32_t branch, uint32_t step)
{
    clip = vka_min_u32(clip, p->clips - 1);
    step = vka_min_u32(step, p->steps - 1);
    return &p->row[((size_t)clip * (1 + p->conds) + branch) * p->steps + step];
}

uint32_t vka_prompts_row(const struct vka_prompts *p, uint32_t clip, uint32_t branch, uint32_t step)
{
    return *place(p, clip, branch, step);
}

const double *vka_prompts_weights(const struct vka_prompts *p, uint32_t clip)
{
    return p->weight + (size_t)vka_min_u32(clip, p->clips - 1) * p->conds;
}

uint32_t vka_prompts_held(const struct vka_prompts *p, bool unguided)
{
    return unguided ? p->count : p->count - p->unconds;
}

const float *vka_prompts_context(const struct vka_prompts *p, bool unguided)
{
    return p->rows + (size_t)(p->count - vka_prompts_held(p, unguided)) * p->tokens * p->width;
}

void vka_prompts_index(const struct vka_prompts *p, uint32_t clip, uint32_t step, const struct vka_guide *g, uint32_t frames,
                       int32_t *index)
{
    uint32_t first = p->count - vka_prompts_held(p, g->unguided);
    for (uint32_t b = 0; b < vka_guide_branches(g); b++) {
        uint32_t part = (uint32_t)(vka_guide_part(g, b) + 1), row = vka_prompts_row(p, clip, part, step) - first;
        for (uint32_t i = 0; i < frames; i++)
            index[(size_t)b * frames + i] = (int32_t)(row + (p->frames[part > 0] > 1 ? i : 0));
    }
}

bool vka_prompts_change(const struct vka_prompts *p, uint32_t clip, uint32_t step)
{
    bool change = step == 0;
    for (uint32_t b = 0; !change && b <= p->conds; b++)
        change = vka_prompts_row(p, clip, b, step) != vka_prompts_row(p, clip, b, step - 1);
    return change;
}

vka_status vka_prompts_init(struct vka_prompts *p, uint32_t clips, uint32_t conds, uint32_t steps, vka_error *err)
{
    uint64_t rows;
    vka_prompts_free(p);
    if (!vka_mul_u64((uint64_t)clips * (1 + (uint64_t)conds), steps, &rows) || rows > SIZE_MAX ||
        !(p->weight = vka_calloc((size_t)clips * conds, sizeof *p->weight)) ||
        !(p->row = vka_calloc((size_t)rows, sizeof *p->row)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    p->clips = clips;
    p->conds = conds;
    p->steps = steps;
    p->frames[0] = p->frames[1] = 1;
    for (size_t i = 0; i < (size_t)clips * conds; i++)
        p->weight[i] = 1;
    return VKA_OK;
}

void vka_prompts_free(struct vka_prompts *p)
{
    free(p->rows);
    free(p->weight);
    free(p->row);
    *p = (struct vka_prompts){0};
}
