/* graph_build.h - synthetic operators and a machine that runs them on the host, to test graphs and plans without a
 * device.
 *
 * An operator's kernel turns the bits of what it reads into the bits of what it writes (a hash), so that a byte that
 * is missing, stale or from a neighbour shows in the outputs.  All tensors are 32 bits per element.  The kinds read
 * as the real operators do:
 *     ROW      the same pixel of each input (a linear layer); the last one by the element, so that it can be in place
 *     NEAR     of the first input the 3 x 3 pixels around (a convolution), of the others the same pixel
 *     PICTURE  all pixels of the same sample (a norm's statistics); sizes may differ
 *     FRAMES   the same pixel of all frames of the branch (temporal attention)
 *     JOINT    everything of the branch (a norm over frames)
 *     TABLE    global tensors only */
#ifndef VKA_TESTS_GRAPH_BUILD_H
#define VKA_TESTS_GRAPH_BUILD_H

#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

enum fake_kind { FAKE_ROW, FAKE_NEAR, FAKE_PICTURE, FAKE_FRAMES, FAKE_JOINT, FAKE_TABLE };

struct fake_params {
    uint32_t kind, number;
};

struct fake_view {
    uint64_t address;
    uint32_t sample_stride, n, pixels, pitch, c;
    uint32_t domain; /* 2: absent */
};

enum { FAKE_INPUTS = 4 };

struct fake_call {
    uint32_t kind, number, inputs, frames;
    uint32_t s0, p0; /* of the part */
    uint32_t width;  /* of the output */
    struct fake_view in[FAKE_INPUTS], out;
};

static inline uint32_t fake_mix(uint32_t h, uint32_t v)
{
    h = (h ^ v) * 0x9e3779b1u;
    return h ^ h >> 15;
}

static inline uint32_t *fake_row(const struct fake_view *v, uint32_t s, uint32_t p)
{
    return (uint32_t *)(uintptr_t)v->address + (size_t)s * v->sample_stride + (size_t)p * v->pitch;
}

static inline uint32_t fake_hash_row(uint32_t h, const struct fake_view *v, uint32_t s, uint32_t p)
{
    const uint32_t *row = fake_row(v, s, p);
    for (uint32_t c = 0; c < v->pitch; c++)
        h = fake_mix(h, row[c]);
    return h;
}

/* The pixels of sample s around pixel p of the part, as far as there are any; a part's view begins a row earlier, if there is
 * one. */
static inline uint32_t fake_hash_near(uint32_t h, const struct fake_call *k, const struct fake_view *v, uint32_t s, uint32_t p)
{
    uint32_t y = p / k->width + (k->p0 ? 1 : 0), x = p % k->width;
    for (uint32_t dy = 0; dy < 3; dy++)
        for (uint32_t dx = 0; dx < 3; dx++) {
            uint32_t row = y + dy - 1, column = x + dx - 1; /* those before the first wrap round */
            bool inside = row < v->pixels / k->width && column < k->width;
            h = inside ? fake_hash_row(h, v, s, row * k->width + column) : fake_mix(h, dy);
        }
    return h;
}

