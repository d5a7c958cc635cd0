/* test_models.c - models and motion modules in every naming, told apart by their names and shapes; what does not fit is
 * refused with a sentence. */
#include "weights_build.h"

#include "weights/names.h"

#define MINIATURE VKA_SOURCE_DIR "/models/miniature"
#define MINI_UNET MINIATURE "/unet/diffusion_pytorch_model.safetensors"

static const unsigned vae_channels[] = {128, 256, 512, 512};
static const ldm_shape sd15 = {.levels = 4,
                               .channels = {320, 640, 1280, 1280},
                               .layers = 2,
                               .attends = {1, 1, 1, 0},
                               .in = 4,
                               .text = 768,
                               .time = 1280};
static const ldm_shape tenth = {.levels = 4,
                                .channels = {32, 64, 128, 128},
                                .layers = 2,
                                .attends = {1, 1, 1, 0},
                                .in = 4,
                                .text = 48,
                                .time = 128};
static const motion_shape mm_v2 = {.levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2, .pe = 32, .mid = true};

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void model_refused(const char *path, const char *what)
{
    vka_model *m;
    vka_error err = {0};
    assert_int_equal(vka_model_open(&m, path, &err), VKA_E_INPUT);
    assert_null(m);
    contains(err.what, what);
}

static void motion_refused(const char *path, const char *what)
{
    vka_motion *m;
    vka_error err = {0};
    assert_int_equal(vka_motion_open(&m, path, &err), VKA_E_INPUT);
    assert_null(m);
    contains(err.what, what);
}

static vka_model *open_model(const char *path)
{
    vka_model *m;
    vka_error err = {0};
    if (vka_model_open(&m, path, &err) != VKA_OK)
        fail_msg("%s (%s)", err.what, err.why);
    return m;
}

static vka_motion *open_motion(const char *path)
{
    vka_motion *m;
    vka_error err = {0};
    if (vka_motion_open(&m, path, &err) != VKA_OK)
        fail_msg("%s (%s)", err.what, err.why);
    return m;
}

static vka_weights *part(vka_model *m, enum vka_part p, size_t count)
{
    vka_error err = {0};
    vka_weights *w = vka_model_weights(m, p, &err);
    if (!w)
        fail_msg("%s (%s)", err.what, err.why);
    assert_int_equal(vka_weights_count(w), count);
    return w;
}

/* `name` is there, comes from `source` in the file, and has this shape. */
static void maps(const vka_weights *w, const char *name, const char *source, const char *shape)
{
    char text[64];
    const vka_weight *t = vka_weights_find(w, name);
    if (!t)
        fail_msg("%s is not there", name);
    assert_string_equal(t->source ? t->source : t->name, source);
    vka_weight_shape_text(t, text, sizeof text);
    assert_string_equal(text, shape);
}

/* ---- single files ---- */

static const char *build_checkpoint(const ldm_shape *s, const char *text_prefix, const char *name)
{
    build b = {0};
    char ids[128];
    build_ldm_unet(&b, s);
    build_ldm_vae(&b, "first_stage_model.", vae_channels, 4, 2);
    build_text_model(&b, text_prefix, 12, s->text, 49408);
    snprintf(ids, sizeof ids, "%sembeddings.position_ids", text_prefix);
    build_add(&b, ids, 2, 1, 77);
    build_add(&b, "alphas_cumprod", 1, 1000);
    build_add(&b, "betas", 1, 1000);
    build_add(&b, "model_ema.decay", 0);
    build_add(&b, "cond_stage_model.logit_scale", 0);
    build_add(&b, "somebody.else", 1, 3);
    return build_write(&b, name);
}

/* Stable Diffusion 1.5 as one file: 686 + 248 + 196 tensors, each under the right name (the pairs come from the
 * published table of blocks of the two conventions). */
