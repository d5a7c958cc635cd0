/* setup.c - see setup.h. */
#include "render/setup_parts.h"

#include "base/file.h"
#include "render/kernels.h"
#include "render/setup_ip.h"

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

json_t *vka_setup_recommended(const struct vka_setup *s, const char *name)
{
    json_t *family = json_object_get(s->family, name);
    return family ? family : json_object_get(json_object_get(s->manifest, "settings"), name);
}

double vka_setup_recommended_number(const struct vka_setup *s, const char *name, double otherwise)
{
    json_t *v = vka_setup_recommended(s, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

vka_status vka_setup_open(struct vka_setup *s, const vka_job *job, unsigned needs, const vka_log *log, vka_error *err)
{
    bool clip = needs & VKA_NEED_CLIP;
    for (size_t i = 0; clip && i < job->note_count; i++)
        if (!job->notes[i].unless || !vka_job_has(job, job->notes[i].unless))
            vka_logf(log, VKA_LOG_WARN, "%s", job->notes[i].text);
    *s = (struct vka_setup){.job = job,
                            .log = log,
                            .names_only = needs & VKA_NEED_NAMES,
                            .by_frame = clip && vka_setup_sees_previous(job)};
    s->model_path = vka_find_model(VKA_LIBRARY_CHECKPOINT, job->model && *job->model ? job->model : "miniature", err);
    vka_status st = s->model_path ? vka_model_open(&s->model, s->model_path, err) : VKA_E_INPUT;
    if (st == VKA_OK && clip)
        st = read_manifest(s, err);
    s->vae_model = s->model;
    if (st == VKA_OK && job->vae && *job->vae && needs & VKA_NEED_VAE) {
        char *path = vka_find_model(VKA_LIBRARY_VAE, job->vae, err);
        s->vae_model = NULL;
        st = path ? vka_model_open(&s->vae_model, path, err) : VKA_E_INPUT;
        free(path);
    }
    if (st == VKA_OK && needs & VKA_NEED_UNET) {
        s->unet = vka_model_unet(s->model, err);
        st = s->unet ? vka_setup_motion(s, clip, log, err) : vka_setup_motion_misfit(s, err);
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
    if (st == VKA_OK)
        st = vka_setup_loras(s, err);
    if (st == VKA_OK && s->unet)
        st = vka_setup_controls(s, err);
    if (st == VKA_OK && clip) {
        s->scheduler = vka_model_scheduler(s->model, err);
        st = s->scheduler ? vka_setup_clip(s, err) : VKA_E_INPUT;
        if (st == VKA_OK)
            st = vka_setup_sampling(s, log, err);
        if (st == VKA_OK)
            st = vka_setup_freeinit(s, err);
        if (st == VKA_OK)
            st = vka_setup_hires(s, err);
        if (st == VKA_OK)
            st = vka_setup_guidance(s, err);
        s->seed = job->seed < 0 ? vka_rng_fresh_seed() : (uint64_t)job->seed;
        s->windows.seed = s->seed;
        s->sub = (vka_subseed){job->subseed < 0 ? vka_rng_fresh_seed() : (uint64_t)job->subseed, job->subseed_strength};
        vka_rng_kind_from_name(job->rng ? job->rng : "torch-cpu", &s->rng);
        vka_noise_layout_from_name(job->noise_layout ? job->noise_layout : "5d", &s->layout);
    }
    if (st == VKA_OK && (s->unet || needs & VKA_NEED_VISION))
        st = vka_setup_ips(s, clip, needs & VKA_NEED_VISION, err);
    if (st == VKA_OK && needs & (VKA_NEED_CLIP | VKA_NEED_TEXT))
        st = vka_setup_prompts(s, log, err);
    if (st == VKA_OK && clip)
        st = vka_setup_lora_frames_check(s, err);
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
    vka_setup_freeinit_close(s);
    vka_sampler_free(s->hires.sampler);
    vka_setup_prompts_close(s);
    vka_tokenizer_destroy(&s->tokenizer);
    vka_setup_loras_close(s);
    vka_setup_controls_close(s);
    vka_setup_ips_close(s);
    vka_motion_close(s->motion);
    if (s->vae_model != s->model)
        vka_model_close(s->vae_model);
    vka_model_close(s->model);
    json_decref(s->manifest);
    free(s->cfg_at);
    free(s->cfg_frames);
    json_decref(s->family);
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
    if (s->motion && !s->motion_idle)
        report_table(vka_motion_weights(s->motion), false, log);
    for (uint32_t i = 0; i < s->control_count; i++)
        report_table(vka_control_weights(s->controls[i].file), false, log);
    for (size_t i = 0; vka_model_stranger(s->model, i) && i < 8; i++)
        vka_logf(log, VKA_LOG_INFO, "'%s': unknown tensor %s", s->model_path, vka_model_stranger(s->model, i));
}
