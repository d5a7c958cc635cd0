/* config_unet.c - the UNet's sizes, from config.json and from tensor shapes; see config.h.
 *
 * Shapes tell the levels, channels, layers and attention depth, the text width and the kind of proj_in; they cannot
 * tell heads, groups and epsilons.  With a config the shapes are still read, and must agree. */
#include "weights/config.h"
#include "weights/json_reader.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CHANNELS = 65536, MAX_LAYERS = 64 };

/* Dimension `d` of a tensor as a count from 1 to MAX_CHANNELS; 0 when it is no such thing. */
static uint32_t dim(const vka_weight *t, uint32_t d)
{
    return t && d < t->rank && t->dims[d] <= MAX_CHANNELS ? (uint32_t)t->dims[d] : 0;
}

/* transformer_blocks in BLOCK.attentions.0. */
static uint32_t depth_of(const vka_weights *w, const char *block)
{
    uint32_t n = 0;
    while (n < MAX_LAYERS &&
           vka_weights_findf(w, "%s.attentions.0.transformer_blocks.%u.norm1.weight", block, (unsigned)n))
        n++;
    return n;
}

static uint32_t resnets_of(const vka_weights *w, const char *block)
{
    uint32_t n = 0;
    while (n < MAX_LAYERS && vka_weights_findf(w, "%s.resnets.%u.conv1.weight", block, (unsigned)n))
        n++;
    return n;
}

/* Attention at any place: its text width and whether proj_in is linear. */
static void read_attention(vka_unet_config *c, const vka_weights *w, const char *block)
{
    const vka_weight *k = vka_weights_findf(w, "%s.attentions.0.transformer_blocks.0.attn2.to_k.weight", block);
    const vka_weight *p = vka_weights_findf(w, "%s.attentions.0.proj_in.weight", block);
    if (k && !c->cross_attention_dim)
        c->cross_attention_dim = dim(k, 1);
    if (p && p->rank == 2)
        c->use_linear_projection = true;
}

static vka_status no_unet(const vka_weights *w, const char *name, vka_error *err)
{
    return vka_fail(err, VKA_E_INPUT, "%s lacks the tensor '%s', or it has an odd shape", vka_weights_title(w), name);
}

/* All that shapes tell; heads, groups and epsilons stay zero. */
static vka_status read_shapes(vka_unet_config *c, const vka_weights *w, bool encoder, vka_error *err)
{
    *c = (vka_unet_config){0};
    if (vka_weights_find(w, "label_emb.0.0.weight") || vka_weights_find(w, "add_embedding.linear_1.weight"))
        return vka_fail(err, VKA_E_INPUT, "%s is of the SDXL class, which is not supported", vka_weights_title(w));
    if (vka_weights_find(w, "class_embedding.weight") || vka_weights_find(w, "class_embedding.linear_1.weight"))
        return vka_fail(err, VKA_E_INPUT, "%s has class embeddings, which are not supported", vka_weights_title(w));
    c->in_channels = dim(vka_weights_find(w, "conv_in.weight"), 1);
    if (!c->in_channels)
        return no_unet(w, "conv_in.weight", err);
    c->out_channels = dim(vka_weights_find(w, "conv_out.weight"), 0);
    if (!c->out_channels && !encoder)
        return no_unet(w, "conv_out.weight", err);
    if (encoder)
        c->out_channels = 0;
    c->time_embed_dim = dim(vka_weights_find(w, "time_embedding.linear_1.weight"), 0);
    if (!c->time_embed_dim)
        return no_unet(w, "time_embedding.linear_1.weight", err);
    char block[32];
    for (uint32_t l = 0; l <= VKA_MAX_LEVELS; l++) {
        snprintf(block, sizeof block, "down_blocks.%u", (unsigned)l);
        uint32_t n = resnets_of(w, block);
        if (!n)
            break;
        if (l == VKA_MAX_LEVELS)
            return vka_fail(err, VKA_E_INPUT, "%s has more than %d levels", vka_weights_title(w), VKA_MAX_LEVELS);
        c->layers[l] = n;
        c->channels[l] = dim(vka_weights_findf(w, "%s.resnets.0.conv1.weight", block), 0);
        if (!c->channels[l])
            return vka_fail(err, VKA_E_INPUT, "%s: '%s.resnets.0.conv1.weight' has an odd shape", vka_weights_title(w),
                            block);
        c->depth[l] = depth_of(w, block);
        read_attention(c, w, block);
        c->levels = l + 1;
    }
    if (!c->levels)
        return no_unet(w, "down_blocks.0.resnets.0.conv1.weight", err);
    for (uint32_t i = 0; i < c->levels && !encoder; i++) {
        snprintf(block, sizeof block, "up_blocks.%u", (unsigned)i);
        c->up_depth[i] = depth_of(w, block);
        read_attention(c, w, block);
    }
    c->mid_resnets = resnets_of(w, "mid_block");
    c->mid_depth = depth_of(w, "mid_block");
    read_attention(c, w, "mid_block");
    return VKA_OK;
}

