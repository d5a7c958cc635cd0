/* test_control.c - ControlNets and SparseCtrl encoders in every naming; what is none of those that are supported gets a sentence.
 *
 * The files are made here: names and shapes as published, no data.  Counts of tensors are those of the published files. */
#include "weights_build.h"

#include "weights/file.h"

static const ldm_shape sd15 = {.levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2, .attends = {1, 1, 1, 0},
                               .in = 4, .text = 768, .time = 1280};
static const ldm_shape small = {.levels = 2, .channels = {32, 64}, .layers = 1, .attends = {1, 0}, .in = 4, .text = 48, .time = 128};

struct names {
    const char *prefix; /* in front of every name */
    unsigned hint;      /* channels of the hint */
};

/* A ControlNet with LDM names. */
static void build_control(build *b, const ldm_shape *s, const struct names *n)
{
    static const unsigned widths[8][2] = {{3, 16}, {16, 16}, {16, 32}, {32, 32}, {32, 96}, {96, 96}, {96, 256}, {256, 0}};
    char at[160];
    unsigned skips[64], k = build_ldm_encoder(b, s, n->prefix, skips);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(at, sizeof at, "%sinput_hint_block.%u", n->prefix, 2 * i);
        build_pair(b, at, 4, i < 7 ? widths[i][1] : s->channels[0], i ? widths[i][0] : n->hint, 3);
    }
    for (unsigned i = 0; i < k; i++) {
        snprintf(at, sizeof at, "%szero_convs.%u.0", n->prefix, i);
        build_pair(b, at, 4, skips[i], skips[i], 1);
    }
    snprintf(at, sizeof at, "%smiddle_block_out.0", n->prefix);
    build_pair(b, at, 4, s->channels[s->levels - 1], s->channels[s->levels - 1], 1);
}

/* The file with its LDM names in diffusers' words, by the room's own renames, and what SparseCtrl has besides. */
static void build_sparse(build *b, const ldm_shape *s, const char *prefix, bool scribble, bool diffusers, unsigned pe)
{
    vka_safetensors st;
    vka_error err = {0};
    vka_control_names *map = calloc(1, sizeof *map);
    build ldm = {0};
    char at[400], name[VKA_NAME_CAP];
    assert_non_null(map);
    build_control(&ldm, s, &(struct names){"", scribble ? 4 : 5});
    assert_int_equal(vka_model_file_open(&st, build_write(&ldm, "ldm-of-sparse.safetensors"), &err), VKA_OK);
    vka_control_map(map, &st, "");
    for (size_t i = 0; i < st.count; i++) {
        const vka_weight *t = &st.tensors[i];
        assert_int_equal(vka_rename_control(name, t->name, map), VKA_NAME_KEEP);
        snprintf(at, sizeof at, "%.64s%.300s", prefix, name);
        if (scribble || !strstr(name, "cond_embedding"))
            build_dims(b, at, "F16", t->dims, t->rank);
    }
    snprintf(at, sizeof at, "%scontrolnet_cond_embedding", prefix);
    if (!scribble)
        build_pair(b, at, 4, s->channels[0], 5, 3);
    for (unsigned l = 0; l < s->levels; l++)
        for (unsigned i = 0; i < s->layers; i++) {
            build slot = {0};
            snprintf(at, sizeof at, "down_blocks.%u.motion_modules.%u", l, i);
            build_slot(&slot, &(motion_shape){.prefix = prefix, .diffusers = diffusers, .pe = pe}, at, s->channels[l]);
            /* one attention: what is the second's is left out */
            vka_safetensors one;
            assert_int_equal(vka_safetensors_open(&one, build_write(&slot, "slot.safetensors"), &err), VKA_OK);
            for (size_t k = 0; k < one.count; k++)
                if (!strstr(one.tensors[k].name, "attention_blocks.1") && !strstr(one.tensors[k].name, "norms.1") &&
                    !strstr(one.tensors[k].name, "attn2") && !strstr(one.tensors[k].name, "norm2"))
                    build_dims(b, one.tensors[k].name, "F16", one.tensors[k].dims, one.tensors[k].rank);
            vka_safetensors_close(&one);
        }
    vka_safetensors_close(&st);
    free(map);
}

static const char *variant_of(const char *path)
{
    static char text[64];
    vka_inspection x;
    vka_error err = {0};
    assert_int_equal(vka_inspect(&x, path, &err), VKA_OK);
    assert_string_equal(vka_file_kind_name(x.kind), "controlnet");
    snprintf(text, sizeof text, "%s/%s", x.family ? x.family : "-", x.variant ? x.variant : "-");
    vka_inspection_free(&x);
    return text;
}

