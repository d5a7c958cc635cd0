/* test_lora_names.c - names of LoRA files: every layer of SD1.5 and of a motion module is found under every name in use.
 *
 * The model is an LDM file of SD1.5's own shapes (a hole for data): there a tensor's name in the file tells what LDM calls it,
 * which holds the reverse renaming against the renaming. */
#include "weights_build.h"

#include "weights/lora_int.h"

static vka_model *model;
static vka_motion *motion;
static struct vka_lora_names unet_names, motion_names, text_names;

/* The layer that a tensor of a LoRA is for, by the table of its side. */
static const char *layer_of(const char *tensor)
{
    static struct vka_lora_key key;
    if (!vka_lora_parse(&key, tensor))
        return NULL;
    return vka_lora_names_find(key.side == VKA_LORA_TEXT              ? &text_names
                               : strstr(key.module, "motion_modules") ? &motion_names
                                                                      : &unet_names,
                               key.module);
}

static void finds(const char *layer, const char *format, ...) VKA_PRINTF(2, 3);
static void finds(const char *layer, const char *format, ...)
{
    char name[700];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    const char *found = layer_of(name);
    if (!found || strcmp(found, layer) != 0)
        fail_msg("'%s' is found to be '%s', not '%s'", name, found ? found : "nothing", layer);
}

static void underscored(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s", name);
    for (char *c = out; *c; c++)
        if (*c == '.')
            *c = '_';
}

/* "x.weight" without its end; false for other tensors. */
static bool layer_name(char out[400], const char *tensor)
{
    size_t n = strlen(tensor), k = strlen(".weight");
    snprintf(out, 400, "%s", tensor);
    if (n <= k || n >= 400 || strcmp(tensor + n - k, ".weight") != 0)
        return false;
    out[n - k] = '\0';
    return true;
}

static void unet(void **state)
{
    (void)state;
    const vka_weights *w = vka_model_weights(model, VKA_PART_UNET, NULL);
    char layer[400], ldm[400], flat[400];
    size_t n = 0;
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        const vka_weight *t = vka_weights_at(w, i);
        if (!layer_name(layer, t->name))
            continue;
        n++;
        const char *inner = t->source ? vka_name_after(t->source, "model.diffusion_model.") : NULL;
        assert_non_null(inner);
        assert_true(layer_name(ldm, inner));
        underscored(flat, sizeof flat, ldm);
        finds(layer, "lora_unet_%s.lora_down.weight", flat);
        finds(layer, "lora_unet_%s.hada_w1_a", flat);
        finds(layer, "diffusion_model.%s.lora_up.weight", ldm);
        finds(layer, "model.diffusion_model.%s.diff", ldm);
        underscored(flat, sizeof flat, layer);
        finds(layer, "lora_unet_%s.lora_up.weight", flat);
        finds(layer, "lora_unet_%s.alpha", flat);
        finds(layer, "lycoris_%s.lokr_w1", flat);
        finds(layer, "unet.%s.lora_A.weight", layer);
        finds(layer, "unet.%s.lora.down.weight", layer);
        finds(layer, "unet.%s.lora_linear_layer.up.weight", layer);
        finds(layer, "base_model.model.%s.lora_B.default.weight", layer);
        finds(layer, "module.unet.base_model.model.%s.lora_magnitude_vector", layer);
    }
    assert_int_equal(n,
                     (686 + 96) / 2); /* of SD1.5's 686 tensors 96, the projections of attentions, have no bias beside them */
#define AT "down_blocks.1.attentions.0.transformer_blocks.0.attn2."
    finds(AT "to_q", "%s", AT "processor.to_q_lora.down.weight");
    finds(AT "to_out.0", "%s", AT "processor.to_out_lora.up.weight");
    finds(AT "to_out.0", "unet.%s", AT "processor.to_out_lora.alpha");
    finds(AT "to_v", "%s", "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_processor_to_v.lora_down.weight");
    assert_null(layer_of("lora_unet_down_blocks_7_attentions_0_proj_in.lora_down.weight"));
    assert_null(layer_of("lora_unet_down_blocks_1_attentions_0.lora_down.weight"));
    assert_null(layer_of("lora_unet_.lora_down.weight"));
    assert_null(layer_of("lora_down.weight"));
    assert_null(layer_of("lora_unet_conv_in"));
    assert_null(layer_of(".lora_A..weight"));
}