/* What the output's row (s, p) of the part depends on, in one number; the last input of a ROW is left out. */
static inline uint32_t fake_hash_inputs(const struct fake_call *k, uint32_t s, uint32_t p)
{
    uint32_t h = k->number, branch = s / k->frames * k->frames, count = k->inputs;
    if (k->kind == FAKE_ROW)
        count--;
    for (uint32_t i = 0; i < count; i++) {
        const struct fake_view *v = &k->in[i];
        h = fake_mix(h, i);
        if (v->domain == 2)
            continue;
        if (v->domain == VKA_GLOBAL) {
            for (uint32_t n = 0; n < v->n; n++)
                for (uint32_t q = 0; q < v->pixels; q++)
                    h = fake_hash_row(h, v, n, q);
            continue;
        }
        switch ((enum fake_kind)k->kind) {
        case FAKE_ROW:
            h = fake_hash_row(h, v, s, v->pixels == 1 ? 0 : p);
            break;
        case FAKE_NEAR:
            h = i == 0 ? fake_hash_near(h, k, v, s, p) : fake_hash_row(h, v, s, v->pixels == 1 ? 0 : p);
            break;
        case FAKE_PICTURE:
            for (uint32_t q = 0; q < v->pixels; q++)
                h = fake_hash_row(h, v, s, q);
            break;
        case FAKE_FRAMES:
            for (uint32_t f = 0; f < k->frames; f++)
                h = fake_hash_row(h, v, branch + f, v->pixels == 1 ? 0 : p);
            break;
        case FAKE_JOINT:
            for (uint32_t f = 0; f < k->frames; f++)
                for (uint32_t q = 0; q < v->pixels; q++)
                    h = fake_hash_row(h, v, branch + f, q);
            break;
        case FAKE_TABLE:
            break;
        }
    }
    return h;
}

/* The kernel: part by part it makes the same bits as at once. */
static inline void fake_run(const struct fake_call *k)
{
    bool by_pixel = k->kind == FAKE_ROW || k->kind == FAKE_NEAR || k->kind == FAKE_FRAMES;
    for (uint32_t s = 0; s < k->out.n; s++)
        for (uint32_t p = 0, read = 0; p < k->out.pixels; p++) {
            if (p == 0 || by_pixel)
                read = fake_hash_inputs(k, s, p);
            uint32_t h = fake_mix(read, k->out.domain == VKA_GLOBAL ? s : k->s0 + s);
            h = fake_mix(h, k->out.pixels == 1 ? 0 : k->p0 + p);
            uint32_t *to = fake_row(&k->out, s, p);
            const struct fake_view *v = k->kind == FAKE_ROW ? &k->in[k->inputs - 1] : NULL;
            const uint32_t *from = NULL;
            if (v && v->domain != 2)
                from = v->domain == VKA_GLOBAL ? fake_row(v, 0, 0) : fake_row(v, s, v->pixels == 1 ? 0 : p);
            for (uint32_t c = 0; c < k->out.pitch; c++) {
                uint32_t e = fake_mix(h, c);
                to[c] = from && c < v->pitch ? fake_mix(e, from[c]) : e;
            }
        }
}

static inline struct fake_view fake_view_of(const struct vka_view *v, bool there)
{
    return (struct fake_view){v->address, v->sample_stride, v->n, v->pixels, v->pitch, v->c, there ? 0 : 2};
}

/* ---- the operator ------------------------------------------------------------------------------------ */

static inline void fake_cost(const struct vka_graph *g, const struct vka_node *node, struct vka_cost *cost)
{
    const struct vka_tensor_info *o = vka_info(g, node->out[0]);
    cost->flop = cost->bytes = (double)vka_tensor_bytes(o);
}

static inline uint32_t fake_axes(const struct vka_graph *g, const struct vka_node *node)
{
    const struct fake_params *p = (const struct fake_params *)(const void *)node->params;
    static const uint32_t axes[] = {[FAKE_ROW] = VKA_AXIS_SAMPLE | VKA_AXIS_PIXEL,
                                    [FAKE_NEAR] = VKA_AXIS_SAMPLE | VKA_AXIS_ROW,
                                    [FAKE_PICTURE] = VKA_AXIS_SAMPLE,
                                    [FAKE_FRAMES] = VKA_AXIS_PIXEL,
                                    [FAKE_JOINT] = 0,
                                    [FAKE_TABLE] = 0};
    return vka_info(g, node->out[0])->domain == VKA_SAMPLE ? axes[p->kind] : 0;
}

static inline uint32_t fake_halo(const struct vka_node *node)
{
    const struct fake_params *p = (const struct fake_params *)(const void *)node->params;
    return p->kind == FAKE_NEAR ? 1 : 0;
}

