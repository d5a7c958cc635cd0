/* render.c - a job from parameters to files: text, noise, steps, frames, writers.  See vkanim.h.
 *
 * Nothing is taken from the device before every stage is planned within the budget.  Clips of --count share the models;
 * all of them are sampled first and decoded afterwards, so that UNet and VAE are loaded once. */
#include "base/clock.h"
#include "base/file.h"
#include "media/media.h"
#include "render/tensors.h"
#include "render/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct clip {
    uint64_t seed;
    float *latents; /* [F,4,h,w] */
    uint8_t *rgb;   /* [F,H,W,3] */
    char sha256[65];
};

struct render {
    struct vka_work w;
    vka_context *cx;
    const struct vka_job *job;
    vka_gpu *gpu;
    struct clip *clips;
    uint32_t count;
    vka_tensor_file trace;
    double load_s, text_s, decode_s, encode_s;
    double *step_s; /* [count * steps] */
    uint32_t steps_done;
    json_t *outputs;
};

/* ---- outputs ------------------------------------------------------------------------------------------------- */

/* The name of an output for a seed: as given for one clip; with --count "-SEED" before the extension, the pattern's
 * number, or behind a folder's name. */
static char *output_name(const struct vka_job *job, size_t i, uint64_t seed, uint32_t count)
{
    unsigned long long s = seed;
    if (!job->output.count)
        return vka_asprintf("vkanim-%llu.webp", s);
    const char *name = job->output.items[i];
    if (count == 1)
        return vka_strdup(name);
    const char *percent = strchr(vka_path_base(name), '%'), *dot = vka_path_extension(name);
    size_t n = strlen(name);
    if (percent)
        return vka_asprintf("%.*s%llu-%s", (int)(percent - name), name, s, percent);
    if (*dot)
        return vka_asprintf("%.*s-%llu%s", (int)(dot - name), name, s, dot);
    while (n > 1 && name[n - 1] == '/')
        n--;
    return vka_asprintf("%.*s-%llu/", (int)n, name, s);
}

static size_t output_count(const struct vka_job *job) { return job->output.count ? job->output.count : 1; }

static vka_status check_outputs(const struct render *r, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    vka_status st = VKA_OK;
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++)
        for (size_t i = 0; st == VKA_OK && i < output_count(r->job); i++) {
            char *name = output_name(r->job, i, r->clips[k].seed, r->count);
            st = name ? vka_media_check(name, s->width, s->height, s->frames, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
            if (st == VKA_OK && !r->job->overwrite && vka_media_would_overwrite(name, s->frames)) {
                st = vka_fail(err, VKA_E_OUTPUT, "'%s' is there already", name);
                vka_error_hint(err, "--overwrite replaces it");
            }
            free(name);
        }
    if (st == VKA_OK && r->job->trace && r->count > 1)
        st = vka_fail(err, VKA_E_USAGE, "--trace records one clip; it cannot be had with --count %u", r->count);
    return st;
}

struct frame_source {
    struct render *r;
    struct clip *c;
};

static const uint8_t *get_frame(void *user, uint32_t index, vka_error *err)
{
    struct frame_source *u = user;
    const struct vka_setup *s = &u->r->w.setup;
    if (vka_context_cancelled(u->r->cx)) {
        vka_fail(err, VKA_E_STOPPED, "stopped");
        return NULL;
    }
    return u->c->rgb + (size_t)index * s->width * s->height * 3;
}

static char *metadata(struct render *r, const struct clip *c, vka_error *err)
{
    json_t *models = vka_setup_models_json(&r->w.setup, false, err);
    if (!models)
        return NULL;
    json_t *o = json_pack("{s:i, s:s, s:o, s:o}", "schema", 1, "vkanim", vka_version(), "settings",
                          vka_setup_settings_json(&r->w.setup, c->seed, r->w.f16), "models", models);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(o);
    if (!text)
        vka_fail(err, VKA_E_MEMORY, "out of memory");
    return text;
}

