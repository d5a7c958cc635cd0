/* netrun.c - see netrun.h. */
#include "render/netrun.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(struct vka_weight_data *out, const vka_weight *w)
{
    *out = (struct vka_weight_data){.name = w->name, .data = w->data, .dtype = w->dtype, .rank = w->rank,
                                    .changes = w->changes, .scales = w->scales, .scale_run = w->scale_run};
    memcpy(out->dims, w->dims, sizeof out->dims);
}

/* A positional table for the block that `name` belongs to: as wide as the block's first norm. */
static bool make_positions(struct vka_name_source *s, const vka_weights *table_of, const char *name,
                           struct vka_weight_data *out)
{
    static const char suffix[] = "pos_embed.pe";
    size_t n = strlen(name), tail = sizeof suffix - 1;
    char norm[256];
    if (n < tail || strcmp(name + n - tail, suffix) != 0 || n + 16 > sizeof norm)
        return false;
    memcpy(norm, name, n - tail);
    memcpy(norm + n - tail, "norm1.weight", sizeof "norm1.weight");
    const vka_weight *w = vka_weights_find(table_of, norm);
    if (!w || w->rank != 1)
        return false;
    if (!out)
        return true;
    size_t width = (size_t)w->dims[0];
    float *table = vka_arena_alloc(&s->arena, s->positions * width * sizeof *table);
    char *copy = vka_arena_strdup(&s->arena, name);
    if (!table || !copy)
        return false;
    for (uint32_t t = 0; t < s->positions; t++)
        for (size_t i = 0; i < width; i++) {
            double angle = t * exp(-log(10000.0) * (double)(i / 2 * 2) / (double)width);
            table[t * width + i] = (float)(i % 2 ? cos(angle) : sin(angle));
        }
    *out = (struct vka_weight_data){.name = copy, .data = table, .dtype = VKA_WEIGHT_F32, .rank = 2,
                                    .dims = {s->positions, width}};
    return true;
}

static bool find(void *user, const char *name, struct vka_weight_data *out)
{
    struct vka_name_source *s = user;
    bool temporal = strstr(name, "motion_modules.");
    vka_weights *table = temporal && s->motion ? s->motion : s->part;
    for (uint32_t i = 0; i < s->more_count; i++) {
        size_t n = strlen(s->more[i].prefix);
        if (strncmp(name, s->more[i].prefix, n) == 0) {
            table = s->more[i].table;
            name += n;
            break;
        }
    }
    const vka_weight *w = out ? vka_weights_use(table, name) : vka_weights_find(table, name);
    if (!w)
        return temporal && make_positions(s, table, name, out);
    if (out)
        fill(out, w);
    return true;
}

static void to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    (void)user;
    enum vka_weight_dtype t = (enum vka_weight_dtype)w->dtype;
    if (w->changes) {
        vka_lora_numbers(w->changes, first, count, out);
        return;
    }
    vka_dtype_to_f32(out, (const char *)w->data + first * vka_dtype_size(t), t, (size_t)count);
    vka_dtype_scale(out, w->scales, w->scale_run, first, count);
}

vka_status vka_netrun_begin(struct vka_netrun *run, const char *name, uint32_t branches, uint32_t frames,
                            vka_weights *part, vka_weights *motion, bool f16, const struct vka_kernel_table *table,
                            vka_error *err)
{
    *run = (struct vka_netrun){.names = {.part = part, .motion = motion, .positions = frames > 64 ? frames : 64},
                               .table = *table};
    run->graph = vka_graph_create(name, branches, frames);
    if (!run->graph)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    run->build = (vka_build){.graph = run->graph, .source = {&run->names, find, to_f32}, .table = &run->table,
                             .storage = f16 ? VKA_F16 : VKA_F32, .weights = f16 ? VKA_F16 : VKA_F32};
    return VKA_OK;
}

vka_status vka_netrun_more(struct vka_netrun *run, const char *prefix, vka_weights *table, vka_error *err)
{
    struct vka_name_source *s = &run->names;
    if (s->more_count == VKA_NAME_SOURCES || strlen(prefix) >= sizeof s->more[0].prefix)
        return vka_fail(err, VKA_E_USAGE, "a network of more than %d files", VKA_NAME_SOURCES + 2);
    snprintf(s->more[s->more_count].prefix, sizeof s->more[0].prefix, "%s", prefix);
    s->more[s->more_count++].table = table;
    return VKA_OK;
}

vka_status vka_netrun_finish(struct vka_netrun *run, const vka_tensor *changing, uint32_t count, vka_error *err)
{
    return vka_build_finish(&run->build, changing, count, err);
}

vka_status vka_netrun_plan(struct vka_netrun *run, uint64_t budget, uint64_t other, vka_error *err)
{
    return vka_netrun_ask(run, &(struct vka_ask){.room = {budget, UINT64_MAX}}, other, err);
}

