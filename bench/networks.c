/* networks.c - see networks.h.  Walks a topology and adds each name with its shape; nothing here is taken from what the
 * networks of src/nets ask for. */
#include "networks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    vka_weights *weights;
    const struct networks_numbers *numbers;
    bool failed;
};

static void add(struct table *t, uint32_t rank, const uint64_t *dims, const char *fmt, ...) VKA_PRINTF(4, 5);
static void add(struct table *t, uint32_t rank, const uint64_t *dims, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    vka_weight w = {.name = name, .dtype = VKA_WEIGHT_F16, .rank = rank, .bytes = 2};
    for (uint32_t i = 0; i < rank; i++) {
        w.dims[i] = dims[i];
        w.bytes *= dims[i];
    }
    uint64_t count = w.bytes / 2, at = 0;
    if (t->numbers && count > t->numbers->count) {
        t->failed = true;
        return;
    }
    for (const char *c = name; t->numbers && *c; c++)
        at = at * 31 + (unsigned char)*c;
    if (t->numbers)
        w.data = t->numbers->halves + at % (t->numbers->count - count + 1);
    t->failed = t->failed || !vka_weights_add(t->weights, name, &w);
}

static void norm(struct table *t, const char *at, const char *name, uint64_t n)
{
    add(t, 1, &n, "%s%s.weight", at, name);
    add(t, 1, &n, "%s%s.bias", at, name);
}

static void matrix(struct table *t, const char *at, const char *name, uint64_t rows, uint64_t columns, bool bias)
{
    const uint64_t dims[2] = {rows, columns};
    add(t, 2, dims, "%s%s.weight", at, name);
    if (bias)
        add(t, 1, dims, "%s%s.bias", at, name);
}

static void convolution(struct table *t, const char *at, const char *name, uint64_t out, uint64_t in, uint64_t k)
{
    const uint64_t dims[4] = {out, in, k, k};
    add(t, 4, dims, "%s%s.weight", at, name);
    add(t, 1, dims, "%s%s.bias", at, name);
}

static bool begin(struct table *t, const char *title, const struct networks_numbers *numbers)
{
    *t = (struct table){.weights = vka_weights_new(title), .numbers = numbers};
    return t->weights != NULL;
}