static vka_status write_outputs(struct render *r, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    double began = vka_now();
    unsigned done = 0;
    vka_status st = VKA_OK;
    vka_context_stage(r->cx, "encode", r->count * (unsigned)output_count(r->job));
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        struct clip *c = &r->clips[k];
        struct frame_source user = {r, c};
        char *meta = metadata(r, c, err);
        if (!meta)
            return err ? err->status : VKA_E_MEMORY;
        vka_clip clip = {.width = s->width, .height = s->height, .frames = s->frames, .fps = s->fps, .metadata = meta,
                         .get = get_frame, .user = &user};
        st = vka_frames_sha256(&clip, c->sha256, err);
        if (st == VKA_OK && r->job->verify && strcmp(r->job->verify, c->sha256) != 0) {
            st = vka_fail(err, VKA_E_VERIFY, "the frames are not those that --verify asks for");
            vka_error_why(err, "their SHA-256 is %s", c->sha256);
        }
        for (size_t i = 0; st == VKA_OK && i < output_count(r->job); i++) {
            char *name = output_name(r->job, i, c->seed, r->count);
            vka_media_result result = {0};
            st = name ? vka_media_write(name, &clip, &result, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
            for (size_t f = 0; st == VKA_OK && f < result.count; f++)
                json_array_append_new(r->outputs, json_pack("{s:s, s:I, s:s, s:I, s:s}", "path", result.files[f].path, "bytes",
                                                            (json_int_t)result.files[f].bytes, "sha256", result.files[f].sha256,
                                                            "seed", (json_int_t)c->seed, "frames_sha256", c->sha256));
            vka_media_result_free(&result);
            free(name);
            vka_context_done(r->cx, ++done);
        }
        free(meta);
    }
    r->encode_s = vka_now() - began;
    return st;
}

/* ---- trace --------------------------------------------------------------------------------------------------- */

static void trace_clip(struct render *r, const char *name, const float *planes)
{
    const struct vka_setup *s = &r->w.setup;
    if (r->job->trace)
        vka_tensor_file_add(&r->trace, name, VKA_WEIGHT_F32, 4,
                            (uint64_t[]){s->frames, s->unet->in_channels, s->height / s->factor, s->width / s->factor}, planes);
}

static void trace_indexed(struct render *r, const char *name, const vka_sampler_eval *e, const float *planes)
{
    char text[48];
    if (e->stage)
        snprintf(text, sizeof text, "%s.%03u.%u", name, e->step, e->stage);
    else
        snprintf(text, sizeof text, "%s.%03u", name, e->step);
    trace_clip(r, text, planes);
}

/* ---- stages -------------------------------------------------------------------------------------------------- */

static vka_status run_text(struct render *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    double began = vka_now();
    vka_status st = VKA_OK;
    if (!r->job->embeds) {
        size_t rows = w->cond_ids.count * w->cond_ids.length, one = rows * w->width;
        uint32_t *ids = vka_calloc(2 * rows, sizeof *ids);
        float *out = vka_calloc(2 * one, sizeof *out);
        w->uncond = vka_calloc(one, sizeof *w->uncond);
        w->cond = vka_calloc(one, sizeof *w->cond);
        vka_context_stage(r->cx, "text", 1);
        if (!ids || !out || !w->uncond || !w->cond)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        if (st == VKA_OK) {
            memcpy(ids, w->uncond_ids.ids, rows * sizeof *ids);
            memcpy(ids + rows, w->cond_ids.ids, rows * sizeof *ids);
            st = vka_text_stage_run(&w->text, r->gpu, ids, out, &r->cx->ticker, &r->cx->log, err);
        }
        if (st == VKA_OK) {
            memcpy(w->uncond, out, one * sizeof *out);
            memcpy(w->cond, out + one, one * sizeof *out);
        }
        free(ids);
        free(out);
    }
    if (st == VKA_OK && r->job->trace) {
        vka_tensor_file_add(&r->trace, "cond", VKA_WEIGHT_F32, 3, (uint64_t[]){w->conds, w->tokens, w->width}, w->cond);
        if (w->uncond)
            vka_tensor_file_add(&r->trace, "uncond", VKA_WEIGHT_F32, 3, (uint64_t[]){w->unconds, w->tokens, w->width},
                                w->uncond);
    }
    r->text_s = vka_now() - began;
    return st;
}

