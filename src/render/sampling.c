/* sampling.c - from prompts to latents: the text encoder, the first noise, the sampler's steps, and their trace.
 *
 * After every step the whole sampler (lasting slots, generators, timings) is in host memory, and from there in the job
 * folder as often as that is cheap (state.h): a step that is stopped half way, or lost with its device, costs itself
 * and no other. */
#include "render/run.h"
#include "render/work_ip.h"

#include "base/clock.h"
#include "render/hires.h"
#include "render/previous.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- trace ---------------------------------------------------------------------------------------------- */

/* Of several passes the last one is traced. */
static bool tracing(const struct vka_run *r) { return r->job->trace && r->pass + 1 == r->w.passes; }

/* Latent pixels of a pass. */
static uint32_t height_of(const struct vka_run *r, uint32_t pass)
{
    const struct vka_setup *s = &r->w.setup;
    return (vka_work_pass(&r->w, pass)->hires ? s->hires.height : s->height) / s->factor;
}

static uint32_t width_of(const struct vka_run *r, uint32_t pass)
{
    const struct vka_setup *s = &r->w.setup;
    return (vka_work_pass(&r->w, pass)->hires ? s->hires.width : s->width) / s->factor;
}

static void trace_clip(struct vka_run *r, const char *name, const float *planes)
{
    const struct vka_setup *s = &r->w.setup;
    if (tracing(r))
        vka_tensor_file_add(&r->trace, name, VKA_WEIGHT_F32, 4,
                            (uint64_t[]){s->frames, s->unet->in_channels, height_of(r, r->pass), width_of(r, r->pass)},
                            planes);
}

/* The k-th tensor of its kind in an evaluation's step. */
static void trace_indexed(struct vka_run *r, const char *name, const vka_sampler_eval *e, uint32_t k,
                          const float *planes)
{
    char text[48];
    if (k)
        snprintf(text, sizeof text, "%s.%03u.%u", name, e->step, k);
    else
        snprintf(text, sizeof text, "%s.%03u", name, e->step);
    trace_clip(r, text, planes);
}

/* The context windows of a step; its evaluations share them. */
static void trace_windows(struct vka_run *r, const vka_sampler_eval *e)
{
    const struct vka_windows *w = vka_unet_stage_windows(r->stage);
    char name[32];
    if (!w || e->stage || !tracing(r))
        return;
    snprintf(name, sizeof name, "windows.%03u", e->step);
    vka_tensor_file_add(&r->trace, name, VKA_WEIGHT_I32, 2, (uint64_t[]){w->count, w->length}, w->frame);
}

/* ---- numbers that are none ------------------------------------------------------------------------------- */

