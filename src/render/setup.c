/* setup.c - see setup.h. */
#include "render/setup.h"

#include "base/file.h"
#include "render/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the model's own manifest ------------------------------------------------------------------------------ */

/* models/<name>/vkanim.json: {"motion": "motion.safetensors", "settings": {"steps": 20, ...}}.  Optional. */
static vka_status read_manifest(struct vka_setup *s, vka_error *err)
{
    if (!vka_path_is_dir(s->model_path))
        return VKA_OK;
    char *path = vka_path_join(s->model_path, "vkanim.json");
    vka_status st = path ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (path && vka_path_exists(path)) {
        s->manifest = vka_json_load(path, err);
        st = s->manifest ? VKA_OK : VKA_E_INPUT;
    }
    free(path);
    return st;
}

static json_t *recommended(const struct vka_setup *s, const char *name)
{
    return json_object_get(json_object_get(s->manifest, "settings"), name);
}

static double recommended_number(const struct vka_setup *s, const char *name, double otherwise)
{
    json_t *v = recommended(s, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static vka_status open_motion(struct vka_setup *s, bool use_manifest, const vka_log *log, vka_error *err)
{
    const char *given = s->job->motion;
    if (given && !strcmp(given, "none"))
        return VKA_OK;
    if (given && *given)
        s->motion_path = vka_find_model(given, err);
    else if (use_manifest && json_is_string(json_object_get(s->manifest, "motion"))) {
        const char *name = json_string_value(json_object_get(s->manifest, "motion"));
        if (strchr(name, '/') || !strcmp(name, ".."))
            return vka_fail(err, VKA_E_INPUT, "the model's vkanim.json names a motion module outside its folder");
        s->motion_path = vka_path_join(s->model_path, name);
    } else {
        if (use_manifest)
            vka_logf(log, VKA_LOG_WARN, "no motion module: the frames will not belong together (give one with --motion)");
        return VKA_OK;
    }
    if (!s->motion_path)
        return VKA_E_INPUT;
    vka_status st = vka_motion_open(&s->motion, s->motion_path, err);
    if (st == VKA_OK)
        st = vka_motion_fits(s->motion, s->unet, err);
    if (st == VKA_OK)
        s->motion_info = vka_motion_describe(s->motion);
    return st;
}

static void decide_norms(struct vka_setup *s)
{
    const char *norm = s->job->norm ? s->job->norm : "auto";
    if (!strcmp(norm, "diffusers"))
        s->norms = (struct vka_net_norms){.motion_joint = true};
    else
        s->norms = (struct vka_net_norms){.resnet_joint = s->motion_info && s->motion_info->norm_frames_resnet};
}

/* ---- sampling ------------------------------------------------------------------------------------------------ */

/* The module's betas, else the model's, unless --beta says otherwise. */
static vka_status decide_betas(struct vka_setup *s, vka_error *err)
{
    vka_sampler_params *p = &s->sampling;
    const char *kind = s->motion_info ? s->motion_info->beta_schedule : s->scheduler->beta_schedule;
    p->beta_start = s->motion_info ? s->motion_info->beta_start : s->scheduler->beta_start;
    p->beta_end = s->motion_info ? s->motion_info->beta_end : s->scheduler->beta_end;
    bool automatic = true;
    vka_beta_kind given = VKA_BETA_LINEAR;
    double start = 0, end = 0;
    vka_status st = vka_beta_parse(s->job->beta ? s->job->beta : "auto", &automatic, &given, &start, &end, err);
    if (st != VKA_OK || automatic)
        return st == VKA_OK ? vka_beta_from_name(kind, &p->beta, err) : st;
    p->beta = given;
    p->beta_start = start > 0 ? start : p->beta_start;
    p->beta_end = end > 0 ? end : p->beta_end;
    return VKA_OK;
}

static vka_status decide_sampling(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    vka_sampler_params *p = &s->sampling;
    *p = vka_sampler_params_default();
    const char *sampler = j->sampler ? j->sampler : "ddim";
    if (!vka_job_has(j, "sampler") && json_is_string(recommended(s, "sampler")))
        sampler = json_string_value(recommended(s, "sampler"));
    vka_status st = vka_sampler_from_name(sampler, &p->sampler, err);
    if (st == VKA_OK)
        st = vka_schedule_from_name(j->schedule ? j->schedule : "auto", &p->schedule, err);
    if (st == VKA_OK)
        st = decide_betas(s, err);
    if (st != VKA_OK)
        return st;
    const vka_scheduler_config *c = s->scheduler;
    p->spacing = VKA_SCHEDULE_AUTO;
    const char *spacing = c->has & VKA_SCHED_TIMESTEP_SPACING ? c->timestep_spacing : NULL;
    if (s->motion_info && s->motion_info->timestep_spacing)
        spacing = s->motion_info->timestep_spacing;
    if (spacing)
        st = vka_schedule_from_name(spacing, &p->spacing, err);
    if (st == VKA_OK)
        st = vka_prediction_from_name(c->prediction_type, &p->prediction, err);
    if (st != VKA_OK) {
        if (err)
            err->status = VKA_E_INPUT;
        return VKA_E_INPUT;
    }
    if (c->rescale_betas_zero_snr)
        return vka_fail(err, VKA_E_INPUT, "the model's scheduler asks for rescale_betas_zero_snr, which vkanim does not have");
    p->steps_offset = (uint32_t)(c->steps_offset > 0 ? c->steps_offset : 0);
    p->train_steps = (uint32_t)c->num_train_timesteps;
    p->set_alpha_to_one = c->set_alpha_to_one;
    p->clip_sample = c->clip_sample && c->has & VKA_SCHED_CLIP_SAMPLE;
    p->steps = (uint32_t)(vka_job_has(j, "steps") ? (double)j->steps : recommended_number(s, "steps", (double)j->steps));
    s->sampler = vka_sampler_create(p, err);
    return s->sampler ? VKA_OK : err ? err->status : VKA_E_USAGE;
}

/* ---- the clip ------------------------------------------------------------------------------------------------ */

enum { MADE_TABLE = 64 }; /* frames in one piece where no table says how many: what ComfyUI-AnimateDiff-Evolved makes */

/* Frames that a module was trained on: what its windows have unless told otherwise. */
static uint32_t trained_length(const vka_motion_info *m)
{
    uint32_t n = m && m->variant == VKA_MOTION_HOTSHOT_XL ? 8 : m && m->variant == VKA_MOTION_LONG ? 32 : 16;
    return m && m->pe_length ? vka_min_u32(n, m->pe_length) : n;
}

/* In windows is made what is longer than the module's table, and what --context-length says.  Without a module frames
 * know nothing of each other: windows, without overlap, change no bit and keep the memory small. */
static vka_status decide_windows(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    const vka_motion_info *m = s->motion_info;
    uint32_t most = m && m->pe_length ? m->pe_length : MADE_TABLE;
    bool given = vka_job_has(j, "context-length");
    struct vka_window_params w = {given ? (uint32_t)j->context_length : trained_length(m), (uint32_t)j->context_stride, 0};
    vka_status st = vka_window_schedule_from_name(j->context_schedule ? j->context_schedule : "uniform-standard",
                                                  &s->window_schedule, err);
    if (st == VKA_OK)
        st = vka_window_fuse_from_name(j->context_fuse ? j->context_fuse : "flat", &s->window_fuse, err);
    if (st != VKA_OK)
        return st;
    if (m && w.length > most) {
        vka_fail(err, VKA_E_USAGE,
                 "--context-length %u is more than the %u frames of the motion module's positional table", w.length, most);
        vka_error_hint(err, "--context-length %u would do", trained_length(m));
        return VKA_E_USAGE;
    }
    w.overlap = vka_job_has(j, "context-overlap") ? (uint32_t)j->context_overlap : m ? w.length / 4 : 0;
    if (s->frames <= w.length || (!given && s->frames <= most))
        return VKA_OK;
    if (w.overlap >= w.length) {
        vka_fail(err, VKA_E_USAGE, "--context-overlap %u is not less than the %u frames of a context window", w.overlap,
                 w.length);
        vka_error_hint(err, "%u would do", w.length / 4);
        return VKA_E_USAGE;
    }
    s->windows = w;
    return VKA_OK;
}

vka_status vka_setup_resize(struct vka_setup *s, uint32_t width, uint32_t height, uint32_t frames, vka_error *err)
{
    s->width = width;
    s->height = height;
    s->frames = frames;
    s->windows = (struct vka_window_params){0};
    return decide_windows(s, err);
}

static vka_status decide_size(struct vka_setup *s, vka_error *err)
{
    const struct vka_job *j = s->job;
    uint32_t trained = s->unet->sample_size ? s->unet->sample_size * s->factor : 512;
    s->width = vka_job_has(j, "width") ? (uint32_t)j->width : (uint32_t)recommended_number(s, "width", trained);
    s->height = vka_job_has(j, "height") ? (uint32_t)j->height : (uint32_t)recommended_number(s, "height", trained);
    s->frames = (uint32_t)(vka_job_has(j, "frames") ? (double)j->frames : recommended_number(s, "frames", (double)j->frames));
    s->fps = vka_job_has(j, "fps") ? j->fps : recommended_number(s, "fps", j->fps);
    s->cfg = vka_job_has(j, "cfg") ? j->cfg : recommended_number(s, "cfg", j->cfg);
    s->count = (uint32_t)j->count;
    const char *names[] = {"width", "height"};
    for (int i = 0; i < 2; i++) {
        uint32_t v = i ? s->height : s->width;
        if (!v || v % s->factor) {
            vka_fail(err, VKA_E_USAGE, "--%s %u is not a multiple of %u", names[i], v, s->factor);
            vka_error_why(err, "one latent pixel of this model is %u x %u pixels", s->factor, s->factor);
            vka_error_hint(err, "%u would do", vka_max_u32(vka_div_up(v, s->factor), 1) * s->factor);
            return VKA_E_USAGE;
        }
    }
    return decide_windows(s, err);
}

vka_status vka_setup_open(struct vka_setup *s, const vka_job *job, unsigned needs, const vka_log *log, vka_error *err)
{
    bool clip = needs & VKA_NEED_CLIP;
    *s = (struct vka_setup){.job = job};
    s->model_path = vka_find_model(job->model && *job->model ? job->model : "miniature", err);
    vka_status st = s->model_path ? vka_model_open(&s->model, s->model_path, err) : VKA_E_INPUT;
    if (st == VKA_OK && clip)
        st = read_manifest(s, err);
    s->vae_model = s->model;
    if (st == VKA_OK && job->vae && *job->vae && needs & VKA_NEED_VAE) {
        char *path = vka_find_model(job->vae, err);
        s->vae_model = NULL;
        st = path ? vka_model_open(&s->vae_model, path, err) : VKA_E_INPUT;
        free(path);
    }
    if (st == VKA_OK && needs & VKA_NEED_UNET) {
        s->unet = vka_model_unet(s->model, err);
        st = s->unet ? open_motion(s, clip, log, err) : VKA_E_INPUT;
        decide_norms(s);
    }
    if (st == VKA_OK && needs & VKA_NEED_VAE) {
        s->vae = vka_model_vae(s->vae_model, err);
        st = s->vae ? VKA_OK : VKA_E_INPUT;
        if (s->vae)
            s->factor = 1u << (s->vae->levels - 1);
    }
    if (st == VKA_OK && needs & VKA_NEED_TEXT) {
        s->text = vka_model_text(s->model, err);
        st = s->text ? VKA_OK : VKA_E_INPUT;
        s->skip = (uint32_t)(job->clip_skip > 1 ? job->clip_skip - 1 : 0);
    }
    if (st == VKA_OK && clip) {
        s->scheduler = vka_model_scheduler(s->model, err);
        st = s->scheduler ? decide_size(s, err) : VKA_E_INPUT;
        if (st == VKA_OK)
            st = decide_sampling(s, err);
        s->seed = job->seed < 0 ? vka_rng_fresh_seed() : (uint64_t)job->seed;
        vka_rng_kind_from_name(job->rng ? job->rng : "torch-cpu", &s->rng);
        vka_noise_layout_from_name(job->noise_layout ? job->noise_layout : "5d", &s->layout);
    }
    if (st != VKA_OK && err && err->status != VKA_OK)
        st = err->status; /* what failed may have been memory */
    if (st != VKA_OK)
        vka_setup_close(s);
    return st;
}

void vka_setup_close(struct vka_setup *s)
{
    vka_setup_hash_end(s);
    vka_sampler_free(s->sampler);
    vka_tokenizer_destroy(&s->tokenizer);
    vka_motion_close(s->motion);
    if (s->vae_model != s->model)
        vka_model_close(s->vae_model);
    vka_model_close(s->model);
    json_decref(s->manifest);
    free(s->model_path);
    free(s->motion_path);
    *s = (struct vka_setup){0};
}

vka_status vka_setup_kernels(const struct vka_setup *s, const vka_gpu_info *info, vka_gpu *gpu, const vka_log *log,
                             struct vka_kernel_table *table, bool *f16, vka_error *err)
{
    const char *p = s->job->precision, *path = s->job->path ? s->job->path : "auto";
    bool chosen = p && vka_job_has(s->job, "precision"), named = strcmp(path, "auto") != 0;
    vka_kernel_table_init(table, info);
    *f16 = chosen ? !strcmp(p, "f16") : named ? strcmp(path, "fp32") != 0 : table->storage_f16;
    if (named && *f16 != (strcmp(path, "fp32") != 0))
        return vka_fail(err, VKA_E_USAGE, "--path %s and --precision %s contradict each other", path, p);
    if (*f16 && !table->storage_f16) {
        vka_fail(err, VKA_E_DEVICE, "the device cannot store 16-bit numbers");
        vka_error_hint(err, "--precision f32");
        return VKA_E_DEVICE;
    }
    vka_status st = vka_kernel_table_take(table, info, *f16 ? path : "fp32", NULL, err);
    return st == VKA_OK && gpu ? vka_kernels_settle(gpu, table, named, log, err) : st;
}

bool vka_setup_vae_f16(const struct vka_setup *s, bool f16)
{
    return f16 && !json_is_true(json_object_get(vka_model_json(s->vae_model, VKA_PART_VAE), "force_upcast"));
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

static vka_status open_tokenizer(struct vka_setup *s, vka_error *err)
{
    if (s->tokenizer)
        return VKA_OK;
    const char *dir = s->job->tokenizer && *s->job->tokenizer ? s->job->tokenizer : vka_model_tokenizer(s->model);
    vka_status st;
    if (dir)
        st = vka_tokenizer_open(&s->tokenizer, dir, err);
    else { /* a single file brings none: CLIP's own vocabulary, where it was installed */
        char *path = NULL;
        const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");
        static const char name[] = "vkanim/clip-vit-large-patch14";
        if (xdg && *xdg)
            path = vka_path_join(xdg, name);
        else if (home)
            path = vka_asprintf("%s/.local/share/%s", home, name);
        const char *system[] = {"/usr/local/share/vkanim/clip-vit-large-patch14", "/usr/share/vkanim/clip-vit-large-patch14"};
        for (int i = 0; i < 2 && (!path || !vka_path_exists(path)); i++) {
            free(path);
            path = vka_strdup(system[i]);
        }
        if (!path || !vka_path_exists(path)) {
            vka_fail(err, VKA_E_INPUT, "a single-file model brings no tokenizer, and CLIP's vocabulary is not installed");
            vka_error_hint(err, "run vkanim's scripts/install-clip-vocabulary once, or give a folder with --tokenizer");
            free(path);
            return VKA_E_INPUT;
        }
        st = vka_tokenizer_open(&s->tokenizer, path, err);
        free(path);
    }
    if (st == VKA_OK && vka_tokenizer_size(s->tokenizer) > s->text->vocab)
        st = vka_fail(err, VKA_E_INPUT, "the tokenizer has %u tokens, the text encoder only %u",
                      vka_tokenizer_size(s->tokenizer), s->text->vocab);
    return st;
}

vka_status vka_setup_tokens(struct vka_setup *s, vka_text_chunks *cond, vka_text_chunks *uncond, vka_error *err)
{
    const char *text[2] = {s->job->prompt ? s->job->prompt : "", s->job->negative ? s->job->negative : ""};
    vka_text_chunks *out[2] = {cond, uncond};
    uint32_t *ids[2] = {NULL, NULL};
    size_t count[2] = {0, 0}, most = 1;
    vka_status st = open_tokenizer(s, err);
    for (int i = 0; st == VKA_OK && i < 2; i++) {
        st = vka_tokenizer_encode(s->tokenizer, text[i], strlen(text[i]), &ids[i], &count[i], err);
        if (st == VKA_OK) {
            size_t n = vka_text_chunks_needed(count[i], s->text->max_positions);
            most = out[i] && n > most ? n : most;
        }
    }
    for (int i = 0; st == VKA_OK && i < 2; i++)
        if (out[i])
            st = vka_text_chunks_make(out[i], s->tokenizer, ids[i], count[i], s->text->max_positions, most, err);
    free(ids[0]);
    free(ids[1]);
    return st;
}

/* Of the VAE a call uses one half; the other's names are known all the same. */
static bool known_half(const char *name)
{
    static const char *const halves[] = {"encoder.", "decoder.", "quant_conv.", "post_quant_conv."};
    for (int i = 0; i < 4; i++)
        if (!strncmp(name, halves[i], strlen(halves[i])))
            return true;
    return false;
}

static void report_table(const vka_weights *w, bool vae, const vka_log *log)
{
    size_t n = 0;
    for (size_t i = 0; w && i < vka_weights_count(w); i++) {
        const char *name = vka_weights_at(w, i)->name;
        if (vka_weights_is_used(w, i) || (vae && known_half(name)))
            continue;
        if (n++ == 0)
            vka_logf(log, VKA_LOG_INFO, "%s holds tensors that nothing uses:", vka_weights_title(w));
        if (n <= 16)
            vka_logf(log, VKA_LOG_INFO, "  %s", name);
    }
    if (n > 16)
        vka_logf(log, VKA_LOG_INFO, "  and %zu more", n - 16);
}

void vka_setup_report_unused(const struct vka_setup *s, const vka_log *log)
{
    if (s->unet)
        report_table(vka_model_weights(s->model, VKA_PART_UNET, NULL), false, log);
    if (s->vae)
        report_table(vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), true, log);
    if (s->text)
        report_table(vka_model_weights(s->model, VKA_PART_TEXT, NULL), false, log);
    if (s->motion)
        report_table(vka_motion_weights(s->motion), false, log);
    for (size_t i = 0; vka_model_stranger(s->model, i) && i < 8; i++)
        vka_logf(log, VKA_LOG_INFO, "'%s': unknown tensor %s", s->model_path, vka_model_stranger(s->model, i));
}