/* The context rows (uncond's, then cond's) and each sample's row. */
static vka_status set_prompt(struct render *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    bool guided = w->branches > 1;
    uint32_t f = w->setup.frames, first = guided ? w->unconds : 0;
    size_t row = (size_t)w->tokens * w->width;
    float *context = vka_calloc((first + w->conds) * row, sizeof *context);
    int32_t *index = vka_calloc((size_t)w->branches * f, sizeof *index);
    vka_status st = context && index ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK) {
        if (guided)
            memcpy(context, w->uncond, first * row * sizeof *context);
        memcpy(context + first * row, w->cond, w->conds * row * sizeof *context);
        for (uint32_t i = 0; i < f; i++) {
            if (guided)
                index[i] = (int32_t)(w->unconds > 1 ? i : 0);
            index[(guided ? f : 0) + i] = (int32_t)(first + (w->conds > 1 ? i : 0));
        }
        st = vka_unet_stage_prompt(&w->unet, context, index, err);
    }
    free(context);
    free(index);
    return st;
}

static vka_status check_finite(const float *x, size_t n, uint32_t step, vka_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            vka_fail(err, VKA_E_VERIFY, "the latents hold NaN or Inf after step %u", step + 1);
            vka_error_hint(err, "--precision f32");
            return VKA_E_VERIFY;
        }
    return VKA_OK;
}

/* Fresh noise of a step: from --step-noise, else from the seed's generators. */
static vka_status step_noise(struct render *r, vka_noise_source *source, const vka_sampler_eval *e, float *out, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    if (!r->job->step_noise) {
        vka_noise_draw(source, out);
        return VKA_OK;
    }
    uint32_t f = s->frames, c = s->unet->in_channels, h = s->height / s->factor, wd = s->width / s->factor;
    char name[48];
    float *data;
    snprintf(name, sizeof name, e->stage ? "step_noise.%03u.%u" : "step_noise.%03u", e->step, e->stage);
    if (!vka_safetensors_find(&r->w.step_noise, name)) /* unpadded numbers are taken too */
        snprintf(name, sizeof name, e->stage ? "step_noise.%u.%u" : "step_noise.%u", e->step, e->stage);
    vka_status st = vka_read_clip(&r->w.step_noise, name, &f, &c, &h, &wd, &data, err);
    if (st == VKA_OK)
        memcpy(out, data, (size_t)f * c * h * wd * sizeof *out);
    free(data);
    return st;
}

static vka_status sample_clip(struct render *r, struct clip *c, vka_error *err)
{
    struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    uint32_t channels = s->unet->in_channels, h = s->height / s->factor, wd = s->width / s->factor;
    size_t n = (size_t)s->frames * channels * h * wd;
    uint32_t evals = vka_sampler_evals(s->sampler), steps = vka_sampler_steps(s->sampler);
    float *buffer = vka_calloc(n, sizeof *buffer);
    c->latents = vka_calloc(n, sizeof *c->latents);
    vka_noise_source source = {0};
    vka_status st = buffer && c->latents ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_noise_open(&source, s->rng, s->layout, c->seed, s->frames, channels, h, wd, err);
    if (st == VKA_OK) {
        if (w->noise)
            memcpy(buffer, w->noise, n * sizeof *buffer);
        else
            vka_noise_draw(&source, buffer);
        trace_clip(r, "noise", buffer);
        double scale = vka_sampler_init_noise_scale(s->sampler);
        for (size_t i = 0; i < n; i++)
            c->latents[i] = (float)(scale * buffer[i]);
        st = vka_unet_stage_set(&w->unet, VKA_SLOT_X, c->latents, err);
    }
    vka_context_stage(r->cx, "steps", steps);
    double began = vka_now();
    for (uint32_t i = 0; st == VKA_OK && i < evals; i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s->sampler, i);
        if (e->draws_noise) {
            st = step_noise(r, &source, e, buffer, err);
            if (st == VKA_OK)
                st = vka_unet_stage_set(&w->unet, VKA_SLOT_NOISE, buffer, err);
            trace_indexed(r, "step_noise", e, buffer);
        }
        if (st == VKA_OK)
            st = vka_unet_stage_eval(&w->unet, e, s->cfg, &r->cx->ticker, err);
        if (st == VKA_OK && r->job->trace) {
            st = vka_unet_stage_get(&w->unet, VKA_SLOT_EPS, buffer, err);
            trace_indexed(r, "eps", e, buffer);
        }
        if (st == VKA_OK && e->ends_step) {
            st = vka_unet_stage_get(&w->unet, VKA_SLOT_X, c->latents, err);
            if (st == VKA_OK)
                st = check_finite(c->latents, n, e->step, err);
            if (r->job->trace) {
                char name[32];
                snprintf(name, sizeof name, "latents.%03u", e->step);
                trace_clip(r, name, c->latents);
            }
            double now = vka_now();
            r->step_s[r->steps_done++] = now - began;
            began = now;
            vka_context_done(r->cx, e->step + 1);
        }
    }
    if (st == VKA_OK && r->job->trace) {
        float *t = vka_calloc(steps, sizeof *t);
        for (uint32_t i = 0; t && i < evals; i++) {
            const vka_sampler_eval *e = vka_sampler_eval_at(s->sampler, i);
            if (!e->stage)
                t[e->step] = e->timestep;
        }
        if (t)
            vka_tensor_file_add(&r->trace, "timesteps", VKA_WEIGHT_F32, 1, (uint64_t[]){steps}, t);
        free(t);
        trace_clip(r, "latents", c->latents);
    }
    vka_noise_close(&source);
    free(buffer);
    return st;
}

