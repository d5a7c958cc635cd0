/* work.c - see work.h; and `plan`, which is a work that never runs. */
#include "render/work.h"

#include "render/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vka_status read_embeds(struct vka_work *w, vka_error *err)
{
    vka_safetensors st = {0};
    vka_status s = vka_safetensors_open(&st, w->job->embeds, err);
    w->width = w->setup.unet->cross_attention_dim;
    if (s == VKA_OK)
        s = vka_read_embeds(&st, "cond", &w->conds, &w->tokens, &w->width, &w->cond, err);
    if (s == VKA_OK && vka_safetensors_find(&st, "uncond"))
        s = vka_read_embeds(&st, "uncond", &w->unconds, &w->tokens, &w->width, &w->uncond, err);
    else if (s == VKA_OK && w->branches > 1)
        s = vka_fail(err, VKA_E_INPUT, "'%s' has no tensor 'uncond', which guidance needs", w->job->embeds);
    uint32_t f = w->setup.frames;
    if (s == VKA_OK && ((w->conds != 1 && w->conds != f) || (w->unconds > 1 && w->unconds != f)))
        s = vka_fail(err, VKA_E_INPUT, "'%s' has %u and %u prompts for %u frames: 1 or one per frame are wanted",
                     w->job->embeds, w->conds, w->unconds, f);
    vka_safetensors_close(&st);
    return s;
}

static vka_status read_files(struct vka_work *w, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    uint32_t f = s->frames, c = s->unet->in_channels, h = s->height / s->factor, wd = s->width / s->factor;
    vka_status st = VKA_OK;
    if (w->job->noise) {
        vka_safetensors file = {0};
        st = vka_safetensors_open(&file, w->job->noise, err);
        if (st == VKA_OK)
            st = vka_read_clip(&file, "noise", &f, &c, &h, &wd, &w->noise, err);
        vka_safetensors_close(&file);
    }
    if (st == VKA_OK && w->job->step_noise)
        st = vka_safetensors_open(&w->step_noise, w->job->step_noise, err);
    return st;
}

vka_status vka_work_device(struct vka_work *w, const vka_gpu_info *info, vka_gpu *gpu, vka_error *err)
{
    if (info)
        w->info = *info;
    /* A tenth of what is free stays for the desktop and the driver; a software device's memory is half the machine's. */
    w->budget = vka_job_has(w->job, "vram")            ? w->job->vram
                : vka_job_has(w->job, "device-memory") ? w->job->device_memory
                : info && info->cpu                    ? info->device_heap
                : info                                 ? info->device_free / 10 * 9
                                                       : 0;
    return vka_setup_kernels(&w->setup, info, gpu, &w->cx->log, &w->table, &w->f16, err);
}

vka_status vka_work_open(struct vka_work *w, vka_context *cx, const vka_job *job, vka_error *err)
{
    *w = (struct vka_work){.cx = cx, .job = job};
    unsigned text = job->embeds ? 0 : VKA_NEED_TEXT; /* --embeds stands for the text encoder */
    vka_status st = vka_setup_open(&w->setup, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP | text, &cx->log, err);
    if (st != VKA_OK)
        return st;
    w->branches = w->setup.cfg == 1.0 ? 1 : 2;
    if (st == VKA_OK && w->setup.unet->in_channels != w->setup.unet->out_channels) {
        st = vka_fail(err, VKA_E_INPUT, "this UNet takes %u channels: inpainting models cannot render from a prompt alone",
                      w->setup.unet->in_channels);
    }
    if (st == VKA_OK && job->embeds)
        st = read_embeds(w, err);
    if (st == VKA_OK)
        st = read_files(w, err);
    if (st == VKA_OK && !job->embeds) {
        st = vka_setup_tokens(&w->setup, &w->cond_ids, &w->uncond_ids, err);
        w->conds = w->unconds = 1;
        w->tokens = (uint32_t)w->cond_ids.count * w->cond_ids.length;
        w->width = w->setup.text->hidden;
        if (st == VKA_OK && w->setup.unet->cross_attention_dim && w->width != w->setup.unet->cross_attention_dim)
            st = vka_fail(err, VKA_E_INPUT, "the text encoder is %u wide, the UNet wants %u", w->width,
                          w->setup.unet->cross_attention_dim);
    }
    return st;
}

