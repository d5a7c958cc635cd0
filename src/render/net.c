/* net.c - one network alone, tensors in and tensors out: `vkanim net`.  See vkanim_lab.h. */
#include "render/controls.h"
#include "render/report.h"
#include "render/room.h"
#include "render/setup.h"
#include "render/setup_ip.h"
#include "render/stages.h"
#include "render/tensors.h"
#include "render/vision_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim_lab.h>

enum { NET_STEPS = 25 }; /* of a prompt's schedule: a render's default */

struct net_call {
    vka_context *cx;
    struct vka_setup setup;
    vka_gpu *gpu;
    struct vka_kernel_table table;
    bool f16;
    uint64_t budget, planned;
    vka_safetensors in;
    vka_tensor_file out;
    struct vka_texts texts; /* of net text */
    struct vka_prompts prompts;
};

static vka_status too_big(uint64_t need, uint64_t budget, vka_error *err)
{
    vka_fail(err, VKA_E_MEMORY, "this does not fit: the smallest plan takes %.1f MiB, the budget is %.1f MiB",
             (double)need / 1048576, (double)budget / 1048576);
    vka_error_hint(err, "--vram %.0fM, fewer frames, or a smaller picture", ceil((double)need / 1048576));
    return VKA_E_MEMORY;
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* The prompt, as a render has it in its first step; of several parts the first. */
static vka_status run_text(struct net_call *c, vka_error *err)
{
    struct vka_setup *s = &c->setup;
    const struct vka_texts *t = &c->texts;
    struct vka_text_stage stage = {0};
    vka_status st = vka_text_stage_build_extra(&stage, vka_model_weights(s->model, VKA_PART_TEXT, NULL), s->text, s->skip, t->chunks,
                                               t->length, &(struct vka_extra_tokens){s->embeddings.rows, s->embeddings.extra},
                                               c->f16, &c->table, err);
    if (st == VKA_OK)
        st = vka_text_stage_plan(&stage, c->budget, &c->planned, err);
    if (st == VKA_OK && c->planned > c->budget)
        st = too_big(c->planned, c->budget, err);
    size_t values = (size_t)t->chunks * t->length * s->text->hidden;
    float *out = st == VKA_OK ? vka_calloc(values, sizeof *out) : NULL;
    uint32_t *ids = vka_calloc(c->prompts.tokens, sizeof *ids);
    if (st == VKA_OK && (!out || !ids))
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_text_stage_run(&stage, c->gpu, t->ids, out, &c->cx->ticker, &c->cx->log, err);
    if (st == VKA_OK && !all_finite(out, values))
        st = vka_fail(err, VKA_E_VERIFY, "the text encoder's output holds NaN or Inf");
    if (st == VKA_OK)
        st = vka_texts_rows(t, out, s->text->hidden, &c->prompts, err);
    if (st == VKA_OK) {
        uint32_t row = vka_prompts_row(&c->prompts, 0, 1, 0);
        vka_texts_ids(t, row, ids);
        vka_tensor_file_add(&c->out, "tokens", VKA_WEIGHT_I32, 2, (uint64_t[]){t->row_chunks, t->length}, ids);
        vka_tensor_file_add(&c->out, "cond", VKA_WEIGHT_F32, 3, (uint64_t[]){1, c->prompts.tokens, c->prompts.width},
                            c->prompts.rows + (size_t)row * c->prompts.tokens * c->prompts.width);
    }
    vka_text_stage_end(&stage);
    free(out);
    free(ids);
    return st;
}

/* The image prompts of net unet: tensors "image0" [1 or F, tokens, width] ..., for every frame or all of them. */
struct net_ips {
    float *tokens[VKA_MAX_IPS], *weight[VKA_MAX_IPS];
    int32_t *picture[VKA_MAX_IPS];
};

static vka_status read_ips(struct net_call *c, uint32_t frames, struct vka_unet_stage_params *p, struct net_ips *in, vka_error *err)
{
    const struct vka_setup *s = &c->setup;
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < s->ip_count; i++) {
        const vka_ip_info *info = vka_ip_adapter_describe(s->ips[i].file);
        uint32_t n = 0, tokens = info->tokens, width = info->width;
        float *read = NULL;
        char name[16];
        snprintf(name, sizeof name, "image%u", (unsigned)i);
        st = vka_read_embeds(&c->in, name, &n, &tokens, &width, &read, err);
        if (st == VKA_OK && n != 1 && n != frames)
            st = vka_fail(err, VKA_E_INPUT, "'%s' is of %u pictures for %u frames: 1 or %u are wanted", name, n, frames, frames);
        if (st == VKA_OK) /* the row of no picture is not used */
            in->tokens[i] = vka_calloc(((size_t)n + 1) * tokens * width, sizeof(float));
        if (in->tokens[i])
            memcpy(in->tokens[i], read, (size_t)n * tokens * width * sizeof *read);
        else if (st == VKA_OK)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        free(read);
        if (st == VKA_OK)
            st = vka_setup_ip_frames(s, i, frames, &in->picture[i], &in->weight[i], err);
        for (uint32_t f = 0; st == VKA_OK && f < frames; f++)
            in->picture[i][f] = n > 1 ? (int32_t)f : 0;
        p->ips[i] = (struct vka_unet_ip){.pairs = vka_ip_adapter_pairs(s->ips[i].file), .pictures = n, .tokens = tokens,
                                         .picture = in->picture[i], .context = &in->tokens[i], .value = p->value_count};
        p->values[p->value_count++] = (struct vka_frame_values){.frame = in->weight[i], .end = 1};
        p->ip_count = i + 1;
    }
    return st;
}

