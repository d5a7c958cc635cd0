/* config_parts.c - sizes of the VAE and the text encoder, and the scheduler's settings; see config.h. */
#include "weights/config.h"
#include "weights/json_reader.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CHANNELS = 65536, MAX_LAYERS = 64, MAX_VOCAB = 4 * 1024 * 1024 };

static uint32_t dim_up_to(const vka_weight *t, uint32_t d, uint32_t limit)
{
    return t && d < t->rank && t->dims[d] <= limit ? (uint32_t)t->dims[d] : 0;
}
static uint32_t dim(const vka_weight *t, uint32_t d)
{
    return dim_up_to(t, d, MAX_CHANNELS);
}

static void disagree(vka_json_reader *r, const char *key, uint32_t config, uint32_t tensors)
{
    char text[128];
    if (config == tensors)
        return;
    snprintf(text, sizeof text, "is %u, but the tensors say %u", (unsigned)config, (unsigned)tensors);
    vka_json_refuse(r, key, text);
}

static void read_class(vka_json_reader *r, const char *wanted)
{
    char name[64] = "";
    vka_json_text(r, "_class_name", name, sizeof name);
    if (name[0] && strcmp(name, wanted) != 0 && r->status == VKA_OK)
        r->status = vka_fail(r->err, VKA_E_INPUT, "'%s' describes a %s, not an %s", r->path, name, wanted);
}

/* ---- VAE ---- */

static vka_status read_vae_shapes(vka_vae_config *c, const vka_weights *w, vka_error *err)
{
    *c = (vka_vae_config){.norm_eps = 1e-6f};
    const vka_weight *enc = vka_weights_find(w, "encoder.conv_in.weight"),
                     *dec = vka_weights_find(w, "decoder.conv_in.weight");
    c->has_encoder = enc != NULL;
    c->has_decoder = dec != NULL;
    if (!enc && !dec)
        return vka_fail(err, VKA_E_INPUT, "%s has neither encoder.conv_in.weight nor decoder.conv_in.weight",
                        vka_weights_title(w));
    const char *side = enc ? "encoder.down" : "decoder.up";
    for (uint32_t l = 0; l <= VKA_MAX_LEVELS; l++) {
        uint32_t n = 0;
        while (n < MAX_LAYERS &&
               vka_weights_findf(w, "%s_blocks.%u.resnets.%u.conv1.weight", side, (unsigned)l, (unsigned)n))
            n++;
        if (!n)
            break;
        if (l == VKA_MAX_LEVELS)
            return vka_fail(err, VKA_E_INPUT, "%s has more than %d levels", vka_weights_title(w), VKA_MAX_LEVELS);
        c->channels[l] = dim(vka_weights_findf(w, "%s_blocks.%u.resnets.0.conv1.weight", side, (unsigned)l), 0);
        if (!c->channels[l])
            return vka_fail(err, VKA_E_INPUT, "%s: '%s_blocks.%u.resnets.0.conv1.weight' has an odd shape",
                            vka_weights_title(w), side, (unsigned)l);
        if (l == 0)
            c->layers = enc ? n : n - 1;
        c->levels = l + 1;
    }
    if (!c->levels || !c->layers)
        return vka_fail(err, VKA_E_INPUT, "%s lacks the tensors of '%s_blocks.0'", vka_weights_title(w), side);
    for (uint32_t i = 0; !enc && i < c->levels / 2; i++) { /* the decoder's order is the other way round */
        uint32_t swap = c->channels[i];
        c->channels[i] = c->channels[c->levels - 1 - i];
        c->channels[c->levels - 1 - i] = swap;
    }
    const vka_weight *out = vka_weights_find(w, "decoder.conv_out.weight"),
                     *mean = vka_weights_find(w, "quant_conv.weight");
    c->use_quant_conv = mean != NULL;
    c->use_post_quant_conv = vka_weights_find(w, "post_quant_conv.weight") != NULL;
    c->latent_channels = dec ? dim(dec, 1) : dim(vka_weights_find(w, "encoder.conv_out.weight"), 0) / 2;
    c->in_channels = enc ? dim(enc, 1) : 3;
    c->out_channels = out ? dim(out, 0) : 3;
    if (!c->latent_channels || !c->in_channels || !c->out_channels)
        return vka_fail(err, VKA_E_INPUT, "%s has a first or last convolution of an odd shape", vka_weights_title(w));
    c->mid_attention =
        vka_weights_findf(w, "%s.mid_block.attentions.0.to_q.weight", enc ? "encoder" : "decoder") != NULL;
    return VKA_OK;
}