/* Index of the first value that is not finite; n: there is none. */
static size_t first_bad(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

static const char *bad_name(float x)
{
    return isnan(x) ? "NaN" : "infinity";
}

/* The same model would do the same again: nothing is kept. */
static vka_status tell_bad(struct vka_run *r, vka_error *err)
{
    vka_error_hint(err, "%s",
                   r->w.f16 ? "--precision f32, where numbers may be larger; a model file may be damaged too"
                            : "a model file may be damaged: 'vkanim inspect' tells what it is");
    r->hopeless = true;
    return VKA_E_VERIFY;
}

/* What the text encoder made of the prompts. */
static vka_status check_prompts(struct vka_run *r, vka_error *err)
{
    const struct vka_prompts *p = &r->w.prompts;
    size_t row = (size_t)p->tokens * p->width, values = p->count * row, i = first_bad(p->rows, values);
    if (i == values)
        return VKA_OK;
    vka_fail(err, VKA_E_VERIFY, "the text encoder's output for the %s holds %s",
             i / row < p->unconds ? "negative prompt" : "prompt", bad_name(p->rows[i]));
    vka_error_why(err, "the first one is in token %zu", i % row / p->width);
    return tell_bad(r, err);
}

static vka_status check_tensor(const float *x, size_t n, const char *file, const char *name, vka_error *err)
{
    size_t i = x ? first_bad(x, n) : n;
    if (i == n)
        return VKA_OK;
    vka_fail(err, VKA_E_INPUT, "the tensor '%s' of '%.300s' holds %s", name, file, bad_name(x[i]));
    vka_error_why(err, "value %zu of %zu is the first one", i, n);
    return VKA_E_INPUT;
}

/* ---- stages --------------------------------------------------------------------------------------------- */

/* The prompts of the first step, those of every frame where they travel; of several parts the first. */
static void trace_prompts(struct vka_run *r)
{
    static const char *const names[] = {"uncond", "cond"};
    const struct vka_prompts *p = &r->w.prompts;
    size_t row = (size_t)p->tokens * p->width;
    uint32_t frames = r->w.setup.frames;
    float *all = r->job->trace && p->way ? vka_calloc(frames, row * sizeof *all) : NULL;
    r->trace.failed = r->trace.failed || (r->job->trace && p->way && !all);
    for (uint32_t branch = 2; r->job->trace && branch-- > 0;)
        if (all && (branch || p->unconds)) {
            for (uint32_t f = 0; f < frames; f++)
                vka_prompts_frame(p, 0, branch, 0, f, all + f * row);
            vka_tensor_file_add(&r->trace, names[branch], VKA_WEIGHT_F32, 3, (uint64_t[]){frames, p->tokens, p->width}, all);
        } else if (branch || p->unconds)
            vka_tensor_file_add(&r->trace, names[branch], VKA_WEIGHT_F32, 3,
                                (uint64_t[]){vka_max_u32(p->frames[branch], 1), p->tokens, p->width},
                                p->rows + (size_t)vka_prompts_row(p, 0, branch, 0) * p->tokens * p->width);
    free(all);
}

static vka_status run_text(struct vka_run *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    double began = vka_now();
    vka_status st = VKA_OK;
    r->at = VKA_AT_TEXT;
    if (!r->job->embeds && !r->encoded) {
        float *out = vka_calloc((size_t)w->texts.chunks * w->texts.length * w->prompts.width, sizeof *out);
        vka_context_stage(r->cx, "text", 1);
        if (!out)
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
        if (st == VKA_OK)
            st = vka_text_stage_run(&w->text, r->gpu, w->texts.ids, out, &r->cx->ticker, &r->cx->log, err);
        if (st == VKA_OK)
            st = vka_texts_rows(&w->texts, out, w->prompts.width, &w->prompts, err);
        if (st == VKA_OK) {
            r->encoded = true;
            st = check_prompts(r, err);
        }
        free(out);
    }
    if (st == VKA_OK)
        trace_prompts(r);
    r->text_s += vka_now() - began;
    return st;
}

static void encoded(void *user, uint32_t count)
{
    vka_context_done(user, count);
}

/* The hints of controls, made of their pictures. */
static vka_status run_hints(struct vka_run *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    double began = vka_now();
    vka_status st = vka_controls_process(&w->controls, r->gpu, &w->table, w->budget, &r->cx->ticker, err);
    if (st == VKA_OK && r->job->save_hints && !r->hints_saved)
        st = vka_controls_save(&w->controls, r->job->save_hints, err);
    r->hints_saved = st == VKA_OK;
    r->load_s += vka_now() - began;
    return st;
}

/* Pictures through the VAE's encoder: those that the clip begins from, those of SparseCtrl. */
static vka_status run_encode(struct vka_run *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    uint32_t begin = w->init.any && !w->init.ready ? vka_init_pictures(&w->init) : 0, controls = vka_controls_to_encode(&w->controls);
    if (!begin && !controls)
        return VKA_OK;
    double began = vka_now();
    r->at = VKA_AT_ENCODE;
    vka_context_stage(r->cx, "pictures", begin + controls);
    vka_status st = vka_vae_stage_start(&w->encode, r->gpu, &r->cx->ticker, err);
    if (st == VKA_OK && begin)
        st = vka_init_encode(&w->init, &w->encode, encoded, r->cx, &r->cx->ticker, err);
    if (st == VKA_OK && controls)
        st = vka_controls_encode(&w->controls, &w->encode, w->setup.rng, w->setup.seed, &r->cx->ticker, err);
    vka_vae_stage_end(&w->encode);
    r->load_s += vka_now() - began;
    return st;
}

/* The rows that a clip takes in a step; `whole`: the context with them. */
static vka_status set_prompt(struct vka_run *r, uint32_t clip, uint32_t step, bool whole, vka_error *err)
{
    struct vka_work *w = &r->w;
    if (vka_prompts_travels(&w->prompts)) {
        r->rows = (struct vka_prompts_rows){&w->prompts, &w->guide, clip, step};
        vka_unet_stage_travel(r->stage, vka_prompts_rows_get, &r->rows);
        return VKA_OK;
    }
    int32_t *index = vka_calloc((size_t)w->branches * w->setup.frames, sizeof *index);
    if (!index)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_prompts_index(&w->prompts, clip, step, &w->guide, w->setup.frames, index);
    vka_status st = VKA_OK;
    if (whole)
        st = vka_unet_stage_prompt(r->stage, vka_prompts_context(&w->prompts, w->guide.unguided), index, err);
    else
        vka_unet_stage_index(r->stage, index);
    free(index);
    return st;
}

/* A clip's tensor of --step-noise. */
static vka_status read_noise(const struct vka_run *r, const char *name, float *out, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    uint32_t f = s->frames, c = s->unet->in_channels, h = s->height / s->factor, wd = s->width / s->factor;
    float *data;
    vka_status st = vka_read_clip(&r->w.step_noise, name, &f, &c, &h, &wd, &data, err);
    if (st == VKA_OK)
        memcpy(out, data, (size_t)f * c * h * wd * sizeof *out);
    free(data);
    return st;
}

/* The tensor of --step-noise for an evaluation, and its name. */
static vka_status read_step_noise(const struct vka_run *r, const vka_sampler_eval *e, char name[48], float *out,
                                  vka_error *err)
{
    snprintf(name, 48, e->draw ? "step_noise.%03u.%u" : "step_noise.%03u", e->step, e->draw);
    if (!vka_safetensors_find(&r->w.step_noise, name)) /* unpadded numbers are taken too */
        snprintf(name, 48, e->draw ? "step_noise.%u.%u" : "step_noise.%u", e->step, e->draw);
    return read_noise(r, name, out, err);
}

/* FreeInit's fresh noise for the round behind pass number `pass`, and its name. */
static vka_status read_fresh_noise(const struct vka_run *r, uint32_t pass, char name[48], float *out, vka_error *err)
{
    snprintf(name, 48, "freeinit.%u", pass);
    return read_noise(r, name, out, err);
}

vka_status vka_run_check_inputs(const struct vka_run *r, vka_error *err)
{
    const struct vka_work *w = &r->w;
    const struct vka_setup *s = &w->setup;
    uint32_t f = s->frames, c = s->unet->in_channels, h = s->height / s->factor, wd = s->width / s->factor;
    const struct vka_prompts *p = &w->prompts;
    const size_t row = (size_t)p->tokens * p->width, values = (size_t)f * c * h * wd;
    vka_status st = VKA_OK;
    if (r->job->embeds)
        st = check_tensor(p->rows + p->unconds * row, (p->count - p->unconds) * row, r->job->embeds, "cond", err);
    if (st == VKA_OK && r->job->embeds)
        st = check_tensor(p->rows, p->unconds * row, r->job->embeds, "uncond", err);
    if (st == VKA_OK && r->job->noise)
        st = check_tensor(w->noise, values, r->job->noise, "noise", err);
    float *drawn = st == VKA_OK && r->job->step_noise ? vka_calloc(values, sizeof *drawn) : NULL;
    if (st == VKA_OK && r->job->step_noise && !drawn)
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    char name[48];
    for (uint32_t i = 0; st == VKA_OK && drawn && i < vka_sampler_evals(s->sampler); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s->sampler, i);
        if (!e->draws_noise)
            continue;
        st = read_step_noise(r, e, name, drawn, err);
        if (st == VKA_OK)
            st = check_tensor(drawn, values, r->job->step_noise, name, err);
    }
    for (uint32_t k = 1; st == VKA_OK && drawn && k < w->passes; k++)
        if (vka_work_pass(w, k)->again) {
            st = read_fresh_noise(r, k - 1, name, drawn, err);
            if (st == VKA_OK)
                st = check_tensor(drawn, values, r->job->step_noise, name, err);
        }
    free(drawn);
    return st;
}

