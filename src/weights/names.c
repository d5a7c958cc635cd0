/* names.c - see names.h.
 *
 * LDM numbers its UNet blocks in one row (input_blocks.0 ... output_blocks.11); diffusers by level.  Nothing about the
 * row's length is assumed: a pass over the names notes what each block holds (a ResNet, an attention, a stride-2
 * convolution that ends a level), and walking the row once gives every block its level and place. */
#include "weights/names.h"

#include <stdio.h>
#include <string.h>

enum { ABSENT, RESNET, ATTENTION, DOWN, UP };

const char *vka_name_index_at(const char *s, uint32_t *value)
{
    uint32_t v = 0;
    int digits = 0;
    for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
        v = v * 10 + (uint32_t)(*s - '0');
    if (digits == 0 || *s != '.')
        return NULL;
    *value = v;
    return s + 1;
}

const char *vka_name_after(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

/* A rule: the beginning of a name and what replaces it. */
struct rule {
    const char *from, *to;
};

static const char *apply(const struct rule *rules, size_t n, const char *s, const char **rest)
{
    for (size_t i = 0; i < n; i++)
        if ((*rest = vka_name_after(s, rules[i].from)))
            return rules[i].to;
    return NULL;
}
#define APPLY(rules, s, rest) apply(rules, sizeof(rules) / sizeof *(rules), s, rest)

static enum vka_name_fate keep(char *out, const char *a, const char *b)
{
    snprintf(out, VKA_NAME_CAP, "%s%s", a, b);
    return VKA_NAME_KEEP;
}

static enum vka_name_fate strange(char *out, const char *name)
{
    snprintf(out, VKA_NAME_CAP, "%s", name);
    return VKA_NAME_STRANGE;
}

static const struct rule resnet_rules[] = {{"in_layers.0.", "norm1."},          {"in_layers.2.", "conv1."},
                                           {"emb_layers.1.", "time_emb_proj."}, {"out_layers.0.", "norm2."},
                                           {"out_layers.3.", "conv2."},         {"skip_connection.", "conv_shortcut."}};

static uint8_t kind_of(const char *rest)
{
    const char *x;
    if (APPLY(resnet_rules, rest, &x))
        return RESNET;
    if (vka_name_after(rest, "op."))
        return DOWN;
    if (vka_name_after(rest, "conv."))
        return UP;
    if (vka_name_after(rest, "transformer_blocks.") || vka_name_after(rest, "norm.") || vka_name_after(rest, "proj_"))
        return ATTENTION;
    return ABSENT;
}

/* "N.K.rest" in one of the two rows, or NULL when out of its bounds. */
static const char *locate(const char *s, uint32_t *n, uint32_t *k)
{
    s = vka_name_index_at(s, n);
    s = s ? vka_name_index_at(s, k) : NULL;
    return s && *n < VKA_LDM_BLOCKS && *k < VKA_LDM_SUBS ? s : NULL;
}

void vka_ldm_map_unet(vka_ldm_map *map, const vka_safetensors *st, const char *prefix)
{
    memset(map, 0, sizeof *map);
    for (size_t i = 0; i < st->count; i++) {
        const char *s = vka_name_after(st->tensors[i].name, prefix), *r;
        uint32_t n, k;
        if (!s)
            continue;
        if ((r = vka_name_after(s, "input_blocks.")) && (r = locate(r, &n, &k)) && kind_of(r))
            map->input[n][k].kind = kind_of(r);
        else if ((r = vka_name_after(s, "output_blocks.")) && (r = locate(r, &n, &k)) && kind_of(r))
            map->output[n][k].kind = kind_of(r);
        else if ((r = vka_name_after(s, "middle_block.")) && (r = vka_name_index_at(r, &k)) && k < VKA_LDM_MID)
            map->middle[k].kind = kind_of(r);
    }
    uint8_t level = 0, pos = 0;
    for (int n = 1; n < VKA_LDM_BLOCKS; n++) {
        bool ends = map->input[n][0].kind == DOWN;
        for (int k = 0; k < VKA_LDM_SUBS; k++) {
            map->input[n][k].level = level;
            map->input[n][k].pos = pos;
        }
        level = (uint8_t)(level + ends);
        pos = ends ? 0 : (uint8_t)(pos + 1);
    }
    level = pos = 0;
    for (int n = 0; n < VKA_LDM_BLOCKS; n++) {
        bool ends = false;
        for (int k = 0; k < VKA_LDM_SUBS; k++) {
            map->output[n][k].level = level;
            map->output[n][k].pos = pos;
            ends |= map->output[n][k].kind == UP;
        }
        level = (uint8_t)(level + ends);
        pos = ends ? 0 : (uint8_t)(pos + 1);
    }
    uint8_t resnets = 0, attentions = 0;
    for (int k = 0; k < VKA_LDM_MID; k++)
        if (map->middle[k].kind == RESNET)
            map->middle[k].pos = resnets++;
        else if (map->middle[k].kind == ATTENTION)
            map->middle[k].pos = attentions++;
}

static enum vka_name_fate rename_block(char *out, const char *name, const char *side, vka_ldm_entry e, const char *rest)
{
    const char *to, *tail;
    char at[32] = "";
    if (strcmp(side, "mid") != 0)
        snprintf(at, sizeof at, "s.%u", (unsigned)e.level);
    switch (e.kind) {
    case RESNET:
        if (!(to = APPLY(resnet_rules, rest, &tail)))
            return strange(out, name);
        snprintf(out, VKA_NAME_CAP, "%s_block%s.resnets.%u.%s%s", side, at, (unsigned)e.pos, to, tail);
        return VKA_NAME_KEEP;
    case ATTENTION:
        snprintf(out, VKA_NAME_CAP, "%s_block%s.attentions.%u.%s", side, at, (unsigned)e.pos, rest);
        return VKA_NAME_KEEP;
    case DOWN:
        if (!(tail = vka_name_after(rest, "op.")))
            return strange(out, name);
        snprintf(out, VKA_NAME_CAP, "%s_block%s.downsamplers.0.conv.%s", side, at, tail);
        return VKA_NAME_KEEP;
    case UP:
        if (!(tail = vka_name_after(rest, "conv.")))
            return strange(out, name);
        snprintf(out, VKA_NAME_CAP, "%s_block%s.upsamplers.0.conv.%s", side, at, tail);
        return VKA_NAME_KEEP;
    default:
        return strange(out, name);
    }
}

enum vka_name_fate vka_rename_unet(char *out, const char *name, const vka_ldm_map *map)
{
    static const struct rule ends[] = {{"time_embed.0.", "time_embedding.linear_1."},
                                       {"time_embed.2.", "time_embedding.linear_2."},
                                       {"input_blocks.0.0.", "conv_in."},
                                       {"out.0.", "conv_norm_out."},
                                       {"out.2.", "conv_out."}};
    const char *r, *rest, *to = APPLY(ends, name, &rest);
    uint32_t n, k;
    if (to)
        return keep(out, to, rest);
    if ((r = vka_name_after(name, "input_blocks.")))
        return (r = locate(r, &n, &k)) ? rename_block(out, name, "down", map->input[n][k], r) : strange(out, name);
    if ((r = vka_name_after(name, "output_blocks.")))
        return (r = locate(r, &n, &k)) ? rename_block(out, name, "up", map->output[n][k], r) : strange(out, name);
    if ((r = vka_name_after(name, "middle_block.")))
        return (r = vka_name_index_at(r, &k)) && k < VKA_LDM_MID ? rename_block(out, name, "mid", map->middle[k], r)
                                                                 : strange(out, name);
    return keep(out, name, ""); /* diffusers' already, or a name that the networks will not ask for */
}

void vka_ldm_map_vae(vka_ldm_map *map, const vka_safetensors *st, const char *prefix)
{
    memset(map, 0, sizeof *map);
    for (size_t i = 0; i < st->count; i++) {
        const char *s = vka_name_after(st->tensors[i].name, prefix);
        uint32_t n;
        if (s && (s = vka_name_after(s, "decoder.up.")) && vka_name_index_at(s, &n) && n >= map->decoder_levels)
            map->decoder_levels = n + 1;
    }
}

/* Inside one encoder or decoder level, and inside its mid block. */
static enum vka_name_fate rename_vae_inner(char *out, const char *name, const char *head, const char *s)
{
    static const struct rule mid[] = {
        {"mid.block_1.nin_shortcut.", "mid_block.resnets.0.conv_shortcut."},
        {"mid.block_2.nin_shortcut.", "mid_block.resnets.1.conv_shortcut."},
        {"mid.block_1.", "mid_block.resnets.0."},
        {"mid.block_2.", "mid_block.resnets.1."},
        {"mid.attn_1.norm.", "mid_block.attentions.0.group_norm."},
        {"mid.attn_1.q.", "mid_block.attentions.0.to_q."},
        {"mid.attn_1.k.", "mid_block.attentions.0.to_k."},
        {"mid.attn_1.v.", "mid_block.attentions.0.to_v."},
        {"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."},
        {"mid_block.attentions.0.query.", "mid_block.attentions.0.to_q."},
        {"mid_block.attentions.0.key.", "mid_block.attentions.0.to_k."},
        {"mid_block.attentions.0.value.", "mid_block.attentions.0.to_v."},
        {"mid_block.attentions.0.proj_attn.", "mid_block.attentions.0.to_out.0."},
        {"norm_out.", "conv_norm_out."},
    };
    const char *rest, *to = APPLY(mid, s, &rest);
    if (to) {
        snprintf(out, VKA_NAME_CAP, "%s%s%s", head, to, rest);
        return VKA_NAME_KEEP;
    }
    return keep(out, name, "");
}

enum vka_name_fate vka_rename_vae(char *out, const char *name, const vka_ldm_map *map)
{
    if (vka_name_after(name, "model_ema.") || vka_name_after(name, "loss."))
        return VKA_NAME_IGNORE;
    bool decoder = vka_name_after(name, "decoder.") != NULL;
    const char *head = decoder ? "decoder." : "encoder.", *s = vka_name_after(name, head), *r, *t;
    if (!s)
        return keep(out, name, ""); /* quant_conv, post_quant_conv */
    uint32_t level, i;
    if (!(r = vka_name_after(s, decoder ? "up." : "down.")) || !(r = vka_name_index_at(r, &level)))
        return rename_vae_inner(out, name, head, s);
    const char *side = decoder ? "up" : "down";
    if (decoder) {
        if (level >= map->decoder_levels)
            return strange(out, name);
        level = map->decoder_levels - 1 - level;
    }
    if ((t = vka_name_after(r, "block.")) && (t = vka_name_index_at(t, &i))) {
        const char *tail = vka_name_after(t, "nin_shortcut.");
        snprintf(out, VKA_NAME_CAP, "%s%s_blocks.%u.resnets.%u.%s%s", head, side, (unsigned)level, (unsigned)i,
                 tail ? "conv_shortcut." : "", tail ? tail : t);
        return VKA_NAME_KEEP;
    }
    if ((t = vka_name_after(r, decoder ? "upsample." : "downsample."))) {
        snprintf(out, VKA_NAME_CAP, "%s%s_blocks.%u.%ssamplers.0.%s", head, side, (unsigned)level, side, t);
        return VKA_NAME_KEEP;
    }
    return strange(out, name);
}

enum vka_name_fate vka_rename_text(char *out, const char *name)
{
    const char *s = vka_name_after(name, "text_model.");
    if (!s)
        s = name;
    if (strcmp(s, "embeddings.position_ids") == 0 || strcmp(s, "logit_scale") == 0)
        return VKA_NAME_IGNORE;
    if (vka_name_after(s, "embeddings.") || vka_name_after(s, "encoder.") || vka_name_after(s, "final_layer_norm."))
        return keep(out, "text_model.", s);
    if (strcmp(name, "text_projection.weight") == 0)
        return keep(out, name, "");
    return strange(out, name);
}

bool vka_name_is_ignorable(const char *name)
{
    static const char *const begins[] = {"model_ema.",
                                         "loss.",
                                         "posterior_",
                                         "sqrt_",
                                         "log_one_minus_",
                                         "alphas_",
                                         "optimizer",
                                         "lr_",
                                         "callbacks",
                                         "denoiser.",
                                         "first_stage_model.model_ema.",
                                         "first_stage_model.loss."};
    static const char *const whole[] = {"betas",        "logvar", "lvlb_weights", "global_step",
                                        "epoch",        "v_pred", "ztsnr",        "cond_stage_model.logit_scale",
                                        "scale_factor", "state"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (vka_name_after(name, begins[i]))
            return true;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(name, whole[i]) == 0)
            return true;
    /* Scales of fp8 weights have been attached to them; those of activations are of no use here. */
    static const char *const ends[] = {".position_ids", ".scale_weight", ".weight_scale", ".scale_input", ".input_scale", ".scaled_fp8"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return strcmp(name, "scaled_fp8") == 0;
}

/* ---- motion modules ---- */

/* The position of "down_blocks.B.", "up_blocks.B." or "mid_block." directly before one of the two words. */
static const char *find_slot(const char *name, const char **inner)
{
    static const char *const sides[] = {"down_blocks.", "up_blocks.", "mid_block."};
    for (size_t i = 0; i < 3; i++)
        for (const char *s = strstr(name, sides[i]); s; s = strstr(s + 1, sides[i])) {
            uint32_t b;
            const char *r = s + strlen(sides[i]);
            if (s != name && s[-1] != '.')
                continue;
            if (i < 2 && !(r = vka_name_index_at(r, &b)))
                continue;
            const char *m = vka_name_after(r, "motion_modules.");
            if (!m)
                m = vka_name_after(r, "temporal_attentions."); /* Hotshot-XL */
            uint32_t index;
            if (m && (*inner = vka_name_index_at(m, &index)))
                return s;
        }
    return NULL;
}

enum vka_name_fate vka_rename_motion(char *out, const char *name, int *attention)
{
    const char *inner, *slot = find_slot(name, &inner), *r;
    *attention = -1;
    if (!slot || vka_name_is_ignorable(name))
        return VKA_NAME_IGNORE;
    char head[64]; /* "down_blocks.999.temporal_attentions.999." at most */
    uint32_t side_length = 0;
    for (const char *p = slot; p < inner; p++) /* what lies before the inner names, in one spelling */
        side_length++;
    snprintf(head, sizeof head, "%.*s", (int)side_length, slot);
    char *hotshot = strstr(head, "temporal_attentions.");
    if (hotshot) {
        char index[16];
        snprintf(index, sizeof index, "%s", hotshot + strlen("temporal_attentions."));
        snprintf(hotshot, sizeof head - (size_t)(hotshot - head), "motion_modules.%.8s", index);
    }
    if ((r = vka_name_after(inner, "temporal_transformer.")))
        inner = r;
    uint32_t block, a;
    const char *s = vka_name_after(inner, "transformer_blocks.");
    if (!s || !(s = vka_name_index_at(s, &block)))
        return keep(out, head, inner);
    if ((r = vka_name_after(s, "attention_blocks.")) && (r = vka_name_index_at(r, &a))) {
        if (strcmp(r, "pos_encoder.pe") == 0 || strcmp(r, "pos_encoder.positional_encoding") == 0) {
            *attention = (int)a;
            snprintf(out, VKA_NAME_CAP, "%stransformer_blocks.%u.pos_embed.pe", head, (unsigned)block);
        } else
            snprintf(out, VKA_NAME_CAP, "%stransformer_blocks.%u.attn%u.%s", head, (unsigned)block, (unsigned)a + 1, r);
    } else if ((r = vka_name_after(s, "norms.")) && (r = vka_name_index_at(r, &a)) && a < 2)
        snprintf(out, VKA_NAME_CAP, "%stransformer_blocks.%u.norm%u.%s", head, (unsigned)block, (unsigned)a + 1, r);
    else if ((r = vka_name_after(s, "ff_norm.")))
        snprintf(out, VKA_NAME_CAP, "%stransformer_blocks.%u.norm3.%s", head, (unsigned)block, r);
    else
        snprintf(out, VKA_NAME_CAP, "%stransformer_blocks.%u.%s", head, (unsigned)block, s);
    return VKA_NAME_KEEP;
}
