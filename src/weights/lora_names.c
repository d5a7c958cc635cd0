/* lora_names.c - names in LoRA files: what a tensor is to its module, and which layer of a model the module means.
 *
 * Half of the dialects write underscores for dots, which cannot be undone by looking at the name alone (to_out_0,
 * time_emb_proj, ff_net_0_proj).  So names are compared in the underscored form: every layer of the model is listed in each
 * of its forms - diffusers', LDM's numbered blocks for the UNet, AnimateDiff's own for motion modules - and a module's name,
 * freed of the prefixes that its writer put in front, is looked up there. */
#include "weights/lora_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ending {
    const char *text;
    enum vka_lora_role role, mark;
} endings[] = {
    {".lora_down.weight", VKA_LORA_DOWN, VKA_LORA_ROLES},
    {".lora_up.weight", VKA_LORA_UP, VKA_LORA_ROLES},
    {".lora_mid.weight", VKA_LORA_MID, VKA_LORA_ROLES},
    {"_lora.down.weight", VKA_LORA_DOWN, VKA_LORA_ROLES},
    {"_lora.up.weight", VKA_LORA_UP, VKA_LORA_ROLES},
    {"_lora.alpha", VKA_LORA_ALPHA, VKA_LORA_ROLES},
    {".lora.down.weight", VKA_LORA_DOWN, VKA_LORA_ROLES},
    {".lora.up.weight", VKA_LORA_UP, VKA_LORA_ROLES},
    {".lora_linear_layer.down.weight", VKA_LORA_DOWN, VKA_LORA_ROLES},
    {".lora_linear_layer.up.weight", VKA_LORA_UP, VKA_LORA_ROLES},
    {".lora_A.weight", VKA_LORA_DOWN, VKA_LORA_ROLES},
    {".lora_B.weight", VKA_LORA_UP, VKA_LORA_ROLES},
    {".lora_B.bias", VKA_LORA_UP_BIAS, VKA_LORA_ROLES},
    {".lora_magnitude_vector.weight", VKA_LORA_MAGNITUDE, VKA_LORA_ROLES},
    {".lora_magnitude_vector", VKA_LORA_MAGNITUDE, VKA_LORA_ROLES},
    {".dora_scale", VKA_LORA_DORA, VKA_LORA_ROLES},
    {".alpha", VKA_LORA_ALPHA, VKA_LORA_ROLES},
    {".hada_w1_a", VKA_LORA_W1A, VKA_LORA_HADA},
    {".hada_w1_b", VKA_LORA_W1B, VKA_LORA_HADA},
    {".hada_w2_a", VKA_LORA_W2A, VKA_LORA_HADA},
    {".hada_w2_b", VKA_LORA_W2B, VKA_LORA_HADA},
    {".hada_t1", VKA_LORA_T1, VKA_LORA_HADA},
    {".hada_t2", VKA_LORA_T2, VKA_LORA_HADA},
    {".lokr_w1", VKA_LORA_W1, VKA_LORA_KRON},
    {".lokr_w1_a", VKA_LORA_W1A, VKA_LORA_KRON},
    {".lokr_w1_b", VKA_LORA_W1B, VKA_LORA_KRON},
    {".lokr_w2", VKA_LORA_W2, VKA_LORA_KRON},
    {".lokr_w2_a", VKA_LORA_W2A, VKA_LORA_KRON},
    {".lokr_w2_b", VKA_LORA_W2B, VKA_LORA_KRON},
    {".lokr_t2", VKA_LORA_T2, VKA_LORA_KRON},
    {".a1.weight", VKA_LORA_A1, VKA_LORA_ROLES},
    {".a2.weight", VKA_LORA_A2, VKA_LORA_ROLES},
    {".b1.weight", VKA_LORA_B1, VKA_LORA_ROLES},
    {".b2.weight", VKA_LORA_B2, VKA_LORA_ROLES},
    {".bm.weight", VKA_LORA_BM, VKA_LORA_ROLES},
    {".diff", VKA_LORA_DIFF, VKA_LORA_ROLES},
    {".diff_b", VKA_LORA_DIFF_B, VKA_LORA_ROLES},
    {".w_norm", VKA_LORA_DIFF, VKA_LORA_NORM},
    {".b_norm", VKA_LORA_DIFF_B, VKA_LORA_NORM},
    {".on_input", VKA_LORA_ON_INPUT, VKA_LORA_ROLES},
    {".weight", VKA_LORA_FACTOR, VKA_LORA_ROLES},
};