/* ---- sampling ------------------------------------------------------------------------------------------- */

/* A sampler at work: `at` is the state after the last whole step, in host memory, so that whatever stops the next one,
 * a signal or the loss of the device, finds it there. */
struct sampling {
    vka_checkpoint at;
    vka_noise_source source;
    float *buffer; /* one clip tensor */
    float *first;  /* the step's first noise, where a later one shares it; else NULL */
    size_t values;
    uint32_t kept_pass, kept; /* pass, and its evaluations, that the folder's newest checkpoint has */
    bool whole;               /* `at` is not half way to the next */
};

static const vka_sampler *sampler_of(const struct vka_run *r, const struct sampling *p)
{
    return vka_work_pass(&r->w, p->at.pass)->sampler;
}

/* Steps of the passes before the one at work. */
static uint32_t steps_before(const struct vka_run *r, const struct sampling *p)
{
    uint32_t steps = 0;
    for (uint32_t i = 0; i < p->at.pass; i++)
        steps += vka_sampler_steps(vka_work_pass(&r->w, i)->sampler);
    return steps;
}

/* The step of the job's sampler that a step of the pass at work stands for: what changes over the steps, prompts and guidance,
 * is said in those. */
static uint32_t step_meant(const struct vka_run *r, const struct sampling *p, uint32_t step)
{
    return (uint32_t)((uint64_t)step * vka_sampler_steps(r->w.setup.sampler) / vka_sampler_steps(sampler_of(r, p)));
}

static void sampling_end(struct sampling *p)
{
    p->at.step_s = NULL; /* the clip's */
    vka_checkpoint_free(&p->at);
    vka_noise_close(&p->source);
    free(p->buffer);
    free(p->first);
}

/* After a failure: hands the last whole step to the clip, for a second try in this run; not where a trace is made, which
 * needs every step. */
static void sampling_leave(struct vka_run *r, struct vka_run_clip *c, struct sampling *p)
{
    if (p->whole && (p->at.eval || (p->at.pass && !vka_work_pass(&r->w, p->at.pass)->hires)) && vka_run_keeps(r)) {
        vka_checkpoint_free(&c->from);
        c->from = p->at;
        c->from.step_s = NULL; /* they are the clip's */
        p->at = (vka_checkpoint){0};
    }
    sampling_end(p);
}