vka_status vka_netrun_ask(struct vka_netrun *run, const struct vka_ask *ask, uint64_t other, vka_error *err)
{
    vka_plan_destroy(&run->plan);
    return vka_exec_plan(run->graph, &run->table, ask, other, &run->plan, &run->need, err);
}

vka_status vka_netrun_seconds(const struct vka_netrun *run, const struct vka_rates *rates, double *seconds, vka_error *err)
{
    struct vka_addresses at;
    uint64_t *store;
    vka_status s = vka_addresses_fake(run->plan, &at, &store, err);
    if (s != VKA_OK)
        return s;
    struct vka_program *p = vka_program_record(run->plan, &run->table, &at, rates, err);
    free(store);
    if (!p)
        return VKA_E_MEMORY;
    *seconds += vka_program_seconds(p);
    vka_program_destroy(&p);
    return VKA_OK;
}

vka_status vka_netrun_start(struct vka_netrun *run, vka_gpu *gpu, const vka_ticker *ticker, vka_error *err)
{
    struct vka_plan *plan = run->plan;
    run->plan = NULL;
    return vka_exec_create(&run->exec, gpu, plan, &run->table, ticker, err);
}

vka_status vka_netrun_repack(struct vka_netrun *run, const vka_ticker *ticker, vka_error *err)
{
    return run->exec ? vka_exec_repack(run->exec, ticker, err) : VKA_OK;
}

void vka_netrun_end(struct vka_netrun *run)
{
    vka_exec_destroy(&run->exec);
    vka_plan_destroy(&run->plan);
    vka_graph_destroy(&run->graph);
    vka_arena_free(&run->names.arena);
    *run = (struct vka_netrun){0};
}

uint64_t vka_io_add(struct vka_io *io, uint64_t bytes)
{
    uint64_t at = io->bytes;
    io->bytes = vka_round_up(at + bytes, VKA_PLAN_ALIGN);
    return at;
}

vka_status vka_netrun_ask_io(struct vka_netrun *run, const struct vka_io *io, const struct vka_ask *ask, uint64_t *need,
                             vka_error *err)
{
    uint64_t other = vka_block_footprint(io->bytes);
    vka_status st = vka_netrun_ask(run, ask, other, err);
    *need = run->need + other;
    return st;
}

/* ---- one input, one output ------------------------------------------------------------------------------------ */

void vka_ends_add(struct vka_ends *e, const struct vka_netrun *run, struct vka_io *io)
{
    e->in_at = vka_io_add(io, vka_tensor_bytes(vka_info(run->graph, e->in)));
    e->out_at = vka_io_add(io, vka_tensor_bytes(vka_info(run->graph, e->out)));
}

vka_status vka_ends_start(struct vka_ends *e, struct vka_netrun *run, const struct vka_io *io, vka_gpu *gpu,
                          const vka_ticker *ticker, vka_error *err)
{
    e->gpu = gpu;
    vka_status st = vka_block_create(gpu, io->bytes, VKA_MEMORY_DEVICE, false, &e->block, err);
    if (st == VKA_OK)
        st = vka_netrun_start(run, gpu, ticker, err);
    if (st != VKA_OK)
        return st;
    vka_exec_bind(run->exec, e->in, e->block->address + e->in_at);
    vka_exec_bind(run->exec, e->out, e->block->address + e->out_at);
    return vka_exec_record(run->exec, err);
}

vka_status vka_ends_run(struct vka_ends *e, struct vka_netrun *run, const void *in, size_t in_bytes, void *out,
                        size_t out_bytes, const vka_ticker *ticker, vka_error *err)
{
    vka_status st = vka_block_write(e->gpu, e->block, e->in_at, in, in_bytes, err);
    if (st == VKA_OK)
        st = vka_exec_run(run->exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(e->gpu, e->block, e->out_at, out, out_bytes, err);
    return st;
}

void vka_ends_end(struct vka_ends *e, struct vka_netrun *run)
{
    vka_netrun_end(run);
    if (e->gpu)
        vka_block_destroy(e->gpu, &e->block);
    *e = (struct vka_ends){0};
}

/* ---- layouts -------------------------------------------------------------------------------------------------- */

void vka_planes_to_pixels(float *dst, const float *src, uint32_t n, uint32_t c, uint32_t h, uint32_t w)
{
    size_t pixels = (size_t)h * w, pitch = vka_pitch(c);
    memset(dst, 0, n * pixels * pitch * sizeof *dst);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < pixels; p++)
                dst[(i * pixels + p) * pitch + k] = src[(i * c + k) * pixels + p];
}

void vka_pixels_to_planes(float *dst, const float *src, uint32_t n, uint32_t c, uint32_t h, uint32_t w)
{
    size_t pixels = (size_t)h * w, pitch = vka_pitch(c);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < pixels; p++)
                dst[(i * c + k) * pixels + p] = src[(i * pixels + p) * pitch + k];
}