#define LDM "model.diffusion_model."
#define VAE "first_stage_model."
static const char *const unet_pairs[][3] = {
    {"conv_in.weight", LDM "input_blocks.0.0.weight", "[320, 4, 3, 3]"},
    {"time_embedding.linear_2.bias", LDM "time_embed.2.bias", "[1280]"},
    {"down_blocks.0.resnets.1.norm1.weight", LDM "input_blocks.2.0.in_layers.0.weight", "[320]"},
    {"down_blocks.0.downsamplers.0.conv.weight", LDM "input_blocks.3.0.op.weight", "[320, 320, 3, 3]"},
    {"down_blocks.1.resnets.0.conv_shortcut.weight", LDM "input_blocks.4.0.skip_connection.weight", "[640, 320, 1, 1]"},
    {"down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight",
     LDM "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight", "[1280, 768]"},
    {"down_blocks.3.resnets.1.time_emb_proj.weight", LDM "input_blocks.11.0.emb_layers.1.weight", "[1280, 1280]"},
    {"mid_block.resnets.1.conv2.bias", LDM "middle_block.2.out_layers.3.bias", "[1280]"},
    {"mid_block.attentions.0.proj_in.weight", LDM "middle_block.1.proj_in.weight", "[1280, 1280, 1, 1]"},
    {"up_blocks.0.upsamplers.0.conv.weight", LDM "output_blocks.2.1.conv.weight", "[1280, 1280, 3, 3]"},
    {"up_blocks.1.resnets.2.conv1.weight", LDM "output_blocks.5.0.in_layers.2.weight", "[1280, 1920, 3, 3]"},
    {"up_blocks.1.upsamplers.0.conv.weight", LDM "output_blocks.5.2.conv.weight", "[1280, 1280, 3, 3]"},
    {"up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.weight",
     LDM "output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.weight", "[2560, 320]"},
    {"up_blocks.3.resnets.0.conv_shortcut.weight", LDM "output_blocks.9.0.skip_connection.weight", "[320, 960, 1, 1]"},
    {"conv_norm_out.weight", LDM "out.0.weight", "[320]"},
    {"conv_out.weight", LDM "out.2.weight", "[4, 320, 3, 3]"},
};
static const char *const vae_pairs[][3] = {
    {"encoder.down_blocks.1.resnets.0.conv_shortcut.weight", VAE "encoder.down.1.block.0.nin_shortcut.weight",
     "[256, 128, 1, 1]"},
    {"encoder.down_blocks.2.downsamplers.0.conv.bias", VAE "encoder.down.2.downsample.conv.bias", "[512]"},
    {"decoder.up_blocks.0.resnets.2.norm2.weight", VAE "decoder.up.3.block.2.norm2.weight", "[512]"},
    {"decoder.up_blocks.0.upsamplers.0.conv.weight", VAE "decoder.up.3.upsample.conv.weight", "[512, 512, 3, 3]"},
    {"decoder.up_blocks.3.resnets.0.conv_shortcut.weight", VAE "decoder.up.0.block.0.nin_shortcut.weight",
     "[128, 256, 1, 1]"},
    {"decoder.mid_block.attentions.0.to_q.weight", VAE "decoder.mid.attn_1.q.weight", "[512, 512]"},
    {"encoder.mid_block.attentions.0.to_out.0.weight", VAE "encoder.mid.attn_1.proj_out.weight", "[512, 512]"},
    {"encoder.mid_block.attentions.0.group_norm.bias", VAE "encoder.mid.attn_1.norm.bias", "[512]"},
    {"decoder.mid_block.resnets.1.conv1.bias", VAE "decoder.mid.block_2.conv1.bias", "[512]"},
    {"decoder.conv_norm_out.weight", VAE "decoder.norm_out.weight", "[128]"},
    {"quant_conv.weight", VAE "quant_conv.weight", "[8, 8, 1, 1]"},
};

static void test_sd15_single_file(void **state)
{
    (void)state;
    vka_model *m = open_model(build_checkpoint(&sd15, "cond_stage_model.transformer.text_model.", "sd15.safetensors"));
    assert_string_equal(vka_model_family(m), "sd15");
    assert_string_equal(vka_model_stranger(m, 0), "somebody.else");
    assert_null(vka_model_stranger(m, 1));
    const vka_weights *u = part(m, VKA_PART_UNET, 686), *v = part(m, VKA_PART_VAE, 248),
                      *t = part(m, VKA_PART_TEXT, 196);
    for (size_t i = 0; i < sizeof unet_pairs / sizeof *unet_pairs; i++)
        maps(u, unet_pairs[i][0], unet_pairs[i][1], unet_pairs[i][2]);
    for (size_t i = 0; i < sizeof vae_pairs / sizeof *vae_pairs; i++)
        maps(v, vae_pairs[i][0], vae_pairs[i][1], vae_pairs[i][2]);
    maps(t, "text_model.encoder.layers.11.mlp.fc1.weight",
         "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc1.weight", "[3072, 768]");
    const vka_unet_config *uc = vka_model_unet(m, NULL);
    assert_int_equal(uc->levels, 4);
    assert_int_equal(uc->channels[1], 640);
    assert_int_equal(uc->layers[3], 2);
    assert_int_equal(uc->depth[2], 1);
    assert_int_equal(uc->depth[3], 0);
    assert_int_equal(uc->up_depth[0], 0);
    assert_int_equal(uc->up_depth[3], 1);
    assert_int_equal(uc->mid_depth, 1);
    assert_int_equal(uc->mid_resnets, 2);
    assert_int_equal(uc->heads[2], 8);
    assert_int_equal(uc->cross_attention_dim, 768);
    assert_int_equal(uc->norm_num_groups, 32);
    assert_int_equal(uc->time_embed_dim, 1280);
    assert_false(uc->use_linear_projection);
    const vka_vae_config *vc = vka_model_vae(m, NULL);
    assert_int_equal(vc->levels, 4);
    assert_int_equal(vc->channels[0], 128);
    assert_int_equal(vc->channels[3], 512);
    assert_int_equal(vc->layers, 2);
    assert_int_equal(vc->latent_channels, 4);
    assert_true(vc->has_encoder && vc->has_decoder && vc->mid_attention && vc->use_quant_conv);
    const vka_text_config *tc = vka_model_text(m, NULL);
    assert_int_equal(tc->layers, 12);
    assert_int_equal(tc->heads, 12);
    assert_int_equal(tc->hidden, 768);
    assert_int_equal(tc->intermediate, 3072);
    assert_int_equal(tc->max_positions, 77);
    assert_int_equal(tc->vocab, 49408);
    assert_int_equal(tc->act, VKA_TEXT_QUICK_GELU);
    assert_int_equal(vka_model_scheduler(m, NULL)->has, 0);
    assert_null(vka_model_tokenizer(m));
    assert_null(vka_model_json(m, VKA_PART_UNET));
    vka_model_close(m);
}

