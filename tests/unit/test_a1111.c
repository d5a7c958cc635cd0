/* test_a1111.c - requests of A1111's interface: which job they become, which are refused with what sentence, and the
 * replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "server/a1111.h"
#include "server/a1111_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a server that is none -------------------------------------------------------------------------------------------- */

struct kept {
    unsigned count;
    size_t size;     /* of the last one */
    char name[80];   /* suggested */
    vka_status ends; /* what a put ends with */
};

static vka_status keep(void *user, const char *suggested, const void *data, size_t size, char name[80], vka_error *err)
{
    struct kept *k = user;
    (void)data;
    if (k->ends != VKA_OK) {
        err->status = k->ends;
        snprintf(err->what, sizeof err->what, "no room");
        return k->ends;
    }
    k->size = size;
    snprintf(k->name, sizeof k->name, "%s", suggested);
    snprintf(name, 80, "upload:%u%s", k->count++, strrchr(suggested, '.'));
    return VKA_OK;
}

/* "dream.safetensors [0123456789]" and the like: everything but "missing" is there. */
static bool find(void *user, const char *kind, const char *title, char name[300])
{
    (void)user;
    snprintf(name, 300, "%s/%.*s", kind, (int)strcspn(title, "."), title);
    return strncmp(title, "missing", 7) != 0;
}

struct made {
    struct srv_a1111_work work;
    struct srv_a1111_error err;
    struct kept kept;
    bool good;
};

static struct made make_with(const char *request, enum srv_a1111_kind kind, const char *settings, vka_status ends)
{
    struct made m = {.kept = {.ends = ends}};
    const struct srv_a1111_store store = {keep, find, &m.kept};
    json_error_t where;
    json_t *body = json_loads(request, JSON_DECODE_ANY, &where), *options = srv_a1111_options_make(),
           *given = settings ? json_loads(settings, 0, NULL) : NULL;
    if (!body)
        fail_msg("%s: %s", request, where.text);
    if (given)
        assert_true(srv_a1111_options_set(options, given, "", NULL, &m.err));
    m.good = srv_a1111_translate(&m.work, body, kind, options, "webui-1", &store, &m.err);
    assert_int_equal(m.good, m.err.status == 0);
    json_decref(given);
    json_decref(options);
    json_decref(body);
    return m;
}

static struct made make(const char *request, enum srv_a1111_kind kind)
{
    return make_with(request, kind, NULL, VKA_OK);
}

static void has(const struct made *m, const char *request, const char *key, const char *value)
{
    if (!m->good)
        fail_msg("%s: %u %s: %s", request, m->err.status, m->err.field, m->err.text);
    const json_t *is = json_object_get(m->work.job, key);
    json_t *wanted = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    bool same = wanted ? json_is_number(wanted) && json_is_number(is) ? json_number_value(wanted) == json_number_value(is)
                                                                      : json_equal(wanted, is)
                       : !is;
    if (!same) {
        char *text = is ? json_dumps(is, JSON_ENCODE_ANY) : NULL;
        fail_msg("%s: %s is %s, not %s", request, key, text ? text : "not there", value ? value : "to be there");
    }
    json_decref(wanted);
}

/* ---- what a request becomes -------------------------------------------------------------------------------------- */

#define ANIMATE(inside) "{\"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true" inside "}]}}}"
#define UNIT(inside)                                                                                                           \
    "{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"canny.pth\", \"image\": \"aGVsbG8=\"" inside "}]}}}"
#define FROM(inside) "{\"init_images\": [\"data:image/png;base64,iVBORw0KGgo=\"]" inside "}"

