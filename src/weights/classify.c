/* classify.c - what kind of model file this is, from its names and a few shapes; see inspect.h.
 *
 * One pass notes which tell-tale names occur; the verdict goes from the most special kind to the most general, since a
 * LoRA's names contain a UNet's names, and a ControlNet's contain half a UNet. */
#include "weights/inspect.h"
#include "weights/names.h"

#include <stdio.h>
#include <string.h>

const char *vka_file_kind_name(enum vka_file_kind kind)
{
    static const char *const names[VKA_FILE_KINDS] = {
        [VKA_FILE_UNKNOWN] = "unknown",     [VKA_FILE_CHECKPOINT] = "checkpoint",
        [VKA_FILE_UNET] = "checkpoint",     [VKA_FILE_VAE] = "vae",
        [VKA_FILE_TEXT] = "checkpoint",     [VKA_FILE_MOTION] = "motion-module",
        [VKA_FILE_LORA] = "lora",           [VKA_FILE_MOTION_LORA] = "motion-lora",
        [VKA_FILE_EMBEDDING] = "embedding", [VKA_FILE_CONTROLNET] = "controlnet",
        [VKA_FILE_IP_ADAPTER] = "ip-adapter", [VKA_FILE_VISION] = "vision",
    };
    return names[kind];
}

const char *vka_file_kind_phrase(enum vka_file_kind kind)
{
    static const char *const phrases[VKA_FILE_KINDS] = {
        [VKA_FILE_UNKNOWN] = "not a model file that is known",
        [VKA_FILE_CHECKPOINT] = "a Stable Diffusion checkpoint",
        [VKA_FILE_UNET] = "a UNet",
        [VKA_FILE_VAE] = "a VAE",
        [VKA_FILE_TEXT] = "a text encoder",
        [VKA_FILE_MOTION] = "a motion module",
        [VKA_FILE_LORA] = "a LoRA",
        [VKA_FILE_MOTION_LORA] = "a motion LoRA",
        [VKA_FILE_EMBEDDING] = "a textual-inversion embedding",
        [VKA_FILE_CONTROLNET] = "a ControlNet",
        [VKA_FILE_IP_ADAPTER] = "an IP-Adapter",
        [VKA_FILE_VISION] = "an image encoder",
    };
    return phrases[kind];
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Every LoRA family marks its tensors: kohya, diffusers' processors, PEFT, LyCORIS. */
static bool is_lora_name(const char *s)
{
    static const char *const ends[] = {".lora_up.weight",   ".lora_down.weight", ".lora_mid.weight", "_lora.up.weight",
                                       "_lora.down.weight", ".lora_A.weight",    ".lora_B.weight",   ".lora.up.weight",
                                       ".lora.down.weight", ".dora_scale",       ".oft_blocks",      ".oft_diag"};
    static const char *const parts[] = {"lora_linear_layer.", ".hada_w", ".hada_t", ".lokr_w", ".lokr_t",
                                        ".lora_A.",           ".lora_B."};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(s, ends[i]))
            return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(s, parts[i]))
            return true;
    return strncmp(s, "lora_unet_", 10) == 0 || strncmp(s, "lora_te", 7) == 0;
}

struct clues {
    size_t lora, motion_lora, ldm_unet, vae, text, motion, control, unet, bare_ldm, diffusion_transformer, adapter, t2i, vision, ema;
    bool sdxl, sd2, kohya, peft, domain, ldm_vae, original;
    uint64_t text_width, in_channels;
};

/* The last dimension of a cross-attention key weight is the width of the text. */
static void note_text_width(struct clues *c, const vka_weight *t)
{
    bool key = strstr(t->name, "attn2") && strstr(t->name, "to_k") && t->rank == 2 && !strstr(t->name, "_ip");
    bool down = !is_lora_name(t->name) || strstr(t->name, "down") || strstr(t->name, "lora_A");
    bool temporal = strstr(t->name, "motion_modules") || strstr(t->name, "temporal");
    if (key && down && !temporal)
        c->text_width = t->dims[1];
}

static void note_lora(struct clues *c, const char *s)
{
    c->lora++;
    c->motion_lora += strstr(s, "motion_modules") || strstr(s, "temporal");
    c->kohya |= strncmp(s, "lora_", 5) == 0;
    c->peft |= strstr(s, "lora_A") != NULL;
    c->domain |= strstr(s, ".processor.to_") && !strstr(s, "motion_modules");
    c->sdxl |= strncmp(s, "lora_te1_", 9) == 0 || strncmp(s, "lora_te2_", 9) == 0;
}

