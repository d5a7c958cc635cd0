/* expected.c - see expected.h.  Walks a network's blocks in the order of its data and looks every name up. */
#include "weights/expected.h"

#include <stdarg.h>
#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

struct want {
    vka_missing *missing;
    const vka_weights *weights;
};

static void want(const struct want *x, const char *fmt, ...) VKA_PRINTF(2, 3);
static void want(const struct want *x, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (!vka_weights_find(x->weights, name))
        vka_missing_add(x->missing, name);
}

/* NAME.weight and NAME.bias under `at`. */
static void want_pair(const struct want *x, const char *at, const char *name)
{
    want(x, "%s%s.weight", at, name);
    want(x, "%s%s.bias", at, name);
}

static void want_pairs(const struct want *x, const char *at, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        want_pair(x, at, names[i]);
}

static void resnet(const struct want *x, const char *block, unsigned i, bool timed, bool shortcut)
{
    static const char *const pairs[] = {"norm1", "conv1", "norm2", "conv2"};
    char at[128];
    snprintf(at, sizeof at, "%s.resnets.%u.", block, i);
    want_pairs(x, at, pairs, COUNT(pairs));
    if (timed)
        want_pair(x, at, "time_emb_proj");
    if (shortcut)
        want_pair(x, at, "conv_shortcut");
}

static void attention(const struct want *x, const char *block, unsigned i, uint32_t depth)
{
    static const char *const outer[] = {"norm", "proj_in", "proj_out"};
    static const char *const inner[] = {"norm1",          "norm2",         "norm3",   "attn1.to_out.0",
                                        "attn2.to_out.0", "ff.net.0.proj", "ff.net.2"};
    static const char *const matrices[] = {"attn1.to_q", "attn1.to_k", "attn1.to_v",
                                           "attn2.to_q", "attn2.to_k", "attn2.to_v"};
    char at[128], deep[192];
    snprintf(at, sizeof at, "%s.attentions.%u.", block, i);
    want_pairs(x, at, outer, COUNT(outer));
    for (unsigned t = 0; t < depth; t++) {
        snprintf(deep, sizeof deep, "%stransformer_blocks.%u.", at, t);
        want_pairs(x, deep, inner, COUNT(inner));
        for (size_t k = 0; k < COUNT(matrices); k++)
            want(x, "%s%s.weight", deep, matrices[k]);
    }
}

/* Conv_in, time embedding, down blocks and middle. */
static void encoder(const struct want *x, const vka_unet_config *c)
{
    static const char *const ends[] = {"conv_in", "time_embedding.linear_1", "time_embedding.linear_2"};
    uint32_t before = c->channels[0];
    char block[48], at[96];
    want_pairs(x, "", ends, COUNT(ends));
    for (uint32_t l = 0; l < c->levels; l++) {
        snprintf(block, sizeof block, "down_blocks.%u", (unsigned)l);
        for (uint32_t i = 0; i < c->layers[l]; i++) {
            resnet(x, block, i, true, i == 0 && before != c->channels[l]);
            if (c->depth[l])
                attention(x, block, i, c->depth[l]);
        }
        before = c->channels[l];
        snprintf(at, sizeof at, "%s.downsamplers.0.conv", block);
        if (l + 1 < c->levels)
            want_pair(x, "", at);
    }
    for (uint32_t i = 0; i < c->mid_resnets; i++)
        resnet(x, "mid_block", i, true, false);
    if (c->mid_depth)
        attention(x, "mid_block", 0, c->mid_depth);
}

void vka_encoder_missing(vka_missing *m, const vka_weights *w, const vka_unet_config *c)
{
    encoder(&(struct want){m, w}, c);
}