static vka_status check_vae(const vka_vae_config *c, const char *what, vka_error *err)
{
    for (uint32_t l = 0; l < c->levels; l++)
        if (c->channels[l] % c->norm_num_groups)
            return vka_fail(err, VKA_E_INPUT, "%s: %u channels at level %u cannot be split in %u groups", what,
                            (unsigned)c->channels[l], (unsigned)l, (unsigned)c->norm_num_groups);
    return VKA_OK;
}

vka_status vka_vae_config_infer(vka_vae_config *c, const vka_weights *w, vka_error *err)
{
    vka_status s = read_vae_shapes(c, w, err);
    if (s != VKA_OK)
        return s;
    c->norm_num_groups = 32;
    for (uint32_t l = 0; l < c->levels; l++)
        while (c->channels[l] % c->norm_num_groups)
            c->norm_num_groups /= 2;
    c->scaling_factor = 0.18215f;
    return check_vae(c, vka_weights_title(w), err);
}

static void must_all_be(vka_json_reader *r, const char *key, const char *type)
{
    const json_t *list = vka_json_get(r, key);
    for (size_t i = 0; json_is_array(list) && i < json_array_size(list); i++) {
        const char *t = json_string_value(json_array_get(list, i));
        if (!t || strcmp(t, type) != 0)
            vka_json_refuse(r, key, "has a block type that is not supported");
    }
}

vka_status vka_vae_config_from_json(vka_vae_config *c, const json_t *json, const vka_weights *w, const char *path,
                                    vka_error *err)
{
    vka_json_reader reader = {.object = json, .path = path, .err = err}, *r = &reader;
    *c = (vka_vae_config){.in_channels = 3,
                          .out_channels = 3,
                          .latent_channels = 4,
                          .levels = 1,
                          .channels = {64},
                          .layers = 1,
                          .norm_num_groups = 32,
                          .norm_eps = 1e-6f,
                          .scaling_factor = 0.18215f,
                          .use_quant_conv = true,
                          .use_post_quant_conv = true,
                          .mid_attention = true,
                          .has_encoder = true,
                          .has_decoder = true};
    read_class(r, "AutoencoderKL");
    must_all_be(r, "down_block_types", "DownEncoderBlock2D");
    must_all_be(r, "up_block_types", "UpDecoderBlock2D");
    vka_json_must_be(r, "act_fn", "silu");
    vka_json_must_be(r, "latents_mean", NULL);
    vka_json_must_be(r, "latents_std", NULL);
    const json_t *widths = vka_json_get(r, "block_out_channels");
    if (widths) {
        size_t n = json_is_array(widths) ? json_array_size(widths) : 0;
        if (n < 1 || n > VKA_MAX_LEVELS)
            vka_json_refuse(r, "block_out_channels", "is not a list of 1 to 8 widths");
        else
            c->levels = (uint32_t)n;
    }
    if (r->status != VKA_OK)
        return r->status;
    vka_json_uints(r, "block_out_channels", c->channels, c->levels, 1, MAX_CHANNELS);
    vka_json_uint(r, "layers_per_block", &c->layers, 1, MAX_LAYERS);
    vka_json_uint(r, "in_channels", &c->in_channels, 1, MAX_CHANNELS);
    vka_json_uint(r, "out_channels", &c->out_channels, 1, MAX_CHANNELS);
    vka_json_uint(r, "latent_channels", &c->latent_channels, 1, MAX_CHANNELS);
    vka_json_uint(r, "norm_num_groups", &c->norm_num_groups, 1, MAX_CHANNELS);
    vka_json_float(r, "scaling_factor", 1e-6, 1e6, &c->scaling_factor);
    vka_json_float(r, "shift_factor", -1e6, 1e6, &c->shift_factor);
    vka_json_bool(r, "use_quant_conv", &c->use_quant_conv);
    vka_json_bool(r, "use_post_quant_conv", &c->use_post_quant_conv);
    vka_json_bool(r, "mid_block_add_attention", &c->mid_attention);
    if (r->status == VKA_OK && w) {
        vka_vae_config t;
        r->status = read_vae_shapes(&t, w, err);
        if (r->status == VKA_OK) {
            disagree(r, "the length of block_out_channels", c->levels, t.levels);
            for (uint32_t l = 0; l < c->levels; l++)
                disagree(r, "an entry of block_out_channels", c->channels[l], t.channels[l]);
            disagree(r, "layers_per_block", c->layers, t.layers);
            disagree(r, "latent_channels", c->latent_channels, t.latent_channels);
            disagree(r, "in_channels", c->in_channels, t.in_channels);
            disagree(r, "out_channels", c->out_channels, t.out_channels);
            disagree(r, "mid_block_add_attention", c->mid_attention, t.mid_attention);
            c->has_encoder = t.has_encoder;
            c->has_decoder = t.has_decoder;
        }
    }
    if (r->status == VKA_OK) {
        char what[300];
        snprintf(what, sizeof what, "'%.256s'", path);
        r->status = check_vae(c, what, err);
    }
    return r->status;
}