/* Divisibility, once everything is known. */
static vka_status check(const vka_unet_config *c, const char *what, vka_error *err)
{
    for (uint32_t l = 0; l < c->levels; l++) {
        if (c->channels[l] % c->norm_num_groups)
            return vka_fail(err, VKA_E_INPUT, "%s: %u channels at level %u cannot be split in %u groups", what,
                            (unsigned)c->channels[l], (unsigned)l, (unsigned)c->norm_num_groups);
        bool attends = c->depth[l] || c->up_depth[c->levels - 1 - l];
        if (attends && c->channels[l] % c->heads[l])
            return vka_fail(err, VKA_E_INPUT, "%s: %u channels at level %u cannot be split in %u heads", what,
                            (unsigned)c->channels[l], (unsigned)l, (unsigned)c->heads[l]);
    }
    if (c->mid_depth && c->channels[c->levels - 1] % c->mid_heads)
        return vka_fail(err, VKA_E_INPUT, "%s: %u channels in the middle cannot be split in %u heads", what,
                        (unsigned)c->channels[c->levels - 1], (unsigned)c->mid_heads);
    return VKA_OK;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static vka_status infer(vka_unet_config *c, const vka_weights *w, bool encoder, vka_error *err)
{
    vka_status s = read_shapes(c, w, encoder, err);
    if (s != VKA_OK)
        return s;
    c->norm_num_groups = 32;
    for (uint32_t l = 0; l < c->levels; l++)
        c->norm_num_groups = gcd(c->norm_num_groups, c->channels[l]);
    for (uint32_t l = 0; l < c->levels; l++) {
        /* SD1.5 has 8 heads; SD2, told by its linear projections, has heads of 64 channels. */
        bool by_width = c->use_linear_projection && c->channels[l] % 64 == 0;
        c->heads[l] = by_width ? c->channels[l] / 64 : 8;
    }
    c->mid_heads = c->heads[c->levels - 1];
    c->norm_eps = 1e-5f;
    c->flip_sin_to_cos = true;
    c->downsample_padding = 1;
    return check(c, vka_weights_title(w), err);
}

vka_status vka_unet_config_infer(vka_unet_config *c, const vka_weights *w, vka_error *err)
{
    return infer(c, w, false, err);
}

vka_status vka_encoder_config_infer(vka_unet_config *c, const vka_weights *w, vka_error *err)
{
    return infer(c, w, true, err);
}

/* A list of block types: sets attends[] per block; refuses what is neither of the two kinds. */
static void read_types(vka_json_reader *r, const char *key, const char *plain, const char *cross, bool *attends,
                       uint32_t count)
{
    const json_t *list = vka_json_get(r, key);
    char text[160];
    if (!list)
        return;
    if (!json_is_array(list) || json_array_size(list) != count) {
        vka_json_refuse(r, key, "does not have one entry per entry of block_out_channels");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *t = json_string_value(json_array_get(list, i));
        size_t np = strlen(plain), nc = strlen(cross);
        /* DownBlock2D, or DownBlockMotion in a saved UNetMotionModel. */
        bool is_plain = t && strncmp(t, plain, np) == 0 && (!strcmp(t + np, "2D") || !strcmp(t + np, "Motion"));
        bool is_cross = t && strncmp(t, cross, nc) == 0 && (!strcmp(t + nc, "2D") || !strcmp(t + nc, "Motion"));
        if (!is_plain && !is_cross) {
            snprintf(text, sizeof text, "has the block type '%.60s', which is not supported", t ? t : "?");
            vka_json_refuse(r, key, text);
            return;
        }
        attends[i] = is_cross;
    }
}

static void refuse_foreign(vka_json_reader *r)
{
    static const char *const off[] = {"class_embed_type",
                                      "num_class_embeds",
                                      "encoder_hid_dim",
                                      "encoder_hid_dim_type",
                                      "time_cond_proj_dim",
                                      "timestep_post_act",
                                      "time_embedding_act_fn",
                                      "dual_cross_attention",
                                      "center_input_sample",
                                      "only_cross_attention",
                                      "mid_block_only_cross_attention",
                                      "resnet_skip_time_act",
                                      "class_embeddings_concat",
                                      "cross_attention_norm"};
    const json_t *added = vka_json_get(r, "addition_embed_type");
    if (json_is_string(added) && strncmp(json_string_value(added), "text_time", 9) == 0 && r->status == VKA_OK)
        r->status =
            vka_fail(r->err, VKA_E_INPUT, "'%s' describes a UNet of the SDXL class, which is not supported", r->path);
    vka_json_must_be(r, "addition_embed_type", NULL);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        vka_json_must_be(r, off[i], NULL);
    vka_json_must_be(r, "resnet_time_scale_shift", "default");
    vka_json_must_be(r, "time_embedding_type", "positional");
    vka_json_must_be(r, "attention_type", "default");
    vka_json_must_be_number(r, "conv_in_kernel", 3);
    vka_json_must_be_number(r, "conv_out_kernel", 3);
    vka_json_must_be_number(r, "mid_block_scale_factor", 1);
    vka_json_must_be_number(r, "resnet_out_scale_factor", 1);
    const json_t *act = vka_json_get(r, "act_fn");
    if (act && (!json_is_string(act) || strcmp(json_string_value(act), "swish") != 0))
        vka_json_must_be(r, "act_fn", "silu");
}

static void read_class(vka_json_reader *r, bool encoder)
{
    char name[64] = "";
    const char *const wanted[] = {encoder ? "ControlNetModel" : "UNet2DConditionModel",
                                  encoder ? "SparseControlNetModel" : "UNetMotionModel"};
    vka_json_text(r, "_class_name", name, sizeof name);
    if (name[0] && strcmp(name, wanted[0]) != 0 && strcmp(name, wanted[1]) != 0 && r->status == VKA_OK)
        r->status = vka_fail(r->err, VKA_E_INPUT, "'%s' describes a %s, not a %s", r->path, name, wanted[0]);
}

static void read_heads(vka_json_reader *r, vka_unet_config *c)
{
    for (uint32_t l = 0; l < c->levels; l++)
        c->heads[l] = 8;
    /* In this class attention_head_dim holds the NUMBER of heads, a naming slip kept for old files. */
    vka_json_uints(r, vka_json_get(r, "num_attention_heads") ? "num_attention_heads" : "attention_head_dim", c->heads,
                   c->levels, 1, 1024);
    c->mid_heads = c->heads[c->levels - 1];
}

static void read_depths(vka_json_reader *r, vka_unet_config *c, bool encoder)
{
    bool down[VKA_MAX_LEVELS] = {false}, up[VKA_MAX_LEVELS] = {false};
    uint32_t depth[VKA_MAX_LEVELS], updepth[VKA_MAX_LEVELS];
    for (uint32_t l = 0; l < c->levels; l++) {
        depth[l] = 1;
        down[l] = l + 1 < c->levels;
        up[l] = l > 0;
    }
    read_types(r, "down_block_types", "DownBlock", "CrossAttnDownBlock", down, c->levels);
    read_types(r, "up_block_types", "UpBlock", "CrossAttnUpBlock", up, c->levels);
    vka_json_uints(r, "transformer_layers_per_block", depth, c->levels, 1, MAX_LAYERS);
    for (uint32_t l = 0; l < c->levels; l++)
        updepth[l] = depth[c->levels - 1 - l];
    vka_json_uints(r, "reverse_transformer_layers_per_block", updepth, c->levels, 1, MAX_LAYERS);
    for (uint32_t l = 0; l < c->levels; l++) {
        c->depth[l] = down[l] ? depth[l] : 0;
        c->up_depth[l] = up[l] && !encoder ? updepth[l] : 0;
    }
    char mid[64] = "UNetMidBlock2DCrossAttn";
    const json_t *none = json_object_get(r->object, "mid_block_type");
    if (json_is_null(none) && none)
        mid[0] = '\0';
    vka_json_text(r, "mid_block_type", mid, sizeof mid);
    if (!mid[0])
        c->mid_resnets = c->mid_depth = 0;
    else if (!strcmp(mid, "UNetMidBlock2DCrossAttn") || !strcmp(mid, "UNetMidBlockCrossAttnMotion")) {
        c->mid_resnets = 2;
        c->mid_depth = depth[c->levels - 1];
    } else if (!strcmp(mid, "UNetMidBlock2D")) {
        c->mid_resnets = 1; /* built with no further layers and no attention */
        c->mid_depth = 0;
    } else
        vka_json_must_be(r, "mid_block_type", "UNetMidBlock2DCrossAttn");
}

static void disagree(vka_json_reader *r, const char *key, uint32_t level, uint32_t config, uint32_t tensors)
{
    char text[128];
    if (config == tensors)
        return;
    snprintf(text, sizeof text, "is %u at place %u, but the tensors say %u", (unsigned)config, (unsigned)level,
             (unsigned)tensors);
    vka_json_refuse(r, key, text);
}

static void compare(vka_json_reader *r, const vka_unet_config *c, const vka_unet_config *t)
{
    disagree(r, "block_out_channels (its length)", 0, c->levels, t->levels);
    disagree(r, "in_channels", 0, c->in_channels, t->in_channels);
    disagree(r, "out_channels", 0, c->out_channels, t->out_channels);
    for (uint32_t l = 0; l < c->levels; l++) {
        disagree(r, "block_out_channels", l, c->channels[l], t->channels[l]);
        disagree(r, "layers_per_block", l, c->layers[l], t->layers[l]);
        disagree(r, "the attention depth of down_blocks", l, c->depth[l], t->depth[l]);
        disagree(r, "the attention depth of up_blocks", l, c->up_depth[l], t->up_depth[l]);
    }
    disagree(r, "the attention depth of mid_block", 0, c->mid_depth, t->mid_depth);
    disagree(r, "the number of mid_block ResNets", 0, c->mid_resnets, t->mid_resnets);
    if (t->cross_attention_dim)
        disagree(r, "cross_attention_dim", 0, c->cross_attention_dim, t->cross_attention_dim);
}

static vka_status from_json(vka_unet_config *c, const json_t *json, const vka_weights *w, const char *path, bool encoder,
                            vka_error *err)
{
    vka_json_reader reader = {.object = json, .path = path, .err = err}, *r = &reader;
    *c = (vka_unet_config){.in_channels = 4,
                           .out_channels = encoder ? 0 : 4,
                           .levels = 4,
                           .channels = {320, 640, 1280, 1280},
                           .cross_attention_dim = 1280,
                           .norm_num_groups = 32,
                           .norm_eps = 1e-5f,
                           .flip_sin_to_cos = true,
                           .downsample_padding = 1};
    read_class(r, encoder);
    refuse_foreign(r);
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
    for (uint32_t l = 0; l < c->levels; l++)
        c->layers[l] = 2;
    vka_json_uints(r, "block_out_channels", c->channels, c->levels, 1, MAX_CHANNELS);
    vka_json_uints(r, "layers_per_block", c->layers, c->levels, 1, MAX_LAYERS);
    vka_json_uint(r, "in_channels", &c->in_channels, 1, MAX_CHANNELS);
    if (!encoder)
        vka_json_uint(r, "out_channels", &c->out_channels, 1, MAX_CHANNELS);
    vka_json_uint(r, "norm_num_groups", &c->norm_num_groups, 1, MAX_CHANNELS);
    vka_json_float(r, "norm_eps", 1e-12, 1.0, &c->norm_eps);
    vka_json_float(r, "freq_shift", -16, 16, &c->freq_shift);
    vka_json_bool(r, "flip_sin_to_cos", &c->flip_sin_to_cos);
    vka_json_bool(r, "use_linear_projection", &c->use_linear_projection);
    vka_json_bool(r, "upcast_attention", &c->upcast_attention);
    vka_json_uint(r, "downsample_padding", &c->downsample_padding, 0, 1);
    uint32_t text[VKA_MAX_LEVELS];
    for (uint32_t l = 0; l < c->levels; l++)
        text[l] = c->cross_attention_dim;
    vka_json_uints(r, "cross_attention_dim", text, c->levels, 1, MAX_CHANNELS);
    for (uint32_t l = 1; l < c->levels; l++)
        if (text[l] != text[0])
            vka_json_refuse(r, "cross_attention_dim", "differs between levels, which is not supported");
    c->cross_attention_dim = text[0];
    const json_t *size = vka_json_get(r, "sample_size");
    if (json_is_integer(size))
        vka_json_uint(r, "sample_size", &c->sample_size, 1, MAX_CHANNELS);
    read_heads(r, c);
    read_depths(r, c, encoder);
    c->time_embed_dim = c->channels[0] * 4;
    vka_json_uint(r, "time_embedding_dim", &c->time_embed_dim, 1, 4 * MAX_CHANNELS);
    if (r->status == VKA_OK && w) {
        vka_unet_config t;
        r->status = read_shapes(&t, w, encoder, err);
        if (r->status == VKA_OK) {
            compare(r, c, &t);
            disagree(r, "time_embedding_dim", 0, c->time_embed_dim, t.time_embed_dim);
        }
    }
    if (r->status == VKA_OK) {
        char what[300];
        snprintf(what, sizeof what, "'%.256s'", path);
        r->status = check(c, what, err);
    }
    return r->status;
}

vka_status vka_unet_config_from_json(vka_unet_config *c, const json_t *json, const vka_weights *w, const char *path,
                                     vka_error *err)
{
    return from_json(c, json, w, path, false, err);
}

vka_status vka_encoder_config_from_json(vka_unet_config *c, const json_t *json, const vka_weights *w, const char *path,
                                        vka_error *err)
{
    return from_json(c, json, w, path, true, err);
}