/* Memory for a clip's sampler, from the beginning of the pass r->pass. */
static vka_status sampling_begin(struct vka_run *r, uint32_t k, struct sampling *p, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    struct vka_run_clip *c = &r->clips[k];
    *p = (struct sampling){.at = {.clip = k,
                                  .frames = s->frames,
                                  .channels = s->unet->in_channels,
                                  .height = height_of(r, r->pass),
                                  .width = width_of(r, r->pass),
                                  .pass = r->pass,
                                  .slots = vka_sampler_lasting(vka_work_pass(&r->w, r->pass)->sampler),
                                  .seed = c->seed,
                                  .step_s = c->step_s}};
    vka_status st = vka_noise_open_sub(&p->source, s->rng, s->layout, c->seed, (vka_subseed){c->subseed, s->sub.share},
                                       s->frames, p->at.channels, p->at.height, p->at.width, err);
    if (st != VKA_OK)
        return st;
    p->values = vka_checkpoint_values(&p->at);
    p->buffer = vka_calloc(p->values, sizeof *p->buffer);
    p->at.rng_bytes = vka_noise_state_bytes(&p->source);
    p->at.rng = vka_calloc(1, (size_t)p->at.rng_bytes);
    bool good = p->buffer && p->at.rng, shares = false;
    for (uint32_t pass = 0; pass < r->w.passes; pass++)
        shares = shares || vka_sampler_shares_noise(vka_work_pass(&r->w, pass)->sampler);
    if (shares && !r->job->step_noise)
        good = (p->first = vka_calloc(p->values, sizeof *p->first)) && good;
    for (int i = 0; i < VKA_SLOTS; i++)
        if (p->at.slots >> i & 1)
            good = (p->at.slot[i] = vka_calloc(p->values, sizeof(float))) && good;
    return good ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

/* A clip's first noise, of unit variance: given, or the first that its generators draw. */
static vka_status first_noise(struct vka_run *r, const struct sampling *p, vka_noise_source *source, float *out, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    if (r->w.noise) {
        memcpy(out, r->w.noise, p->values * sizeof *out);
        return VKA_OK;
    }
    vka_noise_draw(source, out);
    vka_status st = vka_noise_mix(source, (vka_subseed){r->clips[p->at.clip].subseed, s->sub.share}, out, err);
    return st == VKA_OK ? vka_noise_kind_apply_source(s->noise_kind, source, s->noise_length, s->noise_stride, out, err) : st;
}

static const float *held_target(void *user, uint32_t frame) { return vka_init_target(user, frame); }
static void held_share(void *user, uint32_t frame, float *out) { vka_init_keep(user, frame, out); }

/* What is held in the pass at work, once the pictures' latents are there. */
static vka_status hold(struct vka_run *r, const struct sampling *p, vka_error *err)
{
    struct vka_init *in = &r->w.init;
    if (!vka_init_holds(in))
        return VKA_OK;
    const struct vka_hold h = {in, held_target, held_share, vka_init_held(in, vka_sampler_steps(sampler_of(r, p)))};
    return vka_unet_stage_hold(r->stage, &h, err);
}

/* A pass that begins from pictures: its latents with the noise in p->buffer, as much as the first step that is run has of it. */
static vka_status sampling_pictures(struct vka_run *r, struct sampling *p, vka_error *err)
{
    struct vka_init *in = &r->w.init;
    float *x = p->at.slot[VKA_SLOT_X];
    double image, noise;
    vka_status st = VKA_OK;
    if (p->at.pass == 0) {
        if (vka_init_wants_noise(in))
            vka_noise_draw(&p->source, x);
        st = vka_init_clip(in, x, err);
    }
    if (st != VKA_OK)
        return st;
    trace_clip(r, "init", in->latents);
    vka_sampler_start_mix(sampler_of(r, p), 0, &image, &noise);
    memcpy(x, p->buffer, p->values * sizeof *x);
    vka_init_start(in, image, noise, x);
    return hold(r, p, err);
}

/* The pictures' latents of a clip that goes on: its generators once more from their beginning. */
static vka_status pictures_again(struct vka_run *r, struct sampling *p, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    const struct vka_run_clip *c = &r->clips[p->at.clip];
    struct vka_init *in = &r->w.init;
    vka_noise_source again;
    if (!in->any || r->w.pass[p->at.pass].hires) /* a second pass of another size has nothing of them */
        return VKA_OK;
    vka_status st = vka_noise_open_sub(&again, s->rng, s->layout, c->seed, (vka_subseed){c->subseed, s->sub.share}, s->frames,
                                       p->at.channels, p->at.height, p->at.width, err);
    if (st != VKA_OK)
        return st;
    st = first_noise(r, p, &again, p->buffer, err);
    if (st == VKA_OK && vka_init_wants_noise(in))
        vka_noise_draw(&again, p->buffer);
    if (st == VKA_OK)
        st = vka_init_clip(in, p->buffer, err);
    vka_noise_close(&again);
    return st == VKA_OK ? hold(r, p, err) : st;
}

/* The pass begins from the noise in p->buffer, as its sampler wants its latents. */
static vka_status sampling_start(struct vka_run *r, struct sampling *p, vka_error *err)
{
    double scale = vka_sampler_init_noise_scale(sampler_of(r, p));
    vka_status st = VKA_OK;
    trace_clip(r, "noise", p->buffer);
    if (r->w.init.any)
        st = sampling_pictures(r, p, err);
    for (size_t i = 0; !r->w.init.any && i < p->values; i++)
        p->at.slot[VKA_SLOT_X][i] = (float)(scale * p->buffer[i]);
    if (st != VKA_OK)
        return st;
    vka_noise_save(&p->source, p->at.rng);
    p->whole = true;
    return vka_unet_stage_set(r->stage, VKA_SLOT_X, p->at.slot[VKA_SLOT_X], err);
}

static vka_status sampling_noise(struct vka_run *r, struct sampling *p, vka_error *err)
{
    vka_status st = first_noise(r, p, &p->source, p->buffer, err);
    return st == VKA_OK ? sampling_start(r, p, err) : st;
}

/* FreeInit: the clip is noised again to the last timestep, with the noise that it came from at first, and takes its high
 * frequencies from fresh noise.  Into p->buffer; the fresh noise is the generators' next. */
static vka_status noise_again(struct vka_run *r, struct sampling *p, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    const struct vka_checkpoint *at = &p->at;
    const double kept = sqrt(s->freeinit.kept), lost = sqrt(1 - s->freeinit.kept);
    char name[48];
    vka_noise_source source = {0};
    float *fresh = vka_calloc(p->values, sizeof *fresh);
    vka_status st = fresh ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && !r->w.noise)
        st = vka_noise_open_sub(&source, s->rng, s->layout, at->seed,
                                (vka_subseed){r->clips[at->clip].subseed, s->sub.share}, at->frames, at->channels, at->height,
                                at->width, err);
    if (st == VKA_OK)
        st = first_noise(r, p, &source, p->buffer, err);
    for (size_t i = 0; st == VKA_OK && i < p->values; i++)
        p->buffer[i] = (float)(kept * (double)at->slot[VKA_SLOT_X][i] + lost * (double)p->buffer[i]);
    if (st == VKA_OK && r->job->step_noise)
        st = read_fresh_noise(r, at->pass, name, fresh, err);
    else if (st == VKA_OK)
        vka_noise_draw(&p->source, fresh);
    if (st == VKA_OK)
        st = vka_freeinit_mix(&r->w.freeinit, r->gpu, &s->freeinit.filter, p->buffer, fresh, p->buffer, &r->cx->ticker, err);
    vka_noise_close(&source);
    free(fresh);
    return st;
}