static void published_controlnets(void **state)
{
    (void)state;
    static const struct names all[] = {{"control_model.", 3}, {"", 3}, {"controlnet.", 3}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        build b = {0};
        vka_control *c;
        vka_error err = {0};
        build_control(&b, &sd15, &all[i]);
        assert_int_equal(b.count, 340);
        const char *path = build_write(&b, "control_v11p_sd15_canny.safetensors");
        assert_int_equal(vka_control_open(&c, path, &err), VKA_OK);
        const vka_control_info *info = vka_control_describe(c);
        assert_int_equal(info->kind, VKA_CONTROL_NET);
        assert_int_equal(info->outputs, 13);
        assert_int_equal(info->hint_channels, 3);
        assert_int_equal(info->hint_convs, 6);
        assert_int_equal(info->hint_factor, 8);
        assert_int_equal(info->unet.levels, 4);
        assert_int_equal(info->unet.cross_attention_dim, 768);
        assert_int_equal(info->unet.heads[3], 8);
        assert_int_equal(info->motion.slots, 0);
        vka_weights *w = vka_control_weights(c);
        assert_int_equal(vka_weights_count(w), 340);
        assert_non_null(vka_weights_find(w, "controlnet_cond_embedding.blocks.5.weight"));
        assert_non_null(vka_weights_find(w, "controlnet_cond_embedding.conv_out.bias"));
        assert_non_null(vka_weights_find(w, "controlnet_down_blocks.11.weight"));
        assert_non_null(vka_weights_find(w, "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight"));
        vka_control_close(c);
        assert_string_equal(variant_of(path), "sd15/controlnet");
    }
}

static void sparse_encoders(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) {
        bool scribble = way & 1, diffusers = way & 2;
        build b = {0};
        vka_control *c;
        vka_error err = {0};
        build_sparse(&b, &sd15, way & 4 ? "module." : "", scribble, diffusers, 32);
        const char *path = build_write(&b, "v3_sd15_sparsectrl.safetensors");
        vka_status s = vka_control_open(&c, path, &err);
        if (s != VKA_OK)
            fail_msg("%s", err.what);
        const vka_control_info *info = vka_control_describe(c);
        assert_int_equal(info->kind, scribble ? VKA_CONTROL_SPARSE_SCRIBBLE : VKA_CONTROL_SPARSE_RGB);
        assert_int_equal(info->hint_channels, scribble ? 4 : 5);
        assert_int_equal(info->hint_factor, scribble ? 8 : 1);
        assert_int_equal(info->motion.slots, 8);
        assert_int_equal(info->motion.attention_blocks, 1);
        assert_int_equal(info->motion.pe_length, 32);
        assert_non_null(vka_weights_find(vka_control_weights(c), "down_blocks.3.motion_modules.1.transformer_blocks.0.norm3.bias"));
        assert_non_null(vka_weights_find(vka_control_weights(c), "down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe"));
        vka_control_close(c);
        assert_string_equal(variant_of(path), scribble ? "sd15/sparsectrl-scribble" : "sd15/sparsectrl-rgb");
    }
}

/* A folder of diffusers', whose config is read and must agree. */
static void folders(void **state)
{
    (void)state;
    static const struct {
        const char *json, *wrong; /* wrong NULL: it opens */
    } configs[] = {
        {"{\"_class_name\": \"SparseControlNetModel\", \"block_out_channels\": [32, 64], \"down_block_types\": "
         "[\"CrossAttnDownBlockMotion\", \"DownBlockMotion\"], \"layers_per_block\": 1, \"cross_attention_dim\": 48, "
         "\"attention_head_dim\": [2, 4], \"norm_num_groups\": 8, \"motion_num_attention_heads\": 4}", NULL},
        {"{\"_class_name\": \"SparseControlNetModel\", \"block_out_channels\": [32, 96], \"down_block_types\": "
         "[\"CrossAttnDownBlockMotion\", \"DownBlockMotion\"], \"layers_per_block\": 1, \"cross_attention_dim\": 48}",
         "block_out_channels"},
        {"{\"_class_name\": \"UNet2DConditionModel\"}", "describes a UNet2DConditionModel, not a ControlNetModel"},
        {"{\"_class_name\": \"ControlNetModel\", \"addition_embed_type\": \"text_time\"}", "for SDXL"},
        {"{\"_class_name\": \"SparseControlNetModel\", \"block_out_channels\": [32, 64], \"down_block_types\": "
         "[\"CrossAttnDownBlockMotion\", \"DownBlockMotion\"], \"layers_per_block\": 1, \"cross_attention_dim\": 48, "
         "\"norm_num_groups\": 8, \"global_pool_conditions\": true}", "global_pool_conditions"},
        {"{\"_class_name\": \"SparseControlNetModel\", \"block_out_channels\": [32, 64], \"down_block_types\": "
         "[\"CrossAttnDownBlockMotion\", \"DownBlockMotion\"], \"layers_per_block\": 1, \"cross_attention_dim\": 48, "
         "\"norm_num_groups\": 8, \"controlnet_conditioning_channel_order\": \"grb\"}", "neither rgb nor bgr"},
    };
    build b = {0};
    char path[600];
    build_sparse(&b, &small, "", true, true, 0);
    snprintf(path, sizeof path, "%s", in_folder("sparse"));
    assert_int_equal(mkdir(path, 0700), 0);
    build_write(&b, "sparse/diffusion_pytorch_model.safetensors");
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        vka_control *c = NULL;
        vka_error err = {0};
        write_text(in_folder("sparse/config.json"), configs[i].json);
        vka_status s = vka_control_open(&c, path, &err);
        assert_int_equal(s, configs[i].wrong ? VKA_E_INPUT : VKA_OK);
        if (configs[i].wrong && !strstr(err.what, configs[i].wrong))
            fail_msg("'%s' is not in: %s", configs[i].wrong, err.what);
        if (!configs[i].wrong) {
            assert_int_equal(vka_control_describe(c)->unet.heads[1], 4);
            assert_int_equal(vka_control_describe(c)->motion.heads, 4);
            assert_int_equal(vka_control_describe(c)->unet.norm_num_groups, 8);
            assert_string_equal(variant_of(path), "sd15/sparsectrl-scribble");
        }
        vka_control_close(c);
    }
}