/* PEFT puts the adapter's name in: ".lora_A.default.weight".  The end of the module's name, or 0. */
static size_t adapter_ending(const char *name, struct vka_lora_key *key)
{
    static const struct {
        const char *text, *tail;
        enum vka_lora_role role;
    } parts[] = {{".lora_A.", ".weight", VKA_LORA_DOWN},
                 {".lora_B.", ".weight", VKA_LORA_UP},
                 {".lora_B.", ".bias", VKA_LORA_UP_BIAS},
                 {".lora_magnitude_vector.", ".weight", VKA_LORA_MAGNITUDE}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *at = strstr(name, parts[i].text), *adapter = at ? at + strlen(parts[i].text) : NULL;
        const char *dot = adapter ? strchr(adapter, '.') : NULL;
        if (dot && dot > adapter && strcmp(dot, parts[i].tail) == 0) {
            key->role = parts[i].role;
            return (size_t)(at - name);
        }
    }
    return 0;
}

static size_t find_ending(const char *name, struct vka_lora_key *key)
{
    size_t n = strlen(name);
    key->mark = VKA_LORA_ROLES;
    size_t at = adapter_ending(name, key);
    for (size_t i = 0; !at && i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i].text);
        if (n > k && strcmp(name + n - k, endings[i].text) == 0) {
            key->role = endings[i].role;
            key->mark = endings[i].mark;
            at = n - k;
        }
    }
    return at;
}

/* Takes wrappers and the mark of the part off the front. */
static const char *strip(const char *s, enum vka_lora_side *side)
{
    static const char *const wrappers[] = {"state_dict.", "module.", "base_model.model.", "lycoris_"};
    static const struct {
        const char *text;
        enum vka_lora_side side;
    } parts[] = {{"lora_unet_", VKA_LORA_UNET},
                 {"lora_te_", VKA_LORA_TEXT},
                 {"lora_te1_", VKA_LORA_TEXT},
                 {"lora_te2_", VKA_LORA_OTHER},
                 {"lora_te3_", VKA_LORA_OTHER},
                 {"lora_vae_", VKA_LORA_OTHER},
                 {"unet.", VKA_LORA_UNET},
                 {"text_encoder.", VKA_LORA_TEXT},
                 {"text_encoder_2.", VKA_LORA_OTHER},
                 {"text_encoder_3.", VKA_LORA_OTHER},
                 {"vae.", VKA_LORA_OTHER},
                 {"cond_stage_model.transformer.", VKA_LORA_TEXT},
                 {"model.diffusion_model.", VKA_LORA_UNET},
                 {"diffusion_model.", VKA_LORA_UNET}};
    const char *r;
    *side = VKA_LORA_ANY;
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if ((r = vka_name_after(s, wrappers[i]))) {
            s = r;
            i = SIZE_MAX; /* from the beginning */
        }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if ((r = vka_name_after(s, parts[i].text))) {
            *side = parts[i].side;
            s = r;
            break;
        }
    if ((r = vka_name_after(s, "base_model.model.")))
        s = r;
    if (*side == VKA_LORA_ANY && vka_name_after(s, "text_model"))
        *side = VKA_LORA_TEXT;
    return s;
}

bool vka_lora_parse(struct vka_lora_key *key, const char *name)
{
    static const char processor[] = "processor";
    key->length = strlen(name) < VKA_NAME_CAP ? find_ending(name, key) : 0;
    if (!key->length)
        return false;
    const char *end = name + key->length, *s = strip(name, &key->side);
    size_t n = 0;
    while (s < end) {
        bool segment = n == 0 || key->module[n - 1] == '_';
        const char *r = segment ? vka_name_after(s, processor) : NULL;
        if (r && r < end && (*r == '.' || *r == '_')) {
            s = r + 1;
            continue;
        }
        key->module[n++] = *s == '.' ? '_' : *s;
        s++;
    }
    key->module[n] = '\0';
    return n > 0;
}

/* ---- the layers of a model ---- */

static bool add(struct vka_lora_names *n, const char *name, const char *layer)
{
    struct vka_lora_name *items = vka_grow(n->items, &n->capacity, n->count + 1, sizeof *items);
    if (!items)
        return false;
    n->items = items;
    char *copy = vka_arena_strdup(&n->arena, name);
    if (!copy)
        return false;
    for (char *c = copy; *c; c++)
        if (*c == '.')
            *c = '_';
    items[n->count++] = (struct vka_lora_name){copy, layer};
    return true;
}