/* Other depths and places of attention than SD1.5's. */
static void test_odd_topologies(void **state)
{
    (void)state;
    const ldm_shape two = {
        .levels = 2, .channels = {32, 64}, .layers = 1, .attends = {0, 1}, .in = 9, .text = 40, .time = 128};
    vka_model *m = open_model(build_checkpoint(&two, "cond_stage_model.transformer.", "two.safetensors"));
    assert_string_equal(vka_model_family(m), "sd15-inpaint");
    const vka_unet_config *c = vka_model_unet(m, NULL);
    assert_non_null(c);
    assert_int_equal(c->levels, 2);
    assert_int_equal(c->layers[0], 1);
    assert_int_equal(c->depth[0], 0);
    assert_int_equal(c->depth[1], 1);
    assert_int_equal(c->up_depth[0], 1);
    assert_int_equal(c->up_depth[1], 0);
    assert_int_equal(c->in_channels, 9);
    maps(vka_model_weights(m, VKA_PART_UNET, NULL), "up_blocks.0.upsamplers.0.conv.weight",
         LDM "output_blocks.1.2.conv.weight", "[64, 64, 3, 3]");
    maps(vka_model_weights(m, VKA_PART_TEXT, NULL), "text_model.final_layer_norm.weight",
         "cond_stage_model.transformer.final_layer_norm.weight", "[40]");
    assert_int_equal(vka_model_text(m, NULL)->heads, 8);
    vka_model_close(m);
    const ldm_shape five = {.levels = 5,
                            .channels = {32, 32, 64, 64, 96},
                            .layers = 3,
                            .attends = {1, 0, 0, 1, 1},
                            .in = 4,
                            .text = 48,
                            .time = 64};
    m = open_model(build_checkpoint(&five, "cond_stage_model.transformer.text_model.", "five.safetensors"));
    c = vka_model_unet(m, NULL);
    assert_non_null(c);
    assert_int_equal(c->levels, 5);
    assert_int_equal(c->layers[4], 3);
    assert_int_equal(c->up_depth[4], 1);
    assert_int_equal(c->up_depth[3], 0);
    assert_int_equal(c->channels[4], 96);
    assert_int_equal(c->time_embed_dim, 64);
    assert_int_equal(vka_model_text(m, NULL)->heads, 12);
    vka_model_close(m);
}

/* Parts that are not there are said by name; parts that lack tensors name the first. */
static void test_incomplete_single_files(void **state)
{
    (void)state;
    build b = {0};
    vka_error err = {0};
    build_ldm_unet(&b, &tenth);
    vka_model *m = open_model(build_write(&b, "unet-only.safetensors"));
    assert_non_null(vka_model_unet(m, NULL));
    assert_true(vka_model_has(m, VKA_PART_UNET));
    assert_false(vka_model_has(m, VKA_PART_VAE));
    assert_null(vka_model_vae(m, &err));
    contains(err.what, "has no VAE");
    err = (vka_error){0};
    assert_null(vka_model_text(m, &err));
    contains(err.what, "has no text encoder");
    vka_model_close(m);

    build_ldm_unet(&b, &tenth);
    char *at = strstr(b.text, "output_blocks.3.1.proj_in.weight"); /* one name spoilt */
    assert_non_null(at);
    memcpy(strstr(at, "proj_in"), "pr0j_in", 7);
    m = open_model(build_write(&b, "spoilt.safetensors"));
    err = (vka_error){0};
    assert_null(vka_model_unet(m, &err));
    assert_int_equal(err.status, VKA_E_INPUT);
    contains(err.what, "lacks 1 tensor: up_blocks.1.attentions.0.proj_in.weight");
    err = (vka_error){0};
    assert_null(vka_model_weights(m, VKA_PART_UNET, &err)); /* and it stays so */
    contains(err.what, "lacks 1 tensor");
    vka_model_close(m);

    build_ldm_unet(&b, &tenth);
    at = strstr(b.text, "input_blocks.4.0.skip_connection.bias");
    assert_non_null(at);
    memcpy(strstr(at, "skip"), "sk1p", 4);
    m = open_model(build_write(&b, "spoilt-too.safetensors"));
    err = (vka_error){0};
    assert_null(vka_model_unet(m, &err));
    contains(err.what, "lacks 1 tensor: down_blocks.1.resnets.0.conv_shortcut.bias");
    vka_model_close(m);

    build_ldm_vae(&b, "", vae_channels, 4, 2); /* a VAE's own file */
    m = open_model(build_write(&b, "vae.safetensors"));
    assert_non_null(vka_model_vae(m, NULL));
    assert_null(vka_model_unet(m, NULL));
    vka_model_close(m);
}

/* diffusers' own older names of the VAE's attention. */
static void test_old_vae_names(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"query.weight", "to_q.weight"}, {"key.bias", "to_k.bias"},
                                           {"value.weight", "to_v.weight"}, {"proj_attn.bias", "to_out.0.bias"},
                                           {"to_q.weight", "to_q.weight"},  {"group_norm.bias", "group_norm.bias"}};
    const vka_ldm_map none = {.decoder_levels = 0};
    char name[128], wanted[128], out[VKA_NAME_CAP];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        snprintf(name, sizeof name, "decoder.mid_block.attentions.0.%s", pairs[i][0]);
        snprintf(wanted, sizeof wanted, "decoder.mid_block.attentions.0.%s", pairs[i][1]);
        assert_int_equal(vka_rename_vae(out, name, &none), VKA_NAME_KEEP);
        assert_string_equal(out, wanted);
    }
}

/* ---- folders ---- */