/* ---- text encoder ---- */

static vka_status read_text_shapes(vka_text_config *c, const vka_weights *w, vka_error *err)
{
    *c = (vka_text_config){.eps = 1e-5f, .bos_id = -1, .eos_id = -1, .pad_id = -1};
    const vka_weight *tokens = vka_weights_find(w, "text_model.embeddings.token_embedding.weight");
    c->vocab = dim_up_to(tokens, 0, MAX_VOCAB);
    c->hidden = dim(tokens, 1);
    c->max_positions = dim(vka_weights_find(w, "text_model.embeddings.position_embedding.weight"), 0);
    while (c->layers <= MAX_LAYERS * 4 &&
           vka_weights_findf(w, "text_model.encoder.layers.%u.layer_norm1.weight", (unsigned)c->layers))
        c->layers++;
    c->intermediate = dim(vka_weights_find(w, "text_model.encoder.layers.0.mlp.fc1.weight"), 0);
    c->projection = dim(vka_weights_find(w, "text_projection.weight"), 0);
    if (!c->vocab || !c->hidden || !c->max_positions || !c->layers || !c->intermediate)
        return vka_fail(err, VKA_E_INPUT, "%s lacks a CLIP text model's embeddings or layers", vka_weights_title(w));
    return VKA_OK;
}

static vka_status check_text(const vka_text_config *c, const char *what, vka_error *err)
{
    if (c->hidden % c->heads)
        return vka_fail(err, VKA_E_INPUT, "%s: a width of %u cannot be split in %u heads", what, (unsigned)c->hidden,
                        (unsigned)c->heads);
    return VKA_OK;
}

vka_status vka_text_config_infer(vka_text_config *c, const vka_weights *w, vka_error *err)
{
    vka_status s = read_text_shapes(c, w, err);
    if (s != VKA_OK)
        return s;
    /* CLIP's heads are 64 wide (768: 12 heads).  A narrower relative of CLIP-L keeps its 12 heads. */
    if (c->hidden % 64 == 0 && c->hidden >= 512)
        c->heads = c->hidden / 64;
    else {
        static const uint32_t choices[] = {12, 8, 4, 2, 1};
        size_t i = 0;
        while (c->hidden % choices[i])
            i++;
        c->heads = choices[i];
    }
    c->act = c->hidden == 1024 ? VKA_TEXT_GELU : VKA_TEXT_QUICK_GELU; /* 1024: OpenCLIP's, in SD2 */
    return check_text(c, vka_weights_title(w), err);
}

static void read_id(vka_json_reader *r, const char *key, int64_t *id)
{
    const json_t *j = vka_json_get(r, key);
    if (json_is_integer(j) && json_integer_value(j) >= 0 && json_integer_value(j) < MAX_VOCAB)
        *id = json_integer_value(j);
}

