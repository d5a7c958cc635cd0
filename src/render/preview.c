/* preview.c - previews during the steps: see preview.h.  The map they take is preview_fit.c's. */
#include "render/preview.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Room for a picture of so many bytes and work of so many floats. */
static bool grow(struct vka_previews *p, size_t bytes, size_t floats)
{
    unsigned char *rgb = vka_grow(p->rgb, &p->rgb_bytes, bytes, 1);
    p->rgb = rgb ? rgb : p->rgb;
    float *work = vka_grow(p->work, &p->work_floats, floats, sizeof *work);
    p->work = work ? work : p->work;
    return rgb && work;
}

bool vka_previews_take(struct vka_previews *p, const struct vka_preview_state *s)
{
    const size_t plane = (size_t)s->height * s->width, values = plane * s->channels;
    const float clean_x = (float)s->e->clean_x, clean_eps = (float)s->e->clean_eps;
    const uint32_t shown = vka_min_u32(s->begun, VKA_PREVIEW_FRAMES);
    p->frames = 0;
    if (!grow(p, shown * plane * 3, values + 3 * (size_t)s->width)) {
        p->on = false;
        return false;
    }
    for (uint32_t i = 0; i < shown; i++) {
        const uint32_t f = vka_preview_frame(s->begun, shown, i);
        const float *x = s->x + f * values, *eps = s->eps + f * values, *clean = x;
        for (size_t v = 0; f >= s->done && v < values; v++)
            p->work[v] = clean_x * x[v] + clean_eps * eps[v];
        if (f >= s->done)
            clean = p->work;
        vka_latent_map_show(&p->map, clean, s->height, s->width, p->work + values, p->rgb + i * plane * 3);
    }
    p->total = s->begun;
    p->frames = shown;
    p->height = s->height;
    p->width = s->width;
    return true;
}

void vka_previews_show(const struct vka_previews *p, const vka_context_params *to, uint32_t clip, uint32_t step, uint32_t steps,
                       double fps)
{
    if (!p->on || !p->frames)
        return;
    const vka_preview preview = {.clip = clip,
                                 .step = step,
                                 .steps = steps,
                                 .frames = p->frames,
                                 .width = p->width,
                                 .height = p->height,
                                 .fps = fps * p->frames / p->total,
                                 .rgb = p->rgb};
    to->preview(to->user, &preview);
}

void vka_previews_end(struct vka_previews *p)
{
    free(p->rgb);
    free(p->work);
    *p = (struct vka_previews){0};
}