static vka_weights *end(struct table *t)
{
    vka_error err = {0};
    if (!t->failed && vka_weights_finish(t->weights, &err) == VKA_OK)
        return t->weights;
    vka_weights_free(t->weights);
    return NULL;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static void resnet(struct table *t, const char *block, uint32_t i, uint64_t in, uint64_t out, uint64_t time)
{
    char at[128];
    snprintf(at, sizeof at, "%sresnets.%u.", block, i);
    norm(t, at, "norm1", in);
    convolution(t, at, "conv1", out, in, 3);
    if (time)
        matrix(t, at, "time_emb_proj", out, time, true);
    norm(t, at, "norm2", out);
    convolution(t, at, "conv2", out, out, 3);
    if (in != out)
        convolution(t, at, "conv_shortcut", out, in, 1);
}

/* A transformer block of width c whose second attention looks at rows of width `other`. */
static void transformer_block(struct table *t, const char *at, uint64_t c, uint32_t attentions, uint64_t other)
{
    char a[256];
    for (uint32_t k = 1; k <= attentions; k++) {
        uint64_t from = k == 2 ? other : c;
        snprintf(a, sizeof a, "%sattn%u.", at, k);
        matrix(t, a, "to_q", c, c, false);
        matrix(t, a, "to_k", c, from, false);
        matrix(t, a, "to_v", c, from, false);
        matrix(t, a, "to_out.0", c, c, true);
        snprintf(a, sizeof a, "norm%u", k);
        norm(t, at, a, c);
    }
    norm(t, at, "norm3", c);
    matrix(t, at, "ff.net.0.proj", 8 * c, c, true);
    matrix(t, at, "ff.net.2", c, 4 * c, true);
}

static void spatial(struct table *t, const char *block, uint32_t i, uint64_t c, uint32_t depth, uint64_t text)
{
    char at[128], deep[192];
    snprintf(at, sizeof at, "%sattentions.%u.", block, i);
    norm(t, at, "norm", c);
    convolution(t, at, "proj_in", c, c, 1);
    convolution(t, at, "proj_out", c, c, 1);
    for (uint32_t d = 0; d < depth; d++) {
        snprintf(deep, sizeof deep, "%stransformer_blocks.%u.", at, d);
        transformer_block(t, deep, c, 2, text);
    }
}

vka_weights *networks_unet_table(const vka_unet_config *c, const struct networks_numbers *numbers)
{
    struct table t;
    if (!begin(&t, "a UNet without a file", numbers))
        return NULL;
    uint64_t skips[64], x = c->channels[0], time = c->time_embed_dim, text = c->cross_attention_dim;
    uint32_t skip = 0, n = c->levels;
    char block[64];
    convolution(&t, "", "conv_in", x, c->in_channels, 3);
    matrix(&t, "", "time_embedding.linear_1", time, c->channels[0], true);
    matrix(&t, "", "time_embedding.linear_2", time, time, true);
    skips[skip++] = x;
    for (uint32_t l = 0; l < n; l++) {
        snprintf(block, sizeof block, "down_blocks.%u.", l);
        for (uint32_t j = 0; j < c->layers[l]; j++) {
            resnet(&t, block, j, x, c->channels[l], time);
            x = c->channels[l];
            if (c->depth[l])
                spatial(&t, block, j, x, c->depth[l], text);
            skips[skip++] = x;
        }
        if (l + 1 < n) {
            convolution(&t, block, "downsamplers.0.conv", x, x, 3);
            skips[skip++] = x;
        }
    }
    for (uint32_t j = 0; j < c->mid_resnets; j++)
        resnet(&t, "mid_block.", j, x, x, time);
    if (c->mid_depth)
        spatial(&t, "mid_block.", 0, x, c->mid_depth, text);
    for (uint32_t u = 0; u < n; u++) {
        uint32_t l = n - 1 - u;
        snprintf(block, sizeof block, "up_blocks.%u.", u);
        for (uint32_t j = 0; j <= c->layers[l]; j++) {
            resnet(&t, block, j, x + skips[--skip], c->channels[l], time);
            x = c->channels[l];
            if (c->up_depth[u])
                spatial(&t, block, j, x, c->up_depth[u], text);
        }
        if (u + 1 < n)
            convolution(&t, block, "upsamplers.0.conv", x, x, 3);
    }
    norm(&t, "", "conv_norm_out", x);
    convolution(&t, "", "conv_out", c->out_channels, x, 3);
    return end(&t);
}

static void motion_module(struct table *t, const vka_motion_info *m, const char *block, uint32_t j, uint64_t c)
{
    char at[128], deep[192];
    snprintf(at, sizeof at, "%smotion_modules.%u.", block, j);
    norm(t, at, "norm", c);
    matrix(t, at, "proj_in", c, c, true);
    matrix(t, at, "proj_out", c, c, true);
    for (uint32_t d = 0; d < m->transformer_blocks; d++) {
        snprintf(deep, sizeof deep, "%stransformer_blocks.%u.", at, d);
        transformer_block(t, deep, c, m->attention_blocks, c);
        if (m->pe_length) {
            const uint64_t dims[3] = {1, m->pe_length, c};
            add(t, 3, dims, "%spos_embed.pe", deep);
        }
    }
}

vka_weights *networks_motion_table(const vka_motion_info *m, const vka_unet_config *c,
                                   const struct networks_numbers *numbers)
{
    struct table t;
    if (!begin(&t, "a motion module without a file", numbers))
        return NULL;
    char block[64];
    for (uint32_t l = 0; l < c->levels; l++) {
        snprintf(block, sizeof block, "down_blocks.%u.", l);
        for (uint32_t j = 0; j < m->down_modules[l]; j++)
            motion_module(&t, m, block, j, c->channels[l]);
        snprintf(block, sizeof block, "up_blocks.%u.", l);
        for (uint32_t j = 0; j < m->up_modules[l]; j++)
            motion_module(&t, m, block, j, c->channels[c->levels - 1 - l]);
    }
    for (uint32_t j = 0; j < m->mid_modules; j++)
        motion_module(&t, m, "mid_block.", j, c->channels[c->levels - 1]);
    return end(&t);
}

vka_weights *networks_vae_table(const vka_vae_config *c, const struct networks_numbers *numbers)
{
    struct table t;
    if (!begin(&t, "a VAE without a file", numbers))
        return NULL;
    uint32_t n = c->levels;
    for (int decoder = 0; decoder < 2; decoder++) {
        const char *side = decoder ? "decoder." : "encoder.";
        uint64_t z = c->latent_channels, deepest = c->channels[n - 1];
        uint64_t x = decoder ? deepest : c->channels[0];
        char block[64];
        convolution(&t, side, "conv_in", x, decoder ? z : c->in_channels, 3);
        for (uint32_t b = 0; b < n; b++) {
            uint64_t channels = c->channels[decoder ? n - 1 - b : b];
            snprintf(block, sizeof block, "%s%s_blocks.%u.", side, decoder ? "up" : "down", b);
            for (uint32_t j = 0; j < c->layers + (decoder ? 1 : 0); j++) {
                resnet(&t, block, j, x, channels, 0);
                x = channels;
            }
            if (b + 1 < n)
                convolution(&t, block, decoder ? "upsamplers.0.conv" : "downsamplers.0.conv", x, x, 3);
        }
        snprintf(block, sizeof block, "%smid_block.", side);
        resnet(&t, block, 0, deepest, deepest, 0);
        resnet(&t, block, 1, deepest, deepest, 0);
        if (c->mid_attention) {
            snprintf(block, sizeof block, "%smid_block.attentions.0.", side);
            norm(&t, block, "group_norm", deepest);
            matrix(&t, block, "to_q", deepest, deepest, true);
            matrix(&t, block, "to_k", deepest, deepest, true);
            matrix(&t, block, "to_v", deepest, deepest, true);
            matrix(&t, block, "to_out.0", deepest, deepest, true);
        }
        norm(&t, side, "conv_norm_out", x);
        convolution(&t, side, "conv_out", decoder ? c->out_channels : 2 * z, x, 3);
    }
    if (c->use_quant_conv)
        convolution(&t, "", "quant_conv", 2 * c->latent_channels, 2 * c->latent_channels, 1);
    if (c->use_post_quant_conv)
        convolution(&t, "", "post_quant_conv", c->latent_channels, c->latent_channels, 1);
    return end(&t);
}

vka_weights *networks_text_table(const vka_text_config *c, const struct networks_numbers *numbers)
{
    struct table t;
    if (!begin(&t, "a text encoder without a file", numbers))
        return NULL;
    matrix(&t, "text_model.embeddings.", "token_embedding", c->vocab, c->hidden, false);
    matrix(&t, "text_model.embeddings.", "position_embedding", c->max_positions, c->hidden, false);
    norm(&t, "text_model.", "final_layer_norm", c->hidden);
    for (uint32_t i = 0; i < c->layers; i++) {
        static const char *const square[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                             "self_attn.out_proj"};
        char at[96];
        snprintf(at, sizeof at, "text_model.encoder.layers.%u.", i);
        norm(&t, at, "layer_norm1", c->hidden);
        norm(&t, at, "layer_norm2", c->hidden);
        for (int k = 0; k < 4; k++)
            matrix(&t, at, square[k], c->hidden, c->hidden, true);
        matrix(&t, at, "mlp.fc1", c->intermediate, c->hidden, true);
        matrix(&t, at, "mlp.fc2", c->hidden, c->intermediate, true);
    }
    return end(&t);
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

vka_unet_config networks_sd15_unet(void)
{
    return (vka_unet_config){.in_channels = 4,
                             .out_channels = 4,
                             .levels = 4,
                             .channels = {320, 640, 1280, 1280},
                             .layers = {2, 2, 2, 2},
                             .depth = {1, 1, 1, 0},
                             .up_depth = {0, 1, 1, 1},
                             .mid_depth = 1,
                             .mid_resnets = 2,
                             .heads = {8, 8, 8, 8},
                             .mid_heads = 8,
                             .cross_attention_dim = 768,
                             .norm_num_groups = 32,
                             .norm_eps = 1e-5f,
                             .time_embed_dim = 1280,
                             .flip_sin_to_cos = true,
                             .downsample_padding = 1};
}

vka_unet_config networks_small_unet(uint32_t channels, uint32_t levels, uint32_t layers)
{
    vka_unet_config c = networks_sd15_unet();
    c.levels = levels;
    c.cross_attention_dim = 48;
    c.norm_num_groups = 4;
    c.time_embed_dim = 4 * channels;
    c.mid_heads = 2;
    for (uint32_t l = 0; l < levels; l++) {
        c.channels[l] = l ? 2 * channels : channels;
        c.layers[l] = layers;
        c.heads[l] = 2;
        c.depth[l] = l + 1 < levels; /* no attention at the lowest resolution */
        c.up_depth[levels - 1 - l] = c.depth[l];
    }
    return c;
}

vka_motion_info networks_v2_motion(const vka_unet_config *c)
{
    vka_motion_info m = {.variant = VKA_MOTION_V2,
                         .levels = c->levels,
                         .mid_modules = 1,
                         .transformer_blocks = 1,
                         .attention_blocks = 2,
                         .heads = c->mid_heads,
                         .norm_num_groups = c->norm_num_groups,
                         .pe_length = 32};
    for (uint32_t l = 0; l < c->levels; l++) {
        m.channels[l] = c->channels[l];
        m.up_channels[l] = c->channels[c->levels - 1 - l];
        m.down_modules[l] = c->layers[l];
        m.up_modules[l] = c->layers[c->levels - 1 - l] + 1;
    }
    return m;
}

vka_vae_config networks_sd15_vae(void)
{
    return (vka_vae_config){.in_channels = 3,
                            .out_channels = 3,
                            .latent_channels = 4,
                            .levels = 4,
                            .channels = {128, 256, 512, 512},
                            .layers = 2,
                            .norm_num_groups = 32,
                            .norm_eps = 1e-6f,
                            .scaling_factor = 0.18215f,
                            .use_quant_conv = true,
                            .use_post_quant_conv = true,
                            .mid_attention = true,
                            .has_encoder = true,
                            .has_decoder = true};
}

vka_vae_config networks_small_vae(uint32_t channels, uint32_t levels)
{
    vka_vae_config c = networks_sd15_vae();
    c.levels = levels;
    c.layers = 1;
    c.norm_num_groups = 4;
    for (uint32_t l = 0; l < levels; l++)
        c.channels[l] = l ? 2 * channels : channels;
    return c;
}

vka_text_config networks_sd15_text(void)
{
    return (vka_text_config){.hidden = 768,
                             .layers = 12,
                             .heads = 12,
                             .intermediate = 3072,
                             .max_positions = 77,
                             .vocab = 49408,
                             .act = VKA_TEXT_QUICK_GELU,
                             .eps = 1e-5f};
}

vka_text_config networks_small_text(uint32_t hidden, uint32_t layers)
{
    return (vka_text_config){.hidden = hidden,
                             .layers = layers,
                             .heads = 4,
                             .intermediate = 4 * hidden,
                             .max_positions = 77,
                             .vocab = 600,
                             .act = VKA_TEXT_QUICK_GELU,
                             .eps = 1e-5f};
}