static vka_status decode_clips(struct render *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    size_t latent = (size_t)s->unet->out_channels * (s->height / s->factor) * (s->width / s->factor);
    size_t picture = (size_t)s->width * s->height * 3;
    double began = vka_now();
    unsigned done = 0;
    vka_context_stage(r->cx, "decode", r->count * s->frames);
    vka_status st = vka_vae_stage_start(&w->vae, r->gpu, &r->cx->ticker, err);
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        struct clip *c = &r->clips[k];
        c->rgb = vka_calloc(s->frames, picture);
        if (!c->rgb)
            return vka_fail(err, VKA_E_MEMORY, "out of memory for the frames");
        for (uint32_t f = 0; st == VKA_OK && f < s->frames; f++) {
            bool bad = false;
            st = vka_vae_stage_run(&w->vae, c->latents + f * latent, c->rgb + f * picture, &bad, &r->cx->ticker, err);
            if (st == VKA_OK && bad) {
                st = vka_fail(err, VKA_E_VERIFY, "frame %u holds NaN or Inf", f);
                vka_error_hint(err, "--precision f32");
            }
            vka_context_done(r->cx, ++done);
        }
        if (st == VKA_OK && r->job->trace)
            vka_tensor_file_add(&r->trace, "frames", VKA_WEIGHT_U8, 4, (uint64_t[]){s->frames, s->height, s->width, 3}, c->rgb);
    }
    if (st == VKA_OK)
        vka_exec_times(w->vae.run.exec, &r->cx->log);
    vka_vae_stage_end(&w->vae);
    r->decode_s = vka_now() - began;
    return st;
}

static vka_status work(struct render *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    vka_status st = run_text(r, err);
    double began = vka_now();
    if (st == VKA_OK) {
        vka_context_stage(r->cx, "load", 1);
        st = vka_unet_stage_start(&w->unet, r->gpu, &r->cx->ticker, err);
    }
    if (st == VKA_OK)
        st = set_prompt(r, err);
    r->load_s += vka_now() - began;
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        r->cx->now.clip = k;
        st = sample_clip(r, &r->clips[k], err);
    }
    if (st == VKA_OK) {
        vka_exec_times(w->unet.unet.exec, &r->cx->log);
        vka_logf(&r->cx->log, VKA_LOG_INFO, "UNet: %u segments, %u launches, %u lists, %u pipelines in all",
                 w->unet.unet.exec->plan->segment_count, w->unet.unet.exec->program->launch_count,
                 w->unet.unet.exec->lists.count, vka_gpu_pipeline_count(r->gpu));
    }
    vka_unet_stage_end(&w->unet);
    if (st == VKA_OK)
        st = decode_clips(r, err);
    return st;
}

static double steps_seconds(const struct render *r)
{
    double sum = 0;
    for (uint32_t i = 0; i < r->steps_done; i++)
        sum += r->step_s[i];
    return sum;
}

