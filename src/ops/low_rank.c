/* low_rank.c - linear layers and convolutions with LoRAs that are not merged: see struct vka_low_rank in ops.h.
 *
 * With t = x D^T of all LoRAs, a narrow tensor whose channels are then multiplied by the sample's weights:
 *   a layer without activation: y, then t U^T with y added, in y's place;
 *   one with an activation: x | t against W | U, one product;
 *   one of what all samples share (text, time): y and t are given to the samples first.
 * Where the weights are 0 a product of zeros is added. */
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/ops.h"

#include <stdio.h>

enum { MOST_PARTS = 3 };

static const vka_tensor none;

/* Channels of t at one layer. */
struct widths {
    uint32_t of[VKA_LOW_RANKS], all; /* all: 0 where no LoRA touches it */
};

static struct widths widths_at(const vka_build *b, vka_scope layer)
{
    struct widths w = {{0}, 0};
    if (b->low_rank && layer.path[0] && b->low_rank->widths(b->low_rank->user, layer.path, w.of))
        for (uint32_t k = 0; k < VKA_LOW_RANKS; k++)
            w.all += w.of[k];
    return w;
}

bool vka_low_rank_touches(const vka_build *b, vka_scope layer)
{
    return widths_at(b, layer).all != 0;
}

static vka_scope factor(vka_scope layer, const char *name)
{
    return vka_in(vka_in(vka_scope_root("lora"), layer.path), name);
}

/* The U of part i of `parts`. */
static vka_scope up_of(vka_scope layer, uint32_t i, uint32_t parts)
{
    char name[32];
    snprintf(name, sizeof name, "up_%u_%u", i, parts);
    return factor(layer, parts == 1 ? "up" : name);
}

/* A layer that the rule has no place for. */
static vka_tensor refuse(vka_build *b, vka_scope layer)
{
    vka_build_fail(b, VKA_E_INPUT, "a LoRA changes '%s', whose weight cannot differ from frame to frame", layer.path);
    return none;
}

/* t [n, h, w, parts * w->all] times the samples' weights. */
static vka_tensor weigh(vka_build *b, vka_tensor t, vka_scope at, const struct widths *w, uint32_t parts)
{
    const struct vka_low_rank *l = b->low_rank;
    for (uint32_t k = 0; k < VKA_LOW_RANKS; k++)
        if (w->of[k] == w->all) /* the only one: all parts at once */
            return vka_scale_channels(b, t, 0, parts * w->all, l->table, l->first + k, factor(at, "weight"));
    for (uint32_t part = 0, from = 0; part < parts; part++)
        for (uint32_t k = 0; k < VKA_LOW_RANKS; from += w->of[k++])
            if (w->of[k])
                t = vka_scale_channels(b, t, from, w->of[k], l->table, l->first + k, factor(at, "weight"));
    return t;
}

/* A tensor of all samples together, each sample's own row of it. */
static vka_tensor own(vka_build *b, vka_tensor x, vka_scope label)
{
    if (!vka_build_ok(b, x) || vka_info(b->graph, x)->domain == VKA_SAMPLE)
        return x;
    return vka_spread(b, x, vka_info(b->graph, x)->n == 1 ? none : b->low_rank->index, label);
}

/* y + w t U^T, in place of y, for parts of layers side by side. */
static vka_tensor add_product(vka_build *b, vka_tensor t, vka_tensor y, const vka_scope *layer, uint32_t parts, uint32_t heads_out,
                              bool out_f32)
{
    struct vka_linear_args up = {.at = up_of(layer[0], 0, parts), .stacked = parts - 1, .heads_out = heads_out, .no_bias = true,
                                 .add = y, .out_f32 = out_f32};
    for (uint32_t i = 1; i < parts; i++)
        up.stack[i - 1] = up_of(layer[i], i, parts);
    return vka_matmul_linear(b, t, &up);
}

vka_tensor vka_linear(vka_build *b, vka_tensor x, const struct vka_linear_args *a)
{
    if (!vka_build_ok(b, x) || !b->low_rank)
        return vka_matmul_linear(b, x, a);
    const vka_scope layer[MOST_PARTS] = {a->at, a->stack[0], a->stack[1]};
    const struct widths w = widths_at(b, a->at);
    uint32_t parts = 1 + a->stacked;
    for (uint32_t i = 1; i < parts && i < MOST_PARTS; i++)
        if (widths_at(b, layer[i]).all != w.all) {
            vka_build_fail(b, VKA_E_INTERNAL, "%s: stacked layers with low-rank products of different widths", layer[i].path);
            return none;
        }
    if (!w.all || parts > MOST_PARTS)
        return vka_matmul_linear(b, x, a);
    bool global = vka_info(b->graph, x)->domain == VKA_GLOBAL, acts = a->act != VKA_ACT_NONE;
    bool x_f32 = vka_info(b->graph, x)->dtype == VKA_F32;
    if ((global && (a->norm.id || a->add.id || a->x2.id || a->sample_bias.id)) ||
        (acts && (a->x2.id || a->norm.id || a->positions.id || a->heads_in || a->act_in != VKA_ACT_NONE || parts > 1)))
        return refuse(b, a->at);

    vka_tensor y = acts ? none : own(b, vka_matmul_linear(b, x, a), factor(a->at, "samples"));
    struct vka_linear_args down = {.at = factor(a->at, "down"), .stacked = a->stacked, .heads_in = a->heads_in, .no_bias = true,
                                   .x2 = a->x2, .norm = a->norm, .act_in = a->act_in, .positions = a->positions,
                                   .out_f32 = acts ? x_f32 : a->out_f32};
    for (uint32_t i = 1; i < parts; i++)
        down.stack[i - 1] = factor(layer[i], "down");
    vka_tensor t = own(b, vka_matmul_linear(b, x, &down), factor(a->at, "down samples"));
    t = weigh(b, t, a->at, &w, parts);
    if (!acts)
        return add_product(b, t, y, layer, parts, a->heads_out, a->out_f32);
    struct vka_linear_args both = *a;
    both.x2 = t;
    both.x2_at = up_of(a->at, 0, 1);
    return vka_matmul_linear(b, own(b, x, factor(a->at, "samples")), &both);
}

vka_tensor vka_conv(vka_build *b, vka_tensor x, const struct vka_conv_args *a)
{
    if (!vka_build_ok(b, x) || !b->low_rank)
        return vka_matmul_conv(b, x, a);
    const struct widths w = widths_at(b, a->at), shortcut = widths_at(b, a->shortcut);
    if (a->act != VKA_ACT_NONE && (w.all || shortcut.all))
        return refuse(b, a->at);
    vka_tensor y = vka_matmul_conv(b, x, a);
    if (w.all) {
        struct vka_conv_args down = {.at = factor(a->at, "down"), .kernel = a->kernel, .stride = a->stride,
                                     .pad = {a->pad[0], a->pad[1], a->pad[2], a->pad[3]}, .upsample_h = a->upsample_h,
                                     .upsample_w = a->upsample_w};
        vka_tensor t = weigh(b, vka_matmul_conv(b, x, &down), a->at, &w, 1);
        y = add_product(b, t, y, &a->at, 1, 0, a->out_f32);
    }
    if (shortcut.all) {
        struct vka_linear_args down = {.at = factor(a->shortcut, "down"), .no_bias = true, .x2 = a->x3};
        vka_tensor t = weigh(b, vka_matmul_linear(b, a->x2, &down), a->shortcut, &shortcut, 1);
        y = add_product(b, t, y, &a->shortcut, 1, 0, a->out_f32);
    }
    return y;
}
