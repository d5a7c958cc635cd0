/* hints.c - see hints.h. */
#include "render/hints.h"

#include "render/pixels.h"

#include <stdlib.h>

vka_status vka_hints_stage_build(struct vka_hints_stage *s, const struct vka_hint_params *p, uint32_t height, uint32_t width,
                                 const struct vka_kernel_table *table, vka_error *err)
{
    *s = (struct vka_hints_stage){.height = height, .width = width};
    vka_status st = vka_netrun_begin(&s->run, "hint", 1, 1, NULL, NULL, false, table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->run.build;
    s->ends.in = vka_graph_tensor(b, "picture", VKA_GLOBAL, VKA_INPUT, VKA_U8X4, 1, height, width, 1);
    s->ends.out = vka_net_hint(b, p, s->ends.in);
    vka_graph_output(b, s->ends.out);
    st = vka_netrun_finish(&s->run, &s->ends.in, 1, err);
    if (st != VKA_OK)
        return st;
    vka_ends_add(&s->ends, &s->run, &s->io);
    return VKA_OK;
}

vka_status vka_hints_stage_ask(struct vka_hints_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    return vka_netrun_ask_io(&s->run, &s->io, ask, need, err);
}

vka_status vka_hints_stage_start(struct vka_hints_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    return vka_ends_start(&s->ends, &s->run, &s->io, gpu, ticker, err);
}

vka_status vka_hints_stage_run(struct vka_hints_stage *s, const uint8_t *rgb_in, uint8_t *rgb_out, const vka_ticker *ticker,
                               vka_error *err)
{
    const size_t pixels = (size_t)s->height * s->width;
    uint8_t *raw = vka_calloc(pixels, 4);
    if (!raw)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_rgb_to_pixels(rgb_in, pixels, raw);
    vka_status st = vka_ends_run(&s->ends, &s->run, raw, 4 * pixels, raw, 4 * pixels, ticker, err);
    if (st == VKA_OK)
        vka_rgb_from_pixels(raw, pixels, rgb_out);
    free(raw);
    return st;
}

void vka_hints_stage_end(struct vka_hints_stage *s)
{
    vka_ends_end(&s->ends, &s->run);
    *s = (struct vka_hints_stage){0};
}