/* Where an earlier run was. */
static vka_status sampling_go_on(struct vka_run *r, struct vka_run_clip *c, struct sampling *p, vka_error *err)
{
    vka_checkpoint *from = &c->from;
    vka_status st = vka_noise_load(&p->source, from->rng, (size_t)from->rng_bytes)
                        ? VKA_OK
                        : vka_fail(err, VKA_E_INPUT, "the job's checkpoint has another kind of random numbers");
    memcpy(p->at.rng, from->rng, (size_t)(st == VKA_OK ? from->rng_bytes : 0));
    p->at.pass = p->kept_pass = r->pass = from->pass;
    p->at.eval = p->kept = from->eval;
    p->at.step = from->step;
    p->at.timings = c->steps_done = from->timings;
    for (int i = 0; st == VKA_OK && i < VKA_SLOTS; i++)
        if (p->at.slots >> i & 1) {
            float *mine = p->at.slot[i];
            p->at.slot[i] = from->slot[i];
            from->slot[i] = mine;
            st = vka_unet_stage_set(r->stage, (enum vka_slot)i, p->at.slot[i], err);
        }
    p->whole = st == VKA_OK;
    vka_checkpoint_free(from);
    return st == VKA_OK ? pictures_again(r, p, err) : st;
}

/* The latents after a step, in p->buffer, which is spoilt where they are not finite: the step's last evaluation then
 * tells whose fault it is. */
static vka_status check_latents(struct vka_run *r, struct sampling *p, const vka_sampler_eval *e, vka_error *err)
{
    size_t i = first_bad(p->buffer, p->values), frame = p->values / p->at.frames;
    if (i == p->values)
        return VKA_OK;
    char clip[48] = "";
    if (r->count > 1)
        snprintf(clip, sizeof clip, " of the clip with seed %llu", (unsigned long long)p->at.seed);
    vka_fail(err, VKA_E_VERIFY, "the latents of frame %zu%s hold %s after step %u of %u", i / frame, clip,
             bad_name(p->buffer[i]), e->step + 1, vka_sampler_steps(sampler_of(r, p)));
    if (vka_unet_stage_get(r->stage, VKA_SLOT_EPS, p->buffer, NULL) == VKA_OK) {
        i = first_bad(p->buffer, p->values);
        if (i < p->values)
            vka_error_why(err, "the UNet's output of that step holds %s in frame %zu", bad_name(p->buffer[i]),
                          i / frame);
        else
            vka_error_why(err, "the UNet's output of that step is finite: the sampler went too far with it");
    }
    return tell_bad(r, err);
}

/* After a step: what comes out of it, into `at`. */
static vka_status sampling_step(struct vka_run *r, struct vka_run_clip *c, struct sampling *p,
                                const vka_sampler_eval *e, uint32_t evals, vka_error *err)
{
    vka_status st = vka_unet_stage_get(r->stage, VKA_SLOT_X, p->buffer, err);
    if (st == VKA_OK)
        st = check_latents(r, p, e, err);
    if (st != VKA_OK)
        return st;
    p->whole = false;
    float *x = p->at.slot[VKA_SLOT_X];
    p->at.slot[VKA_SLOT_X] = p->buffer;
    p->buffer = x;
    for (int i = 0; st == VKA_OK && i < VKA_SLOTS; i++)
        if (i != VKA_SLOT_X && p->at.slots >> i & 1)
            st = vka_unet_stage_get(r->stage, (enum vka_slot)i, p->at.slot[i], err);
    if (st != VKA_OK)
        return st;
    vka_noise_save(&p->source, p->at.rng);
    p->at.eval = evals;
    p->at.step = e->step + 1;
    p->at.timings = c->steps_done;
    p->whole = true;
    if (tracing(r)) {
        char name[32];
        snprintf(name, sizeof name, "latents.%03u", e->step);
        trace_clip(r, name, p->at.slot[VKA_SLOT_X]);
    }
    return VKA_OK;
}