void vka_unet_missing(vka_missing *m, const vka_weights *w, const vka_unet_config *c)
{
    static const char *const ends[] = {"conv_norm_out", "conv_out"};
    const struct want want_from = {m, w}, *x = &want_from;
    uint32_t n = c->levels, before = c->channels[n - 1];
    char block[48], at[96];
    encoder(x, c);
    want_pairs(x, "", ends, COUNT(ends));
    for (uint32_t u = 0; u < n; u++) {
        uint32_t l = n - 1 - u;
        snprintf(block, sizeof block, "up_blocks.%u", (unsigned)u);
        for (uint32_t i = 0; i <= c->layers[l]; i++) {
            /* The input is joined with a skip: of the level itself, the last one of the level above. */
            uint32_t input = i == 0 ? before : c->channels[l],
                     skip = i < c->layers[l] ? c->channels[l] : c->channels[l ? l - 1 : 0];
            resnet(x, block, i, true, input + skip != c->channels[l]);
            if (c->up_depth[u])
                attention(x, block, i, c->up_depth[u]);
        }
        before = c->channels[l];
        snprintf(at, sizeof at, "%s.upsamplers.0.conv", block);
        if (u + 1 < n)
            want_pair(x, "", at);
    }
}

static void vae_middle(const struct want *x, const char *side, bool attends)
{
    static const char *const pairs[] = {"group_norm", "to_q", "to_k", "to_v", "to_out.0"};
    char block[48];
    snprintf(block, sizeof block, "%s.mid_block", side);
    resnet(x, block, 0, false, false);
    resnet(x, block, 1, false, false);
    snprintf(block, sizeof block, "%s.mid_block.attentions.0.", side);
    if (attends)
        want_pairs(x, block, pairs, COUNT(pairs));
}

void vka_vae_missing(vka_missing *m, const vka_weights *w, const vka_vae_config *c)
{
    static const char *const ends[] = {"conv_in", "conv_norm_out", "conv_out"};
    const struct want want_from = {m, w}, *x = &want_from;
    uint32_t n = c->levels;
    for (int decoder = 0; decoder < 2; decoder++) {
        if (!(decoder ? c->has_decoder : c->has_encoder))
            continue;
        const char *side = decoder ? "decoder" : "encoder", *way = decoder ? "up" : "down";
        char block[48], at[80];
        uint32_t before = c->channels[decoder ? n - 1 : 0];
        snprintf(at, sizeof at, "%s.", side);
        want_pairs(x, at, ends, COUNT(ends));
        vae_middle(x, side, c->mid_attention);
        for (uint32_t b = 0; b < n; b++) {
            uint32_t channels = c->channels[decoder ? n - 1 - b : b], layers = c->layers + (decoder ? 1 : 0);
            snprintf(block, sizeof block, "%s.%s_blocks.%u", side, way, (unsigned)b);
            for (uint32_t i = 0; i < layers; i++)
                resnet(x, block, i, false, i == 0 && before != channels);
            before = channels;
            snprintf(at, sizeof at, "%s.%ssamplers.0.conv", block, way);
            if (b + 1 < n)
                want_pair(x, "", at);
        }
    }
    if (c->use_quant_conv && c->has_encoder)
        want_pair(x, "", "quant_conv");
    if (c->use_post_quant_conv && c->has_decoder)
        want_pair(x, "", "post_quant_conv");
}

void vka_text_missing(vka_missing *m, const vka_weights *w, const vka_text_config *c)
{
    static const char *const pairs[] = {"layer_norm1",      "layer_norm2",      "self_attn.q_proj",
                                        "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
                                        "mlp.fc1",          "mlp.fc2"};
    const struct want want_from = {m, w}, *x = &want_from;
    char at[64];
    want(x, "text_model.embeddings.token_embedding.weight");
    want(x, "text_model.embeddings.position_embedding.weight");
    want_pair(x, "text_model.", "final_layer_norm");
    for (uint32_t i = 0; i < c->layers; i++) {
        snprintf(at, sizeof at, "text_model.encoder.layers.%u.", (unsigned)i);
        want_pairs(x, at, pairs, COUNT(pairs));
    }
}
