/* hash.c - hashes of model files, kept by file identity; and what a report says about models and settings. */
#include "render/init.h"
#include "render/setup.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/thread.h"
#include "render/filehash.h"
#include "render/report.h"
#include "render/setup_ip.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Files are hashed by a thread of its own beside load and sampling: a 4 GB checkpoint takes many seconds the first time. */
struct hashed_file {
    const char *path, *kind, *family, *variant; /* owned by the setup's models */
    const vka_lora_fit *fit;   /* of a LoRA */
    char sha256[65], lora[13]; /* lora: a LoRA's hash in infotexts; empty for others */
};
struct vka_model_hashes {
    struct hashed_file *files;
    size_t count;
    atomic_bool stop, done; /* done: hashes and status may be read beside the thread */
    vka_thread *thread;
    vka_status status;
    vka_error err;
};

static void hash_all(void *arg)
{
    struct vka_model_hashes *h = arg;
    char *path;
    json_t *cache = vka_cache_load("hashes.json", &path);
    bool changed = false;
    for (size_t i = 0; h->status == VKA_OK && i < h->count && !atomic_load(&h->stop); i++) {
        h->status = vka_hash_of(cache, h->files[i].path, &h->stop, h->files[i].sha256, &changed, &h->err);
        if (h->status == VKA_OK && strstr(h->files[i].kind, "lora"))
            vka_hash_addnet(h->files[i].path, h->files[i].lora);
    }
    if (changed)
        vka_cache_store(path, cache);
    json_decref(cache);
    free(path);
    atomic_store(&h->done, true);
}

static struct hashed_file *add_file(struct vka_model_hashes *h, const char *path, const char *kind, const char *family,
                                    const char *variant)
{
    struct hashed_file *f = &h->files[h->count++];
    f->path = path;
    f->kind = kind;
    f->family = family;
    f->variant = variant;
    return f;
}

/* More than the files of a job, by the embeddings that no prompt names. */
static size_t most_files(const struct vka_setup *s)
{
    size_t n = 2 + s->ip_count + s->lora_count + s->control_count + s->embeddings.count;
    for (size_t i = 0; vka_model_file(s->model, i); i++)
        n++;
    for (size_t i = 0; s->vae_model != s->model && vka_model_file(s->vae_model, i); i++)
        n++;
    return n;
}

static void free_hashes(struct vka_model_hashes *h)
{
    if (h)
        free(h->files);
    free(h);
}

void vka_setup_hash_begin(struct vka_setup *s)
{
    struct vka_model_hashes *h = s->hashes ? NULL : calloc(1, sizeof *h);
    const char *file, *family = vka_model_family(s->model);
    if (!h || !(h->files = vka_calloc(most_files(s), sizeof *h->files))) {
        free_hashes(h);
        return;
    }
    atomic_init(&h->stop, false);
    atomic_init(&h->done, false);
    for (size_t i = 0; (file = vka_model_file(s->model, i)); i++)
        add_file(h, file, "checkpoint", family, NULL);
    if (s->vae_model != s->model)
        for (size_t i = 0; (file = vka_model_file(s->vae_model, i)); i++)
            add_file(h, file, "vae", family, NULL);
    if (s->motion) /* it fits the UNet, so it is of its family */
        add_file(h, vka_motion_file(s->motion), "motion-module", family ? family : "sd15",
                 vka_motion_variant_name(s->motion_info->variant));
    for (size_t i = 0; i < s->lora_count; i++)
        add_file(h, vka_lora_file(s->loras[i].file), vka_lora_is_motion(s->loras[i].file) ? "motion-lora" : "lora", family,
                 vka_lora_describe(s->loras[i].file)->algorithm)
            ->fit = &s->loras[i].fit;
    for (size_t i = 0; i < s->control_count; i++)
        add_file(h, vka_control_file(s->controls[i].file), "controlnet", family,
                 vka_control_kind_name(vka_control_describe(s->controls[i].file)->kind));
    for (size_t i = 0; i < s->embeddings.count; i++)
        if (s->embeddings.files[i].taken)
            add_file(h, s->embeddings.files[i].path, "embedding", family ? family : "sd15", NULL);
    for (size_t i = 0; i < s->ip_count; i++)
        add_file(h, vka_ip_adapter_file(s->ips[i].file), "ip-adapter", family ? family : "sd15",
                 vka_ip_kind_name(vka_ip_adapter_describe(s->ips[i].file)->kind));
    if (s->vision)
        add_file(h, vka_vision_file(s->vision), "vision", NULL, NULL);
    s->hashes = h;
    h->thread = vka_thread_start(hash_all, h);
    if (!h->thread)
        hash_all(h);
}