static void test_miniature(void **state)
{
    (void)state;
    vka_model *m = open_model(MINIATURE);
    part(m, VKA_PART_UNET, 324);
    part(m, VKA_PART_VAE, 188);
    part(m, VKA_PART_TEXT, 36);
    const vka_unet_config *u = vka_model_unet(m, NULL);
    assert_int_equal(u->levels, 3);
    assert_int_equal(u->channels[2], 96);
    assert_int_equal(u->heads[2], 8);
    assert_int_equal(u->cross_attention_dim, 128);
    assert_int_equal(u->layers[1], 1);
    assert_int_equal(u->depth[2], 0);
    const vka_vae_config *v = vka_model_vae(m, NULL);
    assert_int_equal(v->norm_num_groups, 4);
    assert_float_equal(v->scaling_factor, 0.28903, 1e-7);
    const vka_text_config *t = vka_model_text(m, NULL);
    assert_int_equal(t->vocab, 887);
    assert_int_equal(t->heads, 4);
    assert_int_equal(t->layers, 2);
    assert_int_equal(t->bos_id, 885);
    const vka_scheduler_config *s = vka_model_scheduler(m, NULL);
    assert_string_equal(s->beta_schedule, "linear");
    assert_string_equal(s->class_name, "DDIMScheduler");
    assert_true(s->has & VKA_SCHED_CLIP_SAMPLE);
    assert_false(s->has & VKA_SCHED_RESCALE_BETAS);
    assert_non_null(vka_model_tokenizer(m));
    assert_non_null(vka_model_json(m, VKA_PART_VAE));
    assert_non_null(vka_model_file(m, 2));
    assert_null(vka_model_file(m, 3));

    vka_motion *mm = open_motion(MINIATURE "/motion.safetensors");
    const vka_motion_info *i = vka_motion_describe(mm);
    assert_int_equal(i->variant, VKA_MOTION_V2);
    assert_int_equal(i->slots, 10);
    assert_int_equal(i->pe_length, 32);
    assert_int_equal(i->up_modules[2], 2);
    assert_int_equal(i->mid_channels, 96);
    assert_false(i->norm_frames_resnet);
    assert_string_equal(i->beta_schedule, "linear");
    assert_int_equal(vka_motion_fits(mm, u, NULL), VKA_OK);
    maps(vka_motion_weights(mm), "up_blocks.2.motion_modules.1.transformer_blocks.0.attn2.to_out.0.bias",
         "up_blocks.2.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_out.0.bias",
         "[64]");
    maps(vka_motion_weights(mm), "mid_block.motion_modules.0.transformer_blocks.0.pos_embed.pe",
         "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe",
         "[1, 32, 96]");
    maps(vka_motion_weights(mm), "down_blocks.0.motion_modules.0.transformer_blocks.0.norm3.weight",
         "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.ff_norm.weight", "[64]");
    vka_motion_close(mm);
    vka_model_close(m);

    m = open_model(MINIATURE "/vae"); /* one part's folder */
    assert_non_null(vka_model_vae(m, NULL));
    vka_model_close(m);
    m = open_model(MINIATURE "/vae/diffusion_pytorch_model.safetensors"); /* its file, with the config beside it */
    assert_int_equal(vka_model_vae(m, NULL)->norm_num_groups, 4);
    vka_model_close(m);
}

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(in_folder(name), 0777), 0);
}

static void split_file(const char *source, const char *first, const char *second)
{
    vka_safetensors st;
    assert_int_equal(vka_safetensors_open(&st, source, NULL), VKA_OK);
    size_t half = st.count / 2;
    assert_int_equal(vka_safetensors_write(first, st.tensors, half, NULL, 0, NULL), VKA_OK);
    assert_int_equal(vka_safetensors_write(second, st.tensors + half, st.count - half, NULL, 0, NULL), VKA_OK);
    vka_safetensors_close(&st);
}

static void copy_text(const char *from, const char *to)
{
    char *text;
    size_t size;
    assert_int_equal(vka_read_file(from, 1u << 20, &text, &size, NULL), VKA_OK);
    assert_int_equal(vka_write_file(to, text, size, NULL), VKA_OK);
    free(text);
}

/* The UNet of in_folder("model") cannot be opened, and the error says so. */
static void unet_refused(const char *what, const char *why)
{
    vka_error err = {0};
    vka_model *m = open_model(in_folder("model"));
    assert_null(vka_model_unet(m, &err));
    assert_int_equal(err.status, VKA_E_INPUT);
    contains(err.what, what);
    contains(err.why, why);
    vka_model_close(m);
}