/* Which tensors are global a recorder does not tell: fake_complete adds it. */
static inline void fake_record(const struct vka_node *node, struct vka_recorder *r)
{
    const struct fake_params *p = (const struct fake_params *)(const void *)node->params;
    struct fake_call k = {.kind = p->kind,
                          .number = p->number,
                          .inputs = node->inputs,
                          .frames = r->frames,
                          .s0 = r->part.s0,
                          .p0 = r->part.p0,
                          .width = r->out[0].w};
    for (uint32_t i = 0; i < node->inputs; i++)
        k.in[i] = fake_view_of(&r->in[i], node->in[i].id != 0);
    k.out = fake_view_of(&r->out[0], true);
    struct vka_dispatch d = {.groups = {1, 1, 1}, .push_bytes = 8};
    uint64_t at = r->args(r, &k, sizeof k);
    memcpy(d.push, &at, sizeof at);
    r->emit(r, &d);
}

static const struct vka_op fake_op = {
    .name = "fake", .cost = fake_cost, .axes = fake_axes, .record = fake_record, .halo = fake_halo};

/* A node with one output [n, h, w, c]; its number makes its bits its own.  in_place: the last input of a ROW may be
 * written over. */
static inline vka_tensor fake_node(vka_build *b, enum fake_kind kind, enum vka_domain domain, uint32_t h, uint32_t w,
                                   uint32_t c, const vka_tensor *in, uint32_t inputs, bool in_place)
{
    struct fake_params p = {kind, b->graph->node_count};
    char label[32] = "node ";
    for (uint32_t i = 0, v = p.number, ten = 100; i < 3; i++, ten /= 10)
        label[5 + i] = (char)('0' + v / ten % 10);
    vka_tensor out = vka_graph_tensor(b, label, domain, VKA_TEMP, VKA_F32, 1, h, w, c);
    int32_t node = vka_graph_node(b, &fake_op, vka_scope_root(label), in, inputs, &out, 1, &p, sizeof p);
    if (in_place)
        vka_graph_in_place(b, node, inputs - 1);
    return out;
}

static inline vka_tensor fake_input(vka_build *b, enum vka_domain domain, uint32_t h, uint32_t w, uint32_t c)
{
    return vka_graph_tensor(b, "input", domain, VKA_INPUT, VKA_F32, 1, h, w, c);
}

static inline void fake_begin(vka_build *b, uint32_t branches, uint32_t frames)
{
    *b = (vka_build){.graph = vka_graph_create("synthetic graph", branches, frames)};
}

/* ---- random graphs ----------------------------------------------------------------------------------- */

static inline uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

struct pool {
    vka_tensor items[128];
    uint32_t count;
};

static inline vka_tensor any(const struct pool *p, uint32_t *seed)
{
    return p->count == 0 ? (vka_tensor){0}
                         : p->items[draw(seed, 3) ? p->count - 1 - draw(seed, p->count < 3 ? p->count : 3)
                                                  : draw(seed, p->count)];
}

/* A tensor of the clip that a node over h x w pixels may read pixel by pixel. */
static inline vka_tensor fitting(const vka_build *b, const struct pool *p, uint32_t h, uint32_t w, uint32_t *seed)
{
    for (int attempt = 0; attempt < 8; attempt++) {
        vka_tensor t = any(p, seed);
        const struct vka_tensor_info *i = vka_info(b->graph, t);
        if (i->h * i->w == 1 || (i->h == h && i->w == w))
            return t;
    }
    return (vka_tensor){0};
}

struct case_graph {
    vka_build b;
    vka_tensor clip, step;
};

