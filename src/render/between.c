/* between.c - see between.h. */
#include "render/between.h"

#include "nets/between.h"
#include "render/pixels.h"

#include <stdlib.h>

vka_status vka_between_stage_build(struct vka_between_stage *s, uint32_t frames, uint32_t height, uint32_t width,
                                   const struct vka_kernel_table *table, vka_error *err)
{
    *s = (struct vka_between_stage){.frames = frames, .height = height, .width = width};
    vka_status st = vka_netrun_begin(&s->run, "between", 1, 1, NULL, NULL, false, table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->run.build;
    s->ends.in = vka_graph_tensor(b, "pictures", VKA_GLOBAL, VKA_INPUT, VKA_U8X4, 2, height, width, 1);
    s->ends.out = vka_net_between(b, s->ends.in, frames);
    vka_graph_output(b, s->ends.out);
    st = vka_netrun_finish(&s->run, &s->ends.in, 1, err);
    if (st != VKA_OK)
        return st;
    vka_ends_add(&s->ends, &s->run, &s->io);
    return VKA_OK;
}

vka_status vka_between_stage_ask(struct vka_between_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    return vka_netrun_ask_io(&s->run, &s->io, ask, need, err);
}

vka_status vka_between_stage_start(struct vka_between_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    return vka_ends_start(&s->ends, &s->run, &s->io, gpu, ticker, err);
}

vka_status vka_between_stage_run(struct vka_between_stage *s, const uint8_t *first, const uint8_t *second, uint8_t *out,
                                 const vka_ticker *ticker, vka_error *err)
{
    const size_t one = (size_t)s->height * s->width;
    uint8_t *raw = vka_calloc(one * (s->frames > 2 ? s->frames : 2), 4);
    if (!raw)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_rgb_to_pixels(first, one, raw);
    vka_rgb_to_pixels(second, one, raw + 4 * one);
    vka_status st = vka_ends_run(&s->ends, &s->run, raw, 8 * one, raw, 4 * one * s->frames, ticker, err);
    if (st == VKA_OK)
        vka_rgb_from_pixels(raw, one * s->frames, out);
    free(raw);
    return st;
}

void vka_between_stage_end(struct vka_between_stage *s)
{
    vka_ends_end(&s->ends, &s->run);
    *s = (struct vka_between_stage){0};
}

/* ---- order ---------------------------------------------------------------------------------------------------- */

uint32_t vka_between_count(const struct vka_between_order *o)
{
    return o->closed ? o->frames * o->each : (o->frames - 1) * o->each + 1;
}

uint32_t vka_between_pairs(const struct vka_between_order *o)
{
    return o->each < 2 ? 0 : o->closed ? o->frames : o->frames - 1;
}

bool vka_between_frame(const struct vka_between_order *o, uint32_t index, uint32_t *rendered_or_pair, uint32_t *which)
{
    *rendered_or_pair = index / o->each;
    *which = index % o->each;
    if (*which == 0)
        return false;
    --*which;
    return true;
}
