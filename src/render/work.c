/* work.c - see work.h. */
#include "render/work.h"

#include "render/nearest.h"
#include "render/previous.h"
#include "render/room.h"
#include "render/tensors.h"
#include "render/work_ip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* uncond's rows and cond's, one behind the other. */
static vka_status join_embeds(struct vka_prompts *p, float *uncond, float *cond, uint32_t conds, vka_error *err)
{
    size_t row = (size_t)p->tokens * p->width;
    p->count = p->unconds + conds;
    p->rows = vka_calloc(p->count * row, sizeof *p->rows);
    if (!p->rows)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (uncond)
        memcpy(p->rows, uncond, p->unconds * row * sizeof *p->rows);
    memcpy(p->rows + p->unconds * row, cond, conds * row * sizeof *p->rows);
    p->row[1] = p->unconds;
    p->frames[0] = p->unconds;
    p->frames[1] = conds;
    return VKA_OK;
}

static vka_status read_embeds(struct vka_work *w, vka_error *err)
{
    struct vka_prompts *p = &w->prompts;
    vka_safetensors st = {0};
    float *cond = NULL, *uncond = NULL;
    uint32_t conds = 0, f = w->setup.frames;
    vka_status s = vka_safetensors_open(&st, w->job->embeds, err);
    if (s == VKA_OK)
        s = vka_prompts_init(p, 1, 1, 1, err);
    p->width = w->setup.unet->cross_attention_dim;
    if (s == VKA_OK)
        s = vka_read_embeds(&st, "cond", &conds, &p->tokens, &p->width, &cond, err);
    if (s == VKA_OK && vka_safetensors_find(&st, "uncond"))
        s = vka_read_embeds(&st, "uncond", &p->unconds, &p->tokens, &p->width, &uncond, err);
    else if (s == VKA_OK && w->guide.unguided)
        s = vka_fail(err, VKA_E_INPUT, "'%s' has no tensor 'uncond', which guidance needs", w->job->embeds);
    if (s == VKA_OK && ((conds != 1 && conds != f) || (p->unconds > 1 && p->unconds != f)))
        s = vka_fail(err, VKA_E_INPUT, "'%s' has %u and %u prompts for %u frames: 1 or one per frame are wanted",
                     w->job->embeds, conds, p->unconds, f);
    if (s == VKA_OK)
        s = join_embeds(p, uncond, cond, conds, err);
    free(cond);
    free(uncond);
    vka_safetensors_close(&st);
    return s;
}

/* The guidance over the parts of the prompt.  Clips whose parts have other weights share its branches: one that needs the negative
 * prompt decides for all. */
static vka_status make_guide(struct vka_work *w, uint32_t parts, vka_error *err)
{
    const double one = 1, *weight = w->prompts.clips ? vka_prompts_weights(&w->prompts, 0) : &one;
    for (uint32_t c = 1; parts == 1 && c < w->prompts.clips; c++)
        if (fabs(*vka_prompts_weights(&w->prompts, c) - 1) > 0)
            weight = vka_prompts_weights(&w->prompts, c);
    vka_status st = vka_guide_make(&w->guide, parts, weight, w->setup.cfg_is_one, w->setup.pag, w->setup.cfg_rescale, err);
    w->branches = st == VKA_OK ? vka_guide_branches(&w->guide) : 0;
    if (st == VKA_OK && w->guide.perturbed && (w->setup.unet->mid_resnets < 2 || !w->setup.unet->mid_depth))
        st = vka_fail(err, VKA_E_USAGE, "--pag has nothing to perturb: this UNet has no attention in its middle block");
    return st;
}