static void sampling_keep(struct vka_run *r, struct sampling *p)
{
    bool newer = p->at.pass > p->kept_pass || p->at.eval > p->kept;
    if (vka_run_keeps(r) && p->whole && newer && vka_state_keep_step(r->state, &p->at)) {
        p->kept_pass = p->at.pass;
        p->kept = p->at.eval;
    }
    vka_resume_add_hashes(r->state, &r->w.setup);
}

static void trace_timesteps(struct vka_run *r, const vka_sampler *s)
{
    uint32_t steps = vka_sampler_steps(s);
    float *t = vka_calloc(steps, sizeof *t);
    for (uint32_t i = 0; t && i < vka_sampler_evals(s); i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(s, i);
        if (!e->stage)
            t[e->step] = e->timestep;
    }
    if (t)
        vka_tensor_file_add(&r->trace, "timesteps", VKA_WEIGHT_F32, 1, (uint64_t[]){steps}, t);
    free(t);
}

/* Noise of an evaluation into p->buffer: from --step-noise, else from the seed's generators.  A draw that shares its
 * interval with the step's first one takes that much of it. */
static vka_status step_noise(struct vka_run *r, struct sampling *p, const vka_sampler_eval *e, vka_error *err)
{
    char name[48];
    if (r->job->step_noise)
        return read_step_noise(r, e, name, p->buffer, err);
    vka_noise_draw(&p->source, p->buffer);
    double fresh = sqrt(1.0 - e->carry * e->carry);
    for (size_t i = 0; e->carry > 0 && i < p->values; i++)
        p->buffer[i] = (float)(e->carry * (double)p->first[i] + fresh * (double)p->buffer[i]);
    if (p->first && e->draw == 0)
        memcpy(p->first, p->buffer, p->values * sizeof *p->first);
    return VKA_OK;
}

static vka_status sampling_eval(struct vka_run *r, struct sampling *p, const vka_sampler_eval *e, vka_error *err)
{
    struct vka_work *w = &r->w;
    vka_status st = VKA_OK;
    if (e->draws_noise) {
        st = step_noise(r, p, e, err);
        if (st == VKA_OK)
            st = vka_unet_stage_set(r->stage, VKA_SLOT_NOISE, p->buffer, err);
        trace_indexed(r, "step_noise", e, e->draw, p->buffer);
    }
    if (st == VKA_OK) {
        double cfg = vka_setup_cfg(&w->setup, step_meant(r, p, e->step));
        st = w->setup.by_frame ? vka_unet_stage_eval_frame(r->stage, e, cfg, p->at.pass, &r->cx->ticker, err)
                               : vka_unet_stage_eval(r->stage, e, cfg, &r->cx->ticker, err);
    }
    if (st == VKA_OK && tracing(r)) {
        st = vka_unet_stage_get(r->stage, VKA_SLOT_EPS, p->buffer, err);
        trace_indexed(r, "eps", e, e->stage, p->buffer);
        trace_windows(r, e);
    }
    return st;
}

/* What a step's first evaluation, just done, tells of the clip; p->buffer is free then. */
static vka_status look(struct vka_run *r, struct sampling *p, const vka_sampler_eval *e, vka_error *err)
{
    const bool by_frame = r->w.setup.by_frame;
    vka_status st = vka_unet_stage_get(r->stage, VKA_SLOT_EPS, p->buffer, err);
    const struct vka_preview_state s = {.x = p->at.slot[VKA_SLOT_X],
                                        .eps = p->buffer,
                                        .e = e,
                                        .channels = p->at.channels,
                                        .height = p->at.height,
                                        .width = p->at.width,
                                        .done = by_frame ? p->at.pass : 0,
                                        .begun = by_frame ? p->at.pass + 1 : p->at.frames};
    if (st == VKA_OK && !vka_previews_take(&r->previews, &s))
        vka_logf(&r->cx->log, VKA_LOG_WARN, "there are no more previews: out of memory");
    return st;
}

/* The frame before the one at work, for controls. */
static vka_status see_previous(struct vka_run *r, struct sampling *p, vka_error *err)
{
    size_t values = p->values / p->at.frames;
    vka_status st = vka_previous_show(&r->w, p->at.slot[VKA_SLOT_X] + (p->at.pass - 1) * values, p->at.pass - 1, &r->cx->ticker, err);
    return st == VKA_E_VERIFY ? tell_bad(r, err) : st;
}