vka_status vka_work_build(struct vka_work *w, vka_error *err)
{
    struct vka_setup *s = &w->setup;
    uint32_t h = s->height / s->factor, wd = s->width / s->factor;
    vka_status st = VKA_OK;
    if (!w->job->embeds)
        st = vka_text_stage_build(&w->text, vka_model_weights(s->model, VKA_PART_TEXT, NULL), s->text, s->skip,
                                  (uint32_t)(w->uncond_ids.count + w->cond_ids.count), w->cond_ids.length, w->f16, &w->table,
                                  err);
    if (st == VKA_OK) {
        struct vka_unet_stage_params p = {
            .weights = vka_model_weights(s->model, VKA_PART_UNET, NULL),
            .motion_weights = s->motion ? vka_motion_weights(s->motion) : NULL,
            .config = s->unet,
            .motion = s->motion_info,
            .norms = s->norms,
            .frames = s->frames,
            .height = h,
            .width = wd,
            .branches = w->branches,
            .prompts = w->conds + (w->branches > 1 ? w->unconds : 0),
            .tokens = w->tokens,
            .text_width = w->width,
            .f16 = w->f16,
            .sampler = s->sampler,
            .table = w->table,
            .window = s->windows,
        };
        st = vka_unet_stage_build(&w->unet, &p, err);
    }
    if (st == VKA_OK) /* one frame, run once for each */
        st = vka_vae_stage_build(&w->vae, VKA_VAE_PICTURES, vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, 1, h,
                                 wd, vka_setup_vae_f16(s, w->f16), &w->table, err);
    return st;
}

vka_status vka_work_plan(struct vka_work *w, uint64_t budget, vka_error *err)
{
    vka_status st = VKA_OK;
    w->need[0] = w->need[1] = w->need[2] = 0;
    if (!w->job->embeds)
        st = vka_text_stage_plan(&w->text, budget, &w->need[0], err);
    if (st == VKA_OK)
        st = vka_unet_stage_plan(&w->unet, budget, &w->need[1], err);
    if (st == VKA_OK)
        st = vka_vae_stage_plan(&w->vae, budget, &w->need[2], err);
    w->planned = 0;
    for (int i = 0; i < 3; i++)
        w->planned = w->need[i] > w->planned ? w->need[i] : w->planned;
    return st;
}

/* The plan may be the smallest already: it is, when it does not fit. */
vka_status vka_work_does_not_fit(struct vka_work *w, vka_error *err)
{
    static const char *const stages[] = {"text encoder", "UNet", "VAE"};
    int which = 0;
    for (int i = 1; i < 3; i++)
        which = w->need[i] > w->need[which] ? i : which;
    vka_fail(err, VKA_E_MEMORY, "this clip does not fit: %u frames of %u x %u need %.1f MiB, the budget is %.1f MiB",
             w->setup.frames, w->setup.width, w->setup.height, (double)w->planned / 1048576, (double)w->budget / 1048576);
    vka_error_why(err, "that is the smallest plan; the %s needs the most", stages[which]);
    if (w->setup.frames > 1)
        vka_error_hint(err, "--vram %.0fM, fewer frames, or a smaller picture", ceil((double)w->planned / 1048576));
    else
        vka_error_hint(err, "--vram %.0fM, or a smaller picture", ceil((double)w->planned / 1048576));
    return VKA_E_MEMORY;
}

void vka_work_close(struct vka_work *w)
{
    vka_text_stage_end(&w->text);
    vka_unet_stage_end(&w->unet);
    vka_vae_stage_end(&w->vae);
    vka_text_chunks_free(&w->cond_ids);
    vka_text_chunks_free(&w->uncond_ids);
    vka_safetensors_close(&w->step_noise);
    free(w->cond);
    free(w->uncond);
    free(w->noise);
    if (w->setup.model)
        vka_setup_close(&w->setup);
}

/* ---- plan ---------------------------------------------------------------------------------------------------- */

