/* text_stage.c - the text encoder as a stage.  See stages.h.
 *
 * Vectors of embeddings are more rows of the table of tokens: the network's view of the model's weights shows a longer table, and
 * its numbers come from the file up to the end of the vocabulary, from there on from the vectors. */
#include "render/stages.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

static const char g_table[] = "text_model.embeddings.token_embedding.weight";

static bool is_table(const struct vka_text_stage *s, const struct vka_weight_data *w)
{
    return w->rank == 2 && w->dims[1] == s->width && !strcmp(w->name, g_table);
}

static bool find_longer(void *user, const char *name, struct vka_weight_data *out)
{
    const struct vka_text_stage *s = user;
    if (!s->source.find(s->source.user, name, out))
        return false;
    if (out && !strcmp(name, g_table) && is_table(s, out))
        out->dims[0] += s->extra.count;
    return true;
}

static void longer_to_f32(void *user, const struct vka_weight_data *w, uint64_t first, uint64_t count, float *out)
{
    const struct vka_text_stage *s = user;
    struct vka_weight_data own = *w;
    if (is_table(s, w)) {
        own.dims[0] -= s->extra.count;
        uint64_t end = own.dims[0] * own.dims[1], mine = first >= end ? 0 : first + count > end ? end - first : count;
        if (count > mine)
            memcpy(out + mine, s->extra.rows + (first + mine - end), (size_t)(count - mine) * sizeof *out);
        count = mine;
    }
    if (count)
        s->source.to_f32(s->source.user, &own, first, count, out);
}

vka_status vka_text_stage_build(struct vka_text_stage *s, vka_weights *weights, const vka_text_config *c, uint32_t skip,
                                uint32_t chunks, uint32_t tokens, bool f16, const struct vka_kernel_table *table,
                                vka_error *err)
{
    return vka_text_stage_build_extra(s, weights, c, skip, chunks, tokens, NULL, f16, table, err);
}

vka_status vka_text_stage_build_extra(struct vka_text_stage *s, vka_weights *weights, const vka_text_config *c, uint32_t skip,
                                      uint32_t chunks, uint32_t tokens, const struct vka_extra_tokens *extra, bool f16,
                                      const struct vka_kernel_table *table, vka_error *err)
{
    *s = (struct vka_text_stage){.chunks = chunks, .tokens = tokens, .width = c->hidden};
    if (skip > c->layers) /* all of them left out: the embeddings, as transformers has it */
        return vka_fail(err, VKA_E_USAGE, "--clip-skip %u: the text encoder has only %u layers", skip + 1, c->layers);
    vka_status st = vka_netrun_begin(&s->run, "text encoder", 1, chunks, weights, NULL, f16, table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &s->run.build;
    if (extra && extra->count) {
        s->extra = *extra;
        s->source = b->source;
        b->source = (struct vka_weight_source){s, find_longer, longer_to_f32};
    }
    s->ids = vka_graph_tensor(b, "ids", VKA_SAMPLE, VKA_INPUT, VKA_I32, 0, 1, tokens, 1);
    s->out = vka_net_text(b, c, s->ids, skip);
    vka_graph_output(b, s->out);
    st = vka_netrun_finish(&s->run, &s->ids, 1, err);
    if (st != VKA_OK)
        return st;
    s->ids_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->run.graph, s->ids)));
    s->out_at = vka_io_add(&s->io, vka_tensor_bytes(vka_info(s->run.graph, s->out)));
    return VKA_OK;
}

vka_status vka_text_stage_plan(struct vka_text_stage *s, uint64_t budget, uint64_t *need, vka_error *err)
{
    return vka_text_stage_ask(s, &(struct vka_ask){.room = {budget, UINT64_MAX}}, need, err);
}

vka_status vka_text_stage_ask(struct vka_text_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    return vka_netrun_ask_io(&s->run, &s->io, ask, need, err);
}

vka_status vka_text_stage_run(struct vka_text_stage *s, vka_gpu *gpu, const uint32_t *ids, float *out,
                              const vka_ticker *ticker, const vka_log *log, vka_error *err)
{
    size_t count = (size_t)s->chunks * s->tokens, pitch = vka_pitch(s->width);
    const struct vka_tensor_info *o = vka_info(s->run.graph, s->out);
    size_t bytes = (size_t)vka_tensor_bytes(o);
    void *raw = malloc(bytes);
    vka_status st = raw ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_block_create(gpu, s->io.bytes, VKA_MEMORY_DEVICE, false, &s->block, err);
    if (st == VKA_OK)
        st = vka_netrun_start(&s->run, gpu, ticker, err);
    if (st == VKA_OK) {
        vka_exec_bind(s->run.exec, s->ids, s->block->address + s->ids_at);
        vka_exec_bind(s->run.exec, s->out, s->block->address + s->out_at);
        st = vka_exec_record(s->run.exec, err);
    }
    if (st == VKA_OK)
        st = vka_block_write(gpu, s->block, s->ids_at, ids, count * sizeof *ids, err);
    if (st == VKA_OK)
        st = vka_exec_run(s->run.exec, true, ticker, err);
    if (st == VKA_OK)
        st = vka_block_read(gpu, s->block, s->out_at, raw, bytes, err);
    if (st == VKA_OK) {
        vka_exec_times(s->run.exec, log);
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < s->width; k++)
                out[i * s->width + k] = o->dtype == VKA_F16 ? vka_half_to_float(((uint16_t *)raw)[i * pitch + k])
                                                            : ((float *)raw)[i * pitch + k];
    }
    vka_netrun_end(&s->run);
    if (s->block)
        vka_block_destroy(gpu, &s->block);
    free(raw);
    return st;
}

void vka_text_stage_end(struct vka_text_stage *s) { vka_netrun_end(&s->run); }