static inline struct case_graph random_graph(uint32_t seed)
{
    static const uint32_t sizes[][2] = {{1, 1}, {3, 5}, {4, 4}, {6, 11}, {1, 40}};
    struct case_graph c;
    struct pool clip = {0}, global = {0};
    uint32_t branches = 1 + draw(&seed, 3), frames = draw(&seed, 3) ? 1 + draw(&seed, 5) : 1, nodes = 4 + draw(&seed, 36);
    fake_begin(&c.b, branches, frames);
    vka_build *b = &c.b;
    const uint32_t *size = sizes[1 + draw(&seed, 4)];
    c.clip = clip.items[clip.count++] = fake_input(b, VKA_SAMPLE, size[0], size[1], 8);
    c.step = global.items[global.count++] = fake_input(b, VKA_GLOBAL, 1, 1, 8);
    global.items[global.count++] = fake_input(b, VKA_GLOBAL, 1, 3, 16);
    for (uint32_t i = 0; i < nodes && i < 100; i++) {
        uint32_t r = draw(&seed, 26), channels = 8 * (1 + draw(&seed, 3));
        vka_tensor first = any(&clip, &seed);
        const struct vka_tensor_info like = *vka_info(b->graph, first);
        vka_tensor in[4] = {first};
        if (r < 3 || (r > 19 && r < 22)) { /* global */
            vka_tensor g[2] = {any(&global, &seed), any(&global, &seed)};
            if (draw(&seed, 2) && vka_info(b->graph, g[1])->w == 1) { /* of one row, so that the last can be in place */
                global.items[global.count++] =
                    fake_node(b, FAKE_ROW, VKA_GLOBAL, 1, 1, vka_info(b->graph, g[1])->c, g, 2, true);
                continue;
            }
            global.items[global.count++] =
                fake_node(b, FAKE_TABLE, VKA_GLOBAL, 1, 1 + draw(&seed, 3), channels, g, 2, false);
            continue;
        }
        if (r >= 22) {
            in[1] = fitting(b, &clip, like.h, like.w, &seed);
            clip.items[clip.count++] = fake_node(b, FAKE_NEAR, VKA_SAMPLE, like.h, like.w, channels, in, 2, false);
            continue;
        }
        if (r < 12) { /* rows: the last input may be in place, and may be the first one too */
            in[1] = draw(&seed, 3) ? fitting(b, &clip, like.h, like.w, &seed) : any(&global, &seed);
            in[2] = draw(&seed, 2) ? any(&global, &seed) : (vka_tensor){0};
            in[3] = draw(&seed, 3) ? fitting(b, &clip, like.h, like.w, &seed) : (vka_tensor){0};
            uint32_t inputs = 2 + draw(&seed, 3);
            vka_tensor newest = clip.items[clip.count - 1];
            if (draw(&seed, 2) && vka_info(b->graph, newest)->h == like.h && vka_info(b->graph, newest)->w == like.w) {
                in[0] = clip.items[draw(&seed, clip.count)];
                in[0] =
                    vka_info(b->graph, in[0])->h == like.h && vka_info(b->graph, in[0])->w == like.w ? in[0] : first;
                in[inputs - 1] = newest;
            }
            if (draw(&seed, 2) && in[inputs - 1].id)
                channels = vka_info(b->graph, in[inputs - 1])->c;
            clip.items[clip.count++] =
                fake_node(b, FAKE_ROW, VKA_SAMPLE, like.h, like.w, channels, in, inputs, draw(&seed, 3) > 0);
            continue;
        }
        if (r < 16) {
            size = draw(&seed, 2) ? sizes[draw(&seed, 5)] : (const uint32_t[]){like.h, like.w};
            in[1] = any(&clip, &seed);
            clip.items[clip.count++] = fake_node(b, FAKE_PICTURE, VKA_SAMPLE, size[0], size[1], channels, in, 2, false);
            continue;
        }
        if (r < 19) {
            in[1] = fitting(b, &clip, like.h, like.w, &seed);
            clip.items[clip.count++] = fake_node(b, FAKE_FRAMES, VKA_SAMPLE, like.h, like.w, channels, in, 2, false);
            continue;
        }
        clip.items[clip.count++] = fake_node(b, FAKE_JOINT, VKA_SAMPLE, 1, 1, channels, in, 1, false);
    }
    for (uint32_t i = 0; i < 1 + clip.count / 8; i++) {
        vka_tensor t = i == 0 ? clip.items[clip.count - 1] : any(&clip, &seed);
        if (vka_info(b->graph, t)->role == VKA_TEMP)
            vka_graph_output(b, t);
    }
    const vka_tensor changing[] = {c.clip, c.step};
    vka_build_finish(b, changing, 2, NULL);
    return c;
}

