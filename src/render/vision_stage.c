/* vision_stage.c - see vision_stage.h.
 *
 * Encoder and projections take the device one after the other; between them the encoder's outputs are in host memory. */
#include "render/vision_stage.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

/* ---- networks ---- */

static vka_status place(struct vka_vision_net *n, vka_error *err)
{
    for (int i = 0; i < 2; i++)
        if (n->out[i].id)
            vka_graph_output(&n->run.build, n->out[i]);
    vka_status st = vka_netrun_finish(&n->run, &n->in, 1, err);
    if (st != VKA_OK)
        return st;
    n->in_at = vka_io_add(&n->io, vka_tensor_bytes(vka_info(n->run.graph, n->in)));
    for (int i = 0; i < 2; i++)
        if (n->out[i].id)
            n->out_at[i] = vka_io_add(&n->io, vka_tensor_bytes(vka_info(n->run.graph, n->out[i])));
    return VKA_OK;
}

static vka_status build_projection(struct vka_vision_stage *s, uint32_t ip, vka_error *err)
{
    struct vka_vision_net *n = &s->projection[ip];
    const struct vka_vision_ip *a = &s->p.ips[ip];
    bool plain = a->info->kind == VKA_IP_PLAIN;
    vka_status st = vka_netrun_begin(&n->run, "image projection", 1, 1, a->projection, NULL, s->p.f16, &s->p.table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &n->run.build;
    n->in = vka_graph_tensor(b, "picture", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, plain ? 1 : s->patches + 1, a->info->takes);
    n->out[0] = vka_net_ip_tokens(b, a->info, n->in);
    return place(n, err);
}

vka_status vka_vision_stage_build(struct vka_vision_stage *s, const struct vka_vision_params *p, vka_error *err)
{
    const vka_vision_config *c = p->config;
    uint32_t side = c->image / c->patch;
    bool embeds = p->outputs && c->projection, hidden = p->outputs;
    *s = (struct vka_vision_stage){.p = *p, .patches = side * side, .largest = -1, .numbers = 3 * c->patch * c->patch};
    for (uint32_t i = 0; i < p->ip_count; i++) {
        bool plain = p->ips[i].info->kind == VKA_IP_PLAIN;
        embeds = embeds || plain;
        hidden = hidden || !plain;
    }
    struct vka_vision_net *n = &s->encoder;
    vka_status st = vka_netrun_begin(&n->run, "image encoder", 1, 1, p->weights, NULL, p->f16, &p->table, err);
    if (st != VKA_OK)
        return st;
    vka_build *b = &n->run.build;
    n->in = vka_graph_tensor(b, "patches", VKA_SAMPLE, VKA_INPUT, VKA_F32, 0, 1, s->patches, s->numbers);
    struct vka_vision_out out = vka_net_vision(b, c, n->in, embeds, hidden);
    n->out[0] = out.embeds;
    n->out[1] = out.hidden;
    st = place(n, err);
    for (uint32_t i = 0; st == VKA_OK && i < p->ip_count; i++)
        st = build_projection(s, i, err);
    return st;
}

uint32_t vka_vision_stage_tokens(const struct vka_vision_stage *s, uint32_t ip)
{
    const vka_ip_info *i = s->p.ips[ip].info;
    return i->kind == VKA_IP_FULL ? s->patches + 1 : i->tokens;
}

const struct vka_vision_net *vka_vision_stage_largest(const struct vka_vision_stage *s)
{
    return s->largest < 0 ? &s->encoder : &s->projection[s->largest];
}

vka_status vka_vision_stage_ask(struct vka_vision_stage *s, const struct vka_ask *ask, uint64_t *need, vka_error *err)
{
    vka_status st = VKA_OK;
    *need = 0;
    s->largest = -1;
    for (int32_t i = -1; st == VKA_OK && i < (int32_t)s->p.ip_count; i++) {
        struct vka_vision_net *n = i < 0 ? &s->encoder : &s->projection[i];
        uint64_t other = vka_block_footprint(n->io.bytes);
        st = vka_netrun_ask(&n->run, ask, other, err);
        if (st != VKA_OK || n->run.need + other <= *need)
            continue;
        *need = n->run.need + other;
        s->largest = i;
    }
    return st;
}

/* ---- running ---- */

static size_t numbers(const struct vka_vision_net *n, vka_tensor t)
{
    const struct vka_tensor_info *i = vka_info(n->run.graph, t);
    return (size_t)i->h * i->w * i->c;
}

/* One tensor [1, 1, rows, c] between host and device; `raw` has room for it. */
static vka_status send(struct vka_vision_net *n, vka_gpu *gpu, vka_block *block, const float *in, float *raw, vka_error *err)
{
    const struct vka_tensor_info *i = vka_info(n->run.graph, n->in);
    size_t rows = (size_t)i->h * i->w;
    memset(raw, 0, rows * i->pitch * sizeof *raw);
    for (size_t r = 0; in && r < rows; r++)
        memcpy(raw + r * i->pitch, in + r * i->c, i->c * sizeof *raw);
    return vka_block_write(gpu, block, n->in_at, raw, rows * i->pitch * sizeof *raw, err);
}

static vka_status receive(struct vka_vision_net *n, vka_gpu *gpu, vka_block *block, int which, float *out, void *raw, vka_error *err)
{
    const struct vka_tensor_info *i = vka_info(n->run.graph, n->out[which]);
    vka_status st = vka_block_read(gpu, block, n->out_at[which], raw, (size_t)vka_tensor_bytes(i), err);
    for (size_t r = 0; st == VKA_OK && r < (size_t)i->h * i->w; r++)
        for (size_t k = 0; k < i->c; k++)
            out[r * i->c + k] = i->dtype == VKA_F16 ? vka_half_to_float(((uint16_t *)raw)[r * i->pitch + k])
                                                    : ((float *)raw)[r * i->pitch + k];
    return st;
}

/* `count` inputs and one of zeros behind them where `zeros`; outputs one behind the other, NULL: not wanted.  Ends the network. */
static vka_status run_net(struct vka_vision_net *n, vka_gpu *gpu, const float *in, uint32_t count, bool zeros, float *const out[2],
                          const vka_ticker *ticker, const vka_log *log, vka_error *err)
{
    vka_block *block = NULL;
    void *raw = malloc((size_t)n->io.bytes);
    vka_status st = raw ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_block_create(gpu, n->io.bytes, VKA_MEMORY_DEVICE, false, &block, err);
    if (st == VKA_OK)
        st = vka_netrun_start(&n->run, gpu, ticker, err);
    if (st == VKA_OK) {
        vka_exec_bind(n->run.exec, n->in, block->address + n->in_at);
        for (int k = 0; k < 2; k++)
            if (n->out[k].id)
                vka_exec_bind(n->run.exec, n->out[k], block->address + n->out_at[k]);
        st = vka_exec_record(n->run.exec, err);
    }
    for (uint32_t i = 0; st == VKA_OK && i < count + zeros; i++) {
        st = send(n, gpu, block, i < count ? in + i * numbers(n, n->in) : NULL, raw, err);
        if (st == VKA_OK)
            st = vka_exec_run(n->run.exec, true, ticker, err);
        for (int k = 0; st == VKA_OK && k < 2; k++)
            if (out[k] && n->out[k].id)
                st = receive(n, gpu, block, k, out[k] + i * numbers(n, n->out[k]), raw, err);
    }
    if (st == VKA_OK)
        vka_exec_times(n->run.exec, log);
    vka_netrun_end(&n->run);
    if (block)
        vka_block_destroy(gpu, &block);
    free(raw);
    return st;
}

static float *room(size_t count, size_t each)
{
    return vka_calloc(count * each, sizeof(float));
}

/* The tokens of adapter `ip`, whose pictures begin at number `first` of `all`; number `all` is that of zeros. */
static vka_status project(struct vka_vision_stage *s, vka_gpu *gpu, uint32_t ip, uint32_t first, uint32_t all, const float *embeds,
                          const float *hidden, float *tokens, const vka_ticker *ticker, const vka_log *log, vka_error *err)
{
    const struct vka_vision_ip *a = &s->p.ips[ip];
    bool plain = a->info->kind == VKA_IP_PLAIN;
    size_t each = numbers(&s->projection[ip], s->projection[ip].in);
    float *const out[2] = {tokens, NULL};
    if (plain)
        return run_net(&s->projection[ip], gpu, embeds + first * each, a->pictures, true, out, ticker, log, err);
    float *in = room((size_t)a->pictures + 1, each);
    if (!in)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    memcpy(in, hidden + first * each, a->pictures * each * sizeof *in);
    memcpy(in + a->pictures * each, hidden + all * each, each * sizeof *in);
    vka_status st = run_net(&s->projection[ip], gpu, in, a->pictures + 1, false, out, ticker, log, err);
    free(in);
    return st;
}

vka_status vka_vision_stage_run(struct vka_vision_stage *s, vka_gpu *gpu, const float *patches, uint32_t extra, float *const *tokens,
                                float *embeds, float *hidden, const vka_ticker *ticker, const vka_log *log, vka_error *err)
{
    struct vka_vision_net *n = &s->encoder;
    uint32_t all = s->p.ip_count ? 0 : extra, first = 0;
    bool zeros = false;
    for (uint32_t i = 0; i < s->p.ip_count; i++) {
        all += s->p.ips[i].pictures;
        zeros = zeros || s->p.ips[i].info->kind != VKA_IP_PLAIN;
    }
    size_t e = n->out[0].id ? numbers(n, n->out[0]) : 0, h = n->out[1].id ? numbers(n, n->out[1]) : 0;
    float *own[2] = {e ? room((size_t)all + 1, e) : NULL, h ? room((size_t)all + 1, h) : NULL};
    vka_status st = (e && !own[0]) || (h && !own[1]) ? vka_fail(err, VKA_E_MEMORY, "out of memory") : VKA_OK;
    if (st == VKA_OK)
        st = run_net(n, gpu, patches, all, zeros, own, ticker, log, err);
    for (uint32_t i = 0; st == VKA_OK && i < s->p.ip_count; i++) {
        st = project(s, gpu, i, first, all, own[0], own[1], tokens[i], ticker, log, err);
        first += s->p.ips[i].pictures;
    }
    if (st == VKA_OK && embeds && e)
        memcpy(embeds, own[0], all * e * sizeof *embeds);
    if (st == VKA_OK && hidden && h)
        memcpy(hidden, own[1], all * h * sizeof *hidden);
    free(own[0]);
    free(own[1]);
    return st;
}

void vka_vision_stage_end(struct vka_vision_stage *s)
{
    vka_netrun_end(&s->encoder.run);
    for (uint32_t i = 0; i < VKA_MAX_IPS; i++)
        vka_netrun_end(&s->projection[i].run);
    *s = (struct vka_vision_stage){0};
}

/* ---- pictures ---- */

/* Where number (channel, y, x) of a picture lies among the patches. */
static size_t place_of(const vka_vision_config *c, uint32_t channel, uint32_t y, uint32_t x)
{
    uint32_t p = c->patch, side = c->image / p;
    size_t patch = (size_t)(y / p) * side + x / p;
    return patch * 3 * p * p + (size_t)channel * p * p + (size_t)(y % p) * p + x % p;
}

void vka_vision_unfold(const vka_vision_config *c, const uint8_t *rgb, float *patches)
{
    /* of the pictures that CLIP was trained on, Radford et al. 2021, in 0 .. 1 */
    static const double mean[3] = {0.48145466, 0.4578275, 0.40821073}, deviation[3] = {0.26862954, 0.26130258, 0.27577711};
    for (uint32_t y = 0; y < c->image; y++)
        for (uint32_t x = 0; x < c->image; x++)
            for (uint32_t k = 0; k < 3; k++)
                patches[place_of(c, k, y, x)] = (float)((*rgb++ / 255.0 - mean[k]) / deviation[k]);
}

void vka_vision_unfold_planes(const vka_vision_config *c, const float *planes, float *patches)
{
    for (uint32_t k = 0; k < 3; k++)
        for (uint32_t y = 0; y < c->image; y++)
            for (uint32_t x = 0; x < c->image; x++)
                patches[place_of(c, k, y, x)] = *planes++;
}