static vka_status read_texts(struct vka_work *w, vka_error *err)
{
    struct vka_setup *s = &w->setup;
    uint32_t width = s->text->hidden, wants = s->unet->cross_attention_dim;
    vka_status st = vka_setup_texts(s, &w->texts, &w->prompts, vka_sampler_steps(s->sampler), true, &w->cx->log, err);
    w->prompts.width = width;
    if (st == VKA_OK && wants && width != wants)
        st = vka_fail(err, VKA_E_INPUT, "the text encoder is %u wide, the UNet wants %u", width, wants);
    return st == VKA_OK ? make_guide(w, w->prompts.conds, err) : st;
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

static vka_status open_controls(struct vka_work *w, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    vka_status st = vka_controls_begin(&w->controls, s, s->frames, s->height / s->factor, s->width / s->factor, err);
    if (st == VKA_OK)
        st = vka_controls_load(&w->controls, s, s->width, s->height, err);
    w->encodes = w->encodes || vka_controls_to_encode(&w->controls);
    return st;
}

vka_status vka_work_device(struct vka_work *w, const vka_gpu_info *info, vka_gpu *gpu, vka_error *err)
{
    if (info)
        w->info = *info;
    struct vka_room room = vka_room_decide(w->job, info, &w->cx->log);
    w->budget = room.device;
    w->host_budget = room.host;
    return vka_setup_kernels(&w->setup, info, gpu, &w->cx->log, &w->table, &w->f16, err);
}

vka_status vka_work_open(struct vka_work *w, vka_context *cx, const vka_job *job, vka_error *err)
{
    *w = (struct vka_work){.cx = cx, .job = job};
    unsigned text = job->embeds ? 0 : VKA_NEED_TEXT; /* --embeds stands for the text encoder */
    unsigned names = cx->params.names_only ? VKA_NEED_NAMES : 0;
    vka_status st = vka_setup_open(&w->setup, job, VKA_NEED_UNET | VKA_NEED_VAE | VKA_NEED_CLIP | text | names, &cx->log, err);
    if (st != VKA_OK)
        return st;
    st = make_guide(w, 1, err);
    uint32_t takes = w->setup.unet->in_channels;
    if (st == VKA_OK && takes != w->setup.unet->out_channels) {
        const char *what = takes == 9 ? "inpainting" : takes == 8 ? "instruct-pix2pix" : "such";
        st = vka_fail(err, VKA_E_INPUT, "the UNet of '%s' takes %u channels: %s models cannot render from a prompt alone",
                      w->setup.model_path, (unsigned)takes, what);
        vka_error_why(err, "beside the noise they want %s, which this version cannot give",
                      takes == 9 ? "a mask and a masked picture" : takes == 8 ? "a picture to change" : "other pictures");
    }
    if (st == VKA_OK && job->embeds)
        st = read_embeds(w, err);
    if (st == VKA_OK)
        st = read_files(w, err);
    if (st == VKA_OK && !job->embeds)
        st = read_texts(w, err);
    if (st == VKA_OK)
        st = open_controls(w, err);
    if (st == VKA_OK)
        st = vka_init_open(&w->init, job, w->setup.frames, w->setup.width, w->setup.height, w->setup.factor,
                           w->setup.vae->latent_channels, err);
    w->encodes = w->encodes || w->init.any;
    for (uint32_t i = 0; i <= w->setup.freeinit.rounds; i++) {
        const vka_sampler *fewer = i < w->setup.freeinit.rounds ? w->setup.freeinit.sampler[i] : NULL;
        w->pass[w->passes++] = (struct vka_pass){.sampler = fewer ? fewer : w->setup.sampler, .again = i > 0};
    }
    if (w->setup.hires.sampler)
        w->pass[w->passes++] = (struct vka_pass){.sampler = w->setup.hires.sampler, .hires = true};
    if (w->setup.by_frame)
        w->passes = w->setup.frames;
    return st;
}

/* Whether the second pass begins from pictures. */
static bool enlarges_pictures(const struct vka_work *w)
{
    return w->setup.hires.sampler && w->setup.hires.upscaler == VKA_HIRES_PICTURE;
}

vka_status vka_work_build(struct vka_work *w, vka_error *err)
{
    struct vka_setup *s = &w->setup;
    uint32_t h = s->height / s->factor, wd = s->width / s->factor;
    vka_status st = VKA_OK;
    if (!w->job->embeds)
        st = vka_text_stage_build_extra(&w->text, vka_model_weights(s->model, VKA_PART_TEXT, NULL), s->text, s->skip,
                                        w->texts.chunks, w->texts.length,
                                        &(struct vka_extra_tokens){s->embeddings.rows, s->embeddings.extra}, w->f16,
                                        &w->table, err);
    if (st == VKA_OK)
        st = vka_work_vision_build(w, err);
    if (st == VKA_OK) {
        struct vka_unet_stage_params p = {
            .weights = vka_model_weights(s->model, VKA_PART_UNET, NULL),
            .motion_weights = s->motion ? vka_motion_weights(s->motion) : NULL,
            .config = s->unet,
            .motion = s->motion_idle ? NULL : s->motion_info,
            .norms = s->norms,
            .frames = s->frames,
            .height = h,
            .width = wd,
            .branches = w->branches,
            .guide = &w->guide,
            .prompts = vka_prompts_held(&w->prompts, w->guide.unguided),
            .tokens = w->prompts.tokens,
            .text_width = w->prompts.width,
            .f16 = w->f16,
            .sampler = s->sampler,
            .table = w->table,
            .window = s->windows,
            .travels = vka_prompts_travels(&w->prompts),
            .holds = vka_init_holds(&w->init),
            .motion_windows = s->motion_windows,
            .by_frame = s->by_frame,
            .slice = s->by_frame ? 1 : 0,
        };
        float *scale, *effect, *cfg = s->cfg_frames ? vka_calloc(s->frames, sizeof *cfg) : NULL;
        for (uint32_t f = 0; cfg && f < s->frames; f++)
            cfg[f] = (float)s->cfg_frames[f];
        st = vka_setup_amounts(s, s->frames, &scale, &effect, err);
        if (st == VKA_OK && s->cfg_frames && !cfg)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        p.cfg = cfg;
        p.motion_scale = scale;
        p.motion_effect = effect;
        vka_controls_enter(&w->controls, s, &p);
        struct vka_work_ips ips = {.picture = {NULL}};
        if (st == VKA_OK)
            st = vka_work_ips_take(w, &p, &ips, err);
        p.low_rank = s->travel;
        p.low_rank_value = p.value_count;
        float *weights[VKA_LORA_TRAVELLERS] = {NULL};
        for (size_t i = 0; st == VKA_OK && s->travel && i < vka_lora_travel_count(s->travel); i++) {
            st = vka_setup_lora_values(s, i, s->frames, &weights[i], err);
            if (st == VKA_OK)
                p.values[p.value_count++] = (struct vka_frame_values){.frame = weights[i], .end = 1};
        }
        if (st == VKA_OK)
            st = vka_unet_stage_build(&w->unet, &p, err);
        if (st == VKA_OK && s->hires.sampler) { /* hints and held pictures are of the first size */
            p.sampler = s->hires.sampler;
            p.height = s->hires.height / s->factor;
            p.width = s->hires.width / s->factor;
            p.control_count = 0;
            p.holds = false;
            st = vka_unet_stage_build(&w->hires, &p, err);
        }
        vka_work_ips_free(&ips);
        free(scale);
        free(effect);
        free(cfg);
        for (size_t i = 0; i < VKA_LORA_TRAVELLERS; i++)
            free(weights[i]);
    }
    if (st == VKA_OK && s->freeinit.rounds)
        st = vka_freeinit_build(&w->freeinit, s->frames, s->unet->in_channels, h, wd, NULL, &w->table, err);
    if (st == VKA_OK && s->by_frame)
        st = vka_previous_build(w, err);
    if (st == VKA_OK && w->encodes)
        st = vka_vae_stage_build(&w->encode, VKA_VAE_ENCODE, vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, 1,
                                 s->height, s->width, vka_setup_vae_f16(s, w->f16), &w->table, err);
    if (st == VKA_OK && enlarges_pictures(w)) {
        vka_weights *vae = vka_model_weights(s->vae_model, VKA_PART_VAE, NULL);
        bool f16 = vka_setup_vae_f16(s, w->f16);
        st = vka_vae_stage_build(&w->hires_decode, VKA_VAE_PICTURES, vae, s->vae, 1, h, wd, f16, &w->table, err);
        if (st == VKA_OK)
            st = vka_vae_stage_build(&w->hires_encode, VKA_VAE_ENCODE, vae, s->vae, 1, s->hires.height, s->hires.width, f16, &w->table,
                                     err);
    }
    if (st == VKA_OK) /* one frame, run once for each */
        st = vka_vae_stage_build(&w->vae, VKA_VAE_PICTURES, vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, 1,
                                 vka_setup_out_height(s) / s->factor, vka_setup_out_width(s) / s->factor,
                                 vka_setup_vae_f16(s, w->f16), &w->table, err);
    if (st == VKA_OK && vka_work_between(w))
        st = vka_between_stage_build(&w->between, (uint32_t)w->job->interpolate - 1, vka_setup_out_height(s),
                                     vka_setup_out_width(s), &w->table, err);
    return st;
}

/* The UNet, and what mixes noises between its passes: both are there at once. */
static vka_status ask_unet(struct vka_work *w, const struct vka_ask *ask, vka_error *err)
{
    if (w->setup.by_frame)
        return vka_previous_ask(w, ask, err);
    struct vka_ask rest = *ask;
    vka_status st = w->setup.freeinit.rounds ? vka_freeinit_ask(&w->freeinit, ask, &w->freeinit_need, err) : VKA_OK;
    rest.room.device -= w->freeinit_need < rest.room.device ? w->freeinit_need : rest.room.device;
    if (st == VKA_OK)
        st = vka_unet_stage_choose(&w->unet, &rest, &w->need[VKA_AT_UNET], err);
    w->need[VKA_AT_UNET] += w->freeinit_need;
    return st;
}

static vka_status ask_stage(struct vka_work *w, enum vka_stage_index stage, const struct vka_ask *ask, vka_error *err)
{
    struct vka_stage_view view;
    vka_status st = VKA_OK;
    if (!vka_work_view(w, stage, &view))
        return VKA_OK;
    switch (stage) {
    case VKA_AT_TEXT:
        st = vka_text_stage_ask(&w->text, ask, &w->need[stage], err);
        break;
    case VKA_AT_VISION:
        st = vka_vision_stage_ask(&w->vision, ask, &w->need[stage], err);
        break;
    case VKA_AT_ENCODE:
        st = vka_vae_stage_ask(&w->encode, ask, &w->need[stage], err);
        break;
    case VKA_AT_UNET:
        st = ask_unet(w, ask, err);
        break;
    case VKA_AT_HIRES_DECODE:
        st = vka_vae_stage_ask(&w->hires_decode, ask, &w->need[stage], err);
        break;
    case VKA_AT_HIRES_ENCODE:
        st = vka_vae_stage_ask(&w->hires_encode, ask, &w->need[stage], err);
        break;
    case VKA_AT_HIRES:
        st = vka_unet_stage_choose(&w->hires, ask, &w->need[stage], err);
        break;
    case VKA_AT_VAE:
        st = vka_vae_stage_ask(&w->vae, ask, &w->need[stage], err);
        break;
    case VKA_AT_BETWEEN:
        st = vka_between_stage_ask(&w->between, ask, &w->need[stage], err);
        break;
    case VKA_STAGES:
        break;
    }
    if (st == VKA_OK && vka_work_view(w, stage, &view))
        w->host[stage] = view.run->plan->host_bytes + view.host_state;
    return st;
}

bool vka_work_view(const struct vka_work *w, enum vka_stage_index stage, struct vka_stage_view *v)
{
    switch (stage) {
    case VKA_AT_TEXT: /* --embeds stands for it */
        *v = (struct vka_stage_view){"text", "text encoder", &w->text.run, w->text.io.bytes, 0};
        return !w->job->embeds;
    case VKA_AT_VISION: {
        const struct vka_vision_net *n = vka_vision_stage_largest(&w->vision);
        *v = (struct vka_stage_view){"vision", "image encoder", &n->run, n->io.bytes, 0};
        return w->setup.ip_count > 0;
    }
    case VKA_AT_ENCODE:
        *v = (struct vka_stage_view){"encode", "VAE's encoder", &w->encode.run, w->encode.io.bytes, 0};
        return w->encodes;
    case VKA_AT_UNET:
        *v = (struct vka_stage_view){"unet", "UNet", &w->unet.unet, w->unet.io.bytes + w->freeinit_need + w->previous_need,
                                     vka_unet_stage_host_bytes(&w->unet) + vka_init_bytes(&w->init) + vka_previous_host(w)};
        return true;
    case VKA_AT_HIRES_DECODE:
        *v = (struct vka_stage_view){"hires_decode", "VAE between the passes", &w->hires_decode.run, w->hires_decode.io.bytes, 0};
        return enlarges_pictures(w);
    case VKA_AT_HIRES_ENCODE:
        *v = (struct vka_stage_view){"hires_encode", "VAE's encoder between the passes", &w->hires_encode.run, w->hires_encode.io.bytes,
                                     0};
        return enlarges_pictures(w);
    case VKA_AT_HIRES:
        *v = (struct vka_stage_view){"hires", "UNet of the second pass", &w->hires.unet, w->hires.io.bytes, 0};
        if (!w->setup.hires.sampler)
            return false;
        v->host_state = vka_unet_stage_host_bytes(&w->hires);
        return true;
    case VKA_AT_VAE:
        *v = (struct vka_stage_view){"vae", "VAE", &w->vae.run, w->vae.io.bytes, 0};
        return true;
    case VKA_AT_BETWEEN:
        *v = (struct vka_stage_view){"between", "frames between", &w->between.run, w->between.io.bytes, 0};
        return vka_work_between(w);
    case VKA_STAGES:
        break;
    }
    return false;
}

/* They run in turn: what is planned is the largest. */
static void add_up(struct vka_work *w)
{
    w->planned = w->host_planned = 0;
    for (int i = 0; i < VKA_STAGES; i++) {
        w->planned = w->need[i] > w->planned ? w->need[i] : w->planned;
        w->host_planned = w->host[i] > w->host_planned ? w->host[i] : w->host_planned;
    }
}

vka_status vka_work_ask(struct vka_work *w, const struct vka_ask *ask, vka_error *err)
{
    vka_status st = VKA_OK;
    memset(w->need, 0, sizeof w->need);
    memset(w->host, 0, sizeof w->host);
    w->planned = w->host_planned = 0;
    for (int i = 0; st == VKA_OK && i < VKA_STAGES; i++)
        st = ask_stage(w, (enum vka_stage_index)i, ask, err);
    if (st == VKA_OK)
        add_up(w);
    return st;
}

vka_status vka_work_plan_stage(struct vka_work *w, enum vka_stage_index stage, uint64_t budget, vka_error *err)
{
    vka_status st = ask_stage(w, stage, &(struct vka_ask){.room = {budget, w->host_budget}}, err);
    if (st == VKA_OK)
        add_up(w);
    return st;
}

vka_status vka_work_plan(struct vka_work *w, uint64_t budget, vka_error *err)
{
    return vka_work_ask(w, &(struct vka_ask){.room = {budget, w->host_budget}}, err);
}

bool vka_work_fits(const struct vka_work *w) { return w->planned <= w->budget && w->host_planned <= w->host_budget; }

enum vka_stage_index vka_work_peak(const struct vka_work *w)
{
    int which = 0;
    for (int i = 1; i < VKA_STAGES; i++)
        which = w->need[i] > w->need[which] ? i : which;
    return (enum vka_stage_index)which;
}

void vka_work_end_stages(struct vka_work *w)
{
    vka_text_stage_end(&w->text);
    vka_vision_stage_end(&w->vision);
    vka_vae_stage_end(&w->encode);
    vka_unet_stage_end(&w->unet);
    vka_vae_stage_end(&w->hires_decode);
    vka_vae_stage_end(&w->hires_encode);
    vka_unet_stage_end(&w->hires);
    vka_freeinit_end(&w->freeinit);
    vka_vae_stage_end(&w->previous);
    vka_vae_stage_end(&w->vae);
    vka_between_stage_end(&w->between);
}

struct vka_work vka_work_alike(const struct vka_work *w)
{
    struct vka_work t = *w;
    memset(&t.text, 0, sizeof t.text);
    memset(&t.vision, 0, sizeof t.vision);
    memset(&t.encode, 0, sizeof t.encode);
    memset(&t.unet, 0, sizeof t.unet);
    memset(&t.hires_decode, 0, sizeof t.hires_decode);
    memset(&t.hires_encode, 0, sizeof t.hires_encode);
    memset(&t.hires, 0, sizeof t.hires);
    memset(&t.freeinit, 0, sizeof t.freeinit);
    memset(&t.previous, 0, sizeof t.previous);
    memset(&t.vae, 0, sizeof t.vae);
    memset(&t.between, 0, sizeof t.between);
    return t;
}

bool vka_work_between(const struct vka_work *w) { return w->job->interpolate > 1; }

uint32_t vka_work_steps(const struct vka_work *w)
{
    uint32_t steps = 0;
    for (uint32_t i = 0; i < w->passes; i++)
        steps += vka_sampler_steps(vka_work_pass(w, i)->sampler);
    return steps;
}

vka_status vka_work_does_not_fit(struct vka_work *w, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    struct vka_stage_view most;
    char hint[200];
    vka_work_view(w, vka_work_peak(w), &most);
    if (w->planned > w->budget) {
        vka_fail(err, VKA_E_MEMORY, "this clip does not fit: %u frames of %u x %u need %.1f MiB, the budget is %.1f MiB",
                 s->frames, s->width, s->height, (double)w->planned / 1048576, (double)w->budget / 1048576);
        vka_error_why(err, "that is the smallest plan; the %s needs the most", most.name);
    } else {
        vka_fail(err, VKA_E_MEMORY,
                 "this clip does not fit: %u frames of %u x %u need %.1f MiB of host memory, of which %.1f MiB may be taken",
                 s->frames, s->width, s->height, (double)w->host_planned / 1048576, (double)w->host_budget / 1048576);
        vka_error_why(err, "weights and clip state that the device has no room for wait there; half of what is available "
                           "is for them");
    }
    vka_nearest_find(w, &w->nearest);
    vka_nearest_hint(w, &w->nearest, hint, sizeof hint);
    vka_error_hint(err, "%s", hint);
    return VKA_E_MEMORY;
}

void vka_work_close(struct vka_work *w)
{
    vka_work_end_stages(w);
    vka_controls_end(&w->controls);
    for (int i = 0; i < VKA_MAX_IPS; i++)
        free(w->ip_tokens[i]);
    vka_texts_free(&w->texts);
    vka_prompts_free(&w->prompts);
    vka_safetensors_close(&w->step_noise);
    vka_init_close(&w->init);
    free(w->noise);
    if (w->setup.model)
        vka_setup_close(&w->setup);
}