static char *make_report(struct render *r, double total, vka_error *err)
{
    json_t *models = vka_setup_models_json(&r->w.setup, true, err), *steps = json_array();
    if (!models) {
        json_decref(steps);
        return NULL;
    }
    double sum = 0;
    uint32_t from = r->steps_done > 1; /* the first step makes what the others only use */
    for (uint32_t i = 0; i < r->steps_done; i++) {
        json_array_append_new(steps, json_real(r->step_s[i]));
        sum += i >= from ? r->step_s[i] : 0;
    }
    uint64_t peak;
    vka_gpu_device_bytes(r->gpu, &peak);
    json_t *o = vka_report_begin("render");
    json_object_set(o, "outputs", r->outputs);
    json_object_set_new(o, "settings", vka_setup_settings_json(&r->w.setup, r->clips[0].seed, r->w.f16));
    json_object_set_new(o, "models", models);
    json_object_set_new(o, "device", vka_report_device(&r->w.info, r->w.table.path));
    json_object_set_new(o, "timing", json_pack("{s:f, s:f, s:o, s:f, s:f, s:f, s:f}", "load_s", r->load_s, "text_s", r->text_s,
                                               "steps_s", steps, "s_per_it",
                                               r->steps_done > from ? sum / (r->steps_done - from) : 0.0, "decode_s", r->decode_s,
                                               "encode_s", r->encode_s, "total_s", total));
    json_object_set_new(o, "memory", vka_report_memory(r->w.budget, r->w.planned, peak));
    json_object_set_new(o, "kernel_table", json_integer(r->w.table.id));
    return vka_report_end(o);
}

vka_status vka_render(vka_context *cx, const vka_job *job, char **report, vka_error *err)
{
    struct render r = {.cx = cx, .job = job, .outputs = json_array()};
    double began = vka_now();
    *report = NULL;
    vka_context_begin(cx);
    vka_context_stage(cx, "load", 1);
    vka_status st = vka_work_open(&r.w, cx, job, err);
    if (st == VKA_OK) {
        r.count = r.w.setup.count;
        cx->now.clips = r.count;
        r.clips = vka_calloc(r.count, sizeof *r.clips);
        r.step_s = vka_calloc((size_t)r.count * vka_sampler_steps(r.w.setup.sampler), sizeof *r.step_s);
        if (!r.clips || !r.step_s)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        for (uint32_t k = 0; st == VKA_OK && k < r.count; k++)
            r.clips[k].seed = r.w.setup.seed + k;
    }
    if (st == VKA_OK)
        st = check_outputs(&r, err);
    if (st == VKA_OK)
        st = vka_context_open_gpu(cx, job->device, &r.gpu, err);
    if (st == VKA_OK)
        st = vka_work_device(&r.w, vka_gpu_describe(r.gpu), r.gpu, err);
    if (st == VKA_OK)
        st = vka_work_build(&r.w, err);
    if (st == VKA_OK)
        st = vka_work_plan(&r.w, r.w.budget, err);
    if (st == VKA_OK && r.w.planned > r.w.budget)
        st = vka_work_does_not_fit(&r.w, err);
    r.load_s = vka_now() - began;
    if (st == VKA_OK) {
        vka_setup_hash_begin(&r.w.setup);
        vka_gpu_reset_peak(r.gpu);
        st = work(&r, err);
    }
    if (st == VKA_OK)
        vka_setup_report_unused(&r.w.setup, &cx->log);
    if (st == VKA_OK)
        st = write_outputs(&r, err);
    if (st == VKA_OK && job->trace)
        st = vka_tensor_file_write(&r.trace, job->trace, err);
    if (st == VKA_OK)
        vka_logf(&cx->log, VKA_LOG_INFO, "stages: load %.2f s, text %.2f s, steps %.2f s, decode %.2f s, encode %.2f s", r.load_s,
                 r.text_s, steps_seconds(&r), r.decode_s, r.encode_s);
    if (st == VKA_OK) {
        *report = make_report(&r, vka_now() - began, err);
        st = *report ? VKA_OK : VKA_E_MEMORY;
    }
    for (uint32_t k = 0; r.clips && k < r.count; k++) {
        free(r.clips[k].latents);
        free(r.clips[k].rgb);
    }
    free(r.clips);
    free(r.step_s);
    json_decref(r.outputs);
    vka_tensor_file_free(&r.trace);
    vka_work_close(&r.w);
    cx->gpu = NULL;
    vka_gpu_destroy(&r.gpu);
    return st;
}