/* Blocks of a level. */
static uint32_t resnets(const vka_weights *w, const char *side, uint32_t level)
{
    uint32_t n = 0;
    while (n < 64 && vka_weights_findf(w, "%s_blocks.%u.resnets.%u.norm1.weight", side, (unsigned)level, (unsigned)n))
        n++;
    return n;
}

/* The place of a level's first block in LDM's row. */
static uint32_t row_begin(const vka_weights *w, const char *side, uint32_t level)
{
    uint32_t n = strcmp(side, "down") == 0;
    for (uint32_t l = 0; l < level && l < 64; l++) {
        n += resnets(w, side, l);
        if (strcmp(side, "down") == 0)
            n += vka_weights_findf(w, "down_blocks.%u.downsamplers.0.conv.weight", (unsigned)l) != NULL;
    }
    return n;
}

static const char *resnet_name(const char *s)
{
    static const char *const names[][2] = {{"norm1", "in_layers.0"},          {"conv1", "in_layers.2"},
                                           {"time_emb_proj", "emb_layers.1"}, {"norm2", "out_layers.0"},
                                           {"conv2", "out_layers.3"},         {"conv_shortcut", "skip_connection"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(s, names[i][0]) == 0)
            return names[i][1];
    return s;
}

/* LDM's name of a UNet's layer; false where it has none. */
static bool ldm_name(char *out, const vka_weights *w, const char *layer)
{
    static const char *const ends[][2] = {{"conv_in", "input_blocks.0.0"},
                                          {"time_embedding.linear_1", "time_embed.0"},
                                          {"time_embedding.linear_2", "time_embed.2"},
                                          {"conv_norm_out", "out.0"},
                                          {"conv_out", "out.2"}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(layer, ends[i][0]) == 0) {
            snprintf(out, VKA_NAME_CAP, "%s", ends[i][1]);
            return true;
        }
    uint32_t level, pos;
    const char *r, *s;
    if ((r = vka_name_after(layer, "mid_block."))) {
        if ((s = vka_name_after(r, "resnets.")) && (s = vka_name_index_at(s, &pos)))
            snprintf(out, VKA_NAME_CAP, "middle_block.%u.%s", 2 * (unsigned)pos, resnet_name(s));
        else if ((s = vka_name_after(r, "attentions.")) && (s = vka_name_index_at(s, &pos)))
            snprintf(out, VKA_NAME_CAP, "middle_block.%u.%s", 2 * (unsigned)pos + 1, s);
        else
            return false;
        return true;
    }
    bool down = (r = vka_name_after(layer, "down_blocks.")) != NULL;
    if (!r && !(r = vka_name_after(layer, "up_blocks.")))
        return false;
    if (!(r = vka_name_index_at(r, &level)))
        return false;
    const char *side = down ? "down" : "up", *row = down ? "input" : "output";
    uint32_t begin = row_begin(w, side, level);
    if ((s = vka_name_after(r, "resnets.")) && (s = vka_name_index_at(s, &pos)))
        snprintf(out, VKA_NAME_CAP, "%s_blocks.%u.0.%s", row, (unsigned)(begin + pos), resnet_name(s));
    else if ((s = vka_name_after(r, "attentions.")) && (s = vka_name_index_at(s, &pos)))
        snprintf(out, VKA_NAME_CAP, "%s_blocks.%u.1.%s", row, (unsigned)(begin + pos), s);
    else if (down && strcmp(r, "downsamplers.0.conv") == 0)
        snprintf(out, VKA_NAME_CAP, "input_blocks.%u.0.op", (unsigned)(begin + resnets(w, side, level)));
    else if (!down && strcmp(r, "upsamplers.0.conv") == 0) {
        bool attention = vka_weights_findf(w, "up_blocks.%u.attentions.0.norm.weight", (unsigned)level) != NULL;
        snprintf(out, VKA_NAME_CAP, "output_blocks.%u.%u.conv", (unsigned)(begin + resnets(w, side, level) - 1),
                 attention ? 2U : 1U);
    } else
        return false;
    return true;
}

/* AnimateDiff's name of a motion module's layer: the reverse of vka_rename_motion. */
static bool motion_name(char *out, const char *layer)
{
    const char *at = strstr(layer, "motion_modules."), *r, *s;
    uint32_t module, block;
    if (!at || !(r = vka_name_index_at(at + strlen("motion_modules."), &module)))
        return false;
    int head = (int)(r - layer);
    if (!(s = vka_name_after(r, "transformer_blocks.")) || !(s = vka_name_index_at(s, &block))) {
        snprintf(out, VKA_NAME_CAP, "%.*stemporal_transformer.%s", head, layer, r);
        return true;
    }
    char inner[VKA_NAME_CAP];
    snprintf(inner, sizeof inner, "%s", s);
    if (vka_name_after(s, "attn") && (s[4] == '1' || s[4] == '2') && s[5] == '.')
        snprintf(inner, sizeof inner, "attention_blocks.%c%s", s[4] - 1, s + 5);
    else if (strcmp(s, "norm1") == 0 || strcmp(s, "norm2") == 0)
        snprintf(inner, sizeof inner, "norms.%c", s[4] - 1);
    else if (strcmp(s, "norm3") == 0)
        snprintf(inner, sizeof inner, "ff_norm");
    if ((size_t)head + strlen(inner) + 64 >= VKA_NAME_CAP)
        return false;
    snprintf(out, VKA_NAME_CAP, "%.*stemporal_transformer.transformer_blocks.%u.%.800s", head, layer, (unsigned)block, inner);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vka_lora_name *)a)->name, ((const struct vka_lora_name *)b)->name);
}