static json_t *knobs(const struct vka_work *w)
{
    const struct vka_plan *p = w->unet.unet.plan;
    uint32_t most_samples = 1, most_pixels = 1, cut = 0;
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const struct vka_segment *s = &p->segments[i];
        cut += s->parts > 1;
        if (s->axis == VKA_AXIS_SAMPLE)
            most_samples = vka_max_u32(most_samples, s->parts);
        if (vka_along_pixels(s))
            most_pixels = vka_max_u32(most_pixels, s->parts);
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:b, s:I, s:s, s:I}", "guidance",
                     w->branches == 1 ? "off" : p->passes == 1 ? "together" : "apart", "segments", (int)p->segment_count,
                     "segments_cut", (int)cut, "frame_parts", (int)most_samples, "row_parts", (int)most_pixels, "peak_node",
                     p->graph->nodes[p->peak_node].label, "weights", p->unit_count ? "streamed" : "resident",
                     "prefetch", (int)p->prefetch, "streamed_bytes_per_step", (json_int_t)p->stream_bytes, "skips", p->parking_count ? "host" : "device",
                     "parked_bytes_per_step", (json_int_t)p->parked_bytes);
}

static json_t *operators(const struct vka_traffic *lines, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 1; list && i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:f, s:f}", "name", lines[i].op, "dispatches",
                                              (int)lines[i].dispatches, "flop", lines[i].flop, "bytes", lines[i].bytes));
    return list;
}

vka_status vka_plan(vka_context *cx, const vka_job *job, char **report, vka_error *err)
{
    struct vka_work w = {0};
    vka_gpu_info info = {0};
    bool device = !vka_job_has(job, "device-memory");
    vka_status st = VKA_OK;
    *report = NULL;
    vka_context_begin(cx);
    st = vka_work_open(&w, cx, job, err);
    vka_gpu *gpu = NULL;
    if (st == VKA_OK && device) {
        st = vka_context_open_gpu(cx, job->device, &gpu, err);
        if (st == VKA_OK)
            info = *vka_gpu_describe(gpu);
    }
    if (st == VKA_OK)
        st = vka_work_device(&w, device ? &info : NULL, gpu, err);
    cx->gpu = NULL;
    vka_gpu_destroy(&gpu);
    if (st == VKA_OK)
        st = vka_work_build(&w, err);
    struct vka_traffic lines[VKA_TRAFFIC_LINES];
    uint32_t line_count = 0;
    if (st == VKA_OK)
        st = vka_work_plan(&w, w.budget, err);
    if (st == VKA_OK)
        st = vka_unet_stage_traffic(&w.unet, lines, &line_count, err);
    if (st == VKA_OK) {
        const struct vka_plan *p = w.unet.unet.plan;
        struct vka_rates rates = vka_exec_rates(device ? &info : NULL, w.table.flops);
        double compute = lines[0].flop / rates.flop_per_second, memory = lines[0].bytes / rates.bytes_per_second;
        bool fits = w.planned <= w.budget;
        json_t *r = vka_report_begin("plan");
        json_object_set_new(r, "fits", json_boolean(fits));
        json_object_set_new(r, "memory", json_pack("{s:I, s:I, s:I, s:I, s:I}", "budget_bytes", (json_int_t)w.budget, "planned_bytes",
                                                   (json_int_t)w.planned, "weights_bytes", (json_int_t)p->weight_bytes,
                                                   "activations_bytes", (json_int_t)p->arena_bytes, "host_bytes",
                                                   (json_int_t)(p->host_bytes + vka_unet_stage_host_bytes(&w.unet))));
        json_object_set_new(r, "stages", json_pack("{s:I, s:I, s:I}", "text_bytes", (json_int_t)w.need[0], "unet_bytes",
                                                   (json_int_t)w.need[1], "vae_bytes", (json_int_t)w.need[2]));
        json_object_set_new(r, "plan", knobs(&w));
        json_object_set_new(r, "estimate", json_pack("{s:f, s:f, s:i, s:f}", "flop_per_step", lines[0].flop,
                                                     "bytes_per_step", lines[0].bytes, "dispatches_per_step",
                                                     (int)lines[0].dispatches, "s_per_it",
                                                     compute > memory ? compute : memory));
        json_object_set_new(r, "operators", operators(lines, line_count));
        if (!fits)
            vka_work_does_not_fit(&w, err);
        st = vka_work_plan(&w, 0, err && fits ? err : NULL);
        if (st == VKA_OK) {
            json_t *smallest = knobs(&w);
            json_object_set_new(smallest, "planned_bytes", json_integer((json_int_t)w.planned));
            json_object_set_new(r, "smallest", smallest);
            *report = vka_report_end(r);
            st = fits ? VKA_OK : VKA_E_MEMORY;
        } else
            json_decref(r);
    }
    vka_work_close(&w);
    return st;
}