static const struct {
    const char *request;
    enum srv_a1111_kind kind;
    const char *key, *value; /* as JSON; NULL: the job must not have it */
} becomes[] = {
    /* one picture, A1111's first values */
    {"{}", A1111_TXT2IMG, "frames", "1"},
    {"{}", A1111_TXT2IMG, "motion", "\"none\""},
    {"{}", A1111_TXT2IMG, "steps", "50"},
    {"{}", A1111_TXT2IMG, "cfg", "7"},
    {"{}", A1111_TXT2IMG, "sampler", "\"euler\""},
    {"{}", A1111_TXT2IMG, "schedule", "\"linspace\""},
    {"{}", A1111_TXT2IMG, "rng", "\"nv\""},
    {"{}", A1111_TXT2IMG, "noise-layout", "\"frame\""},
    {"{}", A1111_TXT2IMG, "seed", NULL},
    {"{}", A1111_TXT2IMG, "width", NULL},
    {"{}", A1111_TXT2IMG, "count", NULL},
    {"{}", A1111_TXT2IMG, "eta", NULL},
    {"{}", A1111_TXT2IMG, "output", "[\"webui-1.png\"]"},
    {"{\"prompt\": null, \"seed\": null}", A1111_TXT2IMG, "prompt", "\"\""},
    {"{\"prompt\": \"a <lora:ink:0.5> fox\", \"negative_prompt\": \"x\"}", A1111_TXT2IMG, "prompt", "\"a <lora:ink:0.5> fox\""},
    {"{\"negative_prompt\": \"x\"}", A1111_TXT2IMG, "negative", "\"x\""},
    {"{\"width\": 128, \"height\": \"64\"}", A1111_TXT2IMG, "width", "128"},
    {"{\"width\": 128, \"height\": \"64\"}", A1111_TXT2IMG, "height", "64"},
    {"{\"seed\": 5, \"n_iter\": 2, \"batch_size\": 3}", A1111_TXT2IMG, "count", "6"},
    {"{\"seed\": 5}", A1111_TXT2IMG, "seed", "5"},
    {"{\"seed\": -1}", A1111_TXT2IMG, "seed", NULL},
    {"{\"subseed\": 9, \"subseed_strength\": 0.25}", A1111_TXT2IMG, "subseed", "9"},
    {"{\"subseed\": 9, \"subseed_strength\": 0.25}", A1111_TXT2IMG, "subseed-strength", "0.25"},
    {"{\"subseed\": 9, \"subseed_strength\": 0}", A1111_TXT2IMG, "subseed", NULL},
    {"{\"steps\": 20.0, \"cfg_scale\": 4.5}", A1111_TXT2IMG, "steps", "20"},
    {"{\"cfg_scale\": 4.5}", A1111_TXT2IMG, "cfg", "4.5"},
    {"{\"styles\": [\"mine\"]}", A1111_TXT2IMG, "steps", "50"},
    {"{\"s_noise\": 1, \"s_churn\": 0, \"s_tmax\": 0, \"seed_resize_from_w\": 0, \"firstphase_width\": 0, \"restore_faces\": "
     "false}",
     A1111_TXT2IMG, "steps", "50"}, /* what webuiapi always says */
    /* samplers and schedules */
    {"{\"sampler_name\": \"DPM++ 2M\"}", A1111_TXT2IMG, "sampler", "\"dpmpp-2m\""},
    {"{\"sampler_name\": \"DPM++ 2M\"}", A1111_TXT2IMG, "schedule", "\"karras\""},
    {"{\"sampler_name\": \"DPM++ 2M\", \"scheduler\": \"sgm_uniform\"}", A1111_TXT2IMG, "schedule", "\"sgm-uniform\""},
    {"{\"sampler_name\": \"DPM++ 2M\", \"scheduler\": \"SGM Uniform\"}", A1111_TXT2IMG, "schedule", "\"sgm-uniform\""},
    {"{\"sampler_name\": \"Euler a Exponential\", \"scheduler\": \"automatic\"}", A1111_TXT2IMG, "schedule", "\"exponential\""},
    {"{\"sampler_name\": \"DPM++ 2M Karras\", \"scheduler\": \"automatic\"}", A1111_TXT2IMG, "sampler", "\"dpmpp-2m\""},
    {"{\"sampler_name\": \"DPM++ 2M SDE\"}", A1111_TXT2IMG, "schedule", "\"exponential\""},
    {"{\"sampler_index\": \"LMS\"}", A1111_TXT2IMG, "sampler", "\"lms\""},
    {"{\"sampler_name\": \"euler-a\", \"scheduler\": \"align_your_steps\"}", A1111_TXT2IMG, "schedule", "\"ays\""},
    {"{\"sampler_name\": \"DDIM\"}", A1111_TXT2IMG, "schedule", "\"leading\""},
    {"{\"sampler_name\": \"DDIM\", \"eta\": 1.0}", A1111_TXT2IMG, "eta", "1"},
    {"{\"sampler_name\": \"DDIM\", \"eta\": 0}", A1111_TXT2IMG, "eta", NULL},
    {"{\"sampler_name\": \"Euler a\", \"eta\": 1.0}", A1111_TXT2IMG, "eta", NULL},
    {"{\"sampler_name\": \"Euler a\", \"eta\": 0.5}", A1111_TXT2IMG, "eta", "0.5"},
    /* settings */
    {"{\"override_settings\": {\"sd_model_checkpoint\": \"dream.safetensors [0123456789]\"}}", A1111_TXT2IMG, "model",
     "\"checkpoint/dream\""},
    {"{\"override_settings\": {\"sd_vae\": \"mse.pt\"}}", A1111_TXT2IMG, "vae", "\"vae/mse\""},
    {"{\"override_settings\": {\"sd_vae\": \"None\"}}", A1111_TXT2IMG, "vae", NULL},
    {"{\"override_settings\": {\"CLIP_stop_at_last_layers\": 2}}", A1111_TXT2IMG, "clip-skip", "2"},
    {"{\"override_settings\": {\"randn_source\": \"CPU\"}}", A1111_TXT2IMG, "rng", "\"torch-cpu\""},
    {"{\"override_settings\": {\"samples_format\": \"webp\"}}", A1111_TXT2IMG, "output", "[\"webui-1.webp\"]"},
    {"{\"override_settings\": {\"pad_cond_uncond\": false}}", A1111_TXT2IMG, "pad-prompt", "\"repeat\""},
    {"{\"override_settings\": {\"eta_ddim\": 0.5}, \"sampler_name\": \"DDIM\"}", A1111_TXT2IMG, "eta", "0.5"},
    {"{\"override_settings\": {\"nobody_knows\": [1]}}", A1111_TXT2IMG, "steps", "50"},
    /* the second pass */
    {"{\"enable_hr\": true, \"denoising_strength\": 0.7}", A1111_TXT2IMG, "hires", "\"2:0.7\""},
    {"{\"enable_hr\": true, \"hr_scale\": 1.5, \"hr_upscaler\": \"Lanczos\", \"hr_second_pass_steps\": 8}", A1111_TXT2IMG,
     "hires-upscaler", "\"picture\""},
    {"{\"enable_hr\": true, \"hr_second_pass_steps\": 8}", A1111_TXT2IMG, "hires-steps", "8"},
    {"{\"enable_hr\": true, \"hr_second_pass_steps\": 0}", A1111_TXT2IMG, "hires-steps", NULL},
    {"{\"enable_hr\": true, \"hr_upscaler\": \"Latent (nearest-exact)\"}", A1111_TXT2IMG, "hires-upscaler",
     "\"latent-nearest\""},
    {"{\"enable_hr\": true, \"width\": 128, \"height\": 64, \"hr_resize_x\": 192, \"hr_resize_y\": 96}", A1111_TXT2IMG, "hires",
     "\"1.5:0.75\""},
    {"{\"enable_hr\": false, \"hr_upscaler\": \"ESRGAN\"}", A1111_TXT2IMG, "hires", NULL},
    /* a clip */
    {ANIMATE(""), A1111_TXT2IMG, "frames", "16"},
    {ANIMATE(""), A1111_TXT2IMG, "motion", NULL},
    {ANIMATE(""), A1111_TXT2IMG, "fps", "8"},
    {ANIMATE(""), A1111_TXT2IMG, "context-length", "16"},
    {ANIMATE(""), A1111_TXT2IMG, "context-stride", "1"},
    {ANIMATE(""), A1111_TXT2IMG, "context-overlap", NULL},
    {ANIMATE(""), A1111_TXT2IMG, "loop", NULL},
    {ANIMATE(""), A1111_TXT2IMG, "travel-blend", "\"slerp\""},
    {ANIMATE(""), A1111_TXT2IMG, "plays", NULL},
    {ANIMATE(""), A1111_TXT2IMG, "output", "[\"webui-1.gif\", \"webui-1.apng\"]"},
    {ANIMATE(", \"model\": \"mm_sd15_v3.safetensors\""), A1111_TXT2IMG, "motion", "\"motion-module/mm_sd15_v3\""},
    {ANIMATE(", \"model\": \"None\""), A1111_TXT2IMG, "motion", NULL},
    {ANIMATE(", \"video_length\": 8, \"batch_size\": 12"), A1111_TXT2IMG, "frames", "8"},
    {ANIMATE(", \"batch_size\": 12"), A1111_TXT2IMG, "frames", "12"},
    {ANIMATE(", \"video_length\": 32, \"overlap\": 4, \"stride\": 2"), A1111_TXT2IMG, "context-overlap", "4"},
    {ANIMATE(", \"video_length\": 32, \"overlap\": 4, \"stride\": 2"), A1111_TXT2IMG, "context-stride", "2"},
    {ANIMATE(", \"video_length\": 32"), A1111_TXT2IMG, "loop", "\"reduced\""},
    {ANIMATE(", \"video_length\": 32, \"closed_loop\": \"N\""), A1111_TXT2IMG, "loop", NULL},
    {ANIMATE(", \"video_length\": 32, \"closed_loop\": \"R+P\""), A1111_TXT2IMG, "loop", "\"full\""},
    {ANIMATE(", \"video_length\": 32, \"closed_loop\": \"A\""), A1111_TXT2IMG, "loop", "\"always\""},
    {ANIMATE(", \"video_length\": 32, \"closed_loop\": \"A\""), A1111_TXT2IMG, "ping-pong", NULL},
    {ANIMATE(", \"closed_loop\": \"A\""), A1111_TXT2IMG, "ping-pong", "true"},
    {ANIMATE(", \"closed_loop\": \"A\""), A1111_TXT2IMG, "loop", NULL},
    {ANIMATE(", \"loop_number\": 3, \"fps\": 12"), A1111_TXT2IMG, "plays", "3"},
    {ANIMATE(", \"format\": [\"MP4\", \"webp\", \"TXT\"]"), A1111_TXT2IMG, "output", "[\"webui-1.mp4\", \"webui-1.webp\"]"},
    {ANIMATE(", \"format\": \"WEBM\""), A1111_TXT2IMG, "output", "[\"webui-1.webm\"]"},
    {ANIMATE(", \"format\": [\"PNG\"]"), A1111_TXT2IMG, "output", "[\"webui-1.apng\"]"},
    {ANIMATE(", \"format\": [\"GIF\", \"Frame\"]"), A1111_TXT2IMG, "output", "[\"webui-1.gif\", \"webui-1.apng\"]"},
    {ANIMATE(", \"format\": [\"GIF\"], \"request_id\": \"a_b-1\""), A1111_TXT2IMG, "output", "[\"webui-1-a_b-1.gif\"]"},
    {ANIMATE(", \"interp\": \"FILM\", \"interp_x\": 4"), A1111_TXT2IMG, "interpolate", "4"},
    {ANIMATE(", \"interp\": \"FILM\", \"interp_x\": 4"), A1111_TXT2IMG, "fps", "2"},
    {ANIMATE(", \"freeinit_enable\": true"), A1111_TXT2IMG, "freeinit", "2"},
    {ANIMATE(", \"freeinit_enable\": true, \"freeinit_ds\": 0.5"), A1111_TXT2IMG, "freeinit-cutoff", "\"0.5:0.25\""},
    {ANIMATE(", \"freeinit_enable\": true, \"freeinit_filter\": \"ideal\""), A1111_TXT2IMG, "freeinit-filter", "\"ideal\""},
    {ANIMATE(", \"freeinit_iters\": 4"), A1111_TXT2IMG, "freeinit", NULL},
    {ANIMATE(", \"latent_power\": 2"), A1111_TXT2IMG, "latent-power", NULL},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": [\"mm.ckpt\", true, 24, 10]}}}", A1111_TXT2IMG, "frames", "24"},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": [\"mm.ckpt\", true, 24, 10]}}}", A1111_TXT2IMG, "motion",
     "\"motion-module/mm\""},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": {\"enable\": true, \"video_length\": 6}}}}", A1111_TXT2IMG, "frames",
     "6"},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": [true]}}}", A1111_TXT2IMG, "frames", "16"},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": [false]}}}", A1111_TXT2IMG, "frames", "1"},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": []}, \"ControlNet\": {\"args\": []}}}", A1111_TXT2IMG, "frames", "1"},
    {"{\"alwayson_scripts\": {\"animatediff\": {\"args\": [{\"video_length\": 8}]}}}", A1111_TXT2IMG, "frames", "1"},
    /* pictures to begin from */
    {FROM(""), A1111_IMG2IMG, "init", "\"upload:0.png\""},
    {FROM(""), A1111_IMG2IMG, "strength", "0.75"},
    {FROM(""), A1111_IMG2IMG, "hold", "0"},
    {FROM(""), A1111_IMG2IMG, "resize", "\"stretch\""},
    {FROM(", \"resize_mode\": 1, \"denoising_strength\": 0.5"), A1111_IMG2IMG, "resize", "\"crop\""},
    {FROM(", \"resize_mode\": 2"), A1111_IMG2IMG, "resize", "\"fit\""},
    {FROM(", \"denoising_strength\": 0.5, \"enable_hr\": true"), A1111_IMG2IMG, "strength", "0.5"},
    {FROM(", \"denoising_strength\": 0.5, \"enable_hr\": true"), A1111_IMG2IMG, "hires", NULL},
    {FROM(", \"mask\": \"aGVsbG8=\""), A1111_IMG2IMG, "mask", "\"upload:1.bin\""},
    {FROM(", \"mask\": \"aGVsbG8=\""), A1111_IMG2IMG, "hold", "1"},
    {"{\"init_images\": [\"upload:upload-1.png\"]}", A1111_IMG2IMG, "init", "\"upload:upload-1.png\""},
    {"{\"init_images\": [\"aGVsbG8=\", \"aGVsbG8=\"], \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [true]}}}",
     A1111_IMG2IMG, "keyframe", "[\"0=upload:0.bin\", \"1=upload:1.bin\"]"},
    {"{\"init_images\": [\"aGVsbG8=\", \"aGVsbG8=\"], \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [true]}}}",
     A1111_IMG2IMG, "frames", "2"},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true, \"latent_scale\": 16}]}}"), A1111_IMG2IMG,
     "latent-scale", "16"},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true, \"latent_power_last\": 2}]}}"),
     A1111_IMG2IMG, "latent-power-last", NULL},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true, \"last_frame\": \"aGVsbG8=\"}]}}"),
     A1111_IMG2IMG, "init-last", "\"upload:0.bin\""},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true, \"last_frame\": \"aGVsbG8=\"}]}}"),
     A1111_IMG2IMG, "latent-scale-last", "32"},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [true]}}"), A1111_IMG2IMG, "latent-scale", "32"},
    {FROM(", \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [true]}}"), A1111_IMG2IMG, "latent-power", "1"},
    {FROM(", \"denoising_strength\": null"), A1111_IMG2IMG, "strength", "0.75"},
    /* ControlNet */
    {UNIT(", \"resize_mode\": \"Crop and Resize\""), A1111_TXT2IMG, "resize", "\"crop\""},
    {UNIT(", \"control_mode\": \"My prompt is more important\""), A1111_TXT2IMG, "control",
     "[\"controlnet/canny,source=upload:0.bin,weight=1,start=0,end=1,mode=prompt\"]"},
    {UNIT(""), A1111_TXT2IMG, "control", "[\"controlnet/canny,source=upload:0.bin,weight=1,start=0,end=1,mode=balanced\"]"},
    {UNIT(", \"module\": \"canny\", \"weight\": 0.5, \"guidance_end\": 0.75, \"control_mode\": 2"), A1111_TXT2IMG, "control",
     "[\"controlnet/canny,source=upload:0.bin,weight=0.5,start=0,end=0.75,mode=control,process=canny\"]"},
    {UNIT(", \"control_mode\": \"My prompt is more important\", \"resize_mode\": 0"), A1111_TXT2IMG, "resize", "\"stretch\""},
    {UNIT(", \"resize_mode\": \"Resize and Fill\""), A1111_TXT2IMG, "resize", "\"fit\""},
    {UNIT(", \"enabled\": false"), A1111_TXT2IMG, "control", NULL},
    {UNIT(", \"module\": \"ip-adapter_clip_sd15\""), A1111_TXT2IMG, "ip-adapter",
     "[\"ip-adapter/canny,image=upload:0.bin,weight=1,start=0,end=1\"]"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"a\", \"input_image\": \"\"}]}}, \"init_images\": "
     "[\"aGVsbG8=\"],"
     " \"resize_mode\": 1}",
     A1111_IMG2IMG, "control", "[\"controlnet/a,weight=1,start=0,end=1,mode=balanced\"]"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"a\", \"image\": {\"image\": \"aGVsbG8=\", \"mask\": "
     "null}}]}}}",
     A1111_TXT2IMG, "control", "[\"controlnet/a,source=upload:0.bin,weight=1,start=0,end=1,mode=balanced\"]"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"a\"}]}, \"AnimateDiff\": {\"args\": [{\"enable\": true,"
     " \"video_source\": \"upload:v.mp4\"}]}}}",
     A1111_TXT2IMG, "control", "[\"controlnet/a,source=upload:v.mp4,weight=1,start=0,end=1,mode=balanced\"]"},
};