/* Missing and pickled weights; shards by an index; lies in the index; fp16 names. */
static void test_folder_variants(void **state)
{
    (void)state;
    make_dir("model");
    model_refused(in_folder("model"), "is not a diffusers model");
    make_dir("model/unet");
    unet_refused("config.json", "");
    copy_text(MINIATURE "/unet/config.json", in_folder("model/unet/config.json"));
    unet_refused("has no diffusion_pytorch_model.safetensors", "");
    write_text(in_folder("model/unet/diffusion_pytorch_model.bin"), "pickled");
    unet_refused("diffusion_pytorch_model.bin' is a text file", "");
    assert_int_equal(unlink(in_folder("model/unet/diffusion_pytorch_model.bin")), 0);

    split_file(MINI_UNET, in_folder("model/unet/a.safetensors"), in_folder("model/unet/b.safetensors"));
    const char *index = in_folder("model/unet/diffusion_pytorch_model.safetensors.index.json");
    char keep[600];
    snprintf(keep, sizeof keep, "%s", index);
    write_text(keep, "{\"weight_map\":{\"conv_in.weight\":\"a.safetensors\",\"up_blocks.2.resnets.1.norm2.weight\":"
                     "\"b.safetensors\"}}");
    vka_model *m = open_model(in_folder("model"));
    part(m, VKA_PART_UNET, 324);
    vka_model_close(m);
    static const char *const lies[][2] = {
        {"{\"weight_map\":{\"conv_in.weight\":\"a.safetensors\",\"not.there\":\"b.safetensors\"}}", "not.there"},
        {"{\"weight_map\":{\"conv_in.weight\":\"a.safetensors\"}}", ""}, /* half of it: whatever is missed first */
        {"{\"weight_map\":{\"conv_in.weight\":\"../unet/a.safetensors\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"conv_in.weight\":\"..\"}}", "not a plain file name"},
        {"{\"weight_map\":{\"conv_in.weight\":7}}", "not a plain file name"},
        {"{\"weight_map\":{\"conv_in.weight\":\"gone.safetensors\"}}", "gone.safetensors"},
        {"{\"weight_map\":[]}", "no weight_map"},
        {"[]", "not a JSON object"},
        {"{", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        write_text(keep, lies[i][0]);
        unet_refused(lies[i][1], "");
    }
    assert_int_equal(unlink(keep), 0);

    vka_safetensors st;
    assert_int_equal(vka_safetensors_open(&st, MINI_UNET, NULL), VKA_OK);
    const char *fp16 = in_folder("model/unet/diffusion_pytorch_model.fp16.safetensors"),
               *plain = in_folder("model/unet/diffusion_pytorch_model.safetensors");
    assert_int_equal(vka_safetensors_write(fp16, st.tensors, st.count, NULL, 0, NULL), VKA_OK);
    assert_int_equal(vka_safetensors_write(plain, st.tensors, 100, NULL, 0, NULL), VKA_OK);
    vka_safetensors_close(&st);
    unet_refused("", ""); /* the plain name goes first, though it holds a part only */
    assert_int_equal(unlink(in_folder("model/unet/diffusion_pytorch_model.safetensors")), 0);
    m = open_model(in_folder("model"));
    part(m, VKA_PART_UNET, 324);
    contains(vka_model_file(m, 0), "fp16");
    vka_model_close(m);
}

/* A config that does not describe the tensors beside it. */
static void test_config_disagrees(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_vae_config v;
    vka_unet_config u;
    vka_text_config t;
    vka_model *m = open_model(MINIATURE);
    json_t *j = json_deep_copy(vka_model_json(m, VKA_PART_UNET));
    json_object_set_new(j, "block_out_channels", json_pack("[iii]", 64, 96, 128));
    const vka_weights *w = vka_model_weights(m, VKA_PART_UNET, NULL);
    assert_int_equal(vka_unet_config_from_json(&u, j, w, "c", &err), VKA_E_INPUT);
    contains(err.what, "block_out_channels is 128 at place 2, but the tensors say 96");
    json_decref(j);
    err = (vka_error){0};
    j = json_deep_copy(vka_model_json(m, VKA_PART_VAE));
    json_object_set_new(j, "layers_per_block", json_integer(2));
    w = vka_model_weights(m, VKA_PART_VAE, NULL);
    assert_int_equal(vka_vae_config_from_json(&v, j, w, "c", &err), VKA_E_INPUT);
    contains(err.what, "layers_per_block is 2, but the tensors say 1");
    json_decref(j);
    err = (vka_error){0};
    j = json_deep_copy(vka_model_json(m, VKA_PART_TEXT));
    json_object_set_new(j, "vocab_size", json_integer(49408));
    w = vka_model_weights(m, VKA_PART_TEXT, NULL);
    assert_int_equal(vka_text_config_from_json(&t, j, w, "c", &err), VKA_E_INPUT);
    contains(err.what, "vocab_size is 49408, but the tensors say 887");
    json_decref(j);
    vka_model_close(m);
}

/* ---- motion modules ---- */

struct family {
    motion_shape shape;
    const char *file;
    enum vka_motion_variant variant;
    size_t tensors, slots;
    uint64_t parameters; /* as published, in units of 100,000 */
    const char *beta_schedule;
    double beta_end;
    bool norm_frames;
};
#define SD15_WIDTHS .levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2
#define SDXL_WIDTHS .levels = 3, .channels = {320, 640, 1280}, .layers = 2
static const struct family families[] = {
    {{SD15_WIDTHS, .pe = 24}, "v1.safetensors", VKA_MOTION_V1, 560, 20, 4171, "linear", 0.012, true},
    {{SD15_WIDTHS, .pe = 32, .mid = true}, "v2.safetensors", VKA_MOTION_V2, 588, 21, 4532, "linear", 0.012, false},
    {{SD15_WIDTHS, .pe = 32}, "v3.safetensors", VKA_MOTION_V3, 560, 20, 4171, "linear", 0.012, false},
    {{SD15_WIDTHS, .mid = true}, "t2v.safetensors", VKA_MOTION_ANIMATELCM, 546, 21, 4532, "linear", 0.012, false},
    {{SD15_WIDTHS, .pe = 32, .mid = true},
     "AnimateDiff-Lightning.safetensors",
     VKA_MOTION_LIGHTNING,
     588,
     21,
     4532,
     "linear",
     0.012,
     false},
    {{SD15_WIDTHS, .pe = 64, .mid = true}, "long.safetensors", VKA_MOTION_LONG, 588, 21, 4532, "linear", 0.012, false},
    {{SDXL_WIDTHS, .pe = 32}, "xl.safetensors", VKA_MOTION_SDXL_BETA, 420, 15, 2368, "scaled_linear", 0.020, false},
    {{SDXL_WIDTHS, .pe = 24, .hotshot = true},
     "hs.safetensors",
     VKA_MOTION_HOTSHOT_XL,
     420,
     15,
     2368,
     "scaled_linear",
     0.012,
     true},
    {{SD15_WIDTHS, .pe = 32, .mid = true, .prefix = "module."},
     "wrapped.safetensors",
     VKA_MOTION_V2,
     588,
     21,
     4532,
     "linear",
     0.012,
     false},
    {{SD15_WIDTHS, .diffusers = true}, "adapter.safetensors", VKA_MOTION_V3, 520, 20, 4171, "linear", 0.012, false},
};

static void check_inspected(const struct family *x, const char *path)
{
    vka_inspection in;
    assert_int_equal(vka_inspect(&in, path, NULL), VKA_OK);
    assert_string_equal(vka_file_kind_name(in.kind), "motion-module");
    assert_string_equal(in.variant, vka_motion_variant_name(x->variant));
    assert_string_equal(in.family, x->shape.levels == 3 ? "sdxl" : "sd15");
    assert_int_equal(in.tensors, x->tensors);
    assert_int_equal((in.parameters + 50000) / 100000, x->parameters);
    assert_int_equal(in.dtypes, 1u << VKA_WEIGHT_F16);
    vka_inspection_free(&in);
}

static void test_motion_families(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const struct family *x = &families[f];
        build b = {0};
        build_motion(&b, &x->shape);
        assert_int_equal(b.count, x->tensors);
        const char *path = build_write(&b, x->file);
        vka_motion *m = open_motion(path);
        const vka_motion_info *i = vka_motion_describe(m);
        assert_string_equal(vka_motion_variant_name(i->variant), vka_motion_variant_name(x->variant));
        assert_int_equal(i->slots, x->slots);
        assert_int_equal(i->pe_length, x->shape.pe);
        assert_int_equal(i->attention_blocks, 2);
        assert_int_equal(i->transformer_blocks, 1);
        assert_int_equal(i->heads, 8);
        assert_int_equal(i->norm_num_groups, 32);
        assert_int_equal(i->mid_modules, x->shape.mid);
        assert_string_equal(i->beta_schedule, x->beta_schedule);
        assert_float_equal(i->beta_end, x->beta_end, 1e-12);
        assert_int_equal(i->norm_frames_resnet, x->norm_frames);
        assert_int_equal(i->is_diffusers, x->shape.diffusers);
        assert_non_null(vka_weights_find(vka_motion_weights(m),
                                         "up_blocks.2.motion_modules.2.transformer_blocks.0.attn1.to_q.weight"));
        vka_motion_close(m);
        check_inspected(x, path);
    }
}

