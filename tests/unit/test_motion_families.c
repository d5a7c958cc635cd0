/* test_motion_families.c - motion modules of every published family, told by their tensors and names, with what each was made for; damaged
 * ones are a sentence each.
 *
 * The files are made here: names and shapes as published, no data.  Counts of tensors are those of the published files. */
#include "weights_build.h"

#include <math.h>

#define SD15  .levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2
#define SDXL  .levels = 3, .channels = {320, 640, 1280}, .layers = 2
#define SMALL .levels = 3, .channels = {64, 96, 96}, .layers = 1 /* the miniature's */

/* ---- published files --------------------------------------------------------------------------------------- */

struct family {
    const char *file, *published;
    motion_shape shape;
    unsigned tensors;
    const char *variant, *betas;
    double beta_end;
    bool norm_frames;
    unsigned window;
    const char *sampler, *spacing;
    unsigned steps, original_steps;
    double cfg;
};
#define LINEAR .betas = "linear", .beta_end = 0.012, .window = 16
static const struct family published[] = {
    {"mm_sd_v14.safetensors", "mm_sd_v14", {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"mm_sd_v15.safetensors", "mm_sd_v15", {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"mm_sd15_v1.fp16.safetensors", "mm_sd_v15", {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"temporaldiff-v1-animatediff.safetensors",
     "temporaldiff-v1",
     {SD15, .pe = 24},
     560,
     "v1",
     LINEAR,
     .norm_frames = true},
    {"mm-Stabilized_mid.safetensors", "mm-Stabilized_mid", {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"mm-Stabilized_high.safetensors", "mm-Stabilized_high", {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"renamed.safetensors", NULL, {SD15, .pe = 24}, 560, "v1", LINEAR, .norm_frames = true},
    {"mm_sd_v15_v2.safetensors", "mm_sd_v15_v2", {SD15, .pe = 32, .mid = true}, 588, "v2", LINEAR},
    {"mm-p_0.5.safetensors", "mm-p_0.5", {SD15, .pe = 32, .mid = true}, 588, "v2", LINEAR},
    {"mm-p_0.75.safetensors", "mm-p_0.75", {SD15, .pe = 32, .mid = true}, 588, "v2", LINEAR},
    {"v2-in-training.safetensors", NULL, {SD15, .pe = 32, .mid = true, .prefix = "module."}, 588, "v2", LINEAR},
    {"v3_sd15_mm.safetensors", "v3_sd15_mm", {SD15, .pe = 32}, 560, "v3", LINEAR},
    {"mm_sd15_v3.safetensors", "v3_sd15_mm", {SD15, .pe = 32, .prefix = "state_dict."}, 560, "v3", LINEAR},
    {"lt_long_mm_32_frames.safetensors",
     "lt_long_mm_32_frames",
     {SD15, .pe = 32},
     560,
     "long",
     .betas = "linear",
     .beta_end = 0.012,
     .window = 32},
    {"lt_long_mm_16_64_frames_v1.1.safetensors",
     "lt_long_mm_16_64_frames",
     {SD15, .pe = 64, .mid = true},
     588,
     "long",
     .betas = "linear",
     .beta_end = 0.012,
     .window = 64},
    {"no-name.safetensors",
     NULL,
     {SD15, .pe = 64, .mid = true},
     588,
     "long",
     .betas = "linear",
     .beta_end = 0.012,
     .window = 64},
    {"AnimateLCM_sd15_t2v.safetensors",
     "AnimateLCM_sd15_t2v",
     {SD15, .mid = true},
     546,
     "animatelcm",
     LINEAR,
     .sampler = "lcm",
     .steps = 6,
     .original_steps = 100,
     .cfg = 1.5},
    {"sd15_t2v_beta.safetensors",
     NULL,
     {SD15, .mid = true},
     546,
     "animatelcm",
     LINEAR,
     .sampler = "lcm",
     .steps = 6,
     .original_steps = 100,
     .cfg = 1.5},
    {"animatediff_lightning_1step_comfyui.safetensors",
     "animatediff_lightning_1step",
     {SD15, .pe = 32, .mid = true},
     588,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 1,
     .cfg = 1},
    {"animatediff_lightning_2step_comfyui.safetensors",
     "animatediff_lightning_2step",
     {SD15, .pe = 32, .mid = true},
     588,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 2,
     .cfg = 1},
    {"animatediff_lightning_4step_comfyui.safetensors",
     "animatediff_lightning_4step",
     {SD15, .pe = 32, .mid = true},
     588,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 4,
     .cfg = 1},
    {"animatediff_lightning_8step_comfyui.safetensors",
     "animatediff_lightning_8step",
     {SD15, .pe = 32, .mid = true},
     588,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 8,
     .cfg = 1},
    {"animatediff_lightning_8step_diffusers.safetensors",
     "animatediff_lightning_8step",
     {SD15, .pe = 32, .mid = true, .diffusers = true},
     567,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 8,
     .cfg = 1},
    {"Lightning, 2 Steps.safetensors",
     NULL,
     {SD15, .mid = true, .diffusers = true},
     546,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 2,
     .cfg = 1},
    {"AnimateDiff-Lightning.safetensors",
     NULL,
     {SD15, .pe = 32, .mid = true},
     588,
     "lightning",
     LINEAR,
     .sampler = "euler",
     .spacing = "trailing",
     .steps = 4,
     .cfg = 1},
    {"mm_sdxl_v10_beta.safetensors",
     "mm_sdxl_v10_beta",
     {SDXL, .pe = 32},
     420,
     "sdxl-beta",
     "scaled_linear",
     0.020,
     false,
     16,
     .spacing = "leading"},
    {"hsxl_temporal_layers.f16.safetensors",
     "hsxl_temporal_layers",
     {SDXL, .pe = 24, .hotshot = true},
     420,
     "hotshot-xl",
     .betas = "scaled_linear",
     .beta_end = 0.012,
     .norm_frames = true,
     .window = 8},
};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_info(const struct family *x, const vka_motion_info *i)
{
    if (!same_text(vka_motion_variant_name(i->variant), x->variant))
        fail_msg("%s: %s, not %s", x->file, vka_motion_variant_name(i->variant), x->variant);
    if (!same_text(i->published, x->published))
        fail_msg("%s: named after %s, not %s", x->file, i->published ? i->published : "none", x->published);
    if (!same_text(i->beta_schedule, x->betas) || fabs(i->beta_end - x->beta_end) > 1e-12 || i->beta_start != 0.00085)
        fail_msg("%s: %s %g to %g", x->file, i->beta_schedule, i->beta_start, i->beta_end);
    if (!same_text(i->sampler, x->sampler) || !same_text(i->timestep_spacing, x->spacing))
        fail_msg("%s: sampler %s, spacing %s", x->file, i->sampler ? i->sampler : "any",
                 i->timestep_spacing ? i->timestep_spacing : "any");
    if (i->steps != x->steps || i->original_steps != x->original_steps || fabs(i->cfg - x->cfg) > 1e-12)
        fail_msg("%s: %u steps of %u, guidance %g", x->file, i->steps, i->original_steps, i->cfg);
    if (i->window != x->window || i->norm_frames_resnet != x->norm_frames)
        fail_msg("%s: window %u, norms over %s", x->file, i->window, i->norm_frames_resnet ? "all frames" : "a frame");
    assert_int_equal(i->pe_length, x->shape.pe);
    assert_int_equal(i->is_diffusers, x->shape.diffusers);
    assert_int_equal(i->slots, x->shape.levels * 5 + x->shape.mid);
    assert_false(i->needs_picture);
}

static vka_motion *open_motion(const char *path)
{
    vka_motion *m;
    vka_error err = {0};
    if (vka_motion_open(&m, path, &err) != VKA_OK)
        fail_msg("%s (%s)", err.what, err.why);
    return m;
}

static void every_published_file(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof published / sizeof *published; f++) {
        const struct family *x = &published[f];
        build b = {0};
        build_motion(&b, &x->shape);
        if (b.count != x->tensors)
            fail_msg("%s: %u tensors were made, %u are published", x->file, b.count, x->tensors);
        const char *path = build_write(&b, x->file);
        vka_motion *m = open_motion(path);
        check_info(x, vka_motion_describe(m));
        vka_motion_close(m);
        vka_inspection in;
        assert_int_equal(vka_inspect(&in, path, NULL), VKA_OK);
        assert_string_equal(in.variant, x->variant);
        assert_string_equal(in.family, x->shape.levels == 3 ? "sdxl" : "sd15");
        bool frames = false, named = false;
        for (size_t i = 0; i < in.note_count; i++) {
            frames = frames || strstr(in.notes[i], x->shape.pe ? "frames at once" : "no positional table");
            named = named || (x->published && strstr(in.notes[i], x->published));
        }
        assert_true(frames && named == (x->published != NULL));
        vka_inspection_free(&in);
        assert_int_equal(unlink(path), 0);
    }
}

/* What the metadata says counts as the name does. */
static void title_in_metadata(void **state)
{
    (void)state;
    build b = {0};
    const motion_shape s = {SMALL, .pe = 32, .mid = true};
    build_text(&b, "{\"__metadata__\":{\"modelspec.title\":\"AnimateDiff-Lightning 8-step\"}");
    b.count = 1;
    build_motion(&b, &s);
    vka_motion *m = open_motion(build_write(&b, "model.safetensors"));
    const vka_motion_info *i = vka_motion_describe(m);
    assert_int_equal(i->variant, VKA_MOTION_LIGHTNING);
    assert_int_equal(i->steps, 8);
    /* and whoever knows better says so */
    vka_motion_set_family(m, VKA_MOTION_V1);
    assert_int_equal(i->variant, VKA_MOTION_V1);
    assert_true(i->norm_frames_resnet && !i->sampler && !i->steps && !i->timestep_spacing);
    vka_motion_close(m);
}

static void pictures(void **state)
{
    (void)state;
    build b = {0};
    const motion_shape pia = {SD15, .pe = 32}, lcm = {SD15, .mid = true};
    build_motion(&b, &pia);
    build_pair(&b, "conv_in", 4, 320, 9, 3);
    assert_int_equal(b.count, 562);
    vka_motion *m = open_motion(build_write(&b, "pia.safetensors"));
    const vka_motion_info *i = vka_motion_describe(m);
    assert_string_equal(vka_motion_variant_name(i->variant), "pia");
    assert_string_equal(i->published, "pia");
    assert_true(i->needs_picture && i->norm_frames_resnet && i->conv_in_channels == 9);
    vka_motion_close(m);
    build_motion(&b, &lcm);
    build_pair(&b, "img_encoder.conv_in", 4, 320, 4, 3);
    m = open_motion(build_write(&b, "AnimateLCM_sd15_i2v.safetensors"));
    i = vka_motion_describe(m);
    assert_int_equal(i->variant, VKA_MOTION_ANIMATELCM);
    assert_true(i->needs_picture && i->beta_end == 0.014 && i->original_steps == 200);
    vka_motion_close(m);
}

/* Folders as diffusers saves a MotionAdapter: the config says how many frames. */
static void adapter_folders(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *variant;
        bool mid;
        unsigned frames, pe, window;
    } cases[] = {
        {"animatediff-motion-adapter-v1-4", "v1", false, 24, 24, 16},
        {"animatediff-motion-adapter-v1-5-2", "v2", true, 32, 32, 16},
        {"animatediff-motion-adapter-v1-5-3", "v3", false, 32, 32, 16},
        {"long", "long", true, 64, 64, 64},
        {"AnimateLCM", "animatelcm", true, 32, 0, 16}, /* its authors make a table of 64 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build b = {0};
        char path[600], name[200], config[100];
        snprintf(path, sizeof path, "%s", in_folder(cases[i].folder));
        assert_int_equal(mkdir(path, 0777), 0);
        const motion_shape s = {SD15, .mid = cases[i].mid, .diffusers = true};
        build_motion(&b, &s);
        snprintf(name, sizeof name, "%s/diffusion_pytorch_model.safetensors", cases[i].folder);
        build_write(&b, name);
        snprintf(name, sizeof name, "%s/config.json", cases[i].folder);
        snprintf(config, sizeof config, "{\"_class_name\":\"MotionAdapter\",\"motion_max_seq_length\":%u}",
                 cases[i].frames);
        write_text(in_folder(name), config);
        vka_motion *m = open_motion(path);
        const vka_motion_info *info = vka_motion_describe(m);
        if (!same_text(vka_motion_variant_name(info->variant), cases[i].variant) || info->pe_length != cases[i].pe ||
            info->window != cases[i].window)
            fail_msg("%s: %s, a table of %u, windows of %u", cases[i].folder, vka_motion_variant_name(info->variant),
                     info->pe_length, info->window);
        vka_motion_close(m);
    }
}

static void hashes(void **state)
{
    (void)state;
    assert_string_equal(
        vka_motion_published_by_hash("69ed0f5fef82b110aca51bcab73b21104242bc65d6ab4b8b2a2a94d31cad1bf0"),
        "mm_sd_v15_v2");
    assert_null(vka_motion_published_by_hash("0000000000000000000000000000000000000000000000000000000000000000"));
    enum vka_motion_variant v;
    for (int i = 0; i < VKA_MOTION_VARIANTS; i++)
        assert_true(vka_motion_variant_from_name(vka_motion_variant_name((enum vka_motion_variant)i), &v) &&
                    (int)v == i);
    assert_false(vka_motion_variant_from_name("auto", &v));
}

/* ---- damage --------------------------------------------------------------------------------------------------- */

static void refused(const char *path, const char *what)
{
    vka_motion *m;
    vka_error err = {0};
    assert_int_equal(vka_motion_open(&m, path, &err), VKA_E_INPUT);
    assert_null(m);
    if (!strstr(err.what, what))
        fail_msg("'%s' lacks '%s'", err.what, what);
}

/* In the header of a small v2 module replaces `from`, behind `at`, by `to` of equal length; the data stays as long. */
static void damaged(const char *at, const char *from, const char *to, const char *what)
{
    build b = {0};
    const motion_shape s = {SMALL, .pe = 32, .mid = true};
    build_motion(&b, &s);
    char *p = strstr(b.text, at);
    assert_non_null(p);
    p = strstr(p, from);
    assert_non_null(p);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(p, to, strlen(to));
    refused(build_write(&b, "damaged.safetensors"), what);
}

static void damaged_sets(void **state)
{
    (void)state;
#define T "temporal_transformer."
    damaged("mid_block.motion_modules.0." T "proj_in.bias", "proj_in", "pr0j_in",
            "lacks 1 tensor: mid_block.motion_modules.0.proj_in.bias");
    damaged("up_blocks.0.motion_modules.1." T "norm.weight", "norm.weight", "nrom.weight",
            "lacks 1 tensor: up_blocks.0.motion_modules.1.norm.weight");
    damaged("down_blocks.1.motion_modules.0." T "transformer_blocks.0.attention_blocks.0.to_k.weight", "to_k", "to_z",
            "lacks 1 tensor: down_blocks.1.motion_modules.0.transformer_blocks.0.attn1.to_k.weight");
    damaged("down_blocks.1.motion_modules.0." T "transformer_blocks.0.attention_blocks.1.to_v.weight", "[96,96]",
            "[9216] ",
            "'down_blocks.1.motion_modules.0.transformer_blocks.0.attn2.to_v.weight' should be [96, 96], as its block "
            "has 96 "
            "channels");
    damaged("up_blocks.2.motion_modules.0." T "transformer_blocks.0.ff.net.0.proj.weight", "[512,64]", "[64,512]",
            "'up_blocks.2.motion_modules.0.transformer_blocks.0.ff.net.0.proj.weight' should be [512, 64]");
    damaged("up_blocks.2.motion_modules.0." T "transformer_blocks.0.attention_blocks.0.pos_encoder.pe", "[1,32,64]",
            "[1,64,32]", "has 32 channels, its block 64");
    damaged("up_blocks.2.motion_modules.0." T "transformer_blocks.0.attention_blocks.0.pos_encoder.pe", "[1,32,64]",
            "[32,1,64]", "has an odd shape");
    damaged("up_blocks.2.motion_modules.0." T "transformer_blocks.0.attention_blocks.1.to_q", "blocks.1", "blocks.2",
            "has 3 attentions in a transformer block (1 or 2 are supported)");
    damaged("up_blocks.2.motion_modules.1." T "norm.weight", "modules.1", "modules.Z",
            "lacks 1 tensor: up_blocks.2.motion_modules.1.norm.weight");
    build b = {0};
    const motion_shape s = {SMALL, .pe = 32};
    build_slot(&b, &s, "down_blocks.0.motion_modules.0", 64);
    build_slot(&b, &s, "down_blocks.0.motion_modules.1", 32);
    refused(build_write(&b, "damaged.safetensors"), "'down_blocks.0.motion_modules.1.norm.weight' has an odd shape");
    build_pair(&b, "down_blocks.0.resnets.0.conv1", 4, 32, 32, 3);
    refused(build_write(&b, "damaged.safetensors"), "is not a motion module");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_file),
        cmocka_unit_test(title_in_metadata),
        cmocka_unit_test(pictures),
        cmocka_unit_test(adapter_folders),
        cmocka_unit_test(hashes),
        cmocka_unit_test(damaged_sets),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