void vka_setup_hash_end(struct vka_setup *s)
{
    if (!s->hashes)
        return;
    atomic_store(&s->hashes->stop, true);
    vka_thread_join(&s->hashes->thread);
    free_hashes(s->hashes);
    s->hashes = NULL;
}

json_t *vka_setup_models_json(struct vka_setup *s, bool paths, vka_error *err)
{
    vka_setup_hash_begin(s);
    struct vka_model_hashes *h = s->hashes;
    if (!h) {
        vka_fail(err, VKA_E_MEMORY, "out of memory");
        return NULL;
    }
    vka_thread_join(&h->thread);
    if (h->status != VKA_OK) {
        if (err && err->status == VKA_OK)
            *err = h->err;
        return NULL;
    }
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < h->count; i++) {
        json_t *entry = json_pack("{s:s, s:s?, s:s}", "kind", h->files[i].kind, "family", h->files[i].family, "sha256",
                                  h->files[i].sha256);
        if (h->files[i].variant)
            vka_report_put(&whole, entry, "variant", json_string(h->files[i].variant));
        if (h->files[i].lora[0])
            vka_report_put(&whole, entry, "lora_hash", json_string(h->files[i].lora));
        vka_report_put(&whole, entry, paths ? "path" : "name",
                       vka_report_path(paths ? h->files[i].path : vka_path_base(h->files[i].path)));
        if (paths && h->files[i].fit && h->files[i].fit->unknown) {
            vka_report_put(&whole, entry, "unknown_tensors", json_integer((json_int_t)h->files[i].fit->unknown));
            vka_report_put(&whole, entry, "unknown_for", vka_report_path(h->files[i].fit->names));
        }
        vka_report_add(&whole, list, entry);
    }
    if (whole)
        return list;
    json_decref(list);
    vka_fail(err, VKA_E_MEMORY, "out of memory");
    return NULL;
}

