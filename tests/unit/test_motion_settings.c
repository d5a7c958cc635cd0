/* test_motion_settings.c - what a motion module makes of a render: the settings of every family where the user says nothing, norms,
 * --motion-family, --motion-scale and --motion-effect, modules for other models, and the positional table that is made.
 *
 * Small modules of every family are made here for the miniature; no device is needed. */
#include "weights_build.h"

#include "base/log.h"
#include "render/job.h"
#include "render/netrun.h"
#include "render/setup.h"

#include <math.h>

#define MINIATURE VKA_SOURCE_DIR "/models/miniature"
#define SD15      .levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2
#define SDXL      .levels = 3, .channels = {320, 640, 1280}, .layers = 2
#define SMALL     .levels = 3, .channels = {64, 96, 96}, .layers = 1 /* the miniature's */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static vka_motion *open_motion(const char *path)
{
    vka_motion *m;
    vka_error err = {0};
    if (vka_motion_open(&m, path, &err) != VKA_OK)
        fail_msg("%s (%s)", err.what, err.why);
    return m;
}

struct log_text {
    char text[2048];
};
static void take_log(void *user, int level, const char *text)
{
    struct log_text *l = user;
    size_t n = strlen(l->text);
    (void)level;
    snprintf(l->text + n, sizeof l->text - n, "%s\n", text);
}

/* A job with options in pairs, ended by NULL, set up without a device; settings or NULL with *err. */
static json_t *settings_of(struct log_text *log, vka_error *err, const char *const *options)
{
    vka_job *job = vka_job_create();
    struct vka_setup s;
    const vka_log to = {.write = take_log, .user = log, .level = 1};
    json_t *o = NULL;
    assert_non_null(job);
    *log = (struct log_text){0};
    for (; *options; options += 2)
        if (vka_job_set(job, options[0], options[1], err) != VKA_OK)
            fail_msg("--%s %s: %s", options[0], options[1], err->what);
    if (!vka_job_has(job, "model"))
        assert_int_equal(vka_job_set(job, "model", MINIATURE, err), VKA_OK);
    if (vka_setup_open(&s, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP, &to, err) == VKA_OK) {
        o = vka_setup_settings_json(&s, 7, false);
        assert_non_null(o);
        vka_setup_close(&s);
    }
    vka_job_destroy(&job);
    return o;
}

static void has_text(const char *file, json_t *o, const char *key, const char *want)
{
    const char *have = json_string_value(json_object_get(o, key));
    if (!same_text(have, want))
        fail_msg("%s: %s is %s, not %s", file, key, have ? have : "not there", want ? want : "not there");
}
static void has_number(const char *file, json_t *o, const char *key, double want)
{
    double have = json_number_value(json_object_get(o, key));
    if (fabs(have - want) > 1e-12)
        fail_msg("%s: %s is %g, not %g", file, key, have, want);
}

static bool is_built(const char *sampler)
{
    bool built = false;
    const char *name;
    for (uint32_t i = 0; (name = vka_sampler_list(i, &built)); i++)
        if (strcmp(name, sampler) == 0)
            return built;
    return false;
}

/* What each family is rendered with where the user says nothing but --motion: a small module of the family on the miniature, whose
 * own settings are 20 steps of ddim at 4. */