/* The steps of the pass at work that are still to be done. */
static vka_status sampling_pass(struct vka_run *r, uint32_t k, struct sampling *p, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    const vka_sampler *sampler = sampler_of(r, p);
    uint32_t evals = vka_sampler_evals(sampler), before = steps_before(r, p);
    vka_status st = VKA_OK;
    double began = vka_now();
    if (r->w.setup.by_frame && p->at.pass && p->at.eval < evals)
        st = see_previous(r, p, err);
    for (uint32_t i = p->at.eval, first = i; st == VKA_OK && i < evals; i++) {
        const vka_sampler_eval *e = vka_sampler_eval_at(sampler, i);
        uint32_t meant = step_meant(r, p, e->step);
        if (i == first || (!e->stage && (meant != e->step || vka_prompts_change(&r->w.prompts, k, e->step))))
            st = set_prompt(r, k, meant, false, err);
        if (st == VKA_OK)
            st = sampling_eval(r, p, e, err);
        if (st == VKA_OK && r->previews.on && !e->stage)
            st = look(r, p, e, err);
        if (st != VKA_OK || !e->ends_step)
            continue;
        double now = vka_now(), took = now - began;
        c->step_s[c->steps_done++] = took;
        if (c->steps_done == 1)
            vka_gpu_save_cache(r->gpu); /* what the first step compiled outlives a kill too */
        st = sampling_step(r, c, p, e, i + 1, err);
        bool last = i + 1 == evals && p->at.pass + 1 == r->w.passes;
        if (st == VKA_OK && !last && vka_pace_due(&r->state->pace, now, took))
            sampling_keep(r, p);
        if (st == VKA_OK) {
            vka_context_done(r->cx, before + e->step + 1);
            vka_previews_show(&r->previews, &r->cx->params, k, before + e->step + 1, vka_work_steps(&r->w), r->w.setup.fps);
        }
        began = vka_now();
    }
    return st;
}

/* The next pass: it begins from the latents of the last one, or from noise that has something of them. */
static vka_status next_pass(struct vka_run *r, struct sampling *p, vka_error *err)
{
    bool again = vka_work_pass(&r->w, p->at.pass + 1)->again;
    vka_status st = again ? noise_again(r, p, err) : VKA_OK;
    if (st != VKA_OK)
        return st;
    p->whole = false;
    r->pass = ++p->at.pass;
    p->at.eval = p->at.step = 0;
    if (again)
        return sampling_start(r, p, err);
    p->whole = true;
    return VKA_OK;
}

/* The second pass of --hires: the clip as it has been enlarged, with as much noise as its first step has; the noise is the seed's
 * for clips of that size.  What is in c->from stays, for a second try. */
static vka_status hires_start(struct vka_run *r, struct vka_run_clip *c, struct sampling *p, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    double image, noise;
    vka_noise_draw(&p->source, p->buffer);
    vka_status st = vka_noise_mix(&p->source, (vka_subseed){c->subseed, s->sub.share}, p->buffer, err);
    if (st == VKA_OK)
        st = vka_noise_kind_apply_source(s->noise_kind, &p->source, s->noise_length, s->noise_stride, p->buffer, err);
    if (st != VKA_OK)
        return st;
    trace_clip(r, "noise", p->buffer);
    vka_sampler_start_mix(sampler_of(r, p), 0, &image, &noise);
    for (size_t i = 0; i < p->values; i++)
        p->at.slot[VKA_SLOT_X][i] =
            (float)(image * (double)c->from.slot[VKA_SLOT_X][i] + noise * (double)p->buffer[i]);
    vka_noise_save(&p->source, p->at.rng);
    p->kept_pass = r->pass; /* the folder has what this begins from */
    p->at.timings = c->steps_done = c->from.timings;
    p->whole = true;
    return vka_unet_stage_set(r->stage, VKA_SLOT_X, p->at.slot[VKA_SLOT_X], err);
}

/* A clip's first passes are done: what they have made, for the second stage. */
static void hand_on(struct vka_run *r, struct vka_run_clip *c, struct sampling *p)
{
    p->at.pass++;
    p->at.eval = p->at.step = 0;
    p->at.slots = 1u << VKA_SLOT_X;
    if (vka_run_keeps(r))
        vka_state_keep_latents(r->state, &p->at);
    vka_resume_add_hashes(r->state, &r->w.setup);
    vka_checkpoint_free(&c->from);
    c->from = p->at;
    c->from.step_s = NULL; /* they are the clip's */
    c->enlarged = false;
    p->at = (vka_checkpoint){0};
    sampling_end(p);
}

