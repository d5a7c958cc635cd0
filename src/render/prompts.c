/* prompts.c - see prompts.h. */
#include "render/prompts.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The travel of a branch; NULL where it has none. */
static const struct vka_prompts_way *way_of(const struct vka_prompts *p, uint32_t clip, uint32_t branch)
{
    const struct vka_prompts_way *w = p->way && branch < 2 ? &p->way[2 * (size_t)vka_min_u32(clip, p->clips - 1) + branch] : NULL;
    return w && w->row ? w : NULL;
}

bool vka_prompts_travels(const struct vka_prompts *p)
{
    bool found = p->frames[0] > 1 || p->frames[1] > 1;
    for (uint32_t i = 0; !found && p->way && i < 2 * p->clips; i++)
        found = p->way[i].row != NULL;
    return found;
}

void vka_prompts_blend(const float *a, const float *b, double share, bool slerp, size_t n, float *out)
{
    double from = 1 - share, to = share;
    if (slerp) {
        double aa = 0, bb = 0, ab = 0;
        for (size_t i = 0; i < n; i++) {
            aa += (double)a[i] * (double)a[i];
            bb += (double)b[i] * (double)b[i];
            ab += (double)a[i] * (double)b[i];
        }
        double cosine = ab / sqrt(aa * bb);
        if (fabs(cosine) <= 0.9995) { /* false too where one is nothing but zeros */
            double angle = acos(cosine), all = sin(angle);
            from = sin((1 - share) * angle) / all;
            to = sin(share * angle) / all;
        }
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(from * (double)a[i] + to * (double)b[i]);
}

void vka_prompts_frame(const struct vka_prompts *p, uint32_t clip, uint32_t branch, uint32_t step, uint32_t frame, float *out)
{
    size_t n = (size_t)p->tokens * p->width;
    const struct vka_prompts_way *w = way_of(p, clip, branch);
    uint32_t text[2], row = vka_prompts_row(p, clip, branch, step) + (p->frames[branch > 0] > 1 ? frame : 0);
    if (w) {
        double share = vka_travel_at(&w->travel, vka_min_u32(frame, w->travel.frames - 1), text);
        step = vka_min_u32(step, p->steps - 1);
        row = w->row[(size_t)text[0] * p->steps + step];
        uint32_t other = w->row[(size_t)text[1] * p->steps + step];
        if (share > 0 && other != row) {
            vka_prompts_blend(p->rows + row * n, p->rows + other * n, share, p->slerp, n, out);
            return;
        }
    }
    memcpy(out, p->rows + row * n, n * sizeof *out);
}

void vka_prompts_rows_get(void *user, uint32_t branch, uint32_t frame, float *out)
{
    const struct vka_prompts_rows *r = user;
    vka_prompts_frame(r->prompts, r->clip, (uint32_t)(vka_guide_part(r->guide, branch) + 1), r->step, frame, out);
}

bool vka_prompts_change(const struct vka_prompts *p, uint32_t clip, uint32_t step)
{
    bool change = step == 0;
    for (uint32_t b = 0; !change && b <= p->conds; b++)
        change = vka_prompts_row(p, clip, b, step) != vka_prompts_row(p, clip, b, step - 1);
    for (uint32_t b = 0; !change && step < p->steps && b < 2; b++) {
        const struct vka_prompts_way *w = way_of(p, clip, b);
        for (uint32_t i = 0; w && !change && i < w->travel.text_count; i++)
            change = w->row[(size_t)i * p->steps + step] != w->row[(size_t)i * p->steps + step - 1];
    }
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
    for (uint32_t i = 0; p->way && i < 2 * p->clips; i++) {
        vka_travel_free(&p->way[i].travel);
        free(p->way[i].row);
    }
    free(p->way);
    *p = (struct vka_prompts){0};
}