/* ---- running ----------------------------------------------------------------------------------------- */

/* Completes a recorded call: which tensors are global is the graph's to say. */
static inline void fake_complete(struct fake_call *k, const struct vka_graph *g, const struct vka_node *node)
{
    for (uint32_t i = 0; i < node->inputs; i++)
        if (k->in[i].domain != 2)
            k->in[i].domain = (uint32_t)vka_info(g, node->in[i])->domain;
    k->out.domain = (uint32_t)vka_info(g, node->out[0])->domain;
}

/* Runs the graph node by node, whole, each tensor in memory of its own; `memory` [tensor_count] holds inputs and
 * gets the rest. */
static inline void fake_reference(const struct vka_graph *g, uint32_t **memory, bool first)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct vka_node *n = &g->nodes[i];
        const struct fake_params *p = (const struct fake_params *)(const void *)n->params;
        if (n->once && !first)
            continue;
        struct fake_call k = {.kind = p->kind, .number = p->number, .inputs = n->inputs, .frames = g->frames,
                              .width = vka_info(g, n->out[0])->w};
        for (uint32_t t = 0; t <= n->inputs; t++) {
            vka_tensor id = t < n->inputs ? n->in[t] : n->out[0];
            const struct vka_tensor_info *info = vka_info(g, id);
            struct fake_view v = {(uint64_t)(uintptr_t)memory[id.id],
                                  info->h * info->w * info->pitch,
                                  info->n,
                                  info->h * info->w,
                                  info->pitch,
                                  info->c,
                                  id.id ? (uint32_t)info->domain : 2};
            *(t < n->inputs ? &k.in[t] : &k.out) = v;
        }
        fake_run(&k);
    }
}

/* Runs a recorded program.  Between barriers steps may run in any order: they run in one that `order` picks (0: as
 * recorded). */
static inline bool fake_program_run(const struct vka_program *p, bool first, uint32_t order)
{
    uint32_t *queue = malloc((p->step_count + 1) * sizeof *queue);
    void **host = calloc(p->plan->parking_count + 1, sizeof *host); /* parked tensors */
    bool good = queue && host;
    for (uint32_t i = 0; good && i < p->plan->parking_count; i++)
        good = (host[i] = malloc(p->plan->host_blocks[p->plan->parkings[i].host_block])) != NULL;
    for (uint32_t l = 0; good && l < p->list_count; l++) {
        const struct vka_program_list *list = &p->lists[l];
        if (list->once && !first)
            continue;
        if (list->parking) {
            void *there = host[list->parking - 1], *here = (void *)(uintptr_t)list->parked;
            memcpy(list->leaving ? there : here, list->leaving ? here : there, list->parked_bytes);
        }
        for (uint32_t i = list->step, end = list->step + list->steps; i < end;) {
            uint32_t count = 0;
            do
                queue[count++] = i++;
            while (i < end && !p->steps[i].barrier);
            for (uint32_t k = count; order && k > 1; k--) {
                uint32_t other = (order = order * 1664525u + 1013904223u) / 65536 % k, held = queue[k - 1];
                queue[k - 1] = queue[other];
                queue[other] = held;
            }
            for (uint32_t k = 0; k < count; k++) {
                const struct vka_step *s = &p->steps[queue[k]];
                for (uint32_t d = s->launch; d < s->launch + s->launches; d++) {
                    uint64_t at;
                    struct fake_call call;
                    memcpy(&at, p->launches[d].push, sizeof at);
                    memcpy(&call, p->args + (at - 256), sizeof call); /* programs here are recorded with args at 256 */
                    fake_complete(&call, p->plan->graph, s->node);
                    fake_run(&call);
                }
            }
        }
    }
    for (uint32_t i = 0; host && i < p->plan->parking_count; i++)
        free(host[i]);
    free(host);
    free(queue);
    return good;
}

#endif