static void note(struct clues *c, const vka_weight *t)
{
    char name[VKA_NAME_CAP];
    const char *s = t->name;
    int attention;
    note_text_width(c, t);
    if (is_lora_name(s)) {
        note_lora(c, s);
        return;
    }
    c->sdxl |= strncmp(s, "conditioner.embedders.", 22) == 0 || strstr(s, "label_emb.0.0.weight") ||
               strstr(s, "add_embedding.linear_1.weight");
    c->sd2 |= strncmp(s, "cond_stage_model.model.", 23) == 0;
    c->ema += strncmp(s, "model_ema.", 10) == 0;
    if (ends_with(s, "input_blocks.0.0.weight") || strcmp(s, "conv_in.weight") == 0)
        c->in_channels = t->rank == 4 ? t->dims[1] : 0;
    if (strncmp(s, "model.diffusion_model.", 22) == 0)
        c->ldm_unet++;
    else if (strncmp(s, "first_stage_model.", 18) == 0)
        c->ldm_vae = true;
    else if (strncmp(s, "control_model.", 14) == 0 || strstr(s, "input_hint_block.") || strstr(s, "zero_convs.") ||
             strstr(s, "controlnet_down_blocks.") || strstr(s, "controlnet_cond_embedding."))
        c->control++;
    else if (strncmp(s, "input_blocks.", 13) == 0 || strncmp(s, "output_blocks.", 14) == 0)
        c->bare_ldm++;
    else if (strncmp(s, "double_blocks.", 14) == 0 || strncmp(s, "single_blocks.", 14) == 0 ||
             strstr(s, "joint_blocks.") || strncmp(s, "transformer_blocks.", 19) == 0)
        c->diffusion_transformer++;
    else if (strncmp(s, "ip_adapter.", 11) == 0 || strncmp(s, "image_proj.", 11) == 0)
        c->adapter++;
    else if (strncmp(s, "adapter.body.", 13) == 0 || strncmp(s, "body.0.", 7) == 0)
        c->t2i++;
    else if (strncmp(s, "vision_model.", 13) == 0)
        c->vision++;
    else if (vka_rename_motion(name, s, &attention) == VKA_NAME_KEEP) {
        c->motion++;
        c->original |= strstr(s, "temporal_") != NULL;
    } else if (strstr(s, "down_blocks.0.resnets.0.time_emb_proj.weight") ||
               strcmp(s, "time_embedding.linear_1.weight") == 0)
        c->unet++;
    else if (strncmp(s, "decoder.", 8) == 0 || strncmp(s, "encoder.down", 12) == 0 ||
             strncmp(s, "encoder.mid", 11) == 0) {
        c->vae++;
        c->ldm_vae |= strncmp(s, "decoder.up.", 11) == 0;
    } else if (strncmp(s, "text_model.", 11) == 0 || strncmp(s, "embeddings.token_", 17) == 0)
        c->text++;
}

/* One or a few vectors as wide as a text encoder, and nothing else. */
static bool is_embedding(const vka_safetensors *st)
{
    size_t vectors = 0;
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        if (strncmp(t->name, "string_to_token.", 16) == 0) /* numbers of the words, in the trainer's tokenizer */
            continue;
        if (++vectors > 2)
            return false;
        uint64_t width = t->rank ? t->dims[t->rank - 1] : 0;
        bool named = !strcmp(t->name, "emb_params") || !strcmp(t->name, "clip_l") || !strcmp(t->name, "clip_g") ||
                     t->name[0] == '<' || strncmp(t->name, "string_to_param.", 16) == 0;
        bool wide = width == 768 || width == 1024 || width == 1280;
        if (t->rank < 1 || t->rank > 2 || !vka_dtype_is_float(t->dtype) || (!named && (!wide || strchr(t->name, '.'))))
            return false;
    }
    return vectors > 0;
}

static const char *family_of(const struct clues *c)
{
    if (c->sdxl || c->text_width == 2048)
        return "sdxl";
    if (c->sd2 || c->text_width == 1024)
        return "sd2";
    return c->in_channels == 9 ? "sd15-inpaint" : c->in_channels == 8 ? "sd15-pix2pix" : "sd15";
}

void vka_classify(vka_classification *out, const vka_safetensors *st)
{
    struct clues c = {0};
    *out = (vka_classification){.kind = VKA_FILE_UNKNOWN};
    for (size_t i = 0; i < st->count; i++)
        note(&c, &st->tensors[i]);
    bool model = c.ldm_unet > 0;
    if (c.lora > 0 && !model && !c.adapter && c.lora * 4 >= st->count) {
        bool motion = c.motion_lora * 2 > c.lora;
        out->kind = motion ? VKA_FILE_MOTION_LORA : VKA_FILE_LORA;
        out->dialect = c.kohya ? "kohya" : c.peft ? "peft" : "diffusers";
        if (!motion && (c.text_width || c.sdxl))
            out->family = family_of(&c);
        if (c.domain && !motion)
            out->note = "it changes the picture, not the motion (AnimateDiff v3's domain adapter has this form)";
    } else if (c.control > 0 && !model) {
        out->kind = VKA_FILE_CONTROLNET;
        out->family = c.text_width ? family_of(&c) : NULL;
    } else if (c.motion > 0) {
        out->kind = VKA_FILE_MOTION;
        out->dialect = c.original ? "original" : "diffusers";
    } else if (model || (c.bare_ldm > 0 && c.in_channels)) {
        out->kind = model ? VKA_FILE_CHECKPOINT : VKA_FILE_UNET;
        out->family = family_of(&c);
        out->dialect = "ldm";
    } else if (c.unet > 0) {
        out->kind = VKA_FILE_UNET;
        out->family = family_of(&c);
        out->dialect = "diffusers";
    } else if (c.diffusion_transformer > 0)
        out->note = "it is a diffusion transformer (Flux, SD3 or a relative), not a UNet model";
    else if (c.adapter > 0)
        out->kind = VKA_FILE_IP_ADAPTER;
    else if (c.t2i > 0)
        out->note = "it is a T2I-Adapter, which is not supported";
    else if (c.vision > 0 && !c.text)
        out->kind = VKA_FILE_VISION;
    else if (c.vae > 0 || c.ldm_vae) {
        out->kind = VKA_FILE_VAE;
        out->dialect = c.ldm_vae ? "ldm" : "diffusers";
    } else if (c.text > 0) {
        out->kind = VKA_FILE_TEXT;
        out->dialect = "diffusers";
    } else if (is_embedding(st)) {
        out->kind = VKA_FILE_EMBEDDING;
        bool large = vka_safetensors_find(st, "clip_g") != NULL;
        out->family = large ? "sdxl" : "sd15";
    } else if (c.ema > 0)
        out->note = "it holds only averaged (EMA) training weights";
}