static void test_pia(void **state)
{
    (void)state;
    build b = {0};
    const motion_shape s = {SD15_WIDTHS, .pe = 32};
    build_motion(&b, &s);
    build_pair(&b, "conv_in", 4, 320, 9, 3);
    assert_int_equal(b.count, 562);
    vka_motion *m = open_motion(build_write(&b, "pia.safetensors"));
    assert_int_equal(vka_motion_describe(m)->variant, VKA_MOTION_PIA);
    assert_int_equal(vka_motion_describe(m)->conv_in_channels, 9);
    assert_true(vka_motion_describe(m)->norm_frames_resnet);
    maps(vka_motion_weights(m), "conv_in.weight", "conv_in.weight", "[320, 9, 3, 3]");
    vka_motion_close(m);
}

/* A training checkpoint: wrapped names, and the whole UNet beside the module. */
static void test_training_checkpoint(void **state)
{
    (void)state;
    build b = {0};
    const motion_shape s = {.levels = 2, .channels = {32, 64}, .layers = 1, .pe = 24, .prefix = "module."};
    build_motion(&b, &s);
    size_t module = b.count;
    build_pair(&b, "module.conv_in", 4, 32, 4, 3);
    build_pair(&b, "module.down_blocks.0.resnets.0.conv1", 4, 32, 32, 3);
    vka_motion *m = open_motion(build_write(&b, "training.safetensors"));
    assert_int_equal(vka_motion_describe(m)->variant, VKA_MOTION_V1);
    assert_int_equal(vka_motion_describe(m)->conv_in_channels, 0);
    /* one positional table per slot stands for two */
    assert_int_equal(vka_weights_count(vka_motion_weights(m)), module - vka_motion_describe(m)->slots);
    vka_motion_close(m);
}

/* A diffusers MotionAdapter folder: heads, groups and frames come from its config. */
static void test_adapter_folder(void **state)
{
    (void)state;
    build b = {0};
    vka_error err = {0};
    const motion_shape s = {.levels = 2, .channels = {32, 60}, .layers = 1, .diffusers = true};
    build_motion(&b, &s);
    make_dir("adapter");
    const char *path = in_folder("adapter/config.json");
    char config[600];
    snprintf(config, sizeof config, "%s", path);
    build_write(&b, "adapter/diffusion_pytorch_model.safetensors");
    write_text(config, "{\"_class_name\":\"MotionAdapter\",\"motion_num_attention_heads\":4,"
                       "\"motion_norm_num_groups\":2,\"motion_max_seq_length\":24}");
    vka_motion *m = open_motion(in_folder("adapter"));
    const vka_motion_info *i = vka_motion_describe(m);
    assert_int_equal(i->heads, 4);
    assert_int_equal(i->norm_num_groups, 2);
    assert_int_equal(i->pe_length, 24);
    assert_int_equal(i->variant, VKA_MOTION_V1);
    assert_true(i->norm_frames_resnet);
    vka_motion_close(m);
    write_text(config, "{\"motion_num_attention_heads\":7}");
    assert_int_equal(vka_motion_open(&m, in_folder("adapter"), &err), VKA_E_INPUT);
    contains(err.what, "cannot be split in 7 heads");
    write_text(config, "{\"_class_name\":\"ControlNetModel\"}");
    motion_refused(in_folder("adapter"), "describes a ControlNetModel, not a MotionAdapter");
    write_text(config, "{\"_class_name\":\"MotionAdapter\"}");
    model_refused(in_folder("adapter"), "holds a MotionAdapter, not a model");
}