static void refused_with(build *b, const char *part)
{
    vka_control *c;
    vka_error err = {0};
    const char *path = build_write(b, "refused.safetensors");
    assert_int_equal(vka_control_open(&c, path, &err), VKA_E_INPUT);
    assert_null(c);
    if (!strstr(err.what, part) && !strstr(err.why, part))
        fail_msg("'%s' is not in: %s (%s)", part, err.what, err.why);
}

static void what_is_refused(void **state)
{
    (void)state;
    const struct names plain = {"", 3}, flow = {"control_model.", 6};
    build b = {0};
    build_control(&b, &small, &flow);
    refused_with(&b, "TemporalNet2");
    build_control(&b, &small, &plain);
    build_add(&b, "lora_controlnet", 1, 1);
    refused_with(&b, "Control-LoRA");
    build_control(&b, &small, &plain);
    build_add(&b, "difference", 1, 1);
    refused_with(&b, "differences");
    build_control(&b, &small, &plain);
    build_add(&b, "label_emb.0.0.weight", 2, 1280, 2816);
    refused_with(&b, "SDXL");
    ldm_shape xl = small;
    xl.text = 2048;
    build_control(&b, &xl, &plain);
    refused_with(&b, "SDXL");
    build_control(&b, &small, &plain);
    build_add(&b, "task_embedding", 2, 6, 320);
    refused_with(&b, "union");
    build_add(&b, "adapter.body.0.block1.weight", 4, 320, 320, 3, 3);
    refused_with(&b, "T2I-Adapter");
    build_add(&b, "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", 2, 4, 64);
    build_add(&b, "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", 2, 64, 4);
    refused_with(&b, "is a LoRA, not a ControlNet");
    build_ldm_unet(&b, &small);
    refused_with(&b, "checkpoint, not a ControlNet");
    build_add(&b, "something", 1, 5);
    refused_with(&b, "is not a ControlNet");
    build_control(&b, &small, &(struct names){"", 5});
    refused_with(&b, "hints of 5 channels");
    build_add(&b, "input_hint_block.0.weight", 4, 16, 3, 3, 3);
    refused_with(&b, "conv_in.weight");
}

/* What only the name tells. */
static void shuffle(void **state)
{
    (void)state;
    build b = {0};
    vka_control *c;
    vka_error err = {0};
    build_control(&b, &small, &(struct names){"control_model.", 3});
    assert_int_equal(vka_control_open(&c, build_write(&b, "control_v11e_sd15_shuffle.pth"), &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "averages what it adds"));
}

/* A training's checkpoint holds the model too; a tensor that is missing is named. */
static void wholes_and_halves(void **state)
{
    (void)state;
    build b = {0};
    vka_control *c;
    vka_error err = {0};
    build_ldm_unet(&b, &small);
    build_control(&b, &small, &(struct names){"control_model.", 3});
    assert_int_equal(vka_control_open(&c, build_write(&b, "training.safetensors"), &err), VKA_OK);
    assert_int_equal(vka_control_describe(c)->outputs, 5);
    /* the heads of the UNet that it is used with */
    vka_unet_config unet = vka_control_describe(c)->unet;
    unet.heads[0] = 2;
    unet.norm_num_groups = 16;
    assert_int_equal(vka_control_fit(c, &unet, &err), VKA_OK);
    assert_int_equal(vka_control_describe(c)->unet.heads[0], 2);
    assert_int_equal(vka_control_describe(c)->unet.norm_num_groups, 16);
    unet.channels[1] = 96;
    assert_int_equal(vka_control_fit(c, &unet, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "does not fit"));
    assert_string_equal(err.why, "it was made for channels 32, 64 and a text of width 48; the UNet has 32, 96 and 48");
    vka_control_close(c);
    err = (vka_error){0};
    build_ldm_encoder(&b, &small, "", (unsigned[64]){0});
    build_pair(&b, "input_hint_block.0", 4, 16, 3, 3);
    build_pair(&b, "input_hint_block.2", 4, 32, 16, 3);
    refused_with(&b, "lacks 10 tensors: controlnet_down_blocks.0.weight");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_controlnets), cmocka_unit_test(sparse_encoders),   cmocka_unit_test(folders),
        cmocka_unit_test(what_is_refused),       cmocka_unit_test(wholes_and_halves),     cmocka_unit_test(shuffle),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
