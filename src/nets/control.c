/* control.c - ControlNets (Zhang et al. 2023) and SparseCtrl encoders (Guo et al. 2023) beside a UNet.
 *
 * hint     : convolutions of 3 x 3, every second of stride 2, SiLU between them, down to the latents' size; or one alone
 * input    : conv_in of the noisy sample + hint; in SparseCtrl conv_in of nothing, which is its bias, + hint
 * blocks   : the UNet's down blocks and middle, with weights of their own, and in SparseCtrl motion modules of one attention
 * residuals: a convolution of 1 x 1 of every skip, and of the middle
 *
 * It runs when the UNet's own middle is done: each residual goes into the UNet's skip at once, in place, and only the control's
 * present tensor is alive beside it.  Group norms of its ResNets cover each frame alone in every kind. */
#include "nets/parts.h"

#include <stdio.h>

/* The hint as the network has it: of the first convolution's channels at the latents' size.  `bias`: added at the end. */
static vka_tensor embed_hint(vka_build *b, const struct vka_net_control_args *a, vka_scope at, vka_tensor bias, vka_tensor add)
{
    const vka_control_info *info = a->info;
    struct vka_conv_args conv = {.kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}, .act = VKA_ACT_SILU};
    vka_tensor x = a->hint;
    if (info->kind != VKA_CONTROL_SPARSE_RGB) {
        x = vka_hint(b, x, info->hint_channels, info->hint_bgr);
        conv.at = vka_in(at, "conv_in");
        x = vka_conv(b, x, &conv);
        for (uint32_t i = 0; i < info->hint_convs; i++) {
            conv.at = vka_in_index(at, "blocks", i);
            conv.stride = 1 + i % 2;
            x = vka_conv(b, x, &conv);
        }
        at = vka_in(at, "conv_out");
    }
    return vka_conv(b, x, &(struct vka_conv_args){.at = at, .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}, .sample_bias = bias,
                                                  .add = add});
}

/* What goes into the control's first block. */
static vka_tensor input(vka_build *b, const struct vka_net_control_args *a, vka_scope root, vka_tensor sample)
{
    vka_scope hint = vka_in(root, "controlnet_cond_embedding"), conv_in = vka_in(root, "conv_in");
    if (a->info->kind != VKA_CONTROL_NET)
        return embed_hint(b, a, hint, vka_weight_rows(b, conv_in, "bias"), (vka_tensor){0});
    vka_tensor x = vka_conv(b, sample, &(struct vka_conv_args){.at = conv_in, .kernel = 3, .stride = 1, .pad = {1, 1, 1, 1}});
    return embed_hint(b, a, hint, (vka_tensor){0}, x);
}

/* A control and the UNet that it adds to. */
struct control {
    vka_build *b;
    const struct vka_net_control_args *args;
    vka_tensor table; /* of weights */
    struct vka_net_encoder *unet;
    vka_scope root;
    uint32_t done; /* outputs */
};

/* to + (w factor) (1 x 1 convolution of x), for the next output. */
static vka_tensor fold(struct control *c, vka_tensor to, vka_tensor x, vka_scope at)
{
    vka_build *b = c->b;
    const struct vka_net_control_args *a = c->args;
    uint32_t output = c->done++;
    if (b->err.status != VKA_OK)
        return to;
    vka_tensor residual = vka_linear(b, x, &(struct vka_linear_args){.at = at});
    const struct vka_tensor_info *r = vka_info(b->graph, residual), *t = vka_info(b->graph, to);
    if (output >= a->info->outputs || (residual.id && (r->c != t->c || r->h != t->h || r->w != t->w))) {
        vka_build_fail(b, VKA_E_INPUT, "'%s' does not fit what the UNet has there", at.path);
        return to;
    }
    vka_tensor sum =
        vka_add_scaled_by(b, to, residual, c->table, a->channel, a->layers ? a->layers[output] : 1, vka_in(at, "added"));
    vka_graph_end_segment(b, sum); /* no motion module parts the blocks of a ControlNet */
    return sum;
}

static void take(void *user, vka_tensor x)
{
    struct control *c = user;
    uint32_t i = c->done;
    if (i >= c->unet->skip_count)
        vka_build_fail(c->b, VKA_E_INPUT, "'%s' has more blocks than the UNet", c->root.path);
    else
        c->unet->skips[i] = fold(c, c->unet->skips[i], x, vka_in_index(c->root, "controlnet_down_blocks", i));
}

vka_tensor vka_net_control(struct vka_net_encoder *unet, const struct vka_unet_inputs *in, uint32_t number, vka_tensor middle)
{
    const struct vka_net_control_args *a = &in->controls[number];
    char name[16];
    snprintf(name, sizeof name, "control%u", (unsigned)number);
    struct control c = {unet->b, a, in->amount.table, unet, vka_scope_root(name), 0};
    struct vka_net_encoder e = {.b = unet->b,
                                .root = c.root,
                                .c = &a->info->unet,
                                .take = take,
                                .user = &c,
                                .motion = a->info->motion.slots ? &a->info->motion : NULL,
                                .norms = {.motion_joint = unet->norms.motion_joint},
                                .text = {.context = in->context, .index = in->index}};
    vka_graph_end_segment(unet->b, middle);
    vka_net_encoder_time(&e, in->timestep, false);
    vka_tensor x = vka_net_encoder_down(&e, input(unet->b, a, c.root, in->sample));
    x = vka_net_encoder_middle(&e, x);
    return fold(&c, middle, x, vka_in(c.root, "controlnet_mid_block"));
}