static void test_broken_motion(void **state)
{
    (void)state;
    build b = {0};
    motion_shape s = {.levels = 2, .channels = {32, 64}, .layers = 1, .pe = 24};
    build_motion(&b, &s);
    char *at = strstr(b.text, "up_blocks.1.motion_modules.0.temporal_transformer.proj_in.bias");
    assert_non_null(at);
    memcpy(strstr(at, "proj_in"), "pr0j_in", 7);
    motion_refused(build_write(&b, "broken.safetensors"), "lacks 1 tensor: up_blocks.1.motion_modules.0.proj_in.bias");
    s.channels[1] = 60; /* 60 channels make no 8 heads */
    build_motion(&b, &s);
    motion_refused(build_write(&b, "heads.safetensors"), "cannot be split in 8 heads");
    motion_refused(in_folder("absent.safetensors"), "cannot open");
    write_text(in_folder("diary.safetensors"), "dear diary, nothing is in here\n");
    motion_refused(in_folder("diary.safetensors"), "is a text file");
}

static vka_motion *build_and_open(const motion_shape *s, const char *name)
{
    build b = {0};
    build_motion(&b, s);
    return open_motion(build_write(&b, name));
}

static void test_fits(void **state)
{
    (void)state;
    vka_unet_config u;
    json_t *j = json_object();
    assert_int_equal(vka_unet_config_from_json(&u, j, NULL, "c", NULL), VKA_OK); /* SD1.5's widths */
    json_decref(j);
    vka_error err = {0};
    vka_motion *m = build_and_open(&mm_v2, "v2.safetensors");
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_OK);
    u.layers[1] = 3;
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_E_INPUT);
    contains(err.what, "does not fit");
    u.layers[1] = 2;
    u.channels[0] = 352;
    err = (vka_error){0};
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_E_INPUT);
    contains(err.why, "made for channels 320, 640, 1280, 1280; the UNet has 352, 640, 1280, 1280");
    u.channels[0] = 320;
    u.mid_resnets = 0;
    err = (vka_error){0};
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_E_INPUT);
    u.mid_resnets = 2;
    vka_motion_close(m);
    const motion_shape xl = {SDXL_WIDTHS, .pe = 32},
                       small = {.levels = 3, .channels = {32, 64, 128}, .layers = 2, .pe = 32};
    err = (vka_error){0};
    m = build_and_open(&xl, "xl.safetensors");
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_E_INPUT);
    contains(err.what, "is a motion module for SDXL (sdxl-beta)");
    vka_motion_close(m);
    err = (vka_error){0};
    /* Equal widths everywhere: only the number of levels tells. */
    const motion_shape flat = {.levels = 2, .channels = {64, 64}, .layers = 2, .pe = 32};
    vka_unet_config three = {.levels = 3, .channels = {64, 64, 64}, .layers = {2, 2, 2}, .mid_resnets = 2};
    m = build_and_open(&flat, "flat.safetensors");
    assert_int_equal(vka_motion_fits(m, &three, NULL), VKA_E_INPUT);
    three.levels = 2;
    assert_int_equal(vka_motion_fits(m, &three, NULL), VKA_OK);
    vka_motion_close(m);
    m = build_and_open(&small, "small-xl.safetensors");
    assert_int_equal(vka_motion_fits(m, &u, &err), VKA_E_INPUT);
    contains(err.hint, "SDXL");
    vka_motion_close(m);
}

/* ---- other kinds of files ---- */

static void is_a(const char *path, const char *kind, const char *family, const char *as_model, const char *as_motion)
{
    vka_inspection in;
    assert_int_equal(vka_inspect(&in, path, NULL), VKA_OK);
    assert_string_equal(vka_file_kind_name(in.kind), kind);
    if (family)
        assert_string_equal(in.family, family);
    vka_inspection_free(&in);
    model_refused(path, as_model);
    motion_refused(path, as_motion);
}