static void settings_of_every_family(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        motion_shape shape;
        const char *betas, *sampler, *schedule;
        unsigned steps, window; /* of 100 frames */
        double cfg;
    } small[] = {
        {"v1.safetensors", {SMALL, .pe = 24}, "linear:0.00085:0.012", "ddim", NULL, 20, 16, 4},
        {"v2.safetensors", {SMALL, .pe = 32, .mid = true}, "linear:0.00085:0.012", "ddim", NULL, 20, 16, 4},
        {"v3.safetensors", {SMALL, .pe = 32}, "linear:0.00085:0.012", "ddim", NULL, 20, 16, 4},
        {"lt_long_mm_32_frames.safetensors", {SMALL, .pe = 32}, "linear:0.00085:0.012", "ddim", NULL, 20, 32, 4},
        {"long64.safetensors", {SMALL, .pe = 64, .mid = true}, "linear:0.00085:0.012", "ddim", NULL, 20, 64, 4},
        {"lcm.safetensors", {SMALL, .mid = true}, "linear:0.00085:0.012", "lcm", NULL, 6, 16, 1.5},
        {"lightning_1step.safetensors",
         {SMALL, .pe = 32, .mid = true},
         "linear:0.00085:0.012",
         "euler",
         "trailing",
         1,
         16,
         1},
        {"lightning_2step.safetensors",
         {SMALL, .pe = 32, .mid = true},
         "linear:0.00085:0.012",
         "euler",
         "trailing",
         2,
         16,
         1},
        {"lightning_4step.safetensors",
         {SMALL, .pe = 32, .mid = true, .diffusers = true},
         "linear:0.00085:0.012",
         "euler",
         "trailing",
         4,
         16,
         1},
        {"lightning_8step.safetensors",
         {SMALL, .mid = true, .diffusers = true},
         "linear:0.00085:0.012",
         "euler",
         "trailing",
         8,
         16,
         1},
    };
    struct log_text log;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        build b = {0};
        vka_error err = {0};
        build_motion(&b, &small[i].shape);
        char path[600];
        const char *file = small[i].file;
        snprintf(path, sizeof path, "%s", build_write(&b, file));
        json_t *o = settings_of(&log, &err, (const char *const[]){"motion", path, "frames", "100", NULL});
        if (!o)
            fail_msg("%s: %s (%s)", file, err.what, err.why);
        has_text(file, o, "beta", small[i].betas);
        has_number(file, o, "steps", small[i].steps);
        has_number(file, o, "cfg", small[i].cfg);
        has_number(file, o, "context-length", small[i].window);
        bool built = is_built(small[i].sampler);
        has_text(file, o, "sampler", built ? small[i].sampler : "ddim");
        if ((strstr(log.text, "which is not in this version") == NULL) != built)
            fail_msg("%s: the log says '%s'", file, log.text);
        if (small[i].schedule)
            has_text(file, o, "schedule", small[i].schedule);
        if (built && strcmp(small[i].sampler, "lcm") == 0)
            has_number(file, o, "original-steps", 100);
        has_text(file, o, "motion-family", NULL); /* the models' entry names it */
        json_decref(o);
        /* what the user says holds */
        o = settings_of(&log, &err,
                        (const char *const[]){"motion", path, "steps", "3", "cfg", "2.5", "sampler", "euler-a",
                                              "schedule", "linspace", "beta", "scaled_linear", NULL});
        if (!o)
            fail_msg("%s: %s (%s)", file, err.what, err.why);
        has_number(file, o, "steps", 3);
        has_number(file, o, "cfg", 2.5);
        has_text(file, o, "sampler", "euler-a");
        has_text(file, o, "schedule", "linspace");
        has_text(file, o, "beta", "scaled_linear:0.00085:0.012");
        assert_string_equal(log.text, "");
        json_decref(o);
    }
}