bool vka_lora_names_build(struct vka_lora_names *n, const vka_weights *w, enum vka_lora_table which)
{
    static const char weight[] = ".weight";
    bool good = true;
    *n = (struct vka_lora_names){0};
    for (size_t i = 0; good && i < vka_weights_count(w); i++) {
        const char *name = vka_weights_at(w, i)->name;
        size_t length = strlen(name), tail = sizeof weight - 1;
        if (length <= tail || length >= VKA_NAME_CAP || strcmp(name + length - tail, weight) != 0)
            continue;
        char *layer = vka_arena_alloc(&n->arena, length - tail + 1), other[VKA_NAME_CAP];
        if (!layer)
            return false;
        memcpy(layer, name, length - tail);
        good = add(n, layer, layer);
        if (good && which == VKA_LORA_OF_UNET && ldm_name(other, w, layer))
            good = add(n, other, layer);
        if (good && which == VKA_LORA_OF_MOTION && motion_name(other, layer))
            good = add(n, other, layer);
        if (good && which == VKA_LORA_OF_TEXT && vka_name_after(layer, "text_model.")) /* newer transformers' */
            good = add(n, layer + strlen("text_model."), layer);
    }
    if (good && n->count)
        qsort(n->items, n->count, sizeof *n->items, by_name);
    return good;
}

void vka_lora_names_free(struct vka_lora_names *n)
{
    free(n->items);
    vka_arena_free(&n->arena);
    *n = (struct vka_lora_names){0};
}

static const char *find(const struct vka_lora_names *n, const char *name)
{
    struct vka_lora_name key = {name, NULL}, *found;
    found = n->count ? bsearch(&key, n->items, n->count, sizeof key, by_name) : NULL;
    return found ? found->layer : NULL;
}

const char *vka_lora_names_find(const struct vka_lora_names *n, const char *module)
{
    /* diffusers' processors say to_out for to_out.0, and call a text encoder's projections like the UNet's */
    static const char *const others[][2] = {{"_to_out", "_to_out_0"},
                                            {"_self_attn_to_q", "_self_attn_q_proj"},
                                            {"_self_attn_to_k", "_self_attn_k_proj"},
                                            {"_self_attn_to_v", "_self_attn_v_proj"},
                                            {"_self_attn_to_out", "_self_attn_out_proj"}};
    const char *layer = find(n, module);
    size_t length = strlen(module);
    for (size_t i = 0; !layer && i < sizeof others / sizeof *others; i++) {
        size_t k = strlen(others[i][0]);
        char other[VKA_NAME_CAP + 32];
        if (length < k || length >= VKA_NAME_CAP || strcmp(module + length - k, others[i][0]) != 0)
            continue;
        snprintf(other, sizeof other, "%.*s%s", (int)(length - k), module, others[i][1]);
        layer = find(n, other);
    }
    return layer;
}
