/* hints.c - see hints.h. */
#include "render/hints.h"

#include "render/pixels.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[VKA_HINT_KINDS] = {"canny", "lineart", "softedge", "tile", "invert"};

bool vka_hint_from_name(const char *name, enum vka_hint_kind *out)
{
    for (int i = 0; i < VKA_HINT_KINDS; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum vka_hint_kind)i;
            return true;
        }
    return false;
}

const char *vka_hint_name(enum vka_hint_kind kind)
{
    return kind < VKA_HINT_KINDS ? names[kind] : "none";
}

vka_status vka_hints_stage_build(struct vka_hints_stage *s, const struct vka_hint_params *p, uint32_t height, uint32_t width,
                                 const struct vka_kernel_table *table, vka_error *err)
{
    *s = (struct vka_hints_stage){.height = height, .width = width};
    vka_status st = vka_netrun_begin(&s->run, "hint", 1, 1, NULL, NULL, false, table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->run.build;
    s->in = vka_graph_tensor(b, "picture", VKA_GLOBAL, VKA_INPUT, VKA_U8X4, 1, height, width, 1);
    s->out = vka_net_hint(b, p, s->in);
    vka_graph_output(b, s->out);
    st = vka_netrun_finish(&s->run, &s->in, 1, err);
    if (st != VKA_OK)
        return st;
    s->in_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->run.graph, s->in)));
    s->out_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->run.graph, s->out)));
    return VKA_OK;
}

vka_status vka_hints_stage_ask(struct vka_hints_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    uint64_t other = vka_block_footprint(s->io.bytes);
    vka_status st = vka_netrun_ask(&s->run, ask, other, err);
    *need = s->run.need + other;
    return st;
}

vka_status vka_hints_stage_start(struct vka_hints_stage *s, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    s->gpu = gpu;
    vka_status st = vka_block_create(gpu, s->io.bytes, VKA_MEMORY_DEVICE, false, &s->block, err);
    if (st == VKA_OK)
        st = vka_netrun_start(&s->run, gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    vka_exec_bind(s->run.exec, s->in, s->block->address + s->in_at);
    vka_exec_bind(s->run.exec, s->out, s->block->address + s->out_at);
    return vka_exec_record(s->run.exec, err);
}

vka_status vka_hints_stage_run(struct vka_hints_stage *s, const uint8_t *rgb_in, uint8_t *rgb_out, const vka_ticker *ticker,
                               vka_error *err)
{
    const size_t pixels = (size_t)s->height * s->width;
    uint8_t *raw = vka_calloc(pixels, 4);
    if (!raw)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_rgb_to_pixels(rgb_in, pixels, raw);
    vka_status st = vka_block_write(s->gpu, s->block, s->in_at, raw, 4 * pixels, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->run.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(s->gpu, s->block, s->out_at, raw, 4 * pixels, err);
    if (st == VKA_OK)
        vka_rgb_from_pixels(raw, pixels, rgb_out);
    free(raw);
    return st;
}

void vka_hints_stage_end(struct vka_hints_stage *s)
{
    vka_netrun_end(&s->run);
    if (s->gpu)
        vka_block_destroy(s->gpu, &s->block);
    *s = (struct vka_hints_stage){0};
}

vka_status vka_hints_process(vka_gpu *gpu, const struct vka_kernel_table *table, uint64_t budget,
                             const struct vka_hint_params *p, uint32_t height, uint32_t width, const uint8_t *rgb_in,
                             uint8_t *rgb_out, const vka_ticker *ticker, vka_error *err)
{
    struct vka_hints_stage s;
    uint64_t need = 0;
    vka_status st = vka_hints_stage_build(&s, p, height, width, table, err);
    if (st == VKA_OK)
        st = vka_hints_stage_ask(&s, &(struct vka_ask){.room = {budget, UINT64_MAX}}, &need, err);
    if (st == VKA_OK && need > budget)
        st = vka_fail(err, VKA_E_MEMORY, "a hint of %u x %u needs %.1f MiB, the budget is %.1f MiB", width, height,
                      (double)need / 1048576, (double)budget / 1048576);
    if (st == VKA_OK)
        st = vka_hints_stage_start(&s, gpu, ticker, err);
    if (st == VKA_OK)
        st = vka_hints_stage_run(&s, rgb_in, rgb_out, ticker, err);
    vka_hints_stage_end(&s);
    return st;
}