/* The passes of a clip that the stage at work runs. */
static vka_status sample_clip(struct vka_run *r, uint32_t k, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    struct sampling p;
    bool second = r->stage == &r->w.hires;
    uint32_t end = second || !r->w.setup.hires.sampler ? r->w.passes : r->w.passes - 1;
    c->steps_done = c->from.slots ? c->steps_done : 0;
    r->pass = c->from.slots ? c->from.pass : 0;
    vka_status st = sampling_begin(r, k, &p, err);
    vka_context_stage(r->cx, "steps", vka_work_steps(&r->w));
    if (st == VKA_OK)
        st = second && !c->from.eval ? hires_start(r, c, &p, err)
             : c->from.slots         ? sampling_go_on(r, c, &p, err)
                                     : sampling_noise(r, &p, err);
    if (st == VKA_OK && c->steps_done) { /* so that time per step and time left stay right */
        for (uint32_t i = 0; i < c->steps_done; i++)
            r->cx->stage_began -= c->step_s[i];
        vka_context_done(r->cx, steps_before(r, &p) + p.at.step);
    }
    r->stage->p.window.seed = p.at.seed;
    vka_unet_stage_weigh(r->stage, vka_prompts_weights(&r->w.prompts, k));
    while (st == VKA_OK) {
        st = sampling_pass(r, k, &p, err);
        if (st != VKA_OK || p.at.pass + 1 == end)
            break;
        st = next_pass(r, &p, err);
    }
    if (st != VKA_OK) { /* whatever it was, the last whole step is kept */
        sampling_keep(r, &p);
        sampling_leave(r, c, &p);
        return st;
    }
    if (end < r->w.passes) {
        hand_on(r, c, &p);
        return VKA_OK;
    }
    if (r->job->trace) {
        trace_timesteps(r, sampler_of(r, &p));
        trace_clip(r, "latents", p.at.slot[VKA_SLOT_X]);
    }
    p.at.slots = 1u << VKA_SLOT_X;
    bool kept = vka_run_keeps(r) && vka_state_keep_latents(r->state, &p.at);
    vka_resume_add_hashes(r->state, &r->w.setup);
    if (!kept || r->count == 1) {
        c->latents = p.at.slot[VKA_SLOT_X];
        p.at.slot[VKA_SLOT_X] = NULL;
    }
    c->sampled = true;
    vka_checkpoint_free(&c->from);
    sampling_end(&p);
    return VKA_OK;
}

/* Whether a clip has passes to go through with a stage. */
static bool wants_stage(const struct vka_run *r, const struct vka_run_clip *c, bool second)
{
    bool first_done = r->w.setup.hires.sampler && c->from.slots && c->from.pass + 1 == r->w.passes;
    return !c->sampled && !c->written && (second ? r->w.setup.hires.sampler != NULL : !first_done);
}

/* All clips through their passes of one stage. */
static vka_status run_stage(struct vka_run *r, bool second, vka_error *err)
{
    struct vka_work *w = &r->w;
    vka_status st = VKA_OK;
    double began = vka_now();
    bool wanted = false;
    for (uint32_t k = 0; k < r->count; k++)
        wanted = wanted || wants_stage(r, &r->clips[k], second);
    if (!wanted)
        return VKA_OK;
    if (second)
        st = vka_hires_enlarge(r, err);
    r->stage = second ? &w->hires : &w->unet;
    if (st == VKA_OK) {
        vka_context_stage(r->cx, "load", 1);
        r->at = second ? VKA_AT_HIRES : VKA_AT_UNET;
        st = vka_unet_stage_start(r->stage, r->gpu, &r->cx->ticker, err);
    }
    if (st == VKA_OK && w->setup.by_frame)
        st = vka_vae_stage_start(&w->previous, r->gpu, &r->cx->ticker, err);
    if (st == VKA_OK)
        st = set_prompt(r, 0, 0, true, err);
    r->load_s += vka_now() - began;
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        r->cx->now.clip = k;
        if (wants_stage(r, &r->clips[k], second))
            st = sample_clip(r, k, err);
    }
    if (st == VKA_OK) {
        const struct vka_exec *x = r->stage->unet.exec;
        vka_exec_times(r->stage->unet.exec, &r->cx->log);
        vka_logf(&r->cx->log, VKA_LOG_INFO, "%s: %u segments, %u launches, %u lists, %u pipelines in all",
                 second ? "second pass" : "UNet", x->plan->segment_count, x->program->launch_count, x->lists.count,
                 vka_gpu_pipeline_count(r->gpu));
    }
    return st;
}

/* Previews, where the program wants them; what they need to be made is planned for itself. */
static vka_status run_previews(struct vka_run *r, vka_error *err)
{
    double began = vka_now();
    if (!r->cx->params.preview || r->previews.tried)
        return VKA_OK;
    vka_context_stage(r->cx, "load", 1);
    vka_status st = vka_previews_begin(&r->previews, &r->w, r->gpu, err);
    r->planned = r->previews.planned > r->planned ? r->previews.planned : r->planned;
    r->load_s += vka_now() - began;
    return st;
}

vka_status vka_run_sample(struct vka_run *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    vka_status st = run_text(r, err);
    if (st == VKA_OK)
        st = run_hints(r, err);
    if (st == VKA_OK)
        st = run_encode(r, err);
    if (st == VKA_OK && w->setup.ip_count && !w->ip_tokens[0]) {
        vka_context_stage(r->cx, "images", 1);
        r->at = VKA_AT_VISION;
        st = vka_work_vision_run(w, r->gpu, &r->cx->ticker, err);
    }
    if (st == VKA_OK)
        st = run_previews(r, err);
    if (st == VKA_OK)
        st = run_stage(r, false, err);
    vka_unet_stage_end(&w->unet);
    vka_vae_stage_end(&w->previous);
    if (st == VKA_OK)
        st = run_stage(r, true, err);
    vka_unet_stage_end(&w->hires);
    return st;
}