json_t *vka_setup_identities_json(struct vka_setup *s, bool *all)
{
    vka_setup_hash_begin(s);
    struct vka_model_hashes *h = s->hashes;
    json_t *list = h ? json_array() : NULL;
    *all = h && atomic_load(&h->done) && h->status == VKA_OK;
    for (size_t i = 0; list && i < h->count; i++) {
        char id[96], *full = vka_file_identity(h->files[i].path, id);
        bool whole = true;
        json_t *entry = json_pack("{s:s}", "id", full ? id : "missing");
        vka_report_put(&whole, entry, "path", vka_report_path(full ? full : h->files[i].path));
        if (*all)
            vka_report_put(&whole, entry, "sha256", json_string(h->files[i].sha256));
        free(full);
        vka_report_add(&whole, list, entry);
        if (!whole) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *vka_setup_settings_json(const struct vka_setup *s, uint32_t k, bool f16)
{
    const vka_sampler_params *p = &s->sampling;
    const struct vka_job *j = s->job;
    json_t *o = json_object();
    bool whole = o != NULL;
    char beta[80];
    if (p->beta == VKA_BETA_COSINE)
        snprintf(beta, sizeof beta, "%s", vka_beta_name(p->beta));
    else
        snprintf(beta, sizeof beta, "%s:%.10g:%.10g", vka_beta_name(p->beta), p->beta_start, p->beta_end);
    for (char *c = beta; *c; c++) /* some locales write a comma */
        if (*c == ',')
            *c = '.';
    vka_report_put(&whole, o, "prompt", json_string(vka_setup_prompt(s, false, k)));
    vka_report_put(&whole, o, "negative", json_string(vka_setup_prompt(s, true, k)));
    if (vka_travel_is(vka_setup_prompt(s, false, k)) || vka_travel_is(vka_setup_prompt(s, true, k))) {
        vka_report_put(&whole, o, "travel-blend", json_string(j->travel_blend ? j->travel_blend : "lerp"));
        vka_report_put(&whole, o, "travel-ease", json_string(j->travel_ease ? j->travel_ease : "linear"));
    }
    vka_report_put(&whole, o, "prompt-syntax", json_string(j->prompt_syntax ? j->prompt_syntax : "a1111"));
    vka_report_put(&whole, o, "pad-prompt", json_string(j->pad_prompt ? j->pad_prompt : "empty"));
    vka_report_put(&whole, o, "comma-padding", json_integer(j->comma_padding));
    for (int motion = 0; motion < 2; motion++) {
        json_t *loras = vka_setup_loras_json(s, motion, false);
        if (loras && !json_array_size(loras))
            json_decref(loras);
        else
            vka_report_put(&whole, o, motion ? "motion-lora" : "lora", loras);
    }
    if (s->travel)
        vka_report_put(&whole, o, "lora-frames", vka_setup_lora_frames_json(s));
    if (s->control_count)
        vka_report_put(&whole, o, "control", vka_setup_controls_json(s, false));
    vka_report_put(&whole, o, "width", json_integer(s->width));
    vka_report_put(&whole, o, "height", json_integer(s->height));
    vka_report_put(&whole, o, "frames", json_integer(s->frames));
    if (s->windows.length && !s->by_frame) {
        vka_report_put(&whole, o, "context-length", json_integer(s->windows.length));
        vka_report_put(&whole, o, "context-stride", json_integer(s->windows.stride));
        vka_report_put(&whole, o, "context-overlap", json_integer(s->windows.overlap));
        vka_report_put(&whole, o, "context-schedule", json_string(vka_window_schedule_name(s->windows.schedule)));
        vka_report_put(&whole, o, "context-merge", json_string(vka_window_merge_name(s->windows.merge)));
    } else if (s->noise_kind == VKA_NOISE_KIND_SHUFFLED)
        vka_report_put(&whole, o, "context-overlap", json_integer(s->noise_length - s->noise_stride));
    if (s->loop != VKA_LOOP_OFF)
        vka_report_put(&whole, o, "loop", json_string(vka_loop_name(s->loop)));
    if (s->noise_kind != VKA_NOISE_KIND_RANDOM)
        vka_report_put(&whole, o, "noise-kind", json_string(vka_noise_kind_name(s->noise_kind)));
    if (j->freenoise)
        vka_report_put(&whole, o, "freenoise", json_true());
    if (s->motion_windows.length) {
        vka_report_put(&whole, o, "context-length", json_integer(s->motion_windows.length));
        vka_report_put(&whole, o, "context-overlap", json_integer(s->motion_windows.length - s->motion_windows.hop));
        vka_report_put(&whole, o, "context-merge", json_string(s->motion_windows.flat ? "flat" : "pyramid"));
    }
    vka_report_put(&whole, o, "fps", json_real(s->fps));
    if (j->interpolate > 1)
        vka_report_put(&whole, o, "interpolate", json_integer(j->interpolate));
    if (j->ping_pong)
        vka_report_put(&whole, o, "ping-pong", json_true());
    vka_report_put(&whole, o, "seed", json_integer((json_int_t)vka_setup_seed(s, k)));
    if (s->sub.share > 0) {
        vka_report_put(&whole, o, "subseed", json_integer((json_int_t)vka_setup_subseed(s, k)));
        vka_report_put(&whole, o, "subseed-strength", json_real(s->sub.share));
    }
    vka_report_put(&whole, o, "rng", json_string(vka_rng_kind_name(s->rng)));
    vka_report_put(&whole, o, "noise-layout", json_string(vka_noise_layout_name(s->layout)));
    vka_report_put(&whole, o, "steps", json_integer(p->steps));
    if (s->hires.sampler) {
        static const char *const upscalers[] = {"latent", "latent-nearest", "latent-bicubic", "picture"};
        char hires[64], *behind = hires;
        vka_format_real(hires, 30, s->hires.scale, 'g', 10);
        behind += strlen(hires);
        *behind++ = ':';
        vka_format_real(behind, 30, s->hires.strength, 'g', 10);
        vka_report_put(&whole, o, "hires", json_string(hires));
        vka_report_put(&whole, o, "hires-upscaler", json_string(upscalers[s->hires.upscaler]));
        vka_report_put(&whole, o, "hires-steps", json_integer(s->hires.steps));
    }
    if (s->freeinit.rounds) {
        const struct vka_lowpass_params *f = &s->freeinit.filter;
        char cutoff[64], *colon;
        vka_format_real(cutoff, 30, f->space, 'g', 10);
        colon = cutoff + strlen(cutoff);
        *colon = ':';
        vka_format_real(colon + 1, 30, f->time, 'g', 10);
        vka_report_put(&whole, o, "freeinit", json_integer(s->freeinit.rounds));
        vka_report_put(&whole, o, "freeinit-filter", json_string(vka_lowpass_name(f->filter)));
        vka_report_put(&whole, o, "freeinit-cutoff", json_string(cutoff));
        if (f->filter == VKA_LOWPASS_BUTTERWORTH)
            vka_report_put(&whole, o, "freeinit-order", json_integer(f->order));
        if (s->freeinit.fast)
            vka_report_put(&whole, o, "freeinit-fast", json_true());
    }
    vka_report_put(&whole, o, "cfg", json_real(s->cfg));
    if (s->cfg_at)
        vka_report_put(&whole, o, "cfg-schedule", json_string(j->cfg_schedule));
    if (s->cfg_frames)
        vka_report_put(&whole, o, "cfg-frames", json_string(j->cfg_frames));
    if (s->cfg_rescale > 0)
        vka_report_put(&whole, o, "cfg-rescale", json_real(s->cfg_rescale));
    if (s->pag > 0)
        vka_report_put(&whole, o, "pag", json_real(s->pag));
    vka_report_put(&whole, o, "sampler", json_string(vka_sampler_name(p->sampler)));
    vka_report_put(&whole, o, "schedule", json_string(vka_schedule_name(vka_sampler_schedule(s->sampler))));
    if (p->eta >= 0) /* else the sampler's own */
        vka_report_put(&whole, o, "eta", json_real(p->eta));
    if (p->sampler == VKA_SAMPLER_LCM || p->sampler == VKA_SAMPLER_TCD)
        vka_report_put(&whole, o, "original-steps", json_integer(p->original_steps));
    vka_report_put(&whole, o, "beta", json_string(beta));
    if (s->motion && j->motion_family && strcmp(j->motion_family, "auto") != 0)
        vka_report_put(&whole, o, "motion-family", json_string(j->motion_family));
    if (s->motion && j->motion_scale)
        vka_report_put(&whole, o, "motion-scale", json_string(j->motion_scale));
    if (s->motion && j->motion_effect)
        vka_report_put(&whole, o, "motion-effect", json_string(j->motion_effect));
    vka_report_put(&whole, o, "norm", json_string(s->norms.motion_joint ? "diffusers" : "original"));
    vka_report_put(&whole, o, "precision", json_string(f16 ? "f16" : "f32"));
    vka_report_put(&whole, o, "clip-skip", json_integer(s->skip + 1));
    if (vka_init_asked(j)) {
        vka_report_put(&whole, o, "strength", json_real(j->strength));
        vka_report_put(&whole, o, "resize", json_string(j->resize ? j->resize : "crop"));
        vka_report_put(&whole, o, "hold", json_real(j->hold));
        if (j->init_video) {
            if (j->video_fps > 0)
                vka_report_put(&whole, o, "video-fps", json_real(j->video_fps));
            vka_report_put(&whole, o, "video-start", json_real(j->video_start));
            vka_report_put(&whole, o, "video-stride", json_integer(j->video_stride));
        } else {
            vka_report_put(&whole, o, "latent-power", json_real(j->latent_power));
            vka_report_put(&whole, o, "latent-scale", json_real(j->latent_scale));
            if (vka_job_has(j, "latent-power-last"))
                vka_report_put(&whole, o, "latent-power-last", json_real(j->latent_power_last));
            if (vka_job_has(j, "latent-scale-last"))
                vka_report_put(&whole, o, "latent-scale-last", json_real(j->latent_scale_last));
        }
    }
    if (!whole) {
        json_decref(o);
        o = NULL;
    }
    return o;
}
