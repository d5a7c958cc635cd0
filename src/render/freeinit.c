/* freeinit.c - see freeinit.h.
 *
 * Between the networks the clip's spectrum is in host memory, rows of pixels as the device has them: [frames, h, w, row], row being
 * the real parts of the channels, rounded up to a multiple of four, and as many imaginary parts. */
#include "render/freeinit.h"

#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

enum { PLANES, LINES, BACK }; /* the parts */
enum { AT_ONCE = 8 << 20 };   /* bytes of a part's input; it has about four tensors of that size */

static uint32_t row_of(const struct vka_freeinit *s) { return 2 * (uint32_t)vka_round_up(s->channels, 4); }

/* Two transforms in a row, the filter behind the first of them where it has one. */
static vka_status build_part(struct vka_freeinit *s, int k, uint32_t samples, uint32_t h, uint32_t w,
                             const struct vka_kernel_table *table, vka_error *err)
{
    static const enum vka_dft_axis axes[VKA_FREEINIT_PARTS][2] = {
        {VKA_DFT_COLUMNS, VKA_DFT_ROWS}, {VKA_DFT_FRAMES, VKA_DFT_FRAMES}, {VKA_DFT_ROWS, VKA_DFT_COLUMNS}};
    struct vka_freeinit_part *p = &s->part[k];
    vka_status st = vka_netrun_begin(&p->run, "FreeInit", 1, samples, NULL, NULL, false, table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &p->run.build;
    p->in = vka_graph_tensor(b, "clip", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, h, w, row_of(s));
    if (k == LINES)
        p->filter = vka_graph_tensor(b, "filter", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, h, w, 1);
    vka_tensor x = p->in;
    for (int i = 0; i < 2; i++) {
        uint32_t length = axes[k][i] == VKA_DFT_FRAMES ? samples : axes[k][i] == VKA_DFT_ROWS ? h : w;
        p->table[i] = vka_graph_tensor(b, "turns", VKA_GLOBAL, VKA_INPUT, VKA_F32, 1, 1, 1, 2 * length);
        x = vka_dft(b, x, axes[k][i], k == BACK || (k == LINES && i), p->table[i], i ? (vka_tensor){0} : p->filter);
    }
    p->out = x;
    vka_graph_output(b, x);
    st = vka_netrun_finish(&p->run, (vka_tensor[]){p->in, p->filter}, 2, err);
    if (st != VKA_OK)
        return st;
    const struct vka_graph *g = p->run.graph;
    p->in_at = vka_io_add(&p->io, vka_tensor_bytes(vka_info(g, p->in)));
    p->out_at = vka_io_add(&p->io, vka_tensor_bytes(vka_info(g, p->out)));
    p->filter_at = p->filter.id ? vka_io_add(&p->io, vka_tensor_bytes(vka_info(g, p->filter))) : 0;
    for (int i = 0; i < 2; i++)
        p->table_at[i] = vka_io_add(&p->io, vka_tensor_bytes(vka_info(g, p->table[i])));
    return VKA_OK;
}

vka_status vka_freeinit_build(struct vka_freeinit *s, uint32_t frames, uint32_t channels, uint32_t height, uint32_t width,
                              const uint32_t *slice, const struct vka_kernel_table *table, vka_error *err)
{
    *s = (struct vka_freeinit){.frames = frames, .channels = channels, .height = height, .width = width};
    uint64_t pixels = (uint64_t)height * width, row = row_of(s) * sizeof(float);
    uint64_t few = AT_ONCE / (pixels * row), some = AT_ONCE / (frames * row);
    uint32_t most[2] = {frames, (uint32_t)pixels}, fit[2];
    for (int i = 0; i < 2; i++) {
        uint64_t n = slice ? slice[i] : i ? some : few;
        fit[i] = n < 1 ? 1 : n < most[i] ? (uint32_t)n : most[i];
    }
    vka_status st = VKA_OK;
    for (int k = 0; st == VKA_OK && k < VKA_FREEINIT_PARTS; k++) {
        st = k == LINES ? build_part(s, k, frames, 1, fit[1], table, err) : build_part(s, k, fit[0], height, width, table, err);
        s->part[k].slice = fit[k == LINES];
    }
    return st;
}

static vka_status plan(struct vka_freeinit_part *p, const struct vka_ask *ask, vka_error *err)
{
    return vka_netrun_ask(&p->run, ask, vka_block_footprint(p->io.bytes), err);
}

vka_status vka_freeinit_ask(struct vka_freeinit *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    s->ask = *ask;
    if (ask->knobs) {
        s->knobs = *ask->knobs;
        s->ask.knobs = &s->knobs;
    }
    vka_status st = VKA_OK;
    *need = 0;
    for (int k = 0; st == VKA_OK && k < VKA_FREEINIT_PARTS; k++) {
        st = plan(&s->part[k], &s->ask, err);
        uint64_t part = s->part[k].run.need + vka_block_footprint(s->part[k].io.bytes);
        *need = part > *need ? part : *need;
    }
    return st;
}

/* ---- a round ---------------------------------------------------------------------------------------------- */

struct mixing {
    struct vka_freeinit *s;
    const struct vka_lowpass_params *filter;
    vka_gpu *gpu;
    const vka_ticker *ticker;
    vka_block *block;
    float *spectrum; /* [frames, h, w, row] */
    float *some;     /* a part's input, output or filter */
};

static vka_status write_tables(struct mixing *m, const struct vka_freeinit_part *p, vka_error *err)
{
    vka_status st = VKA_OK;
    for (int i = 0; st == VKA_OK && i < 2; i++) {
        const struct vka_tensor_info *t = vka_info(p->run.graph, p->table[i]);
        float *turns = vka_calloc(t->pitch, sizeof *turns);
        if (!turns)
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        vka_dft_table(t->c / 2, turns);
        st = vka_block_write(m->gpu, m->block, p->table_at[i], turns, t->pitch * sizeof *turns, err);
        free(turns);
    }
    return st;
}

/* Some pixels of all frames between the spectrum and `some`, which has `slice` of them in a frame. */
static void move_lines(const struct mixing *m, uint32_t slice, uint32_t first, uint32_t n, bool back)
{
    size_t row = row_of(m->s), pixels = (size_t)m->s->height * m->s->width;
    for (size_t f = 0; f < m->s->frames; f++) {
        float *mine = m->spectrum + (f * pixels + first) * row, *theirs = m->some + f * slice * row;
        memcpy(back ? mine : theirs, back ? theirs : mine, n * row * sizeof *mine);
    }
}

static vka_status write_filter(struct mixing *m, const struct vka_freeinit_part *p, uint32_t first, uint32_t n, vka_error *err)
{
    const struct vka_freeinit *s = m->s;
    const struct vka_tensor_info *t = vka_info(p->run.graph, p->filter);
    size_t bytes = (size_t)vka_tensor_bytes(t);
    memset(m->some, 0, bytes);
    for (uint32_t f = 0; f < s->frames; f++)
        for (uint32_t i = 0; i < n; i++)
            m->some[((size_t)f * p->slice + i) * t->pitch] = (float)vka_lowpass_gain(
                m->filter, s->frames, s->height, s->width, f, (first + i) / s->width, (first + i) % s->width);
    return vka_block_write(m->gpu, m->block, p->filter_at, m->some, bytes, err);
}

/* One slice: what is in `some` behind its `n` frames or pixels is an earlier slice's, and nobody reads what becomes of it. */
static vka_status run_slice(struct mixing *m, int k, uint32_t first, uint32_t n, vka_error *err)
{
    struct vka_freeinit_part *p = &m->s->part[k];
    size_t bytes = (size_t)vka_tensor_bytes(vka_info(p->run.graph, p->in));
    size_t frame = (size_t)m->s->height * m->s->width * row_of(m->s);
    vka_status st = k == LINES ? write_filter(m, p, first, n, err) : VKA_OK;
    if (k == LINES)
        move_lines(m, p->slice, first, n, false);
    else
        memcpy(m->some, m->spectrum + first * frame, n * frame * sizeof *m->some);
    if (st == VKA_OK)
        st = vka_block_write(m->gpu, m->block, p->in_at, m->some, bytes, err);
    if (st == VKA_OK)
        st = vka_exec_run(p->run.exec, true, m->ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(m->gpu, m->block, p->out_at, m->some, bytes, err);
    if (st == VKA_OK && k == LINES)
        move_lines(m, p->slice, first, n, true);
    else if (st == VKA_OK)
        memcpy(m->spectrum + first * frame, m->some, n * frame * sizeof *m->some);
    return st;
}

static vka_status run_part(struct mixing *m, int k, vka_error *err)
{
    struct vka_freeinit_part *p = &m->s->part[k];
    uint32_t all = k == LINES ? m->s->height * m->s->width : m->s->frames;
    size_t in = (size_t)vka_tensor_bytes(vka_info(p->run.graph, p->in));
    size_t filter = p->filter.id ? (size_t)vka_tensor_bytes(vka_info(p->run.graph, p->filter)) : 0;
    m->some = vka_calloc(in > filter ? in : filter, 1);
    vka_status st = m->some ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && !p->run.plan) /* a round before this one took it */
        st = plan(p, &m->s->ask, err);
    if (st == VKA_OK)
        st = vka_block_create(m->gpu, p->io.bytes, VKA_MEMORY_DEVICE, false, &m->block, err);
    if (st == VKA_OK)
        st = vka_netrun_start(&p->run, m->gpu, m->ticker, err);
    if (st == VKA_OK) {
        vka_exec_bind(p->run.exec, p->in, m->block->address + p->in_at);
        vka_exec_bind(p->run.exec, p->out, m->block->address + p->out_at);
        if (p->filter.id)
            vka_exec_bind(p->run.exec, p->filter, m->block->address + p->filter_at);
        for (int i = 0; i < 2; i++)
            vka_exec_bind(p->run.exec, p->table[i], m->block->address + p->table_at[i]);
        st = vka_exec_record(p->run.exec, err);
    }
    if (st == VKA_OK)
        st = write_tables(m, p, err);
    for (uint32_t first = 0; st == VKA_OK && first < all; first += p->slice)
        st = run_slice(m, k, first, vka_min_u32(p->slice, all - first), err);
    vka_exec_destroy(&p->run.exec);
    vka_block_destroy(m->gpu, &m->block);
    free(m->some);
    return st;
}

vka_status vka_freeinit_mix(struct vka_freeinit *s, vka_gpu *gpu, const struct vka_lowpass_params *filter, const float *z,
                            const float *eta, float *out, const vka_ticker *ticker, vka_error *err)
{
    const size_t pixels = (size_t)s->height * s->width, row = row_of(s);
    struct mixing m = {.s = s, .filter = filter, .gpu = gpu, .ticker = ticker};
    m.spectrum = vka_calloc((size_t)s->frames * pixels, row * sizeof *m.spectrum);
    if (!m.spectrum)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t f = 0; f < s->frames; f++)
        for (size_t c = 0; c < s->channels; c++)
            for (size_t p = 0, i = (f * s->channels + c) * pixels; p < pixels; p++, i++)
                m.spectrum[(f * pixels + p) * row + c] = z[i] - eta[i];
    vka_status st = VKA_OK;
    for (int k = 0; st == VKA_OK && k < VKA_FREEINIT_PARTS; k++)
        st = run_part(&m, k, err);
    for (size_t f = 0; st == VKA_OK && f < s->frames; f++)
        for (size_t c = 0; c < s->channels; c++)
            for (size_t p = 0, i = (f * s->channels + c) * pixels; p < pixels; p++, i++)
                out[i] = m.spectrum[(f * pixels + p) * row + c] + eta[i];
    free(m.spectrum);
    return st;
}

void vka_freeinit_end(struct vka_freeinit *s)
{
    for (int k = 0; k < VKA_FREEINIT_PARTS; k++)
        vka_netrun_end(&s->part[k].run);
    *s = (struct vka_freeinit){0};
}