vka_status vka_text_config_from_json(vka_text_config *c, const json_t *json, const vka_weights *w, const char *path,
                                     vka_error *err)
{
    const json_t *nested = json_object_get(json, "text_config"); /* a whole CLIPModel's config */
    vka_json_reader reader = {.object = json_is_object(nested) ? nested : json, .path = path, .err = err}, *r = &reader;
    *c = (vka_text_config){.hidden = 512,
                           .layers = 12,
                           .heads = 8,
                           .intermediate = 2048,
                           .max_positions = 77,
                           .vocab = 49408,
                           .act = VKA_TEXT_QUICK_GELU,
                           .eps = 1e-5f,
                           .bos_id = -1,
                           .eos_id = -1,
                           .pad_id = -1};
    char type[64] = "", act[32] = "quick_gelu";
    vka_json_text(r, "model_type", type, sizeof type);
    if (type[0] && strncmp(type, "clip", 4) != 0)
        r->status =
            vka_fail(err, VKA_E_INPUT, "'%s' describes a model of type %s, not a CLIP text encoder", path, type);
    vka_json_uint(r, "hidden_size", &c->hidden, 1, MAX_CHANNELS);
    vka_json_uint(r, "num_hidden_layers", &c->layers, 1, MAX_LAYERS * 4);
    vka_json_uint(r, "num_attention_heads", &c->heads, 1, 1024);
    vka_json_uint(r, "intermediate_size", &c->intermediate, 1, MAX_CHANNELS);
    vka_json_uint(r, "max_position_embeddings", &c->max_positions, 1, MAX_CHANNELS);
    vka_json_uint(r, "vocab_size", &c->vocab, 1, MAX_VOCAB);
    vka_json_float(r, "layer_norm_eps", 1e-12, 1.0, &c->eps);
    vka_json_text(r, "hidden_act", act, sizeof act);
    if (strcmp(act, "gelu") == 0)
        c->act = VKA_TEXT_GELU;
    else
        vka_json_must_be(r, "hidden_act", "quick_gelu");
    read_id(r, "bos_token_id", &c->bos_id);
    read_id(r, "eos_token_id", &c->eos_id);
    read_id(r, "pad_token_id", &c->pad_id);
    if (r->status == VKA_OK && w) {
        vka_text_config t;
        r->status = read_text_shapes(&t, w, err);
        if (r->status == VKA_OK) {
            disagree(r, "hidden_size", c->hidden, t.hidden);
            disagree(r, "num_hidden_layers", c->layers, t.layers);
            disagree(r, "intermediate_size", c->intermediate, t.intermediate);
            disagree(r, "max_position_embeddings", c->max_positions, t.max_positions);
            disagree(r, "vocab_size", c->vocab, t.vocab);
            c->projection = t.projection;
        }
    }
    if (r->status == VKA_OK) {
        char what[300];
        snprintf(what, sizeof what, "'%.256s'", path);
        r->status = check_text(c, what, err);
    }
    return r->status;
}

/* ---- scheduler ---- */

void vka_scheduler_config_default(vka_scheduler_config *c)
{
    *c = (vka_scheduler_config){.beta_start = 0.00085,
                                .beta_end = 0.012,
                                .beta_schedule = "scaled_linear",
                                .steps_offset = 1,
                                .timestep_spacing = "leading",
                                .prediction_type = "epsilon",
                                .num_train_timesteps = 1000};
}

vka_status vka_scheduler_config_from_json(vka_scheduler_config *c, const json_t *json, const char *path, vka_error *err)
{
    static const struct {
        const char *key;
        uint32_t bit;
    } fields[] = {{"beta_start", VKA_SCHED_BETA_START},
                  {"beta_end", VKA_SCHED_BETA_END},
                  {"beta_schedule", VKA_SCHED_BETA_SCHEDULE},
                  {"steps_offset", VKA_SCHED_STEPS_OFFSET},
                  {"timestep_spacing", VKA_SCHED_TIMESTEP_SPACING},
                  {"prediction_type", VKA_SCHED_PREDICTION_TYPE},
                  {"set_alpha_to_one", VKA_SCHED_SET_ALPHA_TO_ONE},
                  {"clip_sample", VKA_SCHED_CLIP_SAMPLE},
                  {"num_train_timesteps", VKA_SCHED_TRAIN_TIMESTEPS},
                  {"rescale_betas_zero_snr", VKA_SCHED_RESCALE_BETAS},
                  {"_class_name", VKA_SCHED_CLASS}};
    vka_json_reader reader = {.object = json, .path = path, .err = err}, *r = &reader;
    uint32_t steps = 1000, offset = 1;
    vka_scheduler_config_default(c);
    vka_json_real(r, "beta_start", 0, 1, &c->beta_start);
    vka_json_real(r, "beta_end", 0, 1, &c->beta_end);
    vka_json_text(r, "beta_schedule", c->beta_schedule, sizeof c->beta_schedule);
    vka_json_uint(r, "steps_offset", &offset, 0, 1000);
    vka_json_text(r, "timestep_spacing", c->timestep_spacing, sizeof c->timestep_spacing);
    vka_json_text(r, "prediction_type", c->prediction_type, sizeof c->prediction_type);
    vka_json_bool(r, "set_alpha_to_one", &c->set_alpha_to_one);
    vka_json_bool(r, "clip_sample", &c->clip_sample);
    vka_json_bool(r, "rescale_betas_zero_snr", &c->rescale_betas_zero_snr);
    vka_json_uint(r, "num_train_timesteps", &steps, 1, 100000);
    vka_json_text(r, "_class_name", c->class_name, sizeof c->class_name);
    vka_json_must_be(r, "trained_betas", NULL);
    c->steps_offset = (int)offset;
    c->num_train_timesteps = (int)steps;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (vka_json_get(r, fields[i].key))
            c->has |= fields[i].bit;
    return r->status;
}