static void text(void **state)
{
    (void)state;
    const vka_weights *w = vka_model_weights(model, VKA_PART_TEXT, NULL);
    char layer[400], flat[400];
    size_t n = 0;
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        if (!layer_name(layer, vka_weights_at(w, i)->name))
            continue;
        n++;
        underscored(flat, sizeof flat, layer);
        finds(layer, "lora_te_%s.lora_down.weight", flat);
        finds(layer, "lora_te1_%s.lora_up.weight", flat);
        finds(layer, "text_encoder.%s.lora_linear_layer.down.weight", layer);
        finds(layer, "text_encoder.base_model.model.%s.lora_A.weight", layer);
        finds(layer, "base_model.model.%s.lora_A.weight", layer);
        finds(layer, "text_encoder.%s.lora_A.weight", layer + strlen("text_model."));
    }
    assert_int_equal(n, 2 + 2 * 8 + 1);
#define LAYER "text_model.encoder.layers.1.self_attn."
    finds(LAYER "q_proj", "text_encoder.%s", LAYER "to_q_lora.down.weight");
    finds(LAYER "out_proj", "text_encoder.%s", LAYER "to_out_lora.up.weight");
    struct vka_lora_key key;
    assert_true(vka_lora_parse(&key, "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"));
    assert_int_equal(key.side, VKA_LORA_OTHER);
}

static void motion_modules(void **state)
{
    (void)state;
    const vka_weights *w = vka_motion_weights(motion);
    char layer[400], original[400], flat[400];
    size_t n = 0;
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        const vka_weight *t = vka_weights_at(w, i);
        if (!layer_name(layer, t->name))
            continue;
        n++;
        assert_non_null(t->source);
        assert_true(layer_name(original, t->source));
        finds(layer, "%s.lora_down.weight", original);
        finds(layer, "module.%s.lora_up.weight", original);
        underscored(flat, sizeof flat, original);
        finds(layer, "%s.lora_down.weight", flat);
        finds(layer, "lora_unet_%s.lora_down.weight", flat);
        finds(layer, "unet.%s.lora_A.weight", layer);
    }
    assert_int_equal(n, 21 * 16);
#define SLOT  "down_blocks.0.motion_modules.1."
#define INNER "temporal_transformer.transformer_blocks.0.attention_blocks.1."
    finds(SLOT "transformer_blocks.0.attn2.to_q", "%s", SLOT INNER "processor.to_q_lora.down.weight");
    finds(SLOT "transformer_blocks.0.attn2.to_out.0", "%s", SLOT INNER "processor.to_out_lora.up.weight");
    finds("mid_block.motion_modules.0.transformer_blocks.0.attn1.to_k", "%s",
          "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_k_lora.up."
          "weight");
}

static int set_up(void **state)
{
    static const ldm_shape sd15 = {4, {320, 640, 1280, 1280}, 2, {1, 1, 1, 0}, 4, 768, 1280};
    static const motion_shape v2 = {.levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2, .mid = true, .pe = 32};
    build b = {0};
    if (make_folder(state))
        return -1;
    build_ldm_unet(&b, &sd15);
    build_text_model(&b, "cond_stage_model.transformer.text_model.", 2, 768, 1000);
    vka_error err = {0};
    if (vka_model_open(&model, build_write(&b, "sd15.safetensors"), &err) != VKA_OK)
        return -1;
    build_motion(&b, &v2);
    if (vka_motion_open(&motion, build_write(&b, "v2.safetensors"), &err) != VKA_OK)
        return -1;
    const vka_weights *u = vka_model_weights(model, VKA_PART_UNET, &err), *t = vka_model_weights(model, VKA_PART_TEXT, &err);
    if (!u || !t)
        printf("%s %s\n", err.what, err.why);
    return !u || !t || !vka_lora_names_build(&unet_names, u, VKA_LORA_OF_UNET) ||
           !vka_lora_names_build(&text_names, t, VKA_LORA_OF_TEXT) ||
           !vka_lora_names_build(&motion_names, vka_motion_weights(motion), VKA_LORA_OF_MOTION);
}

static int tear_down(void **state)
{
    vka_lora_names_free(&unet_names);
    vka_lora_names_free(&text_names);
    vka_lora_names_free(&motion_names);
    vka_motion_close(motion);
    vka_model_close(model);
    return remove_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unet),
        cmocka_unit_test(text),
        cmocka_unit_test(motion_modules),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