static void free_ips(struct net_ips *in)
{
    for (int i = 0; i < VKA_MAX_IPS; i++) {
        free(in->tokens[i]);
        free(in->weight[i]);
        free(in->picture[i]);
    }
}

static vka_status run_unet(struct net_call *c, vka_error *err)
{
    struct vka_setup *s = &c->setup;
    uint32_t f = 0, ch = s->unet->in_channels, h = 0, w = 0, prompts = 0, tokens = 0, width = s->unet->cross_attention_dim;
    float *sample = NULL, *cond = NULL, *eps = NULL, timestep = 0;
    int32_t *index = NULL;
    struct vka_unet_stage stage = {0};
    struct vka_controls controls = {0};
    struct net_ips ips = {.tokens = {NULL}};
    vka_status st = vka_read_clip(&c->in, "sample", &f, &ch, &h, &w, &sample, err);
    if (st == VKA_OK)
        st = vka_read_embeds(&c->in, "cond", &prompts, &tokens, &width, &cond, err);
    if (st == VKA_OK)
        st = vka_read_scalar(&c->in, "timestep", &timestep, err);
    if (st == VKA_OK && prompts != 1 && prompts != f)
        st = vka_fail(err, VKA_E_INPUT, "'cond' has %u prompts for %u frames: 1 or %u are wanted", prompts, f, f);
    uint32_t most = s->motion_info && !s->motion_idle ? s->motion_info->pe_length : 0;
    struct vka_frame_windows windows = {0};
    if (st == VKA_OK)
        st = vka_setup_freenoise(s, &windows, err);
    if (st == VKA_OK && most && f > most && !vka_frame_windows_used(&windows, f))
        st = vka_fail(err, VKA_E_USAGE, "%u frames are more than the %u of the motion module's positional table", f, most);
    if (st == VKA_OK)
        st = vka_controls_begin(&controls, s, f, h, w, err);
    if (st == VKA_OK)
        st = vka_controls_read(&controls, &c->in, err);
    if (st == VKA_OK) {
        struct vka_unet_stage_params p = {
            .weights = vka_model_weights(s->model, VKA_PART_UNET, NULL),
            .motion_weights = s->motion ? vka_motion_weights(s->motion) : NULL,
            .config = s->unet,
            .motion = s->motion_idle ? NULL : s->motion_info,
            .norms = s->norms,
            .frames = f,
            .height = h,
            .width = w,
            .branches = 1,
            .prompts = prompts,
            .tokens = tokens,
            .text_width = width,
            .f16 = c->f16,
            .table = c->table,
            .motion_windows = windows,
        };
        float *scale, *effect;
        st = vka_setup_amounts(s, f, &scale, &effect, err);
        p.motion_scale = scale;
        p.motion_effect = effect;
        vka_controls_enter(&controls, s, &p);
        if (st == VKA_OK)
            st = read_ips(c, f, &p, &ips, err);
        if (st == VKA_OK)
            st = vka_unet_stage_build(&stage, &p, err);
        free(scale);
        free(effect);
    }
    if (st == VKA_OK)
        st = vka_unet_stage_plan(&stage, c->budget, &c->planned, err);
    if (st == VKA_OK && c->planned > c->budget)
        st = too_big(c->planned, c->budget, err);
    if (st == VKA_OK)
        st = vka_unet_stage_start(&stage, c->gpu, &c->cx->ticker, err);
    size_t count = (size_t)f * s->unet->out_channels * h * w;
    if (st == VKA_OK) {
        eps = vka_calloc(count, sizeof *eps);
        index = vka_calloc(f, sizeof *index);
        if (!eps || !index)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    if (st == VKA_OK) {
        for (uint32_t i = 0; i < f; i++)
            index[i] = prompts > 1 ? (int32_t)i : 0;
        st = vka_unet_stage_prompt(&stage, cond, index, err);
    }
    if (st == VKA_OK)
        st = vka_unet_stage_once(&stage, sample, timestep, eps, &c->cx->ticker, err);
    if (st == VKA_OK) {
        vka_exec_times(stage.unet.exec, &c->cx->log);
        if (!all_finite(eps, count))
            st = vka_fail(err, VKA_E_VERIFY, "the UNet's output holds NaN or Inf");
        vka_tensor_file_add(&c->out, "eps", VKA_WEIGHT_F32, 4, (uint64_t[]){f, s->unet->out_channels, h, w}, eps);
    }
    vka_unet_stage_end(&stage);
    vka_controls_end(&controls);
    free_ips(&ips);
    free(sample);
    free(cond);
    free(eps);
    free(index);
    return st;
}

static vka_status run_vae(struct net_call *c, bool encode, vka_error *err)
{
    struct vka_setup *s = &c->setup;
    uint32_t f = 0, ch = s->vae->latent_channels, h = 0, w = 0;
    float *in = NULL, *out = NULL;
    bool bad = false;
    struct vka_vae_stage stage = {0};
    vka_status st = encode ? vka_read_frames(&c->in, "frames", &f, &h, &w, &in, err)
                           : vka_read_clip(&c->in, "latents", &f, &ch, &h, &w, &in, err);
    if (st == VKA_OK && encode && (h % s->factor || w % s->factor))
        st = vka_fail(err, VKA_E_INPUT, "frames of %u x %u pixels: both must be multiples of %u", w, h, s->factor);
    if (st == VKA_OK)
        st = vka_vae_stage_build(&stage, encode ? VKA_VAE_ENCODE : VKA_VAE_DECODE,
                                 vka_model_weights(s->vae_model, VKA_PART_VAE, NULL), s->vae, f, h, w,
                                 vka_setup_vae_f16(s, c->f16), &c->table, err);
    if (st == VKA_OK)
        st = vka_vae_stage_plan(&stage, c->budget, &c->planned, err);
    if (st == VKA_OK && c->planned > c->budget)
        st = too_big(c->planned, c->budget, err);
    if (st == VKA_OK)
        st = vka_vae_stage_start(&stage, c->gpu, &c->cx->ticker, err);
    if (st == VKA_OK) {
        out = vka_calloc((size_t)f * stage.out_h * stage.out_w * stage.out_c, sizeof *out);
        st = out ? vka_vae_stage_run(&stage, in, out, &bad, &c->cx->ticker, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    if (st == VKA_OK) {
        vka_exec_times(stage.run.exec, &c->cx->log);
        if (bad)
            st = vka_fail(err, VKA_E_VERIFY, "the VAE's output holds NaN or Inf");
        if (encode)
            vka_tensor_file_add(&c->out, "latents", VKA_WEIGHT_F32, 4,
                                (uint64_t[]){f, s->vae->latent_channels, stage.out_h, stage.out_w}, out);
        else
            vka_tensor_file_add(&c->out, "frames", VKA_WEIGHT_F32, 4, (uint64_t[]){f, stage.out_h, stage.out_w, stage.out_c},
                                out);
    }
    vka_vae_stage_end(&stage);
    free(in);
    free(out);
    return st;
}

/* Normed pictures [n, 3, S, S] through the image encoder, and through the IP-Adapters' projections: their tokens, the last of which
 * are those of no picture. */
static vka_status run_vision(struct net_call *c, vka_error *err)
{
    struct vka_setup *s = &c->setup;
    const vka_vision_config *config = vka_vision_describe(s->vision);
    uint32_t n = 0, channels = 3, side[2] = {config->image, config->image}, patches = config->image / config->patch;
    size_t numbers = (size_t)3 * config->image * config->image;
    float *pixels = NULL, *unfolded = NULL, *embeds = NULL, *hidden = NULL, *tokens[VKA_MAX_IPS] = {0};
    struct vka_vision_stage stage = {0};
    struct vka_vision_params p = {.weights = vka_vision_weights(s->vision), .config = config, .outputs = true, .f16 = c->f16,
                                  .table = c->table};
    vka_status st = vka_read_clip(&c->in, "pixels", &n, &channels, &side[0], &side[1], &pixels, err);
    if (st == VKA_OK && s->ip_count > 1)
        st = vka_fail(err, VKA_E_USAGE, "net vision takes one --ip-adapter");
    if (st == VKA_OK && s->ip_count)
        p.ips[p.ip_count++] = (struct vka_vision_ip){vka_ip_adapter_projection(s->ips[0].file), vka_ip_adapter_describe(s->ips[0].file), n};
    if (st == VKA_OK)
        st = vka_vision_stage_build(&stage, &p, err);
    if (st == VKA_OK)
        st = vka_vision_stage_ask(&stage, &(struct vka_ask){.room = {c->budget, UINT64_MAX}}, &c->planned, err);
    if (st == VKA_OK && c->planned > c->budget)
        st = too_big(c->planned, c->budget, err);
    uint64_t rows = (uint64_t)patches * patches + 1, count = p.ip_count ? vka_vision_stage_tokens(&stage, 0) : 0;
    uint64_t width = p.ip_count ? p.ips[0].info->width : 0;
    if (st == VKA_OK) {
        unfolded = vka_calloc(n * numbers, sizeof *unfolded);
        embeds = vka_calloc((size_t)n * config->projection + 1, sizeof *embeds);
        hidden = vka_calloc((size_t)(n * rows * config->hidden), sizeof *hidden);
        tokens[0] = vka_calloc((size_t)((n + 1) * count * width) + 1, sizeof(float));
        st = unfolded && embeds && hidden && tokens[0] ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; st == VKA_OK && i < n; i++)
        vka_vision_unfold_planes(config, pixels + i * numbers, unfolded + i * numbers);
    if (st == VKA_OK)
        st = vka_vision_stage_run(&stage, c->gpu, unfolded, n, tokens, config->projection ? embeds : NULL, hidden, &c->cx->ticker,
                                  &c->cx->log, err);
    if (st == VKA_OK && !all_finite(hidden, (size_t)(n * rows * config->hidden)))
        st = vka_fail(err, VKA_E_VERIFY, "the image encoder's output holds NaN or Inf");
    if (st == VKA_OK) {
        if (config->projection)
            vka_tensor_file_add(&c->out, "embeds", VKA_WEIGHT_F32, 2, (uint64_t[]){n, config->projection}, embeds);
        vka_tensor_file_add(&c->out, "hidden", VKA_WEIGHT_F32, 3, (uint64_t[]){n, rows, config->hidden}, hidden);
        if (p.ip_count)
            vka_tensor_file_add(&c->out, "tokens", VKA_WEIGHT_F32, 3, (uint64_t[]){n + 1, count, width}, tokens[0]);
    }
    vka_vision_stage_end(&stage);
    free(pixels);
    free(unfolded);
    free(embeds);
    free(hidden);
    free(tokens[0]);
    return st;
}

vka_status vka_net(vka_context *cx, const vka_job *job, const char *net, const char *in, const char *out, char **report,
                   vka_error *err)
{
    static const struct {
        const char *name;
        unsigned needs;
    } nets[] = {{"text", VKA_NEED_TEXT}, {"unet", VKA_NEED_UNET}, {"vae-decode", VKA_NEED_VAE}, {"vae-encode", VKA_NEED_VAE},
              {"vision", VKA_NEED_VISION}};
    struct net_call c = {.cx = cx};
    int which = -1;
    *report = NULL;
    for (int i = 0; i < (int)(sizeof nets / sizeof *nets); i++)
        if (!strcmp(net, nets[i].name))
            which = i;
    if (which < 0) {
        vka_fail(err, VKA_E_USAGE, "there is no network '%s'", net);
        vka_error_hint(err, "text, unet, vae-decode, vae-encode or vision");
        return VKA_E_USAGE;
    }
    if (!out || !*out)
        return vka_fail(err, VKA_E_USAGE, "net %s needs --out FILE", net);
    if (which != 0 && (!in || !*in))
        return vka_fail(err, VKA_E_USAGE, "net %s needs --in FILE", net);
    vka_context_begin(cx);
    vka_status st = vka_setup_open(&c.setup, job, nets[which].needs, &cx->log, err);
    bool open = st == VKA_OK;
    if (st == VKA_OK && which == 0)
        st = vka_setup_texts(&c.setup, &c.texts, &c.prompts, NET_STEPS, false, &cx->log, err);
    if (open)
        vka_setup_hash_begin(&c.setup);
    if (st == VKA_OK && which != 0)
        st = vka_safetensors_open(&c.in, in, err);
    if (st == VKA_OK)
        st = vka_context_open_gpu(cx, job->device, &c.gpu, err);
    if (st == VKA_OK) {
        const vka_gpu_info *info = vka_gpu_describe(c.gpu);
        c.budget = vka_room_decide(job, info, &cx->log).device;
        st = vka_setup_kernels(&c.setup, info, c.gpu, &cx->log, &c.table, &c.f16, err);
    }
    if (st == VKA_OK)
        st = which == 0   ? run_text(&c, err)
             : which == 1 ? run_unet(&c, err)
             : which == 4 ? run_vision(&c, err)
                          : run_vae(&c, which == 3, err);
    if (st == VKA_OK)
        vka_setup_report_unused(&c.setup, &cx->log);
    if (st == VKA_OK)
        st = vka_tensor_file_write(&c.out, out, err);
    if (st == VKA_OK) {
        uint64_t peak;
        json_t *r = vka_report_begin("net"), *models = vka_setup_models_json(&c.setup, true, err);
        vka_gpu_device_bytes(c.gpu, &peak);
        json_object_set_new(r, "net", json_string(net));
        json_object_set_new(r, "out", json_string(out));
        json_object_set_new(r, "precision", json_string(c.f16 ? "f16" : "f32"));
        json_object_set_new(r, "models", models ? models : json_array());
        json_object_set_new(r, "device", vka_report_device(vka_gpu_describe(c.gpu), c.table.path));
        json_object_set_new(r, "memory", vka_report_memory(c.budget, c.planned, peak));
        *report = vka_report_end(r);
    }
    cx->gpu = NULL;
    vka_gpu_destroy(&c.gpu);
    vka_safetensors_close(&c.in);
    vka_tensor_file_free(&c.out);
    vka_texts_free(&c.texts);
    vka_prompts_free(&c.prompts);
    if (open)
        vka_setup_close(&c.setup);
    return st;
}