static void jobs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof becomes / sizeof *becomes; i++) {
        struct made m = make(becomes[i].request, becomes[i].kind);
        has(&m, becomes[i].request, becomes[i].key, becomes[i].value);
        srv_a1111_work_free(&m.work);
    }
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static const struct {
    const char *request;
    enum srv_a1111_kind kind;
    unsigned status;
    const char *field, *word;
} refused[] = {
    {"[]", A1111_TXT2IMG, 422, "", "an object"},
    {"{\"steps\": \"many\"}", A1111_TXT2IMG, 422, "steps", "whole number"},
    {"{\"steps\": 1.5}", A1111_TXT2IMG, 422, "steps", "whole number"},
    {"{\"steps\": 0}", A1111_TXT2IMG, 422, "", "--steps"},
    {"{\"steps\": 1e300}", A1111_TXT2IMG, 422, "steps", "whole number"},
    {"{\"prompt\": 5}", A1111_TXT2IMG, 422, "prompt", "a text"},
    {"{\"cfg_scale\": []}", A1111_TXT2IMG, 422, "cfg_scale", "a number"},
    {"{\"width\": 99999999}", A1111_TXT2IMG, 422, "", "--width"},
    {"{\"send_images\": \"maybe\"}", A1111_TXT2IMG, 422, "send_images", "true or false"},
    {"{\"sampler_name\": \"Restart\"}", A1111_TXT2IMG, 404, "sampler_name", "Sampler not found: 'Restart'"},
    {"{\"sampler_name\": \"Restart Karras\"}", A1111_TXT2IMG, 404, "sampler_name", "Sampler not found"},
    {"{\"scheduler\": \"polyexponential\"}", A1111_TXT2IMG, 404, "scheduler", "Scheduler not found"},
    {"{\"script_name\": \"xyz\"}", A1111_TXT2IMG, 422, "script_name", "Script 'xyz' not found"},
    {"{\"alwayson_scripts\": {\"ADetailer\": {\"args\": [false]}}}", A1111_TXT2IMG, 422, "alwayson_scripts",
     "ADetailer not found"},
    {"{\"alwayson_scripts\": []}", A1111_TXT2IMG, 422, "alwayson_scripts", "an object"},
    {"{\"restore_faces\": true}", A1111_TXT2IMG, 422, "restore_faces", "faces"},
    {"{\"tiling\": true}", A1111_TXT2IMG, 422, "tiling", "tile"},
    {"{\"s_churn\": 1}", A1111_TXT2IMG, 422, "s_churn", "churn"},
    {"{\"s_noise\": 1.01}", A1111_TXT2IMG, 422, "s_noise", "noise"},
    {"{\"seed_resize_from_w\": 64}", A1111_TXT2IMG, 422, "seed_resize_from_w", "resized"},
    {"{\"n_iter\": 0}", A1111_TXT2IMG, 422, "n_iter", "from 1"},
    {"{\"n_iter\": 50, \"batch_size\": 3}", A1111_TXT2IMG, 422, "n_iter", "at most 100"},
    {"{\"infotext\": \"Steps: 1\"}", A1111_TXT2IMG, 422, "infotext", "not taken"},
    {"{\"override_settings\": {\"sd_model_checkpoint\": \"missing.ckpt\"}}", A1111_TXT2IMG, 404, "sd_model_checkpoint",
     "Checkpoint not found: 'missing.ckpt'"},
    {"{\"override_settings\": {\"CLIP_stop_at_last_layers\": 0}}", A1111_TXT2IMG, 422,
     "override_settings.CLIP_stop_at_last_layers", "from 1 to 12"},
    {"{\"override_settings\": {\"samples_format\": \"jpg\"}}", A1111_TXT2IMG, 422, "override_settings.samples_format", "jpg"},
    {"{\"override_settings\": 4}", A1111_TXT2IMG, 422, "override_settings", "an object"},
    {"{\"enable_hr\": true, \"hr_upscaler\": \"R-ESRGAN 4x+\"}", A1111_TXT2IMG, 400, "hr_upscaler", "Invalid upscaler"},
    {"{\"enable_hr\": true, \"hr_upscaler\": \"Latent (bicubic antialiased)\"}", A1111_TXT2IMG, 400, "hr_upscaler",
     "Invalid upscaler"},
    {"{\"enable_hr\": true, \"hr_prompt\": \"else\"}", A1111_TXT2IMG, 422, "hr_prompt", "first one"},
    {"{\"enable_hr\": true, \"hr_resize_x\": 100}", A1111_TXT2IMG, 422, "hr_resize_x", "shape"},
    {"{}", A1111_IMG2IMG, 404, "init_images", "Init image not found"},
    {"{\"init_images\": [7]}", A1111_IMG2IMG, 422, "init_images.0", "base64"},
    {"{\"init_images\": [\"/etc/passwd\"]}", A1111_IMG2IMG, 422, "init_images.0", "Invalid encoded image"},
    {"{\"init_images\": [\"http://127.0.0.1/x\"]}", A1111_IMG2IMG, 422, "init_images.0", "not fetched"},
    {"{\"init_images\": [\"upload:../x.png\"]}", A1111_IMG2IMG, 422, "init_images.0", "no name of an upload"},
    {"{\"init_images\": [\"aGVsbG8=\", \"aGVsbG8=\"]}", A1111_IMG2IMG, 422, "init_images", "AnimateDiff only"},
    {FROM(", \"resize_mode\": 3"), A1111_IMG2IMG, 422, "resize_mode", "resize_mode"},
    {FROM(", \"inpainting_mask_invert\": 1"), A1111_IMG2IMG, 422, "inpainting_mask_invert", "inverted"},
    {ANIMATE(", \"model\": \"missing\""), A1111_TXT2IMG, 404, "alwayson_scripts.AnimateDiff.model", "Motion module not found"},
    {ANIMATE(", \"fps\": \"fast\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.fps", "a number"},
    {ANIMATE(", \"closed_loop\": \"Z\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.closed_loop", "N, R-P, R+P or A"},
    {ANIMATE(", \"batch_size\": 0"), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.batch_size", "from 1"},
    {ANIMATE(", \"overlap\": 16"), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.overlap", "less than batch_size"},
    {ANIMATE(", \"format\": [\"AVI\"]"), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.format", "'AVI'"},
    {ANIMATE(", \"format\": 3"), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.format", "a list"},
    {ANIMATE(", \"interp\": \"RIFE\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.interp", "FILM"},
    {ANIMATE(", \"request_id\": \"../x\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.request_id", "letters"},
    {ANIMATE(", \"video_source\": \"upload:v.mp4\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff", "ControlNet"},
    {ANIMATE(", \"video_path\": \"/tmp/frames\""), A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff.video_path", "base64"},
    {ANIMATE(", \"freeinit_enable\": true, \"freeinit_iters\": 1"), A1111_TXT2IMG, 422,
     "alwayson_scripts.AnimateDiff.freeinit_iters", "from 2"},
    {"{\"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [true]}}, \"n_iter\": 17}", A1111_TXT2IMG, 422, "n_iter",
     "at most 16"},
    {"{\"alwayson_scripts\": {\"AnimateDiff\": {\"args\": \"x\"}}}", A1111_TXT2IMG, 422, "alwayson_scripts.AnimateDiff",
     "a list"},
    {UNIT(", \"module\": \"openpose\""), A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet.module", "'openpose'"},
    {UNIT(", \"control_mode\": 5"), A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet.control_mode", "Balanced"},
    {UNIT(", \"resize_mode\": \"?\""), A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet.resize_mode", "Just Resize"},
    {UNIT(", \"weight\": {}"), A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet.weight", "a number"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{}]}}}", A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet.model",
     "no model"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"missing\"}]}}}", A1111_TXT2IMG, 404,
     "alwayson_scripts.ControlNet.model", "ControlNet model not found"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [{\"model\": \"a\"}]}}}", A1111_TXT2IMG, 422,
     "alwayson_scripts.ControlNet.image", "no picture"},
    {"{\"alwayson_scripts\": {\"controlnet\": {\"args\": [5]}}}", A1111_TXT2IMG, 422, "alwayson_scripts.ControlNet",
     "an object"},
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct made m = make(refused[i].request, refused[i].kind);
        if (m.good || m.err.status != refused[i].status || strcmp(m.err.field, refused[i].field) != 0 ||
            !strstr(m.err.text, refused[i].word))
            fail_msg("%s: %u '%s' %s; wanted %u '%s' ...%s...", refused[i].request, m.err.status, m.err.field, m.err.text,
                     refused[i].status, refused[i].field, refused[i].word);
        json_t *o = srv_a1111_error_json(&m.err);
        assert_non_null(o);
        const char *kind = json_string_value(json_object_get(o, "error"));
        assert_string_equal(kind, m.err.status == 422 ? "ValidationError" : "HTTPException");
        if (m.err.status == 422) { /* FastAPI's list */
            json_t *first = json_array_get(json_object_get(o, "detail"), 0);
            assert_string_equal(json_string_value(json_object_get(first, "msg")), m.err.text);
            assert_string_equal(json_string_value(json_array_get(json_object_get(first, "loc"), 0)), "body");
        } else
            assert_string_equal(json_string_value(json_object_get(o, "detail")), m.err.text);
        json_decref(o);
        srv_a1111_work_free(&m.work);
    }
    struct made m = make_with(FROM(""), A1111_IMG2IMG, NULL, VKA_E_OUTPUT);
    assert_int_equal(m.err.status, 507);
    srv_a1111_work_free(&m.work);
}

/* ---- the rest of a translation ----------------------------------------------------------------------------------- */

static void notes_and_flags(void **state)
{
    (void)state;
    struct made m = make("{\"styles\": [\"a\"], \"override_settings\": {\"hide_samplers\": []}}", A1111_TXT2IMG);
    assert_int_equal(json_array_size(m.work.notes), 2);
    assert_null(m.work.keep);
    assert_false(m.work.animation);
    srv_a1111_work_free(&m.work);

    m = make("{\"override_settings\": {\"CLIP_stop_at_last_layers\": 2}, \"override_settings_restore_afterwards\": false}",
             A1111_TXT2IMG);
    assert_non_null(m.work.keep);
    srv_a1111_work_free(&m.work);

    m = make("{\"seed\": 3, \"n_iter\": 3, \"send_images\": false,"
             " \"alwayson_scripts\": {\"AnimateDiff\": {\"args\": [{\"enable\": true, \"format\": [\"GIF\", \"PNG\"]}]}}}",
             A1111_TXT2IMG);
    assert_true(m.good && m.work.animation && !m.work.send && !m.work.frames && !m.work.drop_frames);
    assert_int_equal(m.work.clips, 3);
    assert_int_equal(m.work.apart, 16);
    srv_a1111_work_free(&m.work);

    m = make(ANIMATE(", \"format\": [\"Frame\"]"), A1111_TXT2IMG);
    assert_true(m.work.frames && m.work.drop_frames);
    srv_a1111_work_free(&m.work);
    m = make(ANIMATE(", \"format\": [\"PNG\"]"), A1111_TXT2IMG);
    assert_true(m.work.frames && !m.work.drop_frames);
    srv_a1111_work_free(&m.work);
    m = make(ANIMATE(", \"format\": [\"TXT\"]"), A1111_TXT2IMG);
    assert_true(m.work.frames && m.work.drop_frames);
    srv_a1111_work_free(&m.work);

    m = make_with("{}", A1111_TXT2IMG,
                  "{\"sd_model_checkpoint\": \"set.ckpt\", \"CLIP_stop_at_last_layers\": 3, \"unknown\": 1}", VKA_OK);
    has(&m, "settings", "model", "\"checkpoint/set\"");
    has(&m, "settings", "clip-skip", "3");
    srv_a1111_work_free(&m.work);

    m = make(FROM(", \"mask\": \"aGVsbG8=\""), A1111_IMG2IMG);
    assert_int_equal(m.kept.count, 2);
    assert_int_equal(m.kept.size, 5);
    assert_string_equal(m.kept.name, "webui.bin");
    assert_int_equal(json_array_size(m.work.notes), 3); /* blur, full_res, fill */
    srv_a1111_work_free(&m.work);
}

/* The reply says the request again, without what is long. */
static void echo(void **state)
{
    (void)state;
    enum { LONG = 200000 };
    char *request = malloc(LONG + 200);
    for (int keep_them = 0; keep_them < 2; keep_them++) {
        int n =
            sprintf(request, "{\"steps\": 3, \"include_init_images\": %s, \"init_images\": [\"", keep_them ? "true" : "false");
        memset(request + n, 'A', LONG);
        sprintf(request + n + LONG, "\"]}");
        struct made m = make(request, A1111_IMG2IMG);
        const json_t *image = json_array_get(json_object_get(m.work.parameters, "init_images"), 0);
        assert_true(m.good);
        assert_int_equal(json_integer_value(json_object_get(m.work.parameters, "steps")), 3);
        assert_int_equal(json_string_length(image), keep_them ? LONG : 0);
        assert_int_equal(json_is_null(image), !keep_them);
        srv_a1111_work_free(&m.work);
    }
    free(request);
}

/* Every name that is listed is taken, and nothing is listed twice. */
static void lists(void **state)
{
    (void)state;
    static const char *const members[] = {"sampler_name", "scheduler"};
    json_t *both[] = {srv_a1111_list_samplers(), srv_a1111_list_schedulers()};
    assert_int_equal(json_array_size(both[0]), 18);
    assert_int_equal(json_array_size(both[1]), 13);
    assert_string_equal(json_string_value(json_object_get(json_array_get(both[1], 0), "name")), "automatic");
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < json_array_size(both[k]); i++) {
            char request[200];
            snprintf(request, sizeof request, "{\"%s\": \"%s\"}", members[k],
                     json_string_value(json_object_get(json_array_get(both[k], i), "name")));
            struct made m = make(request, A1111_TXT2IMG);
            const char *ours =
                k && i == 0 ? "linspace" /* automatic, of euler */
                            : json_string_value(json_array_get(json_object_get(json_array_get(both[k], i), "aliases"), 0));
            char quoted[60];
            snprintf(quoted, sizeof quoted, "\"%s\"", ours);
            has(&m, request, k ? "schedule" : "sampler", quoted);
            srv_a1111_work_free(&m.work);
        }
    json_decref(both[0]);
    json_decref(both[1]);
    json_t *modes = srv_a1111_list_upscalers(true);
    for (size_t i = 0; i < json_array_size(modes); i++)
        assert_non_null(srv_a1111_upscaler(json_string_value(json_object_get(json_array_get(modes, i), "name"))));
    json_decref(modes);
    json_t *info = srv_a1111_list_script_info();
    assert_int_equal(json_array_size(json_object_get(json_array_get(info, 0), "args")), 26);
    json_decref(info);
}

static void models(void **state)
{
    (void)state;
    static const char text[] =
        "{\"models\": [{\"name\": \"sub/dream\", \"kind\": \"checkpoint\", \"path\": \"dream.safetensors\", \"bytes\": 5,"
        " \"hash\": \"0123456789\", \"sha256\": \"0123456789abcdef\"},"
        " {\"name\": \"miniature\", \"kind\": \"checkpoint\", \"path\": \"miniature\", \"bytes\": null},"
        " {\"name\": \"miniature\", \"kind\": \"checkpoint\", \"path\": \"miniature\", \"bytes\": null},"
        " {\"name\": \"broken\", \"kind\": \"checkpoint\", \"path\": \"broken.ckpt\", \"bytes\": 5, \"problem\": \"cut "
        "off\"}]}";
    json_t *all = json_loads(text, 0, NULL);
    json_t *list = srv_a1111_list_models(all, "checkpoint", A1111_CHECKPOINTS);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "title")),
                        "sub/dream.safetensors [0123456789]");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "title")), "miniature");
    static const char *const names[] = {"sub/dream", "SUB/dream.safetensors", "sub/dream.safetensors [0123456789]",
                                        "0123456789"};
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(srv_a1111_model(all, "checkpoint", names[i]), json_array_get(json_object_get(all, "models"), 0));
    assert_null(srv_a1111_model(all, "vae", "sub/dream"));
    assert_null(srv_a1111_model(all, "checkpoint", "dre"));
    json_decref(list);
    json_decref(all);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } pairs[] = {{"f", "Zg=="},        {"fo", "Zm8="},        {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {
        "", "Z", "Zg", "Zg=", "Zg===", "Zm9v====", "Zm9vY===", "Z=g=", "Zm9v=", "Zm9v!", "data:image/png,Zm9v", "data:"};
    size_t size;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) { /* RFC 4648, section 10 */
        char *text = srv_a1111_base64(pairs[i].bytes, strlen(pairs[i].bytes));
        assert_string_equal(text, pairs[i].text);
        unsigned char *back = srv_a1111_bytes(text, strlen(text), &size);
        assert_int_equal(size, strlen(pairs[i].bytes));
        assert_memory_equal(back, pairs[i].bytes, size);
        free(back);
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(srv_a1111_bytes(bad[i], strlen(bad[i]), &size));
    static const char spaced[] = "data:image/png;base64,Zm\n9v\tYg = =";
    unsigned char *some = srv_a1111_bytes(spaced, sizeof spaced - 1, &size);
    assert_int_equal(size, 4);
    free(some);
}

struct pngs {
    unsigned count;
    size_t bytes;
    bool stops;
};

static bool take_png(void *user, unsigned char *png, size_t size)
{
    struct pngs *p = user;
    static const unsigned char end[4] = {0xae, 0x42, 0x60, 0x82};
    static const unsigned char sum[4] = {0xb2, 0xc4, 0x87, 0xdc}; /* zlib's crc32 of "IDATxy" */
    assert_memory_equal(png + 1, "PNG", 3);
    assert_memory_equal(png + size - 4, end, 4);
    assert_memory_equal(png + size - 16, sum, 4);
    p->count++;
    p->bytes += size;
    free(png);
    return !p->stops;
}

/* Signature, IHDR, acTL, tEXt, fcTL, IDAT, fcTL, fdAT, IEND; sums of chunks that are only passed on are left at 0. */
static const unsigned char apng[] = "\x89PNG\r\n\x1a\n"
                                    "\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\2\0\0\0\0\0\0\0"
                                    "\0\0\0\x08"
                                    "acTL\0\0\0\2\0\0\0\0\0\0\0\0"
                                    "\0\0\0\3tEXta\0b\0\0\0\0"
                                    "\0\0\0\x1a"
                                    "fcTL"
                                    "\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\x08\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\2IDATxy\0\0\0\0"
                                    "\0\0\0\x1a"
                                    "fcTL"
                                    "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\x08\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\6"
                                    "fdAT\0\0\0\2xy\0\0\0\0"
                                    "\0\0\0\0IEND\xae\x42\x60\x82";

static void split(void **state)
{
    (void)state;
    struct pngs p = {0};
    size_t size = sizeof apng - 1, one = 8 + 25 + 15 + 14 + 12;
    assert_true(srv_a1111_split(apng, size, take_png, &p));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.bytes, 2 * one);
    for (size_t n = 0; n < size; n++) { /* cut anywhere */
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, apng, n);
        assert_false(srv_a1111_split(copy, n, take_png, &p));
        free(copy);
    }
    p = (struct pngs){.stops = true};
    assert_false(srv_a1111_split(apng, size, take_png, &p));
    assert_int_equal(p.count, 1);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static unsigned char *load(void *user, const char *output, size_t *size)
{
    (void)user;
    bool frames = srv_a1111_holds_frames(output);
    if (strcmp(output, "gone.gif") == 0)
        return NULL;
    *size = frames ? sizeof apng - 1 : 3;
    unsigned char *data = malloc(*size);
    memcpy(data, frames ? (const char *)apng : "foo", *size);
    return data;
}

static char *says(void *user, const char *output)
{
    (void)user;
    char *text = malloc(100);
    snprintf(text, 100, "of %s", output);
    return text;
}

static unsigned char *seen(void *user, const char *id, size_t *size)
{
    (void)user, (void)id;
    *size = 3;
    return (unsigned char *)memcpy(malloc(3), "bar", 3);
}

static json_t *clip_json(const char *state, const char *outputs)
{
    char text[1200];
    snprintf(
        text, sizeof text,
        "{\"id\": \"i\", \"state\": \"%s\", \"made\": 0, \"job\": {\"prompt\": \"p\", \"seed\": 7, \"output\": [\"o\"]},"
        " \"error\": {\"code\": 3, \"what\": \"what\", \"why\": \"why\", \"hint\": \"\"},"
        " \"report\": {\"settings\": {\"prompt\": \"p\", \"seed\": 7, \"sampler\": \"dpmpp-2m\", \"steps\": 2, \"cfg\": 1.0,"
        " \"width\": 64, \"height\": 64}, \"models\": [{\"kind\": \"checkpoint\", \"path\": \"a/dream.ckpt\", \"sha256\":"
        " \"0123456789abcdef\"}], \"outputs\": [%s]}}",
        state, outputs);
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static json_t *reply_of(const char *request, const char *state, const char *outputs, struct srv_a1111_error *err, json_t **info)
{
    const struct srv_a1111_sources sources = {load, says, seen, NULL};
    struct made m = make(request, A1111_TXT2IMG);
    json_t *clips = json_pack("[o]", clip_json(state, outputs)), *reply = srv_a1111_reply(&m.work, clips, &sources, err);
    *info = reply ? json_loads(json_string_value(json_object_get(reply, "info")), 0, NULL) : NULL;
    srv_a1111_work_free(&m.work);
    json_decref(clips);
    return reply;
}

static void replies(void **state)
{
    (void)state;
    static const char both[] = "{\"path\": \"w.gif\", \"seed\": 7}, {\"path\": \"w.apng\", \"seed\": 7}";
    static const struct {
        const char *request, *outputs;
        size_t images, kept;
        const char *first;
    } cases[] = {
        {"{}", "{\"path\": \"w.png\", \"seed\": 7}, {\"path\": \"v.png\", \"seed\": 8}", 2, 2, "Zm9v"},
        {"{\"send_images\": false}", "{\"path\": \"w.png\", \"seed\": 7}", 0, 1, NULL},
        {ANIMATE(""), both, 1, 2, "Zm9v"},
        {ANIMATE(", \"format\": [\"GIF\", \"Frame\"]"), both, 3, 1, "Zm9v"},
        {ANIMATE(", \"format\": [\"PNG\"]"), "{\"path\": \"w.apng\", \"seed\": 7}", 2, 1, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct srv_a1111_error err = {0};
        json_t *info, *reply = reply_of(cases[i].request, "done", cases[i].outputs, &err, &info);
        const json_t *images = json_object_get(reply, "images");
        if (!reply || json_array_size(images) != cases[i].images)
            fail_msg("%s: %zu pictures, wanted %zu: %s", cases[i].request, json_array_size(images), cases[i].images, err.text);
        assert_int_equal(json_array_size(json_object_get(info, "infotexts")), cases[i].images);
        assert_int_equal(json_array_size(json_object_get(info, "all_seeds")), cases[i].images);
        assert_int_equal(json_array_size(json_object_get(info, "vkanim_outputs")), cases[i].kept);
        assert_string_equal(json_string_value(json_object_get(info, "sampler_name")), "DPM++ 2M");
        assert_string_equal(json_string_value(json_object_get(info, "sd_model_name")), "dream");
        assert_string_equal(json_string_value(json_object_get(info, "sd_model_hash")), "0123456789");
        assert_string_equal(json_string_value(json_object_get(info, "job_timestamp")), "19700101000000");
        assert_int_equal(json_integer_value(json_object_get(info, "seed")), 7);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(info, "vkanim_job"), "seed")), 7);
        if (cases[i].first)
            assert_string_equal(json_string_value(json_array_get(images, 0)), cases[i].first);
        json_decref(info);
        json_decref(reply);
    }
    struct srv_a1111_error err = {0};
    json_t *info,
        *reply = reply_of(ANIMATE(", \"format\": [\"Frame\"]"), "done", "{\"path\": \"w.apng\", \"seed\": 7}", &err, &info);
    const json_t *seeds = json_object_get(info, "all_seeds"); /* a frame's seed is counted up */
    assert_int_equal(json_integer_value(json_array_get(seeds, 1)), 8);
    json_decref(info);
    json_decref(reply);
    reply = reply_of("{}", "stopped", "", &err, &info);
    assert_string_equal(json_string_value(json_array_get(json_object_get(reply, "images"), 0)), "YmFy");
    assert_true(json_is_true(json_object_get(info, "vkanim_stopped")));
    json_decref(info);
    json_decref(reply);
    assert_null(reply_of("{}", "failed", "", &err, &info));
    assert_int_equal(err.status, 404);
    assert_string_equal(err.text, "what: why");
    err = (struct srv_a1111_error){0};
    assert_null(reply_of("{}", "done", "{\"path\": \"gone.gif\", \"seed\": 7}", &err, &info));
    assert_int_equal(err.status, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs),   cmocka_unit_test(refusals), cmocka_unit_test(notes_and_flags),
        cmocka_unit_test(echo),   cmocka_unit_test(lists),    cmocka_unit_test(models),
        cmocka_unit_test(base64), cmocka_unit_test(split),    cmocka_unit_test(replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