/* Norms follow the family, as does everything with --motion-family. */
static void norms_and_overrides(void **state)
{
    (void)state;
    static const struct {
        const char *family, *effect;
        unsigned pe;
        bool mid, joint;
        double steps;
    } cases[] = {
        {"auto", "1", 24, false, true, 20},      {"auto", "1", 32, false, false, 20},
        {"auto", "1", 32, true, false, 20},      {"v1", "1", 32, true, true, 20},
        {"v3", "1", 24, false, false, 20},       {"lightning", "1", 32, true, false, 4},
        {"auto", "0", 24, false, false, 20}, /* left out, its norms too */
        {"auto", "0, 0.1", 24, false, true, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build b = {0};
        vka_error err = {0};
        const motion_shape s = {SMALL, .pe = cases[i].pe, .mid = cases[i].mid};
        build_motion(&b, &s);
        vka_job *job = vka_job_create();
        struct vka_setup setup;
        assert_int_equal(vka_job_set(job, "model", MINIATURE, NULL), VKA_OK);
        assert_int_equal(vka_job_set(job, "motion", build_write(&b, "m.safetensors"), NULL), VKA_OK);
        assert_int_equal(vka_job_set(job, "motion-family", cases[i].family, NULL), VKA_OK);
        assert_int_equal(vka_job_set(job, "motion-effect", cases[i].effect, NULL), VKA_OK);
        if (vka_setup_open(&setup, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP, NULL, &err) != VKA_OK)
            fail_msg("%zu: %s", i, err.what);
        assert_int_equal(setup.norms.resnet_joint, cases[i].joint);
        assert_false(setup.norms.motion_joint);
        assert_int_equal(setup.motion_idle, strcmp(cases[i].effect, "0") == 0);
        json_t *o = vka_setup_settings_json(&setup, 1, false);
        has_number(cases[i].family, o, "steps", cases[i].steps);
        has_text(cases[i].family, o, "motion-family", strcmp(cases[i].family, "auto") ? cases[i].family : NULL);
        has_text(cases[i].family, o, "motion-effect", cases[i].effect);
        json_decref(o);
        vka_setup_close(&setup);
        vka_job_destroy(&job);
    }
}

static void check_setup(vka_status st, const vka_error *err)
{
    if (st != VKA_OK)
        fail_msg("%s (%s)", err->what, err->why);
}

/* Ones are nothing, and so are numbers without a module; others are there for every frame. */
static void amounts(void **state)
{
    (void)state;
    static const struct {
        const char *motion, *scale, *effect;
        bool has_scale, has_effect;
    } cases[] = {
        {NULL, "1", "1, 1", false, false},     {NULL, "0:1, 3:1", "0.5", false, true},
        {NULL, "0:1, 4:3", "0", false, false}, {NULL, "0:1, 4:3", "2", true, true},
        {"none", "2", "0.5", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_error err = {0};
        vka_job *job = vka_job_create();
        struct vka_setup s;
        float *scale, *effect;
        assert_int_equal(vka_job_set(job, "model", MINIATURE, NULL), VKA_OK);
        if (cases[i].motion)
            assert_int_equal(vka_job_set(job, "motion", cases[i].motion, NULL), VKA_OK);
        assert_int_equal(vka_job_set(job, "motion-scale", cases[i].scale, NULL), VKA_OK);
        assert_int_equal(vka_job_set(job, "motion-effect", cases[i].effect, NULL), VKA_OK);
        check_setup(vka_setup_open(&s, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP, NULL, &err), &err);
        check_setup(vka_setup_amounts(&s, 5, &scale, &effect, &err), &err);
        assert_int_equal(scale != NULL, cases[i].has_scale);
        assert_int_equal(effect != NULL, cases[i].has_effect);
        for (int f = 0; scale && f < 5; f++)
            assert_true(scale[f] == 1 + 0.5f * (float)f);
        free(scale), free(effect);
        vka_setup_close(&s);
        vka_job_destroy(&job);
    }
}

/* What cannot act is said, not passed over. */
static void without_a_module(void **state)
{
    (void)state;
    struct log_text log;
    vka_error err = {0};
    json_t *o = settings_of(&log, &err, (const char *const[]){"motion", "none", "motion-scale", "2", NULL});
    assert_non_null(o);
    if (!strstr(log.text, "--motion-scale changes nothing without a motion module"))
        fail_msg("the log says '%s'", log.text);
    has_text("none", o, "motion-scale", NULL);
    json_decref(o);
}

/* Scales over the frames, prompts over the frames: what the settings have of them. */
static void over_the_frames(void **state)
{
    (void)state;
    struct log_text log;
    vka_error err = {0};
    json_t *o = settings_of(&log, &err, (const char *const[]){"motion", "none", "cfg-frames", "0:2, -1:5", "cfg", "3", NULL});
    assert_non_null(o);
    has_text("scales", o, "cfg-frames", "0:2, -1:5");
    has_text("scales", o, "travel-blend", NULL);
    json_decref(o);
    o = settings_of(&log, &err, (const char *const[]){"motion", "none", "cfg-frames", "4", "cfg", "3", NULL}); /* all the same */
    assert_non_null(o);
    has_text("one scale", o, "cfg-frames", NULL);
    has_number("one scale", o, "cfg", 4);
    json_decref(o);
    o = settings_of(&log, &err, (const char *const[]){"motion", "none", "negative", "0: a\n8: b", "travel-ease", "hold", NULL});
    assert_non_null(o);
    has_text("a travel", o, "negative", "0: a\n8: b");
    has_text("a travel", o, "travel-blend", "lerp");
    has_text("a travel", o, "travel-ease", "hold");
    json_decref(o);
    assert_null(settings_of(&log, &err, (const char *const[]){"motion", "none", "cfg-frames", "-20:4", NULL}));
    assert_int_equal(err.status, VKA_E_USAGE);
    vka_error_clear(&err);
    assert_null(settings_of(&log, &err, (const char *const[]){"motion", "none", "cfg-frames", "4", "cfg-schedule", "4", NULL}));
    assert_non_null(strstr(err.what, "do not go together"));
}

static void not_for_this_model(void **state)
{
    (void)state;
    static const struct {
        const char *file, *what, *hint;
        motion_shape shape;
        bool pia;
    } cases[] = {
        {"mm_sdxl_v10_beta.safetensors",
         "is a motion module for SDXL (sdxl-beta), which does not fit this model",
         "",
         {SDXL, .pe = 32},
         false},
        {"hsxl.safetensors",
         "is a motion module for SDXL (hotshot-xl), which does not fit this model",
         "",
         {SDXL, .pe = 24, .hotshot = true},
         false},
        {"pia.safetensors",
         "is a PIA module, which animates a given picture: that is not in this version",
         "--motion-family v1",
         {SMALL, .pe = 32},
         true},
        {"mm_sd_v15_v2.safetensors", "does not fit this model's UNet", "", {SD15, .pe = 32, .mid = true}, false},
    };
    struct log_text log;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build b = {0};
        vka_error err = {0};
        char path[600];
        build_motion(&b, &cases[i].shape);
        if (cases[i].pia)
            build_pair(&b, "conv_in", 4, 64, 9, 3);
        snprintf(path, sizeof path, "%s", build_write(&b, cases[i].file));
        assert_null(settings_of(&log, &err, (const char *const[]){"motion", path, NULL}));
        assert_int_equal(err.status, VKA_E_INPUT);
        if (!strstr(err.what, cases[i].what) || !strstr(err.hint, cases[i].hint))
            fail_msg("'%s' (%s) lacks '%s'", err.what, err.hint, cases[i].what);
        if (!cases[i].pia)
            continue;
        err = (vka_error){0};
        json_t *o = settings_of(&log, &err, (const char *const[]){"motion", path, "motion-family", "v1", NULL});
        if (!o)
            fail_msg("%s", err.what);
        json_decref(o);
    }
    /* and the other way */
    build b = {0};
    vka_error err = {0};
    char model[600], motion[600];
    const motion_shape v2 = {SD15, .pe = 32, .mid = true};
    build_motion(&b, &v2);
    snprintf(motion, sizeof motion, "%s", build_write(&b, "mm_sd_v15_v2.safetensors"));
    build_pair(&b, "model.diffusion_model.label_emb.0.0", 2, 1280, 2816, 0);
    build_pair(&b, "model.diffusion_model.input_blocks.0.0", 4, 320, 4, 3);
    build_add(&b, "conditioner.embedders.1.model.ln_final.weight", 1, 1280);
    snprintf(model, sizeof model, "%s", build_write(&b, "sdxl.safetensors"));
    assert_null(settings_of(&log, &err, (const char *const[]){"model", model, "motion", motion, NULL}));
    if (!strstr(err.what, "is an SDXL model, which is not supported") ||
        !strstr(err.why, "is a motion module for SD1.5 (v2)"))
        fail_msg("'%s' (%s)", err.what, err.why);
}

/* A file whose hash is known by now is told to be the published one; the hash here is a lie of the cache. */
static void published_by_hash(void **state)
{
    (void)state;
    build b = {0};
    vka_error err = {0};
    vka_context *cx;
    char id[96], *full, *report, path[600];
    const motion_shape s = {SMALL, .pe = 32, .mid = true};
    build_motion(&b, &s);
    snprintf(path, sizeof path, "%s", build_write(&b, "renamed.safetensors"));
    assert_int_equal(setenv("VKANIM_CACHE_DIR", folder, 1), 0);
    full = vka_file_identity(path, id);
    assert_non_null(full);
    json_t *cache = json_pack("{s:{s:s, s:s}}", full, "id", id, "sha256",
                              "69ed0f5f00000000000000000000000000000000000000000000000000000000");
    char *text = json_dumps(cache, 0);
    assert_non_null(text);
    check_setup(vka_context_create(&cx, NULL, &err), &err);
    for (int known = 0; known < 2; known++) {
        if (known)
            write_text(in_folder("hashes.json"), text);
        check_setup(vka_inspect_file(cx, path, &report, &err), &err);
        assert_int_equal(strstr(report, "by its hash the published file mm_sd_v15_v2") != NULL, known);
        vka_free(report);
    }
    free(text), free(full);
    json_decref(cache);
    vka_context_destroy(&cx);
}

/* ---- positions ---------------------------------------------------------------------------------------------------- */

/* The table that is made where a file has none equals the stored one (the miniature's, in fp16) to that type's rounding. */
static void made_positions(void **state)
{
    (void)state;
    build b = {0};
    struct vka_netrun run;
    vka_error err = {0};
    struct vka_kernel_table table;
    const motion_shape s = {SMALL, .mid = true};
    vka_kernel_table_init(&table, NULL);
    build_motion(&b, &s);
    vka_motion *bare = open_motion(build_write(&b, "bare.safetensors")),
               *full = open_motion(MINIATURE "/motion.safetensors");
    assert_int_equal(vka_motion_describe(bare)->pe_length, 0);
    assert_int_equal(vka_netrun_begin(&run, "made", 1, 80, NULL, vka_motion_weights(bare), false, &table, &err),
                     VKA_OK);
    static const char *const names[] = {"down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe",
                                        "mid_block.motion_modules.0.transformer_blocks.0.pos_embed.pe",
                                        "up_blocks.2.motion_modules.1.transformer_blocks.0.pos_embed.pe"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct vka_weight_data made;
        const vka_weight *stored = vka_weights_find(vka_motion_weights(full), names[n]);
        assert_true(stored && run.build.source.find(run.build.source.user, names[n], &made));
        assert_true(made.rank == 2 && made.dims[0] == 80 && made.dims[1] == stored->dims[2]);
        size_t width = (size_t)made.dims[1], count = (size_t)vka_weight_count(stored);
        float *x = malloc(80 * width * sizeof *x), *y = malloc(count * sizeof *y);
        assert_true(x && y);
        run.build.source.to_f32(run.build.source.user, &made, 0, 80 * width, x);
        vka_dtype_to_f32(y, stored->data, stored->dtype, count);
        double rounding =
            stored->dtype == VKA_WEIGHT_F32 ? 4e-6 : 4.9e-4; /* of an angle up to 32 in fp32, or of half of 2^-10 */
        for (size_t i = 0; i < count; i++)
            if (fabs((double)x[i] - (double)y[i]) > rounding)
                fail_msg("%s: element %zu is %g, stored %g", names[n], i, (double)x[i], (double)y[i]);
        for (size_t t = 0; t < 80; t++)
            for (size_t i = 0; i < width; i++) {
                double angle = (double)t / pow(10000, (double)(i / 2 * 2) / (double)width);
                assert_true(fabs((double)x[t * width + i] - (i % 2 ? cos(angle) : sin(angle))) < 1e-6);
            }
        free(x), free(y);
    }
    vka_netrun_end(&run);
    vka_motion_close(bare);
    vka_motion_close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_every_family),
        cmocka_unit_test(norms_and_overrides),
        cmocka_unit_test(amounts),
        cmocka_unit_test(without_a_module),
        cmocka_unit_test(over_the_frames),
        cmocka_unit_test(not_for_this_model),
        cmocka_unit_test(published_by_hash),
        cmocka_unit_test(made_positions),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