#define SLOT "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0."
static void test_loras(void **state)
{
    (void)state;
    build b = {0};
    build_add(&b, "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 2, 8, 768);
    build_add(&b, "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight", 2, 320, 8);
    build_add(&b, "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.alpha", 0);
    is_a(build_write(&b, "kohya.safetensors"), "lora", "sd15", "is a LoRA, not a model",
         "is a LoRA, not a motion module");
    build_add(&b, "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight", 2, 8, 2048);
    build_add(&b, "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", 2, 8, 1280);
    is_a(build_write(&b, "xl-lora.safetensors"), "lora", "sdxl", "is a LoRA", "is a LoRA");
    build_add(&b, "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight", 2, 128, 320);
    build_add(&b, "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight", 2, 320, 128);
    is_a(build_write(&b, "v3-adapter.safetensors"), "lora", NULL, "is a LoRA", "is a LoRA, not a motion module");
    build_add(&b, "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", 2, 8, 768);
    build_add(&b, "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight", 2, 320, 8);
    is_a(build_write(&b, "peft.safetensors"), "lora", "sd15", "is a LoRA", "is a LoRA");
    build_add(&b, "lora_unet_mid_block_resnets_0_conv1.hada_w1_a", 2, 320, 8);
    is_a(build_write(&b, "loha.safetensors"), "lora", NULL, "is a LoRA", "is a LoRA");
    build_add(&b, SLOT "processor.to_q_lora.down.weight", 2, 64, 320);
    build_add(&b, SLOT "processor.to_q_lora.up.weight", 2, 320, 64);
    is_a(build_write(&b, "PanLeft.safetensors"), "motion-lora", NULL, "is a motion LoRA, not a model",
         "is a motion LoRA, not a motion module");
}

static void test_other_kinds(void **state)
{
    (void)state;
    build b = {0};
    build_add(&b, "emb_params", 2, 4, 768);
    is_a(build_write(&b, "word.safetensors"), "embedding", "sd15", "is a textual-inversion", "is a textual-inversion");
    build_add(&b, "clip_l", 2, 4, 768);
    build_add(&b, "clip_g", 2, 4, 1280);
    is_a(build_write(&b, "words.safetensors"), "embedding", "sdxl", "is a textual-inversion", "is a textual-inversion");
    build_add(&b, "control_model.input_hint_block.0.weight", 4, 16, 3, 3, 3);
    build_add(&b, "control_model.input_blocks.0.0.weight", 4, 320, 4, 3, 3);
    is_a(build_write(&b, "canny.safetensors"), "controlnet", NULL, "is a ControlNet", "is a ControlNet");
    build_add(&b, "controlnet_cond_embedding.conv_in.weight", 4, 16, 3, 3, 3);
    build_add(&b, SLOT "to_q.weight", 2, 320, 320);
    is_a(build_write(&b, "sparse.safetensors"), "controlnet", NULL, "is a ControlNet", "is a ControlNet");
    build_add(&b, "double_blocks.0.img_attn.qkv.weight", 2, 9, 3);
    is_a(build_write(&b, "flux.safetensors"), "unknown", NULL, "is not a model", "is not a motion module");
    build_add(&b, "weight", 2, 3, 3);
    is_a(build_write(&b, "odd.safetensors"), "unknown", NULL, "is not a model", "is not a motion module");
    is_a(build_write(&b, "none.safetensors"), "unknown", NULL, "is not a model", "is not a motion module");
    build_motion(&b, &mm_v2);
    model_refused(build_write(&b, "mm.safetensors"), "is a motion module, not a model");
    build_ldm_unet(&b, &tenth);
    motion_refused(build_write(&b, "sd.safetensors"), "is a Stable Diffusion checkpoint, not a motion module");
}

static void test_sdxl_and_sd2(void **state)
{
    (void)state;
    build b = {0};
    vka_error err = {0};
    build_ldm_unet(&b, &tenth);
    build_pair(&b, LDM "label_emb.0.0", 2, 1280, 2816, 0);
    build_text_model(&b, "conditioner.embedders.0.transformer.text_model.", 12, 768, 49408);
    vka_model *m = open_model(build_write(&b, "xl.safetensors"));
    assert_string_equal(vka_model_family(m), "sdxl");
    assert_null(vka_model_unet(m, &err));
    contains(err.what, "is an SDXL model");
    vka_model_close(m);
    build_ldm_unet(&b, &tenth);
    build_pair(&b, "cond_stage_model.model.ln_final", 1, 1024, 0, 0);
    m = open_model(build_write(&b, "sd2.safetensors"));
    err = (vka_error){0};
    assert_null(vka_model_text(m, &err));
    contains(err.what, "Stable Diffusion 2");
    vka_model_close(m);
}

static void test_inspect_models(void **state)
{
    (void)state;
    vka_inspection in;
    vka_error err = {0};
    assert_int_equal(vka_inspect(&in, MINIATURE, &err), VKA_OK);
    assert_string_equal(vka_file_kind_name(in.kind), "checkpoint");
    assert_string_equal(in.family, "sd15");
    assert_null(in.variant);
    assert_int_equal(in.tensors, 548);
    assert_int_equal(in.parameters, 3782084 + 858583 + 520192); /* as its README says */
    vka_inspection_free(&in);
    assert_int_equal(vka_inspect(&in, MINIATURE "/motion.safetensors", &err), VKA_OK);
    assert_int_equal(in.parameters, 1707744);
    vka_inspection_free(&in);
    assert_int_equal(vka_inspect(&in, MINIATURE "/vae", &err), VKA_OK);
    assert_string_equal(vka_file_kind_name(in.kind), "vae");
    vka_inspection_free(&in);
    const char *path = build_checkpoint(&sd15, "cond_stage_model.transformer.text_model.", "sd15.safetensors");
    assert_int_equal(vka_inspect(&in, path, &err), VKA_OK);
    assert_int_equal(in.tensors, 686 + 248 + 197 + 5);
    assert_string_equal(in.family, "sd15");
    assert_int_equal(in.note_count, 4);
    assert_string_equal(in.notes[0], "UNet: 686 tensors");
    assert_string_equal(in.notes[1], "VAE: 248 tensors");
    assert_string_equal(in.notes[2], "text encoder: 196 tensors");
    contains(in.notes[3], "somebody.else");
    vka_inspection_free(&in);
    assert_int_equal(vka_inspect(&in, in_folder("absent"), &err), VKA_E_INPUT);
    err = (vka_error){0};
    make_dir("bare");
    assert_int_equal(vka_inspect(&in, in_folder("bare"), &err), VKA_E_INPUT);
    contains(err.what, "is not a diffusers model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sd15_single_file),
        cmocka_unit_test(test_odd_topologies),
        cmocka_unit_test(test_incomplete_single_files),
        cmocka_unit_test(test_old_vae_names),
        cmocka_unit_test(test_miniature),
        cmocka_unit_test(test_folder_variants),
        cmocka_unit_test(test_config_disagrees),
        cmocka_unit_test(test_motion_families),
        cmocka_unit_test(test_pia),
        cmocka_unit_test(test_training_checkpoint),
        cmocka_unit_test(test_adapter_folder),
        cmocka_unit_test(test_broken_motion),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_loras),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_sdxl_and_sd2),
        cmocka_unit_test(test_inspect_models),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
